//! The sample shop: its tables as SQL, and its rows, invented from a seed.
//!
//! The same seed and sizes give the same rows everywhere. The rows hold what real tables hold and what breaks
//! naive tools: NULLs, quotes and text beyond ASCII, empty strings and empty sets, zero and negative numbers,
//! binary columns that end in zero bytes, fractions of seconds.

use std::fmt::Write as _;

use fastrand::Rng;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;

/// The database that [`create`] makes unless it is told another name.
pub const DATABASE: &str = "shop";

/// The statements that make the tables, in a database that is already the current one.
pub const TABLES: [&str; 4] = [
    "CREATE TABLE users (
       id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
       email VARCHAR(255) COLLATE utf8mb4_bin NOT NULL,
       name VARCHAR(100),
       status ENUM('active','blocked','deleted') NOT NULL DEFAULT 'active',
       created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
       preferences JSON,
       UNIQUE KEY users_email (email)
     ) CHARACTER SET utf8mb4",
    "CREATE TABLE products (
       id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
       sku CHAR(12) COLLATE utf8mb4_bin NOT NULL,
       title VARCHAR(200) NOT NULL,
       description TEXT,
       price DECIMAL(10,2) NOT NULL,
       tags SET('new','sale','eco','gift') NOT NULL DEFAULT '',
       weight_g INT,
       image VARBINARY(64),
       updated_at DATETIME(3) NOT NULL,
       UNIQUE KEY products_sku (sku)
     ) CHARACTER SET utf8mb4",
    "CREATE TABLE orders (
       id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
       user_id INT UNSIGNED NOT NULL,
       status ENUM('cart','placed','paid','shipped','cancelled') NOT NULL,
       total DECIMAL(12,2) NOT NULL,
       placed_at DATETIME(6) NOT NULL,
       note VARCHAR(500),
       KEY orders_user (user_id)
     ) CHARACTER SET utf8mb4",
    "CREATE TABLE order_items (
       order_id BIGINT UNSIGNED NOT NULL,
       line INT NOT NULL,
       product_id BIGINT UNSIGNED NOT NULL,
       quantity INT NOT NULL,
       unit_price DECIMAL(10,2) NOT NULL,
       PRIMARY KEY (order_id, line)
     ) CHARACTER SET utf8mb4",
];

/// Rows per table; an order has one to five items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Rows of `users`.
    pub users: u32,
    /// Rows of `products`.
    pub products: u32,
    /// Rows of `orders`.
    pub orders: u32,
}

impl Default for Sizes {
    /// About 31,000 rows in all.
    fn default() -> Self {
        Self {
            users: 5_000,
            products: 2_000,
            orders: 6_000,
        }
    }
}

impl Sizes {
    /// About `rows` rows in all, at least a handful in each table, in the proportions of the default.
    pub fn of(rows: u32) -> Sizes {
        let share = |part: u64| {
            u32::try_from(u64::from(rows) * part / 31)
                .unwrap_or(u32::MAX)
                .max(5)
        };
        Sizes {
            users: share(5),
            products: share(2),
            orders: share(6),
        }
    }

    /// Very few rows, for tests that look at every one of them.
    pub const SMALL: Sizes = Sizes {
        users: 50,
        products: 40,
        orders: 100,
    };
}

/// Bytes of one INSERT statement, at most (plus one row).
const STATEMENT_BYTES: usize = 128 * 1024;

/// Makes the database (an old one of that name is dropped) and its tables, and leaves it the current one.
///
/// `database` must be a plain name: letters, digits and underscores.
pub async fn create(conn: &mut Conn, database: &str) -> mysql_async::Result<()> {
    debug_assert!(
        database
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_')
    );
    conn.query_drop(format!("DROP DATABASE IF EXISTS `{database}`"))
        .await?;
    conn.query_drop(format!("CREATE DATABASE `{database}`"))
        .await?;
    conn.query_drop(format!("USE `{database}`")).await?;
    for table in TABLES {
        conn.query_drop(table).await?;
    }
    Ok(())
}

/// Fills the tables of the current database; returns the number of rows.
///
/// `progress` is told the number of rows so far after each statement.
pub async fn fill(
    conn: &mut Conn,
    sizes: Sizes,
    seed: u64,
    mut progress: impl FnMut(u64),
) -> mysql_async::Result<u64> {
    conn.query_drop("SET time_zone = '+00:00'").await?;
    let mut rows = 0;
    for statement in statements(sizes, seed) {
        conn.query_drop(&statement.sql).await?;
        rows += statement.rows;
        progress(rows);
    }
    Ok(rows)
}

/// One INSERT of many rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The statement.
    pub sql: String,
    /// The rows that it inserts.
    pub rows: u64,
}

