//! Tests inputs as users have them: rows of many forms (some of them broken), tables, parts of inputs, and several
//! files.

use crate::support::*;

#[test]
fn broken_rows_affect_no_other_row() {
    let folder = Folder::new();
    let api = Api::quick();
    folder.write(
        "prompts.jsonl",
        "{\"id\":\"a\",\"prompt\":\"a\"}\n{broken\n\n{\"id\":\"b\",\"prompt\":\"b\"}\n{\"id\":\"c\",\"x\":1}\n[1]\n\"bare\"\n",
    );

    let said = folder.run_at(&api, &["run", "prompts.jsonl"]);
    let again = folder.run_at(&api, &["run", "prompts.jsonl"]);
    let resumed = folder.run_at(&api, &["resume", "prompts.errors.jsonl"]);

    said.ends_with(3).tells(&["3 answered", "3 failed\n", " invalid_input: ", "prompts.jsonl:2:2"]);
    again.ends_with(3);
    resumed.ends_with(3).tells(&["nothing to do", "3 rows", "correct the input"]);
    assert_eq!(api.books().requests, 3);
    let errors = folder.read("prompts.errors.jsonl");
    assert_eq!(errors.lines().count(), 3, "a broken row is in the log once, no matter how often it is read");
    let first: serde_json::Value = serde_json::from_str(errors.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["error"]["line"], 2);
    assert_eq!(first["error"]["class"], "invalid_input");
    assert_eq!(first["raw"], "{broken");
}

#[test]
fn after_a_row_without_an_id_was_corrected_the_old_row_in_the_log_is_no_failure_of_the_run() {
    let folder = Folder::new();
    let api = Api::quick();
    let rows = |temperature| format!("{{\"prompt\":\"a\"}}\n{{\"prompt\":\"b\",\"temperature\":{temperature}}}\n");
    let run = || folder.run_at(&api, &["run", "prompts.jsonl"]);
    folder.write("prompts.jsonl", &rows(7));
    let refused = run();
    let unchanged = run();

    folder.write("prompts.jsonl", &rows(1));
    let corrected = run();
    let again = run();

    refused.ends_with(3).tells(&["1 answered, 1 failed", "correct them"]);
    unchanged.ends_with(3).tells(&["1 answered, 1 failed", "correct them"]);
    let elsewhere = "1 row that this run did not read";
    corrected.ends_with(0).tells(&["2 of 2 answered", "prompts.errors.jsonl", elsewhere]);
    again.ends_with(0).tells(&["all 2 rows are answered", "prompts.errors.jsonl", elsewhere]);
    for said in [corrected, again] {
        assert!(!said.err.contains("correct them") && !said.err.contains("resume"), "{}", said.err);
    }
    assert_eq!(folder.read("prompts.errors.jsonl").lines().count(), 1, "the log is not changed");
}

#[test]
fn a_sorted_file_is_read_from_several_places_and_the_run_says_so_beforehand() {
    let folder = Folder::new();
    let api = Api::quick();
    let row = |words| format!("{{\"prompt\":\"{}\"}}\n", "word ".repeat(words));
    let sorted: String = (0..900).map(|number| row(if number < 600 { 1 + number } else { 2_000 + number })).collect();
    folder.write("sorted.jsonl", &sorted);
    let limits = ["--rpm", "100", "--itpm", "100000", "--otpm", "1000000"];

    let said = folder.run_at(&api, &[&["run", "sorted.jsonl", "--dry-run"], &limits[..]].concat());
    let unlimited = folder.run_at(&api, &["run", "sorted.jsonl", "--dry-run", "--tier", "none"]);

    said.ends_with(0).tells(&["read from", "places in turn", "% less time than the order of the file"]);
    unlimited.ends_with(0);
    assert!(!unlimited.err.contains("places in turn"), "{}", unlimited.err);
}

