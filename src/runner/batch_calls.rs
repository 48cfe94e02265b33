//! The calls to the Batches API, each in a task of its own. The end of each task is reported, even if the task is
//! aborted or panics.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;

use crate::batches::{Call, CallFault, CallResult, ChunkBody, CreateEnd};
use crate::classify::on_wire;
use crate::clock::RunClock;
use crate::domain::{Failure, HaltReason, PoolId, Verdict};
use crate::journal::{Disk, DiskFailure, OpenMode};
use crate::provider::{Batch, BatchApi, BatchCall, Provider};
use crate::transport::{Exchange, Transport, WireError};

/// The highest number of pages that one check of the list of batches reads. This many pages are enough for a million
/// batches.
const MOST_PAGES: u32 = 1_000;
/// The highest number of batches that one check of the list keeps.
const MOST_FOUND: usize = 200_000;
/// The largest size of the reply to a call, in bytes. A page with a thousand batches takes up half a megabyte.
const MOST_REPLY_BYTES: usize = 16 << 20;
/// The results are written to the file in parts of at least this many bytes.
const PIECE_BYTES: usize = 128 << 10;

/// The end of a call, and the workspace of the API key; the workspace is `None` if no reply named it.
pub(super) type Reported = (CallResult, Option<String>);

/// Makes the calls to the Batches API.
pub(super) struct BatchCalls<T> {
    caller: Arc<Caller<T>>,
    came: UnboundedSender<Reported>,
    tasks: Vec<AbortHandle>,
}

/// Everything that a call to the Batches API needs.
struct Caller<T> {
    transport: Arc<T>,
    provider: Arc<dyn Provider>,
    disk: Arc<dyn Disk>,
    clock: RunClock,
    /// The id of a pool; it identifies the endpoint of the calls.
    route: Arc<PoolId>,
    /// The workspace that the latest reply named.
    workspace: Mutex<Option<String>>,
}

impl<T: Transport> BatchCalls<T> {
    /// Returns a `BatchCalls` with no call in flight. When a call has ended, its outcome is sent to `came`.
    pub(super) fn new(
        transport: Arc<T>,
        provider: Arc<dyn Provider>,
        disk: Arc<dyn Disk>,
        clock: RunClock,
        route: Arc<PoolId>,
        came: UnboundedSender<Reported>,
    ) -> Self {
        let workspace = Mutex::default();
        Self {
            caller: Arc::new(Caller { transport, provider, disk, clock, route, workspace }),
            came,
            tasks: Vec::new(),
        }
    }

    /// Starts a call in a task of its own.
    pub(super) fn start(&mut self, call: Call) {
        self.tasks.retain(|task| !task.is_finished());
        let (caller, came) = (self.caller.clone(), self.came.clone());
        let wanted = call.clone();
        let asking = caller.clone();
        let task = tokio::spawn(async move { asking.make(call).await });
        self.tasks.push(task.abort_handle());
        tokio::spawn(async move {
            let ended = task.await.unwrap_or_else(|error| {
                let why =
                    if error.is_cancelled() { "the call was aborted" } else { "the call failed inside this program" };
                ended_early(&wanted, why)
            });
            // After the end of the run, the receiver does not exist any more.
            let workspace = caller.workspace.lock().unwrap_or_else(PoisonError::into_inner).take();
            let _ = came.send((ended, workspace));
        });
    }
}

