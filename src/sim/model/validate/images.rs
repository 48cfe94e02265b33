//! Checks images. Checks the type and the encoding of images, but not their pixels.
//!
//! Source: API documentation, "Vision" (2026-08-22); error messages seen in anthropics/claude-code#8184 and #2438, and
//! in felixarntz/ai-services#19.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// The media types that an image can have.
const MEDIA_TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Checks the source of an image. The error says what is wrong, and where in the image block.
pub(super) fn check(source: Option<&RawValue>) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Source<'a> {
        #[serde(borrow, rename = "type", default)]
        kind: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        media_type: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        data: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        url: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        file_id: Option<Cow<'a, str>>,
    }
    let Some(raw) = source else { return Err(".source: Field required".to_owned()) };
    let source: Source<'_> = serde_json::from_str(raw.get())
        .map_err(|_| ".source: Input should be a valid dictionary or object to extract fields from".to_owned())?;
    let missing = |name: &str| Err(format!(".source.{name}: Field required"));
    match source.kind.as_deref() {
        None => missing("type"),
        Some("base64") => match (source.media_type.as_deref(), source.data.as_deref()) {
            (None, _) => missing("base64.media_type"),
            (_, None) => missing("base64.data"),
            (Some(kind), _) if !MEDIA_TYPES.contains(&kind) => Err(".source.base64.media_type: Input should be \
                                                                   'image/jpeg', 'image/png', 'image/gif' or \
                                                                   'image/webp'"
                .to_owned()),
            (_, Some(data)) if !is_base64(data) => Err(".source.base64: invalid base64 data".to_owned()),
            _ => Ok(()),
        },
        Some("url") if source.url.is_none() => missing("url.url"),
        Some("file") if source.file_id.is_none() => missing("file.file_id"),
        Some("url" | "file") => Ok(()),
        Some(other) => Err(format!(
            ".source: Input tag '{other}' found using 'type' does not match any of the expected tags: 'base64', 'file', \
             'url'"
        )),
    }
}

/// Returns whether a text is Base64 with the usual alphabet and padding. Returns false for an empty text.
fn is_base64(text: &str) -> bool {
    let digits = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    !digits.is_empty() && text.len().is_multiple_of(4) && digits.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_its_alphabet_and_its_padding() {
        for good in ["aGVsbG8=", "aGVsbG8h", "aA==", "+/+/"] {
            assert!(is_base64(good), "{good}");
        }
        for bad in ["", "=", "====", "aGVsbG8", "aGVs bG8=", "a===", "data:image/png;base64,aGVsbG8=", "aG-_"] {
            assert!(!is_base64(bad), "{bad}");
        }
    }

    #[test]
    fn sources_are_accepted_or_the_problem_is_named() {
        let cases = [
            (r#"{"type":"base64","media_type":"image/png","data":"aGVsbG8="}"#, ""),
            (r#"{"type":"url","url":"https://example.com/a.png"}"#, ""),
            (r#"{"type":"file","file_id":"file_1"}"#, ""),
            (r#"{"type":"base64","media_type":"image/jpg","data":"aGVsbG8="}"#, ".base64.media_type: Input should be"),
            (r#"{"type":"base64","media_type":"image/png","data":"aGV"}"#, ".base64: invalid base64 data"),
            (r#"{"type":"base64","media_type":"image/png"}"#, ".base64.data: Field required"),
            (r#"{"type":"url"}"#, ".url.url: Field required"),
            (r#"{"type":"path","path":"a"}"#, ": Input tag 'path'"),
            ("{}", ".type: Field required"),
            ("7", ": Input should be"),
        ];

        for (source, problem) in cases {
            let raw: Box<RawValue> = serde_json::from_str(source).expect("JSON");
            match check(Some(&raw)) {
                Ok(()) => assert!(problem.is_empty(), "{source}"),
                Err(found) => {
                    assert!(!problem.is_empty() && found.starts_with(&format!(".source{problem}")), "{found}")
                }
            }
        }
        assert_eq!(check(None), Err(".source: Field required".to_owned()));
    }
}
