"""psycopg 3: what a Python program does with a database. Prints the same with and without a gateway."""

import hashlib
import os
import sys
import threading
import time
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import dict_row, namedtuple_row
from psycopg.types.json import Jsonb

URL = os.environ["DATABASE_URL"]


def said(error):
    """What a program reads of an error."""
    diag = error.diag
    print(type(error).__name__, diag.sqlstate, diag.severity, diag.message_primary, diag.message_detail,
          diag.constraint_name, diag.table_name, diag.column_name, diag.statement_position)


def fails(run):
    try:
        run()
        print("no error")
    except psycopg.Error as error:
        said(error)


ROWS = [
    (1, "plain", Decimal("12.50"), True, date(2024, 2, 29), datetime(2024, 5, 1, 12, 30, 1, 500, timezone.utc),
     UUID("11111111-2222-3333-4444-555555555555"), b"\x00\x01\xff\\", [1, 2, 3], ["a", None, 'q"{}'],
     Jsonb({"k": [1, None, "ü"]}), 1.5, timedelta(days=1, seconds=3)),
    (2, "ünï'cødé\n\t\\", Decimal("-99999999999.9999"), False, date(1, 1, 1), datetime(1999, 12, 31, tzinfo=timezone.utc),
     UUID(int=0), b"", [], [], Jsonb([]), float("inf"), timedelta(0)),
    (3, None, None, None, None, None, None, None, None, None, None, None, None),
    (4, "", Decimal("NaN"), True, date(9999, 12, 31), datetime(2038, 1, 19, 3, 14, 8, tzinfo=timezone.utc),
     UUID(int=2**128 - 1), bytes(range(256)), [-2147483648, 2147483647], ["x" * 3000], Jsonb("s"), -0.0, timedelta(weeks=9)),
]


def types(conn):
    conn.execute("""CREATE TABLE kinds (id bigint PRIMARY KEY, name text, price numeric, good boolean, born date,
        at timestamptz, tag uuid, raw bytea, numbers int[], words text[], doc jsonb, real8 double precision, span interval)""")
    insert = "INSERT INTO kinds VALUES (" + ", ".join(["%s"] * 13) + ")"
    with conn.cursor() as cur:
        cur.executemany(insert, ROWS)
        print("inserted", cur.rowcount)
    conn.commit()
    for binary in (False, True):
        with conn.cursor(binary=binary) as cur:
            for row in cur.execute("SELECT * FROM kinds ORDER BY id"):
                print(binary, row)
            print([(it.name, it.type_code, it.internal_size) for it in cur.description])
            # A binary parameter for each type.
            for row in ROWS[:2]:
                cur.execute("SELECT id FROM kinds WHERE name = %b AND price = %b AND tag = %b AND raw = %b AND numbers = %b::int[]",
                            (row[1], row[2], row[6], row[7], row[8]))
                print(cur.fetchall())
    with conn.cursor(row_factory=dict_row) as cur:
        print(cur.execute("SELECT id, doc->'k' AS k FROM kinds WHERE doc ? 'k'").fetchone())
    conn.commit()


def prepared(conn):
    for number in range(8):
        row = conn.execute("SELECT %s::int + 1, %s::text", (number, f"n{number}"), prepare=True).fetchone()
        print(row)
    for number in range(7):
        conn.execute("UPDATE kinds SET name = %s WHERE id = %s", (f"p{number}", 1), prepare=True)
    print(conn.execute("SELECT name FROM kinds WHERE id = 1").fetchone())
    print(conn.execute("SELECT count(*) FROM pg_prepared_statements WHERE NOT from_sql AND name NOT LIKE '\\_killick%'").fetchone()[0] > 0)
    conn.rollback()
    print(conn.execute("SELECT name FROM kinds WHERE id = 1").fetchone())
    conn.execute("PREPARE by_id (int) AS SELECT name FROM kinds WHERE id = $1")
    print(conn.execute("EXECUTE by_id (2)").fetchone())
    conn.execute("DEALLOCATE by_id")
    # What a prepared statement returns may change under it.
    conn.execute("CREATE TABLE shifting (a int)")
    conn.execute("INSERT INTO shifting VALUES (1)")
    print(conn.execute("SELECT * FROM shifting", prepare=True).fetchall())
    conn.execute("ALTER TABLE shifting ADD COLUMN b int DEFAULT 7")
    fails(lambda: print(conn.execute("SELECT * FROM shifting", prepare=True).fetchall()))
    conn.rollback()


