//! Turns a cell of a sheet into a cell of the input.
//!
//! Numbers are JSON numbers. Whole numbers have no decimal point. Excel stores dates and times as numbers with a
//! format; here, they become ISO 8601 text. A duration is written as hours, minutes and seconds, as Excel shows it.

use calamine::{DataRef, ExcelDateTime};

use super::super::InputCell;

/// Returns a cell, or the error that Excel shows in it.
pub(super) fn cell(data: &DataRef<'_>) -> Result<InputCell, String> {
    Ok(match data {
        DataRef::Empty => InputCell::Missing,
        DataRef::Int(number) => InputCell::Json(number.to_string().into()),
        DataRef::Float(number) => float(*number),
        DataRef::Bool(is_true) => InputCell::Json(is_true.to_string().into()),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            InputCell::Text(text.as_str().into())
        }
        DataRef::SharedString(text) => InputCell::Text((*text).into()),
        DataRef::DateTime(moment) => InputCell::Text(moment_text(moment).into()),
        DataRef::Error(error) => return Err(error.to_string()),
    })
}

/// From this number on, floating-point numbers can't represent every whole number exactly.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

fn float(number: f64) -> InputCell {
    if number.fract() == 0.0 && number.abs() < MAX_EXACT {
        InputCell::Json((number as i64).to_string().into())
    } else if number.is_finite() {
        InputCell::Json(format!("{number:?}").into())
    } else {
        InputCell::Text(number.to_string().into())
    }
}

fn moment_text(moment: &ExcelDateTime) -> String {
    let days = moment.as_f64();
    if moment.is_duration() || (0.0..1.0).contains(&days) {
        return clock((days * 86_400_000.0).round(), moment.is_duration());
    }
    let (year, month, day, hour, minute, second, milli) = moment.to_ymd_hms_milli();
    let date = format!("{year:04}-{month:02}-{day:02}");
    match (hour, minute, second, milli) {
        (0, 0, 0, 0) => date,
        (.., 0) => format!("{date}T{hour:02}:{minute:02}:{second:02}"),
        _ => format!("{date}T{hour:02}:{minute:02}:{second:02}.{milli:03}"),
    }
}

/// Writes milliseconds as a time of day, or as a duration of any number of hours.
fn clock(millis: f64, is_duration: bool) -> String {
    let sign = if millis < 0.0 { "-" } else { "" };
    let all = millis.abs() as u64;
    let (hours, minutes, seconds, millis) = (all / 3_600_000, all / 60_000 % 60, all / 1_000 % 60, all % 1_000);
    // Rounding can turn a time just before midnight into 24 hours. A time of day shows 24 hours as 0 hours.
    let hours = if is_duration { hours } else { hours % 24 };
    match millis {
        0 => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
        _ => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}.{millis:03}"),
    }
}

#[cfg(test)]
mod tests {
    use calamine::{CellErrorType, ExcelDateTimeType};

    use super::*;

    #[test]
    fn numbers_are_as_a_sheet_shows_them() {
        let shown = |number: f64| match float(number) {
            InputCell::Json(text) => text.to_string(),
            other => format!("{other:?}"),
        };

        assert_eq!([3.0, -0.5, 1e15, 0.1 + 0.2].map(shown), ["3", "-0.5", "1000000000000000", "0.30000000000000004"]);
        assert_eq!(shown(1e300), "1e300");
        assert_eq!(cell(&DataRef::Bool(true)), Ok(InputCell::Json("true".into())));
        assert_eq!(cell(&DataRef::Error(CellErrorType::NA)), Err("#N/A".to_owned()));
        assert_eq!(cell(&DataRef::String(String::new())), Ok(InputCell::Text("".into())));
    }

    #[test]
    fn dates_and_times_are_iso_8601() {
        let shown = |value, kind| moment_text(&ExcelDateTime::new(value, kind, false));
        let (moment, duration) = (ExcelDateTimeType::DateTime, ExcelDateTimeType::TimeDelta);

        assert_eq!(shown(45_414.0, moment), "2024-05-02");
        assert_eq!(shown(45_414.5, moment), "2024-05-02T12:00:00");
        assert_eq!(shown(0.75, moment), "18:00:00");
        assert_eq!(shown(1.25, duration), "30:00:00");
    }
}
