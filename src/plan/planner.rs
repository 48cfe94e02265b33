//! The planner: it makes jobs from rows.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::civil::Date;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::census::{Repeats, half};
use super::checks::{self, Fault};
use super::defaults::in_order;
use super::estimate::estimate_with_parts;
use super::key::KeyMaker;
use super::marks;
use super::model_map::ModelMap;
use super::models::Models;
use super::notice::Notice;
use super::overrides::{Overridden, Overrides};
use super::prefix::{CachePlan, PrefixFinder, wants_parts};
use super::pricing::Pricing;
use super::provider_rules::ProviderRules;
use super::seen::Seen;
use super::template::Templates;
use super::{Dialect, Rejected, RequestDefaults};
use crate::catalog::Catalog;
use crate::domain::{
    Ask, Caching, Cost, Expense, Identity, Interval, Job, JobId, JobKey, Merged, Money, Origin, Params, Planned,
    PoolId, Prefixes, Purpose, Request, RequestRules, RowId, SchemaMethod, Terms,
};
use crate::source::{Condition, Row};

/// The planner turns rows into jobs, in input order.
pub struct Planner {
    /// The parameters from flags and defaults, in the order in which they are sent.
    defaults: Params,
    dialect: Dialect,
    model_map: ModelMap,
    /// The position of a pair in `model_map`: the pair that replaced the model of the last identified row.
    mapped: Option<usize>,
    keys: KeyMaker,
    models: Models,
    templates: Templates,
    repeats: Option<Repeats>,
    /// The keys of the unnamed rows (rows without a label of their own) that were identified so far.
    seen: Seen,
    /// A map from each repeated key to the number of rows that repeated it. The first row with the key is not counted.
    again: HashMap<u64, u32>,
    prefixes: PrefixFinder,
    /// The function that changes the request of each row before the request is sent.
    shaping: Option<Shaping>,
    /// The parameters that replace parameters of rows, and the rows whose parameters are replaced.
    overrides: (Overrides, Overridden),
    /// The conditions that each answer must meet.
    conditions: Vec<Condition>,
    /// The members that the provider does not accept; `None` if the provider accepts all members.
    rules: Option<ProviderRules>,
}

/// A function that changes the request of a row before it is sent. The row keeps its own request and its key.
pub type Shaping = Arc<dyn Fn(Merged<'_>) -> Shaped + Send + Sync>;

/// The changed request that is sent for a row.
#[derive(Debug)]
pub struct Shaped {
    /// The parameters that are sent.
    pub params: Params,
    /// How the schema for the answer was put into the parameters; `None` without a schema.
    pub schema_method: Option<SchemaMethod>,
}

/// What is known about a measured row that has no fault.
struct Measured {
    model: Arc<str>,
    pool: Arc<PoolId>,
    input_tokens: Interval<u32>,
    expense: Option<Expense>,
    max_tokens: u32,
    template: u64,
    prefixes: Option<Arc<Prefixes>>,
    has_own_marks: bool,
}

/// A row whose identity is known, but which has no estimates yet.
#[derive(Clone, Debug)]
pub struct Identified {
    /// The number that identifies the row in this run.
    pub id: JobId,
    /// The label of the row: the label that the user gave, or `<source>:<line>`.
    pub custom_id: String,
    /// The key of the row, a hash of its request.
    pub key: JobKey,
    /// The identity by which a later run recognizes the row.
    pub identity: Identity,
    /// The identity in a short form of 16 bytes.
    pub row: RowId,
    /// The row's own parameters.
    pub params: Params,
    /// The fields that are kept with the row but not sent.
    pub extra: Params,
    /// The file and line from which the row was read.
    pub origin: Origin,
    /// The position of the row in its input: see [`Job::index`].
    pub index: u64,
}

/// The parts of an error-log entry that identify a row (its number among equal rows, and its position in the input),
/// and the list of its renamed columns.
///
/// Each part is parsed separately. So if one of the two parts has a wrong value, the other one can still be read.
#[derive(Default, Deserialize)]
struct ErrorMark<'a> {
    #[serde(borrow)]
    occurrence: Option<&'a RawValue>,
    #[serde(borrow)]
    index: Option<&'a RawValue>,
    /// The list of renamed columns; `None` in an entry of an earlier version, which wrote no such list.
    #[serde(borrow)]
    renamed: Option<&'a RawValue>,
}

impl ErrorMark<'_> {
    fn occurrence(&self) -> Option<u32> {
        self.occurrence?.get().parse().ok()
    }

    fn index(&self) -> Option<u64> {
        self.index?.get().parse().ok()
    }
}

impl Planner {
    /// Creates a planner. `provider` and `account` become part of the ids of the pools.
    pub fn new(
        defaults: RequestDefaults,
        dialect: Dialect,
        catalog: Arc<Catalog>,
        provider: Arc<str>,
        account: Arc<str>,
    ) -> Self {
        Self {
            model_map: defaults.model_map.clone(),
            mapped: None,
            defaults: in_order(defaults, &catalog),
            keys: KeyMaker::new(&dialect),
            dialect,
            models: Models::new(catalog, provider, account),
            templates: Templates::default(),
            repeats: None,
            seen: Seen::default(),
            again: HashMap::new(),
            prefixes: PrefixFinder::default(),
            shaping: None,
            overrides: Default::default(),
            conditions: Vec::new(),
            rules: None,
        }
    }

    /// Makes the planner reject rows with a member that the provider rejects. The planner also adds a notice for each
    /// member that is left out of requests. `provider` is the name of the provider. The planner does not remove these
    /// members itself.
    pub(crate) fn with_rules(mut self, provider: Arc<str>, rules: Arc<RequestRules>) -> Self {
        self.rules = ProviderRules::new(provider, rules);
        self
    }

