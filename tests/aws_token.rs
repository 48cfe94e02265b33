//! Makes the tokens of Amazon Bedrock for given inputs. `.ci/judges` compares these tokens with the tokens of AWS's own
//! package and of botocore.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use claude_batch::transport::sigv4::{AwsCredentials, bedrock_token};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

#[derive(Deserialize)]
struct Input {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    region: String,
    /// The time of the token, in seconds since 1970.
    at: i64,
    /// Seconds.
    valid_for: u64,
}

/// Reads `inputs.jsonl` in the folder that `AWS_TOKEN_FOLDER` names, and writes `tokens.txt` there: one line for each
/// input.
#[test]
#[ignore = "it needs inputs that tests/judges/aws_token.py has made"]
fn every_input_gets_a_token() {
    let folder = PathBuf::from(env::var_os("AWS_TOKEN_FOLDER").expect("AWS_TOKEN_FOLDER names a folder"));
    let inputs = fs::read_to_string(folder.join("inputs.jsonl")).expect("the inputs can be read");
    let mut tokens = fs::File::create(folder.join("tokens.txt")).expect("the tokens can be written");

    for line in inputs.lines() {
        let input: Input = serde_json::from_str(line).expect("a line is an input");
        let credentials = AwsCredentials {
            access_key_id: input.access_key_id,
            secret_access_key: input.secret_access_key.into(),
            session_token: input.session_token.map(Into::into),
        };
        let at = jiff::Timestamp::from_second(input.at).expect("a time");
        let token = bedrock_token(&credentials, &input.region, at, Duration::from_secs(input.valid_for));
        writeln!(tokens, "{}", token.expose_secret()).expect("the tokens can be written");
    }
}
