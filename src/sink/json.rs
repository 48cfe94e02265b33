//! Writes JSON without a library. Members have a fixed order, raw values stay unchanged, and amounts of money are
//! exact.

use std::io::Write;

use crate::domain::json::{write_json_str, write_on_one_line};
use crate::domain::{Money, Usage};

/// The name of a member as it is written: a comma, the name in quotes, and a colon. The compiler joins the comma, the
/// quoted name and the colon. So to write a name, the program copies a fixed number of bytes, and the compiler knows
/// this number. A line contains twenty-five member names.
#[derive(Clone, Copy)]
pub(super) struct Name(pub(super) &'static str);

/// Makes a [`Name`] from a literal that contains only letters and underscores.
macro_rules! name {
    ($name:literal) => {
        $crate::sink::json::Name(concat!(",\"", $name, "\":"))
    };
}
pub(super) use name;

/// A JSON object that is being written. [`Object::end`] closes it.
///
/// Every member is written with a comma before it. In the end, the opening brace replaces the first comma.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Object<'a> {
    /// Begins an object.
    #[inline]
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self { out, start }
    }

    /// Writes the name of a member, and returns the buffer for the value.
    #[inline(always)]
    pub(super) fn member(&mut self, name: Name) -> &mut Vec<u8> {
        self.out.extend_from_slice(name.0.as_bytes());
        self.out
    }

    /// Writes a member name that does not come from this program, and returns the buffer for the value.
    fn foreign_member(&mut self, name: &str) -> &mut Vec<u8> {
        self.out.push(b',');
        write_json_str(name, self.out);
        self.out.push(b':');
        self.out
    }

    /// Writes a string, or `null`.
    #[inline]
    pub(super) fn text<'t>(&mut self, name: Name, text: impl Into<Option<&'t str>>) {
        let out = self.member(name);
        match text.into() {
            Some(text) => write_json_str(text, out),
            None => out.extend_from_slice(b"null"),
        }
    }

    /// Writes a string that needs no escape: letters, digits and punctuation.
    #[inline]
    pub(super) fn plain(&mut self, name: Name, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        debug_assert!(text.iter().all(|&byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\'));
        let out = self.member(name);
        out.push(b'"');
        out.extend_from_slice(text);
        out.push(b'"');
    }

    /// Writes a number, or `null`.
    #[inline]
    pub(super) fn number(&mut self, name: Name, number: impl Into<Option<u64>>) {
        let out = self.member(name);
        match number.into() {
            Some(number) => push_number(out, number),
            None => out.extend_from_slice(b"null"),
        }
    }

    /// Writes a number as a string of 16 hexadecimal digits, or `null`.
    #[inline]
    pub(super) fn hex(&mut self, name: Name, number: Option<u64>) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let Some(number) = number else { return self.member(name).extend_from_slice(b"null") };
        let digits: [u8; 16] = std::array::from_fn(|at| DIGITS[(number >> (60 - 4 * at)) as usize & 0xf]);
        self.plain(name, digits);
    }

    /// Writes `true` or `false`.
    #[inline]
    pub(super) fn truth(&mut self, name: Name, truth: bool) {
        self.member(name).extend_from_slice(if truth { b"true" } else { b"false" });
    }

    /// Writes a wall-clock time in RFC 3339 format with milliseconds, or `null`. All times have the same length, so
    /// they can be sorted as text.
    #[inline]
    pub(super) fn time(&mut self, name: Name, time: Option<jiff::Timestamp>) {
        let out = self.member(name);
        match time {
            Some(time) => {
                out.push(b'"');
                push_time(out, time);
                out.push(b'"');
            }
            None => out.extend_from_slice(b"null"),
        }
    }

    /// Writes an amount of money as a decimal number of dollars, or `null`.
    #[inline]
    pub(super) fn money(&mut self, name: Name, money: Option<Money>) {
        let out = self.member(name);
        match money {
            Some(money) => write_usd(money, out),
            None => out.extend_from_slice(b"null"),
        }
    }

    /// Writes the token usage as an object.
    #[inline]
    pub(super) fn usage(&mut self, name: Name, usage: &Usage) {
        let Usage {
            input_tokens,
            cache_write_5m_tokens,
            cache_write_1h_tokens,
            cache_read_tokens,
            output_tokens,
            web_searches,
            is_unknown: _,
        } = *usage;
        let mut object = Object::new(self.member(name));
        object.number(name!("input_tokens"), input_tokens);
        object.number(name!("cache_write_5m_tokens"), cache_write_5m_tokens);
        object.number(name!("cache_write_1h_tokens"), cache_write_1h_tokens);
        object.number(name!("cache_read_tokens"), cache_read_tokens);
        object.number(name!("output_tokens"), output_tokens);
        object.number(name!("web_searches"), web_searches);
        object.end();
    }

    /// Writes a value that is already JSON. Line breaks in the value become blanks.
    #[inline]
    pub(super) fn json(&mut self, name: Name, json: &[u8]) {
        write_on_one_line(json, self.member(name));
    }

    /// Writes a value that is already JSON, like [`Object::json`], but accepts any name.
    pub(super) fn raw(&mut self, name: &str, json: &[u8]) {
        write_on_one_line(json, self.foreign_member(name));
    }

    /// Closes the JSON object.
    #[inline]
    pub(super) fn end(self) {
        match self.out.get_mut(self.start) {
            Some(first) => *first = b'{',
            None => self.out.push(b'{'),
        }
        self.out.push(b'}');
    }
}

