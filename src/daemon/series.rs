//! Series that begin at 0: who draws a rate or asks for a change needs the value from before the first event.

use crate::metrics::{
    DEAD_LETTERS_SEEN, PARITY_CLEAN, PARITY_ITEMS, PARITY_MISMATCHES, PARITY_RATIO,
    SNAPSHOT_REREAD_CHUNKS, SNAPSHOT_REREAD_ROWS, SNAPSHOT_RESTARTS, SNAPSHOT_ROWS,
    SOURCE_CONNECTED, SOURCE_EVENTS,
};
use crate::plan::Plan;
use crate::source::decode::event::types;
use crate::verify::judge::Wrong;

/// Declares what this plan may count. Everything else is declared by who counts it.
pub fn declare(plan: &Plan) {
    SOURCE_CONNECTED.with([]).set(0.0);
    for code in 0..=u8::MAX {
        SOURCE_EVENTS.with([types::name(code)]).increment(0);
    }
    for source in plan.sources.iter().filter(|s| !s.watched_only) {
        let table = source.name.to_string();
        for counters in [
            SNAPSHOT_ROWS,
            SNAPSHOT_REREAD_CHUNKS,
            SNAPSHOT_REREAD_ROWS,
            SNAPSHOT_RESTARTS,
        ] {
            counters.with([&table]).increment(0);
        }
    }
    // Unknown until a comparison has ended: 0 mismatches would be a claim.
    PARITY_ITEMS.with([]).increment(0);
    PARITY_RATIO.with([]).set(f64::NAN);
    PARITY_CLEAN.with([]).set(0.0);
    for kind in Wrong::ALL {
        PARITY_MISMATCHES.with([kind.word()]).set(f64::NAN);
    }
    for projection in &plan.projections {
        DEAD_LETTERS_SEEN.with([&projection.label]).increment(0);
    }
}
