//! Answers that are not a success: what each means, in one table.

use std::error::Error as StdError;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde::Deserialize;

use super::reply::Reply;
use crate::error::{Error, Kind};
use crate::metrics::RetryReason;

/// What a failed request means for its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Refused for now because of a rate or a limit; nothing was written.
    Throttled,
    /// It never got there, or was refused for now; nothing was written.
    NotWritten,
    /// No answer that tells: it may have been written, and may still be.
    Unknown,
    /// Something in the request is not acceptable, now or later.
    Invalid,
    /// Retrying cannot help.
    Fatal(Kind),
}

/// A failed request.
#[derive(Debug)]
pub struct Failure {
    pub meaning: Meaning,
    /// For the operator: the code, the status, the request's id.
    pub error: Error,
    /// Why the request is repeated, if it is.
    pub retry: RetryReason,
    /// DynamoDB's own words, shortened; for `Invalid` only, and without values of the row.
    pub reason: String,
}

/// DynamoDB's error codes. A code that is not listed is judged by its status.
const CODES: &[(&str, Meaning)] = &[
    ("ProvisionedThroughputExceededException", Meaning::Throttled),
    ("ThrottlingException", Meaning::Throttled),
    ("Throttling", Meaning::Throttled),
    ("RequestLimitExceeded", Meaning::Throttled),
    ("LimitExceededException", Meaning::Throttled),
    ("TooManyRequestsException", Meaning::Throttled),
    ("SlowDown", Meaning::Throttled),
    ("ResourceInUseException", Meaning::NotWritten),
    ("ReplicatedWriteConflictException", Meaning::NotWritten),
    ("TransactionInProgressException", Meaning::NotWritten),
    ("InternalServerError", Meaning::Unknown),
    ("InternalFailure", Meaning::Unknown),
    ("ServiceUnavailable", Meaning::Unknown),
    ("ServiceUnavailableException", Meaning::Unknown),
    ("RequestTimeout", Meaning::Unknown),
    ("RequestTimeoutException", Meaning::Unknown),
    ("ValidationException", Meaning::Invalid),
    // What we sent is no request: no item is to blame.
    ("SerializationException", Meaning::Fatal(Kind::Internal)),
    ("ItemCollectionSizeLimitExceededException", Meaning::Invalid),
    (
        "ResourceNotFoundException",
        Meaning::Fatal(Kind::TargetTable),
    ),
    ("AccessDeniedException", Meaning::Fatal(Kind::TargetDenied)),
    ("AccessDenied", Meaning::Fatal(Kind::TargetDenied)),
    (
        "UnrecognizedClientException",
        Meaning::Fatal(Kind::TargetDenied),
    ),
    ("InvalidClientTokenId", Meaning::Fatal(Kind::TargetDenied)),
    ("ExpiredToken", Meaning::Fatal(Kind::TargetDenied)),
    ("ExpiredTokenException", Meaning::Fatal(Kind::TargetDenied)),
    (
        "InvalidSignatureException",
        Meaning::Fatal(Kind::TargetDenied),
    ),
    ("SignatureDoesNotMatch", Meaning::Fatal(Kind::TargetDenied)),
    (
        "IncompleteSignatureException",
        Meaning::Fatal(Kind::TargetDenied),
    ),
    ("IncompleteSignature", Meaning::Fatal(Kind::TargetDenied)),
    (
        "MissingAuthenticationToken",
        Meaning::Fatal(Kind::TargetDenied),
    ),
    (
        "MissingAuthenticationTokenException",
        Meaning::Fatal(Kind::TargetDenied),
    ),
    ("RequestTimeTooSkewed", Meaning::Fatal(Kind::TargetDenied)),
    ("OptInRequired", Meaning::Fatal(Kind::TargetDenied)),
    (
        "UnknownOperationException",
        Meaning::Fatal(Kind::TargetProtocol),
    ),
];

/// Longest text that is taken from an answer, in characters.
const LONGEST: usize = 300;

/// Judges a failed call of the SDK; `what` names it: `DescribeTable`.
pub fn classify<E>(what: &str, error: SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    match &error {
        SdkError::ConstructionFailure(_) => unsigned(what, &error),
        SdkError::TimeoutError(_) => late(what),
        SdkError::DispatchFailure(failure) => connection(what, failure.is_user(), &error),
        _ => {
            let service = error.as_service_error();
            let response = error.raw_response();
            judge(&Refusal {
                what,
                status: response.map_or(0, |r| r.status().as_u16()),
                content_type: response.and_then(|r| r.headers().get("content-type")),
                request_id: response.and_then(RequestId::request_id),
                code: service.and_then(ProvideErrorMetadata::code),
                words: service
                    .and_then(ProvideErrorMetadata::message)
                    .unwrap_or_default(),
            })
        }
    }
}

