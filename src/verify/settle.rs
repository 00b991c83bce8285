//! Suspects become findings, or nothing: only what differs twice while the stream leaves it alone is a difference.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::judge::{Difference, Name, judge};
use super::own::disagrees;
use super::pass::{Engine, Held, lock};
use super::report::Report;
use super::session::Session;
use crate::error::{Directive, Result};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// Keys that are judged in one bracket.
const AT_ONCE: usize = 500;
/// Looks that have to find the same, the first one included.
const LOOKS: u8 = 2;

/// An item that may differ.
pub(super) struct Suspect {
    name: Name,
    /// How often it differed while the stream left it alone.
    seen: u8,
    since: Instant,
    last: Option<Difference>,
    /// Keeps the chunk from being done.
    _held: Option<Arc<Held>>,
}

impl Suspect {
    /// Nothing is known of it yet.
    pub fn new(name: Name) -> Self {
        Self {
            name,
            seen: 0,
            since: Instant::now(),
            last: None,
            _held: None,
        }
    }

    /// It differed once.
    pub fn seen(name: Name, difference: Difference, touched: bool, held: Arc<Held>) -> Self {
        Self {
            name,
            seen: u8::from(!touched),
            since: Instant::now(),
            last: Some(difference),
            _held: Some(held),
        }
    }
}

impl Engine {
    /// Looks at them until each is equal, differs for certain, or cannot be decided.
    pub(super) async fn settle(
        &self,
        session: &mut Session,
        mut suspects: Vec<Suspect>,
        report: &Mutex<Report>,
    ) -> Result<()> {
        while !suspects.is_empty() {
            tokio::time::sleep(PAUSE).await;
            let mut open = Vec::new();
            while !suspects.is_empty() {
                let rest = suspects.split_off(AT_ONCE.min(suspects.len()));
                let some = std::mem::replace(&mut suspects, rest);
                open.extend(self.look(session, some, report).await?);
            }
            suspects = open;
        }
        Ok(())
    }

    /// One look at each; those that are still open come back.
    async fn look(
        &self,
        session: &mut Session,
        suspects: Vec<Suspect>,
        report: &Mutex<Report>,
    ) -> Result<Vec<Suspect>> {
        let names: Vec<Name> = suspects.iter().map(|s| s.name.clone()).collect();
        let judged = judge(&self.plan, session, &self.target, &*self.flow, &names).await;
        let verdicts = match judged {
            Ok(verdicts) => verdicts,
            // What was never judged must not be forgotten with what has been open for too long.
            Err(error) if suspects.iter().any(|s| s.last.is_none() && self.is_old(s)) => {
                return Err(error);
            }
            Err(error) if error.directive() == Directive::Retry => {
                tracing::warn!(%error, "what differs is looked at again");
                tokio::time::sleep(Duration::from_secs(1)).await;
                if let Ok(fresh) = self.session().await {
                    *session = fresh;
                }
                return Ok(self.without_the_old(suspects, report));
            }
            Err(error) => return Err(error),
        };
        let mut open = Vec::new();
        for (mut suspect, verdict) in suspects.into_iter().zip(verdicts) {
            let Some(difference) = verdict.difference else {
                continue;
            };
            suspect.seen = match verdict.touched {
                true => 0,
                false => suspect.seen + 1,
            };
            if suspect.seen < LOOKS {
                suspect.last = Some(difference);
                open.push(suspect);
                continue;
            }
            let disagrees = disagrees(&self.plan, session, &difference).await;
            self.progress.mismatch();
            let kind = difference.wrong.word();
            tracing::debug!(kind, "an item differs");
            lock(report).add(
                &self.plan,
                &suspect.name,
                &difference,
                false,
                disagrees,
                self.show_values,
            );
        }
        Ok(self.without_the_old(open, report))
    }

    fn is_old(&self, suspect: &Suspect) -> bool {
        suspect.since.elapsed() > self.patience
    }

    /// What has been open for too long is reported as undecided; what was never judged stays open.
    fn without_the_old(&self, open: Vec<Suspect>, report: &Mutex<Report>) -> Vec<Suspect> {
        let over = |s: &Suspect| s.last.is_some() && self.is_old(s);
        let (old, young): (Vec<_>, Vec<_>) = open.into_iter().partition(over);
        for suspect in old {
            if let Some(difference) = &suspect.last {
                let (plan, name) = (&self.plan, &suspect.name);
                lock(report).add(plan, name, difference, true, None, self.show_values);
            }
        }
        young
    }
}
