//! The parsers of the values of flags. Each parser has an error message for invalid values.
//!
//! A value that a parser accepts needs no further check.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use http::{HeaderName, HeaderValue};
use serde_json::value::RawValue;

use super::blocks::{DEEPEST_PARAM, system_param};
use super::values::{Concurrency, Field, HaltRule, Header, Headroom, Notify, Param, Refused, Text};
use crate::answer::{OnRefusal, OnTruncate};
use crate::cli::message::of_secret;
use crate::cli::shell::{HIDDEN, quoted};
use crate::domain::{Money, json};
use crate::source::Condition;
use crate::watch::notices::NoticeRule;

/// Parses the value of a switch. (The parser of clap would list the values of each switch in the help.)
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("give true or false".to_owned()),
    }
}

/// Parses a limit per minute: a whole number above zero, such as `50000`, `50_000`, `50k` or `2M`.
pub(crate) fn rate(text: &str) -> Result<u32, String> {
    let (digits, factor) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1_000),
        Some((at, 'm' | 'M')) => (&text[..at], 1_000_000),
        _ => (text, 1),
    };
    let number = whole(digits)
        .and_then(|number| number.checked_mul(factor))
        .and_then(|number| u32::try_from(number).ok())
        .filter(|number| *number > 0);
    number.ok_or_else(|| {
        "give a whole number per minute from 1 to 4294967295, such as 50k, or --tier none for no limit".to_owned()
    })
}

/// Parses a whole number above zero.
pub(crate) fn positive_u32(text: &str) -> Result<u32, String> {
    let number = whole(text).and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0);
    number.ok_or_else(|| format!("give a whole number from 1 to {}", u32::MAX))
}

/// Parses a whole number, which can be zero.
pub(crate) fn number_u32(text: &str) -> Result<u32, String> {
    let number = whole(text).and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| format!("give a whole number from 0 to {}", u32::MAX))
}

/// Parses a whole number, which can be zero.
pub(crate) fn number_u64(text: &str) -> Result<u64, String> {
    whole(text).ok_or_else(|| "give a whole number, such as 0 or 10".to_owned())
}

/// Parses a port number.
#[cfg(feature = "sim")]
pub(crate) fn port(text: &str) -> Result<u16, String> {
    let number = whole(text).and_then(|number| u16::try_from(number).ok());
    number.ok_or_else(|| "give a number from 0 to 65535".to_owned())
}

/// Parses the size of a batch: a number from 1 to 100,000, the largest batch that the API accepts.
///
/// Source: API documentation, "Batch processing" (2026-09-20).
pub(crate) fn batch_rows(text: &str) -> Result<NonZeroU32, String> {
    let number = whole(text).filter(|number| *number <= 100_000).and_then(|number| u32::try_from(number).ok());
    number.and_then(NonZeroU32::new).ok_or_else(|| "give a number from 1 to 100000".to_owned())
}

/// Parses a whole number above zero.
pub(crate) fn positive_u64(text: &str) -> Result<u64, String> {
    whole(text).filter(|number| *number > 0).ok_or_else(|| "give a whole number above zero".to_owned())
}

/// Parses digits, which can have `_` between them.
fn whole(text: &str) -> Option<u64> {
    let is_plain = text.starts_with(|char: char| char.is_ascii_digit())
        && text.chars().all(|char| char.is_ascii_digit() || char == '_');
    is_plain.then(|| text.replace('_', "").parse().ok()).flatten()
}

/// Parses a duration with its unit: `90s`, `30m`, `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if text.trim().parse::<f64>().is_ok() {
        return Err(format!("give the number with a unit, such as {}s", text.trim()));
    }
    let span =
        text.parse::<jiff::SignedDuration>().map_err(|_| "give a duration, such as 90s, 30m or 1h30m".to_owned())?;
    Duration::try_from(span).map_err(|_| "give a time that is not negative, such as 90s".to_owned())
}

