//! The status page of a real daemon in a headless Chromium: it shows what it must, in light and dark, on a desk and on a phone.

use std::time::Duration;

use serde_json::json;

use crate::support::browser::Browser;
use crate::support::daemon::Daemon;
use crate::support::mysql::Server;
use crate::support::stub::{Faults, Stub};
use crate::support::{eventually, root};
use crate::workload;

const PATIENCE: Duration = Duration::from_secs(90);

/// What a script finds out about the page in a frame of this width. The page itself runs none: its policy is taken off for this.
fn probed(browser: &Browser, html: &str, width: u32, options: &[&str]) -> serde_json::Value {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("frame.html");
    let framed = html.replace('&', "&amp;").replace('"', "&quot;");
    let script = "onload = () => {
        const innermost = e => e.ownerDocument.documentElement.clientWidth;
        const page = document.querySelector('iframe').contentDocument, style = frames[0].getComputedStyle(page.body);
        document.title = JSON.stringify({
            width: page.documentElement.scrollWidth, ink: style.color, paper: style.backgroundColor,
            headings: [...page.querySelectorAll('h1, h2')].map(h => h.textContent),
            loaded: frames[0].performance.getEntriesByType('resource').length,
            unnamed: page.querySelectorAll('svg:not([aria-label]):not([aria-hidden]), progress:not([aria-label]), th:not([scope])').length,
            tables: page.querySelectorAll('table').length,
            outside: [...page.querySelectorAll('main *')].filter(e => {
                const box = e.getBoundingClientRect();
                return box.right > innermost(e) + 0.5 || e.scrollWidth > e.clientWidth + 1 && /table|wide/.test(e.localName + e.className);
            }).map(e => e.localName + '.' + e.className + ': ' + e.textContent.slice(0, 40)),
        });
    }";
    let wrapper = format!(
        "<!doctype html><iframe width=\"{width}\" height=\"900\" srcdoc=\"{framed}\"></iframe><script>{script}</script>"
    );
    std::fs::write(&file, wrapper).expect("the frame");
    let dom = browser.dom(&format!("file://{}", file.display()), options);
    let title = dom
        .split("<title>")
        .nth(1)
        .and_then(|t| t.split("</title>").next());
    let title = title.unwrap_or_else(|| panic!("no answer of the script in {dom}"));
    serde_json::from_str(&title.replace("&quot;", "\"").replace("&amp;", "&")).expect("JSON")
}

/// What the page must be in a browser, whatever is on it.
fn assert_readable(browser: &Browser, html: &str, tables: u64) {
    // It comes again by itself, which is of no use here.
    let html = html.replace("http-equiv=\"refresh\"", "name=\"was-refresh\"");
    for (width, options, dark) in [
        (1000, &[][..], false),
        (1000, &["--force-dark-mode"][..], true),
        (500, &[][..], false),
        (360, &[][..], false),
    ] {
        let found = probed(browser, &html, width, options);
        assert_eq!(
            found["width"], width,
            "it must not scroll sideways: {found}"
        );
        assert_eq!(found["tables"], tables, "{found}");
        assert_eq!(
            found["outside"],
            json!([]),
            "{width} wide, this is out of sight: {found}"
        );
        assert_eq!(found["loaded"], 0, "nothing from elsewhere: {found}");
        assert_eq!(found["unnamed"], 0, "{found}");
        let headings = found["headings"].as_array().expect("headings");
        assert!(headings[0] == "penstock" && headings.len() > 4, "{found}");
        let (ink, paper) = (luminance(&found["ink"]), luminance(&found["paper"]));
        assert_eq!(ink > paper, dark, "{found}");
        assert!(contrast(ink, paper) > 7.0, "{found}");
    }
}

