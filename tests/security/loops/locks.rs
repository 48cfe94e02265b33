//! Tests two runs whose outputs are related. No row is lost, because the program rejects each run that would disturb
//! another run.
//!
//! The tests try every way in which the names and files of two outputs can be related. If a run was not rejected, each
//! row of this run must have exactly one line in the run's files at the end. In most tests, the second run begins at a
//! random moment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use claude_batch::clock::{Instant, RunClock};
use claude_batch::domain::Origin;
use claude_batch::journal::{
    Fsync, InputRead, Journal, JournalError, JournalOptions, Manifest, RealDisk, RunPaths, Start, Threading,
};
use claude_batch::sim::config::Latency;
use claude_batch::sim::faults::FaultPlan;
use claude_batch::source::BrokenRow;

use super::super::page::{Seen, Size};
use super::super::support::{Api, Folder, Said, feed, finish, ids, quick};

/// Runs this loop. Returns the results as lines for `benches/SECURITY.md`.
pub fn page(size: Size) -> Vec<Seen> {
    vec![interleavings(size), replacements(size), table()]
}

// ---- interleavings --------------------------------------------------------------------------------------------------

/// The relations between the outputs of two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Relation {
    SameOutput,
    SameRows,
    SameErrors,
    SameErrorsOfPipes,
    PipeAndFile,
    HardLinks,
    DefaultLog,
    Crossed,
    RunAndResume,
    TwoResumes,
    FreshBeside,
    FreshOfDefaultLog,
    LinkedFolders,
    AbsoluteAndRelative,
    FolderRemoved,
}

const RELATIONS: [Relation; 15] = [
    Relation::SameOutput,
    Relation::SameRows,
    Relation::SameErrors,
    Relation::SameErrorsOfPipes,
    Relation::PipeAndFile,
    Relation::HardLinks,
    Relation::DefaultLog,
    Relation::Crossed,
    Relation::RunAndResume,
    Relation::TwoResumes,
    Relation::FreshBeside,
    Relation::FreshOfDefaultLog,
    Relation::LinkedFolders,
    Relation::AbsoluteAndRelative,
    Relation::FolderRemoved,
];

/// The number of rows of each run. The ids of the rows begin with `a` in one run and with `b` in the other.
const ROWS: usize = 12;

/// Tries pairs of runs. In most pairs, the second run begins at a random moment. Returns the line for the page.
fn interleavings(size: Size) -> Seen {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut both, mut refused) = (0, 0);
    let mut relations = BTreeSet::new();
    let pairs = size.pick(20, 200);
    for number in 0..pairs {
        let relation = RELATIONS[if number < RELATIONS.len() { number } else { random.usize(..RELATIONS.len()) }];
        relations.insert(relation);
        match pair(relation, &mut random, &format!("seed {seed}, pair {number}: {relation:?}")) {
            0 => both += 1,
            _ => refused += 1,
        }
    }
    Seen::new(
        "two runs on related outputs, started at random moments (same -o, same --errors, hard links, default log, \
         resume, --fresh, pipes, linked folders, run folder removed)",
        "nothing is lost, or the second run is refused (exit 2)",
        format!(
            "{pairs} pairs of {} relations: {both} where both ran, {refused} where one was refused, 0 rows lost",
            relations.len()
        ),
    )
}

