use std::io::{Read, Write};
use std::net::TcpStream;

/// Sends one record to the first partition of a topic in Kafka's own words (Produce version 3, record batch version 2):
/// client libraries for Rust write no header whose name is not UTF-8, others do.
///
/// # Panics
/// Where the broker does not take it.
pub fn produce(bootstrap: &str, topic: &str, header: (&[u8], &[u8]), value: &[u8], time_ms: i64) {
    let mut record = vec![0];
    for delta in [0, 0, -1] {
        // Time, offset; no key.
        varint(&mut record, delta);
    }
    bytes(&mut record, value);
    varint(&mut record, 1);
    bytes(&mut record, header.0);
    bytes(&mut record, header.1);

    let mut body = Vec::new();
    body.extend([0; 2 + 4]); // attributes, last offset delta
    for time in [time_ms, time_ms, -1] {
        // First, last; no producer id.
        body.extend(time.to_be_bytes());
    }
    body.extend((-1i16).to_be_bytes());
    body.extend((-1i32).to_be_bytes());
    body.extend(1i32.to_be_bytes());
    bytes(&mut body, &record);

    let mut batch = vec![0; 8];
    batch.extend((body.len() as i32 + 9).to_be_bytes());
    batch.extend((-1i32).to_be_bytes());
    batch.push(2);
    batch.extend(crc32c(&body).to_be_bytes());
    batch.extend(&body);

    let mut request = Vec::new();
    request.extend([0, 0, 0, 3]); // Produce, version
    request.extend(7i32.to_be_bytes());
    text(&mut request, "test");
    request.extend((-1i16).to_be_bytes()); // no transaction
    request.extend((-1i16).to_be_bytes()); // acks=all
    request.extend(30_000i32.to_be_bytes());
    request.extend(1i32.to_be_bytes());
    text(&mut request, topic);
    request.extend(1i32.to_be_bytes());
    request.extend(0i32.to_be_bytes());
    request.extend((batch.len() as i32).to_be_bytes());
    request.extend(&batch);

    let mut broker = TcpStream::connect(bootstrap).expect("the broker listens");
    broker
        .write_all(&(request.len() as i32).to_be_bytes())
        .expect("it reads");
    broker.write_all(&request).expect("it reads");
    let mut length = [0; 4];
    broker.read_exact(&mut length).expect("it answers");
    let mut answer = vec![0; i32::from_be_bytes(length) as usize];
    broker.read_exact(&mut answer).expect("it answers");
    // Correlation id, one topic by name, one partition by number, then its error.
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    assert_eq!(answer[at..at + 2], [0, 0], "the broker's error code");
}

fn varint(out: &mut Vec<u8>, number: i64) {
    let mut left = ((number << 1) ^ (number >> 63)) as u64;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

fn bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    varint(out, bytes.len() as i64);
    out.extend(bytes);
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as i16).to_be_bytes());
    out.extend(text.as_bytes());
}

/// CRC-32C (Castagnoli), as record batches carry it.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_sum_is_the_published_one() {
        // Check value of CRC-32C in the catalogue of CRC algorithms.
        assert_eq!(super::crc32c(b"123456789"), 0xe306_9283);
    }
}
