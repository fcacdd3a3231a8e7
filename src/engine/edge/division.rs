//! Where a search cuts what is left of the edge.
//!
//! In: how wide that is, how narrow it shall become, what requests may still be sent. Out: where in it the next one should arrive.
//! It knows nothing of clocks, and nothing of what was answered before.
//!
//! "Already" leaves what is before the request, and ends what can be learned in this second; after "not yet" another one may follow in
//! what is behind. So one request makes two parts of a second's work, and two make three. How many parts can be told apart in so many
//! seconds with so many requests follows; the fewest seconds that do are taken, and so is all of what they leave over: as room
//! for requests that arrive too soon or too late, for each of them the same.

use super::super::time::Span;

/// Most requests that a search should need.
pub(super) const REQUESTS: usize = 14;

/// More seconds than any search takes.
const SECONDS: usize = 12;

/// What is left is meant to become narrower by this than it must be: a program is woken a tenth of a millisecond too late, as a rule.
const LATE: Span = Span::from_micros(150);

/// No more than so many tenths of the room are for requests that arrive too soon: by how much they can is known better.
const TENTHS_FOR_SOON: i64 = 4;

/// Into how many parts what is left can be divided, by the requests that may still be sent.
type Parts = [i64; REQUESTS + 1];

/// What there is to divide, and with what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Division {
    /// What is left (≥ 0).
    pub(super) width: Span,
    /// As narrow as it shall become (> 0).
    pub(super) narrow: Span,
    /// From one request to the next that knows its answer, at the least.
    pub(super) apart: Span,
    /// How much too soon a request may arrive.
    pub(super) soon: Span,
    /// So many more should do (no more than [`REQUESTS`]).
    pub(super) requests: usize,
}

impl Division {
    /// Where the next request should arrive, from the beginning of what is left, if another one may arrive from `second` on.
    pub(super) fn place(&self, second: Span) -> Span {
        if self.width <= self.narrow {
            return self.width.half();
        }
        let requests = self.requests.clamp(1, REQUESTS);
        let may_follow = second < self.width;
        let mut before = [1; REQUESTS + 1];
        for _ in 1..SECONDS {
            let all = self.divided(&before, requests, may_follow);
            if self.width <= self.narrow + self.roomy().times(all - 1) {
                break;
            }
            before = self.after_one_more(&before);
        }
        let (first, all) = (
            before[requests - 1],
            self.divided(&before, requests, may_follow),
        );
        let place = self.cut(first, all);
        if all > 2 * first {
            place.max(second.half().min(self.width.half()))
        } else {
            place
        }
    }

    /// Where the first of so many parts ends if it is to be divided into `first` of them, and what is behind it into the rest.
    fn cut(&self, first: i64, all: i64) -> Span {
        let step = Span::from_nanos((self.width - self.narrow).as_nanos() / (all - 1));
        let room = self.narrow - step;
        if room <= Span::ZERO {
            return Span::from_nanos(self.width.as_nanos() / all).times(first);
        }
        let for_soon = Span::from_nanos(room.as_nanos() / 10).times(TENTHS_FOR_SOON);
        step.times(first) + self.soon.min(for_soon)
    }

    /// How many parts can be told apart in a second and those after it, in which each part can be divided as `before` says.
    fn divided(&self, before: &Parts, requests: usize, may_follow: bool) -> i64 {
        let first = before[requests - 1];
        let rest = match requests.checked_sub(2) {
            // What is between the two is no narrower than they are apart.
            Some(fewer) if may_follow && self.roomy().times(before[fewer]) >= self.apart => {
                2 * before[fewer]
            }
            _ => first,
        };
        first + rest.max(first)
    }

    fn after_one_more(&self, before: &Parts) -> Parts {
        std::array::from_fn(|requests| match requests {
            0 => 1,
            requests => self.divided(before, requests, true),
        })
    }

