//! A private Unix socket whose other end is MySQL under TLS that we verify ourselves.
//!
//! The query client can verify a certificate only together with its name; `verify-ca` and certificates as MySQL
//! makes them for itself need more. So the client speaks plain text into a socket that only this user can open
//! and that takes one connection, and what goes over the network is our own TLS.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};

use super::auth;
use super::options::Options;
use super::wire::Wire;
use crate::error::{Error, Kind, Result};

/// CLIENT_SSL, in the second byte of the capabilities.
const CLIENT_SSL: u8 = 0x08;
/// The request for TLS is the start of the login: capabilities, packet size, character set, filler.
const SSL_REQUEST: usize = 32;

/// A socket that waits for its one connection; removed when dropped.
pub struct Tunnel {
    directory: PathBuf,
    path: String,
    failure: Arc<Mutex<Option<Error>>>,
}

impl Tunnel {
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Why the tunnel could not reach MySQL, once.
    pub fn failure(&self) -> Option<Error> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Opens a tunnel; MySQL is connected when the socket is.
pub async fn open(options: &Options) -> Result<Tunnel> {
    let failed = |e: std::io::Error| {
        Error::new(Kind::Store, "a private socket for TLS cannot be made")
            .with_source(e)
            .with_remedy("check space and permissions of the temporary directory (TMPDIR)")
    };
    let name = format!("penstock-{}-{:016x}", std::process::id(), fastrand::u64(..));
    let directory = std::env::temp_dir().join(name);
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&directory)
        .map_err(failed)?;
    let socket = directory.join("mysql");
    let tunnel = Tunnel {
        path: text(&socket)?,
        directory,
        failure: Arc::default(),
    };
    let listener = UnixListener::bind(&socket).map_err(failed)?;
    let (options, failure) = (options.clone(), Arc::clone(&tunnel.failure));
    tokio::spawn(async move {
        let accepted = tokio::time::timeout(options.connect_timeout, listener.accept()).await;
        drop(listener);
        if let Ok(Ok((client, _))) = accepted
            && let Err(error) = carry(&options, client).await
        {
            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    });
    Ok(tunnel)
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::new(Kind::Usage, "the temporary directory's name is not UTF-8")
            .with_remedy("set TMPDIR to a directory with a plain name")
    })
}

/// Connects MySQL and carries packets both ways until either end closes. Errors after the login are seen by the
/// client as a closed connection.
async fn carry(options: &Options, client: UnixStream) -> Result<()> {
    let mut client = Wire::new(client, options.address(), options.connect_timeout);
    let tcp = auth::open(options).await?;
    let mut server = Wire::new(tcp, options.address(), options.connect_timeout);
    let (greeting, packet) = auth::greet(options, &mut server).await?;
    client.write(&without_tls(&packet)).await?;
    let response = with_tls(&client.read().await?);
    let request = response.get(..SSL_REQUEST).unwrap_or_default().to_vec();
    let mut server = auth::secure(options, server, &greeting, request).await?;
    server.write(&response).await?;
    login(&mut client, &mut server).await?;
    let (mut client, mut server) = (client.into_stream(), server.into_stream());
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    let _ = server.shutdown().await;
    Ok(())
}

/// Passes the rest of the login on; each end numbers them for itself, since TLS took one number of the server's.
async fn login(client: &mut Wire<UnixStream>, server: &mut Wire) -> Result<()> {
    loop {
        let packet = server.read().await?;
        client.write(&packet).await?;
        match &packet[..] {
            [0x00 | 0xFF, ..] => return Ok(()),
            // The fast path of caching_sha2_password succeeded; its OK follows at once.
            [0x01, 0x03] => {}
            _ => server.write(&client.read().await?).await?,
        }
    }
}

/// The greeting as a server without TLS would send it.
fn without_tls(greeting: &[u8]) -> Vec<u8> {
    let mut greeting = greeting.to_vec();
    // After the version's zero: connection id, 8 bytes of nonce, a filler, then the capabilities.
    let end = greeting.iter().position(|b| *b == 0).unwrap_or(0);
    if let Some(flags) = greeting.get_mut(end + 15) {
        *flags &= !CLIENT_SSL;
    }
    greeting
}

/// The client's login as one that knows of the TLS around it.
fn with_tls(response: &[u8]) -> Vec<u8> {
    let mut response = response.to_vec();
    if let Some(flags) = response.get_mut(1) {
        *flags |= CLIENT_SSL;
    }
    response
}
