//! Character sets in which several codes show as one character: each code and random texts against the server, and rows
//! whose keys look alike in snapshot, stream, joins and comparisons.

mod rows;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use fastrand::Rng;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use penstock::change::Text;
use penstock::change::charset::Charset;
use penstock::change::collation::Weigher;

use crate::support::mysql::Server;
use crate::support::seed;

pub const SETS: [&str; 21] = [
    "armscii8", "big5", "cp1250", "cp1251", "cp1256", "cp1257", "cp932", "dec8", "eucjpms",
    "euckr", "gb18030", "gb2312", "gbk", "geostd8", "greek", "hebrew", "hp8", "sjis", "swe7",
    "tis620", "ujis",
];
/// Codes of four bytes that are looked at, of the million and a half that gb18030 has.
const FOUR_BYTES: usize = 20_000;
/// Pairs of random texts for each set.
const PAIRS: usize = 1_000;

pub fn set(name: &str) -> Charset {
    Charset::by_mysql_name(name).expect("a character set")
}

/// Every code up to three bytes that stands for one character or for nothing.
pub fn codes(name: &str) -> Vec<Vec<u8>> {
    let charset = set(name);
    let one = (0..=u8::MAX).map(|byte| vec![byte]);
    let two = (0x8000..=u16::MAX).map(|code| code.to_be_bytes().to_vec());
    let three = (0x8000..=u16::MAX).map(|code| [&[0x8f], &code.to_be_bytes()[..]].concat());
    let three = three.filter(|_| matches!(name, "ujis" | "eucjpms"));
    let single = |bytes: &Vec<u8>| match charset.decode(bytes) {
        Ok(text) => text.chars().count() == 1,
        Err(_) => false,
    };
    let all = one.chain(two.filter(|_| charset.max_bytes() > 1));
    all.chain(three).filter(single).collect()
}

fn four_bytes(random: &mut Rng) -> Vec<u8> {
    let (lead, digit) = (0x81..=0xfe_u8, b'0'..=b'9');
    // Half of them where every code is a character.
    let first = if random.bool() {
        random.u8(0x81..=0x84)
    } else {
        random.u8(lead.clone())
    };
    let second = random.u8(digit.clone());
    vec![first, second, random.u8(lead), random.u8(digit)]
}

/// A table `t` of these texts: their number, their bytes, and themselves in the set.
async fn fill(conn: &mut Conn, name: &str, texts: &[Vec<u8>]) {
    conn.query_drop("DROP TEMPORARY TABLE IF EXISTS t")
        .await
        .expect("no table");
    let create = format!(
        "CREATE TEMPORARY TABLE t (n INT PRIMARY KEY, c VARCHAR(20) CHARACTER SET {name} COLLATE {name}_bin)"
    );
    conn.query_drop(create).await.expect("a table");
    for (page, texts) in texts.chunks(5_000).enumerate() {
        let mut insert = "INSERT INTO t VALUES ".to_owned();
        for (nth, bytes) in texts.iter().enumerate() {
            let comma = if nth == 0 { "" } else { "," };
            let number = page * 5_000 + nth;
            write!(insert, "{comma}({number},x'{}')", hex::encode(bytes)).expect("a string");
        }
        conn.query_drop(insert).await.expect("texts of the set");
    }
}

fn key(weigher: Weigher, text: &Text<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    weigher.key_of(text, &mut out);
    out
}

/// A code's rank, what it becomes there and back, and how it shows in upper and in lower case.
type Told = (u32, Vec<u8>, Vec<u8>, Vec<u8>);

#[tokio::test(flavor = "multi_thread")]
async fn every_code_is_the_servers() {
    let mut random = Rng::with_seed(seed());
    let database = Server::shared().database().await;
    let mut conn = database.conn().await;
    for name in SETS {
        let charset = set(name);
        assert!(!charset.is_one_to_one(), "{name}");
        let mut codes = codes(name);
        if name == "gb18030" {
            codes.extend((0..FOUR_BYTES).map(|_| four_bytes(&mut random)));
            codes.sort();
            codes.dedup();
        }
        fill(&mut conn, name, &codes).await;
        let select = format!(
            "SELECT DENSE_RANK() OVER (ORDER BY c), CAST(CONVERT(CONVERT(c USING utf8mb4) USING {name}) AS BINARY),
                    CAST(CONVERT(UPPER(c) USING utf8mb4) AS BINARY), CAST(CONVERT(LOWER(c) USING utf8mb4) AS BINARY)
             FROM t ORDER BY n"
        );
        let told: Vec<Told> = conn.query(select).await.expect("what the server says");
        assert_eq!(told.len(), codes.len(), "{name}");
        check(name, &codes, &told);
    }
}

fn check(name: &str, codes: &[Vec<u8>], told: &[Told]) {
    let (charset, weigher) = (set(name), Weigher::by_name(&format!("{name}_bin")));
    let weigher = weigher.expect("a known collation");
    let mut ranks: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    let mut shown: BTreeMap<String, Vec<&[u8]>> = BTreeMap::new();
    let mut kept = 0;
    for (code, (rank, back, upper, lower)) in codes.iter().zip(told) {
        let text = charset.text(code).expect("text of the set");
        let is_kept = back != code;
        assert_eq!(
            text.codes(),
            is_kept.then_some(&code[..]),
            "{name}: {code:02x?}"
        );
        let ours: Vec<u8> = charset.codes(&text).collect();
        assert_eq!(&ours, back, "{name}: {code:02x?}");
        let cases = [weigher.upper(&text), weigher.lower(&text)].map(String::into_bytes);
        assert_eq!(
            &cases,
            &[upper.clone(), lower.clone()],
            "{name}: {code:02x?}"
        );
        ranks.insert(key(weigher, &text), *rank);
        shown.entry(text.to_string()).or_default().push(code);
        kept += usize::from(is_kept);
    }
    assert!(kept > 0, "{name}");
    assert_eq!(ranks.len(), codes.len(), "{name}: as many keys as codes");
    assert!(ranks.values().is_sorted(), "{name}: the keys' order");
    for (text, codes) in shown.iter().filter(|(text, _)| *text != "?") {
        let character = text.chars().next().expect("a character");
        assert_eq!(
            charset.tells(character),
            codes.len() == 1,
            "{name}: {text} of {codes:02x?}"
        );
    }
    assert!(!charset.tells('?') || shown["?"].len() == 1, "{name}");
}

