//! What contrib has for others to take: an image, a compose file and a dev container, which say what
//! this binary understands.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::docker::NO_NAMES;
use crate::docker_images::Busybox;
use crate::support::{
    Bench, Home, Ran, Running, announced, closed_port, engine, own_loopback, require,
};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("contrib")
        .join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn an_image_is_built_by_the_engine_and_a_sandbox_runs_in_it() {
    if !require("docker") {
        return;
    }
    let Some(base) = Busybox::import() else {
        return assert!(!require("busybox"), "busybox is not static");
    };
    let bench = Bench::new(NO_NAMES);
    let agents = bench.home.config().join("vibepit/agents");
    fs::create_dir_all(&agents).expect("a directory");
    let agent = "description = \"x\"\ncommand = [\"echo\"]\n\
                 install = \"/bin/busybox ln -s busybox /bin/echo\"\n";
    fs::write(agents.join("tool.toml"), agent).expect("an agent");
    let tag = format!("vibepit-it-built-{}:1", std::process::id());
    let base = format!("BASE={}", base.0);
    let build = [
        "image",
        "build",
        "--agent",
        "tool",
        "--tag",
        &tag,
        "--build-arg",
        &base,
        "--build-arg",
        "PACKAGES=",
    ];
    let ran = bench.cli(&build);
    assert_eq!((ran.code, ran.stdout.trim()), (Some(0), &*tag), "{ran:?}");
    assert!(
        ran.stderr.contains("FROM"),
        "the engine's steps are shown: {ran:?}"
    );
    let ran = Ran::of(
        bench
            .vibepit()
            .args(["tool", "--image", &tag, "--", "built"]),
    );
    assert_eq!(ran.stdout, "built\n", "{ran:?}");
    engine::call("DELETE", &format!("/images/{tag}?force=1"), b"");
}

#[test]
fn a_base_that_is_not_to_be_had_is_told_with_what_to_do() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let base = format!("127.0.0.1:{}/nothing:1", closed_port());
    let argument = format!("BASE={base}");
    let ran = bench.cli(&[
        "image",
        "build",
        "--tag",
        "vibepit-it-none:1",
        "--build-arg",
        &argument,
    ]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let lines: Vec<&str> = ran.stderr.lines().collect();
    let error = lines.iter().find(|line| line.starts_with("error: "));
    assert!(
        error.is_some_and(|line| line.contains("vibepit-it-none:1")),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("--build-arg BASE=IMAGE"), "{ran:?}");
    for bad in ["NAME", "A B=c", "=x"] {
        let ran = bench.cli(&["image", "build", "--build-arg", bad]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
    }
}

/// The options of the compose file's proxy. The list is JSON as well as YAML.
fn options() -> Vec<String> {
    let file = read("compose/compose.yaml");
    let line = file
        .lines()
        .find_map(|line| line.trim().strip_prefix("command: [\"proxy\","))
        .expect("the proxy's command");
    serde_json::from_str(&format!("[{line}")).expect("a list")
}

#[test]
fn the_compose_file_starts_a_proxy_that_this_binary_is() {
    if !require("low-ports") {
        return;
    }
    let home = Home::new();
    let address = own_loopback().to_string();
    let config = home.write_config(&format!("{}{NO_NAMES}", read("compose/vibepit.toml")));
    let options: Vec<String> = options()
        .into_iter()
        .map(|option| option.replace("172.30.9.2", &address))
        .map(|option| match option.as_str() {
            "/etc/vibepit.toml" => config.display().to_string(),
            _ => option,
        })
        .collect();
    let mut proxy = Running::spawn(home.vibepit().arg("proxy").args(&options));
    proxy.warns(|line| announced(line).is_some());
    let listed = home.cli(&["sessions", "--json"]).ok();
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let session = &listed["sessions"][0];
    assert_eq!(session["name"], "compose", "{listed}");
    assert_eq!(session["proxy"]["http"], format!("{address}:3128"));
    assert_eq!(session["proxy"]["socks5"], format!("{address}:1080"));
    assert_eq!(session["proxy"]["dns"], format!("{address}:53"));
    proxy.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(proxy.wait().success());
}

#[test]
fn the_service_has_one_network_and_that_one_leads_nowhere() {
    if !require("pyyaml") {
        return;
    }
    let home = Home::new();
    let script = "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/compose/compose.yaml");
    let mut python = home.command("python3");
    let ran = Ran::of(python.args(["-c", script]).arg(&file));
    let compose: Value = serde_json::from_str(&ran.ok()).expect("JSON");
    let networks = compose["services"]["agent"]["networks"].as_object();
    let names: Vec<_> = networks.expect("networks").keys().collect();
    assert_eq!(names, ["inside"]);
    let inside = &compose["networks"]["inside"];
    assert_eq!(inside["internal"], true);
    let host = &inside["driver_opts"]["com.docker.network.bridge.inhibit_ipv4"];
    assert_eq!(host, "true");

    let container: Value =
        serde_json::from_str(&read("devcontainer/devcontainer.json")).expect("JSON");
    let service = container["service"].as_str().expect("a service");
    assert!(compose["services"][service].is_object());
    let compose = container["dockerComposeFile"][0].as_str().expect("a file");
    assert!(
        file.with_file_name("..")
            .join("devcontainer")
            .join(compose)
            .is_file()
    );
}
