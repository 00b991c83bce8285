//! What the daemon answers about itself, over HTTP and over a Unix socket.
//!
//! Everybody who reaches `[metrics] listen` may ask `/metrics`, `/healthz`, `/readyz`, `/status` and `/`; no answer there holds a
//! row value. `<state>/penstock.sock`, which only its owner can open, answers the same and the dead letters with their source keys.

mod client;
pub mod control;
pub mod cutover;
mod history;
mod listen;
mod notify;
mod page;
mod peer;
mod router;
mod status;
#[cfg(test)]
pub(crate) mod tests;
pub mod verify;

pub use crate::cutover::Gate;
pub use client::{Client, socket_path};
pub use listen::{Servers, serve};
pub use notify::{Notify, line};
pub use peer::Peer;
pub use router::refused;
pub use status::{LagSeconds, PositionStatus, READY_LAG_SECONDS, Status, Stopped, TableStatus};

use futures_util::future::BoxFuture;

use crate::checkpoint::{AuditEntry, DeadLetterPage};
use crate::error::Result;

/// Where the answers come from: the running daemon.
pub trait StatusSource: Send + Sync + 'static {
    /// What is known now, without waiting for anything; `caught_up` is ignored.
    fn status(&self) -> Status;

    /// Whether the snapshot is complete, nothing is in flight, and the stream is at the source's position **as read after
    /// this was called**. False where the source does not answer.
    fn caught_up(&self) -> BoxFuture<'_, bool>;

    /// A page of dead letters, from `from` (a page's `next`) on.
    fn dead_letters(
        &self,
        from: Option<String>,
        limit: usize,
    ) -> BoxFuture<'_, Result<DeadLetterPage>>;

    /// Transactions of this run that are in DynamoDB.
    fn applied(&self) -> u64 {
        0
    }

    /// Items of this run that DynamoDB has acknowledged.
    fn written(&self) -> u64 {
        0
    }

    /// The newest entries of the audit log, the newest first.
    fn audit(&self, _most: usize) -> BoxFuture<'_, Vec<AuditEntry>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    /// Sets the gauges that change by themselves (ages), just before they are rendered.
    fn refresh_metrics(&self) {}
}
