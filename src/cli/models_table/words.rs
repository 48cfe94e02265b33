//! Shows the prices, token numbers and names of models as text.

use jiff::civil::Date;

use crate::catalog::{Model, PriceStep};
use crate::domain::Money;

/// Returns the price of a million tokens, without the dollar sign: `0.20`, `0.125`, `10.00`.
pub(super) fn per_million(per_token: Money) -> String {
    let dollars = per_token.times(1_000_000).dollars();
    let exact = format!("{dollars:.6}");
    let trimmed = exact.trim_end_matches('0');
    let decimals = trimmed.rsplit_once('.').map_or(0, |(_, decimals)| decimals.len());
    format!("{dollars:.*}", decimals.max(2))
}

/// Returns the prices for short and longer prompts, such as `0.10/0.50`; `-` if there are no prices.
pub(super) fn steps(steps: &[PriceStep], price: impl Fn(&PriceStep) -> Money) -> String {
    match steps {
        [] => "-".to_owned(),
        steps => steps.iter().map(|step| per_million(price(step))).collect::<Vec<_>>().join("/"),
    }
}

/// Returns a number of tokens as text: `1M`, `128k`, `8,192`. `M` and `k` are used only if the number is exact.
pub(super) fn tokens(number: u64) -> String {
    match number {
        0 => "0".to_owned(),
        number if number.is_multiple_of(1_000_000) => format!("{}M", number / 1_000_000),
        number if number.is_multiple_of(1_000) => format!("{}k", number / 1_000),
        number => crate::report::text::count(number),
    }
}

/// Returns the name of a model. A date that can be left out is in brackets: `claude-haiku-4-5[-20251001]`. Further
/// aliases of the model follow in parentheses.
pub(super) fn names(model: &Model) -> String {
    let short = model.aliases.iter().find_map(|alias| Some((alias, model.id.strip_prefix(&**alias)?)));
    let others = model.aliases.iter().filter(|alias| short.is_none_or(|(own, _)| own != *alias));
    let others: Vec<&str> = others.map(|alias| &**alias).collect();
    let first = short.map_or_else(|| model.id.to_string(), |(alias, date)| format!("{alias}[{date}]"));
    if others.is_empty() { first } else { format!("{first} ({})", others.join(", ")) }
}

/// Returns whether the API serves a model on the day `today`.
pub(super) fn is_served(model: &Model, today: Date) -> bool {
    !model.is_retired_on(today)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn prices_have_two_decimals_and_more_if_they_need_more() {
        let shown = [0.2, 0.125, 0.01, 10.0, 1234.5, 0.0].map(|dollars| per_million(Money::per_token(dollars)));

        assert_eq!(shown, ["0.20", "0.125", "0.01", "10.00", "1234.50", "0.00"]);
    }

    #[test]
    fn a_date_that_can_be_left_out_is_in_brackets() {
        let catalog = Catalog::builtin();
        let shown = |name| catalog.model(name).map(names).unwrap_or_default();

        assert_eq!(shown("claude-haiku-4-5"), "claude-haiku-4-5[-20251001]");
        assert_eq!(shown("claude-opus-5"), "claude-opus-5");
        assert_eq!(shown("claude-opus-4-0"), "claude-opus-4-20250514 (claude-opus-4-0)");
    }

    #[test]
    fn round_numbers_of_tokens_are_short() {
        assert_eq!([1_000_000, 128_000, 8_192, 0].map(tokens), ["1M", "128k", "8,192", "0"]);
    }
}
