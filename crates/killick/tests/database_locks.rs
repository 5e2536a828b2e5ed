//! Tables that somebody has locked: agents go on beside them, and nothing about them is guessed.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

#[allow(dead_code, reason = "the stage has means that only the other tests use")]
mod keeping;

use std::time::{Duration, Instant};

use keeping::Stage;
use killick_testkit::postgres::Client;

const TABLES: &str = "
    CREATE TABLE accounts (id int PRIMARY KEY DEFAULT 7, n int CHECK (n > 0), twice int GENERATED ALWAYS AS (n * 2) STORED);
    CREATE INDEX ON accounts ((n + 1));
    CREATE VIEW seen AS SELECT id FROM accounts;
    CREATE TABLE notes (id int PRIMARY KEY, body text DEFAULT 'x');
    CREATE VIEW beside AS SELECT id FROM notes;
    CREATE FUNCTION counted() RETURNS bigint STABLE LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM accounts; END;
    INSERT INTO accounts (id, n) SELECT g, g FROM generate_series(1, 20) g;
    INSERT INTO notes SELECT g FROM generate_series(1, 20) g;
    ANALYZE;";

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_table_keeps_nobody_out_and_what_hangs_on_it_is_unknown_until_it_is_free() {
    let mut stage = Stage::open("staging", TABLES, "SELECT 1").await;
    let locks = ["LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE", "ALTER TABLE accounts ADD m int"];
    for (at, locked) in locks.into_iter().enumerate() {
        let mut other = Client::connect(&stage.server.url("shop")).unwrap();
        assert!(other.query(&format!("BEGIN; {locked}")).unwrap().went_well());
        // A fresh session, and one that has to look again because of what it changed itself.
        stage.open_session("staging").await;
        let began = Instant::now();
        assert_eq!(stage.passes("SELECT count(*) FROM beside"), "20");
        // Another catalogue from here on: what was read of the table before is not believed any more.
        let made = format!("CREATE TABLE m{at} (a int); SELECT count(*) FROM m{at}");
        assert_eq!(stage.passes(&made), "0");
        let made = format!("BEGIN; CREATE TABLE n{at} (a int); SELECT count(*) FROM n{at}; COMMIT");
        assert_eq!(stage.passes(&made), "0");
        assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        for text in [
            "SELECT count(*) FROM seen",
            "SELECT counted()",
            "INSERT INTO accounts (n) VALUES (99)",
            "UPDATE accounts SET n = 5 WHERE id = 5",
        ] {
            let said = stage.refused(text);
            assert!(said.contains("another session has locked"), "{text}: {said}");
        }
        drop(other);
        // It is seen within the second in which a catalogue is believed.
        let until = Instant::now() + Duration::from_secs(10);
        while !stage.say("SELECT count(*) FROM seen").status.success() {
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(stage.passes("SELECT counted()"), "20");
        assert!(stage.say("UPDATE accounts SET n = 5 WHERE id = 5").status.success());
    }
}