    /// Makes the planner change the request of each row before it is sent.
    pub fn with_shaping(mut self, shaping: Option<Shaping>) -> Self {
        self.shaping = shaping;
        self
    }

    /// Makes the planner replace parameters in the requests of the rows that `of` describes. A [`Shaping`] changes the
    /// requests after this replacement.
    pub(crate) fn with_overrides(mut self, overrides: Overrides, of: Overridden) -> Self {
        self.overrides = (overrides, of);
        self
    }

    /// Makes the planner reject a row if a condition on the answer needs a column that the row lacks.
    pub(crate) fn with_conditions(mut self, conditions: Vec<Condition>) -> Self {
        self.conditions = conditions;
        self
    }

    /// For the survey of the input before a run, makes the planner find all cacheable prefixes of each row.
    pub fn finding_prefixes(mut self, fixed_starts: &[String]) -> Self {
        self.prefixes = PrefixFinder::of_survey(fixed_starts);
        self
    }

    /// Returns a planner for the run itself, which finds only the prefixes that get a mark in `plan`.
    pub fn with_caching(mut self, plan: Arc<CachePlan>, fixed_starts: &[String]) -> Self {
        self.prefixes = PrefixFinder::of_run(plan, fixed_starts);
        self
    }

    /// To save memory, makes the planner count only the keys that were found more than once in a first pass.
    pub fn with_repeats(mut self, repeats: Repeats) -> Self {
        self.repeats = Some(repeats);
        self
    }

    /// Returns the keys that several unnamed rows have, among the rows that were identified so far. After a first pass
    /// over the input, [`Planner::with_repeats`] takes these keys.
    pub(crate) fn repeats(&self) -> Repeats {
        Repeats::of_halves(self.again.keys().copied().collect())
    }

    /// Turns off notices about models that the catalog does not know. Callers that count the rows of each model
    /// themselves do not need these notices.
    pub(crate) fn without_unknown_models(mut self) -> Self {
        self.models.tells_unknown = false;
        self
    }

    /// Sets today's date. The date shows which models have retired since the catalog was made.
    pub(crate) fn with_today(mut self, today: Date) -> Self {
        self.models.tell_date(today);
        self
    }

    /// Turns a row into a job.
    ///
    /// A row's own parameters override the defaults. A named row is identified by its label and key. An unnamed row is
    /// identified by its key and the number of equal rows before it. If an entry of an error log has the member
    /// `occurrence`, the entry was made from an unnamed row. Such an entry keeps its label, but the entry is identified
    /// by its key and its `occurrence`. If an entry has the member `index`, the entry keeps this index.
    ///
    /// # Errors
    /// Returns [`Rejected`] if the row is certain to fail:
    /// - The row has no messages, or too many messages.
    /// - The model of the row is not a string.
    /// - The parameter `max_tokens` is not a number, or is above the limit of the model.
    /// - The body of the request is larger than 32 MB.
    /// - The prompt of the row is certainly longer than the model's context window.
    /// - The row has more than four cache marks, or a one-hour mark behind a five-minute mark.
    /// - The row does not have a column that a condition on its answer needs.
    /// - The row has a member that the provider rejects.
    pub fn plan(&mut self, row: Row, id: JobId) -> Result<Planned, Box<Rejected>> {
        let identified = self.identify(row, id);
        self.measure(identified)
    }

    /// Finds the identity of a row. This step is half of the work of planning. If an earlier run has finished the row,
    /// the rest of the planning is not needed.
    pub(crate) fn identify(&mut self, mut row: Row, id: JobId) -> Identified {
        self.mapped = self.model_map.apply(&self.defaults, &mut row.params);
        let key = self.key_of(&row);
        let mark = row.error.as_ref().and_then(|error| serde_json::from_str(error.get()).ok()).unwrap_or_default();
        let identity = self.identity_of(&row, &mark, key);
        let index = mark.index().unwrap_or(id.0);
        if row.error.is_some() && mark.renamed.is_none() {
            checks::restore_columns(&self.conditions, &mut row.extra);
        }
        let Row { origin, custom_id, params, extra, error: _, input: _ } = row;
        let custom_id = custom_id.unwrap_or_else(|| format!("{}:{}", origin.source, origin.line));
        let row = RowId::of(&custom_id, key, &identity);
        Identified { id, custom_id, key, identity, row, params, extra, origin, index }
    }

    /// Makes the job of a row whose identity is known.
    ///
    /// # Errors
    /// The errors are the same as for [`Planner::plan`].
    pub fn measure(&mut self, identified: Identified) -> Result<Planned, Box<Rejected>> {
        let is_overridden = self.overrides.1 == Overridden::All;
        self.measure_with(identified, is_overridden, false)
    }

    /// Makes the job of a row that is run again because its answer was truncated or was a refusal. The new request is
    /// sent online, not in a batch. A batch's results are matched to rows by identity, and the identity of this row
    /// already has an answer.
    ///
    /// # Errors
    /// The errors are the same as for [`Planner::plan`].
    pub(crate) fn measure_rerun(&mut self, identified: Identified) -> Result<Planned, Box<Rejected>> {
        self.measure_with(identified, true, true)
    }

    fn measure_with(
        &mut self,
        identified: Identified,
        is_overridden: bool,
        is_rerun: bool,
    ) -> Result<Planned, Box<Rejected>> {
        let Identified { id, custom_id, key, identity, row, params: mut own, extra, origin, index } = identified;
        own.0.retain(|(name, _)| &**name != "stream");
        let defaults = std::mem::take(&mut self.defaults);
        let params = Merged::new(&defaults, &own);
        let request = Request::of(params);
        let ask = checks::columns(&self.conditions, &extra).and_then(|()| {
            match is_overridden && !self.overrides.0.is_empty() {
                true => self.overridden_ask(params),
                false => self.ask_of_row(params, &request, is_rerun),
            }
        });
        self.defaults = defaults;
        match ask {
            Ok(ask) => {
                let job = Box::new(Job { id, custom_id, key, identity, row, request, extra, origin, index });
                Ok(Planned { job, ask })
            }
            Err(Fault { class, message }) => {
                let rejected = Rejected { custom_id, origin, index, key, identity, request, extra, class, message };
                Err(Box::new(rejected))
            }
        }
    }