/// Writes an amount as an exact decimal number of dollars, without an exponent and without trailing zeros.
pub(crate) fn write_usd(money: Money, out: &mut Vec<u8>) {
    // The cost of one row nearly always fits into 64 bits. A 128-bit division takes several times as long as a 64-bit
    // division.
    let mut pico = match u64::try_from(money.0) {
        Ok(amount) => {
            push_number(out, amount / Money::PICO);
            amount % Money::PICO
        }
        Err(_) => {
            let pico = u128::from(Money::PICO);
            push(out, format_args!("{}", money.0 / pico));
            u64::try_from(money.0 % pico).expect("a remainder is below its divisor")
        }
    };
    if pico == 0 {
        return;
    }
    let mut digits = *b".000000000000";
    for digit in digits[1..].iter_mut().rev() {
        *digit = b'0' + (pico % 10) as u8;
        pico /= 10;
    }
    out.extend_from_slice(&digits);
    while out.last() == Some(&b'0') {
        out.pop();
    }
}

/// Reads an amount in the form that [`write_usd`] writes, or an amount with an exponent. Returns `None` for every other
/// text.
///
/// Digits after the twelfth decimal place (one pico-dollar) are dropped. Amounts with an exponent are accepted too,
/// because other tools may write them. Such amounts are rounded to the nearest pico-dollar.
pub(crate) fn parse_usd(text: &str) -> Option<Money> {
    let text = text.trim();
    if text.contains(['e', 'E']) {
        let dollars: f64 = text.parse().ok()?;
        return (dollars.is_finite() && dollars >= 0.0).then(|| Money::from_dollars(dollars));
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let dollars: u128 = whole.parse().ok()?;
    let kept = &fraction[..fraction.len().min(12)];
    let digits: u64 = if kept.is_empty() { 0 } else { kept.parse().ok()? };
    let pico = digits * 10_u64.pow(12 - kept.len() as u32);
    Some(Money(dollars.checked_mul(Money::PICO.into())?.checked_add(pico.into())?))
}

/// Writes a number in decimal. The standard library's formatter takes several times as long as this function, and a
/// line has ten numbers.
fn push_number(out: &mut Vec<u8>, mut number: u64) {
    if number < 10 {
        return out.push(b'0' + number as u8);
    }
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes a time in RFC 3339 format with milliseconds.
fn push_time(out: &mut Vec<u8>, time: jiff::Timestamp) {
    let civil = jiff::tz::Offset::UTC.to_datetime(time);
    let Ok(year) = u16::try_from(civil.year()) else { return push(out, format_args!("{time:.3}")) };
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let millis = civil.millisecond().unsigned_abs();
    let (hundreds, tens) = ((year / 100) as u8, (millis / 10) as u8);
    let of = i8::unsigned_abs;
    for (at, part) in [
        (0, hundreds),
        (2, (year % 100) as u8),
        (5, of(civil.month())),
        (8, of(civil.day())),
        (11, of(civil.hour())),
        (14, of(civil.minute())),
        (17, of(civil.second())),
        (20, tens),
    ] {
        text[at..at + 2].copy_from_slice(&[b'0' + part / 10, b'0' + part % 10]);
    }
    text[22] = b'0' + (millis % 10) as u8;
    out.extend_from_slice(&text);
}

fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a write to memory never fails");
}

#[cfg(test)]
mod tests {
    use super::*;

    const PICO: u128 = Money::PICO as u128;

    fn shown(pico: u128) -> String {
        let mut out = Vec::new();
        write_usd(Money(pico), &mut out);
        String::from_utf8(out).expect("digits are UTF-8")
    }

    #[test]
    fn numbers_and_times_match_the_standard_formatters() {
        let numbers = [0, 7, 10, 1_234_567_890, u64::MAX];
        let times = [
            "1970-01-01T00:00:00Z",
            "2026-02-28T23:59:59.999999999Z",
            "0001-01-01T00:00:00.05Z",
            "-000001-12-31T23:00:00Z",
        ];

        for number in numbers {
            let mut out = Vec::new();
            push_number(&mut out, number);
            assert_eq!(out, number.to_string().as_bytes());
        }
        for time in times {
            let time: jiff::Timestamp = time.parse().expect("a fixed instant");
            let mut out = Vec::new();
            push_time(&mut out, time);
            assert_eq!(String::from_utf8_lossy(&out), format!("{time:.3}"));
        }
    }

    #[test]
    fn usage_that_was_written_is_read_back_unchanged() {
        let usage = Usage {
            input_tokens: 1,
            cache_write_5m_tokens: 2,
            cache_write_1h_tokens: 3,
            cache_read_tokens: 4,
            output_tokens: 5,
            web_searches: 6,
            is_unknown: false,
        };
        let mut out = Vec::new();

        let mut object = Object::new(&mut out);
        object.usage(name!("usage"), &usage);
        object.end();

        assert_eq!(
            String::from_utf8_lossy(&out),
            format!("{{\"usage\":{}}}", serde_json::to_string(&usage).expect("numbers are JSON"))
        );
    }

    #[test]
    fn money_is_an_exact_decimal() {
        assert_eq!(shown(0), "0");
        assert_eq!(shown(1), "0.000000000001");
        assert_eq!(shown(300_000_000), "0.0003");
        assert_eq!(shown(12 * PICO), "12");
        assert_eq!(shown(PICO / 10 + PICO / 5), "0.3");
    }

    #[test]
    fn money_that_was_written_is_read_back_unchanged() {
        for pico in [0, 1, 999_999_999_999, PICO, PICO + 1, 123_456_789 * PICO + 10] {
            assert_eq!(parse_usd(&shown(pico)), Some(Money(pico)));
        }
        assert_eq!(parse_usd("1.2e-3"), Some(Money(1_200_000_000)));
        assert_eq!(parse_usd("0.00000000000199"), Some(Money(1)));
        for senseless in ["", "-1", ".", "1.x", "nan", "1e999", "+3"] {
            assert_eq!(parse_usd(senseless), None, "{senseless}");
        }
    }
}
