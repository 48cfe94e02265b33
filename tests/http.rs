//! Tests the HTTP transport with real sockets on loopback: the requests that it sends, and every way in which a
//! response can fail.
//!
//! Servers are threads that follow a script. A server that must stay silent waits until its client disconnects. So a
//! test waits only for time limits that the test sets itself. Tests assert kinds of failure, never durations.

mod exchange;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use claude_batch::domain::{HaltReason, ModelClass, PoolId, RateSignals, Speed, Verdict};
use claude_batch::provider::{Body, BodySource, Provider, Reply, ReplyHead, Splice, Transfer, WireRequest};
use claude_batch::transport::http::{Credential, HttpConfig, HttpTransport};
use claude_batch::transport::{
    Asked, Authorization, CredentialSource, Exchange as _, Transport, WireError, WireErrorKind, parse_base_url,
    proxy_for,
};
use exchange::Exchange;
use http::Method;

const KEY: &str = "sk-ant-canary-0123456789abcdef";
const HOUR: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(200);

// Requests.

#[tokio::test]
async fn an_api_key_is_sent_as_x_api_key() {
    let server = Server::start(|stream, _| whole(stream, "200 OK", "", b"{}"));

    send(&server.transport(), request()).await.expect("an answer");

    let request = server.requests().remove(0);
    assert!(request.starts_with("POST /v1/messages HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("x-api-key: {KEY}\r\n")), "{request}");
    assert!(request.contains("anthropic-version: 2023-06-01\r\n"), "{request}");
    assert!(request.contains("user-agent: claude-batch/"), "{request}");
    assert!(!request.contains("authorization:"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"model\":\"m\"}"), "{request}");
}

#[tokio::test]
async fn a_key_for_two_headers_is_sent_as_both_and_stays_secret() {
    let server = Server::start(|stream, _| whole(stream, "200 OK", "", b"{}"));
    let mut config = server.config();
    config.authorization = Credential::ApiKeyTwice(KEY.into()).into();
    assert!(!format!("{config:?}").contains(KEY));
    let transport = transport(config);

    send(&transport, request()).await.expect("an answer");

    let request = server.requests().remove(0);
    assert!(request.contains(&format!("\r\napi-key: {KEY}\r\n")), "{request}");
    assert!(request.contains(&format!("\r\nx-api-key: {KEY}\r\n")), "{request}");
    assert!(!request.contains("authorization"), "{request}");
    let mut text = format!("no such key {KEY}");
    transport.secrets().clean(&mut text);
    assert_eq!(text, "no such key [key]");
}

#[tokio::test]
async fn a_token_is_sent_as_bearer() {
    let server = Server::start(|stream, _| whole(stream, "200 OK", "", b"{}"));
    let mut config = server.config();
    config.authorization = Credential::Bearer(KEY.into()).into();

    send(&transport(config), request()).await.expect("an answer");

    let request = server.requests().remove(0);
    assert!(request.contains(&format!("authorization: Bearer {KEY}\r\n")), "{request}");
    assert!(!request.contains("x-api-key"), "{request}");
}

#[tokio::test]
async fn without_a_credential_no_header_authorizes_the_request() {
    let server = Server::start(|stream, _| whole(stream, "200 OK", "", b"{}"));
    let mut config = server.config();
    config.authorization = Credential::None.into();

    send(&transport(config), request()).await.expect("an answer");

    let request = server.requests().remove(0);
    assert!(!request.contains("x-api-key") && !request.contains("authorization"), "{request}");
}

/// A token source that gives a new token at each request, and fails after the second token.
#[derive(Debug, Default)]
struct ShortLived(AtomicUsize);

impl CredentialSource for ShortLived {
    fn credential(&self) -> Asked<'_> {
        Box::pin(async {
            match self.0.fetch_add(1, Ordering::Relaxed) {
                number @ 0..2 => Ok(Arc::new(Credential::Bearer(format!("token-{number}-{KEY}").into()))),
                _ => Err("the vault is closed".to_owned()),
            }
        })
    }
}

#[tokio::test]
async fn a_credential_that_expires_is_asked_for_at_each_request() {
    let server = Server::start(|stream, _| whole(stream, "200 OK", "", b"{}"));
    let mut config = server.config();
    config.authorization = Authorization::Asked(Arc::new(ShortLived::default()));
    let transport = transport(config);

    for _ in 0..2 {
        send(&transport, request()).await.expect("an answer");
    }
    let error = send(&transport, request()).await.expect_err("there is no third token");

    let requests = server.requests();
    assert!(requests[0].contains(&format!("authorization: Bearer token-0-{KEY}\r\n")), "{}", requests[0]);
    assert!(requests[1].contains(&format!("authorization: Bearer token-1-{KEY}\r\n")), "{}", requests[1]);
    assert_eq!((requests.len(), error.kind, error.maybe_sent), (2, WireErrorKind::Authorization, false));
    assert!(error.message.contains("the vault is closed"), "{error}");
    let mut said = format!("you sent token-0-{KEY} and token-1-{KEY}");
    transport.secrets().clean(&mut said);
    assert_eq!(said, "you sent [key] and [key]");
}

/// A token source that gives the same token until the token is renewed, and counts the renewals.
#[derive(Debug)]
struct Renewable {
    current: Mutex<Arc<Credential>>,
    renewals: AtomicUsize,
    /// The number of tokens that the source can give.
    tokens: usize,
}

impl Renewable {
    fn new(tokens: usize) -> Arc<Self> {
        Arc::new(Self { current: Mutex::new(Self::token(0)), renewals: AtomicUsize::new(0), tokens })
    }

    fn token(number: usize) -> Arc<Credential> {
        Arc::new(Credential::Bearer(format!("token-{number}-{KEY}").into()))
    }

    fn renewals(&self) -> usize {
        self.renewals.load(Ordering::Relaxed)
    }
}

impl CredentialSource for Renewable {
    fn credential(&self) -> Asked<'_> {
        Box::pin(async { Ok(self.current.lock().expect("no test panics in it").clone()) })
    }

    fn renew<'a>(&'a self, refused: &'a Arc<Credential>) -> Asked<'a> {
        Box::pin(async {
            let mut current = self.current.lock().expect("no test panics in it");
            if Arc::ptr_eq(&current, refused) {
                match self.renewals.fetch_add(1, Ordering::Relaxed) + 1 {
                    number if number < self.tokens => *current = Self::token(number),
                    _ if self.tokens == 0 => return Err("the vault is closed".to_owned()),
                    _ => {}
                }
            }
            Ok(current.clone())
        })
    }
}

