//! Checks that the figures of the README are measured: each figure is also on a page that benchmarks write.

use crate::page::{Page, readme};

/// The page that compares the program with other tools. If this page is missing, its figures are not checked.
const PEERS: &str = "benches/PEERS.md";

/// The sections in which every number counts as a figure. In other sections, a number is a figure only if its paragraph
/// has a link to a page.
const MEASURED: [&str; 2] = ["## Five reasons", "## Compared with other ways"];

#[test]
fn every_figure_is_on_a_page_that_its_paragraph_links() {
    let readme = readme();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for section in readme.text.split("\n## ") {
        let is_measured = MEASURED.iter().any(|heading| section.starts_with(&heading["## ".len()..]));
        for paragraph in paragraphs(section) {
            let measured = pages_of(&paragraph);
            if measured.is_empty() && !is_measured {
                continue;
            }
            let measured: String = measured.iter().map(|path| Page::read(path).text).collect();
            for figure in figures(&paragraph) {
                checked += 1;
                if !numbers(&measured).any(|number| number == figure) {
                    wrong.push(format!("{figure} is not on the pages of: {}", paragraph.trim()));
                }
            }
        }
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(checked >= 20, "only {checked} figures were found");
}

#[test]
fn each_row_of_the_comparison_has_the_figures_of_its_tool() {
    let (readme, peers) = (readme(), Page::read(PEERS));
    let measured = rows(&peers.text);
    let rows = rows(readme.section("## Compared with other ways"));

    for row in rows.iter().filter(|row| !row[0].is_empty() && !row[0].starts_with('-')) {
        let own: Vec<_> = measured.iter().filter(|own| own[0] == row[0]).flatten().collect();
        for cell in row.iter().filter(|cell| !cell.is_empty()) {
            assert!(own.contains(&cell), "{cell} is not in a row of {}", row[0]);
        }
    }
    assert!(rows.len() >= 9, "{rows:?}");
}

/// Returns the cells of the rows of all tables in a text.
fn rows(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    text.lines().filter(|line| line.starts_with('|')).map(cells).collect()
}

/// Returns the paragraphs and list items of a text. A table counts as a part of the paragraph above it.
fn paragraphs(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut is_new = true;
    for line in text.lines() {
        let starts = line.starts_with("- ") || line.starts_with("1. ") || (is_new && !line.starts_with('|'));
        match found.last_mut() {
            Some(last) if !starts => last.push_str(&format!("\n{line}")),
            _ => found.push(line.to_owned()),
        }
        is_new = line.is_empty();
    }
    found
}

/// Returns the pages of `benches` to which a paragraph has links.
fn pages_of(paragraph: &str) -> Vec<String> {
    let links = paragraph.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    links.filter(|target| target.starts_with("benches/")).map(str::to_owned).collect()
}

/// Returns the figures in a paragraph: its numbers, with two exceptions. Numbers in code and the number of a list item
/// are left out.
fn figures(paragraph: &str) -> Vec<String> {
    let without_code: String = paragraph.split('`').step_by(2).collect();
    let without_links: String =
        without_code.split("](").map(|part| part.split_once(')').map_or(part, |(_, rest)| rest)).collect();
    let text = without_links.strip_prefix("1. ").unwrap_or(&without_links).to_owned();
    numbers(&text).map(str::to_owned).collect()
}

/// Returns the numbers in a text, as they are spelled: `1,000`, `0.5`.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|char: char| !(char.is_ascii_digit() || ['.', ','].contains(&char)));
    words.map(|word| word.trim_matches(['.', ','])).filter(|word| !word.is_empty())
}
