//! Makes API calls about batches, outside of a run.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use jiff::Timestamp;

use crate::cli::config::Config;
use crate::cli::config::credential::KeySource;
use crate::cli::config::world::World;
use crate::cli::exit::Exit;
use crate::cli::explain::said;
use crate::cli::say;
use crate::cli::server::{Response, Server, Stopped};
use crate::cli::{catalogs, parts};
use crate::domain::{HaltReason, ModelClass, PoolId, Speed, Verdict};
use crate::journal::{Disk, DiskFailure, DiskFile, OpenMode};
use crate::provider::{Batch, BatchApi, BatchCall, BatchPage};
use crate::report::text::escape;
use crate::transport::WireError;

/// The highest number of pages that are read from the batch list: enough for a million batches.
const MOST_PAGES: usize = 1_000;

/// A connection to the API for the batches of a workspace. The key decides which workspace is used.
pub(crate) struct Workspace {
    server: Server,
    route: Arc<PoolId>,
}

impl Workspace {
    /// Returns whether the settings say where the API key comes from.
    pub(crate) fn has_key(config: &Config) -> bool {
        config.provider.key != KeySource::Missing
    }

    /// Prepares the connection to the API, and sends nothing.
    ///
    /// # Errors
    /// Fails if the provider has no batches, or if the key or a setting of the connection can't be used.
    pub(crate) fn open(config: &Config, world: &World) -> Result<Self> {
        if !config.provider.features.batches {
            bail!("the provider {} has no Message Batches; choose another one with --provider", config.provider.name);
        }
        let (key, warnings) = parts::key(config, world)?;
        warnings.iter().for_each(|text| say::err(&format!("warning: {}", escape(text))));
        let catalog = catalogs::catalog(config)?;
        let (account, class) = ("".into(), ModelClass("batches".into()));
        let route = PoolId { provider: config.provider.name.clone(), account, class, speed: Speed::Standard };
        Ok(Self { server: Server::open(config, Some(key), &catalog, world)?, route: route.into() })
    }

    /// Returns the origin of the server.
    pub(crate) fn origin(&self) -> &str {
        &self.server.origin
    }

    /// Returns the newest batches, at most `most`, and whether there are more.
    pub(crate) fn newest(&self, most: usize) -> Result<(Vec<Batch>, bool), Stopped> {
        let (mut found, mut after): (Vec<Batch>, Option<String>) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            let page = self.page(after.as_deref())?;
            found.extend(page.batches);
            if found.len() >= most || !page.has_more || page.last_id.is_none() {
                let has_more = page.has_more || found.len() > most;
                found.truncate(most);
                return Ok((found, has_more));
            }
            after = page.last_id;
        }
        Ok((found, true))
    }

    /// Returns the wanted batches that the API lists. `oldest` is the moment when the oldest wanted batch was created.
    pub(crate) fn find(&self, wanted: &[&str], oldest: Timestamp) -> Result<HashMap<String, Batch>, Stopped> {
        let (mut found, mut after): (HashMap<String, Batch>, Option<String>) = (HashMap::new(), None);
        for _ in 0..MOST_PAGES {
            let page = self.page(after.as_deref())?;
            let is_past = page.batches.last().is_none_or(|last| last.created_at < oldest);
            let ours = page.batches.into_iter().filter(|batch| wanted.contains(&batch.id.as_str()));
            found.extend(ours.map(|batch| (batch.id.clone(), batch)));
            if found.len() == wanted.len() || is_past || !page.has_more || page.last_id.is_none() {
                break;
            }
            after = page.last_id;
        }
        Ok(found)
    }

    /// Asks the API for a batch, and returns this batch.
    pub(crate) fn retrieve(&self, id: &str) -> Result<Batch, Stopped> {
        self.one(BatchCall::Retrieve(id), id)
    }

    /// Asks the API to cancel a batch.
    pub(crate) fn cancel(&self, id: &str) -> Result<Batch, Stopped> {
        self.one(BatchCall::Cancel(id), id)
    }

    /// Downloads the results of a batch into a file. If the file exists, it is replaced.
    ///
    /// # Errors
    /// Fails if the file can't be written. Returns an inner `Err` if the API call fails.
    pub(crate) fn download(&self, batch: &Batch, disk: &dyn Disk, path: &Path) -> Result<Result<(), Stopped>> {
        disk.remove(path).map_err(DiskFailure::of("remove", path))?;
        let file: Arc<dyn DiskFile> =
            disk.open(path, OpenMode::CreateNew).map_err(DiskFailure::of("create", path))?.into();
        let (id, url) = (batch.id.as_str(), batch.results_url.as_deref());
        let call = BatchCall::Results { id, url, base_url: self.server.base_url() };
        let request = match self.api().encode(call, &self.route) {
            Ok(request) => request,
            Err(why) => return Ok(Err(usage(escape(&why).into_owned()))),
        };
        Ok(match self.server.download(request, file) {
            Ok(Ok(response)) => self.checked(response, &format!("the results of batch {id}")).map(drop),
            Ok(Err(error)) => return Err(DiskFailure::of("write", path)(error).into()),
            Err(error) => Err(failed(&error, &self.server.origin)),
        })
    }

    fn page(&self, after: Option<&str>) -> Result<BatchPage, Stopped> {
        let body = self.call(BatchCall::List { after }, "the list of batches")?.body;
        self.api().read_page(&body).map_err(|why| self.unreadable(why))
    }

    fn one(&self, call: BatchCall<'_>, id: &str) -> Result<Batch, Stopped> {
        let body = self.call(call, &format!("batch {id}"))?.body;
        self.api().read_batch(&body).map_err(|why| self.unreadable(why))
    }

    /// Returns the provider's batch functions, which make the API calls about batches and read the responses.
    pub(crate) fn api(&self) -> &dyn BatchApi {
        &self.server.provider
    }

    /// Makes an API call. `what` is a phrase for messages: it says what the call asks for.
    fn call(&self, call: BatchCall<'_>, what: &str) -> Result<Response, Stopped> {
        let request = self.api().encode(call, &self.route).map_err(|why| usage(escape(&why).into_owned()))?;
        let response = self.server.send(request).map_err(|error| failed(&error, &self.server.origin))?;
        self.checked(response, what)
    }

    /// Returns the response if its status is a success, and otherwise an error.
    fn checked(&self, response: Response, what: &str) -> Result<Response, Stopped> {
        if (200..300).contains(&response.head.status) {
            return Ok(response);
        }
        let (_, mut verdict) = self.api().judge_call(&response.head, &response.body, &Timestamp::now);
        self.server.secrets().clean_verdict(&mut verdict);
        let stopped = of_verdict(&verdict, &escape(&self.server.origin), &escape(what), response.head.status);
        Err(stopped)
    }

    fn unreadable(&self, mut why: String) -> Stopped {
        // The message may quote the server's response, so secrets are removed from it.
        self.server.clean(&mut why);
        let message = format!(
            "{} does not answer as the API does ({}); check --base-url",
            escape(&self.server.origin),
            escape(&why)
        );
        Stopped { message, exit: Exit::Endpoint }
    }
}

