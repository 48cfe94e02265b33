//! The command `ctl`, which pauses, stops or changes a run in progress.
//!
//! The command writes a request into the run folder, and waits for the answer of the run. See [`crate::watch::ctl`].

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use super::args::CtlArgs;
use super::args::steered::Change;
use super::config::Config;
use super::config::world::World;
use super::exit::Exit;
use super::results::{Files, find};
use super::say;
use crate::journal::{Disk, FileKind, Owners, RealDisk, with_suffix};
use crate::report::text::escape;
use crate::watch::ctl::{Answer, Caller, Posted, Request, Verb, random_id};

/// The longest wait for each of three steps: the run begins to accept requests, the run takes an earlier request, and
/// the run answers.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the command looks at the run folder.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Sends the user's request to the run, and prints the answer.
pub(crate) fn ctl(args: &CtlArgs, world: &World) -> Result<Exit> {
    let (verb, setting) = asked(&args.words)?;
    let config = Config::of_settings(args.settings(), world)?;
    let folder = folder_of(&args.run, &RealDisk::new(config.owners))?;
    let disk = RealDisk::new(Owners::Own);
    let run = escape(&args.run.display().to_string()).into_owned();
    let answer = Call { caller: Caller::new(&disk, &folder), run: &run }.make(verb, setting)?;
    match answer.ok {
        true => say::out(&escape(&answer.message))?,
        false => bail!("{run}: {}", escape(&answer.message)),
    }
    Ok(Exit::Done)
}

/// Returns the verb and, for `set`, the name and the value of the setting. This function checks the setting, so that
/// the user learns of a wrong value at once. When the run receives the setting, the run checks it too.
fn asked(words: &[String]) -> Result<(Verb, Option<(String, String)>)> {
    let verbs = || Verb::ALL.map(Verb::name).join(", ");
    let Some((first, rest)) = words.split_first() else { bail!("give one of {}", verbs()) };
    let verb =
        Verb::of(first).ok_or_else(|| anyhow!("{:?} is not a verb of ctl; give one of {}", escape(first), verbs()))?;
    match (verb, rest) {
        (Verb::Set, []) => {
            bail!("set: {}", Change::parse("").err().unwrap_or_default())
        }
        (Verb::Set, [setting]) => {
            Change::parse(setting).map_err(|message| anyhow!(message))?;
            Ok((verb, setting.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))))
        }
        (Verb::Set, _) => bail!("set changes one setting at a time; call ctl once for each setting"),
        (_, []) => Ok((verb, None)),
        (_, [other, ..]) => bail!("{} takes no value: found {:?}", verb.name(), escape(other)),
    }
}

/// Returns the run folder of the run that the user names.
fn folder_of(run: &Path, disk: &dyn Disk) -> Result<PathBuf> {
    let shown = run.display();
    let no_folder = || {
        anyhow!(
            "{shown}: this run writes its results to standard output, so it has no run folder, and ctl can't reach it"
        )
    };
    if run.as_os_str() == "-" {
        return Err(no_folder());
    }
    let Files { results, .. } = find(run, disk)?;
    let folder = with_suffix(&results.ok_or_else(no_folder)?, ".run");
    match disk.kind(&folder) {
        Ok(Some(FileKind::Folder)) => Ok(folder),
        _ => bail!(
            "{shown}: no run is in progress: there is no {} (a run to standard output has none, and ctl can't reach it)",
            folder.display()
        ),
    }
}

/// A call of `ctl` to a run.
struct Call<'a> {
    caller: Caller<'a>,
    /// The path that the user typed to name the run. Messages show this path.
    run: &'a str,
}

