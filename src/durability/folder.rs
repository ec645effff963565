//! A folder of the file system that belongs to one process at a time. Syncs run on a thread of their own; it reads and
//! writes no format.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, TryRecvError, channel},
    thread::JoinHandle,
};

use super::storage::Storage;

/// Held by the process that the folder belongs to.
const LOCK: &str = "lock";

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another process has it.
    #[error("`{}` is in use by another process, expected one service for each folder: set `[durability] dir`", .0.display())]
    InUse(PathBuf),
    /// It cannot be made, read or written.
    #[error("`{}` cannot be used for the journal: {source}; set `[durability] dir` to another folder, or to \"none\"", path.display())]
    Unusable {
        /// The folder or the file in it.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The folder.
pub struct Folder {
    path: PathBuf,
    current: Option<File>,
    wanted: Option<Sender<Job>>,
    done: Receiver<io::Result<()>>,
    under_way: usize,
    /// Syncs that never got to the thread.
    not_begun: Vec<io::Error>,
    syncer: Option<JoinHandle<()>>,
    /// Locked until it is closed.
    _lock: Option<File>,
}

/// What the syncing thread is given.
struct Job {
    file: File,
    /// For a file that is new: its name must outlive a power cut as well.
    folder: Option<File>,
}

impl Folder {
    /// Takes a folder, which is made where there is none.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |source| FolderError::Unusable { path, source }
        };
        make(path).map_err(unusable(path))?;
        let lock_path = path.join(LOCK);
        let lock = private().write(true).create(true).truncate(false).open(&lock_path);
        let lock = lock.map_err(unusable(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FolderError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(unusable(&lock_path)(source)),
        }
        Self::over(path, Some(lock))
    }

    /// Whether nobody has a folder.
    pub fn is_free(path: &Path) -> bool {
        private().write(true).open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok())
    }

    /// A folder that is another's: of this process, or of one that is about to hand it over. What lies there is not
    /// written to, but for files that the owner does not know.
    pub fn beside(path: &Path) -> Result<Self, FolderError> {
        Self::over(path, None)
    }

    fn over(path: &Path, lock: Option<File>) -> Result<Self, FolderError> {
        let (wanted, jobs) = channel::<Job>();
        let (told, done) = channel();
        let syncer = std::thread::Builder::new().name("sync".into()).spawn(move || {
            for Job { file, folder } in jobs {
                let synced = file.sync_data().and_then(|()| folder.map_or(Ok(()), |folder| folder.sync_all()));
                if told.send(synced).is_err() {
                    return;
                }
            }
        });
        let unusable = |source| FolderError::Unusable { path: path.to_owned(), source };
        let syncer = Some(syncer.map_err(unusable)?);
        let path = path.to_owned();
        Ok(Self {
            path,
            current: None,
            wanted: Some(wanted),
            done,
            under_way: 0,
            not_begun: Vec::new(),
            syncer,
            _lock: lock,
        })
    }

    fn current(&mut self) -> io::Result<&mut File> {
        self.current.as_mut().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no file was made"))
    }

    fn sync_begun(&self) -> io::Result<()> {
        let (Some(file), Some(wanted)) = (&self.current, &self.wanted) else { return Ok(()) };
        let job = Job { file: file.try_clone()?, folder: Some(File::open(&self.path)?) };
        wanted.send(job).map_err(|_| ended())
    }
}

impl Storage for Folder {
    fn names(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is no text is none of ours.
            names.extend(entry?.file_name().into_string().ok().filter(|name| name != LOCK));
        }
        Ok(names)
    }

    fn read_from(&mut self, name: &str, at: u64) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path.join(name))?;
        let length = file.metadata()?.len().saturating_sub(at);
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        self.current = Some(private().append(true).create_new(true).open(self.path.join(name))?);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.current()?.write_all(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.current()?.set_len(length)
    }

    fn begin_sync(&mut self) {
        if self.current.is_none() {
            return;
        }
        match self.sync_begun() {
            Ok(()) => self.under_way += 1,
            Err(error) => self.not_begun.push(error),
        }
    }

    fn sync_file(&mut self, name: &str) -> io::Result<()> {
        // Only a file that may be written may be synced everywhere.
        OpenOptions::new().append(true).open(self.path.join(name))?.sync_all()?;
        File::open(&self.path)?.sync_all()
    }

    fn poll_sync(&mut self) -> Option<io::Result<()>> {
        if let Some(error) = self.not_begun.pop() {
            return Some(Err(error));
        }
        if self.under_way == 0 {
            return None;
        }
        let result = match self.done.try_recv() {
            Ok(result) => result,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(ended()),
        };
        self.under_way -= 1;
        Some(result)
    }

    fn wait_sync(&mut self) -> io::Result<()> {
        let mut first = self.not_begun.pop().map_or(Ok(()), Err);
        while self.under_way > 0 {
            let result = self.done.recv().unwrap_or_else(|_| Err(ended()));
            self.under_way -= 1;
            first = first.and(result);
        }
        first
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))?;
        File::open(&self.path)?.sync_all()
    }

    /// The name goes here; what the file holds is freed where it is closed last, which takes tens of milliseconds for a
    /// long one, and nobody waits for that.
    fn remove(&mut self, name: &str) -> io::Result<()> {
        let path = self.path.join(name);
        let file = File::open(&path);
        fs::remove_file(path)?;
        if let Ok(file) = file {
            // Where the system gives no thread, it is closed here.
            drop(std::thread::Builder::new().name("close".into()).spawn(move || drop(file)));
        }
        Ok(())
    }
}

impl Drop for Folder {
    /// The folder is free only once nothing of it is written any more.
    fn drop(&mut self) {
        self.wanted = None;
        if let Some(syncer) = self.syncer.take() {
            // A thread that panicked has nothing left to do.
            let _ = syncer.join();
        }
    }
}

fn ended() -> io::Error {
    io::Error::other("the thread that syncs has ended")
}

/// What lies here is about cards: nobody else reads it.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

fn make(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path)
}
