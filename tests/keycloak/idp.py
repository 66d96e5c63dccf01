"""A running Keycloak, as its administrators and its clients see it. Standard library only."""

import base64
import hashlib
import html
import json
import re
import secrets
import urllib.error
import urllib.parse
import urllib.request
from http.cookies import SimpleCookie


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


# No proxy from the environment, no redirect behind our back.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect)


def ask(method, url, data=None, headers=None):
    """Status, headers, body; an error status is an answer like any other."""
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with OPENER.open(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def part(token, index):
    piece = token.split(".")[index]
    return json.loads(base64.urlsafe_b64decode(piece + "=" * (-len(piece) % 4)))


def encode(value):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Keycloak:
    """`base` is where it listens, `public` what it calls itself: tokens and login forms say the latter."""

    def __init__(self, base, public, admin, password, realm="dls"):
        self.base, self.public, self.realm = base, public, realm
        self.admin_name, self.admin_password = admin, password

    def token(self, realm=None, **form):
        url = f"{self.base}/realms/{realm or self.realm}/protocol/openid-connect/token"
        status, _, body = ask("POST", url, urllib.parse.urlencode(form).encode())
        if status != 200:
            raise RuntimeError(f"the token endpoint says {status}: {body[:300]!r}")
        return json.loads(body)

    def refused(self, **form):
        """Whether the token endpoint refuses."""
        try:
            self.token(**form)
        except RuntimeError:
            return True
        return False

    def client_credentials(self, client, secret):
        return self.token(grant_type="client_credentials", client_id=client, client_secret=secret)["access_token"]

    def master(self):
        """A token of another realm of the same Keycloak; also what administration needs."""
        return self.token(
            realm="master", grant_type="password", client_id="admin-cli",
            username=self.admin_name, password=self.admin_password,
        )["access_token"]

    def admin(self, method, path, value=None, kind="application/json"):
        headers = {"authorization": f"Bearer {self.master()}", "content-type": kind}
        data = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
        status, answered, body = ask(method, f"{self.base}/admin/realms/{self.realm}{path}", data, headers)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status}: {body[:300]!r}")
        if status == 201 and not body:
            return answered["location"].rsplit("/", 1)[-1]
        return json.loads(body) if body else None

    def client(self, client_id):
        return self.admin("GET", f"/clients?clientId={client_id}")[0]

    def set_attribute(self, client_id, name, value):
        client = self.client(client_id)
        client["attributes"][name] = value
        self.admin("PUT", f"/clients/{client['id']}", client)

    def regenerate(self, client_id):
        """A new secret; the old one ends at once."""
        return self.admin("POST", f"/clients/{self.client(client_id)['id']}/client-secret")["value"]

    def import_key(self, client_id, form, data):
        """Tab Keys, Import: `form` is one of the archive formats there."""
        mark = secrets.token_hex(16)
        body = (f'--{mark}\r\nContent-Disposition: form-data; name="keystoreFormat"\r\n\r\n{form}\r\n'
                f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="key"\r\n'
                "Content-Type: application/octet-stream\r\n\r\n").encode() + data + f"\r\n--{mark}--\r\n".encode()
        place = f"/clients/{self.client(client_id)['id']}/certificates/jwt.credential/upload-certificate"
        self.admin("POST", place, body, f"multipart/form-data; boundary={mark}")

    def add_user(self, name, password, fed_id):
        self.admin("POST", "/users", {
            "username": name, "enabled": True, "emailVerified": True, "firstName": "Test", "lastName": "Person",
            "email": f"{name}@example.org", "attributes": {"fedId": [fed_id]},
            "credentials": [{"type": "password", "value": password, "temporary": False}],
        })

    def rsa_providers(self):
        components = self.admin("GET", "/components?type=org.keycloak.keys.KeyProvider")
        return [one for one in components if one["providerId"] == "rsa-generated"]

    def rotate(self):
        """A new RS256 key that signs from now on; the old ones stay published."""
        realm = self.admin("GET", "")
        self.admin("POST", "/components", {
            "name": f"rotated-{secrets.token_hex(4)}", "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider", "parentId": realm["id"],
            "config": {"priority": ["500"], "enabled": ["true"], "active": ["true"], "algorithm": ["RS256"]},
        })

    def withdraw(self, token):
        """The key goes that signed this token."""
        kid = part(token, 0)["kid"]
        (provider,) = [key["providerId"] for key in self.admin("GET", "/keys")["keys"] if key["kid"] == kid]
        self.admin("DELETE", f"/components/{provider}")

    def code_flow(self, client_id, redirect, user, password, scope="openid profile email"):
        """Authorization code with PKCE (RFC 7636), as a browser does it; returns the whole token answer."""
        verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        challenge = encode(hashlib.sha256(verifier.encode()).digest())
        query = urllib.parse.urlencode({
            "client_id": client_id, "response_type": "code", "redirect_uri": redirect, "scope": scope, "state": state,
            "code_challenge": challenge, "code_challenge_method": "S256",
        })
        page = f"{self.base}/realms/{self.realm}/protocol/openid-connect/auth?{query}"
        status, headers, body = ask("GET", page)
        form = re.search(r'action="([^"]+/login-actions/authenticate[^"]*)"', body.decode())
        if status != 200 or not form:
            raise RuntimeError(f"no login form: {status} {body[:300]!r}")
        action = html.unescape(form.group(1)).replace(self.public, self.base)
        jar = SimpleCookie()
        for line in headers.get_all("set-cookie", []):
            jar.load(line)
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items())
        filled = urllib.parse.urlencode({"username": user, "password": password, "credentialId": ""}).encode()
        status, headers, body = ask("POST", action, filled, {"cookie": cookies})
        location = headers.get("location", "")
        if status not in (302, 303) or not location.startswith(redirect):
            text = re.sub(r"<[^>]+>|\s+", " ", body.decode(errors="replace"))
            raise RuntimeError(f"the login ended in {status}, {location!r}: {text[:400]}")
        answer = urllib.parse.parse_qs(urllib.parse.urlsplit(location).query)
        if answer["state"] != [state]:
            raise RuntimeError("another state came back")
        return self.token(
            grant_type="authorization_code", client_id=client_id, redirect_uri=redirect,
            code=answer["code"][0], code_verifier=verifier,
        )
