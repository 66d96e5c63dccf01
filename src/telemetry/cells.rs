//! Counters that cost a request a load and a store: one cell per worker and series, added up when somebody reads.
//!
//! A cell has one writer. A shared atomic would move its cache line between cores at every request.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto;

/// Upper bounds of duration buckets in microseconds: a proxy's own work, a near upstream, a slow one.
const BOUNDS: [u64; 14] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 10_000_000,
];

/// What one worker holds of a series.
pub(super) trait Sample: Default + fmt::Debug + Send + Sync + 'static {
    const TYPE: proto::MetricType;
    /// The sum of all workers' cells.
    fn total(cells: &[Arc<Self>]) -> proto::Metric;
}

#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

#[derive(Debug, Default)]
pub(super) struct Level(AtomicI64);

#[derive(Debug, Default)]
pub(super) struct Durations {
    /// The last one is beyond all bounds.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

/// Grows.
#[derive(Clone, Debug)]
pub struct Counter(Arc<Count>, PhantomData<Cell<()>>);

/// Goes up and down.
#[derive(Clone, Debug)]
pub struct Gauge(Arc<Level>, PhantomData<Cell<()>>);

/// Counts durations by size.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Durations>, PhantomData<Cell<()>>);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `more`.
    pub fn add(&self, more: u64) {
        let cell = &self.0.0;
        cell.store(
            cell.load(Ordering::Relaxed).wrapping_add(more),
            Ordering::Relaxed,
        );
    }
}

impl Gauge {
    /// One more.
    pub fn up(&self) {
        self.by(1);
    }

    /// One less.
    pub fn down(&self) {
        self.by(-1);
    }

    fn by(&self, change: i64) {
        let cell = &self.0.0;
        cell.store(
            cell.load(Ordering::Relaxed).wrapping_add(change),
            Ordering::Relaxed,
        );
    }
}

impl Histogram {
    /// Counts one.
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS.iter().take_while(|bound| micros > **bound).count();
        for (cell, more) in [
            (self.0.buckets.get(place), 1),
            (Some(&self.0.micros), micros),
        ] {
            if let Some(cell) = cell {
                cell.store(
                    cell.load(Ordering::Relaxed).wrapping_add(more),
                    Ordering::Relaxed,
                );
            }
        }
    }
}

/// Metrics are floating-point numbers; beyond 2^53 they lose units, after three centuries of a million per second.
#[expect(clippy::as_conversions, reason = "there is no lossless conversion")]
const fn float(value: u64) -> f64 {
    value as f64
}

impl Sample for Count {
    const TYPE: proto::MetricType = proto::MetricType::COUNTER;

    fn total(cells: &[Arc<Self>]) -> proto::Metric {
        let sum = cells.iter().fold(0_u64, |sum, cell| {
            sum.wrapping_add(cell.0.load(Ordering::Relaxed))
        });
        let mut counter = proto::Counter::default();
        counter.set_value(float(sum));
        let mut metric = proto::Metric::default();
        metric.set_counter(counter);
        metric
    }
}

impl Sample for Level {
    const TYPE: proto::MetricType = proto::MetricType::GAUGE;

    fn total(cells: &[Arc<Self>]) -> proto::Metric {
        let sum: i64 = cells
            .iter()
            .map(|cell| cell.0.load(Ordering::Relaxed))
            .sum();
        let mut gauge = proto::Gauge::default();
        gauge.set_value(float(u64::try_from(sum).unwrap_or(0)));
        proto::Metric::from_gauge(gauge)
    }
}

impl Sample for Durations {
    const TYPE: proto::MetricType = proto::MetricType::HISTOGRAM;

