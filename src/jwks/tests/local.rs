//! Keys that need no network: inline, files, the copy on disk.

use std::fs;
use std::path::Path;

use super::*;

fn file_settings(path: &Path) -> KeySourceSettings {
    KeySourceSettings {
        source: KeySource::File(path.to_owned()),
        ..KeySourceSettings::default()
    }
}

fn inline_settings(document: Vec<u8>) -> KeySourceSettings {
    KeySourceSettings {
        source: KeySource::Inline(String::from_utf8(document).unwrap()),
        ..KeySourceSettings::default()
    }
}

/// A runtime that cannot open a socket: doing so panics.
fn without_sockets<F: Future>(test: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(test)
}

#[test]
fn t01_pinned_keys_work_at_once_and_open_no_socket() {
    without_sockets(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jwks.json");
        fs::write(&path, idp::jwks(&["from-file"])).unwrap();
        let world = World::new();
        world.configure([
            ("file", file_settings(&path)),
            ("inline", inline_settings(idp::jwks(&["inline"]))),
        ]);
        assert_eq!(world.kids("file"), ["from-file"]);
        assert_eq!(world.kids("inline"), ["inline"]);
        assert_eq!(world.obtain("inline", "unknown").await, Obtained::Absent);
        assert_eq!(world.obtain("file", "unknown").await, Obtained::Absent);
        world.next_attempt("file").await;
        assert_eq!(world.health("file"), KeyHealth::Usable);
        world.clock.advance(secs(30 * 86_400));
        assert_eq!(world.kids("inline"), ["inline"], "inline keys do not age");
        assert_eq!(world.status("inline").next_refresh_seconds, None);
        assert_eq!(world.status("inline").fetches_ok, 1);
    });
}

#[test]
fn t01_junk_is_unavailable_and_a_mended_file_heals() {
    without_sockets(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jwks.json");
        let world = World::new();
        world.configure([
            ("file", file_settings(&path)),
            ("inline", inline_settings(b"junk".to_vec())),
            ("directory", file_settings(directory.path())),
        ]);
        for name in ["file", "inline", "directory"] {
            assert_eq!(world.health(name), KeyHealth::Unavailable);
            assert!(is_unavailable(world.obtain(name, "a").await), "{name}");
        }
        fs::write(&path, idp::jwks(&["a"])).unwrap();
        world.next_attempt("file").await;
        assert_eq!(world.kids("file"), ["a"]);
    });
}

