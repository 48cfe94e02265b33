//! Writes the results of a batch: one line of JSON for each request.

use crate::sim::faults::Fault;

use super::super::fields::Fields;
use super::super::out::id;
use super::super::reply::{self, Frame};
use super::super::state::Model;
use super::batch::{Batch, End, Line, Success};
use super::work::serial;

/// The usual length of a line, to reserve memory.
const LINE_BYTES: usize = 1_000;

impl Model {
    /// Returns the results of a batch.
    pub(super) fn results_of(&self, batch: &Batch) -> Vec<u8> {
        let mut lines = Vec::with_capacity(batch.len() * LINE_BYTES);
        for row in batch.order.iter().map(|row| *row as usize) {
            let custom_id = batch.rows.custom_id(row);
            match batch.rows.rows[row].line {
                Line::Missing => {}
                Line::Once => self.write_line(&mut lines, custom_id, batch, row),
                Line::Again(rule) => {
                    self.write_line(&mut lines, custom_id, batch, row);
                    let other = match &self.config.faults.rules[usize::from(rule)].fault {
                        Fault::ResultExtra { custom_id } => custom_id.as_deref(),
                        _ => None,
                    };
                    self.write_line(&mut lines, other.unwrap_or(custom_id), batch, row);
                }
            }
        }
        lines
    }

    fn write_line(&self, lines: &mut Vec<u8>, custom_id: &str, batch: &Batch, row: usize) {
        let quoted = serde_json::Value::from(custom_id).to_string();
        lines.extend_from_slice(format!(r#"{{"custom_id":{quoted},"result":{{"type":"#).as_bytes());
        match &batch.rows.rows[row].end {
            End::Succeeded(success) => {
                lines.extend_from_slice(br#""succeeded","message":"#);
                lines.extend_from_slice(&self.message_of(batch, row, success));
            }
            End::Errored(error) => {
                lines.extend_from_slice(br#""errored","error":"#);
                let request_id = id("req_01", self.config.seed ^ 0x6261_7463, serial(batch, row));
                lines.extend_from_slice(&error.body(&request_id));
            }
            End::Canceled => lines.extend_from_slice(br#""canceled""#),
            End::Expired | End::Waiting => lines.extend_from_slice(br#""expired""#),
        }
        lines.extend_from_slice(b"}}\n");
    }

    /// Returns the answer to a request. It was answered before, so it is valid.
    fn message_of(&self, batch: &Batch, row: usize, success: &Success) -> Vec<u8> {
        let fields = Fields::read(batch.rows.params(row));
        let answered = fields.and_then(|fields| {
            let content = fields.content_hash(self.config.seed);
            self.answer_batched(fields, success.model, batch.version, content)
        });
        let Ok((_, answer)) = answered else { return b"null".to_vec() };
        let serial = serial(batch, row);
        let frame = Frame {
            id: &id("msg_01", self.config.seed, serial),
            model: &self.config.models[success.model].id,
            split: success.split,
            service_tier: "batch",
            serial,
            diagnostics: None,
        };
        reply::json(&answer, frame)
    }
}
