//! Whether a document and its variables are valid for a provider's schema.

use apollo_compiler::Schema;
use apollo_compiler::ast::Document;
use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::response::JsonValue;
use apollo_compiler::validation::Valid;

use crate::body::Json;

/// The most bytes of what is told about an invalid document.
const INVALID_BYTES_MAX: usize = 300;

/// Returns why a document with one operation, or its variables, are not valid; no value of a variable
/// is told.
pub(super) fn invalid(schema: &Valid<Schema>, text: &str, variables: &Json) -> Option<String> {
    let Ok(document) = Document::parse(text, "document.graphql") else {
        return Some("the document does not read back".into());
    };
    let document = match document.to_executable_validate(schema) {
        Ok(document) => document,
        Err(failed) => {
            let first = failed.errors.iter().next().map(|error| error.error.to_string());
            return Some(told(&first.unwrap_or_else(|| "it breaks a rule".into())));
        }
    };
    let Ok(operation) = document.operations.get(None) else {
        return Some("the document has several operations".into());
    };
    let given = match serde_json::from_str::<JsonValue>(&variables.encode()) {
        Ok(JsonValue::Object(given)) => given,
        Ok(
            JsonValue::Null
            | JsonValue::Bool(_)
            | JsonValue::Number(_)
            | JsonValue::String(_)
            | JsonValue::Array(_),
        )
        | Err(_) => return Some("a variable holds a number that is out of range".into()),
    };
    let failed = coerce_variable_values(schema, operation, &given).err()?;
    Some(told(&without_value(&failed.message().to_string())))
}

// The library's message may quote the value.
fn without_value(message: &str) -> String {
    if let Some(rest) = message.strip_prefix("could not coerce ") {
        let place = rest.split_once(':').map_or("a variable", |(place, _)| place);
        return format!("{place} does not fit its type");
    }
    if let Some(rest) = message.strip_prefix("Input object has key ") {
        let owner = rest.rsplit_once(" not in type ").map_or("its type", |(_, owner)| owner);
        return format!("a variable holds a key that {owner} does not have");
    }
    if message.starts_with("missing value for ")
        || message.starts_with("Missing value for ")
        || message.starts_with("null value for ")
    {
        return message.to_owned();
    }
    "a variable does not fit its type".into()
}

fn told(because: &str) -> String {
    let mut message = format!("the document is not valid for the provider's schema: {because}")
        .replace('\n', " ");
    if message.len() > INVALID_BYTES_MAX {
        let mut end = INVALID_BYTES_MAX;
        while !message.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        message.truncate(end);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str, variables: &str) -> Option<String> {
        let schema = Schema::parse_and_validate(
            "type Query { me(id: ID, n: Int, f: Float, input: In, kind: Kind, any: Any): String } \
             input In { name: String! list: [Int!] inner: In } enum Kind { A B } scalar Any",
            "schema.graphql",
        )
        .unwrap();
        invalid(&schema, text, &Json::parse(variables).unwrap())
    }

    #[test]
    fn variables_that_fit_are_valid() {
        for (text, variables) in [
            ("{ me }", "{}"),
            ("query($n: Int = 3) { me(n: $n) }", "{}"),
            ("query($n: Int) { me(n: $n) }", "{}"),
            ("query($n: Int) { me(n: $n) }", r#"{"n":null}"#),
            ("query($n: Int!) { me(n: $n) }", r#"{"n":-7}"#),
            ("query($i: ID!) { me(id: $i) }", r#"{"i":7}"#),
            ("query($f: Float!) { me(f: $f) }", r#"{"f":7}"#),
            ("query($k: Kind) { me(kind: $k) }", r#"{"k":"A"}"#),
            ("query($a: Any) { me(any: $a) }", r#"{"a":{"b":[1,"x",null]}}"#),
            (
                "query($i: In) { me(input: $i) }",
                r#"{"i":{"name":"a","list":[1],"inner":{"name":"b"}}}"#,
            ),
            ("query($i: In) { me(input: $i) }", r#"{"i":{"name":"a","list":1}}"#),
        ] {
            assert_eq!(why(text, variables), None, "{text} {variables}");
        }
    }

    #[test]
    fn variables_that_do_not_fit_are_told_without_their_values() {
        for (text, variables) in [
            ("query($n: Int!) { me(n: $n) }", "{}"),
            ("query($n: Int!) { me(n: $n) }", r#"{"n":null}"#),
            ("query($n: Int) { me(n: $n) }", r#"{"n":"canary"}"#),
            ("query($n: Int) { me(n: $n) }", r#"{"n":1.5}"#),
            ("query($n: Int) { me(n: $n) }", r#"{"n":4294967296}"#),
            ("query($n: Int) { me(n: $n) }", r#"{"n":1e999}"#),
            ("query($n: Int) { me(n: $n) }", r#"{"n":{"canary":1}}"#),
            ("query($k: Kind) { me(kind: $k) }", r#"{"k":"canary"}"#),
            ("query($k: Kind) { me(kind: $k) }", r#"{"k":"a"}"#),
            ("query($i: ID) { me(id: $i) }", r#"{"i":["canary","canary"]}"#),
            ("query($i: In) { me(input: $i) }", r#"{"i":"canary"}"#),
            ("query($i: In) { me(input: $i) }", r#"{"i":{"list":[1]}}"#),
            ("query($i: In) { me(input: $i) }", r#"{"i":{"name":"a","canary":1}}"#),
            ("query($i: In) { me(input: $i) }", r#"{"i":{"name":"a","list":["canary"]}}"#),
            ("query($i: In) { me(input: $i) }", r#"{"i":{"name":"a","inner":{"name":7}}}"#),
            ("query($i: In) { me(input: $i, n: \"canary\") }", "{}"),
        ] {
            let why = why(text, variables).unwrap_or_else(|| panic!("{text} {variables}"));
            assert!(!why.contains("canary"), "{why}");
            assert!(why.contains("not valid for the provider's schema") || why.contains("range"));
        }
    }
}
