//! Telemetry: logs, decision records, metrics.

/// How logs are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// JSON or text.
    pub format: LogFormat,
    /// Least severity of events.
    pub level: LogLevel,
    /// Which decision records are written.
    pub access: AccessLog,
    /// How subjects are written.
    pub subject: SubjectLog,
}

/// Log format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Least severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// `error`.
    Error,
    /// `warn`.
    Warn,
    /// `info`.
    #[default]
    Info,
    /// `debug`.
    Debug,
    /// `trace`.
    Trace,
}

/// Which decision records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// Every request.
    #[default]
    All,
    /// Refusals only.
    Denied,
    /// None; metrics still count.
    None,
}

/// How subjects are written to decision records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SubjectLog {
    /// As they are.
    #[default]
    Plain,
    /// A keyed hash: equal subjects look equal within one process.
    Hash,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: LogFormat::Json,
            level: LogLevel::Info,
            access: AccessLog::All,
            subject: SubjectLog::Plain,
        }
    }
}
