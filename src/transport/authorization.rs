//! Authorizes requests with a fixed key, or with a token that expires. For a token that expires, the transport gets the
//! current token before each request. If a server refuses a token, the transport asks for another token and sends the
//! request one more time.
//!
//! This module keeps the last few credentials that were sent, so that they can be removed from texts that servers send.
//! The transport itself stores each credential before it sends the request, so a source of tokens does not have to
//! store its tokens. Earlier tokens are not needed, because a server would most likely repeat only recent tokens.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::credential::{Credential, UnusableKey};
use crate::domain::Secrets;

/// How many credentials are kept, including the current credential. Texts from servers are searched for these
/// credentials.
const KNOWN: usize = 8;

/// The source of the credential of each request.
#[derive(Clone, Debug)]
pub enum Authorization {
    /// All requests have the same credential.
    Fixed(Arc<Credential>),
    /// The transport asks the source for a credential before each request.
    Asked(Arc<dyn CredentialSource>),
}

impl From<Credential> for Authorization {
    fn from(credential: Credential) -> Self {
        Self::Fixed(Arc::new(credential))
    }
}

/// A future that returns the current credential of a source, or the reason why there is no credential.
pub type Asked<'a> = Pin<Box<dyn Future<Output = Result<Arc<Credential>, String>> + Send + 'a>>;

/// A source of credentials that can expire. The `Debug` form of a source must not show its credentials.
pub trait CredentialSource: fmt::Debug + Send + Sync {
    /// Returns the current credential. As long as the credential does not change, each call must return the same `Arc`.
    ///
    /// This function is called for each request, and several calls can run in parallel. The time limit of the request
    /// includes this call.
    ///
    /// # Errors
    /// Returns the reason why there is no credential, as a message for people. The message must not contain a secret.
    /// After such an error, the request is not sent, and its row is tried again.
    fn credential(&self) -> Asked<'_>;

    /// Returns another credential, because a server refused this credential with 401 or 403. If there is no other
    /// credential, returns the refused credential. If the refused credential has been replaced in the meantime, returns
    /// the current credential.
    ///
    /// A server can refuse the same credential in many requests. `renew` is called for each of these requests, but must
    /// renew the credential only once.
    ///
    /// # Errors
    /// Returns the reason why no credential can replace the refused credential. The message must not contain a secret.
    fn renew<'a>(&'a self, refused: &'a Arc<Credential>) -> Asked<'a> {
        let same = refused.clone();
        Box::pin(std::future::ready(Ok(same)))
    }

    /// Returns secrets that the current credential contains in an encoded form. A server can also send these secrets
    /// back.
    fn also_secret(&self) -> Vec<SecretString> {
        Vec::new()
    }
}

/// A credential that was sent, with its header.
struct Sent {
    credential: Arc<Credential>,
    header: Header,
    also_secret: Vec<SecretString>,
}

/// Turns credentials into headers, and remembers the secrets that were sent.
pub(super) struct Authorizer {
    source: Authorization,
    /// Further secrets that are not credentials, such as the password of a proxy.
    others: Vec<SecretString>,
    known: RwLock<Known>,
}

/// The header that authorizes a request; `None` if there is no credential.
type Header = Option<(HeaderName, HeaderValue)>;

/// The last credentials that were sent. The oldest credential comes first.
#[derive(Default)]
struct Known {
    sent: VecDeque<Sent>,
    secrets: Arc<Secrets>,
}

impl Authorizer {
    /// Returns an authorizer that has sent nothing yet.
    ///
    /// # Errors
    /// Returns an error if the credential is fixed and can't be sent in a header.
    pub(super) fn new(source: Authorization, others: Vec<SecretString>) -> Result<Self, UnusableKey> {
        let authorizer = Self { source, others, known: RwLock::default() };
        match &authorizer.source {
            Authorization::Fixed(credential) => drop(authorizer.header_of(credential)?),
            Authorization::Asked(_) => authorizer.note(None),
        }
        Ok(authorizer)
    }

    /// Returns the credential for the next request.
    ///
    /// # Errors
    /// Returns the reason why there is no credential, as a message for people.
    pub(super) async fn credential(&self) -> Result<Arc<Credential>, String> {
        match &self.source {
            Authorization::Fixed(credential) => Ok(credential.clone()),
            Authorization::Asked(source) => source.credential().await,
        }
    }

    /// Returns whether a refused credential can be replaced by another credential.
    pub(super) fn can_renew(&self) -> bool {
        matches!(self.source, Authorization::Asked(_))
    }

    /// After a server has refused the credential `refused`, returns another credential. Returns `None` if there is no
    /// other credential.
    pub(super) async fn renewed(&self, refused: &Arc<Credential>) -> Option<Arc<Credential>> {
        let Authorization::Asked(source) = &self.source else { return None };
        let other = source.renew(refused).await.ok()?;
        (other.exposed() != refused.exposed()).then_some(other)
    }

