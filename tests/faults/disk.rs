//! A disk that is killed, loses power, fills up and rots, all from one seed. It stores nothing outside of memory.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use gavel::durability::storage::Storage;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

#[derive(Clone, Default)]
struct File {
    bytes: Vec<u8>,
    /// What a power cut leaves for sure.
    synced: usize,
    /// Whether a power cut leaves the name.
    is_named: bool,
}

struct Sync {
    name: String,
    length: usize,
    ready_at_ms: i64,
}

struct State {
    files: BTreeMap<String, File>,
    syncs: VecDeque<Sync>,
    now_ms: i64,
    random: ChaCha8Rng,
    is_full: bool,
    syncs_fail: bool,
    appends: u64,
}

/// The disk, as one of those sees it who write there; each appends to a file of its own.
pub(crate) struct Disk {
    state: Arc<Mutex<State>>,
    current: Option<String>,
    /// It does so much, and from then on nothing: its process is dead.
    work_left: Option<u32>,
}

impl Disk {
    /// An empty disk.
    pub(crate) fn new(seed: u64) -> Self {
        let state = Arc::new(Mutex::new(State {
            files: BTreeMap::new(),
            syncs: VecDeque::new(),
            now_ms: 0,
            random: ChaCha8Rng::seed_from_u64(seed),
            is_full: false,
            syncs_fail: false,
            appends: 0,
        }));
        Self { state, current: None, work_left: None }
    }

    /// The same disk for somebody else.
    pub(crate) fn handle(&self) -> Self {
        Self { state: self.state.clone(), current: None, work_left: None }
    }

