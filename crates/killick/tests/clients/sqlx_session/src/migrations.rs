//! Migrations of a directory, up and down.

use std::path::{Path, PathBuf};

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};

use crate::{Outcome, said, url};

const FILES: [(&str, &str); 4] = [
    (
        "1_things.up.sql",
        "CREATE TABLE x_things (id bigint PRIMARY KEY, name text NOT NULL);\n\
        INSERT INTO x_things VALUES (1, 'one; two'), (2, 'it''s'), (3, 'three');\n",
    ),
    ("1_things.down.sql", "DROP TABLE x_things;\n"),
    (
        "2_sizes.up.sql",
        "-- Sizes.\nALTER TABLE x_things ADD COLUMN size int NOT NULL DEFAULT 7;\n\
        CREATE INDEX x_things_name ON x_things (name);\nUPDATE x_things SET size = 8 WHERE id = 2;\n",
    ),
    ("2_sizes.down.sql", "ALTER TABLE x_things DROP COLUMN size;\n"),
];

/// It waits for every transaction before it, so it and somebody who waits for the client's lock would block each other.
const BY_ITSELF: (&str, &str) = (
    "3_index.sql",
    "-- no-transaction\nCREATE INDEX CONCURRENTLY x_things_size ON x_things (size);\n",
);

pub(crate) async fn all(conn: &mut PgConnection) -> Outcome {
    let dir = std::env::temp_dir().join(format!("sqlx-session-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let done = migrated(conn, &dir).await;
    std::fs::remove_dir_all(&dir)?;
    done
}

/// Each run has a connection of its own: after a failure the client leaves its lock held.
async fn run(dir: PathBuf) -> Outcome<Result<(), MigrateError>> {
    let mut conn = PgConnection::connect(&url()?).await?;
    let done = Migrator::new(dir).await?.run(&mut conn).await;
    conn.close().await?;
    Ok(done)
}

async fn applied(conn: &mut PgConnection) -> Outcome {
    let read = "SELECT version, description, success, length(checksum), execution_time > 0 \
        FROM _sqlx_migrations ORDER BY version";
    let rows = sqlx::query_as::<_, (i64, String, bool, i32, bool)>(read);
    println!("{:?}", rows.fetch_all(conn).await?);
    Ok(())
}

async fn migrated(conn: &mut PgConnection, dir: &Path) -> Outcome {
    println!("== migrations");
    for (name, text) in FILES {
        std::fs::write(dir.join(name), text)?;
    }
    // Both want the same lock; the second one waits and finds nothing to do.
    let (first, second) = tokio::join!(run(dir.to_owned()), run(dir.to_owned()));
    println!("{} {}", first?.is_ok(), second?.is_ok());
    std::fs::write(dir.join(BY_ITSELF.0), BY_ITSELF.1)?;
    for _ in 0..2 {
        println!("{}", run(dir.to_owned()).await?.is_ok());
    }
    applied(conn).await?;
    let read = sqlx::query_as::<_, (i64, String, i32)>("SELECT * FROM x_things ORDER BY id");
    println!("{:?}", read.fetch_all(&mut *conn).await?);
    broken(conn, dir).await?;
    let migrator = Migrator::new(dir).await?;
    migrator.undo(&mut *conn, 1).await?;
    applied(conn).await?;
    migrator.undo(&mut *conn, 0).await?;
    applied(conn).await?;
    let left: Option<String> =
        sqlx::query_scalar("SELECT to_regclass('x_things')::text").fetch_one(&mut *conn).await?;
    println!("{left:?}");
    conn.execute("DROP TABLE _sqlx_migrations").await?;
    Ok(())
}

/// A migration that fails in the middle leaves nothing of itself behind.
async fn broken(conn: &mut PgConnection, dir: &Path) -> Outcome {
    let file = dir.join("4_broken.sql");
    std::fs::write(
        &file,
        "CREATE TABLE x_half (id int);\nINSERT INTO x_things (id) VALUES (1);\n",
    )?;
    match run(dir.to_owned()).await? {
        Err(MigrateError::ExecuteMigration(error, version)) => {
            println!("{version}");
            said(&error);
        }
        other => println!("{other:?}"),
    }
    std::fs::write(&file, "SELECT 1;\n")?;
    println!("{}", run(dir.to_owned()).await?.is_ok());
    std::fs::write(&file, "SELECT 2;\n")?;
    match run(dir.to_owned()).await? {
        Ok(()) => println!("no error"),
        Err(error) => println!("{error}"),
    }
    applied(conn).await
}
