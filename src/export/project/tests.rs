use std::fs;
use std::path::Path;

use super::*;
use crate::export::form::Compression;
use crate::export::output::whole_file;
use crate::journal::MemDisk;
use crate::source::{Input, Options};

/// Returns the results line of an answer with this label.
fn answer(label: &str, quality: &str, text: &str) -> String {
    let text = serde_json::Value::from(text);
    format!(
        r#"{{"custom_id":{},"result":{{"type":"succeeded","message":{{"content":[{{"type":"text","text":{text}}}]}}}},"meta":{{"v":1,"key":"k1:0000000000000000000000000000000{}","quality":"{quality}","usage":{{"output_tokens":7}}}}}}"#,
        serde_json::Value::from(label),
        label.len() % 10
    )
}

fn failure(label: &str, class: &str) -> String {
    format!(
        r#"{{"custom_id":"{label}","params":{{"model":"m"}},"error":{{"class":"{class}","message":"it failed","key":"k1:00000000000000000000000000000001"}}}}"#
    )
}

fn broken(source: &str, line: u64) -> String {
    format!(
        r#"{{"custom_id":null,"raw":"x","error":{{"class":"invalid_input","source":"{source}","line":{line},"message":"is broken"}}}}"#
    )
}

struct Place {
    disk: MemDisk,
    folder: tempfile::TempDir,
}

impl Place {
    fn new(results: &[String], errors: &[String]) -> Self {
        let disk = MemDisk::new();
        let text = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        disk.put("r", text(results).as_bytes());
        disk.put("e", text(errors).as_bytes());
        Self { disk, folder: tempfile::tempdir().expect("there is room") }
    }

    /// Writes an input and returns its name.
    fn input(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("there is room");
        path
    }

    fn made(&self, input: Option<&Path>, change: impl FnOnce(&mut Request)) -> Result<(String, Made), ExportError> {
        self.made_with(&[], input, change)
    }

    /// Returns the output of a run whose answers have these members.
    fn made_with(
        &self,
        members: &[&str],
        input: Option<&Path>,
        change: impl FnOnce(&mut Request),
    ) -> Result<(String, Made), ExportError> {
        let options = Options::default();
        let inputs = |path: &Path| vec![Input::File(path.to_owned())];
        let input = input.map(|path| RunInput { inputs: inputs(path), options, planner: None, has_settings: false });
        let run = Run { results: Some("r".into()), errors: Some("e".into()), input, json_fields: names_of(members) };
        let mut request = Request {
            form: Form::plain(OutputFormat::Csv),
            fields: None,
            order: Order::Input,
            include: None,
            raw_cells: false,
            null: false,
        };
        change(&mut request);
        let out = Path::new("out");
        let made = whole_file(&self.disk, out, Compression::None, |out| project(&self.disk, &[run], &request, out))?;
        Ok((String::from_utf8_lossy(&self.disk.content("out").expect("it was made")).into_owned(), made))
    }
}

fn fields(names: &[&str]) -> Option<Vec<Field>> {
    Some(names.iter().map(|name| Field::parse(name).expect(name)).collect())
}

const TABLE: &str = "id,subject\n1,one\n2,\"two, more\"\n3,=three\n4,four\n";

fn usual() -> Place {
    let results = [answer("3", "ok", "third"), answer("1", "truncated", "first\nline"), answer("9", "ok", "is gone")];
    Place::new(&results, &[failure("2", "server")])
}

#[test]
fn rows_come_in_the_order_of_the_input_with_its_columns() {
    let place = usual();
    let input = place.input("t.csv", TABLE);

    let (table, made) = place.made(Some(&input), |_| {}).expect("all is well");

    let expected = "id,subject,text,error\n1,one,\"first\nline\",\n2,\"two, more\",,it failed\n3,'=three,third,\n";
    assert_eq!(table, expected);
    assert_eq!(made, Made { rows: 3, not_in_input: 1, by_place: 0 });
}

