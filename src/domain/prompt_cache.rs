//! The setting of the prompt cache.

/// Whether requests get cache marks, and which lifetime the marks ask for (`--prompt-cache`).
///
/// A mark is only ever added where caching is expected to cost less than no caching.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PromptCache {
    /// Requests get marks. Each mark asks for the lifetime that costs least.
    #[default]
    Auto,
    /// No request gets a mark. Marks that a row has itself are sent.
    Off,
    /// Requests get marks that ask for five minutes.
    FiveMinutes,
    /// Requests get marks that ask for an hour.
    Hour,
}

impl PromptCache {
    /// Every setting.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Off, Self::FiveMinutes, Self::Hour];

    /// Returns the name that the user types.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Off => "off",
            Self::FiveMinutes => "5m",
            Self::Hour => "1h",
        }
    }
}
