use super::*;

fn moment(year: u16, month: u8, day: u8, hour: u8, micros: u32, fsp: u8) -> Temporal {
    Temporal {
        year,
        month,
        day,
        hour,
        minute: 20,
        second: 30,
        micros,
        fsp,
    }
}

fn run(value: &Value<'_>, by: &DateFormat, source: Option<&str>) -> Result<Option<String>, Fault> {
    let mut out = String::new();
    Ok(match format(value, by, source, &mut out)? {
        Output::Integer(number) => Some(number.to_string()),
        Output::Null => None,
        _ => Some(out),
    })
}

fn some(text: &str) -> Result<Option<String>, Fault> {
    Ok(Some(text.to_owned()))
}

fn slashes() -> DateFormat {
    DateFormat::Pattern(vec![
        DateToken::Year,
        DateToken::Literal("/".to_owned()),
        DateToken::Month,
        DateToken::Literal("/".to_owned()),
        DateToken::Day,
        DateToken::Literal(" ".to_owned()),
        DateToken::Millis,
    ])
}

#[test]
fn dates_in_every_form() {
    let value = Value::DateTime(moment(2024, 1, 31, 10, 123_400, 4));
    assert_eq!(
        run(&value, &DateFormat::Iso8601, None),
        some("2024-01-31T10:20:30.1234Z")
    );
    assert_eq!(run(&value, &DateFormat::Epoch, None), some("1706696430"));
    assert_eq!(
        run(&value, &DateFormat::EpochMillis, None),
        some("1706696430123")
    );
    assert_eq!(run(&value, &slashes(), None), some("2024/01/31 123"));
    let day = Value::Date(Temporal {
        year: 1969,
        month: 12,
        day: 31,
        ..Temporal::default()
    });
    assert_eq!(run(&day, &DateFormat::Epoch, None), some("-86400"));
    assert_eq!(
        run(&day, &DateFormat::Iso8601, None),
        some("1969-12-31T00:00:00Z")
    );
}

#[test]
fn zero_dates_are_none_and_partial_ones_faults() {
    let zero = Value::DateTime(Temporal::default());
    let partial = Value::Date(Temporal {
        year: 2024,
        ..Temporal::default()
    });
    let never = Value::Date(Temporal {
        year: 2023,
        month: 2,
        day: 29,
        ..Temporal::default()
    });
    for by in [
        DateFormat::Epoch,
        DateFormat::EpochMillis,
        DateFormat::Iso8601,
    ] {
        assert_eq!(run(&zero, &by, None), Ok(None));
        assert_eq!(run(&partial, &by, None), Err(Fault::NoInstant));
        assert_eq!(run(&never, &by, None), Err(Fault::NoInstant));
    }
    assert_eq!(run(&zero, &slashes(), None), some("0000/00/00 000"));
    assert_eq!(run(&partial, &slashes(), None), some("2024/00/00 000"));
}

#[test]
fn text_is_read_by_its_format() {
    let iso = |text: &str, source| run(&Value::Text(text.into()), &DateFormat::Iso8601, source);
    assert_eq!(iso("2024-01-31", None), some("2024-01-31T00:00:00Z"));
    assert_eq!(iso("2024-01-31 10:20", None), some("2024-01-31T10:20:00Z"));
    assert_eq!(
        iso("2024-01-31T10:20:30.5Z", None),
        some("2024-01-31T10:20:30.5Z")
    );
    assert_eq!(
        iso("31.01.2024", Some("DD.MM.YYYY")),
        some("2024-01-31T00:00:00Z")
    );
    assert_eq!(
        iso("20240131102030007", Some("YYYYMMDDHHmmssSSS")),
        some("2024-01-31T10:20:30.007Z")
    );
    assert_eq!(
        iso("1706696430123", Some("epoch_ms")),
        some("2024-01-31T10:20:30.123Z")
    );
    assert_eq!(iso("-1", Some("epoch")), some("1969-12-31T23:59:59Z"));
    for bad in [
        "",
        "x",
        "2024-1-31",
        "2024-01-31x",
        "2024-13-01",
        "2024-01-31 25:00:00",
        "2024-01-31 10:20:30.1234567",
    ] {
        assert_eq!(iso(bad, None), Err(Fault::NotADate), "{bad}");
    }
    assert_eq!(iso("31.01.24", Some("DD.MM.YYYY")), Err(Fault::NotADate));
    assert_eq!(iso("é1", Some("MM")), Err(Fault::NotADate));
    assert_eq!(iso("99999999999999", Some("epoch")), Err(Fault::NotADate));
    let number = Value::Int(20_240_131);
    assert_eq!(
        run(&number, &DateFormat::Epoch, Some("YYYYMMDD")),
        some("1706659200")
    );
    assert_eq!(run(&number, &DateFormat::Epoch, None), Err(Fault::NotADate));
}

#[test]
fn times_by_a_pattern() {
    let by = DateFormat::Pattern(vec![
        DateToken::Hour,
        DateToken::Literal("h".to_owned()),
        DateToken::Minute,
    ]);
    let time = TimeOfDay {
        hours: 100,
        minutes: 5,
        ..TimeOfDay::default()
    };
    assert_eq!(run(&Value::Time(time), &by, None), some("100h05"));
    let negative = Value::Time(TimeOfDay {
        negative: true,
        ..time
    });
    assert_eq!(run(&negative, &by, None), Err(Fault::NotADate));
    assert_eq!(
        run(&Value::Time(time), &slashes(), None),
        Err(Fault::NotADate)
    );
    assert_eq!(
        run(&Value::Time(time), &DateFormat::Epoch, None),
        Err(Fault::NotADate)
    );
}

#[test]
fn every_day_comes_back() {
    let first = days_since_1970(0, 1, 1).unwrap();
    let last = days_since_1970(9999, 12, 31).unwrap();
    assert_eq!((first, last), (-719_528, 2_932_896));
    for days in first..=last {
        let (year, month, day) = civil(days);
        assert_eq!(days_since_1970(year as u16, month, day), Some(days));
    }
}
