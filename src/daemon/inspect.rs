//! What the cutover asks of MySQL, on a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Row};
use tokio::sync::Mutex;

use crate::cutover::ReadOnly;
use crate::error::{Error, Kind, Result};
use crate::position::GtidSet;
use crate::source::Options;
use crate::source::connect::{classify, connect};
use crate::source::preflight::prepared_xids;
use crate::source::snapshot::executed;

/// An answer that takes longer than this is no answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The server at one moment.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// Prepared XA transactions; `None` where we may not ask.
    pub prepared: Option<usize>,
    pub read_only: ReadOnly,
    /// What it is behind its own sources; `None` where it is no replica.
    pub replica: Option<Vec<String>>,
    /// Read last.
    pub executed: GtidSet,
}

/// Asks one question after the other; the connection is made when it is needed, and again after it broke.
pub struct Inspector {
    options: Arc<Options>,
    conn: Mutex<Option<Conn>>,
}

impl Inspector {
    pub fn new(options: Arc<Options>) -> Self {
        Self {
            options,
            conn: Mutex::default(),
        }
    }

    /// All of it, read after this call began.
    ///
    /// # Errors
    /// `SourceUnavailable` where the server does not answer in time, and what it answers otherwise.
    pub async fn inspect(&self) -> Result<Inspection> {
        let mut kept = self.conn.lock().await;
        let mut conn = match kept.take() {
            Some(conn) => conn,
            None => connect(&self.options).await?,
        };
        let asked = tokio::time::timeout(PATIENCE, inspect(&self.options, &mut conn)).await;
        let inspection = asked.map_err(|_| {
            Error::new(
                Kind::SourceUnavailable,
                "MySQL did not tell its position in time",
            )
        })??;
        *kept = Some(conn);
        Ok(inspection)
    }
}

async fn inspect(options: &Options, conn: &mut Conn) -> Result<Inspection> {
    let failed = |e| classify(options, e);
    let prepared = prepared_xids(options, conn).await?;
    let flags: Option<(bool, bool)> = conn
        .query_first("SELECT @@GLOBAL.read_only, @@GLOBAL.super_read_only")
        .await
        .map_err(failed)?;
    let (read_only, super_read_only) = flags.unwrap_or_default();
    let channels = channels(conn).await.map_err(failed)?;
    let executed = executed(conn).await.map_err(failed)?;
    let behind = channels.iter().filter_map(|c| behind(c, &executed));
    Ok(Inspection {
        prepared,
        replica: (!channels.is_empty()).then(|| behind.collect()),
        read_only: ReadOnly {
            read_only,
            super_read_only,
        },
        executed,
    })
}

/// What the server receives from others, one row for each.
async fn channels(conn: &mut Conn) -> mysql_async::Result<Vec<Row>> {
    match conn.query("SHOW REPLICA STATUS").await {
        // Servers before 8.0.22 do not know it by this name.
        Err(mysql_async::Error::Server(error)) if error.code == 1064 => {
            conn.query("SHOW SLAVE STATUS").await
        }
        answer => answer,
    }
}

/// How far the server is behind one of its sources; `None` where it has everything that it may know of.
fn behind(channel: &Row, executed: &GtidSet) -> Option<String> {
    let text = |names: [&str; 2]| {
        let mut values = names
            .into_iter()
            .filter_map(|name| channel.get_opt::<Option<String>, _>(name)?.ok()?);
        values.next().unwrap_or_default()
    };
    for (names, what) in [
        (
            ["Replica_IO_Running", "Slave_IO_Running"],
            "it does not receive (its I/O thread does not run)",
        ),
        (
            ["Replica_SQL_Running", "Slave_SQL_Running"],
            "it does not apply (its SQL thread does not run)",
        ),
    ] {
        if text(names) != "Yes" {
            return Some(what.to_owned());
        }
    }
    // Whole seconds between two clocks: they say 1 now and then where nothing is left. What was received says it exactly.
    let received: Option<GtidSet> = text(["Retrieved_Gtid_Set"; 2]).parse().ok();
    match received.filter(|received| !received.is_empty()) {
        Some(received) if received.is_subset(executed) => None,
        Some(_) => Some("it has received transactions that it has not applied".to_owned()),
        None => {
            let seconds = text(["Seconds_Behind_Source", "Seconds_Behind_Master"]);
            (seconds != "0").then(|| format!("{seconds} s behind its source"))
        }
    }
}
