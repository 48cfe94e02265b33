//! The flag `--deadline`: the time by which a run must be done.

use std::time::Duration;

use jiff::civil::{DateTime, Time, Weekday};
use jiff::{Timestamp, ZonedDateTime};

use super::parsers::positive_duration;

/// The time by which a run must be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// The deadline is now plus this duration.
    After(Duration),
    /// The deadline is this moment.
    At(Timestamp),
    /// The deadline is this date and time in the local time zone.
    Local(DateTime),
    /// The deadline is the next moment with this time of day in the local time zone. If a day of the week is given, the
    /// moment must be on that day.
    Next(Option<Weekday>, Time),
}

impl Deadline {
    /// Returns the moment of the deadline; `None` if the moment is too far away for the calendar.
    pub(crate) fn moment(self, now: &ZonedDateTime) -> Option<Timestamp> {
        match self {
            Self::After(span) => now.timestamp().checked_add(span).ok(),
            Self::At(at) => Some(at),
            Self::Local(at) => now.time_zone().to_timestamp(at).ok(),
            Self::Next(day, time) => {
                let mut date = now.date();
                for _ in 0..8 {
                    let at = now.time_zone().to_timestamp(date.to_datetime(time)).ok()?;
                    if day.is_none_or(|day| date.weekday() == day) && at > now.timestamp() {
                        return Some(at);
                    }
                    date = date.tomorrow().ok()?;
                }
                None
            }
        }
    }
}

/// Parses the value of `--deadline`.
pub(super) fn deadline(text: &str) -> Result<Deadline, String> {
    let text = text.trim();
    if let Ok(span) = positive_duration(text) {
        return Ok(Deadline::After(span));
    }
    if let Ok(at) = text.parse() {
        return Ok(Deadline::At(at));
    }
    // A date without a time means the beginning of that day.
    if let Ok(at) = text.parse() {
        return Ok(Deadline::Local(at));
    }
    let mut words = text.split_whitespace();
    let day = words.clone().next().and_then(weekday);
    if day.is_some() {
        words.next();
    }
    let time = match words.next() {
        Some(time) => time_of_day(time),
        None => day.map(|_| Time::midnight()),
    };
    match (time, words.next()) {
        (Some(time), None) => Ok(Deadline::Next(day, time)),
        _ => Err(
            "give a time span (6h), a time of day (18:00), a day and a time ('mon 9:00'), a date (2026-12-01), or a \
                  date and a time (2026-12-01T09:00, with Z for UTC)"
                .to_owned(),
        ),
    }
}

fn weekday(word: &str) -> Option<Weekday> {
    use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    let days = [
        ("monday", Monday),
        ("tuesday", Tuesday),
        ("wednesday", Wednesday),
        ("thursday", Thursday),
        ("friday", Friday),
        ("saturday", Saturday),
        ("sunday", Sunday),
    ];
    let word = word.to_ascii_lowercase();
    days.into_iter().find(|(name, _)| word.len() >= 3 && name.starts_with(&word)).map(|(_, day)| day)
}

fn time_of_day(word: &str) -> Option<Time> {
    let (hour, minute) = word.split_once(':')?;
    let number = |text: &str, longest| {
        let is_number = (1..=longest).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse::<i8>().ok()).flatten()
    };
    Time::new(number(hour, 2)?, number(minute, 2)?, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the moment of a deadline that is typed on a Thursday at 16:00 UTC.
    fn moment(text: &str) -> Option<String> {
        let now: ZonedDateTime = "2026-11-26T16:00:00+00:00[UTC]".parse().expect("it is a time");
        Some(deadline(text).ok()?.moment(&now)?.to_string())
    }

    #[test]
    fn a_deadline_is_a_span_a_moment_or_the_next_time_of_day() {
        let cases = [
            ("6h", "2026-11-26T22:00:00Z"),
            ("18:00", "2026-11-26T18:00:00Z"),
            ("9:30", "2026-11-27T09:30:00Z"),
            ("mon 9:00", "2026-11-30T09:00:00Z"),
            ("Monday", "2026-11-30T00:00:00Z"),
            ("thu 17:00", "2026-11-26T17:00:00Z"),
            ("thursday 15:00", "2026-12-03T15:00:00Z"),
            ("2026-12-01", "2026-12-01T00:00:00Z"),
            ("2026-12-01T09:00", "2026-12-01T09:00:00Z"),
            ("2026-12-01 09:00:30", "2026-12-01T09:00:30Z"),
            ("2026-12-01T09:00Z", "2026-12-01T09:00:00Z"),
            ("2026-12-01T09:00-05:00", "2026-12-01T14:00:00Z"),
        ];
        for (text, expected) in cases {
            assert_eq!(moment(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_not_a_deadline_gets_an_error_with_examples() {
        for text in ["", "soon", "0s", "-5h", "25:00", "12:60", "mo 9:00 x", "m 9:00", "2026-13-01", "9"] {
            let error = deadline(text).expect_err(text);
            assert!(error.contains("'mon 9:00'"), "{text}: {error}");
        }
    }
}
