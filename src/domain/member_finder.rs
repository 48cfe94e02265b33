//! Finds members of a request by their paths, in the text of the request.
//!
//! [`MemberPath`] describes the form of a path. A path that begins with `**.` finds a member anywhere in the request,
//! for example `**.cache_control`. A path with `**.` finds nothing inside values that belong to the user (see [`OWN`]).

use std::ops::Range;

use super::MemberPath;
use super::json::{Cursor, DEEPEST, inside_quotes, unescaped};

/// The members whose values belong to the user: the inputs and the schemas of tools. The names inside these values are
/// chosen by the user and have no meaning for the API.
const OWN: [&str; 3] = ["input", "input_schema", "schema"];

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// This step leads to the member with this name.
    Name(Box<str>),
    /// This step leads to each element of a list.
    Each,
    /// This step leads to some elements of a list. Each of these elements has a member whose name is the first text and
    /// whose value begins with the second text.
    EachWith(Box<str>, Box<str>),
    /// The steps after this step can begin at any depth of the request.
    Anywhere,
}

/// The paths of members, parsed into steps so that a search is fast.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemberFinder {
    paths: Vec<Vec<Step>>,
}

/// A member or an element that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundMember {
    /// The path that leads to the member or element, as a position in the list of paths.
    pub path: usize,
    /// The range of the text that must be left out: the member, and one comma before or after it. Without this range,
    /// the text is valid JSON.
    pub cut: Range<usize>,
}

impl MemberFinder {
    /// Returns a finder for these paths. A path without a name finds nothing.
    pub(crate) fn new(paths: &[MemberPath]) -> Self {
        Self { paths: paths.iter().map(|path| steps(&path.0)).collect() }
    }

    /// Returns whether the finder has no paths.
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Searches a JSON object, and returns the members and elements that are at one of the paths, in order. If all
    /// members of an inner object are found, the object itself is returned instead of its members. Lists are treated in
    /// the same way as objects. If the text is not a JSON object, nothing is found.
    pub(crate) fn find(&self, json: &[u8]) -> Vec<FoundMember> {
        let mut search = Search { paths: &self.paths, json, found: Vec::new() };
        let all = (0..self.paths.len()).map(|path| Place { path, step: 0 }).collect::<Vec<_>>();
        let mut cursor = Cursor::new(json);
        // The braces of the request always stay, even when all members of the request are found.
        if !all.is_empty() && search.value(&mut cursor, &all, 0).is_none() {
            return Vec::new();
        }
        search.found.sort_by_key(|found| found.cut.start);
        search.found
    }
}

/// Finds a top-level member of a JSON object, and returns the range of the member's value.
pub(crate) fn top_level_value(json: &[u8], wanted: &str) -> Option<Range<usize>> {
    let mut cursor = Cursor::new(json);
    let mut range = None;
    // The reading ends early when the member is found, so the result of `object` is ignored.
    let _ = cursor.object(|cursor, name| {
        cursor.peek()?;
        let start = cursor.position();
        cursor.skip_value(DEEPEST)?;
        if name == wanted.as_bytes() {
            range = Some(start..cursor.position());
            return None;
        }
        Some(())
    });
    range
}

fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        if part == "**" {
            steps.push(Step::Anywhere);
            continue;
        }
        let (name, elements) = part.split_once('[').map_or((part, None), |(name, rest)| (name, Some(rest)));
        steps.push(Step::Name(name.into()));
        let Some(condition) = elements.map(|rest| rest.trim_end_matches(']')) else { continue };
        steps.push(match condition.split_once('=') {
            Some((name, begins)) => Step::EachWith(name.into(), begins.into()),
            None => Step::Each,
        });
    }
    steps
}

/// A path and the next step of the path.
#[derive(Clone, Copy)]
struct Place {
    path: usize,
    step: usize,
}

struct Search<'a> {
    paths: &'a [Vec<Step>],
    json: &'a [u8],
    found: Vec<FoundMember>,
}

