//! Names of columns and members in messages: long names are shortened, and wrong names are compared with known ones.

/// How many column names a message shows.
const SHOWN: usize = 30;

/// Returns at most thirty column names for a message. Each name is shortened to [`LONGEST_NAME`], and a name with
/// blanks is quoted.
pub(super) fn name_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let mut shown: Vec<String> = names.by_ref().take(SHOWN).map(short).collect();
    let hidden = names.count();
    if hidden > 0 {
        shown.push(format!("and {hidden} more"));
    }
    shown.join(", ")
}

/// Returns [`name_list`]. If a name in `wrong` looks misspelt, the text ends with the name that was probably meant.
pub(crate) fn found_list<'a>(names: impl IntoIterator<Item = &'a str>, wrong: &[&str]) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let meant = wrong.iter().find_map(|wrong| nearest(wrong, names.iter().copied()));
    let list = name_list(names.iter().copied());
    match meant {
        Some(name) => format!("{list}; did you mean {}?", short(name)),
        None => list,
    }
}

/// The length, in characters, of the longest column or member name that is shown in full. Nobody types a longer name,
/// so longer names are not checked for misspellings.
pub(super) const LONGEST_NAME: usize = 40;

/// Shortens a name to [`LONGEST_NAME`] for a message, and quotes the name if it is not a plain word.
pub(super) fn short(name: &str) -> String {
    let cut: String = name.chars().take(LONGEST_NAME).collect();
    let dots = if cut.len() < name.len() { "…" } else { "" };
    let is_plain = !cut.is_empty() && cut.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if is_plain { format!("{cut}{dots}") } else { format!("{cut:?}{dots}") }
}

/// Returns whether `name` looks like a misspelling; `of` is the correct name.
pub(super) fn is_misspelt(name: &str, of: &str) -> bool {
    name != of && name.len() <= LONGEST_NAME && is_near(&plain(name), &plain(of))
}

/// The largest number of names that are compared with a wrong name.
const MAX_COMPARED: usize = 200;

/// Given a wrong name, returns the name that was probably meant.
pub(crate) fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let wanted = plain(name);
    let names =
        names.into_iter().take(MAX_COMPARED).filter(|other| name.len() <= LONGEST_NAME && other.len() <= LONGEST_NAME);
    let near = names.map(|other| (edits(&wanted, &plain(other)), other));
    let (edits, nearest) = near.min_by_key(|(edits, _)| *edits)?;
    // The given name is certainly wrong. So a known name that differs from the given name by one edit is suggested,
    // even if both names are short.
    let is_close = || wanted.len() >= 3 && (edits <= 1 || plain(nearest).contains(&wanted));
    (is_near(&wanted, &plain(nearest)) || is_close()).then_some(nearest)
}

/// The largest number of similar names that are suggested.
const MAX_SUGGESTED: usize = 3;

/// Returns up to three known names that the user probably meant instead of a wrong name, the most similar first. A
/// known name is also suggested if it contains the wrong name, is a part of the wrong name, or consists of the same
/// words. For example, the wrong name `haiku` is a part of the names of some models.
pub(crate) fn nearest_names<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Vec<&'n str> {
    let wanted = plain(name);
    if name.len() > LONGEST_NAME || wanted.len() < 3 {
        return Vec::new();
    }
    let near = names.into_iter().take(MAX_COMPARED).filter_map(|other| {
        let own = plain(other);
        let is_part = own.len() >= 3 && (own.contains(&wanted) || wanted.contains(&own));
        match words(name) == words(other) {
            true => Some((0, other)),
            false => (is_part || is_near(&wanted, &own)).then(|| (edits(&wanted, &own), other)),
        }
    });
    let mut near: Vec<_> = near.collect();
    near.sort_by_key(|(edits, _)| *edits);
    near.into_iter().take(MAX_SUGGESTED).map(|(_, name)| name).collect()
}

/// Returns the words of a name, sorted.
fn words(name: &str) -> Vec<&str> {
    let mut words: Vec<_> = name.split(|c: char| !c.is_alphanumeric()).collect();
    words.sort_unstable();
    words
}

pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

pub(super) fn is_near(one: &str, other: &str) -> bool {
    let allowed = match one.chars().count().min(other.chars().count()) {
        0..=3 => 0,
        4..=6 => 1,
        _ => 2,
    };
    edits(one, other) <= allowed
}

/// Returns how many edits turn one name into the other. An edit is an insertion, a deletion, a replacement, or a swap
/// of two neighbouring characters (optimal string alignment).
fn edits(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().collect();
    let other: Vec<char> = other.chars().collect();
    let mut table = vec![vec![0; other.len() + 1]; one.len() + 1];
    for i in 0..=one.len() {
        for j in 0..=other.len() {
            if i == 0 || j == 0 {
                table[i][j] = i + j;
                continue;
            }
            let change = usize::from(one[i - 1] != other[j - 1]);
            let mut best = (table[i - 1][j] + 1).min(table[i][j - 1] + 1).min(table[i - 1][j - 1] + change);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                best = best.min(table[i - 2][j - 2] + 1);
            }
            table[i][j] = best;
        }
    }
    table[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_and_long_names_are_cut() {
        let names: Vec<String> = (0..40).map(|n| format!("c{n}")).collect();

        let list = name_list(names.iter().map(String::as_str));

        assert!(list.ends_with("c29, and 10 more"), "{list}");
        assert_eq!(name_list(["a b", "\u{1b}[31m", ""]), r#""a b", "\u{1b}[31m", """#);
        assert_eq!(name_list([&*"x".repeat(50)]).chars().count(), 41);
    }

    #[test]
    fn the_nearest_name_is_found_if_it_is_near_enough() {
        let names = ["id", "subject", "body", "ticket_id", "first name"];
        let cases = [
            ("bdy", Some("body")),
            ("boddy", Some("body")),
            ("Subjct", Some("subject")),
            ("ticket", Some("ticket_id")),
            ("ticketId", Some("ticket_id")),
            ("firstname", Some("first name")),
            ("x", None),
            ("customer", None),
        ];

        for (wrong, meant) in cases {
            assert_eq!(nearest(wrong, names), meant, "{wrong}");
        }
        assert_eq!(nearest("a", []), None);
        assert_eq!(nearest_names("ticketid", names), ["ticket_id"]);
        assert_eq!(
            nearest_names("name", ["first name", "nme", "last name", "other", "name x"]),
            ["name x", "last name", "first name"]
        );
        assert_eq!(nearest_names("of/first-name", names), ["first name"]);
    }
}
