"""What no driver says by itself, spoken over a bare socket: start-up packets, cancelling, functions by number, broken series."""

import base64
import hashlib
import hmac
import os
import socket
import struct
import sys
import threading
import time
from urllib.parse import urlsplit

PARTS = urlsplit(os.environ["DATABASE_URL"])
DATABASE = PARTS.path[1:]


def dial():
    return socket.create_connection((PARTS.hostname, PARTS.port), timeout=30)


def start(version, parameters):
    body = struct.pack("!I", version) + b"".join(it.encode() + b"\0" for pair in parameters for it in pair) + b"\0"
    return struct.pack("!I", len(body) + 4) + body


def message(tag, body=b""):
    return tag.encode() + struct.pack("!I", len(body) + 4) + body


class Wire:
    """One session, logged in by SCRAM."""

    def __init__(self, version=0x30000, more=()):
        self.stream = dial()
        self.buffer = b""
        self.negotiated = None
        self.key = None
        self.stream.sendall(start(version, [("user", PARTS.username), ("database", DATABASE), *more]))
        tag, body = self.hear()
        if tag == "v":
            newest, count = struct.unpack("!II", body[:8])
            self.negotiated = (hex(newest), body[8:].split(b"\0")[:count])
            tag, body = self.hear()
        if tag == "E":
            raise RuntimeError(fields(body)["M"])
        self.scram()
        for tag, body in self.until("Z"):
            if tag == "K":
                self.process, self.key = struct.unpack("!I", body[:4])[0], body[4:]

    def scram(self):
        nonce = base64.b64encode(os.urandom(18)).decode()
        bare = f"n=,r={nonce}"
        first = ("n,," + bare).encode()
        self.say("p", b"SCRAM-SHA-256\0" + struct.pack("!I", len(first)) + first)
        tag, body = self.hear()
        assert tag == "R", (tag, body)
        opening = body[4:].decode()
        grown, salt, rounds = (it[2:] for it in opening.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", PARTS.password.encode(), base64.b64decode(salt), int(rounds))
        keyed = lambda key, text: hmac.digest(key, text, "sha256")
        client = keyed(salted, b"Client Key")
        without = f"c=biws,r={grown}"
        signature = keyed(hashlib.sha256(client).digest(), f"{bare},{opening},{without}".encode())
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(client, signature))).decode()
        self.say("p", f"{without},p={proof}".encode())
        tag, body = self.hear()
        assert tag == "R" and body[:4] == struct.pack("!I", 12), (tag, body)

    def say(self, tag, body=b""):
        self.stream.sendall(message(tag, body))

    def fill(self, count):
        while len(self.buffer) < count:
            more = self.stream.recv(1 << 16)
            if not more:
                raise ConnectionError("the other side left")
            self.buffer += more

    def hear(self):
        self.fill(5)
        length = struct.unpack("!I", self.buffer[1:5])[0] + 1
        self.fill(length)
        tag, body = chr(self.buffer[0]), self.buffer[5:length]
        self.buffer = self.buffer[length:]
        return tag, body

    def until(self, last):
        while True:
            tag, body = self.hear()
            yield tag, body
            if tag == last:
                return

    def answers(self, count=1):
        """The messages up to a number of ReadyForQuery, in short."""
        said = []
        for _ in range(count):
            for tag, body in self.until("Z"):
                if tag == "E":
                    it = fields(body)
                    said.append(f"E:{it['C']}:{it['M'].split(':')[0]}")
                elif tag == "D":
                    said.append("D:" + ",".join(values(body)))
                elif tag in "CZ":
                    said.append(f"{tag}:{body.rstrip(bytes(1)).decode()}")
                elif tag not in "NSA":
                    said.append(tag)
        return " ".join(said)

    def query(self, text):
        self.say("Q", text.encode() + b"\0")
        return self.answers()


def fields(body):
    return {chr(it[0]): it[1:].decode() for it in body.split(b"\0") if it}


def values(body):
    count, rest = struct.unpack("!H", body[:2])[0], body[2:]
    for _ in range(count):
        length = struct.unpack("!i", rest[:4])[0]
        yield "NULL" if length < 0 else rest[4:4 + length].decode()
        rest = rest[4 + max(length, 0):]


def parse(text, name=""):
    return message("P", name.encode() + b"\0" + text.encode() + b"\0" + struct.pack("!H", 0))


def bind(portal="", name="", given=()):
    body = portal.encode() + b"\0" + name.encode() + b"\0" + struct.pack("!HH", 0, len(given))
    body += b"".join(struct.pack("!I", len(it)) + it.encode() for it in given)
    return message("B", body + struct.pack("!H", 0))


