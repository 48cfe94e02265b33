//! Benchmarks of whole runs. The benchmarks compare the speed of the program with the speed of a bare loop over the
//! same HTTP client. The benchmarks also measure how much memory the program needs.
//!
//! `cargo bench --bench throughput` runs all parts. All parts together take a quarter of an hour and need up to 12 GB
//! for temporary files. To run only some parts, name them: `cargo bench --bench throughput -- loop version`. The two
//! sides of a comparison run one after the other, several times, each in a separate process. The output shows medians.
//! The benchmark runs only on Linux, because CPU time and memory are read from `/proc`.

mod client;
mod files;
mod in_process;
mod measure;
mod owed;
mod recover;
mod server;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use claude_batch::catalog::Catalog;
use claude_batch::domain::JobId;
use claude_batch::runner::Progress;
use claude_batch::runner::input::{Earlier, survey};
use claude_batch::source::{self, Input, Item, Options};

use measure::{Seen, in_child, median, watched};
use server::Server;

/// The allocator of the program. The bare loop uses the same allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The number of times that each side of a comparison is run.
const TIMES: usize = 5;
/// The number of requests in flight.
const AT_ONCE: &str = "256";
const PROGRAM: &str = env!("CARGO_BIN_EXE_claude-batch");

type Part = fn(&Path) -> io::Result<()>;

const PARTS: [(&str, Part); 10] = [
    ("version", version),
    ("read", read),
    ("recover", recover_results),
    ("loop", zero_latency),
    ("cpu", at_latency),
    ("simulator", simulator),
    ("memory", memory),
    ("connections", connections),
    ("pipe", pipe),
    ("rows", rows_and_resume),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["serve", latency] => server::serve(Duration::from_millis(latency.parse().expect("milliseconds"))),
        ["child", ref part @ ..] => child(part),
        ref parts => all(parts),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("throughput: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all(wanted: &[&str]) -> io::Result<()> {
    let folder = tempfile::Builder::new().prefix("throughput.").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    for (name, part) in PARTS {
        if wanted.is_empty() || wanted.contains(&name) {
            part(folder.path())?;
        }
    }
    Ok(())
}

/// Runs one part of the benchmark in this process, and prints its result on one line.
fn child(part: &[&str]) -> io::Result<()> {
    raise_open_files();
    let number = |text: &str| text.parse::<usize>().expect("a number");
    let seen = match *part {
        ["bare", url, requests, at_once] => client::bare(url, number(requests), number(at_once))?,
        ["owed", url, input, folder, at_once] => owed::owed(url, Path::new(input), Path::new(folder), number(at_once))?,
        ["runner", url, input, folder, at_once] => {
            client::runner(url, Path::new(input), Path::new(folder), number(at_once))?
        }
        ["simulator", input, folder, at_once] => {
            client::beside_simulator(Path::new(input), Path::new(folder), number(at_once))?
        }
        ["rows", input, folder, at_once] => {
            let input = (input != "-").then(|| Path::new(input));
            let (seen, rates) = client::in_process(input, Path::new(folder), number(at_once))?;
            println!("{seen} {}", rates.iter().map(|rate| format!("{rate:.0} ")).collect::<String>());
            return Ok(());
        }
        ["recover", folder] => recover::recover(Path::new(folder))?,
        ["read", input] => read_only(Path::new(input))?,
        ["plan", input] => read_and_plan(Path::new(input))?,
        ["survey", input] => read_and_survey(Path::new(input))?,
        _ => return Err(io::Error::other(format!("unknown part {part:?}"))),
    };
    println!("{seen}");
    Ok(())
}

/// Raises the limit on open files to the highest value that is allowed.
fn raise_open_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        // If the limit can't be raised, it stays as it is.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

fn fresh(folder: &Path, name: &str) -> io::Result<PathBuf> {
    let path = folder.join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path)?;
    }
    std::fs::create_dir(&path)?;
    Ok(path)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// Runs the bare loop, `owed` and the runner one after the other, several times, and prints their results.
