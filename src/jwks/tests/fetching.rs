//! What goes over the wire: discovery, TLS, headers, proxies.

use super::*;
use crate::config::Secret;

#[tokio::test]
async fn invariant_45_a_fetch_sends_no_credentials_and_asks_for_no_compression() {
    let idp = Idp::start().await;
    idp.reply(Reply::Ok("set-cookie: a=b\r\n", idp::jwks(&["a"])));
    let world = World::with(&idp, |_| {}).await;
    world.next_attempt("dls").await;
    for request in 0..2 {
        let head = idp.head(request).to_ascii_lowercase();
        assert!(head.starts_with("get /jwks http/1.1\r\n"), "{head}");
        assert!(head.contains("user-agent: countersign/"), "{head}");
        assert!(head.contains("accept-encoding: identity\r\n"), "{head}");
        for name in ["authorization:", "cookie:", "referer:"] {
            assert!(!head.contains(name), "{head}");
        }
    }
}

#[tokio::test]
async fn invariant_45_cache_control_is_clamped() {
    for (header, least, most) in [
        ("cache-control: max-age=300\r\n", 269, 300),
        ("cache-control: max-age=1\r\n", 53, 60),
        ("cache-control: max-age=99999999\r\n", 809, 900),
        ("cache-control: no-cache\r\n", 809, 900),
        ("", 809, 900),
    ] {
        let idp = Idp::start().await;
        idp.reply(Reply::Ok(header, idp::jwks(&["a"])));
        let world = World::with(&idp, |_| {}).await;
        let next = world.status("dls").next_refresh_seconds.unwrap();
        assert!((least..=most).contains(&next), "{header} {next}");
    }
}

const OPENID: &str = "/realms/dls/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server/realms/dls";

fn metadata(idp: &Idp, issuer: &str) -> Reply {
    let document = serde_json::json!({"issuer": issuer, "jwks_uri": idp.url("/jwks")});
    Reply::Ok("", document.to_string().into_bytes())
}

async fn discovering(idp: &Idp) -> World {
    idp.reply(Reply::keys(&["a"]));
    let issuer = idp.url("/realms/dls");
    World::with(idp, |settings| {
        settings.source = KeySource::Discover { issuer };
    })
    .await
}

#[tokio::test]
async fn discovery_finds_the_keys_and_is_believed_for_a_while() {
    let idp = Idp::start().await;
    idp.reply_at(OPENID, metadata(&idp, &idp.url("/realms/dls")));
    let world = discovering(&idp).await;
    assert_eq!(world.kids("dls"), ["a"]);
    world.next_attempt("dls").await;
    assert_eq!(idp.paths(), [OPENID, "/jwks", "/jwks"]);
    // The keys move: the attempt that fails asks where.
    idp.reply(Reply::Status(404, ""));
    world.next_attempt("dls").await;
    idp.reply(Reply::keys(&["b"]));
    world.next_attempt("dls").await;
    assert_eq!(world.kids("dls"), ["b"]);
    assert_eq!(idp.paths()[3..], ["/jwks", OPENID, "/jwks"]);
    for _ in 0..5 {
        world.next_attempt("dls").await;
    }
    let asked = idp.paths().iter().filter(|path| *path == OPENID).count();
    assert_eq!(asked, 3, "once more after an hour");
}

#[tokio::test]
async fn discovery_falls_back_to_oauth_metadata() {
    let idp = Idp::start().await;
    idp.reply_at(OAUTH, metadata(&idp, &idp.url("/realms/dls")));
    let world = discovering(&idp).await;
    assert_eq!(world.kids("dls"), ["a"]);
    assert_eq!(idp.paths(), [OPENID, OAUTH, "/jwks"]);
}

#[tokio::test]
async fn discovery_for_another_issuer_is_refused() {
    for issuer in ["/realms/dls/", "/realms/other", "/realms/DLS", ""] {
        let idp = Idp::start().await;
        idp.reply_at(OPENID, metadata(&idp, &idp.url(issuer)));
        idp.reply_at(OAUTH, metadata(&idp, &idp.url("/realms/dls")));
        let world = discovering(&idp).await;
        assert_eq!(world.health("dls"), KeyHealth::Unavailable, "{issuer}");
        assert_eq!(idp.paths(), [OPENID], "{issuer}");
    }
}

#[tokio::test]
async fn discovery_cannot_lead_to_a_place_that_is_not_allowed() {
    for place in [
        "file:///etc/jwks.json",
        "https://user:pass@127.0.0.1/jwks",
        "/jwks",
    ] {
        let idp = Idp::start().await;
        let issuer = idp.url("/realms/dls");
        let document = serde_json::json!({"issuer": issuer, "jwks_uri": place});
        idp.reply_at(OPENID, Reply::Ok("", document.to_string().into_bytes()));
        let world = discovering(&idp).await;
        assert_eq!(world.health("dls"), KeyHealth::Unavailable, "{place}");
        assert!(world.status("dls").last_error.unwrap().starts_with("url: "));
    }
}

struct Authority {
    pem: Vec<u8>,
    acceptor: tokio_rustls::TlsAcceptor,
}

