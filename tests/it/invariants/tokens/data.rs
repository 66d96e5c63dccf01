//! Invariants 9 to 18 and 52, from data files: one row a case.

use super::table::Tables;
use crate::program::root;

const FOLDER: &str = "tests/it/data/tokens";

#[track_caller]
fn judge(file: &str) {
    let text = std::fs::read_to_string(root().join(FOLDER).join(file)).expect("a data file");
    Tables::start().judge(&text);
}

#[test]
fn invariant_09_the_algorithm_comes_from_the_key() {
    judge("algorithms.txt");
}

#[test]
fn invariant_09_signatures_that_are_nearly_good() {
    judge("signatures.txt");
}

#[test]
fn invariant_10_symmetric_keys_of_a_set_are_ignored() {
    judge("symmetric.txt");
}

#[test]
fn invariant_11_keys_come_only_from_the_issuers_set_by_exact_kid() {
    judge("keys.txt");
}

#[test]
fn invariant_11_and_12_the_same_kid_never_crosses_issuers() {
    judge("crossing.txt");
}

#[test]
fn invariant_12_iss_is_one_string_equal_to_a_configured_issuer() {
    judge("issuers.txt");
}

#[test]
fn invariant_13_claims_are_one_object_of_exact_types() {
    judge("types.txt");
}

#[test]
fn invariant_13_no_two_readers_take_the_claims_differently() {
    judge("json.txt");
}

#[test]
fn invariant_13_and_52_numbers_are_read_as_written() {
    judge("numbers.txt");
}

#[test]
fn invariant_14_unknown_semantics_and_shapes_are_refused() {
    judge("headers.txt");
}

#[test]
fn invariant_14_and_57_a_token_has_one_shape_and_bombs_are_cheap() {
    judge("shapes.txt");
}

#[test]
fn invariant_14_a_bound_token_never_passes_as_another() {
    judge("confirmations.txt");
}

#[test]
fn invariant_15_membership_is_exact() {
    judge("membership.txt");
}

#[test]
fn invariant_17_service_account_tokens_only_through_their_verifier() {
    judge("service_accounts.txt");
}

#[test]
fn invariant_18_exactly_one_credential() {
    judge("credentials.txt");
}

#[test]
fn invariant_62_what_is_cheap_is_looked_at_first() {
    judge("order.txt");
}

#[test]
fn every_file_of_the_folder_is_judged() {
    for entry in std::fs::read_dir(root().join(FOLDER)).expect("the folder") {
        let name = entry.expect("an entry").file_name();
        let call = format!("judge({name:?});");
        assert!(include_str!("data.rs").contains(&call), "{call}");
    }
}
