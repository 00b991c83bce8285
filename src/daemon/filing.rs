//! What a cutover leaves in the state directory: the audit log, the report, the standing in the checkpoint.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cutover::not_cut_over;
use super::facts::{fact_of, set_fact};
use super::start::blocking;
use crate::checkpoint::{Checkpoint, Loaded, Store, audit_log, mirrored, now_unix_ms, write_file};
use crate::cutover::{Entry, FACT, Outcome, Report, Sealed, Standing, State};
use crate::error::{Error, Kind, Result};
use crate::report::{COPIED, COPY_BEGUN};

/// Most entries of the audit log in a report.
const ENTRIES: usize = 200;

/// The audit log's words for what a cutover comes to.
pub const SEALED: &str = "cutover: sealed";
pub const MADE: &str = "cutover: cut over";
pub const REOPENED: &str = "cutover: reopened";
pub const REFUSED: &str = "cutover: refused";
pub const GIVEN_UP: &str = "cutover: given up";
pub const FAILED: &str = "cutover: failed";
/// Whether it was committed is not known.
pub const UNSURE: &str = "cutover: not known to be made";
pub const BEGUN: &str = "cutover: begun";
pub const ABORT: &str = "cutover: abort";
/// The same for what people do beside it.
pub const PAUSE: &str = "pause";
pub const RESUME: &str = "resume";
pub const RESNAPSHOT: &str = "resnapshot";
pub const RETRY: &str = "dead-letters retry";
pub const REPAIR: &str = "verify";
pub const REHEARSAL: &str = "rehearsal";

/// What an action of the audit log is called where people read it.
pub fn words(action: &str) -> &str {
    match action {
        COPY_BEGUN => "the copy began",
        COPIED => "the copy is complete",
        PAUSE => "paused",
        RESUME => "resumed",
        RESNAPSHOT => "copied again from the start",
        RETRY => "tried the dead letters again",
        REPAIR => "asked for a comparison with repairs",
        REHEARSAL => "rehearsed the cutover",
        ABORT => "cutover: asked to give it up",
        // The steps of a cutover are words.
        action => action,
    }
}

/// Adds a line to the audit log.
pub async fn audit(store: &Arc<Store>, who: &str, action: &str, detail: &str) -> Result<()> {
    let store = Arc::clone(store);
    let [who, action, detail] = [who, action, detail].map(str::to_owned);
    blocking(move || store.audit_by(&who, &action, &detail)).await
}

/// Notes that a cutover was taken back, which it is whatever becomes of this.
pub async fn note_reopened(store: &Arc<Store>, who: &str, position: &str) {
    if let Err(error) = audit(store, who, REOPENED, position).await {
        tracing::error!(%error, "the cutover is taken back, and that is not in the audit log");
    }
}

/// The audit log's entries since then, oldest first.
pub async fn entries_since(store: &Arc<Store>, unix_ms: u64) -> Result<Vec<Entry>> {
    let store = Arc::clone(store);
    let log = blocking(move || store.audit_log()).await?;
    let since = log.into_iter().filter(|entry| entry.at_unix_ms >= unix_ms);
    Ok(since
        .take(ENTRIES)
        .map(|entry| Entry {
            at_unix_ms: entry.at_unix_ms,
            who: entry.who,
            action: entry.action,
            detail: entry.detail,
        })
        .collect())
}

/// Writes the report's files and the last line of the audit log.
pub async fn file(store: &Arc<Store>, state: &Path, who: &str, report: Report) -> Result<Outcome> {
    let written = write(state.to_path_buf(), report.clone()).await?;
    audit(store, who, MADE, &report.position.gtids).await?;
    let (sealed, files) = written;
    Ok(Outcome::CutOver {
        report: Box::new(sealed),
        files,
        warning: None,
    })
}

/// Writes what is missing of the report of a cutover that was made, and of its line in the audit log, where a crash came
/// between; tells its outcome.
pub async fn file_again(store: &Arc<Store>, state: &Path, report: Report) -> Result<Outcome> {
    if paths(state, &report).iter().any(|path| !path.exists()) {
        write(state.to_path_buf(), report.clone()).await?;
    }
    let since = entries_since(store, report.times.cut_over).await?;
    if !since.iter().any(|entry| entry.action == MADE) {
        audit(store, &report.by, MADE, &report.position.gtids).await?;
    }
    let (sealed, _) = report.json().map_err(unencoded)?;
    let files = paths(state, &report).map(|path| path.display().to_string());
    Ok(Outcome::CutOver {
        report: Box::new(sealed),
        files: files.to_vec(),
        warning: None,
    })
}

async fn write(state: PathBuf, report: Report) -> Result<(crate::cutover::Sealed, Vec<String>)> {
    blocking(move || {
        let (sealed, json) = report.json().map_err(unencoded)?;
        let [of_json, of_markdown] = paths(&state, &report);
        write_file(&of_json, json.as_bytes())?;
        write_file(&of_markdown, report.markdown().as_bytes())?;
        let files = [of_json, of_markdown].map(|path| path.display().to_string());
        Ok((sealed, files.to_vec()))
    })
    .await
}

