//! What the proxy lets through, read by another parser: llhttp, which Node brings along. Bytes that
//! are made of the table's rows go to both; what then reaches an origin is what llhttp read, and a
//! target is for the host that Node's URL names.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::{
    Home, Message, Origin, Proxy, Resolver, Running, Says, Wire, own_loopback, require, unescaped,
};

use super::bench::POLICY;
use super::rows;

/// Whole messages beside the table's: every framing, one behind the other.
const WHOLE: [&str; 8] = [
    "GET http://allowed.example/a?b=c HTTP/1.1\\r\\nHost: allowed.example\\r\\n\\r\\n",
    "GET http://allowed.example HTTP/1.0\\r\\n\\r\\n",
    "OPTIONS http://allowed.example HTTP/1.1\\r\\nHost: allowed.example\\r\\n\\r\\n",
    "POST http://allowed.example/ HTTP/1.1\\r\\nHost: allowed.example\\r\\nContent-Length: 5\\r\\n\\r\\nhello",
    "POST http://allowed.example/ HTTP/1.1\\r\\nHost: allowed.example\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n5\\r\\nhello\\r\\n0\\r\\n\\r\\n",
    "POST http://allowed.example/ HTTP/1.1\\r\\nHost: allowed.example\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n2;x=y\\r\\nhe\\r\\n00\\r\\nT: v\\r\\n\\r\\n",
    "GET http://allowed.example:80/?x HTTP/1.1\\r\\nHost: denied.example\\r\\nConnection: close\\r\\n\\r\\n",
    "PUT http://ALLOWED.example./x HTTP/1.1\\r\\nHost: allowed.example\\r\\nExpect: 100-continue\\r\\nContent-Length: 2\\r\\n\\r\\nok",
];

/// What is put into them.
const PARTS: [&str; 28] = [
    "\\r",
    "\\n",
    "\\r\\n",
    "\\r\\n\\r\\n",
    "\\0",
    " ",
    "\\t",
    "\\x0b",
    ":",
    ",",
    ";",
    "@",
    "\\\\",
    "#",
    "/",
    "?",
    "%00",
    "\\x80",
    "0",
    "5",
    "f",
    "-1",
    "0x",
    "attacker.example",
    "\\r\\nHost: attacker.example",
    "\\r\\nContent-Length: 3",
    "\\r\\nTransfer-Encoding: chunked",
    "\\r\\n0\\r\\n\\r\\nGET http://attacker.example/ HTTP/1.1\\r\\n\\r\\n",
];

/// Says the methods that it knows, and reads lines of hexadecimal digits. It answers each with a line:
/// the messages that are there, one that is not whole, and why it read no further.
const READER: &str = r#"
const { HTTPParser, methods, allMethods } = process.binding('http_parser');
const names = allMethods ?? methods;
console.log(JSON.stringify(names));
const read = bytes => {
  const messages = [], parser = new HTTPParser();
  parser.initialize(HTTPParser.REQUEST, {});
  let now, target = '';
  parser[HTTPParser.kOnHeaders | 0] = (fields, url) => { target += url; };
  parser[HTTPParser.kOnHeadersComplete | 0] = (major, minor, fields, method, url) => {
    target += url ?? '';
    now = { method: names[method], target, body: '' };
    target = '';
    const whole = now.method === 'CONNECT' ? `http://${now.target}/` : now.target;
    try {
      const url = new URL(whole);
      now.host = url.hostname;
      now.port = url.port || '80';
    } catch { now.host = null; }
    return 0;
  };
  parser[HTTPParser.kOnBody | 0] = part => { now.body += Buffer.from(part).toString('hex'); };
  parser[HTTPParser.kOnMessageComplete | 0] = () => { messages.push(now); target = ''; };
  const said = parser.execute(bytes);
  const begun = now && !messages.includes(now) ? now : undefined;
  return { messages, begun, error: said.code, why: said.reason, at: said.bytesParsed };
};
require('readline').createInterface({ input: process.stdin })
  .on('line', line => console.log(JSON.stringify(read(Buffer.from(line, 'hex')))));
"#;

/// One of the seeds, or two of them one behind the other, with a few changes.
fn sent(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<Index>(), 0..4_usize, select(&PARTS[..]));
    let base = vec(select(seeds), 1..3).prop_map(|parts| parts.concat());
    (base, vec(change, 0..4)).prop_map(|(mut bytes, changes)| {
        for (at, taken, put) in changes {
            let at = at.index(bytes.len() + 1);
            let end = (at + taken).min(bytes.len());
            bytes.splice(at..end, unescaped(put));
        }
        bytes
    })
}

