//! The HTTP client's type for parsed addresses.

pub(in crate::transport) use reqwest::Url;
