//! One request of the command `ctl` to a run.

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

/// The version of the format of a request.
const VERSION: u32 = 1;

/// The actions that `ctl` can request from a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Send no requests until `Resume`.
    Pause,
    /// Continue to send requests after a pause.
    Resume,
    /// End the run after the requests in flight have finished.
    Drain,
    /// End the run, and abort the requests in flight.
    Stop,
    /// Change a setting of the run.
    Set,
}

impl Verb {
    /// All verbs, in the order of the help text of `ctl`.
    pub(crate) const ALL: [Self; 5] = [Self::Pause, Self::Resume, Self::Drain, Self::Stop, Self::Set];

    /// Returns the verb as the user types it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Drain => "drain",
            Self::Stop => "stop",
            Self::Set => "set",
        }
    }

    /// Returns the verb with this name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name() == name)
    }
}

/// A request to a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The random id of the process that receives the request.
    pub(crate) process: String,
    /// The random id of the request. The answer to the request has the same id.
    pub(crate) id: String,
    /// The action that the run is asked to take.
    pub(crate) verb: Verb,
    /// The name of a setting and its new value; `None` for all verbs except `set`.
    pub(crate) setting: Option<(String, String)>,
}

/// A request, as the JSON object in the file.
#[derive(Serialize, Deserialize)]
struct Written {
    v: u32,
    process: String,
    id: String,
    verb: String,
    name: Option<String>,
    value: Option<String>,
    check: String,
}

impl Request {
    /// Returns the request as one line of JSON.
    pub(crate) fn line(&self) -> String {
        let (name, value) = self.setting.clone().unzip();
        let written = Written {
            v: VERSION,
            process: self.process.clone(),
            id: self.id.clone(),
            verb: self.verb.name().to_owned(),
            name,
            value,
            check: self.checksum(),
        };
        let json = serde_json::to_string(&written).expect("texts and numbers can be written as JSON");
        format!("{json}\n")
    }

    /// Parses the line of a request. Returns `None` if the bytes differ from what `line` returns for this request.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let written: Written = serde_json::from_slice(bytes).ok()?;
        let setting = match (written.name, written.value) {
            (Some(name), Some(value)) => Some((name, value)),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return None,
        };
        let verb = Verb::of(&written.verb)?;
        let request = Self { process: written.process, id: written.id, verb, setting };
        let is_whole = is_id(&request.id) && (verb == Verb::Set) == request.setting.is_some();
        // This comparison also checks the version and the checksum, because the line contains both.
        (is_whole && request.line().as_bytes() == bytes).then_some(request)
    }

    fn checksum(&self) -> String {
        let (name, value) = self.setting.as_ref().map_or(("", ""), |(name, value)| (name, value));
        let text = [&self.process, &self.id, self.verb.name(), name, value].join("\n");
        hex(&digest(&SHA256, text.as_bytes()).as_ref()[..8])
    }
}

/// Returns a random id of 32 hexadecimal digits. Returns `None` if the operating system returns no random numbers.
pub(crate) fn random_id() -> Option<String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(hex(&bytes))
}

/// Returns whether a text has the form of a random id: 32 hexadecimal digits in lower case.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
