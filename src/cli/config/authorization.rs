//! How the requests to a provider are authorized: with a key that stays the same, or with a key that is renewed.
//!
//! The program fetches the first key before it sends a request or changes a file. So a missing login, a failing command
//! or an empty variable stops the program at once. A key from a command, from AWS or from Google is renewed before the
//! key expires, and also after a server has rejected the key. [`transport`](crate::transport) decides when a new key is
//! needed; this module fetches the new key.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;

use super::credential::{self, COMMAND, KeySource, PATIENCE, credential};
use super::printed::printed;
use super::providers::{AuthStyle, ProviderConfig};
use super::world::World;
use super::{aws, google, key_command};
use crate::cli::say;
use crate::domain::{ProviderKind, secrets};
use crate::report::text::escape;
use crate::transport::http::Credential;
use crate::transport::{Authorization, Issued, Issuer, Life, Renewing};

/// Returns the authorization for requests to a provider, and the warnings to print. The first key is fetched at once,
/// which may take a minute if a command has to be run. This function must not be called inside an asynchronous runtime.
///
/// # Errors
/// Fails if there is no key (the message names the ways to give one), or if the key can't be fetched or used. No
/// message contains a part of a key.
pub fn authorization(provider: &ProviderConfig, world: &World) -> Result<(Authorization, Vec<String>)> {
    let (authorization, _, warnings) = with_first_key(provider, world)?;
    Ok((authorization, warnings))
}

/// Does the same as [`authorization`], and also returns the first key.
///
/// # Errors
/// Fails in the same cases as [`authorization`].
pub(crate) fn with_first_key(
    provider: &ProviderConfig,
    world: &World,
) -> Result<(Authorization, Credential, Vec<String>)> {
    provider.check_complete()?;
    let found = find(provider, world);
    let (authorization, key, mut warnings) = match is_default(provider) {
        true => found?,
        false => found.with_context(|| format!("the key of the provider {:?}", provider.name))?,
    };
    let is_short = key.exposed().is_some_and(|key| key.len() < secrets::SHORTEST);
    warnings.extend(is_short.then(|| {
        let shortest = secrets::SHORTEST;
        format!(
            "the key is shorter than {shortest} characters, so messages do not hide it if a server sends it back; \
             check the key"
        )
    }));
    Ok((authorization, key, warnings))
}

/// Returns whether this is the default provider, which is used if the user chooses no provider.
fn is_default(provider: &ProviderConfig) -> bool {
    *provider.name == *ProviderKind::Anthropic.name()
}

fn find(provider: &ProviderConfig, world: &World) -> Result<(Authorization, Credential, Vec<String>)> {
    if provider.key_ttl.is_some_and(|ttl| ttl.is_zero()) {
        bail!("--api-key-ttl: it must be longer than 0; give a time such as 10m");
    }
    let style = provider.auth;
    match &provider.key {
        KeySource::Command(_) | KeySource::Aws { .. } | KeySource::Google => {
            let provider_name = (!is_default(provider)).then(|| provider.name.clone());
            let (source, ttl) = (provider.key.clone(), provider.key_ttl);
            let world = World { key_variables: provider.key_variables.to_vec(), ..world.clone() };
            let source = Fetched { provider_name, kind: provider.kind, source, style, ttl, world };
            let first = source.fetch()?;
            let key = first.credential.clone();
            Ok((Authorization::Asked(Arc::new(Renewing::new(source, first))), key, Vec::new()))
        }
        KeySource::Missing => {
            let key = missing(provider)?;
            Ok((key.clone().into(), key, Vec::new()))
        }
        KeySource::File(_) | KeySource::Variable(_) | KeySource::ApiKeyVariable | KeySource::AuthTokenVariable => {
            let (key, warnings) = credential(&provider.key, world)?;
            let key = styled(key.into(), style, provider.kind);
            Ok((key.clone().into(), key, warnings))
        }
    }
}