    /// Returns the first request of a row with replaced parameters. This request is sent online, because a batch can
    /// contain only the row's own request.
    fn overridden_ask(&mut self, params: Merged<'_>) -> Result<Ask, Fault> {
        let replaced = self.overrides.0.over(params);
        self.ask_of_row((&replaced).into(), &Request::of(&replaced), true)
    }

    /// Returns the first request that is sent for a row. Without a [`Shaping`], the first request is the row's own
    /// request. With `is_online_only`, the request is not sent in a batch.
    fn ask_of_row(&mut self, params: Merged<'_>, request: &Request, is_online_only: bool) -> Result<Ask, Fault> {
        match &self.shaping {
            Some(shape) => {
                let Shaped { params, schema_method } = shape(params);
                let ask = self.ask_of((&params).into(), Request::of(&params), Purpose::First, is_online_only)?;
                Ok(Ask { schema_method, ..ask })
            }
            None => self.ask_of(params, request.clone(), Purpose::First, is_online_only),
        }
    }

    /// Returns the request with these parameters, to be sent for `purpose`.
    ///
    /// # Errors
    /// Returns a message that says why the request is certain to fail.
    pub fn ask_for(
        &mut self,
        params: &Params,
        schema_method: Option<SchemaMethod>,
        purpose: Purpose,
    ) -> Result<Ask, String> {
        let ask = self.ask_of(params.into(), Request::of(params), purpose, false).map_err(|fault| fault.message)?;
        Ok(Ask { schema_method, ..ask })
    }

    fn ask_of(
        &mut self,
        params: Merged<'_>,
        request: Request,
        purpose: Purpose,
        is_online_only: bool,
    ) -> Result<Ask, Fault> {
        let body_bytes = request.json().len();
        let may_exceed = self.dialect.raises_output_cap();
        if let Some(rules) = &mut self.rules {
            rules.check(request.json(), &mut self.models.notices)?;
        }
        let Self { models, templates, prefixes, .. } = self;
        let mut terms = Terms::of(params);
        terms.is_online_only |= is_online_only;
        let measured = measured(params, body_bytes, may_exceed, terms, models, templates, prefixes)?;
        let Measured { model, pool, input_tokens, expense, max_tokens, template, prefixes, has_own_marks } = measured;
        let body_bytes = u32::try_from(body_bytes).unwrap_or(u32::MAX);
        let cost = Cost { requests: 1, input_tokens: input_tokens.likely, output_tokens: max_tokens };
        Ok(Ask {
            request,
            model,
            terms,
            pool,
            cost,
            input_tokens,
            expense,
            max_tokens,
            template,
            body_bytes,
            purpose,
            base: None,
            schema_method: None,
            prefixes,
            has_own_marks,
        })
    }

    /// For a row that was kept on disk, rebuilds the row's first request from the request of `job`.
    ///
    /// # Errors
    /// The errors are the same as for [`Planner::plan`].
    pub(crate) fn measure_again(&mut self, job: Job) -> Result<Planned, Box<Rejected>> {
        let own: Params = raw_members(job.request.json());
        let Job { id, custom_id, key, identity, row, extra, origin, index, .. } = job;
        let identified = Identified { id, custom_id, key, identity, row, params: own, extra, origin, index };
        let defaults = std::mem::take(&mut self.defaults);
        let planned = self.measure(identified);
        self.defaults = defaults;
        planned
    }

    /// Returns the request of a row for another provider. This request is a changed copy of the row's own request. If
    /// `model` is given, it replaces the model of the row, and `max_tokens` is lowered to the limit of this model.
    /// `is_rerun` says whether the row is sent again because its answer was truncated or was a refusal.
    ///
    /// # Errors
    /// Returns a message that says why the request is certain to fail at the other provider.
    pub(crate) fn ask_elsewhere(&mut self, job: &Job, model: Option<&str>, is_rerun: bool) -> Result<Ask, String> {
        let mut params = raw_members(job.request.json());
        if is_rerun || self.overrides.1 == Overridden::All {
            params = self.overrides.0.over((&params).into());
        }
        if let Some(model) = model {
            self.models.replace(&mut params, model);
        }
        let request = Request::of(&params);
        let ask = self.ask_of_row((&params).into(), &request, false).map_err(|fault| fault.message)?;
        Ok(Ask { purpose: Purpose::Fallback, ..ask })
    }

    /// Returns the key that a row will have. This function is for a first pass over the input.
    pub fn key_of(&mut self, row: &Row) -> JobKey {
        self.keys.key(Merged::new(&self.defaults, &row.params).iter())
    }

    /// Returns the notices that were added since the last call. Each notice is returned only once.
    pub(crate) fn take_notices(&mut self) -> Vec<Notice> {
        self.models.take_notices()
    }

    /// If a pair of `--map-model` replaced the model of the last identified row, returns the position of this pair.
    pub(crate) fn mapped(&self) -> Option<usize> {
        self.mapped
    }

    fn identity_of(&mut self, row: &Row, mark: &ErrorMark<'_>, key: JobKey) -> Identity {
        match (mark.occurrence(), &row.custom_id) {
            (Some(occurrence), _) => Identity::Nth(occurrence),
            (None, Some(_)) => Identity::Named,
            (None, None) => Identity::Nth(self.count(key)),
        }
    }

