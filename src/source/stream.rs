//! The stream that does not end: a dump that is opened again after every break, and the decode thread behind it.
//!
//! The task reads events and hands them to the decode thread through a bounded channel, under a budget of bytes that
//! is given back when an event has been decoded. After a break it asks the decode thread what is complete, compares
//! that with the server (lineage, purged binlogs), and goes on there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::metrics::Counter;
use bytes::Bytes;
use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError};
use mysql_async::prelude::Queryable;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::connect;
use super::decode::event::types;
use super::dump::Dump;
use super::options::Options;
use super::preflight;
use super::transaction::{Assembler, Output};
use crate::error::{Directive, Error, Kind, Result};
use crate::metrics::{self, QueueGauges};
use crate::position::{Gtid, GtidSet};

/// The first and the longest pause between two attempts; each is drawn between zero and its bound.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A connection that was good for this long has broken for a reason of its own.
const PROVEN_AFTER: Duration = LONGEST_PAUSE;
/// How long a transaction that was sent early may take until the server counts it as executed; semi-sync waits 10 s
/// for a replica unless it is told otherwise.
const EARLY_SECONDS: u32 = 20;
/// A budget's permit is this many bytes, so that any event fits the semaphore's counter.
const PERMIT: usize = 64;

/// What travels to the decode thread.
pub enum Delivery {
    /// One event; its share goes back when it is dropped.
    Event { bytes: Bytes, share: Share },
    /// The connection is gone; the answer is how far the decode thread came.
    Disconnected { reply: oneshot::Sender<Received> },
}

/// What the decode thread has received.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// Whole transactions: where a new connection goes on.
    pub complete: GtidSet,
    /// One of which only a part came, and of which items may stem.
    pub abandoned: Option<Gtid>,
}

/// What an event takes of the queue, as long as it is there.
pub struct Share {
    gauges: QueueGauges,
    bytes: f64,
    _permit: OwnedSemaphorePermit,
}

impl Share {
    fn new(gauges: QueueGauges, bytes: usize, permit: OwnedSemaphorePermit) -> Self {
        let bytes = bytes as f64;
        gauges.items.increment(1.0);
        gauges.bytes.increment(bytes);
        Self {
            gauges,
            bytes,
            _permit: permit,
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.gauges.items.decrement(1.0);
        self.gauges.bytes.decrement(self.bytes);
    }
}

/// Limits of what is between the network and the decode thread.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Bytes of events under way; one event may exceed it.
    pub bytes: usize,
    pub events: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            bytes: 32 << 20,
            events: 16_384,
        }
    }
}

/// What the stream is doing, for the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamState {
    Connecting,
    /// Events flow, or heartbeats; the server's UUID.
    Streaming {
        server_uuid: String,
    },
    /// Somebody holds the stream: there is no connection.
    Held,
    /// The last attempt failed; the next one comes by itself.
    Waiting {
        reason: String,
        attempts: u32,
    },
}

/// How a connection ended without an error.
enum Ended {
    /// The decode thread is gone.
    Gone,
    /// Somebody holds the stream.
    Held,
}

/// The reading half.
pub struct Stream {
    options: Options,
    server_id: u32,
    received: Received,
    /// Cascades were in the binlog when the plan was checked: a server that does not log them may not take its place.
    needs_cascades: bool,
    sender: Sender<Delivery>,
    budget: Arc<Semaphore>,
    permits: u32,
    gauges: QueueGauges,
    state: watch::Sender<StreamState>,
    /// Whether somebody holds the stream: no connection is kept then.
    held: watch::Receiver<bool>,
    cancel: CancellationToken,
}

impl Stream {
    /// A stream that goes on after `received`, the channel's end for the decode thread, and the state to watch.
    pub fn new(
        options: Options,
        server_id: u32,
        received: GtidSet,
        needs_cascades: bool,
        budget: Budget,
        cancel: CancellationToken,
    ) -> (Self, Receiver<Delivery>, watch::Receiver<StreamState>) {
        let (sender, receiver) = crossbeam_channel::bounded(budget.events.max(1));
        let permits = u32::try_from((budget.bytes / PERMIT).max(1)).unwrap_or(u32::MAX / 8);
        let (state, watch) = watch::channel(StreamState::Connecting);
        let stream = Self {
            options,
            server_id,
            received: Received {
                complete: received,
                abandoned: None,
            },
            needs_cascades,
            sender,
            budget: Arc::new(Semaphore::new(permits as usize)),
            permits,
            gauges: metrics::queue(metrics::Queue::Events, budget.events, budget.bytes),
            state,
            held: watch::channel(false).1,
            cancel,
        };
        (stream, receiver, watch)
    }

