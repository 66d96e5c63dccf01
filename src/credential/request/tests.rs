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
