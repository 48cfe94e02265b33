//! Runs a file of prompts through the Claude Messages API, as fast as an organization's limits allow. A run that was
//! stopped can be resumed.
//!
//! ```text
//! source ─► plan ─► scheduler(limiter) ─► attempt: provider.encode ─► transport ─► provider.decode ─► provider.judge
//!                       ▲      ▲                                │ head: RateSignals                      │ Verdict
//!                       └──────┴────────────────────────────────┴────────────────────────────────────────┘
//!                       │ Outcome
//!                       ▼
//!                    journal (results, errors) ─► report
//! ```
//!
//! The core (`domain, catalog, plan, limiter, scheduler, provider, answer, classify`) is pure: the core never reads a
//! clock, a file or a socket. Callers pass `now`, and the core returns what to do. One task owns all scheduling state.
//! The attempts (the tasks that send requests) report to this task over one channel.
//!
//! The layers are `clock, domain, catalog` < `source, sink, plan, limiter, provider, answer` < `scheduler, classify,
//! transport, journal, report` < `batches, runner, export, watch, sim` < `forecast` < `cli`. Each layer uses only the
//! layers to its left, except for a few uses that `tests/layering/tables.rs` lists. `sim` never uses `limiter` or
//! `scheduler`, because `sim` is used to test them. `tests/layering` checks the rules about layers. `tests/layering`
//! also checks that no files depend on each other in a cycle.
//!
//! # The steps of a row, from the input file to the line in the results
//!
//! This table shows the steps of a row. Paths in the table are relative to `src`. Steps 1 to 6 run on the thread of the
//! reader. The sync in step 15 runs on a thread of its own. All other steps, and the task of each request, run on the
//! thread of the loop.
//!
//! | | what happens to the row | where |
//! |---|---|---|
//! | 1 | its bytes are unpacked and separated from the other rows of the input | `source/compression/mod.rs`: `Compression::unpack`, `source/splitter.rs`: `Splitter::next_row` |
//! | 2 | its format parses it into a `Row` | `source/split_rows.rs`: `SplitRows::next`; `source/jsonl.rs`, `source/csv/mod.rs`, `source/lines.rs`: `Format::read` |
//! | 3 | it gets its position among the rows of all inputs | `runner/input/reading.rs`: `Reading` |
//! | 4 | it gets its label and its key; if an earlier run has finished it, it is skipped (answers that are asked for again: `journal/reading/reruns.rs`) | `runner/input/planned_rows.rs`: `PlannedRows::next`, `plan/planner.rs`: `Planner::identify` |
//! | 5 | it gets its pool, its cost and the prefixes that it shares, and becomes `Planned`, or it is rejected | `plan/planner.rs`: `Planner::measure`, `plan/prefix/finder.rs`: `PrefixFinder::find` |
//! | | if the results that --reuse names have an answer to its request, and the rules for answers accept it, it takes that answer and continues at step 14 | `runner/input/feed.rs`: `stored_or_sent`, `journal/stored.rs`: `StoredAnswers` |
//! | 6 | it waits in a bounded channel, as `Incoming` | `runner/input/feed.rs`: `feed`, `runner/input/row_sender.rs`: `RowSender::send` |
//! | 7 | the loop receives it and puts it into the queue of its pool, or behind the row that writes its prefix to the prompt cache | `runner/rows.rs`: `on_incoming`, `scheduler/queue.rs`: `Scheduler::offer`, `scheduler/warm_up.rs`: `take_turn` |
//! | | with --dedupe: it waits for an equal row that is on its way, or copies the answer of an equal row and continues at step 14 | `runner/equal.rs`: `EqualRows`, `runner/copying.rs`: `copy_due` |
//! | | with --lane batch or auto: it waits until a request of its shape was answered online, is added to a chunk, and is submitted in a batch; when the batch has ended, its result is read and the row continues at step 14 | `batches/lane/filling.rs`: `Lane::offer`, `batches/lane/calls.rs`: `Lane::next_call`, `batches/lane/merging.rs`: `Lane::next_merged`, `runner/batch_rows.rs`: `merge_rows` |
//! | 8 | it is sent when the window, the budget and all buckets of its pool allow it | `scheduler/poll.rs`: `Scheduler::poll`, `scheduler/endpoint/window.rs`: `Window`, `scheduler/budget.rs`: `Budget`, `limiter/pool.rs`: `Pool::reserve`; with a chain of providers, the next provider can take the row from the queue: `scheduler/pull.rs` |
//! | 9 | a slot (a record in a file) says that its request is in flight; the loop writes all new slots of a turn before it sends anything, but does not sync the slots | `runner/sending.rs`: `dispatch`, `runner/ledger.rs`: `Ledger::mark`, `journal/files/slots.rs`: `Slots::flush` |
//! | 10 | a task is started for its request | `runner/attempts.rs`: `Attempts::start`, `runner/attempt.rs`: `Attempt::run` |
//! | 11 | the body of the request is made with its cache marks, and the request is sent | `provider/anthropic/request.rs`: `body`, `transport/http.rs`: `Transport::send` |
//! | 12 | the reply is read, and its meaning becomes a `Verdict` | `provider/anthropic/headers.rs`: `read`, `provider/anthropic/reply.rs`, `provider/anthropic/sse.rs`: `Decoder`, `provider/anthropic/judge.rs`: `judge` |
//! | 13 | the real usage replaces the reservation; then the row is sent again, is left for a later run, or has an `Outcome` | by verdict: `scheduler/ends.rs`: `on_verdict`; an answer: `scheduler/answers.rs`; a 429: `scheduler/refusals.rs` (`hold`: the pool waits); a fault: `scheduler/faults.rs`: `on_fault`, `scheduler/backoff.rs`; its end: `scheduler/outcome.rs`; or the next provider of the chain gets it: `scheduler/chain.rs` |
//! | 14 | the outcome becomes a line, and is written at the end of the loop's turn | `journal/mod.rs`: `Journal::append_outcome`, `sink/mod.rs`: `outcome_line`, `journal/writing/writer.rs`: `Writer::flush` |
//! | 15 | the line is synced; after that, the row is shown as done | `journal/writing/syncer.rs`, `runner/lines.rs`: `on_commit`, `report/open.rs`: `Report::on_event` |
//!
//! If no reply comes, `classify.rs` (`on_wire`) decides what happens to the row. `cli/run/mod.rs` (`NewRun::go`) shows
//! what a run does before and after its rows, in order.
//!
//! # Where to add something new
//!
//! Paths are relative to `src`, except those that begin with `tests`, `fixtures` or `.ci`.
//!
//! | to add | write | then |
//! |---|---|---|
//! | an input format | a file in `source/` that implements `Rows`, or `Format` if its rows are lines or CSV records (`source/format.rs`); `Header` decides what each column means (`source/header.rs`), and a file with typed columns is a `Table` (`source/table.rs`) | a name in `InputFormat` (`source/mod.rs`), how it is recognized in `source/sniff.rs` (`choose`, `by_extension`), an arm in `source/reader.rs` (`rows`), the file extensions in `ROW_ENDINGS` (`source/texts.rs`), the page `source/INPUTS.md`, a new crate in `HOMES` (`tests/layering/tables.rs`); tests in `tests/inputs.rs` |
//! | something that happens to a batch | `Record` (`batches/log.rs`), and what is true after it: `Replayed::apply`; what happens next: a file in `batches/lane/` | a call for it: `Call` (`batches/lane/call.rs`), made by `runner/batch_calls.rs`; tests in `tests/batches` |
//! | a kind of compression | a file in `source/compression/` that unpacks it | a variant of `Compression` (`source/compression/mod.rs`) with its first bytes and its file extension; its entry in `MAGIC` (`source/sniff.rs`); the page `source/INPUTS.md`; a new crate in `HOMES` (`tests/layering/tables.rs`) |
//! | a file extension of text files | `TEXT_ENDINGS` (`source/texts.rs`) | the list in `source/INPUTS.md` |
//! | a member of result lines | `members_of_meta` and `members_of_taken` (`sink/result.rs`) | the same place in the order of `journal/reading/fast_path.rs` (`parse_result`); if a resumed run needs it, `journal/reading/parse.rs`; a column for it: see the row about columns |
//! | a column of tables, a field of --fields | `SHORT` (a member of the lines) or `Of` (a computed value) in `export/fields.rs`; the columns without --fields: `fields` (`export/project.rs`) | for failed rows `OF_ERROR` (`export/fields.rs`); the page `export/TABLES.md`, the help in `cli/args/help.rs` |
//! | a header of replies that result lines show | a member of result lines (see above), and the same steps as for `request_id`: `read` (`provider/anthropic/headers.rs`), `HeadNews` (`provider/wire.rs`), cleaned of secrets in `Attempt::run` (`runner/attempt.rs`), `remember` (`scheduler/ends.rs`), `AttemptRecord` (`domain/outcome.rs`) | the compiler names the places in between |
//! | a member of a row's steps in a line | `write_step` (`sink/steps.rs`), for both kinds of lines | |
//! | a member of error lines | `error_line` (`sink/error.rs`) | if a resumed run needs it, `parse_error` in `journal/reading/parse.rs` |
//! | another form of the results (CSV, text) | a module that reads the results back with `parse_result` (`journal/reading/parse.rs`) and writes that form | the JSON lines stay as they are: a resumed run reads them |
//! | a status, error type or error code of the API or of a proxy | what it means: `by_status` (`provider/anthropic/judge.rs`), and whether it is an overload: `is_overload`; for an error type inside a stream: `known_status_of`; an error that is worth a retry gets `transient`, as every 5xx does; what only one platform sends: `finding` (`provider/anthropic/platform/`) | a row in `tests/exchange/policy.rs`; its words: `fault_words` (`report/words.rs`); a new name in `OF_A_PROVIDER` (`tests/layering/tables.rs`) |
//! | a rule for retries or giving up | `on_fault` (`scheduler/faults.rs`) | the wait in `scheduler/backoff.rs`, a default number in `cli/config/defaults.rs` |
//! | a class of failure | `ErrorClass` (`domain/error_class.rs`) | a hint in `sink/hint.rs`; the compiler names the other places |
//! | a reason to stop the run | `HaltReason` (`domain/halt.rs`); what raises it, for example: a time (`halt_if_overdue` in `scheduler/halts.rs`), a cap of the user (`scheduler/budget.rs`), failed rows (`scheduler/halt.rs`) or a reply (`by_status` in `provider/anthropic/judge.rs`) | its words in `report/words.rs` (`halt_words`), its advice in `cli/explain.rs`, its exit code in `cli/exit.rs`; the compiler names the other places |
//! | a kind of provider that speaks the Messages API | another address alone needs no code, only --base-url or a table in the user's configuration; otherwise `ProviderKind` (`domain/provider_kind.rs`), and a table in `catalog/providers.toml` | what its errors mean: `provider/anthropic/platform/` (`finding`), with a row in `tests/exchange/platforms.rs` and an exchange in `fixtures/exchanges`; how it is simulated: `sim/model/platform/`; the page `cli/config/providers/PROVIDERS.md` |
//! | a provider with another API | a folder in `provider/` that implements `Provider` (`provider/mod.rs`) | where it is chosen: `adapter` (`cli/parts.rs`); its names of headers and errors, and its folder, in `OF_A_PROVIDER` (`tests/layering/tables.rs`); how it gets its key: see the rows "a header in which a key is sent" and "a way to get a key or a token". Rows stay in the form of the Messages API, so `encode` translates them |
//! | a key of a provider's table | `KEYS` and `set` (`cli/config/providers/table.rs`), its value in `cli/config/providers/values.rs` | its use: `cli/config/providers/resolve.rs`; what `providers` shows: `cli/providers/words.rs`, `cli/providers/document.rs` |
//! | something that a provider can or can't do | `ProviderFeatures` (`domain/provider_features.rs`) | |
//! | something that is changed in the requests for a provider | `RequestRules` (`domain/request_rules.rs`) | what is sent: `provider/anthropic/changes.rs`; which rows are rejected, and the note for the user: `plan/provider_rules.rs` |
//! | a case in which rows go to the next provider | `FallbackOn` and `FallbackCase` (`domain/fallback.rs`), `case_of_halt` and `case_of_failure` (`scheduler/fallback.rs`) | when a row moves: `scheduler/chain.rs`, `scheduler/pull.rs`; its words: `case_words` (`report/words.rs`) |
//! | what is shown of each provider | `OfProvider` (`report/providers.rs`), its state: `report/provider_states.rs` | as JSON `report/json/providers.rs`, `fixtures/schemas/status.schema.json`; as text `cli/status/lines.rs` |
//! | a rule about which answers can be in the same results | `Servers::conflict` (`journal/files/servers.rs`) | the note before the run: `cli/run/providers.rs` |
//! | a call of the API for batches | `BatchCall` (`provider/batches.rs`), and its address in `provider/anthropic/batches.rs` (`address`) | what its answer says: a type in `provider/batches.rs`, read in `provider/anthropic/batches.rs`; a member that the API rejects in batches: `provider/anthropic/not_in_batches.rs` (`refused`) |
//! | a header in which a key is sent | `Credential` (`transport/credential.rs`), `KeyHeader` (`catalog/providers.rs`) | `AuthStyle` (`cli/config/providers.rs`), `auth` (`cli/config/providers/values.rs`), `styled` (`cli/config/authorization.rs`); the simulator checks it: `authenticate` (`sim/model/endpoints.rs`), `arrive` (`sim/transport.rs`); the compiler names the other places |
//! | a way to get a key or a token | `Authorization` (`transport/authorization.rs`) | where the key comes from: `cli/config/authorization.rs`; tokens that expire: `Issuer` (`transport/renewing.rs`) |
//! | a form in which commands print keys | `cli/config/printed.rs` | |
//! | a server's words for a wrong clock | `WORDS` (`provider/clock_skew.rs`) | |
//! | a model, a price | a table in `catalog/models.toml` | |
//! | a vendor whose models are rejected | `catalog/vendors.rs` | |
//! | a tier | `Tier` (`domain/limits.rs`) | its limits in `catalog/tiers.toml`, its row in `limiter/LIMITS.md` (`tests/readme/tiers.rs` compares them) |
//! | something that a plan knows or shows | what is estimated: `forecast/sizes.rs` and `forecast/time.rs`; a change that is worth knowing: `forecast/options.rs` | as text `cli/plan/words.rs`, as JSON `cli/plan/document.rs` and `fixtures/schemas/plan.schema.json`, as advice `cli/plan/advice.rs` |
//! | a check before a row is sent | `plan/checks.rs` | its message with the row's values in quotation marks or as numbers, so that equal faults count as one (`domain/alike.rs`) |
//! | something that templates can do | `source/template.rs`, and a file in `source/template/` | a filter also in the list `KNOWN` (`source/template/filters.rs`) |
//! | something that conditions on answers can see | `Facts` and `NAMES` (`source/template/condition.rs`) | |
//! | a flag | a field in a group of `cli/args/groups/`, its name in the list `layered` at the end of that file | its value in `Config` (`cli/config.rs`), which `cli/parts.rs` passes to the part that uses it (for the connection `transport/http/config.rs`, for reports `open_report` in `cli/run/send.rs`); a value with a form of its own has a parser in `cli/args/parsers.rs`; its name in a list of `cli/config/folder.rs`, which says whether a file in the working folder can set it: `FREE` (yes), `CAPS` (it can only lower the value; then also `take_caps`, `lower` and `lowered_names`) or `REFUSED` (no); if `resume` uses it again, `cli/config/recorded.rs`; if new users need it, `cli/help/short.rs`. The environment variable and the key of the configuration file then exist without further code |
//! | the default of a setting | `cli/config/defaults.rs` | a setting without a default: `cli/configuration/examples.rs`; a setting that may be secret: `without_secret` (`cli/config/origins.rs`) |
//! | a flag of another tool, or a parameter of the API, that users type | `cli/usage/flags.rs` | other errors of clap: `cli/usage/wrong.rs` |
//! | a message about wrong usage | the place where the fault is found, in the form of `cli/message.rs` | a row in `tests/wrong_uses/table.rs` |
//! | values that a shell completes | `cli/completions/command.rs` | a line in `.ci/shells` |
//! | a parameter that a rerun or `resume` replaces in the requests of rows | `OverrideArgs` (`cli/args/groups/rows.rs`) and `overrides` (`cli/config/rows.rs`) | `Overrides` (`plan/overrides.rs`); its words in `cli/run/rerun.rs` (`flags`), and its name in `OVERRIDES` (`cli/commands.rs`) |
//! | a subcommand | `Command` (`cli/args.rs`) and a file in `cli/` | an arm in `cli/mod.rs`; its group in the help: `GROUPS` (`cli/help/short.rs`) |
//! | a verb of `batches` | its arguments in `cli/args/batches.rs`, and a file in `cli/batches/` | an arm in `cli/batches/mod.rs`; a call outside of a run: `cli/batches/workspace.rs` |
//! | a line of the summary | `summary` (`report/summary.rs`) | what it counts: `Stats::fold` (`report/stats.rs`); what no event carries yet: see "an event"; what only the end of a run knows: `summary_context` (`cli/run/summary.rs`); as JSON `report/json/summary.rs`, `fixtures/schemas/summary.schema.json` and `report/EVENTS.md` |
//! | a line of the progress display on a terminal | `lines` (`report/line.rs`), made of `report/parts.rs` | what the run does now: `report/now.rs`; a scene: `report/captures.rs` |
//! | a reason why a run is not faster | `Reason` (`domain/reason.rs`) | its words: `doing_words` (`report/words.rs`) |
//! | a way to correct an answer | `Purpose` (`domain/ask.rs`) | its name and its words in `report/tallies.rs` |
//! | something that the state of a run shows | `Document` (`watch/status/document.rs`), read by `Shown` (`watch/status/read.rs`) | `fixtures/schemas/status.schema.json`; as text `cli/status/lines.rs`; a number of rows that a run on a part of the rows does not know: `InputRows` (`watch/status/input.rs`), read in `cli/run/part.rs` |
//! | something in the history of a run | `Point` or `Note` (`watch/timeline.rs`), filled in `watch/collect.rs`, merged in `watch/merge.rs` | `fixtures/schemas/timeline.schema.json` |
//! | something that the report shows | a field in `RunFacts` (`watch/facts.rs`), read in `watch/gather/` | a section in `watch/page/mod.rs`; for a member of result lines also `More` (`journal/reading/fast_path.rs`), `Details` (`journal/reading/record.rs`) and `journal/reading/details.rs` |
//! | a kind of notice | `NoticeRule` (`watch/notices/rule.rs`); when it is sent: `Happened` and its use (`watch/notices/decide.rs`) | its words in `watch/notices/words.rs`, its parser `notice_rule` (`cli/args/parsers.rs`), the help of --notify-on (`cli/args/groups/surroundings.rs`), `watch/WATCHING.md`, `fixtures/schemas/notice.schema.json` |
//! | a member of notices | `watch/notices/document.rs` | `fixtures/schemas/notice.schema.json` |
//! | a line about a row in the log of events | `watch/log/rows.rs` | the table in `watch/log.rs` |
//! | a setting that can be changed during a run | `Setting` (`cli/args/steered.rs`) | `of`, `put` and `shown` (`cli/run/steer/settings.rs`), `Steering` (`scheduler/steer.rs`) |
//! | a verb of `ctl` | `Verb` (`watch/ctl/request.rs`) and `Order` (`runner/orders.rs`) | `apply` (`runner/steering.rs`), `obey` (`cli/run/steer/thread.rs`) |
//! | an event | `EventBody` (`domain/event.rs`) | raised by a push to the events of the `Scheduler` (`scheduler/state.rs`), by `event_of` (`runner/outcomes.rs`) for the end of a row, or by `show` (`runner/events.rs`); the compiler names each report that has to show it; as JSON `Body` (`report/json/objects.rs`), with a case in `bodies` (`report/json/schemas.rs`), `fixtures/schemas/event.schema.json`, and `report/EVENTS.md`, which lists all events |
//! | a report during the run | a `View` (`report/view.rs`) in a file of `report/` | an arm in `report/open.rs` (`open`); how often the state is shown: `STATUS_EVERY` (`runner/turns.rs`), plain lines: `due_after` (`report/plain.rs`), the status file: `watch/status/recorder.rs` |
//! | a rule for sending within limits | per pool: `limiter/pool.rs`, after a refusal: `hold_until` there; without headers `limiter/hidden.rs` and `limiter/slow_start.rs`; for the whole run: `next_step` (`scheduler/poll.rs`), with its number in `Config` (`scheduler/config.rs`) | why the run waits: `Reason` (`domain/reason.rs`); unit tests in the same file, whole runs on virtual time in `fixtures/scenarios` |
//! | a limit dimension | `Dimension` (`domain/cost.rs`) | the buckets in `limiter/dimension.rs`, the headers in `provider/anthropic/headers.rs`, a limit on input and output together: `counts_together` (`limiter/pool.rs`); the limits in `domain/limits.rs` and `catalog/tier.rs`, the simulator in `sim/model/limits.rs`; the compiler names the words of the reports |
//! | a fault of the simulator | `Fault` (`sim/faults/rule.rs`), read in `sim/faults/file.rs` | played by `sim/model/delivery.rs` (in a body) or `sim/model/admission.rs` (instead of one), for batches by `sim/model/batches/`; described in `sim/faults/mod.rs` |
//! | something that can be scripted in the simulator's answers | `AnswerRule` (`sim/answers/rule.rs`), read in `sim/answers/file.rs` | made by `sim/model/scripted.rs`; described in `sim/answers/mod.rs` |
//! | a way to select requests for faults and scripted answers | `Selection` (`sim/rules/selection.rs`) | read in `sim/rules/file.rs` |
//! | a request that the simulated API rejects | `read` (`sim/model/validate/mod.rs`); a number that users can set: `sim/config/` | a row with its source in `sim/mod.rs` |
//! | a rule of the simulated API | `sim/model/` | a row with its source in `sim/mod.rs` |
//! | a rule for the next request of a row | what is decided: `answer/policy.rs`; what is sent: `answer/follow_up.rs`, made from the request in `answer/base.rs` | a choice of the user: `answer/rules.rs`; a fact about an answer that the policy needs: `answer/seen.rs` |
//! | a rule for answers that a row takes from another line | `answer/taken.rs` | whole runs: `tests/answers` |
//! | a keyword of JSON Schema that the API accepts or rejects | `answer/schema/adapt.rs`, and the lists in `answer/schema/keywords.rs` | |
//! | a way to put a schema into a request | `SchemaMethod` (`answer/schema/method.rs`): which models and requests allow it, and where the answer is; `answer/schema/request.rs`: how it is written | what a model accepts: `catalog/models.toml` |
//! | words about what is wrong with an answer | `answer/schema/finding.rs` | |
//! | a rule of the prompt cache | which prefixes there are: `plan/prefix/levels.rs`; which of them are cached: `plan/prefix/decide.rs`, for a pipe `plan/prefix/stream.rs` | what is in the cache: `scheduler/warmth.rs`; who waits for whom: `scheduler/warm_up.rs`; how a mark is written: `provider/anthropic/request.rs`; the simulated cache: `sim/model/cache.rs` |
//!
//! Every change that users can see also needs a line in CHANGELOG.md, and in README.md or the page of its topic.

// Every `pub` item must be visible outside the crate. The items of a test or bench are never visible outside of that
// test or bench. So the lint `unreachable_pub` is set here, and not for all targets.
#![warn(unreachable_pub)]

pub mod answer;
pub mod batches;
pub mod catalog;
pub mod classify;
pub mod cli;
pub mod clock;
pub mod domain;
pub mod export;
pub mod forecast;
pub mod journal;
pub mod limiter;
pub mod plan;
pub mod provider;
pub mod report;
pub mod runner;
pub mod scheduler;
pub mod sim;
pub mod sink;
pub mod source;
pub mod transport;
mod watch;
