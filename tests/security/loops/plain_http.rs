//! Tests plain `http`, and everything that decides where a request goes: addresses in odd spellings, names, proxies,
//! and certificates.

use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use claude_batch::transport::{BaseUrlError, parse_base_url};

use super::super::hostile::{Asked, Hostile, Then, response};
use super::super::page::{Seen, Size};
use super::super::support::{CANARY, Folder, Said};

/// The password of a proxy.
const PASSWORD: &str = "hunter2-8d1c";

/// Runs this loop. Returns the results as lines for `benches/SECURITY.md`.
pub fn page(size: Size) -> Vec<Seen> {
    vec![
        Seen::new(
            "addresses in odd spellings",
            "link-local, metadata, unspecified and multicast addresses are refused; addresses of this machine are \
             recognized; plain `http` to other machines is refused",
            spellings(size.pick(4_000, 200_000)),
        ),
        Seen::new(
            "names under `localhost`",
            "each name means this machine, no matter what a resolver says",
            local_names(size.pick(6, 40)),
        ),
        Seen::new("addresses that a name resolves to", "nothing is sent to a forbidden address", resolved(size)),
        Seen::new(
            "proxy variables, with a proxy that counts requests",
            "each variable is used, ignored or refused (exit 2), as documented; no password is shown",
            proxies(size),
        ),
        Seen::new("variables for certificates", "a clear error before anything is sent", certificates()),
    ]
}

/// The class that the judge of this loop gives to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Refused,
    Local,
    Other,
}

fn kind(address: Ipv4Addr) -> Kind {
    match address.octets() {
        [0, ..]
        | [169, 254, ..]
        | [224..=239, ..]
        | [255, 255, 255, 255]
        | [100, 100, 100, 200]
        | [168, 63, 129, 16] => Kind::Refused,
        [192, 0, 0, 192] => Kind::Refused,
        [127, ..] => Kind::Local,
        _ => Kind::Other,
    }
}

fn spellings(count: usize) -> String {
    let seed = fastrand::u64(..);
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut seen = [0; 3];
    for _ in 0..count {
        let address = address(&mut rng);
        let (host, kind) = match rng.u8(..3) {
            0 => embedded(address, &mut rng),
            _ => (as_v4(address, &mut rng), kind(address)),
        };
        let port = if rng.bool() { String::new() } else { format!(":{}", rng.u16(1..)) };
        for (scheme, allow_http) in [("https", false), ("http", true), ("http", false)] {
            let url = format!("{scheme}://{host}{port}/v1");

            let found = parse_base_url(&url, allow_http);

            let is_right = match (kind, &found) {
                (Kind::Refused, Err(BaseUrlError::LinkLocal { .. } | BaseUrlError::Unfit { .. })) => true,
                (Kind::Refused | Kind::Other, Err(BaseUrlError::PlainHttp { .. })) => scheme == "http" && !allow_http,
                (Kind::Local, Ok(url)) => url.is_loopback(),
                (Kind::Other, Ok(url)) => !url.is_loopback() && (scheme == "https" || allow_http),
                _ => false,
            };
            assert!(is_right, "seed {seed}, {address}: {url}: {kind:?} {found:?}");
        }
        seen[kind as usize] += 1;
    }
    let [refused, local, other] = seen;
    assert!(refused > 0 && local > 0 && other > 0);
    format!("{count} spellings, each in 3 ways: {refused} refused, {local} of this machine, {other} of others")
}

