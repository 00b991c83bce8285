//! Comparisons in the running daemon: one at a time, asked for or by themselves, and what is proved and owed by them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::cutover::Verifier;
use super::facts::{Facts, fact_of, set_fact};
use super::filing::{REPAIR, audit};
use super::rows::Rows;
use super::shared::Shared;
use super::start::blocking;
use super::touches::{PassMark, Watch};
use crate::admin::Peer;
use crate::admin::verify::{Bench, Ended, Order, Standing as Answer};
use crate::checkpoint::{Checkpoint, Store, create_directory, now_unix_ms, write_file};
use crate::config;
use crate::cutover::Checked;
use crate::error::{Error, Kind, Result};
use crate::metrics;
use crate::pipeline::Key;
use crate::plan::TargetId;
use crate::position::GtidSet;
use crate::source::Options;
use crate::verify::flow::{Flow, Watching};
use crate::verify::judge::{Name, Wrong, pipeline_key};
use crate::verify::pass::Engine;
use crate::verify::progress::{Progress, Step};
use crate::verify::rate::Limit;
use crate::verify::report::{Mode, Report, name_of, name_of_wire};
use crate::verify::target::Target;
use crate::verify::{Owed, Standing};

/// The fact of the checkpoint.
const FACT: &str = "parity";
/// How often the stream is looked at while something must become durable.
const LOOK: Duration = Duration::from_millis(3);
/// After a comparison of its own that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(60);
/// An item that the stream writes again and again is undecided after so long.
const UNDECIDED: Duration = Duration::from_secs(60);
/// One that is stopped saves its place within this.
const STOPPING: Duration = Duration::from_secs(5);
/// Items that are looked at together before they are removed.
const TOGETHER: usize = 500;
/// Reports that are kept.
const REPORTS: usize = 20;

/// What comparisons are made with.
pub struct Tools {
    pub shared: Arc<Shared>,
    pub store: Arc<Store>,
    pub options: Arc<Options>,
    pub client: Client,
    pub settings: config::Verify,
    pub state: PathBuf,
}

/// The daemon's comparisons.
pub struct Comparisons {
    tools: Tools,
    rows: Rows,
    now: Mutex<Now>,
    myself: Weak<Comparisons>,
}

#[derive(Default)]
struct Now {
    attempt: u64,
    running: Option<(Arc<Progress>, CancellationToken)>,
    ended: Option<Ended>,
    /// The full pass that began last in this process, by the start that its report names.
    mark: Option<(u64, PassMark)>,
}

impl Comparisons {
    /// What was proved before this start no longer holds for what was written since: that is not known any more. What the
    /// checkpoint says of a comparison that is owed is said by the standing from now on, from the same commit on.
    pub fn new(tools: Tools, checkpoint: &mut Checkpoint) -> Result<Arc<Self>> {
        let facts = &tools.shared.facts;
        if let Some(mut standing) = facts.get::<Standing>(FACT)? {
            // Nobody else knows of the facts yet.
            match (checkpoint.verify_owed, standing.owed) {
                (true, _) => standing.owe(Owed::RebuiltStore),
                // One that goes on where the former process was is told from one that began anew.
                (false, None) => standing.owed = Some(Owed::Restarted),
                (false, Some(_)) => {}
            }
            show(&standing);
            facts.set(FACT, &standing)?;
        }
        // Without a standing there was no comparison: one is owed anyway.
        checkpoint.verify_owed = false;
        let rows = Rows::new(Arc::clone(&tools.options), Arc::clone(&tools.shared));
        Ok(Arc::new_cyclic(|myself| Self {
            tools,
            rows,
            now: Mutex::default(),
            myself: Weak::clone(myself),
        }))
    }

