//! The rules of the architecture, as tables.
//!
//! A change to a table is a change to the architecture. Explain such a change in the documentation of the module.

/// A top-level module.
pub struct Module {
    /// Its name.
    pub name: &'static str,
    /// The layer of the module, counted from the bottom.
    pub layer: u8,
    may_use: &'static str,
}

impl Module {
    /// Returns the names of the modules that this module is allowed to use.
    pub fn may_use(&self) -> Vec<&'static str> {
        self.may_use.split_whitespace().collect()
    }
}

const fn module(name: &'static str, layer: u8, may_use: &'static str) -> Module {
    Module { name, layer, may_use }
}

/// Every module of the library. `sim` uses none of `limiter`, `scheduler` and `classify`, because the tests check these
/// modules with the simulator.
pub const MODULES: &[Module] = &[
    module("clock", 0, ""),
    module("domain", 0, "clock"),
    module("catalog", 0, "domain"),
    module("source", 1, "clock domain catalog"),
    module("plan", 1, "clock domain catalog source"),
    module("sink", 1, "clock domain catalog source plan"),
    module("limiter", 1, "clock domain catalog"),
    module("provider", 1, "clock domain catalog"),
    module("answer", 1, "clock domain catalog"),
    module("scheduler", 2, "clock domain catalog plan limiter provider answer"),
    module("transport", 2, "clock domain catalog provider"),
    module("classify", 2, "clock domain catalog provider transport"),
    module("journal", 2, "clock domain catalog source plan sink"),
    module("report", 2, "clock domain catalog"),
    module("batches", 3, "clock domain catalog plan provider scheduler journal"),
    module(
        "runner",
        3,
        "clock domain catalog source plan sink limiter provider \
         scheduler transport classify journal report answer batches",
    ),
    module("export", 3, "clock domain catalog source plan sink journal"),
    module("watch", 3, "clock domain catalog source plan sink provider transport journal report"),
    module("sim", 3, "clock domain catalog provider transport"),
    module(
        "forecast",
        4,
        "clock domain catalog source plan limiter provider \
         scheduler transport classify report runner sim",
    ),
    module(
        "cli",
        5,
        "clock domain catalog source plan sink limiter provider \
         scheduler transport classify journal report answer batches runner export watch sim forecast",
    ),
];

/// Pairs of modules in one layer. In each pair, the first module uses the second. All listed uses are intended.
pub const SAME_LAYER: &[(&str, &str)] = &[
    ("domain", "clock"),
    ("catalog", "domain"),
    ("plan", "source"),
    ("sink", "source"),
    ("sink", "plan"),
    ("classify", "transport"),
    ("runner", "batches"),
];

/// The modules of the library that `main.rs` is allowed to use.
pub const MAIN_MAY_USE: &[&str] = &["cli"];

/// The modules that get time, bytes and random numbers only from their callers.
pub const CORE: &[&str] = &["domain", "plan", "limiter", "scheduler", "provider", "answer", "classify", "catalog"];

/// Paths that begin with these segments are forbidden in the core.
pub const NOT_IN_CORE: &[&str] =
    &["tokio", "reqwest", "std::fs", "std::net", "std::thread", "std::env", "std::process", "std::time::Instant"];

/// Names of clocks that the core must not use. These names are forbidden no matter which crate they come from.
pub const NAMES_NOT_IN_CORE: &[&str] = &["SystemTime", "RunClock", "time::Instant", "Timestamp::now", "Zoned::now"];

