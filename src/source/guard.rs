//! Calls a parser from another crate, and turns its panics into errors.
//!
//! Parsers of binary formats can panic on a crafted or damaged file. Such a panic is a fault of the input, not of the
//! program, so the call returns an error, and the panic hook prints nothing. The sizes that a file claims must be
//! checked before each call, because a failed allocation aborts the program instead of causing a panic.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Calls a parser, and returns the message of its panic as an error.
///
/// After a panic, the parser's objects must not be used again.
pub(super) fn guarded<T, E: From<String>>(call: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    HOOK.call_once(|| {
        let hook = take_hook();
        set_hook(Box::new(move |info| {
            if !IS_GUARDED.get() {
                hook(info);
            }
        }));
    });
    let before = IS_GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    IS_GUARDED.set(before);
    result.unwrap_or_else(|panic| Err(E::from(format!("the file is damaged ({})", message(&*panic)))))
}

/// At most this many characters of a panic's message are shown.
const SHOWN: usize = 120;

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text.as_str(),
        (None, None) => "its reader failed",
    };
    text.lines().next().unwrap_or_default().chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_a_parser_is_an_error() {
        let found: Result<(), String> = guarded(|| panic!("index out of bounds\nsecond line"));

        assert_eq!(found, Err("the file is damaged (index out of bounds)".to_owned()));
        assert_eq!(guarded(|| Ok::<_, String>(5)), Ok(5));
    }
}
