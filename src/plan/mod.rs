//! Planning: a row becomes a job with a key, a pool and an estimated cost, or is rejected before anything is sent.
//!
//! Pure. Owns the merge of row and flags, identity and estimates. Knows nothing of time, limits in force or files.

use crate::domain::{ErrorClass, Origin, Params};

/// Parameters from the flags: a row's own win.
#[derive(Clone, Debug, Default)]
pub struct RequestDefaults {
    /// `--model`; the catalog's default when absent.
    pub model: Option<String>,
    /// `--system`.
    pub system: Option<String>,
    /// `--max-tokens`.
    pub max_tokens: Option<u32>,
    /// `--param`, in order.
    pub params: Params,
}

/// What else belongs to the logical request and so to the key.
#[derive(Clone, Debug)]
pub struct Dialect {
    /// `anthropic-version`.
    pub api_version: String,
    /// `anthropic-beta` values, sorted.
    pub betas: Vec<String>,
}

/// A row that is not sent.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// Its label: the user's, or `<source>:<line>`.
    pub custom_id: String,
    /// Where it was read.
    pub origin: Origin,
    /// Its merged parameters, so that the error entry is a valid row.
    pub params: Params,
    /// `InvalidInput` or `TooLarge`.
    pub class: ErrorClass,
    /// What is wrong, with the numbers, and what to do.
    pub message: String,
}
