//! Estimates from samples: means and ratios with their errors.
//!
//! Sources: W. G. Cochran, "Sampling Techniques", chapters 2, 6 and 7 (mean, ratio and regression estimators).

/// An estimate of the mean value of all rows, made from a sample of rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sampled {
    /// The estimated mean value of all rows.
    pub(super) mean: f64,
    /// With a probability of 95 %, the real mean of all rows differs from `mean` by at most this number.
    pub(super) error: f64,
}

/// Returns a factor for a sample of `n` values. Half the width of the 95 % interval is the standard error multiplied by
/// this factor. The factor is a little above the quantile of Student's distribution, because answer lengths are skewed:
/// a few answers are much longer than the mean.
fn quantile(n: usize) -> f64 {
    1.96 + 4.0 / (n.max(2) - 1) as f64
}

/// From the sample `values`, estimates the mean value of `rows` rows; `None` if the sample is too small.
pub(super) fn mean(values: &[f64], rows: u64) -> Option<Sampled> {
    let n = values.len();
    if n < 2 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some(Sampled { mean, error: error(squares / (n - 1) as f64, n, rows) })
}

/// Estimates a ratio for `rows` rows: the sum of `y` divided by the sum of `x`. The estimate comes from a sample of
/// pairs `(x, y)`. Returns `None` if the sample is too small.
pub(super) fn ratio(pairs: &[(f64, f64)], rows: u64) -> Option<Sampled> {
    let n = pairs.len();
    let (x, y) = pairs.iter().fold((0.0, 0.0), |(x, y), pair| (x + pair.0, y + pair.1));
    if n < 2 || x <= 0.0 {
        return None;
    }
    let ratio = y / x;
    let squares: f64 = pairs.iter().map(|(x, y)| (y - ratio * x).powi(2)).sum();
    let mean_x = x / n as f64;
    Some(Sampled { mean: ratio, error: error(squares / (n - 1) as f64, n, rows) / mean_x })
}

/// If `y` rises with `x`, estimates the mean of `y` for rows whose mean of `x` is `mean_x`. Returns the estimated mean
/// of `y`, and the slope. Returns `None` if the sample is too small, or if it is not clear that `y` rises.
pub(super) fn regression(pairs: &[(f64, f64)], mean_x: f64, rows: u64) -> Option<(Sampled, f64)> {
    const LEAST: usize = 20;
    /// The slope, divided by its standard error, must be at least this number.
    const CLEAR: f64 = 3.0;
    let n = pairs.len();
    if n < LEAST {
        return None;
    }
    let count = n as f64;
    let (x, y) = pairs.iter().fold((0.0, 0.0), |(x, y), pair| (x + pair.0 / count, y + pair.1 / count));
    let xx: f64 = pairs.iter().map(|pair| (pair.0 - x).powi(2)).sum();
    let xy: f64 = pairs.iter().map(|pair| (pair.0 - x) * (pair.1 - y)).sum();
    if xx <= 0.0 {
        return None;
    }
    let slope = xy / xx;
    let squares: f64 = pairs.iter().map(|pair| (pair.1 - y - slope * (pair.0 - x)).powi(2)).sum();
    let variance = squares / (count - 2.0);
    if slope <= 0.0 || slope < CLEAR * (variance / xx).sqrt() {
        return None;
    }
    let mean = (y + slope * (mean_x - x)).max(0.0);
    // The standard deviation of the lengths of answers grows in proportion to the mean length.
    let scale = if y > 0.0 { (mean / y).max(1.0) } else { 1.0 };
    let variance_of_mean =
        scale * scale * variance * (1.0 / count + 1.0 / rows.max(1) as f64 + (mean_x - x).powi(2) / xx);
    Some((Sampled { mean, error: quantile(n - 1) * variance_of_mean.sqrt() }, slope))
}

/// Returns how far the mean `y` of some rows can be above the mean `y` of the sample. The mean `x` of these rows is
/// `mean_x`. This function is for samples that are too small or too uniform to show whether `y` rises with `x`. The
/// result is negative if `mean_x` is below the mean `x` of the sample.
pub(super) fn unseen_slope(pairs: &[(f64, f64)], mean_x: f64) -> f64 {
    let count = pairs.len() as f64;
    if pairs.len() < 3 {
        return 0.0;
    }
    let (x, y) = pairs.iter().fold((0.0, 0.0), |(x, y), pair| (x + pair.0 / count, y + pair.1 / count));
    let xx: f64 = pairs.iter().map(|pair| (pair.0 - x).powi(2)).sum();
    let yy: f64 = pairs.iter().map(|pair| (pair.1 - y).powi(2)).sum();
    // If a prompt is twice as long, its answer is rarely more than twice as long.
    let steepest = y / x.max(1.0);
    let slope = if xx > 0.0 { (2.0 * (yy / xx / count).sqrt()).min(steepest) } else { steepest };
    slope * (mean_x - x)
}

/// Returns the largest likely difference between two means: the mean of all `rows` rows, and the mean of a sample of
/// `n` rows. `variance` is the variance of the rows' values.
fn error(variance: f64, n: usize, rows: u64) -> f64 {
    quantile(n) * (variance * (1.0 / n as f64 + 1.0 / rows.max(1) as f64)).sqrt()
}

