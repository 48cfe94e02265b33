//! Makes commands that users paste into a shell. The words of each command are quoted, so that the words keep their
//! meaning and are safe to print.
//!
//! A word that consists of letters, digits and `-_./=:,@%+` stays unchanged. Most words with other characters are put
//! in single quotes. The form `$'…'` is used for a word with a control character, an unusual blank or bytes that are
//! not UTF-8. In this form, octal numbers replace these characters and bytes. Shells such as bash, zsh and ksh
//! understand this form, and so does every shell that follows POSIX 2024. An older shell reads a word in this form as a
//! different name, but does not run another command. On Windows, double quotes are enough, because file names can't
//! contain control characters or quotes.
//!
//! Some values may be secret: the value of a `--header`, an address of `--notify`, and the arguments of a command. In a
//! printed command, [`HIDDEN`] replaces such values. The program does not accept [`HIDDEN`] as a value.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::report::PrintedCommand;
use crate::report::text::{escape, is_steering};

/// The text that replaces a secret value in a printed command.
pub(crate) const HIDDEN: &str = "[hidden]";

/// The name of this program. All printed commands begin with the program's name.
const PROGRAM: &str = "claude-batch";

/// Returns the command that runs this program with these arguments.
pub(crate) fn ours(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
    args.into_iter().fold(PROGRAM.to_owned(), |command, arg| command + " " + &quoted(arg))
}

/// Returns the command that runs this program with these arguments, as a text and as a list of words.
pub(crate) fn printed(args: impl IntoIterator<Item = OsString>) -> PrintedCommand {
    let args: Vec<_> = args.into_iter().collect();
    let words = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    let argv: Vec<_> = std::iter::once(PROGRAM.to_owned()).chain(words).collect();
    PrintedCommand { text: ours(&args), is_complete: !argv.iter().any(|word| word.contains(HIDDEN)), argv }
}

/// Returns a path as an argument of a command. A path that begins with a dash gets `./` before it; otherwise it would
/// be read as a flag.
pub(crate) fn file(path: &Path) -> OsString {
    match path.as_os_str().as_encoded_bytes().first() {
        Some(b'-') => Path::new(".").join(path).into_os_string(),
        _ => path.as_os_str().to_owned(),
    }
}

/// Returns a word as a user can paste it: in quotes if a shell needs them.
pub(crate) fn quoted(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref();
    if cfg!(windows) { double_quoted(&word.to_string_lossy()) } else { posix(word.as_encoded_bytes()) }
}

fn posix(word: &[u8]) -> String {
    match std::str::from_utf8(word) {
        Ok(text) if is_plain(text) => text.to_owned(),
        Ok(text) if !text.chars().any(is_lost_in_print) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => in_numbers(word),
    }
}

fn double_quoted(word: &str) -> String {
    match is_plain(word) {
        true => word.to_owned(),
        false => format!("\"{}\"", escape(&word.replace('"', "\\\""))),
    }
}

/// Returns whether a word has no special meaning in any shell. (In zsh, a `=` at the beginning of a word has a special
/// meaning.)
fn is_plain(word: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,@%+".contains(&byte);
    !word.is_empty() && !word.starts_with('=') && word.bytes().all(is_plain)
}

/// Returns whether copying from a terminal can change or lose this character.
fn is_lost_in_print(char: char) -> bool {
    is_steering(char) || (char.is_whitespace() && char != ' ')
}

/// Returns a word as `$'…'`. `!` is also written as a number, because an interactive bash replaces `!` with an earlier
/// command.
fn in_numbers(word: &[u8]) -> String {
    let mut shown = "$'".to_owned();
    let numbers = |shown: &mut String, bytes: &[u8]| {
        bytes.iter().for_each(|byte| shown.push_str(&format!("\\{byte:03o}")));
    };
    for chunk in word.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\\' | '\'' | '!' => numbers(&mut shown, &[char as u8]),
                char if is_lost_in_print(char) => numbers(&mut shown, char.encode_utf8(&mut [0; 4]).as_bytes()),
                char => shown.push(char),
            }
        }
        numbers(&mut shown, chunk.invalid());
    }
    shown.push('\'');
    shown
}

/// The flags whose values may be secret.
const SECRET_FLAGS: [&str; 3] = ["--header", "--notify", "--api-key-cmd"];

/// Returns the arguments with their secret values hidden. Arguments after `--` are not flags, so they are not changed.
pub(crate) fn without_secrets(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut shown = Vec::new();
    // The secret flag whose value is the next argument.
    let mut flag: Option<&str> = None;
    let mut has_flags = true;
    for arg in args {
        if let Some(flag) = flag.take() {
            shown.push(shown_value(flag, arg));
            continue;
        }
        has_flags = has_flags && arg != "--";
        let text = arg.to_string_lossy();
        flag = SECRET_FLAGS.into_iter().find(|flag| has_flags && text == *flag);
        let inline = |flag: &'static str| Some((flag, text.strip_prefix(flag)?.strip_prefix('=')?));
        match SECRET_FLAGS.into_iter().filter(|_| has_flags).find_map(inline) {
            Some((flag, value)) => {
                let mut word = OsString::from(format!("{flag}="));
                word.push(shown_value(flag, value.into()));
                shown.push(word);
            }
            None => shown.push(arg.clone()),
        }
    }
    shown
}

/// Returns the program of a command, without the arguments, because the arguments may be secret. Returns `None` if the
/// first word contains a character that is unusual in a path. Such a word may also be secret, as in `TOKEN=… pass`.
pub(crate) fn program(command: &str) -> Option<&str> {
    let is_usual = |char: char| char.is_ascii_alphanumeric() || "/._-".contains(char);
    command.split_whitespace().next().filter(|word| word.chars().all(is_usual))
}