#[tokio::test]
async fn the_page_in_a_browser() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let database = Server::shared().database().await;
    workload::fill(&database, 200).await;
    let stub = Stub::start(Faults::default());
    let mut daemon = Daemon::between(
        database.server.port(),
        &database.name,
        &stub.url(),
        &workload::contract(),
    );
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    daemon.phase("ready", PATIENCE).await;
    let more = "INSERT INTO people SELECT id + 1000000, name, tags, doc FROM people LIMIT 20";
    database.run(&[more]).await;
    // Two looks of the page's history, one before this and one after it.
    tokio::time::sleep(Duration::from_secs(6)).await;

    // As it is served, policy and all.
    let url = format!("http://127.0.0.1:{}/", daemon.port());
    let dom = browser.dom(&url, &[]);
    for part in [
        "<h1>penstock</h1>",
        ">ready<",
        "accounts",
        "complete",
        "<path class=\"curve0\" d=\"M",
    ] {
        assert!(dom.contains(part), "{part} is not in {dom}");
    }
    let html = daemon.get("/").await.text();
    let written = html.split("<dt>Items written</dt><dd>").nth(1);
    let written = written.and_then(|rest| rest.split(' ').next());
    assert!(
        written.is_some_and(|w| w != "0" && w.parse::<f64>().is_ok()),
        "{written:?} in {html}"
    );
    // Copy, and what was done.
    assert_readable(&browser, &html, 2);
    let picture = browser.picture(&url, &["--window-size=1000,1050"]);
    assert!(
        picture.starts_with(b"\x89PNG") && picture.len() > 10_000,
        "{}",
        picture.len()
    );
    // Whoever wants to read in peace holds it.
    let refresh = "http-equiv=\"refresh\"";
    assert!(html.contains(refresh) && html.contains("href=\"/?refresh=off\""));
    let held = daemon.get("/?refresh=off").await.text();
    assert!(
        !held.contains(refresh) && held.contains("href=\"/\""),
        "{held}"
    );
}

/// The section below a heading.
fn section<'h>(html: &'h str, heading: &str) -> &'h str {
    let after = html.split(&format!("<h2>{heading}</h2>")).nth(1);
    let section = after.and_then(|rest| rest.split("</section>").next());
    section.unwrap_or_else(|| panic!("no section {heading} in {html}"))
}

/// Why rows have no item, what keeps the gate shut, what a comparison found, and who did what: without a value of a row.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_the_page_is_said_in_words_and_without_values() {
    let database = Server::shared().database().await;
    database
        .run(&[
            "CREATE TABLE pets (id VARCHAR(20) PRIMARY KEY, weight VARCHAR(20))",
            "INSERT INTO pets VALUES ('rex', '12'), ('SECRETKEY1', 'SECRETWEIGHT'), ('SECRETKEY2', 'SECRETWEIGHT2')",
        ])
        .await;
    let column = |name: &str, ty: &str| json!({"name": name, "type": ty, "source_table": "pets", "source_column": name});
    let contract = json!({"tables": [{"table": "Pets", "type": "single-entity", "source_table": "pets", "pk": "id", "sk": null,
        "satisfies": ["x"], "estimated_item_size_bytes": 100, "attributes": [column("id", "S"), column("weight", "N")]}]});
    let stub = Stub::start(Faults::default());
    let mut daemon = Daemon::between(
        database.server.port(),
        &database.name,
        &stub.url(),
        &contract.to_string(),
    );
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    let html = daemon.get("/").await.text();
    assert!(
        !section(&html, "What was done").contains(">paused<"),
        "nothing was done yet: {html}"
    );
    // What the daemon itself says of a gate that is shut, and its remedy.
    let shut = "<b>parity</b> <span class=\"word\">shut</span>: both sides were never compared \
                <span class=\"remedy\">run <code>penstock verify</code></span>";
    let html = eventually("the gates are read", PATIENCE, async || {
        let html = daemon.get("/").await.text();
        html.contains("<h2>Gates</h2>").then_some(html)
    })
    .await;
    assert!(section(&html, "Gates").contains(shut), "{html}");
    for command in ["pause", "resume"] {
        let output = tokio::task::block_in_place(|| daemon.command(&[command]));
        assert!(output.status.success(), "{output:?}");
    }
    let html = daemon.get("/").await.text();
    let reasons = section(&html, "Dead letters");
    assert!(
        reasons.contains("<tr><th scope=\"row\">Pets</th><td class=\"text\">")
            && reasons.contains("weight"),
        "{html}"
    );
    assert!(
        reasons.contains("<td>2</td>"),
        "both have one reason: {reasons}"
    );
    let done = section(&html, "What was done");
    let [resume, pause, begun] =
        [">resumed<", ">paused<", ">the copy began: 1 table<"].map(|entry| done.find(entry));
    assert!(
        resume.is_some() && resume < pause && pause < begun,
        "the newest first: {done}"
    );
    let user = format!("(uid {})</td><td class=\"text\">paused<", uid());
    assert!(done.contains(&user), "who: {done}");
    assert!(!html.contains("SECRET"), "{html}");
    compared_on_the_page(&mut daemon).await;
}

