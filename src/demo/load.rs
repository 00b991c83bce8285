//! A write load on the sample shop: what an application does, and what replication gets wrong when it is wrong.
//!
//! Inserts, updates, deletes, changes and swaps of primary keys, transactions over several tables, statements that
//! touch many rows, rollbacks. Several writers run at once, so that their transactions interleave; conflicts between them
//! (deadlocks, duplicate keys) are part of it: the transaction is rolled back and counted.

use std::time::Duration;

use fastrand::Rng;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::sample::{self, ORDER_STATES};

/// What a load did. Rows are those that the server reports as affected in committed transactions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct LoadStats {
    /// Committed transactions.
    pub transactions: u64,
    /// Transactions rolled back on purpose.
    pub rollbacks: u64,
    /// Transactions that failed on a conflict with another writer, and were rolled back.
    pub conflicts: u64,
    /// Rows inserted.
    pub inserted: u64,
    /// Rows updated; those that got another primary key included.
    pub updated: u64,
    /// Rows deleted.
    pub deleted: u64,
}

impl LoadStats {
    /// Rows changed in all.
    pub fn rows(&self) -> u64 {
        self.inserted + self.updated + self.deleted
    }

    fn add(&mut self, other: LoadStats) {
        self.transactions += other.transactions;
        self.rollbacks += other.rollbacks;
        self.conflicts += other.conflicts;
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.deleted += other.deleted;
    }
}

/// A load, before it runs.
#[derive(Debug, Clone)]
pub struct Load {
    opts: Opts,
    rate: u32,
    writers: u32,
    seed: u64,
}

impl Load {
    /// A load of 100 transactions a second by two writers on the shop in the database that `opts` names.
    pub fn new(opts: Opts) -> Self {
        Self {
            opts,
            rate: 100,
            writers: 2,
            seed: 1,
        }
    }

    /// Transactions a second, all writers together; 0 means as fast as the server goes.
    pub fn rate(mut self, rate: u32) -> Self {
        self.rate = rate;
        self
    }

    /// Connections that write at once, at least one.
    pub fn writers(mut self, writers: u32) -> Self {
        self.writers = writers.max(1);
        self
    }

    /// What the choices follow from. With several writers the order of their transactions still varies.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Writes until `until` is cancelled; the transactions under way end first.
    ///
    /// # Errors
    /// The first error that is not a conflict between writers: the server went away, the shop is not there.
    pub async fn run(self, until: CancellationToken) -> mysql_async::Result<LoadStats> {
        let until = until.child_token();
        // Whoever returns or drops this early ends the writers too.
        let _end = until.clone().drop_guard();
        let mut writers = JoinSet::new();
        let mut rng = Rng::with_seed(self.seed);
        for index in 0..self.writers {
            let writer = Writer::open(&self, index, rng.fork()).await?;
            writers.spawn(writer.run(self.pause(), until.clone()));
        }
        let mut total = LoadStats::default();
        while let Some(ended) = writers.join_next().await {
            match ended {
                Ok(stats) => total.add(stats?),
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            }
        }
        Ok(total)
    }

    fn pause(&self) -> Option<Duration> {
        (self.rate > 0).then(|| Duration::from_secs(1) * self.writers / self.rate)
    }
}

/// Writes `rate` transactions a second (0: as many as the server takes) until `until` is cancelled.
///
/// # Errors
/// As [`Load::run`].
pub async fn run(
    opts: Opts,
    rate: u32,
    until: CancellationToken,
) -> mysql_async::Result<LoadStats> {
    Load::new(opts).rate(rate).run(until).await
}

/// One connection and what it needs to invent rows.
struct Writer {
    conn: Conn,
    rng: Rng,
    stats: LoadStats,
    /// The next id that only this writer uses, and the distance to the one after it.
    next_id: u64,
    stride: u64,
    /// The highest ids at the start.
    users: u32,
    products: u64,
    orders: u64,
}

/// How a transaction ends.
enum End {
    Commit,
    Rollback,
}