impl<T> BatchCalls<T> {
    /// Aborts all calls that have not ended. Each aborted call still reports its end.
    pub(super) fn abort(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl<T> Drop for BatchCalls<T> {
    fn drop(&mut self) {
        self.abort();
    }
}

/// Returns the end of a call whose task was aborted or has panicked.
fn ended_early(call: &Call, why: &str) -> CallResult {
    let fault =
        CallFault { failure: Failure { message: why.to_owned(), ..Failure::default() }.into(), ..CallFault::default() };
    match call {
        Call::Create(files) => CallResult::Created(files.number, CreateEnd::Unclear(fault)),
        Call::List { .. } => CallResult::Listed(Err(fault)),
        Call::Retrieve { chunk, .. } => CallResult::Retrieved(*chunk, Err(fault)),
        Call::Download { chunk, .. } => CallResult::Downloaded(*chunk, Err(fault)),
        Call::Cancel { chunk, .. } => CallResult::Canceled(*chunk, Err(fault)),
    }
}

impl<T: Transport> Caller<T> {
    async fn make(&self, call: Call) -> CallResult {
        match call {
            Call::Create(files) => {
                let number = files.number;
                CallResult::Created(number, self.create(Arc::new(ChunkBody(files))).await)
            }
            Call::List { wanted, since } => CallResult::Listed(self.list(&wanted, since).await),
            Call::Retrieve { chunk, id } => CallResult::Retrieved(chunk, self.batch(BatchCall::Retrieve(&id)).await),
            Call::Cancel { chunk, id } => CallResult::Canceled(chunk, self.batch(BatchCall::Cancel(&id)).await),
            Call::Download { chunk, id, url, path } => {
                CallResult::Downloaded(chunk, self.download(&id, url.as_deref(), &path).await)
            }
        }
    }

    fn api(&self) -> Result<&dyn BatchApi, CallFault> {
        self.provider.batches().ok_or_else(|| fault_of("the provider does not support batches"))
    }

    /// Submits a batch. The result says whether the server possibly created the batch. If the reply says that no batch
    /// was created, or if there was no connection, there is certainly no batch. A server that answers 501 can't create
    /// batches.
    async fn create(&self, body: Arc<ChunkBody>) -> CreateEnd {
        let sent = match self.send(BatchCall::Create(body)).await {
            Ok(sent) => sent,
            Err((fault, false)) => return CreateEnd::Refused(fault),
            Err((fault, true)) => return CreateEnd::Unclear(fault),
        };
        let status = sent.head().status;
        match (self.read_batch(sent).await, status) {
            (Ok(batch), _) => CreateEnd::Exists(Box::new(batch)),
            (Err(fault), 300..=407 | 410..=499 | 501) => CreateEnd::Refused(fault),
            (Err(fault), _) => CreateEnd::Unclear(fault),
        }
    }

    async fn batch(&self, call: BatchCall<'_>) -> Result<Batch, CallFault> {
        let sent = self.send(call).await.map_err(|(fault, _)| fault)?;
        self.read_batch(sent).await
    }

    async fn read_batch(&self, mut sent: T::Exchange) -> Result<Batch, CallFault> {
        let body = self.body(&mut sent).await?;
        self.api()?.read_batch(&body).map_err(|why| self.unreadable(why))
    }

    async fn list(&self, wanted: &[String], since: Option<jiff::Timestamp>) -> Result<Vec<Batch>, CallFault> {
        let (mut found, mut after): (Vec<Batch>, Option<String>) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            let mut sent = self.send(BatchCall::List { after: after.as_deref() }).await.map_err(|(fault, _)| fault)?;
            let body = self.body(&mut sent).await?;
            let page = self.api()?.read_page(&body).map_err(|why| self.unreadable(why))?;
            let is_past = page.batches.last().is_none_or(|last| since.is_none_or(|since| last.created_at < since));
            let is_of_use =
                |batch: &Batch| wanted.contains(&batch.id) || since.is_some_and(|since| batch.created_at >= since);
            let known: HashSet<String> = found.iter().map(|batch| batch.id.clone()).collect();
            found.extend(page.batches.into_iter().filter(is_of_use).filter(|batch| !known.contains(&batch.id)));
            if found.len() > MOST_FOUND {
                return Err(fault_of("the list of batches is too long"));
            }
            let has_all = wanted.iter().all(|id| found.iter().any(|batch| batch.id == *id));
            if !page.has_more || page.last_id.is_none() || (has_all && is_past) {
                break;
            }
            after = page.last_id;
        }
        Ok(found)
    }

    /// Downloads the results of a batch into a file, and replaces the earlier content of the file.
    async fn download(&self, id: &str, url: Option<&str>, path: &Path) -> Result<(), CallFault> {
        let call = BatchCall::Results { id, url, base_url: self.transport.base_url() };
        let mut sent = self.send(call).await.map_err(|(fault, _)| fault)?;
        if !is_success(&sent) {
            return self.body(&mut sent).await.map(drop);
        }
        let failed = |failure: DiskFailure| CallFault { disk: Some(failure.into()), ..CallFault::default() };
        self.disk.remove(path).map_err(|error| failed(DiskFailure::of("remove", path)(error)))?;
        let file = self
            .disk
            .open(path, OpenMode::CreateNew)
            .map_err(|error| failed(DiskFailure::of("create", path)(error)))?;
        let (mut piece, mut end) = (Vec::new(), 0_u64);
        loop {
            let chunk = sent.chunk().await.map_err(|error| self.fault(error))?;
            piece.extend_from_slice(chunk.as_deref().unwrap_or_default());
            if piece.len() >= PIECE_BYTES || chunk.is_none() {
                file.write_at(&piece, end).map_err(|error| failed(DiskFailure::of("write", path)(error)))?;
                end += piece.len() as u64;
                piece.clear();
            }
            if chunk.is_none() {
                return Ok(());
            }
        }
    }

    /// Sends a call to the Batches API. The error also says whether the call possibly reached the server.
    async fn send(&self, call: BatchCall<'_>) -> Result<T::Exchange, (CallFault, bool)> {
        let api = self.api().map_err(|fault| (fault, false))?;
        let request = api.encode(call, &self.route).map_err(|why| (fault_of(&why), false))?;
        let sent = self.transport.send(request).await.map_err(|error| {
            let maybe_sent = error.maybe_sent;
            (self.fault(error), maybe_sent)
        })?;
        if let Some(name) = api.workspace(sent.head()) {
            *self.workspace.lock().unwrap_or_else(PoisonError::into_inner) = Some(name);
        }
        Ok(sent)
    }

    /// Reads the whole reply to a call.
    async fn body(&self, sent: &mut T::Exchange) -> Result<Bytes, CallFault> {
        let mut body = Vec::new();
        let broken = loop {
            match sent.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
            if body.len() > MOST_REPLY_BYTES {
                return Err(fault_of("the reply is too long"));
            }
        };
        if !is_success(sent) {
            let now = || self.clock.wall(self.clock.now());
            let (news, mut verdict) = self.api()?.judge_call(sent.head(), &body, &now);
            self.transport.secrets().clean_verdict(&mut verdict);
            let mut fault = fault_of_verdict(verdict);
            fault.retry_after = fault.retry_after.max(news.signals.retry_after);
            return Err(fault);
        }
        match broken {
            Some(error) => Err(self.fault(error)),
            None => Ok(body.into()),
        }
    }

    /// Returns the fault for a reply that can't be read. `why` can quote the server's text.
    fn unreadable(&self, mut why: String) -> CallFault {
        self.transport.secrets().clean(&mut why);
        fault_of(&why)
    }

    fn fault(&self, error: WireError) -> CallFault {
        let mut verdict = on_wire(error);
        self.transport.secrets().clean_verdict(&mut verdict);
        fault_of_verdict(verdict)
    }
}

fn is_success(sent: &impl Exchange) -> bool {
    (200..300).contains(&sent.head().status)
}

fn fault_of(why: &str) -> CallFault {
    CallFault { failure: Failure { message: why.to_owned(), ..Failure::default() }.into(), ..CallFault::default() }
}

/// Returns the fault for a call with this verdict.
fn fault_of_verdict(verdict: Verdict) -> CallFault {
    let is_rejected = matches!(verdict, Verdict::Rejected { .. });
    let (failure, retry_after, halt) = match verdict {
        Verdict::Limited { failure, retry_after, .. }
        | Verdict::Overloaded { failure, retry_after, .. }
        | Verdict::Transient { failure, retry_after, .. } => (failure, retry_after, None),
        Verdict::Rejected { failure, .. } | Verdict::Paused { failure, .. } | Verdict::NoModel(failure) => {
            (failure, None, None)
        }
        Verdict::Forbidden(failure) => (failure.clone(), None, Some(HaltReason::Forbidden(failure))),
        Verdict::Halt(reason) => (reason.failure().cloned().unwrap_or_default(), None, Some(reason)),
        Verdict::Answered(_) | Verdict::Aborted => (Failure::default(), None, None),
    };
    CallFault { failure: failure.into(), retry_after, halt: halt.map(Box::new), is_rejected, disk: None }
}