/// Returns a duration as a user types it. The unit is the largest unit that gives a whole number.
pub(crate) fn typed_duration(time: Duration) -> String {
    match time.as_millis() {
        millis if millis % 3_600_000 == 0 => format!("{}h", millis / 3_600_000),
        millis if millis % 60_000 == 0 => format!("{}m", millis / 60_000),
        millis if millis % 1_000 == 0 => format!("{}s", millis / 1_000),
        millis => format!("{millis}ms"),
    }
}

/// Parses a duration above zero.
pub(crate) fn positive_duration(text: &str) -> Result<Duration, String> {
    if text.trim().parse::<f64>() == Ok(0.0) || duration(text)?.is_zero() {
        return Err("give a time above zero, such as 90s, 30m or 1h30m".to_owned());
    }
    duration(text)
}

/// Parses an amount in dollars above zero, with or without `$`.
pub(crate) fn dollars(text: &str) -> Result<Money, String> {
    let digits = text.strip_prefix('$').unwrap_or(text);
    let is_decimal = digits.chars().all(|char| char.is_ascii_digit() || char == '.');
    let dollars = digits.parse::<f64>().ok().filter(|dollars| is_decimal && *dollars > 0.0 && *dollars <= 1e12);
    dollars
        .map(Money::from_dollars)
        .ok_or_else(|| "give an amount in dollars above zero, such as 40 or 2.50".to_owned())
}

/// Parses `auto` or a percentage from 0 to 90.
pub(crate) fn headroom(text: &str) -> Result<Headroom, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(Headroom::Auto);
    }
    let percent = text.strip_suffix('%').unwrap_or(text).parse::<f64>().ok();
    let percent = percent.filter(|percent| (0.0..=90.0).contains(percent));
    percent.map(Headroom::Percent).ok_or_else(|| "give auto or a percentage from 0 to 90, such as 10%".to_owned())
}

/// Parses `auto` or a number from 1 to 10,000.
pub(crate) fn concurrency(text: &str) -> Result<Concurrency, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(Concurrency::Auto);
    }
    let number = whole(text).filter(|number| *number <= 10_000).and_then(|number| usize::try_from(number).ok());
    let fixed = number.and_then(NonZeroUsize::new).map(Concurrency::Fixed);
    fixed.ok_or_else(|| "give auto or a number from 1 to 10000".to_owned())
}

/// Parses a schema: the name of a file, or the text of the schema, which begins with a brace.
pub(crate) fn schema(text: &str) -> Result<Text, String> {
    match text.trim_start() {
        "" => Err("give the name of a file with the schema".to_owned()),
        own if own.starts_with('{') => Ok(Text::Given(text.to_owned())),
        _ => Ok(Text::File(text.strip_prefix('@').unwrap_or(text).into())),
    }
}

/// Parses a condition that answers must meet, which is a value of `--require`.
pub(crate) fn condition(text: &str) -> Result<Condition, String> {
    Condition::parse(text).map_err(|error| format!("{error}; correct it, as in 'text|length < 200'"))
}

/// Parses `keep`, `fail`, `grow`, `grow=N` or `continue`.
pub(crate) fn on_truncate(text: &str) -> Result<OnTruncate, String> {
    let wanted = "give keep, fail, grow, grow=N (output tokens) or continue";
    match text.to_ascii_lowercase().as_str() {
        "keep" => Ok(OnTruncate::Keep),
        "fail" => Ok(OnTruncate::Fail),
        "grow" => Ok(OnTruncate::Grow { max_tokens: None }),
        "continue" => Ok(OnTruncate::Continue),
        other => {
            let most = other.strip_prefix("grow=").and_then(|most| positive_u32(most).ok());
            most.map(|most| OnTruncate::Grow { max_tokens: Some(most) }).ok_or_else(|| wanted.to_owned())
        }
    }
}

/// Parses `keep`, `fail` or `model=NAME`.
pub(crate) fn on_refusal(text: &str) -> Result<OnRefusal, String> {
    match text.split_once('=') {
        None if text.eq_ignore_ascii_case("keep") => Ok(OnRefusal::Keep),
        None if text.eq_ignore_ascii_case("fail") => Ok(OnRefusal::Fail),
        Some((kind, name)) if kind.eq_ignore_ascii_case("model") && !name.trim().is_empty() => {
            Ok(OnRefusal::Model(name.trim().to_owned()))
        }
        Some(_) | None => Err("give keep, fail or model=NAME, such as model=claude-opus-5".to_owned()),
    }
}

