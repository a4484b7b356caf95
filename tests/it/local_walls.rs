//! What is closed inside a sandbox without an engine, tried from inside: the list of attempts is that
//! of the other runtimes.

use std::net::{SocketAddr, TcpListener};

use serde_json::json;

use crate::docker::{NO_NAMES, own_addresses};
use crate::support::local::each;
use crate::support::probe::{VARIABLES, WHATEVER_SPEAKS, all, attempt, variables};
use crate::support::{Ran, require};

/// BOX-011, PIV-012.
#[test]
fn the_sandbox_has_no_capability_no_new_privileges_and_no_odd_socket() {
    each(NO_NAMES, |bench| {
        let mut shell = bench.shell(&[]);
        let status = shell.ask("cat /proc/self/status");
        let field = |name: &str| {
            let line = status
                .lines()
                .find(|line| line.starts_with(&format!("{name}:")));
            line.and_then(|line| line.split_whitespace().nth(1))
                .unwrap_or_default()
                .to_owned()
        };
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(field(set), "0000000000000000", "BOX-011: {set}");
        }
        assert_eq!(
            (field("NoNewPrivs").as_str(), field("Seccomp").as_str()),
            ("1", "2")
        );
        let (v4, v6, datagram, raw) = (2, 10, 2, 3);
        let sockets = [
            ("PIV-012: ICMP, raw", "kind", json!([v4, raw, 1])),
            ("raw IP", "kind", json!([v4, raw, 255])),
            ("raw IPv6", "kind", json!([v6, raw, 58])),
            ("packets", "kind", json!([17, raw, 0x0300])),
            ("the machine below", "kind", json!([40, 1, 0])),
            ("the kernel's ciphers", "kind", json!([38, 5, 0])),
            ("keys", "kind", json!([15, raw, 2])),
            ("the audit system", "kind", json!([16, raw, 9])),
            ("packet filters", "kind", json!([16, raw, 12])),
        ];
        let sockets = attempt(bench.project(), &mut shell, &sockets);
        all(&sockets, &["EPERM", "EACCES", "EAFNOSUPPORT"]);
        let open = [
            ("links, for name resolution", "kind", json!([16, raw, 0])),
            ("TCP", "kind", json!([v4, 1, 0])),
            ("UDP", "kind", json!([v4, datagram, 0])),
            ("Unix", "kind", json!([1, 1, 0])),
        ];
        all(&attempt(bench.project(), &mut shell, &open), &["opened"]);
        let ping = [("ping", "kind", json!([v4, datagram, 1]))];
        all(&attempt(bench.project(), &mut shell, &ping), &["EACCES"]);
        assert_eq!(shell.end().0, Some(0));
    });
}

/// Calls by their numbers on this machine: what comes of each with arguments that mean something.
#[cfg(target_arch = "x86_64")]
#[test]
fn calls_that_escapes_are_made_of_are_refused() {
    each(NO_NAMES, |bench| {
        let mut shell = bench.shell(&[]);
        let refused = [
            ("a user namespace", "call", json!([272, 0x1000_0000])),
            ("a network namespace", "call", json!([272, 0x4000_0000])),
            ("a mount namespace", "call", json!([272, 0x0002_0000])),
            ("a time namespace", "call", json!([272, 0x80])),
            (
                "clone with a user namespace",
                "call",
                json!([56, 0x1000_0011]),
            ),
            ("to join a namespace", "call", json!([308, 0, 0])),
            ("mount", "mount", json!([])),
            ("umount", "call", json!([166, 0, 2])),
            ("pivot_root", "call", json!([155, 0, 0])),
            ("chroot", "call", json!([161, 0])),
            ("open_tree", "call", json!([428, -100, 0, 1])),
            ("fsopen", "call", json!([430, 0, 0])),
            ("mount_setattr", "call", json!([442, -100, 0, 0, 0, 0])),
            ("open_tree_attr", "call", json!([467, -100, 0, 0, 0, 0])),
            ("io_uring", "call", json!([425, 1, 0])),
            ("keyctl", "call", json!([250, 0, -3, 0])),
            ("add_key", "call", json!([248, 0, 0, 0, 0, -3])),
            ("ptrace", "call", json!([101, 0, 0, 0, 0])),
            ("process_vm_readv", "call", json!([310, 1, 0, 0, 0, 0, 0])),
            ("pidfd_getfd", "call", json!([438, 0, 0, 0])),
            ("bpf", "call", json!([321, 0, 0, 0])),
            ("perf_event_open", "call", json!([298, 0, 0, -1, -1, 0])),
            ("userfaultfd", "call", json!([323, 1])),
            ("name_to_handle_at", "call", json!([303, -100, 0, 0, 0, 0])),
            ("open_by_handle_at", "call", json!([304, -100, 0, 0])),
            ("TIOCSTI", "call", json!([16, 0, 0x5412, 0])),
            (
                "TIOCSTI, with more bits",
                "call",
                json!([16, 0, 0x1_0000_5412_i64, 0]),
            ),
            ("TIOCLINUX", "call", json!([16, 0, 0x541c, 0])),
            ("the kernel's log", "call", json!([103, 3, 0, 0])),
        ];
        all(&attempt(bench.project(), &mut shell, &refused), &["EPERM"]);
        let unknown = [
            ("clone3", "call", json!([435, 0, 0])),
            ("a call of tomorrow", "call", json!([600, 0])),
            (
                "a call by its x32 number",
                "call",
                json!([0x4000_0000 + 165, 0, 0]),
            ),
        ];
        all(&attempt(bench.project(), &mut shell, &unknown), &["ENOSYS"]);
        assert_eq!(shell.end().0, Some(0));
    });
}

