//! `penstock pause`, `penstock resume` and `penstock resnapshot`

use std::time::Duration;

use serde_json::{Value, json};

use super::bars::{Voice, Wait, Way};
use super::{Answer, Cli, Format, Outcome, attached, output, runtime, state_directory};
use crate::admin::Client;
use crate::admin::control::{Again, Which};
use crate::error::{Error, Kind, Result};

/// The transaction at hand ends first, and what is in flight is written.
const WAIT: Duration = Duration::from_secs(300);
/// How often a copy is looked at.
const LOOK: Duration = Duration::from_millis(300);

pub(super) fn pause(cli: &Cli) -> Outcome {
    let told = ask(cli, "/pause")?;
    let by = told["paused"]["by"].as_str().unwrap_or_default();
    tell(
        cli,
        &told,
        &format!("paused by {by}: nothing is written until `penstock resume`"),
    )
}

pub(super) fn resume(cli: &Cli) -> Outcome {
    let told = ask(cli, "/resume")?;
    let text = match told["resumed"] == true {
        true => "the stream goes on",
        false => "the stream was not paused",
    };
    tell(cli, &told, text)
}

/// Begins, and follows it to its end.
pub(super) fn resnapshot(cli: &Cli, table: &str) -> Outcome {
    let which = Which {
        table: table.to_owned(),
    };
    let name = attached::with(cli, async |client| {
        let begun: Option<Value> = client.post("/resnapshot", &which, WAIT).await?;
        let begun = begun.ok_or_else(gone)?;
        let name = begun["table"].as_str().unwrap_or(table).to_owned();
        let mut wait = Wait::new("resnapshot", Voice::Command);
        loop {
            let tables: Option<Vec<Again>> = client.get("/resnapshot").await?;
            let tables = tables.ok_or_else(gone)?;
            let Some(again) = tables.iter().find(|again| again.table == name) else {
                return Ok(name);
            };
            let way = Way {
                done: again.rows,
                of: again.estimated_rows,
            };
            match again.step.as_str() {
                "copy" => wait.show(way, "rows copied:", ""),
                _ => wait.show(Way::default(), "looking for rows that are gone", ""),
            }
            tokio::time::sleep(LOOK).await;
        }
    })?;
    let text = format!(
        "{name} is copied again. Items that no row explains may be left: the comparison that is owed finds them, \
         `penstock verify --repair` removes them"
    );
    tell(cli, &json!({"table": name, "done": true}), &text)
}

fn gone() -> Error {
    Error::new(
        Kind::Interrupted,
        "the daemon ended before the table was copied",
    )
    .with_remedy("it goes on where it was when it runs again: `penstock run`")
}

/// Only a daemon that runs has a stream.
fn ask(cli: &Cli, path: &str) -> Result<Value, super::Failure> {
    let client = Client::new(&state_directory(cli)?);
    let asked: Result<Value> = runtime()?.block_on(async {
        let told: Option<Value> = client.post(path, &json!({}), WAIT).await?;
        told.ok_or_else(|| {
            Error::new(Kind::Usage, "no penstock runs here")
                .with_remedy("start it with `penstock run`; a pause holds over restarts")
        })
    });
    Ok(asked?)
}

fn tell(cli: &Cli, told: &Value, text: &str) -> Outcome {
    if cli.format == Format::Json {
        output::print_json(told)?;
    } else {
        output::print(&format!("{text}\n"))?;
    }
    Ok(Answer::Done)
}
