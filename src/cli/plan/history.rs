//! Reads earlier results, so that a plan can learn from them.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::catalog::Catalog;
use crate::domain::{Lane, Money, Terms, Usage};
use crate::forecast::{History, PastAnswer};
use crate::journal::{Disk, LearnedLimits, read_learned_limits, read_manifest, with_suffix};
use crate::report::text::{escape, plural};
use crate::sink::parse_usd;

/// How many bytes are read from the end of a results file. The end of a file contains tens of thousands of answers,
/// which is more than an estimate needs.
const MOST_BYTES: u64 = 64 << 20;
/// If a line of a file has at least this number of bytes, the program stops reading the file at this line. Every line
/// with an answer is shorter than this.
const LONGEST_LINE: u64 = 128 << 20;

/// The facts that a plan has learned from earlier results.
#[derive(Debug, Default)]
pub(in crate::cli) struct Learned {
    pub(in crate::cli) history: History,
    /// The results files from which answers were read.
    pub(in crate::cli) files: Vec<Source>,
    /// The most recent limits that a run with the same server has learned.
    pub(in crate::cli) limits: Option<LearnedLimits>,
    /// The results files in which some lines are not results.
    skipped: Vec<Skipped>,
}

/// A results file with lines that are not results.
#[derive(Debug)]
struct Skipped {
    path: PathBuf,
    lines: u64,
    /// The line number, counted from 1, of the first line that is not a result; `None` if the beginning of the file was
    /// not read.
    first: Option<u64>,
}

impl Learned {
    /// Returns a warning for each file that contains lines that are not results.
    pub(in crate::cli) fn warnings(&self) -> impl Iterator<Item = String> {
        self.skipped.iter().map(|Skipped { path, lines, first }| {
            let first = first.map(|number| format!("; the first is line {number}")).unwrap_or_default();
            let (lines, are) =
                (plural(*lines, "line", "lines"), if *lines == 1 { "is not a result" } else { "are not results" });
            format!(
                "warning: {}: {lines} {are}, and the plan does not use them{first}",
                escape(&path.to_string_lossy())
            )
        })
    }
}

/// A results file from which answers were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Source {
    pub(in crate::cli) path: PathBuf,
    /// The number of answers that were read.
    pub(in crate::cli) answers: u64,
    /// The server that the answers come from, according to the run folder; `None` without a run folder.
    pub(in crate::cli) origin: Option<String>,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    result: Answer<'a>,
    #[serde(borrow)]
    meta: Meta<'a>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(rename = "message")]
    _message: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Meta<'a> {
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    template: Option<Cow<'a, str>>,
    #[serde(borrow)]
    lane: Option<Cow<'a, str>>,
    estimated_input: Option<u32>,
    #[serde(default)]
    attempts: u64,
    copied_from: Option<IgnoredAny>,
    reused_from: Option<IgnoredAny>,
    #[serde(default)]
    usage: Usage,
    #[serde(borrow)]
    quality: Option<Cow<'a, str>>,
    latency_ms: Option<u64>,
    #[serde(borrow)]
    cost_usd: Option<&'a RawValue>,
    #[serde(borrow, default)]
    steps: Vec<Step<'a>>,
}

/// A request of a row that had several requests.
#[derive(Deserialize)]
struct Step<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    quality: Option<Cow<'a, str>>,
    #[serde(borrow)]
    lane: Option<Cow<'a, str>>,
    usage: Usage,
    #[serde(borrow)]
    cost_usd: Option<&'a RawValue>,
}

impl Step<'_> {
    /// Returns the cost of the request if it were sent online.
    fn online_cost(&self) -> Money {
        let cost = self.cost_usd.and_then(|raw| parse_usd(raw.get())).unwrap_or_default();
        cost.times(if self.lane.as_deref() == Some(Lane::Batch.name()) { 2 } else { 1 })
    }
}

