//! The steps of a cutover as a state machine: what has happened decides what is to be done next.
//!
//! There is one way to `CutOver`, and every proof lies on it. Everything else ends with the stream going on.

use super::gates::{Gate, Moment, shut};
use super::{Checked, Options};
use crate::position::GtidSet;

/// A cutover under way.
#[derive(Debug)]
pub struct Machine {
    options: Options,
    state: State,
    gates: Vec<Gate>,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    /// The gates are being read.
    Gates,
    /// Some were shut, and may open.
    Waiting,
    /// The gates were open: where the source is now is where the drain ends.
    Starting,
    Draining {
        to: GtidSet,
    },
    /// Everything up to `to` is durable; the source must still be there.
    Drained {
        to: GtidSet,
    },
    Comparing {
        to: GtidSet,
    },
    Sealing {
        to: GtidSet,
    },
    /// Nothing can be written: the gates are read for the last time.
    Sealed {
        to: GtidSet,
    },
    /// … and so is the source's position.
    Settled {
        to: GtidSet,
    },
    Committing,
    Ended,
}

/// What the daemon has to do next; it answers with the [`Event`].
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// → `Gates`
    ReadGates(Moment),
    /// Let some time pass. → `Waited`
    Wait,
    /// Ask MySQL for `gtid_executed`. → `Position`
    ReadPosition,
    /// Wait until everything up to here is durable. → `Drained` or `TimedOut`
    Drain(GtidSet),
    /// Compare everything that was written since the last full comparison. → `Compared` or `TimedOut`
    Compare,
    /// Keep the sink from writing, once nothing is being written. → `Sealed` or `TimedOut`
    Seal,
    /// Make `cut_over` durable. → `Committed`, `Failed` where nothing was committed, or `Unsure`
    Commit { to: GtidSet },
    /// Report how it ended; where `unseal`, let the sink write again first.
    End { unseal: bool, ending: Ending },
}

/// What came of an action.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Begun,
    Gates(Vec<Gate>),
    /// Whether there is time left to wait.
    Waited {
        again: bool,
    },
    Position(GtidSet),
    Drained,
    Compared(Checked),
    Sealed,
    TimedOut,
    Committed,
    /// Whether it was committed is not known.
    Unsure,
    /// Something speaks against it meanwhile.
    Shut(Gate),
    /// An operator gives it up.
    Aborted,
    /// The action could not be carried out.
    Failed,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    CutOver,
    DryRun {
        open: bool,
    },
    /// The gates that are shut.
    Refused(Vec<Gate>),
    Aborted,
    /// The daemon knows why.
    Failed,
    /// It may be durable: the next start tells. Until then nothing is written.
    Unsure,
}

impl Machine {
    pub fn new(options: Options) -> Self {
        Self {
            options,
            state: State::Gates,
            gates: Vec::new(),
        }
    }

    /// The gates as last read.
    pub fn gates(&self) -> &[Gate] {
        &self.gates
    }