def transactions(conn):
    conn.execute("CREATE TABLE marks (id int PRIMARY KEY, v text)")
    conn.commit()
    with conn.transaction():
        conn.execute("INSERT INTO marks VALUES (1, 'outer')")
        try:
            with conn.transaction():
                conn.execute("INSERT INTO marks VALUES (2, 'inner')")
                conn.execute("INSERT INTO marks VALUES (1, 'again')")
        except psycopg.errors.UniqueViolation as error:
            said(error)
        with conn.transaction(savepoint_name="named"):
            conn.execute("INSERT INTO marks VALUES (3, 'kept')")
        with conn.transaction(force_rollback=True):
            conn.execute("INSERT INTO marks VALUES (4, 'gone')")
    print(conn.execute("SELECT * FROM marks ORDER BY id").fetchall(), conn.info.transaction_status.name)
    conn.rollback()
    # A failed transaction stays failed until it is ended.
    fails(lambda: conn.execute("SELECT 1/0"))
    print(conn.info.transaction_status.name)
    fails(lambda: conn.execute("SELECT 1"))
    conn.rollback()
    for level in (psycopg.IsolationLevel.SERIALIZABLE, psycopg.IsolationLevel.REPEATABLE_READ):
        conn.isolation_level = level
        print(conn.execute("SELECT current_setting('transaction_isolation')").fetchone())
        conn.rollback()
    conn.isolation_level = None
    conn.read_only = True
    fails(lambda: conn.execute("INSERT INTO marks VALUES (9, 'no')"))
    conn.rollback()
    conn.read_only = None
    conn.deferrable = True
    print(conn.execute("SELECT 1").fetchone())
    conn.rollback()
    conn.deferrable = None
    # Constraints that wait for COMMIT.
    conn.execute("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    conn.commit()
    conn.execute("INSERT INTO late VALUES (1), (1)")
    fails(conn.commit)
    conn.rollback()
    print(conn.execute("SELECT count(*) FROM late").fetchone())
    conn.rollback()
    # Writing without a transaction of one's own.
    conn.autocommit = True
    print(conn.execute("INSERT INTO marks VALUES (10, 'auto') RETURNING id, v").fetchall())
    cur = conn.execute("UPDATE marks SET v = 'auto2' WHERE id = 10")
    print(cur.rowcount, cur.statusmessage)
    fails(lambda: conn.execute("INSERT INTO late VALUES (2), (2)"))
    print(conn.execute("INSERT INTO marks VALUES (10, 'x') ON CONFLICT (id) DO UPDATE SET v = excluded.v RETURNING *").fetchall())
    print(conn.execute("DELETE FROM marks WHERE id = 10").statusmessage)
    conn.autocommit = False


def cursors(conn):
    with conn.cursor("walk") as cur:
        cur.itersize = 7
        cur.execute("SELECT g, repeat('x', g) FROM generate_series(1, 40) g")
        print(sum(len(row[1]) for row in cur))
    with conn.cursor("scrolls", scrollable=True, binary=True) as cur:
        cur.execute("SELECT g FROM generate_series(1, 100) g")
        print(cur.fetchmany(3))
        cur.scroll(10)
        print(cur.fetchone())
        cur.scroll(0, mode="absolute")
        print(cur.fetchone(), len(cur.fetchall()))
    with conn.cursor("held", withhold=True) as cur:
        cur.execute("SELECT id FROM kinds ORDER BY id")
        conn.commit()
        print(cur.fetchall())
    conn.commit()
    with conn.cursor() as cur:
        print([row[0] for row in cur.stream("SELECT g FROM generate_series(1, 5) g")])
        print([row[0] for row in cur.stream("SELECT g FROM generate_series(1, 10) g", size=4)])
    conn.rollback()
    print(conn.execute("SELECT 1; SELECT 2; SELECT 'three'").nextset())
    with psycopg.ClientCursor(conn) as cur:
        print(cur.execute("SELECT %s, %s, %s", ("it's", None, [1, 2])).fetchone())
    with psycopg.RawCursor(conn) as cur:
        print(cur.execute("SELECT $2::int, $1::text", ["a", 5]).fetchone())
    conn.rollback()


def copies(conn):
    conn.execute("CREATE TABLE heap (id int, body text, at timestamptz)")
    with conn.cursor() as cur:
        with cur.copy("COPY heap FROM STDIN") as copy:
            for number in range(5000):
                copy.write_row((number, f"row\t{number}\n\\", None))
        print(cur.rowcount, cur.statusmessage)
        with cur.copy("COPY heap (id, body, at) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int4", "text", "timestamptz"])
            for number in range(3):
                copy.write_row((number, "binary", datetime(2024, 1, 1, tzinfo=timezone.utc)))
        print(cur.rowcount)
        with cur.copy("COPY (SELECT id, body FROM heap WHERE id < 3 ORDER BY id, body) TO STDOUT (FORMAT CSV, HEADER)") as copy:
            print(b"".join(bytes(it) for it in copy))
        with cur.copy("COPY heap TO STDOUT (FORMAT BINARY)") as copy:
            copy.set_types(["int4", "text", "timestamptz"])
            print(sum(1 for _ in copy.rows()))
        with cur.copy("COPY heap (body) FROM STDIN") as copy:
            copy.write(b"y" * 5_000_000 + b"\n")
        print(cur.execute("SELECT max(length(body)) FROM heap").fetchone())
    conn.commit()
    # Bad data in the middle; the session goes on.
    def bad():
        with conn.cursor() as cur, cur.copy("COPY heap FROM STDIN") as copy:
            for number in range(20000):
                copy.write(f"{number if number != 500 else 'what'}\tx\t\\N\n")
    fails(bad)
    conn.rollback()
    def given_up():
        with conn.cursor() as cur, cur.copy("COPY heap FROM STDIN") as copy:
            copy.write_row((1, "x", None))
            raise RuntimeError("changed my mind")
    try:
        given_up()
    except RuntimeError as error:
        print(error, conn.info.transaction_status.name)
    conn.rollback()
    def stopped():
        with conn.cursor() as cur, cur.copy("COPY (SELECT g FROM generate_series(1, 300000) g) TO STDOUT") as copy:
            for number, _ in enumerate(copy):
                if number == 10:
                    raise RuntimeError("enough")
    try:
        stopped()
    except RuntimeError as error:
        print(error, conn.info.transaction_status.name)
    conn.rollback()
    print(conn.execute("SELECT count(*) FROM heap").fetchone())
    conn.rollback()
    # The same without a transaction of one's own.
    conn.autocommit = True
    fails(bad)
    with conn.cursor() as cur:
        with cur.copy("COPY heap FROM STDIN") as copy:
            copy.write_row((7, "auto", None))
        print(cur.rowcount)
    print(conn.execute("SELECT count(*) FROM heap").fetchone())
    conn.autocommit = False


