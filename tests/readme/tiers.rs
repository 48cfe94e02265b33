//! Checks that the tables of tiers have the same numbers as the catalog.

use claude_batch::catalog::Catalog;
use claude_batch::domain::{ModelClass, RateLimits, Tier};

use crate::page::{Page, readme};

#[test]
fn the_table_of_tiers_in_the_readme_has_the_limits_of_the_catalog() {
    let readme = readme();
    let rows = rows_of_tiers(readme.section("## Limits"));

    assert_eq!(rows.len(), 3);
    for (tier, cells) in rows {
        for class in ["haiku-4.5", "haiku-5.5", "sonnet-5.5", "opus-5.5"] {
            assert_eq!(limits(&cells.join(" / ")), published(tier, class), "{} {class}", tier.name());
        }
    }
}

#[test]
fn the_table_of_all_tiers_has_the_limits_of_the_catalog() {
    let page = Page::read("src/limiter/LIMITS.md");
    let rows = rows_of_tiers(page.section("## Tiers"));

    assert_eq!(rows.len(), 7);
    for (tier, cells) in rows {
        for (cell, class) in cells.iter().zip(["haiku-4.5", "sonnet-4.x", "opus-4.x"]) {
            assert_eq!(limits(cell), published(tier, class), "{} {class}", tier.name());
        }
    }
}

/// Returns the rows of a table that begin with the name of a tier. The cell with the name of the tier is left out.
fn rows_of_tiers(text: &str) -> Vec<(Tier, Vec<String>)> {
    let row = |line: &str| {
        let mut cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
        let name = cells.next()?;
        let tier = Tier::ALL.into_iter().find(|tier| tier.name() == name)?;
        Some((tier, cells.collect()))
    };
    text.lines().filter(|line| line.starts_with('|')).filter_map(row).collect()
}

/// Returns the limits in a text such as `1,000 / 450k / 90k`.
fn limits(text: &str) -> RateLimits {
    let number = |text: &str| {
        let text = text.trim().replace(',', "");
        let (digits, factor) = match (text.strip_suffix('M'), text.strip_suffix('k')) {
            (Some(digits), _) => (digits, 1_000_000),
            (None, Some(digits)) => (digits, 1_000),
            (None, None) => (text.as_str(), 1),
        };
        digits.parse::<u32>().unwrap_or_else(|error| panic!("{text}: {error}")) * factor
    };
    let numbers: Vec<_> = text.split('/').map(number).collect();
    RateLimits::new(numbers[0], numbers[1], numbers[2])
}

fn published(tier: Tier, class: &str) -> RateLimits {
    let found = Catalog::builtin().limits(tier, &ModelClass(class.into()));
    assert!(!found.substituted, "{} has no row for {class}", tier.name());
    found.limits
}
