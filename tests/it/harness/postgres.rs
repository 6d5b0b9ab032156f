//! A PostgreSQL cluster for the tests of one target directory: started by the first test that needs it, stopped a minute after the last.
//!
//! Test processes come and go (nextest runs each test in its own), so the cluster belongs to none of them: they find it through a state
//! file under a lock, keep it alive by touching a heartbeat file, and a small shell loop stops it when nobody does. It listens on a
//! socket in a directory that only its owner may enter, on no port.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use countersign::store::{PoolOptions, Store};
use sqlx::{AnyConnection, AssertSqlSafe, Connection};

/// Seconds without a heartbeat after which the cluster is stopped and deleted.
const IDLE_S: u32 = 60;
const OWNER: &str = "countersign_owner";
const APP: &str = "countersign_app";

/// Where the cluster is.
#[derive(Debug, Clone)]
pub struct Cluster {
    bin: PathBuf,
    directory: PathBuf,
}

/// A database of its own for one test, dropped with the value.
pub struct PgDatabase {
    pub name: String,
    pub cluster: Cluster,
}

impl PgDatabase {
    /// As the role that serves: row-level security holds for it.
    pub fn app_url(&self) -> String {
        self.cluster.url(APP, &self.name)
    }

    /// As the role that owns the tables.
    pub fn owner_url(&self) -> String {
        self.cluster.url(OWNER, &self.name)
    }

    /// As the cluster's superuser, for looking at what the server is doing.
    pub fn admin_url(&self) -> String {
        self.cluster.url("postgres", &self.name)
    }
}

impl PgDatabase {
    /// Dumps this database with PostgreSQL's own program and restores it as another one, whose sessions have another time zone.
    pub fn dumped_and_restored(&self, time_zone: &str) -> Self {
        let name = format!("{}_restored", self.name);
        let (cluster, host) = (&self.cluster, self.cluster.directory.display().to_string());
        cluster.psql("postgres", &format!("CREATE DATABASE {name} OWNER {OWNER}"));
        cluster.psql("postgres", &format!("ALTER DATABASE {name} SET timezone TO '{time_zone}'"));
        let connect = ["--host", host.as_str(), "--username", "postgres"];
        let dump = run(Command::new(cluster.bin.join("pg_dump")).args(connect).arg(&self.name));
        let mut restore = Command::new(cluster.bin.join("psql"))
            .args(connect)
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", &name])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql starts");
        restore.stdin.take().expect("piped").write_all(&dump.stdout).expect("psql reads");
        let output = restore.wait_with_output().expect("psql ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self { name, cluster: cluster.clone() }
    }
}

