use std::collections::HashSet;
use std::io::Write as _;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::*;
use crate::answer::Decision;
use crate::catalog::Catalog;
use crate::domain::{Ask, ErrorClass, Failure, PromptCache, Quality, RateLimits};
use crate::journal::{MemDisk, StoredFile, Usable};
use crate::plan::{CachePlan, Dialect, Planner, Repeats, RequestDefaults};
use crate::runner::Progress;
use crate::source::Condition;

const LIMITS: RateLimits = RateLimits::new(100, 45_000, 9_000);

#[test]
fn every_row_arrives_once_and_in_order_through_a_narrow_channel() {
    let (plan, _file) = rows(1_000);

    let arrived = items_from(None, &plan, every_third_row_is_new());

    assert_eq!(numbers(&arrived), (0..1_000).step_by(3).collect::<Vec<_>>());
    assert_eq!(skipped(&arrived), 666);
}

#[test]
fn a_reader_that_waits_for_a_full_channel_ends_when_the_receiver_is_dropped() {
    let (plan, _file) = rows(1_000);
    let (out, mut arrived) = mpsc::channel(4);

    let reader = std::thread::spawn(move || feed(&plan, InputOrder::AsWritten, &mut planner(), &Earlier::none(), &out));
    let first = arrived.blocking_recv();
    drop(arrived);

    reader.join().expect("the reader does not panic");
    assert!(matches!(first, Some(Incoming::Planned(_))));
}

#[test]
fn a_survey_counts_rows_that_are_done() {
    let (plan, _file) = rows(30);

    let looked = look(&plan, &every_third_row_is_new());

    assert_eq!((looked.rows, looked.to_send, looked.done, looked.unusable), (30, 10, 20, 0));
    assert!(looked.duplicate.is_none());
}

#[test]
fn rows_of_every_kind_are_numbered_across_all_inputs() {
    const SENT: &str = "{\"prompt\":\"Hi\"}\n";
    let (mut plan, _first) = file(".jsonl", &format!("{SENT}\n{{broken\n{SENT}"));
    let (second, _second) = file(".jsonl", &format!("{{\"prompt\":\"Hi\",\"max_tokens\":\"x\"}}\n[]\n{SENT}"));
    plan.inputs.extend(second.inputs);
    plan.skip = 1;

    let arrived = items_from(None, &plan, Earlier::none());

    let place = |fed: &Incoming| match fed {
        Incoming::Planned(planned) => ("sent", planned.job.index),
        Incoming::Rejected(rejected) => ("rejected", rejected.index),
        Incoming::Broken(broken) => ("broken", broken.index),
        other => panic!("{other:?}"),
    };
    let places: Vec<_> = arrived.iter().map(place).collect();
    assert_eq!(places, [("broken", 1), ("sent", 2), ("rejected", 3), ("broken", 4), ("sent", 5)]);
}

#[test]
fn a_file_read_from_several_places_gives_each_row_once_with_its_own_number_and_line() {
    for (suffix, text) in [(".jsonl", phases_as_json()), (".csv", phases_as_csv())] {
        let (plan, _file) = file(suffix, &text);
        let places = places(&plan, &Earlier::none()).expect("phases are read faster from several places");

        let arrived = items_from(Some(&places), &plan, Earlier::none());

        let as_written = items_from(None, &plan, Earlier::none());
        let in_order = |fed: &[Incoming]| {
            let mut shown: Vec<_> = fed.iter().map(shown).collect();
            shown.sort();
            shown
        };
        assert_eq!(in_order(&arrived), in_order(&as_written), "{suffix}");
        let first: Vec<_> = numbers(&arrived).into_iter().take(places.count()).collect();
        assert!(first.len() > 2 && first.windows(2).all(|pair| pair[1] - pair[0] > 10), "{suffix}: {first:?}");
    }
}

