//! The catalog: the models, prices and tiers of the API, each with the date of its last check.
//!
//! The catalog contains the facts from the API's documentation that this program needs. These facts are in
//! `models.toml`, `tiers.toml`, `providers.toml`, `fields.rs` and `vendors.rs`, each with its date and source. The
//! catalog reads no file and no clock, and knows nothing about requests. Callers pass the text of a price file. A model
//! can retire after the data were checked, so callers pass today's date to `Model::is_retired_on`.
//!
//! Invariants:
//! - The class, the ids and the prices of every model come from the data files.
//! - No two models share an id or an alias.
//! - The price steps of a model are sorted by prompt length, and the first step begins at 0 tokens.
//! - The cost of an unknown model is unknown (`None`). The catalog never guesses a cost.
//!
//! The limits in the catalog are used only until the first response. After the first response, the limits in the
//! response headers are used.

mod data;
mod fields;
mod model;
mod price;
mod price_file;
mod providers;
mod tier;
mod vendors;

use std::collections::HashMap;
use std::sync::Arc;

pub(crate) use fields::REQUEST_FIELDS;
pub use model::{Lifecycle, Line, Model, TokenizerFamily, ToolPrompt};
pub use price::{PriceStep, Prices};
pub use price_file::CatalogError;
pub(crate) use providers::{KeyHeader, Login, PlaceFacts, Preset, placeholder};
pub use tier::TierLimits;
pub use tier::TierTable;
pub(crate) use vendors::vendor_of;

use crate::domain::{ModelClass, Money, RateLimits, Speed, Terms, Tier, Usage, UsageBound};

/// The catalog: models, prices and tiers.
#[derive(Clone, Debug)]
pub struct Catalog {
    models: Vec<Model>,
    by_name: HashMap<Arc<str>, usize>,
    /// Prices that the user set for models that are not in the catalog.
    other_prices: HashMap<String, Vec<PriceStep>>,
    tiers: Vec<TierTable>,
    web_search: Money,
    default_model: String,
    price_date: String,
    source: String,
    price_file: Option<OfPriceFile>,
}

/// The name and date of a price file, and the models in it.
#[derive(Clone, Debug)]
pub(crate) struct OfPriceFile {
    /// The name of the file; `price file` if the name is not known.
    pub(crate) name: String,
    pub(crate) date: Option<String>,
    /// The ids of the models in the file.
    pub(crate) models: Vec<String>,
}

impl OfPriceFile {
    /// Returns the name and the date of the price file, for example `my.toml of 2026-12-01`.
    pub(crate) fn label(&self) -> String {
        match &self.date {
            Some(date) => format!("{} of {date}", self.name),
            None => self.name.clone(),
        }
    }
}

impl Catalog {
    /// Returns the catalog that is built into the program. The call takes about a millisecond in a build without
    /// optimization.
    pub fn builtin() -> Self {
        let raw: data::RawModels = toml::from_str(data::MODELS).expect("a test checks that the built-in models parse");
        let tiers: data::RawTiers = toml::from_str(data::TIERS).expect("a test checks that the built-in tiers parse");
        let models: Vec<Model> = raw.model.into_iter().map(Model::from).collect();
        Self {
            by_name: index(&models),
            models,
            other_prices: HashMap::new(),
            tiers: tiers
                .tier
                .into_iter()
                .filter_map(|raw| Some(TierTable::new(Tier::parse(&raw.name)?, raw)))
                .collect(),
            web_search: Money::from_dollars(raw.web_search_per_thousand / 1000.0),
            default_model: raw.default_model,
            price_date: raw.checked,
            source: raw.source,
            price_file: None,
        }
    }

    /// Replaces prices with the prices of a price file.
    ///
    /// Shape: TOML.
    /// - `date = "2026-12-01"` and `web_search_per_thousand = 10.0` come first. Both `date` and
    ///   `web_search_per_thousand` are optional. The date has the form `YYYY-MM-DD`.
    /// - Then the file has one `[[price]]` entry for each model and prompt length. The entry has `model`, and the
    ///   prices `input` and `output` in dollars per million tokens.
    /// - An entry can have the cache prices `write_5m`, `write_1h` and `read`. A missing cache price is computed from
    ///   the input price: 1.25 times for `write_5m`, 2 times for `write_1h`, and 0.1 times for `read`.
    /// - An entry can have `above`, a prompt length in tokens. The prices of this entry apply to prompts that are
    ///   longer than `above`.
    ///
    /// The entries of a model replace all standard-speed prices of the model. Entries can also give prices to a model
    /// that the catalog does not know.
    ///
    /// # Errors
    /// Returns a [`CatalogError`] that names the line with the mistake.
    pub fn with_prices(self, toml_text: &str) -> Result<Self, CatalogError> {
        self.with_price_file(toml_text, "price file")
    }

