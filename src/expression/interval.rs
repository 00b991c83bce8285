//! DATE_ADD and DATE_SUB.

use sqlparser::ast::DateTimeField;

use super::calendar;
use super::datum::Datum;
use super::decimal::{Dec, Rounding};
use super::types::TypeKind;
use crate::change::Temporal;

/// A unit of INTERVAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Microsecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Unit {
    pub fn of(field: &DateTimeField) -> Option<Self> {
        Some(match field {
            DateTimeField::Microsecond => Unit::Microsecond,
            DateTimeField::Second => Unit::Second,
            DateTimeField::Minute => Unit::Minute,
            DateTimeField::Hour => Unit::Hour,
            DateTimeField::Day => Unit::Day,
            DateTimeField::Week(None) => Unit::Week,
            DateTimeField::Month => Unit::Month,
            DateTimeField::Quarter => Unit::Quarter,
            DateTimeField::Year => Unit::Year,
            _ => return None,
        })
    }

    /// It changes the time of the day.
    pub fn is_clock(self) -> bool {
        self.micros().is_some_and(|m| m < 86_400_000_000)
    }

    fn micros(self) -> Option<i64> {
        Some(match self {
            Unit::Microsecond => 1,
            Unit::Second => 1_000_000,
            Unit::Minute => 60_000_000,
            Unit::Hour => 3_600_000_000,
            Unit::Day => 86_400_000_000,
            Unit::Week => 7 * 86_400_000_000,
            Unit::Month | Unit::Quarter | Unit::Year => return None,
        })
    }

    fn months(self) -> i64 {
        match self {
            Unit::Month => 1,
            Unit::Quarter => 3,
            _ => 12,
        }
    }
}

/// How much an INTERVAL's value is, in units (in microseconds for SECOND).
fn amount(unit: Unit, value: &Datum<'_>) -> Option<i64> {
    let number = if unit == Unit::Second {
        let seconds = match value {
            Datum::UInt(number) => Dec::from_int(i128::from(*number as i64)),
            other => other.to_decimal()?,
        };
        let micros = seconds.rescaled(6, Rounding::Truncate);
        micros
            .mul(&Dec::from_int(1_000_000))
            .ok()?
            .to_int(Rounding::Truncate)?
    } else {
        match value {
            Datum::UInt(number) => i128::from(*number as i64),
            other => other.to_int()?,
        }
    };
    i64::try_from(number).ok()
}

/// `value` plus (or minus) `interval` units; NULL where it is no date or leaves the calendar.
pub(super) fn add(
    moment: Option<(Temporal, bool)>,
    interval: &Datum<'_>,
    unit: Unit,
    subtract: bool,
    result: &TypeKind,
) -> Datum<'static> {
    added(moment, interval, unit, subtract, result).unwrap_or(Datum::Null)
}

fn added(
    moment: Option<(Temporal, bool)>,
    interval: &Datum<'_>,
    unit: Unit,
    subtract: bool,
    result: &TypeKind,
) -> Option<Datum<'static>> {
    let amount = amount(unit, interval)?;
    let amount = if subtract {
        amount.checked_neg()?
    } else {
        amount
    };
    let (moment, had_time) = moment?;
    let sum = match unit.micros() {
        Some(micros) => {
            let micros = if unit == Unit::Second { 1 } else { micros };
            let total = calendar::micros_of(&moment).checked_add(amount.checked_mul(micros)?)?;
            let sum = calendar::moment_of(total, moment.fsp)?;
            // The first year of the calendar is not written back.
            (sum.month > 0).then_some(sum)?
        }
        None => plus_months(&moment, amount.checked_mul(unit.months())?)?,
    };
    Some(match result {
        TypeKind::Date => Datum::Date(Temporal { fsp: 0, ..sum }),
        TypeKind::DateTime { fsp } => Datum::DateTime(Temporal { fsp: *fsp, ..sum }),
        _ => {
            let with_time = had_time || unit.is_clock();
            let fsp = if sum.micros > 0 { 6 } else { 0 };
            let text = if with_time {
                Datum::DateTime(Temporal { fsp, ..sum })
            } else {
                Datum::Date(sum)
            };
            Datum::text(text.into_text()?)
        }
    })
}

/// The same day some months later, or the month's last day.
fn plus_months(moment: &Temporal, months: i64) -> Option<Temporal> {
    let total = i64::from(moment.year) * 12 + i64::from(moment.month) - 1;
    let total = total.checked_add(months)?;
    if !(0..120_000).contains(&total) {
        return None;
    }
    let (year, month) = (total / 12, total % 12 + 1);
    let last = calendar::days_in_month(year, month);
    Some(Temporal {
        year: year as u16,
        month: month as u8,
        day: i64::from(moment.day).min(last) as u8,
        ..*moment
    })
}
