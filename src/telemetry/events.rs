//! Events: what the program itself has to say, through `tracing`, one line each on the same writer.

use std::fmt;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::json;
use super::timestamp::rfc3339;
use super::{LogLevel, Shared};

/// Our own targets begin with this.
const OURS: &str = "countersign";
/// Fields that must not be printed whatever they hold; nobody should log them, and nobody can.
const SECRET_FIELDS: [&str; 8] = [
    "token",
    "authorization",
    "cookie",
    "password",
    "secret",
    "assertion",
    "client_secret",
    "key_material",
];

/// Writes events as JSON lines.
pub(super) struct EventLayer(pub(super) Arc<Shared>);

impl<S: Subscriber> Layer<S> for EventLayer {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let level = self.0.control.level();
        let most = if is_ours(metadata.target()) {
            level
        } else {
            // Other crates' debug events show header fields, and with them tokens.
            level.min(LogLevel::Warn)
        };
        *metadata.level() <= most.as_tracing()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.0.control.level().as_tracing()))
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (time, millis) = self.0.wall();
        let mut line = Line(Vec::with_capacity(256));
        line.0
            .extend_from_slice(b"{\"v\":1,\"type\":\"event\",\"time\":\"");
        rfc3339(&mut line.0, time, millis);
        line.0.extend_from_slice(b"\",\"level\":\"");
        line.0
            .extend_from_slice(level_word(*event.metadata().level()).as_bytes());
        line.0.push(b'"');
        event.record(&mut line);
        if !is_ours(event.metadata().target()) {
            line.text("target", event.metadata().target());
        }
        line.0.push(b'}');
        self.0.queues.event(line.0);
    }
}

fn is_ours(target: &str) -> bool {
    target
        .strip_prefix(OURS)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

const fn level_word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

impl LogLevel {
    pub(super) const fn as_tracing(self) -> Level {
        match self {
            Self::Error => Level::ERROR,
            Self::Warn => Level::WARN,
            Self::Info => Level::INFO,
            Self::Debug => Level::DEBUG,
            Self::Trace => Level::TRACE,
        }
    }
}

struct Line(Vec<u8>);

impl Line {
    fn text(&mut self, name: &'static str, value: &str) {
        // The message is the event's name; dotted words, constant.
        let name = if name == "message" { "event" } else { name };
        if SECRET_FIELDS
            .iter()
            .any(|secret| name.eq_ignore_ascii_case(secret))
            || super::contains_token(value)
        {
            return json::field(&mut self.0, name, "[redacted]");
        }
        json::field(&mut self.0, name, value);
    }

    fn plain(&mut self, name: &'static str, value: impl fmt::Display) {
        json::key(&mut self.0, name);
        self.0.extend_from_slice(value.to_string().as_bytes());
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        self.text(field.name(), &text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests;
