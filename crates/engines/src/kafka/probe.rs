//! Asks a broker, in Kafka's own words, whether it serves: a metadata request of version 1, for no topic.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(1);
/// A sane answer about one broker and no topic is far below that.
const ANSWER_BYTES_MAX: usize = 4096;

/// Whether the broker on this port names at least one broker that takes requests (itself). A port that is only open is
/// not enough: it opens before the broker has joined its own cluster.
pub(super) fn answers(port: u16) -> bool {
    brokers(port).is_ok_and(|count| count > 0)
}

fn brokers(port: u16) -> std::io::Result<i32> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, WAIT)?;
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    stream.write_all(&REQUEST)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(0);
    if !(8..=ANSWER_BYTES_MAX).contains(&length) {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    // Correlation id, then the length of the list of brokers.
    let count = answer
        .get(4..8)
        .and_then(|bytes| bytes.try_into().ok())
        .map(i32::from_be_bytes);
    count.ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

/// Length 14; api key 3 (metadata), version 1, correlation id 1, client id null; topics: an empty list.
const REQUEST: [u8; 18] = [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0];
