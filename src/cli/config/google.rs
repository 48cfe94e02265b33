//! Gets Google tokens from the `gcloud` command, or from the metadata server of a Google Cloud machine.

use std::io;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use jiff::Timestamp;

use super::key_command;
use super::printed::printed;
use super::world::World;
use crate::transport::http::{Credential, google_token};
use crate::transport::{Issued, Life};

/// The command that prints the user's token.
pub(super) const PRINT: &str =
    if cfg!(windows) { "gcloud.cmd auth print-access-token" } else { "gcloud auth print-access-token" };
/// `gcloud` does not say when the token expires. `gcloud` makes a new token if the old one expires in less than 3 min
/// 45 s (PyPI `google-auth` 2.63.0, `_helpers.REFRESH_THRESHOLD`). So a token that `gcloud` prints lives at least 3 min
/// 45 s.
const AT_LEAST: Duration = Duration::from_secs(225);
/// The name that messages use for the metadata server.
const SERVER: &str = "the metadata server";

/// Returns a Google token. The program passes [`PRINT`] as `command`. Tests pass a script as `command`. `ttl` is the
/// time for which the user wants to use the token.
///
/// # Errors
/// Fails if no Google token can be found. The message says how to log in.
pub(super) fn issue(command: &str, ttl: Option<Duration>, world: &World, patience: Duration) -> Result<Issued> {
    const FROM: &str = "the Google token";
    let now = Timestamp::now();
    let fault = match key_command::output(FROM, command, world, patience) {
        Ok(output) => {
            let printed = printed("gcloud auth print-access-token", &output, now)?;
            let life = printed.life.or(ttl).map_or(Life::AtLeast(AT_LEAST), Life::For);
            return Ok(issued(printed.key, life));
        }
        Err(fault) => fault,
    };
    let host = world.variable("GCE_METADATA_HOST")?;
    match google_token(host) {
        Ok(answer) => {
            let printed = printed(SERVER, &answer, now)?;
            let life = printed.life.or(ttl).map_or(Life::AtLeast(AT_LEAST), Life::For);
            Ok(issued(printed.key, life))
        }
        Err(of_server) => match fault.downcast_ref::<io::Error>() {
            Some(cause) if cause.kind() == io::ErrorKind::NotFound => bail!(
                "there is no Google token: the gcloud command is not installed, and {of_server}; install the Google Cloud \
                 CLI and run gcloud auth login, or name a command that prints a token with --api-key-cmd"
            ),
            _ => Err(anyhow!(
                "{fault:#}; run gcloud auth login, or name a command that prints a token with --api-key-cmd (and \
                 {of_server})"
            )),
        },
    }
}

fn issued(token: secrecy::SecretString, life: Life) -> Issued {
    Issued { credential: Credential::Bearer(token), life, also_secret: Vec::new() }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use secrecy::ExposeSecret;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Returns a token. The test runs `script` instead of `gcloud`, and asks `server` instead of the metadata server.
    fn from(script: Option<&str>, server: &str, ttl: Option<Duration>) -> Result<(String, Life), String> {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        let variables = [("GCE_METADATA_HOST".into(), server.into())].into();
        let world = World { variables, working_folder: folder.path().to_owned(), ..World::default() };
        let command = if script.is_some() { "sh gcloud.sh" } else { "no-such-program-here" };
        std::fs::write(folder.path().join("gcloud.sh"), script.unwrap_or_default()).expect("the folder is ours");
        let issued = issue(command, ttl, &world, PATIENCE).map_err(|error| format!("{error:#}"))?;
        let Credential::Bearer(token) = &issued.credential else { panic!("it is a token") };
        Ok((token.expose_secret().to_owned(), issued.life))
    }

    /// Starts a metadata server that answers one request, and returns its address.
    fn server() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let _ = stream.read(&mut [0; 4096]);
            let body = r#"{"access_token":"ya29.server","expires_in":3599,"token_type":"Bearer"}"#;
            let bytes = body.len();
            write!(stream, "HTTP/1.1 200 OK\r\nMetadata-Flavor: Google\r\ncontent-length: {bytes}\r\n\r\n{body}")
        });
        address
    }

    #[test]
    fn gcloud_is_asked_first_and_its_token_lives_a_while() {
        let nothing = "127.0.0.1:1";

        assert_eq!(from(Some("echo ya29.x"), nothing, None), Ok(("ya29.x".to_owned(), Life::AtLeast(AT_LEAST))));
        let ttl = Duration::from_secs(600);
        assert_eq!(from(Some("echo ya29.x"), nothing, Some(ttl)), Ok(("ya29.x".to_owned(), Life::For(ttl))));
    }

    #[test]
    fn without_gcloud_or_a_login_the_metadata_server_is_asked() {
        let token = ("ya29.server".to_owned(), Life::For(Duration::from_secs(3599)));

        assert_eq!(from(None, &server(), None).as_ref(), Ok(&token));
        assert_eq!(from(Some("exit 1"), &server(), None).as_ref(), Ok(&token));
    }

    #[test]
    fn each_fault_says_how_to_log_in() {
        for (script, message) in [
            (None, "the gcloud command is not installed, and the metadata server can't be reached"),
            (Some("echo 'You do not have an active account' >&2; exit 1"), "You do not have an active account"),
        ] {
            let error = from(script, "127.0.0.1:1", None).expect_err("there is none");

            assert!(error.contains(message) && error.contains("gcloud auth login"), "{error}");
            assert!(error.contains("--api-key-cmd"), "{error}");
        }
        let elsewhere = from(None, "metadata.example.invalid", None).expect_err("it is refused");
        assert!(elsewhere.contains("GCE_METADATA_HOST must be"), "{elsewhere}");
    }
}
