//! What is asked of the view thread beside the stream: watches, rows that were read again, extra items, pauses.

use super::*;

/// Whoever compares both sides reads MySQL after this, and so sees what was written before the watch was opened.
#[test]
fn a_watch_names_what_the_stream_has_brought_and_sees_what_it_writes_from_then_on() {
    let mut rig = Rig::new(TableState::Done);
    rig.transaction(types::WRITE_ROWS, &[[1, 10, 0]]);
    rig.begin();
    rig.rows(types::WRITE_ROWS, &[[2, 20, 0]]);
    let watch = rig.watch();
    assert_eq!(watch.received, upto(2), "the transaction at hand included");
    rig.rows(types::DELETE_ROWS, &[[3, 30, 0]]);
    rig.commit();
    // Another key: both items are written.
    rig.transaction(types::UPDATE_ROWS, &[[4, 40, 0], [5, 40, 0]]);
    // Nothing that is mapped changes: nothing is written.
    rig.transaction(types::UPDATE_ROWS, &[[6, 60, 0], [6, 60, 1]]);
    let touched = [1, 2, 3, 4, 5, 6].map(|id| watch.is_touched(TARGET, &item_key(id)));
    assert_eq!(touched, [false, false, true, true, true, false]);
}

/// A chunk's rows are written like any others.
#[test]
fn a_watch_sees_the_rows_of_chunks() {
    let mut rig = Rig::new(TableState::Pending);
    let window = rig.open();
    let watch = rig.watch();
    drop(rig.chunk(&window, &[[1, 10]], 0));
    assert!(watch.is_touched(TARGET, &item_key(1)) && !watch.is_touched(TARGET, &item_key(2)));
}

#[test]
fn the_view_thread_answers_when_the_snapshot_is_complete_until_it_ends() {
    let Rig { stage, runtime, .. } = Rig::new(TableState::Done);
    let shared = Arc::clone(&stage.shared);
    let ends = shared.stage.take_ends().expect("the ends");
    let (items, stream) = crossbeam_channel::bounded(1);
    let (stop, stopped) = crossbeam_channel::bounded(1);
    let view = std::thread::spawn(move || stage.run(&stream, &ends, &stopped));
    let watch = runtime.block_on(shared.stage.watch()).expect("a watch");
    assert_eq!(watch.received, upto(0));
    stop.send(()).expect("the thread runs");
    view.join().expect("its end").expect("no error");
    let ended = runtime.block_on(shared.stage.watch());
    assert_eq!(ended.err().map(|e| e.kind()), Some(Kind::Interrupted));
    drop(items);
}

/// A repair is a chunk: the row that was read is older than what the stream has written meanwhile.
#[test]
fn rows_that_are_read_again_are_dropped_where_the_stream_has_touched_them() {
    let mut rig = Rig::new(TableState::Done);
    let window = rig.open();
    rig.transaction(types::UPDATE_ROWS, &[[1, 10, 0], [1, 11, 0]]);
    rig.transaction(types::DELETE_ROWS, &[[2, 20, 0]]);
    let mut answer = rig.reread(&window, &[1, 2, 3], &[[1, 10], [2, 20], [3, 30]], 0);
    let settled = answer.try_recv().expect("an answer");
    assert!(matches!(settled, Settling::Taken(_)), "{settled:?}");
    assert_eq!(rig.items(), BTreeMap::from([(1, 11), (3, 30)]));
}

/// What touched the row may have changed nothing that is mapped: the stream's word for it has to be written then.
#[test]
fn while_a_row_is_read_again_nothing_of_its_table_is_suppressed() {
    let mut rig = Rig::new(TableState::Done);
    let window = rig.open();
    rig.transaction(types::UPDATE_ROWS, &[[1, 10, 0], [1, 10, 7]]);
    drop(rig.reread(&window, &[1], &[[1, 10]], 1));
    // And afterwards it is again.
    rig.transaction(types::UPDATE_ROWS, &[[2, 20, 0], [2, 20, 7]]);
    assert_eq!(rig.end(), (BTreeMap::from([(1, 10)]), 1));
}