/// Returns a transport with tokens that can be renewed.
fn renewing(server: &Server, tokens: &Arc<Renewable>) -> HttpTransport {
    let mut config = server.config();
    config.authorization = Authorization::Asked(tokens.clone());
    transport(config)
}

/// Starts a server that rejects the first token with this status.
fn refusing_the_first_token(status: &'static str) -> Server {
    Server::start(move |stream, request| match request.contains("token-0-") {
        true => whole(stream, status, "", b"{\"refused\":true}"),
        false => whole(stream, "200 OK", "", b"{}"),
    })
}

#[tokio::test]
async fn a_refused_token_is_renewed_and_the_request_is_sent_once_more() {
    for status in ["401 Unauthorized", "403 Forbidden"] {
        let (server, tokens) = (refusing_the_first_token(status), Renewable::new(2));
        let transport = renewing(&server, &tokens);

        let (head, _) = body(&transport, request()).await.expect("an answer");

        let requests = server.requests();
        assert_eq!((head.status, requests.len(), tokens.renewals()), (200, 2, 1));
        assert_eq!(requests[1], requests[0].replace("token-0-", "token-1-"));
        let mut said = format!("token-0-{KEY} and token-1-{KEY}");
        transport.secrets().clean(&mut said);
        assert_eq!(said, "[key] and [key]");
    }
}

#[tokio::test]
async fn a_request_is_not_sent_a_third_time_when_the_new_token_is_refused_too() {
    let server = Server::start(|stream, _| whole(stream, "401 Unauthorized", "", b"{\"refused\":true}"));
    let tokens = Renewable::new(9);

    let (head, body) = body(&renewing(&server, &tokens), request()).await.expect("an answer");

    assert_eq!((head.status, &body[..], server.requests().len()), (401, &b"{\"refused\":true}"[..], 2));
}

#[tokio::test]
async fn without_another_token_the_refusal_is_the_answer() {
    for tokens in [0, 1] {
        let (server, tokens) = (refusing_the_first_token("403 Forbidden"), Renewable::new(tokens));

        let (head, body) = body(&renewing(&server, &tokens), request()).await.expect("an answer");

        assert_eq!((head.status, &body[..], server.requests().len()), (403, &b"{\"refused\":true}"[..], 1));
        assert_eq!(tokens.renewals(), 1);
    }
}

#[tokio::test]
async fn other_errors_and_fixed_keys_lead_to_no_second_request() {
    let server = Server::start(|stream, request| {
        let status = if request.contains("token-0-") { "429 Too Many" } else { "401 Unauthorized" };
        whole(stream, status, "", b"{}")
    });
    let tokens = Renewable::new(2);

    send(&renewing(&server, &tokens), request()).await.expect("an answer");
    send(&server.transport(), request()).await.expect("an answer");

    assert_eq!((server.requests().len(), tokens.renewals()), (2, 0));
}

#[tokio::test]
async fn requests_that_are_refused_together_lead_to_one_renewal() {
    let (server, tokens) = (refusing_the_first_token("401 Unauthorized"), Renewable::new(2));
    let transport = renewing(&server, &tokens);

    let all = (0..16).map(|_| body(&transport, request()));
    let all = futures_of(all).await;

    assert!(all.iter().all(|answer| answer.as_ref().is_ok_and(|(head, _)| head.status == 200)), "{all:?}");
    assert_eq!(tokens.renewals(), 1);
}

/// Runs futures at the same time, and returns their outputs.
async fn futures_of<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in running.iter_mut().filter(|(_, output)| output.is_none()) {
            if let std::task::Poll::Ready(ready) = future.as_mut().poll(context) {
                *output = Some(ready);
            }
        }
        match running.iter().all(|(_, output)| output.is_some()) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}

/// A request body that consists of a given number of letters.
#[derive(Debug)]
struct Letters(u64);

impl BodySource for Letters {
    fn len(&self) -> u64 {
        self.0
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let count = (self.0 - offset).min(buffer.len() as u64) as usize;
        buffer[..count].iter_mut().zip(offset..).for_each(|(byte, at)| *byte = b'a' + (at % 23) as u8);
        Ok(count)
    }
}

#[tokio::test]
async fn a_body_from_a_source_is_read_again_for_the_second_request() {
    let (server, tokens) = (refusing_the_first_token("401 Unauthorized"), Renewable::new(2));
    let sent = WireRequest { body: Body::from_source(Arc::new(Letters(300_000))), ..request() };

    let (head, _) = body(&renewing(&server, &tokens), sent).await.expect("an answer");

    let bodies: Vec<_> =
        server.requests().iter().filter_map(|request| Some(request.split_once("\r\n\r\n")?.1.to_owned())).collect();
    assert_eq!((head.status, bodies.len()), (200, 2));
    assert!(bodies[0] == bodies[1] && bodies[0].len() == 300_000);
}

#[tokio::test]
async fn a_key_goes_only_to_its_own_server() {
    let elsewhere = Server::start(|stream, _| whole(stream, "200 OK", "", b"{}"));
    let target = elsewhere.url();
    let server = Server::start(move |stream, _| {
        whole(stream, "307 Temporary", &format!("location: {target}/v1/messages\r\n"), b"")
    });
    let tokens = Renewable::new(2);

    for transport in [server.transport(), renewing(&server, &tokens)] {
        let (head, _) = body(&transport, request()).await.expect("an answer");
        assert_eq!(head.status, 307);
    }

    assert_eq!((server.requests().len(), elsewhere.requests().len(), elsewhere.connections()), (2, 0, 0));
    for path in [format!("@{}/v1/messages", elsewhere.address), format!("0{}", elsewhere.address)] {
        let error = send(&server.transport(), WireRequest { path: path.into(), ..request() }).await;
        assert!(error.is_err_and(|error| !error.maybe_sent));
    }
    assert_eq!((server.requests().len(), elsewhere.connections()), (2, 0));
}

