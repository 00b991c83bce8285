//! The gates: each a question whose answer must be yes, with the reason, the remedy and the figure behind it.

use serde::{Deserialize, Serialize};

use crate::phase::Phase;
use crate::verify::Owed;
use crate::words::counted;

/// One condition of the cutover.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    pub name: String,
    pub open: bool,
    pub reason: String,
    /// What opens it; null where it is open.
    #[serde(default)]
    pub remedy: Option<String>,
    /// What was measured.
    #[serde(default)]
    pub figure: Option<f64>,
    /// What it may be at most.
    #[serde(default)]
    pub threshold: Option<f64>,
}

/// When the gates are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the drain: it may have a little left to do.
    Before,
    /// After it, with the sink sealed: nothing may be left.
    After,
}

/// How much is tolerated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Seconds behind the source when the drain begins.
    pub lag: u64,
    /// Age of the source's last word, in seconds.
    pub heartbeat: u64,
    /// Age of the checkpoint, in seconds.
    pub checkpoint: u64,
}

/// What is known at one moment.
#[derive(Debug, Clone)]
pub struct Readings {
    pub phase: Phase,
    /// Why the stream stopped.
    pub stopped: Option<String>,
    /// Every table is copied, and the items of joins are made.
    pub copied: bool,
    /// Tables that are not.
    pub tables_left: usize,
    /// Tables that are being copied again.
    pub resnapshot: Vec<String>,
    /// Seconds; `None` while unknown.
    pub lag: Option<f64>,
    /// Mutations that DynamoDB has not acknowledged.
    pub in_flight: usize,
    pub dead_letters: u64,
    pub parity: Result<(), Owed>,
    /// Seconds since the source's last word.
    pub heartbeat: f64,
    /// Seconds since the checkpoint was last known to be current; `None` before the first.
    pub checkpoint: Option<f64>,
    /// Prepared XA transactions; `None` where we may not ask.
    pub prepared: Option<usize>,
    /// Why MySQL did not answer.
    pub silent: Option<String>,
    /// What the server receives from others that it has not applied, or may not have received; one text for each source.
    /// `None` where it is no replica.
    pub replica: Option<Vec<String>>,
    /// Whether the server refuses writes; `None` where it was not asked for.
    pub read_only: Option<ReadOnly>,
}

/// What the server says of writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadOnly {
    pub read_only: bool,
    pub super_read_only: bool,
}

/// All of them, in the order of a migration.
pub fn gates(readings: &Readings, thresholds: &Thresholds, moment: Moment) -> Vec<Gate> {
    let mut all = vec![
        stream(readings),
        snapshot(readings),
        resnapshot(readings),
        lag(readings, thresholds, moment),
        in_flight(readings, moment),
        dead_letters(readings),
        parity(&readings.parity),
        heartbeat(readings, thresholds),
        checkpoint(readings, thresholds),
        prepared(readings),
    ];
    all.extend(replica(readings));
    all.extend(read_only(readings));
    all
}

/// Those that are shut.
pub fn shut(gates: &[Gate]) -> Vec<Gate> {
    gates.iter().filter(|gate| !gate.open).cloned().collect()
}

impl Gate {
    /// One that is open.
    pub fn open(name: &str, reason: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            open: true,
            reason: reason.into(),
            remedy: None,
            figure: None,
            threshold: None,
        }
    }

    /// One that is shut.
    pub fn shut(name: &str, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            open: false,
            remedy: Some(remedy.into()),
            ..Self::open(name, reason)
        }
    }

    fn measured(self, figure: f64, threshold: f64) -> Self {
        Self {
            figure: Some(figure),
            threshold: Some(threshold),
            ..self
        }
    }
}

fn stream(readings: &Readings) -> Gate {
    let name = "stream";
    if let Some(reason) = &readings.stopped {
        return Gate::shut(
            name,
            format!("it has stopped: {reason}"),
            "`penstock status` tells the remedy",
        );
    }
    match readings.phase {
        Phase::Snapshot | Phase::Streaming | Phase::Ready | Phase::Draining | Phase::Aborted => {
            Gate::open(name, "it runs")
        }
        Phase::Paused => Gate::shut(name, "it is paused", "`penstock resume`"),
        Phase::CutOver => Gate::shut(
            name,
            "the cutover has been made already",
            "`penstock cutover --reopen` takes it back",
        ),
        Phase::Stopped | Phase::ResnapshotRequired => {
            Gate::shut(name, "it has stopped", "`penstock status` tells the remedy")
        }
    }
}

fn snapshot(readings: &Readings) -> Gate {
    if readings.copied {
        return Gate::open("snapshot", "every table is copied").measured(0.0, 0.0);
    }
    let left = readings.tables_left;
    let reason = match left {
        0 => "items of joins are still being made".to_owned(),
        1 => "1 table is not copied yet".to_owned(),
        n => format!("{n} tables are not copied yet"),
    };
    Gate::shut(
        "snapshot",
        reason,
        "wait until `penstock status` shows every table as done",
    )
    .measured(left as f64, 0.0)
}

fn resnapshot(readings: &Readings) -> Gate {
    let again = &readings.resnapshot;
    if again.is_empty() {
        return Gate::open("resnapshot", "no table is being copied again").measured(0.0, 0.0);
    }
    Gate::shut(
        "resnapshot",
        format!("being copied again: {}", again.join(", ")),
        "wait until it is done, then run `penstock verify`",
    )
    .measured(again.len() as f64, 0.0)
}

