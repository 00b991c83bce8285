//! MySQL's packets over TCP or TLS: framing, joining of long packets, and a reader that hands out slices.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::error::{Error, Kind, Result};

/// A packet of this length is continued in the next one.
const LONG: usize = 0xFF_FFFF;
/// Read in one go; a packet that fits needs no copy.
const BUFFER: usize = 256 * 1024;
/// MySQL's own limit of an event (`max_allowed_packet` of replicas), with room for its frame.
const MAX_PACKET: usize = (1 << 30) + 4096;

/// TCP, with or without TLS.
pub enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    pub fn is_tls(&self) -> bool {
        matches!(self, Transport::Tls(_))
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(s) => Pin::new(s).poll_read(cx, buf),
            Transport::Tls(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Transport::Plain(s) => Pin::new(s).poll_write(cx, buf),
            Transport::Tls(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(s) => Pin::new(s).poll_flush(cx),
            Transport::Tls(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Transport::Plain(s) => Pin::new(s).poll_shutdown(cx),
            Transport::Tls(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}

/// One end of a connection that speaks packets.
pub struct Wire<T = Transport> {
    stream: T,
    buffer: BytesMut,
    /// The number that the next packet, ours or theirs, must have.
    sequence: u8,
    timeout: Duration,
    /// For messages.
    address: String,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire<T> {
    /// `timeout` bounds each wait for bytes.
    pub fn new(stream: T, address: String, timeout: Duration) -> Self {
        Self {
            stream,
            buffer: BytesMut::with_capacity(BUFFER),
            sequence: 0,
            timeout,
            address,
        }
    }

    pub fn stream(&self) -> &T {
        &self.stream
    }

    /// The stream itself, once nothing more is to be read as packets.
    pub fn into_stream(self) -> T {
        self.stream
    }

    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Replaces the stream (TLS over TCP). Bytes that came before the switch would not be protected: refused.
    pub async fn upgrade<U, F, Fut>(self, change: F) -> Result<Wire<U>>
    where
        F: FnOnce(T) -> Fut,
        Fut: Future<Output = Result<U>>,
    {
        if !self.buffer.is_empty() {
            return Err(self.nonsense("it sent data before the TLS handshake"));
        }
        Ok(Wire {
            stream: change(self.stream).await?,
            buffer: self.buffer,
            sequence: self.sequence,
            timeout: self.timeout,
            address: self.address,
        })
    }

    /// Starts a command: numbering begins anew.
    pub async fn command(&mut self, payload: &[u8]) -> Result<()> {
        self.sequence = 0;
        self.write(payload).await
    }

    /// Writes one packet, which is split where it is long.
    pub async fn write(&mut self, payload: &[u8]) -> Result<()> {
        let mut framed = Vec::with_capacity(payload.len() + 8);
        let mut rest = payload;
        loop {
            let (part, after) = rest.split_at(rest.len().min(LONG));
            framed.extend_from_slice(&(part.len() as u32).to_le_bytes()[..3]);
            framed.push(self.sequence);
            self.sequence = self.sequence.wrapping_add(1);
            framed.extend_from_slice(part);
            rest = after;
            if part.len() < LONG {
                break;
            }
        }
        let sent = async {
            self.stream.write_all(&framed).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(self.timeout, sent).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(self.lost(e)),
            Err(_) => Err(self.silent()),
        }
    }

    /// Reads one whole packet: a slice of the read buffer where it fits, joined where it was split.
    pub async fn read(&mut self) -> Result<Bytes> {
        let (length, first) = self.read_part(0).await?;
        if length < LONG {
            return Ok(first);
        }
        // A binlog event says how long it is: room is made once.
        let expected = event_length(&first).unwrap_or(LONG * 2).min(MAX_PACKET);
        let mut whole = BytesMut::with_capacity(expected.max(LONG));
        whole.extend_from_slice(&first);
        drop(first);
        loop {
            let (length, part) = self.read_part(whole.len()).await?;
            whole.extend_from_slice(&part);
            if length < LONG {
                return Ok(whole.freeze());
            }
        }
    }

    async fn read_part(&mut self, already: usize) -> Result<(usize, Bytes)> {
        self.fill(4).await?;
        let header = self.buffer.get_u32_le();
        let length = (header & 0xFF_FFFF) as usize;
        let sequence = (header >> 24) as u8;
        if sequence != self.sequence {
            return Err(self.nonsense("its packets are out of order"));
        }
        if already + length > MAX_PACKET {
            return Err(self.nonsense("it sent a packet of more than 1 GiB"));
        }
        self.sequence = sequence.wrapping_add(1);
        self.fill(length).await?;
        Ok((length, self.buffer.split_to(length).freeze()))
    }

    /// Reads until the buffer holds `length` bytes.
    async fn fill(&mut self, length: usize) -> Result<()> {
        while self.buffer.len() < length {
            let missing = length - self.buffer.len();
            if self.buffer.capacity() - self.buffer.len() < missing.min(4096) {
                self.buffer.reserve(missing.max(BUFFER));
            }
            let read = self.stream.read_buf(&mut self.buffer);
            match tokio::time::timeout(self.timeout, read).await {
                Ok(Ok(0)) => return Err(self.closed()),
                Ok(Ok(_)) => {}
                Ok(Err(e)) => return Err(self.lost(e)),
                Err(_) => return Err(self.silent()),
            }
        }
        Ok(())
    }

    fn closed(&self) -> Error {
        let message = format!("MySQL at {} closed the connection", self.address);
        Error::new(Kind::SourceUnavailable, message)
    }

    fn lost(&self, error: std::io::Error) -> Error {
        let message = format!("the connection to MySQL at {} is lost", self.address);
        Error::new(Kind::SourceUnavailable, message).with_source(error)
    }

    fn silent(&self) -> Error {
        let (address, seconds) = (&self.address, self.timeout.as_secs_f32());
        let message = format!("MySQL at {address} was silent for {seconds} s");
        Error::new(Kind::SourceUnavailable, message)
    }

    /// What answers does not speak the protocol as we know it.
    pub fn nonsense(&self, what: &str) -> Error {
        let message = format!(
            "what answers at {} does not speak MySQL's protocol: {what}",
            self.address
        );
        Error::new(Kind::SourceUnavailable, message)
            .with_remedy("check [source] host and port, and proxies in between")
    }
}

/// The length of the event that a packet of the binlog stream begins with, status byte included.
fn event_length(packet: &[u8]) -> Option<usize> {
    let field = packet.get(10..14)?;
    let length = u32::from_le_bytes(field.try_into().ok()?);
    (packet.first() == Some(&0)).then_some(length as usize + 1)
}

/// An error packet's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    pub code: u16,
    pub message: String,
}

impl ServerError {
    /// Reads an error packet; `None` where the packet is something else.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let (&0xFF, rest) = packet.split_first()? else {
            return None;
        };
        let (code, text) = rest.split_first_chunk::<2>()?;
        let text = match text {
            [b'#', _, _, _, _, _, message @ ..] => message,
            message => message,
        };
        Some(Self {
            code: u16::from_le_bytes(*code),
            message: String::from_utf8_lossy(text).into_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = (payload.len() as u32).to_le_bytes().to_vec();
        packet[3] = sequence;
        packet.extend_from_slice(payload);
        packet
    }

    async fn read_all(bytes: Vec<u8>) -> (Vec<Bytes>, Error) {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let writer = tokio::spawn(async move {
            let _ = theirs.write_all(&bytes).await;
        });
        let mut wire = Wire::new(ours, "test:1".to_owned(), Duration::from_secs(5));
        let mut packets = Vec::new();
        let error = loop {
            match wire.read().await {
                Ok(packet) => packets.push(packet),
                Err(error) => break error,
            }
        };
        drop(wire);
        let _ = writer.await;
        (packets, error)
    }

    #[tokio::test]
    async fn packets_are_framed_and_long_ones_joined() {
        let long: Vec<u8> = (0..LONG * 2 + 5).map(|i| i as u8).collect();
        let exact = vec![7u8; LONG];
        let mut bytes = packet(0, b"one");
        bytes.extend(packet(1, &long[..LONG]));
        bytes.extend(packet(2, &long[LONG..LONG * 2]));
        bytes.extend(packet(3, &long[LONG * 2..]));
        bytes.extend(packet(4, &exact));
        bytes.extend(packet(5, b""));
        bytes.extend(packet(6, b"last"));
        let (packets, error) = read_all(bytes).await;
        assert_eq!(packets.len(), 4);
        assert_eq!(packets[0], &b"one"[..]);
        assert!(packets[1] == long && packets[2] == exact);
        assert_eq!(packets[3], &b"last"[..]);
        assert_eq!(error.kind(), Kind::SourceUnavailable);
    }

    #[tokio::test]
    async fn an_end_in_the_middle_is_an_error() {
        let mut bytes = packet(0, b"whole");
        bytes.extend_from_slice(&packet(1, b"never comes")[..7]);
        let (packets, error) = read_all(bytes).await;
        assert_eq!(packets.len(), 1);
        assert_eq!(error.kind(), Kind::SourceUnavailable);
    }

    #[tokio::test]
    async fn packets_out_of_order_are_refused() {
        let (packets, error) = read_all(packet(9, b"x")).await;
        assert!(packets.is_empty());
        assert!(error.message().contains("out of order"), "{error}");
    }

    #[tokio::test]
    async fn silence_ends_by_the_timeout() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let mut wire = Wire::new(ours, "test:1".to_owned(), Duration::from_millis(20));
        let error = wire.read().await.expect_err("silence");
        assert!(error.message().contains("silent"), "{error}");
    }

    #[test]
    fn error_packets_are_read() {
        let error = ServerError::parse(b"\xff\x15\x04#28000Access denied").expect("an error");
        assert_eq!(
            (error.code, error.message.as_str()),
            (1045, "Access denied")
        );
        let error = ServerError::parse(b"\xff\x10\x04Too many").expect("an error");
        assert_eq!((error.code, error.message.as_str()), (1040, "Too many"));
        assert_eq!(ServerError::parse(b"\xff\x10"), None);
        assert_eq!(ServerError::parse(b"\x00"), None);
        assert_eq!(ServerError::parse(b""), None);
    }
}
