//! The type that addresses are parsed into: that of the HTTP client.

pub(in crate::transport) use reqwest::Url;
