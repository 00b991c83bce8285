//! The view stage, driven by hand-made events and requests: the interleavings that a live server shows once in a while.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::checkpoint::{Checkpoint, DeadLetterChange, Lineage, Range, TableProgress, TableState};
use crate::contract;
use crate::daemon::deaths::Letters;
use crate::daemon::requests::{self, Extras, Removed, Reread, Settling};
use crate::daemon::touches::Watch;
use crate::pipeline::{self, Action, Batch, Fate, Key, Outcome as Written, Writer};
use crate::plan::{self, Mapping, TargetId};
use crate::position::Position;
use crate::schema::{Catalog, Column, ColumnType, Generated, Table, TableName};
use crate::source::decode::Checksum;
use crate::source::decode::event::types;
use crate::source::snapshot::{Assignment, Emitted, Opened, Request};

#[path = "asked.rs"]
mod asked;

const SOURCE: SourceId = SourceId(0);
const TARGET: TargetId = TargetId(0);

/// What DynamoDB holds: the key's JSON and the item's.
type Items = BTreeMap<String, String>;

/// A DynamoDB that takes everything, and counts.
#[derive(Default)]
struct Recorder {
    items: Mutex<Items>,
    puts: Mutex<u64>,
}

impl Writer for Recorder {
    async fn write(&self, batch: &Batch) -> Result<Written> {
        let mut items = self.items.lock().expect("the items");
        for write in &batch.writes {
            let key = String::from_utf8_lossy(&write.key.0).into_owned();
            match &write.action {
                Action::Put { item, .. } => {
                    *self.puts.lock().expect("the count") += 1;
                    items.insert(key, String::from_utf8_lossy(item).into_owned());
                }
                Action::Delete => {
                    items.remove(&key);
                }
            }
        }
        Ok(Written::all(batch, &Fate::Written, None))
    }
}

/// A stage over `things (id INT PRIMARY KEY, v INT, u INT)`, of which `u` is not mapped.
struct Rig {
    stage: Stage,
    durable: pipeline::Progress<Completion>,
    letters: mpsc::Receiver<DeadLetterChange>,
    recorder: Arc<Recorder>,
    runtime: Runtime,
    next: u64,
}

impl Rig {
    fn new(state: TableState) -> Rig {
        let plan = Arc::new(plan_of_things());
        let progress = TableProgress {
            state,
            ..TableProgress::pending("shop", "things")
        };
        let progress = Arc::new(Progress::new(vec![(SOURCE, progress)], 4));
        let lineage = Lineage {
            server_uuid: String::new(),
        };
        let checkpoint = Checkpoint::new(Position::default(), lineage, "");
        let shared = Shared::new(Arc::clone(&plan), progress, &checkpoint, 0);
        let (out, letters) = mpsc::channel(64);
        let runtime = Runtime::new().expect("a runtime");
        let recorder = Arc::new(Recorder::default());
        let (feed, durable) = pipeline::start(
            pipeline::Options::default(),
            Arc::clone(&recorder),
            runtime.handle(),
        );
        let deaths = Deaths::new(Letters::new(plan), out);
        let stage = Stage::new(feed, GtidSet::default(), deaths, Arc::new(shared), None)
            .expect("a plan that fits");
        Rig {
            stage,
            durable,
            letters,
            recorder,
            runtime,
            next: 1,
        }
    }

    fn give(&mut self, item: StreamItem) {
        assert!(self.stage.stream_item(item).expect("the item passes"));
    }

    fn begin(&mut self) {
        let gtid = gtid(self.next);
        self.give(StreamItem::Begin {
            gtid,
            committed_at_micros: 1,
        });
    }

    fn rows(&mut self, code: u8, images: &[[i32; 3]]) {
        let item = rows(code, images);
        self.give(item);
    }

    fn commit(&mut self) {
        self.give(StreamItem::Commit {
            gtid: gtid(self.next),
            file: "binlog.000001".into(),
            offset: 100 * self.next,
            committed_at_micros: 1,
            bytes: 1,
        });
        self.next += 1;
    }

    fn transaction(&mut self, code: u8, images: &[[i32; 3]]) {
        self.begin();
        self.rows(code, images);
        self.commit();
    }

