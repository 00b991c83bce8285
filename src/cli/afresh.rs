//! `penstock resnapshot --all`: a note in the state directory for the next start. A service cannot be given an option for one
//! start only, and a daemon that has stopped still holds its state.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Answer, Cli, Format, Outcome, output, state_directory};
use crate::checkpoint::write_file;
use crate::error::{Error, Kind, Result};

/// The note's name in the state directory.
const NOTE: &str = "resnapshot-all.json";

pub(super) fn run(cli: &Cli) -> Outcome {
    let state = state_directory(cli)?;
    if !state.is_dir() {
        let message = format!("there is no state directory {}", state.display());
        return Err(Error::new(Kind::Usage, message)
            .with_remedy("nothing has been copied yet: `penstock run` copies everything")
            .into());
    }
    write_file(&note(&state), b"{}\n")?;
    match cli.format {
        Format::Json => output::print_json(&json!({"resnapshot": "all", "from": "next start"}))?,
        _ => output::print(
            "the next start gives up the checkpoint and copies every table again: `systemctl restart penstock`, or `penstock run`\n",
        )?,
    }
    Ok(Answer::Done)
}

/// Whether somebody has asked for it since the last time.
pub(super) fn is_asked(state: &Path) -> bool {
    note(state).exists()
}

/// The checkpoint has been given up, or cannot be.
///
/// # Errors
/// `Store` where the note cannot be removed: the next start would give up the next checkpoint, too.
pub(super) fn is_done(state: &Path) -> Result<()> {
    let note = note(state);
    match std::fs::remove_file(&note) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let message = format!("could not remove {}", note.display());
            Err(Error::new(Kind::Store, message).with_source(error))
        }
        _ => Ok(()),
    }
}

fn note(state: &Path) -> PathBuf {
    state.join(NOTE)
}
