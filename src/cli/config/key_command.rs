//! Runs a command that prints the key, and stops the command if it takes too long. The command comes from
//! `--api-key-cmd`, or is a command of AWS or Google.
//!
//! The command is the user's own program, but it may hang, print without end, or print a key to standard error. So the
//! running time of the command and the length of its output are limited. The command does not get the variables that
//! contain a key. The standard error of the command is shown only if the command fails or takes too long. After a
//! failure, only the last line of standard error is shown, without words that could be a key.
//!
//! The command stays in the process group of this program. So the command can ask the user at the terminal, and Ctrl-C
//! also stops the command. On systems with `/proc`, the processes that the command started are found by their parent
//! ids.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use zeroize::Zeroizing;

use super::world::{SECRET_VARIABLES, World};
use crate::domain::Secrets;
use crate::watch::processes;

/// The highest number of bytes in a key or token.
pub(super) const MOST_BYTES: usize = 64 * 1024;
/// How many bytes are kept from the end of standard error.
const KEPT_BYTES: usize = 4 * 1024;
/// In messages, a line of standard error is shortened to this number of characters.
const LONGEST_LINE: usize = 200;
/// If a word with letters and digits has at least this many bytes, the word could be a key or a part of a key.
const SHORTEST_KEY_WORD: usize = 12;
/// How often the program checks whether the command has exited.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Runs a command without a shell, and returns its output. `what` is the purpose of the command, as messages name it.
///
/// # Errors
/// Fails if the command can't be started, returns a failure, prints too much, or takes longer than `patience`. If the
/// command can't be started, the cause is the error of the system.
pub(super) fn output(what: &str, command: &str, world: &World, patience: Duration) -> Result<Zeroizing<Vec<u8>>> {
    let mut words = command.split_whitespace();
    let Some(program) = words.next() else { bail!("{what}: it is empty; give a command that prints the key") };
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for name in SECRET_VARIABLES.into_iter().chain(world.key_variables.iter().map(String::as_str)) {
        command.env_remove(name);
    }
    if !world.working_folder.as_os_str().is_empty() {
        command.current_dir(&world.working_folder);
    }
    let child = command.spawn().with_context(|| format!("{what}: can't run {program:?}"))?;
    let mut running = Running::watch(child, Instant::now() + patience);
    let ended = running.end();
    if ended.is_none() {
        running.kill();
    }
    let printed = ended.as_ref().map_or(&b""[..], |(output, _)| output);
    let said = || running.last_line(printed).map_or(String::new(), |line| format!(": {line}"));
    match &ended {
        Some((output, _)) if output.len() > MOST_BYTES => {
            bail!("{what}: {program:?} printed more than {} KiB, and no key is that long", MOST_BYTES >> 10)
        }
        Some((_, status)) if !status.success() => bail!("{what}: {program:?} failed ({status}){}", said()),
        Some(_) => Ok(ended.map(|(output, _)| output).unwrap_or_default()),
        None => bail!("{what}: {program:?} took longer than {} s and was ended{}", patience.as_secs(), said()),
    }
}

/// A running command, and the threads that read its output.
struct Running {
    child: Child,
    deadline: Instant,
    output: Receiver<io::Result<Zeroizing<Vec<u8>>>>,
    errors: Receiver<Zeroizing<Vec<u8>>>,
}

impl Running {
    fn watch(mut child: Child, deadline: Instant) -> Self {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (output_in, output) = channel();
        let (errors_in, errors) = channel();
        std::thread::spawn(move || stdout.map(|stdout| output_in.send(bounded(stdout))));
        std::thread::spawn(move || stderr.map(|stderr| errors_in.send(last_bytes(stderr))));
        Self { child, deadline, output, errors }
    }

    /// Returns the output of the command and its exit status; `None` if the command took too long. A command that
    /// prints too much is stopped.
    fn end(&mut self) -> Option<(Zeroizing<Vec<u8>>, ExitStatus)> {
        let output = match self.output.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) {
            Ok(output) => output.unwrap_or_default(),
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => Zeroizing::default(),
        };
        if output.len() > MOST_BYTES {
            self.kill();
        }
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some((output, status)),
                Ok(None) if Instant::now() < self.deadline => std::thread::sleep(LOOK_EVERY),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    fn kill(&mut self) {
        processes::end(&mut self.child);
    }

    /// Returns the last line of standard error in a form that is safe to show. This form hides words that could be a
    /// key, and words that the command also printed on standard output.
    fn last_line(&self, printed: &[u8]) -> Option<String> {
        // A process that the command started may still have standard error open, so the wait is limited.
        let errors = self.errors.recv_timeout(Duration::from_secs(1)).ok()?;
        let text = Zeroizing::new(String::from_utf8_lossy(&errors).into_owned());
        let line = text.lines().map(str::trim).rfind(|line| !line.is_empty())?;
        let mut line = line.split_whitespace().map(without_key).collect::<Vec<_>>().join(" ");
        let printed = Zeroizing::new(String::from_utf8_lossy(printed).into_owned());
        Secrets::new(printed.split_whitespace()).clean(&mut line);
        Some(line.chars().take(LONGEST_LINE).collect())
    }
}

