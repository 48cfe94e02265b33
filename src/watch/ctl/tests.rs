//! Tests of both sides of `ctl`: which requests a run accepts, and which it rejects.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::journal::{Disk, MemDisk, Owners, RealDisk};

const FOLDER: &str = "out.jsonl.run";
/// A run needs fewer checks than this before it removes an incomplete request.
const LOOKS: usize = 12;

fn request(process: &str, verb: Verb) -> Request {
    let setting = (verb == Verb::Set).then(|| ("headroom".to_owned(), "50%".to_owned()));
    Request { process: process.to_owned(), id: random_id().expect("random numbers"), verb, setting }
}

fn mailbox(disk: &MemDisk) -> (Mailbox, String) {
    let process = random_id().expect("random numbers");
    let mailbox = Mailbox::open(Arc::new(disk.clone()), Path::new(FOLDER), process.clone()).expect("it opens");
    (mailbox, process)
}

/// Checks the mailbox until the request was accepted or removed. Returns the accepted requests.
fn obeyed(mailbox: &mut Mailbox) -> Vec<Request> {
    (0..LOOKS).filter_map(|_| mailbox.next().expect("everything can be removed")).collect()
}

#[test]
fn a_request_is_obeyed_once_and_its_answer_is_found() {
    for verb in Verb::ALL {
        let disk = MemDisk::new();
        let (mut mailbox, process) = mailbox(&disk);
        let caller = Caller::new(&disk, Path::new(FOLDER));
        let request = request(&caller.process().expect("it is readable").expect("it is there"), verb);
        assert_eq!(request.process, process);

        assert_eq!(caller.post(&request).expect("it is written"), Posted::Yes);
        let obeyed = obeyed(&mut mailbox);
        mailbox.answer(&request.id, Ok("done".to_owned())).expect("it is written");

        assert_eq!(obeyed, std::slice::from_ref(&request));
        let answer = Answer { id: request.id.clone(), ok: true, message: "done".to_owned() };
        assert_eq!(caller.answer(&request.id), Some(answer));
        assert!(!caller.withdraw(&request), "the run has removed it");
    }
}

#[test]
fn the_last_sixteen_answers_are_kept() {
    let disk = MemDisk::new();
    let (mut mailbox, _) = mailbox(&disk);
    let ids: Vec<String> = (0..20).map(|at| format!("{at:032x}")).collect();

    for id in &ids {
        mailbox.answer(id, Err("no".to_owned())).expect("it is written");
    }

    let caller = Caller::new(&disk, Path::new(FOLDER));
    let found: Vec<bool> = ids.iter().map(|id| caller.answer(id).is_some()).collect();
    assert_eq!(found, [vec![false; 4], vec![true; 16]].concat());
}

#[test]
fn a_second_request_waits_and_a_request_can_be_taken_back() {
    let disk = MemDisk::new();
    let (mut mailbox, process) = mailbox(&disk);
    let caller = Caller::new(&disk, Path::new(FOLDER));
    let (first, second) = (request(&process, Verb::Pause), request(&process, Verb::Resume));

    assert_eq!(caller.post(&first).expect("it is written"), Posted::Yes);
    assert_eq!(caller.post(&second).expect("the disk works"), Posted::Occupied);
    assert!(!caller.withdraw(&second) && caller.withdraw(&first));
    assert_eq!(caller.post(&second).expect("it is written"), Posted::Yes);

    assert_eq!(obeyed(&mut mailbox), [second]);
}

