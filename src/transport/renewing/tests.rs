//! Tests of renewals on virtual time. The issuer runs on real threads and waits until the test sends it an answer.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

type Answer = Result<Issued, String>;

/// An issuer that gets its answers from the test. Each call of `issue` waits until the test gives the next answer.
#[derive(Debug)]
struct Gate {
    answers: Mutex<Receiver<Answer>>,
    calls: Arc<Mutex<usize>>,
    warnings: Arc<Mutex<VecDeque<String>>>,
}

impl Issuer for Gate {
    fn issue(&self) -> Answer {
        *self.calls.lock().expect("no thread panicked with it") += 1;
        self.answers.lock().expect("no thread panicked with it").recv().unwrap_or_else(|_| Err("it is over".to_owned()))
    }

    fn warn(&self, warning: &str) {
        self.warnings.lock().expect("no thread panicked with it").push_back(warning.to_owned());
    }
}

/// The source that is tested, and a channel. Through this channel, the test answers in place of the source's issuer.
struct Stage {
    source: Renewing,
    answers: Sender<Answer>,
    calls: Arc<Mutex<usize>>,
    warnings: Arc<Mutex<VecDeque<String>>>,
}

impl Stage {
    fn new(life: Life) -> Self {
        let (answers, receiver) = channel();
        let (calls, warnings) = (Arc::default(), Arc::default());
        let gate = Gate { answers: Mutex::new(receiver), calls: Arc::clone(&calls), warnings: Arc::clone(&warnings) };
        Self { source: Renewing::new(gate, issued("first", life)), answers, calls, warnings }
    }

    async fn key(&self) -> Result<String, String> {
        self.source.credential().await.map(|credential| name(&credential))
    }

    /// Sends an answer to the issuer, and waits until the renewal has ended.
    async fn answer(&self, answer: Answer) {
        let mut ended = self.source.0.ended.subscribe();
        self.answers.send(answer).expect("the issuer is there");
        ended.changed().await.expect("the source is there");
    }

    /// Sets what the issuer will answer to the next renewal.
    fn will_answer(&self, answer: Answer) {
        self.answers.send(answer).expect("the issuer is there");
    }

