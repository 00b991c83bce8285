//! From settings and plan to a running daemon, step by step; nothing is written before all that can be checked is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::committer::Committer;
use super::control::Control;
use super::cutover::{Cutover, Identity, Stop, Verifier};
use super::deaths::{Deaths, Letters};
use super::facts::LOST;
use super::gauges;
use super::inspect::Inspector;
use super::monitor::{self, Question};
use super::opening::{forget, has_store, not_cut_over, open_store, open_views, stored};
use super::readings::Gatehouse;
use super::resnapshot::{Resnapshot, Workers};
use super::rows::Rows;
use super::seal::Sealable;
use super::shape;
use super::shared::Shared;
use super::stage::Stage;
use super::status::Answers;
use super::target::{open_target, ready_target};
use super::trouble::Watched;
use super::verifier::{Comparisons, Tools, owe_in};
use super::views::{self, Views};
use super::{Daemon, Running, decode, xids};
use crate::admin::cutover::Desk;
use crate::admin::verify::Bench;
use crate::admin::{Servers, StatusSource};
use crate::checkpoint::{Checkpoint, Lineage, Store, TableProgress, compatible, now_unix_ms};
use crate::config::Settings;
use crate::cutover::Versions;
use crate::error::{Error, Kind, Result};
use crate::metrics::{self, Exposition};
use crate::pipeline;
use crate::plan::{CopyOrder, Plan, SourceId, needs_logged_cascades};
use crate::position::Position;
use crate::prepare;
use crate::schema::Catalog;
use crate::sink::{DynamoWriter, Table, embedded::Embedded};
use crate::source;
use crate::source::connect::{classify, connect};
use crate::source::preflight::ServerFacts;
use crate::source::snapshot::{Progress, Worker, executed};
use crate::source::statement::Tables;
use crate::source::transaction::Assembler;
use crate::verify::Owed;
use crate::words::counted;

/// What a daemon is started with.
pub struct Start {
    pub settings: Arc<Settings>,
    pub plan: Arc<Plan>,
    pub catalog: Catalog,
    pub facts: ServerFacts,
    pub exposition: Exposition,
    /// Forget the checkpoint and copy everything again.
    pub resnapshot: bool,
}

/// What has to be ended, in order.
pub struct Parts {
    pub running: Running,
    pub servers: Servers,
    pub embedded: Option<Embedded>,
}

/// How many dead letters may be on their way to the store.
const LETTERS: usize = 256;

