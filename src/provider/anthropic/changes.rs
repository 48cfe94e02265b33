//! Changes the requests that go to a provider: replaces the name of the model, and removes JSON members that the
//! provider does not accept.

use std::sync::Arc;

use bytes::Bytes;

use crate::domain::json::{unescaped, write_json_str};
use crate::domain::{MemberFinder, RequestRules, top_level_value};
use crate::provider::Splice;

/// The changes that are made in all requests to a provider.
#[derive(Clone, Debug)]
pub(super) struct Changes {
    rules: Arc<RequestRules>,
    dropped: MemberFinder,
}

impl Changes {
    /// Returns the changes that `rules` make; `None` if the rules change nothing.
    pub(super) fn new(rules: Arc<RequestRules>) -> Option<Self> {
        let RequestRules { models, model_prefix, drop, refuse: _ } = &*rules;
        let is_empty = models.is_empty() && model_prefix.is_empty() && drop.is_empty();
        let dropped = MemberFinder::new(drop);
        (!is_empty).then_some(Self { rules, dropped })
    }

    /// Returns the changes that are made in one request.
    pub(super) fn of(&self, json: &[u8]) -> Vec<Splice> {
        let found = self.dropped.find(json);
        let model = self.model(json).filter(|model| !found.iter().any(|found| found.cut.contains(&model.at)));
        found.into_iter().map(|found| Splice::replace(found.cut, Bytes::new())).chain(model).collect()
    }

    fn model(&self, json: &[u8]) -> Option<Splice> {
        let place = top_level_value(json, "model")?;
        let ours = unescaped(&json[place.clone()])?;
        let theirs = self.rules.model(&ours);
        if theirs == ours {
            return None;
        }
        let mut text = Vec::with_capacity(theirs.len() + 2);
        write_json_str(&theirs, &mut text);
        Some(Splice::replace(place, text))
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::body;
    use super::*;
    use crate::domain::{
        Caching, Level, MarkPlace, Marked, Marks, MemberPath, Money, Params, PrefixId, Prefixes, Request,
    };

    fn rules(models: &[(&str, &str)], prefix: &str, drop: &[&str]) -> Option<Changes> {
        let models = models.iter().map(|(ours, theirs)| ((*ours).into(), (*theirs).into())).collect();
        let drop = drop.iter().map(|path| MemberPath((*path).into())).collect();
        Changes::new(Arc::new(RequestRules { models, model_prefix: prefix.into(), drop, refuse: Vec::new() }))
    }

    fn sent(json: &str, marked: Option<&Marked>, changes: Option<&Changes>) -> String {
        let params = Params::of_object(json).expect("the test writes an object");
        let request = Request::of(&params);
        let changes = changes.map(|changes| changes.of(request.json())).unwrap_or_default();
        let body = body(&request, marked, true, changes);
        let pieces: Vec<u8> = body.clone().into_pieces().concat();
        assert_eq!((body.len(), &body.into_bytes()[..]), (pieces.len(), &pieces[..]));
        String::from_utf8(pieces).expect("a body is UTF-8")
    }

    #[test]
    fn without_changes_there_are_no_rules_for_changes() {
        assert!(rules(&[], "", &[]).is_none());
    }

    #[test]
    fn the_model_gets_the_name_that_the_provider_knows() {
        let changes = rules(&[("mine", "their \"own\"")], "anthropic.", &[]);

        for (ours, theirs) in [
            (r#""claude-opus-5""#, r#""anthropic.claude-opus-5""#),
            (r#""mine""#, r#""their \"own\"""#),
            (r#""m\u0069ne""#, r#""their \"own\"""#),
            (r#""other""#, r#""other""#),
            ("7", "7"),
        ] {
            let json = format!(r#"{{"metadata":{{"model":"mine"}},"model":{ours},"max_tokens":1}}"#);
            let expected =
                format!(r#"{{"metadata":{{"model":"mine"}},"model":{theirs},"max_tokens":1,"stream":true}}"#);
            assert_eq!(sent(&json, None, changes.as_ref()), expected);
        }
    }

    #[test]
    fn a_dropped_member_is_left_out_with_the_mark_inside_it() {
        let json = r#"{"model":"claude-x","tools":[{"name":"t"}],"system":"Be kind.","messages":[]}"#;
        let at = |text: &str| json.find(text).expect("it is there") as u32;
        let levels = [
            MarkPlace::Block { brace: at(r#""t"}"#) + 3 },
            MarkPlace::Text { start: at(r#""Be"#), end: at("kind.") + 6 },
        ];
        let level = |(id, place)| Level { id: PrefixId(id), tokens: 2_000, place, lifetime: Caching::FiveMinutes };
        let prefixes = Prefixes {
            levels: (0..).zip(levels).map(level).collect(),
            least_tokens: 1_024,
            extra_most: [Money::ZERO; 2],
        };
        let marked = Marked { prefixes: prefixes.into(), marks: Marks::NONE.with(0).with(1) };
        let mark = r#","cache_control":{"type":"ephemeral"}"#;
        let tools = format!(r#""tools":[{{"name":"t"{mark}}}],"#);
        let system = format!(r#""system":[{{"type":"text","text":"Be kind."{mark}}}],"#);

        for (drop, tools, system) in [
            (&["none"][..], &*tools, &*system),
            (&["tools"], "", &system),
            (&["system"], &tools, ""),
            (&["tools[name=t]"], "", &system),
            (&["tools[].name", "system"], "", ""),
            (&["messages"], &tools, &system),
        ] {
            let messages = if drop == ["messages"] { "" } else { r#""messages":[],"# };
            let expected = format!(r#"{{"model":"a/claude-x",{tools}{system}{messages}"stream":true}}"#);
            assert_eq!(sent(json, Some(&marked), rules(&[], "a/", drop).as_ref()), expected, "{drop:?}");
        }
    }
}