    fn calls(&self) -> usize {
        *self.calls.lock().expect("no thread panicked with it")
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings.lock().expect("no thread panicked with it").iter().cloned().collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_renewed_in_the_background_five_minutes_before_its_end() {
    let stage = Stage::new(Life::For(HOUR));

    tokio::time::advance(55 * MINUTE - SECOND).await;
    assert_eq!(stage.key().await.as_deref(), Ok("first"));
    assert!(!stage.source.0.lock().is_renewing);
    tokio::time::advance(SECOND).await;
    for _ in 0..100 {
        assert_eq!(stage.key().await.as_deref(), Ok("first"));
    }
    stage.answer(Ok(issued("second", Life::For(HOUR)))).await;

    assert_eq!(stage.key().await.as_deref(), Ok("second"));
    assert_eq!((stage.calls(), stage.warnings().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_short_life_is_renewed_after_nine_tenths() {
    let stage = Stage::new(Life::For(10 * SECOND));

    tokio::time::advance(9 * SECOND - Duration::from_millis(1)).await;
    assert_eq!(stage.key().await.as_deref(), Ok("first"));
    assert!(!stage.source.0.lock().is_renewing);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(stage.key().await.as_deref(), Ok("first"));

    assert!(stage.source.0.lock().is_renewing);
}

#[tokio::test(start_paused = true)]
async fn requests_after_the_key_has_expired_wait_for_one_renewal() {
    let stage = Stage::new(Life::For(HOUR));
    tokio::time::advance(2 * HOUR).await;
    stage.will_answer(Ok(issued("second", Life::For(HOUR))));

    let (one, two, three) = tokio::join!(stage.key(), stage.key(), stage.key());

    assert_eq!([one, two, three].map(Result::unwrap), ["second"; 3]);
    assert_eq!(stage.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_keeps_the_key_until_its_end_and_warns_once() {
    let stage = Stage::new(Life::For(HOUR));
    tokio::time::advance(56 * MINUTE).await;

    for _ in 0..3 {
        assert_eq!(stage.key().await.as_deref(), Ok("first"));
        stage.answer(Err("the vault is closed to token-of-first".to_owned())).await;
        assert_eq!(stage.key().await.as_deref(), Ok("first"));
        assert!(!stage.source.0.lock().is_renewing, "the next try is later");
        tokio::time::advance(AFTER_FAILURE).await;
    }

    let warnings = stage.warnings();
    assert_eq!(
        warnings,
        ["the key can't be renewed: the vault is closed to [key]; the current key is used until it expires"]
    );
}

#[tokio::test(start_paused = true)]
async fn once_the_key_has_expired_requests_fail_with_the_reason_until_a_renewal_works() {
    let stage = Stage::new(Life::For(HOUR));
    tokio::time::advance(2 * HOUR).await;
    stage.will_answer(Err("the vault is closed".to_owned()));

    let errors = [stage.key().await, stage.key().await, stage.key().await];
    assert_eq!(errors, [(); 3].map(|()| Err("the vault is closed".to_owned())));
    assert_eq!(stage.calls(), 1);
    tokio::time::advance(AFTER_FAILURE).await;
    stage.will_answer(Ok(issued("second", Life::For(HOUR))));

    assert_eq!(stage.key().await.as_deref(), Ok("second"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_is_renewed_once_for_many_requests() {
    let stage = Stage::new(Life::UntilRefused);
    let refused = stage.source.credential().await.expect("there is a key");
    stage.will_answer(Ok(issued("second", Life::UntilRefused)));

    let all = tokio::join!(stage.source.renew(&refused), stage.source.renew(&refused), stage.source.renew(&refused));
    let late = stage.source.renew(&refused).await;

    for other in [all.0, all.1, all.2, late] {
        assert_eq!(name(&other.expect("there is another")), "second");
    }
    assert_eq!(stage.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_is_renewed_at_most_once_a_minute() {
    let stage = Stage::new(Life::UntilRefused);
    let refused = stage.source.credential().await.expect("there is a key");
    stage.will_answer(Ok(issued("first", Life::UntilRefused)));

    let same = stage.source.renew(&refused).await.expect("it is the same");
    assert!(Arc::ptr_eq(&same, &refused));
    assert!(Arc::ptr_eq(&stage.source.renew(&refused).await.expect("it is the same"), &refused));
    assert_eq!(stage.calls(), 1);
    tokio::time::advance(BETWEEN_REFUSALS).await;
    stage.will_answer(Ok(issued("second", Life::UntilRefused)));

    assert_eq!(name(&stage.source.renew(&refused).await.expect("there is another")), "second");
}

#[tokio::test(start_paused = true)]
async fn the_issuer_may_return_the_same_key_and_is_asked_again_nearer_to_its_end() {
    let stage = Stage::new(Life::For(HOUR));
    let first = stage.source.credential().await.expect("there is a key");
    tokio::time::advance(55 * MINUTE).await;
    assert_eq!(stage.key().await.as_deref(), Ok("first"));
    stage.answer(Ok(issued("first", Life::For(5 * MINUTE)))).await;

    assert!(Arc::ptr_eq(&stage.source.credential().await.expect("there is a key"), &first));
    assert!(!stage.source.0.lock().is_renewing);
    tokio::time::advance(5 * MINUTE - 30 * SECOND).await;
    assert_eq!(stage.key().await.as_deref(), Ok("first"));
    stage.answer(Ok(issued("second", Life::For(HOUR)))).await;

    assert_eq!(stage.key().await.as_deref(), Ok("second"));
    assert_eq!(stage.warnings(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_end_is_not_known_is_used_after_failed_renewals() {
    let stage = Stage::new(Life::AtLeast(MINUTE));
    tokio::time::advance(MINUTE).await;
    assert_eq!(stage.key().await.as_deref(), Ok("first"));
    stage.answer(Err("not now".to_owned())).await;
    tokio::time::advance(24 * HOUR).await;

    assert_eq!(stage.key().await.as_deref(), Ok("first"));
    assert_eq!(stage.warnings(), ["the key can't be renewed: not now"]);
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_panics_is_a_failed_renewal() {
    #[derive(Debug)]
    struct Panics;
    impl Issuer for Panics {
        fn issue(&self) -> Answer {
            panic!("on purpose")
        }
        fn warn(&self, _warning: &str) {}
    }
    let source = Renewing::new(Panics, issued("first", Life::For(SECOND)));
    tokio::time::advance(HOUR).await;

    assert!(source.credential().await.is_err_and(|reason| reason.contains("panicked")));
}

#[test]
fn no_debug_output_shows_a_key() {
    let stage = Stage::new(Life::UntilRefused);

    assert!(!format!("{:?}", stage.source).contains("first"));
}

fn issued(name: &str, life: Life) -> Issued {
    let credential = Credential::Bearer(format!("token-of-{name}").into());
    Issued { credential, life, also_secret: Vec::new() }
}

fn name(credential: &Credential) -> String {
    credential.exposed().expect("it is a token").trim_start_matches("token-of-").to_owned()
}
