//! Renews credentials before they expire.
//!
//! An [`Issuer`] makes credentials, for example with a command. [`Renewing`] asks the issuer for another credential in
//! these cases:
//!
//! - The current credential expires soon: within five minutes, or within a tenth of its life if that is shorter.
//!   Requests use the current credential until the renewal has ended.
//! - A server refuses the current credential. Refusals cause at most one renewal per minute, because a server can have
//!   other reasons to refuse a request.
//! - The current credential has expired. Requests wait until the renewal has ended.
//!
//! If several requests need the credential, the issuer is asked only once for all of them. The issuer runs on its own
//! thread for two reasons: the issuer can block, and the runtime of the request can end before the issuer has answered.
//! If the issuer fails, the user gets one warning, and the current credential is used until it expires. After the
//! credential has expired, each request fails with the reason. After a failure, the issuer is asked again later.
//!
//! The life of a credential is counted from the moment when the issuer is asked, because the issuer's answer can come
//! late. The clock of this module can stop while the computer sleeps, so a credential can expire without a renewal. The
//! expired credential is then renewed when a server refuses it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::watch;
use tokio::time::Instant;

use super::authorization::{Asked, CredentialSource};
use super::credential::Credential;
use crate::domain::Secrets;

/// A credential is renewed at most this long before it expires.
const MARGIN: Duration = Duration::from_secs(5 * 60);
/// The shortest time between two renewals that are caused by a server's refusals.
const BETWEEN_REFUSALS: Duration = Duration::from_secs(60);
/// The longest wait between a failed renewal and the next renewal.
const AFTER_FAILURE: Duration = Duration::from_secs(30);
/// The shortest wait after a failed renewal, if the current credential expires soon.
const AFTER_FAILURE_AT_LEAST: Duration = Duration::from_secs(1);

/// Makes credentials.
pub(crate) trait Issuer: fmt::Debug + Send + Sync + 'static {
    /// Returns a credential. The call may block for a while. If the current credential stays valid for a long time, an
    /// issuer can return it again.
    ///
    /// # Errors
    /// Returns the reason why there is no credential, as a message that contains no secrets.
    fn issue(&self) -> Result<Issued, String>;

    /// Tells the user that the credential can't be renewed. This warning is shown at most once between two successful
    /// renewals.
    fn warn(&self, warning: &str);
}

/// A credential that an issuer made, with its life.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) credential: Credential,
    pub(crate) life: Life,
    /// The credential contains these secrets in an encoded form.
    pub(crate) also_secret: Vec<SecretString>,
}

/// How long a credential can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// The credential can be used for this long.
    For(Duration),
    /// The credential can be used for at least this long. It is not known when the credential expires, so the issuer is
    /// asked again after this time.
    AtLeast(Duration),
    /// The credential can be used until a server refuses it.
    UntilRefused,
}

/// A source of a credential; the source renews the credential when necessary.
#[derive(Clone, Debug)]
pub(crate) struct Renewing(Arc<Shared>);

struct Shared {
    issuer: Box<dyn Issuer>,
    state: Mutex<State>,
    /// A channel that notifies waiting requests when a renewal has ended.
    ended: watch::Sender<()>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewing").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

struct State {
    held: Held,
    is_renewing: bool,
    failure: Option<Failure>,
    has_warned: bool,
    /// Before this time, a refusal by a server causes no further renewal.
    refused_until: Option<Instant>,
}

/// The current credential of a source.
struct Held {
    credential: Arc<Credential>,
    also_secret: Vec<SecretString>,
    /// The time at which the issuer is asked for the next credential.
    due: Option<Instant>,
    end: Option<Instant>,
}

/// The failure of the last renewal.
struct Failure {
    reason: String,
    /// The earliest time of the next renewal. The first request after the failure sets this time.
    again: Option<Instant>,
}

impl Renewing {
    /// Returns a source with its first credential.
    pub(crate) fn new(issuer: impl Issuer, first: Issued) -> Self {
        let state = State {
            held: Held::new(first, Instant::now()),
            is_renewing: false,
            failure: None,
            has_warned: false,
            refused_until: None,
        };
        Self(Arc::new(Shared { issuer: Box::new(issuer), state: Mutex::new(state), ended: watch::channel(()).0 }))
    }

    /// Returns the current credential, or the reason why there is none. Begins a renewal if its time has come. If
    /// requests have to wait for the renewal, returns the channel that notifies them.
    fn current(&self, now: Instant) -> Result<Result<Arc<Credential>, String>, watch::Receiver<()>> {
        let mut state = self.0.lock();
        let has_ended = state.held.end.is_some_and(|end| end <= now);
        let is_due = has_ended || state.held.due.is_some_and(|due| due <= now);
        if is_due && !state.waits_after_failure(now) {
            self.begin(&mut state, now);
        }
        match (&state.failure, has_ended) {
            (_, false) => Ok(Ok(state.held.credential.clone())),
            (Some(failure), true) if !state.is_renewing => Ok(Err(failure.reason.clone())),
            (_, true) => Err(self.0.ended.subscribe()),
        }
    }

