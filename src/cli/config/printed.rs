//! Reads the key that a command printed, or that a file or variable contains.
//!
//! A command can print the key alone, or a JSON object:
//!
//! ```json
//! {"token": "…", "expires_at": "2026-11-27T12:00:00Z"}
//! ```
//!
//! - The key is in the member `token`, `api_key`, `key`, `access_token` or `accessToken`.
//! - One of these members says when the key expires: `expires_at` (a time in RFC 3339, or seconds since 1970),
//!   `expires_on` (like `expires_at`), or `expires_in` (seconds from now). The command can leave out the members about
//!   the expiry.
//!
//! OAuth 2 (RFC 6749) and `az account get-access-token` use some of these member names, so the output of many commands
//! can be used unchanged. All other members are ignored.
//!
//! No message contains any part of the key, even if the key is malformed.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

/// A time of at least this value is in milliseconds since 1970. If such a number were in seconds, it would mean the
/// year 5138 or later.
const MILLISECONDS: i64 = 100_000_000_000;

/// A key that was printed, and how long it can be used.
#[derive(Debug)]
pub(super) struct Printed {
    pub(super) key: SecretString,
    /// How long the key can be used; `None` if the output does not say.
    pub(super) life: Option<Duration>,
}

/// The members of the JSON object that the program reads.
#[derive(Deserialize)]
struct Members {
    token: Option<String>,
    api_key: Option<String>,
    key: Option<String>,
    access_token: Option<String>,
    #[serde(rename = "accessToken")]
    azure: Option<String>,
    expires_at: Option<Value>,
    expires_on: Option<Value>,
    expires_in: Option<Value>,
}