    /// The same, keeping no connection while `held` says so. Nothing of it is lost: it goes on behind what was received.
    pub fn held_while(self, held: watch::Receiver<bool>) -> Self {
        Self { held, ..self }
    }

    /// Runs until it is cancelled (`Ok`), or an error that only a person can cure. Unavailable servers are tried
    /// again for ever.
    pub async fn run(mut self) -> Result<()> {
        let cancel = self.cancel.clone();
        let mut attempts = 0;
        loop {
            let mut held = self.held.clone();
            if *held.borrow() {
                self.state.send_replace(StreamState::Held);
                tokio::select! {
                    biased;
                    () = cancel.cancelled() => return Ok(()),
                    () = until(&mut held, false) => {}
                }
                self.state.send_replace(StreamState::Connecting);
            }
            let ended = tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(()),
                ended = self.connected(&mut attempts) => ended,
            };
            let error = match ended {
                Ok(Ended::Gone) => return Ok(()),
                Ok(Ended::Held) => {
                    attempts = 0;
                    match self.synchronized(&cancel).await {
                        true => continue,
                        false => return Ok(()),
                    }
                }
                Err(error) => error,
            };
            if error.directive() != Directive::Retry {
                return Err(error);
            }
            attempts += 1;
            tracing::warn!(attempts, error = %error, remedy = error.remedy(), "the binlog stream broke");
            self.state.send_replace(StreamState::Waiting {
                reason: error.to_string(),
                attempts,
            });
            if !self.synchronized(&cancel).await {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause(attempts)) => {}
            }
        }
    }

    /// Takes over what is complete; false when there is nothing to go on for.
    async fn synchronized(&mut self, cancel: &CancellationToken) -> bool {
        tokio::select! {
            biased;
            () = cancel.cancelled() => false,
            synced = self.synchronize() => match synced {
                Some(received) => {
                    self.received = received;
                    true
                }
                None => false,
            },
        }
    }

    /// One connection, to its end.
    async fn connected(&mut self, attempts: &mut u32) -> Result<Ended> {
        let mut held = self.held.clone();
        let server_uuid = check_history(&self.options, &self.received, self.needs_cascades).await?;
        let complete = &self.received.complete;
        let mut dump = Dump::start(&self.options, complete, self.server_id).await?;
        let begun = Instant::now();
        self.state
            .send_replace(StreamState::Streaming { server_uuid });
        loop {
            let bytes = tokio::select! {
                biased;
                () = until(&mut held, true) => return Ok(Ended::Held),
                bytes = dump.next() => bytes?,
            };
            if is_proven(begun.elapsed(), &bytes) {
                *attempts = 0;
            }
            let weight = u32::try_from(bytes.len() / PERMIT + 1).unwrap_or(u32::MAX);
            let weight = weight.min(self.permits);
            let permit = tokio::select! {
                biased;
                permit = Arc::clone(&self.budget).acquire_many_owned(weight) => permit,
                () = until(&mut held, true) => return Ok(Ended::Held),
            };
            let Ok(permit) = permit else {
                return Ok(Ended::Gone);
            };
            let share = Share::new(self.gauges.clone(), bytes.len(), permit);
            let event = Delivery::Event { bytes, share };
            if let Err(ended) = self.deliver(event, true).await {
                return Ok(ended);
            }
        }
    }

    /// Waits for room without blocking the runtime. What somebody holds up is given up, if it `may_be_held`: it comes again.
    async fn deliver(
        &self,
        delivery: Delivery,
        may_be_held: bool,
    ) -> std::result::Result<(), Ended> {
        let mut delivery = match self.sender.try_send(delivery) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Disconnected(_)) => return Err(Ended::Gone),
            Err(TrySendError::Full(back)) => back,
        };
        loop {
            let sender = self.sender.clone();
            let sent = tokio::task::spawn_blocking(move || {
                sender.send_timeout(delivery, Duration::from_millis(100))
            });
            delivery = match sent.await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(SendTimeoutError::Timeout(back))) => back,
                Ok(Err(SendTimeoutError::Disconnected(_))) | Err(_) => return Err(Ended::Gone),
            };
            if may_be_held && *self.held.borrow() {
                return Err(Ended::Held);
            }
        }
    }

    /// Tells the decode thread of the break; what is complete by then.
    async fn synchronize(&self) -> Option<Received> {
        let (reply, answer) = oneshot::channel();
        self.deliver(Delivery::Disconnected { reply }, false)
            .await
            .ok()?;
        answer.await.ok()
    }
}

