//! The two small languages of `date-format` and `number-format`.

/// How a date becomes text (or a number).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DateFormat {
    /// Tokens YYYY MM DD HH mm ss SSS and literal text between them.
    Pattern(Vec<DateToken>),
    /// Seconds since 1970 in UTC.
    Epoch,
    EpochMillis,
    /// `2024-01-31T10:20:30Z`, with the fraction that the column has.
    Iso8601,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DateToken {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Millis,
    Literal(String),
}

/// How a number becomes text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NumberFormat {
    /// `0.00`: that many decimals, rounded half away from zero as MySQL's ROUND does; `integer_digits` zeros at least before the point.
    Decimals {
        integer_digits: usize,
        decimals: usize,
    },
    /// `%08d`: an integer, padded with zeros (or spaces) to `width`.
    Padded { width: usize, zero: bool },
}

/// Why a format is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatError {
    /// Where the trouble starts, in bytes from the start of the format.
    pub offset: usize,
    pub message: String,
    /// What to write instead.
    pub help: String,
}

const DATE_TOKENS: [(&str, DateToken); 7] = [
    ("YYYY", DateToken::Year),
    ("SSS", DateToken::Millis),
    ("MM", DateToken::Month),
    ("DD", DateToken::Day),
    ("HH", DateToken::Hour),
    ("mm", DateToken::Minute),
    ("ss", DateToken::Second),
];

const DATE_HELP: &str = "write YYYY MM DD HH mm ss SSS with text between them (letters in single quotes), or epoch, epoch_ms, iso8601";
/// MySQL's numbers have at most 65 digits before and 30 after the point.
const MAX_INTEGER_DIGITS: usize = 65;
const MAX_DECIMALS: usize = 30;
/// Wider would be padding for its own sake; a sort key has 1024 bytes.
const MAX_WIDTH: usize = 255;

/// Reads the `format` of a `date-format`: `YYYY-MM-DD`, `epoch`, `epoch_ms`, `iso8601`.
pub fn parse_date_format(format: &str) -> Result<DateFormat, FormatError> {
    match format
        .to_ascii_lowercase()
        .replace(['-', '_', ' '], "")
        .as_str()
    {
        "epoch" | "epochseconds" | "unix" => return Ok(DateFormat::Epoch),
        "epochms" | "epochmillis" => return Ok(DateFormat::EpochMillis),
        "iso8601" | "iso" => return Ok(DateFormat::Iso8601),
        _ => {}
    }
    let tokens = date_tokens(format)?;
    check_date_tokens(format, &tokens)?;
    Ok(DateFormat::Pattern(tokens))
}

/// Refuses patterns that say something else than what their writer had in mind: months and minutes are easily
/// mixed up, and a date that is wrong looks right.
fn check_date_tokens(format: &str, tokens: &[DateToken]) -> Result<(), FormatError> {
    let count = |t: DateToken| tokens.iter().filter(|other| **other == t).count();
    if tokens.iter().all(|t| matches!(t, DateToken::Literal(_))) {
        return Err(error(
            0,
            "this date format holds no part of a date",
            DATE_HELP,
        ));
    }
    if let Some((word, _)) = DATE_TOKENS.iter().find(|(_, t)| count(t.clone()) > 1) {
        let message = format!("`{word}` stands twice in this date format");
        let offset = format.rfind(word).unwrap_or(0);
        return Err(error(
            offset,
            &message,
            "`MM` is the month, `mm` the minutes; write each part once",
        ));
    }
    let date = count(DateToken::Year) + count(DateToken::Month) + count(DateToken::Day) > 0;
    if count(DateToken::Minute) > 0 && count(DateToken::Hour) == 0 && date {
        let offset = format.find("mm").unwrap_or(0);
        return Err(error(
            offset,
            "`mm` is the minutes, and there is no hour",
            "write `MM` for the month",
        ));
    }
    let position = |t: DateToken| tokens.iter().position(|other| *other == t);
    if let (Some(hour), Some(month), None) = (
        position(DateToken::Hour),
        position(DateToken::Month),
        position(DateToken::Minute),
    ) && (hour + 1..=hour + 2).contains(&month)
    {
        let offset = format.find("MM").unwrap_or(0);
        return Err(error(
            offset,
            "`MM` is the month, and it follows the hour",
            "write `mm` for the minutes",
        ));
    }
    Ok(())
}

