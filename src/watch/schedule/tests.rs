use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Schedule<String>, String> {
    Schedule::parse(text, |setting| match setting.split_once('=') {
        Some(("headroom", _)) => Ok(setting.to_owned()),
        _ => Err(format!("{setting:?} is no setting")),
    })
}

#[test]
fn a_window_has_days_times_and_settings() {
    // 2026-11-20 is a Friday.
    let at = |day: i8, hour: i8, minute: i8| date(2026, 11, day).at(hour, minute, 59, 0);
    let office = parse("mon-fri 9:00-18:00 headroom=50% pause").expect("it is a window");

    assert_eq!((office.settings.clone(), office.is_pause), (vec!["headroom=50%".to_owned()], true));
    let open = [at(20, 8, 59), at(20, 9, 0), at(20, 17, 59), at(20, 18, 0), at(21, 12, 0)];
    assert_eq!(open.map(|at| office.is_open(at)), [false, true, true, false, false]);

    let night = parse("FRI 22:00-6:00 pause").expect("it is a window");
    let open = [at(20, 21, 59), at(20, 23, 0), at(21, 5, 59), at(21, 6, 0), at(21, 23, 0)];
    assert_eq!(open.map(|at| night.is_open(at)), [false, true, true, false, false]);

    for always in
        ["0:00-24:00 pause", "daily 00:00-24:00 pause", "sat-fri 0:00-24:00 pause", "mon-wed,thu-sun 0:00-24:00 pause"]
    {
        let always = parse(always).expect("it is a window");
        assert!([at(20, 0, 0), at(21, 23, 59), at(22, 12, 0)].iter().all(|at| always.is_open(*at)), "{}", always.text);
    }
}

#[test]
fn an_error_names_the_word_that_is_wrong() {
    for (text, word) in [
        ("mon-fry 9:00-18:00 pause", "\"fry\""),
        ("monday 9:00-18:00 pause", "\"monday\""),
        ("mon-fri 9-18 pause", "\"9-18\""),
        ("9:00-25:00 pause", "\"9:00-25:00\""),
        ("9:60-10:00 pause", "\"9:60-10:00\""),
        ("9:00-9:00 pause", "0:00-24:00"),
        ("24:00-6:00 pause", "\"24:00-6:00\""),
        ("+9:00-18:00 pause", "\"+9:00-18:00\""),
        ("mon-fri", "FROM-TO"),
        ("", "FROM-TO"),
        ("pause", "\"pause\""),
        ("mon-fri 9:00-18:00", "give a setting"),
        ("mon-fri 9:00-18:00 colour=red", "\"colour=red\""),
        ("9:00-18:00 headroom=50% sometimes", "\"sometimes\""),
    ] {
        let error = parse(text).expect_err(text);
        assert!(error.contains(word), "{text}: {error}");
    }
}

#[test]
fn a_daily_window_opens_once_a_day_in_a_year_with_summer_time() {
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a time zone");
    for text in ["9:00-18:00 pause", "22:00-6:00 pause", "3:30-4:00 pause"] {
        let window = parse(text).expect("it is a window");
        let begin: Timestamp = "2026-01-01T11:30:00Z".parse().expect("a time");
        let states = (0..365 * 24 * 12)
            .map(|five| window.is_open(zone.to_datetime(begin + SignedDuration::from_mins(five * 5))));
        let states: Vec<bool> = states.collect();

        let opened = states.windows(2).filter(|pair| !pair[0] && pair[1]).count();

        assert_eq!(opened, 365, "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused_with_a_message(text in "\\PC{0,40}") {
        if let Err(message) = parse(&text) {
            prop_assert!(!message.is_empty());
        }
    }

    #[test]
    fn a_window_is_open_from_its_beginning_until_its_end(
        days in proptest::array::uniform7(any::<bool>()),
        (from, to) in (0u16..1440, 0u16..=1440).prop_filter("it has a length", |(from, to)| from != to),
        day in 0i32..2_000,
        minute in 0i32..1440,
    ) {
        prop_assume!(days.contains(&true));
        let names: Vec<&str> = DAYS.iter().zip(days).filter(|(_, is_chosen)| *is_chosen).map(|(name, _)| *name).collect();
        let clock = |minutes: u16| format!("{}:{:02}", minutes / 60, minutes % 60);
        let text = format!("{} {}-{} pause", names.join(","), clock(from), clock(to));
        let window = parse(&text).expect("it is a window");
        let first: Date = date(2026, 1, 5);
        let at = (first + day.days()).at(0, 0, 0, 0) + minute.minutes();

        // `days` says on which days of the week the window begins. The end of the window is computed from its length.
        let length = if to > from { i32::from(to - from) } else { i32::from(to) + 1440 - i32::from(from) };
        let now = day * 1440 + minute;
        let is_open = (day - 1..=day).any(|begins| {
            let begin = begins * 1440 + i32::from(from);
            days[begins.rem_euclid(7) as usize] && (begin..begin + length).contains(&now)
        });

        prop_assert_eq!(window.is_open(at), is_open, "{} at {}", text, at);
    }
}
