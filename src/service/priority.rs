//! Lets scoring come before other work, and upkeep after everything else without waiting for ever. It says nothing about what the work does.

use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, sync_channel},
    },
    thread,
    time::Duration,
};

/// A nice value of threads that work beside the scoring: everything else comes first.
#[cfg(target_os = "linux")]
const NICE: i32 = 15;
/// How often it is looked whether work gets on.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What it must get of a processor meanwhile, if it wants one.
const SHARE_MIN: Duration = Duration::from_millis(60);
/// So many times in a row it may get less.
const HELD_UP_MAX: u32 = 4;

/// Lowers the priority of the thread that calls it, where the system knows priorities of threads. One that it does not
/// grant is only a pity.
pub(super) fn lower() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
}

/// Lets the thread that calls it, and those it starts, come before others, where the system grants that: the nice value
/// that it has then. With 0 it stays as it is.
#[cfg(target_os = "linux")]
pub(super) fn raise(nice: i32) -> i32 {
    let thread = Some(rustix::thread::gettid());
    if nice < 0 {
        let _ = rustix::process::setpriority_process(thread, nice);
    }
    rustix::process::getpriority_process(thread).unwrap_or_default()
}

/// Other systems know no priorities of threads.
#[cfg(not(target_os = "linux"))]
pub(super) fn raise(_: i32) -> i32 {
    0
}

/// Does work in time that nobody else wants, on a thread of its own. It is done here as well where it gets too little of
/// that: on a machine that is never idle it is late, and still comes to an end. Its answer must not depend on who works.
///
/// A thread of low priority runs its slice of a millisecond or more to the end, whoever wakes up meanwhile; one that the
/// system takes for idle is put aside at once. Without a privilege there is no way back from there, so that the work has
/// to begin anew.
pub(super) fn patiently<T: Send + 'static>(name: &str, work: impl Fn() -> T + Send + Sync + 'static) -> T {
    let work = Arc::new(work);
    let (told, begun) = sync_channel(1);
    let (done, answer) = sync_channel(1);
    let there = Arc::clone(&work);
    let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Before it is idle: whoever waits must know the thread even if it gets no time at all.
        let _ = told.send(Progress::of_this_thread());
        idle();
        let answer = there();
        // Whoever takes the answer may want what the work was done with to itself.
        drop(there);
        // Or have lost patience: then it is freed here.
        let _ = done.send(answer);
    });
    if started.is_ok() {
        let mut progress = begun.recv().ok().flatten();
        loop {
            match answer.recv_timeout(LOOK_EVERY) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Timeout) if !progress.as_mut().is_some_and(Progress::is_held_up) => {}
                Err(_) => break,
            }
        }
    }
    work()
}

/// From here on the thread that calls it runs only when no other wants to, where the system knows such threads.
fn idle() {
    lower();
    #[cfg(target_os = "linux")]
    {
        use thread_priority::{
            NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
            thread_native_id,
        };
        let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        // Low priority must do where it is not granted.
        let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy);
    }
}

/// How a thread gets on, as the system tells.
struct Progress {
    /// Where it tells.
    folder: PathBuf,
    ran: Duration,
    held_up: u32,
}

impl Progress {
    /// `None` where nobody tells.
    #[cfg(target_os = "linux")]
    fn of_this_thread() -> Option<Self> {
        let folder = PathBuf::from(format!("/proc/self/task/{}", rustix::thread::gettid().as_raw_nonzero()));
        let progress = Self { folder, ran: Duration::ZERO, held_up: 0 };
        progress.read().is_some().then_some(progress)
    }

    #[cfg(not(target_os = "linux"))]
    fn of_this_thread() -> Option<Self> {
        None
    }

    /// Whether it has wanted a processor all the time, and hardly got one. To be asked every `LOOK_EVERY`.
    fn is_held_up(&mut self) -> bool {
        // A thread that has ended is about to answer, or has panicked: both show without this.
        let Some((ran, wants)) = self.read() else { return false };
        let got = ran.saturating_sub(self.ran);
        self.ran = ran;
        self.held_up = if wants && got < SHARE_MIN { self.held_up + 1 } else { 0 };
        self.held_up >= HELD_UP_MAX
    }

    /// How long it ran so far, and whether it runs or wants to; a thread that waits for a disk does not.
    fn read(&self) -> Option<(Duration, bool)> {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).ok();
        let ran = read("schedstat")?.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)?;
        // The name stands in parentheses, and may hold any.
        let stat = read("stat")?;
        let (_, state) = stat.rsplit_once(") ")?;
        Some((ran, state.starts_with('R')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_once_where_there_is_time_for_it() {
        let (did, done) = std::sync::mpsc::channel();
        let answer = patiently("test", move || {
            let _ = did.send(thread::current().name().map(str::to_owned));
            7
        });
        // On a machine that is never idle it may have been done here as well.
        assert_eq!((answer, done.iter().next()), (7, Some(Some("test".to_owned()))));
    }

    #[test]
    fn priority_is_granted_or_stays() {
        let (before, unasked, asked) = thread::spawn(|| {
            lower();
            let before = raise(0);
            (before, raise(0), raise(before - 1))
        })
        .join()
        .expect("it ends");
        // Less than nothing is never asked for: that goes by `lower`.
        assert_eq!((unasked, asked), (before, before));
        let raised = thread::spawn(|| (raise(0), raise(-1))).join().expect("it ends");
        assert!([raised.0, -1].contains(&raised.1), "{raised:?}");
    }

    #[test]
    fn a_thread_is_held_up_that_wants_and_hardly_gets() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut progress = Progress { folder: folder.path().to_owned(), ran: Duration::ZERO, held_up: 0 };
        // (milliseconds it ran so far, its state, held up)
        let looks = [
            (1, 'R', false),
            (2, 'R', false),
            (3, 'D', false),
            (4, 'R', false),
            (70, 'R', false),
            (71, 'R', false),
            (72, 'R', false),
            (73, 'R', false),
            (74, 'R', true),
        ];
        for (ran_ms, state, expected) in looks {
            fs::write(folder.path().join("schedstat"), format!("{ran_ms}000000 5 6\n")).expect("written");
            fs::write(folder.path().join("stat"), format!("7 (a) R b) {state} 1 7\n")).expect("written");
            assert_eq!(progress.is_held_up(), expected, "{ran_ms} {state}");
        }
        assert_eq!(Progress::of_this_thread().is_some(), cfg!(target_os = "linux"));
    }
}
