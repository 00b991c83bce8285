//! Rows per CPU-second of penstock's decoder, mysql_cdc's BinlogReader and mysql_common's decoder on one binlog file.
//!
//! usage: `cargo bench --bench decode -- BINLOG [DECODER]` or `PENSTOCK_BENCH_BINLOG=BINLOG cargo bench --bench decode`.
//! The file is one that MySQL wrote with `binlog_row_metadata=FULL` and without compression, 300 MB or more; leave
//! BINARY and VARBINARY columns out, which mysql_cdc reads as text. Every decoder gives every column of every row.
//!
//! What each does with a row: penstock verifies each event's CRC32, borrows text, bytes, DECIMALs and JSON documents from
//! the event after it has validated them (every part of a document), gives the labels of ENUM and SET, and unpacks
//! dates and times; its second line prints every value as well, into one buffer. mysql_cdc copies text, bytes and JSON
//! documents (unread), prints DECIMALs, and gives ENUM and SET as numbers. mysql_common copies text, bytes and JSON
//! documents, prints DECIMALs, and gives ENUM and SET as numbers. Neither of the two verifies checksums here.

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufReader, Read};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mysql_cdc::binlog_reader::BinlogReader;
use mysql_cdc::events::binlog_event::BinlogEvent;
use mysql_common::binlog::BinlogFile;
use mysql_common::binlog::consts::BinlogVersion;
use mysql_common::binlog::events::EventData;

use penstock::change::Change;
use penstock::change::charset::Collation;
use penstock::plan::{SourceColumn, SourceId, SourceTable};
use penstock::schema::{Column, ColumnType, Generated, TableName};
use penstock::source::decode::event::types;
use penstock::source::decode::wire::Wire;
use penstock::source::decode::{
    Checksum, Event, FormatDescription, Layout, RowsEvent, RowsKind, TableMap,
};

/// As in the binary; the other decoders get it as well.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome = Result<u64, Box<dyn Error>>;
/// Reads the file and counts its rows.
type Decoder = fn(&str) -> Outcome;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'));
    let argument = words.next();
    let only = words.next();
    let Some(path) = argument.or_else(|| std::env::var("PENSTOCK_BENCH_BINLOG").ok()) else {
        println!("decode: no binlog given (argument or PENSTOCK_BENCH_BINLOG); nothing measured");
        return Ok(());
    };
    let size = std::fs::metadata(&path)?.len();
    println!("{path}: {} MB", size / 1_000_000);
    // Once through the file, so that it is in the page cache for all.
    std::io::copy(&mut File::open(&path)?, &mut std::io::sink())?;
    let decoders: [(&str, Decoder); 4] = [
        ("penstock", penstock_rows),
        ("… and printed", penstock_texts),
        ("mysql_cdc", mysql_cdc_rows),
        ("mysql_common", mysql_common_rows),
    ];
    println!(
        "{:<14}{:>12}{:>10}{:>10}{:>16}{:>8}{:>8}",
        "decoder", "rows", "wall s", "CPU s", "rows/CPU-s", "MB/s", "ratio"
    );
    let decoders = decoders
        .into_iter()
        .filter(|(name, _)| only.as_ref().is_none_or(|only| only == name));
    let mut best: Vec<_> = decoders
        .map(|(name, decode)| (name, decode, None::<Round>))
        .collect();
    // In turn, so that whatever else the machine does meets all of them.
    for _ in 0..ROUNDS {
        for (name, decode, best) in &mut best {
            match round(*decode, &path) {
                Ok(round) if best.as_ref().is_none_or(|best| round.cpu < best.cpu) => {
                    *best = Some(round);
                }
                Ok(_) => {}
                Err(error) => println!("{name:<14} failed: {error}"),
            }
        }
    }
    let mut ours = None;
    for (name, _, best) in best {
        let Some(Round { rows, wall, cpu }) = best else {
            continue;
        };
        let rate = rows as f64 / cpu;
        let first = *ours.get_or_insert(rate);
        println!(
            "{name:<14}{rows:>12}{wall:>10.2}{cpu:>10.2}{rate:>16.0}{:>8.0}{:>8.2}",
            size as f64 / cpu / 1e6,
            first / rate
        );
    }
    println!("ratio: penstock's rows per CPU-second over the decoder's");
    Ok(())
}

/// Each decoder runs so often; the round with the least CPU time counts.
const ROUNDS: usize = 3;

