//! Turns a value of a Parquet column into a cell.
//!
//! Text values become text cells. Numbers and booleans are written as JSON, without rounding. A floating-point number
//! is written with the fewest digits that give the same number when they are read again. Dates and times are written as
//! ISO 8601 text. If a time is not stored in UTC, it is written without a zone. Numbers that JSON does not have (NaN,
//! inf) are text.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::civil::Date;
use jiff::{SignedDuration, Span};
use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use parquet::schema::types::ColumnDescriptor;

/// The meaning of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Only the physical type of the column decides what its values mean. Byte arrays must contain text.
    Plain,
    Unsigned,
    Decimal(usize),
    Date,
    /// A time of day. The number says how many units make a second.
    Time(i64),
    /// A moment. The number says how many units one second has, and the flag says whether the moment is in UTC.
    Timestamp(i64, bool),
    Uuid,
    Half,
    Interval,
}

impl Meaning {
    pub(super) fn of(column: &ColumnDescriptor) -> Self {
        if let Some(logical) = column.logical_type_ref() {
            return match logical {
                LogicalType::Decimal(decimal) => Self::Decimal(usize::try_from(decimal.scale).unwrap_or_default()),
                LogicalType::Date => Self::Date,
                LogicalType::Time(time) => Self::Time(parts(&time.unit)),
                LogicalType::Timestamp(time) => Self::Timestamp(parts(&time.unit), time.is_adjusted_to_u_t_c),
                LogicalType::Integer(int) if !int.is_signed => Self::Unsigned,
                LogicalType::Uuid => Self::Uuid,
                LogicalType::Float16 => Self::Half,
                _ => Self::Plain,
            };
        }
        match column.converted_type() {
            ConvertedType::DECIMAL => Self::Decimal(usize::try_from(column.type_scale()).unwrap_or_default()),
            ConvertedType::DATE => Self::Date,
            ConvertedType::TIME_MILLIS => Self::Time(1_000),
            ConvertedType::TIME_MICROS => Self::Time(1_000_000),
            ConvertedType::TIMESTAMP_MILLIS => Self::Timestamp(1_000, true),
            ConvertedType::TIMESTAMP_MICROS => Self::Timestamp(1_000_000, true),
            ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64 => {
                Self::Unsigned
            }
            ConvertedType::INTERVAL => Self::Interval,
            _ if column.physical_type() == Type::INT96 => Self::Timestamp(1_000_000_000, false),
            _ => Self::Plain,
        }
    }
}

fn parts(unit: &TimeUnit) -> i64 {
    match unit {
        TimeUnit::MILLIS => 1_000,
        TimeUnit::MICROS => 1_000_000,
        TimeUnit::NANOS => 1_000_000_000,
    }
}

/// A value as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// JSON.
    Json(String),
}

/// The reason why a value can't be shown. Messages show this reason after the name of the column.
pub(super) type Unshown = &'static str;

pub(super) fn boolean(value: bool) -> Shown<'static> {
    Shown::Json(value.to_string())
}

pub(super) fn int(value: i64, is_32: bool, meaning: Meaning) -> Result<Shown<'static>, Unshown> {
    Ok(match meaning {
        Meaning::Unsigned if is_32 => Shown::Json((value as u32).to_string()),
        Meaning::Unsigned => Shown::Json((value as u64).to_string()),
        Meaning::Decimal(scale) => Shown::Json(decimal(&value.to_be_bytes(), scale)?),
        Meaning::Date => Shown::Text(date(value).ok_or(OUT_OF_RANGE)?.into()),
        Meaning::Time(parts) => Shown::Text(time(value, parts).ok_or(OUT_OF_RANGE)?.into()),
        Meaning::Timestamp(parts, is_utc) => Shown::Text(timestamp(value, parts, is_utc).ok_or(OUT_OF_RANGE)?.into()),
        Meaning::Plain | Meaning::Uuid | Meaning::Half | Meaning::Interval => Shown::Json(value.to_string()),
    })
}

pub(super) fn double(value: f64) -> Shown<'static> {
    float(value.is_finite(), format_args!("{value:?}"))
}

pub(super) fn single(value: f32) -> Shown<'static> {
    float(value.is_finite(), format_args!("{value:?}"))
}

