//! Redirects of the upstream to itself lead back through the listener (A9).

use super::{get, setup};
use crate::bed::h2_client::H2Connection;
use crate::bed::{Bed, Request, TokenEndpoint, Upstream};

/// Answers as FastAPI does where a slash is missing: with an absolute URL made of the `Host` that it was sent.
fn fastapi() -> Upstream {
    Upstream::scripted(|exchange| {
        let host = exchange
            .request
            .header("host")
            .unwrap_or_default()
            .to_owned();
        match exchange.request.target.as_str() {
            "/agent" => {
                let headers = format!(
                    "location: http://{host}/agent/?from=agent\r\ncontent-location: http://{host}/here\r\n"
                );
                exchange.answer(307, &headers, b"")
            }
            "/elsewhere" => exchange.answer(307, "location: https://id.example.org/login\r\n", b""),
            "/relative" => exchange.answer(307, "location: /agent/\r\n", b""),
            "/created" => {
                let headers = format!("location: http://{host}/agent/7\r\n");
                exchange.answer(201, &headers, b"")
            }
            _ => exchange.echo(),
        }
    })
}

fn location(bed: &Bed, request: &Request) -> String {
    let answer = bed.send(request);
    answer.header("location").unwrap_or_default().to_owned()
}

#[test]
fn a9_a_redirect_of_the_upstream_to_itself_leads_back_to_the_caller() {
    let endpoint = TokenEndpoint::start();
    let bed = setup(
        &endpoint,
        "rewrite_location: true\nhosts: [sidecar.internal]",
    )
    .upstream(fastapi())
    .start();
    let listener = bed.proxy.addr().to_string();
    for host in [listener.as_str(), "localhost:9100", "sidecar.internal"] {
        let request = get("/agent").host(host);
        assert_eq!(
            location(&bed, &request),
            format!("http://{host}/agent/?from=agent")
        );
        let answer = bed.send(&request);
        assert_eq!(answer.status, 307);
        assert_eq!(
            answer.header("content-location"),
            Some(&*format!("http://{host}/here"))
        );
    }
    assert_eq!(
        location(&bed, &get("/created").host("localhost")),
        "http://localhost/agent/7"
    );
    assert_eq!(
        location(&bed, &get("/elsewhere")),
        "https://id.example.org/login"
    );
    assert_eq!(location(&bed, &get("/relative")), "/agent/");
    // Followed, it leads to the upstream, with a token.
    let led = location(&bed, &get("/agent").host(&listener));
    let target = led
        .strip_prefix(&format!("http://{listener}"))
        .expect("the listener");
    assert_eq!(bed.send(&get(target).host(&listener)).status, 200);
    let last = bed.upstream.requests().pop().expect("a request");
    assert_eq!(last.target, "/agent/?from=agent");
    assert!(super::token_number(&last) > 0);
    let http2 = H2Connection::plain(bed.proxy.addr());
    let answer = http2
        .exchange(&get("/agent").host("localhost:1"))
        .expect("an answer");
    assert_eq!(
        answer.header("location"),
        Some("http://localhost:1/agent/?from=agent")
    );
}

#[test]
fn a9_it_is_off_unless_it_is_asked_for() {
    let endpoint = TokenEndpoint::start();
    let bed = setup(&endpoint, "").upstream(fastapi()).start();
    let own = bed.upstream.url();
    assert_eq!(
        location(&bed, &get("/agent")),
        format!("{own}/agent/?from=agent")
    );
}
