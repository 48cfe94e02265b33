//! Tests that the key never appears in any output. Servers send the key back in every place of a response and in every
//! spelling, and the program runs in every output mode. After each run, the test searches everything that the run
//! printed and wrote. The search shares no code with the code that removes the key.

#[path = "key/echo.rs"]
mod echo;
#[path = "key/finder.rs"]
mod finder;
#[path = "key/spelling.rs"]
mod spelling;

use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::hostile::{Hostile, Then};
use super::super::page::{Seen, Size};
use super::super::support::{Folder, Said, feed, finish, rows};
use echo::Response;
use finder::Finder;
use spelling::Key;

pub fn page(size: Size) -> Vec<Seen> {
    let keys = spelling::keys();
    let mut seen =
        vec![sent_back(&keys, size), in_errors_that_stop_the_run(&keys, size), pieces_of_the_key(&keys, size)];
    seen.extend([without_servers(&keys), from_commands_and_files(&keys)]);
    seen.push(signals(&keys));
    seen.push(memory());
    seen
}

const GOAL: &str = "0 hits";

/// Flags that choose what `run` shows.
const MODES: [&[&str]; 8] = [
    &["--progress", "plain"],
    &["--progress", "json"],
    &["--progress", "tty"],
    &["--progress", "none"],
    &["-v"],
    &["-v", "-v"],
    &["-v", "-v", "-v", "--progress", "json"],
    &["-q"],
];

/// With these flags, the program sends each row only once, and the run does not stop when many rows fail.
const ROBUST: [&str; 6] = ["--max-retries", "0", "--halt", "never", "-c", "4"];
/// With these flags, a run never waits before a retry.
const AT_ONCE: [&str; 2] = ["--retry-for", "1ms"];

/// Runs the program against a server. Each response of the server finishes its row, so no row is retried. Returns the
/// number of responses.
fn each_ends_its_row(key: &Key, responses: Vec<Response>, mode: &[&str], is_pipe: bool, seed: u64) -> usize {
    // Each fault is followed by an answer. Many faults without an answer between them would be an outage, and the
    // program would stop sending rows.
    let count = responses.len();
    let responses = responses.into_iter().flat_map(|response| [echo::harmless(), response]).collect();
    let code = run_over(key, responses, mode, is_pipe, seed);
    assert!(matches!(code, Some(0 | 3)), "seed {seed}: a row was not sent: {code:?}");
    count
}

/// Runs the program against a server that answers each request with the next of the given responses. Returns the exit
/// code.
fn run_over(key: &Key, responses: Vec<Response>, mode: &[&str], is_pipe: bool, seed: u64) -> Option<i32> {
    let folder = Folder::new();
    let count = responses.len();
    let tried: Vec<String> = responses.iter().map(|response| response.what.clone()).collect();
    let finder = Finder::new(&key.text);
    for response in responses.iter().filter(|response| response.is_echo) {
        assert!(finder.hit(&response.bytes).is_some(), "the finder misses {} of {}", response.what, key.text);
    }
    let server = serve(responses, seed);
    let about = |at: &str| format!("seed {seed}, key {}, {mode:?}, {at}: {tried:#?}", key.text);
    let said = if is_pipe {
        feed(command(&folder, &server, key, &[&["run", "--max-tokens", "9"], mode, &ROBUST].concat()), &rows(count))
    } else {
        folder.write("prompts.jsonl", &rows(count));
        Said::of(
            command(&folder, &server, key, &[&["run", "prompts.jsonl"], mode, &ROBUST].concat())
                .output()
                .expect("the program starts"),
        )
    };
    nothing_found(&finder, &folder, &said, &about("run"));
    let code = said.code;
    let log = folder.names().into_iter().find(|name| name.ends_with(".errors.jsonl"));
    if let Some(log) = log {
        let said = Said::of(
            command(&folder, &server, key, &[&["resume", &log], mode, &ROBUST].concat())
                .output()
                .expect("the program starts"),
        );
        nothing_found(&finder, &folder, &said, &about("resume"));
    }
    code
}

fn serve(responses: Vec<Response>, seed: u64) -> Hostile {
    let responses = Arc::new(responses);
    Hostile::new(move |asked, connection| {
        let response = &responses[asked.number as usize % responses.len()];
        let mut random = fastrand::Rng::with_seed(seed ^ asked.number);
        let mut rest = &response.bytes[..];
        connection.set_nodelay(true)?;
        for _ in 0..random.u8(0..4) {
            let (piece, later) = rest.split_at(random.usize(0..=rest.len()));
            connection.write_all(piece)?;
            connection.flush()?;
            std::thread::yield_now();
            rest = later;
        }
        connection.write_all(rest)?;
        Ok(if response.is_last { Then::Close } else { Then::Keep })
    })
}

