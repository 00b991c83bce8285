//! All integration tests, in one binary: they share one MySQL, which starts when the first test asks for it.

mod cascades;
mod cli;
mod collations;
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
mod powerloss;
mod refusals;
mod rules;
mod sample;
mod selects;
mod snapshot;
mod state;
mod stops;
mod support;
mod types;
mod views;
mod workload;
