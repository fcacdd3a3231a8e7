//! Changes of a source's route, as the delays of its exchanges tell them.
//!
//! A route that has become longer may be longer on one way only. Then every middle is off by half of what it is longer, and no single
//! source can tell. But the clock goes on as it did: what the middles jump by is the new route's, and is known as well as the time was at
//! that moment. In: excess delays. Out: the [`Stretch`]es between changes. What is known of a longer route is kept in a
//! [`Detour`] for when the exchanges by the shorter one are forgotten.

use super::time::Span;

/// Exchanges by one route.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stretch {
    /// The first of them.
    pub(super) from: usize,
    /// Their least delay, above the least of all (seconds).
    pub(super) longer: f64,
}

/// A route that is longer than the shortest one that was known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Detour {
    /// The least delay of the shortest one.
    pub(super) least: Span,
    /// The least delay above that (seconds).
    pub(super) longer: f64,
    pub(super) bias: Bias,
}

/// What the middles of a route's exchanges are off (seconds), and its variance.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Bias {
    pub(super) mean: f64,
    pub(super) variance: f64,
}

impl Bias {
    /// Of a route that is so much longer: on one way, on the other, or on both.
    pub(super) fn of_longer(longer: f64) -> Self {
        Self {
            mean: 0.0,
            variance: longer * longer / 12.0,
        }
    }

    /// Whether both may be the same.
    fn agrees(&self, other: &Self) -> bool {
        let apart = self.mean - other.mean;
        apart * apart < DIFFERENT.powi(2) * (self.variance + other.variance)
    }
}

impl Detour {
    /// Whether a route that is so much longer than the shortest one is this one.
    pub(super) fn is(&self, longer: f64) -> bool {
        (longer - self.longer).abs() < self.longer / 4.0
    }
}

/// The routes of a source's exchanges.
#[derive(Clone, Debug)]
pub(super) struct Routes {
    /// In the order of time.
    pub(super) stretches: Vec<Stretch>,
    /// The least delay of the shortest route, and how much more the least of these exchanges is.
    least: Span,
    beyond: f64,
    known: Option<Detour>,
    /// Whether what is known is better than what the exchanges tell of the last change.
    is_surer: bool,
}

/// What becomes of the bias when the route changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Change {
    /// It is this one.
    To(Bias),
    /// It is so much another one.
    By(Bias),
}

impl Routes {
    /// Those of exchanges with these delays above the `least`.
    pub(super) fn new(excesses: &[f64], least: Span, known: Option<Detour>) -> Self {
        let shortest = known.map_or(least, |detour| detour.least.min(least));
        let beyond = (least - shortest).as_secs_f64();
        let is_known = |longer| known.is_some_and(|known| known.is(beyond + longer));
        Self {
            stretches: stretches(excesses, &is_known),
            least: shortest,
            beyond,
            known,
            is_surer: false,
        }
    }

    /// How much longer the route of a stretch is than the shortest.
    fn longer(&self, stretch: usize) -> f64 {
        let longer = self.beyond + self.stretches[stretch].longer;
        // Of few exchanges by the shortest the least is a little more than that of many.
        let is_shortest = self.known.is_some_and(|known| longer < known.longer / 4.0);
        if is_shortest { 0.0 } else { longer }
    }

    /// The bias of the first stretch.
    pub(super) fn first(&self) -> Bias {
        let longer = self.longer(0);
        let known = self.known.filter(|known| known.is(longer));
        known.map_or(Bias::of_longer(longer), |known| known.bias)
    }

    /// What the bias of a later stretch is.
    pub(super) fn change(&self, stretch: usize) -> Change {
        let longer = self.longer(stretch);
        let is_last = stretch == self.stretches.len() - 1;
        match self.known {
            _ if longer == 0.0 => Change::To(Bias::default()),
            Some(known) if is_last && self.is_surer => Change::To(known.bias),
            _ => Change::By(Bias::of_longer(longer - self.longer(stretch - 1))),
        }
    }