def pipelines(conn):
    conn.execute("CREATE TABLE steps (id int PRIMARY KEY, v text)")
    conn.commit()
    with conn.pipeline():
        cursors = [conn.execute("SELECT %s::int", (number,)) for number in range(300)]
        print(sum(cur.fetchone()[0] for cur in cursors))
    conn.rollback()
    with conn.pipeline() as pipe, conn.transaction():
        for number in range(50):
            conn.execute("INSERT INTO steps VALUES (%s, %s)", (number, "x" * number))
        total = conn.execute("SELECT count(*) FROM steps")
        pipe.sync()
        print(total.fetchone())
    def broken():
        with conn.pipeline():
            conn.execute("INSERT INTO steps VALUES (100, 'a')")
            conn.execute("INSERT INTO steps VALUES (1, 'twice')")
            conn.execute("INSERT INTO steps VALUES (101, 'skipped')")
    fails(broken)
    print(conn.info.transaction_status.name)
    conn.rollback()
    print(conn.execute("SELECT count(*) FROM steps").fetchone())
    conn.rollback()
    # A pipeline without a transaction: what stands between two Syncs stands or falls together.
    conn.autocommit = True
    fails(broken)
    with conn.pipeline() as pipe:
        first = conn.execute("INSERT INTO steps VALUES (200, 'a') RETURNING id")
        second = conn.execute("SELECT count(*) FROM steps WHERE id >= 100")
        pipe.sync()
        third = conn.execute("UPDATE steps SET v = 'b' WHERE id = 200")
        print(first.fetchone(), second.fetchone(), third.rowcount)
    with conn.pipeline():
        for number in range(400, 420):
            conn.execute("DELETE FROM steps WHERE id = %s", (number,))
        conn.execute("SELECT %s::text", ("y" * 3_000_000,))
    print(conn.execute("SELECT count(*) FROM steps").fetchone())
    conn.autocommit = False


