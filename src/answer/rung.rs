//! How a schema is put into a request, and where the answer to it is.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::schema::Schema;
use super::seen::Seen;
use crate::catalog::Model;
use crate::domain::{Merged, Message, Params, Rung};

pub(crate) fn rung_of(_model: Option<&Model>, _params: Merged<'_>) -> Rung {
    Rung::Format
}

pub(crate) fn apply(_rung: Rung, schema: &Schema, params: Merged<'_>) -> Params {
    let mut out =
        Params(params.iter().map(|(n, v)| (n.into(), RawValue::from_string(v.to_owned()).expect("JSON"))).collect());
    let format = format!(r#"{{"format":{{"type":"json_schema","schema":{}}}}}"#, schema.text());
    out.set("output_config", RawValue::from_string(format).expect("JSON"));
    out
}

pub(crate) fn answer_json<'a>(_rung: Option<Rung>, message: &'a Message) -> Option<Cow<'a, str>> {
    Some(Cow::Owned(Seen::of(message).text))
}
