//! Computes the keys of rows. Two rows with the same key have the same request.

use ring::digest::{Context, SHA256};

use crate::domain::json::{string_end, write_json_str};
use crate::domain::{JobKey, Params};

/// The parts of a request that belong to its key, in addition to its parameters.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// `anthropic-version`.
    pub api_version: String,
    /// The values of the header `anthropic-beta`, sorted.
    pub betas: Vec<String>,
}

impl Dialect {
    /// Returns whether the dialect has a beta, such as `output-300k-2026-03-24`, that raises the limit of `max_tokens`.
    /// Only the API knows the raised limit.
    pub(super) fn raises_output_cap(&self) -> bool {
        self.betas.iter().any(|beta| beta.starts_with("output-"))
    }
}

/// Returns the key of a request: 128 bits of the SHA-256 of its content. The key does not depend on white space, or on
/// whether the answer is streamed.
///
/// The hashed text consists of:
/// - The line `k1`.
/// - The API version as a JSON string, on a separate line.
/// - The beta names as JSON strings, each on a separate line. The names are sorted and have no repeats.
/// - An empty line.
/// - The parameters as `name:value`, each on a separate line. The parameters are sorted by name, and have no white
///   space outside strings. The parameter `stream` is left out, because it only says how the answer is sent.
///
/// So three differences do not change the key: another order of the parameters, other white space between values, and a
/// value from a flag instead of from the row. Every difference of another kind changes the key, even a different
/// spelling of a number or an escape.
///
/// The key of a request must never change between versions of this program. If the key changed, finished rows would be
/// sent and paid for again. If the rule for keys ever changes, the prefix `k1` must change with it.
pub fn key(dialect: &Dialect, params: &Params) -> JobKey {
    KeyMaker::new(dialect).key(params.0.iter().map(|(name, value)| (&**name, value.get())))
}

/// The number of bytes that are collected before they are hashed. If a piece of text is longer than this number, the
/// piece is hashed without being copied.
const GATHERED: usize = 4096;

/// Makes keys for one dialect. All keys are hashes of texts with the same beginning. The common beginning of these
/// texts is hashed only once. The memory that holds the rest of a text is reused for the next text.
pub(super) struct KeyMaker {
    begun: Context,
    /// The text that has not been hashed yet. Text is collected here, because a few long pieces are hashed faster than
    /// many short ones.
    text: Vec<u8>,
}

impl std::fmt::Debug for KeyMaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyMaker").finish_non_exhaustive()
    }
}

impl KeyMaker {
    /// Creates a maker of keys. The hashed text of each key begins with the API version and the betas of `dialect`.
    pub(super) fn new(dialect: &Dialect) -> Self {
        let mut begun = Context::new(&SHA256);
        begun.update(&prelude(dialect));
        Self { begun, text: Vec::new() }
    }

    /// Returns the key of a request. `params` are the names and raw values of its parameters, in any order.
    pub(super) fn key<'p>(&mut self, params: impl Iterator<Item = (&'p str, &'p str)>) -> JobKey {
        let mut members: Vec<(&str, &str)> = params.filter(|(name, _)| *name != "stream").collect();
        members.sort_unstable();
        let mut context = self.begun.clone();
        for (name, value) in members {
            write_json_str(name, &mut self.text);
            self.text.push(b':');
            without_white_space(value.as_bytes(), |run| {
                if self.text.len() + run.len() > GATHERED {
                    context.update(&self.text);
                    self.text.clear();
                }
                if run.len() > GATHERED {
                    context.update(run);
                } else {
                    self.text.extend_from_slice(run);
                }
            });
            self.text.push(b'\n');
        }
        context.update(&self.text);
        self.text.clear();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&context.finish().as_ref()[..16]);
        JobKey(bytes)
    }
}

fn prelude(dialect: &Dialect) -> Vec<u8> {
    let mut betas: Vec<&str> = dialect.betas.iter().map(String::as_str).collect();
    betas.sort_unstable();
    betas.dedup();
    let mut out = b"k1\n".to_vec();
    for text in std::iter::once(dialect.api_version.as_str()).chain(betas) {
        write_json_str(text, &mut out);
        out.push(b'\n');
    }
    out.push(b'\n');
    out
}

/// Passes valid JSON text to `pass` in pieces, without the white space outside strings. The text is cut into pieces
/// only where white space is left out.
fn without_white_space(json: &[u8], mut pass: impl FnMut(&[u8])) {
    let (mut start, mut at) = (0, 0);
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => at = string_end(json, at).unwrap_or(json.len()),
            byte if byte.is_ascii_whitespace() => {
                pass(&json[start..at]);
                at += json[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                start = at;
            }
            _ => at += 1,
        }
    }
    pass(&json[start..]);
}