/// Records which items (members of an object, or elements of a list) were found so far.
#[derive(Default)]
struct Items {
    /// The end of the item before the current item.
    previous_end: Option<usize>,
    has_kept: bool,
    /// The path of the first item that was found.
    first_found: Option<usize>,
    /// The last item that was found, but only if all items before this item are also removed; otherwise `None`. The
    /// text from this item to the start of the next item is removed.
    leading: Option<(usize, usize)>,
}

impl Items {
    fn add(&mut self, item: Range<usize>, is_found: Option<usize>, found: &mut Vec<FoundMember>) {
        if let Some((path, start)) = self.leading.take() {
            found.push(FoundMember { path, cut: start..item.start });
        }
        match (is_found, self.previous_end) {
            (Some(path), Some(end)) if self.has_kept => found.push(FoundMember { path, cut: end..item.end }),
            (Some(path), _) => self.leading = Some((path, item.start)),
            (None, _) => self.has_kept = true,
        }
        self.first_found = self.first_found.or(is_found);
        self.previous_end = Some(item.end);
    }

    /// Ends the object or list. If no item stays, removes the whole object or list, and returns the path that found the
    /// first item.
    fn end(self, begun: usize, found: &mut Vec<FoundMember>) -> Option<usize> {
        let path = self.first_found.filter(|_| !self.has_kept)?;
        found.truncate(begun);
        Some(path)
    }
}

impl<'a> Search<'a> {
    /// Reads a value. If no part of the value would stay, the whole value is removed. In this case, returns the index
    /// of the path with which the first part of the value was found.
    fn value(&mut self, cursor: &mut Cursor<'a>, places: &[Place], depth: u32) -> Option<Option<usize>> {
        match cursor.peek()? {
            b'{' if !places.is_empty() && depth < DEEPEST => self.object(cursor, places, depth),
            b'[' if !places.is_empty() && depth < DEEPEST => self.list(cursor, places, depth),
            _ => cursor.skip_value(DEEPEST - depth).map(|()| None),
        }
    }

    fn object(&mut self, cursor: &mut Cursor<'a>, places: &[Place], depth: u32) -> Option<Option<usize>> {
        let (mut items, begun) = (Items::default(), self.found.len());
        cursor.object(|cursor, name| {
            // `name` is a part of `json`. The byte before `name` is a quote.
            let start = name.as_ptr().addr() - self.json.as_ptr().addr() - 1;
            let (by_name, inside) = self.after_name(places, &self.json[start..start + name.len() + 2]);
            let by_value = self.item(cursor, by_name, &inside, depth)?;
            items.add(start..cursor.position(), by_name.or(by_value), &mut self.found);
            Some(())
        })?;
        let path = items.end(begun, &mut self.found);
        if depth == 0 && path.is_some() {
            // The found part does not include the braces of the request.
            self.found.push(FoundMember { path: path?, cut: 1..self.json.trim_ascii_end().len() - 1 });
        }
        Some(path)
    }

    fn list(&mut self, cursor: &mut Cursor<'a>, places: &[Place], depth: u32) -> Option<Option<usize>> {
        let (mut items, begun) = (Items::default(), self.found.len());
        cursor.array(|cursor| {
            cursor.peek()?;
            let start = cursor.position();
            let (by_condition, inside) = self.after_element(places, &self.json[start..]);
            let by_value = self.item(cursor, by_condition, &inside, depth)?;
            items.add(start..cursor.position(), by_condition.or(by_value), &mut self.found);
            Some(())
        })?;
        Some(items.end(begun, &mut self.found))
    }

    /// Reads the value of an item. If the item was found, nothing is searched inside its value.
    fn item(
        &mut self,
        cursor: &mut Cursor<'a>,
        found: Option<usize>,
        inside: &[Place],
        depth: u32,
    ) -> Option<Option<usize>> {
        let places = if found.is_some() { &[] } else { inside };
        self.value(cursor, places, depth + 1)
    }

