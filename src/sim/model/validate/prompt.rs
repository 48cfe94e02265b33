//! Counts the tokens of a prompt. Keeps the parts of the prompt if the request has a cache breakpoint or asks for
//! diagnostics.

use crate::sim::model::errors::ApiError;
use crate::sim::model::fields::Fields;
use crate::sim::model::parts::{CacheControl, Count, Keep, Level, Part, PartKind, Parts};
use crate::sim::model::request::{Turn, walk_content, walk_tools};
use crate::sim::model::tokens;

use super::settings::{Settings, settings};

/// The maximum number of cache breakpoints in a request.
const BREAKPOINTS: usize = 4;

/// The token count and the parts of a prompt.
pub(super) struct Counted {
    /// The number of tokens of the prompt.
    pub tokens: u64,
    /// The parts of the prompt; empty unless the request has a breakpoint or asks for diagnostics.
    pub parts: Vec<Part>,
    /// The cache entries of the parts depend on these settings.
    pub settings: Settings,
}

/// Counts the tokens of a prompt. Keeps the parts of the prompt if the request has a breakpoint or asks for
/// diagnostics.
pub(super) fn count(fields: &Fields<'_>, skew: f64) -> Result<Counted, ApiError> {
    let names = ["tools", "system", "messages", "cache_control"];
    let is_cached = names.iter().filter_map(|name| fields.get(name)).any(|raw| raw.get().contains("ephemeral"));
    if !is_cached && fields.get("diagnostics").is_none() {
        let mut count = Count::default();
        walk(fields, &Settings::default(), &mut count)?;
        return Ok(Counted { tokens: tokens::skewed(count.0, skew), parts: Vec::new(), settings: Settings::default() });
    }
    let mut keep = Keep::default();
    let settings = settings(fields);
    walk(fields, &settings, &mut keep)?;
    let mut parts = keep.parts;
    let tokens = skew_parts(&mut parts, skew);
    let found = parts.iter().filter(|part| part.breakpoint.is_some()).count();
    if found > BREAKPOINTS {
        return Err(ApiError::invalid(format!(
            "A maximum of 4 blocks with cache_control may be provided. Found {found}."
        )));
    }
    automatic_breakpoint(fields, &mut parts)?;
    let lifetimes: Vec<bool> = parts.iter().filter_map(|part| part.breakpoint).collect();
    if lifetimes.windows(2).any(|pair| pair == [false, true]) {
        return Err(ApiError::invalid(
            "cache_control: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Blocks \
             are processed in the order `tools`, `system`, `messages`.",
        ));
    }
    Ok(Counted { tokens, parts, settings })
}

/// Multiplies the token counts of all parts by `skew`. Returns the sum of the new counts, which is the token count of
/// the whole prompt.
fn skew_parts(parts: &mut [Part], skew: f64) -> u64 {
    let (mut plain, mut skewed) = (0, 0);
    for part in parts {
        plain += part.tokens;
        part.tokens = tokens::skewed(plain, skew) - skewed;
        skewed += part.tokens;
    }
    skewed
}

/// Applies the top-level `cache_control`, which puts a breakpoint after the last part that can have one.
///
/// Source: API documentation, "Prompt caching", automatic caching (2026-09-29).
fn automatic_breakpoint(fields: &Fields<'_>, parts: &mut [Part]) -> Result<(), ApiError> {
    let Some(control) = fields.read_as::<CacheControl<'_>>("cache_control", "a valid dictionary")? else {
        return Ok(());
    };
    control.check("cache_control")?;
    let found = parts.iter().filter(|part| part.breakpoint.is_some()).count();
    let Some(last) = parts.iter_mut().rev().find(|part| part.kind != PartKind::Unmarkable) else { return Ok(()) };
    match last.breakpoint {
        Some(is_hour) if is_hour != control.is_hour() => {
            Err(ApiError::invalid("cache_control: the last block already has a cache_control with another ttl"))
        }
        Some(_) => Ok(()),
        None if found >= BREAKPOINTS => Err(ApiError::invalid(
            "cache_control: automatic caching needs one of the 4 blocks with cache_control, all are used",
        )),
        None => {
            last.breakpoint = Some(control.is_hour());
            Ok(())
        }
    }
}