/// Returns the value of a flag in a form that is safe to show: [`HIDDEN`] replaces secret parts.
pub(crate) fn shown_value(flag: &str, value: OsString) -> OsString {
    let bytes = value.as_encoded_bytes();
    match flag {
        "--header" => hidden(bytes).into(),
        "--notify" if bytes.starts_with(b"env:") => value,
        "--notify" => match bytes.strip_prefix(b"cmd:") {
            Some(command) if is_program(&String::from_utf8_lossy(command)) => value,
            Some(_) | None => HIDDEN.into(),
        },
        "--api-key-cmd" if !is_program(&value.to_string_lossy()) => HIDDEN.into(),
        _ => value,
    }
}

/// Returns whether a command is only the name of a program, without arguments. A command with arguments may contain a
/// secret.
fn is_program(command: &str) -> bool {
    program(command) == Some(command.trim())
}

/// Returns a header with its value hidden.
fn hidden(header: &[u8]) -> String {
    let text = String::from_utf8_lossy(header);
    text.split_once(':').map_or_else(|| HIDDEN.to_owned(), |(name, _)| format!("{name}: {HIDDEN}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_words_stay_as_they_are() {
        for word in ["run", "--tier", "2", "a/b-c_d.jsonl", "--max-cost=40", "claude-haiku-4-5@1", "5%", "a,b", "-"] {
            assert_eq!(posix(word.as_bytes()), word);
        }
    }

    #[test]
    fn other_words_are_in_single_quotes() {
        let shown = ["", "a b", "a$(touch PWN);b.jsonl", "it's", "`id`", "~", "=ls", "a\\b", "Grüße", "!1"];

        let shown = shown.map(|word| posix(word.as_bytes()));

        let expected =
            ["''", "'a b'", "'a$(touch PWN);b.jsonl'", r"'it'\''s'", "'`id`'", "'~'", "'=ls'", r"'a\b'", "'Grüße'"];
        assert_eq!(shown[..9], expected);
        assert_eq!(shown[9], "'!1'");
    }

    #[test]
    fn control_characters_and_invalid_utf_8_become_numbers() {
        assert_eq!(posix(b"a\nb"), r"$'a\012b'");
        assert_eq!(posix("é\u{202e}x\u{9b}".as_bytes()), r"$'é\342\200\256x\302\233'");
        assert_eq!(posix(b"\xff1'\\!"), r"$'\3771\047\134\041'");
        assert_eq!(posix("a\u{a0}b".as_bytes()), r"$'a\302\240b'");
    }

    #[test]
    fn on_windows_words_are_in_double_quotes() {
        assert_eq!(double_quoted("a b.jsonl"), "\"a b.jsonl\"");
        assert_eq!(double_quoted("C.jsonl"), "C.jsonl");
        assert_eq!(double_quoted("--param=stop=\"x\u{1b}\""), "\"--param=stop=\\\"x\\u{1b}\\\"\"");
    }

    #[test]
    fn a_path_that_begins_with_a_dash_is_not_read_as_a_flag() {
        assert_eq!(file(Path::new("-rf.jsonl")), Path::new(".").join("-rf.jsonl"));
        assert_eq!(file(Path::new("a/-b.jsonl")), "a/-b.jsonl");
    }

    #[test]
    fn values_of_headers_are_hidden_in_every_notation() {
        let typed = [
            "run",
            "--header",
            "X-Team: s3cret",
            "--header=a:s3cret",
            "--header",
            "s3cret",
            "--header=s3cret",
            "-n",
            "3",
            "--header",
            "--",
            "--",
            "--header",
            "plain: file",
        ];

        let shown = without_secrets(typed.map(OsString::from).into_iter());

        assert_eq!(
            shown,
            [
                "run",
                "--header",
                "X-Team: [hidden]",
                "--header=a: [hidden]",
                "--header",
                "[hidden]",
                "--header=[hidden]",
                "-n",
                "3",
                "--header",
                "[hidden]",
                "--",
                "--header",
                "plain: file",
            ]
        );
        assert_eq!(ours(&shown[..3]), "claude-batch run --header 'X-Team: [hidden]'");
    }

    #[test]
    fn addresses_and_arguments_of_commands_are_hidden_and_variables_and_programs_are_not() {
        let typed = [
            "run",
            "--notify",
            "https://hooks.example/s3cret",
            "--notify=http://localhost/s3cret",
            "--notify",
            "env:SLACK_URL",
            "--notify=cmd:./tell.sh",
            "--notify=cmd:./tell.sh s3cret",
            "--api-key-cmd",
            "TOKEN=s3cret",
            "--api-key-cmd=pass show s3cret",
            "--api-key-cmd",
            "./print-key",
            "--notify-on",
            "finish",
            "--notify",
            "--",
            "--",
            "--notify",
        ];

        let shown = without_secrets(typed.map(OsString::from).into_iter());

        assert_eq!(
            shown,
            [
                "run",
                "--notify",
                "[hidden]",
                "--notify=[hidden]",
                "--notify",
                "env:SLACK_URL",
                "--notify=cmd:./tell.sh",
                "--notify=[hidden]",
                "--api-key-cmd",
                "[hidden]",
                "--api-key-cmd=[hidden]",
                "--api-key-cmd",
                "./print-key",
                "--notify-on",
                "finish",
                "--notify",
                "[hidden]",
                "--",
                "--notify",
            ]
        );
    }

    proptest! {
        #[test]
        fn a_quoted_word_survives_being_escaped(word in proptest::collection::vec(any::<u8>(), 0..40)) {
            let shown = posix(&word);

            prop_assert_eq!(escape(&shown), shown.as_str());
        }
    }
}
