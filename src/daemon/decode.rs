//! The two threads between the network and the lanes, and the task that feeds them.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::budget::Budget;
use super::requests::Ends;
use super::shared::Shared;
use super::stage::{Queued, Stage};
use super::start::{report, thread};
use crate::error::{Error, Kind, Result};
use crate::metrics;
use crate::source;
use crate::source::stream::{self, Delivery, Stream, StreamState};
use crate::source::transaction::{Assembler, StreamItem};

/// Items that wait between decode and view; their bytes have a budget of their own.
const ROWS_QUEUE: usize = 1024;
/// What an item without rows counts for.
const ITEM_OVERHEAD: usize = 128;

/// What the flow from the dump to the lanes is made of.
pub struct Flow {
    pub stage: Stage,
    pub requests: Ends,
    pub view_stopped: Receiver<()>,
    pub assembler: Assembler,
    pub options: Arc<source::Options>,
    pub shared: Arc<Shared>,
    pub reading: CancellationToken,
    pub failed: mpsc::UnboundedSender<Error>,
    pub server_id: u32,
    /// Foreign keys change tables of the contract, and the server logs it.
    pub needs_cascades: bool,
    /// Bytes for each of the two queues.
    pub memory: usize,
}

/// Starts the dump task, the decode thread and the view thread.
pub fn spawn(flow: Flow) -> Result<Vec<(&'static str, JoinHandle<()>)>> {
    let budget = stream::Budget {
        bytes: flow.memory,
        ..stream::Budget::default()
    };
    let (stream, deliveries, state) = Stream::new(
        (*flow.options).clone(),
        flow.server_id,
        flow.assembler.completed().clone(),
        flow.needs_cascades,
        budget,
        flow.reading.clone(),
    );
    let stream = stream.held_while(flow.shared.pause.holds());
    tokio::spawn(watch_connection(state, Arc::clone(&flow.shared)));
    let failed = flow.failed.clone();
    tokio::spawn(report(failed, stream.run()));

    let (items_in, items_out) = crossbeam_channel::bounded(ROWS_QUEUE);
    let gauges = metrics::queue(metrics::Queue::Rows, ROWS_QUEUE, flow.memory);
    let rows = Budget::new(flow.memory, gauges);
    let mut assembler = flow.assembler;
    let failed = flow.failed.clone();
    let reading = flow.reading.clone();
    let shared = Arc::clone(&flow.shared);
    let decode_rows = Arc::clone(&rows);
    let decode = thread("decode", failed.clone(), move || {
        let decoded = decode_all(
            &deliveries,
            &mut assembler,
            &items_in,
            &decode_rows,
            &shared,
        );
        fail(decoded, "decode", &reading, &failed);
    })?;
    let (requests, stopped) = (flow.requests, flow.view_stopped);
    let (reading, failed) = (flow.reading, flow.failed);
    let stage = flow.stage;
    let view = thread("view", failed.clone(), move || {
        let viewed = stage.run(&items_out, &requests, &stopped);
        // Wakes the decode thread, wherever it waits.
        drop(items_out);
        rows.close();
        fail(viewed, "view", &reading, &failed);
    })?;
    Ok(vec![decode, view])
}

fn decode_all(
    deliveries: &Receiver<Delivery>,
    assembler: &mut Assembler,
    items: &Sender<Queued>,
    rows: &Arc<Budget>,
    shared: &Shared,
) -> Result<()> {
    let mut gone = false;
    let transactions = metrics::SOURCE_TRANSACTIONS.with([]);
    transactions.increment(0);
    let mut out = |item: StreamItem| {
        shared.heard();
        if gone {
            return Err(view_gone());
        }
        let bytes = match &item {
            StreamItem::Rows { event, .. } => event.bytes.len() + ITEM_OVERHEAD,
            StreamItem::Commit { .. } => {
                transactions.increment(1);
                ITEM_OVERHEAD
            }
            _ => ITEM_OVERHEAD,
        };
        let sent = rows
            .take(bytes)
            .is_some_and(|share| items.send((item, Some(share))).is_ok());
        if sent {
            Ok(())
        } else {
            gone = true;
            Err(view_gone())
        }
    };
    let decoded = stream::decode(deliveries, assembler, &mut out);
    // The view ended first: it has said why, or the daemon is ending.
    if gone { Ok(()) } else { decoded }
}

fn view_gone() -> Error {
    Error::new(Kind::Internal, "the view has ended")
}

fn fail(
    result: Result<()>,
    thread: &str,
    reading: &CancellationToken,
    failed: &mpsc::UnboundedSender<Error>,
) {
    if let Err(error) = result {
        tracing::debug!(thread, "ended with an error");
        let _ = failed.send(error);
        reading.cancel();
    }
}

async fn watch_connection(mut state: watch::Receiver<StreamState>, shared: Arc<Shared>) {
    let mut connected_before = false;
    loop {
        let (connected, reason) = match &*state.borrow_and_update() {
            StreamState::Connecting | StreamState::Held => (false, None),
            StreamState::Streaming { .. } => (true, None),
            StreamState::Waiting { reason, .. } => (false, Some(reason.clone())),
        };
        if connected && connected_before {
            metrics::SOURCE_RECONNECTS.with([]).increment(1);
        }
        connected_before |= connected;
        shared.set_connected(connected);
        shared.trouble.stream(reason);
        if state.changed().await.is_err() {
            shared.set_connected(false);
            return;
        }
    }
}
