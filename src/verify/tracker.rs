//! Which rows are to be compared next, and from where an interrupted comparison goes on.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::report::{Mode, Report};
use crate::checkpoint::{Bound, Range};
use crate::error::{Error, Kind, Result};
use crate::plan::{Plan, ProjectionId};

/// The format of the saved state.
const VERSION: u32 = 1;

/// What is saved now and then, so that a comparison that is killed goes on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Saved {
    version: u32,
    pub show_values: bool,
    /// Everything before this has been compared.
    pub at: At,
    /// Lengths of the files of what must be there.
    pub lengths: Vec<u64>,
    pub parts: usize,
    pub report: Report,
}

/// A place in the rows of all projections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// An index into the projections that are compared; their number when all have been.
    pub projection: usize,
    pub after: Option<Bound>,
}

/// A range of a projection's rows.
#[derive(Debug, Clone)]
pub struct Chunk {
    pub number: u64,
    pub projection: ProjectionId,
    pub range: Range,
    start: At,
}

/// What a chunk brought, counted when it is done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    pub items: u64,
    pub without_item: u64,
}

/// Hands out chunks in order and knows which are done.
#[derive(Debug)]
pub struct Tracker {
    projections: Vec<ProjectionId>,
    next: At,
    number: u64,
    open: BTreeMap<u64, Open>,
    done: At,
}

#[derive(Debug)]
struct Open {
    start: At,
    projection: ProjectionId,
    counts: Option<Counts>,
}

impl Tracker {
    pub fn new(projections: Vec<ProjectionId>, at: At) -> Self {
        Self {
            projections,
            next: at.clone(),
            number: 0,
            open: BTreeMap::new(),
            done: at,
        }
    }

    /// The projection whose rows are divided next, and after which of them; `None` at the end.
    pub fn next(&self) -> Option<(ProjectionId, Option<Bound>)> {
        let projection = self.projections.get(self.next.projection)?;
        Some((*projection, self.next.after.clone()))
    }

    /// The next chunk, which ends at `upto`, or with the table; what is not compared is passed over.
    pub fn hand_out(&mut self, upto: Option<Bound>) -> Option<Chunk> {
        let projection = *self.projections.get(self.next.projection)?;
        let start = self.next.clone();
        let range = Range {
            after: start.after.clone(),
            upto: upto.clone(),
        };
        self.next = match upto {
            Some(bound) => At {
                projection: start.projection,
                after: Some(bound),
            },
            None => At {
                projection: start.projection + 1,
                after: None,
            },
        };
        self.number += 1;
        let open = Open {
            start: start.clone(),
            projection,
            counts: None,
        };
        self.open.insert(self.number, open);
        Some(Chunk {
            number: self.number,
            projection,
            range,
            start,
        })
    }

    /// Everything of the chunk is decided. What is done from the start on goes into the report.
    pub fn done(&mut self, number: u64, counts: Counts, plan: &Plan, report: &mut Report) {
        if let Some(open) = self.open.get_mut(&number) {
            open.counts = Some(counts);
        }
        while let Some(first) = self.open.first_entry() {
            let Some(counts) = first.get().counts else {
                break;
            };
            let open = first.remove();
            report.items += counts.items;
            report.rows_without_item += counts.without_item;
            let label = plan.projection(open.projection).label.clone();
            report.entities.entry(label).or_default().items += counts.items;
        }
        let first = self.open.values().next();
        self.done = first.map_or_else(|| self.next.clone(), |open| open.start.clone());
    }

    /// Everything before this is done.
    pub fn at(&self) -> At {
        self.done.clone()
    }
}

impl Chunk {
    pub fn is_first_of_its_projection(&self) -> bool {
        self.start.after.is_none()
    }
}

impl Saved {
    pub fn new(report: Report, parts: usize, show_values: bool) -> Self {
        Self {
            version: VERSION,
            show_values,
            at: At::default(),
            lengths: Vec::new(),
            parts,
            report,
        }
    }

    /// What an interrupted comparison of this kind and plan has left; `None` where there is nothing to go on with. What it has
    /// found holds row values or does not, as it was asked for.
    pub fn load(directory: &Path, mode: &Mode, plan: &Plan, show_values: bool) -> Option<Self> {
        let bytes = std::fs::read(file_of(directory)).ok()?;
        let mut saved: Saved = serde_json::from_slice(&bytes).ok()?;
        let same = saved.version == VERSION
            && saved.show_values == show_values
            && saved.report.mode == *mode
            && saved.report.plan_fingerprint == plan.fingerprint;
        saved.report.know_again(plan);
        same.then_some(saved)
    }

    /// Saves it whole, or leaves the former one.
    pub fn save(&self, directory: &Path) -> Result<()> {
        let failed = |e: std::io::Error| {
            Error::new(
                Kind::Store,
                format!("the comparison's state at {}", directory.display()),
            )
            .with_source(e)
        };
        let bytes = serde_json::to_vec(self).map_err(|e| failed(e.into()))?;
        let new = directory.join("state.new");
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                // It may hold row values.
                .mode(0o600)
                .open(&new)?;
            file.write_all(&bytes)?;
            std::fs::rename(&new, file_of(directory))
        };
        write().map_err(failed)
    }
}

fn file_of(directory: &Path) -> PathBuf {
    directory.join("state.json")
}

/// When to save again.
#[derive(Debug)]
pub struct Pace(Instant);

impl Pace {
    pub fn new() -> Self {
        Self(Instant::now())
    }

    pub fn is_due(&mut self, seconds: f64) -> bool {
        let due = self.0.elapsed().as_secs_f64() >= seconds;
        if due {
            self.0 = Instant::now();
        }
        due
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}
