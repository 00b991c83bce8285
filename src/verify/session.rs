//! Questions to MySQL: the items of a range of rows, and the items of some keys, each between two watermarks.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, QueryResult, TextProtocol};

use super::canonical::{self, Tag};
use super::source::{Expected, ItemReader, Sent};
use crate::checkpoint::{Bound, Range};
use crate::error::{Error, Kind, Result};
use crate::plan::select::{DRIVING, ItemKey, KeyText, Narrow, SESSION, Select, select_narrow};
use crate::plan::{Plan, Projection, ProjectionId, TargetId};
use crate::position::GtidSet;
use crate::source::Options;
use crate::source::connect::{classify, connect, connect_snapshot};
use crate::source::snapshot::{chunk_key, estimated_rows, executed_at, raw};

/// Keys in one statement.
const MOST_KEYS: usize = 500;

/// What the stream has received becomes visible within this.
const VISIBLE: Duration = Duration::from_secs(20);
/// How often that is looked for.
const SHORTEST_LOOK: Duration = Duration::from_millis(2);
const LONGEST_LOOK: Duration = Duration::from_millis(100);

/// Two connections to MySQL: one for rows, one for what is asked beside them.
pub struct Session {
    plan: Arc<Plan>,
    options: Arc<Options>,
    rows: Conn,
    questions: Conn,
    server: Option<String>,
}

/// What MySQL says about an item's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    pub projection: ProjectionId,
    pub source_key: String,
    /// `None`: the row has no valid item.
    pub item: Option<Vec<u8>>,
}

impl Session {
    pub async fn open(plan: Arc<Plan>, options: Arc<Options>) -> Result<Self> {
        let mut rows = connect(&options).await?;
        rows.query_drop(SESSION)
            .await
            .map_err(|e| classify(&options, e))?;
        let questions = connect_snapshot(&options).await?;
        Ok(Self {
            plan,
            options,
            rows,
            questions,
            server: None,
        })
    }

    /// Waits until MySQL shows everything of the set.
    ///
    /// # Errors
    /// `SourceUnavailable` where it does not for long: another server may answer that lacks transactions.
    pub async fn visible(&mut self, received: &GtidSet) -> Result<()> {
        let begun = Instant::now();
        while !received.is_subset(&self.executed().await?) {
            if begun.elapsed() > VISIBLE {
                return Err(Error::new(
                    Kind::SourceUnavailable,
                    "MySQL does not show yet what the stream has received",
                ));
            }
            // At first it is a matter of moments.
            let pause = begun.elapsed() / 4;
            tokio::time::sleep(pause.clamp(SHORTEST_LOOK, LONGEST_LOOK)).await;
        }
        Ok(())
    }

    /// For questions about single rows; texts come in their columns' own character sets.
    pub fn questions(&mut self) -> &mut Conn {
        &mut self.questions
    }

    /// What MySQL has executed, on the server that was asked before.
    pub async fn executed(&mut self) -> Result<GtidSet> {
        let (executed, server) = executed_at(&mut self.questions)
            .await
            .map_err(|e| self.failed("the position was asked", e))?;
        let known = self.server.get_or_insert_with(|| server.clone());
        if *known != server {
            return Err(Error::new(
                Kind::SourceUnavailable,
                format!(
                    "another server answered while both sides were compared ({known}, then {server})"
                ),
            ));
        }
        Ok(executed)
    }

    /// The last key of the next `rows` rows; `None` where those are the rest of the table.
    pub async fn bound(
        &mut self,
        projection: &Projection,
        after: Option<&Bound>,
        rows: u64,
    ) -> Result<Option<Bound>> {
        let table = self.plan.source(projection.driving);
        let key = chunk_key(table);
        let sql = key.last_of(after.cloned(), rows)?;
        let row: Option<mysql_async::Row> = self
            .questions
            .query_first(sql)
            .await
            .map_err(|e| self.failed("the rows were divided", e))?;
        row.map(|row| key.bound(&raw(row))).transpose()
    }

