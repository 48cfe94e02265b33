//! One attempt: sends a request and reports the response head (the status line and headers) and the end of the
//! response.
//!
//! A response that is not a stream nearly always arrives in one piece, so one report contains its head and its end. If
//! a response head comes before its body, the head is reported immediately, because its limits apply to the next
//! request.
//!
//! All decoded text from a server passes through this file before other code sees it. For this reason, only this file
//! removes secrets. This file removes secrets from the request id, from failures, and from everything in an answer
//! except its content.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc::UnboundedSender;

use crate::classify::on_wire;
use crate::clock::RunClock;
use crate::domain::{ErrorClass, Failure, Marked, PoolId, RateSignals, Request, Usage, Verdict};
use crate::provider::{Decoder, HeadNews, Provider, Reply, explain_refusal};
use crate::scheduler::Ticket;
use crate::transport::{Exchange, Transport, WireError};

use super::answer_memory::{AnswerMemory, AnswerShare};

/// A report of an attempt: its response head, its end, or both.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) ticket: Ticket,
    /// The response head (the status line and headers), which is reported once per response.
    pub(super) head: Option<Head>,
    /// The usage that the beginning of the response reports. The usage is reported only if other rows wait for the
    /// beginning of this response.
    pub(super) begun: Option<Usage>,
    /// The end of the attempt, which is reported exactly once, even if the task is aborted or panics.
    pub(super) end: Option<End>,
}

/// The end of an attempt.
#[derive(Debug)]
pub(super) struct End {
    pub(super) verdict: Verdict,
    /// The memory that this answer uses: a share of the memory for all answers.
    pub(super) share: AnswerShare,
}

/// The parts of a response head that the scheduler needs.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) signals: RateSignals,
    pub(super) request_id: Option<String>,
}

/// A request that will be sent, with everything that is needed to send it.
pub(super) struct Attempt<T> {
    pub(super) transport: Arc<T>,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) clock: RunClock,
    pub(super) request: Request,
    /// The places of the cache marks in the request; `None` for a request without marks.
    pub(super) marked: Option<Marked>,
    /// Whether other rows wait until the response to this request has begun.
    pub(super) is_awaited: bool,
    pub(super) route: Arc<PoolId>,
    pub(super) stream: bool,
    pub(super) end: EndOnce,
}

impl<T: Transport> Attempt<T> {
    /// Sends the request, and reports the response head and the end of the response.
    pub(super) async fn run(self) {
        let Self { transport, provider, clock, request, marked, is_awaited, route, stream, mut end } = self;
        let mut exchange = match transport.send(provider.encode(&request, marked.as_ref(), &route, stream)).await {
            Ok(exchange) => exchange,
            Err(error) => {
                let mut verdict = on_wire(error);
                transport.secrets().clean_verdict(&mut verdict);
                return end.report(None, verdict);
            }
        };
        let HeadNews { signals, mut request_id } = provider.read_head(exchange.head(), &|| clock.wall(clock.now()));
        request_id.iter_mut().for_each(|id| transport.secrets().clean(id));
        let mut head = Some(Head { status: exchange.head().status, signals, request_id });
        let mut decoder = provider.decoder(exchange.head());
        let mut begins = is_awaited && (200..300).contains(&exchange.head().status);
        let fault = read_body(&mut exchange, &mut *decoder, &mut head, &mut begins, &mut end).await.err();
        let reply = decoder.finish(exchange.head(), &request);
        let mut verdict = match fault {
            // If the status means an error, the verdict reports this error, even if the body broke off.
            Some(error) if (200..300).contains(&exchange.head().status) => with_usage(on_wire(error), &reply),
            Some(_) | None => provider.judge(exchange.head(), reply, &signals),
        };
        if matches!(exchange.head().status, 400 | 401 | 403) {
            explain_refusal(exchange.head(), &mut verdict, clock.wall(clock.now()));
        }
        transport.secrets().clean_verdict(&mut verdict);
        end.report(head, verdict);
    }
}

/// Passes the body of the response to the decoder until the reply is complete.
async fn read_body<E: Exchange>(
    exchange: &mut E,
    decoder: &mut dyn Decoder,
    head: &mut Option<Head>,
    begins: &mut bool,
    end: &mut EndOnce,
) -> Result<(), WireError> {
    while let Some(chunk) = chunk(exchange, head, end).await? {
        if decoder.push_bytes(chunk) {
            exchange.drain().await;
            break;
        }
        if *begins && let Some(usage) = decoder.first_usage() {
            *begins = false;
            end.report_begin(head.take(), usage);
        }
        if !end.share.grow_to(decoder.held_bytes()) {
            wait_for_memory(exchange, head, end).await?;
        }
    }
    Ok(())
}

