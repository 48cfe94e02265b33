use super::*;

const FACTS: Facts<'_> = Facts {
    text: "Grüße, 10 of 10",
    json: Some(
        r#"{"score":10,"ratio":0.5,"label":"a","name":null,"items":[1,{"x":"y"}],"a b":true,"o":{},"ten":"10"}"#,
    ),
    row: r#"{"id":7,"first name":"Zoë","min":"5","options":["a","b"]}"#,
    usage: Usage {
        input_tokens: 7,
        cache_write_5m_tokens: 0,
        cache_write_1h_tokens: 0,
        cache_read_tokens: 0,
        output_tokens: 20,
        web_searches: 0,
        is_unknown: false,
    },
    stop_reason: Some("end_turn"),
    model: "claude-haiku-4-5",
};

fn parsed(expression: &str) -> Condition {
    Condition::parse(expression).expect(expression)
}

fn holds(expression: &str) -> Result<bool, String> {
    parsed(expression).holds(&FACTS)
}

#[test]
fn a_condition_sees_the_answer_and_its_row() {
    for (expression, expected) in [
        ("json.score > 9", true),
        ("json.score >= 0 and json.score < 10", false),
        ("0 <= json.score <= 10", true),
        ("json.score == 10.0 and json.ratio < 1", true),
        ("json.label in row.options", true),
        ("json.label in ['x', 'y']", false),
        ("json.label not in ['x', 'y']", true),
        ("row[\"first name\"] == 'Zoë' and json['a b']", true),
        ("row.min|float < json.score", true),
        ("json.items[1].x == 'y' and json['items'][0] == 1", true),
        ("json.items|length == 2", true),
        ("text|length > 5 and 'Grüße' in text", true),
        ("usage.output_tokens < 100 and usage.input_tokens == 7", true),
        ("stop_reason == 'end_turn' and model is startingwith('claude')", true),
        ("json.name is none and json.score is number", true),
        ("json.score if json.label == 'a' else false", true),
        ("not json.o", true),
        ("true", true),
        ("json.label == 'b' or json.label == 'a'", true),
        ("{\"a\":{\"b\":1}}.a.b == 1", true),
        ("json.items|select('mapping')|list|length == 1", true),
    ] {
        assert_eq!(holds(expression), Ok(expected), "{expression}");
    }
}

#[test]
fn a_missing_value_is_an_error_and_not_silently_false() {
    for (expression, words) in [
        ("json.scor > 3", "json.scor is missing"),
        ("json.scor == 3", "json.scor is missing"),
        ("json.o.deep.er == 3", "json.o.deep is missing"),
        ("json.nme is not none", "json.nme is missing"),
        ("json.nme is string", "json.nme is missing"),
        ("not json.nme", "json.nme is missing"),
        ("json.nme", "json.nme is missing"),
        ("json.nme|length == 0", "json.nme is missing"),
        ("json.nme in ['a']", "json.nme is missing"),
        ("'a' in json.nme", "json.nme is missing"),
        ("json.items[9] == 1", "json.items[9] is missing"),
        ("row['last name'] == 'x'", "row['last name'] is missing"),
        ("false or [json.nme] == [1]", "json.nme is missing"),
        ("json.score == 10 and row.x", "row.x is missing"),
    ] {
        assert_eq!(holds(expression), Err(words.to_owned()), "{expression}");
    }
}

#[test]
fn a_value_that_may_be_missing_can_be_tested() {
    for (expression, expected) in [
        ("json.nme is defined", false),
        ("json.nme is not defined", true),
        ("json.nme is undefined or json.nme == 1", true),
        ("json.o.deep.er is defined", false),
        ("json.score.deep is defined", false),
        ("json.items[5].x is defined", false),
        ("json.score is defined and json.score == 10", true),
        ("json.nme|default(3) == 3", true),
        ("json.o.deep.er|default('x') == 'x'", true),
        ("json is defined", true),
    ] {
        assert_eq!(holds(expression), Ok(expected), "{expression}");
    }
}

