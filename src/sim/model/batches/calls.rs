//! Serves the batch endpoints.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::clock::Instant;
use crate::provider::ReplyHead;
use crate::sim::faults::{BatchCall, Fault};

use super::super::admission::with_thousands;
use super::super::delivery::{self, ResultsPart, Step};
use super::super::endpoints::Caller;
use super::super::errors::{self, ApiError};
use super::super::exchange::{Arrival, Request, Ticket};
use super::super::hash::Hash;
use super::super::limits::Reason;
use super::super::out::id;
use super::super::refusal::{Stop, organization_id};
use super::super::state::{BATCHES, Event, Model};
use super::batch::{Batch, SERIALS};
use super::injected::stop;
use super::{PATH, create};

/// The content of the answer to a batch call.
enum Reply {
    /// A JSON object.
    Json(Bytes),
    /// The results of a batch.
    Results(ResultsPart),
}

impl Reply {
    fn json(value: &Value) -> Self {
        Self::Json(value.to_string().into())
    }
}

impl Model {
    /// Answers a call to a batch endpoint.
    pub(in super::super) fn batch_call(
        &mut self,
        request: &Request<'_>,
        path: &str,
        request_id: &str,
        caller: Caller,
        version: &'static str,
    ) -> Result<Arrival, Box<Stop>> {
        let (call, batch_id) = route(request.method, path)?;
        *self.books.batches.calls.entry(call.name()).or_default() += 1;
        let rule = self.draw_call(call, batch_id, request.body, caller);
        let fault = rule.map(|rule| self.config.faults.rules[rule].clone());
        let takes_effect =
            fault.as_ref().is_none_or(|rule| rule.takes_effect || rule.fault == Fault::ResetBefore { is_billed: true });
        if let (Some(rule), Some(stop)) =
            (rule, fault.as_ref().filter(|_| !takes_effect).and_then(|rule| stop(&rule.fault)))
        {
            self.count_fault(rule);
            return Err(stop);
        }
        let (account, now) = (self.account_of(caller.organization, BATCHES), self.now);
        if let Some(early) = self.account(account).early_by(now) {
            self.books.early(early, now);
        }
        self.take_request(account)?;
        let reply = match call {
            BatchCall::Create => self.create_batch(request, caller, version)?,
            BatchCall::List => Reply::json(&self.list_batches(request, caller)?),
            BatchCall::Retrieve => self.retrieve(batch_id, request, caller)?,
            BatchCall::Results => self.results(batch_id, caller)?,
            BatchCall::Cancel => self.cancel(batch_id, request, caller)?,
            BatchCall::Delete => self.delete(batch_id, caller)?,
        };
        if let Some(rule) = rule {
            self.count_fault(rule);
        }
        if let Some(stop) = fault.as_ref().and_then(|rule| stop(&rule.fault)) {
            return Err(stop);
        }
        Ok(self.send(reply, fault.map(|rule| rule.fault).as_ref(), request_id, caller))
    }

    fn create_batch(
        &mut self,
        request: &Request<'_>,
        caller: Caller,
        version: &'static str,
    ) -> Result<Reply, Box<Stop>> {
        let rows = create::read(request.body)?;
        self.check_spending(caller.organization)?;
        let (count, organization, now) = (rows.rows.len(), caller.organization, self.now);
        let queue = self.batches.waiting(organization) + count as u64;
        if let Some(most) = self.config.batches.queue.filter(|most| queue > u64::from(*most)) {
            return Err(Box::new(queue_is_full(most, organization)));
        }
        if !self.batches.make_room(rows.memory(), now) || self.is_overloaded() {
            return Err(ApiError::new(529, errors::usual_message(529)).into());
        }
        let number = self.batches.next_number();
        let chance = Hash::new(self.config.seed).word(0x6261_7463).word(number);
        let mut order: Box<[u32]> = (0..count as u32).collect();
        fastrand::Rng::with_seed(chance.end()).shuffle(&mut order);
        let serial = self.serial + 1;
        self.serial += count as u64 * SERIALS;
        let batch = Batch {
            id: id("msgbatch_01", self.config.seed, number),
            organization,
            version,
            rows,
            order,
            done: 0,
            left_out: 0,
            time: self.config.batches.time.of_batch(chance.unit()),
            created: now,
            expires: now + self.config.batches.expiry,
            canceled: None,
            ended: None,
            is_read: false,
            cleared: None,
            is_deleted: false,
            serial,
        };
        self.note(&batch);
        let shown = self.show(&batch, request);
        let books = &mut self.books.batches;
        (books.created, books.requests) = (books.created + 1, books.requests + count as u64);
        books.highest_queue = books.highest_queue.max(queue);
        let number = self.batches.add(batch);
        self.schedule(now, Event::Batch(number));
        Ok(Reply::json(&shown))
    }

    fn retrieve(&mut self, batch_id: &str, request: &Request<'_>, caller: Caller) -> Result<Reply, Box<Stop>> {
        let number = self.find(batch_id, caller)?;
        self.note_number(number);
        Ok(Reply::json(&self.show(&self.batches.by_number[&number], request)))
    }

    fn cancel(&mut self, batch_id: &str, request: &Request<'_>, caller: Caller) -> Result<Reply, Box<Stop>> {
        let number = self.find(batch_id, caller)?;
        if self.batches.by_number[&number].ended.is_some() {
            return Err(ApiError::invalid(format!("Batch {batch_id} has ended and can't be canceled.")).into());
        }
        self.cancel_batch(number, self.now);
        self.retrieve(batch_id, request, caller)
    }

