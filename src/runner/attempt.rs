//! One attempt: a request goes out, its head and its end are reported.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use crate::classify::classify;
use crate::clock::RunClock;
use crate::domain::{ErrorClass, Failure, RateSignals, Verdict};
use crate::provider::{Provider, Reply, WireRequest};
use crate::scheduler::Ticket;
use crate::transport::{Exchange, Transport};

/// What an attempt reports.
#[derive(Debug)]
pub(super) enum Report {
    /// The head of its response has come.
    Head { ticket: Ticket, status: u16, signals: RateSignals, request_id: Option<String> },
    /// It is over. Comes exactly once, also when the task is cut off or panics.
    End { ticket: Ticket, verdict: Box<Verdict> },
}

/// Sends a request and reports what comes.
pub(super) fn attempt<T: Transport>(
    transport: Arc<T>,
    provider: Arc<dyn Provider>,
    request: WireRequest,
    clock: RunClock,
    ticket: Ticket,
    reports: UnboundedSender<Report>,
) -> impl Future<Output = ()> {
    // Made here and not inside: a task that is cut off before it is first polled reports its end as well.
    let end = EndOnce { ticket, reports: Some(reports) };
    exchange(transport, provider, request, clock, end)
}

async fn exchange<T: Transport>(
    transport: Arc<T>,
    provider: Arc<dyn Provider>,
    request: WireRequest,
    clock: RunClock,
    mut end: EndOnce,
) {
    let mut exchange = match transport.send(request).await {
        Ok(exchange) => exchange,
        Err(error) => return end.report(classify(Err(error), &RateSignals::default())),
    };
    let signals = provider.rate_signals(exchange.head(), clock.wall(clock.now()));
    end.report_head(exchange.head().status, signals, provider.request_id(exchange.head()));
    let mut decoder = provider.decoder(exchange.head());
    let fault = loop {
        match exchange.chunk().await {
            Ok(Some(chunk)) if decoder.push(&chunk) => {
                exchange.drain().await;
                break None;
            }
            Ok(Some(_)) => {}
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    let reply = decoder.finish();
    end.report(match fault {
        // An error whose body broke off is still that error.
        Some(_) if !(200..300).contains(&exchange.head().status) => classify(Ok((exchange.head(), reply)), &signals),
        Some(error) => with_usage(classify(Err(error), &signals), &reply),
        None => classify(Ok((exchange.head(), reply)), &signals),
    });
}

/// Keeps what a broken answer is known to have used.
fn with_usage(mut verdict: Verdict, reply: &Reply) -> Verdict {
    let known = match reply {
        Reply::Message(message) => message.usage,
        Reply::Error { failure, .. } | Reply::Broken { failure } => failure.usage,
    };
    if let Verdict::Transient { failure, .. } | Verdict::Rejected { failure, .. } = &mut verdict {
        failure.usage = known;
    }
    verdict
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
