//! Who asks, and what.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use http_body_util::{Either, Full};

use crate::answered;
use crate::client::{Answer, Client, Payload, get, post, request};
use crate::tokens::{self, ED25519, ES256, ISSUER, Maker, RS256, Random};
use crate::upstream::Pieces;

/// How many tokens come again and again.
const KNOWN: u64 = 240;

/// Three in four verifications are of RS256, as most issuers sign.
const KIDS: [&str; 8] = [RS256, RS256, ES256, RS256, RS256, ED25519, RS256, RS256];

/// Who asks, and what.
pub struct Callers {
    maker: Maker,
    pub known: Vec<String>,
    refused: Vec<String>,
    random: Cell<u64>,
    /// Requests so far.
    pub asked: Cell<u64>,
}

impl Callers {
    pub fn new() -> Self {
        let maker = Maker::new();
        let good = |number| Claims::default().of(&maker, number);
        let cut = |token: &str, end: &str| {
            let (signed, _) = token.rsplit_once('.').expect("a token");
            format!("{signed}.{end}")
        };
        let nested = tokens::b64("[".repeat(3000));
        let header = tokens::b64(r#"{"alg":"RS256","kid":"rs256"}"#);
        let made = |claims: Claims| claims.of(&maker, 0);
        let refused = vec![
            made(Claims {
                left: -600,
                ..Claims::default()
            }),
            made(Claims {
                audience: "another",
                ..Claims::default()
            }),
            made(Claims {
                issuer: "https://else.example.org",
                ..Claims::default()
            }),
            cut(&good(0), &tokens::b64([7; 256])),
            cut(&good(2), &tokens::b64([7; 64])),
            cut(&good(5), &tokens::b64([7; 64])),
            maker.forged("HS256", RS256, &[7; 32]),
            maker.forged("none", RS256, &[]),
            maker.forged("RS256", "nobody's", &[7; 256]),
            "no token at all".replace(' ', "."),
            "x".repeat(400),
            ".".repeat(4000),
            format!("{header}.{nested}.c2ln"),
        ];
        Self {
            known: (0..KNOWN).map(good).collect(),
            refused,
            maker,
            random: Cell::new(1),
            asked: Cell::new(0),
        }
    }

    /// Takes one of the requests that are left.
    pub fn next(&self, left: &Cell<u64>) -> bool {
        let any = left.get() > 0;
        if any {
            left.set(left.get() - 1);
            self.asked.set(self.asked.get() + 1);
        }
        any
    }

    /// Until the connection or the number of requests ends.
    pub async fn one_after_another(&self, mut client: Client, left: &Cell<u64>) {
        while self.next(left) {
            let (status, asked) = self.choose();
            let answer = answered(client.exchange(asked).await, status);
            if answer.closes() {
                return;
            }
        }
    }

    pub async fn beside_each_other(
        self: &Rc<Self>,
        client: Client,
        wide: u64,
        left: &Rc<Cell<u64>>,
    ) {
        let mut lanes = Vec::new();
        for _ in 0..wide {
            let mut stream = client.stream().expect("HTTP/2");
            let (callers, left) = (Rc::clone(self), Rc::clone(left));
            lanes.push(tokio::task::spawn_local(async move {
                while callers.next(&left) {
                    let (status, asked) = callers.choose();
                    let answer = match stream.send(asked).await {
                        Ok(response) => Answer::whole(response).await,
                        Err(failure) => Err(failure),
                    };
                    answered(answer, status);
                }
            }));
        }
        for lane in lanes {
            lane.await.expect("a lane");
        }
    }

    fn draw(&self, most: u64) -> u64 {
        let mut random = Random(self.random.get());
        let drawn = random.below(most);
        self.random.set(random.0);
        drawn
    }

    /// What is asked, and the status of the answer. Two thirds are callers that were seen before.
    fn choose(&self) -> (u16, Request<Payload>) {
        let known = &self.known[self.draw(KNOWN) as usize];
        let good = Some(known.as_str());
        let (status, mut asked) = match self.draw(100) {
            0..50 => (
                200,
                get("/accounts/acme/usage?from=2026-01-01&to=2026-02-01", good),
            ),
            50..54 => (
                200,
                get(&format!("/service3/items/{}/part3", self.draw(1000)), good),
            ),
            54..62 => {
                let size = [20, 300, 2000, 20_000][self.draw(4) as usize];
                (200, post("/orders", good, vec![b'x'; size]))
            }
            62..64 => {
                let body = Pieces::new(Bytes::from_static(b"{\"one\": \"of some pieces\"}"), 5);
                (
                    200,
                    request(Method::POST, "/orders", good, Either::Right(body)),
                )
            }
            64..66 => (200, get("/pieces", good)),
            66..70 => (200, get("/health", None)),
            70..78 => {
                let token = Claims::default().of(&self.maker, KNOWN + self.asked.get());
                (200, get("/accounts/acme/usage", Some(&token)))
            }
            78..82 => (401, get("/orders", None)),
            82..89 => {
                let refused = &self.refused[self.draw(self.refused.len() as u64) as usize];
                (401, get("/orders", Some(refused)))
            }
            89..91 => (403, get("/admin/users", good)),
            91..92 => (403, get("/accounts/other/usage", good)),
            92..93 => (403, get("/internal/x", good)),
            93..94 => (405, empty(Method::DELETE, "/orders", good)),
            94..95 => (400, get("/open/%2e%2e/orders", good)),
            95..96 => (400, get("/orders/a%2fb", good)),
            96..97 => (401, empty(Method::OPTIONS, "/orders", None)),
            97..98 => (500, get("/error", good)),
            98..99 => (502, get("/reset", good)),
            _ => (200, empty(Method::HEAD, "/health", None)),
        };
        dress(&mut asked);
        (status, asked)
    }
}

/// What browsers and tracing add.
fn dress(asked: &mut Request<Payload>) {
    for (name, value) in [
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
        ),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, br"),
        ("x-forwarded-for", "192.0.2.7"),
        ("origin", "https://app.example.org"),
        (
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
        ("cookie", "session=0123456789abcdef; theme=dark"),
    ] {
        asked
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
}

fn empty(method: Method, target: &str, token: Option<&str>) -> Request<Payload> {
    request(method, target, token, Either::Left(Full::default()))
}

/// What a token says, as one of Keycloak's.
struct Claims {
    issuer: &'static str,
    audience: &'static str,
    left: i64,
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            issuer: ISSUER,
            audience: "api",
            left: 3600,
        }
    }
}

impl Claims {
    /// The token of the caller of this number.
    fn of(&self, maker: &Maker, number: u64) -> String {
        let Self {
            issuer,
            audience,
            left,
        } = self;
        let (iat, exp) = (maker.iat.min(maker.iat + left - 1), maker.iat + left);
        let claims = format!(
            r#"{{"exp":{exp},"iat":{iat},"jti":"0f2c8b1e-{number:08x}","iss":"{issuer}","aud":["{audience}","account"],"sub":"f:4f2c:{number}","typ":"Bearer","azp":"web","sid":"7d5c1a9e-2b3f","acr":"1","account":"acme","allowed-origins":["https://app.example.org"],"realm_access":{{"roles":["offline_access","uma_authorization","default-roles"]}},"resource_access":{{"account":{{"roles":["manage-account","view-profile"]}}}},"scope":"openid read profile email","email_verified":true,"name":"Alice \u00c4rm","preferred_username":"alice{number}","email":"alice@example.org"}}"#
        );
        maker.signed(KIDS[(number % 8) as usize], &claims)
    }
}
