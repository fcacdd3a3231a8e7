//! A strict reader for one small JSON object (RFC 8259).
//!
//! In: a body of at most [`BODY_LIMIT`] bytes. Out: its members one by one, in place; a number as it was
//! written, with the place where it ends, because the stamp of the read that brought a server's last
//! digit bounds the exchange. It does not convert numbers (a float would spoil them), resolve escapes,
//! or look into nested values: those are checked and skipped. A name written with escapes is therefore
//! a stranger to whoever looks for the plain one.

use crate::protocol::BODY_LIMIT;
use crate::protocol::refusal::{Refusal, is_html};

/// How deep values may be nested below the object itself.
const DEPTH_LIMIT: usize = 8;

/// One member of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// The name between its quotes, escapes not resolved.
    pub name: &'a [u8],
    /// What it stands for.
    pub value: Value<'a>,
}

/// The value of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number.
    Number(Number<'a>),
    /// A string between its quotes, escapes not resolved.
    Text(&'a [u8]),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// An object or array, well-formed, skipped.
    Nested,
}

/// A number as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number<'a> {
    /// Sign, digits, point, exponent.
    pub text: &'a [u8],
    /// Offset in the body just behind the last digit.
    pub end: usize,
}

/// The members of an object in the order of the text; ends with the first refusal.
#[derive(Debug)]
pub struct Members<'a> {
    reader: Reader<'a>,
    place: Place,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Opened,
    Between,
    Done,
}

impl<'a> Members<'a> {
    /// Begins to read `body`.
    pub fn of(body: &'a [u8]) -> Result<Self, Refusal> {
        if body.len() > BODY_LIMIT {
            return Err(Refusal::oversized(body));
        }
        if body.trim_ascii().is_empty() {
            return Err(Refusal::EmptyBody);
        }
        if is_html(body) {
            return Err(Refusal::Html);
        }
        if let Err(error) = std::str::from_utf8(body) {
            let at = error.valid_up_to();
            return Err(Refusal::Malformed { at });
        }
        let mut reader = Reader { text: body, at: 0 };
        reader.blanks();
        reader.expect(b'{')?;
        Ok(Self {
            reader,
            place: Place::Opened,
        })
    }

    fn advance(&mut self) -> Result<Option<Member<'a>>, Refusal> {
        if self.place == Place::Done {
            return Ok(None);
        }
        let first = self.place == Place::Opened;
        self.place = Place::Between;
        if !self.reader.another(b'}', first)? {
            self.place = Place::Done;
            return match self.reader.peek() {
                Some(_) => Err(Refusal::Trailing { at: self.reader.at }),
                None => Ok(None),
            };
        }
        let name = self.reader.name()?;
        let value = self.reader.value(DEPTH_LIMIT)?;
        Ok(Some(Member { name, value }))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<Member<'a>, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.advance().transpose();
        if matches!(item, Some(Err(_))) {
            self.place = Place::Done;
            self.reader.at = self.reader.text.len();
        }
        item
    }
}

