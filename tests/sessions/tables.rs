//! Tests the outputs that are made from the results: tables and texts. A run makes tables and texts at its end, and
//! `results` makes them again.

use std::process::Stdio;

use crate::support::*;

const TICKETS: &str = "id,subject,note\n1,\"Refund, please\",=1+1\n2,Late,\"two\nlines\"\n3,Broken,x\n4,Thanks,\n";

fn tickets() -> Folder {
    let folder = Folder::new();
    folder.write("tickets.csv", TICKETS);
    folder
}

/// Returns the records of a CSV text.
fn records(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    reader.records().map(|record| record.expect("it is CSV").iter().map(str::to_owned).collect()).collect()
}

/// Returns the text of each answer in a results file, by label.
fn texts(results: &str) -> std::collections::BTreeMap<String, String> {
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line");
        let blocks = line["result"]["message"]["content"].as_array().expect("blocks").clone();
        let text = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
        (line["custom_id"].as_str().expect("a label").to_owned(), text)
    };
    results.lines().map(line).collect()
}

#[test]
fn a_table_has_the_columns_of_the_input_and_the_answers() {
    let folder = tickets();
    let api = Api::quick();
    let run = ["run", "tickets.csv", "-t", "Sort: {{subject}}", "-o", "answers.csv"];

    folder.run_at(&api, &run).ends_with(0).tells(&["answers.csv: 4 rows"]);

    let table = records(&folder.read("answers.csv"));
    let answers = texts(&folder.read("answers.csv.results.jsonl"));
    assert_eq!(table[0], ["id", "subject", "note", "text", "error"]);
    assert_eq!(table[1..].iter().map(|row| &*row[0]).collect::<Vec<_>>(), ["1", "2", "3", "4"]);
    assert!(table[1..].iter().all(|row| row[3] == answers[&row[0]] && row[4].is_empty()));
    assert_eq!((&*table[1][1], &*table[1][2], &*table[2][2]), ("Refund, please", "'=1+1", "two\nlines"));
    let made = folder.read("answers.csv");
    std::fs::remove_file(folder.path("answers.csv")).expect("it is there");
    folder.run_at(&api, &run).ends_with(0).tells(&["nothing to do", "answers.csv: 4 rows"]);
    assert_eq!(folder.read("answers.csv"), made);
    assert_eq!(api.books().requests, 4);
}

#[test]
fn results_makes_the_same_table_from_any_file_of_the_run() {
    let folder = tickets();
    let api = Api::quick();
    folder.run_at(&api, &["run", "tickets.csv", "-t", "{{subject}}", "-o", "d.tsv"]).ends_with(0);

    for run in ["d.tsv", "d.tsv.results.jsonl", "d.tsv.results.jsonl.run", "tickets.csv"] {
        folder.run(&["results", run, "-o", "again.tsv"]).ends_with(0).tells(&["again.tsv: 4 rows"]);
        assert_eq!(folder.read("again.tsv"), folder.read("d.tsv"), "{run}");
        let printed = folder.run(&["results", run, "--output-format", "tsv"]);
        assert_eq!(printed.ends_with(0).out, folder.read("d.tsv"), "{run}");
    }
    let texts = folder.run(&["results", "d.tsv", "--output-format", "text", "--null"]);
    assert_eq!(texts.out.split('\0').count(), 5);
}

#[test]
fn rows_without_a_label_get_their_own_answers_back() {
    let folder = Folder::new();
    let api = Api::quick();
    // The program tells equal rows apart by the number of equal rows before each row.
    let rows: String = (0..40).map(|at| format!("{{\"prompt\":\"Say {}.\",\"nr\":{at}}}\n", at % 7)).collect();
    folder.write("rows.jsonl", &rows);
    let fields = "input.nr,id,text";

    folder.run_at(&api, &["run", "rows.jsonl", "-o", "o.csv", "--fields", fields, "-c", "5"]).ends_with(0);

    let table = records(&folder.read("o.csv"));
    let answers = texts(&folder.read("o.csv.results.jsonl"));
    let expected: Vec<_> = (0..40).map(|at| (at.to_string(), format!("rows.jsonl:{}", at + 1))).collect();
    assert_eq!(table[1..].iter().map(|row| (row[0].clone(), row[1].clone())).collect::<Vec<_>>(), expected);
    assert!(table[1..].iter().all(|row| row[2] == answers[&row[1]]));
    folder.run(&["results", "rows.jsonl", "-o", "again.csv", "--fields", fields]).ends_with(0);
    assert_eq!(folder.read("again.csv"), folder.read("o.csv"));
    // A new row at the beginning changes the line numbers of all other rows. The program recognizes these rows by their
    // requests.
    folder.write("rows.jsonl", &format!("\"New.\"\n{rows}"));
    folder.run(&["results", "o.csv", "-o", "moved.csv", "--fields", fields]).ends_with(0);
    assert_eq!(folder.read("moved.csv"), folder.read("o.csv"));
}

