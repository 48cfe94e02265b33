//! The simulated API: one model, which runs in process on virtual time, or over HTTP on loopback.
//!
//! It tests `limiter` and `scheduler`, so it shares no code with them, and does not use the token counts of `plan`.
//! [`model`] is a plain state machine that is given `now`. [`transport`] runs it in process on the run's clock,
//! `server` over sockets (feature `sim`). [`config`] holds all settings, [`faults`] the faults that can be injected,
//! [`presets`] the models. Message Batches are not served: they would be another endpoint with limits of its own, and
//! would not count against the limits of Messages.
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
//! | `anthropic-ratelimit-tokens-…` is the sum of input and output | Docs, Rate limits, 2026-08-22; recorded answers, 2026-02-25 |
//! | `retry-after` in whole seconds; an earlier try fails | Docs, Rate limits, 2026-08-22 |
//! | limits by tier, those to 2026-06-25 and those of today, with the request limit of `count_tokens` | Docs, Rate limits, 2026-01-15 to 2026-10-08 (the catalog) |
//! | 429 for growth (`ramp_limit_exceeded`), for open requests (without rate headers), for the spend cap (without `retry-after`) | Docs, Errors, 2026-10; Rate limits, 2026-08-22; reports of users |
//! | `count_tokens` has a request limit of its own, is free, ignores caching and takes the fields of a prompt only | Docs, Token counting, 2026-08-22; API reference, 2026-10 |
//! | error bodies with type, details and request id; the request id stands in head and body | Docs, Errors, 2026-10 |
//! | ids of request, organization and workspace in every head of the API, none in those of the network before it | Docs, API overview, 2026-08 and 2026-10; release notes, 2026-08-11 |
//! | unknown query parameters are ignored; unknown paths are a 404 without a look at the key, wrong methods a 405; answers to HEAD have no body | clients of Anthropic's own (`?beta=true`, `HEAD /`), 2026-11; answers seen |
//! | `/api/hello` is a 200 that needs no key: clients ask it whether the API can be reached | issues of clients, 2025-05 and 2026-09 |
//! | betas are a name and a date (`name-2026-01-31`, `claude-code-20250219`); what does not look like one is a 400 that names all of them | Docs, Beta headers, 2026-10; issues of clients, 2025-11 to 2026-06 |
//! | web searches and fetches are run by the API: the answer has the call, its result and text, and ends with `end_turn`; a search costs one cent | Docs, Server tools and Web search tool, 2026-10; Pricing, 2026-10 |
//! | both ways to send a key; version required; the versions 2023-06-01 and 2026-10-21, the latter without sampling parameters | Docs, Versions, 2026-10 |
//! | 400 for unknown fields, prompts over the window, `max_tokens` over the model's, prefill, sampling, thinking and forced tools where a model does not take them, tools without name or schema, empty texts and stop sequences, cache lifetimes out of order; 404 for unknown and retired models; 413 over 32 MB | Docs, API reference and Errors, 2026-10; answers seen |
//! | stop reasons `end_turn`, `max_tokens`, `stop_sequence`, `tool_use`, `refusal`, `model_context_window_exceeded` | Docs, Handling stop reasons, 2026-08-22 |
//! | a refusal before any output costs nothing and counts against limits | Docs, Refusals and fallback, 2026-08 |
//! | structured output and forced tools are answered with JSON that fits the schema | Docs, Structured outputs, 2026-08 |
//! | any other error of the tables (402, 409, 500, 504, 529, `error_code`s, `x-should-retry`), and what a gateway in front of the API does: injected by a fault file | Docs, Errors, 2026-10; reports of users |
//! | events of a stream, their order, pings, text, thinking, signature and tool input, the count of output at the end, and errors inside it | Docs, Streaming messages, 2026-08-22 |
//! | prompt caching: breakpoints (four, explicit or automatic), least length, lifetimes, renewal by reading, look-back of 20 blocks, readable once the first answer has begun, the messages apart for another tool choice, thinking or effort, prices, filling the cache by `max_tokens` 0 | Docs, Prompt caching, 2026-08-22 |
//! | lists of models with pages, lifecycle and capabilities; limits of the organization for administrators' keys, all, by model or by kind | API reference, 2026-10 |
//! | prices by kind of token, and the higher ones of Haiku 5.5 over 100,000 tokens | Docs, Pricing, 2026-10 |
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
//! | what comes first when a request is wrong in several ways | path, key, version, betas, injected faults, body, limits |
//! | a body over 32 MB | JSON, as the API would send it; an HTML page can be injected |
//! | injected faults | apply to messages only |
//! | a key without administrator's rights asks for limits | 403 |
//! | time to answer, length of answers | [`config::Latency`], [`config::OutputLengths`] |
//!
//! # Not modelled
//!
//! - Endpoints: Message Batches, files and the betas'; limits of workspaces, batches, files, skills and web search, and
//!   pages of limits; CORS.
//! - Requests: service tiers, `speed: fast` and `inference_geo` are accepted and served as standard, at the standard
//!   price; which betas exist (anything that looks like one is taken) and what they change, fallbacks among them; the
//!   other things that the version 2026-10-21 refuses besides sampling (documents of assistants, citations of users);
//!   compressed bodies (refused as an encoding that is not supported); unknown fields inside messages and blocks are
//!   let through; limits on schemas, stop sequences and the number of messages, images and pages.
//! - Answers: calls of server tools other than web search and fetch (with these the model answers in text), the tokens
//!   of what a search finds, citations, `pause_turn` and `compaction`; thinking that is left out or summed up, and
//!   hidden thinking of models that always think; time-outs of the API itself.
//! - Tokens: the difference between tokenizers (all models have the same skew), the size of images and PDFs (every
//!   image counts 1,500), the hidden prompt of tools for each model (346 for all).
//! - Limits: the limit of a workspace as the stricter one in the `tokens` headers; priority and fast headers; the month
//!   that ends a spend cap; spend limits set by the user (they can be injected).
//! - Caching: the effects of web search, citations, images and speed on it.

pub mod config;
pub mod faults;
pub mod model;
pub mod presets;
#[cfg(feature = "sim")]
pub mod server;
pub mod transport;
