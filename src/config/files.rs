//! Files that a document names: read at load, relative to the document, remembered for the watcher.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use zeroize::Zeroizing;

use super::Secret;
use super::code::Code;
use super::problem::{Place, Report};

/// Most bytes of a file that is read whole. CA bundles are the largest ones.
pub(crate) const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// The files of one document.
#[derive(Debug)]
pub(crate) struct Files {
    base: PathBuf,
    /// With the content that was read; a file that is not readable now and appears later is a change, too.
    named: BTreeMap<PathBuf, Content>,
}

impl Files {
    pub(crate) fn new(document: &Path) -> Self {
        Self {
            base: document.parent().map(PathBuf::from).unwrap_or_default(),
            named: BTreeMap::new(),
        }
    }

    /// The place that the document means by `path`.
    pub(crate) fn resolve(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }

    /// Every file that was named, and what was in it.
    pub(crate) fn into_named(self) -> BTreeMap<PathBuf, Content> {
        self.named
    }

    /// Reads a file; a failure is reported.
    pub(crate) fn read(
        &mut self,
        path: &Path,
        at: &Place,
        report: &mut Report,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let path = self.resolve(path);
        let read = read_whole(&path);
        self.named.insert(path.clone(), Content::of(&read));
        match read {
            Ok(bytes) => Some(bytes),
            Err(reason) => {
                report.find(Code::File, at, format!("{}: {reason}", path.display()));
                None
            }
        }
    }

    /// Reads a file that nobody else should be able to read.
    pub(crate) fn secret(
        &mut self,
        path: &Path,
        at: &Place,
        report: &mut Report,
    ) -> Option<Secret> {
        let secret = self.bytes(path, at, report)?;
        if let Some(file) = secret.file()
            && readable_by_others(file)
        {
            report.find_try(
                Code::SecretReadable,
                at,
                format!("{}: every user of this machine can read it", file.display()),
                "chmod o-rwx, or `defaultMode: 0440` of the volume",
            );
        }
        Some(secret)
    }

    /// Reads a file into a value that knows where it came from.
    pub(crate) fn bytes(&mut self, path: &Path, at: &Place, report: &mut Report) -> Option<Secret> {
        let bytes = self.read(path, at, report)?;
        Some(Secret::new(bytes.to_vec(), Some(self.resolve(path))))
    }
}

/// What was in a file: SHA-256, or that it could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content(Option<[u8; 32]>);

impl Content {
    pub(crate) fn of(read: &Result<Zeroizing<Vec<u8>>, String>) -> Self {
        let hash = |bytes: &Zeroizing<Vec<u8>>| {
            let digest = digest::digest(&digest::SHA256, bytes);
            digest.as_ref().try_into().ok()
        };
        Self(read.as_ref().ok().and_then(hash))
    }
}

/// Reads a regular file of at most [`MOST_BYTES`] until two reads agree, so that one that is being written is not taken.
pub(crate) fn read_whole(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    const TRIES: usize = 5;
    let mut last = read_once(path)?;
    for _ in 0..TRIES {
        let again = read_once(path)?;
        if *again == *last {
            return Ok(again);
        }
        last = again;
    }
    Err("changes while it is read".to_owned())
}

fn read_once(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let describe = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    // Opening a FIFO would wait for a writer, for ever.
    let kind = std::fs::metadata(path).map_err(describe)?;
    if !kind.is_file() {
        return Err("is no regular file".to_owned());
    }
    let file = std::fs::File::open(path).map_err(describe)?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(describe)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= MOST_BYTES) {
        Ok(bytes)
    } else {
        Err(format!("is larger than {MOST_BYTES} bytes"))
    }
}

fn readable_by_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| crate::platform::readable_by_anyone(&metadata))
}
