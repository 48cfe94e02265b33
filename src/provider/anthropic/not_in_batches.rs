//! Finds those members of a request that the API rejects in batches.
//!
//! This module checks requests before they are sent, because the API checks a request of a batch only when it processes
//! the request. Without this check, the user would learn hours later that the API had rejected every request because of
//! a member.
//!
//! Source: API documentation, "Batch processing" (2026-09-20); changes of the official Python client 2.10.0
//! (`billing_policy`). The documentation also mentions hints for caches and contexts, and flags of research previews.
//! The documentation does not name the members for these hints and flags, so the program does not check these members.

use crate::domain::json::{Cursor, DEEPEST};

/// Returns the name of the first member that the API rejects in batches. Returns `None` if there is no such member, or
/// if the request can't be read.
pub(super) fn first(json: &[u8]) -> Option<&'static str> {
    let mut found = None;
    let _ = Cursor::new(json).object(|cursor, name| {
        let value = cursor.value(DEEPEST)?;
        found = refused(name, value);
        // The pass over the members stops at the first member that the API rejects.
        found.is_none().then_some(())
    });
    found
}

fn refused(name: &[u8], value: &[u8]) -> Option<&'static str> {
    let is_given = value != b"null";
    let (name, is_refused) = match name {
        b"stream" => ("stream", value == b"true"),
        b"speed" => ("speed", is_given),
        b"max_tokens" => ("max_tokens", is_below_one(value)),
        b"fallbacks" => ("fallbacks", is_given),
        b"thread" => ("thread", is_given),
        b"billing_policy" => ("billing_policy", bills_the_user(value)),
        _ => return None,
    };
    is_refused.then_some(name)
}

fn is_below_one(value: &[u8]) -> bool {
    let number = str::from_utf8(value).ok().and_then(|text| text.parse::<f64>().ok());
    number.is_some_and(|number| number < 1.0)
}

/// Returns whether the member `billing_policy` bills the profile of a user.
fn bills_the_user(value: &[u8]) -> bool {
    let mut bills = false;
    let _ = Cursor::new(value).object(|cursor, name| {
        let value = cursor.value(DEEPEST)?;
        bills |= name == b"bill_to" && value == br#""user_profile""#;
        Some(())
    });
    bills
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refused_member_is_named() {
        for (member, name) in [
            (r#""stream":true"#, "stream"),
            (r#""speed":"fast""#, "speed"),
            (r#""speed":"standard""#, "speed"),
            (r#""max_tokens":0"#, "max_tokens"),
            (r#""max_tokens":-1"#, "max_tokens"),
            (r#""max_tokens":0.0"#, "max_tokens"),
            (r#""fallbacks":"default""#, "fallbacks"),
            (r#""fallbacks":[]"#, "fallbacks"),
            (r#""thread":{"id":"t"}"#, "thread"),
            (r#""billing_policy":{"x":[1],"bill_to":"user_profile"}"#, "billing_policy"),
        ] {
            for json in [format!("{{{member}}}"), format!(r#"{{ "model":"m", {member} ,"messages":[]}}"#)] {
                assert_eq!(first(json.as_bytes()), Some(name), "{json}");
            }
        }
    }

    #[test]
    fn members_that_batches_accept_are_not_named() {
        for json in [
            r#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"speed","speed":"fast"}]}"#,
            r#"{"stream":false,"speed":null,"fallbacks":null,"thread":null,"max_tokens":null}"#,
            r#"{"max_tokens":8192,"metadata":{"stream":true},"cache_control":{"type":"ephemeral"}}"#,
            r#"{"billing_policy":{"bill_to":"organization"}}"#,
            r#"{"billing_policy":"user_profile"}"#,
            r#"{"max_tokens":"0"}"#,
            "{}",
            "",
            "[]",
        ] {
            assert_eq!(first(json.as_bytes()), None, "{json}");
        }
    }

    #[test]
    fn the_first_of_several_members_is_named() {
        assert_eq!(first(br#"{"thread":{},"speed":"fast"}"#), Some("thread"));
    }
}
