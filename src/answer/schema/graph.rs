//! The graph of a schema's subschemas. If subschema A applies subschema B, an edge leads from A to B.
//!
//! The graph answers three questions: whether a reference leaves the file, how many subschemas apply to one value, and
//! whether a schema contains itself. The number of subschemas and the cycles in the graph decide how long a check can
//! take. The graph treats a `$dynamicRef` like a `$ref`.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::error::{SchemaError, shown_place};
use super::keywords::{REFERENCES, Reach, subschemas};
use crate::domain::quoted;

/// The highest allowed number of subschemas that apply to one value. With this number, a check takes a few
/// milliseconds.
const WIDEST: u64 = 10_000;

/// A chain of subschemas that apply to one value can have at most this length. For example, a chain can be a reference
/// to an `allOf` that contains another reference. In most schemas, chains have fewer than ten subschemas.
const DEEPEST: u64 = 64;

/// The program computes how often a part of a value is checked. This computation takes at most `MOST_STEPS` steps.
const MOST_STEPS: usize = 1_000_000;

/// The subschemas of a schema. Each subschema is a node. Each node lists the subschemas that it applies.
pub(super) struct Graph {
    nodes: Vec<Node>,
    /// The length of the longest chain of subschemas that apply to one value. Each subschema in a chain applies the
    /// next subschema to this value.
    pub(super) depth: u64,
}

#[derive(Default)]
struct Node {
    pointer: String,
    /// This subschema applies the subschemas at these positions to the whole value.
    same: Vec<usize>,
    /// This subschema applies the subschemas at these positions to parts of the value.
    inner: Vec<(Reach, usize)>,
}

impl Graph {
    /// Reads the subschemas of a schema.
    ///
    /// # Errors
    /// Returns [`SchemaError::Remote`], [`SchemaError::Missing`] or [`SchemaError::TooWide`].
    pub(super) fn new(schema: &Value) -> Result<Self, SchemaError> {
        let mut graph = Builder::new(schema).build()?;
        graph.depth = graph.check_width()?;
        Ok(graph)
    }

    /// Checks how many subschemas apply to one value. Returns the length of the longest chain of subschemas that apply
    /// to one value.
    fn check_width(&self) -> Result<u64, SchemaError> {
        let mut sizes = vec![(0_u64, 0_u64); self.nodes.len()];
        for at in self.inner_first() {
            let inner = || self.nodes[at].same.iter().map(|&next| sizes[next]);
            let width = inner().fold(1_u64, |sum, (width, _)| sum.saturating_add(width));
            let depth = inner().map(|(_, depth)| depth + 1).max().unwrap_or_default();
            let limit = if width > WIDEST { WIDEST } else { DEEPEST };
            if width > WIDEST || depth > DEEPEST {
                return Err(SchemaError::TooWide { place: shown_place(&self.nodes[at].pointer), limit });
            }
            sizes[at] = (width, depth);
        }
        Ok(sizes.iter().map(|(_, depth)| depth + 1).max().unwrap_or(1))
    }

