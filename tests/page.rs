//! The status page of a real daemon in a headless Chromium: it shows what it must, in light and dark, on a desk and on a phone.

use std::time::Duration;

use serde_json::json;

use crate::support::browser::Browser;
use crate::support::daemon::Daemon;
use crate::support::mysql::Server;
use crate::support::root;
use crate::support::stub::{Faults, Stub};
use crate::workload;

const PATIENCE: Duration = Duration::from_secs(90);

/// What a script finds out about the page in a frame of this width. The page itself runs none: its policy is taken off for this.
fn probed(browser: &Browser, html: &str, width: u32, options: &[&str]) -> serde_json::Value {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("frame.html");
    let framed = html.replace('&', "&amp;").replace('"', "&quot;");
    let script = "onload = () => {
        const page = document.querySelector('iframe').contentDocument, style = frames[0].getComputedStyle(page.body);
        document.title = JSON.stringify({
            width: page.documentElement.scrollWidth, ink: style.color, paper: style.backgroundColor,
            headings: [...page.querySelectorAll('h1, h2')].map(h => h.textContent),
            loaded: frames[0].performance.getEntriesByType('resource').length,
            unnamed: page.querySelectorAll('svg:not([aria-label]), progress:empty, th:not([scope])').length,
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
    // Two looks of the page's history.
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
    // It comes again by itself, which is of no use here.
    let html = html.replace("http-equiv=\"refresh\"", "name=\"was-refresh\"");
    for (width, options, dark) in [
        (1000, &[][..], false),
        (1000, &["--force-dark-mode"][..], true),
        (360, &[][..], false),
    ] {
        let found = probed(&browser, &html, width, options);
        assert_eq!(
            found["width"], width,
            "it must not scroll sideways: {found}"
        );
        assert_eq!(found["loaded"], 0, "nothing from elsewhere: {found}");
        assert_eq!(found["unnamed"], 0, "{found}");
        let headings = found["headings"].as_array().expect("headings");
        assert!(headings[0] == "penstock" && headings.len() > 4, "{found}");
        let (ink, paper) = (luminance(&found["ink"]), luminance(&found["paper"]));
        assert_eq!(ink > paper, dark, "{found}");
        assert!(contrast(ink, paper) > 7.0, "{found}");
    }
    let picture = browser.picture(&url, &["--window-size=1000,1050"]);
    assert!(
        picture.starts_with(b"\x89PNG") && picture.len() > 10_000,
        "{}",
        picture.len()
    );
}

/// Why rows have no item, and who did what: without a value of a row.
#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_and_what_was_done_are_on_the_page_without_values() {
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
        !html.contains("<b>pause</b>"),
        "nothing was done yet: {html}"
    );
    for command in ["pause", "resume"] {
        let output = tokio::task::block_in_place(|| daemon.command(&[command]));
        assert!(output.status.success(), "{output:?}");
    }
    let html = daemon.get("/").await.text();
    let reasons = html
        .split("<h2>Dead letters</h2>")
        .nth(1)
        .unwrap_or_default();
    let reasons = reasons.split("</section>").next().unwrap_or_default();
    let row = "<tr><th scope=\"row\">Pets</th><td>";
    assert!(
        reasons.contains(row) && reasons.contains("weight"),
        "{html}"
    );
    assert!(
        reasons.contains("<td>2</td>"),
        "both have one reason: {reasons}"
    );
    let done = html
        .split("<h2>What was done</h2>")
        .nth(1)
        .unwrap_or_default();
    let [resume, pause, begun] =
        ["<b>resume</b>", "<b>pause</b>", "<b>copy: begun</b>"].map(|entry| done.find(entry));
    assert!(
        resume.is_some() && resume < pause && pause < begun,
        "the newest first: {done}"
    );
    assert!(!html.contains("SECRET"), "{html}");
    // Parity, entity by entity.
    let output = tokio::task::block_in_place(|| daemon.command(&["verify"]));
    assert!(output.status.success(), "{output:?}");
    let html = daemon.get("/").await.text();
    let parity = html.split("<h2>Parity</h2>").nth(1).unwrap_or_default();
    let row = "<tr><th scope=\"row\">Pets</th><td>1</td><td>equal</td></tr>";
    assert!(parity.contains(row), "{parity}");
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
