//! HTTP requests as they are sent, and the heads (status and headers) of their responses.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use http::{HeaderMap, Method};

use crate::domain::{PoolId, RateSignals};

/// An HTTP request as it is sent. The path in the request is relative to the address of the endpoint.
#[derive(Clone, Debug)]
pub struct WireRequest {
    /// The route. The provider and the account of the route identify the endpoint.
    pub route: Arc<PoolId>,
    /// The method.
    pub method: Method,
    /// The path of the request, relative to the address of the endpoint, for example `/v1/messages`.
    pub path: Cow<'static, str>,
    /// The headers of the request, without the headers that the transport adds (credentials, `content-length`,
    /// `user-agent`).
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
    /// Whether the request asks for a stream of events.
    pub is_stream: bool,
    /// The size and time limits for the response.
    pub transfer: Transfer,
}

/// The size and time limits for a response.
///
/// For both kinds of response (`Usual` and `Bulk`), the pause between two pieces of the body is limited. The size of an
/// error's body is always limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transfer {
    /// The response is an answer of usual size. One time limit applies to the request and the answer together.
    #[default]
    Usual,
    /// The body of the response is large. There is no limit on the size of a large body, or on the duration of its
    /// transfer. The time limit applies only until the head of the response (status and headers) has arrived.
    Bulk,
}

/// The body of a request. Most bodies contain the exact bytes of a row's request. During sending, texts are inserted
/// between these bytes. Other bodies come from a source, which is read during sending.
///
/// The row's bytes are shared and never changed, so a retry copies nothing, and equal prefixes stay equal. Each
/// insertion (`stream`, a cache mark) is a splice. Bytes and splices are joined when the request is sent.
#[derive(Clone, Debug, Default)]
pub struct Body {
    bytes: Bytes,
    splices: Vec<Splice>,
    /// The source of the body. If there is a source, `bytes` and `splices` are empty.
    source: Option<Arc<dyn BodySource>>,
}

/// A body that is not in memory, for example a file. A source can be read from every offset, and can be read several
/// times.
pub trait BodySource: Send + Sync + fmt::Debug {
    /// Returns the length of the body in bytes. The length must not change.
    fn len(&self) -> u64;

    /// Returns whether the body is empty.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads bytes at `offset` into the buffer, and returns how many bytes it has read. The number of bytes read can be
    /// smaller than the length of the buffer. 0 means that there are no bytes at `offset`.
    ///
    /// # Errors
    /// Returns an error if the bytes can't be read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// A splice: a text that is inserted into a body, or that replaces bytes of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice {
    /// The text is inserted before this offset in the body's own bytes.
    pub at: usize,
    /// How many of the body's own bytes the text replaces. The first replaced byte is at `at`.
    pub leave_out: usize,
    /// The text.
    pub text: Bytes,
}

impl Splice {
    /// Returns a splice that only inserts text.
    pub fn insert(at: usize, text: impl Into<Bytes>) -> Self {
        Self { at, leave_out: 0, text: text.into() }
    }

    /// Returns a splice that replaces the range `bytes` of the body by a text. If the text is empty, the bytes are left
    /// out.
    pub(crate) fn replace(bytes: Range<usize>, text: impl Into<Bytes>) -> Self {
        Self { at: bytes.start, leave_out: bytes.len(), text: text.into() }
    }

    /// Returns the offset at which the replaced bytes end.
    fn end(&self) -> usize {
        self.at + self.leave_out
    }
}

impl Body {
    /// Returns a body that is sent unchanged.
    pub fn plain(bytes: Bytes) -> Self {
        Self { bytes, splices: Vec::new(), source: None }
    }

    /// Returns a body that is read from a source while it is sent. Sending the body has no time limit, but must not
    /// stall. The time limit of the request begins again when the body has been sent.
    pub fn from_source(source: Arc<dyn BodySource>) -> Self {
        Self { source: Some(source), ..Self::default() }
    }

