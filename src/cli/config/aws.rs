//! Makes tokens for Amazon Bedrock from AWS credentials. The credentials come from the environment, or from the `aws`
//! command, which supports profiles, single sign-on, roles and machine credentials.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::key_command;
use super::printed::{checked, until};
use super::world::World;
use crate::transport::http::Credential;
use crate::transport::sigv4::{AwsCredentials, LONGEST, bedrock_token};
use crate::transport::{Issued, Life};

const KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const SESSION: &str = "AWS_SESSION_TOKEN";
/// The variable that says when the credentials in the environment expire. The command `aws configure export-credentials
/// --format env` prints this variable.
const EXPIRATION: &str = "AWS_CREDENTIAL_EXPIRATION";
/// The command that prints the user's credentials.
pub(super) const EXPORT: &str = "aws configure export-credentials --format process";
/// What the user can do if the command `EXPORT` fails.
const LOG_IN: &str = "log in with aws sso login, set up a profile with aws configure, or set AWS_ACCESS_KEY_ID and \
                      AWS_SECRET_ACCESS_KEY, or AWS_BEARER_TOKEN_BEDROCK";

/// The JSON that the command `EXPORT` prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exported {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
}

/// AWS credentials, and how long they can be used; `None` if they do not expire.
struct Found {
    credentials: AwsCredentials,
    left: Option<Duration>,
}

/// Makes a token for Bedrock. `command` is [`EXPORT`]; tests use a script instead.
///
/// # Errors
/// Fails if there are no credentials, or if the credentials have expired. The message says how to log in.
pub(super) fn issue(region: &str, command: &str, world: &World, patience: Duration) -> Result<Issued> {
    let now = Timestamp::now();
    let found = match of_environment(world, now)? {
        Some(found) => found,
        None => exported(command, world, patience, now)?,
    };
    // The token must not live longer than its credentials: after the credentials expire, the server rejects the token.
    let life = found.left.map_or(LONGEST, |left| left.min(LONGEST));
    let token = bedrock_token(&found.credentials, region, now, life.max(Duration::from_secs(1)));
    let also_secret = found.credentials.session_token.into_iter().collect();
    Ok(Issued { credential: Credential::Bearer(token), life: Life::For(life), also_secret })
}

fn of_environment(world: &World, now: Timestamp) -> Result<Option<Found>> {
    let (id, secret) = match (world.variable(KEY_ID)?, world.variable(SECRET)?) {
        (Some(id), Some(secret)) => (id, secret),
        (None, None) => return Ok(None),
        (Some(_), None) => bail!("{KEY_ID} is set, but {SECRET} is not; set both, or none to use the aws command"),
        (None, Some(_)) => bail!("{SECRET} is set, but {KEY_ID} is not; set both, or none to use the aws command"),
    };
    let session = world.variable(SESSION)?.map(|text| checked(text, SESSION)).transpose()?;
    let left = world.variable(EXPIRATION)?.map(|text| left(text, EXPIRATION, now)).transpose()?;
    Ok(Some(Found { credentials: credentials(id, KEY_ID, secret, SECRET, session)?, left }))
}

fn exported(command: &str, world: &World, patience: Duration, now: Timestamp) -> Result<Found> {
    const FROM: &str = "the AWS credentials";
    let output = key_command::output(FROM, command, world, patience).map_err(|error| {
        match error.downcast_ref::<io::Error>() {
            Some(cause) if cause.kind() == io::ErrorKind::NotFound => anyhow!(
                "there are no AWS credentials: {KEY_ID} is not set, and the aws command is not installed; install the AWS \
                 CLI and {LOG_IN}"
            ),
            _ => anyhow!("{error:#}; {LOG_IN}"),
        }
    })?;
    // The text of the JSON error may contain a secret, so the message shows only the line and the column.
    let exported: Exported = serde_json::from_slice(&output).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        anyhow!("{FROM}: {command:?} printed no credentials in JSON (line {line}, column {column}); {LOG_IN}")
    })?;
    let Exported { access_key_id: id, secret_access_key, session_token, expiration } = exported;
    let (secret, session) = (Zeroizing::new(secret_access_key), session_token.map(Zeroizing::new));
    let session = session.filter(|text| !text.is_empty()).map(|text| checked(&text, "SessionToken")).transpose()?;
    let left = expiration.map(|text| left(&text, "the Expiration of the AWS credentials", now)).transpose();
    let left = left
        .context("log in again with aws sso login, or get new credentials from the place where you got the old ones")?;
    Ok(Found { credentials: credentials(&id, "AccessKeyId", &secret, "SecretAccessKey", session)?, left })
}

