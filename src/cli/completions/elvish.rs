//! The completion script for the shell Elvish. The generator offers commands and flags; this module adds files and the
//! values of flags.

use clap::{Arg, Command, ValueHint};

use super::command::{PROFILES, PROVIDERS};

/// The last line of the generated function, which offers commands and flags.
const OFFER: &str = "    $completions[$command]\n";

/// Returns the generated script, extended with code that offers values and files.
pub(super) fn with_values(script: &str, command: &Command) -> String {
    let mut values = String::new();
    let mut takes_files = Vec::new();
    collect(command, "claude-batch", &mut values, &mut takes_files);
    let takes_files: Vec<String> = takes_files.iter().map(|name| format!("&'{name}'=$true")).collect();
    let offer = format!(
        "    var values = [{values}\n    ]\n    var takes-files = [{}]\n    var before = $command';'$words[-2]\n    \
         if (has-key $values $before) {{\n        $values[$before] $words[-1]\n    \
         }} elif (and (has-key $takes-files $command) (not (str:has-prefix $words[-1] '-'))) {{\n        \
         edit:complete-filename $words[-1]\n    }} else {{\n    {OFFER}    }}\n",
        takes_files.join(" ")
    );
    // The generated function treats each word after a command as a subcommand, even the word that the user is still
    // typing.
    let script = script.replacen("for word $words[1..-1] {\n", "for word $words[1..-1] {\n        if (not (has-key $completions $command';'$word)) {\n            break\n        }\n", 1);
    moved(&script).replacen(OFFER, &offer, 1)
}

/// Moves the script's table of commands, so that the table comes before the loop that uses it.
fn moved(script: &str) -> String {
    let parts = script.split_once("    var command = 'claude-batch'\n").and_then(|(before, rest)| {
        let (search, table) = rest.split_once("    var completions = [")?;
        let (table, offer) = table.split_once("\n    ]\n")?;
        Some((before, search, table, offer))
    });
    let Some((before, search, table, offer)) = parts else { return script.to_owned() };
    format!("{before}    var completions = [{table}\n    ]\n    var command = 'claude-batch'\n{search}{offer}")
}

/// Collects the values of all flags, and the commands whose arguments are files.
fn collect(command: &Command, path: &str, values: &mut String, takes_files: &mut Vec<String>) {
    let flags = command.get_arguments().filter(|arg| arg.get_action().takes_values() && !arg.is_hide_set());
    for arg in flags {
        let Some(body) = candidates(arg) else { continue };
        if arg.is_positional() {
            // If a command has an argument with known values, all other words after the command are flags.
            if !arg.get_possible_values().is_empty() {
                values.push_str(&format!("\n        &'{path};{}'= {{|word| {body} }}", command.get_name()));
            }
            continue;
        }
        let long = arg.get_long().map(|long| format!("--{long}"));
        let short = arg.get_short().map(|short| format!("-{short}"));
        for name in long.into_iter().chain(short) {
            values.push_str(&format!("\n        &'{path};{name}'= {{|word| {body} }}"));
        }
    }
    let is_file = |arg: &Arg| arg.get_value_hint() == ValueHint::FilePath;
    if command.get_positionals().any(is_file) {
        takes_files.push(path.to_owned());
    }
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        collect(inner, &format!("{path};{}", inner.get_name()), values, takes_files);
    }
}

/// Returns the code that offers the values of a flag.
fn candidates(arg: &Arg) -> Option<String> {
    let possible = arg.get_possible_values();
    if possible.is_empty() {
        let is_path = matches!(arg.get_value_hint(), ValueHint::FilePath | ValueHint::DirPath);
        return is_path.then(|| "edit:complete-filename $word".to_owned());
    }
    let asked = |kind: &str| {
        format!("try {{ e:claude-batch completions --list {kind} 2>/dev/null | from-lines }} catch e {{ }}")
    };
    let mut fixed = String::new();
    let mut code = Vec::new();
    for value in possible.iter().filter(|value| !value.is_hide_set()) {
        match value.get_name() {
            PROFILES => code.push(asked("profiles")),
            PROVIDERS => code.push(asked("providers")),
            name => fixed.push_str(&format!(" '{}'", name.replace('\'', "''"))),
        }
    }
    if !fixed.is_empty() {
        code.insert(0, format!("put{fixed}"));
    }
    Some(code.join("; "))
}
