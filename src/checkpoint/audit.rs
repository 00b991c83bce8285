//! What operators did, one JSON object a line. A plain file: it outlives a store that had to be set aside.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files;
use crate::error::Result;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub at_unix_ms: u64,
    /// Who asked for it; empty where penstock did it by itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub who: String,
    /// `run --resnapshot`, `store rebuilt`, …
    pub action: String,
    /// Details without row values.
    pub detail: String,
}

pub(super) fn append(path: &Path, entry: &AuditEntry) -> Result<()> {
    let mut line = serde_json::to_vec(entry).unwrap_or_default();
    line.push(b'\n');
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            file.write_all(&line)?;
            file.sync_all()
        })
        .map_err(|e| files::failed("append to", path, e))
}

/// The audit log of a state directory, oldest first; a line that is cut off is left out.
///
/// # Errors
/// `Store` where it is there and cannot be read.
pub fn audit_log(dir: &Path) -> Result<Vec<AuditEntry>> {
    read(&dir.join("audit.log"))
}

fn read(path: &Path) -> Result<Vec<AuditEntry>> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(files::failed("read", path, e)),
    };
    Ok(BufReader::new(file)
        .lines()
        .map_while(|line| line.ok())
        .filter_map(|line| serde_json::from_str(&line).ok())
        .collect())
}
