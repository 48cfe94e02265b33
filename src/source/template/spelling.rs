//! Decides where a template needs numbers as they are spelled, and where it calculates with them.
//!
//! A number of a JSON row is written as in the row (`{{ price }}` writes `2.50`), but `{{ price * 2 }}` and
//! `{% if price > 2 %}` need a number. The engine has no value that is both. So each variable in the source is put into a
//! function: [`SPELLED`] in parts that only write values, and [`PLAIN`] in all other parts.
//!
//! A part is the inside of a tag. The words `if` and `else` split a tag into parts: in `{{ price if price > 2 else ""
//! }}` the first `price` is written as in the row. A part only writes values if it has nothing but names, constants,
//! `~`,
//! `and`, `or`, `not` and the filters in [`WRITING`]. In doubt, a part calculates, because a number is then written in
//! the way of the engine (`2.5`), while a spelling in a calculation would be an error.

use minijinja::machinery::{Span, Token, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Value};

use super::columns_as_json::{FROM_JSON, PLAIN_FROM_JSON};
use super::values::{View, seen};

/// The functions that are put around variables.
const SPELLED: &str = "__spelled";
const PLAIN: &str = "__plain";

/// The filters that write values, choose among them or put them in order, but do not compare or calculate.
const WRITING: [&str; 25] = [
    "__looped",
    "capitalize",
    "count",
    "d",
    "default",
    "e",
    "escape",
    "first",
    "from_json",
    "fromjson",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "replace",
    "reverse",
    "safe",
    "split",
    "string",
    "title",
    "trim",
    "upper",
];

/// Words that are no variables.
const WORDS: [&str; 13] =
    ["true", "True", "false", "False", "none", "None", "and", "or", "not", "in", "is", "if", "else"];

/// Adds the functions to an environment.
pub(super) fn add_functions(environment: &mut Environment<'_>) {
    environment.add_function(SPELLED, |value: Value| seen(&value, View::Spelled));
    environment.add_function(PLAIN, |value: Value| seen(&value, View::Plain));
}

/// Puts each variable of a source into the function that its place needs. Returns the new source.
pub(super) fn with_views(text: &str, config: &SyntaxConfig) -> Result<String, minijinja::Error> {
    let tokens = tokenize(text, false, config.clone()).collect::<Result<Vec<_>, _>>()?;
    let mut changed = String::with_capacity(text.len() * 2);
    let mut done = 0;
    for tag in tags(&tokens) {
        for part in parts(tag) {
            let only_writes = only_writes(part);
            for (at, (token, span)) in part.iter().enumerate() {
                let Token::Ident(name) = token else { continue };
                let new = match only_writes {
                    true if is_variable(part, at) => format!("{SPELLED}({name})"),
                    false if is_variable(part, at) => format!("{PLAIN}({name})"),
                    false if FROM_JSON.contains(name) && is_attribute(part, at) => PLAIN_FROM_JSON.to_owned(),
                    _ => continue,
                };
                changed.push_str(&text[done..span.start_offset as usize]);
                changed.push_str(&new);
                done = span.end_offset as usize;
            }
        }
    }
    changed.push_str(&text[done..]);
    Ok(changed)
}

type Tokens<'t, 's> = &'t [(Token<'s>, Span)];

/// Returns the expressions of each tag: what is written, looped over, tested or assigned.
fn tags<'t, 's>(tokens: Tokens<'t, 's>) -> Vec<Tokens<'t, 's>> {
    let mut found = Vec::new();
    let mut rest = tokens;
    while let Some(start) = rest.iter().position(|(token, _)| matches!(token, Token::VariableStart | Token::BlockStart))
    {
        let is_block = matches!(rest[start].0, Token::BlockStart);
        let inside = &rest[start + 1..];
        let end = inside.iter().position(|(token, _)| matches!(token, Token::VariableEnd | Token::BlockEnd));
        let (tag, after) = inside.split_at(end.unwrap_or(inside.len()));
        found.extend(if is_block { of_block(tag) } else { vec![tag] });
        rest = after;
    }
    found
}

fn of_block<'t, 's>(tag: Tokens<'t, 's>) -> Vec<Tokens<'t, 's>> {
    let after = |wanted: fn(&Token<'_>) -> bool| match tag.iter().position(|(token, _)| wanted(token)) {
        Some(at) => vec![&tag[at + 1..]],
        None => Vec::new(),
    };
    match tag.first() {
        Some((Token::Ident("for"), _)) => after(|token| matches!(token, Token::Ident("in"))),
        Some((Token::Ident("set"), _)) => after(|token| matches!(token, Token::Assign)),
        Some((Token::Ident("if" | "elif"), _)) => vec![&tag[1..]],
        Some((Token::Ident("with"), _)) => values_of_with(&tag[1..]),
        _ => Vec::new(),
    }
}

