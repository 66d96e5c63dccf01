"""Checks our HTTP message signatures and assertions with third-party libraries.

    pip install http-message-signatures 'pyjwt[crypto]'
    cargo test --lib identity::tests::emit -- --ignored --nocapture | sed -n 's/^vouched: //p' | python3 verify_signature.py

Reads the JSON that the test prints: per algorithm a key and two requests, one of a known caller and one of nobody. Every
request must verify, and must not verify any more after each of the changes below. Exit status 0 if all of that holds.
"""

import base64
import json
import sys
from types import SimpleNamespace

import jwt
from http_message_signatures import HTTPMessageVerifier, MappingKeyResolver, algorithms
from http_message_signatures.exceptions import HTTPMessageSignaturesException

ALGORITHMS = {
    "ES256": algorithms.ECDSA_P256_SHA256,
    "EdDSA": algorithms.ED25519,
    "HS256": algorithms.HMAC_SHA256,
}
COVERED = ("@method", "@authority", "@request-target")


class Refused(Exception):
    pass


def message(request):
    """What a server sees."""
    return SimpleNamespace(
        method=request["method"],
        url=f"http://{request['authority']}{request['target']}",
        request_target=request["target"],
        headers=dict(request["headers"]),
    )


def verify(vouched, key, request, tag):
    resolver = MappingKeyResolver(public_keys={vouched["kid"]: key}, private_keys={})
    verifier = HTTPMessageVerifier(
        signature_algorithm=ALGORITHMS[vouched["algorithm"]], key_resolver=resolver
    )
    try:
        (result,) = verifier.verify(message(request), expect_tag=tag, require_components=COVERED)
    except HTTPMessageSignaturesException as error:
        raise Refused(str(error)) from error
    if result.parameters["expires"] - result.parameters["created"] > 30 or not result.parameters["nonce"]:
        raise Refused("lives too long, or has no nonce")
    # The rule that RFC 9421 cannot express: a reserved header that is not covered is not ours.
    covered = {name.strip('"') for name in result.covered_components}
    for name in request["headers"]:
        if name in vouched["reserved"] and name not in covered and not name.startswith("signature"):
            raise Refused(f"{name} is there and not covered")


def change(request, what):
    changed = json.loads(json.dumps(request))
    headers = changed["headers"]
    match what:
        case "method":
            changed["method"] = "DELETE"
        case "target":
            changed["target"] += "&to=2"
        case "authority":
            changed["authority"] = "other.example.org:8080"
        case "removed header":
            del headers["x-auth-subject"]
        case "changed header":
            headers["x-auth-subject"] = "bob"
        case "added header":
            headers["x-auth-account"] = "acme"
        case "swapped headers":
            headers["x-auth-subject"], headers["x-auth-client"] = headers["x-auth-client"], headers["x-auth-subject"]
        case "unsigned":
            del headers["signature"]
        case "assertion of another request":
            headers["x-auth-assertion"] += "A"
    return changed


ALL = ["method", "target", "authority", "removed header", "changed header", "added header", "swapped headers",
       "unsigned", "assertion of another request"]
ANONYMOUS = ["method", "target", "authority", "added header", "unsigned", "assertion of another request"]


def check(vouched):
    key = vouched["secret"].encode() if vouched["secret"] else jwt.PyJWK(vouched["jwks"]["keys"][0]).key
    for who, tag, changes in [("known", "countersign", ALL), ("anonymous", "countersign-anonymous", ANONYMOUS)]:
        request = vouched[who]
        verify(vouched, key, request, tag)
        for what in changes:
            must_refuse(lambda: verify(vouched, key, change(request, what), tag), f"{who}: {what}")
        other = "countersign-anonymous" if tag == "countersign" else "countersign"
        must_refuse(lambda: verify(vouched, key, request, other), f"{who}: tag")

        token = request["headers"]["x-auth-assertion"]
        if jwt.get_unverified_header(token)["typ"] != "countersign+jwt":
            raise SystemExit("typ")
        claims = jwt.decode(
            token, key, algorithms=[vouched["algorithm"]], audience="usage-api", issuer="countersign",
            options={"require": ["iss", "aud", "iat", "exp", "jti"]},
        )
        assert claims.get("anonymous", False) is (who == "anonymous"), claims
        assert ("req" in claims) is vouched["bound"], claims
        assert ("sub" in claims) is (who == "known"), claims
        if vouched["bound"]:
            assert claims["req"]["target"] == request["target"]
            for name, value in claims["req"]["headers"].items():
                assert request["headers"].get(name) == value, name
        forged = token.rsplit(".", 1)[0] + "." + base64.urlsafe_b64encode(bytes(64)).decode().rstrip("=")
        try:
            jwt.decode(forged, key, algorithms=[vouched["algorithm"]], audience="usage-api")
        except jwt.PyJWTError:
            continue
        raise SystemExit("a forged assertion verifies")


def must_refuse(action, what):
    try:
        action()
    except Refused:
        return
    raise SystemExit(f"verifies although changed: {what}")


def main():
    sets = json.load(sys.stdin)
    for vouched in sets:
        check(vouched)
        print(f"ok {vouched['algorithm']} {'bound' if vouched['bound'] else 'unbound'}")
    if len(sets) != 6:
        raise SystemExit("expected six sets")


if __name__ == "__main__":
    main()