/// Rust writes finite floating-point numbers as JSON does. NaN and the infinities become text.
fn float(is_finite: bool, text: std::fmt::Arguments<'_>) -> Shown<'static> {
    let text = text.to_string();
    if is_finite { Shown::Json(text) } else { Shown::Text(text.into()) }
}

pub(super) fn bytes(value: &[u8], meaning: Meaning) -> Result<Shown<'_>, Unshown> {
    Ok(match meaning {
        Meaning::Decimal(scale) => Shown::Json(decimal(value, scale)?),
        Meaning::Uuid => Shown::Text(uuid(value)?.into()),
        Meaning::Half => {
            let value = value.try_into().map_err(|_| WRONG_LENGTH)?;
            single(half(u16::from_le_bytes(value)))
        }
        Meaning::Interval => Shown::Text(interval(value)?.into()),
        _ => Shown::Text(std::str::from_utf8(value).map_err(|_| "holds bytes that are not text")?.into()),
    })
}

const OUT_OF_RANGE: Unshown = "holds a date outside the calendar";
const WRONG_LENGTH: Unshown = "holds a value of a wrong length";

/// The longest accepted decimal number, in bytes. Most decimals have at most 38 digits and 16 bytes.
const MAX_DECIMAL_BYTES: usize = 64;

/// Writes a whole number as a decimal number with `scale` digits after the point. The bytes are in two's complement,
/// the highest byte first.
fn decimal(bytes: &[u8], scale: usize) -> Result<String, Unshown> {
    if bytes.is_empty() || bytes.len() > MAX_DECIMAL_BYTES || scale > 3 * MAX_DECIMAL_BYTES {
        return Err(WRONG_LENGTH);
    }
    let is_negative = bytes[0] >= 0x80;
    let mut rest = bytes.to_vec();
    if is_negative {
        let mut carry = true;
        for byte in rest.iter_mut().rev() {
            let (sum, is_over) = (!*byte).overflowing_add(u8::from(carry));
            (*byte, carry) = (sum, is_over);
        }
    }
    let mut digits = Vec::new();
    while rest.iter().any(|byte| *byte != 0) || digits.len() <= scale {
        let mut left = 0_u32;
        for byte in &mut rest {
            let number = left * 256 + u32::from(*byte);
            *byte = (number / 10) as u8;
            left = number % 10;
        }
        digits.push(b'0' + left as u8);
    }
    let mut text = String::from(if is_negative { "-" } else { "" });
    for (at, digit) in digits.iter().enumerate().rev() {
        text.push(char::from(*digit));
        if at == scale && scale > 0 {
            text.push('.');
        }
    }
    Ok(text)
}

fn date(days: i64) -> Option<String> {
    // A day number in Parquet has 32 bits, so the date can be later than 9999, the last year in ISO 8601.
    let days = Span::new().try_days(days).ok()?;
    Date::constant(1970, 1, 1).checked_add(days).ok().map(|date| date.to_string())
}

fn time(value: i64, parts: i64) -> Option<String> {
    let time = jiff::civil::Time::midnight().checked_add(duration(value, parts)).ok()?;
    Some(time.to_string())
}

fn timestamp(value: i64, parts: i64, is_utc: bool) -> Option<String> {
    let epoch = Date::constant(1970, 1, 1).at(0, 0, 0, 0);
    let moment = epoch.checked_add(duration(value, parts)).ok()?;
    Some(format!("{moment}{}", if is_utc { "Z" } else { "" }))
}

fn duration(value: i64, parts: i64) -> SignedDuration {
    let nanos = value.rem_euclid(parts) * (1_000_000_000 / parts);
    SignedDuration::new(value.div_euclid(parts), nanos as i32)
}

/// Writes a 96-bit timestamp: the nanoseconds since midnight, and the Julian day number.
pub(super) fn julian(words: &[u32]) -> Result<Shown<'static>, Unshown> {
    let &[low, high, day] = words else { return Err(WRONG_LENGTH) };
    let nanos = i64::try_from(u64::from(high) << 32 | u64::from(low)).map_err(|_| OUT_OF_RANGE)?;
    let days = Span::new().try_days(i64::from(day) - 2_440_588).map_err(|_| OUT_OF_RANGE)?;
    let epoch = Date::constant(1970, 1, 1).at(0, 0, 0, 0);
    let moment = epoch.checked_add(days).and_then(|day| day.checked_add(SignedDuration::from_nanos(nanos)));
    Ok(Shown::Text(moment.map_err(|_| OUT_OF_RANGE)?.to_string().into()))
}