fn usage(message: String) -> Stopped {
    Stopped { message, exit: Exit::Usage }
}

fn failed(error: &WireError, origin: &str) -> Stopped {
    let message =
        format!("can't ask {}: {}; check the network, proxies and --base-url", escape(origin), escape(&error.message));
    Stopped { message, exit: Exit::Endpoint }
}

fn of_verdict(verdict: &Verdict, server: &str, what: &str, status: u16) -> Stopped {
    let key = "ANTHROPIC_API_KEY (or --api-key-file, --api-key-cmd)";
    let (message, exit) = match verdict {
        Verdict::Halt(HaltReason::Key(failure)) => {
            (format!("{server} refused the key{}; check {key}", said(failure)), Exit::Account)
        }
        Verdict::Forbidden(failure) | Verdict::Halt(HaltReason::Forbidden(failure)) => (
            format!(
                "{server} forbids {what}{}: this key may not use batches. Check what its workspace allows; an OAuth \
                 token needs the scope user:batch, user:developer or workspace:developer",
                said(failure)
            ),
            Exit::Account,
        ),
        Verdict::Halt(HaltReason::Account(failure)) => (
            format!("the account is stopped{}; check credit, billing and spend limits in the console", said(failure)),
            Exit::Account,
        ),
        Verdict::Halt(reason) => {
            let failure = reason.failure();
            let said = failure.map(said).unwrap_or_default();
            (format!("{server} can't be used{said}; check proxies and --base-url"), Exit::from(reason))
        }
        Verdict::Transient { failure, .. } | Verdict::NoModel(failure) if status == 404 => (
            format!(
                "{server} does not know {what}{}; check the id, and that the key belongs to the workspace of the batch \
                 (claude-batch batches list shows its batches); a batch that was just created may be unknown for some \
                 minutes",
                said(failure)
            ),
            Exit::Usage,
        ),
        Verdict::Limited { failure, .. } | Verdict::Overloaded { failure, .. } | Verdict::Transient { failure, .. } => {
            (format!("{server} did not answer{}; try again later", said(failure)), Exit::Endpoint)
        }
        Verdict::Rejected { failure, .. } | Verdict::NoModel(failure) => {
            (format!("{server} refused the call for {what}{}", said(failure)), Exit::Endpoint)
        }
        Verdict::Answered(_) | Verdict::Paused { .. } | Verdict::Aborted => {
            (format!("{server} does not answer as the API does; check --base-url"), Exit::Endpoint)
        }
    };
    Stopped { message, exit }
}
