//! The report of a cutover: what was proved, when, at which position; as JSON and Markdown, each with its own checksum.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Gate, Options};

/// What a cutover did. Holds no row values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Counts cutovers and reopenings of this state directory.
    pub serial: u64,
    /// Who asked for it.
    pub by: String,
    pub options: Options,
    pub versions: Versions,
    pub plan_fingerprint: String,
    /// `aws eu-central-1`
    pub target: String,
    /// Everything up to here, and nothing after it, is in DynamoDB.
    pub position: Position,
    pub times: Times,
    pub counts: Counts,
    /// The full comparison that it builds on.
    pub parity: Value,
    /// As they were with the sink sealed.
    pub gates: Vec<Gate>,
    /// What was done, oldest first.
    pub audit: Vec<Entry>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    pub penstock: String,
    pub mysql: String,
    pub mysql_server_uuid: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// `gtid_executed`, read after writes had stopped.
    pub gtids: String,
    pub file: String,
    pub offset: u64,
}

/// Milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    pub begun: u64,
    /// The gates were open, the position was read.
    pub position_read: u64,
    pub drained: u64,
    pub compared: u64,
    pub sealed: u64,
    pub cut_over: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub tables: u64,
    pub rows_copied: u64,
    /// Transactions that became durable since this daemon was started.
    pub transactions: u64,
    /// Items written since the last full comparison, compared once more.
    pub items_compared: u64,
    pub dead_letters: u64,
}

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub at_unix_ms: u64,
    #[serde(default)]
    pub who: String,
    pub action: String,
    pub detail: String,
}

/// A report with its checksum, as the JSON file has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    /// Of the file without this line.
    pub sha256: String,
    /// The command that computes it.
    pub verify_with: String,
    pub report: Report,
}

impl Report {
    /// The name of its files, without the ending: `cutover-2026-11-26T17-03-09Z`.
    pub fn stem(&self) -> String {
        let at = utc(self.times.cut_over).replace(' ', "T").replace(':', "-");
        format!("cutover-{}Z", at.get(..19).unwrap_or(&at))
    }

    /// The JSON file.
    pub fn json(&self) -> serde_json::Result<(Sealed, String)> {
        let mut sealed = Sealed {
            sha256: String::new(),
            verify_with: format!("grep -v '^  \"sha256\":' {}.json | sha256sum", self.stem()),
            report: self.clone(),
        };
        let empty = serde_json::to_string_pretty(&sealed)? + "\n";
        let is_sum = |line: &&str| line.starts_with("  \"sha256\":");
        sealed.sha256 = sum_without(&empty, is_sum);
        let text = serde_json::to_string_pretty(&sealed)? + "\n";
        Ok((sealed, text))
    }

    /// The Markdown file.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_markdown(&mut text);
        let _ = writeln!(
            text,
            "\nThe checksum is of this file without its last line: `grep -v '^SHA-256: ' {}.md | sha256sum`\n",
            self.stem()
        );
        let sum = sum_without(&text, |_| false);
        let _ = writeln!(text, "SHA-256: {sum}");
        text
    }

    fn write_markdown(&self, out: &mut String) -> std::fmt::Result {
        let (times, counts) = (&self.times, &self.counts);
        writeln!(out, "# Cutover {}\n", self.serial)?;
        writeln!(
            out,
            "DynamoDB holds what the contract defines over MySQL's rows at this position; penstock writes nothing after it.\n"
        )?;
        writeln!(out, "| | |\n|---|---|")?;
        let mut row = |name: &str, value: String| writeln!(out, "| {name} | {value} |");
        row("position (gtid_executed)", code(&self.position.gtids))?;
        let file = format!("{} {}", self.position.file, self.position.offset);
        row("binlog", code(&file))?;
        row("cut over at", utc(times.cut_over))?;
        row("asked for by", cell(&self.by))?;
        row("drain", seconds(times.position_read, times.drained))?;
        row(
            "comparison of what had changed",
            seconds(times.drained, times.compared),
        )?;
        row(
            "from the first gate to the end",
            seconds(times.begun, times.cut_over),
        )?;
        let copied = format!("{} rows of {} tables", counts.rows_copied, counts.tables);
        row("copied", copied)?;
        row(
            "transactions since the daemon's start",
            counts.transactions.to_string(),
        )?;
        row(
            "items compared at the end",
            counts.items_compared.to_string(),
        )?;
        row("dead letters", counts.dead_letters.to_string())?;
        row("penstock", cell(&self.versions.penstock))?;
        let mysql = format!(
            "{} ({})",
            self.versions.mysql, self.versions.mysql_server_uuid
        );
        row("MySQL", cell(&mysql))?;
        row("target", cell(&self.target))?;
        row("plan", code(&self.plan_fingerprint))?;
        row(
            "source asked to be read-only",
            yes(self.options.expect_read_only),
        )?;
        writeln!(
            out,
            "\n## Gates\n\n| gate | state | reason |\n|---|---|---|"
        )?;
        for gate in &self.gates {
            let state = if gate.open { "open" } else { "shut" };
            writeln!(out, "| {} | {state} | {} |", gate.name, cell(&gate.reason))?;
        }
        writeln!(out, "\n## The last full comparison\n\n```json")?;
        let parity = serde_json::to_string_pretty(&self.parity).unwrap_or_default();
        writeln!(out, "{parity}\n```")?;
        writeln!(
            out,
            "\n## What was done\n\n| when | who | what | detail |\n|---|---|---|---|"
        )?;
        for entry in &self.audit {
            writeln!(
                out,
                "| {} | {} | {} | {} |",
                utc(entry.at_unix_ms),
                cell(&entry.who),
                cell(&entry.action),
                cell(&entry.detail)
            )?;
        }
        Ok(())
    }
}

