//! Where the commands meet the rest of penstock: each function here is one call into source, plan, sink or daemon.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bars::{Voice, Wait};
use super::progress;
use super::service::Service;
use super::serving::{self, Signals, Up, at_once};
use super::{DemoOptions, Emit, Format, RunOptions, afresh};
use crate::blueprint;
use crate::config::{Endpoint, Settings};
use crate::cost::{self, Cost};
use crate::daemon::{Daemon, Event, Rest, Shared, cut_over, open_target, stands_cut_over};
use crate::error::{Error, Kind, Result};
use crate::metrics::Exposition;
use crate::plan::{Plan, explain as explained};
use crate::prepare::{self, Read};
use crate::sink::provision::{self as tables, Condition};
use crate::source::preflight;

/// What `check` looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    Contract,
    MySql,
    DynamoDb,
}

impl Area {
    /// The heading in the answer.
    pub fn title(self) -> &'static str {
        match self {
            Area::Contract => "contract",
            Area::MySql => "MySQL",
            Area::DynamoDb => "DynamoDB",
        }
    }
}

/// What `check` found in one area.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Section {
    pub area: Area,
    /// What was looked at, in a few words: `MySQL 9.7.4 at 127.0.0.1:3306`.
    pub subject: String,
    pub findings: Vec<Finding>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing to do.
    Note,
    Warning,
    Error,
}

/// One finding.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Finding {
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// `contract.json:12:5` or a setting's name.
    pub place: Option<String>,
    /// What to do: the SQL that cures it, or what to write instead. May have several lines.
    pub help: Option<String>,
    /// The whole as a compiler would show it, where the plain lines do not suffice.
    #[serde(skip)]
    pub rendered: Option<String>,
}

/// Looks at contract, MySQL and DynamoDB; with `offline` at the contract only.
pub async fn check(settings: &Settings, offline: bool, strict: bool) -> Result<Vec<Section>> {
    let mut read = prepare::read(settings, strict)?;
    let looked = match &read.contract {
        Some(contract) if !offline => match prepare::look(settings, contract).await {
            Ok(looked) => Some(looked),
            Err(error) => {
                let section = unreachable_source(settings, &error);
                read.compile(settings, None);
                return Ok(vec![contract_section(&read, false), section]);
            }
        },
        _ => None,
    };
    let plan = read.compile(settings, looked.as_ref());
    let compared = looked.as_ref().is_some_and(|l| !l.denied);
    let mut sections = vec![contract_section(&read, compared)];
    if let Some(looked) = looked {
        sections.push(source_section(settings, &looked));
        if let Some(plan) = plan {
            sections.push(target_section(settings, &plan).await);
        }
    }
    Ok(sections)
}

fn contract_section(read: &Read, compared: bool) -> Section {
    let color = crate::terminal::colors(&std::io::stdout());
    let mut findings: Vec<Finding> = read
        .diagnostics
        .all
        .iter()
        .map(|d| Finding {
            severity: match d.severity {
                crate::contract::Severity::Error => Severity::Error,
                crate::contract::Severity::Warning => Severity::Warning,
            },
            message: d.message.clone(),
            place: Some(format!("{} {}", read.file, d.place.pointer)),
            help: d.help.clone(),
            rendered: Some(String::new()),
        })
        .collect();
    // The whole rendering belongs to the first finding: it orders and cuts the list itself.
    if let Some(first) = findings.first_mut() {
        first.rendered = Some(read.rendered(color));
    }
    Section {
        area: Area::Contract,
        subject: match compared {
            true => read.file.clone(),
            false => format!("{} (not compared with MySQL's tables)", read.file),
        },
        findings,
    }
}

fn source_section(settings: &Settings, looked: &prepare::Looked) -> Section {
    let findings = looked
        .findings
        .iter()
        .map(|f| Finding {
            severity: match f.severity {
                preflight::Severity::Error => Severity::Error,
                preflight::Severity::Warning => Severity::Warning,
                preflight::Severity::Note => Severity::Note,
            },
            message: format!("{} is {}: {}", f.what, f.found, f.why),
            place: None,
            help: f.cure_sql.clone(),
            rendered: None,
        })
        .collect();
    Section {
        area: Area::MySql,
        subject: format!("{} at {}", looked.facts.version, address(settings)),
        findings,
    }
}

fn unreachable_source(settings: &Settings, error: &Error) -> Section {
    Section {
        area: Area::MySql,
        subject: address(settings),
        findings: vec![failed(error)],
    }
}

