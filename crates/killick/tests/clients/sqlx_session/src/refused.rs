//! What the gateway refuses leaves the session usable.

use sqlx::postgres::{PgConnection, PgDatabaseError, PgPoolOptions};
use sqlx::{Connection as _, Executor as _};

use crate::{Outcome, url};

const TEXTS: [&str; 3] = ["DROP TABLE kept", "TRUNCATE kept", "DELETE FROM kept"];

pub(crate) async fn all(conn: &mut PgConnection) -> Outcome {
    for text in TEXTS {
        said(text, sqlx::raw_sql(text).execute(&mut *conn).await)?;
        said(text, sqlx::query(text).execute(&mut *conn).await)?;
        said(text, sqlx::query(text).persistent(false).execute(&mut *conn).await)?;
        usable(conn).await?;
    }
    let with = sqlx::query("DELETE FROM kept WHERE id > $1 RETURNING id").bind(0);
    said("with a value", with.fetch_all(&mut *conn).await)?;
    said("between", conn.execute("SELECT 1; TRUNCATE kept; SELECT 2").await)?;
    said("in COPY", conn.copy_in_raw("COPY kept FROM PROGRAM 'true'").await.map(drop))?;
    usable(conn).await?;
    in_a_transaction(conn).await?;
    at_commit(conn).await?;
    in_a_pool().await
}

/// Prints what a program reads of a refusal.
fn said<T>(what: &str, outcome: Result<T, sqlx::Error>) -> Outcome {
    let Err(error) = outcome else {
        println!("PASSED {what}");
        return Ok(());
    };
    let it = error.as_database_error().and_then(|it| it.try_downcast_ref::<PgDatabaseError>());
    let it = it.ok_or_else(|| format!("{what}: {error}"))?;
    println!("{what} {} {} {}", it.code(), it.detail().is_some(), it.hint().is_some());
    Ok(())
}

async fn usable(conn: &mut PgConnection) -> Outcome {
    let text = "SELECT count(*) FROM kept WHERE id > $1";
    let left: i64 = sqlx::query_scalar(text).bind(0).fetch_one(conn).await?;
    println!("{left}");
    Ok(())
}

async fn in_a_transaction(conn: &mut PgConnection) -> Outcome {
    let mut tx = conn.begin().await?;
    usable(&mut tx).await?;
    said("in a transaction", sqlx::query("DROP TABLE kept").execute(&mut *tx).await)?;
    said("after it", sqlx::query("SELECT 1").execute(&mut *tx).await)?;
    tx.rollback().await?;
    let mut tx = conn.begin().await?;
    let mut inner = tx.begin().await?;
    said("in a savepoint", inner.execute("TRUNCATE kept").await)?;
    inner.rollback().await?;
    usable(&mut tx).await?;
    tx.commit().await?;
    usable(conn).await
}

/// More rows than pass: COMMIT is refused.
async fn at_commit(conn: &mut PgConnection) -> Outcome {
    let mut tx = conn.begin().await?;
    println!("{}", sqlx::query("DELETE FROM kept").execute(&mut *tx).await?.rows_affected());
    said("at COMMIT", tx.commit().await)?;
    usable(conn).await
}

async fn in_a_pool() -> Outcome {
    let pool = PgPoolOptions::new().max_connections(1).connect(&url()?).await?;
    for text in TEXTS {
        said(text, sqlx::query(text).execute(&pool).await)?;
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM kept").fetch_one(&pool).await?;
        println!("{left}");
    }
    pool.close().await;
    Ok(())
}