/// Returns the word, or a placeholder if the word could be a key.
fn without_key(word: &str) -> &str {
    let has = |is: fn(char) -> bool| word.contains(is);
    let is_like_key = has(|char| char.is_ascii_digit()) && has(|char| char.is_ascii_alphabetic());
    if word.len() >= SHORTEST_KEY_WORD && (is_like_key || word.starts_with("sk-")) { "[hidden]" } else { word }
}

/// Reads at most as many bytes as the longest allowed key has, and one more byte. The bytes are stored in memory that
/// is never reallocated.
pub(super) fn bounded(source: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES + 1));
    source.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads the source to its end, and returns its last bytes.
fn last_bytes(mut source: impl Read) -> Zeroizing<Vec<u8>> {
    let mut kept = VecDeque::with_capacity(2 * KEPT_BYTES);
    let mut piece = Zeroizing::new([0; KEPT_BYTES]);
    while let Ok(length @ 1..) = source.read(&mut *piece) {
        kept.extend(&piece[..length]);
        kept.drain(..kept.len().saturating_sub(KEPT_BYTES));
    }
    Zeroizing::new(kept.into())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Runs a script as the key command and returns the result.
    fn of(script: &str, patience: Duration) -> Result<Zeroizing<Vec<u8>>, String> {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        let world = World { working_folder: folder.path().to_owned(), ..World::default() };
        std::fs::write(folder.path().join("key.sh"), script).expect("the folder is ours");
        output("--api-key-cmd", "sh key.sh", &world, patience).map_err(|error| error.to_string())
    }

    #[test]
    fn only_standard_output_is_returned() {
        let printed = of("echo noise >&2; echo sk-1; exec 2>&-", PATIENCE).expect("it prints");

        assert_eq!(**printed, *b"sk-1\n");
    }

    #[test]
    fn a_failure_shows_its_last_line_without_possible_keys() {
        let key = "sk-ant-api03-AbC9%\"+/=d8Fj";

        let status =
            of(&format!("echo '{key}'; echo first >&2; echo 'entry for abc {key}' >&2; echo >&2; exit 3"), PATIENCE);
        let signal = of("kill -9 $$", PATIENCE);

        let status = status.expect_err("it fails");
        assert!(status.contains("exit status: 3") && status.contains("entry for abc [hidden]"), "{status}");
        assert!(!status.contains("AbC9") && !status.contains("first"), "{status}");
        assert!(signal.expect_err("it is killed").contains("signal: 9"));
    }

    #[test]
    fn a_failure_does_not_show_what_was_printed() {
        let error = of("echo onlyletterskey; echo 'no use for onlyletterskey' >&2; exit 1", PATIENCE);

        assert!(error.as_ref().is_err_and(|error| error.ends_with(": no use for [key]")), "{error:?}");
    }

    #[test]
    fn output_without_end_is_cut_off() {
        let error = of("yes", PATIENCE).expect_err("no key is as long");
        let errors = of("yes | head -100000 >&2; exit 1", PATIENCE).expect_err("it fails");

        assert!(error.contains("more than 64 KiB"), "{error}");
        assert!(errors.ends_with(": y"), "{errors}");
    }

    #[test]
    fn a_command_that_hangs_is_ended_with_all_processes_it_started() {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        let world = World { working_folder: folder.path().to_owned(), ..World::default() };
        std::fs::write(folder.path().join("key.sh"), "sleep 1000 & echo $! > id; echo touch it >&2; wait")
            .expect("the folder is ours");

        let error = output("--api-key-cmd", "sh key.sh", &world, Duration::from_millis(300))
            .expect_err("it never ends")
            .to_string();

        assert!(error.contains("took longer than 0 s") && error.ends_with(": touch it"), "{error}");
        let id = std::fs::read_to_string(folder.path().join("id")).expect("it was written");
        let status = || std::fs::read_to_string(format!("/proc/{}/status", id.trim())).unwrap_or_default();
        let begun = Instant::now();
        // The test waits, because it can take a moment until the signal reaches the process.
        while cfg!(target_os = "linux") && !(status().is_empty() || status().contains("State:\tZ")) {
            assert!(begun.elapsed() < PATIENCE, "{}", status());
            std::thread::yield_now();
        }
    }

    #[test]
    fn key_variables_are_not_passed_on() {
        let names = SECRET_VARIABLES.join(" ");

        let printed = of(&format!("for name in {names}; do printenv $name && exit 1; done; echo sk-1"), PATIENCE);

        assert_eq!(**printed.expect("none is set"), *b"sk-1\n");
    }

    #[test]
    fn variables_with_the_keys_of_other_providers_are_not_passed_on() {
        // Every process on Unix has the variable PATH.
        let world = World { key_variables: vec!["PATH".to_owned()], ..World::default() };

        let printed = output("--api-key-cmd", "/usr/bin/env", &world, PATIENCE).expect("it prints");

        assert!(!printed.is_empty() && !String::from_utf8_lossy(&printed).contains("\nPATH="));
        assert!(!printed.starts_with(b"PATH="));
    }
}