/// Starts two runs, and checks their results after both runs have ended. Returns how many of the two runs were
/// rejected.
fn pair(relation: Relation, random: &mut fastrand::Rng, what: &str) -> usize {
    let folder = Folder::new();
    let api = api(random);
    folder.write("a.jsonl", &rows('a'));
    folder.write("b.jsonl", &rows('b'));
    let begun_before = prepare(relation, &folder, &api, what);
    let [first, second] = commands(relation, &folder, &api);
    // The second run begins at a random moment. This moment can be before the first run has its lock, or after the
    // first run has ended.
    let moment = Duration::from_micros(random.u64(0..260_000));

    let one = start(first);
    if relation == Relation::FolderRemoved {
        wait_until(|| folder.path("out.jsonl").exists() || one.is_finished());
        let _ = fs::remove_dir_all(folder.path("out.jsonl.run"));
    } else {
        // This sleep is the time between the starts of the two runs. The sleep does not wait for an event.
        std::thread::sleep(moment);
    }
    let two = start(second);
    let said = [one, two].map(|run| run.join().expect("the program ends"));

    let what = format!("{what}, second after {moment:?}\n1: {}\n2: {}", said[0].err, said[1].err);
    let mut allowed: BTreeSet<char> = begun_before;
    for (said, rows) in said.iter().zip(rows_of(relation)) {
        match said.code {
            Some(0 | 3) => allowed.extend(rows),
            Some(2) => {}
            code => panic!("{what}\nended with {code:?}"),
        }
    }
    let count = said.iter().filter(|said| said.code == Some(2)).count();
    // If the outputs of the two runs are crossed or are hard links to one file, the program is allowed to reject both
    // runs. In all other cases, the program is allowed to reject at most one run.
    assert!(count < 2 || relation == Relation::Crossed || relation == Relation::HardLinks, "{what}\nboth refused");
    let found = found(&folder, &said);
    for letter in allowed {
        for number in 0..ROWS {
            let id = format!("{letter}{number}");
            let lines = found.get(&id).map_or(&[][..], Vec::as_slice);
            assert_eq!(lines.len(), 1, "{what}\nrow {id} is in {lines:?}");
        }
    }
    count
}

/// Makes the files that exist before the two runs start. Returns the first letters of some ids: the rows with these ids
/// must have a line when both runs have ended.
fn prepare(relation: Relation, folder: &Folder, api: &Api, what: &str) -> BTreeSet<char> {
    let begin = |args: &[&str]| {
        let said = folder.run_at(api, &with_common(args));
        assert!(matches!(said.code, Some(0 | 3)), "{what}: {}", said.err);
    };
    match relation {
        Relation::HardLinks => {
            begin(&["run", "a.jsonl", "-o", "out.jsonl"]);
            fs::hard_link(folder.path("out.jsonl"), folder.path("other.jsonl")).expect("the link can be created");
            BTreeSet::from(['a'])
        }
        Relation::RunAndResume | Relation::TwoResumes | Relation::FreshBeside => {
            begin(&["run", "a.jsonl", "-o", "out.jsonl"]);
            BTreeSet::from(['a'])
        }
        Relation::LinkedFolders => {
            fs::create_dir(folder.path("real")).expect("the folder can be created");
            std::os::unix::fs::symlink("real", folder.path("link")).expect("the link can be created");
            BTreeSet::new()
        }
        _ => BTreeSet::new(),
    }
}

/// Returns which rows each of the two runs answers.
fn rows_of(relation: Relation) -> [Vec<char>; 2] {
    match relation {
        Relation::SameRows | Relation::TwoResumes => [vec!['a'], vec!['a']],
        Relation::RunAndResume => [vec!['b'], vec!['a']],
        _ => [vec!['a'], vec!['b']],
    }
}

