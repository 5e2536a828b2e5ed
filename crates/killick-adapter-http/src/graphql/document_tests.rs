use std::fmt::Write as _;

use super::*;
use crate::body::Json;

fn element(text: &str, operation: Option<&str>, variables: &str) -> Element {
    let Json::Object(variables) = Json::parse(variables).unwrap() else { panic!("an object") };
    let operation_name = operation.map(str::to_owned);
    Element { text: text.to_owned(), operation_name, variables, files: false }
}

fn names(
    text: &str,
    operation: Option<&str>,
    variables: &str,
) -> Result<Vec<String>, DocumentError> {
    let chosen = choose(&element(text, operation, variables))?;
    Ok(chosen.fields.into_iter().map(|field| field.name).collect())
}

#[test]
fn the_operation_that_runs_is_the_one_that_is_judged() {
    let two = "query Q { me { id } } mutation D { volumeDelete(volumeId: \"v\") }";
    assert_eq!(names(two, Some("D"), "{}").unwrap(), ["volumeDelete"]);
    assert_eq!(names(two, Some("Q"), "{}").unwrap(), ["me"]);
    assert_eq!(names(two, None, "{}"), Err(DocumentError::Unchosen));
    assert_eq!(names(two, Some("X"), "{}"), Err(DocumentError::NoSuchOperation));
    assert_eq!(names("fragment F on Query { me }", None, "{}"), Err(DocumentError::Unchosen));
    assert_eq!(names("{ me } { you }", None, "{}"), Err(DocumentError::DefinedTwice));
    assert_eq!(
        names("query A { me } mutation A { volumeDelete }", Some("A"), "{}"),
        Err(DocumentError::DefinedTwice)
    );
}

#[test]
fn a_field_is_found_behind_every_indirection() {
    for text in [
        "mutation { ok: volumeDelete(volumeId: \"v\") }",
        "mutation { ...F } fragment F on Mutation { volumeDelete(volumeId: \"v\") }",
        "mutation { ...A } fragment A on Mutation { ...B } fragment B on Mutation { volumeDelete }",
        "mutation { ... on Mutation { volumeDelete } }",
        "mutation { ... { ... { volumeDelete } } }",
        "mutation { ... on Query { volumeDelete } }",
        "mutation,,,{,volumeDelete,}",
        "\u{feff}mutation{volumeDelete}",
        "mutation\n\t\r{volumeDelete\n(volumeId:\"\"\"v\"\"\")}",
        "mutation # query { me }\n{ volumeDelete }",
        "mutation { ...F @include(if: false) ...F } fragment F on Mutation { volumeDelete }",
        "mutation { ...F @skip(if: true) ... { ...F } } fragment F on Mutation { volumeDelete }",
    ] {
        assert_eq!(names(text, None, "{}").unwrap(), ["volumeDelete"], "{text}");
    }
}