/// Learns from a results file, and from the run folder beside it. Returns whether the file has answers. A file is read
/// only once, even if it is named twice. Limits are learned only from runs with the server `origin`.
///
/// # Errors
/// Fails if the file can't be read, or if it is a folder, a pipe or a device.
pub(in crate::cli) fn learn(
    learned: &mut Learned,
    path: &Path,
    origin: &str,
    catalog: &Catalog,
    disk: &dyn Disk,
) -> Result<bool> {
    if learned.files.iter().any(|known| disk.is_same_file(&known.path, path)) {
        return Ok(true);
    }
    let about = || format!("can't read {}", path.display());
    // The kind of the file is checked first, because opening a named pipe would wait for a writer.
    let metadata = std::fs::metadata(path).with_context(about)?;
    if !metadata.is_file() {
        bail!("{} is not a results file", path.display());
    }
    let mut file = File::open(path).with_context(about)?;
    let passed_over = metadata.len().saturating_sub(MOST_BYTES);
    file.seek(SeekFrom::Start(passed_over)).with_context(about)?;
    let mut lines = BufReader::with_capacity(1 << 18, file);
    let mut line = Vec::new();
    if passed_over > 0 {
        lines.skip_until(b'\n').with_context(about)?;
    }
    let before = learned.history.count();
    let mut skipped = Skipped { path: path.to_owned(), lines: 0, first: None };
    for number in 1.. {
        line.clear();
        let read = std::io::Read::take(&mut lines, LONGEST_LINE).read_until(b'\n', &mut line).with_context(about)?;
        if read == 0 {
            break;
        }
        let is_whole = line.last() == Some(&b'\n');
        match parse(&line, catalog).filter(|_| is_whole) {
            Some(Past::Answer(answer)) => learned.history.add(&answer),
            Some(Past::Nothing) => {}
            None if line.trim_ascii().is_empty() => {}
            None => {
                skipped.lines += 1;
                skipped.first = skipped.first.or((passed_over == 0).then_some(number));
            }
        }
        if !is_whole {
            break;
        }
    }
    learned.skipped.extend((skipped.lines > 0).then_some(skipped));
    let answers = learned.history.count() - before;
    if answers > 0 {
        let folder = with_suffix(path, ".run");
        if let Some(limits) = read_learned_limits(&folder, disk).filter(|limits| limits.origin == origin)
            && learned.limits.as_ref().is_none_or(|known| known.at < limits.at)
        {
            learned.limits = Some(limits);
        }
        let manifest = read_manifest(&folder, disk).ok().flatten();
        let origin = manifest.map(|manifest| manifest.origin);
        learned.files.push(Source { path: path.to_owned(), answers, origin });
    }
    Ok(answers > 0)
}

/// Returns whether a file begins with a line of results.
pub(super) fn has_answers(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    let mut line = Vec::new();
    let read = BufReader::new(std::io::Read::take(file, LONGEST_LINE)).read_until(b'\n', &mut line);
    read.is_ok() && serde_json::from_slice::<Line<'_>>(&line).is_ok()
}

/// What the plan learns from a line of results.
enum Past<'a> {
    Answer(Box<PastAnswer<'a>>),
    /// A row that teaches nothing: it was not answered, or it took its answer from another line.
    Nothing,
}

/// Returns what the plan learns from a line; `None` if the line is not a result.
fn parse<'a>(line: &'a [u8], catalog: &'a Catalog) -> Option<Past<'a>> {
    let Line { result, meta } = serde_json::from_slice(line).ok()?;
    if result.kind != "succeeded" {
        return Some(Past::Nothing);
    }
    // The row took its answer from another line, so it has no usage and no latency of its own.
    if meta.copied_from.is_some() || meta.reused_from.is_some() {
        return Some(Past::Nothing);
    }
    // The first request of a row shows what the row's own request needs. The requests that follow it are learned
    // separately, because they can have another prompt, another max_tokens and another model.
    let mut steps = meta.steps;
    let is_answered = |step: &Step<'_>| step.quality.is_some();
    let first = steps.iter().position(is_answered).map(|at| steps.remove(at)).unwrap_or(Step {
        model: meta.model?,
        quality: meta.quality,
        lane: meta.lane,
        usage: meta.usage,
        // If the request was sent more than once, it was possibly paid for more than once. So its cost is not used.
        cost_usd: meta.cost_usd.filter(|_| meta.attempts == 1),
    });
    let mut follow_ups = (Usage::default(), Money::ZERO);
    for step in steps {
        follow_ups.0 += step.usage;
        follow_ups.1 += step.online_cost();
    }
    let asked = first.model;
    let model = catalog.model(&asked).map_or(asked, |model| Cow::Borrowed(&*model.id));
    let usage = first.usage;
    let prompt = Usage { input_tokens: usage.prompt_tokens(), ..Usage::default() };
    // An answer from a batch costs half the price, and its latency includes the wait for the whole batch.
    let is_batch = first.lane.as_deref() == Some(Lane::Batch.name());
    let terms = if is_batch { Terms::default().in_batch() } else { Terms::default() };
    let uncached = catalog.cost_on(terms, &model, &prompt);
    let whole = catalog.cost_on(terms, &model, &Usage { output_tokens: usage.output_tokens, ..prompt });
    let paid = first.cost_usd.and_then(|raw| parse_usd(raw.get()));
    Some(Past::Answer(Box::new(PastAnswer {
        model,
        template: meta.template.and_then(|text| u64::from_str_radix(&text, 16).ok()),
        estimated_input: meta.estimated_input,
        usage,
        price_share: share(paid, uncached, whole),
        latency: meta.latency_ms.filter(|_| meta.attempts == 1 && !is_batch).map(Duration::from_millis),
        is_truncated: first.quality.as_deref() == Some("truncated"),
        follow_ups,
    })))
}

