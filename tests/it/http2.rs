//! HTTP/2 by the frame: what RFC 9113 says case by case, and what abuses it.

mod abuse;
mod conformance;
mod holding;
mod notation;
mod upstream;
