//! Notifications and a pool.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgListener, PgPool, PgPoolOptions};
use sqlx::{Connection as _, Executor as _};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::{Outcome, url};

/// How long something that is heard at once is waited for.
const HEARD_WAIT_MAX: Duration = Duration::from_secs(10);

pub(crate) async fn all(conn: &mut PgConnection) -> Outcome {
    notifications(conn).await?;
    pool().await
}

async fn heard(listener: &mut PgListener, count: usize) -> Outcome {
    for _ in 0..count {
        let note = timeout(HEARD_WAIT_MAX, listener.recv()).await??;
        println!("{} {} {}", note.channel(), note.payload(), note.process_id() > 0);
    }
    Ok(())
}

async fn notifications(conn: &mut PgConnection) -> Outcome {
    println!("== notifications");
    let mut listener = PgListener::connect(&url()?).await?;
    listener.listen("x_news").await?;
    listener.listen_all(["x_more", "X \"odd\""]).await?;
    conn.execute("NOTIFY x_news, 'first'").await?;
    let notify = "SELECT pg_notify($1, $2)";
    sqlx::query(notify).bind("x_more").bind("second, ünï").execute(&mut *conn).await?;
    sqlx::query(notify).bind("X \"odd\"").bind("third").execute(&mut *conn).await?;
    heard(&mut listener, 3).await?;
    let mut tx = conn.begin().await?;
    tx.execute("NOTIFY x_news, 'unsaid'").await?;
    tx.rollback().await?;
    let mut tx = conn.begin().await?;
    tx.execute("NOTIFY x_news, 'at COMMIT'").await?;
    tx.commit().await?;
    heard(&mut listener, 1).await?;
    // The listener is a connection too, and hears what it says itself.
    sqlx::query(notify).bind("x_news").bind("to myself").execute(&mut listener).await?;
    println!("{}", sqlx::query_scalar::<_, i32>("SELECT 7").fetch_one(&mut listener).await?);
    heard(&mut listener, 1).await?;
    listener.unlisten("x_more").await?;
    conn.execute("NOTIFY x_more, 'unheard'").await?;
    conn.execute("NOTIFY x_news, 'heard'").await?;
    heard(&mut listener, 1).await?;
    listener.unlisten_all().await?;
    conn.execute("NOTIFY x_news, 'unheard'").await?;
    println!("{}", timeout(Duration::from_millis(300), listener.recv()).await.is_err());
    Ok(())
}

async fn pool() -> Outcome {
    println!("== pool");
    let options = PgPoolOptions::new().max_connections(4).acquire_timeout(HEARD_WAIT_MAX);
    let pool = options.connect(&url()?).await?;
    println!("{}", together(&pool, |pool, number| Box::pin(asked(pool, number))).await?);
    println!("{}", together(&pool, |pool, number| Box::pin(counted(pool, number))).await?);
    let read = "SELECT v FROM x_marks WHERE id = 100";
    println!("{}", sqlx::query_scalar::<_, String>(read).fetch_one(&pool).await?);
    // What is dropped in the middle of a transaction goes back to the pool without it.
    for _ in 0..5 {
        let mut tx = pool.begin().await?;
        tx.execute("UPDATE x_marks SET v = 'lost' WHERE id = 100").await?;
    }
    println!("{}", sqlx::query_scalar::<_, String>(read).fetch_one(&pool).await?);
    println!("{}", pool.size() <= 4);
    pool.close().await;
    println!("{}", pool.acquire().await.is_err());
    Ok(())
}

type Work = std::pin::Pin<Box<dyn Future<Output = Result<i32, sqlx::Error>> + Send>>;

/// Runs forty at once over the few connections of the pool and returns their sum.
async fn together(pool: &PgPool, work: fn(PgPool, i32) -> Work) -> Outcome<i32> {
    let mut tasks = JoinSet::new();
    for number in 0..40 {
        tasks.spawn(work(pool.clone(), number));
    }
    let mut sum = 0;
    while let Some(done) = tasks.join_next().await {
        sum += done??;
    }
    Ok(sum)
}

async fn asked(pool: PgPool, number: i32) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar("SELECT twice($1)").bind(number).fetch_one(&pool).await
}

/// All of them write the same row, and every other one keeps what it wrote.
async fn counted(pool: PgPool, number: i32) -> Result<i32, sqlx::Error> {
    let kept = number % 2 == 0;
    let mut tx = pool.begin().await?;
    let text = "INSERT INTO x_marks VALUES (100, '1') ON CONFLICT (id) DO UPDATE \
        SET v = (x_marks.v::int + 1)::text";
    sqlx::query(text).execute(&mut *tx).await?;
    if kept {
        tx.commit().await?;
    } else {
        tx.rollback().await?;
    }
    Ok(i32::from(kept))
}
