//! `answers`.

use super::Need::Optional;
use super::common::{VISIBLE, WEB_URL};
use super::{Block, Key, Shape};

const ANSWER: Shape = Shape::Block(&ANSWER_KIND);

/// One of `answers`.
pub(crate) static ANSWERS: Block = Block {
    name: "answers",
    doc: "How refusals are worded.",
    keys: &[
        Key::new(
            "body",
            &Shape::Json,
            Optional,
            "A JSON body; `{message}`, `{status}`, `{reason}` and `{request_id}` in its strings are filled in.",
            "{error: \"{message}\"}",
        ),
        Key::new(
            "realm",
            &VISIBLE,
            Optional,
            "`realm` of the challenge.",
            "api",
        ),
        Key::new(
            "resource_metadata",
            &WEB_URL,
            Optional,
            "`resource_metadata` of the challenge (RFC 9728).",
            "https://api.example.org/.well-known/oauth-protected-resource",
        ),
        Key::new(
            "no_token",
            &ANSWER,
            Optional,
            "No credential (401).",
            "{message: missing bearer token}",
        ),
        Key::new(
            "invalid_token",
            &ANSWER,
            Optional,
            "A credential that does not hold (401).",
            "{message: invalid token}",
        ),
        Key::new(
            "refused",
            &ANSWER,
            Optional,
            "Policy refuses (403).",
            "{status: 401, message: unauthorized principal}",
        ),
        Key::new(
            "unavailable",
            &ANSWER,
            Optional,
            "We cannot judge, or are at a limit (503).",
            "{message: try again}",
        ),
        Key::new(
            "rate_limited",
            &ANSWER,
            Optional,
            "Too many requests (429).",
            "{message: rate_limited}",
        ),
        Key::new(
            "bad_request",
            &ANSWER,
            Optional,
            "What could be read in two ways or is no HTTP (400 and its kin).",
            "{message: bad request}",
        ),
        Key::new(
            "upstream",
            &ANSWER,
            Optional,
            "The upstream refused, broke or was late (502, 504).",
            "{message: upstream failed}",
        ),
    ],
};

/// One kind of refusal.
pub(crate) static ANSWER_KIND: Block = Block {
    name: "answer",
    doc: "The wording of one kind of refusal.",
    keys: &[
        Key::new(
            "status",
            &Shape::Number {
                least: 401,
                most: 404,
            },
            Optional,
            "Another status: 403 for a 401, 401 or 404 for a 403. Others have a meaning that clients act on, and stay.",
            "401",
        ),
        Key::new(
            "message",
            &VISIBLE,
            Optional,
            "What `{message}` becomes.",
            "unauthorized principal",
        ),
    ],
};
