//! One attempt: a request goes out, its head and its end are reported.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use crate::classify::classify;
use crate::clock::RunClock;
use crate::domain::{ErrorClass, Failure, RateSignals, Verdict};
use crate::provider::{Provider, WireRequest};
use crate::scheduler::Ticket;
use crate::transport::{Exchange, Transport};

/// How long a complete answer's connection may take to end its body, so that it can be used again.
const TAIL: Duration = Duration::from_secs(1);

/// What an attempt reports.
#[derive(Debug)]
pub(super) enum Report {
    /// The head of its response has come.
    Head { ticket: Ticket, status: u16, signals: RateSignals, request_id: Option<String> },
    /// It is over. Comes exactly once, also when the task is cut off or panics.
    End { ticket: Ticket, verdict: Box<Verdict> },
}

/// Sends a request and reports what comes.
pub(super) async fn attempt<T: Transport>(
    transport: Arc<T>,
    provider: Arc<dyn Provider>,
    request: WireRequest,
    clock: RunClock,
    ticket: Ticket,
    reports: UnboundedSender<Report>,
) {
    let mut end = EndOnce { ticket, reports: Some(reports) };
    let mut exchange = match transport.send(request).await {
        Ok(exchange) => exchange,
        Err(error) => return end.report(classify(Err(error), &RateSignals::default())),
    };
    let signals = provider.rate_signals(exchange.head(), clock.wall(clock.now()));
    end.report_head(exchange.head().status, signals, provider.request_id(exchange.head()));
    let mut decoder = provider.decoder(exchange.head());
    let is_at_end = loop {
        match exchange.chunk().await {
            Ok(Some(chunk)) if decoder.push(&chunk) => break false,
            Ok(Some(_)) => {}
            Ok(None) => break true,
            Err(error) => return end.report(classify(Err(error), &signals)),
        }
    };
    end.report(classify(Ok((exchange.head(), decoder.finish())), &signals));
    if !is_at_end {
        // A body read to its end lets the connection serve the next request.
        let _ = tokio::time::timeout(TAIL, exchange.chunk()).await;
    }
}

/// Reports one end, whatever happens to the task.
struct EndOnce {
    ticket: Ticket,
    reports: Option<UnboundedSender<Report>>,
}

impl EndOnce {
    fn report_head(&self, status: u16, signals: RateSignals, request_id: Option<String>) {
        if let Some(reports) = &self.reports {
            // A closed channel means that the run is over and nobody asks any more.
            let _ = reports.send(Report::Head { ticket: self.ticket, status, signals, request_id });
        }
    }

    fn report(&mut self, verdict: Verdict) {
        if let Some(reports) = self.reports.take() {
            let _ = reports.send(Report::End { ticket: self.ticket, verdict: Box::new(verdict) });
        }
    }
}

impl Drop for EndOnce {
    fn drop(&mut self) {
        let verdict = if std::thread::panicking() {
            let message = "internal fault: the attempt panicked; please report it".to_owned();
            Verdict::Rejected { class: ErrorClass::InvalidOutput, failure: Failure { message, ..Failure::default() } }
        } else {
            Verdict::Aborted
        };
        self.report(verdict);
    }
}
