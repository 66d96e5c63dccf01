use super::*;
use crate::config::Secret;
use crate::identity::SigningKeys;

fn args(algorithm: KeygenAlgorithm, file: Option<PathBuf>, output: KeygenOutput) -> KeygenArgs {
    KeygenArgs {
        algorithm,
        file,
        output,
    }
}

#[test]
fn what_is_made_can_be_configured() {
    let directory = tempfile::tempdir().unwrap();
    for algorithm in [
        KeygenAlgorithm::Es256,
        KeygenAlgorithm::EdDsa,
        KeygenAlgorithm::Hs256,
    ] {
        let path = directory.path().join(format!("{algorithm:?}"));
        let mut out = Vec::new();
        make(
            &args(algorithm, Some(path.clone()), KeygenOutput::Json),
            &mut out,
        )
        .unwrap();
        let report: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let keys = SigningKeys::parse(&Secret::new(bytes, Some(path)), None).unwrap();
        assert_eq!(keys.current().algorithm(), algorithm.into());
        assert_eq!(report["kid"], keys.current().id());
        assert_eq!(
            report["public"].is_null(),
            algorithm == KeygenAlgorithm::Hs256
        );
    }
}

#[test]
fn an_existing_file_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    std::fs::write(&path, "precious").unwrap();
    let error = make(
        &args(
            KeygenAlgorithm::Es256,
            Some(path.clone()),
            KeygenOutput::Text,
        ),
        &mut Vec::new(),
    )
    .unwrap_err();
    assert!(matches!(error, KeygenError::File { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "precious");
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    let mut out = Vec::new();
    make(
        &args(
            KeygenAlgorithm::EdDsa,
            Some(path.clone()),
            KeygenOutput::Text,
        ),
        &mut out,
    )
    .unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let report = String::from_utf8(out).unwrap();
    assert!(!report.contains("PRIVATE"), "{report}");
    assert!(report.contains("EdDSA key "), "{report}");
}

#[test]
fn without_a_file_the_key_is_the_output() {
    let mut out = Vec::new();
    make(
        &args(KeygenAlgorithm::Es256, None, KeygenOutput::Text),
        &mut out,
    )
    .unwrap();
    assert!(SigningKeys::parse(&Secret::new(out, None), None).is_ok());
    let json = args(KeygenAlgorithm::Es256, None, KeygenOutput::Json);
    assert!(matches!(
        make(&json, &mut Vec::new()),
        Err(KeygenError::JsonWithoutFile)
    ));
}

#[test]
fn the_command_line_takes_the_documented_spellings() {
    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        keygen: KeygenArgs,
    }
    use clap::Parser as _;
    for (spelling, algorithm) in [
        ("ES256", KeygenAlgorithm::Es256),
        ("eddsa", KeygenAlgorithm::EdDsa),
        ("Ed25519", KeygenAlgorithm::EdDsa),
        ("hs256", KeygenAlgorithm::Hs256),
    ] {
        let program = Program::try_parse_from(["keygen", "--algorithm", spelling]).unwrap();
        assert_eq!(program.keygen.algorithm, algorithm);
    }
    assert!(Program::try_parse_from(["keygen", "--algorithm", "RS256"]).is_err());
    assert!(Program::try_parse_from(["keygen", "--algorithm", "none"]).is_err());
}
