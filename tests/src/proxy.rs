//! Stands between the program and ClickHouse, so that a test can stop the world at a named moment of a named insert:
//! before it is sent, half sent, sent and unanswered, answered. That needs no other build of the program, and does not
//! depend on how fast the machine is. Or it is a bad network by itself: one fault after the other, from a queue.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;

use crate::PATIENCE;

/// Where in the life of an insert the proxy stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The program has begun to send; the server has seen nothing.
    BeforeSend,
    /// The server has half of what came first.
    HalfSent,
    /// The program has sent all of it, the server has seen nothing.
    Held,
    /// The server has answered, the program does not know.
    Unanswered,
    /// The program has its answer.
    Answered,
}

/// Stop at the `nth` request (from 1) whose query id names this table.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// `changes`, `rejected`, `superseded`, `raw_records`.
    pub table: &'static str,
    /// When.
    pub moment: Moment,
    /// Which of them.
    pub nth: u32,
}

/// What a bad network does to one insert, without anybody's help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The server has carried it out and said so; the program sees the connection end.
    AnswerSwallowed,
    /// Half of the body has reached the server, then its connection ends and the program's is reset. ClickHouse 26.7
    /// ends itself (uncaught `NetException`) where the reset is its own.
    Reset,
    /// Half of the body has reached the server, then nothing moves and nobody is told.
    HoleInBody,
    /// The same, but it is the answer that never comes.
    HoleInAnswer,
    /// The second half of the body goes at one byte a second.
    SlowBody,
    /// The answer comes at one byte a second.
    SlowAnswer,
}

const SLOW: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Open,
    Forward,
    Drop,
}

#[derive(Debug)]
struct State {
    rule: Option<Rule>,
    seen: u32,
    verdict: Verdict,
    hung: bool,
    faults: VecDeque<Option<Fault>>,
    struck: BTreeMap<Fault, u32>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
    reached: Sender<()>,
    landed: Sender<()>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which moment this request is to be stopped at, if it is one.
    fn matches(&self, head: &[u8]) -> Option<Moment> {
        let line = insert_line(head)?;
        let mut state = self.state();
        let rule = state.rule?;
        if !line.contains(&format!(":{}:", rule.table)) {
            return None;
        }
        state.seen += 1;
        if state.seen < rule.nth {
            return None;
        }
        state.rule = None;
        Some(rule.moment)
    }

    /// What befalls this request, if anything does.
    fn fault(&self, head: &[u8]) -> Option<Fault> {
        insert_line(head)?;
        self.state().faults.pop_front().flatten()
    }

    fn struck(&self, fault: Fault) {
        *self.state().struck.entry(fault).or_default() += 1;
    }

    /// Tells the test and waits for its verdict. `true`: go on.
    fn stop(&self) -> bool {
        // A test that has ended hears nothing.
        let _ = self.reached.send(());
        let (state, _) = self
            .changed
            .wait_timeout_while(self.state(), PATIENCE, |state| state.verdict == Verdict::Open)
            .unwrap_or_else(PoisonError::into_inner);
        state.verdict == Verdict::Forward
    }

    fn wait_while_hung(&self) {
        let _released = self.changed.wait_while(self.state(), |state| state.hung);
    }
}

/// The first line of a request that is an insert of a batch.
fn insert_line(head: &[u8]) -> Option<String> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let line = String::from_utf8_lossy(line).replace("%3A", ":");
    line.contains("query_id=cg:").then_some(line)
}

/// A proxy in front of one ClickHouse. Its threads end with their connections; the listener with the process.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    reached: Receiver<()>,
    landed: Receiver<()>,
}

