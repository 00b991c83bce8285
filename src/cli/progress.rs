//! How a run goes, for whoever started it: the copy, the way to the source's end, what is left at the end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bars::{Speed, Voice, Wait, Way};
use super::drain::Left;
use crate::checkpoint::TableState;
use crate::daemon::{Answers, Shared};

const LOOK: Duration = Duration::from_millis(250);

/// Shows the copy and, where that is waited for, the way to the source's end; never ends by itself.
pub(super) async fn of_run(answers: Arc<Answers>, until_caught_up: bool) -> Infallible {
    let shared = &answers.shared;
    copy(shared).await;
    if until_caught_up {
        catch_up(shared, &answers).await;
    }
    std::future::pending().await
}

async fn copy(shared: &Shared) {
    if shared.is_copied() {
        return;
    }
    let mut wait = Wait::new("copy", Voice::Log);
    let mut speed = Speed::default();
    while !shared.is_copied() && shared.failure().is_none() {
        let tables = shared.progress.tables();
        let copied = tables
            .iter()
            .filter(|t| t.state == TableState::Done)
            .count();
        let done = tables.iter().map(|t| t.rows).sum();
        let estimated: u64 = tables.iter().map(|t| t.estimated_rows.max(t.rows)).sum();
        let way = Way {
            done,
            of: estimated,
        };
        speed.look(Instant::now(), done);
        if copied == tables.len() && copied > 0 {
            wait.show(Way::default(), "the items of joined rows are made", "");
        } else {
            let of_tables = format!("{copied} of {} tables", tables.len());
            let words = [of_tables, speed.words(way, "rows")];
            let words: Vec<String> = words.into_iter().filter(|w| !w.is_empty()).collect();
            wait.show(way, "rows copied:", &words.join(", "));
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn catch_up(shared: &Shared, answers: &Answers) {
    let mut wait = Wait::new("catch up", Voice::Log);
    let mut left = Left::default();
    while shared.failure().is_none() {
        let in_flight = format!("{} items in flight", answers.gatehouse.in_flight());
        match shared.behind() {
            Some(behind) if behind > 0 => {
                wait.show(left.way(behind), "transactions replicated:", &in_flight);
            }
            _ => wait.show(Way::default(), &in_flight, ""),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Shows what is left of what was in flight, until `drained` has its answer.
pub(super) async fn of_drain<T>(answers: Arc<Answers>, drained: impl Future<Output = T>) -> T {
    let mut wait = Wait::new("drain", Voice::Log);
    let mut left = Left::default();
    let mut drained = std::pin::pin!(drained);
    loop {
        let items = answers.gatehouse.in_flight() as u64;
        wait.show(
            left.way(items),
            "items written:",
            &format!("{items} in flight"),
        );
        tokio::select! {
            biased;
            answer = &mut drained => return answer,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}
