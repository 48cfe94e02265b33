//! The HTTP client's type for parsed URLs.

pub(in crate::transport) use reqwest::Url;
