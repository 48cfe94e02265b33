//! All places from which outside text reaches a terminal, and the functions that put strings into these places.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::ffi::OsStringExt;
use std::process::{Command, Stdio};

use clap::CommandFactory;
use claude_batch::cli::args::Cli;
use rustix::process::{Pid, Signal, kill_process};

use super::super::super::hostile::{Hostile, Then, response};
use super::super::super::support::{CANARY, Folder};
use super::pty::{Pty, Shown, USUAL, WIDE, ended};
use super::strings::Nasty;

/// A place that strings can reach. `at_once` is the number of strings that one run of the program gets. `longest` is
/// the maximum length of these strings, in bytes. `play` puts the strings into this place.
pub struct Place {
    pub name: &'static str,
    pub at_once: usize,
    pub longest: usize,
    pub play: fn(&Folder, &[Nasty], usize) -> Shown,
}

/// The number of strings that are joined into one argument, variable or message.
const JOINED: usize = 25;
/// The largest length of a string in an argument or a variable.
const LONG: usize = 3_000;

pub const PLACES: &[Place] = &[
    place("names of inputs that are missing", JOINED, LONG, missing_inputs),
    place("names of inputs without rows", 100, 200, empty_inputs),
    place("names of inputs with broken rows", 20, 200, broken_inputs),
    place("arguments: subcommands, flags, the value of each flag", 5, LONG, arguments),
    place("names of environment variables", 100, LONG, variable_names),
    place("values of environment variables", 5, LONG, variable_values),
    place("configuration files: keys, values, tables, raw bytes", JOINED, LONG, configuration),
    place("price, fault and key files", JOINED, LONG, named_files),
    place("rows that can't be sent: raw bytes, members, values", 20, LONG, broken_rows),
    place("repeated ids", JOINED, LONG, repeated_ids),
    place("names of models, before a run", 100, LONG, models),
    place("the question before an expensive run", 100, LONG, question),
    place("templates and id columns", JOINED, LONG, templates),
    place("columns of tables", 30, 36, columns),
    place("messages and types of the errors that a server sends for each model", 50, LONG, parked),
    place("messages and request ids of the errors that stop a run", JOINED, LONG, stopped),
    place("results on a terminal: ids, answers, members", 100, 60_000, results),
    place("run folders and error logs", JOINED, LONG, records),
    place("lines of the simulator", 100, LONG, simulator),
];

/// Returns whether the terminal of this turn has so few columns that the program wraps lines.
pub fn breaks_lines(turn: usize) -> bool {
    turn % 3 == 1
}

/// Runs a program on a terminal.
fn shown(command: Command, turn: usize) -> Shown {
    super::pty::shown(command, if breaks_lines(turn) { USUAL } else { WIDE })
}

const fn place(
    name: &'static str,
    at_once: usize,
    longest: usize,
    play: fn(&Folder, &[Nasty], usize) -> Shown,
) -> Place {
    Place { name, at_once, longest, play }
}

fn missing_inputs(folder: &Folder, strings: &[Nasty], turn: usize) -> Shown {
    let mut command = folder.command(&[["check", "run"][turn % 2]]);
    command.arg(joined(strings));
    shown(command, turn)
}

fn empty_inputs(folder: &Folder, strings: &[Nasty], turn: usize) -> Shown {
    let mut command = folder.command(&["run", "--simulate", "-o", "out.jsonl", "--progress", "plain", "--"]);
    for name in strings.iter().filter_map(file_name) {
        fs::write(folder.path("").join(&name), "\n").expect("a file can be written");
        command.arg(name);
    }
    shown(command, turn)
}

fn broken_inputs(folder: &Folder, strings: &[Nasty], turn: usize) -> Shown {
    let mut command = folder.command(&["check", "--format", "jsonl", "--"]);
    for name in strings.iter().filter_map(file_name) {
        fs::write(folder.path("").join(&name), "{\"prompt\":1}\n").expect("a file can be written");
        command.arg(name);
    }
    shown(command, turn)
}

fn arguments(folder: &Folder, strings: &[Nasty], turn: usize) -> Shown {
    folder.write("prompts.jsonl", "{\"prompt\":\"x\"}\n");
    let given = mostly_text(strings, turn);
    let with = |before: &str| [OsString::from(before), given.clone()].into_iter().collect::<OsString>();
    let flags = flags();
    let mut command = folder.command(&[]);
    match turn % 4 {
        0 => command.arg(with("")),
        1 => command.args(["run", "prompts.jsonl", "--dry-run"]).arg(with("--")),
        2 => command.args(["run", "prompts.jsonl", "--dry-run"]).arg(with("-")),
        _ => {
            let (subcommand, flag) = &flags[turn / 4 % flags.len()];
            command.args([subcommand, "prompts.jsonl"]).arg(with(&format!("--{flag}=")))
        }
    };
    shown(command, turn)
}

