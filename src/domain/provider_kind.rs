//! Kinds of providers: the platforms that speak the Messages API.

/// A kind of provider. The kind decides how the program reaches a provider, what the provider's errors mean, and which
/// requests the provider rejects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProviderKind {
    /// The Claude API, or a gateway that behaves like the Claude API.
    #[default]
    Anthropic,
    /// Claude Platform on AWS.
    Aws,
    /// Amazon Bedrock: the Messages endpoint of its runtime.
    Bedrock,
    /// Amazon Bedrock: the Mantle endpoint.
    BedrockMantle,
    /// Claude on Google Cloud.
    Google,
    /// Microsoft Foundry.
    Foundry,
    /// OpenRouter.
    OpenRouter,
    /// A LiteLLM proxy.
    LiteLlm,
    /// Any other server that speaks the Messages API, for example vLLM or Ollama.
    Messages,
}

impl ProviderKind {
    /// Every kind, in the order in which the program lists the kinds.
    pub const ALL: [Self; 9] = [
        Self::Anthropic,
        Self::Aws,
        Self::Bedrock,
        Self::BedrockMantle,
        Self::Google,
        Self::Foundry,
        Self::OpenRouter,
        Self::LiteLlm,
        Self::Messages,
    ];

    /// Returns the name of the kind as users type it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::Aws => "aws",
            Self::Bedrock => "bedrock",
            Self::BedrockMantle => "bedrock-mantle",
            Self::Google => "google",
            Self::Foundry => "foundry",
            Self::OpenRouter => "openrouter",
            Self::LiteLlm => "litellm",
            Self::Messages => "messages",
        }
    }

    /// Returns the kind with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}
