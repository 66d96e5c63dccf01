//! The failpoints of an outbound request's way.

use countersign::failpoint::{Fault, Point, arm};

use super::{INTERNAL, last_record, reconcile_all, settled};
use crate::bed::{Bed, Behaviour, TokenEndpoint, assert_recorded, eventually};
use crate::outbound::{From, get, setup};

use super::table::Comes::{self, At};

#[track_caller]
fn refused(bed: &Bed, point: Point, fault: Fault, comes: Comes) {
    let At(status, reason) = comes else {
        panic!("a refusal");
    };
    let records = settled(bed);
    let before = bed.upstream.mark();
    arm(point, fault);
    assert_eq!(bed.send(&get("/x")).status, status, "{point:?} {fault:?}");
    assert_recorded(&last_record(bed, records), status, reason);
    assert_eq!(bed.upstream.mark(), before, "{point:?} {fault:?}");
}

pub(super) fn the_way_of_a_request() {
    let endpoint = TokenEndpoint::start();
    endpoint.behave(Behaviour::Holds);
    let bed = setup(&endpoint, "")
        .upstream(From::token(1).upstream())
        .start();
    refused(
        &bed,
        Point::Obtain,
        Fault::Error,
        At(503, "token_unavailable"),
    );
    refused(&bed, Point::Obtain, Fault::Panic, INTERNAL);
    endpoint.behave(Behaviour::Issues);
    for point in [Point::Reach, Point::Attach] {
        for fault in [Fault::Error, Fault::Panic] {
            eventually("the next one is served", || {
                bed.send(&get("/x")).status == 200
            });
            refused(&bed, point, fault, INTERNAL);
        }
    }
    assert_eq!(bed.send(&get("/x")).status, 200);
    reconcile_all(&bed);
    renewals();
}

/// What the upstream said stands where the renewal fails; a panic is ours.
fn renewals() {
    let endpoint = TokenEndpoint::start();
    let bed = setup(&endpoint, "")
        .upstream(From::token(2).upstream())
        .start();
    eventually("the first token", || !endpoint.issued().is_empty());
    for (fault, status) in [(Fault::Error, 401), (Fault::Panic, 500)] {
        let before = bed.upstream.requests().len();
        arm(Point::Renew, fault);
        assert_eq!(bed.send(&get("/x")).status, status, "{fault:?}");
        assert_eq!(bed.upstream.requests().len(), before + 1, "not sent again");
    }
    assert_eq!(bed.send(&get("/x")).status, 200);
    reconcile_all(&bed);
}
