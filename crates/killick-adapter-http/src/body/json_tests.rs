use super::*;
use proptest::prelude::*;

#[test]
fn what_parsers_differ_on_is_refused() {
    for bad in [
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"x":{"a":1,"a":2}}"#,
        r#"{"a":1,}"#,
        r"{'a':1}",
        r"{a:1}",
        "[1,]",
        "[01]",
        "[1.]",
        "[.5]",
        "[+1]",
        "[NaN]",
        "[0x10]",
        r#"["\ud800"]"#,
        r#"["\udc00\ud800"]"#,
        "[\"\t\"]",
        r#"["\x41"]"#,
        "{} {}",
        "{}x",
        "",
        "  ",
        "// c\n{}",
        "/**/{}",
        "\u{feff}{}",
    ] {
        assert!(Json::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn depth_is_bounded_and_costs_no_stack() {
    let deep = "[".repeat(100_000);
    assert_eq!(Json::parse(&deep), Err(JsonError::TooDeep));
}

#[test]
fn numbers_survive_as_written() {
    for number in ["1.0", "1e3", "123456789012345678901234567890", "-0", "0.1000", "1E-7"] {
        assert_eq!(Json::parse(number).unwrap().encode(), number);
    }
}

#[test]
fn escapes_are_undone_once() {
    assert_eq!(
        Json::parse(r#"{"\u006d":"\u0076ol\\u0041\ud83d\ude00"}"#).unwrap().encode(),
        "{\"m\":\"vol\\\\u0041😀\"}"
    );
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn it_reads_what_another_parser_writes(value in any_json()) {
        let parsed = Json::parse(&value.to_string()).unwrap();
        prop_assert_eq!(&parsed, &Json::from(&value));
        let again: serde_json::Value = serde_json::from_str(&parsed.encode()).unwrap();
        prop_assert_eq!(again, value);
    }

    #[test]
    fn it_accepts_nothing_that_another_parser_refuses(text in "[\\[\\]{}\":,0-9a-z\\\\ .eE+-]{0,24}") {
        if Json::parse(&text).is_ok() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }
}
