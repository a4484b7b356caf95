//! A real terminal: tmux keeps a screen, takes keys, and says when something is written.

use std::process::Command;

use super::{Home, PATIENCE, Ran, Running};

/// A command on a screen, until it is dropped.
pub(crate) struct Tmux {
    home: Home,
    socket: String,
    /// Says a line whenever something was written to the screen.
    written: Running,
}

impl Tmux {
    /// Starts a shell command on a screen of this size, in an environment.
    #[track_caller]
    pub(crate) fn start(home: &Home, name: &str, (width, height): (u16, u16), shell: &str) -> Self {
        let socket = home.home().join(name).to_string_lossy().into_owned();
        let mut start = tmux(home, &socket);
        start
            .args(["-f", "/dev/null", "new-session", "-d"])
            .args(["-x", &width.to_string(), "-y", &height.to_string()])
            // It waits for whoever watches, so that nothing is written unseen.
            .args(["cat >/dev/null"]);
        Ran::of(&mut start).ok();
        for option in ["window-size manual", "remain-on-exit on", "status off"] {
            let mut set = tmux(home, &socket);
            set.args(["set-option", "-g"]).args(option.split(' '));
            Ran::of(&mut set).ok();
        }
        let mut watch = tmux(home, &socket);
        watch.args(["-C", "attach-session", "-f", "ignore-size"]);
        let screen = Self {
            home: home.clone(),
            socket,
            written: Running::spawn(&mut watch),
        };
        screen.does(&["respawn-pane", "-k", shell]);
        screen
    }

    /// A command of tmux; what it says.
    #[track_caller]
    pub(crate) fn does(&self, arguments: &[&str]) -> String {
        Ran::of(tmux(&self.home, &self.socket).args(arguments)).ok()
    }

    /// Presses keys, as tmux names them, one after the other.
    #[track_caller]
    pub(crate) fn press(&self, keys: &[&str]) {
        for key in keys {
            self.does(&["send-keys", key]);
        }
    }

    /// What is on the screen.
    #[track_caller]
    pub(crate) fn screen(&self) -> String {
        self.does(&["capture-pane", "-p"])
    }

    /// Waits until what is on the screen fits.
    #[track_caller]
    pub(crate) fn shows(&mut self, fits: impl Fn(&str) -> bool) -> String {
        loop {
            let screen = self.screen();
            if fits(&screen) {
                return screen;
            }
            if self.written.line_within(PATIENCE).is_none() {
                panic!("the screen stays\n{screen}");
            }
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = Ran::of(tmux(&self.home, &self.socket).arg("kill-server"));
    }
}

fn tmux(home: &Home, socket: &str) -> Command {
    let mut command = home.command("tmux");
    command.args(["-u", "-S", socket]);
    command
}
