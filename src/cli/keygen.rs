//! `countersign keygen`: a key that signs assertions or messages.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::identity::{SigningAlgorithm, SigningKey, SigningKeyError, generate_text};

#[cfg(test)]
mod tests;

/// Makes a key for `identity.assertion.key`, `identity.signature.key` or `log.receipts.key`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Example:
  countersign keygen --algorithm ES256 --file /etc/countersign/assertion.pem

  Rotation: put the new key after the old one into the same file, wait until verifiers have
  fetched the key set again, then swap the two. The first key signs, all are published.")]
pub struct KeygenArgs {
    /// How the key signs. HS256 makes a shared secret that the upstream must hold too; the others make a key pair whose
    /// public half is published at /.well-known/jwks.json
    #[arg(long, value_enum, ignore_case = true, default_value_t = KeygenAlgorithm::Es256)]
    pub algorithm: KeygenAlgorithm,

    /// Where to write the private key (mode 0600; an existing file is never overwritten). Without it: standard output
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// How to report what was made. `json` needs --file, and tells its name, the kid and the public JWK
    #[arg(long, value_enum, default_value_t = KeygenOutput::Text)]
    pub output: KeygenOutput,
}

/// How the key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeygenAlgorithm {
    /// ECDSA on P-256 with SHA-256: every JOSE library verifies it.
    #[value(name = "ES256")]
    Es256,
    /// Ed25519: faster to sign and verify, nearly every library verifies it.
    #[value(name = "EdDSA", alias = "Ed25519")]
    EdDsa,
    /// HMAC with SHA-256: who verifies can also sign.
    #[value(name = "HS256")]
    Hs256,
}

impl From<KeygenAlgorithm> for SigningAlgorithm {
    fn from(algorithm: KeygenAlgorithm) -> Self {
        match algorithm {
            KeygenAlgorithm::Es256 => Self::Es256,
            KeygenAlgorithm::EdDsa => Self::EdDsa,
            KeygenAlgorithm::Hs256 => Self::Hs256,
        }
    }
}

/// How to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeygenOutput {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeygenError {
    /// The random source or the crypto library failed.
    #[error("the key {0}")]
    Key(#[from] SigningKeyError),
    /// The file could not be written, or exists.
    #[error("{path}: {source}")]
    File {
        /// Its name.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `--output json` without `--file` would mix the key with the report.
    #[error("--output json needs --file")]
    JsonWithoutFile,
    /// Standard output.
    #[error("standard output: {0}")]
    Output(#[from] std::io::Error),
}

/// Makes a key as `args` say and reports on standard output.
///
/// # Errors
/// The key could not be made, or the file not written.
pub fn run(args: &KeygenArgs) -> Result<(), KeygenError> {
    let mut out = std::io::stdout().lock();
    make(args, &mut out)?;
    Ok(out.flush()?)
}

fn make(args: &KeygenArgs, out: &mut impl std::io::Write) -> Result<(), KeygenError> {
    if args.output == KeygenOutput::Json && args.file.is_none() {
        return Err(KeygenError::JsonWithoutFile);
    }
    let (text, key) = generate_text(args.algorithm.into())?;
    let Some(path) = &args.file else {
        return Ok(out.write_all(text.as_bytes())?);
    };
    create_private(path)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .map_err(|source| KeygenError::File {
            path: path.clone(),
            source,
        })?;
    Ok(report(args.output, path, &key, out)?)
}

fn report(
    output: KeygenOutput,
    path: &std::path::Path,
    key: &SigningKey,
    out: &mut impl std::io::Write,
) -> std::io::Result<()> {
    let public = key.public();
    match output {
        KeygenOutput::Json => {
            let jwk = public.as_ref().map(crate::identity::PublicKey::jwk);
            let report = json!({
                "file": path.to_string_lossy(),
                "algorithm": key.algorithm().name(),
                "kid": key.id(),
                "public": jwk,
            });
            writeln!(out, "{report}")
        }
        KeygenOutput::Text => {
            writeln!(out, "wrote {}", path.display())?;
            writeln!(out, "{} key {}", key.algorithm().name(), key.id())?;
            match public {
                Some(public) => writeln!(out, "public: {}", public.jwk()),
                None => writeln!(out, "shared secret: give the upstream the same file"),
            }
        }
    }
}

/// A new file that nobody else can read.
fn create_private(path: &std::path::Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    crate::platform::private(options.write(true).create_new(true)).open(path)
}