    /// Returns the current credential if the refused credential was already replaced. Returns the refused credential
    /// again if a renewal can't begin yet. Otherwise, begins a renewal and returns the channel that notifies requests
    /// when the renewal has ended.
    fn other(&self, refused: &Arc<Credential>, now: Instant) -> Result<Arc<Credential>, watch::Receiver<()>> {
        let mut state = self.0.lock();
        if !Arc::ptr_eq(&state.held.credential, refused) {
            return Ok(state.held.credential.clone());
        }
        if !state.is_renewing {
            if state.refused_until.is_some_and(|until| now < until) {
                return Ok(refused.clone());
            }
            state.refused_until = Some(now + BETWEEN_REFUSALS);
            self.begin(&mut state, now);
        }
        // If the renewal could not begin, requests do not wait, and continue with the refused credential.
        if state.is_renewing { Err(self.0.ended.subscribe()) } else { Ok(refused.clone()) }
    }

    /// Begins a renewal if no renewal is running.
    fn begin(&self, state: &mut State, now: Instant) {
        if std::mem::replace(&mut state.is_renewing, true) {
            return;
        }
        let shared = self.0.clone();
        let renewal = move || {
            let issued = catch_unwind(AssertUnwindSafe(|| shared.issuer.issue()));
            shared.on_renewed(issued.unwrap_or_else(|_| Err("the renewal panicked".to_owned())), now);
        };
        if let Err(error) = std::thread::Builder::new().name("key".to_owned()).spawn(renewal) {
            state.is_renewing = false;
            state.failure = Some(Failure { reason: format!("no thread can be started: {error}"), again: None });
        }
    }
}

impl CredentialSource for Renewing {
    fn credential(&self) -> Asked<'_> {
        Box::pin(async {
            let mut has_waited = false;
            loop {
                let mut ended = match self.current(Instant::now()) {
                    Ok(credential) => return credential,
                    Err(_) if has_waited => return Err("each new key has expired before it could be sent".to_owned()),
                    Err(ended) => ended,
                };
                // The wait can't fail, because the sender of the channel lives as long as `self`.
                let _ = ended.changed().await;
                has_waited = true;
            }
        })
    }

    fn renew<'a>(&'a self, refused: &'a Arc<Credential>) -> Asked<'a> {
        Box::pin(async {
            let mut ended = match self.other(refused, Instant::now()) {
                Ok(other) => return Ok(other),
                Err(ended) => ended,
            };
            // The wait can't fail, because the sender of the channel lives as long as `self`.
            let _ = ended.changed().await;
            Ok(self.0.lock().held.credential.clone())
        })
    }

    fn also_secret(&self) -> Vec<SecretString> {
        self.0.lock().held.also_secret.clone()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_renewed(&self, issued: Result<Issued, String>, begun: Instant) {
        let warning = self.lock().on_renewed(issued, begun);
        warning.iter().for_each(|warning| self.issuer.warn(warning));
        self.ended.send_replace(());
    }
}

impl State {
    /// Records the result of a renewal. Returns a warning for the user if the renewal failed and the user was not
    /// warned yet.
    fn on_renewed(&mut self, issued: Result<Issued, String>, begun: Instant) -> Option<String> {
        self.is_renewing = false;
        let mut reason = match issued {
            Ok(issued) => {
                self.held = Held::new(issued, begun).or_same(&self.held);
                (self.failure, self.has_warned) = (None, false);
                return None;
            }
            Err(reason) => reason,
        };
        Secrets::new(self.held.credential.exposed()).clean(&mut reason);
        let still = if self.held.end.is_some_and(|end| begun < end) {
            "; the current key is used until it expires"
        } else {
            ""
        };
        let warning = format!("the key can't be renewed: {reason}{still}");
        self.failure = Some(Failure { reason, again: None });
        (!std::mem::replace(&mut self.has_warned, true)).then_some(warning)
    }

    /// Returns whether the next renewal must wait, because a renewal failed a short time ago.
    fn waits_after_failure(&mut self, now: Instant) -> bool {
        let left = self.held.end.map_or(Duration::MAX, |end| end.saturating_duration_since(now));
        let wait = match left {
            Duration::ZERO => AFTER_FAILURE,
            left => AFTER_FAILURE.min(left / 4).max(AFTER_FAILURE_AT_LEAST),
        };
        self.failure.as_mut().is_some_and(|failure| now < *failure.again.get_or_insert(now + wait))
    }
}

impl Held {
    fn new(issued: Issued, begun: Instant) -> Self {
        let Issued { credential, life, also_secret } = issued;
        let (due, end) = match life {
            Life::For(life) => (begun.checked_add(life - MARGIN.min(life / 10)), begun.checked_add(life)),
            Life::AtLeast(life) => (begun.checked_add(life), None),
            Life::UntilRefused => (None, None),
        };
        Self { credential: Arc::new(credential), also_secret, due, end }
    }

    /// Returns the new credential. If the key has not changed, only the lifetime is new: the result keeps the `Arc` of
    /// the earlier credential.
    fn or_same(self, before: &Self) -> Self {
        let is_same = self.credential.exposed() == before.credential.exposed();
        let credential = if is_same { before.credential.clone() } else { self.credential };
        Self { credential, ..self }
    }
}

#[cfg(test)]
mod tests;
