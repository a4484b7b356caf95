//! Where packages come from. Those of Rust, Python, Node and Debian are asked of the person's own
//! tools: there is no host of theirs here.

use super::{PLAIN, Preset, Tool, listed};

const GO: &str = "https://go.dev/ref/mod#environment-variables";
const RUBYGEMS: &str = "https://guides.rubygems.org/rubygems-org-compact-index-api/";
const MAVEN: &str = "https://maven.apache.org/guides/mini/guide-mirror-settings.html";
const GRADLE: &str = "https://docs.gradle.org/current/userguide/plugins.html";
const PACKAGIST: &str = "https://packagist.org/apidoc";
const HEX: &str = "https://hexdocs.pm/hex/Mix.Tasks.Hex.Config.html";
const JSR: &str = "https://jsr.io/docs/api";
const BREW: &str = "https://docs.brew.sh/Manpage#environment";
const NIX: &str = "https://nix.dev/manual/nix/latest/command-ref/conf-file";

pub(super) static PRESETS: &[Preset] = &[
    Preset {
        name: "cargo",
        description: "Rust's packages, from where your cargo has them",
        detected_by: &["Cargo.toml"],
        note: Some("what publishes crates may share a host with what is read"),
        tool: Some(Tool::Cargo),
        ..PLAIN
    },
    Preset {
        name: "pip",
        description: "Python's packages, from where your pip has them",
        detected_by: &[
            "pyproject.toml",
            "requirements.txt",
            "setup.py",
            "setup.cfg",
            "Pipfile",
            "uv.lock",
        ],
        note: Some("an index may link to files on another host, which pip does not know before"),
        tool: Some(Tool::Pip),
        ..PLAIN
    },
    Preset {
        name: "npm",
        description: "Node's packages, from where your npm has them",
        detected_by: &["package.json"],
        note: Some("reading and publishing share a host: keep the token out of the sandbox"),
        tool: Some(Tool::Npm),
        ..PLAIN
    },
    Preset {
        name: "apt",
        description: "Debian's packages, from where your apt has them",
        tool: Some(Tool::Apt),
        ..PLAIN
    },
    Preset {
        name: "go",
        description: "Go's modules and their checksums",
        entries: &[
            listed("proxy.golang.org:443", GO),
            listed("sum.golang.org:443", GO),
        ],
        detected_by: &["go.mod", "go.work"],
        note: Some("names of modules are told to both hosts; GOPRIVATE keeps yours from them"),
        ..PLAIN
    },
    Preset {
        name: "rubygems",
        description: "Ruby's gems",
        entries: &[
            listed("rubygems.org:443", RUBYGEMS),
            listed("index.rubygems.org:443", RUBYGEMS),
        ],
        detected_by: &["Gemfile", "*.gemspec"],
        note: Some("gems are pushed to rubygems.org, too"),
        ..PLAIN
    },
    Preset {
        name: "maven",
        description: "Java's packages at Maven Central",
        entries: &[
            listed("repo.maven.apache.org:443", MAVEN),
            listed("repo1.maven.org:443", MAVEN),
        ],
        detected_by: &["pom.xml"],
        ..PLAIN
    },
    Preset {
        name: "gradle",
        description: "Gradle, its plug-ins, and Maven Central",
        entries: &[
            listed("plugins.gradle.org:443", GRADLE),
            listed("plugins-artifacts.gradle.org:443", GRADLE),
            listed(
                "services.gradle.org:443",
                "https://docs.gradle.org/current/userguide/gradle_wrapper.html",
            ),
            listed(
                "downloads.gradle.org:443",
                "https://docs.gradle.org/current/userguide/gradle_wrapper.html",
            ),
        ],
        includes: &["maven"],
        detected_by: &[
            "build.gradle",
            "build.gradle.kts",
            "settings.gradle",
            "settings.gradle.kts",
        ],
        note: Some("gradle itself may come from GitHub's releases: the preset github"),
        ..PLAIN
    },
    Preset {
        name: "composer",
        description: "PHP's packages, and GitHub, where their archives lie",
        entries: &[
            listed("repo.packagist.org:443", PACKAGIST),
            listed("packagist.org:443", PACKAGIST),
        ],
        includes: &["github"],
        detected_by: &["composer.json"],
        ..PLAIN
    },
    Preset {
        name: "nuget",
        description: ".NET's packages",
        entries: &[listed(
            "api.nuget.org:443",
            "https://learn.microsoft.com/en-us/nuget/api/overview",
        )],
        detected_by: &[
            "*.csproj",
            "*.fsproj",
            "*.vbproj",
            "*.sln",
            "*.slnx",
            "nuget.config",
        ],
        note: Some("packages are pushed to www.nuget.org, which it does not open"),
        ..PLAIN
    },
    Preset {
        name: "hex",
        description: "Elixir's and Erlang's packages",
        entries: &[
            listed("repo.hex.pm:443", HEX),
            listed("builds.hex.pm:443", HEX),
        ],
        detected_by: &["mix.exs", "rebar.config"],
        note: Some("packages are published at hex.pm, which it does not open"),
        ..PLAIN
    },
    Preset {
        name: "jsr",
        description: "JavaScript's packages at JSR",
        entries: &[listed("jsr.io:443", JSR), listed("npm.jsr.io:443", JSR)],
        detected_by: &["deno.json", "deno.jsonc", "jsr.json"],
        note: Some("packages are published at api.jsr.io, which it does not open"),
        ..PLAIN
    },
    Preset {
        name: "homebrew",
        description: "Homebrew's formulae and bottles",
        entries: &[listed("formulae.brew.sh:443", BREW)],
        includes: &["ghcr", "github"],
        detected_by: &["Brewfile"],
        note: Some("bottles lie at ghcr.io and taps at GitHub, with all else that is there"),
        ..PLAIN
    },
    Preset {
        name: "nix",
        description: "Nix's channels and binary cache",
        entries: &[
            listed("cache.nixos.org:443", NIX),
            listed("channels.nixos.org:443", NIX),
            listed("releases.nixos.org:443", NIX),
        ],
        detected_by: &["flake.nix", "shell.nix", "default.nix"],
        note: Some("flakes come from GitHub mostly: the preset github"),
        ..PLAIN
    },
];
