//! Tests what happens when other users put files, folders or links at the paths of outputs. The tests try every kind of
//! file, folder and link, with every owner, at every path, in every kind of folder. Some files and links appear after
//! the program has checked a path and before it opens the file.
//!
//! The judge shares no code with the program. The judge knows which user made which file. The judge checks that nothing
//! outside the folder was changed. The judge checks that the program used nothing from other users. The judge also
//! checks that other users can't open the files that the program left.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use claude_batch::journal::{Disk, OpenMode, RealDisk};
use tempfile::TempDir;

use super::super::page::{Seen, Size};
use super::super::support::{Api, CANARY, Folder, Said, assert_each_once, ids};

/// Ids of users that do not exist on this machine.
const SECOND: u32 = 54_321;
const THIRD: u32 = 54_322;
const ROOT: u32 = 0;
/// The time after which a run counts as hanging. Usually, a run takes less than a second. On a busy machine, a run can
/// take longer.
const HANGS: Duration = Duration::from_secs(60);
const KEPT: &str = "not to be touched\n";

/// Runs this loop. Returns the results as lines for `benches/SECURITY.md`.
pub fn page(size: Size) -> Vec<Seen> {
    let mut lines = vec![table(size), race_of_openings(size), race_of_runs(size)];
    lines.extend(single_promises());
    lines
}

// ---- the table ----------------------------------------------------------------------------------------------------

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A regular file; or a folder, if a folder is expected. The file or folder has this owner and this mode.
    Plain {
        owner: u32,
        mode: u32,
    },
    /// A hard link to a file in another folder. The file belongs to the runner (the user who runs the program).
    Linked,
    Symlink,
    /// A link to a file that does not exist. A program that follows the link creates a file in another folder.
    Dangling,
    Fifo,
    Socket,
    Device,
    /// A folder instead of an expected file, or a file instead of an expected folder.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Results,
    Errors,
    RunFolder,
    /// The file with this name in the run folder.
    Inside(&'static str),
    /// The error log that `resume` reads.
    Resumed,
    /// `simulate --journal`.
    SimJournal,
}

const PLACES: [Place; 12] = [
    Place::Results,
    Place::Errors,
    Place::RunFolder,
    Place::Inside("lock"),
    Place::Inside("holder"),
    Place::Inside("manifest.json"),
    Place::Inside("inflight"),
    Place::Inside("manifest.json.claude-batch.tmp"),
    Place::Inside("limits.json"),
    Place::Inside("limits.json.claude-batch.tmp"),
    Place::Resumed,
    Place::SimJournal,
];

#[derive(Clone, Copy, Debug)]
struct Case {
    place: Place,
    kind: Kind,
    runner: u32,
    folder_mode: u32,
    trusts: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Used,
    Refused,
    /// The operating system does not let the runner open the file.
    Failed,
}

impl Case {
    fn draw(random: &mut fastrand::Rng, us: u32) -> Self {
        let runner = if us == ROOT && random.bool() { SECOND } else { us };
        let owners: &[u32] = if us == ROOT { &[ROOT, SECOND, THIRD] } else { &[us] };
        let owners = [runner, owners[random.usize(..owners.len())]];
        let owner = owners[random.usize(..2)];
        let mode = [0o600, 0o640, 0o644, 0o604, 0o666, 0o660, 0o622, 0o700, 0o777][random.usize(..9)];
        let kinds = [
            Kind::Plain { owner, mode },
            Kind::Plain { owner, mode },
            Kind::Linked,
            Kind::Symlink,
            Kind::Dangling,
            Kind::Fifo,
            Kind::Socket,
            Kind::Other,
            if us == ROOT { Kind::Device } else { Kind::Fifo },
        ];
        Self {
            place: PLACES[random.usize(..PLACES.len())],
            kind: kinds[random.usize(..kinds.len())],
            runner,
            folder_mode: [0o700, 0o755, 0o775, 0o777, 0o1777, 0o1777, 0o1777, 0o1755, 0o2775][random.usize(..9)],
            trusts: random.u8(..4) == 0,
        }
    }

