//! Where the rows of a statement are likely to be found, so that an index serves and no whole table is searched.
//!
//! A hint only narrows the search; what it finds counts where it is as many rows as the server counted.

use std::collections::BTreeMap;

use killick_sql::catalogue::{Catalogue, OnChange, Relation};
use killick_sql::judge::{Pinned, PinnedValue, pinned};
use killick_sql::script;

use super::call::Said;
use super::commit::Rows;
use super::images::{list, literal, quoted};

/// How many foreign keys a hint follows.
const FOLLOWED_MAX: usize = 6;
/// `int2`, `int4` and `int8` by their numbers in the catalogue.
const INTEGERS: &[u32] = &[21, 23, 20];

/// Returns, for each table that one statement changed, a condition that its rows are likely to fulfil.
pub(crate) fn hints(
    said: &Said,
    target: u32,
    catalogue: &Catalogue,
    counted: &BTreeMap<u32, Rows>,
    xid: &str,
) -> BTreeMap<u32, String> {
    let mut all = BTreeMap::new();
    let Ok(script) = script::parse(&said.text) else { return all };
    let pins = pinned(&script, 0, catalogue);
    let conditions: Vec<String> = pins.iter().filter_map(|pin| condition(pin, said)).collect();
    if conditions.is_empty() {
        return all;
    }
    all.insert(target, conditions.join(" AND "));
    for _ in 0..FOLLOWED_MAX {
        let reached: Vec<(u32, String)> = counted
            .keys()
            .filter(|oid| !all.contains_key(oid))
            .filter_map(|oid| {
                let relation = catalogue.relations.get(oid)?;
                Some((*oid, by_key(relation, catalogue, &all, xid)?))
            })
            .collect();
        if reached.is_empty() {
            break;
        }
        all.extend(reached);
    }
    all
}

/// Rows that point at rows for which there is a hint already.
fn by_key(
    child: &Relation,
    catalogue: &Catalogue,
    known: &BTreeMap<u32, String>,
    xid: &str,
) -> Option<String> {
    let ways: Vec<String> = child
        .references
        .iter()
        .filter(|key| key.on_delete != OnChange::Refuse)
        .filter_map(|key| {
            let parent = catalogue.relations.get(&key.parent)?;
            let hint = known.get(&key.parent)?;
            Some(format!(
                "({}) IN (SELECT {} FROM ONLY {}.{} WHERE xmax = {} AND {hint})",
                list(key.child_columns.iter().map(String::as_str)),
                list(key.parent_columns.iter().map(String::as_str)),
                quoted(&parent.schema),
                quoted(&parent.name),
                literal(xid),
            ))
        })
        .collect();
    // Several ways in would be searched in whole.
    match ways.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}

fn condition(pin: &Pinned, said: &Said) -> Option<String> {
    let values: Option<Vec<String>> = pin
        .values
        .iter()
        .map(|value| match value {
            PinnedValue::Text(text) => Some(literal(text)),
            PinnedValue::Parameter(at) => parameter(said, *at).map(|text| literal(&text)),
        })
        .collect();
    Some(format!("{} IN ({})", quoted(&pin.column), values?.join(", ")))
}

/// Returns a bind value as text, where its form is known.
fn parameter(said: &Said, number: usize) -> Option<String> {
    let at = number.checked_sub(1)?;
    let value = said.values.get(at)?.as_ref()?;
    let format = match said.formats.as_slice() {
        [] => 0,
        [all] => *all,
        each => *each.get(at)?,
    };
    if format == 0 {
        return String::from_utf8(value.clone()).ok();
    }
    if said.types.get(at).is_some_and(|kind| *kind != 0 && !INTEGERS.contains(kind)) {
        return None;
    }
    match value.as_slice() {
        [a, b] => Some(i16::from_be_bytes([*a, *b]).to_string()),
        [a, b, c, d] => Some(i32::from_be_bytes([*a, *b, *c, *d]).to_string()),
        eight => Some(i64::from_be_bytes(eight.try_into().ok()?).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(value: &[u8], format: i16, kind: u32) -> Said {
        Said {
            text: String::new(),
            values: vec![Some(value.to_vec())],
            formats: vec![format],
            types: vec![kind],
        }
    }

    #[test]
    fn a_bind_value_is_read_in_the_forms_that_are_known_and_in_no_other() {
        assert_eq!(parameter(&said(b"it's", 0, 25), 1).as_deref(), Some("it's"));
        assert_eq!(parameter(&said(&7_i64.to_be_bytes(), 1, 20), 1).as_deref(), Some("7"));
        assert_eq!(parameter(&said(&(-2_i32).to_be_bytes(), 1, 0), 1).as_deref(), Some("-2"));
        assert_eq!(parameter(&said(&7_i64.to_be_bytes(), 1, 701), 1), None);
        assert_eq!(parameter(&said(b"abc", 1, 20), 1), None);
        assert_eq!(parameter(&said(b"1", 0, 20), 2), None);
    }
}
