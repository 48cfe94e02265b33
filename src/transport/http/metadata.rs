//! Asks the metadata server of Google Cloud for the token of the machine's service account.
//!
//! Only this module is allowed to use plain `http` to another machine. The metadata server has no TLS. Plain `http` is
//! safe here, because the server is on the host of the virtual machine. Requests are sent only to the name of the
//! metadata server. In tests, requests can also go to a server on this machine (`GCE_METADATA_HOST`). This module can't
//! access the keys, headers and proxies of providers. This module does not follow redirects.
//!
//! Source: Google Cloud documentation, "About VM metadata" and "Authenticate workloads with the metadata server"
//! (2026-11-26).

use std::time::Duration;

use http::HeaderName;
use tokio::runtime::Builder;
use zeroize::Zeroizing;

use super::faults::described;
use super::names::Names;
use crate::transport::parse_base_url;

const NAME: &str = "metadata.google.internal";
const PATH: &str = "/computeMetadata/v1/instance/service-accounts/default/token";
/// The header that requests to the metadata server must have. The server's answers also have this header.
const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
const GOOGLE: &str = "Google";
/// The time limit of a request to the metadata server. The metadata server is on the same host, so it answers quickly.
/// Outside of Google Cloud, there is no answer.
const PATIENCE: Duration = Duration::from_secs(5);
const MOST_BYTES: usize = 64 * 1024;

/// The reason why there is no token from the metadata server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MetadataFault {
    /// The server in the variable `GCE_METADATA_HOST` is not allowed.
    #[error("GCE_METADATA_HOST must be {NAME} or a server on this machine, such as 127.0.0.1:8080")]
    Host,
    /// There is no metadata server, or the metadata server does not answer.
    #[error("the metadata server can't be reached: {0}")]
    Unreachable(String),
    /// The machine has no service account.
    #[error("the metadata server knows no service account of this machine")]
    NoAccount,
    /// The server refused the request.
    #[error("the metadata server answered with status {0}")]
    Status(u16),
    /// The answer lacks the header of a metadata server, or is too large.
    #[error("the answer does not come from a metadata server of Google Cloud")]
    Other,
}

/// Returns the answer of the metadata server: a JSON object with the token and its remaining life. `host` is the value
/// of `GCE_METADATA_HOST`. This function blocks its thread for at most five seconds, so it must not be called inside an
/// asynchronous runtime.
///
/// # Errors
/// Any [`MetadataFault`].
pub(crate) fn google_token(host: Option<&str>) -> Result<Zeroizing<Vec<u8>>, MetadataFault> {
    let host = host.filter(|host| !host.is_empty()).unwrap_or(NAME);
    let url = format!("{}{PATH}", root(host)?);
    let client = client(host).map_err(|error| MetadataFault::Unreachable(described(&error)))?;
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| MetadataFault::Unreachable(error.to_string()))?;
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(&client, &url)).await });
    // The lookup of a host name can block for a long time, and dropping the runtime would wait for the end of the
    // lookup.
    runtime.shutdown_background();
    let silent =
        || MetadataFault::Unreachable(format!("the metadata server did not answer within {} s", PATIENCE.as_secs()));
    answer.unwrap_or_else(|_| Err(silent()))
}

/// Returns the scheme, host and port of the metadata server.
fn root(host: &str) -> Result<String, MetadataFault> {
    if host == NAME {
        return Ok(format!("http://{NAME}"));
    }
    let url = parse_base_url(&format!("http://{host}"), false).map_err(|_| MetadataFault::Host)?;
    if !url.is_loopback() || host.contains(['/', '@', '?', '#']) {
        return Err(MetadataFault::Host);
    }
    Ok(url.origin().to_owned())
}

fn client(host: &str) -> Result<reqwest::Client, reqwest::Error> {
    // The client needs a TLS provider, although it uses no TLS. If a TLS provider was already installed, this call
    // fails, and the failure is ignored.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never().max_retries_per_request(0))
        .tls_certs_only([])
        .http1_only()
        .no_proxy();
    // `Names` is not used for the metadata server, because `Names` rejects that server's address.
    if host == NAME { builder } else { builder.dns_resolver(Names) }.build()
}

