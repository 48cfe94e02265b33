//! Tests runs with batches that are paused.

use std::time::Duration;

use claude_batch::sim::config::{BatchConfig, BatchTime};

use crate::judge::{Verdict, verdict};
use crate::world::{NO_FAULTS, Run, play};

/// The run is paused before its first batch, and again while its batches are processed.
pub fn collects_and_does_not_submit() {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let batches = BatchConfig { time: BatchTime::Between(minutes(2), minutes(4)), ..BatchConfig::default() };
    for pause in [Duration::from_millis(1), minutes(1)] {
        play(NO_FAULTS, batches.clone(), async |world| {
            let before = world.now();

            let ended = world.run(&Run { pause: Some((pause, minutes(60))), ..Run::of(0..41) }).await;

            let took = world.now().since(before);
            assert_eq!((ended.finish().halted.as_ref(), ended.finish().pending), (None, 0), "{ended:?}");
            assert_eq!(verdict(world, "paused"), Verdict::default());
            assert_eq!(world.api().books().billed_again, 0);
            // All batches of the second run are submitted before the pause, so the run ends during the pause.
            assert_eq!(took >= minutes(60), pause < minutes(1), "{took:?}");
        });
    }
}
