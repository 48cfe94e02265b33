//! Applies the rules of the architecture to a source. Finds each breach of a rule, with its file and line.

use std::fmt;

use crate::paths::{Source, SourcePath};
use crate::tables::{
    CORE, HOMES, MAIN_MAY_USE, NAMES_NOT_IN_CORE, NOT_IN_CORE, NOT_IN_TEXT, OF_A_PROVIDER, PRINTING, STREAMS, row,
};

/// A breach of a rule.
#[derive(Debug)]
pub struct Fault {
    /// The path of the file, relative to the root of the project.
    pub file: String,
    /// The line number, counted from 1.
    pub line: usize,
    /// The message: what is wrong, and what the rule says.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

fn shown(faults: &[Fault]) -> Vec<String> {
    faults.iter().map(Fault::to_string).collect()
}

pub fn assert_none(faults: Vec<Fault>) {
    assert!(faults.is_empty(), "{} breach(es) of the architecture:\n{}", faults.len(), shown(&faults).join("\n"));
}

fn is_at(file: &str, homes: &[&str]) -> bool {
    homes.iter().any(|home| if home.ends_with('/') { file.starts_with(home) } else { file == *home })
}

pub fn module_faults(source: &Source) -> Vec<Fault> {
    let (user, may_use) = match source.top_module() {
        Some(name) => match row(&name) {
            Some(module) => (module.name, module.may_use()),
            None => return Vec::new(),
        },
        None if source.file == "main.rs" => ("main.rs", MAIN_MAY_USE.to_vec()),
        None => return Vec::new(),
    };
    let is_foreign = |used: &str| used != user && row(used).is_some() && !may_use.contains(&used);
    let found = source.paths.iter().filter_map(|path| {
        let used = source.used_module(path)?;
        is_foreign(&used).then(|| {
            let allowed = if may_use.is_empty() { "nothing".to_owned() } else { may_use.join(", ") };
            source.fault(
                path,
                format!("{user} uses {used} ({path}); its row in tests/layering/tables.rs allows {allowed}"),
            )
        })
    });
    found.collect()
}

pub fn core_faults(source: &Source) -> Vec<Fault> {
    if !source.top_module().is_some_and(|name| CORE.contains(&&*name)) {
        return Vec::new();
    }
    let is_outside = |path: &&SourcePath| {
        NOT_IN_CORE.iter().any(|start| path.starts_with(start))
            || NAMES_NOT_IN_CORE.iter().any(|name| path.contains(name))
    };
    let found = source.paths.iter().filter(is_outside);
    found
        .map(|path| {
            source.fault(
                path,
                format!("the core uses {path}; callers pass the time to the core, and the core reads and writes nothing itself"),
            )
        })
        .collect()
}

pub fn home_faults(source: &Source) -> Vec<Fault> {
    let found = source.paths.iter().filter_map(|path| {
        let (krate, homes) = HOMES.iter().find(|(krate, _)| path.first() == *krate)?;
        let is_local = !path.is_absolute && source.local_names.contains(*krate);
        (!is_local && !is_at(&source.file, homes)).then(|| {
            source.fault(path, format!("{path} is used outside its home; {krate} belongs in {}", homes.join(", ")))
        })
    });
    found.collect()
}

pub fn printing_faults(source: &Source) -> Vec<Fault> {
    let (macros, homes) = PRINTING;
    if is_at(&source.file, homes) {
        return Vec::new();
    }
    let is_printing = |path: &&SourcePath| path.is_macro && macros.contains(&path.last());
    let found = source.paths.iter().filter(is_printing);
    found.map(|path| source.fault(path, format!("{path}! is called outside {}", homes.join(", ")))).collect()
}

pub fn provider_faults(file: &str, text: &str) -> Vec<Fault> {
    let (names, homes) = OF_A_PROVIDER;
    if is_at(file, homes) {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.to_lowercase();
        for name in names.iter().filter(|name| line.contains(**name)) {
            let message = format!("{name:?} is a word of a provider; only {} may contain it", homes.join(", "));
            faults.push(Fault { file: format!("src/{file}"), line: at + 1, message });
        }
    }
    faults
}

pub fn stream_faults(source: &Source) -> Vec<Fault> {
    let (streams, homes) = STREAMS;
    if is_at(&source.file, homes) {
        return Vec::new();
    }
    let found = source.paths.iter().filter(|path| streams.iter().any(|stream| path.contains(stream)));
    found.map(|path| source.fault(path, format!("{path} is used outside {}", homes.join(", ")))).collect()
}

pub fn text_faults(name: &str, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let lower = line.to_lowercase();
        let words = NOT_IN_TEXT.iter().filter(|word| has_word(&lower, word)).map(ToString::to_string);
        let numbered = names_a_numbered_issue(&lower).then(|| "a numbered issue".to_owned());
        for found in words.chain(numbered) {
            let message = format!("the text contains {found:?}, which readers can't understand");
            faults.push(Fault { file: name.to_owned(), line: at + 1, message });
        }
    }
    faults
}

