//! A broker that says it is older than it is: what comes from a real one goes on with another version in it.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
};

/// What the real broker says, and what is made of it. Both are as long, so that no length is wrong.
const VERSIONS: (&[u8], &[u8]) = (b"\"version\":\"2.15.1\"", b"\"version\":\"2.9.10\"");

/// Where the old one listens, until the test ends.
pub fn old_broker(real: &str) -> String {
    let real = real.trim_start_matches("nats://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.expect("a client"), TcpStream::connect(&real).expect("the broker is there"));
            let (from, to) = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
            thread::spawn(move || pass(from, to, |_| {}));
            thread::spawn(move || pass(server, client, age));
        }
    });
    format!("nats://{address}")
}

fn age(bytes: &mut [u8]) {
    let (real, old) = VERSIONS;
    if let Some(at) = bytes.windows(real.len()).position(|found| found == real) {
        bytes[at..at + old.len()].copy_from_slice(old);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, change: impl Fn(&mut [u8])) {
    let mut bytes = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        change(&mut bytes[..read]);
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
