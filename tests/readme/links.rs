//! Checks that the links of the pages lead to files and headings that exist.

use std::path::{Component, Path, PathBuf};

use crate::page::{Page, pages, readme, root};

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut wrong = Vec::new();
    for page in pages() {
        for target in targets(&page) {
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = if file.is_empty() { PathBuf::from(&page.path) } else { beside(&page, file) };
            let is_there = root().join(&path).is_file();
            if !is_there || !(anchor.is_empty() || anchors(&path).iter().any(|known| known == anchor)) {
                wrong.push(format!("{}: {target}", page.path));
            }
        }
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_readme_links_every_page_beside_the_code() {
    let readme = readme();
    let linked = targets(&readme);

    for page in pages().iter().filter(|page| page.path != readme.path) {
        assert!(linked.iter().any(|target| target.split('#').next() == Some(page.path.as_str())), "{}", page.path);
    }
}

#[test]
fn a_reader_gets_through_the_readme_in_one_sitting() {
    let lines = readme().text.lines().count();

    assert!(lines < 300, "{lines} lines");
}

/// Returns the targets of the links of a page, except addresses on the web.
fn targets(page: &Page) -> Vec<String> {
    let prose = page.prose();
    let until = |rest: &str, end: char| rest.split(end).next().unwrap_or_default().to_owned();
    let links = prose.split("](").skip(1).map(|rest| until(rest, ')'));
    let pictures = ["src=\"", "srcset=\""].into_iter();
    let pictures = pictures.flat_map(|name| prose.split(name).skip(1).map(|rest| until(rest, '"')).collect::<Vec<_>>());
    links.chain(pictures).filter(|target| !target.starts_with("http")).collect()
}

/// Returns the path of a file, relative to the root of the repository. `file` is relative to the folder of the page.
fn beside(page: &Page, file: &str) -> PathBuf {
    let folder = Path::new(&page.path).parent().expect("a page is in a folder");
    let mut path = PathBuf::new();
    for part in folder.join(file).components() {
        match part {
            Component::ParentDir => assert!(path.pop(), "{}: {file} leads out of the repository", page.path),
            part => path.push(part),
        }
    }
    path
}

/// Returns the anchors of the headings of a page, as GitHub makes them.
fn anchors(path: &Path) -> Vec<String> {
    let page = Page::read(path.to_str().expect("text"));
    let heading = |line: &str| {
        let text = line.trim_start_matches('#');
        (text.starts_with(' ') && text.len() < line.len()).then(|| text.trim().to_lowercase())
    };
    let anchor = |text: String| {
        let kept = text.chars().filter(|char| char.is_alphanumeric() || [' ', '-', '_'].contains(char));
        kept.map(|char| if char == ' ' { '-' } else { char }).collect()
    };
    page.prose().lines().filter_map(heading).map(anchor).collect()
}
