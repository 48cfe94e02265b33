//! The API key: where it comes from and how it is kept secret.
//!
//! No message contains any part of the key, even if the key is malformed. A command that prints the key is split at
//! blanks and run without a shell, because a value in a configuration must not be a shell script.
//!
//! Every buffer in this module that contained the key is overwritten with zeros. The system's copy of the environment
//! can't be overwritten. On Linux, only the administrator can read the system's copy (see `cli::lockdown`).

use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use jiff::Timestamp;
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::key_command::{self, MOST_BYTES, bounded};
use super::printed::{checked, printed};
use super::world::World;
use crate::cli::args::groups::KeyArgs;
use crate::cli::shell;

const API_KEY: &str = "ANTHROPIC_API_KEY";
const AUTH_TOKEN: &str = "ANTHROPIC_AUTH_TOKEN";
/// In messages, the command that prints the key has this name.
pub(super) const COMMAND: &str = "--api-key-cmd";

/// The longest wait for a command that prints the key, or for a file that is a pipe, such as `--api-key-file <(pass
/// show key)`.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The source of the API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A file.
    File(PathBuf),
    /// A command that prints the key.
    Command(String),
    /// An environment variable other than `ANTHROPIC_API_KEY` and `ANTHROPIC_AUTH_TOKEN`.
    Variable(String),
    /// AWS credentials, from the environment or from the `aws` command. From the AWS credentials, the program makes a
    /// token for Bedrock in this region.
    Aws {
        /// The region.
        region: String,
    },
    /// A Google token, from `gcloud` or from the metadata server.
    Google,
    /// `ANTHROPIC_API_KEY`.
    ApiKeyVariable,
    /// `ANTHROPIC_AUTH_TOKEN`.
    AuthTokenVariable,
    /// No source: there is no key.
    Missing,
}

/// A key. The variant says in which header the key is sent.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A key that is sent in `x-api-key`.
    ApiKey(SecretString),
    /// A key that is sent in `authorization: Bearer`.
    Bearer(SecretString),
}

impl KeySource {
    /// Returns the source of the key. Flags have priority over the environment, which has priority over the
    /// configuration.
    pub(super) fn find(named: &KeyArgs, merged: &KeyArgs, world: &World) -> Self {
        let is_set = |name: &str| world.has(name);
        let variable = || match (is_set(API_KEY), is_set(AUTH_TOKEN)) {
            (true, _) => Some(Self::ApiKeyVariable),
            (false, true) => Some(Self::AuthTokenVariable),
            (false, false) => None,
        };
        let source = if named.is_set() { Self::set(named) } else { variable().or_else(|| Self::set(merged)) };
        source.unwrap_or(Self::Missing)
    }

    fn set(key: &KeyArgs) -> Option<Self> {
        let file = key.api_key_file.clone().map(Self::File);
        file.or_else(|| key.api_key_cmd.clone().map(Self::Command))
    }
}

/// Returns the key, and warnings about the key. A run with the simulator needs no key and does not call `credential`.
/// This function runs the key command only once; [`authorization`](super::authorization::authorization) also renews the
/// key.
///
/// # Errors
/// Fails if there is no key (the message says how to give a key), if the file with the key can't be read, or if the
/// command for the key fails. Also fails if the text that was found can't be a key, or if the source makes tokens that
/// have to be renewed. Error messages never show the text that the source gave.
pub fn credential(source: &KeySource, world: &World) -> Result<(Credential, Vec<String>)> {
    match source {
        KeySource::ApiKeyVariable => {
            let both = world
                .variable(AUTH_TOKEN)?
                .map(|_| format!("both {API_KEY} and {AUTH_TOKEN} are set; {API_KEY} is used"));
            let key = checked(world.variable(API_KEY)?.unwrap_or_default(), API_KEY)?;
            Ok((Credential::ApiKey(key), both.into_iter().collect()))
        }
        KeySource::AuthTokenVariable => {
            let token = checked(world.variable(AUTH_TOKEN)?.unwrap_or_default(), AUTH_TOKEN)?;
            Ok((Credential::Bearer(token), Vec::new()))
        }
        KeySource::File(path) => of_file(path, world),
        KeySource::Command(command) => {
            let output = key_command::output(COMMAND, command, world, PATIENCE)?;
            Ok((Credential::ApiKey(printed(COMMAND, &output, Timestamp::now())?.key), Vec::new()))
        }
        KeySource::Variable(name) => {
            let key = checked(world.variable(name)?.unwrap_or_default(), name)?;
            Ok((Credential::ApiKey(key), Vec::new()))
        }
        KeySource::Aws { .. } | KeySource::Google => bail!("tokens of AWS and Google have to be renewed"),
        KeySource::Missing => Err(anyhow!(
            "there is no API key; set {API_KEY} (or use --api-key-file or --api-key-cmd), or add --simulate to rehearse \
             without one"
        )),
    }
}

