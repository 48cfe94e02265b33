use std::sync::Mutex;

use jiff::civil::date;

use super::*;
use crate::cli::args::Settings;
use crate::cli::args::steered::schedule;
use crate::cli::config::world::World;

/// Returns the settings of a run with these windows of `--schedule`. Also returns the settings that the run finds when
/// it reads its files again. A test can change these settings.
fn settings(windows: &[&str]) -> (CurrentSettings, Arc<Mutex<Config>>) {
    let mut config = Config::of_settings(Settings::default(), &World::default()).expect("the defaults are right");
    config.watch.schedule = windows.iter().map(|window| schedule(window).expect("it is a window")).collect();
    let files = Arc::new(Mutex::new(config.clone()));
    let read = files.clone();
    let reread: Reread = Box::new(move || Ok(read.lock().expect("nobody panics").clone()));
    (CurrentSettings::new(config, reread, Arc::new(Catalog::builtin()), 1, Some(&Survey::default())), files)
}

fn at(hour: i8) -> DateTime {
    date(2026, 11, 20).at(hour, 0, 0, 0)
}

/// Returns a text for each order: the message to the user, or the name of the order if there is no message.
fn told(turns: Vec<SteerResult>) -> Vec<String> {
    let told = |turn: SteerResult| match turn {
        Ok(Steer { order: Order::Set(_), message, .. }) => message,
        Ok(Steer { order, .. }) => format!("{order:?}"),
        Err(message) => message,
    };
    turns.into_iter().map(told).collect()
}

fn by_ctl(settings: &mut CurrentSettings, change: &str) -> String {
    let turn = settings.set(&[Change::parse(change).expect("it is a change")], SteeredBy::Ctl);
    told(vec![turn]).remove(0)
}

#[test]
fn a_window_changes_settings_when_it_begins_and_gives_them_back_when_it_ends() {
    let (mut settings, _) = settings(&["9:00-18:00 headroom=50% rpm=100", "12:00-13:00 headroom=80% pause"]);

    let seen = [8, 9, 10, 12, 13, 18, 19].map(|hour| told(settings.follow_clock(at(hour))));

    assert_eq!(
        seen,
        [
            vec![],
            vec!["headroom is 50% (was auto), rpm is 100 (was not set)".to_owned()],
            vec![],
            vec!["headroom is 80% (was 50%)".to_owned(), "Pause".to_owned()],
            vec!["headroom is 50% (was 80%)".to_owned(), "Resume".to_owned()],
            vec!["headroom is auto (was 50%), rpm is not set (was 100)".to_owned()],
            vec![],
        ]
    );
}

#[test]
fn a_change_by_ctl_counts_until_the_next_window_begins_or_ends() {
    let (mut settings, _) = settings(&["9:00-18:00 headroom=50%"]);
    settings.follow_clock(at(9));

    assert_eq!(by_ctl(&mut settings, "headroom=10%"), "headroom is 10% (was 50%)");
    assert_eq!(told(settings.follow_clock(at(10))), Vec::<String>::new());
    assert_eq!(by_ctl(&mut settings, "headroom=10%"), "headroom is 10%, as before");
    assert_eq!(told(settings.follow_clock(at(18))), ["headroom is auto (was 10%)"]);
}

#[test]
fn a_clock_that_jumps_into_a_window_opens_it_and_a_jump_over_it_changes_nothing() {
    let (mut settings, _) = settings(&["9:00-18:00 pause"]);

    let seen = [8, 20, 12, 14, 8, 12].map(|hour| told(settings.follow_clock(at(hour))));

    assert_eq!(
        seen,
        [vec![], vec![], vec!["Pause".to_owned()], vec![], vec!["Resume".to_owned()], vec!["Pause".to_owned()]]
    );
}

#[test]
fn files_that_are_read_again_change_only_what_differs_from_the_last_reading() {
    let (mut settings, files) = settings(&[]);
    by_ctl(&mut settings, "headroom=10%");
    by_ctl(&mut settings, "rpm=100");

    let unchanged = told(vec![settings.reread()]);
    files.lock().expect("nobody panics").limits.rpm = Some(500);
    let changed = told(vec![settings.reread()]);

    assert_eq!(unchanged, ["settings read again: limits, concurrency and budget are as before"]);
    assert_eq!(changed, ["settings read again: rpm is 500 (was 100)"]);
    assert_eq!(by_ctl(&mut settings, "rpm=default"), "rpm is 500, as before");
    assert_eq!(by_ctl(&mut settings, "headroom=default"), "headroom is auto (was 10%)", "the change by ctl had stayed");
}

#[test]
fn a_schedule_lowers_the_caps_of_the_user_and_does_not_raise_them() {
    let (mut settings, files) = settings(&["9:00-12:00 max-cost=1000 max-requests=5"]);
    let mut config = files.lock().expect("nobody panics").clone();
    (config.max_cost, config.max_requests) = (Some(crate::domain::Money::from_dollars(5.0)), Some(10));
    *files.lock().expect("nobody panics") = config;
    settings.reread().expect("it is right");

    let seen = told(settings.follow_clock(at(9)));

    assert_eq!(seen, ["max-cost is $5.00, as before, max-requests is 5 (was 10)"]);
}

#[test]
fn a_refused_change_changes_nothing() {
    let (mut settings, _) = settings(&[]);
    settings.unpriced = Some(Some("a-model".into()));

    let budget = by_ctl(&mut settings, "budget=5");
    settings.unpriced = None;
    let for_a_pipe = by_ctl(&mut settings, "budget=5");

    assert!(budget.contains("max-cost needs a price for a-model"), "{budget}");
    assert!(for_a_pipe.contains("can't be set during a run whose rows come from a pipe"), "{for_a_pipe}");
    assert_eq!(by_ctl(&mut settings, "max-cost=default"), "max-cost is not set, as before");
}