/// The checksum of the lines that do not fit `but`.
fn sum_without(text: &str, but: impl Fn(&&str) -> bool) -> String {
    let mut sum = Sha256::new();
    for line in text.lines().filter(|line| !but(line)) {
        sum.update(line);
        sum.update("\n");
    }
    hex::encode(sum.finalize())
}

/// Text in a table's cell.
pub fn cell(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace('|', "\\|")
}

fn code(value: &str) -> String {
    format!("`{}`", cell(value).replace('`', "'"))
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

fn seconds(from: u64, to: u64) -> String {
    let milliseconds = to.saturating_sub(from);
    format!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000)
}

/// `2026-11-26 17:03:09.250 UTC`
pub fn utc(unix_ms: u64) -> String {
    let (days, rest) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, milli) = (rest / 1000 % 60, rest % 1000);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{milli:03} UTC")
}

/// The date of a day since 1970, in the Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years that begin in March, in eras of 400 years that begin on 0000-03-01.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::json;

    use super::*;

    fn report() -> Report {
        Report {
            serial: 3,
            by: "ana (uid 7) | \n".into(),
            options: Options::default(),
            versions: Versions {
                penstock: "0.1.0".into(),
                mysql: "9.7.4".into(),
                mysql_server_uuid: "11111111".into(),
            },
            plan_fingerprint: "abc".into(),
            target: "aws eu-central-1".into(),
            position: Position {
                gtids: "11111111-1111-1111-1111-111111111111:1-7,\n22:1".into(),
                file: "binlog.000001".into(),
                offset: 4,
            },
            times: Times {
                begun: 1_000,
                position_read: 1_100,
                drained: 2_350,
                compared: 3_000,
                sealed: 3_100,
                cut_over: 1_795_712_589_250,
            },
            counts: Counts::default(),
            parity: json!({"last_pass": {"items": 5, "ratio": 0.5}, "sha256": "not this one"}),
            gates: vec![Gate::open("lag", "0.0 s behind")],
            audit: vec![Entry {
                at_unix_ms: 0,
                who: "ana".into(),
                action: "cutover begun".into(),
                detail: "SHA-256: of nothing".into(),
            }],
        }
    }

    /// The stated command, in a shell, over the file.
    fn shell(name: &str, text: &str, command: &str) -> String {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(name), text).expect("the file");
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(dir.path())
            .output()
            .expect("a shell");
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        out.split_whitespace().next().unwrap_or_default().to_owned()
    }

    #[test]
    fn the_stated_commands_verify_the_files() {
        let (sealed, text) = report().json().expect("JSON");
        assert_eq!(
            shell(
                "cutover-2026-11-26T17-03-09Z.json",
                &text,
                &sealed.verify_with
            ),
            sealed.sha256
        );
        let changed = text.replace("\"offset\": 4", "\"offset\": 5");
        assert_ne!(
            shell(
                "cutover-2026-11-26T17-03-09Z.json",
                &changed,
                &sealed.verify_with
            ),
            sealed.sha256
        );
        let back: Sealed = serde_json::from_str(&text).expect("the report again");
        assert_eq!(back, sealed);

        let markdown = report().markdown();
        let command = markdown.rsplit('`').nth(1).expect("a command");
        let sum = markdown.trim_end().rsplit(' ').next().expect("a sum");
        assert_eq!(
            shell("cutover-2026-11-26T17-03-09Z.md", &markdown, command),
            sum
        );
        let changed = markdown.replace("ana", "bob");
        assert_ne!(
            shell("cutover-2026-11-26T17-03-09Z.md", &changed, command),
            sum
        );
    }

    #[test]
    fn a_day_has_its_date() {
        for (ms, date) in [
            (0, "1970-01-01 00:00:00.000 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00.000 UTC"),
            (1_795_712_589_250, "2026-11-26 17:03:09.250 UTC"),
            (4_107_542_399_999, "2100-02-28 23:59:59.999 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00:00.000 UTC"),
        ] {
            assert_eq!(utc(ms), date);
        }
    }

    #[test]
    fn the_markdown_has_what_a_reader_looks_for() {
        let text = report().markdown();
        for part in [
            "# Cutover 3",
            "`11111111-1111-1111-1111-111111111111:1-7, 22:1`",
            "| cut over at | 2026-11-26 17:03:09.250 UTC |",
            "| drain | 1.250 s |",
            "| lag | open | 0.0 s behind |",
            "ana (uid 7) \\|",
            "cutover begun",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
}
