"""Drives rows S1 to S6, S15 to S19 and A1 to A8 of the SmartEM deployment through running proxies, with a real Keycloak.

    drive.py BINARY KEYCLOAK_URL PUBLIC_URL     (environment: SMARTEM_AGENT_SECRET, ADMIN_NAME, ADMIN_PASSWORD)

Prints a table and `N passed, N failed`; exit status 1 if anything failed.
"""

import http.client
import json
import os
import pathlib
import secrets
import sys
import tempfile
import time

from calling import Calling
from idp import Keycloak, encode, part
from parts import Edge, Proxy, Upstream, configuration

ROOT = pathlib.Path(__file__).resolve().parents[2]
REDIRECT = "http://localhost:5173/callback"
COOLDOWN = 3
INVENTED = 1000


class Run:
    def __init__(self, binary, base, public, directory):
        self.secret = os.environ["SMARTEM_AGENT_SECRET"]
        self.keycloak = Keycloak(base, public, os.environ["ADMIN_NAME"], os.environ["ADMIN_PASSWORD"])
        self.issuer = f"{public}/realms/dls"
        self.upstream = Upstream()
        self.edge = Edge(f"{base}/realms/dls/protocol/openid-connect/certs")
        self.binary, self.directory = binary, directory
        self.results, self.proxies, self.answered = [], [], 0

    # The bed

    def text(self, issuers, upstream=None, keys="", more=""):
        url = (upstream or self.upstream).url
        return configuration(ROOT / "config/smartem.yaml", url, self.edge.url, issuers, keys, more)

    def start(self, name, issuers, keys=""):
        return self.begin(name, self.text(issuers, keys=keys))

    def begin(self, name, text, ready=True):
        proxy = Proxy(self.binary, self.directory, name, text)
        self.proxies.append(proxy)
        if not ready:
            return proxy
        for _ in range(100):
            if proxy.ready():
                return proxy
            time.sleep(0.05)
        raise RuntimeError(f"{name} does not get ready:\n{proxy.text()}")

    def prepare(self):
        self.keycloak.add_user("devuser", "correct horse", "dev12345")
        self.proxy = self.start(
            "smartem", ["https://keycloak.example.org/realms/dls", self.issuer],
            f"\n      cooldown: {COOLDOWN}s\n      refresh_floor: 1s",
        )
        self.agent = self.keycloak.client_credentials("SmartEM_Agent", self.secret)
        answer = self.keycloak.code_flow("SmartEM_User", REDIRECT, "devuser", "correct horse")
        self.user, self.id_token, self.refresh = answer["access_token"], answer["id_token"], answer["refresh_token"]
        # Looked at again by S4 when it is more than a minute past its end.
        self.short = self.with_attribute("access.token.lifespan", "2", "300")

    def with_attribute(self, name, value, back):
        self.keycloak.set_attribute("SmartEM_Agent", name, value)
        token = self.keycloak.client_credentials("SmartEM_Agent", self.secret)
        self.keycloak.set_attribute("SmartEM_Agent", name, back)
        return token

    # Verdicts

    def check(self, row, what, holds, seen=""):
        self.results.append((row, what, bool(holds)))
        print(f"{'ok  ' if holds else 'FAIL'} {row:<4} {what}{'' if holds else f'   ({seen})'}", flush=True)

    def allowed(self, row, what, token, method="GET", path="/acquisitions", body=None):
        before = len(self.upstream.heads)
        status, _, answer = self.proxy.ask(method, path, token, body)
        arrived = len(self.upstream.heads) - before
        self.answered += status == 200
        self.check(row, f"{what}: 200", status == 200 and arrived == 1, f"{status}, {arrived} upstream, {answer[:200]}")

    def refused(self, row, what, status, token, method="GET", path="/acquisitions", body=None, headers=None, by=None):
        before = self.upstream.bytes
        got, answered, text = (by or self.proxy).ask(method, path, token, body, headers)
        bytes_ = self.upstream.bytes - before
        good = got == status and bytes_ == 0 and isinstance(json.loads(text).get("detail"), str)
        if status == 401:
            good = good and answered.get("www-authenticate", "").startswith("Bearer")
        self.check(row, f"{what}: {status}, nothing upstream", good, f"{got}, {bytes_} bytes upstream, {text[:200]}")

    # The rows

    def s1(self):
        header = part(self.agent, 0)
        self.check("S1", "Keycloak signs with RS256", header["alg"] == "RS256", header)
        self.allowed("S1", "RS256", self.agent)
        for algorithm in ["PS256", "RS512", "HS256", "ES256"]:
            token = self.with_attribute("access.token.signed.response.alg", algorithm, "RS256")
            self.check("S1", f"Keycloak did sign with {algorithm}", part(token, 0)["alg"] == algorithm, part(token, 0))
            self.refused("S1", f"{algorithm} by Keycloak itself", 401, token)
        none = f"{encode({'alg': 'none', 'typ': 'JWT'})}.{self.agent.split('.')[1]}."
        self.refused("S1", "alg none", 401, none)

    def s2(self):
        self.check("S2", "tokens carry the public name", part(self.agent, 1)["iss"] == self.issuer, part(self.agent, 1))
        self.allowed("S2", "split horizon, second name of the realm", self.agent)
        self.refused("S2", "another realm of the same Keycloak", 401, self.keycloak.master())
        slash = self.start("slash", [f"{self.issuer}/"])
        self.refused("S2", "the name with a trailing slash", 401, self.agent, by=slash)
        slash.stop()

    def s3(self):
        for name, token in [("SmartEM_User", self.user), ("SmartEM_Agent", self.agent)]:
            self.check("S3", f"azp says {name}", part(token, 1)["azp"] == name, part(token, 1))
            self.allowed("S3", f"listed azp {name}", token)
        self.keycloak.admin("POST", "/clients", {
            "clientId": "Other_App", "publicClient": False, "secret": self.secret, "serviceAccountsEnabled": True,
            "standardFlowEnabled": False,
        })
        self.refused("S3", "a client of the realm that is not listed", 401,
                     self.keycloak.client_credentials("Other_App", self.secret))

    def s4(self):
        end = part(self.short, 1)["exp"]
        time.sleep(max(0, end + 2 - time.time()))
        self.allowed("S4", "seconds after its end, within the leeway", self.short)

    def s4_late(self):
        time.sleep(max(0, part(self.short, 1)["exp"] + 62 - time.time()))
        self.refused("S4", "62 seconds after its end", 401, self.short)

    def s5(self):
        self.check("S5", "Keycloak says typ ID", part(self.id_token, 1)["typ"] == "ID", part(self.id_token, 1))
        self.refused("S5", "an ID token", 401, self.id_token)
        self.refused("S5", "a refresh token", 401, self.refresh)

    def s6(self):
        claims = part(self.user, 1)
        self.check("S6", "the realm sends no sub for users", "sub" not in claims, claims)
        self.allowed("S6", "a user's token without sub", self.user)
        seen = {name: self.upstream.header(name)
                for name in ["x-auth-subject", "x-auth-client", "x-auth-fed-id", "x-auth-username", "authorization"]}
        wanted = {"x-auth-subject": None, "x-auth-client": "SmartEM_User", "x-auth-fed-id": "dev12345",
                  "x-auth-username": "devuser", "authorization": None}
        self.check("S6", "identity from azp, fedId, preferred_username; no empty subject", seen == wanted, seen)
        self.allowed("S6", "the agent", self.agent)
        self.check("S6", "the agent's subject", self.upstream.header("x-auth-subject") == part(self.agent, 1)["sub"])

    def s17(self):
        self.refused("S17", "10 MB without a token", 401, None, "POST", body=b"x" * 10_000_000)
        self.refused("S17", "malformed JSON without a token", 401, None, "POST", body=b"{",
                     headers={"content-type": "application/json"})
        self.allowed("S17", "a body with a token", self.agent, "POST", body=b'{"name": "a"}')

    def s19(self):
        self.allowed("S19", "user GET", self.user)
        for method in ["POST", "PUT", "DELETE"]:
            self.refused("S19", f"user {method}", 403, self.user, method)
            self.allowed("S19", f"agent {method}", self.agent, method)
        self.allowed("S19", "agent on /agent/**", self.agent, "POST", "/agent/one/heartbeat")
        self.refused("S19", "user on /agent/**", 403, self.user, "GET", "/agent/one/heartbeat")
        for name, token in [("agent", self.agent), ("user", self.user)]:
            self.refused("S19", f"{name} on /debug/**", 403, token, path="/debug/state")

    def s15(self):
        _, payload, signature = self.agent.split(".")
        before, upstream, statuses = self.edge.fetches, self.upstream.bytes, {}
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=20)
        for _ in range(INVENTED):
            header = encode({"alg": "RS256", "typ": "JWT", "kid": secrets.token_urlsafe(32)})
            connection.request("GET", "/acquisitions", headers={"authorization": f"Bearer {header}.{payload}.{signature}"})
            answer = connection.getresponse()
            answer.read()
            statuses[answer.status] = statuses.get(answer.status, 0) + 1
        connection.close()
        windows = 1 + int((time.monotonic() - began) / COOLDOWN)
        fetches = self.edge.fetches - before
        self.check("S15", f"{INVENTED} invented kids: {fetches} fetches in {windows} windows", fetches <= windows)
        self.check("S15", "each is 401, nothing upstream",
                   statuses == {401: INVENTED} and self.upstream.bytes == upstream, statuses)
        self.allowed("S15", "known kids all the while", self.agent)
        # From here on answers keep for two seconds: S16 waits for refreshes.
        self.edge.max_age = 2
        self.old = self.agent
        self.keycloak.rotate()
        time.sleep(COOLDOWN)
        self.agent = self.keycloak.client_credentials("SmartEM_Agent", self.secret)
        kids = part(self.old, 0)["kid"], part(self.agent, 0)["kid"]
        self.check("S15", "Keycloak rotated its key", kids[0] != kids[1], kids)
        self.allowed("S15", "a rotated kid works at once", self.agent)
        self.allowed("S15", "the old key while it is published", self.old)

    def s16(self):
        self.keycloak.withdraw(self.old)
        began = time.monotonic()
        while (status := self.proxy.ask("GET", "/acquisitions", self.old)[0]) == 200 and time.monotonic() - began < 15:
            self.answered += 1
            time.sleep(0.1)
        self.check("S16", "a withdrawn key stops working within a few refreshes", status == 401, status)
        self.refused("S16", "the token of the withdrawn key", 401, self.old)
        self.allowed("S16", "the key that stayed", self.agent)

    def realm(self):
        """What our realm import promises."""
        flow = self.keycloak.refused
        self.check("realm", "users: no direct grants",
                   flow(grant_type="password", client_id="SmartEM_User", username="devuser", password="correct horse"))
        self.check("realm", "users: no client credentials", flow(grant_type="client_credentials", client_id="SmartEM_User"))
        self.check("realm", "agents: a secret is needed",
                   flow(grant_type="client_credentials", client_id="SmartEM_Agent", client_secret="${SMARTEM_AGENT_SECRET}"))
        self.check("realm", "agents: no direct grants",
                   flow(grant_type="password", client_id="SmartEM_Agent", client_secret=self.secret,
                        username="devuser", password="correct horse"))
        answer = self.keycloak.token(grant_type="client_credentials", client_id="SmartEM_Agent", client_secret=self.secret)
        self.check("realm", "agents: no refresh token", "refresh_token" not in answer, sorted(answer))
        agent = part(answer["access_token"], 1)
        self.check("realm", "agents: no roles of the account console", "resource_access" not in agent, agent)

    def s18(self):
        log = self.proxy.text()
        secret = [token.rsplit(".", 1)[1] for token in [self.agent, self.user, self.old, self.short]]
        self.check("S18", "as many requests upstream as were answered 200",
                   len(self.upstream.heads) == self.answered, (len(self.upstream.heads), self.answered))
        self.check("S18", "no token in the log", not any(part_ in log for part_ in secret))

    def guarded(self, row):
        try:
            row()
        except Exception as error:  # A row that breaks is a row that failed; the others are still run.
            self.check(row.__name__.upper(), "runs to its end", False, repr(error))

    def all(self):
        self.prepare()
        for row in [self.realm, self.s1, self.s2, self.s3, self.s4, self.s5, self.s6, self.s17, self.s19,
                    self.s4_late, self.s15, self.s16, Calling(self, ROOT).all, self.s18]:
            self.guarded(row)
        self.check("end", "the proxy ends with 0 when asked to", self.proxy.stop() == 0)


def main():
    binary, base, public = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        run = Run(binary, base, public, directory)
        try:
            run.all()
        finally:
            for proxy in run.proxies:
                proxy.stop()
        failed = sum(1 for *_, holds in run.results if not holds)
        if failed:
            print(run.proxies[0].text()[-4000:], file=sys.stderr)
        print(f"{len(run.results) - failed} passed, {failed} failed")
        sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