/// Returns each flag that takes a value, with its subcommand. `simulate` is left out, because it would not end.
fn flags() -> Vec<(String, String)> {
    let command = Cli::command();
    let of = |subcommand: &clap::Command| {
        let name = subcommand.get_name().to_owned();
        let flags = subcommand.get_arguments().filter(|arg| arg.get_action().takes_values());
        flags.filter_map(|arg| Some((name.clone(), arg.get_long()?.to_owned()))).collect::<Vec<_>>()
    };
    command.get_subcommands().filter(|subcommand| subcommand.get_name() != "simulate").flat_map(of).collect()
}

fn variable_names(folder: &Folder, strings: &[Nasty], turn: usize) -> Shown {
    folder.write("prompts.jsonl", "{\"prompt\":\"x\"}\n");
    let mut command = folder.command(&["check", "prompts.jsonl"]);
    for string in strings {
        command.env(format!("CLAUDE_BATCH_{}", string.text().replace('=', "-")), "x");
    }
    shown(command, turn)
}

fn variable_values(folder: &Folder, strings: &[Nasty], turn: usize) -> Shown {
    folder.write("prompts.jsonl", "{\"prompt\":\"x\"}\n");
    let flags = flags();
    let (_, flag) = &flags[turn % flags.len()];
    let mut command = folder.command(&["run", "prompts.jsonl", "--dry-run"]);
    command.env(format!("CLAUDE_BATCH_{}", flag.replace('-', "_").to_uppercase()), mostly_text(strings, turn));
    shown(command, turn)
}

fn configuration(folder: &Folder, strings: &[Nasty], turn: usize) -> Shown {
    folder.write("prompts.jsonl", "{\"prompt\":\"x\"}\n");
    let (raw, text) = (joined(strings).into_vec(), json(strings));
    let content = match turn % 8 {
        0 => format!("{text} = 1\n").into_bytes(),
        1 => format!("tier = {text}\n").into_bytes(),
        2 => [b"tier = ", &*raw, b"\n"].concat(),
        3 => format!("[profile.{text}]\ntier = 1\n").into_bytes(),
        4 => format!("header = {{ {text} = {text} }}\n").into_bytes(),
        5 => format!("system = {}\n", text.replacen('"', "\"@", 1)).into_bytes(),
        6 => format!("model = [{text}]\n[{text}]\n[{text}]\n").into_bytes(),
        _ => format!("base-url = {text}\n").into_bytes(),
    };
    let name = ["claude-batch.toml", "own.toml"][turn / 8 % 2];
    fs::write(folder.path(name), content).expect("a file can be written");
    let mut command = folder.command(&["run", "prompts.jsonl", "--dry-run", "--profile", "night"]);
    if name == "own.toml" {
        command.args(["--config", name]);
    }
    shown(command, turn)
}

fn named_files(folder: &Folder, strings: &[Nasty], turn: usize) -> Shown {
    folder.write("prompts.jsonl", "{\"prompt\":\"x\"}\n");
    let (raw, text) = (joined(strings).into_vec(), json(strings));
    let (flag, content) = match turn % 6 {
        0 => {
            ("--prices", format!("date = {text}\n[[price]]\nmodel = {text}\ninput = {text}\n{text} = 1\n").into_bytes())
        }
        1 => ("--prices", raw),
        2 => ("--simulate-faults", format!("{{\"rules\":[{{{text}:1}}]}}").into_bytes()),
        3 => ("--simulate-answers", format!("{{\"rules\":[{{\"schema\":{text}}}]}}").into_bytes()),
        4 => ("--api-key-file", raw),
        _ => ("--ca-file", raw),
    };
    fs::write(folder.path("named"), content).expect("a file can be written");
    let mut command = folder.command(&["run", "prompts.jsonl", flag, "named", "--max-time", "1s"]);
    match flag {
        "--simulate-faults" | "--simulate-answers" => command.arg("--simulate"),
        _ => command.args(["--base-url", "http://127.0.0.1:9", "--retry-for", "0s", "--max-retries", "0"]),
    };
    shown(command, turn)
}

