//! Makes one JSON document about models.

use serde::Serialize;

use crate::catalog::{Catalog, Model, PriceStep, TokenizerFamily};

#[derive(Serialize)]
struct Document<'a> {
    v: u32,
    /// The date of the built-in prices.
    price_date: &'a str,
    price_file: Option<OnePriceFile<'a>>,
    source: &'a str,
    default_model: &'a str,
    models: Vec<OneModel<'a>>,
}

#[derive(Serialize)]
struct OnePriceFile<'a> {
    name: &'a str,
    date: Option<&'a str>,
}

#[derive(Serialize)]
struct OneModel<'a> {
    id: &'a str,
    aliases: Vec<&'a str>,
    name: Option<&'a str>,
    line: Option<&'a str>,
    class: Option<&'a str>,
    released: Option<jiff::civil::Date>,
    lifecycle: Option<&'a str>,
    retires: Option<jiff::civil::Date>,
    context_tokens: Option<u32>,
    max_output_tokens: Option<u32>,
    tokenizer: Option<&'static str>,
    prices: Vec<Prices>,
    fast_prices: Vec<Prices>,
    /// Whether `prices` come from the price file.
    is_of_price_file: bool,
}

/// The prices of a model in dollars per million tokens.
#[derive(Serialize)]
struct Prices {
    above_prompt_tokens: u64,
    input: f64,
    output: f64,
    cache_write_5m: f64,
    cache_write_1h: f64,
    cache_read: f64,
    is_confirmed: bool,
}

/// Returns the document as one line of JSON. The document contains one model or all models. Retired models, and models
/// that only a price file names, are included. Values that are not known are `null`.
pub(super) fn document(catalog: &Catalog, only: Option<&str>) -> String {
    let own = catalog
        .models()
        .iter()
        .filter(|model| only.is_none_or(|name| is_named(model, name)))
        .map(|model| one(catalog, model));
    let others = catalog.other_prices().into_iter().filter(|(name, _)| only.is_none_or(|only| only == *name));
    let document = Document {
        v: 1,
        price_date: catalog.builtin_price_date(),
        price_file: catalog.price_file().map(|file| OnePriceFile { name: &file.name, date: file.date.as_deref() }),
        source: catalog.source(),
        default_model: catalog.default_model(),
        models: own.chain(others.map(|(name, steps)| priced(name, steps))).collect(),
    };
    serde_json::to_string(&document).expect("a table of models can be written as JSON")
}

fn is_named(model: &Model, name: &str) -> bool {
    *model.id == *name || model.aliases.iter().any(|alias| **alias == *name)
}

fn one<'a>(catalog: &Catalog, model: &'a Model) -> OneModel<'a> {
    OneModel {
        id: &model.id,
        aliases: model.aliases.iter().map(|alias| &**alias).collect(),
        name: Some(&model.display_name),
        line: Some(model.line.name()),
        class: Some(&model.class.0),
        released: Some(model.released),
        lifecycle: Some(model.lifecycle.name()),
        retires: model.retires,
        context_tokens: Some(model.context_tokens),
        max_output_tokens: Some(model.max_output_tokens),
        tokenizer: Some(match model.family {
            TokenizerFamily::Old => "old",
            TokenizerFamily::New => "new",
        }),
        prices: model.prices.iter().map(prices).collect(),
        fast_prices: model.fast_prices.iter().map(prices).collect(),
        is_of_price_file: catalog.price_file_of(&model.id).is_some(),
    }
}

fn priced<'a>(name: &'a str, steps: &[PriceStep]) -> OneModel<'a> {
    OneModel {
        id: name,
        aliases: Vec::new(),
        name: None,
        line: None,
        class: None,
        released: None,
        lifecycle: None,
        retires: None,
        context_tokens: None,
        max_output_tokens: None,
        tokenizer: None,
        prices: steps.iter().map(prices).collect(),
        fast_prices: Vec::new(),
        is_of_price_file: true,
    }
}

fn prices(step: &PriceStep) -> Prices {
    let dollars = |price: crate::domain::Money| price.times(1_000_000).dollars();
    Prices {
        above_prompt_tokens: step.above_prompt_tokens,
        input: dollars(step.input),
        output: dollars(step.output),
        cache_write_5m: dollars(step.cache_write_5m),
        cache_write_1h: dollars(step.cache_write_1h),
        cache_read: dollars(step.cache_read),
        is_confirmed: step.is_confirmed,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parsed(catalog: &Catalog, only: Option<&str>) -> Value {
        serde_json::from_str(&document(catalog, only)).expect("it is JSON")
    }

    #[test]
    fn the_document_has_every_model_and_the_steps_of_its_prices() {
        let catalog = Catalog::builtin();

        let all = parsed(&catalog, None);
        let haiku = parsed(&catalog, Some("claude-haiku-5-5"));

        assert_eq!(all["models"].as_array().map(Vec::len), Some(catalog.models().len()));
        assert_eq!((&all["v"], &all["price_date"]), (&json!(1), &json!("2026-11-24")));
        assert_eq!(haiku["models"].as_array().map(Vec::len), Some(1));
        let steps = &haiku["models"][0]["prices"];
        assert_eq!((&steps[0]["input"], &steps[0]["above_prompt_tokens"]), (&json!(0.1), &json!(0)));
        assert_eq!((&steps[1]["cache_read"], &steps[1]["above_prompt_tokens"]), (&json!(0.05), &json!(100_000)));
    }

    #[test]
    fn a_model_of_a_price_file_has_its_prices_and_nothing_else() {
        let file = "[[price]]\nmodel = \"my-model\"\ninput = 1\noutput = 2\n";
        let catalog = Catalog::builtin().with_prices(file).expect("the file is right");

        let model = &parsed(&catalog, Some("my-model"))["models"][0];

        assert_eq!(
            (&model["id"], &model["class"], &model["prices"][0]["output"]),
            (&json!("my-model"), &Value::Null, &json!(2.0))
        );
        assert_eq!(model["is_of_price_file"], true);
        let all = parsed(&catalog, None);
        assert_eq!((&all["price_date"], &all["price_file"]["name"]), (&json!("2026-11-24"), &json!("price file")));
        assert_eq!(all["models"][0]["is_of_price_file"], false);
    }
}
