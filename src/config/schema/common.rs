//! Shapes that several blocks use.

use super::Need::{Optional, Required};
use super::{Block, Format, Key, Shape};

pub(super) const K: u64 = 1 << 10;

pub(super) const M: u64 = 1 << 20;

pub(super) const HOUR: u64 = 3600;

pub(super) const DAY: u64 = 24 * HOUR;

pub(super) const FLAG: Shape = Shape::Flag;

pub(super) const VISIBLE: Shape = Shape::Text(Format::Visible);

pub(super) const NAME: Shape = Shape::Text(Format::Name);

pub(super) const FILE_NAME: Shape = Shape::Text(Format::File);

pub(super) const VISIBLE_LIST: Shape = Shape::List(&VISIBLE);

pub(super) const WEB_URL: Shape = Shape::Text(Format::WebUrl);

/// `until` of what only observes.
pub(super) const UNTIL: Key = Key::new(
    "until",
    &Shape::Text(Format::Date),
    Optional,
    "When `mode: observe` ends: a date (its end, UTC) or a time. From then on decisions are enforced.",
    "2027-01-31",
);

/// `enforce` of what only observes.
pub(super) const ENFORCE: Key = Key::new(
    "enforce",
    &Shape::Text(Format::Percent),
    Optional,
    "Of what is observed, the share of clients for whom it is enforced already: always the same ones, whatever they ask for, by a digest of the address (IPv6: its /64). Nobody when absent.",
    "25%",
);

pub(super) const FILE: Shape = Shape::Block(&FILE_BLOCK);

pub(super) const SHORT: Shape = Shape::Text(Format::Duration {
    least: 100,
    most: HOUR,
});

pub(super) const LONG: Shape = Shape::Text(Format::Duration {
    least: 1000,
    most: DAY,
});

pub(super) const LONG_OR_NONE: Shape = Shape::Either(&[
    Shape::Words(&["none"]),
    Shape::Text(Format::Duration {
        least: 100,
        most: 7 * DAY,
    }),
]);

/// `{file: …}`.
pub(crate) static FILE_BLOCK: Block = Block {
    name: "file",
    doc: "A file, relative to the configuration file. It is read when the configuration is, and watched.",
    keys: &[Key::new(
        "file",
        &FILE_NAME,
        Required,
        "Path of the file.",
        "/tls/tls.crt",
    )],
};
