//! What kinds of findings there are: a word for each that stays the same, what it is about, and what to do.

use super::problem::Severity;

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
    /// A file that cannot be used.
    File,
    /// Settings that do not fit together.
    Setting,
    /// The name of something that is not there.
    UnknownName,
    /// Two that are the same, or a name that means something else.
    Ambiguous,
    /// Two routes would own one request.
    RouteConflict,
    /// An alternative that never decides anything.
    UnreachableAlternative,
    /// A condition on a parameter that its path does not have.
    UnboundParameter,
    /// A list that holds nothing.
    EmptySet,
    /// An issuer that does not say for whom its tokens are.
    AudienceMissing,
    /// Keys or secrets over plain http.
    PlainHttp,
    /// `*` where there are no wildcards.
    Wildcard,
    /// A public route owns what a protected one seems to, or what comes later.
    PublicCoversProtected,
    /// A public path that an upstream may take for a protected one.
    OpenTwin,
    /// Two routes that differ in a slash at the end.
    TrailingSlash,
    /// Two that could be taken for one another.
    LookAlike,
    /// A secret that others can read.
    SecretReadable,
    /// A scope that no token can have.
    UnknownScope,
    /// An alternative that reaches every account beside one that does not.
    WildcardAccount,
    /// A condition on a client that its issuer does not take.
    ClientNotTaken,
    /// An alternative's conditions that change nothing.
    ConditionWithoutEffect,
    /// Neither audience nor client is checked.
    AudienceUnchecked,
    /// Keys that are trusted long after they could be confirmed.
    StaleKeys,
    /// Verdicts of others that count for long.
    StaleReview,
    /// A pinned key that is not used.
    KeyLeftOut,
    /// A private key among public ones.
    PrivateKeyShown,
    /// A route that does not enforce.
    Observes,
    /// Something that nothing refers to.
    Unused,
    /// Somebody who is believed, whoever he is.
    TrustsEverybody,
    /// More can be reached, or seen on the way, than is needed.
    Exposed,
    /// A resource identifier that clients may refuse.
    ResourceIdentifier,
    /// An operation of an OpenAPI document that no route lets pass.
    OperationUncovered,
    /// Operations that a wide route decides, and no route of their own.
    OperationCatchAll,
    /// An operation whose route asks for less than its document.
    OperationOpen,
    /// A route that no operation is behind.
    RouteWithoutOperation,
}