#[test]
fn a_corrected_row_is_answered_by_the_same_command() {
    let folder = Folder::new();
    let api = Api::quick();
    folder.write("prompts.jsonl", "{\"id\":\"r0\",\"prompt\":\"a\"}\n{\"id\":\"r1\",\"prompt\":\n");
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(3);
    folder.write("prompts.jsonl", "{\"id\":\"r0\",\"prompt\":\"a\"}\n{\"id\":\"r1\",\"prompt\":\"b\"}\n");

    let said = folder.run_at(&api, &["run", "prompts.jsonl"]);

    said.ends_with(0).tells(&["answered (this run: 1)"]);
    assert_each_once(&folder.read("prompts.results.jsonl"), 2);
    assert_eq!(folder.read_log("prompts.errors.jsonl"), "");
}

#[test]
fn the_rows_of_a_table_are_sent_with_a_template() {
    let folder = Folder::new();
    let api = Api::quick();
    folder.write("tickets.csv", "id,subject,body\n7,Lost,\"My parcel, again\"\n8,Late,\"Two\nlines\"\n");

    let said = folder.run_at(&api, &["run", "tickets.csv", "-t", "{{subject}}: {{body}}", "--max-tokens", "60"]);

    said.ends_with(0).tells(&["2 answered", "tickets.csv.results.jsonl"]);
    let mut found = ids(&folder.read("tickets.csv.results.jsonl"));
    found.sort();
    assert_eq!(found, ["7", "8"]);
}

#[test]
fn rows_of_a_part_keep_their_identity_in_the_whole_input() {
    let folder = Folder::with_rows(10);
    let api = Api::quick();

    folder.run_at(&api, &["run", "prompts.jsonl", "--skip", "2", "--limit", "3"]).ends_with(0).tells(&["3 answered"]);
    let mut part = ids(&folder.read("prompts.results.jsonl"));
    part.sort();
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0).tells(&["10 of 10 answered (this run: 7)"]);

    assert_eq!(part, ["r2", "r3", "r4"]);
    assert_each_once(&folder.read("prompts.results.jsonl"), 10);
}

#[test]
fn rows_without_an_id_that_equal_a_row_of_another_part_are_sent_and_are_in_the_table() {
    let folder = Folder::new();
    let api = Api::quick();
    folder.write("words.csv", "prompt\ngreat\nlate\nwrong\nok\nbroken\ngreat\nlate\nno\n");
    let part = |output, part: &[&str]| folder.run_at(&api, &[&["run", "words.csv", "-o", output], part].concat());
    let (first, second) = (["--limit", "4"], ["--skip", "4", "--limit", "4"]);

    for (output, parts) in [("a.csv", [&first[..], &second]), ("b.csv", [&second, &first])] {
        part(output, parts[0]).ends_with(0).tells(&["4 rows to send", ": 4 answered"]);
        part(output, parts[1]).ends_with(0).tells(&["4 rows to send", ": 8 answered (this run: 4)", ".csv: 8 rows"]);
        part(output, &[]).ends_with(0).tells(&["nothing to do: all 8 rows are answered"]);
    }
    assert_eq!(api.books().billed_calls, 16);
}

#[test]
fn several_inputs_make_one_run() {
    let folder = Folder::with_rows(3);
    let api = Api::quick();
    folder.write("more.csv", "id,prompt\nr3,Three\nr4,Four\n");

    let nameless = folder.run_at(&api, &["run", "prompts.jsonl", "more.csv"]);
    let said = folder.run_at(&api, &["run", "prompts.jsonl", "more.csv", "-o", "out.jsonl"]);

    nameless.ends_with(2).tells(&["2 inputs", "-o"]);
    said.ends_with(0).tells(&["5 answered"]);
    assert_each_once(&folder.read("out.jsonl"), 5);
}

#[test]
fn each_text_file_of_a_folder_is_a_row() {
    let folder = Folder::new();
    let api = Api::quick();
    for (name, text) in
        [("letters/2.txt", "two"), ("letters/10.txt", "ten"), ("letters/old/1.md", "one"), ("letters/x.csv", "")]
    {
        folder.write(name, text);
    }
    let ask = ["-t", "Sum up {{ name }}: {{ text }}"];
    let run = |typed: &[&str]| folder.run_at(&api, &[typed, &ask].concat());

    let checked = folder.run(&[&["check", "letters"], &ask[..]].concat());
    let inside = run(&["run", "letters", "-o", "letters/out.txt"]);
    let said = run(&["run", "letters/"]);
    let again = run(&["run", "letters"]);
    folder.write("letters/2.txt", "another two");
    let changed = run(&["run", "letters"]);

    assert!(checked.ends_with(0).out.contains("3 rows: 3 can be sent"), "{}", checked.out);
    inside.ends_with(2).tells(&["letters/out.txt would be a row of the input letters"]);
    said.ends_with(0)
        .tells(&["letters: 3 text files, a row each; left out: 1 file of another kind (x.csv)", "3 answered"]);
    again.ends_with(0).tells(&["nothing to do: all 3 rows are answered", "letters.results.jsonl"]);
    changed.ends_with(2).tells(&["\"2.txt\" (letters/2.txt:1)", "--rerun-changed"]);
    let mut found = ids(&folder.read("letters.results.jsonl"));
    found.sort();
    assert_eq!(found, ["10.txt", "2.txt", "old/1.md"]);
}

