//! Lists batches in pages.

use serde_json::{Value, json};

use super::super::endpoints::Caller;
use super::super::errors::ApiError;
use super::super::exchange::Request;
use super::super::lists::{limit, page, parameter};
use super::super::state::Model;
use super::batch::Batch;

impl Model {
    /// Returns one page of the batches of an organization, the newest first.
    pub(super) fn list_batches(&mut self, request: &Request<'_>, caller: Caller) -> Result<Value, ApiError> {
        let size = limit(request.query)?;
        let numbers: Vec<u64> =
            self.batches.newest_first(caller.organization).into_iter().map(|(number, _)| number).collect();
        let hidden: Vec<bool> = numbers.iter().map(|number| self.is_unlisted(*number)).collect();
        let place = |name: &str| {
            let Some(id) = parameter(request.query, name) else { return Ok(None) };
            let number = self.batches.find(&id, caller.organization);
            let at = number.and_then(|number| numbers.iter().position(|own| *own == number));
            at.map(Some).ok_or_else(|| ApiError::invalid(format!("{name}: {id} is not a message batch")))
        };
        // Returns the number of shown batches before an index. Hidden batches do not count.
        let shown_before = |place: usize| hidden[..place].iter().filter(|hidden| !**hidden).count();
        let after = place("after_id")?.map_or(0, |at| shown_before(at + 1));
        let before = place("before_id")?.map(shown_before);
        let shown: Vec<&Batch> = numbers
            .iter()
            .zip(&hidden)
            .filter(|(_, hidden)| !**hidden)
            .filter_map(|(number, _)| self.batches.by_number.get(number))
            .collect();
        let (page, has_more) = page(&shown, size, after, before);
        Ok(json!({
            "data": page.iter().map(|batch| self.show(batch, request)).collect::<Vec<_>>(),
            "has_more": has_more,
            "first_id": page.first().map(|batch| &*batch.id),
            "last_id": page.last().map(|batch| &*batch.id),
        }))
    }
}
