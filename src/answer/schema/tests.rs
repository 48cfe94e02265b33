use super::*;

fn schema(text: &str) -> Schema {
    Schema::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> String {
    Schema::parse(text).map_or_else(|error| error.to_string(), |_| format!("{text} is accepted"))
}

fn found(schema: &Schema, answer: &str) -> String {
    schema.check(answer).map_or_else(|finding| finding.to_string(), |()| "it fits".to_owned())
}

const PERSON: &str = r#"{
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "age": {"type": "integer", "minimum": 0},
        "mail": {"type": "string", "format": "email"}
    },
    "required": ["name", "age"],
    "additionalProperties": false
}"#;

/// A schema for binary trees of sums and products. The alternatives of the schema have members with the same names.
const TREE: &str = r##"{
    "$defs": {"node": {"anyOf": [
        {"type": "integer"},
        {"properties": {"op": {"const": "+"}, "left": {"$ref": "#/$defs/node"}, "right": {"$ref": "#/$defs/node"}},
         "type": "object", "required": ["op", "left"]},
        {"properties": {"op": {"const": "*"}, "left": {"$ref": "#/$defs/node"}, "right": {"$ref": "#/$defs/node"}},
         "type": "object", "required": ["op", "left"]}
    ]}},
    "$ref": "#/$defs/node"
}"##;

