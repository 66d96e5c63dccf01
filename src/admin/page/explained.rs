//! The form that asks for an explanation, and the explanation.

use super::html::Html;
use crate::admin::Status;
use crate::admin::question::{Asked, Form, Told};
use crate::clock::UnixTime;
use crate::explain::{
    Again, Alternative, Answer, Check, Explanation, IdentityTold, Meaning, Party, Principal,
    Reading, Route, Verdict,
};

/// The form, and what came of it.
pub(super) fn section(html: &mut Html, asked: &Asked, status: &Status) {
    html.section("explain", "What becomes of a request?");
    html.raw("<p>The real decision of the live configuration, watched. Nothing is sent, nothing is fetched, and no limit counts it. <strong>Claims, never a token</strong>: what is asked becomes a URL, and browsers keep URLs.</p>");
    form(html, &asked.form, status);
    match &asked.told {
        Told::Nothing => {}
        Told::Refused(why) => {
            html.raw("<p class=\"verdict bad\" role=\"alert\">");
            html.prose(why);
            html.raw("</p>");
        }
        Told::Request(told) => explanation(html, told),
        Told::Record(again) => record(html, again),
    }
    html.end_section();
}

fn form(html: &mut Html, form: &Form, status: &Status) {
    html.raw("<form action=\"/explain#explain\" method=\"get\" autocomplete=\"off\">");
    let input = |html: &mut Html, [name, label, hint]: [&str; 3], value: &str, more: &str| {
        html.element("<label class=\"", name, "\"><span>");
        html.element("", label, "</span><input name=\"");
        html.element("", name, "\" value=\"");
        html.element("", value, "\" placeholder=\"");
        html.element("", hint, "\"");
        html.raw(more);
        html.raw(" spellcheck=\"false\"></label>");
    };
    input(
        html,
        ["request", "Request", "GET /orders/7"],
        &form.request,
        " required",
    );
    let listeners: Vec<&str> = status.listeners.iter().map(|own| &*own.name).collect();
    if let [_, _, ..] = listeners.as_slice() {
        let all = listeners.iter().map(|name| (*name, *name));
        select(html, ["listener", "Listener"], all, &form.listener);
    }
    let keys = status.issuers.iter().map(|issuer| &*issuer.issuer);
    let reviews = status.reviews.iter().map(|review| &*review.issuer);
    let issuers = keys.chain(reviews).map(|name| (name, name));
    let issuers = std::iter::once(("", "no token")).chain(issuers);
    select(html, ["issuer", "Token of"], issuers, &form.issuer);
    input(html, ["host", "Host", "localhost"], &form.host, "");
    input(
        html,
        ["from", "Client address", "192.0.2.1"],
        &form.from,
        "",
    );
    html.raw("<label class=\"claims\"><span>Its claims, a JSON object; iss, aud, iat and exp are completed</span><textarea name=\"claims\" rows=\"3\" spellcheck=\"false\" placeholder=\"{&quot;sub&quot;: &quot;alice&quot;, &quot;scope&quot;: &quot;orders:read&quot;}\">\n");
    html.element("", &form.claims, "</textarea></label>");
    html.raw("<button>Explain</button></form>");
}

fn select<'a>(
    html: &mut Html,
    [name, label]: [&str; 2],
    options: impl Iterator<Item = (&'a str, &'a str)>,
    chosen: &str,
) {
    html.element("<label class=\"", name, "\"><span>");
    html.element("", label, "</span><select name=\"");
    html.element("", name, "\">");
    for (value, shown) in options {
        html.element("<option value=\"", value, "\"");
        if value == chosen {
            html.raw(" selected");
        }
        html.element(">", shown, "</option>");
    }
    html.raw("</select></label>");
}

fn record(html: &mut Html, again: &Again) {
    let recorded = &again.recorded;
    let reason = recorded.reason.as_deref().unwrap_or_default();
    html.element("<p>Recorded at ", &recorded.time, ": ");
    html.element("<strong>", &recorded.decision, "</strong> ");
    html.element("<code>", reason, "</code>. ");
    html.raw(match again.same {
        Some(true) => "The configuration that is live now decides the same.",
        Some(false) => "<span class=\"warn\">The configuration that is live now decides otherwise.</span>",
        None => "Whether the configuration that is live now decides the same, a record does not say enough to tell.",
    });
    html.raw("</p>");
    explanation(html, &again.now);
}