/// Waits until the stream is held, or is not; for ever where nobody can change that any more.
async fn until(held: &mut watch::Receiver<bool>, wanted: bool) {
    if held.wait_for(|held| *held == wanted).await.is_err() {
        std::future::pending().await
    }
}

/// Full jitter: anything between zero and a bound that doubles.
fn pause(attempts: u32) -> Duration {
    let bound = FIRST_PAUSE
        .saturating_mul(1 << attempts.saturating_sub(1).min(16))
        .min(LONGEST_PAUSE);
    bound.mul_f64(fastrand::f64())
}

/// Whether a connection is worth that the next attempt counts as the first one again: a transaction was complete, or it
/// lasted. Its first events say nothing: the file's name, its description and, for what is skipped, a heartbeat come from
/// a server, too, that breaks each connection right behind them.
fn is_proven(lasted: Duration, event: &[u8]) -> bool {
    const ENDS: [u8; 3] = [types::XID, types::TRANSACTION_PAYLOAD, types::XA_PREPARE];
    lasted >= PROVEN_AFTER || event.get(4).is_some_and(|code| ENDS.contains(code))
}

/// Compares what we have received with the server's history; gives the server's UUID.
async fn check_history(
    options: &Options,
    received: &Received,
    needs_cascades: bool,
) -> Result<String> {
    let mut conn = connect::connect(options).await?;
    let facts = preflight::facts_now(options, &mut conn).await?;
    if needs_cascades && !facts.logs_cascades {
        return Err(Error::new(
            Kind::SourceSettings,
            format!(
                "MySQL {} at {} does not log what foreign keys change, as it did when the contract was checked",
                facts.version,
                options.address()
            ),
        ));
    }
    let mut history = history(options, &mut conn).await?;
    let mut seen = received.complete.clone();
    if let Some(gtid) = &received.abandoned {
        seen.add(gtid);
    }
    let early = seen.difference(&history.executed);
    if !early.is_empty() {
        // A transaction is sent before it is in gtid_executed (with semi-sync long before): it gets the time.
        let wait = format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{early}', {EARLY_SECONDS})");
        conn.query_drop(wait)
            .await
            .map_err(|e| connect::classify(options, e))?;
        history = self::history(options, &mut conn).await?;
    }
    let _ = conn.disconnect().await;
    let History {
        executed,
        purged,
        server_uuid,
    } = &history;
    compare(&seen, executed, &GtidSet::new(), server_uuid)?;
    compare(&received.complete, executed, purged, server_uuid)?;
    Ok(history.server_uuid)
}

struct History {
    executed: GtidSet,
    purged: GtidSet,
    server_uuid: String,
}

async fn history(options: &Options, conn: &mut mysql_async::Conn) -> Result<History> {
    let row: Option<(String, String, String)> = conn
        .query_first("SELECT @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged, @@GLOBAL.server_uuid")
        .await
        .map_err(|e| connect::classify(options, e))?;
    let (executed, purged, server_uuid) = row.ok_or_else(|| {
        let message = format!("MySQL at {} did not tell its GTIDs", options.address());
        Error::new(Kind::SourceUnavailable, message)
    })?;
    Ok(History {
        executed: set(&executed)?,
        purged: set(&purged)?,
        server_uuid,
    })
}

fn set(text: &str) -> Result<GtidSet> {
    text.parse().map_err(|e| {
        Error::new(Kind::SourceSettings, "the server's GTIDs cannot be read").with_source(e)
    })
}

