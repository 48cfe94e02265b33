//! Draws lines of a terminal as an SVG picture without any outside resource.

use std::fmt::Write;

use avt::{Cell, Color, Line, Pen};

/// The width and height of a character, in pixels.
const CELL: (f64, f64) = (8.4, 19.0);
/// The space around the text, in pixels.
const MARGIN: f64 = 18.0;

/// The colours of a picture.
pub struct Palette {
    pub name: &'static str,
    ground: &'static str,
    border: &'static str,
    usual: &'static str,
    faint: &'static str,
    red: &'static str,
    green: &'static str,
    yellow: &'static str,
    magenta: &'static str,
    cyan: &'static str,
}

/// The colours for pages with a dark and with a light background.
pub const PALETTES: [Palette; 2] = [
    Palette {
        name: "dark",
        ground: "#0d1117",
        border: "#30363d",
        usual: "#e6edf3",
        faint: "#8b949e",
        red: "#ff7b72",
        green: "#56d364",
        yellow: "#e3b341",
        magenta: "#d2a8ff",
        cyan: "#39c5cf",
    },
    Palette {
        name: "light",
        ground: "#ffffff",
        border: "#d0d7de",
        usual: "#1f2328",
        faint: "#59636e",
        red: "#cf222e",
        green: "#116329",
        yellow: "#7d4e00",
        magenta: "#8250df",
        cyan: "#1b7c83",
    },
];

/// Returns a picture of these lines. `title` says what the picture shows, for people who can't see it.
pub fn picture(lines: &[Line], title: &str, palette: &Palette) -> String {
    let columns = lines.iter().map(|line| line.text().trim_end().chars().count()).max().unwrap_or(0);
    let (width, height) = (columns as f64 * CELL.0 + 2.0 * MARGIN, lines.len() as f64 * CELL.1 + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\" role=\"img\">\n<title>{}</title>\n<desc>{}</desc>\n<rect x=\"0.5\" y=\"0.5\" \
         width=\"{:.0}\" height=\"{:.0}\" rx=\"8\" fill=\"{}\" stroke=\"{}\"/>\n<g font-family=\"ui-monospace, \
         SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"14\">\n",
        escaped(title),
        escaped(&texts(lines).join("\n")),
        width - 1.0,
        height - 1.0,
        palette.ground,
        palette.border,
    );
    for (row, line) in lines.iter().enumerate() {
        let top = MARGIN + row as f64 * CELL.1;
        let mut column = 0;
        for run in runs(line) {
            push_run(&mut svg, &run, MARGIN + column as f64 * CELL.0, top, palette);
            column += run.len();
        }
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

/// Returns the text of lines. Blanks at the ends of lines are left out.
pub fn texts(lines: &[Line]) -> Vec<String> {
    lines.iter().map(|line| line.text().trim_end().to_owned()).collect()
}

/// Returns the lines of text that a picture shows.
pub fn shown_by(picture: &str) -> Vec<String> {
    let (_, rest) = picture.split_once("<desc>").expect("the picture has a text");
    let (text, _) = rest.split_once("</desc>").expect("the text ends");
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").lines().map(str::to_owned).collect()
}

/// Returns the cells of a line, divided where the style changes and where a bar begins or ends.
fn runs(line: &Line) -> Vec<Vec<Cell>> {
    line.chunks(|before, after| before.pen() != after.pen() || kind(before) != kind(after)).collect()
}

/// Returns the kind of a cell: a blank, a full cell of a bar, an empty cell of a bar, or text.
fn kind(cell: &Cell) -> char {
    match cell.char() {
        bar @ ('█' | '░') => bar,
        _ => 't',
    }
}

fn push_run(svg: &mut String, run: &[Cell], left: f64, top: f64, palette: &Palette) {
    let text: String = run.iter().map(Cell::char).collect();
    let Some(pen) = run.first().map(Cell::pen) else { return };
    let color = color(pen, palette);
    let width = run.len() as f64 * CELL.0;
    match run.first().map(kind) {
        _ if text.trim().is_empty() => {}
        Some(bar @ ('█' | '░')) => {
            let opacity = if bar == '█' { "" } else { " fill-opacity=\"0.25\"" };
            let _ = writeln!(
                svg,
                "<rect x=\"{left:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"11\" fill=\"{color}\"{opacity}/>",
                top + 4.0
            );
        }
        _ => {
            let weight = if pen.is_bold() { " font-weight=\"700\"" } else { "" };
            let text = text.trim_end();
            let width = text.chars().count() as f64 * CELL.0;
            let _ = writeln!(
                svg,
                "<text x=\"{left:.1}\" y=\"{:.1}\" fill=\"{color}\"{weight} textLength=\"{width:.1}\">{}</text>",
                top + 14.0,
                // Some browsers remove blanks at the start of a text, and shorten several blanks to one.
                escaped(text).replace(' ', "\u{a0}")
            );
        }
    }
}

fn color(pen: &Pen, palette: &Palette) -> &'static str {
    match pen.foreground() {
        Some(Color::Indexed(1 | 9)) => palette.red,
        Some(Color::Indexed(2 | 10)) => palette.green,
        Some(Color::Indexed(3 | 11)) => palette.yellow,
        Some(Color::Indexed(5 | 13)) => palette.magenta,
        Some(Color::Indexed(6 | 14)) => palette.cyan,
        _ if pen.is_faint() => palette.faint,
        _ => palette.usual,
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
