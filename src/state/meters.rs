//! What the store counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The figures of a store at a moment. Counters count since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// About how much memory the uncommitted versions take.
    pub overlay_bytes: u64,
    /// Uncommitted versions in memory.
    pub overlay_entries: u64,
    /// Bytes of keys and values that went to the scratch store because they did not fit into memory.
    pub spilled_bytes: u64,
    /// Versions that went there.
    pub spilled_entries: u64,
    /// Bytes on disk: base and scratch.
    pub disk_bytes: u64,
    /// Committed or spilled bytes that the databases hold in memory until they are written out.
    pub buffer_bytes: u64,
    /// Reads of single keys, and where they ended.
    pub gets: u64,
    pub overlay_hits: u64,
    pub scratch_hits: u64,
    pub base_hits: u64,
    /// Pages that were read, and the entries that they gave.
    pub pages: u64,
    pub page_entries: u64,
    pub commits: u64,
    /// Entries that commits have written to the base.
    pub committed_entries: u64,
    /// How long the last commit took, with its wait for the disk, and all of them together.
    pub last_commit: Duration,
    pub commit_time: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Meters {
    pub spilled_bytes: AtomicU64,
    pub spilled_entries: AtomicU64,
    pub gets: AtomicU64,
    pub overlay_hits: AtomicU64,
    pub scratch_hits: AtomicU64,
    pub base_hits: AtomicU64,
    pub pages: AtomicU64,
    pub page_entries: AtomicU64,
    pub commits: AtomicU64,
    pub committed_entries: AtomicU64,
    pub last_commit_nanos: AtomicU64,
    pub commit_nanos: AtomicU64,
}

impl Figures {
    /// Reads that found nothing in any layer.
    pub fn misses(&self) -> u64 {
        let hits = self.overlay_hits + self.scratch_hits + self.base_hits;
        self.gets.saturating_sub(hits)
    }
}

/// Adds to a counter.
pub(super) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

impl Meters {
    /// Notes a commit.
    pub fn committed(&self, entries: u64, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        add(&self.commits, 1);
        add(&self.committed_entries, entries);
        add(&self.commit_nanos, nanos);
        self.last_commit_nanos.store(nanos, Ordering::Relaxed);
    }

    /// The counters; what is not counted here is 0.
    pub fn figures(&self) -> Figures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            spilled_bytes: read(&self.spilled_bytes),
            spilled_entries: read(&self.spilled_entries),
            gets: read(&self.gets),
            overlay_hits: read(&self.overlay_hits),
            scratch_hits: read(&self.scratch_hits),
            base_hits: read(&self.base_hits),
            pages: read(&self.pages),
            page_entries: read(&self.page_entries),
            commits: read(&self.commits),
            committed_entries: read(&self.committed_entries),
            last_commit: Duration::from_nanos(read(&self.last_commit_nanos)),
            commit_time: Duration::from_nanos(read(&self.commit_nanos)),
            ..Figures::default()
        }
    }
}
