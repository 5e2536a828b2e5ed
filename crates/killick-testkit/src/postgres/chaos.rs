//! A piece of network that breaks at the n-th message: it stands between the gateway and a server, or between an
//! agent and the gateway, counts what passes in each direction, and cuts every connection when it is told to.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;

use parking_lot::Mutex;

use super::frame::Frame;

/// Which way messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Away from the client.
    Forth,
    /// Back to the client.
    Back,
}

/// Where the network breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The direction whose messages are counted.
    pub direction: Direction,
    /// Messages that still pass, counted from when it was armed.
    pub after: u64,
    /// Whether half of the message that does not pass arrives all the same.
    pub torn: bool,
}

/// The piece of network. Dropped, it is gone.
#[derive(Debug)]
pub struct Chaos {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    to: AtomicU16,
    plan: Mutex<Plan>,
    over: AtomicBool,
}

#[derive(Debug, Default)]
struct Plan {
    cut: Option<Cut>,
    forth: u64,
    back: u64,
    fired: bool,
    open: HashMap<u64, [TcpStream; 2]>,
    next: u64,
}

/// What is done with a message.
enum Fate {
    Pass,
    Tear,
    Drop,
}

impl Chaos {
    /// Starts on a free port of loopback before another one.
    ///
    /// # Errors
    /// No port is free.
    pub fn before(port: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let to = AtomicU16::new(port);
        let shared = Arc::new(Shared { to, plan: Mutex::default(), over: AtomicBool::new(false) });
        let own = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if own.over.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(stream) = stream {
                    carry(&own, stream);
                }
            }
        });
        Ok(Self { addr, shared })
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Leads connections from here on to another port.
    pub fn lead_to(&self, port: u16) {
        self.shared.to.store(port, Ordering::Relaxed);
    }

    /// Begins to count, and breaks where the plan says.
    pub fn arm(&self, cut: Cut) {
        let mut plan = self.shared.plan.lock();
        plan.cut = Some(cut);
        (plan.forth, plan.back, plan.fired) = (0, 0, false);
    }

    /// Heals, and returns whether it broke.
    #[must_use]
    pub fn heal(&self) -> bool {
        let mut plan = self.shared.plan.lock();
        plan.cut = None;
        std::mem::take(&mut plan.fired)
    }

    /// Cuts every connection now.
    pub fn cut_all(&self) {
        self.shared.plan.lock().cut_all();
    }

    /// Returns how many messages passed in a direction since it was armed.
    #[must_use]
    pub fn passed(&self, direction: Direction) -> u64 {
        let plan = self.shared.plan.lock();
        match direction {
            Direction::Forth => plan.forth,
            Direction::Back => plan.back,
        }
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        self.cut_all();
        // Wakes the one that accepts.
        drop(TcpStream::connect(self.addr));
    }
}

impl Plan {
    fn cut_all(&mut self) {
        for (_, ends) in self.open.drain() {
            for end in ends {
                // An end that is gone already is as good.
                drop(end.shutdown(Shutdown::Both));
            }
        }
    }

    /// Counts a message and says what becomes of it.
    fn fate(&mut self, direction: Direction) -> Fate {
        if self.fired {
            return Fate::Drop;
        }
        let count = match direction {
            Direction::Forth => &mut self.forth,
            Direction::Back => &mut self.back,
        };
        if let Some(cut) = self.cut
            && cut.direction == direction
            && *count >= cut.after
        {
            self.fired = true;
            return if cut.torn { Fate::Tear } else { Fate::Drop };
        }
        *count += 1;
        Fate::Pass
    }
}

/// Carries one connection until one of its ends is gone or the network breaks.
fn carry(shared: &Arc<Shared>, client: TcpStream) {
    let to = shared.to.load(Ordering::Relaxed);
    let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { return };
    let ends = [&client, &server].map(|it| (it.set_nodelay(true), it.try_clone()));
    let [(Ok(()), Ok(client_end)), (Ok(()), Ok(server_end))] = ends else { return };
    let id = {
        let mut plan = shared.plan.lock();
        if plan.fired {
            // The network is down until it is healed.
            return;
        }
        plan.next += 1;
        let id = plan.next;
        plan.open.insert(id, [client_end, server_end]);
        id
    };
    let clones = (client.try_clone(), server.try_clone());
    let (Ok(client_too), Ok(server_too)) = clones else { return };
    let (forth, back) = (Arc::clone(shared), Arc::clone(shared));
    thread::spawn(move || pump(&forth, id, Direction::Forth, client, server_too));
    thread::spawn(move || pump(&back, id, Direction::Back, server, client_too));
}

fn pump(shared: &Shared, id: u64, direction: Direction, mut from: TcpStream, mut to: TcpStream) {
    let mut tagged = direction == Direction::Back;
    while let Ok(frame) = Frame::read(&mut from, tagged) {
        tagged = true;
        let bytes = frame.bytes();
        let fate = shared.plan.lock().fate(direction);
        match fate {
            Fate::Pass => {
                if to.write_all(&bytes).is_err() {
                    break;
                }
            }
            Fate::Tear => {
                drop(to.write_all(&bytes[..bytes.len() / 2]));
                shared.plan.lock().cut_all();
                return;
            }
            Fate::Drop => {
                shared.plan.lock().cut_all();
                return;
            }
        }
    }
    if let Some(ends) = shared.plan.lock().open.remove(&id) {
        for end in ends {
            drop(end.shutdown(Shutdown::Both));
        }
    }
}
