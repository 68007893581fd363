//! The types of the metrics, under the names of the methods of [`Metrics`](crate::Metrics) that make them. The macro
//! `metrics!` looks up the type of a field here.

pub use prometheus::{
    Histogram as histogram, HistogramVec as histogram_vec, IntCounter as counter,
    IntCounterVec as counter_vec, IntGauge as gauge, IntGaugeVec as gauge_vec,
};
