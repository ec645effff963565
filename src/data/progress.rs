//! A progress bar on a terminal's standard error, and nothing anywhere else.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::source::Position;

/// How many rows pass between two looks at the bar.
const ROWS_PER_LOOK: u64 = 4_096;

/// Shows how far long work has come.
pub struct Progress {
    bar: ProgressBar,
    position: Option<Position>,
    rows: u64,
}

impl Progress {
    /// For reading a file: its bytes.
    pub fn of_reading(position: Position) -> Self {
        let bar = position.size_bytes.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let template = if position.size_bytes.is_some() {
            "{wide_bar} {bytes}/{total_bytes} {msg} {eta} left"
        } else {
            "{spinner} {bytes} {msg}"
        };
        Self { bar: drawn(bar, template), position: Some(position), rows: 0 }
    }

    /// For work of a known number of steps.
    pub fn of_steps(steps: u64, unit: &'static str) -> Self {
        let bar = drawn(ProgressBar::new(steps), "{wide_bar} {pos}/{len} {prefix} {msg} {eta} left");
        bar.set_prefix(unit);
        Self { bar, position: None, rows: 0 }
    }

    /// One more row has passed.
    pub fn row(&mut self) {
        self.rows += 1;
        if self.rows.is_multiple_of(ROWS_PER_LOOK) && !self.bar.is_hidden() {
            if let Some(position) = &self.position {
                self.bar.set_position(position.read_bytes());
            }
            self.bar.set_message(format!("{} rows", self.rows));
        }
    }

    /// So many steps are done.
    pub fn step(&self, done: u64) {
        self.bar.set_position(done);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

fn drawn(bar: ProgressBar, template: &str) -> ProgressBar {
    let target =
        if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    bar.set_draw_target(target);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
