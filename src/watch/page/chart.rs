//! Charts as SVG, with labels in HTML.
//!
//! The drawing is stretched to the width of the page, but its lines do not become wider. The labels are not part of the
//! drawing, so their size is the same on every screen.

use std::fmt::Write as _;
use std::time::Duration;

use super::axis::{Axis, LENGTH};
use super::html::text;
use crate::report::text::{duration, percent};

/// The height of a chart, in units of the drawing.
const HEIGHT: f64 = 100.0;

/// The values of a series over time: the start and the end of each time interval, and the value in this interval. If an
/// interval has no value, the value is `None`.
pub(super) type Values<'a> = &'a [((i64, i64), Option<f64>)];

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// An area for answered rows. Areas are stacked on top of each other.
    Ok,
    /// An area for failed rows, on top of the area for answered rows.
    Bad,
    /// A solid line.
    Solid,
    /// A dashed line.
    Dashed,
    /// A dotted line.
    Dotted,
}

impl Mark {
    /// The kinds of lines, in the order in which a chart uses them.
    pub(super) const LINES: [Self; 3] = [Self::Solid, Self::Dashed, Self::Dotted];

    fn class(self) -> &'static str {
        match self {
            Self::Ok => "area ok",
            Self::Bad => "area bad",
            Self::Solid => "la",
            Self::Dashed => "lb",
            Self::Dotted => "lc",
        }
    }

    fn is_area(self) -> bool {
        matches!(self, Self::Ok | Self::Bad)
    }
}

/// One series of a chart.
pub(super) struct Series<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// How the series is drawn.
    pub(super) mark: Mark,
    /// Its values.
    pub(super) values: Vec<((i64, i64), Option<f64>)>,
}

/// A chart with its title and its series.
pub(super) struct Chart<'a> {
    /// The id of the chart, which is unique on the page.
    pub(super) id: String,
    /// The title of the chart, with the unit of its values.
    pub(super) title: String,
    /// A description of the chart for readers who can't see it.
    pub(super) words: String,
    /// The series.
    pub(super) series: Vec<Series<'a>>,
    /// The values of horizontal lines, and a text that says what the lines mean.
    pub(super) lines: Option<(&'a [f64], &'a str)>,
    /// Whether values are shares, which are shown in percent.
    pub(super) is_share: bool,
}

impl Chart<'_> {
    /// Returns the chart as HTML with the time axis `axis`.
    pub(super) fn html(&self, axis: &Axis) -> String {
        let most = self.most();
        let (top, steps) = nice(if self.is_share { most.clamp(1.0, 3.0) } else { most });
        let mut out = String::from("<figure>");
        out.push_str(&self.caption(axis));
        out.push_str("<div class=plot><div class=y aria-hidden=true>");
        for step in 0..=steps {
            let share = f64::from(step) / f64::from(steps);
            let value = top * share;
            let shown = if self.is_share { percent(value) } else { number(value) };
            let _ = write!(out, "<span style=\"bottom:{:.1}%\">{shown}</span>", share * 100.0);
        }
        let id = &self.id;
        let _ = write!(
            out,
            "</div><svg role=img aria-labelledby=\"{id}-t {id}-d\" viewBox=\"0 0 1000 100\" preserveAspectRatio=none>\
             <title id={id}-t>{}</title><desc id={id}-d>{}</desc>",
            text(&self.title),
            text(&self.words)
        );
        out.push_str(&background(axis, steps));
        let mut below: Vec<f64> = Vec::new();
        for series in &self.series {
            let path = if series.mark.is_area() {
                area(axis, &series.values, &mut below, top)
            } else {
                line(axis, &series.values, top)
            };
            if !path.is_empty() {
                let _ = write!(out, "<path class=\"{}\" d=\"{path}\"/>", series.mark.class());
            }
        }
        for value in self.lines.iter().flat_map(|(values, _)| *values) {
            let _ = write!(out, "<path class=mark d=\"M0 {0}H1000\"/>", place(y(*value, top)));
        }
        let _ = write!(out, "<path class=base d=\"M0 {HEIGHT}H1000\"/></svg>");
        out.push_str(&labels(axis));
        out.push_str("</div></figure>\n");
        out
    }

    /// Returns the highest value of the chart. For stacked areas, the result is the highest sum of the areas at one
    /// point.
    fn most(&self) -> f64 {
        let (areas, lines): (Vec<_>, Vec<_>) = self.series.iter().partition(|series| series.mark.is_area());
        let longest = areas.iter().map(|series| series.values.len()).max().unwrap_or_default();
        let value = |series: &Series<'_>, at: usize| series.values.get(at).and_then(|(_, value)| *value).unwrap_or(0.0);
        let sums = (0..longest).map(|at| areas.iter().map(|series| value(series, at)).sum());
        let others = lines.iter().flat_map(|series| series.values.iter().filter_map(|(_, value)| *value));
        sums.chain(others).fold(0.0, f64::max)
    }

    fn caption(&self, axis: &Axis) -> String {
        let mut out = format!("<figcaption><b>{}</b>", text(&self.title));
        for series in &self.series {
            let _ = write!(out, "<span class=key>{}{}</span>", swatch(series.mark), text(series.name));
        }
        if let Some((_, meaning)) = &self.lines {
            let _ = write!(
                out,
                "<span class=key><svg viewBox=\"0 0 24 10\" aria-hidden=true><path class=mark d=\"M0 5H24\"/></svg>{}</span>",
                text(meaning)
            );
        }
        let gaps = axis.gaps();
        if !gaps.is_empty() {
            let long: Duration = gaps.iter().map(|(.., long)| *long).sum();
            let _ = write!(
                out,
                "<span class=key><svg viewBox=\"0 0 24 10\" aria-hidden=true><path class=gap d=\"M0 0H24V10H0Z\"/></svg>no run ({})</span>",
                duration(long)
            );
        }
        out.push_str("</figcaption>");
        out
    }
}

