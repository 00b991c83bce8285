//! penstock replicates MySQL into DynamoDB for a migration with a parallel run.
//!
//! The modules follow the flow of the data; `ARCHITECTURE.md` tells the whole story.
//!
//! ```text
//!  MySQL ──► source ──► view ──► pipeline ──► sink ──► DynamoDB
//!                         ▲                     │
//!       contract ──► plan ┘    checkpoint ◄─────┘ (what is durable)
//! ```
//!
//! `change`, `schema`, `contract`, `plan` and `view` are pure: they do no I/O and import nothing that does.

pub mod admin;
pub mod blueprint;
pub mod change;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod contract;
pub mod cost;
pub mod cutover;
pub mod daemon;
pub mod demo;
pub mod error;
pub mod expression;
pub mod metrics;
pub mod phase;
pub mod pipeline;
pub mod plan;
pub mod position;
pub mod prepare;
pub mod report;
pub mod schema;
pub mod sink;
pub mod source;
pub mod state;
pub mod terminal;
pub mod verify;
pub mod view;
mod words;
