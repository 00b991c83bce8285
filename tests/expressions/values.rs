//! Random and extreme values, as SQL and as texts.

use fastrand::Rng;

pub fn whole(r: &mut Rng, low: i64, high: i64) -> String {
    match r.u8(..8) {
        0 => low.to_string(),
        1 => high.to_string(),
        2 => r.i64(low..=high).to_string(),
        3 => "0".into(),
        _ => r.i64(low.max(-120)..=120).to_string(),
    }
}

pub fn digits(r: &mut Rng, whole: usize, fraction: usize) -> String {
    let mut out = String::from(if r.bool() { "-" } else { "" });
    let many = |r: &mut Rng, most: usize| match r.u8(..4) {
        0 => most,
        1 => 0,
        _ => r.usize(..=most.min(3)),
    };
    let nines = r.u8(..6) == 0;
    let put = |out: &mut String, r: &mut Rng, n: usize| {
        for _ in 0..n {
            out.push(char::from(b'0' + if nines { 9 } else { r.u8(..10) }));
        }
    };
    out.push('0');
    let n = many(r, whole);
    put(&mut out, r, n);
    if fraction > 0 {
        out.push('.');
        let n = many(r, fraction);
        put(&mut out, r, n);
        if r.bool() {
            out.push('5');
            // One digit too many would be rounded by the server, which is fine.
        }
    }
    out
}

/// In quotes, for SQL.
pub fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('\'', "''");
    format!("'{}'", text.replace('\n', "\\n"))
}

const WORDS: &[&str] = &[
    "",
    " ",
    "a",
    "A",
    "b",
    "abc",
    "ABC",
    "aBc ",
    " abc",
    "  lead",
    "trail  ",
    "Straße",
    "STRASSE",
    "café",
    "CAFE",
    "cafe\u{301}",
    "naïve",
    "ÄÖÜ",
    "äöü",
    "ß",
    "İstanbul",
    "ıi",
    "日本語",
    "😀 smile",
    "x😀y",
    "Ωmega",
    "ωMEGA",
    "ς",
    "100%",
    "a_b",
    "a%b",
    "a\\b",
    "it's",
    "\"quoted\"",
    "tab\there",
    "line\nbreak",
    "xxabcxx",
    "ababab",
    "0",
    "1",
    "-1",
    "12abc",
    "1e3",
    " 42 ",
    "new",
    "paid",
    "2024-02-29",
    "ǆ",
    "ﬁ",
    "Å",
    "æ",
    "Ł",
    "ñ",
    "aaa",
];

/// A word, or several.
pub fn word(r: &mut Rng) -> String {
    let one = WORDS[r.usize(..WORDS.len())].to_owned();
    match r.u8(..4) {
        0 => one + WORDS[r.usize(..WORDS.len())],
        _ => one,
    }
}

pub fn words(r: &mut Rng) -> String {
    quoted(&word(r))
}

pub fn latin(r: &mut Rng) -> String {
    word(r)
        .chars()
        .filter(|c| c.is_ascii() || "äöüÄÖÜßéïñÅæ".contains(*c))
        .collect()
}

/// A text that is, begins with, or is nearly a number.
pub fn numeral(r: &mut Rng) -> String {
    let number = match r.u8(..6) {
        0 => r.i64(..).to_string(),
        1 => format!("{:e}", r.f64() * 1e10),
        2 => format!("{}.{}", r.i32(-999..999), r.u32(..100_000)),
        3 => r.u64(..).to_string() + &r.u64(..).to_string(),
        _ => r.i32(-1000..1000).to_string(),
    };
    match r.u8(..8) {
        0 => format!(" {number}"),
        1 => format!("{number}abc"),
        2 => format!("+{number}"),
        3 => [
            "", ".", "-", "e5", ".5", "5.", "1e", "1e400", "0x1A", "--1", "-0",
        ][r.usize(..11)]
        .into(),
        _ => number,
    }
}

pub fn date(r: &mut Rng) -> String {
    match r.u8(..10) {
        0 => "1000-01-01".into(),
        1 => "9999-12-31".into(),
        2 => "2024-02-29".into(),
        3 => format!("{}-12-{}", r.u16(1990..2030), r.u8(25..=31)),
        4 => format!("{}-01-0{}", r.u16(1990..2030), r.u8(1..=9)),
        5 => format!(
            "{:04}-{:02}-{:02}",
            r.u16(1..9999),
            r.u8(1..=12),
            r.u8(1..=28)
        ),
        _ => format!(
            "{}-{:02}-{:02}",
            r.u16(1960..2050),
            r.u8(1..=12),
            r.u8(1..=28)
        ),
    }
}

