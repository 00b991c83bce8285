//! The contract as SQL: for each projection the one SELECT that defines its items.
//!
//! MySQL (8.0.14 or later) alone computes it, and nothing here is shared with our own evaluation: it is what a
//! person reads to see what an item is made of, and what the copy is compared with.
//!
//! Run it in a session that [`SESSION`] has set up. The text of each column, as MySQL sends it, is what the
//! attribute holds before it takes its type ([`SelectColumn::ty`]); NULL is NULL. What the types ask for is left to the
//! reader: the digits of a number, members of a set, a key that is NULL or empty (such a row has no item). Rows that a
//! transformation cannot read are left out by the SELECT itself.
//!
//! Where a projection's key is not proved unique, its rows come in the order of their source key, and of those that
//! share an item's key the first one owns it. Among the projections of one DynamoDB table the one that stands first in
//! the plan does.

mod aggregate;
mod expression;
mod item_key;
mod layout;
mod render;
mod rows;
mod transform;
mod value;

pub use rows::{DRIVING, FOUND, JoinedRows, joined_rows};

use crate::contract::Place;
use crate::contract::model::AttributeType;

pub use item_key::{ItemKey, KeyText, can_make};

use super::model::{Plan, Projection, Role};

/// The session in which the SELECTs mean what they say: UTC, UTF-8, MySQL's own `sql_mode`.
pub const SESSION: &str = "SET NAMES utf8mb4, time_zone = '+00:00', \
sql_mode = 'ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'";

/// One projection's items.
#[derive(Debug, Clone)]
pub struct Select {
    /// The projection's label.
    pub label: String,
    /// One statement, without a semicolon, formatted for people.
    pub sql: String,
    /// Aliases of the leading columns: the driving row's key, in key order, named `_key_1`, `_key_2`, …
    pub key: Vec<String>,
    /// Which of these have the form that they have in a row's name: a text whose characters do not give back its bytes
    /// is named by its bytes.
    pub named: Vec<bool>,
    /// The attributes, which follow in this order: those of [`Projection::attributes`].
    pub columns: Vec<SelectColumn>,
}

/// A column that is an attribute.
#[derive(Debug, Clone)]
pub struct SelectColumn {
    /// The attribute's name.
    pub name: String,
    pub ty: AttributeType,
    pub role: Role,
    /// `name:TYPE`, or `_attribute_N` where the name cannot be part of an alias.
    pub alias: String,
    /// The text is JSON whatever MySQL calls its type. (What MySQL calls JSON is JSON, too.)
    pub json: bool,
}

/// Why there is no SELECT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    #[error(
        "the plan was compiled offline: without MySQL's tables nobody knows their keys and types"
    )]
    Offline,
    /// MySQL joins 61 tables at most.
    #[error("{label} joins {joins} tables, and a MySQL query at most 61")]
    TooManyJoins { label: String, joins: usize },
    /// Never in a plan that was compiled by us.
    #[error("the expression at {} cannot be read again", place.pointer)]
    Expression { place: Place },
}

/// Which of the projection's rows.
#[derive(Debug, Clone, Copy)]
pub enum Narrow<'a> {
    All,
    /// Those for which a condition over the driving row (under the alias [`DRIVING`]) holds.
    Driving(&'a str),
    /// At least those whose items have one of these keys. Others may come with them: MySQL compares text as its collations
    /// do, and a part of the key may be enough to find the row.
    Items(&'a [ItemKey<'a>]),
}

/// The SELECT that defines the projection's items.
pub fn select(plan: &Plan, projection: &Projection) -> Result<Select, SelectError> {
    let all = select_narrow(plan, projection, Narrow::All)?;
    all.ok_or(SelectError::Offline)
}

/// The same for some of the rows; `None` where no row can be among them.
pub fn select_narrow(
    plan: &Plan,
    projection: &Projection,
    narrow: Narrow<'_>,
) -> Result<Option<Select>, SelectError> {
    if plan.offline {
        return Err(SelectError::Offline);
    }
    render::projection(plan, projection, narrow)
}

#[cfg(test)]
mod tests;