impl Writer {
    async fn open(load: &Load, index: u32, rng: Rng) -> mysql_async::Result<Writer> {
        let mut conn = Conn::new(load.opts.clone()).await?;
        conn.query_drop("SET time_zone = '+00:00', innodb_lock_wait_timeout = 2")
            .await?;
        let (users, products, orders): (u32, u64, u64) = conn
            .query_first(
                "SELECT (SELECT COALESCE(MAX(id), 0) FROM users), (SELECT COALESCE(MAX(id), 0) FROM products),
                        (SELECT COALESCE(MAX(id), 0) FROM orders)",
            )
            .await?
            .unwrap_or_default();
        let highest = orders.max(products).max(users.into());
        Ok(Writer {
            conn,
            rng,
            stats: LoadStats::default(),
            // Beyond what the other writers have used by the time this one opens.
            next_id: highest.next_multiple_of(1_000_000) + u64::from(index) + 1,
            stride: load.writers.into(),
            users,
            products,
            orders,
        })
    }

    async fn run(
        mut self,
        pause: Option<Duration>,
        until: CancellationToken,
    ) -> mysql_async::Result<LoadStats> {
        let mut ticks = pause.map(|pause| {
            let mut ticks = tokio::time::interval_at(Instant::now() + pause, pause);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        while !until.is_cancelled() {
            if let Some(ticks) = &mut ticks {
                tokio::select! {
                    () = until.cancelled() => break,
                    _ = ticks.tick() => {}
                }
            }
            self.transaction().await?;
        }
        self.conn.disconnect().await?;
        Ok(self.stats)
    }

    /// One transaction; its rows count only when it is committed.
    async fn transaction(&mut self) -> mysql_async::Result<()> {
        let before = self.stats;
        self.conn.query_drop("START TRANSACTION").await?;
        match self.work().await {
            Ok(End::Commit) => {
                self.conn.query_drop("COMMIT").await?;
                self.stats.transactions += 1;
            }
            Ok(End::Rollback) => {
                self.conn.query_drop("ROLLBACK").await?;
                self.stats = before;
                self.stats.rollbacks += 1;
            }
            Err(error) if is_conflict(&error) => {
                self.conn.query_drop("ROLLBACK").await?;
                self.stats = before;
                self.stats.conflicts += 1;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn work(&mut self) -> mysql_async::Result<End> {
        match self.rng.u8(0..100) {
            0..28 => self.place_order().await?,
            28..50 => self.change_order().await?,
            50..65 => self.change_user().await?,
            65..77 => self.change_product().await?,
            77..85 => self.remove_order().await?,
            85..90 => self.move_order().await?,
            90..93 => self.swap_users().await?,
            93..95 => self.reprice_many().await?,
            _ => {
                self.place_order().await?;
                self.change_product().await?;
                return Ok(End::Rollback);
            }
        }
        Ok(End::Commit)
    }

    async fn place_order(&mut self) -> mysql_async::Result<()> {
        let id = self.new_id();
        let order = sample::order(&mut self.rng, id, self.users);
        self.insert("orders", &[order]).await?;
        let lines = self.rng.u32(1..=5);
        let items: Vec<_> = (1..=lines)
            .map(|line| sample::order_item(&mut self.rng, id, line, self.products))
            .collect();
        self.insert("order_items", &items).await?;
        if self.rng.u8(0..8) == 0 {
            // A customer who comes with the order; the id is high, but an INT UNSIGNED still.
            let user = u32::try_from(id % 4_000_000_000).unwrap_or(1);
            let row = sample::user(&mut self.rng, user);
            self.insert("users", &[row]).await?;
        }
        Ok(())
    }

    async fn change_order(&mut self) -> mysql_async::Result<()> {
        let Some(id) = self.existing("orders").await? else {
            return Ok(());
        };
        let state = sample::pick(&mut self.rng, &ORDER_STATES);
        let more = sample::cents(self.rng.u32(0..1000));
        self.update(format!(
            "UPDATE orders SET status = '{state}', total = total + {more} WHERE id = {id}"
        ))
        .await?;
        if self.rng.bool() {
            self.update(format!(
                "UPDATE order_items SET quantity = quantity + 1 WHERE order_id = {id}"
            ))
            .await?;
        }
        Ok(())
    }

    async fn change_user(&mut self) -> mysql_async::Result<()> {
        let Some(id) = self.existing("users").await? else {
            return Ok(());
        };
        let change = match self.rng.u8(0..5) {
            0 => format!("email = 'user{id}.{}@example.com'", self.rng.u32(..)),
            1 => "name = NULL".to_owned(),
            2 => format!("preferences = {}", sample::preferences(&mut self.rng)),
            3 => format!(
                "preferences = JSON_SET(preferences, '$.limit', {})",
                self.rng.u16(..)
            ),
            _ => format!(
                "status = '{}', name = CONCAT('Renamed ', id)",
                sample::pick(&mut self.rng, &["active", "blocked", "deleted"])
            ),
        };
        self.update(format!("UPDATE users SET {change} WHERE id = {id}"))
            .await
    }

    async fn change_product(&mut self) -> mysql_async::Result<()> {
        let Some(id) = self.existing("products").await? else {
            return Ok(());
        };
        let tags = sample::tags(&mut self.rng);
        let price = sample::cents(self.rng.u32(0..500_000));
        let moment = sample::moment(&mut self.rng, 3);
        self.update(format!(
            "UPDATE products SET price = {price}, tags = '{tags}', updated_at = '{moment}' WHERE id = {id}"
        ))
        .await
    }

    async fn remove_order(&mut self) -> mysql_async::Result<()> {
        let Some(id) = self.existing("orders").await? else {
            return Ok(());
        };
        for statement in [
            format!("DELETE FROM order_items WHERE order_id = {id}"),
            format!("DELETE FROM orders WHERE id = {id}"),
        ] {
            self.conn.query_drop(statement).await?;
            self.stats.deleted += self.conn.affected_rows();
        }
        Ok(())
    }

    /// The order and its items get another primary key.
    async fn move_order(&mut self) -> mysql_async::Result<()> {
        let Some(id) = self.existing("orders").await? else {
            return Ok(());
        };
        let new = self.new_id();
        self.update(format!("UPDATE orders SET id = {new} WHERE id = {id}"))
            .await?;
        self.update(format!(
            "UPDATE order_items SET order_id = {new} WHERE order_id = {id}"
        ))
        .await
    }

    /// Two users trade their primary keys, through a third one, in one transaction.
    async fn swap_users(&mut self) -> mysql_async::Result<()> {
        let (Some(one), Some(other)) =
            (self.existing("users").await?, self.existing("users").await?)
        else {
            return Ok(());
        };
        if one == other {
            return Ok(());
        }
        let aside = 4_294_000_000 + self.new_id() % 900_000;
        for (from, to) in [(one, aside), (other, one), (aside, other)] {
            self.update(format!("UPDATE users SET id = {to} WHERE id = {from}"))
                .await?;
        }
        Ok(())
    }

    async fn reprice_many(&mut self) -> mysql_async::Result<()> {
        let remainder = self.rng.u8(0..50);
        self.update(format!(
            "UPDATE products SET price = price + 0.01, weight_g = weight_g + 1 WHERE id % 50 = {remainder}"
        ))
        .await
    }

    async fn insert(&mut self, table: &str, tuples: &[String]) -> mysql_async::Result<()> {
        let sql = format!("INSERT INTO {table} VALUES {}", tuples.join(","));
        self.conn.query_drop(sql).await?;
        self.stats.inserted += self.conn.affected_rows();
        Ok(())
    }

    async fn update(&mut self, sql: String) -> mysql_async::Result<()> {
        self.conn.query_drop(sql).await?;
        self.stats.updated += self.conn.affected_rows();
        Ok(())
    }

    /// A row's id, any one; most often one of the older half. None in an empty table.
    async fn existing(&mut self, table: &str) -> mysql_async::Result<Option<u64>> {
        let span = self.next_id;
        let old = match table {
            "users" => u64::from(self.users),
            "products" => self.products,
            _ => self.orders,
        };
        let start = match self.rng.u8(0..4) {
            0 => self.rng.u64(0..=span),
            _ => self.rng.u64(0..=old.max(1)),
        };
        let found = self
            .conn
            .query_first(format!(
                "SELECT id FROM {table} WHERE id >= {start} ORDER BY id LIMIT 1"
            ))
            .await?;
        if found.is_some() {
            return Ok(found);
        }
        self.conn
            .query_first(format!("SELECT id FROM {table} ORDER BY id LIMIT 1"))
            .await
    }

    fn new_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += self.stride;
        id
    }
}

/// Duplicate key, lock wait timeout, deadlock: what writers do to each other.
fn is_conflict(error: &Error) -> bool {
    matches!(error, Error::Server(server) if matches!(server.code, 1062 | 1205 | 1213))
}
