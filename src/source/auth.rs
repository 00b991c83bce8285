//! Connecting as the replication protocol does it: greeting, TLS, authentication.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use mysql_common::constants::CapabilityFlags;
use mysql_common::crypto;
use mysql_common::packets::{AuthPlugin, HandshakeResponse, SslRequest};
use mysql_common::proto::MySerialize;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::options::{Options, TlsMode};
use super::wire::{ServerError, Transport, Wire};
use super::{connect, tls};
use crate::error::{Error, Kind, Result};

const MAX_PACKET: u32 = 1 << 30;
const UTF8MB4: u8 = 45;
/// How many packets an authentication may take before it is nonsense.
const MAX_ROUNDS: usize = 16;

/// What the server says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    pub version: String,
    pub capabilities: CapabilityFlags,
    nonce: Vec<u8>,
    plugin: Vec<u8>,
}

impl Greeting {
    /// Reads the first packet of a connection (protocol 10).
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let (&10, rest) = packet.split_first()? else {
            return None;
        };
        let end = rest.iter().position(|b| *b == 0)?;
        let version = String::from_utf8_lossy(rest.get(..end)?).into_owned();
        let mut rest = rest.get(end + 1..)?;
        if rest.len() < 31 {
            return None;
        }
        rest.advance(4);
        let mut nonce = rest.get(..8)?.to_vec();
        rest.advance(9);
        let low = rest.get_u16_le();
        rest.advance(3);
        let high = rest.get_u16_le();
        let length = usize::from(rest.get_u8());
        rest.advance(10);
        let capabilities =
            CapabilityFlags::from_bits_truncate(u32::from(low) | (u32::from(high) << 16));
        let second = rest.get(..length.saturating_sub(8).max(13).min(rest.len()))?;
        nonce.extend_from_slice(second.strip_suffix(&[0]).unwrap_or(second));
        rest.advance(second.len());
        let plugin = rest.split(|b| *b == 0).next().unwrap_or_default().to_vec();
        Some(Self {
            version,
            capabilities,
            nonce,
            plugin,
        })
    }
}

/// Connects, negotiates TLS and authenticates: a session that takes commands.
pub async fn login(options: &Options) -> Result<(Wire, Greeting)> {
    let all = async {
        let tcp = open(options).await?;
        let mut wire = Wire::new(tcp, options.address(), options.connect_timeout);
        let (greeting, _) = greet(options, &mut wire).await?;
        let mut wire = secure(options, wire, &greeting, ssl_request(&greeting)).await?;
        authenticate(options, &mut wire, &greeting).await?;
        Ok((wire, greeting))
    };
    match tokio::time::timeout(options.connect_timeout, all).await {
        Ok(result) => result,
        Err(_) => Err(connect::too_slow(options)),
    }
}

/// A TCP connection with keepalive, so that a vanished network is noticed even while nothing is sent.
pub async fn open(options: &Options) -> Result<TcpStream> {
    let tcp = TcpStream::connect((options.host.as_str(), options.port))
        .await
        .map_err(|e| connect::unreachable(options, e))?;
    let socket = socket2::SockRef::from(&tcp);
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(30))
        .with_interval(Duration::from_secs(10));
    socket
        .set_tcp_keepalive(&keepalive)
        .and_then(|()| tcp.set_nodelay(true))
        .map_err(|e| connect::unreachable(options, e))?;
    Ok(tcp)
}

/// Reads the greeting; its packet too.
pub async fn greet(options: &Options, wire: &mut Wire<TcpStream>) -> Result<(Greeting, Bytes)> {
    let packet = wire.read().await?;
    if let Some(error) = ServerError::parse(&packet) {
        return Err(connect::refused(options, error.code, &error.message));
    }
    match Greeting::parse(&packet) {
        Some(greeting) => Ok((greeting, packet)),
        None => Err(wire.nonsense("its greeting is not one of MySQL 4.1 or later")),
    }
}

/// Switches to TLS as the mode asks, with `request` (see `ssl_request`).
pub async fn secure(
    options: &Options,
    mut wire: Wire<TcpStream>,
    greeting: &Greeting,
    request: Vec<u8>,
) -> Result<Wire> {
    let offered = greeting.capabilities.contains(CapabilityFlags::CLIENT_SSL);
    if options.tls == TlsMode::Disabled || (options.tls == TlsMode::Preferred && !offered) {
        return wire.upgrade(async |tcp| Ok(Transport::Plain(tcp))).await;
    }
    if !offered {
        return Err(connect::no_tls(options));
    }
    let config = Arc::new(tls::client_config(options)?);
    let name = tls::server_name(&options.host)?;
    wire.write(&request).await?;
    wire.upgrade(async |tcp| {
        let stream = TlsConnector::from(config).connect(name, tcp).await;
        let stream = stream.map_err(|e| tls::failed(options, e))?;
        Ok(Transport::Tls(Box::new(stream)))
    })
    .await
}

