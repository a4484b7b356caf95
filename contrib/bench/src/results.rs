//! All cells of a run, by workload and round, and what can be asked of them.

use crate::args::Options;
use crate::stats::median;
use crate::workload::{Aim, Cell, Metric, Unit, Workload};

/// All that one workload measured.
pub(crate) struct Results {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    /// The row that the others are compared with.
    pub(crate) subject: String,
    pub(crate) aims: Vec<Aim>,
    pub(crate) rounds: Vec<Vec<Cell>>,
}

impl Results {
    pub(crate) fn new(workload: &dyn Workload, options: &Options) -> Self {
        Self {
            name: workload.name(),
            unit: workload.unit(),
            subject: workload.subject(options),
            aims: workload.aims(),
            rounds: Vec::new(),
        }
    }

    /// The rows, in the order of the first round.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &str> {
        self.rounds
            .first()
            .into_iter()
            .flatten()
            .map(|cell| cell.row.as_str())
    }

    /// What a row measured in each of the rounds.
    pub(crate) fn values(&self, row: &str, metric: Metric) -> Vec<Option<f64>> {
        let value = |cells: &Vec<Cell>| {
            cells
                .iter()
                .find(|cell| cell.row == row)?
                .values
                .get(&metric)
                .copied()
        };
        self.rounds.iter().map(value).collect()
    }

    pub(crate) fn median(&self, row: &str, metric: Metric) -> Option<f64> {
        median(
            &self
                .values(row, metric)
                .into_iter()
                .flatten()
                .collect::<Vec<_>>(),
        )
    }

    /// The subject's value divided by the row's, round by round.
    pub(crate) fn ratios(&self, row: &str, metric: Metric) -> Vec<f64> {
        self.beside(row, metric, |ours, theirs| ours / theirs)
    }

    /// What the subject's value is above the row's, round by round.
    pub(crate) fn differences(&self, row: &str, metric: Metric) -> Vec<f64> {
        self.beside(row, metric, |ours, theirs| ours - theirs)
    }

    fn beside(&self, row: &str, metric: Metric, compare: fn(f64, f64) -> f64) -> Vec<f64> {
        let ours = self.values(&self.subject, metric);
        let theirs = self.values(row, metric);
        ours.into_iter()
            .zip(theirs)
            .filter_map(|(ours, theirs)| Some(compare(ours?, theirs?)))
            .collect()
    }

    pub(crate) fn note(&self, row: &str) -> &str {
        let cells = self.rounds.iter().rev().flatten();
        cells
            .filter(|cell| cell.row == row)
            .map(|cell| cell.note.as_str())
            .find(|note| !note.is_empty())
            .unwrap_or("")
    }
}