fn explanation(html: &mut Html, told: &Explanation) {
    verdict(html, told);
    html.raw("<div class=\"told\">");
    if let Some(reading) = &told.reading {
        self::reading(html, reading);
    }
    routes(html, told);
    principals(html, told);
    alternatives(html, &told.alternatives);
    if told.verdict == Verdict::Forwarded
        && let Some(identity) = &told.identity
    {
        self::identity(html, identity);
    }
    if let Some(answer) = &told.answer {
        self::answer(html, answer);
    }
    if !told.notes.is_empty() {
        html.raw("<div><h3>Notes</h3><ul>");
        for note in &told.notes {
            html.raw("<li>");
            html.prose(note);
            html.raw("</li>");
        }
        html.raw("</ul></div>");
    }
    html.raw("</div>");
}

fn verdict(html: &mut Html, told: &Explanation) {
    let (class, text) = match told.verdict {
        Verdict::Forwarded => ("good", "Allowed: it goes to the upstream".to_owned()),
        Verdict::Answered => ("good", "Allowed: answered here, as configured".to_owned()),
        Verdict::Refused { decision, reason } => {
            let status = told.answer.as_ref();
            let status = status.map_or_else(String::new, |own| format!(" ({})", own.status));
            ("bad", format!("{}: {reason}{status}", decision.as_str()))
        }
        Verdict::Unjudged => ("warn", "It cannot be judged from here".to_owned()),
    };
    html.element("<p class=\"verdict ", class, "\"><code>");
    html.element("", &told.title, "</code> ");
    html.element("<strong>", &text, "</strong>");
    if let Some(caller) = &told.caller {
        html.element(" as <code>", caller, "</code>");
    }
    html.raw("</p>");
    if let Some(observed) = told.observed {
        html.element(
            "<p class=\"warn\">Would be refused, were it not only observed: <code>",
            observed,
            "</code></p>",
        );
    }
    if let Some(Meaning { means, look_at, .. }) = told.meaning {
        html.raw("<p>");
        html.prose(means);
        html.raw(". → ");
        html.prose(look_at);
        html.raw(".</p>");
    }
}

/// Names and values.
fn list<'a>(html: &mut Html, title: &str, rows: impl IntoIterator<Item = (&'a str, String)>) {
    html.element("<div><h3>", title, "</h3><dl>");
    for (name, value) in rows {
        html.element("<dt>", name, "</dt>");
        html.element("<dd><code>", &value, "</code></dd>");
    }
    html.raw("</dl></div>");
}

fn reading(html: &mut Html, reading: &Reading) {
    let mut segments = reading.segments.join(" · ");
    if reading.trailing_slash {
        segments.push_str(" · (slash at the end)");
    }
    let client = match reading.client == reading.peer {
        true => reading.client.clone(),
        false => format!("{} (behind {})", reading.client, reading.peer),
    };
    let mut rows = vec![
        ("method", reading.method.clone()),
        ("target", reading.target.clone()),
        ("segments", segments),
        ("host", reading.host.clone()),
        ("client", client),
    ];
    if !reading.dropped.is_empty() {
        rows.push(("dropped", reading.dropped.join(", ")));
    }
    list(html, "The request, read", rows);
}

fn routes(html: &mut Html, told: &Explanation) {
    if !told.routes.is_empty() {
        html.raw("<div><h3>Routes whose path matches</h3><ul class=\"marks\">");
        for seen in &told.routes {
            html.raw(if seen.owns {
                "<li class=\"yes\">"
            } else {
                "<li class=\"not\">"
            });
            html.element("<code>", &seen.path, "</code>");
            if *seen.name != *seen.path {
                html.element(" ", &seen.name, "");
            }
            if let Some(host) = &seen.host {
                html.element(" of host <code>", host, "</code>");
            }
            html.raw(match (seen.owns, seen.host_matches) {
                (true, _) => " owns it",
                (false, true) => ": less specific",
                (false, false) => ": another host",
            });
            html.raw("</li>");
        }
        for near in &told.near {
            html.element(
                "<li class=\"no\"><code>",
                near,
                "</code>: another spelling of the path would be this route's</li>",
            );
        }
        html.raw("</ul></div>");
    }
    if let Some(route) = &told.route {
        self::route(html, route);
    }
}

fn route(html: &mut Html, route: &Route) {
    let mut rows = vec![("name", route.name.to_string())];
    let parameters = route.parameters.iter();
    rows.extend(parameters.map(|(name, value)| (name.as_str(), value.clone())));
    rows.push(("methods", route.methods.clone()));
    rows.push(("asks for", route.asks.to_owned()));
    if let Some(until) = route.observes_until {
        let date = crate::case::date(UnixTime::from_secs(until));
        rows.push(("mode", format!("observe, until {date}")));
    }
    list(html, "Its route", rows);
}

