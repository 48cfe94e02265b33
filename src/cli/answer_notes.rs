//! Makes notes to print before a run: how a schema is sent, and how many extra requests the rules for answers can
//! cause.

use std::collections::BTreeMap;

use super::config::AnswerConfig;
use crate::answer::{OnInvalid, OnRefusal, OnTruncate};
use crate::catalog::Catalog;
use crate::domain::json::string_value;
use crate::domain::{Merged, Money, Params, ProviderFeatures, SchemaMethod};
use crate::report::text::{escape, plural};

/// A note lists at most this number of models, and at most this number of schema changes.
const MOST: usize = 2;

/// Returns at most three notes about answers, to print before the run. `params` are the parameters of all rows
/// (`--param`). `known` is the part of the expected cost that is for follow-ups.
pub(super) fn notes<'m>(
    config: &AnswerConfig,
    params: &Params,
    models: impl Iterator<Item = &'m str>,
    catalog: &Catalog,
    features: ProviderFeatures,
    known: Money,
) -> Vec<String> {
    let mut notes = schema_notes(config, params, models, catalog, features);
    notes.extend(follow_up_words(config, known).map(|words| format!("note: {words}")));
    notes
}

/// Returns notes that say how the schema is sent to each model in `models`, and how the schema is changed for the API.
pub(super) fn schema_notes<'m>(
    config: &AnswerConfig,
    params: &Params,
    models: impl Iterator<Item = &'m str>,
    catalog: &Catalog,
    features: ProviderFeatures,
) -> Vec<String> {
    let Some(schema) = &config.schema else { return Vec::new() };
    let mut methods: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut is_changed = false;
    for model in models {
        let mut params = params.clone();
        params.set("model", string_value(model));
        let schema_method = SchemaMethod::of(schema, catalog.model(model), features, Merged::from(&params));
        is_changed |= matches!(schema_method, SchemaMethod::Format | SchemaMethod::StrictTool);
        methods.entry(method_words(schema_method)).or_default().push(model);
    }
    let sent: Vec<_> = methods.iter().map(|(words, models)| format!("{words} ({})", listed(models))).collect();
    let sent = (!sent.is_empty()).then(|| {
        format!(
            "note: --schema is sent as {}; if the parameters of a row forbid this form, the row gets the next best \
             form",
            sent.join(", ")
        )
    });
    // If no model gets the schema as structured output, the list of changes has one entry, which says why.
    let changes = schema.changes();
    let is_told = is_changed || changes.len() == 1;
    let changed = (is_told && !changes.is_empty()).then(|| format!("note: --schema: {}", listed_changes(changes)));
    sent.into_iter().chain(changed).collect()
}

/// Returns a text that says how many extra requests per row the rules can cause, and whether the expected cost includes
/// them; `None` if the rules cause no extra requests. `known` is the part of the expected cost that is for follow-ups.
pub(super) fn follow_up_words(config: &AnswerConfig, known: Money) -> Option<String> {
    let after_invalid = config.is_checked()
        && match config.on_invalid {
            OnInvalid::Repair | OnInvalid::Retry => true,
            OnInvalid::Fail | OnInvalid::Keep => false,
        };
    let after_cut = match config.on_truncate {
        OnTruncate::Grow { .. } | OnTruncate::Continue => true,
        OnTruncate::Keep | OnTruncate::Fail => false,
    };
    let after_refusal = match config.on_refusal {
        OnRefusal::Model(_) => true,
        OnRefusal::Keep | OnRefusal::Fail => false,
    };
    let sends_more = config.max_follow_ups > 0 && (after_invalid || after_cut || after_refusal);
    let most = plural(config.max_follow_ups.into(), "more request", "more requests");
    match (sends_more, known > Money::ZERO) {
        (true, false) => Some(format!(
            "the cost is for one answer per row; follow-ups can add up to {most} per row (--max-follow-ups)"
        )),
        (true, true) => Some(format!(
            "the cost includes about {known} for follow-ups, as in earlier answers; up to {most} per row are possible \
             (--max-follow-ups)"
        )),
        (false, true) => Some(format!("the cost includes about {known} for follow-ups, as in earlier answers")),
        (false, false) => None,
    }
}

fn method_words(schema_method: SchemaMethod) -> &'static str {
    match schema_method {
        SchemaMethod::Format => "structured output",
        SchemaMethod::StrictTool => "a strict tool",
        SchemaMethod::Tool => "a tool that must be called",
        SchemaMethod::Instruction => "an instruction in the system prompt",
    }
}