/// One run of a decoder; times in seconds.
struct Round {
    rows: u64,
    wall: f64,
    cpu: f64,
}

fn round(decode: Decoder, path: &str) -> Result<Round, Box<dyn Error>> {
    let (wall, cpu) = (Instant::now(), cpu_time()?);
    let rows = decode(path)?;
    Ok(Round {
        rows,
        wall: wall.elapsed().as_secs_f64(),
        cpu: (cpu_time()? - cpu).as_secs_f64(),
    })
}

/// This thread's time on a CPU.
fn cpu_time() -> Result<Duration, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = text.split_whitespace().next().ok_or("no schedstat")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

fn penstock_rows(path: &str) -> Outcome {
    each_change(path, |change| {
        black_box(change);
    })
}

/// As above, and each value is printed: what was left packed (DECIMAL, JSON, dates) is paid for here.
fn penstock_texts(path: &str) -> Outcome {
    let mut text = String::new();
    each_change(path, |change| {
        let images = match change {
            Change::Insert { after } => [None, Some(after)],
            Change::Update { before, after } => [Some(before), Some(after)],
            Change::Delete { before } => [Some(before), None],
        };
        for value in images.into_iter().flatten().flat_map(|row| &row.values) {
            text.clear();
            value.write_text(&mut text);
            black_box(&text);
        }
    })
}

