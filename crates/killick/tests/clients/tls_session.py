"""psycopg with TLS towards the server that it is given: verified, negotiated or direct, old and new protocol."""

import os
import threading

import psycopg
from psycopg.conninfo import make_conninfo

URL = os.environ["DATABASE_URL"]
CA = os.environ["KILLICK_CA"]

for more in ({}, {"sslnegotiation": "direct"}, {"max_protocol_version": "latest"},
             {"sslnegotiation": "direct", "min_protocol_version": "3.2", "max_protocol_version": "3.2"}):
    with psycopg.connect(make_conninfo(URL, sslmode="verify-full", sslrootcert=CA, gssencmode="disable", **more), autocommit=True) as conn:
        print(sorted(more), conn.pgconn.ssl_in_use, conn.pgconn.full_protocol_version, conn.execute("SELECT count(*) FROM kept").fetchone())
        threading.Timer(0.5, conn.cancel_safe).start()
        try:
            conn.execute("SELECT pg_sleep(60)")
            print("PASSED")
        except psycopg.errors.QueryCanceled as error:
            print(error.sqlstate)
        print(len(conn.execute("SELECT %b::bytea", (bytes(5_000_000),)).fetchone()[0]))

for wrong in ({"sslrootcert": os.environ["OTHER_CA"]}, {"host": "localhost"}):
    try:
        psycopg.connect(make_conninfo(URL, sslmode="verify-full", **{"sslrootcert": CA, **wrong}))
        print("PASSED", wrong)
    except psycopg.OperationalError as error:
        print(sorted(wrong), "certificate" in str(error))
try:
    psycopg.connect(make_conninfo(URL, sslmode="verify-full", sslrootcert=CA, channel_binding="require"))
    print("PASSED")
except psycopg.OperationalError as error:
    print("channel binding is not offered to clients:", "channel binding" in str(error))
