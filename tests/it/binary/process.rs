//! A running binary: what it has said so far, signals, and its end.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::eventually;

/// Dropping it kills it.
pub(super) struct Process {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

/// How a process ended.
#[derive(Debug)]
pub(super) struct End {
    status: ExitStatus,
    pub(super) said: Vec<String>,
}

impl End {
    #[track_caller]
    pub(super) fn exits(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self:#?}");
        assert!(!self.said.iter().any(|line| line.contains("panicked")), "{self:#?}");
        self
    }

    #[track_caller]
    pub(super) fn was_killed(self) {
        assert_eq!(self.status.signal(), Some(9), "{self:#?}");
    }
}

impl Process {
    pub(super) fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).spawn().unwrap();
        let said = Arc::<Mutex<Vec<String>>>::default();
        let readers = vec![
            read(child.stdout.take().unwrap(), Arc::clone(&said)),
            read(child.stderr.take().unwrap(), Arc::clone(&said)),
        ];
        Self { child, said, readers }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// All lines so far, of both streams.
    pub(super) fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    /// The first line that holds `text`, as soon as it is there.
    #[track_caller]
    pub(super) fn says(&mut self, text: &str) -> String {
        eventually(&format!("a process says {text:?}"), || {
            let found = self.said().into_iter().find(|line| line.contains(text));
            assert!(found.is_some() || self.child.try_wait().unwrap().is_none(), "ended: {:#?}", self.said());
            found
        })
    }

    /// The address that a simulator prints first.
    #[track_caller]
    pub(super) fn first_line(&mut self) -> String {
        let line = self.says("http://127.0.0.1:");
        line.split_whitespace().find_map(|word| word.find("http://").map(|at| word[at..].to_owned())).unwrap()
    }

    pub(super) fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    #[track_caller]
    pub(super) fn end(mut self) -> End {
        let status = eventually_ended(&mut self);
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        End { status, said: self.said() }
    }
}

#[track_caller]
fn eventually_ended(process: &mut Process) -> ExitStatus {
    let said = Arc::clone(&process.said);
    let what = || format!("a process ends; it said {:#?}", said.lock().unwrap());
    let began = tokio::time::Instant::now();
    loop {
        if let Some(status) = process.child.try_wait().unwrap() {
            return status;
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(120), "{}", what());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let said = self.said();
            let last = said[said.len().saturating_sub(30)..].join("\n");
            eprintln!("process {}, its last words:\n{last}", self.id());
        }
    }
}

fn read(stream: impl Read + Send + 'static, said: Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            said.lock().unwrap().push(line);
        }
    })
}

/// `name` as `kill` knows it: TERM, INT, KILL, STOP, CONT.
pub(super) fn signal(process: u32, name: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status().unwrap();
    assert!(status.success(), "{name} of {process}");
}

pub(crate) fn address_of(endpoint: &str) -> SocketAddr {
    endpoint.strip_prefix("http://").unwrap().parse().unwrap()
}