    fn count(&mut self, key: JobKey) -> u32 {
        if self.repeats.as_ref().is_some_and(|repeats| !repeats.contains(key)) {
            return 0;
        }
        if self.seen.insert(half(key)) {
            return 0;
        }
        let again = self.again.entry(half(key)).or_default();
        *again += 1;
        *again
    }
}

/// Finds the cost and the pool of a row. Returns a fault if the row is certain to fail.
fn measured(
    params: Merged<'_>,
    body_bytes: usize,
    may_exceed: bool,
    terms: Terms,
    models: &mut Models,
    templates: &mut Templates,
    prefixes: &mut PrefixFinder,
) -> Result<Measured, Fault> {
    let known = models.meant(params)?;
    let max_tokens = checks::max_tokens(params, known.model.as_ref(), may_exceed)?;
    let (estimate, parts) =
        estimate_with_parts(params, known.family, known.tool_prompt, prefixes.is_wanted() && wants_parts(params));
    checks::messages(params, &estimate)?;
    checks::body(body_bytes)?;
    checks::window(params, &estimate, known.model.as_ref())?;
    marks::check(params, estimate.caching)?;
    let pricing = Pricing::of(params, &estimate, known, terms, max_tokens);
    let cost_if = |caching: Caching| pricing.as_ref().map(|pricing| pricing.expense(caching.max(estimate.caching)));
    let least = known.cache_min_tokens;
    let found = parts.and_then(|parts| prefixes.find(params, parts, &estimate, least, terms.is_online_only));
    let (expense, prefixes) = match found {
        Some(found) => {
            let most_if = |caching| pricing.as_ref().map_or(Money::ZERO, |pricing| pricing.most(caching));
            let (prefixes, caching) = found.priced(&most_if);
            (cost_if(caching), Some(Arc::new(prefixes)))
        }
        None => (cost_if(Caching::None), None),
    };
    Ok(Measured {
        pool: known.pool(terms.speed),
        model: known.name.clone(),
        input_tokens: estimate.tokens,
        expense,
        max_tokens,
        template: templates.mark(params),
        prefixes,
        has_own_marks: estimate.caching != Caching::None,
    })
}

