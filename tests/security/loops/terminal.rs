//! Tests text that reaches a terminal or a shell. No text is able to control the terminal, and the shell runs only the
//! intended command. A run continues if its streams are full or closed.

use super::super::page::{Seen, Size};

#[cfg(unix)]
mod judge;
#[cfg(unix)]
mod paste;
#[cfg(unix)]
mod places;
#[cfg(unix)]
mod pty;
#[cfg(unix)]
mod streams;
#[cfg(unix)]
mod strings;

#[cfg(unix)]
pub fn page(size: Size) -> Vec<Seen> {
    [on_a_terminal(size), paste::page(size), streams::page(size)].concat()
}

#[cfg(not(unix))]
pub fn page(_size: Size) -> Vec<Seen> {
    vec![Seen::new("text on a terminal", "no control sequence", "not run: needs a pseudo-terminal".to_owned())]
}

/// Tries strings in every place from which text reaches a terminal.
#[cfg(unix)]
fn on_a_terminal(size: Size) -> Vec<Seen> {
    let count = size.pick(150, 10_000);
    side_by_side(places::PLACES, |place| tried(place, count))
}

/// Runs a function on each item, four items at a time, because the programs spend most of the time waiting.
#[cfg(unix)]
fn side_by_side<T: Sync, R: Send>(items: &[T], act: impl Fn(&T) -> R + Sync) -> Vec<R> {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((at, item)) =
                    Some(next.fetch_add(1, Ordering::AcqRel)).and_then(|at| Some((at, items.get(at)?)))
                {
                    let result = act(item);
                    done.lock().expect("no thread panicked with the lock").push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no thread panicked with the lock");
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(unix)]
fn tried(place: &places::Place, count: usize) -> Seen {
    use super::super::support::Folder;
    let seed = fastrand::u64(..);
    let mut rng = fastrand::Rng::with_seed(seed);
    let strings = strings::nasty(&mut rng, count, place.longest);
    let (mut runs, mut found, mut last) = (0, 0, String::new());
    for (turn, strings) in strings.chunks(place.at_once).enumerate() {
        let folder = Folder::new();
        let shown = (place.play)(&folder, strings, turn);
        runs += 1;
        last = shown.bytes.escape_ascii().to_string();
        let fault = judge::fault(&shown.bytes, places::breaks_lines(turn));
        assert!(fault.is_none(), "{}, seed {seed}, run {turn}: {}", place.name, fault.unwrap_or_default());
        let is_known = shown.code.is_some_and(|code| matches!(code, 0 | 2..=7));
        assert!(is_known, "{}, seed {seed}, run {turn}: {:?}\n{}", place.name, shown.code, shown.bytes.escape_ascii());
        found += strings
            .iter()
            .filter(|string| memchr::memmem::find(&shown.bytes, string.mark.as_bytes()).is_some())
            .count();
    }
    assert!(found > 0, "{}, seed {seed}: none of the strings was shown: {last}", place.name);
    let seen =
        format!("{count} strings in {runs} runs, {found} of them shown: 0 bytes that a terminal obeys, 0 forged lines");
    Seen::new(place.name, "no control sequence except our own", seen)
}
