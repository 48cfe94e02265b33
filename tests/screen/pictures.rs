//! The pictures of the README: `fixtures/pictures`. They show the real program on a terminal, with the simulator.
//!
//! To make them again: `UPDATE_PICTURES=1 cargo test --test screen pictures -- --include-ignored`. Without this variable, the tests compare
//! the words of each picture with those that the program prints. Numbers and bars may differ.

use std::collections::BTreeSet;
use std::path::PathBuf;

use avt::Line;

use crate::svg::{PALETTES, picture, shown_by};
use crate::window::Window;

const SIZE: (u16, u16) = (100, 50);

/// Words that depend on how long a run takes.
const VARYING: &str = " at the end high moderate critical with a burst min within quicker longer";

/// A picture: what is typed, and which moment of the run is shown above its end.
struct Scene {
    name: &'static str,
    title: &'static str,
    arguments: &'static [&'static str],
    /// These arguments make a check quicker than the run of the picture.
    quick: &'static [&'static str],
    /// The moment: the first drawing that contains one of these texts. Without any, only the end is shown.
    moment: &'static [&'static str],
}

#[test]
#[ignore = "its words still depend on the timing of the run"]
fn the_picture_of_a_run_shows_what_the_program_prints() {
    check(&Scene {
        name: "run",
        title: "A run of 318 rows: its live lines, and the summary at its end",
        arguments: &["run", "prompts.jsonl", "--simulate", "--tier", "1"],
        quick: &["--limit", "70"],
        moment: &["· 63 of 70 done", "· 64 of 70 done", "· 200 of 318 done", "· 201 of 318 done", "· 202 of 318 done"],
    });
}

#[test]
#[ignore = "its words still depend on the timing of the run"]
fn the_picture_of_a_storm_shows_what_the_program_prints() {
    check(&Scene {
        name: "storm",
        title: "A run whose server is overloaded for 20 seconds: its live lines, and the summary at its end",
        arguments: &["run", "prompts.jsonl", "--simulate", "--tier", "2", "--simulate-faults", "storm.json"],
        quick: &[],
        moment: &["40 overloaded", "41 overloaded", "42 overloaded", "43 overloaded", "44 overloaded", "45 overloaded"],
    });
}

#[test]
fn the_picture_of_a_plan_shows_what_the_program_prints() {
    check(&Scene {
        name: "plan",
        title: "What 318 rows would cost, how long they would take, and what would change that",
        arguments: &["plan", "prompts.jsonl", "--tier", "2"],
        quick: &[],
        moment: &[],
    });
}

/// Makes the pictures of a scene, or checks them.
fn check(scene: &Scene) {
    let is_update = std::env::var_os("UPDATE_PICTURES").is_some();
    let (lines, mut printed) = play(scene, if is_update { &[] } else { scene.quick });
    printed.push_str(VARYING);
    for palette in PALETTES {
        let path = folder().join(format!("{}-{}.svg", scene.name, palette.name));
        if is_update {
            std::fs::create_dir_all(folder()).expect("the folder can be made");
            std::fs::write(&path, picture(&lines, scene.title, &palette)).expect("the picture can be written");
        }
        let kept = std::fs::read_to_string(&path).expect("the picture exists");
        let printed = colorless(&printed);
        let gone: Vec<_> =
            shown_by(&kept).iter().flat_map(|line| words(line)).filter(|own| !printed.contains(own.as_str())).collect();
        assert!(
            gone.is_empty(),
            "{} shows words that the program does not print: {gone:?}; make it again with UPDATE_PICTURES=1 cargo test \
             --test screen pictures, and look at it",
            path.display()
        );
    }
}

/// Runs the program. Returns the lines of the picture, and everything that was printed.
fn play(scene: &Scene, quick: &[&str]) -> (Vec<Line>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    for (from, to) in [("prompts.jsonl", "prompts.jsonl"), ("faults/storm.json", "storm.json")] {
        std::fs::copy(fixtures.join(from), folder.path().join(to)).expect("it can be copied");
    }
    let command = format!("\x1b[2m$\x1b[0m \x1b[1mclaude-batch {}\x1b[0m\r\n", scene.arguments.join(" "));
    let mut window = Window::open(folder.path(), &[scene.arguments, quick].concat(), SIZE);
    window.terminal.feed(command.as_str());
    let (mut printed, mut lines) = (command, Vec::new());
    while let Some(text) = window.next() {
        if lines.is_empty() && scene.moment.iter().any(|moment| text.contains(moment)) {
            lines = visible(&window);
        }
        printed.push_str(&text);
    }
    let code = window.finish();
    let end = visible(&window);
    assert!(matches!(code, Some(0 | 1)), "{}: {code:?}: {}", scene.name, window.shown().join("\n"));
    if lines.is_empty() {
        assert!(scene.moment.is_empty(), "the moment of {} was not seen: {printed}", scene.name);
        return (end, printed);
    }
    let same = lines.iter().zip(&end).take_while(|(before, after)| before.text() == after.text()).count();
    lines.push(gap());
    lines.extend_from_slice(&end[same..]);
    (lines, printed)
}

/// Returns all lines of the terminal, without empty lines at the end.
fn visible(window: &Window) -> Vec<Line> {
    let mut lines: Vec<_> = window.terminal.screen().all_lines().cloned().collect();
    while lines.last().is_some_and(|line| line.text().trim().is_empty()) {
        lines.pop();
    }
    lines
}

/// Returns the line between the moment and the end.
fn gap() -> Line {
    let mut terminal = avt::Terminal::new(SIZE.0.into(), 1).expect("a size");
    terminal.feed("\x1b[2m⋮ at the end:\x1b[0m");
    let line = terminal.screen().visible_lines().next().expect("there is a line");
    line.clone()
}

/// Returns the words of a text without colours. Numbers, bars and signs are left out. A word that the terminal wrapped is
/// two words.
fn words(text: &str) -> BTreeSet<String> {
    let all = text.split(|char: char| !char.is_alphabetic());
    all.filter(|word| word.len() > 2).map(str::to_owned).collect()
}

/// Returns a text without colours and movements of the cursor.
fn colorless(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut colorless = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_, rest) = part.split_once(|char: char| char.is_ascii_alphabetic()).unwrap_or_default();
        colorless.push_str(rest);
    }
    colorless
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/pictures")
}
