//! Servers that run in Docker containers.
//!
//! They use the host's network, so that clients meet the server itself and not Docker's proxy,
//! which would accept connections for a server that is down.

use std::env;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use testcontainers::runners::AsyncRunner;
use testcontainers::{GenericImage, ImageExt};

use super::server::{Kind, Supervisor};

/// A running container, or one that was killed and can be started again.
#[derive(Debug)]
pub struct Container {
    name: String,
    _supervisor: Supervisor,
}

/// Where the data is in the container.
const DATA: &str = "/tmp/data";

const SUPERVISE: &str = r#"read -r order; docker rm --force --volumes "$1""#;

impl Container {
    /// Starts the server with the `command` for its data directory. Fails the test if Docker cannot.
    pub async fn start(kind: &'static Kind, command: impl FnOnce(&str) -> Vec<String>) -> Self {
        let image = env::var(kind.image_variable).unwrap_or_else(|_| kind.image.to_owned());
        match Self::try_start(kind, &image, command(DATA)).await {
            Ok(container) => container,
            Err(error) => panic!(
                "this test needs {}. Install it (`{}`), or put `{}` and `{}` on PATH, or let \
                 Docker run the image `{image}` ({} names another), which failed: {error}",
                kind.name, kind.install, kind.program, kind.installer, kind.image_variable,
            ),
        }
    }

    async fn try_start(
        kind: &Kind,
        image: &str,
        command: Vec<String>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        docker(&["version", "--format={{.Server.Version}}"])?;
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("fusepool-{}-{}-{id}", kind.name, process::id());
        let mut supervise = Command::new("sh");
        supervise
            .args(["-c", SUPERVISE, "supervise", &name])
            .stdout(Stdio::null());
        let supervisor = Supervisor::spawn(supervise);

        // Any image with a shell and the server works. The data survives a restart.
        let script = kind.script(&format!(
            "export data={DATA}\n[ -d $data ] || {{\n{}\n}}\nexec \"$@\"",
            kind.initialise
        ));
        let arguments = ["-c".to_owned(), script, "sh".to_owned()];
        // A colon before the last slash belongs to a registry's port.
        let (repository, tag) = match image.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, tag),
            _ => (image, "latest"),
        };
        let container = GenericImage::new(repository, tag)
            .with_entrypoint("sh")
            .with_cmd(arguments.into_iter().chain(command))
            .with_user(kind.user)
            .with_network("host")
            .with_container_name(&name)
            .start()
            .await?;
        // The supervisor removes it, even if the process is killed. Its own `Drop` would need a runtime.
        std::mem::forget(container);
        Ok(Self {
            name,
            _supervisor: supervisor,
        })
    }

    pub fn kill(&self) {
        self.control("kill");
    }

    pub fn launch(&self) {
        self.control("start");
    }

    pub fn pause(&self) {
        self.control("pause");
    }

    pub fn resume(&self) {
        self.control("unpause");
    }

    pub fn is_running(&self) -> bool {
        docker(&["inspect", "--format={{.State.Running}}", &self.name])
            .is_ok_and(|running| running.trim() == "true")
    }

    pub fn log(&self) -> String {
        docker(&["logs", &self.name]).unwrap_or_else(|error| error)
    }

    fn control(&self, command: &str) {
        if let Err(error) = docker(&[command, &self.name]) {
            panic!("docker {command}: {error}");
        }
    }
}

/// The output of the Docker client, as `Ok` or `Err` by its exit status.
fn docker(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker")
        .args(arguments)
        .output()
        .map_err(|error| format!("the program `docker`: {error}"))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    if output.status.success() {
        Ok(text)
    } else {
        Err(text)
    }
}
