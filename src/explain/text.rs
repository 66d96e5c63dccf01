//! An explanation for people.

use super::story::{
    Alternative, Answer, Explanation, Identity, Party, Principal, Reading, Route, RouteSeen,
    Verdict,
};
use crate::case;
use crate::clock::UnixTime;
use crate::telemetry::json::visible;

/// Colours, or none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paint {
    /// Whether the reader is a terminal that shows colour.
    pub colour: bool,
}

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// What stands out.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// What is good.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    /// What is not.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    /// What needs care.
    #[must_use]
    pub fn warn(self, text: &str) -> String {
        self.with("33", text)
    }

    /// What is beside the point.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }
}

/// The explanation as lines of text. What came from a request or a configuration is escaped where it could fool a
/// terminal (invariant 47).
#[must_use]
pub fn text(explanation: &Explanation, paint: Paint) -> String {
    let mut page = Page {
        out: String::new(),
        paint,
    };
    page.headline(explanation);
    if let Some(reading) = &explanation.reading {
        page.reading(reading);
    }
    page.routes(explanation);
    if let Some(route) = &explanation.route {
        page.route(route);
    }
    page.principals(explanation);
    if !explanation.alternatives.is_empty() {
        page.section("alternatives (one that holds is enough)");
        for alternative in &explanation.alternatives {
            page.alternative(alternative);
        }
    }
    if let Some(identity) = &explanation.identity {
        page.identity(identity, explanation);
    }
    if let Some(answer) = &explanation.answer {
        page.answer(answer);
    }
    page.meaning(explanation);
    if !explanation.notes.is_empty() {
        page.section("notes");
        for note in &explanation.notes {
            page.line(&format!("  {}", paint.dim(&visible(note))));
        }
    }
    page.out
}

struct Page {
    out: String,
    paint: Paint,
}

impl Page {
    fn line(&mut self, text: &str) {
        self.out.push_str(text.trim_end());
        self.out.push('\n');
    }

    fn section(&mut self, title: &str) {
        let title = self.paint.bold(title);
        self.line("");
        self.line(&title);
    }

    fn row(&mut self, name: &str, value: &str) {
        self.line(&format!("  {name:<14}{}", visible(value)));
    }

