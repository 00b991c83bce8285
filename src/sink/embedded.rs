//! A DynamoDB-compatible server inside the process: on disk, on loopback, for trying out and for tests.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use dynoxide::Database;
use tokio::sync::oneshot;

use crate::error::{Error, Kind, Result};

/// The database's file in its directory.
const FILE: &str = "embedded-dynamodb.sqlite";
/// How long requests under way may take when the server stops.
const GRACE: Duration = Duration::from_secs(5);

/// The running server; stops when dropped.
pub struct Embedded {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Opens (or creates) the database in `dir`, which is made if need be, and serves it on `127.0.0.1:port`; with port 0
/// the system chooses one. Blocks while the database opens.
///
/// What has been answered survives the end of the process, `kill -9` included. The loss of power may take the last
/// seconds with it (the database stays whole): then the copy has to be made again.
pub fn start(dir: &Path, port: u16) -> Result<Embedded> {
    std::fs::create_dir_all(dir)
        .map_err(|e| store(format!("cannot make {}", dir.display())).with_source(e))?;
    let path = dir.join(FILE);
    let text = path.to_str().ok_or_else(|| {
        store(format!(
            "the path of the embedded server, {}, is not UTF-8",
            path.display()
        ))
    })?;
    let database = Database::new(text).map_err(|e| {
        store(format!(
            "cannot open the embedded server's database {text}: {e}"
        ))
    })?;
    // SQLite's `synchronous = NORMAL`: each item is a transaction of its own there, and waiting for the disk after each
    // takes most of the time.
    database
        .disable_bulk_loading()
        .map_err(|e| store(format!("cannot set up the embedded server's database: {e}")))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|e| {
        Error::new(
            Kind::Usage,
            format!("the embedded server cannot listen on 127.0.0.1:{port}"),
        )
        .with_source(e)
        .with_remedy("set [target] embedded_port to a free port, or to 0 for any")
    })?;
    let prepare = |e: std::io::Error| store("cannot start the embedded server").with_source(e);
    listener.set_nonblocking(true).map_err(prepare)?;
    let address = listener.local_addr().map_err(prepare)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(prepare)?;
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("embedded".into())
        .spawn(move || {
            if let Err(reason) = runtime.block_on(serve(listener, database, stopped)) {
                tracing::error!(reason, "the embedded server has stopped");
            }
            // Ends what a client holds open.
            runtime.shutdown_timeout(Duration::from_millis(100));
        })
        .map_err(prepare)?;
    Ok(Embedded {
        address,
        stop: Some(stop),
        thread: Some(thread),
    })
}

async fn serve(
    listener: TcpListener,
    database: Database,
    stopped: oneshot::Receiver<()>,
) -> Result<(), String> {
    let listener = tokio::net::TcpListener::from_std(listener).map_err(|e| e.to_string())?;
    let (ending, ended) = oneshot::channel();
    let shutdown = async move {
        // Dropped without a word means the same.
        let _ = stopped.await;
        let _ = ending.send(());
    };
    let grace = async move {
        let _ = ended.await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        result = dynoxide::server::serve_with_shutdown(listener, database, shutdown) => result,
        () = grace => Ok(()),
    }
}

impl Embedded {
    /// `http://127.0.0.1:PORT`.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets requests under way finish, closes the database, and waits for it.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the embedded server broke down");
        }
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.end();
    }
}

fn store(message: impl Into<String>) -> Error {
    Error::new(Kind::Store, message)
}
