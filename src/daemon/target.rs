//! The target as the daemon starts on it: a client, the embedded server if that is the target, tables that are right.

use std::time::Duration;

use aws_sdk_dynamodb::Client;

use super::start::blocking;
use crate::config::{Endpoint, Settings};
use crate::error::{Directive, Error, Kind, Result};
use crate::plan::Plan;
use crate::sink::provision::{self, Condition};
use crate::sink::{self, embedded::Embedded};

/// How long the target may be away when the daemon starts.
const TARGET_PATIENCE: Duration = Duration::from_secs(60);

/// A client for the target, the embedded server if that is the target, and what to call it.
pub async fn open_target(settings: &Settings) -> Result<(Option<Embedded>, Client, String)> {
    let mut target = sink::Target {
        region: settings.target.region.clone(),
        request_timeout: settings.sink.request_timeout,
        ..sink::Target::default()
    };
    let mut embedded = None;
    let label = match &settings.target.endpoint {
        Endpoint::Embedded { port } => {
            let (dir, port) = (settings.state.join("embedded"), *port);
            let server = blocking(move || sink::embedded::start(&dir, port)).await?;
            let url = server.endpoint_url();
            target.endpoint_url = Some(url.clone());
            embedded = Some(server);
            format!("embedded {url}")
        }
        Endpoint::Url(url) => {
            target.endpoint_url = Some(url.clone());
            url.clone()
        }
        Endpoint::Aws => format!("aws {}", settings.target.region.as_deref().unwrap_or("")),
    };
    let client = sink::connect(&target).await;
    Ok((embedded, client, label))
}

/// Refuses a target whose tables are not as the plan wants them; makes those of the embedded one.
pub async fn ready_target(embedded: bool, client: &Client, plan: &Plan) -> Result<()> {
    if embedded {
        return provision::create(client, plan, Duration::from_secs(30), |_| {}).await;
    }
    let states = inspect(client, plan).await?;
    let wrong: Vec<String> = states
        .iter()
        .filter(|s| s.condition != Condition::Right)
        .map(ToString::to_string)
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        Kind::TargetTable,
        format!(
            "DynamoDB is not as the contract wants it: {}",
            wrong.join("; ")
        ),
    ))
}

/// The target's tables; a target that throttles or is away for a moment is asked again.
async fn inspect(client: &Client, plan: &Plan) -> Result<Vec<provision::TableState>> {
    let begun = std::time::Instant::now();
    let mut pause = Duration::from_millis(100);
    loop {
        match provision::inspect(client, plan).await {
            Err(error)
                if error.directive() == Directive::Retry && begun.elapsed() < TARGET_PATIENCE =>
            {
                tracing::warn!(%error, "DynamoDB does not tell its tables; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            answer => return answer,
        }
    }
}
