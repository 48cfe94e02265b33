//! Shows everything that is known about one model, as text.

use jiff::civil::Date;

use super::words::{is_served, per_million, tokens};
use crate::catalog::{Catalog, Lifecycle, Model, PriceStep, TokenizerFamily};
use crate::domain::{RateLimits, Tier};
use crate::report::text::{ListRow, count, escape, list};

/// Returns the lines about a model, wrapped to `columns` columns.
pub(super) fn lines(catalog: &Catalog, name: &str, today: Date, columns: usize) -> Vec<String> {
    let mut rows = match catalog.model(name) {
        Some(model) => about(catalog, model, today),
        None => vec![
            ListRow::verbatim("model", escape(name)),
            ListRow::text("", "not in the catalog; its prices come from the price file"),
        ],
    };
    let priced: Vec<_> = catalog.other_prices().into_iter().filter(|(own, _)| *own == name).collect();
    priced.iter().for_each(|(_, steps)| rows.extend(prices("prices", steps)));
    let id = catalog.model(name).map_or(name, |model| &*model.id);
    rows.push(ListRow::text("price date", price_date(catalog, id)));
    list(&rows, columns).lines().map(str::to_owned).collect()
}

fn about(catalog: &Catalog, model: &Model, today: Date) -> Vec<ListRow> {
    let mut rows = vec![ListRow::verbatim("model", &*model.id)];
    if !model.aliases.is_empty() {
        rows.push(ListRow::verbatim("aliases", model.aliases.join(", ")));
    }
    let family = match model.family {
        TokenizerFamily::Old => "old (before Opus 4.7)",
        TokenizerFamily::New => {
            "new (since Opus 4.7; about 30 % more tokens for the same code or text in Latin letters)"
        }
    };
    let sampling = match model.rejects_sampling {
        true => "values of temperature, top_p and top_k other than the default are refused",
        false => "temperature, top_p and top_k are accepted",
    };
    rows.extend([
        ListRow::text("name", model.display_name.clone()),
        ListRow::text("line", model.line.name()),
        ListRow::text("class", class_words(catalog, model)),
        ListRow::text("released", model.released.to_string()),
        ListRow::text("lifecycle", lifecycle(model, today)),
        ListRow::text("window", format!("{} tokens", count(model.context_tokens.into()))),
        ListRow::text("max output", format!("{} tokens", count(model.max_output_tokens.into()))),
        ListRow::text("tokenizer", family),
        ListRow::text("sampling", sampling),
        ListRow::text(
            "tools",
            format!(
                "add a hidden prompt of {} tokens (tool_choice any or tool: {})",
                model.tool_prompt.auto, model.tool_prompt.forced
            ),
        ),
    ]);
    rows.extend(limits(catalog, model));
    rows.extend(prices("prices", &model.prices));
    if !model.fast_prices.is_empty() {
        rows.extend(prices("fast mode", &model.fast_prices));
    }
    rows
}

/// Returns the class of a model, and the other models of this class that are not retired.
fn class_words(catalog: &Catalog, model: &Model) -> String {
    let others = catalog.models().iter().filter(|other| other.class == model.class && other.id != model.id);
    let others: Vec<&str> = others.filter(|other| !other.is_retired()).map(|other| &*other.id).collect();
    match others.is_empty() {
        true => model.class.to_string(),
        false => format!("{} (shares its limits with {})", model.class, others.join(", ")),
    }
}

fn lifecycle(model: &Model, today: Date) -> String {
    match (model.retires, is_served(model, today)) {
        (Some(date), true) => format!("{}; retires on {date}", Lifecycle::Deprecated.name()),
        (Some(date), false) => format!("{} since {date}: the API answers 404", Lifecycle::Retired.name()),
        (None, _) => model.lifecycle.name().to_owned(),
    }
}

/// Returns the limits of a model at each tier. Tiers without limits for the model's class are left out.
fn limits(catalog: &Catalog, model: &Model) -> Vec<ListRow> {
    let tables = Tier::ALL.into_iter().filter(|tier| !matches!(tier, Tier::Auto | Tier::None));
    let rows = tables.filter_map(|tier| Some((tier, catalog.tier_table(tier)?.row(&model.class)?)));
    let words = |(at, (tier, limits)): (usize, (Tier, RateLimits))| {
        let [rpm, itpm, otpm] = [limits.rpm, limits.itpm, limits.otpm].map(|limit| count(limit.unwrap_or(0).into()));
        ListRow::text(
            if at == 0 { "limits" } else { "" },
            format!("tier {}: {rpm} requests, {itpm} input, {otpm} output tokens per minute", tier.name()),
        )
    };
    rows.enumerate().map(words).collect()
}

