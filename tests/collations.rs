//! Collations against the server: order, equality, LIKE and case of random texts, and the rank of every character.
//!
//! The tables come from `tests/collations/generate.py`, which tells how to make them again.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use penstock::change::charset::Charset;
use penstock::change::collation::Weigher;

use crate::support::mysql::Server;
use crate::support::seed;

/// Pairs of texts for each collation; the `_bin` ones of the many small sets get a tenth.
const PAIRS: usize = 4000;
/// The longest text, in characters.
const LONGEST: usize = 8;

const UNICODE: [&str; 8] = [
    "utf8mb4_0900_ai_ci",
    "utf8mb4_0900_as_ci",
    "utf8mb4_0900_as_cs",
    "utf8mb4_0900_bin",
    "utf8mb4_bin",
    "utf8mb4_general_ci",
    "utf8mb4_unicode_ci",
    "binary",
];
const NARROWER: [&str; 5] = [
    "latin1_swedish_ci",
    "ascii_general_ci",
    "utf8mb3_general_ci",
    "utf8mb3_unicode_ci",
    "utf8mb3_bin",
];

/// Characters that meet: a text is mostly of one family, so that many texts are equal or nearly so.
const FAMILIES: [&str; 16] = [
    "abcABC abz019",
    "aAáÁàäÄåÅæÆ\u{301}\u{308}\u{30a}ae ",
    "sSßẞſśŚ\u{301}\u{307}ẛ ",
    "iIıİíÍ\u{307}\u{301}jJ\u{fb01}f",
    "σςΣςάΆ\u{301}αΑω\u{345}ᾳ\u{1fbc}",
    "가각힣한글각\u{1112}\u{1161}\u{11ab}ㄱ",
    "漢字豈\u{8c48}\u{f900}\u{2f800}丽\u{4e3d}一\u{3400}\u{fa0e}㐀",
    "𠀀𪛖\u{2a6df}\u{2b740}𗀀\u{17001}\u{18800}\u{1b170}",
    "😀💩👍\u{1f3fd}\u{200d}\u{fe0f}❤☺",
    "a\u{0}\u{1}\u{8}\t\n\r\u{1f}\u{7f}\u{85}\u{ad}\u{200b}\u{feff} ",
    "a \u{a0}\u{2003}\u{3000}\t  !\"",
    "кКиИйЙ\u{306}ёЁеЕ\u{308}ѐ",
    "ȺⱥȾⱦȿⱾɐⱯ\u{212a}k\u{212b}åſSab",
    "แก\u{e01}\u{e40}\u{e34}\u{fb2}\u{f71}\u{f80}\u{9c7}\u{9be}เ",
    "ﷺ\u{fdfa}㌖㍍①１1²½Ⅷⅷviii",
    "%_\\|a%_b\\ A%",
];
const ESCAPES: [Option<char>; 7] = [
    Some('\\'),
    Some('|'),
    None,
    Some('%'),
    Some('_'),
    Some('a'),
    Some(' '),
];

/// What the server says of one pair.
type Row = (i8, i8, i8, i8, Vec<u8>, Vec<u8>);

#[tokio::test(flavor = "multi_thread")]
async fn random_texts_as_the_server_has_them() {
    let mut random = fastrand::Rng::with_seed(seed());
    let mut conn = Server::shared().conn(None).await;
    let bins: Vec<String> = conn
        .query(
            "SELECT collation_name FROM information_schema.collations
             WHERE collation_name LIKE '%\\_bin' AND character_set_name NOT LIKE 'utf8%'",
        )
        .await
        .expect("the server's collations");
    for name in UNICODE.into_iter().chain(NARROWER) {
        let weigher = Weigher::by_name(name).unwrap_or_else(|| panic!("{name} is known"));
        check_pairs(&mut conn, weigher, &mut random, PAIRS).await;
    }
    let bins: Vec<Weigher> = bins
        .iter()
        .filter_map(|name| Weigher::by_name(name))
        // The others are looked at code by code (`codes`).
        .filter(|weigher| weigher.coded().is_none())
        .collect();
    assert!(bins.len() > 10, "{bins:?}");
    for weigher in bins {
        check_pairs(&mut conn, weigher, &mut random, PAIRS / 10).await;
    }
}