/// A reason that slowed the run down, with its shares of the time.
pub(super) struct Lane {
    /// The name of the reason.
    pub(super) name: String,
    /// The share of the whole time in which this reason slowed the run down.
    pub(super) share: f64,
    /// For each time interval: the share of the interval during which this reason slowed the run down.
    pub(super) values: Vec<((i64, i64), f64)>,
}

/// Returns the HTML of the bars, one bar per reason. Each bar shows when its reason slowed the run down.
pub(super) fn lanes(id: &str, axis: &Axis, lanes: &[Lane]) -> String {
    let mut out = String::from("<div class=lanes>");
    for (at, Lane { name, share, values }) in lanes.iter().enumerate() {
        let (name, share) = (text(name), percent(*share));
        let _ = write!(
            out,
            "<div><b>{name}</b><span>{share} of the time</span></div>\
             <svg role=img aria-labelledby={id}-{at} viewBox=\"0 0 1000 10\" preserveAspectRatio=none>\
             <title id={id}-{at}>{name}: {share} of the time</title>"
        );
        for (x, end, opacity) in pieces_of_lane(axis, values) {
            let (x, width) = (place(x), place((end - x).max(1.0)));
            let _ =
                write!(out, "<rect x={x} width={width} height=10 fill-opacity={:.2} />", f64::from(opacity) / 100.0);
        }
        out.push_str("</svg>");
    }
    out.push_str("</div>\n");
    out
}

/// Returns the rectangles of a bar, each with its start, its end, and its opacity in percent. Neighbouring rectangles
/// with the same opacity are joined.
fn pieces_of_lane(axis: &Axis, values: &[((i64, i64), f64)]) -> Vec<(f64, f64, u8)> {
    let mut pieces: Vec<(f64, f64, u8)> = Vec::new();
    for ((from, to), share) in values.iter().filter(|(_, share)| *share >= 0.02) {
        let opacity = (share.clamp(0.1, 1.0) * 20.0).round() as u8 * 5;
        let (x, end) = (axis.x(*from), axis.x(*to));
        match pieces.last_mut() {
            Some(last) if last.2 == opacity && x - last.1 < 0.1 => last.1 = end,
            Some(_) | None => pieces.push((x, end, opacity)),
        }
    }
    pieces
}

fn swatch(mark: Mark) -> String {
    let shape = if mark.is_area() { "M0 0H24V10H0Z" } else { "M0 5H24" };
    format!("<svg viewBox=\"0 0 24 10\" aria-hidden=true><path class=\"{}\" d=\"{shape}\"/></svg>", mark.class())
}

fn background(axis: &Axis, steps: u32) -> String {
    let mut out = String::new();
    for (from, to, _) in axis.gaps() {
        let _ = write!(out, "<rect class=gap x={} width={} height=100 />", place(from), place(to - from));
    }
    for step in 1..=steps {
        let at = HEIGHT * (1.0 - f64::from(step) / f64::from(steps));
        let _ = write!(out, "<path class=grid d=\"M0 {}H1000\"/>", place(at));
    }
    out
}

fn labels(axis: &Axis) -> String {
    let mut out = String::from("<div class=x aria-hidden=true>");
    for (x, label) in axis.labels() {
        let _ = write!(out, "<span style=\"left:{:.1}%\">{label}</span>", x / LENGTH * 100.0);
    }
    out.push_str("</div>");
    out
}