/// Reads the members of a request that this program wrote.
fn raw_members(json: &[u8]) -> Params {
    str::from_utf8(json).ok().and_then(Params::of_object).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::super::tests::params;
    use super::super::{UnknownModel, key};
    use super::*;
    use crate::domain::{ErrorClass, MemberPath, Origin};

    const HI: &str = r#"{"messages":[{"role":"user","content":"Hi"}]}"#;

    fn planner_with(defaults: RequestDefaults) -> Planner {
        let dialect = Dialect { api_version: "2023-06-01".to_owned(), betas: Vec::new() };
        Planner::new(defaults, dialect, Arc::new(Catalog::builtin()), "anthropic".into(), "".into())
    }

    fn planner() -> Planner {
        planner_with(RequestDefaults::default())
    }

    #[test]
    fn a_refused_member_rejects_its_row_and_a_dropped_member_is_reported_once() {
        let paths = |paths: &[&str]| paths.iter().map(|path| MemberPath((*path).into())).collect();
        let rules = RequestRules {
            refuse: paths(&["output_config.format"]),
            drop: paths(&["metadata", "**.cache_control"]),
            ..RequestRules::default()
        };
        let mut planner = planner().with_rules("bedrock".into(), Arc::new(rules));
        let refused = HI.replace("}]}", r#"}],"output_config":{"format":{}}}"#);
        let dropped = HI.replace("}]}", r#"}],"metadata":{"user_id":"u"}}"#);

        let rejected = planner.plan(row(&refused), JobId(0)).expect_err("the member is refused");
        let planned = [1, 2].map(|id| planner.plan(row(&dropped), JobId(id)).expect("the member is left out later"));

        assert!(
            rejected.message.starts_with(r#"bedrock does not take "output_config.format"; take it out of the row"#),
            "{}",
            rejected.message
        );
        assert!(planned.iter().all(|planned| planned.ask.request.json().ends_with(br#""metadata":{"user_id":"u"}}"#)));
        let notices: Vec<_> = planner.take_notices().iter().map(ToString::to_string).collect();
        assert_eq!(notices, [r#"bedrock does not take "metadata": requests are sent without it"#]);
    }

    fn row(json: &str) -> Row {
        Row {
            origin: Origin { source: "prompts.jsonl".into(), line: 7 },
            custom_id: None,
            params: params(json),
            extra: params(r#"{"note":"kept"}"#),
            error: None,
            input: None,
        }
    }

    fn named(label: &str, json: &str) -> Row {
        Row { custom_id: Some(label.to_owned()), ..row(json) }
    }

    fn plan(planner: &mut Planner, row: Row) -> Planned {
        planner.plan(row, JobId(0)).expect("the row is valid")
    }

    fn asked(request: &Request) -> String {
        String::from_utf8(request.json().to_vec()).expect("JSON is text")
    }

    fn shown(params: &Params) -> String {
        let mut out = Vec::new();
        params.write_object(&mut out);
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    #[test]
    fn defaults_come_first_and_are_used_only_if_the_row_has_no_value() {
        let mut planner = planner_with(RequestDefaults {
            model: None,
            system: Some("Be \"brief\"".to_owned()),
            max_tokens: Some(5),
            params: params(r#"{"temperature":0.50,"stream":true}"#),
            ..RequestDefaults::default()
        });

        let planned = plan(&mut planner, row(HI));

        assert_eq!(
            asked(&planned.job.request),
            r#"{"model":"claude-haiku-4-5","max_tokens":5,"system":"Be \"brief\"","temperature":0.50,"messages":[{"role":"user","content":"Hi"}]}"#
        );
        assert_eq!(shown(&planned.job.extra), r#"{"note":"kept"}"#);
    }

    #[test]
    fn a_row_keeps_its_own_values_byte_for_byte_and_in_order() {
        let mut planner = planner_with(RequestDefaults {
            model: Some("claude-opus-5".to_owned()),
            system: Some("flag".to_owned()),
            max_tokens: Some(5),
            params: params(r#"{"temperature":0.5}"#),
            ..RequestDefaults::default()
        });
        let own = r#"{"temperature":1.0e0,"messages":[ {"content":"\u0048i","role":"user"}],"stream":true,"system":null,"model":"claude-sonnet-5"}"#;

        let planned = plan(&mut planner, row(own));

        let expected = own.replace(r#""stream":true,"#, "").replacen('{', r#"{"max_tokens":5,"#, 1);
        assert_eq!(asked(&planned.job.request), expected);
        assert_eq!(&*planned.ask.model, "claude-sonnet-5");
    }

    #[test]
    fn a_named_flag_overrides_a_param_flag_which_overrides_the_default() {
        let by_param = params(r#"{"system":"p","max_tokens":7,"model":"claude-opus-5"}"#);
        let mut only_params = planner_with(RequestDefaults { params: by_param.clone(), ..RequestDefaults::default() });
        let mut both =
            planner_with(RequestDefaults { max_tokens: Some(9), params: by_param, ..RequestDefaults::default() });

        let only_params = plan(&mut only_params, row(HI));
        let both = plan(&mut both, row(HI));

        let start = r#"{"model":"claude-opus-5","max_tokens":7,"system":"p","messages""#;
        assert!(asked(&only_params.job.request).starts_with(start), "{}", asked(&only_params.job.request));
        assert_eq!(both.ask.max_tokens, 9);
    }

    #[test]
    fn a_mapped_row_equals_a_row_that_names_the_other_model() {
        let map = ModelMap(vec![("gpt-4o-mini".to_owned(), "claude-haiku-4-5".to_owned())]);
        let mut planner = planner_with(RequestDefaults { model_map: map, ..RequestDefaults::default() });
        let with = |model: &str| row(&HI.replacen('{', &format!(r#"{{"model":"{model}","#), 1));

        let mapped = plan(&mut planner, with("gpt-4o-mini"));
        let pair = planner.mapped();
        let named = plan(&mut planner, with("claude-haiku-4-5"));

        assert_eq!((pair, planner.mapped()), (Some(0), None));
        assert_eq!((&mapped.job.key, &mapped.ask.pool), (&named.job.key, &named.ask.pool));
        assert_eq!(mapped.ask.expense.map(|own| own.most), named.ask.expense.map(|own| own.most));
        assert_eq!(asked(&mapped.job.request), asked(&named.job.request));
        assert!(planner.take_notices().is_empty(), "no row names an unknown model any more");
    }

    #[test]
    fn overrides_change_only_what_is_sent_and_not_the_row_or_its_key_or_its_place() {
        let flags = RequestDefaults {
            model: Some("claude-sonnet-5".to_owned()),
            max_tokens: Some(90),
            system: Some("Be \"long\"".to_owned()),
            ..RequestDefaults::default()
        };
        let own =
            r#"{"max_tokens":5,"messages":[{"role":"user","content":"Hi"}],"system":[{"type":"text","text":"x"}]}"#;
        let of = |of| planner().with_overrides(Overrides::of(&flags), of);
        let identified = |planner: &mut Planner| planner.identify(row(own), JobId(0));
        let mut plain = planner();
        let (mut all, mut reruns) = (of(Overridden::All), of(Overridden::Reruns));

        let plain = plan(&mut plain, row(own));
        let again = identified(&mut reruns);
        let again = reruns.measure_rerun(again).expect("the row is valid");
        let resumed = plan(&mut all, row(own));
        let other = plan(&mut reruns, row(own));

        for changed in [&again, &resumed] {
            assert_eq!(
                asked(&changed.ask.request),
                r#"{"model":"claude-sonnet-5","max_tokens":90,"messages":[{"role":"user","content":"Hi"}],"system":"Be \"long\""}"#
            );
            assert_eq!((changed.ask.max_tokens, &*changed.ask.model), (90, "claude-sonnet-5"));
            assert_ne!((&changed.ask.pool, changed.ask.expense), (&plain.ask.pool, plain.ask.expense));
            assert_eq!((changed.job.key, asked(&changed.job.request)), (plain.job.key, asked(&plain.job.request)));
            assert!(changed.ask.terms.is_online_only && !plain.ask.terms.is_online_only);
        }
        assert_eq!((&again.job.identity, &resumed.job.identity), (&Identity::Nth(0), &Identity::Nth(0)));
        assert_eq!(asked(&other.ask.request), asked(&plain.job.request), "the row is not run again");
        let elsewhere = |planner: &mut Planner, job, is_rerun| {
            asked(&planner.ask_elsewhere(job, None, is_rerun).expect("it is right there too").request)
        };
        assert_eq!(elsewhere(&mut reruns, &again.job, true), asked(&again.ask.request));
        assert_eq!(elsewhere(&mut reruns, &other.job, false), asked(&plain.job.request));
        assert_eq!(elsewhere(&mut all, &resumed.job, false), asked(&again.ask.request));
    }

    #[test]
    fn without_overrides_a_row_that_is_run_again_sends_its_own_request() {
        let mut planner = planner();
        let identified = planner.identify(row(HI), JobId(0));

        let planned = planner.measure_rerun(identified).expect("the row is valid");

        assert_eq!(planned.ask.request.json().as_ptr(), planned.job.request.json().as_ptr());
    }

    #[test]
    fn a_value_gives_the_same_key_from_row_and_from_flag() {
        let by_flag = plan(
            &mut planner_with(RequestDefaults { system: Some("Be brief".to_owned()), ..RequestDefaults::default() }),
            row(HI),
        );
        let by_row = plan(
            &mut planner(),
            row(
                r#"{"system":"Be brief","messages":[{"role":"user","content":"Hi"}],"model":"claude-haiku-4-5","max_tokens":1024}"#,
            ),
        );

        assert_eq!(by_flag.job.key, by_row.job.key);
    }

    #[test]
    fn the_key_of_a_row_comes_from_its_merged_parameters() {
        let mut planner = planner();

        let planned = plan(&mut planner, row(HI));

        assert_eq!(planner.key_of(&row(HI)), planned.job.key);
        assert_eq!(key(&planner.dialect, &params(&asked(&planned.job.request))), planned.job.key);
    }

    #[test]
    fn unnamed_rows_are_counted_by_key_and_named_rows_are_not() {
        let mut planner = planner();
        let other = HI.replace("Hi", "Ho");

        let rows = [row(HI), named("a", HI), row(&other), row(HI), named("b", &other), row(&other), row(HI)];
        let identities = rows.map(|row| plan(&mut planner, row).job.identity);

        use Identity::{Named, Nth};
        assert_eq!(identities, [Nth(0), Named, Nth(0), Nth(1), Named, Nth(1), Nth(2)]);
    }

    #[test]
    fn a_label_is_the_users_own_or_the_place_of_the_row() {
        let mut planner = planner();

        assert_eq!(plan(&mut planner, named("a", HI)).job.custom_id, "a");
        assert_eq!(plan(&mut planner, row(HI)).job.custom_id, "prompts.jsonl:7");
    }

    #[test]
    fn an_entry_of_an_error_log_is_treated_as_its_original_row() {
        let mut planner = planner();
        let entry = |error: &str| Row {
            error: Some(RawValue::from_string(error.to_owned()).expect("the test writes valid JSON")),
            ..named("old.jsonl:3", HI)
        };

        let unnamed = plan(&mut planner, entry(r#"{"class":"server","occurrence":2}"#)).job;
        let labelled = plan(&mut planner, entry(r#"{"class":"server"}"#)).job;
        let odd = plan(&mut planner, entry(r#"{"occurrence":"x"}"#)).job;

        assert_eq!((unnamed.custom_id.as_str(), unnamed.identity), ("old.jsonl:3", Identity::Nth(2)));
        assert_eq!((labelled.identity, odd.identity), (Identity::Named, Identity::Named));
        assert_eq!(plan(&mut planner, row(HI)).job.identity, Identity::Nth(0));
    }

    #[test]
    fn an_entry_of_an_error_log_keeps_its_place_in_the_input_it_came_from() {
        let mut planner = planner();
        let mut job = |error: Option<&str>, request: &str| {
            let error = error.map(|error| RawValue::from_string(error.to_owned()).expect("the test writes valid JSON"));
            planner.plan(Row { error, ..row(request) }, JobId(7))
        };
        let cases = [
            (None, 7, Identity::Nth(0)),
            (Some(r#"{"occurrence":2,"index":40}"#), 40, Identity::Nth(2)),
            (Some(r#"{"occurrence":2}"#), 7, Identity::Nth(2)),
            (Some(r#"{"occurrence":2,"index":-1}"#), 7, Identity::Nth(2)),
            (Some(r#"{"occurrence":-1,"index":18446744073709551615}"#), u64::MAX, Identity::Nth(1)),
            (Some(r#"{"occurrence":"x","index":"40"}"#), 7, Identity::Nth(2)),
        ];

        for (error, index, identity) in cases {
            let job = job(error, HI).expect("the row is valid").job;
            assert_eq!((job.id, job.index, job.identity), (JobId(7), index, identity), "{error:?}");
        }
        let rejected = job(Some(r#"{"index":40}"#), "{}").expect_err("it has no messages");
        assert_eq!(rejected.index, 40);
    }

    #[test]
    fn after_a_first_pass_only_repeated_keys_are_remembered() {
        let other = HI.replace("Hi", "Ho");
        let identities = |planner: &mut Planner| [HI, &other, HI].map(|json| plan(planner, row(json)).job.identity);
        let mut first = planner();
        let counted = identities(&mut first);
        let mut second = planner().with_repeats(first.repeats());

        assert_eq!(counted, [Identity::Nth(0), Identity::Nth(0), Identity::Nth(1)]);
        assert_eq!(identities(&mut second), counted);
        assert_eq!((first.seen.len(), second.seen.len()), (2, 1));
        assert_eq!((first.repeats().len(), planner().repeats().len()), (1, 0));
    }

    #[test]
    fn the_cost_has_one_request_the_estimated_input_and_max_tokens() {
        let planned = plan(&mut planner(), row(&HI.replacen('{', r#"{"max_tokens":300,"#, 1)));

        assert_eq!(planned.ask.cost, Cost { requests: 1, input_tokens: 9, output_tokens: 300 });
        assert_eq!(planned.ask.max_tokens, 300);
        assert_eq!(planned.ask.body_bytes as usize, asked(&planned.job.request).len());
    }

    #[test]
    fn an_answer_from_a_batch_costs_at_most_half_and_no_other_model_is_counted() {
        let mut planner = planner();
        let mut most = |rest: &str| {
            let planned = plan(&mut planner, row(&HI.replacen('{', &format!(r#"{{"max_tokens":300{rest},"#), 1)));
            planned.ask.expense.map(|expense| (expense.most, expense.most_in_batch)).expect("the model has a price")
        };

        let plain = most("");
        assert_eq!(plain.1, plain.0.half());
        let marked = most(r#","cache_control":{"type":"ephemeral"}"#);
        assert_eq!(marked.1, marked.0.half());
        let others = most(r#","fallbacks":"default""#);
        assert!(others.0.half() > others.1 && others.1 < plain.0, "{others:?}");
    }

    #[test]
    fn the_cost_of_an_answer_depends_on_its_terms_its_marks_and_its_model() {
        let mut planner = planner();
        let mut expense = |rest: &str| {
            let planned = plan(&mut planner, row(&HI.replacen('{', &format!(r#"{{"max_tokens":300{rest},"#), 1)));
            let millionths = |money: Money| money.dollars() * 1e6;
            planned.ask.expense.map(|Expense { input, output_token, most, .. }| {
                (input.map(millionths).likely + 256.0 * millionths(output_token), millionths(most))
            })
        };
        let model = |name: &str, rest: &str| format!(r#","model":"{name}"{rest}"#);

        // The estimate is 9 input tokens and 256 output tokens. The upper bound is 48 input tokens and 300 output
        // tokens. Amounts are in millionths of a dollar.
        assert_eq!(expense(""), Some((9.0 + 256.0 * 5.0, 48.0 + 1500.0)));
        assert_eq!(expense(r#","cache_control":{"type":"ephemeral"}"#), Some((1289.0, 48.0 * 1.25 + 1500.0)));
        assert_eq!(expense(&model("claude-opus-5", "")).map(|(_, most)| most), Some(48.0 * 5.0 + 7500.0));
        let fast = expense(&model("claude-opus-5", r#","speed":"fast""#));
        assert_eq!(fast.map(|(_, most)| most), Some(48.0 * 10.0 + 15_000.0));
        let us = expense(&model("claude-opus-5", r#","inference_geo":"us""#));
        assert_eq!(us.map(|(_, most)| most.round()), Some((7740.0_f64 * 1.1).round()));
        assert_eq!(expense(&model("claude-opus-5-5", r#","speed":"fast""#)), None, "its fast price is unpublished");
        assert_eq!(expense(&model("my-proxy-model", "")), None);
        // The request allows three other models to answer. The most expensive model costs $20 per million input tokens
        // and $50 per million output tokens.
        let others = expense(r#","fallbacks":"default""#).map(|(_, most)| most - 1500.0);
        assert!(others.is_some_and(|most| most > 3.0 * 300.0 * 50.0), "{others:?}");
    }

    #[test]
    fn pools_differ_by_class_and_speed() {
        let mut planner = planner();
        let mut pool = |model: &str, rest: &str| {
            plan(&mut planner, row(&HI.replacen('{', &format!(r#"{{"model":"{model}"{rest},"#), 1))).ask.pool
        };

        let opus = pool("claude-opus-4-8", "");
        assert_eq!(opus, pool("claude-opus-4-6", r#","speed":"standard""#));
        assert_ne!(opus, pool("claude-opus-5", ""));
        assert_ne!(opus, pool("claude-opus-4-8", r#","speed":"fast""#));
        assert_eq!((&*opus.provider, &*opus.account, &*opus.class.0), ("anthropic", "", "opus-4.x"));
        assert_eq!(&*pool("my-proxy-model", "").class.0, "my-proxy-model");
    }

    #[test]
    fn rows_of_one_template_have_the_same_number() {
        let mut planner = planner();
        let mut mark = |rest: &str, text: &str| {
            plan(&mut planner, row(&HI.replacen('{', &format!("{{{rest}"), 1).replace("Hi", text))).ask.template
        };

        let plain = mark("", "Hi");
        assert_eq!(plain, mark("", "another text"));
        assert_ne!(plain, mark(r#""max_tokens":5,"#, "Hi"));
        assert_ne!(plain, mark(r#""system":"x","#, "Hi"));
        assert_ne!(plain, mark(r#""model":"claude-opus-5","#, "Hi"));
    }

    #[test]
    fn a_row_without_a_column_that_a_condition_needs_is_rejected() {
        let condition = |text| vec![Condition::parse(text).expect("a good condition")];

        let found = |text| planner().with_conditions(condition(text)).plan(row(HI), JobId(0)).map(drop);

        assert!(found("row.note == 'kept' and row.id != ''").is_ok());
        let rejected = found("json.score > row.nte").expect_err("there is no such column");
        assert_eq!(
            rejected.message,
            "no column \"nte\" is kept with the row, but --require 'json.score > row.nte' needs it (kept: note; did \
             you mean note?)"
        );
        assert_eq!(rejected.class, ErrorClass::InvalidInput);
    }

    #[test]
    fn in_entries_of_earlier_versions_a_condition_finds_a_renamed_column() {
        let entry = |extra: &str, error: &str| Row {
            extra: params(extra),
            error: Some(RawValue::from_string(error.to_owned()).expect("it is JSON")),
            ..row(HI)
        };
        let found = |text: &str, row: Row| {
            let condition = Condition::parse(text).expect("a good condition");
            planner().with_conditions(vec![condition]).plan(row, JobId(0)).map(|planned| shown(&planned.job.extra)).ok()
        };
        let (old, new) = (r#"{"class":"truncated"}"#, r#"{"class":"truncated","renamed":[]}"#);

        let renamed = Some(r#"{"body":"b"}"#.to_owned());
        assert_eq!(found("row.body != ''", entry(r#"{"_body":"b"}"#, old)), renamed);
        let own = Some(r#"{"_body":"b","_id":7}"#.to_owned());
        assert_eq!(found("row._body != row.id", entry(r#"{"_body":"b","_id":7}"#, old)), own);
        assert_eq!(found("row.body != ''", entry(r#"{"_body":"b"}"#, new)), None);
        assert_eq!(found("row.body != ''", Row { extra: params(r#"{"_body":"b"}"#), ..row(HI) }), None);
    }

    #[test]
    fn a_rejected_row_keeps_everything_that_its_error_entry_needs() {
        let json = HI.replacen('{', r#"{"max_tokens":65000,"#, 1);
        let mut planner = planner();

        let rejected = planner.plan(row(&json), JobId(0)).expect_err("haiku takes 64,000");

        assert_eq!(rejected.class, ErrorClass::InvalidInput);
        assert!(rejected.message.starts_with("max_tokens is 65000, above the 64000"), "{}", rejected.message);
        assert_eq!(rejected.custom_id, "prompts.jsonl:7");
        assert_eq!(rejected.identity, Identity::Nth(0));
        assert_eq!(rejected.key, planner.key_of(&row(&json)));
        assert_eq!(shown(&rejected.extra), r#"{"note":"kept"}"#);
        assert!(asked(&rejected.request).starts_with(r#"{"model":"claude-haiku-4-5","max_tokens":65000,"#));
    }

    #[test]
    fn each_fault_rejects_its_row() {
        let big = HI.replace("Hi", &"x ".repeat(17 << 20));
        let long = HI.replace("Hi", &"prompt ".repeat(300_000));
        for (json, class) in [
            (r#"{"system":"x"}"#, ErrorClass::InvalidInput),
            (r#"{"messages":[]}"#, ErrorClass::InvalidInput),
            (r#"{"messages":"Hi"}"#, ErrorClass::InvalidInput),
            (r#"{"model":7,"messages":[{}]}"#, ErrorClass::InvalidInput),
            (r#"{"max_tokens":null,"messages":[{}]}"#, ErrorClass::InvalidInput),
            (&big, ErrorClass::TooLarge),
            (&long, ErrorClass::TooLarge),
        ] {
            let rejected = planner().plan(row(json), JobId(0)).expect_err("the row can't work");
            assert_eq!(rejected.class, class, "{}", rejected.message);
        }
    }

    #[test]
    fn an_output_beta_removes_the_cap_of_max_tokens() {
        let json = HI.replacen('{', r#"{"max_tokens":300000,"#, 1);
        let mut planner = planner();
        planner.dialect.betas.push("output-300k-2026-03-24".to_owned());

        assert_eq!(plan(&mut planner, row(&json)).ask.max_tokens, 300_000);
    }

    #[test]
    fn notices_come_once_for_each_model() {
        let mut planner = planner().with_today(date(2026, 11, 30));
        let with = |model: &str, rest: &str| row(&HI.replacen('{', &format!(r#"{{"model":"{model}"{rest},"#), 1));

        for _ in 0..2 {
            for (model, rest) in [
                ("claude-haiku-4-5", ""),
                ("claude-haiku-4-5", r#","temperature":0"#),
                ("claude-sonnet-4-5", ""),
                ("claude-opus-4-1", ""),
                ("my-proxy-model", ""),
                ("claude-opus-5", r#","temperature":1.0"#),
                ("claude-opus-5", r#","top_p":0.9"#),
            ] {
                plan(&mut planner, with(model, rest));
            }
        }

        let told = planner.take_notices();
        assert_eq!(
            told,
            [
                Notice::Retired { model: "claude-sonnet-4-5".into(), since: Some(date(2026, 11, 30)) },
                Notice::Retired { model: "claude-opus-4-1".into(), since: Some(date(2026, 8, 5)) },
                Notice::Unknown(UnknownModel::find(&Catalog::builtin(), "my-proxy-model").expect("it is unknown")),
                Notice::Sampling { model: "claude-opus-5".into(), param: "top_p" },
            ]
        );
        assert!(planner.take_notices().is_empty());
    }

    #[test]
    fn a_coming_retirement_is_announced() {
        let mut planner = planner();

        plan(&mut planner, row(&HI.replacen('{', r#"{"model":"claude-sonnet-4-5","#, 1)));

        let on = date(2026, 11, 30);
        assert_eq!(planner.take_notices(), [Notice::Retiring { model: "claude-sonnet-4-5".into(), on }]);
    }

    proptest! {
        #[test]
        fn any_order_of_parameters_gives_the_same_key_and_keeps_its_bytes(
            members in prop::collection::btree_map("[a-z\"é]{1,6}", "[ -~]{0,12}", 0..6).prop_shuffle_members(),
        ) {
            let json = |members: &[(String, String)]| {
                let shown = members.iter().map(|(name, value)| format!("{name:?}: {}", serde_json::json!([value])));
                format!("{{\"messages\":[{{}}],{}\"z\":0}}", shown.map(|member| member + ",").collect::<String>())
            };
            let (sorted, shuffled) = members;
            let mut planner = planner();

            let a = plan(&mut planner, named("a", &json(&sorted))).job;
            let b = plan(&mut planner, named("b", &json(&shuffled))).job;

            prop_assert_eq!(a.key, b.key);
            let (a, b) = (params(&asked(&a.request)), params(&asked(&b.request)));
            for (name, _) in &shuffled {
                prop_assert_eq!(a.get(name), b.get(name));
            }
        }
    }

    /// Returns the members of a map twice: in the order of the map, and in a random order.
    trait ShuffleMembers {
        fn prop_shuffle_members(self) -> impl Strategy<Value = (Members, Members)>;
    }

    type Members = Vec<(String, String)>;

    impl<S: Strategy<Value = std::collections::BTreeMap<String, String>>> ShuffleMembers for S {
        fn prop_shuffle_members(self) -> impl Strategy<Value = (Members, Members)> {
            self.prop_flat_map(|map| {
                let members: Members =
                    map.into_iter().filter(|(name, _)| !["model", "stream", "max_tokens"].contains(&&**name)).collect();
                (Just(members.clone()), Just(members).prop_shuffle())
            })
        }
    }
}
