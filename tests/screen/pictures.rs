//! Makes and checks the pictures of the README, which are in `fixtures/pictures`. The pictures show the real program on
//! a terminal, with the simulator.
//!
//! To make the pictures again: `UPDATE_PICTURES=1 cargo test --test screen pictures`. Without this variable, the tests
//! compare each line of a picture with the lines that the program prints. Numbers and bars are allowed to differ. If a
//! line depends on the timing of a run, only its label is compared.

use std::collections::BTreeSet;
use std::path::PathBuf;

use avt::Line;

use crate::svg::{PALETTES, picture, shown_by};
use crate::window::Window;

const SIZE: (u16, u16) = (100, 50);

/// The labels of lines whose words depend on the timing of a run.
const OF_TIMING: [&str; 8] = ["time", "limits", "now", "speed", "latency", "faster", "plan", "retries"];

/// The width of a label, in columns. A line without a label belongs to the label above it.
const LABEL: usize = 10;

/// A picture of a run. From top to bottom, it shows the typed command, one moment of the run, and the end of the run.
struct Scene {
    name: &'static str,
    title: &'static str,
    arguments: &'static [&'static str],
    /// The texts that decide which moment the picture shows. The picture shows the first drawing that contains one of
    /// these texts. If `moment` is empty, the picture shows only the end of the run.
    moment: &'static [&'static str],
}

#[test]
fn the_picture_of_a_run_shows_what_the_program_prints() {
    check(&Scene {
        name: "run",
        title: "A run of 70 rows: its live lines, and the summary at its end",
        arguments: &["run", "prompts.jsonl", "--simulate", "--tier", "1", "--limit", "70"],
        moment: &["· 63 of 70 done", "· 64 of 70 done"],
    });
}

#[test]
fn the_picture_of_a_plan_shows_what_the_program_prints() {
    check(&Scene {
        name: "plan",
        title: "What 318 rows would cost, how long they would take, and what would change that",
        arguments: &["plan", "prompts.jsonl", "--tier", "2"],
        moment: &[],
    });
}

/// Makes or checks the pictures of a scene.
fn check(scene: &Scene) {
    let is_update = std::env::var_os("UPDATE_PICTURES").is_some();
    let lines = play(scene);
    let printed: Vec<_> = lines.iter().map(|line| line.text().trim_end().to_owned()).collect();
    for palette in PALETTES {
        let path = folder().join(format!("{}-{}.svg", scene.name, palette.name));
        if is_update {
            std::fs::create_dir_all(folder()).expect("the folder can be made");
            std::fs::write(&path, picture(&lines, scene.title, &palette)).expect("the picture can be written");
        }
        let kept = std::fs::read_to_string(&path).expect("the picture exists");
        let gone = not_printed(&shown_by(&kept), &printed);
        assert!(
            gone.is_empty(),
            "{} shows lines that the program does not print: {gone:#?}; make it again with UPDATE_PICTURES=1 cargo \
             test --test screen pictures, and look at it\n{}",
            path.display(),
            printed.join("\n")
        );
    }
}

/// Returns the lines of a picture that the program did not print.
fn not_printed(picture: &[String], printed: &[String]) -> Vec<String> {
    let printed: BTreeSet<_> = compared(printed).into_iter().flat_map(|(_, words)| words).collect();
    let gone = compared(picture).into_iter().filter(|(_, words)| !words.is_subset(&printed));
    gone.map(|(line, _)| line).collect()
}

/// Returns each line, and those of its words that are compared. Each word begins with the label of its line.
fn compared(lines: &[String]) -> Vec<(String, BTreeSet<String>)> {
    let mut label = String::new();
    let of = |line: &String| {
        let start: String = line.chars().take(LABEL).collect();
        let is_labelled = line.chars().nth(LABEL - 1) == Some(' ') && line.chars().nth(LABEL).is_some_and(|c| c != ' ');
        if is_labelled {
            let own = start.trim();
            label = if own.is_empty() { label.clone() } else { own.to_owned() };
        } else {
            label = String::new();
        }
        let words = if OF_TIMING.contains(&&*label) { BTreeSet::from([String::new()]) } else { words(line) };
        (line.clone(), words.into_iter().map(|word| format!("{label}: {word}")).collect())
    };
    lines.iter().map(of).collect()
}

/// Runs the program. Returns the lines that the picture shows.
fn play(scene: &Scene) -> Vec<Line> {
    let folder = tempfile::tempdir().expect("a folder");
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    std::fs::copy(fixtures.join("prompts.jsonl"), folder.path().join("prompts.jsonl")).expect("it can be copied");
    let mut window = Window::open(folder.path(), scene.arguments, SIZE);
    let command = format!("\x1b[2m$\x1b[0m \x1b[1mclaude-batch {}\x1b[0m\r\n", scene.arguments.join(" "));
    window.terminal.feed(command.as_str());
    let mut lines = Vec::new();
    while let Some(text) = window.next() {
        if lines.is_empty() && scene.moment.iter().any(|moment| text.contains(moment)) {
            lines = visible(&window);
        }
    }
    let code = window.finish();
    let end = visible(&window);
    assert_eq!(code, Some(0), "{}: {}", scene.name, window.shown().join("\n"));
    if lines.is_empty() {
        assert!(scene.moment.is_empty(), "the moment of {} was not seen: {}", scene.name, window.shown().join("\n"));
        return end;
    }
    let same = lines.iter().zip(&end).take_while(|(before, after)| before.text() == after.text()).count();
    lines.push(gap());
    lines.extend_from_slice(&end[same..]);
    lines
}

/// Returns all lines of the terminal, without empty lines at the end.
fn visible(window: &Window) -> Vec<Line> {
    let mut lines: Vec<_> = window.terminal.screen().all_lines().cloned().collect();
    while lines.last().is_some_and(|line| line.text().trim().is_empty()) {
        lines.pop();
    }
    lines
}

/// Returns the line that separates two parts of a picture: a moment during the run, and the end of the run.
fn gap() -> Line {
    let mut terminal = avt::Terminal::new(SIZE.0.into(), 1).expect("a size");
    terminal.feed("\x1b[2m⋮ at the end:\x1b[0m");
    let line = terminal.screen().visible_lines().next().expect("there is a line");
    line.clone()
}

/// Returns the words of a text without colours. Numbers, bars and signs are left out. A word that the terminal wrapped
/// counts as two words.
fn words(text: &str) -> BTreeSet<String> {
    let all = text.split(|char: char| !char.is_alphabetic());
    all.filter(|word| word.len() > 2).map(str::to_owned).collect()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/pictures")
}
