//! Changes the files of a run: changes the structure or the bytes of a file, or replaces a part of it by a part of
//! another file.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::names::names;

/// The files of a run that can be changed.
const FILES: [&str; 4] = ["out.jsonl.run/manifest.json", "out.errors.jsonl", "out.jsonl", "out.jsonl.run/inflight"];

/// Texts that are put into JSON unchanged. Some of these texts are not valid JSON.
const RAW: [&str; 12] = [
    "1e999",
    "-1",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "1.5",
    "1e300",
    "NaN",
    "{}",
    "[[[[[[1]]]]]]",
    "tru",
    "\"\\ud800\"",
];

/// A seeded generator of changes to files.
pub struct Mutator {
    random: fastrand::Rng,
    evil: String,
    root: PathBuf,
    /// The texts that replace the marks (placeholders) in the JSON, in the order of the marks.
    raw: Vec<String>,
}

impl Mutator {
    pub fn new(seed: u64, evil: &str, root: &Path) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), evil: evil.to_owned(), root: root.to_owned(), raw: Vec::new() }
    }

    /// Makes one to three changes to the files of a run. Returns a description of each change.
    pub fn change(&mut self, work: &Path) -> Vec<String> {
        let changes = self.random.usize(1..=3);
        (0..changes).map(|_| self.change_one(work)).collect()
    }

    /// Returns the arguments of a command that reads the files of a run.
    pub fn call(&mut self) -> Vec<&'static str> {
        match self.random.u8(0..10) {
            0..6 => vec!["resume", "out.errors.jsonl"],
            6 => vec!["resume", "out.errors.jsonl", "-o", "out.jsonl"],
            7 => vec!["resume", "out.errors.jsonl", "--only", "invalid_request"],
            8 => vec!["run", "prompts.jsonl", "-o", "out.jsonl", "--retry-failed", "--beta", "b1"],
            _ => vec!["run", "prompts.jsonl", "-o", "out.jsonl", "--beta", "b1", "--max-requests", "100"],
        }
    }

    fn change_one(&mut self, work: &Path) -> String {
        // The manifest and the log are chosen more often, because readers trust them most.
        let file = FILES[[0, 0, 0, 1, 1, 1, 2, 3][self.random.usize(0..8)]];
        let path = work.join(file);
        let old = fs::read(&path).unwrap_or_default();
        let (how, new) = match (file, self.random.u8(0..10)) {
            ("out.jsonl.run/inflight", _) => ("slots", self.slots()),
            (_, 0..7) => ("structure", self.restructured(file, &String::from_utf8_lossy(&old))),
            (_, 7) => ("swapped", fs::read(work.join(FILES[self.random.usize(0..4)])).unwrap_or_default()),
            _ => ("bytes", self.bytes(old)),
        };
        fs::write(&path, new).expect("the file can be written");
        format!("{file}: {how}")
    }

    /// Changes the JSON in a file, line by line. A manifest is treated as one line.
    fn restructured(&mut self, file: &str, text: &str) -> Vec<u8> {
        self.raw.clear();
        let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
        let mut values: Vec<Value> = match file {
            "out.jsonl.run/manifest.json" => parsed(text).into_iter().collect(),
            _ => text.lines().filter_map(parsed).collect(),
        };
        if values.is_empty() {
            return text.as_bytes().to_vec();
        }
        let at = self.random.usize(0..values.len());
        match (file, self.random.u8(0..8)) {
            ("out.jsonl.run/manifest.json", 0..4) => self.change_manifest(&mut values[at]),
            ("out.errors.jsonl", 0..4) => self.change_entry(&mut values, at),
            (_, 7) => {
                let copy = values[at].clone();
                values.push(copy);
            }
            _ => {
                let value = self.hostile();
                replace_any(&mut self.random, &mut values[at], value);
            }
        }
        let mut text = values.iter().map(|value| format!("{value}\n")).collect::<String>();
        for (number, raw) in self.raw.iter().enumerate() {
            text = text.replace(&format!("\"raw text {number}\""), raw);
        }
        if self.random.u8(0..8) == 0 {
            text = self.with_duplicate(&text);
        }
        text.into_bytes()
    }

    fn change_manifest(&mut self, manifest: &mut Value) {
        let evil = self.evil.clone();
        let command = self.root.join("canary.sh").display().to_string();
        let outside = self.root.join("sibling/new").display().to_string();
        let settings = [
            ("base-url", json!(evil)),
            ("base_url", json!(evil)),
            ("api-key-cmd", json!(command)),
            ("api-key-file", json!(outside)),
            ("header", json!([format!("x: {evil}")])),
            ("prices", json!(outside)),
            ("output", json!(outside)),
            ("errors", json!(outside)),
            ("config", json!(outside)),
            ("ca-file", json!(outside)),
            ("allow-http", json!(true)),
            ("proxy", json!(evil)),
            ("https-proxy", json!(evil)),
            ("max-cost", json!("1000000")),
            ("yes", json!(true)),
            ("simulate-faults", json!(outside)),
            ("tier", json!("4")),
            ("beta", json!(["b1", "b2"])),
            ("api-version", json!(format!("2023-06-01\r\nx: {evil}"))),
        ];
        match self.random.u8(0..6) {
            0..3 => {
                let (name, value) = settings[self.random.usize(0..settings.len())].clone();
                put_into(manifest, "settings", name, value);
            }
            3 => {
                let settings = ["tier", "api-version", "beta", "simulate", "rpm", "itpm", "otpm"];
                put_into(manifest, "settings", settings[self.random.usize(0..7)], self.hostile());
            }
            4 => {
                let texts = ["run", "origin", "tool"];
                put(
                    manifest,
                    texts[self.random.usize(0..3)],
                    json!([&outside, &evil, &command][self.random.usize(0..3)]),
                );
                put(manifest, "inputs", json!([{"path": outside}]));
            }
            _ => {
                let most = json!(u64::MAX);
                put(
                    manifest,
                    "carried",
                    json!({"spend_pico": most, "usage": {"input_tokens": most}, "maybe_paid": most}),
                );
                put(manifest, "opening", most.clone());
                put(manifest, "counted_opening", json!(self.random.u64(..)));
            }
        }
    }

    fn change_entry(&mut self, entries: &mut Vec<Value>, at: usize) {
        let names = names(&self.root);
        let name = names[self.random.usize(0..names.len())].clone();
        match self.random.u8(0..6) {
            0 => entries[at]["error"]["results"] = json!(name),
            1 => entries.iter_mut().for_each(|entry| put_into(entry, "error", "results", json!(name))),
            2 => {
                let most = u64::MAX;
                put_into(&mut entries[at], "error", "usage", json!({"input_tokens": most, "output_tokens": most}));
                put_into(&mut entries[at], "error", "maybe_paid", json!(most));
                put_into(&mut entries[at], "error", "cost_usd", self.hostile());
            }
            3 => {
                let member = ["base-url", "api-key-cmd", "output", "system", "model", "params", "prompt", "messages"];
                let value = self.hostile();
                put(&mut entries[at], member[self.random.usize(0..8)], value);
            }
            4 => {
                let member = ["class", "key", "occurrence", "source", "line", "run", "last_at", "results"];
                let value = self.hostile();
                put_into(&mut entries[at], "error", member[self.random.usize(0..8)], value);
            }
            _ => {
                let mut more = entries[at].clone();
                put(&mut more, "custom_id", json!(name));
                entries.push(more);
            }
        }
    }

    /// Returns a value that a reader possibly does not expect.
    fn hostile(&mut self) -> Value {
        match self.random.u8(0..9) {
            0 => json!(null),
            1 => json!("\u{1b}[2J\u{202e}\u{0}\n"),
            2 => json!("x".repeat(self.random.usize(0..300_000))),
            3 => json!(vec![0; self.random.usize(0..20_000)]),
            4 => json!({"a": {"base-url": self.evil}}),
            5 => json!(self.evil),
            6 => {
                let depth = self.random.usize(1..3_000);
                self.raw("[".repeat(depth) + &"]".repeat(depth))
            }
            _ => {
                let raw = RAW[self.random.usize(0..RAW.len())];
                self.raw(raw.to_owned())
            }
        }
    }

    /// Returns a mark. Later, the mark is replaced by `text`. The mark is needed because a `Value` can't contain `text`
    /// unchanged.
    fn raw(&mut self, text: String) -> Value {
        self.raw.push(text);
        json!(format!("raw text {}", self.raw.len() - 1))
    }

    /// Adds a member to the first object. The added member has the name of a member that the object already has.
    fn with_duplicate(&mut self, text: &str) -> String {
        let members = [
            format!("\"settings\":{{\"base-url\":\"{}\"}}", self.evil),
            format!("\"settings\":{{\"api-key-cmd\":\"{}\"}}", self.root.join("canary.sh").display()),
            "\"format\":1".to_owned(),
            "\"custom_id\":\"r0\"".to_owned(),
            "\"error\":{\"class\":\"server\",\"results\":\"../sibling/new.jsonl\"}".to_owned(),
        ];
        let member = &members[self.random.usize(0..members.len())];
        text.replacen('{', &format!("{{{member},"), 1)
    }

    fn bytes(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..self.random.usize(1..5) {
            let at = self.random.usize(0..bytes.len().max(1)).min(bytes.len());
            let end = (at + self.random.usize(0..60)).min(bytes.len());
            match self.random.u8(0..8) {
                0 => bytes.truncate(at),
                1 => bytes[at..end].fill(0),
                2 => drop(bytes.drain(at..end)),
                3 => drop(bytes.splice(at..at, [0, 0x1b, b'[', 0xff, b'\n'])),
                4 => bytes[at..end].iter_mut().for_each(|byte| *byte ^= 1 << (at % 8)),
                5 => drop(bytes.splice(at..at, b"{\"custom_id\":\"x\"".repeat(9_000))),
                6 => bytes.extend_from_within(at..end),
                _ => bytes.extend(vec![b"\0\n{x"[at % 4]; end]),
            }
        }
        bytes
    }

    /// Returns the bytes of a forged file `inflight`. The bytes are either random, or form a file header and slots
    /// (records of requests in flight) for rows that were never sent.
    fn slots(&mut self) -> Vec<u8> {
        let mut file = b"cbslots1".to_vec();
        file.extend(self.random.u64(u64::MAX - 2..).to_be_bytes());
        file.extend(b"../../sibling/new\x1b[2J\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        for _ in 0..self.random.usize(0..3_000) {
            let (label, key) = (self.random.u64(..), self.random.u64(..));
            let check = label ^ key.rotate_left(32) ^ 0x736c_6f74_6f6b_2121;
            [label, key, check].iter().for_each(|part| file.extend(part.to_be_bytes()));
            file.extend([0; 40]);
        }
        if self.random.bool() { file } else { self.bytes(file) }
    }
}

/// Sets a member of an object. If the value is not an object, it stays unchanged.
fn put(value: &mut Value, name: &str, with: Value) {
    if let Some(members) = value.as_object_mut() {
        members.insert(name.to_owned(), with);
    }
}

/// Sets the member `name` of the object `value[member]`.
fn put_into(value: &mut Value, member: &str, name: &str, with: Value) {
    if let Some(member) = value.get_mut(member) {
        put(member, name, with);
    }
}

/// Puts `with` in place of a random part of `value`.
fn replace_any(random: &mut fastrand::Rng, value: &mut Value, with: Value) {
    let inner = random.u8(0..4) > 0;
    match value {
        Value::Object(members) if inner && !members.is_empty() => {
            let at = random.usize(0..members.len());
            let (name, member) = members.iter_mut().nth(at).expect("the object has that many members");
            match random.u8(0..12) {
                0 => {
                    let name = name.clone();
                    members.remove(&name);
                }
                _ => replace_any(random, member, with),
            }
        }
        Value::Array(values) if inner && !values.is_empty() => {
            let at = random.usize(0..values.len());
            replace_any(random, &mut values[at], with);
        }
        place => *place = with,
    }
}