fn date_tokens(format: &str) -> Result<Vec<DateToken>, FormatError> {
    let mut tokens = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(c) = format[at..].chars().next() {
        let rest = &format[at..];
        if let Some((word, token)) = DATE_TOKENS.iter().find(|(word, _)| rest.starts_with(word)) {
            if !literal.is_empty() {
                tokens.push(DateToken::Literal(std::mem::take(&mut literal)));
            }
            tokens.push(token.clone());
            at += word.len();
        } else if c == '\'' {
            let Some(len) = rest[1..].find('\'') else {
                return Err(error(at, "this quote is not closed", "write the closing '"));
            };
            literal.push_str(if len == 0 { "'" } else { &rest[1..1 + len] });
            at += len + 2;
        } else if c.is_alphabetic() && c != 'T' && c != 'Z' || c == '%' {
            return Err(unknown_date_token(format, at));
        } else {
            literal.push(c);
            at += c.len_utf8();
        }
    }
    if !literal.is_empty() {
        tokens.push(DateToken::Literal(literal));
    }
    Ok(tokens)
}

fn unknown_date_token(format: &str, at: usize) -> FormatError {
    let rest = &format[at..];
    if rest.starts_with('%') {
        let ours = [
            ("%Y", "YYYY"),
            ("%m", "MM"),
            ("%d", "DD"),
            ("%H", "HH"),
            ("%i", "mm"),
            ("%M", "mm"),
            ("%s", "ss"),
            ("%S", "ss"),
        ]
        .iter()
        .fold(format.to_owned(), |text, (theirs, ours)| {
            text.replace(theirs, ours)
        });
        let help = if ours.contains('%') {
            DATE_HELP.to_owned()
        } else {
            format!("write `{ours}`")
        };
        return error(at, "`%` formats are not understood", &help);
    }
    let run: String = rest.chars().take_while(|c| c.is_alphabetic()).collect();
    let suggestion = match run.as_str() {
        "yyyy" => Some("`YYYY`"),
        "yy" | "YY" => Some("`YYYY`; two-digit years are not written"),
        "dd" | "D" | "d" => Some("`DD`"),
        "M" | "MMM" | "MMMM" => Some("`MM`; names of months are not written"),
        "hh" | "H" | "h" => Some("`HH`, the hours of 24"),
        "m" => Some("`mm`"),
        "s" | "S" | "SS" => Some("`ss` for seconds, `SSS` for milliseconds"),
        _ => None,
    };
    let message = format!("`{run}` is no part of a date format");
    match suggestion {
        Some(s) => error(at, &message, &format!("write {s}")),
        None => error(at, &message, DATE_HELP),
    }
}

/// Reads the `format` of a `number-format`: `0.00` (decimals) or `%08d` (an integer of fixed width).
pub fn parse_number_format(format: &str) -> Result<NumberFormat, FormatError> {
    let parsed = match format.strip_prefix('%') {
        Some(rest) => printf(rest),
        None => decimals(format),
    };
    parsed.map_err(|(offset, message)| {
        error(
            offset,
            &message,
            "write `0.00` for two decimals (`000.00`: three digits at least before the point), or `%08d` for an integer of eight digits",
        )
    })
}

fn decimals(format: &str) -> Result<NumberFormat, (usize, String)> {
    let (whole, fraction) = format.split_once('.').unwrap_or((format, ""));
    // `#0.00` and `0.00` are the same: `#` is a digit that need not be there.
    let zeros = whole.trim_start_matches('#');
    if let Some(i) = whole.find(',') {
        return Err((i, "digits are not grouped".to_owned()));
    }
    if let Some(i) = format.find(|c| !matches!(c, '0' | '#' | '.')) {
        return Err((i, "this number format is not understood".to_owned()));
    }
    if zeros.contains('#')
        || fraction.contains(['#', '.'])
        || whole.is_empty()
        || format.ends_with('.')
    {
        return Err((0, "this number format is not understood".to_owned()));
    }
    if zeros.len() > MAX_INTEGER_DIGITS || fraction.len() > MAX_DECIMALS {
        return Err((
            0,
            format!(
                "a number has at most {MAX_INTEGER_DIGITS} digits before and {MAX_DECIMALS} after the point"
            ),
        ));
    }
    Ok(NumberFormat::Decimals {
        integer_digits: zeros.len(),
        decimals: fraction.len(),
    })
}

