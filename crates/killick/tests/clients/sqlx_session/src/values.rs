//! Values of many types, in binary and in text.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::{PgInterval, PgRange};
use sqlx::postgres::{
    PgArgumentBuffer, PgConnection, PgHasArrayType, PgRow, PgTypeInfo, PgValueRef,
};
use sqlx::types::{Json, JsonValue, Uuid};
use sqlx::{
    Column as _, Connection as _, Decode, Either, Encode, Executor as _, FromRow as _, Postgres,
    Row as _, SqlSafeStr as _, Type, TypeInfo,
};

use crate::{Outcome, fails};

pub(crate) async fn all(conn: &mut PgConnection) -> Outcome {
    types(conn).await?;
    ranges(conn).await?;
    own_types(conn).await?;
    described(conn).await?;
    large(conn).await
}

/// A row as a program reads it.
type Kind = (
    i64,
    Option<String>,
    Option<String>,
    Option<bool>,
    Option<String>,
    Option<Uuid>,
    Option<Vec<u8>>,
    Option<Vec<Option<i32>>>,
    Option<Vec<Option<String>>>,
    Option<JsonValue>,
    Option<f64>,
);

/// Both formats read it, so what has no type of its own here is cast to text.
const READ: &str = "SELECT id, name, price::text, good, at::text, tag, raw, numbers, words, doc, real8 \
    FROM x_kinds ORDER BY id";

fn kinds() -> Outcome<[Kind; 4]> {
    let text = |it: &str| Some(it.to_owned());
    Ok([
        (
            1,
            text("plain"),
            text("12.50"),
            Some(true),
            text("2024-05-01 12:30:01.0005+00"),
            Some(Uuid::from_u128(7)),
            Some(vec![0, 1, 255, 92]),
            Some(vec![Some(1), None, Some(3)]),
            Some(vec![text("a"), None, text("q\"{},")]),
            Some(r#"{"k": [1, null, "ü"]}"#.parse()?),
            Some(1.5),
        ),
        (
            2,
            text("ünï'cødé\n\t\\ 🚢"),
            text("-99999999999.9999"),
            Some(false),
            text("1999-12-31 00:00:00+09"),
            Some(Uuid::nil()),
            Some(vec![]),
            Some(vec![]),
            Some(vec![]),
            Some("[]".parse()?),
            Some(f64::INFINITY),
        ),
        (3, None, None, None, None, None, None, None, None, None, None),
        (
            4,
            text(""),
            text("NaN"),
            Some(true),
            text("infinity"),
            Some(Uuid::max()),
            Some((0..=255).collect()),
            Some(vec![Some(i32::MIN), Some(i32::MAX)]),
            Some(vec![Some("x".repeat(3000))]),
            Some("\"s\"".parse()?),
            Some(-0.0),
        ),
    ])
}

async fn types(conn: &mut PgConnection) -> Outcome {
    println!("== types");
    let table = "CREATE TABLE x_kinds (id bigint PRIMARY KEY, name text, price numeric, good boolean, \
        at timestamptz, tag uuid, raw bytea, numbers int[], words text[], doc jsonb, real8 float8)";
    conn.execute(table).await?;
    let insert = "INSERT INTO x_kinds VALUES ($1, $2, $3::text::numeric, $4, $5::text::timestamptz, \
        $6, $7, $8, $9, $10, $11)";
    for it in kinds()? {
        let query = sqlx::query(insert).bind(it.0).bind(it.1).bind(it.2).bind(it.3).bind(it.4);
        let query = query.bind(it.5).bind(it.6).bind(it.7).bind(it.8).bind(it.9).bind(it.10);
        println!("{}", query.execute(&mut *conn).await?.rows_affected());
    }
    let binary: Vec<Kind> = sqlx::query_as(READ).fetch_all(&mut *conn).await?;
    for row in &binary {
        println!("{row:?}");
    }
    let rows = sqlx::raw_sql(READ).fetch_all(&mut *conn).await?;
    let text = rows.iter().map(Kind::from_row).collect::<Result<Vec<_>, _>>()?;
    println!("{}", format!("{text:?}") == format!("{binary:?}"));
    let columns: Vec<_> = rows.iter().flat_map(PgRow::columns).take(11).collect();
    for column in columns {
        print!("{} {}, ", column.name(), column.type_info().name());
    }
    println!();
    let by = "SELECT id FROM x_kinds WHERE tag = ANY($1) AND raw = $2 AND doc @> $3";
    let found = sqlx::query_scalar::<_, i64>(by)
        .bind([Uuid::from_u128(7), Uuid::nil()])
        .bind(vec![0_u8, 1, 255, 92])
        .bind(Json("{}".parse::<JsonValue>()?));
    println!("{:?}", found.fetch_all(conn).await?);
    Ok(())
}

async fn ranges(conn: &mut PgConnection) -> Outcome {
    println!("== ranges");
    let text =
        "SELECT $1::int4range, $2::interval, $1::text, $2::text, $3::int2, $4::real, $5::\"char\"";
    let (range, span) =
        (PgRange::from(3..9), PgInterval { months: 1, days: 2, microseconds: 3_000_000 });
    let query = sqlx::query_as::<_, (PgRange<i32>, PgInterval, String, String, i16, f32, i8)>(text);
    let query = query.bind(range).bind(span).bind(-7_i16).bind(0.25_f32).bind(65_i8);
    println!("{:?}", query.fetch_one(&mut *conn).await?);
    fails(sqlx::query_scalar::<_, String>("SELECT 1").fetch_one(conn).await);
    Ok(())
}

#[derive(Debug)]
struct Mood(String);

impl Type<Postgres> for Mood {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("x_mood")
    }
}