#[test]
fn each_text_file_on_the_command_line_is_a_row_with_its_path_as_label() {
    let folder = Folder::new();
    let api = Api::quick();
    folder.write("a.txt", "two\nlines\n");
    folder.write("b.md", "more");

    let nameless = folder.run_at(&api, &["run", "a.txt", "./b.md"]);
    let said = folder.run_at(&api, &["run", "a.txt", "./b.md", "-o", "out.jsonl"]);
    let lines = folder.run_at(&api, &["run", "a.txt", "--format", "lines", "-o", "lines.jsonl"]);

    nameless.ends_with(2).tells(&["2 inputs", "-o"]);
    said.ends_with(0).tells(&["a.txt and 1 more: text as one prompt, 2 rows", "2 answered"]);
    lines.ends_with(0).tells(&["a.txt: a prompt a line, 2 rows"]);
    let mut found = ids(&folder.read("out.jsonl"));
    found.sort();
    assert_eq!(found, ["./b.md", "a.txt"]);
}

#[test]
fn rows_before_damage_are_answered_and_the_rest_when_the_file_is_whole() {
    let folder = Folder::with_rows(40);
    let api = Api::quick();
    let packed = gzip(folder.read("prompts.jsonl").as_bytes());
    folder.write("rows.jsonl.gz", &packed[..packed.len() * 3 / 4]);

    let strict = folder.run_at(&api, &["run", "rows.jsonl.gz", "--strict"]);
    let dry = folder.run_at(&api, &["run", "rows.jsonl.gz", "--dry-run"]);
    let sent_before = api.books().requests;
    let checked = folder.run(&["check", "rows.jsonl.gz"]);
    let said = folder.run_at(&api, &["run", "rows.jsonl.gz"]);
    let again = folder.run_at(&api, &["run", "rows.jsonl.gz"]);
    let answered = ids(&folder.read("rows.jsonl.gz.results.jsonl")).len();
    folder.write("rows.jsonl.gz", &packed);
    let whole = folder.run_at(&api, &["run", "rows.jsonl.gz"]);

    let place = format!("rows.jsonl.gz: is damaged after line {answered}: the gzip data ends too early");
    assert!(sent_before == 0 && answered > 5 && answered < 40, "{answered} answered, {sent_before} sent before");
    strict.ends_with(2).tells(&["--strict: ", &*place]);
    dry.ends_with(2).tells(&[&place, "nothing was sent"]);
    assert!(checked.ends_with(2).out.contains(&place), "{}", checked.out);
    said.ends_with(2).tells(&[&place, "the rows before this place are sent", "run the same command to resume"]);
    again.ends_with(2).tells(&["nothing to do", &place]);
    whole.ends_with(0).tells(&["JSON lines (gzip), 40 rows"]);
    assert_each_once(&folder.read("rows.jsonl.gz.results.jsonl"), 40);
    assert_eq!(api.books().requests, 40);
}