    fn expected(&self) -> Expected {
        let is_open = self.folder_mode & 0o1002 == 0o002 && !self.trusts;
        if let Place::Inside(name) = self.place {
            // The run folder belongs to the user who runs the program, so the program can remove anything that has the
            // name of a temporary file.
            return match self.kind {
                _ if is_open => Expected::Refused,
                // The program does not write into `limits.json`, but replaces it. If the replacement fails, the run
                // ends as usual.
                _ if name.starts_with("limits.json") => Expected::Used,
                Kind::Other if name.ends_with(".tmp") => Expected::Refused,
                _ if name.ends_with(".tmp") => Expected::Used,
                // The program reads a manifest and later replaces it.
                kind => self.expected_of(kind, if name == "manifest.json" { 0o400 } else { 0o600 }),
            };
        }
        if is_open {
            return Expected::Refused;
        }
        self.expected_of(self.kind, if self.place == Place::RunFolder { 0o700 } else { 0o600 })
    }

    fn expected_of(&self, kind: Kind, needs: u32) -> Expected {
        let Kind::Plain { owner, mode } = kind else { return Expected::Refused };
        let rights = if owner == self.runner { mode >> 6 } else { mode };
        match owner == self.runner || self.trusts {
            false => Expected::Refused,
            true if self.runner == ROOT || rights & (needs >> 6) == needs >> 6 => Expected::Used,
            true => Expected::Failed,
        }
    }

    fn name(&self) -> String {
        match self.place {
            Place::Results => "out.jsonl".to_owned(),
            Place::Errors | Place::Resumed => "out.errors.jsonl".to_owned(),
            Place::RunFolder => "out.jsonl.run".to_owned(),
            Place::Inside(name) => format!("out.jsonl.run/{name}"),
            Place::SimJournal => "journal.jsonl".to_owned(),
        }
    }
}