/// What is told about a kind: its word, its severity, what it is about, what to do.
type Told = (&'static str, Severity, &'static str, &'static str);

impl Code {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 39] = [
        Self::Syntax,
        Self::Substitution,
        Self::UnknownKey,
        Self::MissingKey,
        Self::Value,
        Self::File,
        Self::Setting,
        Self::UnknownName,
        Self::Ambiguous,
        Self::RouteConflict,
        Self::UnreachableAlternative,
        Self::UnboundParameter,
        Self::EmptySet,
        Self::AudienceMissing,
        Self::PlainHttp,
        Self::Wildcard,
        Self::PublicCoversProtected,
        Self::OpenTwin,
        Self::TrailingSlash,
        Self::LookAlike,
        Self::SecretReadable,
        Self::UnknownScope,
        Self::WildcardAccount,
        Self::ClientNotTaken,
        Self::ConditionWithoutEffect,
        Self::AudienceUnchecked,
        Self::StaleKeys,
        Self::StaleReview,
        Self::KeyLeftOut,
        Self::PrivateKeyShown,
        Self::Observes,
        Self::Unused,
        Self::TrustsEverybody,
        Self::Exposed,
        Self::ResourceIdentifier,
        Self::OperationUncovered,
        Self::OperationCatchAll,
        Self::OperationOpen,
        Self::RouteWithoutOperation,
    ];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        self.told().0
    }

    /// What a finding of this kind forbids.
    #[must_use]
    pub const fn severity(self) -> Severity {
        self.told().1
    }

    /// What it is about.
    #[must_use]
    pub const fn means(self) -> &'static str {
        self.told().2
    }

    /// What to do, where the finding does not say better.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        self.told().3
    }

    const fn told(self) -> Told {
        match self {
            Self::Syntax
            | Self::Substitution
            | Self::UnknownKey
            | Self::MissingKey
            | Self::Value
            | Self::File
            | Self::Setting
            | Self::UnknownName
            | Self::Ambiguous => self.told_of_the_document(),
            Self::RouteConflict
            | Self::UnreachableAlternative
            | Self::UnboundParameter
            | Self::EmptySet
            | Self::AudienceMissing
            | Self::AudienceUnchecked
            | Self::ClientNotTaken
            | Self::PlainHttp
            | Self::Wildcard => self.told_of_policy(),
            Self::PublicCoversProtected
            | Self::OpenTwin
            | Self::TrailingSlash
            | Self::LookAlike
            | Self::SecretReadable
            | Self::UnknownScope
            | Self::WildcardAccount
            | Self::ConditionWithoutEffect => self.told_of_doubts(),
            Self::OperationUncovered
            | Self::OperationCatchAll
            | Self::OperationOpen
            | Self::RouteWithoutOperation => self.told_of_operations(),
            _ => self.told_of_settings(),
        }
    }

    const fn told_of_the_document(self) -> Told {
        match self {
            Self::Syntax => (
                "syntax",
                Severity::Error,
                "The document is not YAML that every reader reads alike: a mistake, a key twice, an anchor, a second document.",
                "Write it so that it can be read in one way only.",
            ),
            Self::Substitution => (
                "substitution",
                Severity::Error,
                "A `${…}` cannot be filled in: the variable is not set, or the file cannot be read.",
                "Set the variable where the program runs, or write the value.",
            ),
            Self::UnknownKey => (
                "unknown-key",
                Severity::Error,
                "A key that means nothing where it stands.",
                "`docs/configuration.md` has every key of every block.",
            ),
            Self::MissingKey => (
                "missing-key",
                Severity::Error,
                "A key that must be given is not.",
                "Add it; the message shows how it looks.",
            ),
            Self::Value => (
                "value",
                Severity::Error,
                "A value of the wrong kind or form.",
                "`docs/configuration.md` says what the key takes.",
            ),
            Self::File => (
                "file",
                Severity::Error,
                "A file that the document names cannot be read, or does not hold what it should.",
                "Paths are relative to the document; the message says what is wrong with the file.",
            ),
            Self::UnknownName => (
                "unknown-name",
                Severity::Error,
                "The name of a caller, an issuer, a listener, a template or a credential that is not there.",
                "Define it, or correct the name.",
            ),
            Self::Ambiguous => (
                "ambiguous",
                Severity::Error,
                "Two issuers, callers, routes or listeners that cannot be told apart (the same name, `iss` or conditions), the same thing listed twice, or a name that has another meaning already.",
                "Make them one, or give each a name and conditions of its own.",
            ),
            _ => (
                "setting",
                Severity::Error,
                "Settings that do not fit together.",
                "Keep the one that is meant.",
            ),
        }
    }

    const fn told_of_policy(self) -> Told {
        match self {
            Self::RouteConflict => (
                "route-conflict",
                Severity::Error,
                "Two routes match the same requests, and neither is more specific: one request would have two owners.",
                "Merge the routes, or narrow one by `hosts` or `inbound`.",
            ),
            Self::UnreachableAlternative => (
                "unreachable-alternative",
                Severity::Error,
                "An alternative that never decides anything: one before it lets pass all that it would, or no token can fulfil it.",
                "Put the narrower alternative first, or remove it.",
            ),
            Self::UnboundParameter => (
                "unbound-parameter",
                Severity::Error,
                "A condition or `fold` on a parameter that not every path of the route has.",
                "Name a parameter of the path, or give the path one.",
            ),
            Self::EmptySet => (
                "empty-set",
                Severity::Error,
                "A list that holds nothing, which some read as nobody and some as everybody.",
                "Name what is meant, or remove the key.",
            ),
            Self::AudienceMissing => (
                "audience-missing",
                Severity::Error,
                "An issuer without `audiences`: for whom its tokens are made must be said.",
                "`audiences: [my-api]`, or `audiences: unchecked` with `clients`.",
            ),
            Self::AudienceUnchecked => (
                "audience-unchecked",
                Severity::Warning,
                "Neither the audience nor the client of tokens is checked: a token that the issuer made for any other service is taken.",
                "Name `clients`, or the audience that tokens for this service have.",
            ),
            Self::ClientNotTaken => (
                "client-not-taken",
                Severity::Warning,
                "A caller or an alternative of a client that `clients` of its issuer does not name: no token of it is ever taken.",
                "Correct the client, name it in `clients`, or remove the alternative.",
            ),
            Self::PlainHttp => (
                "plain-http",
                Severity::Error,
                "Keys, or a secret on its way, over plain http: whoever is on the way can forge tokens or read the secret.",
                "Write https://, or `allow_http: true` where the network is trusted.",
            ),
            _ => (
                "wildcard",
                Severity::Error,
                "A `*` where there are no wildcards: it would be compared as it stands.",
                "Name the values, or leave the key out.",
            ),
        }
    }

    const fn told_of_doubts(self) -> Told {
        match self {
            Self::PublicCoversProtected => (
                "public-covers-protected",
                Severity::Warning,
                "A public route covers protected ones: what the upstream adds below it later is public from its first day.",
                "Name the public paths one by one.",
            ),
            Self::OpenTwin => (
                "open-twin",
                Severity::Warning,
                "A public path that an upstream may take for a protected one: another case, a slash at the end, another `Host`.",
                "Let both allow the same, unless the upstream tells them apart.",
            ),
            Self::TrailingSlash => (
                "trailing-slash",
                Severity::Warning,
                "Two routes whose paths differ in a slash at the end, and that allow different things.",
                "Make them one route with both paths, unless the upstream tells them apart.",
            ),
            Self::LookAlike => (
                "look-alike",
                Severity::Warning,
                "Two issuers, clients or callers that people would take for one another: another case, a slash at the end, letters and digits that look alike.",
                "They are compared byte for byte: write them as tokens have them, and tell callers apart by their names.",
            ),
            Self::SecretReadable => (
                "secret-readable",
                Severity::Warning,
                "A file with a secret that every user of the machine can read.",
                "`chmod o-rwx`, or `defaultMode: 0440` of the volume.",
            ),
            Self::UnknownScope => (
                "unknown-scope",
                Severity::Warning,
                "A scope that no token of the issuer has, by its own `scopes_supported`.",
                "Correct the scope, or declare it.",
            ),
            Self::WildcardAccount => (
                "wildcard-account",
                Severity::Warning,
                "Beside an alternative for an account's own data stands one that reaches every account, for no caller in particular.",
                "Name the client, the subject or the ServiceAccount that may reach them all.",
            ),
            _ => (
                "condition-without-effect",
                Severity::Warning,
                "An alternative's conditions bind nobody: another one lets the same caller pass without them.",
                "Remove the wider alternative, or the conditions.",
            ),
        }
    }

    const fn told_of_settings(self) -> Told {
        match self {
            Self::StaleKeys => (
                "stale-keys",
                Severity::Warning,
                "Keys are trusted for long after their issuer could last be asked: one that it withdrew goes on counting while it is out of reach.",
                "The default of `max_stale`, 24h, outlasts a night.",
            ),
            Self::StaleReview => (
                "stale-review",
                Severity::Warning,
                "A token that was revoked is taken for long afterwards.",
                "10s is what it is when nothing is written; `jwks` asks nobody at all.",
            ),
            Self::KeyLeftOut => (
                "key-left-out",
                Severity::Warning,
                "A pinned key cannot be used, and tokens that it signed are refused.",
                "Remove it from the set, or replace it.",
            ),
            Self::PrivateKeyShown => (
                "private-key-shown",
                Severity::Warning,
                "A private or symmetric key in a set of public keys: whoever reads it can forge tokens.",
                "Keep only the public members of each key, and replace a key that was shown.",
            ),
            Self::Observes => (
                "observes",
                Severity::Warning,
                "Decisions are recorded, and not enforced.",
                "Remove `mode: observe` once the records show what was expected.",
            ),
            Self::Unused => (
                "unused",
                Severity::Warning,
                "An issuer or a credential that nothing refers to.",
                "Name it where it is meant, or remove it.",
            ),
            Self::TrustsEverybody => (
                "trusts-everybody",
                Severity::Warning,
                "Whoever can connect is believed about which client he speaks for.",
                "Name the networks of the proxies in front.",
            ),
            Self::Exposed => (
                "exposed",
                Severity::Warning,
                "More can be reached, or read on the way, than is needed.",
                "Listen on loopback, name the paths, or use TLS; the message says which.",
            ),
            _ => (
                "resource-identifier",
                Severity::Warning,
                "A resource identifier that is no https URL (RFC 9728 section 1.2): clients may refuse it.",
                "Name the address that clients use.",
            ),
        }
    }

    const fn told_of_operations(self) -> Told {
        match self {
            Self::OperationUncovered => (
                "operation-uncovered",
                Severity::Warning,
                "An operation of the OpenAPI document that no route lets pass: its callers are refused.",
                "Write a route for it, or its method into its route; `allow: nobody` says that it is meant.",
            ),
            Self::OperationCatchAll => (
                "operation-catch-all",
                Severity::Warning,
                "Operations of the OpenAPI document that only a wide route decides, which does not know them.",
                "Give them routes of their own, as `countersign import` writes them.",
            ),
            Self::OperationOpen => (
                "operation-open",
                Severity::Warning,
                "An operation whose route asks for less than the OpenAPI document: no token, or not its scopes.",
                "Ask for what the document asks for, or correct the document.",
            ),
            _ => (
                "route-without-operation",
                Severity::Warning,
                "A route that lets somebody pass where the OpenAPI document has no operation.",
                "Remove it, or add the operation to the document.",
            ),
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_a_word_of_its_own_and_a_row_in_the_documentation() {
        let page = include_str!("../../docs/policy.md");
        let mut words = BTreeSet::new();
        for code in Code::ALL {
            let word = code.word();
            assert!(words.insert(word), "{word} twice");
            assert!(word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
            let severity = code.severity().word();
            let row = format!(
                "| `{word}` | {severity} | {} | {} |",
                code.means(),
                code.remedy()
            );
            assert!(page.contains(&row), "docs/policy.md has no row\n{row}");
        }
        let rows = page.lines().filter(|line| {
            line.starts_with("| `")
                && (line.contains("` | error |") || line.contains("` | warning |"))
        });
        assert_eq!(rows.count(), Code::ALL.len());
    }
}