/// Reads the key from the output of a command or from the reply of a server. `from` is the name that messages show for
/// the command or server.
///
/// # Errors
/// Fails if the JSON can't be read, or if the output has no key, two different keys or an expired key.
pub(super) fn printed(from: &str, output: &[u8], now: Timestamp) -> Result<Printed> {
    let text = std::str::from_utf8(output).map_err(|_| anyhow!("{from} printed no text"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    match text.as_bytes().first() {
        None => bail!("{from} printed nothing; it should print a key"),
        Some(b'{') => of_json(from, text, now),
        Some(b'[' | b'"') => {
            bail!("{from} printed JSON that is not an object; it should print a bare key, or {{\"token\": \"…\"}}")
        }
        Some(_) if text.contains('\n') => {
            bail!("{from} printed {} lines; it should print one key, or a JSON object", text.lines().count())
        }
        Some(_) => Ok(Printed { key: checked(text, &format!("what {from} printed"))?, life: None }),
    }
}

fn of_json(from: &str, text: &str, now: Timestamp) -> Result<Printed> {
    // The text of the JSON error may contain the key, so the message shows only the line and the column.
    let members: Members = serde_json::from_str(text).map_err(|error| {
        let what = if error.is_data() {
            "JSON with a member of the wrong type, or with a member that occurs twice"
        } else {
            "broken JSON"
        };
        anyhow!("{from} printed {what} (line {}, column {})", error.line(), error.column())
    })?;
    let Members { token, api_key, key, access_token, azure, expires_at, expires_on, expires_in } = members;
    let keys = [token, api_key, key, access_token, azure].map(|key| key.map(Zeroizing::new));
    let mut keys = keys.into_iter().flatten();
    let Some(key) = keys.next() else {
        bail!("{from} printed JSON without a key; it should have a member named token, api_key, key or access_token")
    };
    if keys.any(|other| other != key) {
        bail!("{from} printed JSON with two different keys; leave one of them out");
    }
    let key = checked(&key, &format!("what {from} printed"))?;
    let ends = [("expires_at", expires_at), ("expires_on", expires_on), ("expires_in", expires_in)];
    let end = ends.into_iter().find_map(|(name, value)| Some((name, value.filter(|value| !value.is_null())?)));
    let life = end.map(|(name, value)| life(name, &value, now).with_context(|| format!("what {from} printed")));
    Ok(Printed { key, life: life.transpose()? })
}

/// Reads the value of the member `name`, and returns how long the key can be used.
fn life(name: &str, value: &Value, now: Timestamp) -> Result<Duration> {
    let number = match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    if name == "expires_in" {
        let seconds = number.with_context(|| format!("{name} is not a number of seconds"))?;
        return until(now.saturating_add(SignedDuration::from_secs(seconds))?, name, now);
    }
    let end = match (number, value) {
        (Some(number), _) if number >= MILLISECONDS => bail!("{name} is in milliseconds; give seconds"),
        (Some(number), _) => Timestamp::from_second(number).ok(),
        (None, Value::String(text)) => text.trim().parse().ok(),
        (None, _) => None,
    };
    let wanted = "not a time such as 2026-11-27T12:00:00Z or a number of seconds since 1970";
    until(end.with_context(|| format!("{name} is {wanted}"))?, name, now)
}

/// Returns the time from `now` until `end`.
///
/// # Errors
/// Fails if `end` is in the past.
pub(super) fn until(end: Timestamp, name: &str, now: Timestamp) -> Result<Duration> {
    let left = end.duration_since(now);
    match Duration::try_from(left) {
        Ok(left) if !left.is_zero() => Ok(left),
        Ok(_) | Err(_) => bail!(
            "{name} is {end:.0}, which was {:#} ago; renew the login, or correct the clock of this machine",
            SignedDuration::from_secs(left.abs().as_secs())
        ),
    }
}

/// Returns a key without the line break at its end. In messages, `from` is the place where the key was found.
///
/// # Errors
/// Fails if the text can't be a key. The error message does not show the text.
pub(super) fn checked(text: &str, from: &str) -> Result<SecretString> {
    let key = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    if key.is_empty() {
        bail!("{from} is empty; it should hold a key");
    }
    if let Some(at) = key.bytes().position(|byte| !byte.is_ascii_graphic()) {
        let what = match key.as_bytes()[at] {
            b'\n' | b'\r' => "a line break",
            b' ' | b'\t' => "a blank",
            byte if byte.is_ascii() => "a control character",
            _ => "a character that is not ASCII",
        };
        bail!("the key in {from} has {what} at position {}; copy it again", at + 1);
    }
    Ok(SecretString::from(key))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const NOW: &str = "2026-11-27T09:00:00Z";

    fn read(output: &str) -> Result<(String, Option<u64>), String> {
        let read = printed("--api-key-cmd", output.as_bytes(), NOW.parse().expect("a time"));
        let read = read.map_err(|error| format!("{error:#}"))?;
        Ok((read.key.expose_secret().to_owned(), read.life.map(|life| life.as_secs())))
    }

    #[test]
    fn a_bare_key_has_no_known_end() {
        for output in ["sk-1", " sk-1\r\n", "\u{feff}sk-1\n"] {
            assert_eq!(read(output), Ok(("sk-1".to_owned(), None)), "{output:?}");
        }
    }

    #[test]
    fn json_gives_the_key_and_its_end() {
        for (output, life) in [
            (r#"{"token":"k"}"#, None),
            (r#"{"api_key":"k","expires_at":null}"#, None),
            (r#"{"key":"k","expires_at":"2026-11-27T09:10:00Z"}"#, Some(600)),
            (r#"{"token":"k","expires_at":"2026-11-27T10:10:00.000+01:00"}"#, Some(600)),
            (r#"{"token":"k","expires_at":1795770600}"#, Some(600)),
            (r#"{"token":"k","expires_at":"1795770600"}"#, Some(600)),
            (r#"{"access_token":"k","expires_in":3599,"token_type":"Bearer"}"#, Some(3599)),
            (r#"{"access_token":"k","expires_in":"3599"}"#, Some(3599)),
            (r#"{"access_token":"k","expires_in":59.9}"#, Some(59)),
            (r#"{"accessToken":"k","expiresOn":"2026-11-27 10:10:00.000000","expires_on":1795770600}"#, Some(600)),
            ("{\n  \"token\": \"k\",\n  \"key\": \"k\"\n}\n", None),
        ] {
            assert_eq!(read(output), Ok(("k".to_owned(), life)), "{output}");
        }
    }

    #[test]
    fn each_fault_of_an_output_has_its_message_without_the_key() {
        for (output, message) in [
            ("", "--api-key-cmd printed nothing; it should print a key"),
            (" \n", "--api-key-cmd printed nothing; it should print a key"),
            ("sk-canary-1\nsk-canary-2\n", "--api-key-cmd printed 2 lines; it should print one key, or a JSON object"),
            ("sk canary", "the key in what --api-key-cmd printed has a blank at position 3; copy it again"),
            ("\"sk-canary\"", "--api-key-cmd printed JSON that is not an object"),
            (r#"{"token":"sk-canary""#, "--api-key-cmd printed broken JSON (line 1, column 20)"),
            (
                r#"{"token":["sk-canary"]}"#,
                "--api-key-cmd printed JSON with a member of the wrong type, or with a member that occurs twice",
            ),
            (
                r#"{"token":"sk-canary","token":"b"}"#,
                "with a member of the wrong type, or with a member that occurs twice",
            ),
            (r#"{"secret":"sk-canary"}"#, "--api-key-cmd printed JSON without a key"),
            (r#"{"token":""}"#, "what --api-key-cmd printed is empty"),
            (r#"{"token":"sk-canary","key":"other"}"#, "two different keys"),
            (r#"{"token":"sk-canary","expires_at":"soon"}"#, "what --api-key-cmd printed: expires_at is not a time"),
            (r#"{"token":"sk-canary","expires_at":1795770600000}"#, "expires_at is in milliseconds; give seconds"),
            (r#"{"token":"sk-canary","expires_in":"1h"}"#, "expires_in is not a number of seconds"),
            (
                r#"{"token":"sk-canary","expires_at":"2026-11-27T08:55:00Z"}"#,
                "expires_at is 2026-11-27T08:55:00Z, which was 5m ago; renew the login, or correct the clock",
            ),
            (r#"{"token":"sk-canary","expires_in":0}"#, "ago"),
        ] {
            let error = read(output).expect_err(output);

            assert!(error.contains(message) && !error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn a_line_break_at_the_end_is_not_part_of_the_key() {
        let key = checked("sk-ant-test\r\n", "a").expect("it is a key");

        assert_eq!(key.expose_secret(), "sk-ant-test");
    }

    #[test]
    fn a_malformed_key_is_refused_without_being_shown() {
        for (text, what) in [
            ("sk-sec\nret", "a line break"),
            ("sk-sec ret", "a blank"),
            ("sk-sec\x1bret", "a control character"),
            ("sk-sec\u{2011}ret", "not ASCII"),
        ] {
            let message = checked(text, "a").expect_err("it is malformed").to_string();

            assert!(
                message.contains(what) && message.contains("position 7") && !message.contains("sk-sec"),
                "{message}"
            );
        }
        assert!(checked(" \n", "a").expect_err("it is empty").to_string().contains("is empty"));
    }
}
