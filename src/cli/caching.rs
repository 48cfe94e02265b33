//! Shows the plan for the prompt cache as text: which requests get cache marks (`cache_control`), and how much these
//! marks should save.

use crate::catalog::{Catalog, Model};
use crate::domain::{Caching, Money, PromptCache};
use crate::forecast::Forecast;
use crate::plan::{CachePlan, Load, Unmarked, UnmarkedReason};
use crate::report::text::{count, escape, plural};
use crate::runner::input::Survey;

/// Returns notes about the prompt cache, to print before the run. If no request gets a cache mark, a note is returned
/// only when the user chose a lifetime.
pub(super) fn notes(survey: &Survey, setting: PromptCache, real_input: f64, catalog: &Catalog) -> Vec<String> {
    let (caching, load) = (&survey.caching, &survey.load);
    let is_asked = matches!(setting, PromptCache::FiveMinutes | PromptCache::Hour);
    if is_asked && caching.prefixes == 0 && survey.to_send > 0 {
        let why = unmarked_words(caching, load, catalog).join("; ");
        let why = if why.is_empty() { "no two rows share a prefix that is long enough".to_owned() } else { why };
        let own = own_words(caching).map(|words| format!("; {words}")).unwrap_or_default();
        return vec![format!("note: --prompt-cache {} adds no cache mark: {why}{own}", setting.name())];
    }
    let marks = marks_words(caching, survey.to_send).map(|marks| {
        let saving = prompts_cost(load, survey.in_batches, real_input).map(|(with, without)| {
            format!(". The prompts of these requests should cost about {with} instead of {without}")
        });
        format!("{marks}; the marks do not change what the model reads{}", saving.unwrap_or_default())
    });
    let words = [marks, uncertain_words(caching, load, catalog), order_words(caching), own_words(caching)];
    words.into_iter().flatten().map(|words| format!("note: {words}")).collect()
}

/// Returns the note about the prompt cache for rows from a pipe. Before the run, it is not known which rows of a pipe
/// share a prefix. `in_batches` says whether rows are sent in batches.
pub(super) fn note_of_pipe(setting: PromptCache, in_batches: bool) -> Option<String> {
    let request = if in_batches { "request that is sent online" } else { "request" };
    (setting != PromptCache::Off).then(|| {
        format!(
            "note: a {request} gets a cache mark if rows near its row in the pipe share a long prefix; the mark does not \
             change what the model reads"
        )
    })
}

/// Returns which requests get cache marks, for example `9,980 of 10,000 requests get cache marks, at 5 prefixes that
/// rows share (kept for 5 min)`; `None` if no requests get cache marks.
pub(super) fn marks_words(caching: &CachePlan, to_send: u64) -> Option<String> {
    let rows = caching.rows.saturating_sub(caching.own_rows);
    if caching.prefixes == 0 || rows == 0 {
        return None;
    }
    let requests = match rows == to_send {
        true => format!("all {} requests", count(rows)),
        false => format!("{} of {} requests", count(rows), count(to_send)),
    };
    Some(format!(
        "{requests} get cache marks, at {} that rows share (kept for {})",
        plural(caching.prefixes, "prefix", "prefixes"),
        lifetime_words(caching)
    ))
}

/// If some marked prefixes may be too short to be cached, returns a text that says so. Returns `None` if all marked
/// prefixes are long enough.
pub(super) fn uncertain_words(caching: &CachePlan, load: &Load, catalog: &Catalog) -> Option<String> {
    let example = caching.most_uncertain?;
    let (which, it) = match (caching.uncertain, caching.prefixes) {
        (1, 1) => ("the prefix".to_owned(), "it has"),
        (1, all) => (format!("1 of the {} prefixes", count(all)), "it has"),
        (some, all) if some == all => (format!("the {} prefixes", count(all)), "the prefix that most rows share has"),
        (some, all) => {
            (format!("{} of the {} prefixes", count(some), count(all)), "the prefix that most rows share has")
        }
    };
    let minimum = minimum_words(&example, load, catalog);
    Some(format!(
        "{which} might be too short ({it} about {} tokens; {minimum}): the first answers will show this",
        count(example.tokens.into())
    ))
}

/// Says how many tokens a prefix must have before a model caches the prefix, for example `claude-haiku-4-5 caches from
/// 4,096, claude-haiku-5-5 from 512`.
fn minimum_words(left: &Unmarked, load: &Load, catalog: &Catalog) -> String {
    let name = model_of(left, load).unwrap_or("the model");
    if catalog.model(name).is_none() {
        return format!("the shortest length that {} caches is not known", escape(name));
    }
    let other = other_model(left, catalog);
    let other = other.map(|other| format!(", {} from {}", name_of(other), count(other.cache_min_tokens.into())));
    format!("{} caches from {}{}", escape(name), count(left.least.into()), other.unwrap_or_default())
}

