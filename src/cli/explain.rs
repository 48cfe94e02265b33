//! Explains why a run stopped and what to do next, in sentences that are printed after the summary.
//!
//! The type of the error decides which sentence is printed. Messages from a server or from the system are only quoted,
//! never interpreted.

use crate::domain::{Failure, HaltReason, WireErrorKind, WriteCause, WriteFault, WriteTarget};
use crate::report::text::{count, duration, escape};

use super::shell;

/// The path of the Messages endpoint, after the base URL.
const MESSAGES: &str = "/v1/messages";

/// The facts that an explanation of a stop mentions: the server, the proxy, and the command to run next.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The name of the provider, and the ways to give a key to it; `None` for the Claude API.
    pub provider: Option<(String, String)>,
    /// The base URL.
    pub server: String,
    /// The address of the proxy, and the variable or setting that names the proxy; `None` without a proxy.
    pub proxy: Option<(String, &'static str)>,
    /// The way to resume the run.
    pub next: Next,
}

impl Place {
    /// Returns the name of the server that answered, for the start of a sentence.
    fn who(&self) -> String {
        self.provider.as_ref().map_or_else(|| "The API".to_owned(), |(name, _)| escape(name).into_owned())
    }

    fn check_key(&self) -> String {
        match &self.provider {
            None => "Check ANTHROPIC_API_KEY (or --api-key-file, --api-key-cmd)".to_owned(),
            Some((_, ways)) => format!("Check where the key comes from ({})", escape(ways)),
        }
    }
}

/// A way to resume a run.
#[derive(Clone, Debug)]
pub(crate) enum Next {
    /// The user runs the same command again. The summary shows the command.
    Same,
    /// The user runs the same command again, but without `--fresh`.
    WithoutFresh,
    /// The user runs the command that this variant contains. The rows came from a pipe, so the command reads them from
    /// the error log.
    Resume(String),
}

impl Next {
    fn words(&self) -> String {
        match self {
            Self::Same => "run the same command".to_owned(),
            Self::WithoutFresh => "run the same command without --fresh".to_owned(),
            Self::Resume(command) => format!("run {}", escape(command)),
        }
    }
}

/// Returns why a run stopped and what to do next, in a few sentences.
///
/// The text is one line. If the text contains a message of the server, this message is escaped and in quotes.
pub(crate) fn explain(reason: &HaltReason, place: &Place) -> String {
    let next = place.next.words();
    match reason {
        HaltReason::Key(failure) => format!(
            "{} refused the key{}. {}, then {next}; no row was lost.",
            place.who(),
            said(failure),
            place.check_key()
        ),
        HaltReason::Forbidden(failure) => format!(
            "{} forbids these requests{}. Check what the key and its workspace are allowed to do, then {next}.",
            place.who(),
            said(failure)
        ),
        HaltReason::Account(failure) => format!(
            "The account is stopped{}. Check credit, billing and spend limits in the console, then {next}.",
            said(failure)
        ),
        HaltReason::Models(failure) => format!(
            "No model of the remaining rows was found{}. Check the model's name and --base-url, then {next}. If rows name their \
             own models, change the models in the input.",
            said(failure)
        ),
        HaltReason::RetryAfter { wait, allowed } => format!(
            "{} asks to wait {}, longer than --retry-for allows ({}). After that, or with a longer --retry-for, \
             {next}.",
            place.who(),
            duration(*wait),
            duration(*allowed)
        ),
        HaltReason::Tls(failure) => format!(
            "The connection could not be made safe{}. Check the address and the clock of this machine; if a proxy has \
             its own certificates, add them with --ca-file. Then {next}.",
            said(failure)
        ),
        HaltReason::Proxy(failure) => proxy(failure, place),
        HaltReason::Redirect { to, failure } => redirect(to.as_deref(), failure, place),
        HaltReason::Endpoint(failure) => endpoint(failure, place),
        HaltReason::OtherWorkspace => format!(
            "The open batches belong to another organization or workspace, so this key can't see them. Nothing was \
             sent. Use the key that submitted the batches, then {next}."
        ),
        HaltReason::Batches(failure) => format!(
            "{} accepts no batch{}. Check what the key and its workspace are allowed to do, then {next}; or use --lane \
             online.",
            place.server,
            said(failure)
        ),
        HaltReason::AllFail { rows, finished, class, failure } => {
            let which = match rows == finished {
                true => format!("The first {} rows all failed", count(*rows)),
                false => format!("{} of {} finished rows failed", count(*rows), count(*finished)),
            };
            let next = match place.next {
                Next::Resume(_) => next,
                Next::Same => "run the same command with --retry-failed".to_owned(),
                Next::WithoutFresh => "run the same command with --retry-failed and without --fresh".to_owned(),
            };
            format!(
                "{which}, the last one with {class}{}. Correct the cause, then {next}; with --halt never, failures do \
                 not stop a run.",
                said(failure)
            )
        }
        HaltReason::Disk(fault) => disk(fault, place),
        HaltReason::Signal(_) => format!("Interrupted. To resume, {next}."),
        HaltReason::Ctl { is_drain: true } => format!("Ended by ctl drain. To resume, {next}."),
        HaltReason::Ctl { is_drain: false } => format!("Ended by ctl stop. To resume, {next}."),
        HaltReason::Budget(message) => {
            format!("A limit that you set is reached ({}). To resume, raise this limit and {next}.", escape(message))
        }
    }
}

