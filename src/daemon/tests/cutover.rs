//! Steps of a cutover that a live server shows once in a while: what speaks against it meanwhile, and how it ends then.

use futures_util::future::BoxFuture;

use super::*;
use crate::admin::Peer;
use crate::admin::cutover::Desk as _;
use crate::checkpoint::{Checkpoint, Lineage};
use crate::daemon::facts::set_fact;
use crate::daemon::pause::Paused;
use crate::daemon::seal::Sealable;
use crate::daemon::stage::tests::plan_of_things;
use crate::pipeline::{Batch, Fate, Outcome as Written, Writer};
use crate::position;
use crate::source::snapshot::Progress as Copied;

/// A comparison that does not end.
struct Endless;

impl Verifier for Endless {
    fn check_dirty(&self) -> BoxFuture<'_, Result<Checked>> {
        Box::pin(std::future::pending())
    }
}

struct Takes;

impl Writer for Takes {
    async fn write(&self, batch: &Batch) -> Result<Written> {
        Ok(Written::all(batch, &Fate::Written, None))
    }
}

/// A cutover whose MySQL does not answer, and whose facts nobody commits.
struct Rig {
    cutover: Arc<Cutover>,
    dir: tempfile::TempDir,
}

fn checkpoint() -> Checkpoint {
    let lineage = Lineage {
        server_uuid: String::new(),
    };
    Checkpoint::new(position::Position::default(), lineage, "")
}

fn standing() -> Standing {
    Standing {
        serial: 1,
        state: State::CutOver,
        at_unix_ms: 1,
        report: Report::default(),
    }
}

impl Rig {
    fn new() -> Rig {
        Self::of(&checkpoint())
    }

    fn of(checkpoint: &Checkpoint) -> Rig {
        let dir = tempfile::tempdir().expect("a directory");
        let (store, _) = Store::open(dir.path()).expect("the store opens");
        let progress = Arc::new(Copied::new(Vec::new(), 1));
        let plan = Arc::new(plan_of_things());
        let shared = Arc::new(Shared::new(plan, progress, checkpoint, 0));
        let within = Duration::from_millis(300);
        let gatehouse = Gatehouse::nowhere(Arc::clone(&shared));
        let identity = Identity {
            versions: Versions::default(),
            target: String::new(),
            state: dir.path().to_path_buf(),
        };
        let cutover = Cutover::new(
            shared,
            Arc::new(store),
            Arc::new(gatehouse),
            Arc::new(Endless),
            identity,
            [within, Duration::ZERO],
        );
        Rig { cutover, dir }
    }

    /// From the step before `last` to the end.
    async fn from(&self, before: usize, last: Event) -> (Ending, Attempt) {
        let mut machine = Machine::new(Options::default());
        for event in good().into_iter().take(before) {
            machine.advance(event);
        }
        let mut attempt = attempt();
        let going = self.cutover.go_on(&mut attempt, machine, last);
        let ending = tokio::time::timeout(Duration::from_secs(20), going).await;
        (ending.expect("its end"), attempt)
    }

    /// Whether the sink may write.
    async fn writes(&self) -> bool {
        let writer = Sealable {
            writer: Takes,
            seal: Arc::clone(&self.cutover.shared.seal),
        };
        let batch = Batch { writes: Vec::new() };
        let written = tokio::time::timeout(Duration::from_millis(100), writer.write(&batch));
        written.await.is_ok()
    }

    fn audited(&self) -> Vec<String> {
        let log = self.cutover.store.audit_log().expect("the log");
        log.into_iter().map(|entry| entry.action).collect()
    }
}

fn attempt() -> Attempt {
    Attempt {
        options: Options::default(),
        who: "ana".to_owned(),
        begun: Instant::now(),
        times: Times::default(),
        checked: Checked::default(),
        aborted: CancellationToken::new(),
        error: None,
        report: None,
    }
}

fn there() -> GtidSet {
    let set = "11111111-1111-1111-1111-111111111111:1-7";
    set.parse().expect("a set")
}

/// The events up to the commit.
fn good() -> Vec<Event> {
    let gates = || Event::Gates(vec![Gate::open("a", "well")]);
    vec![
        Event::Begun,
        gates(),
        Event::Position(there()),
        Event::Drained,
        Event::Position(there()),
        Event::Compared(Checked::default()),
        Event::Sealed,
        gates(),
        Event::Position(there()),
    ]
}

const DRAIN: usize = 2;
const COMPARE: usize = 4;
const COMMIT: usize = 8;