    fn open(&mut self) -> Opened {
        let (reply, answer) = oneshot::channel();
        let request = Request::Open {
            source: SOURCE,
            reply,
        };
        assert!(self.stage.chunk(request).expect("a window"));
        answer.blocking_recv().expect("an answer")
    }

    fn watch(&mut self) -> Watch {
        let (reply, answer) = oneshot::channel();
        let watch = requests::Request::Watch { reply };
        assert!(self.stage.request(watch).expect("a watch"));
        answer.blocking_recv().expect("an answer")
    }

    /// Hands over what a SELECT of the rows `asked` for gave when `high` was the newest transaction executed.
    fn reread(
        &mut self,
        window: &Opened,
        asked: &[i32],
        rows: &[[i32; 2]],
        high: u64,
    ) -> oneshot::Receiver<Settling> {
        let (reply, answer) = oneshot::channel();
        let row = |row: &[i32; 2]| {
            let cells = row.iter().map(|n| Some(n.to_string().into()));
            (SOURCE, cells.collect())
        };
        let items: Vec<Arc<str>> = asked.iter().map(|id| id.to_string().into()).collect();
        let request = requests::Request::Reread(Reread {
            projection: Some(plan::ProjectionId(0)),
            asked: items
                .iter()
                .map(|name| (SOURCE, Arc::clone(name)))
                .collect(),
            items,
            windows: vec![window.window],
            rows: rows.iter().map(row).collect(),
            high: upto(high),
            reply,
        });
        assert!(self.stage.request(request).expect("the rows are taken"));
        answer
    }

    fn remove(
        &mut self,
        ids: &[u32],
        watch: &Arc<Watch>,
    ) -> oneshot::Receiver<(Removed, Sequence)> {
        let (reply, answer) = oneshot::channel();
        let request = requests::Request::Remove(Extras {
            items: ids.iter().map(|id| (TARGET, item_key(*id))).collect(),
            watch: Arc::clone(watch),
            reply,
        });
        assert!(self.stage.request(request).expect("the items are taken"));
        answer
    }

    /// Hands over what a SELECT gave when `high` was the newest transaction executed.
    fn chunk(
        &mut self,
        window: &Opened,
        rows: &[[i32; 2]],
        high: u64,
    ) -> oneshot::Receiver<Emitted> {
        let (reply, answer) = oneshot::channel();
        let row = |row: &[i32; 2]| row.iter().map(|n| Some(n.to_string().into())).collect();
        let request = Request::Chunk {
            window: window.window,
            assignment: Assignment {
                source: SOURCE,
                range_id: 0,
                range: Range {
                    after: None,
                    upto: None,
                },
                again: false,
            },
            rows: rows.iter().map(row).collect(),
            high: upto(high),
            reply,
        };
        assert!(self.stage.chunk(request).expect("the chunk is taken"));
        answer
    }

    /// The items once everything is durable, by id, and how many were put.
    fn end(self) -> (BTreeMap<i64, i64>, u64) {
        let Rig {
            stage,
            mut durable,
            recorder,
            runtime,
            ..
        } = self;
        drop(stage);
        runtime.block_on(async { while durable.next().await.expect("no error").is_some() {} });
        let items = recorder.items.lock().expect("the items");
        let number = |item: &serde_json::Value, name: &str| -> i64 {
            item[name]["N"]
                .as_str()
                .expect("a number")
                .parse()
                .expect("a number")
        };
        let items = items.values().map(|item| {
            let item: serde_json::Value = serde_json::from_str(item).expect("an item");
            (number(&item, "id"), number(&item, "v"))
        });
        let puts = *recorder.puts.lock().expect("the count");
        (items.collect(), puts)
    }

    fn items(self) -> BTreeMap<i64, i64> {
        self.end().0
    }
}

