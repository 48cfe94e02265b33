//! The text of the short help: the flags that matter, each in a few words, and examples.

/// What `-h` shows of a command.
pub(super) struct Short {
    /// The whole name of the command.
    pub command: &'static str,
    /// The flags, in this order, each with its description.
    pub flags: &'static [(&'static str, &'static str)],
    /// Examples, without the name of the program.
    pub examples: &'static [&'static str],
}

/// What the program does, in the help of the program.
pub(super) const ABOUT: &str = "Runs files of prompts through the Claude API, at the limit your tier allows.";

/// How to start, in the help of the program.
pub(super) const START: &str = "  \
  claude-batch run prompts.jsonl --simulate   (a rehearsal, without a key)
  claude-batch run prompts.jsonl              (needs ANTHROPIC_API_KEY)";

/// The commands by task. The last group takes all other commands.
pub(super) const GROUPS: [(&str, &[&str]); 5] = [
    ("Start a run", &["run", "resume", "check", "plan"]),
    ("Look at runs", &["status", "results", "report"]),
    ("Steer runs", &["ctl", "batches"]),
    ("Look things up", &["limits", "models", "providers"]),
    ("More", &[]),
];

const TEMPLATE: (&str, &str) = ("template", "Prompt with {{column}} in it, or @FILE");
const SYSTEM: (&str, &str) = ("system", "System prompt, or @FILE");
const MODEL: (&str, &str) = ("model", "Model [default: claude-haiku-4-5]");
const MAX_TOKENS: (&str, &str) = ("max-tokens", "Longest answer, in tokens [default: 1024]");
const PARAM: (&str, &str) = ("param", "Any other parameter, such as temperature=0");
const LIMIT: (&str, &str) = ("limit", "Only the first N rows");
const ID: (&str, &str) = ("id", "Column with each row's id");
const OUTPUT: (&str, &str) = ("output", "Output: .jsonl, .csv, .tsv, .txt or .parquet");
const FIELDS: (&str, &str) = ("fields", "Fields of the output, such as id,text");
const SCHEMA: (&str, &str) = ("schema", "JSON schema that each answer must match");
const TIER: (&str, &str) = ("tier", "Tier of your organization [default: auto]");
const CONCURRENCY: (&str, &str) = ("concurrency", "Most requests in flight [default: auto]");
const MAX_COST: (&str, &str) = ("max-cost", "Most dollars to spend on these results");
const LANE: (&str, &str) = ("lane", "online, batch (half price) or auto [default: online]");
const PROVIDER: (&str, &str) = ("provider", "Provider to send to, such as bedrock");
const SIMULATE: (&str, &str) = ("simulate", "Rehearse against a built-in server; needs no key");
const YES: (&str, &str) = ("yes", "Do not ask before an expensive run");
const QUIET: (&str, &str) = ("quiet", "Say nothing but errors");
const JSON: (&str, &str) = ("json", "Write one JSON document");
const FORMAT: (&str, &str) = ("format", "Format of the inputs [default: auto]");
const BASE_URL: (&str, &str) = ("base-url", "Server to use instead of the API, without /v1");

