use super::*;
use crate::admin::tests::table;
use crate::admin::{Gate, Stopped};

fn status() -> Status {
    let mut status = crate::admin::tests::status(Phase::Snapshot, Some(0.5));
    status.snapshot = vec![
        table("shop.a", TableState::Copying, 500),
        table("shop.b", TableState::Pending, 0),
        table("shop.c", TableState::Done, 7),
    ];
    status.gates = vec![
        Gate::open("stream", "the stream runs"),
        Gate::shut("parity", "not compared yet", "penstock verify"),
    ];
    status.parity = Some(
        serde_json::json!({"progress": {"step": "compare", "items": 30, "estimated": 40,
        "mismatches": 2, "seconds_left": 5.0}}),
    );
    status
}

fn seen() -> Seen {
    Seen {
        lags: vec![Some(0.0), None, Some(4.0), Some(2.0)],
        ..Seen::default()
    }
}

fn drawn(status: Status, size: (usize, usize), colors: bool) -> Vec<String> {
    lines(&Look::Status(Box::new(status)), &mut seen(), size, colors)
}

#[test]
fn the_picture_has_bars_and_words() {
    let text = drawn(status(), (50, 200), false).join("\n");
    assert_eq!(
        text,
        "phase         snapshot  up 12 s, penstock 0.1.0\n\
         copy          ██████░░░░░░░░░░░░░░░░░░  25%  507 of about 2007 rows\n              \
                       ███████████░░░░░░░░░░░░░  49%  shop.a  500 of about 1000\n              \
                       ░░░░░░░░░░░░░░░░░░░░░░░░   0%  shop.b  waiting\n              \
                       ████████████████████████ 100%  shop.c  7 rows\n\
         lag           ▁ █▅                           0.5 s, 0 items in flight\n\
         verify        ██████████████████░░░░░░  75%  compared 30 of about 40, 2 differ, 5 s left\n\
         gates         ████████████░░░░░░░░░░░░       1 of 2 shut\n              \
                       parity  not compared yet\n\
         dead letters  1: `penstock dead-letters list`\n\
         target        embedded\n\
         Ctrl-C ends the watching; nothing else ends with it"
    );
}

#[test]
fn a_drain_has_a_bar_and_a_copy_that_is_complete_is_a_line() {
    let mut status = status();
    status.phase = Phase::Draining;
    status.snapshot = vec![table("shop.c", TableState::Done, 7)];
    status.behind_transactions = Some(3);
    let mut seen = seen();
    // There were twelve.
    seen.behind.way(12);
    let text = lines(&Look::Status(Box::new(status)), &mut seen, (50, 100), false).join("\n");
    assert!(text.contains("copied        7 rows of 1 tables"), "{text}");
    assert!(
        text.contains("drain         ██████████████████░░░░░░  75%  3 transactions left"),
        "{text}"
    );
}

#[test]
fn it_fits_any_terminal_and_colours_are_only_where_they_are_wanted() {
    let mut many = status();
    many.snapshot = (0..200)
        .map(|n| table(&format!("shop.t{n}"), TableState::Copying, n))
        .collect();
    for size in [(1, 1), (5, 20), (12, 40), (24, 80), (60, 300)] {
        for colors in [false, true] {
            let lines = drawn(many.clone(), size, colors);
            assert!(lines.len() < size.0.max(2), "{size:?}: {}", lines.len());
            for line in &lines {
                assert!(
                    console::measure_text_width(line) <= size.1,
                    "{size:?}: {line:?}"
                );
            }
        }
    }
    let text = drawn(many.clone(), (24, 80), false).join("\n");
    assert!(text.contains("more tables"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert!(
        drawn(many, (24, 80), true)
            .join("\n")
            .contains("\u{1b}[36msnapshot")
    );
}

#[test]
fn what_others_wrote_cannot_steer_the_terminal() {
    let mut status = status();
    status.trouble = vec!["away\u{1b}[2J\nand back".to_owned()];
    status.stopped = Some(Stopped {
        kind: "store".to_owned(),
        reason: "no\u{7}room".to_owned(),
        remedy: "do\u{1b}[31m this".to_owned(),
    });
    let text = drawn(status, (50, 200), false).join("\n");
    assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
}

#[test]
fn a_sparkline_is_low_where_little_is_behind() {
    assert_eq!(sparkline(&[], 5), "");
    assert_eq!(sparkline(&[Some(0.0), Some(0.1), None], 5), "▁▂ ");
    assert_eq!(sparkline(&[Some(9.0), Some(0.0), Some(50.0)], 2), "▁█");
    assert_eq!(clock(1_795_712_589_250), "17:03:09Z");
}
