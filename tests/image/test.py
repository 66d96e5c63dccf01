#!/usr/bin/env python3
"""The image: what is in it, and that it works in a root that holds nothing else.

    tests/image/test.py BINARY        BINARY: built statically; see .ci/image

Builds the image with buildah, looks at its layers, unpacks them, and runs the program there: chroot, user 65532, no /proc, no
/dev, names from /etc/hosts, against an identity provider and an upstream of this script. Needs root (chroot), buildah, and
tests/python/requirements.txt. Says loudly when it must skip. Loopback only; ends everything that it started.
"""

import datetime
import hashlib
import http.client
import http.server
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
OCI = ROOT / "target/image/oci"
USER = 65532
# What is shipped (.ci/dist) is 3 to 4 MB smaller than the release build that CI tries it with: 15.6 and 19.1 MB, certificates
# included, linked statically.
MOST_BYTES = {"dist": 17_000_000, "release": 20_000_000}


def skip(why):
    print(f"SKIPPED: image: {why}", file=sys.stderr)
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(0)


if os.geteuid() != 0:
    skip("chroot needs root")
if not shutil.which("buildah"):
    skip("no buildah here")
try:
    import jwt
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
except ImportError as error:
    skip(f"no Python here that has tests/python/requirements.txt ({error})")


class Server(http.server.ThreadingHTTPServer):
    """Answers by `paths`, and remembers what arrived."""

    daemon_threads = True

    def __init__(self, paths):
        self.seen = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.seen.append((self.path, dict(self.headers.items())))
                body = paths.get(self.path)
                body = body if isinstance(body, bytes) else json.dumps(body or {"error": "not here"}).encode()
                self.send_response(200 if self.path in paths else 404)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]


def get(port, path, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def blob(digest):
    algorithm, _, name = digest.partition(":")
    data = (OCI / "blobs" / algorithm / name).read_bytes()
    assert hashlib.new(algorithm, data).hexdigest() == name, f"{digest} holds something else"
    return data


def manifest():
    (index,) = json.loads((OCI / "index.json").read_text())["manifests"]
    return json.loads(blob(index["digest"]))


def layers(image):
    for layer in image["layers"]:
        # Opened from the file: tarfile finds out how it is packed.
        algorithm, _, name = layer["digest"].partition(":")
        yield tarfile.open(OCI / "blobs" / algorithm / name)


class Root:
    """The image's root, with what a pod would mount into it, and programs that run there."""

    def __init__(self):
        self.path = Path(tempfile.mkdtemp(prefix="countersign-root."))
        for layer in layers(manifest()):
            layer.extractall(self.path)
        self.config = self.path / "etc/countersign"
        self.config.mkdir()
        self.config.chmod(0o755)
        self.path.chmod(0o755)
        self.running = []

    def start(self, *arguments, **options):
        # Everything of this process's environment stays outside.
        child = subprocess.Popen(
            ["/usr/local/bin/countersign", *arguments],
            preexec_fn=self.enter, env={}, close_fds=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options,
        )
        self.running.append(child)
        return child

    def enter(self):
        os.chroot(self.path)
        os.chdir("/")
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)

    def run(self, *arguments):
        child = self.start(*arguments)
        output, _ = child.communicate(timeout=60)
        return child.returncode, output

    def close(self):
        for child in self.running:
            if child.poll() is None:
                child.kill()
                child.wait()
        shutil.rmtree(self.path)


def test_the_image_is_small_and_holds_nothing_else():
    image = manifest()
    files, directories = {}, set()
    for layer in layers(image):
        for member in layer.getmembers():
            name = member.name.strip("./")
            assert member.uid == member.gid == 0, f"{name} belongs to {member.uid}"
            if member.isdir():
                directories.add(name)
            else:
                assert member.isreg(), f"{name} is no plain file"
                assert not member.mode & 0o7222, f"{name}: mode {member.mode:o}"
                files[name] = member.size
    assert set(files) == {"usr/local/bin/countersign", "etc/ssl/certs/ca-certificates.crt"}, files
    assert directories <= {"usr", "usr/local", "usr/local/bin", "etc", "etc/ssl", "etc/ssl/certs"}, directories
    size = sum(files.values())
    assert size < MOST_BYTES.get(BINARY.parent.name, MOST_BYTES["dist"]), f"{size} bytes"
    print(f"   {size / 1e6:.1f} MB, {sum(layer['size'] for layer in image['layers']) / 1e6:.1f} MB compressed")


