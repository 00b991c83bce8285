//! An HTTP/1.1 answer, taken out of what a connection has read. Strict: what is not certain is an error, and the
//! connection is not used again.

use std::io::{self, ErrorKind};

/// An answer gives back at most what was sent.
const LONGEST_BODY: usize = 32 << 20;
const LONGEST_HEAD: usize = 64 << 10;
const MOST_HEADERS: usize = 64;

/// What the sink looks at of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reply {
    pub status: u16,
    pub content_type: Option<String>,
    /// DynamoDB's name for the request.
    pub request_id: Option<String>,
    pub body: Vec<u8>,
}

/// How far reading has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// More has to be read first.
    More,
    /// And whether the connection goes on.
    Whole(Reply, bool),
}

/// Where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Known(usize),
    Chunked,
    /// With the connection.
    Open,
}

impl Reply {
    /// Takes an answer from the front of `read` if it is all there; `ended`: nothing follows any more.
    pub fn read(read: &mut Vec<u8>, ended: bool) -> io::Result<Reading> {
        loop {
            let Some((head, size)) = Head::parse(read)? else {
                return Ok(Reading::More);
            };
            if (100..200).contains(&head.reply.status) {
                // An interim answer; 101 changes the protocol, which nobody asked for.
                if head.reply.status == 101 {
                    return Err(wrong("the protocol was changed"));
                }
                read.drain(..size);
                continue;
            }
            return head.with_body(read, size, ended);
        }
    }
}

struct Head {
    reply: Reply,
    length: Length,
    goes_on: bool,
}

impl Head {
    /// A head and its size, if it is all there.
    fn parse(read: &[u8]) -> io::Result<Option<(Self, usize)>> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        let size = match parsed.parse(read).map_err(wrong)? {
            httparse::Status::Complete(size) => size,
            httparse::Status::Partial if read.len() > LONGEST_HEAD => {
                return Err(wrong("the head does not end"));
            }
            httparse::Status::Partial => return Ok(None),
        };
        let mut head = Self {
            reply: Reply {
                status: parsed.code.unwrap_or_default(),
                ..Reply::default()
            },
            length: Length::Open,
            goes_on: parsed.version == Some(1),
        };
        for header in parsed.headers {
            head.take(header)?;
        }
        if matches!(head.reply.status, 100..200 | 204 | 304) {
            head.length = Length::Known(0);
        }
        Ok(Some((head, size)))
    }

    fn take(&mut self, header: &httparse::Header<'_>) -> io::Result<()> {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let text = String::from_utf8_lossy(header.value);
        let text = text.trim();
        if is("content-type") {
            self.reply.content_type = Some(text.to_owned());
        } else if is("x-amzn-requestid") || is("x-amz-request-id") {
            self.reply.request_id = Some(text.to_owned());
        } else if is("connection") {
            let mut words = text.split(',').map(str::trim);
            self.goes_on &= !words.any(|word| word.eq_ignore_ascii_case("close"));
        } else if is("content-length") {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let length = text.parse().ok().filter(|_| digits);
            let length = Length::Known(length.ok_or_else(|| wrong("a length that is no number"))?);
            if self.length != Length::Open && self.length != length {
                return Err(wrong("two lengths"));
            }
            self.length = length;
        } else if is("transfer-encoding") {
            if self.length != Length::Open || !text.eq_ignore_ascii_case("chunked") {
                return Err(wrong("an encoding that was not asked for"));
            }
            self.length = Length::Chunked;
        }
        Ok(())
    }

    fn with_body(mut self, read: &mut Vec<u8>, size: usize, ended: bool) -> io::Result<Reading> {
        let rest = read.get(size..).unwrap_or_default();
        let used = match self.length {
            Length::Known(length) if length > LONGEST_BODY => return Err(endless()),
            Length::Known(length) => match rest.get(..length) {
                Some(body) => {
                    self.reply.body = body.to_vec();
                    length
                }
                None => return Ok(Reading::More),
            },
            Length::Chunked => match unchunk(rest)? {
                Some((body, used)) => {
                    self.reply.body = body;
                    used
                }
                None => return Ok(Reading::More),
            },
            Length::Open if rest.len() > LONGEST_BODY => return Err(endless()),
            Length::Open if !ended => return Ok(Reading::More),
            Length::Open => {
                self.reply.body = rest.to_vec();
                self.goes_on = false;
                rest.len()
            }
        };
        read.drain(..size + used);
        Ok(Reading::Whole(self.reply, self.goes_on && !ended))
    }
}

