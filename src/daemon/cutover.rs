//! Cutover in the running daemon: reads, waits and writes what the machine asks for, and tells how it goes.

mod desk;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use desk::not_cut_over;

use super::filing;
use super::readings::Gatehouse;
use super::shared::Shared;
use crate::checkpoint::{Store, now_unix_ms};
use crate::cutover::{
    Action, Checked, Counts, Ending, Event, FACT, Gate, Machine, Options, Outcome, Position,
    Progress, Report, Standing, State, Times, Versions,
};
use crate::error::{Error, Kind, Result};
use crate::phase::Phase;
use crate::position::GtidSet;

/// How often shut gates are read again.
const PAUSE: Duration = Duration::from_millis(500);
/// How often the drain looks.
const LOOK: Duration = Duration::from_millis(20);
/// A cutover that waits is given up when nobody has asked for so long how it goes; the command asks every ten seconds.
const FOLLOWED: Duration = Duration::from_secs(45);
/// What is being written when the sink is sealed has so long to end.
const SEAL: Duration = Duration::from_secs(30);

/// Who compares what was written since the last full comparison.
pub trait Verifier: Send + Sync + 'static {
    /// Compares every item of the dirty set; for moments in which nothing moves.
    fn check_dirty(&self) -> BoxFuture<'_, Result<Checked>>;
}

/// What the report says of this daemon.
#[derive(Debug, Clone)]
pub struct Identity {
    pub versions: Versions,
    /// `aws eu-central-1`
    pub target: String,
    pub state: PathBuf,
}

/// Cutovers of one daemon.
pub struct Cutover {
    pub shared: Arc<Shared>,
    pub store: Arc<Store>,
    pub gatehouse: Arc<Gatehouse>,
    pub verifier: Arc<dyn Verifier>,
    pub identity: Identity,
    pub drain_within: Duration,
    /// So long a request without an answer may still be applied.
    pub late_after: Duration,
    /// Ends the flow for good.
    pub stop: OnceLock<Stop>,
    /// An operator has taken the cutover back: the flow is to be started anew.
    pub reopened: CancellationToken,
    progress: watch::Sender<Progress>,
    /// When somebody last asked how it goes.
    followed: Mutex<Instant>,
    under_way: Mutex<Option<UnderWay>>,
}

/// The one that is under way.
#[derive(Clone)]
struct UnderWay {
    /// As its progress tells it.
    attempt: u64,
    /// Gives it up.
    aborted: CancellationToken,
}

/// What ends the flow: the reading, and the view.
pub struct Stop {
    pub reading: CancellationToken,
    pub view: crossbeam_channel::Sender<()>,
}

/// One attempt.
struct Attempt {
    options: Options,
    who: String,
    begun: Instant,
    times: Times,
    checked: Checked,
    aborted: CancellationToken,
    /// Why it could not be carried out.
    error: Option<Error>,
    report: Option<Report>,
}

impl Cutover {
    pub fn new(
        shared: Arc<Shared>,
        store: Arc<Store>,
        gatehouse: Arc<Gatehouse>,
        verifier: Arc<dyn Verifier>,
        identity: Identity,
        [drain_within, late_after]: [Duration; 2],
    ) -> Arc<Self> {
        Arc::new(Self {
            shared,
            store,
            gatehouse,
            verifier,
            identity,
            drain_within,
            late_after,
            stop: OnceLock::new(),
            reopened: CancellationToken::new(),
            progress: watch::channel(Progress::default()).0,
            followed: Mutex::new(Instant::now()),
            under_way: Mutex::default(),
        })
    }

    async fn carry_out(self: Arc<Self>, mut attempt: Attempt) {
        let machine = Machine::new(attempt.options.clone());
        let ending = self.go_on(&mut attempt, machine, Event::Begun).await;
        let outcome = self.end(attempt, ending).await;
        // Both at once: the outcome is not told of the next one.
        let mut under_way = self.lock();
        *under_way = None;
        self.tell_outcome(outcome);
    }

