//! What becomes of a plain request at each failpoint of its way.

use countersign::failpoint::{Fault, Point};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Comes {
    /// This status with this reason, at once.
    At(u16, &'static str),
    /// The same after so many seconds of the proxy's clock.
    After(u64, u16, &'static str),
    /// It is served in another way.
    Served,
}

use Comes::{After, At, Served};

/// A point that a plain GET with a token comes by, what becomes of it, and what the upstream may see.
pub(super) type Row = (Point, Fault, Comes, Sees);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sees {
    Nothing,
    /// A connection without a byte.
    Connection,
    /// The request: it failed on its way back.
    Request,
}

pub(super) const INTERNAL: Comes = At(500, "internal");
pub(super) const UNREACHABLE: Comes = At(502, "upstream_unreachable");

/// The way of a request, in order.
pub(super) const WAY: &[Row] = &[
    (Point::Snapshot, Fault::Error, INTERNAL, Sees::Nothing),
    (Point::Snapshot, Fault::Panic, INTERNAL, Sees::Nothing),
    (Point::Take, Fault::Error, INTERNAL, Sees::Nothing),
    (Point::Take, Fault::Panic, INTERNAL, Sees::Nothing),
    (Point::Admit, Fault::Error, INTERNAL, Sees::Nothing),
    (Point::Admit, Fault::Panic, INTERNAL, Sees::Nothing),
    (Point::Read, Fault::Error, INTERNAL, Sees::Nothing),
    (Point::Read, Fault::Panic, INTERNAL, Sees::Nothing),
    (Point::Route, Fault::Error, INTERNAL, Sees::Nothing),
    (Point::Route, Fault::Panic, INTERNAL, Sees::Nothing),
    (Point::Identify, Fault::Error, INTERNAL, Sees::Nothing),
    (Point::Identify, Fault::Panic, INTERNAL, Sees::Nothing),
    (Point::Judge, Fault::Panic, INTERNAL, Sees::Nothing),
    (Point::Remember, Fault::Panic, INTERNAL, Sees::Nothing),
    (Point::Authorize, Fault::Error, INTERNAL, Sees::Nothing),
    (Point::Authorize, Fault::Panic, INTERNAL, Sees::Nothing),
    (Point::Vouch, Fault::Error, INTERNAL, Sees::Nothing),
    (Point::Vouch, Fault::Panic, INTERNAL, Sees::Nothing),
    (Point::Prepare, Fault::Panic, INTERNAL, Sees::Nothing),
    (Point::Sign, Fault::Error, INTERNAL, Sees::Nothing),
    (Point::Sign, Fault::Panic, INTERNAL, Sees::Nothing),
    (Point::Pool, Fault::Error, INTERNAL, Sees::Nothing),
    (Point::Pool, Fault::Panic, INTERNAL, Sees::Nothing),
    (Point::Open, Fault::Error, INTERNAL, Sees::Nothing),
    (Point::Open, Fault::Panic, INTERNAL, Sees::Nothing),
    (Point::Head, Fault::Error, INTERNAL, Sees::Nothing),
    (Point::Head, Fault::Panic, INTERNAL, Sees::Nothing),
    (Point::Reuse, Fault::Error, Served, Sees::Request),
    (Point::Reuse, Fault::Panic, INTERNAL, Sees::Nothing),
    (Point::Connect, Fault::Error, UNREACHABLE, Sees::Nothing),
    (Point::Connect, Fault::Panic, INTERNAL, Sees::Nothing),
    (
        Point::Connect,
        Fault::Hang,
        After(2, 504, "upstream_timeout"),
        Sees::Nothing,
    ),
    (
        Point::Handshake,
        Fault::Error,
        UNREACHABLE,
        Sees::Connection,
    ),
    (Point::Handshake, Fault::Panic, INTERNAL, Sees::Connection),
    (
        Point::Handshake,
        Fault::Hang,
        After(2, 504, "upstream_timeout"),
        Sees::Connection,
    ),
    (Point::Send, Fault::Error, UNREACHABLE, Sees::Connection),
    (Point::Send, Fault::Panic, INTERNAL, Sees::Connection),
    (
        Point::Send,
        Fault::Hang,
        After(20, 504, "upstream_timeout"),
        Sees::Connection,
    ),
    (
        Point::Answer,
        Fault::Error,
        At(502, "upstream_invalid"),
        Sees::Request,
    ),
    (Point::Answer, Fault::Panic, INTERNAL, Sees::Request),
];

/// Points of HTTP/2 towards the upstream.
pub(super) const WAY2: &[Row] = &[
    (
        Point::Handshake2,
        Fault::Error,
        UNREACHABLE,
        Sees::Connection,
    ),
    (Point::Handshake2, Fault::Panic, INTERNAL, Sees::Connection),
    (
        Point::Handshake2,
        Fault::Hang,
        After(2, 504, "upstream_timeout"),
        Sees::Connection,
    ),
    (Point::Send2, Fault::Error, UNREACHABLE, Sees::Connection),
    (Point::Send2, Fault::Panic, INTERNAL, Sees::Connection),
    (
        Point::Send2,
        Fault::Hang,
        After(20, 504, "upstream_timeout"),
        Sees::Connection,
    ),
];
