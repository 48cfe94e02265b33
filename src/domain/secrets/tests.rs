use super::*;
use crate::domain::{Quality, Usage};

const KEY: &str = "sk-ant-api03-9d8Fj_k2-LmQ7x+Zs/4v=B%1\"c\\Y6tWq0";

fn cleaned(secret: &str, text: &str) -> String {
    let mut text = text.to_owned();
    Secrets::new([secret]).clean(&mut text);
    text
}

/// Returns a random JSON form of `text`: each character is written in one of the ways that JSON allows.
fn escaped(text: &str, random: &mut fastrand::Rng) -> String {
    let spell = |char: char| match random.u8(0..4) {
        0 => format!("\\u{:04x}", u32::from(char)),
        1 => format!("\\u{:04X}", u32::from(char)),
        _ if matches!(char, '"' | '\\' | '/') => format!("\\{char}"),
        _ => char.to_string(),
    };
    text.chars().map(spell).collect()
}

fn percent(text: &str, random: &mut fastrand::Rng) -> String {
    let spell = |char: char| match (char, random.u8(0..4)) {
        (char, 0) => format!("%{:02x}", u32::from(char)),
        (char, 1) => format!("%{:02X}", u32::from(char)),
        ('%', _) => "%25".to_owned(),
        (char, _) => char.to_string(),
    };
    text.chars().map(spell).collect()
}

fn entities(text: &str, random: &mut fastrand::Rng) -> String {
    let spell = |char: char| match (char, random.u8(0..4)) {
        (char, 0) => format!("&#{};", u32::from(char)),
        (char, 1) => format!("&#x{:X};", u32::from(char)),
        ('"', _) => "&quot;".to_owned(),
        ('&', _) => "&amp;".to_owned(),
        (char, _) => char.to_string(),
    };
    text.chars().map(spell).collect()
}

/// A key that consists of visible ASCII characters.
fn key(random: &mut fastrand::Rng, length: usize) -> String {
    (0..length).map(|_| char::from(random.u8(b'!'..=b'~'))).collect()
}

#[test]
fn a_key_is_removed_at_every_position() {
    assert_eq!(cleaned("KEY-12345", "KEY-12345 a KEY-12345, KEY-1234 b"), "[key] a [key], KEY-1234 b");
    assert_eq!(cleaned(KEY, &format!("é{KEY}é{KEY}")), "é[key]é[key]");
    assert_eq!(cleaned(KEY, ""), "");
}

#[test]
fn every_twelve_consecutive_characters_of_a_key_are_removed() {
    for length in [12, 13, 30] {
        for part in KEY.as_bytes().windows(length) {
            let part = str::from_utf8(part).expect("it is ASCII");

            assert_eq!(cleaned(KEY, &format!("a {part} b")), "a [key] b");
        }
    }
    assert_eq!(cleaned(KEY, &KEY[13..24]), KEY[13..24], "eleven characters are too few");
}

#[test]
fn secrets_under_several_layers_of_mixed_escapes_are_found() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let ways: [fn(&str, &mut fastrand::Rng) -> String; 3] = [escaped, percent, entities];
    for _ in 0..3_000 {
        let length = random.usize(12..120);
        let key = key(&mut random, length);
        let mut text = key.clone();
        for _ in 0..random.usize(0..4) {
            text = ways[random.usize(0..ways.len())](&text, &mut random);
        }

        let cleaned = cleaned(&key, &format!("no such key: <{text}> given"));

        assert_eq!(cleaned, "no such key: <[key]> given", "seed {seed}: {key} as {text}");
    }
}

#[test]
fn a_key_in_the_debug_form_of_a_text_is_removed() {
    let shown = format!("{:?}", format!("{KEY} and {}", escaped(KEY, &mut fastrand::Rng::with_seed(1))));

    assert_eq!(cleaned(KEY, &shown), "\"[key] and [key]\"");
}

#[test]
fn base64_and_hex_are_found_at_every_alignment() {
    const ALPHABETS: [&str; 2] = [
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    ];
    let base64 = |text: &str, alphabet: &str| -> String {
        let bits: String = text.bytes().map(|byte| format!("{byte:08b}")).collect();
        let of = |bits: &[u8]| {
            let bits = format!("{:0<6}", String::from_utf8_lossy(bits));
            alphabet.as_bytes()[usize::from_str_radix(&bits, 2).expect("six bits")]
        };
        bits.as_bytes().chunks(6).map(|bits| char::from(of(bits))).collect()
    };
    for alphabet in ALPHABETS {
        for before in ["", "x", "xy", "user:", "Bearer "] {
            for part in [KEY, &KEY[13..], &KEY[13..30]] {
                let text = base64(&format!("{before}{part}:z"), alphabet);

                let cleaned = cleaned(KEY, &text);

                let left = cleaned.replacen("[key]", "", 1).len();
                let others = (before.len() + ":z".len()) * 4 / 3 + 4;
                assert!(cleaned.contains("[key]") && left <= others, "{before} {part}: {text} became {cleaned}");
            }
        }
    }
    let hex: String = KEY.bytes().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(cleaned(KEY, &hex), "[key]");
    assert_eq!(cleaned(KEY, &hex[7..50].to_lowercase()), "[key]");
}