fn uuid(value: &[u8]) -> Result<String, Unshown> {
    if value.len() != 16 {
        return Err(WRONG_LENGTH);
    }
    let mut text = String::with_capacity(36);
    for (at, byte) in value.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// Reads a 16-bit floating-point number.
fn half(bits: u16) -> f32 {
    let (sign, exponent, part) = (bits >> 15, bits >> 10 & 0x1f, bits & 0x3ff);
    let size = match (exponent, part) {
        (0x1f, 0) => f32::INFINITY,
        (0x1f, _) => f32::NAN,
        (0, part) => f32::from(part) * 2.0_f32.powi(-24),
        (exponent, part) => f32::from(part | 0x400) * 2.0_f32.powi(i32::from(exponent) - 25),
    };
    if sign == 1 { -size } else { size }
}

/// Writes months, days and milliseconds as an ISO 8601 duration.
fn interval(value: &[u8]) -> Result<String, Unshown> {
    let word = |at: usize| value.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes);
    let (Some(months), Some(days), Some(millis)) = (word(0), word(4), word(8)) else { return Err(WRONG_LENGTH) };
    Ok(format!("P{months}M{days}DT{}.{:03}S", millis / 1_000, millis % 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Shown<'static> {
        Shown::Json(text.to_owned())
    }

    fn text(text: &str) -> Shown<'static> {
        Shown::Text(text.to_owned().into())
    }

    #[test]
    fn whole_numbers_are_exact() {
        assert_eq!(int(i64::MIN, false, Meaning::Plain), Ok(json("-9223372036854775808")));
        assert_eq!(int(-1, false, Meaning::Unsigned), Ok(json("18446744073709551615")));
        assert_eq!(int(-1, true, Meaning::Unsigned), Ok(json("4294967295")));
    }

    #[test]
    fn floating_point_numbers_are_short_and_read_back() {
        assert_eq!(double(0.1), json("0.1"));
        assert_eq!(double(1.0), json("1.0"));
        assert_eq!(double(1e300), json("1e300"));
        assert_eq!(single(0.1), json("0.1"));
        assert_eq!((double(f64::NAN), double(f64::INFINITY)), (text("NaN"), text("inf")));
        assert_eq!(bytes(&[0x00, 0x3e], Meaning::Half), Ok(json("1.5")));
        assert_eq!(bytes(&[0x01, 0x80], Meaning::Half), Ok(json("-5.9604645e-8")));
    }

    #[test]
    fn decimals_keep_their_digits() {
        let cases: [(&[u8], usize, &str); 6] = [
            (&[4, 0xd2], 2, "12.34"),
            (&[0xff, 0xff], 2, "-0.01"),
            (&[0], 3, "0.000"),
            (&[0x80], 0, "-128"),
            (&[0x7f; 16], 0, "169473963133173273960190490760135540607"),
            (&[0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], 1, "-922337203685477580.8"),
        ];

        for (bytes, scale, expected) in cases {
            assert_eq!(decimal(bytes, scale).as_deref(), Ok(expected));
        }
        assert_eq!(int(-1_250, false, Meaning::Decimal(2)), Ok(json("-12.50")));
    }

    #[test]
    fn dates_and_times_are_iso_8601() {
        assert_eq!(int(19_845, true, Meaning::Date), Ok(text("2024-05-02")));
        assert_eq!(int(-1, true, Meaning::Date), Ok(text("1969-12-31")));
        assert_eq!(int(i64::from(i32::MAX), true, Meaning::Date), Err(OUT_OF_RANGE));
        assert_eq!(int(45_296_789, true, Meaning::Time(1_000)), Ok(text("12:34:56.789")));
        assert_eq!(int(-1, false, Meaning::Timestamp(1_000_000, true)), Ok(text("1969-12-31T23:59:59.999999Z")));
        assert_eq!(int(1_714_608_000_000, false, Meaning::Timestamp(1_000, false)), Ok(text("2024-05-02T00:00:00")));
        assert_eq!(int(i64::MAX, false, Meaning::Timestamp(1_000, false)), Err(OUT_OF_RANGE));
        assert_eq!(julian(&[0, 0, 2_440_589]), Ok(text("1970-01-02T00:00:00")));
        assert_eq!(bytes(&[1, 0, 0, 0, 2, 0, 0, 0, 0xdc, 5, 0, 0], Meaning::Interval), Ok(text("P1M2DT1.500S")));
    }

    #[test]
    fn bytes_must_be_text() {
        assert_eq!(bytes("é\0𝄞".as_bytes(), Meaning::Plain), Ok(text("é\0𝄞")));
        assert!(bytes(b"\xff", Meaning::Plain).is_err());
        let uuid: Vec<u8> = (0..16).collect();
        assert_eq!(bytes(&uuid, Meaning::Uuid), Ok(text("00010203-0405-0607-0809-0a0b0c0d0e0f")));
    }
}
