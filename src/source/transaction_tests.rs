use super::*;
use crate::schema::TableName;

const UUID: [u8; 16] = [0x11; 16];

/// Makes events as a server would, with checksums.
struct Server {
    position: u32,
    events: Vec<Bytes>,
}

impl Server {
    fn new() -> Self {
        Self {
            position: 4,
            events: Vec::new(),
        }
    }

    fn frame(&mut self, code: u8, flags: u16, body: &[u8], checksum: bool) -> Vec<u8> {
        let length = 19 + body.len() as u32 + if checksum { 4 } else { 0 };
        let mut event = 1000u32.to_le_bytes().to_vec();
        event.push(code);
        event.extend_from_slice(&1u32.to_le_bytes());
        event.extend_from_slice(&length.to_le_bytes());
        self.position = self.position.wrapping_add(length);
        event.extend_from_slice(&(if checksum { self.position } else { 0 }).to_le_bytes());
        event.extend_from_slice(&flags.to_le_bytes());
        event.extend_from_slice(body);
        if checksum {
            let sum = crc32fast::hash(&event);
            event.extend_from_slice(&sum.to_le_bytes());
        }
        event
    }

    fn push(&mut self, code: u8, body: &[u8]) -> &mut Self {
        let event = self.frame(code, 0, body, true);
        self.events.push(event.into());
        self
    }

    fn gtid(&mut self, number: u64) -> &mut Self {
        let mut body = vec![0];
        body.extend_from_slice(&UUID);
        body.extend_from_slice(&number.to_le_bytes());
        body.push(2);
        body.extend_from_slice(&[0; 16]);
        body.extend_from_slice(&77u64.to_le_bytes()[..7]);
        self.push(types::GTID, &body)
    }

    fn query(&mut self, text: &str) -> &mut Self {
        let body = query_body(text);
        self.push(types::QUERY, &body)
    }

    fn map(&mut self, id: u8, table: &str) -> &mut Self {
        let body = map_body(id, table);
        self.push(types::TABLE_MAP, &body)
    }

    fn rows(&mut self, id: u8, length: usize) -> &mut Self {
        let body = rows_body(id, length);
        self.push(types::WRITE_ROWS, &body)
    }

    fn xid(&mut self) -> &mut Self {
        self.push(types::XID, &[0; 8])
    }

    /// An XA transaction of another table, prepared, or committed in one phase.
    fn xa(&mut self, number: u64, xid: &str, one_phase: bool) -> &mut Self {
        let mut body = [0; 13];
        body[0] = one_phase.into();
        self.gtid(number)
            .query(&format!("XA START {xid}"))
            .map(8, "other")
            .rows(8, 1)
            .query(&format!("XA END {xid}"))
            .push(types::XA_PREPARE, &body)
    }
}

fn query_body(text: &str) -> Vec<u8> {
    let mut body = vec![0; 8];
    body.push(4);
    body.extend_from_slice(&[0, 0, 0, 0]);
    body.extend_from_slice(b"shop\0");
    body.extend_from_slice(text.as_bytes());
    body
}

fn map_body(id: u8, table: &str) -> Vec<u8> {
    let mut body = vec![id, 0, 0, 0, 0, 0, 1, 0, 4];
    body.extend_from_slice(b"shop\0");
    body.push(table.len() as u8);
    body.extend_from_slice(table.as_bytes());
    // One column, INT, not null.
    body.extend_from_slice(&[0, 1, 3, 0, 0]);
    body
}

fn rows_body(id: u8, length: usize) -> Vec<u8> {
    let mut body = vec![id, 0, 0, 0, 0, 0, 1, 0, 2, 0, 1, 0xFF];
    body.resize(body.len() + length, 0);
    body
}

fn assembler() -> Assembler {
    let tables = Tables::new(vec![(TableName::new("shop", "orders"), SourceId(3))], false);
    Assembler::new(Arc::new(tables), Position::default())
}