    /// Does the same as [`Catalog::with_prices`], for a price file with a name. `name` is the name of the file in
    /// messages.
    pub(crate) fn with_price_file(mut self, toml_text: &str, name: &str) -> Result<Self, CatalogError> {
        let id_of = |name: &str| self.model(name).map_or(name, |model| &*model.id).to_owned();
        let file = price_file::parse_price_file(toml_text, id_of)?;
        let models = file.prices.iter().map(|(id, _)| id.clone()).collect();
        for (name, steps) in file.prices {
            match self.by_name.get(name.as_str()) {
                Some(&at) => self.models[at].prices = steps,
                None => _ = self.other_prices.insert(name, steps),
            }
        }
        self.web_search = file.web_search.unwrap_or(self.web_search);
        self.price_file = Some(OfPriceFile { name: name.to_owned(), date: file.date, models });
        Ok(self)
    }

    /// Multiplies the prices of all models by `factor`, for a provider that adds a surcharge.
    pub(crate) fn with_price_factor(mut self, factor: f64) -> Self {
        if factor != 1.0 {
            let steps = self.models.iter_mut().flat_map(|model| model.prices.iter_mut().chain(&mut model.fast_prices));
            steps.for_each(|step| step.multiply(factor));
        }
        self
    }

    /// Returns the default model, which is used if neither the row nor a flag names a model.
    pub(crate) fn default_model(&self) -> &str {
        &self.default_model
    }

    /// Returns a model by its id or one of its aliases; `None` when the catalog has no such model.
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.by_name.get(name).map(|&at| &self.models[at])
    }

    /// Returns every model. Retired models come last.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// Returns the prices that the user set for models that are not in the catalog, sorted by the names of the models.
    pub(crate) fn other_prices(&self) -> Vec<(&str, &[PriceStep])> {
        let mut prices: Vec<_> = self.other_prices.iter().map(|(name, steps)| (&**name, &steps[..])).collect();
        prices.sort_by_key(|(name, _)| *name);
        prices
    }

    /// Returns the class of this model: the models that share its limits. A model that is not in the catalog has a
    /// class of its own, named like the model.
    pub(crate) fn class_of(&self, name: &str) -> ModelClass {
        self.model(name).map_or_else(|| ModelClass(name.into()), |model| model.class.clone())
    }

    /// Returns the limits that a class of models has before the first response.
    ///
    /// A tier has no row for a class that is newer than the table, or for a model that is not in the catalog. A class
    /// without a row gets the lowest limits that the tier has for any model that is still served. [`Tier::Auto`] uses
    /// the limits of `start`, the strictest of the current tiers. The real limits are used as soon as the headers of a
    /// response report them. [`Tier::None`] has no limits. Limits at fast speed are not published, so the limits at
    /// standard speed are used.
    pub fn limits(&self, tier: Tier, class: &ModelClass) -> TierLimits {
        let Some(table) = self.tier_table(tier) else {
            return TierLimits { limits: RateLimits::NONE, substituted: false };
        };
        match table.row(class) {
            Some(limits) => TierLimits { limits, substituted: false },
            None => TierLimits { limits: table.strictest(|class| self.is_live(class)), substituted: true },
        }
    }

    /// Returns the table of limits of a tier. [`Tier::Auto`] uses the table of `start`. [`Tier::None`] has no table.
    pub(crate) fn tier_table(&self, tier: Tier) -> Option<&TierTable> {
        let wanted = match tier {
            Tier::Auto => Tier::Start,
            Tier::None => return None,
            Tier::One | Tier::Two | Tier::Three | Tier::Four | Tier::Start | Tier::Build | Tier::Scale => tier,
        };
        self.tiers.iter().find(|table| table.tier == wanted)
    }

    /// Returns the cost of an answer on standard terms: not in a batch, at standard speed, and without a choice of
    /// region. Returns `None` when the model's prices are unknown.
    pub fn cost(&self, model: &str, usage: &Usage) -> Option<Money> {
        self.cost_on(Terms::default(), model, usage)
    }

    /// Returns the cost of an answer. `terms` are the terms of the answered request: the speed, the region, and whether
    /// the request was in a batch. Returns `None` when the prices are unknown.
    pub fn cost_on(&self, terms: Terms, model: &str, usage: &Usage) -> Option<Money> {
        price::cost(self.steps(terms.speed, model)?, terms, usage, self.web_search)
    }

    /// Returns the prices of a model at standard speed or in fast mode; `None` when these prices are unknown.
    pub fn prices(&self, speed: Speed, model: &str) -> Option<Prices> {
        Prices::new(self.steps(speed, model)?, self.web_search)
    }

    /// Returns the highest cost that an answer within `bound` can have, at the highest prices of any model and speed in
    /// the catalog. Callers use this cost for requests that the API may pass to another model.
    pub(crate) fn most_of_any(&self, terms: Terms, bound: &UsageBound) -> Money {
        let of_any = self.models.iter().flat_map(|model| [&model.prices, &model.fast_prices]);
        let most = of_any.filter_map(|steps| Some(Prices::new(steps, self.web_search)?.most(terms, bound)));
        most.max().unwrap_or_default()
    }

    /// Returns the date in the price file, or the file's name if the file has no date. Without a price file, returns
    /// the day on which the built-in prices were checked.
    pub fn price_date(&self) -> &str {
        match &self.price_file {
            Some(file) => file.date.as_ref().unwrap_or(&file.name),
            None => &self.price_date,
        }
    }

    /// Returns the day on which the built-in prices were checked.
    pub(crate) fn builtin_price_date(&self) -> &str {
        &self.price_date
    }

    /// Returns the name, the date and the models of the price file, if there is one.
    pub(crate) fn price_file(&self) -> Option<&OfPriceFile> {
        self.price_file.as_ref()
    }

    /// Returns the price file if this file contains prices for the model with this id.
    pub(crate) fn price_file_of(&self, id: &str) -> Option<&OfPriceFile> {
        self.price_file.as_ref().filter(|file| file.models.iter().any(|own| own == id))
    }

    /// Returns the source of the models and of the built-in prices.
    pub fn source(&self) -> &str {
        &self.source
    }

    fn steps(&self, speed: Speed, name: &str) -> Option<&[PriceStep]> {
        match self.model(name) {
            Some(model) => Some(model.prices_at(speed)),
            None if speed == Speed::Standard => self.other_prices.get(name).map(Vec::as_slice),
            None => None,
        }
    }

    fn is_live(&self, class: &ModelClass) -> bool {
        self.models.iter().any(|model| model.class == *class && !model.is_retired())
    }
}

