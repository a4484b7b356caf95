//! Kernel calls that no library wraps, made only to see whether they are reachable: with arguments
//! that the kernel refuses as soon as it looks at them.

use nix::errno::Errno;
use nix::libc;

/// A kernel call.
pub(super) struct Call {
    /// The line's name.
    pub(super) name: &'static str,
    /// What it is for, and its own name.
    pub(super) what: &'static str,
    /// What it reaches is apart for each user namespace (keyrings are, since Linux 5.3).
    pub(super) of_user_namespace: bool,
    /// Makes it: fails where it does not get through.
    pub(super) make: fn() -> Result<(), Errno>,
}

pub(super) const CALLS: [Call; 5] = [
    Call {
        name: "keyrings",
        what: "the kernel's keyrings (keyctl)",
        of_user_namespace: true,
        make: keyctl,
    },
    Call {
        name: "bpf",
        what: "programs for the kernel (bpf)",
        of_user_namespace: false,
        make: bpf,
    },
    Call {
        name: "io-uring",
        what: "calls that no filter sees (io_uring)",
        of_user_namespace: false,
        make: io_uring,
    },
    Call {
        name: "perf",
        what: "the kernel's counters (perf_event_open)",
        of_user_namespace: false,
        make: perf,
    },
    Call {
        name: "userfaultfd",
        what: "page faults handled by a program (userfaultfd)",
        of_user_namespace: false,
        make: userfaultfd,
    },
];

/// Asks for the id of the session's keyring, and makes none.
fn keyctl() -> Result<(), Errno> {
    const GET_KEYRING_ID: libc::c_long = 0;
    const SESSION_KEYRING: libc::c_long = -3;
    match call(libc::SYS_keyctl, [GET_KEYRING_ID, SESSION_KEYRING, 0, 0, 0]) {
        // There is none, and the call told so.
        Err(Errno::ENOKEY) => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// A map of no attributes: EINVAL, once it is allowed.
fn bpf() -> Result<(), Errno> {
    const MAP_CREATE: libc::c_long = 0;
    reachable(call(libc::SYS_bpf, [MAP_CREATE, 0, 0, 0, 0]))
}

/// A ring without parameters: EFAULT, once it is allowed.
fn io_uring() -> Result<(), Errno> {
    reachable(call(libc::SYS_io_uring_setup, [1, 0, 0, 0, 0]))
}

/// An event without attributes: EFAULT, once it is allowed.
fn perf() -> Result<(), Errno> {
    reachable(call(libc::SYS_perf_event_open, [0, 0, -1, -1, 0]))
}

/// Flags that do not exist: EINVAL, once it is allowed.
fn userfaultfd() -> Result<(), Errno> {
    reachable(call(libc::SYS_userfaultfd, [-1, 0, 0, 0, 0]))
}

/// The version of landlock that the kernel has (landlock_create_ruleset(2)).
pub(super) fn landlock() -> Result<libc::c_long, Errno> {
    const CREATE_RULESET_VERSION: libc::c_long = 1;
    call(
        libc::SYS_landlock_create_ruleset,
        [0, 0, CREATE_RULESET_VERSION, 0, 0],
    )
}

/// A call that complains of its arguments was let through.
fn reachable(outcome: Result<libc::c_long, Errno>) -> Result<(), Errno> {
    match outcome {
        Err(Errno::EFAULT | Errno::EINVAL | Errno::E2BIG) => Ok(()),
        outcome => outcome.map(drop),
    }
}

#[expect(
    unsafe_code,
    reason = "no library wraps these calls, and whether they are filtered shows only by making them"
)]
fn call(number: libc::c_long, arguments: [libc::c_long; 5]) -> Result<libc::c_long, Errno> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: no argument of any call in this module is a pointer but a null one, which the kernel
    // answers with EFAULT or takes for "none"; none of them makes a descriptor.
    let outcome = unsafe { libc::syscall(number, a, b, c, d, e) };
    Errno::result(outcome)
}