#[test]
fn values_of_different_kinds_are_not_compared() {
    for (expression, words) in [
        (
            "json.ten > 9",
            r#"it compares the text "10" with the number 9; the filter `float` turns a text into a number"#,
        ),
        ("json.score > row.min", r#"it compares the number 10 with the text "5"; the filter `float`"#),
        ("json.ten == 10", r#"it compares the text "10" with the number 10"#),
        ("row.min != 5", r#"it compares the text "5" with the number 5"#),
        ("0 < json.label < 5", r#"it compares the number 0 with the text "a""#),
        ("json.name > 3", "it compares null with the number 3"),
        ("json.o >= json.o", "it compares an object with an object"),
        ("json.items < 3", "it compares a list with the number 3"),
    ] {
        let error = holds(expression).expect_err(expression);

        assert!(error.starts_with(words), "{expression}: {error}");
    }
    assert_eq!(holds("json.label == 1"), Ok(false));
    assert_eq!(holds("json.name != 3"), Ok(true));
    assert_eq!(holds("json.label < 'b'"), Ok(true));
}

#[test]
fn an_answer_that_is_not_json_is_an_error_only_if_json_is_read() {
    let without = Facts { json: None, ..FACTS };
    let broken = Facts { json: Some("{\"score\":"), ..FACTS };
    let deep = "[".repeat(200) + &"]".repeat(200);
    let deep = Facts { json: Some(&deep), ..FACTS };

    assert_eq!(parsed("json.score > 3").holds(&without), Err("the answer is not JSON".to_owned()));
    assert_eq!(parsed("json is not defined or json.score > 3").holds(&without), Ok(true));
    assert_eq!(parsed("text|length > 3").holds(&without), Ok(true));
    assert_eq!(parsed("text|length > 3").holds(&deep), Ok(true));
    let error = parsed("json.score > 3").holds(&broken).expect_err("it is cut off");
    assert!(error.starts_with("the answer is not JSON: EOF while parsing a value"), "{error}");
    let error = parsed("json|length > 3").holds(&deep).expect_err("it is too deep");
    assert!(error.starts_with("the answer is not JSON: recursion limit exceeded"), "{error}");
    assert_eq!(parsed("stop_reason is none").holds(&Facts { stop_reason: None, ..FACTS }), Ok(true));
}

#[test]
fn only_values_that_are_used_are_read() {
    let uses = |expression: &str| (parsed(expression).uses_json(), parsed(expression).uses_row());

    assert_eq!(uses("json.a"), (true, false));
    assert_eq!(uses("row.json == 'x'"), (false, true));
    assert_eq!(uses("text == 'json'"), (false, false));
    assert_eq!(uses("text in [json, row]"), (true, true));
    assert_eq!(parsed(" text \n").expression(), "text");
    assert_eq!(parsed("text").holds(&Facts { row: "broken", json: Some("broken"), ..FACTS }), Ok(true));
}

#[test]
fn a_wrong_expression_is_refused_with_its_place() {
    for (expression, words) in [
        ("", "`` is wrong at column 1: there is no expression"),
        ("json.score >", "`json.score >` is wrong at column 13: syntax error: unexpected end of input"),
        ("json.score > > 3", "is wrong at column 14: syntax error: "),
        ("json.score = 3", "is wrong at column 12: syntax error: "),
        ("json.score > 3 4", "is wrong at column 16: syntax error: "),
        ("'ü' == 'x", "is wrong at column 8: syntax error: "),
        ("json.score > $", "is wrong at column 14: syntax error: "),
        ("{{ json.score }}", "is wrong at column "),
        ("text }}{% include 'x' %}", "is wrong at column 6: syntax error: "),
        (
            "jsn.score > 3",
            "column 1: there is no jsn; did you mean json? (names are text, json, row, usage, stop_reason",
        ),
        (
            "json.score > limit",
            "at column 14: there is no limit (names are text, json, row, usage, stop_reason, model)",
        ),
        ("namespace(a=1)", "at column 1: there is no namespace"),
        ("debug()", "at column 1: there is no debug"),
        ("usage.output_token > 3", "there is no output_token; did you mean output_tokens? (members of usage are"),
        ("text|lenght > 3", "is wrong at column 6: there is no filter lenght; did you mean `length`?"),
        ("text is strin", "is wrong at column 9: there is no test strin; did you mean `string`?"),
        ("text is not strin", "is wrong at column 13: there is no test strin"),
    ] {
        let error = Condition::parse(expression).expect_err(expression).to_string();

        assert!(error.contains(words), "{expression}: {error}");
    }
}

#[test]
fn large_and_deep_expressions_are_refused_or_work() {
    let nested = format!("{}1{}", "(".repeat(3_000), ")".repeat(3_000));
    let negated = "not ".repeat(3_000) + "text";
    let long = "text or ".repeat(10_000) + "text";
    let options = format!("text in [{}]", vec!["'a'"; 5_000].join(","));

    for (expression, words) in [
        (&nested, "it has more than 2000 operators"),
        (&negated, "it has more than 2000"),
        (&long, "longer than 64 KiB"),
    ] {
        let error = Condition::parse(expression).expect_err("it is refused").to_string();

        assert!(error.contains(words) && error.len() < 1_000, "{error}");
    }
    assert_eq!(holds(&options), Ok(false));
    assert_eq!(holds(&vec!["json.score > 3"; 400].join(" and ")), Ok(true));
    assert_eq!(holds(&format!("json{} is defined", ".a".repeat(500))), Ok(false));
}

#[test]
fn a_condition_without_end_is_stopped() {
    for expression in [
        "range(100000)|map('string')|join('y' * 100000)|length > 3",
        "('x' * 1000000000)|length > 3",
        "[1] * 1000000000",
        "range(99999)|sum > 3 and range(99999)|list|sort|unique|list|length > 3 and (text * 100000)|upper|lower|length > 3 \
         and (text * 100000)|replace('G', text * 100000)|length > 3 and (text * 1000000)|upper|lower|length > 3 and \
         (text * 10000000)|upper|lower|length > 3",
    ] {
        let error = holds(expression).expect_err(expression);

        assert!(error.contains("it takes more than") || error.contains("too large"), "{expression}: {error}");
    }
}

#[test]
fn a_large_answer_is_read() {
    let text = "word ".repeat(2 << 20);
    let json = format!("{{\"words\":[{}]}}", vec!["\"word\""; 100_000].join(","));
    let facts = Facts { text: &text, json: Some(&json), ..FACTS };

    assert_eq!(parsed("text|length > 100 and 'xyz' not in text").holds(&facts), Ok(true));
    assert_eq!(parsed("json.words|length == 100000 and 'x' not in json.words").holds(&facts), Ok(true));
    assert_eq!(parsed("text == text and json == json").holds(&facts), Ok(true));
}

#[test]
fn conditions_are_shared_between_threads() {
    let condition = parsed("json.score == 10");
    let other = condition.clone();

    let found = std::thread::spawn(move || other.holds(&FACTS)).join().expect("it does not panic");

    assert_eq!((found, condition.holds(&FACTS)), (Ok(true), Ok(true)));
}

#[test]
fn random_expressions_never_panic_or_hang() {
    const PIECES: [&str; 34] = [
        "json",
        "text",
        "row",
        ".score",
        ".items",
        "[0]",
        "['a b']",
        "|length",
        "|default(1)",
        "|upper",
        " is defined",
        " is not none",
        " is string",
        " == ",
        " < ",
        " >= ",
        " in ",
        " not in ",
        " and ",
        " or ",
        " not ",
        "(",
        ")",
        "[",
        "]",
        ",",
        "1",
        "'s'",
        " + ",
        " ~ ",
        " if ",
        " else ",
        "-",
        "{'a': 1}",
    ];
    let seed = 31;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut evaluated = 0;
    for case in 0..2_000 {
        let text: String = (0..random.usize(1..12)).map(|_| PIECES[random.usize(0..PIECES.len())]).collect();
        let begun = std::time::Instant::now();

        if let Ok(condition) = Condition::parse(&text) {
            evaluated += 1;
            let _ = condition.holds(&FACTS);
        }

        assert!(begun.elapsed().as_secs() < 20, "seed {seed}, case {case}: {text}");
    }
    assert!(evaluated > 20, "{evaluated}");
}

#[test]
fn a_row_must_have_the_columns_that_are_not_tested() {
    let extra = Params::of_object(r#"{"a":"1","a b":2}"#).expect("an object");

    for (expression, missing) in [
        ("row.a == '1' and row['a b'] == 2", None),
        ("row.a == row.c", Some("c")),
        ("json.x == row['c d'].e", Some("c d")),
        ("row.c is not defined or row.c == 1", None),
        ("row.c|default('x') == 'x'", None),
        ("row.id == json.id and row.custom_id != ''", None),
        ("row|length > 1 and row[text] == 1", None),
        ("json.row.c == usage.output_tokens", None),
    ] {
        assert_eq!(parsed(expression).missing_column(&extra), missing, "{expression}");
    }
}
