//! What came back, and when each part of it did.
//!
//! In: the pieces of a reply as they arrive. Out: its bytes, and for each of them a reading of the raw
//! clock by which it was here. It does not know what the bytes mean.

use crate::engine::time::Raw;
use crate::protocol::kind::Place;
use hyper::HeaderMap;

/// The reply to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Not later than the moment when the request left.
    pub sent: Raw,
    /// The body of the HTTP reply, or the WebSocket message.
    pub body: Vec<u8>,
    /// Whether the server may have sent it before it was asked, as a greeting: the first message of a WebSocket is nobody's reply
    /// for certain.
    pub may_greet: bool,
    /// The fields of the reply's head; none over WebSocket.
    fields: HeaderMap,
    /// When the head was here.
    head: Raw,
    /// How long the body was after each piece, and when that piece was here.
    arrivals: Vec<(usize, Raw)>,
}

impl Answer {
    /// An answer without a body so far, whose head was here at `head`.
    pub(super) fn new(sent: Raw, head: Raw, fields: HeaderMap) -> Self {
        Self {
            sent,
            body: Vec::new(),
            may_greet: false,
            fields,
            head,
            arrivals: Vec::new(),
        }
    }

    /// Adds a piece of the body that was here at `now`.
    pub(super) fn push(&mut self, piece: &[u8], now: Raw) {
        self.body.extend_from_slice(piece);
        self.arrivals.push((self.body.len(), now));
    }

    /// The fields of the reply's head, in no certain order, names in lower case; those that are there
    /// twice come twice.
    pub fn fields(&self) -> Vec<(&str, &[u8])> {
        let fields = self.fields.iter();
        fields
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect()
    }

    /// Not earlier than the moment when what stands at `place` was here.
    pub fn received(&self, place: Place) -> Raw {
        match place {
            // Of the read that completed the head: what stands in it counts only then.
            Place::Head => self.head,
            Place::Body { end } => self.received_through(end),
        }
    }

    /// Not earlier than the moment when the bytes of the body before `offset` were all here; for an
    /// offset behind its end, when all of it was.
    ///
    /// The layers above the socket may hold bytes back, so the stamp may be of a later read than the one
    /// that brought them. That is safe: θ ≥ departed_after − received, and a later `received` only
    /// loosens the bound. An earlier one, of the read that brought a session ticket, the head, or the
    /// first half of the digits, could be from before the server read its clock: it would tighten the
    /// bound beyond the truth.
    pub(super) fn received_through(&self, offset: usize) -> Raw {
        self.arrivals
            .iter()
            .find(|(length, _)| *length >= offset)
            .or(self.arrivals.last())
            .map_or(self.head, |&(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_has_arrived_with_the_piece_that_holds_it() {
        let at = Raw::from_nanos;
        let mut answer = Answer::new(at(0), at(1), HeaderMap::new());
        assert_eq!(answer.received_through(9), at(1));
        answer.push(b"12", at(2));
        answer.push(b"34", at(3));
        for (offset, stamp) in [(1, 2), (2, 2), (3, 3), (4, 3), (5, 3)] {
            assert_eq!(answer.received_through(offset), at(stamp), "{offset}");
        }
        assert_eq!(answer.body, b"1234");
        assert_eq!(answer.received(Place::Head), at(1));
        assert_eq!(answer.received(Place::Body { end: 3 }), at(3));
    }
}