def test_the_image_says_who_it_is_and_runs_as_nobody():
    config = json.loads(blob(manifest()["config"]["digest"]))["config"]
    assert config["User"] == f"{USER}:{USER}", config
    assert config["Entrypoint"] == ["/usr/local/bin/countersign"] and config["Cmd"] == ["run"], config
    labels = config["Labels"]
    version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    assert labels["org.opencontainers.image.version"] == version, labels
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0", labels
    for name in ("title", "description", "revision"):
        assert labels[f"org.opencontainers.image.{name}"], name
    assert not [one for one in config.get("Env", []) if not one.startswith("PATH=")], config


def test_the_same_binary_gives_the_same_image():
    before = manifest()
    build(REVISION)
    assert manifest() == before


def test_the_build_context_holds_what_cargo_needs_and_no_more():
    with tempfile.TemporaryDirectory() as place:
        containerfile = Path(place, "Dockerfile")
        containerfile.write_text("FROM scratch\nCOPY . /\n")
        storage = ["--storage-driver", "vfs", "--root", f"{place}/root", "--runroot", f"{place}/run"]
        command = ["buildah", *storage, "bud", "--isolation", "chroot", "--quiet", "--file", containerfile, "--tag", "context", "."]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["buildah", *storage, "push", "--quiet", "context", f"dir:{place}/dir"], check=True, stdout=subprocess.DEVNULL)
        (layer,) = json.loads(Path(place, "dir/manifest.json").read_text())["layers"]
        context = Path(place, "context")
        with tarfile.open(Path(place, "dir", layer["digest"].partition(":")[2])) as archive:
            archive.extractall(context)
        assert {one.name for one in context.iterdir()} == {"Cargo.toml", "Cargo.lock", ".cargo", ".ci", "src", "benches", "tests", "target"}
        assert [one.name for one in context.glob(".ci/*")] == ["dist"]
        assert {one.name for one in context.glob("target/**/*") if one.is_file()} <= {"countersign", "ca-certificates.crt"}
        # Fails where a target of the manifest is missing.
        subprocess.run(["cargo", "metadata", "--locked", "--no-deps", "--format-version=1"], cwd=context, check=True, stdout=subprocess.DEVNULL)


CONFIG = """
workers: 1
inbound: {{listen: 127.0.0.1:{inbound}, upstream: "http://upstream.test:{upstream}"}}
admin: {{listen: 127.0.0.1:{admin}}}
issuers:
  - name: idp
    issuer: http://idp.test:{idp}
    jwks: {{discover: true, allow_http: true, cache: /var/lib/countersign/idp.json}}
    audiences: [api]
  - name: secure
    issuer: https://idp.test:{closed}
    jwks: {{discover: true}}
    audiences: [api]
identity:
  headers: {{x-auth-subject: subject}}
  assertion: {{audience: api, key: {{file: assertion.pem}}, bind: [method, target, authority]}}
callers: {{known: {{issuer: idp}}}}
routes:
  - {{path: /public, allow: anyone}}
  - {{path: /**, allow: known}}
log: {{access: none}}
drain: {{delay: 0s, deadline: 5s}}
"""


def test_it_serves_in_an_empty_root_as_65532():
    key = ec.generate_private_key(ec.SECP256R1())
    jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())) | {"kid": "one", "alg": "ES256", "use": "sig"}
    documents = {"/jwks": {"keys": [jwk]}}
    idp = Server(documents)
    issuer = f"http://idp.test:{idp.port}"
    documents["/.well-known/openid-configuration"] = {"issuer": issuer, "jwks_uri": f"{issuer}/jwks"}
    upstream = Server({"/public": {"hello": "anyone"}, "/orders": {"hello": "known"}})
    inbound, admin, closed = free_ports(3)
    root = Root()
    try:
        (root.path / "etc/hosts").write_text("127.0.0.1 idp.test upstream.test\n")
        state = root.path / "var/lib/countersign"
        state.mkdir(parents=True)
        os.chown(state, USER, USER)
        shutil.copy(ROOT / "tests/fixtures/keys/es256-1.pem", root.config / "assertion.pem")
        os.chown(root.config / "assertion.pem", USER, USER)
        text = CONFIG.format(inbound=inbound, admin=admin, idp=idp.port, upstream=upstream.port, closed=closed)
        (root.config / "countersign.yaml").write_text(text)

        status, said = root.run("check", "/etc/countersign/countersign.yaml")
        assert status == 0, said
        program = root.start("run")          # as the image says, with its default configuration file
        events = Lines(program.stdout)
        events.wait_for("proxy.started")
        fetched = events.wait_for("jwks.refreshed")
        assert fetched["issuer"] == "idp" and fetched["keys"] == 1, fetched
        # The CA certificates are found: it gets as far as connecting, over TLS, to where nothing listens.
        refused = events.wait_for("jwks.refresh_failed")
        assert refused["issuer"] == "secure" and "refused" in refused["error"], refused

        now = int(time.time())
        claims = {"iss": issuer, "sub": "alice", "aud": "api", "iat": now, "exp": now + 300}
        token = jwt.encode(claims, key, "ES256", {"kid": "one"})
        assert get(inbound, "/public")[0] == 200
        assert get(inbound, "/orders")[0] == 401
        other = jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256", {"kid": "one"})
        assert get(inbound, "/orders", {"authorization": f"Bearer {other}"})[0] == 401
        assert [path for path, _ in upstream.seen] == ["/public"], upstream.seen
        status, body = get(inbound, "/orders", {"authorization": f"Bearer {token}", "x-auth-subject": "root"})
        assert (status, json.loads(body)) == (200, {"hello": "known"}), (status, body)
        path, headers = upstream.seen[-1]
        assert path == "/orders" and headers["x-auth-subject"] == "alice", headers
        assert headers["x-auth-assertion"].count(".") == 2 and "authorization" not in {name.lower() for name in headers}, headers
        # What the kubelet and the chart's test run inside.
        assert root.run("probe", f"http://127.0.0.1:{admin}/readyz") == (0, "")
        assert root.run("probe", f"http://127.0.0.1:{inbound}/orders")[0] == 1
        # It holds no more of its environment than the image gives it, and drains when told.
        program.send_signal(signal.SIGTERM)
        assert program.wait(30) == 0
        events.wait_for("drain.finished")
        assert (state / "idp.json").stat().st_uid == USER
        left = {str(path.relative_to(root.path)) for path in root.path.rglob("*") if path.is_file()}
        assert left == {
            "usr/local/bin/countersign", "etc/ssl/certs/ca-certificates.crt", "etc/hosts", "var/lib/countersign/idp.json",
            "etc/countersign/countersign.yaml", "etc/countersign/assertion.pem",
        }, left
    finally:
        root.close()
        idp.shutdown()
        upstream.shutdown()


