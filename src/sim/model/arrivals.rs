//! Handles a request from its arrival to its end.

use http::{HeaderMap, HeaderValue, Method};

use crate::clock::Instant;
use crate::provider::ReplyHead;

use super::call::Phase;
use super::delivery::Step;
use super::endpoints::most_body_bytes;
use super::errors::{self, ApiError};
use super::exchange::{Arrival, Ending, Request, Ticket, Unread};
use super::out::id;
use super::platform;
use super::refusal::Stop;
use super::state::Model;

impl Model {
    /// Answers a request that arrives at `now`. Returns the planned response, with the time of each part.
    pub fn arrive(&mut self, request: &Request<'_>, now: Instant) -> Arrival {
        if request.body.len() > most_body_bytes(request.method, request.path) {
            return self.arrive_unread(request, Unread::TooLarge, now);
        }
        let request_id = self.receive(request, now);
        let answer = self.answer(request, &request_id, self.now);
        let mut arrival = answer.unwrap_or_else(|stop| self.stop(*stop, &request_id, self.now));
        if *request.method == Method::HEAD {
            arrival.body.clear();
        }
        self.tell(arrival, &request_id)
    }

    /// Returns the planned response to a request whose body could not be read. The body in `request` is ignored.
    pub(crate) fn arrive_unread(&mut self, request: &Request<'_>, why: Unread, now: Instant) -> Arrival {
        let request_id = self.receive(request, now);
        let error = match why {
            Unread::TooLarge => ApiError::new(413, errors::usual_message(413)),
            Unread::Broken => ApiError::invalid("The request body could not be read."),
            Unread::Slow => ApiError::new(408, "The request body did not arrive in time."),
            Unread::NoRoom => ApiError::new(529, errors::usual_message(529)),
        };
        let stop: Box<Stop> = error.into();
        let arrival = self.stop(*stop, &request_id, self.now);
        self.tell(arrival, &request_id)
    }

    /// Counts a request and gives it an id.
    fn receive(&mut self, request: &Request<'_>, now: Instant) -> String {
        self.advance(now);
        self.line.note(|line| {
            line.method = request.method.to_string();
            request.path.clone_into(&mut line.path);
        });
        self.serial += 1;
        self.books.requests += 1;
        id("req_01", self.config.seed ^ 0x7265_715f, self.serial)
    }

    /// Sends a line about a request and its planned response to the simulator's journal.
    fn tell(&mut self, arrival: Arrival, request_id: &str) -> Arrival {
        let now = self.now;
        self.line.note(|line| {
            line.at_s = now.as_secs_f64();
            request_id.clone_into(&mut line.request_id);
            let is_silent =
                arrival.head_at == Instant::NEVER || matches!(arrival.body.first(), Some(Step::Reset { .. }));
            line.status = (!is_silent).then(|| arrival.head.as_ref().map_or(200, |head| head.status));
            line.head_at_s = (arrival.head_at != Instant::NEVER).then(|| arrival.head_at.as_secs_f64());
        });
        self.line.send();
        arrival
    }

    /// Returns the response head (status and headers) of a call. Call this function at the time when the head is sent,
    /// because its headers report the limits at that time.
    pub fn head(&mut self, arrival: &mut Arrival, now: Instant) -> ReplyHead {
        if let Some(head) = arrival.head.take() {
            return head;
        }
        self.advance(now);
        *self.books.statuses.entry(200).or_default() += 1;
        let Some(call) = self.calls.get(&arrival.ticket.0) else {
            return ReplyHead { status: 200, headers: HeaderMap::new() };
        };
        let content_type = if call.is_stream { "text/event-stream; charset=utf-8" } else { "application/json" };
        let account = call.account;
        let mut headers = self.base_headers(&call.request_id, account.0);
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if call.is_stream {
            headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        self.write_rate_headers(&mut headers, account);
        platform::change_headers(self.config.kind, &mut headers);
        ReplyHead { status: 200, headers }
    }

    /// Ends an exchange (a request and its response). Unknown tickets are ignored, because the ticket of an error
    /// response belongs to no call.
    pub fn finish(&mut self, ticket: Ticket, ending: Ending, now: Instant) {
        self.advance(now);
        let now = self.now;
        let Some(call) = self.calls.get_mut(&ticket.0).filter(|call| call.is_open) else { return };
        call.is_open = false;
        self.books.in_flight -= 1;
        match ending {
            Ending::Played if !call.is_spoiled => self.books.answer(call.body),
            Ending::Played => {}
            Ending::Left => call.is_lost = true,
        }
        // If the client has left, a call without streaming runs to its end, but a stream stops immediately.
        // Unconfirmed.
        if ending == Ending::Left && call.is_stream && call.phase != Phase::Over {
            self.cut_short(ticket.0, now);
        }
        self.forget_if_over(ticket.0);
    }
}
