"""What stands around the proxy under test: an upstream that counts bytes, an edge before the key endpoint, the proxy itself."""

import http.client
import json
import pathlib
import re
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from idp import ask


class Upstream:
    """Plain sockets: every byte that arrives is counted; the last head is kept."""

    def __init__(self):
        self.bytes = 0
        self.heads = []
        self.lock = threading.Lock()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.socket.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        buffer = b""
        while piece := connection.recv(65536):
            with self.lock:
                self.bytes += len(piece)
            buffer += piece
            while b"\r\n\r\n" in buffer:
                head, rest = buffer.split(b"\r\n\r\n", 1)
                length = re.search(rb"(?im)^content-length: *(\d+)", head)
                length = int(length.group(1)) if length else 0
                if len(rest) < length:
                    break
                buffer = rest[length:]
                with self.lock:
                    self.heads.append(head.decode("latin-1"))
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")

    def header(self, name):
        """Of the last request; None when it is absent."""
        for line in self.heads[-1].split("\r\n")[1:]:
            if line.lower().startswith(name + ":"):
                return line.split(":", 1)[1].strip()
        return None


class Document:
    """JSON at a URL of its own; counts who fetches it, and says how long it keeps."""

    def __init__(self, value):
        self.value, self.fetches, self.max_age = value, 0, None
        document = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                document.fetches += 1
                status, body = document.answer()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                if document.max_age is not None:
                    self.send_header("cache-control", f"max-age={document.max_age}")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}/certs"

    def answer(self):
        return 200, json.dumps(self.value).encode()


class Edge(Document):
    """Stands before Keycloak's key endpoint."""

    def answer(self):
        status, _, body = ask("GET", self.value)
        return status, body


def replaced(text, pattern, by):
    text, times = re.subn(pattern, lambda _: by, text, flags=re.M)
    if times != 1:
        raise RuntimeError(f"the example: {pattern!r} occurs {times} times")
    return text


def configuration(example, upstream, jwks, issuers, keys="", more=""):
    """The example configuration of the repository, with addresses of this machine."""
    text = pathlib.Path(example).read_text()
    text = replaced(text, r"^  listen: 0\.0\.0\.0:8080$", "  listen: 127.0.0.1:@PORT@")
    text = replaced(text, r"^  upstream: http://127\.0\.0\.1:8000$", f"  upstream: {upstream}")
    text = replaced(text, r"^admin: \{listen: [^}]*\}$", "admin: {listen: 127.0.0.1:@ADMIN@}" + more)
    text = replaced(text, r"^probes:\n(  .*\n)+", "")
    text = replaced(text, r"^    issuer: \[[^\]]*\]$", f"    issuer: [{', '.join(issuers)}]")
    return replaced(text, r"^      url: http://keycloak-service\S*$", f"      url: {jwks}{keys}")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Proxy:
    """The program itself, as a process of its own."""

    def __init__(self, binary, directory, name, text):
        file = pathlib.Path(directory, f"{name}.yaml")
        self.port, self.admin = free_port(), free_port()
        file.write_text(text.replace("@PORT@", str(self.port)).replace("@ADMIN@", str(self.admin)))
        self.log = pathlib.Path(directory, f"{name}.log").open("w+")
        self.process = subprocess.Popen(
            [binary, "run", "--config", str(file)], stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT
        )
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise

    def text(self):
        return pathlib.Path(self.log.name).read_text()

    def wait(self):
        """Until it answers on both ports."""
        for _ in range(200):
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                if ask("GET", f"http://127.0.0.1:{self.admin}/livez")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise RuntimeError(f"the proxy did not start:\n{self.text()}")

    def ask(self, method, path, token=None, body=None, headers=None):
        """Status, headers (a mapping of lower-case names), body."""
        headers = dict(headers or {})
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            try:
                connection.request(method, path, body, headers)
            except (BrokenPipeError, ConnectionResetError):
                pass  # Refused before all of the body was sent: the answer is there.
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def ready(self):
        return ask("GET", f"http://127.0.0.1:{self.admin}/readyz")[0] == 200

    def reasons(self):
        records = []
        for line in self.text().splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                continue
        return [one.get("reason") for one in records if one.get("type") == "request"]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode
