//! What inbound tells callers of itself, and what tokens must be shown with: the callers' side is `countersign`'s own
//! outbound mode as much as any other client.

mod both_sides;
mod metadata;
mod nonces;
pub mod proofs;
mod replays;
mod table;
