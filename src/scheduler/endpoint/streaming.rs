//! Whether requests to an endpoint are allowed to ask for a stream (`--stream auto`).
//!
//! Some servers send streams that this program can't read. These streams have the form of another API, or their first
//! or last event is missing. If a stream can't be read, its answer is possibly billed. Without a stream, the same
//! request works. For this reason, after two unreadable streams in a run, requests to the endpoint no longer ask for
//! streams.
//!
//! A stream in the form of another API always counts as unreadable, because the server will send more such streams. A
//! stream that ends early counts as unreadable only if no complete stream has arrived before. After a complete stream
//! has arrived, a stream that ends early is treated like other faults.

use crate::domain::{StreamFault, Verdict};

/// After this many unreadable streams, requests no longer ask for streams.
const MOST_UNREADABLE: u32 = 2;

/// What is known about the streams of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Streaming {
    unreadable: u32,
    has_worked: bool,
}

impl Streaming {
    /// Returns whether requests have stopped asking for streams.
    pub(crate) fn is_given_up(&self) -> bool {
        self.unreadable >= MOST_UNREADABLE
    }

    /// Records the verdict on a request that asked for a stream. If the program stops asking for streams because of
    /// this verdict, returns a message for the user.
    pub(crate) fn on_end(&mut self, verdict: &Verdict) -> Option<String> {
        let failure = match verdict {
            Verdict::Answered(_) | Verdict::Paused { .. } => {
                self.has_worked = true;
                return None;
            }
            Verdict::Transient { failure, .. } => failure,
            Verdict::Limited { .. }
            | Verdict::Overloaded { .. }
            | Verdict::Rejected { .. }
            | Verdict::Forbidden(_)
            | Verdict::NoModel(_)
            | Verdict::Halt(_)
            | Verdict::Aborted => return None,
        };
        let counts = match failure.stream? {
            StreamFault::Foreign => true,
            StreamFault::Cut => !self.has_worked,
        };
        if !counts || self.is_given_up() {
            return None;
        }
        self.unreadable += 1;
        self.is_given_up().then(|| {
            format!(
                "{MOST_UNREADABLE} streamed answers could not be read ({}): from here on, requests do not ask for a stream",
                failure.message
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::clock::Instant;
    use crate::domain::{ErrorClass, EventBody, Failure, RateLimits};
    use crate::scheduler::tests::{answer, config, scheduler_with};
    use crate::scheduler::{Step, StreamMode, Ticket};

    fn fault(stream: Option<StreamFault>) -> Verdict {
        let failure = Failure { stream, message: "it ends in [DONE]".to_owned(), ..Failure::default() };
        Verdict::Transient { class: ErrorClass::InvalidOutput, retry_after: None, maybe_paid: true, failure }
    }

    /// Records verdicts one after another. Returns the positions of the verdicts that led to a message. Also returns
    /// whether requests no longer ask for streams.
    fn told(ends: &[Verdict]) -> (Vec<usize>, bool) {
        let mut streaming = Streaming::default();
        let told = ends.iter().enumerate().filter_map(|(at, end)| streaming.on_end(end).map(|_| at)).collect();
        (told, streaming.is_given_up())
    }

    #[test]
    fn two_streams_of_another_form_are_enough() {
        let foreign = || fault(Some(StreamFault::Foreign));

        assert_eq!(told(&[foreign()]), (vec![], false));
        assert_eq!(told(&[foreign(), foreign(), foreign()]), (vec![1], true));
        assert_eq!(told(&[foreign(), answer(), foreign()]), (vec![2], true));
    }

    #[test]
    fn streams_that_end_early_count_until_a_complete_stream_has_arrived() {
        let cut = || fault(Some(StreamFault::Cut));

        assert_eq!(told(&[cut(), cut()]), (vec![1], true));
        assert_eq!(told(&[answer(), cut(), cut(), cut()]), (vec![], false));
        assert_eq!(told(&[cut(), fault(Some(StreamFault::Foreign))]), (vec![1], true));
    }

    #[test]
    fn other_faults_say_nothing_about_streams() {
        let limited = || Verdict::Overloaded { retry_after: None, maybe_paid: true, failure: Failure::default() };

        assert_eq!(told(&[fault(None), fault(None), limited(), limited(), Verdict::Aborted]), (vec![], false));
    }

    #[test]
    fn the_message_names_the_fault() {
        let mut streaming = Streaming::default();
        streaming.on_end(&fault(Some(StreamFault::Foreign)));

        let told = streaming.on_end(&fault(Some(StreamFault::Foreign)));

        let expected =
            "2 streamed answers could not be read (it ends in [DONE]): from here on, requests do not ask for a stream";
        assert_eq!(told.as_deref(), Some(expected));
    }

    #[test]
    fn a_row_asks_for_a_stream_on_all_its_tries_or_on_none() {
        let (sent, told) =
            play(StreamMode::Auto, 100, |row, _, tries| if row % 2 == 1 && tries < 3 { fault(None) } else { answer() });

        let again: Vec<_> = sent.values().filter(|tries| tries.len() == 3).collect();
        assert_eq!((sent.len(), again.len(), told), (100, 50, 0));
        assert!(again.iter().all(|tries| tries.iter().all(|stream| *stream == tries[0])), "{again:?}");
        assert!(again.iter().any(|tries| tries[0]) && again.iter().any(|tries| !tries[0]), "{again:?}");
    }

    #[test]
    fn rows_are_answered_without_streams_if_streams_can_not_be_read() {
        for stream_fault in [StreamFault::Foreign, StreamFault::Cut] {
            let server = |_, stream, _| if stream { fault(Some(stream_fault)) } else { answer() };

            let (sent, told) = play(StreamMode::Auto, 100, server);

            let streamed = sent.values().flatten().filter(|stream| **stream).count();
            assert_eq!((sent.len(), streamed, told), (100, WINDOW, 1), "only the answers in flight are lost");
            assert!(sent.values().all(|tries| tries.last() == Some(&false)), "{sent:?}");
        }
    }

    #[test]
    fn a_stream_that_the_user_asked_for_is_not_given_up() {
        let (sent, told) = play(StreamMode::On, 8, |_, _, _| fault(Some(StreamFault::Foreign)));

        assert!(sent.values().flatten().all(|stream| *stream), "{sent:?}");
        assert_eq!((sent.len(), told), (8, 0));
    }

    const WINDOW: usize = 10;

    /// Simulates a run with a server that answers immediately. The function `server` chooses each answer. The arguments
    /// of `server` are the row, whether the request asks for a stream, and how many times the row was sent. For each
    /// row, returns which of its tries asked for a stream. Also returns the number of warnings.
    fn play(
        mode: StreamMode,
        rows: usize,
        server: impl Fn(usize, bool, usize) -> Verdict,
    ) -> (BTreeMap<usize, Vec<bool>>, usize) {
        let mut config = config(RateLimits::NONE, WINDOW);
        config.stream = mode;
        let mut scheduler = scheduler_with(rows, config);
        let mut sent: BTreeMap<usize, Vec<bool>> = BTreeMap::new();
        for now in (0..600).map(Instant::from_secs) {
            let mut flying: Vec<(Ticket, bool)> = Vec::new();
            while let Step::Dispatch { ticket, stream } = scheduler.poll(now) {
                flying.push((ticket, stream));
            }
            for (ticket, stream) in flying {
                let row = scheduler.sent(ticket).job.custom_id.parse().expect("rows are numbered");
                let tries = sent.entry(row).or_default();
                tries.push(stream);
                let verdict = server(row, stream, tries.len());
                scheduler.on_end(ticket, verdict, now);
            }
        }
        let told = scheduler.take_events();
        (sent, told.iter().filter(|event| matches!(event, EventBody::Warned(_))).count())
    }
}