fn address(rng: &mut fastrand::Rng) -> Ipv4Addr {
    let any = Ipv4Addr::from_bits(rng.u32(..));
    let [_, b, c, d] = any.octets();
    match rng.u8(..9) {
        0 => Ipv4Addr::new(169, 254, c, d),
        1 => Ipv4Addr::new(169, 254, 169, 254),
        2 => Ipv4Addr::new(127, b, c, d),
        3 => Ipv4Addr::new(0, b, c, d),
        4 => Ipv4Addr::new(rng.u8(224..240), b, c, d),
        5 => *rng.choice(&[Ipv4Addr::BROADCAST, Ipv4Addr::UNSPECIFIED, Ipv4Addr::LOCALHOST]).expect("some"),
        6 => Ipv4Addr::new(100, 100, 100, 200),
        7 => Ipv4Addr::new(10, b, c, d),
        _ => any,
    }
}

/// Returns an address in one of the spellings that a URL allows. The address has one to four numbers, each decimal,
/// octal or hexadecimal. The digits and dots can be fullwidth characters or percent-encoded. The address can end with a
/// dot.
fn as_v4(address: Ipv4Addr, rng: &mut fastrand::Rng) -> String {
    let octets = address.octets().map(u64::from);
    let parts = match rng.u8(..4) {
        0 => vec![u64::from(address.to_bits())],
        1 => vec![octets[0], octets[1] << 16 | octets[2] << 8 | octets[3]],
        2 => vec![octets[0], octets[1], octets[2] << 8 | octets[3]],
        _ => octets.to_vec(),
    };
    let dot = *rng.choice(&[".", ".", ".", "。", "．"]).expect("some");
    let numbers: Vec<String> = parts
        .iter()
        .map(|part| match rng.u8(..5) {
            0 => format!("0x{part:x}"),
            1 => format!("0X{part:X}"),
            2 => format!("0{part:o}"),
            3 => format!("0x0000{part:X}"),
            _ => format!("{part}"),
        })
        .collect();
    let end = if rng.u8(..5) == 0 { "." } else { "" };
    let text = format!("{}{end}", numbers.join(dot));
    let wide = |char: char| match char {
        '0'..='9' => char::from_u32('０' as u32 + (char as u32 - '0' as u32)).expect("a digit"),
        char => char,
    };
    match rng.u8(..4) {
        0 => text.chars().map(wide).collect(),
        1 => text
            .chars()
            .map(|char| if char.is_ascii_digit() { format!("%{:x}", char as u32) } else { char.to_string() })
            .collect(),
        _ => text,
    }
}

/// Returns either an IPv6 address that contains `address`, or an IPv6 address of a special kind.
fn embedded(address: Ipv4Addr, rng: &mut fastrand::Rng) -> (String, Kind) {
    let bits = u128::from(address.to_bits());
    let random = u128::from(rng.u64(..));
    let carried = match kind(address) {
        Kind::Local => Kind::Other,
        kind => kind,
    };
    let (bits, kind) = match rng.u8(..9) {
        0 => (0xffff << 32 | bits, kind(address)),
        1 => (0xffff << 48 | bits, carried),
        2 if bits > 1 => (bits, carried),
        3 => (0x64_ff9b << 96 | bits, carried),
        4 => (0x64_ff9b_0001 << 80 | (random & 0xffff_ffff_ffff) << 32 | bits, carried),
        5 => (0x2002 << 112 | bits << 80 | random, carried),
        6 => ((0xfe80 | u128::from(rng.u16(..0x40))) << 112 | random, Kind::Refused),
        7 => (0xff02 << 112 | random, Kind::Refused),
        _ => (*rng.choice(&[0, 1, 0xfd00_0ec2 << 96 | 0x254]).expect("some"), Kind::Refused),
    };
    let kind = if bits == 1 { Kind::Local } else { kind };
    let address = Ipv6Addr::from_bits(bits);
    let text = match rng.u8(..3) {
        0 => address.to_string(),
        1 => address.to_string().to_uppercase(),
        _ => address.segments().map(|segment| format!("{segment:04x}")).join(":"),
    };
    (format!("[{text}]"), kind)
}