fn command(folder: &Folder, server: &Hostile, key: &Key, args: &[&str]) -> Command {
    let mut command = folder.command(args);
    command.env(key.variable, &key.text).env("ANTHROPIC_BASE_URL", &server.url);
    command
}

/// Asserts that no key is in the output of a run or in the files that the run left.
#[track_caller]
fn nothing_found(finder: &Finder, folder: &Folder, said: &Said, about: &str) {
    for (place, text) in [("standard output", &said.out), ("standard error", &said.err)] {
        if let Some(hit) = finder.hit(text.as_bytes()) {
            panic!("{place}: {hit}\n{about}");
        }
    }
    for (path, bytes) in folder.contents() {
        if let Some(hit) = finder.hit(&bytes) {
            panic!("{}: {hit}\n{about}", path.display());
        }
    }
}

fn sent_back(keys: &[Key], size: Size) -> Seen {
    let round = |round: usize| {
        // A run spends most of its time waiting, so the runs of all modes are started in parallel.
        let of_mode = |at: usize, mode: &[&str]| {
            let key = &keys[(at + round) % keys.len()];
            let seed = (1000 * round + at) as u64;
            let mut random = fastrand::Rng::with_seed(seed);
            let places = (0..size.pick(1, 2)).flat_map(|_| echo::PLACES);
            let responses = places.map(|place| place.response(&key.spelled(&mut random), &mut random)).collect();
            each_ends_its_row(key, responses, mode, at % 3 == 1, seed)
        };
        side_by_side(MODES.iter().enumerate().map(|(at, mode)| move || of_mode(at, mode)))
    };
    let rounds: Vec<usize> = (0..size.pick(1, 10)).flat_map(round).collect();
    let (tried, runs) = (rounds.iter().sum::<usize>(), 2 * rounds.len());
    Seen::new(
        "the key, or 12 characters or more of it, sent back in each place of a response, spelled in each way, cut anywhere",
        GOAL,
        format!(
            "**0** in {tried} responses over {runs} runs and resumes, {} places, {} spellings, {} modes",
            echo::PLACES.len(),
            spelling::WAYS,
            MODES.len()
        ),
    )
}

fn in_errors_that_stop_the_run(keys: &[Key], size: Size) -> Seen {
    let (mut runs, places) = (0, echo::STOPS);
    for round in 0..size.pick(1, 12) {
        for (at, place) in places.iter().enumerate() {
            let key = &keys[(at + round) % keys.len()];
            let seed = (7000 + 100 * round + at) as u64;
            let mut random = fastrand::Rng::with_seed(seed);
            let response = place.response(&key.spelled(&mut random), &mut random);
            let mode = [MODES[random.usize(0..MODES.len())], &AT_ONCE].concat();
            run_over(key, vec![response], &mode, random.bool(), seed);
            runs += 1;
        }
    }
    Seen::new(
        "the key sent back in errors that stop the run or its model (redirects, 401, 402, 403, 404, spend limits)",
        GOAL,
        format!("**0** in {runs} runs, {} places", places.len()),
    )
}

/// Parts of the key that are twelve characters long. The server sends these parts in the fields where the program keeps
/// the most text.
fn pieces_of_the_key(keys: &[Key], size: Size) -> Seen {
    let mut tried = 0;
    for key in keys {
        let parts = key.text.len() - 11;
        let starts = (0..parts).step_by(size.pick(9, 1));
        let responses = starts.map(|start| echo::plain(&key.text[start..start + 12])).collect();
        tried += each_ends_its_row(key, responses, &["-v"], false, 77);
    }
    Seen::new(
        "each part of twelve characters, in an error's message, type and request id",
        GOAL,
        format!("**0** in {tried} responses"),
    )
}

