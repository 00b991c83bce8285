//! How much is changed in a day: what the server has counted since it was started.
//!
//! `performance_schema` counts rows by table; the account may not be allowed to read it. The binlog's size would say less:
//! it holds other databases' changes, both images of a row, and files of unknown age.

use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;
use serde::Serialize;

use super::DAY;
use crate::plan::Plan;
use crate::schema::TableName;

/// `SELECT command denied`: for a table, a column, a database.
const DENIED: [u16; 3] = [1142, 1143, 1044];

/// Changes of a day, by table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changes {
    pub since: Since,
    pub tables: Vec<OfTable>,
}

/// What the counts are of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Since {
    /// So long the server has been up, and has counted; shorter where somebody has reset the counts.
    pub seconds: f64,
}

/// Rows of one table, in a day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OfTable {
    pub table: String,
    #[serde(flatten)]
    pub counts: Counts,
}

/// Rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Counts {
    pub inserted: f64,
    pub updated: f64,
    pub deleted: f64,
}

impl Counts {
    pub fn sum(self) -> f64 {
        self.inserted + self.updated + self.deleted
    }
}

impl Changes {
    /// A table's; `Some(None)` where nothing has touched it yet.
    pub fn of(&self, table: &TableName) -> Option<Option<Counts>> {
        let name = table.to_string();
        let found = self.tables.iter().find(|t| t.table == name);
        Some(found.map(|table| table.counts))
    }
}

/// The changes of a day of the plan's tables; `None` where the account may not ask, or the server does not count.
pub(super) async fn ask(
    conn: &mut Conn,
    plan: &Plan,
) -> Result<Option<Changes>, mysql_async::Error> {
    let counts: Result<bool, _> = conn
        .query_first("SELECT @@GLOBAL.performance_schema")
        .await
        .map(|on: Option<u8>| on == Some(1));
    if !counts? {
        return Ok(None);
    }
    let uptime: Option<(String, f64)> =
        conn.query_first("SHOW GLOBAL STATUS LIKE 'Uptime'").await?;
    let seconds = uptime.map_or(0.0, |(_, seconds)| seconds).max(1.0);
    let a_day = |count: u64| count as f64 * DAY / seconds;
    let mut tables = Vec::new();
    for source in plan.sources.iter().filter(|s| !s.watched_only) {
        let name = &source.name;
        let asked = conn
            .exec_first::<(u64, u64, u64), _, _>(
                "SELECT COUNT_INSERT, COUNT_UPDATE, COUNT_DELETE \
                 FROM performance_schema.table_io_waits_summary_by_table \
                 WHERE OBJECT_TYPE = 'TABLE' AND OBJECT_SCHEMA = ? AND OBJECT_NAME = ?",
                (&name.database, &name.table),
            )
            .await;
        match asked {
            Ok(Some((inserted, updated, deleted))) => tables.push(OfTable {
                table: name.to_string(),
                counts: Counts {
                    inserted: a_day(inserted),
                    updated: a_day(updated),
                    deleted: a_day(deleted),
                },
            }),
            Ok(None) => {}
            Err(mysql_async::Error::Server(error)) if DENIED.contains(&error.code) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Some(Changes {
        since: Since { seconds },
        tables,
    }))
}
