//! The completion script of each shell.

use clap_complete::generate;
use clap_complete::shells;

use super::command::{PROFILES, PROVIDERS, command};
use super::elvish;
use crate::cli::args::Shell;

/// Flags that the help does not show. The generated scripts of some shells would offer hidden flags, so the lines about
/// these flags are removed.
const HIDDEN: [&str; 3] = ["--tpm", "--api-key", "--list"];

/// Returns the script of a shell.
pub(super) fn script(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash(&generated(shells::Bash)),
        Shell::Zsh => asked(&without_hidden(&generated(shells::Zsh)), "$(", ")"),
        // When the shell fish completes a word, it runs commands in parentheses, even inside of quotes.
        Shell::Fish => {
            asked(&(without_hidden(&generated(shells::Fish)) + &arguments_of_fish(&command(), &[])), "(", ")")
        }
        Shell::Elvish => elvish::with_values(&without_hidden(&generated(shells::Elvish)), &command()),
        Shell::Powershell => without_hidden(&generated(shells::PowerShell)),
    }
}

fn generated(shell: impl clap_complete::Generator) -> String {
    let mut script = Vec::new();
    generate(shell, &mut command(), "claude-batch", &mut script);
    String::from_utf8(script).expect("a script is text")
}

/// Returns a script without the lines that offer a hidden flag. Each line offers one flag.
fn without_hidden(script: &str) -> String {
    let is_word = |line: &str, flag: &str| line.split([' ', '\'', '=']).any(|word| word == flag);
    // In a script for fish, the name of a flag follows -l.
    let is_of_fish = |line: &str, flag: &str| line.contains(&format!(" -l {} ", flag.trim_start_matches('-')));
    let is_hidden = |line: &&str| HIDDEN.iter().any(|flag| is_word(line, flag) || is_of_fish(line, flag));
    script.lines().filter(|line| !is_hidden(line)).fold(String::new(), |text, line| text + line + "\n")
}

/// Replaces each placeholder with a call of this program that lists the names of profiles or of providers.
fn asked(script: &str, begin: &str, end: &str) -> String {
    let call = |kind: &str| format!("{begin}claude-batch completions --list {kind} 2>/dev/null{end}");
    script.replace(PROFILES, &call("profiles")).replace(PROVIDERS, &call("providers"))
}

/// Returns the lines of fish code that offer the values of positional arguments. The generator for fish leaves out the
/// values of positional arguments.
fn arguments_of_fish(command: &clap::Command, path: &[&str]) -> String {
    let mut lines = String::new();
    let values: Vec<String> = command
        .get_positionals()
        .flat_map(clap::Arg::get_possible_values)
        .filter(|value| !value.is_hide_set())
        .map(|value| value.get_name().to_owned())
        .collect();
    let condition = match path {
        [command] => format!("__fish_claude_batch_using_subcommand {command}"),
        [command, verb] => {
            format!("__fish_claude_batch_using_subcommand {command}; and __fish_seen_subcommand_from {verb}")
        }
        _ => String::new(),
    };
    if !values.is_empty() && !condition.is_empty() {
        lines.push_str(&format!("complete -c claude-batch -n \"{condition}\" -f -a \"{}\"\n", values.join(" ")));
    }
    for inner in command.get_subcommands() {
        lines.push_str(&arguments_of_fish(inner, &[path, &[inner.get_name()]].concat()));
    }
    lines
}

/// Returns the script for bash, with two corrections. Where a file is expected, the generated script offers flags. This
/// function removes these flags, so that bash offers files. The generator for bash also spells the names of subcommands
/// in two ways, because the program's name has a hyphen.
fn bash(script: &str) -> String {
    // Whether the command has subcommands, or an argument with known values.
    let mut has_words = false;
    let mut text = String::new();
    for line in asked(script, "$(", ")").replace("claude__subcmd__batch", "claude__batch").lines() {
        let indent = &line[..line.len() - line.trim_start().len()];
        if let Some(words) = line.trim().strip_prefix("opts=\"").and_then(|rest| rest.strip_suffix('"')) {
            let is_offered = |word: &&str| !HIDDEN.contains(word);
            let words: Vec<&str> = words.split_whitespace().filter(is_offered).collect();
            has_words = words.iter().any(|word| !word.starts_with('-'));
            text.push_str(&format!("{indent}opts=\"{}\"\n", words.join(" ")));
            continue;
        }
        let condition = "if [[ ${cur} == -* || ${COMP_CWORD} -eq ";
        if !has_words && line == "            COMPREPLY=( $(compgen -W \"${opts}\" -- \"${cur}\") )" {
            text.push_str("            COMPREPLY=()\n");
            continue;
        }
        match line.trim().strip_prefix(condition) {
            Some(_) if !has_words => text.push_str(&format!("{indent}if [[ ${{cur}} == -* ]] ; then\n")),
            Some(_) | None => text.push_str(&format!("{line}\n")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    const SHELLS: [Shell; 5] = [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::Powershell];

    fn words_of(line: &str) -> impl Iterator<Item = &str> {
        line.split([' ', '\'', '"', '='])
    }

    fn check(command: &Command, script: &str, shell: Shell) {
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
            assert!(script.contains(inner.get_name()), "{shell:?} {}", inner.get_name());
            check(inner, script, shell);
        }
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let Some(long) = arg.get_long() else { continue };
            // In a script for fish, the name of a flag follows -l.
            let is_there = script.contains(&format!("--{long}")) || script.contains(&format!("-l {long}"));
            assert!(is_there, "{shell:?} {} --{long}", command.get_name());
        }
    }

    #[test]
    fn each_script_has_every_command_and_every_flag() {
        for shell in SHELLS {
            check(&command(), &script(shell), shell);
        }
    }

    #[test]
    fn each_command_that_the_script_of_bash_finds_has_its_words() {
        let script = script(Shell::Bash);
        let found = script.lines().filter_map(|line| line.trim().strip_prefix("cmd=\"")?.strip_suffix('"'));
        let found: Vec<&str> = found.filter(|name| !name.is_empty()).collect();

        assert!(found.len() > 15, "{found:?}");
        for name in found {
            assert!(script.lines().any(|line| line.trim() == format!("{name})")), "{name}");
        }
    }

    #[test]
    fn no_script_has_a_word_that_stands_for_names_or_a_hidden_flag() {
        for shell in SHELLS {
            let script = script(shell);

            let is_of_powershell = shell == Shell::Powershell;
            assert!(is_of_powershell || (!script.contains(PROFILES) && !script.contains(PROVIDERS)), "{shell:?}");
            let mut words = script.lines().filter(|line| !line.contains("completions --list")).flat_map(words_of);
            assert_eq!(words.find(|word| HIDDEN.contains(word)), None, "{shell:?}");
        }
    }

    #[test]
    fn scripts_have_values_of_flags_and_ask_for_names_of_the_configuration() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish] {
            let script = script(shell);

            for text in
                ["claude-haiku-4-5", "openrouter", "completions --list profiles", "completions --list providers"]
            {
                assert!(script.contains(text), "{shell:?} {text}");
            }
        }
    }
}
