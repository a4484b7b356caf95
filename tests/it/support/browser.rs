//! A browser that a test works as a person would: Chromium, by way of its WebDriver. It resolves no
//! name, so that nothing can leave the machine, and remembers what it asked for.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use super::{Home, Wire, require};

/// The name of an element in the WebDriver protocol.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys that are no characters.
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ENTER: &str = "\u{e007}";
pub(crate) const SPACE: &str = " ";

/// A browser. Dropping it ends it.
pub(crate) struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
}

/// Whether there is one.
pub(crate) fn browser_is_here() -> bool {
    require("chromium") && require("chromedriver")
}

impl Browser {
    /// Starts what drives it, and says at which port; `None` when it has none.
    fn driver(home: &Home) -> Option<(Child, u16)> {
        let mut driver = home
            .command("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the driver starts");
        let said = BufReader::new(driver.stdout.take().expect("its output"));
        let port = said.lines().map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once("started successfully on port ")?;
            rest.trim_end_matches('.').parse().ok()
        });
        if port.is_none() {
            driver.wait().expect("its end");
        }
        Some((driver, port?))
    }

    #[track_caller]
    pub(crate) fn start(home: &Home) -> Self {
        // A port that the kernel chose for IPv4 may be somebody's for IPv6, and the driver ends then.
        let (driver, port) = (0..20)
            .find_map(|_| Self::driver(home))
            .expect("a driver with a port");
        let profile = home.home().join("browser");
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-default-apps".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-sync".to_owned(),
            "--no-first-run".to_owned(),
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1".to_owned(),
            format!("--user-data-dir={}", profile.display()),
        ];
        if nix::unistd::Uid::effective().is_root() {
            // Chromium's own sandbox is not for root.
            arguments.push("--no-sandbox".to_owned());
        }
        let mut browser = Self {
            driver,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            session: String::new(),
        };
        let capabilities = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "timeouts": {"script": 170_000, "pageLoad": 170_000},
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let begun = browser.call("POST", "", &capabilities);
        browser.session = begun["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    /// Opens an address.
    #[track_caller]
    pub(crate) fn open(&self, url: &str) {
        self.post("/url", &json!({"url": url}));
    }

    /// What a function body returns in the page.
    #[track_caller]
    pub(crate) fn says(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Waits until an expression is true in the page, and returns what it is.
    #[track_caller]
    pub(crate) fn until(&self, expression: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             const look = () => {{
               let is; try {{ is = ({expression}); }} catch {{ is = null; }}
               if (is) done(is); else setTimeout(look, 10);
             }};
             look();"
        );
        let body = json!({"script": script, "args": []});
        match self.try_post("/execute/async", &body) {
            Ok(value) => value,
            Err(why) => panic!("never: {expression}: {why}; {}", self.text()),
        }
    }

    /// All that can be read on the page.
    pub(crate) fn text(&self) -> String {
        let text = self.says("return document.body.innerText");
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Presses on the one element that a script's expression is, as a pointer does.
    #[track_caller]
    pub(crate) fn click(&self, expression: &str) {
        let element = self.until(expression);
        let id = element[ELEMENT].as_str().expect("an element");
        self.post(&format!("/element/{id}/click"), &json!({}));
    }

    /// Presses keys one after the other, wherever the focus is.
    #[track_caller]
    pub(crate) fn types(&self, keys: &str) {
        let mut actions = Vec::new();
        for key in keys.chars().map(String::from) {
            actions.push(json!({"type": "keyDown", "value": key}));
            actions.push(json!({"type": "keyUp", "value": key}));
        }
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": actions});
        self.post("/actions", &json!({"actions": [keyboard]}));
    }

    /// Opens a further tab, and goes there. Returns how to go back.
    #[track_caller]
    pub(crate) fn new_tab(&self) -> (String, String) {
        let before = self.call("GET", &self.path("/window"), &Value::Null);
        let before = before.as_str().expect("a handle").to_owned();
        let made = self.post("/window/new", &json!({"type": "tab"}));
        let made = made["handle"].as_str().expect("a handle").to_owned();
        self.go_to(&made);
        (before, made)
    }

    /// Goes to a tab.
    #[track_caller]
    pub(crate) fn go_to(&self, tab: &str) {
        self.post("/window", &json!({"handle": tab}));
    }

    /// A command of the browser's own protocol.
    #[track_caller]
    pub(crate) fn devtools(&self, command: &str, parameters: &Value) {
        let body = json!({"cmd": command, "params": parameters});
        self.post("/goog/cdp/execute", &body);
    }

    /// As wide as this, and in this theme.
    #[track_caller]
    pub(crate) fn looks(&self, width: u32, theme: &str) {
        let size = json!({
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false
        });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let theme = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
        self.devtools("Emulation.setEmulatedMedia", &theme);
    }

    /// Every address that was asked for since this was asked last.
    #[track_caller]
    pub(crate) fn requested(&self) -> Vec<String> {
        let entries = self.logged("performance");
        let messages = entries.iter().filter_map(|entry| {
            let text = entry["message"].as_str()?;
            let message: Value = serde_json::from_str(text).ok()?;
            let message = &message["message"];
            (message["method"] == "Network.requestWillBeSent").then(|| {
                message["params"]["request"]["url"]
                    .as_str()
                    .map(str::to_owned)
            })?
        });
        messages.collect()
    }

    /// What the browser complained about since this was asked last.
    #[track_caller]
    pub(crate) fn complaints(&self) -> Vec<String> {
        let entries = self.logged("browser");
        let text = |entry: &Value| entry["message"].as_str().map(str::to_owned);
        entries.iter().filter_map(text).collect()
    }

    fn logged(&self, kind: &str) -> Vec<Value> {
        let entries = self.post("/se/log", &json!({"type": kind}));
        entries.as_array().expect("a log").clone()
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        match self.try_post(path, body) {
            Ok(value) => value,
            Err(why) => panic!("{path}: {why}"),
        }
    }

    fn try_post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.try_call("POST", &self.path(path), body)
    }

    fn path(&self, path: &str) -> String {
        format!("/{}{path}", self.session)
    }

    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        match self.try_call(method, path, body) {
            Ok(value) => value,
            Err(why) => panic!("{method} {path}: {why}"),
        }
    }

    fn try_call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let mut wire = Wire::to(self.address);
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        wire.send(format!(
            "{method} /session{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        ));
        let answer = wire.answer();
        let value = answer.json()["value"].clone();
        match answer.status() {
            200 => Ok(value),
            _ => Err(format!("{}: {}", value["error"], value["message"])),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.try_call("DELETE", &format!("/{}", self.session), &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