/// Draws an area on top of the earlier areas, whose total heights are in `below`. Also adds the heights of the new area
/// to `below`.
fn area(axis: &Axis, values: Values<'_>, below: &mut Vec<f64>, top: f64) -> String {
    below.resize(values.len().max(below.len()), 0.0);
    let mut out = String::new();
    for (at, ((from, to), value)) in values.iter().enumerate() {
        let Some(value) = value.filter(|value| *value > 0.0) else { continue };
        let (bottom, above) = (y(below[at], top), y(below[at] + value, top));
        below[at] += value;
        // Each interval is drawn at least one unit wide, because a single short interval must be visible.
        let (x, end) = (axis.x(*from), axis.x(*to));
        let end = end.max(x + 1.0);
        let _ = write!(out, "M{} {}V{}H{}V{}Z", place(x), place(bottom), place(above), place(end), place(bottom));
    }
    out
}

/// Draws a series as a line in steps. The line is interrupted at gaps and where there is no value.
fn line(axis: &Axis, values: Values<'_>, top: f64) -> String {
    let mut out = String::new();
    let mut last_end = None;
    for ((from, to), value) in values {
        let Some(value) = value else {
            last_end = None;
            continue;
        };
        let (x, end) = (axis.x(*from), axis.x(*to));
        let is_connected = last_end.is_some_and(|last: f64| (x - last).abs() < 2.0);
        let height = place(y(*value, top));
        let _ = match is_connected {
            true => write!(out, "V{height}H{}", place(end)),
            false => write!(out, "M{} {height}H{}", place(x), place(end.max(x + 1.0))),
        };
        last_end = Some(end);
    }
    out
}

fn y(value: f64, top: f64) -> f64 {
    (HEIGHT * (1.0 - value / top.max(f64::MIN_POSITIVE))).clamp(0.0, HEIGHT)
}

/// Returns a coordinate as text with at most one decimal place, because more precision would not be visible.
fn place(at: f64) -> String {
    let shown = format!("{at:.1}");
    shown.strip_suffix(".0").map_or(shown.clone(), str::to_owned)
}

/// Returns the number at the top of an axis: a round number that is at least `most`. Also returns the number of steps
/// into which the axis is divided.
fn nice(most: f64) -> (f64, u32) {
    if most <= 0.0 || !most.is_finite() {
        return (1.0, 2);
    }
    let unit = 10_f64.powf(most.log10().floor());
    let choices = [(1.0, 2), (1.2, 3), (1.5, 3), (2.0, 2), (2.5, 2), (3.0, 3), (4.0, 4), (5.0, 2), (6.0, 3), (8.0, 4)];
    let found = choices.into_iter().find(|(factor, _)| factor * unit >= most * 0.999_999);
    found.map_or((10.0 * unit, 2), |(factor, steps)| (factor * unit, steps))
}

/// Returns a number as text for an axis: `0.5`, `12`, `1.5k`.
pub(super) fn number(value: f64) -> String {
    let units = [(1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")];
    let (unit, name) = units.into_iter().find(|(unit, _)| value >= *unit).unwrap_or((1.0, ""));
    let shown = format!("{:.2}", value / unit);
    let shown = shown.trim_end_matches('0').trim_end_matches('.');
    format!("{shown}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_a_round_number() {
        let tops = [0.0, 0.03, 0.9, 1.0, 7.0, 9.5, 101.0, 2_400.0].map(|most| number(nice(most).0));

        assert_eq!(tops, ["1", "0.03", "1", "1", "8", "10", "120", "2.5k"]);
    }

    #[test]
    fn a_chart_of_no_points_and_of_one_point_is_valid() {
        for values in [vec![], vec![((0, 0), Some(3.0))], vec![((0, 1_000), None)]] {
            let times: Vec<(i64, i64)> = values.iter().map(|(time, _)| *time).collect();
            let series = |mark| Series { name: "rows", mark, values: values.clone() };
            let chart = Chart {
                id: "a".to_owned(),
                title: "Rows".to_owned(),
                words: "Rows".to_owned(),
                series: vec![series(Mark::Ok), series(Mark::Bad), series(Mark::Solid)],
                lines: Some((&[0.8], "80%")),
                is_share: false,
            };

            let html = chart.html(&Axis::of(&times));

            assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
            assert_eq!(
                html.matches("class=\"area ok\" d=\"M0 ").count(),
                1 + usize::from(values.first().is_some_and(|(_, value)| value.is_some()))
            );
        }
    }
}
