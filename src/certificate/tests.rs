use std::sync::LazyLock;

use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;

fn certificate(from: (i32, u8, u8), to: (i32, u8, u8)) -> rcgen::Certificate {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_before = date_time_ymd(from.0, from.1, from.2);
    params.not_after = date_time_ymd(to.0, to.1, to.2);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap()
}

#[test]
fn dates_of_certificates_are_read_in_both_of_their_forms() {
    // UTCTime up to 2049, GeneralizedTime from 2050 on (RFC 5280 section 4.1.2.5).
    for (from, to, not_before, not_after) in [
        ((2026, 1, 31), (2026, 5, 1), 1_769_817_600, 1_777_593_600),
        ((2024, 2, 29), (2049, 12, 31), 1_709_164_800, 2_524_521_600),
        ((2049, 12, 31), (2050, 1, 1), 2_524_521_600, 2_524_608_000),
        ((1970, 1, 1), (9999, 12, 31), 0, 253_402_214_400),
    ] {
        let certificate = certificate(from, to);
        let expected = Validity {
            not_before: UnixTime::from_secs(not_before),
            not_after: UnixTime::from_secs(not_after),
        };
        assert_eq!(Validity::of(certificate.der()), Some(expected));
        // The leaf comes first, whatever follows it.
        let other = self::certificate((2000, 1, 1), (2001, 1, 1));
        let chain = format!("{}{}", certificate.pem(), other.pem());
        assert_eq!(Validity::of_leaf(chain.as_bytes()), Some(expected));
    }
    let before_the_epoch = certificate((1950, 1, 1), (2026, 1, 1));
    let validity = Validity::of(before_the_epoch.der()).unwrap();
    assert_eq!(validity.not_before.as_secs(), -631_152_000);
}

/// A certificate as far as its dates, made of its parts.
fn made(version: &[u8], not_before: &[u8], not_after: &[u8]) -> Vec<u8> {
    let element = |tag: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).unwrap();
        [&[tag, length][..], content].concat()
    };
    let validity = element(tag::SEQUENCE, &[not_before, not_after].concat());
    let serial = element(tag::INTEGER, &[1]);
    let empty = element(tag::SEQUENCE, &[]);
    let fields = [version, &serial, &empty, &empty, &validity].concat();
    element(tag::SEQUENCE, &element(tag::SEQUENCE, &fields))
}

#[test]
fn what_is_no_certificate_has_no_dates() {
    const VERSION_3: &[u8] = &[0xa0, 3, 2, 1, 2];
    let utc = |text: &str| [&[tag::UTC_TIME, 13][..], text.as_bytes()].concat();
    let good = utc("260131120000Z");
    for version in [VERSION_3, b""] {
        let read = Validity::of(&made(version, &good, &good)).unwrap();
        assert_eq!(read.not_after.as_secs(), 1_769_860_800);
    }
    for wrong in [
        "260231120000Z",
        "261331120000Z",
        "260100120000Z",
        "260131240000Z",
        "260131126000Z",
        "260131120061Z",
        "26013112000 Z",
        "260131120000+",
        "2601311200-1Z",
    ] {
        assert_eq!(
            Validity::of(&made(VERSION_3, &good, &utc(wrong))),
            None,
            "{wrong}"
        );
    }
    // Without seconds, which DER does not allow, and another type.
    let short = [&[tag::UTC_TIME, 11][..], b"2601311200Z"].concat();
    let integer = [&[tag::INTEGER, 13][..], b"260131120000Z"].concat();
    for wrong in [&short[..], &integer[..], b""] {
        assert_eq!(Validity::of(&made(VERSION_3, &good, wrong)), None);
    }
    // The indefinite form, and a length that overflows.
    for wrong in [
        &[0x30, 0x80, 0, 0][..],
        &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0],
        &[0x30, 0x85, 0, 0, 0, 0, 0],
    ] {
        assert_eq!(Validity::of(wrong), None);
    }
    assert_eq!(Validity::of_leaf(b"no PEM"), None);
}

static WHOLE: LazyLock<Vec<u8>> =
    LazyLock::new(|| certificate((2026, 1, 31), (2026, 5, 1)).der().to_vec());

proptest! {
    /// Cut anywhere or with any byte changed: an answer, never a panic; a cut before the dates' end has none.
    #[test]
    fn damaged_certificates_are_read_without_a_panic(at in 0..400_usize, byte: u8, bytes: Vec<u8>) {
        let at = at % WHOLE.len();
        prop_assert_eq!(Validity::of(&WHOLE[..at]), None);
        let mut changed = WHOLE.clone();
        changed[at] = byte;
        let _any = Validity::of(&changed);
        let _any = Validity::of(&bytes);
        let _any = Validity::of_leaf(&bytes);
    }
}