    /// How wide a part may be.
    fn roomy(&self) -> Span {
        self.narrow - LATE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NARROW: Span = Span::from_micros(950);

    fn near_by(width: Span, requests: usize) -> Division {
        Division {
            width,
            narrow: NARROW,
            apart: Span::from_micros(200),
            soon: Span::ZERO,
            requests,
        }
    }

    /// Seconds and requests that the unluckiest answers cost until what is left is narrow, if each second takes two requests that
    /// arrive where they should.
    fn worst(division: Division) -> (usize, usize) {
        let none = Span::from_nanos(i64::MIN);
        let of = |width, requests| {
            let fewer = division.requests.saturating_sub(requests);
            worst(Division {
                width,
                requests: fewer,
                ..division
            })
        };
        if division.width <= division.narrow {
            return (0, 0);
        }
        let first = division.place(none);
        let rest = Division {
            width: division.width - first,
            requests: division.requests.saturating_sub(1),
            ..division
        };
        let already = of(first, 1);
        let not_yet = if rest.width <= rest.narrow || rest.requests == 0 {
            (0, 0)
        } else if division.apart >= rest.width {
            of(rest.width, 1)
        } else {
            let second = rest.place(division.width).max(division.apart);
            let (sooner, later) = (of(second, 2), of(rest.width - second, 2));
            (sooner.0.max(later.0), 1 + sooner.1.max(later.1))
        };
        (1 + already.0.max(not_yet.0), 1 + already.1.max(not_yet.1))
    }

    #[test]
    fn two_requests_in_a_second_divide_what_is_left_by_three() {
        for (millis, seconds) in [(1, 1), (2, 1), (3, 2), (7, 2), (20, 3), (60, 4), (180, 5)] {
            let (took, requests) = worst(near_by(Span::from_millis(millis), REQUESTS));
            assert_eq!(took, seconds, "{millis} ms");
            assert!(requests <= 2 * seconds, "{millis} ms: {requests}");
        }
    }

    #[test]
    fn fewer_requests_are_stretched_over_more_seconds() {
        let width = Span::from_millis(60);
        for requests in 7..=REQUESTS {
            let (took, asked) = worst(near_by(width, requests));
            assert!(asked <= requests && took <= 7, "{asked} of {requests}");
        }
        assert_eq!(worst(near_by(width, 7)), (5, 7));
        assert_eq!(worst(near_by(width, 8)), (4, 8));
    }

    #[test]
    fn what_is_left_over_is_room_for_every_request_alike() {
        // Two parts would do up to 1.75 ms; there is room for half a millisecond.
        let far = Division {
            apart: Span::from_millis(1),
            ..near_by(Span::from_micros(1_400), 5)
        };
        let none = Span::from_nanos(i64::MIN);
        assert_eq!(far.place(none), Span::from_micros(450));
        let soon = Division {
            soon: Span::from_micros(100),
            ..far
        };
        assert_eq!(soon.place(none), Span::from_micros(550));
        let too_soon = Division {
            soon: Span::from_millis(5),
            ..far
        };
        assert_eq!(too_soon.place(none), Span::from_micros(650));
    }

    #[test]
    fn a_second_request_that_may_not_come_yet_has_the_first_wait_for_it() {
        let division = near_by(Span::from_millis(60), REQUESTS);
        let near = |place: Span, millis| (place - Span::from_millis(millis)).abs() < NARROW;
        assert!(near(division.place(Span::ZERO), 20));
        assert!(near(division.place(Span::from_millis(40)), 20));
        assert!(near(division.place(Span::from_millis(56)), 28));
        // None may: it is the only one in this second.
        assert!(near(division.place(Span::from_millis(60)), 30));
    }

    proptest! {
        #[test]
        fn a_request_arrives_within_what_is_left(
            (width, narrow, apart, soon) in (0i64.., 1i64.., any::<i64>(), any::<i64>()),
            requests: usize,
            second: i64,
        ) {
            let division = Division {
                width: Span::from_nanos(width),
                narrow: Span::from_nanos(narrow),
                apart: Span::from_nanos(apart),
                soon: Span::from_nanos(soon).max(Span::ZERO),
                requests,
            };
            let place = division.place(Span::from_nanos(second));
            prop_assert!(Span::ZERO <= place && place <= division.width);
        }
    }
}
