//! What is asked of a process by signals: to stop, by SIGTERM, SIGINT or Ctrl-C, and to look at its files, by SIGHUP. It
//! does neither itself.

use std::io;

/// The signals that are listened to.
pub struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
    /// Whoever limits the size of files lets a write beyond it fail, as on a full disk, where somebody listens to this.
    #[cfg(unix)]
    _file_size: tokio::signal::unix::Signal,
}

/// SIGXFSZ has this number on Linux but for MIPS, on macOS and the BSDs.
#[cfg(unix)]
const SIGXFSZ: i32 = 25;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To stop, by the signal of this name.
    Stop(&'static str),
    /// To reload.
    Reload,
}

impl Signals {
    /// Listens from now on; the process no longer ends by itself.
    pub fn listen() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
                hangup: signal(SignalKind::hangup())?,
                _file_size: signal(SignalKind::from_raw(SIGXFSZ))?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }

    /// Waits for the next one.
    pub async fn received(&mut self) -> Asked {
        #[cfg(unix)]
        {
            tokio::select! {
                _ = self.terminate.recv() => Asked::Stop("SIGTERM"),
                _ = self.interrupt.recv() => Asked::Stop("SIGINT"),
                _ = self.hangup.recv() => Asked::Reload,
            }
        }
        #[cfg(not(unix))]
        {
            // Without a console there is nobody who could ask.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
            Asked::Stop("Ctrl-C")
        }
    }

    /// Waits for the next one that asks to stop.
    pub async fn stop(&mut self) {
        while self.received().await == Asked::Reload {}
    }
}
