//! Connections for queries, and what a failed connection means.
//!
//! One function per purpose: [`connect`] for questions, [`connect_snapshot`] for the rows of tables.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error as ClientError, IoError, OptsBuilder, SslOpts};

use super::options::{Options, TlsMode};
use super::{tls, tunnel};
use crate::error::{Error, Kind, Result};

/// The settings of every session: UTC, a neutral SQL mode (`NO_BACKSLASH_ESCAPES`, `ANSI_QUOTES` and their like off),
/// no limit that ends a long read. One statement, so that their order is certain.
const SESSION: &str = "SET SESSION time_zone = '+00:00', sql_mode = '', \
    transaction_isolation = 'READ-COMMITTED', wait_timeout = 28800, net_read_timeout = 600, \
    net_write_timeout = 3600, max_execution_time = 0, group_concat_max_len = 1048576, \
    information_schema_stats_expiry = 0";

/// A connection for questions about the server; texts come as utf8mb4.
pub async fn connect(options: &Options) -> Result<Conn> {
    open(options, format!("{SESSION}, autocommit = 1")).await
}

/// A connection for the rows of tables: every text in its column's own character set, each statement its own read view.
pub async fn connect_snapshot(options: &Options) -> Result<Conn> {
    let session = format!("{SESSION}, autocommit = 1, character_set_results = NULL");
    open(options, session).await
}

async fn open(options: &Options, session: String) -> Result<Conn> {
    tls::install_provider();
    let opened = async {
        match options.tls {
            TlsMode::Preferred => match attempt(options, TlsMode::Required, &session).await {
                Err(Failure::Client(ClientError::Driver(
                    DriverError::NoClientSslFlagFromServer,
                ))) => attempt(options, TlsMode::Disabled, &session).await,
                other => other,
            },
            mode => attempt(options, mode, &session).await,
        }
    };
    match tokio::time::timeout(options.connect_timeout, opened).await {
        Ok(Ok(conn)) => Ok(conn),
        Ok(Err(Failure::Ours(error))) => Err(error),
        Ok(Err(Failure::Client(error))) => Err(classify(options, error)),
        Err(_) => Err(too_slow(options)),
    }
}

enum Failure {
    Client(ClientError),
    Ours(Error),
}

async fn attempt(options: &Options, mode: TlsMode, session: &str) -> Result<Conn, Failure> {
    let builder = OptsBuilder::default()
        .user(Some(options.user.as_str()))
        .pass(Some(options.password.reveal()))
        .db_name(options.database.as_deref())
        .prefer_socket(false)
        .tcp_keepalive(Some(std::time::Duration::from_secs(30)))
        .stmt_cache_size(Some(16))
        .setup(vec![session.to_owned()]);
    let builder = match mode {
        TlsMode::Disabled | TlsMode::Preferred => address(builder, options),
        TlsMode::Required => address(builder, options).ssl_opts(
            SslOpts::default()
                .with_danger_accept_invalid_certs(true)
                .with_danger_skip_domain_validation(true),
        ),
        TlsMode::VerifyCa | TlsMode::VerifyIdentity => {
            let socket = tunnel::open(options).await.map_err(Failure::Ours)?;
            let builder = builder.socket(Some(socket.path()));
            return finish(Conn::new(builder).await, socket.failure());
        }
    };
    Conn::new(builder).await.map_err(Failure::Client)
}

fn address(builder: OptsBuilder, options: &Options) -> OptsBuilder {
    builder
        .ip_or_hostname(options.host.clone())
        .tcp_port(options.port)
}

/// The tunnel's reason explains a failure better than the broken connection that it leaves.
fn finish(result: Result<Conn, ClientError>, reason: Option<Error>) -> Result<Conn, Failure> {
    match (result, reason) {
        (Ok(conn), _) => Ok(conn),
        (Err(_), Some(reason)) => Err(Failure::Ours(reason)),
        (Err(error), None) => Err(Failure::Client(error)),
    }
}

/// What a client error means for the daemon.
pub fn classify(options: &Options, error: ClientError) -> Error {
    match error {
        ClientError::Server(e) => refused(options, e.code, &e.message),
        ClientError::Io(IoError::Io(e)) => io_failed(options, e),
        ClientError::Io(IoError::Tls(e)) => tls::failed(options, e),
        ClientError::Driver(DriverError::NoClientSslFlagFromServer) => no_tls(options),
        ClientError::Driver(DriverError::UnknownAuthPlugin { name }) => {
            unknown_plugin(options, &name)
        }
        ClientError::Driver(DriverError::ConnectionClosed) => Error::new(
            Kind::SourceUnavailable,
            format!("MySQL at {} closed the connection", options.address()),
        ),
        // Packets of the server may be quoted in these: their text stays out.
        ClientError::Driver(_) => Error::new(
            Kind::SourceUnavailable,
            format!("the conversation with MySQL at {} broke", options.address()),
        ),
        ClientError::Url(_) | ClientError::Other(_) => Error::new(
            Kind::Internal,
            format!("the MySQL client failed at {}", options.address()),
        ),
    }
}

fn io_failed(options: &Options, error: std::io::Error) -> Error {
    if let Some(inner) = error.get_ref()
        && inner.is::<rustls::Error>()
    {
        return tls::failed(options, inner);
    }
    unreachable(options, error)
}

