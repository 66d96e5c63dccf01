//! The status page: one HTML document without scripts, and nothing fetched from anywhere.

mod charts;
mod explained;
mod html;
mod tables;

use base64::Engine;
use http::HeaderValue;

use super::question::Asked;
use super::{LastMinutes, ListenerStatus, MINUTES, Status};
use crate::clock::UnixTime;
use html::{Html, grouped};

const STYLE: &str = include_str!("style.css");

/// Allows the one style sheet by its hash and the form to ask us, and nothing else.
pub(super) fn policy() -> HeaderValue {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes());
    let hash = base64::engine::general_purpose::STANDARD.encode(digest);
    HeaderValue::from_str(&format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ))
    .unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

pub(super) fn render(status: &Status, asked: &Asked) -> String {
    let mut html = Html::with_capacity(32 * 1024);
    html.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>Countersign</title><style>");
    html.raw(STYLE);
    html.raw("</style></head><body>");
    header(&mut html, status);
    html.raw("<main>");
    figures(&mut html, status);
    decisions(&mut html, &status.last_minutes, status.now);
    tables::reasons(&mut html, status);
    tables::recent(&mut html, &status.recent_refusals);
    explained::section(&mut html, asked, status);
    tables::routes(&mut html, status);
    tables::outbound(&mut html, status);
    tables::issuers(&mut html, &status.issuers);
    tables::reviews(&mut html, &status.reviews);
    tables::credentials(&mut html, &status.credentials);
    html.raw("</main><footer>For programs: <a href=\"/status\">/status</a> · <a href=\"/metrics\">/metrics</a> · <a href=\"/.well-known/jwks.json\">/.well-known/jwks.json</a>. Nothing can be changed here.</footer></body></html>");
    html.into_string()
}

fn header(html: &mut Html, status: &Status) {
    html.raw("<header><h1>Countersign</h1>");
    html.raw(
        match (status.readiness.ready, status.readiness.degraded.is_empty()) {
            (true, true) => "<span class=\"pill good\">ready</span>",
            (true, false) => "<span class=\"pill warn\">ready, degraded</span>",
            (false, _) => "<span class=\"pill bad\">not ready</span>",
        },
    );
    html.raw("<nav><a href=\"#decisions\">Decisions</a><a href=\"#denials\">Denials</a><a href=\"#explain\">Explain</a><a href=\"#routes\">Routes</a><a href=\"#issuers\">Issuers</a><a href=\"/\">Look again</a></nav></header>");
    html.raw("<ul class=\"facts\">");
    status.listeners.iter().for_each(|own| listener(html, own));
    html.element("<li>configuration <code>", &status.config_file, "</code>, ");
    html.element(
        "generation <strong>",
        &status.config.generation.to_string(),
        "</strong>, ",
    );
    html.element("loaded ", &moment(status.config.loaded_at), "");
    let age = status.now.saturating_sub(status.config.loaded_at);
    html.element(" (", &span(u64::try_from(age).unwrap_or(0)), " ago)</li>");
    html.element("<li>version ", status.version, ", ");
    html.element("", status.phase, ", ");
    html.element("as of ", &moment(status.now), "</li></ul>");
    for missing in &status.readiness.missing {
        html.element("<p class=\"note bad\">Missing: ", missing, "</p>");
    }
    for degraded in &status.readiness.degraded {
        html.element("<p class=\"note warn\">Degraded: ", degraded, "</p>");
    }
    if let Some(error) = &status.config.last_error {
        let at = status.config.last_error_at.map(moment).unwrap_or_default();
        html.element("<p class=\"note bad\">The reload of ", &at, " failed:</p>");
        html.element("<pre>", error, "</pre>");
    }
}

/// Where callers connect, and where that leads.
fn listener(html: &mut Html, own: &ListenerStatus) {
    html.element("<li>", &own.name, " ");
    html.element("<code>", &own.listen, "</code>");
    html.raw(if own.tls { " (TLS) → " } else { " → " });
    html.element("<code>", &own.upstream, "</code>");
    html.raw(if own.outbound { " (outbound)" } else { "" });
    html.raw(if own.explains {
        " <span class=\"warn\">explains to callers</span></li>"
    } else {
        "</li>"
    });
}

fn figures(html: &mut Html, status: &Status) {
    let requests = &status.requests;
    html.raw("<dl class=\"figures\">");
    for (name, value, class) in [
        ("requests", grouped(requests.total), ""),
        ("allowed", grouped(requests.allowed), "good"),
        ("denied", grouped(requests.denied), "bad"),
        ("failed", grouped(requests.errored), "warn"),
        ("in flight", grouped(requests.active), ""),
        ("connections", grouped(requests.connections), ""),
        ("workers", status.workers.to_string(), ""),
        ("up", span(status.uptime_seconds), ""),
    ] {
        html.element("<div><dt>", name, "</dt><dd");
        html.element(" class=\"", class, "\">");
        html.element("", &value, "</dd></div>");
    }
    html.raw("</dl>");
}

fn decisions(html: &mut Html, last: &LastMinutes, now: i64) {
    html.section(
        "decisions",
        &format!("Decisions of the last {MINUTES} minutes"),
    );
    let [allowed, denied, errored] = last.total.sums().map(grouped);
    html.element(
        "<p class=\"legend\"><span class=\"allowed\">allowed ",
        &allowed,
        "</span>",
    );
    html.element("<span class=\"denied\">denied ", &denied, "</span>");
    html.element("<span class=\"errored\">failed ", &errored, "</span>");
    html.element(
        "<span class=\"end\">highest: ",
        &grouped(charts::most(&last.total)),
        " in a minute</span></p>",
    );
    charts::bars(html, &last.total, "chart", "All requests");
    let began = now.saturating_sub(60 * i64::try_from(MINUTES - 1).unwrap_or(0));
    html.element("<p class=\"axis\"><span>", clock(&moment(began)), "</span>");
    html.element("<span>", clock(&moment(now)), " UTC</span></p>");
    html.end_section();
}

/// A time as people write it, in UTC.
fn moment(unix: i64) -> String {
    crate::case::date(UnixTime::from_secs(unix))
        .replace('T', " ")
        .replace('Z', " UTC")
}

/// Hour and minute of a [`moment`].
fn clock(moment: &str) -> &str {
    moment.get(11..16).unwrap_or_default()
}

fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}
