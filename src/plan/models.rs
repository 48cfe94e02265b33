//! The models that rows have named, and what planning needs to know about each model. If a row names the same model as
//! the previous row, the name is not hashed.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;
use serde_json::value::RawValue;

use super::checks::{self, Fault};
use super::notice::Notice;
use super::unknown::UnknownModel;
use crate::catalog::{Catalog, Model, Prices, TokenizerFamily, ToolPrompt};
use crate::domain::{Merged, Money, Params, PoolId, Speed, Terms, UsageBound};

/// The largest number of models in a run. The number is limited because each model has its own limits, statistics and
/// warnings. If the rows name more models than this, the values of `model` are certainly not model names.
const MAX_MODELS: usize = 1_000;

/// The models of the rows. A model is found by the JSON text of its name, so that the search for a row's model
/// allocates no memory.
#[derive(Debug)]
pub(super) struct Models {
    catalog: Arc<Catalog>,
    provider: Arc<str>,
    account: Arc<str>,
    known: Vec<Known>,
    by_text: HashMap<Box<str>, usize>,
    /// The position of the model that the last row named.
    last: usize,
    today: Option<Date>,
    /// The notices that the user has not seen yet.
    pub notices: Vec<Notice>,
    /// Whether there are notices about models that the catalog does not know.
    pub tells_unknown: bool,
}

impl Models {
    /// Replaces the model of a request. If `max_tokens` is larger than the new model allows, `max_tokens` is lowered to
    /// the model's maximum.
    pub(super) fn replace(&self, params: &mut Params, name: &str) {
        let raw = |json: String| RawValue::from_string(json).expect("it is JSON");
        let most = self.catalog.model(name).map_or(u32::MAX, |model| model.max_output_tokens);
        let asked = params.get("max_tokens").and_then(|json| json.parse::<u64>().ok());
        if asked.is_some_and(|asked| asked > u64::from(most)) {
            params.set("max_tokens", raw(most.to_string()));
        }
        params.set("model", raw(serde_json::Value::from(name).to_string()));
    }
}

/// A model that a row has named.
#[derive(Debug)]
pub(super) struct Known {
    /// The name of the model as JSON text.
    written: Box<str>,
    /// The name of the model. All rows of the model share this text, because a copy for each row would be slower.
    pub name: Arc<str>,
    /// The model's entry in the catalog; `None` if the catalog does not have the model.
    pub model: Option<Model>,
    /// The model's tokenizer family, which decides how the model splits text into tokens.
    pub family: TokenizerFamily,
    /// The hidden prompt that the API adds to a request with tools.
    pub tool_prompt: ToolPrompt,
    /// The length, in tokens, of the shortest prefix that the prompt cache keeps for this model.
    pub cache_min_tokens: u32,
    /// The model's pools (sets of limits) at standard and at fast speed.
    pools: [Arc<PoolId>; 2],
    /// The model's prices at standard and at fast speed.
    prices: [Option<Prices>; 2],
    catalog: Arc<Catalog>,
    told_of_sampling: bool,
}

impl Known {
    /// Returns the model's pool at a speed.
    pub(super) fn pool(&self, speed: Speed) -> Arc<PoolId> {
        let [standard, fast] = &self.pools;
        match speed {
            Speed::Standard => standard.clone(),
            Speed::Fast => fast.clone(),
        }
    }

    /// Returns the model's prices at a speed.
    pub(super) fn prices(&self, speed: Speed) -> Option<&Prices> {
        let [standard, fast] = &self.prices;
        match speed {
            Speed::Standard => standard.as_ref(),
            Speed::Fast => fast.as_ref(),
        }
    }

    /// Returns the highest cost of an answer with this usage, whichever model of the catalog gives the answer. The
    /// caller needs this cost for requests that the API is allowed to pass to another model.
    pub(super) fn most_of_any(&self, terms: Terms, usage: &UsageBound) -> Money {
        self.catalog.most_of_any(terms, usage)
    }
}