#[test]
fn rows_come_in_the_order_of_completion_with_the_same_cells() {
    let place = usual();
    let input = place.input("t.csv", TABLE);

    let (table, made) = place.made(Some(&input), |request| request.order = Order::Done).expect("all is well");

    let expected = "id,subject,text,error\n3,'=three,third,\n1,one,\"first\nline\",\n2,\"two, more\",,it failed\n";
    assert_eq!(table, expected);
    assert_eq!(made, Made { rows: 3, not_in_input: 1, by_place: 0 });
}

#[test]
fn without_the_input_rows_have_their_label() {
    let place = usual();

    let (table, made) = place.made(None, |request| request.order = Order::Done).expect("all is well");
    let in_order = place.made(None, |_| {});

    assert_eq!(table, "id,text,error\n3,third,\n1,\"first\nline\",\n9,is gone,\n2,,it failed\n");
    assert_eq!(made, Made { rows: 4, not_in_input: 0, by_place: 0 });
    assert!(matches!(in_order, Err(ExportError::NoInput { .. })));
}

#[test]
fn only_the_kinds_of_rows_that_are_asked_for_are_written() {
    let place = usual();
    let input = place.input("t.csv", TABLE);
    let failed = Include { ok: false, truncated: false, refused: false, invalid: false, failed: true };
    let names = ["input.subject", "quality", "error.class", "usage.output_tokens", "model"];

    let (table, _) = place
        .made(Some(&input), |request| {
            request.fields = fields(&names);
            request.include = Some(failed);
        })
        .expect("all is well");

    assert_eq!(table, format!("{}\n\"two, more\",failed,server,,m\n", names.join(",")));
}

