//! What is asked of a cutover over the socket: begin it, follow it, give it up, take it back, rehearse it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::{filing, rehearse, rest::cut_over};
use super::{Attempt, Cutover, UnderWay, failed};
use crate::admin::Peer;
use crate::admin::cutover::Desk;
use crate::checkpoint::now_unix_ms;
use crate::cutover::{Checked, FACT, Options, Outcome, Progress, Rehearsal, Standing, Times};
use crate::error::{Error, Kind, Result};
use crate::phase::Phase;

/// One that is given up has so long to end.
const ENDING: Duration = Duration::from_secs(50);

impl Desk for Cutover {
    fn begin(self: Arc<Self>, options: Options, who: Peer) -> BoxFuture<'static, Result<()>> {
        Box::pin(async move {
            if self.shared.phase() == Phase::CutOver {
                return Err(cut_over());
            }
            let aborted = CancellationToken::new();
            {
                let mut under_way = self.lock();
                if under_way.is_some() {
                    return Err(busy());
                }
                *under_way = Some(UnderWay {
                    attempt: self.progress.borrow().attempt + 1,
                    aborted: aborted.clone(),
                });
            }
            self.progress.send_modify(|progress| {
                *progress = Progress {
                    version: progress.version + 1,
                    attempt: progress.attempt + 1,
                    ..Progress::default()
                };
            });
            *self.follower() = Instant::now();
            let attempt = Attempt {
                who: who.to_string(),
                begun: Instant::now(),
                times: Times {
                    begun: now_unix_ms(),
                    ..Times::default()
                },
                checked: Checked::default(),
                aborted,
                error: None,
                report: None,
                options,
            };
            if !attempt.options.dry_run {
                let asked = attempt.options.words();
                let noted = self.audit(&attempt.who, filing::BEGUN, &asked).await;
                if let Err(error) = noted {
                    *self.lock() = None;
                    self.tell_outcome(failed(&error));
                    return Err(error);
                }
            }
            tokio::spawn(self.carry_out(attempt));
            Ok(())
        })
    }

    fn progress(&self) -> watch::Receiver<Progress> {
        *self.follower() = Instant::now();
        self.progress.subscribe()
    }

    fn abort(&self, who: Peer) -> BoxFuture<'_, Result<Outcome>> {
        Box::pin(async move {
            let Some(under_way) = self.lock().clone() else {
                return Err(Error::new(Kind::Usage, "no cutover is under way")
                    .with_remedy("`penstock cutover --reopen` takes back one that has been made"));
            };
            under_way.aborted.cancel();
            self.audit(&who.to_string(), filing::ABORT, "").await?;
            // It may be at its last step, which is not given up.
            self.outcome_of(under_way.attempt).await
        })
    }

    fn reopen(&self, who: Peer) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.take_back(&who).await })
    }

    fn rehearse(&self, who: Peer) -> BoxFuture<'_, Result<Rehearsal>> {
        Box::pin(async move {
            self.audit(&who.to_string(), filing::REHEARSAL, "").await?;
            rehearse::rehearse(&self.shared, &self.gatehouse, self.drain_within).await
        })
    }
}

impl Cutover {
    /// Decided by the fact: the phase may say that the daemon has stopped.
    async fn take_back(&self, who: &Peer) -> Result<()> {
        if self.lock().is_some() {
            return Err(busy());
        }
        let standing: Option<Standing> = self.shared.facts.get(FACT)?;
        let reopened = filing::reopened(standing)?;
        // The committer may have ended with the flow, and may be waiting for what the seal holds back.
        if self
            .shared
            .facts
            .set_durably(FACT, &reopened)
            .await
            .is_err()
        {
            filing::reopen_stored(&self.store).await?;
        }
        let position = &reopened.report.position.gtids;
        filing::note_reopened(&self.store, &who.to_string(), position).await;
        self.reopened.cancel();
        Ok(())
    }

    /// How the attempt ends, if it does so soon.
    async fn outcome_of(&self, attempt: u64) -> Result<Outcome> {
        let mut progress = self.progress.subscribe();
        let over = |now: &Progress| {
            now.attempt > attempt || now.attempt == attempt && now.outcome.is_some()
        };
        let ended = tokio::time::timeout(ENDING, progress.wait_for(over)).await;
        let outcome = match ended {
            Ok(Ok(now)) if now.attempt == attempt => now.outcome.clone(),
            _ => None,
        };
        outcome.ok_or_else(|| {
            Error::new(Kind::Interrupted, "how the cutover ends is not known yet")
                .with_remedy("`penstock status` tells whether the phase is cut_over")
        })
    }
}

/// What a reopening finds where nothing is cut over.
pub fn not_cut_over() -> Error {
    Error::new(Kind::Usage, "no cutover has been made").with_remedy(
        "`penstock cutover` makes one; `penstock cutover --abort` gives up one that is under way",
    )
}

fn busy() -> Error {
    Error::new(Kind::Usage, "a cutover is under way already")
        .with_remedy("wait for it, or give it up: `penstock cutover --abort`")
}
