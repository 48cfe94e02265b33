//! For each pair of a schema and an answer, writes whether the answer fits. `.ci/judges` compares these verdicts with
//! the verdicts of another validator.

use std::io::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use claude_batch::answer::schema::Schema;
use serde::Deserialize;

#[derive(Deserialize)]
struct Pair {
    schema: String,
    answer: String,
}

/// Reads `pairs.jsonl` in the folder that `SCHEMA_JUDGE_FOLDER` names, and writes `verdicts.txt` there: one line for
/// each pair.
#[test]
#[ignore = "it needs pairs that tests/judges/schemas.py has made"]
fn every_pair_gets_a_verdict() {
    let folder = PathBuf::from(env::var_os("SCHEMA_JUDGE_FOLDER").expect("SCHEMA_JUDGE_FOLDER names a folder"));
    let pairs = fs::read_to_string(folder.join("pairs.jsonl")).expect("the pairs can be read");
    let mut verdicts = fs::File::create(folder.join("verdicts.txt")).expect("the verdicts can be written");

    for line in pairs.lines() {
        let pair: Pair = serde_json::from_str(line).expect("a line is a pair");
        let verdict = match Schema::parse(&pair.schema).map(|schema| schema.check(&pair.answer)) {
            Ok(Ok(())) => "fits".to_owned(),
            Ok(Err(finding)) => finding.to_string().replace('\n', " "),
            Err(error) => format!("refused: {error}").replace('\n', " "),
        };
        writeln!(verdicts, "{verdict}").expect("the verdicts can be written");
    }
}
