//! Names of header fields that mean something to a proxy, and those that clients may not send.

use http::HeaderName;

/// What a field name means to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// End-to-end, passed on.
    Keep,
    /// Only we may say it, or it would change what was asked for behind policy's back.
    Reserved,
    /// Believed and passed on from trusted proxies, dropped from others.
    FromTrusted,
    /// `X-Forwarded-For`: as above, and read.
    ForwardedFor,
    /// Hop-by-hop (RFC 9110 section 7.6.1), nothing to read in it.
    HopByHop,
    Authorization,
    Connection,
    ContentLength,
    Cookie,
    Expect,
    Host,
    Http2Settings,
    /// `DPoP`: for us alone, and read.
    Proof,
    Te,
    TransferEncoding,
    Upgrade,
}

const FIXED: &[(&str, Kind)] = &[
    ("authorization", Kind::Authorization),
    ("connection", Kind::Connection),
    ("content-length", Kind::ContentLength),
    ("cookie", Kind::Cookie),
    ("dpop", Kind::Proof),
    ("expect", Kind::Expect),
    ("host", Kind::Host),
    ("http2-settings", Kind::Http2Settings),
    ("te", Kind::Te),
    ("transfer-encoding", Kind::TransferEncoding),
    ("upgrade", Kind::Upgrade),
    ("keep-alive", Kind::HopByHop),
    ("proxy-authenticate", Kind::HopByHop),
    ("proxy-authorization", Kind::HopByHop),
    ("proxy-connection", Kind::HopByHop),
    ("trailer", Kind::HopByHop),
    // Legacy frameworks let these replace the method or the target that policy judged.
    ("x-http-method", Kind::Reserved),
    ("x-http-method-override", Kind::Reserved),
    ("x-method-override", Kind::Reserved),
    ("x-original-host", Kind::Reserved),
    ("x-original-method", Kind::Reserved),
    ("x-original-uri", Kind::Reserved),
    ("x-original-url", Kind::Reserved),
    ("x-rewrite-url", Kind::Reserved),
    ("x-forwarded-method", Kind::Reserved),
    ("x-forwarded-path", Kind::Reserved),
    ("x-forwarded-uri", Kind::Reserved),
    ("x-host", Kind::Reserved),
    ("x-http-host-override", Kind::Reserved),
    // CGI turns it into HTTP_PROXY (httpoxy, CVE-2016-5385).
    ("proxy", Kind::Reserved),
    ("forwarded", Kind::FromTrusted),
    ("forwarded-for", Kind::FromTrusted),
    ("x-forwarded", Kind::FromTrusted),
    ("x-forwarded-for", Kind::ForwardedFor),
    ("x-real-ip", Kind::FromTrusted),
    ("client-ip", Kind::FromTrusted),
    ("true-client-ip", Kind::FromTrusted),
    ("x-client-ip", Kind::FromTrusted),
    ("x-cluster-client-ip", Kind::FromTrusted),
    ("x-original-forwarded-for", Kind::FromTrusted),
];

/// Header names that clients may not send, in any spelling, and the fixed names that a proxy reads or removes.
///
/// Sorted by length: looking a name up compares it with the few names that are as long.
#[derive(Debug)]
pub struct ReservedNames {
    by_length: Vec<Vec<(Box<str>, Kind)>>,
    /// Spellings that lenient readers take for reserved names are reserved too.
    spellings: bool,
}

impl Default for ReservedNames {
    fn default() -> Self {
        Self::new([])
    }
}

impl ReservedNames {
    /// Reserves `names` beside the fixed ones (rewrite and method-override headers, `Forwarded`, …).
    ///
    /// Names that the proxy itself reads (`Authorization`, `Host`, …) cannot be reserved; they keep their meaning.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = HeaderName>) -> Self {
        let mut reserved = Self {
            by_length: Vec::new(),
            spellings: true,
        };
        for (name, kind) in FIXED {
            reserved.insert(name, *kind);
        }
        for name in names {
            reserved.insert(&fold(name.as_str()), Kind::Reserved);
        }
        reserved
    }

    /// For callers who vouch for themselves, as those of outbound listeners do: nothing is reserved, only what a proxy
    /// reads or removes is known. Where their paths are `judged`, names that replace the path are reserved.
    #[must_use]
    pub fn of_outbound(judged: bool) -> Self {
        let mut reserved = Self {
            by_length: Vec::new(),
            spellings: false,
        };
        for (name, kind) in FIXED {
            if judged || *kind != Kind::Reserved {
                reserved.insert(name, *kind);
            }
        }
        reserved
    }

    fn insert(&mut self, name: &str, kind: Kind) {
        if self.by_length.len() <= name.len() {
            self.by_length.resize_with(name.len() + 1, Vec::new);
        }
        let Some(bucket) = self.by_length.get_mut(name.len()) else {
            return;
        };
        match bucket.iter_mut().find(|(known, _)| **known == *name) {
            // An identity header named, say, `x-real-ip`: not even a trusted proxy may set it.
            Some((_, known @ (Kind::FromTrusted | Kind::ForwardedFor | Kind::Keep))) => {
                *known = kind;
            }
            Some(_) => {}
            None => bucket.push((name.into(), kind)),
        }
    }

    /// `name` is lower-case, as [`HeaderName`] guarantees.
    pub(super) fn kind(&self, name: &str) -> Kind {
        let bucket = self.by_length.get(name.len());
        for (known, kind) in bucket.into_iter().flatten() {
            if **known == *name {
                return *kind;
            }
        }
        // `x_auth_sub` and `x.auth.sub` become `X-Auth-Sub` to CGI, WSGI and their kin. Before the prefixes: nobody is
        // trusted to say `x-forwarded-user_id` where `x-forwarded-user-id` is ours.
        let plain = |byte: u8| byte == b'-' || byte.is_ascii_alphanumeric();
        if self.spellings && !name.bytes().all(plain) {
            return Kind::Reserved;
        }
        if name.starts_with("x-forwarded-") {
            return Kind::FromTrusted;
        }
        // A sidecar or router of the Envoy family behind us would act on these.
        if self.spellings && name.starts_with("x-envoy-") {
            return Kind::Reserved;
        }
        Kind::Keep
    }
}

fn fold_byte(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() {
        byte.to_ascii_lowercase()
    } else {
        b'-'
    }
}

fn fold(name: &str) -> String {
    name.bytes().map(fold_byte).map(char::from).collect()
}

/// Whether `name` could be taken for a reserved name by a lenient reader: case is folded, and anything that is neither
/// letter nor digit compares as `-`. For stripping reserved names from responses.
#[must_use]
pub fn is_reserved_spelling(name: &str, reserved: &ReservedNames) -> bool {
    let bucket = reserved.by_length.get(name.len());
    bucket.into_iter().flatten().any(|(known, kind)| {
        // Names differ most at their ends: one byte rules out nearly all.
        *kind == Kind::Reserved
            && known.bytes().next_back() == name.bytes().next_back().map(fold_byte)
            && known.bytes().eq(name.bytes().map(fold_byte))
    })
}
