//! Checks the size and the depth of a template's source before it is parsed.
//!
//! The parser itself limits how deep brackets and blocks are nested. But in a chain of operators, filters, calls or
//! `elif` tags, each link also makes the syntax tree deeper. The parser and the engine visit this tree recursively. So
//! before the template is parsed, this module counts the tokens without recursion. The limits are far above any
//! template that people write.
//!
//! Parsing runs on a separate thread with [`PARSER_STACK_BYTES`] of stack. An accepted template needs at most a fifth
//! of this stack, even in a build without optimization.

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;

use super::error::{TemplateError, syntax};

/// The maximum length of a template's source, in bytes.
const MAX_SOURCE_BYTES: usize = 1 << 20;
/// Some tokens can make the syntax tree deeper, by at most one level for each token. One tag can have at most this
/// number of such tokens.
const MAX_TAG_SIGNS: usize = 2_000;
/// The largest number of places where a template can put a value into a list or an object. Loops keep no state, so
/// values are never nested deeper than this number. The depth matters because recursive functions show, compare and
/// free each value.
const MAX_CONTAINERS: usize = 1_000;
/// Filters and functions that put their arguments into a list or an object.
const CONTAINERS: [&str; 6] = ["batch", "slice", "groupby", "zip", "chain", "dict"];
/// The largest number of `elif` tags. In the syntax tree, each `elif` is nested in the previous one.
const MAX_ELIFS: usize = 500;

/// The kind of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    /// The source is text with tags.
    Text,
    /// The source is one expression, like the expression inside a tag.
    Expression,
}

/// The stack size of the thread that parses.
pub(super) const PARSER_STACK_BYTES: usize = 32 << 20;

/// Rejects a source that is too large or too deep to parse or to fill in.
pub(super) fn check(text: &str, config: &SyntaxConfig) -> Result<(), TemplateError> {
    check_length(text)?;
    check_tokens(text, Within::Text, config)
}

/// Rejects a source that is too deep to parse or to evaluate.
pub(super) fn check_tokens(text: &str, within: Within, config: &SyntaxConfig) -> Result<(), TemplateError> {
    let (mut signs, mut containers, mut elifs) = (0, 0, 0);
    let (mut is_tag_start, mut is_loop) = (false, false);
    for token in tokenize(text, within == Within::Expression, config.clone()) {
        let (token, span) = token.map_err(|error| syntax(&error))?;
        let line = usize::from(span.start_line);
        match &token {
            Token::VariableStart | Token::BlockStart => (signs, is_loop) = (0, false),
            Token::Ident("elif") if is_tag_start => elifs += 1,
            Token::Ident("for") if is_tag_start => is_loop = true,
            Token::Ident("recursive") if is_loop => {
                return Err(refused(line, "loops that call themselves (recursive) are not supported".to_owned()));
            }
            Token::BracketOpen | Token::BraceOpen => containers += 1,
            Token::Ident(name) if CONTAINERS.contains(name) => containers += 1,
            _ => {}
        }
        signs += usize::from(may_nest(&token));
        is_tag_start = matches!(token, Token::BlockStart);
        for (found, most, what) in [
            (signs, MAX_TAG_SIGNS, "operators, filters and calls in one tag"),
            (containers, MAX_CONTAINERS, "lists and objects"),
            (elifs, MAX_ELIFS, "elif tags"),
        ] {
            if found > most {
                return Err(refused(line, format!("it has more than {most} {what}")));
            }
        }
    }
    Ok(())
}

/// Rejects a source that is too long.
pub(super) fn check_length(text: &str) -> Result<(), TemplateError> {
    if text.len() > MAX_SOURCE_BYTES {
        return Err(refused(1, format!("it is longer than {} KiB", MAX_SOURCE_BYTES >> 10)));
    }
    Ok(())
}

fn refused(line: usize, message: String) -> TemplateError {
    TemplateError::Syntax { line: line.max(1).into(), message }
}

