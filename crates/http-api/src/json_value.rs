//! JSON text to a value, more strictly than `serde_json`: nesting and the number of values are bounded, and a key
//! occurs once.

use std::{
    cell::{Cell, RefCell},
    fmt,
};

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The deepest nesting of arrays and objects.
const MAX_DEPTH: usize = 32;

/// The most values in a text, including nested ones. The largest batch that the contract allows has about 3,000. A
/// value takes many times the memory of its text.
pub(crate) const MAX_VALUES: usize = 10_000;
/// U+FEFF in UTF-8, with which some editors begin a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// How the error of `serde_json` begins for a number that no `f64` can hold.
const OUT_OF_RANGE: &str = "number out of range";

/// Why a text was not read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// More than [`MAX_VALUES`].
    TooMany,
    /// It begins with a byte order mark (RFC 8259, section 8.1: "MUST NOT add").
    ByteOrderMark,
    /// It is JSON, and at this path is a number that no `f64` can hold.
    OutOfRange(Vec<String>),
    /// Not JSON, or with a key twice.
    Malformed(serde_json::Error),
}

/// Reads one JSON value.
pub(crate) fn read(text: &[u8]) -> Result<Value, ReadError> {
    if depth(text) > MAX_DEPTH {
        return Err(ReadError::TooDeep);
    }
    if text.starts_with(BYTE_ORDER_MARK) {
        return Err(ReadError::ByteOrderMark);
    }
    let (left, path) = (Cell::new(MAX_VALUES + 1), RefCell::default());
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let visitor = StrictVisitor { left: &left, path: &path };
    let read = visitor.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    match read {
        Ok(value) => Ok(value),
        Err(_) if left.get() == 0 => Err(ReadError::TooMany),
        Err(error) if error.to_string().starts_with(OUT_OF_RANGE) && is_json(text) => {
            let mut path = path.into_inner();
            path.reverse();
            Err(ReadError::OutOfRange(path))
        }
        Err(error) => Err(ReadError::Malformed(error)),
    }
}

/// Whether all of it is JSON, whatever its numbers.
fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// How deep the brackets outside strings go. Exact for JSON; any number for anything else.
fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[derive(Clone, Copy)]
struct StrictVisitor<'c> {
    /// How many values there may still be, and one.
    left: &'c Cell<usize>,
    /// The keys and indexes that lead to an error, the innermost first.
    path: &'c RefCell<Vec<String>>,
}

impl StrictVisitor<'_> {
    fn note(&self, step: impl Into<String>) {
        self.path.borrow_mut().push(step.into());
    }
}

impl<'de> DeserializeSeed<'de> for StrictVisitor<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.left.set(self.left.get().saturating_sub(1));
        if self.left.get() == 0 {
            return Err(de::Error::custom("too many values"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for StrictVisitor<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom(OUT_OF_RANGE))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) =
            elements.next_element_seed(self).inspect_err(|_| self.note(list.len().to_string()))?
        {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(de::Error::custom(format_args!("the key `{key}` occurs twice")));
            }
            let value = entries.next_value_seed(self).inspect_err(|_| self.note(&*key))?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn malformed(text: &[u8]) -> String {
        match read(text) {
            Err(ReadError::Malformed(error)) => error.to_string(),
            other => panic!("{other:?} for {}", String::from_utf8_lossy(text)),
        }
    }

    #[test]
    fn reads_every_kind_of_value() {
        let text =
            r#"{"a":[1,-2,0.5,true,null,"ä\ud83d\ude00\u0000"],"b":{"a":{}},"c":18446744073709551615}"#;
        assert_eq!(read(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn refuses_what_is_not_json() {
        let bad: [&[u8]; 12] = [
            b"",
            b" ",
            b"{",
            b"{]",
            b"nul",
            b"{\"a\":1,}",
            b"[1 2]",
            b"{} {}",
            b"'a'",
            b"NaN",
            b"\"\xff\"",
            b"01",
        ];
        for text in bad {
            malformed(text);
        }
        malformed(b"1e400 1");
        malformed(b"[1e400,]");
        assert!(
            malformed(br#"{"a":"\ud800"}"#).contains("surrogate")
                || !malformed(br#"{"a":"\ud800"}"#).is_empty()
        );
        malformed(br#"{"a":"\udc00"}"#);
        malformed(br#"{"\ud800":1}"#);
    }

    #[test]
    fn tells_where_a_number_is_that_is_too_large() {
        let digits = format!("[{}]", "9".repeat(400));
        for (text, path) in [
            ("1e400", &[][..]),
            ("-1e400", &[]),
            (&digits, &["0"]),
            (r#"{"a":[1,{"b/c":[[],-1E+999]}],"d":2}"#, &["a", "1", "b/c", "1"]),
        ] {
            match read(text.as_bytes()) {
                Err(ReadError::OutOfRange(found)) => assert_eq!(found, path, "{text}"),
                other => panic!("{other:?} for {text}"),
            }
        }
        assert!(read(b"[1e308, 1e-400]").is_ok());
    }

    #[test]
    fn refuses_a_key_twice_at_any_depth() {
        assert!(malformed(br#"{"a":1,"a":1}"#).contains("`a` occurs twice"));
        assert!(malformed(br#"{"x":[{"a":1,"\u0061":2}]}"#).contains("`a` occurs twice"));
    }

    #[test]
    fn bounds_the_number_of_values() {
        let list = |values: usize| format!("[{}0]", "0,".repeat(values - 2));
        assert!(read(list(MAX_VALUES).as_bytes()).is_ok());
        assert!(matches!(read(list(MAX_VALUES + 1).as_bytes()), Err(ReadError::TooMany)));
        // Reading stops as soon as there are too many values.
        let endless = format!("[{}", "{\"a\":0},".repeat(MAX_VALUES));
        assert!(matches!(read(endless.as_bytes()), Err(ReadError::TooMany)));
        assert!(matches!(read(b"\xef\xbb\xbf{}"), Err(ReadError::ByteOrderMark)));
    }

    #[test]
    fn bounds_nesting() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(nested(32).as_bytes()).is_ok());
        assert!(matches!(read(nested(33).as_bytes()), Err(ReadError::TooDeep)));
        assert!(matches!(read("[".repeat(60_000).as_bytes()), Err(ReadError::TooDeep)));
        assert!(read(format!(r#"["\"{}"]"#, "[".repeat(100)).as_bytes()).is_ok());
    }
}