    fn some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.row(name, value);
        }
    }

    fn headline(&mut self, explanation: &Explanation) {
        let title = self.paint.bold(&visible(&explanation.title));
        self.line(&title);
        let paint = self.paint;
        let verdict = match explanation.verdict {
            Verdict::Forwarded => {
                let caller = explanation
                    .caller
                    .as_deref()
                    .map_or_else(String::new, |caller| format!(" as {}", visible(caller)));
                paint.good(&format!("allowed{caller}: it goes to the upstream"))
            }
            Verdict::Answered => paint.good("allowed: answered here, as configured"),
            Verdict::Refused { decision, reason } => {
                let status = explanation
                    .answer
                    .as_ref()
                    .map_or(0, |answer| answer.status);
                paint.bad(&format!("{}: {reason} ({status})", decision.as_str()))
            }
            Verdict::Unjudged => paint.warn("cannot be judged without the issuer's keys"),
        };
        self.line(&format!("  {verdict}"));
        if let Some(observed) = explanation.observed {
            let text = format!("would be refused, were it not only observed: {observed}");
            self.line(&format!("  {}", paint.warn(&text)));
        }
    }

    fn reading(&mut self, reading: &Reading) {
        self.section("request");
        self.row("method", &reading.method);
        self.row("target", &reading.target);
        let mut segments = reading.segments.join(" · ");
        if segments.is_empty() {
            segments = "none: the root".to_owned();
        }
        if reading.trailing_slash {
            segments.push_str("   and a slash at the end");
        }
        self.row("segments", &segments);
        self.row("host", &reading.host);
        let client = if reading.client == reading.peer {
            reading.client.clone()
        } else {
            format!("{} (behind {})", reading.client, reading.peer)
        };
        self.row("client", &client);
        if !reading.dropped.is_empty() {
            self.row("dropped", &reading.dropped.join(", "));
        }
    }

    fn routes(&mut self, explanation: &Explanation) {
        if explanation.reading.is_none() || explanation.listener.is_empty() {
            return;
        }
        if explanation.routes.is_empty() {
            return;
        }
        self.section("routes whose path matches, the most specific first");
        for seen in &explanation.routes {
            self.seen(seen);
        }
        for near in &explanation.near {
            let text = format!(
                "  ! {}: another spelling of the path would be this route's",
                visible(near)
            );
            let text = self.paint.warn(&text);
            self.line(&text);
        }
    }

    fn seen(&mut self, seen: &RouteSeen) {
        let host = seen
            .host
            .as_deref()
            .map_or_else(String::new, |host| format!(" of host {}", visible(host)));
        let name = if *seen.name == *seen.path {
            String::new()
        } else {
            format!(" ({})", visible(&seen.name))
        };
        let what = format!("{}{name}{host}", visible(&seen.path));
        let line = if seen.owns {
            format!("  {} {what}", self.paint.good("▸"))
        } else if seen.host_matches {
            self.paint.dim(&format!("    {what}: less specific"))
        } else {
            self.paint.dim(&format!("    {what}: another host"))
        };
        self.line(&line);
    }

    fn route(&mut self, route: &Route) {
        self.section("its route");
        self.row("name", &route.name);
        for (name, value) in &route.parameters {
            self.row(&format!("{{{name}}}"), value);
        }
        self.row("methods", &route.methods);
        self.row("asks for", route.asks);
        if let Some(until) = route.observes_until {
            let date = case::date(UnixTime::from_secs(until));
            let enforced = route.enforce.as_ref().map_or_else(String::new, |share| {
                format!("; enforced for {share} of clients")
            });
            self.row("mode", &format!("observe, until {date}{enforced}"));
        }
    }

    fn principals(&mut self, explanation: &Explanation) {
        if explanation.principal.is_some() || !explanation.checks.is_empty() {
            self.section("who asks");
        }
        match &explanation.principal {
            Some(Principal::Anonymous) => self.line("  nobody in particular: anonymous"),
            Some(Principal::Opaque) => {
                self.line("  a token that nobody here can verify: opaque");
            }
            Some(Principal::Known(party)) => self.party(party),
            None => {}
        }
        for check in &explanation.checks {
            let mark = self.paint.bad("✗");
            self.line(&format!("  {mark} {}", visible(&check.what)));
            self.line(&format!("      wants  {}", visible(&check.wanted)));
            self.line(&format!("      found  {}", visible(&check.found)));
        }
        if let Some(Principal::Known(party)) = &explanation.actor {
            self.section("the second token's party");
            self.party(party);
        }
    }

    fn party(&mut self, party: &Party) {
        self.row("issuer", &party.issuer);
        self.some("subject", party.subject.as_deref());
        self.some("client", party.client.as_deref());
        self.some("account", party.account.as_deref());
        for (name, values) in [
            ("scopes", &party.scopes),
            ("roles", &party.roles),
            ("groups", &party.groups),
        ] {
            if !values.is_empty() {
                self.row(name, &values.join(" "));
            }
        }
        self.row("until", &case::date(UnixTime::from_secs(party.expires)));
        self.row("claims", &party.claims.to_string());
        let how = if party.verified {
            "verified"
        } else {
            "taken for good: claims were given, not a token"
        };
        self.row("signature", how);
    }

    fn alternative(&mut self, alternative: &Alternative) {
        let mark = if alternative.holds {
            self.paint.good("✓")
        } else {
            self.paint.bad("✗")
        };
        let why = match (alternative.decides, alternative.holds) {
            (true, true) => "  the first that holds",
            (true, false) => "  the one that came closest",
            (false, _) => "",
        };
        self.line(&format!(
            "  {mark} {}{}",
            visible(&alternative.name),
            self.paint.dim(why)
        ));
        let looked_at = alternative.conditions.iter().any(|own| own.holds.is_some());
        if !alternative.of_issuer && !alternative.holds {
            let issuer = visible(&alternative.issuer);
            self.line(&format!("      wants a token of the issuer {issuer}"));
            if !looked_at {
                return;
            }
        }
        for condition in &alternative.conditions {
            let mark = match condition.holds {
                Some(true) => self.paint.good("✓"),
                Some(false) => self.paint.bad("✗"),
                None => "·".to_owned(),
            };
            let check = &condition.check;
            self.line(&format!("      {mark} {}", visible(&check.what)));
            self.line(&format!("          wants  {}", visible(&check.wanted)));
            self.line(&format!("          found  {}", visible(&check.found)));
        }
    }

    fn identity(&mut self, identity: &Identity, explanation: &Explanation) {
        if explanation.verdict != Verdict::Forwarded {
            return;
        }
        self.section("what the upstream gets");
        self.row("upstream", &identity.upstream);
        if let Some(credential) = &identity.credential {
            self.row("authorization", &format!("an access token of {credential}"));
        }
        for (name, value) in &identity.headers {
            self.line(&format!("  {}: {}", visible(name), visible(value)));
        }
        if let Some((header, claims)) = &identity.assertion {
            self.line(&format!("  {}: an assertion that says", visible(header)));
            for line in format!("{claims:#}").lines() {
                self.line(&format!("    {}", visible(line)));
            }
        }
        if identity.signed {
            self.line("  signature, signature-input: a signature over the message");
        }
        let nothing = identity.headers.is_empty() && identity.assertion.is_none();
        if nothing && identity.credential.is_none() {
            self.line("  no identity");
        }
        if let Some(authorization) = identity.authorization {
            self.row("authorization", authorization);
        }
    }

    fn answer(&mut self, answer: &Answer) {
        self.section("what the caller gets");
        self.line(&format!("  {}", answer.status));
        for (name, value) in &answer.headers {
            self.line(&format!("  {}: {}", visible(name), visible(value)));
        }
        if !answer.body.is_empty() {
            self.line("");
            for line in answer.body.lines() {
                self.line(&format!("  {}", visible(line)));
            }
        }
    }

    fn meaning(&mut self, explanation: &Explanation) {
        let Some(meaning) = explanation.meaning else {
            return;
        };
        self.section(&format!("what {} means", meaning.reason));
        self.line(&format!("  {}", meaning.means));
        self.line(&format!("  → {}", meaning.look_at));
    }
}
