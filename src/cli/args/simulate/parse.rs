//! The parsers of the flags of `simulate`.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::cli::args::parsers;
use crate::clock::Instant;
use crate::domain::{ModelClass, RateLimits};
use crate::sim::config::{Acceleration, BatchTime, Burst, Bursts, Endings, Keys, Latency, OtherManner, OutputLengths};

/// Another client that uses the limits, as the user describes it in `--other-client`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// The share of each limit that the client uses, in thousandths.
    pub permille: u32,
    /// The time at which the client starts.
    pub from: Instant,
    /// The time at which the client ends.
    pub until: Instant,
    /// Whether the client uses its share evenly over time or in bursts.
    pub manner: OtherManner,
}

/// A change of limits, as the user describes it in `--change`.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The time at which the limits change.
    pub at: Instant,
    /// The class whose limits change; `None` for all classes.
    pub class: Option<ModelClass>,
    /// The new limits.
    pub to: ChangeTo,
}

/// The new limits, as the user describes them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ChangeTo {
    /// Each new limit is the limit at the start, multiplied by this number.
    Factor(f64),
    /// These limits. The new limits of some dimensions. A dimension that is not named keeps its limit.
    Limits(RateLimits),
}

/// Parses a loopback address of this machine.
pub(super) fn loopback(text: &str) -> Result<IpAddr, String> {
    let address = match text {
        "localhost" => Some(IpAddr::from(Ipv4Addr::LOCALHOST)),
        _ => text.trim_matches(['[', ']']).parse().ok(),
    };
    address.filter(IpAddr::is_loopback).ok_or_else(|| {
        "the simulator answers every client, so it listens only on this machine; give 127.0.0.1, ::1 or localhost"
            .to_owned()
    })
}

/// Parses `any`, `none`, or keys separated by commas.
pub(super) fn keys(text: &str) -> Result<Keys, String> {
    let keys = || text.split(',').map(str::trim).map(str::to_owned).collect::<Vec<_>>();
    match text {
        "any" => Ok(Keys::Any),
        "none" => Ok(Keys::None),
        _ if keys().iter().any(String::is_empty) => {
            Err("give any, none, or made-up keys such as key-a,key-b".to_owned())
        }
        _ => Ok(Keys::Only(keys())),
    }
}

/// Parses `CLASS=RPM,ITPM,OTPM`.
pub(super) fn class_limits(text: &str) -> Result<(ModelClass, RateLimits), String> {
    const WANTED: &str = "give a class and three limits per minute, such as haiku-4.5=50,50k,10k; - keeps a limit";
    let (class, limits) = text.split_once('=').ok_or(WANTED)?;
    let limits: Vec<&str> = limits.split(',').map(str::trim).collect();
    let [rpm, itpm, otpm] = limits[..] else { return Err(WANTED.to_owned()) };
    let limit = |text| if text == "-" { Ok(None) } else { parsers::rate(text).map(Some) };
    let limits = RateLimits { rpm: limit(rpm)?, itpm: limit(itpm)?, otpm: limit(otpm)? };
    Ok((ModelClass(class.trim().into()), limits))
}

/// Parses one burst for all limits, or `LIMIT=BURST` pairs separated by commas.
pub(super) fn bursts(text: &str) -> Result<Bursts, String> {
    if !text.contains('=') {
        return burst(text).map(Bursts::all);
    }
    let mut bursts = Bursts::all(Burst::Minute);
    for (name, value) in pairs(text)? {
        let own = match name {
            "requests" => &mut bursts.requests,
            "input" => &mut bursts.input_tokens,
            "output" => &mut bursts.output_tokens,
            _ => return Err(format!("there is no limit {name:?}; give requests, input or output")),
        };
        *own = burst(value)?;
    }
    Ok(bursts)
}

fn burst(text: &str) -> Result<Burst, String> {
    match text {
        "minute" => Ok(Burst::Minute),
        _ if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') => {
            parsers::positive_u32(text).map(Burst::Amount)
        }
        _ => parsers::positive_duration(text)
            .map(Burst::Time)
            .map_err(|_| "give minute, a duration such as 1s, or a number".to_owned()),
    }
}

