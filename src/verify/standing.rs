//! What is proved and what is owed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::report::Entity;
use crate::checkpoint::now_unix_ms;

/// Kept as a fact of the checkpoint under `parity`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The last full comparison.
    pub last_pass: Option<Pass>,
    pub last_clean_finished_unix_ms: Option<u64>,
    /// Why another full comparison is needed.
    pub owed: Option<Owed>,
    /// Since when.
    #[serde(default)]
    pub owed_unix_ms: u64,
}

/// A full comparison of both sides.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pass {
    pub started_unix_ms: u64,
    pub finished_unix_ms: u64,
    pub items: u64,
    pub mismatches: BTreeMap<String, u64>,
    pub undecided: u64,
    pub clean: bool,
    /// By entity of the contract.
    #[serde(default)]
    pub entities: BTreeMap<String, Entity>,
}

/// Why the last comparison does not prove that both sides are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owed {
    NeverVerified,
    Repaired,
    Resnapshot,
    /// What was written since the pass is not known.
    Restarted,
    AnotherServer,
    RebuiltStore,
    Mismatches,
    Undecided,
    DirtyOverflown,
}

impl Owed {
    /// Why, in words.
    pub fn reason(self) -> &'static str {
        match self {
            Owed::NeverVerified => "both sides were never compared",
            Owed::Repaired => "items were repaired since the last full comparison",
            Owed::Resnapshot => "a table was copied again since the last full comparison",
            Owed::Restarted => {
                "penstock was started since the last full comparison: what was written in between is not known"
            }
            Owed::AnotherServer => "MySQL is another server than at the last full comparison",
            Owed::RebuiltStore => {
                "the checkpoint was rebuilt from its mirror since the last full comparison"
            }
            Owed::Mismatches => "the last full comparison found differences",
            Owed::Undecided => "the last full comparison could not decide about some items",
            Owed::DirtyOverflown => {
                "more was written since the last full comparison than is remembered"
            }
        }
    }

    /// What pays it.
    pub fn remedy(self) -> &'static str {
        match self {
            Owed::Mismatches => "`penstock verify --repair`, then `penstock verify` once more",
            Owed::NeverVerified
            | Owed::Repaired
            | Owed::Resnapshot
            | Owed::Restarted
            | Owed::AnotherServer
            | Owed::RebuiltStore
            | Owed::Undecided
            | Owed::DirtyOverflown => "run `penstock verify`",
        }
    }
}

impl Standing {
    /// Another full comparison is needed, one that begins after this.
    pub fn owe(&mut self, owed: Owed) {
        self.owed = Some(owed);
        self.owed_unix_ms = now_unix_ms();
    }

    /// Whether parity is proved, but for what was written since.
    pub fn gate(&self) -> Result<(), Owed> {
        match (&self.owed, &self.last_pass) {
            (Some(owed), _) => Err(*owed),
            (None, Some(pass)) if pass.clean => Ok(()),
            (None, Some(pass))
                if pass.undecided > 0 && pass.mismatches.values().all(|n| *n == 0) =>
            {
                Err(Owed::Undecided)
            }
            (None, Some(_)) => Err(Owed::Mismatches),
            (None, None) => Err(Owed::NeverVerified),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only a clean pass after which nothing was owed proves anything.
    #[test]
    fn what_is_not_proved_says_why() {
        let pass = |clean: bool, missing: u64, undecided: u64| Pass {
            clean,
            undecided,
            mismatches: BTreeMap::from([("missing".to_owned(), missing)]),
            ..Pass::default()
        };
        let mut standing = Standing::default();
        assert_eq!(standing.gate(), Err(Owed::NeverVerified));
        for (last, says) in [
            (pass(true, 0, 0), Ok(())),
            (pass(false, 0, 1), Err(Owed::Undecided)),
            (pass(false, 1, 1), Err(Owed::Mismatches)),
        ] {
            standing.last_pass = Some(last);
            assert_eq!(standing.gate(), says);
        }
        standing.last_pass = Some(pass(true, 0, 0));
        standing.owe(Owed::Repaired);
        assert_eq!(standing.gate(), Err(Owed::Repaired));
        assert!(standing.owed_unix_ms > 0);
    }
}