/// Whether a server with this history can go on after `received`.
pub fn compare(
    received: &GtidSet,
    executed: &GtidSet,
    purged: &GtidSet,
    server_uuid: &str,
) -> Result<()> {
    if !received.is_subset(executed) {
        let extra = received.difference(executed);
        return Err(Error::new(
            Kind::LineageDiffers,
            format!(
                "the server {server_uuid} lacks {} transactions that were received before ({})",
                extra.count(),
                shortened(&extra)
            ),
        ));
    }
    if !purged.is_subset(received) {
        let missing = purged.difference(received);
        return Err(Error::new(
            Kind::SourcePurged,
            format!(
                "the server {server_uuid} has purged {} transactions that were not received yet ({})",
                missing.count(),
                shortened(&missing)
            ),
        ));
    }
    Ok(())
}

fn shortened(set: &GtidSet) -> String {
    let text = set.to_string();
    let mut short: String = text.chars().take(200).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// The decode thread: takes deliveries until the stream ends (`Ok`), or an event cannot be replicated.
pub fn decode(
    deliveries: &Receiver<Delivery>,
    assembler: &mut Assembler,
    out: &mut Output<'_>,
) -> Result<()> {
    let mut counts = Counts::new();
    for delivery in deliveries {
        match delivery {
            Delivery::Event { bytes, share } => {
                counts.event(&bytes);
                assembler.event(bytes, out)?;
                drop(share);
            }
            Delivery::Disconnected { reply } => {
                assembler.disconnected(out)?;
                let _ = reply.send(Received {
                    complete: assembler.completed().clone(),
                    abandoned: assembler.abandoned().cloned(),
                });
            }
        }
    }
    assembler.disconnected(out)
}

/// Counts events and bytes as they are taken.
struct Counts {
    bytes: Counter,
    /// By the event's type, each looked up once.
    events: Vec<Option<Counter>>,
}

impl Counts {
    fn new() -> Self {
        Self {
            bytes: metrics::SOURCE_BYTES.with([]),
            events: vec![None; 256],
        }
    }

    fn event(&mut self, bytes: &[u8]) {
        self.bytes.increment(bytes.len() as u64);
        let code = bytes.get(4).copied().unwrap_or_default();
        if let Some(counter) = self.events.get_mut(usize::from(code)) {
            counter
                .get_or_insert_with(|| metrics::SOURCE_EVENTS.with([types::name(code)]))
                .increment(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gtids(text: &str) -> GtidSet {
        let a = "11111111-1111-1111-1111-111111111111";
        format!("{a}:{text}").parse().expect("a set")
    }

    #[test]
    fn histories_are_compared() {
        let kind = |received: &GtidSet, executed: &GtidSet, purged: &GtidSet| {
            compare(received, executed, purged, "x").map_err(|e| e.kind())
        };
        let none = GtidSet::new();
        assert_eq!(kind(&gtids("1-5"), &gtids("1-9"), &none), Ok(()));
        assert_eq!(kind(&gtids("1-5"), &gtids("1-9"), &gtids("1-5")), Ok(()));
        assert_eq!(
            kind(&gtids("1-10"), &gtids("1-9"), &none),
            Err(Kind::LineageDiffers)
        );
        assert_eq!(
            kind(&gtids("1-5"), &gtids("1-9"), &gtids("1-6")),
            Err(Kind::SourcePurged)
        );
        assert_eq!(
            kind(&none, &gtids("1-9"), &gtids("1")),
            Err(Kind::SourcePurged)
        );
        assert_eq!(
            kind(&gtids("1-5:t:1"), &gtids("1-9"), &none),
            Err(Kind::LineageDiffers)
        );
    }

    #[test]
    fn a_connection_is_proven_by_a_transaction_or_by_time() {
        let event = |code: u8| [0, 0, 0, 0, code, 0];
        let young = Duration::from_millis(50);
        for code in [types::ROTATE, types::FORMAT_DESCRIPTION, types::HEARTBEAT] {
            assert!(!is_proven(young, &event(code)), "{code}");
            assert!(is_proven(PROVEN_AFTER, &event(code)), "{code}");
        }
        assert!(is_proven(young, &event(types::XID)));
        assert!(!is_proven(young, &[]));
    }

    #[test]
    fn pauses_grow_to_a_bound() {
        for attempts in 1..60 {
            assert!(pause(attempts) <= LONGEST_PAUSE);
        }
        let longest = (0..200).map(|_| pause(1)).max().expect("some");
        assert!(longest <= FIRST_PAUSE);
    }
}