/// What a comparison of a running daemon has found, as it stands on the page.
async fn compared_on_the_page(daemon: &mut Daemon) {
    let output = tokio::task::block_in_place(|| daemon.command(&["verify"]));
    assert!(output.status.success(), "{output:?}");
    let status = daemon.status().await.expect("the status");
    let pass = &status["parity"]["last_pass"];
    assert_eq!(pass["entities"]["Pets"]["items"], 1, "{status}");
    let html = daemon.get("/").await.text();
    let parity = section(&html, "Parity");
    for part in [
        "<span class=\"word\">Equal</span>. 1 item was compared ",
        " s ago; it took ",
        "<tr><th scope=\"row\">Pets</th><td>1</td><td>0</td><td>0</td><td>0</td></tr></tbody>",
        "<p>Owed: nothing.</p>",
    ] {
        assert!(parity.contains(part), "{part} is not in {parity}");
    }
    // Nothing of the inside: no field's name, no moment as a number, no JSON.
    for raw in ["unix", "_", "null", "{", "\":"] {
        assert!(!parity.contains(raw), "{raw} is in {parity}");
    }
    if let Some(browser) = Browser::find() {
        // Copy, parity, dead letters, what was done.
        assert_readable(&browser, &html, 4);
    }
}

/// Who runs this.
fn uid() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").expect("a process").uid()
}

/// Every colour of text is readable on its ground, in light and in dark: WCAG's 4.5 to 1.
#[test]
fn every_colour_can_be_read() {
    let css = std::fs::read_to_string(root().join("src/admin/page.css")).expect("the style");
    let palettes: Vec<&str> = css
        .split(":root{")
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
        .collect();
    assert_eq!(palettes.len(), 2, "light and dark");
    for palette in palettes {
        let colours: Vec<(&str, &str)> = palette
            .split(';')
            .filter_map(|variable| variable.trim().strip_prefix("--")?.split_once(':'))
            .collect();
        let paper = colours
            .iter()
            .find(|(name, _)| *name == "paper")
            .expect("paper")
            .1;
        assert!(colours.len() > 6, "{colours:?}");
        for (name, colour) in colours
            .iter()
            .filter(|(name, _)| !["paper", "line"].contains(name))
        {
            let ratio = contrast(of_hex(colour), of_hex(paper));
            assert!(ratio >= 4.5, "--{name}: {ratio:.1} to 1 on {paper}");
        }
    }
}

fn of_hex(colour: &str) -> f64 {
    let digits = colour.trim_start_matches('#');
    let wide: String = match digits.len() {
        3 => digits.chars().flat_map(|c| [c, c]).collect(),
        _ => digits.to_owned(),
    };
    let part = |at: usize| u8::from_str_radix(&wide[at..at + 2], 16).expect("a colour");
    relative([part(0), part(2), part(4)])
}

/// Of `rgb(1, 2, 3)`.
fn luminance(colour: &serde_json::Value) -> f64 {
    let text = colour.as_str().expect("a colour");
    let parts: Vec<u8> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect();
    relative([parts[0], parts[1], parts[2]])
}

fn relative(rgb: [u8; 3]) -> f64 {
    let linear = rgb.map(|part| match f64::from(part) / 255.0 {
        p if p <= 0.03928 => p / 12.92,
        p => ((p + 0.055) / 1.055).powf(2.4),
    });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

fn contrast(one: f64, other: f64) -> f64 {
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}
