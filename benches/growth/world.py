"""Configurations of every size, and what is asked of them."""

import functools
import json
from pathlib import Path

# Kinds of routes: what the path of a request and that of the route begin with, how the latter goes on, and whom it allows.
# Numbers have the same width in every size, so that a longer path is never what a larger policy costs.
SHAPES = [
    ("/svc{group:02}/status{number:05}", "", "{web}"),
    ("/svc{group:02}/items{number:05}", "/{{item}}",
     "{{GET: {{caller: {web}, scopes: [orders.read]}}, PUT: {{caller: {web}, scopes: [orders.write]}}}}"),
    ("/svc{group:02}/items{number:05}", "/{{item}}/parts/{{part}}", "{{caller: {web}, roles: [offline_access]}}"),
    ("/svc{group:02}/files{number:05}", "/**", "[{{caller: {web}, scopes: [nothing]}}, {{caller: {web}, any_scope: [orders.read]}}]"),
    ("/accounts/{{account}}/things{number:05}", "/{{thing}}", "{{GET: {{caller: {web}, account: \"{{account}}\"}}}}"),
]
ASKED = {"{item}": "a1b2c3d4", "{part}": "e5f6", "**": "2026/november/29.txt", "{account}": "bench-web", "{thing}": "t1"}

# An assertion is signed once per token and half of its life, however many requests come: with a short life signatures would be
# counted as what the requests cost that happen to be measured.
HEAD = """\
workers: 1
token_cache: {cache}
inbound:
  listen: 127.0.0.1:{port}
  upstream: http://127.0.0.1:{backend}
admin:
  listen: 127.0.0.1:{admin}
log: {{access: none}}
identity:
  headers: {{x-auth-subject: subject, x-auth-client: client, x-auth-scopes: scopes}}
  assertion: {{audience: bench, lifetime: 1h, overlap: 1h}}
"""

ISSUER = """\
  - name: issuer{number}
    issuer: "{iss}"
    jwks: {{file: "{jwks}"}}
    audiences: [{audience}]
    clients: [bench-web]
    algorithms: [RS256]
    claim_mappings: {{account: azp}}
"""


class Keys:
    """What keys.py and issuers.py made."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.claims = json.loads((self.folder / "claims.json").read_text())

    def iss(self, number):
        return (self.folder / "issuers" / f"{number}.iss").read_text() if number else self.claims["iss"]

    def jwks(self, number):
        return self.folder / "issuers" / f"{number}.json" if number else self.folder / "jwks.json"

    @functools.cache
    def tokens(self, number):
        path = self.folder / "issuers" / f"{number}.txt" if number else self.folder / "tokens" / "rs256.txt"
        return path.read_text().split()


class World:
    """A configuration, and the paths and tokens that come in turn."""

    def __init__(self, keys, routes=10, issuers=1, tokens=1, shared=False, cache="64MiB"):
        """`shared`: every route takes the callers of all issuers. Otherwise each has one issuer's, in turn."""
        self.keys, self.routes, self.issuers, self.shared, self.cache = keys, routes, issuers, shared, cache
        numbers = self.spread(200)
        self.turns = []
        for turn in range(max(tokens, len(numbers))):
            number = numbers[turn % len(numbers)]
            own = keys.tokens(number % issuers)
            self.turns.append((self.asked(number), own[turn % tokens // issuers]))

    def spread(self, most):
        """Numbers of so many routes at most, from all over the policy and of all shapes alike."""
        groups = self.routes // len(SHAPES)
        taken = min(groups, most // len(SHAPES))
        return [groups * turn // taken * len(SHAPES) + shape for turn in range(taken) for shape in range(len(SHAPES))]

    def route(self, number):
        """The path of a route, and whom it allows."""
        values = {"group": number // len(SHAPES) % 50, "number": number, "web": f"web{number % self.issuers}"}
        start, rest, allow = (part.format(**values) for part in SHAPES[number % len(SHAPES)])
        everybody = ", ".join(f"web{number}" for number in range(self.issuers))
        return start + rest, f"[{everybody}]" if self.shared else allow

    def asked(self, number):
        path, _ = self.route(number)
        for pattern, value in ASKED.items():
            path = path.replace(pattern, value)
        return path

    def text(self, port, admin, backend, more=""):
        """The document. `more`: further routes."""
        audience = self.keys.claims["aud"]
        parts = [HEAD.format(cache=self.cache, port=port, admin=admin, backend=backend), "issuers:\n"]
        for number in range(self.issuers):
            parts.append(ISSUER.format(number=number, iss=self.keys.iss(number), jwks=self.keys.jwks(number), audience=audience))
        parts.append("callers:\n")
        parts += [f"  web{number}: {{issuer: issuer{number}, client: bench-web}}\n" for number in range(self.issuers)]
        parts.append("routes:\n")
        for number in range(self.routes):
            path, allow = self.route(number)
            parts.append(f"  - path: \"{path}\"\n    allow: {allow}\n")
        return "".join(parts) + more
