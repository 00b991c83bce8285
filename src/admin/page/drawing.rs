//! The drawings of the last hour.

use std::fmt::Write as _;

use super::super::history::{History, Speed};
use super::{number, span};

/// Seconds that a drawing covers, at most and at least, and its size in units of its own.
const HOUR: f64 = 3600.0;
const YOUNG: f64 = 300.0;
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 120.0;

/// Seconds ago, and the value then: where there is none the curve has a gap.
type Point = (f64, Option<f64>);

/// Both drawings.
pub(super) fn drawings(out: &mut String, history: &History) {
    let lag = history.lag();
    let speeds = history.speeds();
    let curve = |of: fn(&Speed) -> f64| -> Vec<Point> {
        speeds.iter().map(|s| (s.ago, Some(of(s)))).collect()
    };
    // A daemon that is young has no hour to show.
    let seconds = lag.first().map_or(0.0, |(ago, _)| *ago).clamp(YOUNG, HOUR);
    let _ = write!(
        out,
        "<section class=\"drawings\"><h2>The last {}</h2>",
        span(seconds)
    );
    draw(out, seconds, "Lag", "s", &[("behind the source", lag)]);
    let throughput = [
        ("transactions", curve(|s| s.transactions)),
        ("rows copied", curve(|s| s.rows)),
        ("items written", curve(|s| s.items)),
    ];
    draw(out, seconds, "Throughput", "/s", &throughput);
    out.push_str("</section>");
}

/// A drawing of curves over the last `seconds`, with a key that tells which line is which.
fn draw(out: &mut String, seconds: f64, title: &str, unit: &str, curves: &[(&str, Vec<Point>)]) {
    let most = |points: &[Point]| {
        let seen = points.iter().filter(|(ago, _)| *ago <= seconds);
        seen.filter_map(|(_, value)| *value).fold(0.0, f64::max)
    };
    let tops: Vec<(&str, f64)> = curves.iter().map(|(name, p)| (*name, most(p))).collect();
    let top = tops.iter().map(|(_, top)| *top).fold(0.0, f64::max);
    let scale = if top > 0.0 { top } else { 1.0 };
    let said: Vec<String> = tops
        .iter()
        .map(|(name, top)| format!("{name} at most {} {unit}", number(*top)))
        .collect();
    let said = format!(
        "{title} over the last {}: {}",
        span(seconds),
        said.join(", ")
    );
    let _ = write!(out, "<figure><figcaption>{title}");
    for (place, (name, top)) in tops.iter().enumerate() {
        let _ = write!(
            out,
            " <span class=\"key\"><svg viewBox=\"0 0 30 10\" aria-hidden=\"true\"><path class=\"curve{place}\" d=\"M0 5L30 5\"/></svg> \
             {name}, at most {} {unit}</span>",
            number(*top),
        );
    }
    let _ = write!(
        out,
        "</figcaption><svg class=\"drawing\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{said}\" \
         preserveAspectRatio=\"none\"><title>{said}</title>",
    );
    for (place, (_, points)) in curves.iter().enumerate() {
        let path = path(points, seconds, scale);
        let _ = write!(out, "<path class=\"curve{place}\" d=\"{path}\"/>");
    }
    out.push_str("</svg></figure>");
}

fn path(points: &[Point], seconds: f64, scale: f64) -> String {
    let mut path = String::new();
    let mut pen_is_down = false;
    for (ago, value) in points {
        let Some(value) = value.filter(|_| *ago <= seconds) else {
            pen_is_down = false;
            continue;
        };
        let x = WIDTH * (1.0 - ago / seconds);
        let y = HEIGHT - 2.0 - (HEIGHT - 6.0) * value / scale;
        let _ = write!(path, "{}{x:.1} {y:.1}", if pen_is_down { "L" } else { "M" });
        pen_is_down = true;
    }
    path
}