fn refused(ending: &Ending) -> &Gate {
    match ending {
        Ending::Refused(shut) if shut.len() == 1 => &shut[0],
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_takes_too_long_is_refused() {
    let rig = Rig::new();
    for (step, gate) in [(DRAIN, "drain"), (COMPARE, "parity")] {
        let (ending, _) = rig.from(step, Event::Position(there())).await;
        assert_eq!(refused(&ending).name, gate);
    }
}

#[tokio::test]
async fn a_pause_meanwhile_is_refused_by_its_name() {
    let mut paused = checkpoint();
    let by = Paused {
        since_unix_ms: 1,
        by: "bob".to_owned(),
    };
    set_fact(&mut paused, "pause", Some(&by)).expect("set");
    let rig = Rig::of(&paused);
    for step in [DRAIN, COMPARE] {
        let (ending, _) = rig.from(step, Event::Position(there())).await;
        let gate = refused(&ending);
        assert_eq!(gate.name, "stream");
        assert!(gate.reason.contains("paused by bob"), "{}", gate.reason);
        assert_eq!(
            rig.cutover.shared.phase(),
            Phase::Paused,
            "it is not hidden"
        );
    }
    // Nor is it in the gates that are read with the sink sealed.
    rig.cutover.shared.enter(Phase::Draining);
    let gates = rig
        .cutover
        .gatehouse
        .read(crate::cutover::Moment::After, false)
        .await;
    assert!(gates.iter().any(|gate| gate.name == "stream" && !gate.open));
}

#[tokio::test]
async fn a_stream_that_stops_and_a_follower_that_is_gone_end_it() {
    let rig = Rig::new();
    for step in [DRAIN, COMPARE] {
        let long_ago = Instant::now().checked_sub(FOLLOWED + Duration::from_secs(1));
        *rig.cutover.follower() = long_ago.expect("a moment");
        let (ending, _) = rig.from(step, Event::Position(there())).await;
        assert_eq!(ending, Ending::Aborted);
        *rig.cutover.follower() = Instant::now();
    }
    let gone = Error::new(Kind::TableChanged, "the table is gone");
    rig.cutover.shared.stop(&gone);
    for step in [DRAIN, COMPARE] {
        let (ending, attempt) = rig.from(step, Event::Position(there())).await;
        assert_eq!(ending, Ending::Failed);
        let error = attempt.error.expect("why");
        assert_eq!(error.kind(), Kind::TableChanged, "{error}");
    }
}

#[tokio::test]
async fn where_nothing_was_committed_the_sink_writes_again() {
    let rig = Rig::new();
    // Its report cannot be made.
    rig.cutover
        .shared
        .facts
        .set(FACT, &"another shape")
        .expect("set");
    assert!(rig.cutover.shared.seal.close(Duration::ZERO).await && !rig.writes().await);
    let (ending, attempt) = rig.from(COMMIT, Event::Position(there())).await;
    assert_eq!((&ending, rig.writes().await), (&Ending::Failed, true));
    let outcome = rig.cutover.end(attempt, ending).await;
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    assert_eq!(rig.audited(), [filing::FAILED]);
    assert_eq!(rig.cutover.shared.phase(), Phase::Streaming);
}

#[tokio::test]
async fn where_it_may_be_committed_the_daemon_stops_and_tells() {
    let rig = Rig::new();
    rig.cutover.shared.facts.ended();
    assert!(rig.cutover.shared.seal.close(Duration::ZERO).await);
    let (ending, attempt) = rig.from(COMMIT, Event::Position(there())).await;
    assert_eq!((&ending, rig.writes().await), (&Ending::Unsure, false));
    let outcome = rig.cutover.end(attempt, ending).await;
    let Outcome::Failed { reason, remedy, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert!(reason.contains("not known") && remedy.contains("start penstock again"));
    assert_eq!(rig.cutover.shared.phase(), Phase::Stopped);
    let failure = rig.cutover.shared.failure().expect("why");
    assert_eq!((failure.reason, failure.remedy), (reason, remedy));
    assert_eq!(rig.audited(), [filing::UNSURE]);
}

/// At its last step it is not given up: whoever asks for that is told how it has ended.
#[tokio::test]
async fn who_gives_it_up_is_told_how_it_ended() {
    let rig = Rig::new();
    let cutover = &rig.cutover;
    let error = cutover
        .abort(Peer::default())
        .await
        .expect_err("there is none");
    assert_eq!(error.kind(), Kind::Usage);
    let aborted = CancellationToken::new();
    *cutover.lock() = Some(UnderWay {
        attempt: 1,
        aborted: aborted.clone(),
    });
    // Of an earlier one.
    cutover.tell_outcome(Outcome::Aborted);
    cutover
        .progress
        .send_modify(|progress| progress.attempt = 0);
    let abort = {
        let cutover = Arc::clone(cutover);
        tokio::spawn(async move { cutover.abort(Peer::default()).await })
    };
    tokio::time::timeout(Duration::from_secs(30), aborted.cancelled())
        .await
        .expect("it is asked to end");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!abort.is_finished(), "it has not ended");
    // Nor can it be taken back before that.
    let error = cutover
        .reopen(Peer::default())
        .await
        .expect_err("it is under way");
    assert!(error.to_string().contains("under way"), "{error}");
    let (sealed, _) = Report::default().json().expect("JSON");
    cutover
        .progress
        .send_modify(|progress| progress.attempt = 1);
    cutover.tell_outcome(Outcome::CutOver {
        report: Box::new(sealed),
        files: Vec::new(),
        warning: None,
    });
    let outcome = abort.await.expect("no panic").expect("an outcome");
    assert!(matches!(outcome, Outcome::CutOver { .. }), "{outcome:?}");
}

/// The fact decides, not the phase; and what is taken back is, whatever becomes of the audit log.
#[tokio::test]
async fn a_cutover_is_taken_back_by_what_is_stored() {
    let mut made = checkpoint();
    set_fact(&mut made, FACT, Some(&standing())).expect("set");
    let rig = Rig::of(&made);
    let cutover = &rig.cutover;
    cutover.store.commit(&made, &[]).expect("committed");
    cutover.shared.facts.ended();
    let stopped = Error::new(Kind::Store, "the disk is full");
    cutover.shared.stop(&stopped);
    std::fs::create_dir(rig.dir.path().join("audit.log")).expect("in its way");
    let reopened = cutover.reopen(Peer::default()).await;
    reopened.expect("taken back");
    assert!(cutover.reopened.is_cancelled());
    assert!(!filing::stands_cut_over(rig.dir.path()).expect("told"));
    let error = cutover.reopen(Peer::default()).await.expect_err("it is");
    assert_eq!(error.kind(), Kind::Usage);
}

#[tokio::test]
async fn another_is_not_begun_after_one_that_was_made() {
    let rig = Rig::new();
    rig.cutover.shared.enter(Phase::CutOver);
    let begun = Arc::clone(&rig.cutover).begin(Options::default(), Peer::default());
    assert_eq!(begun.await.expect_err("made").kind(), Kind::CutOver);
}

/// A server that does not answer may take writes.
#[tokio::test]
async fn silence_afterwards_is_a_warning() {
    let rig = Rig::new();
    let mut attempt = attempt();
    let mut report = Report::default();
    report.position.gtids = there().to_string();
    attempt.report = Some(report);
    let warning = rig.cutover.moved_since(&attempt).await.expect("a warning");
    assert!(warning.contains("did not answer"), "{warning}");
    assert_eq!(rig.audited(), ["cutover: the source has moved since"]);
}

/// Rule 23: what was written since the last full comparison is known within bounds; where it is not, another one is owed.
#[tokio::test]
async fn more_dirt_than_is_remembered_shuts_the_gate() {
    let rig = Rig::new();
    let shared = &rig.cutover.shared;
    let clean = crate::verify::Pass {
        clean: true,
        ..Default::default()
    };
    let standing = crate::verify::Standing {
        last_pass: Some(clean),
        ..Default::default()
    };
    shared.facts.set("parity", &standing).expect("set");
    shared.touches.pass_was_clean(shared.touches.begin_pass());
    let parity = async || {
        let gates = rig
            .cutover
            .gatehouse
            .read(crate::cutover::Moment::Before, false)
            .await;
        let gate = gates.into_iter().find(|gate| gate.name == "parity");
        gate.expect("the gate")
    };
    let mut written = 0..;
    let mut write = |count: usize| {
        for n in written.by_ref().take(count) {
            let key =
                crate::pipeline::Key(format!("{{\"id\":{{\"N\":\"{n}\"}}}}").into_bytes().into());
            let origin = crate::pipeline::Origin {
                projection: crate::plan::ProjectionId(0),
                source_key: n.to_string().into(),
            };
            shared.touches.note(crate::plan::TargetId(0), &key, &origin);
        }
    };
    write(60);
    assert!(parity().await.open);
    // A test's bound is 64.
    write(60);
    let gate = parity().await;
    assert!(!gate.open, "{gate:?}");
}
