//! A disk that does not take the copy of an issuer's keys costs the copy and nothing else.

use std::time::Duration;

use crate::bed::{Bed, Request, Setup, Variant, assert_forwarded, eventually};

fn bed(cache: &str) -> Bed {
    let config = "
issuers:
  - name: main
    issuer: @ISSUER@
    jwks: {url: @JWKS@, allow_http: true, cache: \"@DIR@/CACHE\"}
    audiences: [api]
callers: {web: {issuer: main}}
routes: [{path: /x, allow: web}]
";
    let bed = Setup::bare(&config.replace("CACHE", cache)).start();
    bed.proxy.await_issuer_events("jwks.refreshed", "main", 1);
    bed
}

fn refresh(bed: &Bed, n: usize) {
    bed.clock.advance(Duration::from_secs(15 * 60));
    bed.issuer.await_fetches(n);
    eventually("the end of the fetch", || {
        let status = bed.proxy.admin_get("/status").expect(200).json();
        status["issuers"][0]["fetches_ok"].as_u64() == Some(n as u64)
    });
    let token = bed.token().sign();
    assert_forwarded(bed, Variant::PLAIN, &Request::get("/x").bearer(token));
}

#[test]
fn invariant_42_a_disk_that_takes_no_copy_is_told_once_and_serving_goes_on() {
    // Neither a folder that is missing, nor a file where the folder should be, nor a folder where the file should be.
    for (cache, obstacle) in [
        ("later/copy.json", None),
        ("config.yaml/copy.json", None),
        ("kept", Some("kept/it")),
    ] {
        let bed = bed(cache);
        if let Some(obstacle) = obstacle {
            // What was written before the obstacle came is of no interest.
            drop(std::fs::remove_file(bed.dir.path().join(cache)));
            std::fs::create_dir_all(bed.dir.path().join(obstacle)).expect("a folder");
            refresh(&bed, 2);
        }
        bed.proxy
            .await_issuer_events("jwks.cache_not_written", "main", 1);
        let fetches = bed.issuer.fetches();
        for n in 1..=3 {
            refresh(&bed, fetches + n);
        }
        let warnings = bed.proxy.events();
        let warnings = warnings
            .iter()
            .filter(|line| line["event"] == "jwks.cache_not_written" && line["level"] == "warn");
        assert_eq!(warnings.count(), 1, "{cache}: once");
        eventually("nothing half-written stays", || {
            let left = std::fs::read_dir(bed.dir.path()).expect("the folder");
            left.map(|entry| entry.expect("an entry").file_name())
                .all(|name| !name.to_string_lossy().contains(".tmp"))
        });
        if cache.starts_with("later") {
            std::fs::create_dir(bed.dir.path().join("later")).expect("a folder");
            refresh(&bed, fetches + 4);
            bed.proxy
                .await_issuer_events("jwks.cache_written", "main", 1);
            let copy = std::fs::read(bed.dir.path().join(cache)).expect("a copy");
            assert!(
                serde_json::from_slice::<serde_json::Value>(&copy).is_ok(),
                "whole"
            );
        }
    }
}