pub fn moment(r: &mut Rng, fsp: u32) -> String {
    let fraction = match fsp {
        0 => String::new(),
        _ if r.u8(..4) == 0 => format!(".{}", "9".repeat(fsp as usize)),
        fsp => format!(
            ".{:0width$}",
            r.u32(..10_u32.pow(fsp)),
            width = fsp as usize
        ),
    };
    format!(
        "{} {:02}:{:02}:{:02}{fraction}",
        date(r),
        r.u8(..24),
        r.u8(..60),
        r.u8(..60)
    )
}

pub fn clock(r: &mut Rng, fsp: u32) -> String {
    let sign = if r.bool() { "-" } else { "" };
    let hours = if r.bool() { r.u16(..24) } else { r.u16(..838) };
    let fraction = match fsp {
        0 => String::new(),
        fsp => format!(
            ".{:0width$}",
            r.u32(..10_u32.pow(fsp)),
            width = fsp as usize
        ),
    };
    format!(
        "{sign}{hours:02}:{:02}:{:02}{fraction}",
        r.u8(..60),
        r.u8(..60)
    )
}

/// A text that is, or is nearly, a date.
pub fn date_text(r: &mut Rng) -> String {
    match r.u8(..13) {
        12 => {
            let offsets = [
                "+02:00", "-13:59", "+14:00", "-00:00", "+00:00", "-29", "+1:00", "+05:30 ", "-",
                "+01:00x", " +02:00", "Z", "-14:01",
            ];
            let (minute, second) = (r.u8(..60), r.u8(..60));
            let fraction = ["", "", ".5", ".", ".123456"][r.usize(..5)];
            format!(
                "{}-0{}-1{} {:02}:{minute:02}:{second:02}{fraction}{}",
                r.u16(1975..2030),
                r.u8(1..=9),
                r.u8(..10),
                r.u8(..24),
                offsets[r.usize(..offsets.len())]
            )
        }
        0 => date(r).replace('-', ""),
        1 => moment(r, 0).replace([' ', '-', ':'], ""),
        2 => moment(r, 6),
        3 => moment(r, 3).replace(' ', "T"),
        4 => date(r).replace('-', ["/", ".", ":", "--"][r.usize(..4)]),
        5 => format!("{}-{}-{}", r.u16(..100), r.u8(..14), r.u8(..33)),
        6 => format!("{} {}:{}", date(r), r.u8(..26), r.u8(..62)),
        7 => format!("{} tail", date(r)),
        8 => [
            "",
            "0000-00-00",
            "2024-00-00",
            "2023-02-29",
            "abc",
            "20240101",
            "240101",
            "1",
            "2024",
            "12:30:00",
        ][r.usize(..10)]
        .into(),
        9 => format!(" {}", moment(r, 0)),
        _ => date(r),
    }
}

/// A JSON text.
pub fn json(r: &mut Rng, depth: usize) -> String {
    let inner = |r: &mut Rng| json(r, depth + 1);
    match r.u8(if depth < 3 { 0 } else { 6 }..14) {
        0..=2 => {
            let keys = ["a", "b", "odd key", "n", "list", "é"];
            let members: Vec<String> = (0..r.usize(..4))
                .map(|_| format!("\"{}\": {}", keys[r.usize(..keys.len())], inner(r)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
        3..=5 => {
            let cells: Vec<String> = (0..r.usize(..4)).map(|_| inner(r)).collect();
            format!("[{}]", cells.join(","))
        }
        6 => "null".into(),
        7 => ["true", "false"][r.usize(..2)].into(),
        8 => r.i64(..).to_string(),
        9 => format!("{:e}", r.f64() * 1e5),
        10 => format!("{}.{}", r.i8(..), r.u16(..)),
        11 => [
            "\"\"",
            "\"x\"",
            "\"ä😀\"",
            "\"\\\"q\\\"\"",
            "\"a\\\\b\"",
            "\"\\u00e9\\n\"",
            "\"5\"",
            "\"2024-01-31\"",
        ][r.usize(..8)]
        .into(),
        _ => r.i8(..).to_string(),
    }
}