/// Asks for TLS. The server reads the login that follows by the capabilities stated here.
fn ssl_request(greeting: &Greeting) -> Vec<u8> {
    let capabilities = capabilities(greeting) | CapabilityFlags::CLIENT_SSL;
    let mut request = Vec::new();
    SslRequest::new(capabilities, MAX_PACKET, UTF8MB4).serialize(&mut request);
    request
}

fn capabilities(greeting: &Greeting) -> CapabilityFlags {
    let wanted = CapabilityFlags::CLIENT_PROTOCOL_41
        | CapabilityFlags::CLIENT_SECURE_CONNECTION
        | CapabilityFlags::CLIENT_LONG_PASSWORD
        | CapabilityFlags::CLIENT_LONG_FLAG
        | CapabilityFlags::CLIENT_PLUGIN_AUTH
        | CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA
        | CapabilityFlags::CLIENT_CONNECT_ATTRS
        | CapabilityFlags::CLIENT_TRANSACTIONS;
    wanted & greeting.capabilities
}

async fn authenticate(options: &Options, wire: &mut Wire, greeting: &Greeting) -> Result<()> {
    // A plugin that we do not speak is answered in the default one's name: the server then names the account's.
    let mut plugin = match AuthPlugin::from_bytes(&greeting.plugin) {
        known @ (AuthPlugin::CachingSha2Password | AuthPlugin::MysqlNativePassword) => {
            known.into_owned()
        }
        _ => AuthPlugin::CachingSha2Password,
    };
    let mut nonce = greeting.nonce.clone();
    let response = login_packet(options, wire.stream().is_tls(), greeting, &plugin);
    wire.write(&response).await?;
    for _ in 0..MAX_ROUNDS {
        let packet = wire.read().await?;
        if let Some(error) = ServerError::parse(&packet) {
            return Err(connect::refused(options, error.code, &error.message));
        }
        match packet.split_first() {
            Some((0x00, _)) => return Ok(()),
            Some((0xFE, rest)) => {
                (plugin, nonce) = switch(options, rest)?;
                let answer = scramble(options, &plugin, &nonce);
                wire.write(&answer).await?;
            }
            Some((0x01, more)) => continue_sha2(options, wire, &plugin, &nonce, more).await?,
            _ => return Err(wire.nonsense("its answer to the login is unknown")),
        }
    }
    Err(wire.nonsense("its login does not end"))
}

fn login_packet(
    options: &Options,
    tls: bool,
    greeting: &Greeting,
    plugin: &AuthPlugin<'static>,
) -> Vec<u8> {
    let mut flags = capabilities(greeting);
    flags.set(CapabilityFlags::CLIENT_SSL, tls);
    let attributes = HashMap::from([("program_name".to_owned(), "penstock".to_owned())]);
    let attributes = flags
        .contains(CapabilityFlags::CLIENT_CONNECT_ATTRS)
        .then_some(attributes);
    let response = HandshakeResponse::new(
        Some(scramble(options, plugin, &greeting.nonce)),
        (8, 0, 0),
        Some(options.user.as_bytes()),
        None::<Vec<u8>>,
        Some(plugin.clone()),
        flags,
        attributes,
        MAX_PACKET,
    );
    let mut packet = Vec::new();
    response.serialize(&mut packet);
    packet
}

/// The proof of the password that goes over any connection; empty for an empty password.
fn scramble(options: &Options, plugin: &AuthPlugin<'_>, nonce: &[u8]) -> Vec<u8> {
    plugin
        .gen_data(Some(options.password.reveal()), nonce)
        .map_or_else(Vec::new, |data| data.to_vec())
}

/// The server asks for another plugin: the account's.
fn switch(options: &Options, request: &[u8]) -> Result<(AuthPlugin<'static>, Vec<u8>)> {
    let mut parts = request.splitn(2, |b| *b == 0);
    let name = parts.next().unwrap_or_default();
    let nonce = parts.next().unwrap_or_default();
    let nonce = nonce.strip_suffix(&[0]).unwrap_or(nonce).to_vec();
    match AuthPlugin::from_bytes(name) {
        plugin @ (AuthPlugin::CachingSha2Password | AuthPlugin::MysqlNativePassword) => {
            Ok((plugin.into_owned(), nonce))
        }
        _ => Err(connect::unknown_plugin(
            options,
            &String::from_utf8_lossy(name),
        )),
    }
}

