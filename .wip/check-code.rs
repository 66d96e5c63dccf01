//! What kinds of findings there are: a word for each, which machines and people go by, and what it is about.

/// The kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// Not YAML that every reader reads alike.
    Syntax,
    /// `${…}` cannot be filled in.
    Substitution,
    /// A key that means nothing.
    UnknownKey,
    /// A key that must be given.
    MissingKey,
    /// A value of the wrong kind or form.
    Value,
    /// Settings that do not fit together, or a file that cannot be used.
    Setting,
    /// The name of something that is not there.
    UnknownName,
    /// Two routes would own one request.
    RouteConflict,
    /// An alternative that never decides anything.
    UnreachableAlternative,
    /// A condition on a parameter that its path does not have.
    UnboundParameter,
    /// A public route owns requests that a protected one seems to.
    PublicCoversProtected,
    /// Two that could be taken for one another.
    LookAlike,
    /// A list that holds nothing.
    EmptySet,
    /// An issuer that does not say for whom its tokens are.
    AudienceMissing,
    /// Keys over plain http.
    PlainHttpKeys,
    /// A secret that others can read.
    SecretReadable,
    /// `*` where there are no wildcards.
    Wildcard,
    /// A scope that no token can have.
    UnknownScope,
    /// Two routes that differ in a slash at the end.
    TrailingSlash,
    /// An alternative that reaches every account beside one that does not.
    WildcardAccount,
    /// Keys that are trusted long after they could be confirmed.
    StaleKeys,
    /// Verdicts of others that count for long.
    StaleReview,
    /// A public path that an upstream may take for a protected one.
    OpenTwin,
    /// Neither audience nor client is checked.
    AudienceUnchecked,
    /// An alternative's conditions that change nothing.
    ConditionWithoutEffect,
    /// A route that does not enforce.
    Observes,
    /// A listener that tells callers why.
    Explains,
    /// Something that nothing refers to.
    Unused,
    /// Somebody who is believed, whoever he is.
    TrustsEverybody,
    /// More can be reached than is needed.
    Exposed,
    /// A key that is not used.
    KeyLeftOut,
    /// A private key among public ones.
    PrivateKeyShown,
}

impl Code {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 32] = [
        Self::Syntax,
        Self::Substitution,
        Self::UnknownKey,
        Self::MissingKey,
        Self::Value,
        Self::Setting,
        Self::UnknownName,
        Self::RouteConflict,
        Self::UnreachableAlternative,
        Self::UnboundParameter,
        Self::PublicCoversProtected,
        Self::LookAlike,
        Self::EmptySet,
        Self::AudienceMissing,
        Self::PlainHttpKeys,
        Self::SecretReadable,
        Self::Wildcard,
        Self::UnknownScope,
        Self::TrailingSlash,
        Self::WildcardAccount,
        Self::StaleKeys,
        Self::StaleReview,
        Self::OpenTwin,
        Self::AudienceUnchecked,
        Self::ConditionWithoutEffect,
        Self::Observes,
        Self::Explains,
        Self::Unused,
        Self::TrustsEverybody,
        Self::Exposed,
        Self::KeyLeftOut,
        Self::PrivateKeyShown,
    ];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        self.described().0
    }

    /// What it is about, in a sentence without its end.
    #[must_use]
    pub const fn about(self) -> &'static str {
        self.described().1
    }

    /// The code of this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.word() == word)
    }

    const fn described(self) -> (&'static str, &'static str) {
        match self {
            Self::Syntax => ("syntax", "not YAML that every reader reads alike"),
            Self::Substitution => ("substitution", "a `${…}` that cannot be filled in"),
            Self::UnknownKey => ("unknown-key", "a key that means nothing here"),
            Self::MissingKey => ("missing-key", "a key that must be given"),
            Self::Value => ("value", "a value of the wrong kind or form"),
            Self::Setting => (
                "setting",
                "settings that do not fit together, or a file that cannot be used",
            ),
            Self::UnknownName => ("unknown-name", "the name of something that is not there"),
            Self::RouteConflict => (
                "route-conflict",
                "two routes match the same requests, and neither is more specific",
            ),
            Self::UnreachableAlternative => (
                "unreachable-alternative",
                "an alternative that never decides: another one before it lets pass all that it would, or no token can fulfil it",
            ),
            Self::UnboundParameter => (
                "unbound-parameter",
                "a condition on a parameter that the route's path does not have",
            ),
            Self::PublicCoversProtected => (
                "public-covers-protected",
                "a public route owns what a protected one seems to protect, or what the upstream adds beside it later",
            ),
            Self::LookAlike => (
                "look-alike",
                "two issuers, clients or callers that could be taken for one another: the same name, another case, a slash at the end, letters that look alike",
            ),
            Self::EmptySet => (
                "empty-set",
                "a list that holds nothing, which some would read as nobody and some as everybody",
            ),
            Self::AudienceMissing => (
                "audience-missing",
                "an issuer without `audiences`: for whom its tokens are must be said, if only as `unchecked`",
            ),
            Self::PlainHttpKeys => (
                "plain-http-keys",
                "keys over plain http: whoever is on the way can forge tokens",
            ),
            Self::SecretReadable => (
                "secret-readable",
                "a file with a secret that every user of the machine can read",
            ),
            Self::Wildcard => ("wildcard", "a `*` where there are no wildcards"),
            Self::UnknownScope => (
                "unknown-scope",
                "a scope that no token of the issuer has, by its own `scopes_supported`",
            ),
            Self::TrailingSlash => (
                "trailing-slash",
                "two routes whose paths differ in a slash at the end, with rules of their own",
            ),
            Self::WildcardAccount => (
                "wildcard-account",
                "beside an alternative for an account's own data one that reaches every account, for no caller in particular",
            ),
            Self::StaleKeys => (
                "stale-keys",
                "keys are trusted for long after their issuer could last be asked",
            ),
            Self::StaleReview => (
                "stale-review",
                "a token that was revoked is taken for long afterwards",
            ),
            Self::OpenTwin => (
                "open-twin",
                "a public path that an upstream may take for a protected one",
            ),
            Self::AudienceUnchecked => (
                "audience-unchecked",
                "neither the audience nor the client of tokens is checked",
            ),
            Self::ConditionWithoutEffect => (
                "condition-without-effect",
                "conditions of an alternative that another one makes pointless",
            ),
            Self::Observes => ("observes", "decisions are recorded, and not enforced"),
            Self::Explains => ("explains", "answers tell callers why they are refused"),
            Self::Unused => ("unused", "something that nothing refers to"),
            Self::TrustsEverybody => (
                "trusts-everybody",
                "whoever can connect is believed about who the client is",
            ),
            Self::Exposed => ("exposed", "more can be reached than is needed"),
            Self::KeyLeftOut => ("key-left-out", "a pinned key that is not used"),
            Self::PrivateKeyShown => (
                "private-key-shown",
                "a private key in a set of public ones",
            ),
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}
