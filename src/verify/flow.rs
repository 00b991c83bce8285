//! What a comparison needs to know of the stream that goes on beside it.

use futures_util::future::BoxFuture;

use crate::error::Result;
use crate::pipeline::Key;
use crate::plan::TargetId;
use crate::position::GtidSet;

/// The running stream.
pub trait Flow: Send + Sync {
    /// Watches what the view writes from now on.
    fn watch(&self) -> BoxFuture<'_, Result<Box<dyn Watching>>>;

    /// Waits until every transaction of the set is in DynamoDB.
    fn durable<'a>(&'a self, gtids: &'a GtidSet) -> BoxFuture<'a, Result<()>>;
}

/// A watch; dropping it ends it.
pub trait Watching: Send + Sync {
    /// What the stream had received when it was opened. Whoever reads MySQL after that is visible sees everything that was
    /// written before.
    fn received(&self) -> &GtidSet;

    /// Whether the item was written since, or that is not known.
    fn is_touched(&self, target: TargetId, key: &Key) -> bool;
}
