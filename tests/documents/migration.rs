//! docs/migration.md: every stage with its command, its success, its trigger and its rollback.

use super::{command, page, parses};

const STAGES: [&str; 9] = [
    "Assess",
    "Prepare",
    "Copy",
    "Parallel run",
    "Verify",
    "Rehearse",
    "Cut over",
    "Roll back",
    "Decommission",
];

const PARTS: [&str; 4] = ["Command", "Done when", "Trigger", "Rollback"];

#[test]
fn every_stage_of_a_migration_has_all_of_its_parts() {
    let page = page("migration.md");
    let sections: Vec<&str> = page.split("\n## ").skip(1).collect();
    let heads: Vec<_> = sections.iter().filter_map(|s| s.lines().next()).collect();
    let wanted: Vec<_> = (1..)
        .zip(STAGES)
        .map(|(number, stage)| format!("{number} {stage}"))
        .collect();
    assert_eq!(heads, wanted);
    for section in sections {
        let stage = section.lines().next().unwrap_or_default();
        let parts: Vec<(&str, &str)> = section
            .lines()
            .filter_map(|line| line.strip_prefix("- **")?.split_once(":** "))
            .collect();
        let names: Vec<_> = parts.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, PARTS, "{stage}");
        for (name, text) in &parts {
            let words = text.split_whitespace().count();
            assert!(
                words >= 4 || *name == "Command",
                "{stage}, {name}: {text:?}"
            );
        }
        let mut commands = parts[0].1.split('`').skip(1).step_by(2).filter_map(command);
        let first = commands
            .next()
            .unwrap_or_else(|| panic!("{stage}: no command of penstock's"));
        for words in std::iter::once(first).chain(commands) {
            if let Err(error) = parses(&words) {
                panic!("{stage}: {error}");
            }
        }
    }
}

/// What the way back is made of: the page and the command agree.
#[test]
fn the_rollback_is_the_commands_own() {
    let page = page("migration.md");
    let section = page
        .split("\n## 8 ")
        .nth(1)
        .expect("the section")
        .split("\n## ")
        .next()
        .unwrap_or_default();
    let at = |what: &str| section.find(what).unwrap_or_else(|| panic!("{what}"));
    assert!(at("penstock cutover --reopen") < at("SET GLOBAL super_read_only = OFF"));
    assert!(section.contains(&format!("`{}`", penstock::phase::Phase::Ready.name())));
}