#[test]
fn only_a_value_that_is_known_keeps_a_field_from_running() {
    for (text, variables, runs) in [
        ("mutation { volumeDelete @skip(if: true) }", "{}", false),
        ("mutation { volumeDelete @include(if: false) }", "{}", false),
        ("mutation { volumeDelete @skip(if: false) }", "{}", true),
        ("mutation($s: Boolean!) { volumeDelete @skip(if: $s) }", r#"{"s":false}"#, true),
        ("mutation($s: Boolean!) { volumeDelete @skip(if: $s) }", r#"{"s":true}"#, false),
        ("mutation($s: Boolean!) { volumeDelete @skip(if: $s) }", r#"{"s":"true"}"#, true),
        ("mutation($s: Boolean!) { volumeDelete @skip(if: $s) }", r#"{"s":null}"#, true),
        ("mutation($s: Boolean!) { volumeDelete @skip(if: $s) }", "{}", true),
        ("mutation($s: Boolean = true) { volumeDelete @include(if: $s) }", "{}", true),
        ("mutation($s: Boolean = false) { volumeDelete @include(if: $s) }", "{}", false),
        ("mutation($s: Boolean = false) { volumeDelete @include(if: $s) }", r#"{"s":true}"#, true),
        ("mutation { volumeDelete @include(if: $undefined) }", r#"{"undefined":false}"#, true),
        ("mutation { volumeDelete @skip }", "{}", true),
        ("mutation { volumeDelete @skip(unless: true) }", "{}", true),
        ("mutation { volumeDelete @unknown(if: true) }", "{}", true),
    ] {
        assert_eq!(!names(text, None, variables).unwrap().is_empty(), runs, "{text} {variables}");
    }
}

#[test]
fn arguments_are_followed_through_variables_and_defaults() {
    let argument = |text: &str, variables: &str| {
        let chosen = choose(&element(text, None, variables)).unwrap();
        let path = crate::pack::ArgPath::parse("id").unwrap();
        chosen.fields[0].arguments.select(&path).first().map(|arg| (*arg).clone())
    };
    let scalar = |text: &str| Some(Arg::Scalar(text.into()));
    assert_eq!(argument("mutation { m(id: \"a\") }", "{}"), scalar("a"));
    assert_eq!(argument("mutation($a: ID = \"prod\") { m(id: $a) }", "{}"), scalar("prod"));
    assert_eq!(argument("mutation($a: ID = \"prod\") { m(id: $a) }", r#"{"a":"x"}"#), scalar("x"));
    assert_eq!(argument("mutation($a: ID) { m(id: $a) }", "{}"), None);
    assert_eq!(argument("mutation($a: ID!) { m(id: $a) }", "{}"), Some(Arg::Unknown));
    assert_eq!(argument("mutation { m(id: $a) }", r#"{"a":"x"}"#), Some(Arg::Unknown));
    assert_eq!(argument("mutation { m(id: 7) }", "{}"), scalar("7"));
    assert_eq!(argument("mutation($a: ID) { m(id: $a) }", r#"{"a":null}"#), Some(Arg::Null));
}

#[test]
fn what_could_exhaust_the_gateway_is_refused() {
    let deep = format!("{}{}", "{a".repeat(50_000), "}".repeat(50_000));
    assert_eq!(names(&deep, None, "{}"), Err(DocumentError::Syntax));
    let long = format!("{{ {} }}", "a ".repeat(40_000));
    assert_eq!(names(&long, None, "{}"), Err(DocumentError::Syntax));
    let mut chain = "mutation { ...F0 }".to_owned();
    for at in 0..=FRAGMENTS_MAX {
        write!(chain, " fragment F{at} on Mutation {{ ...F{} }}", at + 1).unwrap();
    }
    assert_eq!(names(&chain, None, "{}"), Err(DocumentError::TooMany));
    // Each level spreads the next one twice: 2^100 fields if it were expanded.
    let mut laughs = "mutation { ...F0 }".to_owned();
    for at in 0..100 {
        write!(laughs, " fragment F{at} on Mutation {{ ...F{0} ...F{0} }}", at + 1).unwrap();
    }
    laughs.push_str(" fragment F100 on Mutation { volumeDelete }");
    assert_eq!(names(&laughs, None, "{}").unwrap(), ["volumeDelete"]);
    let many = format!("mutation {{ {} }}", "a ".repeat(ROOT_FIELDS_MAX + 1));
    assert_eq!(names(&many, None, "{}"), Err(DocumentError::TooMany));
}

#[test]
fn fragments_that_are_missing_or_reach_themselves_are_refused() {
    for text in [
        "{ ...F }",
        "{ ...F } fragment F on Query { ...F }",
        "{ ...F } fragment F on Query { ...G } fragment G on Query { a { ...F } }",
        "{ a { ...F } } fragment F on X { b { ...F } }",
    ] {
        assert_eq!(names(text, None, "{}"), Err(DocumentError::Fragment), "{text}");
    }
    assert_eq!(
        names("{ ...F } fragment F on Query { a } fragment F on Query { b }", None, "{}"),
        Err(DocumentError::DefinedTwice)
    );
    assert_eq!(names("{ a } type T { b: Int }", None, "{}"), Err(DocumentError::NotExecutable));
}

#[test]
fn a_null_that_a_file_may_replace_is_unknown() {
    let path = crate::pack::ArgPath::parse("f").unwrap();
    let argument = |variables: &str, files: bool| {
        let element = Element { files, ..element("mutation($f: X) { m(f: $f) }", None, variables) };
        let chosen = choose(&element).unwrap();
        chosen.fields[0].arguments.select(&path).first().map(|arg| (*arg).clone())
    };
    assert_eq!(argument(r#"{"f":null}"#, false), Some(Arg::Null));
    for held in [r#"{"f":null}"#, r#"{"f":[1,null]}"#, r#"{"f":{"g":[{"h":null}]}}"#] {
        assert_eq!(argument(held, true), Some(Arg::Unknown), "{held}");
    }
    assert_eq!(argument(r#"{"f":"a"}"#, true), Some(Arg::Scalar("a".into())));
}
