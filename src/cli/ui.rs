//! `ui`: starts the gateway of the web page, and opens a browser on it.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::thread;

use nix::sys::signal::{SigSet, Signal};
use serde_json::Value;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::args::UiArgs;
use super::audit;
use super::failure::Failure;
use super::output::Output;
use super::reach;
use crate::api::BY_UI;
use crate::config;
use crate::session::RuntimeDir;
use crate::ui::{Gateway, Links, OpenError};

/// Lines of an audit log that the page shows.
const AUDIT_LINES: usize = 500;

/// What opens an address in the browser of a desktop, the usual one first.
const OPENERS: [&[&str]; 2] = [&["xdg-open"], &["gio", "open"]];

pub(super) async fn run(args: &UiArgs, out: &Output) -> Result<ExitCode, Failure> {
    let links = Links {
        connect: Box::new(|found| reach::connect(found).by(BY_UI)),
        audit: Box::new(|session| {
            let directory = config::state_dir().map_err(|error| error.to_string())?;
            let lines = audit::newest(&directory.join("audit"), session, AUDIT_LINES)?;
            Ok(lines.into_iter().map(Value::Object).collect())
        }),
    };
    let gateway = Gateway::open(args.port, links).await;
    let gateway = gateway.map_err(|error| match error {
        OpenError::Taken { .. } => Failure::failed(error)
            .hint("look for it in your other terminals; --port 0 takes any port that is free"),
        error @ OpenError::Io(_) => Failure::failed(error),
    })?;
    let mut ends = [
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    ];
    let [interrupt, terminate, hangup] = &mut ends;
    let serving = gateway.serve();
    tokio::pin!(serving);

    let leads = match args.no_open || !has_desktop() {
        true => None,
        false => Some(Leads::write(&gateway)?),
    };
    match &leads {
        Some(_) => out.note(format!(
            "the page opens in your browser, at http://{}",
            gateway.address()
        )),
        None => print(&gateway, out)?,
    }
    let opening = async {
        match &leads {
            Some(leads) => opens(&leads.0).await,
            None => true,
        }
    };
    tokio::pin!(opening);
    let mut opened = false;
    out.note("Enter prints a new address, for another browser; Ctrl-C ends the page");
    let mut lines = lines();
    loop {
        tokio::select! {
            () = &mut serving => return Err(Failure::failed("the page is not served any more")),
            ok = &mut opening, if !opened => {
                opened = true;
                if !ok {
                    out.warn("no browser could be opened; open this address in one");
                    print(&gateway, out)?;
                }
            }
            Some(()) = lines.recv() => print(&gateway, out)?,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hangup.recv() => break,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print(gateway: &Gateway, out: &Output) -> Result<(), Failure> {
    let address = gateway.invitation()?;
    match out.json {
        true => out.json(&serde_json::json!({ "address": address })),
        false => out.line(address),
    }
}

fn has_desktop() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")
}

/// A file that leads a browser to the page; it is removed with this. The address is in it, where
/// only this user can read it: what is on a command line, every user of the machine can.
struct Leads(PathBuf);

impl Leads {
    fn write(gateway: &Gateway) -> Result<Self, Failure> {
        let runtime = RuntimeDir::open_or_create().map_err(Failure::failed)?;
        let name = format!("ui-{}.html", gateway.address().port());
        let leads = Self(runtime.path().join(name));
        match fs::remove_file(&leads.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&leads.0)?;
        write!(
            file,
            "<!doctype html><meta charset=\"utf-8\"><title>vibepit</title>\
             <meta http-equiv=\"refresh\" content=\"0;url={}\">",
            gateway.invitation()?
        )?;
        Ok(leads)
    }
}

impl Drop for Leads {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Has a browser open a file. An opener may stay for as long as the browser does.
async fn opens(file: &Path) -> bool {
    for opener in OPENERS {
        let [program, arguments @ ..] = opener else {
            continue;
        };
        let opened = Command::new(program)
            .args(arguments)
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .status()
            .await;
        if opened.is_ok_and(|status| status.success()) {
            return true;
        }
    }
    false
}

/// Tells of each line that is typed.
fn lines() -> mpsc::Receiver<()> {
    let (tell, lines) = mpsc::channel(1);
    thread::spawn(move || {
        // In the background of a terminal, reading would stop the process: so it is an error.
        let mut stops = SigSet::empty();
        stops.add(Signal::SIGTTIN);
        if stops.thread_block().is_err() {
            return;
        }
        for line in io::stdin().lock().lines() {
            if line.is_err() || tell.blocking_send(()).is_err() {
                return;
            }
        }
    });
    lines
}
