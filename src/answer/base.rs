//! Makes the base of a follow-up (another request for the same row). The base is the first request for the row. From
//! the request that got the last answer, the base takes only the model, `max_tokens` and the form of the schema.

use super::Form;
use super::follow_up::{self, Base, params_of};
use super::look::Look;
use super::schema::Schema;
use crate::catalog::Catalog;
use crate::domain::{Merged, Params, ProviderFeatures, Request, SchemaMethod};

impl Look<'_> {
    /// Returns the first request for the row, with three changes: the model, the `max_tokens` and the form of the
    /// schema are those of the last answered request. The two requests can differ in these values, for example if the
    /// last answer came from another model in an earlier run.
    pub(super) fn base(&self) -> Option<Base> {
        let mut base = self.first_with(&self.last.model, self.last.schema_method)?;
        let is_first = base.schema_method == self.ask.schema_method;
        let request = if is_first { self.first().clone() } else { Request::of(&base.params) };
        base.request = Some(Box::new(request));
        Some(base)
    }

    /// Returns the last request for the row as the base.
    pub(super) fn asked(&self) -> Option<Base> {
        let request = Some(Box::new(self.first().clone()));
        Some(Base { params: params_of(&self.ask.request)?, schema_method: self.ask.schema_method, request })
    }

    /// Returns the first request for the row, changed for another model. This request becomes the first request of a
    /// new conversation.
    pub(super) fn base_for(&self, model: &str) -> Option<Base> {
        let first = params_of(self.first())?;
        let schema_method = match (&self.rules.form, self.without_schema(&first)) {
            (Form::Schema(schema), Some(mut own)) => {
                follow_up::set_text(&mut own, "model", model);
                Some(SchemaMethod::of(schema, self.catalog.model(model), self.rules.features, (&own).into()))
            }
            (Form::Schema(_) | Form::Json | Form::Any, _) => self.ask.schema_method,
        };
        self.first_with(model, schema_method)
    }

    /// Returns the `max_tokens` of the first request.
    pub(super) fn first_max_tokens(&self) -> Option<u32> {
        serde_json::from_str(params_of(self.first())?.get("max_tokens")?).ok()
    }

    /// Returns the first request with three changes: another model, the `max_tokens` of the last attempt, and another
    /// form of the schema. If the form of the schema can't be changed, the schema stays as it is.
    fn first_with(&self, model: &str, schema_method: Option<SchemaMethod>) -> Option<Base> {
        let (mut params, mut own_method) = (params_of(self.first())?, self.ask.schema_method);
        if schema_method != own_method
            && let (Form::Schema(schema), Some(wanted)) = (&self.rules.form, schema_method)
            && let Some(own) = self.without_schema(&params)
        {
            (params, own_method) = (wanted.apply(schema, (&own).into()), schema_method);
        }
        let most = self.catalog.model(model).map_or(u32::MAX, |known| known.max_output_tokens);
        let is_other = model != &*self.last.model;
        let max_tokens = if is_other { self.last.max_tokens.min(most) } else { self.last.max_tokens };
        follow_up::set_number(&mut params, "max_tokens", max_tokens);
        follow_up::set_text(&mut params, "model", model);
        Some(Base { params, schema_method: own_method, request: None })
    }

    /// Returns the first request without the schema. This is the row's own request, in which the flags of `resume` can
    /// have changed parameters. Returns `None` if the result with the schema added differs from the first request.
    fn without_schema(&self, first: &Params) -> Option<Params> {
        let Form::Schema(schema) = &self.rules.form else { return None };
        let mut own = params_of(&self.job.request)?;
        let is_in_system = self.ask.schema_method == Some(SchemaMethod::Instruction);
        let replaced = ["model", "max_tokens", "system"].into_iter().filter(|name| *name != "system" || !is_in_system);
        for name in replaced {
            if let Some(value) = first.0.iter().find(|(own, _)| &**own == name).map(|(_, value)| value.clone()) {
                own.set(name, value);
            }
        }
        let again = match self.ask.schema_method {
            Some(schema_method) => schema_method.apply(schema, (&own).into()),
            None => own.clone(),
        };
        (Request::of(&again).json() == Request::of(first).json()).then_some(own)
    }
}

/// Puts a schema into a request, in the best way that the model and the provider support.
pub fn shaped(
    schema: &Schema,
    catalog: &Catalog,
    features: ProviderFeatures,
    params: Merged<'_>,
) -> (Params, SchemaMethod) {
    let name = params.get("model").and_then(|json| serde_json::from_str::<String>(json).ok());
    let schema_method = SchemaMethod::of(schema, name.and_then(|name| catalog.model(&name)), features, params);
    (schema_method.apply(schema, params), schema_method)
}
