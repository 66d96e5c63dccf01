use std::cell::Cell;

use super::sockets::{beyond_loopback, listening};
use super::*;

/// Both lists of a Linux 6.18 in a network of its own, with sockets on `10.9.8.7`, `fd00::7` and loopback; connections of
/// the loopback ones follow.
const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0109087F:1F49 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 332196 1 00000000642f940d 100 0 0 10 0
   1: 0100007F:1F47 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 332194 1 00000000bd4badb9 100 0 0 10 0
   2: 00000000:1F46 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 332193 1 00000000d9d8c6f2 100 0 0 10 0
   3: 0708090A:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 332188 1 000000002c199e30 100 0 0 10 0
   4: 0100007F:D30C 0100007F:1F47 01 00000000:00000000 00:00000000 00000000     0        0 332199 2 00000000ba36e849 20 0 0 10 -1
   5: 0100007F:1F47 0100007F:D30C 01 00000000:00000000 00:00000000 00000000     0        0 332200 1 00000000af9354f7 20 0 0 10 -1
";
const TCP6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0000000000000000FFFF00000100007F:1F43 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 332190 1 0000000029d49e29 100 0 0 10 0
   1: 00000000000000000000000000000000:1F48 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 332195 1 0000000003750951 100 0 0 10 0
   2: 0000000000000000FFFF000000000000:1F4B 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 332198 1 000000001059cfa4 100 0 0 10 0
   3: 00000000000000000000000000000000:1F42 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 332189 1 000000000e518efe 100 0 0 10 0
   4: 0000000000000000FFFF00000708090A:1F44 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 332191 1 00000000bfef4d4b 100 0 0 10 0
   5: 000000FD000000000000000007000000:1F4A 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 332197 1 0000000017d9b2b9 100 0 0 10 0
   6: 00000000000000000000000001000000:1F45 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 332192 1 000000003a3c72aa 100 0 0 10 0
   7: 00000000000000000000000001000000:1F45 00000000000000000000000001000000:912E 01 00000000:00000000 00:00000000 00000000     0        0 332202 1 00000000e3133ba9 20 0 0 10 -1
   8: 00000000000000000000000001000000:912E 00000000000000000000000001000000:1F45 01 00000000:00000000 00:00000000 00000000     0        0 332201 2 000000007d1063bb 20 0 0 10 -1
";

fn found(list: &str) -> Option<Vec<String>> {
    let lines = list.lines().skip(1).map(str::to_owned);
    let found = listening(lines)?;
    Some(found.iter().map(ToString::to_string).collect())
}

#[test]
fn t16_only_sockets_that_listen_beyond_loopback_are_found() {
    let tcp = ["0.0.0.0:8006", "10.9.8.7:8001"].map(str::to_owned);
    assert_eq!(found(TCP).unwrap(), tcp);
    let tcp6 = [
        "0.0.0.0:8011",
        "10.9.8.7:8004",
        "[::]:8002",
        "[::]:8008",
        "[fd00::7]:8010",
    ]
    .map(str::to_owned);
    assert_eq!(found(TCP6).unwrap(), tcp6);
    assert_eq!(found("head\n"), Some(Vec::new()));
}

/// What cannot be read must not count as closed.
#[test]
fn a_list_that_is_not_what_it_should_be_tells_nothing() {
    for wrong in [
        "   0: 00000000:1F40",
        "   0: 00000000 00000000:0000 0A",
        "   0: 0000000G:1F40 00000000:0000 0A",
        "   0: 000000:1F40 00000000:0000 0A",
        "   0: 00000000:11F40 00000000:0000 0A",
        "   0: 0000é000:1F40 00000000:0000 0A",
        "",
    ] {
        let second = TCP.lines().nth(1).unwrap();
        assert_eq!(
            found(&format!("head\n{second}\n{wrong}\n")),
            None,
            "{wrong}"
        );
    }
}

/// Found by the soak test: every reload read the whole list.
#[test]
fn connections_after_the_listening_sockets_are_not_read() {
    let read = Cell::new(0);
    let lines = TCP.lines().skip(1).map(str::to_owned);
    let counted = lines.inspect(|_| read.set(read.get() + 1));
    assert_eq!(listening(counted).unwrap().len(), 2);
    assert_eq!(read.get(), 5);
}

#[test]
fn the_list_of_this_machine_shows_a_socket_that_listens() {
    let open = |port| {
        let found = beyond_loopback().unwrap();
        found.iter().any(|address| address.port() == port)
    };
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    assert!(open(listener.local_addr().unwrap().port()));
    let loopback = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(!open(loopback.local_addr().unwrap().port()));
}

/// A proxy on the pod's address may have the application's port there: that is no way around it.
#[test]
fn our_own_sockets_are_no_way_around_us() {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let own = Addresses {
        listeners: [
            ("inbound".to_owned(), address("10.9.8.7:8001")),
            ("all".to_owned(), address("0.0.0.0:8006")),
        ]
        .into(),
        admin: Some(address("127.0.0.1:9090")),
        probes: None,
    };
    let exposure = Exposure::new(&own);
    assert_eq!(
        *exposure.own,
        [address("10.9.8.7:8001"), address("127.0.0.1:9090")].into()
    );
}
