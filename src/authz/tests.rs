use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, CONNECTION, HOST, ORIGIN, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;

use super::*;
use crate::authn::{
    Audiences, ClaimMappings, ClaimPath, Claims, Issuer, IssuerSettings, KeyCell, KeyIdRule,
    Thumbprint, TokenSources, Verified,
};
use crate::clock::Tick;
use crate::proxy::{CorsSettings, Preflight};
use crate::rejection::{Malformed, PathFault, Refusal, TokenFault};
use crate::request::{ClientCertificate, Connection, PathAllowances, RequestRules};

mod accounts;
mod attacks;
mod conditions;
mod implies;
mod requests;

const NOW: Now = Now {
    unix: UnixTime::from_secs(1_800_000_000),
    tick: Tick::from_nanos(1_000_000_000),
};

/// A request to be made: what tests vary of a head.
#[derive(Clone)]
struct Ask {
    method: Method,
    target: String,
    host: &'static str,
    headers: HeaderMap,
    client: &'static str,
    upgrade: Option<&'static str>,
    certificate: Option<ClientCertificate>,
}

fn ask(method: &str, target: &str) -> Ask {
    Ask {
        method: method.parse().unwrap(),
        target: target.to_owned(),
        host: "api.example.org",
        headers: HeaderMap::new(),
        client: "192.0.2.1",
        upgrade: None,
        certificate: None,
    }
}

impl Ask {
    fn header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.append(name, HeaderValue::from_static(value));
        self
    }

    /// The request as it is read; it may be refused before policy.
    fn read(mut self) -> Result<Canonical<()>, Rejection> {
        let mut request = http::Request::new(());
        *request.method_mut() = self.method;
        *request.uri_mut() = self.target.parse().unwrap();
        self.headers
            .insert(HOST, HeaderValue::from_static(self.host));
        if let Some(protocol) = self.upgrade {
            self.headers
                .insert(CONNECTION, HeaderValue::from_static("upgrade"));
            self.headers
                .insert(UPGRADE, HeaderValue::from_static(protocol));
        }
        *request.headers_mut() = self.headers;
        let connection = Arc::new(Connection {
            listener: "inbound".into(),
            peer: self.client.parse().unwrap(),
            tls: false,
            unix: false,
            client_certificate: self.certificate,
        });
        let (parts, ()) = request.into_parts();
        Canonical::parse(parts, (), &connection, &RequestRules::default())
            .map_err(|refused| refused.rejection().clone())
    }

    fn route(self, policy: &Policy) -> Result<Routed<()>, Rejection> {
        let routed = self.read()?.route(policy, NOW);
        routed.map_err(|refused| refused.rejection().clone())
    }

    /// The caller's name, or why not.
    fn decide(self, policy: &Policy, principal: Principal) -> Result<Option<String>, Rejection> {
        self.decide_with(policy, principal, None)
    }

    fn decide_with(
        self,
        policy: &Policy,
        principal: Principal,
        actor: Option<Rc<Verified>>,
    ) -> Result<Option<String>, Rejection> {
        let known = Known::for_test(self.route(policy)?, principal, actor);
        match known.authorize(NOW) {
            Ok(allowed) => Ok(allowed.caller().map(ToString::to_string)),
            Err(refused) => Err(refused.rejection().clone()),
        }
    }

    /// The name of the route that owns the request.
    fn owner(self, policy: &Policy) -> Result<String, Rejection> {
        self.route(policy)
            .map(|routed| routed.route().name().to_string())
    }
}

fn issuer(name: &str, kubernetes: bool) -> Arc<Issuer> {
    Arc::new(Issuer::new(
        IssuerSettings {
            name: name.into(),
            issuers: vec![format!("https://{name}.example.org")],
            audiences: Audiences::Unchecked,
            clients: None,
            algorithms: Vec::new(),
            leeway: Duration::from_secs(60),
            required_claims: Vec::new(),
            token_types: Vec::new(),
            max_lifetime: None,
            kubernetes,
            claim_mappings: ClaimMappings::default(),
            scope_implies: BTreeMap::new(),
            key_id: KeyIdRule::Required,
            token_sources: TokenSources::default(),
            token_bytes: 16 * 1024,
            dpop: None,
        },
        Arc::<KeyCell>::default(),
    ))
}

/// A verified token of an issuer; tests change what they are about.
fn token(of: &str, change: impl FnOnce(&mut Verified)) -> Principal {
    let mut verified = Verified {
        issuer: issuer(of, of == "cluster"),
        thumbprint: Thumbprint([0; 32]),
        claims: Claims::parse(b"{}").unwrap(),
        subject: Some("someone".into()),
        client: None,
        account: None,
        scopes: Vec::new(),
        roles: Vec::new(),
        groups: Vec::new(),
        issued_at: None,
        not_before: None,
        expires: NOW.unix.plus(300),
        confirmation: None,
        prepared: RefCell::default(),
    };
    change(&mut verified);
    Principal::Known(Rc::new(verified))
}

fn client(of: &str, name: &str) -> Principal {
    token(of, |token| token.client = Some(name.into()))
}

fn texts(values: &[&str]) -> Vec<Box<str>> {
    values.iter().map(|value| (*value).into()).collect()
}

fn caller(name: &str, issuer: &str, conditions: Vec<Condition>) -> Caller {
    Caller {
        name: name.into(),
        issuer: issuer.into(),
        conditions,
    }
}

fn rules(alternatives: Vec<Alternative>) -> Access {
    Access::Rules {
        anonymous: false,
        opaque: false,
        alternatives,
    }
}

fn route(name: &str, paths: &[&str], access: Access) -> RouteSettings {
    let paths = paths
        .iter()
        .map(|path| PathPattern::parse(path).expect(path));
    RouteSettings::new(name, paths.collect(), MethodTable::Every(access))
}

fn table(rows: Vec<(&[&str], Access)>) -> MethodTable {
    let row = |(methods, access): (&[&str], Access)| MethodRow {
        methods: methods
            .iter()
            .map(|method| method.parse().unwrap())
            .collect(),
        access,
    };
    MethodTable::Rows(rows.into_iter().map(row).collect())
}

fn policy(routes: impl IntoIterator<Item = RouteSettings>) -> Policy {
    policy_with(None, routes)
}

fn policy_with(
    cors: Option<CorsSettings>,
    routes: impl IntoIterator<Item = RouteSettings>,
) -> Policy {
    let mut builder = PolicyBuilder::new(&RateLimits::default());
    builder.listener(&"inbound".into(), cors);
    builder.listener(&"other".into(), None);
    for settings in routes {
        builder.route(settings).unwrap();
    }
    builder.build().at(7)
}

/// The SmartEM policy of the configuration's documentation.
fn smartem() -> Policy {
    let user = caller(
        "user",
        "dls",
        vec![Condition::Client(texts(&["SmartEM_User"]))],
    );
    let agent = caller(
        "agent",
        "dls",
        vec![Condition::Client(texts(&["SmartEM_Agent"]))],
    );
    let of = |caller: &Caller| Alternative::of_caller(caller, []);
    let mut rest = route("rest", &["/**"], Access::Nobody);
    rest.table = table(vec![
        (&["GET", "HEAD"], rules(vec![of(&user), of(&agent)])),
        (&["POST", "PUT", "DELETE"], rules(vec![of(&agent)])),
    ]);
    policy([
        route(
            "exempt",
            &["/health", "/status", "/docs", "/openapi.json"],
            Access::Anyone,
        ),
        route("debug", &["/debug/**"], Access::Nobody),
        route("agent", &["/agent/{agent}/**"], rules(vec![of(&agent)])),
        rest,
    ])
}
