//! Notices that the configuration, or a file that it names, has changed.
//!
//! Directories are watched, never files: an editor that renames replaces the file, and a Kubernetes volume swaps the
//! `..data` symlink beside it; a watch on the file itself goes blind after the first of either. Since notifications can
//! be lost (network file systems, a full queue), contents are also compared at a slow pace. What tells is always a
//! comparison of contents: an event that changed nothing is no change.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use super::Config;
use super::files::{Content, read_whole};
use crate::clock::Clock;

#[cfg(test)]
mod tests;

/// Contents are compared this often even when no event comes.
pub const POLL: Duration = Duration::from_secs(10);

/// After an event, this long without another one: an editor writes in several steps.
pub const SETTLE: Duration = Duration::from_millis(200);

/// After an event, no longer than this: a directory may never be quiet, such as one where somebody writes a log.
pub const LONGEST_SETTLE: Duration = Duration::from_secs(2);

/// Why files cannot be watched; polling goes on without.
#[derive(Debug, thiserror::Error)]
#[error("{path}: cannot be watched")]
pub struct WatchError {
    path: PathBuf,
    #[source]
    source: notify::Error,
}

/// Watches the configuration file and the files it names.
///
/// Owned by the control thread, which calls [`Watcher::changed`] in a loop, loads, and tells with [`Watcher::follow`]
/// which files count from now on.
#[derive(Debug)]
pub struct Watcher {
    clock: Clock,
    notified: Arc<Notify>,
    notify: Option<RecommendedWatcher>,
    directories: BTreeSet<PathBuf>,
    /// Watched files, and what was in them when a change was last told.
    seen: BTreeMap<PathBuf, Content>,
}

impl Watcher {
    /// A watcher of no file yet. Where the platform cannot watch, contents are compared every [`POLL`].
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let notified = Arc::new(Notify::new());
        let wake = Arc::clone(&notified);
        let notify = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading is what we do ourselves; everything else may be a change, errors (lost events) included.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                wake.notify_one();
            }
        })
        .ok();
        Self {
            clock,
            notified,
            notify,
            directories: BTreeSet::new(),
            seen: BTreeMap::new(),
        }
    }

    /// From now on watches what `config` was made of. A change since it was read is told at once.
    ///
    /// Call it for the configuration that goes live. After a load that failed nothing need be called:
    /// [`Watcher::changed`] tells of each content once.
    ///
    /// # Errors
    /// Directories that cannot be watched; their files are polled.
    pub fn follow(&mut self, config: &Config) -> Result<(), WatchError> {
        self.follow_files(config.contents.clone())
    }

    /// The same for files that no configuration names.
    ///
    /// # Errors
    /// As [`Watcher::follow`].
    pub(crate) fn follow_files(
        &mut self,
        contents: BTreeMap<PathBuf, Content>,
    ) -> Result<(), WatchError> {
        let directories = directories_of_all(contents.keys());
        self.seen = contents;
        let result = self.watch(directories);
        // What changed before the watch stood brings no event.
        self.notified.notify_one();
        result
    }

    fn watch(&mut self, wanted: BTreeSet<PathBuf>) -> Result<(), WatchError> {
        let Some(notify) = &mut self.notify else {
            return Ok(());
        };
        let mut result = Ok(());
        for gone in self.directories.difference(&wanted) {
            // A directory that is gone is no longer watched anyway.
            let _ignored = notify.unwatch(gone);
        }
        let mut held = BTreeSet::new();
        for directory in wanted {
            if self.directories.contains(&directory) {
                held.insert(directory);
                continue;
            }
            match notify.watch(&directory, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    held.insert(directory);
                }
                Err(source) => {
                    result = Err(WatchError {
                        path: directory,
                        source,
                    });
                }
            }
        }
        self.directories = held;
        result
    }

    /// Waits until the content of a watched file is another one than at the last return .
    ///
    /// Cancel-safe: what was noticed and not returned is noticed again.
    pub async fn changed(&mut self) {
        loop {
            let notified = tokio::select! {
                () = self.notified.notified() => true,
                () = self.clock.sleep(POLL) => false,
            };
            if notified {
                self.settle().await;
            }
            // A directory may have been replaced: then its watch is on the old one, and it must be taken anew.
            self.renew();
            let now = contents(self.seen.keys());
            if now != self.seen {
                self.seen = now;
                return;
            }
        }
    }

    async fn settle(&self) {
        let quiet = async {
            loop {
                tokio::select! {
                    () = self.notified.notified() => {}
                    () = tokio::time::sleep(SETTLE) => return,
                }
            }
        };
        let _either = tokio::time::timeout(LONGEST_SETTLE, quiet).await;
    }

    fn renew(&mut self) {
        let wanted = directories_of_all(self.seen.keys());
        if wanted != self.directories {
            // What cannot be watched is polled; it was reported when it was first followed.
            let _polled = self.watch(wanted);
        }
    }
}

fn contents<'a>(files: impl Iterator<Item = &'a PathBuf>) -> BTreeMap<PathBuf, Content> {
    files
        .map(|file| (file.clone(), Content::of(&read_whole(file))))
        .collect()
}

fn directories_of_all<'a>(files: impl Iterator<Item = &'a PathBuf>) -> BTreeSet<PathBuf> {
    files.flat_map(|file| directories_of(file)).collect()
}

/// The directory of a file, and that of the file a symlink leads to.
fn directories_of(file: &Path) -> Vec<PathBuf> {
    let parent = |path: &Path| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let mut directories = vec![parent(file)];
    if let Ok(target) = std::fs::canonicalize(file) {
        directories.push(parent(&target));
    }
    directories.retain(|directory| directory.is_dir());
    directories
}
