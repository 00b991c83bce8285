//! Every sequence of one and two bytes (and more, where the set has them) against checksums of what a server gives.

use super::{Charset, Collation};

/// CRC32 of the texts of `sequences`, each on a line, `!` for what is malformed.
fn checksum(name: &str, sequences: impl Iterator<Item = Vec<u8>>) -> u32 {
    let charset = Charset::by_mysql_name(name).unwrap();
    let mut hasher = crc32fast::Hasher::new();
    for sequence in sequences {
        match charset.decode(&sequence) {
            Ok(text) => hasher.update(text.as_bytes()),
            Err(_) => hasher.update(b"!"),
        }
        hasher.update(b"\n");
    }
    hasher.finalize()
}

fn one() -> impl Iterator<Item = Vec<u8>> {
    (0..=255).map(|byte| vec![byte])
}

fn two(name: &str) -> impl Iterator<Item = Vec<u8>> {
    let units = matches!(name, "ucs2" | "utf16" | "utf16le");
    // A server shows one code of these sets as two question marks, and has its own idea of their lone upper bytes.
    let japanese = matches!(name, "ujis" | "eucjpms");
    let eucjpms = name == "eucjpms";
    (0..=u16::MAX)
        .filter(move |&code| units || code >= 0x8000)
        .filter(move |&code| !(japanese && code == 0x8ea0))
        .filter(move |&code| !eucjpms || code >> 8 == 0x8e || code >> 8 >= 0xa1)
        .map(|code| code.to_be_bytes().to_vec())
}

fn three() -> impl Iterator<Item = Vec<u8>> {
    (0..=u16::MAX).map(|code| [&[0x8f], &code.to_be_bytes()[..]].concat())
}

#[test]
fn single_bytes_and_pairs_are_the_servers() {
    for &(name, first, second, third) in SUMS {
        if first != 0 {
            assert_eq!(checksum(name, one()), first, "{name}, one byte");
        }
        if second != 0 {
            assert_eq!(checksum(name, two(name)), second, "{name}, two bytes");
        }
        if third != 0 {
            assert_eq!(checksum(name, three()), third, "{name}, three bytes");
        }
    }
}

#[test]
fn four_bytes_of_gb18030_are_the_servers() {
    let digits = || 0x30..=0x39_u8;
    let bytes = || 0x81..=0xfe_u8;
    let codes = bytes().flat_map(move |a| {
        digits()
            .flat_map(move |b| bytes().flat_map(move |c| digits().map(move |d| vec![a, b, c, d])))
    });
    assert_eq!(checksum("gb18030", codes), GB18030_SUM);
}

#[test]
fn every_collation_has_its_charset() {
    assert_eq!(Collation::by_id(255).unwrap().name, "utf8mb4_0900_ai_ci");
    assert_eq!(Collation::by_id(8).unwrap().charset, "latin1");
    assert_eq!(Collation::by_id(0), None);
    for &(id, name, charset) in super::collations::COLLATIONS {
        assert_eq!(Collation::by_id(id).unwrap().name, name);
        assert!(Charset::by_collation_id(id).is_some(), "{charset}");
    }
}

#[test]
fn what_is_utf8_is_borrowed() {
    for (name, text) in [("utf8mb4", "ü中😀"), ("latin1", "plain"), ("gbk", "plain")] {
        let charset = Charset::by_mysql_name(name).unwrap();
        assert!(matches!(
            charset.decode(text.as_bytes()),
            Ok(std::borrow::Cow::Borrowed(same)) if same == text
        ));
    }
}

#[test]
fn sets_with_codes_for_nothing_are_not_one_to_one() {
    let all = [("utf8mb3", 0, 0, 0), ("utf8mb4", 0, 0, 0)];
    let names = all.iter().chain(SUMS).map(|&(name, ..)| name);
    let faithful: Vec<_> = names
        .filter(|name| Charset::by_mysql_name(name).unwrap().is_one_to_one())
        .collect();
    let expected = "utf8mb3 utf8mb4 ascii cp850 cp852 cp866 keybcs2 koi8r koi8u latin1 latin2 latin5 latin7 macce \
                    macroman ucs2 utf16 utf16le utf32";
    assert_eq!(faithful, expected.split_whitespace().collect::<Vec<_>>());
}