/// Parses `FLOOR,STEP`, both in tokens.
pub(super) fn acceleration(text: &str) -> Result<Acceleration, String> {
    let (floor, step) = text.split_once(',').ok_or("give two numbers of tokens, such as 50k,10k")?;
    Ok(Acceleration { floor: parsers::rate(floor.trim())?.into(), step: parsers::rate(step.trim())?.into() })
}

/// Parses `SHARE% [from TIME] [until TIME] [every TIME]`.
pub(super) fn other_client(text: &str) -> Result<Other, String> {
    const WANTED: &str = "give a share, such as 30%, '50% from 1m until 2m' or '40% every 10s'";
    let mut words = text.split_whitespace();
    let percent = words.next().and_then(|word| word.strip_suffix('%')).and_then(|digits| digits.parse::<f64>().ok());
    let percent = percent.filter(|percent| (0.1..=100.0).contains(percent)).ok_or(WANTED)?;
    let mut other = Other {
        permille: (percent * 10.0).round() as u32,
        from: Instant::ZERO,
        until: Instant::NEVER,
        manner: OtherManner::Steady,
    };
    while let Some(word) = words.next() {
        let time = words.next().ok_or(WANTED)?;
        match word {
            "from" => other.from = Instant::ZERO + parsers::duration(time)?,
            "until" => other.until = Instant::ZERO + parsers::positive_duration(time)?,
            "every" => other.manner = OtherManner::Bursts(parsers::positive_duration(time)?),
            _ => return Err(WANTED.to_owned()),
        }
    }
    if other.until <= other.from {
        Err("the time after `until` must be later than the time after `from`".to_owned())
    } else {
        Ok(other)
    }
}

/// Parses `at TIME [CLASS]: FACTOR` or `at TIME [CLASS]: rpm=N itpm=N otpm=N`.
pub(super) fn change(text: &str) -> Result<Change, String> {
    const WANTED: &str = "give a time and what changes, such as 'at 60s: 0.5' or 'at 2m haiku-4.5: rpm=50 otpm=8k'";
    let (when, what) = text.split_once(':').ok_or(WANTED)?;
    let when: Vec<&str> = when.split_whitespace().filter(|word| *word != "at").collect();
    let (time, class) = match when[..] {
        [time] => (time, None),
        [time, class] => (time, Some(ModelClass(class.into()))),
        _ => return Err(WANTED.to_owned()),
    };
    let at = Instant::ZERO + parsers::duration(time)?;
    let to = if what.contains('=') { ChangeTo::Limits(limits(what)?) } else { ChangeTo::Factor(factor(what.trim())?) };
    Ok(Change { at, class, to })
}

fn limits(text: &str) -> Result<RateLimits, String> {
    let mut limits = RateLimits::NONE;
    for (name, value) in pairs(text)? {
        let own = match name {
            "rpm" => &mut limits.rpm,
            "itpm" => &mut limits.itpm,
            "otpm" => &mut limits.otpm,
            _ => return Err(format!("there is no limit {name:?}; give rpm, itpm or otpm")),
        };
        *own = Some(parsers::rate(value)?);
    }
    Ok(limits)
}

/// Parses `realistic`, `zero` or `TIME,TOKENS_A_SECOND`.
pub(super) fn latency(text: &str) -> Result<Latency, String> {
    const WANTED: &str =
        "give realistic, zero, or the time to the first token and tokens per second, such as 600ms,120";
    match text {
        "realistic" => return Ok(Latency::REALISTIC),
        "zero" => return Ok(Latency::ZERO),
        _ => {}
    }
    let (first, rate) = text.split_once(',').ok_or(WANTED)?;
    let tokens_per_second = number(rate.trim()).filter(|rate| *rate > 0.0).ok_or(WANTED)?;
    let first_token = parsers::duration(first.trim())?;
    Ok(Latency { first_token, jitter: 0.0, tokens_per_second, error: first_token.min(Duration::from_millis(60)) })
}

