//! A headless Chromium with one page, driven through the DevTools protocol.

use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::support::{PATIENCE, eventually};

/// The browser speaks through the descriptors 3 and 4.
const PIPE: &str = r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;

pub struct Browser {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    last: u64,
    session: Option<String>,
    _process: Child,
    _profile: TempDir,
}

impl Browser {
    pub async fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let programs = ["chromium-headless-shell", "chromium", "chromium-browser"];
        let places = programs.map(|program| format!("/usr/bin/{program}"));
        let program = places.iter().find(|place| std::fs::exists(place).unwrap());
        let program = program
            .expect("Chromium is not installed: apt-get install --no-install-recommends chromium");
        let mut process = Command::new("sh")
            .args(["-c", PIPE, "sh", program])
            // Only pages of the tests are opened, and root has no sandbox.
            .args(["--headless", "--no-sandbox", "--disable-gpu"])
            .arg("--remote-debugging-pipe")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut browser = Self {
            to: process.stdin.take().unwrap(),
            from: BufReader::new(process.stdout.take().unwrap()),
            last: 0,
            session: None,
            _process: process,
            _profile: profile,
        };
        let page = json!({ "url": "about:blank" });
        let page = browser.send("Target.createTarget", page).await;
        let page = json!({ "targetId": page["targetId"], "flatten": true });
        let session = browser.send("Target.attachToTarget", page).await;
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        browser
    }

    pub async fn open(&mut self, url: &str) {
        self.send("Page.navigate", json!({ "url": url })).await;
        self.holds("document.readyState === 'complete'").await;
    }

    /// The value of an expression in the page.
    pub async fn eval(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        let answer = self.send("Runtime.evaluate", parameters).await;
        assert!(answer.get("exceptionDetails").is_none(), "{answer}");
        answer["result"]["value"].clone()
    }

    /// Waits until a condition holds in the page.
    pub async fn holds(&mut self, condition: &str) {
        let holds = async || self.eval(condition).await == true;
        eventually(condition, holds).await;
    }

    pub async fn resize(&mut self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": true });
        self.send("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Calls a method, and waits for its result.
    async fn send(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut call = json!({ "id": self.last, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            call["sessionId"] = session.as_str().into();
        }
        self.to
            .write_all(format!("{call}\0").as_bytes())
            .await
            .unwrap();
        loop {
            let mut message = Vec::new();
            let read = timeout(PATIENCE, self.from.read_until(0, &mut message));
            read.await.expect("Chromium answers").unwrap();
            assert_eq!(message.pop(), Some(0), "Chromium has ended");
            let message: Value = serde_json::from_slice(&message).unwrap();
            if message["id"] == self.last {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
        }
    }
}
