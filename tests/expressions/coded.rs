//! Expressions over columns of character sets in which several codes show as one character: exact, or refused by name.

use fastrand::Rng;
use mysql_async::Conn;
use penstock::schema::{Catalog, Column, ColumnType, Generated};

use super::{Case, Tally, cells, check, compare, run, values};
use crate::codes::{self, SETS, family, text_of};
use crate::support::mysql::{Database, Server};

const ROWS: usize = 60;

/// Over the columns `a` and `b` of the set's `_bin` collation, `o` of its default one, `i` of ASCII, `u` of utf8mb4.
const EXACT: &[&str] = &[
    "a",
    "a = b",
    "a < b",
    "a <> b",
    "b >= a",
    "a <=> b",
    "a = o",
    "o > b",
    "a = 'a'",
    "'b' <= a",
    "a < '?'",
    "a IN (b, 'a', '?')",
    "a NOT IN ('A', b)",
    "a BETWEEN 'A' AND b",
    "CASE a WHEN b THEN 1 WHEN '?' THEN 2 WHEN 'a' THEN 3 END",
    "CASE WHEN a < b THEN a ELSE b END = b",
    "COALESCE(a, b) = b",
    "COALESCE(a, '?') < b",
    "IF(id % 2, a, b) = a",
    "NULLIF(a, b)",
    "NULLIF(a, '?') = b",
    "GREATEST(a, b)",
    "LEAST(a, b, 'b')",
    "GREATEST(a, b) = a",
    "a LIKE 'a%'",
    "a LIKE '_a'",
    "a NOT LIKE '%b_' ESCAPE '|'",
    "UPPER(a)",
    "LOWER(CONCAT(a, b))",
    "REPLACE(a, 'a', b)",
    "TRIM(BOTH 'a' FROM a)",
    "TRIM(a)",
    "CONCAT(a, '-', b)",
    "SUBSTRING(a, 2)",
    "a + 0",
    "CAST(a AS SIGNED)",
    "a > 0",
    "CAST(a AS CHAR) = CAST(b AS CHAR)",
    "CAST(a AS CHAR) = u",
];

const REFUSED: &[(&str, &str)] = &[
    ("CONCAT(a, '') = b", "by its bytes"),
    ("a IN (b, UPPER(b))", "by its bytes"),
    ("GREATEST(a, TRIM(b))", "by its bytes"),
    ("CASE a WHEN LOWER(b) THEN 1 END", "by its bytes"),
    ("a LIKE '?%'", "one code"),
    ("a LIKE b", "one code"),
    ("REPLACE(a, '?', '')", "one code"),
    ("TRIM(LEADING b FROM a)", "one code"),
    ("o = o", "is not known here"),
    ("UPPER(o)", "is not known here"),
    ("HEX(a)", "are not known here"),
];

/// The collation that a set has by default, which is not known here.
fn default_of(set: &str) -> String {
    let name = match set {
        "big5" | "gbk" | "gb2312" | "gb18030" => "chinese_ci",
        "cp932" | "eucjpms" | "sjis" | "ujis" => "japanese_ci",
        "euckr" => "korean_ci",
        "swe7" | "dec8" => "swedish_ci",
        "hp8" => "english_ci",
        "tis620" => "thai_ci",
        _ => "general_ci",
    };
    format!("{set}_{name}")
}

fn columns(set: &str) -> Vec<(&'static str, String, String)> {
    [
        ("a", set, format!("{set}_bin")),
        ("b", set, format!("{set}_bin")),
        ("o", set, default_of(set)),
        ("i", "ascii", "ascii_bin".into()),
        ("u", "utf8mb4", "utf8mb4_bin".into()),
    ]
    .map(|(name, charset, collation)| (name, charset.to_owned(), collation))
    .into()
}

fn catalog(set: &str) -> Catalog {
    let column = |name: &str, ty: ColumnType| Column {
        name: name.into(),
        ty,
        nullable: name != "id",
        generated: Generated::No,
        invisible: false,
    };
    let id = ColumnType::Int {
        bytes: 8,
        unsigned: false,
        zerofill: None,
    };
    let texts = columns(set).into_iter().map(|(name, charset, collation)| {
        let max_chars = 30;
        let ty = ColumnType::Text {
            max_chars,
            charset,
            collation,
            fixed: false,
        };
        column(name, ty)
    });
    super::table::catalog_of(std::iter::once(column("id", id)).chain(texts).collect())
}