#[test]
fn files_from_before_the_run_are_removed_unread() {
    let disk = MemDisk::new();
    let process = random_id().expect("random numbers");
    let path = |name: &str| Path::new(FOLDER).join(name);
    disk.put(path(REQUEST), request(&process, Verb::Stop).line().as_bytes());
    disk.put(path(ANSWERS), b"old");
    disk.put(path(PROCESS), b"old");

    let mut mailbox = Mailbox::open(Arc::new(disk.clone()), Path::new(FOLDER), process.clone()).expect("it opens");

    assert_eq!(obeyed(&mut mailbox), []);
    assert_eq!(disk.content(path(PROCESS)), Some(format!("{process}\n").into_bytes()));
    mailbox.close();
    assert_eq!(disk.paths(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_copy_of_an_earlier_request_is_not_obeyed() {
    let disk = MemDisk::new();
    let (mut mailbox, process) = mailbox(&disk);
    let request = request(&process, Verb::Pause);
    let path = Path::new(FOLDER).join(REQUEST);

    disk.put(&path, request.line().as_bytes());
    let first = obeyed(&mut mailbox);
    disk.put(&path, request.line().as_bytes());

    assert_eq!((first.len(), obeyed(&mut mailbox).len()), (1, 0));
    assert_eq!(disk.content(&path), None);
}

#[test]
fn an_incomplete_request_has_a_second_to_become_complete() {
    let disk = MemDisk::new();
    let (mut mailbox, process) = mailbox(&disk);
    let request = request(&process, Verb::Drain);
    let (line, path) = (request.line(), Path::new(FOLDER).join(REQUEST));

    disk.put(&path, &line.as_bytes()[..40]);
    let first: Vec<_> = (0..5).filter_map(|_| mailbox.next().expect("it works")).collect();
    disk.put(&path, line.as_bytes());

    assert_eq!((first, obeyed(&mut mailbox)), (vec![], vec![request]));
    disk.put(&path, &line.as_bytes()[..40]);
    assert_eq!(obeyed(&mut mailbox), []);
    assert_eq!(disk.content(&path), None, "after a second it is removed");
}

#[test]
fn a_thousand_planted_and_mutated_requests_change_nothing() {
    let disk = MemDisk::new();
    let (mut mailbox, process) = mailbox(&disk);
    let path = Path::new(FOLDER).join(REQUEST);
    for seed in 0..1_000 {
        let planted = planted(&process, &mut fastrand::Rng::with_seed(seed));
        disk.put(&path, &planted);

        assert_eq!(obeyed(&mut mailbox), [], "seed {seed}: {:?}", String::from_utf8_lossy(&planted));
        assert_eq!(disk.content(&path), None, "seed {seed}: it is removed");
    }
    let request = request(&process, Verb::Set);
    disk.put(&path, request.line().as_bytes());
    assert_eq!(obeyed(&mut mailbox), [request], "a real request still works");
}

/// Returns the bytes of a file that a run must not accept as a request.
fn planted(process: &str, rng: &mut fastrand::Rng) -> Vec<u8> {
    let verb = Verb::ALL[rng.usize(0..5)];
    let line = request(process, verb).line();
    let mut bytes = line.clone().into_bytes();
    match rng.u8(0..9) {
        0 => return request(&random_id().expect("random numbers"), verb).line().into_bytes(),
        1 => bytes.truncate(rng.usize(0..bytes.len())),
        2 => bytes = vec![b'['; rng.usize(1..MOST_BYTES as usize)],
        3 => bytes = [&bytes[..], &bytes[..]].concat(),
        4 => bytes = (0..rng.usize(0..5_000)).map(|_| rng.u8(..)).collect(),
        5 => bytes = line.trim_end().replace('}', &format!(",\"more\":\"{}\"}}\n", "x".repeat(5_000))).into_bytes(),
        6 => bytes = line.replace("\"check\":\"", "\"check\":\"0").into_bytes(),
        _ => {}
    }
    while bytes == line.as_bytes() {
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(0..bytes.len());
            match rng.u8(0..3) {
                0 => bytes[at] = rng.u8(..),
                1 => bytes.insert(at, rng.u8(..)),
                _ => drop(bytes.remove(at)),
            }
        }
    }
    bytes
}

#[test]
fn failures_of_the_disk_are_reported_once_and_the_run_continues() {
    let disk = MemDisk::new();
    let (mut mailbox, process) = mailbox(&disk);
    let path = Path::new(FOLDER).join(REQUEST);
    let request = request(&process, Verb::Stop);
    disk.put(&path, request.line().as_bytes());

    disk.fail_at(disk.changes(), std::io::ErrorKind::ReadOnlyFilesystem);
    let failed = mailbox.next();

    assert!(failed.is_err(), "a request that can't be removed is not obeyed, or it would be obeyed again and again");
    assert_eq!(obeyed(&mut mailbox), [request]);
    disk.fail_at(disk.changes(), std::io::ErrorKind::ReadOnlyFilesystem);
    assert!(mailbox.answer("id", Ok(String::new())).is_ok(), "the second failure is not told");
}

#[cfg(unix)]
mod on_a_real_disk {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn opened() -> (tempfile::TempDir, Mailbox, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let process = random_id().expect("random numbers");
        let disk: Arc<dyn Disk> = Arc::new(RealDisk::new(Owners::Own));
        let mailbox = Mailbox::open(disk, folder.path(), process.clone()).expect("it opens");
        (folder, mailbox, process)
    }

    #[test]
    fn links_pipes_and_folders_are_not_obeyed_even_if_they_lead_to_a_request() {
        let (folder, mut mailbox, process) = opened();
        let (path, elsewhere) = (folder.path().join(REQUEST), folder.path().join("elsewhere"));
        fs::write(&elsewhere, request(&process, Verb::Stop).line()).expect("it is written");

        symlink(&elsewhere, &path).expect("a link");
        assert_eq!(obeyed(&mut mailbox), []);
        fs::hard_link(&elsewhere, &path).expect("a link");
        assert_eq!(obeyed(&mut mailbox), []);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
        assert_eq!(obeyed(&mut mailbox), []);

        assert!(elsewhere.exists() && !path.exists(), "only the name of the request is removed");
        fs::create_dir(&path).expect("a folder");
        assert!(mailbox.next().is_err(), "it can't be removed, and this is told");
        assert_eq!(obeyed(&mut mailbox), [], "and only once");
        fs::remove_dir(&path).expect("it is empty");
        let request = request(&process, Verb::Pause);
        let disk = RealDisk::new(Owners::Own);
        Caller::new(&disk, folder.path()).post(&request).expect("it is written");
        assert_eq!(obeyed(&mut mailbox), [request]);
    }

    #[test]
    fn a_request_of_another_user_is_not_obeyed() {
        let (folder, mut mailbox, process) = opened();
        let path = folder.path().join(REQUEST);
        fs::write(&path, request(&process, Verb::Stop).line()).expect("it is written");
        // Only root can change the owner of a file.
        if std::os::unix::fs::chown(&path, Some(12_345), None).is_err() {
            return;
        }

        assert_eq!(obeyed(&mut mailbox), []);
        assert!(!path.exists());
    }

    #[test]
    fn the_files_are_private() {
        let (folder, mut mailbox, process) = opened();
        let disk = RealDisk::new(Owners::Own);
        mailbox.answer("id", Ok("done".to_owned())).expect("it is written");
        Caller::new(&disk, folder.path()).post(&request(&process, Verb::Pause)).expect("it is written");

        for name in [PROCESS, REQUEST, ANSWERS] {
            let mode = fs::metadata(folder.path().join(name)).expect("it is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_run_continues_without_requests_if_a_folder_has_the_name_of_its_file() {
        for name in [PROCESS, REQUEST, ANSWERS] {
            let folder = tempfile::tempdir().expect("a folder");
            fs::create_dir(folder.path().join(name)).expect("a folder");

            let opened = Mailbox::open(Arc::new(RealDisk::new(Owners::Own)), folder.path(), "0".repeat(32));

            assert!(opened.is_err(), "{name}");
        }
    }
}