def test_the_charts_own_test_fetches_readiness_through_a_proxy():
    """What `helm test` of charts/countersign runs, with the Service's name in /etc/hosts."""
    template = (ROOT / "charts/countersign-sidecar/templates/_test.tpl").read_text()
    config = re.search(r'define "countersign-sidecar.probeConfig" -\}\}\n(.*?)\{\{- end', template, re.S)[1]
    ready = Server({"/readyz": b"ready\n"})
    down, client, admin = free_ports(3)
    root = Root()
    try:
        (root.path / "etc/hosts").write_text("127.0.0.1 service.test\n")
        for port, wanted in ((ready.port, 0), (down, 1)):
            text = config.replace("{{ . }}", f"service.test:{port}").replace("127.0.0.1:8080", f"127.0.0.1:{client}")
            assert text.count(str(client)) == 1, text
            (root.config / "probe.yaml").write_text(text + f"admin: {{listen: 127.0.0.1:{admin}}}\n")
            program = root.start("run", "--config", "/etc/countersign/probe.yaml")
            Lines(program.stdout).wait_for("proxy.started")
            assert root.run("probe", f"http://127.0.0.1:{admin}/livez")[0] == 0
            status, said = root.run("probe", "--timeout", "10", f"http://127.0.0.1:{client}/readyz")
            assert status == wanted, said
            assert root.run("probe", f"http://127.0.0.1:{client}/metrics")[0] == 1
            program.kill()
            program.wait()
    finally:
        root.close()
        ready.shutdown()


VOLUMES = """
workers: 1
inbound:
  listen: 127.0.0.1:{inbound}
  upstream: http://127.0.0.1:{upstream}
  tls: {{certificate: {{file: /run/countersign/tls/tls.crt}}, key: {{file: /run/countersign/tls/tls.key}}}}
admin: {{listen: 127.0.0.1:{admin}}}
issuers:
  - {{name: pinned, issuer: "https://id.test", jwks: {{file: jwks.json}}, audiences: [api]}}
identity:
  assertion: {{audience: api, key: {{file: /run/countersign/assertion/assertion.pem}}}}
callers: {{known: {{issuer: pinned}}}}
routes:
  - {{path: /orders, allow: known}}
  - {{path: /extra, allow: {extra}}}
log: {{access: none}}
"""


class Volume:
    """A ConfigMap or Secret as the kubelet mounts it: files lead through `..data`, which is swapped in one step."""

    def __init__(self, path):
        self.path = path
        self.count = 0
        path.mkdir(parents=True, exist_ok=True)

    def publish(self, files):
        self.count += 1
        folder = self.path / f"..{self.count}"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
            if self.count == 1:
                (self.path / name).symlink_to(f"..data/{name}")
        (self.path / "..data_tmp").symlink_to(folder.name)
        (self.path / "..data_tmp").rename(self.path / "..data")


