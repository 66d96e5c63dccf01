"""An upstream behind Countersign: who is calling, from the signed assertion.

    pip install 'pyjwt[crypto]'
    PORT=8000 JWKS_URL=http://127.0.0.1:9090/.well-known/jwks.json AUDIENCE=usage-api ISSUER=countersign python3 app.py

With a shared secret (HS256): SECRET_FILE=/etc/countersign/assertion.secret instead of JWKS_URL.
Optional: HEADER (default x-auth-assertion); BIND=method,target,authority where the proxy is configured to bind:
an assertion that is not bound to that is then refused.
Every request is answered with the identity as JSON, or with 401.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

HEADER = os.environ.get("HEADER", "x-auth-assertion")
AUDIENCE = os.environ["AUDIENCE"]
ISSUER = os.environ["ISSUER"]
BIND = [part for part in os.environ.get("BIND", "").split(",") if part]
LEEWAY = 5

if "SECRET_FILE" in os.environ:
    with open(os.environ["SECRET_FILE"], "rb") as file:
        secret = file.read().removesuffix(b"\n").removesuffix(b"\r")
    ALGORITHMS, KEYS = ["HS256"], None
else:
    # Never HS256 here: a public key must not be taken for a shared secret.
    ALGORITHMS, KEYS = ["ES256", "EdDSA"], jwt.PyJWKClient(os.environ["JWKS_URL"], lifespan=300, timeout=5)


class Refused(Exception):
    pass


def identity(method, target, headers):
    """The verified claims, or Refused."""
    values = headers.get_all(HEADER, [])
    if len(values) != 1:
        raise Refused("no assertion, or more than one")
    token = values[0]
    try:
        if jwt.get_unverified_header(token).get("typ") != "countersign+jwt":
            raise Refused("not an assertion")
        key = KEYS.get_signing_key_from_jwt(token).key if KEYS else secret
        claims = jwt.decode(
            token,
            key,
            algorithms=ALGORITHMS,
            audience=AUDIENCE,
            issuer=ISSUER,
            leeway=LEEWAY,
            options={"require": ["iss", "aud", "exp", "iat", "jti"]},
        )
    except jwt.PyJWTError as error:
        raise Refused(str(error)) from error
    bound_to_this_request(claims.get("req"), method, target, headers)
    return claims


def bound_to_this_request(bound, method, target, headers):
    """What the assertion is bound to must be what arrived, byte for byte."""
    if bound is None:
        if BIND:
            raise Refused("not bound to a request")
        return
    arrived = {"method": method, "target": target, "authority": headers.get("host")}
    for part in BIND:
        if part not in bound:
            raise Refused(f"not bound to the {part}")
    for part, value in arrived.items():
        if part in bound and bound[part] != value:
            raise Refused(f"made for another {part}")
    for name, value in bound["headers"].items():
        if headers.get_all(name, []) != ([] if value is None else [value]):
            raise Refused(f"{name} is not the one that was signed")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("content-length") or 0)
        self.rfile.read(length)
        try:
            claims = identity(self.command, self.path, self.headers)
            if claims.get("anonymous") is True:
                body = {"anonymous": True}
            else:
                names = ("sub", "idp", "client_id", "caller", "account", "scope", "act")
                body = {"anonymous": False} | {name: claims[name] for name in names if name in claims}
            status = 200
        except Refused as error:
            status, body = 401, {"error": str(error)}
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8000"))), Handler)
    print(f"listening on {server.server_address[1]}", flush=True)
    server.serve_forever()
