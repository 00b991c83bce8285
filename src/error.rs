//! Errors of the running daemon: what kind, what follows from it, and what the operator can do.
//!
//! Every error that can end or hold the stream is classified once, here: its [`Kind`] decides the [`Directive`]
//! and names the remedy. Row values and secrets never enter a message.

use std::fmt;

/// What went wrong, in the operator's terms. The kind alone decides what the daemon does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The server or the network is away for now: refused connections, timeouts, a lost stream.
    SourceUnavailable,
    /// MySQL refuses our user: wrong password, a missing grant.
    SourceDenied,
    /// A setting of the MySQL server makes replication impossible (`gtid_mode`, row image, …).
    SourceSettings,
    /// The binlog no longer holds what comes after our position.
    SourcePurged,
    /// The server's history is not the one that the checkpoint belongs to.
    LineageDiffers,
    /// Another client of the server uses our `server_id`.
    ServerIdTaken,
    /// An event (or a row image) that we cannot read, or whose checksum is wrong.
    EventUnreadable,
    /// A statement that names a table of the contract and may change it other than by rows (DDL, TRUNCATE, …).
    TableChanged,
    /// Something that this version refuses by name (XA on a table of the contract, …).
    Unsupported,
    /// DynamoDB cannot be reached, throttles, or answers 5xx.
    TargetUnavailable,
    /// DynamoDB refuses our credentials or our permissions do not suffice.
    TargetDenied,
    /// A table is missing in DynamoDB or has other keys than the contract says.
    TargetTable,
    /// DynamoDB answered what we cannot understand (not DynamoDB at all, a proxy's page).
    TargetProtocol,
    /// The state directory cannot be read or written.
    Store,
    /// The checkpoint belongs to another contract.
    PlanDiffers,
    /// Settings, contract or command line.
    Usage,
    /// The application has moved: nothing is written any more.
    CutOver,
    /// Told to end before the work was done.
    Interrupted,
    /// A bug in penstock.
    Internal,
}

/// What the daemon does about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Directive {
    /// Try again, with backoff, within a bounded time.
    Retry,
    /// Stop the stream and stay up with the reason; the position stays where it is.
    Stop,
    /// Stop the stream: only a new snapshot helps.
    Resnapshot,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 19] = [
        Kind::SourceUnavailable,
        Kind::SourceDenied,
        Kind::SourceSettings,
        Kind::SourcePurged,
        Kind::LineageDiffers,
        Kind::ServerIdTaken,
        Kind::EventUnreadable,
        Kind::TableChanged,
        Kind::Unsupported,
        Kind::TargetUnavailable,
        Kind::TargetDenied,
        Kind::TargetTable,
        Kind::TargetProtocol,
        Kind::Store,
        Kind::PlanDiffers,
        Kind::Usage,
        Kind::CutOver,
        Kind::Interrupted,
        Kind::Internal,
    ];

    /// The kind of this [`name`](Self::name): what another process told.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What follows from an error of this kind.
    pub fn directive(self) -> Directive {
        match self {
            Kind::SourceUnavailable | Kind::TargetUnavailable => Directive::Retry,
            Kind::SourcePurged => Directive::Resnapshot,
            Kind::SourceDenied
            | Kind::SourceSettings
            | Kind::LineageDiffers
            | Kind::ServerIdTaken
            | Kind::EventUnreadable
            | Kind::TableChanged
            | Kind::Unsupported
            | Kind::TargetDenied
            | Kind::TargetTable
            | Kind::TargetProtocol
            | Kind::Store
            | Kind::PlanDiffers
            | Kind::Usage
            | Kind::CutOver
            | Kind::Interrupted
            | Kind::Internal => Directive::Stop,
        }
    }

    /// The general remedy; an error may carry a closer one.
    pub fn remedy(self) -> &'static str {
        match self {
            Kind::SourceUnavailable => {
                "check that MySQL runs and can be reached; a running penstock goes on by itself when it is back"
            }
            Kind::SourceDenied => {
                "run `penstock check`: it prints the grants that are missing, as SQL"
            }
            Kind::SourceSettings => {
                "run `penstock check`: it prints the SQL that cures the setting"
            }
            Kind::SourcePurged => {
                "run `penstock run --resnapshot`, and keep binlogs longer (`binlog_expire_logs_seconds`)"
            }
            Kind::LineageDiffers => {
                "point [source] at the server (or a replica of it) that the checkpoint comes from, or start over with `penstock run --resnapshot`"
            }
            Kind::ServerIdTaken => {
                "set [source] server_id to a number that no replica of this server uses"
            }
            Kind::EventUnreadable => {
                "restart: damage on the way does not come again, and the position stays before the event. If it stops there again, report it with the position, or start over with `penstock run --resnapshot`"
            }
            Kind::TableChanged => {
                "make the contract fit the tables as they are now, then `penstock run --resnapshot`"
            }
            Kind::Unsupported => "see the README, \"What penstock refuses\"",
            Kind::TargetUnavailable => {
                "check the endpoint, the region and the table's capacity; a running penstock goes on by itself"
            }
            Kind::TargetDenied => "check the credentials and the IAM policy in the README",
            Kind::TargetTable => "run `penstock provision`, which shows what is missing",
            Kind::TargetProtocol => {
                "check [target] endpoint: what answers there does not speak DynamoDB's protocol"
            }
            Kind::Store => "check space and permissions of the directory in [state] path",
            Kind::PlanDiffers => {
                "go back to the contract of the checkpoint, or start over with `penstock run --resnapshot`"
            }
            Kind::CutOver => {
                "`penstock cutover --reopen` takes the cutover back, where the application has not moved after all"
            }
            Kind::Interrupted => "run it again: it goes on where it was",
            Kind::Usage => "correct the settings or the command",
            Kind::Internal => "this is a bug in penstock: please report it with the log",
        }
    }

    /// The name in logs, metrics and `/status`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::SourceUnavailable => "source_unavailable",
            Kind::SourceDenied => "source_denied",
            Kind::SourceSettings => "source_settings",
            Kind::SourcePurged => "source_purged",
            Kind::LineageDiffers => "lineage_differs",
            Kind::ServerIdTaken => "server_id_taken",
            Kind::EventUnreadable => "event_unreadable",
            Kind::TableChanged => "table_changed",
            Kind::Unsupported => "unsupported",
            Kind::TargetUnavailable => "target_unavailable",
            Kind::TargetDenied => "target_denied",
            Kind::TargetTable => "target_table",
            Kind::TargetProtocol => "target_protocol",
            Kind::Store => "store",
            Kind::PlanDiffers => "plan_differs",
            Kind::Usage => "usage",
            Kind::CutOver => "cut_over",
            Kind::Interrupted => "interrupted",
            Kind::Internal => "internal",
        }
    }
}

/// An error with its kind, what happened where, and the cause if there is one.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    remedy: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// `Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind`; `message` says what happened and where (table, position, contract pointer).
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            remedy: None,
            source: None,
        }
    }

    /// Replaces the kind's general remedy by a closer one.
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Adds the cause.
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What the daemon does about it.
    pub fn directive(&self) -> Directive {
        self.kind.directive()
    }

    /// What the operator can do.
    pub fn remedy(&self) -> &str {
        self.remedy.as_deref().unwrap_or(self.kind.remedy())
    }

    /// What happened and where, without the causes.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause = self.source.as_ref().map(|e| &**e as &dyn std::error::Error);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