impl Drop for PgDatabase {
    fn drop(&mut self) {
        let _ = Command::new(self.cluster.bin.join("dropdb"))
            .args(["--host", &self.cluster.directory.display().to_string(), "--username", "postgres"])
            .args(["--force", "--if-exists", &self.name])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

impl Cluster {
    fn url(&self, role: &str, database: &str) -> String {
        let host = self.directory.display().to_string().replace('/', "%2F");
        format!("postgres://{role}@localhost/{database}?host={host}")
    }

    /// The running cluster, started if need be; `None` without PostgreSQL on this machine.
    fn find_or_start() -> Option<Self> {
        static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
        CLUSTER
            .get_or_init(|| {
                let cluster = Self { bin: binaries()?, directory: PathBuf::new() }.locked();
                cluster.keep_alive();
                Some(cluster)
            })
            .clone()
    }

    fn locked(mut self) -> Self {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
        std::fs::create_dir_all(home).expect("the target's tmp directory can be made");
        let (lock_path, state) = (home.join("postgres.lock"), home.join("postgres.state"));
        let lock = File::create(&lock_path).expect("the lock file can be made");
        lock.lock().expect("the lock can be taken");
        if let Ok(directory) = std::fs::read_to_string(&state) {
            self.directory = PathBuf::from(directory.trim());
            if self.answers() {
                self.beat();
                return self;
            }
        }
        // In the system's temporary directory: the server's user must be able to reach it, and a socket's path is short.
        let directory = tempfile::Builder::new().prefix("countersign-pg-").tempdir().expect("a temporary directory");
        self.directory = directory.keep();
        self.start(&lock_path);
        std::fs::write(&state, self.directory.display().to_string()).expect("the state file can be written");
        self
    }

    fn answers(&self) -> bool {
        let ready = Command::new(self.bin.join("pg_isready")).arg("--host").arg(&self.directory).output();
        ready.is_ok_and(|output| output.status.success())
    }

    fn start(&self, lock: &Path) {
        let directory = self.directory.display().to_string();
        let server_user = server_user();
        if let Some(user) = server_user {
            run(Command::new("chown").args([user, &directory]));
        }
        let data = self.directory.join("data");
        let initdb = ["--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8", "--locale=C", "-D"];
        run(self.as_server("initdb").args(initdb).arg(&data));
        let settings = format!(
            "listen_addresses = ''\nunix_socket_directories = '{directory}'\nunix_socket_permissions = 0700\n\
             fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nmax_connections = 300\nshared_buffers = '64MB'\n\
             autovacuum = off\nlog_min_messages = warning\n"
        );
        let mut file = File::options().append(true).open(data.join("postgresql.conf")).expect("initdb wrote it");
        file.write_all(settings.as_bytes()).expect("the settings can be written");
        let log = self.directory.join("log");
        let start = self
            .as_server("pg_ctl")
            .args(["start", "--wait", "-D"])
            .arg(&data)
            .arg("-l")
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(start.is_ok_and(|status| status.success()), "PostgreSQL did not start: see {}", log.display());
        self.beat();
        self.watch(lock);
        for (role, rights) in [(OWNER, "LOGIN CREATEDB"), (APP, "LOGIN")] {
            self.psql("postgres", &format!("CREATE ROLE {role} {rights} NOSUPERUSER NOBYPASSRLS"));
        }
    }

    /// Stops the cluster when nobody touched the heartbeat for [`IDLE_S`]; under the same lock as finding it.
    fn watch(&self, lock: &Path) {
        const LOOP: &str = r#"
            while sleep 5; do
                exec 9>>"$lock"; flock 9
                now=$(date +%s); last=$(stat -c %Y "$dir/heartbeat" 2>/dev/null || echo 0)
                if [ $((now - last)) -gt "$idle" ]; then
                    $as "$bin/pg_ctl" stop -m immediate -D "$dir/data"; rm -rf "$dir"; exit
                fi
                exec 9>&-
            done"#;
        let as_user = server_user().map_or_else(String::new, |user| format!("runuser -u {user} --"));
        // `setsid --fork` returns at once; what it leaves behind outlives this process and ends itself.
        let started = Command::new("setsid")
            .args(["--fork", "sh", "-c", LOOP])
            .env("dir", &self.directory)
            .env("bin", &self.bin)
            .env("lock", lock)
            .env("idle", IDLE_S.to_string())
            .env("as", as_user)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("the watchdog starts");
        assert!(started.success(), "the watchdog starts");
    }

    fn beat(&self) {
        let _ = std::fs::write(self.directory.join("heartbeat"), "");
    }

    fn keep_alive(&self) {
        let cluster = self.clone();
        std::thread::spawn(move || {
            loop {
                cluster.beat();
                std::thread::sleep(Duration::from_secs(10));
            }
        });
    }

    /// A server program, as a user that PostgreSQL accepts: it refuses to run as root.
    fn as_server(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        let mut command = match server_user() {
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.current_dir(&self.directory);
        command
    }

    fn psql(&self, database: &str, statement: &str) -> String {
        let arguments = ["--username", "postgres", "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-c", statement];
        let output =
            run(Command::new(self.bin.join("psql")).arg("--host").arg(&self.directory).args(arguments).arg(database));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Cluster {
    /// A cluster for one test alone, which may stop it; ended by its watchdog a minute after the test.
    fn own() -> Option<Self> {
        let mut cluster = Self { bin: binaries()?, directory: PathBuf::new() };
        let directory = tempfile::Builder::new().prefix("countersign-pg-").tempdir().expect("a temporary directory");
        cluster.directory = directory.keep();
        let lock = cluster.directory.join("watch.lock");
        cluster.start(&lock);
        cluster.keep_alive();
        Some(cluster)
    }

    /// Stops the server at once, as a crash does.
    pub fn stop(&self) {
        run(self.as_server("pg_ctl").args(["stop", "-m", "immediate", "-D"]).arg(self.directory.join("data")));
    }

    /// Starts it again on the same data.
    pub fn start_again(&self) {
        let log = self.directory.join("log");
        let data = self.directory.join("data");
        let mut command = self.as_server("pg_ctl");
        command.args(["start", "--wait", "-D"]).arg(&data).arg("-l").arg(&log);
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.is_ok_and(|status| status.success()), "PostgreSQL did not start again: see {}", log.display());
    }
}

/// As [`database`], on a cluster that the test may stop.
pub async fn own_database() -> Option<PgDatabase> {
    let cluster = tokio::task::spawn_blocking(Cluster::own).await.expect("no panic")?;
    let name = "own".to_owned();
    admin(&cluster, &format!("CREATE DATABASE {name} OWNER {OWNER}")).await;
    Some(PgDatabase { name, cluster })
}

/// A new, migrated database; `None` without PostgreSQL on this machine.
pub async fn database(name: &str) -> Option<PgDatabase> {
    let cluster = tokio::task::spawn_blocking(Cluster::find_or_start).await.expect("no panic")?;
    let template = template(&cluster).await;
    let name = format!("t_{name}");
    admin(&cluster, &format!("CREATE DATABASE {name} OWNER {OWNER} TEMPLATE {template}")).await;
    Some(PgDatabase { name, cluster })
}

/// The database that the others are copied from; its name holds the migrations' hash.
async fn template(cluster: &Cluster) -> String {
    static TEMPLATE: tokio::sync::OnceCell<String> = tokio::sync::OnceCell::const_new();
    let make = || async {
        let name = format!("template_{}", &migrations_hash()[..16]);
        let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let lock = File::create(home.join("postgres-template.lock")).expect("the lock file can be made");
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await.expect("no panic");
        let _lock = lock.expect("the lock can be taken");
        let known = cluster.psql("postgres", &format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'"));
        if known == "0" {
            let unfinished = format!("{name}_new");
            cluster.psql("postgres", &format!("DROP DATABASE IF EXISTS {unfinished}"));
            cluster.psql("postgres", &format!("CREATE DATABASE {unfinished} OWNER {OWNER}"));
            let mut options = PoolOptions::new(cluster.url(APP, &unfinished));
            options.migrate_url = Some(cluster.url(OWNER, &unfinished));
            Store::open(&options).await.expect("the migrations run").close().await;
            rename_when_free(cluster, &unfinished, &name);
        }
        name
    };
    TEMPLATE.get_or_init(make).await.clone()
}

/// The pools' connections end a moment after `close`.
fn rename_when_free(cluster: &Cluster, from: &str, to: &str) {
    let end = format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{from}'");
    cluster.psql("postgres", &end);
    for attempt in 0..50 {
        let statement = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{from}'");
        if cluster.psql("postgres", &statement) == "0" || attempt == 49 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    cluster.psql("postgres", &format!("ALTER DATABASE {from} RENAME TO {to}"));
}

async fn admin(cluster: &Cluster, statement: &str) {
    sqlx::any::install_default_drivers();
    let mut connection =
        AnyConnection::connect(&cluster.url("postgres", "postgres")).await.expect("the cluster answers");
    sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.expect(statement);
    let _ = connection.close().await;
}

fn migrations_hash() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/postgres");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("migrations").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let mut text = String::new();
    for file in files {
        File::open(file).and_then(|mut file| file.read_to_string(&mut text)).expect("a migration can be read");
    }
    countersign::canonical::sha256_hex(text)
}

/// The newest server on this machine.
fn binaries() -> Option<PathBuf> {
    let mut candidates: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect())
        .unwrap_or_default();
    candidates.sort_by_key(|path| {
        let version = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        std::cmp::Reverse(version.and_then(|version| version.parse::<u32>().ok()))
    });
    #[expect(clippy::disallowed_methods, reason = "the tests look for programs where the shell would")]
    let path = std::env::var_os("PATH").unwrap_or_default();
    candidates.extend(std::env::split_paths(&path));
    candidates.into_iter().find(|directory| directory.join("initdb").exists() && directory.join("pg_ctl").exists())
}

/// Who runs the server when the tests are root's; `None`: whoever runs the tests.
fn server_user() -> Option<&'static str> {
    let id = |arguments: &[&str]| Command::new("id").args(arguments).output().ok();
    let root = id(&["-u"]).is_some_and(|output| output.stdout.trim_ascii() == b"0");
    let user = if id(&["postgres"]).is_some_and(|output| output.status.success()) { "postgres" } else { "nobody" };
    root.then_some(user)
}

fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
