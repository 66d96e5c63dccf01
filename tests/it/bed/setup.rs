//! Issuer, upstream and proxy together.

use std::path::PathBuf;

use countersign::clock::{Clock, UnixTime};

use super::{Issuer, Proxy, Request, START, Token, Upstream};

/// What most tests need of an issuer: pinned keys, so that nothing depends on a fetch.
pub const ISSUER: &str = "
issuers:
  - name: main
    issuer: @ISSUER@
    jwks: {file: @DIR@/jwks.json}
    audiences: [api]
    algorithms: [RS256, ES256]
";

/// The first lines of every configuration unless a test brings its own.
const HEAD: &str = "
workers: @WORKERS@
admin: {listen: 127.0.0.1:0}
drain: {delay: 0s, deadline: 1s}
";

/// Every proxy of the bed says all it can say: its output is searched for secrets.
const LOUD: &str = "log: {level: trace}\n";

/// What to start.
pub struct Setup {
    config: String,
    upstream: Option<Upstream>,
    upstream_url: Option<String>,
    inbound: String,
    head: String,
    tls: bool,
    own_inbound: bool,
    clock: Clock,
    workers: usize,
    issuer_called: Option<String>,
    files: Vec<(String, String)>,
}

impl Setup {
    /// With the standard issuer and these lines (`routes:` and whatever else).
    pub fn new(lines: &str) -> Self {
        Self::bare(&format!("{ISSUER}{lines}"))
    }

    /// With these lines, issuers included.
    pub fn bare(lines: &str) -> Self {
        Self {
            config: lines.to_owned(),
            upstream: None,
            upstream_url: None,
            inbound: String::new(),
            head: HEAD.to_owned(),
            tls: false,
            own_inbound: false,
            clock: Clock::manual(UnixTime::from_secs(START)),
            workers: 1,
            issuer_called: None,
            files: Vec::new(),
        }
    }

    /// Replaces the default upstream.
    #[must_use]
    pub fn upstream(mut self, upstream: Upstream) -> Self {
        self.upstream = Some(upstream);
        self
    }

    /// Forwards somewhere else; the captured upstream must stay silent.
    #[must_use]
    pub fn upstream_url(mut self, url: &str) -> Self {
        self.upstream_url = Some(url.to_owned());
        self
    }