pub async fn start(start: Start) -> Result<Daemon> {
    let settings = Arc::clone(&start.settings);
    let plan = Arc::clone(&start.plan);
    let follows_another = has_store(&settings.state);
    let store = open_store(settings.state.clone(), start.resnapshot).await?;
    not_cut_over(&store, &start).await?;
    let (embedded, client, target) = open_target(&settings).await?;
    ready_target(embedded.is_some(), &client, &plan).await?;
    if start.resnapshot {
        forget(&store).await?;
    }
    let options = Arc::new(prepare::source_options(&settings));
    let views = open_views(settings.state.clone(), &plan, start.resnapshot).await?;
    let mut checkpoint = checkpoint(&store, views.as_ref(), &options, &start).await?;
    let refused = shape::resume(&mut checkpoint, &shape::shapes(&plan, &start.catalog)).err();
    let letters = stored_letters(&store, Letters::new(Arc::clone(&plan))).await?;
    let progress = Arc::new(snapshot_progress(
        &plan,
        &checkpoint,
        settings.snapshot.workers,
    )?);
    let shared = Arc::new(Shared::new(
        Arc::clone(&plan),
        Arc::clone(&progress),
        &checkpoint,
        store.dead_letter_count(),
    ));
    if follows_another {
        shared.seal.follows_another();
    }
    let late_after = pipeline::Options::for_requests_of(settings.sink.request_timeout).late_after;
    hold_for_the_lost(&shared, late_after)?;
    let gatehouse = Arc::new(Gatehouse::new(
        Arc::clone(&shared),
        Inspector::new(Arc::clone(&options)),
        &settings.cutover,
    ));
    let identity = Identity {
        versions: Versions {
            penstock: env!("CARGO_PKG_VERSION").to_owned(),
            mysql: start.facts.version.clone(),
            mysql_server_uuid: start.facts.server_uuid.clone(),
        },
        target: target.clone(),
        state: settings.state.clone(),
    };
    let tools = Tools {
        shared: Arc::clone(&shared),
        store: Arc::clone(&store),
        options: Arc::clone(&options),
        client: client.clone(),
        settings: settings.verify,
        state: settings.state.clone(),
    };
    let comparisons = Comparisons::new(tools, &mut checkpoint)?;
    let cutover = Cutover::new(
        Arc::clone(&shared),
        Arc::clone(&store),
        Arc::clone(&gatehouse),
        Arc::clone(&comparisons) as Arc<dyn Verifier>,
        identity,
        [settings.cutover.drain_within, late_after],
    );
    let answers = Arc::new(Answers {
        shared: Arc::clone(&shared),
        store: Arc::clone(&store),
        gatehouse: Arc::clone(&gatehouse),
        comparisons: Arc::clone(&comparisons),
        target,
        question: tokio::sync::Mutex::new(Question::new(Arc::clone(&options))),
    });
    let rows = Arc::new(Rows::new(Arc::clone(&options), Arc::clone(&shared)));
    let bench = Arc::clone(&comparisons) as Arc<dyn Bench>;
    let resnapshot = Resnapshot::new(Arc::clone(&shared), Arc::clone(&rows), Arc::clone(&bench))?;
    let resnapshot = Arc::new(resnapshot);
    let control = Arc::new(Control {
        shared: Arc::clone(&shared),
        store: Arc::clone(&store),
        rows,
        resnapshot: Arc::clone(&resnapshot),
    });
    let servers = crate::admin::serve(
        settings.listen,
        &settings.state,
        Arc::clone(&answers) as Arc<dyn StatusSource>,
        start.exposition.clone(),
        crate::admin::cutover::routes(Arc::clone(&cutover) as Arc<dyn Desk>)
            .merge(crate::admin::verify::routes(bench))
            .merge(crate::admin::control::routes(control)),
    )
    .await?;
    let kept = start.facts.binlog_seconds;
    shared.source_keeps((kept > 0).then(|| Duration::from_secs(kept)));
    tokio::spawn(gauges::retention(Arc::downgrade(&shared)));
    let running = run(Run {
        views: views.map(|views| views.store),
        needs_cascades: needs_logged_cascades(&plan, &start.catalog),
        settings,
        plan,
        client,
        options,
        store,
        checkpoint,
        letters,
        progress,
        facts: start.facts,
        shared: Arc::clone(&shared),
        resnapshot,
        refused,
    })?;
    gatehouse.watch(running.control.clone());
    let _ = cutover.stop.set(Stop {
        reading: running.reading.clone(),
        view: running.view_stop.clone(),
    });
    tokio::spawn(until(running.reading.clone(), async move {
        comparisons.keep_comparing().await;
    }));
    tokio::spawn(until(running.reading.clone(), async move {
        gatehouse.keep_current().await;
    }));
    Ok(Daemon {
        shared,
        answers,
        cutover,
        address: servers.address,
        embedded_url: embedded.as_ref().map(Embedded::endpoint_url),
        parts: super::Parts {
            running,
            servers,
            embedded,
        },
    })
}

/// Where the last run knew of a request without an answer, that may still be applied for a while: over what is written
/// meanwhile it would be an older value.
fn hold_for_the_lost(shared: &Shared, late_after: Duration) -> Result<()> {
    let Some(lost) = shared.facts.get::<u64>(LOST)? else {
        return Ok(());
    };
    let age = Duration::from_millis(now_unix_ms().saturating_sub(lost));
    let left = late_after.saturating_sub(age);
    if !left.is_zero() {
        tracing::info!(
            seconds = left.as_secs_f64(),
            "the last run had sent a request that was never answered: nothing is written until it can no longer be applied"
        );
        shared.seal.hold_for(left);
    }
    Ok(())
}