async fn check_pairs(conn: &mut Conn, weigher: Weigher, random: &mut fastrand::Rng, count: usize) {
    let letters = Letters::of(weigher.charset());
    let cases: Vec<Case> = (0..count).map(|_| letters.case(random)).collect();
    let rows = ask(conn, weigher, &cases).await;
    assert_eq!(rows.len(), cases.len());
    let mut equal = 0;
    let mut alike = 0;
    for (case, row) in cases.iter().zip(rows) {
        let (a, b, name) = (&case.a, &case.b, weigher.name());
        let (order, same, less, like, upper, lower) = row;
        let compared = weigher.compare(a, b);
        let told = (order.cmp(&0), same == 1, less == 1);
        let ours = (compared, compared.is_eq(), compared.is_lt());
        assert_eq!(ours, told, "{name}: {a:?} {b:?}");
        assert_eq!(
            compare_keys(weigher, a, b),
            compared,
            "{name}, keys: {a:?} {b:?}"
        );
        let ours = weigher.like(a, &case.pattern, ESCAPES[case.escape]);
        assert_eq!(ours, like == 1, "{name}: {case:?}");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        assert_eq!(weigher.upper(a), text(upper), "{name}: UPPER {a:?}");
        assert_eq!(weigher.lower(a), text(lower), "{name}: LOWER {a:?}");
        equal += usize::from(same == 1 && a != b);
        alike += usize::from(like == 1);
    }
    assert!(
        alike * 20 > count,
        "{weigher:?}: {alike} of {count} are LIKE their patterns"
    );
    let folds = weigher.name().ends_with("_ci");
    assert!(
        equal * 50 > count || !folds,
        "{weigher:?}: {equal} of {count} are equal"
    );
}

fn key(weigher: Weigher, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    weigher.key(text, &mut out);
    out
}

fn compare_keys(weigher: Weigher, a: &str, b: &str) -> Ordering {
    key(weigher, a).cmp(&key(weigher, b))
}

/// How SQL says this text in the collation.
fn in_sql(weigher: Weigher, column: &str) -> String {
    match weigher.charset() {
        "binary" => column.to_owned(),
        set => format!(
            "CONVERT(CONVERT({column} USING utf8mb4) USING {set}) COLLATE {}",
            weigher.name()
        ),
    }
}

async fn ask(conn: &mut Conn, weigher: Weigher, cases: &[Case]) -> Vec<Row> {
    let mut values = String::new();
    for (index, case) in cases.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let [a, b, pattern] = [&case.a, &case.b, &case.pattern].map(|text| hex(text));
        write!(values, "{comma}({index},{a},{b},{pattern},{})", case.escape).expect("a string");
    }
    let [a, b, pattern] = ["a", "b", "p"].map(|column| in_sql(weigher, column));
    let mut like = "CASE e".to_owned();
    for (index, escape) in ESCAPES.iter().enumerate() {
        let escape = escape
            .map_or(String::new(), String::from)
            .replace('\\', "\\\\");
        write!(
            like,
            " WHEN {index} THEN {a} LIKE {pattern} ESCAPE '{escape}'"
        )
        .expect("a string");
    }
    let result = |text: String| match weigher.charset() {
        "binary" => text,
        _ => format!("CAST(CONVERT({text} USING utf8mb4) AS BINARY)"),
    };
    let [upper, lower] = ["UPPER", "LOWER"].map(|case| result(format!("{case}({a})")));
    let select = format!(
        "SELECT STRCMP({a}, {b}), {a} = {b}, {a} < {b}, {like} END, {upper}, {lower} FROM pairs ORDER BY i"
    );
    let blob = "VARBINARY(200)";
    for statement in [
        "CREATE DATABASE IF NOT EXISTS test_collations".to_owned(),
        "USE test_collations".to_owned(),
        "DROP TEMPORARY TABLE IF EXISTS pairs".to_owned(),
        format!(
            "CREATE TEMPORARY TABLE pairs (i INT PRIMARY KEY, a {blob}, b {blob}, p {blob}, e INT)"
        ),
        format!("INSERT INTO pairs VALUES {values}"),
    ] {
        conn.query_drop(statement).await.expect("a table of pairs");
    }
    conn.query(select).await.expect("what the server says")
}

fn hex(text: &str) -> String {
    let mut out = "x'".to_owned();
    for byte in text.bytes() {
        write!(out, "{byte:02x}").expect("a string");
    }
    out + "'"
}

