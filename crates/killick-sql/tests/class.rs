//! A judgement that is remembered for a class holds for every text of the class.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use killick_sql::catalogue::{Catalogue, Operator, Relation, RelationKind};
use killick_sql::class::class_of;
use killick_sql::judge::{SessionState, judge};
use killick_sql::judged::Judged;
use killick_sql::script;

fn catalogue() -> Catalogue {
    let relation = Relation {
        oid: 20_000,
        schema: "public".into(),
        name: "t".into(),
        kind: RelationKind::Table,
        persistence: 'p',
        owner: "app".into(),
        rows_estimate: Some(1_000_000),
        bytes: 0,
        row_security: (false, false),
        columns: Vec::new(),
        primary_key: vec!["id".into()],
        unique_keys: vec![vec!["id".into()]],
        unique_nullable: vec![vec!["id".into()]],
        triggers: Vec::new(),
        rules: Vec::new(),
        definition: None,
        referenced_by: Vec::new(),
        references: Vec::new(),
        children: Vec::new(),
        parents: Vec::new(),
        policies: Vec::new(),
        publications: Vec::new(),
        checks: Vec::new(),
        index_expressions: Vec::new(),
        deferrable: false,
    };
    let mut catalogue = Catalogue::default();
    catalogue.search_path = vec!["public".into()];
    catalogue.relations.insert(relation.oid, Arc::new(relation));
    for name in ["=", "+", "-", "<", ">", ">=", "<="] {
        let own = Operator { schema: "pg_catalog".into(), left: 23, right: 23, function: 65 };
        catalogue.operators.insert(name.into(), vec![own]);
    }
    catalogue.index();
    catalogue
}

fn judged(catalogue: &Catalogue, text: &str) -> Judged {
    let script = script::parse(text).unwrap();
    judge(&script, 0, catalogue, &SessionState::default())
}

#[test]
fn a_limit_that_holds_a_change_and_a_number_given_to_a_function_are_never_remembered_for_a_class() {
    let catalogue = catalogue();
    let few = "DELETE FROM t WHERE id IN (SELECT id FROM t LIMIT 10)";
    let many = "DELETE FROM t WHERE id IN (SELECT id FROM t LIMIT 100000)";
    assert_eq!(class_of(few).unwrap().key, class_of(many).unwrap().key);
    assert_ne!(judged(&catalogue, few), judged(&catalogue, many));
    for text in [few, many, "SELECT pg_terminate_backend(42)", "SELECT lo_unlink(7::oid)"] {
        assert!(judged(&catalogue, text).literals_matter, "{text}");
    }
}

#[test]
fn what_is_remembered_for_a_class_is_what_each_of_its_texts_means() {
    let catalogue = catalogue();
    for with in [
        "SELECT a FROM t WHERE id = #;",
        "SELECT a FROM t WHERE id = # OR b BETWEEN # AND # ORDER BY # LIMIT #",
        "UPDATE t SET a = a + -# WHERE id = #",
        "UPDATE t SET a = # WHERE b > #",
        "UPDATE t SET a = # WHERE # = #",
        "INSERT INTO t (id, a) VALUES (#, #), (#, #)",
        "DELETE FROM t WHERE id IN (#, #, #)",
        "DELETE FROM t WHERE a IN (SELECT b FROM t WHERE c < # LIMIT #)",
        "DELETE FROM t USING t AS u WHERE t.id = u.id AND u.a = #",
        "DELETE FROM t WHERE id = (SELECT id FROM t WHERE t.a = #)",
    ] {
        let text = |number: &str| with.replace('#', number);
        let first = judged(&catalogue, &text("7"));
        let class = class_of(&text("7")).unwrap().key;
        for number in ["0", "1", "42", "999999999"] {
            assert_eq!(class_of(&text(number)).unwrap().key, class);
            if !first.literals_matter {
                assert_eq!(judged(&catalogue, &text(number)), first, "{with} with {number}");
            }
        }
    }
}

#[test]
fn what_is_true_by_its_numbers_alone_is_never_remembered_for_what_is_not() {
    let catalogue = catalogue();
    for (one, other) in [
        ("DELETE FROM t WHERE 1 = 1", "DELETE FROM t WHERE 1 = 2"),
        ("DELETE FROM t WHERE id = 5 OR 1 = 1", "DELETE FROM t WHERE id = 5 OR 1 = 2"),
        ("DELETE FROM t WHERE id = 5 OR 2 > 1", "DELETE FROM t WHERE id = 5 OR 1 > 2"),
        ("DELETE FROM t WHERE id > 0 - 1", "DELETE FROM t WHERE id > 1000 - 1"),
        (
            "UPDATE t SET a = 1 WHERE 7 BETWEEN 1 AND 9",
            "UPDATE t SET a = 1 WHERE 7 BETWEEN 8 AND 9",
        ),
        ("DELETE FROM t WHERE 3 IN (1, 2, 3)", "DELETE FROM t WHERE 3 IN (1, 2, 4)"),
        ("DELETE FROM t WHERE id IN (1, 1, 1)", "DELETE FROM t WHERE id IN (1, 2, 3)"),
        ("UPDATE t SET a = 1 WHERE id = 1 LIMIT 1", "UPDATE t SET a = 1 WHERE id = 1 LIMIT 100"),
    ] {
        let (Some(class), Some(same)) = (class_of(one), class_of(other)) else { continue };
        assert_eq!(class.key, same.key, "{one}");
        let Ok(script) = script::parse(one) else { continue };
        let first = judge(&script, 0, &catalogue, &SessionState::default());
        assert!(first.literals_matter || first == judged(&catalogue, other), "{one}");
    }
}
