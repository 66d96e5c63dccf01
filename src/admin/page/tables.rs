//! What is protected, by whose keys, and who was refused: the tables.

use serde_json::Value;

use super::html::{Html, percent_encoded};
use super::{charts, span};
use crate::admin::status::RouteCounts;
use crate::admin::{Status, Tally};
use crate::credential::{CredentialHealth, CredentialStatus};
use crate::explain::Meaning;
use crate::jwks::{IssuerKeyStatus, KeyHealth};
use crate::review::{ReviewHealth, ReviewStatus};

/// Refusals that the page shows; `/status` has more.
const SHOWN: usize = 20;

/// Reasons, the most frequent of the last minutes first.
pub(super) fn reasons(html: &mut Html, status: &Status) {
    html.section("reasons", "Why requests do not pass");
    let nothing = Tally::default();
    let mut reasons: Vec<_> = status
        .refusals_by_reason
        .iter()
        .map(|(reason, count)| {
            let last = status.last_minutes.reasons.get(reason);
            (reason, *count, last.unwrap_or(&nothing))
        })
        .collect();
    if reasons.is_empty() {
        html.raw("<p>Nothing was refused since the start.</p>");
        return html.end_section();
    }
    let lately = |last: &Tally| last.sums().iter().sum::<u64>();
    reasons
        .sort_by_key(|(reason, count, last)| (std::cmp::Reverse((lately(last), *count)), *reason));
    html.table(&[
        "Reason",
        "What it means",
        "Last 30 min",
        "",
        "Since the start",
    ]);
    for (reason, count, last) in reasons {
        html.row();
        html.code(reason);
        html.open_cell("means");
        html.prose(Meaning::of(reason).map_or("", |meaning| meaning.means));
        html.end_cell();
        html.number(lately(last));
        spark(html, last, reason);
        html.number(count);
        html.end_row();
    }
    html.end_table();
    html.end_section();
}

/// A cell with the last minutes.
fn spark(html: &mut Html, last: &Tally, label: &str) {
    html.open_cell("sparks");
    if last.sums() != [0; 3] {
        charts::bars(html, last, "spark", label);
    }
    html.end_cell();
}

/// The last refusals.
pub(super) fn recent(html: &mut Html, records: &[Value]) {
    html.section("denials", "Recent denials");
    if records.is_empty() {
        html.raw("<p>None.</p>");
        return html.end_section();
    }
    html.table(&[
        "Time", "Request", "Answer", "Reason", "Route", "Who", "From", "",
    ]);
    for record in records.iter().take(SHOWN) {
        refusal(html, record);
    }
    html.end_table();
    if records.len() > SHOWN {
        let more = (records.len() - SHOWN).to_string();
        html.element(
            "<p>",
            &more,
            " more in <a href=\"/status\">/status</a>.</p>",
        );
    }
    html.end_section();
}

fn refusal(html: &mut Html, record: &Value) {
    let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
    html.row();
    html.open_cell("");
    html.element("<time datetime=\"", text("time"), "\" title=\"");
    html.element("request ", text("request_id"), "\">");
    html.element("", text("time").get(11..19).unwrap_or_default(), "</time>");
    html.end_cell();
    html.code(format!("{} {}", text("method"), text("target")).trim());
    let status = record.get("status").and_then(Value::as_u64);
    html.classed(
        "n",
        &status.map_or_else(String::new, |status| status.to_string()),
    );
    html.code(text("reason"));
    html.cell(text("route"));
    let who = ["caller", "subject", "client", "principal"].map(text);
    let who = who.into_iter().find(|who| !who.is_empty());
    html.cell(who.unwrap_or_default());
    html.code(match text("client_address") {
        "" => text("peer_address"),
        address => address,
    });
    html.open_cell("");
    if !text("method").is_empty() {
        let id = percent_encoded(text("request_id"));
        html.element("<a href=\"/explain?id=", &id, "#explain\">explain</a>");
    }
    html.end_cell();
    html.end_row();
}

/// What is protected: routes and their conditions.
pub(super) fn routes(html: &mut Html, status: &Status) {
    html.section("routes", "What is protected");
    html.table(&["Route", "Who may", "Allowed", "Refused", "Last 30 min"]);
    for counts in &status.routes {
        route(html, counts, &status.last_minutes.routes);
    }
    html.end_table();
    html.end_section();
}

fn route(html: &mut Html, counts: &RouteCounts, last: &std::collections::BTreeMap<String, Tally>) {
    let route = &counts.route;
    html.row();
    html.open_cell("route");
    let paths = route.paths.join(" ");
    html.element("<code>", &paths, "</code>");
    if route.name != paths {
        html.element("<small>", &route.name, "</small>");
    }
    if !route.hosts.is_empty() {
        html.element("<small>of ", &route.hosts.join(" "), "</small>");
    }
    if let Some(listener) = &route.listener {
        html.element("<small>on ", listener, "</small>");
    }
    if let Some(until) = route.observe_until {
        let until = super::moment(until);
        let text = match &route.enforce {
            Some(share) => format!("enforces for {share} of clients only, until {until}"),
            None => format!("observes only, until {until}"),
        };
        html.element("<small class=\"warn\">", &text, "</small>");
    }
    html.end_cell();
    html.open_cell("who");
    for line in &route.allow {
        html.raw("<div>");
        if !line.methods.is_empty() {
            html.element("<code>", &line.methods.join(" "), "</code> ");
        }
        html.element("", &line.who, "</div>");
    }
    html.end_cell();
    html.number(counts.allowed);
    html.number(counts.refused);
    spark(
        html,
        last.get(&route.name).unwrap_or(&Tally::default()),
        &route.name,
    );
    html.end_row();
}