/// Parses `TIME`, `TIME..TIME` or `stuck`.
pub(super) fn batch_time(text: &str) -> Result<BatchTime, String> {
    const WANTED: &str = "give a time such as 5s, a range such as 1m..10m, or stuck";
    if text == "stuck" {
        return Ok(BatchTime::Stuck);
    }
    let time = |text: &str| parsers::duration(text.trim()).map_err(|_| WANTED.to_owned());
    let Some((least, most)) = text.split_once("..") else { return time(text).map(BatchTime::Fixed) };
    let (least, most) = (time(least)?, time(most)?);
    if least > most { Err(WANTED.to_owned()) } else { Ok(BatchTime::Between(least, most)) }
}

/// Parses the lengths of answers: a number of tokens, or `NAME=NUMBER` pairs separated by commas.
pub(super) fn lengths(text: &str) -> Result<OutputLengths, String> {
    if !text.contains('=') {
        return parsers::positive_u32(text).map(OutputLengths::fixed);
    }
    let mut lengths = OutputLengths::default();
    for (name, value) in pairs(text)? {
        let own = match name {
            "mean" => &mut lengths.mean,
            "prompt" => &mut lengths.per_prompt_token,
            "max" => &mut lengths.per_max_token,
            "sigma" => &mut lengths.sigma,
            _ => return Err(format!("there is no {name:?}; give mean, prompt, max or sigma")),
        };
        let most = if name == "sigma" { 5.0 } else { 1e6 };
        *own = number(value)
            .filter(|number| *number <= most)
            .ok_or_else(|| format!("{name} must be a number from 0 to {most}"))?;
    }
    Ok(lengths)
}

/// Parses `ENDING=SHARE` pairs: for each ending, the share of the answers that end in this way.
pub(super) fn endings(text: &str) -> Result<Endings, String> {
    let mut endings = Endings::default();
    for (name, value) in pairs(text)? {
        let own = match name {
            "refusal" => &mut endings.refusal,
            "stop_sequence" => &mut endings.stop_sequence,
            "tool_use" => &mut endings.tool_use,
            _ => return Err(format!("there is no ending {name:?}; give refusal, stop_sequence or tool_use")),
        };
        let share = number(value).filter(|share| *share <= 1.0);
        *own = share.ok_or_else(|| format!("{name} must be a share from 0 to 1"))?;
    }
    Ok(endings)
}

/// Parses a factor from 0.01 to 100.
pub(super) fn factor(text: &str) -> Result<f64, String> {
    number(text)
        .filter(|factor| (0.01..=100.0).contains(factor))
        .ok_or_else(|| "give a number from 0.01 to 100".to_owned())
}

/// Parses a number that is finite and not negative.
fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)
}