#[test]
fn reading_from_several_places_finds_the_same_left_out_done_and_broken_rows() {
    let (mut plan, _file) = file(".jsonl", &phases_as_json());
    (plan.skip, plan.limit) = (10, Some(800));
    let places = places(&plan, &every_third_row_is_new()).expect("phases are read faster from several places");

    let arrived = items_from(Some(&places), &plan, every_third_row_is_new());

    let as_written = items_from(None, &plan, every_third_row_is_new());
    let (mut numbered, broken) =
        (numbers(&arrived), |fed: &[Incoming]| fed.iter().filter(|fed| is_broken(fed)).count());
    numbered.sort_unstable();
    assert_eq!(numbered, numbers(&as_written));
    assert_eq!((skipped(&arrived), broken(&arrived)), (skipped(&as_written), broken(&as_written)));
    assert_ne!(broken(&arrived), 0);
}

#[test]
fn an_input_with_equal_unnamed_rows_is_read_in_its_written_order() {
    let row = |text: &str| format!("{{\"prompt\":\"{text}\"}}\n");
    let long = row(&"word ".repeat(1_000));
    let text = row("short").repeat(400) + &long.repeat(200);
    let (plan, _file) = file(".jsonl", &text);

    assert!(places(&plan, &Earlier::none()).is_none());
}

#[test]
fn left_out_rows_count_among_equal_rows_in_the_survey_and_in_the_run() {
    let rows = ["a", "b", "c", "d", "e", "a", "b", "a"].map(|text| format!("{{\"prompt\":\"{text}\"}}\n"));
    let (mut plan, _file) = file(".jsonl", &rows.concat());
    let whole = rows_by_place(&plan, look(&plan, &Earlier::none()).repeats);

    for (skip, limit) in [(0, Some(5)), (5, None), (5, Some(1)), (6, None), (7, None)] {
        (plan.skip, plan.limit) = (skip, limit);
        let chunk = rows_by_place(&plan, look(&plan, &Earlier::none()).repeats);

        let expected: Vec<_> = whole.iter().skip(skip as usize).take(chunk.len()).copied().collect();
        assert_eq!(chunk, expected, "skip {skip}, limit {limit:?}");
        assert_eq!(chunk.len() as u64, limit.unwrap_or(8 - skip));
    }
}

#[test]
fn a_rejected_row_counts_among_equal_rows_in_the_survey_and_in_the_run() {
    let rows = "{\"prompt\":\"a\"}\n{\"prompt\":\"a\",\"name\":\"x\"}\n";
    let (plan, _file) = file(".jsonl", rows);
    let condition = Condition::parse("row.name == text").expect("the condition is valid");
    let mut planner = planner().with_conditions(vec![condition]);

    let looked = survey(&plan, &mut planner, &Earlier::none(), 1, &Progress::default()).expect("the file can be read");

    assert_eq!((looked.unusable, looked.to_send, looked.repeats.len()), (1, 1, 1));
}

#[test]
fn a_compressed_file_is_read_in_its_written_order() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(phases_as_json().as_bytes()).expect("a write to memory never fails");
    let (plan, _file) = file(".jsonl.gz", &packer.finish().expect("a write to memory never fails"));

    assert_eq!(look(&plan, &Earlier::none()).rows, 900);
    assert!(places(&plan, &Earlier::none()).is_none());
}

#[test]
fn a_survey_ends_at_damage_and_the_rows_before_it_arrive() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(phases_as_json().as_bytes()).expect("a write to memory never fails");
    let packed = packer.finish().expect("a write to memory never fails");
    let (plan, _file) = file(".jsonl.gz", &packed[..packed.len() / 2]);

    let looked = look(&plan, &Earlier::none());
    let arrived = items_from(None, &plan, Earlier::none());

    let damage = looked.damage.expect("half of it is missing");
    let (end, rows) = arrived.split_last().expect("it ends with the reason");
    assert!(matches!(end, Incoming::Failed(message, HasBegun::Yes) if *message == damage), "{end:?}");
    assert_eq!(rows.len() as u64, looked.rows);
    assert!(damage.contains(&format!("after line {}:", looked.rows)) && looked.rows > 100, "{damage}");
}

