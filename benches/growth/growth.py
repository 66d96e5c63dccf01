#!/usr/bin/env python3
"""Measures what becomes of Countersign's cost as policies, issuers, tokens and connections grow.

    benches/growth/run                          everything: makes keys, builds the program, measures, renders
    growth.py --parts reload,burst              some of it (environment: COUNTERSIGN, the program; COMPARE_WORK, a folder)

README.md has the method. Python's standard library only.
"""

import argparse
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "compare"))
import compare  # noqa: E402
import machine  # noqa: E402
import world  # noqa: E402

WORK, PORT, PROXY_CORE, LOAD_CORE = compare.WORK, compare.PORT, compare.PROXY_CORE, compare.LOAD_CORE
RUN, OURS = compare.RUN, os.environ.get("COUNTERSIGN", "")

# What grows, in what steps, and the world of a size.
GROWTH = {
    "routes": ("routes", [10, 100, 1000, 10000], lambda size: {"routes": size}),
    "issuers": ("issuers, each with routes of its own", [1, 10, 100], lambda size: {"routes": 100, "issuers": size, "tokens": 100}),
    "issuers-shared": ("issuers, all of whose callers each route allows", [1, 10, 100],
                       lambda size: {"routes": 100, "issuers": size, "tokens": 100, "shared": True}),
    "issuers-first": ("issuers, a cache too small: every token verified anew", [1, 10, 100],
                      lambda size: {"routes": 100, "issuers": size, "tokens": 100, "cache": "256KiB"}),
    "tokens": ("tokens in turn", [1, 100, 1000, 10000], lambda size: {"tokens": size}),
}
CONNECTIONS, COUNTED, BURST = 8, 2000, 4096
ROUTES, PACE, PAUSE = 10000, 2000, 0.25
# The control thread, and the threads on which it has work done.
THREADS = {"control": "control", "compiling": "tokio-rt-worker"}
LATENCIES = ["p50", "p99", "p999", "lat_max"]


