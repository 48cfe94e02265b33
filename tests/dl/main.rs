#![cfg(feature = "sim")]
#![allow(dead_code)]
mod deadline;
mod seen;
#[path = "../support/mod.rs"]
mod support;
mod world;
