use super::*;

/// Bytes taken and whether the body is complete, in one piece and byte by byte.
fn read(framing: Framing, bytes: &[u8]) -> Result<(usize, bool), BadChunk> {
    let whole = {
        let mut body = Body::new(framing, 64, 3);
        body.consume(bytes).map(|taken| (taken, body.is_done()))
    };
    let mut body = Body::new(framing, 64, 3);
    let mut taken = 0;
    let mut outcome = Ok(());
    for byte in bytes {
        match body.consume(&[*byte]) {
            Ok(count) => taken += count,
            Err(bad) => {
                outcome = Err(bad);
                break;
            }
        }
    }
    let pieces = outcome.map(|()| (taken, body.is_done()));
    assert_eq!(whole, pieces, "{:?}", String::from_utf8_lossy(bytes));
    whole
}

#[test]
fn invariant_25_well_formed_chunks_pass() {
    let extension = "e".repeat(EXTENSION_BYTES);
    for body in [
        "0\r\n\r\n",
        "3\r\nabc\r\n0\r\n\r\n",
        "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
        "0003\r\nabc\r\n000\r\n\r\n",
        "0000000000000003\r\nabc\r\n0\r\n\r\n",
        "3;a=b\r\nabc\r\n0;c\r\n\r\n",
        "3;a=\"b c\" ; d\r\nabc\r\n0\r\n\r\n",
        &format!("3;{extension}\r\nabc\r\n0\r\n\r\n"),
        "3\r\n\r\n\0\r\n0\r\n\r\n",
        "0\r\nx: y\r\n\r\n",
        "0\r\nx:\r\ny:a\tb\r\n\r\n",
        "0\r\na:\r\nb:\r\nc:\r\n\r\n",
    ] {
        assert_eq!(
            read(Framing::Chunked, body.as_bytes()),
            Ok((body.len(), true)),
            "{body:?}"
        );
        let more = format!("{body}GET / HTTP/1.1\r\n");
        assert_eq!(
            read(Framing::Chunked, more.as_bytes()),
            Ok((body.len(), true))
        );
        let less = &body.as_bytes()[..body.len() - 1];
        assert_eq!(read(Framing::Chunked, less), Ok((less.len(), false)));
    }
}

#[test]
fn invariant_25_broken_chunks_do_not() {
    let extension = "e".repeat(EXTENSION_BYTES + 1);
    let trailer = "t".repeat(64);
    for body in [
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc\r\n0\n\r\n",
        "3\r\nabc\r\n0\r\n\n",
        "3\r\nabc\r\n0\r\n\rX",
        "3\rXabc",
        "3\r\nabc\rX",
        "0x3\r\nabc\r\n",
        "+3\r\nabc\r\n",
        "-3\r\nabc\r\n",
        " 3\r\nabc\r\n",
        "3 \r\nabc\r\n",
        "3_0\r\nabc\r\n",
        "3\t;a\r\nabc\r\n",
        "\r\nabc\r\n",
        ";a\r\n",
        "g\r\n",
        "\0",
        "00000000000000003\r\nabc\r\n",
        "10000000000000000\r\n",
        "fffffffffffffffff\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nab\r\n0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
        "3;a\0b\r\nabc\r\n",
        "3;a\nb\r\nabc\r\n",
        "3;a\n\r\nabc\r\n",
        "3;a\rb\r\nabc\r\n",
        "3;a\u{7f}\r\nabc\r\n",
        "3;a\u{e9}\r\nabc\r\n",
        &format!("3;{extension}\r\n"),
        "0\r\n x: y\r\n\r\n",
        "0\r\nx : y\r\n\r\n",
        "0\r\n: y\r\n\r\n",
        "0\r\nx\r\n\r\n",
        "0\r\nx: y\n\r\n",
        "0\r\nx: y\r\r\n\r\n",
        "0\r\nx: \0\r\n\r\n",
        "0\r\nx: y\r\n z\r\n\r\n",
        "0\r\nGET / HTTP/1.1\r\n\r\n",
        &format!("0\r\nx: {trailer}\r\n\r\n"),
        "0\r\na:\r\na:\r\na:\r\na:\r\n\r\n",
    ] {
        assert_eq!(
            read(Framing::Chunked, body.as_bytes()),
            Err(BadChunk),
            "{body:?}"
        );
    }
}

#[test]
fn counted_bodies_end_exactly() {
    assert_eq!(read(Framing::Length(0), b"GET"), Ok((0, true)));
    assert_eq!(read(Framing::Length(3), b"GET /"), Ok((3, true)));
    assert_eq!(read(Framing::Length(3), b"GE"), Ok((2, false)));
    assert_eq!(read(Framing::Length(u64::MAX), b"GE"), Ok((2, false)));
    assert_eq!(
        read(Framing::Chunked, b"ffffffffffffffff\r\nab"),
        Ok((20, false))
    );
}