    /// Returns the body with `splice` added. If earlier splices have the same offset, the new splice comes after them.
    /// If an earlier splice leaves out the bytes around the new splice's offset, the new splice has no effect.
    ///
    /// # Panics
    /// Panics if the splice goes beyond the end of the body's own bytes. This function also panics if the bytes that
    /// `splice` leaves out overlap an earlier splice. This function also panics if the body is read from a source.
    #[must_use]
    pub fn with(mut self, splice: Splice) -> Self {
        assert!(self.source.is_none(), "a body that is read from a source takes no splices");
        assert!(splice.end() <= self.bytes.len(), "a splice lies within its body");
        if self.leaves_out(splice.at) {
            return self;
        }
        let is_over = |earlier: &Splice| splice.at < earlier.end().max(earlier.at + 1) && earlier.at < splice.end();
        assert!(
            splice.leave_out == 0 || !self.splices.iter().any(is_over),
            "the bytes that a splice leaves out must not have splices"
        );
        let place = self.splices.partition_point(|earlier| earlier.at <= splice.at);
        self.splices.insert(place, splice);
        self
    }

    /// Returns whether the offset `at` is inside bytes that are left out.
    pub(crate) fn leaves_out(&self, at: usize) -> bool {
        self.splices.iter().any(|splice| splice.at < at && at < splice.end())
    }

    /// Returns whether the body is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the body is sent as it is, with nothing inserted.
    pub fn is_plain(&self) -> bool {
        self.splices.is_empty()
    }

    /// Returns the number of bytes of the body that are sent.
    pub fn len(&self) -> usize {
        if let Some(source) = &self.source {
            return usize::try_from(source.len()).unwrap_or(usize::MAX);
        }
        let sent = |length: usize, splice: &Splice| length + splice.text.len() - splice.leave_out;
        self.splices.iter().fold(self.bytes.len(), sent)
    }

    /// Returns the source, if the body is read from a source.
    pub(crate) fn source(&self) -> Option<&Arc<dyn BodySource>> {
        self.source.as_ref()
    }

    /// Returns the body in one piece. If there are no splices, no byte is copied. If the body has a source (for example
    /// a file), this function reads the whole source into memory.
    ///
    /// # Panics
    /// Panics if a source can't be read. Only simulated servers and tests read a whole source at once.
    pub fn into_bytes(self) -> Bytes {
        if let Some(source) = &self.source {
            return read_whole(&**source).expect("the source of a simulated request can be read");
        }
        if self.is_plain() {
            return self.bytes;
        }
        let mut whole = Vec::with_capacity(self.len());
        let Self { bytes, splices, source: _ } = self;
        let mut from = 0;
        for splice in &splices {
            whole.extend_from_slice(&bytes[from..splice.at.max(from)]);
            whole.extend_from_slice(&splice.text);
            from = splice.end().max(from);
        }
        whole.extend_from_slice(&bytes[from..]);
        whole.into()
    }

    /// Returns the body in pieces, so that no byte is copied. The pieces are never empty. Do not call this method for a
    /// body that is read from a source.
    pub(crate) fn into_pieces(self) -> Vec<Bytes> {
        let Self { mut bytes, splices, source: _ } = self;
        let mut pieces = Vec::with_capacity(2 * splices.len() + 1);
        let mut from = 0;
        for splice in splices {
            let (at, end) = (splice.at.max(from), splice.end().max(from));
            pieces.extend([bytes.split_to(at - from), splice.text]);
            bytes.advance(end - at);
            from = end;
        }
        pieces.push(bytes);
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }
}

fn read_whole(source: &dyn BodySource) -> io::Result<Bytes> {
    let mut whole = Vec::new();
    let mut left = source.len();
    while left > 0 {
        let piece = read_piece(source, whole.len() as u64, left.min(1 << 20) as usize)?;
        left -= piece.len() as u64;
        whole.extend_from_slice(&piece);
    }
    Ok(whole.into())
}