/// Returns how long the API is asked to keep prefixes in the prompt cache.
fn lifetime_words(caching: &CachePlan) -> &'static str {
    let wrote = |tokens: fn(&crate::plan::GroupCaching) -> f64| caching.groups.iter().any(|group| tokens(group) > 0.0);
    let is_hour = caching.groups.iter().any(|group| group.lifetime == Caching::Hour);
    match (wrote(|group| group.write_5m) || !is_hour, is_hour) {
        (true, true) => "5 min or 1 h",
        (false, true) => "1 h",
        (_, false) => "5 min",
    }
}

/// Returns a text that says that rows with the same prefix are sent one after the other; `None` if rows are sent in the
/// order of the input.
pub(super) fn order_words(caching: &CachePlan) -> Option<String> {
    caching.is_ordered.then(|| {
        "rows with the same prefix are sent one after the other, so that the prefix is used while it is cached"
            .to_owned()
    })
}

/// Returns a text about rows that contain cache marks of their own; `None` if there are no such rows.
pub(super) fn own_words(caching: &CachePlan) -> Option<String> {
    let rows = caching.own_rows;
    let words = if rows == 1 {
        "request has cache marks of its own and gets"
    } else {
        "requests have cache marks of their own and get"
    };
    (rows > 0).then(|| format!("{} {words} no others", count(rows)))
}

/// Returns a ratio: the likely number of input tokens, divided by the number that is estimated from the text.
pub(super) fn real_input(load: &Load, forecast: &Forecast) -> f64 {
    forecast.totals.input_tokens.likely as f64 / load.input_tokens().likely.max(1) as f64
}

/// Returns the cost of the prompts in groups with marked prefixes: first with the prompt cache, then without it.
/// Returns `None` if nothing is saved, or if no price is known. `real_input` is the result of the function
/// `real_input`. If `in_batches` is true, only the rows that batches do not accept are counted.
fn prompts_cost(load: &Load, in_batches: bool, real_input: f64) -> Option<(Money, Money)> {
    let (mut with, mut without) = (0.0, 0.0);
    for group in load.groups().iter().filter(|group| !in_batches || group.terms.is_online_only) {
        let Some(planned) = group.caching else { continue };
        let cost = real_input * group.input_cost.likely.dollars();
        without += cost;
        with += cost * planned.price;
    }
    (with < without).then(|| (Money::from_dollars(with), Money::from_dollars(without)))
}

/// Returns why some shared prefixes get no cache mark: one text per reason.
pub(super) fn unmarked_words(caching: &CachePlan, load: &Load, catalog: &Catalog) -> Vec<String> {
    let of = |left: &Unmarked| {
        let share =
            format!("{} that {} share", plural(left.prefixes, "prefix", "prefixes"), plural(left.rows, "row", "rows"));
        let (is, whose, example) = match left.prefixes {
            1 => ("is", "its", "it has".to_owned()),
            _ => ("are", "their", format!("the prefix that most rows share ({}) has", count(left.most_rows.into()))),
        };
        let tokens = format!("{example} about {} tokens", count(left.tokens.into()));
        match left.reason {
            UnmarkedReason::TooShort => {
                format!("{share} {is} too short: {tokens}; {}", minimum_words(left, load, catalog))
            }
            UnmarkedReason::TooFarApart => format!(
                "{share} {is} not worth a mark: {whose} rows are too far apart in the input, so the cache would be written \
                 again and again ({tokens}); sort the rows by prefix"
            ),
            UnmarkedReason::TooFew => format!(
                "{share} {is} not worth a mark: with this lifetime, writing costs more than so few rows save ({tokens})"
            ),
        }
    };
    caching.unmarked.iter().map(of).collect()
}

/// Returns the model of the rows that share an unmarked prefix.
pub(super) fn model_of<'a>(left: &Unmarked, load: &'a Load) -> Option<&'a str> {
    load.groups().get(left.group).map(|group| &*group.model)
}

/// Returns the cheapest model for which the unmarked prefix `left` is long enough to be cached.
fn other_model<'a>(left: &Unmarked, catalog: &'a Catalog) -> Option<&'a Model> {
    let price = |model: &Model| model.prices.first().map(|step| step.input + step.output);
    let fits = |model: &&Model| {
        model.cache_min_tokens <= left.tokens
            && !model.is_retired()
            && model.retires.is_none()
            && price(model).is_some()
    };
    catalog.models().iter().filter(fits).min_by_key(|model| price(model))
}

