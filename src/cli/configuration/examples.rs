//! Example values for settings without a default, in the syntax of a configuration file.

/// The examples, by the names of the settings.
const EXAMPLES: [(&str, &str); 41] = [
    ("id", r#""ticket""#),
    ("sheet", r#""Tickets""#),
    ("template", r#""Classify this ticket: {{body}}""#),
    ("limit", "100"),
    ("map-model", r#"{ "gpt-4o-mini" = "claude-haiku-4-5" }"#),
    ("system", r#""@system.txt""#),
    ("param", "{ temperature = 0 }"),
    ("beta", r#"["name-2026-01-01"]"#),
    ("header", r#"{ x-team = "support" }"#),
    ("output", r#""answers.csv""#),
    ("errors", r#""failed.jsonl""#),
    ("output-format", r#""csv""#),
    ("fields", r#"["id", "text"]"#),
    ("order", r#""input""#),
    ("rpm", "1000"),
    ("itpm", "450_000"),
    ("otpm", "90_000"),
    ("deadline", r#""18:00""#),
    ("grace", r#""30s""#),
    ("max-cost", "40"),
    ("max-requests", "10_000"),
    ("max-time", r#""8h""#),
    ("reuse", r#"["old.results.jsonl"]"#),
    ("prices", r#""prices.toml""#),
    ("schema", r#""schema.json""#),
    ("expect", r#""json""#),
    ("require", r#"["text != ''"]"#),
    ("on-invalid", r#""repair""#),
    ("on-truncate", r#""grow""#),
    ("on-refusal", r#""keep""#),
    ("rerun", r#"["truncated"]"#),
    ("simulate-faults", r#""faults.json""#),
    ("simulate-answers", r#""answers.json""#),
    ("base-url", r#""https://gateway.example.invalid""#),
    ("ca-file", r#""ca.pem""#),
    ("notify", r#"["env:SLACK_URL"]"#),
    ("schedule", r#"["mon-fri 9:00-18:00 headroom=50%"]"#),
    ("log", r#""events.jsonl""#),
    ("api-key-file", r#""key.txt""#),
    ("api-key-cmd", r#""pass show anthropic""#),
    ("api-key-ttl", r#""10m""#),
];

/// Returns the example value of a setting; `None` if the setting has no example.
pub(super) fn example(name: &str) -> Option<&'static str> {
    EXAMPLES.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
}
