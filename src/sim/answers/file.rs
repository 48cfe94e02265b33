//! Reads an answer file.

use serde_json::value::RawValue;

use super::rule::{AnswerPlan, AnswerRule, Content, Refusal};
use super::values::{Breach, Calls, Refused, Truncated, Turns};
use crate::sim::rules::{Rule, RuleFileError, Selection, fields, read};

impl AnswerPlan {
    /// Reads the text of an answer file. `name` is the name of the file in error messages.
    ///
    /// # Errors
    /// Returns `RuleFileError` for broken JSON, an unknown field, a value out of range, or fields that exclude each
    /// other.
    pub fn parse(text: &str, name: &str) -> Result<Self, RuleFileError> {
        let (seed, rules) = read(text, name)?;
        Ok(Self { seed, rules })
    }
}

fields! {
    /// The fields that rules have only in answer files, and not in fault files.
    AnswerFields {
        "turn" turn: Turns,
        "max_tokens_below" max_tokens_below: u64,
        "text" text: String,
        "json" json: Box<RawValue>,
        "tool" tool: Calls,
        "schema" schema: Breach,
        "stop_reason" stop_reason: String,
        "truncated" truncated: Truncated,
        "refusal" refusal: Refused,
        "after" after: u64,
        "thinking" thinking: u64,
    }
}

impl Rule for AnswerRule {
    type Own = AnswerFields;
    const FORM: &'static str = "an object with `text`, `json`, `tool` or another answer";

    fn from_fields(selection: Selection, own: AnswerFields) -> Result<Self, String> {
        let truncated = own.truncated.and_then(|Truncated(part)| part);
        let refusal = own.refusal.and_then(|Refused(category)| category);
        if own.after.is_some() && refusal.is_none() {
            return Err("field `after`: add `refusal`, which comes after these tokens".to_owned());
        }
        if refusal.is_some() && (truncated.is_some() || own.stop_reason.is_some()) {
            return Err("field `refusal`: leave out `truncated` and `stop_reason`".to_owned());
        }
        let rule = Self {
            selection,
            turns: own.turn.map_or_else(Vec::new, |Turns(turns)| turns),
            max_tokens_below: own.max_tokens_below,
            content: content(own.text, own.json, own.tool, own.schema)?,
            stop_reason: own.stop_reason,
            truncated,
            refusal: refusal.map(|category| Refusal { category, after: own.after.unwrap_or(0) }),
            thinking: own.thinking,
        };
        let is_empty = rule.content == Content::Usual
            && (rule.stop_reason.is_none() && rule.truncated.is_none())
            && (rule.refusal.is_none() && rule.thinking.is_none());
        if is_empty {
            return Err("a rule needs at least one of `text`, `json`, `tool`, `schema`, `stop_reason`, `truncated`, \
                        `refusal` and `thinking`"
                .to_owned());
        }
        Ok(rule)
    }
}

fn content(
    text: Option<String>,
    json: Option<Box<RawValue>>,
    calls: Option<Calls>,
    schema: Option<Breach>,
) -> Result<Content, String> {
    let has_content = text.is_some() || json.is_some() || calls.is_some();
    match schema {
        Some(_) if has_content => return Err("field `schema`: leave out `text`, `json` and `tool`".to_owned()),
        Some(Breach::Broken) => return Ok(Content::BrokenSchema),
        Some(Breach::NotJson) => return Ok(Content::NotJson),
        None if !has_content => return Ok(Content::Usual),
        None => {}
    }
    let text = match (text, json) {
        (Some(_), Some(_)) => return Err("field `json`: leave out `text`, an answer has only one of them".to_owned()),
        (text, None) => text.unwrap_or_default(),
        (None, Some(json)) => json.get().to_owned(),
    };
    Ok(Content::Said { text, calls: calls.unwrap_or_default().0 })
}

#[cfg(test)]
mod tests {
    use super::super::rule::ToolCall;
    use super::*;

