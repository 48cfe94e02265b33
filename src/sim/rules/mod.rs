//! The parts that fault files and answer files have in common: a list of rules, and how each rule chooses requests.
//!
//! `selection` decides which requests a rule selects, `file` reads rule files, and `values` reads the values in these
//! files. [`faults`](super::faults) and [`answers`](super::answers) define what the rules do.

mod file;
mod selection;
mod values;

pub use file::RuleFileError;
pub(super) use file::{Fields, Rule, fields, read};
pub use selection::{Draw, Selection};
pub(super) use selection::{Facts, first};
pub(super) use values::{Part, Texts, Time, checked, value};