/// Answers every request like an API that rejects the row. The program does not retry such a row.
fn refusing(asked: &Asked, connection: &mut std::net::TcpStream) -> std::io::Result<Then> {
    if asked.head.starts_with("CONNECT ") {
        return connection.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").map(|()| Then::Close);
    }
    let body = br#"{"type":"error","error":{"type":"invalid_request_error","message":"no"}}"#;
    connection.write_all(&response(400, &[], body)).map(|()| Then::Keep)
}

fn port(server: &Hostile) -> &str {
    server.url.rsplit(':').next().expect("the URL has a port")
}

fn local_names(count: usize) -> String {
    let seed = fastrand::u64(..);
    let mut rng = fastrand::Rng::with_seed(seed);
    let server = Hostile::new(refusing);
    let folder = Folder::with_rows(1);
    let mut names = vec!["localhost".to_owned(), "LocalHost.".to_owned(), "api.localhost".to_owned()];
    while names.len() < count {
        let labels =
            (0..rng.usize(1..4)).map(|_| (0..rng.usize(1..12)).map(|_| rng.alphanumeric()).collect::<String>());
        names.push(format!("{}.localhost{}", labels.collect::<Vec<_>>().join("."), if rng.bool() { "." } else { "" }));
    }
    for (at, name) in names.iter().enumerate() {
        let url = format!("http://{name}:{}", port(&server));
        let before = server.requests();
        let mut command = folder.command(&["run", "prompts.jsonl", "-o", &format!("r{at}.jsonl"), "--base-url", &url]);
        command.env("ANTHROPIC_API_KEY", CANARY).env("HTTP_PROXY", "http://127.0.0.1:1");

        let said = Said::of(command.output().expect("the program starts"));

        said.ends_with(3);
        assert_eq!(server.requests(), before + 1, "seed {seed}, {name}: {}", said.err);
    }
    format!("{} names, each reached this machine, none through the proxy that was set", names.len())
}

/// Host names in the hosts file of the test, their addresses, and the expected message.
#[cfg(target_os = "linux")]
const HOSTS: [(&str, &[&str], &str); 9] = [
    ("metadata.example.invalid", &["169.254.169.254"], "resolves to 169.254.169.254, a link-local address"),
    ("mixed.example.invalid", &["127.0.0.1", "169.254.169.254"], "a link-local address"),
    ("mapped.example.invalid", &["64:ff9b::a9fe:a9fe"], "a link-local address"),
    ("six.example.invalid", &["fe80::1"], "a link-local address"),
    ("zero.example.invalid", &["0.0.0.0"], "an unspecified address"),
    ("zero6.example.invalid", &["::"], "an unspecified address"),
    ("group.example.invalid", &["224.0.0.1"], "a multicast address"),
    ("cloud.example.invalid", &["100.100.100.200"], "a cloud's metadata address"),
    ("fine.example.invalid", &["127.0.0.1"], ""),
];