def notifications(conn):
    conn.autocommit = True
    with psycopg.connect(URL, autocommit=True) as other:
        conn.execute("LISTEN news")
        other.execute("NOTIFY news, 'first'")
        other.execute("SELECT pg_notify('news', 'second')")
        with other.transaction():
            other.execute("NOTIFY news, 'third'")
        for note in conn.notifies(stop_after=3, timeout=10):
            print(note.channel, note.payload, note.pid > 0)
        conn.execute("NOTIFY news, 'to myself'")
        print([it.payload for it in conn.notifies(timeout=5, stop_after=1)])
        conn.execute("UNLISTEN news")
        other.execute("NOTIFY news, 'unheard'")
        print([it.payload for it in conn.notifies(timeout=0.3)])
    conn.autocommit = False


def notices(conn):
    heard = []
    conn.add_notice_handler(lambda diag: heard.append((diag.severity, diag.sqlstate, diag.message_primary)))
    conn.execute("CREATE TABLE IF NOT EXISTS kinds (id int)")
    conn.execute("DO $$ BEGIN RAISE NOTICE 'a notice %', 7; RAISE WARNING 'a warning'; END $$")
    conn.commit()
    print(heard)


def cancelling(conn):
    def later():
        time.sleep(0.5)
        conn.cancel_safe(timeout=10)
    for text in ("SELECT pg_sleep(60)", "SELECT count(*) FROM generate_series(1, 10000000000) g"):
        thread = threading.Thread(target=later)
        thread.start()
        fails(lambda: conn.execute(text))
        thread.join()
        conn.rollback()
    print(conn.execute("SELECT 'usable'").fetchone())
    conn.rollback()


def errors(conn):
    conn.autocommit = True
    conn.execute("CREATE TABLE strict (id int PRIMARY KEY, n int NOT NULL CHECK (n > 0), up int REFERENCES strict)")
    for text in ("SELEC 1", "SELECT nope FROM kinds", "SELECT * FROM nowhere", "INSERT INTO strict VALUES (1, NULL)",
                 "INSERT INTO strict VALUES (1, -1)", "INSERT INTO strict VALUES (1, 1, 7)", "SELECT 'x'::int", "SELECT 1/0",
                 "COMMIT; SELECT 1", "INSERT INTO kinds (id) VALUES (1)", "SELECT $1"):
        fails(lambda: conn.execute(text))
    fails(lambda: conn.execute("SELECT %s::int", ("abc",)))
    print(conn.execute("").statusmessage, conn.execute("-- nothing").statusmessage)
    conn.autocommit = False


def settings(conn):
    print(conn.info.encoding, conn.info.parameter_status("standard_conforming_strings"),
          conn.info.parameter_status("integer_datetimes"), conn.info.parameter_status("default_transaction_read_only"))
    conn.execute("SET application_name = 'renamed'")
    conn.execute("SET TimeZone = 'Asia/Tokyo'")
    conn.commit()
    print(conn.info.parameter_status("application_name"), conn.info.parameter_status("TimeZone"), conn.info.timezone)
    print(conn.execute("SELECT at FROM kinds WHERE id = 1").fetchone())
    conn.execute("SET LOCAL DateStyle = 'ISO, DMY'")
    print(conn.execute("SHOW DateStyle").fetchone())
    conn.rollback()
    print(conn.execute("SHOW DateStyle").fetchone(), conn.execute("SHOW transaction_read_only").fetchone())
    conn.execute("SET TimeZone = 'UTC'")
    conn.execute("SET statement_timeout = '200ms'")
    fails(lambda: conn.execute("SELECT pg_sleep(5)"))
    conn.rollback()


