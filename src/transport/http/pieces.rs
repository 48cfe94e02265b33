//! Sends the bodies of requests in pieces.
//!
//! A body consists of several pieces: the request of a row, and additions. If these pieces were joined, a large body
//! would be in memory twice while it is sent. So the pieces are sent one after the other. The total length is known, so
//! the request has a `content-length`. A small body is copied into a single piece, which is faster.
//!
//! A body can also come from a source, such as a file. Such a body is read while it is sent, and only a few pieces of
//! it are in memory. The source is read on other threads, because a disk can be slow. If the source can't be read, the
//! request is aborted before its last piece.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use super::upload::Upload;
use crate::provider::{Body, BodySource, read_piece};

/// The size, in bytes, of the smallest body that is sent in pieces.
const LARGE_BYTES: usize = 16 << 10;

/// The size of a piece that is read from a source, in bytes.
const PIECE_BYTES: u64 = 128 << 10;

/// Returns the body as the HTTP client needs it. If the body is read from a source, `upload` is notified of each piece.
pub(super) fn sent(body: Body, upload: Option<Arc<Upload>>) -> reqwest::Body {
    if let (Some(source), Some(upload)) = (body.source(), upload) {
        let (source, end) = (source.clone(), source.len());
        return reqwest::Body::wrap(Read { source, at: 0, end, reading: None, upload });
    }
    if body.len() < LARGE_BYTES || body.is_plain() {
        return body.into_bytes().into();
    }
    let bytes = body.len() as u64;
    reqwest::Body::wrap(Pieces { pieces: body.into_pieces().into_iter(), bytes })
}

struct Pieces {
    pieces: std::vec::IntoIter<Bytes>,
    /// The number of bytes in the remaining pieces.
    bytes: u64,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.pieces.next();
        self.bytes -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.as_slice().is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes)
    }
}

/// A body whose pieces are read from its source while it is sent.
struct Read {
    source: Arc<dyn BodySource>,
    /// The offset in the source at which the next piece begins, in bytes.
    at: u64,
    /// The offset in the source at which the body ends, in bytes.
    end: u64,
    /// The task that reads the piece at `at`, while this task is running.
    reading: Option<JoinHandle<io::Result<Bytes>>>,
    upload: Arc<Upload>,
}

impl http_body::Body for Read {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Self { source, at, end, reading, upload } = &mut *self;
        let bytes = (*end - *at).min(PIECE_BYTES);
        if bytes == 0 {
            return Poll::Ready(None);
        }
        let piece = reading.get_or_insert_with(|| {
            let (source, at) = (source.clone(), *at);
            tokio::task::spawn_blocking(move || read_piece(&*source, at, bytes as usize))
        });
        let piece = ready!(Pin::new(piece).poll(context)).unwrap_or_else(|error| Err(io::Error::other(error)));
        *reading = None;
        match &piece {
            Ok(_) => {
                *at += bytes;
                upload.on_piece(at == end);
            }
            Err(error) => upload.on_fault(error),
        }
        Poll::Ready(Some(piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.at == self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;

    use super::*;
    use crate::provider::Splice;

    #[test]
    fn a_large_body_with_a_splice_is_not_copied_and_has_a_known_length() {
        let bytes = Bytes::from(vec![b'x'; LARGE_BYTES]);
        let splice = Splice::insert(LARGE_BYTES - 1, &b"put in"[..]);
        let body = Body::plain(bytes.clone()).with(splice);

        let whole = body.clone().into_bytes();
        let mut sent = sent(body, None);

        assert_eq!(sent.size_hint().exact(), Some(LARGE_BYTES as u64 + 6));
        let pieces = pieces(&mut sent);
        assert_eq!(pieces.concat(), whole);
        assert_eq!((pieces.len(), pieces[0].as_ptr()), (3, bytes.as_ptr()));
        assert!(sent.is_end_stream());
    }

    #[test]
    fn a_small_body_and_a_body_without_splices_are_one_piece() {
        let small = Body::plain(Bytes::from_static(b"{}")).with(Splice::insert(1, &b"1"[..]));
        let large = Bytes::from(vec![b'x'; LARGE_BYTES]);

        assert_eq!(pieces(&mut sent(small, None)), [&b"{1}"[..]]);
        assert_eq!(pieces(&mut sent(Body::plain(large.clone()), None))[0].as_ptr(), large.as_ptr());
    }

    fn pieces(body: &mut reqwest::Body) -> Vec<Bytes> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut next = || match Pin::new(&mut *body).poll_frame(&mut context) {
            Poll::Ready(Some(frame)) => frame.expect("nothing fails").into_data().ok(),
            Poll::Ready(None) | Poll::Pending => None,
        };
        std::iter::from_fn(&mut next).collect()
    }
}