fn has_word(line: &str, word: &str) -> bool {
    let is_free = |neighbour: Option<char>| !neighbour.is_some_and(char::is_alphanumeric);
    let is_bounded = word.starts_with('/');
    line.match_indices(word).any(|(at, _)| {
        is_bounded || is_free(line[..at].chars().next_back()) && is_free(line[at + word.len()..].chars().next())
    })
}

fn names_a_numbered_issue(line: &str) -> bool {
    line.match_indices("issue ").any(|(at, word)| {
        let rest = line[at + word.len()..].trim_start_matches('#');
        rest.starts_with(|next: char| next.is_ascii_digit())
    })
}

// Tests that each rule finds each fault, and that no rule reports a fault where there is none.
mod tests {
    use super::*;

    #[test]
    fn a_use_of_a_higher_layer_is_found_with_its_line() {
        let faults =
            module_faults(&Source::new("plan/key.rs", "use crate::domain::Job;\n\nuse crate::runner::drive;\n"));

        assert_eq!(
            shown(&faults),
            [
                "src/plan/key.rs:3: plan uses runner (crate::runner::drive); its row in tests/layering/tables.rs allows clock, domain, catalog, source"
            ]
        );
    }

    #[test]
    fn a_use_is_found_in_every_form_of_rust_code() {
        for text in [
            "fn f() { crate::cli::run(); }",
            "use crate::{domain::{Job, Params}, cli::{args as typed}};",
            "use super::super::cli;",
            "use super::{super::cli as shell};",
            "fn f(x: &crate::cli::Args<'_>) {}",
            "pub use crate::cli::*;",
            "macro_rules! m { () => { $crate::cli::run() } }",
            "fn f() -> Option<\n    crate\n    ::cli::Args> { None }",
        ] {
            let faults = module_faults(&Source::new("limiter/pool.rs", text));

            assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        }
    }

    #[test]
    fn main_rs_uses_only_the_command_line() {
        assert_eq!(module_faults(&Source::new("main.rs", "fn main() { claude_batch::cli::run() }")).len(), 0);
        assert_eq!(module_faults(&Source::new("main.rs", "use claude_batch::{cli, runner};")).len(), 1);
    }

    #[test]
    fn comments_strings_and_tests_do_not_count() {
        for text in [
            "//! See [`crate::cli`].\n/// [`crate::cli::run`]\n// crate::cli\n",
            "/* outer /* crate::cli */ crate::cli */",
            r####"const A: &str = "crate::cli \" crate::cli"; const B: &str = r#"crate::cli " crate::cli"#;"####,
            "const Q: char = '\"'; // crate::cli\nconst R: u8 = b'\\''; const S: &[u8] = b\"crate::cli\";",
            "#[cfg(test)]\nmod tests {\n    use crate::cli;\n    fn f() { if true { crate::cli::run() } }\n}\n",
            "#[cfg(test)]\nuse crate::{cli, domain};\n",
            "#[cfg(all(test, unix))]\n#[expect(dead_code, reason = \"crate::cli\")]\nfn f(x: [u8; 2]) { crate::cli::run() }\n",
        ] {
            assert_eq!(shown(&module_faults(&Source::new("limiter/pool.rs", text))), [""; 0], "{text}");
        }
    }

    #[test]
    fn code_after_tests_comments_and_strings_counts() {
        for text in [
            "#[cfg(test)]\nmod tests { fn f() {} }\nuse crate::cli;",
            "#[cfg(not(test))]\nuse crate::cli;",
            "fn f<'a>(x: &'a str) { crate::cli::run(x) }",
            "const A: &str = \"\\\\\"; use crate::cli;",
            "const A: &str = r\"\\\"; use crate::cli;",
            "/* */ use crate::cli;",
            "fn r#type() { crate::cli::run() }",
        ] {
            assert_eq!(module_faults(&Source::new("limiter/pool.rs", text)).len(), 1, "{text}");
        }
    }

