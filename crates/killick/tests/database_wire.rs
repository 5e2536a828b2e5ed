//! What passes on the wire is what the server says, in the order in which it says it; nothing of it goes past the gate.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

#[allow(dead_code, reason = "the stage has means that only the other tests use")]
mod keeping;

use keeping::Stage;
use killick_testkit::postgres::{Client, psql};

const TABLES: &str = "
    CREATE TABLE customers (id int PRIMARY KEY, name text);
    CREATE TABLE messages (id int PRIMARY KEY, client int, body text);
    INSERT INTO customers SELECT g, 'c' || g FROM generate_series(1, 20) g;
    INSERT INTO messages SELECT g, g % 2, 'm' || g FROM generate_series(1, 90000) g;
    CREATE PROCEDURE ends() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;
    CREATE FUNCTION shown() RETURNS refcursor LANGUAGE plpgsql STABLE AS
      $$ DECLARE c refcursor := 'shown'; BEGIN OPEN c FOR SELECT id FROM customers ORDER BY id; RETURN c; END $$;
    ANALYZE;";

fn count(stage: &Stage) -> String {
    stage.server.sql("shop", "SELECT count(*) FROM messages")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_is_told_in_the_servers_own_words_and_place() {
    let stage = Stage::open("staging", TABLES, "SELECT 1").await;
    let (url, direct) = (stage.url.clone(), stage.server.url("shop"));
    let first = |text: &str, url: &str| {
        let said = psql(url, &["-v", "VERBOSITY=verbose", "-c", text]);
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        said.lines().filter(|it| !it.starts_with("LOCATION")).collect::<Vec<_>>().join("\n")
    };
    for text in [
        "SELEC 1",
        "SELECT 'ü' FRM a a a",
        "SELECT U&'wrong: \\061'",
        "SELECT 1; SELECT (2",
        "CREATE TABLE t (a int DEFAULT (1, ))",
        "BEGIN; SELECT 1; SELECT a a a a; COMMIT",
    ] {
        let words = first(text, &direct);
        assert!(words.contains("LINE 1"), "{words}");
        assert_eq!(first(text, &url), words);
    }
    // The transaction fails with it, in either protocol, and the session goes on.
    let mut client = Client::connect(&url).unwrap();
    for _ in 0..2 {
        client.query("BEGIN").unwrap();
        assert_eq!(client.query("SELEC 1").unwrap().errors[0].sqlstate, "42601");
        assert_eq!(client.query("SELECT 1").unwrap().errors[0].sqlstate, "25P02");
        client.query("ROLLBACK").unwrap();
        client.query("BEGIN").unwrap();
        let answer = client.series(&[("SELECT 1", &[]), ("SELEC 2", &[])]).unwrap();
        assert_eq!((answer.errors[0].sqlstate.as_str(), answer.status), ("42601", b'E'));
        // What failed cannot be left prepared: it is rolled back, and that is what is said.
        assert_eq!(client.query("PREPARE TRANSACTION 'x'").unwrap().tags, ["ROLLBACK"]);
    }
    assert_eq!(client.query("SELECT 1").unwrap().value(), "1");
    // The same class of statement with another length of a type is shown as it is.
    for text in ["SELECT CAST('a' AS char(10))", "SELECT CAST('a' AS char(20))"] {
        assert!(client.query(text).unwrap().went_well(), "{text}");
    }
    assert!(stage.gateway.verify().await.unwrap().status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_of_one_text_end_no_transaction_that_the_agent_did_not_begin() {
    let stage = Stage::open("staging", TABLES, "SELECT 1").await;
    let mut client = Client::connect(&stage.url).unwrap();
    let insert = |id: u32| format!("INSERT INTO messages VALUES ({id}, 1, 'x')");
    for (at, (word, kept)) in [("COMMIT", 1), ("ROLLBACK", 0)].into_iter().enumerate() {
        let id = 100_000 + 10 * u32::try_from(at).unwrap();
        let before: u32 = count(&stage).parse().unwrap();
        let (one, two) = (insert(id), insert(id + 1));
        let answer = client.query(&format!("{one}; {word} AND CHAIN; {two}")).unwrap();
        assert_eq!((answer.errors[0].sqlstate.as_str(), answer.status), ("25P01", b'I'));
        assert_eq!(count(&stage), before.to_string());
        // The first one lasts or not, the warning is the server's, and the second goes with the mistake.
        let answer = client.query(&format!("{one}; {word}; {two}; {word} AND CHAIN")).unwrap();
        assert_eq!((answer.errors[0].sqlstate.as_str(), answer.status), ("25P01", b'I'));
        assert_eq!(answer.notices[0].sqlstate, "25P01");
        assert_eq!(count(&stage), (before + kept).to_string());
        let (series, chain) = ([(two.as_str(), [].as_slice())], format!("{word} AND CHAIN"));
        let series = [&series[..], &[(chain.as_str(), [].as_slice())]].concat();
        let answer = client.series(&series).unwrap();
        assert_eq!((answer.errors[0].sqlstate.as_str(), answer.status), ("25P01", b'I'));
        assert_eq!(count(&stage), (before + kept).to_string());
    }
    assert!(client.query(&insert(200_000)).unwrap().went_well());
    // What no transaction can hold is refused in one, whoever began it, with what stands before it.
    for text in
        [format!("{}; VACUUM messages", insert(200_001)), "SELECT 1; VACUUM messages".into()]
    {
        let answer = client.query(&text).unwrap();
        assert_eq!((answer.errors[0].sqlstate.as_str(), answer.status), ("25001", b'I'), "{text}");
    }
    client.query("BEGIN").unwrap();
    let detach = "ALTER TABLE messages DETACH PARTITION messages CONCURRENTLY";
    assert_eq!(client.query(detach).unwrap().errors[0].sqlstate, "25001");
    assert_eq!(client.query("ROLLBACK").unwrap().status, b'I');
    // One plain table can be built anew in one.
    let anew = "BEGIN; CLUSTER messages USING messages_pkey; REINDEX TABLE messages; ROLLBACK";
    assert!(client.query(anew).unwrap().went_well());
    assert_eq!(stage.server.sql("shop", "SELECT count(*) FROM messages WHERE id = 200001"), "0");
    assert!(client.query("VACUUM messages").unwrap().went_well());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guarded_read_leaves_its_locks_and_cursors_and_no_way_to_write() {
    let stage = Stage::open("staging", TABLES, "SELECT 1").await;
    let mut client = Client::connect(&stage.url).unwrap();
    let held = || {
        let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
        stage.server.sql("shop", locks)
    };
    for extended in [false, true] {
        let mut say = |text: &str| {
            let answer =
                if extended { client.series(&[(text, &[])]) } else { client.query(text) }.unwrap();
            assert!(answer.went_well(), "{text}: {answer:?}");
            answer
        };
        say("BEGIN");
        say("SELECT pg_advisory_xact_lock(7)");
        assert_eq!(say("SELECT shown()").value(), "shown");
        say("INSERT INTO messages VALUES (300000, 1, 'x')");
        assert_eq!(held(), "1");
        assert_eq!(say("FETCH 3 FROM shown").rows.len(), 3);
        assert_eq!(say("SHOW transaction_read_only").value(), "off");
        say("ROLLBACK");
        assert_eq!(held(), "0");
    }
    // What was bound under the guard does not go on without it.
    client.query("BEGIN").unwrap();
    let locks = "SELECT pg_advisory_xact_lock(g) FROM generate_series(1, 9) g";
    assert_eq!(client.fetch("kept", locks, 2).unwrap().rows.len(), 2);
    assert_eq!(client.fetch_on("kept", 2).unwrap().rows.len(), 2);
    assert!(client.query("INSERT INTO messages VALUES (300001, 1, 'x')").unwrap().went_well());
    let answer = client.fetch_on("kept", 2).unwrap();
    assert_eq!(answer.errors[0].sqlstate, "34000", "{answer:?}");
    client.query("ROLLBACK").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_behind_a_series_that_was_not_synced_is_gated_all_the_same() {
    let stage = Stage::open("staging", TABLES, "SELECT 1").await;
    let mut client = Client::connect(&stage.url).unwrap();
    let delete = b"\0DELETE FROM messages WHERE id > 0\0\0\0";
    for (begin, end) in [("BEGIN", "COMMIT"), ("SELECT 1", "SELECT 1")] {
        client.query(begin).unwrap();
        client.send(b'P', delete).unwrap();
        client.send(b'B', &[0; 8]).unwrap();
        client.send(b'E', &[0; 5]).unwrap();
        // Nothing asks for the answers: the end comes at once.
        let answer = client.query(end);
        assert_eq!(count(&stage), "90000", "{answer:?}");
        client = Client::connect(&stage.url).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_gets_its_tag_and_what_ends_no_transaction_says_so() {
    let stage = Stage::open("staging", TABLES, "SELECT 1").await;
    let mut client = Client::connect(&stage.url).unwrap();
    let mut direct = Client::connect(&stage.server.url("shop")).unwrap();
    let insert = "INSERT INTO messages VALUES (100000, 1, 'x')";
    for text in [
        format!("{insert}; ROLLBACK"),
        format!("{insert}; COMMIT; DELETE FROM messages WHERE id = 100000"),
        format!("{insert}; ROLLBACK; SELECT 1"),
        "COMMIT".to_owned(),
    ] {
        let (got, wanted) = (client.query(&text).unwrap(), direct.query(&text).unwrap());
        assert_eq!(got.tags, wanted.tags, "{text}: {got:?}");
        let notices = |answer: &killick_testkit::postgres::Answer| {
            answer.notices.iter().map(|it| it.message.clone()).collect::<Vec<_>>()
        };
        assert_eq!(notices(&got), notices(&wanted), "{text}");
        assert_eq!(got.status, b'I', "{text}");
        assert_eq!(count(&stage), "90000", "{text}");
    }
    // A procedure cannot end a transaction that it did not begin, and the session goes on.
    client.query("BEGIN").unwrap();
    let answer = client.query("CALL ends()").unwrap();
    assert_eq!((answer.errors[0].sqlstate.as_str(), answer.status), ("2D000", b'E'), "{answer:?}");
    // Nor does a function that is called by its number run where a transaction has failed.
    let number = stage.server.sql("shop", "SELECT 'shown'::regproc::oid::int");
    let mut body = number.parse::<u32>().unwrap().to_be_bytes().to_vec();
    body.extend_from_slice(&[0; 6]);
    client.send(b'F', &body).unwrap();
    let answer = client.answer(&[]).unwrap();
    assert_eq!((answer.errors[0].sqlstate.as_str(), answer.status), ("25P02", b'E'), "{answer:?}");
    assert!(client.query("ROLLBACK").unwrap().went_well());
    assert_eq!(client.query("SELECT 1").unwrap().value(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_was_chained_is_the_agents_before_the_series_ends() {
    let stage = Stage::open("staging", TABLES, "SELECT 1").await;
    let mut client = Client::connect(&stage.url).unwrap();
    for word in ["COMMIT", "ROLLBACK"] {
        client.query("BEGIN").unwrap();
        let chain = format!("{word} AND CHAIN");
        let series: [(&str, &[&str]); 3] = [
            (&chain, &[]),
            ("SELECT pg_advisory_xact_lock(7)", &[]),
            ("INSERT INTO messages VALUES (100000, 1, 'x')", &[]),
        ];
        let answer = client.series(&series).unwrap();
        assert!(answer.went_well() && answer.status == b'T', "{answer:?}");
        // It is the agent's to end.
        assert_eq!(count(&stage), "90000");
        client.query("ROLLBACK").unwrap();
        assert_eq!(count(&stage), "90000");
    }
}
