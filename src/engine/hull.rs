//! Which of a queue of limits can ever matter to a line: those on the hull of all.
//!
//! A limit is widened by the same for every second of its age, so the hull keeps its shape while its points grow older, and it
//! pays to keep it from one reading to the next. A point is added at the new end and one leaves at the old end, at a cost that
//! does not grow with the length of the queue when it is spread over them all. In: the points, as the caller has them. Out: the
//! places of those on the hull. What the lines are is the [`bound`](super::bound)'s business.
//!
//! The queue has two parts. A hull to which points are only added is a stack: that is the newer part. A hull from which only the
//! oldest leaves was built from its new end backwards, each point remembering which one followed it then: that is the older part.
//! When the older part is used up, the newer one takes its place.

use std::collections::VecDeque;

/// A limit from above (one from below is mirrored), on a scale on which it does not age.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    /// Nanoseconds; those of a hull are no more than some hours apart, in order.
    pub(super) time: i64,
    /// Millionths of a nanosecond (magnitude < 2^84).
    pub(super) height: i128,
}

/// The lower hull of a queue of points.
#[derive(Debug, Default)]
pub(super) struct Hull {
    /// For each point of the older part, how many places on the next of the hull is that begins with it; 0 at its end.
    older: VecDeque<usize>,
    /// What is on the hull of the newer part, by the count of points that ever came before.
    newer: Vec<usize>,
    /// How many points have left.
    gone: usize,
}

impl Hull {
    /// The point at `place` has come, behind all others.
    pub(super) fn push(&mut self, place: usize, point: impl Fn(usize) -> Point) {
        let newest = point(place);
        while let [.., a, b] = self.newer[..]
            && is_above(point(b - self.gone), point(a - self.gone), newest)
        {
            self.newer.pop();
        }
        self.newer.push(place + self.gone);
    }

    /// The first of `count` points leaves; the others move up by one place.
    pub(super) fn pop(&mut self, count: usize, point: impl Fn(usize) -> Point) {
        if self.older.is_empty() {
            self.turn(count, point);
        }
        self.older.pop_front();
        self.gone += 1;
    }

    /// Makes all the older part.
    fn turn(&mut self, count: usize, point: impl Fn(usize) -> Point) {
        self.newer.clear();
        let mut hull: Vec<usize> = Vec::new();
        for place in (0..count).rev() {
            while let [.., c, b] = hull[..]
                && is_above(point(b), point(place), point(c))
            {
                hull.pop();
            }
            self.older
                .push_front(hull.last().map_or(0, |next| next - place));
            hull.push(place);
        }
    }

    /// The places of points below which no line can pass all others: the hull's of both parts.
    pub(super) fn places(&self) -> impl Iterator<Item = usize> {
        let first = (!self.older.is_empty()).then_some(0);
        let older = std::iter::successors(first, |&place| {
            let step = self.older[place];
            (step > 0).then_some(place + step)
        });
        older.chain(self.newer.iter().map(|count| count - self.gone))
    }
}

/// Whether `b` is not below the line from `a` to `c`, which are on either side of it.
fn is_above(b: Point, a: Point, c: Point) -> bool {
    let run = |to: Point| i128::from(to.time) - i128::from(a.time);
    if run(c) == 0 {
        return b.height >= a.height.min(c.height);
    }
    (b.height - a.height) * run(c) >= (c.height - a.height) * run(b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_lowest_along_any_slope_is_on_the_hull_whatever_came_and_left(
            heights in prop::collection::vec((0i64..3, -40i128..40, 0usize..3), 1..120),
        ) {
            let mut points: VecDeque<Point> = VecDeque::new();
            let (mut hull, mut time) = (Hull::default(), 0);
            for (wait, height, leave) in heights {
                time += wait;
                points.push_back(Point { time, height });
                hull.push(points.len() - 1, |place| points[place]);
                for _ in 0..leave.min(points.len()).min(if wait == 0 { 2 } else { 1 }) {
                    hull.pop(points.len(), |place| points[place]);
                    points.pop_front();
                }
                for slope in -50..=50 {
                    let seen = |point: &Point| point.height - slope * i128::from(point.time);
                    let lowest = points.iter().map(seen).min();
                    let on_hull = hull.places().map(|place| seen(&points[place])).min();
                    prop_assert_eq!(on_hull, lowest);
                }
            }
        }

        #[test]
        fn most_points_of_a_long_queue_are_not_on_the_hull(seed: u32) {
            let noise = |k: usize| i128::from((k as u32).wrapping_mul(2_654_435_761) ^ seed) >> 8;
            let point = |k: usize| Point { time: k as i64 * 1_000, height: noise(k) };
            let mut hull = Hull::default();
            for k in 0..1_000 {
                hull.push(k, point);
            }
            prop_assert!(hull.places().count() < 100);
        }
    }
}
