//! Tests inputs that never end, inputs without rows, templates that never end, names that are several megabytes long,
//! and deep nesting. The program must not panic, hang or run out of memory. Common parsers must be able to read every
//! line that the program writes.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use claude_batch::domain::Request;
use claude_batch::provider::anthropic::Anthropic;
use claude_batch::provider::{Provider, Reply, ReplyHead};
use serde_json::Value;

use super::super::page::{Seen, Size};
use super::super::support::{Api, Folder, Said, finish};

/// The time after which a case counts as hanging. Every case takes less than this time, even without optimization and
/// on a busy machine.
const LONGEST: Duration = Duration::from_secs(60);

/// Runs this loop. Returns the results as lines for `benches/SECURITY.md`.
pub fn page(size: Size) -> Vec<Seen> {
    let mut seen = inputs(size);
    seen.extend([templates(size), names(size), nested_rows(size), nested_answers(size)]);
    seen
}

/// Asserts that the program ended by itself, printed little, and did not panic.
#[track_caller]
fn assert_tame(what: &str, said: &Said, begun: Instant) {
    let Said { code, err, .. } = said;
    let start: String = err.chars().take(2_000).collect();
    assert!(code.is_some_and(|code| code != 1 && code != 101), "{what}: {code:?} {start}");
    assert!(!err.contains("panicked") && !err.contains("overflow"), "{what}: {start}");
    assert!(err.len() < 6_000, "{what}: {} bytes of messages: {start}", err.len());
    assert!(begun.elapsed() < LONGEST, "{what}: {:.1?}", begun.elapsed());
}

/// Reads every line of a file with a common parser. Checks that the error messages in the lines are short, and returns
/// the lines.
#[track_caller]
fn lines_of(what: &str, path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let read = |line: &str| {
        let value: Value = serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("{what}: {error}: {}", line.chars().take(200).collect::<String>()));
        let message = value["error"]["message"].as_str().unwrap_or_default();
        assert!(message.len() < 1_500, "{what}: a message of {} bytes", message.len());
        value
    };
    text.lines().map(read).collect()
}

// Inputs.