struct Run {
    settings: Arc<Settings>,
    plan: Arc<Plan>,
    client: Client,
    options: Arc<source::Options>,
    store: Arc<Store>,
    checkpoint: Checkpoint,
    letters: Letters,
    views: Option<Arc<crate::state::Store>>,
    progress: Arc<Progress>,
    facts: ServerFacts,
    needs_cascades: bool,
    shared: Arc<Shared>,
    resnapshot: Arc<Resnapshot>,
    /// Why nothing may be read: the daemon is stopped from its start on.
    refused: Option<Error>,
}

/// Starts the threads and tasks of the flow.
fn run(mut run: Run) -> Result<Running> {
    let (failed, failures) = mpsc::unbounded_channel();
    let reading = CancellationToken::new();
    let committing = CancellationToken::new();
    if let Some(error) = run.refused.take() {
        // As if it had stopped by itself: it stays up and tells why.
        reading.cancel();
        let _ = failed.send(error);
    }
    let memory = run.settings.pipeline.memory_bytes;
    let writer = Arc::new(Sealable {
        writer: Watched {
            writer: DynamoWriter::new(run.client.clone(), Table::all(&run.plan)),
            trouble: Arc::clone(&run.shared.trouble),
        },
        seal: Arc::clone(&run.shared.seal),
    });
    let pipeline_options = pipeline::Options {
        max_bytes: memory / 2,
        retry_for: run.settings.sink.retry_for,
        ..pipeline::Options::for_requests_of(run.settings.sink.request_timeout)
    };
    let lanes = metrics::queue(
        metrics::Queue::Lanes,
        pipeline_options.max_items,
        pipeline_options.max_bytes,
    );
    let (feed, durable) =
        pipeline::start(pipeline_options, writer, &tokio::runtime::Handle::current());
    let control = durable.control();
    tokio::spawn(until(
        committing.clone(),
        gauges::lanes(control.clone(), lanes),
    ));
    if let Some(store) = &run.views {
        tokio::spawn(until(committing.clone(), gauges::state(Arc::clone(store))));
    }
    let (letters_in, letters_out) = mpsc::channel(LETTERS);
    let deaths = Deaths::new(run.letters.clone(), letters_in);
    let views = match &run.views {
        Some(store) => Views::new(Arc::clone(&run.plan), Arc::clone(store))?,
        None => None,
    };
    let all_made = views.as_ref().is_none_or(Views::all_made);
    let committer = Committer::new(
        Arc::clone(&run.store),
        run.checkpoint.clone(),
        Arc::clone(&run.progress),
        run.letters.clone(),
        Arc::clone(&run.shared),
        run.views.clone().map(|store| (store, all_made)),
    );
    let committer = tokio::spawn(report(
        failed.clone(),
        committer.run(durable, letters_out, committing.clone()),
    ));
    let requests = run.shared.stage.take_ends()?;
    copy(&run, &reading, &failed);
    let (view_stop, view_stopped) = crossbeam_channel::bounded(1);
    let stage = Stage::new(
        feed,
        run.checkpoint.position.gtids.clone(),
        deaths,
        Arc::clone(&run.shared),
        views,
    )?;
    let tables = Tables::of(&run.plan, run.facts.lower_case_table_names != 0);
    let threads = decode::spawn(decode::Flow {
        stage,
        requests,
        view_stopped,
        assembler: Assembler::new(Arc::new(tables), run.checkpoint.position.clone())
            .with_harmless_xids(xids::of(&run.checkpoint)),
        options: Arc::clone(&run.options),
        shared: Arc::clone(&run.shared),
        reading: reading.clone(),
        failed: failed.clone(),
        server_id: prepare::server_id(&run.settings, &run.options),
        needs_cascades: run.needs_cascades,
        memory: memory / 4,
    })?;
    tokio::spawn(until(
        reading.clone(),
        report(
            failed,
            monitor::watch(Arc::clone(&run.options), Arc::clone(&run.shared)),
        ),
    ));
    Ok(Running {
        reading,
        committing,
        view_stop,
        threads,
        committer,
        control,
        failures,
    })
}

