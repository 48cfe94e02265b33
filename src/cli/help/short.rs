//! The texts of the short help (`-h`): the most important flags, a few words on each flag, and examples.

/// The flags and examples that `-h` shows for a command.
pub(super) struct Short {
    /// The whole name of the command.
    pub command: &'static str,
    /// The flags to show, in this order, each with its description.
    pub flags: &'static [(&'static str, &'static str)],
    /// Example command lines, without the name of the program.
    pub examples: &'static [&'static str],
}

/// The sentence in the program's help that says what the program does.
pub(super) const ABOUT: &str = "Runs files of prompts through the Claude API, at the limit your tier allows.";

/// The part of the program's help that shows which commands to try first.
pub(super) const START: &str = "  \
  claude-batch run prompts.jsonl --simulate   (a rehearsal, without a key)
  claude-batch run prompts.jsonl              (needs ANTHROPIC_API_KEY)";

/// The commands, grouped by task. The last group gets all commands that are in no other group.
pub(super) const GROUPS: [(&str, &[&str]); 5] = [
    ("Start a run", &["run", "resume", "check", "plan"]),
    ("Look at runs", &["status", "results", "report"]),
    ("Control runs", &["ctl", "batches"]),
    ("Look things up", &["limits", "models", "providers"]),
    ("More", &[]),
];

const TEMPLATE: (&str, &str) = ("template", "Template of the prompts with {{column}}, or @FILE");
const SYSTEM: (&str, &str) = ("system", "System prompt, or @FILE");
const MODEL: (&str, &str) = ("model", "Name of the model [default: claude-haiku-4-5]");
const MAX_TOKENS: (&str, &str) = ("max-tokens", "Maximum length of an answer in tokens [default: 1024]");
const PARAM: (&str, &str) = ("param", "Another parameter of the API, such as temperature=0");
const LIMIT: (&str, &str) = ("limit", "Use only the first N rows");
const ID: (&str, &str) = ("id", "Column with each row's id");
const OUTPUT: (&str, &str) = ("output", "Output file: .jsonl, .csv, .tsv, .txt or .parquet");
const FIELDS: (&str, &str) = ("fields", "Fields of the output, such as id,text");
const SCHEMA: (&str, &str) = ("schema", "JSON schema that each answer must match");
const TIER: (&str, &str) = ("tier", "Usage tier of your organization [default: auto]");
const CONCURRENCY: (&str, &str) = ("concurrency", "Maximum number of requests in flight [default: auto]");
const MAX_COST: (&str, &str) = ("max-cost", "Maximum cost of these results, in dollars");
const LANE: (&str, &str) = ("lane", "online, batch (half price) or auto [default: online]");
const PROVIDER: (&str, &str) = ("provider", "Provider that gets the requests, such as bedrock");
const SIMULATE: (&str, &str) = ("simulate", "Rehearse against the built-in simulator without a key");
const YES: (&str, &str) = ("yes", "Start an expensive run without asking first");
const QUIET: (&str, &str) = ("quiet", "Show only errors");
const JSON: (&str, &str) = ("json", "Write one JSON document instead of text");
const FORMAT: (&str, &str) = ("format", "Format of the inputs [default: auto]");
const BASE_URL: (&str, &str) = ("base-url", "Address of the server, instead of the API's address");

/// The commands that have a short help, each with its short help. A command that is not listed has so few flags that
/// all of them fit on one screen.
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
            ("retry-failed", "Also retry rows that failed in earlier runs"),
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
            ("only", "Run only rows that failed with these error classes"),
            ("output", "Results file of these logs, if not in their folder"),
            ("model", "Name of the model [default: as in the row]"),
            ("system", "System prompt, or @FILE [default: as in the row]"),
            ("max-tokens", "Maximum tokens of an answer [default: as in the row]"),
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
            ("output", "Output file; its ending sets the format"),
            ("output-format", "Format: jsonl, csv, tsv, text or parquet"),
            ("fields", "Fields, such as id,text,usage.output_tokens"),
            ("order", "Order of the rows: done (as they ended) or input"),
            ("include", "Only rows: ok, truncated, refused, invalid or failed"),
            ("input", "Input of the run, if the program does not find it"),
            ("raw-cells", "Do not escape cells that could run as formulas"),
        ],
        examples: &[
            "results tickets.csv -o answers.csv",
            "results prompts.jsonl --fields id,text > answers.jsonl",
            "results prompts.jsonl --include failed -o failed.csv",
        ],
    },
    Short {
        command: "claude-batch status",
        flags: &[("watch", "Show the status every second, until the run ends"), JSON],
        examples: &["status", "status prompts.jsonl --watch", "status prompts.jsonl --json"],
    },
    Short {
        command: "claude-batch report",
        flags: &[("output", "HTML file to write, or - for standard output")],
        examples: &["report prompts.jsonl", "report prompts.jsonl -o report.html"],
    },
    Short {
        command: "claude-batch models",
        flags: &[
            ("all", "Show retired models too"),
            JSON,
            ("prices", "File with prices that replace the built-in prices"),
        ],
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
            ("deadline", "Time by which the run must be done: 6h or 18:00"),
            ("history", "Results of earlier runs, from which the plan learns"),
            ("count-tokens", "Let the API count the tokens of N rows, for free"),
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
            ("tier", "Show only this tier"),
            ("model", "Show only limits that apply to this model"),
            ("live", "Show the limits that apply now"),
            ("ask", "With --live: ask the API with a message of one token"),
            ("save", "With --live: write the limits to this profile"),
            PROVIDER,
            ("yes", "With --live: send the message without asking first"),
            JSON,
        ],
        examples: &["limits --tier 2", "limits --live", "limits --live --ask -m claude-opus-5"],
    },
    Short {
        command: "claude-batch batches list",
        flags: &[("limit", "Without RUN: number of batches [default: 20]"), JSON, PROVIDER, BASE_URL],
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
            ("errors", "Error log of the run, if the run had --errors"),
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
        flags: &[("yes", "Cancel without asking first"), PROVIDER, BASE_URL],
        examples: &["batches cancel prompts.jsonl", "batches cancel prompts.jsonl --yes"],
    },
    Short {
        command: "claude-batch simulate",
        flags: &[
            ("port", "Port to listen on; 0 takes a free port [default: 8080]"),
            ("as", "Platform to imitate [default: anthropic]"),
            ("keys", "Keys to accept: any, none, or a list [default: any]"),
            ("tier", "Tier whose limits apply [default: 1]"),
            ("rpm", "Limit of requests per minute, for each model class"),
            ("itpm", "Limit of uncached input tokens per minute"),
            ("otpm", "Limit of output tokens per minute"),
            ("latency", "Time to answer: realistic, zero, or like 600ms,120"),
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
            ("profile", "Profile to use from the configuration file"),
            ("config", "Configuration file to use instead of claude-batch.toml"),
        ],
        examples: &["config show --set", "config show tier rpm --profile night", "config show --tier 2 --json"],
    },
];