fn commands(relation: Relation, folder: &Folder, api: &Api) -> [(Command, Option<String>); 2] {
    let file = |args: &[&str]| (folder.command_at(api, &with_common(args)), None);
    let pipe = |letter: char| {
        let command = folder.command_at(api, &with_common(&["run", "-", "--errors", "both.errors.jsonl"]));
        (command, Some(rows(letter)))
    };
    let absolute = folder.path("out.jsonl").display().to_string();
    let a = file(&["run", "a.jsonl", "-o", "out.jsonl"]);
    match relation {
        Relation::SameOutput => [a, file(&["run", "b.jsonl", "-o", "out.jsonl"])],
        Relation::SameRows => [a, file(&["run", "a.jsonl", "-o", "out.jsonl"])],
        Relation::SameErrors => {
            let to = |input, output| file(&["run", input, "-o", output, "--errors", "both.errors.jsonl"]);
            [to("a.jsonl", "one.jsonl"), to("b.jsonl", "two.jsonl")]
        }
        Relation::SameErrorsOfPipes => [pipe('a'), pipe('b')],
        Relation::PipeAndFile => {
            [pipe('a'), file(&["run", "b.jsonl", "-o", "out.jsonl", "--errors", "both.errors.jsonl"])]
        }
        Relation::HardLinks => {
            [file(&["run", "a.jsonl", "-o", "out.jsonl"]), file(&["run", "b.jsonl", "-o", "other.jsonl"])]
        }
        Relation::DefaultLog => [a, file(&["run", "b.jsonl", "-o", "out.results.jsonl"])],
        Relation::Crossed => [
            file(&["run", "a.jsonl", "-o", "x.jsonl", "--errors", "y.jsonl"]),
            file(&["run", "b.jsonl", "-o", "y.jsonl", "--errors", "x.jsonl"]),
        ],
        Relation::RunAndResume => [file(&["run", "b.jsonl", "-o", "out.jsonl"]), file(&["resume", "out.errors.jsonl"])],
        Relation::TwoResumes => [file(&["resume", "out.errors.jsonl"]), file(&["resume", "out.errors.jsonl"])],
        Relation::FreshBeside => [a, file(&["run", "b.jsonl", "-o", "out.jsonl", "--fresh"])],
        Relation::FreshOfDefaultLog => [a, file(&["run", "b.jsonl", "-o", "out.results.jsonl", "--fresh"])],
        Relation::LinkedFolders => {
            [file(&["run", "a.jsonl", "-o", "real/out.jsonl"]), file(&["run", "b.jsonl", "-o", "link/out.jsonl"])]
        }
        Relation::AbsoluteAndRelative => [a, file(&["run", "b.jsonl", "-o", &absolute])],
        Relation::FolderRemoved => [a, file(&["run", "b.jsonl", "-o", "out.jsonl"])],
    }
}

fn with_common<'a>(args: &[&'a str]) -> Vec<&'a str> {
    let halts_never: &[&str] = if args[0] == "run" || args[0] == "resume" { &["--halt", "never"] } else { &[] };
    args.iter().chain(halts_never).chain(&["-c", "4"]).copied().collect()
}

/// Returns an API that needs some milliseconds for an answer. The API rejects some of the rows, so that both the
/// results and the error log get lines.
fn api(random: &mut fastrand::Rng) -> Api {
    let faults = format!(r#"{{"seed": {}, "rules": [{{"status": 400, "share": 0.3}}]}}"#, random.u32(..));
    let latency = Latency { first_token: Duration::from_millis(random.u64(1..25)), jitter: 0.4, ..Latency::ZERO };
    Api::new(quick().with_latency(latency).with_faults(FaultPlan::parse(&faults, "faults").expect("a fault plan")))
}

fn rows(letter: char) -> String {
    let row =
        |at| format!("{{\"custom_id\":\"{letter}{at}\",\"prompt\":\"Say {letter} and {at}.\",\"max_tokens\":32}}\n");
    (0..ROWS).map(row).collect()
}

fn start((command, input): (Command, Option<String>)) -> std::thread::JoinHandle<Said> {
    match input {
        Some(rows) => std::thread::spawn(move || feed(command, &rows)),
        None => {
            let mut command = command;
            let child = command.spawn().expect("the program starts");
            std::thread::spawn(move || finish(child))
        }
    }
}

/// Returns, for each row, the files in which the row has a line. Searches all files in the folder, and the output of
/// pipes.
fn found(folder: &Folder, said: &[Said]) -> BTreeMap<String, Vec<String>> {
    let mut texts: BTreeMap<(u64, u64), (String, String)> = BTreeMap::new();
    for (path, bytes) in folder.contents() {
        let is_input = path.parent() == Some(Path::new(&folder.path("")).components().as_path()) && is_input(&path);
        let is_of_run = path.components().any(|part| part.as_os_str().to_string_lossy().ends_with(".run"));
        if !is_input && !is_of_run {
            // A file is counted only once, even if it has two names or is reached through a linked folder.
            let metadata = fs::metadata(&path).expect("the file exists");
            let text = String::from_utf8(bytes).expect("lines are text");
            texts.insert((metadata.dev(), metadata.ino()), (path.display().to_string(), text));
        }
    }
    let piped = said.iter().enumerate().map(|(at, said)| (format!("pipe {at}"), said.out.clone()));
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, text) in texts.into_values().chain(piped) {
        assert!(text.is_empty() || text.ends_with('\n'), "{name} has a half-written line");
        ids(&text).into_iter().for_each(|id| found.entry(id).or_default().push(name.clone()));
    }
    found
}

