//! Every way through the machine: one leads to the cutover, and each of its proofs is needed.

use super::*;

const OPEN: [&str; 2] = ["a", "b"];

fn gates(open: bool) -> Event {
    let mut gates: Vec<Gate> = OPEN.iter().map(|name| Gate::open(name, "well")).collect();
    if !open {
        gates.push(Gate::shut("c", "not well", "mend it"));
    }
    Event::Gates(gates)
}

fn set(text: &str) -> GtidSet {
    text.parse().expect("a set")
}

fn there() -> GtidSet {
    set("11111111-1111-1111-1111-111111111111:1-7")
}

fn further() -> GtidSet {
    set("11111111-1111-1111-1111-111111111111:1-8")
}

fn checked(mismatches: u64, undecided: u64) -> Event {
    Event::Compared(Checked {
        items: 5,
        mismatches,
        undecided,
    })
}

/// The events of a cutover that succeeds.
fn good() -> Vec<Event> {
    vec![
        Event::Begun,
        gates(true),
        Event::Position(there()),
        Event::Drained,
        Event::Position(there()),
        checked(0, 0),
        Event::Sealed,
        gates(true),
        Event::Position(there()),
        Event::Committed,
    ]
}

fn run(options: Options, events: Vec<Event>) -> Vec<Action> {
    let mut machine = Machine::new(options);
    events
        .into_iter()
        .map(|event| machine.advance(event))
        .collect()
}

fn last(options: Options, events: Vec<Event>) -> Action {
    run(options, events).pop().expect("an action")
}

#[test]
fn a_cutover_takes_every_step_in_order() {
    let actions = run(Options::default(), good());
    assert_eq!(
        actions,
        [
            Action::ReadGates(Moment::Before),
            Action::ReadPosition,
            Action::Drain(there()),
            Action::ReadPosition,
            Action::Compare,
            Action::Seal,
            Action::ReadGates(Moment::After),
            Action::ReadPosition,
            Action::Commit { to: there() },
            end(false, Ending::CutOver),
        ]
    );
}

#[test]
fn whatever_else_happens_at_any_step_is_no_cutover() {
    let others = [
        gates(false),
        Event::Position(further()),
        Event::TimedOut,
        checked(1, 0),
        checked(0, 1),
        Event::Aborted,
        Event::Failed,
        Event::Unsure,
        Event::Shut(Gate::shut("d", "not well", "mend it")),
    ];
    for step in 1..good().len() {
        for other in &others {
            let mut events = good();
            // At the position's first reading any is right: it is where the drain goes.
            if step == 2 && matches!(other, Event::Position(_)) {
                continue;
            }
            events[step] = other.clone();
            events.truncate(step + 1);
            let action = last(Options::default(), events);
            let Action::End { unseal, ending } = action else {
                panic!("step {step} goes on after {other:?}: {action:?}");
            };
            assert_ne!(ending, Ending::CutOver, "step {step}, {other:?}");
            // What was sealed is unsealed, but where the cutover may be durable.
            let nothing_committed = step == 9 && *other == Event::Failed;
            let may_be_sealed = (6..=8).contains(&step) || nothing_committed;
            let needs = (7..=8).contains(&step) || nothing_committed;
            assert_eq!(
                ending == Ending::Unsure,
                step == 9 && !nothing_committed,
                "step {step}, {other:?}"
            );
            assert!(!unseal || may_be_sealed, "step {step}, {other:?}");
            assert!(unseal || !needs, "step {step}, {other:?}");
        }
    }
}

/// Each names a gate, and a setting that there is.
#[test]
fn what_takes_too_long_is_refused_by_name() {
    for (step, name) in [(3, "drain"), (5, "parity"), (6, "in_flight")] {
        let mut events = good();
        events[step] = Event::TimedOut;
        events.truncate(step + 1);
        let Action::End {
            ending: Ending::Refused(shut),
            ..
        } = last(Options::default(), events)
        else {
            panic!("step {step}");
        };
        assert_eq!(shut[0].name, name);
        let remedy = shut[0].remedy.as_deref().expect("a remedy");
        assert!(
            name == "in_flight" || remedy.contains("[cutover] drain_within_s"),
            "{remedy}"
        );
    }
}

#[test]
fn a_source_that_moves_is_refused_by_name() {
    for step in [4, 8] {
        let mut events = good();
        events[step] = Event::Position(further());
        events.truncate(step + 1);
        let Action::End {
            ending: Ending::Refused(shut),
            ..
        } = last(Options::default(), events)
        else {
            panic!("step {step}");
        };
        assert_eq!(
            (shut[0].name.as_str(), shut[0].figure),
            ("still", Some(1.0))
        );
        // A set that lost transactions is another server's.
        assert!(moved(&further(), &there()).is_some());
    }
}

#[test]
fn shut_gates_are_the_answer_unless_there_is_time_to_wait() {
    let refused = last(Options::default(), vec![Event::Begun, gates(false)]);
    let Action::End {
        ending: Ending::Refused(shut),
        unseal: false,
    } = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(shut.len(), 1);
    assert_eq!(shut[0].name, "c");

    let waiting = Options {
        wait_seconds: 5,
        ..Options::default()
    };
    let again = Event::Waited { again: true };
    let actions = run(
        waiting.clone(),
        vec![Event::Begun, gates(false), again, gates(true)],
    );
    assert_eq!(actions[1], Action::Wait);
    assert_eq!(actions[2], Action::ReadGates(Moment::Before));
    assert_eq!(actions[3], Action::ReadPosition);
    let over = Event::Waited { again: false };
    let late = last(waiting, vec![Event::Begun, gates(false), over]);
    assert!(matches!(late, Action::End { ending: Ending::Refused(shut), .. } if shut.len() == 1));
}

#[test]
fn a_dry_run_ends_with_the_gates() {
    let dry = Options {
        dry_run: true,
        ..Options::default()
    };
    for open in [true, false] {
        let action = last(dry.clone(), vec![Event::Begun, gates(open)]);
        assert_eq!(action, end(false, Ending::DryRun { open }));
    }
}

#[test]
fn what_is_refused_is_among_the_gates_that_are_shown() {
    let mut machine = Machine::new(Options::default());
    let mut events = good();
    events[5] = checked(2, 0);
    events.truncate(6);
    for event in events {
        machine.advance(event);
    }
    let shown = machine.gates().iter().filter(|gate| !gate.open);
    assert_eq!(
        shown.map(|gate| gate.name.as_str()).collect::<Vec<_>>(),
        ["parity"]
    );
}
