//! Reads the price file, in which users set prices that override the catalog's prices.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

use super::price::PriceStep;
use crate::domain::Money;

/// The highest price that is accepted, in dollars. A higher price is certainly a mistake.
const MOST_DOLLARS: f64 = 1e6;
/// Messages shorten a wrong text to this number of characters.
const SHOWN_CHARS: usize = 40;

/// The reason why a price file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The file is not TOML, or a member has a wrong name.
    #[error("line {line} of the price file: {message}")]
    Syntax {
        /// The line of the mistake, counted from 1.
        line: usize,
        /// The message of the parser.
        message: String,
    },
    /// An entry has no value for a member that it needs.
    #[error("line {line} of the price file: {entry} has no {member}; write {remedy}")]
    Missing {
        /// The line of the entry, counted from 1.
        line: usize,
        /// The words with which the message names the entry.
        entry: String,
        /// The name of the missing member.
        member: &'static str,
        /// The text that the user should write.
        remedy: &'static str,
    },
    /// A value has a wrong type, is negative, or is so large that it is certainly a mistake.
    #[error("line {line} of the price file: {member}{of} is {found}, but {rule}; write {remedy}")]
    Value {
        /// The line of the wrong value, counted from 1.
        line: usize,
        /// The name of the member with the wrong value.
        member: &'static str,
        /// The entry that contains the value, as the message names it; empty if the value is outside all entries.
        of: String,
        /// The value, as written in the file.
        found: String,
        /// The rule that says which values are allowed.
        rule: &'static str,
        /// The text that the user should write instead of the value.
        remedy: String,
    },
    /// A model has two prices for one prompt length.
    #[error(
        "line {line} of the price file: {model} has a second price above {above} tokens (the first is in line {first}); \
         keep one of them"
    )]
    Repeated {
        /// The line of the second price, counted from 1.
        line: usize,
        /// The line of the first price, counted from 1.
        first: usize,
        /// The model.
        model: String,
        /// The prompt length, in tokens, above which the two prices apply.
        above: u64,
    },
    /// A model has prices only for long prompts, and none for short prompts.
    #[error("line {line} of the price file: {model} has no price for short prompts; add one without `above`")]
    NoBase {
        /// The line of the model's first entry, counted from 1.
        line: usize,
        /// The model.
        model: String,
    },
    /// The file has no prices.
    #[error(
        "the price file has no [[price]] entry; write one with model, input and output in dollars per million tokens"
    )]
    Empty,
}

