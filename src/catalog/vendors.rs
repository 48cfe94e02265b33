//! Recognizes models of other vendors by the prefixes of their names.
//!
//! Files that were made for other services can name models of other vendors. The Claude API serves none of these
//! models, so a row that names one would certainly fail. A gateway can serve models of other vendors, so a model name
//! proves nothing about a request to a gateway.
//!
//! Source: the lists of models of these vendors (October 2026). No Claude model has a name with one of these prefixes.

/// The vendors, each with the prefixes of its model names. Names such as `o1` are checked separately, because they are
/// so short.
const VENDORS: [(&str, &[&str]); 9] = [
    ("OpenAI", &["gpt-", "chatgpt-", "text-embedding-", "text-davinci", "davinci-", "dall-e", "whisper-", "tts-"]),
    ("Google", &["gemini-", "gemma-", "gemma2", "text-bison", "learnlm"]),
    ("Meta", &["llama", "meta-llama", "meta.llama", "codellama"]),
    (
        "Mistral",
        &[
            "mistral",
            "mixtral",
            "open-mistral",
            "open-mixtral",
            "codestral",
            "ministral",
            "magistral",
            "devstral",
            "pixtral",
        ],
    ),
    ("Cohere", &["command-r", "command-a", "command-light", "c4ai-"]),
    ("DeepSeek", &["deepseek"]),
    ("Alibaba", &["qwen", "qwq"]),
    ("xAI", &["grok-"]),
    ("Amazon", &["amazon.", "nova-micro", "nova-lite", "nova-pro", "titan-"]),
];

/// Returns the vendor to which the model name certainly belongs, if this vendor is not Anthropic. Returns `None` for
/// every other name.
pub(crate) fn vendor_of(model: &str) -> Option<&'static str> {
    let name = model.to_ascii_lowercase();
    if name.contains("claude") {
        return None;
    }
    // A name can begin with a path, as in `openai/gpt-4o`, or with `ft:` for a fine-tuned model.
    let name = name.rsplit('/').next().unwrap_or_default();
    let name = name.strip_prefix("ft:").unwrap_or(name);
    if is_short_name_of_openai(name) {
        return Some("OpenAI");
    }
    let found = VENDORS.iter().find(|(_, beginnings)| beginnings.iter().any(|begin| name.starts_with(begin)));
    found.map(|(vendor, _)| *vendor)
}

/// Returns whether this is the name of a reasoning model, such as `o1` or `o3-mini`.
fn is_short_name_of_openai(name: &str) -> bool {
    let [b'o', b'1'..=b'9', rest @ ..] = name.as_bytes() else { return false };
    matches!(rest, [] | [b'-', ..])
}

#[cfg(test)]
mod tests {
    use super::super::Catalog;
    use super::*;

    #[test]
    fn models_of_other_vendors_are_recognized_by_their_names() {
        for (name, vendor) in [
            ("gpt-4o-mini", "OpenAI"),
            ("openai/gpt-4.1", "OpenAI"),
            ("ft:gpt-4o-mini-2024-07-18:acme::abc", "OpenAI"),
            ("o1", "OpenAI"),
            ("o3-mini", "OpenAI"),
            ("Gemini-2.5-flash", "Google"),
            ("models/gemini-2.0-pro", "Google"),
            ("llama3:70b", "Meta"),
            ("meta-llama/Llama-3.3-70B-Instruct", "Meta"),
            ("mistral-large-latest", "Mistral"),
            ("deepseek-chat", "DeepSeek"),
        ] {
            assert_eq!(vendor_of(name), Some(vendor), "{name}");
        }
    }

    #[test]
    fn claude_models_and_unknown_names_are_not_recognized_as_models_of_other_vendors() {
        for name in ["o", "o11", "o1x", "opus", "my-model", "haiku", "anthropic/claude-opus-5", "gpt-claude-proxy", ""]
        {
            assert_eq!(vendor_of(name), None, "{name}");
        }
        let catalog = Catalog::builtin();
        let names = catalog.models().iter().flat_map(|model| model.aliases.iter().chain([&model.id]));
        for name in names {
            assert_eq!(vendor_of(name), None, "{name}");
        }
    }
}