/// A body in chunks, and how many bytes it takes; `None` if it is not all there. Trailing headers are refused.
fn unchunk(read: &[u8]) -> io::Result<Option<(Vec<u8>, usize)>> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let rest = read.get(at..).unwrap_or_default();
        let (size, length) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) if rest.len() > LONGEST_HEAD => return Err(endless()),
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(wrong("a chunk without a size")),
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > LONGEST_BODY - body.len() {
            return Err(endless());
        }
        let Some(chunk) = rest.get(size..size + length + 2) else {
            return Ok(None);
        };
        let (chunk, end) = chunk.split_at(length);
        if end != b"\r\n" {
            return Err(wrong("a chunk that does not end where it should"));
        }
        body.extend_from_slice(chunk);
        at += size + length + 2;
        if length == 0 {
            return Ok(Some((body, at)));
        }
    }
}

fn endless() -> io::Error {
    wrong("the answer does not end")
}

fn wrong(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, ended: bool) -> (io::Result<Reading>, Vec<u8>) {
        let mut read = text.as_bytes().to_vec();
        let reading = Reply::read(&mut read, ended);
        (reading, read)
    }

    fn whole(text: &str, ended: bool) -> (u16, String, bool, String) {
        match read(text, ended) {
            (Ok(Reading::Whole(reply, goes_on)), left) => (
                reply.status,
                String::from_utf8(reply.body).unwrap(),
                goes_on,
                String::from_utf8(left).unwrap(),
            ),
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn an_answer_ends_where_it_says() {
        let cases = [
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
                false,
                (200, "{}", true, ""),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP",
                false,
                (200, "{}", true, "HTTP"),
            ),
            (
                "HTTP/1.1 400 \r\ncontent-length: 0\r\nConnection: Close\r\n\r\n",
                false,
                (400, "", false, ""),
            ),
            (
                "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx",
                false,
                (200, "x", false, ""),
            ),
            (
                "HTTP/1.1 502 Bad\r\n\r\npage",
                true,
                (502, "page", false, ""),
            ),
            ("HTTP/1.1 204 No\r\n\r\n", false, (204, "", true, "")),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
                false,
                (200, "x", true, ""),
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nZ",
                false,
                (200, "abc0123456789", true, "Z"),
            ),
        ];
        for (text, ended, (status, body, goes_on, left)) in cases {
            let expected = (status, body.to_owned(), goes_on, left.to_owned());
            assert_eq!(whole(text, ended), expected, "{text:?}");
        }
    }

    #[test]
    fn a_part_of_an_answer_is_none() {
        for text in [
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx-amzn-requestid: R\r\ncontent-type: t\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ] {
            for end in 0..text.len() {
                let (reading, left) = read(&text[..end], end % 2 == 0);
                assert_eq!(reading.unwrap(), Reading::More, "{:?}", &text[..end]);
                assert_eq!(left.len(), end);
            }
            assert_eq!(whole(text, false).1, "hello");
        }
        let (reading, _) = read("HTTP/1.1 200 OK\r\n\r\nhel", false);
        assert_eq!(reading.unwrap(), Reading::More);
    }

    #[test]
    fn what_is_not_certain_is_refused() {
        for text in [
            "220 smtp.example.com\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nxx",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabc\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n",
            "HTTP/1.1 101 Switching\r\n\r\n",
        ] {
            assert!(read(text, false).0.is_err(), "{text:?}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(LONGEST_HEAD));
        assert!(read(&endless, false).0.is_err());
    }
}
