//! What a provider changes in requests: its names of models, and the members that it does not take.

use std::sync::Arc;

/// How the requests of rows are changed for a provider. Rows and their keys do not change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestRules {
    /// Names of models: ours, and the provider's.
    pub models: Vec<(Arc<str>, Arc<str>)>,
    /// The prefix of the provider's names. It is put in front of our names of Claude models that are not in `models`.
    /// It is empty if the names are equal.
    pub model_prefix: Arc<str>,
    /// Members that are left out of requests, and reported.
    pub drop: Vec<MemberPath>,
    /// Members that the provider refuses. A row with such a member is not sent.
    pub refuse: Vec<MemberPath>,
}

impl RequestRules {
    /// Returns whether requests are sent as they are, and no request is refused.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the provider's name of a model.
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

/// Where a member is in a request: names with dots between them. `[]` after a name means each element of a list, for
/// example `output_config.format` or `tools[].strict`. An element may have a condition: `tools[type=web_search]` means
/// the whole elements whose `type` begins with this text. A path that begins with `**.` means that the member may be
/// anywhere, for example `**.cache_control`, but not inside the inputs and schemas of tools.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MemberPath(pub Arc<str>);

impl std::fmt::Display for MemberPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
