//! What a key holds.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::number;
use super::stream::Stream;

/// A value. The containers are shared between forks until one of them writes.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(Bytes),
    List(Arc<List>),
    Hash(Arc<Hash>),
    Set(Arc<Set>),
    Zset(Arc<Zset>),
    Stream(Arc<Stream>),
}

/// A list.
pub(crate) type List = VecDeque<Bytes>;

impl Value {
    /// Whether there are commands that wait for such a value.
    pub(crate) fn can_be_waited_for(&self) -> bool {
        match self {
            Value::List(_) | Value::Zset(_) | Value::Stream(_) => true,
            Value::Text(_) | Value::Hash(_) | Value::Set(_) => false,
        }
    }

    /// The name that `TYPE` gives it.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Value::Text(_) => "string",
            Value::List(_) => "list",
            Value::Hash(_) => "hash",
            Value::Set(_) => "set",
            Value::Zset(_) => "zset",
            Value::Stream(_) => "stream",
        }
    }
}

/// A type of container.
pub(crate) trait Container: Default + Clone {
    fn of(value: &Value) -> Option<&Self>;
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
    fn into_value(self) -> Value;
    /// Whether a key that holds this is removed.
    fn is_gone(&self) -> bool;
}

macro_rules! container {
    ($type:ident, $is_gone:expr) => {
        impl Container for $type {
            fn of(value: &Value) -> Option<&Self> {
                match value {
                    Value::$type(inner) => Some(inner),
                    _ => None,
                }
            }
            fn of_mut(value: &mut Value) -> Option<&mut Self> {
                match value {
                    Value::$type(inner) => Some(Arc::make_mut(inner)),
                    _ => None,
                }
            }
            fn into_value(self) -> Value {
                Value::$type(Arc::new(self))
            }
            fn is_gone(&self) -> bool {
                let is_gone: fn(&Self) -> bool = $is_gone;
                is_gone(self)
            }
        }
    };
}

container!(List, |list| list.is_empty());
container!(Hash, |hash| hash.len() == 0);
container!(Set, |set| set.members.is_empty());
container!(Zset, |zset| zset.len() == 0);
container!(Stream, |_| false);

/// A hash in the order in which its fields were first set, as Redis keeps small ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hash {
    places: BTreeMap<Bytes, u64>,
    fields: BTreeMap<u64, (Bytes, Bytes)>,
    next: u64,
}

impl Hash {
    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }

    pub(crate) fn get(&self, field: &[u8]) -> Option<&Bytes> {
        let place = self.places.get(field)?;
        self.fields.get(place).map(|(_, value)| value)
    }

    /// Sets a field, and says whether it is new.
    pub(crate) fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        let value = Bytes::copy_from_slice(value);
        if let Some(old) = self.places.get(field).and_then(|place| self.fields.get_mut(place)) {
            old.1 = value;
            return false;
        }
        let field = Bytes::copy_from_slice(field);
        self.places.insert(field.clone(), self.next);
        self.fields.insert(self.next, (field, value));
        self.next += 1;
        true
    }

    pub(crate) fn remove(&mut self, field: &[u8]) -> bool {
        let place = self.places.remove(field);
        place.and_then(|place| self.fields.remove(&place)).is_some()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Bytes, Bytes)> {
        self.fields.values()
    }
}

/// A set: numbers in their order as long as there are only numbers, as Redis has them, else by their bytes.
#[derive(Debug, Clone)]
pub(crate) struct Set {
    pub(crate) members: BTreeSet<Bytes>,
    only_numbers: bool,
}

/// How many numbers Redis keeps in order (`set-max-intset-entries`).
const ORDERED_NUMBERS_MAX: usize = 512;

impl Default for Set {
    fn default() -> Self {
        Set { members: BTreeSet::new(), only_numbers: true }
    }
}

impl Set {
    pub(crate) fn add(&mut self, member: &[u8]) -> bool {
        if self.members.contains(member) {
            return false;
        }
        self.only_numbers &= number::parse_int(member).is_some() && self.members.len() < ORDERED_NUMBERS_MAX;
        self.members.insert(Bytes::copy_from_slice(member))
    }

    /// The members in the order in which they are told.
    pub(crate) fn told(&self) -> Vec<&Bytes> {
        let mut told: Vec<&Bytes> = self.members.iter().collect();
        if self.only_numbers {
            told.sort_by_key(|member| number::parse_int(member));
        }
        told
    }
}

/// A score, in the order of numbers. It is never NaN.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Score(pub(crate) f64);

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        // The two zeros are one score, unlike in the total order of the bits.
        self.0.partial_cmp(&other.0).unwrap_or_else(|| self.0.total_cmp(&other.0))
    }
}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Score {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Score {}

/// A sorted set: by score, then by the bytes of the member.
#[derive(Debug, Clone, Default)]
pub(crate) struct Zset {
    scores: BTreeMap<Bytes, Score>,
    order: BTreeSet<(Score, Bytes)>,
}

impl Zset {
    pub(crate) fn len(&self) -> usize {
        self.scores.len()
    }

    pub(crate) fn score(&self, member: &[u8]) -> Option<f64> {
        self.scores.get(member).map(|score| score.0)
    }

    pub(crate) fn set(&mut self, member: &[u8], score: f64) {
        let key = self.remove(member).unwrap_or_else(|| Bytes::copy_from_slice(member));
        self.scores.insert(key.clone(), Score(score));
        self.order.insert((Score(score), key));
    }

    /// Removes a member and returns its bytes.
    pub(crate) fn remove(&mut self, member: &[u8]) -> Option<Bytes> {
        let (key, score) = self.scores.remove_entry(member)?;
        let place = (score, key);
        self.order.remove(&place);
        Some(place.1)
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (f64, &Bytes)> {
        self.order.iter().map(|(score, member)| (score.0, member))
    }

    pub(crate) fn first(&self) -> Option<&(Score, Bytes)> {
        self.order.first()
    }

    pub(crate) fn last(&self) -> Option<&(Score, Bytes)> {
        self.order.last()
    }
}