/// The content of a price file.
pub(super) struct PriceFile {
    pub date: Option<String>,
    pub web_search: Option<Money>,
    /// The price steps of each model, sorted by prompt length.
    pub prices: Vec<(String, Vec<PriceStep>)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    date: Option<Spanned<Found>>,
    web_search_per_thousand: Option<Spanned<Found>>,
    #[serde(default)]
    price: Entries,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPrice {
    model: Option<Spanned<Found>>,
    above: Option<Spanned<Found>>,
    input: Option<Spanned<Found>>,
    output: Option<Spanned<Found>>,
    write_5m: Option<Spanned<Found>>,
    write_1h: Option<Spanned<Found>>,
    read: Option<Spanned<Found>>,
}

/// One price step of a model, and its line in the price file.
struct Entry {
    line: usize,
    model: String,
    step: PriceStep,
}

/// Reads the text of a price file. `id_of` returns the id of the model with a given name, so a model can have entries
/// under several of its names.
///
/// Cache prices that the file leaves out are computed from the input price. A five-minute cache write costs 1.25 times
/// the input price, and a one-hour cache write costs 2 times the input price. Cache reads cost 0.1 times the input
/// price.
pub(super) fn parse_price_file(text: &str, id_of: impl Fn(&str) -> String) -> Result<PriceFile, CatalogError> {
    let source = Source { text };
    text.parse::<toml::Table>().map_err(|error| source.syntax(&error))?;
    let file: RawFile = toml::from_str(text).map_err(|error| source.form(&error, error.message().to_owned()))?;
    let mut models: Vec<(String, Vec<Entry>)> = Vec::new();
    for raw in file.price.0 {
        let entry = source.entry(&raw)?;
        let id = id_of(&entry.model);
        let at = models.iter().position(|(own, _)| *own == id).unwrap_or_else(|| {
            models.push((id, Vec::new()));
            models.len() - 1
        });
        let entries = &mut models[at].1;
        let above = entry.step.above_prompt_tokens;
        if let Some(first) = entries.iter().find(|own| own.step.above_prompt_tokens == above) {
            return Err(CatalogError::Repeated { line: entry.line, first: first.line, model: entry.model, above });
        }
        entries.push(entry);
    }
    if models.is_empty() {
        return Err(CatalogError::Empty);
    }
    let date = file.date.map(|date| source.date(&date)).transpose()?;
    let web_search = file.web_search_per_thousand.map(|price| source.web_search(&price)).transpose()?;
    let prices = models.into_iter().map(|(id, entries)| Ok((id, steps(entries)?)));
    Ok(PriceFile { date, web_search, prices: prices.collect::<Result<_, _>>()? })
}

/// Returns the price steps of a model, sorted by prompt length.
fn steps(entries: Vec<Entry>) -> Result<Vec<PriceStep>, CatalogError> {
    let first = entries.first().map(|entry| (entry.line, entry.model.clone()));
    let mut steps: Vec<PriceStep> = entries.into_iter().map(|entry| entry.step).collect();
    steps.sort_by_key(|step| step.above_prompt_tokens);
    match (first, steps.first()) {
        (Some((line, model)), Some(step)) if step.above_prompt_tokens > 0 => Err(CatalogError::NoBase { line, model }),
        _ => Ok(steps),
    }
}

/// The text of a price file, from which line numbers for messages are computed.
struct Source<'t> {
    text: &'t str,
}

