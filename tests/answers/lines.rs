//! Reads the lines in the files of runs, and adds up the costs of these lines. This file shares no code with the
//! journal.

use std::collections::BTreeMap;

use claude_batch::domain::Money;
use claude_batch::journal::MemDisk;
use serde_json::Value;

use crate::support::{ERRORS, RESULTS};

/// What the results file and the error log say about the rows.
#[derive(Debug, Default)]
pub struct Lines {
    /// The result line of each answered row.
    pub answered: BTreeMap<String, Value>,
    /// The last lines of the failed rows.
    pub failed: BTreeMap<String, Value>,
    /// The last lines of the rows that are not finished.
    pub unfinished: BTreeMap<String, Value>,
}

impl Lines {
    pub fn of(disk: &MemDisk) -> Self {
        let mut lines = Self::default();
        for line in read(disk, RESULTS) {
            let before = lines.answered.insert(label(&line), line.clone());
            assert!(before.is_none(), "{} is answered twice", label(&line));
        }
        for line in read(disk, ERRORS) {
            let label = label(&line);
            // The line of an answered row also contains the contents of its earlier lines.
            if lines.answered.contains_key(&label) {
                continue;
            }
            assert!(!lines.failed.contains_key(&label), "{label} has a line after it failed");
            if line["error"].get("next").is_some() {
                lines.unfinished.insert(label, line);
            } else {
                lines.unfinished.remove(&label);
                lines.failed.insert(label, line);
            }
        }
        lines
    }

    /// Returns the total cost in all lines.
    pub fn money(&self) -> Money {
        let answered = self.answered.values().map(|line| money(&line["meta"]["cost_usd"]));
        let others = self.failed.values().chain(self.unfinished.values());
        answered.chain(others.map(|line| money(&line["error"]["cost_usd"]))).fold(Money::ZERO, |sum, own| sum + own)
    }
}

/// Returns how many answers of a row were charged. A line without `steps` describes one answer.
pub fn answers(line: &Value) -> u64 {
    let part = if line.get("meta").is_some() { &line["meta"] } else { &line["error"] };
    part["steps"].as_array().map_or(1, |steps| steps.len() as u64)
}

fn money(dollars: &Value) -> Money {
    let dollars = dollars.as_f64().unwrap_or_else(|| panic!("{dollars} is no money"));
    Money((dollars * 1e12).round() as u128)
}

fn label(line: &Value) -> String {
    line["custom_id"].as_str().unwrap_or_else(|| panic!("a line without label: {line}")).to_owned()
}

fn read(disk: &MemDisk, path: &str) -> Vec<Value> {
    let content = disk.content(path).unwrap_or_default();
    let lines = content.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap_or_else(|error| panic!("{path}: {error}"))).collect()
}