#[test]
fn namespaces_are_for_those_who_were_given_them() {
    if !require("unshare") {
        return;
    }
    each(NO_NAMES, |bench| {
        let script = "unshare --user --map-root-user --mount --pid --fork sh -c \
                      'mount -t tmpfs none /mnt && mkdir /mnt/x && echo mounted'; \
                      grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status";
        let closed = bench.run(&[], script);
        assert!(
            closed.stderr.contains("Operation not permitted"),
            "{closed:?}"
        );
        let given = bench.run(&["--allow-userns"], &script.replace("/mnt", "/tmp"));
        // Root without CAP_SETFCAP makes user namespaces that it is nobody in (user_namespaces(7)).
        let mounted = if bench.is_root() { "" } else { "mounted\n" };
        assert_eq!(
            given.stdout,
            format!("{mounted}CapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n"),
            "{given:?}"
        );
        // What the sandbox was covered with stays covered in there.
        let uncovering = "unshare --user --map-root-user --mount sh -c \
                          'umount /proc/sys; umount -l /proc; mount -o remount,rw /usr; \
                          mount -t proc none /proc; touch /usr/x' 2>/dev/null && echo opened";
        let ran = bench.run(&["--allow-userns"], uncovering);
        assert_eq!(ran.stdout, "", "{ran:?}");
        bench.is_clean();
    });
}

/// BOX-012, UDS-002.
#[test]
fn the_sandbox_sees_no_socket_of_the_host_no_key_and_no_variable_that_nobody_named() {
    each(NO_NAMES, |bench| {
        let mut vibepit = bench.vibepit(&[]);
        vibepit
            .env("AWS_SECRET_ACCESS_KEY", "s3cret")
            .env("SSH_AUTH_SOCK", "/tmp/agent")
            .env("HTTPS_PROXY", "http://user:s3cret@proxy.example:8080")
            .args(["--", "sh"]);
        let mut shell = crate::support::Shell::spawn(&mut vibepit);
        let environment = shell.ask("tr '\\0' '\\n' < /proc/$$/environ");
        assert_eq!(variables(&environment), VARIABLES, "BOX-012");
        assert!(!environment.contains("s3cret"));

        let sockets = shell.ask(WHATEVER_SPEAKS);
        assert_eq!(sockets, "", "UDS-002: no socket at all");
        let abstract_ones = shell.ask("awk 'NR > 1 && NF > 7' /proc/net/unix");
        assert_eq!(abstract_ones, "", "not even an abstract one");
        for hidden in [
            bench.home.runtime(),
            bench.home.state(),
            bench.home.config(),
        ] {
            let seen = shell.ask(&format!("ls -A {} 2>/dev/null; true", hidden.display()));
            assert_eq!(seen, "", "{}", hidden.display());
        }
        // Neither the machine's processes nor its accounts' secrets, nor what init has.
        assert_eq!(
            shell.ask(
                "set -- /proc/[0-9]*; echo $#; ls /etc/shadow /root /sys /boot 2>/dev/null; true"
            ),
            // Its first one, and the shell, which starts none to count them.
            "2\n",
        );
        assert_eq!(
            shell.ask(
                "cat /proc/1/environ /proc/1/maps /proc/1/fd/* 2>/dev/null; readlink /proc/1/fd/* \
                 /proc/1/exe; ls /proc/1/root/ 2>/dev/null; true"
            ),
            ""
        );
        assert_eq!(shell.end().0, Some(0));
    });
}

#[test]
fn only_the_project_the_home_and_scratch_places_take_anything() {
    each(NO_NAMES, |bench| {
        let mut shell = bench.shell(&[]);
        let closed = shell.ask(
            "for d in / /usr /etc /opt /usr/bin /sbin /dev /home /var /run/vibepit; do \
             touch $d/x 2>/dev/null && echo $d; done; \
             for f in /etc/passwd /etc/resolv.conf /etc/hosts /run/vibepit/vibepit \
             /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches /proc/sysrq-trigger; do \
             ( : >> $f ) 2>/dev/null && echo $f; done; true",
        );
        assert_eq!(closed, "");
        let open = shell.ask(
            "for d in . ~ /tmp /var/tmp /run /dev/shm; do touch $d/x && mkdir $d/y && mv $d/x $d/y/x \
             || echo $d; done",
        );
        assert_eq!(open, "");
        // A file of the project cannot be made a device, nor be run as another user.
        let odd = shell.ask("mknod null c 1 3 2>/dev/null && echo device; cp /bin/sh sh; chmod u+s sh; ./sh -c 'id -u'");
        assert_eq!(odd, format!("{}\n", bench.uid()));
        // Whoever crashes leaves nothing on the host.
        assert_eq!(shell.ask("/usr/bin/python3 -c 'import resource; print(resource.getrlimit(resource.RLIMIT_CORE))'"), "(1, 1)\n");
        assert_eq!(shell.end().0, Some(0));
    });
}

