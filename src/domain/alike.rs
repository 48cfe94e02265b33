//! Groups equal faults of many rows. Each group has a count and an example.

/// The highest number of groups. Each of the first `MOST` different faults gets a group. All rows whose fault has no
/// group are counted together.
const MOST: usize = 20;

/// Only this number of bytes at the start of each message is compared. Only messages that list names are longer than
/// this.
const COMPARED: usize = 1_000;

/// Faults, grouped by their messages. Parts of a message that come from the row, such as numbers, are ignored. The
/// number of groups is limited, so the memory in use is limited too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alike<T> {
    groups: Vec<Group<T>>,
    others: u64,
}

/// The rows that have the same fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group<T> {
    message: String,
    /// The number of rows with this fault.
    pub rows: u64,
    /// The example of the group: the value that the caller made for the first row with this fault.
    pub first: T,
}

impl<T> Default for Alike<T> {
    fn default() -> Self {
        Self { groups: Vec::new(), others: 0 }
    }
}

impl<T> Alike<T> {
    /// Counts a row with this message. The first row with such a message starts a group, and `first` is called to get
    /// the example of the group.
    pub fn add(&mut self, message: &str, first: impl FnOnce() -> T) {
        let message = without_values(message);
        match self.groups.iter().position(|group| group.message == message) {
            Some(at) => self.groups[at].rows += 1,
            None if self.groups.len() < MOST => self.groups.push(Group { message, rows: 1, first: first() }),
            None => self.others += 1,
        }
    }

    /// Returns the groups, sorted from the largest to the smallest.
    pub(crate) fn by_size(&self) -> Vec<&Group<T>> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.rows));
        groups
    }

    /// Returns the example of the first fault that was found.
    pub fn first(&self) -> Option<&T> {
        self.groups.first().map(|group| &group.first)
    }

    /// Returns how many rows belong to no group because there were too many different faults.
    pub fn others(&self) -> u64 {
        self.others
    }
}

/// Returns a message without the parts that differ from row to row: numbers, and text in quotation marks. Numbers
/// inside names, such as `claude-haiku-4-5`, are kept.
fn without_values(message: &str) -> String {
    let mut end = message.len().min(COMPARED);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let mut shown = String::with_capacity(end);
    let mut chars = message[..end].chars().peekable();
    // `is_in_name` says whether the current character is inside a name. `may_be_sign` says whether a `-` at this place
    // can be the sign of a number.
    let (mut is_in_name, mut may_be_sign) = (false, true);
    while let Some(char) = chars.next() {
        match char {
            '"' => {
                shown.push_str("\"…\"");
                let mut is_escaped = false;
                chars.by_ref().find(|char| {
                    let is_end = *char == '"' && !is_escaped;
                    is_escaped = *char == '\\' && !is_escaped;
                    is_end
                });
            }
            '0'..='9' if !is_in_name => {
                shown.push('#');
                while chars.next_if(|char| char.is_ascii_alphanumeric()).is_some() {}
            }
            '-' if may_be_sign && chars.peek().is_some_and(char::is_ascii_digit) => {}
            _ => shown.push(char),
        }
        is_in_name = (char.is_alphanumeric() && !char.is_ascii_digit())
            || (is_in_name && (char.is_ascii_digit() || matches!(char, '-' | '_')));
        may_be_sign = char.is_whitespace();
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_differ_only_in_values_are_one_fault() {
        for (one, other) in [
            ("max_tokens is 128000, above the 64000", "max_tokens is 200000, above the 8192"),
            ("has 4 cells where the header has 3", "has 12 cells where the header has 3"),
            ("is not UTF-8: byte 0xff", "is not UTF-8: byte 0x92"),
            ("has max_tokens -1; it must", "has max_tokens 0; it must"),
            (r#"has the id "a b", used twice"#, r#"has the id "c \" d", used twice"#),
            (r#"model is "aaa…, not a name"#, r#"model is "bbb…, or so"#),
            ("messages.0.content: too long", "messages.17.content: too long"),
        ] {
            assert_eq!(without_values(one), without_values(other));
        }
    }

    #[test]
    fn messages_that_differ_in_other_ways_are_several_faults() {
        for (one, other) in [
            ("has `seed` in `body`", "has `top_k` in `body`"),
            ("above what claude-haiku-4-5 takes", "above what claude-haiku-5-5 takes"),
            ("has no titel", "has no text"),
            ("has an empty `prompt`", "has an empty prompt"),
        ] {
            assert_ne!(without_values(one), without_values(other));
        }
    }

    #[test]
    fn groups_are_counted_with_their_first_row_and_bounded() {
        let mut alike = Alike::default();
        for row in 0..1_000 {
            let message = if row % 10 == 3 { format!("fault {}", "x".repeat(row)) } else { format!("is {row}") };
            alike.add(&message, || row);
        }

        let groups = alike.by_size();

        assert_eq!((groups.len(), groups[0].rows, groups[0].first), (MOST, 900, 0));
        assert_eq!((groups[1].rows, groups[1].first), (1, 3));
        assert_eq!(alike.others() + groups.iter().map(|group| group.rows).sum::<u64>(), 1_000);
        assert_eq!(alike.first(), Some(&0));
    }

    #[test]
    fn any_text_can_be_compared() {
        let long = format!("{}é\"", "x".repeat(COMPARED - 1));

        assert_eq!(without_values(&long).len(), COMPARED - 1);
        assert_eq!(without_values("日本 5 - \"\u{1b}\""), "日本 # - \"…\"");
    }
}
