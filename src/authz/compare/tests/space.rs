//! The requests that policies drawn by chance can tell apart, one by one.

use super::random::Topic;
use super::*;

const SEGMENTS: [&str; 5] = ["a", "A", "b", "t", "z"];

/// Who asks, and how.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) witness: Witness,
}

/// A request that is asked of every pair, read once.
pub(super) struct Asked {
    pub(super) witness: Witness,
    pub(super) segments: Vec<String>,
    /// In lower case, without a slash at the end.
    pub(super) spelt: Vec<String>,
    pub(super) kind: Kind,
    pub(super) request: Canonical<()>,
    pub(super) hosted: bool,
    pub(super) extra: bool,
}

pub(super) fn connection(witness: &Witness) -> Arc<Connection> {
    Arc::new(Connection {
        listener: "inbound".into(),
        peer: witness.client,
        tls: false,
        unix: false,
        client_certificate: witness.certificate.clone(),
    })
}

pub(super) fn read(witness: &Witness) -> Canonical<()> {
    let mut request = Request::new(());
    *request.method_mut() = witness.method.clone();
    *request.uri_mut() = witness.target.parse().unwrap();
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_str(&witness.host).unwrap());
    for (name, value) in &witness.headers {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    let (parts, ()) = request.into_parts();
    let rules = RULES.with(Rc::clone);
    Canonical::parse(parts, (), &connection(witness), &rules).unwrap()
}

impl Asking {
    pub(super) fn of(&self, request: &Witness) -> Witness {
        let own = self.witness.clone();
        Witness {
            client: own.client,
            certificate: own.certificate,
            token: own.token,
            second: own.second,
            ..request.clone()
        }
    }
}

fn plain() -> Witness {
    Witness {
        listener: "inbound".into(),
        method: Method::GET,
        target: String::new(),
        host: "z".into(),
        client: IpAddr::from([192, 0, 2, 1]),
        certificate: None,
        headers: Vec::new(),
        token: Presented::None,
        second: Presented::None,
    }
}

fn claims(iss: &str) -> Map<String, Value> {
    let claims = json!({
        "iss": iss,
        "aud": "api",
        "iat": NOW.unix.as_secs(),
        "exp": NOW.unix.as_secs() + 60,
    });
    claims.as_object().unwrap().clone()
}

/// What a token says of a topic: the claim, and what may stand there.
fn said(topic: Topic) -> Option<(&'static str, Vec<Value>)> {
    let (name, values) = match topic {
        Topic::Client => ("azp", json!([null, "c1", "c2", "c3", "c4"])),
        Topic::Subject => ("sub", json!([null, "s1", "s2", "s3"])),
        Topic::Scope => ("scope", json!([null, "r", "w", "q", "r w", "q x"])),
        Topic::Role => ("roles", json!([null, ["r1"], ["r2"], ["r1", "r2"], "r1"])),
        Topic::Group => ("groups", json!([null, ["g1"], ["g2"], ["g1", "g2"]])),
        Topic::Tenant => (
            "tenant",
            json!([null, "a", "t", "z", "Z", true, ["a", "z"], ["t"]]),
        ),
        Topic::Account => ("account", json!([null, "a", "t", "z", "Z", "A", ["a"]])),
        Topic::Address | Topic::Certificate | Topic::Second => return None,
    };
    Some((name, values.as_array().cloned().unwrap_or_default()))
}

type Way = Box<dyn Fn(&mut Witness)>;

/// How a request may come: what it has of a topic beside its token.
fn ways(topic: Topic) -> Vec<Way> {
    let mut all: Vec<Way> = Vec::new();
    match topic {
        Topic::Address => {
            for text in [
                "192.0.2.1",
                "10.9.9.9",
                "10.1.9.9",
                "10.1.2.9",
                "2001:db8::9",
                "fe80::1",
            ] {
                let address: IpAddr = text.parse().unwrap();
                all.push(Box::new(move |witness| witness.client = address));
            }
        }
        Topic::Certificate => {
            all.push(Box::new(|witness| witness.certificate = None));
            let names: [(&[&str], &[&str]); 4] = [
                (&["d1"], &[]),
                (&["d2"], &[]),
                (&["d3"], &["u1"]),
                (&["d1", "d2"], &[]),
            ];
            for (dns, uris) in names {
                let texts = |all: &[&str]| all.iter().map(|own| (*own).to_owned()).collect();
                let own = ClientCertificate {
                    dns: texts(dns),
                    uris: texts(uris),
                    sha256: String::new(),
                };
                all.push(Box::new(move |witness| {
                    witness.certificate = Some(own.clone());
                }));
            }
        }
        Topic::Second => {
            let of = |iss: &str, client: Option<&str>| {
                let mut claims = claims(iss);
                claims.extend(client.map(|client| ("azp".to_owned(), json!(client))));
                Presented::Claims(claims)
            };
            for second in [
                Presented::None,
                Presented::Bad,
                of("https://other", None),
                of("https://other", Some("c1")),
                of("https://main", Some("c1")),
                of("https://main", None),
                of("https://main", Some("c2")),
            ] {
                all.push(Box::new(move |witness| witness.second = second.clone()));
            }
        }
        _ => {}
    }
    all
}

