//! What is shown once a second, often enough for a graph: how full the pipeline is, how large the joins' state.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::shared::Shared;
use crate::metrics::{self, Layer};
use crate::phase::Phase;
use crate::pipeline;
use crate::state::Store;

const INTERVAL: Duration = Duration::from_secs(1);

/// Shows the pipeline's queue.
pub async fn lanes(control: pipeline::Control, queue: metrics::QueueGauges) {
    let sequences = metrics::OPEN_SEQUENCES.with([]);
    loop {
        let now = control.gauges();
        queue.items.set(now.items as f64);
        queue.bytes.set(now.bytes as f64);
        sequences.set(now.sequences as f64);
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Shows how long the source keeps what has not been read, for as long as there is a daemon: most of all while it reads nothing.
pub async fn retention(shared: Weak<Shared>) {
    let headroom = metrics::SOURCE_RETENTION_HEADROOM.with([]);
    while let Some(shared) = shared.upgrade() {
        let flows = shared.phase() != Phase::CutOver;
        headroom.set(
            shared
                .headroom_seconds()
                .filter(|_| flows)
                .unwrap_or(f64::NAN),
        );
        drop(shared);
        tokio::time::sleep(INTERVAL).await;
    }
    headroom.set(f64::NAN);
}

/// Shows the joins' state.
pub async fn state(store: Arc<Store>) {
    let disk = metrics::STATE_DISK.with([]);
    let overlay = metrics::STATE_OVERLAY.with([]);
    let buffer = metrics::STATE_BUFFER.with([]);
    let reads = |layer: Layer| metrics::STATE_READS.with([layer.word()]);
    let (in_overlay, in_scratch) = (reads(Layer::Overlay), reads(Layer::Scratch));
    let (in_base, nowhere) = (reads(Layer::Base), reads(Layer::None));
    let pages = metrics::STATE_PAGES.with([]);
    let entries = metrics::STATE_PAGE_ENTRIES.with([]);
    let spilled = metrics::STATE_SPILLED.with([]);
    let committed = metrics::STATE_COMMITTED.with([]);
    loop {
        let now = store.figures();
        disk.set(now.disk_bytes as f64);
        overlay.set(now.overlay_bytes as f64);
        buffer.set(now.buffer_bytes as f64);
        in_overlay.absolute(now.overlay_hits);
        in_scratch.absolute(now.scratch_hits);
        in_base.absolute(now.base_hits);
        nowhere.absolute(now.misses());
        pages.absolute(now.pages);
        entries.absolute(now.page_entries);
        spilled.absolute(now.spilled_bytes);
        committed.absolute(now.committed_entries);
        tokio::time::sleep(INTERVAL).await;
    }
}
