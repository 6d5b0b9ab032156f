//! Logs, traces and metrics: installed once per process. Foundation; knows configuration and nothing else of the service.
//!
//! Logs go to standard error, so that standard output carries results only. What may be logged is decided where it is logged: no
//! document text, prompt, credential or personal data.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{LogFormat, TelemetryConfig};

/// Why logging or tracing could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("telemetry.log_filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("telemetry.otlp_endpoint: {0}")]
    Exporter(String),
}

/// Sends what is still waiting when it is dropped.
#[derive(Debug, Default)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(traces) = self.traces.take() {
            // The last batch travels on the runtime, so do not block one of its threads: this runs after it has been left.
            let _ = traces.shutdown_with_timeout(Duration::from_secs(3));
        }
    }
}

/// Keeps what the process holds in it when it breaks: a panic says where, not what (messages quote the text they failed on), and there is
/// no core dump, which would hold every key. Called once, first of all.
pub fn keep_content_in() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        // With RUST_BACKTRACE set.
        let trace = std::backtrace::Backtrace::capture();
        let trace = if trace.status() == std::backtrace::BacktraceStatus::Captured {
            format!("\n{trace}")
        } else {
            String::new()
        };
        eprintln!("panicked at {place} (its message may quote content and is not shown){trace}");
    }));
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
}

/// Installs the log writer and, when an endpoint is configured, the trace exporter. A second call changes nothing.
///
/// - `fallback`: the filter when the configuration names none, as `info`.
/// - `runtime`: where exports run; their worker is a plain thread.
pub fn install(
    config: &TelemetryConfig,
    fallback: &str,
    runtime: &tokio::runtime::Handle,
) -> Result<Telemetry, TelemetryError> {
    let filter = EnvFilter::try_new(config.log_filter.as_deref().unwrap_or(fallback))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match config.log_format {
        LogFormat::Text => lines.with_ansi(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let traces = config.otlp_endpoint.as_deref().map(|endpoint| exporter(endpoint, runtime)).transpose()?;
    let spans = traces.as_ref().map(|traces| tracing_opentelemetry::layer().with_tracer(traces.tracer("countersign")));
    let registry = tracing_subscriber::registry().with(filter).with(lines).with(spans);
    let _ = registry.try_init();
    Ok(Telemetry { traces })
}

fn exporter(endpoint: &str, runtime: &tokio::runtime::Handle) -> Result<SdkTracerProvider, TelemetryError> {
    let failed = |error: &dyn std::fmt::Display| TelemetryError::Exporter(error.to_string());
    let inner = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint)
        .with_timeout(Duration::from_secs(5))
        .build()
        .map_err(|error| failed(&error))?;
    let exporter = OnRuntime { inner: Arc::new(inner), runtime: runtime.clone() };
    let resource = Resource::builder_empty()
        .with_attribute(KeyValue::new("service.name", "countersign"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// The batch worker is a plain thread, the HTTP client needs tokio: exports run on the runtime and the thread waits.
#[derive(Debug)]
struct OnRuntime {
    inner: Arc<opentelemetry_otlp::SpanExporter>,
    runtime: tokio::runtime::Handle,
}

impl SpanExporter for OnRuntime {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let inner = self.inner.clone();
        let sent = self.runtime.spawn(async move { inner.export(batch).await }).await;
        sent.unwrap_or_else(|error| Err(OTelSdkError::InternalFailure(error.to_string())))
    }

    fn set_resource(&mut self, resource: &Resource) {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.set_resource(resource);
        }
    }
}

/// The process's Prometheus registry, installed by the first call.
pub fn metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    let install = || {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        // Another recorder is in place only in a test that brought its own; this one then stays empty.
        let _ = metrics::set_global_recorder(recorder);
        handle
    };
    HANDLE.get_or_init(install).clone()
}