def execute(portal="", rows=0):
    return message("E", portal.encode() + b"\0" + struct.pack("!I", rows))


def close(kind, name=""):
    return message("C", kind.encode() + name.encode() + b"\0")


def describe(kind, name=""):
    return message("D", kind.encode() + name.encode() + b"\0")


SYNC, FLUSH = message("S"), message("H")


def series(wire, *messages, ready=1):
    # Sent beside: a server that waits until its answers are read takes no more.
    sending = threading.Thread(target=wire.stream.sendall, args=(b"".join(messages),))
    sending.start()
    said = wire.answers(ready)
    sending.join()
    return said


def portals(wire):
    print(series(wire, parse("SELECT g FROM generate_series(1, 5) g"), bind("p"), execute("p", 2), execute("p", 2), execute("p", 2),
                 execute("p", 2), SYNC))
    print(series(wire, parse("SELECT 1", "a"), parse("SELECT 2", "a"), SYNC))
    print(series(wire, bind("", "a"), execute(), close("S", "a"), parse("SELECT 3", "a"), bind("", "a"), execute(), SYNC))
    print(series(wire, parse("SELECT nope"), bind(), close("S", "a"), SYNC), series(wire, bind("", "a"), execute(), SYNC))
    print(series(wire, execute("nowhere"), SYNC), series(wire, bind("", "nowhere"), SYNC))
    print(series(wire, parse(""), bind(), describe("P"), execute(), SYNC))
    print(series(wire, parse("SELECT 1; SELECT 2"), SYNC))
    print(series(wire, SYNC, SYNC, SYNC, ready=3))
    # What comes after a mistake is skipped up to Sync, what comes after Sync is not.
    print(series(wire, parse("SELECT 1/0"), bind(), execute(), parse("SELECT 1"), bind(), execute(), SYNC,
                 parse("SELECT 'on'"), bind(), execute(), SYNC, ready=2))
    wire.stream.sendall(parse("SELECT 'flushed'") + bind() + execute() + FLUSH)
    print([wire.hear()[0] for _ in range(4)], series(wire, SYNC))
    # BEGIN and COMMIT in the middle of a series.
    print(series(wire, parse("BEGIN"), bind(), execute(), parse("CREATE TABLE w_marks (id int)"), bind(), execute(),
                 parse("INSERT INTO w_marks VALUES ($1)", "ins"), bind("", "ins", ["1"]), execute(), bind("", "ins", ["2"]), execute(),
                 parse("COMMIT"), bind(), execute(), SYNC))
    # A whole change in one series, its portal closed in the same breath; and one that stops at its row limit.
    print(series(wire, parse("UPDATE w_marks SET id = id + 10 RETURNING id"), bind(), execute("", 1), close("P"), SYNC))
    print(series(wire, parse("SELECT id FROM w_marks ORDER BY id"), bind(), execute(), SYNC))
    print(series(wire, parse("BEGIN"), bind(), execute(), SYNC), series(wire, parse("SELECT twice(g) FROM generate_series(1, 5) g", "f"),
          bind("f", "f"), execute("f", 2), SYNC), series(wire, execute("f", 2), SYNC), wire.query("SELECT 'between'"), wire.query("COMMIT"))
    # A series of many megabytes in both directions at once.
    big = parse("SELECT repeat('r', 2000000)")
    wire.stream.settimeout(120)
    print(hashlib.sha256(series(wire, *[big + bind() + execute() for _ in range(8)], parse("SELECT length($1::text)"),
                                bind("", "", ["v" * 20_000_000]), execute(), SYNC).encode()).hexdigest())
    print(wire.query("DROP TABLE w_marks"))


def functions(wire):
    oid = next(values(next(body for tag, body in ask(wire, "SELECT 'pg_catalog.int4abs(int4)'::regprocedure::oid") if tag == "D")))
    def call(number, *given):
        body = struct.pack("!IHH", number, 0, len(given)) + b"".join(struct.pack("!I", len(it)) + it for it in given)
        wire.say("F", body + struct.pack("!H", 0))
        said = [(tag, body[4:].decode()) if tag == "V" else fields(body)["M"] if tag == "E" else tag for tag, body in wire.until("Z")]
        return said
    print(call(int(oid), b"-7"))
    print(call(int(oid), b"-7"), wire.query("SELECT 1"))


def ask(wire, text):
    wire.say("Q", text.encode() + b"\0")
    return list(wire.until("Z"))


