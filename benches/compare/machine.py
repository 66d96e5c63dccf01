"""What Linux says of processes and cores, and a small HTTP client to look whether a proxy is up."""

import os
import re
import signal
import socket
import ssl
import subprocess

TICKS = os.sysconf("SC_CLK_TCK")


def stat(pid):
    """The fields of /proc/PID/stat after the name."""
    with open(f"/proc/{pid}/stat") as file:
        text = file.read()
    return text[text.rindex(")") + 2 :].split()


def family(pid):
    """A process and all that descend from it."""
    children = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            children.setdefault(int(stat(entry)[1]), []).append(int(entry))
        except OSError:
            pass
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def cpu_seconds(pids):
    """User and system time of these processes, ended threads included."""
    user = system = 0
    for pid in pids:
        try:
            fields = stat(pid)
            user, system = user + int(fields[11]), system + int(fields[12])
        except OSError:
            pass
    return user / TICKS, system / TICKS


def threads(pids, name):
    """CPU seconds of the threads with names that begin so."""
    found = {}
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/comm") as file:
                if file.read().startswith(name):
                    fields = stat(f"{pid}/task/{task}")
                    found[task] = (int(fields[11]) + int(fields[12])) / TICKS
    return found


def resident_kib(pids):
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Rss:"))
        except OSError:
            pass
    return total


def core(number):
    """Ticks of one core: busy, stolen, all."""
    with open("/proc/stat") as file:
        for line in file:
            if line.startswith(f"cpu{number} "):
                ticks = [int(word) for word in line.split()[1:9]]
                return {"busy": sum(ticks) - ticks[3] - ticks[4] - ticks[7], "stolen": ticks[7], "all": sum(ticks)}
    raise SystemExit(f"there is no core {number}")


class Process:
    """A program on one core, in a session of its own."""

    def __init__(self, command, cpu, log, env=None, cwd=None, nice=None):
        self.log = open(log, "wb")
        prefix = ["nice", "-n", nice] if nice else []
        self.process = subprocess.Popen(
            prefix + ["taskset", "-c", cpu] + command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})}, cwd=cwd, start_new_session=True,
        )
        raise_group(self.process.pid, nice)

    def pids(self):
        return family(self.process.pid)

    def stop(self):
        if self.process.poll() is not None:
            return
        own = self.pids()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in own[1:]:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.log.close()


def raise_group(pid, nice):
    """Where the system weighs sessions (autogroup), the niceness of a process says nothing against other sessions."""
    if nice:
        try:
            with open(f"/proc/{pid}/autogroup", "w") as file:
                file.write(nice)
        except OSError:
            pass


def is_free(port):
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return True
    return False


def tls():
    """Takes any certificate: it is ours."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def get(port, path="/", authorization=None, connection=None, tls=None):
    """Status and body of one request; the connection is closed unless it was given."""
    own = connection or socket.create_connection(("127.0.0.1", port), 3)
    own.settimeout(5)
    own = tls.wrap_socket(own) if tls else own
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    head += f"Authorization: {authorization}\r\n" if authorization else ""
    head += "" if connection else "Connection: close\r\n"
    own.sendall(head.encode() + b"\r\n")
    received = b""
    while b"\r\n\r\n" not in received:
        piece = own.recv(65536)
        if not piece:
            raise OSError("no answer")
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: *(\d+)", head)
    while length and len(body) < int(length.group(1)):
        piece = own.recv(65536)
        if not piece:
            raise OSError("half an answer")
        body += piece
    if not connection:
        own.close()
    return int(head.split()[1]), body
