//! `penstock verify`

use std::path::Path;
use std::time::{Duration, Instant};

use super::bars::{Voice, Wait, Way};
use super::{Answer, Cli, Failure, Format, Outcome, VerifyOptions, attached, output};
use crate::admin::Client;
use crate::admin::verify::{Ended, Order, Standing};
use crate::error::{Error, Kind, Result};
use crate::verify::progress::{Snapshot, Step};
use crate::verify::report::{Mode, Report};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(200);
/// A daemon that does not answer is asked again for so long.
const SILENCE: Duration = Duration::from_secs(30);
/// A fresh flow needs a moment to know that its tables are copied.
const COPY: Duration = Duration::from_secs(60);

pub(super) fn run(cli: &Cli, options: &VerifyOptions) -> Outcome {
    if options.stop {
        return stop(cli);
    }
    let order = order(options)?;
    let ended = attached::with(cli, async |client| {
        let begun = begin(client, &order).await?;
        follow(client, begun).await
    })?;
    match ended {
        Ended::Done { files, .. } => tell(cli.format, &files),
        Ended::Failed {
            kind,
            reason,
            remedy,
        } => {
            let kind = Kind::named(&kind).unwrap_or(Kind::Internal);
            Err(Error::new(kind, reason).with_remedy(remedy).into())
        }
    }
}

fn order(options: &VerifyOptions) -> Result<Order> {
    let (mode, keys) = match (&options.keys_from, &options.entity, options.sample) {
        (Some(path), ..) => (Mode::Keys, report(path)?.findings),
        (None, Some(entity), _) => (Mode::Entity(entity.clone()), Vec::new()),
        (None, None, Some(percent)) => {
            if !(percent > 0.0 && percent <= 100.0) {
                return Err(Error::new(
                    Kind::Usage,
                    "--sample takes percent: more than 0, at most 100",
                ));
            }
            (Mode::Sample(percent), Vec::new())
        }
        (None, None, None) => (Mode::Full, Vec::new()),
    };
    Ok(Order {
        mode,
        repair: options.repair,
        show_values: options.show_values,
        keys,
    })
}

/// A report as it was written.
fn report(path: &Path) -> Result<Report> {
    let unreadable = |what: String| {
        Error::new(
            Kind::Usage,
            format!("the report {}: {what}", path.display()),
        )
        .with_remedy("name the JSON file that an earlier `penstock verify` has written")
    };
    let bytes = std::fs::read(path).map_err(|e| unreadable(e.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|_| unreadable("it is no report of penstock's".into()))
}

async fn begin(client: &Client, order: &Order) -> Result<Standing> {
    let begun = Instant::now();
    loop {
        let answer: Result<Option<Standing>> = client.post("/verify", order, PATIENCE).await;
        match answer {
            Ok(standing) => return standing.ok_or_else(gone),
            // Our own flow has just started.
            Err(error)
                if error.message().starts_with("the snapshot is not complete")
                    && begun.elapsed() < COPY =>
            {
                tokio::time::sleep(LOOK).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Waits for the end and shows how it goes.
async fn follow(client: &Client, begun: Standing) -> Result<Ended> {
    let mut wait = Wait::new("verify", Voice::Command);
    let mut heard = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let now = match client.get::<Standing>("/verify").await {
            Ok(Some(now)) if now.attempt == begun.attempt => now,
            Ok(Some(_)) => return Err(gone()),
            Ok(None) | Err(_) => {
                if heard.elapsed() > SILENCE {
                    return Err(gone());
                }
                continue;
            }
        };
        heard = Instant::now();
        if let Some(ended) = now.ended {
            return Ok(ended);
        }
        if let Some(progress) = now.progress {
            let (way, step, more) = words(&progress);
            wait.show(way, step, &more);
        }
    }
}

/// Where a comparison is: how far, what it does, what it has found.
pub(super) fn words(progress: &Snapshot) -> (Way, &'static str, String) {
    let differ = (progress.mismatches > 0).then(|| format!("{} differ", progress.mismatches));
    let left = progress
        .seconds_left
        .filter(|_| progress.step == Step::Compare);
    let left = left.map(|seconds| format!("{} left", super::status::span(seconds)));
    let more: Vec<String> = [differ, left].into_iter().flatten().collect();
    let way = Way {
        done: progress.items,
        of: progress.estimated,
    };
    (way, progress.step.words(), more.join(", "))
}

fn tell(format: Format, files: &[String]) -> Outcome {
    let Some(path) = files.first() else {
        return Err(gone().into());
    };
    let report = report(Path::new(path))?;
    if format == Format::Json {
        output::print_json(&report)?;
    } else {
        let mut text = report.markdown();
        for file in files {
            text.push_str(&format!("\nreport: {file}"));
        }
        output::print(&text)?;
    }
    Ok(match report.is_clean() {
        true => Answer::Done,
        false => Answer::No,
    })
}

fn stop(cli: &Cli) -> Outcome {
    let client = Client::new(&super::state_directory(cli)?);
    let answer: Result<Option<serde_json::Value>> =
        super::runtime()?.block_on(client.post("/verify/stop", &serde_json::json!({}), PATIENCE));
    let stopped = answer?.is_some_and(|answer| answer["stopped"] == true);
    if cli.format == Format::Json {
        output::print_json(&serde_json::json!({"stopped": stopped}))?;
    } else {
        output::print(match stopped {
            true => "The comparison is stopped; one of the same kind goes on where it was.",
            false => "No comparison is under way.",
        })?;
    }
    Ok::<Answer, Failure>(Answer::Done)
}

fn gone() -> Error {
    Error::new(
        Kind::Interrupted,
        "the daemon ended while it compared both sides",
    )
    .with_remedy("start it again: a comparison of the same kind goes on where it was")
}
