//! A comparison of both sides while both change.
//!
//! ```text
//!  workers: a range of rows ─ watch ─ SELECT ─ high ─ durable ─ BatchGetItem ─ compare ──► suspects ─► settle ─► report
//!                                        └─ hashes of keys, on disk ─┐
//!  scan of the target: keys, on disk ────────────────────────────────┴─ join ─► suspects ─┘
//! ```
//!
//! A difference is a finding only when it was seen twice, each time in a bracket in which the stream did not write the item.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::extra::{self, Parts};
use super::flow::Flow;
use super::judge::{Difference, Name, Wrong, compare, fetch, judge, pipeline_key};
use super::progress::{Progress, Step};
use super::rate::Limit;
use super::report::{Mode, Report};
use super::session::{Session, is_ours};
use super::settle::Suspect;
use super::source::Expected;
use super::target::Target;
use super::tracker::{Chunk, Counts, Pace, Saved, Tracker};
use crate::checkpoint::create_directory;
use crate::error::{Directive, Error, Kind, Result};
use crate::plan::{Plan, ProjectionId, TargetId};
use crate::source::Options;

/// Ranges that are compared at once, each over connections of its own.
const WORKERS: usize = 4;
/// Rows of a range; of a sample's.
const CHUNK_ROWS: u64 = 5_000;
const SAMPLE_ROWS: u64 = 200;
/// What is held of a range at once.
const BATCH_ROWS: usize = 2_000;
const BATCH_BYTES: usize = 4 << 20;
/// Batches of suspects that wait to be settled.
const SUSPECTS: usize = 64;
const SAVE_SECONDS: f64 = 2.0;
/// MySQL or DynamoDB may be away for so long.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// What compares.
pub struct Engine {
    pub plan: Arc<Plan>,
    pub options: Arc<Options>,
    pub target: Target,
    pub flow: Arc<dyn Flow>,
    /// Rows a second.
    pub rows: Limit,
    /// Where its files are.
    pub directory: PathBuf,
    pub progress: Arc<Progress>,
    pub stop: CancellationToken,
    pub show_values: bool,
    /// An item that cannot be decided for so long is undecided.
    pub patience: Duration,
    /// A comparison that began before this is not gone on with; in milliseconds since 1970.
    pub not_before: u64,
}

/// What a running comparison shares.
pub(super) struct Run {
    tracker: Mutex<Tracker>,
    report: Mutex<Report>,
    parts: Option<Mutex<Parts>>,
}

/// A chunk is done when nobody holds it any more: its suspects do until they are settled.
pub(super) struct Held {
    number: u64,
    counts: Mutex<Option<Counts>>,
    plan: Arc<Plan>,
    run: Arc<Run>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let counts = *lock(&self.counts);
        if let Some(counts) = counts {
            let mut report = lock(&self.run.report);
            lock(&self.run.tracker).done(self.number, counts, &self.plan, &mut report);
        }
    }
}

impl Engine {
    /// Compares; `begun` learns when it began, which is what its report will say. Goes on where an interrupted comparison of the same kind was.
    ///
    /// # Errors
    /// `Interrupted` where it was told to stop: then it can be gone on with.
    pub async fn run(self: &Arc<Self>, mode: &Mode, begun: impl FnOnce(u64)) -> Result<Report> {
        let projections = self.projections(mode)?;
        let mut session = self.session().await?;
        let mut estimated = 0;
        for id in &projections {
            estimated += session.estimate(self.plan.projection(*id)).await?;
        }
        let (saved, parts) = match self.begin(mode) {
            // What is left of an interrupted one is not whole: then from the start.
            Err(error) if error.kind() == Kind::Store => {
                tracing::warn!(%error, "an interrupted comparison cannot be gone on with");
                let _ = std::fs::remove_dir_all(&self.directory);
                self.begin(mode)?
            }
            begun => begun?,
        };
        self.progress.begin(saved.report.items, estimated);
        begun(saved.report.started_unix_ms);
        let (count, show) = (saved.parts, saved.show_values);
        let run = Arc::new(Run {
            tracker: Mutex::new(Tracker::new(projections, saved.at)),
            report: Mutex::new(saved.report),
            parts: parts.map(Mutex::new),
        });
        self.compare(mode, &run, count, show).await?;
        if run.parts.is_some() {
            self.scan(&run).await?;
            self.join(&run, &mut session).await?;
        }
        let mut report = lock(&run.report).clone();
        report.finished_unix_ms = Some(crate::checkpoint::now_unix_ms());
        // What is left of it is only in the way.
        let _ = std::fs::remove_dir_all(&self.directory);
        Ok(report)
    }