impl Source<'_> {
    /// Returns the error for a text that is not TOML.
    fn syntax(&self, error: &toml::de::Error) -> CatalogError {
        let is_name = |text: &&str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        // If a member occurs twice, the parser's message does not contain the name of the member.
        let name = error.span().and_then(|span| self.text.get(span)).filter(|name| name.len() <= SHOWN_CHARS);
        let message = match name.filter(is_name) {
            Some(name) if error.message() == "duplicate key" => format!("{name} occurs twice in one entry; keep one"),
            _ => format!("{}; the file is TOML: [[price]], and then lines such as input = 3.0", error.message()),
        };
        self.form(error, message)
    }

    fn form(&self, error: &toml::de::Error, message: String) -> CatalogError {
        CatalogError::Syntax { line: error.span().map_or(1, |span| line_of(self.text, span.start)), message }
    }

    fn entry(&self, raw: &Spanned<RawPrice>) -> Result<Entry, CatalogError> {
        let (line, raw) = (line_of(self.text, raw.span().start), raw.get_ref());
        let missing = |entry: String, member, remedy| CatalogError::Missing { line, entry, member, remedy };
        let Some(name) = &raw.model else {
            let remedy = "the name that rows use, such as model = \"claude-haiku-4-5\"";
            return Err(missing("this entry".to_owned(), "model", remedy));
        };
        let model = match name.get_ref() {
            Found::Text(model) if !model.trim().is_empty() => model.clone(),
            _ => {
                let remedy = "model = \"claude-haiku-4-5\"".to_owned();
                return Err(self.fault(name, "model", "", "it is the name that rows use, in quotes", remedy));
            }
        };
        let price = |value: &Spanned<Found>, member| self.price(value, member, &model);
        let or_times = |value: &Option<Spanned<Found>>, member, factor: f64, input: f64| match value {
            Some(value) => price(value, member),
            None => Ok(input * factor),
        };
        let needed = |value: &Option<Spanned<Found>>, member, remedy| match value {
            Some(value) => price(value, member),
            None => Err(missing(format!("the entry of {}", shown(&model)), member, remedy)),
        };
        let input = needed(&raw.input, "input", "what a million input tokens cost in dollars, such as input = 3.0")?;
        let output =
            needed(&raw.output, "output", "what a million output tokens cost in dollars, such as output = 15.0")?;
        let step = PriceStep {
            above_prompt_tokens: raw.above.as_ref().map_or(Ok(0), |above| self.above(above, &model))?,
            input: Money::per_token(input),
            output: Money::per_token(output),
            cache_write_5m: Money::per_token(or_times(&raw.write_5m, "write_5m", 1.25, input)?),
            cache_write_1h: Money::per_token(or_times(&raw.write_1h, "write_1h", 2.0, input)?),
            cache_read: Money::per_token(or_times(&raw.read, "read", 0.1, input)?),
            is_confirmed: true,
        };
        Ok(Entry { line, model, step })
    }

    fn price(&self, value: &Spanned<Found>, member: &'static str, model: &str) -> Result<f64, CatalogError> {
        const RULE: &str = "prices are dollars per million tokens, from 0 to 1000000";
        self.dollars(value, member, model, RULE, 3.0)
    }

    fn web_search(&self, value: &Spanned<Found>) -> Result<Money, CatalogError> {
        const RULE: &str = "it is what a thousand web searches cost in dollars, from 0 to 1000000";
        let dollars = self.dollars(value, "web_search_per_thousand", "", RULE, 10.0)?;
        Ok(Money::from_dollars(dollars / 1000.0))
    }

    fn dollars(
        &self,
        value: &Spanned<Found>,
        member: &'static str,
        model: &str,
        rule: &'static str,
        usual: f64,
    ) -> Result<f64, CatalogError> {
        match value.get_ref() {
            Found::Whole(dollars) if (0..=MOST_DOLLARS as i128).contains(dollars) => Ok(*dollars as f64),
            Found::Float(dollars) if (0.0..=MOST_DOLLARS).contains(dollars) => Ok(*dollars),
            found => {
                // If a number is in quotes, the user still meant a number.
                let meant = match found {
                    Found::Text(text) => text.trim().trim_start_matches('$').parse::<f64>().ok(),
                    _ => None,
                };
                let meant = meant.filter(|dollars| (0.0..=MOST_DOLLARS).contains(dollars)).unwrap_or(usual);
                Err(self.fault(
                    value,
                    member,
                    model,
                    rule,
                    format!("a number in this range, without quotes, such as {member} = {meant:?}"),
                ))
            }
        }
    }

    fn above(&self, value: &Spanned<Found>, model: &str) -> Result<u64, CatalogError> {
        const RULE: &str = "it is a number of tokens: the entry applies to longer prompts";
        let tokens = match value.get_ref() {
            Found::Whole(tokens) => u64::try_from(*tokens).ok(),
            _ => None,
        };
        let remedy = || "a whole number, such as above = 200000, or leave it out".to_owned();
        tokens.ok_or_else(|| self.fault(value, "above", model, RULE, remedy()))
    }

    fn date(&self, value: &Spanned<Found>) -> Result<String, CatalogError> {
        let is_day = |text: &str| text.parse::<jiff::civil::Date>().is_ok_and(|date| date.to_string() == text);
        let rule = match value.get_ref() {
            Found::Text(date) if is_day(date) => return Ok(date.clone()),
            Found::Text(_) => "it is a day in the form YYYY-MM-DD",
            _ => "it is a text in quotes",
        };
        Err(self.fault(value, "date", "", rule, "date = \"2026-12-01\"".to_owned()))
    }

    fn fault(
        &self,
        value: &Spanned<Found>,
        member: &'static str,
        model: &str,
        rule: &'static str,
        remedy: String,
    ) -> CatalogError {
        let of = if model.is_empty() { String::new() } else { format!(" of {}", shown(model)) };
        let (line, found) = (line_of(self.text, value.span().start), value.get_ref().to_string());
        CatalogError::Value { line, member, of, found, rule, remedy }
    }
}

/// The `[[price]]` entries of a price file.
#[derive(Default)]
struct Entries(Vec<Spanned<RawPrice>>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[[price]] entries")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = list.next_element()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }

            fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Entries, A::Error> {
                Err(A::Error::custom("[price] has single brackets; write [[price]] before each entry"))
            }
        }
        deserializer.deserialize_any(List)
    }
}

