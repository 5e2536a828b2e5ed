"""asyncpg: binary formats, prepared statements, a pool. Prints the same with and without a gateway."""

import asyncio
import datetime
import decimal
import io
import os
import sys
import uuid

import asyncpg

URL = os.environ["DATABASE_URL"]


def said(error):
    print(type(error).__name__, error.sqlstate, error.message if hasattr(error, "message") else error.args[0], error.detail,
          getattr(error, "constraint_name", None))


async def fails(awaitable):
    try:
        await awaitable
        print("no error")
    except asyncpg.PostgresError as error:
        said(error)


async def types(conn):
    await conn.execute("""CREATE TABLE a_kinds (id bigint PRIMARY KEY, name text, price numeric(20, 4), at timestamptz, born date,
        tag uuid, raw bytea, numbers int[], words text[], doc jsonb, span interval, net inet, part int4range, real4 real)""")
    utc = datetime.timezone.utc
    rows = [
        (1, "ünï", decimal.Decimal("12.5"), datetime.datetime(2024, 5, 1, 1, 2, 3, 4, utc), datetime.date(2024, 2, 29),
         uuid.UUID(int=7), b"\x00\xff", [1, None, 3], ["a", 'b"'], '{"k": [1]}', datetime.timedelta(days=3, seconds=1), "10.0.0.1/8",
         asyncpg.Range(1, 9), 1.5),
        (2,) + (None,) * 13,
    ]
    await conn.executemany("INSERT INTO a_kinds VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14)", rows)
    for row in await conn.fetch("SELECT * FROM a_kinds ORDER BY id"):
        print(dict(row))
    await conn.execute("CREATE TYPE mood AS ENUM ('sad', 'glad')")
    await conn.execute("CREATE TYPE pair AS (a int, b text)")
    print(await conn.fetchval("SELECT $1::mood", "glad"), await conn.fetchval("SELECT $1::pair", (1, "x")))
    print(await conn.fetchval("SELECT array_agg(g::mood) FROM unnest(ARRAY['sad', 'glad']) g"))
    await conn.set_type_codec("jsonb", encoder=repr, decoder=lambda raw: ("decoded", raw), schema="pg_catalog")
    print(await conn.fetchval("SELECT doc FROM a_kinds WHERE id = 1"))


async def statements(conn):
    made = await conn.prepare("SELECT id, name FROM a_kinds WHERE id = ANY($1::bigint[]) ORDER BY id")
    print([it.name for it in made.get_parameters()], [it.name for it in made.get_attributes()])
    print(await made.fetch([1, 2]), await made.fetchval([2]), made.get_statusmsg())
    for number in range(150):
        # More than the client keeps: it closes the oldest ones.
        assert await conn.fetchval(f"SELECT $1::int + {number}", number) == number * 2
    print(await conn.execute("UPDATE a_kinds SET name = $2 WHERE id = $1", 1, "changed"))
    print(await conn.execute("INSERT INTO a_kinds (id) VALUES (3); DELETE FROM a_kinds WHERE id = 3"))
    print(await conn.fetchrow("INSERT INTO a_kinds (id) VALUES (4) RETURNING id, name"))
    print(await conn.fetchmany("INSERT INTO a_kinds (id) VALUES ($1) RETURNING id", [(5,), (6,)]))
    print(await conn.execute("DELETE FROM a_kinds WHERE id > 3"))
    print(await conn.fetch("SELECT 1 WHERE false"), await conn.fetch(""))


async def transactions(conn):
    async with conn.transaction():
        await conn.execute("INSERT INTO a_kinds (id) VALUES (10)")
        try:
            async with conn.transaction():
                await conn.execute("INSERT INTO a_kinds (id) VALUES (11)")
                await conn.execute("INSERT INTO a_kinds (id) VALUES (10)")
        except asyncpg.UniqueViolationError as error:
            said(error)
        print(await conn.fetchval("SELECT count(*) FROM a_kinds WHERE id >= 10"))
    for isolation in ("serializable", "repeatable_read", "read_committed"):
        async with conn.transaction(isolation=isolation, readonly=True):
            print(await conn.fetchval("SHOW transaction_isolation"), await conn.fetchval("SHOW transaction_read_only"))
    try:
        async with conn.transaction(readonly=True):
            await conn.execute("INSERT INTO a_kinds (id) VALUES (12)")
    except asyncpg.ReadOnlySQLTransactionError as error:
        said(error)
    transaction = conn.transaction()
    await transaction.start()
    await conn.execute("DELETE FROM a_kinds WHERE id = $1", 10)
    await transaction.rollback()
    print(await conn.fetchval("SELECT count(*) FROM a_kinds"))


async def cursors(conn):
    async with conn.transaction():
        total = 0
        async for row in conn.cursor("SELECT g FROM generate_series(1, $1::int) g", 1000, prefetch=64):
            total += row["g"]
        print(total)
        cursor = await conn.cursor("SELECT g FROM generate_series(1, 100) g")
        print(await cursor.fetch(2), await cursor.forward(10), await cursor.fetchrow(), len(await cursor.fetch(1000)))
        # Two at a time, and a change between them.
        first = await conn.cursor("SELECT id FROM a_kinds ORDER BY id")
        second = await conn.cursor("SELECT id FROM a_kinds ORDER BY id DESC")
        print(await first.fetchrow(), await second.fetchrow())
        await conn.execute("UPDATE a_kinds SET name = 'between' WHERE id = $1", 1)
        print(await first.fetchrow(), await second.fetchrow())
        # A change that stops at its row limit has been made all the same.
        changing = await conn.cursor("UPDATE a_kinds SET price = 1 WHERE id IN (1, 2) RETURNING id")
        print(await changing.fetch(1))
    print(await conn.fetchval("SELECT count(*) FROM a_kinds WHERE price = 1"))