/// Splits `NAME=VALUE` pairs at commas or blanks.
fn pairs(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let parts = text.split([',', ' ']).map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('=').ok_or_else(|| format!("{part:?} needs a name: write NAME=VALUE"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::SimLimitArgs;

    #[test]
    fn only_addresses_of_this_machine_are_accepted() {
        assert!(["127.0.0.1", "localhost", "::1", "[::1]", "127.9.9.9"].iter().all(|good| loopback(good).is_ok()));
        for wrong in ["0.0.0.0", "192.168.1.5", "::", "example.invalid", ""] {
            assert!(loopback(wrong).is_err_and(|message| message.contains("only on this machine")), "{wrong}");
        }
    }

    #[test]
    fn a_burst_applies_to_all_dimensions_or_to_the_named_ones() {
        let second = Burst::Time(Duration::from_secs(1));

        assert_eq!(bursts("minute"), Ok(Bursts::all(Burst::Minute)));
        assert_eq!(bursts("1s"), Ok(Bursts::all(second)));
        let mixed = Bursts { requests: second, input_tokens: Burst::Amount(500), output_tokens: Burst::Minute };
        assert_eq!(bursts("requests=1s, input=500"), Ok(mixed));
        for wrong in ["", "soon", "0s", "0", "requests", "money=1s", "input="] {
            assert!(bursts(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits_of_a_class_override_limits_of_all_which_override_the_tier() {
        let typed = SimLimitArgs {
            rpm: Some(7),
            class_limits: vec![class_limits("haiku-4.5=5,-,8k").expect("it is well formed")],
            ..SimLimitArgs::default()
        };
        let tier = RateLimits::new(50, 30_000, 10_000);

        let [own, other] = ["haiku-4.5", "opus-5"].map(|class| typed.over(tier, &ModelClass(class.into())));

        assert_eq!(own, RateLimits::new(5, 30_000, 8_000));
        assert_eq!(other, RateLimits::new(7, 30_000, 10_000));
        for wrong in ["haiku-4.5", "haiku-4.5=1,2", "haiku-4.5=1,2,0"] {
            assert!(class_limits(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn another_client_has_a_share_a_time_span_and_a_manner() {
        let steady = Other { permille: 300, from: Instant::ZERO, until: Instant::NEVER, manner: OtherManner::Steady };

        assert_eq!(other_client("30%"), Ok(steady.clone()));
        let between = Other { from: Instant::from_secs(60), until: Instant::from_secs(120), ..steady.clone() };
        assert_eq!(other_client("30% from 1m until 2m"), Ok(between));
        let manner = OtherManner::Bursts(Duration::from_secs(10));
        assert_eq!(other_client("2.5% every 10s"), Ok(Other { permille: 25, manner, ..steady }));
        for wrong in ["", "30", "0%", "101%", "30% from", "30% at 5s", "30% from 2m until 1m"] {
            assert!(other_client(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits_change_by_a_factor_or_to_numbers() {
        let half = Change { at: Instant::from_secs(60), class: None, to: ChangeTo::Factor(0.5) };

        assert_eq!(change("at 60s: 0.5"), Ok(half));
        let limits = RateLimits { rpm: Some(50), itpm: None, otpm: Some(8_000) };
        let class = Some(ModelClass("haiku-4.5".into()));
        let named = Change { at: Instant::from_secs(120), class, to: ChangeTo::Limits(limits) };
        assert_eq!(change("at 2m haiku-4.5: rpm=50 otpm=8k"), Ok(named));
        for wrong in ["", "at 60s", "60: 0.5", "at 60s: half", "at 60s: tpm=5", "at 60s a b: 1", "at 60s: 0"] {
            assert!(change(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_time_of_batches_is_a_time_a_range_or_stuck() {
        let [five, ten] = [5, 10].map(Duration::from_secs);

        assert_eq!(batch_time("5s"), Ok(BatchTime::Fixed(five)));
        assert_eq!(batch_time("5s..10s"), Ok(BatchTime::Between(five, ten)));
        assert_eq!(batch_time("stuck"), Ok(BatchTime::Stuck));
        assert!(["", "soon", "5", "10s..5s", "5s..", "..5s"].iter().all(|wrong| batch_time(wrong).is_err()));
    }

    #[test]
    fn latency_and_length_of_answers_are_parsed() {
        let own = latency("600ms,120").expect("it is well formed");
        let spread = lengths("mean=200,sigma=0.1").expect("it is well formed");

        assert_eq!((own.first_token, own.tokens_per_second), (Duration::from_millis(600), 120.0));
        assert_eq!((latency("zero"), latency("realistic")), (Ok(Latency::ZERO), Ok(Latency::REALISTIC)));
        assert_eq!(lengths("64"), Ok(OutputLengths::fixed(64)));
        assert_eq!((spread.mean, spread.sigma, spread.per_max_token), (200.0, 0.1, 0.05));
        assert!(["", "fast", "600ms", "600,120", "600ms,0", "600ms,nan"].iter().all(|wrong| latency(wrong).is_err()));
        assert!(["", "0", "mean", "mean=-1", "mean=inf", "median=5"].iter().all(|wrong| lengths(wrong).is_err()));
        assert!(["refusal=2", "end_turn=1", "refusal"].iter().all(|wrong| endings(wrong).is_err()));
    }
}
