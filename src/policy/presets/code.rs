//! Where code lies, and images and models beside it.

use super::{Listed, PLAIN, Preset, listed};

const GITHUB_META: &str = "https://docs.github.com/en/rest/meta/meta";
const RUNNERS: &str = "https://docs.github.com/en/actions/reference/runners/self-hosted-runners";
const DOCKER: &str = "https://docs.docker.com/desktop/setup/allow-list/";
const GHCR: &str = "https://docs.github.com/en/packages/working-with-a-github-packages-registry/\
                    working-with-the-container-registry";
const HUGGINGFACE_META: &str = "https://huggingface.co/.well-known/meta.json";
const XET: &str = "https://huggingface.co/docs/hub/xet/index";

pub(super) static PRESETS: &[Preset] = &[
    Preset {
        name: "github",
        description: "Repositories, releases and the API of GitHub",
        entries: GITHUB,
        detected_by: &[".github"],
        note: Some(
            "reading and publishing share these hosts: whoever has a token in the sandbox can push, \
             open issues and make gists with what it read",
        ),
        ..PLAIN
    },
    Preset {
        name: "gitlab",
        description: "Repositories, packages and images of gitlab.com",
        entries: &[
            listed("gitlab.com:443", "https://docs.gitlab.com/user/gitlab_com/"),
            listed(
                "registry.gitlab.com:443",
                "https://docs.gitlab.com/user/gitlab_com/",
            ),
        ],
        detected_by: &[".gitlab-ci.yml"],
        note: Some("reading and publishing share these hosts"),
        ..PLAIN
    },
    Preset {
        name: "docker-hub",
        description: "Images of Docker Hub",
        entries: DOCKER_HUB,
        detected_by: &[
            "Dockerfile",
            "Containerfile",
            "compose.yaml",
            "compose.yml",
            "docker-compose.yml",
            "docker-compose.yaml",
        ],
        note: Some("an image is pushed to the host that it is pulled from"),
        ..PLAIN
    },
    Preset {
        name: "ghcr",
        description: "Images of GitHub's container registry",
        entries: &[
            listed("ghcr.io:443", GHCR),
            listed("pkg-containers.githubusercontent.com:443", RUNNERS),
        ],
        note: Some("an image is pushed to the host that it is pulled from"),
        ..PLAIN
    },
    Preset {
        name: "huggingface",
        description: "Models and data sets of Hugging Face",
        entries: HUGGINGFACE,
        note: Some("models are uploaded to the hosts that they are downloaded from"),
        ..PLAIN
    },
];

const GITHUB: &[Listed] = &[
    listed("github.com:443", GITHUB_META),
    listed("api.github.com:443", GITHUB_META),
    listed("codeload.github.com:443", RUNNERS),
    listed("raw.githubusercontent.com:443", GITHUB_META),
    listed("objects.githubusercontent.com:443", RUNNERS),
    listed("release-assets.githubusercontent.com:443", RUNNERS),
    listed("media.githubusercontent.com:443", GITHUB_META),
];

const DOCKER_HUB: &[Listed] = &[
    listed("registry-1.docker.io:443", DOCKER),
    listed("auth.docker.io:443", DOCKER),
    listed("production.cloudflare.docker.com:443", DOCKER),
];

const HUGGINGFACE: &[Listed] = &[
    listed("huggingface.co:443", HUGGINGFACE_META),
    listed("cdn-lfs.hf.co:443", HUGGINGFACE_META),
    listed("cdn-lfs-us-1.hf.co:443", HUGGINGFACE_META),
    listed("cdn-lfs-eu-1.hf.co:443", HUGGINGFACE_META),
    listed("transfer.xethub.hf.co:443", HUGGINGFACE_META),
    listed("transfer.xethub-eu.hf.co:443", HUGGINGFACE_META),
    listed("aws.cdn.hf.co:443", HUGGINGFACE_META),
    listed("**.aws.cdn.hf.co:443", HUGGINGFACE_META),
    listed("**.gcp.cdn.hf.co:443", HUGGINGFACE_META),
    listed("cas-server.xethub.hf.co:443", XET),
    listed("cas-bridge.xethub.hf.co:443", XET),
];
