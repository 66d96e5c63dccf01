//! From a YAML document to cases.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use serde_json::Value as Json;

use super::schema::{CASE, CASES, CERTIFICATE, EXPECT, PROOF, REQUEST, TOKEN};
use super::{
    Case, CaseFile, Claimed, Expect, Members, Proof, Protocol, RealToken, Request, Source, Token,
    TokenKind,
};
use crate::clock::UnixTime;
use crate::config::{self, Node, Place, Problems, Report, Value, View, date, suggest};
use crate::rejection::{Decision, reasons};
use crate::request::ClientCertificate;

/// Reads a document of cases, or one that is a single case, and the files of tokens that it names.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path) -> Result<CaseFile, Problems> {
    let whole = |reason: String| Problems::whole(path, reason);
    let bytes = config::read_secret_file(path).map_err(whole)?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|error| whole(format!("is not UTF-8 text: {error}")))?;
    parse(path, text)
}

/// [`load`] of a text; `path` is what problems call it, and where files of tokens are looked for.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(path: &Path, text: &str) -> Result<CaseFile, Problems> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut source = config::Source::new(path, text);
    for (number, line) in (1..).zip(text.lines()) {
        if line.contains("eyJ") || line.to_ascii_lowercase().contains("authorization") {
            source.hide(number);
        }
    }
    let mut report = Report::new(source);
    let mut reader = Reader {
        base: path.parent().unwrap_or(Path::new("")),
        tokens: BTreeMap::new(),
        at: None,
        report: &mut report,
    };
    let read = reader.document(text);
    match read {
        Some(read) if !report.has_errors() => Ok(read),
        _ => Err(report.finish()),
    }
}

struct Reader<'a> {
    base: &'a Path,
    /// `tokens` of the document.
    tokens: BTreeMap<String, Token>,
    /// `at` of the document.
    at: Option<UnixTime>,
    report: &'a mut Report,
}

