//! The time windows of `--schedule`: times of the week in which other settings apply.
//!
//! A window is `DAYS FROM-TO SETTINGS`, such as `mon-fri 9:00-18:00 headroom=50%` or `22:00-6:00 pause`. This module is
//! pure: the caller passes the local time, and the module says whether a window is open. So the module needs no special
//! rules for clock changes, a sleeping computer, or summer time.

use jiff::civil::{DateTime, Weekday};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES_OF_DAY: u16 = 24 * 60;

/// A time window with settings of the type `S`.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule<S> {
    /// The window as the user wrote it.
    pub text: String,
    /// The settings that apply while the window is open.
    pub settings: Vec<S>,
    /// Whether the run is paused while the window is open.
    pub is_pause: bool,
    /// For each day of the week, from Monday to Sunday: whether the window begins on that day.
    days: [bool; 7],
    /// The beginning of the window, in minutes after midnight.
    from: u16,
    /// The end of the window, in minutes after midnight. If `to` is before `from`, the window ends on the next day.
    to: u16,
}

impl<S> Schedule<S> {
    /// Parses a time window. The function `setting` parses `NAME=VALUE`.
    ///
    /// # Errors
    /// Returns a message that names the wrong part of the window and what is allowed there.
    pub fn parse(text: &str, setting: impl Fn(&str) -> Result<S, String>) -> Result<Self, String> {
        let mut words = text.split_whitespace().peekable();
        let are_days = |word: &&str| word.starts_with(|char: char| char.is_alphabetic()) && !word.contains('=');
        let days = match words.next_if(|word| are_days(word) && *word != "pause") {
            Some(word) => days(word)?,
            None => [true; 7],
        };
        let times = words.next().ok_or("give DAYS FROM-TO SETTINGS, such as 'mon-fri 9:00-18:00 headroom=50%'")?;
        let (from, to) = window(times)?;
        let (mut settings, mut is_pause) = (Vec::new(), false);
        for word in words {
            match word {
                "pause" => is_pause = true,
                word => settings.push(setting(word)?),
            }
        }
        if settings.is_empty() && !is_pause {
            return Err(format!("after {times}, give a setting such as headroom=50%, or pause"));
        }
        Ok(Self { text: text.trim().to_owned(), settings, is_pause, days, from, to })
    }

    /// Returns whether the window is open at a local time. The window opens at the beginning of the minute `from`, and
    /// closes at the beginning of the minute `to`.
    pub fn is_open(&self, at: DateTime) -> bool {
        let minute = u16::try_from(i32::from(at.hour()) * 60 + i32::from(at.minute())).unwrap_or(0);
        let begins_on = |day: Weekday| self.days[usize::try_from(day.to_monday_zero_offset()).unwrap_or(0)];
        let (today, yesterday) = (at.weekday(), at.weekday().previous());
        match self.from < self.to {
            true => begins_on(today) && (self.from..self.to).contains(&minute),
            false => (begins_on(today) && minute >= self.from) || (begins_on(yesterday) && minute < self.to),
        }
    }
}

/// Parses days: either `daily`, or a list of days and ranges of days with commas between them.
fn days(text: &str) -> Result<[bool; 7], String> {
    let lower = text.to_ascii_lowercase();
    if lower == "daily" {
        return Ok([true; 7]);
    }
    let day = |name: &str| {
        let found = DAYS.iter().position(|day| *day == name);
        found.ok_or_else(|| {
            format!("{name:?} is not a day; give mon, tue, wed, thu, fri, sat, sun, a range such as mon-fri, or daily")
        })
    };
    let mut chosen = [false; 7];
    for part in lower.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut at, last) = (day(first)?, day(last)?);
        while at != last {
            chosen[at] = true;
            at = (at + 1) % 7;
        }
        chosen[last] = true;
    }
    Ok(chosen)
}

/// Parses `9:00-18:00`.
fn window(text: &str) -> Result<(u16, u16), String> {
    let wrong = || format!("{text:?} is not a time span; give FROM-TO, such as 9:00-18:00 or 22:00-6:00");
    let (from, to) = text.split_once('-').ok_or_else(wrong)?;
    let (from, to) = (minutes(from).ok_or_else(wrong)?, minutes(to).ok_or_else(wrong)?);
    if from == to {
        return Err(format!("{text:?} has no length: for a whole day, give 0:00-24:00"));
    }
    if from == MINUTES_OF_DAY {
        return Err(wrong());
    }
    Ok((from, to))
}

/// Parses a time of the day from `0:00` to `24:00`, and returns it in minutes after midnight.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, most_digits: usize| {
        let is_plain = (1..=most_digits).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2).filter(|_| minutes.len() == 2)?);
    let sum = hours * 60 + minutes;
    (minutes < 60 && sum <= MINUTES_OF_DAY).then_some(sum)
}

#[cfg(test)]
mod tests;
