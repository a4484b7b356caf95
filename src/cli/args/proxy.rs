//! A proxy without a sandbox, and what launchers start.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::AskArgs;
use super::start::PresetArgs;

#[derive(Debug, Args)]
pub(in crate::cli) struct ProxyArgs {
    /// Where the HTTP proxy listens.
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:3128",
        conflicts_with = "stdin"
    )]
    pub(in crate::cli) http: SocketAddr,
    /// Where the SOCKS5 proxy listens. Without it there is none.
    #[arg(long, value_name = "ADDR", conflicts_with = "stdin")]
    pub(in crate::cli) socks5: Option<SocketAddr>,
    /// Where the name server listens, over UDP and TCP. Without it there is none.
    ///
    /// It answers with its own address: programs that know no proxy then arrive at --plain and --tls,
    /// if those listen on ports 80 and 443 of it.
    #[arg(long, value_name = "ADDR", conflicts_with = "stdin")]
    pub(in crate::cli) dns: Option<SocketAddr>,
    /// Where plain HTTP of programs that know no proxy arrives; the Host field names the target.
    #[arg(long, value_name = "ADDR", conflicts_with = "stdin")]
    pub(in crate::cli) plain: Option<SocketAddr>,
    /// Where TLS of programs that know no proxy arrives; the SNI names the target.
    #[arg(long, value_name = "ADDR", conflicts_with = "stdin")]
    pub(in crate::cli) tls: Option<SocketAddr>,
    /// Where programs that know no proxy arrive at host.vibepit: for the host's port of the same
    /// number, if it is in allow_host_ports. May be given several times.
    #[arg(long, value_name = "ADDR", conflicts_with = "stdin")]
    pub(in crate::cli) host: Vec<SocketAddr>,
    /// A further control socket, beside the one in the session's directory.
    #[arg(long, value_name = "PATH", conflicts_with = "stdin")]
    pub(in crate::cli) control: Option<PathBuf>,
    /// Where the mTLS control port listens.
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:0",
        conflicts_with = "stdin"
    )]
    pub(in crate::cli) tcp: SocketAddr,
    /// The configuration, in the place of the person's own.
    #[arg(long, value_name = "FILE", conflicts_with = "stdin")]
    pub(in crate::cli) config: Option<PathBuf>,
    /// Allow this entry for as long as the proxy runs.
    #[arg(long, value_name = "ENTRY", conflicts_with = "stdin")]
    pub(in crate::cli) allow: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) presets: PresetArgs,
    #[command(flatten)]
    pub(in crate::cli) asking: AskArgs,

    /// The session's name; without one, `proxy`.
    #[arg(long, value_name = "NAME", conflicts_with = "stdin")]
    pub(in crate::cli) name: Option<String>,
    /// Read the document that starts the proxy from standard input: how a launcher starts it.
    #[arg(long)]
    pub(in crate::cli) stdin: bool,

    /// Only open the doors, and hand them to the proxy that connects to this socket: how a
    /// launcher puts them where the sandbox is.
    #[arg(
        long,
        value_name = "PATH",
        conflicts_with_all = ["stdin", "control", "config", "allow", "name"]
    )]
    pub(in crate::cli) hand_over: Option<PathBuf>,
    /// Carry one connection between standard input and output and this address: how a launcher on
    /// another machine reaches the control port.
    #[arg(long, value_name = "ADDR", hide = true, conflicts_with_all = ["stdin", "hand_over"])]
    pub(in crate::cli) relay: Option<SocketAddr>,
    /// With --hand-over: end when the launcher has said nothing for so many seconds.
    #[arg(long, value_name = "SECONDS", hide = true, requires = "hand_over")]
    pub(in crate::cli) patience: Option<u16>,
}
