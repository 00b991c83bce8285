//! Why bytes could not be decoded, and what to do about it.

use crate::error::{Error, Kind};

/// Why an event, a row image or a value could not be decoded. Names columns and types, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the event ends inside its {what}")]
    Truncated { what: &'static str },
    #[error("the event's header says {stated} bytes, but {actual} arrived")]
    Size { stated: u32, actual: usize },
    #[error("the event's CRC32 does not match its content")]
    Checksum,
    #[error("the event is malformed: {what}")]
    Malformed { what: &'static str },
    #[error("event type {type_code} is not a {expected} event")]
    WrongEvent {
        type_code: u8,
        expected: &'static str,
    },
    #[error("column type {type_code} at position {position} is not known")]
    UnknownType { type_code: u8, position: usize },
    #[error("the rows event is for table id {actual}, the table map for {expected}")]
    WrongTable { expected: u64, actual: u64 },
    #[error("the {image} image holds {present} of {columns} columns of table `{table}`")]
    IncompleteImage {
        image: &'static str,
        table: String,
        present: usize,
        columns: usize,
    },
    #[error("the table map of `{table}` carries no column names")]
    NoColumnNames { table: String },
    #[error("table `{table}`, column `{column}`: {reason}")]
    Unfit {
        table: String,
        column: String,
        reason: String,
    },
    #[error("table `{table}` has {actual} columns in the binlog, {expected} in the catalog")]
    ColumnCount {
        table: String,
        expected: usize,
        actual: usize,
    },
    #[error("column `{column}` uses the character set {charset}, which cannot be converted")]
    UnsupportedCharset { column: String, charset: String },
    #[error("the value of column `{column}` is not valid {what}")]
    Value { column: String, what: &'static str },
}

impl DecodeError {
    pub(super) fn truncated(what: &'static str) -> Self {
        DecodeError::Truncated { what }
    }

    pub(super) fn malformed(what: &'static str) -> Self {
        DecodeError::Malformed { what }
    }

    /// The kind that decides what the daemon does.
    pub fn kind(&self) -> Kind {
        match self {
            DecodeError::Truncated { .. }
            | DecodeError::Size { .. }
            | DecodeError::Checksum
            | DecodeError::Malformed { .. }
            | DecodeError::WrongEvent { .. }
            | DecodeError::UnknownType { .. }
            | DecodeError::WrongTable { .. }
            | DecodeError::Value { .. } => Kind::EventUnreadable,
            DecodeError::IncompleteImage { .. } | DecodeError::NoColumnNames { .. } => {
                Kind::SourceSettings
            }
            DecodeError::Unfit { .. } | DecodeError::ColumnCount { .. } => Kind::TableChanged,
            DecodeError::UnsupportedCharset { .. } => Kind::Unsupported,
        }
    }

    /// A closer remedy than the kind's, where there is one.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            DecodeError::IncompleteImage { .. } => Some(
                "run `SET GLOBAL binlog_row_image=FULL` (sessions that are open keep theirs until they reconnect), \
                 then `penstock run --resnapshot`",
            ),
            DecodeError::NoColumnNames { .. } => {
                Some("run `SET GLOBAL binlog_row_metadata=FULL`, then `penstock run --resnapshot`")
            }
            DecodeError::ColumnCount { .. } => Some(
                "make the contract fit the table as it is now, run `SET GLOBAL binlog_row_metadata=FULL` so that \
                 columns are found by name, then `penstock run --resnapshot`",
            ),
            _ => None,
        }
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        let made = Error::new(error.kind(), error.to_string());
        match error.remedy() {
            Some(remedy) => made.with_remedy(remedy),
            None => made,
        }
    }
}
