//! Writes the results of a batch: one line of JSON for each request.

use bytes::Bytes;

use crate::sim::faults::Fault;

use super::super::delivery::ResultsPart;
use super::super::fields::Fields;
use super::super::out::id;
use super::super::reply::{self, Frame};
use super::super::state::Model;
use super::batch::{Batch, End, Line, Success};
use super::work::serial;

/// The approximate length of a part of the results, in bytes.
pub(crate) const PART_BYTES: usize = 64 << 10;
/// The usual length of a result line, in bytes. The buffer for a part has room for `PART_BYTES` bytes and one such
/// line.
const LINE_BYTES: usize = 2_000;

impl Model {
    /// Writes a part of the results of a batch. Returns the bytes, and the next part. The next part is `None` at the
    /// end of the results, or if the batch was deleted.
    pub fn write_part(&self, part: ResultsPart) -> (Bytes, Option<ResultsPart>) {
        let mut lines = Vec::with_capacity(PART_BYTES + LINE_BYTES);
        let next = self.write_until(part, PART_BYTES, &mut lines);
        (lines.into(), next)
    }

    /// Returns the results of a batch from the beginning of `part` to the end.
    pub(super) fn write_rest(&self, part: ResultsPart) -> Vec<u8> {
        let mut lines = Vec::new();
        self.write_until(part, usize::MAX, &mut lines);
        lines
    }

    /// Writes result lines until `lines` has at least `bytes` bytes. Returns the next part of the results; `None` at
    /// the end.
    fn write_until(&self, mut part: ResultsPart, bytes: usize, lines: &mut Vec<u8>) -> Option<ResultsPart> {
        let batch = self.batches.by_number.get(&part.batch).filter(|batch| batch.cleared.is_none())?;
        while lines.len() < bytes {
            let row = *batch.order.get(part.place)? as usize;
            self.write_lines(lines, batch, row);
            part.place += 1;
        }
        (part.place < batch.len()).then_some(part)
    }

    /// Writes the result line of a request. If a fault applies, the request gets no line, or it gets two lines.
    fn write_lines(&self, lines: &mut Vec<u8>, batch: &Batch, row: usize) {
        let custom_id = batch.rows.custom_id(row);
        match batch.rows.rows[row].line {
            Line::Missing => {}
            Line::Once => self.write_line(lines, custom_id, batch, row),
            Line::Again(rule) => {
                self.write_line(lines, custom_id, batch, row);
                let other = match &self.config.faults.rules[usize::from(rule)].fault {
                    Fault::ResultExtra { custom_id } => custom_id.as_deref(),
                    _ => None,
                };
                self.write_line(lines, other.unwrap_or(custom_id), batch, row);
            }
        }
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

    /// Returns the answer to a request. The request was answered before, so it is valid.
    fn message_of(&self, batch: &Batch, row: usize, success: &Success) -> Vec<u8> {
        let fields = Fields::read(batch.rows.params(row));
        let answered = fields.and_then(|fields| {
            let content = fields.content_hash(self.config.seed);
            let prompt = self.read_batched(fields, success.model, batch.version)?;
            Ok(self.answer_batched(&prompt, success.model, content, success.rule))
        });
        let Ok(answer) = answered else { return b"null".to_vec() };
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