#[tokio::test]
async fn a_request_can_be_a_get_of_another_path() {
    let server = Server::start(|stream, _| whole(stream, "200 OK", "", b"{}"));
    let listing = || WireRequest {
        method: Method::GET,
        path: "/v1/messages/batches?limit=100".into(),
        body: Body::default(),
        ..request()
    };
    let transport = server.transport();

    for sent in [listing(), request(), listing()] {
        send(&transport, sent).await.expect("an answer");
    }

    let requests = server.requests();
    for at in [0, 2] {
        assert!(requests[at].starts_with("GET /v1/messages/batches?limit=100 HTTP/1.1\r\n"), "{}", requests[at]);
        assert!(requests[at].contains(&format!("x-api-key: {KEY}\r\n")), "{}", requests[at]);
        assert!(!requests[at].contains("content-length") && requests[at].ends_with("\r\n\r\n"), "{}", requests[at]);
    }
    assert!(requests[1].starts_with("POST /v1/messages HTTP/1.1\r\n"), "{}", requests[1]);
}

#[tokio::test]
async fn text_inserted_into_a_body_counts_in_the_content_length() {
    let server = Server::start(|stream, _| whole(stream, "200 OK", "", b"{}"));
    let mut sent = request();
    sent.body = sent.body.with(Splice::insert(12, &b",\"stream\":true"[..]));

    send(&server.transport(), sent).await.expect("an answer");

    let request = server.requests().remove(0);
    assert!(request.contains("content-length: 27\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\n{\"model\":\"m\",\"stream\":true}"), "{request}");
}