    /// What is to be kept of the last stretch when the exchanges tell this of its bias.
    pub(super) fn detour(&self, bias: Bias) -> Option<Detour> {
        let last = self.stretches.len() - 1;
        let longer = self.longer(last);
        if last == 0 && self.known.is_some_and(|known| known.is(longer)) {
            // They tell it because it was known.
            return self.known;
        }
        if longer == 0.0 {
            // It may be back soon.
            let is_remembered = |known: &Detour| (0..last).any(|k| known.is(self.longer(k)));
            return self.known.filter(is_remembered);
        }
        let found = Detour {
            least: self.least,
            longer,
            bias,
        };
        let known = self.known.filter(|known| {
            known.is(longer) && known.bias.variance < bias.variance && known.bias.agrees(&bias)
        });
        Some(known.unwrap_or(found))
    }

    /// The same when what is known of the last stretch is surer than what the exchanges tell of it, if it is.
    pub(super) fn with_surer(&self, detour: Option<Detour>) -> Option<Self> {
        let is_surer = self.stretches.len() > 1 && detour.is_some() && detour == self.known;
        is_surer.then(|| Self {
            is_surer,
            ..self.clone()
        })
    }
}

/// No fewer exchanges tell of a longer route.
const FEWEST: usize = 8;

/// The logarithm of the odds that the quickest exchanges by one route all came first, below which there are two routes.
const CHANCE: f64 = -20.0;

/// What is known is not used when the exchanges are so many sigmas off it.
const DIFFERENT: f64 = 3.0;

/// Finds where the route has changed: to a longer one after the quickest exchange, or to a shorter one before it. A route that is known
/// to be so much longer needs no odds.
fn stretches(excesses: &[f64], is_known: &dyn Fn(f64) -> bool) -> Vec<Stretch> {
    let quickest = (0..excesses.len()).min_by(|a, b| excesses[*a].total_cmp(&excesses[*b]));
    let Some(quickest) = quickest else {
        return Vec::new();
    };
    let after = |first: usize| -> Vec<Stretch> {
        let found = longer(&excesses[first..], is_known).into_iter();
        found
            .map(|(from, longer)| Stretch {
                from: first + from,
                longer,
            })
            .collect()
    };
    // The quickest may be the last by its route, or the first: then those on its other side tell that this is another one.
    let end = after(quickest).first().map_or(excesses.len(), |it| it.from);
    let backwards: Vec<f64> = excesses[..end].iter().rev().copied().collect();
    let before = longer(&backwards, is_known);
    let ends: Vec<usize> = before.iter().map(|(place, _)| end - place).collect();
    let mut found = Vec::new();
    // From an end of one to the next, backwards in time.
    for (k, (_, longer)) in before.iter().enumerate().rev() {
        found.push(Stretch {
            from: ends.get(k + 1).copied().unwrap_or(0),
            longer: *longer,
        });
    }
    let from = ends.first().copied().unwrap_or(0);
    found.push(Stretch { from, longer: 0.0 });
    found.extend(after(from));
    found
}