    /// Compares these items only.
    pub async fn check(self: &Arc<Self>, names: Vec<Name>) -> Result<Report> {
        let mut report = Report::new(Mode::Keys, &self.plan);
        report.items = names.len() as u64;
        self.progress.begin(0, report.items);
        let report = Arc::new(Mutex::new(report));
        let mut session = self.session().await?;
        let mut names = names.into_iter();
        loop {
            let some: Vec<Suspect> = names.by_ref().take(1000).map(Suspect::new).collect();
            if some.is_empty() {
                break;
            }
            let count = some.len() as u64;
            self.settle(&mut session, some, &report).await?;
            self.progress.compared(count);
        }
        let mut report = lock(&report).clone();
        report.finished_unix_ms = Some(crate::checkpoint::now_unix_ms());
        Ok(report)
    }

    /// Those that are extra, as one look finds.
    pub async fn extra_among(&self, names: &[Name]) -> Result<Vec<Name>> {
        let mut session = self.session().await?;
        let judged = judge(&self.plan, &mut session, &self.target, &*self.flow, names);
        let verdicts = judged.await?;
        let extra = names.iter().zip(verdicts).filter(|(_, verdict)| {
            let wrong = verdict.difference.as_ref().map(|d| d.wrong);
            wrong == Some(Wrong::Extra) && !verdict.touched
        });
        Ok(extra.map(|(name, _)| name.clone()).collect())
    }

    pub(super) async fn session(&self) -> Result<Session> {
        Session::open(Arc::clone(&self.plan), Arc::clone(&self.options)).await
    }

    fn projections(&self, mode: &Mode) -> Result<Vec<ProjectionId>> {
        let of = |entity: &str| {
            let mut labels: Vec<&str> = Vec::new();
            let mut found = Vec::new();
            for p in &self.plan.projections {
                labels.push(&p.label);
                if p.label == entity || p.entity.as_deref() == Some(entity) {
                    found.push(p.id);
                }
            }
            match found.is_empty() {
                false => Ok(found),
                true => Err(Error::new(
                    Kind::Usage,
                    format!("the contract has no entity {entity}"),
                )
                .with_remedy(format!("it has {}", labels.join(", ")))),
            }
        };
        match mode {
            Mode::Entity(entity) => of(entity),
            _ => Ok(self.plan.projections.iter().map(|p| p.id).collect()),
        }
    }

    /// Its state, and the files of a full one.
    fn begin(&self, mode: &Mode) -> Result<(Saved, Option<Parts>)> {
        let saved = self.saved(mode)?;
        let parts = match mode {
            Mode::Full => Some(Parts::open(&self.directory, saved.parts, &saved.lengths)?),
            _ => None,
        };
        Ok((saved, parts))
    }

    fn saved(&self, mode: &Mode) -> Result<Saved> {
        create_directory(&self.directory)?;
        let saved = Saved::load(&self.directory, mode, &self.plan, self.show_values)
            .filter(|saved| saved.report.started_unix_ms > self.not_before);
        if let Some(mut saved) = saved {
            tracing::info!(
                items = saved.report.items,
                "an interrupted comparison goes on"
            );
            saved.report.resumed += 1;
            return Ok(saved);
        }
        let report = Report::new(mode.clone(), &self.plan);
        Ok(Saved::new(report, extra::PARTS, self.show_values))
    }

    /// The rows of all projections, range by range.
    async fn compare(
        self: &Arc<Self>,
        mode: &Mode,
        run: &Arc<Run>,
        parts: usize,
        show_values: bool,
    ) -> Result<()> {
        let (suspects, arriving) = mpsc::channel(SUSPECTS);
        let chunker = Arc::new(tokio::sync::Mutex::new(self.session().await?));
        let mut tasks = JoinSet::new();
        for _ in 0..WORKERS {
            let work = Arc::clone(self).work(
                mode.clone(),
                Arc::clone(run),
                Arc::clone(&chunker),
                suspects.clone(),
            );
            tasks.spawn(work);
        }
        drop(suspects);
        tasks.spawn(Arc::clone(self).settle_all(Arc::clone(run), arriving));
        let mut pace = Pace::new();
        loop {
            tokio::select! {
                // Whoever fails ends the others: they are aborted with the set.
                ended = tasks.join_next() => match ended {
                    None => break,
                    Some(ended) => ended.map_err(panicked)??,
                },
                () = self.stop.cancelled() => {
                    self.save(run, parts, show_values)?;
                    return Err(Error::new(Kind::Interrupted, "the comparison was stopped"));
                }
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
            }
            if pace.is_due(SAVE_SECONDS) {
                self.save(run, parts, show_values)?;
            }
        }
        self.save(run, parts, show_values)
    }

