//! What the cutover asks of MySQL, on a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
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
    Ok(Inspection {
        prepared,
        read_only: ReadOnly {
            read_only,
            super_read_only,
        },
        executed: executed(conn).await.map_err(failed)?,
    })
}