fn run(assembler: &mut Assembler, server: &mut Server) -> (Vec<String>, Result<()>) {
    let mut items = Vec::new();
    let events = std::mem::take(&mut server.events);
    let result = events.into_iter().try_for_each(|event| {
        assembler.event(event, &mut |item| {
            items.push(show(&item));
            Ok(())
        })
    });
    (items, result)
}

fn show(item: &StreamItem) -> String {
    match item {
        StreamItem::Begin {
            gtid,
            committed_at_micros,
        } => format!("begin {} at {committed_at_micros}", gtid.number),
        StreamItem::Rows { source, table, .. } => format!("rows {} {}", source.0, table.table),
        StreamItem::Commit { gtid, .. } => format!("commit {}", gtid.number),
        StreamItem::Alive { file, offset, .. } => format!("alive {file}:{offset}"),
        StreamItem::Xa { xid, prepared } => {
            let verb = if *prepared { "prepared" } else { "ended" };
            format!("{verb} {xid}")
        }
        StreamItem::Abandoned { gtid } => format!("abandoned {}", gtid.number),
    }
}

fn fails(server: &mut Server) -> Kind {
    run(&mut assembler(), server)
        .1
        .expect_err("an error")
        .kind()
}

#[test]
fn a_transaction_is_given_at_its_commit_and_only_rows_of_the_plan() {
    let (mut server, mut assembler) = (Server::new(), assembler());
    server
        .gtid(1)
        .query("BEGIN")
        .map(7, "orders")
        .map(8, "other")
        .rows(7, 10)
        .rows(8, 10)
        .rows(7, 5);
    let (items, result) = run(&mut assembler, &mut server);
    assert!(items.is_empty() && result.is_ok());
    assert!(assembler.completed().is_empty());
    server.xid();
    let (items, _) = run(&mut assembler, &mut server);
    assert_eq!(
        items,
        [
            "begin 1 at 77",
            "rows 3 orders",
            "rows 3 orders",
            "commit 1"
        ]
    );
    assert_eq!(assembler.completed().count(), 1);
}

#[test]
fn a_break_costs_nothing_while_rows_are_held_and_is_told_when_they_streamed() {
    let (mut server, mut assembler) = (Server::new(), assembler());
    let mut items = Vec::new();
    server.gtid(1).query("BEGIN").map(7, "orders").rows(7, 10);
    assert!(run(&mut assembler, &mut server).0.is_empty());
    assembler
        .disconnected(&mut |item| {
            items.push(show(&item));
            Ok(())
        })
        .expect("ok");
    assert!(items.is_empty());
    server.gtid(1).query("BEGIN").map(7, "orders");
    (0..5).for_each(|_| {
        server.rows(7, 1 << 20);
    });
    let streamed = run(&mut assembler, &mut server).0;
    assert_eq!(streamed.len(), 1 + 5, "{streamed:?}");
    assembler
        .disconnected(&mut |item| {
            items.push(show(&item));
            Ok(())
        })
        .expect("ok");
    assert_eq!(items, ["abandoned 1"]);
    server
        .gtid(1)
        .query("BEGIN")
        .map(7, "orders")
        .rows(7, 1)
        .xid();
    assert_eq!(run(&mut assembler, &mut server).0.len(), 3);
}

#[test]
fn transactions_without_rows_of_the_plan_move_the_position() {
    let (mut server, mut assembler) = (Server::new(), assembler());
    server.gtid(1).query("CREATE TABLE x (a INT)");
    server
        .gtid(2)
        .query("BEGIN")
        .query("CREATE TABLE y (a INT) START TRANSACTION")
        .map(9, "y")
        .rows(9, 1)
        .xid();
    server
        .gtid(3)
        .query("BEGIN")
        .query("SAVEPOINT `s`")
        .query("COMMIT");
    let (items, result) = run(&mut assembler, &mut server);
    result.expect("ok");
    assert_eq!(
        items,
        [
            "begin 1 at 77",
            "commit 1",
            "begin 2 at 77",
            "commit 2",
            "begin 3 at 77",
            "commit 3"
        ]
    );
}

