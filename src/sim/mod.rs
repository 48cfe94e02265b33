//! The API, simulated: one model, played in process on virtual time or over HTTP on loopback.
//!
//! It is the judge of `limiter` and `scheduler` and shares no code with them, nor the token counts of `plan`. [`model`]
//! is a plain state machine that is given `now`; [`transport`] plays it in process on the run's clock, `server` over
//! sockets (feature `sim`). [`config`] holds everything that can differ, [`faults`] what goes wrong on order,
//! [`presets`] the models. Message Batches are not served; they are one more endpoint of the model, with limits of their
//! own, and would count nothing against those of Messages.
//!
//! # Rules of the API that are modelled
//!
//! "Docs" are the pages of the API documentation; dates are those of the copies that were read.
//!
//! | rule | source |
//! |---|---|
//! | one bucket each for requests, uncached input and output, per organization and model class, refilled continuously | Docs, Rate limits, 2026-08-22 |
//! | input is estimated at the start and corrected at the end; cache reads do not count, except for models that say so | Docs, Rate limits, 2026-08-22 |
//! | output counts while it is produced; `max_tokens` does not matter | Docs, Rate limits, from 2026-02-19 |
//! | `max_tokens` counts at the start, corrected at the end ([`config::OutputRule::MaxTokensUpFront`]) | Docs, Rate limits, to 2026-02-18 |
//! | rate headers with every message and on its 429s: limit per minute, what is left (tokens to the nearest thousand), time at which the bucket is full again | Docs, Rate limits, 2026-08-22; recorded answers, 2026-02-25 |
//! | `retry-after` in whole seconds; an earlier try fails | Docs, Rate limits, 2026-08-22 |
//! | 429 for growth (`ramp_limit_exceeded`), for open requests (without rate headers), for the spend cap (without `retry-after`) | Docs, Errors, 2026-10; Rate limits, 2026-08-22; reports of users |
//! | `count_tokens` has a request limit of its own | Docs, Token counting, 2026-08-22 |
//! | error bodies with type, details and request id; the request id stands in head and body | Docs, Errors, 2026-10 |
//! | both ways to send a key; version required; the versions 2023-06-01 and 2026-10-21, the latter without sampling parameters | Docs, Versions, 2026-10 |
//! | 400 for unknown fields, prompts over the window, `max_tokens` over the model's, prefill, sampling, thinking and forced tools where a model does not take them; 404 for unknown models; 413 over 32 MB | Docs, API reference and Errors, 2026-10; answers seen |
//! | stop reasons `end_turn`, `max_tokens`, `stop_sequence`, `tool_use`, `refusal`, `model_context_window_exceeded` | Docs, Handling stop reasons, 2026-08-22 |
//! | a refusal before any output costs nothing and counts against limits | Docs, Refusals and fallback, 2026-08 |
//! | structured output and forced tools are answered with JSON that fits the schema | Docs, Structured outputs, 2026-08 |
//! | events of a stream, their order, and errors inside it | Docs, Streaming messages, 2026-08-22 |
//! | prompt caching: breakpoints (four, explicit or automatic), least length, lifetimes, look-back of 20 blocks, readable once the first answer has begun, prices, filling the cache by `max_tokens` 0 | Docs, Prompt caching, 2026-08-22 |
//! | lists of models with pages; limits of the organization for administrators' keys | API reference, 2026-10 |
//!
//! # Chosen where the API says nothing
//!
//! | question | choice |
//! |---|---|
//! | how much can be used at once | a whole minute's worth; [`config::Bursts`] |
//! | `remaining` under a smaller burst | the level of the bucket, and `reset` says when it is as full as it gets |
//! | does a refused request use a request | no; [`config::SimConfig::refused_uses_request`] |
//! | a prompt larger than the burst | is let in when the bucket is full, and leaves it below zero |
//! | `retry-after` when output is exhausted | time until the level is above zero if nothing more were produced |
//! | several limits exhausted | the one that takes longest is named |
//! | growth limit | a minute may use what the one before it used and a step more; [`config::Acceleration`] |
//! | the client of a plain call leaves | the call runs to its end and is charged |
//! | the client of a stream leaves | output stops there; what was produced is charged |
//! | both key headers are there | `x-api-key` counts |
//! | a key without administrator's rights asks for limits | 403 |
//! | time to answer, length of answers | [`config::Latency`], [`config::OutputLengths`] |
//!
//! # Not modelled
//!
//! Message Batches, files and the beta endpoints; workspaces and their limits; service tiers, `speed: fast` and
//! `inference_geo` (accepted, served as standard); which betas exist (anything that looks like one is taken) and what
//! they change; server tools; citations; compressed request bodies; images and PDFs by their size (an image counts 1,500
//! tokens); hidden thinking of models that always think; limits on schemas, stop sequences and the number of messages;
//! `Message` fields that are not known are let through inside messages and blocks; time-outs of the API itself.

pub mod config;
pub mod faults;
pub mod model;
pub mod presets;
#[cfg(feature = "sim")]
pub mod server;
pub mod transport;