/// Fits `y = a + b·x` to pairs `(x, y)`, with `a` and `b` at least zero. Returns `a`, `b` and the mean of `|ln(y /
/// fit)|`.
pub(super) fn line(pairs: &[(f64, f64)]) -> Option<(f64, f64, f64)> {
    let n = pairs.len() as f64;
    if pairs.len() < 5 {
        return None;
    }
    let (x, y) = pairs.iter().fold((0.0, 0.0), |(x, y), pair| (x + pair.0 / n, y + pair.1 / n));
    let xx: f64 = pairs.iter().map(|pair| (pair.0 - x).powi(2)).sum();
    let xy: f64 = pairs.iter().map(|pair| (pair.0 - x) * (pair.1 - y)).sum();
    let slope = if xx > 0.0 { (xy / xx).max(0.0) } else { 0.0 };
    let start = y - slope * x;
    let (start, slope) = match start >= 0.0 {
        true => (start, slope),
        false => (0.0, if x > 0.0 { y / x } else { 0.0 }),
    };
    let off = |pair: &(f64, f64)| (pair.1.max(1e-9) / (start + slope * pair.0).max(1e-9)).ln().abs();
    Some((start, slope, pairs.iter().map(off).sum::<f64>() / n))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a value of a lognormal distribution with this mean.
    fn lognormal(mean: f64, sigma: f64, rng: &mut fastrand::Rng) -> f64 {
        let normal = (-2.0 * rng.f64().max(1e-12).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos();
        (mean.ln() - sigma * sigma / 2.0 + sigma * normal).exp()
    }

    /// Returns the share of 1,000 trials in which the interval contains the truth.
    fn coverage(trial: impl Fn(&mut fastrand::Rng) -> (Sampled, f64)) -> f64 {
        let mut rng = fastrand::Rng::with_seed(7);
        let hits = (0..1_000).filter(|_| {
            let (sampled, truth) = trial(&mut rng);
            (sampled.mean - truth).abs() <= sampled.error
        });
        hits.count() as f64 / 1_000.0
    }

    #[test]
    fn the_interval_of_a_mean_contains_the_truth_as_often_as_it_says() {
        for (n, rows) in [(50, 10_000), (50, 100), (10, 1_000)] {
            let share = coverage(|rng| {
                let values: Vec<f64> = (0..n).map(|_| lognormal(200.0, 0.5, rng)).collect();
                let truth = (0..rows).map(|_| lognormal(200.0, 0.5, rng)).sum::<f64>() / rows as f64;
                (mean(&values, rows).expect("there are enough"), truth)
            });
            assert!((0.91..0.985).contains(&share), "{n} of {rows}: {share}");
        }
    }

    #[test]
    fn the_interval_of_a_ratio_contains_the_truth_as_often_as_it_says() {
        let share = coverage(|rng| {
            let pairs: Vec<(f64, f64)> = (0..40)
                .map(|_| {
                    let x = lognormal(500.0, 0.8, rng);
                    (x, x * (1.1 + 0.2 * rng.f64()))
                })
                .collect();
            (ratio(&pairs, 10_000).expect("there are enough"), 1.2)
        });
        assert!((0.91..0.99).contains(&share), "{share}");
    }

    #[test]
    fn the_interval_of_a_regression_contains_the_truth_for_rows_that_differ_from_the_sample() {
        let answer = |x: f64, rng: &mut fastrand::Rng| lognormal(90.0 + 0.2 * x, 0.4, rng);
        let share = coverage(|rng| {
            let pairs: Vec<(f64, f64)> =
                (0..80).map(|at| (20.0 * f64::from(at), answer(20.0 * f64::from(at), rng))).collect();
            let found = regression(&pairs, 1_200.0, 100_000);
            (found.expect("the slope is clear").0, 90.0 + 0.2 * 1_200.0)
        });
        assert!((0.88..0.99).contains(&share), "{share}");
    }

    #[test]
    fn lengths_that_do_not_depend_on_the_prompt_have_no_regression() {
        let mut rng = fastrand::Rng::with_seed(3);
        let pairs: Vec<_> = (0..50).map(|_| (100.0 + 900.0 * rng.f64(), lognormal(100.0, 0.6, &mut rng))).collect();

        assert_eq!(regression(&pairs, 5_000.0, 1_000), None);
    }

    #[test]
    fn a_line_is_found_and_has_no_negative_part() {
        let pairs: Vec<(f64, f64)> = (1..50).map(|x| (f64::from(x), 600.0 + 8.0 * f64::from(x))).collect();
        let (start, slope, off) = line(&pairs).expect("there are enough");
        assert!((start - 600.0).abs() < 1e-6 && (slope - 8.0).abs() < 1e-9 && off < 1e-9);

        let steep: Vec<(f64, f64)> = (1..50).map(|x| (f64::from(x), 8.0 * f64::from(x) - 4.0)).collect();
        let (start, slope, _) = line(&steep).expect("there are enough");
        assert!(start == 0.0 && slope > 7.0);
        assert_eq!(line(&pairs[..4]), None);
    }
}