#[test]
fn failed_rows_are_in_the_table_and_resume_makes_it_again() {
    let folder = tickets();
    let api = Api::with_faults(
        r#"{"rules": [{"status": 400, "contains": "Refund", "times": 1, "message": "no such thing"}]}"#,
    );
    let said = folder.run_at(&api, &["run", "tickets.csv", "-t", "{{subject}}", "-o", "o.csv", "-c", "1"]);
    said.ends_with(3).tells(&["o.csv: 4 rows"]);
    let failed = records(&folder.read("o.csv"));
    assert!(failed[1][3].is_empty() && failed[1][4].contains("no such thing"), "{failed:?}");
    let only = folder.run(&[
        "results",
        "o.csv",
        "--include",
        "failed",
        "--fields",
        "id,error.class",
        "--output-format",
        "csv",
    ]);
    assert_eq!(only.ends_with(0).out, "id,error.class\n1,invalid_request\n");

    folder.run_at(&api, &["resume", "o.csv.errors.jsonl"]).ends_with(0).tells(&["o.csv: 4 rows"]);

    let table = records(&folder.read("o.csv"));
    assert!(table[1..].iter().all(|row| !row[3].is_empty() && row[4].is_empty()), "{table:?}");
}

#[test]
fn a_pipe_can_have_the_order_and_the_columns_of_its_input() {
    let folder = Folder::new();
    let api = Api::slow(std::time::Duration::from_millis(5));
    let input: String = "nr,prompt\n"
        .chars()
        .chain((0..30).flat_map(|at| format!("{at},Say {at}.\n").chars().collect::<Vec<_>>()))
        .collect();

    let said = feed(folder.command_at(&api, &["run", "-", "--format", "csv", "--output-format", "csv"]), &input);

    said.ends_with(0).tells(&["the pipe is copied to", "input.spool"]);
    let table = records(&said.out);
    assert_eq!(table[0], ["nr", "prompt", "text", "error"]);
    assert_eq!(
        table[1..].iter().map(|row| row[0].clone()).collect::<Vec<_>>(),
        (0..30).map(|at| at.to_string()).collect::<Vec<_>>()
    );
    let results = folder.names().into_iter().find(|name| name.ends_with(".results.jsonl")).expect("it is kept");
    assert_eq!(folder.run(&["results", &results, "--output-format", "csv"]).ends_with(0).out, said.out);
}

#[test]
fn texts_go_to_standard_output_and_the_answers_are_kept() {
    let folder = Folder::new();
    let api = Api::quick();

    let said = feed(folder.command_at(&api, &["run", "--output-format", "text"]), &rows(3));

    assert_eq!(said.ends_with(0).out.lines().count(), 3);
    let results = folder.names().into_iter().find(|name| name.ends_with(".results.jsonl")).expect("it is kept");
    assert_each_once(&folder.read(&results), 3);
}

#[test]
fn results_works_during_a_run_and_after_it_was_killed() {
    let folder = Folder::with_rows(200);
    let api = Api::slow(std::time::Duration::from_millis(20));
    let mut child = folder
        .command_at(&api, &["run", "prompts.jsonl", "-o", "o.csv", "-c", "4"])
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    while whole_lines(&folder.path("o.csv.results.jsonl")) < 20 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }

    let during = folder.run(&["results", "o.csv", "--output-format", "csv"]);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let after = folder.run(&["results", "o.csv", "--output-format", "csv"]);

    let rows = |said: &Said| records(&said.ends_with(0).out).len() as u64 - 1;
    assert!(rows(&during) >= 20 && rows(&after) >= rows(&during));
    assert_eq!(rows(&after), whole_lines(&folder.path("o.csv.results.jsonl")));
    assert!(!folder.path("o.csv").exists(), "an unfinished output never has the final name");
    std::fs::remove_dir_all(folder.path("o.csv.results.jsonl.run")).expect("it is there");
    let without = folder.run(&["results", "o.csv.results.jsonl", "--output-format", "csv", "--order", "done"]);
    assert_eq!(rows(&without), rows(&after), "the answers are not in the run folder");
}

