// An upstream behind Countersign: who is calling, from the signed assertion.
//
//   npm install
//   PORT=8000 JWKS_URL=http://127.0.0.1:9090/.well-known/jwks.json AUDIENCE=usage-api ISSUER=countersign node app.mjs
//
// With a shared secret (HS256): SECRET_FILE=/etc/countersign/assertion.secret instead of JWKS_URL.
// Optional: HEADER (default x-auth-assertion); BIND=method,target,authority where the proxy is configured to bind:
// an assertion that is not bound to that is then refused.
// Every request is answered with the identity as JSON, or with 401.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRemoteJWKSet, jwtVerify } from "jose";

const { PORT = "8000", JWKS_URL, SECRET_FILE, AUDIENCE, ISSUER, HEADER = "x-auth-assertion", BIND = "" } = process.env;
if (!AUDIENCE || !ISSUER || (!JWKS_URL && !SECRET_FILE)) throw new Error("set AUDIENCE, ISSUER and JWKS_URL or SECRET_FILE");
const bind = BIND.split(",").filter(Boolean);

// Never HS256 with published keys: a public key must not be taken for a shared secret.
const algorithms = SECRET_FILE ? ["HS256"] : ["ES256", "EdDSA", "Ed25519"];
const keys = SECRET_FILE
  ? new TextEncoder().encode(readFileSync(SECRET_FILE, "utf8").replace(/\n$/, "").replace(/\r$/, ""))
  : createRemoteJWKSet(new URL(JWKS_URL), { timeoutDuration: 5000, cooldownDuration: 5000 });

class Refused extends Error {}

/** The values of a header, each as it arrived. */
function values(request, name) {
  return request.headersDistinct[name] ?? [];
}

/** The verified claims, or an error. */
async function identity(request) {
  const tokens = values(request, HEADER);
  if (tokens.length !== 1) throw new Refused("no assertion, or more than one");
  const { payload } = await jwtVerify(tokens[0], keys, {
    algorithms,
    typ: "countersign+jwt",
    audience: AUDIENCE,
    issuer: ISSUER,
    clockTolerance: 5,
    requiredClaims: ["exp", "iat", "jti"],
  });
  boundToThisRequest(payload.req, request);
  return payload;
}

/** What the assertion is bound to must be what arrived, byte for byte. */
function boundToThisRequest(bound, request) {
  if (bound === undefined) {
    if (bind.length) throw new Refused("not bound to a request");
    return;
  }
  const arrived = { method: request.method, target: request.url, authority: request.headers.host };
  for (const part of bind) {
    if (!(part in bound)) throw new Refused(`not bound to the ${part}`);
  }
  for (const [part, value] of Object.entries(arrived)) {
    if (part in bound && bound[part] !== value) throw new Refused(`made for another ${part}`);
  }
  for (const [name, value] of Object.entries(bound.headers)) {
    const there = values(request, name);
    const same = value === null ? there.length === 0 : there.length === 1 && there[0] === value;
    if (!same) throw new Refused(`${name} is not the one that was signed`);
  }
}

const server = createServer(async (request, response) => {
  request.resume();
  let status = 200;
  let body;
  try {
    const claims = await identity(request);
    if (claims.anonymous === true) {
      body = { anonymous: true };
    } else {
      const { sub, idp, client_id, caller, account, scope, act } = claims;
      body = { anonymous: false, sub, idp, client_id, caller, account, scope, act };
    }
  } catch (error) {
    status = 401;
    body = { error: error.message };
  }
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
});
server.listen(Number(PORT), "127.0.0.1", () => console.log(`listening on ${server.address().port}`));
