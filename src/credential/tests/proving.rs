//! How a client shows who it is: assertions that are never sent twice, files that change, certificates.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

const PEM: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/keys/es256-1.pem"
));

fn private_key(audience: Option<&str>) -> ClientAuthentication {
    let secret = Secret::new(PEM.as_bytes().to_vec(), None);
    ClientAuthentication::PrivateKey {
        key: ClientKey::parse(&secret, None).unwrap(),
        kid: None,
        audience: audience.map(str::to_owned),
    }
}

/// What a request holds under `name`, once.
fn member(idp: &Idp, request: usize, name: &str) -> Option<String> {
    let mut found = form(idp, request)
        .into_iter()
        .filter(|(key, _)| key == name);
    let (_, value) = found.next()?;
    assert!(found.next().is_none(), "{name} twice");
    Some(value)
}

fn claims(idp: &Idp, request: usize) -> serde_json::Value {
    let assertion = member(idp, request, "client_assertion").unwrap();
    let piece = assertion.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(piece).unwrap()).unwrap()
}

#[tokio::test]
async fn a2_an_assertion_is_never_sent_twice_whatever_becomes_of_it() {
    let idp = Idp::start().await;
    let mut settings = settings(&idp);
    settings.authentication = private_key(None);
    idp.reply_at("/token", refusal(401, "invalid_client"));
    let world = World::with(settings).await;
    let replies = [
        Reply::Reset,
        Reply::Status(503, ""),
        refusal(400, "invalid_request"),
        token("one", 300),
        token("two", 300),
        Reply::Reset,
    ];
    for reply in replies {
        idp.reply_at("/token", reply);
        world.next_request().await;
    }
    let mut ids = HashSet::new();
    for request in 0..7 {
        let kind = member(&idp, request, "client_assertion_type");
        let expected = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        assert_eq!(kind.as_deref(), Some(expected));
        assert_eq!(member(&idp, request, "client_id").as_deref(), Some("agent"));
        assert_eq!(member(&idp, request, "client_secret"), None);
        let claims = claims(&idp, request);
        assert!(ids.insert(claims["jti"].to_string()), "request {request}");
        assert_eq!(claims["aud"], idp.url("/token"));
    }
    assert_eq!(idp.requests(), 7);
}

#[tokio::test]
async fn a2_the_audience_is_the_issuer_where_it_is_known() {
    const METADATA: &str = "/.well-known/openid-configuration";
    let idp = Idp::start().await;
    idp.reply_at("/token", token("one", 300));
    let issuer = idp.url("");
    let document = serde_json::json!({"issuer": issuer, "token_endpoint": idp.url("/token")});
    idp.reply_at(METADATA, Reply::Ok(JSON, document.to_string().into_bytes()));
    let mut settings = settings(&idp);
    settings.endpoint = TokenEndpoint::Discover {
        issuer: issuer.clone(),
    };
    settings.authentication = private_key(None);
    World::with(settings.clone()).await;
    assert_eq!(claims(&idp, 1)["aud"], issuer);
    settings.authentication = private_key(Some("https://id.example.org"));
    World::with(settings).await;
    assert_eq!(claims(&idp, 3)["aud"], "https://id.example.org");
}

#[tokio::test]
async fn a2_a_projected_token_is_read_for_every_request_and_a_missing_one_is_told() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("token");
    let idp = Idp::start().await;
    idp.reply_at("/token", token("one", 300));
    let mut settings = settings(&idp);
    settings.client_id = None;
    settings.authentication = ClientAuthentication::AssertionFile(path.clone());
    let world = World::with(settings).await;
    let status = world.status();
    assert_eq!(
        status.last_error.as_deref(),
        Some("client assertion file: no such file")
    );
    assert_eq!(status.requests_internal, 1);
    assert_eq!(idp.requests(), 0);
    for (request, assertion) in ["a.b.c", "d.e.f"].into_iter().enumerate() {
        std::fs::write(&path, assertion).unwrap();
        world.next_request().await;
        let sent = member(&idp, request, "client_assertion");
        assert_eq!(sent.as_deref(), Some(assertion));
        assert_eq!(member(&idp, request, "client_id"), None);
    }
}

struct Authority {
    pem: Vec<u8>,
    key: Vec<u8>,
    certificate: rustls::pki_types::CertificateDer<'static>,
}

