//! `penstock demo`

use super::{Answer, DemoOptions, Outcome, seams};

pub(super) fn run(options: &DemoOptions) -> Outcome {
    seams::demo(options)?;
    Ok(Answer::Done)
}