async def copies(conn):
    await conn.execute("CREATE TABLE a_heap (id int, body text)")
    print(await conn.copy_records_to_table("a_heap", records=((n, f"r{n}") for n in range(3000))))
    print(await conn.copy_to_table("a_heap", source=io.BytesIO(b"1,x\n2,y\n"), format="csv"))
    out = io.BytesIO()
    print(await conn.copy_from_query("SELECT * FROM a_heap WHERE id < $1 ORDER BY id, body", 3, output=out, format="csv"), out.getvalue())
    out = io.BytesIO()
    print(await conn.copy_from_table("a_heap", output=out, format="binary"), len(out.getvalue()))
    await fails(conn.copy_to_table("a_heap", source=io.BytesIO(b"1,x\nwhat,y\n" * 20000), format="csv"))
    print(await conn.fetchval("SELECT count(*) FROM a_heap"))
    await conn.execute("DROP TABLE a_heap")


async def notifications(conn):
    other = await asyncpg.connect(URL)
    heard = asyncio.Queue()
    hear = lambda _, pid, channel, payload: heard.put_nowait((channel, payload))
    await conn.add_listener("a_news", hear)
    await other.execute("NOTIFY a_news, 'hello'")
    await other.execute("SELECT pg_notify($1, $2)", "a_news", "twice")
    print([await asyncio.wait_for(heard.get(), 10) for _ in range(2)])
    await conn.remove_listener("a_news", hear)
    await other.close()
    logged = []
    conn.add_log_listener(lambda _, message: logged.append((message.severity, message.message)))
    await conn.execute("DO $$ BEGIN RAISE NOTICE 'noted'; END $$")
    print(logged)


async def cancelling(conn):
    # A time-out of the client's cancels at the server and leaves the session usable.
    try:
        await conn.fetch("SELECT pg_sleep(60)", timeout=0.5)
    except asyncio.TimeoutError:
        print("timed out")
    task = asyncio.create_task(conn.fetch("SELECT count(*) FROM generate_series(1, 10000000000) g"))
    await asyncio.sleep(0.5)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("cancelled")
    print(await conn.fetchval("SELECT 'usable'"))


async def errors(conn):
    for text in ("SELEC 1", "SELECT nope", "SELECT * FROM nowhere", "SELECT 1/0", "INSERT INTO a_kinds (id) VALUES (1)", "SELECT $1::int / 0"):
        await fails(conn.fetch(text) if "$1" not in text else conn.fetch(text, 1))
    await fails(conn.fetch("SELECT 1; SELECT 2"))


async def pools():
    async with asyncpg.create_pool(URL, min_size=2, max_size=4) as pool:
        async def work(number):
            async with pool.acquire() as conn:
                return await conn.fetchval("SELECT $1::int * 2", number)
        print(await asyncio.gather(*(work(number) for number in range(40))))
        # What one left set, the next one does not find.
        async with pool.acquire() as conn:
            await conn.execute("SET TimeZone = 'Asia/Tokyo'")
        async with pool.acquire() as conn:
            print(await conn.fetchval("SHOW TimeZone") != "Asia/Tokyo")


async def large(conn):
    rows, length = 0, 0
    async with conn.transaction():
        async for row in conn.cursor("SELECT repeat('z', 1000) AS z FROM generate_series(1, 50000)", prefetch=5000):
            rows += 1
            length += len(row["z"])
    print(rows, length)
    print(len(await conn.fetchval("SELECT $1::bytea", bytes(30_000_000))))


async def refused():
    conn = await asyncpg.connect(URL)
    for run in (conn.execute, conn.fetch):
        for text in ("DROP TABLE kept", "TRUNCATE kept"):
            try:
                await run(text)
                print("PASSED", text)
            except asyncpg.InsufficientPrivilegeError as error:
                print(text, error.sqlstate, bool(error.detail), bool(error.hint))
        print(await conn.fetchval("SELECT count(*) FROM kept"))
    # All rows go at the first Execute, whatever the row limit: COMMIT counts them.
    try:
        async with conn.transaction():
            cursor = await conn.cursor("DELETE FROM kept RETURNING id")
            print(len(await cursor.fetch(1)))
        print("PASSED")
    except asyncpg.InsufficientPrivilegeError as error:
        print("at COMMIT", error.sqlstate)
    print(await conn.fetchval("SELECT count(*) FROM kept"))
    await conn.close()


async def main():
    if sys.argv[1:] == ["refused"]:
        return await refused()
    conn = await asyncpg.connect(URL)
    print(conn.get_server_version().major, conn.get_settings().client_encoding)
    for part in (types, statements, transactions, cursors, copies, notifications, cancelling, errors, large):
        print("==", part.__name__)
        await part(conn)
    print(await conn.execute("DROP TABLE a_kinds"))
    await conn.close()
    print("== pools")
    await pools()


asyncio.run(main())
