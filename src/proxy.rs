//! The way of a request, from accept to upstream.

mod answer;

pub use answer::{
    AnswerKind, AnswerTemplate, AnswersName, AnswersSettings, BodyTemplate, CorsSettings, Preflight,
};
