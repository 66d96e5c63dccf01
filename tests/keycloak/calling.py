"""Rows A1, A2, A4, A7, A8: tokens that we obtain ourselves from a real Keycloak, and two proxies one behind the other.

The client is SmartEM_Agent of the realm import; what its administrator would click, the admin API does here.
"""

import base64
import json
import pathlib
import re
import secrets
import subprocess
import time

from idp import ask, encode
from parts import Document, Upstream, replaced

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures/keys"
KID = "agent-1"
DRAIN = "\ndrain: {delay: 0s, deadline: 5s}"
KEYS = "\n      cooldown: 3s\n      refresh_floor: 1s"


def public_half(pem):
    """Of a P-256 key in PKCS #8: its last 64 octets are x and y."""
    text = re.search(r"-----BEGIN PRIVATE KEY-----(.*?)-----END", pem.read_text(), re.S).group(1)
    der = base64.b64decode(text)
    return {"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": KID,
            "x": encode(der[-64:-32]), "y": encode(der[-32:])}


class Calling:
    def __init__(self, run, root):
        self.run, self.keycloak, self.check = run, run.keycloak, run.check
        self.folder = pathlib.Path(run.directory)
        self.inbound, self.outbound = root / "config/smartem.yaml", root / "config/smartem-agent.yaml"
        self.discover = f"discover: {run.issuer}"
        self.upstream = Upstream()
        self.secret_file = self.folder / "agent.secret"
        self.secret_file.write_text(f"{run.secret}\n")
        (self.folder / "wrong.secret").write_text(secrets.token_urlsafe(24))
        for name in ["es256-1.pem", "rsa-1.pem"]:
            (self.folder / name).write_text((FIXTURES / name).read_text())
        self.basic = "{client_secret_basic: {file: agent.secret}}"
        self.seen = [run.secret]

    # The bed

    @staticmethod
    def signed(file="es256-1.pem", more=f", kid: {KID}"):
        return f"{{private_key_jwt: {{key: {{file: {file}}}{more}}}}}"

    def configuration(self, upstream, way, endpoint=None, more=""):
        """The example of the agent, with addresses of this machine."""
        text = self.outbound.read_text()
        text = replaced(text, r"^    listen: 127\.0\.0\.1:9100$", "    listen: 127.0.0.1:@PORT@")
        text = replaced(text, r"^    upstream: \S+$", f"    upstream: {upstream}")
        text = replaced(text, r"^    token_endpoint: \{.*\}$",
                        f"    token_endpoint: {{{endpoint or self.discover}}}\n    allow_http: true\n    timeout: 30s")
        text = replaced(text, r"^    client_authentication: \{.*\}$", f"    client_authentication: {way}{more}")
        return replaced(text, r"^admin: \{listen: [^}]*\}$", f"admin: {{listen: 127.0.0.1:@ADMIN@}}{DRAIN}")

    def token(self, way, endpoint=None, more="", reveal=False):
        """What `countersign token` says, and whether a token came."""
        file = self.folder / "token.yaml"
        text = self.configuration("http://127.0.0.1:8000", way, endpoint, more)
        file.write_text(text.replace("@PORT@", "0").replace("@ADMIN@", "0"))
        command = [self.run.binary, "token", "--config", str(file), "--credential", "agent", "--output", "json"]
        output = subprocess.run([*command, *(["--reveal"] if reveal else [])], capture_output=True, text=True, timeout=90)
        try:
            told = json.loads(output.stdout)
        except ValueError:
            raise RuntimeError(f"countersign token: {output.stdout} {output.stderr}") from None
        if self.run.secret in output.stdout + output.stderr:
            raise RuntimeError("countersign token shows the secret")
        return output.returncode == 0, told

    def obtained(self, row, what, *arguments, **more):
        came, told = self.token(*arguments, **more)
        claims = told.get("claims", {})
        good = came and told["kind"] == "jwt" and "access_token" not in told
        good = good and told["expires_in_seconds"] == 300 and claims["azp"] == "SmartEM_Agent"
        self.check(row, f"{what}: a token of 300 seconds", good, told)
        return claims

    def refused(self, row, what, error, hint, *arguments, **more):
        came, told = self.token(*arguments, **more)
        good = not came and told["oauth_error"] == error and hint in (told["hint"] or "") and "claims" not in told
        self.check(row, f"{what}: {error}, with a hint", good, told)

    def client(self, authenticator=None, **attributes):
        """Changes SmartEM_Agent; `_` in names of attributes stands for their dot."""
        client = self.keycloak.client("SmartEM_Agent")
        client["clientAuthenticatorType"] = authenticator or client["clientAuthenticatorType"]
        client["attributes"] |= {name.replace("_", "."): value for name, value in attributes.items()}
        self.keycloak.admin("PUT", f"/clients/{client['id']}", client)

    def service(self, name, inbound="", issuer=""):
        """An inbound proxy before the plain backend, with these lines more."""
        names = ["https://keycloak.example.org/realms/dls", self.run.issuer]
        text = self.run.text(names, self.upstream, KEYS, DRAIN)
        text = replaced(text, r"^  answers: fastapi$", f"  answers: fastapi{inbound}")
        text = replaced(text, r"^    algorithms: \[RS256\]$", f"    algorithms: [RS256]{issuer}")
        return self.run.begin(name, text)

    def agent(self, name, service, way, endpoint=None, more=""):
        """An outbound proxy before a service."""
        place = f"http://127.0.0.1:{service.port}"
        return self.run.begin(name, self.configuration(place, way, endpoint, more), ready=False)

    def through(self, row, what, proxy, method="GET", path="/acquisitions", body=None, times=1):
        """A program without a token gets its answer, and the backend is told who it is."""
        before = len(self.upstream.heads)
        statuses = [proxy.ask(method, path, body=body)[0] for _ in range(times)]
        arrived = len(self.upstream.heads) - before
        good = statuses == [200] * times and arrived == times
        wanted = {"x-auth-client": "SmartEM_Agent", "x-auth-username": "service-account-smartem_agent",
                  "authorization": None, "dpop": None}
        seen = {header: self.upstream.header(header) for header in wanted} if good else None
        self.check(row, f"{what}: 200, vouched for", good and seen == wanted, f"{statuses}, {arrived} arrived, {seen}")

    def nothing(self, row, what, status, proxy, method="GET", path="/acquisitions", token=None):
        before = self.upstream.bytes
        got, headers, text = proxy.ask(method, path, token)
        told = json.loads(text)
        good = got == status and self.upstream.bytes == before
        self.check(row, f"{what}: {status}, nothing at the backend", good, f"{got}, {text[:200]}")
        return headers, told

    # The rows

    def a1(self):
        inside = f"url: {self.keycloak.base}/realms/dls/protocol/openid-connect/token"
        for what, way, endpoint in [
            ("client_secret_basic, discovered", self.basic, None),
            ("client_secret_post, discovered", "{client_secret_post: {file: agent.secret}}", None),
            ("client_secret_basic, at an address of the inside", self.basic, inside),
        ]:
            claims = self.obtained("A1", what, way, endpoint)
            self.check("A1", "… of the realm's public name", claims.get("iss") == self.run.issuer, claims)
        _, told = self.token(self.basic, reveal=True)
        self.run.allowed("A1", "what it obtained, at the inbound proxy", told["access_token"])
        # Keycloak's word for a wrong secret: the one that RFC 6749 has for a client that may not use this grant.
        for way in ["client_secret_basic", "client_secret_post"]:
            self.refused("A1", f"{way}, another secret", "unauthorized_client", "secret", f"{{{way}: {{file: wrong.secret}}}}")
        self.refused("A1", "a scope that nobody knows", "invalid_scope", "`scopes`", self.basic,
                     more="\n    scopes: [no.such.scope]")

    def a2(self):
        """Every way that docs/outbound.md names of registering a public key."""
        public = {"keys": [public_half(FIXTURES / "es256-1.pem")]}
        self.client("client-jwt", token_endpoint_auth_signing_alg="ES256")
        self.keycloak.import_key("SmartEM_Agent", "JSON Web Key Set", json.dumps(public).encode())
        for _ in range(2):  # A second assertion with the `jti` of the first would be refused.
            self.obtained("A2", "private_key_jwt, ES256, an imported key set", self.signed())
        self.obtained("A2", "… without a `kid`", self.signed(more=""))
        self.refused("A2", "… with another key", "invalid_client", "key", self.signed("rsa-1.pem"))
        self.refused("A2", "… with the secret", "invalid_client", "way of authenticating", self.basic)
        inside = f"url: {self.keycloak.base}/realms/dls/protocol/openid-connect/token"
        self.refused("A2", "… for an address of the inside", "invalid_client", "key", self.signed(), inside)
        audience = f", kid: {KID}, audience: {self.run.issuer}"
        self.obtained("A2", "… with the issuer as the audience", self.signed(more=audience), inside)
        service = self.service("service-a2")
        agent = self.agent("agent-a2", service, self.signed())
        self.through("A2", "through two proxies, with a key instead of a secret", agent)
        self.stop(agent, service)
        # A key set at a URL of the client's own: Keycloak fetches it.
        keys = Document(public)
        self.client(use_jwks_string="false", jwks_string="", use_jwks_url="true", jwks_url=keys.url)
        self.obtained("A2", "private_key_jwt, ES256, a key set that Keycloak fetches", self.signed())
        self.check("A2", "… which it did", keys.fetches > 0)
        # A certificate has no name that we could send.
        self.client(use_jwks_url="false", jwks_url="", token_endpoint_auth_signing_alg="PS256")
        self.keycloak.import_key("SmartEM_Agent", "Certificate PEM", self.certificate("rsa-1.pem"))
        self.obtained("A2", "private_key_jwt, PS256, an imported certificate", self.signed("rsa-1.pem", ""))
        self.refused("A2", "… with a `kid`", "invalid_client", "key", self.signed("rsa-1.pem"))
        self.client("client-secret", token_endpoint_auth_signing_alg="")

    def certificate(self, name):
        command = ["openssl", "req", "-x509", "-new", "-key", str(self.folder / name), "-subj", "/CN=agent", "-days", "2"]
        return subprocess.run(command, capture_output=True, check=True, timeout=30).stdout

    def a4(self):
        """A program without a token, outbound, inbound, a backend without a token."""
        self.run.edge.max_age = 2
        service = self.service("service")
        agent = self.agent("agent", service, self.basic)
        self.through("A4", "GET through two proxies", agent, times=3)
        self.through("A4", "POST through two proxies", agent, "POST", "/agent/one/heartbeat", b'{"state": "idle"}')
        obtained = self.counts(agent)["obtained"]
        self.check("A4", "one token request for all of them", obtained == 1, obtained)
        self.nothing("A4", "the same without the outbound proxy", 401, service)
        self.nothing("A8", "what `paths` does not list", 403, agent, path="/debug/state")
        _, told = self.nothing("A8", "a token of the caller's own", 400, agent, token="a.b.c")
        self.check("A8", "… is told so", "Authorization" in told["detail"], told)
        # The key goes that signed what the agent holds: the service says 401, a new token comes, and the program sees nothing.
        held = self.keycloak.client_credentials("SmartEM_Agent", self.run.secret)
        self.keycloak.rotate()
        self.keycloak.withdraw(held)
        self.await_("the service forgets the key", lambda: service.ask("GET", "/acquisitions", held)[0] == 401)
        self.through("A4", "the first request after the key was withdrawn", agent)
        counts = self.counts(agent)
        self.check("A4", "one forced token request", (counts["obtained"], counts["forced"]) == (2, 1), counts)
        self.stop(agent, service)

    def a7(self):
        """A secret that Keycloak does not take is 503, and heals when the file says another."""
        service = self.service("service-a7")
        self.secret_file.write_text(secrets.token_urlsafe(24))
        agent = self.agent("agent-a7", service, self.basic)
        headers, told = self.nothing("A7", "a secret that Keycloak refuses", 503, agent)
        self.check("A7", "… names the OAuth error and when to come again",
                   told.get("oauth_error") == "unauthorized_client" and int(headers["retry-after"]) > 0
                   and "www-authenticate" not in headers, (told, headers))
        self.secret_file.write_text(f"{self.run.secret}\n")
        self.await_("the file is read again", lambda: agent.ask("GET", "/status")[0] == 200)
        self.through("A7", "the right secret on disk heals it", agent)
        # An administrator regenerates the secret: what is held goes on; the new one is used from the next request on.
        old, new = self.run.secret, self.keycloak.regenerate("SmartEM_Agent")
        self.through("A7", "the token that is held goes on", agent)
        self.refused("A7", "the old secret", "unauthorized_client", "secret", self.basic)
        self.secret_file.write_text(f"{new}\n")
        self.run.secret = new
        self.seen += [old, new]
        self.obtained("A7", "the new secret", self.basic)
        self.through("A7", "the running proxy after the rotation", agent)
        self.stop(agent, service)

    def dpop(self):
        """Tokens that are bound to a key of ours (RFC 9449); Keycloak asks for no nonce."""
        proofs = "\n    dpop: {algorithm: ES256}"
        self.client(dpop_bound_access_tokens="true")
        self.refused("DPoP", "Require DPoP bound tokens, no proof", "invalid_request", "DPoP", self.basic)
        claims = self.obtained("DPoP", "Require DPoP bound tokens, a proof", self.basic, more=proofs)
        self.check("DPoP", "… bound to our key", "jkt" in claims.get("cnf", {}), claims)
        service = self.service("service-dpop", "\n  external_url: http://127.0.0.1:@PORT@", "\n    dpop: require")
        agent = self.agent("agent-dpop", service, self.basic, more=proofs)
        self.through("DPoP", "two proxies, a proof for every request", agent, times=3)
        _, told = self.token(self.basic, more=proofs, reveal=True)
        stolen = told["access_token"]
        self.seen.append(stolen)
        self.nothing("DPoP", "a bound token without a proof", 401, service, token=stolen)
        self.run.refused("DPoP", "a bound token as a plain bearer", 401, stolen)
        self.client(dpop_bound_access_tokens="false")
        plain = self.keycloak.client_credentials("SmartEM_Agent", self.run.secret)
        self.nothing("DPoP", "a token bound to nothing", 401, service, token=plain)
        self.stop(agent, service)

    def pair(self):
        """The service says where its tokens come from (RFC 9728); which of its issuers is believed, the agent's file says."""
        service = self.service("service-pair", "\n  resource_metadata: {resource: \"http://127.0.0.1:@PORT@\"}")
        endpoint = f"pair: \"http://127.0.0.1:{service.port}\", issuers: [{self.run.issuer}]"
        agent = self.agent("agent-pair", service, self.basic, endpoint)
        self.through("pair", "two proxies, paired", agent)
        self.stop(agent)
        elsewhere = endpoint.replace(self.run.issuer, f"{self.run.keycloak.public}/realms/master")
        agent = self.agent("agent-elsewhere", service, self.basic, elsewhere)
        self.nothing("pair", "an issuer that the service does not name", 503, agent)
        self.stop(agent, service)

    # Bits and pieces

    def counts(self, proxy):
        status = json.loads(ask("GET", f"http://127.0.0.1:{proxy.admin}/status")[2])
        (credential,) = status["credentials"]
        return {name: credential[f"requests_{name}"] for name in ["obtained", "forced", "refused"]}

    def await_(self, what, holds):
        """Within half a minute."""
        for _ in range(300):
            if holds():
                return
            time.sleep(0.1)
        raise RuntimeError(f"{what}: it does not")

    def stop(self, *proxies):
        for proxy in proxies:
            log = proxy.text()
            secret = [one.rsplit(".", 1)[-1] for one in [self.run.secret, *self.seen]]
            code = proxy.stop()
            self.check("A7", "ended with 0, no secret and no token in its log",
                       code == 0 and not any(one in log for one in secret), code)

    def all(self):
        for row in [self.a1, self.a2, self.a4, self.a7, self.dpop, self.pair]:
            self.run.guarded(row)
