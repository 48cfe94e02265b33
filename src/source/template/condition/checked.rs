//! Makes a condition strict: missing names, and values that can't be compared, are errors.
//!
//! For the engine, `json.name is not none` is true if there is no `name`. `"10" > 9` is also true, because texts are
//! greater than numbers. Such results would let a condition accept wrong answers. So this module changes a condition's
//! syntax tree before the tree becomes code:
//! - Each name that is read goes through a filter that rejects undefined values. The exceptions are `is defined`, `is
//!   undefined` and `default`: if one of these follows a path, any part of the path can be missing.
//! - Each comparison becomes a call of [`compared`].

use std::collections::BTreeMap;

use minijinja::machinery::Span;
use minijinja::machinery::ast::{
    BinOp, BinOpKind, Call, CallArg, Compare, CompareOp, CompareOpKind, Const, Expr, Filter, GetAttr, GetItem, IfExpr,
    List, Map, Slice, Spanned, Test, Tuple, UnaryOp, UnaryOpKind, Var,
};
use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};

use super::super::error::BYTES_OF_FUEL;
use crate::domain::quoted;

/// The name of the filter that rejects undefined values.
const THERE: &str = "__there";
/// The name of the function that compares values.
const COMPARED: &str = "__compared";

/// Adds the filter and the function to an environment.
pub(super) fn add_checks(environment: &mut Environment<'_>) {
    environment.add_filter(THERE, there);
    environment.add_function(COMPARED, compared);
}

/// Rejects an undefined value. `name` is the value's name in the condition.
fn there(value: Value, name: &str) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, name.to_owned()));
    }
    Ok(value)
}

/// Compares values. In `parts`, values and operators alternate. Returns whether all comparisons are true.
///
/// An order comparison, such as `<`, needs two numbers, two texts or two lists. A number is never equal to a text, but
/// authors of conditions probably expect that the text `7` equals the number 7. So it is an error to compare a number
/// with a text that looks like a number. Many CSV cells are such texts.
fn compared(state: &State<'_, '_>, parts: Rest<Value>) -> Result<bool, Error> {
    let mut holds = true;
    for parts in parts.windows(3).step_by(2) {
        let [left, operator, right] = parts else { continue };
        state.consume_fuel(weight(left).min(weight(right)))?;
        holds &= is_true(left, operator.as_str().unwrap_or_default(), right)?;
    }
    Ok(holds)
}

fn is_true(left: &Value, operator: &str, right: &Value) -> Result<bool, Error> {
    let is_equality = matches!(operator, "==" | "!=");
    let is_comparable = match (left.kind(), right.kind()) {
        (ValueKind::Number, ValueKind::String) => is_equality && !is_number(right),
        (ValueKind::String, ValueKind::Number) => is_equality && !is_number(left),
        (one, other) => {
            let is_ordered = matches!(one, ValueKind::Number | ValueKind::String | ValueKind::Seq) && one == other;
            is_equality || is_ordered
        }
    };
    if !is_comparable {
        let hint = match (left.kind(), right.kind()) {
            (ValueKind::Number, ValueKind::String) | (ValueKind::String, ValueKind::Number) => {
                "; the filter `float` turns a text into a number"
            }
            _ => "",
        };
        let words = format!("it compares {} with {}{hint}", shown(left), shown(right));
        return Err(Error::new(ErrorKind::InvalidOperation, words));
    }
    Ok(match operator {
        "==" => left == right,
        "!=" => left != right,
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        _ => left >= right,
    })
}

fn is_number(text: &Value) -> bool {
    text.as_str().is_some_and(|text| text.trim().parse::<f64>().is_ok())
}

/// Returns a description of a value, for messages.
fn shown(value: &Value) -> String {
    match value.kind() {
        ValueKind::Number => format!("the number {value}"),
        ValueKind::String => format!("the text {}", quoted(value.as_str().unwrap_or_default())),
        ValueKind::Bool => format!("{value}"),
        ValueKind::None => "null".to_owned(),
        ValueKind::Seq => "a list".to_owned(),
        ValueKind::Map => "an object".to_owned(),
        other => format!("a value of the kind {other}"),
    }
}

/// Returns how much fuel a comparison with this value takes.
fn weight(value: &Value) -> u64 {
    match value.as_str() {
        Some(text) => text.len() as u64 / BYTES_OF_FUEL,
        None => value.len().unwrap_or_default() as u64,
    }
}

/// The names that a condition reads.
#[derive(Debug, Default)]
pub(super) struct Names<'a> {
    /// The names of values and functions, with their places.
    pub variables: Vec<(&'a str, Span)>,
    /// The members of `usage`, with their places.
    pub of_usage: Vec<(&'a str, Span)>,
    /// The columns that the condition reads from `row`.
    pub of_row: Vec<(String, Missing)>,
}

/// Changes the syntax tree of a condition so that the condition becomes strict.
pub(super) struct Checked<'a> {
    /// The text of the condition.
    pub text: &'a str,
    /// The names that the condition reads.
    pub names: Names<'a>,
}

