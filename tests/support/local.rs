//! Servers that run from the machine's own binaries.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::{Gid, Pid, Uid, User};
use tempfile::TempDir;

use super::PATIENCE;
use super::server::{Kind, Supervisor, cache_dir};

/// A server that runs as a child of a supervising shell, on a temporary directory.
#[derive(Debug)]
pub struct Local {
    kind: &'static Kind,
    command: Vec<String>,
    owner: Owner,
    running: Option<Running>,
    dir: TempDir,
}

#[derive(Debug)]
struct Running {
    supervisor: Supervisor,
    pid: Pid,
}

/// Runs the server as its child, so that it ends with the tests, however they end.
///
/// The server's children are killed by their own ids, because PostgreSQL puts each into a process
/// group of its own. A stopped server can't start more of them meanwhile. The kernel hangs up on a
/// process group that loses its parent while a member is stopped.
///
/// PostgreSQL's shared memory would outlive it, and the kernel has room for some thousand segments.
const SUPERVISE: &str = r#"
set +e
trap '' HUP
"$@" </dev/null >>log 2>&1 &
pid=$!
echo "$pid"
read -r order || order=remove
kill -STOP "$pid"
kill -KILL $(cat "/proc/$pid/task/$pid/children") "$pid"
wait "$pid"
[ "$order" = kill ] && exit
shared_memory=$(sed -n '7s/.* //p' data/postmaster.pid 2>>log)
[ -z "$shared_memory" ] || ipcrm --shmem-id "$shared_memory"
rm -rf "$PWD"
"#;

impl Local {
    /// Starts the server with the `command` for its data directory, if it is installed.
    pub fn start(kind: &'static Kind, command: impl FnOnce(&str) -> Vec<String>) -> Option<Self> {
        let version = version(kind)?;
        let owner = Owner::choose(kind.user);
        let template = template(kind, &version, owner);
        let dir = owner.temp_dir();
        let data = dir.path().join("data");
        copy(&template, &data);
        let mut local = Self {
            kind,
            command: command(data.to_str().expect("a path in UTF-8")),
            owner,
            running: None,
            dir,
        };
        local.launch();
        Some(local)
    }

    pub fn launch(&mut self) {
        assert!(self.running.is_none(), "the server runs already");
        let mut command = self.owner.command("sh");
        command
            .current_dir(self.dir.path())
            .args(["-c", &self.kind.script(SUPERVISE), "supervise"])
            .args(&self.command)
            .stdout(Stdio::piped());
        let mut supervisor = Supervisor::spawn(command);
        let mut pid = String::new();
        BufReader::new(supervisor.child.stdout.take().expect("stdout is piped"))
            .read_line(&mut pid)
            .expect("the supervisor says the server's pid");
        let pid = pid.trim().parse().expect("the server's pid");
        self.running = Some(Running {
            supervisor,
            pid: Pid::from_raw(pid),
        });
    }

    pub fn kill(&mut self) {
        // Stopped first, so that the list of its processes stays complete.
        let processes = self.signal_all(Signal::SIGSTOP);
        let running = self.running.take().expect("the server runs");
        running.supervisor.order("kill");
        // PostgreSQL does not start on the data of a server of which some processes still run.
        let start = Instant::now();
        while processes.iter().any(|&pid| is_running(pid)) {
            assert!(start.elapsed() < PATIENCE, "{processes:?} survive SIGKILL");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Signals the server and then its children; returns all of them.
    pub fn signal_all(&self, signal: Signal) -> Vec<Pid> {
        let server = self.running.as_ref().expect("the server runs").pid;
        signal::kill(server, signal).expect("the server can be signalled");
        let children = fs::read_to_string(format!("/proc/{server}/task/{server}/children"))
            .expect("Linux lists the server's children");
        let mut processes = vec![server];
        for child in children.split_whitespace() {
            let child = Pid::from_raw(child.parse().expect("a pid"));
            // A child may have ended meanwhile.
            if signal::kill(child, signal).is_ok() {
                processes.push(child);
            }
        }
        processes
    }

    pub fn is_running(&self) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| is_running(running.pid))
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_else(|error| error.to_string())
    }
}

/// Whether the process exists and is more than a zombie.
fn is_running(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        // The state follows the name, which is in parentheses and may contain parentheses.
        let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
        !state.starts_with(['Z', 'X'])
    })
}

/// The user that servers run as: they refuse to run as root.
#[derive(Clone, Copy, Debug)]
pub struct Owner(Option<(Uid, Gid)>);

impl Owner {
    /// The current user, or, for root, `preferred` if it exists.
    pub fn choose(preferred: &str) -> Self {
        if !Uid::effective().is_root() {
            return Self(None);
        }
        let user = [preferred, "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .expect("root needs another user to run the server as");
        Self(Some((user.uid, user.gid)))
    }

    /// A command that will run as this user.
    pub fn command(self, program: &str) -> Command {
        let mut command = Command::new(program);
        if let Self(Some((uid, gid))) = self {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        command
    }

    /// A directory that belongs to this user, at a place that it can reach.
    pub fn temp_dir(self) -> TempDir {
        let dir = tempfile::Builder::new()
            .prefix("fusepool-")
            .tempdir()
            .expect("a temporary directory can be made");
        self.give(dir.path());
        dir
    }

    /// Makes this user the owner of a file.
    pub fn give(self, path: &Path) {
        if let Self(Some((uid, gid))) = self {
            chown(path, Some(uid.as_raw()), Some(gid.as_raw())).expect("root may chown");
        }
    }
}

/// The server's version, if it is installed.
fn version(kind: &Kind) -> Option<String> {
    let (program, installer) = (kind.program, kind.installer);
    let script = kind.script(&format!("command -v {installer}; {program} --version"));
    let output = Command::new("sh").args(["-c", &script]).output();
    let output = output.expect("a shell");
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A newly initialised data directory, of which each server gets a copy. Made once, because it takes
/// seconds.
fn template(kind: &Kind, version: &str, owner: Owner) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    let owner_id = owner.0.map(|(uid, _)| uid.as_raw());
    (version, kind.initialise, owner_id).hash(&mut hasher);
    let name = format!("{}-{:016x}", kind.name, hasher.finish());
    let template = cache_dir().join(name);
    let lock = File::create(template.with_extension("lock")).expect("a lock file");
    lock.lock().expect("the lock can be waited for");
    if !template.exists() {
        // Made elsewhere, because the owner may be unable to reach the cache.
        let dir = owner.temp_dir();
        let data = dir.path().join("data");
        run(owner
            .command("sh")
            .current_dir(dir.path())
            .env("data", &data)
            .args(["-c", &kind.script(kind.initialise)]));
        let partial = template.with_extension("partial");
        // Left over if an earlier run was killed.
        let _ = fs::remove_dir_all(&partial);
        copy(&data, &partial);
        fs::rename(&partial, &template).expect("the template can be renamed");
    }
    template
}

fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-a").arg(from).arg(to));
}

fn run(command: &mut Command) {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed, {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}