    /// What is proved, and how the comparison under way is.
    pub fn parity(&self) -> Option<serde_json::Value> {
        let standing: Option<serde_json::Value> = self.tools.shared.facts.get(FACT).ok().flatten();
        let now = self.now();
        let running = now
            .running
            .as_ref()
            .map(|(progress, _)| progress.snapshot());
        if standing.is_none() && running.is_none() {
            return None;
        }
        let mut parity = standing.unwrap_or_else(|| serde_json::json!({}));
        parity["progress"] = serde_json::to_value(running).unwrap_or_default();
        Some(parity)
    }

    /// Full passes by themselves, one after the other, where the settings say so.
    pub async fn keep_comparing(&self) {
        let Some(every) = self.tools.settings.every else {
            return;
        };
        loop {
            if !self.tools.shared.is_copied() {
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            let order = Order {
                mode: Mode::Full,
                repair: false,
                show_values: false,
                keys: Vec::new(),
            };
            let due = self.due(every);
            if !due.is_zero() {
                tokio::time::sleep(due.min(AFTER_FAILURE)).await;
                continue;
            }
            let pause = match self.enter() {
                // One that was asked for is under way.
                Err(_) => AFTER_FAILURE,
                Ok((progress, stop)) => match self.run(order, progress, stop).await {
                    true => Duration::ZERO,
                    false => AFTER_FAILURE,
                },
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// How long until the next full pass is due.
    fn due(&self, every: Duration) -> Duration {
        let standing: Option<Standing> = self.tools.shared.facts.get(FACT).ok().flatten();
        let last = standing.and_then(|s| s.last_pass.map(|pass| pass.finished_unix_ms));
        let passed = last.map(|at| Duration::from_millis(now_unix_ms().saturating_sub(at)));
        passed.map_or(Duration::ZERO, |passed| every.saturating_sub(passed))
    }

    fn enter(&self) -> Result<(Arc<Progress>, CancellationToken)> {
        if !self.tools.shared.is_copied() {
            return Err(Error::new(
                Kind::Usage,
                "the snapshot is not complete yet: there is nothing to compare",
            )
            .with_remedy("wait until `penstock status` says so, then compare"));
        }
        let mut now = self.now();
        if now.running.is_some() {
            return Err(
                Error::new(Kind::Usage, "a comparison is under way already").with_remedy(
                    "`penstock verify --stop` stops it; a later one of its kind goes on there",
                ),
            );
        }
        now.attempt += 1;
        now.ended = None;
        let entered = (Arc::new(Progress::default()), CancellationToken::new());
        now.running = Some(entered.clone());
        Ok(entered)
    }

    /// Compares, and tells how it ended; whether it did so with a report.
    async fn run(&self, order: Order, progress: Arc<Progress>, stop: CancellationToken) -> bool {
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(STOPPING).await;
        };
        let compared = tokio::select! {
            compared = self.compare(order, progress, stop.clone()) => compared,
            // It waits for something that does not come: a stream that is paused, a server that is away.
            () = late => Err(Error::new(Kind::Interrupted, "the comparison was stopped")),
        };
        let ended = match compared {
            Ok((report, files)) => Ended::Done {
                report: Box::new(report),
                files,
            },
            Err(error) => {
                tracing::warn!(%error, "the comparison of both sides did not end");
                Ended::Failed {
                    kind: error.kind().name().to_owned(),
                    reason: error.to_string(),
                    remedy: error.remedy().to_owned(),
                }
            }
        };
        let done = matches!(ended, Ended::Done { .. });
        let mut now = self.now();
        (now.running, now.ended) = (None, Some(ended));
        done
    }

    async fn compare(
        &self,
        order: Order,
        progress: Arc<Progress>,
        stop: CancellationToken,
    ) -> Result<(Report, Vec<String>)> {
        let full = order.mode == Mode::Full;
        let began = now_unix_ms();
        let engine = self.engine(progress, stop, order.show_values)?;
        let mark = full.then(|| self.tools.shared.touches.begin_pass());
        let mut report = match order.mode {
            Mode::Keys => {
                let plan = &self.tools.shared.plan;
                let names = order.keys.iter().map(|f| name_of(plan, f));
                let names: Option<Vec<Name>> = names.collect();
                let names = names.ok_or_else(|| {
                    Error::new(
                        Kind::Usage,
                        "the report names items that are none of this contract's",
                    )
                })?;
                engine.check(names).await?
            }
            ref mode => {
                let begun = |started| {
                    // A pass of an earlier process has no mark: what was written before this one is not known.
                    if let Some(mark) = mark.filter(|_| started >= began) {
                        self.remember(started, mark);
                    }
                };
                engine.run(mode, begun).await?
            }
        };
        if full {
            self.proved(&report, mark).await?;
        } else if report.mismatched() > 0 {
            self.owe(Owed::Mismatches).await?;
        }
        if order.repair && report.mismatched() > 0 {
            engine.progress.enter(Step::Repair);
            report.repaired = self.repair(&engine, &report).await?;
            self.owe(Owed::Repaired).await?;
        }
        let files = self.file(&report).await?;
        tracing::info!(
            items = report.items,
            mismatches = report.mismatched(),
            undecided = report.undecided,
            "both sides were compared"
        );
        report.findings.clear();
        Ok((report, files))
    }

    fn engine(
        &self,
        progress: Arc<Progress>,
        stop: CancellationToken,
        show_values: bool,
    ) -> Result<Arc<Engine>> {
        let tools = &self.tools;
        let standing: Option<Standing> = tools.shared.facts.get(FACT)?;
        Ok(Arc::new(Engine {
            plan: Arc::clone(&tools.shared.plan),
            options: Arc::clone(&tools.options),
            target: Target::new(tools.client.clone(), tools.settings.read_units_per_second)
                .without(tools.shared.plan.settings.preserve.clone()),
            flow: Arc::new(Stream {
                shared: Arc::clone(&tools.shared),
            }),
            rows: Limit::new(tools.settings.rows_per_second),
            directory: tools.state.join("verify"),
            progress,
            stop,
            show_values,
            patience: UNDECIDED,
            // What began before another pass was owed cannot prove what is owed.
            not_before: standing.map_or(0, |standing| standing.owed_unix_ms),
        }))
    }

    /// A pass that goes on keeps its first mark: what was written since then counts.
    fn remember(&self, started: u64, mark: PassMark) {
        let mut now = self.now();
        if now.mark.is_none_or(|(known, _)| known != started) {
            now.mark = Some((started, mark));
        }
    }

    /// What a full pass proves.
    async fn proved(&self, report: &Report, mark: Option<PassMark>) -> Result<()> {
        let facts = &self.tools.shared.facts;
        let pass = report.pass();
        let mark = match self.now().mark {
            Some((started, mark)) if started == report.started_unix_ms => Some(mark),
            // Begun by another process: what was written before this one is not known.
            _ if report.resumed > 0 => None,
            _ => mark,
        };
        let standing = facts.update(FACT, |standing: Option<Standing>| {
            let mut standing = standing.unwrap_or_default();
            standing.owed = match (pass.clean, mark) {
                // A table was copied again, or something repaired, in the meantime: only a later one proves that.
                (true, _)
                    if standing.owed.is_some()
                        && standing.owed_unix_ms >= report.started_unix_ms =>
                {
                    standing.owed
                }
                (true, Some(mark)) => {
                    self.tools.shared.touches.pass_was_clean(mark);
                    None
                }
                (true, None) => Some(Owed::Restarted),
                (false, _) if report.mismatched() > 0 => Some(Owed::Mismatches),
                (false, _) => Some(Owed::Undecided),
            };
            if pass.clean {
                standing.last_clean_finished_unix_ms = Some(pass.finished_unix_ms);
            }
            standing.last_pass = Some(pass);
            standing
        })?;
        show(&standing);
        facts.make_durable().await
    }

    /// Another full pass is owed.
    async fn owe(&self, owed: Owed) -> Result<()> {
        owe(&self.tools.shared.facts, owed).await
    }

    /// Puts right what differs, through the stream's own way to DynamoDB.
    async fn repair(&self, engine: &Arc<Engine>, report: &Report) -> Result<u64> {
        // Unproved from the first write on.
        self.owe(Owed::Repaired).await?;
        let plan = &self.tools.shared.plan;
        let mut repaired = 0;
        for projection in &plan.projections {
            let of = report.findings.iter().filter(|f| {
                f.kind != Wrong::Extra && f.entity.as_deref() == Some(projection.label.as_str())
            });
            let rows: Vec<Arc<str>> = of
                .filter_map(|f| f.source_key.as_deref().map(Arc::from))
                .collect();
            if !rows.is_empty() {
                self.rows.reread(projection.id, &rows).await?;
                repaired += rows.len() as u64;
            }
        }
        let extra = report.findings.iter().filter(|f| f.kind == Wrong::Extra);
        let names: Vec<Name> = extra.filter_map(|f| name_of(plan, f)).collect();
        // Looked at once more under the watch that decides whether they may go.
        let watch = Arc::new(self.tools.shared.stage.watch().await?);
        let mut items: Vec<(TargetId, Key)> = Vec::new();
        for names in names.chunks(TOGETHER) {
            let still = engine.extra_among(names).await?;
            items.extend(still.iter().map(|name| (name.0, pipeline_key(plan, name))));
        }
        // All together: nothing finds the row of a joined item by its key, so that the whole state is looked through for them.
        if !items.is_empty() {
            let removed = self.rows.remove(items, &watch).await?;
            tracing::info!(deleted = removed.deleted, "extra items were removed");
            repaired += removed.deleted;
        }
        Ok(repaired)
    }

    /// Writes the report beside the state; old ones go.
    async fn file(&self, report: &Report) -> Result<Vec<String>> {
        let directory = self.tools.state.join("reports");
        let at = report.finished_unix_ms.unwrap_or_else(now_unix_ms);
        let (json, markdown) = (
            serde_json::to_vec_pretty(report).unwrap_or_default(),
            report.markdown(),
        );
        blocking(move || {
            let failed = |e: std::io::Error| {
                let what = format!("the report in {}", directory.display());
                Error::new(Kind::Store, what).with_source(e)
            };
            create_directory(&directory)?;
            let files = ["json", "md"].map(|end| directory.join(format!("verify-{at}.{end}")));
            write_file(&files[0], &json)?;
            write_file(&files[1], markdown.as_bytes())?;
            let read = std::fs::read_dir(&directory).map_err(failed)?;
            let ours = |name: &str| name.starts_with("verify-");
            let mut names: Vec<PathBuf> = read
                .filter_map(|entry| entry.ok().map(|entry| entry.path()))
                .filter(|path| path.file_name().and_then(|n| n.to_str()).is_some_and(ours))
                .collect();
            names.sort();
            let old = names.len().saturating_sub(REPORTS * 2);
            for path in names.iter().take(old) {
                // Kept only for who still wants it.
                let _ = std::fs::remove_file(path);
            }
            Ok(files.map(|path| path.display().to_string()).to_vec())
        })
        .await
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        // Whatever panicked, it is whole.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bench for Comparisons {
    fn begin(&self, order: Order, who: &Peer) -> Result<()> {
        let myself = self
            .myself
            .upgrade()
            .ok_or_else(|| Error::new(Kind::Interrupted, "the daemon is ending"))?;
        let (progress, stop) = self.enter()?;
        let who = who.to_string();
        tokio::spawn(async move {
            let detail = order.mode.words();
            if order.repair
                && let Err(error) = audit(&myself.tools.store, &who, REPAIR, &detail).await
            {
                tracing::warn!(%error, "the audit log could not be written");
            }
            myself.run(order, progress, stop).await;
        });
        Ok(())
    }

    fn standing(&self) -> Answer {
        let now = self.now();
        Answer {
            attempt: now.attempt,
            progress: now
                .running
                .as_ref()
                .map(|(progress, _)| progress.snapshot()),
            ended: now.ended.clone(),
        }
    }

    fn stop(&self) -> bool {
        match &self.now().running {
            Some((_, stop)) => {
                stop.cancel();
                true
            }
            None => false,
        }
    }
}

impl Verifier for Comparisons {
    fn check_dirty(&self) -> BoxFuture<'_, Result<Checked>> {
        Box::pin(async move {
            let dirty = self.tools.shared.touches.dirty();
            if !dirty.complete {
                return Err(Error::new(
                    Kind::Usage,
                    "what was written since the last full comparison is not known",
                )
                .with_remedy("run `penstock verify`"));
            }
            let plan = &self.tools.shared.plan;
            let names = dirty.keys.iter();
            let names: Option<Vec<Name>> = names
                .map(|(target, key, _)| name_of_wire(plan, *target, &key.0))
                .collect();
            let names =
                names.ok_or_else(|| Error::new(Kind::Internal, "a key that cannot be read"))?;
            let engine = self.engine(Arc::default(), CancellationToken::new(), false)?;
            let report = engine.check(names).await?;
            Ok(Checked {
                items: report.items,
                mismatches: report.mismatched(),
                undecided: report.undecided,
            })
        })
    }
}

/// The daemon's stream, for who compares beside it.
struct Stream {
    shared: Arc<Shared>,
}

impl Flow for Stream {
    fn watch(&self) -> BoxFuture<'_, Result<Box<dyn Watching>>> {
        Box::pin(async move {
            let watch = self.shared.stage.watch().await?;
            Ok(Box::new(watch) as Box<dyn Watching>)
        })
    }

    fn durable<'a>(&'a self, gtids: &'a GtidSet) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            while !gtids.is_subset(&self.shared.durable().gtids) {
                if let Some(failure) = self.shared.failure() {
                    return Err(Error::new(
                        Kind::Interrupted,
                        format!("the stream has stopped: {}", failure.reason),
                    )
                    .with_remedy(failure.remedy));
                }
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        })
    }
}

