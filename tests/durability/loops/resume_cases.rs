//! Tests what a second run does when something has changed after the first run. Each case runs the real program, which
//! must do what the documentation says.

use std::fs;

use super::Seen;
use super::program::{Api, Outcome, Workspace};

const FAULTS: &str = r#"{"rules":[{"status":400,"contains":"hopeless"}]}"#;
/// Three rows with an id, two rows without an id, and one row that always fails.
const INPUT: &str = "\
{\"custom_id\":\"a\",\"prompt\":\"first\"}
{\"custom_id\":\"b\",\"prompt\":\"second\"}
{\"custom_id\":\"c\",\"prompt\":\"third\",\"temperature\":0.5}
{\"prompt\":\"fourth\"}
{\"prompt\":\"fifth\"}
{\"custom_id\":\"f\",\"prompt\":\"hopeless\"}
";

/// A case: the change after the first run, the second command, and the expected result.
pub struct Case {
    /// The change after the first run.
    pub change: &'static str,
    /// The expected reaction of the second run to the change.
    pub answer: &'static str,
    meddle: fn(&Workspace),
    args: &'static [&'static str],
    /// The expected result: exit code, number of requests, and a part of the messages.
    expected: (i32, u64, &'static str),
}

const SAME: &[&str] = &["run", "in.jsonl", "-o", "out.jsonl"];

fn nothing(_: &Workspace) {}

fn edit(workspace: &Workspace, name: &str, change: impl Fn(String) -> String) {
    let text = fs::read_to_string(workspace.path(name)).expect("it is text");
    fs::write(workspace.path(name), change(text)).expect("it can be written");
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn append(workspace: &Workspace, name: &str, bytes: &[u8]) {
    let mut content = fs::read(workspace.path(name)).expect("it is there");
    content.extend_from_slice(bytes);
    fs::write(workspace.path(name), content).expect("it can be written");
}

fn keep_named(workspace: &Workspace) {
    edit(workspace, "in.jsonl", |text| lines(&text)[..3].concat());
}

macro_rules! case {
    ($change:expr, $answer:expr, $meddle:expr, $args:expr, $code:expr, $sent:expr, $says:expr) => {
        Case { change: $change, answer: $answer, meddle: $meddle, args: $args, expected: ($code, $sent, $says) }
    };
}

/// Every case.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case!("nothing", "nothing is sent; failed rows stay failed", nothing, SAME, 3, 0, "1 failed"),
    case!("nothing, with --retry-failed", "only failed rows are sent", nothing, &["run", "in.jsonl", "-o", "out.jsonl", "--retry-failed"], 3, 1, ""),
    case!("rows reordered", "nothing is sent", |workspace| edit(workspace, "in.jsonl", |text| lines(&text).into_iter().rev().collect()), SAME, 3, 0, ""),
    case!("a named row inserted", "it is sent", |workspace| edit(workspace, "in.jsonl", |text| format!("{{\"custom_id\":\"new\",\"prompt\":\"x\"}}\n{text}")), SAME, 3, 1, ""),
    case!("an unnamed row inserted at the top", "it is sent; the unnamed rows after it stay done", |workspace| edit(workspace, "in.jsonl", |text| format!("{{\"prompt\":\"x\"}}\n{text}")), SAME, 3, 1, ""),
    case!("an unnamed row repeated", "the second of the equal rows is sent", |workspace| append(workspace, "in.jsonl", b"{\"prompt\":\"fourth\"}\n"), SAME, 3, 1, ""),
    case!("a row removed", "nothing is sent; its answer stays", |workspace| edit(workspace, "in.jsonl", |text| lines(&text)[1..].concat()), SAME, 3, 0, ""),
    case!("the failed row removed", "nothing is sent; its entry in the error log stays", |workspace| edit(workspace, "in.jsonl", |text| lines(&text)[..5].concat()), SAME, 0, 0, "1 row that this run did not read"),
    case!("a named row edited", "refused: it has an answer to another request", |workspace| edit(workspace, "in.jsonl", |text| text.replace("first", "1st")), SAME, 2, 0, "--rerun-changed"),
    case!("a named row edited, with --rerun-changed", "it is sent; its answer replaces the earlier one", |workspace| edit(workspace, "in.jsonl", |text| text.replace("first", "1st")), &["run", "in.jsonl", "-o", "out.jsonl", "--rerun-changed"], 3, 1, ""),
    case!("a named row edited, with --fresh", "everything is sent; the old results are kept under another name", |workspace| edit(workspace, "in.jsonl", |text| text.replace("first", "1st")), &["run", "in.jsonl", "-o", "out.jsonl", "--fresh"], 3, 6, ""),
    case!("an unnamed row edited", "it counts as a new row and is sent", |workspace| edit(workspace, "in.jsonl", |text| text.replace("fourth", "4th")), SAME, 3, 1, ""),
    case!("a failed row edited", "it is sent", |workspace| edit(workspace, "in.jsonl", |text| text.replace("hopeless", "hopeful")), SAME, 0, 1, ""),
    case!("a name given to an unnamed row", "it counts as a new row and is sent", |workspace| edit(workspace, "in.jsonl", |text| text.replace("{\"prompt\":\"fourth\"}", "{\"id\":\"d\",\"prompt\":\"fourth\"}")), SAME, 3, 1, ""),
    case!("blanks between JSON tokens", "nothing is sent", |workspace| edit(workspace, "in.jsonl", |text| text.replace("\":", "\" : ")), SAME, 3, 0, ""),
    case!("the order of a row's members", "nothing is sent", |workspace| edit(workspace, "in.jsonl", |text| text.replace("{\"custom_id\":\"c\",\"prompt\":\"third\",\"temperature\":0.5}", "{\"temperature\":0.5,\"prompt\":\"third\",\"custom_id\":\"c\"}")), SAME, 3, 0, ""),
    case!("another --model, named rows", "refused", keep_named, &["run", "in.jsonl", "-o", "out.jsonl", "-m", "claude-sonnet-4-5"], 2, 0, "--rerun-changed"),
    case!("another --model, unnamed rows", "refused: they can't be distinguished from new ones", |workspace| edit(workspace, "in.jsonl", |text| lines(&text)[3..5].concat()), &["run", "in.jsonl", "-o", "out.jsonl", "-m", "claude-sonnet-4-5"], 2, 0, "--model"),
    case!("another --model, with --rerun-changed", "everything is sent", nothing, &["run", "in.jsonl", "-o", "out.jsonl", "-m", "claude-sonnet-4-5", "--rerun-changed"], 3, 6, ""),
    case!("another --max-tokens", "refused", nothing, &["run", "in.jsonl", "-o", "out.jsonl", "--max-tokens", "5"], 2, 0, "--rerun-changed"),
    case!("another --system", "refused", nothing, &["run", "in.jsonl", "-o", "out.jsonl", "-s", "be brief"], 2, 0, "--rerun-changed"),
    case!("another --param", "refused", nothing, &["run", "in.jsonl", "-o", "out.jsonl", "--param", "top_k=3"], 2, 0, "--rerun-changed"),
    case!("another --api-version", "refused", nothing, &["run", "in.jsonl", "-o", "out.jsonl", "--api-version", "2024-01-01"], 2, 0, "--rerun-changed"),
    case!("a --beta", "refused", nothing, &["run", "in.jsonl", "-o", "out.jsonl", "--beta", "new-thing"], 2, 0, "--rerun-changed"),
    case!("flags that do not change requests", "nothing is sent", nothing, &["run", "in.jsonl", "-o", "out.jsonl", "--max-retries", "1", "--stream", "on", "--fsync", "always"], 3, 0, ""),
    case!("another origin", "refused, with both origins", |workspace| edit(workspace, "out.jsonl.run/manifest.json", |text| text.replace("http://127", "https://api.example.invalid:127")), SAME, 2, 0, "come from"),
    case!("another origin, with --fresh", "everything is sent", |workspace| edit(workspace, "out.jsonl.run/manifest.json", |text| text.replace("http://127", "https://api.example.invalid:127")), &["run", "in.jsonl", "-o", "out.jsonl", "--fresh"], 3, 6, ""),
    case!("another version of the tool", "nothing is sent", |workspace| edit(workspace, "out.jsonl.run/manifest.json", |text| text.replace("\"tool\": \"0.1.0\"", "\"tool\": \"0.0.3\"")), SAME, 3, 0, ""),
    case!("a run folder of a later format version", "refused, naming the version", |workspace| edit(workspace, "out.jsonl.run/manifest.json", |text| text.replace("\"format\": 1", "\"format\": 7")), SAME, 2, 0, "later claude-batch"),
    case!("result lines of a later format version", "refused, naming the version", |workspace| edit(workspace, "out.jsonl", |text| text.replacen("\"v\":1", "\"v\":9", 1)), SAME, 2, 0, "later claude-batch"),
    case!("the run folder removed", "nothing is sent", |workspace| fs::remove_dir_all(workspace.path("out.jsonl.run")).expect("it is there"), SAME, 3, 0, ""),
    case!("a damaged manifest", "nothing is sent, with a note", |workspace| fs::write(workspace.path("out.jsonl.run/manifest.json"), b"\0\0{").expect("it can be written"), SAME, 3, 0, "note: "),
    case!("results cut inside a line", "the half-written line is removed with a note, and its row is sent", |workspace| edit(workspace, "out.jsonl", |text| text[..text.len() - 40].to_owned()), SAME, 3, 1, "removed a half-written line"),
    case!("results cut after a line", "the missing row is sent", |workspace| edit(workspace, "out.jsonl", |text| lines(&text)[..4].concat()), SAME, 3, 1, ""),
    case!("results without the last line break", "it is added with a note; nothing is sent", |workspace| edit(workspace, "out.jsonl", |text| text.trim_end().to_owned()), SAME, 3, 0, "added the missing line break"),
    case!("zeros at the end of the results", "they are removed with a note; nothing is sent", |workspace| append(workspace, "out.jsonl", &[0; 600]), SAME, 3, 0, "zero bytes"),
    case!("foreign lines at the end of the results", "they are moved to another file, with a note; nothing is sent", |workspace| append(workspace, "out.jsonl", b"my notes\n"), SAME, 3, 0, "kept in"),
    case!("a foreign line between results", "refused, naming the line", |workspace| edit(workspace, "out.jsonl", |text| text.replacen('\n', "\nmy notes\n", 1)), SAME, 2, 0, "line 2"),
    case!("results that are somebody else's file", "refused, unchanged", |workspace| fs::write(workspace.path("out.jsonl"), "my notes\n").expect("it can be written"), SAME, 2, 0, "was not changed"),
    case!("the results emptied", "all rows that were answered are sent", |workspace| fs::write(workspace.path("out.jsonl"), "").expect("it can be written"), SAME, 3, 5, ""),
    case!("the results removed", "all rows that were answered are sent", |workspace| fs::remove_file(workspace.path("out.jsonl")).expect("it is there"), SAME, 3, 5, ""),
    case!("the error log removed", "the rows that had failed are sent", |workspace| fs::remove_file(workspace.path("out.errors.jsonl")).expect("it is there"), SAME, 3, 1, ""),
    case!("a second name given to the results (a hard link)", "refused: both names would show what is written", |workspace| fs::hard_link(workspace.path("out.jsonl"), workspace.path("linked.jsonl")).expect("it can be linked"), SAME, 2, 0, "2 names"),
    #[cfg(unix)]
    case!("a second name given to results in a folder where everybody may write, such as /tmp", "refused: both names would show what is written", |workspace| {
        use std::os::unix::fs::PermissionsExt;
        fs::hard_link(workspace.path("out.jsonl"), workspace.path("linked.jsonl")).expect("it can be linked");
        fs::set_permissions(workspace.path(""), fs::Permissions::from_mode(0o1777)).expect("it is ours");
    }, SAME, 2, 0, "2 names"),
    case!("the input renamed", "nothing is sent: unnamed rows are recognized by content", |workspace| fs::rename(workspace.path("in.jsonl"), workspace.path("other.jsonl")).expect("it is there"), &["run", "other.jsonl", "-o", "out.jsonl"], 3, 0, ""),
    case!("the input split into several", "nothing is sent", |workspace| {
        let text = fs::read_to_string(workspace.path("in.jsonl")).expect("it is there");
        fs::write(workspace.path("one.jsonl"), lines(&text)[..4].concat()).expect("it can be written");
        fs::write(workspace.path("two.jsonl"), lines(&text)[4..].concat()).expect("it can be written");
    }, &["run", "one.jsonl", "two.jsonl", "-o", "out.jsonl"], 3, 0, ""),
    case!("a duplicate name appended", "refused before anything is sent", |workspace| append(workspace, "in.jsonl", b"{\"custom_id\":\"a\",\"prompt\":\"y\"}\n"), SAME, 2, 0, "\"a\""),
    case!("the results used as input", "refused", nothing, &["run", "out.jsonl", "-o", "out.jsonl"], 2, 0, "is the input"),
    case!("resume with the error log", "only failed rows are sent", nothing, &["resume", "out.errors.jsonl"], 3, 1, ""),
    case!("resume with an error class that no row has", "nothing is sent", nothing, &["resume", "out.errors.jsonl", "--only", "timeout"], 3, 0, ""),
    case!("resume with the results file", "refused: it is not an error log", nothing, &["resume", "out.jsonl"], 2, 0, "not an error log"),
];

/// Tries every case. Returns the cases that do not behave as documented.
pub fn wrong() -> Vec<String> {
    CASES.iter().filter_map(|case| try_case(case).err()).collect()
}

fn try_case(case: &Case) -> Result<(), String> {
    let (api, workspace) = (Api::start(FAULTS), Workspace::with_rows(0));
    fs::write(workspace.path("in.jsonl"), INPUT).expect("it can be written");
    let first = Outcome::of(workspace.command(&api, SAME));
    assert_eq!(first.code, Some(3), "{first:?}");
    assert_eq!(api.requests(), 6);
    (case.meddle)(&workspace);

    let second = Outcome::of(workspace.command_with_messages(&api, case.args));

    let sent = api.requests() - 6;
    let (code, expected, says) = case.expected;
    if second.code == Some(code) && sent == expected && second.stderr.contains(says) {
        return Ok(());
    }
    Err(format!("{}: {} sent, {second:?}; expected {:?}", case.change, sent, case.expected))
}

/// Runs this loop. Returns the results as lines for `benches/DURABILITY.md`.
pub fn page(_size: super::Size) -> Vec<Seen> {
    let wrong = wrong();
    assert!(wrong.is_empty(), "{wrong:#?}");
    vec![Seen::new("resume cases", "at least 25, each as documented", format!("{}, all as documented", CASES.len()))]
}