/// Explains that a proxy rejects requests. The text names the variable that sets the proxy, but not the value of the
/// variable, which may contain a password.
fn proxy(failure: &Failure, place: &Place) -> String {
    let next = place.next.words();
    match &place.proxy {
        Some((address, source)) => {
            let (scheme, host) = address.split_once("://").unwrap_or(("http", address));
            format!(
                "The proxy {} (from {source}) does not forward requests{}. Set {source} to \
                 {scheme}://USER:PASSWORD@{}, or connect directly with --no-proxy; then {next}; no row was lost.",
                escape(address),
                said(failure),
                escape(host)
            )
        }
        None => format!(
            "A proxy on the way to {} wants a user name and a password{}. Set HTTPS_PROXY or HTTP_PROXY to \
             http://USER:PASSWORD@HOST:PORT, then {next}; no row was lost.",
            escape(&place.server),
            said(failure)
        ),
    }
}

fn redirect(to: Option<&str>, failure: &Failure, place: &Place) -> String {
    let (next, server) = (place.next.words(), place.server.as_str());
    let to = to.map(|to| if to.starts_with('/') { format!("{}{to}", origin(server)) } else { to.to_owned() });
    let instead = to.as_deref().and_then(|to| to.strip_suffix(MESSAGES)).filter(|base| *base != server);
    let set = match instead {
        Some(base) => format!("--base-url {}", escape(&shell::quoted(base))),
        None => "--base-url to the address of the API".to_owned(),
    };
    let to = to.as_deref().map_or_else(|| "without saying where".into(), |to| format!("to {}", escape(to)));
    format!(
        "{}{MESSAGES} redirects {to}{}. Redirects are not followed, because the key would be sent there too. If you \
         trust that server, set {set}; then {next}; no row was lost.",
        escape(server),
        said(failure)
    )
}

/// Returns the scheme, host and port of a base URL.
fn origin(server: &str) -> &str {
    let host = server.find("://").map_or(0, |at| at + 3);
    server[host..].find('/').map_or(server, |at| &server[..host + at])
}