#[test]
fn the_format_of_a_pipe_is_recognized_or_the_message_says_what_to_type() {
    let folder = Folder::new();
    let api = Api::quick();
    let run = |args: &[&str], input: &[u8]| feed(folder.command_at(&api, &[&["run"], args].concat()), input);

    let packed = run(&[], &gzip(b"{\"id\":1,\"prompt\":\"a\"}\n\"b\"\n"));
    let unclear = run(&[], b"What is a lamp?\nWhat is a desk?\n");
    let sent = api.books().requests;
    let lines = run(&["--format", "lines"], b"What is a lamp?\nWhat is a desk?\n");
    let text = run(&["--format", "text"], b"What is a lamp?\nWhat is a desk?\n");

    packed.ends_with(0).tells(&["note: stdin: JSON lines (gzip)", "2 answered"]);
    unclear.ends_with(2).tells(&["--format lines", "--format text"]);
    assert!(!unclear.err.contains("broke off"), "{}", unclear.err);
    assert_eq!(sent, 2);
    lines.ends_with(0).tells(&["2 answered"]);
    text.ends_with(0).tells(&["1 answered"]);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packer, bytes).and_then(|()| packer.finish()).expect("a write to memory never fails")
}

#[test]
fn columns_that_are_not_sent_are_named_once() {
    let folder = Folder::new();
    folder.write("tickets.csv", "id,subject,body,date\n1,a,b,c\n2,d,e,f\n");
    folder.write("rows.jsonl", "{\"id\":1,\"body\":\"a\",\"note\":1}\n{\"id\":2,\"body\":\"b\"}\n");
    let template = ["-t", "About {subject}: {{ body }}", "-s", "Answer in {date}."];
    let run = |input| folder.run(&[&["run", input, "--simulate", "--dry-run"], &template[..]].concat());

    let (csv, json) = (run("tickets.csv"), run("rows.jsonl"));

    csv.ends_with(0).tells(&[
        "tickets.csv: CSV, ",
        "; columns sent: body; id is the label; not sent: subject, date",
        "warning: {subject} in the template is sent unchanged; write {{ subject }} to send the column",
        "warning: --system is sent unchanged: the column date is not filled in",
    ]);
    assert_eq!(csv.err.matches("not sent:").count(), 1, "{}", csv.err);
    json.ends_with(0).tells(&["rows.jsonl: JSON lines, ", "; columns sent: body; not sent: note"]);
    assert!(!json.err.contains("warning"), "{}", json.err);
}

#[test]
fn if_all_rows_have_the_same_request_a_warning_comes_before_they_are_sent() {
    let folder = Folder::new();
    folder.write("same.csv", "id,body\n1,a\n2,b\n3,c\n");
    folder.write("other.csv", "id,body\n1,a\n2,b\n");
    let run = |input, template| folder.run(&["run", input, "--simulate", "--dry-run", "-t", template]);

    let same = run("same.csv", "{% if false %}{{ body }}{% endif %}Classify");
    let other = run("other.csv", "{{ body }}");

    same.ends_with(0).tells(&["warning: all 3 rows have the same request"]);
    assert!(!other.err.contains("have the same request"), "{}", other.err);
}

#[test]
fn a_dry_run_needs_no_key_and_leaves_nothing() {
    let folder = Folder::with_rows(4);

    let said = folder.run(&["run", "prompts.jsonl", "--dry-run"]);

    said.ends_with(0).tells(&["4 rows to send", "about $", "nothing was sent"]);
    assert_eq!(folder.names(), ["prompts.jsonl"]);
}