    #[test]
    fn every_field_of_a_rule_is_read() {
        let plan = parse(
            r#"{"seed": 7, "rules": [
                {"text": "x", "tool": {"name": "look", "input": {"a": 1}}, "turn": 1, "max_tokens_below": 9,
                 "stop_reason": "pause_turn", "truncated": 0.25, "thinking": 30, "share": 0.5},
                {"json": {"b": 1, "a": [ 2 ]}, "turn": [2, 3]}, {"schema": "broken"}, {"schema": "not_json"},
                {"refusal": "cyber", "after": 12}, {"refusal": true}, {"truncated": true}, {"text": "", "truncated": false}
            ]}"#,
        );

        let rules = &plan.rules;
        let calls = vec![ToolCall { name: "look".to_owned(), input: r#"{"a":1}"#.to_owned() }];
        assert_eq!(plan.seed, Some(7));
        assert_eq!(
            rules[0],
            AnswerRule {
                selection: Selection { share: 0.5, ..Selection::default() },
                turns: vec![1],
                max_tokens_below: Some(9),
                content: Content::Said { text: "x".to_owned(), calls },
                stop_reason: Some("pause_turn".to_owned()),
                truncated: Some(0.25),
                refusal: None,
                thinking: Some(30),
            }
        );
        let json = Content::Said { text: r#"{"b": 1, "a": [ 2 ]}"#.to_owned(), calls: Vec::new() };
        assert_eq!((&rules[1].content, &rules[1].turns), (&json, &vec![2, 3]));
        assert_eq!((&rules[2].content, &rules[3].content), (&Content::BrokenSchema, &Content::NotJson));
        let refusals: Vec<_> = rules[4..6].iter().map(|rule| rule.refusal.clone()).collect();
        let cyber = Refusal { category: Some("cyber".to_owned()), after: 12 };
        assert_eq!(refusals, [Some(cyber), Some(Refusal::default())]);
        assert_eq!((rules[6].truncated, rules[7].truncated), (Some(0.5), None));
        assert_eq!(rules[7].content, Content::Said { text: String::new(), calls: Vec::new() });
    }

    #[test]
    fn the_examples_of_the_documentation_are_answer_files() {
        let doc: String = include_str!("mod.rs").lines().map(|line| line.get(4..).unwrap_or_default()).collect();
        let examples: Vec<&str> = doc.split("```json").skip(1).filter_map(|rest| rest.split("```").next()).collect();

        assert_eq!(examples.iter().map(|example| parse(example).rules.len()).collect::<Vec<_>>(), [7, 3]);
    }

    #[test]
    fn errors_name_line_and_field() {
        let cases = [
            ("{\"rules\":[\n{\"txt\":\"a\"}]}", 2, "unknown field `txt`; write some of turn, max_tokens_below, text"),
            ("{\"rules\":[\n\n{\"text\":1}]}", 3, "field `text`"),
            ("{\"rules\":[\n{\"text\":\"a\",\"turn\":0}]}", 2, "field `turn`: found 0, turns are counted from 1"),
            ("{\"rules\":[\n{\"text\":\"a\",\"share\":2}]}", 2, "field `share`: found 2, must be from 0 to 1"),
            ("{\"rules\":[\n{\"truncated\":1.5}]}", 2, "field `truncated`: found 1.5, must be from 0 to 1"),
            ("{\"rules\":[\n{\"tool\":{\"input\":{}}}]}", 2, "field `tool`: missing field `name`"),
            ("{\"rules\":[\n{\"tool\":{\"name\":\"a\",\"input\":[]}}]}", 2, "field `tool`: field `input`"),
            ("{\"rules\":[\n{\"tool\":[{\"name\":\"a\",\"args\":1}]}]}", 2, "args"),
            ("{\"rules\":[\n{\"schema\":\"bad\"}]}", 2, "field `schema`: found \"bad\", write \"broken\""),
            ("{\"rules\":[\n{\"schema\":\"broken\",\"text\":\"a\"}]}", 2, "field `schema`: leave out `text`"),
            ("{\"rules\":[\n{\"json\":1,\"text\":\"a\"}]}", 2, "field `json`: leave out `text`"),
            ("{\"rules\":[\n{\"text\":\"a\",\"after\":3}]}", 2, "field `after`: add `refusal`"),
            ("{\"rules\":[\n{\"refusal\":true,\"truncated\":true}]}", 2, "field `refusal`: leave out"),
            ("{\"rules\":[\n{\"refusal\":3}]}", 2, "field `refusal`"),
            ("{\"rules\":[\n{\"contains\":\"a\"}]}", 2, "a rule needs at least one of `text`"),
            ("{\"rule\":1}", 1, "rule"),
        ];

        for (text, line, part) in cases {
            let error = AnswerPlan::parse(text, "answers.json").expect_err("the file is bad");
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }

    fn parse(text: &str) -> AnswerPlan {
        AnswerPlan::parse(text, "answers.json").expect("the file is good")
    }
}