    /// How many rows the optimizer thinks that the projection has.
    pub async fn estimate(&mut self, projection: &Projection) -> Result<u64> {
        let name = &self.plan.source(projection.driving).name;
        estimated_rows(&mut self.questions, name)
            .await
            .map_err(|e| self.failed("the rows were estimated", e))
    }

    /// The SELECT of a range of a projection's rows.
    pub fn of_range(&self, projection: &Projection, range: &Range) -> Result<Select> {
        let key = chunk_key(self.plan.source(projection.driving));
        let condition = key.condition_under(&format!("{DRIVING}."), range)?;
        let narrow = match condition == "TRUE" {
            true => Narrow::All,
            false => Narrow::Driving(&condition),
        };
        select_narrow(&self.plan, projection, narrow)
            .map_err(|e| unselectable(projection, &e))?
            .ok_or_else(|| Error::new(Kind::Internal, "a range without a SELECT"))
    }

    /// The rows of a SELECT. Beside them the session's other connection is free.
    pub async fn read(&mut self, select: &Select, projection: &Projection) -> Result<Rows<'_>> {
        let target = self.plan.target(projection.target);
        let reader = ItemReader::new(select, target, self.plan.settings.write_nulls);
        let label = projection.label.clone();
        let result = self.rows.query_iter(select.sql.clone()).await;
        let result = result.map_err(|e| failed(&self.options, &label, e))?;
        Ok(Rows {
            sent: ItemReader::sent(result.columns_ref()),
            result,
            reader,
            label,
            questions: Questions {
                options: &self.options,
                conn: &mut self.questions,
                server: &mut self.server,
            },
        })
    }

    /// What MySQL says about these keys of one DynamoDB table; a key that is not in the answer has no row.
    ///
    /// Of the rows that make one key the first owns it, projections in their order: the lowest claimant.
    pub async fn truths(
        &mut self,
        target: TargetId,
        keys: &[Vec<u8>],
    ) -> Result<HashMap<Vec<u8>, Truth>> {
        let plan = Arc::clone(&self.plan);
        let mut truths: HashMap<Vec<u8>, Truth> = HashMap::new();
        for keys in keys.chunks(MOST_KEYS) {
            let owned: Vec<OwnedKey> = keys.iter().filter_map(|key| OwnedKey::of(key)).collect();
            let asked: Vec<ItemKey<'_>> = owned.iter().map(OwnedKey::borrowed).collect();
            for projection in plan.projections.iter().filter(|p| p.target == target) {
                let select = select_narrow(&plan, projection, Narrow::Items(&asked))
                    .map_err(|e| unselectable(projection, &e))?;
                let Some(select) = select else { continue };
                let wanted: HashSet<&[u8]> = keys.iter().map(Vec::as_slice).collect();
                let mut rows = self.read(&select, projection).await?;
                let mut expected = Expected::default();
                while rows.batch(&mut expected, 1000, 8 << 20).await? {
                    claims(projection.id, &expected, &wanted, &mut truths);
                }
            }
        }
        Ok(truths)
    }

    fn failed(&self, what: &str, error: mysql_async::Error) -> Error {
        failed(&self.options, what, error)
    }
}

/// Notes whose the items are: the first row with a valid item has a key.
fn claims(
    projection: ProjectionId,
    expected: &Expected,
    wanted: &HashSet<&[u8]>,
    truths: &mut HashMap<Vec<u8>, Truth>,
) {
    for row in &expected.rows {
        let key = expected.bytes(&row.key);
        let known = truths.get(key);
        // A row without a valid item claims no key; it is the reason why there is none.
        let claims = match known {
            None => true,
            Some(known) => known.item.is_none() && row.item.is_some(),
        };
        if wanted.contains(key) && claims {
            let truth = Truth {
                projection,
                source_key: expected.source_key(row).to_owned(),
                item: row.item.as_ref().map(|item| expected.bytes(item).to_vec()),
            };
            truths.insert(key.to_vec(), truth);
        }
    }
}

