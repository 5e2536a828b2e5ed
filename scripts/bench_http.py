#!/usr/bin/env python3
"""Measures one hop, interleaved: direct, through haproxy (TLS to TLS), through Killick with judgement, decision and record on.

Prints medians over the rounds with the spread of the rate, and the CPU that the hop itself used for each request.
"""
import argparse, json, os, pathlib, shutil, socket, subprocess, sys, tempfile, time

HZ = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / HZ


def wait_for(what, seconds=20):
    end = time.time() + seconds
    while not what():
        if time.time() > end:
            sys.exit("bench: a server did not start")
        time.sleep(0.05)


def listening(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def killick(bin_dir, home, *args, stdin=None):
    out = subprocess.run([str(bin_dir / "killick"), "--home", str(home), *args], input=stdin, capture_output=True, text=True)
    if out.returncode:
        sys.exit(f"bench: killick {' '.join(args)}: {out.stdout}{out.stderr}")
    return out.stdout


def start_upstream(work, port):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", work / "key.pem",
                    "-out", work / "cert.pem", "-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"], check=True, capture_output=True)
    (work / "both.pem").write_text((work / "cert.pem").read_text() + (work / "key.pem").read_text())
    (work / "www").mkdir()
    (work / "www/k1").write_bytes(b"k" * 1024)
    temp = "".join(f"{kind}_temp_path {work}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (work / "nginx.conf").write_text(f"""worker_processes 1; daemon off; master_process off; pid {work}/nginx.pid; error_log {work}/nginx.err;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 100000000; keepalive_timeout 3600s; {temp}
 server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {work}/cert.pem; ssl_certificate_key {work}/key.pem; root {work}/www; }} }}
""")
    return subprocess.Popen(["nginx", "-c", str(work / "nginx.conf"), "-p", str(work)], stderr=subprocess.DEVNULL)


def start_haproxy(work, port, upstream):
    (work / "ha.cfg").write_text(f"""global
  nbthread 1
  maxconn 2000
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen tls
  bind 127.0.0.1:{port} ssl crt {work}/both.pem
  server s 127.0.0.1:{upstream} ssl verify required ca-file {work}/cert.pem sni str(localhost)
""")
    return subprocess.Popen(["haproxy", "-f", str(work / "ha.cfg")], stderr=subprocess.DEVNULL)


def start_killick(bin_dir, work, upstream):
    home, ready = work / "home", work / "ready"
    passphrase = "bench bench bench bench bench"
    killick(bin_dir, home, "init", "--passphrase-stdin", stdin=passphrase)
    config = home / "killick.toml"
    text = config.read_text()
    import re
    text = re.sub(r'^listen = .*$', f'listen = "127.0.0.1:0"\nextra_roots = ["{work}/cert.pem"]', text, flags=re.M)
    # One agent's quota is a limit of its own; what is measured here is the way of a call.
    text = text.replace("# agent_entries_per_minute = 60000", "agent_entries_per_minute = 4000000000")
    config.write_text(text)
    log = open(work / "killick.log", "w")
    daemon = subprocess.Popen([str(bin_dir / "killick"), "--home", str(home), "up", "--ready-file", str(ready)], stdout=log, stderr=log)
    wait_for(ready.exists)
    proved = ("--passphrase-stdin",)
    killick(bin_dir, home, "upstream", "add", "bench", "--host", "localhost", "--port", str(upstream), "--dial", f"127.0.0.1:{upstream}", "--private-address",
            *proved, stdin=passphrase)
    killick(bin_dir, home, "agent", "add", "bench", *proved, stdin=passphrase)
    opened = json.loads(killick(bin_dir, home, "session", "open", "--agent", "bench", "--environment", "staging", "--task", "bench", "--json"))
    return daemon, ready.read_text().strip(), opened["token"], home


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", required=True), p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=1.5), p.add_argument("--connections", default="1,16")
    a = p.parse_args()
    bin_dir = pathlib.Path(a.bin).resolve()
    work = pathlib.Path(tempfile.mkdtemp(prefix="killick-bench-"))
    running = []
    try:
        up, ha = free_port(), free_port()
        running.append(start_upstream(work, up))
        running.append(start_haproxy(work, ha, up))
        wait_for(lambda: listening(up) and listening(ha))
        daemon, gateway, token, home = start_killick(bin_dir, work, up)
        running.append(daemon)
        load = lambda port, ca, *more: [str(bin_dir / "httpload"), "--target", f"localhost:{port}", "--path", "/k1", "--ca", str(ca), *more]
        targets = {
            "direct TLS": (load(up, work / "cert.pem"), None),
            "haproxy TLS to TLS": (load(ha, work / "cert.pem"), running[1].pid),
            "killick": (load(up, home / "ca-bundle.pem", "--proxy", gateway, "--session", token), daemon.pid),
        }
        for connections in map(int, a.connections.split(",")):
            results = {}
            names = list(targets)
            for round_ in range(a.rounds):
                for name in names[round_ % 3:] + names[:round_ % 3]:
                    command, pid = targets[name]
                    before = cpu_seconds(pid) if pid else 0
                    out = subprocess.run([*command, "--connections", str(connections), "--seconds", str(a.seconds)], capture_output=True, text=True)
                    if out.returncode:
                        sys.exit(f"bench: {name}: {out.stderr}")
                    row = json.loads(out.stdout)
                    # The warm-up's requests are not counted, so neither is its share of the CPU.
                    share = a.seconds / (a.seconds + 0.3)
                    row["cpu"] = (cpu_seconds(pid) - before) * share * 1e6 / row["n"] if pid else float("nan")
                    results.setdefault(name, []).append(row)
            median = lambda name, key: sorted(row[key] for row in results[name])[a.rounds // 2]
            print(f"{connections} connection(s), {a.rounds} rounds of {a.seconds} s, interleaved; microseconds")
            print(f"{'':20}{'req/s':>9}{'min':>9}{'max':>9}{'p50':>9}{'added':>9}{'p99':>9}{'cpu/req':>9}{'first':>9}")
            for name in names:
                rates = [row["rps"] for row in results[name]]
                added = median(name, "p50") - median("direct TLS", "p50")
                print(f"{name:20}{median(name, 'rps'):9.0f}{min(rates):9.0f}{max(rates):9.0f}{median(name, 'p50'):9.0f}{added:9.0f}"
                      f"{median(name, 'p99'):9.0f}{median(name, 'cpu'):9.0f}{median(name, 'first_p50'):9.0f}")
            ratio = (median("killick", "p50") - median("direct TLS", "p50")) / max(median("haproxy TLS to TLS", "p50") - median("direct TLS", "p50"), 1e-9)
            print(f"added p50, killick to haproxy: {ratio:.2f}\n", flush=True)
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(work, ignore_errors=True)


main()
