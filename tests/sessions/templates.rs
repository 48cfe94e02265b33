//! Tests templates for tables: several turns of a conversation, system prompts with columns, and columns that contain
//! JSON.

use std::path::Path;

use serde_json::Value;

use crate::support::*;

const TICKETS: &str =
    "id,lang,body,items\n7,Thai,\"Say \"\"hi\"\"\",\"[{\"\"name\"\":\"\"Tea\"\"},{\"\"name\"\":\"\"Milk\"\"}]\"\n";

/// Makes a run in which all rows fail. Returns the lines of the error log. The lines of the error log contain the
/// requests that were sent.
fn requests(folder: &Folder, args: &[&str]) -> Vec<Value> {
    let api = Api::with_faults(r#"{"rules":[{"status":400}]}"#);
    folder.run_at(&api, &[&["run"], args, &["-o", "out.jsonl", "--fresh", "--halt", "never"]].concat()).ends_with(3);
    let log = folder.read("out.errors.jsonl");
    log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn each_turn_of_a_list_is_filled_in_and_answers_are_found_by_the_filled_in_request() {
    let folder = Folder::new();
    let api = Api::quick();
    folder.write("tickets.csv", TICKETS);
    folder.write(
        "chat.json",
        r#"[{"role":"user","content":"In {{ lang }}:"},{"role":"assistant","content":"Yes?"},
            {"role":"user","content":[{"type":"text","text":"{{ body }}{% for i in items %} {{ i.name }}{% endfor %}"}]}]"#,
    );
    let args = ["tickets.csv", "-t", "@chat.json", "-s", "Answer in {{ lang }}."];

    let rows = requests(&folder, &args);
    let run: Vec<_> = [&["run"], &args[..], &["-o", "o.jsonl"]].concat();
    let said = folder.run_at(&api, &run);
    let again = folder.run_at(&api, &run);
    folder.write("chat.json", &folder.read("chat.json").replace("Yes?", "What?"));
    let changed = folder.run_at(&api, &run);

    let expected: Value = serde_json::from_str(
        r#"[{"role":"user","content":"In Thai:"},{"role":"assistant","content":"Yes?"},
            {"role":"user","content":[{"type":"text","text":"Say \"hi\" Tea Milk"}]}]"#,
    )
    .expect("JSON");
    assert_eq!((&rows[0]["params"]["messages"], &rows[0]["params"]["system"]), (&expected, &"Answer in Thai.".into()));
    said.ends_with(0).tells(&[
        "1 answered",
        "note: --template is a list of 3 messages",
        "note: --system is a template, filled in from each row (columns: lang)",
    ]);
    again.ends_with(0).tells(&["nothing to do"]);
    changed.ends_with(2).tells(&["1 row has an answer in o.jsonl to another request"]);
    assert_eq!(api.books().requests, 1);
}

#[test]
fn a_system_prompt_without_columns_is_sent_byte_for_byte() {
    let folder = Folder::new();
    folder.write("tickets.csv", TICKETS);
    folder.write("rows.jsonl", "{\"prompt\":\"Hi\",\"lang\":\"Thai\"}\n");
    let json = r#"Answer as {"a": {"b": {}}}, {{}} or {{ first name }}. {body}"#;

    let table = requests(&folder, &["tickets.csv", "-t", "{{body}}", "-s", json]);
    let rows = requests(&folder, &["rows.jsonl", "-s", "Answer in {{ lang }}."]);

    assert_eq!(table[0]["params"]["system"], json);
    assert_eq!(rows[0]["params"]["system"], "Answer in {{ lang }}.");
}

#[test]
fn mistakes_in_templates_are_reported_before_any_row() {
    let folder = Folder::new();
    folder.write("tickets.csv", TICKETS);
    folder
        .write("chat.json", "[{\"role\":\"user\",\"content\":\"{{ body }}\"},\n{\"role\":\"bot\",\"content\":\"x\"}]");
    folder.write("comma.json", "[{\"role\":\"user\",\"content\":\"{{ body }}\"},\n]");
    let run = |args: &[&str]| folder.run(&[&["run", "tickets.csv", "--simulate"], args].concat());

    run(&["-t", "@chat.json"]).ends_with(2).tells(&["--template", "message 2 has the role bot; write user"]);
    run(&["-t", "@comma.json"]).ends_with(2).tells(&["is a list of messages, and is not JSON", "line 2"]);
    run(&["-t", "{{body}}", "-s", "In {{ lnag }}"]).ends_with(2).tells(&["--system names lnag", "did you mean lang?"]);
    assert_eq!(folder.names(), ["chat.json", "comma.json", "tickets.csv"]);
}

#[test]
fn a_cell_that_is_not_json_breaks_only_its_row() {
    let folder = Folder::new();
    let api = Api::quick();
    folder.write("tickets.csv", &format!("{TICKETS}8,Thai,b,\"[1,\"\n9,Thai,c,none\n10,Thai,d,\n"));

    let said = folder.run_at(&api, &["run", "tickets.csv", "-t", "{{body}}{% for i in items %}{{ i }}{% endfor %}"]);

    said.ends_with(3).tells(&[
        "2 rows can't be sent",
        "tickets.csv:3: has a column items that is not JSON (EOF while parsing a value at line 1 column 3)",
        "but the template loops over it; items|list loops over its characters",
        "2 answered",
    ]);
    assert_eq!(api.books().requests, 2);
}

#[test]
fn the_chat_template_in_the_fixtures_works_with_the_tickets() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let (tickets, chat) = (fixtures.join("tickets.csv"), format!("@{}", fixtures.join("chat.json").display()));
    let folder = Folder::new();

    let said = folder.run(&["run", &tickets.display().to_string(), "-t", &chat, "--simulate", "--dry-run"]);

    said.ends_with(0).tells(&["116 rows to send", "columns sent: language, subject, body, priority"]);
}