impl Models {
    /// Returns an empty collection of models. `provider` and `account` become part of the ids of the pools.
    pub(super) fn new(catalog: Arc<Catalog>, provider: Arc<str>, account: Arc<str>) -> Self {
        Self {
            catalog,
            provider,
            account,
            known: Vec::new(),
            by_text: HashMap::new(),
            last: 0,
            today: None,
            notices: Vec::new(),
            tells_unknown: true,
        }
    }

    /// Sets today's date. The date shows which models have retired since the catalog was made.
    pub(super) fn tell_date(&mut self, today: Date) {
        self.today = Some(today);
    }

    /// Returns the notices that were added since the last call. Each notice is returned only once.
    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Returns the model that a row names.
    ///
    /// # Errors
    /// Returns a [`Fault`] if the model is missing or is not a string.
    pub(super) fn meant(&mut self, params: Merged<'_>) -> Result<&Known, Fault> {
        let written = params.get("model").unwrap_or_default();
        if self.known.get(self.last).is_none_or(|known| &*known.written != written) {
            self.last = match self.by_text.get(written) {
                Some(&at) => at,
                None => self.meet(written, self.fresh_name(params)?),
            };
        }
        let known = &mut self.known[self.last];
        let rejects_sampling = known.model.as_ref().is_some_and(|model| model.rejects_sampling);
        if rejects_sampling
            && !known.told_of_sampling
            && let Some(param) = refused_sampling(params)
        {
            known.told_of_sampling = true;
            self.notices.push(Notice::Sampling { model: known.name.clone(), param });
        }
        Ok(known)
    }

    /// Checks and returns the name of a model that no row has named before.
    fn fresh_name(&self, params: Merged<'_>) -> Result<String, Fault> {
        let name = checks::model_name(params)?;
        match self.known.len() < MAX_MODELS {
            true => Ok(name),
            false => Err(checks::too_many_models(&name, MAX_MODELS)),
        }
    }

    /// Adds a model that a row names for the first time. Returns the position of the model.
    fn meet(&mut self, written: &str, name: String) -> usize {
        let name: Arc<str> = name.into();
        let model = self.catalog.model(&name).cloned();
        self.notices.extend(self.notice_of(model.as_ref(), &name));
        let class = self.catalog.class_of(&name);
        let (provider, account) = (&self.provider, &self.account);
        let pool = |speed| PoolId { provider: provider.clone(), account: account.clone(), class: class.clone(), speed };
        let at = self.known.len();
        self.by_text.insert(written.into(), at);
        self.known.push(Known {
            written: written.into(),
            pools: [Speed::Standard, Speed::Fast].map(|speed| Arc::new(pool(speed))),
            prices: [Speed::Standard, Speed::Fast].map(|speed| self.catalog.prices(speed, &name)),
            // For a model that is not in the catalog, the program uses the figures that give the higher estimate.
            family: model.as_ref().map_or(TokenizerFamily::New, |model| model.family),
            tool_prompt: model.as_ref().map_or(ToolPrompt::UNPUBLISHED, |model| model.tool_prompt),
            cache_min_tokens: model
                .as_ref()
                .map_or(Model::UNPUBLISHED_CACHE_MIN_TOKENS, |model| model.cache_min_tokens),
            catalog: self.catalog.clone(),
            told_of_sampling: false,
            model,
            name,
        });
        at
    }

    fn notice_of(&self, model: Option<&Model>, name: &Arc<str>) -> Option<Notice> {
        let Some(model) = model else {
            return UnknownModel::find(&self.catalog, name).filter(|_| self.tells_unknown).map(Notice::Unknown);
        };
        let is_retired = self.today.map_or(model.is_retired(), |today| model.is_retired_on(today));
        match model.retires {
            since if is_retired => Some(Notice::Retired { model: name.clone(), since }),
            Some(on) => Some(Notice::Retiring { model: name.clone(), on }),
            None => None,
        }
    }
}

/// Returns a sampling parameter of the request whose value is not the default. Some models accept only the default
/// values of the sampling parameters.
fn refused_sampling(params: Merged<'_>) -> Option<&'static str> {
    ["temperature", "top_p", "top_k"].into_iter().find(|name| match params.get(name) {
        Some("null") | None => false,
        Some(value) => *name == "top_k" || value.parse::<f64>() != Ok(1.0),
    })
}