#[test]
fn statements_on_tables_of_the_contract_stop_the_stream() {
    let (mut server, mut assembler) = (Server::new(), assembler());
    server
        .gtid(1)
        .query("BEGIN")
        .map(7, "orders")
        .rows(7, 1)
        .xid()
        .gtid(2)
        .query("ALTER TABLE orders ADD x INT");
    let (items, result) = run(&mut assembler, &mut server);
    assert_eq!(items.len(), 3);
    let error = result.expect_err("stopped");
    assert_eq!(error.kind(), Kind::TableChanged);
    assert!(
        error.message().contains("ALTER TABLE names shop.orders"),
        "{error}"
    );
    assert_eq!(assembler.completed().count(), 1);
    assert_eq!(
        fails(
            Server::new()
                .gtid(1)
                .query("BEGIN")
                .query("INSERT INTO orders VALUES (1)")
        ),
        Kind::TableChanged
    );
}

#[test]
fn rollbacks_drop_what_was_held() {
    let (mut server, mut assembler) = (Server::new(), assembler());
    server
        .gtid(1)
        .query("BEGIN")
        .map(7, "orders")
        .rows(7, 1)
        .query("ROLLBACK");
    assert_eq!(
        run(&mut assembler, &mut server).0,
        ["begin 1 at 77", "commit 1"]
    );
    server.gtid(2).query("BEGIN").map(7, "orders");
    (0..5).for_each(|_| {
        server.rows(7, 1 << 20);
    });
    server.query("ROLLBACK");
    assert_eq!(
        run(&mut assembler, &mut server)
            .1
            .expect_err("streamed")
            .kind(),
        Kind::Unsupported
    );
    assert_eq!(
        fails(
            Server::new()
                .gtid(1)
                .query("BEGIN")
                .map(7, "orders")
                .rows(7, 1)
                .query("ROLLBACK TO `s`")
        ),
        Kind::Unsupported
    );
}

#[test]
fn xa_is_refused_where_it_matters() {
    let (mut server, mut assembler) = (Server::new(), assembler());
    server
        .gtid(1)
        .query("XA START X'01',X'',1")
        .map(8, "other")
        .rows(8, 1)
        .query("XA END X'01',X'',1")
        .push(types::XA_PREPARE, &[0; 13]);
    server.gtid(2).query("XA COMMIT X'01',X'',1");
    let (items, result) = run(&mut assembler, &mut server);
    result.expect("ok");
    // Whoever resumes between any two of these knows what may still end.
    let expected = [
        "prepared X'01',X'',1",
        "begin 1",
        "commit 1",
        "begin 2",
        "commit 2",
        "ended X'01',X'',1",
    ];
    let items = items.iter().filter_map(|item| item.split(" at ").next());
    assert_eq!(items.collect::<Vec<_>>(), expected);
    let (mut server, mut resumed) = (Server::new(), self::assembler());
    resumed = resumed.with_harmless_xids(["X'01',X'',1".to_owned()]);
    server.gtid(2).query("XA ROLLBACK X'01',X'',1");
    run(&mut resumed, &mut server).1.expect("ok");
    let mut ours = Server::new();
    ours.gtid(1)
        .query("XA START X'01',X'',1")
        .map(7, "orders")
        .rows(7, 1);
    assert_eq!(fails(&mut ours), Kind::Unsupported);
    assert_eq!(
        fails(Server::new().gtid(1).query("XA COMMIT X'01',X'',1")),
        Kind::Unsupported
    );
    assert_eq!(
        fails(Server::new().gtid(1).query("XA ROLLBACK X'01',X'',1")),
        Kind::Unsupported
    );
}

/// One phase: the same event with another first byte, and nothing that ends it.
#[test]
fn an_xa_commit_in_one_phase_is_not_remembered() {
    let (mut server, mut assembler) = (Server::new(), assembler());
    server.xa(1, "X'01',X'',1", true);
    let (items, result) = run(&mut assembler, &mut server);
    result.expect("ok");
    assert_eq!(items, ["begin 1 at 77", "commit 1"]);
    assert!(assembler.harmless_xids.is_empty());
    assert_eq!(assembler.completed().count(), 1);
    let mut ours = Server::new();
    ours.gtid(1)
        .query("XA START X'01',X'',1")
        .map(7, "orders")
        .rows(7, 1)
        .query("XA END X'01',X'',1")
        .push(types::XA_PREPARE, &[1; 13]);
    assert_eq!(fails(&mut ours), Kind::Unsupported);
    let mut empty = Server::new();
    empty.gtid(1).query("XA START X'01',X'',1");
    empty.push(types::XA_PREPARE, &[]);
    assert_eq!(fails(&mut empty), Kind::EventUnreadable);
}