fn side_by_side(folder: &Path, what: &str, latency: Duration, rows: u64, times: usize) -> io::Result<()> {
    let input = folder.join("side.jsonl");
    files::write_rows(&input, rows, 200)?;
    let server = Server::start(latency)?;
    let [mut bare, mut owed, mut runner] = [const { Vec::new() }; 3];
    for _ in 0..times {
        bare.push(in_child(&["child", "bare", &server.url, &rows.to_string(), AT_ONCE], Stdio::null())?.0);
        for (part, seen) in [("owed", &mut owed), ("runner", &mut runner)] {
            let out = fresh(folder, "side")?;
            let args = ["child", part, &server.url, text(&input), text(&out), AT_ONCE];
            seen.push(in_child(&args, Stdio::null())?.0);
        }
    }
    for (name, seen) in [("bare", &bare), ("owed", &owed), ("runner", &runner)] {
        println!(
            "{what}: {name} {:.0} requests/s, ratio {:.2}; CPU s per 1,000 {:.4}, ratio {:.2}; peak {:.0} MB",
            of(seen, Seen::rate),
            ratio(seen, &bare, Seen::rate),
            of(seen, Seen::cpu_per_thousand),
            ratio(seen, &bare, Seen::cpu_per_thousand),
            of(seen, |seen| seen.peak_kb as f64 / 1024.0)
        );
    }
    Ok(())
}

fn of(seen: &[Seen], what: fn(&Seen) -> f64) -> f64 {
    median(seen.iter().map(what).collect())
}

fn ratio(seen: &[Seen], of_bare: &[Seen], what: fn(&Seen) -> f64) -> f64 {
    median(seen.iter().zip(of_bare).map(|(seen, bare)| what(seen) / what(bare)).collect())
}

fn zero_latency(folder: &Path) -> io::Result<()> {
    // The speed of a virtual machine changes from second to second, so many short measurements are more exact than a
    // few long ones.
    side_by_side(folder, "loop", Duration::ZERO, 100_000, 3 * TIMES)
}

fn at_latency(folder: &Path) -> io::Result<()> {
    side_by_side(folder, "cpu at 200 ms", Duration::from_millis(200), 10_000, TIMES)
}

fn simulator(folder: &Path) -> io::Result<()> {
    let input = folder.join("simulator.jsonl");
    files::write_rows(&input, 30_000, 200)?;
    let mut seen = Vec::new();
    for _ in 0..TIMES {
        let out = fresh(folder, "simulator")?;
        seen.push(in_child(&["child", "simulator", text(&input), text(&out), AT_ONCE], Stdio::null())?.0);
    }
    println!("simulator in the same process: {:.0} rows/s", of(&seen, Seen::rate));
    Ok(())
}

/// Runs the program itself with rows of 1 kB, and measures it from start to end.
fn memory(folder: &Path) -> io::Result<()> {
    let server = Server::start(Duration::ZERO)?;
    let mut first = None;
    for rows in [10_000, 100_000, 1_000_000] {
        let input = folder.join("memory.jsonl");
        files::write_rows(&input, rows, 960)?;
        let out = fresh(folder, "memory")?;
        let seen = watched(&mut program(&server.url, &input, &out, AT_ONCE), rows)?;
        let more = seen.peak_kb.saturating_sub(*first.get_or_insert(seen.peak_kb));
        println!(
            "memory: {rows} rows of 1 kB, peak {:.1} MB ({:.1} MB more than the first), {:.0} rows/s from start to end",
            seen.peak_kb as f64 / 1024.0,
            more as f64 / 1024.0,
            seen.rate()
        );
        std::fs::remove_file(&input)?;
        std::fs::remove_dir_all(&out)?;
    }
    Ok(())
}

fn program(url: &str, input: &Path, out: &Path, at_once: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("run").arg(input).arg("-o").arg(out.join("out.jsonl"));
    command.args(["--base-url", url, "--tier", "none", "-c", at_once, "--progress", "none", "-q"]);
    command.env("ANTHROPIC_API_KEY", "bench").stderr(Stdio::inherit());
    command
}