#[test]
fn without_the_run_folder_an_output_is_not_taken_for_the_input() {
    let folder = tickets();
    let api = Api::quick();
    folder.run_at(&api, &["run", "tickets.csv", "-t", "{{subject}}", "-o", "o.csv"]).ends_with(0);
    std::fs::remove_dir_all(folder.path("o.csv.results.jsonl.run")).expect("it is there");

    let alone = folder.run(&["results", "o.csv", "--order", "done", "--output-format", "csv"]);
    let named = folder.run(&["results", "o.csv", "--input", "tickets.csv", "--output-format", "csv"]);

    assert_eq!(records(&alone.ends_with(0).out)[0], ["id", "text", "error"]);
    assert_eq!(records(&alone.out).len(), 5);
    assert_eq!(named.ends_with(0).out, folder.read("o.csv"));
}

#[test]
fn an_output_of_another_program_is_not_overwritten() {
    let folder = tickets();
    let api = Api::quick();
    folder.run_at(&api, &["run", "tickets.csv", "-t", "{{subject}}", "-o", "o.csv"]).ends_with(0);
    // If no row fails, the run leaves no error log.
    folder.write("o.csv.errors.jsonl", "");

    for output in ["tickets.csv", "o.csv.results.jsonl", "o.csv.errors.jsonl"] {
        let before = folder.read(output);
        let said = folder.run(&[
            "results",
            "o.csv",
            "-o",
            output,
            "--output-format",
            if output.ends_with("csv") { "csv" } else { "jsonl" },
        ]);
        assert_eq!(said.code, Some(2), "{output}: {}", said.err);
        assert_eq!(folder.read(output), before);
    }
    let run =
        |fields| folder.run_at(&api, &["run", "tickets.csv", "-t", "{{subject}}", "-o", "p.csv", "--fields", fields]);
    run("input.subjct,text").ends_with(2).tells(&[
        "input.subjct",
        "columns are: id, subject, note",
        "did you mean subject?",
    ]);
    let texts = ["run", "tickets.csv", "-t", "{{subject}}", "-o", "p.txt", "--fields", "id,text"];
    folder.run_at(&api, &texts).ends_with(2).tells(&["text output takes one field"]);
    #[cfg(not(feature = "tables"))]
    folder
        .run_at(&api, &["run", "tickets.csv", "-t", "{{subject}}", "-o", "p.parquet"])
        .ends_with(2)
        .tells(&["--features tables"]);
    assert_eq!(api.books().requests, 4, "nothing was sent for these");
    let fields = ["run", "tickets.csv", "-t", "{{subject}}", "--fields", "id,text", "--dry-run"];
    folder.run_at(&api, &fields).ends_with(0).tells(&["note: the results file has all fields"]);
    folder.run(&["results", "none.csv"]).ends_with(2).tells(&["none.csv: no such file, and no results"]);
    folder
        .run(&["results", "o.csv", "-o", "x.csv", "--output-format", "tsv"])
        .ends_with(2)
        .tells(&["x.csv", "--output-format"]);
    folder.run(&["results", "o.csv", "--fields", "txt"]).ends_with(2).tells(&["did you mean text?"]);
    folder.run(&["results", "o.csv", "-o", "nowhere/x.csv"]).ends_with(2).tells(&["nowhere"]);
}

#[test]
fn files_of_another_run_are_never_overwritten_and_missing_results_are_reported() {
    let folder = tickets();
    let api = Api::quick();
    let run =
        |output| folder.run_at(&api, &["run", "tickets.csv", "-t", "{{subject}}", "-o", output]).ends_with(0).code;
    run("a.jsonl");
    run("b.jsonl");
    run("o.csv");
    folder.write("a.errors.jsonl", "");

    for output in ["a.jsonl", "a.errors.jsonl", "o.csv.results.jsonl", "b.jsonl.run/manifest.json"] {
        let before = folder.read(output);
        let said = folder.run(&["results", "b.jsonl", "--output-format", "jsonl", "-o", output]);
        said.ends_with(2).tells(&["belongs to a run"]);
        assert_eq!(folder.read(output), before, "{output}");
    }
    for _ in 0..2 {
        folder.run(&["results", "b.jsonl", "-o", "copy.jsonl"]).ends_with(0);
    }
    std::fs::remove_file(folder.path("o.csv.results.jsonl")).expect("it is there");
    let table = folder.read("o.csv");
    folder.run(&["results", "o.csv", "-o", "o.csv"]).ends_with(2).tells(&["o.csv.results.jsonl is missing"]);
    assert_eq!(folder.read("o.csv"), table);
    folder.run(&["results", "a.jsonl", "-o", "t.xlsx"]).ends_with(2).tells(&["does not write xlsx files"]);
}

