//! Just enough of an HTTP client for tests: one request, one connection, the whole answer.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; an `io` error when it is not.
    pub fn json(&self) -> io::Result<serde_json::Value> {
        serde_json::from_slice(&self.body).map_err(io::Error::other)
    }
}

pub async fn get(port: u16, path: &str) -> io::Result<Response> {
    exchange(
        port,
        format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n").into_bytes(),
    )
    .await
}

/// POST with the given header lines (each ends in CRLF).
pub async fn post(port: u16, path: &str, headers: &str, body: &[u8]) -> io::Result<Response> {
    let length = body.len();
    let mut request = format!(
        "POST {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {length}\r\n{headers}\r\n"
    )
    .into_bytes();
    request.extend_from_slice(body);
    exchange(port, request).await
}

/// HTTP/1.0: the server closes the connection after its answer, and does not chunk it.
async fn exchange(port: u16, request: Vec<u8>) -> io::Result<Response> {
    let talk = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(&request).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        parse(&answer)
    };
    match tokio::time::timeout(Duration::from_secs(30), talk).await {
        Ok(response) => response,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
    }
}

fn parse(answer: &[u8]) -> io::Result<Response> {
    let broken = || io::Error::new(io::ErrorKind::UnexpectedEof, "an incomplete HTTP answer");
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .ok_or_else(broken)?;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let body = answer[end + 4..].to_vec();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or_else(broken)?;
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|text| text.trim().parse::<usize>().ok());
    match length {
        Some(length) if length != body.len() => Err(broken()),
        _ => Ok(Response { status, body }),
    }
}
