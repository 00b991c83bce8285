//! `penstock dead-letters list`

use std::fmt::Write as _;

use super::{Answer, Cli, Format, Outcome, output, runtime, state_directory, status};
use crate::admin::Client;
use crate::checkpoint::{DeadLetter, DeadLetterPage};
use crate::error::Result;

const PAGE: usize = 500;

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