/// All values of what a topic speaks of, put into claims or requests.
fn vary(topic: Topic, all: &[Asking]) -> Vec<Asking> {
    let mut out = Vec::new();
    for asking in all {
        if let Some((name, values)) = said(topic) {
            let Presented::Claims(claims) = &asking.witness.token else {
                out.push(asking.clone());
                continue;
            };
            for value in values {
                let mut claims = claims.clone();
                if !value.is_null() {
                    claims.insert(name.to_owned(), value);
                }
                let mut asking = asking.clone();
                asking.witness.token = Presented::Claims(claims);
                out.push(asking);
            }
        }
        for way in ways(topic) {
            let mut asking = asking.clone();
            way(&mut asking.witness);
            out.push(asking);
        }
    }
    out
}

/// Everybody, so far as the topics tell.
pub(super) fn everybody(topics: &[Topic], extras: bool) -> Vec<Asking> {
    let with = |token: Presented| Asking {
        witness: Witness { token, ..plain() },
    };
    let mut all = vec![
        with(Presented::None),
        with(Presented::Opaque),
        with(Presented::Bad),
        with(Presented::Claims(claims("https://main"))),
        with(Presented::Claims(claims("https://other"))),
    ];
    if extras {
        let mut another = claims("https://main");
        another.insert("client_id".to_owned(), json!("c1"));
        all.push(with(Presented::Claims(another)));
        for iss in ["https://third", "https://another"] {
            all.push(with(Presented::Claims(claims(iss))));
        }
        if !topics.contains(&Topic::Client) {
            let mut known = claims("https://main");
            known.insert("azp".to_owned(), json!("c1"));
            all.push(with(Presented::Claims(known)));
        }
    }
    for topic in topics {
        all = vary(*topic, &all);
    }
    all
}

fn targets() -> Vec<String> {
    let mut all = vec!["/".to_owned()];
    for one in SEGMENTS {
        all.extend([format!("/{one}"), format!("/{one}/")]);
        for other in SEGMENTS {
            all.push(format!("/{one}/{other}"));
        }
    }
    for path in [
        "/a/a/",
        "/a/b/",
        "/a/z/",
        "/A/b/",
        "/z/b/",
        "/z/t/",
        "/b/a/",
        "/a/z/c",
        "/a/z/C",
        "/a/t/c/",
        "/a/z/b",
        "/a/a/t",
        "/a/z/z",
        "/A/z/c",
        "/z/b/z",
        "/b/z/z",
        "/a/b/z/z",
        "/z/z/z/z/",
    ] {
        all.push(path.to_owned());
    }
    all
}

/// Kinds of requests: fields that they have.
fn kinds() -> Vec<(Vec<(&'static str, String)>, Kind)> {
    let mut all = vec![(Vec::new(), Kind::Ordinary)];
    for protocol in ["websocket", "other"] {
        let fields = [("connection", "upgrade"), ("upgrade", protocol)];
        let fields = fields
            .map(|(name, value)| (name, value.to_owned()))
            .to_vec();
        all.push((fields, Kind::Upgrade(protocol.into())));
    }
    for (origin, wanted) in [
        ("https://o", "GET"),
        ("https://p", "POST"),
        ("https://q", "GET"),
        ("https://o", "PUT"),
    ] {
        let fields = [
            ("origin", origin),
            ("access-control-request-method", wanted),
        ];
        let fields = fields
            .map(|(name, value)| (name, value.to_owned()))
            .to_vec();
        let kind = Kind::Preflight {
            origin: origin.into(),
            wanted: wanted.parse().unwrap(),
        };
        all.push((fields, kind));
    }
    all
}

/// Segments in lower case, without a slash at the end.
pub(super) fn spelt(path: &str) -> Vec<String> {
    let path = path.strip_suffix('/').unwrap_or(path).to_ascii_lowercase();
    path.split('/').skip(1).map(str::to_owned).collect()
}

/// All requests, without those who ask.
pub(super) fn requests() -> Vec<Asked> {
    let mut all = Vec::new();
    for target in targets() {
        for host in ["z", "h.x", "k.x", "k.w.x", "w.x"] {
            for (headers, kind) in kinds() {
                let methods: &[Method] = match kind {
                    Kind::Ordinary => &[Method::GET, Method::POST, Method::OPTIONS, Method::PUT],
                    Kind::Upgrade(_) => &[Method::GET],
                    Kind::Preflight { .. } => &[Method::OPTIONS],
                };
                for method in methods {
                    let witness = Witness {
                        method: method.clone(),
                        target: target.clone(),
                        host: host.into(),
                        headers: headers.clone(),
                        ..plain()
                    };
                    all.push(Asked {
                        request: read(&witness),
                        segments: target.split('/').skip(1).map(str::to_owned).collect(),
                        spelt: spelt(&target),
                        witness,
                        hosted: host != "z",
                        extra: kind != Kind::Ordinary,
                        kind: kind.clone(),
                    });
                }
            }
        }
    }
    all
}