class Keys:
    """What a rotation brings: a key of the issuer, a certificate, a signing key."""

    def __init__(self, serial):
        self.kid = f"key-{serial}"
        self.issuer, self.signing, tls = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "api.test")])
        now = datetime.datetime.now(datetime.timezone.utc)
        self.certificate = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(tls.public_key())
            .serial_number(serial).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).sign(tls, hashes.SHA256())
        )
        self.tls = {"tls.crt": self.certificate.public_bytes(serialization.Encoding.PEM), "tls.key": pem(tls)}

    def jwks(self):
        jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.issuer.public_key()))
        return json.dumps({"keys": [jwk | {"kid": self.kid, "alg": "ES256", "use": "sig"}]})

    def token(self):
        now = int(time.time())
        return jwt.encode({"iss": "https://id.test", "sub": "alice", "aud": "api", "iat": now, "exp": now + 300}, self.issuer, "ES256", {"kid": self.kid})


def pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def tls_get(port, path, token=None):
    """Status, and the certificate that was shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    try:
        connection.request("GET", path, headers={"authorization": f"Bearer {token}"} if token else {})
        certificate = connection.sock.getpeercert(True)
        return connection.getresponse().status, certificate
    finally:
        connection.close()


def eventually(what, holds):
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, f"not within a minute: {what}"
        time.sleep(0.05)


def test_the_kubelets_swaps_are_seen_all_at_once_without_a_restart():
    upstream = Server({"/orders": {}, "/extra": {}})
    inbound, admin = free_ports(2)
    old, new = Keys(1), Keys(2)
    root = Root()
    try:
        config = Volume(root.config)
        tls, assertion = (Volume(root.path / "run/countersign" / name) for name in ("tls", "assertion"))

        def text(extra):
            return VOLUMES.format(inbound=inbound, admin=admin, upstream=upstream.port, extra=extra)

        config.publish({"countersign.yaml": text("nobody"), "jwks.json": old.jwks()})
        tls.publish(old.tls)
        assertion.publish({"assertion.pem": pem(old.signing)})
        program = root.start("run")
        events = Lines(program.stdout)
        events.wait_for("proxy.started")

        def seen(keys):
            """Whether all of it is of these keys."""
            status, certificate = tls_get(inbound, "/orders", keys.token())
            if status != 200 or certificate != keys.certificate.public_bytes(serialization.Encoding.DER):
                return False
            statement = upstream.seen[-1][1]["x-auth-assertion"]
            try:
                return jwt.decode(statement, keys.signing.public_key(), ["ES256"], audience="api")["sub"] == "alice"
            except jwt.InvalidSignatureError:
                return False

        assert seen(old) and not seen(new)
        assert tls_get(inbound, "/extra")[0] == 403
        config.publish({"countersign.yaml": text("anyone"), "jwks.json": new.jwks()})
        tls.publish(new.tls)
        assertion.publish({"assertion.pem": pem(new.signing)})
        eventually("keys, certificate and signing key are new", lambda: seen(new))
        eventually("the policy is new", lambda: tls_get(inbound, "/extra")[0] == 200)
        assert tls_get(inbound, "/orders", old.token())[0] == 401, "a withdrawn key still opens"
        # One that is wrong changes nothing.
        config.publish({"countersign.yaml": text("anyone").replace("upstream:", "upstrem:"), "jwks.json": new.jwks()})
        events.wait_for("config.rejected")
        assert seen(new) and program.poll() is None
    finally:
        root.close()
        upstream.shutdown()


class Lines:
    """The log of a program, read by another thread."""

    def __init__(self, stream):
        self.lines = []
        self.news = threading.Condition()
        threading.Thread(target=self.read, args=(stream,), daemon=True).start()

    def read(self, stream):
        for line in stream:
            with self.news:
                self.lines.append(line)
                self.news.notify_all()

    def wait_for(self, event):
        def found():
            parsed = (json.loads(line) for line in self.lines if line.startswith("{"))
            return next((one for one in parsed if one.get("event") == event), None)

        with self.news:
            assert self.news.wait_for(found, 60), f"no {event} in {''.join(self.lines)}"
            return found()


def build(revision):
    subprocess.run([ROOT / ".ci/image", BINARY, revision], check=True)


BINARY = Path(sys.argv[1]).resolve()
REVISION = "0123456789abcdef0123456789abcdef01234567"
print("   building")
build(REVISION)
passed = failed = 0
for name, test in list(globals().items()):
    if name.startswith("test_"):
        try:
            test()
        except Exception:
            traceback.print_exc()
            failed += 1
            print(f"not ok {name}")
        else:
            passed += 1
            print(f"ok {name}")
print(f"{passed} passed, {failed} failed, 0 skipped")
sys.exit(failed != 0)
