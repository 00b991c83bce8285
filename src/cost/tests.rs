use super::*;

fn kind(rows: u64, sampled: u64) -> Kind {
    Kind {
        kind: "shop/ORDER".to_owned(),
        table: "Shop".to_owned(),
        rows,
        rows_are_counted: true,
        sampled_rows: sampled,
        sampled_items: sampled,
        item_bytes: 1_500.0,
        write_units: 2.0,
        indexes: vec![Index {
            index: "ByUser".to_owned(),
            sampled_items: sampled / 2,
            entry_bytes: 100.0,
            write_units: 1.0,
        }],
        writes_a_day: Some(43_200.0),
    }
}

fn changes() -> Option<Changes> {
    Some(Changes {
        since: Since { seconds: 7_200.0 },
        tables: Vec::new(),
    })
}

#[test]
fn the_arithmetic_is_that_of_a_bill() {
    let prices = Prices {
        currency: Some("EUR".to_owned()),
        million_writes: Some(1.25),
        write_unit_hour: Some(0.001),
        gigabyte_month: Some(0.25),
    };
    // A million items of two units; half of them in an index with one.
    let cost = Cost::new(vec![kind(1_000_000, 1_000)], changes(), prices);
    let sums = &cost.sums;
    assert!(!sums.exact);
    assert_eq!(sums.items, 1e6);
    assert_eq!(sums.bytes, 1e6 * 1_600.0);
    assert_eq!((sums.index_entries, sums.index_bytes), (5e5, 5e5 * 200.0));
    assert_eq!(
        (sums.copy_write_units, sums.copy_index_write_units),
        (2.5e6, 5e5)
    );
    assert_eq!(sums.day_write_units, Some(43_200.0 * 2.5));
    assert_eq!(cost.money.copy_on_demand, Some(2.5 * 1.25));
    assert_eq!(cost.money.copy_provisioned, Some(2.5e6 / 3600.0 * 0.001));
    // 108,000 units a day are 1.25 a second: two are provisioned.
    assert_eq!(cost.money.day_provisioned, Some(2.0 * 24.0 * 0.001));
    assert_eq!(cost.money.storage_month, Some(1.7 * 0.25));
}

#[test]
fn what_is_estimated_says_so_and_what_has_no_price_has_none() {
    let mut estimated = kind(20_000_000, 1_000);
    estimated.rows_are_counted = false;
    let cost = Cost::new(vec![estimated], changes(), Prices::default());
    let golden = [
        "cost      kind                rows        mapped         items      bytes    units",
        "          shop/ORDER     ~20000000          1000  20.0 million       1500     2.00",
        "          + ByUser                                10.0 million        100     1.00",
        "  stored       about 20.0 million items with 32.0 GB, and about 10.0 million entries of indexes with 2.0 GB",
        "  the copy     about 50.0 million write units, 10.0 million of them for indexes",
        "  a day        at most about 43200 writes, 108000 write units, if it goes on as in the 2 h since MySQL's start: little to judge a day by",
        "               (rows that MySQL counted by table; cascades are not in it, a changed index key costs one write more)",
        "  on demand    no price in the settings: [cost] million_writes",
        "  provisioned  no price in the settings: [cost] write_unit_hour",
        "  storage      no price in the settings: [cost] gigabyte_month",
        "  how          averages of the mapped rows, times all rows; ~ is the optimizer's estimate of them",
        "",
    ];
    assert_eq!(render(&cost), golden.join("\n"));
    // Everything counted and mapped, and nobody who says how much is changed.
    let mut exact = kind(10, 10);
    exact.writes_a_day = None;
    let cost = Cost::new(
        vec![exact],
        None,
        Prices {
            million_writes: Some(1.0),
            ..Prices::default()
        },
    );
    let text = render(&cost);
    assert!(cost.sums.exact && !text.contains("about"), "{text}");
    assert!(
        text.contains("a day        not known")
            && text.contains("on demand    the copy 0.00, a day not known"),
        "{text}"
    );
}

#[test]
fn a_write_unit_is_a_kilobyte_begun() {
    for (bytes, units) in [(0, 1), (1, 1), (1024, 1), (1025, 2), (409_600, 400)] {
        assert_eq!(write_units(bytes), units, "{bytes}");
    }
}
