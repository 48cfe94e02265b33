//! The table of all models, with one line for each model.

use jiff::civil::Date;

use super::words::{is_served, names, steps, tokens};
use crate::catalog::{Catalog, Model, OfPriceFile, PriceStep};
use crate::domain::Money;
use crate::report::text::{escape, plural, width, wrap};

/// The sentence about a price file names at most this number of models.
const NAMED: usize = 5;

/// Which models the table contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// The table contains only the models that the API serves today.
    Served,
    /// All models, with the retired models at the end.
    All,
}

/// A column of the table: its name, its alignment, and the number of blanks before it. One blank is enough between two
/// columns of numbers.
type Column = (&'static str, Align, usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

use Align::{Left, Right};

const SERVED: [Column; 8] = [
    ("model", Left, 0),
    ("window", Right, 2),
    ("output", Right, 1),
    ("class", Left, 2),
    ("in", Right, 2),
    ("out", Right, 1),
    ("read", Right, 1),
    ("retires", Left, 2),
];

/// The columns of the table on a narrow terminal.
const NARROW: [Column; 7] = [
    ("model", Left, 0),
    ("window", Right, 2),
    ("class", Left, 2),
    ("in", Right, 2),
    ("out", Right, 1),
    ("read", Right, 1),
    ("retires", Left, 2),
];

const RETIRED: [Column; 5] =
    [("retired model", Left, 0), ("window", Right, 2), ("output", Right, 1), ("class", Left, 2), ("retired", Left, 2)];

/// Returns the lines of the table. If a line would be wider than `columns` characters, the table has no column
/// `output`, and names have no dates.
pub(super) fn lines(catalog: &Catalog, shown: Shown, today: Date, columns: usize) -> Vec<String> {
    let (served, retired): (Vec<&Model>, Vec<&Model>) =
        catalog.models().iter().partition(|model| is_served(model, today));
    let mut rows: Vec<[String; 8]> = served.iter().map(|model| row(model)).collect();
    rows.extend(catalog.other_prices().into_iter().map(|(name, steps)| row_of_prices(name, steps)));
    let mut lines = aligned(&SERVED, &rows);
    let is_narrow = lines.iter().any(|line| width(line) > columns);
    if is_narrow {
        let short = served.iter().map(|model| Some(short_name(model))).chain(std::iter::repeat(None));
        let rows: Vec<_> = rows.into_iter().zip(short).map(|(row, short)| narrow(row, short)).collect();
        lines = aligned(&NARROW, &rows);
    }
    if shown == Shown::All && !retired.is_empty() {
        lines.push(String::new());
        let name = if is_narrow { short_name } else { names };
        let rows: Vec<_> = retired.iter().map(|model| row_of_retired(model, name(model))).collect();
        lines.extend(aligned(&RETIRED, &rows));
    }
    lines.push(String::new());
    let date = catalog.builtin_price_date();
    let mut below = vec![format!("Prices of {date}, in dollars per million tokens. Models of one class share limits.")];
    below.extend(catalog.price_file().map(note_of_price_file));
    below.extend(notes(catalog, &served));
    if is_narrow {
        below.push("For the maximum output and the whole names, use a wider terminal or models NAME.".to_owned());
    }
    if shown == Shown::Served && !retired.is_empty() {
        let models = plural(retired.len() as u64, "retired model is", "retired models are");
        below.push(format!("{models} not shown; --all shows them."));
    }
    lines.extend(below.iter().flat_map(|sentence| wrap(sentence, columns)));
    lines
}

/// Returns the short name of a model, without an optional date or other aliases.
fn short_name(model: &Model) -> String {
    let names = names(model);
    names.split(['[', ' ']).next().unwrap_or_default().to_owned()
}

/// Returns a row for a narrow terminal, with a short name if there is one.
fn narrow(row: [String; 8], short: Option<String>) -> [String; 7] {
    let [name, window, _, class, input, output, read, retires] = row;
    [short.unwrap_or(name), window, class, input, output, read, retires]
}

/// Returns the sentence that names the models whose prices come from a price file.
fn note_of_price_file(file: &OfPriceFile) -> String {
    let (shown, rest) = file.models.split_at(file.models.len().min(NAMED));
    let mut names: Vec<String> = shown.iter().map(|name| escape(name).into_owned()).collect();
    names.extend((!rest.is_empty()).then(|| plural(rest.len() as u64, "other model", "other models")));
    format!("Prices of your price file {}: {}.", escape(&file.label()), names.join(", "))
}

fn row(model: &Model) -> [String; 8] {
    let prices = &model.prices;
    [
        names(model),
        tokens(model.context_tokens.into()),
        tokens(model.max_output_tokens.into()),
        model.class.to_string(),
        steps(prices, |step| step.input),
        steps(prices, |step| step.output),
        marked(prices, |step| step.cache_read),
        retirement(model),
    ]
}

fn row_of_retired(model: &Model, name: String) -> [String; 5] {
    [
        name,
        tokens(model.context_tokens.into()),
        tokens(model.max_output_tokens.into()),
        model.class.to_string(),
        retirement(model),
    ]
}

fn retirement(model: &Model) -> String {
    model.retires.map_or_else(|| "-".to_owned(), |date| date.to_string())
}

fn row_of_prices(name: &str, prices: &[PriceStep]) -> [String; 8] {
    let unknown = || "-".to_owned();
    [
        escape(name).into_owned(),
        unknown(),
        unknown(),
        unknown(),
        steps(prices, |step| step.input),
        steps(prices, |step| step.output),
        marked(prices, |step| step.cache_read),
        unknown(),
    ]
}

/// Returns the prices of a model for all lengths of prompts, with a question mark if some of them are not confirmed.
fn marked(prices: &[PriceStep], price: impl Fn(&PriceStep) -> Money) -> String {
    let mark = if prices.iter().all(|step| step.is_confirmed) { "" } else { "?" };
    format!("{}{mark}", steps(prices, price))
}

/// Returns sentences that explain the signs `/` and `?` in the table.
fn notes(catalog: &Catalog, served: &[&Model]) -> Vec<String> {
    let own = served.iter().map(|model| (&*model.id, &model.prices[..]));
    let all: Vec<(&str, &[PriceStep])> = own.chain(catalog.other_prices()).collect();
    let mut notes = Vec::new();
    for (name, steps) in all.iter().filter(|(_, steps)| steps.len() > 1) {
        let above = steps.iter().skip(1).map(|step| tokens(step.above_prompt_tokens)).collect::<Vec<_>>().join(", ");
        notes.push(format!("{}: the prices after / are for prompts above {above} tokens.", escape(name)));
    }
    if all.iter().any(|(_, steps)| steps.iter().any(|step| !step.is_confirmed)) {
        notes.push("? some prices of this model are not confirmed by the API's documentation.".to_owned());
    }
    notes
}

/// Returns the lines of a table with aligned columns: the header, then the rows.
fn aligned<const N: usize>(columns: &[Column; N], rows: &[[String; N]]) -> Vec<String> {
    let header = columns.map(|(name, ..)| name.to_owned());
    let all = || std::iter::once(&header).chain(rows);
    let widths: [usize; N] = std::array::from_fn(|at| all().map(|row| width(&row[at])).max().unwrap_or(0));
    let line = |row: &[String; N]| {
        let mut line = String::new();
        for ((cell, (_, align, gap)), widest) in row.iter().zip(columns).zip(widths) {
            let fill = " ".repeat(widest - width(cell));
            line.push_str(&" ".repeat(*gap));
            match align {
                Left => line.extend([cell, &*fill]),
                Right => line.extend([&*fill, cell]),
            }
        }
        line.trim_end().to_owned()
    };
    all().map(line).collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn the_table_has_every_served_model_on_one_line_of_at_most_100_columns() {
        let catalog = Catalog::builtin();

        let all = lines(&catalog, Shown::All, date(2026, 11, 26), 100);

        let wide: Vec<_> = all.iter().filter(|line| width(line) > 100).collect();
        assert!(wide.is_empty(), "{wide:#?}");
        insta::assert_snapshot!(lines(&catalog, Shown::Served, date(2026, 11, 26), 100).join("\n"), @r"
        model                         window output  class              in       out      read  retires
        claude-fable-5-2                  1M   128k  fable-5.x        8.00     40.00     0.20?  -
        claude-mythos-5-2                 1M   128k  mythos-5.x       8.00     40.00     0.20?  -
        claude-fable-5-1                  1M   128k  fable-5.x       10.00     50.00      0.25  -
        claude-mythos-5-1                 1M   128k  mythos-5.x      10.00     50.00      0.25  -
        claude-fable-5                    1M   128k  fable-5.x       10.00     50.00      1.00  -
        claude-mythos-5                   1M   128k  mythos-5.x      10.00     50.00      1.00  -
        claude-opus-5-5                   1M   128k  opus-5.5         4.00     20.00      0.20  -
        claude-opus-5                     1M   128k  opus-5           5.00     25.00      0.50  -
        claude-opus-4-8                   1M   128k  opus-4.x         5.00     25.00      0.50  -
        claude-opus-4-7                   1M   128k  opus-4.x         5.00     25.00      0.50  -
        claude-opus-4-6                   1M   128k  opus-4.x         5.00     25.00      0.50  -
        claude-opus-4-5[-20251101]      200k    64k  opus-4.x         5.00     25.00      0.50  2027-01-22
        claude-sonnet-5-5                 1M   128k  sonnet-5.5       2.00     10.00      0.10  -
        claude-sonnet-5                   1M   128k  sonnet-5         2.00     10.00      0.20  -
        claude-sonnet-4-6                 1M   128k  sonnet-4.x       3.00     15.00      0.30  -
        claude-sonnet-4-5[-20250929]    200k    64k  sonnet-4.x       3.00     15.00      0.30  2026-11-30
        claude-haiku-5-5                  1M   128k  haiku-5.5   0.10/0.50 0.50/2.50 0.01/0.05  -
        claude-haiku-4-5[-20251001]     200k    64k  haiku-4.5        1.00      5.00      0.10  -

        Prices of 2026-11-24, in dollars per million tokens. Models of one class share limits.
        claude-haiku-5-5: the prices after / are for prompts above 100k tokens.
        ? some prices of this model are not confirmed by the API's documentation.
        7 retired models are not shown; --all shows them.
        ");
        for model in catalog.models() {
            assert_eq!(
                all.iter().filter(|line| line.starts_with(&format!("{} ", names(model)))).count(),
                1,
                "{}",
                model.id
            );
        }
    }

    #[test]
    fn a_model_leaves_the_table_on_the_day_of_its_retirement() {
        let shown = |today| lines(&Catalog::builtin(), Shown::Served, today, 100).join("\n");

        assert!(shown(date(2026, 11, 29)).contains("claude-sonnet-4-5"));
        let later = shown(date(2026, 11, 30));
        assert!(!later.contains("claude-sonnet-4-5") && later.contains("8 retired models are not shown"), "{later}");
    }

    #[test]
    fn prices_of_a_file_are_shown_with_its_date() {
        let file = "date = \"2026-12-01\"\n[[price]]\nmodel = \"my-model\"\ninput = 1.5\noutput = 2\n";
        let catalog = Catalog::builtin().with_price_file(file, "my.toml").expect("the file is right");

        let shown = lines(&catalog, Shown::Served, date(2026, 11, 26), 100).join("\n");

        let line = shown.lines().find(|line| line.starts_with("my-model ")).expect("it is in the table");
        assert_eq!(
            line.split_whitespace().collect::<Vec<_>>(),
            ["my-model", "-", "-", "-", "1.50", "2.00", "0.15", "-"]
        );
        assert!(shown.contains("Prices of 2026-11-24, in dollars"), "{shown}");
        assert!(shown.contains("Prices of your price file my.toml of 2026-12-01: my-model."), "{shown}");
    }

    #[test]
    fn the_table_fits_in_80_columns() {
        let all = lines(&Catalog::builtin(), Shown::All, date(2026, 11, 26), 80);

        let wide: Vec<_> = all.iter().filter(|line| width(line) > 80).collect();
        assert!(wide.is_empty(), "{wide:#?}");
        assert!(all.iter().any(|line| line.starts_with("claude-haiku-4-5 ")), "{all:#?}");
    }
}
