//! Logs and secrets: what the program says while strangers, callers, issuers, the upstream and the operator hand it secrets
//! and hostile text, with the real program in a process of its own, at TRACE.

mod accounts;
mod canaries;
mod commands;
mod forgery;
mod places;
mod process;
mod types;
mod uniform;
