//! Each gate shuts for its own reason, and for no other.

use super::*;

const THRESHOLDS: Thresholds = Thresholds {
    lag: 10,
    heartbeat: 20,
    checkpoint: 30,
};

/// Everything as it must be.
fn good() -> Readings {
    Readings {
        phase: Phase::Ready,
        stopped: None,
        copied: true,
        tables_left: 0,
        resnapshot: Vec::new(),
        lag: Some(0.0),
        in_flight: 0,
        dead_letters: 0,
        parity: Ok(()),
        heartbeat: 0.5,
        checkpoint: Some(0.2),
        prepared: Some(0),
        silent: None,
        replica: None,
        read_only: Some(ReadOnly {
            read_only: true,
            super_read_only: true,
        }),
    }
}

/// The names of the gates that one change shuts, each checked for what it tells.
fn shuts(moment: Moment, change: impl FnOnce(&mut Readings)) -> Vec<String> {
    let mut readings = good();
    change(&mut readings);
    let shut = shut(&gates(&readings, &THRESHOLDS, moment));
    for gate in &shut {
        assert!(!gate.reason.is_empty(), "{gate:?}");
        assert!(
            gate.remedy.as_ref().is_some_and(|r| !r.is_empty()),
            "{gate:?}"
        );
    }
    shut.into_iter().map(|gate| gate.name).collect()
}

fn always(change: impl Fn(&mut Readings)) -> Vec<String> {
    let before = shuts(Moment::Before, &change);
    assert_eq!(before, shuts(Moment::After, &change));
    before
}

#[test]
fn all_are_open_when_all_is_well() {
    for moment in [Moment::Before, Moment::After] {
        let all = gates(&good(), &THRESHOLDS, moment);
        assert_eq!(all.len(), 11);
        assert!(
            all.iter().all(|gate| gate.open && gate.remedy.is_none()),
            "{all:?}"
        );
    }
    let mut readings = good();
    readings.read_only = None;
    let all = gates(&readings, &THRESHOLDS, Moment::Before);
    assert_eq!(
        all.len(),
        10,
        "read_only is a gate only where it was asked for"
    );
}

#[test]
fn a_stream_that_does_not_run() {
    for phase in Phase::ALL {
        let shut = always(|readings| readings.phase = phase);
        let runs = matches!(
            phase,
            Phase::Snapshot | Phase::Streaming | Phase::Ready | Phase::Draining | Phase::Aborted
        );
        let expected: &[&str] = if runs { &[] } else { &["stream"] };
        assert_eq!(shut, expected, "{phase}");
    }
    assert_eq!(always(|r| r.stopped = Some("DDL".into())), ["stream"]);
}

#[test]
fn a_snapshot_that_is_not_complete() {
    assert_eq!(always(|r| r.copied = false), ["snapshot"]);
    let both = |r: &mut Readings| (r.copied, r.tables_left) = (false, 2);
    assert_eq!(always(both), ["snapshot"]);
    assert_eq!(
        always(|r| r.resnapshot = vec!["shop.a".into()]),
        ["resnapshot"]
    );
}

#[test]
fn lag_beyond_the_threshold_and_after_the_drain_any() {
    let lag = |seconds| move |r: &mut Readings| r.lag = seconds;
    assert!(shuts(Moment::Before, lag(Some(10.0))).is_empty());
    assert_eq!(shuts(Moment::Before, lag(Some(10.1))), ["lag"]);
    assert_eq!(shuts(Moment::Before, lag(Some(f64::NAN))), ["lag"]);
    assert_eq!(shuts(Moment::After, lag(Some(0.1))), ["lag"]);
    assert_eq!(always(lag(None)), ["lag"]);
}

/// MySQL that answers is not said to be silent: what is missing then is a transaction that was written.
#[test]
fn lag_that_is_not_known_tells_why() {
    let told = |silent: Option<&str>| {
        let mut readings = good();
        (readings.lag, readings.silent) = (None, silent.map(str::to_owned));
        let shut = shut(&gates(&readings, &THRESHOLDS, Moment::Before));
        let gate = shut
            .into_iter()
            .find(|gate| gate.name == "lag")
            .expect("it is shut");
        (gate.reason, gate.remedy.unwrap_or_default())
    };
    let (reason, remedy) = told(Some("no route"));
    assert!(reason.ends_with("not known: no route") && remedy.contains("MySQL answers"));
    let (reason, remedy) = told(None);
    assert!(reason.contains("no transaction was written"), "{reason}");
    assert!(!remedy.contains("MySQL answers"), "{remedy}");
}

#[test]
fn mutations_in_flight_after_the_drain() {
    assert!(shuts(Moment::Before, |r| r.in_flight = 7).is_empty());
    assert_eq!(shuts(Moment::After, |r| r.in_flight = 1), ["in_flight"]);
}

#[test]
fn a_single_dead_letter() {
    assert_eq!(always(|r| r.dead_letters = 1), ["dead_letters"]);
}

#[test]
fn every_comparison_that_is_owed() {
    for owed in [
        Owed::NeverVerified,
        Owed::Repaired,
        Owed::Resnapshot,
        Owed::Restarted,
        Owed::AnotherServer,
        Owed::RebuiltStore,
        Owed::Mismatches,
        Owed::Undecided,
        Owed::DirtyOverflown,
    ] {
        assert_eq!(always(|r| r.parity = Err(owed)), ["parity"], "{owed:?}");
    }
}

#[test]
fn a_source_that_was_not_heard_for_long() {
    assert!(always(|r| r.heartbeat = 20.0).is_empty());
    assert_eq!(always(|r| r.heartbeat = 20.1), ["heartbeat"]);
    assert_eq!(always(|r| r.heartbeat = f64::NAN), ["heartbeat"]);
}

#[test]
fn a_checkpoint_that_does_not_move() {
    assert!(always(|r| r.checkpoint = Some(30.0)).is_empty());
    assert_eq!(always(|r| r.checkpoint = Some(30.1)), ["checkpoint"]);
    assert_eq!(always(|r| r.checkpoint = None), ["checkpoint"]);
}

#[test]
fn prepared_transactions_and_not_knowing_of_them() {
    assert_eq!(always(|r| r.prepared = Some(1)), ["xa"]);
    assert_eq!(always(|r| r.prepared = None), ["xa"]);
}

#[test]
fn a_server_that_takes_writes_where_it_was_asked_not_to() {
    let flags = |read_only, super_read_only| {
        move |r: &mut Readings| {
            r.read_only = Some(ReadOnly {
                read_only,
                super_read_only,
            });
        }
    };
    assert_eq!(always(flags(false, false)), ["read_only"]);
    assert!(always(flags(true, false)).is_empty());
}

#[test]
fn a_replica_that_is_behind() {
    let replica = |behind: &[&str]| {
        let behind = behind.iter().map(|&text| text.to_owned()).collect();
        move |r: &mut Readings| r.replica = Some(Vec::clone(&behind))
    };
    assert!(always(replica(&[])).is_empty());
    assert_eq!(always(replica(&["3 s"])), ["replica"]);
}

#[test]
fn a_server_that_does_not_answer() {
    let silent = |r: &mut Readings| {
        r.silent = Some("it is away".into());
        r.lag = None;
        r.prepared = None;
        r.read_only = Some(ReadOnly::default());
    };
    assert_eq!(always(silent), ["lag", "xa", "read_only"]);
}
