//! Reads the body of a request, within limits on time and memory.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Body;

use super::super::model::Unread;

use super::bounds::{Budget, Share};

/// Reads a body of at most `most` bytes. If there is no memory for the whole body, the rest is read and dropped.
/// Reading the rest helps clients that read the answer only after they have sent everything.
///
/// # Errors
/// Returns why the body could not be read: it was too large, arrived too slowly or ended too early, or there was no
/// memory for it.
pub(super) async fn read<B>(body: B, most: usize, within: Duration, budget: &Budget) -> Result<Held, Unread>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.is_end_stream() {
        return Ok(Held { bytes: Bytes::new(), _share: None });
    }
    tokio::time::timeout(within, collect(body, most, budget)).await.unwrap_or(Err(Unread::Slow))
}

/// A body in memory, and its share of the memory budget.
#[derive(Debug)]
pub(super) struct Held {
    /// The body.
    pub bytes: Bytes,
    _share: Option<Share>,
}

async fn collect<B: Body<Data = Bytes> + Unpin>(mut body: B, most: usize, budget: &Budget) -> Result<Held, Unread> {
    let mut kept = Kept::new(budget, most, body.size_hint().lower());
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        // Frames that contain trailers are skipped, because trailers are not part of the body.
        if let Ok(bytes) = frame.map_err(|_| Unread::Broken)?.into_data() {
            kept.add(bytes);
        }
    }
    kept.end()
}

/// The part of a body that has arrived so far. Most bodies arrive in a single piece, which is not copied.
struct Kept<'a> {
    budget: &'a Budget,
    most: usize,
    share: Share,
    announced: usize,
    first: Bytes,
    all: BytesMut,
    total: usize,
    failed: Option<Unread>,
}

impl<'a> Kept<'a> {
    fn new(budget: &'a Budget, most: usize, announced: u64) -> Self {
        let announced = usize::try_from(announced).unwrap_or(usize::MAX);
        let failed = (announced > most).then_some(Unread::TooLarge);
        let (first, all) = (Bytes::new(), BytesMut::new());
        Self { budget, most, share: budget.share(), announced, first, all, total: 0, failed }
    }

    fn add(&mut self, bytes: Bytes) {
        self.total = self.total.saturating_add(bytes.len());
        if self.failed.is_some() {
            return;
        }
        if self.total > self.most {
            return self.give_up(Unread::TooLarge);
        }
        if !self.budget.has_room() {
            return self.give_up(Unread::NoRoom);
        }
        self.share.take(bytes.len());
        if self.total == bytes.len() {
            self.first = bytes;
            return;
        }
        if self.all.is_empty() {
            // Reserving memory is cheap, because the system provides real memory only for bytes that are written.
            self.all.reserve(self.announced.max(self.total));
            self.all.extend_from_slice(&std::mem::take(&mut self.first));
        }
        self.all.extend_from_slice(&bytes);
    }

    fn give_up(&mut self, why: Unread) {
        (self.first, self.all) = (Bytes::new(), BytesMut::new());
        self.share = self.budget.share();
        self.failed = Some(why);
    }

    fn end(self) -> Result<Held, Unread> {
        match self.failed {
            Some(why) => Err(why),
            None => {
                let bytes = if self.all.is_empty() { self.first } else { self.all.freeze() };
                Ok(Held { bytes, _share: Some(self.share) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::task::{Context, Poll};

    use http_body::Frame;

    #[tokio::test]
    async fn the_pieces_of_a_body_are_joined() {
        let held = read(Pieces::new(&[3, 0, 4, 5]), MOST, LONG, &Budget::new(100)).await.expect("the body is read");

        assert_eq!(&*held.bytes, b"xxxxxxxxxxxx");
    }

    #[tokio::test]
    async fn a_body_without_room_is_read_and_dropped() {
        let budget = Budget::new(8);
        let mut other = budget.share();
        other.take(6);

        let refused =
            read(Pieces::new(&[5, 1, 50]), MOST, LONG, &budget).await.expect_err("there is room for two bytes");
        drop(other);
        let held = read(Pieces::new(&[5, 1]), MOST, LONG, &budget).await.expect("there is room again");

        assert_eq!((refused, held.bytes.len()), (Unread::NoRoom, 6));
    }

    #[tokio::test]
    async fn the_share_of_a_body_that_is_too_large_returns_to_the_budget() {
        let budget = Budget::new(33 << 20);
        let pieces: Vec<usize> = vec![1 << 20; 33];

        let refused = read(Pieces::new(&pieces), MOST, LONG, &budget).await.expect_err("the body has 33 MB");

        assert_eq!(refused, Unread::TooLarge);
        assert!(budget.has_room());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_coming_is_given_up() {
        let mut pieces = Pieces::new(&[3]);
        pieces.is_endless = true;

        let refused = read(pieces, MOST, LONG, &Budget::new(100)).await.expect_err("the body never ends");

        assert_eq!(refused, Unread::Slow);
    }

    const MOST: usize = 32 << 20;
    const LONG: Duration = Duration::from_secs(60);

    /// A body that arrives in pieces with these lengths.
    struct Pieces {
        lengths: VecDeque<usize>,
        is_endless: bool,
    }

    impl Pieces {
        fn new(lengths: &[usize]) -> Self {
            Self { lengths: lengths.iter().copied().collect(), is_endless: false }
        }
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.lengths.pop_front() {
                Some(length) => Poll::Ready(Some(Ok(Frame::data(vec![b'x'; length].into())))),
                None if self.is_endless => Poll::Pending,
                None => Poll::Ready(None),
            }
        }
    }
}
