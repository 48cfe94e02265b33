//! The rules for when notices are sent, and the format of notices.

use std::time::Duration;

/// A rule for when a notice is sent (`--notify-on`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NoticeRule {
    /// The run finished, and nothing stopped it early.
    Finish,
    /// The run was stopped for a reason.
    Halt,
    /// More than this share of the finished rows has failed. The share is above 0 and below 1.
    Failures(f64),
    /// The used share of a limit rose above this percentage (80 or 95).
    Limit(u8),
    /// During this whole time, either a pool was held after a 429, or all requests failed.
    Hold(Duration),
    /// The run has spent this share of `--max-cost`. The share is above 0 and at most 1.
    Budget(f64),
}

impl NoticeRule {
    /// The default rules, if the user gives none.
    pub const DEFAULT: [Self; 3] = [Self::Finish, Self::Halt, Self::Limit(95)];

    /// Returns the name of the kind of notice.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Finish => "finish",
            Self::Halt => "halt",
            Self::Failures(_) => "failures",
            Self::Limit(_) => "limit",
            Self::Hold(_) => "hold",
            Self::Budget(_) => "budget",
        }
    }

    /// Returns whether the notice is about the end of the run. A notice about the end is never dropped.
    pub(super) fn is_about_the_end(self) -> bool {
        matches!(self, Self::Finish | Self::Halt)
    }
}

/// The format of notices to an address (`--notify-format`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoticeForm {
    /// The object `{"text": …}`, which Slack, Mattermost, Rocket.Chat and the `/slack` path of Discord accept.
    #[default]
    Slack,
    /// The generic JSON document.
    Json,
}
