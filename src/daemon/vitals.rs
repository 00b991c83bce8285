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
            self.excuse();
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
        match self.waits() {
            true => self.excuse(),
            false => ended.append(&mut still),
        }
        match ended.is_empty() {
            true => Ok(()),
            false => Err(ended.join("; ")),
        }
    }

    /// What stood still until now had a reason: it counts from now.
    fn excuse(&mut self) {
        for thread in &mut self.threads {
            thread.seen = Instant::now();
        }
        self.shared.pulse.beat();
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::checkpoint::{Checkpoint, Lineage};
    use crate::contract;
    use crate::error::{Error, Kind};
    use crate::plan::{self, Mapping};
    use crate::position::Position;
    use crate::source::snapshot::Progress;

    const MOMENT: Duration = Duration::from_millis(500);

    fn shared() -> Arc<Shared> {
        let text = r#"{"tables": [{"table": "Things", "type": "single-entity", "source_table": "t", "pk": "id", "sk": null,
            "attributes": [{"name": "id", "type": "N", "source_table": "t", "source_column": "id"}]}]}"#;
        let (contract, mut diagnostics) = contract::parse_bytes(text.as_bytes(), false);
        let (contract, settings) = (contract.unwrap(), Mapping::default());
        let plan = plan::compile(&contract, None, "d", &settings, &mut diagnostics).unwrap();
        let lineage = Lineage {
            server_uuid: String::new(),
        };
        let checkpoint = Checkpoint::new(Position::default(), lineage, "");
        let progress = Arc::new(Progress::new(Vec::new(), 1));
        Arc::new(Shared::new(Arc::new(plan), progress, &checkpoint, 0))
    }

    /// Waits until a thread of this name can be seen by it.
    fn spawn(name: &'static str) -> (mpsc::Sender<()>, std::thread::JoinHandle<()>) {
        let (ended, end) = mpsc::channel::<()>();
        let (begun, begin) = mpsc::channel();
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || {
            begun.send(()).unwrap();
            let _ = end.recv();
        });
        begin.recv().unwrap();
        (ended, thread.unwrap())
    }

    #[test]
    fn a_thread_that_stands_still_or_has_ended_is_dead_while_all_else_is_well() {
        let shared = shared();
        shared.set_connected(true);
        let (end, thread) = spawn("vitals-still");
        let mut vitals = Vitals::new(Arc::clone(&shared), ["vitals-still"].into_iter());
        assert!(
            vitals.threads[0].file.is_some(),
            "this system has schedstat"
        );
        assert_eq!(vitals.check(), Ok(()), "five minutes have not passed");
        vitals.patience = MOMENT;
        std::thread::sleep(MOMENT * 2);
        shared.pulse.beat();
        // The first look may still see what it used to begin.
        let _ = vitals.check();
        std::thread::sleep(MOMENT);
        shared.pulse.beat();
        let dead = vitals.check().unwrap_err();
        assert_eq!(dead, "the thread `vitals-still` stands still");

        // A source or a target that is away explains that, for as long as it is; the end of a thread it does not.
        shared.set_connected(false);
        assert_eq!(vitals.check(), Ok(()));
        shared.set_connected(true);
        assert_eq!(vitals.check(), Ok(()), "it counts from now");
        shared.set_connected(false);
        drop(end);
        thread.join().unwrap();
        let dead = vitals.check().unwrap_err();
        assert_eq!(dead, "the thread `vitals-still` has ended");

        // A daemon that has stopped is up to tell why.
        shared.stop(&Error::new(Kind::Store, "no room"));
        assert_eq!(vitals.check(), Ok(()));
    }

    #[test]
    fn a_busy_thread_lives() {
        let shared = shared();
        shared.set_connected(true);
        let stop = Arc::new(AtomicBool::new(false));
        let busy = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("vitals-busy".to_owned());
        let thread = thread.spawn(move || {
            while !busy.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        std::thread::sleep(MOMENT);
        let mut vitals = Vitals::new(Arc::clone(&shared), ["vitals-busy"].into_iter());
        vitals.patience = Duration::from_secs(1);
        for _ in 0..12 {
            std::thread::sleep(Duration::from_millis(100));
            shared.pulse.beat();
            assert_eq!(vitals.check(), Ok(()));
        }
        stop.store(true, Ordering::Relaxed);
        thread.unwrap().join().unwrap();
    }

    #[test]
    fn the_committer_may_wait_for_the_disk_and_for_nothing_else() {
        let shared = shared();
        shared.set_connected(true);
        let mut vitals = Vitals::new(Arc::clone(&shared), std::iter::empty());
        vitals.patience = MOMENT;
        let writing = shared.pulse.writing();
        std::thread::sleep(MOMENT * 2);
        assert_eq!(vitals.check(), Ok(()));
        drop(writing);
        assert_eq!(
            vitals.check(),
            Ok(()),
            "the end of a write is a sign of life"
        );
        std::thread::sleep(MOMENT * 2);
        let dead = vitals.check().unwrap_err();
        assert_eq!(dead, "the committer stands still");
    }
}
