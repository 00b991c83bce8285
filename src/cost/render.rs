//! The cost for people.

use std::fmt::Write as _;

use super::{Cost, Kind};

/// A server that has counted for less than this says little of a day.
const SHORT: f64 = 86_400.0;

/// The cost, line by line.
pub fn render(cost: &Cost) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, cost);
    out
}

fn write(out: &mut String, cost: &Cost) -> std::fmt::Result {
    let width = cost
        .kinds
        .iter()
        .map(|k| k.kind.chars().count())
        .max()
        .unwrap_or(0)
        .max(4);
    writeln!(
        out,
        "cost      {:width$} {:>13} {:>13} {:>13} {:>10} {:>8}",
        "kind", "rows", "mapped", "items", "bytes", "units"
    )?;
    for kind in &cost.kinds {
        of_kind(out, kind, width)?;
    }
    let sums = &cost.sums;
    let about = if sums.exact { "" } else { "about " };
    let line = |out: &mut String, name: &str, text: String| writeln!(out, "  {name:<12} {text}");
    let indexes = match sums.index_entries > 0.0 {
        true => format!(
            ", and {about}{} entries of indexes with {}",
            count(sums.index_entries),
            bytes(sums.index_bytes)
        ),
        false => String::new(),
    };
    line(
        out,
        "stored",
        format!(
            "{about}{} items with {}{indexes}",
            count(sums.items),
            bytes(sums.bytes)
        ),
    )?;
    line(
        out,
        "the copy",
        format!(
            "{about}{} write units, {} of them for indexes",
            count(sums.copy_write_units),
            count(sums.copy_index_write_units)
        ),
    )?;
    of_day(out, cost)?;
    of_money(out, cost)?;
    if !sums.exact {
        line(
            out,
            "how",
            "averages of the mapped rows, times all rows; ~ is the optimizer's estimate of them"
                .to_owned(),
        )?;
    }
    Ok(())
}

fn of_kind(out: &mut String, kind: &Kind, width: usize) -> std::fmt::Result {
    let mark = if kind.rows_are_counted { "" } else { "~" };
    let rows = format!("{mark}{}", kind.rows);
    writeln!(
        out,
        "          {:width$} {rows:>13} {:>13} {:>13} {:>10.0} {:>8.2}",
        kind.kind,
        kind.sampled_rows,
        count(kind.items()),
        kind.item_bytes,
        kind.write_units
    )?;
    for index in &kind.indexes {
        let name = format!("+ {}", index.index);
        let share = index.sampled_items as f64 / (kind.sampled_items as f64).max(1.0);
        writeln!(
            out,
            "          {name:width$} {:>13} {:>13} {:>13} {:>10.0} {:>8.2}",
            "",
            "",
            count(kind.items() * share),
            index.entry_bytes,
            index.write_units
        )?;
    }
    Ok(())
}

fn of_day(out: &mut String, cost: &Cost) -> std::fmt::Result {
    let Some(changes) = &cost.changes else {
        return writeln!(
            out,
            "  {:<12} not known: the server counts no changes by table, or the account may not read them \
             (GRANT SELECT ON performance_schema.table_io_waits_summary_by_table)",
            "a day"
        );
    };
    let sums = &cost.sums;
    let units = sums.day_write_units.unwrap_or(0.0);
    let writes = sums.day_writes.unwrap_or(0.0);
    let since = match changes.since.seconds {
        s if s < 100.0 => format!("{s:.0} s"),
        s if s < 6_000.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3_600.0),
        s => format!("{:.0} days", s / 86_400.0),
    };
    let little = if changes.since.seconds < SHORT {
        ": little to judge a day by"
    } else {
        ""
    };
    writeln!(
        out,
        "  {:<12} at most about {} writes, {} write units, if it goes on as in the {since} since MySQL's start{little}",
        "a day",
        count(writes),
        count(units)
    )?;
    writeln!(
        out,
        "  {:<12} (rows that MySQL counted by table; cascades are not in it, a changed index key costs one write more)",
        ""
    )
}

fn of_money(out: &mut String, cost: &Cost) -> std::fmt::Result {
    let money = &cost.money;
    let currency = cost.prices.currency.as_deref().unwrap_or("");
    let amount = |value: f64| format!("{value:.2} {currency}").trim_end().to_owned();
    let day = |value: Option<f64>, how: &str| match value {
        Some(value) => format!("{}{how}", amount(value)),
        None => "not known".to_owned(),
    };
    let without = |price: &str| format!("no price in the settings: [cost] {price}");
    let on_demand = match money.copy_on_demand {
        Some(copy) => format!(
            "the copy {}, a day {}",
            amount(copy),
            day(money.day_on_demand, "")
        ),
        None => without("million_writes"),
    };
    let provisioned = match money.copy_provisioned {
        Some(copy) => format!(
            "the copy {} with every unit used, a day {}",
            amount(copy),
            day(money.day_provisioned, " with the average all day")
        ),
        None => without("write_unit_hour"),
    };
    let storage = match money.storage_month {
        Some(month) => format!("{} a month", amount(month)),
        None => without("gigabyte_month"),
    };
    writeln!(out, "  {:<12} {on_demand}", "on demand")?;
    writeln!(out, "  {:<12} {provisioned}", "provisioned")?;
    writeln!(out, "  {:<12} {storage}", "storage")
}

/// `1234567` up to there, then `12.3 million`.
fn count(value: f64) -> String {
    match value {
        v if v >= 1e9 => format!("{:.1} billion", v / 1e9),
        v if v >= 1e7 => format!("{:.1} million", v / 1e6),
        v => format!("{v:.0}"),
    }
}

fn bytes(value: f64) -> String {
    match value {
        v if v >= 1e9 => format!("{:.1} GB", v / 1e9),
        v if v >= 1e6 => format!("{:.1} MB", v / 1e6),
        v if v >= 1e4 => format!("{:.1} kB", v / 1e3),
        v => format!("{v:.0} bytes"),
    }
}
