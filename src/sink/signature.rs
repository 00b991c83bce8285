//! Signature Version 4 for requests that differ only in their bodies: everything else is prepared once a second.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::config::Credentials;
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use hyper::Uri;
use sha2::{Digest, Sha256};

const SERVICE: &str = "dynamodb";

/// What is the same for all requests of a kind.
pub(super) struct Subject {
    /// As the request's first line has it.
    target: String,
    host: String,
    region: String,
    /// Names in lower case.
    headers: &'static [(&'static str, &'static str)],
    /// Not signed.
    user_agent: &'static str,
}

/// Signs the requests for one operation in one second.
pub(super) struct Signer {
    second: u64,
    /// A request's head up to what depends on its body.
    head: Vec<u8>,
    /// The canonical request up to the hash of the body, as far as it is hashed.
    canonical: Sha256,
    /// What is signed, up to the hash of the canonical request.
    to_sign: Vec<u8>,
    key: Vec<u8>,
}

impl Subject {
    /// Posts to `uri`.
    pub fn new(
        uri: &Uri,
        region: String,
        headers: &'static [(&'static str, &'static str)],
        user_agent: &'static str,
    ) -> Self {
        let host = uri.host().unwrap_or_default();
        let usual = match uri.scheme_str() {
            Some("https") => 443,
            _ => 80,
        };
        Self {
            target: uri.path().to_owned(),
            host: match uri.port_u16() {
                Some(port) if port != usual => format!("{host}:{port}"),
                _ => host.to_owned(),
            },
            region,
            headers,
            user_agent,
        }
    }
}

/// The second that `now` belongs to.
pub(super) fn second(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl Signer {
    /// For requests in the second of `now`; `operation` as the header `x-amz-target` has it.
    ///
    /// # Errors
    /// Credentials that no header can carry.
    pub fn new(
        subject: &Subject,
        operation: &str,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<Self, BoxError> {
        let id = printable(credentials.access_key_id())?;
        let token = credentials.session_token().map(printable).transpose()?;
        let stamp = stamp(second(now))?;
        let day = stamp.get(..8).ok_or("the clock cannot be read")?;
        let scope = format!("{day}/{}/{SERVICE}/aws4_request", subject.region);
        let headers = headers(subject, operation, &stamp, token);
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");

        let mut canonical = format!("POST\n{}\n\n", canonical_path(&subject.target));
        let mut head = format!("POST {} HTTP/1.1\r\n", subject.target);
        for (name, value) in &headers {
            canonical.push_str(&format!("{name}:{value}\n"));
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        canonical.push_str(&format!("\n{names}\n"));
        head.push_str(&format!(
            "user-agent: {}\r\nauthorization: AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature=",
            subject.user_agent
        ));
        let key = generate_signing_key(
            credentials.secret_access_key(),
            now,
            &subject.region,
            SERVICE,
        );
        Ok(Self {
            second: second(now),
            head: head.into_bytes(),
            canonical: Sha256::new_with_prefix(canonical),
            to_sign: format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n").into_bytes(),
            key: key.as_ref().to_vec(),
        })
    }

    /// Whether a request at `now` may be signed.
    pub fn is_of(&self, now: SystemTime) -> bool {
        self.second == second(now)
    }

    /// Writes the head of a request with this body.
    pub fn write_head(&self, body: &[u8], head: &mut Vec<u8>) {
        let mut canonical = self.canonical.clone();
        canonical.update(hex(&Sha256::digest(body)));
        let mut to_sign = Vec::with_capacity(self.to_sign.len() + 64);
        to_sign.extend_from_slice(&self.to_sign);
        to_sign.extend_from_slice(&hex(&canonical.finalize()));
        head.extend_from_slice(&self.head);
        head.extend_from_slice(calculate_signature(&self.key, &to_sign).as_bytes());
        head.extend_from_slice(b"\r\ncontent-length: ");
        head.extend_from_slice(body.len().to_string().as_bytes());
        head.extend_from_slice(b"\r\n\r\n");
    }
}

/// The headers that are signed, in the order of their names.
fn headers<'h>(
    subject: &'h Subject,
    operation: &'h str,
    stamp: &'h str,
    token: Option<&'h str>,
) -> Vec<(&'h str, &'h str)> {
    let mut headers = subject.headers.to_vec();
    headers.extend([
        ("host", subject.host.as_str()),
        ("x-amz-date", stamp),
        ("x-amz-target", operation),
    ]);
    headers.extend(token.map(|token| ("x-amz-security-token", token)));
    headers.sort_unstable();
    headers
}

/// `20260131T235959Z`
fn stamp(second: u64) -> Result<String, BoxError> {
    let at = DateTime::from_secs(i64::try_from(second)?).fmt(Format::DateTime)?;
    Ok(at.replace(['-', ':'], ""))
}

/// Without empty segments and those of dots, and encoded once more than it is.
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut canonical = String::from("/");
    for byte in segments.join("/").bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => canonical.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => canonical.push(char::from(byte)),
            byte => canonical.push_str(&format!("%{byte:02X}")),
        }
    }
    let ends_in_slash = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    if ends_in_slash && !canonical.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

