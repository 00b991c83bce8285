use super::*;
use crate::checkpoint::{Lineage, TableProgress};

fn entry(at_unix_ms: u64, action: &str, detail: &str) -> AuditEntry {
    AuditEntry {
        at_unix_ms,
        who: String::new(),
        action: action.to_owned(),
        detail: detail.to_owned(),
    }
}

#[test]
fn a_stage_begins_with_the_last_copy_and_what_is_not_known_is_not_guessed() {
    let audit = [
        entry(1_000, COPY_BEGUN, ""),
        entry(2_000, COPIED, "7 rows of 1 table"),
        // Everything was copied again, and later one table once more.
        entry(10_000, COPY_BEGUN, ""),
        entry(14_500, COPIED, "8 rows of 1 table"),
        entry(90_000, COPIED, "9 rows of 1 table"),
    ];
    let of = |audit: &[AuditEntry]| stages(audit, &Migration::default(), None);
    let copy = &of(&audit)[0];
    assert_eq!(
        (copy.begun_unix_ms, copy.seconds),
        (Some(10_000), Some(4.5))
    );
    assert_eq!(copy.detail, "8 rows of 1 table");
    let running = &of(&audit)[1];
    assert_eq!(
        (running.begun_unix_ms, running.seconds),
        (Some(14_500), None)
    );
    let unknown = &of(&[])[0];
    assert_eq!((unknown.begun_unix_ms, unknown.seconds), (None, None));
    let text = markdown(&Migration {
        stages: of(&[]),
        ..Migration::default()
    });
    assert!(
        text.contains("| copy | not known | not known |  |"),
        "{text}"
    );
}

#[test]
fn nothing_gets_out_of_its_cell() {
    let migration = Migration {
        audit: vec![entry(0, "a | b", "c\nd")],
        ..Migration::default()
    };
    let text = markdown(&migration);
    assert!(text.contains("| penstock | a \\| b | c d |"), "{text}");
}

#[test]
fn one_is_one() {
    let mut checkpoint = Checkpoint::new(
        crate::position::Position::default(),
        Lineage {
            server_uuid: String::new(),
        },
        "",
    );
    checkpoint.snapshot = vec![TableProgress::pending("shop", "orders")];
    checkpoint.snapshot[0].rows = 1;
    assert_eq!(copied(&checkpoint), "1 row of 1 table");
    checkpoint
        .snapshot
        .push(TableProgress::pending("shop", "lines"));
    checkpoint.snapshot[1].rows = 4;
    assert_eq!(copied(&checkpoint), "5 rows of 2 tables");
}

/// The list for a target, whose state is in `/var/lib/penstock`.
fn cleanups(target: &str, gates: Option<&[Gate]>) -> Vec<Cleanup> {
    let text = format!(
        "[source]\nhost = \"h\"\nuser = \"u\"\ndatabase = \"d\"\n[target]\n{target}\n\
         [contract]\npath = \"c.json\"\n[state]\npath = \"/var/lib/penstock\"\n"
    );
    let loaded = crate::config::parse(Path::new("penstock.toml"), &text, &|_| None);
    let settings = loaded.expect("settings").settings;
    cleanup::list(&settings, &settings.state, gates)
}

/// The place of the line that says so; it must be the only one.
fn place(list: &[Cleanup], says: &str) -> usize {
    let found: Vec<_> = (0..list.len())
        .filter(|at| list[*at].how.contains(says))
        .collect();
    assert_eq!(found.len(), 1, "{says}: {list:#?}");
    found[0]
}

#[test]
fn what_is_to_be_kept_is_kept_before_it_goes() {
    let list = cleanups("region = \"eu-central-1\"", None);
    let keep = place(&list, "/var/lib/penstock/audit.log");
    assert!(
        list[keep].how.contains("/var/lib/penstock/reports"),
        "{list:#?}"
    );
    assert_eq!(keep, place(&list, "cutover-*.json"));
    let order = [
        place(&list, "--reopen"),
        keep,
        place(&list, "systemctl disable --now penstock"),
        place(&list, "DROP USER"),
        place(&list, "remove /var/lib/penstock:"),
        place(&list, "apt purge penstock"),
        place(&list, "shred -u /etc/penstock/mysql-password"),
    ];
    assert!(order.is_sorted(), "{order:?}: {list:#?}");
    let purge = &list[place(&list, "apt purge penstock")];
    assert!(purge.how.contains("deletes /var/lib/penstock"), "{purge:?}");
}

#[test]
fn data_that_lie_in_the_state_directory_are_never_purged() {
    let list = cleanups("endpoint = \"embedded\"", None);
    for line in &list {
        let how = &line.how;
        assert!(
            !how.contains("apt purge") && !how.contains("remove /var"),
            "{line:?}"
        );
    }
    let order = [
        place(&list, "/var/lib/penstock/audit.log"),
        place(&list, "penstock serves it"),
        place(&list, "systemctl disable --now penstock"),
        place(&list, "/var/lib/penstock stays"),
        place(&list, "apt remove penstock"),
        place(&list, "shred -u"),
    ];
    assert!(order.is_sorted(), "{order:?}: {list:#?}");
}

#[test]
fn read_only_is_what_the_cutover_found() {
    let gate = |name: &str, reason: &str| Gate {
        name: name.to_owned(),
        open: true,
        reason: reason.to_owned(),
        remedy: None,
        figure: None,
        threshold: None,
    };
    let of = |gates: Option<&[Gate]>| {
        let list = cleanups("region = \"eu-central-1\"", gates);
        list[place(&list, "super_read_only = ON")].how.clone()
    };
    let asked = [
        gate("stream", "it runs"),
        gate("read_only", "super_read_only is ON"),
    ];
    assert!(
        of(Some(&asked)).starts_with("it stays as the cutover found it (super_read_only is ON)")
    );
    assert!(of(Some(&asked[..1])).starts_with("the cutover did not ask for it"));
    assert!(of(None).starts_with("after the cutover"));
}