fn listed(models: &[&str]) -> String {
    let shown: Vec<_> = models.iter().take(MOST).map(|model| escape(model).into_owned()).collect();
    let more = models.len().saturating_sub(MOST);
    let more = if more == 0 { String::new() } else { format!(" and {}", plural(more as u64, "other", "others")) };
    format!("{}{more}", shown.join(", "))
}

fn listed_changes(changes: &[String]) -> String {
    let shown: Vec<_> = changes.iter().take(MOST).map(|change| escape(change).into_owned()).collect();
    let more = changes.len().saturating_sub(MOST);
    let more =
        if more == 0 { String::new() } else { format!("; and {}", plural(more as u64, "more change", "more changes")) };
    format!("{}{more}", shown.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::schema::Schema;

    fn config(schema: Option<&str>) -> AnswerConfig {
        AnswerConfig {
            schema: schema.map(|text| Schema::parse(text).expect("it is a schema")),
            expect: None,
            require: Vec::new(),
            on_invalid: OnInvalid::Repair,
            on_truncate: OnTruncate::Fail,
            on_refusal: OnRefusal::Fail,
            max_follow_ups: 2,
        }
    }

    fn told(config: &AnswerConfig, params: &str, models: &[&str]) -> Vec<String> {
        let params = Params::of_object(params).expect("it is an object");
        notes(config, &params, models.iter().copied(), &Catalog::builtin(), ProviderFeatures::ALL, Money::ZERO)
    }

    #[test]
    fn a_run_with_a_schema_says_how_it_is_sent_and_what_is_changed_and_how_many_requests_may_follow() {
        let schema = r#"{"type":"object","properties":{"age":{"type":"integer","minimum":0}}}"#;
        let models = ["claude-haiku-4-5", "claude-opus-4-20250514", "claude-opus-5", "claude-sonnet-5"];

        let notes = told(&config(Some(schema)), "{}", &models);

        assert_eq!(notes.len(), 3, "{notes:?}");
        assert_eq!(
            notes[0],
            "note: --schema is sent as a tool that must be called (claude-opus-4-20250514), structured output \
             (claude-haiku-4-5, claude-opus-5 and 1 other); if the parameters of a row forbid this form, the row gets the next best form"
        );
        assert!(notes[1].starts_with("note: --schema: ") && notes[1].contains("minimum"), "{}", notes[1]);
        assert_eq!(
            notes[2],
            "note: the cost is for one answer per row; follow-ups can add up to 2 more requests per row (--max-follow-ups)"
        );
    }

    #[test]
    fn a_schema_that_the_api_does_not_take_says_why() {
        let notes =
            told(&config(Some(r##"{"type":"object","properties":{"a":{"$ref":"#"}}}"##)), "{}", &["claude-haiku-4-5"]);

        assert!(notes[0].contains("a tool that must be called (claude-haiku-4-5)"), "{notes:?}");
        assert!(notes[1].contains("so it is not sent as structured output"), "{notes:?}");
    }

    #[test]
    fn parameters_of_all_rows_decide_how_a_schema_is_sent() {
        let schema = Some(r#"{"type":"object"}"#);
        let thinking = r#"{"thinking":{"type":"enabled","budget_tokens":1024}}"#;

        let notes = told(&config(schema), thinking, &["claude-opus-4-20250514"]);

        assert!(notes[0].contains("an instruction in the system prompt"), "{notes:?}");
    }

    #[test]
    fn rules_that_send_no_more_requests_get_no_note() {
        let plain = config(None);
        let kept = AnswerConfig { max_follow_ups: 0, on_truncate: OnTruncate::Continue, ..plain.clone() };
        let grown =
            AnswerConfig { max_follow_ups: 1, on_truncate: OnTruncate::Grow { max_tokens: None }, ..plain.clone() };
        let other = AnswerConfig { on_refusal: OnRefusal::Model("claude-opus-5".to_owned()), ..plain.clone() };

        assert!(told(&plain, "{}", &["claude-haiku-4-5"]).is_empty());
        assert!(told(&kept, "{}", &["claude-haiku-4-5"]).is_empty());
        assert!(told(&grown, "{}", &[])[0].contains("up to 1 more request per row"));
        assert_eq!(told(&other, "{}", &[]).len(), 1);
    }

    #[test]
    fn follow_ups_that_are_known_from_earlier_answers_are_part_of_the_cost() {
        let plain = config(None);
        let grown = AnswerConfig { on_truncate: OnTruncate::Continue, ..plain.clone() };

        let known = [&grown, &plain].map(|config| follow_up_words(config, Money::from_dollars(0.07)));

        let about = "the cost includes about $0.0700 for follow-ups, as in earlier answers";
        let most = "; up to 2 more requests per row are possible (--max-follow-ups)";
        assert_eq!(known, [Some(format!("{about}{most}")), Some(about.to_owned())]);
    }
}
