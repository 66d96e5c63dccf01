use super::*;

#[test]
fn the_well_known_path_goes_between_host_and_path() {
    // RFC 9728 section 3.1, its examples among them.
    let cases: [(&str, &str, &[&str]); 4] = [
        (
            "https://resource.example.com",
            "https://resource.example.com",
            &[WELL_KNOWN],
        ),
        (
            "https://resource.example.com/",
            "https://resource.example.com",
            &[WELL_KNOWN],
        ),
        (
            "https://resource.example.com/resource1",
            "https://resource.example.com",
            &[
                WELL_KNOWN,
                "/.well-known/oauth-protected-resource/resource1",
            ],
        ),
        (
            "http://[::1]:8080/a/b/",
            "http://[::1]:8080",
            &[WELL_KNOWN, "/.well-known/oauth-protected-resource/a/b/"],
        ),
    ];
    for (resource, origin, paths) in cases {
        let settings = ResourceMetadataSettings {
            resource: resource.to_owned(),
            scopes_supported: true,
            resource_name: None,
            resource_documentation: None,
        };
        assert_eq!(settings.origin(), origin);
        assert_eq!(settings.paths(), paths, "{resource}");
    }
}
