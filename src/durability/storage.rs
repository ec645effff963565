//! What journal and snapshots ask of a disk. It knows no format; a simulated disk takes its place in tests.

use std::io;

/// Files in one folder, one of which is appended to.
pub trait Storage {
    /// The names of all files, in any order.
    fn names(&mut self) -> io::Result<Vec<String>>;

    /// A whole file.
    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        self.read_from(name, 0)
    }

    /// A file from a place on.
    fn read_from(&mut self, name: &str, at: u64) -> io::Result<Vec<u8>>;

    /// Makes a new file the one that is appended to. A file of that name is an error of kind `AlreadyExists`.
    fn create(&mut self, name: &str) -> io::Result<()>;

    /// Appends to the file that was made last. What fails may have appended a part.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file that was made last to a length.
    fn cut(&mut self, length: u64) -> io::Result<()>;

    /// Begins to make everything appended so far, and the name of its file, outlive a power cut.
    fn begin_sync(&mut self);

    /// Makes a file that was made by an earlier process outlive a power cut, and waits for it.
    fn sync_file(&mut self, name: &str) -> io::Result<()>;

    /// How the sync that was begun first went, once it has ended; each is told once.
    fn poll_sync(&mut self) -> Option<io::Result<()>>;

    /// Waits for every sync that was begun; the first error of those not told yet.
    fn wait_sync(&mut self) -> io::Result<()>;

    /// Gives a file another name, which outlives a power cut from then on.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

/// Whichever disk it is.
pub type AnyStorage = Box<dyn Storage + Send>;

impl Storage for AnyStorage {
    fn names(&mut self) -> io::Result<Vec<String>> {
        (**self).names()
    }

    fn read_from(&mut self, name: &str, at: u64) -> io::Result<Vec<u8>> {
        (**self).read_from(name, at)
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        (**self).create(name)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        (**self).append(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        (**self).cut(length)
    }

    fn begin_sync(&mut self) {
        (**self).begin_sync();
    }

    fn sync_file(&mut self, name: &str) -> io::Result<()> {
        (**self).sync_file(name)
    }

    fn poll_sync(&mut self) -> Option<io::Result<()>> {
        (**self).poll_sync()
    }

    fn wait_sync(&mut self) -> io::Result<()> {
        (**self).wait_sync()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        (**self).rename(from, to)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        (**self).remove(name)
    }
}
