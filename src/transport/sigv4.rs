//! Makes the bearer token of Amazon Bedrock from AWS credentials, without an AWS SDK.
//!
//! The token is a request in base64, signed in advance with AWS Signature Version 4. The signature is in the query of
//! this request. Everyone who has the token can send the request that the token contains. So Bedrock can use the
//! request to find out who the caller is. This module is pure: it sends nothing over the network, and the caller passes
//! the time.
//!
//! Source: PyPI `aws-bedrock-token-generator` 1.1.0, `token_generator.py`, and PyPI `botocore` 1.44.8, `auth.py`
//! (`SigV4QueryAuth`). `tests/judges/aws_token.py` compares this module with `aws-bedrock-token-generator` and
//! `botocore`.

use std::time::Duration;

use jiff::Timestamp;
use ring::{digest, hmac};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// The longest life of a token.
pub const LONGEST: Duration = Duration::from_secs(43_200);

const HOST: &str = "bedrock.amazonaws.com";
const SERVICE: &str = "bedrock";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const PREFIX: &str = "bedrock-api-key-";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The credentials of an AWS user or role.
#[derive(Clone, Debug)]
pub struct AwsCredentials {
    /// The id of the access key. This id is not a secret.
    pub access_key_id: String,
    /// The secret access key. This key is never sent.
    pub secret_access_key: SecretString,
    /// The session token of temporary credentials. The bearer token contains this session token.
    pub session_token: Option<SecretString>,
}

/// Returns the bearer token for a region. The token becomes valid at the time `at`. The token stays valid for
/// `valid_for`, rounded down to whole seconds, but at most for [`LONGEST`]. If the credentials expire before the end of
/// this time, the token expires with the credentials.
pub fn bedrock_token(credentials: &AwsCredentials, region: &str, at: Timestamp, valid_for: Duration) -> SecretString {
    let time = at.strftime("%Y%m%dT%H%M%SZ").to_string();
    let scope = format!("{}/{region}/{SERVICE}/aws4_request", &time[..8]);
    let query = query(credentials, &scope, &time, valid_for.min(LONGEST).as_secs());
    let signature = signature(credentials, region, &scope, &time, &query);
    let signed = Zeroizing::new(format!("{HOST}/?{}&X-Amz-Signature={signature}&Version=1", *query));
    let token = Zeroizing::new([PREFIX, &base64(signed.as_bytes())].concat());
    SecretString::from(&**token)
}

/// Returns the query of the signed request, with its parameters in the order in which they are sent.
fn query(credentials: &AwsCredentials, scope: &str, time: &str, seconds: u64) -> Zeroizing<String> {
    let credential = percent_encoded(&format!("{}/{scope}", credentials.access_key_id));
    let mut query = Zeroizing::new(format!(
        "Action=CallWithBearerToken&X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={}&X-Amz-Date={time}\
         &X-Amz-Expires={seconds}&X-Amz-SignedHeaders=host",
        *credential
    ));
    if let Some(session) = &credentials.session_token {
        query.push_str("&X-Amz-Security-Token=");
        query.push_str(&percent_encoded(session.expose_secret()));
    }
    query
}

fn signature(credentials: &AwsCredentials, region: &str, scope: &str, time: &str, query: &str) -> String {
    let mut parts: Vec<&str> = query.split('&').collect();
    parts.sort_unstable();
    let canonical_query = Zeroizing::new(parts.join("&"));
    let nothing = hex(digest::digest(&digest::SHA256, b"").as_ref());
    let request = Zeroizing::new(format!("POST\n/\n{}\nhost:{HOST}\n\nhost\n{nothing}", *canonical_query));
    let hash = hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref());
    let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{hash}");
    let first = Zeroizing::new(format!("AWS4{}", credentials.secret_access_key.expose_secret()));
    let steps = [&time[..8], region, SERVICE, "aws4_request"];
    let key = steps.iter().fold(hmac::Key::new(hmac::HMAC_SHA256, first.as_bytes()), |key, step| {
        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, step.as_bytes()).as_ref())
    });
    hex(hmac::sign(&key, to_sign.as_bytes()).as_ref())
}

/// Returns a text escaped for a query. All bytes except letters, digits and `-_.~` are escaped.
fn percent_encoded(text: &str) -> Zeroizing<String> {
    let mut encoded = Zeroizing::new(String::with_capacity(3 * text.len()));
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            _ => {
                encoded.push('%');
                for digit in [byte >> 4, byte & 15] {
                    encoded.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
                }
            }
        }
    }
    encoded
}

fn base64(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len().div_ceil(3) * 4));
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let character = BASE64[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= group.len() { char::from(character) } else { '=' });
        }
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected token, which `aws-bedrock-token-generator` 1.1.0 made from the same input.
    #[test]
    fn a_token_equals_the_token_of_the_package_of_aws() {
        let credentials = AwsCredentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: Some("tok/en+a==".into()),
        };
        let at = "2026-11-27T09:02:53Z".parse().expect("a time");

        let token = bedrock_token(&credentials, "us-gov-west-1", at, Duration::from_secs(3600));

        let url = "bedrock.amazonaws.com/?Action=CallWithBearerToken&X-Amz-Algorithm=AWS4-HMAC-SHA256\
                   &X-Amz-Credential=AKIDEXAMPLE%2F20261127%2Fus-gov-west-1%2Fbedrock%2Faws4_request\
                   &X-Amz-Date=20261127T090253Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host\
                   &X-Amz-Security-Token=tok%2Fen%2Ba%3D%3D\
                   &X-Amz-Signature=73f82f967ebb19003f2aaeb0ba6e2436b6729016d2ca2c2515f037a672d54d3d&Version=1";
        assert_eq!(token.expose_secret(), format!("bedrock-api-key-{}", *base64(url.as_bytes())));
    }

    #[test]
    fn a_life_is_cut_to_the_longest() {
        let credentials =
            AwsCredentials { access_key_id: "A".to_owned(), secret_access_key: "B".into(), session_token: None };

        let query = query(&credentials, "s", "t", Duration::from_secs(99_999).min(LONGEST).as_secs());

        assert!(query.contains("X-Amz-Expires=43200&"), "{}", *query);
    }

    #[test]
    fn base64_is_padded() {
        let texts = ["", "f", "fo", "foo", "foob"].map(|text| base64(text.as_bytes()).to_string());

        assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
    }

    #[test]
    fn no_debug_output_shows_a_secret() {
        let credentials = AwsCredentials {
            access_key_id: "A".to_owned(),
            secret_access_key: "canary".into(),
            session_token: Some("canary".into()),
        };

        assert!(!format!("{credentials:?}").contains("canary"));
    }
}
