//! Whether the flow is alive: what a watchdog is told.
//!
//! Waiting is life: for a source that is away, for a target that refuses, for a disk. What is not: a part that has ended
//! without a word, and one that stands still where nothing explains it. A restart cures these and nothing else, so that
//! everything else counts as alive; a busy thread does, too, however long it takes.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::shared::Shared;
use crate::phase::Phase;

/// Standing still for so long is death.
const STILL: Duration = Duration::from_secs(5 * 60);

/// The committer's signs of life.
#[derive(Debug)]
pub struct Pulse {
    beat: Mutex<Instant>,
    writing: AtomicBool,
}

/// While this lives, the committer waits for the disk.
pub struct Writing<'p>(&'p Pulse);

impl Default for Pulse {
    fn default() -> Self {
        Self {
            beat: Mutex::new(Instant::now()),
            writing: AtomicBool::new(false),
        }
    }
}

impl Pulse {
    /// The committer has come round again.
    pub fn beat(&self) {
        *self.beat.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// It writes, which may take long: a restart makes no disk faster.
    pub fn writing(&self) -> Writing<'_> {
        self.writing.store(true, Ordering::Relaxed);
        Writing(self)
    }

    fn is_still(&self, for_long: Duration) -> bool {
        let beat = *self.beat.lock().unwrap_or_else(PoisonError::into_inner);
        !self.writing.load(Ordering::Relaxed) && beat.elapsed() >= for_long
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.beat();
        self.0.writing.store(false, Ordering::Relaxed);
    }
}

/// Watches the parts of one run.
pub struct Vitals {
    shared: Arc<Shared>,
    threads: Vec<Thread>,
    patience: Duration,
}

/// A thread of the flow, and when it was last seen to use the processor.
struct Thread {
    name: &'static str,
    /// Its `schedstat`; `None` where the system has none, and then nothing is said of it.
    file: Option<PathBuf>,
    used: u64,
    seen: Instant,
}

impl Vitals {
    /// Of a daemon with threads of these names.
    pub fn new(shared: Arc<Shared>, threads: impl Iterator<Item = &'static str>) -> Self {
        Self {
            shared,
            threads: threads.map(Thread::find).collect(),
            patience: STILL,
        }
    }

    /// Looks; to be called every few seconds. The error says which part is dead.
    pub fn check(&mut self) -> Result<(), String> {
        if self.is_told() {
            return Ok(());
        }
        let (mut ended, mut still) = (Vec::new(), Vec::new());
        for thread in &mut self.threads {
            match thread.look() {
                Look::Ended => ended.push(format!("the thread `{}` has ended", thread.name)),
                Look::Still(time) if time >= self.patience => {
                    still.push(format!("the thread `{}` stands still", thread.name));
                }
                Look::Still(_) | Look::Unknown => {}
            }
        }
        if self.shared.pulse.is_still(self.patience) {
            still.push("the committer stands still".to_owned());
        }
        if !self.waits() {
            ended.append(&mut still);
        }
        match ended.is_empty() {
            true => Ok(()),
            false => Err(ended.join("; ")),
        }
    }

    /// Whether the daemon itself says that nothing flows, or is ending.
    fn is_told(&self) -> bool {
        match self.shared.phase() {
            Phase::Stopped
            | Phase::ResnapshotRequired
            | Phase::Draining
            | Phase::CutOver
            | Phase::Aborted
            | Phase::Paused => true,
            Phase::Snapshot | Phase::Streaming | Phase::Ready => self.shared.failure().is_some(),
        }
    }

    /// Whether something explains that nothing moves: either side is away, or the lanes are at work and all else waits for them.
    fn waits(&self) -> bool {
        let trouble = &self.shared.trouble;
        let silent = trouble.target_silent_for();
        silent.is_some_and(|silent| silent < self.patience)
            || !trouble.all().is_empty()
            || !self.shared.is_connected()
    }
}

enum Look {
    Ended,
    /// It has used no time for so long.
    Still(Duration),
    Unknown,
}

impl Thread {
    fn find(name: &'static str) -> Self {
        let mut thread = Self {
            name,
            file: None,
            used: 0,
            seen: Instant::now(),
        };
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
        thread.file = tasks
            .filter_map(|task| Some(task.ok()?.path()))
            .find(|task| fs::read_to_string(task.join("comm")).is_ok_and(|c| c.trim() == name))
            .map(|task| task.join("schedstat"))
            .filter(|file| nanoseconds(file).is_some());
        thread
    }

    fn look(&mut self) -> Look {
        let Some(file) = &self.file else {
            return Look::Unknown;
        };
        match nanoseconds(file) {
            None => Look::Ended,
            Some(used) if used == self.used => Look::Still(self.seen.elapsed()),
            Some(used) => {
                self.used = used;
                self.seen = Instant::now();
                Look::Still(Duration::ZERO)
            }
        }
    }
}

/// Time on the processor.
fn nanoseconds(schedstat: &PathBuf) -> Option<u64> {
    let text = fs::read_to_string(schedstat).ok()?;
    text.split(' ').next()?.parse().ok()
}
