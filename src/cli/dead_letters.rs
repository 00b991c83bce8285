//! `penstock dead-letters list|retry|export`

use std::fmt::Write as _;
use std::time::Duration;

use super::{Answer, Cli, Format, Outcome, attached, output, runtime, state_directory, status};
use crate::admin::Client;
use crate::admin::control::{Retried, Retry};
use crate::checkpoint::{DeadLetter, DeadLetterPage, Store};
use crate::error::{Error, Kind, Result};

const PAGE: usize = 500;
/// How long a page of rows may take to be read again and written.
const WAIT: Duration = Duration::from_secs(600);

pub(super) fn list(cli: &Cli, limit: usize, from: Option<&str>) -> Outcome {
    let state = state_directory(cli)?;
    let client = Client::new(&state);
    let asked = runtime()?.block_on(collect_from_daemon(&client, limit, from))?;
    let page = match asked {
        Some(page) => page,
        None => match status::open_existing(&state)? {
            Some(store) => collect(limit, from, |from, n| store.dead_letters(from, n))?,
            None => DeadLetterPage::default(),
        },
    };
    if cli.format == Format::Json {
        output::print_json(&page)?;
    } else {
        output::print(&render(&page))?;
    }
    Ok(Answer::Done)
}

/// Reads their rows again, page by page.
pub(super) fn retry(cli: &Cli, projection: Option<&str>, source_key: Option<&str>) -> Outcome {
    let retried = attached::with(cli, async |client| {
        // A daemon of our own copies first what is not copied yet.
        let mut all = Retried::default();
        loop {
            let which = Retry {
                projection: projection.map(str::to_owned),
                source_key: source_key.map(str::to_owned),
                from: all.next.take(),
            };
            let page: Option<Retried> = client.post("/dead-letters/retry", &which, WAIT).await?;
            let page = page.ok_or_else(|| {
                Error::new(Kind::Interrupted, "the daemon ended before it answered")
            })?;
            all.tried += page.tried;
            all.cleared += page.cleared;
            all.unknown += page.unknown;
            all.next = page.next;
            if all.next.is_none() {
                return Ok(all);
            }
        }
    })?;
    if cli.format == Format::Json {
        output::print_json(&retried)?;
    } else {
        output::print(&render_retried(&retried))?;
    }
    Ok(
        match retried.tried == retried.cleared && retried.unknown == 0 {
            true => Answer::Done,
            false => Answer::No,
        },
    )
}

fn render_retried(retried: &Retried) -> String {
    let Retried {
        tried,
        cleared,
        unknown,
        ..
    } = retried;
    let mut out = format!("{tried} tried, {cleared} of them have no dead letter any more\n");
    if *unknown > 0 {
        let _ = writeln!(
            out,
            "{unknown} are of another contract: `penstock run --resnapshot` forgets them"
        );
    }
    out
}

/// Writes all of them to stdout: an object a line, or, as one document, a list.
pub(super) fn export(cli: &Cli) -> Outcome {
    let state = state_directory(cli)?;
    let client = Client::new(&state);
    let runtime = runtime()?;
    let mut from: Option<String> = None;
    let mut store = None;
    let [begin, between, end] = match cli.format {
        Format::Json => ["[\n", ",\n", "\n]\n"],
        _ => ["", "\n", "\n"],
    };
    let mut first = true;
    let mut out = begin.to_owned();
    loop {
        let page = match &store {
            Some(store) => page_of(store, from.as_deref())?,
            None => match runtime.block_on(client.dead_letters(from.as_deref(), PAGE))? {
                Some(page) => page,
                None => match status::open_existing(&state)? {
                    Some(opened) => page_of(store.insert(opened), from.as_deref())?,
                    None => DeadLetterPage::default(),
                },
            },
        };
        for letter in &page.letters {
            let line = serde_json::to_string(letter)
                .map_err(|e| Error::new(Kind::Internal, "a dead letter as JSON").with_source(e))?;
            if !std::mem::take(&mut first) {
                out.push_str(between);
            }
            out.push_str(&line);
        }
        from = page.next;
        if from.is_none() {
            // Without a letter there is no line.
            if !first || cli.format == Format::Json {
                out.push_str(end);
            }
            output::print_raw(&out)?;
            return Ok(Answer::Done);
        }
        output::print_raw(&out)?;
        out.clear();
    }
}

fn page_of(store: &Store, from: Option<&str>) -> Result<DeadLetterPage> {
    store.dead_letters(from, PAGE)
}

async fn collect_from_daemon(
    client: &Client,
    limit: usize,
    from: Option<&str>,
) -> Result<Option<DeadLetterPage>> {
    let mut all = DeadLetterPage::default();
    let mut from = from.map(str::to_string);
    loop {
        let wanted = (limit - all.letters.len()).min(PAGE);
        let Some(page) = client.dead_letters(from.as_deref(), wanted.max(1)).await? else {
            return Ok(None);
        };
        from = page.next.clone();
        if append(&mut all, page, limit) {
            return Ok(Some(all));
        }
    }
}

fn collect(
    limit: usize,
    from: Option<&str>,
    read: impl Fn(Option<&str>, usize) -> Result<DeadLetterPage>,
) -> Result<DeadLetterPage> {
    let mut all = DeadLetterPage::default();
    let mut from = from.map(str::to_string);
    loop {
        let wanted = (limit - all.letters.len()).min(PAGE);
        let page = read(from.as_deref(), wanted.max(1))?;
        from = page.next.clone();
        if append(&mut all, page, limit) {
            return Ok(all);
        }
    }
}

/// Adds a page; true at the end.
fn append(all: &mut DeadLetterPage, page: DeadLetterPage, limit: usize) -> bool {
    let empty = page.letters.is_empty();
    all.letters.extend(page.letters);
    all.letters.truncate(limit);
    all.total = page.total;
    all.next = page.next;
    empty || all.next.is_none() || all.letters.len() >= limit
}

pub(super) fn render(page: &DeadLetterPage) -> String {
    if page.total == 0 {
        return "no dead letters\n".to_string();
    }
    let mut out = String::new();
    for letter in &page.letters {
        // Writing to a String cannot fail.
        let _ = render_one(&mut out, letter);
    }
    let _ = writeln!(out, "{} of {}", page.letters.len(), page.total);
    if let Some(next) = &page.next {
        let _ = writeln!(out, "more: penstock dead-letters list --from {next}");
    }
    out
}

fn render_one(out: &mut String, letter: &DeadLetter) -> std::fmt::Result {
    // A key may hold anything, control characters of the terminal included.
    let key = letter.source_key.escape_debug();
    writeln!(out, "{}  key {key}  → {}", letter.projection, letter.target)?;
    writeln!(out, "    {}", letter.reason)?;
    let at = match letter.position.as_str() {
        "" => "in the snapshot".to_string(),
        position => format!("at {position}"),
    };
    let times = match letter.count {
        1 => "once".to_string(),
        n => format!("{n} times"),
    };
    writeln!(
        out,
        "    seen {times}, last {} ago, {at}",
        status::ago(letter.last_seen_unix_ms)
    )
}