impl Call<'_> {
    /// Sends a request to the run, and returns its answer.
    ///
    /// # Errors
    /// Fails if no run is in progress, if the run does not answer, or if the run folder can't be used.
    fn make(&self, verb: Verb, setting: Option<(String, String)>) -> Result<Answer> {
        self.check_in_progress()?;
        loop {
            let process = self.process()?;
            let id = random_id().ok_or_else(|| anyhow!("the system has no random numbers"))?;
            let request = Request { process, id, verb, setting: setting.clone() };
            self.post(&request)?;
            if let Some(answer) = self.answer_to(&request)? {
                return Ok(answer);
            }
        }
    }

    fn check_in_progress(&self) -> Result<()> {
        if self.caller.is_in_progress()? != Some(false) {
            return Ok(());
        }
        // At its end, a run removes its process id from the run folder.
        let how = if matches!(self.caller.process(), Ok(None)) { "it has ended" } else { "it was killed" };
        bail!("{}: not running: {how}; if rows are left, type the run's command again", self.run)
    }

    /// Returns the process id that the run has written into the run folder. Waits for the id, because a run does not
    /// write the id before it has read its input.
    fn process(&self) -> Result<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(process) = self.caller.process()? {
                return Ok(process);
            }
            if Instant::now() >= until {
                bail!(
                    "{}: the run takes no requests: it is not ready yet, for example because it still reads its input, or \
                     it was started by an older version of this program",
                    self.run
                );
            }
            sleep(LOOK_EVERY);
            self.check_in_progress()?;
        }
    }

    fn post(&self, request: &Request) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while self.caller.post(request)? == Posted::Occupied {
            if Instant::now() >= until {
                bail!(
                    "{}: the run does not answer: for {} s it has not taken an earlier request; is it suspended?",
                    self.run,
                    PATIENCE.as_secs()
                );
            }
            sleep(LOOK_EVERY);
            self.check_in_progress()?;
        }
        Ok(())
    }

    /// Waits for the answer to a request. Returns `None` if the process id in the run folder has changed. In this case,
    /// the old process was killed, and a new process has just begun the run.
    fn answer_to(&self, request: &Request) -> Result<Option<Answer>> {
        let until = Instant::now() + PATIENCE;
        loop {
            // The order matters: first, the program checks whether the run has ended, and then it reads the answer. The
            // run may answer just before it ends.
            let has_ended = self.check_in_progress();
            if let Some(answer) = self.caller.answer(&request.id) {
                return Ok(Some(answer));
            }
            if has_ended.is_ok() && self.caller.process()?.is_some_and(|process| process != request.process) {
                self.caller.withdraw(request);
                return Ok(None);
            }
            if has_ended.is_err() || Instant::now() >= until {
                let is_taken_back = self.caller.withdraw(request);
                has_ended?;
                let what =
                    if is_taken_back { "nothing was changed" } else { "the run can still carry out this command" };
                bail!(
                    "{}: the run does not answer within {} s, perhaps because it is suspended or still reads its input; \
                     {what}",
                    self.run,
                    PATIENCE.as_secs()
                );
            }
            sleep(LOOK_EVERY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        asked(&words).expect_err("it is refused").to_string()
    }

    #[test]
    fn a_wrong_request_is_told_with_what_is_allowed() {
        for (words, part) in [
            (&["hold"][..], "pause, resume, drain, stop, set"),
            (&["set"], "concurrency, tier"),
            (&["set", "colour=red"], "headroom"),
            (&["set", "headroom=lots"], "0 to 90"),
            (&["set", "rpm=5", "itpm=5"], "one setting at a time"),
            (&["pause", "now"], "\"now\""),
        ] {
            let message = fault(words);
            assert!(message.contains(part), "{words:?}: {message}");
        }
    }

    #[test]
    fn a_request_has_a_verb_and_perhaps_a_setting() {
        let words = |words: &[&str]| {
            asked(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).expect("it is right")
        };

        assert_eq!(words(&["drain"]), (Verb::Drain, None));
        assert_eq!(words(&["set", "budget=5"]), (Verb::Set, Some(("budget".to_owned(), "5".to_owned()))));
    }
}
