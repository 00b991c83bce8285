//! A cutover without consequences: how long the drain takes, what the gates say, what the comparison costs.

use std::time::{Duration, Instant};

use super::readings::Gatehouse;
use super::shared::Shared;
use crate::cutover::{Drain, Moment, ParityCost, Rehearsal};
use crate::error::Result;
use crate::verify::Standing;

/// How often the drain looks.
const LOOK: Duration = Duration::from_millis(10);

/// For so long at least the source is watched.
const STILL: Duration = Duration::from_secs(1);

/// Reads the gates, and waits until the source's present position is durable.
pub async fn rehearse(
    shared: &Shared,
    gatehouse: &Gatehouse,
    within: Duration,
) -> Result<Rehearsal> {
    let gates = gatehouse.read(Moment::Before, false).await;
    let to = gatehouse.position().await?;
    let (begun, applied) = (Instant::now(), shared.applied());
    let in_flight = gatehouse.in_flight() as u64;
    let transactions = to.difference(&shared.durable().gtids).count();
    let mut drained = shared.is_durable(&to);
    while !drained && begun.elapsed() < within && shared.failure().is_none() {
        tokio::time::sleep(LOOK).await;
        drained = shared.is_durable(&to);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let became_durable = (shared.applied() - applied) as f64;
    // A moment without a write is no source that stands still.
    tokio::time::sleep(STILL.saturating_sub(begun.elapsed())).await;
    Ok(Rehearsal {
        open: gates.iter().all(|gate| gate.open),
        gates,
        drain: Drain {
            seconds: drained.then_some(seconds),
            transactions,
            in_flight,
            transactions_per_second: (seconds > 0.05).then(|| became_durable / seconds),
            source_stood_still: gatehouse.position().await? == to,
        },
        parity: cost(shared),
    })
}

fn cost(shared: &Shared) -> ParityCost {
    let standing: Option<Standing> = shared.facts.get("parity").ok().flatten();
    let pass = standing.and_then(|standing| standing.last_pass);
    let full_items = pass.as_ref().map(|pass| pass.items);
    let full_seconds = pass.as_ref().map(|pass| {
        let milliseconds = pass.finished_unix_ms.saturating_sub(pass.started_unix_ms);
        milliseconds as f64 / 1000.0
    });
    let (complete, dirty) = shared.touches.dirt();
    let changed_items = complete.then_some(dirty as u64);
    let changed_seconds = match (changed_items, full_items, full_seconds) {
        (Some(changed), Some(items), Some(seconds)) if items > 0 => {
            Some(seconds * changed as f64 / items as f64)
        }
        _ => None,
    };
    ParityCost {
        full_items,
        full_seconds,
        changed_items,
        changed_seconds,
    }
}
