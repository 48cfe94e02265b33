//! The thread that sends the notices of one target.
//!
//! A try takes at most five seconds, and there are three tries, with waits of one and two seconds between them. The first
//! notice that can't be sent is told in a warning. Later ones are not: a receiver that is down stays down, and the user
//! knows it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::command::CommandTarget;
use super::document::Notice;
use super::outbox::Queue;
use super::signature::signature;
use crate::report::text::plural;
use crate::transport::http::NoticePoster;

/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The waits between tries.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// Where notices are sent. Its `Debug` form does not show an address.
#[derive(Debug)]
pub(crate) enum Target {
    /// To an address.
    Url(Box<NoticePoster>),
    /// To a program.
    Command(CommandTarget),
}

/// Names a target without its address and arguments.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(poster) => f.write_str(&poster.shown()),
            Self::Command(command) => f.write_str(&command.shown()),
        }
    }
}

/// A failed try.
struct Fault {
    words: String,
    /// Whether another try can't succeed.
    is_final: bool,
}

impl Target {
    fn send(&self, notice: &Notice, secret: Option<&SecretString>) -> Result<(), Fault> {
        match self {
            Self::Url(poster) => {
                let seconds = jiff::Timestamp::now().as_second();
                let signed = secret.and_then(|secret| signature(secret.expose_secret(), seconds, &notice.posted));
                let posted = poster.post(notice.posted.clone(), signed, PATIENCE);
                posted.map_err(|fault| Fault { words: fault.to_string(), is_final: fault.is_final() })
            }
            Self::Command(command) => command
                .run(&notice.document, PATIENCE)
                .map_err(|fault| Fault { words: fault.to_string(), is_final: false }),
        }
    }
}

/// Sends the notices of one target.
pub(super) struct Sender {
    pub(super) target: Target,
    pub(super) queue: Arc<Queue>,
    pub(super) secret: Option<Arc<SecretString>>,
}

impl Sender {
    /// Sends notices until there are no more.
    pub(super) fn run(self) {
        let (mut has_warned, mut has_told_drops) = (false, false);
        while let Some((notice, dropped)) = self.queue.next() {
            if dropped > 0 && !std::mem::replace(&mut has_told_drops, true) {
                let dropped = plural(dropped, "notice was", "notices were");
                self.queue.warn(format!("{dropped} dropped, because {} is slower than they come", self.target));
            }
            if let Some(fault) = self.send(&notice)
                && !std::mem::replace(&mut has_warned, true)
            {
                let target = &self.target;
                self.queue.warn(format!("a notice to {target} was not sent: {fault}; this does not change the run"));
            }
        }
    }

    /// Sends a notice, with as many tries as needed. Returns the last fault if all failed.
    fn send(&self, notice: &Notice) -> Option<String> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let fault = self.target.send(notice, self.secret.as_deref()).err()?;
            match pauses.next().filter(|_| !fault.is_final) {
                Some(pause) if self.queue.pause(pause) => {}
                Some(_) | None => return Some(fault.words),
            }
        }
    }
}
