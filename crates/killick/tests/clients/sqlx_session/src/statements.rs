//! Prepared statements and their cache, several statements in a text, errors, settings.

use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions as _, Connection as _, Either, Executor as _, Postgres,
    QueryBuilder, Row as _, SqlSafeStr as _, Statement as _, TypeInfo,
};

use crate::{Outcome, fails, url};

pub(crate) async fn all(conn: &mut PgConnection) -> Outcome {
    prepared(conn).await?;
    evicted().await?;
    shifting(conn).await?;
    bulk(conn).await?;
    batches(conn).await?;
    errors(conn).await?;
    settings(conn).await
}

async fn prepared(conn: &mut PgConnection) -> Outcome {
    println!("== prepared");
    for persistent in [true, false] {
        for number in 0..5 {
            let query = sqlx::query_as::<_, (i32, i32, String)>("SELECT $1 + 1, twice($1), $2");
            let query = query.persistent(persistent).bind(number).bind(format!("n{number}"));
            println!("{:?}", query.fetch_one(&mut *conn).await?);
        }
        let set = "UPDATE x_kinds SET name = $1 WHERE id = $2";
        for name in ["a", "b", "c"] {
            let query = sqlx::query(set).persistent(persistent).bind(name).bind(1_i64);
            println!("{}", query.execute(&mut *conn).await?.rows_affected());
        }
    }
    let statement =
        conn.prepare("SELECT id, name FROM x_kinds WHERE id = $1".into_sql_str()).await?;
    if let Some(Either::Left(parameters)) = statement.parameters() {
        println!("{:?}", parameters.iter().map(TypeInfo::name).collect::<Vec<_>>());
    }
    println!("{:?}", statement.columns().iter().map(Column::name).collect::<Vec<_>>());
    for id in [1_i64, 2, 99] {
        let row = statement.query_as::<(i64, String)>().bind(id).fetch_optional(&mut *conn).await?;
        println!("{row:?}");
    }
    println!("{}", conn.cached_statements_size());
    conn.clear_cached_statements().await?;
    let again = sqlx::query_scalar::<_, i32>("SELECT $1 + 1").bind(1).fetch_one(&mut *conn).await?;
    println!("{again} {}", conn.cached_statements_size());
    fails(sqlx::query("SELECT id FROM x_kinds WHERE id = 99").fetch_one(conn).await);
    Ok(())
}

/// More statements than the client keeps: it closes the oldest ones.
async fn evicted() -> Outcome {
    println!("== evicted");
    let options: PgConnectOptions = url()?.parse()?;
    let mut conn = options.statement_cache_capacity(3).connect().await?;
    let mut sum = 0;
    for number in (0..20).chain(0..20) {
        let text = AssertSqlSafe(format!("SELECT $1::int + {number}"));
        sum += sqlx::query_scalar::<_, i32>(text).bind(number).fetch_one(&mut conn).await?;
    }
    println!("{sum} {}", conn.cached_statements_size());
    conn.close().await?;
    let options: PgConnectOptions = url()?.parse()?;
    let mut conn = options.statement_cache_capacity(0).connect().await?;
    for number in 0..3 {
        let query = sqlx::query_scalar::<_, i32>("SELECT $1 * 3").bind(number);
        println!("{}", query.fetch_one(&mut conn).await?);
    }
    Ok(conn.close().await?)
}

/// What a prepared statement returns may change under it.
async fn shifting(conn: &mut PgConnection) -> Outcome {
    println!("== shifting");
    conn.execute("CREATE TABLE x_shifting (a int)").await?;
    conn.execute("INSERT INTO x_shifting VALUES (1)").await?;
    let read = "SELECT * FROM x_shifting";
    println!("{}", sqlx::query(read).fetch_one(&mut *conn).await?.len());
    conn.execute("ALTER TABLE x_shifting ADD COLUMN b int DEFAULT 7").await?;
    fails(sqlx::query(read).fetch_one(&mut *conn).await);
    conn.clear_cached_statements().await?;
    println!("{}", sqlx::query(read).fetch_one(conn).await?.len());
    Ok(())
}

/// Many rows in one statement, by the two ways that the client's users know.
async fn bulk(conn: &mut PgConnection) -> Outcome {
    println!("== bulk");
    let ids: Vec<i64> = (1000..1500).collect();
    let names: Vec<String> = ids.iter().map(|id| format!("name {id}")).collect();
    let text = "INSERT INTO x_kinds (id, name) SELECT * FROM UNNEST($1::bigint[], $2::text[])";
    let unnested = sqlx::query(text).bind(&ids).bind(&names).execute(&mut *conn).await?;
    println!("{}", unnested.rows_affected());
    let mut builder = QueryBuilder::<Postgres>::new("INSERT INTO x_kinds (id, name) ");
    builder.push_values(2000..2300_i64, |mut row, id| {
        row.push_bind(id).push_bind(format!("built {id}"));
    });
    builder.push(" ON CONFLICT (id) DO NOTHING RETURNING id");
    let made: Vec<i64> = builder.build_query_scalar().fetch_all(&mut *conn).await?;
    println!("{} {}", made.len(), made.iter().sum::<i64>());
    let mut builder = QueryBuilder::<Postgres>::new("DELETE FROM x_kinds WHERE id IN (");
    let mut list = builder.separated(", ");
    for id in &made {
        list.push_bind(id);
    }
    list.push_unseparated(")");
    println!("{}", builder.build().execute(&mut *conn).await?.rows_affected());
    let text = "DELETE FROM x_kinds WHERE id = ANY($1) RETURNING id, name";
    let gone = sqlx::query_as::<_, (i64, String)>(text).bind(&ids).fetch_all(&mut *conn).await?;
    println!("{} {:?}", gone.len(), gone.last());
    Ok(())
}