/// Tests the program with inputs that are not files of rows. Each case has arguments, a standard input, and a part of
/// the expected message.
fn inputs(size: Size) -> Vec<Seen> {
    let folder = Folder::new();
    let mut random = fastrand::Rng::with_seed(7);
    let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(2 << 20).collect();
    fs::write(folder.path("noise"), &noise).expect("the file can be written");
    fs::write(folder.path("noise.jsonl"), &noise).expect("the file can be written");
    fs::write(folder.path("noise.csv"), &noise).expect("the file can be written");
    folder.write("all-broken.jsonl", &"{\"promt\":\"x\"}\n".repeat(200_000));
    folder.write("wrong-format.csv", &format!("prompt\n{}", "a,b\n".repeat(200_000)));
    folder.write("few-broken.jsonl", &format!("{}{{\"prompt\":\"x\"}}\n", "{\"promt\":\"x\"}\n".repeat(900)));
    let sparse = |name: &str, start: &str| {
        let mut file = fs::File::create(folder.path(name)).expect("the file can be created");
        file.write_all(start.as_bytes()).and_then(|()| file.set_len(10 << 30)).expect("a hole takes no room");
    };
    sparse("zeros.jsonl", "");
    sparse("hole.jsonl", "{\"prompt\":\"");
    sparse("hole-in-row-2.jsonl", &format!("{{\"prompt\":\"{}\"}}\n\"", "x".repeat(100_000)));
    sparse("hole-in-quotes.csv", &format!("prompt\n{}\n\"", "x".repeat(100_000)));
    fs::create_dir(folder.path("folder")).expect("the folder can be created");

    let mut cases: Vec<(&str, i32, &str)> = vec![
        ("noise", 2, "binary"),
        ("noise.jsonl", 2, "binary"),
        ("noise.csv", 2, "binary"),
        ("all-broken.jsonl", 2, "none of its first 1000 rows"),
        ("wrong-format.csv", 2, "none of its first 1000 rows"),
        ("few-broken.jsonl", 0, "dry run"),
        ("zeros.jsonl", 2, "NUL"),
        ("hole.jsonl", 2, "binary"),
        ("folder", 2, "is an empty folder"),
        ("missing", 2, "no such file"),
    ];
    if cfg!(unix) {
        cases.extend([
            ("/dev/urandom", 2, "is a device"),
            ("/dev/zero", 2, "is a device"),
            ("/dev/full", 2, "is a device"),
            ("/dev/null", 2, "is a device"),
            ("/dev/tty", 2, "device"),
        ]);
    }
    if cfg!(target_os = "linux") {
        cases.extend([("/proc/self/mem", 2, "/proc/self/mem"), ("/proc/self/environ", 2, "/proc/self/environ")]);
    }
    if size == Size::Full {
        // Each of the next files has a hole (zeros that use no disk space). The program reads a gigabyte of the file
        // before it gives up.
        cases.extend([("hole-in-row-2.jsonl", 2, "longer than 1 GiB"), ("hole-in-quotes.csv", 2, "longer than 1 GiB")]);
    }
    let mut longest = Duration::ZERO;
    for (input, code, says) in &cases {
        let begun = Instant::now();

        let said = folder.run(&["run", input, "--simulate", "--dry-run"]);

        assert_tame(input, &said, begun);
        assert!(said.code == Some(*code) && said.err.contains(says), "{input}: {said:?}");
        longest = longest.max(begun.elapsed());
    }
    let mut seen = vec![Seen::new(
        "inputs that are not files of rows: devices, folders, random bytes, holes, rows that are all broken",
        "each is refused with a message, after at most a gigabyte was read",
        format!("{} tried, all as expected; the longest took {longest:.1?}", cases.len()),
    )];
    seen.extend(streams(size));
    seen
}

