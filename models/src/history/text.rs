//! Texts of histories, each kept once: names, keys, ids and values as four bytes that can be copied.
//!
//! Numbers are given in the order in which texts are first met, so that what is known of the names of one history can
//! lie in a table instead of a hash map, and names that were met together lie together. Threads that meet texts at the
//! same time share the numbers out by chance: nothing that reaches output may depend on them.

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt;
use std::hash::Hasher as _;
use std::num::NonZeroU32;
use std::ops::Deref;
use std::sync::atomic::{self, AtomicU32};
use std::sync::{Mutex, OnceLock, PoisonError};

use hashbrown::HashTable;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::hash::WordHasher;

/// A name, a key, an id: four bytes that can be copied. Each distinct text is kept once, for as long as the process
/// lives: a history names the same operation four to six times, and the same keys all the time.
///
/// Whether two are equal is seen at once; their order is that of what they say.
///
/// ```
/// use crosscheck_models::history::Text;
///
/// let (key, again) = (Text::from("k1"), Text::from("k1"));
/// assert!(key == again && key == "k1" && key < Text::from("k2"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Text(NonZeroU32);

/// Who looks for a text locks one of so many parts.
const SHARDS: usize = 64;
/// Slots are made so many at a time.
const SEGMENT: usize = 1 << 14;
/// A thousand million texts: their memory ends before.
const SEGMENTS: usize = 1 << 16;
/// So many texts are remembered by each thread: an operation is named again soon after it was named first.
const RECENT: usize = 1 << 11;

/// A text that is known, under its hash.
struct Known {
    hash: u32,
    text: Text,
}

type Segment = Box<[OnceLock<&'static str>]>;

static KNOWN: [Mutex<HashTable<Known>>; SHARDS] = [const { Mutex::new(HashTable::new()) }; SHARDS];
static SLOTS: [OnceLock<Segment>; SEGMENTS] = [const { OnceLock::new() }; SEGMENTS];
static NEXT: AtomicU32 = AtomicU32::new(1);

thread_local! {
    static LATELY: [Cell<(u32, Option<Text>)>; RECENT] = const { [const { Cell::new((0, None)) }; RECENT] };
}

impl Text {
    /// What it says.
    pub fn as_str(&self) -> &'static str {
        let number = self.number();
        let slot = SLOTS[number / SEGMENT].get().and_then(|segment| segment[number % SEGMENT].get());
        slot.copied().expect("whoever holds a number was given it with the text in its slot")
    }

    /// Its number: texts are numbered from 1 as they are met.
    pub(crate) fn number(self) -> usize {
        self.0.get() as usize
    }

    fn of(text: &str) -> Text {
        let mut hasher = WordHasher::default();
        hasher.write(text.as_bytes());
        let hash = hasher.finish();
        let short = (hash >> 32) as u32 ^ hash as u32;
        let place = short as usize % RECENT;
        let (lately, found) = LATELY.try_with(|recent| recent[place].get()).unwrap_or((0, None));
        if let Some(found) = found.filter(|found| lately == short && found.as_str() == text) {
            return found;
        }
        let found = Text::looked_up(text, short);
        // A thread that ends remembers nothing any more.
        let _ = LATELY.try_with(|recent| recent[place].set((short, Some(found))));
        found
    }

    fn looked_up(text: &str, hash: u32) -> Text {
        let shard = &KNOWN[(hash >> 26) as usize % SHARDS];
        // What a panic may have interrupted is a table that lacks a text.
        let mut known = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |known: &Known| known.hash == hash && known.text.as_str() == text;
        if let Some(known) = known.find(spread(hash), is_it) {
            return known.text;
        }
        let number = NEXT.fetch_add(1, atomic::Ordering::Relaxed);
        let new =
            Text(NonZeroU32::new(number).expect("the texts fill the memory before they fill the numbers"));
        new.keep(text);
        known.insert_unique(spread(hash), Known { hash, text: new }, |known| spread(known.hash));
        new
    }

    fn keep(self, text: &str) {
        let number = self.number();
        let empty = || (0..SEGMENT).map(|_| OnceLock::new()).collect();
        let segment = SLOTS[number / SEGMENT].get_or_init(empty);
        segment[number % SEGMENT].get_or_init(|| Box::leak(Box::from(text)));
    }
}

/// A table looks at the first and at the last bits of a hash.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Default for Text {
    fn default() -> Text {
        Text::from("")
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text::of(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text::of(&text)
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Text {
        Text::of(text)
    }
}

impl From<Cow<'_, str>> for Text {
    fn from(text: Cow<'_, str>) -> Text {
        Text::of(&text)
    }
}

impl From<Text> for String {
    fn from(text: Text) -> String {
        text.as_str().to_owned()
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Text) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Text) -> Ordering {
        if self == other { Ordering::Equal } else { self.as_str().cmp(other.as_str()) }
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<Text> for str {
    fn eq(&self, other: &Text) -> bool {
        self == other.as_str()
    }
}

impl PartialEq<Text> for &str {
    fn eq(&self, other: &Text) -> bool {
        *self == other.as_str()
    }
}

impl PartialEq<Text> for String {
    fn eq(&self, other: &Text) -> bool {
        self == other.as_str()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        struct TextVisitor;

        impl Visitor<'_> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text::of(text))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::thread;

    use super::Text;

    #[test]
    fn threads_that_meet_the_same_texts_give_them_the_same_numbers() {
        let texts: Vec<String> = (0..50_000).map(|n| format!("threads meet {n}")).collect();
        let met = |from: usize| {
            let turned = texts[from..].iter().chain(&texts[..from]);
            turned.map(|text| (text.as_str(), Text::from(text))).collect::<BTreeMap<_, _>>()
        };
        let (one, other) = thread::scope(|scope| {
            let other = scope.spawn(|| met(20_000));
            (met(0), other.join().expect("it does not panic"))
        });
        assert_eq!(one.len(), texts.len());
        for (text, number) in &one {
            assert_eq!(number.as_str(), *text);
            assert_eq!(number.number(), other[text].number());
        }
    }

    #[test]
    fn different_texts_differ_whatever_their_hashes() {
        let zeros: Vec<String> = (0..64).map(|length| "\0".repeat(length)).collect();
        let texts: Vec<Text> = zeros.iter().map(Text::from).collect();
        for (text, said) in texts.iter().zip(&zeros) {
            assert_eq!(text, said);
        }
        let mut sorted = texts.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, texts, "a text comes before those that it begins");
    }
}