/// The INSERT statements that fill the tables, one after the other, never all in memory.
pub fn statements(sizes: Sizes, seed: u64) -> impl Iterator<Item = Statement> {
    // One generator of numbers for each table, so that the sizes of one do not change the rows of another.
    let mut rng = Rng::with_seed(seed);
    let (mut users, mut products, mut orders) = (rng.fork(), rng.fork(), rng.fork());
    let mut item_rng = rng.fork();
    let items = (1..=sizes.orders).flat_map(move |order| {
        let lines = item_rng.u32(1..=5);
        let rows: Vec<_> = (1..=lines)
            .map(|line| order_item(&mut item_rng, order.into(), line, sizes.products.into()))
            .collect();
        rows
    });
    batches("users", (1..=sizes.users).map(move |n| user(&mut users, n)))
        .chain(batches(
            "products",
            (1..=sizes.products).map(move |n| product(&mut products, n.into())),
        ))
        .chain(batches(
            "orders",
            (1..=sizes.orders).map(move |n| order(&mut orders, n.into(), sizes.users)),
        ))
        .chain(batches("order_items", items))
}

fn batches(
    table: &'static str,
    tuples: impl Iterator<Item = String>,
) -> impl Iterator<Item = Statement> {
    let mut tuples = tuples.peekable();
    std::iter::from_fn(move || {
        tuples.peek()?;
        let mut sql = format!("INSERT INTO {table} VALUES ");
        let mut rows = 0;
        while sql.len() < STATEMENT_BYTES {
            let Some(tuple) = tuples.next() else { break };
            if rows > 0 {
                sql.push(',');
            }
            sql.push_str(&tuple);
            rows += 1;
        }
        Some(Statement { sql, rows })
    })
}

const FIRST: [&str; 16] = [
    "Ada", "Björn", "Chloé", "Dmitri", "Esi", "Fátima", "Grażyna", "Hiro", "Ines", "Jürgen",
    "Kwame", "李娜", "Māra", "Nuala", "Ørjan", "Zoë",
];
const LAST: [&str; 12] = [
    "Abara",
    "Brandt",
    "Castro",
    "D'Souza",
    "Eriksen",
    "Fontaine",
    "O'Neil",
    "Ishikawa",
    "Kowalski",
    "Lindqvist",
    "Mbeki",
    "Novák",
];
const ADJECTIVE: [&str; 8] = [
    "Quiet", "Amber", "Folding", "Heavy", "Nordic", "Spare", "Tiny", "Woven",
];
const NOUN: [&str; 8] = [
    "Lamp",
    "Kettle",
    "Notebook",
    "Chair",
    "Compass",
    "Blanket",
    "Teapot ☕",
    "Ladder (2 m)",
];

/// A row of `users` as a tuple of SQL literals.
pub fn user(rng: &mut Rng, id: u32) -> String {
    let first = pick(rng, &FIRST);
    let last = pick(rng, &LAST);
    let name = match rng.u8(0..20) {
        0 => "NULL".to_owned(),
        1 => "''".to_owned(),
        _ => quoted(&format!("{first} {last}")),
    };
    let status = pick(rng, &["active", "active", "active", "blocked", "deleted"]);
    let preferences = preferences(rng);
    let created = 1_577_836_800 + rng.u32(0..150_000_000);
    format!(
        "({id},'user{id}@example.com',{name},'{status}',FROM_UNIXTIME({created}),{preferences})"
    )
}

/// A JSON document as an SQL literal, or NULL.
pub fn preferences(rng: &mut Rng) -> String {
    if rng.u8(0..10) == 0 {
        return "NULL".to_owned();
    }
    let language = pick(rng, &["de", "en", "pl", "日本語"]);
    quoted(&format!(
        r#"{{"language":"{language}","newsletter":{},"limit":{},"sizes":[{},{},null],"nested":{{"k":"v\"{}"}}}}"#,
        rng.bool(),
        f64::from(rng.u16(0..1000)) / 4.0,
        rng.i16(-5..5),
        rng.u8(0..50),
        rng.u8(0..9),
    ))
}

/// A row of `products` as a tuple of SQL literals.
pub fn product(rng: &mut Rng, id: u64) -> String {
    let title = format!("{} {} {id}", pick(rng, &ADJECTIVE), pick(rng, &NOUN));
    let description = match rng.u8(0..8) {
        0 => "NULL".to_owned(),
        n => quoted(&format!(
            "{title}. {}",
            "It does what it says; nothing else. ".repeat(n.into())
        )),
    };
    let weight = if rng.u8(0..6) == 0 {
        "NULL".to_owned()
    } else {
        rng.u32(0..40_000).to_string()
    };
    format!(
        "({id},'SKU{id:09}',{},{description},{},'{}',{weight},{},'{}')",
        quoted(&title),
        cents(rng.u32(0..500_000)),
        tags(rng),
        image(rng),
        moment(rng, 3),
    )
}