fn failed(error: &Error) -> Finding {
    Finding {
        severity: Severity::Error,
        message: error.to_string(),
        place: None,
        help: Some(error.remedy().to_owned()),
        rendered: None,
    }
}

fn address(settings: &Settings) -> String {
    format!("{}:{}", settings.source.host, settings.source.port)
}

async fn target_section(settings: &Settings, plan: &Plan) -> Section {
    let subject = match &settings.target.endpoint {
        Endpoint::Embedded { .. } => {
            // It starts with `run`, and its tables are made then.
            return Section {
                area: Area::DynamoDb,
                subject: "embedded".to_owned(),
                findings: Vec::new(),
            };
        }
        Endpoint::Url(url) => url.clone(),
        Endpoint::Aws => format!("AWS {}", settings.target.region.as_deref().unwrap_or("")),
    };
    let findings = match target_states(settings, plan).await {
        Ok(states) => states
            .iter()
            .filter(|s| s.condition != Condition::Right)
            .map(|s| Finding {
                severity: Severity::Error,
                message: s.to_string(),
                place: None,
                help: cure(&s.condition).map(str::to_owned),
                rendered: None,
            })
            .collect(),
        Err(error) => vec![failed(&error)],
    };
    Section {
        area: Area::DynamoDb,
        subject,
        findings,
    }
}

fn cure(condition: &Condition) -> Option<&'static str> {
    match condition {
        Condition::Right => None,
        Condition::Missing | Condition::LacksIndexes(_) => {
            Some("`penstock provision --yes` makes what is missing")
        }
        Condition::NotReady(_) => Some("wait until it is active"),
        Condition::Wrong(_) => Some(
            "penstock never changes a table: make the contract fit it, move it away, or set [target] table_prefix",
        ),
    }
}

async fn target_states(settings: &Settings, plan: &Plan) -> Result<Vec<tables::TableState>> {
    let (embedded, client, _) = open_target(settings).await?;
    let states = tables::inspect(&client, plan).await;
    drop(embedded);
    states
}

/// The plan, compared with MySQL's tables unless `offline`.
async fn plan(settings: &Settings, offline: bool) -> Result<Plan> {
    let mut read = prepare::read(settings, false)?;
    let looked = match &read.contract {
        Some(contract) if !offline => Some(read.look(settings, contract).await?),
        _ => None,
    };
    looked.as_ref().map_or(Ok(()), prepare::Looked::readable)?;
    let plan = read.compile(settings, looked.as_ref());
    read.verdict()?;
    plan.ok_or_else(|| Error::new(Kind::Internal, "a plan without a reason"))
}

/// What the contract's items cost in DynamoDB.
pub async fn cost(settings: &Settings) -> Result<Cost> {
    let plan = plan(settings, false).await?;
    let options = prepare::source_options(settings);
    cost::estimate(&plan, &options, settings.cost.clone()).await
}

/// What others need to make tables, role and account.
///
/// With `json` all of it is JSON: statements are a list then.
pub async fn emit(settings: &Settings, what: Emit, offline: bool, json: bool) -> Result<String> {
    let plan = plan(settings, offline).await?;
    Ok(match what {
        Emit::Cloudformation => blueprint::cloudformation(&plan),
        Emit::Iam => blueprint::iam(&plan, settings.target.region.as_deref()),
        Emit::Grants => {
            let grants = blueprint::grants(&plan, &settings.source.user);
            match json {
                true => serde_json::json!({ "grants": grants }).to_string(),
                false => blueprint::grants_sql(&grants),
            }
        }
    })
}

/// The plan in this format.
pub async fn explain(
    settings: &Settings,
    offline: bool,
    sql: bool,
    format: Format,
) -> Result<String> {
    let plan = plan(settings, offline).await?;
    if sql {
        return match format {
            Format::Text => explained::sql(&plan),
            Format::Json => explained::sql_json(&plan),
            Format::Mermaid => {
                return Err(Error::new(Kind::Usage, "--sql has no form as a diagram"));
            }
        }
        .map_err(|error| Error::new(Kind::Unsupported, error.to_string()));
    }
    Ok(match format {
        Format::Text => explained::text(&plan),
        Format::Json => explained::json(&plan),
        Format::Mermaid => explained::mermaid(&plan),
    })
}

