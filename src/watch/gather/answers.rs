//! Sums up the lines of the results.

use crate::domain::{Money, TakenFrom};
use crate::journal::{Details, ResultRecord};
use crate::watch::facts::{Answers, Ended, ModelSum, TopRow};

/// At most this many models get sums of their own.
const MOST_MODELS: usize = 20;
/// How many characters of a label or of a model's name are kept.
const MOST_CHARS: usize = 80;

impl Answers {
    /// Adds a line of the results to the sums.
    pub(super) fn add(&mut self, record: &ResultRecord<'_>, details: &Details<'_>) {
        self.totals.add_result(record.quality, record.charges);
        self.add_source(details);
        self.add_model(record, details);
        self.add_time(record);
        let row = || TopRow {
            label: cut(record.label()),
            model: cut(details.model.as_deref().unwrap_or_default()),
            latency_ms: details.latency_ms,
            cost: record.charges.spend,
            attempts: details.attempts,
            output_tokens: record.charges.usage.output_tokens,
        };
        if let Some(millis) = details.latency_ms.filter(|_| !details.is_batch) {
            self.latency.add_millis(millis);
            self.longest_ms = self.longest_ms.max(millis);
            self.slowest.add(u128::from(millis), row);
        }
        if record.charges.spend > Money::ZERO {
            self.dearest.add(record.charges.spend.0, row);
        }
    }

    fn add_source(&mut self, details: &Details<'_>) {
        self.attempts += details.attempts;
        self.retried += u64::from(details.attempts > 1);
        self.batch += u64::from(details.is_batch && details.taken.is_none());
        match details.taken {
            None => self.unpriced += u64::from(!details.has_cost),
            Some(TakenFrom::EqualRow) => self.copied += 1,
            Some(TakenFrom::EarlierResults) => self.reused += 1,
        }
        if details.taken.is_some() {
            self.saved += details.saved;
        }
    }

    fn add_model(&mut self, record: &ResultRecord<'_>, details: &Details<'_>) {
        let (provider, model) = (record.provider_name(), details.model.as_deref().unwrap_or("unknown"));
        let (usage, spend) = (record.charges.usage, record.charges.spend);
        let sum = ModelSum { provider: String::new(), model: String::new(), rows: 1, usage, spend };
        match self.models.iter_mut().find(|own| own.model == model && own.provider == provider) {
            Some(own) => put_together(own, &sum),
            None => self.add_sum(ModelSum { provider: cut(&provider), model: cut(model), ..sum }),
        }
    }

    fn add_sum(&mut self, sum: ModelSum) {
        match self.models.iter().position(|own| own.model == sum.model && own.provider == sum.provider) {
            Some(at) => put_together(&mut self.models[at], &sum),
            None if self.models.len() < MOST_MODELS => self.models.push(sum),
            None => self.of_other_models += sum.rows,
        }
    }

    fn add_time(&mut self, record: &ResultRecord<'_>) {
        if let Some(second) = record.ended_at.as_deref().and_then(second_of) {
            let usage = &record.charges.usage;
            let (input, cached) = (usage.limited_input_tokens(), usage.cache_read_tokens);
            self.rate.add(second, Ended { ok: 1, failed: 0, input, cached, output: usage.output_tokens });
        }
    }

    /// Adds the sums of later lines of the file to these sums.
    pub(super) fn merge(&mut self, other: Self) {
        self.totals += other.totals;
        self.latency.merge(&other.latency);
        self.longest_ms = self.longest_ms.max(other.longest_ms);
        self.attempts += other.attempts;
        self.retried += other.retried;
        self.unpriced += other.unpriced;
        self.batch += other.batch;
        self.copied += other.copied;
        self.reused += other.reused;
        self.saved += other.saved;
        self.of_other_models += other.of_other_models;
        other.models.into_iter().for_each(|sum| self.add_sum(sum));
        self.slowest.merge(other.slowest);
        self.dearest.merge(other.dearest);
        self.rate.merge(other.rate);
    }
}

fn put_together(own: &mut ModelSum, other: &ModelSum) {
    own.rows += other.rows;
    own.usage += other.usage;
    own.spend += other.spend;
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Parses a time, and returns it in seconds after 1970. Times in this program's own format, such as
/// `2026-11-26T04:39:18.583Z`, are parsed here, because the general parser is several times slower.
pub(super) fn second_of(text: &str) -> Option<i64> {
    plain_second_of(text.as_bytes()).or_else(|| Some(text.parse::<jiff::Timestamp>().ok()?.as_second()))
}

fn plain_second_of(text: &[u8]) -> Option<i64> {
    if text.len() != 24 || [text[4], text[7], text[10], text[13], text[16], text[19], text[23]] != *b"--T::.Z" {
        return None;
    }
    let number = |from: usize, to: usize| {
        text[from..to]
            .iter()
            .try_fold(0_i64, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    number(20, 23)?;
    // Times that may be invalid, such as a February 29 or a leap second, go to the general parser.
    let is_plain = year >= 1970
        && (1..=12).contains(&month)
        && (1..=28 + 3 * i64::from(month != 2)).contains(&day)
        && (day < 31 || !matches!(month, 4 | 6 | 9 | 11))
        && hour < 24
        && minute < 60
        && second < 60;
    is_plain.then(|| days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Returns the number of days from 1970-01-01 to a day of the Gregorian calendar.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_the_general_parser_reads_it() {
        let mut random = fastrand::Rng::with_seed(9);
        for _ in 0..5_000 {
            let time = jiff::Timestamp::from_millisecond(random.i64(0..4_000_000_000_000)).expect("it is a time");
            let text = time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();

            assert_eq!(plain_second_of(text.as_bytes()).unwrap_or(time.as_second()), time.as_second(), "{text}");
            assert_eq!(second_of(&text), Some(time.as_second()), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_not_a_time_has_no_second() {
        for text in [
            "",
            "2026-13-26T04:39:18.583Z",
            "2026-02-30T04:39:18.583Z",
            "2026-11-31T04:39:18.583Z",
            "é026-11-26T04:39:18.58Z",
            "2026-11-26",
        ] {
            assert_eq!(second_of(text), None, "{text}");
        }
        assert_eq!(second_of("2026-11-26T06:39:18+02:00"), second_of("2026-11-26T04:39:18.000Z"));
    }
}
