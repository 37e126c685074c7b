//! Lines of a story before it is told: weighed, chosen, joined.

use crate::history::Event;
use crate::verdict::StoryLine;

/// How much a story needs a line. What weighs least goes first when there are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// It rounds the picture off.
    Detail,
    /// It belongs to how it came about.
    Cause,
    /// Without it nobody understands: the commit, the crash, the poll that passed.
    Turn,
    /// It is the evidence itself.
    Proof,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Time and index; `None` for what holds at the end.
    moment: Option<(u64, u64)>,
    who: String,
    text: String,
    /// What it says instead when the next line goes on from it.
    text_if_continued: Option<String>,
    weight: Weight,
}

impl Line {
    pub(super) fn new(moment: (u64, u64), who: String, text: String, weight: Weight) -> Line {
        Line { moment: Some(moment), who, text, text_if_continued: None, weight }
    }

    pub(super) fn at(event: &Event, who: String, text: String, weight: Weight) -> Line {
        Line::new((event.time, event.index), who, text, weight)
    }

    /// What holds at the end, said by the final read of that index.
    pub(super) fn at_the_end(who: &str, text: String) -> Line {
        Line { moment: None, who: who.to_owned(), text, text_if_continued: None, weight: Weight::Proof }
    }

    /// What it says instead when the next line is the same actor's.
    pub(super) fn or_if_continued(self, text: String) -> Line {
        Line { text_if_continued: Some(text), ..self }
    }

    fn told(self) -> StoryLine {
        let (time, index) = self.moment.unzip();
        StoryLine { time, who: self.who, text: self.text, index }
    }

    /// Both are one doing: by the same actor, with nothing of anybody else between.
    fn joins(&self, next: &Line) -> bool {
        self.who == next.who
            && self.moment.is_some()
            && next.moment.is_some()
            && self.weight != Weight::Proof
            && next.weight != Weight::Proof
            && self.text.len() + next.text.len() < 120
    }
}

/// At most `lines_max` lines in the order of time, the end last.
pub(super) fn chosen(mut lines: Vec<Line>, lines_max: usize) -> Vec<StoryLine> {
    lines.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| b.weight.cmp(&a.weight)));
    lines.dedup_by(|later, earlier| {
        later.moment == earlier.moment
            && later.who == earlier.who
            && (later.moment.is_some() || later.text == earlier.text)
    });
    let mut lines = joined(lines);
    while lines.len() > lines_max {
        // Of equal weight the one in the middle goes: beginnings and ends say most.
        let least = lines.iter().map(|line| line.weight).min().unwrap_or(Weight::Detail);
        let of_least: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].weight == least).collect();
        lines.remove(of_least[of_least.len() / 2]);
        lines = joined(lines);
    }
    lines.into_iter().map(Line::told).collect()
}

fn order(line: &Line) -> (u64, u64) {
    line.moment.unwrap_or((u64::MAX, u64::MAX))
}

fn joined(lines: Vec<Line>) -> Vec<Line> {
    let mut out: Vec<Line> = Vec::with_capacity(lines.len());
    for line in lines {
        match out.last_mut() {
            Some(last) if last.joins(&line) => {
                let said = last.text_if_continued.take().unwrap_or_else(|| std::mem::take(&mut last.text));
                last.text = format!("{said}, then {}", line.text);
                last.text_if_continued =
                    line.text_if_continued.map(|continued| format!("{said}, then {continued}"));
                last.weight = last.weight.max(line.weight);
                last.moment = line.moment;
            }
            _ => out.push(line),
        }
    }
    out
}
