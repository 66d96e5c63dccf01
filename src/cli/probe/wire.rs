//! One request on a connection of its own, the target byte for byte as it is: no client library, which would mend it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use memchr::memmem;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::UpstreamArguments;
use crate::net::{Stream, connect_unix};
use crate::upstream::{Origin, UpstreamAddress};

/// Most bytes of an answer that are read.
const MOST: usize = 1024 * 1024;

/// An answer, as far as it is compared.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) location: Option<String>,
    /// For HEAD its announced length. None: it did not come to an end in time, or is too large.
    pub(super) body: Option<Vec<u8>>,
}

/// How the upstream is asked.
pub(super) struct Wire {
    address: UpstreamAddress,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    method: &'static str,
    host: HeaderValue,
    headers: Vec<(HeaderName, HeaderValue)>,
    timeout: Duration,
}

impl Wire {
    /// # Errors
    /// Says why this upstream cannot be asked.
    pub(super) fn new(
        address: UpstreamAddress,
        arguments: &UpstreamArguments,
        timeout: Duration,
    ) -> Result<Self, String> {
        let tls = match &address {
            UpstreamAddress::Https { host, .. } => Some(tls(host, arguments)?),
            UpstreamAddress::H2c { .. } => {
                return Err(
                    "HTTP/2 is not spoken here: name a port that speaks HTTP/1.1".to_owned(),
                );
            }
            UpstreamAddress::Http { .. } | UpstreamAddress::Unix(_) => None,
        };
        let host = arguments.host.clone();
        Ok(Self {
            tls,
            method: if arguments.head { "HEAD" } else { "GET" },
            host: host.unwrap_or_else(|| Origin::of(&address).authority()),
            headers: arguments.headers.clone(),
            timeout,
            address,
        })
    }

    pub(super) const fn method(&self) -> &'static str {
        self.method
    }

    pub(super) const fn address(&self) -> &UpstreamAddress {
        &self.address
    }

    /// The answer; `None` where the upstream closes the connection, is late or sends no HTTP.
    ///
    /// # Errors
    /// It cannot be reached.
    pub(super) async fn ask(&self, target: &str) -> Result<Option<Answer>, String> {
        let connecting = tokio::time::timeout(self.timeout, self.connect());
        let mut stream = match connecting.await {
            Ok(connected) => connected.map_err(|error| format!("cannot be reached: {error}"))?,
            Err(_) => return Err("cannot be reached in time".to_owned()),
        };
        let mut request = format!("{} {target} HTTP/1.1\r\nhost: ", self.method).into_bytes();
        request.extend_from_slice(self.host.as_bytes());
        request.extend_from_slice(
            b"\r\nuser-agent: countersign-probe\r\naccept: */*\r\nconnection: close\r\n",
        );
        for (name, value) in &self.headers {
            request.extend_from_slice(name.as_str().as_bytes());
            request.extend_from_slice(b": ");
            request.extend_from_slice(value.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        let mut received = Vec::new();
        let exchange = async {
            // An upstream that refuses may answer and close before it has read everything.
            let _answered_early = stream.write_all(&request).await;
            while received.len() < MOST && !is_whole(&received, self.method == "HEAD") {
                if stream.read_buf(&mut received).await? == 0 {
                    return Ok(true);
                }
            }
            io::Result::Ok(is_whole(&received, self.method == "HEAD"))
        };
        let outcome = tokio::time::timeout(self.timeout, exchange).await;
        // A reset after the answer is an end as good as another; what is there counts.
        let whole = matches!(outcome, Ok(Ok(true)));
        Ok(answer(&received, self.method == "HEAD", whole))
    }

    async fn connect(&self) -> io::Result<Stream> {
        let (host, port) = match &self.address {
            UpstreamAddress::Unix(path) => return connect_unix(path).await,
            UpstreamAddress::Http { host, port }
            | UpstreamAddress::Https { host, port }
            | UpstreamAddress::H2c { host, port } => (host, *port),
        };
        let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
        match &self.tls {
            None => Ok(Stream::Tcp(stream)),
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await?;
                Ok(Stream::Tls(Box::new(stream.into())))
            }
        }
    }
}

