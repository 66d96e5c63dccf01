//! The last good document on disk: a restart during an outage still works.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::document::{Document, digest};
use super::{DOCUMENT_BYTES, KeySource, KeySourceSettings};
use crate::clock::UnixTime;

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
    #[error("not a copy of this version")]
    Format,
    #[error("it is of another source")]
    Source,
    #[error("it is older than `max_stale`, or from the future")]
    Age,
    #[error("no usable key set: {0}")]
    Document(#[source] super::FetchError),
}

/// Reads the copy at `path`, with its age.
pub(super) fn read(
    path: &Path,
    settings: &KeySourceSettings,
    now: UnixTime,
) -> Result<(Document, UnixTime, Duration), CopyError> {
    if writable_by_anyone(&fs::metadata(path)?) {
        return Err(CopyError::Writable);
    }
    let bytes = read_at_most(path, FILE_BYTES)?;
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

/// Writes the copy: whole or not at all, for our eyes only.
pub(super) fn write(
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
    // Looked at before it is opened: opening a FIFO waits for a writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    fs::File::open(path)?
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<fs::File> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
}

/// The group may write: Kubernetes sets that on every file of a volume with `fsGroup`.
#[cfg(unix)]
fn writable_by_anyone(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o002 != 0
}

#[cfg(not(unix))]
const fn writable_by_anyone(_metadata: &fs::Metadata) -> bool {
    false
}
