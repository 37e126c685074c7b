//! A picture of a witness as SVG: lanes over time.
//!
//! Time runs to the right and its order is exact; waits are compressed, so that a lost event at 10 ms and the
//! end of the run at 10 s fit one picture. The axis names the true times.

use std::collections::BTreeMap;

use crosscheck_models::history::Kind;
use crosscheck_models::verdict::Witness;
use maud::{Markup, html};

use super::page::colour;
use crate::picture::{Lane, Mark, Picture, Shape};
use crate::run::FaultWindow;
use crate::wording;

const WIDTH: f64 = 1120.0;
const LEFT: f64 = 120.0;
const RIGHT: f64 = 1096.0;
const TOP: f64 = 26.0;
const LABEL_HEIGHT: f64 = 17.0;
const BOX_HEIGHT: f64 = 22.0;
const LANE_GAP: f64 = 16.0;
const CHARACTER_WIDTH: f64 = 6.6;
const BADGE_WIDTH: f64 = 19.0;
const AXIS_HEIGHT: f64 = 34.0;

/// The picture as an SVG element with a caption, and a text alternative.
pub(super) fn draw(picture: &Picture<'_>, witness: &Witness) -> Markup {
    if picture.marks.is_empty() {
        return html! {};
    }
    let axis = Axis::of(picture);
    let layout = Layout::of(picture, &axis);
    let height = layout.bottom + AXIS_HEIGHT;
    let id = witness.property.id();
    html! {
        figure.picture {
            svg viewBox={ "0 0 " (WIDTH) " " (px(height)) } role="img"
                aria-labelledby={ "picture-" (id) "-title picture-" (id) "-description" } {
                title id={ "picture-" (id) "-title" } { (witness.summary) }
                desc id={ "picture-" (id) "-description" } { (description(picture)) }
                (bands(picture, &axis, &layout))
                @for (lane, place) in &layout.lanes { (lane_line(lane, place)) }
                (ticks(&axis, &layout))
                @for (mark, label) in picture.marks.iter().zip(&layout.labels) { (link(mark, label, &axis, &layout)) }
                @for mark in picture.marks.iter().filter(|mark| is_span(mark)) { (shape(mark, &axis, &layout)) }
                @for mark in picture.marks.iter().filter(|mark| !is_span(mark)) { (shape(mark, &axis, &layout)) }
                @for (mark, label) in picture.marks.iter().zip(&layout.labels) { (caption(mark, label, id)) }
            }
            figcaption {
                "Time runs to the right in its true order; waits are compressed. "
                span.swatch.proof {} "outlined in red: the evidence. "
                "Numbers are the lines of the story below."
            }
        }
    }
}

/// Where a moment is on the horizontal axis.
struct Axis {
    /// Moments and their places, both ascending.
    stops: Vec<(u64, f64)>,
}

impl Axis {
    fn of(picture: &Picture<'_>) -> Axis {
        let (first, last) = picture.span_ns();
        let edges = picture.faults.iter().flat_map(|fault| [fault.from_ns, fault.to_ns]);
        let mut times: Vec<u64> = picture
            .marks
            .iter()
            .flat_map(|mark| [mark.from_ns, mark.to_ns])
            .chain(edges.filter(|time| (first..=last).contains(time)))
            .collect();
        times.sort_unstable();
        times.dedup();
        let mut gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let weights: Vec<f64> = {
            let mut sorted = gaps.clone();
            sorted.sort_unstable();
            let median = sorted.get(sorted.len() / 2).copied().unwrap_or(1).max(1) as f64;
            gaps.drain(..).map(|gap| (gap as f64 / median).sqrt().clamp(0.5, 2.5)).collect()
        };
        let total: f64 = weights.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        // Room for the shape of the last mark, which begins where the axis ends.
        let scale = (RIGHT - 16.0 - LEFT) / total;
        let mut x = LEFT + 8.0;
        let mut stops = Vec::with_capacity(times.len());
        for (position, time) in times.into_iter().enumerate() {
            stops.push((time, x));
            x += weights.get(position).copied().unwrap_or(0.0) * scale;
        }
        Axis { stops }
    }

    fn x(&self, time: u64) -> f64 {
        let after = self.stops.partition_point(|(stop, _)| *stop < time);
        match (after.checked_sub(1).and_then(|before| self.stops.get(before)), self.stops.get(after)) {
            (Some((t0, x0)), Some((t1, x1))) => x0 + (x1 - x0) * (time - t0) as f64 / (t1 - t0) as f64,
            (None, Some((_, x))) | (Some((_, x)), None) => *x,
            (None, None) => LEFT,
        }
    }
}

/// Where a lane's boxes are, from the top of the picture.
struct Place {
    box_top: f64,
}

impl Place {
    fn middle(&self) -> f64 {
        self.box_top + BOX_HEIGHT / 2.0
    }
}