/// Returns whether a token can add a level to the syntax tree. A word can add a level, because `and`, `not` and `is`
/// are words.
fn may_nest(token: &Token<'_>) -> bool {
    match token {
        Token::TemplateData(_)
        | Token::VariableStart
        | Token::VariableEnd
        | Token::BlockStart
        | Token::BlockEnd
        | Token::Str(_)
        | Token::String(_)
        | Token::Int(_)
        | Token::Int128(_)
        | Token::Float(_)
        | Token::Comma
        | Token::Colon
        | Token::Assign
        | Token::BracketClose
        | Token::ParenClose
        | Token::BraceClose => false,
        Token::Ident(_)
        | Token::Plus
        | Token::Minus
        | Token::Mul
        | Token::Div
        | Token::FloorDiv
        | Token::Pow
        | Token::Mod
        | Token::Dot
        | Token::Tilde
        | Token::Pipe
        | Token::Eq
        | Token::Ne
        | Token::Gt
        | Token::Gte
        | Token::Lt
        | Token::Lte
        | Token::BracketOpen
        | Token::ParenOpen
        | Token::BraceOpen => true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, Template};

    /// Kinds of nesting. Each kind has four texts: the text before, the repeated text, the text that closes each level,
    /// and the text after.
    const NESTINGS: [(&str, &str, &str, &str); 24] = [
        ("{{ 1", "+x", "", " }}"),
        ("{{ 1", "~x", "", " }}"),
        ("{{ 1", "**1", "", " }}"),
        ("{{ 1", "//1", "", " }}"),
        ("{{ x", "|upper", "", " }}"),
        ("{{ x", ".a", "", " }}"),
        ("{{ x", "()", "", " }}"),
        ("{{ x", "[0]", "", " }}"),
        ("{{ x", "[:1]", "", " }}"),
        ("{{ x", " and x", "", " }}"),
        ("{{ x", " or x", "", " }}"),
        ("{{ x", " is defined", "", " }}"),
        ("{{ x", " in x", "", " }}"),
        ("{{ x", " < x", "", " }}"),
        ("{{ x", " if x else x", "", " }}"),
        ("{{ ", "not ", "", "x }}"),
        ("{{ ", "-", "", "1 }}"),
        ("{{ ", "(", ")", " }}"),
        ("{{ ", "[", "]", " }}"),
        ("{{ ", "{'a':", "}", " }}"),
        ("{% filter upper", "|upper", "", " %}x{% endfilter %}"),
        ("{% if x %}", "{% elif x %}", "", "{% endif %}"),
        ("", "{% if x %}", "{% endif %}", ""),
        ("", "{% for x in [1] %}", "{% endfor %}", ""),
    ];

    #[test]
    fn deep_nesting_is_refused_with_a_message_and_never_overflows() {
        for (before, open, close, behind) in NESTINGS {
            for depth in [40, 140, 450, 900, 1_900, 10_000, 100_000] {
                let inner = if close.is_empty() { "" } else { "x" };
                let text = format!("{before}{}{inner}{}{behind}", open.repeat(depth), close.repeat(depth));

                match Template::read(&text) {
                    // Even if the template fails, the function must return.
                    Ok(template) => drop(template.render(&[("x", Cell::Text("x"))])),
                    Err(error) => {
                        assert!(depth > 40, "{open}: {error}");
                        assert!(error.to_string().len() < 300, "{open}: {error}");
                    }
                }
                let told = Template::parse(&text).map_err(|error| error.to_string());
                assert!(depth < 10_000 || told.is_err(), "{open} {depth} times is refused");
                assert!(told.err().is_none_or(|told| told.len() < 600), "{open}");
            }
        }
    }

    #[test]
    fn lists_that_are_nested_by_assignments_can_be_shown_compared_and_freed() {
        for open in ["[a]", "{'k': a}", "[a]|batch(1)|list", "dict(k=a)", "[a]|zip([1])|list"] {
            for depth in [300, 499, 900, 5_000] {
                let text = format!(
                    "{{% set a = [x] %}}{}{{% set b = a %}}{{{{ a }}}}{{{{ [a] == [b] }}}}{{{{ a|string|length }}}}",
                    format!("{{% set a = {open} %}}").repeat(depth)
                );

                // The test runs in a thread with the same stack size as the threads that read rows.
                let filled = std::thread::spawn(move || {
                    Template::parse(&text).and_then(|template| template.render(&[("x", Cell::Text("x"))]))
                });

                let filled = filled.join().expect("it does not panic");
                assert!(filled.is_ok() || depth > 300, "{open} {depth} times: {filled:?}");
                assert!(filled.is_err() || depth < 5_000, "{open} {depth} times is refused");
            }
        }
    }

    #[test]
    fn sources_that_are_too_long_and_loops_that_call_themselves_are_refused() {
        let long = "x".repeat((1 << 20) + 1);
        for (text, part) in [
            (long.as_str(), "longer than 1024 KiB"),
            ("\n{% for a in x recursive %}{{ loop(a) }}{% endfor %}", "line 2"),
            ("{% macro m() %}{{ m() }}{% endmacro %}", "unknown statement"),
            ("{% block b %}{{ self.b() }}{% endblock %}", "unknown statement"),
        ] {
            let error = Template::parse(text).expect_err("it is refused").to_string();

            assert!(error.contains(part), "{error}");
        }
        assert!(Template::parse("{{ recursive }}{{ row.recursive }}").is_ok());
    }

    #[test]
    fn random_templates_never_panic_or_hang() {
        const PIECES: [&str; 40] = [
            "{{ ",
            " }}",
            "{% ",
            " %}",
            "x",
            "a",
            "1",
            "'s'",
            "[",
            "]",
            "(",
            ")",
            "{",
            "}",
            ", ",
            ": ",
            "|",
            ".",
            "~",
            " + ",
            " * ",
            " == ",
            "upper",
            "length",
            "join",
            "range(9)",
            "for a in x",
            "endfor",
            "if x",
            "endif",
            "set a = x",
            " not ",
            " is defined",
            "{# ",
            " #}",
            "{% raw %}",
            "{% endraw %}",
            "batch(2)",
            "\n",
            "999999999",
        ];
        let seed = 23;
        let mut random = fastrand::Rng::with_seed(seed);
        for case in 0..5_000 {
            let text: String = (0..random.usize(1..40)).map(|_| PIECES[random.usize(0..PIECES.len())]).collect();

            let begun = std::time::Instant::now();
            if let Ok(template) = Template::read(&text) {
                let _ = template.render(&[("x", Cell::Json(r#"[1,"two",{"a":[]}]"#))]);
            }

            assert!(begun.elapsed().as_secs() < 20, "seed {seed}, case {case}: {text}");
        }
    }
}