    /// The same disk for somebody who is killed after so many operations.
    pub(crate) fn mortal(&self, operations: u32) -> Self {
        Self { work_left: Some(operations), ..self.handle() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics with it")
    }

    fn live(&mut self) -> io::Result<()> {
        match &mut self.work_left {
            None => Ok(()),
            Some(0) => Err(io::Error::other("its process is dead")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    /// Lets time pass.
    pub(crate) fn advance(&self, now_ms: i64) {
        self.state().now_ms = now_ms;
    }

    /// Whether nothing more fits.
    pub(crate) fn fill(&self, is_full: bool) {
        self.state().is_full = is_full;
    }

    /// Whether syncs fail.
    pub(crate) fn fail_syncs(&self, fail: bool) {
        self.state().syncs_fail = fail;
    }

    /// The process is gone; what it wrote is not.
    pub(crate) fn kill(&self) {
        let mut state = self.state();
        // Whether a sync that was under way got done nobody knows.
        let begun = state.syncs.len();
        let under_way = state.random.random_range(0..=begun);
        for _ in 0..under_way {
            state.end_sync();
        }
        state.syncs.clear();
    }

    /// The machine is gone: of what was not synced, a part is there, torn, or nulls in its place.
    pub(crate) fn cut_power(&self) {
        self.kill();
        let mut state = self.state();
        let State { files, random, .. } = &mut *state;
        let mut survives_from_here = true;
        files.retain(|name, file| {
            // Names of the journal were given in their order, and so they go.
            let is_left = file.is_named || random.random_bool(0.5);
            let survives = if name.starts_with("journal-") {
                survives_from_here &= is_left;
                survives_from_here
            } else {
                is_left
            };
            let unsynced = file.bytes.len() - file.synced;
            let kept = file.synced + random.random_range(0..=unsynced);
            if random.random_bool(0.3) {
                file.bytes[kept..].fill(0);
            } else {
                file.bytes.truncate(kept);
            }
            file.synced = file.bytes.len();
            survives
        });
        for file in files.values_mut() {
            file.is_named = true;
        }
    }

    /// Turns one bit over of one of the files whose names begin so. Which one.
    pub(crate) fn rot(&self, prefix: &str) -> Option<String> {
        let mut state = self.state();
        let State { files, random, .. } = &mut *state;
        let is_one = |(name, file): &(&String, &File)| name.starts_with(prefix) && !file.bytes.is_empty();
        let names: Vec<String> = files.iter().filter(is_one).map(|(name, _)| name.clone()).collect();
        if names.is_empty() {
            return None;
        }
        let name = &names[random.random_range(0..names.len())];
        if let Some(file) = files.get_mut(name) {
            let at = random.random_range(0..file.bytes.len());
            file.bytes[at] ^= 1 << random.random_range(0..8);
        }
        Some(name.clone())
    }

    /// Cuts the end of one of the files off whose names begin so. Which one.
    pub(crate) fn tear(&self, prefix: &str) -> Option<String> {
        let mut state = self.state();
        let State { files, random, .. } = &mut *state;
        let (name, file) = files.iter_mut().rfind(|(name, file)| name.starts_with(prefix) && !file.bytes.is_empty())?;
        file.bytes.truncate(random.random_range(0..file.bytes.len()));
        file.synced = file.synced.min(file.bytes.len());
        Some(name.clone())
    }

    /// Without the files whose names begin so.
    pub(crate) fn without(self, prefix: &str) -> Self {
        self.state().files.retain(|name, _| !name.starts_with(prefix));
        self
    }

    /// A disk with the same content and no faults, that shares nothing.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new(0);
        copy.state().files = self.state().files.clone();
        copy
    }
}

impl Clone for Disk {
    fn clone(&self) -> Self {
        self.handle()
    }
}

impl State {
    fn end_sync(&mut self) -> Option<io::Result<()>> {
        let Sync { name, length, .. } = self.syncs.pop_front()?;
        if self.syncs_fail {
            return Some(Err(io::Error::other("the simulated disk does not sync")));
        }
        if let Some(file) = self.files.get_mut(&name) {
            file.synced = file.synced.max(length.min(file.bytes.len()));
        }
        // The names are synced with their folder.
        for file in self.files.values_mut() {
            file.is_named = true;
        }
        Some(Ok(()))
    }

    fn full() -> io::Error {
        io::Error::new(io::ErrorKind::StorageFull, "the simulated disk is full")
    }
}

impl Storage for Disk {
    fn names(&mut self) -> io::Result<Vec<String>> {
        Ok(self.state().files.keys().cloned().collect())
    }

    fn read_from(&mut self, name: &str, at: u64) -> io::Result<Vec<u8>> {
        let state = self.state();
        let file = state.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(file.bytes.get(at as usize..).unwrap_or_default().to_vec())
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        self.live()?;
        let mut state = self.state();
        if state.files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if state.is_full && state.random.random_bool(0.5) {
            return Err(State::full());
        }
        state.files.insert(name.to_owned(), File::default());
        drop(state);
        self.current = Some(name.to_owned());
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let lives = self.live();
        let name = self.current.clone().ok_or(io::ErrorKind::NotFound)?;
        let mut state = self.state();
        state.appends += 1;
        let is_cut_off = state.is_full || lives.is_err();
        let fits =
            if is_cut_off && !bytes.is_empty() { state.random.random_range(0..bytes.len()) } else { bytes.len() };
        let file = state.files.get_mut(&name).ok_or(io::ErrorKind::NotFound)?;
        file.bytes.extend_from_slice(&bytes[..fits]);
        lives?;
        if fits < bytes.len() { Err(State::full()) } else { Ok(()) }
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.live()?;
        let name = self.current.clone().ok_or(io::ErrorKind::NotFound)?;
        let mut state = self.state();
        if state.random.random_bool(0.3) {
            return Err(io::Error::other("the simulated disk does not cut"));
        }
        let file = state.files.get_mut(&name).ok_or(io::ErrorKind::NotFound)?;
        file.bytes.truncate(length as usize);
        Ok(())
    }

    fn begin_sync(&mut self) {
        let Some(name) = self.current.clone().filter(|_| self.live().is_ok()) else { return };
        let mut state = self.state();
        let length = state.files.get(&name).map_or(0, |file| file.bytes.len());
        let ready_at_ms = state.now_ms + state.random.random_range(0..40);
        state.syncs.push_back(Sync { name, length, ready_at_ms });
    }

    fn sync_file(&mut self, name: &str) -> io::Result<()> {
        self.live()?;
        let mut state = self.state();
        if state.syncs_fail {
            return Err(io::Error::other("the simulated disk does not sync"));
        }
        let file = state.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        (file.synced, file.is_named) = (file.bytes.len(), true);
        Ok(())
    }

    fn poll_sync(&mut self) -> Option<io::Result<()>> {
        let mut state = self.state();
        let is_ready = state.syncs.front().is_some_and(|sync| sync.ready_at_ms <= state.now_ms);
        if is_ready { state.end_sync() } else { None }
    }

    fn wait_sync(&mut self) -> io::Result<()> {
        self.live()?;
        let mut state = self.state();
        let mut first = Ok(());
        while let Some(result) = state.end_sync() {
            first = first.and(result);
        }
        first
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.live()?;
        let mut state = self.state();
        let file = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        let is_named = !state.syncs_fail;
        state.files.insert(to.to_owned(), File { is_named, ..file });
        if is_named { Ok(()) } else { Err(io::Error::other("the simulated disk does not sync")) }
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.live()?;
        self.state().files.remove(name).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