#[test]
fn a_file_that_changed_since_the_survey_is_not_read_further() {
    let (plan, path) = file(".jsonl", &phases_as_json());
    let places = places(&plan, &Earlier::none()).expect("phases are read faster from several places");
    std::fs::write(&path, format!("\n \n{}", phases_as_json())).expect("it can be written");

    let arrived = items_from(Some(&places), &plan, Earlier::none());

    assert!(
        matches!(arrived.last(), Some(Incoming::Failed(message, HasBegun::Yes)) if message.contains("changed")),
        "{:?}",
        arrived.last()
    );
    let own_text = |planned: &Planned| {
        let request: serde_json::Value = serde_json::from_slice(planned.job.request.json()).expect("it is JSON");
        request["messages"].to_string().contains("word")
    };
    assert!(arrived.iter().all(|fed| !matches!(fed, Incoming::Planned(planned) if !own_text(planned))));
}

#[test]
fn a_survey_counts_the_rows_that_are_sent_copied_and_repeated() {
    // Rows 0 to 9 have five different requests. The rows 0, 3, 6 and 9 are new, and the other rows are done.
    let text: String = (0..10).map(|row| format!("{{\"id\":{row},\"prompt\":\"{}\"}}\n", row % 5)).collect();
    let (plan, _file) = file(".jsonl", &text);
    let counts = |earlier: &Earlier| {
        let looked = look(&plan, earlier);
        (looked.to_send, looked.copied, looked.repeated, looked.done, looked.equal.len(), looked.load.rows())
    };

    assert_eq!(counts(&Earlier::none()), (10, 0, 5, 0, 0, 10));
    assert_eq!(counts(&Earlier { dedupes: true, ..Earlier::none() }), (5, 5, 0, 0, 5, 5));
    assert_eq!(counts(&every_third_row_is_new()), (4, 0, 0, 6, 0, 4));
    // Rows 6 and 9 have the same requests as rows 1 and 4, and rows 1 and 4 are done.
    assert_eq!(counts(&Earlier { dedupes: true, ..every_third_row_is_new() }), (2, 2, 0, 6, 5, 2));
}

#[test]
fn rows_that_are_run_again_are_counted_sent_and_never_take_an_answer() {
    let text: String = (0..6).map(|row| format!("{{\"id\":{row},\"prompt\":\"{}\"}}\n", row % 2)).collect();
    let (plan, _file) = file(".jsonl", &text);
    let label = |row: u64| RowId::named(&row.to_string(), None).label;
    let [truncated, refused] = [1, 4].map(label);
    let earlier = |dedupes| {
        let known = move |row: RowId, _: &_| match row.label {
            label if label == truncated => RowState::Rerun(Quality::Truncated),
            label if label == refused => RowState::Rerun(Quality::Refused),
            _ => RowState::Done,
        };
        Earlier { known: Box::new(known), dedupes, ..Earlier::none() }
    };

    for dedupes in [false, true] {
        let looked = look(&plan, &earlier(dedupes));
        let arrived = items_from(None, &plan, earlier(dedupes));

        let again = |item: &Incoming| if let Incoming::Rerun(planned) = item { Some(planned.job.index) } else { None };
        assert_eq!((looked.to_send, looked.done, looked.copied), (2, 4, 0));
        assert_eq!(looked.rerun, [(Quality::Truncated, 1), (Quality::Refused, 1)].into());
        assert_eq!(arrived.iter().filter_map(again).collect::<Vec<_>>(), [1, 4]);
    }
}