/// Returns the values in `with a = 1, b = 2`.
fn values_of_with<'t, 's>(tag: Tokens<'t, 's>) -> Vec<Tokens<'t, 's>> {
    let assigned = split(tag, |token| matches!(token, Token::Comma));
    let value = |part: Tokens<'t, 's>| {
        let at = part.iter().position(|(token, _)| matches!(token, Token::Assign))?;
        Some(&part[at + 1..])
    };
    assigned.into_iter().filter_map(value).collect()
}

/// Splits an expression at its words `if` and `else`.
fn parts<'t, 's>(tag: Tokens<'t, 's>) -> Vec<Tokens<'t, 's>> {
    split(tag, |token| matches!(token, Token::Ident("if" | "else")))
}

/// Splits tokens at separators that are not inside brackets, and are not the name of an attribute or a filter.
fn split<'t, 's>(tokens: Tokens<'t, 's>, is_separator: fn(&Token<'_>) -> bool) -> Vec<Tokens<'t, 's>> {
    let (mut depth, mut begin, mut found) = (0_usize, 0, Vec::new());
    for (at, (token, _)) in tokens.iter().enumerate() {
        match token {
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => depth += 1,
            Token::ParenClose | Token::BracketClose | Token::BraceClose => depth = depth.saturating_sub(1),
            token if depth == 0 && is_separator(token) && !is_attribute(tokens, at) => {
                found.push(&tokens[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    found.push(&tokens[begin..]);
    found
}

/// Returns whether a name comes after a `.`, a `|` or the word `is`.
fn is_attribute(tokens: Tokens<'_, '_>, at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).map(|at| &tokens[at].0);
    match before(1) {
        Some(Token::Dot | Token::Pipe) => true,
        Some(Token::Ident("is")) => !is_attribute(tokens, at - 1),
        Some(Token::Ident("not")) => matches!(before(2), Some(Token::Ident("is"))),
        _ => false,
    }
}

/// Returns whether a part writes values and does nothing else with them.
fn only_writes(part: Tokens<'_, '_>) -> bool {
    let token = |at: usize| part.get(at).map(|(token, _)| token);
    let is_text = |at: usize| matches!(token(at), Some(Token::Str(_) | Token::String(_)));
    (0..part.len()).all(|at| match &part[at].0 {
        Token::Ident(name) if at > 0 && matches!(token(at - 1), Some(Token::Pipe)) => {
            // `map(attribute="name")` only chooses members. Other forms of `map` call a filter.
            let is_choice = matches!(
                (token(at + 1), token(at + 2), token(at + 3)),
                (Some(Token::ParenOpen), Some(Token::Ident("attribute")), Some(Token::Assign))
            );
            WRITING.contains(name) || *name == "map" && is_choice && is_text(at + 4)
        }
        Token::Ident(name) if is_attribute(part, at) || matches!(*name, "and" | "or" | "not") => {
            !matches!(token(at + 1), Some(Token::ParenOpen)) || matches!(*name, "and" | "or" | "not")
        }
        Token::Ident(name) => !matches!(*name, "in" | "is") && !matches!(token(at + 1), Some(Token::ParenOpen)),
        Token::BracketOpen => {
            // A list such as `[a, b]`, or an element such as `list[0]`.
            let is_list = match at.checked_sub(1).and_then(token) {
                None | Some(Token::ParenOpen | Token::BracketOpen | Token::Comma | Token::Tilde) => true,
                Some(Token::Ident(name)) => matches!(*name, "and" | "or" | "not") && !is_attribute(part, at - 1),
                Some(_) => false,
            };
            is_list
                || (is_text(at + 1) || matches!(token(at + 1), Some(Token::Int(_))))
                    && matches!(token(at + 2), Some(Token::BracketClose))
        }
        Token::Str(_) | Token::String(_) | Token::Int(_) | Token::Int128(_) | Token::Float(_) => true,
        Token::Dot | Token::Comma | Token::Tilde | Token::Pipe | Token::Assign | Token::BracketClose => true,
        Token::ParenOpen | Token::ParenClose => true,
        _ => false,
    })
}

/// Returns whether a name in a part is a variable.
fn is_variable(part: Tokens<'_, '_>, at: usize) -> bool {
    let Token::Ident(name) = part[at].0 else { return false };
    // A name before `=` is the name of an argument.
    let is_other = matches!(part.get(at + 1), Some((Token::Assign | Token::ParenOpen, _)));
    !is_other && !WORDS.contains(&name) && !is_attribute(part, at)
}
