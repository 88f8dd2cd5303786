//! Headers that change what a request means: `If-Match` and `Idempotency-Key`.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, Uri, header, request::Parts},
};
use sha2::{Digest, Sha256};
use velum_model::tenancy::Caller;
use velum_service::{Keyed, StoredAnswer};

use crate::{
    error::{Answered, Refused},
    problem::Kind,
};

/// The generation that a change expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there.
    Any,
    /// This one.
    Generation(u64),
}

/// `If-Match`: the generation that the caller read, if it said one.
#[derive(Clone, Copy, Debug)]
pub struct IfMatch(pub Option<u64>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Ok(Self(None));
        };
        match expected(value.as_bytes()) {
            Some(Expected::Any) => Ok(Self(None)),
            Some(Expected::Generation(generation)) => Ok(Self(Some(generation))),
            None => Err(Refused::new(
                Kind::Stale,
                "If-Match is not an ETag that this resource ever had; send the one that a GET answered",
            )),
        }
    }
}

/// Reads the one entity tag that can match: `*`, or a generation in quotes. Weak tags never match (RFC 9110, 13.1.1).
fn expected(value: &[u8]) -> Option<Expected> {
    let text = std::str::from_utf8(value).ok()?.trim();
    if text == "*" {
        return Some(Expected::Any);
    }
    let digits = text.strip_prefix('"')?.strip_suffix('"')?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // The database counts in 63 bits.
    digits
        .parse()
        .ok()
        .filter(|generation| i64::try_from(*generation).is_ok())
        .map(Expected::Generation)
}

/// What makes a request repeatable: its `Idempotency-Key`, if it has one, with the hash of what it asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ticket(Option<(String, Vec<u8>)>);

/// Long enough for any UUID, hash or sentence that a client may use.
const KEY_MAX: usize = 255;
const KEY: &str = "idempotency-key";

impl Ticket {
    /// Reads the key and hashes method, path with query, and body.
    ///
    /// # Errors
    /// 400 when the key is empty, too long or not of visible ASCII.
    pub fn new(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Answered<Self> {
        let mut given = headers.get_all(KEY).iter();
        let Some(key) = given.next() else {
            return Ok(Self(None));
        };
        let visible = |b: &u8| (0x21..=0x7e).contains(b);
        let bytes = key.as_bytes();
        if given.next().is_some() || bytes.is_empty() || bytes.len() > KEY_MAX || !bytes.iter().all(visible) {
            return Err(Refused::header(
                KEY,
                format!("must be one text of 1 to {KEY_MAX} visible characters"),
            ));
        }
        let mut hash = Sha256::new();
        let path = uri.path_and_query().map_or("", |p| p.as_str());
        for part in [method.as_str().as_bytes(), path.as_bytes(), body] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Ok(Self(Some((
            String::from_utf8_lossy(bytes).into_owned(),
            hash.finalize().to_vec(),
        ))))
    }

    /// The key as the service takes it, with how the answer will be worded.
    #[must_use]
    pub fn keyed<T: 'static>(self, caller: &Caller, render: fn(&T) -> StoredAnswer) -> Option<Keyed<T>> {
        self.0.map(|(key, request_hash)| Keyed {
            token: caller.token,
            key,
            request_hash,
            render: Box::new(render),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_strong_tag_of_a_generation_matches() {
        assert_eq!(expected(b"*"), Some(Expected::Any));
        assert_eq!(expected(b"\"7\""), Some(Expected::Generation(7)));
        for never in [
            &b"7"[..],
            b"W/\"7\"",
            b"\"x\"",
            b"\"\"",
            b"\"99999999999999999999\"",
            b"\"1\", \"2\"",
            b"\xff",
        ] {
            assert_eq!(expected(never), None, "{never:?}");
        }
    }

    #[test]
    fn a_ticket_tells_requests_apart() {
        let mut headers = HeaderMap::new();
        let uri: Uri = "/v1/zones".parse().expect("a path");
        let ticket = |headers: &HeaderMap, body: &[u8]| Ticket::new(&Method::POST, &uri, headers, body);
        assert_eq!(ticket(&headers, b"{}"), Ok(Ticket(None)));
        headers.insert(KEY, "k1".parse().expect("a header"));
        assert_eq!(ticket(&headers, b"{}"), ticket(&headers, b"{}"));
        assert_ne!(ticket(&headers, b"{}"), ticket(&headers, b"{ }"));
        headers.insert(KEY, "".parse().expect("a header"));
        assert_eq!(
            ticket(&headers, b"").map_err(|refused| refused.kind()),
            Err(Kind::BadRequest)
        );
    }
}