impl PgHasArrayType for Mood {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::array_of("x_mood")
    }
}

impl Encode<'_, Postgres> for Mood {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <&str as Encode<Postgres>>::encode(&self.0, buffer)
    }
}

impl Decode<'_, Postgres> for Mood {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        Ok(Self(<String as Decode<Postgres>>::decode(value)?))
    }
}

/// Types of the database's own are looked up in its catalogue by the client.
async fn own_types(conn: &mut PgConnection) -> Outcome {
    println!("== own types");
    let mut tx = conn.begin().await?;
    tx.execute("CREATE TYPE x_mood AS ENUM ('sad', 'glad')").await?;
    tx.execute("CREATE TYPE x_pair AS (a int, b x_mood)").await?;
    tx.execute("CREATE DOMAIN x_small AS int CHECK (VALUE < 10)").await?;
    let one = sqlx::query_scalar::<_, Mood>("SELECT $1").bind(Mood("glad".to_owned()));
    println!("{:?}", one.fetch_one(&mut *tx).await?);
    let many = vec![Mood("sad".to_owned()), Mood("glad".to_owned())];
    let many = sqlx::query_scalar::<_, Vec<Mood>>("SELECT $1 AS many").bind(many);
    println!("{:?}", many.fetch_one(&mut *tx).await?);
    let pair = sqlx::query("SELECT ROW(1, 'sad')::x_pair AS it, 3::x_small AS small");
    let pair = pair.fetch_one(&mut *tx).await?;
    for column in pair.columns() {
        println!("{} {}", column.name(), column.type_info());
    }
    Ok(tx.rollback().await?)
}

const DESCRIBED: [&str; 6] = [
    "SELECT it.id, it.name, twice(2), other.id AS other FROM x_kinds it \
        LEFT JOIN x_kinds other ON other.id = it.id + $1 WHERE it.good",
    "INSERT INTO x_kinds (id, name) VALUES ($1, $2) RETURNING id",
    "UPDATE x_kinds SET name = $1 WHERE id = $2",
    "DELETE FROM x_kinds WHERE id = ANY($1) RETURNING *",
    "SELECT count(*) AS \"count!\" FROM x_kinds",
    "SELECT nope FROM x_kinds",
];

async fn described(conn: &mut PgConnection) -> Outcome {
    println!("== described");
    for text in DESCRIBED {
        let it = match conn.describe(text.into_sql_str()).await {
            Ok(it) => it,
            Err(error) => {
                fails::<()>(Err(error));
                continue;
            }
        };
        for (at, column) in it.columns().iter().enumerate() {
            let from = column.origin();
            println!("{} {} {:?} {from:?}", column.name(), column.type_info(), it.nullable(at));
        }
        if let Some(Either::Left(parameters)) = it.parameters() {
            println!("{:?}", parameters.iter().map(TypeInfo::name).collect::<Vec<_>>());
        }
    }
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM x_kinds").fetch_one(conn).await?;
    println!("{left}");
    Ok(())
}

/// One value of many megabytes, both ways.
async fn large(conn: &mut PgConnection) -> Outcome {
    println!("== large");
    let body = vec![7_u8; 20_000_000];
    let query = sqlx::query_as("SELECT $1, octet_length($1)").bind(&body);
    let (back, length): (Vec<u8>, i32) = query.fetch_one(conn).await?;
    println!("{} {length}", back == body);
    Ok(())
}
