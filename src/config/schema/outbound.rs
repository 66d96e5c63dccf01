//! `outbound`.

use super::Need::{Default, Optional, Required};
use super::common::{FLAG, M, NAME};
use super::{Block, Format, Key, LIMITS, Shape, TIMEOUTS, TLS, UPSTREAM};

/// One of `outbound`.
pub(crate) static OUTBOUND: Block = Block {
    name: "outbound",
    doc: "A listener for programs that cannot obtain tokens: it attaches the access token of a credential and forwards to one upstream, whatever `Host` and target say. Its callers are not authenticated. A change of `listen` needs a restart.",
    keys: &[
        Key::new(
            "name",
            &NAME,
            Default("outbound"),
            "The name that logs and metrics use. Required where there are several.",
            "smartem",
        ),
        Key::new(
            "listen",
            &Shape::Text(Format::Listen),
            Required,
            "Where it binds: ADDRESS:PORT or unix:/path. Loopback or a Unix socket, unless `allow_non_loopback` is written.",
            "127.0.0.1:9100",
        ),
        Key::new(
            "allow_non_loopback",
            &FLAG,
            Default("false"),
            "Lets whoever reaches the address speak with the credential's rights.",
            "true",
        ),
        Key::new(
            "upstream",
            &Shape::Either(&[Shape::Text(Format::Upstream), Shape::Block(&UPSTREAM)]),
            Required,
            "Where requests go, as for `inbound`. The upstream is told its own name as `Host`.",
            "https://smartem.example.org",
        ),
        Key::new(
            "credential",
            &NAME,
            Required,
            "The credential whose access token is attached.",
            "agent",
        ),
        Key::new(
            "paths",
            &Shape::List(&Shape::Text(Format::PathPattern)),
            Optional,
            "What callers may reach: paths, matched as those of routes, by any method; ambiguous ones are refused. The whole upstream when absent, and paths then pass as they come.",
            "[/agent/**, /status]",
        ),
        Key::new(
            "authorization",
            &Shape::Words(&["refuse", "replace"]),
            Default("refuse"),
            "What becomes of an `Authorization` that the caller sends: `refuse` answers 400, `replace` drops it. It never passes.",
            "replace",
        ),
        Key::new(
            "rewrite_location",
            &FLAG,
            Default("false"),
            "Absolute redirects of the upstream to itself (`Location`, `Content-Location`) lead back to the listener, as the caller calls it.",
            "true",
        ),
        Key::new(
            "replay_body",
            &Shape::Text(Format::Size { least: 0, most: M }),
            Default("64KiB"),
            "A request that the upstream answers with 401 is sent again, once, with a new token, if it has no body or one of at most so many bytes. They are kept until the answer begins, for each request in flight; 0 keeps none.",
            "16KiB",
        ),
        Key::new(
            "hosts",
            &Shape::ListOrNone(&Shape::Text(Format::HostPattern)),
            Optional,
            "Further hosts that callers may ask for, beside loopback addresses, `localhost` and the upstream's own. Others are refused with 421: a web page can reach a loopback address under a name of its own.",
            "[sidecar.internal]",
        ),
        Key::new(
            "tls",
            &Shape::Block(&TLS),
            Optional,
            "TLS towards callers; plain text when absent. Reloaded when the files change.",
            "{certificate: {file: /tls/tls.crt}, key: {file: /tls/tls.key}}",
        ),
        Key::new(
            "limits",
            &Shape::Block(&LIMITS),
            Optional,
            "Sizes and counts.",
            "{connections: 256}",
        ),
        Key::new(
            "timeouts",
            &Shape::Block(&TIMEOUTS),
            Optional,
            "Deadlines.",
            "{upstream_connect: 5s}",
        ),
    ],
};