/// Rows as they come.
pub struct Rows<'s> {
    result: QueryResult<'s, 'static, TextProtocol>,
    sent: Vec<Sent>,
    reader: ItemReader,
    label: String,
    pub questions: Questions<'s>,
}

impl Rows<'_> {
    /// The next ones, up to so many rows or bytes; false at the end. What was read before is forgotten.
    pub async fn batch(
        &mut self,
        expected: &mut Expected,
        rows: usize,
        bytes: usize,
    ) -> Result<bool> {
        expected.clear();
        while expected.rows.len() < rows && expected.writer.bytes.len() < bytes {
            let row = self.result.next().await;
            let row = row.map_err(|e| failed(self.questions.options, &self.label, e))?;
            let Some(row) = row else { break };
            self.reader.read(&row, &self.sent, expected);
        }
        Ok(!expected.rows.is_empty() || expected.without_key > 0)
    }
}

/// The connection that is free while rows are read.
pub struct Questions<'s> {
    options: &'s Options,
    conn: &'s mut Conn,
    server: &'s mut Option<String>,
}

impl Questions<'_> {
    /// As [`Session::executed`].
    pub async fn executed(&mut self) -> Result<GtidSet> {
        let (executed, server) = executed_at(self.conn)
            .await
            .map_err(|e| failed(self.options, "the position was asked", e))?;
        let known = self.server.get_or_insert_with(|| server.clone());
        match *known == server {
            true => Ok(executed),
            false => Err(Error::new(
                Kind::SourceUnavailable,
                format!(
                    "another server answered while both sides were compared ({known}, then {server})"
                ),
            )),
        }
    }
}

/// A key as `plan/select` takes it.
struct OwnedKey {
    pk: OwnedText,
    sk: Option<OwnedText>,
}

enum OwnedText {
    S(String),
    N(String),
    B(Vec<u8>),
}

impl OwnedKey {
    fn of(key: &[u8]) -> Option<Self> {
        let (pk, rest) = canonical::value(key)?;
        let sk = canonical::value(rest).map(|(sk, _)| sk);
        Some(Self {
            pk: OwnedText::of(pk)?,
            sk: match sk {
                Some(sk) => Some(OwnedText::of(sk)?),
                None => None,
            },
        })
    }

    fn borrowed(&self) -> ItemKey<'_> {
        ItemKey {
            pk: self.pk.borrowed(),
            sk: self.sk.as_ref().map(OwnedText::borrowed),
        }
    }
}

impl OwnedText {
    fn of(value: canonical::Value<'_>) -> Option<Self> {
        Some(match value.tag {
            Tag::S => OwnedText::S(str::from_utf8(value.payload).ok()?.to_owned()),
            Tag::N => {
                let mut plain = Vec::new();
                canonical::plain(value.payload, &mut plain);
                OwnedText::N(String::from_utf8(plain).ok()?)
            }
            Tag::B => OwnedText::B(value.payload.to_vec()),
            _ => return None,
        })
    }

    fn borrowed(&self) -> KeyText<'_> {
        match self {
            OwnedText::S(text) => KeyText::S(text),
            OwnedText::N(text) => KeyText::N(text),
            OwnedText::B(bytes) => KeyText::B(bytes),
        }
    }
}

/// Whether one of the table's entities could have made an item of this key.
pub fn is_ours(plan: &Plan, target: TargetId, key: &[u8]) -> bool {
    let Some(key) = OwnedKey::of(key) else {
        return false;
    };
    let mut projections = plan.projections.iter().filter(|p| p.target == target);
    projections.any(|p| crate::plan::select::can_make(p, &key.borrowed()))
}

fn unselectable(projection: &Projection, error: &crate::plan::select::SelectError) -> Error {
    Error::new(
        Kind::Unsupported,
        format!("{} cannot be verified: {error}", projection.label),
    )
}

fn failed(options: &Options, what: &str, error: mysql_async::Error) -> Error {
    let error = classify(options, error);
    Error::new(
        error.kind(),
        format!("while both sides were compared ({what})"),
    )
    .with_source(error)
}
