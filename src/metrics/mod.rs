//! What Prometheus sees: every metric's name, labels and help text stand once, in one table.
//!
//! Names are `penstock_<noun>_<unit>`, and `_total` for counters. Labels are bounded: tables of the contract, words of
//! the enums below, never keys, GTIDs or addresses. A call site takes a handle once ([`Counters::with`]) and
//! keeps it: looking one up costs more than counting.

mod exposition;
#[cfg(test)]
mod tests;

use metrics::{Counter, Gauge, Histogram, Label};

pub use exposition::Exposition;

/// Counters of one name; `N` labels.
#[derive(Debug)]
pub struct Counters<const N: usize> {
    name: &'static str,
    labels: [&'static str; N],
}

/// Gauges of one name.
#[derive(Debug)]
pub struct Gauges<const N: usize> {
    name: &'static str,
    labels: [&'static str; N],
}

/// Histograms of one name.
#[derive(Debug)]
pub struct Histograms<const N: usize> {
    name: &'static str,
    labels: [&'static str; N],
}

impl<const N: usize> Counters<N> {
    /// The counter with these label values.
    pub fn with(&self, values: [&str; N]) -> Counter {
        metrics::counter!(self.name, labels(&self.labels, values))
    }
}

impl<const N: usize> Gauges<N> {
    /// The gauge with these label values.
    pub fn with(&self, values: [&str; N]) -> Gauge {
        metrics::gauge!(self.name, labels(&self.labels, values))
    }
}

impl<const N: usize> Histograms<N> {
    /// The histogram with these label values.
    pub fn with(&self, values: [&str; N]) -> Histogram {
        metrics::histogram!(self.name, labels(&self.labels, values))
    }
}

fn labels<const N: usize>(names: &[&'static str; N], values: [&str; N]) -> Vec<Label> {
    names
        .iter()
        .zip(values)
        .map(|(name, value)| Label::new(*name, value.to_string()))
        .collect()
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Counter,
    Gauge,
    Histogram,
}

/// A metric as the documentation has it.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    pub name: &'static str,
    pub shape: Shape,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

/// Declares constants for the metrics, and [`ALL`] with the same facts.
macro_rules! metrics_table {
    ($($constant:ident: $family:ident $shape:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: $family<{ <[&'static str]>::len(&[$($label),*]) }> = $family {
                name: $name,
                labels: [$($label),*],
            };
        )*
        /// Every metric.
        pub const ALL: &[Description] = &[$(Description {
            name: $name,
            shape: Shape::$shape,
            labels: &[$($label),*],
            help: $help,
        }),*];
    };
}

metrics_table! {
    BUILD_INFO: Gauges Gauge "penstock_build_info" ["version"] "1, with the version as a label.";
    START_TIME: Gauges Gauge "penstock_process_start_time_seconds" [] "When the process started, in seconds since 1970.";
    PHASE: Gauges Gauge "penstock_phase_info" ["phase"] "1 for the phase that the daemon is in, 0 for the others.";
    LAG: Gauges Gauge "penstock_lag_seconds" ["stage"] "Seconds behind the source: read (received), apply (durable in DynamoDB). NaN while unknown; 0 only when known to be 0.";

    SOURCE_CONNECTED: Gauges Gauge "penstock_source_connected_info" [] "1 while the binlog stream is connected.";
    SOURCE_RECONNECTS: Counters Counter "penstock_source_reconnects_total" [] "Times the binlog stream was connected again.";
    SOURCE_HEARTBEAT_AGE: Gauges Gauge "penstock_source_heartbeat_age_seconds" [] "Seconds since the source sent anything, heartbeats included.";
    SOURCE_RETENTION_HEADROOM: Gauges Gauge "penstock_source_binlog_retention_headroom_seconds" [] "Seconds until the source may purge what is not in DynamoDB yet, by binlog_expire_logs_seconds (RDS purges on a schedule of its own); +Inf where it never does, NaN where the lag is not known.";
    SOURCE_EVENTS: Counters Counter "penstock_source_events_total" ["type"] "Binlog events received, by type.";
    SOURCE_BYTES: Counters Counter "penstock_source_read_bytes_total" [] "Bytes of binlog received.";
    SOURCE_TRANSACTIONS: Counters Counter "penstock_source_transactions_total" [] "Transactions received.";
    SOURCE_ROWS: Counters Counter "penstock_source_rows_total" ["table", "kind"] "Row changes of the contract's tables: insert, update, delete.";

    CASCADED_ROWS: Counters Counter "penstock_source_cascaded_rows_total" ["table", "kind"] "Rows changed by foreign keys without a word in the binlog, derived from their parents: update, delete.";

    SNAPSHOT_ROWS: Counters Counter "penstock_snapshot_rows_total" ["table"] "Rows that the snapshot has read.";
    SNAPSHOT_COPIED: Gauges Gauge "penstock_snapshot_copied_rows" ["table"] "Rows of the table's copy that are durable, those of earlier runs included.";
    SNAPSHOT_ESTIMATE: Gauges Gauge "penstock_snapshot_estimated_rows" ["table"] "Rows in the table: as the optimizer estimated when its copy began, as counted once it is complete.";
    SNAPSHOT_OPEN_CHUNKS: Gauges Gauge "penstock_snapshot_open_chunks" ["table"] "Chunks handed out and not yet durable.";
    SNAPSHOT_REREAD_CHUNKS: Counters Counter "penstock_snapshot_reread_chunks_total" ["table"] "Chunks read a second time, after a restart or because their window was voided.";
    SNAPSHOT_REREAD_ROWS: Counters Counter "penstock_snapshot_reread_rows_total" ["table"] "Rows of chunks that were read a second time.";
    SNAPSHOT_RESTARTS: Counters Counter "penstock_snapshot_restart_events_total" ["table"] "Times a table's copy began again because a cascade that the binlog does not tell went through rows that were not known yet.";

    QUEUE_ITEMS: Gauges Gauge "penstock_queue_items" ["queue"] "Entries in a queue.";
    QUEUE_BYTES: Gauges Gauge "penstock_queue_bytes" ["queue"] "Bytes in a queue.";
    QUEUE_CAPACITY_ITEMS: Gauges Gauge "penstock_queue_capacity_items" ["queue"] "Entries that a queue may hold.";
    QUEUE_CAPACITY_BYTES: Gauges Gauge "penstock_queue_capacity_bytes" ["queue"] "Bytes that a queue may hold.";
    OPEN_SEQUENCES: Gauges Gauge "penstock_pipeline_open_sequences" [] "Transactions and chunks whose items are not all durable.";
    COALESCED: Counters Counter "penstock_pipeline_coalesced_items_total" ["table"] "Items that a later write to the same key replaced before they were sent.";

    TARGET_ITEMS: Counters Counter "penstock_target_items_total" ["table", "operation"] "Items that DynamoDB has acknowledged: put, delete.";
    TARGET_BYTES: Counters Counter "penstock_target_written_bytes_total" ["table"] "Size of the items put, as DynamoDB counts it.";
    TARGET_REQUESTS: Counters Counter "penstock_target_requests_total" ["operation", "outcome"] "Requests sent: ok, partial, error.";
    TARGET_REQUEST_DURATION: Histograms Histogram "penstock_target_request_duration_seconds" ["operation"] "How long requests to DynamoDB took.";
    TARGET_RETRIES: Counters Counter "penstock_target_retries_total" ["reason"] "Requests repeated, by reason.";
    TARGET_THROTTLES: Counters Counter "penstock_target_throttles_total" ["table"] "Requests that DynamoDB throttled.";
    TARGET_UNPROCESSED: Counters Counter "penstock_target_unprocessed_items_total" ["table"] "Items that DynamoDB gave back unprocessed.";
    TARGET_RATE: Gauges Gauge "penstock_target_rate_limit_items" ["table"] "Items per second that the adaptive rate allows at present.";

    STATE_DISK: Gauges Gauge "penstock_state_disk_bytes" [] "Bytes on disk of the state that joins are computed from.";
    STATE_OVERLAY: Gauges Gauge "penstock_state_overlay_bytes" [] "Bytes of that state in memory that no checkpoint has committed yet.";
    STATE_BUFFER: Gauges Gauge "penstock_state_buffer_bytes" [] "Bytes of that state that the store holds in memory until it writes them out.";
    STATE_READS: Counters Counter "penstock_state_reads_total" ["layer"] "Reads of single keys of that state, by where they were found: overlay (memory), scratch (spilled), base (committed), none.";
    STATE_PAGES: Counters Counter "penstock_state_pages_total" [] "Pages of its indexes and rows that were read in order.";
    STATE_PAGE_ENTRIES: Counters Counter "penstock_state_page_entries_total" [] "Entries that these pages gave.";
    STATE_SPILLED: Counters Counter "penstock_state_spilled_bytes_total" [] "Bytes of it that went to disk before their checkpoint because they did not fit into memory.";
    STATE_COMMITTED: Counters Counter "penstock_state_committed_entries_total" [] "Entries of it that checkpoints have committed.";

    CHECKPOINT_AGE: Gauges Gauge "penstock_checkpoint_age_seconds" [] "Seconds since the last checkpoint was committed.";
    CHECKPOINT_COMMITS: Counters Counter "penstock_checkpoint_commits_total" [] "Checkpoints committed.";
    CHECKPOINT_DURATION: Histograms Histogram "penstock_checkpoint_commit_duration_seconds" [] "How long commits took until they were on disk.";
    PARITY_ITEMS: Counters Counter "penstock_parity_items_checked_total" [] "Items that were compared with what MySQL says they must be.";
    PARITY_MISMATCHES: Gauges Gauge "penstock_parity_mismatches" ["kind"] "Items that differed in the last comparison that ended: missing, different, extra. NaN while there was none.";
    PARITY_RATIO: Gauges Gauge "penstock_parity_ratio" [] "Share of items that were equal in the last comparison that ended. NaN while there was none.";
    PARITY_CLEAN: Gauges Gauge "penstock_parity_last_clean_pass_timestamp_seconds" [] "When the last full comparison that found both sides equal ended, in seconds since 1970; 0 while there was none.";

    DEAD_LETTERS: Gauges Gauge "penstock_dead_letter_rows" [] "Rows that have no valid item, once for each projection.";
    GATE_OPEN: Gauges Gauge "penstock_gate_open" ["gate"] "1 while a gate of the cutover is open, 0 while it is shut; read every few seconds.";
    DEAD_LETTERS_SEEN: Counters Counter "penstock_dead_letter_events_total" ["projection"] "Times a row without a valid item was met.";
}

/// Words that are label values: an enum, so that a call site cannot invent one.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $word:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($variant),* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// The label's value.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word),* }
            }
        }
    };
}

words! {
    /// Where lag is measured.
    Stage { Read = "read", Apply = "apply" }
}
words! {
    /// What happened to a row.
    RowKind { Insert = "insert", Update = "update", Delete = "delete" }
}
words! {
    /// What was done to an item.
    Operation { Put = "put", Delete = "delete" }
}
words! {
    /// Why a request was repeated.
    RetryReason {
        Throttled = "throttled",
        Unprocessed = "unprocessed",
        Timeout = "timeout",
        Connection = "connection",
        Server = "server_error",
        Unreadable = "unreadable_answer",
    }
}
words! {
    /// The queues of the flow.
    Queue { Events = "events", Rows = "rows", Chunks = "chunks", Lanes = "lanes" }
}
words! {
    /// Where a read of the joins' state ended.
    Layer { Overlay = "overlay", Scratch = "scratch", Base = "base", None = "none" }
}
words! {
    /// How a request ended.
    Outcome { Ok = "ok", Partial = "partial", Error = "error" }
}

/// Shows the phase: 1 for this one, 0 for all others.
pub fn set_phase(phase: crate::phase::Phase) {
    for one in crate::phase::Phase::ALL {
        PHASE
            .with([one.name()])
            .set(if one == phase { 1.0 } else { 0.0 });
    }
}

/// The lag of a stage in seconds; `None` is unknown, never 0.
pub fn set_lag(stage: Stage, seconds: Option<f64>) {
    LAG.with([stage.word()]).set(seconds.unwrap_or(f64::NAN));
}

/// The counter of a table's row changes.
pub fn source_rows(table: &crate::schema::TableName, kind: RowKind) -> Counter {
    SOURCE_ROWS.with([&table.to_string(), kind.word()])
}

/// The counter of a DynamoDB table's acknowledged writes.
pub fn target_items(table: &str, operation: Operation) -> Counter {
    TARGET_ITEMS.with([table, operation.word()])
}

/// The counter of repeated requests.
pub fn target_retries(reason: RetryReason) -> Counter {
    TARGET_RETRIES.with([reason.word()])
}

/// The four gauges of a queue.
#[derive(Clone)]
pub struct QueueGauges {
    pub items: Gauge,
    pub bytes: Gauge,
}

/// The gauges of a queue's fill; its capacities are set here, once.
pub fn queue(queue: Queue, capacity_items: usize, capacity_bytes: usize) -> QueueGauges {
    let name = [queue.word()];
    QUEUE_CAPACITY_ITEMS.with(name).set(capacity_items as f64);
    QUEUE_CAPACITY_BYTES.with(name).set(capacity_bytes as f64);
    QueueGauges {
        items: QUEUE_ITEMS.with(name),
        bytes: QUEUE_BYTES.with(name),
    }
}