/// Returns an empty credential for a provider that works without a key.
///
/// # Errors
/// Fails if the provider needs a key. The message names the ways to give a key.
fn missing(provider: &ProviderConfig) -> Result<Credential> {
    match provider.needs_key() {
        true => bail!("there is no API key; {}, or add --simulate to rehearse without one", provider.key_ways),
        false => Ok(Credential::None),
    }
}

/// A source of keys that have to be renewed, such as a command.
struct Fetched {
    /// The name of the provider in warnings; `None` for the default provider.
    provider_name: Option<Arc<str>>,
    kind: ProviderKind,
    source: KeySource,
    style: Option<AuthStyle>,
    ttl: Option<Duration>,
    world: World,
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Fetched {
    fn fetch(&self) -> Result<Issued> {
        let issued = match &self.source {
            KeySource::Aws { region } => aws::issue(region, aws::EXPORT, &self.world, PATIENCE)?,
            KeySource::Google => google::issue(google::PRINT, self.ttl, &self.world, PATIENCE)?,
            KeySource::Command(command) => self.of_command(command)?,
            KeySource::File(_)
            | KeySource::Variable(_)
            | KeySource::ApiKeyVariable
            | KeySource::AuthTokenVariable
            | KeySource::Missing => bail!("a key from this source can't be renewed"),
        };
        Ok(Issued { credential: styled(issued.credential, self.style, self.kind), ..issued })
    }

    fn of_command(&self, command: &str) -> Result<Issued> {
        let output = key_command::output(COMMAND, command, &self.world, PATIENCE)?;
        let printed = printed(COMMAND, &output, Timestamp::now())?;
        let life = printed.life.or(self.ttl).map_or(Life::UntilRefused, Life::For);
        Ok(Issued { credential: Credential::ApiKey(printed.key), life, also_secret: Vec::new() })
    }
}

impl Issuer for Fetched {
    fn issue(&self) -> Result<Issued, String> {
        self.fetch().map_err(|error| format!("{error:#}"))
    }

