//! Asks the source once a second where it is: lag is zero only when the answer says so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::shared::Shared;
use crate::error::{Error, Kind, Result};
use crate::position::GtidSet;
use crate::source::Options;
use crate::source::connect::{classify, connect};
use crate::source::snapshot::executed;

const INTERVAL: Duration = Duration::from_secs(1);
/// An answer that takes longer than this is no answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// For so long the source may have purged what we have not received: it may have purged it just now.
const PURGED_PATIENCE: Duration = Duration::from_secs(10);

/// Asks until the daemon ends, or until it is clear that the stream can never be complete.
pub async fn watch(options: Arc<Options>, shared: Arc<Shared>) -> Result<()> {
    let mut question = Question::new(options);
    let mut gap_since: Option<Instant> = None;
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let asked = Instant::now();
        match question.ask().await {
            Ok(answer) => {
                shared.trouble.question(None);
                shared.source_is_at(&answer.executed, asked);
                if shared.has_received(&answer.purged) {
                    gap_since = None;
                } else if gap_since.get_or_insert(asked).elapsed() > PURGED_PATIENCE
                    && question.has(&shared.received_file()).await
                {
                    return Err(gap());
                }
                shared.source_keeps(answer.binlog_kept);
            }
            Err(error) => {
                tracing::debug!(%error, "the source did not tell its position");
                shared.trouble.question(Some(error.to_string()));
                shared.source_is_silent();
            }
        }
    }
}

/// Transactions that are in no binlog any more never come: chunks and the end would wait for them for ever.
fn gap() -> Error {
    Error::new(
        Kind::SourcePurged,
        "the source's gtid_purged names transactions that the stream has not brought",
    )
}

/// What the source says of itself.
pub struct Answer {
    pub executed: GtidSet,
    /// What is in no binlog any more.
    pub purged: GtidSet,
    /// How long binlogs are kept; `None` where they are never purged.
    pub binlog_kept: Option<Duration>,
}

/// A connection of its own, made when it is needed and again after it broke.
pub struct Question {
    options: Arc<Options>,
    conn: Option<Conn>,
}

impl Question {
    pub fn new(options: Arc<Options>) -> Self {
        Self {
            options,
            conn: None,
        }
    }

    /// Whether the source still has the file. Once the stream has come to one that is left, nothing of those that were
    /// purged is on its way any more: not in the network, nor in our queues.
    async fn has(&mut self, file: &str) -> bool {
        let Some(mut conn) = self.conn.take() else {
            return false;
        };
        let files = conn.query::<mysql_async::Row, _>("SHOW BINARY LOGS");
        let Ok(Ok(files)) = tokio::time::timeout(PATIENCE, files).await else {
            return false;
        };
        self.conn = Some(conn);
        let mut names = files.iter().filter_map(|row| row.get::<String, _>(0));
        names.any(|name| name == file)
    }

    /// The source's position, read after this call began.
    pub async fn ask(&mut self) -> Result<Answer> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => connect(&self.options).await?,
        };
        let answer = tokio::time::timeout(PATIENCE, ask(&mut conn)).await;
        match answer {
            Ok(Ok(answer)) => {
                self.conn = Some(conn);
                Ok(answer)
            }
            Ok(Err(error)) => Err(classify(&self.options, error)),
            Err(_) => Err(Error::new(
                Kind::SourceUnavailable,
                "MySQL did not tell its position in time",
            )),
        }
    }
}

async fn ask(conn: &mut Conn) -> mysql_async::Result<Answer> {
    let executed = executed(conn).await?;
    let kept: Option<u64> = conn
        .query_first("SELECT @@GLOBAL.binlog_expire_logs_seconds")
        .await?;
    let purged: Option<String> = conn.query_first("SELECT @@GLOBAL.gtid_purged").await?;
    let purged = purged
        .unwrap_or_default()
        .parse()
        .map_err(|e| mysql_async::Error::Other(format!("gtid_purged: {e}").into()))?;
    Ok(Answer {
        executed,
        purged,
        binlog_kept: kept.filter(|s| *s > 0).map(Duration::from_secs),
    })
}