    fn total(cells: &[Arc<Self>]) -> proto::Metric {
        let mut micros = 0_u64;
        let mut counts = [0_u64; BOUNDS.len() + 1];
        for cell in cells {
            micros = micros.wrapping_add(cell.micros.load(Ordering::Relaxed));
            for (count, bucket) in counts.iter_mut().zip(&cell.buckets) {
                *count += bucket.load(Ordering::Relaxed);
            }
        }
        let mut seen = 0;
        let buckets = BOUNDS
            .iter()
            .zip(&counts)
            .map(|(bound, count)| {
                seen += count;
                let mut bucket = proto::Bucket::default();
                bucket.set_upper_bound(float(*bound) / 1e6);
                bucket.set_cumulative_count(seen);
                bucket
            })
            .collect();
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(counts.iter().sum());
        histogram.set_sample_sum(float(micros) / 1e6);
        let mut metric = proto::Metric::default();
        metric.set_histogram(histogram);
        metric
    }
}

/// All series of one name.
#[derive(Debug)]
pub(super) struct Family<S> {
    desc: Desc,
    labels: &'static [&'static str],
    series: Mutex<Series<S>>,
}

/// The cells of each combination of label values.
type Series<S> = BTreeMap<Vec<Box<str>>, Vec<Arc<S>>>;

impl<S: Sample> Family<S> {
    pub(super) fn new(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> prometheus::Result<Arc<Self>> {
        let names = labels.iter().map(|label| (*label).to_owned()).collect();
        Ok(Arc::new(Self {
            desc: Desc::new(name.to_owned(), help.to_owned(), names, HashMap::new())?,
            labels,
            series: Mutex::default(),
        }))
    }

    /// A new cell. Locks: to be resolved once, not per request.
    fn cell(&self, values: &[&str]) -> Arc<S> {
        debug_assert_eq!(values.len(), self.labels.len(), "{}", self.desc.fq_name);
        let cell = Arc::new(S::default());
        self.series
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(values.iter().map(|value| Box::from(*value)).collect())
            .or_default()
            .push(Arc::clone(&cell));
        cell
    }
}

impl Family<Count> {
    pub(super) fn counter(&self, values: &[&str]) -> Counter {
        Counter(self.cell(values), PhantomData)
    }
}

impl Family<Count> {
    /// Label values and the sum of all workers' cells, series by series.
    pub(super) fn sums(&self) -> Vec<(Vec<Box<str>>, u64)> {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = |cells: &[Arc<Count>]| {
            cells.iter().fold(0_u64, |sum, cell| {
                sum.wrapping_add(cell.0.load(Ordering::Relaxed))
            })
        };
        let all = series.iter();
        all.map(|(values, cells)| (values.clone(), sum(cells)))
            .collect()
    }
}

impl Family<Level> {
    pub(super) fn gauge(&self, values: &[&str]) -> Gauge {
        Gauge(self.cell(values), PhantomData)
    }
}

impl Family<Durations> {
    pub(super) fn histogram(&self, values: &[&str]) -> Histogram {
        Histogram(self.cell(values), PhantomData)
    }
}

/// The registry's handle of a family.
pub(super) struct Registered<S>(pub(super) Arc<Family<S>>);

impl<S: Sample> Collector for Registered<S> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let family = &self.0;
        let metrics: Vec<_> = family
            .series
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(values, cells)| {
                let mut metric = S::total(cells);
                metric.set_label(labels(family.labels, values));
                metric
            })
            .collect();
        vec![metric_family(
            &family.desc.fq_name,
            &family.desc.help,
            S::TYPE,
            metrics,
        )]
    }
}

/// Label pairs, in the order of their names as the text format wants them.
pub(super) fn labels(names: &[&str], values: &[Box<str>]) -> Vec<proto::LabelPair> {
    let mut pairs: Vec<_> = names
        .iter()
        .zip(values)
        .map(|(name, value)| {
            let mut pair = proto::LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value(String::from(&**value));
            pair
        })
        .collect();
    pairs.sort();
    pairs
}

pub(super) fn metric_family(
    name: &str,
    help: &str,
    kind: proto::MetricType,
    metrics: Vec<proto::Metric>,
) -> proto::MetricFamily {
    let mut family = proto::MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}
