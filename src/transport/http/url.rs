//! The type of the HTTP client for parsed URLs.

pub(in crate::transport) use reqwest::Url;