fn authority(name: &str) -> Authority {
    let own = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    Authority {
        pem: own.cert.pem().into_bytes(),
        key: own.signing_key.serialize_pem().into_bytes(),
        certificate: own.cert.der().clone(),
    }
}

/// A server that asks for the certificate of `client`.
fn acceptor(server: &Authority, client: Option<&Authority>) -> tokio_rustls::TlsAcceptor {
    use rustls::pki_types::pem::PemObject as _;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(client.certificate.clone()).unwrap();
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
                Arc::new(roots),
                provider,
            );
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(&server.key).unwrap();
    let config = builder
        .with_single_cert(vec![server.certificate.clone()], key)
        .unwrap();
    Arc::new(config).into()
}

fn over_tls(idp: &Idp, ca: Option<&Authority>) -> CredentialSettings {
    let mut settings = settings(idp);
    let port = idp.address.port();
    settings.endpoint = TokenEndpoint::Url(format!("https://localhost:{port}/token"));
    settings.allow_http = false;
    settings.ca = ca.map(|ca| Secret::new(ca.pem.clone(), None));
    settings
}

#[tokio::test]
async fn a5_a_secret_goes_only_to_a_server_whose_certificate_is_right() {
    let (good, other, misnamed) = (
        authority("localhost"),
        authority("localhost"),
        authority("elsewhere.example"),
    );
    for (name, server, ca, works) in [
        ("right ca", &good, Some(&good), true),
        ("other ca", &good, Some(&other), false),
        ("other name", &misnamed, Some(&misnamed), false),
        ("platform's roots", &good, None, false),
    ] {
        let idp = Idp::start_with(Some(acceptor(server, None))).await;
        idp.reply_at("/token", token("one", 300));
        let world = World::with(over_tls(&idp, ca)).await;
        assert_eq!(world.held().is_some(), works, "{name}");
        assert_eq!(idp.requests(), usize::from(works), "{name}");
    }
}

#[tokio::test]
async fn a1_a_certificate_shows_who_we_are() {
    let (server, client, stranger) = (
        authority("localhost"),
        authority("agent"),
        authority("agent"),
    );
    for (name, shown, works) in [
        ("ours", Some(&client), true),
        ("another", Some(&stranger), false),
        ("none", None, false),
    ] {
        let idp = Idp::start_with(Some(acceptor(&server, Some(&client)))).await;
        idp.reply_at("/token", token("one", 300));
        let mut settings = over_tls(&idp, Some(&server));
        if let Some(shown) = shown {
            settings.authentication = ClientAuthentication::Certificate {
                certificate: Secret::new(shown.pem.clone(), None),
                key: Secret::new(shown.key.clone(), None),
            };
        }
        let world = World::with(settings).await;
        assert_eq!(world.held().is_some(), works, "{name} {:?}", world.status());
        if works {
            assert_eq!(member(&idp, 0, "client_id").as_deref(), Some("agent"));
            assert!(!idp.head(0).to_ascii_lowercase().contains("authorization:"));
        }
    }
}

#[tokio::test]
async fn a1_a_certificate_is_shown_where_the_metadata_says_that_it_counts() {
    const METADATA: &str = "/.well-known/openid-configuration";
    let (server, client) = (authority("localhost"), authority("agent"));
    for (certified, expected) in [(true, "/with-certificate"), (false, "/token")] {
        let idp = Idp::start_with(Some(acceptor(&server, None))).await;
        let issuer = format!("https://localhost:{}", idp.address.port());
        let document = serde_json::json!({
            "issuer": issuer,
            "token_endpoint": format!("{issuer}/token"),
            "mtls_endpoint_aliases": {"token_endpoint": format!("{issuer}/with-certificate")},
        });
        idp.reply_at(METADATA, Reply::Ok(JSON, document.to_string().into_bytes()));
        idp.reply_at(expected, token("one", 300));
        let mut settings = over_tls(&idp, Some(&server));
        settings.endpoint = TokenEndpoint::Discover { issuer };
        if certified {
            settings.authentication = ClientAuthentication::Certificate {
                certificate: Secret::new(client.pem.clone(), None),
                key: Secret::new(client.key.clone(), None),
            };
        }
        let world = World::with(settings).await;
        assert_eq!(world.held().as_deref(), Some("Bearer one"));
        assert_eq!(idp.paths(), [METADATA, expected]);
    }
}