#[derive(Debug)]
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn malformed<T>(&self) -> Result<T, Refusal> {
        Err(Refusal::Malformed { at: self.at })
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), Refusal> {
        if self.skip(byte) {
            return Ok(());
        }
        self.malformed()
    }

    /// Whether one more item follows in a list that `close` ends; leaves the reader at the item, or
    /// behind the list and the blanks after it.
    fn another(&mut self, close: u8, first: bool) -> Result<bool, Refusal> {
        self.blanks();
        if self.skip(close) {
            self.blanks();
            return Ok(false);
        }
        if !first {
            self.expect(b',')?;
            self.blanks();
        }
        Ok(true)
    }

    /// A member's name, the colon and the blanks after it.
    fn name(&mut self) -> Result<&'a [u8], Refusal> {
        let name = self.string()?;
        self.blanks();
        self.expect(b':')?;
        self.blanks();
        Ok(name)
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, Refusal> {
        match self.peek() {
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(b't') => self.literal(b"true", Value::Bool(true)),
            Some(b'f') => self.literal(b"false", Value::Bool(false)),
            Some(b'n') => self.literal(b"null", Value::Null),
            Some(b'{' | b'[') => self.nested(depth),
            _ => self.malformed(),
        }
    }

    fn nested(&mut self, depth: usize) -> Result<Value<'a>, Refusal> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(Refusal::TooDeep);
        };
        let object = self.skip(b'{');
        if !object {
            self.expect(b'[')?;
        }
        let close = if object { b'}' } else { b']' };
        let mut first = true;
        while self.another(close, first)? {
            if object {
                self.name()?;
            }
            self.value(depth)?;
            first = false;
        }
        Ok(Value::Nested)
    }

    fn literal(&mut self, word: &[u8], value: Value<'a>) -> Result<Value<'a>, Refusal> {
        if !self.text[self.at..].starts_with(word) {
            return self.malformed();
        }
        self.at += word.len();
        Ok(value)
    }

    fn string(&mut self) -> Result<&'a [u8], Refusal> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(0x20..) => self.at += 1,
                _ => return self.malformed(),
            }
        }
        let text = &self.text[start..self.at];
        self.at += 1;
        Ok(text)
    }

    fn escape(&mut self) -> Result<(), Refusal> {
        self.expect(b'\\')?;
        let digits = match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 0,
            Some(b'u') => 4,
            _ => return self.malformed(),
        };
        self.at += 1;
        for _ in 0..digits {
            if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                return self.malformed();
            }
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Number<'a>, Refusal> {
        let start = self.at;
        self.skip(b'-');
        if !self.skip(b'0') {
            self.digits()?;
        }
        if self.skip(b'.') {
            self.digits()?;
        }
        if self.skip(b'e') || self.skip(b'E') {
            let _ = self.skip(b'+') || self.skip(b'-');
            self.digits()?;
        }
        Ok(Number {
            text: &self.text[start..self.at],
            end: self.at,
        })
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Refusal> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start {
            return self.malformed();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(body: &[u8]) -> Result<Vec<Member<'_>>, Refusal> {
        Members::of(body)?.collect()
    }

    fn refused(body: &str) -> Refusal {
        read(body.as_bytes()).expect_err(body)
    }

    #[test]
    fn members_come_in_order_and_numbers_with_their_end() {
        let body =
            br#" { "a" : 1.50 ,"b":"x\"\u00e9","c":true,"d":null,"e":{"a":[1,{}]},"f":-0e+1} "#;
        let number = |text, end| Value::Number(Number { text, end });
        let expected: Vec<(&[u8], Value<'_>)> = vec![
            (b"a", number(b"1.50", 13)),
            (b"b", Value::Text(br#"x\"\u00e9"#)),
            (b"c", Value::Bool(true)),
            (b"d", Value::Null),
            (b"e", Value::Nested),
            (b"f", number(b"-0e+1", 75)),
        ];
        let got = read(body).expect("it is well-formed");
        let got: Vec<_> = got.iter().map(|m| (m.name, m.value)).collect();
        assert_eq!(got, expected);
        assert_eq!(read(b"{}"), Ok(vec![]));
    }

    #[test]
    fn what_is_not_json_is_refused_with_the_place() {
        for (body, at) in [
            ("1", 0),
            ("[]", 0),
            ("{", 1),
            (r#"{"a""#, 4),
            (r#"{"a":}"#, 5),
            (r#"{"a":1,}"#, 7),
            (r#"{,"a":1}"#, 1),
            (r#"{"a":1 "b":2}"#, 7),
            (r#"{a:1}"#, 1),
            (r#"{"a":01}"#, 6),
            (r#"{"a":1.}"#, 7),
            (r#"{"a":.5}"#, 5),
            (r#"{"a":+1}"#, 5),
            (r#"{"a":1e}"#, 7),
            (r#"{"a":NaN}"#, 5),
            (r#"{"a":Infinity}"#, 5),
            (r#"{"a":-Infinity}"#, 6),
            (r#"{"a":nul}"#, 5),
            (r#"{"a":"\x"}"#, 7),
            (r#"{"a":"\u12g4"}"#, 10),
            ("{\"a\":\"\n\"}", 6),
            (r#"{"a":[1,]}"#, 8),
            (r#"{"a":[1}"#, 7),
        ] {
            assert_eq!(refused(body), Refusal::Malformed { at }, "{body}");
        }
        assert_eq!(read(b"{\"a\":\"\xff\"}"), Err(Refusal::Malformed { at: 6 }));
    }

    #[test]
    fn html_and_nothing_are_told_apart_from_malformed() {
        assert_eq!(refused(""), Refusal::EmptyBody);
        assert_eq!(refused(" \r\n"), Refusal::EmptyBody);
        assert_eq!(refused("\n<html>"), Refusal::Html);
        assert_eq!(refused(&" ".repeat(BODY_LIMIT + 1)), Refusal::BodyTooLarge);
    }

    #[test]
    fn text_behind_the_object_is_refused_but_blanks_are_not() {
        assert_eq!(refused("{} x"), Refusal::Trailing { at: 3 });
        assert_eq!(refused(r#"{"a":1}{}"#), Refusal::Trailing { at: 7 });
        assert_eq!(read(b"{} \r\n\t"), Ok(vec![]));
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |depth| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(read(nested(DEPTH_LIMIT).as_bytes()).is_ok());
        assert_eq!(refused(&nested(DEPTH_LIMIT + 1)), Refusal::TooDeep);
    }

    #[test]
    fn nothing_comes_after_a_refusal() {
        let mut members = Members::of(b"{\"a\":x}").expect("it opens well");
        assert!(matches!(members.next(), Some(Err(_))));
        assert!(members.next().is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }

        #[test]
        fn no_text_of_json_signs_panics(text in r#"\{["{}:,\[\]\\0-9.eE+\- truefalsn]{0,40}"#) {
            let _ = read(text.as_bytes());
        }
    }
}
