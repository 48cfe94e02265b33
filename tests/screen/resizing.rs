//! Changes the size of a terminal at random during a run. The terminal must show one whole block of progress lines, and
//! no parts of old blocks.

use std::path::Path;

use crate::window::Window;

/// The number of rows of the input. The run takes longer than all changes of size together.
const ROWS: usize = 3_000;
/// How many times the size changes in a run.
const CHANGES: usize = 25;
/// After each change of size, the tests wait for this many drawings. After these drawings, the tests check the
/// terminal. The first drawing after a change can still have the old size.
const DRAWINGS: usize = 2;
/// The sequence that follows the lines of a drawing and switches line wrapping on again. After this sequence, the
/// cursor moves back to the start of the first line.
const DRAWN: &str = "\x1b[?7h";

#[test]
fn while_the_size_changes_at_random_every_line_is_whole_and_the_cursor_comes_back() {
    std::thread::scope(|scope| {
        for seed in 1..=3 {
            scope.spawn(move || changes_at_random(seed));
        }
    });
}

fn changes_at_random(seed: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    write_rows(folder.path());
    let mut random = fastrand::Rng::with_seed(seed);
    let arguments = ["run", "prompts.jsonl", "--simulate", "--rpm", "600", "-c", "4"];
    let mut window = Window::open(folder.path(), &arguments, (100, 24));
    wait_for(&mut window, 5);

    for change in 1..=CHANGES {
        let (columns, rows) = (random.u16(20..=250), random.u16(5..=60));
        window.resize(columns, rows);
        wait_for(&mut window, DRAWINGS);
        check(&window, &format!("seed {seed}, change {change}, {columns} × {rows}"));
    }
    window.interrupt();
    let code = window.finish();

    let shown = window.shown();
    let all = shown.join("\n");
    assert_eq!(code, Some(130), "seed {seed}:\n{all}");
    assert!(!shown.iter().any(|line| is_of_block(line)), "seed {seed}: a block is left:\n{all}");
    assert!(all.contains("stopped (interrupted)"), "seed {seed}:\n{all}");
    let cursor = window.terminal.cursor();
    assert!(cursor.visible && cursor.col == 0, "seed {seed}: {cursor:?}");
}

#[test]
fn a_run_that_ends_by_itself_leaves_only_its_summary_and_the_cursor_at_the_start_of_a_line() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("prompts.jsonl"), rows(40)).expect("it can be written");
    let mut window = Window::open(folder.path(), &["run", "prompts.jsonl", "--simulate"], (80, 24));

    let code = window.finish();

    let shown = window.shown();
    assert_eq!(code, Some(0), "{shown:#?}");
    assert!(!shown.iter().any(|line| is_of_block(line)), "{shown:#?}");
    assert!(shown.iter().any(|line| line.starts_with("finished after")), "{shown:#?}");
    let cursor = window.terminal.cursor();
    assert!(cursor.visible && cursor.col == 0, "{cursor:?}");
}

/// Reads until the program has drawn its block `drawings` times, and until the last drawing is complete.
#[track_caller]
fn wait_for(window: &mut Window, drawings: usize) {
    let (mut seen, mut last) = (0, String::new());
    while seen < drawings || !is_complete(&last) {
        let text = window.next().expect("the run goes on");
        seen += text.matches(DRAWN).count();
        last.push_str(&text);
    }
}

/// Returns whether the last drawing is followed only by the movements that bring the cursor back.
fn is_complete(text: &str) -> bool {
    text.rsplit_once(DRAWN).is_some_and(|(_, rest)| rest.ends_with('\r') && rest.replace("\x1b[1A", "") == "\r")
}

/// Asserts that the terminal shows exactly one block, below all other lines, and that each line of the block is whole.
#[track_caller]
fn check(window: &Window, when: &str) {
    let shown = window.shown();
    let all = shown.join("\n");
    let firsts: Vec<_> = (0..shown.len()).filter(|at| is_first(&shown[*at])).collect();
    assert_eq!(firsts.len(), 1, "{when}: not one block:\n{all}");
    let block = &shown[firsts[0]..];
    let (columns, rows) = window.terminal.size();
    assert!((2..=(rows / 2).max(3)).contains(&block.len()), "{when}: {} lines:\n{all}", block.len());
    let lines: Vec<_> = window.terminal.screen().all_lines().skip(firsts[0]).take(block.len()).collect();
    assert!(lines.iter().all(|line| !line.is_wrapped()), "{when}: a line is wrapped:\n{all}");
    assert!(block.iter().all(|line| line.chars().count() < columns), "{when}: a line is cut:\n{all}");
    assert!(block.iter().all(|line| !line.is_empty()), "{when}: a line is empty:\n{all}");
    assert!(block.iter().any(|line| is_now(line)), "{when}: half of the block is missing:\n{all}");
    let (cursor, first) = (window.terminal.cursor(), shown.len() - block.len());
    let above = window.terminal.screen().all_lines().count() - rows;
    assert_eq!((cursor.col, cursor.row + above), (0, first), "{when}: the cursor is not at the first line:\n{all}");
}

/// Returns whether a line is the first line of a block. The first line shows how many rows are done.
fn is_first(line: &str) -> bool {
    line.contains("/3,000") || line.contains(" of 3,000 done")
}

/// Returns whether a line says what the run is doing.
fn is_now(line: &str) -> bool {
    const WORDS: [&str; 8] =
        ["limited by", "waiting", "raising", "held", "concurrency", "stopping", "last answers", "…"];
    WORDS.iter().any(|words| line.contains(words))
}

fn is_of_block(line: &str) -> bool {
    is_first(line) || line.contains("░") || line.contains("/40 ") || line.contains(" of 40 done")
}

fn write_rows(folder: &Path) {
    std::fs::write(folder.join("prompts.jsonl"), rows(ROWS)).expect("it can be written");
}

fn rows(number: usize) -> String {
    (0..number)
        .map(|at| format!("{{\"custom_id\":\"r{at}\",\"prompt\":\"Say the number {at} in French.\"}}\n"))
        .collect()
}