fn without_servers(keys: &[Key]) -> Seen {
    let of_key = |key: &Key| {
        let mut runs = 0;
        let finder = Finder::new(&key.text);
        let header = format!("x-team: {}", key.text);
        for args in [
            &["run", "prompts.jsonl", "--dry-run", "-v"][..],
            &["check", "prompts.jsonl"],
            &["limits"],
            &["limits", "--live"],
            &["limits", "--live", "--simulate", "--header", &header],
            &["models"],
            &["run", "prompts.jsonl", "--simulate", "-v", "-v"],
            &["run", "prompts.jsonl", "--simulate", "--header", &header],
            &["run", "none.jsonl", "--header", &header],
            &["run", "prompts.jsonl", "--header", &header, "--max-tokens", "none"],
            &["run", "prompts.jsonl", "--header", &key.text],
            &["run", "prompts.jsonl", &format!("--header=x-api-key: {}", key.text)],
            &["run", "prompts.jsonl", &format!("--api-key={}", key.text)],
            &["check", "prompts.jsonl", &format!("--header={header}")],
        ] {
            let folder = Folder::with_rows(2);
            let mut command = folder.command(args);
            command.env(key.variable, &key.text).env("CLAUDE_BATCH_HEADER", format!("{header}\nx-other: {}", key.text));

            let said = Said::of(command.output().expect("the program starts"));

            nothing_found(&finder, &folder, &said, &format!("{args:?}"));
            runs += 1;
        }
        runs
    };
    let runs: usize = side_by_side(keys.iter().map(|key| move || of_key(key))).iter().sum();
    Seen::new(
        "dry runs, checks, rehearsals, mistakes in arguments and settings, and the key as the value of a header",
        GOAL,
        format!("**0** in {runs} runs"),
    )
}

#[cfg(unix)]
fn from_commands_and_files(keys: &[Key]) -> Seen {
    let mut runs = 0;
    for key in keys.iter().filter(|key| !key.text.contains('\'')) {
        let finder = Finder::new(&key.text);
        let random = &mut fastrand::Rng::with_seed(5);
        let server = serve(vec![echo::plain(&key.text), echo::PLACES[0].response(&key.spelled(random), random)], 5);
        let print = format!("printf '%s\\n' '{}'", key.text);
        let scripts = [
            format!("env > env; tr '\\0' '\\n' < /proc/$PPID/cmdline > args; {print}; {print} >&2"),
            format!("{print} >&2; {print}; exit 3"),
            format!("{print}; {print}"),
            format!("{print}; kill -9 $$"),
            format!("while :; do {print}; done"),
            format!("{print}; printf '\\377'"),
            format!("set -x; key='{}'; false", key.text),
        ];
        for script in scripts {
            let folder = Folder::with_rows(2);
            // The script with the key is in a second folder, which is not searched.
            let elsewhere = Folder::new();
            elsewhere.write("key.sh", &script);
            elsewhere.write("key", &format!("{}\n", key.text));
            let command_line = format!("sh {}", elsewhere.path("key.sh").display());
            let file = elsewhere.path("key").display().to_string();
            for source in [["--api-key-cmd", &command_line], ["--api-key-file", &file]] {
                let mut command =
                    command(&folder, &server, key, &[&["run", "prompts.jsonl", "-v"], &source[..], &ROBUST].concat());
                command.env("CLAUDE_BATCH_HEADER", format!("x-team: {}", key.text));
                let said = Said::of(command.output().expect("the program starts"));
                nothing_found(&finder, &folder, &said, &script);
                runs += 1;
            }
        }
    }
    Seen::new(
        "keys that come from a command or a file: the command's arguments, variables, standard error and failures; a \
         variable that also holds the key",
        GOAL,
        format!("**0** in {runs} runs"),
    )
}

#[cfg(not(unix))]
fn from_commands_and_files(_keys: &[Key]) -> Seen {
    Seen::new("keys of commands and files", GOAL, "not run: needs Unix".to_owned())
}

/// Tests the messages that the program prints when it gets a signal during a request that hangs.
#[cfg(unix)]
fn signals(keys: &[Key]) -> Seen {
    let mut sent = 0;
    for key in keys {
        let finder = Finder::new(&key.text);
        let folder = Folder::with_rows(2);
        let hanging = Hostile::new(|_, _| {
            loop {
                std::thread::park();
            }
        });
        folder.write("own.toml", "max-requests = 100\n");
        let mut command = command(
            &folder,
            &hanging,
            key,
            &["run", "prompts.jsonl", "-v", "--config", "own.toml", "--header", "x-a: b", "--grace", "0s"],
        );
        command.env("CLAUDE_BATCH_HEADER", format!("x-team: {}", key.text));
        let child = command.spawn().expect("the program starts");
        until(|| hanging.requests() > 0);
        let signal = |name: &str| {
            let id = child.id().to_string();
            assert!(Command::new("kill").args([name, &id]).status().expect("kill is there").success());
        };
        for (name, settings) in [
            ("-USR1", ""),
            ("-USR2", "max-requests = 50\n"),
            ("-USR2", "header = [\"x\"]\n"),
            ("-USR2", "headers = 1\n"),
        ] {
            if !settings.is_empty() {
                folder.write("own.toml", &format!("{settings}# {}\n", &key.text[..5]));
            }
            signal(name);
            sent += 1;
        }
        signal("-INT");
        let said = finish(child);
        nothing_found(&finder, &folder, &said, "signals");
        sent += 1;
    }
    Seen::new(
        "signals that show the status, reload the settings or interrupt the run",
        GOAL,
        format!("**0** at {sent} signals"),
    )
}

