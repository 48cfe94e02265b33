//! The rules for answers: which answers are valid, and what happens after an answer that breaks a rule.

use anyhow::{Result, anyhow, bail};

use super::texts::text_of;
use super::world::World;
use crate::answer::schema::Schema;
use crate::answer::{Expected, OnInvalid, OnRefusal, OnTruncate};
use crate::cli::args::groups::AnswerArgs;
use crate::cli::args::values::Text;
use crate::cli::message::closed;
use crate::source::Condition;

/// `--max-follow-ups`. The first follow-up request corrects nearly all wrong answers that can be corrected.
pub(super) const MAX_FOLLOW_UPS: u32 = 2;

/// The rules for answers, from the settings of all layers.
#[derive(Clone, Debug)]
pub struct AnswerConfig {
    /// The schema that each answer must match.
    pub schema: Option<Schema>,
    /// The form that each answer must have, if there is no schema.
    pub expect: Option<Expected>,
    /// Conditions that each answer must meet.
    pub require: Vec<Condition>,
    /// What happens after an answer that does not meet the rules.
    pub on_invalid: OnInvalid,
    /// What happens after an answer that was truncated.
    pub on_truncate: OnTruncate,
    /// What happens after the model refused to answer.
    pub on_refusal: OnRefusal,
    /// The highest number of follow-up requests for a row.
    pub max_follow_ups: u32,
}

impl AnswerConfig {
    /// Returns whether a rule says which answers are valid.
    pub(crate) fn is_checked(&self) -> bool {
        self.schema.is_some() || self.expect.is_some() || !self.require.is_empty()
    }

    /// Makes the rules from the settings of all layers (`merged`). `named` contains the settings of this call: its
    /// flags and the environment.
    ///
    /// # Errors
    /// Fails if the schema can't be read, or if `--on-invalid` is given although no rule says which answers are valid.
    pub(super) fn of(merged: AnswerArgs, named: &AnswerArgs, world: &World) -> Result<Self> {
        let schema = schema_of(merged.schema, world)?;
        let has_form = schema.is_some() || merged.expect.is_some();
        let is_checked = has_form || !merged.require.is_empty();
        if named.on_invalid.is_some() && !is_checked {
            bail!(
                "--on-invalid: no rule makes an answer invalid; add such a rule with --schema, --expect or --require"
            );
        }
        let default_invalid = if has_form { OnInvalid::Repair } else { OnInvalid::Fail };
        // If a rule says which answers are valid, a truncated answer or a refusal is a failure by default.
        let (truncated, refused) =
            if is_checked { (OnTruncate::Fail, OnRefusal::Fail) } else { (OnTruncate::Keep, OnRefusal::Keep) };
        Ok(Self {
            schema,
            expect: merged.expect,
            require: merged.require,
            on_invalid: merged.on_invalid.unwrap_or(default_invalid),
            on_truncate: merged.on_truncate.unwrap_or(truncated),
            on_refusal: merged.on_refusal.unwrap_or(refused),
            max_follow_ups: merged.max_follow_ups.unwrap_or(MAX_FOLLOW_UPS),
        })
    }
}

/// Reads the schema that a flag names.
fn schema_of(given: Option<Text>, world: &World) -> Result<Option<Schema>> {
    let name = match &given {
        Some(Text::File(path) | Text::Inside { path, .. }) => format!("--schema {}", path.display()),
        Some(Text::Given(_)) | None => "--schema".to_owned(),
    };
    let text = text_of("schema", given, world)?;
    text.map(|text| {
        Schema::parse(&text).map_err(|error| anyhow!("{name}: {}; correct the schema", closed(error.to_string())))
    })
    .transpose()
}