    /// Looks for paths that lead to a member with this name. Returns the path that ends at the member, and the places
    /// of the paths that continue inside the member. `name` includes its quotes.
    fn after_name(&self, places: &[Place], name: &[u8]) -> (Option<usize>, Vec<Place>) {
        let is = |wanted: &str| match inside_quotes(name) {
            Some(plain) if !plain.contains(&b'\\') => plain == wanted.as_bytes(),
            _ => unescaped(name).is_some_and(|name| name == wanted),
        };
        self.after(places, |step| matches!(step, Step::Name(wanted) if is(wanted)), !OWN.iter().any(|own| is(own)))
    }

    /// Does the same as [`Self::after_name`] for an element of a list. `element` is the rest of the text, from the
    /// start of the element.
    fn after_element(&self, places: &[Place], element: &[u8]) -> (Option<usize>, Vec<Place>) {
        let meets = |step: &Step| match step {
            Step::Each => true,
            Step::EachWith(name, begins) => text_begins(element, name, begins),
            Step::Name(_) | Step::Anywhere => false,
        };
        self.after(places, meets, true)
    }

    fn after(
        &self,
        places: &[Place],
        meets: impl Fn(&Step) -> bool,
        looks_inside: bool,
    ) -> (Option<usize>, Vec<Place>) {
        let (mut complete, mut inside) = (None, Vec::new());
        for &Place { path, step } in places {
            let steps = &self.paths[path];
            let is_anywhere = steps.get(step) == Some(&Step::Anywhere);
            if is_anywhere && looks_inside {
                inside.push(Place { path, step });
            }
            let own = if is_anywhere { step + 1 } else { step };
            match steps.get(own).is_some_and(&meets) {
                true if own + 1 == steps.len() => complete = complete.or(Some(path)),
                true => inside.push(Place { path, step: own + 1 }),
                false => {}
            }
        }
        (complete, inside)
    }
}