#[cfg(not(unix))]
fn signals(_keys: &[Key]) -> Seen {
    Seen::new("signals", GOAL, "not run: needs Unix".to_owned())
}

/// Tests that a run that dies leaves no core file. Also tests that only root can read the memory and the environment
/// variables of a running program.
#[cfg(target_os = "linux")]
fn memory() -> Seen {
    use std::os::unix::process::CommandExt;
    const WHAT: &str =
        "core files of runs that die; variables and memory of a run that other programs of the user try to read";
    let is_root = rustix::process::geteuid().is_root();
    let mut cores = 0;
    for signal in ["-SEGV", "-ABRT", "-QUIT", "-TRAP"] {
        let folder = Folder::with_rows(1);
        let hanging = Hostile::new(|_, _| {
            loop {
                std::thread::park();
            }
        });
        let run = folder.command(&["run", "prompts.jsonl"]);
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -c unlimited; exec \"$0\" \"$@\""]).arg(run.get_program()).args(run.get_args());
        command.current_dir(folder.path(".")).env("ANTHROPIC_API_KEY", "sk-ant-canary-7f3d9b1c5e");
        command.env("ANTHROPIC_BASE_URL", &hanging.url).stderr(std::process::Stdio::null());
        if is_root {
            open_to_all(&folder);
            command.uid(65_534).gid(65_534);
        }
        let mut child = command.spawn().expect("the program starts");
        until(|| hanging.requests() > 0);
        let id = child.id().to_string();
        let limits = std::fs::read_to_string(format!("/proc/{id}/limits")).expect("anybody may read that");
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("the file has this line");
        assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
        for file in ["environ", "mem", "maps"] {
            let mut cat = Command::new("cat");
            cat.arg(format!("/proc/{id}/{file}"))
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null());
            if is_root {
                cat.uid(65_534).gid(65_534);
            }
            assert!(!cat.status().expect("cat is there").success(), "{file} can be read");
        }
        // Some signals must be sent twice. The standard library of Rust catches the first signal, to check for a stack
        // overflow. Only the second signal ends the process.
        until(|| {
            let _ = Command::new("kill").args([signal, &id]).stderr(std::process::Stdio::null()).status();
            child.try_wait().expect("the process is a child of the test").is_some()
        });
        cores += folder.names().iter().filter(|name| name.starts_with("core")).count();
    }
    assert_eq!(cores, 0);
    let user = if is_root { "as another user than root" } else { "as this user" };
    Seen::new(
        WHAT,
        "there are no core files; the others are refused",
        format!("**0** cores of 4 deaths; environ, mem and maps refused, {user}"),
    )
}

#[cfg(target_os = "linux")]
fn open_to_all(folder: &Folder) {
    use std::os::unix::fs::{PermissionsExt, chown};
    std::fs::set_permissions(folder.path("."), std::fs::Permissions::from_mode(0o755)).expect("the folder is ours");
    for name in [".", "prompts.jsonl"] {
        chown(folder.path(name), Some(65_534), Some(65_534)).expect("root may do that");
    }
}

#[cfg(not(target_os = "linux"))]
fn memory() -> Seen {
    Seen::new(
        "core files and memory",
        "there are no core files; the others are refused",
        "not run: needs Linux".to_owned(),
    )
}

/// Runs all the functions in parallel and returns their results.
fn side_by_side<T: Send>(work: impl Iterator<Item = impl FnOnce() -> T + Send>) -> Vec<T> {
    std::thread::scope(|scope| {
        let running: Vec<_> = work.map(|work| scope.spawn(work)).collect();
        running
            .into_iter()
            .map(|running| running.join().expect("a thread that failed has printed its message"))
            .collect()
    })
}

fn until(mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the state that the test waits for never comes");
        std::thread::sleep(Duration::from_millis(1));
    }
}
