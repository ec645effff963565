//! Writes values for people: money with its currency, durations with their unit, numbers with three digits.

use std::fmt::Write as _;

use crate::scoring::{
    expression::{
        node::{IntegerId, RealId, TextId},
        run::{Run, country_text, mcc_text},
    },
    money::{Currency, Money, push_decimal},
    time::{Span, Timestamp},
};

/// A value that may be shown, and how.
#[derive(Clone, Copy)]
pub(crate) enum Shown {
    Integer(IntegerId),
    /// Minor units of the base currency.
    Money(IntegerId),
    MoneyReal(RealId),
    Number(RealId),
    /// A number of which one decimal is enough.
    Times(RealId),
    Span(IntegerId),
    SpanReal(RealId),
    Time(IntegerId),
    Country(IntegerId),
    Currency(IntegerId),
    Mcc(IntegerId),
    Code(IntegerId, &'static [&'static str]),
    Truth(IntegerId),
    Text(TextId),
}

/// Appends a value; false, and nothing, if it is missing.
pub(crate) fn write_value(shown: Shown, base: Currency, run: &mut Run<'_>, out: &mut String) -> bool {
    write_if_there(shown, base, run, out).is_some()
}

/// The same with every digit that it has.
pub(super) fn write_exactly(shown: Shown, base: Currency, run: &mut Run<'_>, out: &mut String) -> bool {
    match shown {
        Shown::MoneyReal(id) => run.real(id).map(|minor| {
            let major = minor / 10_i64.pow(base.exponent()) as f64;
            push(out, format_args!("{major} {}", base.code()));
        }),
        Shown::Number(id) | Shown::Times(id) => run.real(id).map(|value| push(out, format_args!("{value}"))),
        Shown::Span(id) => run.integer(id).map(|ms| Span(ms).push_text(out)),
        Shown::SpanReal(id) => run.real(id).map(|ms| push(out, format_args!("{ms}ms"))),
        _ => write_if_there(shown, base, run, out),
    }
    .is_some()
}

fn write_if_there(shown: Shown, base: Currency, run: &mut Run<'_>, out: &mut String) -> Option<()> {
    match shown {
        Shown::Integer(id) => out.push_str(itoa::Buffer::new().format(run.integer(id)?)),
        Shown::Money(id) => Money { minor: run.integer(id)?, currency: base }.push_text(out),
        Shown::MoneyReal(id) => {
            let minor = libm::rint(run.real(id)?);
            // A double that large is shown as the largest amount there is.
            Money { minor: minor as i64, currency: base }.push_text(out);
        }
        Shown::Number(id) => number(run.real(id)?, out),
        Shown::Times(id) => {
            let value = run.real(id)?;
            if value.abs() < 0.1 || value.abs() >= 100.0 {
                number(value, out);
            } else {
                fixed(value, 1, out);
            }
        }
        Shown::Span(id) => span(run.integer(id)?, out),
        Shown::SpanReal(id) => span(libm::rint(run.real(id)?) as i64, out),
        Shown::Time(id) => {
            let unix_ms = run.integer(id)?;
            match Timestamp::from_unix_ms(unix_ms) {
                Some(time) => push(out, format_args!("{time}")),
                None => push(out, format_args!("{unix_ms}ms")),
            }
        }
        Shown::Country(id) => out.push_str(country_text(run.integer(id)?)?),
        Shown::Currency(id) => {
            out.push_str(Currency::from_index(usize::try_from(run.integer(id)?).ok()?)?.code());
        }
        Shown::Mcc(id) => out.push_str(mcc_text(run.integer(id)?)?),
        Shown::Code(id, codes) => out.push_str(codes.get(usize::try_from(run.integer(id)?).ok()?)?),
        Shown::Truth(id) => out.push_str(if run.integer(id)? == 1 { "true" } else { "false" }),
        Shown::Text(id) => out.push_str(run.text(id)?),
    }
    Some(())
}

/// A number with at least three digits that count.
fn number(value: f64, out: &mut String) {
    let size = value.abs();
    if size >= 1e15 || (size > 0.0 && size < 0.001) {
        push(out, format_args!("{value:.2e}"));
    } else if size >= 100.0 {
        fixed(value, 0, out);
    } else if size >= 10.0 {
        fixed(value, 1, out);
    } else if size >= 1.0 {
        fixed(value, 2, out);
    } else {
        fixed(value, 3, out);
    }
}

/// A number below 10^15 with some decimals, less the zeros at its end.
fn fixed(value: f64, decimals: u32, out: &mut String) {
    let mut unit = 10_u64.pow(decimals);
    let mut scaled = libm::rint(value.abs() * unit as f64) as u64;
    while unit > 1 && scaled.is_multiple_of(10) {
        (scaled, unit) = (scaled / 10, unit / 10);
    }
    if value < 0.0 && scaled > 0 {
        out.push('-');
    }
    push_decimal(scaled, unit, out);
}

/// A duration in its largest unit of which there are two, with what is left over in whole units.
fn span(ms: i64, out: &mut String) {
    let size = ms.unsigned_abs();
    let unit = match size {
        0..10_000 => 1,
        10_000..600_000 => 1_000,
        600_000..36_000_000 => 60_000,
        36_000_000..172_800_000 => 3_600_000,
        _ => 86_400_000,
    };
    let whole = (size / unit * unit).cast_signed();
    if whole == 0 {
        out.push_str("0s");
    } else {
        Span(if ms < 0 { -whole } else { whole }).push_text(out);
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = out.write_fmt(text);
}
