//! MySQL's calendar: day numbers, checks of dates, texts and numbers read as dates and times.

use crate::change::{Temporal, TimeOfDay};

/// Day number of 9999-12-31.
const LAST_DAY: i64 = 3_652_424;
/// Microseconds of 838:59:59.
const MOST_TIME: i64 = ((838 * 60 + 59) * 60 + 59) * 1_000_000;
const DAY_MICROS: i64 = 86_400_000_000;

/// What a date may look like where it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zeros {
    /// `2024-00-00` is fine.
    Parts,
    /// Every part is needed.
    Refused,
}

pub(super) fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || (year % 400 == 0 && year != 0))
}

pub(super) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the year 0, as MySQL counts them; 0 for the zero date.
pub(super) fn day_number(year: i64, month: i64, day: i64) -> i64 {
    if year == 0 && month == 0 {
        return 0;
    }
    let mut number = 365 * year + 31 * (month - 1) + day;
    let mut y = year;
    if month <= 2 {
        y -= 1;
    } else {
        number -= (month * 4 + 23) / 10;
    }
    let century = (y / 100 + 1) * 3 / 4;
    number + y / 4 - century
}

/// Year, month and day of a day number; zeros beyond the calendar.
pub(super) fn from_day_number(number: i64) -> (u16, u8, u8) {
    if number <= 0 || number >= 3_652_500 {
        return (0, 0, 0);
    }
    let mut year = number * 100 / 36525;
    let correction = ((year - 1) / 100 + 1) * 3 / 4;
    let mut day_of_year = number - year * 365 - (year - 1) / 4 + correction;
    if number <= 365 {
        (year, day_of_year) = (0, number);
    }
    loop {
        let days = if is_leap(year) { 366 } else { 365 };
        if day_of_year <= days {
            break;
        }
        day_of_year -= days;
        year += 1;
    }
    let mut month = 1;
    while day_of_year > days_in_month(year, month) {
        day_of_year -= days_in_month(year, month);
        month += 1;
    }
    (year as u16, month as u8, day_of_year as u8)
}

/// 0 is Monday.
pub(super) fn weekday(day_number: i64) -> i64 {
    (day_number + 5).rem_euclid(7)
}

pub(super) fn days_of(date: &Temporal) -> i64 {
    day_number(
        i64::from(date.year),
        i64::from(date.month),
        i64::from(date.day),
    )
}

pub(super) fn clock_micros(moment: &Temporal) -> i64 {
    let seconds =
        (i64::from(moment.hour) * 60 + i64::from(moment.minute)) * 60 + i64::from(moment.second);
    seconds * 1_000_000 + i64::from(moment.micros)
}

pub(super) fn time_micros(time: &TimeOfDay) -> i64 {
    let seconds =
        (i64::from(time.hours) * 60 + i64::from(time.minutes)) * 60 + i64::from(time.seconds);
    let micros = seconds * 1_000_000 + i64::from(time.micros);
    if time.negative { -micros } else { micros }
}

/// The time of so many microseconds, held to TIME's range.
pub(super) fn time_of(micros: i64, fsp: u8) -> TimeOfDay {
    let held = micros.clamp(-MOST_TIME, MOST_TIME);
    let rest = held.unsigned_abs();
    let seconds = rest / 1_000_000;
    TimeOfDay {
        negative: held < 0,
        hours: (seconds / 3600) as u16,
        minutes: (seconds / 60 % 60) as u8,
        seconds: (seconds % 60) as u8,
        micros: (rest % 1_000_000) as u32,
        fsp,
    }
}

/// A moment from microseconds since day 0; `None` beyond the calendar.
pub(super) fn moment_of(total: i64, fsp: u8) -> Option<Temporal> {
    let (days, clock) = (total.div_euclid(DAY_MICROS), total.rem_euclid(DAY_MICROS));
    if !(0..=LAST_DAY).contains(&days) {
        return None;
    }
    let (year, month, day) = from_day_number(days);
    Some(with_clock(
        Temporal {
            year,
            month,
            day,
            fsp,
            ..Temporal::default()
        },
        clock,
    ))
}

pub(super) fn with_clock(date: Temporal, micros: i64) -> Temporal {
    let seconds = micros / 1_000_000;
    Temporal {
        hour: (seconds / 3600) as u8,
        minute: (seconds / 60 % 60) as u8,
        second: (seconds % 60) as u8,
        micros: (micros % 1_000_000) as u32,
        ..date
    }
}

/// Microseconds since day 0.
pub(super) fn micros_of(moment: &Temporal) -> i64 {
    days_of(moment) * DAY_MICROS + clock_micros(moment)
}

