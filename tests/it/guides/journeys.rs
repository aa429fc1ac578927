//! Readers of the guides: each types what a guide says, from an empty folder on.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use super::markdown::{Block, Directive, Fate};
use super::shell::{Came, Shell};
use super::stated::{Stated, bare, matches, stated};
use super::{blocks, guides};
use crate::binary::fleet;
use crate::binary::process::address_of;
use crate::binary::wire::Ecs;
use crate::cli::repository;
use crate::peers::Peer;

/// How long a reader tries again what comes with time.
const PATIENCE: Duration = Duration::from_secs(60);
const BETWEEN: Duration = Duration::from_millis(500);
/// So many readers at once: each has a fleet and a controller.
const READERS: usize = 4;

/// Where the guides listen. Readers are told to choose another port if it is taken; so does a test.
const PORTS: [&str; 2] = ["4566", "8080"];

/// Somebody who reads one guide, or several on end.
struct Reader {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
    ports: BTreeMap<&'static str, String>,
    /// By the terminal's name; of each, what goes on in it.
    terminals: BTreeMap<String, (Shell, Option<Stated>)>,
    commands: usize,
}

impl Reader {
    /// In a checkout that was built.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let link = |from: &std::path::Path, to: &str| {
            let to = folder.path().join(to);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(from, to).unwrap();
        };
        for name in ["policies", "deploy"] {
            link(&repository().join(name), name);
        }
        link(env!("CARGO_BIN_EXE_plimsoll").as_ref(), "target/debug/plimsoll");
        let environment = [
            ("HOME", folder.path().to_str().unwrap()),
            ("USER", "you"),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            // Without it the SDK looks for a metadata service that answers slowly or not at all.
            ("AWS_EC2_METADATA_DISABLED", "true"),
            // Half of ECS's rates make a look at the fleet take ten seconds, as the README says.
            ("PLIMSOLL_BUDGET", "off"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let ports = PORTS.into_iter().map(|port| (port, free_port())).collect();
        Self { folder, environment, ports, terminals: BTreeMap::new(), commands: 0 }
    }

    fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    fn follow(&mut self, block: &Block) -> Result<(), String> {
        match block.fate()? {
            Fate::Saved(name) => {
                let path = self.folder.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, block.lines.join("\n") + "\n").unwrap();
            }
            Fate::Run => {
                let mut all = stated(&block.language, &block.lines);
                let going_on = block.terminal().map(|_| all.pop().unwrap());
                for one in all {
                    self.types(block, &one)?;
                }
                if let Some(one) = going_on {
                    let command = self.with_ports(&bare(&one.command));
                    let (shell, runs) = self.terminal(block);
                    shell.start(&command);
                    *runs = Some(one);
                    self.commands += 1;
                }
            }
            Fate::NotRun(_) | Fate::Shown => {}
        }
        Ok(())
    }

    /// Types a command, and again if what comes of it may come later.
    fn types(&mut self, block: &Block, one: &Stated) -> Result<(), String> {
        let command = self.with_ports(&one.command);
        let code = block.here(&one.command).unwrap_or(one.code);
        let began = tokio::time::Instant::now();
        loop {
            let came = self.terminal(block).0.run(&command);
            let printed = self.without_ports(&came.printed);
            let as_stated = one.output.as_ref().is_none_or(|stated| matches(stated, &printed));
            if came.code == code && as_stated {
                if only().is_some() {
                    eprintln!("{:6.1} s  {}", began.elapsed().as_secs_f32(), one.command);
                }
                self.commands += 1;
                return Ok(());
            }
            if !block.is(&Directive::Eventually) || began.elapsed() > PATIENCE {
                let Stated { command, output, .. } = one;
                let lines: Vec<&str> = printed.lines().collect();
                let printed = lines[lines.len().saturating_sub(40)..].join("\n");
                let told = output.as_ref().map(|lines| format!(", and to print\n{}\n", lines.join("\n")));
                return Err(format!(
                    "{}: `{command}` is stated to end with {code}{}; it ended with {} and printed\n{printed}",
                    block.place,
                    told.unwrap_or_default(),
                    came.code
                ));
            }
            std::thread::sleep(BETWEEN);
        }
    }

    /// What goes on ends when it is told to, and well.
    fn leaves(&mut self) -> Result<(), String> {
        for (name, (shell, runs)) in &mut self.terminals {
            if let Some(Stated { command, code, .. }) = runs.take() {
                let Came { code: ended, printed } = shell.interrupt();
                if ended != code {
                    return Err(format!("terminal {name}: `{command}` ended with {ended}, not {code}:\n{printed}"));
                }
            }
        }
        Ok(())
    }

    fn terminal(&mut self, block: &Block) -> &mut (Shell, Option<Stated>) {
        let name = block.terminal().unwrap_or("main");
        let (folder, environment) = (self.folder.path(), &self.environment);
        let open = || (Shell::open(folder, name, environment), None);
        self.terminals.entry(name.to_owned()).or_insert_with(open)
    }

    fn with_ports(&self, text: &str) -> String {
        self.ports.iter().fold(text.to_owned(), |text, (port, instead)| text.replace(port, instead))
    }

    /// What was printed, as the guide would have it.
    fn without_ports(&self, text: &str) -> String {
        let text = self.ports.iter().fold(text.to_owned(), |text, (port, instead)| text.replace(instead, port));
        text.lines().filter(|line| !line.starts_with("PLIMSOLL_BUDGET=off: ")).map(|line| format!("{line}\n")).collect()
    }
}