def large(conn):
    digest, rows = hashlib.sha256(), 0
    with conn.cursor(row_factory=namedtuple_row) as cur:
        for row in cur.stream("SELECT g, repeat(md5(g::text), 32) AS body FROM generate_series(1, 200000) g", size=1000):
            digest.update(row.body.encode())
            rows += 1
    print(rows, digest.hexdigest())
    # One value of many megabytes, both ways.
    body = os.urandom(1) * 20_000_000
    back = conn.execute("SELECT %b::bytea, octet_length(%b::bytea)", (body, body)).fetchone()
    print(back[0] == body, back[1])
    conn.rollback()


def two_phase_and_names(conn):
    name = sql.Identifier('odd "name"')
    conn.execute(sql.SQL("CREATE TABLE {} ({} int)").format(name, sql.Identifier("Ünicode")))
    conn.execute(sql.SQL("INSERT INTO {} VALUES (1)").format(name))
    print(conn.execute(sql.SQL("SELECT * FROM {}").format(name)).description[0].name)
    conn.execute(sql.SQL("DROP TABLE {}").format(name))
    conn.rollback()


def tidy(conn):
    for table in ("kinds", "marks", "late", "heap", "steps", "strict"):
        print(conn.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(table))).statusmessage)
    conn.commit()


def refused():
    """What the gateway refuses leaves the session usable."""
    with psycopg.connect(URL, autocommit=True) as conn:
        for text in ("DROP TABLE kept", "SET ROLE postgres", "TRUNCATE kept"):
            for run in (lambda: conn.execute(text), lambda: conn.execute(text, prepare=True)):
                try:
                    run()
                    print("PASSED", text)
                except psycopg.errors.InsufficientPrivilege as error:
                    print(text, error.diag.sqlstate, bool(error.diag.message_detail), bool(error.diag.message_hint))
            print(conn.execute("SELECT count(*) FROM kept").fetchone())
        try:
            with conn.pipeline():
                conn.execute("SELECT 1")
                conn.execute("DROP TABLE kept")
                conn.execute("SELECT 2")
        except psycopg.errors.InsufficientPrivilege as error:
            print("in a pipeline", error.diag.sqlstate)
        print(conn.execute("SELECT count(*) FROM kept").fetchone(), conn.info.transaction_status.name)
        conn.autocommit = False
        try:
            conn.execute("SELECT 1")
            conn.execute("DROP TABLE kept")
        except psycopg.errors.InsufficientPrivilege as error:
            print("in a transaction", error.diag.sqlstate, conn.info.transaction_status.name)
        fails(lambda: conn.execute("SELECT 1"))
        conn.rollback()
        print(conn.execute("SELECT count(*) FROM kept").fetchone())
        # More rows than pass: COMMIT is refused and says how many.
        conn.execute("DELETE FROM kept")
        try:
            conn.commit()
            print("PASSED")
        except psycopg.errors.InsufficientPrivilege as error:
            print("at COMMIT", error.diag.sqlstate, conn.info.transaction_status.name)
        conn.rollback()
        print(conn.execute("SELECT count(*) FROM kept").fetchone())


def main():
    if sys.argv[1:] == ["refused"]:
        refused()
        return
    with psycopg.connect(URL) as conn:
        for part in (types, prepared, transactions, cursors, copies, pipelines, notifications, notices, cancelling,
                     errors, settings):
            print("==", part.__name__)
            part(conn)
    with psycopg.connect(URL) as conn:
        for part in (large, two_phase_and_names, tidy):
            print("==", part.__name__)
            part(conn)


main()
