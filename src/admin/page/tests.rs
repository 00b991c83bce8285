use std::time::{Duration, Instant};

use super::super::history::Sample;
use super::super::tests::table;
use super::*;
use crate::admin::{Gate, Stopped};
use crate::verify::progress::{Snapshot, Step};
use crate::verify::report::Entity;
use crate::verify::{Owed, Pass, Standing};

/// Ten looks, five seconds apart: ten transactions and a hundred rows a second, and a gap in the lag.
fn history() -> History {
    let (history, now) = (History::default(), Instant::now());
    for look in 0..10_u32 {
        history.push(Sample {
            at: now - Duration::from_secs(5) * (9 - look),
            lag: (look != 4).then(|| f64::from(look)),
            applied: u64::from(look) * 50,
            written: u64::from(look) * 200,
            copied: vec![u64::from(look) * 500, 0],
        });
    }
    history
}

/// Every tag that is opened is closed, in order.
fn assert_closed(html: &str) {
    let mut open = Vec::new();
    let body = html.split_once("</style>").map_or(html, |(_, body)| body);
    for tag in body.split('<').skip(1) {
        let tag = tag.split_once('>').expect("a tag ends").0;
        let name = tag
            .split([' ', '/'])
            .find(|n| !n.is_empty())
            .unwrap_or_default();
        if let Some(closed) = tag.strip_prefix('/') {
            let last = open.pop();
            assert!(
                last == Some(closed) || ["head", "html", "body"].contains(&closed),
                "{closed} closes {last:?}"
            );
        } else if !tag.ends_with('/') && name != "body" {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

/// What there is beside the status where nothing was done, a while after 1970.
fn nothing_more() -> More<'static> {
    More {
        audit: &[],
        reasons: Vec::new(),
        now_unix_ms: 181_000,
        refreshes: true,
    }
}

fn assert_parts(html: &str, parts: &[&str]) {
    assert_closed(html);
    for part in parts {
        assert!(html.contains(part), "{part}\nis not in\n{html}");
    }
}

#[test]
fn the_page_shows_speed_progress_and_time_left() {
    let mut status = crate::admin::tests::status(Phase::Snapshot, Some(0.5));
    status.snapshot = vec![
        table("shop.a", TableState::Copying, 400),
        table("shop.b", TableState::Pending, 0),
        table("shop.c", TableState::Done, 7),
    ];
    let html = render(&status, &history(), &nothing_more());
    assert_parts(
        &html,
        &[
            "<title>penstock: snapshot</title>",
            "<dt>Behind the source</dt><dd>0.5 s</dd>",
            "<dt>Transactions</dt><dd>10 /s</dd>",
            "<dt>Rows copied</dt><dd>100 /s</dd>",
            "<dt>Items written</dt><dd>40 /s</dd>",
            // 600 rows at 100 a second.
            "<th scope=\"row\">shop.<wbr/>a</th><td><progress aria-label=\"shop.a copied\" max=\"100\" value=\"40\">40 %</progress> \
             <span class=\"left\">6 s left</span></td><td>400 of about 1000</td>",
            "<span class=\"left\">waiting</span>",
            "value=\"100\">100 %</progress> <span class=\"left\">complete</span></td><td>7</td>",
            "<h2>The last 5 min</h2>",
            "Lag over the last 5 min: behind the source at most 9.0 s",
            "aria-label=\"Throughput over the last 5 min: transactions at most 10 /s, rows copied at most 100 /s, items written at most 40 /s\"",
            "<path class=\"curve2\" d=\"M0 5L30 5\"/></svg> items written, at most 40 /s",
            "have not been compared yet",
        ],
    );
    // The gap begins a new line.
    let curve = html
        .split("<path class=\"curve0\" d=\"")
        .nth(2)
        .and_then(|c| c.split('"').next());
    assert_eq!(curve.map(|c| c.matches('M').count()), Some(2));
}

#[test]
fn the_page_can_be_held() {
    let status = crate::admin::tests::status(Phase::Ready, Some(0.0));
    let history = History::default();
    let moving = render(&status, &history, &nothing_more());
    assert!(moving.contains("http-equiv=\"refresh\"") && moving.contains("href=\"/?refresh=off\""));
    let held = More {
        refreshes: false,
        ..nothing_more()
    };
    let held = render(&status, &history, &held);
    assert!(
        !held.contains("http-equiv=\"refresh\"") && held.contains("<a href=\"/\">"),
        "{held}"
    );
}

/// A standing as the daemon keeps it, and the comparison under way beside it.
#[test]
fn parity_is_told_in_words() {
    let entity = |items, mismatches: &[(&str, u64)]| Entity {
        items,
        mismatches: mismatches
            .iter()
            .map(|(k, n)| ((*k).to_owned(), *n))
            .collect(),
    };
    let clean = Pass {
        started_unix_ms: 880,
        finished_unix_ms: 1_000,
        items: 901,
        clean: true,
        entities: [("A<_b".to_owned(), entity(901, &[]))].into(),
        ..Pass::default()
    };
    let shown = |standing: &Standing, progress: Option<Snapshot>| {
        let mut status = crate::admin::tests::status(Phase::Ready, Some(0.0));
        let mut parity = serde_json::to_value(standing).unwrap();
        parity["progress"] = serde_json::to_value(progress).unwrap();
        status.parity = Some(parity);
        render(&status, &History::default(), &nothing_more())
    };
    let mut standing = Standing {
        last_pass: Some(clean.clone()),
        last_clean_finished_unix_ms: Some(1_000),
        ..Standing::default()
    };
    assert_parts(
        &shown(&standing, None),
        &[
            "<p class=\"good\"><span class=\"word\">Equal</span>. 901 items were compared 3 min ago; it took 0.1 s.</p>",
            "<th scope=\"row\">A&lt;_<wbr/>b</th><td>901</td><td>0</td><td>0</td><td>0</td></tr></tbody>",
            "<p>Owed: nothing.</p>",
        ],
    );
    standing.owed = Some(Owed::Restarted);
    standing.owed_unix_ms = 121_000;
    let progress = Snapshot {
        step: Step::Compare,
        items: 300,
        estimated: 900,
        mismatches: 2,
        seconds_left: Some(7.0),
    };
    assert_parts(
        &shown(&standing, Some(progress)),
        &[
            "Under way: <progress aria-label=\"the comparison of both sides\" max=\"100\" value=\"33\">33 %</progress> \
             compared 300 of about 900 items, 2 differ, 7 s left</p>",
            "Owed: a full comparison, as penstock was started since the last full comparison: what was written in between is \
             not known (60 s ago). <span class=\"remedy\">run <code>penstock verify</code></span>",
        ],
    );
    standing.last_pass = Some(Pass {
        clean: false,
        undecided: 1,
        mismatches: [("missing".to_owned(), 2), ("extra".to_owned(), 4)].into(),
        entities: [("E".to_owned(), entity(7, &[("missing", 2), ("extra", 1)]))].into(),
        ..clean
    });
    assert_parts(
        &shown(&standing, None),
        &[
            "<p class=\"bad\"><span class=\"word\">Not equal</span>: 6 items differ. 901 items were compared 3 min ago; it took 0.1 s. \
             Both sides were last found equal 3 min ago.</p>",
            "<tr><th scope=\"row\">E</th><td>7</td><td>0</td><td class=\"bad\">2</td><td class=\"bad\">1</td></tr>\
             <tr><th scope=\"row\">none of these</th><td>–</td><td>0</td><td>0</td><td class=\"bad\">3</td></tr>",
        ],
    );
    // Of a report that nobody knows no more than that.
    let mut status = crate::admin::tests::status(Phase::CutOver, None);
    status.parity = Some(serde_json::json!({"last_pass": 7}));
    let html = render(&status, &History::default(), &nothing_more());
    assert_parts(&html, &["No full comparison has ended yet."]);
}

#[test]
fn what_is_wrong_stands_with_its_remedy_and_nothing_gets_out_of_its_text() {
    let mut status = crate::admin::tests::status(Phase::Stopped, None);
    status.stopped = Some(Stopped {
        kind: "store".to_owned(),
        reason: "<script>".to_owned(),
        remedy: "a & `b`".to_owned(),
    });
    status.trouble = vec!["MySQL is away".to_owned()];
    status.gates = vec![Gate::shut("lag", "<unknown>", "run `a & b`, then `c`")];
    let entry = |who: &str, action: &str, detail: &str| AuditEntry {
        at_unix_ms: 1_000,
        who: who.to_owned(),
        action: action.to_owned(),
        detail: detail.to_owned(),
    };
    let audit = [
        entry("ana<> (uid 7), process 12", "resnapshot", "shop.<pets>"),
        entry("", "copy: complete", "7 rows of 1 tables"),
        entry("ana", "pause", ""),
        entry("ana", "cutover: begun", "MySQL must refuse writes"),
    ];
    let letter = |projection: &str, reason: &str, key: &str| DeadLetter {
        projection: projection.to_owned(),
        source_key: key.to_owned(),
        target: "Shop".to_owned(),
        reason: reason.to_owned(),
        first_seen_unix_ms: 0,
        last_seen_unix_ms: 121_000,
        count: 1,
        position: String::new(),
    };
    let letters = [
        letter("orders", "the key is empty", "SECRET"),
        letter("users", "too <large>", "SECRET"),
        letter("users", "too <large>", "SECRET too"),
    ];
    status.dead_letters = 5;
    let more = More {
        audit: &audit,
        reasons: reasons(&letters),
        ..nothing_more()
    };
    let html = render(&status, &History::default(), &more);
    assert!(!html.contains("SECRET"), "{html}");
    assert!(!html.contains("<script"), "{html}");
    // A page that comes again every ten seconds says nothing aloud each time.
    assert!(
        !html.contains("role=\"alert\"") && !html.contains("role=\"status\""),
        "{html}"
    );
    assert_parts(
        &html,
        &[
            "<h2>Stopped: store</h2><p>&lt;script&gt;</p><p><b>What to do:</b> a &amp; <code>b</code></p>",
            "<li>MySQL is away</li>",
            "<dd>unknown</dd>",
            "<tr><th scope=\"row\">users</th><td class=\"text\">too &lt;large&gt;</td><td>2</td><td>60 s ago</td></tr><tr><th scope=\"row\">orders",
            "Of 5 in all, the first 3.",
            "<li class=\"bad\"><b>lag</b> <span class=\"word\">shut</span>: &lt;unknown&gt; \
             <span class=\"remedy\">run <code>a &amp; b</code>, then <code>c</code></span></li>",
            "<tr><td title=\"1970-01-01 00:00:01.000 UTC\">3 min ago</td><td>ana&lt;&gt; (uid 7)</td>\
             <td class=\"text\">copied again from the start: shop.&lt;pets&gt;</td></tr>",
            "<td>penstock</td><td class=\"text\">the copy is complete: 7 rows of 1 tables</td>",
            "<td>ana</td><td class=\"text\">paused</td>",
            "<td class=\"text\">cutover: begun: MySQL must refuse writes</td>",
        ],
    );
}