#[test]
fn rows_with_a_stored_answer_take_it_and_are_not_sent() {
    let text: String = (0..9).map(|row| format!("{{\"id\":{row},\"prompt\":\"{row}\"}}\n")).collect();
    let (plan, _file) = file(".jsonl", &text);
    let line = |planned: &Planned| {
        let quality = if planned.job.index == 6 { "truncated" } else { "ok" };
        format!(
            "{{\"custom_id\":\"old\",\"result\":{{\"type\":\"succeeded\",\"message\":{{}}}},\"meta\":{{\"v\":1,\
             \"key\":\"{}\",\"quality\":\"{quality}\"}}}}\n",
            planned.job.key
        )
    };
    let all = items_from(None, &plan, Earlier::none());
    let planned = all.iter().map(|fed| if let Incoming::Planned(planned) = fed { planned } else { panic!("{fed:?}") });
    let disk = MemDisk::new();
    disk.put("old", planned.step_by(3).map(line).collect::<String>().as_bytes());
    let stored = || {
        let file = StoredFile { path: "old".into(), usable: Usable::OwnServer };
        Some(Arc::new(StoredAnswers::read(&[file], &disk).expect("it is read")))
    };

    let looked = look(&plan, &Earlier { stored: stored(), ..Earlier::none() });
    let arrived = items_from(None, &plan, Earlier { stored: stored(), ..Earlier::none() });

    let reused: Vec<u64> = arrived
        .iter()
        .filter_map(|fed| if let Incoming::Reused(taken) = fed { Some(taken.job.index) } else { None })
        .collect();
    assert_eq!((looked.to_send, looked.reused), (7, 2));
    assert_eq!((reused, numbers(&arrived)), (vec![0, 3], vec![1, 2, 4, 5, 6, 7, 8]));
    let only_of_first = || {
        let policy: Policy = Box::new(|job, _, _, _| match job.index {
            0 => Decision::Keep,
            _ => Decision::Fail { class: ErrorClass::InvalidOutput, failure: Failure::default() },
        });
        Earlier { stored: stored(), policy: Some(policy), ..Earlier::none() }
    };
    let looked = look(&plan, &only_of_first());
    let arrived = items_from(None, &plan, only_of_first());
    assert_eq!((looked.to_send, looked.reused), (8, 1), "a row whose stored answer is not accepted is sent");
    assert_eq!(numbers(&arrived), [1, 2, 3, 4, 5, 6, 7, 8]);
}

/// The rows have two phases. The first 600 rows are short, so the limit on requests decides how fast they are sent. The
/// other 300 rows are long, so input tokens limit them. Some rows of this input can't be read.
fn phases_as_json() -> String {
    let row = |number: usize| match number {
        17 | 500 | 899 => "{broken}\n".to_owned(),
        _ => format!("{{\"id\":{number},\"prompt\":\"{}\"}}\n", prompt(number)),
    };
    (0..900).map(row).collect()
}

fn phases_as_csv() -> String {
    let row = |number| format!("{number},\"{}\nand a line\"\n", prompt(number));
    "id,prompt\n".to_owned() + &(0..900).map(row).collect::<String>()
}

fn prompt(number: usize) -> String {
    if number < 600 { "word".to_owned() } else { "word ".repeat(1_000) }
}

fn items_from(places: Option<&Places>, plan: &InputPlan, earlier: Earlier) -> Vec<Incoming> {
    let (out, mut arrived) = mpsc::channel(4);
    std::thread::scope(|scope| {
        let order = places.map_or(InputOrder::AsWritten, InputOrder::Places);
        scope.spawn(move || feed(plan, order, &mut planner(), &earlier, &out));
        std::iter::from_fn(|| arrived.blocking_recv()).collect()
    })
}

/// Returns the index and the identity of each row that a run sends, after a survey that found `repeats`.
fn rows_by_place(plan: &InputPlan, repeats: Repeats) -> Vec<(u64, RowId)> {
    let (out, mut arrived) = mpsc::channel(4);
    std::thread::scope(|scope| {
        let mut planner = planner().with_repeats(repeats);
        scope.spawn(move || feed(plan, InputOrder::AsWritten, &mut planner, &Earlier::none(), &out));
        let rows = std::iter::from_fn(|| arrived.blocking_recv()).filter_map(|item| match item {
            Incoming::Planned(planned) => Some((planned.job.index, planned.job.row)),
            _ => None,
        });
        rows.collect()
    })
}

fn places(plan: &InputPlan, earlier: &Earlier) -> Option<Places> {
    let looked = look(plan, earlier);
    looked.layout.advise(&looked.repeats, &|_| LIMITS)
}