    /// From here to the end, step by step.
    async fn go_on(&self, attempt: &mut Attempt, mut machine: Machine, begun: Event) -> Ending {
        let mut event = begun;
        loop {
            let action = machine.advance(event);
            self.tell(&machine);
            self.show_phase(&machine);
            let (unseal, ending) = match action {
                Action::End { unseal, ending } => (unseal, ending),
                other => {
                    event = self.act_unless_aborted(attempt, &machine, other).await;
                    continue;
                }
            };
            if unseal {
                self.shared.seal.open();
            }
            return ending;
        }
    }

    /// What an operator gives up is given up at once, but for the commit: it is or is not.
    async fn act_unless_aborted(
        &self,
        attempt: &mut Attempt,
        machine: &Machine,
        action: Action,
    ) -> Event {
        if let Action::Commit { to } = &action {
            return self.commit(attempt, machine, to).await;
        }
        let aborted = attempt.aborted.clone();
        tokio::select! {
            biased;
            () = aborted.cancelled() => Event::Aborted,
            event = self.act(attempt, action) => event.unwrap_or_else(|error| {
                attempt.error = Some(error);
                Event::Failed
            }),
        }
    }

    async fn act(&self, attempt: &mut Attempt, action: Action) -> Result<Event> {
        let wait = Duration::from_secs(attempt.options.wait_seconds);
        Ok(match action {
            Action::ReadGates(moment) => {
                let expected = attempt.options.expect_read_only;
                Event::Gates(self.gatehouse.read(moment, expected).await)
            }
            // Whoever asked for it is gone: nobody is surprised by it hours later.
            Action::Wait if self.follower().elapsed() > FOLLOWED => Event::Aborted,
            Action::Wait => {
                tokio::time::sleep(PAUSE).await;
                Event::Waited {
                    again: attempt.begun.elapsed() < wait,
                }
            }
            Action::ReadPosition => {
                let position = self.gatehouse.position().await?;
                if attempt.times.position_read == 0 {
                    attempt.times.position_read = now_unix_ms();
                    self.audit(&attempt.who, "cutover: draining", &format!("to {position}"))
                        .await?;
                }
                Event::Position(position)
            }
            Action::Drain(to) => self.in_time(self.drain(attempt, &to)).await?,
            Action::Compare => self.in_time(self.compare(attempt)).await?,
            Action::Seal => {
                if !self.shared.seal.close(SEAL).await {
                    return Ok(Event::TimedOut);
                }
                // The application writes these keys next.
                tokio::time::sleep(self.shared.seal.late_for(self.late_after)).await;
                attempt.times.sealed = now_unix_ms();
                self.audit(&attempt.who, filing::SEALED, "the sink writes nothing")
                    .await?;
                Event::Sealed
            }
            Action::Commit { .. } | Action::End { .. } => Event::Failed,
        })
    }

    /// What waits for the stream does so within the time that a drain may take, for as long as the stream runs and somebody
    /// waits for it.
    async fn in_time(&self, work: impl Future<Output = Result<Event>>) -> Result<Event> {
        tokio::select! {
            // A stream that is held has a reason, even where nothing is left to be waited for.
            biased;
            event = self.disturbed() => event,
            done = work => done,
        }
    }

