//! `penstock cutover` and `penstock rehearse`

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::drain::Drain;
use super::{Answer, Cli, CutoverOptions, Failure, Format, Outcome, attached, output};
use crate::admin::Client;
use crate::cutover::{self, Gate, Options, Progress, Rehearsal, Sealed};
use crate::error::{Error, Kind, Result};

/// How long an answer may take that is not a wait.
const PATIENCE: Duration = Duration::from_secs(60);
/// A daemon that does not answer while a cutover is under way is asked again for so long.
const SILENCE: Duration = Duration::from_secs(30);
/// A rehearsal waits for a drain.
const REHEARSAL: Duration = Duration::from_secs(24 * 3600);

pub(super) fn cutover(cli: &Cli, options: &CutoverOptions) -> Outcome {
    if options.reopen {
        return reopen(cli);
    }
    if options.abort {
        return abort(cli);
    }
    let asked = Options {
        dry_run: options.dry_run,
        wait_seconds: options.wait,
        expect_read_only: options.expect_read_only,
    };
    let ended = attached::with(cli, async |client| {
        let begun: Option<Progress> = client.post("/cutover", &asked, PATIENCE).await?;
        follow(client, begun.ok_or_else(gone)?).await
    });
    if let Err(Failure::Error(error)) = &ended
        && error.kind() == Kind::Interrupted
    {
        // Nobody waits for it any more. Where the daemon is gone, or it is made already, there is nothing to give up.
        let client = Client::new(&super::state_directory(cli)?);
        let given_up = super::runtime()?.block_on(give_up(&client));
        if let Ok(outcome @ cutover::Outcome::CutOver { .. }) = given_up {
            let made = Progress {
                outcome: Some(outcome),
                ..Progress::default()
            };
            return tell(cli.format, &made);
        }
    }
    tell(cli.format, &ended?)
}

fn reopen(cli: &Cli) -> Outcome {
    attached::with(cli, async |client| {
        let done: Option<Value> = client.post("/cutover/reopen", &json!({}), PATIENCE).await?;
        done.ok_or_else(gone)
    })?;
    if cli.format == Format::Json {
        output::print_json(&json!({"reopened": true}))?;
    } else {
        output::print(
            "The cutover is taken back: a running penstock goes on from its position, else `penstock run` does.\n\
             The comparison of both sides is owed again: `penstock verify`.",
        )?;
    }
    Ok(Answer::Done)
}

/// Only a daemon that runs can have one under way.
fn abort(cli: &Cli) -> Outcome {
    let client = Client::new(&super::state_directory(cli)?);
    tell_abort(cli.format, &super::runtime()?.block_on(give_up(&client))?)
}

/// It may have come too late.
fn tell_abort(format: Format, outcome: &cutover::Outcome) -> Outcome {
    if let cutover::Outcome::Failed { .. } = outcome {
        let ended = Progress {
            outcome: Some(outcome.clone()),
            ..Progress::default()
        };
        return tell(format, &ended);
    }
    let made = matches!(outcome, cutover::Outcome::CutOver { .. });
    if format == Format::Json {
        output::print_json(&json!({"aborted": !made, "outcome": outcome}))?;
    } else if made {
        output::print(
            "Too late: the cutover is made, and penstock writes nothing any more.\n\
             `penstock cutover --reopen` takes it back, where the application has not moved.",
        )?;
    } else {
        output::print("The cutover is given up; the stream goes on.")?;
    }
    Ok(if made { Answer::No } else { Answer::Done })
}

async fn give_up(client: &Client) -> Result<cutover::Outcome> {
    let done: Option<cutover::Outcome> =
        client.post("/cutover/abort", &json!({}), PATIENCE).await?;
    done.ok_or_else(|| {
        Error::new(Kind::Usage, "no penstock runs, so no cutover is under way")
            .with_remedy("`penstock cutover --reopen` takes back one that has been made")
    })
}

