//! The catalogue beside relations that are locked: what the server would wait for is not read, and counts as unknown.

use std::borrow::Cow;

/// What stands for a definition that was not read. No grammar reads it, so that what hangs on it is unrecognized.
pub const UNREAD: &str = "(locked";

/// Returns a query of the inspector that writes down no definition that hangs on one of these relations, given by
/// their numbers parted by commas ([`super::LOCKED`]).
#[must_use]
pub fn beside<'a>(sql: &'a str, locked: &str) -> Cow<'a, str> {
    let numbers = locked.split(',').filter(|it| it.parse::<u32>().is_ok()).collect::<Vec<_>>();
    if numbers.is_empty() {
        return Cow::Borrowed(sql);
    }
    let locked = format!("ANY ('{{{}}}'::oid[])", numbers.join(","));
    let unread = UNREAD;
    let mut out = String::with_capacity(sql.len().saturating_mul(2));
    let mut rest = sql;
    while let Some((before, call, arguments, after)) = next_call(rest) {
        out.push_str(before);
        let instead = match (call, arguments.split_once(", ")) {
            ("pg_get_expr", Some((tree, relation))) => format!(
                "CASE WHEN {relation} = {locked} THEN CASE WHEN {tree} IS NOT NULL THEN '{unread}' END ELSE"
            ),
            ("pg_get_viewdef", _) => format!(
                "CASE WHEN {} THEN '{unread}' ELSE",
                hangs_on(
                    &locked,
                    "pg_rewrite",
                    &format!(
                        "(SELECT r.oid FROM pg_catalog.pg_rewrite r WHERE r.ev_class = {arguments})"
                    )
                )
            ),
            ("pg_get_ruledef", _) => format!(
                "CASE WHEN {} THEN '{unread}' ELSE",
                hangs_on(&locked, "pg_rewrite", &format!("({arguments})"))
            ),
            (_, _) => format!(
                "CASE WHEN {} THEN '{unread}' ELSE",
                hangs_on(&locked, "pg_proc", &format!("({arguments})"))
            ),
        };
        out.extend([&instead, " pg_catalog.", call, "(", arguments, ") END"]);
        rest = after;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Returns the condition that one of some objects of a catalogue depends on a locked relation.
fn hangs_on(locked: &str, catalogue: &str, objects: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM pg_catalog.pg_depend h WHERE h.classid = 'pg_catalog.{catalogue}'::regclass \
         AND h.objid IN {objects} AND h.refclassid = 'pg_catalog.pg_class'::regclass AND h.refobjid = {locked})"
    )
}

/// Finds the next call of a function that takes a lock: the text before it, its name, its arguments, and the rest.
fn next_call(sql: &str) -> Option<(&str, &str, &str, &str)> {
    const START: &str = "pg_catalog.pg_get_";
    let mut from = 0_usize;
    loop {
        let at = from.checked_add(sql.get(from..)?.find(START)?)?;
        let behind = sql.get(at..)?.strip_prefix("pg_catalog.")?;
        let (call, rest) = behind.split_once('(')?;
        let (arguments, after) = rest.split_once(')')?;
        if ["pg_get_expr", "pg_get_viewdef", "pg_get_ruledef", "pg_get_functiondef"].contains(&call)
        {
            return Some((sql.get(..at)?, call, arguments, after));
        }
        from = at.checked_add(START.len())?;
    }
}

#[cfg(test)]
mod tests {
    use super::super::QUERIES;
    use super::*;

    #[test]
    fn nothing_that_waits_for_a_lock_is_asked_about_a_locked_relation() {
        let waits = ["pg_get_expr(", "pg_get_viewdef(", "pg_get_ruledef(", "pg_get_functiondef("];
        let mut calls = 0_usize;
        for query in QUERIES {
            assert_eq!(beside(query.sql, ""), query.sql);
            let wrapped = beside(query.sql, "20001,20002");
            for call in waits {
                let (before, after) =
                    (query.sql.matches(call).count(), wrapped.matches(call).count());
                assert_eq!(before, after, "{}", query.name);
                calls += before;
                let guarded = wrapped.matches(&format!("ELSE pg_catalog.{call}")).count();
                assert_eq!(guarded, before, "{}: {wrapped}", query.name);
            }
            assert!(crate::script::parse(&wrapped).is_ok(), "{}: {wrapped}", query.name);
            assert!(crate::script::parse(&format!("SELECT {UNREAD}")).is_err());
        }
        assert!(calls >= 9, "{calls}");
    }
}
