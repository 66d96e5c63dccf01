//! The form.

use super::*;

#[test]
fn a1_the_form_is_encoded_as_the_url_standard_says() {
    let all: String = (0..=255_u8).map(char::from).collect();
    for text in ["", "plain", "a b+c&d=e:f%20/~*-._", "ä€😀", &all] {
        let mut form = Form::default();
        form.add("name", text);
        let mut url = reqwest::Url::parse("http://form/").unwrap();
        url.query_pairs_mut().append_pair("name", text);
        assert_eq!(form.take(), url.query().unwrap(), "{text}");
    }
}

/// A server for developers may tell what it was sent.
#[test]
fn a7_a_secret_is_known_again_in_every_form_that_it_is_sent_in() {
    let secret = || Zeroizing::new("correct horse:battery&staple".to_owned());
    let id = "agent".to_owned();
    for (shown, sent) in [
        (
            Shown::Basic {
                id: id.clone(),
                secret: secret(),
            },
            3,
        ),
        (
            Shown::Post {
                id,
                secret: secret(),
            },
            2,
        ),
    ] {
        let mut form = Form::default();
        shown.add_to(&mut form);
        let basic = shown.basic().map(|value| value.unwrap());
        let basic = basic.as_ref().map_or("", |value| value.to_str().unwrap());
        let secrets = shown.secrets();
        assert_eq!(secrets.len(), sent);
        assert!(
            secrets
                .iter()
                .any(|secret| form.0.contains(secret.as_str()) || basic.ends_with(secret.as_str()))
        );
        assert!(secrets.iter().any(|one| **one == *secret()));
    }
}
