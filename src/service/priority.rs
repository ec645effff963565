//! Lets a thread come after the others. It says nothing about what the thread does.

/// A nice value of threads that work beside the scoring: everything else comes first.
#[cfg(target_os = "linux")]
const NICE: i32 = 15;

/// Lowers the priority of the thread that calls it, where the system knows priorities of threads. One that it does not
/// grant is only a pity.
pub(super) fn lower() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
}
