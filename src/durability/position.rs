//! Places on a stream, to bytes and back: where inputs came from, and how far their verdicts are known to be published.
//! It knows no broker.

use super::encoding::{Taking, push_number, push_signed};

/// A place on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamPosition {
    /// The number that the stream gave to the message.
    pub sequence: u64,
    /// When the stream stored it, in Unix milliseconds: it tells whether a stream is still the one of before.
    pub stored_ms: i64,
}

/// How far a stream has been worked off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamMark {
    /// The last message that was taken, whatever came of it.
    pub taken: Option<StreamPosition>,
    /// The verdicts of the stream's transactions are known to be published up to the record of this number.
    pub confirmed_record: u64,
}

pub(super) fn push_position(out: &mut Vec<u8>, position: StreamPosition) {
    push_number(out, position.sequence);
    push_signed(out, position.stored_ms);
}

pub(super) fn take_position(taking: &mut Taking<'_>) -> Option<StreamPosition> {
    Some(StreamPosition { sequence: taking.number()?, stored_ms: taking.signed()? })
}

pub(super) fn push_mark(out: &mut Vec<u8>, mark: StreamMark) {
    push_number(out, mark.confirmed_record);
    out.push(u8::from(mark.taken.is_some()));
    if let Some(position) = mark.taken {
        push_position(out, position);
    }
}

pub(super) fn take_mark(taking: &mut Taking<'_>) -> Option<StreamMark> {
    let confirmed_record = taking.number()?;
    let taken = if taking.byte()? == 1 { Some(take_position(taking)?) } else { None };
    Some(StreamMark { taken, confirmed_record })
}
