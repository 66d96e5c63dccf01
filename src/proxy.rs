//! The way of a request, from its head to the upstream and back.
//!
//! # Skipping a step does not compile
//!
//! Each step takes the value of the step before, by value. The steps in order:
//!
//! ```
//! use countersign::{authn::Known, authz::{Policy, Routed}, clock::Now, identity::{Identity, Vouched}, request::Canonical};
//!
//! fn route<B>(request: Canonical<B>, policy: &Policy, now: Now) -> Option<Routed<B>> {
//!     request.route(policy, now).ok()
//! }
//! fn vouch<B>(known: Known<B>, identity: &Identity, now: Now) -> Option<Vouched<B>> {
//!     known.authorize(now).ok()?.vouch(identity, now).ok()
//! }
//! ```
//!
//! A request that was not authenticated cannot be authorized:
//!
//! ```compile_fail,E0599
//! use countersign::{authz::Routed, clock::Now};
//! fn authorize<B>(routed: Routed<B>, now: Now) {
//!     let _ = routed.authorize(now);
//! }
//! ```
//!
//! One that was not authorized cannot be vouched for:
//!
//! ```compile_fail,E0599
//! use countersign::{authn::Known, clock::Now, identity::Identity};
//! fn vouch<B>(known: Known<B>, identity: &Identity, now: Now) {
//!     let _ = known.vouch(identity, now);
//! }
//! ```
//!
//! Nobody outside this crate's forwarding can open a body, because nobody else can make the [`Opener`]:
//!
//! ```compile_fail,E0423
//! let opener = countersign::upstream::Opener(());
//! ```
//!
//! One request's grant cannot be given another's body: a grant is its request, and its parts are private.
//!
//! ```compile_fail,E0616
//! use countersign::authz::Allowed;
//! fn swap<B>(mut granted: Allowed<B>, other: Allowed<B>) -> Allowed<B> {
//!     granted.known = other.known;
//!     granted
//! }
//! ```
//!
//! ```compile_fail,E0451
//! use countersign::request::{Canonical, Head};
//! fn forge<B>(head: Box<Head>, sealed: B) -> Canonical<B> {
//!     Canonical { head, sealed }
//! }
//! ```
//!
//! An outbound request goes another way, as hard to leave:
//!
//! ```
//! use std::sync::Arc;
//! use countersign::{authz::{Reach, Reachable}, clock::Now, credential::{AccessToken, Attached}, request::Canonical};
//!
//! fn reach<B>(request: Canonical<B>, reach: &Reach, now: Now) -> Option<Reachable<B>> {
//!     request.reach(reach, now).ok()
//! }
//! fn attach<B>(reachable: Reachable<B>, token: Arc<AccessToken>, now: Now) -> Option<Attached<B>> {
//!     reachable.attach(token, now).ok()
//! }
//! ```
//!
//! A request that nobody has found to be within reach gets no token:
//!
//! ```compile_fail,E0599
//! use std::sync::Arc;
//! use countersign::{clock::Now, credential::AccessToken, request::Canonical};
//! fn attach<B>(request: Canonical<B>, token: Arc<AccessToken>, now: Now) {
//!     let _ = request.attach(token, now);
//! }
//! ```
//!
//! One that was routed for inbound is not within reach for that:
//!
//! ```compile_fail,E0423
//! use countersign::authz::{Reachable, Routed};
//! fn forge<B>(routed: Routed<B>) -> Reachable<B> {
//!     Reachable(routed)
//! }
//! ```
//!
//! And no token is attached but by that step:
//!
//! ```compile_fail,E0451
//! use std::sync::Arc;
//! use countersign::{authz::Reachable, credential::{AccessToken, Attached}};
//! fn forge<B>(reachable: Reachable<B>, token: Arc<AccessToken>) -> Attached<B> {
//!     Attached { reachable, token }
//! }
//! ```
//!
//! [`Opener`]: crate::upstream::Opener

mod answer;
mod body;
mod exchange;
mod inbound;
mod metadata;
mod outbound;
mod refuse;
mod registry;
mod signal;
mod stream;
mod way;
mod worker;

pub use answer::{
    Answer, AnswerContext, AnswerKind, AnswerTemplate, Answers, AnswersName, AnswersSettings,
    BodyTemplate, Cors, CorsSettings, Preflight, Schemes, is_preflight,
};
pub use body::{BodyError, RequestBody, ResponseBody, Sealed};
pub(crate) use body::{Expiry, Keep, Passage};
pub use exchange::Exchange;
pub(crate) use metadata::WELL_KNOWN;
pub use metadata::{ResourceMetadata, ResourceMetadataSettings};
pub(crate) use signal::Signal;
pub(crate) use stream::StreamExecutor;
pub(crate) use way::answer;
pub(crate) use worker::{ConnectionState, Shared, Worker};