/// Runs the program with a hosts file that the test wrote. Skips the test if the operating system does not allow such a
/// file.
#[cfg(target_os = "linux")]
fn resolved(size: Size) -> String {
    let folder = Folder::with_rows(1);
    let lines = HOSTS
        .iter()
        .flat_map(|(name, addresses, _)| addresses.iter().map(move |address| format!("{address} {name}\n")));
    folder.write("hosts", &lines.chain(["192.0.2.1 poisoned.localhost\n".to_owned()]).collect::<String>());
    let server = Hostile::new(refusing);
    let run = |number: usize, url: &str| {
        let ours = folder.command(&[]);
        let mut command = std::process::Command::new("unshare");
        let script = "mount --bind hosts /etc/hosts && exec \"$0\" \"$@\"";
        command.args(["-m", "sh", "-c", script]).arg(ours.get_program());
        command
            .args(["run", "prompts.jsonl", "--base-url", url, "-o"])
            .arg(format!("r{number}.jsonl"))
            .arg("--allow-http");
        ours.get_envs().for_each(|(name, value)| {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        });
        command.current_dir(folder.path("")).env("ANTHROPIC_API_KEY", CANARY).stdin(std::process::Stdio::null());
        command.output().map(Said::of)
    };
    let can_mount = std::process::Command::new("unshare")
        .args(["-m", "sh", "-c", "mount --bind hosts /etc/hosts"])
        .current_dir(folder.path(""))
        .output();
    if !can_mount.is_ok_and(|output| output.status.success()) {
        return "not run: needs root and mounts of its own (unit tests of the resolver check the rules)".to_owned();
    }
    let schemes: &[&str] = size.pick(&["http"], &["http", "https"]);
    let (mut refused, mut number) = (0, 0);
    for (name, _, expected) in HOSTS.iter().filter(|(_, _, expected)| !expected.is_empty()) {
        for scheme in schemes {
            number += 1;
            let said = run(number, &format!("{scheme}://{name}:{}", port(&server))).expect("the program starts");

            said.ends_with(6).tells(&[expected, "where no API can be"]);
            refused += 1;
        }
    }
    assert_eq!(server.requests(), 0);
    for name in ["fine.example.invalid", "poisoned.localhost"] {
        number += 1;
        run(number, &format!("http://{name}:{}", port(&server))).expect("the program starts").ends_with(3);
    }
    assert_eq!(server.requests(), 2);
    format!(
        "{refused} runs with a hosts file: exit 6, 0 requests; a plain name and a poisoned `localhost` reached \
         this machine"
    )
}

#[cfg(not(target_os = "linux"))]
fn resolved(_size: Size) -> String {
    "not run: needs Linux (unit tests of the resolver check the rules)".to_owned()
}

/// The expected effect of environment variables on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Proxy,
    Direct,
    /// The program ends with exit code 2, and its message contains the name of this variable.
    Error(&'static str),
}

/// A case has a server, environment variables, further arguments, and the expected effect. In a variable, `P` stands
/// for the proxy's address, and `A` for the authority of this address.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static [&'static str], Effect);

const PLAIN: &str = "http://gateway.example.invalid";
const TLS: &str = "https://gateway.example.invalid";
const LOCAL: &str = "";