    async fn disturbed(&self) -> Result<Event> {
        let begun = Instant::now();
        loop {
            if let Some(failure) = self.shared.failure() {
                return Err(
                    Error::new(failure.error_kind, failure.reason).with_remedy(failure.remedy)
                );
            }
            if let Some(paused) = self.shared.pause.paused() {
                return Ok(Event::Shut(Gate::shut(
                    "stream",
                    format!("it was paused by {} meanwhile", paused.by),
                    "`penstock resume`",
                )));
            }
            // Whoever asked for it is gone: nobody is surprised by it later.
            if self.follower().elapsed() > FOLLOWED {
                return Ok(Event::Aborted);
            }
            if begun.elapsed() > self.drain_within {
                return Ok(Event::TimedOut);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn compare(&self, attempt: &mut Attempt) -> Result<Event> {
        attempt.checked = self.verifier.check_dirty().await?;
        attempt.times.compared = now_unix_ms();
        let Checked {
            items, mismatches, ..
        } = attempt.checked;
        let found = format!("{items} items, {mismatches} mismatches");
        self.audit(&attempt.who, "cutover: compared", &found)
            .await?;
        Ok(Event::Compared(attempt.checked))
    }

    async fn drain(&self, attempt: &mut Attempt, to: &GtidSet) -> Result<Event> {
        let begun = Instant::now();
        while !self.shared.is_durable(to) {
            tokio::time::sleep(LOOK).await;
        }
        attempt.times.drained = now_unix_ms();
        let seconds = format!("after {:.3} s", begun.elapsed().as_secs_f64());
        self.audit(&attempt.who, "cutover: drained", &seconds)
            .await?;
        Ok(Event::Drained)
    }

    /// From here on it is cut over, or it is not: the next start tells from the checkpoint.
    async fn commit(&self, attempt: &mut Attempt, machine: &Machine, to: &GtidSet) -> Event {
        attempt.times.cut_over = now_unix_ms();
        let prepared = async {
            let report = self.report(attempt, machine, to).await?;
            let standing = Standing {
                serial: report.serial,
                state: State::CutOver,
                at_unix_ms: attempt.times.cut_over,
                report: report.clone(),
            };
            // The next commit has it, whoever asks for that.
            self.shared.facts.set(FACT, &standing)?;
            Ok(report)
        };
        match prepared.await {
            Ok(report) => attempt.report = Some(report),
            Err(error) => {
                attempt.error = Some(error);
                return Event::Failed;
            }
        }
        match self.shared.facts.make_durable().await {
            Ok(()) => Event::Committed,
            Err(error) => {
                let unsure =
                    "whether the cutover was committed is not known; nothing is written any more";
                let remedy = "start penstock again: its phase says whether the cutover is made";
                let unsure = Error::new(Kind::Store, unsure).with_remedy(remedy);
                attempt.error = Some(unsure.with_source(error));
                Event::Unsure
            }
        }
    }

    async fn report(&self, attempt: &Attempt, machine: &Machine, to: &GtidSet) -> Result<Report> {
        let shared = &self.shared;
        let before: Option<Standing> = shared.facts.get(FACT)?;
        let tables = shared.progress.tables();
        let durable = shared.durable();
        Ok(Report {
            serial: before.map_or(1, |standing| standing.serial + 1),
            by: attempt.who.clone(),
            options: attempt.options.clone(),
            versions: self.identity.versions.clone(),
            plan_fingerprint: shared.plan.fingerprint.clone(),
            target: self.identity.target.clone(),
            position: Position {
                gtids: to.to_string(),
                file: durable.file,
                offset: durable.offset,
            },
            times: attempt.times,
            counts: Counts {
                tables: tables.len() as u64,
                rows_copied: tables.iter().map(|t| t.rows).sum(),
                transactions: shared.applied(),
                items_compared: attempt.checked.items,
                dead_letters: shared.dead_letters(),
            },
            parity: shared.facts.get("parity")?.unwrap_or_default(),
            gates: machine.gates().to_vec(),
            audit: filing::entries_since(&self.store, attempt.times.begun).await?,
        })
    }

    async fn end(&self, attempt: Attempt, ending: Ending) -> Outcome {
        let who = attempt.who.as_str();
        let (what, detail, outcome) = match ending {
            Ending::CutOver => return self.cut_over(attempt).await,
            Ending::DryRun { open } => return Outcome::DryRun { open },
            Ending::Refused(shut) => {
                let names: Vec<&str> = shut.iter().map(|gate| gate.name.as_str()).collect();
                (filing::REFUSED, names.join(", "), Outcome::Refused { shut })
            }
            Ending::Aborted => (filing::GIVEN_UP, String::new(), Outcome::Aborted),
            Ending::Failed => {
                let error = attempt.error.unwrap_or_else(out_of_order);
                (filing::FAILED, error.to_string(), failed(&error))
            }
            Ending::Unsure => {
                let error = attempt.error.unwrap_or_else(out_of_order);
                self.stop_for(&error);
                (filing::UNSURE, error.to_string(), failed(&error))
            }
        };
        if let Err(error) = self.audit(who, what, &detail).await {
            tracing::error!(%error, "the end of a cutover is not in the audit log");
        }
        tracing::warn!(detail, "{what}");
        // Another phase was entered meanwhile for reasons of its own.
        if self.shared.phase() == Phase::Draining {
            self.shared.enter(Phase::Aborted);
            self.shared.enter(Phase::Streaming);
        }
        outcome
    }

    /// It is durable: nothing is read any more, and the report is written.
    async fn cut_over(&self, attempt: Attempt) -> Outcome {
        self.shared.enter(Phase::CutOver);
        self.stop_reading();
        let late = self.moved_since(&attempt).await;
        let Some(report) = attempt.report else {
            return failed(&Error::new(Kind::Internal, "a cutover without a report"));
        };
        let filed = filing::file(&self.store, &self.identity.state, &attempt.who, report).await;
        match filed {
            Ok(Outcome::CutOver { report, files, .. }) => Outcome::CutOver {
                report,
                files,
                warning: late,
            },
            Ok(outcome) => outcome,
            // The next start writes it.
            Err(error) => failed(&error.with_remedy(
                "the cutover is made; the report is written when penstock is started again",
            )),
        }
    }

    fn stop_reading(&self) {
        if let Some(stop) = self.stop.get() {
            stop.reading.cancel();
            // Where one is on its way already, that will do.
            let _ = stop.view.try_send(());
        }
    }

    /// The sink stays sealed: whoever looks has to see why nothing moves.
    fn stop_for(&self, error: &Error) {
        self.shared.stop(error);
        self.stop_reading();
    }

    /// Whoever still writes to MySQL has to be told, not only that the cutover is made.
    async fn moved_since(&self, attempt: &Attempt) -> Option<String> {
        let at: GtidSet = attempt.report.as_ref()?.position.gtids.parse().ok()?;
        let warning = match self.gatehouse.position().await {
            Ok(now) => match now.difference(&at).count() {
                0 => return None,
                late => format!(
                    "MySQL has taken {late} transactions since: DynamoDB does not have them. Stop what writes to it, or take the cutover back (`penstock cutover --reopen`)"
                ),
            },
            Err(error) => format!(
                "MySQL did not answer afterwards ({error}): whether it has taken writes since is not known. See that nothing writes to it; DynamoDB would not have it"
            ),
        };
        tracing::error!("{warning}");
        if let Err(error) = self
            .audit("", "cutover: the source has moved since", &warning)
            .await
        {
            tracing::error!(%error, "this is not in the audit log");
        }
        Some(warning)
    }

    fn show_phase(&self, machine: &Machine) {
        // A pause that was asked for a moment before is the truer word.
        if machine.is_draining() && self.shared.pause.paused().is_none() {
            self.shared.enter(Phase::Draining);
        }
    }

    fn tell(&self, machine: &Machine) {
        self.progress.send_modify(|progress| {
            progress.version += 1;
            progress.step = machine.step().to_owned();
            progress.gates = machine.gates().to_vec();
        });
    }

    fn tell_outcome(&self, outcome: Outcome) {
        self.progress.send_modify(|progress| {
            progress.version += 1;
            progress.step = "ended".to_owned();
            progress.outcome = Some(outcome);
        });
    }

    async fn audit(&self, who: &str, action: &str, detail: &str) -> Result<()> {
        filing::audit(&self.store, who, action, detail).await
    }

    fn lock(&self) -> MutexGuard<'_, Option<UnderWay>> {
        // Whatever panicked, there is one or there is none.
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn follower(&self) -> MutexGuard<'_, Instant> {
        // Whatever panicked, it is a moment.
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn out_of_order() -> Error {
    Error::new(Kind::Internal, "the steps of the cutover are out of order")
}

fn failed(error: &Error) -> Outcome {
    Outcome::Failed {
        kind: error.kind().name().to_owned(),
        reason: error.to_string(),
        remedy: error.remedy().to_owned(),
    }
}

#[cfg(test)]
#[path = "tests/cutover.rs"]
mod tests;
