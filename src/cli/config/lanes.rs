//! The settings of the lanes: whether requests are sent online or in batches, and when the run has to be done.

use std::num::NonZeroU32;

use anyhow::{Result, bail};
use jiff::{Timestamp, ZonedDateTime};

use super::inputs::OutputArg;
use super::world::World;
use crate::cli::args::Deadline;
use crate::cli::args::groups::LaneArgs;
use crate::domain::LaneChoice;

/// `--batch-rows`. The results of a batch can be read only when the whole batch has ended, so a large batch delays its
/// first results. Small batches need more API calls than large batches. With 5,000 to 20,000 rows in a batch, the delay
/// is short and few calls are needed.
pub(super) const BATCH_ROWS: NonZeroU32 = NonZeroU32::new(10_000).expect("it is above zero");

/// The settings of the lanes (online or batch), after all checks.
pub(super) struct Lanes {
    pub(super) lane: LaneChoice,
    pub(super) deadline: Option<Timestamp>,
    pub(super) batch_rows: NonZeroU32,
    pub(super) detach: bool,
}

impl Lanes {
    /// Returns the settings of the lanes. `merged` has the settings of all layers. `named` has only the flags and the
    /// environment of this call. `lane` is the user's choice of the lane (online, batch or auto), after the check that
    /// the provider has batches.
    ///
    /// # Errors
    /// Fails if `--detach` is given for a run without batches, or if the deadline is in the past.
    pub(super) fn of(lane: LaneChoice, merged: &LaneArgs, named: &LaneArgs, world: &World) -> Result<Self> {
        if named.detach == Some(true) && !lane.uses_batches() {
            bail!("--detach: with --lane online, the run submits no batches; add --lane batch or --lane auto");
        }
        Ok(Self {
            lane,
            deadline: merged.deadline.map(|deadline| moment(deadline, &world.now)).transpose()?,
            batch_rows: merged.batch_rows.unwrap_or(BATCH_ROWS),
            // A file may set `detach` for all runs with batches. In a run without batches, `detach` is ignored.
            detach: lane.uses_batches() && merged.detach.unwrap_or(false),
        })
    }
}

/// Returns the moment of a deadline, or an error if the deadline is in the past.
fn moment(deadline: Deadline, now: &ZonedDateTime) -> Result<Timestamp> {
    let Some(moment) = deadline.moment(now) else {
        bail!("--deadline: the time is too far in the future; give an earlier time")
    };
    if moment <= now.timestamp() {
        let words = |at: Timestamp| now.time_zone().to_datetime(at).strftime("%Y-%m-%d %H:%M:%S").to_string();
        bail!(
            "--deadline {} is in the past, because it is {} now; name a later time",
            words(moment),
            words(now.timestamp())
        );
    }
    Ok(moment)
}

/// Rejects results on standard output for a run with batches. A batch continues after the program exits. A later run
/// that collects the answers of the batch needs a results file.
///
/// # Errors
/// Fails if a run with batches writes its results to standard output. The message says what to type.
pub(super) fn check_output(lane: LaneChoice, output: Option<&OutputArg>) -> Result<()> {
    if lane.uses_batches() && output == Some(&OutputArg::Stdout) {
        bail!(
            "--lane {}: batches continue after the program ends, so their answers need a file; name the results file \
             with -o",
            lane.name()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn world() -> World {
        let now = "2026-11-26T16:00:00+01:00[+01:00]".parse().expect("it is a time");
        World { now, ..World::default() }
    }

    fn lanes(merged: LaneArgs, named: LaneArgs) -> Result<Lanes, String> {
        Lanes::of(merged.lane.unwrap_or_default(), &merged, &named, &world()).map_err(|error| error.to_string())
    }

    #[test]
    fn without_settings_all_rows_go_online() {
        let lanes = lanes(LaneArgs::default(), LaneArgs::default()).expect("nothing is wrong");

        assert_eq!((lanes.lane, lanes.batch_rows.get(), lanes.detach), (LaneChoice::Online, 10_000, false));
        assert_eq!(lanes.deadline, None);
    }

    #[test]
    fn a_deadline_counts_from_the_start_of_the_program() {
        let deadline = Some(Deadline::After(Duration::from_secs(3_600)));
        let lanes = lanes(LaneArgs { deadline, ..LaneArgs::default() }, LaneArgs::default()).expect("it is later");

        assert_eq!(lanes.deadline.map(|at| at.to_string()).as_deref(), Some("2026-11-26T16:00:00Z"));
    }

    #[test]
    fn a_deadline_in_the_past_is_refused_with_both_times() {
        let at = "2026-11-26T14:59:30Z".parse().expect("it is a time");
        let deadline = Some(Deadline::At(at));

        let error = lanes(LaneArgs { deadline, ..LaneArgs::default() }, LaneArgs::default()).err();

        assert_eq!(
            error.as_deref(),
            Some(
                "--deadline 2026-11-26 15:59:30 is in the past, because it is 2026-11-26 16:00:00 now; name a later time"
            )
        );
    }

    #[test]
    fn a_file_can_detach_all_runs_with_batches_but_the_flag_needs_batches() {
        let detach = LaneArgs { detach: Some(true), ..LaneArgs::default() };
        let batch = LaneArgs { lane: Some(LaneChoice::Batch), ..detach.clone() };

        let of_file = lanes(detach.clone(), LaneArgs::default()).map(|lanes| lanes.detach);
        let with_batches = lanes(batch, detach.clone()).map(|lanes| lanes.detach);
        let error = lanes(detach.clone(), detach).err().unwrap_or_default();

        assert_eq!((of_file, with_batches), (Ok(false), Ok(true)));
        assert!(error.starts_with("--detach:") && error.contains("--lane batch"), "{error}");
    }
}
