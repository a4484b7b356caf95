//! Between a command and the engine: something happens at the very moment of a request.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::require::docker_socket;

/// What is done once, on either side of a request.
pub(crate) struct Deed {
    /// A part of the request that only it has.
    pub(crate) request: &'static str,
    /// Before the engine gets it.
    pub(crate) before: Box<dyn FnOnce() + Send>,
    /// Before the caller gets the answer.
    pub(crate) after: Box<dyn FnOnce() + Send>,
}

type Once = Arc<Mutex<Option<Box<dyn FnOnce() + Send>>>>;

/// Hands everything on between callers of a socket and the engine, and does a deed. It ends with
/// the test's process.
pub(crate) struct Middleman {
    socket: PathBuf,
    done: Arc<AtomicBool>,
}

impl Middleman {
    #[track_caller]
    pub(crate) fn new(socket: &Path, deed: Deed) -> Self {
        let listener = UnixListener::bind(socket).expect("a socket");
        let engine = docker_socket().expect("a socket of the engine");
        let done = Arc::new(AtomicBool::new(false));
        let once = |deed| -> Once { Arc::new(Mutex::new(Some(deed))) };
        let (before, after) = (once(deed.before), once(deed.after));
        let shared = done.clone();
        thread::spawn(move || {
            for caller in listener.incoming() {
                let caller = caller.expect("a caller");
                let engine = UnixStream::connect(&engine).expect("the engine");
                let due = Arc::new(AtomicBool::new(false));
                let (to, from) = (engine.try_clone(), caller.try_clone());
                let (to, from) = (to.expect("its end"), from.expect("its end"));
                let (before, after, done) = (before.clone(), after.clone(), shared.clone());
                let asked = due.clone();
                hand_on(from, to, move |bytes| {
                    let request = deed.request.as_bytes();
                    if bytes.windows(request.len()).any(|part| part == request) {
                        run(&before);
                        asked.store(true, Ordering::SeqCst);
                    }
                });
                hand_on(engine, caller, move |_| {
                    if due.swap(false, Ordering::SeqCst) {
                        run(&after);
                        done.store(true, Ordering::SeqCst);
                    }
                });
            }
        });
        Self {
            socket: socket.to_owned(),
            done,
        }
    }

    /// What `DOCKER_HOST` is to be.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Whether the moment has come and gone.
    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }
}

fn run(deed: &Once) {
    let deed = deed.lock().expect("nobody panicked").take();
    if let Some(deed) = deed {
        deed();
    }
}

fn hand_on(mut from: UnixStream, mut to: UnixStream, mut see: impl FnMut(&[u8]) + Send + 'static) {
    thread::spawn(move || {
        let mut bytes = [0; 65536];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            see(&bytes[..count]);
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