/// Where a mark's label is.
struct Label {
    x: f64,
    baseline: f64,
    anchor_x: f64,
    box_top: f64,
}

struct Layout {
    lanes: BTreeMap<Lane, Place>,
    /// In the order of the picture's marks.
    labels: Vec<Label>,
    bottom: f64,
}

impl Layout {
    /// Stacks the labels of each lane so that none covers another, and the lanes below each other.
    fn of(picture: &Picture<'_>, axis: &Axis) -> Layout {
        let mut rows_of: BTreeMap<&Lane, Vec<f64>> = BTreeMap::new();
        let mut spots: Vec<(f64, usize)> = vec![(0.0, 0); picture.marks.len()];
        // From right to left, so that a label pushed left by the edge finds its row first and the line from
        // a label down to its box crosses no other label.
        for (position, mark) in picture.marks.iter().enumerate().rev() {
            let width = label_width(mark);
            let x = (axis.x(mark.from_ns) - 2.0).min(RIGHT + 16.0 - width).max(LEFT);
            let rows = rows_of.entry(&mark.lane).or_default();
            let row = rows.iter().position(|taken_from| x + width + 8.0 <= *taken_from).unwrap_or(rows.len());
            if row == rows.len() {
                rows.push(x);
            } else {
                rows[row] = x;
            }
            spots[position] = (x, row);
        }
        let mut top = TOP;
        let mut lanes = BTreeMap::new();
        for lane in &picture.lanes {
            let rows = rows_of.get(lane).map_or(0, Vec::len);
            let box_top = top + rows as f64 * LABEL_HEIGHT;
            lanes.insert(lane.clone(), Place { box_top });
            top = box_top + BOX_HEIGHT + LANE_GAP;
        }
        let labels = picture
            .marks
            .iter()
            .zip(spots)
            .map(|(mark, (x, row))| {
                let box_top = lanes.get(&mark.lane).map_or(TOP, |place: &Place| place.box_top);
                let baseline = box_top - 6.0 - row as f64 * LABEL_HEIGHT;
                Label { x, baseline, anchor_x: axis.x(mark.from_ns), box_top }
            })
            .collect();
        Layout { lanes, labels, bottom: top }
    }
}

fn label_width(mark: &Mark) -> f64 {
    mark.label.chars().count() as f64 * CHARACTER_WIDTH + mark.told.len() as f64 * BADGE_WIDTH
}

fn lane_line(lane: &Lane, place: &Place) -> Markup {
    let class = match lane {
        Lane::Client(_) | Lane::Actor(_) => "lane",
        Lane::System(_) => "lane system",
    };
    html! {
        line class=(class) x1=(LEFT) x2=(RIGHT + 16.0) y1=(px(place.middle())) y2=(px(place.middle())) {}
        text.lane-name x="8" y=(px(place.middle() + 4.0)) { (wording::shortened(&lane.name(), 17)) }
    }
}

/// The windows of faults. Those whose names would lie over one another have them when pointed at, and in the list of
/// faults.
fn bands(picture: &Picture<'_>, axis: &Axis, layout: &Layout) -> Markup {
    let mut free_from = 0.0;
    let bands = picture.faults.iter().map(|fault| {
        let name = if fault.took { fault.id.clone() } else { format!("{} (did not take)", fault.id) };
        let width = (name.chars().count() as f64 + 2.0) * CHARACTER_WIDTH;
        let at = axis.x(fault.from_ns).min(RIGHT - width + 2.0 * CHARACTER_WIDTH) + 3.0;
        let fits = at >= free_from;
        if fits {
            free_from = at + width;
        }
        (fault, name, fits.then_some(at))
    });
    let bands: Vec<_> = bands.collect();
    html! {
        @for (fault, name, _) in &bands { (band(fault, name, axis, layout)) }
        // Above all bands, so that none lies over a name.
        @for (_, name, at) in &bands {
            @if let Some(at) = at { text.fault-name x=(px(*at)) y="17" { "⚡ " (name) } }
        }
    }
}

fn band(fault: &FaultWindow, name: &str, axis: &Axis, layout: &Layout) -> Markup {
    let from = axis.x(fault.from_ns);
    let width = (axis.x(fault.to_ns) - from).max(3.0);
    html! {
        rect.fault x=(px(from)) y="4" width=(px(width)) height=(px(layout.bottom - 4.0)) fill=(colour(&fault.colour)) {
            title { (name) ": " (fault.detail) }
        }
    }
}

/// The true times below the lanes, as many as fit.
fn ticks(axis: &Axis, layout: &Layout) -> Markup {
    let mut shown: Vec<(u64, f64)> = Vec::new();
    for (time, x) in &axis.stops {
        if shown.last().is_none_or(|(_, last)| x - last >= 84.0) {
            shown.push((*time, *x));
        }
    }
    html! {
        @for (time, x) in shown {
            line.tick x1=(px(x)) x2=(px(x)) y1=(TOP - 8.0) y2=(px(layout.bottom)) {}
            text.tick-name x=(px(x)) y=(px(layout.bottom + 16.0)) text-anchor=(if x > RIGHT - 40.0 { "end" } else { "middle" }) {
                (wording::moment(time))
            }
        }
    }
}