/// Puts random files, folders and links at the paths of the outputs. Returns the line for the page.
fn table(size: Size) -> Seen {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut used, mut refused, mut failed, mut by_second) = (0, 0, 0, 0);
    let program = Program::new();
    let (api, failing) = (Api::quick(), Api::with_faults(r#"{"rules": [{"status": 400}]}"#));
    let cases = size.pick(60, 1_000);
    for number in 0..cases {
        let case = Case::draw(&mut random, us());
        match tried(&case, &program, &api, &failing, &format!("seed {seed}, case {number}: {case:?}")) {
            Expected::Used => used += 1,
            Expected::Refused => refused += 1,
            Expected::Failed => failed += 1,
        }
        by_second += u32::from(case.runner == SECOND);
    }
    let second = if us() == ROOT { format!("{by_second} as a second user") } else { NOT_ROOT.to_owned() };
    Seen::new(
        "things at the paths of a run's outputs (files, links, FIFOs, sockets, devices, folders; 12 places, 3 \
         owners, 9 modes, 8 folders)",
        "nothing is used that belongs to another user or has a second name, nothing changes elsewhere, no run \
         hangs; used files are private in the end",
        format!(
            "{cases} random cases, {second}: {refused} refused with a remedy, {used} used and made private, {failed} that \
             the system forbids; 0 changed elsewhere, 0 hangs"
        ),
    )
}

const NOT_ROOT: &str = "as a second user not run: needs root";

/// Puts one file, folder or link at a path, runs the program and checks the result. Returns what the program did.
fn tried(case: &Case, program: &Program, api: &Api, failing: &Api, what: &str) -> Expected {
    let (folder, outside) = (Folder::with_rows(2), tempfile::tempdir().expect("a temporary folder"));
    let victim = outside.path().join("victim");
    fs::write(&victim, KEPT).expect("the file can be written");
    fs::set_permissions(&victim, Permissions::from_mode(0o600)).expect("the test owns the file");
    open_to(&folder, case.runner);
    give(outside.path(), case.runner);
    give(&victim, case.runner);
    if case.place == Place::Resumed {
        let args = ["run", "prompts.jsonl", "-o", "out.jsonl", "--halt", "never"];
        let said = program.run_as(case.runner, &folder, failing, &args);
        assert_eq!(said.code, Some(3), "{what}: {}", said.err);
    }
    let path = folder.path(&case.name());
    plant(case, &path, &victim);
    fs::set_permissions(folder.path(""), Permissions::from_mode(case.folder_mode)).expect("the test owns the file");
    let before = state(&path);

    let said = match case.place {
        Place::Resumed => program.run_as(
            case.runner,
            &folder,
            failing,
            &args_of(case, &["resume", "out.errors.jsonl", "--halt", "never"]),
        ),
        Place::SimJournal => program.simulate_as(
            case.runner,
            &folder,
            &args_of(case, &["simulate", "--port", "0", "--journal", "journal.jsonl"]),
        ),
        _ => program.run_as(case.runner, &folder, api, &args_of(case, &["run", "prompts.jsonl", "-o", "out.jsonl"])),
    };

    assert_eq!(fs::read_to_string(&victim).expect("the file exists"), KEPT, "{what}: changed elsewhere\n{}", said.err);
    assert_eq!(mode_of(&victim), 0o600, "{what}: the mode of another file changed");
    assert!(!outside.path().join("nothing").exists(), "{what}: a link was followed\n{}", said.err);
    assert!(!said.err.contains("panicked"), "{what}: {}", said.err);
    let expected = case.expected();
    match expected {
        Expected::Refused => {
            assert_eq!(said.code, Some(2), "{what}: {}", said.err);
            let remedies = ["remove it", "name a file", "name another", "--trust-owner"];
            assert!(said.err.contains("out") || said.err.contains("journal"), "{what}: names nothing: {}", said.err);
            assert!(remedies.iter().any(|remedy| said.err.contains(remedy)), "{what}: no remedy in {}", said.err);
            assert_eq!(state(&path), before, "{what}: a refused file was changed");
        }
        Expected::Failed => {
            assert!(matches!(said.code, Some(2 | 7)), "{what}: {:?} {}", said.code, said.err);
            assert_eq!(state(&path), before, "{what}: a refused file was changed");
        }
        Expected::Used => assert_used(case, &folder, &path, &said, what),
    }
    expected
}

fn assert_used(case: &Case, folder: &Folder, path: &Path, said: &Said, what: &str) {
    // The rows of the log fail again.
    assert_eq!(said.code, Some(if case.place == Place::Resumed { 3 } else { 0 }), "{what}: {}", said.err);
    match case.place {
        Place::SimJournal => {}
        Place::Resumed => assert_each_once(&folder.read("out.errors.jsonl"), 2),
        _ => assert_each_once(&folder.read("out.jsonl"), 2),
    }
    let Kind::Plain { owner, mode } = case.kind else { return };
    if owner != case.runner {
        return;
    }
    let mut files = vec![path.to_owned(), folder.path("out.jsonl"), folder.path("out.errors.jsonl")];
    files.extend(["lock", "holder", "manifest.json", "inflight"].map(|name| folder.path("out.jsonl.run").join(name)));
    let private = files.iter().filter(|file| file.is_file()).all(|file| mode_of(file) & 0o077 == 0);
    assert!(private, "{what}: others have rights");
    let run = folder.path("out.jsonl.run");
    assert!(!run.exists() || mode_of(&run) & 0o077 == 0, "{what}: others have rights to the run folder");
    let is_replaced = |name: &str| name.starts_with("manifest.json") || name.starts_with("limits.json");
    let is_opened_to_write = !matches!(case.place, Place::Inside(name) if is_replaced(name));
    if mode & 0o077 != 0 && is_opened_to_write {
        let name = path.file_name().expect("the path has a file name").to_string_lossy();
        let notes = said.err.lines().filter(|line| line.contains("made private")).collect::<Vec<_>>();
        assert!(notes.len() == 1 && notes[0].contains(&*name), "{what}: {}", said.err);
    }
}

fn args_of(case: &Case, args: &[&'static str]) -> Vec<&'static str> {
    args.iter().copied().chain(case.trusts.then_some("--trust-owner")).collect()
}

fn plant(case: &Case, path: &Path, victim: &Path) {
    if let Place::Inside(_) = case.place {
        let run = path.parent().expect("the path is inside the run folder");
        fs::create_dir(run).expect("the folder can be created");
        fs::set_permissions(run, Permissions::from_mode(0o700)).expect("the test owns the file");
        give(run, case.runner);
    }
    let (wants_folder, has_log) = (case.place == Place::RunFolder, case.place == Place::Resumed);
    let log = has_log.then(|| fs::read(path).expect("the run left a log"));
    if has_log {
        fs::remove_file(path).expect("the test owns the file");
    }
    match case.kind {
        Kind::Plain { owner, mode } => {
            if wants_folder {
                fs::create_dir(path).expect("the folder can be created");
            } else {
                let content = log.unwrap_or_else(|| match case.place {
                    Place::Inside("manifest.json") => br#"{"format":1}"#.to_vec(),
                    _ => Vec::new(),
                });
                fs::write(path, content).expect("the file can be written");
            }
            fs::set_permissions(path, Permissions::from_mode(mode)).expect("the test owns the file");
            give(path, owner);
        }
        // A folder can't have a hard link.
        Kind::Linked if wants_folder => {
            symlink(victim.parent().expect("a folder"), path).expect("the link can be created")
        }
        Kind::Linked => fs::hard_link(victim, path).expect("both are in one file system"),
        Kind::Symlink if wants_folder => {
            symlink(victim.parent().expect("a folder"), path).expect("the link can be created")
        }
        Kind::Symlink => symlink(victim, path).expect("the link can be created"),
        Kind::Dangling => symlink(victim.with_file_name("nothing"), path).expect("the link can be created"),
        Kind::Fifo => make("mkfifo", path, &["-m", "666"], &[]),
        Kind::Socket => drop(UnixListener::bind(path).expect("a socket")),
        Kind::Device => make("mknod", path, &["-m", "666"], &["c", "1", "3"]),
        Kind::Other if wants_folder => fs::write(path, "").expect("the file can be written"),
        Kind::Other => fs::create_dir(path).expect("the folder can be created"),
    }
}

fn make(tool: &str, path: &Path, before: &[&str], after: &[&str]) {
    let made = Command::new(tool).args(before).arg(path).args(after).status().expect("the tool is there");
    assert!(made.success(), "{tool} {}", path.display());
}

/// Returns the values that show whether a file or folder has changed.
fn state(path: &Path) -> Option<(u64, u32, u64, u32)> {
    let metadata = fs::symlink_metadata(path).ok()?;
    let size = if metadata.is_dir() { 0 } else { metadata.len() };
    Some((metadata.ino(), metadata.mode(), size, metadata.uid()))
}

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("the file exists").mode() & 0o7777
}

fn us() -> u32 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::metadata(folder.path()).expect("the file exists").uid()
}

/// If the tests run as root, makes a user the owner of a file or folder.
fn give(path: &Path, user: u32) {
    if us() == ROOT {
        chown(path, Some(user), None).expect("root can give things away");
    }
}

/// Gives a user access to a folder.
fn open_to(folder: &Folder, user: u32) {
    fs::set_permissions(folder.path(""), Permissions::from_mode(0o755)).expect("the test owns the file");
    fs::set_permissions(folder.path("prompts.jsonl"), Permissions::from_mode(0o644)).expect("the test owns the file");
    give(&folder.path(""), user);
}

/// A copy of the program in a folder from which every user can start it.
struct Program {
    path: PathBuf,
    _folder: Option<TempDir>,
}

impl Program {
    fn new() -> Self {
        let built = PathBuf::from(env!("CARGO_BIN_EXE_claude-batch"));
        if us() != ROOT {
            return Self { path: built, _folder: None };
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("the test owns the file");
        let path = folder.path().join("claude-batch");
        fs::copy(built, &path).expect("there is room for a copy");
        Self { path, _folder: Some(folder) }
    }

    fn command_as(&self, user: u32, folder: &Folder, args: &[&str]) -> Command {
        let model = folder.command(args);
        let mut command = Command::new(&self.path);
        command
            .args(args)
            .current_dir(folder.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        model.get_envs().for_each(|(name, value)| {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        });
        if user != us() {
            command.uid(user).gid(user);
        }
        command
    }

    fn at(&self, user: u32, folder: &Folder, api: &Api, args: &[&str]) -> Command {
        let mut command = self.command_as(user, folder, args);
        command.env("ANTHROPIC_API_KEY", CANARY).env("ANTHROPIC_BASE_URL", &api.url);
        command
    }

    fn run_as(&self, user: u32, folder: &Folder, api: &Api, args: &[&str]) -> Said {
        ended(self.at(user, folder, api, args))
    }

    /// Starts a simulator, and stops it as soon as it accepts requests.
    fn simulate_as(&self, user: u32, folder: &Folder, args: &[&str]) -> Said {
        let mut child = self.command_as(user, folder, args).spawn().expect("the program starts");
        let mut first = String::new();
        let out = child.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut first).expect("a line, or the end");
        if first.is_empty() {
            return Said::of(child.wait_with_output().expect("the program ends"));
        }
        child.kill().expect("the program can be killed");
        let said = Said::of(child.wait_with_output().expect("the program ends"));
        Said { code: Some(0), ..said }
    }
}

/// Runs a command. If the command hangs, this function kills it and fails the test.
fn ended(mut command: Command) -> Said {
    let child = command.spawn().expect("the program starts");
    let id = child.id();
    let (done_in, done) = mpsc::channel();
    std::thread::spawn(move || done_in.send(child.wait_with_output()));
    match done.recv_timeout(HANGS) {
        Ok(output) => Said::of(output.expect("the program ends")),
        Err(_) => {
            let _ = Command::new("kill").args(["-9", &id.to_string()]).status();
            panic!("{command:?} hangs");
        }
    }
}

// ---- between the check and the opening ------------------------------------------------------------------------------

/// Opens a path again and again. At the same time, a thread replaces the file at this path many times. The replacement
/// is a link, a FIFO or a file of another user. Returns the line for the page.
fn race_of_openings(size: Size) -> Seen {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o1777)).expect("the test owns the file");
    let (path, victim) = (folder.path().join("out.jsonl"), folder.path().join("victim"));
    fs::write(&victim, KEPT).expect("the file can be written");
    let theirs = folder.path().join("theirs");
    fs::write(&theirs, "").expect("the file can be written");
    give(&theirs, THIRD);
    make("mkfifo", &folder.path().join("fifo"), &[], &[]);
    symlink(&victim, folder.path().join("link")).expect("the link can be created");
    let is_over = AtomicBool::new(false);
    let (mut opened, mut refused) = (0_u64, 0_u64);
    let tries = size.pick(10_000, 200_000);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Only root can make a file that belongs to another user.
            let kinds: &[&str] = if us() == ROOT { &["link", "fifo", "theirs"] } else { &["link", "fifo"] };
            let mut random = fastrand::Rng::with_seed(7);
            let next = folder.path().join("next");
            while !is_over.load(Ordering::Relaxed) {
                // A rename replaces the file in one step. So the program can check the file of the test, and then open
                // what has replaced this file.
                fs::write(&next, "").expect("the file can be written");
                fs::rename(&next, &path).expect("the test owns the file");
                fs::hard_link(folder.path().join(kinds[random.usize(..kinds.len())]), &next)
                    .expect("the link can be created");
                fs::rename(&next, &path).expect("the test owns the file");
                if random.bool() {
                    fs::remove_file(&path).expect("nobody else removes it");
                }
            }
        });
        let disk = RealDisk::default();
        for number in 0..tries {
            let mode = [OpenMode::Edit, OpenMode::CreateNew, OpenMode::Existing][number % 3];
            match disk.open(&path, mode) {
                Ok(file) => {
                    // The test writes a mark to the opened file. The files of other users must not contain this mark.
                    file.write_at(b"mark", 0).expect("the file belongs to the test");
                    opened += 1;
                }
                Err(_) => refused += 1,
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(fs::read_to_string(&victim).expect("the file exists"), KEPT, "a link was followed");
    assert!(
        us() != ROOT || fs::metadata(&theirs).expect("the file exists").len() == 0,
        "a file of another user was used"
    );
    assert!(opened > 0 && refused > 0, "{opened} opened, {refused} refused: nothing raced");
    Seen::new(
        "links, FIFOs and files of another user put at a path while it is opened (one thread puts them there, \
         another one opens the path)",
        "none of them is used",
        format!("{tries} openings while the other thread plants: {opened} files of our own, {refused} refused, 0 used"),
    )
}

/// Starts runs in a folder with the sticky bit, in which another user plants files and links. Returns the line for the
/// page.
fn race_of_runs(size: Size) -> Seen {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let (runner, planter) = if us() == ROOT { (SECOND, THIRD) } else { (us(), us()) };
    let (program, api) = (Program::new(), Api::quick());
    let (mut in_time, mut refused) = (0, 0);
    let tries = size.pick(25, 400);
    for number in 0..tries {
        let (folder, outside) = (Folder::with_rows(2), tempfile::tempdir().expect("a temporary folder"));
        let victim = outside.path().join("victim");
        fs::write(&victim, KEPT).expect("the file can be written");
        give(&victim, runner);
        give(outside.path(), runner);
        open_to(&folder, us());
        fs::set_permissions(folder.path(""), Permissions::from_mode(0o1777)).expect("the test owns the file");
        let place =
            ["out.jsonl", "out.errors.jsonl", "out.jsonl", "out.errors.jsonl", "out.jsonl.run"][random.usize(..5)];
        let kind = random.usize(if us() == ROOT { 0..4 } else { 1..4 });
        // The trap (a file or link of another user) is planted at a random moment, or as soon as the run folder
        // appears. When the run folder appears, the program has already checked the names.
        let waits_for_folder = place != "out.jsonl.run" && random.u8(..4) > 0;
        let spins = random.u32(0..2_000_000);
        let what = format!("seed {seed}, try {number}: kind {kind} at {place}");
        let path = folder.path(place);
        let trap = folder.path("trap");
        match kind {
            0 => fs::write(&trap, "").expect("the file can be written"),
            1 => symlink(&victim, &trap).expect("the link can be created"),
            2 => make("mkfifo", &trap, &["-m", "666"], &[]),
            _ => symlink(outside.path().join("nothing"), &trap).expect("the link can be created"),
        }
        if kind == 0 {
            fs::set_permissions(&trap, Permissions::from_mode(0o666)).expect("the test owns the file");
            give(&trap, planter);
        }
        let mut command = program.at(runner, &folder, &api, &["run", "prompts.jsonl", "-o", "out.jsonl"]);
        let (is_over, run) = (AtomicBool::new(false), folder.path("out.jsonl.run"));
        let (is_planted, said) = std::thread::scope(|scope| {
            let planting = scope.spawn(|| {
                match waits_for_folder {
                    true => while !run.exists() && !is_over.load(Ordering::Relaxed) {},
                    false => (0..spins).for_each(|_| std::hint::spin_loop()),
                }
                // The trap does not replace an existing file. In a sticky folder, another user can't replace a file of
                // the runner.
                !path.exists() && link_in_place(&trap, &path)
            });
            command.stdin(Stdio::null());
            let said = ended(command);
            is_over.store(true, Ordering::Relaxed);
            (planting.join().expect("the thread does not panic"), said)
        });

        assert_eq!(fs::read_to_string(&victim).expect("the file exists"), KEPT, "{what}: a link was followed");
        assert!(!outside.path().join("nothing").exists(), "{what}: a link was followed");
        assert!(matches!(said.code, Some(0 | 2)), "{what}: {:?} {}", said.code, said.err);
        if is_planted {
            in_time += 1;
            let metadata = fs::symlink_metadata(&path).expect("nobody removed it");
            let is_trap = match kind {
                0 => metadata.uid() == planter && metadata.len() == 0,
                2 => metadata.file_type().is_fifo(),
                _ => metadata.is_symlink(),
            };
            assert!(is_trap, "{what}: the planted file was used: {}", said.err);
            // A trap that was planted after the end of the run does no harm.
            refused += u32::from(said.code == Some(2));
        } else {
            assert_eq!(said.code, Some(0), "{what}: {}", said.err);
        }
        if said.code == Some(0) && !(is_planted && place == "out.jsonl") {
            assert_eq!(ids(&folder.read("out.jsonl")).len(), 2, "{what}");
        }
    }
    assert!(refused > 0, "seed {seed}: no trap was planted in time");
    let who = if us() == ROOT {
        "a second user runs the program, a third user plants"
    } else {
        "one user: second not run, needs root"
    };
    Seen::new(
        "things put into a sticky folder after the program has checked a path and before it opens the path",
        "none of them is used, each is refused with exit code 2",
        format!("{tries} tries ({who}): {in_time} planted, {refused} of them in time and refused, 0 used"),
    )
}

/// Gives a file or link the name `path` in one step. Returns false if something is already at this path.
fn link_in_place(trap: &Path, path: &Path) -> bool {
    // A hard link to a symbolic link is the same symbolic link with another name.
    let is_linked = fs::hard_link(trap, path).is_ok();
    is_linked && fs::remove_file(trap).is_ok()
}

// ---- single promises ------------------------------------------------------------------------------------------------

/// Runs single tests, which need no random cases.
fn single_promises() -> Vec<Seen> {
    let (folder, api) = (Folder::with_rows(3), Api::quick());
    let mut command = Command::new("sh");
    command
        .args(["-c", "umask 000; exec \"$0\" run prompts.jsonl -o out.jsonl"])
        .arg(env!("CARGO_BIN_EXE_claude-batch"));
    command.env("ANTHROPIC_API_KEY", CANARY).env("ANTHROPIC_BASE_URL", &api.url).current_dir(folder.path(""));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    ended(command).ends_with(0);
    let made: Vec<PathBuf> = folder.contents().into_keys().filter(|path| !path.ends_with("prompts.jsonl")).collect();
    assert!(made.len() >= 5 && made.iter().all(|path| mode_of(path) == 0o600), "{made:?}");
    assert_eq!(mode_of(&folder.path("out.jsonl.run")), 0o700);

    folder.write("claude-batch.toml", "trust-owner = true\n");
    let said = folder.run(&["run", "prompts.jsonl", "--simulate"]);
    said.ends_with(2).tells(&["claude-batch.toml:1", "trust-owner"]);
    fs::remove_file(folder.path("claude-batch.toml")).expect("the test owns the file");
    folder.run_at(&api, &["run", "prompts.jsonl", "-o", "trusted.jsonl", "--trust-owner"]).ends_with(0);
    let recorded = folder.contents().into_iter().find(|(_, bytes)| has(bytes, b"trust-owner"));
    assert!(recorded.is_none(), "{recorded:?}");
    vec![Seen::new(
        "permissions of the files of a run under umask 000; `--trust-owner` in a file of the working folder, and \
         whether a run records it",
        "files 0600, folder 0700; refused; recorded nowhere",
        format!("{} files 0600, the folder 0700; refused by file and line; recorded nowhere", made.len()),
    )]
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
