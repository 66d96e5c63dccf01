//! Outbound listeners: a program that knows nothing of tokens, and an upstream that wants one (rows A4, A6, A8, A9).

mod attach;
mod guests;
mod location;

mod replay;
mod several;
mod streams;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::bed::upstream::Exchange;
use crate::bed::{Bed, Captured, Request, Setup, TokenEndpoint, Upstream};

/// The first lines, with one outbound listener; tests say more of it.
const HEAD: &str = "
workers: @WORKERS@
admin: {listen: 127.0.0.1:0}
drain: {delay: 0s, deadline: 1s}
outbound:
  - name: plain
    listen: 127.0.0.1:0
    upstream: @UPSTREAM@
    credential: agent
";

/// A proxy with one outbound listener, `lines` of it beside where it listens and leads, and a credential of `endpoint`.
pub(crate) fn setup(endpoint: &TokenEndpoint, lines: &str) -> Setup {
    let own: String = lines
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| format!("    {line}\n"))
        .collect();
    with_listeners(endpoint, &format!("{HEAD}{own}"))
}

/// The same with whatever listeners.
fn with_listeners(endpoint: &TokenEndpoint, head: &str) -> Setup {
    Setup::bare(&credentials(endpoint))
        .head_only(head)
        .file("client-secret", SECRET)
}

/// What the client shows to the token endpoint.
pub const SECRET: &str = "Zm91cnRlZW4gYnl0ZXMgYW5kIG1vcmU";

fn credentials(endpoint: &TokenEndpoint) -> String {
    crate::bed::secrets::learn("a client secret", SECRET);
    format!(
        "credentials:\n  agent:\n    token_endpoint: {{url: {}}}\n    allow_http: true\n    client_id: agent\n    \
         client_authentication: {{client_secret_basic: {{file: \"@DIR@/client-secret\"}}}}\n",
        endpoint.url()
    )
}

/// A request as a local program makes it.
pub(crate) fn get(target: &str) -> Request {
    Request::get(target).host("127.0.0.1")
}

fn post(target: &str, body: impl AsRef<[u8]>) -> Request {
    Request::post(target, body).host("127.0.0.1")
}

/// The value of `Authorization` with the endpoint's token `number`, from 1.
fn bearer(endpoint: &TokenEndpoint, number: usize) -> String {
    format!("Bearer {}", endpoint.issued()[number - 1])
}

/// The number of the token that a request brought; 0 when it brought none.
fn token_number(request: &Captured) -> usize {
    request
        .header("authorization")
        .and_then(|value| value.strip_prefix("Bearer at-"))
        .and_then(|token| token.split('-').next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

/// Answers 401 to tokens before the one of this number, and echoes for others.
#[derive(Clone, Default)]
pub(crate) struct From(Arc<AtomicUsize>);

impl From {
    pub(crate) fn token(number: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(number)))
    }

    fn set(&self, number: usize) {
        self.0.store(number, Ordering::SeqCst);
    }

    fn takes(&self, exchange: &Exchange<'_>) -> bool {
        token_number(&exchange.request) >= self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn upstream(&self) -> Upstream {
        let from = self.clone();
        Upstream::scripted(move |exchange| {
            exchange.body()?;
            if from.takes(exchange) {
                exchange.echo()
            } else {
                exchange.answer(
                    401,
                    "www-authenticate: Bearer error=\"invalid_token\"\r\n",
                    b"no",
                )
            }
        })
    }
}

/// The record of the last request, once there are `n`.
fn record(bed: &Bed, n: usize) -> serde_json::Value {
    bed.proxy.await_records(n).pop().expect("a record")
}