/// The line from a call to the system that it touches, and from a label to its box.
fn link(mark: &Mark, label: &Label, axis: &Axis, layout: &Layout) -> Markup {
    let touched = mark.touches.as_ref().and_then(|lane| layout.lanes.get(lane));
    let x = f64::midpoint(axis.x(mark.from_ns), axis.x(mark.to_ns));
    let from = label.box_top + BOX_HEIGHT / 2.0;
    let class = if mark.proof { "link proof" } else { "link" };
    html! {
        @if let Some(place) = touched {
            line class=(class) x1=(px(x)) x2=(px(x)) y1=(px(from)) y2=(px(place.middle())) {}
            circle class=(class) cx=(px(x)) cy=(px(place.middle())) r="4" {}
        }
        @if label.box_top - label.baseline > LABEL_HEIGHT {
            line.leader x1=(px(label.anchor_x)) x2=(px(label.anchor_x)) y1=(px(label.baseline + 2.0)) y2=(px(label.box_top)) {}
        }
    }
}

/// Whether it is a background for what happens within it.
fn is_span(mark: &Mark) -> bool {
    matches!(mark.shape, Shape::Operation(_))
}

fn shape(mark: &Mark, axis: &Axis, layout: &Layout) -> Markup {
    let Some(place) = layout.lanes.get(&mark.lane) else { return html! {} };
    let (from, to) = (axis.x(mark.from_ns), axis.x(mark.to_ns));
    let evidence = if mark.proof { " proof" } else { "" };
    let middle = place.middle();
    html! {
        g {
            title { (mark.detail) " (" (wording::moment(mark.from_ns)) " to " (wording::moment(mark.to_ns)) ")" }
            @match mark.shape {
                Shape::Operation(kind) => {
                    rect class={ "operation " (outcome_class(kind)) (evidence) } x=(px(from)) y=(px(place.box_top))
                        width=(px((to - from).max(6.0))) height=(BOX_HEIGHT) rx="4" {}
                }
                Shape::Step => {
                    rect class={ "step" (evidence) } x=(px(from)) y=(px(place.box_top + 5.0))
                        width=(px((to - from).max(6.0))) height=(BOX_HEIGHT - 10.0) rx="2" {}
                }
                Shape::Broken => {
                    path class={ "broken" (evidence) } d=(cross(to, middle)) {}
                }
                Shape::Observation => {
                    circle class={ "observation" (evidence) } cx=(px(to)) cy=(px(middle)) r="6" {}
                }
                Shape::Missing => {
                    rect.missing x=(px(to - 9.0)) y=(px(place.box_top)) width="20" height=(BOX_HEIGHT) rx="4" {}
                    path.missing d=(cross(to + 1.0, middle)) {}
                }
            }
        }
    }
}

fn caption(mark: &Mark, label: &Label, id: &str) -> Markup {
    let text_x = label.x + mark.told.len() as f64 * BADGE_WIDTH;
    let class = match (mark.shape, mark.proof) {
        (Shape::Missing | Shape::Broken, _) => "label bad",
        (_, true) => "label strong",
        (_, false) => "label",
    };
    html! {
        @for (position, number) in mark.told.iter().enumerate() {
            @let x = label.x + 8.0 + position as f64 * BADGE_WIDTH;
            a href={ "#story-" (id) "-" (number) } {
                circle.number cx=(px(x)) cy=(px(label.baseline - 4.0)) r="8" {}
                text.number x=(px(x)) y=(px(label.baseline)) text-anchor="middle" { (number) }
            }
        }
        text class=(class) x=(px(text_x)) y=(px(label.baseline)) { (mark.label) }
    }
}

/// The picture in words, mark by mark.
fn description(picture: &Picture<'_>) -> String {
    let parts: Vec<String> = picture
        .marks
        .iter()
        .map(|mark| format!("{}, {}: {}", wording::moment(mark.from_ns), mark.lane.name(), mark.detail))
        .collect();
    parts.join(". ")
}

fn cross(x: f64, y: f64) -> String {
    let (left, right, top, bottom) = (px(x - 5.0), px(x + 5.0), px(y - 5.0), px(y + 5.0));
    format!("M{left} {top}L{right} {bottom}M{left} {bottom}L{right} {top}")
}

fn outcome_class(kind: Kind) -> &'static str {
    match kind {
        Kind::Ok => "ok",
        Kind::Fail => "fail",
        Kind::Info | Kind::Invoke => "info",
    }
}

/// A coordinate to a tenth of a pixel.
fn px(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