/// A DynamoDB table that the contract names.
#[derive(Debug, Clone, serde::Serialize)]
pub struct TableStep {
    pub table: String,
    pub step: Step,
    /// Keys and indexes, or what differs.
    pub detail: String,
}

/// What `provision` does (or would do) about a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// There, as the contract says.
    Present,
    /// Missing, and would be made.
    WouldCreate,
    Created,
    /// There with other keys or indexes; never changed by penstock.
    Differs,
}

/// How long tables may take until they are active.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Makes what is missing, if `create`.
pub async fn provision(settings: &Settings, create: bool) -> Result<Vec<TableStep>> {
    // What cannot be run yet can be provisioned: tables and indexes are in the contract.
    let plan = plan(settings, false).await?;
    let (embedded, client, _) = open_target(settings).await?;
    let before = tables::inspect(&client, &plan).await?;
    let wrong = before
        .iter()
        .any(|s| matches!(s.condition, Condition::Wrong(_)));
    let lacks = |s: &tables::TableState| {
        matches!(s.condition, Condition::Missing | Condition::LacksIndexes(_))
    };
    // What is missing may be what the application has removed. Where nothing is, nothing is made either.
    if create && before.iter().any(lacks) && stands_cut_over(&settings.state)? {
        return Err(Error::new(
            Kind::CutOver,
            "the cutover has been made: DynamoDB is the application's, and nothing is made there",
        ));
    }
    if create && !wrong {
        // Minutes, on AWS.
        let mut wait = Wait::new("provision", Voice::Command);
        tables::create(&client, &plan, PATIENCE, |step| wait.step(step)).await?;
    }
    let made = create && !wrong;
    let steps = before.iter().map(|state| step(state, made)).collect();
    drop(embedded);
    Ok(steps)
}

fn step(state: &tables::TableState, made: bool) -> TableStep {
    let (step, detail) = match &state.condition {
        Condition::Right => (Step::Present, String::new()),
        Condition::NotReady(status) => (Step::Present, format!("not ready yet: {status}")),
        Condition::Missing if made => (Step::Created, String::new()),
        Condition::Missing => (Step::WouldCreate, String::new()),
        Condition::LacksIndexes(names) if made => {
            (Step::Created, format!("indexes {}", names.join(", ")))
        }
        Condition::LacksIndexes(names) => {
            (Step::WouldCreate, format!("indexes {}", names.join(", ")))
        }
        Condition::Wrong(differences) => (Step::Differs, differences.join("; ")),
    };
    TableStep {
        table: state.name.clone(),
        step,
        detail,
    }
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Both sides were at the same place when it ended.
    pub caught_up: bool,
    pub seconds: f64,
    /// Rows that this run copied, from `tables` tables.
    pub rows_copied: u64,
    pub tables: usize,
    /// Transactions of the stream that this run brought to DynamoDB.
    pub transactions: u64,
    pub dead_letters: u64,
    /// The run started over: items of rows that are gone since an earlier run may remain.
    pub resnapshot: bool,
    /// What was in flight and not written in time; the next run writes it.
    pub items_left: usize,
}

/// The daemon, until it ends; returns once everything in flight is durable or given up.
pub fn run(settings: Settings, options: &RunOptions) -> Result<Summary> {
    let exposition = Exposition::install()?;
    let runtime = super::runtime()?;
    let ended = runtime.block_on(serve(Arc::new(settings), options, exposition));
    runtime.shutdown_timeout(Duration::from_millis(500));
    ended
}

async fn serve(
    settings: Arc<Settings>,
    options: &RunOptions,
    exposition: Exposition,
) -> Result<Summary> {
    let begun = Instant::now();
    let mut signals = Signals::new()?;
    let mut service = Service::begin();
    let mut again = false;
    let afresh = afresh::is_asked(&settings.state);
    loop {
        let up = async {
            match again {
                false => serving::up(&settings, options.resnapshot || afresh, &exposition).await,
                true => serving::up_again(&settings, &exposition).await,
            }
        };
        let up = tokio::select! {
            biased;
            () = signals.end() => return if options.until_caught_up {
                Err(interrupted())
            } else {
                Ok(Summary::default())
            },
            up = up => up?,
        };
        if afresh && !again {
            if matches!(up, Up::Rest(_)) {
                tracing::warn!(
                    "a cutover has been made: nothing is copied again, though `penstock resnapshot --all` asked for it"
                );
            }
            afresh::is_done(&settings.state)?;
        }
        let ended = match up {
            Up::Rest(rest) => at_rest(rest, options, &mut signals, &mut service).await?,
            Up::Flow(daemon) => flow(*daemon, options, begun, &mut signals, &mut service).await?,
        };
        match ended {
            Some(summary) => return Ok(summary),
            // A cutover was taken back: everything is checked and started as if for the first time.
            None => again = true,
        }
    }
}

