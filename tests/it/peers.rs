//! Independent servers that answer like AWS, started for one test and ended with it. `make peers` installs them.
//!
//! What each of them is known to do differently from AWS is in the tests that use it, beside the reason.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use plimsoll::aws::{Connection, Timeouts};
use tempfile::TempDir;
use tokio::net::TcpStream;

/// Runs a server until it ends or standard input does: should the test binary be killed, the pipe closes and the
/// server with it. File descriptor 3, because a shell gives its background jobs an empty standard input.
const UNTIL_STDIN_CLOSES: &str = r#"
exec 3<&0
"$@" 3<&- &
server=$!
(cat <&3 >/dev/null; kill -9 $server 2>/dev/null) &
wait $server
"#;

/// How long a server may take to listen. A loaded machine starts moto in ten seconds.
const READY_EVERY: Duration = Duration::from_millis(50);
const READY_LOOKS: u32 = 1200;

/// What a server is started with: on this port, with this folder for its files.
type Arguments = Arc<dyn Fn(u16, &Path, &mut Command) + Send + Sync>;

/// A running server. Dropping it ends it.
pub(crate) struct Peer {
    name: &'static str,
    arguments: Arguments,
    shell: Child,
    port: u16,
    folder: TempDir,
}

impl Peer {
    /// ministack: DynamoDB, ECS and STS in memory.
    pub(crate) async fn ministack() -> Self {
        Self::ministack_with("dynamodb,ecs,sts").await
    }

    /// ministack with these services: which it has else, costs its start time.
    pub(crate) async fn ministack_with(services: &'static str) -> Self {
        Self::start("ministack", move |port, _, command| {
            command
                .env("BIND_HOST", "127.0.0.1")
                .env("GATEWAY_PORT", port.to_string())
                .env("SERVICES", services)
                // It would listen on a fixed port of all interfaces.
                .env("IOT_MTLS_ENABLED", "0")
                .env("SFTP_ENABLED", "0")
                // With Docker at hand it would run the tasks' containers.
                .env("DOCKER_HOST", "unix:///nowhere");
        })
        .await
    }

    /// moto: DynamoDB, ECS and STS in memory; its ECS starts no tasks.
    pub(crate) async fn moto() -> Self {
        Self::start("moto_server", |port, _, command| {
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        })
        .await
    }

    /// dynalite: DynamoDB on a folder.
    pub(crate) async fn dynalite() -> Self {
        Self::start("dynalite", |port, folder, command| {
            let folder = folder.join("data");
            command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--createTableMs", "0"]);
            command.arg("--path").arg(folder);
        })
        .await
    }

    /// Whether it is the server of that name.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// Where it answers.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A connection to it.
    pub(crate) fn connection(&self) -> Connection {
        Connection::to_endpoint(&self.endpoint(), "us-east-1", Timeouts::default())
    }

    /// Kills it in the middle of whatever it does, and starts it again where it was, with what it had on disk.
    pub(crate) async fn dies_and_starts_again(&mut self) {
        self.kill();
        self.shell = spawn(self.name, &self.arguments, self.port, self.folder.path());
        assert!(self.is_ready().await, "`{}` does not start again:\n{}", self.name, self.log());
    }

    async fn start(name: &'static str, arguments: impl Fn(u16, &Path, &mut Command) + Send + Sync + 'static) -> Self {
        let arguments: Arguments = Arc::new(arguments);
        // Between our finding a free port and the server's taking it, somebody else may.
        for _ in 0..5 {
            let port = free_port();
            let folder = tempfile::tempdir().unwrap();
            let shell = spawn(name, &arguments, port, folder.path());
            let mut peer = Self { name, arguments: Arc::clone(&arguments), shell, port, folder };
            if peer.is_ready().await {
                return peer;
            }
            eprintln!("{name} did not start on port {port}:\n{}", peer.log());
        }
        panic!("`{name}` does not start; its output is above");
    }

    /// Waits until it listens; false where it ended instead.
    async fn is_ready(&mut self) -> bool {
        for _ in 0..READY_LOOKS {
            if self.shell.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_ok() {
                return true;
            }
            tokio::time::sleep(READY_EVERY).await;
        }
        false
    }

    /// SIGKILL: its shell does that when its standard input ends.
    fn kill(&mut self) {
        drop(self.shell.stdin.take());
        self.shell.wait().unwrap();
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("the server's last lines:\n{}", lines[lines.len().saturating_sub(8)..].join("\n"));
        }
    }
}

fn spawn(name: &str, arguments: &Arguments, port: u16, folder: &Path) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", UNTIL_STDIN_CLOSES, "peer"]).arg(program(name));
    command.env_clear().env("HOME", folder).env("TMPDIR", folder);
    command.envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
    arguments(port, folder, &mut command);
    command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().unwrap()
}

/// A port that nobody listens on right now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

pub(crate) fn program(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin").join(name);
    assert!(program.exists(), "`{}` is not installed: run `make peers`", program.display());
    program
}