fn connections(folder: &Path) -> io::Result<()> {
    let input = folder.join("connections.jsonl");
    let rows = 40_000;
    files::write_rows(&input, rows, 200)?;
    let server = Server::start(Duration::from_millis(500))?;
    for at_once in ["1000", "4000"] {
        let out = fresh(folder, "connections")?;
        let seen = watched(&mut program(&server.url, &input, &out, at_once), rows)?;
        println!(
            "connections: {at_once} at once with 500 ms latency, {:.0} rows/s, peak {:.1} MB",
            seen.rate(),
            seen.peak_kb as f64 / 1024.0
        );
    }
    Ok(())
}

/// Runs ten million small rows from a pipe. A pipe can be read only once, so the run has no first pass over the input.
fn pipe(folder: &Path) -> io::Result<()> {
    const ROWS: u64 = 10_000_000;
    for (name, write) in [("named", files::write_rows as fn(&Path, u64, usize) -> _), ("unnamed", files::write_unnamed)]
    {
        let input = folder.join("pipe.jsonl");
        write(&input, ROWS, 16)?;
        let out = fresh(folder, "pipe")?;
        let stdin = std::fs::File::open(&input)?.into();
        let (seen, text) = in_child(&["child", "rows", "-", text(&out), AT_ONCE], stdin)?;
        report_rows(&format!("{name} rows from a pipe, results dropped"), &seen, &text);
        std::fs::remove_file(&input)?;
    }
    Ok(())
}

fn report_rows(what: &str, seen: &Seen, text: &str) {
    let rates: Vec<f64> = text.split_whitespace().skip(4).filter_map(|word| word.parse().ok()).collect();
    println!(
        "rows: {} {what}: {:.0} rows/s, peak {:.1} MB, first and last million {:.0} and {:.0} rows/s",
        seen.rows,
        seen.rate(),
        seen.peak_kb as f64 / 1024.0,
        rates.first().unwrap_or(&0.0),
        rates.last().unwrap_or(&0.0)
    );
}

/// Runs ten million small rows from a file, and answers them in this process. After that, a second run finds that all
/// rows are finished.
fn rows_and_resume(folder: &Path) -> io::Result<()> {
    const ROWS: u64 = 10_000_000;
    let input = folder.join("rows.jsonl");
    files::write_rows(&input, ROWS, 16)?;
    let out = fresh(folder, "rows")?;
    let (seen, said) = in_child(&["child", "rows", text(&input), text(&out), AT_ONCE], Stdio::null())?;
    report_rows("from a file, results written and synced", &seen, &said);

    let results = out.join("out.jsonl");
    let bytes = std::fs::metadata(&results)?.len();
    let started = Instant::now();
    io::copy(&mut std::fs::File::open(&results)?, &mut io::sink())?;
    let disk_secs = started.elapsed().as_secs_f64();
    let seen = watched(&mut program(files::NOBODY, &input, &out, AT_ONCE), ROWS)?;
    println!(
        "resume: {ROWS} finished rows, {:.1} GB of results: {:.1} s, {:.1} s of CPU, peak {:.1} MB (reading the results \
         alone: {disk_secs:.1} s)",
        bytes as f64 / 1e9,
        seen.secs,
        seen.cpu_secs,
        seen.peak_kb as f64 / 1024.0
    );
    Ok(())
}

