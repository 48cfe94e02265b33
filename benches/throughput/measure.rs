//! Measures time, CPU time and memory of processes, and computes medians.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The measurements of one process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// The number of rows or requests.
    pub rows: u64,
    /// The duration by the clock, in seconds.
    pub secs: f64,
    /// The CPU time of the process, in seconds.
    pub cpu_secs: f64,
    /// The peak memory of the process, in kB.
    pub peak_kb: u64,
}

impl Seen {
    /// Returns the measurements of this process, for work that took `elapsed`.
    pub fn here(rows: u64, elapsed: Duration) -> Self {
        let (cpu_secs, peak_kb) = usage(Path::new("/proc/self"));
        let cpu_secs = own_cpu_secs().unwrap_or(cpu_secs);
        Self { rows, secs: elapsed.as_secs_f64(), cpu_secs, peak_kb }
    }

    /// Returns the rows per second.
    pub fn rate(&self) -> f64 {
        self.rows as f64 / self.secs
    }

    /// Returns the CPU seconds per thousand rows.
    pub fn cpu_per_thousand(&self) -> f64 {
        self.cpu_secs * 1000.0 / self.rows as f64
    }

    /// Reads the measurements from the line that a child process wrote. After the measurements, the line can contain
    /// more words.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let mut next = || words.next();
        Some(Self {
            rows: next()?.parse().ok()?,
            secs: next()?.parse().ok()?,
            cpu_secs: next()?.parse().ok()?,
            peak_kb: next()?.parse().ok()?,
        })
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:.6} {:.6} {}", self.rows, self.secs, self.cpu_secs, self.peak_kb)
    }
}

/// Runs a part of this benchmark in a separate process.
pub fn in_child(args: &[&str], stdin: Stdio) -> io::Result<(Seen, String)> {
    let output = Command::new(std::env::current_exe()?).args(args).stdin(stdin).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let seen = Seen::parse(&text).filter(|_| output.status.success());
    seen.map(|seen| (seen, text)).ok_or_else(|| io::Error::other(format!("{args:?} failed: {}", output.status)))
}

/// Runs a program to its end and returns its measurements. `rows` is the number of rows in its input.
pub fn watched(command: &mut Command, rows: u64) -> io::Result<Seen> {
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let mut peak_kb = 0;
    while !is_over(&child) {
        peak_kb = usage(&folder_of(&child)).1.max(peak_kb);
        std::thread::sleep(Duration::from_millis(2));
    }
    let elapsed = started.elapsed();
    // The process has ended, but its CPU time can be read until `wait` is called.
    let (cpu_secs, _) = usage(&folder_of(&child));
    let status = child.wait()?;
    if !status.success() {
        return Err(io::Error::other(format!("{command:?} failed: {status}")));
    }
    Ok(Seen { rows, secs: elapsed.as_secs_f64(), cpu_secs, peak_kb })
}

fn folder_of(child: &Child) -> std::path::PathBuf {
    format!("/proc/{}", child.id()).into()
}

fn is_over(child: &Child) -> bool {
    stat(&folder_of(child)).is_none_or(|fields| fields.first().is_some_and(|state| state == "Z"))
}

/// Returns those fields of `/proc/PID/stat` that follow the name of the process.
fn stat(folder: &Path) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(folder.join("stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// Returns the CPU seconds of a process and its peak memory in kB.
fn usage(folder: &Path) -> (f64, u64) {
    // In `/proc`, Linux counts CPU time in hundredths of a second.
    const TICKS: f64 = 100.0;
    let tick = |fields: &[String], at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    let cpu_secs = stat(folder).map_or(0.0, |fields| (tick(&fields, 11) + tick(&fields, 12)) / TICKS);
    let status = std::fs::read_to_string(folder.join("status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak_kb = peak.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    (cpu_secs, peak_kb)
}

/// Returns the CPU time of this process in seconds, with a resolution of a nanosecond. The values in `/proc` have a
/// resolution of a hundredth of a second.
fn own_cpu_secs() -> Option<f64> {
    #[cfg(unix)]
    {
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Some(cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9)
    }
    #[cfg(not(unix))]
    None
}

/// Returns the median of some values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