/// Returns the next part of the body. If the next part of the body has not arrived yet, reports the response head
/// first.
async fn chunk<E: Exchange>(
    exchange: &mut E,
    head: &mut Option<Head>,
    end: &EndOnce,
) -> Result<Option<Bytes>, WireError> {
    let mut chunk = pin!(exchange.chunk());
    poll_fn(|context| {
        let piece = chunk.as_mut().poll(context);
        if piece.is_pending()
            && let Some(head) = head.take()
        {
            end.report_head(head);
        }
        piece
    })
    .await
}

/// Reads nothing and waits until there is memory for more of the body. If the response head was not reported yet,
/// reports the head first.
async fn wait_for_memory<E: Exchange>(
    exchange: &mut E,
    head: &mut Option<Head>,
    end: &mut EndOnce,
) -> Result<(), WireError> {
    if let Some(head) = head.take() {
        end.report_head(head);
    }
    exchange.pause(end.share.wait()).await
}

/// If an answer is broken, adds the known part of its usage to the verdict.
fn with_usage(mut verdict: Verdict, reply: &Reply) -> Verdict {
    let known = match reply {
        Reply::Message(message) => message.usage,
        Reply::Error { failure, .. } | Reply::Broken { failure } | Reply::Unfinished { failure, .. } => failure.usage,
    };
    if let Verdict::Transient { failure, .. } | Verdict::Rejected { failure, .. } = &mut verdict {
        failure.usage = known;
    }
    verdict
}

/// Reports the end of an attempt exactly once, even if its task is aborted or panics. The end is reported even if the
/// task is aborted before it runs.
pub(super) struct EndOnce {
    ticket: Ticket,
    reports: Option<UnboundedSender<Report>>,
    share: AnswerShare,
}

impl EndOnce {
    pub(super) fn new(ticket: Ticket, reports: UnboundedSender<Report>, memory: Arc<AnswerMemory>) -> Self {
        Self { ticket, reports: Some(reports), share: AnswerShare::new(memory) }
    }

    fn report_head(&self, head: Head) {
        if let Some(reports) = &self.reports {
            // If sending fails, the run has ended, and nobody needs the report.
            let _ = reports.send(Report { ticket: self.ticket, head: Some(head), begun: None, end: None });
        }
    }

    fn report_begin(&self, head: Option<Head>, usage: Usage) {
        if let Some(reports) = &self.reports {
            let _ = reports.send(Report { ticket: self.ticket, head, begun: Some(usage), end: None });
        }
    }

    fn report(mut self, head: Option<Head>, verdict: Verdict) {
        self.send_end(head, verdict);
    }

