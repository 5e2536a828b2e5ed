//! sqlx: queries, streams, transactions, COPY, notifications, a pool, migrations. Prints the same with and without a
//! gateway.

mod migrations;
mod refused;
mod sharing;
mod statements;
mod streams;
mod transactions;
mod values;

use std::error::Error;

use sqlx::postgres::{PgConnection, PgDatabaseError};
use sqlx::{Connection as _, Executor as _};

/// How a part ends.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const TABLES: [&str; 6] = [
    "DROP TABLE x_kinds",
    "DROP TABLE x_marks",
    "DROP TABLE x_late",
    "DROP TABLE x_heap",
    "DROP TABLE x_strict",
    "DROP TABLE x_shifting",
];

/// Returns the address that the program was given.
pub(crate) fn url() -> Outcome<String> {
    Ok(std::env::var("DATABASE_URL")?)
}

/// Prints what a program reads of an error.
pub(crate) fn said(error: &sqlx::Error) {
    let Some(it) = error.as_database_error() else {
        println!("{error}");
        return;
    };
    let kind = it.kind();
    let it = it.downcast_ref::<PgDatabaseError>();
    println!("{:?} {} {kind:?} {:?}", it.severity(), it.code(), it.message());
    println!("  {:?} {:?} {:?}", it.detail(), it.hint(), it.position());
    println!("  {:?} {:?} {:?} {:?}", it.schema(), it.table(), it.column(), it.constraint());
}

/// Prints how something failed that has to fail.
pub(crate) fn fails<T>(outcome: Result<T, sqlx::Error>) {
    match outcome {
        Ok(_) => println!("no error"),
        Err(error) => said(&error),
    }
}

#[tokio::main]
async fn main() -> Outcome {
    let mut conn = PgConnection::connect(&url()?).await?;
    if std::env::args().nth(1).as_deref() == Some("refused") {
        refused::all(&mut conn).await?;
        return Ok(conn.close().await?);
    }
    values::all(&mut conn).await?;
    statements::all(&mut conn).await?;
    streams::all(&mut conn).await?;
    transactions::all(&mut conn).await?;
    sharing::all(&mut conn).await?;
    migrations::all(&mut conn).await?;
    println!("== tidy");
    for text in TABLES {
        conn.execute(text).await?;
    }
    Ok(conn.close().await?)
}
