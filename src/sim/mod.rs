//! A simulation of the API, which runs inside the program on a virtual clock, or as an HTTP server on this machine.
//!
//! The simulated API tests `limiter` and `scheduler`, so it shares no code with them, and does not use the token counts
//! of `plan`. [`model`] is a plain state machine; its callers pass `now`. [`transport`] runs the state machine inside
//! the program, on the clock of the run. `server` serves the state machine over sockets (feature `sim`). [`config`]
//! contains all settings. [`faults`] defines the faults that can be injected, and [`answers`] defines the answers that
//! can be scripted. [`rules`] contains the code that `faults` and `answers` share. [`presets`] contains the simulated
//! models.
//!
//! # Rules of the API that the simulator follows
//!
//! "Docs" means the pages of the API documentation. A date says when the page was copied.
//!
//! | rule | source |
//! |---|---|
//! | each organization has three buckets per model class (requests, uncached input, output), which refill continuously | Docs, Rate limits, 2026-08-22 |
//! | input is estimated at the start and corrected at the end; tokens that are read from the cache do not count against the input limit, except with the oldest models | Docs, Rate limits, 2026-08-22 |
//! | output counts against its limit while it is produced; `max_tokens` has no effect on the limits | Docs, Rate limits, from 2026-02-19 |
//! | under the older rule, the whole `max_tokens` counts against the limit at the start, and the unused part is given back at the end ([`config::OutputRule::MaxTokensUpFront`]) | Docs, Rate limits, to 2026-02-18 |
//! | every answer to a message and every 429 from a limit has rate headers: the limit per minute, what is left (tokens to the nearest thousand), and the time at which the bucket is full again | Docs, Rate limits, 2026-08-22; recorded answers, 2026-02-25 |
//! | each of the headers `anthropic-ratelimit-tokens-…` is the sum of input and output | Docs, Rate limits, 2026-08-22; recorded answers, 2026-02-25 |
//! | `retry-after` is in whole seconds; an earlier retry fails | Docs, Rate limits, 2026-08-22 |
//! | each tier has its own limits: the simulator knows the limits up to 2026-06-25, the limits of today, and the request limit of `count_tokens` | Docs, Rate limits, 2026-01-15 to 2026-10-08 (the catalog) |
//! | there is also a 429 for input that grows too fast (`ramp_limit_exceeded`), for too many open requests (without rate headers) and for requests beyond the spend cap (without `retry-after`) | Docs, Errors, 2026-10; Rate limits, 2026-08-22; reports of users |
//! | `count_tokens` has a request limit of its own, is free, ignores caching and accepts only the fields of a prompt | Docs, Token counting, 2026-08-22; API reference, 2026-10 |
//! | error bodies have a type, details and the request id; the request id is in the headers and in the body | Docs, Errors, 2026-10 |
//! | every response of the API has headers with the ids of request, organization and workspace; responses of the network in front of the API do not have them | Docs, API overview, 2026-08 and 2026-10; release notes, 2026-08-11 |
//! | unknown query parameters are ignored; an unknown path is answered with 404 for every key, and a wrong method with 405; answers to HEAD have no body | Anthropic's own clients (`?beta=true`, `HEAD /`), 2026-11; answers seen |
//! | `/api/hello` is a 200 that needs no key; clients use it to check whether the API can be reached | issues of clients, 2025-05 and 2026-09 |
//! | a beta is a name and a date (`name-2026-01-31`, `claude-code-20250219`); values that do not look like this get a 400 that names all of them | Docs, Beta headers, 2026-10; issues of clients, 2025-11 to 2026-06 |
//! | web searches and fetches are run by the API: the answer has the call, its result and text, and ends with `end_turn`; a search costs one cent | Docs, Server tools and Web search tool, 2026-10; Pricing, 2026-10 |
//! | a key can be sent in either header; a version is required; the versions are 2023-06-01 and 2026-10-21; the later version rejects sampling parameters | Docs, Versions, 2026-10 |
//! | the answer is a 400 for unknown fields, prompts larger than the context window, `max_tokens` above the model's maximum, tools without name or schema, empty texts and stop sequences, cache lifetimes in the wrong order, and for prefill, sampling, thinking and forced tools if the model does not accept them; it is a 404 for unknown and retired models, and a 413 for bodies over 32 MB | Docs, API reference and Errors, 2026-10; answers seen |
//! | each call of a tool needs its result at the beginning of the next user message; each result needs its call in the previous assistant message; ids of calls are unique and have only letters, digits, `_` and `-`; consecutive messages with the same role are read as one message | Docs, Handle tool calls, 2026-08; API reference, Messages, 2026-10; anthropics/claude-code#8210 and #13460; maximhq/bifrost#5097 |
//! | the result of a server tool comes after its call, in the same message | anthropics/claude-code#64383, 2026-06 |
//! | the API rejects blocks with unknown types | AstrBotDevs/AstrBot#4444, 2026-01; the types are taken from the Python SDK 2.14.0, 2026-11 |
//! | images are JPEG, PNG, GIF or WebP, and their data is Base64 | Docs, Vision, 2026-08-22; anthropics/claude-code#8184 and #2438; felixarntz/ai-services#19 |
//! | names of tools match `^[a-zA-Z0-9_-]{1,128}$` and are unique; their schemas have no `oneOf`, `allOf` or `anyOf` at the top | home-assistant/core#147760, 2025-06; anthropics/claude-code#96152, 2026-09, and #10687; Hmbown/Codewhale#4329, 2026-07 |
//! | thinking can't be used with a forced tool choice; if thinking has a budget, an assistant message that the model has to continue must begin with a thinking block | Docs, Extended thinking, 2026-08; mastra-ai/mastra#7507; deepset-ai/haystack-core-integrations#2146 |
//! | a prefilled beginning of the answer must not end with white space, and can't be used with structured output | Docs, Prefill Claude's response and Structured outputs, 2026-08; tailcallhq/forgecode#1872 |
//! | schemas of structured output and of strict tools need `additionalProperties: false` in each object, and must not limit numbers or the length of texts and lists (except `minItems` 0 and 1), or contain external references or recursion; a request has at most 20 strict tools, and 24 optional properties in all these schemas | Docs, Structured outputs, 2026-08; veryfront/veryfront-code#3918, BerriAI/litellm#35808, agentjido/req_llm#302 and #706, laravel/ai#715, 2025-12 to 2026-08 |
//! | the stop reason of an answer is one of `end_turn`, `max_tokens`, `stop_sequence`, `tool_use`, `refusal`, `model_context_window_exceeded`; `pause_turn` and others can be scripted | Docs, Handling stop reasons, 2026-08-22 |
//! | a request continues a paused answer if it has this answer as an assistant message at the end | Docs, Server tools, 2026-11 |
//! | a refusal before the first output costs nothing, but counts against the limits; a refusal after some output is billed, and `stop_details` has its category | Docs, Refusals and fallback, 2026-08 |
//! | structured output and forced tools are answered with JSON that fits the schema | Docs, Structured outputs, 2026-08 |
//! | all other documented errors (402, 409, 500, 504, 529, `error_code`s, `x-should-retry`), and the errors of a gateway in front of the API, can be injected with a fault file | Docs, Errors, 2026-10; reports of users |
//! | a stream has the documented events in the documented order: pings, text, thinking, signature and tool input, the count of output at the end, and errors inside the stream | Docs, Streaming messages, 2026-08-22 |
//! | prompt caching has breakpoints (up to four, explicit or automatic), a minimum length, two lifetimes (the longer ones first), renewal by reading, and prices; a breakpoint looks for entries at 20 positions, including its own; consecutive tool calls are one position, and consecutive results are one position; an entry can be read after the first answer has begun, and its lifetime is counted from the start of the request; `max_tokens` 0 fills the cache | Docs, Prompt caching, 2026-09-29 |
//! | cache entries belong to an organization, a model and a speed; after turning citations on or off, the entries for system and messages are not found; after a change of the tool choice, the thinking or the effort, or after the first image, the entries for messages are not found | Docs, Prompt caching, 2026-09-29 |
//! | the answer to a request with `diagnostics` says why the prompt was not read from the cache | API reference, Messages (Python SDK 2.14.0), 2026-11 |
//! | a batch is `in_progress`, perhaps `canceling`, and then `ended`; its counts add up to its size and are split only at the end; `results_url` is null until then | Docs, Batch processing, 2026-09-20; API reference (Python SDK 2.14.0), 2026-11 |
//! | a batch has at most 100,000 requests and 256 MB; ids have 1 to 64 letters, digits, `-` and `_`, and are unique; otherwise the API rejects the whole batch at once | Docs, Batch processing, 2026-09-20; anthropic-sdk-python#984 |
//! | the `params` of requests are checked when they are processed, so mistakes appear only in the results; `stream`, `speed`, `fallbacks`, `thread` and `max_tokens` 0 are mistakes there | Docs, Batch processing, 2026-09-20 |
//! | each request ends as `succeeded`, `errored`, `canceled` or `expired`; only answers are billed, at half the price of all tokens; their `service_tier` is `batch` | Docs, Batch processing and Pricing, 2026-09-20 |
//! | a batch expires 24 hours after its creation; results can be read for 29 days; only ended batches can be deleted; a canceled batch contains the answers that were finished | Docs, Batch processing, 2026-09-20 |
//! | batches are listed in pages, the newest first; results come in any order, as `application/x-jsonl`, which the API began to send in 2026-08 | API reference (Python SDK 2.14.0), 2026-11; anthropic-sdk-php#30 |
//! | all batch endpoints share a limit on requests per minute; another limit counts the requests that wait for processing; batches do not count against the limits of messages | Docs, Rate limits, 2026-08-22 (the catalog) |
//! | batches and messages do not share prompt caches | anthropics/skills#1475, #1477 and #1601, 2026-07 and 2026-08 |
//! | models are listed in pages, with lifecycle and capabilities; an admin key can list the limits of the organization: all limits, those of a model, or those of a kind | API reference, 2026-10 |
//! | other platforms that speak the Messages API have paths, model names, rejected members, headers and errors of their own | sources in [`model`]'s `platform`, one file for each |
//! | each kind of token has its own price, and Haiku 5.5 has higher prices for prompts over 100,000 tokens | Docs, Pricing, 2026-10 |
//!
//! # What the simulator does where the API documentation says nothing
//!
//! | question | choice |
//! |---|---|
//! | how much of a limit can be used in one burst | as much as refills in a minute; [`config::Bursts`] |
//! | `remaining` with a smaller burst | the level of the bucket; `reset` is the time at which the bucket is full |
//! | does a request that gets a 429 count against the request limit | no; [`config::SimConfig::refused_uses_request`] |
//! | what happens to a prompt larger than the burst | it is admitted when the bucket is full; the level of the bucket is then below zero |
//! | `retry-after` when output is exhausted | how long it would take until the level is above zero if no more output were produced |
//! | which limit an error names if several are exhausted | the limit that takes longest to recover |
//! | the limit on growth | in each minute, a model class can use one step more than in the minute before; [`config::Acceleration`] |
//! | does a read of a long cached prefix renew the entries of shorter prefixes | no, only the entry that was read |
//! | which cache entries are not found after a change of the schema of structured output | all, including those for tools |
//! | the lifetime of an entry that a breakpoint with another lifetime reads | it does not change |
//! | `cache_missed_input_tokens` | the tokens of the earlier prompt from the first difference on |
//! | what happens if the client of a call without streaming leaves | the call runs to its end and is charged |
//! | what happens if the client of a stream leaves | output stops at that moment, and the output so far is charged |
//! | which key counts if both key headers are present | the one in `x-api-key` |
//! | the order of the checks, if a request is wrong in several ways | path, key, version, betas, injected faults, body, limits |
//! | the answer to a body over 32 MB | the JSON error of the API; an HTML page can be injected instead |
//! | injected faults | apply to messages, except for rules with `calls` and kinds about batches ([`faults`]) |
//! | how long a batch takes | [`config::BatchTime`]; its requests are processed in a random order, evenly over this time |
//! | how long a cancellation takes | [`config::BatchConfig::cancel_time`]; requests that were processed before the cancellation are answered, and all others are canceled |
//! | which requests count as waiting for processing | those that have not been processed, in batches that have not ended |
//! | the 429 of a full queue | `rate_limit_error`, with neither rate headers nor `retry-after` |
//! | rate headers of batch endpoints | only a 429 has them |
//! | the error type of an unknown model in a batch | `invalid_request_error`, as for all other faults of `params` |
//! | the answer to reading results or deleting a batch before its end, and to canceling it after its end | 400 |
//! | the answer if results were removed | 404 |
//! | the time at which a request of a batch can read the cache entries of another request | after the usual time to the first token |
//! | the answer if a key without admin rights asks for limits | 403 |
//! | how a paused answer is recognized | its assistant message has a call of a server tool; all models accept a paused answer at the end of a request |
//! | is the text of structured output and the input of a tool sent at once | no, in deltas of about 4 tokens, or of a 48th of a longer answer |
//! | are the media type and the pixels of an image checked | only the name of the media type, and the alphabet and padding of the data |
//! | `pattern` in schemas that the model must follow | accepted, but the simulated model does not follow it |
//! | the messages of errors that nobody has reported (references in schemas, a beginning with structured output, blocks in messages of the wrong role) | our own |
//! | time to answer, length of answers | [`config::Latency`], [`config::OutputLengths`] |
//!
//! # Not modelled
//!
//! - These endpoints and parts of endpoints are missing: files and betas; the limits of workspaces, files, skills and
//!   web search; lists of limits with several pages; CORS.
//! - Batches lack these features: workspaces (an organization has only one), `anthropic-user-profile-id`, longer
//!   answers with a beta, and answers with several calls of server tools. The slow processing of batches by a busy
//!   service is not simulated. To test the effect of slow processing, use a long [`config::BatchTime`] or the fault
//!   `request_expired`.
//! - Requests: a request with a service tier, `speed: fast` or `inference_geo` is accepted, but it is served and priced
//!   like a standard request.
//! - Betas: every value that looks like the name of a beta is accepted. Betas have no effect. Fallbacks need a beta, so
//!   they have no effect either.
//! - API version 2026-10-21: like the API, the simulator rejects sampling parameters. Unlike the API, the simulator
//!   accepts documents in assistant messages and citations in user messages.
//! - Bodies: the simulator rejects compressed bodies. Unknown fields inside messages and blocks are accepted. The
//!   simulator does not limit the size of schemas and stop sequences. The simulator also accepts any number of
//!   messages, images and pages.
//! - The simulated answers lack these things: calls of server tools other than web search and fetch (instead of such a
//!   call, the model answers with text); citations and `compaction`; the tokens of search results; omitted, summarized
//!   and hidden thinking; time-outs of the API itself.
//! - Token counts are simpler: all models use the same tokenizer. Every image has 1,500 tokens, and the hidden tool
//!   prompt has 346 tokens for all models. The tokens of a PDF are estimated from its size in bytes.
//! - These parts of the limits are missing: workspace limits in the `tokens` headers; the headers for priority tier and
//!   fast mode; the end of a spend cap when a new month begins; spend limits that a user sets (but the errors of these
//!   limits can be injected).
//! - Caching: if web search is added to a request, the API can still read the cache entries of the other tools, but the
//!   simulator can't. The simulator removes entries early only with the fault `cache_evicted`.

pub mod answers;
pub mod config;
pub mod faults;
pub mod model;
pub mod presets;
pub mod rules;
#[cfg(feature = "sim")]
pub mod server;
pub mod transport;
