//! The plan for people: aligned text, JSON for tools, Mermaid for pictures, SQL for databases.

mod describe;
mod json;
mod mermaid;
mod rows;
mod sql;
mod text;

pub use json::json;
pub use mermaid::mermaid;
pub use sql::{sql, sql_json};
pub use text::text;
