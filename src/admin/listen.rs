//! The two listeners.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Peer, StatusSource, router, socket_path};
use crate::error::{Error, Kind, Result};
use crate::metrics::Exposition;

/// The running listeners; they end when this is dropped.
#[derive(Debug)]
pub struct Servers {
    /// Where HTTP is served: the port that was taken, where port 0 was asked for.
    pub address: SocketAddr,
    socket: PathBuf,
    ending: CancellationToken,
    tasks: [JoinHandle<()>; 2],
}

/// Binds both listeners and serves them in the background. `commands` are routes that only the socket has.
///
/// To be called only by who holds the state directory's lock: a socket that is there already is a dead one.
///
/// # Errors
/// `Usage` where the address cannot be bound, `Store` where the socket cannot be made.
pub async fn serve(
    listen: SocketAddr,
    state: &Path,
    source: Arc<dyn StatusSource>,
    exposition: Exposition,
    commands: Router,
) -> Result<Servers> {
    let tcp = TcpListener::bind(listen).await.map_err(|e| {
        Error::new(Kind::Usage, format!("cannot listen on {listen}"))
            .with_source(e)
            .with_remedy("choose another address in [metrics] listen, or stop who uses this one")
    })?;
    let address = tcp.local_addr().unwrap_or(listen);
    let socket = socket_path(state);
    let unix = bind_socket(&socket)?;
    let public = router::public(source.clone(), exposition.clone());
    let local =
        router::local(source, exposition, commands).into_make_service_with_connect_info::<Peer>();
    // Serving ends when it is told to: accept errors are waited out by axum.
    let ending = CancellationToken::new();
    let ended = || ending.clone().cancelled_owned();
    let http = axum::serve(tcp, public).with_graceful_shutdown(ended());
    let http = tokio::spawn(async move {
        let _ = http.await;
    });
    let unix = axum::serve(unix, local).with_graceful_shutdown(ended());
    let unix = tokio::spawn(async move {
        let _ = unix.await;
    });
    Ok(Servers {
        address,
        socket,
        ending,
        tasks: [http, unix],
    })
}

impl Servers {
    /// Takes no more connections, and lets those that are there end for as long as `patience`.
    pub async fn end(mut self, patience: Duration) {
        self.ending.cancel();
        for task in &mut self.tasks {
            let _ = tokio::time::timeout(patience, task).await;
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        let _ = fs::remove_file(&self.socket);
    }
}

fn bind_socket(path: &Path) -> Result<UnixListener> {
    let failed = |e: std::io::Error| {
        Error::new(
            Kind::Store,
            format!("cannot make the socket {}", path.display()),
        )
        .with_source(e)
    };
    match fs::symlink_metadata(path) {
        // What a process left that was killed. Nobody else holds the directory.
        Ok(meta) if meta.file_type().is_socket() => fs::remove_file(path).map_err(failed)?,
        Ok(_) => {
            return Err(Error::new(
                Kind::Store,
                format!("{} is there and is no socket", path.display()),
            )
            .with_remedy("move it away, or choose another directory in [state] path"));
        }
        Err(_) => {}
    }
    // Bound under another name, so that nobody can connect before the mode is set.
    let aside = path.with_extension("sock.new");
    let _ = fs::remove_file(&aside);
    let listener = UnixListener::bind(&aside).map_err(|e| {
        let long = e.kind() == std::io::ErrorKind::InvalidInput;
        let error = failed(e);
        if long {
            error
                .with_remedy("choose a shorter [state] path: a socket's path has at most 107 bytes")
        } else {
            error
        }
    })?;
    fs::set_permissions(&aside, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    fs::rename(&aside, path).map_err(failed)?;
    Ok(listener)
}
