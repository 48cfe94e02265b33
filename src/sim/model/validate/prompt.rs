//! Counts the tokens of a prompt, and keeps its parts if it has a cache breakpoint.

use serde_json::value::RawValue;

use crate::sim::config::ModelTraits;
use crate::sim::model::errors::ApiError;
use crate::sim::model::hash::Hash;
use crate::sim::model::request::{CacheControl, Count, Fields, Keep, Part, Parts, Turn, walk_content, walk_tools};
use crate::sim::model::tokens;

/// The maximum number of breakpoints in a request.
const BREAKPOINTS: usize = 4;

/// Counts a prompt, and keeps its parts when it has a breakpoint.
pub(super) fn count(fields: &Fields<'_>, traits: &ModelTraits, skew: f64) -> Result<(u64, Vec<Part>), ApiError> {
    let names = ["tools", "system", "messages", "cache_control"];
    let is_cached = names.iter().filter_map(|name| fields.get(name)).any(|raw| raw.get().contains("ephemeral"));
    if !is_cached {
        let mut count = Count::default();
        walk(fields, traits, &mut count)?;
        return Ok((tokens::skewed(count.0, skew), Vec::new()));
    }
    let mut keep = Keep::default();
    walk(fields, traits, &mut keep)?;
    let mut parts = keep.parts;
    parts.iter_mut().for_each(|part| part.tokens = tokens::skewed(part.tokens, skew));
    automatic_breakpoint(fields, &mut parts)?;
    let lifetimes: Vec<bool> = parts.iter().filter_map(|part| part.breakpoint).collect();
    if lifetimes.windows(2).any(|pair| pair == [false, true]) {
        return Err(ApiError::invalid(
            "cache_control: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Blocks \
             are processed in the order `tools`, `system`, `messages`.",
        ));
    }
    let found = parts.iter().filter(|part| part.breakpoint.is_some()).count();
    if found > BREAKPOINTS {
        return Err(ApiError::invalid(format!(
            "A maximum of 4 blocks with cache_control may be provided. Found {found}."
        )));
    }
    Ok((parts.iter().map(|part| part.tokens).sum(), parts))
}

/// Applies the top-level `cache_control`, which puts a breakpoint after the last part.
fn automatic_breakpoint(fields: &Fields<'_>, parts: &mut [Part]) -> Result<(), ApiError> {
    let Some(control) = fields.read_as::<CacheControl<'_>>("cache_control", "a valid dictionary")? else {
        return Ok(());
    };
    control.check("cache_control")?;
    let found = parts.iter().filter(|part| part.breakpoint.is_some()).count();
    let Some(last) = parts.last_mut() else { return Ok(()) };
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

fn walk(fields: &Fields<'_>, traits: &ModelTraits, parts: &mut impl Parts) -> Result<(), ApiError> {
    if let Some(tools) = fields.get("tools") {
        walk_tools(tools, parts)?;
    }
    if let Some(system) = fields.get("system") {
        walk_content(system, || "system".to_owned(), 0, parts)?;
    }
    let turns: Vec<Turn<'_>> = fields.required("messages", "a valid list of messages")?;
    let Some(last) = turns.last() else {
        return Err(ApiError::invalid("messages: at least one message is required"));
    };
    let section = ["tool_choice", "thinking", "output_config"]
        .iter()
        .fold(Hash::new(0), |hash, name| hash.bytes(fields.get(name).map_or("", RawValue::get).as_bytes()));
    for (at, turn) in turns.iter().enumerate() {
        parts.enter(section.bytes(turn.role.as_bytes()));
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
    if last.role == "assistant" && !traits.allows_prefill {
        return Err(ApiError::invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        ));
    }
    Ok(())
}
