//! All integration tests, in one binary: they share one MySQL, which starts when the first test asks for it.

mod chunks;
mod cli;
mod drain;
mod every_type;
mod house;
mod huge;
mod input;
mod kills;
mod letters;
mod metrics;
mod midway;
mod outage;
mod refusals;
mod rules;
mod sample;
mod snapshot;
mod stops;
mod support;
mod types;
mod workload;