/// Tests a standard input that never ends. The test writes the same bytes again and again until the program stops
/// reading.
fn streams(size: Size) -> Option<Seen> {
    if !Path::new("/proc/self/status").exists() {
        return None;
    }
    let noise: Vec<u8> = {
        let mut random = fastrand::Rng::with_seed(9);
        std::iter::repeat_with(|| random.u8(..)).take(1 << 20).collect()
    };
    let mut cases = vec![
        ("random bytes", noise, "binary"),
        ("rows that are all broken", b"{\"a\":1}\n".repeat(10_000), "none of its"),
    ];
    if size == Size::Full {
        cases.push(("one line", vec![b'x'; 1 << 20], "longer than 1 GiB"));
        cases.push(("one quoted record", b"x\n".repeat(150_000), ""));
    }
    let count = cases.len();
    for (what, piece, says) in cases {
        let (folder, begun) = (Folder::new(), Instant::now());
        let mut child = folder
            .command(&[
                "run",
                "-",
                "-o",
                "out.jsonl",
                "--simulate",
                "--format",
                if says.is_empty() { "csv" } else { "jsonl" },
            ])
            .stdin(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let writing = std::thread::spawn(move || {
            let start = if says.is_empty() { &b"prompt\n\""[..] } else { b"" };
            let mut is_open = stdin.write_all(start).is_ok();
            // The number of writes is limited, in case the program never stops reading.
            for _ in 0..4_000 {
                is_open = is_open && stdin.write_all(&piece).is_ok();
            }
            is_open
        });

        let said = finish(child);

        assert!(!writing.join().expect("the writing thread does not panic"), "{what}: the program read all of it");
        assert_tame(what, &said, begun);
        assert!(said.code == Some(2) && said.err.contains(says), "{what}: {said:?}");
        assert!(lines_of(what, &folder.path("out.simulated.errors.jsonl")).len() <= 1_001, "{what}");
    }
    Some(Seen::new(
        "standard input that never ends and has no rows",
        "the run ends with a message and a bounded log",
        format!("{count} kinds, all as expected"),
    ))
}

// Templates.

/// Tests templates that would never end, and templates whose text would not fit into memory. The real program stops
/// each such template with a message.
fn templates(size: Size) -> Seen {
    let doubled = |start: &str, step: &str, end: &str| format!("{start}{}{end}", step.repeat(60));
    let table: Vec<String> = [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}{{x}}",
        "{% for a in range(99999) %}{{ x }}{% for b in range(99999) %}{{ b }}{% endfor %}{% endfor %}",
        "{{ x * 1000000000 }}",
        "{{ (x * 99999999)|upper }}",
        "{{ [x] * 1000000000 }}",
        "{{ x|indent(1000000000) }}{{ x|replace('a', x * 99999999) }}",
        "{{ '%01000000000d'|format(1) }}{{x}}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}{{x}}",
        "{% include 'template' %}{{x}}",
        "{% for y in [x] recursive %}{{ loop([x]) }}{% endfor %}",
        "{% set ns = namespace(a=x) %}{% for i in range(99) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}{{ ns.a }}",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([
        doubled("{% set s = x %}", "{% set s = s ~ s %}", "{{ s|length }}"),
        doubled("{% set s = [x] %}", "{% set s = [s, s] %}", "{{ s }}"),
        format!("{{{{ x{} }}}}", " ~ x".repeat(10_000)),
        format!("{{{{ x{} }}}}", "|upper".repeat(10_000)),
        format!("{{{{ {}x{} }}}}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("{}{{{{x}}}}{}", "{% if x %}".repeat(10_000), "{% endif %}".repeat(10_000)),
        format!("{{% if x %}}{}{{% endif %}}", "{% elif x %}{{x}}".repeat(1_000)),
    ])
    .collect();
    let folder = Folder::new();
    folder.write("in.jsonl", "{\"id\":\"a\",\"x\":\"aaaaaaaaaaaaaaaaaaaa\"}\n");
    let tried = size.pick(8, table.len());
    let mut order: Vec<&String> = table.iter().collect();
    fastrand::Rng::with_seed(3).shuffle(&mut order);
    for (at, template) in order.into_iter().take(tried).enumerate() {
        let (begun, out) = (Instant::now(), format!("out{at}.jsonl"));
        let shown: String = template.chars().take(80).collect();

        // A long template comes from a file, because the length of a command line is limited.
        folder.write("template.txt", template);
        let said = folder.run(&["run", "in.jsonl", "-t", "@template.txt", "--simulate", "-o", &out]);

        assert_tame(&shown, &said, begun);
        assert!(matches!(said.code, Some(2 | 3)), "{shown}: {said:?}");
        lines_of(&shown, &folder.path(&format!("out{at}.errors.jsonl")));
    }
    Seen::new(
        "templates that multiply, nest or call themselves (real program)",
        "an error entry or a refusal, no crash, no hang",
        format!(
            "{tried} tried, all as expected; unit tests try 168 kinds and depths of nesting and 5,000 random templates"
        ),
    )
}

// Names.

/// Tests ids, model names, column names and member names. The ids and names can have any length, and the test tries
/// them in every form of a row.
fn names(size: Size) -> Seen {
    let lengths = size.pick(vec![200, 10_000, 1 << 20], vec![199, 200, 201, 10_000, 65_000, 65_600, 1 << 20, 10 << 20]);
    let mut tried = 0;
    for length in lengths {
        let long = "n".repeat(length);
        let cases: Vec<(&str, String, &str)> = vec![
            ("an id", format!("{{\"id\":\"{long}\",\"prompt\":\"x\"}}\n"), "in.jsonl"),
            ("a custom_id", format!("{{\"custom_id\":\"{long}\",\"params\":{{\"messages\":[1]}}}}\n"), "in.jsonl"),
            (
                "an id of escapes",
                format!("{{\"id\":\"{}\",\"prompt\":\"x\"}}\n", "\\u001b".repeat(length / 6)),
                "in.jsonl",
            ),
            ("an id of digits", format!("{{\"id\":1{},\"prompt\":\"x\"}}\n", "0".repeat(length)), "in.jsonl"),
            ("an id twice", format!("{{\"id\":\"{long}\",\"prompt\":\"x\"}}\n").repeat(2), "in.jsonl"),
            ("an id in a column", format!("id,prompt\n{long},x\n"), "in.csv"),
            ("the name of a model", format!("{{\"prompt\":\"x\",\"model\":\"{long}\"}}\n"), "in.jsonl"),
            ("a model that is not a string", format!("{{\"prompt\":\"x\",\"model\":[\"{long}\"]}}\n"), "in.jsonl"),
            ("a member", format!("{{\"prompt\":\"x\",\"{long}\":1}}\n"), "in.jsonl"),
            ("a member and no prompt", format!("{{\"{long}\":\"y\"}}\n"), "in.jsonl"),
            ("a member twice", format!("{{\"prompt\":\"x\",\"{long}\":1,\"{long}\":2}}\n"), "in.jsonl"),
            ("a parameter twice", format!("{{\"params\":{{\"{long}\":1,\"{long}\":2}}}}\n"), "in.jsonl"),
            ("a column", format!("{long},b\nx,y\n"), "in.csv"),
            ("a column twice", format!("prompt,{long},{long}\nx,y,z\n"), "in.csv"),
            ("a max_tokens", format!("{{\"prompt\":\"x\",\"max_tokens\":\"{long}\"}}\n"), "in.jsonl"),
            ("a max_tokens in a column", format!("prompt,max_tokens\nx,{long}\n"), "in.csv"),
            ("a role", foreign(&format!("[{{\"role\":\"{long}\",\"content\":\"x\"}}]")), "in.jsonl"),
            ("a url", format!("{{\"url\":\"/{long}\",\"method\":\"POST\",\"body\":{{}}}}\n"), "in.jsonl"),
            (
                "an entry of a broken row",
                format!("{{\"raw\":\"x\",\"error\":{{\"message\":\"{long}\"}}}}\n"),
                "in.jsonl",
            ),
        ];
        for (what, input, file) in cases {
            let (folder, begun) = (Folder::new(), Instant::now());
            folder.write(file, &input);

            let said = folder.run(&["run", file, "-o", "out.jsonl", "--simulate"]);

            let what = format!("{what} of {length} bytes");
            assert_tame(&what, &said, begun);
            let entries = lines_of(&what, &folder.path("out.errors.jsonl"));
            let answers = lines_of(&what, &folder.path("out.jsonl"));
            let is_labelled = what.starts_with("an id of") && what.contains("10000 bytes");
            assert!(!is_labelled || entries.is_empty() && answers.len() == 1, "{what}: {said:?}");
            let strict = folder.run(&["run", file, "-o", "strict.jsonl", "--simulate", "--strict"]);
            assert_tame(&what, &strict, begun);
            tried += 2;
        }
    }
    Seen::new(
        "ids and names of up to 10 MB in every place of a row (real program)",
        "all messages stay short; ids of 10 kB work, ids above 64 KiB are refused",
        format!("{tried} runs, all as expected"),
    )
}

fn foreign(messages: &str) -> String {
    format!(
        "{{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{{\"messages\":{messages}}}}}\n"
    )
}

// Nesting.

fn nested(depth: usize, random: &mut fastrand::Rng) -> String {
    let kinds: Vec<bool> = (0..depth).map(|_| random.bool()).collect();
    let open: String = kinds.iter().map(|is_object| if *is_object { "{\"k\":" } else { "[" }).collect();
    let close: String = kinds.iter().rev().map(|is_object| if *is_object { "}" } else { "]" }).collect();
    format!("{open}1{close}")
}

/// Tests rows with deep nesting in each member. Common parsers can read the lines that the program writes for these
/// rows, and the program can run these rows again.
fn nested_rows(size: Size) -> Seen {
    let seed = 19;
    let mut random = fastrand::Rng::with_seed(seed);
    let api = Api::with_faults(r#"{"rules":[{"status":400}]}"#);
    let mut rows = 0;
    for round in 0..size.pick(1, 10) {
        let folder = Folder::new();
        let (mut input, mut at) = (String::from("{\"id\":\"good\",\"prompt\":\"x\"}\n"), 0);
        for depth in [1, 20, 60, 110, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 1_000, 100_000] {
            let deep = nested(depth, &mut random);
            for row in [
                format!(r#""prompt":"x","extra":{deep}"#),
                format!(r#""prompt":"x","tools":{deep}"#),
                format!(r#""prompt":[{{"type":"text","text":"x","y":{deep}}}]"#),
                format!(r#""messages":[{{"role":"user","content":"x","y":{deep}}}]"#),
                format!(r#""params":{{"messages":[{{"role":"user","content":"x"}}],"tools":{deep}}}"#),
                format!(r#""params":{{"messages":[{{"role":"user","content":{deep}}}]}},"beside":{deep}"#),
                format!(r#""prompt":{deep}"#),
                format!(r#""params":{deep}"#),
                format!(r#""method":"POST","url":"/v1/messages","body":{{"messages":{deep},"system":{deep}}}"#),
                format!(r#""params":{{"messages":[1]}},"error":{deep}"#),
            ] {
                at += 1;
                input.push_str(&format!("{{\"id\":\"r{at}\",{row}}}\n"));
            }
        }
        folder.write("in.jsonl", &input);
        let begun = Instant::now();
        let param = format!("metadata={}", nested(110, &mut random));

        let said = folder.run_at(&api, &["run", "in.jsonl", "-o", "out.jsonl", "--halt", "never", "--param", &param]);
        assert_tame(&format!("seed {seed}, round {round}"), &said, begun);
        let entries = lines_of("deep rows", &folder.path("out.errors.jsonl"));
        let again = folder.run_at(&api, &["resume", "out.errors.jsonl", "--halt", "never"]);
        assert_tame("deep rows again", &again, begun);
        let entries_again = lines_of("deep rows again", &folder.path("out.errors.jsonl"));

        assert_eq!(entries.len(), at + 1, "seed {seed}, round {round}: every row has an entry");
        assert_eq!(entries_again.len(), at + 1, "seed {seed}, round {round}: every row has an entry again");
        rows += at;
    }
    let deep = Folder::new().run(&["run", "-", "--simulate", "--param", &format!("a={}", nested(1_000, &mut random))]);
    assert!(deep.code == Some(2) && deep.err.contains("nested more than"), "{deep:?}");
    Seen::new(
        "rows nested up to 100,000 deep in every place (real program)",
        "an error entry that common parsers can read, also after the row is run again; no stack overflow",
        format!("{rows} rows, all as expected"),
    )
}

/// Tests answers with deep nesting in each member, whole and streamed. For each answer, the program writes a result
/// line that common parsers can read, or treats the answer as broken.
fn nested_answers(size: Size) -> Seen {
    let depths =
        size.pick(vec![1, 100, 120, 125, 130, 100_000], (1..=140).chain([1_000, 100_000, 1_000_000]).collect());
    let seed = 29;
    // The stack of this thread is a quarter as large as the stack of the main thread.
    let tried = std::thread::spawn(move || {
        let mut random = fastrand::Rng::with_seed(seed);
        let provider: Arc<dyn Provider> =
            Arc::new(Anthropic::new("2023-06-01", &[], http::HeaderMap::new()).expect("a provider"));
        let (mut tried, mut kept) = (0, 0);
        for depth in depths {
            let deep = nested(depth, &mut random);
            for (kind, body) in bodies(&deep) {
                for cut in [body.len(), random.usize(1..body.len())] {
                    tried += 1;
                    match decoded(&*provider, kind, &body, cut) {
                        Reply::Message(message) => {
                            kept += 1;
                            let json = str::from_utf8(&message.json).expect("JSON is UTF-8");
                            let line = format!("{{\"result\":{{\"message\":{json}}}}}");
                            let read = serde_json::from_str::<Value>(&line);
                            assert!(read.is_ok(), "seed {seed}, {depth} deep: {:?}", read.err());
                        }
                        Reply::Error { failure, .. }
                        | Reply::Broken { failure }
                        | Reply::Unfinished { failure, .. } => {
                            assert!(depth > 100, "seed {seed}, {depth} deep is kept: {failure:?}");
                            assert!(failure.message.len() < 5_000);
                        }
                    }
                }
            }
        }
        (tried, kept)
    });
    let (tried, kept) = tried.join().expect("the thread does not panic and its stack does not overflow");
    Seen::new(
        "answers nested up to a million deep in every place, whole and streamed",
        "each gives a line that common parsers can read, or an error entry",
        format!("{tried} answers, {kept} kept, all as expected"),
    )
}

/// Returns answers that contain `deep`. Each answer is a pair of its content type and its body.
fn bodies(deep: &str) -> Vec<(&'static str, String)> {
    let whole = |before: &str, block: &str, usage: &str, behind: &str| {
        let body = format!(
            r#"{{{before}"type":"message","content":[{{"type":"text","text":"x"{block}}}],"stop_reason":"end_turn","usage":{{"input_tokens":1,"output_tokens":1{usage}}}{behind}}}"#
        );
        ("application/json", body)
    };
    let stream = |message: &str, start: &str, delta: &str, last: &str| {
        let events = [
            format!(
                r#"{{"type":"message_start","message":{{"type":"message","content":[],"usage":{{"input_tokens":1}}{message}}}}}"#
            ),
            format!(
                r#"{{"type":"content_block_start","index":0,"content_block":{{"type":"other_use","input":{{}}{start}}}}}"#
            ),
            format!(r#"{{"type":"content_block_delta","index":0,"delta":{{{delta}}}}}"#),
            format!(
                r#"{{"type":"message_delta","delta":{{"stop_reason":"end_turn"{last}}},"usage":{{"output_tokens":2}}}}"#
            ),
            r#"{"type":"message_stop"}"#.to_owned(),
        ];
        ("text/event-stream", events.iter().map(|event| format!("data: {event}\n\n")).collect())
    };
    let text = r#""type":"text_delta","text":"y""#;
    let escaped = serde_json::to_string(deep).expect("a string is JSON");
    vec![
        whole(&format!("\"a\":{deep},"), "", "", ""),
        whole("", &format!(",\"a\":{deep}"), "", ""),
        whole("", "", &format!(",\"a\":{deep}"), ""),
        whole("", "", "", &format!(",\"a\":{deep}")),
        stream(&format!(",\"a\":{deep}"), "", text, ""),
        stream("", &format!(",\"a\":{deep}"), text, ""),
        stream("", "", &format!("\"type\":\"new_delta\",\"a\":{deep}"), ""),
        stream("", "", &format!("\"type\":\"citations_delta\",\"citation\":{deep}"), ""),
        stream("", "", &format!("\"type\":\"input_json_delta\",\"partial_json\":{escaped}"), ""),
        stream("", "", text, &format!(",\"a\":{deep}")),
    ]
}

/// Decodes a body that arrives in two pieces.
fn decoded(provider: &dyn Provider, kind: &'static str, body: &str, cut: usize) -> Reply {
    let kind = http::HeaderValue::from_static(kind);
    let headers = http::HeaderMap::from_iter([(http::header::CONTENT_TYPE, kind)]);
    let head = ReplyHead { status: 200, headers };
    let mut decoder = provider.decoder(&head);
    let (first, second) = body.as_bytes().split_at(cut);
    if !decoder.push(first) {
        decoder.push(second);
    }
    decoder.finish(&head, &Request::default())
}