#[test]
fn a_finding_names_the_place_and_what_is_wrong_there() {
    let person = schema(PERSON);

    assert_eq!(person.check(r#"{"name": "Ann", "age": 3}"#), Ok(()));
    assert_eq!(found(&person, r#"{"name": "Ann", "age": -3}"#), "/age: -3 is less than the minimum of 0");
    assert_eq!(found(&person, "[]"), "the root: [] is not an object");
    assert_eq!(found(&person, r#"{"name": "Ann"}"#), r#"the root: the member "age" is missing"#);
    assert_eq!(
        found(&person, r#"{"name": "", "age": 1.5, "mail": "x", "b": 1}"#),
        "/age: 1.5 is not an integer; /mail: \"x\" does not have the format email; /name: \"\" is shorter than 1 characters; \
         the root: members that are not allowed: \"b\""
    );
}

#[test]
fn the_closest_alternative_says_what_is_wrong_with_it() {
    let tagged = schema(
        r#"{"anyOf": [{"type": "null"}, {"properties": {"kind": {"const": "b"}}},
                      {"properties": {"kind": {"const": "a"}, "x": {"maximum": 3}}, "maxProperties": 1}]}"#,
    );

    assert_eq!(
        found(&tagged, r#"{"kind": "a", "x": 4}"#),
        "the root: {\"kind\":\"a\",\"x\":4} fits none of the alternatives of anyOf; closest alternative: the root: the \
         object has 2 members, more than 1"
    );
}

#[test]
fn a_finding_about_a_huge_answer_is_short() {
    let texts = schema(r#"{"type": "array", "items": {"type": "string", "maxLength": 3}}"#);
    let many = format!("[{}1]", "1,".repeat(50_000));
    let long = format!(r#"["{}"]"#, "é".repeat(100_000));
    let longest = format!(r#"["{}"]"#, "x".repeat(10 << 20));

    assert_eq!(found(&texts, &many).matches("is not a string").count(), 5);
    assert!(found(&texts, &many).ends_with("; and more"));
    assert_eq!(found(&texts, &long), format!("/0: \"{}… is longer than 3 characters", "é".repeat(59)));
    assert!(found(&texts, &longest).ends_with("because it has 10485764 bytes"), "{}", found(&texts, &longest));
}

#[test]
fn text_that_is_not_json_is_found_with_its_place() {
    let person = schema(PERSON);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));

    assert_eq!(found(&person, r#"{"a":x}"#), "it is not JSON: expected value at line 1 column 6");
    assert_eq!(found(&person, ""), "it is not JSON: EOF while parsing a value at line 1 column 0");
    assert_eq!(found(&person, &deep), "it is nested more than 127 levels deep at line 1 column 128");
    let said = expect_json("{} x").expect_err("there is something after it").to_string();
    assert_eq!(said, "it is not JSON: trailing characters at line 1 column 4");
    assert_eq!((expect_json(" [1e999] "), expect_json(&deep)), (Ok(()), Ok(())));
}

#[test]
fn numbers_are_read_as_64_bits_and_the_last_of_equal_names_counts() {
    let big = schema(r#"{"const": 100000000000000000000001}"#);
    let person = schema(r#"{"properties": {"a": {"type": "integer"}}}"#);

    assert_eq!(found(&big, "100000000000000000000002"), "it fits");
    assert_eq!(found(&person, r#"{"a": 1.0}"#), "it fits");
    assert_eq!(found(&person, r#"{"a": 1e999}"#), "it is not JSON: number out of range at line 1 column 11");
    assert_eq!(found(&person, r#"{"a": "x", "a": 1}"#), "it fits");
}

#[test]
fn a_text_that_is_not_a_schema_is_refused_with_the_place() {
    assert_eq!(refused("{"), "the schema is not JSON: EOF while parsing an object at line 1 column 1");
    assert_eq!(refused(" [1]"), "the root: a schema is an object, but this is an array");
    assert_eq!(refused(r#"{"properties": {"a": {"minimum": "1"}}}"#), "/properties/a/minimum: \"1\" is not a number");
    assert!(
        refused(r#"{"properties": {"a": {"type": "text"}}}"#).starts_with("/properties/a/type: \"text\" fits none")
    );
    assert_eq!(
        refused(r#"{"properties": {"a": {"type": "string", "type": "null"}}}"#),
        "/properties/a: \"type\" occurs twice; remove one of them"
    );
    assert!(
        refused(r#"{"$schema": "http://example.com/mine"}"#).starts_with("$schema names \"http://example.com/mine\"")
    );
    assert_eq!(refused(&" ".repeat(LARGEST + 1)), "the schema has 1048577 bytes; at most 1048576 are allowed");
    let deep = format!("{}true{}", r#"{"not":"#.repeat(200), "}".repeat(200));
    assert!(refused(&deep).starts_with("the schema is not JSON: recursion limit exceeded"));
}

#[test]
fn a_reference_that_leaves_the_file_is_refused() {
    let remote = refused(r#"{"properties": {"a/b": {"$ref": "https://example.com/s.json"}}}"#);

    assert!(
        remote.starts_with(r#"/properties/a~1b/$ref: the reference to "https://example.com/s.json" leaves"#),
        "{remote}"
    );
    assert!(Schema::parse(r#"{"properties": {"$ref": {"const": {"$ref": "file:///etc/passwd"}}}}"#).is_ok());
}

#[test]
fn every_known_draft_can_be_named() {
    let tuple = schema(r#"{"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]}"#);

    assert_eq!(found(&tuple, "[1]"), "/0: 1 is not a string");
    for draft in ["draft-04/schema#", "draft-06/schema#", "draft/2019-09/schema", "draft/2020-12/schema"] {
        let scheme = if draft.contains('#') { "http" } else { "https" };
        schema(&format!(r#"{{"$schema": "{scheme}://json-schema.org/{draft}", "type": "string"}}"#));
    }
}

#[test]
fn a_pattern_that_backtracks_for_ever_elsewhere_ends_soon() {
    let linear = schema(r#"{"pattern": "^(a+)+$"}"#);
    let looking = schema(r#"{"pattern": "(?=.*b)c"}"#);
    let decimal = schema(r#"{"pattern": "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$"}"#);
    let text = |length: usize| format!("\"{}b\"", "a".repeat(length));

    assert!(linear.check(&text(1 << 20)).is_err());
    assert!(found(&linear, &text(20)).ends_with("does not match the pattern ^(a+)+$"));
    assert!(found(&looking, &text(9_000)).ends_with("does not match the pattern (?=.*b)c"));
    assert!(
        found(&looking, &text(20_000)).contains("is longer than 10000 bytes, the limit for patterns with lookahead")
    );
    assert_eq!((found(&decimal, "\"-1.50\""), found(&decimal, "7")), ("it fits".to_owned(), "it fits".to_owned()));
    assert!(decimal.check("\"-\"").is_err());
}

#[test]
fn a_pattern_that_cannot_be_compiled_is_refused_with_its_place() {
    assert!(refused(r#"{"properties": {"a": {"pattern": "(a"}}}"#).starts_with("/properties/a/pattern: "));
    let large = refused(r#"{"items": {"pattern": "((a{1000}){1000}){1000}"}}"#);
    assert!(large.starts_with(r#"/items/pattern: the pattern "((a{1000}){1000}){1000}" can't be used"#), "{large}");
    let property = refused(r#"{"patternProperties": {"(?=a)b(?!c)": true}}"#);
    assert!(property.contains("a pattern can't be used here"), "{property}");
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    let own = schema(r##"{"$ref": "#"}"##);
    let circle = schema(
        r##"{"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}"##,
    );

    assert_eq!((found(&own, "1"), found(&circle, "{}")), ("it fits".to_owned(), "it fits".to_owned()));
}

#[test]
fn alternatives_that_contain_themselves_do_not_double_the_time_with_each_level() {
    let tree = schema(TREE);
    let nested =
        |leaf: &str| (0..60).fold(leaf.to_owned(), |inner, _| format!(r#"{{"op": "*", "left": {inner}, "right": 1}}"#));

    assert_eq!(found(&tree, &nested("1")), "it fits");
    assert!(found(&tree, &nested("\"x\"")).ends_with("the schema refers to itself in several alternatives"));
    assert!(found(&tree, r#"{"op": "*", "left": "x"}"#).starts_with("the root: "));
}

#[test]
fn fields_are_in_the_order_of_the_file() {
    let combined = schema(
        r##"{"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"properties": {"z": true, "a": true}}},
             "allOf": [{"properties": {"z": true, "m": true}}]}"##,
    );
    let own = schema(r##"{"$ref": "#"}"##);

    assert_eq!(schema(PERSON).fields(), ["name", "age", "mail"]);
    assert_eq!(combined.fields(), ["z", "a", "m"]);
    assert!(own.fields().is_empty());
}

#[test]
fn the_digest_does_not_depend_on_white_space() {
    let [one, same, other] = [r#"{"type":"string"}"#, "{ \"type\":\n\"string\" }", r#"{"type":"null"}"#].map(schema);

    assert_eq!(one.digest(), same.digest());
    assert_ne!(one.digest(), other.digest());
    assert_eq!(one.digest().len(), 64);
}

#[test]
fn a_schema_is_shared_between_threads() {
    fn is_shared<T: Send + Sync + Clone>(_: &T) {}

    is_shared(&schema(PERSON));
}

#[test]
fn a_long_chain_of_references_is_checked_or_refused_but_never_overflows_the_stack() {
    let chain = |length: usize, link: fn(String) -> String| {
        let defs: Vec<String> =
            (0..length).map(|at| format!(r#""{at}": {}"#, link(format!("#/$defs/{}", at + 1)))).collect();
        format!(r##"{{"$defs": {{{}, "{length}": {{"type": "string"}}}}, "$ref": "#/$defs/0"}}"##, defs.join(","))
    };
    let same = |target| format!(r#"{{"$ref": "{target}"}}"#);
    let inner = |target| format!(r#"{{"items": {{"$ref": "{target}"}}}}"#);

    assert_eq!(found(&schema(&chain(60, same)), "\"x\""), "it fits");
    assert!(refused(&chain(2_000, same)).contains("more than 64 subschemas"));
    assert_eq!(found(&schema(&chain(5_000, inner)), "[[[]]]"), "it fits");
}

#[test]
fn a_deep_answer_to_a_schema_of_many_references_does_not_overflow_the_stack() {
    let nested = |levels: usize, leaf: &str| format!("{}{leaf}{}", "[".repeat(levels), "]".repeat(levels));
    let tower = |height: usize| {
        let link = |at: usize| format!(r##""{at}": {{"anyOf": [{{"$ref": "#/$defs/{}"}}]}}"##, at + 1);
        let defs: Vec<String> = (0..height).map(link).collect();
        let last = r##"{"type": ["array", "integer"], "maximum": 1, "items": {"$ref": "#/$defs/0"}}"##;
        schema(&format!(r##"{{"$defs": {{{}, "{height}": {last}}}, "$ref": "#/$defs/0"}}"##, defs.join(",")))
    };

    for (height, levels) in [(4, 127), (31, 23)] {
        let tower = tower(height);
        assert_eq!(found(&tower, &nested(levels, "1")), "it fits");
        assert!(found(&tower, &nested(levels, "2")).ends_with(": 2 is greater than the maximum of 1"));
    }
    assert_eq!(found(&tower(31), &nested(24, "1")), "it is nested more than 23 levels deep");
}