#[test]
fn whole_lines_are_copied_as_they_are() {
    let place = usual();
    let input = place.input("t.csv", TABLE);
    let form = Form::plain(OutputFormat::Jsonl);

    let (lines, _) = place.made(Some(&input), |request| request.form = form).expect("all is well");

    let expected = [answer("1", "truncated", "first\nline"), answer("3", "ok", "third")];
    assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn rows_that_are_broken_or_have_a_repeated_label_are_found_by_their_place() {
    let place = Place::new(&[answer("1", "ok", "one")], &[]);
    let input = place.input("t.csv", "id,subject\n1,a\n2,b,c\n1,d\n");
    let name = input.display().to_string();
    let place_of_last = format!("{name}:4");
    place.disk.put("e", format!("{}\n{}\n", broken(&name, 3), failure(&place_of_last, "invalid_input")).as_bytes());

    let (table, made) = place.made(Some(&input), |_| {}).expect("all is well");

    assert_eq!(table, "id,subject,text,error\n1,a,one,\n2,b,,is broken\n1,d,,it failed\n");
    assert_eq!(made.not_in_input, 0);
}

#[test]
fn without_settings_an_unnamed_row_is_found_by_its_line() {
    let folder = usual();
    let input = folder.input("t.jsonl", "\"one\"\n{\"id\":\"2\",\"prompt\":\"two\"}\n\"three\"\n");
    let place = |line: u32| format!("{}:{line}", input.display());
    let unnamed = |line: String| line.replace("\"key\"", "\"occurrence\":0,\"key\"");
    let results = [unnamed(answer(&place(1), "ok", "first")), answer("2", "ok", "second")];
    folder.disk.put("r", results.map(|line| line + "\n").concat().as_bytes());
    folder.disk.put("e", format!("{}\n", unnamed(failure(&place(3), "server"))).as_bytes());

    let (table, made) =
        folder.made(Some(&input), |request| request.fields = fields(&["text", "error"])).expect("all is well");

    assert_eq!((&*table, made.not_in_input), ("text,error\nfirst,\nsecond,\n,it failed\n", 0));
    assert_eq!(made.by_place, 2);
}

#[test]
fn without_settings_no_row_gets_the_answer_of_another_row_with_the_same_label() {
    let folder = usual();
    let input = folder.input("t.jsonl", "\"zero\"\n\"one\"\n");
    let place = format!("{}:1", input.display());
    let unnamed = |key: char| {
        let line = answer(&place, "ok", "text").replace("\"key\"", "\"occurrence\":0,\"key\"");
        line.replace(&"0".repeat(31), &key.to_string().repeat(31)) + "\n"
    };
    let table = |order| folder.made(Some(&input), |request| (request.fields, request.order) = (fields(&["id"]), order));

    folder.disk.put("r", [unnamed('1'), unnamed('1')].concat().as_bytes());
    let same = table(Order::Input);
    folder.disk.put("r", [unnamed('1'), unnamed('2')].concat().as_bytes());
    let (refused, done) = (table(Order::Input), table(Order::Done));

    let made = same.expect("all is well").1;
    assert_eq!(made, Made { rows: 1, not_in_input: 1, by_place: 1 });
    assert!(matches!(&refused, Err(ExportError::SharedLabel { label, .. }) if *label == place), "{refused:?}");
    assert_eq!(done.map(|(_, made)| made.rows).ok(), Some(3));
}

#[test]
fn columns_of_the_input_keep_their_names_and_our_columns_are_renamed() {
    let place = Place::new(&[answer("1", "ok", "one")], &[]);
    let input = place.input("t.csv", "id,text,_text,error\n1,a,b,c\n");

    let (table, _) = place.made(Some(&input), |_| {}).expect("all is well");

    assert_eq!(table, "id,text,_text,error,__text,_error\n1,a,b,c,one,\n");
}

#[test]
fn members_of_json_rows_are_columns_when_they_are_named() {
    let place = Place::new(&[answer("a", "ok", "```json\n{\"label\":\"x\",\"n\":[1,2]}\n```")], &[]);
    let input = place.input("t.jsonl", "{\"id\":\"a\",\"prompt\":\"p\",\"o\":{\"k\":1.50},\"a.b\":true}\n");
    let names = ["id", "input.o.k", "input.a.b", "input.none", "json.label", "json.n", "json.n.1", "json.none"];

    let (table, _) = place.made(Some(&input), |request| request.fields = fields(&names)).expect("all is well");

    assert_eq!(table.lines().nth(1), Some("a,1.50,true,,x,\"[1,2]\",2,"));
}

#[test]
fn several_runs_follow_each_other() {
    let place = usual();
    let run = || Run { results: Some("r".into()), errors: None, input: None, json_fields: Vec::new() };
    let request = Request {
        form: Form::plain(OutputFormat::Text),
        fields: None,
        order: Order::Done,
        include: None,
        raw_cells: false,
        null: false,
    };

    let made = whole_file(&place.disk, Path::new("o"), Compression::None, |out| {
        project(&place.disk, &[run(), run()], &request, out)
    });

    assert_eq!(made.ok(), Some(Made { rows: 6, not_in_input: 0, by_place: 0 }));
    let text = place.disk.content("o").expect("it was made");
    assert_eq!(String::from_utf8_lossy(&text), "third\nfirst\\nline\nis gone\n".repeat(2));
}

#[test]
fn text_output_takes_one_field() {
    let place = usual();

    let made = place.made(None, |request| {
        request.form = Form::plain(OutputFormat::Text);
        request.fields = fields(&["id", "text"]);
        request.order = Order::Done;
    });

    assert!(matches!(made, Err(ExportError::OneField { count: 2 })));
}

fn names_of(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Returns the line of a row whose answer was not accepted.
fn not_accepted(label: &str) -> String {
    let message = r#"{"content":[{"type":"text","text":"{\"label\":\"wrong\"}"}],"stop_reason":"end_turn"}"#;
    failure(label, "invalid_output").replace(r#","error":"#, &format!(r#","message":{message},"error":"#))
}

#[test]
fn the_members_of_answers_are_columns_instead_of_the_text() {
    let call = r#"{"type":"tool_use","id":"t","name":"structured_answer","input":{"label":"c","score":null}}"#;
    let by_tool = answer("3", "ok", "x").replace(r#"{"type":"text","text":"x"}"#, call);
    let fenced = "```JSON\n{\"label\": \"=b\", \"score\": 1.50, \"more\": {\"a \\\" b\": [1, true],\n \"c\": {}}}\n```";
    let results = [answer("1", "ok", fenced), by_tool, answer("4", "ok", "no JSON")];
    let place = Place::new(&results, &[not_accepted("2")]);
    let input = place.input("t.csv", TABLE);
    let names = ["label", "score", "more"];

    let (table, _) = place.made_with(&names, Some(&input), |_| {}).expect("all is well");

    let expected = "id,subject,label,score,more,error\n\
                    1,one,'=b,1.50,\"{\"\"a \\\"\" b\"\":[1,true],\"\"c\"\":{}}\",\n\
                    2,\"two, more\",,,,it failed\n\
                    3,'=three,c,,,\n\
                    4,four,,,,\n";
    assert_eq!(table, expected);
}

#[test]
fn a_member_of_answers_with_the_name_of_another_column_gets_the_name_of_its_field() {
    let place = Place::new(&[answer("1", "ok", r#"{"id":"x","subject":"y","error":"z","a.b":"d","text":"t"}"#)], &[]);
    let input = place.input("t.csv", "id,subject,json.subject\n1,one,two\n");
    let names = ["id", "subject", "error", "a.b", "text"];

    let (table, _) = place.made_with(&names, Some(&input), |_| {}).expect("all is well");
    let (unjoined, _) = place.made_with(&names, None, |request| request.order = Order::Done).expect("all is well");

    let expected = "id,subject,json.subject,json.id,_json.subject,error,a.b,text,_error\n1,one,two,x,y,z,d,t,\n";
    assert_eq!(table, expected);
    assert_eq!(unjoined, "id,json.id,subject,error,a.b,text,_error\n1,x,y,z,d,t,\n");
}

#[test]
fn chosen_fields_texts_and_whole_lines_do_not_depend_on_the_members_of_answers() {
    let place = Place::new(&[answer("1", "ok", r#"{"label":"x"}"#)], &[]);
    let made = |change: &dyn Fn(&mut Request)| {
        let changed = place.made_with(&["label"], None, |request| {
            request.order = Order::Done;
            change(request);
        });
        changed.expect("all is well").0
    };

    assert_eq!(
        made(&|request| request.fields = fields(&["text", "json.label"])),
        "text,json.label\n\"{\"\"label\"\":\"\"x\"\"}\",x\n"
    );
    assert_eq!(made(&|request| request.form = Form::plain(OutputFormat::Text)), "{\"label\":\"x\"}\n");
    assert_eq!(made(&|request| request.form = Form::plain(OutputFormat::Jsonl)).lines().count(), 1);
    assert_eq!(made(&|request| request.form = Form::plain(OutputFormat::Tsv)), "id\tlabel\terror\n1\tx\t\n");
}

#[test]
fn an_answer_that_was_not_accepted_is_found_only_by_the_path_of_its_message() {
    let place = Place::new(&[answer("1", "ok", "one")], &[not_accepted("2"), failure("3", "server")]);
    let names = ["id", "text", "json.label", "message.content.0.text", "stop_reason", "error.class"];

    let (table, _) = place
        .made(None, |request| {
            request.fields = fields(&names);
            request.order = Order::Done;
        })
        .expect("all is well");

    let expected = "1,one,,one,,\n2,,,\"{\"\"label\"\":\"\"wrong\"\"}\",end_turn,invalid_output\n3,,,,,server\n";
    assert_eq!(table, format!("{}\n{expected}", names.join(",")));
}

#[test]
fn runs_with_different_members_have_a_table_with_all_of_them() {
    let place = Place::new(&[answer("1", "ok", r#"{"a":1,"b":2}"#)], &[]);
    let run =
        |members: &[&str]| Run { results: Some("r".into()), errors: None, input: None, json_fields: names_of(members) };
    let request = Request {
        form: Form::plain(OutputFormat::Csv),
        fields: None,
        order: Order::Done,
        include: None,
        raw_cells: false,
        null: false,
    };
    let made = |runs: &[Run]| {
        let made =
            whole_file(&place.disk, Path::new("o"), Compression::None, |out| project(&place.disk, runs, &request, out));
        made.expect("all is well");
        let table = place.disk.content("o").expect("it was made");
        String::from_utf8_lossy(&table).lines().next().map(str::to_owned)
    };

    assert_eq!(made(&[run(&["a"]), run(&["b", "a"])]).as_deref(), Some("id,a,b,error"));
    assert_eq!(made(&[run(&["a"]), run(&[])]).as_deref(), Some("id,a,text,error"));
}
