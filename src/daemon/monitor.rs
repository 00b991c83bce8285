//! Asks the source once a second where it is: lag is zero only when the answer says so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::shared::Shared;
use crate::error::Result;
use crate::metrics;
use crate::position::GtidSet;
use crate::source::Options;
use crate::source::connect::{classify, connect};
use crate::source::snapshot::executed;

const INTERVAL: Duration = Duration::from_secs(1);
/// An answer that takes longer than this is no answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks until the daemon ends.
pub async fn watch(options: Arc<Options>, shared: Arc<Shared>) {
    let mut question = Question::new(options);
    let mut tick = tokio::time::interval(INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let asked = Instant::now();
        match question.ask().await {
            Ok(answer) => {
                shared.trouble.question(None);
                shared.source_is_at(&answer.executed, asked);
                if let Some(kept) = answer.binlog_kept {
                    let behind = shared.lag().apply.unwrap_or(0.0);
                    metrics::SOURCE_RETENTION_HEADROOM
                        .with([])
                        .set(kept.as_secs_f64() - behind);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "the source did not tell its position");
                shared.trouble.question(Some(error.to_string()));
                shared.source_is_silent();
            }
        }
    }
}

/// What the source says of itself.
pub struct Answer {
    pub executed: GtidSet,
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
            Err(_) => Err(crate::error::Error::new(
                crate::error::Kind::SourceUnavailable,
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
    Ok(Answer {
        executed,
        binlog_kept: kept.filter(|s| *s > 0).map(Duration::from_secs),
    })
}