/// What `-h` shows of each command. All flags of other commands fit on one screen.
pub(super) const SHORT: &[Short] = &[
    Short {
        command: "claude-batch run",
        flags: &[
            TEMPLATE,
            SYSTEM,
            MODEL,
            MAX_TOKENS,
            PARAM,
            LIMIT,
            ID,
            OUTPUT,
            FIELDS,
            SCHEMA,
            TIER,
            CONCURRENCY,
            MAX_COST,
            LANE,
            PROVIDER,
            ("retry-failed", "Try failed rows again, too"),
            ("dry-run", "Show what would be sent, and its cost; send nothing"),
            SIMULATE,
            YES,
            QUIET,
        ],
        examples: &[
            "run prompts.jsonl --simulate",
            "run tickets.csv -t 'Classify this: {{body}}' -o answers.csv",
            "run prompts.jsonl -m claude-haiku-4-5 --max-cost 40",
            "run prompts.jsonl               (the same command resumes a run)",
        ],
    },
    Short {
        command: "claude-batch resume",
        flags: &[
            ("only", "Only rows that failed with these classes"),
            ("output", "Results file of the logs, if it is in another folder"),
            ("model", "Model [default: as in the row]"),
            ("system", "System prompt, or @FILE [default: as in the row]"),
            ("max-tokens", "Longest answer, in tokens [default: as in the row]"),
            TIER,
            CONCURRENCY,
            MAX_COST,
            LANE,
            PROVIDER,
            ("dry-run", "Show what would be sent, and its cost; send nothing"),
            SIMULATE,
            YES,
            QUIET,
        ],
        examples: &[
            "resume prompts.errors.jsonl",
            "resume prompts.errors.jsonl --only timeout,network",
            "resume prompts.errors.jsonl --only truncated --max-tokens 4096",
        ],
    },
    Short {
        command: "claude-batch results",
        flags: &[
            ("output", "Output; its name says its format [default: screen]"),
            ("output-format", "jsonl, csv, tsv, text or parquet"),
            ("fields", "Fields, such as id,text,usage.output_tokens"),
            ("order", "done or input: how rows are ordered"),
            ("include", "ok, truncated, refused, invalid or failed rows only"),
            ("input", "Input of the run, if it is not found"),
            ("raw-cells", "Keep cells that a spreadsheet would take for formulas"),
        ],
        examples: &[
            "results tickets.csv -o answers.csv",
            "results prompts.jsonl --fields id,text > answers.jsonl",
            "results prompts.jsonl --include failed -o failed.csv",
        ],
    },
    Short {
        command: "claude-batch status",
        flags: &[("watch", "Show it again every second, until the run ends"), JSON],
        examples: &["status", "status prompts.jsonl --watch", "status prompts.jsonl --json"],
    },
    Short {
        command: "claude-batch report",
        flags: &[("output", "HTML file to write, or - for standard output")],
        examples: &["report prompts.jsonl", "report prompts.jsonl -o report.html"],
    },
    Short {
        command: "claude-batch models",
        flags: &[("all", "Show retired models too"), JSON, ("prices", "Prices that replace the built-in ones")],
        examples: &["models", "models claude-haiku-4-5"],
    },
    Short {
        command: "claude-batch check",
        flags: &[TEMPLATE, SYSTEM, MODEL, MAX_TOKENS, PARAM, FORMAT, ID, LIMIT, SCHEMA],
        examples: &["check prompts.jsonl", "check tickets.csv -t 'Classify this ticket: {{body}}'"],
    },
    Short {
        command: "claude-batch plan",
        flags: &[
            TEMPLATE,
            SYSTEM,
            MODEL,
            MAX_TOKENS,
            LIMIT,
            TIER,
            MAX_COST,
            LANE,
            ("deadline", "When the run has to be done, such as 6h or 18:00"),
            ("history", "Results of earlier runs to learn from"),
            ("count-tokens", "Let the API count the tokens of N rows; free"),
            ("json", "Print the plan as one JSON object"),
        ],
        examples: &[
            "plan prompts.jsonl --tier 2",
            "plan prompts.jsonl --deadline 'mon 9:00' --max-cost 40",
            "plan new.jsonl --history old.results.jsonl",
        ],
    },
    Short {
        command: "claude-batch limits",
        flags: &[
            ("tier", "Only this tier"),
            ("model", "Only limits that apply to this model"),
            ("live", "Show the limits that apply now"),
            ("ask", "With --live: ask the API with a message of one token"),
            ("save", "With --live: write the limits to this profile"),
            PROVIDER,
            ("yes", "With --live: send the message without asking"),
            JSON,
        ],
        examples: &["limits --tier 2", "limits --live", "limits --live --ask -m claude-opus-5"],
    },
    Short {
        command: "claude-batch batches list",
        flags: &[("limit", "Without RUN: how many batches [default: 20]"), JSON, PROVIDER, BASE_URL],
        examples: &["batches list", "batches list prompts.jsonl --json"],
    },
    Short {
        command: "claude-batch batches show",
        flags: &[JSON, PROVIDER, BASE_URL],
        examples: &["batches show prompts.jsonl", "batches show msgbatch_013Zva2CMHLNnXjNJJKqJ2EF"],
    },
    Short {
        command: "claude-batch batches collect",
        flags: &[
            ("wait", "Wait until every batch has ended"),
            ("errors", "Error log of the run, if it has another name"),
            BASE_URL,
            QUIET,
        ],
        examples: &["batches collect prompts.jsonl", "batches collect prompts.jsonl --wait"],
    },
    Short {
        command: "claude-batch batches adopt",
        flags: &[TEMPLATE, SYSTEM, MODEL, MAX_TOKENS, ID, OUTPUT, PROVIDER],
        examples: &["batches adopt msgbatch_013Zva2CMHLNnXjNJJKqJ2EF prompts.jsonl"],
    },
    Short {
        command: "claude-batch batches cancel",
        flags: &[("yes", "Cancel without asking"), PROVIDER, BASE_URL],
        examples: &["batches cancel prompts.jsonl", "batches cancel prompts.jsonl --yes"],
    },
    Short {
        command: "claude-batch simulate",
        flags: &[
            ("port", "Port; 0 takes a free one [default: 8080]"),
            ("as", "Platform to play [default: anthropic]"),
            ("keys", "Accepted keys, or none [default: any key]"),
            ("tier", "Tier whose limits apply [default: 1]"),
            ("rpm", "Requests per minute, for each model class"),
            ("itpm", "Uncached input tokens per minute"),
            ("otpm", "Output tokens per minute"),
            ("latency", "realistic, zero, or such as 600ms,120"),
            ("output-tokens", "Length of answers"),
            ("faults", "File of faults to inject"),
            ("answers", "File of scripted answers"),
            ("seed", "Seed of all random values [default: 1]"),
            ("verbose", "Show a line for each request"),
        ],
        examples: &["simulate --tier 2 --port 8787 -v", "simulate --faults faults.json"],
    },
    Short {
        command: "claude-batch config show",
        flags: &[
            ("set", "Only settings that a flag, a variable or a file sets"),
            JSON,
            ("profile", "Profile of the configuration to use"),
            ("config", "Configuration file, instead of claude-batch.toml"),
        ],
        examples: &["config show --set", "config show tier rpm --profile night", "config show --tier 2 --json"],
    },
];