/// A port that nobody listens on, from where nobody gets one by chance: below those that systems hand out.
fn free_port() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (std::process::id() as u16 % 1_000) * 10 + step % 1_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port.to_string();
        }
    }
}

/// What a guide's reader on this machine follows: the README's set-up first.
fn on_this_machine(guide: &str) -> Vec<Block> {
    let mut all = Vec::new();
    if guide != "README.md" {
        all.extend(blocks("README.md").into_iter().filter(|block| block.is(&Directive::Setup)));
    }
    all.extend(blocks(guide));
    all.retain(|block| !block.is(&Directive::Aws));
    all
}

fn commands(blocks: &[Block]) -> usize {
    let run = blocks.iter().filter(|block| block.fate().unwrap() == Fate::Run);
    run.map(|block| stated(&block.language, &block.lines).len()).sum()
}

fn reads(mut reader: Reader, all: &[Block]) -> Result<usize, String> {
    for block in all {
        reader.follow(block)?;
    }
    reader.leaves()?;
    let (typed, stated) = (reader.commands, commands(all));
    if typed == stated { Ok(typed) } else { Err(format!("{typed} of {stated} commands were typed")) }
}

/// `PLIMSOLL_GUIDE=docs/undo.md` reads that one only.
fn chosen() -> Vec<String> {
    let only = only();
    guides().into_iter().filter(|guide| only.as_ref().is_none_or(|only| only == guide)).collect()
}

#[expect(clippy::disallowed_methods, reason = "one guide may be asked for in the environment")]
fn only() -> Option<String> {
    std::env::var("PLIMSOLL_GUIDE").ok()
}

#[test]
fn every_command_of_the_guides_does_on_a_simulated_fleet_what_they_say() {
    let guides = chosen();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                while let Some(guide) = guides.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let all = on_this_machine(guide);
                    let own = all.iter().filter(|block| block.place.starts_with(guide.as_str()));
                    if commands(&own.cloned().collect::<Vec<_>>()) == 0 {
                        continue;
                    }
                    let began = tokio::time::Instant::now();
                    match reads(Reader::new(), &all) {
                        Ok(typed) => eprintln!("{guide}: {typed} commands, {:.1} s", began.elapsed().as_secs_f32()),
                        Err(error) => wrong.lock().unwrap().push(error),
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn and_what_they_say_of_aws_does_so_on_servers_that_nobody_here_wrote() {
    // Alarms are not among what they need, and cost ministack time to start.
    let peer = Peer::ministack().await;
    let ecs = Ecs(address_of(&peer.endpoint()), "a");
    for step in fleet::steps() {
        ecs.call(step["operation"].as_str().unwrap(), step["input"].clone());
    }
    let mut reader = Reader::new();
    let path = format!("{}/target/debug:/usr/local/bin:/usr/bin:/bin", reader.folder.path().display());
    for (name, value) in [
        ("PATH", path.as_str()),
        ("AWS_ENDPOINT_URL", peer.endpoint().as_str()),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ] {
        reader.set(name, value);
    }
    let mut all: Vec<Block> = guides().iter().flat_map(|guide| blocks(guide)).collect();
    all.retain(|block| block.is(&Directive::Aws));
    let typed = tokio::task::spawn_blocking(move || reads(reader, &all)).await.unwrap();
    assert!(typed.unwrap_or_else(|error| panic!("{error}")) >= 8);
}