    /// Returns all nodes, sorted: if a node applies other nodes to the same value, those nodes come before it. If nodes
    /// form a circle, their order is not defined.
    fn inner_first(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.nodes.len());
        let mut seen = vec![false; self.nodes.len()];
        for start in 0..self.nodes.len() {
            walk(start, &mut seen, |at| &self.nodes[at].same, &mut order);
        }
        order
    }

    /// If the schema contains itself, returns how often one check of a value can visit the same part of the value. If
    /// the result is 1, the time of a check is proportional to the number of parts. If the result is 2 or more, the
    /// time at least doubles with each level of the value.
    pub(super) fn repeats(&self) -> u32 {
        let circle = self.circles();
        let mut steps = 0;
        let all = (0..self.nodes.len()).filter_map(|at| Some((at, circle[at]?)));
        all.map(|(at, number)| self.repeats_at(at, |next| circle[next] == Some(number), &mut steps)).max().unwrap_or(1)
    }

    fn repeats_at(&self, start: usize, is_in_circle: impl Fn(usize) -> bool, steps: &mut usize) -> u32 {
        let mut counts: HashMap<&Reach, u32> = HashMap::new();
        let mut open = vec![start];
        let mut visits = 0;
        while let Some(at) = open.pop() {
            *steps += 1;
            visits += 1;
            if *steps > MOST_STEPS || visits > WIDEST {
                return u32::MAX;
            }
            open.extend(self.nodes[at].same.iter().filter(|&&next| next != start));
            for (reach, _) in self.nodes[at].inner.iter().filter(|(_, next)| is_in_circle(*next)) {
                *counts.entry(reach).or_default() += 1;
            }
        }
        let anywhere = counts.remove(&Reach::Inner).unwrap_or_default();
        anywhere + counts.into_values().max().unwrap_or_default()
    }

    /// Returns the pointer of a subschema that contains itself.
    pub(super) fn circle(&self) -> Option<&str> {
        let at = self.circles().iter().position(Option::is_some)?;
        Some(&self.nodes[at].pointer)
    }

    /// Returns, for each node, a number that identifies its circle (subschemas that lead to each other). Returns `None`
    /// for a node that is in no circle.
    fn circles(&self) -> Vec<Option<usize>> {
        let all = |at: usize| self.nodes[at].same.iter().copied().chain(self.nodes[at].inner.iter().map(|(_, to)| *to));
        let forward: Vec<Vec<usize>> = (0..self.nodes.len()).map(|at| all(at).collect()).collect();
        let mut backward = vec![Vec::new(); self.nodes.len()];
        for (from, nexts) in forward.iter().enumerate() {
            nexts.iter().for_each(|&to| backward[to].push(from));
        }
        let mut order = Vec::new();
        let mut seen = vec![false; self.nodes.len()];
        (0..self.nodes.len()).for_each(|start| walk(start, &mut seen, |at| &forward[at], &mut order));
        let mut circles = vec![None; self.nodes.len()];
        seen.fill(false);
        for &start in order.iter().rev() {
            let mut members = Vec::new();
            walk(start, &mut seen, |at| &backward[at], &mut members);
            let is_circle = members.len() > 1 || forward[start].contains(&start);
            members.into_iter().filter(|_| is_circle).for_each(|at| circles[at] = Some(start));
        }
        circles
    }
}

/// Adds to `order` all nodes that can be reached from `start`, except for nodes that were seen before. A node comes
/// after all nodes that can be reached from it. The function is not recursive, because a chain of references can be
/// long.
fn walk<'g>(start: usize, seen: &mut [bool], nexts: impl Fn(usize) -> &'g Vec<usize>, order: &mut Vec<usize>) {
    if std::mem::replace(&mut seen[start], true) {
        return;
    }
    let mut open = vec![(start, 0)];
    while let Some((at, done)) = open.last_mut() {
        match nexts(*at).get(*done) {
            Some(&next) => {
                *done += 1;
                if !std::mem::replace(&mut seen[next], true) {
                    open.push((next, 0));
                }
            }
            None => {
                order.push(*at);
                open.pop();
            }
        }
    }
}

/// A subschema that is not read yet.
struct Open<'s> {
    at: usize,
    value: &'s Value,
    /// The base: the pointer of the closest enclosing schema that has an `$id`. References are relative to the base.
    base: String,
}

struct Builder<'s> {
    root: &'s Value,
    graph: Graph,
    by_pointer: BTreeMap<String, usize>,
    open: Vec<Open<'s>>,
    /// The places of the anchors. Each key has two parts: the pointer of a base, and the name of an anchor.
    anchors: HashMap<(String, String), String>,
    references: Vec<(usize, &'static str, String, String)>,
}

impl<'s> Builder<'s> {
    fn new(root: &'s Value) -> Self {
        let graph = Graph { nodes: Vec::new(), depth: 1 };
        let (by_pointer, anchors) = (BTreeMap::new(), HashMap::new());
        let mut builder = Self { root, graph, by_pointer, open: Vec::new(), anchors, references: Vec::new() };
        builder.node(String::new(), root, "");
        builder
    }

    fn build(mut self) -> Result<Graph, SchemaError> {
        loop {
            while let Some(open) = self.open.pop() {
                self.read(open)?;
            }
            let Some((from, keyword, base, target)) = self.references.pop() else { return Ok(self.graph) };
            self.refer(from, keyword, &base, &target)?;
        }
    }

    /// Returns the node at a pointer. If the node is new, its subschema is read later.
    fn node(&mut self, pointer: String, value: &'s Value, base: &str) -> usize {
        if let Some(&at) = self.by_pointer.get(&pointer) {
            return at;
        }
        let at = self.graph.nodes.len();
        self.graph.nodes.push(Node { pointer: pointer.clone(), ..Node::default() });
        self.by_pointer.insert(pointer, at);
        self.open.push(Open { at, value, base: base.to_owned() });
        at
    }

