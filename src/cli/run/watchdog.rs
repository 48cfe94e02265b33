//! Stops the program if filling one row into the template takes too long.
//!
//! The template engine limits the number of steps of a template (its *fuel*). In one case, this limit on steps does not
//! limit the time. A value can contain the same list many times. If a value contains many copies of a list, writing or
//! comparing this value takes long, but counts as a single step. A thread can't be stopped from outside, so the
//! watchdog stops the whole program, as if it had been killed. No answer is lost: all answers are on disk, and the same
//! command resumes the run.
//!
//! The watchdog counts its checks instead of measuring time, so it ignores the time while the program is suspended or
//! the machine sleeps.

use std::thread;
use std::time::Duration;

use crate::cli::exit::Exit;
use crate::cli::say;
use crate::report::text::escape;
use crate::source::Template;

const EVERY: Duration = Duration::from_millis(100);
/// The time limit for filling in a row, as a number of checks. 100 checks take ten seconds. The fuel of a row (its
/// allowed number of steps) lasts for only a tenth of this time.
const LOOKS: u32 = 100;
/// Filling in one row can add at most this much memory, in KiB. With the largest prompt, a template that uses up all
/// its fuel needs half of this memory.
const MOST_KIB: u64 = 512 << 10;

/// Watches a template until the program exits. Stops the program if filling in a row takes too long or too much memory.
pub(super) fn watch(template: Template, name: String) -> std::io::Result<()> {
    thread::Builder::new().name("template".to_owned()).spawn(move || guard(&template, &name)).map(drop)
}

fn guard(template: &Template, name: &str) {
    let (mut row, mut looks, mut begun_with) = (None, 0, 0);
    loop {
        thread::sleep(EVERY);
        let seen = template.pulse();
        if seen.is_none() || seen != row {
            (row, looks, begun_with) = (seen, 0, memory_kib());
            continue;
        }
        looks += 1;
        if looks >= LOOKS || memory_kib().saturating_sub(begun_with) > MOST_KIB {
            let name = escape(name);
            say::err(&format!(
                "claude-batch: {name}: filling a row into the template takes too long or too much memory, so the \
                 program ends; simplify the loops of the template"
            ));
            std::process::exit(Exit::Usage.code().into());
        }
    }
}

/// Returns the memory that the program uses, in KiB; 0 if the system does not report it.
fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let now = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    now.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
