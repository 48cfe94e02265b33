//! Before anything is sent, this module finds the rows that are certain to fail.
//!
//! All other rows are sent, because only the API knows what it accepts, and the API accepts more over time.

use std::fmt::Write;

use super::estimate::{Estimate, least_input_tokens};
use crate::catalog::Model;
use crate::domain::json::first_byte;
use crate::domain::{
    ErrorClass, MAX_BODY_BYTES, MemberFinder, Merged, Params, RequestRules, quoted, shortened, too_large_words,
};
use crate::source::{Condition, found_list, restore_column};

/// The highest number of messages that the API accepts in one request. Source: API documentation, "Errors", request
/// size limits (2026-10).
const MAX_MESSAGES: u32 = 100_000;

/// The longest model name that is accepted, in bytes. All existing model names are several times shorter.
const MAX_MODEL_BYTES: usize = 256;

/// The fault of a row that is certain to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub class: ErrorClass,
    pub message: String,
}

pub(super) fn invalid(message: String) -> Fault {
    Fault { class: ErrorClass::InvalidInput, message }
}

fn too_large(message: String) -> Fault {
    Fault { class: ErrorClass::TooLarge, message }
}

/// Reads the name of the model from the parameters of a request.
pub(super) fn model_name(params: Merged<'_>) -> Result<String, Fault> {
    let is_name = |name: &String| (1..=MAX_MODEL_BYTES).contains(&name.len());
    params.get_str("model").filter(is_name).ok_or_else(|| {
        invalid(format!("model is {}, not the name of a model; write it as a string", excerpt(params.get("model"))))
    })
}

/// Returns the fault of a row that adds a model although the run already has the highest allowed number of models.
pub(super) fn too_many_models(name: &str, most: usize) -> Fault {
    invalid(format!("model is {}, but a run can have at most {most} different models", excerpt(Some(name))))
}

/// Checks that a row has the columns that the conditions on its answer need. Without these columns, no answer can meet
/// the conditions. `extra` holds the fields that are kept with the row.
pub(super) fn columns(conditions: &[Condition], extra: &Params) -> Result<(), Fault> {
    for condition in conditions {
        if let Some(column) = condition.missing_column(extra) {
            let names = found_list(extra.0.iter().map(|(name, _)| &**name), &[column]);
            let found = if extra.0.is_empty() { "only id, its label".to_owned() } else { names };
            let (column, expression) = (quoted(column), shortened(condition.expression()));
            return Err(invalid(format!(
                "no column {column} is kept with the row, but --require '{expression}' needs it (kept: {found})"
            )));
        }
    }
    Ok(())
}

/// In an error-log entry of an earlier version, gives the columns that the conditions need their own names back.
pub(super) fn restore_columns(conditions: &[Condition], extra: &mut Params) {
    for condition in conditions {
        for column in condition.columns() {
            if extra.get(column).is_none() {
                restore_column(extra, column);
            }
        }
    }
}

/// Reads `max_tokens`. The value 0 is allowed, because a request with `max_tokens` 0 fills the prompt cache.
///
/// `may_exceed` says whether a beta raises the highest `max_tokens` of the model.
pub(super) fn max_tokens(params: Merged<'_>, model: Option<&Model>, may_exceed: bool) -> Result<u32, Fault> {
    let given = params.get_u64("max_tokens").ok_or_else(|| {
        let found = excerpt(params.get("max_tokens"));
        invalid(format!("max_tokens is {found}, not a whole number; write a whole number from 1 up"))
    })?;
    let cap = model.filter(|_| !may_exceed).map_or(u32::MAX, |model| model.max_output_tokens);
    match u32::try_from(given) {
        Ok(tokens) if tokens <= cap => Ok(tokens),
        Ok(_) | Err(_) => {
            let name = model.map_or("any model", |model| &model.id);
            Err(invalid(format!(
                "max_tokens is {given}, above the {cap} that {name} accepts; lower it in the row or with --max-tokens"
            )))
        }
    }
}

