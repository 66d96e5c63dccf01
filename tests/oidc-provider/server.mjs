// A real issuer for tests: oidc-provider on loopback, access tokens by client_credentials: JWTs, or opaque ones that it is
// asked about (RFC 7662) and that can be revoked (RFC 7009).
//
//   CLIENT_SECRET=… CLIENT_JWKS='{"keys": […]}' node server.mjs        prints `listening on http://127.0.0.1:PORT`
//
// The resource indicator (RFC 8707) says what is wanted: `urn:AUDIENCE:ALGORITHM`, where `opaque` is no JWT, and `brief` one
// that ends after a second. Ends when its standard input does, so
// that it never outlives the test that started it.

import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { Provider, errors } from "oidc-provider";

const { CLIENT_SECRET, CLIENT_JWKS } = process.env;
if (!CLIENT_SECRET || !CLIENT_JWKS) throw new Error("set CLIENT_SECRET and CLIENT_JWKS");

function key(kid, type, options, more = {}) {
  return { ...generateKeyPairSync(type, options).privateKey.export({ format: "jwk" }), kid, use: "sig", ...more };
}

const ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"];
const CLIENT_ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"];
const SCOPES = "usage:read usage:write";

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const client = { grant_types: ["client_credentials"], redirect_uris: [], response_types: [], scope: SCOPES };
  const provider = new Provider(issuer, {
    clients: [
      { ...client, client_id: "secret-client", client_secret: CLIENT_SECRET, token_endpoint_auth_method: "client_secret_basic" },
      { ...client, client_id: "post-client", client_secret: CLIENT_SECRET, token_endpoint_auth_method: "client_secret_post" },
      // What may stand in a secret, and must be encoded on the way (RFC 6749 section 2.3.1).
      { ...client, client_id: "odd-client", client_secret: `${CLIENT_SECRET} a:b+c&d%25=`, token_endpoint_auth_method: "client_secret_basic" },
      // Its tokens are bound to a key of its own (RFC 9449).
      { ...client, client_id: "bound-client", client_secret: CLIENT_SECRET, token_endpoint_auth_method: "client_secret_basic", dpop_bound_access_tokens: true },
      ...CLIENT_ALGORITHMS.map((alg) => ({
        ...client,
        client_id: `key-client-${alg}`,
        token_endpoint_auth_method: "private_key_jwt",
        token_endpoint_auth_signing_alg: alg,
        jwks: JSON.parse(CLIENT_JWKS),
      })),
      {
        ...client,
        client_id: "key-client",
        token_endpoint_auth_method: "private_key_jwt",
        token_endpoint_auth_signing_alg: "ES256",
        jwks: JSON.parse(CLIENT_JWKS),
      },
    ],
    // The Ed25519 key has no `alg`: it signs under both of its names (RFC 8037, RFC 9864).
    jwks: {
      keys: [
        key("rsa", "rsa", { modulusLength: 2048 }, { alg: "RS256" }),
        key("ec", "ec", { namedCurve: "P-256" }, { alg: "ES256" }),
        key("ed", "ed25519", {}),
        key("pss", "rsa", { modulusLength: 2048 }, { alg: "PS256" }),
      ],
    },
    scopes: SCOPES.split(" "),
    enabledJWA: { clientAuthSigningAlgValues: CLIENT_ALGORITHMS },
    ttl: { ClientCredentials: (_, token) => token.resourceServer?.accessTokenTTL ?? 300 },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: () => true },
      dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
      resourceIndicators: {
        enabled: true,
        async getResourceServerInfo(_, resource) {
          const [, audience, alg] = /^urn:([a-z-]+):([A-Za-z0-9]+)$/.exec(resource) ?? [];
          if (alg === "opaque") return { scope: SCOPES, audience, accessTokenFormat: "opaque" };
          if (alg === "brief") return { scope: SCOPES, audience, accessTokenFormat: "opaque", accessTokenTTL: 1 };
          if (!ALGORITHMS.includes(alg)) throw new errors.InvalidTarget();
          return { scope: SCOPES, audience, accessTokenFormat: "jwt", jwt: { sign: { alg } } };
        },
      },
    },
  });
  server.on("request", provider.callback());
  console.log(`listening on ${issuer}`);
});
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
