//! Asks the API for the list of limits that administrators can read.

use anyhow::{Result, bail};

use super::super::server::{Server, Stopped};
use super::asking::{failed, judged};
use super::found::Found;
use crate::provider::anthropic::rate_limits::read_limits;
use crate::report::text::{escape, shorten};

/// The highest number of pages that are read. A page has room for dozens of groups, but an organization has only about
/// twenty groups.
const MOST_PAGES: usize = 20;

/// A parser's message is shortened to at most this many terminal columns.
const MOST_COLUMNS: usize = 200;

/// Asks the API for the limits of the organization. A request for the list of limits is free.
///
/// # Errors
/// Fails if the response is not a list of limits. If the server rejects the request, or if the request fails, returns
/// an inner `Err`.
pub(super) fn ask(server: &Server) -> Result<Result<Found, Stopped>> {
    let (mut groups, mut mark) = (Vec::new(), None);
    for _ in 0..MOST_PAGES {
        let Some(request) = server.provider.ask_limits(mark.as_deref()) else {
            bail!("{} names the next page of its limits in a way that can't be sent back", server.origin);
        };
        let response = match server.send(request) {
            Ok(response) => response,
            Err(error) => return Ok(Err(failed(&error))),
        };
        if response.head.status != 200 {
            return Ok(Err(judged(server, response, "the list of limits")));
        }
        let mut page = match read_limits(&response.body) {
            Ok(page) => page,
            Err(error) => {
                // The parser's message may quote the response, so secrets are removed from it.
                let mut error = error.to_string();
                server.clean(&mut error);
                bail!(
                    "{} does not answer as the API does when it is asked for limits ({}); check --base-url",
                    server.origin,
                    escape(&shorten(&error, MOST_COLUMNS))
                )
            }
        };
        page.texts().for_each(|text| server.clean(text));
        groups.extend(page.groups);
        mark = page.next;
        if mark.is_none() {
            break;
        }
    }
    Ok(Ok(Found::Organization { origin: server.origin.clone(), groups }))
}