impl<'a> Checked<'a> {
    /// Makes an expression strict. The value of the expression is used, so an undefined value is an error.
    pub(super) fn used(&mut self, expr: &Expr<'a>) -> Expr<'a> {
        let span = expr.span();
        match expr {
            Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => {
                let name = self.text.get(start(expr)..span.end_offset as usize).unwrap_or_default();
                let args = vec![CallArg::Pos(constant(Value::from(name), span))];
                let read = self.path(expr, Missing::IsAnError);
                Expr::Filter(Spanned::new(Filter { name: THERE, expr: Some(read), args }, span))
            }
            _ => self.made(expr),
        }
    }

    /// Makes an expression strict, but allows its value to be undefined.
    fn tolerated(&mut self, expr: &Expr<'a>) -> Expr<'a> {
        match expr {
            Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => self.path(expr, Missing::IsTolerated),
            _ => self.used(expr),
        }
    }

    /// Makes a path strict. A path is a variable, a member or an element.
    fn path(&mut self, expr: &Expr<'a>, missing: Missing) -> Expr<'a> {
        let span = expr.span();
        match expr {
            Expr::Var(var) => {
                self.names.variables.push((var.id, span));
                Expr::Var(Spanned::new(Var { id: var.id }, span))
            }
            Expr::GetAttr(own) => {
                match variable(&own.expr) {
                    Some("usage") => self.names.of_usage.push((own.name, span)),
                    Some("row") => self.names.of_row.push((own.name.to_owned(), missing)),
                    Some(_) | None => {}
                }
                let expr = self.outer(&own.expr, missing);
                Expr::GetAttr(Spanned::new(GetAttr { expr, name: own.name }, span))
            }
            Expr::GetItem(own) => {
                if let (Some("row"), Expr::Const(column)) = (variable(&own.expr), &own.subscript_expr)
                    && let Some(column) = column.value.as_str()
                {
                    self.names.of_row.push((column.to_owned(), missing));
                }
                let subscript_expr = self.used(&own.subscript_expr);
                let expr = self.outer(&own.expr, missing);
                Expr::GetItem(Spanned::new(GetItem { expr, subscript_expr }, span))
            }
            _ => self.used(expr),
        }
    }

    /// Makes the outer value of a path strict: if this value is missing, there is an error unless `missing` allows it.
    /// The outer value is the value from which a member or an element is read. If this value is missing and `missing`
    /// allows it, an empty object takes its place.
    fn outer(&mut self, expr: &Expr<'a>, missing: Missing) -> Expr<'a> {
        match missing {
            Missing::IsAnError => self.used(expr),
            Missing::IsTolerated => {
                let span = expr.span();
                let empty = constant(Value::from(BTreeMap::<String, Value>::new()), span);
                let (name, args) = ("default", vec![CallArg::Pos(empty)]);
                Expr::Filter(Spanned::new(Filter { name, expr: Some(self.tolerated(expr)), args }, span))
            }
        }
    }

    /// If an expression is computed from other expressions, makes those other expressions strict.
    fn made(&mut self, expr: &Expr<'a>) -> Expr<'a> {
        let span = expr.span();
        match expr {
            Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => self.used(expr),
            Expr::Const(own) => constant(own.value.clone(), span),
            Expr::Slice(own) => {
                let [start, stop, step] =
                    [&own.start, &own.stop, &own.step].map(|part| part.as_ref().map(|part| self.used(part)));
                let expr = self.used(&own.expr);
                Expr::Slice(Spanned::new(Slice { expr, start, stop, step }, span))
            }
            Expr::UnaryOp(own) => {
                let is_not = matches!(own.op, UnaryOpKind::Not);
                let op = if is_not { UnaryOpKind::Not } else { UnaryOpKind::Neg };
                Expr::UnaryOp(Spanned::new(UnaryOp { op, expr: self.used(&own.expr) }, span))
            }
            Expr::BinOp(own) => self.binary(own, span),
            Expr::Compare(own) => self.chain(own, span),
            Expr::IfExpr(own) => {
                let (test_expr, true_expr) = (self.used(&own.test_expr), self.used(&own.true_expr));
                let false_expr = own.false_expr.as_ref().map(|other| self.used(other));
                Expr::IfExpr(Spanned::new(IfExpr { test_expr, true_expr, false_expr }, span))
            }
            Expr::Filter(own) => {
                let is_tolerant = matches!(own.name, "default" | "d");
                let expr =
                    own.expr.as_ref().map(|expr| if is_tolerant { self.tolerated(expr) } else { self.used(expr) });
                let args = self.args(&own.args);
                Expr::Filter(Spanned::new(Filter { name: own.name, expr, args }, span))
            }
            Expr::Test(own) => {
                let is_tolerant = matches!(own.name, "defined" | "undefined");
                let expr = if is_tolerant { self.tolerated(&own.expr) } else { self.used(&own.expr) };
                let args = self.args(&own.args);
                Expr::Test(Spanned::new(Test { name: own.name, expr, args }, span))
            }
            Expr::Call(own) => {
                let expr = self.path(&own.expr, Missing::IsAnError);
                let args = self.args(&own.args);
                Expr::Call(Spanned::new(Call { expr, args }, span))
            }
            Expr::List(own) => Expr::List(Spanned::new(List { items: self.all(&own.items) }, span)),
            Expr::Tuple(own) => Expr::Tuple(Spanned::new(Tuple { items: self.all(&own.items) }, span)),
            Expr::Map(own) => {
                let (keys, values) = (self.all(&own.keys), self.all(&own.values));
                Expr::Map(Spanned::new(Map { keys, values }, span))
            }
        }
    }

    fn all(&mut self, items: &[Expr<'a>]) -> Vec<Expr<'a>> {
        items.iter().map(|item| self.used(item)).collect()
    }

    fn args(&mut self, args: &[CallArg<'a>]) -> Vec<CallArg<'a>> {
        let own = |arg: &CallArg<'a>| match arg {
            CallArg::Pos(value) => CallArg::Pos(self.used(value)),
            CallArg::Kwarg(name, value) => CallArg::Kwarg(name, self.used(value)),
            CallArg::PosSplat(value) => CallArg::PosSplat(self.used(value)),
            CallArg::KwargSplat(value) => CallArg::KwargSplat(self.used(value)),
        };
        args.iter().map(own).collect()
    }

    fn binary(&mut self, own: &BinOp<'a>, span: Span) -> Expr<'a> {
        let (left, right) = (self.used(&own.left), self.used(&own.right));
        let operator = match own.op {
            BinOpKind::Eq => "==",
            BinOpKind::Ne => "!=",
            BinOpKind::Lt => "<",
            BinOpKind::Lte => "<=",
            BinOpKind::Gt => ">",
            BinOpKind::Gte => ">=",
            op => return Expr::BinOp(Spanned::new(BinOp { op, left, right }, span)),
        };
        comparison(vec![left, constant(Value::from(operator), span), right], span)
    }

    fn chain(&mut self, own: &Compare<'a>, span: Span) -> Expr<'a> {
        let operators: Option<Vec<&str>> = own.ops.iter().map(|part| operator(part.op)).collect();
        let first = self.used(&own.expr);
        let Some(operators) = operators else {
            // `in` and `not in` need no check, because the engine only searches a list for a value.
            let ops = own.ops.iter().map(|part| CompareOp { op: part.op, expr: self.used(&part.expr) }).collect();
            return Expr::Compare(Spanned::new(Compare { expr: first, ops }, span));
        };
        let mut parts = vec![first];
        for (operator, part) in operators.into_iter().zip(&own.ops) {
            parts.push(constant(Value::from(operator), span));
            parts.push(self.used(&part.expr));
        }
        comparison(parts, span)
    }
}

/// Returns where the first name of a path begins. The engine says where the last part of a path begins, but not where
/// the path itself begins.
fn start(mut path: &Expr<'_>) -> usize {
    loop {
        path = match path {
            Expr::GetAttr(own) => &own.expr,
            Expr::GetItem(own) => &own.expr,
            first => return first.span().start_offset as usize,
        };
    }
}

/// Returns the name of a variable.
fn variable<'a>(expr: &Expr<'a>) -> Option<&'a str> {
    match expr {
        Expr::Var(var) => Some(var.id),
        _ => None,
    }
}

/// What happens if a part of a path such as `json.name` is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// A missing part is an error: the condition can't be evaluated.
    IsAnError,
    /// A missing part is allowed, because the condition tests whether it is there.
    IsTolerated,
}

fn operator(op: CompareOpKind) -> Option<&'static str> {
    match op {
        CompareOpKind::Eq => Some("=="),
        CompareOpKind::Ne => Some("!="),
        CompareOpKind::Lt => Some("<"),
        CompareOpKind::Lte => Some("<="),
        CompareOpKind::Gt => Some(">"),
        CompareOpKind::Gte => Some(">="),
        CompareOpKind::In | CompareOpKind::NotIn => None,
    }
}

fn constant<'a>(value: Value, span: Span) -> Expr<'a> {
    Expr::Const(Spanned::new(Const { value }, span))
}

fn comparison<'a>(parts: Vec<Expr<'a>>, span: Span) -> Expr<'a> {
    let expr = Expr::Var(Spanned::new(Var { id: COMPARED }, span));
    let args = parts.into_iter().map(CallArg::Pos).collect();
    Expr::Call(Spanned::new(Call { expr, args }, span))
}
