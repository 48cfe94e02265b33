//! How what comes of an answer grows in memory.
//!
//! Doubling takes up to twice what is held, and three times while it moves. So a buffer that has become large asks at once
//! for all that a body may have: systems give memory only where it is written to, and nothing moves again.

/// Up to here buffers double.
const LARGE_BYTES: usize = 1 << 20;
/// What is asked for beyond: a body of the largest size that is read by default, with some room around it.
const WHOLE_BYTES: usize = (32 << 20) + (64 << 10);

/// Appends to a buffer that may become large.
pub(super) fn extend(buffer: &mut Vec<u8>, bytes: &[u8]) {
    let wanted = buffer.len() + bytes.len();
    if wanted > buffer.capacity() && (LARGE_BYTES..=WHOLE_BYTES).contains(&wanted) {
        buffer.reserve_exact(WHOLE_BYTES - buffer.len());
    }
    buffer.extend_from_slice(bytes);
}

/// Appends to a text that may become large.
pub(super) fn push_str(text: &mut String, more: &str) {
    let wanted = text.len() + more.len();
    if wanted > text.capacity() && (LARGE_BYTES..=WHOLE_BYTES).contains(&wanted) {
        text.reserve_exact(WHOLE_BYTES - text.len());
    }
    text.push_str(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_moves_no_more_once_it_is_large() {
        let (mut bytes, mut text) = (Vec::new(), String::new());
        let mut moves = 0;
        let mut before = bytes.as_ptr();
        for _ in 0..(32 << 20) / 10_000 {
            extend(&mut bytes, &[b'x'; 10_000]);
            push_str(&mut text, &"y".repeat(10_000));
            if bytes.len() > 2 * LARGE_BYTES + 20_000 {
                moves += usize::from(before != bytes.as_ptr());
            }
            before = bytes.as_ptr();
        }

        assert_eq!((moves, bytes.len()), (0, text.len()));
        assert!(bytes.capacity() <= WHOLE_BYTES && text.capacity() <= WHOLE_BYTES);
    }
}
