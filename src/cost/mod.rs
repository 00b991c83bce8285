//! What a migration costs in DynamoDB: items, bytes and write units, counted on real rows that the contract's own SELECT has
//! mapped; and money where `[cost]` names prices. penstock knows no prices.

mod changes;
mod render;
mod sample;
mod size;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use changes::{Changes, Since};
pub use render::render;
pub use sample::estimate;
pub use size::{entry_size, item_size, write_units};

/// What DynamoDB stores beside each item.
const STORED_BESIDE: f64 = 100.0;
const DAY: f64 = 86_400.0;

/// `[cost]`: what somebody's contract with AWS says. All in one currency.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Prices {
    pub currency: Option<String>,
    /// Of a million write units on demand.
    pub million_writes: Option<f64>,
    /// Of one provisioned write unit for an hour.
    pub write_unit_hour: Option<f64>,
    /// Of a gigabyte stored for a month.
    pub gigabyte_month: Option<f64>,
}

/// What one kind of item comes to.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Kind {
    /// The projection's label: `orders`, `orders/ORDER`.
    pub kind: String,
    pub table: String,
    /// Rows of the driving table.
    pub rows: u64,
    /// Counted; else the optimizer's estimate, which may be off by a lot.
    pub rows_are_counted: bool,
    /// Driving rows that were mapped, and what became of them.
    pub sampled_rows: u64,
    pub sampled_items: u64,
    /// The average item's bytes, and what writing it costs.
    pub item_bytes: f64,
    pub write_units: f64,
    pub indexes: Vec<Index>,
    /// In a day, if it goes on as it did: at most so many writes.
    pub writes_a_day: Option<f64>,
}

/// What it comes to in an index.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Index {
    pub index: String,
    /// Of the sampled items: those that are in the index.
    pub sampled_items: u64,
    /// The average entry's bytes, and what writing it costs.
    pub entry_bytes: f64,
    pub write_units: f64,
}

/// The whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cost {
    pub kinds: Vec<Kind>,
    /// Where the changes of a day come from; null where nobody can say.
    pub changes: Option<Changes>,
    pub sums: Sums,
    pub prices: Prices,
    pub money: Money,
}

/// All kinds together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Sums {
    /// Every row was counted and mapped: what stands here is so, not nearly so.
    pub exact: bool,
    pub items: f64,
    pub index_entries: f64,
    pub bytes: f64,
    pub index_bytes: f64,
    /// To copy everything once.
    pub copy_write_units: f64,
    /// Of these for the indexes.
    pub copy_index_write_units: f64,
    pub day_writes: Option<f64>,
    pub day_write_units: Option<f64>,
}

/// Amounts in `[cost] currency`; null where the price is not in the settings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Money {
    pub copy_on_demand: Option<f64>,
    /// With every provisioned unit used: the same however fast it goes.
    pub copy_provisioned: Option<f64>,
    pub day_on_demand: Option<f64>,
    /// With as many units all day as the day's average needs.
    pub day_provisioned: Option<f64>,
    /// A month's storage, indexes included.
    pub storage_month: Option<f64>,
}

impl Kind {
    /// Items in all: as many of the rows as of the sampled ones.
    pub fn items(&self) -> f64 {
        match self.sampled_rows {
            0 => 0.0,
            sampled => self.rows as f64 * self.sampled_items as f64 / sampled as f64,
        }
    }

    /// Every row is in the figures.
    pub fn is_exact(&self) -> bool {
        self.rows_are_counted && self.sampled_rows == self.rows
    }

    fn share(&self, index: &Index) -> f64 {
        index.sampled_items as f64 / (self.sampled_items as f64).max(1.0)
    }

    /// What writing the average item costs, its entries in the indexes included.
    pub fn all_write_units(&self) -> f64 {
        self.write_units + self.index_write_units()
    }

    fn index_write_units(&self) -> f64 {
        let units = self.indexes.iter().map(|i| i.write_units * self.share(i));
        units.sum()
    }
}

impl Cost {
    pub fn new(kinds: Vec<Kind>, changes: Option<Changes>, prices: Prices) -> Self {
        let sums = sums(&kinds);
        let money = money(&sums, &prices);
        Self {
            kinds,
            changes,
            sums,
            prices,
            money,
        }
    }
}

fn sums(kinds: &[Kind]) -> Sums {
    let mut sums = Sums {
        exact: kinds.iter().all(Kind::is_exact),
        ..Sums::default()
    };
    for kind in kinds {
        let items = kind.items();
        sums.items += items;
        sums.bytes += items * (kind.item_bytes + STORED_BESIDE);
        sums.copy_write_units += items * kind.all_write_units();
        sums.copy_index_write_units += items * kind.index_write_units();
        for index in &kind.indexes {
            let entries = items * kind.share(index);
            sums.index_entries += entries;
            sums.index_bytes += entries * (index.entry_bytes + STORED_BESIDE);
        }
    }
    let day = |of: fn(&Kind) -> f64| -> Option<f64> {
        let each = kinds.iter().map(|kind| Some(kind.writes_a_day? * of(kind)));
        each.sum()
    };
    sums.day_writes = day(|_| 1.0);
    sums.day_write_units = day(Kind::all_write_units);
    sums
}

fn money(sums: &Sums, prices: &Prices) -> Money {
    let on_demand = |units: f64| prices.million_writes.map(|price| units / 1e6 * price);
    let hour = prices.write_unit_hour;
    let gigabytes = (sums.bytes + sums.index_bytes) / 1e9;
    Money {
        copy_on_demand: on_demand(sums.copy_write_units),
        // A provisioned unit writes once a second.
        copy_provisioned: hour.map(|price| sums.copy_write_units / 3600.0 * price),
        day_on_demand: sums.day_write_units.and_then(on_demand),
        day_provisioned: hour
            .zip(sums.day_write_units)
            .map(|(price, units)| (units / DAY).ceil() * 24.0 * price),
        storage_month: prices.gigabyte_month.map(|price| gigabytes * price),
    }
}
