//! `log` and `telemetry`.

use std::sync::Arc;

use super::{Scope, identity};
use crate::config::Code;
use crate::config::problem::Report;
use crate::config::schema::{LOG, OTLP, RECEIPTS, TELEMETRY};
use crate::config::view::View;
use crate::identity::SigningAlgorithm;
use crate::receipts::ReceiptSettings;
use crate::telemetry::{AccessLog, LogFormat, LogLevel, LogSettings, OtlpSettings, SubjectLog};

/// `telemetry.otlp`.
pub(super) fn otlp(root: &View<'_>, report: &mut Report) -> Option<OtlpSettings> {
    let view = root
        .sub_if("telemetry", &TELEMETRY)?
        .sub_if("otlp", &OTLP)?;
    if !cfg!(feature = "otlp") {
        report.error_try(
            view.at(),
            "this binary was built without export of spans",
            "build it with `--features otlp`, or remove the key",
        );
    }
    let endpoint = view.text("endpoint")?;
    if endpoint.contains('?') || endpoint.trim_end_matches('/').ends_with("/v1/traces") {
        report.find_try(
            Code::Value,
            view.place("endpoint"),
            "is not the base URL of a collector",
            "scheme, host and port, such as http://127.0.0.1:4318: `/v1/traces` is added",
        );
    }
    Some(OtlpSettings {
        endpoint: endpoint.to_owned(),
        sample: view.fraction("sample")?,
        service_name: view.text("service_name")?.to_owned(),
    })
}

/// `log`.
pub(super) fn log(root: &View<'_>, scope: &mut Scope<'_>) -> LogSettings {
    let view = &root.sub("log", &LOG);
    LogSettings {
        receipts: receipts(view, scope).map(Arc::new),
        format: match view.text("format") {
            Some("text") => LogFormat::Text,
            _ => LogFormat::Json,
        },
        level: match view.text("level") {
            Some("error") => LogLevel::Error,
            Some("warn") => LogLevel::Warn,
            Some("debug") => LogLevel::Debug,
            Some("trace") => LogLevel::Trace,
            _ => LogLevel::Info,
        },
        access: match view.text("access") {
            Some("denied") => AccessLog::Denied,
            Some("none") => AccessLog::None,
            _ => AccessLog::All,
        },
        subject: match view.text("subject") {
            Some("hash") => SubjectLog::Hash,
            _ => SubjectLog::Plain,
        },
    }
}

/// `log.receipts`.
fn receipts(log: &View<'_>, scope: &mut Scope<'_>) -> Option<ReceiptSettings> {
    let view = log.sub_if("receipts", &RECEIPTS)?;
    if log.text("format") == Some("text") {
        scope.report.error_try(
            view.at(),
            "receipts are about the bytes of JSON lines, and `format` is `text`",
            "format: json, or remove `receipts`",
        );
    }
    let node = view.get("key")?;
    let keys = identity::configured(node, None, scope)?;
    if keys.current().algorithm() == SigningAlgorithm::Hs256 {
        scope.report.error_try(
            &node.at,
            "is a shared secret: whoever verifies with it could write receipts as well",
            "a key pair; `countersign keygen --file FILE` makes one",
        );
    }
    Some(ReceiptSettings {
        keys,
        lines: view.number("lines")?,
        every: view.span("every"),
    })
}