    #[test]
    fn a_clock_a_file_or_a_socket_in_the_core_is_found() {
        for text in [
            "use std::fs::File;",
            "use std::{collections::BTreeMap, fs};",
            "use std::time::{Duration, Instant};",
            "use std::time::SystemTime;",
            "use std::time;\nfn f() { time::Instant::now(); }",
            "fn f() { tokio::spawn(async {}); }",
            "use crate::clock::{Instant, RunClock};",
            "fn f() { jiff::Timestamp::now(); }",
            "fn f() { std::thread::yield_now(); }",
            "fn f() { std::net::TcpListener::bind(\"\"); }",
            "fn f() { ::reqwest::get(\"\"); }",
        ] {
            assert_eq!(core_faults(&Source::new("scheduler/mod.rs", text)).len(), 1, "{text}");
            assert_eq!(core_faults(&Source::new("runner/mod.rs", text)).len(), 0, "{text}");
        }
    }

    #[test]
    fn the_core_can_use_durations_and_instants_that_callers_pass() {
        let text = "use std::time::Duration;\nuse crate::clock::Instant;\nfn f(now: Instant, at: jiff::Timestamp) {}";

        assert_eq!(core_faults(&Source::new("limiter/pool.rs", text)).len(), 0);
    }

    #[test]
    fn a_crate_used_outside_its_home_is_found() {
        for (krate, homes) in HOMES {
            let text = format!("use {krate}::Thing;");

            assert_eq!(home_faults(&Source::new("domain/job.rs", &text)).len(), 1, "{krate}");
            for home in *homes {
                let file = if home.ends_with('/') { format!("{home}some.rs") } else { home.to_string() };
                assert_eq!(home_faults(&Source::new(&file, &text)).len(), 0, "{krate} in {file}");
            }
        }
    }

    #[test]
    fn a_path_to_a_module_that_has_the_name_of_a_crate_is_not_a_use_of_the_crate() {
        for text in
            ["mod csv;\nfn f() { csv::open(); }", "use super::csv;\nfn f() { csv::open(); }", "use self::csv::Rows;"]
        {
            assert_eq!(home_faults(&Source::new("source/mod.rs", text)).len(), 0, "{text}");
        }
        assert_eq!(home_faults(&Source::new("source/mod.rs", "mod csv;\nuse ::csv::Reader;")).len(), 1);
    }

    #[test]
    fn printing_in_the_library_is_found() {
        for text in ["fn f() { println!(\"x\"); }", "fn f() { std::eprintln!(\"x\") }", "fn f() { dbg!(1); }"] {
            assert_eq!(printing_faults(&Source::new("journal/mod.rs", text)).len(), 1, "{text}");
            assert_eq!(printing_faults(&Source::new("report/progress.rs", text)).len(), 0, "{text}");
        }
        assert_eq!(
            printing_faults(&Source::new("journal/mod.rs", "fn f(print: bool) -> bool { print != true }")).len(),
            0
        );
    }

    #[test]
    fn names_of_a_provider_outside_its_folder_are_found() {
        let text = "fn f(kind: &str) -> bool {\n    kind == \"overloaded_error\"\n}\n// Anthropic-RateLimit-Requests\n";

        let lines: Vec<usize> = provider_faults("scheduler/mod.rs", text).iter().map(|fault| fault.line).collect();

        assert_eq!(lines, [2, 4]);
        assert_eq!(provider_faults("provider/anthropic/judge.rs", text).len(), 0);
    }

    #[test]
    fn a_stream_named_outside_the_listed_files_is_found() {
        for text in ["fn f() { std::io::stderr(); }", "use std::io::{self, stdout};", "fn f() { io::stdout().lock(); }"]
        {
            assert_eq!(stream_faults(&Source::new("cli/tables.rs", text)).len(), 1, "{text}");
            assert_eq!(stream_faults(&Source::new("cli/say.rs", text)).len(), 0, "{text}");
        }
        assert_eq!(stream_faults(&Source::new("cli/tables.rs", "fn f() { io::stdin(); }")).len(), 0);
    }

    #[test]
    fn machine_paths_and_vague_words_are_found_even_in_comments() {
        let text = "// see /home/somebody/notes\n// a small Helper\n// as issue 12 says\n// FIXME\n";

        let lines: Vec<usize> = text_faults("src/x.rs", text).iter().map(|fault| fault.line).collect();

        assert_eq!(lines, [1, 2, 3, 4]);
        assert_eq!(text_faults("src/x.rs", "// whelpers issue a request; issues are filed").len(), 0);
    }
}