/// Foreign crates, and the places where each is allowed: a file, or a folder with a slash at the end.
pub const HOMES: &[(&str, &[&str])] = &[
    ("anyhow", &["cli/", "main.rs"]),
    ("calamine", &["source/excel/"]),
    ("clap", &["cli/"]),
    ("clap_complete", &["cli/completions/"]),
    ("clap_mangen", &["cli/man.rs"]),
    ("console", &["report/"]),
    ("crc32fast", &["source/parquet/pages.rs"]),
    ("csv", &["source/csv/", "export/csv.rs"]),
    ("flate2", &["source/compression/gzip.rs", "export/output.rs", "source/parquet/codec.rs"]),
    ("governor", &["limiter/bucket.rs"]),
    ("http_body", &["sim/server/", "transport/http/pieces.rs"]),
    ("hyper", &["sim/server.rs", "sim/server/"]),
    ("hyper_util", &["sim/server.rs", "sim/server/", "transport/proxy.rs", "transport/tunnel.rs"]),
    ("indicatif", &["report/progress/bar.rs"]),
    ("jsonschema", &["answer/schema/"]),
    (
        "memchr",
        &[
            "batches/lane/results.rs",
            "domain/json/cursor.rs",
            "domain/json/unescape.rs",
            "export/lines.rs",
            "source/splitter.rs",
        ],
    ),
    ("minijinja", &["source/template.rs", "source/template/"]),
    ("parquet", &["source/parquet/", "export/parquet.rs"]),
    ("quick_xml", &["source/excel/archive.rs"]),
    ("simdutf8", &["domain/json/unescape.rs"]),
    ("reqwest", &["transport/http.rs", "transport/http/"]),
    ("snap", &["source/parquet/codec.rs"]),
    ("tokio", &["clock.rs", "transport/", "runner/", "sim/", "forecast/", "cli/"]),
    ("tokio_util", &["transport/", "runner/", "sim/", "cli/"]),
    ("tower_service", &["transport/tunnel.rs"]),
    ("zstd", &["source/compression/zstd.rs", "export/output.rs", "source/parquet/codec.rs"]),
];

/// Macros that write to the terminal, and the files that are allowed to call them. These macros panic when the stream
/// is full or closed.
pub const PRINTING: (&[&str], &[&str]) =
    (&["print", "println", "eprint", "eprintln", "dbg"], &["cli/say.rs", "report/"]);

/// Standard output and standard error, and the files that are allowed to use these streams:
///
/// - `say.rs` prints everything meant for people.
/// - `world.rs` checks whether the streams are terminals.
/// - `system.rs` checks which files standard output and standard error lead to.
/// - `open.rs` writes results to standard output when no file is given.
pub const STREAMS: (&[&str], &[&str]) = (
    &["io::stdout", "io::stderr"],
    &["cli/say.rs", "cli/config/world.rs", "journal/open.rs", "journal/disk/system.rs"],
);

/// Words that belong to the Messages API or to other platforms, and the folders that may contain these words. The words
/// are types and codes of errors, and names of headers. Only the provider decides what a reply means. Case does not
/// matter. The search also finds these words inside longer words, in comments, and in tests.
pub const OF_A_PROVIDER: (&[&str], &[&str]) = (
    &[
        "invalid_request_error",
        "authentication_error",
        "billing_error",
        "permission_error",
        "not_found_error",
        "request_too_large",
        "rate_limit_error",
        "overloaded_error",
        "timeout_error",
        "spend_limit",
        "ramp_limit",
        "credit balance",
        "anthropic-ratelimit",
        "x-should-retry",
        // Headers and error types of other platforms.
        "throttlingexception",
        "validationexception",
        "accessdeniedexception",
        "unknownoperationexception",
        "x-amzn-errortype",
        "resource_exhausted",
        "failed_precondition",
        "limit_source",
        "llm_provider-",
    ],
    &["provider/anthropic/", "catalog/", "sim/"],
);

/// Words that are forbidden in all texts of the project: paths of a machine, vague names, and an author's notes to
/// himself. Only whole words are forbidden. Case does not matter.
pub const NOT_IN_TEXT: &[&str] = &[
    concat!("/", "home/"),
    concat!("/", "root/"),
    concat!("/", "work/"),
    concat!("/", "users/"),
    "helper",
    "fixme",
    "xxx",
];

/// Files that are not sources but are checked together with the sources.
pub const TEXTS: &[&str] = &["README.md", "CHANGELOG.md", "Cargo.toml"];

/// Returns the row of a module in the table.
pub fn row(name: &str) -> Option<&'static Module> {
    MODULES.iter().find(|module| module.name == name)
}