fn walk(fields: &Fields<'_>, settings: &Settings, parts: &mut impl Parts) -> Result<(), ApiError> {
    if let Some(tools) = fields.get("tools") {
        parts.enter(Level::Tools, settings.tools);
        walk_tools(tools, parts)?;
    }
    if let Some(system) = fields.get("system") {
        parts.enter(Level::System, settings.system);
        walk_content(system, || "system".to_owned(), 0, parts)?;
    }
    let turns: Vec<Turn<'_>> = fields.required("messages", "a valid list of messages")?;
    if turns.is_empty() {
        return Err(ApiError::invalid("messages: at least one message is required"));
    }
    for (at, turn) in turns.iter().enumerate() {
        parts.enter(Level::Messages, settings.messages.bytes(turn.role.as_bytes()));
        if !["user", "assistant", "system"].contains(&&*turn.role) {
            return Err(ApiError::invalid(format!(
                "messages: Unexpected role \"{}\". Allowed roles are \"user\" or \"assistant\".",
                turn.role
            )));
        }
        let blocks = walk_content(turn.content, || format!("messages.{at}.content"), tokens::PER_MESSAGE, parts)?;
        if blocks == 0 && (turn.role != "assistant" || at + 1 < turns.len()) {
            return Err(ApiError::invalid(format!("messages.{at}: all messages must have non-empty content")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breakpoint_does_not_change_the_count_whatever_the_skew_is() {
        let body = |mark: &str| {
            let block = |text: &str, mark: &str| format!(r#"{{"type":"text","text":"{text}"{mark}}}"#);
            format!(
                r#"{{"system":[{},{}],"messages":[{{"role":"user","content":"word word word"}}]}}"#,
                block("one two three", mark),
                block("four five", "")
            )
        };
        for skew in [0.7, 1.0, 1.1, 1.25] {
            let marked = body(r#","cache_control":{"type":"ephemeral"}"#);
            assert_eq!(counted(&body(""), skew).tokens, counted(&marked, skew).tokens, "{skew}");
        }
    }

    #[test]
    fn automatic_caching_marks_the_last_block_that_can_be_marked() {
        let breakpoints = |blocks: &str, ttl: &str| {
            let control = format!(r#""cache_control":{{"type":"ephemeral","ttl":"{ttl}"}}"#);
            let messages = format!(r#""messages":[{{"role":"user","content":[{blocks}]}}]"#);
            read(&format!("{{{control},{messages}}}"), 1.0)
                .map(|counted| counted.parts.iter().map(|part| part.breakpoint).collect::<Vec<_>>())
                .map_err(|error| error.message)
        };
        let text = r#"{"type":"text","text":"a"}"#;
        let marked = r#"{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}"#;
        let thinking = r#"{"type":"thinking","thinking":"a","signature":""}"#;

        assert_eq!(breakpoints(&format!("{text},{text}"), "1h"), Ok(vec![None, Some(true)]));
        assert_eq!(breakpoints(&format!("{text},{thinking}"), "5m"), Ok(vec![Some(false), None]));
        assert_eq!(breakpoints(&format!("{text},{marked}"), "5m"), Ok(vec![None, Some(false)]));
        assert!(breakpoints(&format!("{text},{marked}"), "1h").is_err_and(|text| text.contains("another ttl")));
        let four = format!("{marked},{marked},{marked},{marked}");
        assert_eq!(breakpoints(&four, "5m"), Ok(vec![Some(false); 4]));
        assert!(breakpoints(&format!("{four},{text}"), "5m").is_err_and(|text| text.contains("all are used")));
    }

    fn counted(body: &str, skew: f64) -> Counted {
        read(body, skew).unwrap_or_else(|error| panic!("{}", error.message))
    }

    fn read(body: &str, skew: f64) -> Result<Counted, ApiError> {
        let fields = Fields::read(body.as_bytes()).unwrap_or_else(|error| panic!("{}", error.message));
        count(&fields, skew)
    }
}
