//! OpenAI's own Python client talks to us. Skipped, by name, where Python or the package cannot be had.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::{Engine, TestApp};

const TEST: &str = "openai_client::openais_python_client_chats_plainly_and_streamed";

/// A virtual environment with the package, made once and kept in the target directory.
fn python() -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openai-venv");
    let python = directory.join("bin/python");
    let works = |python: &Path| quiet(Command::new(python).args(["-c", "import openai"]));
    if works(&python) {
        return Some(python);
    }
    let made = quiet(Command::new("python3").args(["-m", "venv"]).arg(&directory))
        && quiet(Command::new(&python).args(["-m", "pip", "install", "--quiet", "openai>=1.60"]));
    (made && works(&python)).then_some(python)
}

fn quiet(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn openais_python_client_chats_plainly_and_streamed() {
    let Some(python) = tokio::task::spawn_blocking(python).await.unwrap() else {
        eprintln!("skipped: {TEST}: Python or its package openai cannot be had");
        return;
    };
    let Some(app) = TestApp::new(Engine::Sqlite).await else { return };
    let address = app.serve().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openai_client.py");
    let key = app.a.key("agent").to_owned();
    let output = tokio::task::spawn_blocking(move || {
        Command::new(python).arg(script).arg(format!("http://{address}/v1")).env("COUNTERSIGN_KEY", key).output()
    });
    let output = output.await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "ok");
}