/// A ConfigMap volume: `jwks.json` → `..data/jwks.json`, `..data` → a directory of its own for each version.
#[cfg(unix)]
fn swap_config_map(volume: &Path, version: &str, document: &[u8]) {
    use std::os::unix::fs::symlink;
    fs::create_dir(volume.join(version)).unwrap();
    fs::write(volume.join(version).join("jwks.json"), document).unwrap();
    symlink(version, volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    if !volume.join("jwks.json").exists() {
        symlink("..data/jwks.json", volume.join("jwks.json")).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn t15_pinned_keys_rotate_without_a_restart() {
    without_sockets(async {
        let volume = tempfile::tempdir().unwrap();
        swap_config_map(volume.path(), "..1", &idp::jwks(&["old"]));
        let world = World::new();
        let path = volume.path().join("jwks.json");
        world.configure([("atlas", file_settings(&path))]);
        assert_eq!(world.keys.files(), [path]);
        world.ended("atlas", 1).await;

        let read = world.attempts("atlas");
        swap_config_map(volume.path(), "..2", &idp::jwks(&["old", "new"]));
        world.keys.file_changed(&volume.path().join("..data"));
        world.ended("atlas", read + 1).await;
        assert_eq!(world.kids("atlas"), ["old", "new"]);

        swap_config_map(volume.path(), "..3", b"{\"keys\": [");
        world.keys.file_changed(volume.path());
        world.ended("atlas", read + 2).await;
        assert_eq!(world.kids("atlas"), ["old", "new"], "junk changes nothing");
        assert_eq!(world.health("atlas"), KeyHealth::Stale);

        // Nobody signals: the poll finds it.
        swap_config_map(volume.path(), "..4", &idp::jwks(&["new"]));
        world.next_attempt("atlas").await;
        assert_eq!(world.kids("atlas"), ["new"]);
        fs::remove_file(volume.path().join("..data")).unwrap();
        world.next_attempt("atlas").await;
        assert_eq!(
            world.kids("atlas"),
            ["new"],
            "a missing file changes nothing"
        );
    });
}

#[test]
fn an_unknown_kid_looks_at_the_file_again() {
    without_sockets(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("jwks.json");
        fs::write(&path, idp::jwks(&["old"])).unwrap();
        let world = World::new();
        world.configure([("atlas", file_settings(&path))]);
        fs::write(&path, idp::jwks(&["new"])).unwrap();
        assert_eq!(world.obtain("atlas", "new").await, Obtained::Refreshed);
    });
}

struct Cached {
    directory: tempfile::TempDir,
    idp: Idp,
}

impl Cached {
    /// A process that fetched once and ended.
    async fn written() -> Self {
        let cached = Self {
            directory: tempfile::tempdir().unwrap(),
            idp: Idp::start().await,
        };
        cached.idp.reply(Reply::keys(&["a"]));
        let settings = cached.settings();
        let _world = World::with(&cached.idp, |own| *own = settings).await;
        cached.written_by_now().await;
        cached.idp.reply(Reply::Status(500, ""));
        cached
    }

    /// Waits for the copy; it is written beside everything else.
    async fn written_by_now(&self) {
        let written = async {
            while !self.path().exists() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, written).await.unwrap();
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("dls.json")
    }

    fn settings(&self) -> KeySourceSettings {
        KeySourceSettings {
            cache: Some(self.path()),
            ..url_settings(&self.idp)
        }
    }
}

fn restarted(settings: KeySourceSettings, wall: i64) -> World {
    let world = World::at(Clock::manual(UnixTime::from_secs(wall)));
    world.configure([("dls", settings)]);
    world
}

const HOUR: i64 = 3600;

#[tokio::test]
async fn s14_a_restart_during_an_outage_serves_the_copy_on_disk() {
    let cached = Cached::written().await;
    let world = restarted(cached.settings(), START.as_secs() + 10 * HOUR);
    assert_eq!(world.kids("dls"), ["a"], "before any fetch");
    let status = world.status("dls");
    assert!(status.from_disk);
    assert_eq!(status.health, KeyHealth::Stale);
    let nine_hours = 9 * 3600;
    assert!(status.age_seconds.unwrap() > nine_hours);
    world.ended("dls", 1).await;
    assert_eq!(world.kids("dls"), ["a"], "after a failed one");
    // The age on disk counts: `max_stale` is a day.
    world.clock.advance(secs(15 * 3600));
    world.until("dls", |status| status.kids.is_empty()).await;
    assert!(world.kids("dls").is_empty());

    let world = restarted(cached.settings(), START.as_secs() + 10 * HOUR);
    world.ended("dls", 1).await;
    cached.idp.reply(Reply::keys(&["b"]));
    world.next_attempt("dls").await;
    assert_eq!(world.kids("dls"), ["b"]);
    assert_eq!(world.health("dls"), KeyHealth::Usable);
}

#[tokio::test]
async fn a_copy_is_used_only_young_and_for_the_very_same_source() {
    let cached = Cached::written().await;
    let changed = |change: fn(&mut KeySourceSettings)| {
        let mut settings = cached.settings();
        change(&mut settings);
        settings
    };
    let later = START.as_secs() + HOUR;
    let other = Idp::start().await;
    let mut elsewhere = cached.settings();
    elsewhere.source = KeySource::Url(other.url("/jwks"));
    let ca = |settings: &mut KeySourceSettings| {
        settings.ca = Some(crate::config::Secret::new(b"x".to_vec(), None));
    };
    for (name, settings, wall, used) in [
        ("as it was", cached.settings(), later, true),
        (
            "interval changed",
            changed(|s| s.refresh = secs(60)),
            later,
            true,
        ),
        ("other place", elsewhere, later, false),
        ("other ca", changed(ca), later, false),
        ("stricter", changed(|s| s.allow_http = false), later, false),
        ("too old", cached.settings(), later + 24 * HOUR, false),
        (
            "older than allowed",
            changed(|s| s.max_stale = secs(60)),
            later,
            false,
        ),
        (
            "from the future",
            cached.settings(),
            START.as_secs() - HOUR,
            false,
        ),
        ("clock reset", cached.settings(), 0, false),
        ("clock before the epoch", cached.settings(), i64::MIN, false),
    ] {
        let world = restarted(settings, wall);
        assert_eq!(!world.kids("dls").is_empty(), used, "{name}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_copy_is_ours_alone_and_a_bad_one_is_ignored() {
    use std::os::unix::fs::PermissionsExt as _;
    let cached = Cached::written().await;
    let path = cached.path();
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    let left: Vec<_> = fs::read_dir(cached.directory.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "no temporary file stays");
    assert_eq!(mode(), 0o600);
    let now = START.as_secs() + HOUR;
    let good = fs::read(&path).unwrap();
    for bad in [&b""[..], b"{}", b"\xff\xfe", &good[..good.len() / 2]] {
        fs::write(&path, bad).unwrap();
        assert!(restarted(cached.settings(), now).kids("dls").is_empty());
    }
    fs::write(&path, &good).unwrap();
    assert_eq!(restarted(cached.settings(), now).kids("dls"), ["a"]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(restarted(cached.settings(), now).kids("dls").is_empty());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(restarted(cached.settings(), now).kids("dls"), ["a"]);
    // Only root can give a file away, so only there the whole of it is shown.
    let root = rustix::process::geteuid().is_root();
    if root && std::os::unix::fs::chown(&path, Some(12_345), None).is_ok() {
        assert!(restarted(cached.settings(), now).kids("dls").is_empty());
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
        assert_eq!(restarted(cached.settings(), now).kids("dls"), ["a"]);
    }
}

#[tokio::test]
async fn a_copy_that_cannot_be_written_harms_nothing() {
    let idp = Idp::start().await;
    idp.reply(Reply::keys(&["a"]));
    let directory = tempfile::tempdir().unwrap();
    let world = World::with(&idp, |settings| {
        settings.cache = Some(directory.path().join("missing/dls.json"));
    })
    .await;
    world.next_attempt("dls").await;
    assert_eq!(world.health("dls"), KeyHealth::Usable);
}