    fn send_end(&mut self, head: Option<Head>, verdict: Verdict) {
        if let Some(reports) = self.reports.take() {
            let share = self.share.hand_over();
            let _ = reports.send(Report { ticket: self.ticket, head, begun: None, end: Some(End { verdict, share }) });
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
        self.send_end(None, verdict);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, LazyLock};
    use std::task::Poll;

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;
    use crate::domain::{Params, Secrets};
    use crate::provider::{ReplyHead, WireRequest};

    const ANSWER: &[u8] = br#"{"type":"message","content":[],"stop_reason":"end_turn","usage":{"output_tokens":2}}"#;

    #[tokio::test]
    async fn a_head_that_comes_with_its_body_is_reported_with_the_end() {
        let mut reports = reports(&[Piece::Now(ANSWER)]).await;

        let (only, verdict) = ended(&mut reports).await;
        assert!(matches!(only.head, Some(Head { status: 200, .. })) && only.ticket == Ticket(7), "{only:?}");
        assert!(matches!(verdict, Verdict::Answered(_)), "{verdict:?}");
        assert!(reports.recv().await.is_none());
    }

    #[tokio::test]
    async fn a_head_that_comes_alone_is_reported_immediately() {
        let mut reports =
            reports(&[Piece::Later, Piece::Now(&ANSWER[..9]), Piece::Later, Piece::Now(&ANSWER[9..])]).await;

        let first = reports.recv().await.expect("its head");
        let (last, verdict) = ended(&mut reports).await;
        assert!(first.ticket == Ticket(7) && first.end.is_none(), "{first:?}");
        assert_eq!(first.head.map(|head| head.status), Some(200));
        assert!(last.head.is_none() && matches!(verdict, Verdict::Answered(_)), "{verdict:?}");
        assert!(reports.recv().await.is_none());
    }

    #[tokio::test]
    async fn a_secret_that_the_server_repeats_is_removed_from_every_report() {
        const ECHO: &[u8] = br#"{"id":"KEY-0123456789","type":"message","content":["KEY-0123456789"],"usage":{}}"#;

        let mut reports = reports(&[Piece::Later, Piece::Now(ECHO)]).await;

        let first = reports.recv().await.expect("its head");
        let (_, verdict) = ended(&mut reports).await;
        let head = first.head.expect("a head");
        let Verdict::Transient { failure, .. } = verdict else { panic!("{verdict:?}") };
        assert_eq!(head.request_id.as_deref(), Some("req-[key]"));
        assert_eq!(failure.request_id.as_deref(), Some("req-[key]"));
    }

    async fn ended(reports: &mut UnboundedReceiver<Report>) -> (Report, Verdict) {
        let mut report = reports.recv().await.expect("its end");
        let End { verdict, .. } = report.end.take().expect("an end");
        (report, verdict)
    }

    #[tokio::test]
    async fn a_tool_call_is_compared_with_the_request_that_it_answers() {
        const CALL: &[u8] = br#"{"type":"message","content":[{"type":"tool_use","name":"save","input":{}}],"stop_reason":"tool_use","usage":{}}"#;
        let tools = |json: &str| {
            let json = serde_json::value::RawValue::from_string(json.to_owned()).expect("the test writes valid JSON");
            Request::of(&Params(vec![("tools".into(), json)]))
        };

        for (request, is_offered) in [(tools(r#"[{"name":"save"}]"#), true), (tools(r#"[{"name":"load"}]"#), false)] {
            let (_, verdict) = ended(&mut reports_of(&request, &[Piece::Now(CALL)]).await).await;

            assert_eq!(matches!(verdict, Verdict::Answered(_)), is_offered, "{verdict:?}");
        }
    }

    async fn reports(pieces: &[Piece]) -> UnboundedReceiver<Report> {
        reports_of(&Request::default(), pieces).await
    }

    async fn reports_of(request: &Request, pieces: &[Piece]) -> UnboundedReceiver<Report> {
        let (reports_in, reports) = unbounded_channel();
        let provider = crate::provider::anthropic::Anthropic::new("2023-06-01", &[], http::HeaderMap::new());
        let id = http::HeaderValue::from_static("req-KEY-0123456789");
        let headers = http::HeaderMap::from_iter([(http::HeaderName::from_static("request-id"), id)]);
        let script = Script { head: ReplyHead { status: 200, headers }, pieces: pieces.iter().copied().collect() };
        let end = EndOnce::new(Ticket(7), reports_in, Arc::default());
        let route = crate::scheduler::tests::planned("a", 1, 1).ask.pool;
        let attempt = Attempt {
            transport: Arc::new(Played(script)),
            provider: Arc::new(provider.expect("a provider")),
            clock: RunClock::start(),
            marked: None,
            is_awaited: false,
            request: request.clone(),
            route,
            stream: false,
            end,
        };
        attempt.run().await;
        reports
    }

    #[derive(Clone, Copy)]
    enum Piece {
        Now(&'static [u8]),
        /// No part of the body has arrived yet. More of the body comes at the next poll.
        Later,
    }

    struct Played(Script);

    #[derive(Clone)]
    struct Script {
        head: ReplyHead,
        pieces: VecDeque<Piece>,
    }

    impl Transport for Played {
        type Exchange = Script;

        async fn send(&self, _request: WireRequest) -> Result<Script, WireError> {
            Ok(self.0.clone())
        }

        fn secrets(&self) -> Arc<Secrets> {
            static SECRETS: LazyLock<Arc<Secrets>> = LazyLock::new(|| Arc::new(Secrets::new(["KEY-0123456789"])));
            SECRETS.clone()
        }
    }

    impl Exchange for Script {
        fn head(&self) -> &ReplyHead {
            &self.head
        }

        async fn chunk(&mut self) -> Result<Option<Bytes>, WireError> {
            poll_fn(|context| match self.pieces.pop_front() {
                Some(Piece::Now(bytes)) => Poll::Ready(Ok(Some(Bytes::from_static(bytes)))),
                Some(Piece::Later) => {
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                None => Poll::Ready(Ok(None)),
            })
            .await
        }
    }
}