/// What a header can carry as it is.
fn printable(text: &str) -> Result<&str, BoxError> {
    match text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(text),
        false => Err("the credentials hold characters that no request can carry".into()),
    }
}

fn hex(hash: &[u8]) -> [u8; 64] {
    let mut text = [b'0'; 64];
    // The only error is another length, and a hash has 32 bytes.
    let _ = hex::encode_to_slice(hash, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    use aws_sigv4::sign::v4;

    use super::*;

    const HEADERS: &[(&str, &str)] = &[("content-type", "text/x")];

    /// The headers that the SDK's signer adds.
    fn of_sdk(uri: &str, credentials: &Credentials, at: SystemTime, body: &[u8]) -> Vec<String> {
        let identity = credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name(SERVICE)
            .time(at)
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let headers = HEADERS.iter().copied().chain([("x-amz-target", "A.B")]);
        let body = SignableBody::Bytes(body);
        let request = SignableRequest::new("POST", uri, headers, body).unwrap();
        let (instructions, _) = sign(request, &params).unwrap().into_parts();
        instructions
            .headers()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect()
    }

    #[test]
    fn signs_as_the_sdk_does() {
        let credentials = |token: Option<&str>| {
            Credentials::new("AKID", "secret/+", token.map(Into::into), None, "test")
        };
        let times = [0, 951_782_400, 1_767_225_599, 4_102_444_800];
        for uri in [
            "http://127.0.0.1:8000/",
            "https://dynamodb.eu-west-1.amazonaws.com/",
            "https://example.com:443/",
            "https://example.com/a/../b//c./%20x~/",
            "http://example.com/a/..",
            "http://example.com:443/a/.",
        ] {
            for (index, time) in times.iter().enumerate() {
                let token = (index % 2 == 1).then_some("to/ken+=");
                let at = UNIX_EPOCH + Duration::from_millis(time * 1000 + 999);
                for body in [&b""[..], b"{}", &[7; 10_000]] {
                    let credentials = credentials(token);
                    let parsed: Uri = uri.parse().unwrap();
                    let subject = Subject::new(&parsed, "eu-west-1".into(), HEADERS, "x/1");
                    let signer = Signer::new(&subject, "A.B", &credentials, at).unwrap();
                    assert!(signer.is_of(at));
                    assert!(!signer.is_of(at + Duration::from_millis(1)));
                    let mut head = Vec::new();
                    signer.write_head(body, &mut head);
                    let head = String::from_utf8(head).unwrap();
                    let lines: Vec<&str> = head.split("\r\n").collect();
                    for expected in of_sdk(uri, &credentials, at, body) {
                        let found = lines.contains(&expected.as_str());
                        assert!(found, "{uri}: {expected}\n{head}");
                    }
                    assert!(lines.contains(&format!("content-length: {}", body.len()).as_str()));
                    assert!(head.ends_with("\r\n\r\n"), "{head}");
                }
            }
        }
    }

    #[test]
    fn credentials_cannot_add_headers() {
        let uri: Uri = "http://127.0.0.1/".parse().unwrap();
        let subject = Subject::new(&uri, String::new(), HEADERS, "x/1");
        for (id, token) in [("A\r\nx: y", None), ("A", Some("t\n".to_owned()))] {
            let credentials = Credentials::new(id, "s", token, None, "test");
            assert!(Signer::new(&subject, "A.B", &credentials, UNIX_EPOCH).is_err());
        }
    }
}
