//! The error responses that platforms send.

use http::{HeaderMap, HeaderValue};
use serde_json::Value;

/// An error response as a platform sends it.
pub(in crate::sim::model) struct Sent {
    pub status: u16,
    pub body: Vec<u8>,
    /// The headers that the platform adds only to errors.
    pub headers: HeaderMap,
}

impl Sent {
    pub(super) fn new(status: u16, body: &Value) -> Self {
        Self { status, body: body.to_string().into_bytes(), headers: HeaderMap::new() }
    }

    pub(super) fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }
}