/// Where more are prepared than are remembered, the newest may still end.
#[test]
fn of_too_many_prepared_xids_the_oldest_is_forgotten() {
    let (mut server, assembler) = (Server::new(), assembler());
    let many = (0..MAX_XIDS).map(|n| format!("X'{n:x}',X'',1"));
    let mut assembler = assembler.with_harmless_xids(many);
    server
        .xa(1, "X'01',X'',1", false)
        .xa(2, "X'ee',X'',1", false)
        .xa(3, "X'0f0f0f0f',X'',1", false);
    let newest = format!("X'{:x}',X'',1", MAX_XIDS - 1);
    for (number, xid) in [(4, "X'01',X'',1"), (5, newest.as_str()), (6, "X'2',X'',1")] {
        server.gtid(number).query(&format!("XA COMMIT {xid}"));
    }
    run(&mut assembler, &mut server).1.expect("known");
    server.gtid(7).query("XA COMMIT X'0',X'',1");
    let error = run(&mut assembler, &mut server).1.expect_err("forgotten");
    assert_eq!(error.kind(), Kind::Unsupported);
}

#[test]
fn what_is_not_understood_stops_the_stream() {
    assert_eq!(
        fails(Server::new().push(types::ANONYMOUS_GTID, &[0; 60])),
        Kind::SourceSettings
    );
    assert_eq!(
        fails(Server::new().push(types::INCIDENT, &[1, 0])),
        Kind::EventUnreadable
    );
    assert_eq!(fails(Server::new().push(99, &[])), Kind::EventUnreadable);
    assert_eq!(
        fails(Server::new().push(types::MARIADB_GTID, &[0; 19])),
        Kind::Unsupported
    );
    assert_eq!(
        fails(Server::new().gtid(1).query("BEGIN").rows(7, 1)),
        Kind::EventUnreadable
    );
    assert_eq!(fails(Server::new().gtid(1).gtid(2)), Kind::EventUnreadable);
    assert_eq!(fails(Server::new().gtid(0)), Kind::EventUnreadable);
    assert_eq!(fails(Server::new().xid()), Kind::EventUnreadable);
    assert_eq!(
        fails(Server::new().push(types::XID, &[0; 3])),
        Kind::EventUnreadable
    );
    let mut server = Server::new();
    let ignorable = server.frame(99, FLAG_IGNORABLE, b"x", true);
    server.events.push(ignorable.into());
    assert!(run(&mut assembler(), &mut server).1.is_ok());
    let mut broken = Server::new();
    broken.gtid(1);
    let mut bytes = broken.events[0].to_vec();
    bytes[30] ^= 1;
    broken.events[0] = bytes.into();
    assert_eq!(fails(&mut broken), Kind::EventUnreadable);
}

#[test]
fn rotations_and_offsets_beyond_4_gib() {
    let (mut server, mut assembler) = (Server::new(), assembler());
    let mut body = 4u64.to_le_bytes().to_vec();
    body.extend_from_slice(b"binlog.000009");
    server.push(types::ROTATE, &body);
    assert_eq!(
        run(&mut assembler, &mut server).0,
        ["alive binlog.000009:4"]
    );
    server.position = u32::MAX - 100;
    server.gtid(1).query("BEGIN").xid();
    server.gtid(2).query("BEGIN").xid();
    run(&mut assembler, &mut server).1.expect("ok");
    assert_eq!(assembler.offset, (1 << 32) + u64::from(server.position));
    server.push(types::HEARTBEAT, b"binlog.000009");
    run(&mut assembler, &mut server).1.expect("ok");
    assert!(assembler.offset >= 1 << 32, "a heartbeat does not go back");
}