// ---- random texts ----------------------------------------------------------------------------------------------------

#[derive(Debug)]
struct Case {
    a: String,
    b: String,
    pattern: String,
    escape: usize,
}

/// The characters of a character set.
struct Letters {
    families: Vec<Vec<char>>,
    /// All, if they are few.
    all: Vec<char>,
    highest: u32,
}

impl Letters {
    fn of(charset: &str) -> Self {
        let wide = charset == "binary" || charset.starts_with("utf") || charset == "ucs2";
        let all: Vec<char> = if wide { Vec::new() } else { singles(charset) };
        let highest = match charset {
            "utf8mb3" | "ucs2" => 0xffff,
            _ => 0x10ffff,
        };
        let has = |c: &char| u32::from(*c) <= highest && (wide || all.contains(c));
        let families = FAMILIES
            .iter()
            .map(|family| family.chars().filter(has).collect::<Vec<char>>())
            .filter(|family| family.len() > 1)
            .collect();
        Self {
            families,
            all,
            highest,
        }
    }

    fn any(&self, random: &mut fastrand::Rng) -> char {
        if let Some(character) = random.choice(&self.all) {
            return *character;
        }
        let highest = match random.u8(..4) {
            0 => self.highest,
            1 => self.highest.min(0x1ffff),
            2 => 0xffff,
            _ => 0x3000,
        };
        // No surrogate, and none that no UTF-8 has.
        char::from_u32(random.u32(..=highest)).unwrap_or('a')
    }

    fn text(&self, random: &mut fastrand::Rng) -> String {
        let family = random.choice(&self.families).expect("a family");
        let length = random.usize(..=LONGEST);
        let mut text: String = (0..length).map(|_| self.one(family, random)).collect();
        if random.u8(..4) == 0 {
            text.extend((0..random.usize(1..3)).map(|_| ' '));
        }
        text
    }

    fn one(&self, family: &[char], random: &mut fastrand::Rng) -> char {
        match random.u8(..10) {
            0 => self.any(random),
            _ => *random.choice(family).expect("a character"),
        }
    }

    /// Much as `text` is: another case, other neighbours, something more or less.
    fn near(&self, text: &str, random: &mut fastrand::Rng) -> String {
        let family = random.choice(&self.families).expect("a family");
        let family = self
            .families
            .iter()
            .find(|family| text.chars().next().is_some_and(|c| family.contains(&c)))
            .unwrap_or(family);
        let mut out: Vec<char> = match random.u8(..4) {
            0 => text.to_uppercase().chars().collect(),
            1 => text.to_lowercase().chars().collect(),
            _ => text.chars().collect(),
        };
        out.retain(|&c| {
            u32::from(c) <= self.highest && (self.all.is_empty() || self.all.contains(&c))
        });
        for _ in 0..random.usize(..3) {
            let place = random.usize(..=out.len());
            match random.u8(..3) {
                0 => out.insert(place, self.one(family, random)),
                1 if place < out.len() => out[place] = self.one(family, random),
                _ if place < out.len() => drop(out.remove(place)),
                _ => out.push(' '),
            }
        }
        out.into_iter().collect()
    }

    fn pattern(&self, text: &str, escape: Option<char>, random: &mut fastrand::Rng) -> String {
        let mut out = String::new();
        for character in self.near(text, random).chars() {
            match (random.u8(..12), escape) {
                (0, _) => out.push('_'),
                (1, _) => out.push('%'),
                (2, _) => out.extend(['%', character]),
                (3, _) => out.push_str("%_"),
                (4 | 5, Some(escape)) => out.extend([escape, character]),
                _ => out.push(character),
            }
        }
        match (random.u8(..8), escape) {
            (0 | 1, _) => out.push('%'),
            (2, Some(escape)) => out.push(escape),
            _ => {}
        }
        out
    }

    fn case(&self, random: &mut fastrand::Rng) -> Case {
        let a = self.text(random);
        let b = match random.u8(..4) {
            0 => self.text(random),
            _ => self.near(&a, random),
        };
        // A plain escape most of the time.
        let escape = random.usize(..ESCAPES.len() + 4).saturating_sub(4);
        let mut pattern = self.pattern(&a, ESCAPES[escape], random);
        // There the server's own choice for "no wildcard" is the code 0xFF, where bytes are signed.
        if matches!(ESCAPES[escape], Some('%' | '_')) {
            pattern.retain(|c| self.all.last() != Some(&c));
        }
        Case {
            a,
            b,
            pattern,
            escape,
        }
    }
}