/// Where the delays rise for good, and to what.
fn longer(excesses: &[f64], is_known: &dyn Fn(f64) -> bool) -> Vec<(usize, f64)> {
    // The least of each and all that follow rises at few places.
    let mut steps = Vec::new();
    let mut least = f64::INFINITY;
    for (place, excess) in excesses.iter().enumerate().rev() {
        if *excess < least {
            least = *excess;
            steps.push((place, least));
        }
    }
    steps.reverse();
    let odds = |place: usize, least: f64| {
        let before = &excesses[..place];
        let quicker = before.iter().filter(|excess| **excess < least).count();
        // That of all places just those before were drawn for the quicker ones.
        let drawn = |k| (before.len() - k) as f64 / (excesses.len() - k) as f64;
        (0..quicker).map(|k| drawn(k).ln()).sum::<f64>()
    };
    // The steps' places are those of the leasts; the stretch begins after the one before.
    let changes = steps
        .windows(2)
        .map(|step| (step[0].0 + 1, step[1].1))
        .filter(|(place, _)| excesses.len() - place >= FEWEST);
    let likeliest = changes
        .map(|(place, least)| (odds(place, least), place, least))
        .min_by(|a, b| a.0.total_cmp(&b.0));
    let Some((odds, place, least)) = likeliest else {
        return Vec::new();
    };
    let was = least_of(&excesses[..place]);
    if odds >= CHANCE && (is_known(was) || !is_known(least)) {
        return Vec::new();
    }
    let later = longer(&excesses[place..], is_known).into_iter();
    let later: Vec<(usize, f64)> = later.map(|(from, longer)| (place + from, longer)).collect();
    let end = later.first().map_or(excesses.len(), |(from, _)| *from);
    let place = place + first_sure(&excesses[place..end]);
    let least = least_of(&excesses[place..end]);
    let mut found = longer(&excesses[..place], is_known);
    found.push((place, least));
    found.extend(later);
    found
}

/// The first exchange of a stretch that is likely to be by its route, the longer one. Another may be a slow one by the shorter route
/// before; if it is taken for that, its window is wide, and true either way.
fn first_sure(excesses: &[f64]) -> usize {
    let first = first_usual(excesses);
    let rest = &excesses[first + 1..];
    // One that is quicker than all others, and just at the change, would make the route shorter than it is.
    if !rest.is_empty() && excesses[first] < least_of(rest) {
        return first + 1 + first_usual(rest);
    }
    first
}

/// The first that is no slower than half of them.
fn first_usual(excesses: &[f64]) -> usize {
    let mut sorted = excesses.to_vec();
    let (_, usual, _) = sorted.select_nth_unstable_by(excesses.len() / 2, f64::total_cmp);
    let usual = *usual;
    let first = excesses.iter().position(|excess| *excess <= usual);
    first.unwrap_or(0)
}