async fn ask(client: &reqwest::Client, url: &str) -> Result<Zeroizing<Vec<u8>>, MetadataFault> {
    let unreachable = |error: reqwest::Error| MetadataFault::Unreachable(described(&error));
    let mut answer = client.get(url).header(FLAVOR, GOOGLE).send().await.map_err(unreachable)?;
    if answer.headers().get(FLAVOR).is_none_or(|flavor| flavor != GOOGLE) {
        return Err(MetadataFault::Other);
    }
    match answer.status().as_u16() {
        200 => {}
        404 => return Err(MetadataFault::NoAccount),
        status => return Err(MetadataFault::Status(status)),
    }
    let mut body = Zeroizing::new(Vec::with_capacity(MOST_BYTES));
    while let Some(piece) = answer.chunk().await.map_err(unreachable)? {
        if body.len() + piece.len() > MOST_BYTES {
            return Err(MetadataFault::Other);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Starts a server that answers one request with this text. Returns the address of the server, and a thread that
    /// returns the request.
    fn server(answer: String) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let (mut request, mut piece) = (Vec::new(), [0; 1024]);
            while !request.ends_with(b"\r\n\r\n") {
                let bytes = stream.read(&mut piece).expect("a request");
                request.extend_from_slice(&piece[..bytes]);
            }
            // The failure is ignored, because the client may have closed the connection before the end of the answer.
            let _ = stream.write_all(answer.as_bytes());
            String::from_utf8_lossy(&request).to_lowercase()
        });
        (address, thread)
    }

    fn answer(head: &str, body: &str) -> String {
        format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    }

    #[test]
    fn the_token_is_asked_for_with_the_header_of_google() {
        let body = r#"{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}"#;
        let (address, request) = server(answer("200 OK\r\nMetadata-Flavor: Google", body));

        let token = google_token(Some(&address)).expect("there is a token");

        assert_eq!(*token, body.as_bytes());
        let request = request.join().expect("no panic");
        assert!(request.starts_with(&format!("get {} http/1.1\r\n", PATH.to_lowercase())), "{request}");
        assert!(request.contains("metadata-flavor: google\r\n"), "{request}");
    }

    #[test]
    fn an_answer_that_is_not_of_google_is_refused() {
        let large = "x".repeat(MOST_BYTES + 1);
        for (answer, fault) in [
            (answer("200 OK", "{}"), MetadataFault::Other),
            (answer("200 OK\r\nmetadata-flavor: Google", &large), MetadataFault::Other),
            (answer("404 No\r\nmetadata-flavor: Google", ""), MetadataFault::NoAccount),
            (answer("503 No\r\nmetadata-flavor: Google", ""), MetadataFault::Status(503)),
            (
                answer("302 Go\r\nmetadata-flavor: Google\r\nlocation: http://127.0.0.1:1/", ""),
                MetadataFault::Status(302),
            ),
        ] {
            let (address, request) = server(answer);

            assert_eq!(google_token(Some(&address)).expect_err("no token"), fault);
            request.join().expect("no panic");
        }
    }

    #[test]
    fn only_the_metadata_server_and_this_machine_are_asked() {
        assert_eq!(root(NAME), Ok("http://metadata.google.internal".to_owned()));
        assert_eq!(root("localhost:8080"), Ok("http://localhost:8080".to_owned()));
        assert_eq!(root("[::1]:8080"), Ok("http://[::1]:8080".to_owned()));
        for host in [
            "gateway.example.invalid",
            "169.254.169.254",
            "10.0.0.1",
            "metadata.google.internal.example.invalid",
            "127.0.0.1:1/path",
            "127.0.0.1:1@gateway.example.invalid",
            "user@127.0.0.1",
            "https://127.0.0.1",
        ] {
            assert_eq!(root(host), Err(MetadataFault::Host), "{host}");
        }
    }

    #[test]
    fn a_server_that_is_not_there_is_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        drop(listener);

        assert!(matches!(google_token(Some(&address)), Err(MetadataFault::Unreachable(_))));
    }
}
