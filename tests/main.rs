//! All integration tests, in one binary: they share one MySQL, which starts when the first test asks for it.

mod every_type;
mod house;
mod kills;
mod letters;
mod metrics;
mod refusals;
mod sample;
mod stops;
mod support;
mod types;
mod workload;
