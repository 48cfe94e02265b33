//! What a provider can do.

/// What a provider can do, in addition to answering requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderFeatures {
    /// It has Message Batches.
    pub batches: bool,
    /// It counts tokens (`/v1/messages/count_tokens`).
    pub count_tokens: bool,
    /// It lists its models (`/v1/models`).
    pub model_list: bool,
    /// The headers of its responses report limits.
    pub rate_headers: bool,
    /// It has a prompt cache, and takes cache marks (`cache_control`).
    pub prompt_cache: bool,
    /// It makes answers follow a schema (`output_config.format`).
    pub structured_outputs: bool,
    /// It makes calls of tools follow their schema (`strict`).
    pub strict_tools: bool,
}

impl ProviderFeatures {
    /// Everything that the Claude API can do.
    pub const ALL: Self = Self {
        batches: true,
        count_tokens: true,
        model_list: true,
        rate_headers: true,
        prompt_cache: true,
        structured_outputs: true,
        strict_tools: true,
    };

    /// Returns what both providers can do.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            batches: self.batches && other.batches,
            count_tokens: self.count_tokens && other.count_tokens,
            model_list: self.model_list && other.model_list,
            rate_headers: self.rate_headers && other.rate_headers,
            prompt_cache: self.prompt_cache && other.prompt_cache,
            structured_outputs: self.structured_outputs && other.structured_outputs,
            strict_tools: self.strict_tools && other.strict_tools,
        }
    }

    /// The names of all features, as users type them.
    pub const NAMES: [&str; 7] =
        ["batches", "count-tokens", "model-list", "rate-headers", "prompt-cache", "structured-outputs", "strict-tools"];

    /// Returns whether the provider has the feature with this name; `None` if there is no such feature.
    pub(crate) fn get(mut self, name: &str) -> Option<bool> {
        self.get_mut(name).copied()
    }

    /// Returns the feature with this name.
    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name {
            "batches" => &mut self.batches,
            "count-tokens" => &mut self.count_tokens,
            "model-list" => &mut self.model_list,
            "rate-headers" => &mut self.rate_headers,
            "prompt-cache" => &mut self.prompt_cache,
            "structured-outputs" => &mut self.structured_outputs,
            "strict-tools" => &mut self.strict_tools,
            _ => return None,
        })
    }
}