/// Parses `first-ten`, `never`, `fail=N` or `fail=PCT%`.
pub(crate) fn halt(text: &str) -> Result<HaltRule, String> {
    let wanted = "give first-ten, never, fail=N (rows) or fail=PCT%, such as fail=5%".to_owned();
    match (text, text.strip_prefix("fail=")) {
        ("first-ten" | "auto", _) => Ok(HaltRule::FirstTen),
        ("never", _) => Ok(HaltRule::Never),
        (_, Some(amount)) => match amount.strip_suffix('%') {
            Some(percent) => percent
                .parse::<f64>()
                .ok()
                .filter(|percent| *percent > 0.0 && *percent <= 100.0)
                .map(|percent| HaltRule::Share(percent / 100.0))
                .ok_or(wanted),
            None => whole(amount).filter(|rows| *rows > 0).map(HaltRule::Rows).ok_or(wanted),
        },
        _ => Err(wanted),
    }
}

/// Parses a word for the value of a header: visible ASCII characters without a comma.
pub(crate) fn token(text: &str) -> Result<String, String> {
    let is_token = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    if is_token { Ok(text.to_owned()) } else { Err("give a word of visible ASCII characters".to_owned()) }
}

/// Parses a text, or `@` followed by the path of a file that contains the text. If the text itself begins with `@`, the
/// user types `@@` instead of this `@`.
pub(crate) fn text(text: &str) -> Result<Text, String> {
    Ok(match text.strip_prefix('@') {
        Some(literal) if literal.starts_with('@') => Text::Given(literal.to_owned()),
        Some(path) => Text::File(path.into()),
        None => Text::Given(text.to_owned()),
    })
}

/// Parses a field of an output.
pub(crate) fn field(text: &str) -> Result<Field, String> {
    Field::parse(text.trim()).map_err(|error| error.to_string())
}

/// Parses `KEY=JSON`.
pub(crate) fn param(text: &str) -> Result<Param, String> {
    let (name, value) = text.split_once('=').ok_or("give KEY=JSON, such as temperature=0.5")?;
    let name = name.trim();
    match name {
        "" => return Err("give KEY=JSON, such as temperature=0.5".to_owned()),
        "system" => {
            let value = system_param(value.trim())?;
            return Ok(Param { name: name.to_owned(), value });
        }
        "model" | "max_tokens" | "stream" => {
            return Err(format!("{name} has a flag of its own; use --{}", name.replace('_', "-")));
        }
        "messages" => {
            return Err("messages come from the rows; put messages into the rows, or use --template".to_owned());
        }
        _ => {}
    }
    let value = serde_json::from_str::<Box<RawValue>>(value.trim()).map_err(|error| {
        format!("the value is not JSON ({error}); text needs quotes, such as {}", quoted(format!("{name}=\"text\"")))
    })?;
    if !json::is_within_depth(value.get().as_bytes(), DEEPEST_PARAM) {
        return Err(format!("the value is nested more than {DEEPEST_PARAM} levels deep; use fewer levels"));
    }
    Ok(Param { name: name.to_owned(), value })
}

/// Parses `FROM=TO`, where both parts are names of models.
pub(crate) fn model_pair(text: &str) -> Result<(String, String), String> {
    let example = "give FROM=TO, such as gpt-4o-mini=claude-haiku-4-5";
    let (from, to) = text.split_once('=').ok_or(example)?;
    match (from.trim(), to.trim()) {
        ("", _) | (_, "") => Err(example.to_owned()),
        (from, to) if from == to => Err(format!("{} is mapped to itself; leave it out", quoted(from))),
        (from, to) => Ok((from.to_owned(), to.to_owned())),
    }
}

/// Refuses `--tpm`, because the API has no such limit.
pub(crate) fn refuse_tpm(_text: &str) -> Result<Refused, String> {
    Err("the API has no limit for input and output tokens together; use --itpm and --otpm".to_owned())
}