/// CTL-010, CTL-012, CTL-013, CTL-002, CTL-003, PIV-010, PIV-014, PIV-015, DNS-027, DNS-030,
/// IP6-034, BOX-007.
#[test]
fn the_sandbox_reaches_its_proxys_doors_and_no_other_address() {
    each(NO_NAMES, |bench| {
        let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let mut shell = bench.shell(&[]);
        let interfaces = shell.ask("tail -n +3 /proc/net/dev | cut -d : -f 1 | tr -d ' '");
        assert_eq!(interfaces, "lo\n", "BOX-007");
        let mut attempts = vec![
            ("PIV-014: outside", "tcp", json!(["198.51.100.7", 443])),
            (
                "PIV-015: outside, by UDP",
                "udp",
                json!(["198.51.100.7", 123]),
            ),
            ("DNS-027: DNS outside", "tcp", json!(["198.51.100.7", 853])),
            ("DNS-030: mDNS", "udp", json!(["224.0.0.251", 5353])),
            ("cloud metadata", "tcp", json!(["169.254.169.254", 80])),
        ];
        for (_, ip) in own_addresses() {
            if ip.is_ipv4() && !ip.is_loopback() {
                attempts.push(("this machine", "tcp", json!([ip, port])));
                attempts.push(("CTL-010: the engine", "tcp", json!([ip, 2375])));
            }
        }
        let outcomes = attempt(bench.project(), &mut shell, &attempts);
        all(&outcomes, &["ENETUNREACH"]);

        let door = &bench.sessions()[0]["proxy"]["http"];
        let door: SocketAddr = serde_json::from_value(door.clone()).expect("the HTTP door");
        let doors = [
            ("http", "tcp", json!([door.ip(), door.port()])),
            ("dns", "tcp", json!([door.ip(), 53])),
            ("socks5", "tcp", json!([door.ip(), 1080])),
            ("plain", "tcp", json!([door.ip(), 80])),
            ("tls", "tcp", json!([door.ip(), 443])),
        ];
        all(
            &attempt(bench.project(), &mut shell, &doors),
            &["connected"],
        );
        let control = bench.sessions()[0]["control"]["tcp"].clone();
        let control: SocketAddr = serde_json::from_value(control).expect("the control port");
        let mut attempts = Vec::new();
        for port in [control.port(), 3129, 22, 2375, port] {
            attempts.push(("a port of the proxy", "tcp", json!([door.ip(), port])));
            attempts.push(("a port of the loopback", "tcp", json!(["127.0.0.1", port])));
        }
        let outcomes = attempt(bench.project(), &mut shell, &attempts);
        all(&outcomes, &["ECONNREFUSED"]);
        let v6 = [
            ("IP6-034", "tcp", json!(["2001:db8::1", 443])),
            ("the loopback", "tcp", json!(["::1", 53])),
        ];
        let outcomes = attempt(bench.project(), &mut shell, &v6);
        all(&outcomes, &["ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT"]);
        listener.set_nonblocking(true).expect("a mode");
        assert!(listener.accept().is_err(), "somebody connected");
        // A server of the sandbox's own, on a low port.
        let served = shell.ask(
            "/usr/bin/python3 -m http.server 80 --bind 127.0.0.1 >/dev/null 2>&1 & \
             until curl -sS --noproxy '*' -o /dev/null http://127.0.0.1/ 2>/dev/null; do :; done; \
             kill $!; echo served",
        );
        assert_eq!(served, "served\n");
        assert_eq!(shell.end().0, Some(0));
        bench.is_clean();
    });
}

#[test]
fn where_the_kernel_forbids_it_the_setting_is_named_and_nothing_is_started() {
    if !require("unshare") {
        return;
    }
    each(NO_NAMES, |bench| {
        let script = format!(
            "echo 0 > /proc/sys/user/max_user_namespaces && exec {} run --runtime local -- echo ran",
            crate::support::binary().display()
        );
        let mut forbidding = bench.command("unshare");
        forbidding.args(["--user", "--map-root-user", "sh", "-c", &script]);
        let ran = Ran::of(&mut forbidding);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
        for part in [
            "user.max_user_namespaces",
            "/proc/sys/user/max_user_namespaces",
            "sysctl -w",
            "--runtime docker",
        ] {
            assert!(ran.stderr.contains(part), "{ran:?}");
        }
        bench.is_clean();
    });
}