fn prices(label: &'static str, steps: &[PriceStep]) -> Vec<ListRow> {
    if steps.is_empty() {
        return vec![ListRow::text(label, "unknown")];
    }
    let words = |(at, step): (usize, &PriceStep)| {
        let when = match step.above_prompt_tokens {
            0 => String::new(),
            above => format!("for prompts above {} tokens (the whole request): ", tokens(above)),
        };
        let [input, output, short, hour, read] =
            [step.input, step.output, step.cache_write_5m, step.cache_write_1h, step.cache_read].map(per_million);
        let doubt = if step.is_confirmed { "" } else { "; some of these are not confirmed by the API's documentation" };
        ListRow::text(
            if at == 0 { label } else { "" },
            format!(
                "{when}${input} in, ${output} out, ${read} cache read, ${short} cache write for 5 minutes, ${hour} for 1 hour, \
                 per million tokens{doubt}"
            ),
        )
    };
    steps.iter().enumerate().map(words).collect()
}

fn price_date(catalog: &Catalog, id: &str) -> String {
    match catalog.price_file_of(id) {
        Some(file) => {
            let date = file.date.as_deref().unwrap_or("unknown");
            format!("{date} (your price file {})", escape(&file.name))
        }
        None => format!("{} ({})", catalog.builtin_price_date(), catalog.source()),
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::super::COLUMNS;
    use super::*;

    #[test]
    fn everything_about_a_model_is_shown() {
        let shown = |name| lines(&Catalog::builtin(), name, date(2026, 11, 26), COLUMNS).join("\n");

        insta::assert_snapshot!(shown("claude-haiku-5-5"), @r"
        model       claude-haiku-5-5
        name        Claude Haiku 5.5
        line        haiku
        class       haiku-5.5
        released    2026-10-07
        lifecycle   active
        window      1,000,000 tokens
        max output  128,000 tokens
        tokenizer   new (since Opus 4.7; about 30 % more tokens for the same code or text in Latin letters)
        sampling    temperature, top_p and top_k are accepted
        tools       add a hidden prompt of 286 tokens (tool_choice any or tool: 406)
        limits      tier start: 1,000 requests, 2,000,000 input, 400,000 output tokens per minute
                    tier build: 5,000 requests, 5,000,000 input, 1,000,000 output tokens per minute
                    tier scale: 10,000 requests, 10,000,000 input, 2,000,000 output tokens per minute
        prices      $0.10 in, $0.50 out, $0.01 cache read, $0.125 cache write for 5 minutes, $0.20 for 1
                    hour, per million tokens
                    for prompts above 100k tokens (the whole request): $0.50 in, $2.50 out, $0.05 cache
                    read, $0.625 cache write for 5 minutes, $1.00 for 1 hour, per million tokens
        price date  2026-11-24 (Claude Platform Docs: Models overview, Pricing, Model deprecations (August
                    and October 2026), release notes to November 2026)
        ");
        let deprecated = shown("claude-sonnet-4-5");
        assert!(deprecated.contains("deprecated; retires on 2026-11-30"), "{deprecated}");
        let retired = shown("claude-opus-4-1");
        assert!(retired.contains("retired since 2026-08-05") && retired.contains("unknown"), "{retired}");
        let unconfirmed = shown("claude-fable-5-2");
        assert!(unconfirmed.contains("not confirmed"), "{unconfirmed}");
        let fast = shown("claude-opus-5");
        assert!(fast.contains("fast mode") && fast.contains("$50.00 out"), "{fast}");
    }

    #[test]
    fn only_the_prices_of_the_price_file_have_its_date() {
        let file = "date = \"2026-12-01\"\n[[price]]\nmodel = \"claude-haiku-4-5\"\ninput = 1.5\noutput = 2\n";
        let catalog = Catalog::builtin().with_price_file(file, "my.toml").expect("the file is right");
        let shown = |name| lines(&catalog, name, date(2026, 11, 26), COLUMNS).join("\n");

        assert!(shown("claude-haiku-4-5").contains("price date  2026-12-01 (your price file my.toml)"));
        assert!(shown("claude-opus-5").contains("price date  2026-11-24 (Claude Platform Docs"));
    }
}