fn lag(readings: &Readings, thresholds: &Thresholds, moment: Moment) -> Gate {
    let most = match moment {
        Moment::Before => thresholds.lag as f64,
        Moment::After => 0.0,
    };
    match readings.lag {
        None => lag_unknown(readings.silent.as_deref()),
        Some(seconds) if seconds <= most => {
            Gate::open("lag", format!("{seconds:.1} s behind the source")).measured(seconds, most)
        }
        Some(seconds) => Gate::shut(
            "lag",
            format!("{seconds:.1} s behind the source"),
            "wait until the stream has caught up (`--wait SECONDS` does); `penstock status` tells what holds it up",
        )
        .measured(seconds, most),
    }
}

/// It is told by the source's end, once that was reached, and by what was written; both are of this start.
fn lag_unknown(silent: Option<&str>) -> Gate {
    match silent {
        Some(reason) => Gate::shut(
            "lag",
            format!("how far the stream is behind is not known: {reason}"),
            "check that MySQL answers, then try again",
        ),
        None => Gate::shut(
            "lag",
            "how far the stream is behind is not known: since the start it was never at the source's end, and no transaction was written",
            "wait for the first transaction; `penstock status` tells what holds it up",
        ),
    }
}

fn in_flight(readings: &Readings, moment: Moment) -> Gate {
    let items = readings.in_flight;
    let reason = match items {
        0 => "nothing is on its way to DynamoDB".to_owned(),
        n => format!("{n} mutations are on their way to DynamoDB"),
    };
    match moment {
        // The drain writes them.
        Moment::Before => Gate {
            figure: Some(items as f64),
            ..Gate::open("in_flight", reason)
        },
        Moment::After if items == 0 => Gate::open("in_flight", reason).measured(0.0, 0.0),
        Moment::After => Gate::shut(
            "in_flight",
            reason,
            "stop what still writes (repairs, retries, the application), then try again",
        )
        .measured(items as f64, 0.0),
    }
}

fn dead_letters(readings: &Readings) -> Gate {
    let count = readings.dead_letters;
    if count == 0 {
        return Gate::open("dead_letters", "every row has its item").measured(0.0, 0.0);
    }
    Gate::shut(
        "dead_letters",
        counted(count, "row") + " without a valid item",
        "`penstock dead-letters list` names them: correct the rows, then `penstock dead-letters retry`",
    )
    .measured(count as f64, 0.0)
}

fn parity(standing: &Result<(), Owed>) -> Gate {
    let Err(owed) = standing else {
        return Gate::open("parity", "a full comparison found both sides equal");
    };
    Gate::shut("parity", owed.reason(), owed.remedy())
}

fn heartbeat(readings: &Readings, thresholds: &Thresholds) -> Gate {
    let (age, most) = (readings.heartbeat, thresholds.heartbeat as f64);
    let reason = format!("the source was last heard {age:.1} s ago");
    let gate = if age <= most {
        Gate::open("heartbeat", reason)
    } else {
        Gate::shut(
            "heartbeat",
            reason,
            "check that MySQL runs and that the connection to it holds: `penstock status` tells the trouble",
        )
    };
    gate.measured(age, most)
}

fn checkpoint(readings: &Readings, thresholds: &Thresholds) -> Gate {
    let most = thresholds.checkpoint as f64;
    match readings.checkpoint {
        None => Gate::shut("checkpoint", "there is none yet", "wait for the first one"),
        Some(age) if age <= most => {
            Gate::open("checkpoint", format!("current as of {age:.1} s ago")).measured(age, most)
        }
        Some(age) => Gate::shut(
            "checkpoint",
            format!("the last one is {age:.1} s old"),
            "check space and speed of the directory in [state] path",
        )
        .measured(age, most),
    }
}

fn prepared(readings: &Readings) -> Gate {
    match (readings.prepared, &readings.silent) {
        (Some(0), _) => Gate::open("xa", "no XA transaction is prepared").measured(0.0, 0.0),
        (Some(count), _) => Gate::shut(
            "xa",
            format!("{count} XA transactions are prepared: their rows may still be committed"),
            "commit or roll back each of them; `XA RECOVER CONVERT XID` names them",
        )
        .measured(count as f64, 0.0),
        (None, Some(reason)) => Gate::shut(
            "xa",
            format!("MySQL was not asked for prepared XA transactions: {reason}"),
            "check that MySQL answers, then try again",
        ),
        (None, None) => Gate::shut(
            "xa",
            "penstock's user may not ask MySQL for prepared XA transactions",
            "as an administrator: GRANT XA_RECOVER_ADMIN ON *.* TO penstock's user",
        ),
    }
}

/// A replica stands still, too, when it lags.
fn replica(readings: &Readings) -> Option<Gate> {
    let behind = readings.replica.as_ref()?;
    Some(match behind.first() {
        None => Gate::open(
            "replica",
            "the server is a replica and has applied all that it has received",
        ),
        Some(_) => Gate::shut(
            "replica",
            format!(
                "the server is a replica that is behind: {}",
                behind.join("; ")
            ),
            "wait until it has caught up with its source (SHOW REPLICA STATUS), or point [source] at that; where it was promoted: RESET REPLICA ALL",
        ),
    })
}

fn read_only(readings: &Readings) -> Option<Gate> {
    let server = readings.read_only?;
    let name = "read_only";
    Some(if readings.silent.is_some() {
        Gate::shut(
            name,
            "MySQL was not asked whether it refuses writes",
            "check that MySQL answers, then try again",
        )
    } else if server.super_read_only {
        Gate::open(name, "super_read_only is ON")
    } else if server.read_only {
        Gate::open(
            name,
            "read_only is ON; that administrators write nothing is seen from gtid_executed",
        )
    } else {
        Gate::shut(
            name,
            "the server takes writes: read_only and super_read_only are OFF",
            "stop the application's writes, then: SET GLOBAL super_read_only = ON",
        )
    })
}

#[cfg(test)]
#[path = "gates_tests.rs"]
mod tests;
