//! The texts that follow the flags in the long help of the commands.

use crate::cli::exit::TABLE;

const RUN_EXAMPLES: &str = "\
Examples:
  A first run
    claude-batch run prompts.jsonl --simulate      (a rehearsal, without a key)
    claude-batch run prompts.jsonl --limit 10
    claude-batch run prompts.jsonl
  A table with a template
    claude-batch run tickets.csv -t 'Classify this ticket: {{body}}'
    claude-batch run tickets.csv -t @prompt.txt -s @system.txt --id ticket
  A pipe
    cat prompts.jsonl | claude-batch run > results.jsonl
  Resume a run, or retry what failed or was truncated
    claude-batch run prompts.jsonl                 (the same command again)
    claude-batch resume prompts.errors.jsonl
    claude-batch run prompts.jsonl --rerun truncated --max-tokens 4096
  Cost and time
    claude-batch run prompts.jsonl --dry-run
    claude-batch run prompts.jsonl --max-cost 40
    claude-batch run prompts.jsonl --lane batch    (half price)
    claude-batch run prompts.jsonl --lane auto --deadline 18:00
    claude-batch run prompts.jsonl --dedupe --reuse old.results.jsonl
  Checked answers
    claude-batch run prompts.jsonl --schema answer.json
    claude-batch run prompts.jsonl --require 'text|length < 200'
  Write tables
    claude-batch run tickets.csv -o answers.csv --fields id,text
    claude-batch results tickets.csv -o answers.parquet
  Other providers
    claude-batch run prompts.jsonl --provider bedrock --fallback openrouter
  Watch and control a run
    claude-batch status prompts.jsonl --watch
    claude-batch run prompts.jsonl --schedule 'mon-fri 9:00-18:00 headroom=50%'

A switch is a flag without a value. To turn off a switch that a variable or a
file turned on, add =false, as in --strict=false.

Every flag is also an environment variable (CLAUDE_BATCH_MAX_RETRIES for
--max-retries) and a key of claude-batch.toml (max-retries) in your
configuration folder. A claude-batch.toml in the working folder can set only
some of these keys. The API key comes from --api-key-file or --api-key-cmd, or
else from the variable ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN.

Exit codes:
";

pub(super) const RESUME_HELP: &str = "\
Examples:
  claude-batch resume prompts.errors.jsonl
  claude-batch resume prompts.errors.jsonl --only timeout,network
  claude-batch resume prompts.errors.jsonl --only truncated --max-tokens 4096
  claude-batch resume logs/fails.jsonl -o prompts.results.jsonl

An error log names its results file, which must be in the same folder. If the
log is in another folder, for example because of --errors, name the results file
with -o. An error log or a run folder can't make resume use another server, key,
command or file.";

pub(super) const RESULTS_HELP: &str = "\
Examples:
  claude-batch results tickets.csv -o answers.csv
  claude-batch results tickets.csv --fields id,text,usage.output_tokens > answers.jsonl
  claude-batch results prompts.jsonl --output-format text --include ok
  claude-batch results prompts.jsonl --include failed -o failed.csv

RUN is a results file, an error log, a run folder, an output, or an input whose
results are beside it. The command works at any time: while the run is in
progress, and after it was killed. It changes no file of the run.

Fields: id, text, json.PATH (a part of an answer in JSON), input.COLUMN, model,
quality, stop_reason, usage.output_tokens, cost_usd, latency_ms, error,
error.class, message.PATH, and others (see src/export/TABLES.md in the
repository).";

pub(super) const STATUS_HELP: &str = "\
Examples:
  claude-batch status
  claude-batch status prompts.jsonl --watch
  claude-batch status prompts.jsonl --json

The command works at any time, in another terminal and after the end of the run,
and changes nothing. Ctrl-C ends --watch. The use of limits is shown for the
last five minutes.

Exit codes:
  0  finished, and every row is answered
  3  finished, but some rows failed
  4  stopped before the end, or state unknown: the run's command resumes it
  8  killed: the run's command resumes it
  9  in progress, or paused
For several runs, the code is the first of 8, 4, 3, 9 and 0 that fits a run.";

pub(super) const CTL_HELP: &str = "\
Examples:
  claude-batch ctl prompts.jsonl pause
  claude-batch ctl prompts.jsonl resume
  claude-batch ctl prompts.jsonl set headroom=50%
  claude-batch ctl prompts.jsonl set rpm=default   (back to flags and files)
  claude-batch ctl prompts.jsonl drain   (ends the run after requests in flight)
  claude-batch ctl prompts.jsonl stop    (ends the run and these requests at once)

Settings: concurrency, tier, rpm, itpm, otpm, headroom, max-cost, max-requests,
max-time. If ctl, --schedule or files that are read again (signal USR2) change
the same setting, the latest change has effect.
The run answers within a second; exit code 2 means that nothing was done.";

pub(super) const PLAN_HELP: &str = "\
Examples:
  claude-batch plan prompts.jsonl --tier 2
  claude-batch plan prompts.jsonl --tier 2 --deadline 'mon 9:00' --max-cost 40
  claude-batch plan new.jsonl --history old.results.jsonl --count-tokens 100 --json

The flags of run have the same meaning here. A plan sends nothing that costs
money: --count-tokens uses a free endpoint. A plan learns from earlier answers:
those to this input, and those in the results that --history names. Answers of
rehearsals (--simulate) are used too.";

pub(super) const LIMITS_HELP: &str = "\
Examples:
  claude-batch limits --tier 2
  claude-batch limits --live
  claude-batch limits --live --ask -m claude-opus-5
  claude-batch limits --live --save night
  claude-batch run prompts.jsonl --profile night

--live looks for limits in three places, in this order: the API's list of limits,
if the key is an administrator's (free); the limits that a run last learned
(nothing is sent); the response to a message of one token, which costs money, so
the program asks first.";

#[cfg(feature = "sim")]
pub(super) const SIMULATE_HELP: &str = "\
Example:
  claude-batch simulate --tier 2 --port 8787 --faults faults.json -v
  then, in another terminal:
  ANTHROPIC_API_KEY=test claude-batch run prompts.jsonl --tier 2 --base-url http://127.0.0.1:8787

--as bedrock imitates Amazon Bedrock, --as openrouter imitates OpenRouter, and so on; the first lines of the
output show the address to use.

GET /__sim/stats shows what the simulator has seen and charged, POST /__sim/reset starts over. Ctrl-C stops the
simulator.";

pub(super) fn run_help() -> String {
    format!("{RUN_EXAMPLES}{TABLE}")
}
