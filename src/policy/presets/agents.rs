//! What coding agents speak to: the models behind them, and where a person signs in.

use super::{Listed, PLAIN, Preset, listed};

const CLAUDE_CODE: &str = "https://code.claude.com/docs/en/network-config";
const CODEX: &str = "https://github.com/openai/codex/blob/main/codex-rs/login/src/server.rs";
const GEMINI_CLI: &str =
    "https://github.com/google-gemini/gemini-cli/blob/main/docs/get-started/authentication.md";
const COPILOT: &str = "https://docs.github.com/en/copilot/reference/copilot-allowlist-reference";
const BEDROCK: &str = "https://docs.aws.amazon.com/general/latest/gr/bedrock.html";

/// What is sent to a model is read by its owner.
const PROMPTS: Option<&str> =
    Some("whatever the agent reads may be sent there: that is what a model is for");

pub(super) static PRESETS: &[Preset] = &[
    Preset {
        name: "anthropic",
        description: "Anthropic's models, and signing in to Claude Code",
        entries: ANTHROPIC,
        detected_by: &["CLAUDE.md", ".claude"],
        note: PROMPTS,
        ..PLAIN
    },
    Preset {
        name: "openai",
        description: "OpenAI's models, and signing in to Codex",
        entries: OPENAI,
        detected_by: &[".codex"],
        note: PROMPTS,
        ..PLAIN
    },
    Preset {
        name: "google-ai",
        description: "Google's models, and signing in to the Gemini CLI",
        entries: GOOGLE_AI,
        detected_by: &["GEMINI.md", ".gemini"],
        note: PROMPTS,
        ..PLAIN
    },
    Preset {
        name: "github-copilot",
        description: "GitHub Copilot",
        entries: GITHUB_COPILOT,
        note: Some(
            "signing in and the API share hosts with all of GitHub, and who has a token can write \
             there",
        ),
        ..PLAIN
    },
    Preset {
        name: "bedrock",
        description: "Models at Amazon Bedrock, in every region",
        entries: &[
            listed("bedrock-runtime.*.amazonaws.com:443", BEDROCK),
            listed("bedrock.*.amazonaws.com:443", BEDROCK),
        ],
        note: PROMPTS,
        ..PLAIN
    },
    Preset {
        name: "mistral",
        description: "Mistral's models",
        entries: &[listed("api.mistral.ai:443", "https://docs.mistral.ai/api/")],
        note: PROMPTS,
        ..PLAIN
    },
    Preset {
        name: "openrouter",
        description: "Models of many owners through OpenRouter",
        entries: &[listed(
            "openrouter.ai:443",
            "https://openrouter.ai/docs/quickstart",
        )],
        note: PROMPTS,
        ..PLAIN
    },
];

const ANTHROPIC: &[Listed] = &[
    listed("api.anthropic.com:443", CLAUDE_CODE),
    listed("claude.ai:443", CLAUDE_CODE),
    listed("platform.claude.com:443", CLAUDE_CODE),
];

const OPENAI: &[Listed] = &[
    listed(
        "api.openai.com:443",
        "https://platform.openai.com/docs/api-reference/introduction",
    ),
    listed("auth.openai.com:443", CODEX),
    listed("chatgpt.com:443", CODEX),
];

const GOOGLE_AI: &[Listed] = &[
    listed(
        "generativelanguage.googleapis.com:443",
        "https://ai.google.dev/api",
    ),
    listed("cloudcode-pa.googleapis.com:443", GEMINI_CLI),
    listed("oauth2.googleapis.com:443", GEMINI_CLI),
    listed("accounts.google.com:443", GEMINI_CLI),
];

const GITHUB_COPILOT: &[Listed] = &[
    listed("github.com:443", COPILOT),
    listed("api.github.com:443", COPILOT),
    listed("**.githubcopilot.com:443", COPILOT),
    listed("copilot-proxy.githubusercontent.com:443", COPILOT),
];