fn credentials(
    id: &str,
    id_from: &str,
    secret: &str,
    secret_from: &str,
    session_token: Option<SecretString>,
) -> Result<AwsCredentials> {
    checked(id, id_from)?;
    let secret_access_key = checked(secret, secret_from)?;
    Ok(AwsCredentials { access_key_id: id.trim().to_owned(), secret_access_key, session_token })
}

/// Returns the time from `now` until the RFC 3339 time in `text`.
fn left(text: &str, name: &str, now: Timestamp) -> Result<Duration> {
    let end = text.trim().parse().map_err(|_| anyhow!("{name} is not a time such as 2026-11-27T12:00:00Z"))?;
    until(end, name, now)
}

#[cfg(all(test, unix))]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn world(variables: &[(&str, &str)]) -> (tempfile::TempDir, World) {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let world = World { variables, working_folder: folder.path().to_owned(), ..World::default() };
        (folder, world)
    }

    /// Makes a token by running a script instead of the `aws` command.
    fn issued(script: &str, variables: &[(&str, &str)]) -> Result<Issued, String> {
        let (folder, world) = world(variables);
        std::fs::write(folder.path().join("aws.sh"), script).expect("the folder is ours");
        issue("eu-west-1", "sh aws.sh", &world, PATIENCE).map_err(|error| format!("{error:#}"))
    }

    fn life(issued: &Issued) -> u64 {
        match issued.life {
            Life::For(life) => life.as_secs(),
            Life::AtLeast(_) | Life::UntilRefused => panic!("it has an end"),
        }
    }

    #[test]
    fn credentials_of_the_environment_make_a_token_for_twelve_hours() {
        let both = [(KEY_ID, "AKID"), (SECRET, "canary-secret\n"), (SESSION, "canary-session")];

        let issued = issued("exit 1", &both).expect("there are credentials");

        assert_eq!(life(&issued), 43_200);
        assert!(
            matches!(&issued.credential, Credential::Bearer(token) if token.expose_secret().starts_with("bedrock-api-key-"))
        );
        assert_eq!(issued.also_secret[0].expose_secret(), "canary-session");
        assert!(!format!("{issued:?}").contains("canary"));
    }

    #[test]
    fn a_token_ends_with_its_credentials() {
        let end = Timestamp::now() + jiff::SignedDuration::from_secs(3_600);
        let of_command = format!(
            "echo '{{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"B\",\"SessionToken\":\"C\",\"Expiration\":\"{end}\"}}'"
        );
        let end = end.to_string();
        let of_environment = [(KEY_ID, "A"), (SECRET, "B"), (EXPIRATION, end.as_str())];

        for issued in [issued(&of_command, &[]), issued("exit 1", &of_environment)] {
            let life = life(&issued.expect("there are credentials"));

            assert!((3_500..=3_600).contains(&life), "{life}");
        }
    }

    #[test]
    fn each_fault_says_how_to_log_in() {
        let expired =
            r#"echo '{"AccessKeyId":"A","SecretAccessKey":"canary","Expiration":"2020-01-01T00:00:00+00:00"}'"#;
        for (script, message) in [
            ("echo 'Error loading SSO Token: Token for default does not exist' >&2; exit 255", "SSO Token"),
            ("echo", "printed no credentials in JSON (line 2, column 0)"),
            (r#"echo '{"SecretAccessKey":"canary"}'"#, "printed no credentials in JSON"),
            (expired, "the Expiration of the AWS credentials is 2020-01-01T00:00:00Z, which was"),
        ] {
            let error = issued(script, &[]).expect_err(script);

            assert!(error.contains(message) && error.contains("aws sso login"), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
        let (_folder, world) = world(&[]);
        let missing = issue("r", "no-such-program-here configure", &world, PATIENCE).expect_err("it is not there");
        assert!(missing.to_string().contains("the aws command is not installed"), "{missing}");
    }

    #[test]
    fn half_of_the_credentials_is_a_mistake() {
        let error = issued("exit 1", &[(KEY_ID, "A")]).expect_err("the secret is missing");

        assert!(error.contains("AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not"), "{error}");
    }
}
