//! The arguments.

use std::path::PathBuf;

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
    /// The settings file
    #[arg(
        long,
        short,
        global = true,
        default_value = "penstock.toml",
        env = "PENSTOCK_CONFIG"
    )]
    pub config: PathBuf,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    #[command(subcommand)]
    pub command: Command,
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
    #[command(after_help = "Nothing is changed on either side.")]
    Check {
        /// Look at the settings and the contract only
        #[arg(long)]
        offline: bool,
        /// Take warnings for errors
        #[arg(long)]
        strict: bool,
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
    #[command(
        after_help = "Without --yes it only shows what it would make. It never changes or deletes a table."
    )]
    Provision {
        /// Make them
        #[arg(long)]
        yes: bool,
    },
    /// Copy all rows, then follow every change
    #[command(after_help = "\
SIGTERM and Ctrl-C end it within 10 seconds; the next run goes on where it was.
Examples:
  penstock run
  penstock run --until-caught-up && echo both sides are equal")]
    Run(RunOptions),
    /// Show where the daemon stands
    Status,
    /// Rows that have no valid item
    #[command(subcommand)]
    DeadLetters(DeadLetters),
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