#[tokio::test]
async fn a_large_body_with_inserted_text_is_sent_complete_on_each_try() {
    let server = Server::start(|stream, _| whole(stream, "529 Overloaded", "", b"{}"));
    let bytes = Bytes::from(format!("{{\"model\":\"{}\"}}", "m".repeat(40_000)));
    let body = Body::plain(bytes.clone());
    let body = body.with(Splice::insert(bytes.len() - 1, &b",\"stream\":true"[..]));

    for _ in 0..2 {
        let sent = WireRequest { body: body.clone(), ..request() };
        send(&server.transport(), sent).await.expect("an answer");
    }

    let whole = String::from_utf8(body.into_bytes().to_vec()).expect("text");
    for request in server.requests() {
        assert!(request.contains(&format!("content-length: {}\r\n", whole.len())));
        assert!(request.ends_with(&format!("\r\n\r\n{whole}")) && !request.contains("transfer-encoding"));
    }
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn the_path_of_the_base_url_comes_before_the_path_of_the_api() {
    let server = Server::start(|stream, _| whole(stream, "200 OK", "", b"{}"));
    let mut config = server.config();
    config.base_url = parse_base_url(&format!("{}/claude/v1/", server.url()), false).expect("a loopback URL");

    send(&transport(config), request()).await.expect("an answer");

    assert!(server.requests()[0].starts_with("POST /claude/v1/messages HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Server::start(|stream, _| whole(stream, "200 OK", "", b"{}"));
    let transport = server.transport();

    for _ in 0..5 {
        send(&transport, request()).await.expect("an answer");
    }

    assert_eq!(server.requests().len(), 5);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Server::start(|stream, _| whole(stream, "200 OK", "", b"{}"));
    let location = format!("location: {}/elsewhere\r\n", target.url());
    let server = Server::start(move |stream, _| whole(stream, "307 Temporary Redirect", &location, b""));

    let verdict = verdict(&server.transport(), request()).await;

    assert_eq!(target.connections(), 0);
    let Verdict::Halt(HaltReason::Redirect { to, .. }) = verdict else { panic!("no redirect: {verdict:?}") };
    assert_eq!(to, Some(format!("{}/elsewhere", target.url())));
}

// Responses.

#[tokio::test]
async fn every_recorded_reply_comes_through_unchanged() {
    for name in ["ok", "ok_odd_text", "429_rate", "502_html", "520_empty", "stream", "stream_crlf", "stream_tool_use"] {
        let recorded = Exchange::load(name);
        let (status, headers, body) = (recorded.head.status, recorded.head.headers.clone(), recorded.body.clone());
        let server = Server::start(move |stream, _| {
            let lines = headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.to_str().expect("text")));
            whole(stream, &format!("{status} Whatever"), &lines.collect::<String>(), &body)
        });

        let (head, reply) = send(&server.transport(), request()).await.expect(name);

        assert_eq!(head.status, recorded.head.status, "{name}");
        for (header, value) in &recorded.head.headers {
            assert_eq!(head.headers.get(header), Some(value), "{name}");
        }
        assert_eq!(format!("{reply:?}"), format!("{:?}", recorded.decode()), "{name}");
    }
}

#[tokio::test]
async fn a_stream_in_many_chunks_is_one_message() {
    let recorded = Exchange::load("stream_tool_use");
    let expected = format!("{:?}", recorded.decode());
    let server = Server::start(move |stream, _| {
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")?;
        for piece in recorded.body.chunks(17) {
            write!(stream, "{:x}\r\n", piece.len())?;
            stream.write_all(piece)?;
            stream.write_all(b"\r\n")?;
        }
        stream.write_all(b"0\r\n\r\n")
    });

    let (_, reply) = send(&server.transport(), request()).await.expect("a stream");

    // The recorded response has an id in its headers, but this response has none. The id is not part of a message.
    assert_eq!(format!("{reply:?}"), expected);
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_stream() {
    let server = Server::start(|stream, _| {
        let body = Exchange::load("stream").body;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")?;
        write!(stream, "{:x}\r\n", body.len())?;
        stream.write_all(&body)?;
        std::thread::sleep(Duration::from_millis(5));
        stream.write_all(b"\r\n0\r\n\r\n")
    });
    let transport = server.transport();

    for _ in 0..3 {
        let (_, reply) = send(&transport, request()).await.expect("a stream");
        assert!(matches!(reply, Reply::Message(_)), "{reply:?}");
    }

    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn early_hints_before_the_head_are_ignored() {
    let server = Server::start(|stream, _| {
        stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")?;
        whole(stream, "200 OK", "", b"{}")
    });

    let (head, _) = send(&server.transport(), request()).await.expect("an answer");

    assert_eq!(head.status, 200);
}

#[tokio::test]
async fn compressed_answers_are_read() {
    let mut config = Server::start(gzipped).config_after();
    config.1.max_response_bytes = 2_000_000;

    let (_, chunks) = body(&transport(config.1), request()).await.expect("an answer");

    assert!(chunks.len() > 1_000_000);
    assert!(chunks.starts_with(br#"{"type":"message","content":[{"type":"text","text":"aaaa"#));
}

#[tokio::test]
async fn a_small_body_that_unpacks_to_a_large_body_is_cut_off() {
    let mut config = Server::start(gzipped).config_after();
    config.1.max_response_bytes = 100_000;

    let error = body(&transport(config.1), request()).await.expect_err("more than allowed");

    assert_eq!((error.kind, error.maybe_sent), (WireErrorKind::TooLarge, true));
}

#[tokio::test]
async fn an_endless_body_is_cut_off() {
    let server = Server::start(|stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        loop {
            stream.write_all(&[b'a'; 4096])?;
        }
    });
    let mut config = server.config();
    config.max_response_bytes = 100_000;

    let error = body(&transport(config), request()).await.expect_err("more than allowed");

    assert_eq!(error.kind, WireErrorKind::TooLarge);
}

#[tokio::test]
async fn an_endless_error_body_is_cut_off_and_gives_the_error() {
    let server = Server::start(|stream, _| {
        stream.write_all(b"HTTP/1.1 500 Oh\r\n\r\nit broke ")?;
        loop {
            stream.write_all(&[b'a'; 4096])?;
        }
    });

    let (head, reply) = send(&server.transport(), request()).await.expect("an error of the server");

    assert_eq!(head.status, 500);
    let Reply::Error { failure, .. } = reply else { panic!("not an error: {reply:?}") };
    assert!(failure.message.starts_with("it broke aaaa") && failure.message.len() < 5000);
}

// Failures.

#[tokio::test]
async fn a_request_to_a_closed_port_is_reported_as_not_sent() {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");

    let error = failure(&transport(config(&format!("http://{address}")))).await;

    assert_eq!((error.kind, error.maybe_sent), (WireErrorKind::Connect, false), "{error}");
    assert!(error.message.contains(&address.to_string()), "{error}");
}

#[tokio::test]
async fn faults_of_a_proxy_name_the_proxy_and_have_different_kinds() {
    let wants_password = Server::start(|stream, _| whole(stream, "407 Proxy Authentication Required", "", b"who?"));
    let refuses = Server::start(|stream, _| whole(stream, "403 Forbidden", "", b"not there"));
    let hangs_up = Server::start(|_, _| hang_up());
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        format!("http://{}", listener.local_addr().expect("a bound address"))
    };
    let (tls, plain) = ("https://api.example.invalid", "http://api.example.invalid");
    let with_password = |url: &str| url.replace("http://", "http://me:hunter2-hunter2@");
    for (server, proxy, kind, told) in [
        (tls, wants_password.url(), WireErrorKind::ProxyAuth, "wants a user name and a password"),
        (tls, with_password(&wants_password.url()), WireErrorKind::ProxyAuth, "refused the user name and password"),
        (plain, wants_password.url(), WireErrorKind::ProxyAuth, "wants a user name and a password"),
        (plain, with_password(&wants_password.url()), WireErrorKind::ProxyAuth, "refused the user name and password"),
        (tls, refuses.url(), WireErrorKind::Proxy, "did not connect to https://api.example.invalid"),
        (tls, hangs_up.url(), WireErrorKind::Proxy, "could not connect to the proxy "),
        (tls, nobody.clone(), WireErrorKind::Proxy, "could not connect to the proxy "),
        (plain, nobody.clone(), WireErrorKind::Proxy, "could not connect to the proxy "),
        (tls, "http://proxy.example.invalid:3128".to_owned(), WireErrorKind::Proxy, "could not connect to the proxy "),
        (
            plain,
            "http://proxy.example.invalid:3128".to_owned(),
            WireErrorKind::Proxy,
            "could not connect to the proxy ",
        ),
    ] {
        let error = failure(&transport(through(server, &proxy))).await;

        let address = proxy.replace("me:hunter2-hunter2@", "");
        assert_eq!((error.kind, error.maybe_sent), (kind, false), "{server} {proxy}: {error}");
        assert!(error.message.contains(&format!("the proxy {address}")) && error.message.contains(told), "{error}");
        assert!(!error.message.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn a_server_behind_a_working_proxy_is_not_the_proxys_fault() {
    let opens = Server::start(|stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        hang_up()
    });
    let passes_on = Server::start(|stream, _| whole(stream, "502 Bad Gateway", "", b"no such server"));

    let broken = failure(&transport(through("https://api.example.invalid", &opens.url()))).await;
    let (head, _) =
        send(&transport(through("http://api.example.invalid", &passes_on.url())), request()).await.expect("a reply");

    assert_eq!(broken.kind, WireErrorKind::Connect, "{broken}");
    assert!(broken.message.contains(&format!("api.example.invalid through proxy {}", opens.url())), "{broken}");
    assert_eq!(head.status, 502);
}

#[tokio::test]
async fn a_request_to_an_unknown_name_is_reported_as_not_sent() {
    let error = failure(&transport(config("https://example.invalid"))).await;

    assert_eq!((error.kind, error.maybe_sent), (WireErrorKind::Connect, false), "{error}");
    assert!(error.message.contains("https://example.invalid"), "{error}");
}

#[tokio::test]
async fn a_request_was_possibly_sent_if_its_connection_is_closed_before_the_head() {
    let server = Server::start(|_, _| Err(std::io::ErrorKind::ConnectionAborted.into()));

    let error = failure(&server.transport()).await;

    assert_eq!((error.kind, error.maybe_sent), (WireErrorKind::Broken, true), "{error}");
}

#[tokio::test]
async fn one_send_is_one_request() {
    let server = Server::start(|_, _| Err(std::io::ErrorKind::ConnectionAborted.into()));

    failure(&server.transport()).await;

    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_reply_without_a_head_is_broken() {
    for head in ["SSH-2.0-OpenSSH_9.9\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\nbad header\r\n\r\n"] {
        let server = Server::start(move |stream, _| {
            stream.write_all(head.as_bytes())?;
            hang_up()
        });

        let error = failure(&server.transport()).await;

        assert_eq!((error.kind, error.maybe_sent), (WireErrorKind::Broken, true), "{head:?}: {error}");
    }
}

#[tokio::test]
async fn a_body_cut_short_is_broken() {
    let heads = ["content-length: 100\r\n", "transfer-encoding: chunked\r\n"];
    for head in heads {
        let server = Server::start(move |stream, _| {
            write!(stream, "HTTP/1.1 200 OK\r\n{head}\r\n5\r\nhello\r\n")?;
            hang_up()
        });

        let error = body(&server.transport(), request()).await.expect_err("cut short");

        assert_eq!((error.kind, error.maybe_sent), (WireErrorKind::Broken, true), "{head:?}: {error}");
    }
}

#[tokio::test]
async fn an_error_body_cut_short_gives_its_bytes_and_then_the_failure() {
    let server = Server::start(|stream, _| {
        stream.write_all(b"HTTP/1.1 529 Overloaded\r\ncontent-length: 100\r\n\r\nhalf")?;
        hang_up()
    });
    let transport = server.transport();
    let mut exchange = transport.send(request()).await.expect("a head");

    let first = exchange.chunk().await.expect("what came");
    let second = exchange.chunk().await.expect_err("then the failure");
    let third = exchange.chunk().await.expect("then the end");

    assert_eq!((exchange.head().status, first, third), (529, Some(Bytes::from_static(b"half")), None));
    assert_eq!(second.kind, WireErrorKind::Broken);
}

#[tokio::test]
async fn a_head_that_never_comes_is_a_timeout() {
    let server = Server::start(|stream, _| until_client_hangs_up(stream));
    let mut config = server.config();
    config.timeout = SOON;

    let error = failure(&transport(config)).await;

    assert_eq!((error.kind, error.maybe_sent), (WireErrorKind::Timeout, true), "{error}");
}

#[tokio::test]
async fn a_body_that_stalls_is_idle() {
    let server = Server::start(|stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello")?;
        until_client_hangs_up(stream)
    });
    let mut config = server.config();
    config.idle_timeout = SOON;

    let error = body(&transport(config), request()).await.expect_err("a stall");

    assert_eq!((error.kind, error.maybe_sent), (WireErrorKind::Idle, true), "{error}");
}

#[tokio::test]
async fn a_body_that_arrives_slowly_for_ever_is_a_timeout() {
    let server = Server::start(|stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        loop {
            stream.write_all(b".")?;
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let mut config = server.config();
    config.timeout = SOON;

    let error = body(&transport(config), request()).await.expect_err("no end");

    assert_eq!(error.kind, WireErrorKind::Timeout, "{error}");
}

#[tokio::test]
async fn silence_before_the_head_is_not_a_stall() {
    let server = Server::start(|stream, _| {
        std::thread::sleep(Duration::from_millis(50));
        whole(stream, "200 OK", "", b"{}")
    });
    let mut config = server.config();
    config.idle_timeout = Duration::from_millis(1);

    let head = transport(config).send(request()).await.map(|exchange| exchange.head().status);

    assert_eq!(head.expect("a head"), 200);
}

// Large transfers.

#[tokio::test]
async fn a_body_from_a_source_is_sent_in_pieces_with_its_length() {
    let (url, server) = accept_one(|mut stream| {
        let (head, body) = read_upload(&mut stream, u64::MAX);
        whole(&mut stream, "200 OK", "", b"{}").expect("the client reads");
        (head, body)
    });
    let source = Arc::new(Pattern::new(5_000_017));

    send(&transport(config(&url)), upload(&source)).await.expect("an answer");

    let (head, body) = server.join().expect("the server ends");
    assert!(head.contains("content-length: 5000017\r\n") && !head.contains("transfer-encoding"), "{head}");
    assert_eq!(body.len(), 5_000_017);
    assert!(body.iter().enumerate().all(|(at, byte)| *byte == Pattern::byte(at as u64)));
    let largest = source.largest_read.load(Ordering::Relaxed);
    assert!((64 << 10..=256 << 10).contains(&largest), "{largest} bytes at a time");
}

#[tokio::test]
async fn a_source_that_can_not_be_read_ends_the_request_unsent() {
    for (is_short, told) in [(false, "the disk is gone"), (true, "the body has become shorter")] {
        let (url, server) = accept_one(|mut stream| read_upload(&mut stream, u64::MAX));
        let source = Arc::new(Pattern { stops_at: 3_000_000, is_short, ..Pattern::new(5_000_000) });

        let error = transport(config(&url)).send(upload(&source)).await.expect_err("the source fails");

        assert_eq!((error.kind, error.maybe_sent), (WireErrorKind::Broken, false), "{error}");
        assert!(error.message.contains("could not be read") && error.message.contains(told), "{error}");
        let (head, body) = server.join().expect("the server ends");
        assert!(head.contains("content-length: 5000000\r\n"), "{head}");
        assert!(body.len() < 3_000_000, "{} bytes", body.len());
    }
}

#[tokio::test]
async fn an_upload_that_the_server_cuts_off_was_not_sent() {
    let (url, server) = accept_one(|mut stream| read_upload(&mut stream, 100_000));
    let source = Arc::new(Pattern::new(64 << 20));

    let error = transport(config(&url)).send(upload(&source)).await.expect_err("the server hangs up");

    assert_eq!((error.kind, error.maybe_sent), (WireErrorKind::Broken, false), "{error}");
    server.join().expect("the server ends");
}

#[tokio::test]
async fn a_stalled_upload_is_idle_and_most_of_its_source_was_never_read() {
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let (url, server) = accept_one(move |mut stream| {
        read_upload(&mut stream, 1);
        let _ = held.recv();
    });
    let source = Arc::new(Pattern::new(256 << 20));
    let mut config = config(&url);
    config.idle_timeout = SOON;

    let error = transport(config).send(upload(&source)).await.expect_err("the server does not read");

    assert_eq!((error.kind, error.maybe_sent), (WireErrorKind::Idle, false), "{error}");
    let read = source.read_to.load(Ordering::Relaxed);
    assert!(read < 64 << 20, "{read} bytes were read");
    drop(hold);
    server.join().expect("the server ends");
}

#[tokio::test]
async fn the_time_limit_of_an_upload_begins_when_it_is_sent() {
    let (url, _) = accept_one(|mut stream| {
        read_upload(&mut stream, 1);
        std::thread::sleep(Duration::from_millis(1_200));
        read_upload(&mut stream, u64::MAX);
        whole(&mut stream, "200 OK", "", b"{}").expect("the client reads");
        until_client_hangs_up(&mut stream)
    });
    let source = Arc::new(Pattern::new(24 << 20));
    let mut config = config(&url);
    config.timeout = Duration::from_secs(1);

    let (head, _) = body(&transport(config), upload(&source)).await.expect("an answer");

    assert_eq!(head.status, 200);
}

#[tokio::test]
async fn an_upload_without_an_answer_is_a_timeout_and_was_possibly_sent() {
    let (url, _) = accept_one(|mut stream| {
        read_upload(&mut stream, 1_000_000);
        until_client_hangs_up(&mut stream)
    });
    let mut config = config(&url);
    config.timeout = SOON;

    let sent = transport(config).send(upload(&Arc::new(Pattern::new(1_000_000)))).await;

    let error = sent.expect_err("no answer");
    assert_eq!((error.kind, error.maybe_sent), (WireErrorKind::Timeout, true), "{error}");
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_an_upload_is_the_answer() {
    let (url, _) = accept_one(|mut stream| {
        read_upload(&mut stream, 1);
        whole(&mut stream, "413 Too Large", "", b"{}").expect("the client reads");
        let _ = until_client_hangs_up(&mut stream);
    });

    let (head, _) = body(&transport(config(&url)), upload(&Arc::new(Pattern::new(24 << 20)))).await.expect("an answer");

    assert_eq!(head.status, 413);
}

#[tokio::test]
async fn a_bulk_response_can_be_larger_and_take_longer_than_a_usual_response() {
    let server = Server::start(|stream, _| {
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n")?;
        stream.write_all(&[b'a'; 1_500_000])?;
        std::thread::sleep(Duration::from_millis(300));
        stream.write_all(&[b'b'; 1_500_000])
    });
    let mut config = server.config();
    (config.max_response_bytes, config.timeout) = (10_000, SOON);
    let transport = transport(config);

    let (_, bulk) = body(&transport, bulk()).await.expect("all bytes");
    let error = body(&transport, request()).await.expect_err("more than allowed");

    assert_eq!((bulk.len(), bulk[1_499_999], bulk[1_500_000]), (3_000_000, b'a', b'b'));
    assert_eq!(error.kind, WireErrorKind::TooLarge);
}

#[tokio::test]
async fn a_bulk_response_must_not_stall_and_its_head_must_come_in_time() {
    let stalls = Server::start(|stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhello")?;
        until_client_hangs_up(stream)
    });
    let silent = Server::start(|stream, _| until_client_hangs_up(stream));
    let (mut impatient, mut hasty) = (stalls.config(), silent.config());
    (impatient.idle_timeout, hasty.timeout) = (SOON, SOON);

    let stall = body(&transport(impatient), bulk()).await.expect_err("a stall");
    let silence = body(&transport(hasty), bulk()).await.expect_err("no head");

    assert_eq!((stall.kind, silence.kind), (WireErrorKind::Idle, WireErrorKind::Timeout));
}

#[tokio::test]
async fn the_error_of_a_bulk_request_is_as_short_as_any_error() {
    let server = Server::start(|stream, _| whole(stream, "404 Not Found", "", &[b'a'; 2_000_000]));

    let (head, body) = body(&server.transport(), bulk()).await.expect("an error of the server");

    assert_eq!(head.status, 404);
    assert!(body.len() < 200_000, "{} bytes", body.len());
}

#[cfg(feature = "sim")]
#[tokio::test]
async fn a_source_is_sent_over_http2_too() {
    use claude_batch::sim::{config::SimConfig, presets, server::SimServer};
    let address = "127.0.0.1:0".parse().expect("an address");
    let (server, _) = SimServer::serve(SimConfig::new(presets::models()), address).await.expect("a free port");
    let mut config = config(server.url());
    config.http2 = true;
    let (good, bad) = (Pattern::new(5_000_000), Pattern { stops_at: 3_000_000, ..Pattern::new(5_000_000) });

    let (head, answer) = body(&transport(config.clone()), upload(&Arc::new(good))).await.expect("an answer");
    let error = transport(config).send(upload(&Arc::new(bad))).await.expect_err("the source fails");

    // The body arrived completely, but it is not JSON.
    assert_eq!(head.status, 400);
    assert!(String::from_utf8_lossy(&answer).contains("not valid JSON"));
    assert_eq!((error.kind, error.maybe_sent), (WireErrorKind::Broken, false), "{error}");
    assert!(error.message.contains("the disk is gone"), "{error}");
}

// TLS.

#[tokio::test]
async fn plain_text_instead_of_tls_is_a_fault_that_halts_the_run() {
    let server = Server::start(|stream, _| whole(stream, "400 Bad Request", "", b"speak plainly"));
    let url = server.url().replace("http:", "https:");
    server.speak_first(b"HTTP/1.1 400 Bad Request\r\n\r\n");

    let error = failure(&transport(config(&url))).await;

    assert_eq!((error.kind, error.maybe_sent), (WireErrorKind::Tls, false), "{error}");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    let url = tls_server();

    let error = failure(&transport(config(&url))).await;

    assert_eq!((error.kind, error.maybe_sent), (WireErrorKind::Tls, false), "{error}");
    assert!(error.message.contains("certificate"), "{error}");
}

/// Runs only on Linux: the certificate verifiers of other systems reject a simple test certificate.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_certificate_that_the_user_gives_is_trusted() {
    let mut config = config(&tls_server());
    config.ca_pem = Some(std::fs::read(exchange::folder().join("tls/localhost.pem")).expect("the certificate"));

    let (head, _) = body(&transport(config), request()).await.expect("an answer over TLS");

    assert_eq!(head.status, 200);
}

// The key.

#[tokio::test]
async fn a_key_that_the_server_echoes_is_among_the_secrets() {
    let server = Server::start(|stream, _| {
        let text =
            format!(r#"{{"type":"error","error":{{"type":"authentication_error","message":"no such key {KEY}"}}}}"#);
        write!(stream, "HTTP/1.1 401 No\r\ncontent-length: {}\r\n\r\n", text.len())?;
        let (first, second) = text.as_bytes().split_at(text.len() - 10);
        stream.write_all(first)?;
        stream.flush()?;
        std::thread::sleep(Duration::from_millis(5));
        stream.write_all(second)
    });
    let mut config = server.config();
    config.authorization = Credential::Bearer(KEY.into()).into();

    let transport = transport(config);
    let (_, body) = body(&transport, request()).await.expect("an error of the server");

    let mut text = String::from_utf8_lossy(&body).into_owned();
    transport.secrets().clean(&mut text);
    assert!(text.contains("no such key [key]"), "{text}");
}

#[tokio::test]
async fn no_failure_names_the_key_or_the_path() {
    let closing = Server::start(|_, _| Err(std::io::ErrorKind::ConnectionAborted.into()));
    let silent = Server::start(|stream, _| until_client_hangs_up(stream));
    let mut impatient = silent.config();
    impatient.timeout = SOON;
    let transports = [
        closing.transport(),
        transport(impatient),
        transport(config("http://127.0.0.1:1")),
        transport(config("https://example.invalid")),
        transport(config(&tls_server())),
    ];
    for transport in transports {
        let error = failure(&transport).await;

        let shown = format!("{error} {error:?} {transport:?}");
        assert!(!shown.contains("canary") && !shown.contains("/v1/messages"), "{shown}");
    }
}

// Helpers.

type Script = dyn Fn(&mut TcpStream, &str) -> std::io::Result<()> + Send + Sync;

/// A server on its own thread. The server answers each request with its script, and closes the connection when the
/// script fails.
struct Server {
    address: SocketAddr,
    log: Arc<Mutex<Log>>,
}

#[derive(Default)]
struct Log {
    requests: Vec<String>,
    connections: usize,
    greeting: Vec<u8>,
}

impl Server {
    fn start(script: impl Fn(&mut TcpStream, &str) -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let log = Arc::new(Mutex::new(Log::default()));
        let (script, shared): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&log));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (script, log) = (Arc::clone(&script), Arc::clone(&shared));
                std::thread::spawn(move || connection(stream, &*script, &log));
            }
        });
        Self { address, log }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn config(&self) -> HttpConfig {
        config(&self.url())
    }

    /// Returns the server and a config for it, for tests that change only the config.
    fn config_after(self) -> (Self, HttpConfig) {
        let config = self.config();
        (self, config)
    }

    fn transport(&self) -> HttpTransport {
        transport(self.config())
    }

    /// Makes the server send `greeting` to each client that connects, before the server reads anything.
    fn speak_first(&self, greeting: &[u8]) {
        self.log.lock().expect("no test panics in it").greeting = greeting.to_vec();
    }

    fn requests(&self) -> Vec<String> {
        self.log.lock().expect("no test panics in it").requests.clone()
    }

    fn connections(&self) -> usize {
        self.log.lock().expect("no test panics in it").connections
    }
}

fn connection(mut stream: TcpStream, script: &Script, log: &Mutex<Log>) {
    let greeting = {
        let mut log = log.lock().expect("no test panics in it");
        log.connections += 1;
        log.greeting.clone()
    };
    if !greeting.is_empty() && stream.write_all(&greeting).is_err() {
        return;
    }
    while let Some(request) = read_request(&mut stream) {
        log.lock().expect("no test panics in it").requests.push(request.clone());
        if script(&mut stream, &request).is_err() {
            return;
        }
    }
}

/// Reads the head of a request (request line and headers), and then a body of the length that the head gives. Returns
/// `None` when the client disconnects.
fn read_request(stream: &mut impl Read) -> Option<String> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return None,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
        }
    }
}