fn each_change(path: &str, mut each: impl FnMut(&Change<'_>)) -> Outcome {
    let mut frames = Frames::open(path)?;
    let mut checksum = Checksum::Crc32;
    let mut layouts: HashMap<u64, (TableMap, Layout)> = HashMap::new();
    let mut rows = 0;
    while let Some(frame) = frames.next()? {
        if frame.get(4) == Some(&types::FORMAT_DESCRIPTION) {
            checksum = FormatDescription::parse(&frame)?.checksum;
            continue;
        }
        let event = Event::parse(frame, checksum)?;
        if event.header.type_code == types::TABLE_MAP {
            let (id, body) = TableMap::peek(&event)?;
            if !layouts.get(&id).is_some_and(|(map, _)| map.same_as(&body)) {
                let map = TableMap::parse(&event)?;
                let layout = Layout::bind(&map, &table(&map)?)?;
                layouts.insert(id, (map, layout));
            }
        } else if RowsKind::of(event.header.type_code).is_some() {
            let event = RowsEvent::parse(&event)?;
            let (_, layout) = layouts.get(&event.table_id).ok_or("no table map")?;
            let mut changes = event.rows(layout)?;
            while let Some(change) = changes.next() {
                let change = change?;
                each(&change);
                changes.recycle(change);
                rows += 1;
            }
        }
    }
    Ok(rows)
}

/// Reads the file in pieces, as a connection would be read; the events are parts of them.
struct Frames {
    file: File,
    piece: Bytes,
}

impl Frames {
    const PIECE: usize = 256 << 10;

    fn open(path: &str) -> Result<Self, Box<dyn Error>> {
        let mut file = File::open(path)?;
        file.read_exact(&mut [0; 4])?;
        Ok(Self {
            file,
            piece: Bytes::new(),
        })
    }

    fn next(&mut self) -> Result<Option<Bytes>, Box<dyn Error>> {
        let mut size = 19;
        loop {
            if let Some([a, b, c, d]) = self.piece.get(9..13) {
                size = u32::from_le_bytes([*a, *b, *c, *d]).max(19) as usize;
            }
            if self.piece.len() >= size {
                return Ok(Some(self.piece.split_to(size)));
            }
            let begun = self.piece.len();
            let mut piece = Vec::with_capacity(Self::PIECE.max(size));
            piece.extend_from_slice(&self.piece);
            let room = (piece.capacity() - begun) as u64;
            if (&self.file).take(room).read_to_end(&mut piece)? == 0 {
                return Ok(None);
            }
            self.piece = piece.into();
        }
    }
}

fn mysql_cdc_rows(path: &str) -> Outcome {
    let reader = BinlogReader::new(File::open(path)?).map_err(|error| format!("{error:?}"))?;
    let mut rows = 0;
    for event in reader.read_events() {
        let (_, event) = event.map_err(|error| format!("{error:?}"))?;
        rows += match &event {
            BinlogEvent::WriteRowsEvent(event) => event.rows.len(),
            BinlogEvent::UpdateRowsEvent(event) => event.rows.len(),
            BinlogEvent::DeleteRowsEvent(event) => event.rows.len(),
            _ => 0,
        } as u64;
        black_box(event);
    }
    Ok(rows)
}

fn mysql_common_rows(path: &str) -> Outcome {
    let file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut file = BinlogFile::new(BinlogVersion::Version4, file)?;
    let mut rows = 0;
    while let Some(event) = file.next() {
        let event = event?;
        let Some(EventData::RowsEvent(event)) = event.read_data()? else {
            continue;
        };
        let map = file
            .reader()
            .get_tme(event.table_id())
            .ok_or("no table map")?;
        for row in event.rows(map) {
            black_box(row?);
            rows += 1;
        }
    }
    Ok(rows)
}

/// A plan's table that uses every column of the map.
fn table(map: &TableMap) -> Result<SourceTable, Box<dyn Error>> {
    let columns = (0..map.columns.len())
        .map(|ordinal| {
            Ok(SourceColumn {
                ordinal,
                column: column(map, ordinal)?,
            })
        })
        .collect::<Result<_, Box<dyn Error>>>()?;
    Ok(SourceTable {
        watched_only: false,
        id: SourceId(0),
        name: TableName::new(&map.database, &map.table),
        columns,
        column_count: map.columns.len(),
        key: Vec::new(),
    })
}

fn column(map: &TableMap, index: usize) -> Result<Column, Box<dyn Error>> {
    let metadata = &map.metadata;
    let unsigned = metadata.unsigned.get(index) == Some(&true);
    let id = metadata.collations.get(index).copied().flatten();
    let collation = id.and_then(Collation::by_id);
    let charset = || collation.ok_or("a collation that is not known");
    let text = |fixed| -> Result<ColumnType, Box<dyn Error>> {
        let collation = charset()?;
        Ok(match (collation.charset, fixed) {
            ("binary", _) => ColumnType::Bytes { max_length: 0 },
            (charset, fixed) => ColumnType::Text {
                max_chars: 0,
                charset: charset.into(),
                collation: collation.name.into(),
                fixed,
            },
        })
    };
    let labels = || {
        let labels = metadata.labels.get(index).cloned().flatten();
        let labels = labels.unwrap_or_default().into_iter();
        labels.map(String::from_utf8).collect::<Result<Vec<_>, _>>()
    };
    let ty = match map.columns[index].wire {
        Wire::Int { bytes } => ColumnType::Int {
            bytes,
            unsigned,
            zerofill: None,
        },
        Wire::Float => ColumnType::Float {
            unsigned,
            decimals: None,
            zerofill: None,
        },
        Wire::Double => ColumnType::Double {
            unsigned,
            decimals: None,
            zerofill: None,
        },
        Wire::Decimal { precision, scale } => ColumnType::Decimal {
            precision,
            scale,
            unsigned,
            zerofill: false,
        },
        Wire::Bit { bits } => ColumnType::Bit { bits },
        Wire::Year => ColumnType::Year,
        Wire::Date => ColumnType::Date,
        Wire::Timestamp { fsp } => ColumnType::Timestamp { fsp },
        Wire::DateTime { fsp } => ColumnType::DateTime { fsp },
        Wire::Time { fsp } => ColumnType::Time { fsp },
        Wire::OldTimestamp => ColumnType::Timestamp { fsp: 0 },
        Wire::OldDateTime => ColumnType::DateTime { fsp: 0 },
        Wire::OldTime => ColumnType::Time { fsp: 0 },
        Wire::Enum { .. } => ColumnType::Enum {
            labels: labels()?,
            charset: charset()?.charset.into(),
            collation: charset()?.name.into(),
        },
        Wire::Set { .. } => ColumnType::Set {
            labels: labels()?,
            charset: charset()?.charset.into(),
            collation: charset()?.name.into(),
        },
        Wire::Fixed { length } if id == Some(63) => ColumnType::Binary {
            length: length.into(),
        },
        Wire::Fixed { .. } => text(true)?,
        Wire::Variable { .. } | Wire::Blob { .. } => text(false)?,
        Wire::Json { .. } => ColumnType::Json,
        Wire::Geometry { .. } => ColumnType::Geometry,
        Wire::Vector { .. } => ColumnType::Vector {
            dimensions: metadata
                .dimensions
                .get(index)
                .copied()
                .flatten()
                .unwrap_or(0),
        },
    };
    Ok(Column {
        name: metadata.names.get(index).cloned().unwrap_or_default(),
        ty,
        nullable: map.columns[index].nullable,
        generated: Generated::No,
        invisible: false,
    })
}
