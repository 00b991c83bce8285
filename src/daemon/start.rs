//! From settings and plan to a running daemon, step by step; nothing is written before all that can be checked is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::committer::Committer;
use super::deaths::{Deaths, Letters};
use super::gauges;
use super::monitor::{self, Question};
use super::shape;
use super::shared::Shared;
use super::stage::Stage;
use super::status::Answers;
use super::trouble::Watched;
use super::views::{self, Views};
use super::{Daemon, Running, decode, xids};
use crate::admin::{Servers, StatusSource};
use crate::checkpoint::{Checkpoint, Lineage, Loaded, Store, TableProgress, compatible};
use crate::config::{Endpoint, Settings};
use crate::error::{Directive, Error, Kind, Result};
use crate::metrics::{self, Exposition};
use crate::pipeline;
use crate::plan::{CopyOrder, Plan, SourceId, needs_logged_cascades};
use crate::position::Position;
use crate::prepare;
use crate::schema::Catalog;
use crate::sink::provision::{self, Condition};
use crate::sink::{self, DynamoWriter, Table, embedded::Embedded};
use crate::source;
use crate::source::connect::{classify, connect};
use crate::source::preflight::ServerFacts;
use crate::source::snapshot::{Progress, Worker, executed};
use crate::source::statement::Tables;
use crate::source::transaction::Assembler;

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

/// How long the target may be away when the daemon starts.
const TARGET_PATIENCE: Duration = Duration::from_secs(60);
/// How many dead letters may be on their way to the store.
const LETTERS: usize = 256;

