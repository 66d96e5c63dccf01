use super::*;

#[test]
fn patterns_are_written_decoded_and_whole() {
    for good in [
        "/",
        "/health",
        "/x/",
        "/x/**",
        "/**",
        "/{a}",
        "/{a}/b/{c_1}/**",
        "/café",
        "/a b",
        "/v1/x:cancel",
        "/a.b/...",
    ] {
        let pattern = PathPattern::parse(good).expect(good);
        assert_eq!(pattern.to_string(), good);
    }
    for (bad, why) in [
        ("", PatternError::Relative),
        ("x", PatternError::Relative),
        ("**", PatternError::Relative),
        ("//", PatternError::EmptySegment),
        ("/a//b", PatternError::EmptySegment),
        ("/a/../b", PatternError::DotSegment("..".into())),
        ("/.", PatternError::DotSegment(".".into())),
        ("/a%2fb", PatternError::Percent),
        ("/a?b", PatternError::Query('?')),
        ("/a#b", PatternError::Query('#')),
        ("/a;b", PatternError::Character(';')),
        ("/a\\b", PatternError::Character('\\')),
        ("/a\u{7f}b", PatternError::Character('\u{7f}')),
        ("/**/a", PatternError::RestNotLast),
        ("/**/", PatternError::RestNotLast),
        ("/a*", PatternError::Star),
        ("/*", PatternError::Star),
        ("/x{a}", PatternError::Braces("x{a}".into())),
        ("/{a}{b}", PatternError::Braces("{a}{b}".into())),
        ("/{a", PatternError::Braces("{a".into())),
        ("/{}", PatternError::ParameterName(String::new())),
        ("/{1a}", PatternError::ParameterName("1a".into())),
        ("/{a}/{a}", PatternError::DuplicateParameter("a".into())),
    ] {
        assert_eq!(PathPattern::parse(bad), Err(why), "{bad}");
    }
    assert_eq!(
        PathPattern::parse(&"/a".repeat(65)),
        Err(PatternError::TooDeep)
    );
    assert!(PathPattern::parse(&"/a".repeat(64)).is_ok());
}

#[test]
fn hosts_are_names_addresses_or_wildcards() {
    for (pattern, host, matches) in [
        ("api.example.org", "api.example.org", true),
        ("API.example.org", "api.example.org", true),
        ("api.example.org", "xapi.example.org", false),
        ("api.example.org", "api.example.org.evil", false),
        ("*.example.org", "a.example.org", true),
        ("*.example.org", "a.b.example.org", true),
        ("*.example.org", "example.org", false),
        ("*.example.org", ".example.org", false),
        ("*.example.org", "evilexample.org", false),
        ("127.0.0.1", "127.0.0.1", true),
        ("[::1]", "[::1]", true),
        ("localhost", "", false),
    ] {
        let parsed = HostPattern::parse(pattern).expect(pattern);
        assert_eq!(parsed.matches(host), matches, "{pattern} {host}");
    }
    for (bad, why) in [
        ("", PatternError::Host),
        ("a..b", PatternError::Host),
        ("a/b", PatternError::Host),
        ("example.org.", PatternError::Host),
        ("a.example.org:443", PatternError::Port),
        ("*", PatternError::HostStar),
        ("*example.org", PatternError::HostStar),
        ("a.*.org", PatternError::HostStar),
        ("*.*.org", PatternError::HostStar),
        ("*.", PatternError::Host),
        ("[::g]", PatternError::Port),
    ] {
        assert_eq!(HostPattern::parse(bad), Err(why), "{bad}");
    }
}