fn broken_rows(folder: &Folder, strings: &[Nasty], turn: usize) -> Shown {
    let row = |(at, string): (usize, &Nasty)| {
        let (raw, text) = (&string.bytes, string.json());
        match (at + turn) % 7 {
            0 => raw.iter().copied().filter(|byte| !b"\n".contains(byte)).collect(),
            1 => format!("{{\"prompt\":\"x\",\"max_tokens\":-1,\"custom_id\":{text}}}").into_bytes(),
            2 => format!("{{{text}:\"x\"}}").into_bytes(),
            3 => format!("{{\"messages\":[{{\"role\":{text},\"content\":\"x\"}}]}}").into_bytes(),
            4 => format!("{{\"params\":{{\"model\":{text},{text}:1}}}}").into_bytes(),
            5 => format!("{{\"prompt\":\"x\",\"model\":{text},\"max_tokens\":{text}}}").into_bytes(),
            _ => [b"{\"prompt\":\"", &*raw.clone(), b"\",\"max_tokens\":0}"].concat(),
        }
    };
    let rows: Vec<Vec<u8>> = strings.iter().enumerate().map(row).collect();
    fs::write(folder.path("prompts.jsonl"), rows.join(&b'\n')).expect("a file can be written");
    shown(folder.command(&["check", "prompts.jsonl"]), turn)
}

fn repeated_ids(folder: &Folder, strings: &[Nasty], turn: usize) -> Shown {
    let row = format!("{{\"prompt\":\"x\",\"custom_id\":{}}}\n", json(strings));
    folder.write("prompts.jsonl", &row.repeat(2));
    shown(folder.command(&[["check", "run"][turn % 2], "prompts.jsonl"]), turn)
}

fn models(folder: &Folder, strings: &[Nasty], turn: usize) -> Shown {
    folder.write("prompts.jsonl", &rows_of_models(strings));
    let all = [
        &["check", "prompts.jsonl"] as &[_],
        &["run", "prompts.jsonl", "--dry-run"],
        &["run", "prompts.jsonl", "--dry-run", "--tier", "1", "--progress", "json"],
    ];
    shown(folder.command(all[turn % 3]), turn)
}

fn question(folder: &Folder, strings: &[Nasty], turn: usize) -> Shown {
    folder.write("prompts.jsonl", &rows_of_models(strings));
    let price = |string: &Nasty| format!("[[price]]\nmodel = {}\ninput = 1e6\noutput = 1e6\n", string.json());
    folder.write("prices.toml", &format!("date = \"2026-01-01\"\n{}", strings.iter().map(price).collect::<String>()));
    let answers = Pty::new(USUAL);
    let mut command = folder.command(&["run", "prompts.jsonl", "--prices", "prices.toml"]);
    command.env("ANTHROPIC_API_KEY", CANARY).stdin(answers.stream());
    rustix::io::write(&answers.ours, b"n\n").expect("the terminal accepts the answer");
    shown(command, turn)
}

fn templates(folder: &Folder, strings: &[Nasty], turn: usize) -> Shown {
    folder.write("rows.csv", "a,b\n1,2\n");
    folder.write("rows.jsonl", "{\"a\":1,\"b\":2}\n");
    let given = mostly_text(strings, turn);
    let template = match turn % 4 {
        0 => given,
        1 => text_of(["{{", &given.to_string_lossy(), "}}"]),
        2 => text_of(["{{row[", &json(strings), "]}}"]),
        _ => {
            let mut command = folder.command(&["check", "rows.csv", "-t", "{{a}}", "--id"]);
            command.arg(given);
            return shown(command, turn);
        }
    };
    let mut command = folder.command(&["check", ["rows.csv", "rows.jsonl"][turn / 4 % 2], "-t"]);
    command.arg(template);
    shown(command, turn)
}

fn columns(folder: &Folder, strings: &[Nasty], turn: usize) -> Shown {
    let quoted = |string: &Nasty| [b"\"", &*string.text().replace('"', "\"\"").into_bytes(), b"\""].concat();
    let header: Vec<Vec<u8>> = strings.iter().map(quoted).collect();
    fs::write(folder.path("rows.csv"), [&*header.join(&b','), b"\n1\n"].concat()).expect("a file can be written");
    let ways: [&[&str]; 3] = [&[], &["-t", "{{nothing}}"], &["--id", "nothing", "-t", "x"]];
    let mut command = folder.command(&["check", "rows.csv"]);
    command.args(ways[turn % 3]);
    shown(command, turn)
}