/// A code that stands for nothing is a question mark in a SELECT, and nothing that MySQL converts; in gb18030 it is one.
#[test]
fn codes_for_nothing_are_told_from_question_marks() {
    for (name, bytes, converts) in [
        ("cp1251", &b"a?"[..], true),
        ("cp1251", b"a\x98", false),
        ("gbk", &[b'?', 0xa1, 0x40], false),
        ("cp932", &[b'?', 0x87, 0x90], true),
        ("tis620", &[0xa0], true),
        ("swe7", &[0x7f], false),
        ("gb18030", &[0x85, 0x30, 0x81, 0x30], true),
        ("ujis", &[0x8e, 0xa0], false),
    ] {
        let charset = Charset::by_mysql_name(name).unwrap();
        assert_eq!(charset.text(bytes).unwrap().converts(), converts, "{name}");
    }
}

#[test]
fn malformed_text_is_an_error() {
    for (name, bytes) in [
        ("utf8mb4", &[0xff][..]),
        ("utf16", &[0xd8, 0]),
        ("utf16", &[0]),
        ("utf32", &[0, 0x11, 0, 0]),
        ("gbk", &[b'a', 0x81]),
        ("ujis", &[0x8f, 0xa1]),
        ("ascii", &[0x80]),
    ] {
        let charset = Charset::by_mysql_name(name).unwrap();
        assert!(charset.decode(bytes).is_err(), "{name}");
    }
}

const GB18030_SUM: u32 = 0xd8ee2235;

/// Name, and the checksums for one, two and three bytes.
const SUMS: &[(&str, u32, u32, u32)] = &[
    ("armscii8", 0xfb249316, 0x00000000, 0x00000000),
    ("ascii", 0x35f8e51a, 0x00000000, 0x00000000),
    ("big5", 0x35f8e51a, 0xe12aa7b8, 0x00000000),
    ("cp1250", 0x6f231116, 0x00000000, 0x00000000),
    ("cp1251", 0x49fcb8ea, 0x00000000, 0x00000000),
    ("cp1256", 0xfd331962, 0x00000000, 0x00000000),
    ("cp1257", 0xeadbde34, 0x00000000, 0x00000000),
    ("cp850", 0xda6b85cd, 0x00000000, 0x00000000),
    ("cp852", 0xc25133ce, 0x00000000, 0x00000000),
    ("cp866", 0x2c8bffb8, 0x00000000, 0x00000000),
    ("cp932", 0x8a748b6c, 0xe65b8e0d, 0x00000000),
    ("dec8", 0xc8f7db8e, 0x00000000, 0x00000000),
    ("eucjpms", 0x00000000, 0xcf453514, 0x056152cc),
    ("euckr", 0x35f8e51a, 0xc3f01e9e, 0x00000000),
    ("gb18030", 0x35f8e51a, 0x6297df87, 0x00000000),
    ("gb2312", 0x35f8e51a, 0x37c12be6, 0x00000000),
    ("gbk", 0x35f8e51a, 0x41c51376, 0x00000000),
    ("geostd8", 0x52e3cc9b, 0x00000000, 0x00000000),
    ("greek", 0x22738597, 0x00000000, 0x00000000),
    ("hebrew", 0x98b91f0f, 0x00000000, 0x00000000),
    ("hp8", 0xcdbead6a, 0x00000000, 0x00000000),
    ("keybcs2", 0xbd5b32ba, 0x00000000, 0x00000000),
    ("koi8r", 0x1cf9e789, 0x00000000, 0x00000000),
    ("koi8u", 0xa06b3ae7, 0x00000000, 0x00000000),
    ("latin1", 0x1ec73b5f, 0x00000000, 0x00000000),
    ("latin2", 0x7ca3c1f7, 0x00000000, 0x00000000),
    ("latin5", 0x88e16feb, 0x00000000, 0x00000000),
    ("latin7", 0xd7834e33, 0x00000000, 0x00000000),
    ("macce", 0x797cc90f, 0x00000000, 0x00000000),
    ("macroman", 0xad6d3063, 0x00000000, 0x00000000),
    ("sjis", 0x8a748b6c, 0xe1bbc01e, 0x00000000),
    ("swe7", 0x75b71b55, 0x00000000, 0x00000000),
    ("tis620", 0xc07a4f94, 0x00000000, 0x00000000),
    ("ucs2", 0x00000000, 0x6d1755cf, 0x00000000),
    ("ujis", 0x35f8e51a, 0x83c86b4c, 0xed60f621),
    ("utf16", 0x00000000, 0x6d1755cf, 0x00000000),
    ("utf16le", 0x00000000, 0xece1da7a, 0x00000000),
    ("utf32", 0x00000000, 0x00000000, 0x00000000),
];