fn index(models: &[Model]) -> HashMap<Arc<str>, usize> {
    let names = |model: &Model| std::iter::once(&model.id).chain(&model.aliases).cloned().collect::<Vec<_>>();
    models.iter().enumerate().flat_map(|(at, model)| names(model).into_iter().map(move |name| (name, at))).collect()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::domain::{Caching, Lane};

    #[test]
    fn every_name_is_unique_and_every_number_is_plausible() {
        let catalog = Catalog::builtin();

        let names: usize = catalog.models().iter().map(|model| 1 + model.aliases.len()).sum();
        assert_eq!(catalog.by_name.len(), names);
        for model in catalog.models() {
            assert!(model.max_output_tokens < model.context_tokens, "{}", model.id);
            assert_eq!(model.is_retired(), model.prices.is_empty(), "{}: served models have prices", model.id);
            assert!(!model.is_retired() || model.retires.is_some(), "{} has no retirement date", model.id);
            for steps in [&model.prices, &model.fast_prices] {
                assert!(steps.first().is_none_or(|step| step.above_prompt_tokens == 0), "{}", model.id);
                assert!(steps.is_sorted_by(|a, b| a.above_prompt_tokens < b.above_prompt_tokens), "{}", model.id);
            }
        }
    }

    #[test]
    fn cache_writes_cost_1_25_or_2_times_the_input_price() {
        for model in Catalog::builtin().models() {
            for step in model.prices.iter().chain(&model.fast_prices) {
                assert_eq!(step.cache_write_5m.0 * 4, step.input.0 * 5, "{}", model.id);
                assert_eq!(step.cache_write_1h.0, step.input.0 * 2, "{}", model.id);
                assert!(step.cache_read < step.input, "{}", model.id);
            }
        }
    }

    #[test]
    fn prices_are_as_published() {
        let catalog = Catalog::builtin();

        // Each line has a model and five prices in dollars per million tokens. The order of the prices is input,
        // output, five-minute cache writes, one-hour cache writes, cache reads.
        let facts = [
            ("claude-fable-5-2", [8.0, 40.0, 10.0, 16.0, 0.20]),
            ("claude-mythos-5-2", [8.0, 40.0, 10.0, 16.0, 0.20]),
            ("claude-fable-5-1", [10.0, 50.0, 12.5, 20.0, 0.25]),
            ("claude-mythos-5-1", [10.0, 50.0, 12.5, 20.0, 0.25]),
            ("claude-fable-5", [10.0, 50.0, 12.5, 20.0, 1.0]),
            ("claude-mythos-5", [10.0, 50.0, 12.5, 20.0, 1.0]),
            ("claude-opus-5-5", [4.0, 20.0, 5.0, 8.0, 0.20]),
            ("claude-opus-5", [5.0, 25.0, 6.25, 10.0, 0.50]),
            ("claude-opus-4-8", [5.0, 25.0, 6.25, 10.0, 0.50]),
            ("claude-opus-4-7", [5.0, 25.0, 6.25, 10.0, 0.50]),
            ("claude-opus-4-6", [5.0, 25.0, 6.25, 10.0, 0.50]),
            ("claude-opus-4-5", [5.0, 25.0, 6.25, 10.0, 0.50]),
            ("claude-sonnet-5-5", [2.0, 10.0, 2.5, 4.0, 0.10]),
            ("claude-sonnet-5", [2.0, 10.0, 2.5, 4.0, 0.20]),
            ("claude-sonnet-4-6", [3.0, 15.0, 3.75, 6.0, 0.30]),
            ("claude-sonnet-4-5", [3.0, 15.0, 3.75, 6.0, 0.30]),
            ("claude-haiku-5-5", [0.10, 0.50, 0.125, 0.20, 0.01]),
            ("claude-haiku-4-5", [1.0, 5.0, 1.25, 2.0, 0.10]),
        ];
        let prices =
            |step: &PriceStep| [step.input, step.output, step.cache_write_5m, step.cache_write_1h, step.cache_read];
        for (name, published) in facts {
            let model = catalog.model(name).expect("the model is listed");
            let is_confirmed = !name.ends_with("-5-2");
            assert_eq!(prices(&model.prices[0]), published.map(Money::per_token), "{name}");
            assert!(model.prices.iter().all(|step| step.is_confirmed == is_confirmed), "{name}");
            assert_eq!(model.prices.len() > 1, name == "claude-haiku-5-5", "{name}");
        }
        let long = &catalog.model("claude-haiku-5-5").expect("the model is listed").prices[1];
        assert_eq!(prices(long), [0.50, 2.50, 0.625, 1.0, 0.05].map(Money::per_token));
        assert_eq!(long.above_prompt_tokens, 100_000);
        assert_eq!(catalog.models().iter().filter(|model| !model.is_retired()).count(), facts.len());
        assert_eq!((catalog.price_date(), catalog.web_search), ("2026-11-24", Money::from_dollars(0.01)));
    }

    #[test]
    fn fast_prices_are_as_published() {
        let catalog = Catalog::builtin();

        let fast = catalog.models().iter().filter(|model| !model.fast_prices.is_empty());
        for model in fast.clone() {
            let step = &model.fast_prices[0];
            assert_eq!([step.input, step.output], [10.0, 50.0].map(Money::per_token), "{}", model.id);
        }
        assert_eq!(fast.map(|model| &*model.id).collect::<Vec<_>>(), ["claude-opus-5", "claude-opus-4-8"]);
    }

    #[test]
    fn windows_and_dates_of_retirement_are_as_published() {
        let catalog = Catalog::builtin();

        let retirements = [
            ("claude-opus-4-5", date(2027, 1, 22)),
            ("claude-sonnet-4-5", date(2026, 11, 30)),
            ("claude-opus-4-1", date(2026, 8, 5)),
            ("claude-opus-4-20250514", date(2026, 6, 15)),
            ("claude-sonnet-4-20250514", date(2026, 6, 15)),
            ("claude-3-haiku-20240307", date(2026, 4, 20)),
            ("claude-3-7-sonnet-20250219", date(2026, 2, 19)),
            ("claude-3-5-haiku-20241022", date(2026, 2, 19)),
        ];
        let retires = |name| catalog.model(name).expect("the model is listed").retires;
        for (name, on) in retirements {
            assert_eq!(retires(name), Some(on), "{name}");
        }
        let small = ["claude-opus-4-5-20251101", "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"];
        for model in catalog.models().iter().filter(|model| !model.is_retired()) {
            let published = if small.contains(&&*model.id) { (200_000, 64_000) } else { (1_000_000, 128_000) };
            assert_eq!((model.context_tokens, model.max_output_tokens), published, "{}", model.id);
            let is_retiring =
                retirements.iter().any(|(name, _)| catalog.model(name).is_some_and(|own| own.id == model.id));
            assert_eq!(model.retires.is_some(), is_retiring, "{}", model.id);
        }
    }

    #[test]
    fn a_model_is_found_by_alias_and_by_dated_id() {
        let catalog = Catalog::builtin();

        let by_alias = catalog.model(catalog.default_model()).expect("the default is listed");
        let by_id = catalog.model("claude-haiku-4-5-20251001").expect("the dated id is listed");

        assert_eq!(by_alias.id, by_id.id);
        assert_eq!((by_id.context_tokens, by_id.max_output_tokens), (200_000, 64_000));
        assert_eq!((by_id.line, by_id.family), (Line::Haiku, TokenizerFamily::Old));
        assert!(catalog.model("claude-haiku-4-5-20990101").is_none());
    }

    #[test]
    fn the_new_tokenizer_begins_with_opus_4_7() {
        let catalog = Catalog::builtin();

        let family = |name| catalog.model(name).map(|model| model.family);
        for old in ["claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5"] {
            assert_eq!(family(old), Some(TokenizerFamily::Old), "{old}");
        }
        for new in ["claude-opus-4-7", "claude-sonnet-5", "claude-haiku-5-5", "claude-fable-5"] {
            assert_eq!(family(new), Some(TokenizerFamily::New), "{new}");
        }
    }

    #[test]
    fn a_model_with_a_future_retirement_is_retired_from_that_day_on() {
        let catalog = Catalog::builtin();
        let sonnet = catalog.model("claude-sonnet-4-5").expect("the model is listed");

        assert_eq!(sonnet.lifecycle, Lifecycle::Deprecated);
        assert!(!sonnet.is_retired_on(date(2026, 11, 29)));
        assert!(sonnet.is_retired_on(date(2026, 11, 30)));
        assert!(catalog.model("claude-opus-4-1").is_some_and(Model::is_retired));
    }

    #[test]
    fn models_of_a_generation_share_a_class_and_an_unknown_model_has_a_class_of_its_own() {
        let catalog = Catalog::builtin();

        assert_eq!(catalog.class_of("claude-opus-4-8"), catalog.class_of("claude-opus-4-5-20251101"));
        assert_ne!(catalog.class_of("claude-opus-4-8"), catalog.class_of("claude-opus-5"));
        assert_ne!(catalog.class_of("claude-fable-5"), catalog.class_of("claude-mythos-5"));
        assert_eq!(catalog.class_of("my-proxy-model"), ModelClass("my-proxy-model".into()));
    }

    #[test]
    fn every_tier_has_the_published_limits_of_every_class_that_is_served() {
        let catalog = Catalog::builtin();
        let opus = [(50, 30, 8), (1000, 450, 90), (2000, 800, 160), (4000, 2000, 400)];
        let haiku = [(50, 50, 10), (1000, 450, 90), (2000, 1000, 200), (4000, 4000, 800)];
        let fable = [(1000, 500, 100), (2000, 1500, 300), (4000, 4000, 800)];
        let common = [(1000, 2000, 400), (5000, 5000, 1000), (10_000, 10_000, 2000)];

        let old = [Tier::One, Tier::Two, Tier::Three, Tier::Four];
        let current = [Tier::Start, Tier::Build, Tier::Scale];
        for (tiers, class, rows) in [
            (&old[..], "opus-4.x", &opus[..]),
            (&old, "sonnet-4.x", &opus),
            (&old, "haiku-4.5", &haiku),
            (&current, "fable-5.x", &fable),
            (&current, "mythos-5.x", &fable),
            (&current, "opus-5.5", &common),
            (&current, "opus-5", &common),
            (&current, "opus-4.x", &common),
            (&current, "sonnet-5.5", &common),
            (&current, "sonnet-5", &common),
            (&current, "sonnet-4.x", &common),
            (&current, "haiku-5.5", &common),
            (&current, "haiku-4.5", &common),
        ] {
            for (&tier, &(rpm, itpm, otpm)) in tiers.iter().zip(rows) {
                let found = catalog.limits(tier, &ModelClass(class.into()));
                let limits = RateLimits::new(rpm, itpm * 1000, otpm * 1000);
                assert_eq!(found, TierLimits { limits, substituted: false }, "{class} at tier {}", tier.name());
            }
        }
    }

    #[test]
    fn the_limits_of_retired_classes_stay_in_the_tables() {
        let catalog = Catalog::builtin();

        // Limits per minute at the tiers 1, 2, 3, 4, start, build and scale: requests, thousands of input tokens, and
        // thousands of output tokens.
        let haiku = [(50, 50, 10), (1_000, 100, 20), (2_000, 200, 40), (4_000, 400, 80)];
        let sonnet = [(50, 20, 8), (1_000, 40, 16), (2_000, 80, 32), (4_000, 200, 80)];
        let current = [(1_000, 100, 20), (2_000, 200, 40), (4_000, 400, 80)];
        let tiers = [Tier::One, Tier::Two, Tier::Three, Tier::Four, Tier::Start, Tier::Build, Tier::Scale];
        for (class, rows) in
            [("haiku-3", &haiku[..]), ("sonnet-3.7", &sonnet), ("haiku-3.5", &[&haiku[..], &current].concat())]
        {
            for (tier, &(rpm, itpm, otpm)) in tiers.into_iter().zip(rows) {
                let found = catalog.limits(tier, &ModelClass(class.into()));
                let limits = RateLimits::new(rpm, itpm * 1000, otpm * 1000);
                assert_eq!(found, TierLimits { limits, substituted: false }, "{class} at tier {}", tier.name());
            }
        }
    }

    #[test]
    fn every_class_of_the_catalog_has_limits_at_every_tier() {
        let catalog = Catalog::builtin();

        for tier in Tier::ALL.into_iter().filter(|&tier| tier != Tier::None) {
            for model in catalog.models() {
                let limits = catalog.limits(tier, &model.class).limits;
                assert!(limits.rpm.is_some() && limits.itpm.is_some() && limits.otpm.is_some(), "{}", model.id);
            }
        }
    }

    #[test]
    fn a_class_that_is_not_in_the_table_has_the_lowest_limits_of_the_classes_that_are_served() {
        let catalog = Catalog::builtin();

        let newer = catalog.limits(Tier::One, &catalog.class_of("claude-opus-5"));
        let unknown = catalog.limits(Tier::Start, &catalog.class_of("my-proxy-model"));

        assert_eq!(newer, TierLimits { limits: RateLimits::new(50, 30_000, 8_000), substituted: true });
        assert_eq!(unknown, TierLimits { limits: RateLimits::new(1_000, 500_000, 100_000), substituted: true });
    }

    #[test]
    fn tier_auto_begins_with_the_limits_of_start_and_tier_none_has_no_limits() {
        let catalog = Catalog::builtin();
        let class = catalog.class_of("claude-haiku-4-5");

        assert_eq!(catalog.limits(Tier::Auto, &class), catalog.limits(Tier::Start, &class));
        assert_eq!(catalog.limits(Tier::None, &class).limits, RateLimits::NONE);
        assert!(catalog.tier_table(Tier::None).is_none());
    }

    #[test]
    fn each_table_has_its_date_source_and_further_limits() {
        let catalog = Catalog::builtin();

        let further = |tier| {
            let table = catalog.tier_table(tier).expect("the tier has a table");
            assert!(table.date.starts_with("2026-") && table.source.contains("Rate limits"));
            (table.monthly_cap_usd, table.count_tokens_rpm, table.batch_rpm, table.batch_queue)
        };
        assert_eq!(further(Tier::One), (100, 100, 50, 100_000));
        assert_eq!(further(Tier::Two), (500, 2_000, 1_000, 200_000));
        assert_eq!(further(Tier::Three), (1_000, 4_000, 2_000, 300_000));
        assert_eq!(further(Tier::Four), (200_000, 8_000, 4_000, 500_000));
        assert_eq!(further(Tier::Start), (500, 2_000, 1_000, 200_000));
        assert_eq!(further(Tier::Build), (1_000, 4_000, 2_000, 300_000));
        assert_eq!(further(Tier::Scale), (200_000, 8_000, 4_000, 500_000));
    }

    #[test]
    fn a_prompt_that_is_one_token_longer_than_a_price_step_has_the_higher_prices() {
        let catalog = Catalog::builtin();
        let cost = |input_tokens, cache_read_tokens| {
            let usage = Usage { input_tokens, cache_read_tokens, output_tokens: 1_000_000, ..Usage::default() };
            catalog.cost("claude-haiku-5-5", &usage)
        };

        // The higher price step begins above 100,000 prompt tokens. A prompt of 100,000 tokens has the lower prices:
        // $0.10 per million input tokens, and $0.50 per million output tokens. For a longer prompt, the higher prices
        // apply to the whole request: $0.50 and $2.50 per million.
        assert_eq!(cost(100_000, 0), Some(Money::from_dollars(0.51)));
        assert_eq!(cost(100_001, 0), Some(Money::from_dollars(2.550_000_5)));
        // Cached tokens are part of the prompt length, so the higher prices apply. The prompt has 1 input token at
        // $0.50 per million, and 100,000 cached tokens at $0.05 per million.
        assert_eq!(cost(1, 100_000), Some(Money::from_dollars(2.505_000_5)));
    }

    #[test]
    fn cost_counts_cache_writes_reads_and_web_searches() {
        let usage = Usage {
            input_tokens: 1_000,
            cache_write_5m_tokens: 2_000,
            cache_write_1h_tokens: 3_000,
            cache_read_tokens: 4_000,
            output_tokens: 500,
            web_searches: 2,
            is_unknown: false,
        };

        let cost = Catalog::builtin().cost("claude-haiku-4-5", &usage);

        // The tokens cost 1,000 x 1 + 2,000 x 1.25 + 3,000 x 2 + 4,000 x 0.1 + 500 x 5 = 12,400 millionths of a dollar.
        // The 2 searches cost $0.02.
        assert_eq!(cost, Some(Money::from_dollars(0.0324)));
    }

    #[test]
    fn fast_mode_and_the_choice_of_a_region_cost_more() {
        let catalog = Catalog::builtin();
        let usage = Usage { input_tokens: 1_000_000, output_tokens: 1_000_000, ..Usage::default() };
        let fast = Terms { speed: Speed::Fast, ..Terms::default() };
        let us = Terms { is_us_only: true, ..Terms::default() };

        assert_eq!(catalog.cost_on(fast, "claude-opus-5", &usage), Some(Money::from_dollars(60.0)));
        assert_eq!(catalog.cost_on(us, "claude-opus-5", &usage), Some(Money::from_dollars(33.0)));
        assert_eq!(catalog.cost_on(fast, "claude-opus-5-5", &usage), None, "its fast price is unpublished");
    }

    #[test]
    fn in_a_batch_tokens_cost_half_and_web_searches_cost_the_full_price() {
        let catalog = Catalog::builtin();
        let cost = |terms, usage: Usage| catalog.cost_on(terms, "claude-haiku-4-5", &usage);
        let batch = Terms::default().in_batch();
        let us = Terms { is_us_only: true, ..batch };
        let million = 1_000_000;

        // Prices per million tokens: input $1, output $5, five-minute cache writes $1.25, one-hour cache writes $2,
        // cache reads $0.10.
        let halves = [
            (Usage { input_tokens: million, ..Usage::default() }, 0.5, 0.55),
            (Usage { output_tokens: million, ..Usage::default() }, 2.5, 2.75),
            (Usage { cache_write_5m_tokens: million, ..Usage::default() }, 0.625, 0.6875),
            (Usage { cache_write_1h_tokens: million, ..Usage::default() }, 1.0, 1.1),
            (Usage { cache_read_tokens: million, ..Usage::default() }, 0.05, 0.055),
            (Usage { web_searches: 2, ..Usage::default() }, 0.02, 0.02),
        ];
        for (usage, half, half_in_us) in halves {
            assert_eq!(cost(batch, usage), Some(Money::from_dollars(half)), "{usage:?}");
            assert_eq!(cost(us, usage), Some(Money::from_dollars(half_in_us)), "{usage:?}");
        }
    }

    #[test]
    fn half_of_an_odd_price_is_rounded_up() {
        // One pico-dollar per token is the smallest price above zero.
        let file = "[[price]]\nmodel = \"tiny\"\ninput = 0.000001\noutput = 0.000003\n";
        let catalog = Catalog::builtin().with_prices(file).expect("the file is right");
        let cost = |input_tokens, output_tokens| {
            let usage = Usage { input_tokens, output_tokens, ..Usage::default() };
            catalog.cost_on(Terms::default().in_batch(), "tiny", &usage)
        };

        assert_eq!(cost(1, 0), Some(Money(1)));
        assert_eq!(cost(2, 0), Some(Money(1)));
        assert_eq!(cost(2, 1), Some(Money(3)), "the sum is halved, not each token");
    }

    #[test]
    fn an_unknown_or_retired_model_has_no_cost() {
        let catalog = Catalog::builtin();

        for model in ["my-proxy-model", "claude-3-opus-20240229"] {
            assert_eq!(catalog.cost(model, &Usage::default()), None);
            assert!(catalog.prices(Speed::Standard, model).is_none());
        }
    }

    #[test]
    fn the_highest_cost_is_never_below_any_cost_within_the_bound() {
        let catalog = Catalog::builtin();
        let mut random = fastrand::Rng::with_seed(3);
        let priced = catalog.models().iter().flat_map(|model| [(model, Speed::Standard), (model, Speed::Fast)]);
        for (model, speed) in priced.filter(|(model, speed)| !model.prices_at(*speed).is_empty()) {
            let prices = catalog.prices(speed, &model.id).expect("the model has prices");
            for _ in 0..300 {
                let caching = [Caching::None, Caching::FiveMinutes, Caching::Hour][random.usize(0..3)];
                let input_tokens = [100_000, 100_001, random.u64(0..=900_000)][random.usize(0..3)];
                let bound = UsageBound {
                    input_tokens,
                    caching,
                    output_tokens: random.u64(0..100_000),
                    web_searches: random.u64(0..5),
                };
                let used = random.u64(0..=input_tokens);
                let cached = if caching > Caching::None { random.u64(0..=used) } else { 0 };
                let for_an_hour = if caching == Caching::Hour { random.u64(0..=cached) } else { 0 };
                let read = random.u64(0..=cached - for_an_hour);
                let usage = Usage {
                    input_tokens: used - cached,
                    cache_write_1h_tokens: for_an_hour,
                    cache_read_tokens: read,
                    cache_write_5m_tokens: cached - for_an_hour - read,
                    output_tokens: random.u64(0..=bound.output_tokens),
                    web_searches: random.u64(0..=bound.web_searches),
                    is_unknown: false,
                };
                let lane = [Lane::Online, Lane::Batch][random.usize(0..2)];
                let terms = Terms { speed, is_us_only: random.bool(), lane, ..Terms::default() };

                let (cost, most) = (catalog.cost_on(terms, &model.id, &usage), prices.most(terms, &bound));

                assert!(cost.is_some_and(|cost| cost <= most), "{}: {cost:?} for {usage:?}, {bound:?}", model.id);
                assert_eq!(cost, Some(prices.cost(terms, &usage)));
                assert!(most <= catalog.most_of_any(terms, &bound));
            }
        }
    }

    #[test]
    fn the_highest_cost_uses_the_highest_possible_price() {
        let catalog = Catalog::builtin();
        let most = |model: &str, terms: Terms, input_tokens, caching, web_searches| {
            let bound = UsageBound { input_tokens, caching, output_tokens: 1_000, web_searches };
            let prices = catalog.prices(terms.speed, model).expect("the model has prices");
            prices.most(terms, &bound).dollars()
        };
        let (plain, us) = (Terms::default(), Terms { is_us_only: true, ..Terms::default() });
        let fast = Terms { speed: Speed::Fast, ..Terms::default() };

        // The prompt has a million input tokens at $1, $1.25 or $2 per million. The answer has 1,000 output tokens at
        // $5 per million.
        assert_eq!(most("claude-haiku-4-5", plain, 1_000_000, Caching::None, 0), 1.005);
        assert_eq!(most("claude-haiku-4-5", plain, 1_000_000, Caching::FiveMinutes, 0), 1.255);
        assert_eq!(most("claude-haiku-4-5", plain, 1_000_000, Caching::Hour, 0), 2.005);
        assert_eq!(most("claude-haiku-4-5", plain, 1_000_000, Caching::None, 3), 1.035);
        assert_eq!(most("claude-haiku-4-5", us, 1_000_000, Caching::None, 3), 1.1055 + 0.03);
        assert_eq!(most("claude-opus-5", fast, 1_000_000, Caching::None, 0), 10.05);
        // From 100,001 input tokens on, the more expensive price step applies.
        assert_eq!(most("claude-haiku-5-5", plain, 100_000, Caching::Hour, 0), 0.0205);
        assert_eq!(most("claude-haiku-5-5", plain, 100_001, Caching::Hour, 0), 0.102_501);
    }

    #[test]
    fn a_price_file_replaces_prices_and_gives_prices_to_unknown_models() {
        let text = r#"
            date = "2026-12-01"
            web_search_per_thousand = 20
            [[price]]
            model = "claude-haiku-4-5"
            input = 2
            output = 4.5
            [[price]]
            model = "my-proxy-model"
            input = 1.0
            output = 1.0
            read = 0.5
            [[price]]
            model = "claude-haiku-4-5"
            above = 10
            input = 3.0
            output = 6.0
        "#;

        let catalog = Catalog::builtin().with_prices(text).expect("the file is right");

        let usage = Usage { input_tokens: 10, output_tokens: 2, web_searches: 1, ..Usage::default() };
        assert_eq!(catalog.price_date(), "2026-12-01");
        assert_eq!(catalog.cost("claude-haiku-4-5-20251001", &usage), Some(Money::from_dollars(0.020_029)));
        assert_eq!(catalog.cost("my-proxy-model", &usage), Some(Money::from_dollars(0.020_012)));
        let long = Usage { cache_read_tokens: 11, ..Usage::default() };
        assert_eq!(catalog.cost("claude-haiku-4-5", &long), Some(Money::from_dollars(0.000_003_3)));
    }
}
