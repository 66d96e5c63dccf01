//! HTTP/1.1 on the wire: tables of raw messages, what they get, and the exact bytes that the other side sees.

mod requests;
mod responses;
mod row;
mod run;
mod wire;
