//! The arguments.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Replicates MySQL into DynamoDB for a migration with a parallel run.
#[derive(Debug, Parser)]
#[command(
    name = "penstock",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
#[command(after_help = "\
Examples:
  penstock check                      Is everything right? Tells every problem with its cure
  penstock explain                    What will be written, and from which columns
  penstock provision --yes            Make the DynamoDB tables that are missing
  penstock run                        Copy, then follow, until told to stop
  penstock run --until-caught-up      … and end when both sides are equal
  penstock status --format json       Where it stands, for scripts

Exit status: 0 done; 1 failed; 2 wrong usage, settings or contract; 3 the answer is no.
PENSTOCK_LOG sets what is logged: error, warn, info, debug, or penstock::source=debug.")]
pub struct Cli {
    /// The settings file [default: penstock.toml here, else /etc/penstock/penstock.toml]
    #[arg(long, short, global = true, env = "PENSTOCK_CONFIG")]
    config: Option<PathBuf>,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    #[command(subcommand)]
    pub command: Command,
}

/// Where the settings are looked for.
const HERE: &str = "penstock.toml";
const INSTALLED: &str = "/etc/penstock/penstock.toml";

impl Cli {
    /// The settings file: the one that was named, the one of this directory, or the service's.
    pub fn config(&self) -> &Path {
        let places = [HERE, INSTALLED].map(Path::new);
        match &self.config {
            Some(named) => named,
            None => places
                .into_iter()
                .find(|place| place.exists())
                .unwrap_or(places[0]),
        }
    }
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For scripts
    Json,
    /// A diagram (explain only)
    Mermaid,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check settings, contract, MySQL and DynamoDB
    #[command(after_help = "\
Nothing is changed on either side.
With --cost MySQL counts rows (up to a million of each table) and maps up to a thousand of each kind of item.")]
    Check {
        /// Look at the settings and the contract only
        #[arg(long)]
        offline: bool,
        /// Take warnings for errors
        #[arg(long)]
        strict: bool,
        /// Items, bytes and write units of the copy and of a day, and what they cost at the prices in the settings
        #[arg(long, conflicts_with = "offline")]
        cost: bool,
    },
    /// Show what the contract was compiled to
    #[command(after_help = "\
Examples:
  penstock explain --offline
  penstock explain --format mermaid > plan.mmd
  penstock explain --sql              The SELECT that defines the items, for each kind of them")]
    Explain {
        /// Without asking MySQL for its tables
        #[arg(long)]
        offline: bool,
        /// As SQL: MySQL computes what the items must be
        #[arg(long, conflicts_with = "offline")]
        sql: bool,
    },
    /// Make the DynamoDB tables and indexes that the contract names
    #[command(after_help = "\
Without --yes it only shows what it would make. It never changes or deletes a table.
Examples:
  penstock provision --emit cloudformation > tables.json   Tables, indexes, alarms, for whoever owns the account
  penstock provision --emit iam > policy.json              The rights that penstock's role needs
  penstock provision --emit grants | mysql                 The MySQL account")]
    Provision {
        /// Make them
        #[arg(long, conflicts_with = "emit")]
        yes: bool,
        /// Print what others need to make them, and make nothing
        #[arg(long, value_enum)]
        emit: Option<Emit>,
        /// With --emit: from settings and contract alone, without asking MySQL for its tables
        #[arg(long, requires = "emit")]
        offline: bool,
    },
    /// Copy all rows, then follow every change
    #[command(after_help = "\
SIGTERM and Ctrl-C end it within 10 seconds; the next run goes on where it was.
Examples:
  penstock run
  penstock run --until-caught-up && echo both sides are equal")]
    Run(RunOptions),
    /// Show where the daemon stands
    #[command(after_help = "\
Examples:
  penstock status --watch             Drawn again every second, until Ctrl-C
  penstock status --watch | tee log   A line whenever something changes, and every ten seconds
  penstock status --format json       For scripts; with --watch a document a line")]
    Status {
        /// Go on showing it, until Ctrl-C
        #[arg(long)]
        watch: bool,
    },
    /// Rows that have no valid item
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Compare both sides: what DynamoDB holds with what MySQL says it must
    #[command(after_help = "\
MySQL itself computes what each item must be; what differs is looked at again until the stream has settled.
An interrupted comparison goes on where it was. The report lies in the state directory, under reports.
Examples:
  penstock verify                     Everything, and a scan for items that no row explains
  penstock verify --sample 5          Five percent of the rows, by chance
  penstock verify --repair; penstock verify
Exit status: 0 both sides are equal; 3 items differ, or could not be decided.")]
    Verify(VerifyOptions),
    /// Copy one table again while the rest goes on
    #[command(after_help = "\
Its rows are read in chunks beside the stream; for items of several rows, rows that MySQL has no more are forgotten. It is
followed to its end here; a daemon goes on with it alone after Ctrl-C, and after restarts. Items that no row explains are
found by a full comparison afterwards: `penstock verify --repair`. Until then no cutover passes.
With --all the next start gives up the checkpoint and copies everything: for a stop that says so (`run --resnapshot` is the
same, started by hand). Items of rows that are gone since may remain, and `penstock verify --repair` removes them.
Examples:
  penstock resnapshot shop.orders
  penstock resnapshot --all && systemctl restart penstock")]
    Resnapshot {
        /// As `penstock status` names it: shop.orders
        #[arg(required_unless_present = "all")]
        table: Option<String>,
        /// Every table, from the next start on
        #[arg(long, conflicts_with = "table")]
        all: bool,
    },
    /// Hold the stream without losing its place
    #[command(after_help = "\
What is in flight is written; then nothing is, restarts included, until `penstock resume`. MySQL must keep its binlogs for so
long (binlog_expire_logs_seconds): what it purges meanwhile is lost, and only `run --resnapshot` helps.")]
    Pause,
    /// Let a paused stream go on
    Resume,
    /// Prove that both sides are equal and end the replication: the application may move
    #[command(after_help = "\
Stop the application's writes to MySQL first. The gates are read; the stream is drained to the exact position at which
MySQL stands; what was written since the last full comparison is compared once more; then nothing is ever written again,
restarts included, and a report lies in the state directory.
Examples:
  penstock cutover --dry-run          Only the gates
  penstock cutover --expect-read-only --wait 120
Exit status: 0 the application may move; 3 a gate is shut, and the stream goes on.")]
    Cutover(CutoverOptions),
    /// A cutover without consequences: how long it would take, and what the gates say
    Rehearse,
    /// What a migration did, from its state directory, and what to clean up after it
    #[command(after_help = "\
Asks neither MySQL nor DynamoDB, and changes nothing; whether a daemon runs does not matter. Source keys are not in it.
Examples:
  penstock report > migration.md
  penstock report --format json > migration.json")]
    Report,
    /// See it work: a sample shop under load, replicated for a minute
    #[command(after_help = "scripts/demo installs and starts what it needs, then calls this.")]
    Demo(DemoOptions),
    /// Write man pages and shell completions, for packages
    #[command(hide = true)]
    Generate {
        /// Where `man` and `completions` are made
        directory: PathBuf,
    },
}

