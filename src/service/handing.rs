//! How one process hands its folder over to the next, by small files in it: the next one asks, the one that serves says
//! what it has answered since. It reads no journal.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use async_nats::Message;
use xxhash_rust::xxh3::Xxh3;

/// Written by the next process: the one that serves is to note what it answers from now on.
const ASKED: &str = "take-over";
/// Written by the one that serves: it does.
const NOTING: &str = "take-over-noting";
/// Written by the next process: it hears what comes, so the one that serves is to answer what it has received, and end.
const GO: &str = "take-over-go";
/// Written by the one that serves, at its end: what it answered since it was asked.
const ANSWERED: &str = "take-over-answered";

/// The files by which a folder is handed over.
pub struct Handing(PathBuf);

impl Handing {
    /// In a folder.
    pub fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Asks whoever serves to note what it answers.
    pub fn ask(&self) -> io::Result<()> {
        self.clear();
        self.write(ASKED, &[])
    }

    /// Whether somebody asks.
    pub fn is_asked(&self) -> bool {
        self.0.join(ASKED).exists()
    }

    /// Says that it is noted from now on.
    pub fn note(&self) -> io::Result<()> {
        self.write(NOTING, &[])
    }

    /// Whether it is.
    pub fn is_noting(&self) -> bool {
        self.0.join(NOTING).exists()
    }

    /// Tells whoever serves to end.
    pub fn go(&self) -> io::Result<()> {
        self.write(GO, &[])
    }

    /// Whether it is to end.
    pub fn is_to_go(&self) -> bool {
        self.0.join(GO).exists()
    }

    /// Leaves behind what was answered.
    pub fn leave(&self, answered: &[u64]) -> io::Result<()> {
        let bytes: Vec<u8> = answered.iter().flat_map(|print| print.to_le_bytes()).collect();
        self.write(ANSWERED, &bytes)
    }

    /// What the one before answered; nothing where it did not get to say so. The files are gone then.
    pub fn take(&self) -> Vec<u64> {
        let bytes = fs::read(self.0.join(ANSWERED)).unwrap_or_default();
        self.clear();
        bytes
            .chunks_exact(8)
            .map(|bytes| bytes.iter().rev().fold(0, |high, byte| high << 8 | u64::from(*byte)))
            .collect()
    }

    /// Nothing is handed over.
    pub fn clear(&self) {
        for name in [GO, ANSWERED, NOTING, ASKED] {
            // It may not be there.
            let _ = fs::remove_file(self.0.join(name));
        }
    }

    /// Whole or not at all; whoever waits for it looks again and again.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = self.0.join(format!("{name}.tmp"));
        let mut file = fs::File::create(&unfinished)?;
        file.write_all(bytes)?;
        fs::rename(&unfinished, self.0.join(name))
    }
}

/// Tells one delivery from another: where it went, where its answer goes, and what it says.
pub fn print_of(message: &Message) -> u64 {
    let mut hasher = Xxh3::new();
    for part in [message.subject.as_bytes(), message.reply.as_ref().map_or(&[][..], |reply| reply.as_bytes())] {
        hasher.update(part);
        hasher.update(b"\n");
    }
    hasher.update(&message.payload);
    hasher.digest()
}