/// Measures recovery, and compares it with the command `report`, which reads the same lines. Recovery is the first step
/// of a resumed run: it reads the results of the first run. `RECOVER_ROWS=10000000` measures more rows.
fn recover_results(folder: &Path) -> io::Result<()> {
    let rows = std::env::var("RECOVER_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(1_000_000_u64);
    for chars in [40, 1_200] {
        let out = fresh(folder, "recover")?;
        let results = out.join("out.jsonl");
        recover::write_results(&results, rows, chars)?;
        let bytes = std::fs::metadata(&results)?.len() as f64;
        let page = out.join("page.html");
        let (mut recovered, mut reported) = (Vec::new(), Vec::new());
        for _ in 0..TIMES {
            recovered.push(in_child(&["child", "recover", text(&out)], Stdio::null())?.0);
            let args = ["report", text(&results), "-o", text(&page)];
            reported.push(watched(Command::new(PROGRAM).args(args).stderr(Stdio::null()), rows)?);
        }
        for (what, seen) in [("recover", recovered), ("report", reported)] {
            println!(
                "{what}: {rows} result lines of {:.0} bytes: {:.0} MB/s, CPU s per million {:.2}, peak {:.0} MB",
                bytes / rows as f64,
                bytes / 1e6 / of(&seen, |seen| seen.secs),
                of(&seen, Seen::cpu_per_thousand) * 1000.0,
                of(&seen, |seen| seen.peak_kb as f64 / 1024.0)
            );
        }
        std::fs::remove_dir_all(&out)?;
    }
    Ok(())
}

fn read(folder: &Path) -> io::Result<()> {
    type Write = fn(&Path, u64, usize) -> io::Result<()>;
    let kinds: [(&str, Write, usize); 3] = [
        ("prompts of 960 characters", files::write_rows, 960),
        ("canonical rows with prompts of 960 characters", files::write_canonical, 960),
        ("prompts of 200 characters", files::write_rows, 200),
    ];
    for (name, write, chars) in kinds {
        let input = folder.join("read.jsonl");
        write(&input, 400_000_000 / chars as u64, chars)?;
        let bytes = std::fs::metadata(&input)?.len() as f64;
        let speed = |how: &str| -> io::Result<f64> {
            let secs =
                (0..TIMES).map(|_| in_child(&["child", how, text(&input)], Stdio::null()).map(|seen| seen.0.secs));
            Ok(bytes / 1e6 / median(secs.collect::<Result<_, _>>()?))
        };
        println!(
            "read: {name}: {:.0} MB/s read and validated, {:.0} MB/s read and planned, {:.0} MB/s read by the first pass",
            speed("read")?,
            speed("plan")?,
            speed("survey")?
        );
    }
    Ok(())
}

fn read_only(input: &Path) -> io::Result<Seen> {
    let started = Instant::now();
    let reader = source::open(&Input::File(input.to_owned()), &Options::default()).map_err(io::Error::other)?;
    let mut rows = 0;
    for item in reader {
        assert!(matches!(item, Ok(Item::Row(_))));
        rows += 1;
    }
    Ok(Seen::here(rows, started.elapsed()))
}

fn read_and_plan(input: &Path) -> io::Result<Seen> {
    let started = Instant::now();
    let reader = source::open(&Input::File(input.to_owned()), &Options::default()).map_err(io::Error::other)?;
    let mut planner = client::planner(&Arc::new(Catalog::builtin()));
    let mut rows = 0;
    for item in reader {
        let Ok(Item::Row(row)) = item else { return Err(io::Error::other("a row is broken")) };
        planner.plan(*row, JobId(rows)).map_err(|rejected| io::Error::other(rejected.message))?;
        rows += 1;
    }
    Ok(Seen::here(rows, started.elapsed()))
}

fn read_and_survey(input: &Path) -> io::Result<Seen> {
    let started = Instant::now();
    let plan = client::input_plan(Input::File(input.to_owned()));
    let mut planner = client::planner(&Arc::new(Catalog::builtin()));
    let looked = survey(&plan, &mut planner, &Earlier::none(), 1, &Progress::default()).map_err(io::Error::other)?;
    Ok(Seen::here(looked.rows, started.elapsed()))
}

fn version(_: &Path) -> io::Result<()> {
    let time = |program: &str, args: &[&str]| -> io::Result<f64> {
        let mut millis = Vec::new();
        for _ in 0..20 {
            let started = Instant::now();
            let status = Command::new(program).args(args).stdout(Stdio::null()).status()?;
            assert!(status.success());
            millis.push(started.elapsed().as_secs_f64() * 1000.0);
        }
        Ok(median(millis))
    };
    println!(
        "version: {:.1} ms (/bin/true: {:.1} ms); the program is {:.1} MB",
        time(PROGRAM, &["--version"])?,
        time("/bin/true", &[])?,
        std::fs::metadata(PROGRAM)?.len() as f64 / 1e6
    );
    Ok(())
}