/// The labels of a SET, possibly none.
pub fn tags(rng: &mut Rng) -> String {
    let bits = rng.u8(0..16);
    let chosen: Vec<_> = ["new", "sale", "eco", "gift"]
        .into_iter()
        .enumerate()
        .filter(|(bit, _)| bits >> bit & 1 == 1)
        .map(|(_, label)| label)
        .collect();
    chosen.join(",")
}

/// Up to 64 bytes as an SQL literal, some of them ending in zero bytes, or NULL.
fn image(rng: &mut Rng) -> String {
    let length = rng.usize(0..=62);
    let mut hex = String::with_capacity(2 * length + 8);
    for _ in 0..length {
        let _ = write!(hex, "{:02X}", rng.u8(..));
    }
    match rng.u8(0..8) {
        0 => "NULL".to_owned(),
        1 => format!("x'{hex}0000'"),
        _ => format!("x'{hex}'"),
    }
}

/// A row of `orders` as a tuple of SQL literals; its user is one of the first `users`.
pub fn order(rng: &mut Rng, id: u64, users: u32) -> String {
    let status = pick(rng, &ORDER_STATES);
    let note = match rng.u8(0..5) {
        0 => quoted(&format!(
            "Ring twice; it's the \\{}th door, \"left\"",
            rng.u8(2..9)
        )),
        1 => "''".to_owned(),
        _ => "NULL".to_owned(),
    };
    format!(
        "({id},{},'{status}',{},'{}',{note})",
        rng.u32(1..=users.max(1)),
        cents(rng.u32(100..9_000_000)),
        moment(rng, 6),
    )
}

/// The states of an order, in the column's order.
pub const ORDER_STATES: [&str; 5] = ["cart", "placed", "paid", "shipped", "cancelled"];

/// A row of `order_items` as a tuple of SQL literals; its product is one of the first `products`.
pub fn order_item(rng: &mut Rng, order: u64, line: u32, products: u64) -> String {
    format!(
        "({order},{line},{},{},{})",
        rng.u64(1..=products.max(1)),
        rng.i32(1..20),
        cents(rng.u32(0..500_000)),
    )
}

/// An amount of cents as a decimal.
pub fn cents(amount: u32) -> String {
    format!("{}.{:02}", amount / 100, amount % 100)
}

/// A moment of 2020 to 2025 with `digits` digits of a second (0 to 6), without quotes.
pub fn moment(rng: &mut Rng, digits: u32) -> String {
    let mut text = format!(
        "{}-{:02}-{:02} {:02}:{:02}:{:02}",
        rng.u16(2020..2026),
        rng.u8(1..13),
        rng.u8(1..29),
        rng.u8(0..24),
        rng.u8(0..60),
        rng.u8(0..60),
    );
    if digits > 0 {
        let width = digits as usize;
        let _ = write!(text, ".{:0width$}", rng.u32(0..10_u32.pow(digits)));
    }
    text
}

/// One of the choices (of which there is at least one).
pub fn pick<'a>(rng: &mut Rng, choices: &[&'a str]) -> &'a str {
    rng.choice(choices).copied().unwrap_or_default()
}

/// `text` as an SQL string literal.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_rows() {
        let all = |seed| statements(Sizes::SMALL, seed).collect::<Vec<_>>();
        assert_eq!(all(1), all(1));
        assert_ne!(all(1), all(2));
    }

    #[test]
    fn the_default_shop_has_a_few_tens_of_thousands_of_rows_in_statements_of_bounded_size() {
        let mut rows = 0;
        for statement in statements(Sizes::default(), 7) {
            assert!(statement.sql.len() < STATEMENT_BYTES + 4096);
            rows += statement.rows;
        }
        assert!((25_000..40_000).contains(&rows), "{rows} rows");
    }

    #[test]
    fn a_shop_of_any_size_has_about_that_many_rows() {
        for wanted in [1_000_u32, 40_000, 100_000] {
            let rows: u64 = statements(Sizes::of(wanted), 3).map(|s| s.rows).sum();
            let wanted = u64::from(wanted);
            assert!(
                rows.abs_diff(wanted) < wanted / 10,
                "{rows} rows for {wanted}"
            );
        }
        assert_eq!(Sizes::of(0).users, 5);
    }

    #[test]
    fn literals_survive_quotes_and_backslashes() {
        assert_eq!(quoted(r"it's a \"), r"'it''s a \\'");
    }

    #[test]
    fn an_empty_shop_has_no_statements() {
        let none = Sizes {
            users: 0,
            products: 0,
            orders: 0,
        };
        assert_eq!(statements(none, 1).count(), 0);
    }
}
