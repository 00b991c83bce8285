//! DATE_FORMAT, in the locale `en_US`.

use std::fmt::Write;

use super::calendar;
use crate::change::Temporal;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// A format, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Format(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The letter behind `%`.
    Field(char),
}

impl Format {
    pub fn parse(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match (c, chars.peek()) {
                ('%', Some(next)) => {
                    let next = *next;
                    chars.next();
                    if "MbWaDcdefHhIiklmjprSsTUuVvwXxYy".contains(next) {
                        if !literal.is_empty() {
                            pieces.push(Piece::Text(std::mem::take(&mut literal)));
                        }
                        pieces.push(Piece::Field(next));
                    } else {
                        literal.push(next);
                    }
                }
                _ => literal.push(c),
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Format(pieces)
    }

    /// The text; `None` (NULL) where a name is asked for that the date does not have.
    pub fn write(&self, moment: &Temporal) -> Option<String> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Field(letter) => field(*letter, moment, &mut out)?,
            }
        }
        Some(out)
    }
}

fn field(letter: char, m: &Temporal, out: &mut String) -> Option<()> {
    let hour12 = (m.hour % 24 + 11) % 12 + 1;
    let half = if m.hour % 24 < 12 { "AM" } else { "PM" };
    let complete = m.month > 0 || m.year > 0;
    let _ = match letter {
        'M' => write!(out, "{}", MONTHS.get(usize::from(m.month).checked_sub(1)?)?),
        'b' => write!(
            out,
            "{}",
            MONTHS.get(usize::from(m.month).checked_sub(1)?)?.get(..3)?
        ),
        'W' => write!(out, "{}", name_of_day(m, complete)?),
        'a' => write!(out, "{}", name_of_day(m, complete)?.get(..3)?),
        'D' => write!(out, "{}{}", m.day, suffix(m.day)),
        'Y' => write!(out, "{:04}", m.year),
        'y' => write!(out, "{:02}", m.year % 100),
        'm' => write!(out, "{:02}", m.month),
        'c' => write!(out, "{}", m.month),
        'd' => write!(out, "{:02}", m.day),
        'e' => write!(out, "{}", m.day),
        'f' => write!(out, "{:06}", m.micros),
        'H' => write!(out, "{:02}", m.hour),
        'k' => write!(out, "{}", m.hour),
        'h' | 'I' => write!(out, "{hour12:02}"),
        'l' => write!(out, "{hour12}"),
        'i' => write!(out, "{:02}", m.minute),
        'j' => {
            let day = calendar::days_of(m) - calendar::day_number(i64::from(m.year), 1, 1) + 1;
            // Filled as text: an incomplete date has a negative one.
            write!(out, "{:0>3}", day.to_string())
        }
        'p' => write!(out, "{half}"),
        'r' => write!(out, "{hour12:02}:{:02}:{:02} {half}", m.minute, m.second),
        's' | 'S' => write!(out, "{:02}", m.second),
        'T' => write!(out, "{:02}:{:02}:{:02}", m.hour, m.minute, m.second),
        'U' | 'u' | 'V' | 'v' => write!(out, "{:02}", week(m, letter).1),
        'X' | 'x' => write!(out, "{:04}", week(m, letter).0),
        'w' => {
            name_of_day(m, complete)?;
            write!(out, "{}", (calendar::weekday(calendar::days_of(m)) + 1) % 7)
        }
        _ => Ok(()),
    };
    Some(())
}

fn name_of_day(moment: &Temporal, complete: bool) -> Option<&'static str> {
    if !complete {
        return None;
    }
    let day = calendar::weekday(calendar::days_of(moment));
    DAYS.get(day as usize).copied()
}

fn suffix(day: u8) -> &'static str {
    match (day, day % 10) {
        (10..=19, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    }
}

/// The year and the number of the week, as the specifier counts them.
fn week(moment: &Temporal, letter: char) -> (i64, i64) {
    let monday = matches!(letter, 'u' | 'v' | 'x');
    let mut week_year = matches!(letter, 'V' | 'v' | 'X' | 'x');
    // Weeks from Monday: the first has four days of the year; from Sunday: the first that begins in it.
    let first_weekday = !monday;
    let mut year = i64::from(moment.year);
    let number = calendar::days_of(moment);
    let first = calendar::day_number(year, 1, 1);
    let mut weekday = weekday_from(first, !monday);
    if moment.month == 1 && i64::from(moment.day) <= 7 - weekday {
        if !week_year && ((first_weekday && weekday != 0) || (!first_weekday && weekday >= 4)) {
            return (year, 0);
        }
        week_year = true;
        year -= 1;
        let days = if calendar::is_leap(year) { 366 } else { 365 };
        let first = first - days;
        weekday = (weekday + 53 * 7 - days).rem_euclid(7);
        return last_week(year, number, first, weekday, first_weekday, week_year);
    }
    last_week(year, number, first, weekday, first_weekday, week_year)
}

fn last_week(
    year: i64,
    number: i64,
    first: i64,
    weekday: i64,
    first_weekday: bool,
    week_year: bool,
) -> (i64, i64) {
    let skipped = (first_weekday && weekday != 0) || (!first_weekday && weekday >= 4);
    let days = if skipped {
        number - (first + (7 - weekday))
    } else {
        number - (first - weekday)
    };
    // An incomplete date can lie before its year; MySQL computes without a sign.
    let days = i64::from(days as u32);
    if week_year && days >= 52 * 7 {
        let length = if calendar::is_leap(year) { 366 } else { 365 };
        let weekday = (weekday + length) % 7;
        if (!first_weekday && weekday < 4) || (first_weekday && weekday == 0) {
            return (year + 1, 1);
        }
    }
    (year, days / 7 + 1)
}

/// 0 is Sunday or Monday.
fn weekday_from(number: i64, sunday: bool) -> i64 {
    (calendar::weekday(number) + i64::from(sunday)).rem_euclid(7)
}