const CASES: [Case; 34] = [
    (PLAIN, &[("HTTP_PROXY", "http://A")], &[], Effect::Proxy),
    (PLAIN, &[("http_proxy", "http://A")], &[], Effect::Proxy),
    (PLAIN, &[("ALL_PROXY", "http://A")], &[], Effect::Proxy),
    (PLAIN, &[("all_proxy", "A")], &[], Effect::Proxy),
    (PLAIN, &[("HTTP_PROXY", "http://me:PASS@A")], &[], Effect::Proxy),
    (PLAIN, &[("HTTP_PROXY", "me:PASS@A")], &[], Effect::Proxy),
    (PLAIN, &[("HTTPS_PROXY", "http://A")], &[], Effect::Direct),
    (PLAIN, &[("HTTP_PROXY", ""), ("http_proxy", "http://A")], &[], Effect::Direct),
    (PLAIN, &[("HTTP_PROXY", "http://A"), ("NO_PROXY", "example.invalid")], &[], Effect::Direct),
    (PLAIN, &[("HTTP_PROXY", "http://A"), ("no_proxy", "*")], &[], Effect::Direct),
    (PLAIN, &[("HTTP_PROXY", "http://A"), ("NO_PROXY", "other.invalid, 10.0.0.0/8")], &[], Effect::Proxy),
    (PLAIN, &[("HTTP_PROXY", "http://A"), ("REQUEST_METHOD", "GET")], &[], Effect::Direct),
    (PLAIN, &[("HTTP_PROXY", "http://A")], &["--no-proxy"], Effect::Direct),
    (PLAIN, &[("HTTP_PROXY", "junk junk PASS")], &["--no-proxy"], Effect::Direct),
    (PLAIN, &[("HTTP_PROXY", "http://A"), ("CLAUDE_BATCH_NO_PROXY", "true")], &[], Effect::Direct),
    (PLAIN, &[("HTTP_PROXY", "http://A"), ("CLAUDE_BATCH_NO_PROXY", "true")], &["--no-proxy=false"], Effect::Proxy),
    (TLS, &[("HTTPS_PROXY", "http://A")], &[], Effect::Proxy),
    (TLS, &[("https_proxy", "http://me:PASS@A")], &[], Effect::Proxy),
    (TLS, &[("ALL_PROXY", "http://A")], &[], Effect::Proxy),
    (TLS, &[("HTTP_PROXY", "http://A")], &[], Effect::Direct),
    (TLS, &[("HTTPS_PROXY", "http://A"), ("NO_PROXY", ".example.invalid")], &[], Effect::Direct),
    (TLS, &[("HTTPS_PROXY", "socks5://me:PASS@A")], &[], Effect::Error("HTTPS_PROXY")),
    (TLS, &[("https_proxy", "http://me:PASS@")], &[], Effect::Error("https_proxy")),
    (TLS, &[("HTTPS_PROXY", "http://me:PASS"), ("ALL_PROXY", "http://A")], &[], Effect::Error("HTTPS_PROXY")),
    (TLS, &[("ALL_PROXY", "ftp://me:PASS@A")], &[], Effect::Error("ALL_PROXY")),
    (TLS, &[("all_proxy", "http://me:/PASS@A")], &[], Effect::Error("all_proxy")),
    (PLAIN, &[("HTTP_PROXY", "http://me:#PASS@A")], &[], Effect::Error("HTTP_PROXY")),
    (PLAIN, &[("http_proxy", "http://PASS PASS")], &[], Effect::Error("http_proxy")),
    (PLAIN, &[("HTTP_PROXY", "http://169.254.169.254")], &[], Effect::Error("HTTP_PROXY")),
    (PLAIN, &[("HTTP_PROXY", "\u{1b}]0;PASS\u{7}")], &[], Effect::Error("HTTP_PROXY")),
    (LOCAL, &[("HTTP_PROXY", "http://A")], &[], Effect::Direct),
    (LOCAL, &[("ALL_PROXY", "http://A"), ("all_proxy", "http://A")], &[], Effect::Direct),
    (LOCAL, &[("HTTP_PROXY", "junk PASS")], &[], Effect::Direct),
    (LOCAL, &[("HTTP_PROXY", "socks5://me:PASS@A")], &[], Effect::Direct),
];

fn proxies(size: Size) -> String {
    let (proxy, api) = (Hostile::new(refusing), Hostile::new(refusing));
    let address = proxy.url.trim_start_matches("http://");
    let folder = Folder::with_rows(1);
    let cases = CASES.iter().enumerate().filter(|(at, _)| size == Size::Full || at % 2 == fastrand::usize(..2));
    let (mut tried, mut seen) = (0, [0; 3]);
    for (at, (server, variables, further, expected)) in cases {
        let (before, before_api) = (proxy.requests(), api.requests());
        let url = if *server == LOCAL { &api.url } else { *server };
        let results = format!("r{at}.jsonl");
        let args = ["run", "prompts.jsonl", "-o", &results, "--base-url", url, "--allow-http", "--max-retries", "0"];
        let mut command = folder.command(&[&args[..], further].concat());
        command
            .env("ANTHROPIC_API_KEY", CANARY)
            .env_remove("REQUEST_METHOD")
            .env_remove("SSL_CERT_FILE")
            .env_remove("SSL_CERT_DIR");
        for (name, value) in *variables {
            command.env(name, value.replace("PASS", PASSWORD).replace('A', address));
        }

        let said = Said::of(command.output().expect("the program starts"));

        let (through, to_api) = (proxy.requests() - before, api.requests() - before_api);
        let all = [&said.out, &said.err].map(String::as_str).concat();
        assert!(!all.contains(PASSWORD) && !all.contains("me:") && !all.contains('\u{1b}'), "{variables:?}: {all}");
        let shown = format!("{url} (through proxy {}", proxy.url);
        match expected {
            Effect::Proxy => {
                said.ends_with(3).tells(&[&shown]);
                assert!(through > 0, "{variables:?}: {all}");
            }
            Effect::Direct => {
                said.ends_with(3);
                assert!(through == 0 && !said.err.contains("through proxy"), "{variables:?}: {all}");
                assert_eq!(to_api, u64::from(*server == LOCAL), "{variables:?}: {all}");
            }
            Effect::Error(variable) => {
                said.ends_with(2).tells(&[&format!("claude-batch: {variable} can't be used"), "--no-proxy"]);
                assert_eq!((through, to_api), (0, 0), "{variables:?}");
            }
        }
        tried += 1;
        seen[match expected {
            Effect::Proxy => 0,
            Effect::Direct => 1,
            Effect::Error(_) => 2,
        }] += 1;
    }
    let left = folder.contents().values().any(|bytes| String::from_utf8_lossy(bytes).contains(PASSWORD));
    assert!(!left, "a file contains the proxy's password");
    let [used, direct, refused] = seen;
    format!(
        "{tried} runs: {used} through the proxy, as the run said, {direct} directly, {refused} exit 2; the password in 0 \
         outputs and files"
    )
}

