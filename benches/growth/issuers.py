#!/usr/bin/env python3
"""Makes further issuers for the benchmark: a key, a key set and a few tokens each. Runs after keys.py, which makes issuer 0.

Output (in DIRECTORY/issuers): NUMBER.iss, NUMBER.json (the key set), NUMBER.txt (ten tokens, one a line).

    issuers.py DIRECTORY ISSUERS
"""

import json
import sys
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "compare"))
import keys  # noqa: E402


def main(folder, issuers):
    out = Path(folder) / "issuers"
    out.mkdir(exist_ok=True)
    now = int(time.time()) - 60
    for number in range(1, issuers):
        key = rsa.generate_private_key(65537, 2048)
        numbers = key.public_key().public_numbers()
        public = {"kty": "RSA", "kid": "rsa-1", "use": "sig", "alg": "RS256", "n": keys.b64u(keys.i2b(numbers.n)), "e": keys.b64u(keys.i2b(numbers.e))}
        # As long as the `iss` of issuer 0.
        iss = f"https://sso.example.test/realms/b{number:04}"
        payloads = [{**keys.payload(100_000 + 10 * number + turn, now, now + 10 * 365 * 86400), "iss": iss} for turn in range(10)]
        tokens = [jwt.encode(payload, key, algorithm="RS256", headers={"kid": "rsa-1"}) for payload in payloads]
        (out / f"{number}.iss").write_text(iss)
        (out / f"{number}.json").write_text(json.dumps({"keys": [public]}))
        (out / f"{number}.txt").write_text("\n".join(tokens) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