fn parked(folder: &Folder, strings: &[Nasty], turn: usize) -> Shown {
    folder.write("prompts.jsonl", &rows_of_models(strings));
    let bodies: Vec<String> = strings.iter().map(|string| error_body(&string.json())).collect();
    let statuses = [404, 404, 400, 500];
    let server = Hostile::new(move |asked, connection| {
        let body = &bodies[asked.number as usize % bodies.len()];
        let status = statuses[turn / 4 % 4];
        connection.write_all(&response(status, &[("content-type", "application/json")], body.as_bytes()))?;
        Ok(Then::Keep)
    });
    let kind = ["plain", "tty", "json", "none"][turn % 4];
    let mut command = at(&server, folder, &["run", "prompts.jsonl", "--yes", "-v", "--progress", kind]);
    command.args(["--max-retries", "0", "--halt", "never", "--tier", "none", "--retry-for", "1s"]);
    shown(command, turn)
}

fn stopped(folder: &Folder, strings: &[Nasty], turn: usize) -> Shown {
    folder.write("prompts.jsonl", &super::super::super::support::rows(12));
    let (body, raw) = (error_body(&json(strings)), joined(strings).into_vec());
    // The id contains no control characters, because they would break off the answer at this header.
    let id: Vec<u8> = raw.into_iter().filter(|byte| !byte.is_ascii_control()).take(8_000).collect();
    let status = [401, 403, 400, 402, 404, 413, 529, 301][turn % 8];
    let server = Hostile::new(move |_, connection| {
        let head = format!("HTTP/1.1 {status} Made\r\ncontent-length: {}\r\nrequest-id: ", body.len());
        connection.write_all(&[head.as_bytes(), &*id, b"\r\n\r\n", body.as_bytes()].concat())?;
        Ok(Then::Keep)
    });
    let mut command = at(&server, folder, &["run", "prompts.jsonl", "--max-retries", "0", "--retry-for", "1s"]);
    command.args(["--progress", ["plain", "tty", "json"][turn / 8 % 3]]);
    shown(command, turn)
}

fn results(folder: &Folder, strings: &[Nasty], turn: usize) -> Shown {
    let row = |string: &Nasty| {
        format!("{{\"custom_id\":{},\"prompt\":\"x\",\"model\":\"claude-haiku-4-5\"}}\n", string.json())
    };
    folder.write("prompts.jsonl", &strings.iter().map(row).collect::<String>());
    let texts: Vec<String> = strings.iter().map(Nasty::json).collect();
    let server = Hostile::new(move |asked, connection| {
        let text = &texts[asked.number as usize % texts.len()];
        let body = answer(text);
        connection.write_all(&response(200, &[("content-type", "application/json")], body.as_bytes()))?;
        Ok(Then::Keep)
    });
    let kind = ["none", "tty", "json"][turn % 3];
    shown(
        at(&server, folder, &["run", "prompts.jsonl", "-o", "-", "--yes", "--stream", "off", "--progress", kind]),
        turn,
    )
}

/// Returns an answer whose text and members are `text`. Between the members, the answer has blank characters (tabs and
/// line breaks) that move the cursor of a terminal.
fn answer(text: &str) -> String {
    format!(
        "{{\"id\":\"msg_1\",\t\"type\":\"message\",\r\n\"role\":\"assistant\",\"model\":{text},\"content\":[\r{{\"type\":\"text\",\
         \"text\":{text}}},{{\"type\":\"server_tool_use\",\"id\":\"t\",\"name\":{text},\"input\":{{{text}:\t{text}\r}}}}],\
         \"stop_reason\":\"end_turn\",\"stop_sequence\":{text},\"usage\":{{\"input_tokens\":1,\"output_tokens\":1}}}}"
    )
}

