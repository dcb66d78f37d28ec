//! What all database servers share: how tests start them, connect to them and disturb them.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Uid;

use super::PATIENCE;
use super::docker::Container;
use super::local::Local;

/// The properties of a database system. The scripts are for `sh`, and are the same on this machine and
/// in a container.
#[derive(Debug)]
pub struct Kind {
    pub name: &'static str,
    /// How to install it.
    pub install: &'static str,
    /// The image to run if it is not installed, and the variable that overrides this choice.
    pub image: &'static str,
    pub image_variable: &'static str,
    /// The system's user to run it as, if the tests run as root.
    pub user: &'static str,
    /// The program, and the one that initialises its data.
    pub program: &'static str,
    pub installer: &'static str,
    /// Where both are if not on PATH: directories, or a pattern whose last match is preferred.
    pub places: &'static str,
    /// Makes the data directory `$data`.
    pub initialise: &'static str,
    /// The program's arguments.
    pub arguments: fn(data: &str, port: u16) -> Vec<String>,
    /// The parts of its URLs.
    pub scheme: &'static str,
    pub admin: &'static str,
    pub database: &'static str,
}

impl Kind {
    /// `script`, run where the programs are on PATH.
    pub fn script(&self, script: &str) -> String {
        let places = self.places;
        format!(
            "set -e; for dir in {places}; do found=$dir:$found; done; PATH=$PATH:$found\n{script}"
        )
    }
}

/// A separate running server, removed when dropped.
#[derive(Debug)]
pub struct Server {
    kind: &'static Kind,
    backend: Backend,
    port: Port,
}

#[derive(Debug)]
enum Backend {
    Local(Local),
    Docker(Container),
}

impl Server {
    /// Starts a server with these settings besides the usual ones. Does not wait for it.
    pub async fn start(kind: &'static Kind, settings: &[(&str, &str)]) -> Self {
        let port = Port::reserve();
        let command = |data: &str| {
            let mut command = vec![kind.program.to_owned()];
            command.extend((kind.arguments)(data, port.number));
            command.extend(
                settings
                    .iter()
                    .map(|(name, value)| format!("--{name}={value}")),
            );
            command
        };
        let docker = env::var("FUSEPOOL_TEST_SERVERS").is_ok_and(|servers| servers == "docker");
        let local = (!docker).then(|| Local::start(kind, command)).flatten();
        let backend = match local {
            Some(local) => Backend::Local(local),
            None => Backend::Docker(Container::start(kind, command).await),
        };
        Self {
            kind,
            backend,
            port,
        }
    }

    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port.number).into()
    }

    /// The URL of the administrator, who needs no password.
    pub fn url(&self) -> String {
        self.url_via(self.port.number)
    }

    /// As [`Server::url`], through a proxy's port.
    pub fn url_via(&self, port: u16) -> String {
        self.url_as(self.kind.admin, "", self.kind.database, port)
    }

    /// The URL of any user; an empty password is left out.
    pub fn url_as(&self, user: &str, password: &str, database: &str, port: u16) -> String {
        let scheme = self.kind.scheme;
        let separator = if password.is_empty() { "" } else { ":" };
        format!("{scheme}://{user}{separator}{password}@127.0.0.1:{port}/{database}")
    }

    /// Kills all processes of the server at once, by SIGKILL.
    pub fn kill(&mut self) {
        match &mut self.backend {
            Backend::Local(local) => local.kill(),
            Backend::Docker(container) => container.kill(),
        }
    }

    /// Starts the killed server again, on the same port and data, without waiting until it is
    /// ready.
    pub fn launch(&mut self) {
        match &mut self.backend {
            Backend::Local(local) => local.launch(),
            Backend::Docker(container) => container.launch(),
        }
    }

    /// Freezes all processes of the server. The kernel still accepts connections for it, but
    /// nothing answers.
    pub fn pause(&self) {
        match &self.backend {
            Backend::Local(local) => drop(local.signal_all(Signal::SIGSTOP)),
            Backend::Docker(container) => container.pause(),
        }
    }

    /// Ends a [`Server::pause`].
    pub fn resume(&self) {
        match &self.backend {
            Backend::Local(local) => drop(local.signal_all(Signal::SIGCONT)),
            Backend::Docker(container) => container.resume(),
        }
    }

    /// Waits until `probe` gets an answer; fails the test with the server's log if the server
    /// ends, or no answer comes in time.
    pub async fn wait_until(&self, probe: impl AsyncFn() -> Result<(), sqlx::Error>) {
        let start = Instant::now();
        loop {
            // A probe may itself hang, say on a paused server.
            let error = match tokio::time::timeout(Duration::from_secs(1), probe()).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(elapsed) => elapsed.to_string(),
            };
            let running = match &self.backend {
                Backend::Local(local) => local.is_running(),
                Backend::Docker(container) => container.is_running(),
            };
            if !running || start.elapsed() > PATIENCE {
                let log = match &self.backend {
                    Backend::Local(local) => local.log(),
                    Backend::Docker(container) => container.log(),
                };
                panic!("{} is not ready: {error}; its log:\n{log}", self.kind.name);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A shell that notices by the end of its standard input that the tests have ended, and then stops what
/// it supervises. Dropping it does the same.
#[derive(Debug)]
pub struct Supervisor {
    pub child: Child,
}

impl Supervisor {
    pub fn spawn(mut command: Command) -> Self {
        let child = command
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            // An interrupt from the terminal must leave it alive to do its work.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        Self { child }
    }

    /// Stops what it supervises with `order` instead of the default.
    pub fn order(mut self, order: &str) {
        let stdin = self.child.stdin.as_mut().expect("stdin is piped");
        writeln!(stdin, "{order}").expect("the supervisor reads its order");
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Without an answer, nothing is left to stop.
        let _ = self.child.wait();
    }
}

/// A port that no other server of these tests uses, nor of the same user's in another checkout,
/// while this exists.
#[derive(Debug)]
pub struct Port {
    pub number: u16,
    _lock: File,
}

impl Port {
    /// Below Linux's ephemeral ports: a server that is down must not lose its port to an outgoing
    /// connection, or be "reached" by one that TCP connects to itself.
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;

    pub fn reserve() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let locks = env::temp_dir().join(format!("fusepool-ports-{}", Uid::current()));
        fs::create_dir_all(&locks).expect("the directory for locks can be made");
        // Test binaries that run side by side start searching at different places.
        let offset = process::id().wrapping_mul(64);
        for _ in 0..Self::COUNT {
            let next = offset.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
            let number = (Self::FIRST + next % Self::COUNT) as u16;
            let lock = File::create(locks.join(number.to_string())).expect("a lock file");
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Self {
                    number,
                    _lock: lock,
                };
            }
        }
        panic!("no port is free");
    }
}

/// The directory for files that test runs share.
pub fn cache_dir() -> PathBuf {
    // Cargo names it to tests, not to examples.
    let tmp = option_env!("CARGO_TARGET_TMPDIR")
        .unwrap_or(concat!(env!("CARGO_MANIFEST_DIR"), "/target/tmp"));
    let dir = Path::new(tmp).join("servers");
    fs::create_dir_all(&dir).expect("the cache directory can be made");
    dir
}