def copies(wire):
    print(wire.query("CREATE TABLE w_heap (id int, body text)"))
    data = b"".join(message("d", f"{n}\tx\n".encode()) for n in range(2000))
    # COPY in the extended protocol, with a Sync inside that means nothing there.
    print(series(wire, parse("COPY w_heap FROM STDIN"), bind(), execute(), SYNC, data, message("c"), SYNC))
    print(series(wire, parse("COPY w_heap FROM STDIN"), bind(), execute(), SYNC, message("d", b"what\tx\n") * 50000, message("c"), SYNC))
    print(series(wire, parse("COPY w_heap FROM STDIN"), bind(), execute(), message("f", b"changed my mind\0"), SYNC))
    print(series(wire, parse("COPY (SELECT id FROM w_heap WHERE id < 2) TO STDOUT"), bind(), execute(), SYNC))
    print(wire.query("SELECT count(*) FROM w_heap"))
    wire.stream.sendall(message("Q", b"COPY w_heap FROM STDIN; SELECT count(*) FROM w_heap\0") + data + message("c"))
    print(wire.answers())
    wire.stream.sendall(message("Q", b"COPY w_heap FROM STDIN\0") + message("f", b"no\0"))
    print(wire.answers(), wire.query("DROP TABLE w_heap"))


def cancels(wire):
    def cancel(process, key):
        with dial() as stream:
            stream.sendall(struct.pack("!III", 12 + len(key), 80877102, process) + key)
            stream.recv(1)
    wire.say("Q", b"SELECT pg_sleep(1.5)\0")
    time.sleep(0.3)
    cancel(wire.process, bytes(len(wire.key)))
    cancel(wire.process ^ 1, wire.key)
    print(wire.answers())
    wire.say("Q", b"SELECT pg_sleep(60)\0")
    time.sleep(0.3)
    cancel(wire.process, wire.key)
    print(wire.answers())


def startups():
    for version in (0x30000, 0x30002):
        wire = Wire(version)
        print(hex(version), len(wire.key), wire.negotiated, wire.query("SELECT 1"))
        cancels(wire)
    for version, more in ((0x30003, ()), (0x3270F, ()), (0x30000, [("_pq_.nothing", "1")]), (0x30002, [("_pq_.nothing", "1")])):
        wire = Wire(version, more)
        print(hex(version), len(wire.key), wire.negotiated, wire.query("SELECT 1"))
    for version, more in ((0x20000, ()), (0x40000, ()), (0x30000, [("replication", "database")]), (0x30000, [("options", "-c role=postgres")])):
        try:
            Wire(version, more)
            print("PASSED")
        except (RuntimeError, ConnectionError) as error:
            print("refused", str(error)[:60])
    with dial() as stream:
        stream.sendall(struct.pack("!II", 8, 80877104))
        print("GSSENC", stream.recv(1))
        stream.sendall(start(0x30000, [("user", "nobody"), ("database", DATABASE)]))
        print(stream.recv(1))
    for bytes_ in (b"\0\0\0\4", b"\xff" * 8, struct.pack("!II", 9000, 0x30000) + b"x" * 100, b"GET / HTTP/1.1\r\n\r\n"):
        with dial() as stream:
            try:
                stream.sendall(bytes_)
                stream.shutdown(socket.SHUT_WR)
                print("left", len(stream.recv(100)) < 100)
            except OSError:
                print("left", True)


def refused():
    """More rows than pass, in every way that a series could hide them from COMMIT."""
    wire = Wire()
    change = parse("DELETE FROM kept RETURNING id", "change")
    for name, messages in (
        ("at once", (bind("", "change"), execute(), SYNC)),
        ("up to a row limit", (bind("", "change"), execute("", 1), SYNC)),
        ("closed in the same series", (bind("p", "change"), execute("p"), close("P", "p"), SYNC)),
        ("bound anew in the same series", (bind("", "change"), execute(), parse("SELECT 1"), bind(), execute(), SYNC)),
        ("closed at its row limit", (bind("p", "change"), execute("p", 1), close("P", "p"), SYNC)),
        ("inside of a transaction", (parse("BEGIN"), bind(), execute(), bind("p", "change"), execute("p", 1), close("P", "p"),
                                     parse("COMMIT"), bind(), execute(), SYNC)),
    ):
        # Its name is free again after a refusal, as after any mistake before it was made.
        said = series(wire, close("S", "change"), change, *messages)
        print(name, "E:42501" in said, "C:COMMIT" not in said or "PASSED", said[-3:], wire.query("SELECT count(*) FROM kept").split()[1])
    print(series(wire, parse("DROP TABLE kept"), bind(), execute(), SYNC), wire.query("ROLLBACK"))


if sys.argv[1:] == ["startups"]:
    startups()
elif sys.argv[1:] == ["refused"]:
    refused()
else:
    wire = Wire()
    for part in (portals, copies, cancels, functions):
        print("==", part.__name__)
        part(wire)
