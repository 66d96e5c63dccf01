//! The files in `config/`.

use super::*;

/// The directory in which `config/design-section-5.yaml` expects its files.
const INSTALLED: &str = "/etc/countersign/";

fn load_example(place: &Place, name: &str) -> Config {
    let text = fs::read_to_string(repository().join("config").join(name)).unwrap();
    let here = format!("{}/", place.path("").display()).replace("//", "/");
    let text = text.replace(INSTALLED, &here);
    place.file("atlas-jwks.json", JWKS);
    place
        .load(&text)
        .unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn every_example_compiles() {
    let mut names: Vec<String> = fs::read_dir(repository().join("config"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "atlas.yaml",
            "design-section-5.yaml",
            "minimal.yaml",
            "smartem.yaml"
        ]
    );
    let place = Place::new();
    for name in names {
        let config = load_example(&place, &name);
        assert!(config.warnings.is_empty(), "{name}: {}", config.warnings);
    }
}

#[test]
fn s02_the_smartem_issuer_goes_under_two_names_and_has_keys_of_a_third_place() {
    let config = load_example(&Place::new(), "smartem.yaml");
    let [(issuer, keys)] = config.issuers.as_slice() else {
        panic!("one issuer");
    };
    assert_eq!(
        issuer.issuers,
        [
            "https://keycloak.example.org/realms/dls",
            "http://localhost:30090/realms/dls"
        ]
    );
    assert_eq!(
        keys.source,
        crate::jwks::KeySource::Url(
            "http://keycloak-service:8080/realms/dls/protocol/openid-connect/certs".to_owned()
        )
    );
    assert!(keys.allow_http);
    assert_eq!(issuer.audiences, crate::authn::Audiences::Unchecked);
}

#[test]
fn t01_t02_t03_the_atlas_issuer_is_pinned_and_bounded() {
    let config = load_example(&Place::new(), "atlas.yaml");
    let (issuer, keys) = &config.issuers[0];
    assert!(matches!(keys.source, crate::jwks::KeySource::File(_)));
    assert!(issuer.kubernetes);
    assert_eq!(issuer.max_lifetime, Some(Duration::from_secs(3600)));
}

#[test]
fn the_complete_configuration_means_what_it_says() {
    let config = load_example(&Place::new(), "design-section-5.yaml");
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.issuers.len(), 3);
    assert_eq!(config.policy.routes().len(), 5);
    assert_eq!(config.answers.len(), 2);
    assert_eq!(config.probes.as_ref().unwrap().serve.len(), 4);
    assert_eq!(config.files.len(), 2);
    let accounts = &config.issuers[2].0;
    assert_eq!(accounts.scope_implies["ci"].len(), 2);
    assert_eq!(config.identity.headers.len(), 5);
    assert_eq!(config.drain, DrainSettings::default());
    assert_eq!(
        config.listeners[0].limits,
        crate::listener::Limits::default()
    );
    assert_eq!(
        config.listeners[0].timeouts,
        crate::listener::Timeouts::default()
    );
    assert_eq!(config.log, LogSettings::default());
}