pub async fn start(start: Start) -> Result<Daemon> {
    let settings = Arc::clone(&start.settings);
    let plan = Arc::clone(&start.plan);
    let store = open_store(settings.state.clone(), start.resnapshot).await?;
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
    let answers = Arc::new(Answers {
        shared: Arc::clone(&shared),
        store: Arc::clone(&store),
        target,
        question: tokio::sync::Mutex::new(Question::new(Arc::clone(&options))),
    });
    let servers = crate::admin::serve(
        settings.listen,
        &settings.state,
        Arc::clone(&answers) as Arc<dyn StatusSource>,
        start.exposition.clone(),
    )
    .await?;
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
        refused,
    })?;
    Ok(Daemon {
        shared,
        answers,
        address: servers.address,
        embedded_url: embedded.as_ref().map(Embedded::endpoint_url),
        parts: super::Parts {
            running,
            servers,
            embedded,
        },
    })
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
    let writer = Arc::new(Watched {
        writer: DynamoWriter::new(run.client.clone(), Table::all(&run.plan)),
        trouble: Arc::clone(&run.shared.trouble),
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
    let (requests_in, requests_out) = crossbeam_channel::unbounded();
    let snapshot = spawn_workers(&run, requests_in, &reading, &failed);
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
        requests: requests_out,
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
    drop(snapshot);
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

fn spawn_workers(
    run: &Run,
    requests: crossbeam_channel::Sender<source::snapshot::Request>,
    reading: &CancellationToken,
    failed: &mpsc::UnboundedSender<Error>,
) -> Vec<tokio::task::JoinHandle<()>> {
    if run.progress.all_complete() {
        return Vec::new();
    }
    (0..run.settings.snapshot.workers.max(1))
        .map(|_| {
            let worker = Worker {
                options: Arc::clone(&run.options),
                plan: Arc::clone(&run.plan),
                progress: Arc::clone(&run.progress),
                view: requests.clone(),
                chunk_rows: run.settings.snapshot.chunk_rows as u64,
            };
            let work = report(failed.clone(), worker.run());
            tokio::spawn(until(reading.clone(), work))
        })
        .collect()
}

async fn until(cancelled: CancellationToken, work: impl Future<Output = ()>) {
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

async fn open_store(path: PathBuf, start_over: bool) -> Result<Arc<Store>> {
    blocking(move || {
        let (store, opened) = match Store::open(&path) {
            // What cannot be read need not be, to start over; it is set aside.
            Err(_) if start_over => Store::start_over(&path)?,
            opened => opened?,
        };
        if let Some(rebuilt) = &opened.rebuilt {
            tracing::warn!(
                reason = rebuilt.reason,
                set_aside = ?rebuilt.set_aside,
                "the checkpoint store could not be read and was rebuilt from its mirror: a full verification is owed"
            );
        }
        Ok(Arc::new(store))
    })
    .await
}

/// For `run --resnapshot`: only after source and target were found to be usable.
async fn forget(store: &Arc<Store>) -> Result<()> {
    let store = Arc::clone(store);
    blocking(move || {
        store.reset()?;
        store.audit(
            "resnapshot",
            "the checkpoint was given up by `run --resnapshot`",
        )
    })
    .await
}

/// A client for the target, the embedded server if that is the target, and what to call it.
pub async fn open_target(settings: &Settings) -> Result<(Option<Embedded>, Client, String)> {
    let mut target = sink::Target {
        region: settings.target.region.clone(),
        request_timeout: settings.sink.request_timeout,
        ..sink::Target::default()
    };
    let mut embedded = None;
    let label = match &settings.target.endpoint {
        Endpoint::Embedded { port } => {
            let (dir, port) = (settings.state.join("embedded"), *port);
            let server = blocking(move || sink::embedded::start(&dir, port)).await?;
            let url = server.endpoint_url();
            target.endpoint_url = Some(url.clone());
            embedded = Some(server);
            format!("embedded {url}")
        }
        Endpoint::Url(url) => {
            target.endpoint_url = Some(url.clone());
            url.clone()
        }
        Endpoint::Aws => format!("aws {}", settings.target.region.as_deref().unwrap_or("")),
    };
    let client = sink::connect(&target).await;
    Ok((embedded, client, label))
}

/// Refuses a target whose tables are not as the plan wants them; makes those of the embedded one.
async fn ready_target(embedded: bool, client: &Client, plan: &Plan) -> Result<()> {
    if embedded {
        return provision::create(client, plan, Duration::from_secs(30), |_| {}).await;
    }
    let states = inspect(client, plan).await?;
    let wrong: Vec<String> = states
        .iter()
        .filter(|s| s.condition != Condition::Right)
        .map(ToString::to_string)
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Kind::TargetTable,
        format!(
            "DynamoDB is not as the contract wants it: {}",
            wrong.join("; ")
        ),
    ))
}

/// The target's tables; a target that throttles or is away for a moment is asked again.
async fn inspect(client: &Client, plan: &Plan) -> Result<Vec<provision::TableState>> {
    let begun = std::time::Instant::now();
    let mut pause = Duration::from_millis(100);
    loop {
        match provision::inspect(client, plan).await {
            Err(error)
                if error.directive() == Directive::Retry && begun.elapsed() < TARGET_PATIENCE =>
            {
                tracing::warn!(%error, "DynamoDB does not tell its tables; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            answer => return answer,
        }
    }
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
                checkpoint.verify_owed = true;
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
                store.commit(&first, &[])
            })
            .await?;
            Ok(checkpoint)
        }
    }
}

/// The last checkpoint: where joins have state, the one that was committed with it.
fn stored(store: &Store, views: Option<&views::Opened>) -> Result<Option<Checkpoint>> {
    let found = match store.load() {
        Loaded::Found(checkpoint) => Some(*checkpoint),
        Loaded::None => None,
    };
    let Some(views) = views else {
        return Ok(found);
    };
    match (&views.checkpoint, found) {
        (Some(with_state), _) => Ok(Some(with_state.clone())),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Error::new(
            Kind::Store,
            "the state of the joins is missing, and the checkpoint cannot go on without it",
        )
        .with_remedy("restore the directory `views` of the state directory, or start over with `penstock run --resnapshot`")),
    }
}

async fn open_views(
    state: PathBuf,
    plan: &Arc<Plan>,
    start_over: bool,
) -> Result<Option<views::Opened>> {
    let plan = Arc::clone(plan);
    blocking(move || {
        if start_over {
            crate::state::Store::wipe(&views::directory(&state))?;
        }
        views::open(&state, &plan)
    })
    .await
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

async fn blocking<T: Send + 'static>(
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
