//! `telemetry`.

use crate::config::Code;
use crate::config::problem::Report;
use crate::config::schema::{OTLP, TELEMETRY};
use crate::config::view::View;
use crate::telemetry::OtlpSettings;

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
