//! `penstock pause` and `penstock resume`

use std::time::Duration;

use serde_json::{Value, json};

use super::{Answer, Cli, Format, Outcome, output, runtime, state_directory};
use crate::admin::Client;
use crate::error::{Error, Kind, Result};

/// The transaction at hand ends first, and what is in flight is written.
const WAIT: Duration = Duration::from_secs(300);

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