/// Refuses an API key as an argument, without printing the key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefusedKey;

impl TypedValueParser for RefusedKey {
    type Value = Refused;

    fn parse_ref(
        &self,
        _command: &clap::Command,
        _arg: Option<&clap::Arg>,
        _value: &std::ffi::OsStr,
    ) -> Result<Refused, clap::Error> {
        Err(clap::Error::raw(
            ErrorKind::InvalidValue,
            "--api-key: other users could see a key on the command line; set ANTHROPIC_API_KEY, or use --api-key-file \
             or --api-key-cmd\n",
        ))
    }
}

/// Parses `Name: value`. Messages do not contain the value, because it could be a secret.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeaderParser;

impl TypedValueParser for HeaderParser {
    type Value = Header;

    fn parse_ref(
        &self,
        _command: &clap::Command,
        _arg: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Header, clap::Error> {
        let header = value.to_str().ok_or_else(|| "give 'Name: value' in ASCII".to_owned()).and_then(header);
        header.map_err(|message| {
            clap::Error::raw(ErrorKind::InvalidValue, format!("--header: {}\n", of_secret(&message)))
        })
    }
}

/// Parses a target of `--notify`. Messages do not contain the value, because the address of a target is a secret.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotifyParser;

impl TypedValueParser for NotifyParser {
    type Value = Notify;

    fn parse_ref(
        &self,
        _command: &clap::Command,
        _arg: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Notify, clap::Error> {
        let notify = value.to_str().ok_or("the address is not UTF-8 text; correct it").and_then(notify);
        notify
            .map_err(|message| clap::Error::raw(ErrorKind::InvalidValue, format!("--notify: {}\n", of_secret(message))))
    }
}

/// Parses the command that prints the API key.
pub(crate) fn key_command(text: &str) -> Result<String, &'static str> {
    match text.trim() == HIDDEN {
        true => Err("[hidden] only replaces a secret command in printed command lines; give the real command"),
        false => Ok(text.to_owned()),
    }
}

fn notify(text: &str) -> Result<Notify, &'static str> {
    let text = text.trim();
    match text.split_once(':') {
        _ if text.contains(HIDDEN) => {
            Err("[hidden] only replaces a secret address in printed command lines; give the real address")
        }
        Some(("env", name)) if name.trim().is_empty() || name.contains(['=', '\0']) => {
            Err("give the name of a variable after env:, such as env:SLACK_URL")
        }
        Some(("env", name)) => Ok(Notify::Variable(name.trim().to_owned())),
        Some(("cmd", command)) if command.trim().is_empty() || command.contains('\0') => {
            Err("give a program after cmd:, such as cmd:./tell.sh")
        }
        Some(("cmd", command)) => Ok(Notify::Command(command.trim().to_owned())),
        Some(("https" | "http", _)) => Ok(Notify::Url(text.into())),
        Some(_) | None => {
            Err("give an address that begins with https://, or env:NAME for the address in a variable, or cmd:COMMAND")
        }
    }
}

/// Parses an event of `--notify-on`.
pub(crate) fn notice_rule(text: &str) -> Result<NoticeRule, String> {
    let wanted = "give finish, halt, failures=PCT% (such as failures=5%), limit=80, limit=95, hold=DUR (such as hold=5m) or \
                  budget=PCT (such as budget=80)";
    let share = |amount: &str, most: f64| {
        let percent = amount.strip_suffix('%').unwrap_or(amount).parse::<f64>().ok();
        percent.filter(|percent| *percent > 0.0 && *percent <= most).map(|percent| percent / 100.0)
    };
    let text = text.trim().to_ascii_lowercase();
    let rule = match text.split_once('=') {
        None if text == "finish" => Some(NoticeRule::Finish),
        None if text == "halt" => Some(NoticeRule::Halt),
        Some(("failures", amount)) => share(amount, 99.0).map(NoticeRule::Failures),
        Some(("limit", "80" | "80%")) => Some(NoticeRule::Limit(80)),
        Some(("limit", "95" | "95%")) => Some(NoticeRule::Limit(95)),
        Some(("hold", time)) => positive_duration(time).ok().map(NoticeRule::Hold),
        Some(("budget", amount)) => share(amount, 100.0).map(NoticeRule::Budget),
        Some(_) | None => None,
    };
    rule.ok_or_else(|| wanted.to_owned())
}