#[test]
fn a_short_key_is_removed_only_as_a_whole_and_a_placeholder_is_kept() {
    assert_eq!(cleaned("abcd1234", "abcd1234 abcd123 %61bcd1234"), "[key] abcd123 [key]");
    assert_eq!(cleaned("abc1234", "abc1234"), "abc1234");
    assert_eq!(cleaned("", "abc"), "abc");
}

#[test]
fn several_secrets_are_found_in_one_text() {
    let mut text = "the password hunter2hunter2 and the key abcdefgh".to_owned();

    Secrets::new(["hunter2hunter2", "abcdefgh"]).clean(&mut text);

    assert_eq!(text, "the password [key] and the key [key]");
}

#[test]
fn a_text_without_a_secret_stays_as_it_is() {
    for text in [
        "Your credit is too low to access the Anthropic API.",
        r"odd \u00e9 \\ %41 &amp; &#12; \x \",
        "sk-ant-api0 and sk-ant",
        "日本語 %E6%97%A5",
    ] {
        assert_eq!(cleaned(KEY, text), text);
    }
}

#[test]
fn a_long_text_is_searched_to_its_end() {
    let mut random = fastrand::Rng::with_seed(7);
    for before in [65_500, 65_536, 200_001] {
        let text = format!("{}{}{}", r"\n".repeat(before / 2), escaped(KEY, &mut random), r"\t".repeat(50_000));

        let cleaned = cleaned(KEY, &text);

        assert_eq!(cleaned, format!("{}[key]{}", r"\n".repeat(before / 2), r"\t".repeat(50_000)));
    }
}

#[test]
fn a_key_is_removed_from_an_answer_except_from_its_content() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..500 {
        let length = random.usize(12..80);
        let key = key(&mut random, length);
        let content = format!(r#"[{{"type":"text","text":"{}"}}]"#, in_json(&escaped(&key, &mut random)));
        let id = in_json(&[key.clone(), percent(&key, &mut random)][random.usize(0..2)]);
        let json = format!(
            r#"{{"id":"msg {id} {id}","{id}":[{{"a":"{id}"}},12.5e3,null],"content":{content},"stop_reason":"x\n{id}","usage":{{"a":1}}}}"#
        );
        let start = json.find(&content).expect("it is there");
        let place = start..start + content.len();
        let mut verdict = answered(&json, place);

        Secrets::new([&*key]).clean_verdict(&mut verdict);

        let Verdict::Answered(message) = verdict else { panic!("it was an answer") };
        let expected = format!(
            r#"{{"id":"msg [key] [key]","[key]":[{{"a":"[key]"}},12.5e3,null],"content":{content},"stop_reason":"x\n[key]","usage":{{"a":1}}}}"#
        );
        assert_eq!(String::from_utf8_lossy(&message.json), expected, "seed {seed}: {key}");
        assert_eq!(&message.json[message.content], content.as_bytes());
    }
}

/// Returns a text as it appears inside a JSON string.
fn in_json(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("a text can be written");
    quoted[1..quoted.len() - 1].to_owned()
}

#[test]
fn a_number_that_is_a_key_becomes_a_text() {
    let json = r#"{"content":[],"n":[1234567890123456,1],"usage":{}}"#;
    let mut verdict = answered(json, 11..13);

    Secrets::new(["1234567890123456"]).clean_verdict(&mut verdict);

    let Verdict::Answered(message) = verdict else { panic!("it was an answer") };
    assert_eq!(&*message.json, br#"{"content":[],"n":["[key]",1],"usage":{}}"#);
}

#[test]
fn an_answer_without_a_key_is_not_copied() {
    let json = r#"{"id":"msg_01 100% \n","content":[{"text":"sk-ant-api03-9d8Fj_k2"}],"usage":{"a":1}}"#;
    let mut verdict = answered(json, 34..70);
    let Verdict::Answered(message) = &verdict else { panic!("it is an answer") };
    let before = message.json.as_ptr();

    Secrets::new([KEY]).clean_verdict(&mut verdict);

    let Verdict::Answered(message) = verdict else { panic!("it was an answer") };
    assert_eq!((message.json.as_ptr(), &*message.json), (before, json.as_bytes()));
}

#[test]
fn every_text_of_a_failure_is_cleaned() {
    let text = || format!("<{KEY}>");
    let failure = || Failure {
        kind: Some(text()),
        code: Some(text()),
        message: text(),
        request_id: Some(text()),
        ..Failure::default()
    };
    let verdicts = [
        Verdict::Forbidden(failure()),
        Verdict::Halt(HaltReason::Tls(failure())),
        Verdict::Transient {
            class: crate::domain::ErrorClass::Network,
            retry_after: None,
            maybe_paid: true,
            failure: failure(),
        },
    ];
    for mut verdict in verdicts {
        Secrets::new([KEY]).clean_verdict(&mut verdict);

        let shown = format!("{verdict:?}");
        assert!(shown.matches("<[key]>").count() == 4 && !shown.contains("api03"), "{shown}");
    }
}

fn answered(json: &str, content: Range<usize>) -> Verdict {
    let json = Bytes::copy_from_slice(json.as_bytes());
    Verdict::Answered(Message { json, usage: Usage::default(), quality: Quality::Ok, content })
}