pub(in crate::daemon) fn plan_of_things() -> Plan {
    let column = |name: &str| Column {
        name: name.to_owned(),
        ty: ColumnType::Int {
            bytes: 4,
            unsigned: false,
            zerofill: None,
        },
        nullable: false,
        generated: Generated::No,
        invisible: false,
    };
    let table = Table {
        name: TableName::new("shop", "things"),
        columns: ["id", "v", "u"].map(column).into(),
        primary_key: vec![0],
        unique_keys: Vec::new(),
        foreign_keys: Vec::new(),
        estimated_rows: 0,
        engine: "InnoDB".to_owned(),
    };
    let catalog = Catalog {
        hides_cascades: false,
        tables: BTreeMap::from([(table.name.clone(), table)]),
    };
    let attribute = |name: &str| json!({"name": name, "type": "N", "source_table": "things", "source_column": name});
    let text = json!({"tables": [{
        "table": "Things", "type": "single-entity", "source_table": "things", "pk": "id", "sk": null,
        "attributes": [attribute("id"), attribute("v")],
    }]});
    let (contract, mut diagnostics) = contract::parse_bytes(text.to_string().as_bytes(), false);
    let contract = contract.expect("a contract");
    plan::compile(
        &contract,
        Some(&catalog),
        "shop",
        &Mapping::default(),
        &mut diagnostics,
    )
    .expect("a plan")
}

fn item_key(id: u32) -> Key {
    Key(format!("{{\"id\":{{\"N\":\"{id}\"}}}}").into())
}

fn gtid(number: u64) -> Gtid {
    Gtid {
        uuid: [0x11; 16],
        tag: None,
        number,
    }
}

/// Transactions 1 to `number`.
fn upto(number: u64) -> GtidSet {
    let mut set = GtidSet::default();
    for n in 1..=number {
        set.add(&gtid(n));
    }
    set
}

fn event(code: u8, body: &[u8]) -> Event {
    let mut bytes = vec![0; 4];
    bytes.push(code);
    bytes.extend_from_slice(&1u32.to_le_bytes());
    bytes.extend_from_slice(&(19 + body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 6]);
    bytes.extend_from_slice(body);
    Event::parse(Bytes::from(bytes), Checksum::None).expect("an event")
}

/// A table map without names, as with `binlog_row_metadata=MINIMAL`.
fn map(columns: u8) -> Arc<TableMap> {
    let mut body = vec![7, 0, 0, 0, 0, 0, 1, 0, 4];
    body.extend_from_slice(b"shop\0\x06things\0");
    body.push(columns);
    body.extend(std::iter::repeat_n(3, columns.into()));
    // No further metadata of the types, no column may be NULL, and all numbers are signed.
    body.extend_from_slice(&[0, 0, 1, 1, 0]);
    Arc::new(TableMap::parse(&event(types::TABLE_MAP, &body)).expect("a table map"))
}

/// A rows event; an update has before and after image in turn.
fn rows(code: u8, images: &[[i32; 3]]) -> StreamItem {
    let mut body = vec![7, 0, 0, 0, 0, 0, 1, 0, 2, 0, 3, 0b111];
    if code == types::UPDATE_ROWS {
        body.push(0b111);
    }
    for image in images {
        body.push(0);
        body.extend(image.iter().flat_map(|n| n.to_le_bytes()));
    }
    StreamItem::Rows {
        source: SOURCE,
        table: map(3),
        event: event(code, &body),
    }
}

/// A DELETE was streamed before the window opened, and a SELECT still sees the row: the worker must wait for it.
#[test]
fn what_was_received_before_the_window_has_to_be_visible() {
    let mut rig = Rig::new(TableState::Pending);
    rig.transaction(types::DELETE_ROWS, &[[1, 10, 0]]);
    assert_eq!(rig.open().received, upto(1));
}

/// The same with the transaction still coming in: its rows before the window's opening are recorded nowhere.
#[test]
fn a_transaction_under_way_when_the_window_opens_has_to_be_visible() {
    let mut rig = Rig::new(TableState::Pending);
    rig.begin();
    rig.rows(types::DELETE_ROWS, &[[1, 10, 0]]);
    assert_eq!(rig.open().received, upto(1));
    rig.commit();
}