fn paths(state: &Path, report: &Report) -> [PathBuf; 2] {
    ["json", "md"].map(|ending| state.join(format!("{}.{ending}", report.stem())))
}

fn unencoded(error: serde_json::Error) -> Error {
    Error::new(Kind::Internal, "the report as JSON").with_source(error)
}

/// Whether a cutover stands, for who only looks while a daemon may hold the store.
///
/// # Errors
/// `Store` where it cannot be told.
pub fn stands_cut_over(state: &Path) -> Result<bool> {
    match mirrored(state) {
        Ok(Some((checkpoint, _))) => is_cut_over(&checkpoint),
        // The files beside it tell.
        Ok(None) | Err(_) => Ok(left_cut_over(state)?.is_some()),
    }
}

/// Which file beside a store that cannot be read says that a cutover was made, or may have been, and was not taken back.
///
/// # Errors
/// `Store` where that cannot be told.
pub fn left_cut_over(state: &Path) -> Result<Option<String>> {
    let (mut made, mut sealed, mut reopened) = (false, false, 0);
    for entry in audit_log(state)? {
        match entry.action.as_str() {
            MADE => made = true,
            // Where nothing follows, nobody has noted how it ended.
            SEALED => sealed = true,
            REFUSED | GIVEN_UP | FAILED => sealed = false,
            REOPENED => (made, sealed, reopened) = (false, false, entry.at_unix_ms),
            _ => {}
        }
    }
    if made || sealed {
        return Ok(Some("audit.log".to_owned()));
    }
    let failed =
        |e| Error::new(Kind::Store, format!("the directory {}", state.display())).with_source(e);
    let files = match std::fs::read_dir(state) {
        Ok(files) => files,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    for file in files {
        let name = file.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("cutover-") && name.ends_with(".json") {
            let text = std::fs::read(state.join(&*name)).map_err(failed)?;
            // One that cannot be read was written for a cutover all the same.
            let made = serde_json::from_slice::<Sealed>(&text)
                .map_or(u64::MAX, |sealed| sealed.report.times.cut_over);
            if made > reopened {
                return Ok(Some(name.into_owned()));
            }
        }
    }
    Ok(None)
}

/// The standing after a cutover was taken back.
pub fn reopened(standing: Option<Standing>) -> Result<Standing> {
    match standing {
        Some(standing) if standing.state == State::CutOver => Ok(Standing {
            serial: standing.serial + 1,
            state: State::Reopened,
            at_unix_ms: now_unix_ms(),
            // Every commit from now on writes this; the report's file has it whole.
            report: Report {
                gates: Vec::new(),
                audit: Vec::new(),
                ..standing.report
            },
        }),
        _ => Err(not_cut_over()),
    }
}

/// Takes the cutover in the store back; no committer may be running.
pub async fn reopen_stored(store: &Arc<Store>) -> Result<()> {
    let store = Arc::clone(store);
    blocking(move || {
        let Loaded::Found(mut checkpoint) = store.load() else {
            return Err(not_cut_over());
        };
        let standing = reopened(fact_of(&checkpoint, FACT)?)?;
        set_fact(&mut checkpoint, FACT, Some(&standing))?;
        store.commit(&checkpoint, &[])
    })
    .await
}

/// Where the joins' state has a checkpoint of its own: the newer of both standings is in `checkpoint` afterwards. A cutover
/// is taken back in the store alone, and may have been made in the joins' state alone.
pub fn newer_standing(checkpoint: &mut Checkpoint, stored: Option<&Checkpoint>) -> Result<()> {
    let Some(stored) = stored else {
        return Ok(());
    };
    let standing: Option<Standing> = fact_of(stored, FACT)?;
    let known: Option<Standing> = fact_of(checkpoint, FACT)?;
    let serial = |standing: &Option<Standing>| standing.as_ref().map_or(0, |s| s.serial);
    if serial(&standing) > serial(&known) {
        set_fact(checkpoint, FACT, standing.as_ref())?;
    }
    Ok(())
}

/// Whether nothing may be written.
///
/// # Errors
/// `Store` where it cannot be told.
pub fn is_cut_over(checkpoint: &Checkpoint) -> Result<bool> {
    let standing: Option<Standing> = fact_of(checkpoint, FACT)?;
    Ok(standing.is_some_and(|standing| standing.state == State::CutOver))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Lineage;
    use crate::position::Position;

    fn checkpoint(serial: u64, state: State) -> Checkpoint {
        let lineage = Lineage {
            server_uuid: String::new(),
        };
        let mut checkpoint = Checkpoint::new(Position::default(), lineage, "plan");
        let standing = Standing {
            serial,
            state,
            at_unix_ms: 1,
            report: Report::default(),
        };
        set_fact(&mut checkpoint, FACT, Some(&standing)).expect("set");
        checkpoint
    }

    #[test]
    fn the_newer_standing_counts_whichever_store_has_it() {
        let cases = [
            // Made in the joins' state, and the crash came before the store followed.
            ((1, State::CutOver), None, true),
            ((3, State::CutOver), Some((2, State::Reopened)), true),
            // Taken back at rest: the joins' state still says that it is made.
            ((1, State::CutOver), Some((2, State::Reopened)), false),
            ((2, State::Reopened), Some((1, State::CutOver)), false),
        ];
        for ((serial, state), stored, cut_over) in cases {
            let mut authoritative = checkpoint(serial, state);
            let stored = stored.map(|(serial, state)| checkpoint(serial, state));
            newer_standing(&mut authoritative, stored.as_ref()).expect("read");
            assert_eq!(is_cut_over(&authoritative).expect("read"), cut_over);
        }
    }

    #[test]
    fn a_standing_that_cannot_be_read_is_no_licence_to_write() {
        let mut broken = checkpoint(1, State::CutOver);
        set_fact(&mut broken, FACT, Some(&"another shape")).expect("set");
        assert_eq!(is_cut_over(&broken).expect_err("no").kind(), Kind::Store);
    }

    #[tokio::test]
    async fn what_is_taken_back_is_counted_and_only_what_was_made_is() {
        let dir = tempfile::tempdir().expect("a directory");
        let (store, _) = Store::open(dir.path()).expect("the store");
        let store = Arc::new(store);
        let none = reopen_stored(&store).await.expect_err("nothing is made");
        assert_eq!(none.kind(), Kind::Usage);
        store
            .commit(&checkpoint(4, State::CutOver), &[])
            .expect("committed");
        reopen_stored(&store).await.expect("taken back");
        let Loaded::Found(found) = store.load() else {
            panic!("the checkpoint is gone");
        };
        let standing: Option<Standing> = fact_of(&found, FACT).expect("read");
        let standing = standing.expect("a standing");
        assert_eq!((standing.serial, standing.state), (5, State::Reopened));
        let again = reopen_stored(&store).await.expect_err("it is taken back");
        assert_eq!(again.kind(), Kind::Usage);
    }

    #[tokio::test]
    async fn a_report_that_a_crash_kept_from_disk_is_written_at_the_next_start() {
        let dir = tempfile::tempdir().expect("a directory");
        let (store, _) = Store::open(dir.path()).expect("the store");
        let store = Arc::new(store);
        let report = Report {
            by: "ana (uid 7)".to_owned(),
            ..Report::default()
        };
        let noted = |store: &Store| store.audit_log().expect("the log").len();
        for _ in 0..2 {
            let outcome = file_again(&store, dir.path(), report.clone())
                .await
                .expect("written");
            let Outcome::CutOver { files, .. } = outcome else {
                panic!("{outcome:?}");
            };
            assert!(
                files.iter().all(|file| Path::new(file).exists()),
                "{files:?}"
            );
        }
        let log = store.audit_log().expect("the log");
        assert_eq!(log.len(), 1, "it is noted once: {log:?}");
        assert_eq!(
            (log[0].action.as_str(), log[0].who.as_str()),
            (MADE, "ana (uid 7)")
        );
        // The crash came after the files, and before the line.
        std::fs::remove_file(dir.path().join("audit.log")).expect("removed");
        let again = file_again(&store, dir.path(), report).await;
        again.expect("written");
        assert_eq!(noted(&store), 1);
    }

    #[tokio::test]
    async fn what_lies_beside_an_unreadable_store_tells_whether_it_was_cut_over() {
        let dir = tempfile::tempdir().expect("a directory");
        let (store, _) = Store::open(dir.path()).expect("the store");
        let store = Arc::new(store);
        let left = || left_cut_over(dir.path()).expect("read");
        let note = |action: &str| store.audit_by("ana", action, "").expect("noted");
        assert_eq!(left(), None);
        for (action, says) in [
            ("cutover: begun", false),
            (SEALED, true),
            (REFUSED, false),
            (SEALED, true),
            (UNSURE, true),
            (REOPENED, false),
            (MADE, true),
            (REFUSED, true),
            (REOPENED, false),
        ] {
            note(action);
            assert_eq!(left().is_some(), says, "{action}");
        }
        // The report alone, of a cutover that came after the last reopening.
        let mut report = Report::default();
        report.times.cut_over = now_unix_ms() + 1;
        write(dir.path().to_path_buf(), report.clone())
            .await
            .expect("written");
        let name = format!("{}.json", report.stem());
        assert_eq!(left(), Some(name.clone()));
        std::fs::remove_file(dir.path().join("audit.log")).expect("removed");
        assert_eq!(left(), Some(name.clone()));
        std::fs::write(dir.path().join(&name), "torn").expect("written");
        assert_eq!(left(), Some(name));
        // While the store can be read, it decides.
        store
            .commit(&checkpoint(2, State::Reopened), &[])
            .expect("committed");
        assert!(!stands_cut_over(dir.path()).expect("told"));
        store
            .commit(&checkpoint(3, State::CutOver), &[])
            .expect("committed");
        assert!(stands_cut_over(dir.path()).expect("told"));
    }
}
