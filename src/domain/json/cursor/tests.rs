use serde::de::IgnoredAny;
use serde_json::Value;

use super::*;

/// Reads a whole value with the methods of the cursor, like a caller that reads every part.
fn read(cursor: &mut Cursor<'_>) -> Option<Value> {
    match cursor.peek()? {
        b'{' => {
            let mut members = serde_json::Map::new();
            cursor.object(|cursor, name| {
                let name = unescaped(name)?;
                members.insert(name, read(cursor)?);
                Some(())
            })?;
            Some(Value::Object(members))
        }
        b'[' => {
            let mut elements = Vec::new();
            cursor.array(|cursor| {
                elements.push(read(cursor)?);
                Some(())
            })?;
            Some(Value::Array(elements))
        }
        b'"' => unescaped(cursor.string()?).map(Value::String),
        _ => serde_json::from_slice(cursor.value(DEEPEST)?).ok(),
    }
}

fn unescaped(text: &[u8]) -> Option<String> {
    serde_json::from_slice(&[b"\"", text, b"\""].concat()).ok()
}

fn is_accepted(text: &[u8]) -> bool {
    let mut cursor = Cursor::new(text);
    cursor.skip_value(DEEPEST).and_then(|()| cursor.end()).is_some()
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

#[test]
fn a_checked_string_is_read_like_any_other_string() {
    for text in [r#""""#, r#""a""#, r#""a\"b\\" "#, r#""\\","#, r#""é\u0041 long enough for more than one piece""#] {
        let (mut one, mut other) = (Cursor::new(text.as_bytes()), Cursor::new(text.as_bytes()));

        let (checked, value) = (one.checked_string(), other.value(1));

        assert_eq!((checked, one.position()), (value, other.position()), "{text}");
    }
    for text in ["", "a", "\"", r#""a\"#, r#""a\""#] {
        assert_eq!(Cursor::new(text.as_bytes()).checked_string(), None, "{text}");
    }
}

#[test]
fn the_cursor_accepts_exactly_the_texts_that_the_parser_accepts() {
    let texts = [
        "",
        " ",
        "1",
        "-",
        "-0",
        "01",
        "0.",
        ".5",
        "0.5",
        "1.e3",
        "1e",
        "1e+9",
        "1E-09x",
        "+1",
        "true",
        "tru",
        "nulll",
        "{}",
        "{ }",
        "[]",
        "[ ]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1,2]",
        "{\"a\":1}",
        "{\"a\":}",
        "{\"a\" : [ {} , {\"b\":null}]}",
        "{\"a\":1,}",
        "{,}",
        "{1:2}",
        "{\"a\"}",
        "[}",
        "{]",
        "[[]",
        "[]]",
        "\"",
        "\"a",
        "\"a\"",
        "\"\\\"",
        "\"\\\"\"",
        "\"\\u12\"",
        "\"\\u12aF\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\x\"",
        "\"a\nb\"",
        "\"\u{7f}\u{80}\"",
        "\"a\0\"",
        "\t1\r\n",
        "a",
        "'a'",
        "\"0123456789012345678901234567890123456789\"",
        "\"0123456789012345678901234567\u{1}9\"",
        "1\"",
        "a\"b\"",
    ];
    for text in texts {
        assert_eq!(is_accepted(text.as_bytes()), is_json(text.as_bytes()), "{text:?}");
    }
    let deep = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
    assert!(is_accepted(&deep(DEEPEST as usize)) && !is_accepted(&deep(DEEPEST as usize + 1)));
    assert!(Cursor::new(&deep(200_000)).skip_value(u32::MAX).is_none());
}

#[test]
fn the_cursor_and_the_parser_agree_on_every_changed_text() {
    const TOKENS: &[u8] = b"\"\\{}[]:,0123456789eE+-. \t\nutfbnlras\0\x1f\x7f\xff/";
    let whole = br#"{"id":"m","content":[{"type":"text","text":"a \"quoted\" line\nand \u65e5 more than thirty-two bytes of it"}],"n":[-1.5e+3,0,true,false,null,{}],"usage":{"in":12,"out":3}}"#;
    let mut random = fastrand::Rng::with_seed(9);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut text = whole.to_vec();
        for _ in 0..random.usize(0..4) {
            if text.is_empty() {
                break;
            }
            let at = random.usize(0..text.len());
            let token = TOKENS[random.usize(0..TOKENS.len())];
            match random.u8(0..4) {
                0 => text[at] = token,
                1 => text.insert(at, token),
                2 => drop(text.remove(at)),
                _ => text.truncate(at.max(1)),
            }
        }
        accepted += u64::from(is_json(&text));
        let mut cursor = Cursor::new(&text);
        let walked = read(&mut cursor).filter(|_| cursor.end().is_some());
        let parsed = serde_json::from_slice::<Value>(&text).ok();

        assert_eq!(is_accepted(&text), is_json(&text), "{:?}", String::from_utf8_lossy(&text));
        assert_eq!(walked, parsed, "{:?}", String::from_utf8_lossy(&text));
    }
    assert!(accepted > 4_000, "{accepted}");
}

#[test]
fn values_are_returned_as_they_are_written() {
    let text = br#" {"a" : "x\\" , "b\"":[ 1 ,{"c":"}"}],"d":-1.5e3} "#;
    let mut seen = Vec::new();

    let mut cursor = Cursor::new(text);
    let walk = cursor.object(|cursor, name| {
        seen.push((name, cursor.value(DEEPEST)?));
        Some(())
    });

    assert_eq!((walk, cursor.end()), (Some(()), Some(())));
    let expected: [(&[u8], &[u8]); 3] = [(b"a", br#""x\\""#), (br#"b\""#, br#"[ 1 ,{"c":"}"}]"#), (b"d", b"-1.5e3")];
    assert_eq!(seen, expected);
}

#[test]
fn names_and_strings_with_escapes_are_not_plain() {
    for (text, is_plain) in [(r#"{"a":1}"#, true), (r#"{"\u0061":1}"#, false), (r#"{"a\"":1}"#, false)] {
        let walk = Cursor::new(text.as_bytes()).plain_object(|cursor, _| cursor.skip_value(DEEPEST));

        assert_eq!(walk.is_some(), is_plain, "{text}");
    }
    assert_eq!(Cursor::new(br#" "a/" "#).plain_string(), Some(&b"a/"[..]));
    assert_eq!(Cursor::new(br#""a\/""#).plain_string(), None);
}

#[test]
fn a_count_is_written_with_digits_only() {
    for (text, count) in [
        ("0", Some(0)),
        ("7,", Some(7)),
        (" 12}", Some(12)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("00", None),
        ("07", None),
        ("1.5", None),
        ("1e3", None),
        ("-4", None),
        ("null", None),
        ("", None),
    ] {
        let mut cursor = Cursor::new(text.as_bytes());

        assert_eq!(cursor.count(), count, "{text}");
        assert!(count.is_some() || cursor.position() == 0, "{text}");
    }
}

#[test]
fn the_first_bracket_that_is_too_deep_is_found_outside_of_strings() {
    for (text, deepest, found) in [
        ("[[]]", 2, None),
        ("[[]]", 1, Some(1)),
        ("[[],[ []]]", 2, Some(6)),
        (r#"{"[[[":"{{{\"{"}"#, 1, None),
        (r#"{"a":[1]}"#, 1, Some(5)),
        (r#"{"a":[1]}"#, 0, Some(0)),
        ("1", 0, None),
    ] {
        assert_eq!(Cursor::new(text.as_bytes()).deeper_than(deepest), found, "{text}");
    }
}