/// The path and query of a target in absolute form, as they go on.
fn path(message: &Value) -> String {
    let target = message["target"].as_str().unwrap_or_default();
    let behind = target.split_once("://").map_or(target, |(_, rest)| rest);
    let at = behind.find(['/', '?']).unwrap_or(behind.len());
    match &behind[at..] {
        "" if message["method"] == "OPTIONS" => "*".to_owned(),
        rest if rest.starts_with('/') => rest.to_owned(),
        rest => format!("/{rest}"),
    }
}

/// Whether a host of a URL is the one that was judged. Of an address there are several spellings.
fn same_host(url: &str, judged: &str) -> bool {
    let host = url.trim_start_matches('[').trim_end_matches(']');
    match (host.parse::<IpAddr>(), judged.parse::<IpAddr>()) {
        (Ok(host), Ok(judged)) => host == judged,
        _ => host.strip_suffix('.').unwrap_or(host) == judged,
    }
}

/// Whether a request that an origin got is one that llhttp read.
fn is_the_one(got: &Message, read: &Value) -> bool {
    let body: String = got.body.iter().map(|byte| format!("{byte:02x}")).collect();
    let host = read["host"].as_str().unwrap_or_default();
    let named = got.field("host").unwrap_or_default();
    let named = match read["port"].as_str() {
        Some("80") => Some(named),
        port => named
            .strip_suffix(port.unwrap_or_default())
            .and_then(|named| named.strip_suffix(':')),
    };
    let line = format!(
        "{} {} HTTP/1.1",
        read["method"].as_str().unwrap_or_default(),
        path(read)
    );
    got.start == line
        && named.is_some_and(|named| same_host(host, named))
        && read["body"] == json!(body)
}

/// Requests, and how many connections have ended.
type Book = (Mutex<(Vec<Message>, usize)>, Condvar);

/// Both readers: a proxy with origins behind it, and a process that is asked line by line.
struct Readers {
    proxy: Proxy,
    /// At the ports of the web.
    origins: [Origin; 2],
    /// What came to them.
    got: Arc<Book>,
    node: RefCell<Running>,
    /// The methods that llhttp knows. Those of RFC 9110 are no closed list, and it reads no further
    /// where it comes upon another one.
    methods: Vec<String>,
    through: Cell<usize>,
    refused: Cell<usize>,
    _resolver: Resolver,
}

impl Readers {
    fn new() -> Self {
        let home = Home::new();
        let mut command = home.command("node");
        let mut node = Running::spawn(command.args(["--no-deprecation", "-e", READER]));
        let methods = serde_json::from_str(&node.line()).expect("JSON");
        let got = Arc::new((Mutex::default(), Condvar::new()));
        let here = own_loopback();
        let origins = [80, 443].map(|port| {
            let got = Arc::clone(&got);
            Origin::serving_at((here, port).into(), move |wire| serve(wire, &got))
        });
        let resolver = Resolver::otherwise(Says::addresses([here]));
        let opened = "allow_cidr = [\"127.0.0.0/8\"]\n";
        let config = format!("{POLICY}{opened}{}", resolver.config());
        Self {
            proxy: Proxy::start(config),
            origins,
            got,
            node: node.into(),
            methods,
            through: Cell::default(),
            refused: Cell::default(),
            _resolver: resolver,
        }
    }

    /// What llhttp says.
    fn reads(&self, bytes: &[u8]) -> Value {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut node = self.node.borrow_mut();
        node.tell(&digits);
        serde_json::from_str(&node.line()).expect("JSON")
    }

    /// What comes to the origins when the proxy is sent this, once all connections have ended.
    fn receive(&self, bytes: &[u8]) -> Vec<Message> {
        let mut wire = self.proxy.client();
        // It may be cut before all of it is sent.
        let _ = wire.try_send(bytes).and_then(|()| wire.try_end_writing());
        wire.to_end();
        self.proxy.settles();
        let begun: usize = self.origins.iter().map(Origin::connections).sum();
        let (book, changed) = &*self.got;
        let book = book.lock().expect("a lock");
        let mut book = changed
            .wait_while(book, |(_, ended)| *ended < begun)
            .expect("a lock");
        std::mem::take(&mut book.0)
    }

