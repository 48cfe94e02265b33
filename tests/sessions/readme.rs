//! The program has everything that the README describes.

use clap::CommandFactory;
use claude_batch::cli::args::Cli;
use claude_batch::cli::exit::TABLE;

use crate::support::*;

const README: &str = include_str!("../../README.md");

#[test]
fn the_table_of_exit_codes_equals_the_table_of_the_program() {
    let section = README.split("## Exit codes").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a section");
    let rows = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| code "));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let documented: Vec<_> = rows.map(cells).collect();

    let mut built: Vec<Vec<String>> = Vec::new();
    for line in TABLE.lines().map(str::trim_end) {
        match (line.trim().split_once("  "), built.last_mut()) {
            (Some((code, meaning)), _) => built.push(vec![code.to_owned(), meaning.trim().to_owned()]),
            (None, Some(row)) if line.starts_with("   ") => row[1].push_str(&format!(" {}", line.trim())),
            (None, _) => {}
        }
    }

    assert_eq!(documented, built);
    assert!(built.len() >= 9, "{built:?}");
}

#[test]
fn every_subcommand_is_in_the_readme() {
    for command in Cli::command().get_subcommands() {
        let call = format!("claude-batch {}", command.get_name());

        assert!(README.contains(&call), "{call}");
    }
}

#[test]
fn every_flag_in_the_readme_exists() {
    let command = Cli::command();
    let flags: Vec<_> = command
        .get_subcommands()
        .flat_map(|command| command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)))
        .collect();
    let others = ["release", "path", "locked", "features", "no-default-features"];

    let words = README.split(|char: char| !(char.is_ascii_alphanumeric() || char == '-'));
    for word in
        words.filter_map(|word| word.strip_prefix("--")).filter(|word| !word.is_empty() && !word.starts_with('-'))
    {
        assert!(flags.iter().any(|flag| flag == word) || others.contains(&word), "--{word}");
    }
}

/// The sections whose commands are run as they are typed there.
const JOBS: [&str; 4] = ["## Inputs", "## CSV and templates", "## Answers as a table", "## Checked answers"];