    fn delete(&mut self, batch_id: &str, caller: Caller) -> Result<Reply, Box<Stop>> {
        let number = self.find(batch_id, caller)?;
        if self.batches.by_number[&number].ended.is_none() {
            let message = format!("Batch {batch_id} is in progress and can't be deleted. Cancel it first.");
            return Err(ApiError::invalid(message).into());
        }
        self.note_number(number);
        self.batches.delete(number, self.now);
        Ok(Reply::json(&json!({ "id": batch_id, "type": "message_batch_deleted" })))
    }

    fn results(&mut self, batch_id: &str, caller: Caller) -> Result<Reply, Box<Stop>> {
        let (number, now) = (self.find(batch_id, caller)?, self.now);
        self.note_number(number);
        let batch = &self.batches.by_number[&number];
        if batch.ended.is_none() {
            return Err(ApiError::invalid(format!("Batch {batch_id} has not ended, so it has no results.")).into());
        }
        if batch.archived(now).is_some() {
            return Err(ApiError::new(404, format!("The results of batch {batch_id} are no longer available.")).into());
        }
        if let Some(batch) = self.batches.by_number.get_mut(&number) {
            batch.is_read = true;
        }
        Ok(Reply::Results(ResultsPart { batch: number, place: 0 }))
    }

    fn find(&self, batch_id: &str, caller: Caller) -> Result<u64, ApiError> {
        let missing = || ApiError::new(404, format!("Message batch {batch_id} not found"));
        self.batches.find(batch_id, caller.organization).ok_or_else(missing)
    }

    /// Returns the JSON object that describes a batch in the API.
    pub(super) fn show(&self, batch: &Batch, request: &Request<'_>) -> Value {
        let host = request.headers.get(HOST).and_then(|host| host.to_str().ok());
        let origin = host.map_or_else(|| self.config.batches.origin.clone(), |host| format!("http://{host}"));
        batch.describe(&origin, self.now, |at: Instant| self.wall(at))
    }

    fn note_number(&mut self, number: u64) {
        if let Some(batch) = self.batches.by_number.get(&number) {
            let (id, count) = (&batch.id, batch.len() as u64);
            self.line.note(|line| (line.batch, line.requests) = (Some(id.clone()), Some(count)));
        }
    }

    fn note(&mut self, batch: &Batch) {
        self.line.note(|line| (line.batch, line.requests) = (Some(batch.id.clone()), Some(batch.len() as u64)));
    }

    /// Returns the answer to a call, changed by the fault if there is one.
    fn send(&mut self, reply: Reply, fault: Option<&Fault>, request_id: &str, caller: Caller) -> Arrival {
        let at = self.now + self.config.latency.error;
        *self.books.statuses.entry(200).or_default() += 1;
        let mut headers: HeaderMap = self.base_headers(request_id, caller.organization);
        let (content_type, body) = match reply {
            Reply::Json(bytes) => ("application/json", vec![Step::Bytes { at, bytes }]),
            Reply::Results(part) => ("application/x-jsonl", self.results_steps(part, fault.is_some(), at)),
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let head = Some(ReplyHead { status: 200, headers });
        match fault {
            None => Arrival { ticket: Ticket(0), head_at: at, head, body },
            Some(Fault::Stall { at: None }) => {
                Arrival { ticket: Ticket(0), head_at: Instant::NEVER, head, body: vec![Step::Stall] }
            }
            Some(fault) => Arrival { ticket: Ticket(0), head_at: at, head, body: delivery::spoil(body, fault, b"") },
        }
    }

    /// Returns the steps for sending the results of a batch. The first part of the results is written now, and the rest
    /// is written only when it is sent. If `needs_all` is true, all results are written now, because a fault needs all
    /// their bytes.
    fn results_steps(&self, part: ResultsPart, needs_all: bool, at: Instant) -> Vec<Step> {
        let (bytes, rest) = if needs_all { (self.write_rest(part).into(), None) } else { self.write_part(part) };
        let rest = rest.map(|part| Step::Part { at, part });
        std::iter::once(Step::Bytes { at, bytes }).chain(rest).collect()
    }
}

/// Returns the batch call that a request makes, and the batch id that the path of the request contains.
fn route<'p>(method: &Method, path: &'p str) -> Result<(BatchCall, &'p str), ApiError> {
    let rest = path.strip_prefix(PATH).unwrap_or_default();
    let mut parts = rest.split('/').skip(1);
    let (batch_id, action, more) = (parts.next(), parts.next(), parts.next());
    let is =
        |wanted: &Method, call| if method == wanted { Ok(call) } else { Err(ApiError::new(405, "Method Not Allowed")) };
    let id = batch_id.unwrap_or_default();
    let call = match (batch_id, action, more) {
        (None, _, _) if *method == Method::POST => BatchCall::Create,
        (None, _, _) => is(&Method::GET, BatchCall::List)?,
        (Some(_), None, _) if *method == Method::DELETE => BatchCall::Delete,
        (Some(_), None, _) => is(&Method::GET, BatchCall::Retrieve)?,
        (Some(_), Some("results"), None) => is(&Method::GET, BatchCall::Results)?,
        (Some(_), Some("cancel"), None) => is(&Method::POST, BatchCall::Cancel)?,
        _ => return Err(ApiError::new(404, "Not found")),
    };
    Ok((call, id))
}

/// Returns the 429 that the API sends if too many requests are waiting to be processed. The real message of the API is
/// not known.
fn queue_is_full(most: u32, organization: u64) -> Stop {
    let message = format!(
        "This request would exceed the limit for your organization ({}) of {} message batch requests in the processing \
         queue. Please wait until some of them have been processed. For details, refer to: \
         https://docs.claude.com/en/api/rate-limits.",
        organization_id(organization),
        with_thousands(most.into())
    );
    let error = ApiError::new(429, message);
    Stop::Refused { error, reason: Reason::BatchQueue, retry_after: None, account: None }
}
