//! Ranges are handed out until every table is read, and that is durable.

use super::*;

fn progress(sources: &[u16], together: &[u16]) -> Progress {
    let tables = sources.iter().map(|source| {
        let table = TableProgress::pending("shop", format!("t{source}"));
        (SourceId(*source), table)
    });
    let group: Vec<SourceId> = together.iter().copied().map(SourceId).collect();
    let groups = sources
        .iter()
        .map(|source| match together.contains(source) {
            true => group.clone(),
            false => Vec::new(),
        });
    let order = CopyOrder {
        after: Vec::new(),
        together: groups.collect(),
    };
    Progress::new(tables.collect(), 4).in_order(order)
}

/// Reads the next table whole, in one range.
fn read(progress: &Progress) -> SourceId {
    let Work::Bound { source, .. } = progress.next() else {
        panic!("no table to read");
    };
    let assignment = progress.hand_out(source, None).expect("its range");
    progress.done(source, assignment.range_id, 1);
    source
}

#[test]
fn a_table_that_begins_again_before_it_is_committed_is_read_again() {
    let progress = progress(&[0], &[0]);
    let source = read(&progress);
    assert!(matches!(progress.next(), Work::Wait), "it is not durable");
    assert_eq!(progress.begin_again(&[source]), Some(1));
    progress.committed();
    assert!(!progress.is_complete(source));
    assert_eq!(read(&progress), source);
    progress.committed();
    assert!(matches!(progress.next(), Work::Done));
    // Who comes too late finds it complete, and follows the cascade instead.
    assert_eq!(progress.begin_again(&[source]), None);
    assert!(matches!(progress.next(), Work::Done));
}

#[test]
fn a_table_is_settled_when_those_that_are_copied_together_with_it_are_complete() {
    let progress = progress(&[0, 1, 2], &[0, 1]);
    let first = read(&progress);
    progress.committed();
    assert!(progress.is_complete(first) && !progress.is_settled(first));
    read(&progress);
    progress.committed();
    assert!(progress.is_settled(SourceId(0)) && progress.is_settled(SourceId(1)));
    assert_eq!(progress.begin_again(&[SourceId(0), SourceId(1)]), None);
}

#[test]
fn a_complete_table_is_not_when_it_is_copied_again_with_another() {
    let progress = progress(&[0, 1], &[0, 1]);
    let first = read(&progress);
    progress.committed();
    assert_eq!(progress.begin_again(&[SourceId(0), SourceId(1)]), Some(1));
    assert!(!progress.is_complete(first));
    read(&progress);
    read(&progress);
    progress.committed();
    assert!(progress.all_complete());
}