fn tls(
    host: &str,
    arguments: &UpstreamArguments,
) -> Result<(TlsConnector, ServerName<'static>), String> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|_| format!("`{host}` is no name that a certificate can have"))?;
    let mut roots = rustls::RootCertStore::empty();
    if let Some(file) = &arguments.ca {
        let at = |error: String| format!("{}: {error}", file.display());
        for certificate in
            CertificateDer::pem_file_iter(file).map_err(|error| at(error.to_string()))?
        {
            let certificate = certificate.map_err(|error| at(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| at(error.to_string()))?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if roots.is_empty() {
        return Err("no CA certificates for https: give --ca".to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// Head and body of the final answer; interim ones are skipped.
fn parts(received: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = received;
    loop {
        let end = memmem::find(rest, b"\r\n\r\n")?;
        let (head, body) = rest.split_at_checked(end + 4)?;
        if status(head).is_some_and(|status| (102..200).contains(&status) || status == 100) {
            rest = body;
        } else {
            return Some((head, body));
        }
    }
}

fn status(head: &[u8]) -> Option<u16> {
    let rest = head
        .strip_prefix(b"HTTP/1.1 ")
        .or_else(|| head.strip_prefix(b"HTTP/1.0 "))?;
    std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()
}

fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let head = std::str::from_utf8(head).ok()?;
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Whether the answer says that nothing more comes. One that does not say ends with the connection.
fn is_whole(received: &[u8], head_only: bool) -> bool {
    let Some((head, body)) = parts(received) else {
        return false;
    };
    if head_only || matches!(status(head), Some(204 | 304)) {
        return true;
    }
    if field(head, "transfer-encoding").is_some() {
        return body == b"0\r\n\r\n" || body.ends_with(b"\r\n0\r\n\r\n");
    }
    let length = field(head, "content-length").and_then(|length| length.parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}

fn answer(received: &[u8], head_only: bool, whole: bool) -> Option<Answer> {
    let (head, body) = parts(received)?;
    let body = if head_only {
        field(head, "content-length")
            .unwrap_or_default()
            .as_bytes()
            .to_vec()
    } else if field(head, "transfer-encoding").is_some() {
        joined(body)
    } else {
        body.to_vec()
    };
    Some(Answer {
        status: status(head)?,
        location: field(head, "location").map(str::to_owned),
        body: whole.then_some(body),
    })
}

/// The chunks, joined: how a body is cut may differ from one time to the next.
fn joined(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = memmem::find(body, b"\r\n") {
        let size = body
            .get(..end)
            .and_then(|line| std::str::from_utf8(line).ok());
        let size = size.and_then(|line| line.split(';').next());
        let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
        let data = size.filter(|size| *size > 0).and_then(|size| {
            let data = body.get(end + 2..)?;
            Some((data.get(..size)?, data.get(size + 2..)?))
        });
        let Some((data, rest)) = data else { break };
        out.extend_from_slice(data);
        body = rest;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Read as whole or not, and as status, location and body.
    #[track_caller]
    fn read(received: &str, whole: bool, expected: Option<(u16, Option<&str>, &str)>) {
        assert_eq!(is_whole(received.as_bytes(), false), whole, "{received}");
        let found = answer(received.as_bytes(), false, true);
        let found = found.map(|it| (it.status, it.location, it.body.unwrap()));
        let expected = expected.map(|(status, location, body)| {
            let location = location.map(str::to_owned);
            (status, location, body.as_bytes().to_vec())
        });
        assert_eq!(found, expected, "{received}");
    }

    #[test]
    fn an_answer_is_read_to_its_end_however_it_is_delimited() {
        let sized = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
        read(&format!("{sized}abc"), true, Some((200, None, "abc")));
        read(&format!("{sized}ab"), false, Some((200, None, "ab")));
        read(
            "HTTP/1.0 404 Not Found\r\n\r\nno",
            false,
            Some((404, None, "no")),
        );
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let whole = format!("{chunked}2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n");
        read(&whole, true, Some((200, None, "abc")));
        read(&format!("{chunked}0\r\n\r\n"), true, Some((200, None, "")));
        read(&format!("{chunked}2\r\nab"), false, Some((200, None, "")));
        let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
        let moved = "HTTP/1.1 301 Moved\r\nlocation: /a\r\ncontent-length: 0\r\n\r\n";
        read(&format!("{hint}{moved}"), true, Some((301, Some("/a"), "")));
        read(
            "HTTP/1.1 204 No Content\r\n\r\n",
            true,
            Some((204, None, "")),
        );
        for nothing in ["HTTP/1.1 200", "hello\r\n\r\n", ""] {
            read(nothing, false, None);
        }
        assert!(is_whole(sized.as_bytes(), true));
        let of_head = answer(sized.as_bytes(), true, true).unwrap();
        assert_eq!(of_head.body.unwrap(), b"3");
    }
}
