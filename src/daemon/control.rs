//! What operators do to the running flow: pauses, and dead letters tried again.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::filing::{self, PAUSE, RESNAPSHOT, RESUME, RETRY};
use super::resnapshot::Resnapshot;
use super::rows::Rows;
use super::shared::Shared;
use crate::admin::Peer;
use crate::admin::control::{Again, Controls, Retried, Retry, Which};
use crate::checkpoint::{DeadLetter, DeadLetterPage, Store};
use crate::error::{Error, Kind, Result};
use crate::plan::ProjectionId;
use crate::source::row_key;

/// Dead letters that are tried for one answer.
const PAGE: usize = 500;

/// Controls of one daemon.
pub struct Control {
    pub shared: Arc<Shared>,
    pub store: Arc<Store>,
    pub rows: Arc<Rows>,
    pub resnapshot: Arc<Resnapshot>,
}

impl Controls for Control {
    fn pause(&self, who: Peer) -> BoxFuture<'_, Result<Value>> {
        Box::pin(async move {
            let paused = self.shared.pause(who.to_string()).await?;
            self.audit(&who, PAUSE, "").await?;
            Ok(json!(paused))
        })
    }

    fn resume(&self, who: Peer) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async move {
            let resumed = self.shared.resume().await?;
            if resumed {
                self.audit(&who, RESUME, "").await?;
            }
            Ok(resumed)
        })
    }

    fn resnapshot(&self, which: Which, who: Peer) -> BoxFuture<'_, Result<String>> {
        Box::pin(async move {
            let begun = self.resnapshot.begin(&which.table, who.to_string()).await?;
            self.audit(&who, RESNAPSHOT, &begun).await?;
            Ok(begun)
        })
    }

    fn resnapshots(&self) -> Result<Vec<Again>> {
        self.resnapshot.progress()
    }

    fn retry(&self, which: Retry, who: Peer) -> BoxFuture<'_, Result<Retried>> {
        Box::pin(async move {
            if which.from.is_none() {
                self.audit(&who, RETRY, "").await?;
            }
            self.retry_page(which).await
        })
    }
}

impl Control {
    async fn retry_page(&self, which: Retry) -> Result<Retried> {
        let page = self.letters(which.from.clone()).await?;
        let plan = &self.shared.plan;
        let mut retried = Retried {
            next: page.next,
            ..Retried::default()
        };
        let mut by_projection: BTreeMap<ProjectionId, Vec<Arc<str>>> = BTreeMap::new();
        let mut tried: Vec<DeadLetter> = Vec::new();
        for letter in page.letters {
            let is_wanted = |wanted: &Option<String>, is: &str| {
                wanted.as_deref().is_none_or(|wanted| wanted == is)
            };
            if !is_wanted(&which.projection, &letter.projection)
                || !is_wanted(&which.source_key, &letter.source_key)
            {
                continue;
            }
            let projection = plan
                .projections
                .iter()
                .find(|p| p.label == letter.projection);
            let known = projection
                .filter(|p| row_key::condition(plan.source(p.driving), &letter.source_key).is_ok());
            let Some(projection) = known else {
                retried.unknown += 1;
                continue;
            };
            let names = by_projection.entry(projection.id).or_default();
            names.push(Arc::from(letter.source_key.as_str()));
            tried.push(letter);
        }
        for (projection, names) in &by_projection {
            self.rows.reread(*projection, names).await?;
        }
        retried.tried = tried.len() as u64;
        retried.cleared = self.gone(tried).await?;
        Ok(retried)
    }

    async fn letters(&self, from: Option<String>) -> Result<DeadLetterPage> {
        let store = Arc::clone(&self.store);
        blocking(move || store.dead_letters(from.as_deref(), PAGE)).await
    }

    /// How many of the letters are there no more.
    async fn gone(&self, letters: Vec<DeadLetter>) -> Result<u64> {
        let store = Arc::clone(&self.store);
        blocking(move || {
            let mut gone = 0;
            for letter in &letters {
                let found = store.dead_letter(&letter.projection, &letter.source_key)?;
                gone += u64::from(found.is_none());
            }
            Ok(gone)
        })
        .await
    }

    async fn audit(&self, who: &Peer, action: &str, detail: &str) -> Result<()> {
        filing::audit(&self.store, &who.to_string(), action, detail).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::new(Kind::Internal, "a task of the store failed").with_source(e))?
}
