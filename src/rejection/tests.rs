use std::collections::BTreeSet;

use super::all::{refusals, token_faults};
use super::*;

#[test]
fn reasons_are_unique_and_snake_case() {
    let mut seen = BTreeSet::new();
    for rejection in all() {
        let reason = rejection.reason();
        assert!(seen.insert(reason), "{reason} stands for two refusals");
        for word in [reason, rejection.problem_type()] {
            assert!(
                word.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
                    && word.starts_with(|c: char| c.is_ascii_lowercase())
                    && !word.ends_with('_'),
                "{word} is not snake_case"
            );
        }
        assert_eq!(rejection.to_string(), reason);
    }
}

#[test]
fn invariant_49_token_faults_look_alike_to_callers() {
    // Those of proofs are told from those of tokens (RFC 9449 section 7.1), and not from each other.
    for (of_proof, challenge) in [
        (false, Challenge::InvalidToken),
        (true, Challenge::InvalidProof),
    ] {
        let faults = token_faults().into_iter();
        let mut faces = faults
            .filter(|fault| fault.is_of_proof() == of_proof)
            .map(|fault| {
                let rejection = Rejection::InvalidToken(fault);
                (
                    rejection.status(),
                    rejection.problem_type(),
                    rejection.message(),
                    rejection.kind(),
                    rejection.retry_after(),
                    rejection.challenge() == Some(challenge),
                )
            });
        let first = faces.next().unwrap();
        assert_eq!((first.0, first.5), (StatusCode::UNAUTHORIZED, true));
        assert!(faces.all(|face| face == first));
    }
}

#[test]
fn invariant_49_policy_refusals_look_alike_to_callers() {
    let others = [Rejection::NoRoute, Rejection::NearMiss];
    for rejection in refusals()
        .into_iter()
        .map(Rejection::Forbidden)
        .chain(others)
    {
        assert_eq!(rejection.status(), StatusCode::FORBIDDEN);
        assert_eq!(rejection.message(), "access denied");
        assert_eq!(rejection.problem_type(), "forbidden");
    }
}

#[test]
fn s14_missing_keys_are_503_with_retry_after_and_never_a_challenge() {
    let rejection = Rejection::KeysUnavailable {
        retry_after: Duration::from_secs(9),
    };
    assert_eq!(rejection.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(rejection.retry_after(), Some(Duration::from_secs(9)));
    assert_eq!(rejection.challenge(), None);
    assert_eq!(rejection.decision(), Decision::Errored);
}

#[test]
fn a5_a_missing_access_token_is_503_with_the_oauth_error_and_never_a_challenge() {
    let rejection = Rejection::TokenUnavailable(CredentialFault {
        oauth_error: Some("invalid_client"),
        retry_after: Duration::from_secs(9),
    });
    assert_eq!(rejection.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(rejection.retry_after(), Some(Duration::from_secs(9)));
    assert_eq!(rejection.oauth_error(), Some("invalid_client"));
    assert_eq!(rejection.challenge(), None);
    assert_eq!(rejection.decision(), Decision::Errored);
    assert_eq!(Rejection::Overloaded.oauth_error(), None);
}

#[test]
fn every_refusal_has_an_error_status_and_401_a_challenge() {
    for rejection in all() {
        let status = rejection.status();
        assert!(
            status.is_client_error() || status.is_server_error(),
            "{rejection}"
        );
        assert_eq!(
            status == StatusCode::UNAUTHORIZED,
            matches!(
                rejection.challenge(),
                Some(
                    Challenge::Bare
                        | Challenge::InvalidToken
                        | Challenge::InvalidProof
                        | Challenge::UseNonce(_)
                )
            ),
            "{rejection}"
        );
        assert_ne!(rejection.decision(), Decision::Allowed);
        assert!(!rejection.message().ends_with('.'));
    }
    assert_eq!(Decision::of(None), Decision::Allowed);
}

#[test]
fn every_reason_is_documented_with_its_status() {
    let operations = include_str!("../../docs/operations.md");
    let record = include_str!("../../docs/decision-record.md");
    for rejection in all() {
        let reason = rejection.reason();
        let row = format!("| `{reason}` | {} |", rejection.status().as_u16());
        assert!(
            operations.contains(&row),
            "docs/operations.md has no row {row}"
        );
        assert!(
            record.contains(&format!("`{reason}`")),
            "docs/decision-record.md: {reason}"
        );
    }
}