impl Proxy {
    /// Listens on a free port.
    ///
    /// # Panics
    /// Where there is none.
    pub fn start(upstream_port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it listens").port();
        let (reached_tell, reached) = channel();
        let (landed_tell, landed) = channel();
        let shared = Arc::new(Shared {
            upstream: (Ipv4Addr::LOCALHOST, upstream_port).into(),
            state: Mutex::new(State {
                rule: None,
                seen: 0,
                verdict: Verdict::Open,
                hung: false,
                faults: VecDeque::new(),
                struck: BTreeMap::new(),
            }),
            changed: Condvar::new(),
            reached: reached_tell,
            landed: landed_tell,
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || serve(&shared, client));
            }
        });
        Self {
            port,
            shared,
            reached,
            landed,
        }
    }

    /// Where the program finds "ClickHouse".
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on, stop where the rule says. Whoever was held before is let go.
    pub fn arm(&self, rule: Rule) {
        let mut state = self.shared.state();
        state.rule = Some(rule);
        state.seen = 0;
        state.verdict = Verdict::Open;
    }

    /// Whether the moment has come; waits a little for it.
    pub fn reached(&self) -> bool {
        self.reached.recv_timeout(Duration::from_millis(20)).is_ok()
    }

    /// Cuts the connection that was stopped, as the end of its process does.
    pub fn cut(&self) {
        self.decide(Verdict::Drop);
    }

    /// Lets the connection that was stopped go on, as if nothing had been.
    pub fn go_on(&self) {
        self.decide(Verdict::Forward);
    }

    /// Sends on what was held, whoever still waits for the answer, and waits until the server has answered.
    ///
    /// # Panics
    /// Where it does not.
    pub fn send_on(&self) {
        self.decide(Verdict::Forward);
        self.landed
            .recv_timeout(PATIENCE)
            .expect("the server answers the held insert");
    }

    fn decide(&self, verdict: Verdict) {
        self.shared.state().verdict = verdict;
        self.shared.changed.notify_all();
    }

    /// What befalls the inserts from now on, one after the other; `None`: nothing.
    pub fn strike(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.shared.state().faults = faults.into_iter().collect();
    }

    /// How often each fault has struck.
    pub fn struck(&self) -> BTreeMap<Fault, u32> {
        self.shared.state().struck.clone()
    }

    /// From now on nothing passes in either direction, and no connection is closed: a black hole.
    pub fn hang(&self, hung: bool) {
        self.shared.state().hung = hung;
        self.shared.changed.notify_all();
    }
}

/// What the two directions of a connection know of each other.
#[derive(Debug, Default)]
struct Link {
    moment: Option<Moment>,
    fault: Option<Fault>,
    /// The program's connection ends with a reset, not with an orderly goodbye.
    reset: bool,
    /// The server has begun to answer: what the program sends next is a new request.
    answered: bool,
}

fn serve(shared: &Arc<Shared>, client: TcpStream) {
    let Ok(server) = TcpStream::connect(shared.upstream) else {
        return;
    };
    let (Ok(client_back), Ok(server_back)) = (client.try_clone(), server.try_clone()) else {
        return;
    };
    let link = Arc::new(Mutex::new(Link {
        answered: true,
        ..Link::default()
    }));
    let (back_shared, back_link) = (Arc::clone(shared), Arc::clone(&link));
    let back = std::thread::spawn(move || answers(&back_shared, &back_link, server_back, client_back));
    requests(shared, &link, client, server);
    // A panic there has been printed.
    let _ = back.join();
}

fn read(from: &mut TcpStream, buffer: &mut [u8]) -> usize {
    loop {
        match from.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return 0,
            Ok(count) => return count,
        }
    }
}

fn requests(shared: &Shared, link: &Mutex<Link>, mut client: TcpStream, mut server: TcpStream) {
    let mut buffer = vec![0; 256 << 10];
    let mut moment = None;
    loop {
        let count = read(&mut client, &mut buffer);
        shared.wait_while_hung();
        if count == 0 {
            break;
        }
        let chunk = &buffer[..count];
        let is_new = {
            let mut link = link.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut link.answered)
        };
        if is_new {
            moment = shared.matches(chunk);
            let fault = shared.fault(chunk);
            {
                let mut link = link.lock().unwrap_or_else(PoisonError::into_inner);
                (link.moment, link.fault) = (moment, fault);
            }
            match fault {
                Some(fault @ (Fault::Reset | Fault::HoleInBody | Fault::SlowBody)) => {
                    let whole = rest_of_request(chunk, &mut client);
                    if !break_body(shared, link, fault, &whole, &mut client, &mut server) {
                        return;
                    }
                    continue;
                }
                Some(Fault::HoleInAnswer) => {
                    // The server is not told that the program gives up.
                    let whole = rest_of_request(chunk, &mut client);
                    if server.write_all(&whole).is_ok() {
                        read(&mut client, &mut buffer);
                    }
                    return;
                }
                Some(Fault::AnswerSwallowed | Fault::SlowAnswer) | None => {}
            }
        }
        let passed = match moment {
            Some(Moment::BeforeSend) => {
                moment = None;
                shared.stop() && server.write_all(chunk).is_ok()
            }
            Some(Moment::HalfSent) => {
                let body = chunk
                    .windows(4)
                    .position(|four| four == b"\r\n\r\n")
                    .map_or(0, |at| at + 4);
                let half = if is_new {
                    body + (count - body) / 2
                } else {
                    count / 2
                };
                let sent = server.write_all(&chunk[..half]).is_ok();
                if is_new && half == body {
                    sent
                } else {
                    moment = None;
                    sent && shared.stop() && server.write_all(&chunk[half..]).is_ok()
                }
            }
            Some(Moment::Held) => {
                moment = None;
                let whole = rest_of_request(chunk, &mut client);
                shared.stop() && server.write_all(&whole).is_ok()
            }
            Some(Moment::Unanswered | Moment::Answered) | None => server.write_all(chunk).is_ok(),
        };
        if !passed {
            let _ = server.shutdown(Shutdown::Both);
            return;
        }
    }
    // Half closed: an answer that is under way still comes.
    let _ = server.shutdown(Shutdown::Write);
}

