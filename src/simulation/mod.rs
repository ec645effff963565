//! A labelled stream of card transactions from a seed: honest habits with six patterns of fraud among them. It claims
//! nothing about real card traffic, and it reads no file and no clock.
//!
//! A world (`world`, from `places` and `shops`) makes cards plan errands (`habits`), errands become rows (`purchase`),
//! incidents (`incidents`, `patterns`) put frauds between them, and `stream` merges all by event time. Whatever is
//! known about a card or a merchant is computed from the seed when it is needed, so the stream's length costs no memory.

mod draw;
mod places;
mod shops;
mod world;
mod row;
mod habits;
mod purchase;
mod patterns;
mod incidents;
mod stream;
mod summary;

pub use places::RATES;
pub use row::{COLUMNS, Pattern, SimulatedRow};
pub use stream::{Simulation, SimulationError, SimulationSettings};
pub use summary::Summary;
pub use world::{CARDS_MAX, PROCESSORS};
