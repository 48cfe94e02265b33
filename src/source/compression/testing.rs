//! Functions for the tests of both kinds of compression.

use std::io::Read;

use super::damage::Damage;

/// Returns rows that are all different.
pub(super) fn rows(count: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(count);
    let row = |at: u64| format!("{{\"id\":{at},\"prompt\":\"{:x}\"}}\n", random.u128(..));
    (0..count).map(row).collect::<String>().into_bytes()
}

/// Reads to the end, or up to the first damage. Returns the bytes that were read, and the damage if there is any.
pub(super) fn unpack(mut reader: impl Read) -> (Vec<u8>, Option<String>) {
    let mut unpacked = Vec::new();
    let end = reader.read_to_end(&mut unpacked);
    (unpacked, end.err().map(|error| Damage::of(&error).expect("a read from memory never fails").to_owned()))
}

/// Asserts that the bytes before a damaged place are returned, even if the bytes after this place are missing or wrong.
///
/// A zstd block can only be unpacked as a whole, so up to one block can be lost.
pub(super) fn assert_salvage(text: &[u8], packed: &[u8], unpacked: impl Fn(Box<dyn Read + '_>) -> Box<dyn Read + '_>) {
    const BLOCK: usize = 128 << 10;
    let share = |part: usize| text.len() * part / 10;
    for tenth in 1..10 {
        let (before, after) = packed.split_at(packed.len() * tenth / 10);

        let (cut, is_cut) = unpack(unpacked(Box::new(before)));
        let (wrong, is_wrong) = unpack(unpacked(Box::new(before.chain(&[0xff; 64][..]).chain(&after[64..]))));

        assert!(is_cut.is_some_and(|damage| damage.contains("too early")) && is_wrong.is_some(), "{tenth}");
        assert!(text.starts_with(&cut), "{tenth}");
        let expected = if packed[0] == 0x1f {
            (share(tenth) * 9 / 10).saturating_sub(500)
        } else {
            share(tenth).saturating_sub(BLOCK)
        };
        assert!(cut.len() >= expected, "{tenth}: {} of {}", cut.len(), text.len());
        let same = wrong.iter().zip(text).take_while(|(found, own)| found == own).count();
        assert!(same + 64 >= cut.len(), "{tenth}: {same} of {}", cut.len());
    }
}
