//! DynamoDB: connecting, writing, provisioning, and the embedded server.
//!
//! [`DynamoWriter`] is the pipeline's `Writer`: one attempt for each call, with the answer taken apart into what became
//! of each item. Retrying, and the order of writes, are the pipeline's.

mod answer;
mod body;
pub mod classify;
pub mod client;
mod connection;
pub mod embedded;
mod keys;
mod meters;
pub mod provision;
mod rate;
mod reply;
mod signature;
mod update;
mod wire;
mod writer;

#[cfg(test)]
mod tests;

pub use client::{Target, connect};
pub use meters::Stats;
pub use wire::Wire;
pub use writer::{DynamoWriter, Table};