/// Whether the date exists, or is one of MySQL's incomplete dates where those are allowed.
pub(super) fn is_date(date: &Temporal, zeros: Zeros) -> bool {
    let complete = date.month > 0 && date.day > 0;
    if zeros == Zeros::Refused && !complete {
        return false;
    }
    let days = days_in_month(i64::from(date.year), i64::from(date.month));
    date.month == 0 || i64::from(date.day) <= days
}

/// Rounds (half up) or cuts the fraction to `fsp` digits; `None` where that leaves the calendar.
pub(super) fn with_fsp(moment: &Temporal, fsp: u8) -> Option<Temporal> {
    let unit = 10_i64.pow(6 - u32::from(fsp.min(6)));
    let micros = i64::from(moment.micros);
    let rounded = (micros + unit / 2) / unit * unit;
    let base = Temporal {
        micros: 0,
        fsp,
        ..*moment
    };
    if rounded < 1_000_000 {
        return Some(Temporal {
            micros: rounded as u32,
            ..base
        });
    }
    if moment.month == 0 || moment.day == 0 {
        return None;
    }
    moment_of(micros_of(&base) + 1_000_000, fsp)
}

pub(super) fn time_with_fsp(time: &TimeOfDay, fsp: u8) -> TimeOfDay {
    let unit = 10_i64.pow(6 - u32::from(fsp.min(6)));
    let micros = time_micros(time);
    let rounded = (micros.abs() + unit / 2) / unit * unit;
    time_of(rounded * micros.signum(), fsp)
}

/// A text read as a date or a moment, what stands behind it ignored. The flag tells whether it had a time.
pub(super) fn parse_moment(text: &str, zeros: Zeros) -> Option<(Temporal, bool)> {
    let bytes = text.trim_start_matches(is_space).as_bytes();
    if !bytes.first()?.is_ascii_digit() {
        return None;
    }
    let run = bytes
        .iter()
        .take_while(|b| b.is_ascii_digit() || **b == b'T')
        .count();
    let compact = matches!(bytes.get(run), None | Some(b'.'));
    let mut reader = Parts {
        bytes,
        at: 0,
        values: [0; 7],
        lengths: [0; 7],
        compact,
        year_length: if compact && !(run == 4 || run == 8 || run >= 14) {
            2
        } else {
            4
        },
    };
    let fields = reader.read()?;
    reader.finish(fields, zeros)
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

struct Parts<'a> {
    bytes: &'a [u8],
    at: usize,
    values: [u32; 7],
    lengths: [usize; 7],
    compact: bool,
    year_length: usize,
}

impl Parts<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Reads the fields, year to microseconds; how many there were.
    fn read(&mut self) -> Option<usize> {
        let mut width = self.year_length;
        let mut count = 0;
        while count < 7 && self.peek().is_some_and(|b| b.is_ascii_digit()) {
            let until_delimiter = !self.compact && count != 6;
            self.field(count, if until_delimiter { usize::MAX } else { width })?;
            width = 2;
            count += 1;
            let Some(next) = self.peek() else { break };
            if count == 3 && next == b'T' {
                self.at += 1;
                continue;
            }
            if count == 6 {
                match next {
                    b'.' => {
                        self.at += 1;
                        width = 6;
                        continue;
                    }
                    _ => break,
                }
            }
            if count == 7 {
                break;
            }
            self.delimiters(count)?;
        }
        Some(count)
    }

    fn field(&mut self, index: usize, width: usize) -> Option<()> {
        let start = self.at;
        let mut value = 0_u32;
        while self.at - start < width
            && let Some(digit) = self.peek().filter(u8::is_ascii_digit)
        {
            value = value * 10 + u32::from(digit - b'0');
            if value > 999_999 {
                return None;
            }
            self.at += 1;
        }
        *self.values.get_mut(index)? = value;
        *self.lengths.get_mut(index)? = self.at - start;
        Some(())
    }

    /// Skips what may stand behind the `count`-th field; spaces only behind the day.
    fn delimiters(&mut self, count: usize) -> Option<()> {
        while let Some(byte) = self.peek() {
            let space = is_space(char::from(byte));
            if !space && !byte.is_ascii_punctuation() {
                break;
            }
            if space && count != 3 {
                return None;
            }
            self.at += 1;
        }
        Some(())
    }

    fn finish(&mut self, fields: usize, zeros: Zeros) -> Option<(Temporal, bool)> {
        let year_length = if self.compact {
            self.year_length
        } else {
            self.lengths[0]
        };
        let not_zero = self.values.iter().any(|v| *v != 0);
        let [mut year, month, day, hour, minute, second, fraction] = self.values;
        if year_length == 2 && not_zero {
            year += if year < 70 { 2000 } else { 1900 };
        }
        if fields < 3 || year > 9999 || month > 12 || day > 31 || !not_zero {
            return None;
        }
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let digits = self.lengths[6].min(6);
        let micros = fraction * 10_u32.pow(6 - digits as u32);
        let moment = Temporal {
            year: year as u16,
            month: month as u8,
            day: day as u8,
            hour: hour as u8,
            minute: minute as u8,
            second: second as u8,
            micros,
            fsp: digits as u8,
        };
        if !is_date(&moment, zeros) {
            return None;
        }
        let beyond = fields == 7 && digits == 6 && matches!(self.peek(), Some(b'5'..=b'9'));
        let moment = if beyond {
            let more = moment_of(micros_of(&moment) + 1, 6)?;
            Temporal { fsp: 6, ..more }
        } else {
            moment
        };
        match self.displacement(fields)? {
            0 => Some((moment, fields > 3)),
            // Of a day that is not known the server knows none other.
            _ if moment.month == 0 || moment.day == 0 => None,
            displacement => {
                let moved = moment_of(micros_of(&moment) - displacement, moment.fsp)?;
                Some((moved, true))
            }
        }
    }

    /// A sign behind the seconds begins the distance from UTC, and that is the text's end: `+02:00`. In microseconds; `None`
    /// where it is none.
    fn displacement(&self, fields: usize) -> Option<i64> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        // Digits of the fraction that have not been read.
        let more = rest
            .iter()
            .take_while(|b| fields == 7 && b.is_ascii_digit());
        let rest = rest.get(more.count()..).unwrap_or_default();
        if fields < 6 || !matches!(rest, [b'+' | b'-', ..]) {
            return Some(0);
        }
        let [sign, h, i, b':', m, n] = rest.trim_ascii_end() else {
            return None;
        };
        let digit = |b: &u8| b.is_ascii_digit().then(|| i64::from(b - b'0'));
        let (hours, minutes) = (digit(h)? * 10 + digit(i)?, digit(m)? * 10 + digit(n)?);
        let away = hours * 60 + minutes;
        let is_known = minutes < 60 && away <= 14 * 60 && (*sign == b'+' || away > 0);
        let away = away * 60_000_000;
        is_known.then_some(if *sign == b'-' { -away } else { away })
    }
}