#[test]
fn rows_that_are_read_again_wait_until_the_stream_has_passed_what_they_saw() {
    let mut rig = Rig::new(TableState::Done);
    let window = rig.open();
    let mut answer = rig.reread(&window, &[1, 2], &[[1, 10], [2, 20]], 1);
    assert!(answer.try_recv().is_err());
    rig.begin();
    rig.rows(types::DELETE_ROWS, &[[1, 10, 0]]);
    assert!(answer.try_recv().is_err());
    rig.commit();
    assert!(answer.try_recv().is_ok());
    assert_eq!(rig.items(), BTreeMap::from([(2, 20)]));
}

/// The row of a dead letter is gone: nothing is written, and nobody asks for it any more.
#[test]
fn a_row_that_is_read_again_and_gone_has_no_dead_letter() {
    let mut rig = Rig::new(TableState::Done);
    let origin = crate::pipeline::Origin {
        projection: plan::ProjectionId(0),
        source_key: "7".into(),
    };
    assert!(
        rig.stage
            .out
            .deaths
            .died(&origin, "too large", String::new())
    );
    assert!(matches!(
        rig.letters.try_recv(),
        Ok(DeadLetterChange::Put(_))
    ));
    let window = rig.open();
    drop(rig.reread(&window, &[7], &[], 0));
    assert!(matches!(
        rig.letters.try_recv(),
        Ok(DeadLetterChange::Clear { .. })
    ));
    assert_eq!(rig.end(), (BTreeMap::new(), 0));
}

/// Deletes of extra items obey the same rule: what was written since somebody looked stays.
#[test]
fn an_extra_item_is_deleted_unless_it_was_written_since_somebody_looked() {
    let mut rig = Rig::new(TableState::Done);
    rig.transaction(types::WRITE_ROWS, &[[1, 10, 0], [2, 20, 0], [3, 30, 0]]);
    let watch = Arc::new(rig.watch());
    rig.begin();
    rig.rows(types::UPDATE_ROWS, &[[2, 20, 0], [2, 21, 0]]);
    let mut answer = rig.remove(&[1, 2], &watch);
    assert!(answer.try_recv().is_err(), "in the middle of a transaction");
    rig.commit();
    let (removed, _) = answer.try_recv().expect("an answer");
    assert_eq!((removed.deleted, removed.touched), (1, 1));
    assert_eq!(rig.items(), BTreeMap::from([(2, 21), (3, 30)]));
}

/// A pause begins between transactions, and then nothing is written.
#[test]
fn a_pause_lets_the_transaction_at_hand_end_and_holds_what_comes_after_it() {
    let mut rig = Rig::new(TableState::Pending);
    let window = rig.open();
    let held = rig.stage.shared.pause.holds();
    rig.begin();
    rig.rows(types::WRITE_ROWS, &[[1, 10, 0]]);
    let (reply, mut answer) = oneshot::channel();
    assert!(
        rig.stage
            .request(requests::Request::Pause { reply })
            .expect("a pause")
    );
    assert!(!rig.stage.holds() && answer.try_recv().is_err() && !*held.borrow());
    rig.rows(types::WRITE_ROWS, &[[2, 20, 0]]);
    rig.commit();
    assert!(rig.stage.holds() && answer.try_recv().is_ok() && *held.borrow());
    let mut chunk = rig.chunk(&window, &[[3, 30]], 1);
    assert!(chunk.try_recv().is_err());
    assert!(
        rig.stage
            .request(requests::Request::Resume)
            .expect("the end")
    );
    assert!(!*held.borrow());
    assert_eq!(chunk.try_recv().expect("an answer"), Emitted::Accepted);
    rig.transaction(types::DELETE_ROWS, &[[1, 10, 0]]);
    assert_eq!(rig.items(), BTreeMap::from([(2, 20), (3, 30)]));
}