#[test]
fn a_dry_run_knows_what_earlier_runs_answered_and_counts_only_the_rest() {
    let folder = Folder::with_rows(7);
    let api = Api::with_faults(r#"{"rules":[{"status":400,"contains":"number 2."}]}"#);
    folder.run_at(&api, &["run", "prompts.jsonl", "--limit", "4"]).ends_with(3);
    let before = folder.contents();

    let rest = folder.run_at(&api, &["run", "prompts.jsonl", "--dry-run"]);
    let failed = folder.run_at(&api, &["run", "prompts.jsonl", "--dry-run", "--retry-failed"]);
    let resumed = folder.run_at(&api, &["resume", "prompts.errors.jsonl", "--dry-run"]);

    rest.ends_with(0).tells(&["3 rows to send (3 done by earlier runs)", "nothing was sent"]);
    failed.ends_with(0).tells(&["4 rows to send (3 done by earlier runs)"]);
    resumed.ends_with(0).tells(&["1 row to send", "nothing was sent"]);
    assert!(folder.contents() == before, "{:?}", folder.names());
    assert_eq!(api.books().requests, 4);
}

#[test]
fn strict_refuses_to_start_over_a_broken_row() {
    let folder = Folder::new();
    folder.write("prompts.jsonl", "{\"prompt\":\"a\"}\n{\n");

    let said = folder.run(&["run", "prompts.jsonl", "--simulate", "--strict"]);

    said.ends_with(2).tells(&["--strict", "prompts.jsonl:2"]);
    assert_eq!(folder.names(), ["prompts.jsonl"]);
}

#[test]
fn if_an_input_has_no_rows_there_is_nothing_to_do() {
    let folder = Folder::new();
    for (name, text) in [("empty.jsonl", ""), ("blank.jsonl", "\n \n\r\n"), ("header.csv", "prompt\n")] {
        folder.write(name, text);

        let said = folder.run(&["run", name, "--simulate"]);

        said.ends_with(0).tells(&["nothing to do", name]);
    }
    let piped = feed(folder.command(&["run", "--simulate"]), "");
    piped.ends_with(0).tells(&["nothing to do"]);
    assert_eq!(folder.names(), ["blank.jsonl", "empty.jsonl", "header.csv"]);
}

#[test]
fn a_repeated_id_on_a_pipe_fails_only_the_later_row() {
    let folder = Folder::new();
    let api = Api::quick();

    let said = feed(folder.command_at(&api, &["run"]), &format!("{}{}", rows(3), rows(1)));

    said.ends_with(3);
    assert_each_once(&said.out, 3);
    let log = folder.names().pop().expect("there is a log");
    let errors = folder.read(&log);
    assert!(errors.contains("\"invalid_input\"") && errors.contains("used by an earlier row"), "{errors}");
}

#[test]
fn if_an_input_is_cut_short_while_it_is_read_the_run_says_so_and_loses_nothing() {
    let rows_of_it = 1_200;
    let folder = Folder::new();
    // The file is so large that the program reads only a part of it ahead.
    let whole =
        rows(rows_of_it).replace("{\"custom_id\"", &format!("{{\"note\":\"{}\",\"custom_id\"", "x".repeat(3_000)));
    folder.write("prompts.jsonl", &whole);
    let api = Api::quick();
    let child = folder.command_at(&api, &["run", "prompts.jsonl", "-c", "1"]).spawn().expect("it starts");
    api.wait_for_requests(1);
    let file = std::fs::OpenOptions::new().write(true).open(folder.path("prompts.jsonl")).expect("the input");
    file.set_len(90_000).expect("it can be cut");

    let cut = finish(child);
    folder.write("prompts.jsonl", &whole);
    let on = folder.run_at(&api, &["run", "prompts.jsonl", "-c", "64", "--tier", "none"]);

    cut.ends_with(2).tells(&[
        "prompts.jsonl",
        "changed while it was read",
        "pending",
        "claude-batch run prompts.jsonl",
    ]);
    on.ends_with(0);
    assert_each_once(&folder.read("prompts.results.jsonl"), rows_of_it);
}

/// The input is a pipe that ends in the middle of a character, so its last line has no line break.
#[test]
fn an_input_that_ends_in_the_middle_of_a_line_loses_only_that_line() {
    let folder = Folder::new();
    let api = Api::quick();

    let cut = feed(folder.command_at(&api, &["run"]), &format!("{}{{\"prompt\":\"cut", rows(3)));
    let whole = feed(folder.command_at(&api, &["run"]), rows(3).trim_end());

    cut.ends_with(3);
    assert_each_once(&cut.out, 3);
    whole.ends_with(0);
    assert_each_once(&whole.out, 3);
}

#[test]
fn an_id_that_is_the_file_and_line_of_a_row_without_an_id_stops_the_run() {
    for rows in [["", r#""id":"p.jsonl:1","#], [r#""id":"p.jsonl:2","#, ""]] {
        let (folder, api) = (Folder::new(), Api::quick());
        let line = |id: &str| format!("{{{id}\"prompt\":\"one\"}}\n");
        folder.write("p.jsonl", &rows.map(line).concat());

        let run = folder.run_at(&api, &["run", "p.jsonl"]);

        run.ends_with(2).tells(&["p.jsonl:2 repeats the id", "first used at p.jsonl:1"]);
        assert_eq!(api.books().requests, 0);
    }
}
