//! What a session at a database means by its words: after COMMIT, after a function that sets where names lead, and
//! when it said that it only reads.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod faults;

use faults::Faults;
use killick_testkit::postgres::Client;
use serde_json::Value;

const ELSEWHERE: &str = "SET ROLE app; CREATE SCHEMA elsewhere;
    CREATE TABLE users (id int PRIMARY KEY, v text); CREATE TABLE elsewhere.users (id int, v text);
    CREATE FUNCTION lead_away() RETURNS text LANGUAGE plpgsql AS
      $$ BEGIN PERFORM set_config('search_path', 'elsewhere', false); RETURN 'x'; END $$;
    RESET ROLE";

/// Returns the tables of the last COMMIT on the record, each with its inserted rows.
async fn last_commit(stage: &Faults) -> Vec<(String, u64)> {
    let record = stage.gateway.record().await.unwrap();
    let tables = record.iter().rev().find_map(|line| line["details"]["tables"].as_array()).unwrap();
    let row =
        |it: &Value| (it["table"].as_str().unwrap().to_owned(), it["inserted"].as_u64().unwrap());
    tables.iter().map(row).collect()
}

fn passes(client: &mut Client, text: &str) {
    let answer = client.query(text).unwrap();
    assert!(answer.went_well(), "{text}: {answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_leads_names_elsewhere_does_not_mislead_the_record() {
    let stage = Faults::open().await;
    passes(&mut stage.direct(), ELSEWHERE);
    for in_transaction in [false, true] {
        let (_, url) = stage.session().await;
        let mut agent = Client::connect(&url).unwrap();
        if in_transaction {
            passes(&mut agent, "BEGIN");
        }
        passes(&mut agent, "SELECT lead_away()");
        passes(&mut agent, "INSERT INTO users VALUES (1, 'x')");
        if in_transaction {
            passes(&mut agent, "COMMIT");
        }
        let told = last_commit(&stage).await;
        let mut direct = stage.direct();
        let count = |direct: &mut Client, table: &str| {
            direct.query(&format!("SELECT count(*) FROM {table}")).unwrap().value()
        };
        let found =
            match (count(&mut direct, "public.users"), count(&mut direct, "elsewhere.users")) {
                (here, _) if here == "1" => "public.users",
                (_, there) if there == "1" => "elsewhere.users",
                other => panic!("{other:?}"),
            };
        assert_eq!(told, [(found.to_owned(), 1)], "in a transaction: {in_transaction}");
        passes(&mut direct, "TRUNCATE public.users, elsewhere.users");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_made_something_is_over_after_its_commit() {
    let stage = Faults::open().await;
    let (_, url) = stage.session().await;
    let mut agent = Client::connect(&url).unwrap();
    for text in [
        "BEGIN",
        "CREATE TABLE made (id int)",
        "INSERT INTO made SELECT generate_series(1, 5)",
        "COMMIT",
        "INSERT INTO load VALUES (1)",
    ] {
        passes(&mut agent, text);
    }
    assert_eq!(last_commit(&stage).await, [("public.load".to_owned(), 1)]);
    let answer = agent.query("COMMIT").unwrap();
    assert_eq!(answer.notices.len(), 1, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_said_it_only_reads_is_held_to_it_by_the_server() {
    let stage = Faults::open().await;
    let (_, url) = stage.session().await;
    let mut agent = Client::connect(&url).unwrap();
    passes(&mut agent, "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY");
    for text in ["INSERT INTO load VALUES (1)", "BEGIN; INSERT INTO load VALUES (1); COMMIT"] {
        let answer = agent.query(text).unwrap();
        assert_eq!(answer.errors[0].sqlstate, "25006", "{text}: {answer:?}");
        agent.query("ROLLBACK").unwrap();
    }
    passes(&mut agent, "BEGIN READ WRITE; INSERT INTO load VALUES (1); COMMIT");
    assert_eq!(stage.direct().query("SELECT count(*) FROM load").unwrap().value(), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_cannot_be_planned_says_its_own_mistake_inside_of_a_transaction() {
    let stage = Faults::open().await;
    let (_, url) = stage.session().await;
    let mut agent = Client::connect(&url).unwrap();
    passes(&mut agent, "BEGIN");
    let answer = agent.query("DELETE FROM single WHERE v = 'x' AND nonesuch = 1").unwrap();
    assert_eq!(answer.errors[0].sqlstate, "42703", "{answer:?}");
    assert_eq!(answer.status, b'E');
    passes(&mut agent, "ROLLBACK");
    // Nothing of the gateway's own shows in the session.
    let prepared = agent.query("SELECT count(*) FROM pg_prepared_statements").unwrap();
    assert_eq!(prepared.value(), "0", "{prepared:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_counted_by_the_server_where_definitions_changed_under_a_transaction() {
    let stage = Faults::open().await;
    passes(
        &mut stage.direct(),
        "SET ROLE app; CREATE TABLE ledger (id int PRIMARY KEY, v text); RESET ROLE",
    );
    let (_, url) = stage.session().await;
    let mut agent = Client::connect(&url).unwrap();
    let mut other = Client::connect(&url).unwrap();
    passes(&mut agent, "BEGIN; INSERT INTO ledger VALUES (1, 'x')");
    passes(&mut other, "CREATE TABLE beside (id int)");
    passes(&mut agent, "INSERT INTO ledger VALUES (2, 'x'), (3, 'x'); COMMIT");
    // Never fewer than there were, and the same again once definitions stand still.
    let told = last_commit(&stage).await;
    assert_eq!(told.iter().map(|(table, _)| table.as_str()).collect::<Vec<_>>(), ["public.ledger"]);
    assert!(told[0].1 >= 3, "{told:?}");
    // Nor is anything of the gateway's own left in the session.
    passes(&mut agent, "INSERT INTO ledger VALUES (40, 'x')");
    for left in ["pg_prepared_statements", "pg_cursors"] {
        let count = agent.query(&format!("SELECT count(*) FROM {left}")).unwrap();
        assert_eq!(count.value(), "0", "{left}");
    }
    passes(&mut agent, "BEGIN; INSERT INTO ledger VALUES (4, 'x'); COMMIT");
    assert_eq!(last_commit(&stage).await, [("public.ledger".to_owned(), 1)]);
    // Nor fewer where the server was asked in between: what came before was told by a tag.
    passes(&mut agent, "BEGIN; INSERT INTO ledger VALUES (5, 'x'), (6, 'x')");
    passes(&mut other, "CREATE TABLE beside_too (id int)");
    passes(&mut agent, "DELETE FROM ledger WHERE id = 4; COMMIT");
    let told = last_commit(&stage).await;
    assert!(told.len() == 1 && told[0].1 >= 2, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_names_led_inside_of_a_transaction_says_nothing_once_it_is_over() {
    let stage = Faults::open().await;
    passes(
        &mut stage.direct(),
        "SET ROLE app; CREATE SCHEMA decoy;
         CREATE TABLE book (id int PRIMARY KEY, v text); CREATE TABLE decoy.book (id int PRIMARY KEY, v text);
         RESET ROLE",
    );
    let (_, url) = stage.session().await;
    let mut agent = Client::connect(&url).unwrap();
    for over in [
        "BEGIN; SET LOCAL search_path = decoy; SELECT count(*) FROM book; COMMIT",
        "BEGIN; SET search_path = decoy; SELECT count(*) FROM book; ROLLBACK",
    ] {
        passes(&mut agent, over);
        passes(&mut agent, "INSERT INTO book VALUES (1, 'x')");
        assert_eq!(last_commit(&stage).await, [("public.book".to_owned(), 1)], "{over}");
        passes(&mut agent, "DELETE FROM book");
    }
    // The same within one: a part of it is taken back.
    passes(
        &mut agent,
        "BEGIN; SAVEPOINT s; SET LOCAL search_path = decoy; SELECT count(*) FROM book; ROLLBACK TO s;
         INSERT INTO book VALUES (2, 'x'); COMMIT",
    );
    assert_eq!(last_commit(&stage).await, [("public.book".to_owned(), 1)]);
}