fn is_input(path: &Path) -> bool {
    path.ends_with("a.jsonl") || path.ends_with("b.jsonl")
}

fn wait_until(is_so: impl Fn() -> bool) {
    while !is_so() {
        std::thread::yield_now();
    }
}

// ---- replacements ---------------------------------------------------------------------------------------------------

/// Makes several threads open the same log again and again. Each time, a thread adds entries to the log. The entries
/// are compacted at the end of a run, or at the next start if the run dies. Returns the line for the page.
///
/// A thread must not be able to open the log during its replacement. Otherwise, the thread would add its entry to the
/// old file, and this entry would be lost.
fn replacements(size: Size) -> Seen {
    const THREADS: u64 = 3;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = folder.path().join("both.errors.jsonl");
    let (allowed, refused, deaths) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let wanted = size.pick(100, 2_000);
    let open = |run: &str, start| Journal::open(JournalOptions { start, ..options(&log, run) }, Box::new(|_| {}));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (allowed, refused, deaths, open) = (&allowed, &refused, &deaths, &open);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread);
                for number in 1.. {
                    if allowed.load(Ordering::Relaxed) >= wanted {
                        break;
                    }
                    let row = broken(thread * 1_000_000 + number);
                    let start = if random.bool() { Start::Resume } else { Start::Continue };
                    match open(&format!("t{thread}-{number}"), start) {
                        Ok((mut journal, _)) => {
                            // The second entry replaces the first entry, because both belong to the same row.
                            journal.append_broken(&row, Instant::ZERO, 1).expect("the disk works");
                            std::thread::yield_now();
                            journal.append_broken(&row, Instant::ZERO, 2).expect("the disk works");
                            match random.bool() {
                                true => drop(journal.close(InputRead::Part, false).expect("the disk works")),
                                false => drop(deaths.fetch_add(1, Ordering::Relaxed)),
                            }
                            allowed.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(JournalError::LogLocked { .. } | JournalError::Appeared { .. }) => {
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    let (last, _) = opened_soon(|| open("last", Start::Resume));
    last.close(InputRead::Part, false).expect("the disk works");
    let (allowed, refused, deaths) = (allowed.into_inner(), refused.into_inner(), deaths.into_inner());
    let kept = fs::read_to_string(&log).expect("the file exists").lines().count() as u64;
    assert_eq!(kept, allowed, "an entry was lost, or is in the log twice");
    Seen::new(
        "three threads open one log at the same time; it is replaced at the end, or at the next start if a run died",
        "0 entries lost",
        format!("{allowed} openings allowed, {deaths} of them died, {refused} refused: {kept} entries kept, 0 lost"),
    )
}

/// Opens the log as soon as nobody has locked it. Locks of this process can last a little longer, if another test
/// starts a program at the same time. For some milliseconds before that program runs, its new process has copies of all
/// open files and of their locks.
fn opened_soon<T>(open: impl Fn() -> Result<T, JournalError>) -> T {
    for _ in 0..500 {
        match open() {
            Err(JournalError::LogLocked { .. }) => std::thread::sleep(Duration::from_millis(10)),
            other => return other.unwrap_or_else(|error| panic!("nobody has locked the log: {error}")),
        }
    }
    panic!("the log stays locked, although no run uses it")
}

fn options(log: &Path, run: &str) -> JournalOptions {
    JournalOptions {
        disk: Arc::new(RealDisk::default()),
        paths: RunPaths::given(None, log.to_owned()),
        inputs: Vec::new(),
        run: run.into(),
        clock: RunClock::start(),
        price_date: None,
        manifest: Manifest::default(),
        start: Start::Continue,
        rerun: Vec::new(),
        fsync: Fsync::Off,
        threading: Threading::Inline,
        stdout: Some(Box::new(std::io::sink())),
    }
}

fn broken(line: u64) -> BrokenRow {
    BrokenRow {
        origin: Origin { source: "in.jsonl".into(), line },
        index: line,
        custom_id: None,
        column: Some(1),
        byte_offset: 0,
        raw: format!("{{broken {line}").into_bytes(),
        message: "no JSON".to_owned(),
        input: None,
    }
}

// ---- the table ------------------------------------------------------------------------------------------------------

/// Tests the relations whose result does not depend on timing. Returns the line for the page.
fn table() -> Seen {
    let mut tried = 0;
    let mut refused = |said: &Said, parts: &[&str]| {
        said.ends_with(2).tells(parts);
        tried += 1;
    };
    let (slow, api) = (Api::slow(Duration::from_secs(600)), Api::quick());
    let folder = Folder::new();
    folder.write("a.jsonl", &rows('a'));
    folder.write("b.jsonl", &rows('b'));

    // An empty log that a run has locked.
    let mut held =
        folder.command_at(&slow, &["run", "a.jsonl", "-o", "out.jsonl"]).spawn().expect("the program starts");
    slow.wait_for_requests(1);
    let names = ["out.jsonl", "./out.jsonl", "out.results.jsonl", "x.jsonl"];
    for output in names {
        for fresh in [&[][..], &["--fresh"]] {
            let args = [&["run", "b.jsonl", "-o", output, "--errors", "out.errors.jsonl"], fresh].concat();
            refused(&folder.run_at(&api, &args), &["another run", "out"]);
        }
    }
    refused(&feed(folder.command_at(&api, &["run", "--errors", "out.errors.jsonl"]), &rows('b')), &["--errors"]);
    refused(
        &folder.run_at(&api, &["run", "b.jsonl", "-o", "y.jsonl", "--errors", "out.jsonl"]),
        &["out.jsonl", "--errors"],
    );
    held.kill().expect("the program can be killed");
    held.wait().expect("the program ends");
    assert!(folder.names().iter().all(|name| !name.contains(".old-")), "nothing that was held was renamed");

    // An error log that belongs to other results and has entries of every kind.
    for (kind, input, faults) in [
        ("failed", rows('a'), r#"{"rules": [{"status": 400}]}"#),
        ("broken", format!("{{broken\n{}", rows('a')), "{}"),
        ("rejected", format!("{{\"custom_id\":\"x\",\"prompt\":\"\",\"max_tokens\":-1}}\n{}", rows('a')), "{}"),
    ] {
        let folder = Folder::new();
        folder.write("a.jsonl", &input);
        folder.write("b.jsonl", &rows('b'));
        let failing = Api::with_faults(faults);
        folder.run_at(&failing, &["run", "a.jsonl", "-o", "out.jsonl", "--halt", "never"]).ends_with(3);
        let before = folder.contents();
        for fresh in [&[][..], &["--fresh"]] {
            let args = [&["run", "b.jsonl", "-o", "out.results.jsonl"], fresh].concat();
            refused(&folder.run_at(&api, &args), &["out.errors.jsonl", "out.jsonl", "--errors"]);
            let piped = folder.command_at(&api, &[&["run", "--errors", "out.errors.jsonl"], fresh].concat());
            refused(&feed(piped, &rows('b')), &["out.errors.jsonl", "out.jsonl", "--errors"]);
        }
        let after = folder.contents();
        assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)), "{kind}: something changed");
        folder.run_at(&api, &["run", "b.jsonl", "-o", "out.results.jsonl", "--errors", "own.jsonl"]).ends_with(0);
    }

    // If a run wrote its results to a pipe, its error log belongs to no results file.
    let folder = Folder::new();
    folder.write("b.jsonl", &rows('b'));
    let failing = Api::with_faults(r#"{"rules": [{"status": 400}]}"#);
    feed(folder.command_at(&failing, &["run", "--errors", "log.jsonl", "--halt", "never"]), &rows('a')).ends_with(3);
    refused(
        &folder.run_at(&api, &["run", "b.jsonl", "-o", "out.jsonl", "--errors", "log.jsonl"]),
        &["log.jsonl", "--errors"],
    );

    // The same file is given for two purposes, by different names or through links.
    std::os::unix::fs::symlink(".", folder.path("here")).expect("the link can be created");
    let one_file = ["out2.jsonl", "./out2.jsonl", "here/out2.jsonl", "here/here/out2.jsonl"];
    for errors in one_file {
        refused(&folder.run_at(&api, &["run", "b.jsonl", "-o", "out2.jsonl", "--errors", errors]), &["both"]);
    }
    assert!(!folder.path("out2.jsonl").exists(), "the program must refuse the names before it creates a file");
    for names in [["one.jsonl", "two.jsonl"], ["one.errors.jsonl", "three.jsonl"]] {
        folder.write(names[0], "");
        fs::hard_link(folder.path(names[0]), folder.path(names[1])).expect("the link can be created");
        refused(&folder.run_at(&api, &["run", "b.jsonl", "-o", "one.jsonl"]), &[names[0], "2 names", "copy it"]);
        fs::remove_file(folder.path(names[1])).expect("the test owns the file");
    }
    for input in ["b.jsonl", "./b.jsonl", "here/b.jsonl"] {
        refused(&folder.run_at(&api, &["run", input, "-o", "b.jsonl"]), &["is the input"]);
        refused(&folder.run_at(&api, &["run", input, "-o", "o.jsonl", "--errors", "here/b.jsonl"]), &["is the input"]);
    }
    tried += standard_output(&folder, &api);
    Seen::new(
        "outputs that are locked, belong to other results or have two names; one file used for two things; \
         standard output sent to such a file",
        "each is refused (exit 2) with a remedy, and nothing is changed",
        format!("{tried} tried: all refused, nothing changed"),
    )
}

/// Sends standard output to files that the run also uses in another way. Returns how many cases were tried.
fn standard_output(folder: &Folder, api: &Api) -> u64 {
    let mut tried = 0;
    for (args, to, stdin) in [
        (&["run", "b.jsonl", "-o", "-", "--errors", "l.jsonl"][..], "l.jsonl", None),
        (&["run", "b.jsonl", "-o", "-", "--errors", "here/l.jsonl"], "l.jsonl", None),
        (&["run", "b.jsonl", "-o", "-"], "b.jsonl", None),
        (&["run", "here/b.jsonl", "-o", "-"], "b.jsonl", None),
        (&["run", "-"], "b.jsonl", Some("b.jsonl")),
        (&["resume", "log.jsonl"], "log.jsonl", None),
    ] {
        let before = fs::read(folder.path(to)).unwrap_or_default();
        let append = |path: PathBuf| {
            fs::OpenOptions::new().append(true).create(true).open(path).expect("the test owns the file")
        };
        let mut command = folder.command_at(api, args);
        command.stdout(append(folder.path(to)));
        if let Some(input) = stdin {
            command.stdin(Stdio::from(fs::File::open(folder.path(input)).expect("the file exists")));
        }

        let said = finish(command.spawn().expect("the program starts"));

        said.ends_with(2).tells(&["standard output", "another file"]);
        assert_eq!(fs::read(folder.path(to)).expect("the file exists"), before, "{args:?}");
        tried += 1;
    }
    std::io::stdout().flush().expect("standard output can be written");
    tried
}
