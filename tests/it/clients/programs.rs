//! Programs as people write them, with what a language brings along, or next to nothing; and a
//! browser.

use crate::support::Ran;

use super::{Client, THING, typed};

/// Node's own fetch.
pub(super) const FETCH: Client = Client {
    program: "node",
    stock: |asked| (asked.path == "/thing").then(|| typed("text/html", THING.as_bytes())),
    command: |site| {
        let mut node = site.program("node");
        node.args(["-e", FETCHING, &site.url("/thing")]);
        node.env("NODE_EXTRA_CA_CERTS", &site.authority);
        node
    },
    arrived: |_, ran| ran.stdout.trim_end() == THING,
};

const FETCHING: &str = "fetch(process.argv[1]).then(r => r.text()).then(console.log)";

/// Java's own HttpClient.
pub(super) const JAVA: Client = Client {
    program: "javac",
    stock: FETCH.stock,
    command: |site| {
        let program = site.write("Fetch.java", FETCH_JAVA);
        let mut trusting = site.outside("keytool");
        trusting.args(["-importcert", "-noprompt", "-alias", "store"]);
        trusting.args(["-storepass", "changeit", "-keystore", "trusted", "-file"]);
        Ran::of(trusting.arg(&site.authority)).ok();
        let mut java = site.program("java");
        let trusted = site.file("trusted");
        java.arg(format!("-Djavax.net.ssl.trustStore={}", trusted.display()));
        java.arg("-Djavax.net.ssl.trustStorePassword=changeit");
        java.arg(program).arg(site.url("/thing"));
        java
    },
    arrived: FETCH.arrived,
};

const FETCH_JAVA: &str = r#"
import java.net.URI;
import java.net.http.*;

class Fetch {
    public static void main(String[] arguments) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(arguments[0])).build();
        var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        System.out.println(answer.body());
    }
}
"#;

/// Python's asyncio, whose streams know of names and TLS and of no proxy.
pub(super) const ASYNCIO: Client = Client {
    program: "python3",
    stock: FETCH.stock,
    command: |site| {
        let mut python = site.program("python3");
        python.args(["-c", STREAMS, &site.host, site.scheme]);
        python.env("SSL_CERT_FILE", &site.authority);
        python
    },
    arrived: FETCH.arrived,
};

const STREAMS: &str = r#"
import asyncio, sys

async def fetch(host, scheme):
    port, ssl = {"http": (80, None), "https": (443, True)}[scheme]
    reader, writer = await asyncio.open_connection(host, port, ssl=ssl)
    writer.write(f"GET /thing HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    print((await reader.readexactly(length)).decode())

asyncio.run(fetch(*sys.argv[1:]))
"#;

/// A program in C that brings every library along.
pub(super) const STATIC_C: Client = Client {
    program: "gcc",
    stock: FETCH.stock,
    command: |site| {
        site.write("fetch.c", FETCH_C);
        let mut making = site.outside("gcc");
        Ran::of(making.args(["-static", "-w", "-o", "fetch", "fetch.c"])).ok();
        let mut fetch = site.program("./fetch");
        fetch.arg(&site.host);
        fetch
    },
    arrived: |_, ran| ran.stdout.ends_with(&format!("\r\n\r\n{THING}")),
};

const FETCH_C: &str = r#"
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int count, char **arguments) {
    struct addrinfo *found, hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM };
    if (getaddrinfo(arguments[1], "80", &hints, &found)) return 2;
    int connection = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
    if (connect(connection, found->ai_addr, found->ai_addrlen)) return 3;
    dprintf(connection, "GET /thing HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", arguments[1]);
    char part[4096];
    for (ssize_t length; (length = read(connection, part, sizeof part)) > 0;)
        fwrite(part, 1, length, stdout);
    return 0;
}
"#;

/// Chromium, without a window.
pub(super) const CHROMIUM: Client = Client {
    program: "chromium",
    stock: FETCH.stock,
    command: |site| {
        // What it trusts beside its own list it is told by the hash of a key, in base64.
        let mut hashing = site.outside("sh");
        hashing.args(["-c", KEY_HASH, "sh"]).arg(&site.authority);
        let hash = Ran::of(&mut hashing).ok();
        let mut chromium = site.program("chromium");
        // Its own sandbox wants namespaces, which a sandbox has not to give.
        chromium.args(["--headless=new", "--no-sandbox", "--disable-gpu"]);
        chromium.args(["--disable-dev-shm-usage", "--no-first-run"]);
        // Nothing of its own is fetched, and what is asked for in plain is not tried in TLS.
        chromium.args(["--disable-background-networking", "--disable-sync"]);
        chromium.args(["--disable-component-update", "--disable-default-apps"]);
        chromium.arg("--disable-features=HttpsUpgrades");
        let trusted = format!("--ignore-certificate-errors-spki-list={}", hash.trim_end());
        let profile = site.file("profile");
        chromium.arg(format!("--user-data-dir={}", profile.display()));
        chromium
            .arg(trusted)
            .arg("--dump-dom")
            .arg(site.url("/thing"));
        chromium
    },
    arrived: |_, ran| ran.stdout.contains(&format!("<body>{THING}</body>")),
};

const KEY_HASH: &str = "openssl x509 -in \"$1\" -pubkey -noout \
    | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | openssl base64";