fn look(plan: &InputPlan, earlier: &Earlier) -> Survey {
    survey(plan, &mut planner(), earlier, 1, &Progress::default()).expect("the file can be read")
}

fn numbers(fed: &[Incoming]) -> Vec<u64> {
    let number = |fed: &Incoming| match fed {
        Incoming::Planned(planned) => Some(planned.job.id.0),
        _ => None,
    };
    fed.iter().filter_map(number).collect()
}

fn skipped(fed: &[Incoming]) -> u64 {
    fed.iter().map(|fed| if let Incoming::Skipped(rows) = fed { *rows } else { 0 }).sum()
}

fn is_broken(fed: &Incoming) -> bool {
    matches!(fed, Incoming::Broken(_))
}

/// Returns the parts of a row that must not depend on the order of reading.
fn shown(fed: &Incoming) -> String {
    match fed {
        Incoming::Planned(planned) => {
            let job = &planned.job;
            format!("{} {} {} {:?}", job.id.0, job.custom_id, job.origin.line, job.key)
        }
        other => format!("{other:?}"),
    }
}

fn rows(count: u64) -> (InputPlan, tempfile::TempPath) {
    file(".jsonl", &(0..count).map(|row| format!("{{\"id\":{row},\"prompt\":\"Hi\"}}\n")).collect::<String>())
}

fn file<T: AsRef<[u8]> + ?Sized>(suffix: &str, text: &T) -> (InputPlan, tempfile::TempPath) {
    let mut file = tempfile::Builder::new().suffix(suffix).tempfile().expect("a temporary file can be made");
    file.write_all(text.as_ref()).expect("it can be written");
    let path = file.into_temp_path();
    let inputs = vec![Input::File(path.to_path_buf())];
    (InputPlan { inputs, options: Options::default(), skip: 0, limit: None, requests: 0, is_copy_of_log: false }, path)
}

fn every_third_row_is_new() -> Earlier {
    let label = |row: u64| RowId::named(&row.to_string(), None).label;
    let new: HashSet<u64> = (0..10_000).step_by(3).map(label).collect();
    let known = move |row: RowId, _: &_| if new.contains(&row.label) { RowState::New } else { RowState::Done };
    Earlier { known: Box::new(known), ..Earlier::none() }
}

fn planner() -> Planner {
    let dialect = Dialect { api_version: "2023-06-01".to_owned(), betas: Vec::new() };
    Planner::new(RequestDefaults::default(), dialect, Arc::new(Catalog::builtin()), "anthropic".into(), "".into())
}

#[test]
fn rows_of_many_prefixes_are_read_group_by_group_with_their_own_numbers_and_lines() {
    let long = |group: u64| format!("Instructions {group}. {}", "Read the text with care. ".repeat(400));
    let row = |row: u64| match row {
        77 => "{broken}\n".to_owned(),
        _ => {
            let system = if row % 10 == 9 { "short".to_owned() } else { long(row % 50) };
            format!(
                "{{\"id\":{row},\"system\":\"{system}\",\"prompt\":\"Text {row}\",\"model\":\"claude-sonnet-5\"}}\n"
            )
        }
    };
    let (plan, _file) = file(".jsonl", &(0..500).map(row).collect::<String>());
    let mut survey = survey(&plan, &mut planner().finding_prefixes(&[]), &Earlier::none(), 1, &Progress::default())
        .expect("the file can be read");
    survey.decide_caching(PromptCache::Auto, &Catalog::builtin(), &|_| RateLimits::new(5, 1_000_000, 1_000_000));
    assert!(survey.caching.is_ordered, "at five rows a minute, a prefix does not live until its next row");
    assert_eq!((survey.caching.prefixes, survey.caching.rows), (45, 449));

    let with_caching = || planner().with_caching(survey.caching.clone(), &[]);
    let (out, mut arrived) = mpsc::channel(4);
    let by_group: Vec<Incoming> = std::thread::scope(|scope| {
        scope.spawn(move || {
            feed(
                &plan,
                InputOrder::ByGroup { finder: &mut with_caching(), rows: 500 },
                &mut with_caching(),
                &Earlier::none(),
                &out,
            );
        });
        std::iter::from_fn(|| arrived.blocking_recv()).collect()
    });

    let numbers = numbers(&by_group);
    assert_eq!(&numbers[..12], [0, 50, 100, 150, 200, 250, 300, 350, 400, 450, 1, 51]);
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..500).filter(|row| *row != 77).collect::<Vec<_>>());
    assert_eq!(by_group.iter().filter(|fed| is_broken(fed)).count(), 1);
    let is_right = |fed: &Incoming| match fed {
        Incoming::Planned(planned) => {
            let job = &planned.job;
            (job.custom_id.clone(), job.origin.line) == (job.id.0.to_string(), job.id.0 + 1)
        }
        _ => true,
    };
    assert!(by_group.iter().all(is_right));
}

