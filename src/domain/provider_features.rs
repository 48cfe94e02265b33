//! The features of a provider.

/// The features of a provider, apart from answering requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderFeatures {
    /// The provider has Message Batches.
    pub batches: bool,
    /// The provider counts tokens (`/v1/messages/count_tokens`).
    pub count_tokens: bool,
    /// The provider lists its models (`/v1/models`).
    pub model_list: bool,
    /// The provider reports limits in its response headers.
    pub rate_headers: bool,
    /// The provider has a prompt cache and accepts cache marks (`cache_control`).
    pub prompt_cache: bool,
    /// The provider makes answers follow a schema (`output_config.format`).
    pub structured_outputs: bool,
    /// The provider ensures that tool calls fit the schemas of the tools (`strict`).
    pub strict_tools: bool,
}

impl ProviderFeatures {
    /// All features: the Claude API has each of them.
    pub const ALL: Self = Self {
        batches: true,
        count_tokens: true,
        model_list: true,
        rate_headers: true,
        prompt_cache: true,
        structured_outputs: true,
        strict_tools: true,
    };

    /// Returns the features that `self` and `other` both have.
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