fn whole(stream: &mut impl Write, status: &str, headers: &str, body: &[u8]) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len())?;
    stream.write_all(body)
}

fn gzipped(stream: &mut TcpStream, _: &str) -> std::io::Result<()> {
    let packed = std::fs::read(exchange::folder().join("bomb.json.gz"))?;
    whole(stream, "200 OK", "content-encoding: gzip\r\n", &packed)
}

fn hang_up() -> std::io::Result<()> {
    Err(std::io::ErrorKind::ConnectionAborted.into())
}

fn until_client_hangs_up(stream: &mut TcpStream) -> std::io::Result<()> {
    while stream.read(&mut [0; 64])? > 0 {}
    Ok(())
}

/// A request body whose bytes follow a pattern, so that the body needs no memory.
#[derive(Debug)]
struct Pattern {
    bytes: u64,
    /// The position at which the readable part of the body ends.
    stops_at: u64,
    /// Whether a read beyond `stops_at` finds the end of the body. If `is_short` is false, a read beyond `stops_at`
    /// fails.
    is_short: bool,
    read_to: AtomicU64,
    largest_read: AtomicUsize,
}

impl Pattern {
    fn new(bytes: u64) -> Self {
        let (read_to, largest_read) = (AtomicU64::new(0), AtomicUsize::new(0));
        Self { bytes, stops_at: bytes, is_short: false, read_to, largest_read }
    }

