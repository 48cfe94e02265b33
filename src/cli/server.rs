//! A connection to the server for single requests, outside of a run.
//!
//! The connection uses the same address, proxy and key as a run. The rules about where a key can be sent are also the
//! same as in a run.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;

use super::config::Config;
use super::config::providers::ProviderConfig;
use super::config::world::World;
use super::exit::Exit;
use super::run::connection::Connection;
use super::simulator::Simulator;
use super::{lockdown, parts, say, simulator};
use crate::catalog::Catalog;
use crate::clock::RunClock;
use crate::journal::DiskFile;
use crate::provider::anthropic::Anthropic;
use crate::provider::{ReplyHead, WireRequest};
use crate::report::text::escape;
use crate::runner::LoopThread;
use crate::transport::http::{HttpConfig, HttpTransport};
use crate::transport::{Authorization, Exchange, Transport, WireError, parse_base_url};

/// The longest wait for an answer. The wait is short, because a user waits at the terminal, and an answer of one token
/// takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// The highest number of bytes in the body of a response.
const MOST_BYTES: usize = 4 << 20;
/// A download collects at least this number of bytes before it writes them to its file.
const PIECE_BYTES: usize = 128 << 10;
/// The origin that a run records for answers of the simulator.
pub(crate) const SIMULATOR: &str = "simulator";

/// A request that failed, or that the server rejected.
#[derive(Debug)]
pub(crate) struct Stopped {
    /// What happened, and what the user can do.
    pub(crate) message: String,
    /// The exit code of the program.
    pub(crate) exit: Exit,
}

/// A connection to the server, or to a simulator in this process.
pub(crate) struct Server {
    /// The name of the provider.
    pub(crate) name: Arc<str>,
    /// The origin of the base URL, or `simulator`.
    pub(crate) origin: String,
    /// The provider, which makes requests and reads replies.
    pub(crate) provider: Anthropic,
    transport: Arc<HttpTransport>,
    thread: LoopThread,
    _simulator: Option<Simulator>,
}

/// A whole response. If the response repeats secrets from the request, these secrets are not removed.
pub(crate) struct Response {
    pub(crate) head: ReplyHead,
    pub(crate) body: Bytes,
}

/// Returns the origin: the server from which a run with these settings gets its answers. A run records the origin in
/// the form that this function returns.
///
/// # Errors
/// Fails if the settings of the first provider are not complete.
pub(crate) fn origin(config: &Config) -> Result<String> {
    origin_of(&config.provider, config)
}

/// Returns the origin of the answers of a provider, in the form that runs record.
///
/// # Errors
/// Fails in the same cases as [`origin`].
pub(crate) fn origin_of(provider: &ProviderConfig, config: &Config) -> Result<String> {
    match config.simulate {
        true => Ok(SIMULATOR.to_owned()),
        false => Ok(parts::base_url_of(provider)?.origin().to_owned()),
    }
}

impl Server {
    /// Prepares the connection to the server, and prints warnings about it. Nothing is sent to the server. `key` can be
    /// `None` for a simulator in this process.
    ///
    /// # Errors
    /// Fails if a setting of the connection can't be used.
    pub(crate) fn open(config: &Config, key: Option<Authorization>, catalog: &Catalog, world: &World) -> Result<Self> {
        let connection = Connection::find(config, world)?;
        connection.warnings.iter().for_each(|text| say::err(&format!("warning: {}", escape(text))));
        let simulator = match config.simulate {
            true => {
                let settings = simulator::config(catalog, config, &config.provider)?;
                Some(Simulator::start(settings, RunClock::start())?)
            }
            false => None,
        };
        let base_url = match &simulator {
            Some(simulator) => parse_base_url(simulator.url(), false)?,
            None => parts::base_url(config)?,
        };
        let key = key.unwrap_or_else(|| parts::key_of_simulator(&config.provider));
        let transport = Arc::new(HttpTransport::new(HttpConfig {
            proxy: connection.proxy,
            also_secret: lockdown::also_secret(config),
            timeout: config.timeout.min(PATIENCE),
            max_response_bytes: MOST_BYTES,
            ..parts::http(config, base_url, key, 1)
        })?);
        let sent = transport.clone();
        say::panics(move || vec![sent.secrets()]);
        Ok(Self {
            name: config.provider.name.clone(),
            origin: origin(config)?,
            provider: parts::provider(config)?,
            transport,
            thread: LoopThread::new()?,
            _simulator: simulator,
        })
    }

    /// Sends a request and returns the whole response.
    ///
    /// # Errors
    /// Returns the connection failure, with secrets removed from its message.
    pub(crate) fn send(&self, request: WireRequest) -> Result<Response, WireError> {
        let transport = self.transport.clone();
        let received = self.thread.run(async move { receive(&transport, request).await });
        received.map_err(|mut error| {
            self.clean(&mut error.message);
            error
        })
    }

    /// Sends a request, and writes the body of a successful response to a file. If the body was written, the body of
    /// the returned response is empty.
    ///
    /// # Errors
    /// Returns the connection failure, with secrets removed from its message. Returns an inner `Err` if the file can't
    /// be written.
    pub(crate) fn download(
        &self,
        request: WireRequest,
        file: Arc<dyn DiskFile>,
    ) -> Result<io::Result<Response>, WireError> {
        let transport = self.transport.clone();
        let received = self.thread.run(async move { save(&transport, request, &*file).await });
        received.map_err(|mut error| {
            self.clean(&mut error.message);
            error
        })
    }

    /// Returns the base URL, to which the API's paths are added.
    pub(crate) fn base_url(&self) -> &str {
        self.transport.base_url()
    }

    /// Removes the secrets of the request from a text that the server sent.
    pub(crate) fn clean(&self, text: &mut String) {
        self.transport.secrets().clean(text);
    }

    /// Returns the secrets that requests to the server contain.
    pub(crate) fn secrets(&self) -> Arc<crate::domain::Secrets> {
        self.transport.secrets()
    }
}

async fn save(
    transport: &HttpTransport,
    request: WireRequest,
    file: &dyn DiskFile,
) -> Result<io::Result<Response>, WireError> {
    let mut exchange = transport.send(request).await?;
    let is_success = (200..300).contains(&exchange.head().status);
    let (mut body, mut end) = (Vec::new(), 0);
    loop {
        let piece = exchange.chunk().await?;
        body.extend_from_slice(piece.as_deref().unwrap_or_default());
        if is_success && (body.len() >= PIECE_BYTES || piece.is_none()) {
            if let Err(error) = file.write_at(&body, end) {
                return Ok(Err(error));
            }
            end += body.len() as u64;
            body.clear();
        }
        if piece.is_none() {
            return Ok(Ok(Response { head: exchange.head().clone(), body: body.into() }));
        }
    }
}

async fn receive(transport: &HttpTransport, request: WireRequest) -> Result<Response, WireError> {
    let mut exchange = transport.send(request).await?;
    let mut body = Vec::new();
    while let Some(piece) = exchange.chunk().await? {
        body.extend_from_slice(&piece);
    }
    Ok(Response { head: exchange.head().clone(), body: body.into() })
}