#[cfg(test)]
mod tests {
    use super::super::tests::params;
    use super::*;

    fn dialect() -> Dialect {
        Dialect { api_version: "2023-06-01".to_owned(), betas: Vec::new() }
    }

    fn key_of(json: &str) -> JobKey {
        key(&dialect(), &params(json))
    }

    const ROW: &str = r#"{"model":"claude-haiku-4-5","max_tokens":1024,"messages":[{"role":"user","content":"Hi"}]}"#;

    #[test]
    fn keys_never_change_between_versions() {
        let betas = Dialect {
            api_version: "2026-10-21".to_owned(),
            betas: vec!["fast-mode-2026-02-01".to_owned(), "compact-2026-01-12".to_owned()],
        };
        let odd = r#"{"a\"b":[1.50, "x \" y", {"k" : null}],"é":"\u00e9 中"}"#;

        // These keys must never change. If these keys changed, every finished row would be sent and paid for again.
        assert_eq!(key_of(ROW).to_string(), "k1:9703fd6fda1b2dd191062e675dce56a0");
        assert_eq!(key(&betas, &params(ROW)).to_string(), "k1:854b965603132f596979a22f1e7d67b0");
        assert_eq!(key_of(odd).to_string(), "k1:196dc6ab0d7e6f047b66fd8f8a045c58");
    }

    #[test]
    fn white_space_outside_strings_makes_no_difference() {
        let spaced = "{\"model\": \"claude-haiku-4-5\",\"max_tokens\":1024,\
                      \"messages\": [ { \"role\" :\r\n\t\"user\", \"content\":\"Hi\" } ] }";

        assert_eq!(key_of(spaced), key_of(ROW));
    }

    #[test]
    fn long_values_are_hashed_like_short_ones() {
        for len in (0..12).chain(GATHERED - 60..GATHERED + 60).chain([3 * GATHERED]) {
            let text = "a \\\" b ".repeat(len / 7 + 1);
            let spaced = format!(r#"{{"a": [ "{text}" , 1, "x"] ,"b":"{}"}}"#, &"c ".repeat(len)[..len]);
            let written = format!("\"a\":[\"{text}\",1,\"x\"]\n\"b\":\"{}\"\n", &"c ".repeat(len)[..len]);

            let whole = [&prelude(&dialect()), written.as_bytes()].concat();
            let expected = ring::digest::digest(&SHA256, &whole);

            assert_eq!(key_of(&spaced).0, expected.as_ref()[..16], "{len}");
        }
    }

    #[test]
    fn white_space_inside_strings_makes_a_difference() {
        assert_ne!(key_of(r#"{"system":"a b"}"#), key_of(r#"{"system":"ab"}"#));
        assert_ne!(key_of(r#"{"system":"a\" b"}"#), key_of(r#"{"system":"a\"b"}"#));
        assert_ne!(key_of(r#"{"system":"a\\"}"#), key_of(r#"{"system":"a\\ "}"#));
    }

    #[test]
    fn the_order_of_parameters_and_streaming_make_no_difference() {
        let reordered = r#"{"messages":[{"role":"user","content":"Hi"}],"stream":true,"max_tokens":1024,"model":"claude-haiku-4-5"}"#;

        assert_eq!(key_of(reordered), key_of(ROW));
    }

    #[test]
    fn every_value_makes_a_difference() {
        for (from, to) in [("4-5", "5-5"), ("1024", "1025"), ("1024", "1024.0"), ("Hi", "hi"), ("user", "assistant")] {
            assert_ne!(key_of(&ROW.replace(from, to)), key_of(ROW), "{from} to {to}");
        }
    }

    #[test]
    fn version_and_betas_make_a_difference_and_the_order_of_betas_does_not() {
        let of = |version: &str, betas: &[&str]| {
            let betas = betas.iter().map(|&beta| beta.to_owned()).collect();
            key(&Dialect { api_version: version.to_owned(), betas }, &params(ROW))
        };

        assert_ne!(of("2023-06-01", &[]), of("2026-10-21", &[]));
        assert_ne!(of("2023-06-01", &[]), of("2023-06-01", &["a"]));
        assert_ne!(of("2023-06-01", &["a", "b"]), of("2023-06-01", &["ab"]));
        assert_eq!(of("2023-06-01", &["a", "b"]), of("2023-06-01", &["b", "a", "b"]));
    }

    #[test]
    fn a_value_can_not_be_mistaken_for_another_parameter() {
        assert_ne!(key_of(r#"{"a":"1","b":"2"}"#), key_of(r#"{"a":"1\n\"b\":\"2\""}"#));
        assert_ne!(key_of(r#"{"a":1,"b":2}"#), key_of(r#"{"a":{"b":2}}"#));
    }
}
