//! `penstock demo`

use super::{Answer, DemoOptions, Outcome, seams};

pub(super) fn run(options: &DemoOptions) -> Outcome {
    Ok(if seams::demo(options)? {
        Answer::Done
    } else {
        Answer::No
    })
}