fn of_file(path: &Path, world: &World) -> Result<(Credential, Vec<String>)> {
    let shown = path.display().to_string();
    let (bytes, metadata) =
        read(world.resolve(path), PATIENCE).with_context(|| format!("--api-key-file: can't read {shown}"))?;
    let text = text(bytes).ok_or_else(|| anyhow!("the key in {shown} is not text"))?;
    let key = checked(&text, &shown)?;
    let warning = others_can_read(&metadata)
        .then(|| format!("other users can read the key in {shown}; run {}", make_private(path)));
    Ok((Credential::ApiKey(key), warning.into_iter().collect()))
}

fn make_private(path: &Path) -> String {
    format!("chmod 600 {}", shell::quoted(shell::file(path)))
}

/// Returns the content of a file. A separate thread reads the file, because the file may be a pipe: if nobody
/// writes to a pipe, reading it never ends.
fn read(path: PathBuf, patience: Duration) -> Result<(Zeroizing<Vec<u8>>, Metadata)> {
    let (sender, read) = std::sync::mpsc::channel();
    // If nobody writes to the pipe, the thread runs until the program ends.
    std::thread::spawn(move || drop(sender.send(read_now(&path))));
    let Ok(read) = read.recv_timeout(patience) else {
        bail!("no program wrote to it for {} s", patience.as_secs());
    };
    let (bytes, metadata) = read?;
    if bytes.len() > MOST_BYTES {
        bail!("it is larger than {} KiB, and no key is that large", MOST_BYTES >> 10);
    }
    Ok((bytes, metadata))
}

fn read_now(path: &Path) -> Result<(Zeroizing<Vec<u8>>, Metadata)> {
    let file = File::open(path)?;
    // The metadata is read from the opened file, because the file at the path may have been replaced.
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        bail!("it is a folder; name the file in it");
    }
    if is_device(&metadata) {
        bail!("it is a device; name a file");
    }
    Ok((bounded(file)?, metadata))
}

fn text(bytes: Zeroizing<Vec<u8>>) -> Option<Zeroizing<String>> {
    str::from_utf8(&bytes).ok().map(|text| Zeroizing::new(text.to_owned()))
}

#[cfg(unix)]
fn others_can_read(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.is_file() && metadata.mode() & 0o044 != 0
}

#[cfg(not(unix))]
fn others_can_read(_metadata: &Metadata) -> bool {
    false
}

#[cfg(unix)]
fn is_device(metadata: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    metadata.file_type().is_char_device() || metadata.file_type().is_block_device()
}

#[cfg(not(unix))]
fn is_device(_metadata: &Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_debug_output_shows_a_key() {
        let credential = Credential::ApiKey(SecretString::from("sk-secret"));

        assert!(!format!("{credential:?}").contains("sk-secret"));
    }

    #[test]
    fn the_refusal_of_a_folder_or_large_file_says_what_it_is() {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        let large = folder.path().join("large");
        std::fs::write(&large, vec![b'k'; MOST_BYTES + 1]).expect("the folder is ours");
        let refused = |path: &Path| read(path.to_owned(), PATIENCE).expect_err("it is no key file").to_string();

        assert!(refused(folder.path()).contains("folder"), "{}", refused(folder.path()));
        assert!(refused(&large).contains("larger than 64 KiB"));
        assert!(refused(&folder.path().join("none")).contains("(os error"));
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_refused_and_a_pipe_is_waited_for() {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        let [silent, spoken] = ["silent", "spoken"].map(|name| folder.path().join(name));
        let made = std::process::Command::new("mkfifo").args([&silent, &spoken]).status().expect("mkfifo is there");
        assert!(made.success());

        let device = read("/dev/zero".into(), PATIENCE).expect_err("it is a device");
        let silent = read(silent, Duration::from_millis(1)).expect_err("nobody writes");
        let pipe = spoken.clone();
        let writing = std::thread::spawn(move || std::fs::write(pipe, "sk-1\n"));
        let written = read(spoken, PATIENCE).expect("somebody writes");

        assert!(device.to_string().contains("a device"));
        assert!(silent.to_string().contains("no program wrote"));
        assert_eq!(**written.0, *b"sk-1\n");
        writing.join().expect("no panic").expect("it is written");
    }
}