fn principals(html: &mut Html, told: &Explanation) {
    match &told.principal {
        Some(Principal::Anonymous) => list(
            html,
            "Who asks",
            [("principal", "anonymous: nobody in particular".to_owned())],
        ),
        Some(Principal::Opaque) => list(
            html,
            "Who asks",
            [(
                "principal",
                "opaque: a token that nobody here can verify".to_owned(),
            )],
        ),
        Some(Principal::Known(party)) => self::party(html, "Who asks", party),
        None => {}
    }
    if let Some(Principal::Known(party)) = &told.actor {
        self::party(html, "The second token's party", party);
    }
    if !told.checks.is_empty() {
        html.raw("<div class=\"wide\"><h3>The token does not hold</h3>");
        html.table(&["", "Condition", "Wanted", "Found"]);
        for own in &told.checks {
            check(html, Some(false), own);
        }
        html.end_table();
        html.raw("</div>");
    }
}

fn party(html: &mut Html, title: &str, party: &Party) {
    let mut rows = vec![("issuer", party.issuer.to_string())];
    let texts = [
        ("subject", &party.subject),
        ("client", &party.client),
        ("account", &party.account),
    ];
    rows.extend(
        texts
            .into_iter()
            .filter_map(|(name, own)| Some((name, own.clone()?))),
    );
    let lists = [
        ("scopes", &party.scopes),
        ("roles", &party.roles),
        ("groups", &party.groups),
    ];
    let lists = lists.into_iter().filter(|(_, own)| !own.is_empty());
    rows.extend(lists.map(|(name, own)| (name, own.join(" "))));
    rows.push((
        "until",
        crate::case::date(UnixTime::from_secs(party.expires)),
    ));
    rows.push(("claims", format!("{:#}", party.claims)));
    list(html, title, rows);
}

fn alternatives(html: &mut Html, alternatives: &[Alternative]) {
    if alternatives.is_empty() {
        return;
    }
    html.raw("<div class=\"wide\"><h3>Who may: one that holds is enough</h3>");
    for alternative in alternatives {
        let class = if alternative.holds { "yes" } else { "no" };
        html.element("<p class=\"mark ", class, "\"><strong>");
        html.element("", &alternative.name, "</strong>");
        html.raw(match (alternative.decides, alternative.holds) {
            (true, true) => ": the first that holds",
            (true, false) => ": the one that came closest",
            (false, _) => "",
        });
        if !alternative.of_issuer && !alternative.holds {
            html.element("; wants a token of the issuer ", &alternative.issuer, "");
        }
        html.raw("</p>");
        let looked_at = alternative.conditions.iter().any(|own| own.holds.is_some());
        if alternative.conditions.is_empty() || !(looked_at || alternative.of_issuer) {
            continue;
        }
        html.table(&["", "Condition", "Wanted", "Found"]);
        for condition in &alternative.conditions {
            check(html, condition.holds, &condition.check);
        }
        html.end_table();
    }
    html.raw("</div>");
}

fn check(html: &mut Html, holds: Option<bool>, check: &Check) {
    html.row();
    match holds {
        Some(true) => html.classed("good", "holds"),
        Some(false) => html.classed("bad", "fails"),
        None => html.cell("not looked at"),
    }
    html.code(&check.what);
    html.code(&check.wanted);
    html.code(&check.found);
    html.end_row();
}

fn identity(html: &mut Html, identity: &IdentityTold) {
    let mut rows = vec![("upstream", identity.upstream.clone())];
    if let Some(credential) = &identity.credential {
        rows.push(("authorization", format!("an access token of {credential}")));
    }
    let headers = identity.headers.iter();
    rows.extend(headers.map(|(name, value)| (name.as_str(), value.clone())));
    if let Some((header, claims)) = &identity.assertion {
        rows.push((header, format!("an assertion that says\n{claims:#}")));
    }
    if identity.signed {
        rows.push(("signature", "over the message".to_owned()));
    }
    if let Some(authorization) = identity.authorization {
        rows.push(("authorization", authorization.to_owned()));
    }
    list(html, "What the upstream gets", rows);
}

fn answer(html: &mut Html, answer: &Answer) {
    let status = ("status", answer.status.to_string());
    let headers = answer.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.clone()));
    let body = Some(("body", answer.body.clone())).filter(|(_, body)| !body.is_empty());
    let rows = std::iter::once(status).chain(headers).chain(body);
    list(html, "What the caller gets", rows);
}