fn records(folder: &Folder, strings: &[Nasty], turn: usize) -> Shown {
    folder.write("prompts.jsonl", "{\"custom_id\":\"b\",\"prompt\":1}\n{\"custom_id\":\"c\",\"prompt\":\"x\"}\n");
    folder.run(&["run", "prompts.jsonl", "--simulate", "--progress", "none"]).ends_with(3);
    let (log, text) = ("prompts.simulated.errors.jsonl", json(strings));
    let manifest = "prompts.simulated.results.jsonl.run/manifest.json";
    let changed = |name: &str, member: &str| {
        let old = folder.read(name);
        let value = old.split(member).nth(1).expect("the entry has the member");
        let value = &value[..value[1..].find('"').expect("the value is a string") + 2];
        folder.write(name, &old.replace(&format!("{member}{value}"), &format!("{member}{text}")));
    };
    match turn % 4 {
        0 => changed(log, "\"results\":"),
        1 => changed(manifest, "\"origin\":"),
        2 => changed(manifest, "\"tier\":"),
        _ => {
            let line = [joined(strings).as_encoded_bytes(), folder.read(log).as_bytes()].join(&b'\n');
            fs::write(folder.path(log), line).expect("a file can be written");
        }
    }
    match turn % 4 {
        1 => shown(folder.command(&["run", "prompts.jsonl", "--simulate"]), turn),
        _ => shown(folder.command(&["resume", log]), turn),
    }
}

fn simulator(folder: &Folder, strings: &[Nasty], _turn: usize) -> Shown {
    let pty = Pty::new(USUAL);
    let mut command = folder.command(&["simulate", "--port", "0", "-v", "--latency", "zero"]);
    command.stderr(pty.stream());
    let mut child = command.spawn().expect("the program starts");
    drop(command);
    let bytes = pty.read();
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut first = String::new();
    out.read_line(&mut first).expect("a line");
    let address =
        first.split("http://").nth(1).and_then(|rest| rest.split(' ').next()).expect("the first line has an address");
    for string in strings {
        let model = string.json();
        let body =
            format!("{{\"model\":{model},\"max_tokens\":1,\"messages\":[{{\"role\":\"user\",\"content\":\"x\"}}]}}");
        let path: String = string.text().chars().filter(|char| !char.is_control() && *char != ' ').collect();
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: k\r\ncontent-length: {}\r\n",
            body.len()
        );
        exchange(address, format!("{head}connection: close\r\n\r\n{body}").as_bytes());
        exchange(address, format!("GET /{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes());
    }
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT).expect("the process runs");
    let code = ended(&mut child);
    Shown { bytes: bytes.join().expect("the reading thread does not panic"), code }
}

fn exchange(address: &str, request: &[u8]) {
    let mut connection = TcpStream::connect(address).expect("the simulator listens");
    // The server can reject the request and close the connection before the whole request is sent.
    let _ = connection.write_all(request);
    let _ = std::io::copy(&mut connection, &mut std::io::sink());
}

fn rows_of_models(strings: &[Nasty]) -> String {
    strings.iter().map(|string| format!("{{\"prompt\":\"x\",\"model\":{}}}\n", string.json())).collect()
}

fn error_body(text: &str) -> String {
    format!(
        "{{\"type\":\"error\",\"error\":{{\"type\":\"not_found_error\",\"message\":{text}}},\"request_id\":{text}}}"
    )
}

fn at(server: &Hostile, folder: &Folder, args: &[&str]) -> Command {
    let mut command = folder.command(args);
    command.env("ANTHROPIC_API_KEY", CANARY).env("ANTHROPIC_BASE_URL", &server.url).stdin(Stdio::null());
    command
}

/// Joins the strings into one argument.
fn joined(strings: &[Nasty]) -> OsString {
    OsString::from_vec(strings.iter().map(|string| string.bytes.clone()).collect::<Vec<_>>().join(&b'_'))
}

/// Joins the strings into one argument. In every fifth turn, the argument can be bytes that are not text. If the bytes
/// are not text, the program rejects the argument and does not parse it. For this reason, the argument is valid text in
/// four of five turns.
fn mostly_text(strings: &[Nasty], turn: usize) -> OsString {
    let raw = joined(strings);
    if turn % 5 == 4 { raw } else { raw.to_string_lossy().into_owned().into() }
}

/// Joins the strings into one JSON text, which is also valid in TOML.
fn json(strings: &[Nasty]) -> String {
    Nasty { mark: String::new(), bytes: joined(strings).into_vec() }.json()
}

fn text_of(parts: [&str; 3]) -> OsString {
    parts.concat().into()
}

/// Makes a file name from a string. Returns `None` if the system does not allow this name.
fn file_name(string: &Nasty) -> Option<OsString> {
    let bytes = if cfg!(target_os = "linux") { string.bytes.clone() } else { string.text().into_bytes() };
    let name: Vec<u8> = bytes.into_iter().map(|byte| if byte == b'/' { b'|' } else { byte }).collect();
    (name.len() <= 255).then(|| OsString::from_vec(name))
}