/// Checks that there is at least one message, and that there are not too many.
pub(super) fn messages(params: Merged<'_>, estimate: &Estimate) -> Result<(), Fault> {
    let Some(value) = params.get("messages") else {
        return Err(invalid("the row has no messages; give it a prompt or messages".to_owned()));
    };
    if first_byte(value.as_bytes()) != Some(b'[') {
        let found = excerpt(Some(value));
        return Err(invalid(format!("messages is {found}, not a list; write [{{\"role\":\"user\",\"content\":…}}]")));
    }
    match estimate.messages {
        0 => Err(invalid("messages is empty; a request needs at least one message".to_owned())),
        1..=MAX_MESSAGES => Ok(()),
        count => Err(invalid(format!("messages has {count} entries, above the API's {MAX_MESSAGES}; split the row"))),
    }
}

/// Checks that a request has no member that the provider rejects. The finder `refused` searches for the members that
/// the provider rejects.
pub(super) fn refused(
    provider: &str,
    rules: &RequestRules,
    refused: &MemberFinder,
    request: &[u8],
) -> Result<(), Fault> {
    let Some(found) = refused.find(request).into_iter().next() else { return Ok(()) };
    let member = quoted(&rules.refuse[found.path].0);
    let provider = shortened(provider);
    Err(invalid(format!(
        "{provider} does not take {member}; take it out of the row, choose another --provider, or let requests go without \
         it: `drop` in [providers.{provider}]"
    )))
}

/// Checks that the body of a request is not too large.
pub(super) fn body(body_bytes: usize) -> Result<(), Fault> {
    if body_bytes <= MAX_BODY_BYTES {
        return Ok(());
    }
    let size = too_large_words(body_bytes);
    Err(too_large(format!("the request is {size}; split the row, or refer to files by URL or file id")))
}

/// Checks that the input fits the model's context window. A row is rejected only if its lowest estimate is larger than
/// the window.
pub(super) fn window(params: Merged<'_>, estimate: &Estimate, model: Option<&Model>) -> Result<(), Fault> {
    let Some(model) = model.filter(|model| estimate.tokens.likely > model.context_tokens) else {
        return Ok(());
    };
    let least = least_input_tokens(params);
    if least <= u64::from(model.context_tokens) {
        return Ok(());
    }
    Err(too_large(format!(
        "the prompt has about {} tokens (certainly more than {least}), but {} accepts only {}; shorten it or choose a \
         model with a larger context window",
        estimate.tokens.likely, model.id, model.context_tokens
    )))
}

