#!/usr/bin/env python3
"""Measures a hop in front of PostgreSQL with pgbench, interleaved: direct, through PgBouncer (session and transaction),
and through Killick with judgement, decision and record on. Prints medians over the rounds with their spread, the CPU of
each process for one query or transaction, ratios against PgBouncer, and the most memory while gigabytes stream through.

Everything runs on loopback in a temporary directory and is stopped at the end.
"""
import argparse, glob, json, os, pathlib, re, shutil, socket, subprocess, sys, tempfile, threading, time

HZ = os.sysconf("SC_CLK_TCK")
ROOT = os.geteuid() == 0
AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if ROOT else []
# A prefix such as "chrt --rr 10" keeps other load on a shared machine out of the figures; it holds for all that is measured.
RT = os.environ.get("RT", "").split()
USER, PASSWORD, DATABASE = "bench", "bench-password-1", "bench"
BOUNCERS = ("pgbouncer session", "pgbouncer transaction")
OURS = "killick"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, seconds=30):
    end = time.time() + seconds
    while not what():
        if time.time() > end:
            sys.exit("bench: a server did not start")
        time.sleep(0.05)


def listening(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def run(command, **more):
    out = subprocess.run([str(it) for it in command], capture_output=True, text=True, **more)
    if out.returncode:
        sys.exit(f"bench: {' '.join(map(str, command))}: {out.stdout}{out.stderr}")
    return out.stdout


def stat_of(pid):
    return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()


def cpu_seconds(pid, with_children=False):
    """Returns the CPU that a process used; with its children, those that ended included."""
    try:
        fields = stat_of(pid)
    except OSError:
        return 0.0
    ticks = int(fields[11]) + int(fields[12])
    if with_children:
        ticks += int(fields[13]) + int(fields[14])
        for child in filter(str.isdigit, os.listdir("/proc")):
            try:
                of = stat_of(child)
                if int(of[1]) == pid:
                    ticks += int(of[11]) + int(of[12])
            except OSError:
                pass
    return ticks / HZ


def hop_seconds(pid):
    """Returns the CPU that a process used, all its threads counted; finer than the system's ticks."""
    if not pid:
        return 0.0
    try:
        return sum(int(open(it).read().split()[0]) for it in glob.glob(f"/proc/{pid}/task/*/schedstat")) / 1e9
    except (OSError, IndexError):
        return cpu_seconds(pid)


def rss_kib(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


class Stage:
    """A server, what stands in front of it, and where they are reached."""

    def __init__(self, work, args):
        self.work, self.args, self.processes, self.targets = work, args, [], {}
        self.log = open(work / "log", "w")

    def start(self, command, **more):
        process = subprocess.Popen([*RT, *map(str, command)], stdout=self.log, stderr=self.log, **more)
        self.processes.append(process)
        return process

    def postgres(self):
        found = os.environ.get("KILLICK_PG_BIN") or sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda it: int(it.split("/")[-2]))[-1]
        self.pg_bin, data, self.pg_port = pathlib.Path(found), self.work / "pg/data", free_port()
        (self.work / "pg").mkdir()
        (self.work / "pg/password").write_text(PASSWORD)
        if ROOT:
            # Its own user must reach it.
            os.chmod(self.work, 0o755)
            run(["chown", "-R", "postgres", self.work / "pg"])
        run([*AS_POSTGRES, self.pg_bin / "initdb", "-A", "scram-sha-256", "-U", USER, "-E", "UTF8", "--no-locale", "-D", data, f"--pwfile={self.work}/pg/password"], cwd="/")
        settings = {"listen_addresses": "127.0.0.1", "port": self.pg_port, "unix_socket_directories": "", "max_connections": 200,
                    "shared_buffers": "256MB", "max_wal_size": "4GB", "checkpoint_timeout": "30min", "autovacuum": "off"}
        self.postmaster = self.start([*AS_POSTGRES, self.pg_bin / "postgres", "-D", data, *(f"-c{k}={v}" for k, v in settings.items())], cwd="/")
        wait_for(lambda: listening(self.pg_port))
        time.sleep(0.5)
        self.sql("postgres", f"CREATE DATABASE {DATABASE}")
        run(["pgbench", "-q", "-i", "-s", self.args.scale, "-h", "127.0.0.1", "-p", self.pg_port, "-U", USER, DATABASE], env=environment(PASSWORD))
        self.targets["direct"] = dict(port=self.pg_port, user=USER, password=PASSWORD, database=DATABASE, pid=None)

    def sql(self, database, text):
        return run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", self.pg_port, "-U", USER, "-c", text, database], env=environment(PASSWORD))

    def pgbouncer(self, program):
        version = tuple(map(int, re.search(r"(\d+)\.(\d+)", run([program, "--version"])).groups()))
        self.bouncer_version = ".".join(map(str, version))
        (self.work / "bouncer").mkdir()
        # Since 1.21 it keeps prepared statements apart in transaction mode.
        prepared = "max_prepared_statements = 200\n" if version >= (1, 21) else ""
        for name in BOUNCERS:
            port, mode = free_port(), name.split()[1]
            users, ini = self.work / "bouncer/users", self.work / f"bouncer/{mode}.ini"
            users.write_text(f'"{USER}" "{PASSWORD}"\n')
            ini.write_text(f"""[databases]
{DATABASE} = host=127.0.0.1 port={self.pg_port} dbname={DATABASE} user={USER} password={PASSWORD}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
auth_file = {users}
pool_mode = {mode}
default_pool_size = 100
max_client_conn = 300
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
log_stats = 0
{prepared}""")
            process = self.start([*AS_POSTGRES, program, ini], cwd="/")
            self.targets[name] = dict(port=port, user=USER, password=PASSWORD, database=DATABASE, pid=process.pid)
            wait_for(lambda: listening(port))

    def killick(self, binary):
        home, ready, passphrase = self.work / "home", self.work / "ready", "bench bench bench bench bench"
        call = lambda *args, stdin=None: run([binary, "--home", home, *args], input=stdin)
        call("init", "--passphrase-stdin", stdin=passphrase)
        config = home / "killick.toml"
        text = re.sub(r"^listen = .*$", 'listen = "127.0.0.1:0"', config.read_text(), flags=re.M)
        # One agent's quota is a limit of its own; what is measured here is the way of a statement.
        text = text.replace("# agent_entries_per_minute = 60000", "agent_entries_per_minute = 4000000000")
        config.write_text(text)
        daemon = self.start([binary, "--home", home, "up", "--ready-file", ready])
        wait_for(ready.exists)
        url = f"postgres://{USER}@127.0.0.1:{self.pg_port}/{DATABASE}?sslmode=disable"
        call("agent", "add", "bench", "--passphrase-stdin", stdin=passphrase)
        call("database", "add", DATABASE, "--url", url.replace("@", f":{PASSWORD}@"), "--environment", "staging", "--private-address", "--passphrase-stdin", stdin=passphrase)
        opened = json.loads(call("session", "open", "--agent", "bench", "--environment", "staging", "--task", "bench", "--json"))
        user, password, port = re.match(r"postgres(?:ql)?://([^:]+):([^@]+)@[^:]+:(\d+)/", opened["environment"]["DATABASE_URL"]).groups()
        self.targets[OURS] = dict(port=int(port), user=user, password=password, database=DATABASE, pid=daemon.pid)
        self.verify = lambda: call("log", "verify")
        self.approve = lambda request: call("request", "approve", request, "--passphrase-stdin", stdin=passphrase)

    def stop(self):
        for process in reversed(self.processes):
            process.terminate() if process is not getattr(self, "postmaster", None) else process.send_signal(2)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def environment(password):
    return {**os.environ, "PGPASSWORD": password, "PGSSLMODE": "disable", "PGCONNECT_TIMEOUT": "20"}


def pgbench(stage, target, script, mode, clients, seconds):
    """Runs pgbench once and returns what it measured, or why it failed."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as logs:
        command = [*RT, "pgbench", "-n", "-h", "127.0.0.1", "-p", target["port"], "-U", target["user"], "-M", mode, "-c", clients, "-j", 1, "-T", seconds,
                   "-l", f"--log-prefix={logs}/l", "-b", {"select": "select-only", "tpcb": "tpcb-like"}[script], target["database"]]
        before = [hop_seconds(target["pid"]), cpu_seconds(stage.postmaster.pid, True)]
        out = subprocess.run([str(it) for it in command], capture_output=True, text=True, env=environment(target["password"]))
        # The server's processes count when they have ended.
        time.sleep(0.1)
        after = [hop_seconds(target["pid"]), cpu_seconds(stage.postmaster.pid, True)]
        tps, n = re.search(r"tps = ([\d.]+)", out.stdout), re.search(r"actually processed: (\d+)", out.stdout)
        if out.returncode or not tps or not int(n[1]):
            return dict(failed=(out.stderr or out.stdout).strip().splitlines()[-1:])
        latencies = sorted(int(line.split()[2]) for name in glob.glob(f"{logs}/l*") for line in open(name))
    n = int(n[1])
    at = lambda share: latencies[int((len(latencies) - 1) * share)]
    hop, server = ((b - a) * 1e6 / n for a, b in zip(before, after))
    return dict(tps=float(tps[1]), p50=at(0.5), p99=at(0.99), cpu=hop if target["pid"] else None, server=server)


def median(values):
    ordered = sorted(it for it in values if it is not None)
    return ordered[len(ordered) // 2] if ordered else None


def table(stage, script, mode, clients, rows, rounds, seconds):
    print(f"\n== {script}, {mode}, {clients} client(s): {rounds} rounds of {seconds} s, interleaved; microseconds")
    print(f"{'':24}{'TPS':>8}{'min':>8}{'max':>8}{'p50':>8}{'min':>8}{'max':>8}{'added':>8}{'p99':>8}{'hop cpu':>9}{'pg cpu':>9}")
    of = lambda name, key: median([row[key] for row in rows[name] if "tps" in row])
    show = lambda value: f"{value:8.0f}" if value is not None else f"{'-':>8}"
    for name in stage.targets:
        good = [row for row in rows[name] if "tps" in row]
        if not good:
            print(f"{name:24}failed: {' '.join(rows[name][-1].get('failed', []))}")
            continue
        all_of = lambda key: [row[key] for row in good]
        added = of(name, "p50") - of("direct", "p50") if name != "direct" else None
        cpu = of(name, "cpu")
        print(f"{name:24}{show(of(name, 'tps'))}{show(min(all_of('tps')))}{show(max(all_of('tps')))}{show(of(name, 'p50'))}{show(min(all_of('p50')))}{show(max(all_of('p50')))}"
              f"{show(added)}{show(of(name, 'p99'))}{f'{cpu:9.1f}' if cpu is not None else f'{chr(45):>9}'}{of(name, 'server'):9.1f}", flush=True)
    for bouncer in BOUNCERS:
        pairs = [(ours, theirs) for ours, theirs in zip(rows.get(OURS, []), rows.get(bouncer, [])) if "tps" in ours and "tps" in theirs]
        if pairs and any("tps" in row for row in rows["direct"]):
            direct = of("direct", "p50")
            added = (of(OURS, "p50") - direct) / max(of(bouncer, "p50") - direct, 1)
            each = sorted(ours["tps"] / theirs["tps"] for ours, theirs in pairs)
            cpu = of(OURS, "cpu") / max(of(bouncer, "cpu"), 0.1)
            print(f"  killick to {bouncer}: added p50 {added:.2f}, TPS {median(each):.2f} [{each[0]:.2f} to {each[-1]:.2f}], CPU {cpu:.2f}", flush=True)


def judgements(stage, folder):
    """Prints what one statement's judgement takes, by the catalogue of this server."""
    queries = run([folder / "judge_lines", "queries"]).splitlines()
    answers = stage.work / "answers"
    answers.write_text("".join(stage.sql(DATABASE, query).replace("\n", " ").strip() + "\n" for query in queries))
    print("\n== one statement: read, read and judged anew, recalled by its class")
    print(run([*RT, folder / "judge_times", answers]), flush=True)


def streams(stage, gigabytes):
    """Streams rows out of and into the server, through Killick, and watches its memory."""
    target, rows = stage.targets[OURS], max(int(gigabytes * 1e9 / 1000), 1)
    stage.sql(DATABASE, "CREATE TABLE IF NOT EXISTS bench_sink (line text)")
    address = ["-h", "127.0.0.1", "-p", str(target["port"]), "-U", target["user"]]
    print(f"\n== {gigabytes:g} GB streamed through Killick; MiB of memory (RSS)")
    print(f"{'':24}{'before':>8}{'most':>8}{'after':>8}{'GB':>8}{'MB/s':>8}{'cpu s/GB':>10}")
    wide = f"SELECT repeat('x', 990) FROM generate_series(1, {rows})"
    for name, command, feed in [
        ("SELECT, by a cursor", ["psql", "-XqAt", "-v", "FETCH_COUNT=1000", "-c", wide], None),
        ("COPY TO STDOUT", ["psql", "-XqAt", "-c", f"COPY ({wide}) TO STDOUT"], None),
        # The server reads every row and keeps none, so that no disk fills.
        ("COPY FROM STDIN", ["psql", "-XqAt", "-c", "COPY bench_sink FROM STDIN WHERE false"], rows),
    ]:
        most, over = [rss_kib(target["pid"])], threading.Event()

        def watch():
            while not over.wait(0.05):
                most.append(rss_kib(target["pid"]))

        watcher, began, cpu = threading.Thread(target=watch), time.time(), hop_seconds(target["pid"])
        watcher.start()
        client = subprocess.Popen([*RT, *command, *address, target["database"]], stdin=subprocess.PIPE if feed else subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, env=environment(target["password"]))
        if feed:
            chunk = (b"x" * 999 + b"\n") * 1000
            try:
                for _ in range(max(feed // 1000, 1)):
                    client.stdin.write(chunk)
                client.stdin.close()
            except BrokenPipeError:
                pass
        client.wait()
        error = client.stderr.read().decode().strip()
        took, used = time.time() - began, hop_seconds(target["pid"]) - cpu
        over.set(), watcher.join()
        if client.returncode or error:
            print(f"{name:24}failed: {error}")
            continue
        mib = lambda kib: f"{kib / 1024:8.1f}"
        print(f"{name:24}{mib(most[0])}{mib(max(most))}{mib(rss_kib(target['pid']))}{rows / 1e6:8.1f}{rows / 1e3 / took:8.0f}{used / (rows / 1e6):10.2f}", flush=True)


def captures(stage, rounds):
    """Times a DELETE of 200,000 of 400,000 rows: bare, and through Killick with an approval, where every row is kept first."""
    rows, table = 400_000, "bench_capture"
    made = (f"DROP TABLE IF EXISTS {table}; CREATE TABLE {table} (id int PRIMARY KEY, note text);"
            f"INSERT INTO {table} SELECT i, repeat('x', 100) FROM generate_series(1, {rows}) i;")
    text = f"DELETE FROM {table} WHERE id <= {rows // 2}"

    def delete(target):
        began = time.time()
        out = subprocess.run([*RT, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(target["port"]), "-U", target["user"], "-c", text, target["database"]],
                             capture_output=True, text=True, env=environment(target["password"]))
        return time.time() - began, out.stderr

    took = {"direct": [], OURS: [], "held": []}
    for _ in range(rounds):
        for name in ("direct", OURS):
            stage.sql(DATABASE, made)
            stage.sql(DATABASE, f"VACUUM ANALYZE {table}")
            stage.sql(DATABASE, "CHECKPOINT")
            # The session looks at what there is.
            time.sleep(1.1)
            seconds, error = delete(stage.targets[name])
            if name == OURS:
                took["held"].append(seconds)
                request = re.search(r"request (r-\w+)", error)
                if not request:
                    sys.exit(f"bench: the deletion was not held: {error}")
                stage.approve(request[1])
                seconds, error = delete(stage.targets[name])
            left = stage.sql(DATABASE, f"SELECT count(*) FROM {table}").strip()
            if error or left != str(rows // 2):
                sys.exit(f"bench: {left} rows are left: {error}")
            took[name].append(seconds)
    print(f"\n== DELETE of {rows // 2:,} of {rows:,} rows, {rounds} rounds, interleaved; milliseconds")
    for name, says in [("direct", "bare"), ("held", "through Killick, held: counted and rolled back"), (OURS, "through Killick, approved: every row kept first")]:
        ms = [it * 1000 for it in took[name]]
        print(f"{says:52}{median(ms):8.0f}   [{min(ms):.0f} to {max(ms):.0f}]")
    ratios = sorted(ours / bare for ours, bare in zip(took[OURS], took["direct"]))
    print(f"  kept to bare {median(ratios):.2f} [{ratios[0]:.2f} to {ratios[-1]:.2f}]", flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--killick", required=True, help="the binary")
    p.add_argument("--judge", help="folder of the examples judge_lines and judge_times")
    p.add_argument("--pgbouncer", default=os.environ.get("PGBOUNCER") or shutil.which("pgbouncer"))
    p.add_argument("--rounds", type=int, default=5), p.add_argument("--seconds", type=int, default=2)
    p.add_argument("--clients", default="1,8,64"), p.add_argument("--modes", default="simple,extended,prepared")
    p.add_argument("--scripts", default="select,tpcb"), p.add_argument("--scale", type=int, default=20)
    p.add_argument("--captures", type=int, default=5, help="rounds of the large deletion")
    p.add_argument("--stream-gb", type=float, default=1), p.add_argument("--keep", help="write every run to this file")
    p.add_argument("--only", default="", help="targets, by name, with commas")
    a = p.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="killick-bench-"))
    stage, kept = Stage(work, a), []
    try:
        stage.postgres()
        if a.pgbouncer:
            stage.pgbouncer(a.pgbouncer)
        stage.killick(pathlib.Path(a.killick).resolve())
        if a.only:
            stage.targets = {name: it for name, it in stage.targets.items() if name in ("direct", *a.only.split(","))}
        server = run([stage.pg_bin / "postgres", "--version"]).split()[2]
        print(f"PostgreSQL {server}, PgBouncer {getattr(stage, 'bouncer_version', '-')}, scale {a.scale}, {os.cpu_count()} cores, loopback, no TLS")
        if a.judge:
            judgements(stage, pathlib.Path(a.judge).resolve())
        names = list(stage.targets)
        for script in filter(None, a.scripts.split(",")):
            for mode in a.modes.split(","):
                for clients in map(int, a.clients.split(",")):
                    rows = {name: [] for name in names}
                    for round_ in range(a.rounds):
                        turn = round_ % len(names)
                        for name in names[turn:] + names[:turn]:
                            # What the run before left to do is not this one's.
                            time.sleep(0.3)
                            rows[name].append(pgbench(stage, stage.targets[name], script, mode, clients, a.seconds))
                    table(stage, script, mode, clients, rows, a.rounds, a.seconds)
                    kept.append(dict(script=script, mode=mode, clients=clients, rows=rows))
        if a.captures > 0:
            captures(stage, a.captures)
        if a.stream_gb > 0:
            streams(stage, a.stream_gb)
        if a.keep:
            pathlib.Path(a.keep).write_text(json.dumps(kept))
    finally:
        stage.stop()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