/// Nothing flows; `None` when a cutover was taken back.
async fn at_rest(
    rest: Box<Rest>,
    options: &RunOptions,
    signals: &mut Signals,
    service: &mut Service,
) -> Result<Option<Summary>> {
    if options.until_caught_up || options.resnapshot {
        return Err(cut_over());
    }
    tracing::info!(address = %rest.address, "serving /status and /metrics");
    service.rests();
    let ended = tokio::select! {
        () = signals.end() => Some(Summary::default()),
        () = rest.reopened() => None,
    };
    match ended {
        Some(_) => service.ends(),
        None => service.starts_again(),
    }
    rest.end().await;
    Ok(ended)
}

/// The flow, until it ends; `None` when a cutover was taken back.
async fn flow(
    mut daemon: Daemon,
    options: &RunOptions,
    begun: Instant,
    signals: &mut Signals,
    service: &mut Service,
) -> Result<Option<Summary>> {
    service.serves(&daemon);
    let copied_before = copied(&daemon.shared);
    let shown = progress::of_run(Arc::clone(&daemon.answers), options.until_caught_up);
    let ended = tokio::select! {
        () = signals.end() => Ended::Asked,
        event = daemon.until(options.until_caught_up) => match event {
            Event::CaughtUp => Ended::CaughtUp,
            Event::Stopped => Ended::Stopped,
            Event::Reopened => Ended::Reopened,
        },
        never = shown => match never {},
    };
    let mut ended = ended;
    if ended == Ended::Stopped && !options.until_caught_up {
        // The process stays up and tells the reason until somebody ends it.
        let reopened = daemon.cutover.reopened.clone();
        tokio::select! {
            () = signals.end() => {}
            () = reopened.cancelled() => ended = Ended::Reopened,
        }
    }
    match ended {
        Ended::Reopened => service.starts_again(),
        Ended::Asked | Ended::CaughtUp | Ended::Stopped => service.ends(),
    }
    let shared = Arc::clone(&daemon.shared);
    let failure = shared.failure();
    let left = tokio::select! {
        biased;
        left = progress::of_drain(Arc::clone(&daemon.answers), daemon.drain()) => left?,
        () = signals.end() => at_once(),
    };
    let summary = Summary {
        caught_up: ended == Ended::CaughtUp,
        seconds: begun.elapsed().as_secs_f64(),
        rows_copied: copied(&shared).saturating_sub(copied_before),
        tables: shared.progress.tables().len(),
        transactions: shared.applied(),
        dead_letters: shared.dead_letters(),
        resnapshot: options.resnapshot,
        items_left: left.items,
    };
    match (ended, failure) {
        (Ended::Stopped, Some(failure)) if options.until_caught_up => {
            Err(Error::new(failure.error_kind, failure.reason).with_remedy(failure.remedy))
        }
        (Ended::Asked, _) if options.until_caught_up => Err(interrupted()),
        (Ended::Reopened, _) => Ok(None),
        _ => Ok(Some(summary)),
    }
}

fn copied(shared: &Shared) -> u64 {
    shared.progress.tables().iter().map(|t| t.rows).sum()
}

fn interrupted() -> Error {
    Error::new(
        Kind::Interrupted,
        "ended by a signal before both sides were at the same place",
    )
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    CaughtUp,
    Stopped,
    /// By a signal.
    Asked,
    /// A cutover was taken back.
    Reopened,
}

/// The demo; with `json` what people read goes to stderr.
pub fn demo(options: &DemoOptions, json: bool) -> Result<crate::demo::Summary> {
    let exposition = Exposition::install()?;
    let runtime = super::runtime()?;
    let options = crate::demo::Options {
        mysql: options.mysql.clone(),
        state: options.state.clone(),
        keep: options.keep,
        seconds: options.seconds,
        scale: options.scale,
        say: match json {
            true => crate::demo::Say::Stderr,
            false => crate::demo::Say::Stdout,
        },
    };
    let summary = runtime.block_on(crate::demo::run(options, exposition));
    runtime.shutdown_timeout(Duration::from_millis(500));
    summary
}
