use super::*;
use crate::change::Text;
use crate::change::charset::Charset;

fn weigher(name: &str) -> Weigher {
    Weigher::by_name(name).unwrap_or_else(|| panic!("{name} is known"))
}

fn key(weigher: Weigher, text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    weigher.key(text, &mut out);
    out
}

const KNOWN: [&str; 17] = [
    "binary",
    "utf8mb4_bin",
    "utf8mb4_0900_bin",
    "utf8mb4_0900_ai_ci",
    "utf8mb4_0900_as_ci",
    "utf8mb4_0900_as_cs",
    "utf8mb4_unicode_ci",
    "utf8mb4_general_ci",
    "utf8mb3_general_ci",
    "latin1_bin",
    "latin1_swedish_ci",
    "ascii_general_ci",
    "cp1251_bin",
    "swe7_bin",
    "sjis_bin",
    "gb18030_bin",
    "ujis_bin",
];

#[test]
fn what_is_not_built_is_not_known() {
    for name in [
        "utf8mb4_de_pb_0900_ai_ci",
        "latin1_german2_ci",
        "sjis_japanese_ci",
        "gbk_chinese_ci",
        "none",
        "",
    ] {
        assert_eq!(Weigher::by_name(name), None, "{name}");
    }
}

#[test]
fn names_and_padding() {
    let found = weigher("latin1_swedish_ci");
    let told = (found.name(), found.charset(), found.pads_space());
    assert_eq!(told, ("latin1_swedish_ci", "latin1", true));
    assert!(!weigher("utf8mb4_0900_ai_ci").pads_space());
    assert_eq!(format!("{found:?}"), r#"Weigher("latin1_swedish_ci")"#);
}

/// Those that the server of the tests compares with it are in `tests/collations.rs`; these are the ones that people trip over.
#[test]
fn what_people_trip_over() {
    let equal = |name: &str, a: &str, b: &str| weigher(name).compare(a, b).is_eq();
    assert!(equal("utf8mb4_0900_ai_ci", "CAFE", "café"));
    assert!(equal("utf8mb4_0900_ai_ci", "Straße", "STRASSE"));
    assert!(!equal("utf8mb4_general_ci", "Straße", "STRASSE"));
    assert!(equal("utf8mb4_general_ci", "Straße", "Strase"));
    assert!(!equal("utf8mb4_0900_ai_ci", "a", "a "));
    assert!(equal("utf8mb4_general_ci", "a", "a "));
    assert!(equal("utf8mb4_unicode_ci", "😀", "💩"));
    assert!(!weigher("utf8mb4_unicode_ci").like("😀", "💩", None));
    assert!(!equal("utf8mb4_0900_ai_ci", "😀", "💩"));
    assert!(equal("utf8mb4_bin", "a", "a  "));
    assert!(weigher("utf8mb4_bin").compare("a", "a\t").is_gt());
    assert!(!equal("utf8mb4_0900_as_cs", "e\u{301}", "e"));
    assert!(equal("utf8mb4_0900_as_cs", "e\u{301}", "é"));
    assert!(!equal("latin1_swedish_ci", "a", "ä"));
    assert!(equal("latin1_swedish_ci", "ü", "Y"));
}

/// The server maps UTF-8 in its own place, so that a text whose character grows loses what follows.
#[test]
fn a_character_that_grows_ends_the_text() {
    let newer = weigher("utf8mb4_0900_ai_ci");
    assert_eq!(newer.lower("ȺAB"), "ⱥ");
    assert_eq!(newer.lower("\u{212a}ȺAȺB"), "kⱥaⱥb");
    assert_eq!(newer.upper("ȿ"), "");
    assert_eq!(weigher("utf8mb4_bin").upper("straße"), "STRAßE");
}

#[test]
fn keys_of_plain_text_are_as_long_as_it() {
    let text = "The quick brown fox, 1984";
    assert_eq!(key(weigher("utf8mb4_0900_ai_ci"), text).len(), text.len());
    for (text, most) in [("Привет", 12), ("漢字", 8), ("한글", 12)] {
        let length = key(weigher("utf8mb4_0900_ai_ci"), text).len();
        assert!(length <= most, "{text}: {length}");
    }
}

/// Texts of few different characters, spaces, controls and foreign ones among them: keys and comparison agree.
#[test]
fn keys_order_as_comparison_does() {
    const CHARS: [char; 20] = [
        'a', 'B', 'b', ' ', ' ', '\t', '\0', '\u{7f}', '\u{a0}', 'é', 'e', '\u{301}', 'ß', '漢',
        '豈', '한', '😀', 'ÿ', 'я', '\u{200b}',
    ];
    let seed = std::env::var("PENSTOCK_SEED").ok();
    let seed = seed.and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("PENSTOCK_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for name in KNOWN {
        let weigher = weigher(name);
        for _ in 0..20_000 {
            let mut text = || -> String {
                let length = random.usize(..6);
                (0..length)
                    .map(|_| CHARS[random.usize(..CHARS.len())])
                    .collect()
            };
            let (a, b) = (text(), text());
            let keys = key(weigher, &a).cmp(&key(weigher, &b));
            assert_eq!(keys, weigher.compare(&a, &b), "{name}: {a:?} {b:?}");
        }
    }
}

#[test]
fn every_bin_is_known() {
    for id in 0..1000 {
        let Some(found) = Collation::by_id(id).filter(|found| found.name.ends_with("_bin")) else {
            continue;
        };
        let weigher = weigher(found.name);
        let set = Charset::by_mysql_name(found.charset);
        let exact = set.is_some_and(Charset::is_one_to_one);
        assert_eq!(weigher.coded().is_none(), exact, "{found:?}");
    }
}

/// What shows alike is told apart by its bytes, and sorted by them; who has the characters alone has those that the server
/// gives them.
#[test]
fn texts_that_show_alike_compare_by_their_bytes() {
    let text = |set: &str, bytes: &'static [u8]| {
        let set = Charset::by_mysql_name(set).expect("a set");
        set.text(bytes).expect("text of the set")
    };
    for (set, first, second, canonical) in [
        (
            "cp932",
            &[0x81, 0xe0][..],
            &[0x87, 0x90][..],
            &[0x81, 0xe0][..],
        ),
        ("cp932", &[0xed, 0x40], &[0xfa, 0x5c], &[0xfa, 0x5c]),
        ("sjis", b"\\", &[0x81, 0x5f], &[0x81, 0x5f]),
        ("cp1251", b"?", &[0x98], b"?"),
        ("tis620", &[0xa0], &[0xff], &[0xff]),
        ("swe7", b"?", &[0x7f], b"?"),
        ("armscii8", b")", &[0xa4], b")"),
        ("eucjpms", &[0x8f, 0xa2, 0xf1], &[0xad, 0xe2], &[0xad, 0xe2]),
    ] {
        let (a, b) = (text(set, first), text(set, second));
        let weigher = weigher(&format!("{set}_bin"));
        assert_eq!(*a, *b, "{set}");
        assert!(weigher.compare(&a, &b).is_eq(), "{set}");
        assert!(weigher.compare_texts(&a, &b).is_lt(), "{set}");
        let of = |text: &Text<'_>| {
            let mut out = Vec::new();
            weigher.key_of(text, &mut out);
            out
        };
        assert!(of(&a) < of(&b), "{set}");
        let shown = Text::from(&*a);
        let has = match weigher.compare_texts(&shown, &a).is_eq() {
            true => first,
            false => second,
        };
        assert_eq!(has, canonical, "{set}");
        let plain = [&a, &b].map(|text| text.codes().is_none());
        assert_eq!(plain, [first == canonical, second == canonical], "{set}");
        let padded = [second, b"  "].concat();
        let set = Charset::by_mysql_name(set).expect("a set");
        let padded = set.text(&padded).expect("text of the set");
        assert!(weigher.compare_texts(&padded, &b).is_eq());
        assert_eq!(of(&padded), of(&b));
    }
}

/// A table that is damaged, of another format or of another kind is not read.
#[test]
fn tables_are_read_whole_or_not_at_all() {
    use table::{Kind, Reader};
    let table = include_bytes!("data/maps.bin");
    assert!(Reader::open(table, Kind::Maps).is_some());
    assert!(Reader::open(table, Kind::Weights).is_none());
    for place in [0, 4, 5, 6, 10, 14, table.len() / 2, table.len() - 1] {
        let mut damaged = table.to_vec();
        damaged[place] ^= 1;
        assert!(Reader::open(&damaged, Kind::Maps).is_none(), "byte {place}");
    }
    assert!(Reader::open(&table[..table.len() - 1], Kind::Maps).is_none());
}