    /// Returns the header for a request that is about to be sent with this credential.
    ///
    /// # Errors
    /// Returns an error if the credential can't be sent in a header.
    pub(super) fn header(&self, credential: &Arc<Credential>) -> Result<Header, String> {
        self.header_of(credential).map_err(|error| error.to_string())
    }

    /// Returns the secrets that are removed from the texts of servers: the credentials that were sent last, and the
    /// further secrets.
    pub(super) fn secrets(&self) -> Arc<Secrets> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).secrets.clone()
    }

    fn header_of(&self, credential: &Arc<Credential>) -> Result<Header, UnusableKey> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(sent) = known.sent.iter().rfind(|sent| Arc::ptr_eq(&sent.credential, credential)) {
            return Ok(sent.header.clone());
        }
        drop(known);
        let header = credential.header()?;
        let also_secret = match &self.source {
            Authorization::Fixed(_) => Vec::new(),
            Authorization::Asked(source) => source.also_secret(),
        };
        self.note(Some(Sent { credential: credential.clone(), header: header.clone(), also_secret }));
        Ok(header)
    }

    /// Records the credential that is about to be sent.
    fn note(&self, new: Option<Sent>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(new) = new {
            known.sent.retain(|sent| sent.credential.exposed() != new.credential.exposed());
            known.sent.push_back(new);
        }
        if known.sent.len() > KNOWN {
            known.sent.pop_front();
        }
        let keys = known.sent.iter().filter_map(|sent| sent.credential.exposed());
        let others = known.sent.iter().flat_map(|sent| &sent.also_secret).chain(&self.others);
        known.secrets = Arc::new(Secrets::new(keys.chain(others.map(ExposeSecret::expose_secret))));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A source that returns its tokens one after the other, and then the last token again and again.
    #[derive(Debug)]
    struct Tokens(Mutex<VecDeque<Arc<Credential>>>);

    impl Tokens {
        fn new(tokens: &[&str]) -> Arc<Self> {
            let tokens = tokens.iter().map(|&token| Arc::new(Credential::Bearer(token.to_owned().into())));
            Arc::new(Self(Mutex::new(tokens.collect())))
        }
    }

    impl CredentialSource for Tokens {
        fn credential(&self) -> Asked<'_> {
            Box::pin(async {
                let mut tokens = self.0.lock().expect("no thread panicked with it");
                let next = if tokens.len() > 1 { tokens.pop_front() } else { tokens.front().cloned() };
                next.ok_or_else(|| "the vault is closed".to_owned())
            })
        }
    }

    fn cleaned(authorizer: &Authorizer, text: &str) -> String {
        let mut text = text.to_owned();
        authorizer.secrets().clean(&mut text);
        text
    }

    async fn header(authorizer: &Authorizer) -> Result<Header, String> {
        authorizer.header(&authorizer.credential().await?)
    }

    async fn sent(authorizer: &Authorizer) -> String {
        let (_, value) = header(authorizer).await.expect("there is a token").expect("it goes into a header");
        value.to_str().expect("it is text").to_owned()
    }

    #[tokio::test]
    async fn each_request_asks_for_a_token_and_every_token_sent_is_secret() {
        let source = Tokens::new(&["token-number-one", "token-number-two"]);
        let authorizer = Authorizer::new(Authorization::Asked(source), vec!["a-password".into()]).expect("nothing yet");
        assert_eq!(cleaned(&authorizer, "a-password token-number-one"), "[key] token-number-one");

        let tokens = [sent(&authorizer).await, sent(&authorizer).await, sent(&authorizer).await];

        assert_eq!(tokens, ["Bearer token-number-one", "Bearer token-number-two", "Bearer token-number-two"]);
        assert_eq!(cleaned(&authorizer, "a-password token-number-one token-number-two"), "[key] [key] [key]");
    }

    #[tokio::test]
    async fn only_the_last_few_tokens_are_kept() {
        let tokens: Vec<_> = (0..100).map(|number| format!("{number:03}-of-many-tokens")).collect();
        let source = Tokens::new(&tokens.iter().map(String::as_str).collect::<Vec<_>>());
        let authorizer = Authorizer::new(Authorization::Asked(source), Vec::new()).expect("nothing yet");

        for token in &tokens {
            assert_eq!(sent(&authorizer).await, format!("Bearer {token}"));
        }

        assert_eq!(authorizer.known.read().expect("no thread panicked with it").sent.len(), KNOWN);
        assert!(tokens[100 - KNOWN..].iter().all(|token| cleaned(&authorizer, token) == "[key]"));
    }

    #[tokio::test]
    async fn the_error_says_that_a_source_has_no_token_or_an_unusable_token() {
        let closed = Authorizer::new(Authorization::Asked(Tokens::new(&[])), Vec::new()).expect("nothing yet");
        let broken = Authorizer::new(Authorization::Asked(Tokens::new(&["a\nb"])), Vec::new()).expect("nothing yet");

        assert_eq!(header(&closed).await, Err("the vault is closed".to_owned()));
        assert!(header(&broken).await.is_err_and(|error| error.contains("can't be sent")));
    }
}