const BATCHES: [&str; 7] = [
    "SELECT 1 AS a; INSERT INTO x_kinds (id) VALUES (20), (21); SELECT 'x' AS b, 'y' AS b; \
        DELETE FROM x_kinds WHERE id >= 20",
    "INSERT INTO x_kinds (id) VALUES (30); SELECT 1/0; INSERT INTO x_kinds (id) VALUES (31)",
    "BEGIN; INSERT INTO x_kinds (id) VALUES (32); COMMIT; SELECT count(*) FROM x_kinds",
    "BEGIN; DELETE FROM x_kinds WHERE id = 32; ROLLBACK",
    "DELETE FROM x_kinds WHERE id = 32",
    "",
    "-- nothing",
];

async fn batches(conn: &mut PgConnection) -> Outcome {
    println!("== batches");
    for text in BATCHES {
        let mut steps = sqlx::raw_sql(text).fetch_many(&mut *conn);
        loop {
            match steps.try_next().await {
                Ok(Some(Either::Left(done))) => println!("done {}", done.rows_affected()),
                Ok(Some(Either::Right(row))) => println!("row of {}", row.len()),
                Ok(None) => break,
                Err(error) => {
                    fails::<()>(Err(error));
                    break;
                }
            }
        }
        drop(steps);
        let left = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM x_kinds");
        println!("{}", left.fetch_one(&mut *conn).await?);
    }
    Ok(())
}

const WRONG: [&str; 14] = [
    "SELEC 1",
    "SELECT nope FROM x_kinds",
    "SELECT * FROM x_nowhere",
    "SELECT 'ü', 1/0",
    "SELECT 'x'::int",
    "SELECT 1 +",
    "INSERT INTO x_kinds (id) VALUES (1)",
    "INSERT INTO x_strict VALUES (1, NULL)",
    "INSERT INTO x_strict VALUES (1, -1)",
    "INSERT INTO x_strict VALUES (1, 1, 7)",
    "INSERT INTO x_strict VALUES (99999999999)",
    "UPDATE x_kinds SET nope = 1 WHERE id = 1",
    "SELECT idd FROM x_kinds",
    "CREATE TABLE x_kinds (id int)",
];

async fn errors(conn: &mut PgConnection) -> Outcome {
    println!("== errors");
    let table = "CREATE TABLE x_strict (id int PRIMARY KEY, n int NOT NULL CHECK (n > 0), up int \
        REFERENCES x_strict)";
    conn.execute(table).await?;
    for text in WRONG {
        println!("{text}");
        fails(sqlx::raw_sql(text).execute(&mut *conn).await);
        fails(sqlx::query(text).execute(&mut *conn).await);
        fails(sqlx::query(text).persistent(false).execute(&mut *conn).await);
    }
    fails(sqlx::query("SELECT 1; SELECT 2").execute(&mut *conn).await);
    fails(sqlx::query("SELECT $1::int / 0").bind(1).execute(&mut *conn).await);
    println!("{}", sqlx::query_scalar::<_, String>("SELECT 'usable'").fetch_one(conn).await?);
    Ok(())
}

async fn settings(conn: &mut PgConnection) -> Outcome {
    println!("== settings");
    println!("{:?}", conn.server_version_num().map(|it| it / 10_000));
    for text in
        ["SHOW TimeZone", "SHOW DateStyle", "SHOW client_encoding", "SHOW extra_float_digits"]
    {
        println!("{}", sqlx::query_scalar::<_, String>(text).fetch_one(&mut *conn).await?);
    }
    let options: PgConnectOptions = url()?.parse()?;
    let mut other = options.application_name("x_program").connect().await?;
    let name = sqlx::query_scalar::<_, String>("SHOW application_name");
    println!("{}", name.fetch_one(&mut other).await?);
    other.execute("SET statement_timeout = '200ms'").await?;
    fails(sqlx::query("SELECT pg_sleep(5)").execute(&mut other).await);
    fails(sqlx::raw_sql("SELECT pg_sleep(5)").execute(&mut other).await);
    other.ping().await?;
    other.execute("SET TimeZone = 'Asia/Tokyo'").await?;
    let at = "SELECT '2024-05-01 12:00:00+00'::timestamptz::text";
    println!("{}", sqlx::query_scalar::<_, String>(at).fetch_one(&mut other).await?);
    Ok(other.close().await?)
}