pub(crate) fn header(text: &str) -> Result<Header, String> {
    let (name, value) = text.split_once(':').ok_or("give 'Name: value'")?;
    let name = HeaderName::try_from(name.trim())
        .map_err(|_| "the part before the colon is not the name of a header; give 'Name: value'")?;
    match name.as_str() {
        "x-api-key" | "authorization" => {
            return Err(format!(
                "the program makes {name} from the API key; set ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN"
            ));
        }
        "anthropic-version" => return Err("anthropic-version has a flag of its own; use --api-version".to_owned()),
        "anthropic-beta" => return Err("anthropic-beta has a flag of its own; use --beta".to_owned()),
        "host" | "content-length" | "content-type" | "transfer-encoding" | "connection" | "accept-encoding" => {
            return Err(format!("{name} is set by the program; leave it out"));
        }
        _ => {}
    }
    if value.trim() == HIDDEN {
        return Err(format!(
            "the value of {name} is [hidden], which only replaces a secret in printed command lines; give the real \
             value"
        ));
    }
    let mut value = HeaderValue::try_from(value.trim())
        .map_err(|_| format!("the value of {name} is not ASCII text; correct it"))?;
    value.set_sensitive(true);
    Ok(Header { name, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_whole_numbers_above_zero() {
        assert_eq!(
            ["1", "50000", "50_000", "450k", "2M"].map(rate),
            [Ok(1), Ok(50_000), Ok(50_000), Ok(450_000), Ok(2_000_000)]
        );
        for wrong in ["0", "-1", "+5", "1e309", "1.5", "10/sec", "", "k", "_1", "4294967296", "5000M", "€"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_notice_goes_to_an_address_a_variable_or_a_program() {
        let parse = |text: &str| notify(text).map(|notify| format!("{notify:?}"));

        assert_eq!(parse("https://hooks.example/s3cret").as_deref(), Ok("Url"));
        assert_eq!(parse("env:SLACK_URL").as_deref(), Ok("Variable(SLACK_URL)"));
        assert_eq!(parse("cmd: ./tell.sh  s3cret").as_deref(), Ok("Command(Some(\"./tell.sh\"))"));
        for wrong in ["", "hooks.example/s3cret", "ftp://s3cret", "env:", "env:A=s3cret", "cmd: ", "[hidden]"] {
            assert!(parse(wrong).is_err_and(|message| !message.contains("s3cret")), "{wrong}");
        }
    }

    #[test]
    fn events_for_notices_are_listed_if_one_is_wrong() {
        assert_eq!(notice_rule("finish"), Ok(NoticeRule::Finish));
        assert_eq!(notice_rule(" failures=5% "), Ok(NoticeRule::Failures(0.05)));
        assert_eq!(notice_rule("limit=95%"), Ok(NoticeRule::Limit(95)));
        assert_eq!(notice_rule("hold=5m"), Ok(NoticeRule::Hold(Duration::from_secs(300))));
        assert_eq!(notice_rule("budget=80"), Ok(NoticeRule::Budget(0.8)));
        for wrong in [
            "",
            "done",
            "limit=90",
            "failures",
            "failures=0%",
            "failures=100%",
            "hold=5",
            "hold=0s",
            "budget=101",
            "finish=1",
        ] {
            let message = notice_rule(wrong).expect_err(wrong);
            assert!(message.contains("limit=80, limit=95"), "{message}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        let parsed = ["90s", "30m", "1h30m", "0s"].map(|text| duration(text).map(|span| span.as_secs()));

        assert_eq!(parsed, [Ok(90), Ok(1_800), Ok(5_400), Ok(0)]);
        assert_eq!(duration("90"), Err("give the number with a unit, such as 90s".to_owned()));
        assert_eq!(duration("-5s"), Err("give a time that is not negative, such as 90s".to_owned()));
        assert!(positive_duration("0s").is_err() && duration("soon").is_err() && duration("").is_err());
    }

    #[test]
    fn money_is_dollars_above_zero() {
        assert_eq!(["40", "$2.50", "0.0001"].map(dollars), [40.0, 2.5, 0.0001].map(|d| Ok(Money::from_dollars(d))));
        for wrong in ["0", "-5", "1e309", "inf", "nan", "", "$", "5 USD", "1e3"] {
            assert!(dollars(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn halt_rules_are_parsed() {
        let parsed = ["first-ten", "never", "fail=20", "fail=5%"].map(halt);

        let expected = [HaltRule::FirstTen, HaltRule::Never, HaltRule::Rows(20), HaltRule::Share(0.05)].map(Ok);
        assert_eq!(parsed, expected);
        for wrong in ["", "fail", "fail=", "fail=0", "fail=0%", "fail=101%", "fail=-1", "sometimes"] {
            assert!(halt(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn headroom_and_concurrency_are_auto_or_in_range() {
        assert_eq!((headroom("auto"), headroom("7.5%")), (Ok(Headroom::Auto), Ok(Headroom::Percent(7.5))));
        assert_eq!(concurrency("auto"), Ok(Concurrency::Auto));
        assert_eq!(concurrency("64"), Ok(Concurrency::Fixed(NonZeroUsize::new(64).expect("not zero"))));
        assert!(["91", "-1", "nan"].iter().all(|wrong| headroom(wrong).is_err()));
        assert!(["0", "-1", "10001", "many"].iter().all(|wrong| concurrency(wrong).is_err()));
    }

    #[test]
    fn a_batch_has_from_1_to_100_000_rows() {
        let rows = |text| batch_rows(text).ok().map(NonZeroU32::get);

        assert_eq!(["1", "10_000", "100000"].map(rows), [Some(1), Some(10_000), Some(100_000)]);
        assert_eq!(["0", "100001", "-1", "1k", "", "many"].map(rows), [None; 6]);
    }

    #[test]
    fn a_parameter_keeps_its_bytes() {
        let param = param("temperature=1.50e0").expect("it is JSON");

        assert_eq!((param.name.as_str(), param.value.get()), ("temperature", "1.50e0"));
    }

    #[test]
    fn a_parameter_that_is_not_json_says_what_to_write() {
        let message = param("stop_sequences=END").expect_err("it is not JSON");

        assert!(message.contains("'stop_sequences=\"text\"'"), "{message}");
        assert!(param("model=\"x\"").expect_err("it has a flag").contains("--model"));
        assert!(param("temperature").is_err() && param("=1").is_err());
    }

    #[test]
    fn a_pair_of_models_has_two_names() {
        assert_eq!(model_pair("gpt-4o = claude-haiku-4-5"), Ok(("gpt-4o".to_owned(), "claude-haiku-4-5".to_owned())));
        for wrong in ["gpt-4o", "=a", "a=", "a = ", "", "a=a"] {
            assert!(model_pair(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_header_keeps_its_value_out_of_debug_output() {
        let header = header("X-Team:  s3cret ").expect("it is well formed");

        assert_eq!((header.name.as_str(), header.value.as_bytes()), ("x-team", b"s3cret".as_slice()));
        assert!(!format!("{header:?}").contains("s3cret"));
    }

    #[test]
    fn a_hidden_header_value_is_refused() {
        let message = header("X-Team: [hidden]").expect_err("it is not the real value");

        assert!(message.contains("x-team") && message.contains("give the real value"), "{message}");
    }

    #[test]
    fn headers_that_carry_the_key_are_refused_without_echo() {
        for given in
            ["x-api-key: sk-secret", "Authorization: Bearer sk-secret", "bad name: sk-secret", "a: sk-secret\n"]
        {
            match header(given) {
                Err(message) => assert!(!message.contains("sk-secret"), "{message}"),
                Ok(header) => assert_eq!(header.name.as_str(), "a"),
            }
        }
    }
}
