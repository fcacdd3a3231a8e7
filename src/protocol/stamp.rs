//! From a stamp with a last digit to bounds of the server's clock.
//!
//! In: what the server wrote, and how it is known to cut its digits. Out: what its clock showed at the
//! least when the reply left and at the most when the request arrived. It knows nothing of our clock.

use crate::engine::time::Utc;
use crate::protocol::decimal::DecimalSeconds;

/// What a server does with the digits behind the last one that it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Rounding {
    /// Cuts them off: the clock showed the stamp or up to one last digit more. Ours does.
    Truncates,
    /// Not known: both others must hold.
    #[default]
    Unknown,
    /// Rounds to the nearest: the clock was up to half a last digit away. go-webntp does.
    Rounds,
}

/// Bounds of the server's clock, by its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerBounds {
    /// The server's clock showed at least this when the reply left.
    pub departed_after: Utc,
    /// The server's clock showed at most this when the request arrived.
    pub arrived_before: Utc,
}

/// The bounds that one stamp gives, which was taken between the arrival of the request and the departure
/// of the reply.
pub fn bounds(stamp: DecimalSeconds, rounding: Rounding) -> ServerBounds {
    let DecimalSeconds {
        instant,
        resolution,
    } = stamp;
    // `half` rounds up: a bound may be too wide by a fraction of a nanosecond, never too narrow.
    let half = resolution.half();
    let (departed_after, arrived_before) = match rounding {
        Rounding::Truncates => (instant, instant + resolution),
        Rounding::Unknown => (instant - half, instant + resolution),
        Rounding::Rounds => (instant - half, instant + half),
    };
    ServerBounds {
        departed_after,
        arrived_before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::Span;
    use crate::protocol::decimal::Fixed;
    use proptest::prelude::*;

    #[test]
    fn the_last_digit_widens_as_the_server_is_known_to_cut_it() {
        let stamp = DecimalSeconds {
            instant: Utc::from_secs(7),
            resolution: Span::from_millis(10),
        };
        let at = |millis| Utc::from_secs(7) + Span::from_millis(millis);
        for (rounding, low, high) in [
            (Rounding::Truncates, 0, 10),
            (Rounding::Unknown, -5, 10),
            (Rounding::Rounds, -5, 5),
        ] {
            let expected = ServerBounds {
                departed_after: at(low),
                arrived_before: at(high),
            };
            assert_eq!(bounds(stamp, rounding), expected, "{rounding:?}");
        }
        assert_eq!(Rounding::default(), Rounding::Unknown);
    }

    proptest! {
        #[test]
        fn the_clock_is_never_outside(nanos in 1_000_000_000i64..1 << 61, digits in 0usize..=9, rounds: bool) {
            let clock = Utc::from_nanos(nanos);
            let mut written = clock;
            if rounds {
                let unit = 10i64.pow(9 - digits as u32);
                written = clock + Span::from_nanos(unit / 2);
            }
            let text = Fixed { instant: written, digits }.to_string();
            let Ok(stamp) = DecimalSeconds::parse(text.as_bytes()) else {
                return Ok(());
            };
            let known = if rounds { Rounding::Rounds } else { Rounding::Truncates };
            for rounding in [known, Rounding::Unknown] {
                let bounds = bounds(stamp, rounding);
                prop_assert!(bounds.departed_after <= clock && clock <= bounds.arrived_before);
            }
        }
    }
}
