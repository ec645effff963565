//! Networks of addresses: which bits of an address are kept. It reads no text.

use std::net::IpAddr;

/// An address with all but its first bits cleared.
pub(super) fn cut(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or_default();
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or_default();
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

/// The network of an address as `subnet` has it, in conditions and in keys. A prefix up to 32 is meant for IPv4 and is
/// doubled for IPv6, where a subscriber has what is a single address there: a /64, of a site's /48 (RFC 6177).
pub(super) fn subnet(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V6(_) if prefix <= 32 => cut(address, prefix * 2),
        _ => cut(address, prefix),
    }
}
