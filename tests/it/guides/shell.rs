//! A terminal: one shell for all that is typed into it, so that what it exports stays.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longer than anything in a guide takes, on a machine that has much else to do.
const LONGEST: Duration = Duration::from_secs(240);

/// Dropping it ends it, with all that still runs in it.
pub(super) struct Shell {
    bash: Child,
    answers: Receiver<String>,
    output: PathBuf,
}

/// What came of a command.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) code: i32,
    /// On both streams, in their order.
    pub(super) printed: String,
}

impl Shell {
    /// In a folder, with this environment and nothing of this machine's.
    pub(super) fn open(folder: &Path, name: &str, environment: &[(String, String)]) -> Self {
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc"]).current_dir(folder).env_clear();
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        // A process group of its own: to end what was started in it, and that only.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut bash = command.spawn().unwrap();
        let (answer, answers) = channel();
        let stdout = BufReader::new(bash.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| answer.send(line)));
        let mut this = Self { bash, answers, output: folder.join(format!(".{name}.out")) };
        // Should this process be killed, the shell's input ends, and with the shell all that it started.
        this.send("trap 'kill 0' EXIT");
        this
    }

    /// Types a command and waits for its end.
    pub(super) fn run(&mut self, command: &str) -> Came {
        self.send(&format!("{{ {command}\n}} >'{}' 2>&1 </dev/null; echo \"ended $?\"", self.output.display()));
        let answer = self.answers.recv_timeout(LONGEST).unwrap_or_else(|_| {
            panic!("`{command}` does not end; it has printed:\n{}", self.printed());
        });
        let code = answer.strip_prefix("ended ").unwrap_or_else(|| panic!("{answer}")).parse().unwrap();
        Came { code, printed: self.printed() }
    }

    /// Types a command that goes on, and waits until it has said something.
    pub(super) fn start(&mut self, command: &str) {
        self.send(&format!("{command} >'{}' 2>&1 </dev/null &", self.output.display()));
        for _ in 0..600 {
            if self.printed().contains('\n') {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("`{command}` says nothing");
    }

    /// Ends what [`Self::start`] has started as its reader would, and waits for its end.
    pub(super) fn interrupt(&mut self) -> Came {
        self.send("kill %1; wait %1; echo \"ended $?\"");
        let answer = self.answers.recv_timeout(LONGEST).unwrap_or_else(|_| panic!("no end:\n{}", self.printed()));
        Came { code: answer.strip_prefix("ended ").unwrap().parse().unwrap(), printed: self.printed() }
    }

    pub(super) fn printed(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    fn send(&mut self, line: &str) {
        writeln!(self.bash.stdin.as_ref().unwrap(), "{line}").unwrap();
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = format!("-{}", self.bash.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.bash.wait();
    }
}
