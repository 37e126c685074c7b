//! Some calls of a history, as a history of their own.

use super::write::write_edn_of;
use super::{Format, OpHistory, read};

impl OpHistory {
    /// The history of these calls alone, which are in their order, and its operations in EDN, each with its line in
    /// the whole one.
    pub fn part(&self, calls: &[u32]) -> Option<(OpHistory, Vec<String>)> {
        let mut places: Vec<u32> = Vec::with_capacity(calls.len() * 2);
        for call in calls {
            let call = self.calls().get(*call as usize)?;
            places.extend(call.invoke.into_iter().chain(call.complete));
        }
        places.sort_unstable();
        let mut text = Vec::new();
        for place in &places {
            // Memory takes everything.
            write_edn_of(self, *place, &mut text).ok()?;
        }
        let mut part = read(&mut text.as_slice(), Format::Edn).ok()?;
        part.is_timed = self.is_timed;
        let shown = String::from_utf8(text).ok()?;
        let lines = shown.lines().zip(&places);
        let lines = lines.map(|(op, at)| format!("line {}: {op}", self.ops()[*at as usize].line));
        Some((part, lines.collect()))
    }
}