    fn warn(&self, warning: &str) {
        let of = self.provider_name.iter().map(|name| format!("provider {}: ", escape(name))).collect::<String>();
        say::err(&format!("warning: {of}{}", escape(warning)));
    }
}

impl From<credential::Credential> for Credential {
    fn from(key: credential::Credential) -> Self {
        match key {
            credential::Credential::ApiKey(key) => Self::ApiKey(key),
            credential::Credential::Bearer(key) => Self::Bearer(key),
        }
    }
}

/// Changes a key so that it is sent in the header that `style` names. If `style` is `None`, the key stays in its
/// header. For Foundry, a key that is not a token is sent in two headers.
fn styled(key: Credential, style: Option<AuthStyle>, kind: ProviderKind) -> Credential {
    let (key, style) = match key {
        Credential::ApiKey(key) | Credential::ApiKeyTwice(key) => (key, style.unwrap_or(AuthStyle::ApiKey)),
        Credential::Bearer(key) => (key, style.unwrap_or(AuthStyle::Bearer)),
        Credential::None => return Credential::None,
    };
    match style {
        AuthStyle::ApiKey if kind == ProviderKind::Foundry => Credential::ApiKeyTwice(key),
        AuthStyle::ApiKey => Credential::ApiKey(key),
        AuthStyle::Bearer => Credential::Bearer(key),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// A provider whose key comes from a script.
    fn provider(kind: ProviderKind, key: KeySource) -> ProviderConfig {
        let name = kind.name().into();
        ProviderConfig { kind, name, ..ProviderConfig::api(None, key, None, Vec::new()) }
    }

    struct Place {
        folder: tempfile::TempDir,
        world: World,
    }

    impl Place {
        fn new(script: &str) -> Self {
            let folder = tempfile::tempdir().expect("there is room for temporary files");
            std::fs::write(folder.path().join("key.sh"), script).expect("the folder is ours");
            let world = World { working_folder: folder.path().to_owned(), ..World::default() };
            Self { folder, world }
        }

        fn set(mut self, name: &str, value: &str) -> Self {
            self.world.variables.insert(name.into(), value.into());
            self
        }

        fn of(&self, provider: &ProviderConfig) -> Result<(Authorization, Vec<String>), String> {
            authorization(provider, &self.world).map_err(|error| format!("{error:#}"))
        }

        fn calls(&self) -> usize {
            std::fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default().lines().count()
        }
    }

    /// Returns the key that would be sent, with its header.
    async fn sent(authorization: &Authorization) -> (&'static str, String) {
        let credential = match authorization {
            Authorization::Fixed(credential) => credential.clone(),
            Authorization::Asked(source) => source.credential().await.expect("there is a key"),
        };
        let header = match *credential {
            Credential::ApiKey(_) => "x-api-key",
            Credential::ApiKeyTwice(_) => "x-api-key and api-key",
            Credential::Bearer(_) => "bearer",
            Credential::None => "none",
        };
        (header, credential.exposed().unwrap_or_default().to_owned())
    }

    fn command() -> KeySource {
        KeySource::Command("sh key.sh".to_owned())
    }

    #[tokio::test]
    async fn the_setting_of_the_provider_chooses_the_header() {
        let place = Place::new("echo sk-1234567").set("KEY", "sk-7654321").set("ANTHROPIC_AUTH_TOKEN", "tok-12345");
        for (key, style, header) in [
            (command(), None, "x-api-key"),
            (command(), Some(AuthStyle::Bearer), "bearer"),
            (KeySource::Variable("KEY".to_owned()), None, "x-api-key"),
            (KeySource::Variable("KEY".to_owned()), Some(AuthStyle::Bearer), "bearer"),
            (KeySource::AuthTokenVariable, Some(AuthStyle::ApiKey), "x-api-key"),
        ] {
            let provider = ProviderConfig { auth: style, ..provider(ProviderKind::Anthropic, key) };

            let (authorization, warnings) = place.of(&provider).expect("there is a key");

            assert_eq!((sent(&authorization).await.0, warnings), (header, Vec::new()));
        }
    }

    #[tokio::test]
    async fn foundry_gets_a_key_in_two_headers_and_a_token_in_one_header() {
        let place = Place::new("echo sk-1234567").set("KEY", "sk-7654321");
        for (key, style, header) in [
            (KeySource::Variable("KEY".to_owned()), Some(AuthStyle::ApiKey), "x-api-key and api-key"),
            (command(), Some(AuthStyle::ApiKey), "x-api-key and api-key"),
            (KeySource::Variable("KEY".to_owned()), Some(AuthStyle::Bearer), "bearer"),
            (command(), Some(AuthStyle::Bearer), "bearer"),
        ] {
            let provider = ProviderConfig { auth: style, ..provider(ProviderKind::Foundry, key) };

            let (authorization, _) = place.of(&provider).expect("there is a key");

            assert_eq!(sent(&authorization).await.0, header);
        }
    }

    #[tokio::test]
    async fn a_key_without_an_end_is_fetched_once_and_again_when_it_is_refused() {
        let place = Place::new("echo >> calls; echo sk-number-$(wc -l < calls)");
        let (authorization, _) = place.of(&provider(ProviderKind::Anthropic, command())).expect("there is a key");
        let Authorization::Asked(source) = &authorization else { panic!("it is asked for") };

        for _ in 0..10 {
            assert_eq!(sent(&authorization).await.1, "sk-number-1");
        }
        assert_eq!(place.calls(), 1);
        let refused = source.credential().await.expect("there is a key");
        let other = source.renew(&refused).await.expect("there is another");

        assert_eq!((other.exposed(), place.calls()), (Some("sk-number-2"), 2));
        assert_eq!(sent(&authorization).await.1, "sk-number-2");
    }

    #[tokio::test]
    async fn the_life_that_a_command_prints_comes_before_the_setting() {
        let later = "echo '{\"token\":\"sk-1234567\",\"expires_in\":86400}'";
        for (script, ttl, life) in [
            ("echo sk-1234567", None, Life::UntilRefused),
            ("echo sk-1234567", Some(60), Life::For(Duration::from_secs(60))),
            (later, Some(60), Life::For(Duration::from_secs(86_400))),
        ] {
            let place = Place::new(script);
            let (ttl, world) = (ttl.map(Duration::from_secs), place.world.clone());
            let kind = ProviderKind::Anthropic;
            let source = Fetched { provider_name: None, kind, source: command(), style: None, ttl, world };

            let life_of_key = source.fetch().expect("there is a key").life;

            assert_eq!(life_of_key, life, "{script}");
        }
    }

    #[test]
    fn a_command_that_gives_no_key_ends_the_run_before_it_begins() {
        for (script, message) in [
            ("", "--api-key-cmd printed nothing; it should print a key"),
            ("echo a; echo b", "--api-key-cmd printed 2 lines"),
            ("echo '{\"token\":'", "--api-key-cmd printed broken JSON"),
            ("echo no entry >&2; exit 3", "--api-key-cmd: \"sh\" failed (exit status: 3): no entry"),
            ("echo '{\"token\":\"k\",\"expires_at\":\"2020-01-01T00:00:00Z\"}'", "which was"),
        ] {
            let error = Place::new(script).of(&provider(ProviderKind::Anthropic, command())).expect_err(script);

            assert!(error.contains(message), "{error}");
        }
        let in_table = Place::new("exit 3").of(&provider(ProviderKind::Foundry, command())).expect_err("it fails");
        assert!(in_table.starts_with("the key of the provider \"foundry\": --api-key-cmd"), "{in_table}");
    }

    #[tokio::test]
    async fn without_a_key_the_message_names_the_ways_to_give_one() {
        let place = Place::new("");
        let missing = |kind| place.of(&provider(kind, KeySource::Missing));
        for kind in ProviderKind::ALL.into_iter().filter(|kind| *kind != ProviderKind::Messages) {
            let error = missing(kind).expect_err(kind.name());

            assert!(error.contains("there is no API key; set ") && error.contains("--api-key-cmd"), "{error}");
        }
        let variable = place.of(&provider(ProviderKind::OpenRouter, KeySource::Variable("UNSET_KEY".to_owned())));
        assert!(variable.is_err_and(|error| error.contains("UNSET_KEY is empty")));
        let (without, _) = missing(ProviderKind::Messages).expect("servers of this kind may run without keys");
        assert_eq!(sent(&without).await, ("none", String::new()));
    }

    #[test]
    fn a_provider_without_its_region_is_refused_before_its_command_runs() {
        let place = Place::new("echo >> calls; echo k");
        let missing = vec!["a region: set AWS_REGION".to_owned()];
        let incomplete = ProviderConfig { missing, ..provider(ProviderKind::Bedrock, command()) };

        let error = place.of(&incomplete).expect_err("it has no region");

        assert!(error.contains("the provider bedrock needs a region; set AWS_REGION"), "{error}");
        assert_eq!(place.calls(), 0);
    }

    #[test]
    fn a_short_key_gives_a_warning() {
        let (_, warnings) =
            Place::new("echo k").of(&provider(ProviderKind::Anthropic, command())).expect("there is a key");

        assert!(warnings[0].contains("shorter than 8 characters"), "{warnings:?}");
    }

    #[test]
    fn no_debug_output_shows_a_key() {
        let place = Place::new("echo sk-canary").set("AWS_SECRET_ACCESS_KEY", "canary");

        let (authorization, _) = place.of(&provider(ProviderKind::Anthropic, command())).expect("there is a key");

        assert!(!format!("{authorization:?}").contains("canary"));
    }
}
