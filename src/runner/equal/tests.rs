use super::*;
use crate::plan::RequestCensus;
use crate::scheduler::tests::long;

#[test]
fn the_first_of_equal_rows_leads_and_the_other_rows_copy_its_answer() {
    let mut equal = EqualRows::new(None, None);

    assert_eq!([admit(&mut equal, 1), admit(&mut equal, 1), admit(&mut equal, 2)], [true, false, true]);
    assert!(!equal.is_empty() && equal.next_due().is_none());
    equal.on_answer(key(1), 70);

    assert_eq!(due(&mut equal), [(1, 70)]);
    assert!(equal.is_empty());
    assert!(!admit(&mut equal, 1), "a row that comes later copies the same answer");
    assert_eq!(due(&mut equal), [(1, 70)]);
}

#[test]
fn when_the_leader_ends_without_an_answer_the_next_row_leads() {
    let mut equal = EqualRows::new(None, None);
    (0..3).for_each(|_| _ = admit(&mut equal, 1));

    equal.on_end(key(1));
    assert!(equal.next_freed().is_some() && equal.next_freed().is_none());
    equal.on_end(key(1));
    assert!(equal.next_freed().is_some());
    equal.on_end(key(1));

    assert!(equal.is_empty() && equal.next_freed().is_none());
    assert!(admit(&mut equal, 1), "nobody leads");
}

#[test]
fn rows_whose_key_occurs_once_are_not_tracked() {
    let mut census = RequestCensus::recognizing();
    [1, 2, 1].into_iter().for_each(|number| _ = census.add(key(number)));
    let mut equal = EqualRows::new(Some(census.finish().1), None);

    assert!(admit(&mut equal, 2) && admit(&mut equal, 1));

    assert!(equal.leads(key(1)) && !equal.leads(key(2)));
}

#[test]
fn the_number_of_rows_that_wait_is_limited() {
    let mut equal = EqualRows::new(None, None);
    admit(&mut equal, 1);
    let mut rows = 0;
    while !equal.is_full() {
        assert!(!admit(&mut equal, 1));
        rows += 1;
    }
    assert_eq!(rows, MOST_ROWS);

    let mut equal = EqualRows::new(None, None);
    (0..20).for_each(|_| _ = equal.admit(long("one", MOST_BYTES / 10)));
    assert!(equal.is_full());
    assert_eq!(equal.into_rows().count(), 19, "one of them was sent");
}

#[test]
fn all_random_rows_end_and_are_counted_correctly() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut equal = EqualRows::new(None, None);
        let (mut sent, mut copied, mut in_flight) = (0, 0, Vec::new());
        let rows = random.usize(1..60);
        for _ in 0..rows {
            let number = random.u8(0..5);
            if admit(&mut equal, number) {
                in_flight.push(number);
            }
            while in_flight.len() > random.usize(0..4) {
                end(&mut equal, &mut in_flight, &mut sent, &mut random);
                copied += due(&mut equal).len();
            }
        }
        while !in_flight.is_empty() {
            end(&mut equal, &mut in_flight, &mut sent, &mut random);
        }
        copied += due(&mut equal).len();

        assert_eq!((sent + copied, equal.is_empty(), equal.bytes), (rows, true, 0), "seed {seed}");
    }
}

/// Chooses a row in flight at random, and ends it with or without an answer.
fn end(equal: &mut EqualRows, in_flight: &mut Vec<u8>, ended: &mut usize, random: &mut fastrand::Rng) {
    let number = in_flight.swap_remove(random.usize(0..in_flight.len()));
    match random.bool() {
        true => equal.on_answer(key(number), u64::from(number)),
        false => equal.on_end(key(number)),
    }
    *ended += 1;
    while let Some(planned) = equal.next_freed() {
        in_flight.push(planned.job.key.0[0]);
    }
}

fn key(number: u8) -> JobKey {
    JobKey([number; 16])
}

/// Passes a row with this key to `EqualRows`. Returns whether the row must be sent.
fn admit(equal: &mut EqualRows, number: u8) -> bool {
    let mut planned = long("one", 10);
    planned.job.key = key(number);
    equal.admit(planned).is_some()
}

/// Returns the keys and places of all rows that can copy an answer.
fn due(equal: &mut EqualRows) -> Vec<(u8, u64)> {
    std::iter::from_fn(|| equal.next_due()).map(|(planned, place)| (planned.job.key.0[0], place)).collect()
}
