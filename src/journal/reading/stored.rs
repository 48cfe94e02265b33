//! Reads the whole answer in a result line, so that another row can take this answer.

use std::borrow::Cow;
use std::io;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::record::quality;
use crate::domain::{JobKey, Lane, Message, Money, Quality, StoredAnswer, Usage, is_simulated_id};
use crate::journal::disk::DiskFile;
use crate::sink::{LINE_VERSION, parse_usd};

#[derive(Deserialize)]
struct ResultLine<'a> {
    #[serde(borrow)]
    custom_id: Cow<'a, str>,
    #[serde(borrow)]
    result: ResultPart<'a>,
    #[serde(borrow)]
    meta: Meta<'a>,
}

#[derive(Deserialize)]
struct ResultPart<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    message: &'a RawValue,
}

#[derive(Deserialize)]
struct Meta<'a> {
    v: u32,
    #[serde(borrow)]
    run: Option<Cow<'a, str>>,
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    lane: Option<Cow<'a, str>>,
    #[serde(default)]
    usage: Usage,
    #[serde(borrow)]
    provider: Option<Cow<'a, str>>,
    #[serde(borrow)]
    quality: Option<Cow<'a, str>>,
    #[serde(borrow)]
    cost_usd: Option<&'a RawValue>,
    #[serde(borrow)]
    saved_usd: Option<&'a RawValue>,
    #[serde(borrow)]
    request_id: Option<Cow<'a, str>>,
}

/// An answer as it was read from a line.
pub(crate) struct StoredLine {
    pub(crate) answer: StoredAnswer,
    /// Whether the line says that the answer is complete (neither truncated nor refused). False if the line has no
    /// quality.
    pub(crate) is_whole: bool,
    /// Whether the answer came from the simulator. The message id or the request id shows where the answer came from.
    pub(crate) is_simulated: bool,
}

/// Reads the answer in a line; `None` if the line is damaged, has no key, or belongs to another program.
pub(crate) fn parse_stored(line: &[u8]) -> Option<StoredLine> {
    let ResultLine { custom_id, result, meta } = serde_json::from_slice(line).ok()?;
    if meta.v > LINE_VERSION || result.kind != "succeeded" {
        return None;
    }
    let json = result.message.get();
    let ids = [message_id(json), meta.request_id];
    let shared = |text: Option<Cow<'_, str>>| text.map(|text| (*text).into());
    Some(StoredLine {
        is_whole: meta.quality.as_deref() == Some(Quality::Ok.name()),
        is_simulated: ids.iter().flatten().any(|id| is_simulated_id(id)),
        answer: StoredAnswer {
            key: JobKey::parse(&meta.key)?,
            label: custom_id.into_owned(),
            run: meta.run.unwrap_or_default().into_owned(),
            message: Message {
                json: Bytes::copy_from_slice(json.as_bytes()),
                usage: Usage::default(),
                quality: quality(meta.quality.as_deref()),
                content: 0..0,
            },
            used: meta.usage,
            model: shared(meta.model),
            provider: shared(meta.provider),
            lane: if meta.lane.as_deref() == Some(Lane::Batch.name()) { Lane::Batch } else { Lane::Online },
            cost: meta.saved_usd.or(meta.cost_usd).and_then(|raw| parse_usd(raw.get())).unwrap_or(Money::ZERO),
        },
    })
}

fn message_id(json: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Identified<'a> {
        #[serde(borrow)]
        id: Option<Cow<'a, str>>,
    }
    serde_json::from_str::<Identified<'_>>(json).ok()?.id
}

/// Reads the line that begins at `offset`, and stores it in `line` without its line break. If the file ends before the
/// end of the line, `line` is empty.
///
/// # Errors
/// The error that the system reports.
pub(crate) fn read_line(file: &dyn DiskFile, offset: u64, line: &mut Vec<u8>) -> io::Result<()> {
    /// The number of bytes that are read in one step. Most lines need only one step.
    const STEP: usize = 8 << 10;
    line.clear();
    loop {
        let begin = line.len();
        line.resize(begin + STEP.max(begin), 0);
        let count = match file.read_at(&mut line[begin..], offset + begin as u64) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            read => match read? {
                0 => {
                    line.clear();
                    return Ok(());
                }
                count => count,
            },
        };
        line.truncate(begin + count);
        if let Some(end) = line[begin..].iter().position(|&byte| byte == b'\n') {
            line.truncate(begin + end);
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::journal::disk::{Disk, MemDisk, OpenMode};

    const LINE: &str = r#"{"custom_id":"a","result":{"type":"succeeded","message":{"id":"m1", "x":[1]}},"meta":{"v":1,"run":"r","key":"k1:00000000000000000000000000000001","model":"m","lane":"batch","quality":"ok","cost_usd":0.25}}"#;

    #[test]
    fn an_answer_keeps_every_byte_of_its_message() {
        let stored = parse_stored(LINE.as_bytes()).expect("it is a line");

        let StoredAnswer { label, run, message, model, lane, cost, .. } = &stored.answer;
        assert_eq!((&**label, &**run, model.as_deref(), *lane), ("a", "r", Some("m"), Lane::Batch));
        assert_eq!((&message.json[..], *cost), (&br#"{"id":"m1", "x":[1]}"#[..], Money::from_dollars(0.25)));
        assert!(stored.is_whole && !stored.is_simulated);
    }

    #[test]
    fn only_a_line_with_quality_ok_is_complete_and_an_id_shows_whether_it_is_simulated() {
        let read = |from: &str, to: &str| parse_stored(LINE.replace(from, to).as_bytes());

        for other in [r#""quality":"truncated""#, r#""quality":"later""#, r#""other":"ok""#, r#""quality":null"#] {
            assert!(read(r#""quality":"ok""#, other).is_some_and(|stored| !stored.is_whole), "{other}");
        }
        assert!(read("m1", "msg_015000000000000000000000").is_some_and(|stored| stored.is_simulated));
        assert!(read("k1:0", "k2:0").is_none() && read("succeeded", "errored").is_none());
    }

    #[test]
    fn a_line_is_read_by_its_offset_however_long_it_is() {
        let disk = MemDisk::new();
        let long = "x".repeat(50_000);
        disk.put("f", format!("ab\n{long}\ncd\nhalf").as_bytes());
        let file = disk.open(Path::new("f"), OpenMode::Read).expect("it is there");
        let mut line = Vec::new();
        let mut read = |offset| {
            read_line(&*file, offset, &mut line).expect("the disk works");
            String::from_utf8_lossy(&line).into_owned()
        };

        assert_eq!([read(0), read(3), read(50_004)], ["ab".to_owned(), long, "cd".to_owned()]);
        assert_eq!([read(50_007), read(60_000)], ["", ""], "a half-written line, and nothing");
    }
}
