//! What the program is made of.

use super::super::page::{Seen, Size};

pub fn page(_: Size) -> Vec<Seen> {
    vec![Seen::new("", "", String::new())]
}