#[test]
fn keys_touched_since_the_window_opened_are_the_streams() {
    let mut rig = Rig::new(TableState::Pending);
    let window = rig.open();
    rig.transaction(types::DELETE_ROWS, &[[1, 10, 0]]);
    // A primary key changes: neither row may come from the chunk.
    rig.transaction(types::UPDATE_ROWS, &[[2, 20, 0], [5, 20, 0]]);
    rig.transaction(types::WRITE_ROWS, &[[6, 60, 0]]);
    // What a SELECT saw before all that.
    let mut answer = rig.chunk(&window, &[[1, 10], [2, 20], [3, 30], [5, -1], [6, -1]], 0);
    assert_eq!(answer.try_recv().expect("an answer"), Emitted::Accepted);
    assert_eq!(rig.items(), BTreeMap::from([(3, 30), (5, 20), (6, 60)]));
}

#[test]
fn a_chunk_waits_until_the_stream_has_passed_its_high_watermark() {
    let mut rig = Rig::new(TableState::Pending);
    let window = rig.open();
    let mut answer = rig.chunk(&window, &[[1, 10], [2, 20]], 2);
    assert!(answer.try_recv().is_err());
    rig.transaction(types::WRITE_ROWS, &[[9, 90, 0]]);
    assert!(answer.try_recv().is_err());
    // The row was updated before the SELECT in MySQL, and the stream tells of it only now.
    rig.transaction(types::DELETE_ROWS, &[[1, 9, 0]]);
    assert_eq!(answer.try_recv().expect("an answer"), Emitted::Accepted);
    assert_eq!(rig.items(), BTreeMap::from([(2, 20), (9, 90)]));
}

/// In the middle of a transaction half of what it touches is not yet known.
#[test]
fn a_chunk_is_emitted_between_transactions_only() {
    let mut rig = Rig::new(TableState::Pending);
    let window = rig.open();
    rig.begin();
    rig.rows(types::DELETE_ROWS, &[[1, 10, 0]]);
    let mut answer = rig.chunk(&window, &[[1, 10], [2, 20]], 0);
    assert!(answer.try_recv().is_err());
    rig.rows(types::DELETE_ROWS, &[[2, 20, 0]]);
    rig.commit();
    assert_eq!(answer.try_recv().expect("an answer"), Emitted::Accepted);
    assert_eq!(rig.items(), BTreeMap::new());
}

/// The chunk drops a row that the stream touched; what touched it may have changed nothing that is mapped.
#[test]
fn before_a_table_is_complete_an_update_of_an_unmapped_column_writes_the_whole_item() {
    let mut rig = Rig::new(TableState::Copying);
    let window = rig.open();
    rig.transaction(types::UPDATE_ROWS, &[[1, 10, 0], [1, 10, 7]]);
    drop(rig.chunk(&window, &[[1, 10], [2, 20]], 1));
    assert_eq!(rig.items(), BTreeMap::from([(1, 10), (2, 20)]));
}

#[test]
fn once_a_table_is_complete_an_update_of_an_unmapped_column_writes_nothing() {
    let mut rig = Rig::new(TableState::Done);
    rig.transaction(types::UPDATE_ROWS, &[[1, 10, 0], [1, 10, 7]]);
    rig.transaction(types::UPDATE_ROWS, &[[2, 20, 0], [2, 21, 0]]);
    assert_eq!(rig.end(), (BTreeMap::from([(2, 21)]), 1));
}

/// More keys than a window may remember: its chunk is not written, and the stream's rows are.
#[test]
fn a_window_that_records_too_much_voids_its_chunk() {
    let mut rig = Rig::new(TableState::Pending);
    let window = rig.open();
    let images: Vec<[i32; 3]> = (0..1100).map(|id| [id, 1, 0]).collect();
    rig.transaction(types::WRITE_ROWS, &images);
    let mut answer = rig.chunk(&window, &[[1, 10], [5000, 20]], 1);
    assert_eq!(answer.try_recv().expect("an answer"), Emitted::Void);
    let items = rig.items();
    assert_eq!(
        (items.len(), items.get(&1), items.get(&5000)),
        (1100, Some(&1), None)
    );
}

