//! Which kernel calls a container may make, for engines whose own filter lets too much through:
//! `AF_VSOCK`, which has no namespaces and leads a virtual machine's sandbox to its hypervisor
//! (Docker before 23, Podman), and io_uring, whose calls no filter sees (Docker before 25).
//!
//! A list of what is allowed, like the engine's own: the kernel's calls without those that need a
//! capability that no container here has, and those that sandboxes were broken with.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::engine::{Facts, Kind};

/// The first Docker whose own filter holds both.
const HOLDS: (u32, u32) = (25, 0);

/// Calls that any program may make, whatever their arguments.
const CALLS: &str = "\
    accept accept4 access alarm arch_prctl bind brk cachestat capget capset chdir chmod chown \
    clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range creat \
    dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait \
    eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate \
    fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock \
    fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait \
    futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents \
    getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid \
    getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname \
    getsockopt gettid gettimeofday getuid getxattr getxattrat inotify_add_watch inotify_init \
    inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup \
    io_submit ioctl ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset \
    landlock_restrict_self lchown lgetxattr link linkat listen listxattr listxattrat llistxattr \
    lremovexattr lseek lsetxattr lstat madvise map_shadow_stack membarrier memfd_create \
    memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap modify_ldt \
    mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal \
    msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep \
    newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc \
    pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 process_madvise \
    process_mrelease process_vm_readv process_vm_writev pselect6 ptrace pwrite64 pwritev pwritev2 \
    read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages \
    removexattr removexattrat rename renameat renameat2 restart_syscall rmdir rseq \
    rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend \
    rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min \
    sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval \
    sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select \
    semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto set_robust_list \
    set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid \
    setpriority setregid setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr \
    setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair \
    splice stat statfs statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill \
    time timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create \
    timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat utime \
    utimensat utimes vfork vmsplice wait4 waitid write writev";

/// Those that only programs of 32 bits make. Not `socketcall`: which socket it opens, no filter
/// sees.
const CALLS_32: &str = "\
    _llseek _newselect chown32 clock_getres_time64 clock_gettime64 clock_nanosleep_time64 \
    fadvise64_64 fchown32 fcntl64 fstat64 fstatat64 fstatfs64 ftruncate64 futex_time64 \
    getegid32 geteuid32 getgid32 getgroups32 getresgid32 getresuid32 getuid32 \
    io_pgetevents_time64 ipc lchown32 lstat64 mmap2 mq_timedreceive_time64 mq_timedsend_time64 \
    nice ppoll_time64 pselect6_time64 recv recvmmsg_time64 rt_sigtimedwait_time64 \
    sched_rr_get_interval_time64 semtimedop_time64 send sendfile64 setfsgid32 setfsuid32 \
    setgid32 setgroups32 setregid32 setresgid32 setresuid32 setreuid32 setuid32 sgetmask \
    sigaction signal sigpending sigprocmask sigreturn sigsuspend ssetmask stat64 statfs64 \
    sync_file_range2 timer_gettime64 timer_settime64 timerfd_gettime64 timerfd_settime64 \
    truncate64 ugetrlimit utimensat_time64 waitpid";

/// Families of sockets (`AF_UNIX`, `AF_INET`, `AF_INET6`, `AF_NETLINK`).
const FAMILIES: [u32; 4] = [1, 2, 10, 16];

/// Ways in which programs are run that are as old as the system (personality(2)): Linux, with and
/// without addresses at random, 32 bits; and the question what it is.
const PERSONALITIES: [u32; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Flags of clone(2) that make a namespace.
const NAMESPACES: u32 = 0x7e02_0000;

/// ENOSYS: what a program takes as "older kernel", and makes do without.
const NO_SUCH_CALL: u32 = 38;

/// The option that gives a container this filter, where Docker's own is not enough.
pub(crate) fn option(facts: &Facts) -> Option<String> {
    (facts.kind == Kind::Docker && facts.release < HOLDS).then(|| format!("seccomp={}", profile()))
}

/// The same for Podman, whose own filter lets `AF_VSOCK` and user namespaces through (measured with
/// 4.3, without root), and which reads one from a file. This makes the file.
///
/// # Errors
///
/// When it cannot be made.
pub(crate) fn option_by_file(facts: &Facts, file: &Path) -> io::Result<Option<String>> {
    if facts.kind != Kind::Podman {
        return Ok(None);
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?
        .write_all(profile().to_string().as_bytes())?;
    Ok(Some(format!("seccomp={}", file.display())))
}

fn profile() -> Value {
    let names: Vec<&str> = CALLS
        .split_whitespace()
        .chain(CALLS_32.split_whitespace())
        .collect();
    let one_of = |name: &str, values: &[u32]| -> Vec<Value> {
        let rule = |value: &u32| {
            json!({"names": [name], "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"}]})
        };
        values.iter().map(rule).collect()
    };
    let mut rules = vec![
        json!({"names": names, "action": "SCMP_ACT_ALLOW"}),
        // Its flags stand in memory, where no filter sees them; without it, programs use clone.
        json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": NO_SUCH_CALL}),
        json!({"names": ["clone"], "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]}),
    ];
    rules.extend(one_of("socket", &FAMILIES));
    rules.extend(one_of("personality", &PERSONALITIES));
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        ],
        "syscalls": rules,
    })
}

#[cfg(test)]
mod tests {
    use super::super::engine::tests::rootful;
    use super::*;

    fn of(release: (u32, u32)) -> Option<String> {
        option(&Facts {
            release,
            ..rootful()
        })
    }

    #[test]
    fn an_engine_whose_own_filter_is_enough_keeps_it() {
        assert!(of((20, 10)).is_some() && of((24, 0)).is_some());
        assert_eq!(of((25, 0)), None);
    }

    #[test]
    fn what_sandboxes_were_broken_with_is_not_allowed() {
        let allowed: Vec<&str> = CALLS.split(' ').chain(CALLS_32.split(' ')).collect();
        for call in [
            "bpf",
            "clone",
            "clone3",
            "fsopen",
            "io_uring_setup",
            "kexec_load",
            "keyctl",
            "mount",
            "open_by_handle_at",
            "open_tree",
            "perf_event_open",
            "pivot_root",
            "setns",
            "socket",
            "socketcall",
            "unshare",
            "userfaultfd",
        ] {
            assert!(!allowed.contains(&call), "{call}");
        }
        assert!(!FAMILIES.contains(&40), "AF_VSOCK");
    }

    #[test]
    fn the_option_is_a_document_that_an_engine_reads() {
        let option = of((20, 10)).unwrap();
        let text = option.strip_prefix("seccomp=").unwrap();
        let document: Value = serde_json::from_str(text).unwrap();
        assert_eq!(document["defaultAction"], "SCMP_ACT_ERRNO");
    }
}