/// caching_sha2_password: 3 is the fast path's success, 4 asks for the password itself.
async fn continue_sha2(
    options: &Options,
    wire: &mut Wire,
    plugin: &AuthPlugin<'_>,
    nonce: &[u8],
    more: &[u8],
) -> Result<()> {
    match (plugin, more) {
        (AuthPlugin::CachingSha2Password, [3]) => Ok(()),
        (AuthPlugin::CachingSha2Password, [4]) => {
            let mut password = options.password.reveal().as_bytes().to_vec();
            password.push(0);
            if wire.stream().is_tls() {
                wire.write(&password).await?;
            } else {
                wire.write(&[2]).await?;
                let key = wire.read().await?;
                let sealed = seal(&password, nonce, key)
                    .ok_or_else(|| wire.nonsense("its RSA key cannot be read"))?;
                wire.write(&sealed).await?;
            }
            password.fill(0);
            Ok(())
        }
        _ => Err(wire.nonsense("it goes on with the login in a way that is unknown")),
    }
}

/// The password under the server's RSA key, which comes as PEM in an AuthMoreData packet.
fn seal(password: &[u8], nonce: &[u8], key: Bytes) -> Option<Vec<u8>> {
    let pem = key.strip_prefix(&[1])?;
    if nonce.is_empty() || !is_rsa_key(pem, password.len()) {
        return None;
    }
    let masked: Vec<u8> = password
        .iter()
        .zip(nonce.iter().cycle())
        .map(|(p, n)| p ^ n)
        .collect();
    Some(crypto::encrypt(&masked, pem))
}

/// Whether this is a PKCS#8 RSA public key with room for `length` bytes under OAEP: the library that encrypts
/// takes that for granted.
fn is_rsa_key(pem: &[u8], length: usize) -> bool {
    let check = || {
        let text = std::str::from_utf8(pem).ok()?;
        let body = text.split_once("-----BEGIN PUBLIC KEY-----")?.1;
        let body = body.split_once("-----END PUBLIC KEY-----")?.0;
        if body.contains('-') {
            return None;
        }
        let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        use base64::Engine;
        let der = base64::engine::general_purpose::STANDARD
            .decode(body)
            .ok()?;
        let key = der_value(&der, 0x30)?.0;
        let bits = der_value(der_value(key, 0x30)?.1, 0x03)?.0;
        let numbers = der_value(bits.strip_prefix(&[0])?, 0x30)?.0;
        let (modulus, rest) = der_value(numbers, 0x02)?;
        let (exponent, _) = der_value(rest, 0x02)?;
        let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
        let strong = modulus.len() >= 128 && modulus.first()? & 0x80 != 0 && !exponent.is_empty();
        Some(strong && length + 42 <= modulus.len())
    };
    check().unwrap_or(false)
}

/// The content of the DER value with this tag at the start of `der`, and what follows it.
fn der_value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if first & 0x80 == 0 {
        (usize::from(*first), rest)
    } else {
        let bytes = usize::from(first & 0x7F);
        if bytes == 0 || bytes > 3 {
            return None;
        }
        let (length, rest) = rest.split_at_checked(bytes)?;
        let length = length.iter().fold(0, |n, b| (n << 8) | usize::from(*b));
        (length, rest)
    };
    let content = rest.split_at_checked(length)?;
    (*found == tag).then_some(content)
}

/// Runs a statement that returns no rows.
pub async fn execute(options: &Options, wire: &mut Wire, sql: &str) -> Result<()> {
    let mut command = vec![0x03];
    command.extend_from_slice(sql.as_bytes());
    wire.command(&command).await?;
    expect_ok(options, wire).await
}

/// Reads the answer to a command that succeeds or fails.
pub async fn expect_ok(options: &Options, wire: &mut Wire) -> Result<()> {
    let packet = wire.read().await?;
    match packet.first() {
        Some(0x00) => Ok(()),
        Some(0xFF) => match ServerError::parse(&packet) {
            Some(error) => Err(connect::refused(options, error.code, &error.message)),
            None => Err(wire.nonsense("its error cannot be read")),
        },
        _ => Err(wire.nonsense("its answer to a command is unknown")),
    }
}

/// The kind of error for a server that is not what it should be.
pub fn not_mysql(options: &Options, greeting: &Greeting) -> Option<Error> {
    greeting.version.contains("MariaDB").then(|| {
        Error::new(
            Kind::Unsupported,
            format!(
                "the server at {} is MariaDB ({}): this version of penstock replicates MySQL only",
                options.address(),
                greeting.version
            ),
        )
    })
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