/// Random texts; ASCII is among those of every set but one.
async fn fill(conn: &mut Conn, set: &str, random: &mut Rng) {
    run(conn, "SET NAMES utf8mb4").await;
    run(conn, "DROP TABLE IF EXISTS v").await;
    let definitions: Vec<String> = columns(set)
        .into_iter()
        .map(|(name, charset, collation)| {
            format!("{name} VARCHAR(30) CHARACTER SET {charset} COLLATE {collation}")
        })
        .collect();
    let create = format!(
        "CREATE TABLE v (id BIGINT PRIMARY KEY, {})",
        definitions.join(", ")
    );
    run(conn, &create).await;
    let mut family = family(set, random);
    // What counts as white space before a number differs from set to set.
    family.retain(|code| !code[0].is_ascii_control());
    family.extend([&b"1"[..], b".", b"-"].map(<[u8]>::to_vec));
    let ascii: Vec<Vec<u8>> = (0x20..0x7f_u8).map(|byte| vec![byte]).collect();
    for id in 0..ROWS {
        let mut texts: Vec<String> = (0..3)
            .map(|_| format!("x'{}'", hex::encode(text_of(&family, random))))
            .collect();
        if random.bool() {
            texts[1] = texts[0].clone();
        }
        let plain = hex::encode(text_of(&ascii, random));
        texts.extend([
            format!("x'{plain}'"),
            format!("CONVERT(_{set} {} USING utf8mb4)", texts[0]),
        ]);
        if random.u8(..8) == 0 {
            texts[random.usize(..5)] = "NULL".into();
        }
        run(
            conn,
            &format!("INSERT INTO v VALUES ({id}, {})", texts.join(", ")),
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_look_alike_are_compared_as_on_the_server() {
    let seed = crate::support::seed();
    let mut random = Rng::with_seed(seed);
    let database = Database::create(Server::shared()).await;
    let mut conn = database.conn().await;
    for set in SETS {
        fill(&mut conn, set, &mut random).await;
        let catalog = catalog(set);
        let columns = catalog
            .tables
            .values()
            .next()
            .expect("the table")
            .columns
            .clone();
        let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        let cells = cells(&mut conn, &columns).await;
        let values = values(&columns, &cells);
        let mut cases = Vec::new();
        for text in EXACT {
            let compiled = check::compile(text, &catalog);
            if set == "swe7" && text.contains("'|'") {
                assert!(compiled.is_err(), "the set has no such character");
                continue;
            }
            let compiled = compiled.unwrap_or_else(|refusal| panic!("{set}: {text}: {refusal}"));
            cases.push(Case {
                name: "coded",
                function: None,
                text: (*text).to_owned(),
                compiled,
            });
        }
        // Every character of ASCII has a code in all sets but this one.
        let compiled = check::compile("a = i", &catalog);
        assert_eq!(compiled.is_err(), set == "swe7", "{set}");
        cases.extend(compiled.ok().map(|compiled| Case {
            name: "coded",
            function: None,
            text: "a = i".into(),
            compiled,
        }));
        let mut tally = Tally::default();
        compare(&mut conn, &cases, &values, &names, &mut tally).await;
        assert!(
            tally.differences.is_empty(),
            "PENSTOCK_SEED={seed} {set}\n{}",
            tally.differences.join("\n")
        );
        assert!(
            tally.values >= cases.len() * ROWS,
            "{set}: {} values",
            tally.values
        );
        let told = codes::set(set).tells('?');
        for (text, part) in REFUSED
            .iter()
            .filter(|(text, _)| !told || !text.contains('?'))
        {
            match check::compile(text, &catalog) {
                Ok(_) => panic!("{set}: {text} is not refused"),
                Err(refusal) => assert!(refusal.contains(part), "{set}: {text}: {refusal}"),
            }
        }
    }
}
