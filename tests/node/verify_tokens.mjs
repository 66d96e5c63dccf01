// Judges tokens with npm's `jose`, as its documentation says to: what `tests/it/differential.rs` compares our verdicts with.
//
// Standard input is JSON: {jwks, issuer, audience, algorithms, leeway, now, tokens}. Standard output has one line for each
// token: `accept`, or the error's code. Runs in a folder that has `jose` (`examples/node`).

import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const resolved = createRequire(`${process.cwd()}/`).resolve('jose')
const { createLocalJWKSet, jwtVerify } = await import(pathToFileURL(resolved))

const { jwks, issuer, audience, algorithms, leeway, now, tokens } = JSON.parse(readFileSync(0, 'utf8'))
const keys = createLocalJWKSet(jwks)
const options = {
  issuer,
  audience,
  algorithms,
  clockTolerance: leeway,
  currentDate: new Date(now * 1000),
  requiredClaims: ['iss', 'aud', 'exp', 'sub'],
}

const verdicts = []
for (const token of tokens) {
  try {
    await jwtVerify(token, keys, options)
    verdicts.push('accept')
  } catch (error) {
    verdicts.push(error.claim ? `${error.code}:${error.claim}` : (error.code ?? error.name))
  }
}
process.stdout.write(verdicts.map((verdict) => `${verdict}\n`).join(''))