/// Returns the first characters of a value, for an error message.
fn excerpt(value: Option<&str>) -> String {
    const CHARS: usize = 40;
    let Some(value) = value else { return "missing".to_owned() };
    let mut shown: String = value.chars().take(CHARS).collect();
    if shown.len() < value.len() {
        // The result is ignored, because writing to a `String` can't fail.
        _ = write!(shown, "…");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::super::estimate::estimate;
    use super::super::tests::params;
    use super::*;
    use crate::catalog::{Catalog, TokenizerFamily, ToolPrompt};

    const HAIKU: &str = "claude-haiku-4-5";

    fn max_tokens_of(json: &str, may_exceed: bool) -> Result<u32, String> {
        let catalog = Catalog::builtin();
        max_tokens(Merged::from(&params(json)), catalog.model(HAIKU), may_exceed).map_err(|fault| fault.message)
    }

    #[test]
    fn max_tokens_ends_at_the_cap_of_the_model() {
        assert_eq!(max_tokens_of(r#"{"max_tokens":64000}"#, false), Ok(64_000));
        assert_eq!(max_tokens_of(r#"{"max_tokens":0}"#, false), Ok(0));
        assert_eq!(max_tokens_of(r#"{"max_tokens":300000}"#, true), Ok(300_000));
        assert_eq!(
            max_tokens_of(r#"{"max_tokens":128000}"#, false),
            Err("max_tokens is 128000, above the 64000 that claude-haiku-4-5-20251001 accepts; lower it in the row or with \
                 --max-tokens"
                .to_owned())
        );
    }

    #[test]
    fn max_tokens_is_a_whole_number() {
        for value in ["\"1024\"", "1024.0", "1e3", "-1", "null", "99999999999999999999"] {
            let outcome = max_tokens_of(&format!(r#"{{"max_tokens":{value}}}"#), false);
            assert_eq!(
                outcome,
                Err(format!("max_tokens is {value}, not a whole number; write a whole number from 1 up")),
                "{value}"
            );
        }
        assert!(max_tokens(Merged::from(&params(r#"{"max_tokens":4294967296}"#)), None, false).is_err());
        assert_eq!(max_tokens(Merged::from(&params(r#"{"max_tokens":4294967295}"#)), None, false), Ok(u32::MAX));
    }

    #[test]
    fn a_model_is_named_by_a_string() {
        assert_eq!(model_name(Merged::from(&params(r#"{"model":"a\u002db"}"#))), Ok("a-b".to_owned()));
        for value in ["5", "\"\"", "null", r#"["claude-haiku-4-5"]"#] {
            let fault =
                model_name(Merged::from(&params(&format!(r#"{{"model":{value}}}"#)))).expect_err("it is no name");
            assert_eq!(fault.class, ErrorClass::InvalidInput);
            assert!(fault.message.starts_with(&format!("model is {value}, ")), "{}", fault.message);
        }
    }

    #[test]
    fn messages_are_a_list_with_entries() {
        let fault = |json: &str| {
            let params = params(json);
            let estimate = estimate(&params, TokenizerFamily::Old, ToolPrompt::UNPUBLISHED);
            messages(Merged::from(&params), &estimate).err().map(|fault| fault.message)
        };

        assert_eq!(fault(r#"{"messages":[{"role":"user","content":""}]}"#), None);
        assert!(fault("{}").is_some_and(|message| message.starts_with("the row has no messages")));
        assert!(fault(r#"{"messages":[ ]}"#).is_some_and(|message| message.starts_with("messages is empty")));
        assert!(
            fault(r#"{"messages":"Hi"}"#).is_some_and(|message| message.starts_with("messages is \"Hi\", not a list"))
        );
        let many = format!(r#"{{"messages":[{}0]}}"#, "0,".repeat(100_000));
        assert!(fault(&many).is_some_and(|message| message.starts_with("messages has 100001 entries")));
    }

    #[test]
    fn a_body_of_32_mb_passes_and_a_larger_body_does_not() {
        assert_eq!(body(MAX_BODY_BYTES), Ok(()));
        let fault = body(40 << 20).expect_err("it is too large");
        assert_eq!(fault.class, ErrorClass::TooLarge);
        assert!(fault.message.starts_with("the request is 40.0 MB, above the API's 32 MB"), "{}", fault.message);
    }

    #[test]
    fn only_a_prompt_that_certainly_exceeds_the_window_is_rejected() {
        let catalog = Catalog::builtin();
        let outcome = |name: &str, text: &str| {
            let params = params(&format!(r#"{{"messages":[{{"content":"{text}"}}]}}"#));
            let estimate = estimate(&params, TokenizerFamily::Old, ToolPrompt::UNPUBLISHED);
            window(Merged::from(&params), &estimate, catalog.model(name)).map_err(|fault| fault.message)
        };
        // This text has about 290,000 tokens by the estimate, and at least 167,000 tokens.
        let doubtful = "some words of a prompt ".repeat(43_500);
        let hopeless = "some words of a prompt ".repeat(60_000);

        assert_eq!(outcome(HAIKU, &doubtful), Ok(()));
        assert_eq!(outcome("claude-sonnet-4-6", &hopeless), Ok(()));
        assert_eq!(outcome("my-proxy-model", &hopeless), Ok(()));
        assert_eq!(outcome(HAIKU, &" ".repeat(20_000_000)), Ok(()), "blanks may be cut into long tokens");
        let message = outcome(HAIKU, &hopeless).expect_err("it is too long");
        assert!(message.contains("but claude-haiku-4-5-20251001 accepts only 200000"), "{message}");
    }

    #[test]
    fn pictures_do_not_make_a_prompt_certainly_too_long() {
        let catalog = Catalog::builtin();
        let block = r#"{"type":"image","source":{"type":"url","url":"u"}},"#.repeat(600);
        let params = params(&format!(r#"{{"messages":[{{"content":[{block}0]}}]}}"#));
        let estimate = estimate(&params, TokenizerFamily::Old, ToolPrompt::UNPUBLISHED);

        assert!(estimate.tokens.likely > 200_000);
        assert_eq!(window(Merged::from(&params), &estimate, catalog.model(HAIKU)), Ok(()));
    }

    #[test]
    fn a_message_shows_only_the_start_of_a_value() {
        let long = format!("\"{}\"", "ä".repeat(100));

        assert_eq!(excerpt(Some(&long)), format!("\"{}…", "ä".repeat(39)));
        assert_eq!(excerpt(None), "missing");
    }
}
