//! Invariants 2 to 5, 19, 20, 24 to 30, 57 and 69 on the wire: tables of raw requests.

use super::run::run;
use crate::bed::{Request, Setup, Variant, assert_forwarded};

#[test]
fn invariant_24_framing_is_made_anew_for_the_upstream() {
    assert!(run("framing.txt") >= 130);
}

#[test]
fn invariant_25_broken_chunks_close_everything_and_no_second_request_is_read() {
    assert!(run("chunks.txt") >= 70);
}

#[test]
fn invariant_24_lines_end_one_way_and_hold_what_they_may() {
    assert!(run("lines.txt") >= 100);
}

#[test]
fn invariant_24_and_26_ambiguous_messages_are_refused_and_the_connection_closed() {
    assert!(run("authority.txt") >= 90);
}

#[test]
fn invariant_27_and_28_and_29_targets_and_methods() {
    assert!(run("targets.txt") >= 75);
}

#[test]
fn invariant_20_and_28_and_69_what_is_between_two_hops_stays_there() {
    assert!(run("hop.txt") >= 60);
}

#[test]
fn invariant_24_and_26_the_same_as_the_second_message_of_a_connection() {
    assert!(run("sequences.txt") >= 25);
}

#[test]
fn invariant_57_sizes_at_their_limits_and_one_above() {
    assert!(run("limits.txt") >= 20);
}

/// hyper sends no body with a GET or HEAD unless a field says that there is one.
#[test]
fn invariant_24_a_get_or_head_of_unknown_length_keeps_its_body() {
    let bed = Setup::new("routes: [{path: /**, allow: anyone}]\n")
        .tls()
        .start();
    for method in ["GET", "HEAD", "POST"] {
        for variant in Variant::ALL {
            let request = Request::new(method, "/x").body("abcd");
            assert_eq!(assert_forwarded(&bed, variant, &request).body, b"abcd");
        }
        let mut client = bed.proxy.connect();
        client.send(format!(
            "{method} /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"
        ));
        assert_eq!(client.read_to(method).expect("an answer").status, 200);
        let seen = bed.upstream.requests().pop().expect("a request");
        assert_eq!(seen.body, b"abcd");
    }
}
