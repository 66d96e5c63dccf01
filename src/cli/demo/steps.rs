//! The requests that the demo makes, and what must become of each.

use super::DemoError;
use super::issuer::LIFETIME;
use super::world::World;

/// One request and its expectation.
pub(super) struct Step {
    /// A stable name, for programs.
    pub(super) name: &'static str,
    /// What is tried, for people.
    pub(super) title: &'static str,
    /// What happens before.
    pub(super) before: Option<&'static str>,
    /// Whom it is sent to.
    pub(super) to: Door,
    /// Path and query.
    pub(super) target: &'static str,
    /// Header fields besides the token.
    pub(super) headers: &'static [(&'static str, &'static str)],
    /// Makes whatever happens before happen, and gives the token.
    pub(super) token: fn(&World) -> Result<Option<String>, DemoError>,
    /// What must come of it.
    pub(super) expect: Expect,
    /// Why, for people.
    pub(super) why: &'static str,
}

/// Where requests go in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// The proxy before the application.
    Proxy,
    /// The sidecar of a program that knows nothing of tokens.
    Sidecar,
}

/// What must come of a request.
pub(super) enum Expect {
    /// The upstream gets exactly these identity headers, and an assertion that says the same.
    Forwarded(&'static [(&'static str, &'static str)]),
    /// Nothing reaches the upstream.
    Refused {
        /// Of the answer.
        status: u16,
        /// In the decision record.
        reason: &'static str,
        /// A header that the answer must have, and a part of its value.
        header: Option<(&'static str, &'static str)>,
    },
}

/// What the upstream is told about each client.
const ACME: &[(&str, &str)] = &[
    ("x-auth-subject", "acme-app"),
    ("x-auth-caller", "tenant"),
    ("x-auth-account", "acme"),
    ("x-auth-scopes", "profile usage:read"),
];
const BILLING: &[(&str, &str)] = &[
    ("x-auth-subject", "billing"),
    ("x-auth-caller", "billing"),
    ("x-auth-scopes", "usage:read"),
];
const NOBODY: &[(&str, &str)] = &[];

const fn refused(status: u16, reason: &'static str) -> Expect {
    Expect::Refused {
        status,
        reason,
        header: None,
    }
}

const fn refused_with(
    status: u16,
    reason: &'static str,
    header: &'static str,
    value: &'static str,
) -> Expect {
    Expect::Refused {
        status,
        reason,
        header: Some((header, value)),
    }
}

fn none(_: &World) -> Result<Option<String>, DemoError> {
    Ok(None)
}

fn acme(world: &World) -> Result<Option<String>, DemoError> {
    world.token("accounts", "acme-app", None).map(Some)
}

fn billing(world: &World) -> Result<Option<String>, DemoError> {
    world.token("services", "billing", None).map(Some)
}

pub(super) const PLAIN: Step = Step {
    name: "",
    title: "",
    before: None,
    to: Door::Proxy,
    target: "/accounts/acme/usage",
    headers: &[],
    token: acme,
    expect: Expect::Forwarded(ACME),
    why: "",
};

/// All of them, in order: what is learnt about keys in one step matters to the next.
pub(super) const STEPS: &[Step] = &[
    Step {
        name: "no_token",
        title: "No token",
        token: none,
        expect: refused_with(401, "no_token", "www-authenticate", "Bearer realm="),
        why: "everything is closed unless a route opens it; the challenge says what would help",
        ..PLAIN
    },
    Step {
        name: "good_token",
        title: "A good token",
        target: "/whoami",
        why: "signature, issuer, audience and times hold, and the route is for tenants; the token itself stays here, \
              the upstream gets who it is",
        ..PLAIN
    },
    Step {
        name: "public_route",
        title: "A public route, with a token",
        target: "/health",
        expect: Expect::Forwarded(NOBODY),
        why: "`allow: anyone`: the token is not even looked at, and the upstream is told, signed, that nobody was \
              authenticated",
        ..PLAIN
    },
    Step {
        name: "wrong_scope",
        title: "A token without the scope",
        token: |world| {
            world
                .token("accounts", "acme-app", Some("profile"))
                .map(Some)
        },
        expect: refused_with(
            403,
            "scope_missing",
            "www-authenticate",
            "scope=\"usage:read\"",
        ),
        why: "the caller is known and may not; 403 with the scope that is missing, so that nobody fetches tokens in vain",
        ..PLAIN
    },
    Step {
        name: "own_account",
        title: "An account reads its own data",
        why: "the account in the token is the account in the path, byte for byte",
        ..PLAIN
    },
    Step {
        name: "other_account",
        title: "The same token, another account's data",
        target: "/accounts/globex/usage",
        expect: refused(403, "account_mismatch"),
        why: "the token is good and has the scope; the account in the path is another one",
        ..PLAIN
    },
    Step {
        name: "service_across_accounts",
        title: "A service that policy names, across accounts",
        target: "/accounts/globex/usage",
        token: billing,
        expect: Expect::Forwarded(BILLING),
        why: "the very same scope; the policy names this service in an alternative without an account",
        ..PLAIN
    },
    Step {
        name: "spoofed_identity",
        title: "A caller that says who it is",
        target: "/whoami",
        headers: &[
            ("X-AUTH-SUBJECT", "root"),
            ("x_auth_account", "globex"),
            ("X-Auth.Caller", "billing"),
            ("x-auth-assertion", "eyJub3QiOiJ5b3VycyJ9.e30.c2lnbmVk"),
            ("Connection", "x-auth-subject"),
        ],
        why: "every spelling of a reserved header is taken off before ours go on, whatever `Connection` says",
        ..PLAIN
    },
    Step {
        name: "ambiguous_path",
        title: "A path that can be read in two ways",
        target: "/health/..%2faccounts/globex/usage",
        expect: refused(400, "path_dot_segment"),
        why: "some servers would call this /health/…, others /accounts/globex/usage; it is refused, not guessed",
        ..PLAIN
    },
    Step {
        name: "near_miss",
        title: "Almost a protected path",
        target: "/Admin/users",
        expect: refused(403, "near_miss"),
        why: "`/**` would let it through and `/admin/**` is for nobody; many frameworks serve both spellings alike",
        ..PLAIN
    },
    Step {
        name: "sidecar",
        title: "A program that knows nothing of tokens",
        to: Door::Sidecar,
        token: none,
        expect: Expect::Forwarded(BILLING),
        why: "plain HTTP to its own sidecar, which obtains a token for `billing`, keeps it and puts it on; the proxy before \
              the application verifies it like any other, and the application learns who it is",
        ..PLAIN
    },
    Step {
        name: "sidecar_own_token",
        title: "A program that brings a token all the same",
        to: Door::Sidecar,
        expect: refused(400, "authorization_not_allowed"),
        why: "one of two would have to be dropped; `authorization: replace` says that it may be the program's",
        ..PLAIN
    },
    Step {
        name: "sidecar_web_page",
        title: "A web page in a browser of this machine",
        to: Door::Sidecar,
        headers: &[("Origin", "https://evil.example")],
        token: none,
        expect: refused(403, "web_page"),
        why: "who reaches the sidecar speaks with its rights, and a page can make a browser call loopback addresses",
        ..PLAIN
    },
    Step {
        name: "expired",
        title: "An expired token",
        token: |world| {
            world
                .minted("accounts", "acme-app", LIFETIME + 300, false)
                .map(Some)
        },
        expect: refused_with(
            401,
            "token_expired",
            "www-authenticate",
            "error=\"invalid_token\"",
        ),
        why: "the caller learns `invalid_token` and no more; which of the many reasons it was stands in the record",
        ..PLAIN
    },
    Step {
        name: "forged",
        title: "A token that somebody else signed",
        token: |world| world.minted("accounts", "acme-app", 0, true).map(Some),
        expect: refused_with(
            401,
            "token_signature",
            "www-authenticate",
            "error=\"invalid_token\"",
        ),
        why: "right claims, right key id, wrong key; to the caller it looks exactly like the expired one",
        ..PLAIN
    },
    Step {
        name: "key_rotation",
        title: "A new key of the issuer",
        before: Some("the issuer `accounts` rotates its keys; nobody tells the proxy"),
        token: |world| {
            world.realm("accounts")?.rotate()?;
            acme(world)
        },
        why: "an unknown key id makes the proxy ask the issuer once, while the request waits; it works at once",
        ..PLAIN
    },
    Step {
        name: "outage_held_keys",
        title: "The issuer is down, its keys are held",
        before: Some("the issuer `services` goes down; a token of before the outage is used"),
        token: |world| {
            let token = billing(world)?;
            world.realm("services")?.set_down(true);
            Ok(token)
        },
        expect: Expect::Forwarded(BILLING),
        why: "the last good keys serve on, by default for 24 hours; verification never waits for the issuer",
        ..PLAIN
    },
    Step {
        name: "outage_unknown_key",
        title: "The issuer is down, and the key is not known",
        before: Some("still down; a token that a brand-new key signed"),
        token: |world| {
            world.realm("services")?.rotate()?;
            world.minted("services", "billing", 0, false).map(Some)
        },
        expect: refused_with(503, "keys_unavailable", "retry-after", ""),
        why: "it cannot be judged: 503, never 401, since a 401 would make clients throw good tokens away",
        ..PLAIN
    },
    Step {
        name: "outage_other_issuer",
        title: "The other issuer, meanwhile",
        before: Some("`services` is still down"),
        why: "issuers do not affect each other: `accounts` works as if nothing had happened",
        ..PLAIN
    },
    Step {
        name: "sidecar_outage",
        title: "The program without tokens, meanwhile",
        before: Some("`services`, which gives the sidecar its tokens, is still down"),
        to: Door::Sidecar,
        token: none,
        expect: Expect::Forwarded(BILLING),
        why: "the token that the sidecar holds is good for an hour, and the keys that verify it are held as well",
        ..PLAIN
    },
    Step {
        name: "rate_limit_first",
        title: "Once a minute",
        target: "/reports",
        why: "the route allows each principal one request a minute; this is the one",
        ..PLAIN
    },
    Step {
        name: "rate_limit",
        title: "Once too often",
        target: "/reports",
        expect: refused_with(429, "rate_limited", "retry-after", ""),
        why: "counted by principal and over all workers; another token of the same client does not help",
        ..PLAIN
    },
];
