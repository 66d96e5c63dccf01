//! The last good document on disk: a restart during an outage still works.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use super::document::{Document, digest};
use super::source::Source;
use super::{DOCUMENT_BYTES, KeySource, KeySourceSettings};
use crate::clock::{Clock, UnixTime};
use crate::platform;

const VERSION: u32 = 1;
/// The document is written as a JSON string, in which a byte takes up to six.
const FILE_BYTES: usize = DOCUMENT_BYTES * 6 + 16 * 1024;
/// A copy from the future by more than this cannot be dated, so it is not used: the clock was moved.
const FUTURE: Duration = Duration::from_secs(60);

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Copy {
    version: u32,
    /// Whose keys these are: a copy is only used for the very same source.
    source: String,
    /// Seconds since the epoch.
    fetched_at: i64,
    jwks: String,
}

/// Why a copy on disk is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("anyone may write to it")]
    Writable,
    #[error("it belongs to another user")]
    Owner,
    #[error("not a copy of this version")]
    Format,
    #[error("it is of another source")]
    Source,
    #[error("it is older than `max_stale`, or from the future")]
    Age,
    #[error("no usable key set: {0}")]
    Document(#[source] super::KeyError),
}

/// Reads the copy at `path`, with its age.
pub(super) fn read(
    path: &Path,
    settings: &KeySourceSettings,
    now: UnixTime,
) -> Result<(Document, UnixTime, Duration), CopyError> {
    // What is judged is the very file that is read: the path may lead elsewhere a moment later.
    let (metadata, bytes) = read_with_metadata(path, FILE_BYTES)?;
    if platform::writable_by_anyone(&metadata) {
        return Err(CopyError::Writable);
    }
    if !belongs_to(platform::owner(&metadata), platform::own_user()) {
        return Err(CopyError::Owner);
    }
    let copy: Copy = serde_json::from_slice(&bytes).map_err(|_| CopyError::Format)?;
    if copy.version != VERSION {
        return Err(CopyError::Format);
    }
    if copy.source != identity(settings) {
        return Err(CopyError::Source);
    }
    let fetched_at = UnixTime::from_secs(copy.fetched_at);
    let age = age(fetched_at, now).ok_or(CopyError::Age)?;
    if age >= settings.max_stale {
        return Err(CopyError::Age);
    }
    let document = Document::parse(copy.jwks.into_bytes()).map_err(CopyError::Document)?;
    Ok((document, fetched_at, age))
}

fn age(fetched_at: UnixTime, now: UnixTime) -> Option<Duration> {
    let seconds = now.as_secs().checked_sub(fetched_at.as_secs())?;
    let future = i64::try_from(FUTURE.as_secs()).unwrap_or(i64::MAX);
    (seconds >= -future).then(|| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// How the copy of one source fares.
#[derive(Debug, Default)]
pub(super) struct Copying {
    /// A write that its disk keeps waiting: no other is begun beside it.
    stuck: Option<JoinHandle<io::Result<()>>>,
    /// The last one failed, and an event said so.
    told: bool,
}

impl Copying {
    /// Keeps a copy of the document on disk. A disk that hangs or is full costs the copy, never the keys; one event tells
    /// when that begins, and one when it is over.
    pub(super) async fn write(
        &mut self,
        source: &Source,
        document: Vec<u8>,
        settings: &Arc<KeySourceSettings>,
    ) {
        let written = self.attempt(&source.clock, document, settings).await;
        let failed = written.is_err();
        let news = std::mem::replace(&mut self.told, failed) != failed;
        let issuer = &source.name;
        match written {
            Err(error) if news => tracing::warn!(%issuer, %error, "jwks.cache_not_written"),
            Err(error) => tracing::debug!(%issuer, %error, "jwks.cache_not_written"),
            Ok(()) if news => tracing::info!(%issuer, "jwks.cache_written"),
            Ok(()) => {}
        }
    }

    async fn attempt(
        &mut self,
        clock: &Clock,
        document: Vec<u8>,
        settings: &Arc<KeySourceSettings>,
    ) -> io::Result<()> {
        self.stuck.take_if(|stuck| stuck.is_finished());
        if self.stuck.is_some() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // The limit counts from here, not from when somebody first waits for it.
        let deadline = clock.tick().plus(settings.timeout);
        let fetched_at = clock.now().unix;
        let of_thread = Arc::clone(settings);
        let mut writing = tokio::task::spawn_blocking(move || match &of_thread.cache {
            Some(path) => write(path, &of_thread, document, fetched_at),
            None => Ok(()),
        });
        let written = async {
            failpoint!(async Copy, Err(io::ErrorKind::Other.into()));
            (&mut writing)
                .await
                .unwrap_or_else(|error| Err(error.into()))
        };
        tokio::select! {
            biased;
            written = written => return written,
            () = clock.sleep_until(deadline) => {}
        }
        self.stuck = Some(writing);
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// Writes the copy: whole or not at all, for our eyes only.
fn write(
    path: &Path,
    settings: &KeySourceSettings,
    jwks: Vec<u8>,
    fetched_at: UnixTime,
) -> io::Result<()> {
    let copy = Copy {
        version: VERSION,
        source: identity(settings),
        fetched_at: fetched_at.as_secs(),
        jwks: String::from_utf8(jwks).map_err(io::Error::other)?,
    };
    let bytes = serde_json::to_vec(&copy).map_err(io::Error::other)?;
    let mut name = path
        .file_name()
        .ok_or(io::ErrorKind::InvalidInput)?
        .to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    // A leftover of a process that died with our id, or a link that somebody laid: never written through.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = create_private(&temporary)
        .and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err()
        && let Err(error) = fs::remove_file(&temporary)
    {
        tracing::debug!(error = %error, "jwks.cache_leftover");
    }
    written
}

/// What the keys' trust hangs on: the place, and what it was reached under. As a digest: a URL may hold an API key.
fn identity(settings: &KeySourceSettings) -> String {
    use base64::Engine as _;
    let encoded =
        |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest(bytes));
    let place = match &settings.source {
        KeySource::Discover { issuer } => format!("discover:{issuer}"),
        KeySource::Url(url) => format!("url:{url}"),
        KeySource::File(_) | KeySource::Inline(_) => "local".to_owned(),
    };
    let ca = settings
        .ca
        .as_ref()
        .map_or_else(String::new, |pem| encoded(pem.expose()));
    encoded(format!("{place} ca:{ca} http:{}", settings.allow_http).as_bytes())
}

/// Reads a file to its end, at most `limit` bytes of it.
pub(super) fn read_at_most(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    read_with_metadata(path, limit).map(|(_, bytes)| bytes)
}

fn read_with_metadata(path: &Path, limit: usize) -> io::Result<(fs::Metadata, Vec<u8>)> {
    // Looked at before it is opened: opening a FIFO waits for a writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let file = fs::File::open(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok((metadata, bytes))
}

fn create_private(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    platform::private(options.write(true).create_new(true)).open(path)
}

/// Keys of another user's making are not ours to trust. Root may have put the file there: it can do anything here anyway.
const fn belongs_to(owner: u32, own: u32) -> bool {
    owner == own || owner == 0
}

#[cfg(test)]
mod tests {
    use super::belongs_to;

    #[test]
    fn invariant_42_a_copy_is_of_our_own_making_or_of_roots() {
        for (owner, own, trusted) in [
            (1000, 1000, true),
            (0, 1000, true),
            (0, 0, true),
            (1001, 1000, false),
            (1000, 0, false),
            (65_534, 1000, false),
        ] {
            assert_eq!(belongs_to(owner, own), trusted, "{owner} {own}");
        }
    }
}
