//! Runs each fuzz target over its corpus: first over the unchanged files, then over files that a seeded mutator has
//! changed.

use std::fs;
use std::path::Path;

#[path = "../fuzz/targets.rs"]
mod targets;

/// Mutates an input: it replaces, inserts, repeats or removes bytes. The result is similar to the original input.
fn mutate(data: &mut Vec<u8>, others: &[Vec<u8>], random: &mut fastrand::Rng) {
    const TOKENS: [&[u8]; 12] =
        [b"\"", b"{", b"}", b"\n", b"\\ud800", b"\0\0\0\0", b",", b"1e999", b"\xff", b"\r\n", b"data: ", b":"];
    for _ in 0..random.usize(1..6) {
        let at = random.usize(0..=data.len());
        match random.u8(0..6) {
            0 if at < data.len() => data[at] = random.u8(..),
            1 => data.truncate(at),
            2 => data.splice(at..at, TOKENS[random.usize(0..TOKENS.len())].iter().copied()).for_each(drop),
            3 => {
                let end = (at + random.usize(0..200)).min(data.len());
                let part = data[at..end].to_vec();
                data.splice(at..at, part).for_each(drop);
            }
            4 => {
                let end = (at + random.usize(0..50)).min(data.len());
                data.drain(at..end);
            }
            _ => {
                let other = &others[random.usize(0..others.len())];
                let from = random.usize(0..=other.len());
                data.splice(at..at, other[from..].iter().take(300).copied()).for_each(drop);
            }
        }
    }
}

/// The names of all targets.
#[allow(dead_code, reason = "only the bench uses it")]
pub fn names() -> impl Iterator<Item = &'static str> {
    targets::TARGETS.into_iter().map(|(name, _)| name)
}

/// Runs every target with each input of its corpus, and then with `changed` mutated inputs. Returns the total number of
/// inputs.
pub fn run_all(changed: u64, seed: u64) -> u64 {
    let mut tried = 0;
    for (name, target) in targets::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
        let files = fs::read_dir(&folder).expect("the corpus is there").map(|entry| entry.expect("it is there").path());
        let mut corpus: Vec<_> = files.map(|path| fs::read(path).expect("it can be read")).collect();
        corpus.sort();
        corpus.iter().for_each(|data| target(data));
        let mut random = fastrand::Rng::with_seed(seed);
        for number in 0..changed {
            let mut data = corpus[random.usize(0..corpus.len())].clone();
            mutate(&mut data, &corpus, &mut random);
            let result = std::panic::catch_unwind(|| target(&data));
            assert!(result.is_ok(), "{name}, seed {seed}, input {number}: {:?}", String::from_utf8_lossy(&data));
        }
        tried += changed + corpus.len() as u64;
    }
    tried
}
