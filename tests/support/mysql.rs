//! Real MySQL servers. One is shared by all tests of a run, each with a database of its own; tests that need other settings
//! or harm the server start one for themselves. Each ends with this process, however the process ends.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};

use super::{free_port, script};

/// Semi-synchronous replication, AFTER_SYNC: a commit becomes visible only after a replica's answer or the timeout, but
/// its events are sent before.
pub const SEMI_SYNC: [&str; 4] = [
    "--plugin-load-add=semisync_source.so",
    "--rpl-semi-sync-source-enabled=ON",
    "--rpl-semi-sync-source-wait-point=AFTER_SYNC",
    "--rpl-semi-sync-source-timeout=10000",
];
/// Transactions as compressed payload events.
pub const COMPRESS: [&str; 1] = ["--binlog-transaction-compression=ON"];
/// JSON updates as diffs.
pub const PARTIAL_JSON: [&str; 1] = ["--binlog-row-value-options=PARTIAL_JSON"];
/// The table map names no columns.
pub const MINIMAL_METADATA: [&str; 1] = ["--binlog-row-metadata=MINIMAL"];
/// Commits without fsync, for tests that write much and prove nothing about crashes of the server.
pub const FAST: [&str; 2] = ["--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0"];

/// A running server. It ends, and its data goes, when this is dropped or the process ends.
pub struct Server {
    port: u16,
    name: String,
    options: Vec<String>,
    guard: Child,
    /// While this is open the server stays.
    input: Option<ChildStdin>,
}

impl Server {
    /// The server that all tests share; starts with the first one that asks.
    pub fn shared() -> &'static Server {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| Server::start(&[]))
    }

    /// A server of one's own with these options of mysqld.
    pub fn start(options: &[&str]) -> Server {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        for attempt in 1.. {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!("test-{}-{number}", std::process::id());
            match Self::launch(name, free_port(), options) {
                Some(server) => return server,
                // Another program can have taken the port.
                None => assert!(attempt < 3, "MySQL does not start: its messages are above"),
            }
        }
        unreachable!("the loop ends by itself")
    }

    fn launch(name: String, port: u16, options: &[&str]) -> Option<Server> {
        let mut guard = Command::new(script("mysql"))
            .args(["run", &name, &port.to_string(), "--max-connections=500"])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/mysql can be run");
        let input = guard.stdin.take();
        let mut line = String::new();
        let output = guard.stdout.take();
        // The script's process lives on with this pipe closed: it writes nothing more.
        let read = output.map_or(Ok(0), |output| BufReader::new(output).read_line(&mut line));
        if read.is_err() || line.trim_end() != "ready" {
            let _ = guard.wait();
            return None;
        }
        Some(Server {
            port,
            name,
            options: options.iter().map(|&option| option.to_owned()).collect(),
            guard,
            input,
        })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where to connect, as root, with the database if one is named.
    pub fn opts(&self, database: Option<&str>) -> Opts {
        OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port)
            .user(Some("root"))
            .db_name(database)
            .prefer_socket(false)
            .into()
    }

    pub async fn conn(&self, database: Option<&str>) -> Conn {
        Conn::new(self.opts(database))
            .await
            .expect("a connection to the test's MySQL")
    }

    /// A new, empty database.
    pub async fn database(&'static self) -> Database<'static> {
        Database::create(self).await
    }

    /// Stops the server, in order or as a crash does; its data stays.
    pub fn stop(&self, crash: bool) {
        let how = if crash { "kill" } else { "stop" };
        self.run_script(&[how, &self.name]);
    }

    /// Starts it again after [`Server::stop`], on the same port, with its options and `more`.
    pub fn start_again(&self, more: &[&str]) {
        let port = self.port.to_string();
        let mut arguments = vec!["start", &self.name, &port, "--max-connections=500"];
        arguments.extend(self.options.iter().map(String::as_str));
        arguments.extend(more);
        self.run_script(&arguments);
    }

    fn run_script(&self, arguments: &[&str]) {
        let output = Command::new(script("mysql"))
            .args(arguments)
            .output()
            .expect("scripts/mysql can be run");
        assert!(
            output.status.success(),
            "scripts/mysql {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.guard.wait();
    }
}

/// A database of one test.
pub struct Database<'a> {
    pub server: &'a Server,
    pub name: String,
}

impl<'a> Database<'a> {
    pub async fn create(server: &'a Server) -> Database<'a> {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        Self::named(server, &name).await
    }

    /// An empty database of this name.
    pub async fn named(server: &'a Server, name: &str) -> Database<'a> {
        server
            .conn(None)
            .await
            .query_drop(format!("CREATE DATABASE `{name}` CHARACTER SET utf8mb4"))
            .await
            .expect("a new database");
        Database {
            server,
            name: name.to_owned(),
        }
    }

    pub fn opts(&self) -> Opts {
        self.server.opts(Some(&self.name))
    }

    pub async fn conn(&self) -> Conn {
        self.server.conn(Some(&self.name)).await
    }

    /// Runs statements one after the other on one connection; panics with the statement that fails.
    pub async fn run(&self, statements: &[&str]) {
        let mut conn = self.conn().await;
        for statement in statements {
            if let Err(error) = conn.query_drop(*statement).await {
                let start: String = statement.chars().take(200).collect();
                panic!("{error}\n  in: {start}");
            }
        }
    }
}
