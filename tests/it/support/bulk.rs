//! Much data of a known content, made and checked as it goes by: what is lost, doubled or out of
//! place is seen where it is.

use std::io;
use std::sync::mpsc::{self, Receiver};
use std::sync::{LazyLock, Mutex};

use super::{Origin, Wire};

/// A block whose length divides no buffer's, so that blocks never stand where others stood.
const BLOCK: usize = 65_521;

static DATA: LazyLock<Vec<u8>> = LazyLock::new(|| {
    // xorshift64: no two parts are alike.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(BLOCK).collect()
});

/// The data from an offset on, as much as is at hand, and no more than is left.
fn part(offset: usize, left: usize) -> &'static [u8] {
    let from = offset % BLOCK;
    &DATA[from..BLOCK.min(from + left)]
}

/// Sends so many bytes.
pub(crate) fn send(wire: &mut Wire, length: usize) -> io::Result<()> {
    let mut sent = 0;
    while sent < length {
        let part = part(sent, length - sent);
        wire.try_send(part)?;
        sent += part.len();
    }
    Ok(())
}

/// Sends so many bytes, and says how many are out when they are not taken for a while.
pub(crate) fn send_until_stalled(wire: &mut Wire, length: usize, stalled: impl FnOnce(usize)) {
    let mut stalled = Some(stalled);
    let mut sent = 0;
    while sent < length {
        match wire.send_some(part(sent, length - sent)) {
            Ok(part) => sent += part,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if let Some(stalled) = stalled.take() {
                    stalled(sent);
                }
            }
            Err(error) => panic!("after {sent} bytes: {error}"),
        }
    }
    if let Some(stalled) = stalled {
        stalled(sent);
    }
}

/// An origin that sends so many bytes behind what it begins with, and tells how many of them were
/// out when nobody took more.
pub(crate) fn stalled_origin(
    length: usize,
    begin: impl Fn(&mut Wire) + Send + Sync + 'static,
) -> (Origin, Receiver<usize>) {
    let (tell, stalled) = mpsc::channel();
    let tell = Mutex::new(tell);
    let origin = Origin::serving(move |mut wire| {
        begin(&mut wire);
        wire.gives_up_soon();
        let tell = tell.lock().expect("a lock").clone();
        send_until_stalled(&mut wire, length, |sent| {
            tell.send(sent).expect("a listener")
        });
    });
    (origin, stalled)
}

/// Reads so many bytes, which have to be the data.
#[track_caller]
pub(crate) fn receive(wire: &mut Wire, length: usize) {
    let mut part_read = vec![0; 256 * 1024];
    let mut received = 0;
    while received < length {
        let room = part_read.len().min(length - received);
        let read = wire.read(&mut part_read[..room]).expect("more data");
        assert!(read > 0, "ended after {received} of {length} bytes");
        let mut checked = 0;
        while checked < read {
            let expected = part(received + checked, read - checked);
            let found = &part_read[checked..checked + expected.len()];
            assert!(
                found == expected,
                "other bytes behind {}",
                received + checked
            );
            checked += expected.len();
        }
        received += read;
    }
}
