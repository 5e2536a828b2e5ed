//! Transactions, savepoints, advisory locks.

use sqlx::postgres::{PgAdvisoryLock, PgConnection};
use sqlx::{Connection as _, Either, Executor as _};

use crate::{Outcome, fails, url};

pub(crate) async fn all(conn: &mut PgConnection) -> Outcome {
    ends(conn).await?;
    nested(conn).await?;
    failed(conn).await?;
    isolated(conn).await?;
    late(conn).await?;
    queue(conn).await?;
    locks(conn).await
}

const INSERT: &str = "INSERT INTO x_marks VALUES ($1, $2)";

async fn marks(conn: &mut PgConnection) -> Outcome {
    let read = sqlx::query_as::<_, (i32, String)>("SELECT * FROM x_marks ORDER BY id");
    println!("{:?} {}", read.fetch_all(&mut *conn).await?, conn.is_in_transaction());
    Ok(())
}

async fn ends(conn: &mut PgConnection) -> Outcome {
    println!("== ends");
    conn.execute("CREATE TABLE x_marks (id int PRIMARY KEY, v text)").await?;
    let mut tx = conn.begin().await?;
    sqlx::query(INSERT).bind(1).bind("kept").execute(&mut *tx).await?;
    marks(&mut tx).await?;
    tx.commit().await?;
    let mut tx = conn.begin().await?;
    sqlx::query(INSERT).bind(2).bind("rolled back").execute(&mut *tx).await?;
    tx.execute("DELETE FROM x_marks WHERE id = 1").await?;
    marks(&mut tx).await?;
    tx.rollback().await?;
    let mut tx = conn.begin().await?;
    sqlx::query(INSERT).bind(3).bind("forgotten").execute(&mut *tx).await?;
    drop(tx);
    marks(conn).await?;
    let closure = conn.transaction(|tx| {
        Box::pin(async move {
            sqlx::query(INSERT).bind(4).bind("in a closure").execute(&mut **tx).await?;
            sqlx::query(INSERT).bind(1).bind("again").execute(&mut **tx).await
        })
    });
    fails(closure.await);
    marks(conn).await
}

async fn nested(conn: &mut PgConnection) -> Outcome {
    println!("== nested");
    let mut outer = conn.begin().await?;
    sqlx::query(INSERT).bind(5).bind("outer").execute(&mut *outer).await?;
    let mut inner = outer.begin().await?;
    sqlx::query(INSERT).bind(6).bind("inner").execute(&mut *inner).await?;
    let mut innermost = inner.begin().await?;
    fails(sqlx::query(INSERT).bind(5).bind("again").execute(&mut *innermost).await);
    innermost.rollback().await?;
    inner.commit().await?;
    let mut inner = outer.begin().await?;
    inner.execute("UPDATE x_marks SET v = 'gone' WHERE id = 5").await?;
    inner.execute("DELETE FROM x_marks WHERE id = 6").await?;
    inner.rollback().await?;
    let mut inner = outer.begin().await?;
    sqlx::query(INSERT).bind(7).bind("forgotten").execute(&mut *inner).await?;
    drop(inner);
    marks(&mut outer).await?;
    outer.commit().await?;
    conn.execute("DELETE FROM x_marks WHERE id IN (5, 6)").await?;
    marks(conn).await
}

/// A failed transaction stays failed until it is ended.
async fn failed(conn: &mut PgConnection) -> Outcome {
    println!("== failed");
    let mut tx = conn.begin().await?;
    sqlx::query(INSERT).bind(8).bind("lost").execute(&mut *tx).await?;
    fails(sqlx::query("SELECT 1/0").execute(&mut *tx).await);
    fails(sqlx::query("SELECT 1").execute(&mut *tx).await);
    fails(tx.execute("SELECT 1").await);
    tx.rollback().await?;
    let mut tx = conn.begin().await?;
    sqlx::query(INSERT).bind(8).bind("lost").execute(&mut *tx).await?;
    fails(tx.execute("SELEC").await);
    // The server answers with ROLLBACK, which the client takes for done.
    println!("{}", tx.commit().await.is_ok());
    marks(conn).await
}

async fn isolated(conn: &mut PgConnection) -> Outcome {
    println!("== isolated");
    for begin in
        ["BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"]
    {
        let mut tx = conn.begin_with(begin).await?;
        let level = sqlx::query_scalar::<_, String>("SHOW transaction_isolation");
        println!("{}", level.fetch_one(&mut *tx).await?);
        fails(sqlx::query(INSERT).bind(9).bind("maybe").execute(&mut *tx).await);
        tx.rollback().await?;
    }
    fails(conn.begin_with("SELECT 1").await.map(drop));
    marks(conn).await
}

/// Constraints that wait for COMMIT.
async fn late(conn: &mut PgConnection) -> Outcome {
    println!("== late");
    conn.execute("CREATE TABLE x_late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)").await?;
    let mut tx = conn.begin().await?;
    sqlx::query("INSERT INTO x_late VALUES ($1), ($1)").bind(1).execute(&mut *tx).await?;
    fails(tx.commit().await);
    fails(sqlx::query("INSERT INTO x_late VALUES ($1), ($1)").bind(1).execute(&mut *conn).await);
    fails(conn.execute("INSERT INTO x_late VALUES (2), (2)").await);
    let left = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM x_late").fetch_one(conn).await?;
    println!("{left}");
    Ok(())
}

/// Two workers that take what the other one has not.
async fn queue(conn: &mut PgConnection) -> Outcome {
    println!("== queue");
    let mut other = PgConnection::connect(&url()?).await?;
    for id in 20..23 {
        sqlx::query(INSERT).bind(id).bind("to do").execute(&mut *conn).await?;
    }
    let take =
        "SELECT id FROM x_marks WHERE v = 'to do' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED";
    let (mut one, mut two) = (conn.begin().await?, other.begin().await?);
    for tx in [&mut one, &mut two] {
        let id: i32 = sqlx::query_scalar(take).fetch_one(&mut **tx).await?;
        sqlx::query("UPDATE x_marks SET v = 'done' WHERE id = $1")
            .bind(id)
            .execute(&mut **tx)
            .await?;
        println!("{id}");
    }
    two.commit().await?;
    one.rollback().await?;
    let taken = "DELETE FROM x_marks WHERE id = (SELECT id FROM x_marks WHERE v = 'to do' ORDER BY id \
        FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING id";
    println!("{:?}", sqlx::query_scalar::<_, i32>(taken).fetch_optional(&mut *conn).await?);
    marks(conn).await?;
    conn.execute("DELETE FROM x_marks WHERE id >= 20").await?;
    Ok(other.close().await?)
}

async fn locks(conn: &mut PgConnection) -> Outcome {
    println!("== locks");
    let mut other = PgConnection::connect(&url()?).await?;
    let lock = PgAdvisoryLock::new("x_lock");
    let held = lock.acquire(&mut *conn).await?;
    println!("{}", matches!(lock.try_acquire(&mut other).await?, Either::Left(_)));
    held.release_now().await?;
    let taken = lock.try_acquire(&mut other).await?;
    println!("{}", matches!(taken, Either::Left(_)));
    drop(taken);
    other.ping().await?;
    println!("{}", lock.force_release(&mut *conn).await?.1);
    Ok(other.close().await?)
}
