//! Every way in which JSON with keys that stand twice can be read.

use super::json::{Json, JsonError, parse_with_duplicates};

/// What a text of JSON may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ways {
    /// One value for each way; never empty.
    pub(crate) values: Vec<Json>,
    /// Why there may be several.
    pub(crate) doubt: Option<JsonError>,
}

/// Reads a text in every way: of keys that stand twice, one parser keeps the first and another the
/// last.
///
/// # Errors
/// It is not JSON, nests too deep, or can be read in more than `ways_max` ways.
pub(crate) fn ways(text: &str, ways_max: usize) -> Result<Ways, JsonError> {
    match Json::parse(text) {
        Ok(value) => Ok(Ways { values: vec![value], doubt: None }),
        Err(twice @ JsonError::DuplicateKey { .. }) => {
            let value = parse_with_duplicates(text)?;
            let values = unfold(&value, ways_max).ok_or(twice)?;
            Ok(Ways { values, doubt: Some(twice) })
        }
        Err(error @ (JsonError::Syntax { .. } | JsonError::TooDeep)) => Err(error),
    }
}

// The parser bounds how deep this goes.
fn unfold(value: &Json, ways_max: usize) -> Option<Vec<Json>> {
    match value {
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Some(vec![value.clone()]),
        Json::Array(items) => {
            let mut lists = vec![Vec::with_capacity(items.len())];
            for item in items {
                lists = extended(lists, &unfold(item, ways_max)?, ways_max)?;
            }
            Some(lists.into_iter().map(Json::Array).collect())
        }
        Json::Object(fields) => {
            let mut by_key: Vec<(&str, Vec<Json>)> = Vec::with_capacity(fields.len());
            let mut places = std::collections::HashMap::new();
            for (key, value) in fields {
                let next = by_key.len();
                let at = *places.entry(key.as_str()).or_insert(next);
                if at == next {
                    by_key.push((key, Vec::new()));
                }
                let (_, values) = by_key.get_mut(at)?;
                values.extend(unfold(value, ways_max)?);
                if values.len() > ways_max {
                    return None;
                }
            }
            let mut objects = vec![Vec::with_capacity(by_key.len())];
            for (key, values) in by_key {
                let pairs: Vec<(String, Json)> =
                    values.into_iter().map(|value| (key.to_owned(), value)).collect();
                objects = extended(objects, &pairs, ways_max)?;
            }
            Some(objects.into_iter().map(Json::Object).collect())
        }
    }
}

// Every list with every one of the next entries behind it.
fn extended<T: Clone>(lists: Vec<Vec<T>>, next: &[T], ways_max: usize) -> Option<Vec<Vec<T>>> {
    if lists.len().saturating_mul(next.len()) > ways_max {
        return None;
    }
    let mut longer = Vec::with_capacity(lists.len().saturating_mul(next.len()));
    for mut list in lists {
        if let [only] = next {
            list.push(only.clone());
            longer.push(list);
            continue;
        }
        for one in next {
            let mut copy = list.clone();
            copy.push(one.clone());
            longer.push(copy);
        }
    }
    Some(longer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        ways(text, 8).unwrap().values.iter().map(Json::encode).collect()
    }

    #[test]
    fn every_choice_of_a_key_that_stands_twice_is_a_way() {
        assert_eq!(texts(r#"{"a":1,"b":2,"a":3}"#), [r#"{"a":1,"b":2}"#, r#"{"a":3,"b":2}"#]);
        assert_eq!(
            texts(r#"[{"x":{"a":1,"\u0061":2}},{"b":3,"b":4}]"#),
            [
                r#"[{"x":{"a":1}},{"b":3}]"#,
                r#"[{"x":{"a":1}},{"b":4}]"#,
                r#"[{"x":{"a":2}},{"b":3}]"#,
                r#"[{"x":{"a":2}},{"b":4}]"#,
            ]
        );
        assert_eq!(ways(r#"{"a":1,"b":2}"#, 8).unwrap().doubt, None);
        assert!(ways(r#"{"a":1,"a":1}"#, 8).unwrap().doubt.is_some(), "equal values are doubt too");
    }

    #[test]
    fn more_ways_than_are_judged_are_none() {
        let nine = format!("{{{}}}", ["\"a\":1"; 9].join(","));
        assert!(matches!(ways(&nine, 8), Err(JsonError::DuplicateKey { .. })));
        let sixteen = format!("[{}]", ["{\"a\":1,\"a\":2}"; 4].join(","));
        assert!(matches!(ways(&sixteen, 8), Err(JsonError::DuplicateKey { .. })));
        let wide = format!("[{}{{}}]", "{\"a\":1,\"a\":2},".repeat(50_000));
        assert!(ways(&wide, 8).is_err());
    }

    #[test]
    fn no_way_holds_a_key_twice() {
        for value in ways(r#"{"a":{"b":1,"b":{"c":1,"c":2}},"a":7}"#, 8).unwrap().values {
            assert!(Json::parse(&value.encode()).is_ok(), "{}", value.encode());
        }
    }

    #[test]
    fn what_is_not_json_has_no_way() {
        for bad in ["", "{", r#"{"a":1,"a":2"#, r#"{"a":1,"a":2} x"#] {
            assert!(ways(bad, 8).is_err(), "{bad}");
        }
    }
}