fn least_of(excesses: &[f64]) -> f64 {
    excesses.iter().copied().fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Delays above those of the shortest route in ms, the queues of 0 to 4 ms by and by, 1 ms where the route changes.
    fn delays(routes: &[(usize, f64)]) -> Vec<f64> {
        let of_route = |(count, ms): &(usize, f64)| -> Vec<f64> {
            let queue = |k: usize| match k {
                0 => 1.0,
                _ if k == count - 1 => 1.0,
                _ => (k * 7919 % 400) as f64 / 100.0,
            };
            (0..*count).map(|k| (ms + queue(k)) / 1e3).collect()
        };
        routes.iter().flat_map(of_route).collect()
    }

    fn found(routes: &[(usize, f64)]) -> Vec<(usize, i64)> {
        let stretches = stretches(&delays(routes), &|_| false);
        let in_ms = stretches
            .iter()
            .map(|stretch| (stretch.from, (stretch.longer * 1e3).round() as i64));
        in_ms.collect()
    }

    #[test]
    fn one_route_is_one_stretch() {
        assert_eq!(found(&[(200, 0.0)]), [(0, 0)]);
        assert_eq!(found(&[(3, 0.0)]), [(0, 0)]);
        assert_eq!(stretches(&[], &|_| false), []);
    }

    #[test]
    fn a_stretch_begins_where_the_route_becomes_longer_or_shorter() {
        assert_eq!(found(&[(100, 0.0), (50, 30.0)]), [(0, 0), (100, 30)]);
        assert_eq!(found(&[(100, 30.0), (50, 0.0)]), [(0, 30), (100, 0)]);
        assert_eq!(
            found(&[(60, 20.0), (60, 0.0), (60, 30.0), (60, 50.0)]),
            [(0, 20), (60, 0), (120, 30), (180, 50)]
        );
    }

    #[test]
    fn all_exchanges_by_the_shortest_route_tell_where_it_ends_however_late_the_quickest_came() {
        let mut delays: Vec<f64> = delays(&[(18, 1.0), (150, 30.0)]);
        delays[17] = 0.0;
        let from = |delays: &[f64]| -> Vec<usize> {
            let stretches = stretches(delays, &|_| false);
            stretches.iter().map(|stretch| stretch.from).collect()
        };
        assert_eq!(from(&delays), [0, 18]);
        delays.reverse();
        assert_eq!(from(&delays), [0, 150]);
    }

    #[test]
    fn a_slow_exchange_between_two_routes_is_of_the_shorter_one() {
        // By the longer route its window would be narrow and false, or all others' too wide.
        for slow in [33.5e-3, 27e-3] {
            let mut delays = delays(&[(100, 0.0), (50, 30.0)]);
            delays[99] = slow;
            let second = |delays: &[f64]| stretches(delays, &|_| false)[1].from;
            assert_eq!(second(&delays), 100);
            delays.reverse();
            assert_eq!(second(&delays), 50);
        }
    }

    #[test]
    fn a_few_slow_exchanges_are_no_other_route() {
        assert_eq!(found(&[(100, 0.0), (7, 30.0)]), [(0, 0)]);
    }

    #[test]
    fn a_longer_route_does_not_begin_with_one_that_is_quicker_than_all_others_by_it() {
        let first = |ms: [f64; 5]| first_sure(&ms.map(|ms| ms / 1e3));
        assert_eq!(first([27.0, 36.0, 31.0, 30.0, 34.0]), 2);
        assert_eq!(first([31.0, 36.0, 32.0, 30.0, 34.0]), 0);
    }

    const LEAST: Span = Span::from_millis(10);

    const KNOWN: Detour = Detour {
        least: LEAST,
        longer: 30e-3,
        bias: Bias {
            mean: 12e-3,
            variance: 1e-10,
        },
    };

    /// Of exchanges by routes that are so much longer (ms) than the shortest of them, which is as much longer (ms) than `LEAST`.
    fn routes(longer: &[f64], beyond: i64, known: Option<Detour>) -> Routes {
        let routes: Vec<(usize, f64)> = longer.iter().map(|ms| (60, *ms)).collect();
        let mut delays = delays(&routes);
        let least = least_of(&delays);
        delays.iter_mut().for_each(|delay| *delay -= least);
        let routes = Routes::new(&delays, LEAST + Span::from_millis(beyond), known);
        assert_eq!(routes.stretches.len(), longer.len());
        routes
    }

    fn of_longer(ms: f64) -> Bias {
        Bias {
            mean: 0.0,
            variance: (ms / 1e3).powi(2) / 12.0,
        }
    }

    fn is_alike(one: Bias, other: Bias) -> bool {
        let off = (one.variance - other.variance).abs();
        one.mean == other.mean && off <= 1e-9 * other.variance
    }

    #[test]
    fn what_a_longer_route_is_off_is_not_known_and_what_the_shortest_is_off_is_nothing() {
        let longer = routes(&[0.0, 30.0, 50.0], 0, None);
        assert_eq!(longer.first(), Bias::default());
        for (stretch, by) in [(1, 30.0), (2, 20.0)] {
            let Change::By(bias) = longer.change(stretch) else {
                panic!("{:?}", longer.change(stretch));
            };
            assert!(is_alike(bias, of_longer(by)), "{bias:?}");
        }
        let shorter = routes(&[30.0, 0.0], 0, None);
        assert!(is_alike(shorter.first(), of_longer(30.0)));
        assert_eq!(shorter.change(1), Change::To(Bias::default()));
    }

    #[test]
    fn what_was_found_out_of_a_longer_route_is_kept_and_holds_when_only_that_is_remembered() {
        let bias = Bias {
            mean: 12e-3,
            variance: 1e-8,
        };
        let found = routes(&[0.0, 30.0], 0, None).detour(bias);
        let found = found.expect("it is longer");
        assert_eq!((found.least, found.bias), (LEAST, bias));
        assert!((found.longer - 30e-3).abs() < 1e-9);

        let by_it_alone = routes(&[0.0], 30, Some(KNOWN));
        assert_eq!(by_it_alone.first(), KNOWN.bias);
        assert_eq!(by_it_alone.detour(bias), Some(KNOWN));
        // That it is followed for long makes it no surer.
        let echo = Bias {
            variance: 1e-11,
            ..KNOWN.bias
        };
        assert_eq!(by_it_alone.detour(echo), Some(KNOWN));
        // One that is longer by another length is another one.
        for beyond in [20, 40] {
            let another = routes(&[0.0], beyond, Some(KNOWN));
            assert!(is_alike(another.first(), of_longer(beyond as f64)));
            let detour = another.detour(bias).expect("it is longer");
            assert_eq!((detour.least, detour.bias), (LEAST, bias));
        }
        // What is hardly longer is the shortest one.
        let shortest = routes(&[0.0], 2, Some(KNOWN));
        assert_eq!(shortest.first(), Bias::default());
        assert_eq!(shortest.detour(bias), None);
        // And so is one that is shorter than all that were known.
        let shorter = routes(&[0.0, 45.0], -5, Some(KNOWN));
        assert_eq!(shorter.first(), Bias::default());
        let detour = shorter.detour(bias).expect("it is longer");
        assert_eq!(detour.least, LEAST - Span::from_millis(5));
    }

    #[test]
    fn a_longer_route_is_kept_in_mind_while_exchanges_by_it_are_remembered() {
        let back = routes(&[30.0, 0.0], 0, Some(KNOWN));
        assert_eq!(back.detour(Bias::default()), Some(KNOWN));
        let from_another = routes(&[60.0, 0.0], 0, Some(KNOWN));
        assert_eq!(from_another.detour(Bias::default()), None);
        let by_both = routes(&[60.0, 30.0, 0.0], 0, Some(KNOWN));
        assert_eq!(by_both.detour(Bias::default()), Some(KNOWN));
    }

    #[test]
    fn what_is_known_of_a_route_is_used_if_it_is_surer_and_agrees_with_what_the_exchanges_tell() {
        let told = |mean, variance| Bias { mean, variance };
        let kept = |known, bias| {
            let routes = routes(&[0.0, 30.0], 0, Some(known));
            routes.detour(bias).expect("it is longer") == known
        };
        assert!(kept(KNOWN, told(12e-3, 1e-8)));
        // 3 sigmas are 0.3 ms.
        assert!(kept(KNOWN, told(12.29e-3, 1e-8)) && kept(KNOWN, told(11.71e-3, 1e-8)));
        assert!(!kept(KNOWN, told(12.31e-3, 1e-8)) && !kept(KNOWN, told(11.69e-3, 1e-8)));
        assert!(!kept(KNOWN, told(12e-3, 1e-11)), "they are surer");
        let longer = Detour {
            longer: 50e-3,
            ..KNOWN
        };
        assert!(!kept(longer, told(12e-3, 1e-8)), "that was another one");
    }

    #[test]
    fn only_the_last_change_is_to_what_is_surer() {
        let longest = Detour {
            longer: 50e-3,
            ..KNOWN
        };
        let plain = routes(&[0.0, 30.0, 50.0], 0, Some(longest));
        assert!(matches!(plain.change(2), Change::By(_)));
        let surer = plain.with_surer(Some(longest)).expect("it is known");
        assert!(matches!(surer.change(1), Change::By(_)));
        assert_eq!(surer.change(2), Change::To(longest.bias));
        assert!(plain.with_surer(Some(KNOWN)).is_none(), "just found");
        assert!(plain.with_surer(None).is_none());
        assert!(routes(&[0.0, 30.0], 0, None).with_surer(None).is_none());
        let alone = routes(&[0.0], 50, Some(longest));
        assert!(alone.with_surer(Some(longest)).is_none());
    }
}