/// Nothing where there are none.
pub(super) fn outbound(html: &mut Html, status: &Status) {
    if status.outbound.is_empty() {
        return;
    }
    html.section("outbound", "Outbound: tokens are attached");
    html.table(&[
        "Listener",
        "Within reach",
        "Upstream",
        "Credential",
        "Allowed",
        "Refused",
        "Last 30 min",
    ]);
    for counts in &status.outbound {
        let own = &counts.outbound;
        html.row();
        html.open_cell("");
        html.element("", &own.listener, " ");
        html.element("<code>", &own.listen, "</code>");
        html.end_cell();
        html.code(&own.reach());
        html.code(&own.upstream);
        html.cell(&own.credential);
        html.number(counts.allowed);
        html.number(counts.refused);
        let last = status.last_minutes.routes.get(&own.listener);
        spark(html, last.unwrap_or(&Tally::default()), &own.listener);
        html.end_row();
    }
    html.end_table();
    html.end_section();
}

/// Issuers with the state and the age of their keys.
pub(super) fn issuers(html: &mut Html, issuers: &[IssuerKeyStatus]) {
    html.section("issuers", "Issuers and their keys");
    if issuers.is_empty() {
        html.raw("<p>No issuer has keys here.</p>");
        return html.end_section();
    }
    html.table(&[
        "Issuer",
        "Keys",
        "Confirmed",
        "Next refresh",
        "Key ids",
        "Source",
        "Last error",
    ]);
    for issuer in issuers {
        html.row();
        html.cell(&issuer.issuer);
        match issuer.health {
            KeyHealth::Usable => html.classed("good", "usable"),
            KeyHealth::Stale => html.classed("warn", "stale"),
            KeyHealth::Unavailable => html.classed("bad", "none: 503"),
        }
        let age = issuer.age_seconds.map(|age| format!("{} ago", span(age)));
        html.classed("span", age.as_deref().unwrap_or("never"));
        let next = issuer
            .next_refresh_seconds
            .map(|next| format!("in {}", span(next)));
        html.classed("span", next.as_deref().unwrap_or("none"));
        html.code(&issuer.kids.join(" "));
        sourced(html, issuer.source, issuer.location.as_deref());
        html.cell(issuer.last_error.as_deref().unwrap_or_default());
        html.end_row();
    }
    html.end_table();
    html.end_section();
}

fn sourced(html: &mut Html, kind: &str, location: Option<&str>) {
    html.open_cell("source");
    html.element("", kind, " ");
    html.element("<code>", location.unwrap_or_default(), "</code>");
    html.end_cell();
}

/// Nothing where there are none: most issuers have keys.
pub(super) fn reviews(html: &mut Html, reviews: &[ReviewStatus]) {
    if reviews.is_empty() {
        return;
    }
    html.section("reviews", "Issuers whose tokens are asked about");
    html.table(&[
        "Issuer",
        "Last answer",
        "Asked",
        "In flight",
        "Active",
        "Inactive",
        "Last error",
    ]);
    for review in reviews {
        html.row();
        html.cell(&review.issuer);
        match review.health {
            ReviewHealth::Untried => html.cell("nothing asked yet"),
            ReviewHealth::Usable => html.classed("good", "good"),
            ReviewHealth::Failing => html.classed("bad", "none: 503"),
        }
        sourced(html, review.kind, review.location.as_deref());
        html.number(u64::try_from(review.in_flight).unwrap_or(u64::MAX));
        html.number(review.reviews_active);
        html.number(review.reviews_inactive);
        html.cell(review.last_error.as_deref().unwrap_or_default());
        html.end_row();
    }
    html.end_table();
    html.end_section();
}

/// Nothing where there are none: an inbound sidecar has no use for it.
pub(super) fn credentials(html: &mut Html, credentials: &[CredentialStatus]) {
    if credentials.is_empty() {
        return;
    }
    html.section("credentials", "Credentials");
    html.table(&[
        "Credential",
        "Token",
        "Client",
        "Source",
        "Ends",
        "Next request",
        "Last error",
    ]);
    for credential in credentials {
        html.row();
        html.cell(&credential.credential);
        match credential.health {
            CredentialHealth::Usable => html.classed("good", "held"),
            CredentialHealth::Stale => html.classed("warn", "held, not renewed"),
            CredentialHealth::Pending => html.classed("warn", "asked for"),
            CredentialHealth::Unavailable => html.classed("bad", "none: 503"),
        }
        html.open_cell("");
        let id = credential.client_id.as_deref().unwrap_or_default();
        html.element("<code>", id, "</code> ");
        html.text(credential.authentication);
        html.end_cell();
        sourced(html, credential.source, credential.location.as_deref());
        let within = |seconds| format!("in {}", span(seconds));
        let ends = credential.expires_in_seconds.map(within);
        html.classed("span", ends.as_deref().unwrap_or("none held"));
        html.classed("span", &within(credential.next_request_seconds));
        html.cell(credential.last_error.as_deref().unwrap_or_default());
        html.end_row();
    }
    html.end_table();
    html.end_section();
}
