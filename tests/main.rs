//! All integration tests, in one binary: they share one MySQL, which starts when the first test asks for it.

mod drain;
mod every_type;
mod house;
mod huge;
mod kills;
mod midway;
mod outage;
mod refusals;
mod sample;
mod stops;
mod support;
mod types;
mod workload;
