//! A health check that a container can run whose image has no shell.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Most bytes of an answer that are read.
const MOST: u64 = 16 * 1024;

/// One request, HTTP/1.1, without a client library: the answer's first line is all that counts.
pub(super) fn ask(url: &http::Uri, timeout: Duration) -> Result<(), String> {
    let address = loopback(url)?;
    let path = url.path();
    let describe = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect_timeout(&address, timeout).map_err(describe)?;
    stream.set_read_timeout(Some(timeout)).map_err(describe)?;
    stream.set_write_timeout(Some(timeout)).map_err(describe)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(describe)?;
    let mut answer = Vec::new();
    stream
        .take(MOST)
        .read_to_end(&mut answer)
        .map_err(describe)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    if status.starts_with("HTTP/1.1 200 ") {
        Ok(())
    } else {
        Err(format!("{status} {}", body.trim()).trim().to_owned())
    }
}

fn loopback(url: &http::Uri) -> Result<SocketAddr, String> {
    if url.scheme_str() != Some("http") {
        return Err("only http:// is asked".to_owned());
    }
    let host = url.host().unwrap_or_default();
    let address = match host {
        "localhost" => [127, 0, 0, 1].into(),
        _ => host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>()
            .map_err(|_| format!("`{host}` is no loopback address"))?,
    };
    if address.is_loopback() {
        Ok(SocketAddr::new(address, url.port_u16().unwrap_or(80)))
    } else {
        Err(format!("`{host}` is no loopback address"))
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn answering(answer: &'static str) -> http::Uri {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let _length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        format!("http://{address}/readyz").parse().unwrap()
    }

    #[test]
    fn only_200_is_healthy() {
        let wait = Duration::from_secs(5);
        let ready = answering("HTTP/1.1 200 OK\r\n\r\nok");
        assert_eq!(ask(&ready, wait), Ok(()));
        let unready = answering("HTTP/1.1 503 Service Unavailable\r\n\r\nissuer dls has no keys");
        assert_eq!(
            ask(&unready, wait),
            Err("HTTP/1.1 503 Service Unavailable issuer dls has no keys".to_owned())
        );
    }

    #[test]
    fn only_loopback_is_asked() {
        for url in [
            "http://192.0.2.1/livez",
            "https://127.0.0.1/livez",
            "http://example.org/livez",
        ] {
            assert!(loopback(&url.parse().unwrap()).is_err(), "{url}");
        }
        for url in ["http://localhost:9090/livez", "http://[::1]:9090/livez"] {
            assert!(loopback(&url.parse().unwrap()).is_ok(), "{url}");
        }
    }
}