/// Starts what copies tables, for the first time and again.
fn copy(run: &Run, reading: &CancellationToken, failed: &mpsc::UnboundedSender<Error>) {
    run.resnapshot.copies_with(Workers {
        worker: Worker {
            options: Arc::clone(&run.options),
            plan: Arc::clone(&run.plan),
            progress: Arc::clone(&run.progress),
            view: run.shared.stage.chunks(),
            chunk_rows: run.settings.snapshot.chunk_rows as u64,
        },
        count: run.settings.snapshot.workers,
        reading: reading.clone(),
        failed: failed.clone(),
    });
    let (resnapshot, failed) = (Arc::clone(&run.resnapshot), failed.clone());
    tokio::spawn(until(reading.clone(), async move {
        report(failed, resnapshot.keep()).await;
    }));
}

pub async fn until(cancelled: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        // What fails because the daemon is ending is no failure.
        biased;
        () = cancelled.cancelled() => {}
        () = work => {}
    }
}

/// An error of a part is the daemon's: it decides what follows.
pub async fn report(failed: mpsc::UnboundedSender<Error>, work: impl Future<Output = Result<()>>) {
    let ended = AssertUnwindSafe(work).catch_unwind().await;
    if let Err(error) = ended.unwrap_or_else(|_| Err(panicked("a task"))) {
        // Nobody listens once the daemon is ending.
        let _ = failed.send(error);
    }
}

/// A part that panics must not leave a daemon behind that looks alive.
fn panicked(what: &str) -> Error {
    Error::new(
        Kind::Internal,
        format!("{what} panicked; the log has where and why"),
    )
}

/// The checkpoint to go on from, or a new one at the source's present end.
///
/// A new one is committed here, before anything is written: a restart that found none would begin at a later
/// position, and rows that were copied and deleted in between would keep their items.
async fn checkpoint(
    store: &Arc<Store>,
    views: Option<&views::Opened>,
    options: &source::Options,
    start: &Start,
) -> Result<Checkpoint> {
    match stored(store, views)? {
        Some(mut checkpoint) => {
            if checkpoint.lineage.server_uuid != start.facts.server_uuid {
                // The same history on another server (it is compared before anything is read): what was written beyond the
                // checkpoint may stem from transactions that the new server never had.
                tracing::warn!(
                    before = checkpoint.lineage.server_uuid,
                    now = start.facts.server_uuid,
                    "the source is another server than before: a full verification is owed"
                );
                owe_in(&mut checkpoint, Owed::AnotherServer)?;
                checkpoint
                    .lineage
                    .server_uuid
                    .clone_from(&start.facts.server_uuid);
            }
            compatible(&checkpoint, &start.plan.fingerprint)?;
            tracing::info!(position = %checkpoint.position.gtids, "going on from the checkpoint");
            Ok(checkpoint)
        }
        None => {
            let mut conn = connect(options).await?;
            let gtids = executed(&mut conn)
                .await
                .map_err(|e| classify(options, e))?;
            let shapes = still_good(options, &mut conn, start).await?;
            let lineage = Lineage {
                server_uuid: start.facts.server_uuid.clone(),
            };
            let position = Position {
                gtids,
                ..Position::default()
            };
            tracing::info!(position = %position.gtids, "a new snapshot begins");
            let mut checkpoint = Checkpoint::new(position, lineage, start.plan.fingerprint.clone());
            checkpoint.snapshot = copied_tables(&start.plan)
                .map(|id| pending(&start.plan, id, &start.catalog))
                .collect();
            checkpoint.snapshot_done = checkpoint.snapshot.is_empty();
            shape::note(&mut checkpoint, &shapes);
            let (store, first) = (Arc::clone(store), checkpoint.clone());
            let state = views.map(|views| Arc::clone(&views.store));
            blocking(move || {
                if let Some(state) = state {
                    views::commit(&state, 0, &first)?;
                }
                store.commit(&first, &[])?;
                let tables = counted(first.snapshot.len() as u64, "table");
                store.audit(crate::report::COPY_BEGUN, &tables)
            })
            .await?;
            Ok(checkpoint)
        }
    }
}

