//! A place of its own for each test: home, data directory, a folder of exports, and the program.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const MAPPING: &str = r#"
name = "shop"
currency = "EUR"
[[documents]]
files = "policies/*.md"
kind = "policy"
[[records]]
kind = "order"
files = "orders*.csv"
id = "number"
[records.fields]
number = "number"
total = "total"
status = { from = "status", values = { open = "open", shipped = "shipped" } }
"#;

const POLICY: &str = "---\nid: POL-7\ntitle: Refunds\n---\n# Refunds\n\nA refund above EUR 100 needs an approver.\n";

pub struct Bench {
    root: TempDir,
}

impl Bench {
    /// Nothing but an empty home.
    pub fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    /// A data directory with the tenant `acme`.
    pub fn with_tenant() -> Self {
        let bench = Self::new();
        ok_json(&bench.run(&["--json", "init", "acme", "--admin-email", "admin@acme.example"]));
        bench
    }

    pub fn data_dir(&self) -> PathBuf {
        self.root.path().join("state")
    }

    pub fn path(&self, name: &str) -> String {
        self.root.path().join(name).display().to_string()
    }

    /// The program in an environment that has nothing of the machine's but PATH, with the test embedder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        self.isolate(&mut command).env("COUNTERSIGN_STORAGE__DIR", self.data_dir()).args(arguments);
        command
    }

    /// A shell script in the same environment, with the program on its path; stops at the first failure.
    pub fn shell(&self, script: &str) -> Output {
        let mut command = Command::new("sh");
        self.isolate(&mut command).args(["-e", "-c", script]).output().unwrap()
    }

    fn isolate<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        #[expect(clippy::disallowed_methods, reason = "the program needs the shell's path")]
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_countersign"));
        let folders = program.parent().map(PathBuf::from).into_iter().chain(std::env::split_paths(&path));
        command
            .env_clear()
            .env("PATH", std::env::join_paths(folders).unwrap())
            .env("HOME", self.root.path())
            .env("COUNTERSIGN_EMBEDDING__PROVIDER", "hashed")
            .current_dir(self.root.path())
            .stdin(Stdio::null())
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// A user with the role agent; the file of their key.
    pub fn user(&self, email: &str) -> String {
        ok_json(&self.run(&["--json", "user", "create", email, "--name", "Somebody", "--role", "agent"]));
        let file = self.path(&format!("{email}.key"));
        ok_json(&self.run(&["--json", "key", "create", "--user", email, "--save", &file]));
        file
    }

    /// A folder with a mapping, one policy and these lines of `number,total,status`.
    pub fn folder(&self, orders: &[&str]) -> String {
        let folder = self.root.path().join("exports");
        std::fs::create_dir_all(folder.join("policies")).unwrap();
        std::fs::write(folder.join("mapping.toml"), MAPPING).unwrap();
        std::fs::write(folder.join("policies/refunds.md"), POLICY).unwrap();
        let lines: String = orders.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(folder.join("orders.csv"), format!("number,total,status\n{lines}")).unwrap();
        folder.display().to_string()
    }

    #[cfg(unix)]
    pub fn mode(&self, file: &str) -> u32 {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(self.data_dir().join(file)).unwrap().permissions().mode() & 0o777
    }

    /// Changes the database behind the service's back.
    pub fn sql(&self, statement: &'static str) {
        use sqlx::Connection;
        let url = format!("sqlite:{}", self.data_dir().join("countersign.db").display());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            sqlx::any::install_default_drivers();
            let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
            let done = sqlx::query(statement).execute(&mut connection).await.unwrap();
            assert!(done.rows_affected() > 0, "{statement} changed nothing");
            connection.close().await.unwrap();
        });
    }

    /// The first column of a statement, read from the database while nothing runs.
    pub fn texts(&self, statement: &'static str) -> Vec<String> {
        use sqlx::{Connection, Row};
        let url = format!("sqlite:{}", self.data_dir().join("countersign.db").display());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            sqlx::any::install_default_drivers();
            let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
            let rows = sqlx::query(statement).fetch_all(&mut connection).await.unwrap();
            rows.iter().map(|row| row.get(0)).collect()
        })
    }

    /// Starts `serve` on a free port and waits until it says where it listens.
    /// A `countersign.toml` where the commands look for it first.
    pub fn configure(&self, text: &str) {
        std::fs::write(self.root.path().join("countersign.toml"), text).unwrap();
    }

    pub fn serve(&self) -> Served {
        self.serve_with(&[])
    }

    pub fn serve_with(&self, variables: &[(&str, &str)]) -> Served {
        let mut child = self
            .command(&["--json", "serve", "--listen", "127.0.0.1:0"])
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines.find_map(|line| {
            let line = line.unwrap();
            Some(line.split_once("\"url\": \"")?.1.split('"').next()?.to_owned())
        });
        let file = self.data_dir().join("serve.json");
        wait_until(|| file.is_file());
        Served { child, url: url.expect("serve says where it listens"), file }
    }
}

/// A running service; killed with the test.
pub struct Served {
    child: Child,
    pub url: String,
    pub file: PathBuf,
}

impl Served {
    /// Sends SIGTERM and returns the exit code.
    pub fn terminate(mut self) -> Option<i32> {
        signal(&self.child, "TERM");
        self.child.wait().unwrap().code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

pub fn wait_until(reached: impl Fn() -> bool) {
    for _ in 0..400 {
        if reached() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("not within 20 s");
}

/// The JSON on standard output of a command that ended with 0.
pub fn ok_json(output: &Output) -> Value {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"))
}