/// Explains that all requests to an endpoint failed for too long. The explanation depends on the last failure.
fn endpoint(failure: &Failure, place: &Place) -> String {
    let (next, server, said) = (place.next.words(), escape(&place.server), said(failure));
    match (failure.wire, failure.status) {
        (Some(WireErrorKind::Authorization), _) => {
            format!("There is no credential for {server}{said}. Check where the credential comes from, then {next}.")
        }
        (Some(WireErrorKind::Proxy | WireErrorKind::ProxyAuth), _) => {
            let (address, source) =
                place.proxy.as_ref().map_or(("", "HTTPS_PROXY"), |(address, source)| (address, source));
            format!(
                "The proxy {} can't be reached or does not connect to {server}{said}. Check {source}, or connect \
                 directly with --no-proxy; then {next}.",
                escape(address)
            )
        }
        (Some(WireErrorKind::Timeout | WireErrorKind::Idle), _) => format!(
            "{server} does not answer in time{said}. Check --base-url and the network, allow more time with --timeout, or \
             use --stream on; then {next}."
        ),
        (Some(WireErrorKind::TooLarge), _) => {
            format!("{server} sends answers that are too large{said}. Check --base-url, then {next}.")
        }
        (Some(WireErrorKind::Broken), _) => format!(
            "{server} accepts requests, but breaks the connection{said}. Check the network, proxies and --base-url, \
             then {next}."
        ),
        (None, Some(200..300)) => format!(
            "{server} answers, but not in the form of the API{said}. Check --base-url, or use --stream off; then \
             {next}."
        ),
        (None, Some(_)) => format!(
            "{server} answers only with errors{said}. The trouble is in the service or in a gateway in front of it. \
             To resume later, {next}; --retry-for allows longer waits."
        ),
        (Some(WireErrorKind::Connect | WireErrorKind::Tls), _) => {
            format!("{server} can't be reached{said}. Check the network, proxies and --base-url, then {next}.")
        }
        (None, None) => format!("{server} fails{said}. Check the network, proxies and --base-url, then {next}."),
    }
}

fn disk(fault: &WriteFault, place: &Place) -> String {
    let (message, next) = (escape(&fault.message), place.next.words());
    let lost = match place.next {
        // If the rows came from a pipe, a pending row that is not in the error log is stored nowhere.
        Next::Resume(_) => "rows that are not in the error log must be piped in again",
        Next::Same | Next::WithoutFresh => "answers since the last sync are possibly lost although they were billed",
    };
    match (fault.target, fault.cause) {
        (WriteTarget::StandardOutput, WriteCause::ReaderGone) => {
            format!("The program that read standard output has ended ({message}). To resume, {next}.")
        }
        (WriteTarget::StandardOutput, WriteCause::Full | WriteCause::Other) => {
            format!("Standard output could not be written ({message}). To resume, {next}.")
        }
        (WriteTarget::File, WriteCause::Full) => format!(
            "A file of this run can't be written, because there is no space left ({message}). Make room, then {next}; \
             {lost}."
        ),
        (WriteTarget::File, WriteCause::ReaderGone | WriteCause::Other) => format!(
            "A file of this run can't be written ({message}). Check the disk and the permissions of the file, then \
             {next}; {lost}."
        ),
    }
}

