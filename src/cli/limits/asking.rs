//! Learns limits from the response to a message of one token. The program asks the user before it sends the message.

use std::io;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::value::to_raw_value;

use super::super::config::Config;
use super::super::config::world::World;
use super::super::exit::Exit;
use super::super::explain::said;
use super::super::say;
use super::super::server::{Response, Server, Stopped};
use super::found::Found;
use crate::catalog::Catalog;
use crate::domain::{
    Caching, HaltReason, LearnedPool, Params, PoolId, RateLimits, Request, Speed, Terms, UsageBound, Verdict,
};
use crate::provider::Provider;
use crate::report::text::escape;
use crate::transport::WireError;

/// The prompt of the message. The prompt is very short, and every model answers it.
const PROMPT: &str = "ping";
/// An upper bound for the number of input tokens, including everything that the API adds to the prompt.
const MOST_INPUT_TOKENS: u64 = 100;

/// Returns whether the program runs on a terminal where a user can answer a question.
pub(super) fn has_somebody(world: &World) -> bool {
    world.stdin_is_terminal && world.stderr_is_terminal
}

/// Asks the user for permission to send the message. If the simulator runs in this process, the message is free, and
/// this function does not ask.
///
/// # Errors
/// Fails if the user says no, or if there is no terminal at which the user can answer.
pub(super) fn permission(config: &Config, catalog: &Catalog, model: &str, origin: &str, world: &World) -> Result<()> {
    if config.simulate || config.yes {
        return Ok(());
    }
    let bound =
        UsageBound { input_tokens: MOST_INPUT_TOKENS, caching: Caching::None, output_tokens: 1, web_searches: 0 };
    let prices = catalog.prices(Speed::Standard, model);
    let cost = match prices.map(|prices| prices.most(Terms::default(), &bound)) {
        Some(most) => format!("costs at most {}", most.rounded_up()),
        None => "has an unknown cost, because the model has no price".to_owned(),
    };
    let what = format!("a message of one token to {}", escape(model));
    if !has_somebody(world) {
        bail!(
            "to learn the limits, {what} must be sent to {origin} (the message {cost}); add --yes to send it without a \
             question"
        );
    }
    say::ask(&format!("Send {what} at {}? The message {cost}. [y/N] ", escape(origin)));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("can't read the answer")?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => bail!("nothing was sent; add --yes to send the message without asking first"),
    }
}

/// Sends the message, and returns the limits in the headers of the response. A response with status 429 also reports
/// limits.
pub(super) fn ask(server: &Server, catalog: &Catalog, model: &str) -> Result<Found, Stopped> {
    let class = catalog.class_of(model);
    let route = PoolId { provider: server.name.clone(), account: "".into(), class, speed: Speed::Standard };
    let request = server.provider.encode(&request(model), None, &Arc::new(route.clone()), false);
    let response = server.send(request).map_err(|error| failed(&error))?;
    let signals = server.provider.read_head(&response.head, &jiff::Timestamp::now).signals;
    let limits =
        RateLimits { rpm: signals.requests.limit, itpm: signals.input_tokens.limit, otpm: signals.output_tokens.limit };
    let status = response.head.status;
    if limits != RateLimits::NONE && (status == 200 || status == 429) {
        let pool =
            LearnedPool { provider: route.provider, class: route.class, speed: route.speed, limits, bursts: [None; 3] };
        return Ok(Found::Message { origin: server.origin.clone(), model: model.to_owned(), pool });
    }
    if status != 200 {
        return Err(judged(server, response, model));
    }
    Err(Stopped {
        message: format!(
            "{} answered, but its response reports no limits; perhaps a gateway removes the headers. Set the limits \
             with --tier, or with --rpm, --itpm and --otpm",
            escape(&server.origin)
        ),
        exit: Exit::Endpoint,
    })
}

fn request(model: &str) -> Request {
    let raw = |value: serde_json::Value| to_raw_value(&value).expect("a value can be written as JSON");
    let mut params = Params::default();
    params.set("model", raw(model.into()));
    params.set("max_tokens", raw(1.into()));
    params.set("messages", raw(serde_json::json!([{ "role": "user", "content": PROMPT }])));
    Request::of(&params)
}

/// Returns the message and the exit code for a request whose connection failed.
pub(super) fn failed(error: &WireError) -> Stopped {
    let message = escape(&error.message);
    let message = format!("can't ask for limits: {message}; check the network, proxies and --base-url");
    Stopped { message, exit: Exit::Endpoint }
}

/// Returns the message and the exit code for a request that the server rejected. `what` names the requested thing in
/// the message.
pub(super) fn judged(server: &Server, response: Response, what: &str) -> Stopped {
    let Response { head, body } = response;
    let signals = server.provider.read_head(&head, &jiff::Timestamp::now).signals;
    let mut decoder = server.provider.decoder(&head);
    decoder.push_bytes(body);
    let reply = decoder.finish(&head, &Request::default());
    let mut verdict = server.provider.judge(&head, reply, &signals);
    server.secrets().clean_verdict(&mut verdict);
    of_verdict(&verdict, &escape(&server.origin), &escape(what))
}

fn of_verdict(verdict: &Verdict, server: &str, what: &str) -> Stopped {
    let key = "ANTHROPIC_API_KEY (or --api-key-file, --api-key-cmd)";
    let (message, exit) = match verdict {
        Verdict::Halt(HaltReason::Key(failure)) => {
            (format!("{server} refused the key{}; check {key}", said(failure)), Exit::Account)
        }
        Verdict::Forbidden(failure) | Verdict::Halt(HaltReason::Forbidden(failure)) => (
            format!(
                "{server} forbids this request{}; check what the key and its workspace are allowed to do",
                said(failure)
            ),
            Exit::Account,
        ),
        Verdict::Halt(HaltReason::Account(failure)) => (
            format!("the account is stopped{}; check credit, billing and spend limits in the console", said(failure)),
            Exit::Account,
        ),
        Verdict::NoModel(failure) | Verdict::Halt(HaltReason::Models(failure)) => (
            format!(
                "{server} does not have {what}{}; check the model (claude-batch models) and --base-url",
                said(failure)
            ),
            Exit::Account,
        ),
        Verdict::Halt(reason) => {
            let failure = reason.failure();
            (
                format!(
                    "{server} can't be used{}; check proxies and --base-url",
                    failure.map(said).unwrap_or_default()
                ),
                Exit::from(reason),
            )
        }
        Verdict::Limited { failure, .. } | Verdict::Overloaded { failure, .. } | Verdict::Transient { failure, .. } => {
            (format!("{server} did not answer{}; try again later", said(failure)), Exit::Endpoint)
        }
        Verdict::Rejected { failure, .. } => (
            format!("{server} refused the request{}; check --base-url, --api-version and --beta", said(failure)),
            Exit::Endpoint,
        ),
        Verdict::Answered(_) | Verdict::Paused { .. } | Verdict::Aborted => {
            (format!("{server} does not answer as the API does; check --base-url"), Exit::Endpoint)
        }
    };
    Stopped { message, exit }
}
