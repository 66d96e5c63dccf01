//! The files in `config/`.

use super::*;

/// The directory in which `config/design-section-5.yaml` expects its files.
const INSTALLED: &str = "/etc/countersign/";

fn load_example(place: &Place, name: &str) -> Config {
    let text = fs::read_to_string(repository().join("config").join(name)).unwrap();
    let here = format!("{}/", place.path("").display()).replace("//", "/");
    let text = text.replace(INSTALLED, &here);
    place.file("atlas-jwks.json", JWKS);
    place.secret("smartem-agent.secret", "0123456789abcdef0123456789abcdef");
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
            "smartem-agent.yaml",
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
        keys.keys().unwrap().source,
        crate::jwks::KeySource::Url(
            "http://keycloak-service:8080/realms/dls/protocol/openid-connect/certs".to_owned()
        )
    );
    assert!(keys.keys().unwrap().allow_http);
    assert_eq!(issuer.audiences, crate::authn::Audiences::Unchecked);
}

#[test]
fn t01_t02_t03_the_atlas_issuer_is_pinned_and_bounded() {
    let config = load_example(&Place::new(), "atlas.yaml");
    let (issuer, keys) = &config.issuers[0];
    assert!(matches!(
        keys.keys().unwrap().source,
        crate::jwks::KeySource::File(_)
    ));
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

#[test]
fn a1_the_smartem_agent_reaches_what_it_calls_and_nothing_else() {
    let config = load_example(&Place::new(), "smartem-agent.yaml");
    let [listener] = config.listeners.as_slice() else {
        panic!("one listener");
    };
    let own = listener.outbound.as_ref().unwrap();
    assert_eq!(&*own.credential, "agent");
    assert!(own.rewrite_location);
    assert_eq!(own.reach.paths().map(<[_]>::len), Some(9));
    // The same by the variables that the agent has today.
    let text = fs::read_to_string(repository().join("config/smartem-agent.yaml")).unwrap();
    let by_variables = text
        .replace(
            "{discover: https://keycloak.example.org/realms/dls}",
            "{discover: \"${KEYCLOAK_URL}/realms/${KEYCLOAK_REALM}\"}",
        )
        .replace(
            "client_id: SmartEM_Agent\n",
            "client_id: \"${KEYCLOAK_CLIENT_ID}\"\n",
        )
        .replace(
            "{file: /etc/countersign/smartem-agent.secret}",
            "{secret: \"${KEYCLOAK_CLIENT_SECRET}\"}",
        );
    let mut place = Place::new();
    for (name, value) in [
        ("KEYCLOAK_URL", "https://keycloak.example.org"),
        ("KEYCLOAK_REALM", "dls"),
        ("KEYCLOAK_CLIENT_ID", "SmartEM_Agent"),
        ("KEYCLOAK_CLIENT_SECRET", "0123456789abcdef0123456789abcdef"),
    ] {
        place.set(name, value);
    }
    let same = place.load(&by_variables).unwrap();
    assert!(same.warnings.is_empty(), "{}", same.warnings);
    let discovered = |config: &Config| format!("{:?}", config.credentials[0].endpoint);
    assert_eq!(discovered(&same), discovered(&config));
    assert_eq!(
        same.credentials[0].client_id,
        config.credentials[0].client_id
    );
}