/// Returns `true` if a JSON value is an object, has a member `name`, and the text of this member begins with `begins`.
fn text_begins(value: &[u8], name: &str, begins: &str) -> bool {
    let Some(range) = top_level_value(value, name) else { return false };
    unescaped(&value[range]).is_some_and(|text| text.starts_with(begins))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Removes the members that have these paths. Returns the rest of the JSON, and the positions of the paths that
    /// were found.
    fn without(json: &str, paths: &[&str]) -> (String, Vec<usize>) {
        let paths: Vec<_> = paths.iter().map(|path| MemberPath((*path).into())).collect();
        let found = MemberFinder::new(&paths).find(json.as_bytes());
        let (mut rest, mut from) = (String::new(), 0);
        for FoundMember { cut, .. } in &found {
            rest.push_str(&json[from..cut.start]);
            from = cut.end;
        }
        rest.push_str(&json[from..]);
        (rest, found.into_iter().map(|found| found.path).collect())
    }

    #[test]
    fn members_are_left_out_with_one_comma_each() {
        let cases = [
            (r#"{"a":1,"b":2,"c":3}"#, &["a"][..], r#"{"b":2,"c":3}"#),
            (r#"{"a":1,"b":2,"c":3}"#, &["b"], r#"{"a":1,"c":3}"#),
            (r#"{"a":1,"b":2,"c":3}"#, &["c"], r#"{"a":1,"b":2}"#),
            (r#"{"a":1,"b":2,"c":3}"#, &["a", "b"], r#"{"c":3}"#),
            (r#"{"a":1,"b":2,"c":3}"#, &["b", "c"], r#"{"a":1}"#),
            (r#"{"a":1,"b":2,"c":3}"#, &["a", "c"], r#"{"b":2}"#),
            (r#"{"a":1,"b":2}"#, &["a", "b"], "{}"),
            (r#"{ "a" : 1 , "b" : [2] }"#, &["b"], r#"{ "a" : 1 }"#),
            (r#"{ "a" : 1 , "b" : [2] }"#, &["a"], r#"{ "b" : [2] }"#),
            (r#"{"a":1}"#, &["b", ""], r#"{"a":1}"#),
            (r#"{"\u0061":1,"b":"\"a\":1"}"#, &["a"], r#"{"b":"\"a\":1"}"#),
        ];

        for (json, paths, rest) in cases {
            assert_eq!(without(json, paths).0, rest, "{json} without {paths:?}");
        }
    }

    #[test]
    fn paths_lead_into_objects_and_lists() {
        let tools = r#"{"m":1,"tools":[{"name":"a","strict":true},{"strict":false,"name":"b"},{"type":"web_search_2","name":"w"}]}"#;
        let cases = [
            (
                r#"{"m":1,"output_config":{"effort":"low","format":{"type":"x"}}}"#,
                &["output_config.format"][..],
                r#"{"m":1,"output_config":{"effort":"low"}}"#,
            ),
            (
                tools,
                &["tools[].strict"],
                r#"{"m":1,"tools":[{"name":"a"},{"name":"b"},{"type":"web_search_2","name":"w"}]}"#,
            ),
            (
                tools,
                &["tools[type=web_search]"],
                r#"{"m":1,"tools":[{"name":"a","strict":true},{"strict":false,"name":"b"}]}"#,
            ),
            (tools, &["tools[name=a]", "tools[name=b]"], r#"{"m":1,"tools":[{"type":"web_search_2","name":"w"}]}"#),
            (tools, &["tools[]"], r#"{"m":1}"#),
        ];

        for (json, paths, rest) in cases {
            assert_eq!(without(json, paths).0, rest, "{json} without {paths:?}");
        }
    }

    #[test]
    fn an_object_that_becomes_empty_is_left_out() {
        let json = r#"{"m":1,"output_config":{"format":{"a":{"b":1}}},"x":{}}"#;

        assert_eq!(without(json, &["output_config.format"]), (r#"{"m":1,"x":{}}"#.to_owned(), vec![0]));
        assert_eq!(without(json, &["x.y", "output_config.format.a.b"]).0, r#"{"m":1,"x":{}}"#);
    }

    #[test]
    fn a_member_is_found_anywhere_but_not_in_the_users_own_values() {
        let json = r#"{"cache_control":{"type":"e"},"system":[{"text":"a","cache_control":{}}],"tools":[{"input_schema":{"cache_control":1},"cache_control":2}],"messages":[{"content":[{"cache_control":3,"input":{"cache_control":1},"c":[[{"x":1,"cache_control":4}]]}]}]}"#;

        let (rest, _) = without(json, &["**.cache_control"]);

        assert_eq!(
            rest,
            r#"{"system":[{"text":"a"}],"tools":[{"input_schema":{"cache_control":1}}],"messages":[{"content":[{"input":{"cache_control":1},"c":[[{"x":1}]]}]}]}"#
        );
    }

    #[test]
    fn the_remaining_text_is_always_json() {
        let parts = [r#""a":1"#, r#""b":{"c":1,"d":2}"#, r#""e":[{"c":1},{"c":2,"d":3}]"#, r#""f":"x""#];
        let paths = ["a", "b.c", "b.d", "b", "e[].c", "e[].d", "e[c=x]", "f", "**.d", "**.c"];
        for order in 0..24_usize {
            let mut left: Vec<_> = parts.to_vec();
            let mut members = Vec::new();
            let mut code = order;
            for size in (1..=4).rev() {
                members.push(left.remove(code % size));
                code /= size;
            }
            let json = format!("{{{}}}", members.join(" , "));
            for bits in 0..1_u32 << paths.len() {
                let chosen: Vec<_> = (0..paths.len()).filter(|at| bits >> at & 1 == 1).map(|at| paths[at]).collect();
                let (rest, _) = without(&json, &chosen);
                assert!(serde_json::from_str::<serde_json::Value>(&rest).is_ok(), "{json} without {chosen:?}: {rest}");
            }
        }
    }

    #[test]
    fn broken_json_has_no_members() {
        for json in ["", "[]", "7", r#"{"a":"#, r#"{"a":1,}"#] {
            assert!(without(json, &["a", "**.b"]).1.is_empty(), "{json}");
        }
    }

    #[test]
    fn the_value_of_a_top_level_member_is_found() {
        let json = r#"{"x":{"model":1},"model": "m" ,"y":2}"#;

        assert_eq!(top_level_value(json.as_bytes(), "model").map(|range| &json[range]), Some(r#""m""#));
        assert_eq!(top_level_value(json.as_bytes(), "z"), None);
    }
}