/// The request could not be made or signed: mostly credentials that cannot be had right now.
pub(super) fn unsigned(what: &str, error: &(dyn StdError + 'static)) -> Failure {
    let message = format!(
        "{what}: the request could not be made or signed: {}",
        texts(chain(error))
    );
    let error = Error::new(Kind::TargetDenied, message);
    Failure::new(Meaning::NotWritten, RetryReason::Connection, error)
}

/// No answer in time.
pub(super) fn late(what: &str) -> Failure {
    Failure::new(
        Meaning::Unknown,
        RetryReason::Timeout,
        Error::new(
            Kind::TargetUnavailable,
            format!("{what}: no answer in time"),
        ),
    )
}

/// Nothing of the request has left.
pub(super) fn not_sent(what: &str, error: &std::io::Error) -> Failure {
    disconnected(what, Meaning::NotWritten, &texts(chain(error)))
}

/// The connection failed before an answer began.
pub(super) fn broken(what: &str, error: &std::io::Error) -> Failure {
    disconnected(what, Meaning::Unknown, &texts(chain(error)))
}

/// The connection failed in the middle of an answer.
pub(super) fn broken_answer(what: &str, error: &std::io::Error) -> Failure {
    let message = format!("{what}: the answer broke off: {}", texts(chain(error)));
    Failure::new(
        Meaning::Unknown,
        RetryReason::Connection,
        Error::new(Kind::TargetUnavailable, message),
    )
}

/// Of the SDK's connection.
fn connection(what: &str, wrong_request: bool, error: &(dyn StdError + 'static)) -> Failure {
    let meaning = if never_connected(error) {
        Meaning::NotWritten
    } else if wrong_request {
        Meaning::Fatal(Kind::TargetProtocol)
    } else {
        Meaning::Unknown
    };
    // The outermost says only that something failed.
    disconnected(what, meaning, &texts(chain(error).skip(1)))
}

fn disconnected(what: &str, meaning: Meaning, why: &str) -> Failure {
    let kind = match meaning {
        Meaning::Fatal(kind) => kind,
        _ => Kind::TargetUnavailable,
    };
    let message = format!("{what}: the connection failed: {why}");
    Failure::new(meaning, RetryReason::Connection, Error::new(kind, message))
}

/// DynamoDB's error as its wire has it.
#[derive(Deserialize)]
struct Body {
    #[serde(rename = "__type", alias = "code")]
    ty: Option<String>,
    #[serde(alias = "Message")]
    message: Option<String>,
}

/// Judges an answer that is not the one hoped for.
pub(super) fn refused(what: &str, reply: &Reply) -> Failure {
    let told = match reply.status {
        // A success that cannot be read is nothing that DynamoDB says.
        200 => None,
        _ => serde_json::from_slice::<Body>(&reply.body).ok(),
    };
    let (code, words) = told.map_or((None, None), |body| (body.ty, body.message));
    judge(&Refusal {
        what,
        status: reply.status,
        content_type: reply.content_type.as_deref(),
        request_id: reply.request_id.as_deref(),
        code: code.as_deref(),
        words: words.as_deref().unwrap_or_default(),
    })
}

struct Refusal<'a> {
    what: &'a str,
    status: u16,
    content_type: Option<&'a str>,
    request_id: Option<&'a str>,
    code: Option<&'a str>,
    words: &'a str,
}

fn judge(refusal: &Refusal<'_>) -> Failure {
    let Refusal {
        what,
        status,
        words,
        ..
    } = *refusal;
    let Some(code) = refusal.code else {
        return not_dynamo(refusal);
    };
    let code = code.rsplit('#').next().unwrap_or(code);
    let meaning = CODES
        .iter()
        .find(|(known, _)| *known == code)
        .map_or_else(|| by_status(status), |(_, meaning)| *meaning);
    let kind = match meaning {
        Meaning::Fatal(kind) => kind,
        _ => Kind::TargetUnavailable,
    };
    let id = refusal
        .request_id
        .map_or_else(String::new, |id| format!(", request {}", shorten(id)));
    // What DynamoDB says about an item may quote it.
    let told = match meaning {
        Meaning::Invalid => String::new(),
        Meaning::Fatal(Kind::Internal) => format!(": {}", without_values(words)),
        _ => format!(": {}", shorten(words)),
    };
    let message = format!("{what}: {} (status {status}{id}){told}", shorten(code));
    let error = with_remedy(Error::new(kind, message), status);
    let retry = match meaning {
        Meaning::Throttled => RetryReason::Throttled,
        _ => RetryReason::Server,
    };
    Failure {
        meaning,
        retry,
        error,
        reason: format!("{}: {}", shorten(code), without_values(words)),
    }
}

/// An answer without DynamoDB's error code: a proxy, a load balancer, another service.
fn not_dynamo(refusal: &Refusal<'_>) -> Failure {
    let Refusal { what, status, .. } = *refusal;
    let meaning = by_status(status);
    let content_type = refusal.content_type.unwrap_or("no content type");
    let message = format!(
        "{what}: status {status} with {}, which is not an answer of DynamoDB",
        shorten(content_type)
    );
    let kind = match meaning {
        Meaning::Fatal(kind) => kind,
        _ => Kind::TargetUnavailable,
    };
    let error = with_remedy(Error::new(kind, message), status);
    Failure::new(meaning, RetryReason::Unreadable, error)
}

/// A request that is too large for somebody on the way is no item's fault: all of ours are what DynamoDB takes.
fn with_remedy(error: Error, status: u16) -> Error {
    match status {
        413 => error.with_remedy(
            "let what stands between penstock and DynamoDB (a proxy, a gateway) pass requests of 16 MB",
        ),
        _ => error,
    }
}

fn by_status(status: u16) -> Meaning {
    match status {
        429 => Meaning::Throttled,
        408 | 425 | 500..=599 => Meaning::Unknown,
        _ => Meaning::Fatal(Kind::TargetProtocol),
    }
}

impl Failure {
    fn new(meaning: Meaning, retry: RetryReason, error: Error) -> Self {
        Self {
            reason: error.message().to_owned(),
            meaning,
            retry,
            error,
        }
    }

    /// An answer that reads well and says what cannot be.
    pub fn protocol(message: impl Into<String>) -> Self {
        Self::new(
            Meaning::Fatal(Kind::TargetProtocol),
            RetryReason::Unreadable,
            Error::new(Kind::TargetProtocol, message),
        )
    }
}

/// Whether the request surely did not reach anybody.
fn never_connected(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(|e| {
        e.downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused)
    })
}

fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&e| e.source())
}

fn texts<'a>(chain: impl Iterator<Item = &'a (dyn StdError + 'static)>) -> String {
    let texts: Vec<String> = chain.map(ToString::to_string).collect();
    shorten(&texts.join(": ")).to_owned()
}

fn shorten(text: &str) -> &str {
    text.char_indices()
        .nth(LONGEST)
        .and_then(|(end, _)| text.get(..end))
        .unwrap_or(text)
}

/// DynamoDB quotes what it could not read as a number, and some keys; cut there.
fn without_values(words: &str) -> &str {
    let mut words = shorten(words);
    for before in [
        "numeric value",
        "is not a valid",
        "Actual value",
        "Key: {",
        "item: {",
    ] {
        if let Some(at) = words.find(before) {
            words = words.get(..at + before.len()).unwrap_or(words);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_cut_from_reasons() {
        let words = "The parameter cannot be converted to a numeric value: 4711abc";
        assert!(!without_values(words).contains("4711abc"));
        assert_eq!(shorten(&"ä".repeat(1000)).chars().count(), LONGEST);
    }

    #[test]
    fn each_code_is_listed_once() {
        for (index, (code, _)) in CODES.iter().enumerate() {
            assert!(
                CODES.iter().skip(index + 1).all(|(other, _)| other != code),
                "{code}"
            );
        }
    }

    #[test]
    fn pages_of_proxies_are_judged_by_status() {
        assert_eq!(by_status(200), Meaning::Fatal(Kind::TargetProtocol));
        assert_eq!(by_status(403), Meaning::Fatal(Kind::TargetProtocol));
        assert_eq!(by_status(502), Meaning::Unknown);
        assert_eq!(by_status(413), Meaning::Fatal(Kind::TargetProtocol));
        assert_eq!(by_status(429), Meaning::Throttled);
    }
}