/// What follows the `%`: `08d`, `8d`, `d`, `.2f`.
fn printf(rest: &str) -> Result<NumberFormat, (usize, String)> {
    let unknown = || {
        (
            0,
            "of the `%` formats only `%d`, `%8d`, `%08d` and `%.2f` are understood".to_owned(),
        )
    };
    if let Some(digits) = rest.strip_prefix('.').and_then(|r| r.strip_suffix('f')) {
        let decimals: usize = number(digits).ok_or_else(unknown)?;
        if decimals > MAX_DECIMALS {
            return Err((2, format!("a number has at most {MAX_DECIMALS} decimals")));
        }
        return Ok(NumberFormat::Decimals {
            integer_digits: 1,
            decimals,
        });
    }
    let digits = rest.strip_suffix(['d', 'i']).ok_or_else(unknown)?;
    let zero = digits.starts_with('0');
    let width = if digits.is_empty() {
        1
    } else {
        number(digits).ok_or_else(unknown)?
    };
    if width > MAX_WIDTH {
        return Err((1, format!("the width is at most {MAX_WIDTH}")));
    }
    if width == 0 {
        return Err(unknown());
    }
    Ok(NumberFormat::Padded { width, zero })
}

fn number(digits: &str) -> Option<usize> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

fn error(offset: usize, message: &str, help: &str) -> FormatError {
    FormatError {
        offset,
        message: message.to_owned(),
        help: help.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_patterns_are_tokens_and_literals() {
        use DateToken::*;
        let dash = || Literal("-".to_owned());
        assert_eq!(
            parse_date_format("YYYY-MM-DDTHH:mm:ss.SSS").unwrap(),
            DateFormat::Pattern(vec![
                Year,
                dash(),
                Month,
                dash(),
                Day,
                Literal("T".into()),
                Hour,
                Literal(":".into()),
                Minute,
                Literal(":".into()),
                Second,
                Literal(".".into()),
                Millis
            ])
        );
        assert_eq!(
            parse_date_format("YYYYMM").unwrap(),
            DateFormat::Pattern(vec![Year, Month])
        );
        assert_eq!(
            parse_date_format("DD 'de' MM ''").unwrap(),
            DateFormat::Pattern(vec![
                Day,
                Literal(" de ".into()),
                Month,
                Literal(" '".into())
            ])
        );
        assert_eq!(
            parse_date_format("epoch_ms").unwrap(),
            DateFormat::EpochMillis
        );
        assert_eq!(parse_date_format("ISO8601").unwrap(), DateFormat::Iso8601);
    }

    #[test]
    fn date_formats_of_other_languages_are_refused_with_ours() {
        for (format, offset, help) in [
            ("yyyy-MM-dd", 0, "write `YYYY`"),
            ("YYYY-MM-dd", 8, "write `DD`"),
            ("%Y-%m-%d", 0, "write `YYYY-MM-DD`"),
            ("YYYY-mm-DD", 5, "write `MM` for the month"),
            ("HH:MM", 3, "write `mm` for the minutes"),
            (
                "YYYY-MM-DD HH:MM",
                14,
                "`MM` is the month, `mm` the minutes; write each part once",
            ),
            ("", 0, DATE_HELP),
            ("--", 0, DATE_HELP),
            ("YYYY 'x", 5, "write the closing '"),
            ("YYYY é", 5, DATE_HELP),
        ] {
            let e = parse_date_format(format).unwrap_err();
            assert_eq!((e.offset, e.help.as_str()), (offset, help), "{format}");
        }
    }

    #[test]
    fn number_formats() {
        let decimals = |integer_digits, decimals| NumberFormat::Decimals {
            integer_digits,
            decimals,
        };
        let padded = |width, zero| NumberFormat::Padded { width, zero };
        for (format, expected) in [
            ("0.00", decimals(1, 2)),
            ("0", decimals(1, 0)),
            ("000.0", decimals(3, 1)),
            ("#0.00", decimals(1, 2)),
            ("#.00", decimals(0, 2)),
            ("%.2f", decimals(1, 2)),
            ("%08d", padded(8, true)),
            ("%8d", padded(8, false)),
            ("%d", padded(1, false)),
        ] {
            assert_eq!(parse_number_format(format).unwrap(), expected, "{format}");
        }
        for format in [
            "", "%", "%x", "%-8d", "%05.2f", "#,##0.00", "0.0.0", "0,00", "%999d", "%0d", "abc",
            "0.", ".", "0#.0",
        ] {
            assert!(parse_number_format(format).is_err(), "{format}");
        }
    }
}