fn authority(host: &str) -> Authority {
    let own = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    Authority {
        pem: own.cert.pem().into_bytes(),
        acceptor: Arc::new(config).into(),
    }
}

#[tokio::test]
async fn invariant_45_certificates_are_verified_against_the_configured_ca() {
    let (good, other, misnamed) = (
        authority("localhost"),
        authority("localhost"),
        authority("elsewhere.example"),
    );
    for (name, server, ca, works) in [
        ("right ca", &good, Some(good.pem.clone()), true),
        ("other ca", &good, Some(other.pem.clone()), false),
        ("other name", &misnamed, Some(misnamed.pem.clone()), false),
        ("no certificate in ca", &good, Some(b"junk".to_vec()), false),
        ("platform's roots", &good, None, false),
    ] {
        let idp = Idp::start_with(Some(server.acceptor.clone())).await;
        idp.reply(Reply::keys(&["a"]));
        let port = idp.address.port();
        let world = World::with(&idp, |settings| {
            settings.source = KeySource::Url(format!("https://localhost:{port}/jwks"));
            settings.allow_http = false;
            settings.ca = ca.map(|pem| Secret::new(pem, None));
        })
        .await;
        let status = world.status("dls");
        assert_eq!(
            status.health == KeyHealth::Usable,
            works,
            "{name} {status:?}"
        );
        assert_eq!(idp.requests(), usize::from(works), "{name}");
    }
}

#[tokio::test]
async fn invariant_45_plain_http_is_refused_unless_allowed() {
    let idp = Idp::start().await;
    idp.reply(Reply::keys(&["a"]));
    let world = World::with(&idp, |settings| settings.allow_http = false).await;
    assert_eq!(world.health("dls"), KeyHealth::Unavailable);
    assert_eq!(idp.requests(), 0);
}

#[test]
fn the_status_shows_no_credentials() {
    let world = World::new_without_tasks();
    let mut settings = KeySourceSettings {
        source: KeySource::Url("https://user:secret@idp.example/jwks?key=secret".to_owned()),
        ..KeySourceSettings::default()
    };
    settings.ca = Some(Secret::new(b"secret".to_vec(), None));
    world.configure([("dls", settings)]);
    let status = serde_json::to_string(&world.keys.status()).unwrap();
    assert!(status.contains("https://idp.example/jwks"), "{status}");
    assert!(!status.contains("secret"), "{status}");
}

#[test]
fn invariant_36_proxies_of_the_environment_are_ignored() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    nobody.set_nonblocking(true).unwrap();
    let proxy = format!("http://{}", nobody.local_addr().unwrap());
    let names = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    let small = ["http_proxy", "https_proxy", "all_proxy"];
    let environment: Vec<_> = names
        .into_iter()
        .chain(small)
        .map(|name| (name, proxy.as_str()))
        .collect();
    alone("fetching::alone_a_fetch_works", &environment);
    assert!(nobody.accept().is_err(), "the proxy was asked");
}

#[tokio::test]
#[ignore = "run by invariant_36_proxies_of_the_environment_are_ignored"]
async fn alone_a_fetch_works() {
    let idp = Idp::start().await;
    idp.reply(Reply::keys(&["a"]));
    let world = World::with(&idp, |_| {}).await;
    assert_eq!(world.kids("dls"), ["a"]);
}

#[test]
fn an_image_without_ca_certificates_says_so_and_harms_no_other_issuer() {
    let empty = tempfile::tempdir().unwrap();
    let file = empty.path().join("none.pem");
    std::fs::write(&file, "").unwrap();
    let directory = empty.path().join("none");
    std::fs::create_dir(&directory).unwrap();
    let environment = [
        ("SSL_CERT_FILE", file.to_str().unwrap()),
        ("SSL_CERT_DIR", directory.to_str().unwrap()),
    ];
    alone("fetching::alone_without_roots", &environment);
}

#[tokio::test]
#[ignore = "run by an_image_without_ca_certificates_says_so_and_harms_no_other_issuer"]
async fn alone_without_roots() {
    let good = authority("localhost");
    let secure = Idp::start_with(Some(good.acceptor.clone())).await;
    let plain = Idp::start().await;
    secure.reply(Reply::keys(&["secure"]));
    plain.reply(Reply::keys(&["plain"]));
    let platform = KeySourceSettings {
        source: KeySource::Url(format!("https://localhost:{}/jwks", secure.address.port())),
        ..KeySourceSettings::default()
    };
    let mut own = platform.clone();
    own.ca = Some(Secret::new(good.pem.clone(), None));
    let world = World::new();
    world.configure([
        ("platform", platform),
        ("own", own),
        ("plain", url_settings(&plain)),
    ]);
    for name in ["platform", "own", "plain"] {
        world.ended(name, 1).await;
    }
    assert_eq!(world.kids("own"), ["secure"]);
    assert_eq!(world.kids("plain"), ["plain"]);
    let error = world.status("platform").last_error.unwrap();
    assert!(error.contains("no CA certificates"), "{error}");
}