class Proxy:
    """The program with one configuration, running."""

    def __init__(self, name, own, number, wrapper=(), nice=None, start=30):
        self.name, self.world = name, own
        self.port, self.admin = PORT + 1 + 2 * number, PORT + 2 + 2 * number
        self.config, self.log = RUN / f"{name}.yaml", RUN / f"{name}.log"
        for port in (self.port, self.admin):
            if not machine.is_free(port):
                raise SystemExit(f"port {port} is taken (COMPARE_PORT)")
        self.write()
        self.process = machine.Process([*wrapper, OURS, "run", "--config", str(self.config)], PROXY_CORE, self.log, cwd=RUN, nice=nice)
        self.pid = self.process.process.pid
        # Before other sessions; among its own threads they are as they are.
        machine.raise_group(self.pid, compare.NICE)
        end = time.monotonic() + start
        while not self.answers():
            if self.process.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{name} does not answer: {self.log.read_text(errors='replace')[-1500:]}")
            time.sleep(0.01)

    def write(self, more=""):
        new = self.config.with_suffix(".new")
        new.write_text(self.world.text(self.port, self.admin, PORT, more))
        new.rename(self.config)

    def answers(self):
        path, token = self.world.turns[0]
        try:
            return machine.get(self.port, path, f"Bearer {token}")[0] == 200
        except OSError:
            return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stop()

    def metric(self, name):
        text = machine.get(self.admin, "/metrics")[1].decode()
        return sum(float(line.split()[-1]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))

    def memory(self):
        """KiB resident, and of these anonymous."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return tuple(int(re.search(rf"(?m)^{name}: +(\d+) kB", text).group(1)) for name in ("Rss", "Anonymous"))

    def threads(self, name):
        """Milliseconds that threads of this name have run, to the nanosecond."""
        own = [task for task in Path(f"/proc/{self.pid}/task").iterdir() if (task / "comm").read_text().strip() == name]
        return sum(int((task / "schedstat").read_text().split()[0]) for task in own) / 1e6

    def ask(self, turns):
        """Asks over a few connections: all are written to, then all are read from, so that what wakes what is always the same."""
        connections = [socket.create_connection(("127.0.0.1", self.port), 5) for _ in range(CONNECTIONS)]
        for start in range(0, len(turns), CONNECTIONS):
            batch = list(zip(connections, turns[start : start + CONNECTIONS]))
            for connection, (path, token) in batch:
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
            for connection, (path, _) in batch:
                status = answer(connection)
                if status != 200:
                    raise SystemExit(f"{self.name} answers {status} to {path}")
        for connection in connections:
            connection.close()


def answer(connection):
    connection.settimeout(60)
    received = b""
    while not (end := received.find(b"\r\n\r\n")) + 1:
        received += connection.recv(65536) or exit_with("a connection was closed")
    length = int(re.search(rb"(?i)content-length: *(\d+)", received).group(1))
    while len(received) < end + 4 + length:
        received += connection.recv(65536) or exit_with("half an answer")
    return int(received.split()[1])


def exit_with(message):
    raise SystemExit(message)


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def counted(name, own):
    """Instructions per request, of all threads of the process in user space: valgrind counts, from the second round of turns on."""
    out = RUN / f"{name}.callgrind"
    for old in RUN.glob(f"{name}.callgrind*"):
        old.unlink()
    with Proxy(name, own, 40, ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"], start=300) as proxy:
        turns = own.turns
        proxy.ask([turns[turn % len(turns)] for turn in range(len(turns) + 200)])
        control(proxy, "--zero")
        # Whole rounds of turns.
        number = max(COUNTED // len(turns), 1) * len(turns)
        proxy.ask([turns[turn % len(turns)] for turn in range(number)])
        control(proxy, "--dump")
        total = int(re.search(r"(?m)^(?:totals|summary): (\d+)", Path(f"{out}.1").read_text()).group(1))
    for old in RUN.glob(f"{name}.callgrind*"):
        old.unlink()
    return total / number


def control(proxy, what):
    done = subprocess.run(["callgrind_control", what, str(proxy.pid)], capture_output=True, text=True, timeout=120)
    if done.returncode != 0 or "OK" not in done.stdout:
        raise SystemExit(done.stdout + done.stderr)


def load(proxy, seconds, pace=0):
    """wrk with all turns, on the core of the load."""
    files = {"PATHS": RUN / f"{proxy.name}.paths", "TOKENS": RUN / f"{proxy.name}.tokens"}
    for file, column in zip(files.values(), zip(*proxy.world.turns)):
        file.write_text("\n".join(column) + "\n")
    env = {**os.environ, **{name: str(file) for name, file in files.items()}, "NTOK": str(len(proxy.world.turns)),
           "PACE_MS": str(round(1000 * 32 / pace) if pace else 0)}
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", "-c32", f"-d{seconds}s", "--timeout=5s",
               "-s", str(HERE.parent / "compare" / "rotate.lua"), f"http://127.0.0.1:{proxy.port}/"]
    said = subprocess.run(command, env=env, capture_output=True, text=True, timeout=seconds + 60)
    match = re.search(r"WRKJSON (\{.*\})", said.stdout) or exit_with(said.stdout + said.stderr)
    told = json.loads(match.group(1))
    wrong = sum(value for name, value in told.items() if name.startswith("err_"))
    if wrong:
        raise SystemExit(f"{proxy.name}: {wrong} wrong answers: {told}")
    return told


def timed(proxy, seconds, pace=0):
    """What wrk tells, the CPU µs per request, and whether something else used the core."""
    machine_before, before = machine.core(PROXY_CORE), sum(machine.cpu_seconds([proxy.pid]))
    told = load(proxy, seconds, pace)
    machine_after, cpu = machine.core(PROXY_CORE), sum(machine.cpu_seconds([proxy.pid])) - before
    core = {key: machine_after[key] - machine_before[key] for key in machine_after}
    other = (core["busy"] / machine.TICKS - cpu) / (told["duration_us"] / 1e6)
    return {**told, "us": cpu * 1e6 / told["requests"], "noisy": other > 0.08 or core["stolen"] > 0.02 * core["all"]}


def quietly(measure, *arguments):
    """Once more where something else used the core."""
    for _ in range(2):
        compare.wait_quiet(10)
        told = measure(*arguments)
        if not told["noisy"]:
            break
    return told


def requests(arguments, keys, before):
    """Cost per request as routes, issuers and tokens grow; `before`: what is known of it already."""
    growths = [name for name in GROWTH if name in arguments.growths.split(",")]
    found = {**before, **{name: {"title": GROWTH[name][0], "sizes": [{"size": size, "runs": []} for size in GROWTH[name][1]]}
                          for name in growths if name not in before}}
    running = []
    try:
        for name in growths:
            for row in found[name]["sizes"]:
                own = world.World(keys, **GROWTH[name][2](row["size"]))
                if "instructions" in arguments.parts:
                    row["instructions"] = counted(f"{name}-{row['size']}", own)
                    say(f"{name:15} {row['size']:6} {row['instructions']:10,.0f} instructions")
                if "cpu" in arguments.parts:
                    proxy = Proxy(f"{name}-{row['size']}", own, len(running))
                    row["runs"] = []
                    running.append((proxy, row))
                    proxy.ask(own.turns)
        for turn in range(arguments.rounds if running else 0):
            for proxy, row in running[turn % len(running) :] + running[: turn % len(running)]:
                told = quietly(timed, proxy, arguments.seconds)
                row["runs"].append({"us": told["us"], "noisy": told["noisy"]})
                say(f"round {turn + 1}/{arguments.rounds} {proxy.name:22} {told['us']:6.1f} µs{' (noisy)' if told['noisy'] else ''}")
        for proxy, row in running:
            hits, misses = (proxy.metric(f'countersign_token_cache_lookups_total{{[^}}]*"{kind}"[^}}]*}}') for kind in ("hit", "miss"))
            row["hits"] = hits / max(1, hits + misses)
    finally:
        for proxy, _ in running:
            proxy.process.stop()
    return found


class Reloads:
    """Loads a changed policy again and again until it is told to end."""

    def __init__(self, proxy):
        self.proxy, self.over, self.taken = proxy, threading.Event(), []
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def run(self):
        while not self.over.is_set():
            more = f"  - path: /added{len(self.taken) % 2}\n    allow: nobody\n"
            self.proxy.write(more)
            before = [self.proxy.threads(name) for name in THREADS.values()]
            with open(self.proxy.log) as log:
                log.seek(0, os.SEEK_END)
                began = time.monotonic()
                os.kill(self.proxy.pid, signal.SIGHUP)
                while '"event":"config.reloaded"' not in log.readline():
                    if time.monotonic() - began > 20:
                        raise SystemExit("no reload")
                    time.sleep(0.0005)
                wall = (time.monotonic() - began) * 1e3
            # What was replaced is freed in the meantime.
            self.over.wait(PAUSE)
            after = [self.proxy.threads(name) for name in THREADS.values()]
            self.taken.append({"wall_ms": wall, **{f"{name}_ms": now - then for name, then, now in zip(THREADS, before, after)}})


def reload(arguments, keys):
    """A large policy, loaded again and again while requests come at a steady pace; worker and control thread share a core."""
    found = {"routes": ROUTES, "pace": PACE, "pause_ms": PAUSE * 1e3, "reloads": [], "with": [], "without": []}
    with Proxy("reload", world.World(keys, routes=ROUTES), 0) as proxy:
        found["kib"] = (proxy.config.stat().st_size) / 1024
        proxy.ask(proxy.world.turns)
        load(proxy, 1, PACE)
        for turn in range(2 * arguments.rounds):
            kind = ("without", "with")[turn % 2]
            told = quietly(reloading if turn % 2 else timed, proxy, arguments.seconds + 3, PACE)
            found["reloads"] += told.pop("reloads", [])
            found[kind].append(told)
            noisy = " (noisy)" if told["noisy"] else ""
            say(f"reload {turn + 1}/{2 * arguments.rounds} {kind:7}", *(f"{key} {told[key] / 1e3:.2f} ms" for key in LATENCIES), noisy)
        failed = proxy.metric('countersign_config_reloads_total{[^}]*"failed"[^}]*}')
        if failed or not found["reloads"]:
            raise SystemExit(f"{failed} reloads failed, {len(found['reloads'])} did not")
    return found


def reloading(proxy, seconds, pace):
    with Reloads(proxy) as reloads:
        told = timed(proxy, seconds, pace)
    return {**told, "reloads": reloads.taken}


def burst(arguments, keys):
    """As many connections as are allowed at once, a request on each; then they are closed."""
    own = world.World(keys)
    found = {"connections": BURST, "bursts": []}
    with Proxy("burst", own, 0) as proxy:
        proxy.ask([own.turns[0]] * 800)
        settled(proxy)
        for _ in range(arguments.rounds):
            row = {"before": proxy.memory()}
            path, token = own.turns[0]
            request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
            connections = [socket.create_connection(("127.0.0.1", proxy.port), 5) for _ in range(BURST)]
            for connection in connections:
                connection.sendall(request)
            if {answer(connection) for connection in connections} != {200}:
                raise SystemExit("not every connection of the burst was served")
            row["peak"] = proxy.memory()
            for connection in connections:
                connection.close()
            settled(proxy)
            row["closed"] = proxy.memory()
            # Upstream connections that are idle are kept for four seconds, and looked at four times a second.
            time.sleep(5)
            row["after"] = proxy.memory()
            time.sleep(10)
            row["later"] = proxy.memory()
            found["bursts"].append(row)
            say("burst", *(f"{name} {resident / 1024:.1f} ({anonymous / 1024:.1f})" for name, (resident, anonymous) in row.items()), "MiB")
    return found


def settled(proxy):
    """Waits until no connection of a caller is left."""
    while proxy.metric("countersign_open_connections") > 0:
        time.sleep(0.05)


def about():
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    version = subprocess.run([OURS, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
    return {"date": time.strftime("%F"), "cpu": model.group(1) if model else "?", "kernel": os.uname().release, "version": version}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="instructions,cpu,reload,burst", help="which (all)")
    parser.add_argument("--growths", default=",".join(GROWTH), help="what grows, for instructions and cpu (all)")
    parser.add_argument("--keep", action="store_true", help="leave in growth.json what is not measured")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement")
    arguments = parser.parse_args()
    arguments.parts = arguments.parts.split(",")
    # What was started is stopped then as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    RUN.mkdir(parents=True, exist_ok=True)
    out = WORK / "growth.json"
    keys = world.Keys(compare.KEYS)
    with open(WORK / "lock", "w") as lock:
        # Two runs would share ports and cores.
        fcntl.flock(lock, fcntl.LOCK_EX)
        # What waits and polls here must not do so on the core of the program.
        os.sched_setaffinity(0, {int(LOAD_CORE)})
        machine.raise_group("self", compare.NICE)
        results = json.loads(out.read_text()) if arguments.keep and out.exists() else {}
        results |= {"about": about(), "rounds": arguments.rounds, "seconds": arguments.seconds}
        backends = compare.prepare()
        try:
            if {"instructions", "cpu"} & set(arguments.parts):
                results["requests"] = requests(arguments, keys, results.get("requests", {}))
            for name, part in (("reload", reload), ("burst", burst)):
                if name in arguments.parts:
                    results[name] = part(arguments, keys)
        finally:
            for backend in backends:
                backend.stop()
    out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