/// Codes that meet: some that show alike, ASCII, and whatever else.
pub fn family(name: &str, random: &mut Rng) -> Vec<Vec<u8>> {
    let charset = set(name);
    let mut all = codes(name);
    if name == "gb18030" {
        all.extend((0..200).map(|_| four_bytes(random)));
    }
    let mut shown: BTreeMap<String, Vec<&Vec<u8>>> = BTreeMap::new();
    for code in &all {
        let text = charset.decode(code).expect("text of the set");
        shown.entry(text.into_owned()).or_default().push(code);
    }
    let twins: Vec<&Vec<&Vec<u8>>> = shown.values().filter(|codes| codes.len() > 1).collect();
    let mut family: Vec<Vec<u8>> = [&b" "[..], b" ", b"a", b"A", b"b", b"?", b"\t"]
        .map(<[u8]>::to_vec)
        .to_vec();
    for _ in 0..3 {
        let codes = random.choice(&twins).expect("twins");
        let two = random.choose_multiple(codes.iter(), 2);
        family.extend(two.into_iter().map(|code| (*code).clone()));
        family.push(random.choice(&all).expect("a code").clone());
    }
    family
}

pub fn text_of(family: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    some(family, random).concat()
}

fn some(family: &[Vec<u8>], random: &mut Rng) -> Vec<Vec<u8>> {
    let length = random.usize(..6);
    (0..length)
        .map(|_| random.choice(family).expect("a code").clone())
        .collect()
}

/// As these codes are, with one more, with spaces, or with others that show alike.
fn near(name: &str, codes: &[Vec<u8>], family: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let shown = |code: &Vec<u8>| set(name).decode(code).expect("text").into_owned();
    let text = codes.concat();
    match random.u8(..4) {
        0 => [text, random.choice(family).expect("a code").clone()].concat(),
        1 => [&text[..], b"  "].concat(),
        2 => text,
        _ => {
            let alike = codes.iter().map(|code| {
                let alike: Vec<_> = family
                    .iter()
                    .filter(|other| shown(other) == shown(code))
                    .collect();
                (*random.choice(&alike).expect("itself")).clone()
            });
            alike.collect::<Vec<_>>().concat()
        }
    }
}

/// What the server says of two texts, and the cases of the first.
type Pair = (i8, i8, i8, Vec<u8>, Vec<u8>);

#[tokio::test(flavor = "multi_thread")]
async fn random_texts_compare_as_on_the_server() {
    let mut random = Rng::with_seed(seed());
    let database = Server::shared().database().await;
    let mut conn = database.conn().await;
    for name in SETS {
        let family = family(name, &mut random);
        let mut texts = Vec::new();
        for _ in 0..PAIRS {
            let a = some(&family, &mut random);
            let b = match random.bool() {
                true => near(name, &a, &family, &mut random),
                false => text_of(&family, &mut random),
            };
            texts.extend([a.concat(), b]);
        }
        fill(&mut conn, name, &texts).await;
        conn.query_drop("DROP TEMPORARY TABLE IF EXISTS u")
            .await
            .expect("no table");
        conn.query_drop("CREATE TEMPORARY TABLE u AS SELECT * FROM t")
            .await
            .expect("a copy");
        let select = "SELECT STRCMP(a.c, b.c), a.c = b.c, a.c < b.c, CAST(CONVERT(UPPER(a.c) USING utf8mb4) AS BINARY),
                             CAST(CONVERT(LOWER(a.c) USING utf8mb4) AS BINARY)
                      FROM t a JOIN u b ON b.n = a.n + 1 WHERE a.n % 2 = 0 ORDER BY a.n";
        let rows: Vec<Pair> = conn.query(select).await.expect("pairs");
        assert_eq!(rows.len(), PAIRS, "{name}");
        let (charset, weigher) = (
            set(name),
            Weigher::by_name(&format!("{name}_bin")).expect("known"),
        );
        let (mut alike, mut equal) = (0, 0);
        for (pair, (order, same, less, upper, lower)) in texts.chunks(2).zip(rows) {
            let [a, b] = [0, 1].map(|n| charset.text(&pair[n]).expect("text of the set"));
            let compared = weigher.compare_texts(&a, &b);
            let ours = (compared, compared.is_eq(), compared.is_lt());
            assert_eq!(
                ours,
                (order.cmp(&0), same == 1, less == 1),
                "{name}: {pair:02x?}"
            );
            assert_eq!(
                key(weigher, &a).cmp(&key(weigher, &b)),
                compared,
                "{name}: {pair:02x?}"
            );
            assert_eq!(weigher.upper(&a).as_bytes(), upper, "{name}: {pair:02x?}");
            assert_eq!(weigher.lower(&a).as_bytes(), lower, "{name}: {pair:02x?}");
            alike += usize::from(*a == *b && compared.is_ne());
            equal += usize::from(a != b && compared.is_eq());
        }
        assert!(
            alike > 0 && equal > 0,
            "{name}: {alike} alike, {equal} equal"
        );
    }
}