#[cfg(all(unix, not(target_vendor = "apple")))]
fn certificates() -> String {
    use super::super::support::Api;
    let folder = Folder::with_rows(1);
    folder.write("empty.pem", "");
    folder.write("junk.pem", "hello");
    folder.write("good.pem", "-----BEGIN CERTIFICATE-----\n");
    std::fs::create_dir(folder.path("certs")).expect("a folder");
    let api = Api::quick();
    type Case = (&'static [(&'static str, &'static str)], Result<&'static str, &'static str>);
    let cases: [Case; 8] = [
        (&[("SSL_CERT_FILE", "none.pem")], Err("can't read none.pem")),
        (&[("SSL_CERT_FILE", "")], Err("it is empty")),
        (&[("SSL_CERT_FILE", "empty.pem")], Err("contains no certificate")),
        (&[("SSL_CERT_FILE", "junk.pem")], Err("contains no certificate")),
        (&[("SSL_CERT_FILE", "certs")], Err("can't read certs")),
        (&[("SSL_CERT_DIR", "none:none2")], Err("none of the folders in none:none2 can be read")),
        (
            &[("SSL_CERT_FILE", "good.pem"), ("SSL_CERT_DIR", "none:certs")],
            Ok("(SSL_CERT_FILE good.pem, SSL_CERT_DIR none:certs)"),
        ),
        (&[("SSL_CERT_DIR", "")], Ok("https://api.anthropic.com, ")),
    ];
    for (variables, expected) in &cases {
        let run = |args: &[&str]| {
            let mut command = folder.command(args);
            command.env_remove("SSL_CERT_FILE").env_remove("SSL_CERT_DIR").envs(variables.iter().copied());
            Said::of(command.env("ANTHROPIC_API_KEY", CANARY).output().expect("the program starts"))
        };

        let said = run(&["run", "prompts.jsonl", "--dry-run", "--fresh"]);

        match expected {
            Ok(shown) => said.ends_with(0).tells(&[shown]),
            Err(shown) => said.ends_with(2).tells(&[variables[0].0, shown]),
        };
        // Without TLS, certificates are not used.
        run(&["run", "prompts.jsonl", "--fresh", "--base-url", &api.url]).ends_with(0);
    }
    format!("{} settings: {} gave an error before anything was sent; plain `http` does not need them", cases.len(), 6)
}

#[cfg(not(all(unix, not(target_vendor = "apple"))))]
fn certificates() -> String {
    "not run: the system is asked for certificates here".to_owned()
}