#[test]
fn an_output_is_made_again_but_the_input_of_a_run_is_not_replaced() {
    let folder = tickets();
    let api = Api::quick();
    let run = |input, output| {
        folder.run_at(&api, &["run", input, "-t", "{{subject}}", "-o", output]).ends_with(0);
    };
    run("tickets.csv", "a.jsonl");

    for _ in 0..2 {
        folder.run(&["results", "a.jsonl", "-o", "next.csv"]).ends_with(0);
    }
    run("next.csv", "second.jsonl");
    let before = folder.read("next.csv");
    let told = ["next.csv is the input of a run (its results are in second.jsonl) and would be overwritten"];
    folder.run(&["results", "a.jsonl", "-o", "next.csv"]).ends_with(2).tells(&told);
    assert_eq!(folder.read("next.csv"), before);
}

#[cfg(target_os = "linux")]
#[test]
fn an_output_that_can_not_be_written_has_its_own_exit_code() {
    let folder = tickets();
    let api = Api::quick();
    folder.run_at(&api, &["run", "tickets.csv", "-t", "{{subject}}", "-o", "o.csv"]).ends_with(0);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has one");

    let mut command = folder.command(&["results", "o.csv", "--output-format", "csv"]);
    let said = Said::of(command.stdout(Stdio::from(full)).output().expect("it starts"));

    assert_eq!(said.code, Some(7), "{}", said.err);
}

#[test]
fn an_input_that_was_changed_after_the_run_is_reported() {
    let folder = tickets();
    let api = Api::quick();
    folder.run_at(&api, &["run", "tickets.csv", "-t", "{{subject}}", "-o", "o.csv"]).ends_with(0);
    let told = |said: &Said| said.err.contains("tickets.csv is not as the run read it");
    assert!(!told(folder.run(&["results", "o.csv", "--output-format", "csv"]).ends_with(0)));

    folder.write("tickets.csv", &TICKETS.replace("Late", "Late again"));

    assert!(told(folder.run(&["results", "o.csv", "--output-format", "csv"]).ends_with(0)));
}

#[test]
fn without_the_run_folder_rows_without_an_id_get_their_own_answers_or_none() {
    for (flags, is_recognized) in [(&[][..], true), (&["-s", "Be brief."], false)] {
        let (folder, api) = (Folder::new(), Api::quick());
        let run = || folder.run_at(&api, &[&["run", "p.jsonl"][..], flags].concat()).ends_with(0).err.clone();
        let table =
            || folder.run(&["results", "p.results.jsonl", "--input", "p.jsonl", "--fields", "input.prompt,key"]);
        folder.write("p.jsonl", "\"one\"\n{\"prompt\":\"two\"}\n");
        run();
        folder.write("p.jsonl", "\"zero\"\n\"one\"\n{\"prompt\":\"two\"}\n");
        run();
        let before = table();
        std::fs::remove_dir_all(folder.path("p.results.jsonl.run")).expect("there is a run folder");

        let after = table();

        assert_eq!(before.out.lines().count(), 3, "{before:?}");
        if is_recognized {
            assert_eq!((after.code, &after.out), (before.code, &before.out), "{after:?}");
        } else {
            after.ends_with(2).tells(&["two rows have the label p.jsonl:1", "--order done"]);
        }
    }
}

#[test]
fn rows_that_are_found_only_by_their_line_are_announced() {
    let (folder, api) = (Folder::new(), Api::quick());
    folder.write("p.jsonl", "{\"prompt\":\"one\"}\n{\"prompt\":\"two\"}\n");
    folder.run_at(&api, &["run", "p.jsonl", "-s", "Be brief."]).ends_with(0);
    std::fs::remove_dir_all(folder.path("p.results.jsonl.run")).expect("there is a run folder");

    let table = folder.run(&["results", "p.jsonl", "--fields", "input.prompt,text", "--output-format", "csv"]);

    table.ends_with(0).tells(&["2 rows without an id are found by file and line"]);
}