#[cfg(unix)]
#[test]
fn the_jobs_of_the_readme_do_what_they_say() {
    let folder = Folder::new();
    copy_fixtures(&folder);
    // Some rows fail, so that there are failed rows to list.
    let api = Api::with_faults(r#"{"seed": 5, "rules": [{"status": 400, "share": 0.05}]}"#);
    let blocks: Vec<&str> = JOBS.iter().flat_map(|name| shell_blocks(section(name))).collect();
    assert!(blocks.len() >= 4, "{blocks:?}");

    for block in blocks.iter().filter(|block| cfg!(feature = "tables") || !block.contains("parquet")) {
        let said = Said::of(shell(&folder, &api, block).output().expect("there is a shell"));
        // 3: some rows failed.
        assert!(matches!(said.code, Some(0 | 3)), "{block}\n{}\n{}", said.out, said.err);
    }

    let lines = |name: &str| folder.read(name).lines().count();
    let records = |name: &str| {
        let text = folder.read(name);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let names = reader.headers().expect("a header").iter().map(str::to_owned).collect::<Vec<_>>();
        (names, reader.records().map(|record| record.expect("it is CSV")).collect::<Vec<_>>())
    };
    let (columns, answers) = records("answers.csv");
    assert_eq!(columns, ["id", "customer", "language", "channel", "subject", "body", "priority", "text", "error"]);
    let (_, tickets) = records("fixtures/tickets.csv");
    let input = |record: &csv::StringRecord| {
        record.iter().take(7).map(|cell| cell.trim_start_matches('\'').to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(answers.iter().map(input).collect::<Vec<_>>(), tickets.iter().map(input).collect::<Vec<_>>());
    let (columns, failed) = records("failed.csv");
    assert_eq!(columns, ["id", "input.subject", "error.class", "error"]);
    assert!(!failed.is_empty() && failed.iter().all(|record| &record[2] == "invalid_request"));
    assert_eq!(lines("answers.txt") + failed.len(), tickets.len());
    let (columns, letters) = records("letters.csv");
    assert_eq!((columns.join(","), letters.len()), ("id,text,error".to_owned(), 10));
    assert_eq!(lines("results.jsonl") + lines_of_log(&folder, "claude-batch."), 40);
    assert_eq!(lines("fixtures/openai-batch.results.jsonl") + lines_of_log(&folder, "fixtures/openai-batch."), 8);
    assert!(folder.read("fixtures/openai-batch.results.jsonl").contains("claude-haiku-4-5"));
    if cfg!(feature = "tables") {
        assert!(std::fs::read(folder.path("answers.parquet")).expect("it was made").starts_with(b"PAR1"));
        assert_eq!(records("sheet.csv").1.len(), tickets.len());
    }
}

#[cfg(unix)]
#[test]
fn the_example_of_prompt_caching_saves_money() {
    let folder = Folder::new();
    let api = Api::new(quick());
    let blocks = shell_blocks(section("## Prompt caching"));

    let said = Said::of(shell(&folder, &api, blocks[0]).output().expect("there is a shell"));

    said.ends_with(0).tells(&["note: all 300 requests get cache marks, at 1 prefix", "hit rate", "; saved $"]);
}

#[cfg(unix)]
#[test]
fn the_example_of_asking_again_gives_every_row_a_longer_answer() {
    let folder = Folder::new();
    copy_fixtures(&folder);
    let api = Api::quick();
    let blocks = shell_blocks(section("## Asking again for truncated or refused answers"));

    let said = Said::of(shell(&folder, &api, blocks[0]).output().expect("there is a shell"));

    said.ends_with(0).tells(&["truncated answers are asked for again, with --max-tokens 4096"]);
    assert!(!folder.read("fixtures/tickets.csv.results.jsonl").contains("\"quality\":\"truncated\""));
}

fn section(name: &str) -> &'static str {
    let rest = README.split_once(&format!("\n{name}\n")).expect(name).1;
    rest.split("\n## ").next().unwrap_or(rest)
}

/// Returns the blocks of commands in a text.
fn shell_blocks(text: &str) -> Vec<&str> {
    text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap_or(rest)).collect()
}

#[cfg(unix)]
fn shell(folder: &Folder, api: &Api, block: &str) -> std::process::Command {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_claude-batch"));
    let path =
        format!("{}:{}", program.parent().expect("a folder").display(), std::env::var("PATH").unwrap_or_default());
    let own = folder.command_at(api, &[]);
    let mut command = std::process::Command::new("sh");
    // If rows fail, the program ends with code 3, but the rest of the block still runs.
    let script = format!("\n{block}").replace("\nclaude-batch ", "\nrun ").replace("| claude-batch ", "| run ");
    command.args(["-euc", &format!("run() {{ claude-batch \"$@\" || [ $? = 3 ]; }}{script}")]);
    own.get_envs().for_each(|(name, value)| match value {
        Some(value) => _ = command.env(name, value),
        None => _ = command.env_remove(name),
    });
    command.env("PATH", path).current_dir(folder.path("")).stdin(std::process::Stdio::null());
    command
}

/// Copies the fixtures that the README uses, including `letters`.
fn copy_fixtures(folder: &Folder) {
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    for sub in ["", "letters"] {
        std::fs::create_dir_all(folder.path("fixtures").join(sub)).expect("a folder can be made");
        for entry in std::fs::read_dir(from.join(sub)).expect("it is there") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                let to = folder.path("fixtures").join(sub).join(path.file_name().expect("it has a name"));
                std::fs::copy(&path, to).expect("a file can be copied");
            }
        }
    }
}

/// Returns the number of lines in the error logs whose paths begin with `beginning`.
fn lines_of_log(folder: &Folder, beginning: &str) -> usize {
    let all = folder.contents();
    let root = folder.path("");
    let is_log = |path: &std::path::Path| {
        let name = path.strip_prefix(&root).expect("it is below").to_string_lossy().into_owned();
        name.starts_with(beginning) && name.ends_with(".errors.jsonl")
    };
    let logs = all.iter().filter(|(path, _)| is_log(path));
    logs.map(|(_, text)| text.iter().filter(|byte| **byte == b'\n').count()).sum()
}