/// Waits for the end, telling each step on stderr.
async fn follow(client: &Client, mut now: Progress) -> Result<Progress> {
    let (attempt, mut silent_since) = (now.attempt, None::<Instant>);
    let mut wait = Drain::new("cutover");
    while now.outcome.is_none() {
        wait.step(&now);
        let path = format!("/cutover?seen={}", now.version);
        match wait.shown(client, client.get::<Progress>(&path)).await {
            Ok(Some(next)) if next.attempt == attempt => {
                silent_since = None;
                now = next;
            }
            // Started again meanwhile: what it says is of an earlier one, or that it was made.
            Ok(Some(next)) if matches!(next.outcome, Some(cutover::Outcome::CutOver { .. })) => {
                return Ok(next);
            }
            Ok(Some(_)) => return Err(lost()),
            Ok(None) | Err(_) => {
                if silent_since.get_or_insert_with(Instant::now).elapsed() > SILENCE {
                    return Err(lost());
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
    Ok(now)
}

fn gone() -> Error {
    Error::new(Kind::Interrupted, "the daemon ended before it answered")
}

fn lost() -> Error {
    Error::new(
        Kind::Interrupted,
        "the daemon ended while the cutover was under way",
    )
    .with_remedy("start it again: `penstock status` tells whether the phase is cut_over")
}

fn tell(format: Format, ended: &Progress) -> Outcome {
    let Some(outcome) = &ended.outcome else {
        return Err(lost().into());
    };
    if let cutover::Outcome::Failed {
        kind,
        reason,
        remedy,
    } = outcome
    {
        let kind = Kind::named(kind).unwrap_or(Kind::Internal);
        return Err(Error::new(kind, reason).with_remedy(remedy).into());
    }
    if format == Format::Json {
        output::print_json(&json!({"gates": ended.gates, "outcome": outcome}))?;
    } else {
        output::print(&render(outcome, &ended.gates))?;
    }
    Ok(match outcome {
        cutover::Outcome::CutOver { .. } | cutover::Outcome::DryRun { open: true } => Answer::Done,
        cutover::Outcome::DryRun { open: false }
        | cutover::Outcome::Refused { .. }
        | cutover::Outcome::Aborted => Answer::No,
        cutover::Outcome::Failed { .. } => Answer::Failed,
    })
}

fn render(outcome: &cutover::Outcome, gates: &[Gate]) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = match outcome {
        cutover::Outcome::CutOver {
            report,
            files,
            warning,
        } => render_made(&mut out, report, files, warning.as_deref()),
        cutover::Outcome::DryRun { open } => render_gates(&mut out, gates).and_then(|()| {
            let answer = if *open {
                "all gates are open"
            } else {
                "not yet: a gate is shut"
            };
            writeln!(out, "{answer}")
        }),
        cutover::Outcome::Refused { .. } => render_gates(&mut out, gates)
            .and_then(|()| writeln!(out, "no cutover: the stream goes on")),
        cutover::Outcome::Aborted => writeln!(out, "given up: the stream goes on"),
        cutover::Outcome::Failed { reason, .. } => writeln!(out, "failed: {reason}"),
    };
    out
}

fn render_made(
    out: &mut String,
    sealed: &Sealed,
    files: &[String],
    warning: Option<&str>,
) -> std::fmt::Result {
    let report = &sealed.report;
    writeln!(
        out,
        "Cut over: the application may move. penstock writes nothing any more."
    )?;
    writeln!(out, "position   {}", report.position.gtids)?;
    let took = report.times.cut_over.saturating_sub(report.times.begun);
    writeln!(out, "took       {:.1} s", took as f64 / 1000.0)?;
    writeln!(out, "compared   {} items", report.counts.items_compared)?;
    for file in files {
        writeln!(out, "report     {file}")?;
    }
    writeln!(
        out,
        "sha256     {}  ({})",
        sealed.sha256, sealed.verify_with
    )?;
    warning.map_or(Ok(()), |warning| writeln!(out, "WARNING    {warning}"))
}

fn render_gates(out: &mut String, gates: &[Gate]) -> std::fmt::Result {
    for gate in gates {
        let state = if gate.open { "open" } else { "SHUT" };
        writeln!(out, "{state}  {:<12} {}", gate.name, gate.reason)?;
        if let Some(remedy) = gate.remedy.as_ref().filter(|_| !gate.open) {
            writeln!(out, "{:>18} {remedy}", "→")?;
        }
    }
    Ok(())
}

pub(super) fn rehearse(cli: &Cli) -> Outcome {
    let rehearsal: Rehearsal = attached::with(cli, async |client| {
        let mut wait = Drain::new("rehearse");
        let nothing = json!({});
        let done = client.post("/rehearse", &nothing, REHEARSAL);
        wait.shown(client, done).await?.ok_or_else(gone)
    })?;
    if cli.format == Format::Json {
        output::print_json(&rehearsal)?;
    } else {
        output::print(&render_rehearsal(&rehearsal)?)?;
    }
    // Nothing was asked that could be answered by no.
    Ok(Answer::Done)
}

fn render_rehearsal(rehearsal: &Rehearsal) -> Result<String, Failure> {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = rehearsal_lines(&mut out, rehearsal);
    Ok(out)
}

fn rehearsal_lines(out: &mut String, rehearsal: &Rehearsal) -> std::fmt::Result {
    render_gates(out, &rehearsal.gates)?;
    let (drain, parity) = (&rehearsal.drain, &rehearsal.parity);
    match drain.seconds {
        Some(seconds) => writeln!(
            out,
            "drain       {seconds:.2} s for {} transactions, {} items in flight",
            drain.transactions, drain.in_flight
        )?,
        None => writeln!(
            out,
            "drain       did not end in time ([cutover] drain_within_s)"
        )?,
    }
    if let Some(rate) = drain.transactions_per_second {
        writeln!(out, "rate        {rate:.0} transactions/s became durable")?;
    }
    let still = if drain.source_stood_still {
        "the source took no writes meanwhile"
    } else {
        "the source takes writes: stop them before the cutover"
    };
    writeln!(out, "source      {still}")?;
    match (parity.full_items, parity.full_seconds) {
        (Some(items), Some(seconds)) => writeln!(
            out,
            "comparison  the last full one took {seconds:.1} s for {items} items"
        )?,
        _ => writeln!(
            out,
            "comparison  there was no full one yet: `penstock verify`"
        )?,
    }
    match (parity.changed_items, parity.changed_seconds) {
        (Some(items), Some(seconds)) => {
            writeln!(
                out,
                "            {items} items written since: about {seconds:.1} s"
            )
        }
        (Some(items), None) => writeln!(out, "            {items} items written since"),
        (None, _) => writeln!(out, "            what was written since is not known"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shut_gates_are_told_with_their_remedy() {
        let gates = [
            Gate::open("lag", "0.0 s behind the source"),
            Gate::shut("dead_letters", "2 rows without a valid item", "retry them"),
        ];
        let shut = gates[1..].to_vec();
        let text = render(&cutover::Outcome::Refused { shut }, &gates);
        assert_eq!(
            text,
            "open  lag          0.0 s behind the source\n\
             SHUT  dead_letters 2 rows without a valid item\n                 → retry them\n\
             no cutover: the stream goes on\n"
        );
    }

    #[test]
    fn an_abort_that_comes_too_late_says_so() {
        let status = |outcome| output::status(&tell_abort(Format::Text, &outcome));
        assert_eq!(status(cutover::Outcome::Aborted), 0);
        assert_eq!(status(cutover::Outcome::Refused { shut: Vec::new() }), 0);
        let (report, _) = cutover::Report::default().json().expect("JSON");
        let made = cutover::Outcome::CutOver {
            report: Box::new(report),
            files: Vec::new(),
            warning: None,
        };
        assert_eq!(status(made), 3);
        let unsure = cutover::Outcome::Failed {
            kind: "store".into(),
            reason: "not known".into(),
            remedy: "look".into(),
        };
        assert_eq!(status(unsure), 1);
    }

    #[test]
    fn the_answer_is_the_exit_status() {
        let ended = |outcome| Progress {
            outcome: Some(outcome),
            ..Progress::default()
        };
        let status = |outcome| output::status(&tell(Format::Text, &ended(outcome)));
        assert_eq!(status(cutover::Outcome::DryRun { open: true }), 0);
        assert_eq!(status(cutover::Outcome::DryRun { open: false }), 3);
        assert_eq!(status(cutover::Outcome::Refused { shut: Vec::new() }), 3);
        assert_eq!(status(cutover::Outcome::Aborted), 3);
        let failed = cutover::Outcome::Failed {
            kind: "source_unavailable".into(),
            reason: "away".into(),
            remedy: "wait".into(),
        };
        assert_eq!(status(failed), 1);
    }
}