    fn save(&self, run: &Run, parts: usize, show_values: bool) -> Result<()> {
        let (at, report) = {
            let report = lock(&run.report);
            let at = lock(&run.tracker).at();
            (at, report.clone())
        };
        // What lies before `at` has been written to the parts before.
        let lengths = match &run.parts {
            Some(parts) => lock(parts).flush()?,
            None => Vec::new(),
        };
        let mut saved = Saved::new(report, parts, show_values);
        (saved.at, saved.lengths) = (at, lengths);
        saved.save(&self.directory)
    }

    /// A worker: range after range, each again where a side was away.
    async fn work(
        self: Arc<Self>,
        mode: Mode,
        run: Arc<Run>,
        chunker: Arc<tokio::sync::Mutex<Session>>,
        suspects: mpsc::Sender<Vec<Suspect>>,
    ) -> Result<()> {
        let mut session = self.session().await?;
        while let Some(chunk) = self.next(&mode, &run, &chunker).await? {
            let begun = Instant::now();
            let held = Arc::new(Held {
                number: chunk.number,
                counts: Mutex::new(None),
                plan: Arc::clone(&self.plan),
                run: Arc::clone(&run),
            });
            if let Mode::Sample(percent) = mode
                && fastrand::f64() * 100.0 >= percent
                && !chunk.is_first_of_its_projection()
            {
                *lock(&held.counts) = Some(Counts::default());
                continue;
            }
            loop {
                match self
                    .chunk(&mut session, &run, &chunk, &held, &suspects)
                    .await
                {
                    Ok(counts) => {
                        *lock(&held.counts) = Some(counts);
                        break;
                    }
                    Err(error)
                        if error.directive() == Directive::Retry && begun.elapsed() < PATIENCE =>
                    {
                        tracing::warn!(%error, "a range is compared again");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        if let Ok(fresh) = self.session().await {
                            session = fresh;
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// The next range.
    async fn next(
        &self,
        mode: &Mode,
        run: &Run,
        chunker: &tokio::sync::Mutex<Session>,
    ) -> Result<Option<Chunk>> {
        let rows = match mode {
            Mode::Sample(_) => SAMPLE_ROWS,
            _ => CHUNK_ROWS,
        };
        let mut session = chunker.lock().await;
        let begun = Instant::now();
        loop {
            let Some((projection, after)) = lock(&run.tracker).next() else {
                return Ok(None);
            };
            let projection = self.plan.projection(projection);
            match session.bound(projection, after.as_ref(), rows).await {
                Ok(upto) => return Ok(lock(&run.tracker).hand_out(upto)),
                Err(error)
                    if error.directive() == Directive::Retry && begun.elapsed() < PATIENCE =>
                {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    if let Ok(fresh) = self.session().await {
                        *session = fresh;
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Compares one range; what differs goes to be settled.
    async fn chunk(
        &self,
        session: &mut Session,
        run: &Run,
        chunk: &Chunk,
        held: &Arc<Held>,
        suspects: &mpsc::Sender<Vec<Suspect>>,
    ) -> Result<Counts> {
        let projection = self.plan.projection(chunk.projection);
        let watch = self.flow.watch().await?;
        session.visible(watch.received()).await?;
        let select = session.of_range(projection, &chunk.range)?;
        let mut counts = Counts::default();
        let mut rows = session.read(&select, projection).await?;
        let mut expected = Expected::default();
        while rows.batch(&mut expected, BATCH_ROWS, BATCH_BYTES).await? {
            let high = rows.questions.executed().await?;
            self.flow.durable(&high).await?;
            self.rows.take(expected.rows.len() as f64).await;
            let mut found = Vec::new();
            for (name, difference) in self.batch(projection.target, &expected).await? {
                let touched = watch.is_touched(name.0, &pipeline_key(&self.plan, &name));
                found.push(Suspect::seen(name, difference, touched, Arc::clone(held)));
            }
            let items = note(run, projection.target, &expected)?;
            counts.items += items;
            counts.without_item += expected.rows.len() as u64 - items + expected.without_key;
            self.progress.compared(items);
            crate::metrics::PARITY_ITEMS.with([]).increment(items);
            if !found.is_empty() && suspects.send(found).await.is_err() {
                return Err(Error::new(Kind::Interrupted, "the comparison has ended"));
            }
        }
        Ok(counts)
    }

    /// The rows whose items are not there as they must be.
    async fn batch(
        &self,
        target: TargetId,
        expected: &Expected,
    ) -> Result<Vec<(Name, Difference)>> {
        let mut order: Vec<usize> = (0..expected.rows.len()).collect();
        let key = |at: &usize| {
            let row = expected.rows.get(*at);
            row.map_or(&[][..], |row| expected.bytes(&row.key))
        };
        order.sort_unstable_by(|a, b| key(a).cmp(key(b)));
        let mut keys: Vec<&[u8]> = order.iter().map(key).collect();
        keys.dedup();
        let pages = fetch(&self.target, &self.plan, target, &keys).await?;
        let mut differing = Vec::new();
        let mut nth = 0;
        for at in &order {
            let key = key(at);
            while keys.get(nth).is_some_and(|k| *k != key) {
                nth += 1;
            }
            let page = pages.get(nth / super::target::MOST_KEYS);
            let actual = page.and_then(|page| page.item(key));
            let item = expected.rows.get(*at).and_then(|row| row.item.as_ref());
            let item = item.map(|item| expected.bytes(item));
            if let Some(wrong) = compare(item, actual) {
                let difference = Difference {
                    wrong,
                    projection: None,
                    source_key: None,
                    attributes: Vec::new(),
                    expected: None,
                    actual: None,
                };
                differing.push(((target, key.to_vec()), difference));
            }
        }
        Ok(differing)
    }

    /// The keys that the target has.
    async fn scan(self: &Arc<Self>, run: &Arc<Run>) -> Result<()> {
        self.progress.enter(Step::Scan);
        let mut tasks = JoinSet::new();
        for segment in 0..WORKERS {
            tasks.spawn(Arc::clone(self).scan_segment(Arc::clone(run), segment));
        }
        lock(&run.report).foreign.clear();
        loop {
            tokio::select! {
                ended = tasks.join_next() => match ended {
                    None => return Ok(()),
                    Some(ended) => ended.map_err(panicked)??,
                },
                () = self.stop.cancelled() => {
                    return Err(Error::new(Kind::Interrupted, "the comparison was stopped"));
                }
            }
        }
    }

    async fn scan_segment(self: Arc<Self>, run: Arc<Run>, segment: usize) -> Result<()> {
        for target in &self.plan.targets {
            let mut from: Option<Vec<u8>> = None;
            loop {
                let page = self
                    .target
                    .scan(target, segment, WORKERS, from.as_deref())
                    .await?;
                let mut foreign = 0;
                for key in &page.keys {
                    if !is_ours(&self.plan, target.id, key) {
                        foreign += 1;
                    } else if let Some(parts) = &run.parts {
                        lock(parts).is_there((target.id, key))?;
                    }
                }
                if foreign > 0 {
                    let mut report = lock(&run.report);
                    *report.foreign.entry(target.name.clone()).or_default() += foreign;
                }
                self.progress.scanned(page.keys.len() as u64);
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// What is there and was not expected is judged by its key.
    async fn join(self: &Arc<Self>, run: &Arc<Run>, session: &mut Session) -> Result<()> {
        self.progress.enter(Step::Decide);
        let Some(parts) = &run.parts else {
            return Ok(());
        };
        lock(parts).flush()?;
        let count = lock(parts).count();
        for at in 0..count {
            let mut candidates = lock(parts).candidates(at)?;
            loop {
                if self.stop.is_cancelled() {
                    return Err(Error::new(Kind::Interrupted, "the comparison was stopped"));
                }
                let names = candidates.take(2000)?;
                if names.is_empty() {
                    break;
                }
                let suspects = names.into_iter().map(Suspect::new).collect();
                self.settle(session, suspects, &run.report).await?;
            }
        }
        Ok(())
    }

    /// Settles what the workers send.
    async fn settle_all(
        self: Arc<Self>,
        run: Arc<Run>,
        mut arriving: mpsc::Receiver<Vec<Suspect>>,
    ) -> Result<()> {
        let mut session = self.session().await?;
        while let Some(mut suspects) = arriving.recv().await {
            while suspects.len() < 5_000
                && let Ok(more) = arriving.try_recv()
            {
                suspects.extend(more);
            }
            self.settle(&mut session, suspects, &run.report).await?;
        }
        Ok(())
    }
}

/// Notes the keys that must be there, and counts them.
fn note(run: &Run, target: TargetId, expected: &Expected) -> Result<u64> {
    let with_item = expected.rows.iter().filter(|row| row.item.is_some());
    let Some(parts) = &run.parts else {
        return Ok(with_item.count() as u64);
    };
    let hashes: Vec<_> = with_item
        .map(|row| extra::hash((target, expected.bytes(&row.key))))
        .collect();
    let mut parts = lock(parts);
    for hash in &hashes {
        parts.expect(hash)?;
    }
    Ok(hashes.len() as u64)
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whatever panicked, each of these values is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn panicked(error: tokio::task::JoinError) -> Error {
    Error::new(Kind::Internal, "a part of the comparison failed").with_source(error)
}