/// Sends the first half of the body, and the rest as the fault has it. Whether the connection goes on.
fn break_body(
    shared: &Shared,
    link: &Mutex<Link>,
    fault: Fault,
    whole: &[u8],
    client: &mut TcpStream,
    server: &mut TcpStream,
) -> bool {
    let body = whole
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map_or(0, |at| at + 4);
    let (first, second) = whole.split_at(body + (whole.len() - body) / 2);
    if server.write_all(first).is_err() {
        return false;
    }
    shared.struck(fault);
    match fault {
        Fault::Reset => {
            link.lock().unwrap_or_else(PoisonError::into_inner).reset = true;
            // Closing it then sends a reset instead of what is left.
            SockRef::from(&*client)
                .set_linger(Some(Duration::ZERO))
                .expect("a socket of ours");
            let _ = server.shutdown(Shutdown::Both);
            false
        }
        Fault::SlowBody => {
            client.set_read_timeout(Some(SLOW)).expect("a socket of ours");
            for byte in second.chunks(1) {
                let is_there = client
                    .read(&mut [0])
                    .is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
                if !is_there || server.write_all(byte).is_err() {
                    let _ = server.shutdown(Shutdown::Both);
                    return false;
                }
            }
            client.set_read_timeout(None).expect("a socket of ours");
            true
        }
        _ => {
            // The program gives up some time; the server is not told.
            read(client, &mut [0]);
            false
        }
    }
}

/// Reads on until the last chunk of a chunked body.
fn rest_of_request(first: &[u8], client: &mut TcpStream) -> Vec<u8> {
    let mut whole = first.to_vec();
    let mut buffer = vec![0; 256 << 10];
    while !whole.ends_with(b"\r\n0\r\n\r\n") {
        let count = read(client, &mut buffer);
        if count == 0 {
            break;
        }
        whole.extend_from_slice(&buffer[..count]);
    }
    whole
}

fn answers(shared: &Shared, link: &Mutex<Link>, mut server: TcpStream, mut client: TcpStream) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = read(&mut server, &mut buffer);
        shared.wait_while_hung();
        if count == 0 {
            break;
        }
        let (moment, fault) = {
            let mut link = link.lock().unwrap_or_else(PoisonError::into_inner);
            link.answered = true;
            (link.moment.take(), link.fault.take())
        };
        match fault {
            Some(Fault::AnswerSwallowed) => {
                if buffer.starts_with(b"HTTP/1.1 200 ") {
                    shared.struck(Fault::AnswerSwallowed);
                }
                break;
            }
            Some(Fault::HoleInAnswer) => {
                shared.struck(Fault::HoleInAnswer);
                while read(&mut server, &mut buffer) > 0 {}
                return;
            }
            Some(Fault::SlowAnswer) => {
                shared.struck(Fault::SlowAnswer);
                let mut bytes = buffer[..count].chunks(1);
                while bytes.next().is_some_and(|byte| client.write_all(byte).is_ok()) {
                    std::thread::sleep(SLOW);
                }
                break;
            }
            Some(Fault::Reset | Fault::HoleInBody | Fault::SlowBody) | None => {}
        }
        if moment == Some(Moment::Unanswered) && !shared.stop() {
            break;
        }
        let passed = client.write_all(&buffer[..count]).is_ok();
        match moment {
            Some(Moment::Held) => {
                let _ = shared.landed.send(());
            }
            Some(Moment::Answered) => {
                let _ = shared.reached.send(());
            }
            _ => {}
        }
        if !passed {
            break;
        }
    }
    if link.lock().unwrap_or_else(PoisonError::into_inner).reset {
        return;
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
