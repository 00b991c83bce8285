//! The recorder behind the metrics, and its text for Prometheus.

use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use super::{
    ALL, BUILD_INFO, CHECKPOINT_DURATION, SOURCE_RECONNECTS, START_TIME, Shape,
    TARGET_REQUEST_DURATION,
};
use crate::error::{Error, Kind, Result};

/// From half a millisecond (a local server) to half a minute (a request's limit).
const BUCKETS: [f64; 15] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
];

/// Renders what has been recorded.
#[derive(Clone)]
pub struct Exposition {
    handle: PrometheusHandle,
}

impl Exposition {
    /// Installs the recorder for the process, and describes every metric.
    ///
    /// # Errors
    /// `Internal` where a recorder is installed already.
    pub fn install() -> Result<Exposition> {
        let (recorder, exposition) = Exposition::build()?;
        metrics::set_global_recorder(recorder)
            .map_err(|_| Error::new(Kind::Internal, "a metrics recorder is installed already"))?;
        exposition.begin();
        Ok(exposition)
    }

    /// A recorder of its own, not installed.
    pub fn build() -> Result<(PrometheusRecorder, Exposition)> {
        let mut builder = PrometheusBuilder::new();
        for name in [TARGET_REQUEST_DURATION.name, CHECKPOINT_DURATION.name] {
            builder = builder
                .set_buckets_for_metric(Matcher::Full(name.to_string()), &BUCKETS)
                .map_err(|e| Error::new(Kind::Internal, "buckets").with_source(e))?;
        }
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        Ok((recorder, Exposition { handle }))
    }

    /// Describes all, and sets what does not change.
    pub(super) fn begin(&self) {
        for metric in ALL {
            match metric.shape {
                Shape::Counter => metrics::describe_counter!(metric.name, metric.help),
                Shape::Gauge => metrics::describe_gauge!(metric.name, metric.help),
                Shape::Histogram => metrics::describe_histogram!(metric.name, metric.help),
            }
        }
        BUILD_INFO.with([env!("CARGO_PKG_VERSION")]).set(1.0);
        START_TIME
            .with([])
            .set(crate::checkpoint::now_unix_ms() as f64 / 1000.0);
        // An alert on a counter's rate needs it to begin at 0.
        SOURCE_RECONNECTS.with([]).increment(0);
        for reason in super::RetryReason::ALL {
            super::target_retries(*reason).increment(0);
        }
    }

    /// The text of `/metrics`.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds recorded histogram values together; to be called every few seconds, or they pile up.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}