    /// Lines of `inbound:` beside `listen` and `upstream`, e.g. `cors: {…}`.
    #[must_use]
    pub fn inbound(mut self, lines: &str) -> Self {
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            self.inbound.push_str("\n    ");
            self.inbound.push_str(line);
        }
        self
    }

    /// Adds a TLS listener named `tls` beside the plain one.
    #[must_use]
    pub const fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Uses the machine's clock.
    #[must_use]
    pub fn system_clock(mut self) -> Self {
        self.clock = Clock::system();
        self
    }

    /// Other first lines.
    #[must_use]
    pub fn head(mut self, head: &str) -> Self {
        head.clone_into(&mut self.head);
        self
    }

    /// Other first lines that bring their own `inbound:`.
    #[must_use]
    pub fn head_only(mut self, head: &str) -> Self {
        head.clone_into(&mut self.head);
        self.own_inbound = true;
        self
    }

    /// Several workers.
    #[must_use]
    pub const fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Another name for the issuer than its address.
    #[must_use]
    pub fn issuer_called(mut self, iss: &str) -> Self {
        self.issuer_called = Some(iss.to_owned());
        self
    }

    /// Puts a file beside the configuration (`@DIR@`).
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Starts everything.
    #[track_caller]
    pub fn start(self) -> Bed {
        self.try_start().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts everything, or says why the proxy does not.
    ///
    /// # Errors
    /// What the program would print.
    pub fn try_start(self) -> Result<Bed, String> {
        let dir = tempfile::tempdir().expect("a directory");
        let upstream = self.upstream.unwrap_or_else(Upstream::start);
        let mut issuer = Issuer::start(&self.clock);
        if let Some(name) = &self.issuer_called {
            issuer = issuer.called(name);
        }
        let second = Issuer::start(&self.clock);
        issuer.write_jwks(&dir.path().join("jwks.json"));
        for (name, text) in &self.files {
            std::fs::write(dir.path().join(name), text).expect("a file");
        }
        let url = self.upstream_url.unwrap_or_else(|| upstream.url());
        let inbound = self.inbound;
        let tls_listener = if self.tls {
            format!(
                "\n  - name: tls\n    listen: 127.0.0.1:0\n    upstream: {url}\n    \
                 tls: {{certificate: {{file: {}}}, key: {{file: {}}}}}{inbound}",
                super::tls::file("tls.crt").display(),
                super::tls::file("tls.key").display()
            )
        } else {
            String::new()
        };
        let listeners = if self.own_inbound {
            String::new()
        } else {
            format!(
                "inbound:\n  - name: plain\n    listen: 127.0.0.1:0\n    upstream: {url}{inbound}{tls_listener}\n"
            )
        };
        let head = self.head.replace("@WORKERS@", &self.workers.to_string());
        let mut fill = Fill {
            pairs: vec![
                ("@ISSUER@".into(), issuer.iss.clone()),
                ("@JWKS@".into(), issuer.jwks_url()),
                ("@ISSUER2@".into(), second.iss.clone()),
                ("@JWKS2@".into(), second.jwks_url()),
                ("@DIR@".into(), dir.path().display().to_string()),
                ("@CERTS@".into(), super::tls::dir().display().to_string()),
                ("@UPSTREAM@".into(), url),
            ],
        };
        let says = |lines: &str| lines.lines().any(|line| line.starts_with("log:"));
        let log = if says(&head) || says(&self.config) {
            ""
        } else {
            LOUD
        };
        fill.pairs
            .push(("@HEAD@".into(), format!("{head}{log}{listeners}")));
        let text = fill.apply(&format!("@HEAD@{}", self.config));
        let config = dir.path().join("config.yaml");
        std::fs::write(&config, &text).expect("a file");
        let proxy = Proxy::try_start(&config, &self.clock, &["inbound", "plain", "tls", "other"])?;
        Ok(Bed {
            proxy,
            upstream,
            issuer,
            second,
            clock: self.clock,
            fill,
            text,
            config,
            dir,
        })
    }
}

struct Fill {
    pairs: Vec<(String, String)>,
}

impl Fill {
    fn apply(&self, text: &str) -> String {
        self.pairs
            .iter()
            .rev()
            .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }
}

/// A running whole. The proxy stops first.
pub struct Bed {
    pub proxy: Proxy,
    pub upstream: Upstream,
    /// The issuer `main`.
    pub issuer: Issuer,
    /// Another one, for tests that configure it.
    pub second: Issuer,
    pub clock: Clock,
    fill: Fill,
    /// The configuration as started.
    pub text: String,
    pub config: PathBuf,
    pub dir: tempfile::TempDir,
}

impl Bed {
    /// A good token of the main issuer.
    pub fn token(&self) -> Token {
        self.issuer.token()
    }

    /// Sends on a fresh connection.
    #[track_caller]
    pub fn send(&self, request: &Request) -> super::Response {
        self.proxy.send(request)
    }

    /// GET with a token, fresh connection.
    #[track_caller]
    pub fn get(&self, target: &str, token: &str) -> super::Response {
        self.send(&Request::get(target).bearer(token))
    }

    /// Replaces the pinned JWKS of the issuer called `name` and waits until the proxy has it.
    #[track_caller]
    pub fn republish(&self, name: &str, keys: Vec<serde_json::Value>) {
        self.proxy.await_new_keys(name, || {
            self.issuer.publish(keys);
            self.issuer.write_jwks(&self.dir.path().join("jwks.json"));
            // Files are looked at every 15 s of the proxy's clock; a watcher may be faster.
            self.clock.advance(std::time::Duration::from_secs(16));
        });
    }

    /// The first lines as started, and these, which bring their own issuers.
    pub fn fill(&self, lines: &str) -> String {
        self.fill.apply(&format!("@HEAD@{lines}"))
    }

    /// Reloads with other lines (standard issuer and first lines as started).
    ///
    /// # Errors
    /// What `check` would print.
    pub fn reload(&self, lines: &str) -> Result<u64, String> {
        self.proxy
            .reload(&self.fill.apply(&format!("@HEAD@{ISSUER}{lines}")))
    }
}
