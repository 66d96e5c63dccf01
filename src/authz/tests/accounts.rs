//! Whose data a request asks for.

use super::*;

/// The usage endpoint of the configuration's documentation.
fn usage(fold: bool) -> Policy {
    let tenant = caller("tenant", "accounts", vec![]);
    let account = ServiceAccount::parse("atlas-production/atlas").unwrap();
    let atlas = caller(
        "atlas",
        "cluster",
        vec![Condition::ServiceAccount(vec![account])],
    );
    let own = [
        Condition::Scopes(texts(&["account:usage:read"])),
        Condition::Account(AccountRule::Parameter("account".into())),
    ];
    let mut usage = route(
        "usage",
        &["/api/internal/accounts/{account}/usage"],
        rules(vec![
            Alternative::of_caller(&tenant, own),
            Alternative::of_caller(&atlas, [Condition::Scopes(texts(&["account:usage:read"]))]),
        ]),
    );
    if fold {
        usage.fold = vec!["account".into()];
    }
    usage.allowances.encoded_slash = true;
    policy([usage])
}

fn of(account: Option<&str>) -> Principal {
    token("accounts", |token| {
        token.account = account.map(Into::into);
        token.scopes = texts(&["account:usage:read"]);
    })
}

fn get(policy: &Policy, account: &str, principal: Principal) -> Result<Option<String>, Rejection> {
    ask("GET", &format!("/api/internal/accounts/{account}/usage")).decide(policy, principal)
}

#[test]
fn t18_own_account_for_its_token_and_all_for_the_service() {
    let policy = usage(false);
    assert_eq!(
        get(&policy, "acme", of(Some("acme"))),
        Ok(Some("tenant".into()))
    );
    let refused = Err(Rejection::Forbidden(Refusal::Account));
    assert_eq!(get(&policy, "other", of(Some("acme"))), refused);
    let service = |scopes: &[&str]| {
        token("cluster", |token| {
            token.subject = Some("system:serviceaccount:atlas-production:atlas".into());
            token.scopes = texts(scopes);
        })
    };
    for account in ["acme", "other"] {
        let named = Ok(Some("atlas".to_owned()));
        assert_eq!(
            get(&policy, account, service(&["account:usage:read"])),
            named
        );
    }
    let scope = Refusal::Scope("account:usage:read".into());
    assert_eq!(
        get(&policy, "acme", service(&[])),
        Err(Rejection::Forbidden(scope))
    );
}

#[test]
fn a_missing_scope_is_named_only_for_the_own_account() {
    let policy = usage(false);
    let unscoped = || token("accounts", |token| token.account = Some("acme".into()));
    let scope = Refusal::Scope("account:usage:read".into());
    assert_eq!(
        get(&policy, "acme", unscoped()),
        Err(Rejection::Forbidden(scope))
    );
    let account = Err(Rejection::Forbidden(Refusal::Account));
    assert_eq!(get(&policy, "other", unscoped()), account);
}

#[test]
fn t19_principals_without_an_account_are_refused_where_one_is_needed() {
    let required = Condition::Account(AccountRule::Required);
    let any = policy([route(
        "r",
        &["/"],
        rules(vec![Alternative::of_issuer(
            "accounts".into(),
            vec![required],
        )]),
    )]);
    let refused = || Err(Rejection::Forbidden(Refusal::AccountRequired));
    for account in [None, Some("")] {
        assert_eq!(get(&usage(false), "acme", of(account)), refused());
        assert_eq!(ask("GET", "/").decide(&any, of(account)), refused());
    }
    assert_eq!(ask("GET", "/").decide(&any, of(Some("acme"))), Ok(None));
}

#[test]
fn t11_accounts_are_folded_only_where_the_route_says_so() {
    for (segment, account, exact, folded) in [
        ("acme", "acme", true, true),
        ("ACME", "acme", false, true),
        ("acme", "ACME", false, true),
        ("%61cme", "acme", true, true),
        ("caf%C3%A9", "café", true, true),
        ("caf%C3%A9", "cafe\u{301}", false, false),
        ("CAF%C3%89", "café", false, false),    // ASCII only
        ("%EF%BD%81cme", "acme", false, false), // fullwidth a
        ("acme_x", "acme-x", false, false),
        ("acme", "acme ", false, false),
        ("acme%20", "acme", false, false),
        ("acme", "acme\0", false, false),
        ("*", "acme", false, false),
        ("acme", "*", false, false),
        ("a%2Fb", "a/b", false, false), // a value with a slash is never one segment
        ("%2561cme", "acme", false, false), // refused before policy: two decodings
        ("%2561cme", "%61cme", false, false),
    ] {
        assert_eq!(
            get(&usage(false), segment, of(Some(account))).is_ok(),
            exact,
            "{segment} {account}"
        );
        assert_eq!(
            get(&usage(true), segment, of(Some(account))).is_ok(),
            folded,
            "{segment} {account}"
        );
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn invariant_16_allowed_exactly_when_equal(
        path in "[a-bA-B_é]{1,2}",
        account in "[a-bA-B_é]{1,2}",
    ) {
        let policy = usage(false);
        let decided = get(&policy, &percent_encoded(&path), of(Some(&account)));
        prop_assert_eq!(decided.is_ok(), path == account);
        let folded = get(&usage(true), &percent_encoded(&path), of(Some(&account)));
        prop_assert_eq!(folded.is_ok(), path.eq_ignore_ascii_case(&account));
    }
}
