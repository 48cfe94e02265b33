//! Notices: problems that a request will probably have. The request is not rejected, because these problems are not
//! certain.

use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;

use super::unknown::UnknownModel;
use crate::domain::{MemberPath, quoted, shortened};

/// Something that the user should know. The program prints each notice once, before or while rows are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The model is not in the catalog.
    Unknown(UnknownModel),
    /// The model is no longer served: the API will answer 404.
    Retired {
        /// The name of the model.
        model: Arc<str>,
        /// The day on which the model retired, if it is known.
        since: Option<Date>,
    },
    /// The model will retire on a known day.
    Retiring {
        /// The name of the model.
        model: Arc<str>,
        /// The day on which the model will retire.
        on: Date,
    },
    /// The API answers 400, because this model does not accept a sampling parameter with a value other than the
    /// default.
    Sampling {
        /// The name of the model.
        model: Arc<str>,
        /// The parameter.
        param: &'static str,
    },
    /// The provider does not accept a member of some rows, so this member is left out of requests.
    Dropped {
        /// The name of the provider.
        provider: Arc<str>,
        /// The member.
        member: MemberPath,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(model) => {
                write!(f, "rows name {model}, and its price is not known; give it with --prices")
            }
            Self::Retired { model, since: Some(since) } => {
                write!(f, "{model} retired on {since}; choose another --model")
            }
            Self::Retired { model, since: None } => write!(f, "{model} has retired; choose another --model"),
            Self::Retiring { model, on } => write!(f, "{model} retires on {on}"),
            Self::Sampling { model, param } => {
                write!(f, "{model} accepts no {param} other than its default; remove it or choose an older model")
            }
            Self::Dropped { provider, member } => {
                let provider = shortened(provider);
                write!(f, "{provider} does not take {}: requests are sent without it", quoted(&member.0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn notices_name_model_and_date() {
        let model: Arc<str> = "claude-x".into();
        let on = date(2026, 11, 30);

        let shown = [
            Notice::Retired { model: model.clone(), since: Some(on) },
            Notice::Retiring { model: model.clone(), on },
            Notice::Sampling { model, param: "top_p" },
        ]
        .map(|notice| notice.to_string());

        assert_eq!(shown[0], "claude-x retired on 2026-11-30; choose another --model");
        assert_eq!(shown[1], "claude-x retires on 2026-11-30");
        assert!(shown[2].starts_with("claude-x accepts no top_p"));
    }
}