    /// What it is doing, in words.
    pub fn step(&self) -> &'static str {
        match self.state {
            State::Gates => "reading the gates",
            State::Waiting => "waiting for the gates",
            State::Starting => "reading the source's position",
            State::Draining { .. } => "draining",
            State::Drained { .. } => "looking whether the source stands still",
            State::Comparing { .. } => "comparing what was written since the last full comparison",
            State::Sealing { .. } => "sealing the sink",
            State::Sealed { .. } => "reading the gates again, with the sink sealed",
            State::Settled { .. } => "looking a last time whether the source stands still",
            State::Committing => "making it durable",
            State::Ended => "ended",
        }
    }

    /// Whether the stream is held to an exact position.
    pub fn is_draining(&self) -> bool {
        match self.state {
            State::Draining { .. }
            | State::Drained { .. }
            | State::Comparing { .. }
            | State::Sealing { .. }
            | State::Sealed { .. }
            | State::Settled { .. }
            | State::Committing => true,
            State::Gates | State::Waiting | State::Starting | State::Ended => false,
        }
    }

    /// Takes what has happened and says what is to be done.
    pub fn advance(&mut self, event: Event) -> Action {
        let state = std::mem::replace(&mut self.state, State::Ended);
        match (state, event) {
            (State::Gates, Event::Begun) => {
                self.go(State::Gates, Action::ReadGates(Moment::Before))
            }
            (State::Gates, Event::Gates(gates)) => self.before(gates),
            (State::Waiting, Event::Waited { again: true }) => {
                self.go(State::Gates, Action::ReadGates(Moment::Before))
            }
            (State::Waiting, Event::Waited { again: false }) => {
                self.refuse(false, shut(&self.gates))
            }
            (State::Starting, Event::Position(to)) => {
                self.go(State::Draining { to: to.clone() }, Action::Drain(to))
            }
            (State::Draining { to }, Event::Drained) => {
                self.go(State::Drained { to }, Action::ReadPosition)
            }
            (State::Draining { .. }, Event::TimedOut) => self.refuse(false, vec![undrained()]),
            (State::Drained { to }, Event::Position(now)) => match moved(&to, &now) {
                None => self.go(State::Comparing { to }, Action::Compare),
                Some(gate) => self.refuse(false, vec![gate]),
            },
            (State::Comparing { .. }, Event::TimedOut) => self.refuse(false, vec![uncompared()]),
            (State::Comparing { to }, Event::Compared(checked)) => match differs(&checked) {
                None => self.go(State::Sealing { to }, Action::Seal),
                Some(gate) => self.refuse(false, vec![gate]),
            },
            (State::Sealing { to }, Event::Sealed) => {
                self.go(State::Sealed { to }, Action::ReadGates(Moment::After))
            }
            (State::Sealing { .. }, Event::TimedOut) => self.refuse(false, vec![writing()]),
            (State::Sealed { to }, Event::Gates(gates)) => {
                self.gates = gates;
                let shut = shut(&self.gates);
                if shut.is_empty() {
                    self.go(State::Settled { to }, Action::ReadPosition)
                } else {
                    self.refuse(true, shut)
                }
            }
            (State::Settled { to }, Event::Position(now)) => match moved(&to, &now) {
                None => self.go(State::Committing, Action::Commit { to }),
                Some(gate) => self.refuse(true, vec![gate]),
            },
            (State::Committing, Event::Committed) => end(false, Ending::CutOver),
            (State::Committing, Event::Failed) => end(true, Ending::Failed),
            (State::Committing, _) => end(false, Ending::Unsure),
            (state, Event::Shut(gate)) => self.refuse(state.is_sealed(), vec![gate]),
            (state, Event::Aborted) => end(state.is_sealed(), Ending::Aborted),
            (state, _) => end(state.is_sealed(), Ending::Failed),
        }
    }

    fn before(&mut self, gates: Vec<Gate>) -> Action {
        self.gates = gates;
        let shut = shut(&self.gates);
        match (shut.is_empty(), self.options.dry_run) {
            (true, false) => self.go(State::Starting, Action::ReadPosition),
            (true, true) => end(false, Ending::DryRun { open: true }),
            (false, _) if self.options.wait_seconds > 0 => self.go(State::Waiting, Action::Wait),
            (false, true) => end(false, Ending::DryRun { open: false }),
            (false, false) => self.refuse(false, shut),
        }
    }

    fn go(&mut self, state: State, action: Action) -> Action {
        self.state = state;
        action
    }

    fn refuse(&mut self, unseal: bool, shut: Vec<Gate>) -> Action {
        if self.options.dry_run {
            return end(unseal, Ending::DryRun { open: false });
        }
        for gate in &shut {
            self.gates.retain(|known| known.name != gate.name);
            self.gates.push(gate.clone());
        }
        end(unseal, Ending::Refused(shut))
    }
}

impl State {
    fn is_sealed(&self) -> bool {
        match self {
            // One that is being sealed is unsealed, too: nobody knows how far it came.
            State::Sealing { .. } | State::Sealed { .. } | State::Settled { .. } => true,
            State::Gates
            | State::Waiting
            | State::Starting
            | State::Draining { .. }
            | State::Drained { .. }
            | State::Comparing { .. }
            | State::Committing
            | State::Ended => false,
        }
    }
}

fn end(unseal: bool, ending: Ending) -> Action {
    Action::End { unseal, ending }
}

/// The gate of decision 5: the source stands where the drain ended.
fn moved(to: &GtidSet, now: &GtidSet) -> Option<Gate> {
    if now == to {
        return None;
    }
    let more = now.difference(to).count();
    let reason = match more {
        0 => "gtid_executed is not what it was when the drain began".to_owned(),
        1 => "the source still takes writes: 1 transaction since the drain began".to_owned(),
        n => format!("the source still takes writes: {n} transactions since the drain began"),
    };
    Some(Gate {
        figure: Some(more as f64),
        threshold: Some(0.0),
        ..Gate::shut(
            "still",
            reason,
            "stop every write to MySQL (the application, jobs, events; SET GLOBAL super_read_only = ON), then try again",
        )
    })
}

fn undrained() -> Gate {
    Gate::shut(
        "drain",
        "the stream did not become durable up to the source's position in time",
        "`penstock rehearse` tells how long it takes; [cutover] drain_within_s sets how long it may",
    )
}

fn uncompared() -> Gate {
    Gate::shut(
        "parity",
        "what was written since the last full comparison could not be compared in time",
        "run `penstock verify`, so that less is left to compare; [cutover] drain_within_s sets how long it may take",
    )
}

fn writing() -> Gate {
    Gate::shut(
        "in_flight",
        "something was still being written after the drain",
        "stop what still writes (repairs, retries, the application), then try again",
    )
}

fn differs(checked: &Checked) -> Option<Gate> {
    let (items, wrong) = (checked.items, checked.mismatches);
    if wrong > 0 {
        return Some(Gate {
            figure: Some(wrong as f64),
            threshold: Some(0.0),
            ..Gate::shut(
                "parity",
                format!("{wrong} of {items} items written since the last full comparison differ"),
                "`penstock verify --repair`, then `penstock verify` once more",
            )
        });
    }
    (checked.undecided > 0).then(|| {
        Gate::shut(
            "parity",
            format!(
                "{} of {items} items written since the last full comparison could not be decided",
                checked.undecided
            ),
            "try again once nothing writes to MySQL; else run `penstock verify`",
        )
    })
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
