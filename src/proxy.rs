//! The way of a request, from accept to upstream.

mod answer;

pub use answer::{
    Answer, AnswerContext, AnswerKind, AnswerTemplate, Answers, AnswersName, AnswersSettings,
    BodyTemplate, Cors, CorsSettings, Preflight, is_preflight,
};
