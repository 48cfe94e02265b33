//! The signature of a notice. With the signature, a receiver can check that the notice comes from this user.
//!
//! The header is `X-Claude-Batch-Signature: t=<seconds>,v1=<hex>`. `t` is the time of sending in Unix seconds, which
//! lets a receiver reject old notices. `v1` is the HMAC-SHA256 of `<t>.<body>`, with the text of the secret as the key.

use http::{HeaderName, HeaderValue};
use ring::hmac;

/// The smallest number of characters in a secret. A shorter secret could be guessed.
pub(crate) const SHORTEST_SECRET: usize = 16;

const HEADER: HeaderName = HeaderName::from_static("x-claude-batch-signature");

/// Returns the value of the signature header for a body that is sent at the time `seconds`.
pub(super) fn signature(secret: &str, seconds: i64, body: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let mut signed = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
    signed.update(format!("{seconds}.").as_bytes());
    signed.update(body);
    let hex: String = signed.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Some((HEADER, HeaderValue::try_from(format!("t={seconds},v1={hex}")).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_and_the_body_are_signed() {
        let (name, value) = signature("Jefe", 1, b"body").expect("it fits in a header");
        let other_time = signature("Jefe", 2, b"body").expect("it fits in a header").1;
        let other_body = signature("Jefe", 1, b"bodY").expect("it fits in a header").1;

        assert_eq!(name, "x-claude-batch-signature");
        assert_eq!(value, "t=1,v1=25d254c27761adb1423727084ca395476858b2401387226230b6358cf07fad8b");
        assert_ne!(value.as_bytes()[4..], other_time.as_bytes()[4..]);
        assert_ne!(value, other_body);
    }
}
