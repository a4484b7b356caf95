//! Which calls of the kernel the sandbox may make: all that ordinary programs make, and none of
//! those that escapes are made of. It is a list of what is refused, so that a program finds what it
//! finds elsewhere; calls that are younger than the list do not exist.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, sock_filter,
};

use super::{Doing, Failure};

#[cfg(target_arch = "x86_64")]
const ARCH: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;

/// Calls of the kernel's own parts, of other processes' memory, of the machine.
const NEVER: &[i64] = &[
    // io_uring: work of the kernel's on a program's behalf that no filter sees.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Keys are the kernel's, and not of any namespace.
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    // Programs and events in the kernel.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    // Files by number, past every path.
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    // The machine.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
];

/// Of those, what this kind of machine has alone.
#[cfg(target_arch = "x86_64")]
const NEVER_HERE: &[i64] = &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_uselib];
#[cfg(target_arch = "aarch64")]
const NEVER_HERE: &[i64] = &[];

/// Mounts and roots: only within a namespace of the sandbox's own, where those are allowed.
const MOUNTS: &[i64] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    // open_tree_attr(2), which has the same number everywhere.
    467,
];

/// The last call that this list knows of (file_setattr, Linux 6.17). They have the same numbers
/// everywhere since 5.1.
const LAST: u32 = 469;

/// Namespaces that unshare(2) makes (its manual page).
const NAMESPACES: [u64; 8] = [
    0x0002_0000,
    0x0200_0000,
    0x0400_0000,
    0x0800_0000,
    0x1000_0000,
    0x2000_0000,
    0x4000_0000,
    // CLONE_NEWTIME. In the flags of clone(2) these bits are a signal's number.
    0x0000_0080,
];

/// `SOCK_RAW` and `SOCK_PACKET` of socket(2), and where its type ends and its flags begin.
const SOCKET_TYPE: u64 = 0xf;
const RAW: u64 = 3;
const PACKET: u64 = 10;

/// Puts what a person would type into a terminal, and what Linux's own console does (ioctl_tty(2)).
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;

/// Filters this process and all that come after it.
pub(super) fn filter(allow_userns: bool) -> Result<(), Failure> {
    let programs = programs(allow_userns).doing("the system call filter cannot be made")?;
    for program in programs {
        apply_filter(&program).doing("the system call filter cannot be put up")?;
    }
    Ok(())
}

fn programs(allow_userns: bool) -> Result<Vec<BpfProgram>, seccompiler::BackendError> {
    let mut programs = vec![known_only()];
    if !allow_userns {
        // Its flags are in memory, where a filter cannot look; libraries fall back to clone(2).
        programs.push(program(
            BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
            libc::ENOSYS,
        )?);
    }
    programs.push(program(refused(allow_userns)?, libc::EPERM)?);
    Ok(programs)
}

/// Refuses what matches. A program for another kind of machine (32 bits) is killed at its first
/// call.
fn program(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    errno: i32,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let refuse = SeccompAction::Errno(errno.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, ARCH)?.try_into()
}

// linux/filter.h, linux/seccomp.h.
const LOAD: u16 = 0x20;
const JUMP_ABOVE: u16 = 0x25;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

/// Calls that are younger than this list, and those by the numbers of x32: there are none.
fn known_only() -> BpfProgram {
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        // The number is the first field of a struct seccomp_data.
        step(LOAD, 0, 0, 0),
        step(JUMP_ABOVE, 0, 1, LAST),
        step(RETURN, 0, 0, ERRNO | libc::ENOSYS.unsigned_abs()),
        step(RETURN, 0, 0, ALLOW),
    ]
}

fn refused(
    allow_userns: bool,
) -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = NEVER
        .iter()
        .chain(NEVER_HERE)
        .map(|call| (*call, Vec::new()))
        .collect();
    rules.insert(libc::SYS_socket, sockets()?);
    rules.insert(
        libc::SYS_ioctl,
        vec![rule(&[is(1, TIOCSTI)])?, rule(&[is(1, TIOCLINUX)])?],
    );
    if !allow_userns {
        rules.extend(MOUNTS.iter().map(|call| (*call, Vec::new())));
        let flag = |flag: &u64| rule(&[has(0, *flag)]);
        let any: Result<Vec<_>, _> = NAMESPACES.iter().map(flag).collect();
        rules.insert(libc::SYS_unshare, any?);
        let any: Result<Vec<_>, _> = NAMESPACES[..7].iter().map(flag).collect();
        rules.insert(libc::SYS_clone, any?);
    }
    Ok(rules)
}

/// Unix and Internet sockets, and the netlink ones that name resolution looks at interfaces by.
fn sockets() -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let [unix, v4, v6, netlink] = [
        libc::AF_UNIX,
        libc::AF_INET,
        libc::AF_INET6,
        libc::AF_NETLINK,
    ]
    .map(|family| u64::from(family.unsigned_abs()));
    let route = u64::from(libc::NETLINK_ROUTE.unsigned_abs());
    let kind = |kind| (1, SeccompCmpOp::MaskedEq(SOCKET_TYPE), kind);
    let mut rules = vec![
        rule(&[
            is_not(0, unix),
            is_not(0, v4),
            is_not(0, v6),
            is_not(0, netlink),
        ])?,
        rule(&[is(0, netlink), is_not(2, route)])?,
    ];
    for family in [v4, v6] {
        for raw in [RAW, PACKET] {
            rules.push(rule(&[is(0, family), kind(raw)])?);
        }
    }
    Ok(rules)
}

/// What an argument of a call is compared with.
type Condition = (u8, SeccompCmpOp, u64);

fn is(argument: u8, value: u64) -> Condition {
    (argument, SeccompCmpOp::Eq, value)
}

fn is_not(argument: u8, value: u64) -> Condition {
    (argument, SeccompCmpOp::Ne, value)
}

fn has(argument: u8, bit: u64) -> Condition {
    (argument, SeccompCmpOp::MaskedEq(bit), bit)
}

/// All of these together. The kernel takes the lower half of each such argument, and so does this.
fn rule(conditions: &[Condition]) -> Result<SeccompRule, seccompiler::BackendError> {
    let conditions = conditions.iter().map(|(argument, how, value)| {
        SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, how.clone(), *value)
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_are_short_enough_for_the_kernel_with_and_without_namespaces() {
        for allow in [false, true] {
            let programs = programs(allow).unwrap();
            assert!(programs.iter().all(|program| program.len() < 4096));
        }
    }

    #[test]
    fn whoever_may_make_namespaces_may_do_nothing_else_that_others_may_not() {
        let (closed, open) = (refused(false).unwrap(), refused(true).unwrap());
        let more: Vec<i64> = closed
            .keys()
            .filter(|call| !open.contains_key(call))
            .copied()
            .collect();
        let mut expected = [MOUNTS, &[libc::SYS_unshare, libc::SYS_clone]].concat();
        expected.sort_unstable();
        assert_eq!(more, expected);
    }
}