impl Reader<'_> {
    fn document(&mut self, text: &str) -> Option<CaseFile> {
        // A document with `cases` has several; the other form is one case.
        let several = text
            .lines()
            .any(|line| line.starts_with("cases:") || line.trim_start().starts_with("{cases:"));
        let block = if several { &CASES } else { &CASE };
        let tree = config::read_document(text, block, self.report)?;
        if self.report.has_errors() {
            return None;
        }
        let view = View::new(&tree, block);
        if !several {
            let cases = vec![self.case(&view)?];
            return Some(CaseFile {
                config: None,
                cases,
            });
        }
        self.at = self.time(&view);
        for entry in view.get("tokens").map(Node::entries).unwrap_or_default() {
            if let Some(token) = self.described(&View::new(&entry.value, &TOKEN)) {
                self.tokens.insert(entry.key.clone(), token);
            }
        }
        let cases = view.items("cases").iter();
        let cases: Vec<Case> = cases
            .filter_map(|node| self.case(&View::new(node, &CASE)))
            .collect();
        self.same_names(&cases);
        Some(CaseFile {
            config: view.text("config").map(|path| self.base.join(path)),
            cases,
        })
    }

    /// A failure must say which case it is.
    fn same_names(&mut self, cases: &[Case]) {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for case in cases {
            let Some(name) = case.name.as_deref() else {
                continue;
            };
            if let Some(first) = seen.insert(name, case.line) {
                let at = Place {
                    line: case.line,
                    column: 1,
                    path: "".into(),
                };
                self.report.error(
                    &at,
                    format!("two cases are called `{name}`; the other is at line {first}"),
                );
            }
        }
    }

    fn case(&mut self, view: &View<'_>) -> Option<Case> {
        let request = self.request(view)?;
        let token = self.token(view);
        let actor = view
            .get("actor")
            .and_then(|node| self.one_token(node, "actor"));
        Some(Case {
            name: view.text("name").map(str::to_owned),
            line: view.at().line,
            request,
            token,
            actor,
            at: self.time(view).or(self.at),
            repeat: u32::try_from(view.count("repeat")).unwrap_or(u32::MAX),
            expect: view.get("expect").map(|node| self.expect(node)),
        })
    }

    fn time(&mut self, view: &View<'_>) -> Option<UnixTime> {
        date(view.text("at")?).ok()
    }

    fn request(&mut self, view: &View<'_>) -> Option<Request> {
        let node = view.get("request")?;
        if let Some(text) = node.text() {
            let Some((method, target)) = text.split_once(' ') else {
                self.report.error_try(
                    &node.at,
                    format!("{} has no target", node.shown()),
                    format!("request: GET {text}"),
                );
                return None;
            };
            return Some(Request::new(method, target));
        }
        let view = View::new(node, &REQUEST);
        let mut request = Request::new(view.text("method")?, view.text("path")?);
        request.host = view.text("host").map(str::to_owned);
        request.headers = self.headers(&view);
        request.peer = self.peer(&view);
        request.listener = view.text("listener").map(str::to_owned);
        request.protocol = match view.text("protocol") {
            Some("HTTP/1.0") => Protocol::Http10,
            Some("HTTP/2") => Protocol::Http2,
            _ => Protocol::Http11,
        };
        request.body = view.number("body");
        request.certificate = view
            .sub_if("client_certificate", &CERTIFICATE)
            .map(|view| certificate(&view));
        Some(request)
    }

    fn headers(&mut self, view: &View<'_>) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        for entry in view.get("headers").map(Node::entries).unwrap_or_default() {
            let values = entry.value.each().iter().filter_map(Node::text);
            for value in values {
                if entry.key.contains(['\r', '\n', ':']) || value.contains(['\r', '\n']) {
                    self.report.error(
                        &entry.key_at,
                        "neither a colon in a name nor a line end in a field: it would be another field",
                    );
                }
                headers.push((entry.key.clone(), value.to_owned()));
            }
        }
        headers
    }

    fn peer(&mut self, view: &View<'_>) -> Option<IpAddr> {
        let text = view.text("peer")?;
        let peer = text.parse();
        if peer.is_err() {
            self.report.error_try(
                view.place("peer"),
                format!("`{text}` is no address"),
                "an IPv4 or IPv6 address, without a port: 10.0.0.7",
            );
        }
        peer.ok()
    }

    /// `token`, `issuer` and `claims` of a case.
    fn token(&mut self, view: &View<'_>) -> Option<Token> {
        let claims = view.get("claims").map(members);
        let own_issuer = view.text("issuer").map(str::to_owned);
        let Some(node) = view.get("token") else {
            if claims.is_none() && own_issuer.is_none() {
                return None;
            }
            let claimed = Claimed {
                issuer: own_issuer,
                claims: claims.unwrap_or_default(),
                ..Claimed::default()
            };
            return Some(claimed.into());
        };
        let mut token = self.one_token(node, "token")?;
        if claims.is_none() && own_issuer.is_none() {
            return Some(token);
        }
        match &mut token.kind {
            TokenKind::Claims(named) if node.text().is_some() => {
                named.issuer = own_issuer.or(named.issuer.take());
                named.claims.extend(claims.unwrap_or_default());
            }
            TokenKind::Claims(_) | TokenKind::Real(_) => self.report.error_try(
                &node.at,
                "says already what the token is; `claims` and `issuer` beside it have no meaning",
                "keep one, or name one of `tokens`, whose claims may be replaced",
            ),
        }
        Some(token)
    }

    /// A name, a mapping, or the token itself.
    fn one_token(&mut self, node: &Node, what: &str) -> Option<Token> {
        let Some(text) = node.text() else {
            return self.described(&View::new(node, &TOKEN));
        };
        if let Some(named) = self.tokens.get(text) {
            return Some(named.clone());
        }
        // Three parts with dots between them are no name that anybody gives.
        if text.split('.').count() == 3 && text.len() > 64 {
            return Some(RealToken::new(text).into());
        }
        let names: Vec<&str> = self.tokens.keys().map(String::as_str).collect();
        let suggestion = if names.is_empty() {
            format!("{what}: {{value: …}} for the token itself, or `claims` for what it says")
        } else {
            suggest::one_of(text, &names)
        };
        self.report.error_try(
            &node.at,
            "is no name of `tokens`, and no JWT".to_owned(),
            suggestion,
        );
        None
    }

    fn described(&mut self, view: &View<'_>) -> Option<Token> {
        let source = Source::ALL
            .into_iter()
            .find(|(word, _)| view.text("source") == Some(word))
            .map(|(_, source)| source)
            .unwrap_or_default();
        let claims = view.get("claims").map(members);
        let header = view.get("header").map(members).unwrap_or_default();
        let issuer = view.text("issuer").map(str::to_owned);
        let forged = view.text("signature") == Some("bad");
        let keyless = view.text("keys") == Some("unavailable");
        let said = [view.has("value"), view.has("file")];
        let described = claims.is_some() || issuer.is_some();
        let kind = match said {
            [false, false] if described => TokenKind::Claims(Claimed {
                issuer,
                claims: claims.unwrap_or_default(),
                header,
                forged,
                keyless,
            }),
            [true, false] if !described => TokenKind::Real(RealToken::new(view.text("value")?)),
            [false, true] if !described => TokenKind::Real(self.file(view)?),
            _ => {
                self.report.error_try(
                    view.at(),
                    "a token is given by what it says or by itself, one of the two",
                    "one of: `claims` (with `issuer`), value, file",
                );
                return None;
            }
        };
        let proof = view
            .sub_if("proof", &PROOF)
            .map(|view| proof(&view))
            .unwrap_or_default();
        Some(Token {
            kind,
            source,
            proof,
        })
    }

    fn file(&mut self, view: &View<'_>) -> Option<RealToken> {
        let path = self.base.join(view.text("file")?);
        match config::read_secret_file(&path) {
            Ok(bytes) => Some(RealToken::new(String::from_utf8_lossy(&bytes).trim())),
            Err(reason) => {
                let message = format!("{}: {reason}", path.display());
                self.report.error(view.place("file"), message);
                None
            }
        }
    }

    fn expect(&mut self, node: &Node) -> Expect {
        let mut expect = Expect::default();
        let decision = |word: Option<&str>| {
            let mut all = Decision::ALL.iter().copied();
            all.find(|decision| Some(decision.as_str()) == word)
        };
        let status = |number: Option<u64>| number.and_then(|status| u16::try_from(status).ok());
        if !matches!(node.value, Value::Map(_)) {
            expect.decision = decision(node.text());
            expect.status = status(node.number());
            return expect;
        }
        let view = View::new(node, &EXPECT);
        expect.decision = decision(view.text("decision"));
        expect.status = status(view.number("status"));
        expect.reason = self.reason(&view, "reason");
        expect.observed = self.reason(&view, "observed");
        expect.route = view.text("route").map(str::to_owned);
        expect.caller = node
            .entries()
            .iter()
            .find(|entry| entry.key == "caller")
            .map(|entry| entry.value.text().map(str::to_owned));
        for (name, value) in view.get("identity").map(members).unwrap_or_default() {
            let value = match value {
                Json::Null => None,
                Json::String(text) => Some(text),
                other => Some(other.to_string()),
            };
            expect.identity.push((name.to_ascii_lowercase(), value));
        }
        expect.assertion = view.get("assertion").map(members).unwrap_or_default();
        expect
    }

    /// A word that no record ever has would never be found.
    fn reason(&mut self, view: &View<'_>, key: &str) -> Option<String> {
        let word = view.text(key)?;
        let known = reasons();
        if !known.contains(&word) {
            let suggestion = suggest::did_you_mean(word, known.iter().copied());
            self.report.error_try(
                view.place(key),
                format!("`{word}` is no reason"),
                suggestion.unwrap_or_else(|| {
                    "the reasons are listed by `countersign explain --reason list`".to_owned()
                }),
            );
        }
        Some(word.to_owned())
    }
}

fn members(node: &Node) -> Members {
    match node.to_json() {
        Json::Object(members) => members,
        _ => Members::new(),
    }
}

fn proof(view: &View<'_>) -> Proof {
    Proof {
        claims: view.get("claims").map(members).unwrap_or_default(),
        header: view.get("header").map(members).unwrap_or_default(),
        forged: view.text("signature") == Some("bad"),
        other_key: view.text("key") == Some("other"),
        count: u32::try_from(view.count("count")).unwrap_or(1),
    }
}

fn certificate(view: &View<'_>) -> ClientCertificate {
    let lower = |text: String| text.to_ascii_lowercase();
    ClientCertificate {
        dns: view.texts("dns").into_iter().map(lower).collect(),
        uris: view.texts("uri"),
        sha256: view
            .text("sha256")
            .unwrap_or_default()
            .replace(':', "")
            .to_ascii_lowercase(),
    }
}