/// A value in the file: its type, and its text as written.
#[derive(Clone, Debug, PartialEq)]
enum Found {
    Whole(i128),
    Float(f64),
    Text(String),
    Truth(bool),
    List,
    /// The value is a table or a date; the parser does not show which.
    Other,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Text(text) => write!(f, "the text {:?}", shown(text)),
            Self::Truth(truth) => write!(f, "{truth}"),
            Self::List => f.write_str("a list"),
            Self::Other => f.write_str("a table or a date"),
        }
    }
}

impl<'de> Deserialize<'de> for Found {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Found;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Found, E> {
                Ok(Found::Whole(number.into()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Found, E> {
                Ok(Found::Whole(number.into()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Found, E> {
                Ok(Found::Float(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Found, E> {
                Ok(Found::Text(text.to_owned()))
            }

            fn visit_bool<E>(self, truth: bool) -> Result<Found, E> {
                Ok(Found::Truth(truth))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Found::List)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Found::Other)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Returns the first `SHOWN_CHARS` characters of a text, for a message.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "[[price]]\nmodel = \"m\"\ninput = 1\noutput = 2\n";

    fn fault(text: &str) -> String {
        let parsed = parse_price_file(text, str::to_owned).map(|_| ());
        parsed.expect_err("the file is broken").to_string()
    }

    /// Replaces `old` by `new` in `ENTRY`, and returns the message of the error that the change causes.
    fn fault_with(old: &str, new: &str) -> String {
        assert!(ENTRY.contains(old), "{old}");
        fault(&ENTRY.replacen(old, new, 1))
    }

    #[test]
    fn a_member_that_is_missing_is_named_with_its_entry_and_what_to_write() {
        insta::assert_snapshot!(
            [
                fault_with("model = \"m\"\n", ""),
                fault_with("input = 1\n", ""),
                fault_with("output = 2\n", ""),
                fault(&format!("{ENTRY}\n[[price]]\nmodel = \"n\"\ninput = 1\n")),
            ]
            .join("\n"),
            @r#"
            line 1 of the price file: this entry has no model; write the name that rows use, such as model = "claude-haiku-4-5"
            line 1 of the price file: the entry of m has no input; write what a million input tokens cost in dollars, such as input = 3.0
            line 1 of the price file: the entry of m has no output; write what a million output tokens cost in dollars, such as output = 15.0
            line 6 of the price file: the entry of n has no output; write what a million output tokens cost in dollars, such as output = 15.0
            "#
        );
    }

    #[test]
    fn a_wrong_value_is_shown_with_its_line_its_member_and_what_to_write() {
        let values = ["-2", "-0.5", "inf", "nan", "1e9", "\"2.5\"", "\"two\"", "true", "[1]", "{a = 1}", "2026-12-01"];
        let prices = values.map(|value| fault_with("output = 2", &format!("output = {value}")));
        for (price, value) in prices.iter().zip(values) {
            assert!(price.starts_with("line 4 of the price file: output of m is "), "{value}: {price}");
            assert!(
                price.contains("dollars per million tokens") && price.contains("write a number"),
                "{value}: {price}"
            );
        }
        insta::assert_snapshot!(
            [&prices[0], &prices[2], &prices[5]].map(String::as_str).join("\n"),
            @r#"
            line 4 of the price file: output of m is -2, but prices are dollars per million tokens, from 0 to 1000000; write a number in this range, without quotes, such as output = 3.0
            line 4 of the price file: output of m is inf, but prices are dollars per million tokens, from 0 to 1000000; write a number in this range, without quotes, such as output = 3.0
            line 4 of the price file: output of m is the text "2.5", but prices are dollars per million tokens, from 0 to 1000000; write a number in this range, without quotes, such as output = 2.5
            "#
        );
        insta::assert_snapshot!(
            [
                fault_with("\"m\"", "5"),
                fault_with("\"m\"", "\" \""),
                fault_with("input", "above = -1\ninput"),
                fault_with("input", "above = 1.5\ninput"),
                fault_with("input", "above = \"100k\"\ninput"),
                fault(&format!("web_search_per_thousand = -1\n{ENTRY}")),
                fault(&format!("date = 2026-12-01\n{ENTRY}")),
                fault(&format!("date = \"gestern\"\n{ENTRY}")),
            ]
            .join("\n"),
            @r#"
            line 2 of the price file: model is 5, but it is the name that rows use, in quotes; write model = "claude-haiku-4-5"
            line 2 of the price file: model is the text " ", but it is the name that rows use, in quotes; write model = "claude-haiku-4-5"
            line 3 of the price file: above of m is -1, but it is a number of tokens: the entry applies to longer prompts; write a whole number, such as above = 200000, or leave it out
            line 3 of the price file: above of m is 1.5, but it is a number of tokens: the entry applies to longer prompts; write a whole number, such as above = 200000, or leave it out
            line 3 of the price file: above of m is the text "100k", but it is a number of tokens: the entry applies to longer prompts; write a whole number, such as above = 200000, or leave it out
            line 1 of the price file: web_search_per_thousand is -1, but it is what a thousand web searches cost in dollars, from 0 to 1000000; write a number in this range, without quotes, such as web_search_per_thousand = 10.0
            line 1 of the price file: date is a table or a date, but it is a text in quotes; write date = "2026-12-01"
            line 1 of the price file: date is the text "gestern", but it is a day in the form YYYY-MM-DD; write date = "2026-12-01"
            "#
        );
    }

    #[test]
    fn a_file_in_another_form_says_what_is_wrong() {
        insta::assert_snapshot!(
            [
                fault(""),
                fault("# nothing\n"),
                fault("date = \"x\"\n[[price]\n"),
                fault("[price]\nmodel = \"m\"\n"),
                fault("{\"price\": []}"),
                fault_with("output", "outputs"),
                fault(&format!("currency = \"EUR\"\n{ENTRY}")),
                fault("price = 5\n"),
                fault(&format!("{ENTRY}input = 3\n")),
            ]
            .join("\n"),
            @r#"
            the price file has no [[price]] entry; write one with model, input and output in dollars per million tokens
            the price file has no [[price]] entry; write one with model, input and output in dollars per million tokens
            line 2 of the price file: unclosed array table, expected `]`; the file is TOML: [[price]], and then lines such as input = 3.0
            line 1 of the price file: [price] has single brackets; write [[price]] before each entry
            line 1 of the price file: invalid key-value pair, expected key; the file is TOML: [[price]], and then lines such as input = 3.0
            line 4 of the price file: unknown field `outputs`, expected one of `model`, `above`, `input`, `output`, `write_5m`, `write_1h`, `read`
            line 1 of the price file: unknown field `currency`, expected one of `date`, `web_search_per_thousand`, `price`
            line 1 of the price file: invalid type: integer `5`, expected [[price]] entries
            line 5 of the price file: input occurs twice in one entry; keep one
            "#
        );
    }

    #[test]
    fn a_second_price_of_a_model_is_refused_under_all_its_names() {
        let other = ENTRY.replace("\"m\"", "\"another-m\"");
        let id_of = |name: &str| name.trim_start_matches("another-").to_owned();

        let same = fault(&[ENTRY, ENTRY].concat());
        let alias = parse_price_file(&[ENTRY, &other].concat(), id_of).map(|_| ()).expect_err("it is repeated");
        let long = fault(&format!("{ENTRY}above = 5"));

        insta::assert_snapshot!(
            [same, alias.to_string(), long].join("\n"),
            @r"
            line 5 of the price file: m has a second price above 0 tokens (the first is in line 1); keep one of them
            line 5 of the price file: another-m has a second price above 0 tokens (the first is in line 1); keep one of them
            line 1 of the price file: m has no price for short prompts; add one without `above`
            "
        );
    }

    #[test]
    fn the_steps_of_all_names_of_a_model_belong_together() {
        let long = ENTRY.replace("\"m\"", "\"another-m\"\nabove = 7");
        let id_of = |name: &str| name.trim_start_matches("another-").to_owned();

        let file = parse_price_file(&[&long, ENTRY].concat(), id_of).expect("the file is right");

        let [(model, steps)] = &file.prices[..] else { panic!("it is one model") };
        let above: Vec<u64> = steps.iter().map(|step| step.above_prompt_tokens).collect();
        assert_eq!((model.as_str(), &above[..]), ("m", &[0, 7][..]));
    }
}
