//! The values that clients write.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use serde_json::Value;

/// A value as written by a client: a number, a text, nothing, or any other JSON kept as its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Scalar {
    /// Nothing.
    #[default]
    Null,
    /// A whole number.
    Int(i64),
    /// A text.
    Text(super::Text),
    /// Other JSON, as its compact text.
    Json(super::Text),
}

impl Scalar {
    /// Whether there is no value.
    pub fn is_null(&self) -> bool {
        *self == Scalar::Null
    }

    /// The whole number, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Scalar::Int(number) => Some(*number),
            Scalar::Null | Scalar::Text(_) | Scalar::Json(_) => None,
        }
    }

    /// Whether both are there and differ. A value that was not recorded differs from nothing.
    pub fn contradicts(&self, other: &Scalar) -> bool {
        !self.is_null() && !other.is_null() && self != other
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Null => f.write_str("nothing"),
            Scalar::Int(number) => write!(f, "{number}"),
            Scalar::Text(text) => write!(f, "{:?}", text.as_str()),
            Scalar::Json(text) => f.write_str(text),
        }
    }
}

impl Serialize for Scalar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Scalar::Null => serializer.serialize_none(),
            Scalar::Int(number) => serializer.serialize_i64(*number),
            Scalar::Text(text) => serializer.serialize_str(text),
            // Text that is no JSON can only come from a program's own mistake; it is kept as text.
            Scalar::Json(text) => match serde_json::from_str::<Value>(text) {
                Ok(value) => value.serialize(serializer),
                Err(_) => serializer.serialize_str(text),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

/// Other JSON goes through `serde_json::Value`, so that its text is always the same compact form.
fn other<E>(value: impl Into<Value>) -> Result<Scalar, E> {
    Ok(Scalar::Json(value.into().to_string().into()))
}

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Null)
    }

    fn visit_none<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        other(value)
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
        i64::try_from(value).map_or_else(|_| other(value), |number| Ok(Scalar::Int(number)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
        other(value)
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Scalar, E> {
        Ok(Scalar::Text(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<Value>()? {
            items.push(item);
        }
        other(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        let mut object = serde_json::Map::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format!("duplicate field `{name}`")));
            }
            object.insert(name, value);
        }
        other(object)
    }
}
