//! The arguments of `completions` and `man`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

/// The last lines of the help of `completions`. No line is wider than 80 columns, because a user can't copy a line that
/// is wrapped.
pub(super) const COMPLETIONS_HELP: &str = "\
To install a script, run the lines for your shell, then start a new shell:
  bash        d=~/.local/share/bash-completion/completions
              mkdir -p $d && claude-batch completions bash > $d/claude-batch
  zsh         d=~/.zfunc
              mkdir -p $d && claude-batch completions zsh > $d/_claude-batch
              and in ~/.zshrc, above compinit: fpath=(~/.zfunc $fpath)
  fish        set d ~/.config/fish/completions
              mkdir -p $d; claude-batch completions fish > $d/claude-batch.fish
  elvish      claude-batch completions elvish >> ~/.config/elvish/rc.elv
  powershell  claude-batch completions powershell >> $PROFILE

The scripts complete commands, flags, files and values such as tiers and models.
In bash, zsh, fish and elvish, they also call this program to complete the names
of profiles and providers in your configuration. Names with characters other
than letters, digits, '_', '.' and '-' are left out. Print the script again
after an update of the program.";

/// The last lines of the help of `man`.
pub(super) const MAN_HELP: &str = "\
Examples:
  claude-batch man | man -l -
  claude-batch man -o ~/.local/share/man/man1";

/// Arguments of `completions`.
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", required_unless_present = "list")]
    pub shell: Option<Shell>,
    /// Print the names of this kind in the configuration, for the completion scripts
    #[arg(long, value_name = "KIND", hide = true, conflicts_with = "shell")]
    pub list: Option<Listed>,
}

/// A shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
    /// Elvish.
    Elvish,
    /// PowerShell.
    Powershell,
}

/// A kind of name in the configuration, for example the name of a profile. `completions --list` prints all names of one
/// kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Listed {
    /// Profiles.
    Profiles,
    /// Providers.
    Providers,
}

/// Arguments of `man`.
#[derive(Clone, Debug, Args)]
pub struct ManArgs {
    /// Folder for the manual pages of all commands [default: only the program's page, on standard output]
    #[arg(short, long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub output: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_to_copy_are_not_wrapped() {
        for line in COMPLETIONS_HELP.lines().chain(MAN_HELP.lines()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