impl Watching for Watch {
    fn received(&self) -> &GtidSet {
        &self.received
    }

    fn is_touched(&self, target: TargetId, key: &Key) -> bool {
        Watch::is_touched(self, target, key)
    }
}

/// Another full comparison is owed; when this returns, a restart knows it, too.
pub async fn owe(facts: &Facts, owed: Owed) -> Result<()> {
    facts.update(FACT, |standing: Option<Standing>| {
        let mut standing = standing.unwrap_or_default();
        standing.owe(owed);
        standing
    })?;
    facts.make_durable().await
}

/// The same in a checkpoint that no daemon is running on.
pub fn owe_in(checkpoint: &mut Checkpoint, owed: Owed) -> Result<()> {
    let standing: Option<Standing> = fact_of(checkpoint, FACT)?;
    // Where there was no comparison, one is owed anyway.
    let Some(mut standing) = standing else {
        return Ok(());
    };
    standing.owe(owed);
    set_fact(checkpoint, FACT, Some(&standing))
}

/// Shows what is proved as metrics.
fn show(standing: &Standing) {
    let clean = standing.last_clean_finished_unix_ms.unwrap_or(0);
    metrics::PARITY_CLEAN.with([]).set(clean as f64 / 1000.0);
    let Some(pass) = &standing.last_pass else {
        return;
    };
    let mut wrong = 0;
    for kind in Wrong::ALL {
        let count = pass.mismatches.get(kind.word()).copied().unwrap_or(0);
        metrics::PARITY_MISMATCHES
            .with([kind.word()])
            .set(count as f64);
        wrong += count;
    }
    let all = pass.items.max(wrong);
    let ratio = match all {
        0 => 1.0,
        all => (all - wrong) as f64 / all as f64,
    };
    metrics::PARITY_RATIO.with([]).set(ratio);
}
