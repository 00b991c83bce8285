use super::*;

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
        entry(2_000, COPIED, "7 rows of 1 tables"),
        // Everything was copied again, and later one table once more.
        entry(10_000, COPY_BEGUN, ""),
        entry(14_500, COPIED, "8 rows of 1 tables"),
        entry(90_000, COPIED, "9 rows of 1 tables"),
    ];
    let of = |audit: &[AuditEntry]| stages(audit, &Migration::default(), None);
    let copy = &of(&audit)[0];
    assert_eq!(
        (copy.begun_unix_ms, copy.seconds),
        (Some(10_000), Some(4.5))
    );
    assert_eq!(copy.detail, "8 rows of 1 tables");
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
    assert!(text.contains("|  | a \\| b | c d |"), "{text}");
}