/// A number read as a date or a moment: `240131`, `20240131`, `20240131102030`.
pub(super) fn moment_of_number(number: i128, zeros: Zeros) -> Option<(Temporal, bool)> {
    let (n, with_time) = spelled_out(number)?;
    let clock = n % 1_000_000;
    let (hour, minute, second) = (clock / 10_000, clock / 100 % 100, clock % 100);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let moment = Temporal {
        hour: hour as u8,
        minute: minute as u8,
        second: second as u8,
        ..date_of_digits(n / 1_000_000, zeros)?
    };
    Some((moment, with_time))
}

/// Its date alone, whatever stands where a time has hours, minutes and seconds.
pub(super) fn date_of_number(number: i128, zeros: Zeros) -> Option<Temporal> {
    date_of_digits(spelled_out(number)?.0 / 1_000_000, zeros)
}

fn date_of_digits(date: i64, zeros: Zeros) -> Option<Temporal> {
    let (year, month, day) = (date / 10_000, date / 100 % 100, date % 100);
    if year > 9999 || month > 12 || day > 31 {
        return None;
    }
    let date = Temporal {
        year: year as u16,
        month: month as u8,
        day: day as u8,
        ..Temporal::default()
    };
    is_date(&date, zeros).then_some(date)
}

/// With all digits of the year and of the time, and whether it had a time.
fn spelled_out(number: i128) -> Option<(i64, bool)> {
    let mut n = i64::try_from(number).ok()?;
    let mut with_time = false;
    match n {
        10_000_101_000_000..=99_999_999_999_999 => with_time = true,
        i64::MIN..=100 | 691_232..=700_100 => return None,
        101..=691_231 => n = (n + 20_000_000) * 1_000_000,
        700_101..=991_231 => n = (n + 19_000_000) * 1_000_000,
        991_232..=99_991_231 => n *= 1_000_000,
        99_991_232..=100_999_999 => return None,
        101_000_000..=691_231_235_959 => (n, with_time) = (n + 20_000_000_000_000, true),
        691_231_235_960..=700_100_999_999 => return None,
        700_101_000_000..=991_231_235_959 => (n, with_time) = (n + 19_000_000_000_000, true),
        991_231_235_960..=10_000_100_999_999 => with_time = true,
        _ => return None,
    }
    Some((n, with_time))
}

/// `20240131` or `20240131102030`.
pub(super) fn number_of(moment: &Temporal, with_time: bool) -> i64 {
    let date =
        (i64::from(moment.year) * 100 + i64::from(moment.month)) * 100 + i64::from(moment.day);
    if !with_time {
        return date;
    }
    let clock =
        (i64::from(moment.hour) * 100 + i64::from(moment.minute)) * 100 + i64::from(moment.second);
    date * 1_000_000 + clock
}
