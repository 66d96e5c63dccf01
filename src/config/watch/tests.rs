use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::clock::UnixTime;

/// Longer than any machine needs, so that a failure is one.
const PATIENCE: Duration = Duration::from_secs(20);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

async fn change_after(watcher: &mut Watcher, act: impl FnOnce()) {
    act();
    tokio::time::timeout(PATIENCE, watcher.changed())
        .await
        .expect("the change is noticed");
}

fn follow(watcher: &mut Watcher, document: &Path, named: &[PathBuf]) {
    let document = document.to_path_buf();
    watcher
        .follow_files(contents(named.iter().chain([&document])))
        .unwrap();
}

/// The clock never moves, so what is noticed was noticed by an event, not by the poll.
fn watcher(document: &Path, named: &[PathBuf]) -> Watcher {
    let mut watcher = Watcher::new(Clock::manual(UnixTime::from_secs(0)));
    follow(&mut watcher, document, named);
    watcher
}

#[test]
fn plain_writes_and_renames_are_noticed_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    fs::write(&file, "a").unwrap();
    block_on(async {
        let mut watcher = watcher(&file, &[]);
        for round in 0..3 {
            change_after(&mut watcher, || {
                fs::write(&file, format!("write {round}")).unwrap()
            })
            .await;
            change_after(&mut watcher, || {
                let new = dir.path().join(".config.yaml.swp");
                fs::write(&new, format!("rename {round}")).unwrap();
                fs::rename(&new, &file).unwrap();
            })
            .await;
        }
        change_after(&mut watcher, || fs::remove_file(&file).unwrap()).await;
        change_after(&mut watcher, || fs::write(&file, "back").unwrap()).await;
    });
}

#[test]
fn config_map_swaps_are_noticed_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let volume = dir.path();
    let publish = |round: usize, text: &str| {
        let data = volume.join(format!("..2026_{round}"));
        fs::create_dir(&data).unwrap();
        fs::write(data.join("config.yaml"), text).unwrap();
        symlink(data.file_name().unwrap(), volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
        if round > 0 {
            fs::remove_dir_all(volume.join(format!("..2026_{}", round - 1))).unwrap();
        }
    };
    publish(0, "first");
    let file = volume.join("config.yaml");
    symlink("..data/config.yaml", &file).unwrap();
    block_on(async {
        let mut watcher = watcher(&file, &[]);
        for round in 1..4 {
            change_after(&mut watcher, || publish(round, &format!("text {round}"))).await;
        }
    });
}

#[test]
fn a_named_file_counts_and_a_neighbour_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    let key = other.path().join("key.pem");
    fs::write(&file, "a").unwrap();
    fs::write(&key, "k").unwrap();
    block_on(async {
        let mut watcher = watcher(&file, std::slice::from_ref(&key));
        fs::write(dir.path().join("neighbour"), "x").unwrap();
        fs::write(&file, "a").unwrap();
        assert!(
            tokio::time::timeout(SETTLE * 3, watcher.changed())
                .await
                .is_err(),
            "the same content is no change"
        );
        change_after(&mut watcher, || fs::write(&key, "another").unwrap()).await;
    });
}

#[test]
fn a_change_is_noticed_in_a_directory_that_is_never_quiet() {
    let dir = tempfile::tempdir().unwrap();
    let (file, log) = (dir.path().join("config.yaml"), dir.path().join("its.log"));
    fs::write(&file, "a").unwrap();
    block_on(async {
        let mut watcher = watcher(&file, &[]);
        let writing = async {
            for line in 0.. {
                fs::write(&log, format!("{line}")).unwrap();
                tokio::time::sleep(SETTLE / 10).await;
            }
        };
        tokio::select! {
            () = change_after(&mut watcher, || fs::write(&file, "b").unwrap()) => {}
            () = writing => {}
        }
    });
}

#[test]
fn the_poll_notices_what_no_event_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    fs::write(&file, "a").unwrap();
    block_on(async {
        let clock = Clock::manual(UnixTime::from_secs(0));
        let mut watcher = Watcher::new(clock.clone());
        watcher.notify = None;
        follow(&mut watcher, &file, &[]);
        fs::write(&file, "b").unwrap();
        let moving = async {
            loop {
                tokio::task::yield_now().await;
                clock.advance(POLL);
            }
        };
        tokio::select! {
            () = watcher.changed() => {}
            () = moving => {}
        }
    });
}
