//! Server tools: tools that the API runs itself. The simulator recognizes server tools by their types.
//!
//! An answer with a server tool contains the call, its result and a text. Such an answer has the same stop reason as an
//! answer without tools, because the client does not run the tool. Source: API documentation, "Server tools", "Web
//! search tool" and "Web fetch tool" (2026-10). The simulator knows only web search and web fetch. If a request has
//! other server tools, the model answers with text.

use super::tokens;

/// If the client runs a tool, the tool's type begins with one of these prefixes.
const RUN_BY_CLIENTS: [&str; 5] = ["custom", "bash_", "text_editor_", "computer_", "memory_"];

/// The number of tokens of a call, without the tokens of its input.
const CALL: u64 = 12;

/// Returns whether the API itself runs a tool of this type.
pub(super) fn is_served(kind: Option<&str>) -> bool {
    kind.is_some_and(|kind| !RUN_BY_CLIENTS.iter().any(|begin| kind.starts_with(begin)))
}

/// A call of a server tool, and its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Served {
    /// The name of the tool.
    pub name: &'static str,
    /// The input of the tool, as JSON.
    pub input: &'static str,
    /// The type of the block that contains the result.
    pub result_kind: &'static str,
    /// The content of the block with the result, as JSON.
    pub result: &'static str,
}

impl Served {
    /// Returns a call of the server tool with the type `kind`; `None` if the simulator does not know the tool.
    pub(super) fn of(kind: &str) -> Option<Self> {
        [("web_search_", SEARCH), ("web_fetch_", FETCH)]
            .into_iter()
            .find_map(|(begin, served)| kind.starts_with(begin).then_some(served))
    }

    /// Returns the number of output tokens of the call. The result of the call does not count as output.
    pub(super) fn tokens(&self) -> u64 {
        tokens::of_text(self.input) + CALL
    }

    /// Returns whether the call is a web search, which is charged separately.
    pub(super) fn is_search(&self) -> bool {
        self.name == SEARCH.name
    }
}

const SEARCH: Served = Served {
    name: "web_search",
    input: r#"{"query":"summer market opening hours"}"#,
    result_kind: "web_search_tool_result",
    result: r#"[{"type":"web_search_result","url":"https://example.invalid/market","title":"Summer market","encrypted_content":"c2ltdWxhdGVkLXJlc3VsdA==","page_age":"March 14, 2026"}]"#,
};

const FETCH: Served = Served {
    name: "web_fetch",
    input: r#"{"url":"https://example.invalid/market"}"#,
    result_kind: "web_fetch_tool_result",
    result: r#"{"type":"web_fetch_result","url":"https://example.invalid/market","content":{"type":"document","source":{"type":"text","media_type":"text/plain","data":"Open from nine to five."},"title":"Summer market"},"retrieved_at":"2026-03-14T09:00:00Z"}"#,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_tools_are_distinguished_from_tools_that_clients_run() {
        let served = ["web_search_20250305", "web_fetch_20250910", "code_execution_20250825", "mcp_toolset"];
        let own = ["custom", "bash_20250124", "text_editor_20250728", "computer_20250124", "memory_20250818"];

        assert!(served.iter().all(|kind| is_served(Some(kind))));
        assert!(!own.iter().any(|kind| is_served(Some(kind))) && !is_served(None));
    }

    #[test]
    fn inputs_and_results_are_json() {
        for Served { input, result, .. } in [SEARCH, FETCH] {
            assert!(serde_json::from_str::<serde_json::Value>(input).is_ok_and(|input| input.is_object()));
            assert!(serde_json::from_str::<serde_json::Value>(result).is_ok(), "{result}");
        }
    }
}
