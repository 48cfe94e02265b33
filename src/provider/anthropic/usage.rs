//! `usage` of a message.

use serde_json::Value;

use crate::domain::Usage;

/// Reads `usage`; `None` when it is no object.
///
/// All members may be absent or null, and one of another form counts as zero: an answer is not given up for its
/// bookkeeping. Counts are cut off at 2³²−1, so that sums of hostile ones can't overflow.
pub(super) fn read(json: &str) -> Option<Usage> {
    let usage: Value = serde_json::from_str(json).ok().filter(Value::is_object)?;
    let count = |pointer: &str| {
        let value = usage.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        value.min(u64::from(u32::MAX))
    };
    let cache_write_1h_tokens = count("/cache_creation/ephemeral_1h_input_tokens");
    let split_5m = count("/cache_creation/ephemeral_5m_input_tokens");
    let is_split = split_5m + cache_write_1h_tokens > 0;
    Some(Usage {
        input_tokens: count("/input_tokens"),
        cache_write_5m_tokens: if is_split { split_5m } else { count("/cache_creation_input_tokens") },
        cache_write_1h_tokens,
        cache_read_tokens: count("/cache_read_input_tokens"),
        output_tokens: count("/output_tokens"),
        web_searches: count("/server_tool_use/web_search_requests"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_of_cache_writes_wins_over_their_sum() {
        let usage = read(
            r#"{"input_tokens":3,"cache_creation_input_tokens":30,"cache_read_input_tokens":7,
                "cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20},
                "output_tokens":5,"server_tool_use":{"web_search_requests":2}}"#,
        );

        let expected = Usage {
            input_tokens: 3,
            cache_write_5m_tokens: 10,
            cache_write_1h_tokens: 20,
            cache_read_tokens: 7,
            output_tokens: 5,
            web_searches: 2,
        };
        assert_eq!(usage, Some(expected));
    }

    #[test]
    fn a_sum_without_a_split_is_a_write_for_five_minutes() {
        let usage =
            read(r#"{"input_tokens":3,"cache_creation_input_tokens":30,"cache_creation":null,"output_tokens":5}"#)
                .expect("an object");

        assert_eq!((usage.cache_write_5m_tokens, usage.cache_write_1h_tokens), (30, 0));
    }

    #[test]
    fn nulls_and_odd_forms_count_as_zero() {
        let usage =
            read(r#"{"input_tokens":null,"output_tokens":-4,"cache_read_input_tokens":"9","server_tool_use":null}"#);

        assert_eq!(usage, Some(Usage::default()));
        assert_eq!(read("[1]"), None);
    }

    #[test]
    fn hostile_counts_do_not_overflow_a_sum() {
        let usage = read(
            r#"{"input_tokens":18446744073709551615,"cache_creation_input_tokens":18446744073709551615,
                "cache_read_input_tokens":18446744073709551615}"#,
        )
        .expect("an object");

        assert_eq!(usage.prompt_tokens(), 3 * u64::from(u32::MAX));
    }
}