/// What was found before the start position was taken must hold at it: the tables are the same, and no prepared XA
/// transaction hides rows whose GTID already counts as executed.
async fn still_good(
    options: &source::Options,
    conn: &mut mysql_async::Conn,
    start: &Start,
) -> Result<shape::Shapes> {
    let prepared = source::preflight::prepared_xids(options, conn).await?;
    if prepared.is_some_and(|count| count > 0) {
        return Err(Error::new(
            Kind::SourceSettings,
            "XA transactions are prepared: a snapshot that starts now would lack their rows",
        )
        .with_remedy("commit or roll back each of them (`XA RECOVER CONVERT XID` names them), then start again"));
    }
    let plan = &start.plan;
    let databases: std::collections::BTreeSet<String> = plan
        .sources
        .iter()
        .map(|s| s.name.database.clone())
        .collect();
    let databases: Vec<String> = databases.into_iter().collect();
    let now = source::catalog::load(options, conn, &databases).await?;
    let shapes = shape::shapes(plan, &now);
    shape::unchanged(&shape::shapes(plan, &start.catalog), &shapes)?;
    Ok(shapes)
}

fn copied_tables(plan: &Plan) -> impl Iterator<Item = SourceId> + '_ {
    let copied = plan.sources.iter().filter(|s| !s.watched_only);
    copied.map(|s| s.id)
}

fn pending(plan: &Plan, id: SourceId, catalog: &Catalog) -> TableProgress {
    let name = &plan.source(id).name;
    let mut progress = TableProgress::pending(&name.database, &name.table);
    progress.estimated_rows = catalog.tables.get(name).map_or(0, |t| t.estimated_rows);
    progress
}

/// The checkpoint's cursors, matched with the plan's tables by name.
fn snapshot_progress(plan: &Plan, checkpoint: &Checkpoint, workers: usize) -> Result<Progress> {
    let mut tables = Vec::new();
    for progress in &checkpoint.snapshot {
        let source = plan
            .sources
            .iter()
            .find(|s| s.name.database == progress.database && s.name.table == progress.table);
        let Some(source) = source else {
            return Err(Error::new(
                Kind::PlanDiffers,
                format!(
                    "the checkpoint copies {}.{}, which the contract does not read",
                    progress.database, progress.table
                ),
            ));
        };
        tables.push((source.id, progress.clone()));
    }
    Ok(Progress::new(tables, workers).in_order(CopyOrder::of(plan)))
}

/// Remembers who has a dead letter, page by page: only hashes are kept.
async fn stored_letters(store: &Arc<Store>, letters: Letters) -> Result<Letters> {
    let store = Arc::clone(store);
    blocking(move || {
        let mut from: Option<String> = None;
        loop {
            let page = store.dead_letters(from.as_deref(), 1000)?;
            letters.take_over(&page.letters);
            match page.next {
                Some(next) => from = Some(next),
                None => return Ok(letters),
            }
        }
    })
    .await
}

pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::new(Kind::Internal, "a task of the start failed").with_source(e))?
}

pub fn thread(
    name: &'static str,
    failed: mpsc::UnboundedSender<Error>,
    work: impl FnOnce() + Send + 'static,
) -> Result<(&'static str, JoinHandle<()>)> {
    let guarded = move || {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            // Nobody listens once the daemon is ending.
            let _ = failed.send(panicked(name));
        }
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(guarded)
        .map(|handle| (name, handle))
        .map_err(|e| Error::new(Kind::Internal, "a thread cannot be started").with_source(e))
}
