//! Rows as they come, COPY both ways, and futures that are dropped before they are done.

use std::hash::{DefaultHasher, Hasher as _};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::postgres::PgConnection;
use sqlx::{Executor as _, Row as _};

use crate::{Outcome, fails};

pub(crate) async fn all(conn: &mut PgConnection) -> Outcome {
    rows(conn).await?;
    dropped(conn).await?;
    copies_in(conn).await?;
    copies_out(conn).await?;
    many(conn).await
}

async fn rows(conn: &mut PgConnection) -> Outcome {
    println!("== rows");
    let text = "SELECT g::bigint, repeat('x', g % 100) FROM generate_series(1, $1) g";
    let mut rows = sqlx::query_as::<_, (i64, String)>(text).bind(20_000).fetch(&mut *conn);
    let (mut sum, mut length) = (0, 0);
    while let Some((number, body)) = rows.try_next().await? {
        sum += number;
        length += body.len();
    }
    drop(rows);
    println!("{sum} {length}");
    let text = "SELECT g FROM generate_series(1, 9000) g";
    let mut rows = sqlx::raw_sql(text).fetch(&mut *conn);
    let mut sum = 0;
    while let Some(row) = rows.try_next().await? {
        sum += row.try_get::<i32, _>(0)?;
    }
    println!("{sum}");
    drop(rows);
    let mut rows =
        sqlx::query("SELECT 100 / (500 - g) FROM generate_series(1, 1000) g").fetch(conn);
    let mut before = 0;
    loop {
        match rows.try_next().await {
            Ok(Some(_)) => before += 1,
            Ok(None) => break println!("no error"),
            Err(error) => break fails::<()>(Err(error)),
        }
    }
    println!("{before}");
    Ok(())
}

async fn dropped(conn: &mut PgConnection) -> Outcome {
    println!("== dropped");
    let mut rows = sqlx::query("SELECT g FROM generate_series(1, 50000) g").fetch(&mut *conn);
    for _ in 0..3 {
        let row = rows.try_next().await?.ok_or("no row")?;
        println!("{}", row.try_get::<i32, _>(0)?);
    }
    drop(rows);
    println!("{}", sqlx::query_scalar::<_, i32>("SELECT 4").fetch_one(&mut *conn).await?);
    // Known to the client by now, so that it is in the middle of its execution when it is given up.
    let slow = "SELECT pg_sleep($1)";
    sqlx::query(slow).bind(0.0_f64).execute(&mut *conn).await?;
    let slow = sqlx::query(slow).bind(0.6_f64).execute(&mut *conn);
    println!("{}", tokio::time::timeout(Duration::from_millis(200), slow).await.is_err());
    println!("{}", sqlx::query_scalar::<_, i32>("SELECT 5").fetch_one(conn).await?);
    Ok(())
}

async fn copies_in(conn: &mut PgConnection) -> Outcome {
    println!("== copies in");
    conn.execute("CREATE TABLE x_heap (id int, body text)").await?;
    let mut copy = conn.copy_in_raw("COPY x_heap FROM STDIN").await?;
    println!("{} {}", copy.is_textual(), copy.num_columns());
    for number in 0..5000 {
        copy.send(format!("{number}\trow\\t{number}\n").as_bytes()).await?;
    }
    println!("{}", copy.finish().await?);
    let mut copy = conn.copy_in_raw("COPY x_heap (body) FROM STDIN (FORMAT CSV)").await?;
    copy.send("y".repeat(5_000_000).as_bytes()).await?;
    println!("{}", copy.finish().await?);
    let mut copy = conn.copy_in_raw("COPY x_heap FROM STDIN").await?;
    copy.read_from(&b"7000\tfrom a reader\n7001\tthe same\n"[..]).await?;
    println!("{}", copy.finish().await?);
    let mut copy = conn.copy_in_raw("COPY x_heap FROM STDIN").await?;
    copy.send(&b"8000\tgiven up\n"[..]).await?;
    copy.abort("changed my mind").await?;
    let mut copy = conn.copy_in_raw("COPY x_heap FROM STDIN").await?;
    copy.send(&b"8001\tx\nwhat\ty\n8002\tz\n"[..]).await?;
    fails(copy.finish().await);
    fails(conn.copy_in_raw("COPY x_nowhere FROM STDIN").await.map(drop));
    let query = "SELECT count(*), max(length(body)) FROM x_heap";
    println!("{:?}", sqlx::query_as::<_, (i64, i32)>(query).fetch_one(conn).await?);
    Ok(())
}

async fn copies_out(conn: &mut PgConnection) -> Outcome {
    println!("== copies out");
    for text in [
        "COPY (SELECT id, body FROM x_heap WHERE id < 3 ORDER BY id) TO STDOUT (FORMAT CSV, HEADER)",
        "COPY (SELECT id FROM x_heap WHERE id < 3 ORDER BY id) TO STDOUT (FORMAT BINARY)",
        "COPY x_heap TO STDOUT",
        "COPY (SELECT g, md5(g::text) FROM generate_series(1, 100000) g) TO STDOUT",
    ] {
        let mut copied = conn.copy_out_raw(text).await?;
        let (mut hasher, mut length, mut start) = (DefaultHasher::new(), 0, Vec::new());
        while let Some(chunk) = copied.try_next().await? {
            hasher.write(&chunk);
            length += chunk.len();
            start.extend(chunk.iter().take(60 - start.len().min(60)));
        }
        println!("{length} {:x} {}", hasher.finish(), start.escape_ascii());
    }
    println!("{}", sqlx::query_scalar::<_, i32>("SELECT 6").fetch_one(conn).await?);
    Ok(())
}

/// Two hundred megabytes, a row at a time.
async fn many(conn: &mut PgConnection) -> Outcome {
    println!("== many");
    let text = "SELECT repeat(md5(g::text), 32) FROM generate_series(1, 200000) g";
    let mut rows = sqlx::query_scalar::<_, String>(text).fetch(conn);
    let (mut hasher, mut count) = (DefaultHasher::new(), 0);
    while let Some(body) = rows.try_next().await? {
        hasher.write(body.as_bytes());
        count += 1;
    }
    println!("{count} {:x}", hasher.finish());
    Ok(())
}