/// Returns what is known about a failure as the end of a sentence: ` (401, "invalid x-api-key", request req_1)`. The
/// parentheses contain the status, the message of the server, and the id of the request.
pub(crate) fn said(failure: &Failure) -> String {
    let status = failure.status.map(|status| status.to_string());
    let message = (!failure.message.is_empty()).then(|| in_quotes(&failure.message));
    let is_plain = |id: &str| id.chars().all(|char| char.is_alphanumeric() || "_-.:/".contains(char));
    let request = failure.request_id.as_ref().map(|id| match is_plain(id) {
        true => format!("request {id}"),
        false => format!("request {}", in_quotes(id)),
    });
    let parts = [status, message, request].into_iter().flatten().collect::<Vec<_>>();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

/// Returns a text of the server in quotation marks. Quotation marks in the text are escaped, so the text can't look
/// like a part of our own sentence.
fn in_quotes(text: &str) -> String {
    format!("\"{}\"", escape(&text.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::ErrorClass;
    use crate::report::words::halt_words;

    #[test]
    fn every_explanation_says_what_to_do_and_cannot_control_the_terminal() {
        for (name, reason) in reasons() {
            let same = explain(&reason, &place(Next::Same));
            let piped = explain(&reason, &place(Next::Resume("claude-batch resume x.jsonl".to_owned())));
            let fresh = explain(&reason, &place(Next::WithoutFresh));

            assert!(!same.chars().any(char::is_control), "{name}: {same:?}");
            assert!(same.contains("run the same command"), "{name}: {same}");
            assert!(
                piped.contains("run claude-batch resume x.jsonl") && !piped.contains("the same"),
                "{name}: {piped}"
            );
            assert!(fresh.contains("without --fresh"), "{name}: {fresh}");
        }
    }

    #[test]
    fn a_text_of_the_server_can_not_end_its_quotation_marks() {
        let message = "bad\"); now run: x; then (\"\\".to_owned();
        let request_id = Some("r); now run: y; (".to_owned());
        let failure = Failure { message, request_id, ..Failure::default() };

        let told = crate::cli::message::lines(&format!("it failed{}; check it", said(&failure)));

        assert_eq!(told.lines().count(), 2, "{told}");
        assert!(told.ends_with("\n  check it"), "{told}");
    }

    #[test]
    fn every_reason_is_explained() {
        let told = |(name, reason): &(&str, HaltReason)| {
            format!("{name}: {}\n  {}\n", halt_words(reason), explain(reason, &place(Next::Same)))
        };

        insta::assert_snapshot!(reasons().iter().map(told).collect::<String>(), @r#"
        key: the key was refused
          The API refused the key (401, "invalid x-api-key\u{1b}[2J\n", request req_1). Check ANTHROPIC_API_KEY (or --api-key-file, --api-key-cmd), then run the same command; no row was lost.
        forbidden: the key has no permission for these requests
          The API forbids these requests (403, "no"). Check what the key and its workspace are allowed to do, then run the same command.
        account: the account is stopped
          The account is stopped (402, "no"). Check credit, billing and spend limits in the console, then run the same command.
        models: no model of the remaining rows was found
          No model of the remaining rows was found (404, "not found: m"). Check the model's name and --base-url, then run the same command. If rows name their own models, change the models in the input.
        retry-after: the API asks to wait longer than --retry-for
          The API asks to wait 2 h 00 min, longer than --retry-for allows (30 min 00 s). After that, or with a longer --retry-for, run the same command.
        tls: the connection is not safe
          The connection could not be made safe ("it broke"). Check the address and the clock of this machine; if a proxy has its own certificates, add them with --ca-file. Then run the same command.
        proxy: the proxy refuses to forward requests
          The proxy http://proxy.example:3128 (from HTTPS_PROXY) does not forward requests ("it broke"). Set HTTPS_PROXY to http://USER:PASSWORD@proxy.example:3128, or connect directly with --no-proxy; then run the same command; no row was lost.
        redirect: the endpoint redirects requests
          https://api.example/v1/messages redirects to https://api.example/sso\u{1b} (302). Redirects are not followed, because the key would be sent there too. If you trust that server, set --base-url to the address of the API; then run the same command; no row was lost.
        workspace: the open batches belong to another workspace
          The open batches belong to another organization or workspace, so this key can't see them. Nothing was sent. Use the key that submitted the batches, then run the same command.
        batches: the API accepts no batch
          https://api.example accepts no batch (404, "Not found"). Check what the key and its workspace are allowed to do, then run the same command; or use --lane online.
        endpoint: nothing known: the endpoint fails
          https://api.example fails. Check the network, proxies and --base-url, then run the same command.
        endpoint: 529: the endpoint is overloaded (529)
          https://api.example answers only with errors (529, "Overloaded"). The trouble is in the service or in a gateway in front of it. To resume later, run the same command; --retry-for allows longer waits.
        endpoint: 500: the endpoint fails (500)
          https://api.example answers only with errors (500, "Internal server error"). The trouble is in the service or in a gateway in front of it. To resume later, run the same command; --retry-for allows longer waits.
        endpoint: 200: the endpoint does not answer in the form of the API
          https://api.example answers, but not in the form of the API (200, "the body is no JSON"). Check --base-url, or use --stream off; then run the same command.
        rows: all: every row fails
          The first 10 rows all failed, the last one with invalid_request (400, "no"). Correct the cause, then run the same command with --retry-failed; with --halt never, failures do not stop a run.
        rows: some: too many rows failed
          25 of 80 finished rows failed, the last one with invalid_request (400, "no"). Correct the cause, then run the same command with --retry-failed; with --halt never, failures do not stop a run.
        disk: stdout, reader gone: standard output can't be written
          The program that read standard output has ended (can't write x\n). To resume, run the same command.
        disk: stdout, full: standard output can't be written
          Standard output could not be written (can't write x\n). To resume, run the same command.
        disk: stdout, other: standard output can't be written
          Standard output could not be written (can't write x\n). To resume, run the same command.
        disk: file, full: results can't be written
          A file of this run can't be written, because there is no space left (can't write x\n). Make room, then run the same command; answers since the last sync are possibly lost although they were billed.
        disk: file, other: results can't be written
          A file of this run can't be written (can't write x\n). Check the disk and the permissions of the file, then run the same command; answers since the last sync are possibly lost although they were billed.
        INT: interrupted
          Interrupted. To resume, run the same command.
        TERM: interrupted
          Interrupted. To resume, run the same command.
        HUP: interrupted
          Interrupted. To resume, run the same command.
        ctl: drain: drained by ctl
          Ended by ctl drain. To resume, run the same command.
        ctl: stop: stopped by ctl
          Ended by ctl stop. To resume, run the same command.
        budget: a limit that you set is reached
          A limit that you set is reached (--max-cost $40.00). To resume, raise this limit and run the same command.
        endpoint: Authorization: there is no credential for the endpoint
          There is no credential for https://api.example ("it broke"). Check where the credential comes from, then run the same command.
        endpoint: Connect: the endpoint can't be reached
          https://api.example can't be reached ("it broke"). Check the network, proxies and --base-url, then run the same command.
        endpoint: Proxy: the proxy can't be reached or does not connect
          The proxy http://proxy.example:3128 can't be reached or does not connect to https://api.example ("it broke"). Check HTTPS_PROXY, or connect directly with --no-proxy; then run the same command.
        endpoint: ProxyAuth: the proxy refuses to forward requests
          The proxy http://proxy.example:3128 can't be reached or does not connect to https://api.example ("it broke"). Check HTTPS_PROXY, or connect directly with --no-proxy; then run the same command.
        endpoint: Tls: the connection is not safe
          https://api.example can't be reached ("it broke"). Check the network, proxies and --base-url, then run the same command.
        endpoint: Timeout: the endpoint does not answer in time
          https://api.example does not answer in time ("it broke"). Check --base-url and the network, allow more time with --timeout, or use --stream on; then run the same command.
        endpoint: Idle: the endpoint falls silent in the middle of answers
          https://api.example does not answer in time ("it broke"). Check --base-url and the network, allow more time with --timeout, or use --stream on; then run the same command.
        endpoint: Broken: the endpoint breaks connections
          https://api.example accepts requests, but breaks the connection ("it broke"). Check the network, proxies and --base-url, then run the same command.
        endpoint: TooLarge: the endpoint's answers are too large
          https://api.example sends answers that are too large ("it broke"). Check --base-url, then run the same command.
        "#);
    }

    #[test]
    fn a_redirect_names_the_base_url_to_set() {
        for (server, to, expected) in [
            ("http://gw.example", Some("https://gw.example/v1/messages"), "set --base-url https://gw.example;"),
            ("http://gw.example", Some("/claude/v1/messages"), "set --base-url http://gw.example/claude;"),
            ("http://gw.example/a", Some("/v1/messages"), "set --base-url http://gw.example;"),
            ("http://gw.example", Some("https://a b;.example/v1/messages"), "set --base-url 'https://a b;.example';"),
            ("http://gw.example", Some("/v1/messages"), "set --base-url to the address of the API;"),
            ("http://gw.example", Some("/login"), "to http://gw.example/login "),
            ("http://gw.example", None, "redirects without saying where"),
        ] {
            let reason = HaltReason::Redirect { to: to.map(str::to_owned), failure: failure(302, "") };
            let place = Place { provider: None, server: server.to_owned(), proxy: None, next: Next::Same };

            let said = explain(&reason, &place);

            assert!(said.starts_with(&format!("{server}/v1/messages redirects ")), "{said}");
            assert!(said.contains(expected), "{to:?}: {said}");
        }
    }

    fn place(next: Next) -> Place {
        let proxy = Some(("http://proxy.example:3128".to_owned(), "HTTPS_PROXY"));
        Place { provider: None, server: "https://api.example".to_owned(), proxy, next }
    }

    fn failure(status: u16, message: &str) -> Failure {
        Failure { status: Some(status), message: message.to_owned(), ..Failure::default() }
    }

    /// Returns all reasons for a stop, with their names. The reasons about an endpoint cover each kind of failure, and
    /// the reasons about the disk cover each cause of a write failure.
    pub(in crate::cli) fn reasons() -> Vec<(&'static str, HaltReason)> {
        let request_id = Some("req_1".to_owned());
        let key = Failure { request_id, ..failure(401, "invalid x-api-key\x1b[2J\n") };
        let wire = |kind| Failure { wire: Some(kind), message: "it broke".to_owned(), ..Failure::default() };
        let disk =
            |target, cause| HaltReason::Disk(WriteFault { target, cause, message: "can't write x\n".to_owned() });
        let all_fail = |rows, finished| HaltReason::AllFail {
            rows,
            finished,
            class: ErrorClass::InvalidRequest,
            failure: failure(400, "no"),
        };
        let wait = Duration::from_secs(7_200);
        let mut reasons = vec![
            ("key", HaltReason::Key(key)),
            ("forbidden", HaltReason::Forbidden(failure(403, "no"))),
            ("account", HaltReason::Account(failure(402, "no"))),
            ("models", HaltReason::Models(failure(404, "not found: m"))),
            ("retry-after", HaltReason::RetryAfter { wait, allowed: Duration::from_secs(1_800) }),
            ("tls", HaltReason::Tls(wire(WireErrorKind::Tls))),
            ("proxy", HaltReason::Proxy(wire(WireErrorKind::ProxyAuth))),
            ("redirect", HaltReason::Redirect { to: Some("/sso\u{1b}".to_owned()), failure: failure(302, "") }),
            ("workspace", HaltReason::OtherWorkspace),
            ("batches", HaltReason::Batches(failure(404, "Not found"))),
            ("endpoint: nothing known", HaltReason::Endpoint(Failure::default())),
            ("endpoint: 529", HaltReason::Endpoint(failure(529, "Overloaded"))),
            ("endpoint: 500", HaltReason::Endpoint(failure(500, "Internal server error"))),
            ("endpoint: 200", HaltReason::Endpoint(failure(200, "the body is no JSON"))),
            ("rows: all", all_fail(10, 10)),
            ("rows: some", all_fail(25, 80)),
            ("disk: stdout, reader gone", disk(WriteTarget::StandardOutput, WriteCause::ReaderGone)),
            ("disk: stdout, full", disk(WriteTarget::StandardOutput, WriteCause::Full)),
            ("disk: stdout, other", disk(WriteTarget::StandardOutput, WriteCause::Other)),
            ("disk: file, full", disk(WriteTarget::File, WriteCause::Full)),
            ("disk: file, other", disk(WriteTarget::File, WriteCause::Other)),
            ("INT", HaltReason::Signal(2)),
            ("TERM", HaltReason::Signal(15)),
            ("HUP", HaltReason::Signal(1)),
            ("ctl: drain", HaltReason::Ctl { is_drain: true }),
            ("ctl: stop", HaltReason::Ctl { is_drain: false }),
            ("budget", HaltReason::Budget("--max-cost $40.00".to_owned())),
        ];
        let kinds = [
            ("endpoint: Authorization", WireErrorKind::Authorization),
            ("endpoint: Connect", WireErrorKind::Connect),
            ("endpoint: Proxy", WireErrorKind::Proxy),
            ("endpoint: ProxyAuth", WireErrorKind::ProxyAuth),
            ("endpoint: Tls", WireErrorKind::Tls),
            ("endpoint: Timeout", WireErrorKind::Timeout),
            ("endpoint: Idle", WireErrorKind::Idle),
            ("endpoint: Broken", WireErrorKind::Broken),
            ("endpoint: TooLarge", WireErrorKind::TooLarge),
        ];
        assert_eq!(kinds.map(|(_, kind)| kind), WireErrorKind::ALL);
        reasons.extend(kinds.map(|(name, kind)| (name, HaltReason::Endpoint(wire(kind)))));
        reasons
    }
}
