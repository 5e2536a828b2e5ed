//! Columns that a migration dropped or rewrote at a real PostgreSQL come back with their values.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod keeping;

use keeping::Stage;

const TABLES: &str = r#"
    CREATE TYPE mood AS ENUM ('calm', 'cross');
    CREATE TABLE teams (id int PRIMARY KEY, code text UNIQUE);
    INSERT INTO teams SELECT g, 'team ' || g FROM generate_series(1, 9) g;
    CREATE TABLE people (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name varchar(40) NOT NULL DEFAULT 'x',
      mail text COLLATE "C" UNIQUE, feel mood DEFAULT 'calm', "the Note" text, nick varchar(20), tags text[], doc jsonb, blob bytea,
      team int REFERENCES teams ON DELETE CASCADE, age int CHECK (age > 0), score numeric(12,4) NOT NULL,
      rank serial, shout text GENERATED ALWAYS AS (upper(name)) STORED);
    CREATE INDEX people_age ON people (age);
    CREATE VIEW adults AS SELECT id, name, age FROM people WHERE age > 17;
    COMMENT ON COLUMN people."the Note" IS 'it''s private';
    GRANT SELECT ("the Note") ON people TO PUBLIC;
    INSERT INTO people (name, mail, feel, "the Note", tags, doc, blob, team, age, score)
      SELECT 'p' || g, 'p' || g || '@example.org', CASE WHEN g % 2 = 0 THEN 'calm' ELSE 'cross' END::mood,
        CASE WHEN g % 3 > 0 THEN E'tab\there \\ ' || g END, ARRAY['a' || g, NULL], jsonb_build_object('g', g),
        decode(md5(g::text), 'hex'), 1 + g % 9, 10 + g % 50, g / 7.0 FROM generate_series(1, 500) g;
    CREATE TABLE audit (what text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES (TG_OP); RETURN NULL; END $$;
    CREATE TRIGGER notes AFTER UPDATE ON people FOR EACH ROW EXECUTE FUNCTION note();
    CREATE TABLE pairs (id int PRIMARY KEY, w text, other int UNIQUE NOT NULL);
    INSERT INTO pairs SELECT g, 'w' || g, 21 - g FROM generate_series(1, 20) g;
    CREATE TABLE holder (id int PRIMARY KEY, pair pairs);
    CREATE TABLE loose (a int, b text);
    INSERT INTO loose VALUES (1, 'x');
    CREATE TABLE parts (id int PRIMARY KEY, body text) PARTITION BY RANGE (id);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
    INSERT INTO parts VALUES (1, 'x');
    ANALYZE;"#;

/// All rows by the names of their columns, and all that is defined, but for the order of columns and numbers.
const CHECKSUM: &str = r#"SELECT md5(string_agg(t, E'\n' ORDER BY t)) FROM (
    SELECT 'row ' || ROW(id, name, mail, feel, "the Note", nick, tags, doc, blob, team, age, score, rank, shout)::text t FROM people
    UNION ALL SELECT 'team ' || t::text FROM teams t UNION ALL SELECT 'loose ' || l::text FROM loose l
    UNION ALL SELECT 'pair ' || p::text FROM pairs p
    UNION ALL SELECT 'part ' || p::text FROM parts p UNION ALL SELECT 'audit ' || a::text FROM audit a
    UNION ALL SELECT 'adult ' || a::text FROM adults a
    UNION ALL SELECT 'column ' || ROW(attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
      attgenerated, attcollation::regcollation, attacl, col_description(attrelid, attnum), pg_get_expr(adbin, adrelid))::text
      FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
      WHERE attnum > 0 AND NOT attisdropped AND attrelid IN ('people'::regclass, 'loose'::regclass, 'parts'::regclass)
    UNION ALL SELECT 'constraint ' || conrelid::regclass || conname || pg_get_constraintdef(oid) FROM pg_constraint
      WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'index ' || pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'people'::regclass
    UNION ALL SELECT 'trigger ' || tgname || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'sequence ' || last_value FROM people_rank_seq) everything"#;