/// Returns the price that was paid for a prompt, divided by the cost of this prompt without the prompt cache. `paid` is
/// the price that was paid for prompt and output. `uncached` is the cost of the prompt without the cache, and `whole`
/// is the cost of prompt and output without the cache.
fn share(paid: Option<Money>, uncached: Option<Money>, whole: Option<Money>) -> Option<f64> {
    let (paid, uncached, whole) = (paid?.dollars(), uncached?.dollars(), whole?.dollars());
    let output = whole - uncached;
    (uncached > 0.0 && paid >= output).then(|| (paid - output) / uncached)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Owners, RealDisk};

    fn line(meta: &str) -> String {
        format!(r#"{{"custom_id":"a","result":{{"type":"succeeded","message":{{"x":1}}}},"meta":{{"v":1,{meta}}}}}"#)
    }

    #[test]
    fn a_line_says_what_an_answer_used_and_cost() {
        let catalog = Catalog::builtin();
        let text = line(
            r#""model":"claude-haiku-4-5","template":"00000000000000ff","estimated_input":90,"attempts":1,"usage":{"input_tokens":20,"cache_read_tokens":80,"output_tokens":50},"quality":"truncated","latency_ms":900,"cost_usd":0.000278"#,
        );

        let Some(Past::Answer(answer)) = parse(text.as_bytes(), &catalog) else { panic!("it is an answer") };

        assert_eq!((&*answer.model, answer.template), ("claude-haiku-4-5-20251001", Some(255)));
        assert_eq!((answer.estimated_input, answer.latency), (Some(90), Some(Duration::from_millis(900))));
        assert!(answer.is_truncated);
        // The request used 20 tokens at $1 per million, 80 tokens at $0.10 per million, and 50 tokens at $5 per
        // million. The prompt therefore cost 28 millionths of a dollar; without the cache, it would cost 100
        // millionths.
        assert!(answer.price_share.is_some_and(|share| (share - 0.28).abs() < 1e-9), "{:?}", answer.price_share);
    }

    #[test]
    fn a_line_with_steps_says_what_the_first_request_needed_and_what_followed() {
        let step = |rest: &str| format!(r#"{{"provider":"anthropic","max_tokens":50,"request_id":null,{rest}}}"#);
        let steps = [
            step(
                r#""purpose":"first","model":"claude-haiku-4-5","quality":null,"failed":"server","usage":{},"cost_usd":null"#,
            ),
            step(
                r#""purpose":"first","model":"claude-haiku-4-5","quality":"truncated","usage":{"input_tokens":100,"output_tokens":50},"cost_usd":0.00035"#,
            ),
            step(
                r#""purpose":"more_room","model":"claude-opus-5","quality":"ok","lane":"batch","usage":{"input_tokens":110,"output_tokens":70},"cost_usd":0.001"#,
            ),
        ];
        let text = line(&format!(
            r#""model":"claude-opus-5","template":"00000000000000ff","estimated_input":90,"attempts":3,"usage":{{"input_tokens":210,"output_tokens":120}},"quality":"ok","latency_ms":900,"cost_usd":0.00135,"steps":[{}]"#,
            steps.join(",")
        ));

        let catalog = Catalog::builtin();
        let Some(Past::Answer(answer)) = parse(text.as_bytes(), &catalog) else { panic!("it is an answer") };

        assert_eq!((&*answer.model, answer.template), ("claude-haiku-4-5-20251001", Some(255)));
        assert_eq!((answer.usage.input_tokens, answer.usage.output_tokens, answer.is_truncated), (100, 50, true));
        let (more, cost) = answer.follow_ups;
        assert_eq!((more.input_tokens, more.output_tokens, cost), (110, 70, Money::from_dollars(0.002)));
        assert!(answer.price_share.is_some_and(|share| (share - 1.0).abs() < 1e-9), "{:?}", answer.price_share);
    }

    #[test]
    fn a_line_of_the_first_version_has_lengths_only() {
        let text = line(r#""model":"mine","attempts":2,"usage":{"input_tokens":9,"output_tokens":5},"latency_ms":900"#);

        let catalog = Catalog::builtin();
        let Some(Past::Answer(answer)) = parse(text.as_bytes(), &catalog) else { panic!("it is an answer") };

        assert_eq!((&*answer.model, answer.template, answer.estimated_input), ("mine", None, None));
        assert_eq!((answer.latency, answer.price_share), (None, None), "it was sent twice");
    }

    #[test]
    fn an_answer_from_a_batch_cost_half_and_has_no_latency_of_its_own() {
        let text = line(
            r#""model":"claude-haiku-4-5","lane":"batch","attempts":1,"usage":{"input_tokens":1000,"output_tokens":100},"latency_ms":900,"cost_usd":0.00075"#,
        );

        let catalog = Catalog::builtin();
        let Some(Past::Answer(answer)) = parse(text.as_bytes(), &catalog) else { panic!("it is an answer") };

        assert!(answer.price_share.is_some_and(|share| (share - 1.0).abs() < 1e-9), "{:?}", answer.price_share);
        assert_eq!(answer.latency, None);
    }

    #[test]
    fn lines_of_other_files_are_not_answers() {
        for text in ["", "{}", r#"{"prompt":"Hi"}"#, r#"{"custom_id":"a","params":{},"error":{"class":"server"}}"#] {
            assert!(parse(text.as_bytes(), &Catalog::builtin()).is_none(), "{text}");
        }
    }

    /// Writes a results file, and then learns from it once for each path in `paths`. All these paths lead to this file.
    fn learned_from(text: &str, paths: &[&str]) -> Learned {
        let folder = tempfile::tempdir().expect("there is room");
        std::fs::create_dir(folder.path().join("sub")).expect("it can be made");
        std::fs::write(folder.path().join("r.jsonl"), text).expect("it can be written");
        let disk = RealDisk::new(Owners::Own);
        let mut learned = Learned::default();
        for path in paths {
            let has_answers = learn(&mut learned, &folder.path().join(path), "a", &Catalog::builtin(), &disk);
            assert!(has_answers.expect("it can be read"), "{path}");
        }
        learned
    }

    const ANSWER: &str = r#""model":"claude-haiku-4-5","attempts":1,"usage":{"input_tokens":9,"output_tokens":5}"#;

    #[test]
    fn the_same_results_count_once_whatever_path_names_them() {
        let learned = learned_from(&format!("{}\n", line(ANSWER)), &["r.jsonl", "r.jsonl", "sub/../r.jsonl"]);

        assert_eq!((learned.history.count(), learned.files.len()), (1, 1));
    }

    #[test]
    fn one_warning_counts_the_lines_that_are_not_results_and_names_the_first() {
        let good = line(ANSWER);
        let failed = good.replace("succeeded", "errored");
        let half = &good[..40];

        let text = format!("{good}\n{failed}\n\n{{}}\n{good}\n{half}");
        let learned = learned_from(&text, &["r.jsonl"]);

        let warnings: Vec<String> = learned.warnings().collect();
        assert_eq!((learned.history.count(), warnings.len()), (2, 1));
        let expected = "r.jsonl: 2 lines are not results, and the plan does not use them; the first is line 4";
        assert!(warnings[0].starts_with("warning: ") && warnings[0].ends_with(expected), "{warnings:?}");
    }
}