    /// Whether llhttp read no further because of a method that it does not know: the line there is a
    /// request's all the same.
    fn stopped_at_an_unknown_method(&self, bytes: &[u8], read: &Value) -> bool {
        let at = read["at"].as_u64().and_then(|at| usize::try_from(at).ok());
        let Some(at) = at.filter(|_| read["error"] == "HPE_INVALID_METHOD") else {
            return false;
        };
        let begin = bytes[..at].iter().rposition(|byte| *byte == b'\n');
        let line = String::from_utf8_lossy(&bytes[begin.map_or(0, |end| end + 1)..]);
        let (method, rest) = line.split_once(' ').unwrap_or_default();
        let is_known = self.methods.iter().any(|known| known == method);
        !is_known && rest.to_ascii_lowercase().starts_with("http://")
    }

    /// Sends bytes to both.
    fn agree(&self, bytes: &[u8]) -> Result<(), TestCaseError> {
        let read = self.reads(bytes);
        let logged = self.proxy.logged();
        let got = self.receive(bytes);
        let shown = || format!("{}: {read}", bytes.escape_ascii());
        let messages = read["messages"].as_array().expect("a list");
        let unheard = self.stopped_at_an_unknown_method(bytes, &read);
        // Nor what the grammar has for the extensions of chunks: the proxy sends none of them on.
        let why = read["why"].as_str().unwrap_or_default();
        let extension = why.starts_with("Invalid character in chunk extensions");
        let mut unseen = messages.iter();
        // What is in a tunnel llhttp does not look at, and the proxy does.
        let tunnel = messages
            .iter()
            .any(|message| message["method"] == "CONNECT");
        for request in &got {
            // In order, none twice: what one of them takes for a content is none to the other.
            // One that is not whole there has trailers that llhttp refuses; they are not sent on.
            let found = unseen.any(|message| is_the_one(request, message))
                || read
                    .get("begun")
                    .is_some_and(|message| is_the_one(request, message));
            if !found && (tunnel || unheard || extension) {
                break;
            }
            prop_assert!(found, "{:?} of {}", request, shown());
            self.through.set(self.through.get() + 1);
        }
        for entry in self.proxy.logs(logged) {
            if entry["reason"] == "malformed" {
                self.refused.set(self.refused.get() + 1);
            }
            if unheard || extension || entry["reason"] == "malformed" {
                continue;
            }
            // Of a content that is cut short the head is judged all the same.
            let mut heads = messages.iter().chain(read.get("begun"));
            let named = heads.any(|message| is_the_target(&entry, message));
            prop_assert!(named, "{} of {}", entry, shown());
        }
        Ok(())
    }
}

/// Takes a request, and answers it: one a connection.
fn serve(mut wire: Wire, (book, changed): &Book) {
    // What a tunnel carries need not be HTTP; what is sent on is.
    let read = panic::catch_unwind(AssertUnwindSafe(|| wire.try_request()));
    let request = read.unwrap_or_else(|_| Some(Message::default()));
    if request.is_some() {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        // Whoever asked may have gone.
        let _ = wire.try_send(answer);
    }
    let mut book = book.lock().expect("a lock");
    book.0.extend(request);
    book.1 += 1;
    changed.notify_all();
}

/// Whether an entry of the log is about a message's target.
fn is_the_target(entry: &Value, message: &Value) -> bool {
    let judged = entry["domain"].as_str().unwrap_or_default();
    let host = message["host"].as_str();
    host.is_some_and(|host| same_host(host, judged))
        && message["port"] == json!(entry["port"].to_string())
}

#[test]
fn what_reaches_an_origin_is_what_llhttp_reads_too() {
    if !(require("node") && require("low-ports")) {
        return;
    }
    let table = rows().into_iter();
    let table = table.filter(|row| row.vector.starts_with("HTTP "));
    let mut seeds: Vec<_> = table.map(|row| unescaped(&row.input)).collect();
    // As many of each, so that what is let through is not rare.
    let whole: Vec<_> = WHOLE.iter().map(|text| unescaped(text)).collect();
    seeds.extend(whole.iter().cycle().take(seeds.len()).cloned());
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let readers = Readers::new();
    let held = TestRunner::new(config).run(&sent(seeds), |bytes| readers.agree(&bytes));
    held.unwrap_or_else(|error| panic!("{error}"));
    let (through, refused) = (readers.through.get(), readers.refused.get());
    assert!(
        through > 0 && refused > 0,
        "{through} came through, {refused} were refused"
    );
    // For whoever runs more of them by hand.
    #[expect(clippy::print_stderr)]
    {
        eprintln!("{through} requests came through, {refused} were refused as malformed");
    }
}