/// A window of another worker on the same table records for itself.
#[test]
fn each_window_records_what_came_after_it_opened() {
    let mut rig = Rig::new(TableState::Pending);
    let first = rig.open();
    rig.transaction(types::DELETE_ROWS, &[[1, 10, 0]]);
    let second = rig.open();
    rig.transaction(types::DELETE_ROWS, &[[2, 20, 0]]);
    drop(rig.chunk(&first, &[[1, 10], [3, 30]], 0));
    drop(rig.chunk(&second, &[[2, 20], [4, 40]], 1));
    assert_eq!(rig.items(), BTreeMap::from([(3, 30), (4, 40)]));
}

/// A connection breaks within a transaction whose first half was written: the whole comes again.
#[test]
fn an_abandoned_transaction_comes_again() {
    let mut rig = Rig::new(TableState::Pending);
    let window = rig.open();
    rig.begin();
    rig.rows(types::WRITE_ROWS, &[[1, 10, 0], [2, 20, 0]]);
    rig.rows(types::UPDATE_ROWS, &[[2, 20, 0], [3, 20, 0]]);
    rig.give(StreamItem::Abandoned { gtid: gtid(1) });
    // Nothing of it is complete: neither the position nor a chunk may pass it.
    let mut answer = rig.chunk(&window, &[[1, 10]], 1);
    assert!(answer.try_recv().is_err());
    rig.begin();
    rig.rows(types::WRITE_ROWS, &[[1, 10, 0], [2, 20, 0]]);
    rig.rows(types::UPDATE_ROWS, &[[2, 20, 0], [3, 20, 0]]);
    rig.rows(types::DELETE_ROWS, &[[1, 10, 0]]);
    rig.commit();
    assert_eq!(answer.try_recv().expect("an answer"), Emitted::Accepted);
    assert_eq!(rig.items(), BTreeMap::from([(3, 20)]));
}

/// The half that was written can be taken back by nobody but its own transaction.
#[test]
fn an_abandoned_transaction_that_does_not_come_again_stops_the_stream() {
    let mut rig = Rig::new(TableState::Pending);
    rig.begin();
    rig.rows(types::WRITE_ROWS, &[[1, 10, 0]]);
    rig.give(StreamItem::Abandoned { gtid: gtid(1) });
    let other = StreamItem::Begin {
        gtid: gtid(2),
        committed_at_micros: 1,
    };
    let error = rig.stage.stream_item(other).expect_err("a refusal");
    assert_eq!(error.kind(), Kind::LineageDiffers);
}

/// Without names columns are found by their ordinals, which holds only while the table is the one of the catalog.
#[test]
fn a_table_map_without_names_and_with_another_number_of_columns_stops_the_stream() {
    for columns in [2, 4] {
        let mut rig = Rig::new(TableState::Done);
        rig.begin();
        let StreamItem::Rows { event, .. } = rows(types::WRITE_ROWS, &[[1, 10, 0]]) else {
            unreachable!("rows are rows");
        };
        let item = StreamItem::Rows {
            source: SOURCE,
            table: map(columns),
            event,
        };
        let error = rig.stage.stream_item(item).expect_err("a refusal");
        assert_eq!(error.kind(), Kind::TableChanged, "{columns} columns");
        assert!(rig.letters.try_recv().is_err());
    }
}

#[test]
fn so_many_dead_letters_are_not_remembered_and_are_cleared_all_the_same() {
    let (out, mut letters) = mpsc::channel(1000);
    let deaths = Deaths::new(Letters::new(Arc::new(plan_of_things())), out);
    let origin = |id: u32| crate::pipeline::Origin {
        projection: crate::plan::ProjectionId(0),
        source_key: id.to_string().into(),
    };
    let mut cleared = |id: u32| {
        assert!(deaths.cleared(&origin(id)));
        let mut changes = std::iter::from_fn(|| letters.try_recv().ok());
        changes.any(|change| matches!(change, DeadLetterChange::Clear { .. }))
    };
    let die = |ids: std::ops::Range<u32>| {
        for id in ids {
            assert!(deaths.died(&origin(id), "too large", String::new()));
        }
    };
    assert!(!cleared(7), "nobody has died");
    die(0..50);
    assert!(cleared(7) && !cleared(7) && !cleared(99));
    // More than are remembered.
    die(50..300);
    assert!(cleared(299) && cleared(20));
    assert!(cleared(9999), "what is not remembered may be there");
}
