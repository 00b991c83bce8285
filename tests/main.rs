//! All integration tests, in one binary: they share one MySQL, which starts when the first test asks for it.

mod house;
mod sample;
mod support;
