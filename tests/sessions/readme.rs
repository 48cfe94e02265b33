//! The program has everything that the README describes.

use clap::CommandFactory;
use claude_batch::cli::args::Cli;
use claude_batch::cli::exit::TABLE;

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
