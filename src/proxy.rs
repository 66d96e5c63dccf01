//! The way of a request, from its head to the upstream and back.

mod answer;
mod body;
mod exchange;
mod inbound;
mod refuse;
mod registry;
mod worker;

pub use answer::{
    Answer, AnswerContext, AnswerKind, AnswerTemplate, Answers, AnswersName, AnswersSettings,
    BodyTemplate, Cors, CorsSettings, Preflight, is_preflight,
};
pub use body::{BodyError, RequestBody, ResponseBody, Sealed};
pub(crate) use body::{Expiry, Passage};
pub use exchange::Exchange;
pub(crate) use inbound::answer;
pub(crate) use worker::{ConnectionState, Shared, Worker};
