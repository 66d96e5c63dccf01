//! The status page: one HTML document without scripts, and nothing fetched from anywhere.

use base64::Engine;
use http::HeaderValue;
use serde_json::Value;

use super::status::RouteCounts;
use super::{OutboundCounts, Status};
use crate::clock::UnixTime;
use crate::credential::{CredentialHealth, CredentialStatus};
use crate::jwks::{IssuerKeyStatus, KeyHealth};
use crate::review::{ReviewHealth, ReviewStatus};
use crate::telemetry::timestamp::rfc3339;

const STYLE: &str = include_str!("style.css");

/// Allows the one style sheet by its hash, and nothing else.
pub(super) fn policy() -> HeaderValue {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes());
    let hash = base64::engine::general_purpose::STANDARD.encode(digest);
    HeaderValue::from_str(&format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ))
    .unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

pub(super) fn render(status: &Status) -> String {
    let mut page = Page(String::with_capacity(16 * 1024));
    page.raw("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Countersign</title><style>");
    page.raw(STYLE);
    page.raw("</style><h1>Countersign ");
    page.text(status.version);
    page.raw("</h1>");
    page.readiness(status);
    page.figures(status);
    page.issuers(&status.issuers, status.now);
    page.reviews(&status.reviews);
    page.credentials(&status.credentials);
    page.routes(&status.routes);
    page.outbound(&status.outbound);
    page.reasons(status);
    page.recent(&status.recent_refusals);
    page.raw("<p>As JSON: <a href=\"/status\">/status</a> · <a href=\"/metrics\">/metrics</a> · <a href=\"/.well-known/jwks.json\">/.well-known/jwks.json</a></p></html>");
    page.0
}

struct Page(String);