#[test]
fn in_a_run_with_batches_rows_that_are_certainly_sent_online_have_a_cache_plan_of_their_own() {
    let text = |letter: &str| format!("{letter}: {}", "Read the text with care. ".repeat(400));
    let row = |(at, (letter, more)): (usize, (&str, &str))| {
        let system = text(letter);
        format!(r#"{{"id":{at},"system":"{system}","prompt":"Text {at}","model":"claude-sonnet-5"{more}}}"#) + "\n"
    };
    const REFUSED: &str = r#","max_tokens":0"#;
    let rows = [vec![("a", ""); 30], vec![("a", REFUSED)], vec![("b", REFUSED); 5]].concat();
    let (plan, _file) = file(".jsonl", &rows.into_iter().enumerate().map(row).collect::<String>());
    let survey_of = |in_batches: bool| {
        let earlier = Earlier { in_batches, ..Earlier::none() };
        let mut survey = survey(&plan, &mut planner().finding_prefixes(&[]), &earlier, 1, &Progress::default())
            .expect("the file can be read");
        survey.decide_caching(PromptCache::Auto, &Catalog::builtin(), &|_| RateLimits::new(50, 1_000_000, 1_000_000));
        survey
    };
    let (online, in_batches) = (survey_of(false), survey_of(true));

    let counts =
        |survey: &Survey| (survey.caching.prefixes, survey.caching.rows, survey.caching.prefixes_outside_batches);
    assert_eq!((counts(&online), counts(&in_batches)), ((2, 36, 0), (1, 5, 1)));
    let asks = |caching: &Arc<CachePlan>| {
        let mut planner = planner().with_caching(caching.clone(), &[]);
        let (out, mut arrived) = mpsc::channel(64);
        feed(&plan, InputOrder::AsWritten, &mut planner, &Earlier::none(), &out);
        drop(out);
        std::iter::from_fn(|| arrived.blocking_recv())
            .filter_map(|fed| match fed {
                Incoming::Planned(planned) => Some(planned.ask),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let (online, mut in_batches, plain) = (asks(&online.caching), asks(&in_batches.caching), asks(&Arc::default()));
    let unmarked = |asks: &[Ask]| (0..asks.len()).filter(|at| asks[*at].prefixes.is_none()).collect::<Vec<_>>();
    assert_eq!((unmarked(&online), unmarked(&in_batches)), (vec![], vec![30]), "nobody reads what row 30 would write");
    let most = |ask: &Ask| ask.expense.map(|expense| (expense.most, expense.most_in_batch)).expect("it has a price");
    let (marked, plain) = (most(&in_batches[0]), most(&plain[0]));
    assert!(marked.0 > plain.0 && marked.1 == plain.1, "only online requests get marks: {marked:?} {plain:?}");
    in_batches[0].leave_unmarked();
    assert_eq!(most(&in_batches[0]), plain, "without marks, nothing is written");
}

#[test]
fn random_inputs_read_group_by_group_give_the_same_rows_as_in_their_written_order() {
    for seed in 0..30 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut files = Vec::new();
        let mut plan = random_file(&mut files, &mut random);
        for _ in 0..random.usize(0..3) {
            plan.inputs.extend(random_file(&mut files, &mut random).inputs);
        }
        (plan.skip, plan.limit) = (random.u64(0..40), [None, Some(100), Some(5)][random.usize(0..3)]);
        let earlier = || if seed % 3 == 0 { every_third_row_is_new() } else { Earlier::none() };
        let mut survey = survey(&plan, &mut planner().finding_prefixes(&[]), &earlier(), 1, &Progress::default())
            .expect("the files can be read");
        survey.decide_caching(PromptCache::Auto, &Catalog::builtin(), &|_| RateLimits::new(1, 1_000_000, 1_000_000));
        let with_caching = || planner().with_caching(survey.caching.clone(), &[]);

        let (out, mut arrived) = mpsc::channel(4);
        let by_group: Vec<Incoming> = std::thread::scope(|scope| {
            let (plan, rows) = (&plan, survey.rows);
            scope.spawn(move || {
                let order = InputOrder::ByGroup { finder: &mut with_caching(), rows };
                feed(plan, order, &mut with_caching(), &earlier(), &out);
            });
            std::iter::from_fn(|| arrived.blocking_recv()).collect()
        });

        let as_written = items_from(None, &plan, earlier());
        let in_order = |fed: &[Incoming]| {
            let items = fed.iter().filter(|fed| !matches!(fed, Incoming::Skipped(_)));
            let mut shown: Vec<_> = items.map(shown).collect();
            shown.sort();
            shown
        };
        assert_eq!(in_order(&by_group), in_order(&as_written), "seed {seed}");
        assert_eq!(skipped(&by_group), skipped(&as_written), "seed {seed}");
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_group_by_group_is_reported() {
    let (plan, path) = rows(1_000);
    let (out, mut arrived) = mpsc::channel(4);
    let all: Vec<Incoming> = std::thread::scope(|scope| {
        let plan = &plan;
        scope.spawn(move || {
            let order = InputOrder::ByGroup { finder: &mut planner(), rows: 1_000 };
            feed(plan, order, &mut planner(), &Earlier::none(), &out);
        });
        let first = arrived.blocking_recv();
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).expect("it is there");
        file.write_all(b"{\"prompt\":\"more\"}\n").expect("it can be written");
        first.into_iter().chain(std::iter::from_fn(|| arrived.blocking_recv())).collect()
    });

    assert_eq!(numbers(&all).len(), 1_000);
    assert!(matches!(all.last(), Some(Incoming::Warning(text)) if text.contains("changed while")), "{:?}", all.last());
}

/// Returns a plan for a new random file of lines or a new random CSV file. Many rows of the file share prefixes, some
/// rows are broken, and some cells have several lines.
fn random_file(files: &mut Vec<tempfile::TempPath>, random: &mut fastrand::Rng) -> InputPlan {
    let first = 1_000 * files.len() as u64;
    let is_csv = random.bool();
    let rows: Vec<String> = (first..first + random.u64(1..120))
        .flat_map(|id| {
            let long = format!("{}: {}", random.u64(0..8), "Read the text with care. ".repeat(300));
            let system = if random.u8(0..4) == 0 { "short" } else { &long };
            let row = match is_csv {
                true => format!("{id},\"{system}\",\"Text {id}\n\nand \"\"more\"\"\"\n"),
                false => format!("{{\"id\":{id},\"system\":\"{system}\",\"prompt\":\"Text {id}\"}}\n"),
            };
            let broken = match random.u8(0..100) {
                0 if !is_csv => "{broken}\n".repeat(1_500),
                1..9 if !is_csv => "{broken}\n\n".to_owned(),
                9..19 => "\n".to_owned(),
                _ => String::new(),
            };
            [row, broken]
        })
        .collect();
    let (suffix, header) = if is_csv { (".csv", "id,system,prompt\n") } else { (".jsonl", "") };
    let (plan, path) = file(suffix, &(header.to_owned() + &rows.concat()));
    files.push(path);
    plan
}