/// Reads exactly `bytes` bytes from a source, beginning at `offset`.
pub(crate) fn read_piece(source: &dyn BodySource, offset: u64, bytes: usize) -> io::Result<Bytes> {
    let mut piece = vec![0; bytes];
    let mut filled = 0;
    while filled < bytes {
        match source.read_at(&mut piece[filled..], offset + filled as u64) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body has become shorter")),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(piece.into())
}

/// The head of a response: its status and its headers.
#[derive(Clone, Debug)]
pub struct ReplyHead {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
}

impl ReplyHead {
    /// Returns whether the status means success: 200 to 299.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// The facts in the headers of a response.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeadNews {
    /// The rate signals: what the headers say about limits.
    pub signals: RateSignals,
    /// The provider's id of the request, which users can quote to the provider's support.
    pub request_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splice(at: usize, text: &'static str) -> Splice {
        Splice::insert(at, text)
    }

    #[test]
    fn bytes_are_left_out_or_replaced_and_other_splices_keep_their_places() {
        let body = Body::plain(Bytes::from_static(b"abcdefgh"))
            .with(Splice::replace(1..3, ""))
            .with(Splice::replace(5..6, "FFF"))
            .with(splice(1, "1"))
            .with(splice(2, "lost"))
            .with(splice(3, "3"))
            .with(splice(8, "8"));

        assert_eq!((body.len(), body.clone().into_bytes()), (11, "a13deFFFgh8".into()));
        assert_eq!(body.into_pieces().concat(), b"a13deFFFgh8");
    }

    #[test]
    fn splices_are_inserted_at_their_places_in_any_order() {
        let body =
            Body::plain(Bytes::from_static(b"abcd")).with(splice(4, "5")).with(splice(0, "1")).with(splice(2, "3"));

        let another = body.clone().with(splice(2, "4"));
        assert_eq!((another.len(), another.clone().into_bytes()), (8, "1ab34cd5".into()));
        assert_eq!(another.into_pieces(), ["1", "ab", "3", "4", "cd", "5"]);
        assert_eq!(body.into_bytes(), "1ab3cd5");
    }

    #[test]
    fn a_body_without_splices_is_not_copied() {
        let bytes = Bytes::from(vec![b'x'; 100]);

        let sent = Body::plain(bytes.clone()).into_bytes();
        let pieces = Body::plain(bytes.clone()).into_pieces();

        assert_eq!([sent.as_ptr(), pieces[0].as_ptr()], [bytes.as_ptr(); 2]);
    }

    /// A source that gives at most three bytes at a time, and fails or ends at `stops_at`.
    #[derive(Debug)]
    struct Slow {
        bytes: Vec<u8>,
        stops_at: usize,
        fails: bool,
    }

    impl BodySource for Slow {
        fn len(&self) -> u64 {
            self.bytes.len() as u64
        }

        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let left = &self.bytes[offset as usize..self.stops_at];
            if left.is_empty() && self.fails {
                return Err(io::Error::other("the disk is gone"));
            }
            let count = left.len().min(buffer.len()).min(3);
            buffer[..count].copy_from_slice(&left[..count]);
            Ok(count)
        }
    }

    #[test]
    fn a_source_is_read_completely() {
        let source = Arc::new(Slow { bytes: b"0123456789".to_vec(), stops_at: 10, fails: false });
        let body = Body::from_source(source.clone());

        assert_eq!((body.len(), body.is_empty()), (10, false));
        assert_eq!(body.into_bytes(), "0123456789");
        assert_eq!(read_piece(&*source, 4, 5).expect("the bytes are there"), "45678");
    }

    #[test]
    fn a_source_that_fails_or_is_too_short_gives_no_piece() {
        for (fails, reason) in [(true, "the disk is gone"), (false, "the body has become shorter")] {
            let source = Slow { bytes: b"0123456789".to_vec(), stops_at: 7, fails };

            let error = read_piece(&source, 0, 10).expect_err("3 bytes are missing");

            assert_eq!(error.to_string(), reason);
        }
    }

    #[test]
    fn a_source_without_bytes_is_an_empty_body() {
        let body = Body::from_source(Arc::new(Slow { bytes: Vec::new(), stops_at: 0, fails: true }));

        assert!(body.is_empty() && body.into_bytes().is_empty());
    }
}
