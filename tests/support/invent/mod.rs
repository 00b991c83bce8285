//! Cases for property tests: from a seed a schema, a contract over it, rows, and random transactions.
//!
//! Everything is decided by the seed alone: nothing looks at the server, so that a failure can be repeated. Statements
//! are such that they never fail (`IGNORE`), whatever the rows are, but for foreign keys that forbid them; [`run`] takes
//! that for an answer. They belong into a session of [`SESSION`].
//! The tables are small (some ten rows each), their values skewed: rows share what they refer to, some refer to nothing
//! (NULL) or to what is not there.

mod attribute;
mod contract;
mod expression;
mod literal;
mod load;
mod owner;
mod schema;

use fastrand::Rng;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::Value;

pub use schema::Schema;

/// The session of everything that a case runs.
pub const SESSION: &str = "SET NAMES utf8mb4, time_zone = '+00:00', sql_mode = ''";

pub struct Case {
    pub seed: u64,
    pub ddl: Vec<String>,
    pub contract: Value,
    /// Statements that fill the tables.
    pub initial: Vec<String>,
    schema: Schema,
    rng: Rng,
}

impl Case {
    pub fn invent(seed: u64) -> Case {
        let mut rng = Rng::with_seed(seed);
        let schema = Schema::invent(&mut rng);
        let contract = contract::invent(&schema, &mut rng);
        let initial = load::initial(&schema, &mut rng);
        Case {
            seed,
            ddl: schema.ddl(),
            contract,
            initial,
            schema,
            rng,
        }
    }

    /// The next transaction, BEGIN and COMMIT (or ROLLBACK) included.
    pub fn next_transaction(&mut self) -> Vec<String> {
        load::transaction(&self.schema, &mut self.rng)
    }

    pub fn contract_json(&self) -> String {
        serde_json::to_string_pretty(&self.contract).expect("JSON")
    }
}

/// Runs statements; what a foreign key forbids does not happen.
pub async fn run(conn: &mut Conn, statements: &[String]) {
    for statement in statements {
        match conn.query_drop(statement).await {
            Err(mysql_async::Error::Server(error))
                if [1451, 1452, 1761, 3008, 6575].contains(&error.code) => {}
            Err(error) => panic!("{error}\n{statement}"),
            Ok(()) => {}
        }
    }
}

/// True once in `n`.
fn once_in(rng: &mut Rng, n: usize) -> bool {
    rng.usize(0..n) == 0
}

fn pick<'a, T>(rng: &mut Rng, choices: &'a [T]) -> &'a T {
    &choices[rng.usize(0..choices.len())]
}

/// The same for values that are copied.
fn one_of<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    *pick(rng, choices)
}