/// Returns the first row that a human is shown of what would be lost.
async fn sample(stage: &Stage) -> String {
    let requests = stage.gateway.json(&["request", "list"]).await.unwrap();
    let facts = requests[0]["facts"].as_array().unwrap();
    let row = facts.iter().find_map(|fact| fact["extra"]["sample"][0].as_str());
    row.unwrap_or_else(|| panic!("{requests:#}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_were_dropped_or_rewritten_come_back_with_their_values_and_all_that_hung_on_them()
 {
    let stage = Stage::open("staging", TABLES, CHECKSUM).await;
    let before = stage.checksum();
    assert!(!before.contains("ERROR"), "{before}");
    for text in [
        "ALTER TABLE people DROP COLUMN \"the Note\"",
        "ALTER TABLE people DROP COLUMN doc, DROP tags, DROP COLUMN IF EXISTS nothing, ADD COLUMN fresh int DEFAULT 7",
        "ALTER TABLE people DROP COLUMN mail",
        "ALTER TABLE people DROP COLUMN team",
        "ALTER TABLE people DROP COLUMN age CASCADE",
        "ALTER TABLE people DROP COLUMN shout",
        "ALTER TABLE people DROP COLUMN rank",
        "ALTER TABLE people DROP COLUMN feel, DROP COLUMN score",
        "ALTER TABLE people ALTER COLUMN score TYPE int",
        "ALTER TABLE people ALTER COLUMN score TYPE numeric(12,4) USING 0",
        "ALTER TABLE people ALTER mail TYPE varchar(3) USING id::text, ALTER COLUMN blob TYPE text USING 'gone'",
        "ALTER TABLE people ALTER COLUMN feel DROP DEFAULT, ALTER COLUMN feel TYPE text, ALTER COLUMN feel SET DEFAULT 'none'",
        "ALTER TABLE people DROP COLUMN score, ADD COLUMN score numeric(12,4)",
        "ALTER TABLE people DROP COLUMN nick, ADD COLUMN nick varchar(20) NOT NULL DEFAULT 'all'",
        // As an ORM changes a type: the column goes, and one of its name is added.
        "ALTER TABLE people DROP COLUMN blob, ADD COLUMN blob int DEFAULT 3",
        "BEGIN; ALTER TABLE people ADD COLUMN extra text; ALTER TABLE people DROP COLUMN tags; COMMIT",
        // What a column held at first counts, however often it is rewritten.
        "BEGIN; ALTER TABLE people ALTER score TYPE numeric(12,4) USING 1; ALTER TABLE people ALTER score TYPE numeric(12,4) USING 2; COMMIT",
        "BEGIN; ALTER TABLE people DROP COLUMN tags; ALTER TABLE people ADD COLUMN tags text[]; \
         ALTER TABLE people DROP COLUMN tags, DROP COLUMN doc; COMMIT",
        "BEGIN; TRUNCATE people; ALTER TABLE people DROP COLUMN doc; COMMIT",
    ] {
        stage.force(text).await;
        assert_ne!(stage.checksum(), before, "{text} did nothing");
        let undo = stage.last_undo().await;
        assert_eq!(undo["undo"]["available"], true, "{text}: {undo:#}");
        let plan = stage.undo(&["--dry-run"]).await;
        assert_eq!(plan["done"], false, "{text}");
        let report = stage.undo(&[]).await;
        assert_eq!(report["done"], true, "{text}: {report:#}");
        let left = "ALTER TABLE people DROP COLUMN IF EXISTS fresh, DROP COLUMN IF EXISTS extra";
        let _ = stage.server.sql("shop", left);
        assert_eq!(stage.checksum(), before, "{text}: {report:#}");
        // A second time there is nothing left to do.
        let again = stage.undo(&[]).await;
        assert_eq!(stage.checksum(), before, "{text} again: {again:#}");
    }
    assert!(stage.gateway.verify().await.unwrap().status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_somebody_edited_since_its_column_was_rewritten_is_not_overwritten() {
    let stage = Stage::open("staging", TABLES, CHECKSUM).await;
    stage.force("ALTER TABLE people ALTER COLUMN score TYPE bigint USING 1").await;
    let sql = |text: &str| stage.server.sql("shop", text);
    let _ = sql("UPDATE people SET score = 77 WHERE id = 3");
    let _ = sql("INSERT INTO people (name, score) VALUES ('fresh', 33)");
    let _ = sql("DELETE FROM people WHERE id = 4");
    let left = stage.gateway.cli(&["undo", "--json", &stage.point().await]).await.unwrap();
    assert!(!left.status.success());
    assert!(left.stdout.contains("public.people id=3"), "{left:?}");
    assert_eq!(sql("SELECT score FROM people WHERE id = 5"), "1");
    let report = stage.undo(&["--skip-edited"]).await;
    assert_eq!(report["done"], true, "{report:#}");
    let kind = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'people'::regclass AND attname = 'score'";
    assert_eq!(sql(kind), "numeric(12,4)");
    assert_eq!(
        sql(
            "SELECT string_agg(score::text, ' ' ORDER BY id) FROM people WHERE id IN (3, 4, 5, 501)"
        ),
        "77.0000 0.7143 33.0000"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_put_back_takes_a_human_or_is_not_done() {
    let stage = Stage::open("staging", TABLES, CHECKSUM).await;
    let before = stage.checksum();
    // No key, several tables, the key itself: a human decides about what has no way back.
    for text in [
        "ALTER TABLE loose DROP COLUMN b",
        "ALTER TABLE parts DROP COLUMN body",
        "ALTER TABLE people ALTER COLUMN id TYPE int",
        "ALTER TABLE teams DROP COLUMN id CASCADE",
    ] {
        stage.refused(text);
        let requests = stage.gateway.json(&["request", "list"]).await.unwrap();
        assert!(!requests.as_array().unwrap().is_empty(), "{text}: {requests:#}");
        assert_eq!(stage.checksum(), before, "{text}");
    }
    // The rows were changed before: their former values are not there any more when the column is kept.
    for text in [
        "BEGIN; UPDATE people SET age = 1 WHERE id = 3; ALTER TABLE people DROP COLUMN age CASCADE; COMMIT",
        "BEGIN; ALTER TABLE people DROP COLUMN doc; DELETE FROM people WHERE id = 3; COMMIT",
        "BEGIN; ALTER TABLE people DROP COLUMN doc; TRUNCATE people; COMMIT",
        "BEGIN; ALTER TABLE people DROP COLUMN doc; ALTER TABLE people RENAME COLUMN id TO number; COMMIT",
        "BEGIN; ALTER TABLE people DROP COLUMN doc; ALTER TABLE people RENAME TO persons; COMMIT",
        // One under the name of another, a key of other columns, a constraint that goes with the second step.
        "BEGIN; ALTER TABLE people DROP COLUMN doc; ALTER TABLE people RENAME COLUMN tags TO doc; \
         ALTER TABLE people DROP COLUMN doc; COMMIT",
        "BEGIN; ALTER TABLE people DROP COLUMN doc; ALTER TABLE people RENAME COLUMN id TO t; \
         ALTER TABLE people RENAME COLUMN rank TO id; COMMIT",
        "BEGIN; ALTER TABLE people ALTER COLUMN team TYPE bigint; ALTER TABLE people DROP COLUMN team; COMMIT",
        // What goes by CASCADE with something else.
        "DROP TYPE mood CASCADE",
        "BEGIN; SAVEPOINT s; ALTER TABLE people DROP COLUMN doc; ROLLBACK TO s; \
         UPDATE people SET doc = NULL WHERE id = 3; COMMIT",
    ] {
        let why = stage.refused(text);
        assert!(why.contains("could not be kept") || why.contains("rolled back"), "{text}: {why}");
        assert_eq!(stage.checksum(), before, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_body_takes_under_names_that_nobody_looked_up_has_no_way_back() {
    let stage = Stage::open("staging", TABLES, CHECKSUM).await;
    stage.force("DO $$ BEGIN ALTER TABLE people DROP COLUMN blob; END $$").await;
    let undo = stage.last_undo().await;
    assert_eq!(undo["undo"]["available"], false, "{undo:#}");
    let _ = stage.server.sql("shop", "ALTER TABLE people ADD COLUMN blob bytea");
    let before = stage.checksum();
    for text in [
        "DO $$ BEGIN ALTER TABLE people RENAME COLUMN tags TO gone; ALTER TABLE people DROP COLUMN gone; END $$",
        "DO $$ BEGIN ALTER TABLE people DROP COLUMN doc; END $$",
        "DO $$ BEGIN ALTER TABLE loose RENAME TO x9; ALTER TABLE teams RENAME TO loose; TRUNCATE loose CASCADE; END $$",
        "DO $$ BEGIN ALTER TABLE pairs RENAME TO x9; DROP TABLE x9 CASCADE; END $$",
    ] {
        // A human is asked, and told that nothing brings it back.
        let why = stage.refused(text);
        assert!(why.contains("approval") || why.contains("could not be kept"), "{text}: {why}");
        assert_eq!(stage.checksum(), before, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_rows_and_values_stay_when_columns_come_back() {
    let stage = Stage::open("staging", TABLES, CHECKSUM).await;
    let sql = |text: &str| stage.server.sql("shop", text);
    // A row that has no value for a column that was NOT NULL; one that was edited since in another column.
    stage.force("ALTER TABLE people DROP COLUMN score, DROP COLUMN doc, ALTER COLUMN team TYPE bigint USING 1").await;
    let _ = sql("INSERT INTO people (name, age) VALUES ('fresh', 33)");
    let _ = sql("UPDATE people SET team = 7 WHERE id = 3");
    let report = stage.undo(&["--skip-edited"]).await;
    assert_eq!(report["done"], true, "{report:#}");
    assert!(report["not_covered"].to_string().contains("without NOT NULL: 1 rows"), "{report:#}");
    assert_eq!(
        sql("SELECT score || ' ' || (doc->>'g') || ' ' || team FROM people WHERE id = 3"),
        "0.4286 3 7"
    );
    assert_eq!(sql("SELECT team FROM people WHERE id = 4"), "5");
    assert_eq!(sql("SELECT score IS NULL FROM people WHERE name = 'fresh'"), "t");
    // A newer value that the former type would cut is not cut.
    stage.force("ALTER TABLE people ALTER COLUMN nick TYPE text USING 'x'").await;
    let _ = sql("INSERT INTO people (nick, age) VALUES (repeat('long', 20), 33)");
    let left = stage.gateway.cli(&["undo", "--json", &stage.point().await]).await.unwrap();
    assert!(!left.status.success() && left.stderr.contains("do not fit"), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_production_a_column_goes_only_with_a_human_and_its_values_kept() {
    let stage = Stage::open("production", TABLES, CHECKSUM).await;
    let before = stage.checksum();
    let text = "ALTER TABLE people DROP COLUMN doc";
    stage.refused(text);
    assert_eq!(stage.checksum(), before);
    // Of what would go a few rows are shown: their keys, and of everything else how long it is.
    let row = sample(&stage).await;
    assert!(row.starts_with("id ") && row.contains(", doc ("), "{row}");
    assert!(!row.contains("name"), "{row}");
    stage.approve_newest().await;
    stage.passes(text);
    assert_eq!(stage.undo(&[]).await["done"], true);
    assert_eq!(stage.checksum(), before);
    for text in ["TRUNCATE people", "DROP TABLE people CASCADE"] {
        stage.refused(text);
        let row = sample(&stage).await;
        assert!(row.starts_with("id ") && row.contains(", name (") && !row.contains('@'), "{row}");
    }
    // Without a way back not even a human's yes is enough.
    let why = stage.refused("ALTER TABLE loose DROP COLUMN b");
    assert!(why.contains("way back"), "{why}");
}