/// No connection: an unknown name, a closed port, a network that is away.
pub fn unreachable(options: &Options, error: std::io::Error) -> Error {
    use std::io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    let address = options.address();
    let text = error.to_string();
    let (what, remedy) = match error.kind() {
        ConnectionRefused => (
            format!("nothing listens at {address}"),
            "start MySQL, or check [source] host and port; a running penstock goes on by itself when it is back",
        ),
        HostUnreachable | NetworkUnreachable => (
            format!("{address} cannot be reached"),
            "check the network and its firewalls; a running penstock goes on by itself when it is back",
        ),
        _ if text.contains("lookup address") => (
            format!("the host name `{}` is not known", options.host),
            "check [source] host and the name service",
        ),
        _ => (
            format!("the connection to MySQL at {address} failed"),
            Kind::SourceUnavailable.remedy(),
        ),
    };
    Error::new(Kind::SourceUnavailable, what)
        .with_remedy(remedy)
        .with_source(error)
}

/// The connection took too long.
pub fn too_slow(options: &Options) -> Error {
    Error::new(
        Kind::SourceUnavailable,
        format!(
            "no connection to MySQL at {} within {} s",
            options.address(),
            options.connect_timeout.as_secs_f32()
        ),
    )
}

/// TLS is asked for and not offered.
pub fn no_tls(options: &Options) -> Error {
    Error::new(
        Kind::SourceSettings,
        format!("MySQL at {} offers no TLS", options.address()),
    )
    .with_remedy("configure MySQL's certificate (`ssl_cert`, `ssl_key`), or set [source] tls = \"disabled\" on a network that you trust")
}

/// The account's authentication is one that we do not speak.
pub fn unknown_plugin(options: &Options, plugin: &str) -> Error {
    Error::new(
        Kind::SourceDenied,
        format!(
            "the account `{}` at {} authenticates with `{plugin}`, which penstock does not speak",
            options.user,
            options.address()
        ),
    )
    .with_remedy("give the account caching_sha2_password: `ALTER USER … IDENTIFIED WITH caching_sha2_password BY '…'`")
}

/// The server answered with an error: what it means.
pub fn refused(options: &Options, code: u16, message: &str) -> Error {
    let address = options.address();
    let text = format!("MySQL at {address} says {code}: {message}");
    let (kind, remedy) = match code {
        1045 | 1130 | 1698 | 3118 | 3955 => (
            Kind::SourceDenied,
            "check [source] user and its password (password_env or password_file), and from which hosts the account may connect",
        ),
        1820 | 1862 => (
            Kind::SourceDenied,
            "the account's password has expired: set a new one with ALTER USER",
        ),
        1049 => (
            Kind::Usage,
            "correct [source] database: the server has no database of that name",
        ),
        1044 | 1142 | 1143 | 1227 | 1370 => (Kind::SourceDenied, Kind::SourceDenied.remedy()),
        3159 => (
            Kind::SourceSettings,
            "the server insists on TLS: set [source] tls = \"required\" or stricter",
        ),
        1040 | 1203 | 1226 => (
            Kind::SourceUnavailable,
            "the server has no connection left: raise max_connections, or lower [snapshot] workers",
        ),
        1129 => (
            Kind::SourceUnavailable,
            "the server blocks this host after failed connections: run `TRUNCATE TABLE performance_schema.host_cache`",
        ),
        1236 => return dump_refused(text, message),
        1053 | 1077 | 1079 | 1152 | 1158 | 1159 | 1160 | 1161 | 1184 | 1205 | 1213 | 1927
        | 3168 | 3169 => (Kind::SourceUnavailable, Kind::SourceUnavailable.remedy()),
        _ => (
            Kind::SourceSettings,
            "run `penstock check`, and look up the error's number in MySQL's manual",
        ),
    };
    Error::new(kind, text).with_remedy(remedy)
}

/// Error 1236 ends a dump; only its text says why.
fn dump_refused(text: String, message: &str) -> Error {
    let lower = message.to_lowercase();
    let has = |part: &str| lower.contains(part);
    let kind = if has("purged") || has("could not find first log") || has("could not open log") {
        Kind::SourcePurged
    } else if has("same server_uuid") || has("same server_id") || has("same server_uuid/server_id")
    {
        Kind::ServerIdTaken
    } else if has("more gtids than the") || has("slave has more") || has("replica has more") {
        Kind::LineageDiffers
    } else if has("gtid_mode") || has("binary log is not open") || has("misconfigured") {
        Kind::SourceSettings
    } else if has("max_allowed_packet") || has("corrupt") || has("bogus data") || has("checksum") {
        Kind::EventUnreadable
    } else {
        Kind::SourceUnavailable
    };
    Error::new(kind, text)
}

/// Runs a query whose failure is classified; each row as a tuple.
pub async fn rows<T>(options: &Options, conn: &mut Conn, sql: &str) -> Result<Vec<T>>
where
    T: mysql_async::prelude::FromRow + Send + 'static,
{
    let rows: Vec<mysql_async::Row> = conn.query(sql).await.map_err(|e| classify(options, e))?;
    rows.into_iter()
        .map(|row| {
            mysql_async::from_row_opt(row).map_err(|_| {
                Error::new(
                    Kind::SourceUnavailable,
                    format!(
                        "MySQL at {} answered with other columns than asked for",
                        options.address()
                    ),
                )
            })
        })
        .collect()
}

#[cfg(test)]
#[path = "connect_tests.rs"]
mod tests;
