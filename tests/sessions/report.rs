//! Tests sessions with the command `report`.

use crate::support::*;

#[test]
fn a_report_is_made_after_a_run_and_only_its_owner_can_read_it() {
    let folder = Folder::with_rows(30);
    folder.run(&["run", "prompts.jsonl", "-o", "out.jsonl", "--simulate"]).ends_with(0);

    let said = folder.run(&["report", "prompts.jsonl", "-o", "page.html"]);
    let by_results = folder.run(&["report", "out.jsonl"]);
    let shown = folder.run(&["report", "out.jsonl.run", "-o", "-"]);

    said.ends_with(0).tells(&["report: page.html"]);
    by_results.ends_with(0).tells(&["report: out.jsonl.run"]);
    shown.ends_with(0);
    assert!(folder.read("page.html").contains("30 rows answered"));
    let page = folder.read("out.jsonl.run/report.html");
    assert!(page.contains("<h1>Finished") && page.contains("30 rows answered"), "{page}");
    assert!(page.contains("prompts.jsonl"), "{page}");
    assert!(shown.out.starts_with("<!doctype html>") && shown.out.trim_end().ends_with("</html>"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = folder.path("out.jsonl.run/report.html").metadata().expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_report_never_overwrites_a_file_of_a_run_or_an_input() {
    let folder = Folder::with_rows(3);
    folder.run(&["run", "prompts.jsonl", "-o", "out.jsonl", "--simulate"]).ends_with(0);
    let before = folder.contents();

    for name in ["out.jsonl", "out.errors.jsonl", "prompts.jsonl", "out.jsonl.run/manifest.json", "out.jsonl.run/lock"]
    {
        let said = folder.run(&["report", "out.jsonl", "-o", name]);

        said.ends_with(2).tells(&[name, "another"]);
    }
    assert_eq!(folder.contents(), before);
}

#[test]
fn a_report_replaces_only_a_web_page() {
    let folder = Folder::with_rows(3);
    folder.run(&["run", "prompts.jsonl", "-o", "out.jsonl", "--simulate", "--log", "events.log"]).ends_with(0);
    let log = folder.read("events.log");
    folder.write("page.html", "<!DOCTYPE html><p>An older page");
    folder.write("empty.html", "");

    folder.run(&["report", "out.jsonl", "-o", "events.log"]).ends_with(2).tells(&["events.log is not a web page"]);
    folder.run(&["report", "out.jsonl", "-o", "page.html"]).ends_with(0);
    folder.run(&["report", "out.jsonl", "-o", "empty.html"]).ends_with(0);

    assert_eq!(folder.read("events.log"), log);
    for name in ["page.html", "empty.html"] {
        assert!(folder.read(name).trim_end().ends_with("</html>"), "{name}");
    }
}

#[test]
fn a_run_that_was_killed_has_a_report_that_says_so() {
    let folder = Folder::new();
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/killed-run");
    let files = [("results", "out.jsonl"), ("errors", "out.errors.jsonl"), ("rows.jsonl", "prompts.jsonl")];
    let in_folder = ["holder", "inflight", "lock", "manifest.json"];
    let in_folder = in_folder.map(|name| (format!("folder/{name}"), format!("out.jsonl.run/{name}")));
    for (from, to) in files.map(|(from, to)| (from.to_owned(), to.to_owned())).into_iter().chain(in_folder) {
        folder.write(&to, &std::fs::read(fixture.join(from)).expect("the fixture is there"));
    }

    folder.run(&["report", "out.jsonl"]).ends_with(0);

    let page = folder.read("out.jsonl.run/report.html");
    assert!(page.contains("<h1>Killed. ") && page.contains("may have been billed"), "{page}");
    assert!(
        page.contains("claude-batch run prompts.jsonl -o out.jsonl") && page.contains("claude-batch resume"),
        "{page}"
    );
    assert!(!page.contains("grandmother"), "no prompt is on the page");
}

#[test]
fn results_without_a_run_folder_have_a_report_and_a_missing_run_is_named() {
    let folder = Folder::with_rows(3);
    folder.run(&["run", "prompts.jsonl", "-o", "out.jsonl", "--simulate"]).ends_with(0);
    folder.write("d/copy.jsonl", &folder.read("out.jsonl"));

    let said = folder.run(&["report", "d/copy.jsonl"]);
    let nowhere = folder.run(&["report", "none.jsonl"]);

    said.ends_with(0);
    assert!(folder.read("d/copy.jsonl.report.html").contains("There is no run folder"));
    nowhere.ends_with(2).tells(&["none.jsonl: no such file, and no results"]);
}