/// The characters of a set of single bytes.
fn singles(charset: &str) -> Vec<char> {
    let set = Charset::by_mysql_name(charset).expect("a known set");
    (0..=255_u8)
        .filter_map(|byte| set.decode(&[byte]).ok()?.chars().next())
        .collect()
}

// ---- every character -------------------------------------------------------------------------------------------------

/// The first two planes, and beyond them the beginnings of what is assigned, of what is not, and the last one.
const CODES: &str = "n < 0x20400 OR n BETWEEN 0x2A6D0 AND 0x2A750 OR n BETWEEN 0x2F7F0 AND 0x2FAFF
    OR n BETWEEN 0xE0000 AND 0xE01FF OR n > 0x10FF00";

/// The rank of each character among all others is the server's: no weight is wrong, whatever the random texts meet.
#[tokio::test(flavor = "multi_thread")]
async fn every_character_ranks_and_maps_as_on_the_server() {
    let database = Server::shared().database().await;
    let fill = format!(
        "INSERT INTO chars WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 0x10FFFF)
         SELECT n, CONVERT(CHAR(n USING utf32) USING utf8mb4) FROM s WHERE n NOT BETWEEN 0xD800 AND 0xDFFF AND ({CODES})"
    );
    database
        .run(&[
            "CREATE TABLE chars (n INT UNSIGNED PRIMARY KEY, c VARCHAR(1) CHARACTER SET utf8mb4)",
        ])
        .await;
    let mut conn = database.conn().await;
    conn.query_drop("SET cte_max_recursion_depth = 2000000, sort_buffer_size = 64000000")
        .await
        .expect("settings");
    conn.query_drop(fill).await.expect("the characters");
    for name in UNICODE.into_iter().filter(|&name| name != "binary") {
        check_ranks(&mut conn, Weigher::by_name(name).expect("known")).await;
    }
    for name in ["utf8mb4_0900_ai_ci", "utf8mb4_general_ci"] {
        check_cases(&mut conn, Weigher::by_name(name).expect("known")).await;
    }
}

async fn check_ranks(conn: &mut Conn, weigher: Weigher) {
    let name = weigher.name();
    let rows: Vec<(u32, u32)> = conn
        .query(format!(
            "SELECT n, DENSE_RANK() OVER (ORDER BY c COLLATE {name}) FROM chars ORDER BY n"
        ))
        .await
        .expect("ranks");
    assert!(rows.len() > 100_000);
    let mut keys: BTreeMap<Vec<u8>, Vec<u32>> = BTreeMap::new();
    for &(code, _) in &rows {
        let text = String::from(char::from_u32(code).expect("a character"));
        keys.entry(key(weigher, &text)).or_default().push(code);
    }
    let mut ours: Vec<(u32, u32)> = (1..)
        .zip(keys.values())
        .flat_map(|(rank, codes)| codes.iter().map(move |&code| (code, rank)))
        .collect();
    ours.sort_unstable();
    if let Some((ours, theirs)) = ours.iter().zip(&rows).find(|(a, b)| a != b) {
        panic!(
            "{name}: U+{:04X} ranks {} and not {}",
            ours.0, ours.1, theirs.1
        );
    }
}

async fn check_cases(conn: &mut Conn, weigher: Weigher) {
    let name = weigher.name();
    // Characters that become shorter make room for those that become longer.
    let rows: Vec<(u32, Vec<u8>, Vec<u8>)> = conn
        .query(format!(
            "SELECT n, CAST(UPPER(CONCAT('ſſ', c) COLLATE {name}) AS BINARY), CAST(LOWER(CONCAT('\u{212a}', c) COLLATE {name}) AS BINARY)
             FROM chars ORDER BY n"
        ))
        .await
        .expect("other cases");
    for (code, upper, lower) in rows {
        let character = char::from_u32(code).expect("a character");
        let ours = weigher.upper(&format!("ſſ{character}"));
        assert_eq!(ours.as_bytes(), upper, "{name}: UPPER U+{code:04X}");
        let ours = weigher.lower(&format!("\u{212a}{character}"));
        assert_eq!(ours.as_bytes(), lower, "{name}: LOWER U+{code:04X}");
    }
}
