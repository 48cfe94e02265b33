//! Sends rows with a plain client. Apart from sending, it does only the work that every runner must do.
//!
//! One thread reads and plans rows. Before the loop sends more rows, it writes two things: the answers that have
//! arrived, and a mark for each row to be sent. Another thread syncs the files. This loop has no scheduler. Answers are
//! not parsed: each line contains the bytes of an answer as they arrived. So the difference between the bare loop and
//! `owed` is the cost of the promise that no row gets lost. The difference between `owed` and the runner is the cost of
//! the runner's code.

use std::io;
use std::path::Path;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use claude_batch::catalog::Catalog;
use claude_batch::domain::Planned;
use claude_batch::journal::{Disk, DiskFile, OpenMode, RealDisk};
use claude_batch::runner::Incoming;
use claude_batch::runner::input::{Earlier, InputOrder, feed};
use claude_batch::source::Input;
use tokio::sync::{Notify, mpsc};

use super::client::{FEED, Plain, input_plan, planner};
use super::measure::Seen;

/// The interval between syncs, as in the program.
const SYNC_EVERY: Duration = Duration::from_millis(200);
/// The length of a mark in bytes. A mark in a file records that a row is in flight. Each mark that the program itself
/// writes takes 64 bytes.
const MARK: [u8; 24] = [1; 24];

/// Sends the rows of `input`, with up to `at_once` rows in flight.
pub fn owed(url: &str, input: &Path, folder: &Path, at_once: usize) -> io::Result<Seen> {
    let client = Plain::new(url, at_once)?;
    let plan = input_plan(Input::File(input.to_owned()));
    let mut planner = planner(&Arc::new(Catalog::builtin()));
    let started = Instant::now();
    let (rows_in, rows) = mpsc::channel(FEED);
    let reader =
        std::thread::spawn(move || feed(&plan, InputOrder::AsWritten, &mut planner, &Earlier::none(), &rows_in));
    let open = |name: &str| RealDisk::default().open(&folder.join(name), OpenMode::Edit).map(Arc::from);
    let files = Files { lines: open("out.jsonl")?, written: 0, marks: open("marks")? };
    let lines = files.lines.clone();
    let (over, is_over) = std::sync::mpsc::channel::<()>();
    let syncer = std::thread::spawn(move || sync_until(&is_over, &*lines));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // The loop runs as a task, like the runner's loop. If `block_on` ran the loop directly, each wake-up would need a
    // system call.
    let loop_ = async move { tokio::spawn(answer_all(client, at_once, rows, files)).await };
    let answered = runtime.block_on(loop_).expect("the loop does not panic")?;
    drop(over);
    syncer.join().expect("the syncs do not panic")?;
    let seen = Seen::here(answered, started.elapsed());
    reader.join().expect("the reader does not panic");
    Ok(seen)
}

struct Files {
    lines: Arc<dyn DiskFile>,
    written: u64,
    marks: Arc<dyn DiskFile>,
}

/// A place for one body: the loop puts the next body there, and a task takes it.
#[derive(Default)]
struct Desk {
    body: Mutex<Option<Bytes>>,
    is_there: Notify,
}

impl Desk {
    fn put(&self, body: Bytes) {
        *self.body.lock().expect("nobody panics with it") = Some(body);
        self.is_there.notify_one();
    }

    async fn take(&self) -> Bytes {
        loop {
            if let Some(body) = self.body.lock().expect("nobody panics with it").take() {
                return body;
            }
            self.is_there.notified().await;
        }
    }
}

async fn answer_all(
    client: Plain,
    at_once: usize,
    mut rows: mpsc::Receiver<Incoming>,
    mut files: Files,
) -> io::Result<u64> {
    let (answers_in, mut answers) = mpsc::unbounded_channel();
    let desks: Arc<[Desk]> = (0..at_once).map(|_| Desk::default()).collect();
    for at in 0..at_once {
        let (client, desks, answers) = (client.clone(), desks.clone(), answers_in.clone());
        tokio::spawn(async move {
            loop {
                let answer = client.answer(desks[at].take().await).await;
                // The result is ignored, because the receiver is dropped after the last answer.
                let _ = answers.send((at, answer));
            }
        });
    }
    let mut free: Vec<usize> = (0..at_once).collect();
    let mut came: Vec<(usize, Bytes)> = Vec::new();
    let (mut lines, mut marks) = (Vec::new(), Vec::new());
    // As in the runner, each row is kept in memory until it is answered.
    let mut in_flight: Vec<Option<Planned>> = vec![None; at_once];
    let mut next = Vec::new();
    let mut answered = 0;
    loop {
        for (at, answer) in came.drain(..) {
            lines.extend_from_slice(&answer);
            lines.push(b'\n');
            in_flight[at] = None;
            free.push(at);
            answered += 1;
        }
        files.lines.write_at(&lines, files.written)?;
        files.written += lines.len() as u64;
        lines.clear();
        while let Some(&at) = free.last() {
            let Some(fed) = rows.recv().await else { break };
            let Incoming::Planned(planned) = fed else { unreachable!("the rows are right") };
            marks.extend_from_slice(&MARK);
            in_flight[at] = Some(planned);
            next.push(at);
            free.pop();
        }
        files.marks.write_at(&marks, 0)?;
        marks.clear();
        for at in next.drain(..) {
            let planned = in_flight[at].as_ref().expect("the row was put there");
            desks[at].put(planned.job.request.json().clone());
        }
        if free.len() == at_once {
            return Ok(answered);
        }
        answers.recv_many(&mut came, at_once).await;
    }
}

/// Syncs again and again until the other end of the channel is dropped. After that, the function syncs one last time.
fn sync_until(is_over: &std::sync::mpsc::Receiver<()>, file: &dyn DiskFile) -> io::Result<()> {
    loop {
        let waited = is_over.recv_timeout(SYNC_EVERY);
        file.sync()?;
        if waited == Err(RecvTimeoutError::Disconnected) {
            return Ok(());
        }
    }
}