fn name_of(model: &Model) -> &str {
    model.aliases.first().unwrap_or(&model.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{GroupCaching, load_tests};

    #[test]
    fn the_words_say_which_requests_get_marks() {
        let marks = |prefixes, rows, own_rows, lifetime: Caching, written: [f64; 2]| {
            let mut caching = CachePlan::default();
            (caching.prefixes, caching.rows, caching.own_rows) = (prefixes, rows, own_rows);
            let [write_5m, write_1h] = written;
            caching.groups = vec![GroupCaching { write_5m, write_1h, read: 9.0, lifetime }];
            marks_words(&caching, 10_000).unwrap_or_default()
        };

        assert_eq!(marks(0, 20, 20, Caching::None, [0.0; 2]), "");
        insta::assert_snapshot!(
            [
                marks(5, 9_980, 0, Caching::FiveMinutes, [1.0, 0.0]),
                marks(1, 10_000, 0, Caching::Hour, [0.0, 1.0]),
                marks(2, 1_500, 500, Caching::Hour, [1.0, 1.0]),
                marks(1, 10_000, 0, Caching::FiveMinutes, [0.0, 0.0]),
            ]
            .join("\n"),
            @"
        9,980 of 10,000 requests get cache marks, at 5 prefixes that rows share (kept for 5 min)
        all 10,000 requests get cache marks, at 1 prefix that rows share (kept for 1 h)
        1,000 of 10,000 requests get cache marks, at 2 prefixes that rows share (kept for 5 min or 1 h)
        all 10,000 requests get cache marks, at 1 prefix that rows share (kept for 5 min)
        "
        );
    }

    #[test]
    fn the_reason_for_a_missing_mark_names_the_length_and_the_minimum() {
        let (catalog, load) = (Catalog::builtin(), load_tests::load([load_tests::row("Hi", "")].into_iter(), 0));
        let left = |reason, prefixes, tokens| Unmarked {
            reason,
            prefixes,
            rows: 9_000,
            tokens,
            least: 4_096,
            group: 0,
            most_rows: 6_000,
        };
        let mut caching = CachePlan::default();
        caching.unmarked = vec![
            left(UnmarkedReason::TooShort, 1, 3_100),
            left(UnmarkedReason::TooShort, 3, 500),
            left(UnmarkedReason::TooFarApart, 3, 9_000),
            left(UnmarkedReason::TooFew, 1, 9_000),
        ];
        (caching.uncertain, caching.prefixes) = (2, 5);
        caching.most_uncertain = Some(left(UnmarkedReason::TooShort, 1, 4_500));

        let uncertain = uncertain_words(&caching, &load, &catalog).unwrap_or_default();

        insta::assert_snapshot!(
            [unmarked_words(&caching, &load, &catalog), vec![uncertain]].concat().join("\n"),
            @"
        1 prefix that 9,000 rows share is too short: it has about 3,100 tokens; claude-haiku-4-5 caches from 4,096, claude-haiku-5-5 from 512
        3 prefixes that 9,000 rows share are too short: the prefix that most rows share (6,000) has about 500 tokens; claude-haiku-4-5 caches from 4,096
        3 prefixes that 9,000 rows share are not worth a mark: their rows are too far apart in the input, so the cache would be written again and again (the prefix that most rows share (6,000) has about 9,000 tokens); sort the rows by prefix
        1 prefix that 9,000 rows share is not worth a mark: with this lifetime, writing costs more than so few rows save (it has about 9,000 tokens)
        2 of the 5 prefixes might be too short (the prefix that most rows share has about 4,500 tokens; claude-haiku-4-5 caches from 4,096, claude-haiku-5-5 from 512): the first answers will show this
        "
        );
    }

    #[test]
    fn a_note_says_that_the_chosen_lifetime_is_not_used() {
        let mut survey = Survey::default();
        let catalog = Catalog::builtin();
        let told = |survey: &Survey, setting| notes(survey, setting, 1.0, &catalog);

        assert_eq!(told(&survey, PromptCache::Hour), Vec::<String>::new(), "there are no rows");
        survey.to_send = 3;
        assert_eq!(
            told(&survey, PromptCache::Hour),
            ["note: --prompt-cache 1h adds no cache mark: no two rows share a prefix that is long enough"]
        );
        assert_eq!(told(&survey, PromptCache::Auto), Vec::<String>::new());
        assert_eq!(note_of_pipe(PromptCache::Off, false), None);
        assert!(note_of_pipe(PromptCache::Auto, false).is_some_and(|note| note.contains("in the pipe")));
    }
}
