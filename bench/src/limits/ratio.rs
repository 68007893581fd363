//! A figure and its limit.

use std::time::Duration;

use crate::output::{print, verdict};

/// The number and the duration of the measurements.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rounds {
    pub(super) count: usize,
    pub(super) span: Duration,
}

/// The required ratio.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    AtLeast(f64),
    AtMost(f64),
    /// No ratio is required.
    Known,
}

/// A figure and its limit. They are measured in turns, so that changes of the machine's speed affect both.
#[derive(Debug, Default)]
pub(crate) struct Ratio {
    measured: Vec<f64>,
    limits: Vec<f64>,
}

impl Ratio {
    /// Prints the headings of the columns of [`Ratio::report`].
    pub(crate) fn print_head() {
        print(&format!(
            "{:<54} {:>10} {:>10} {:>6}  {:<11} wanted",
            "", "measured", "limit", "ratio", "of rounds"
        ));
    }

    pub(crate) fn add(&mut self, measured: f64, limit: f64) {
        self.measured.push(measured);
        self.limits.push(limit);
    }

    /// Prints the medians, their ratio, and the lowest and highest ratio of a round.
    pub(crate) fn report(self, name: &str, unit: &str, wanted: Wanted) {
        let mut ratios: Vec<f64> = self.measured.iter().zip(&self.limits).map(|(m, l)| m / l).collect();
        ratios.sort_by(f64::total_cmp);
        let (Some(lowest), Some(highest)) = (ratios.first(), ratios.last()) else {
            return;
        };
        let span = format!("{lowest:.2}-{highest:.2}");
        let (measured, limit) = (median(self.measured), median(self.limits));
        let ratio = measured / limit;
        let (wanted, held) = match wanted {
            Wanted::AtLeast(bound) => (format!("at least {bound}"), ratio >= bound),
            Wanted::AtMost(bound) => (format!("at most {bound}"), ratio <= bound),
            Wanted::Known => (String::new(), true),
        };
        let figures = |value: f64| match unit {
            "ms" => format!("{value:.2} ms"),
            "s" => format!("{value:.2} s"),
            unit => format!("{value:.0}{unit}"),
        };
        print(&format!(
            "{name:<54} {:>10} {:>10} {ratio:>6.2}  {span:<11} {wanted}{}",
            figures(measured),
            figures(limit),
            verdict(held)
        ));
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