fn compressed(server: &mut Server, with_end: bool) -> Vec<u8> {
    let mut inner = Server::new();
    let mut content = inner.frame(types::QUERY, 0, &query_body("BEGIN"), false);
    content.extend(inner.frame(types::TABLE_MAP, 0, &map_body(7, "orders"), false));
    content.extend(inner.frame(types::WRITE_ROWS, 0, &rows_body(7, 100), false));
    if with_end {
        content.extend(inner.frame(types::XID, 0, &[0; 8], false));
    }
    let packed = zstd::encode_all(&content[..], 3).expect("compressed");
    let mut body = vec![2, 1, 0, 0];
    body.extend_from_slice(&packed);
    server.gtid(1);
    body
}

#[test]
fn compressed_transactions_are_opened() {
    let (mut server, mut assembler) = (Server::new(), assembler());
    let body = compressed(&mut server, true);
    server.push(types::TRANSACTION_PAYLOAD, &body);
    let (items, result) = run(&mut assembler, &mut server);
    result.expect("ok");
    assert_eq!(items, ["begin 1 at 77", "rows 3 orders", "commit 1"]);
    let mut server = Server::new();
    let body = compressed(&mut server, false);
    server.push(types::TRANSACTION_PAYLOAD, &body);
    assert_eq!(fails(&mut server), Kind::EventUnreadable);
    let mut server = Server::new();
    let body = compressed(&mut server, true);
    server.push(types::TRANSACTION_PAYLOAD, &body[..body.len() - 9]);
    assert_eq!(fails(&mut server), Kind::EventUnreadable);
}

#[test]
fn no_garbled_event_panics() {
    let mut server = Server::new();
    let body = compressed(&mut server, true);
    server.push(types::TRANSACTION_PAYLOAD, &body);
    server
        .gtid(2)
        .query("BEGIN")
        .map(7, "orders")
        .rows(7, 10)
        .xid();
    server
        .push(types::GTID_TAGGED, &[2, 4, 8, 0, 0, 2, 2])
        .push(types::HEARTBEAT_V2, b"\x01\x03abc\x02\x01\x05");
    server.push(types::ROTATE, &[1; 20]);
    let events = std::mem::take(&mut server.events);
    for seed in 0..20_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut assembler = assembler();
        for event in &events {
            let mut bytes = event.to_vec();
            if random.u8(..4) == 0 {
                let at = random.usize(4..bytes.len());
                bytes[at] = random.u8(..);
                if random.bool() {
                    bytes.truncate(random.usize(..=bytes.len()));
                    let length = bytes.len() as u32;
                    if let Some(field) = bytes.get_mut(9..13) {
                        field.copy_from_slice(&length.to_le_bytes());
                    }
                }
                // A checksum that fits lets the content through.
                if let Some(end) = bytes.len().checked_sub(4) {
                    let sum = crc32fast::hash(&bytes[..end]);
                    bytes[end..].copy_from_slice(&sum.to_le_bytes());
                }
            }
            if assembler.event(bytes.into(), &mut |_| Ok(())).is_err() {
                break;
            }
        }
    }
}

#[test]
fn tagged_gtids_are_read() {
    // As MySQL 9.7 wrote `1b2da30b-…:blue_1:1`.
    let mut body = vec![2u8];
    let mut fields = vec![0u8, 2, 2];
    for byte in UUID {
        fields.push(byte << 1);
    }
    fields.extend_from_slice(&[4, 10 << 1, 6, 6 << 1]);
    fields.extend_from_slice(b"blue_1");
    body.push(((fields.len() + 3) as u8) << 1);
    body.push(0);
    body.extend_from_slice(&fields);
    let mut server = Server::new();
    server.push(types::GTID_TAGGED, &body).query("BEGIN").xid();
    let mut assembler = assembler();
    run(&mut assembler, &mut server).1.expect("ok");
    assert_eq!(
        assembler.completed().to_string(),
        "11111111-1111-1111-1111-111111111111:blue_1:5"
    );
}
