//! Metrics whose values are read when somebody asks: key ages, the process, dropped lines.

use std::collections::HashMap;
use std::fmt;

use prometheus::core::{Collector, Desc};
use prometheus::proto;

use super::cells::{labels, metric_family};

/// Label values and the value of one sample.
pub type Sampled = (Vec<String>, f64);

/// Whether a value only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows; its name ends in `_total`.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// One metric that is read when somebody asks.
pub(super) struct Reading {
    desc: Desc,
    labels: &'static [&'static str],
    kind: Kind,
    read: Box<dyn Fn() -> Vec<Sampled> + Send + Sync>,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reading").field(&self.desc.fq_name).finish()
    }
}

impl Reading {
    pub(super) fn new(
        name: &str,
        help: &str,
        labels: &'static [&'static str],
        kind: Kind,
        read: impl Fn() -> Vec<Sampled> + Send + Sync + 'static,
    ) -> prometheus::Result<Self> {
        let names = labels.iter().map(|label| (*label).to_owned()).collect();
        Ok(Self {
            desc: Desc::new(name.to_owned(), help.to_owned(), names, HashMap::new())?,
            labels,
            kind,
            read: Box::new(read),
        })
    }
}

impl Collector for Reading {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let kind = match self.kind {
            Kind::Counter => proto::MetricType::COUNTER,
            Kind::Gauge => proto::MetricType::GAUGE,
        };
        let metrics = (self.read)()
            .into_iter()
            .map(|(values, value)| {
                let mut metric = proto::Metric::default();
                match self.kind {
                    Kind::Counter => {
                        let mut counter = proto::Counter::default();
                        counter.set_value(value);
                        metric.set_counter(counter);
                    }
                    Kind::Gauge => {
                        let mut gauge = proto::Gauge::default();
                        gauge.set_value(value);
                        metric.set_gauge(gauge);
                    }
                }
                let values: Vec<Box<str>> = values.into_iter().map(Box::from).collect();
                metric.set_label(labels(self.labels, &values));
                metric
            })
            .collect();
        vec![metric_family(
            &self.desc.fq_name,
            &self.desc.help,
            kind,
            metrics,
        )]
    }
}