/// What `provision` can print for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Emit {
    /// Tables, indexes and alarms as a CloudFormation template
    Cloudformation,
    /// The policy of penstock's role
    Iam,
    /// The MySQL account
    Grants,
}

/// What `run` may be told.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RunOptions {
    /// End once the snapshot is complete and the stream has reached the source's position
    #[arg(long)]
    pub until_caught_up: bool,
    /// Forget the checkpoint and copy everything again (items of rows that are gone may remain)
    #[arg(long)]
    pub resnapshot: bool,
}

/// What `verify` may be told.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct VerifyOptions {
    /// Only so many percent of the rows, by chance, without the scan for extra items
    #[arg(long, value_name = "PERCENT", conflicts_with_all = ["entity", "keys_from"])]
    pub sample: Option<f64>,
    /// Only one entity of the contract, without the scan for extra items
    #[arg(long, value_name = "NAME", conflicts_with = "keys_from")]
    pub entity: Option<String>,
    /// Only the items that an earlier report (JSON) names
    #[arg(long, value_name = "REPORT")]
    pub keys_from: Option<PathBuf>,
    /// Put right what differs; it counts as unproved until the next comparison
    #[arg(long)]
    pub repair: bool,
    /// Values of rows and items into the report
    #[arg(long)]
    pub show_values: bool,
    /// Stop the comparison that is under way
    #[arg(long, conflicts_with_all = ["sample", "entity", "keys_from", "repair", "show_values"])]
    pub stop: bool,
}

/// What `cutover` may be told.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct CutoverOptions {
    /// Only say what the gates say
    #[arg(long)]
    pub dry_run: bool,
    /// Wait so long for gates that are shut
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub wait: u64,
    /// MySQL must refuse writes (read_only or super_read_only)
    #[arg(long)]
    pub expect_read_only: bool,
    /// Take a cutover back that has been made: the stream goes on from its position
    #[arg(long, conflicts_with_all = ["dry_run", "wait", "expect_read_only", "abort"])]
    pub reopen: bool,
    /// Give up a cutover that is under way
    #[arg(long, conflicts_with_all = ["dry_run", "wait", "expect_read_only"])]
    pub abort: bool,
}

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadLetters {
    /// List them: which row, why, since when
    #[command(after_help = "Source keys are values of your rows: mind where you paste them.")]
    List {
        /// At most this many
        #[arg(long, default_value_t = 1_000)]
        limit: usize,
        /// Go on where a list ended
        #[arg(long, value_name = "NEXT")]
        from: Option<String>,
    },
    /// Read their rows again, and write what is valid now
    #[command(after_help = "\
For after the cause is gone: another limit of DynamoDB, an item that is too large no more. A row that changes in MySQL needs no retry.
Exit status: 0 all of them are valid now, or gone; 3 some are not.")]
    Retry {
        /// Only those of this projection, as the list shows it
        #[arg(long, value_name = "LABEL")]
        projection: Option<String>,
        /// Only that of this row, as the list shows it
        #[arg(long, value_name = "KEY")]
        source_key: Option<String>,
    },
    /// All of them, one JSON object a line; with --format json one list
    #[command(after_help = "Source keys are values of your rows: mind where you put them.")]
    Export,
}

/// What `demo` may be told; scripts/demo fills it in.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct DemoOptions {
    /// MySQL whose root has no password; the database `shop` is made anew there
    #[arg(long, value_name = "HOST:PORT")]
    pub mysql: String,
    /// Where settings, contract and state go
    #[arg(long, value_name = "DIRECTORY")]
    pub state: std::path::PathBuf,
    /// Leave everything up afterwards, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
    /// How long the write load goes on after the copy
    #[arg(long, default_value_t = 30)]
    pub seconds: u64,
    /// How many times the usual 31,000 rows the shop has
    #[arg(long, default_value_t = 1)]
    pub scale: u32,
}
