//! The changes that a provider needs in requests. Each model gets the provider's own name, and a member is removed if
//! the provider does not accept it.

use std::sync::Arc;

/// Rules that change requests for a provider. Rows and their keys do not change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestRules {
    /// Pairs of model names: first the name in the rows, then the provider's name of the same model.
    pub models: Vec<(Arc<str>, Arc<str>)>,
    /// The prefix of the provider's model names. If a Claude model is not in `models`, this text is put in front of its
    /// name. This text is empty if the provider uses the same model names as the Claude API.
    pub model_prefix: Arc<str>,
    /// The members that are left out of requests. The run reports that it leaves these members out.
    pub drop: Vec<MemberPath>,
    /// The members that the provider rejects. A row with such a member is not sent.
    pub refuse: Vec<MemberPath>,
}

impl RequestRules {
    /// Returns whether the rules are empty: every request is sent unchanged.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the name that the provider uses for a model.
    pub fn model<'a>(&'a self, ours: &'a str) -> std::borrow::Cow<'a, str> {
        match self.models.iter().find(|(name, _)| **name == *ours) {
            Some((_, theirs)) => (&**theirs).into(),
            None if ours.starts_with("claude-") && !self.model_prefix.is_empty() => {
                format!("{}{ours}", self.model_prefix).into()
            }
            None => ours.into(),
        }
    }
}

/// The path of a member in a request: names with dots between them. An example is `output_config.format`. `[]` after a
/// name means all elements of a list, for example in `tools[].strict`. With a condition in the brackets, the path means
/// only the elements that meet the condition. For example, `tools[type=web_search]` means each element of `tools` with
/// a `type` that begins with `web_search`. If a path begins with `**.`, as in `**.cache_control`, the path finds the
/// member anywhere in the request. A path with `**.` finds nothing inside the inputs and schemas of tools.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MemberPath(pub Arc<str>);

impl std::fmt::Display for MemberPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