    fn byte(at: u64) -> u8 {
        (at * 31 + at / 65_536) as u8
    }
}

impl BodySource for Pattern {
    fn len(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        if offset >= self.stops_at && !self.is_short {
            return Err(std::io::Error::other("the disk is gone"));
        }
        let count = (self.stops_at - offset).min(buffer.len() as u64) as usize;
        buffer[..count].iter_mut().zip(offset..).for_each(|(byte, at)| *byte = Self::byte(at));
        self.largest_read.fetch_max(buffer.len(), Ordering::Relaxed);
        self.read_to.fetch_max(offset + count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

fn upload(source: &Arc<Pattern>) -> WireRequest {
    WireRequest { body: Body::from_source(source.clone()), ..request() }
}

fn bulk() -> WireRequest {
    WireRequest { method: Method::GET, body: Body::default(), transfer: Transfer::Bulk, ..request() }
}

/// Starts a server for one connection. Returns the URL of the server, and the thread that returns the result of
/// `script`.
fn accept_one<T: Send + 'static>(
    script: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (String, std::thread::JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("a bound address"));
    (url, std::thread::spawn(move || script(listener.accept().expect("a client").0)))
}

/// Reads the head of a request (request line and headers), and at most `most` bytes of the body. If the body is shorter
/// than `most` bytes or breaks off, fewer bytes are read. If the head was already read, only bytes of the body are
/// read.
fn read_upload(stream: &mut TcpStream, most: u64) -> (String, Vec<u8>) {
    let mut bytes = vec![0; 64 << 10];
    let (mut head, mut body) = (String::new(), Vec::new());
    let mut left = most;
    while left > 0 {
        let room = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let Ok(count @ 1..) = stream.read(&mut bytes[..room]) else { break };
        body.extend_from_slice(&bytes[..count]);
        left = left.saturating_sub(count as u64);
        if head.is_empty()
            && let Some(end) = body.windows(4).position(|four| four == b"\r\n\r\n")
        {
            head = String::from_utf8_lossy(&body[..end + 2]).into_owned();
            body.drain(..end + 4);
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<u64>().ok());
            left = length.unwrap_or(0).min(most) - body.len() as u64;
        }
    }
    (head, body)
}

/// Starts a server with a self-signed certificate. Returns the URL of the server.
fn tls_server() -> String {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = exchange::folder().join("tls");
    let certificate = CertificateDer::from_pem_file(folder.join("localhost.pem")).expect("the certificate");
    let key = std::fs::read(folder.join("localhost.key.der")).expect("its key");
    let key = PrivateKeyDer::try_from(key).expect("a PKCS #8 key");
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key);
    let config = Arc::new(config.expect("the key fits the certificate"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).expect("a valid configuration");
            let mut stream = rustls::StreamOwned::new(connection, stream);
            if read_request(&mut stream).is_some() {
                let _ = whole(&mut stream, "200 OK", "connection: close\r\n", b"{}");
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    format!("https://{address}")
}

/// Returns a config with time limits so long that no test reaches them. A test can set shorter limits.
fn config(url: &str) -> HttpConfig {
    let base_url = parse_base_url(url, false).expect("a URL that is allowed");
    let mut config = HttpConfig::new(base_url, Credential::ApiKey(KEY.into()));
    config.timeout = HOUR;
    config.idle_timeout = HOUR;
    config
}

/// Returns a config with the time limits of [`config`] and with this proxy.
fn through(server: &str, proxy: &str) -> HttpConfig {
    let base_url = parse_base_url(server, true).expect("a URL that is allowed");
    let asked = if base_url.is_https() { "HTTPS_PROXY" } else { "HTTP_PROXY" };
    let proxy = proxy_for(&base_url, |name| (name == asked).then_some(proxy.as_ref())).expect("a proxy's address");
    let mut config = HttpConfig::new(base_url, Credential::ApiKey(KEY.into()));
    (config.timeout, config.idle_timeout, config.proxy) = (HOUR, HOUR, proxy);
    config
}

fn transport(config: HttpConfig) -> HttpTransport {
    HttpTransport::new(config).expect("a transport")
}

fn route() -> Arc<PoolId> {
    let class = ModelClass("haiku-4.5".into());
    Arc::new(PoolId { provider: "anthropic".into(), account: "".into(), class, speed: Speed::Standard })
}

fn request() -> WireRequest {
    let headers = [("anthropic-version", "2023-06-01"), ("content-type", "application/json")];
    let headers =
        headers.into_iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
    WireRequest {
        route: route(),
        method: Method::POST,
        path: "/v1/messages".into(),
        headers: headers.collect(),
        body: Body::plain(Bytes::from_static(b"{\"model\":\"m\"}")),
        is_stream: false,
        transfer: Transfer::Usual,
    }
}

async fn body(transport: &HttpTransport, request: WireRequest) -> Result<(ReplyHead, Vec<u8>), WireError> {
    let mut exchange = transport.send(request).await?;
    let mut body = Vec::new();
    while let Some(chunk) = exchange.chunk().await? {
        body.extend_from_slice(&chunk);
    }
    Ok((exchange.head().clone(), body))
}

async fn send(transport: &HttpTransport, request: WireRequest) -> Result<(ReplyHead, Reply), WireError> {
    let mut exchange = transport.send(request).await?;
    let mut decoder = exchange::provider().decoder(exchange.head());
    while let Some(chunk) = exchange.chunk().await? {
        if decoder.push(&chunk) {
            exchange.drain().await;
            break;
        }
    }
    let head = exchange.head().clone();
    let reply = decoder.finish(&head, &exchange::asked());
    Ok((head, reply))
}

async fn verdict(transport: &HttpTransport, request: WireRequest) -> Verdict {
    let (head, reply) = send(transport, request).await.expect("a reply");
    exchange::provider().judge(&head, reply, &RateSignals::default())
}

async fn failure(transport: &HttpTransport) -> WireError {
    transport.send(request()).await.expect_err("no head comes")
}