impl Page {
    fn raw(&mut self, html: &str) {
        self.0.push_str(html);
    }

    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.raw("&amp;"),
                '<' => self.raw("&lt;"),
                '>' => self.raw("&gt;"),
                '"' => self.raw("&quot;"),
                '\'' => self.raw("&#39;"),
                _ => self.0.push(c),
            }
        }
    }

    fn element(&mut self, open: &str, text: &str, close: &str) {
        self.raw(open);
        self.text(text);
        self.raw(close);
    }

    fn cell(&mut self, text: &str) {
        self.element("<td>", text, "</td>");
    }

    fn code(&mut self, text: &str) {
        self.element("<td><code>", text, "</code></td>");
    }

    fn number(&mut self, value: u64) {
        self.element("<td class=\"n\">", &value.to_string(), "</td>");
    }

    fn readiness(&mut self, status: &Status) {
        if status.readiness.ready {
            self.raw("<p class=\"good\">Ready: it should receive traffic.</p>");
        } else {
            self.raw("<p class=\"bad\">Not ready.</p>");
        }
        for missing in &status.readiness.missing {
            self.element("<p class=\"bad\">Missing: ", missing, "</p>");
        }
        for degraded in &status.readiness.degraded {
            self.element("<p class=\"warn\">Degraded: ", degraded, "</p>");
        }
        self.element("<p>", &time(status.now), " · configuration ");
        self.element("<code>", &status.config_file, "</code>, generation ");
        self.text(&status.config.generation.to_string());
        self.element(", loaded ", &time(status.config.loaded_at), "</p>");
        if let Some(error) = &status.config.last_error {
            self.raw("<p class=\"bad\">The last reload failed; the configuration before it serves on:</p>");
            self.element("<pre>", error, "</pre>");
        }
    }

    fn figures(&mut self, status: &Status) {
        self.raw("<dl>");
        let requests = &status.requests;
        for (name, value) in [
            ("Requests", requests.total.to_string()),
            ("Allowed", requests.allowed.to_string()),
            ("Denied", requests.denied.to_string()),
            ("Errored", requests.errored.to_string()),
            ("In flight", requests.active.to_string()),
            ("Connections", requests.connections.to_string()),
            ("Workers", status.workers.to_string()),
            ("Up", span(status.uptime_seconds)),
        ] {
            self.element("<div><dt>", name, "</dt>");
            self.element("<dd>", &value, "</dd></div>");
        }
        self.raw("</dl>");
    }

    fn table(&mut self, title: &str, heads: &[&str]) {
        self.element("<h2>", title, "</h2><div class=\"wide\"><table><tr>");
        for head in heads {
            let numeric = matches!(
                *head,
                "Allowed" | "Refused" | "Count" | "Status" | "In flight" | "Active" | "Inactive"
            );
            self.element(
                if numeric { "<th class=\"n\">" } else { "<th>" },
                head,
                "</th>",
            );
        }
        self.raw("</tr>");
    }

    fn end(&mut self) {
        self.raw("</table></div>");
    }

    fn issuers(&mut self, issuers: &[IssuerKeyStatus], now: i64) {
        self.table(
            "Issuers and their keys",
            &[
                "Issuer",
                "Keys",
                "Source",
                "Key ids",
                "Confirmed",
                "Next refresh",
                "Last error",
            ],
        );
        for issuer in issuers {
            self.element("<tr><td>", &issuer.issuer, "</td>");
            self.raw(match issuer.health {
                KeyHealth::Usable => "<td class=\"good\">usable</td>",
                KeyHealth::Stale => "<td class=\"warn\">stale</td>",
                KeyHealth::Unavailable => "<td class=\"bad\">none: 503</td>",
            });
            self.element("<td>", issuer.source, " ");
            self.element(
                "<code>",
                issuer.location.as_deref().unwrap_or_default(),
                "</code></td>",
            );
            self.code(&issuer.kids.join(" "));
            self.cell(&issuer.fetched_at.map_or_else(
                || "never".into(),
                |at| {
                    format!(
                        "{} ago",
                        span(u64::try_from(now.saturating_sub(at)).unwrap_or(0))
                    )
                },
            ));
            self.cell(
                &issuer
                    .next_refresh_seconds
                    .map_or_else(|| "none".into(), |seconds| format!("in {}", span(seconds))),
            );
            self.cell(issuer.last_error.as_deref().unwrap_or_default());
            self.raw("</tr>");
        }
        self.end();
    }

    /// Nothing where there are none: most issuers have keys.
    fn reviews(&mut self, reviews: &[ReviewStatus]) {
        if reviews.is_empty() {
            return;
        }
        self.table(
            "Issuers whose tokens are asked about",
            &[
                "Issuer",
                "Last answer",
                "Asked",
                "In flight",
                "Active",
                "Inactive",
                "Last error",
            ],
        );
        for review in reviews {
            self.element("<tr><td>", &review.issuer, "</td>");
            self.raw(match review.health {
                ReviewHealth::Untried => "<td>nothing asked yet</td>",
                ReviewHealth::Usable => "<td class=\"good\">good</td>",
                ReviewHealth::Failing => "<td class=\"bad\">none: 503</td>",
            });
            self.element("<td>", review.kind, " ");
            let location = review.location.as_deref().unwrap_or_default();
            self.element("<code>", location, "</code></td>");
            self.number(u64::try_from(review.in_flight).unwrap_or(u64::MAX));
            self.number(review.reviews_active);
            self.number(review.reviews_inactive);
            self.cell(review.last_error.as_deref().unwrap_or_default());
            self.raw("</tr>");
        }
        self.end();
    }

    /// Nothing where there are none: an inbound sidecar has no use for it.
    fn credentials(&mut self, credentials: &[CredentialStatus]) {
        if credentials.is_empty() {
            return;
        }
        self.table(
            "Credentials",
            &[
                "Credential",
                "Token",
                "Client",
                "Source",
                "Ends",
                "Next request",
                "Last error",
            ],
        );
        for credential in credentials {
            self.element("<tr><td>", &credential.credential, "</td>");
            self.raw(match credential.health {
                CredentialHealth::Usable => "<td class=\"good\">held</td>",
                CredentialHealth::Stale => "<td class=\"warn\">held, not renewed</td>",
                CredentialHealth::Pending => "<td class=\"warn\">asked for</td>",
                CredentialHealth::Unavailable => "<td class=\"bad\">none: 503</td>",
            });
            let id = credential.client_id.as_deref().unwrap_or_default();
            self.element("<td><code>", id, "</code> ");
            self.element("", credential.authentication, "</td>");
            self.element("<td>", credential.source, " ");
            self.element(
                "<code>",
                credential.location.as_deref().unwrap_or_default(),
                "</code></td>",
            );
            let within = |seconds| format!("in {}", span(seconds));
            let ends = credential.expires_in_seconds.map(within);
            self.cell(ends.as_deref().unwrap_or("none held"));
            self.cell(&within(credential.next_request_seconds));
            self.cell(credential.last_error.as_deref().unwrap_or_default());
            self.raw("</tr>");
        }
        self.end();
    }

    fn routes(&mut self, routes: &[RouteCounts]) {
        self.table(
            "Routes",
            &["Route", "Path", "Who may", "Allowed", "Refused"],
        );
        for RouteCounts {
            route,
            allowed,
            refused,
        } in routes
        {
            self.element("<tr><td>", &route.name, "");
            if route.observe_until.is_some() {
                self.raw(" <span class=\"warn\">observes only</span>");
            }
            self.raw("</td>");
            let hosts = if route.hosts.is_empty() {
                String::new()
            } else {
                format!("{} ", route.hosts.join(" "))
            };
            self.code(&format!("{hosts}{}", route.paths.join(" ")));
            self.raw("<td>");
            for line in &route.allow {
                if !line.methods.is_empty() {
                    self.element("<code>", &line.methods.join(", "), "</code> ");
                }
                self.element("", &line.who, "<br>");
            }
            self.raw("</td>");
            self.number(*allowed);
            self.number(*refused);
            self.raw("</tr>");
        }
        self.end();
    }

    fn outbound(&mut self, listeners: &[OutboundCounts]) {
        if listeners.is_empty() {
            return;
        }
        self.table(
            "Outbound",
            &[
                "Listener",
                "Within reach",
                "Upstream",
                "Credential",
                "Allowed",
                "Refused",
            ],
        );
        for counts in listeners {
            let own = &counts.outbound;
            self.element("<tr><td>", &own.listener, " ");
            self.element("<code>", &own.listen, "</code></td>");
            self.code(&own.reach());
            self.code(&own.upstream);
            self.cell(&own.credential);
            self.number(counts.allowed);
            self.number(counts.refused);
            self.raw("</tr>");
        }
        self.end();
    }

    fn reasons(&mut self, status: &Status) {
        self.table("Refusals by reason", &["Reason", "Count", ""]);
        let mut reasons: Vec<_> = status.refusals_by_reason.iter().collect();
        reasons.sort_by_key(|(reason, count)| (std::cmp::Reverse(**count), *reason));
        let most = reasons.first().map_or(1, |(_, count)| (**count).max(1));
        for (reason, count) in reasons {
            self.raw("<tr>");
            self.code(reason);
            self.number(*count);
            self.raw(&format!(
                "<td><meter max=\"{most}\" value=\"{count}\">{count}</meter></td></tr>"
            ));
        }
        self.end();
    }

    fn recent(&mut self, records: &[Value]) {
        let heads = [
            "time",
            "status",
            "reason",
            "method",
            "target",
            "route",
            "caller",
            "client",
            "client_address",
            "request_id",
        ];
        self.table(
            "Recent refusals",
            &[
                "Time",
                "Status",
                "Reason",
                "Method",
                "Target",
                "Route",
                "Caller",
                "Client",
                "Address",
                "Request id",
            ],
        );
        for record in records {
            self.raw("<tr>");
            for name in heads {
                let value = record.get(name).map_or_else(String::new, |value| {
                    value
                        .as_str()
                        .map_or_else(|| value.to_string(), ToOwned::to_owned)
                });
                match name {
                    "status" => self.element("<td class=\"n\">", &value, "</td>"),
                    "reason" | "target" | "request_id" => self.code(&value),
                    _ => self.cell(&value),
                }
            }
            self.raw("</tr>");
        }
        self.end();
    }
}

fn time(unix: i64) -> String {
    let mut out = Vec::new();
    rfc3339(&mut out, UnixTime::from_secs(unix), 0);
    String::from_utf8_lossy(&out).replace(".000Z", "Z")
}

fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}