    fn read(&mut self, Open { at, value, base }: Open<'s>) -> Result<(), SchemaError> {
        let pointer = self.graph.nodes[at].pointer.clone();
        let has_id = value.get("$id").and_then(Value::as_str).is_some_and(|id| !id.starts_with('#'));
        let base = if has_id { pointer.clone() } else { base };
        for keyword in ["$anchor", "$dynamicAnchor", "$id"] {
            if let Some(name) = value.get(keyword).and_then(Value::as_str) {
                let name = name.strip_prefix('#').unwrap_or(name);
                self.anchors.insert((base.clone(), name.to_owned()), pointer.clone());
            }
        }
        for (place, reach, inner) in subschemas(value) {
            let to = self.node(format!("{pointer}{place}"), inner, &base);
            match reach {
                Reach::Same => self.graph.nodes[at].same.push(to),
                Reach::Member(_) | Reach::Inner => self.graph.nodes[at].inner.push((reach, to)),
                Reach::Nothing => {}
            }
        }
        for keyword in REFERENCES {
            let Some(target) = value.get(keyword).and_then(Value::as_str) else { continue };
            if !target.starts_with('#') {
                let place = shown_place(&format!("{pointer}/{keyword}"));
                return Err(SchemaError::Remote { place, target: quoted(target) });
            }
            self.references.push((at, keyword, base.clone(), target.to_owned()));
        }
        Ok(())
    }

    /// Adds a reference. A reference to an anchor that is not found is ignored here, because the validator reports it.
    fn refer(&mut self, from: usize, keyword: &str, base: &str, target: &str) -> Result<(), SchemaError> {
        let fragment = decoded(&target[1..]);
        let pointer = match fragment.is_empty() || fragment.starts_with('/') {
            true => format!("{base}{fragment}"),
            false => match self.anchors.get(&(base.to_owned(), fragment)) {
                Some(pointer) => pointer.clone(),
                None => return Ok(()),
            },
        };
        let Some(value) = self.root.pointer(&pointer) else {
            let place = shown_place(&format!("{}/{keyword}", self.graph.nodes[from].pointer));
            return Err(SchemaError::Missing { place, target: quoted(target) });
        };
        let to = self.node(pointer, value, base);
        self.graph.nodes[from].same.push(to);
        Ok(())
    }
}

/// Returns the fragment of a reference, with the percent escapes decoded.
fn decoded(fragment: &str) -> String {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escape = (byte == b'%').then(|| after.get(..2)).flatten();
        let escaped = escape.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| fragment.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn repeats(schema: Value) -> u32 {
        Graph::new(&schema).expect("the schema has no fault").repeats()
    }

    #[test]
    fn a_tree_is_checked_once_and_alternatives_with_the_same_members_are_checked_several_times() {
        let node = json!({"$ref": "#/$defs/n"});
        let tree = json!({"$defs": {"n": {"properties": {"left": node, "right": node}}}, "$ref": "#/$defs/n"});
        let one = json!({"properties": {"operand": node}});
        let operators = json!({"$defs": {"n": {"anyOf": [one, one, one]}}, "$ref": "#/$defs/n"});
        let list = json!({"properties": {"a": {"items": {"type": "string"}}}});

        assert_eq!([tree, operators, list].map(repeats), [1, 3, 1]);
    }

    #[test]
    fn a_reference_is_decoded_before_it_is_followed() {
        let found = json!({"$defs": {"a/b c%": true}, "$ref": "#/$defs/a~1b%20c%25"});
        let missing = json!({"properties": {"x": {"$ref": "#/$defs/q"}}});

        assert!(Graph::new(&found).is_ok());
        let error = Graph::new(&missing).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some(r##"/properties/x/$ref: nothing is at "#/$defs/q", to which it refers"##));
    }

    #[test]
    fn references_that_double_again_and_again_are_refused() {
        let twice =
            |at: usize| json!({"allOf": [{"$ref": format!("#/$defs/{at}")}, {"$ref": format!("#/$defs/{at}")}]});
        let defs: serde_json::Map<String, Value> = (0..40).map(|at| (at.to_string(), twice(at + 1))).collect();
        let mut schema = json!({"$defs": defs, "$ref": "#/$defs/0"});
        schema["$defs"]["40"] = json!({"type": "string"});

        assert!(matches!(Graph::new(&schema), Err(SchemaError::TooWide { .. })));
    }

    #[test]
    fn a_chain_of_many_references_does_not_overflow_the_stack() {
        let link = |at: usize| (at.to_string(), json!({"items": {"$ref": format!("#/$defs/{}", at + 1)}}));
        let defs: serde_json::Map<String, Value> = (0..20_000).map(link).collect();
        let mut schema = json!({"$defs": defs, "$ref": "#/$defs/0"});
        schema["$defs"]["20000"] = json!({"$ref": "#/$defs/0"});

        assert_eq!(repeats(schema), 1);
    }
}
