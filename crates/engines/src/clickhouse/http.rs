//! As much of an HTTP client as a launcher needs.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::Credentials;
use crate::error::{Error, Result};

const CONNECT_WAIT: Duration = Duration::from_secs(1);
/// Set-up statements and tests take moments; a paused server must not hold us for ever.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Whether a ClickHouse (any) answers on the port.
pub(super) fn ping(port: u16) -> bool {
    exchange(port, "GET /ping HTTP/1.0\r\n\r\n", b"").is_ok_and(|(status, _)| status == 200)
}

pub(super) fn query(port: u16, who: &Credentials, sql: &str) -> Result<String> {
    let head = format!(
        "POST / HTTP/1.0\r\nX-ClickHouse-User: {}\r\nX-ClickHouse-Key: {}\r\nContent-Length: {}\r\n\r\n",
        who.user,
        who.password,
        sql.len()
    );
    match exchange(port, &head, sql.as_bytes()) {
        Ok((200, body)) => Ok(body),
        Ok((status, message)) => Err(Error::Refused {
            status,
            message: message.trim_end().to_owned(),
        }),
        Err(source) => Err(Error::Io {
            action: "ask ClickHouse at",
            path: format!("127.0.0.1:{port}").into(),
            source,
        }),
    }
}

/// One request and its whole answer. Version 1.0 of the protocol, so the body ends with the connection.
fn exchange(port: u16, head: &str, body: &[u8]) -> std::io::Result<(u16, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, CONNECT_WAIT)?;
    stream.set_read_timeout(Some(ANSWER_WAIT))?;
    stream.set_write_timeout(Some(ANSWER_WAIT))?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
    match (status, answer.split_once("\r\n\r\n")) {
        (Some(status), Some((_, body))) => Ok((status, body.to_owned())),
        _ => Err(std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            "the answer is not HTTP",
        )),
    }
}
