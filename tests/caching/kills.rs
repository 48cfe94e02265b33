//! Kills runs while they write prefixes to the cache, and resumes them.

use std::collections::BTreeMap;
use std::time::Duration;

use claude_batch::domain::PromptCache;
use claude_batch::journal::{Fsync, InputRead, Journal, JournalOptions, MemDisk, Start, Threading};
use claude_batch::runner::input::Earlier;
use claude_batch::runner::{JournalLedger, commits};
use claude_batch::sim::config::Burst;
use claude_batch::sim::transport::lock;
use serde_json::Value;

use super::case::{Case, Draft, content};
use super::cheapest::{Begins, cheapest};
use super::play::{Played, Session};
use super::support::{RESULTS, journal_options};

/// The number of rows in flight at the same time.
const AT_ONCE: usize = 24;

/// The result of a kill and of the next run.
#[derive(Clone, Copy, Debug)]
pub struct Killed {
    /// The time of the kill, and the length of the pause after it, both in seconds.
    pub at: (f64, f64),
    /// Whether the run had ended before the kill.
    pub has_ended: bool,
    /// The number of cache entries that all runs together wrote.
    pub writes: u64,
    /// The number of different prefixes of the rows.
    pub prefixes: u64,
    /// The number of rows that were billed twice.
    pub billed_again: u64,
}

impl Killed {
    /// Returns whether the kill caused at most one additional write per prefix.
    pub fn holds(&self) -> bool {
        self.writes <= 2 * self.prefixes
    }
}

/// Kills a run at a random moment, waits, and resumes the run. Panics if a row is lost.
pub fn kill_once(seed: u64) -> Killed {
    let mut random = fastrand::Rng::with_seed(seed);
    let case = case(seed);
    let session = Session::new(&case);
    let disk = MemDisk::new();
    let moment = 0.05 + 5.0 * random.f64() * random.f64();
    let pause = [0.0, 1.0, 60.0, 400.0][random.usize(0..4)];

    let (first, has_ended) = run(&session, &disk, "r0", Some(Duration::from_secs_f64(moment)));
    session.wait(Duration::from_secs_f64(pause));
    let disk = disk.after_death();
    let (second, _) = run(&session, &disk, "r1", None);

    let what = format!("seed {seed}, killed after {moment:.2} s (ended: {has_ended}), pause of {pause} s");
    let results = disk.content(RESULTS).expect("there are results");
    let mut answers: BTreeMap<String, u32> = BTreeMap::new();
    for line in results.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line: Value = serde_json::from_slice(line).expect("a line is JSON");
        *answers.entry(line["custom_id"].as_str().expect("a label").to_owned()).or_default() += 1;
    }
    assert_eq!(answers.len(), case.rows, "{what}: every row has an answer");
    assert!(answers.values().all(|count| *count == 1), "{what}: no row has two answers");
    Killed {
        at: (moment, pause),
        has_ended,
        writes: first.writes + second.writes,
        prefixes: cheapest(&case, Begins::Cold).writes,
        billed_again: lock(&session.model).books().billed_again,
    }
}

/// Runs the rows that have no answer. Returns the result of the run, and whether the run ended before the kill.
fn run(session: &Session<'_>, disk: &MemDisk, name: &str, killed_after: Option<Duration>) -> (Played, bool) {
    let (on_commit, commits) = commits();
    let options = JournalOptions {
        start: Start::Continue,
        rerun: Vec::new(),
        clock: session.clock,
        threading: Threading::Inline,
        fsync: Fsync::Group,
        ..journal_options(disk, name)
    };
    let (journal, recovered) = Journal::open(options, Box::new(on_commit)).expect("the journal opens");
    let done = recovered.done.clone();
    let earlier = Earlier { known: Box::new(move |row, identity| done.state(row, identity)), ..Earlier::none() };
    let ledger = JournalLedger::new(journal, session.clock);
    let (played, ended) = session.run_with(PromptCache::Auto, earlier, (ledger, commits), killed_after);
    let has_ended = ended.is_some();
    if let Some((finish, ledger)) = ended {
        assert!(finish.halted.is_none(), "{finish:?}");
        ledger.close(InputRead::Whole, finish.maybe_billed > 0).expect("the disk works");
    }
    (played, has_ended)
}

fn case(seed: u64) -> Case {
    let row = |number: usize| {
        let blocks = [(content(3, number / 6), 1_000), (content(2, number), 20)];
        Draft::new(number).system(content(1, 0), 1_200).message("user", &blocks).row()
    };
    let case = Case::new("kills", "10 documents for 6 rows each, after a system prompt for all", 60, row);
    Case { seed, at_once: Some(AT_ONCE), burst: Burst::Minute, output: 100, ..case }
}
