use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const A: &str = "11111111-1111-1111-1111-111111111111";
const B: &str = "22222222-2222-2222-2222-222222222222";

fn set(text: &str) -> GtidSet {
    text.parse().expect("a GTID set")
}

#[test]
fn reads_and_prints_mysqls_text() {
    let text = format!("{B}:3:1-2,\n {A}:Tag_1:4:1-2 : 7-9:other:5, {A}:1-5 ,");
    assert_eq!(
        set(&text).to_string(),
        format!("{A}:1-5:other:5:tag_1:1-2:4:7-9,{B}:1-3")
    );
    assert_eq!(set("").to_string(), "");
    assert_eq!(set(&format!("{A}:5-3")), GtidSet::new());
}

#[test]
fn refuses_what_is_not_a_set() {
    for bad in [
        "x",
        "1-5",
        &format!("{A}:0"),
        &format!("{A}:1-x"),
        &format!("{A}:-"),
        &format!("{A}::1"),
        &format!("{A}:9223372036854775807"),
        &format!("{A}:tag-x:1"),
        &format!("{A}1:1"),
    ] {
        assert!(bad.parse::<GtidSet>().is_err(), "{bad}");
    }
}

#[test]
fn tags_are_sources_of_their_own() {
    let tagged = set(&format!("{A}:t:1-3"));
    assert!(!tagged.is_subset(&set(&format!("{A}:1-3"))));
    assert!(tagged.is_subset(&set(&format!("{A}:1:t:1-9"))));
    assert!(tagged.is_tagged());
    assert_eq!(
        set(&format!("{A}:1-3:t:1-3")).difference(&tagged),
        set(&format!("{A}:1-3"))
    );
}

#[test]
fn the_ends_of_the_range_do_not_overflow() {
    let mut all = set(&format!("{A}:1-{MAX_NUMBER}"));
    assert_eq!(all.count(), MAX_NUMBER);
    assert!(all.difference(&all).is_empty());
    all.add_interval([0; 16], None, 0, u64::MAX);
    assert!(all.difference(&all).is_empty());
}

#[test]
fn serde_is_text() {
    let json = serde_json::to_string(&set(&format!("{A}:1-2"))).expect("json");
    assert_eq!(json, format!("\"{A}:1-2\""));
    assert_eq!(
        serde_json::from_str::<GtidSet>(&json).expect("set"),
        set(&format!("{A}:1-2"))
    );
    assert!(serde_json::from_str::<GtidSet>("\"zzz\"").is_err());
}

type Naive = BTreeSet<(u8, u8, u64)>;

fn gtid((source, tag, number): (u8, u8, u64)) -> Gtid {
    let tag = (tag > 0).then(|| Tag::new(&format!("t{tag}")).expect("a tag"));
    Gtid {
        uuid: [source; 16],
        tag,
        number,
    }
}

fn build(numbers: &Naive) -> GtidSet {
    let mut set = GtidSet::new();
    numbers.iter().for_each(|n| {
        set.add(&gtid(*n));
    });
    set
}

fn naive() -> impl Strategy<Value = Vec<(u8, u8, u64)>> {
    prop::collection::vec((0..2u8, 0..2u8, 1..30u64), 0..60)
}

proptest! {
    #[test]
    fn behaves_as_a_set_of_numbers(a in naive(), b in naive()) {
        let (na, nb): (Naive, Naive) = (a.iter().copied().collect(), b.iter().copied().collect());
        let mut sa = GtidSet::new();
        let mut seen = Naive::new();
        for n in &a {
            prop_assert_eq!(sa.add(&gtid(*n)), seen.insert(*n));
        }
        let sb = build(&nb);
        prop_assert_eq!(&sa, &build(&na));
        prop_assert_eq!(sa.count(), na.len() as u64);
        prop_assert_eq!(sa.is_subset(&sb), na.is_subset(&nb));
        prop_assert_eq!(sa.difference(&sb), build(&na.difference(&nb).copied().collect()));
        let mut union = sa.clone();
        union.union(&sb);
        prop_assert_eq!(&union, &build(&na.union(&nb).copied().collect()));
        prop_assert!(sa.is_subset(&union) && sb.is_subset(&union));
        for n in na.union(&nb) {
            prop_assert_eq!(sa.contains(&gtid(*n)), na.contains(n));
        }
        prop_assert_eq!(sa.to_string().parse::<GtidSet>().expect("own text"), sa);
    }

    #[test]
    fn ranges_merge(ranges in prop::collection::vec((1..60u64, 0..10u64), 0..20)) {
        let mut set = GtidSet::new();
        let mut numbers = Naive::new();
        for (start, length) in ranges {
            set.add_interval([1; 16], None, start, start + length);
            numbers.extend((start..=start + length).map(|n| (1, 0, n)));
        }
        prop_assert_eq!(set, build(&numbers));
    }

    #[test]
    fn nonsense_never_panics(text in "\\PC{0,60}") {
        let _ = text.parse::<GtidSet>();
    }
}
