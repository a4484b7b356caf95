//! The examples of `--help` and of the manual pages. A line of two blanks says what the lines of
//! six blanks behind it do. A test holds every command here against the arguments' definitions.

pub(super) const VIBEPIT: &str = "\
Examples:
  A shell in a sandbox that sees this project and reaches nothing:
      vibepit
  An agent, with what it needs to reach and to be signed in:
      vibepit claude
  From another terminal, what it asks for, and the one host that it needs:
      vibepit logs --follow
      vibepit allow registry.example.com
  One command, and what it may reach from the start:
      vibepit run --allow example.com -- curl -sI https://example.com

Exit codes: 0 done, 1 failed, 2 usage, 3 no such session, 4 several sessions and no choice, \
5 refused by the control plane. `run` passes the command's own code through.";

pub(super) const RUN: &str = "\
Examples:
  One command that may reach one host, on ports 80 and 443:
      vibepit run --allow example.com -- curl -sI https://example.com
  With the hosts of a preset:
      vibepit run --preset github -- git fetch
  Asked about in this terminal, one key for each:
      vibepit run --prompt -- npm ci
  Another project, a token, a data set that must not change:
      vibepit run --env TOKEN --volume /srv/data:/data:ro ~/src/tool -- make
  An image in the place of this machine's own programs:
      vibepit run --image docker.io/library/python:3.13 -- python3 app.py";

pub(super) const UP: &str = "\
Examples:
  A session of this project, a command in it, and its end:
      vibepit up
      vibepit exec -- make test
      vibepit down
  Another project, under a name, with one host it may reach:
      vibepit up --name web --allow registry.example.com ~/src/web";

pub(super) const DOWN: &str = "\
Examples:
  The session of this directory's project:
      vibepit down
  Another one, and all there are:
      vibepit down --session web
      vibepit down --all";

pub(super) const EXEC: &str = "\
Examples:
  In the session of this directory's project:
      vibepit exec -- make test
  In another one, with a variable:
      vibepit exec --session web --env DEBUG=1 -- npm test";

pub(super) const CONNECT: &str = "\
Examples:
  A shell, or the one that was left when a terminal went away:
      vibepit connect
  A second one beside it, and one that somebody looks at already:
      vibepit connect --new
      vibepit connect 1";

pub(super) const SESSIONS: &str = "\
Examples:
  What runs now:
      vibepit sessions
  Each session that comes or goes, a JSON object a line:
      vibepit sessions --watch --json";

pub(super) const STATUS: &str = "\
Examples:
  The session of this directory's project:
      vibepit status
  Another one, by the start of its id:
      vibepit status --session 3f9a";

pub(super) const ALLOW: &str = "\
Examples:
  One name, on ports 80 and 443, until the session ends:
      vibepit allow api.example.com
  Every name one label below, on one port, for ten minutes:
      vibepit allow --for 10m '*.example.com:443'
  No more than ten megabytes to it, counted from now on:
      vibepit allow api.example.com --max-upload 10MB
  For every later session of this project, too:
      vibepit allow --scope project registry.example.com
  An address and a network, with their ports:
      vibepit allow 192.0.2.7:22 '198.51.100.0/24:*'";

pub(super) const DENY: &str = "\
Examples:
  Whatever allows it, until the session ends:
      vibepit deny telemetry.example.com
  Every name below, on every port:
      vibepit deny '**.ads.example:*'
  What waits, by its id, and all that waits:
      vibepit deny 7f3a --reason 'use the mirror'
      vibepit deny --all";

pub(super) const PENDING: &str = "\
Examples:
  What waits now, with the command that would let it go on:
      vibepit pending
  Each request as it comes, until the session ends:
      vibepit pending --watch
  What nobody decided in time, to approve it for the next try:
      vibepit pending --missed";

pub(super) const APPROVE: &str = "\
Examples:
  A request by its host, until the session ends:
      vibepit approve index.example.org
  By the start of its id, for every later session of this project, too:
      vibepit approve --scope project 7f3a
  Everything below, everywhere, without being asked whether that is meant:
      vibepit approve --scope global --pattern '*.example.org' --yes 7f3a
  With all of the preset that it belongs to:
      vibepit approve --preset github 7f3a
  All that wait now, this once:
      vibepit approve --all --scope once";

pub(super) const MONITOR: &str = "\
Examples:
  All sessions of this machine; ? lists the keys:
      vibepit monitor
  Line by line, for a screen reader:
      vibepit monitor --plain";

pub(super) const AUDIT: &str = "\
Examples:
  What was approved and denied in the last week:
      vibepit audit --since 7d --event domain_approve --event domain_deny
  Everything of one session, a JSON object a line:
      vibepit audit --json 3f9a";

pub(super) const REVOKE: &str = "\
Examples:
  The entry as it was allowed:
      vibepit revoke api.example.com";

pub(super) const RULES: &str = "\
Examples:
  What is in force:
      vibepit rules
  What a month of audit logs shows no use of, and the command that takes it back:
      vibepit rules --unused 30d
  The entries of rules that nothing has used yet:
      vibepit rules --json | jq -r '.rules[] | select(.hits == 0) | .entry'";

pub(super) const REVIEW: &str = "\
Examples:
  What nobody decided in this project since the last time, a letter a group:
      vibepit review
  Of every project, with the commands that would settle it:
      vibepit review --all | less
  The domains alone, of the last week:
      vibepit review --since 7d --json | jq -r '.groups[].group'";

pub(super) const EXPLAIN: &str = "\
Examples:
  Would port 443 of this host be let through, and by which rule?
      vibepit explain api.example.com
  Another port:
      vibepit explain api.example.com:8443";

pub(super) const LOGS: &str = "\
Examples:
  The last hundred decisions:
      vibepit logs
  Everything from now on:
      vibepit logs --follow --lines 0
  What was refused, as JSON:
      vibepit logs --json | jq -c 'select(.verdict == \"deny\")'";

pub(super) const CONNECTIONS: &str = "\
Examples:
  What is open, with the bytes that went up and down:
      vibepit connections";

pub(super) const PRESETS: &str = "\
Examples:
  What there is, and what this project looks as if it needed:
      vibepit presets
  A session with two of them:
      vibepit run --preset github --preset go -- go test ./...";

pub(super) const PRESETS_SHOW: &str = "\
Examples:
  Every host that it opens, and who says that it is needed:
      vibepit presets show github
  Where npm has its packages on this machine:
      vibepit presets show npm";

pub(super) const TRUST: &str = "\
Examples:
  Look at what the project's file says, and have it honoured:
      vibepit trust
  Only look at it:
      vibepit trust --show
  Have it honoured no more:
      vibepit trust --revoke";

pub(super) const CONFIG_INIT: &str = "\
Examples:
  A file with every setting, each in a comment:
      vibepit config init";

pub(super) const CONFIG_SHOW: &str = "\
Examples:
  What your file and the project's trusted one say:
      vibepit config show
  All that holds in a session of this project, and where each line comes from:
      vibepit config show --effective";

pub(super) const UI: &str = "\
Examples:
  In the browser of this desktop:
      vibepit ui
  Through an SSH tunnel to the machine where the sessions are, on the same port at both ends:
      ssh -L 7373:127.0.0.1:7373 box.example
      vibepit ui --no-open";

pub(super) const CONFIG_CHECK: &str = "\
Examples:
  The person's own configuration:
      vibepit config check
  A file, before it is put in its place:
      vibepit config check ./config.toml";

pub(super) const PULL: &str = "\
Examples:
  Look at what was changed there, and take it over:
      DOCKER_HOST=ssh://me@box.example vibepit pull
  In a script:
      vibepit pull --yes";

pub(super) const PRUNE: &str = "\
Examples:
  After a crash:
      vibepit prune
  The homes of projects are kept; this removes those that no session has:
      vibepit prune --homes";

pub(super) const DOCTOR: &str = "\
Examples:
  What works here, and whether a sandbox holds:
      vibepit doctor
  For a script, without starting anything:
      vibepit doctor --no-attack --json";

pub(super) const COMPLETIONS: &str = "\
Examples:
  For bash, as its completion package looks for them:
      vibepit completions bash > ~/.local/share/bash-completion/completions/vibepit
  For fish:
      vibepit completions fish > ~/.config/fish/completions/vibepit.fish
  For zsh, in a directory of $fpath:
      vibepit completions zsh > ~/.zfunc/_vibepit";

pub(super) const MAN: &str = "\
Examples:
  Read the manual without installing it:
      vibepit man | man -l -
  What is promised, and which test keeps it:
      vibepit man security | man -l -
  Install every page:
      vibepit man --manpath ~/.local/share/man";

pub(super) const PROXY: &str = "\
Examples:
  A proxy for programs that obey HTTPS_PROXY:
      vibepit proxy --allow '*.example.com'
      HTTPS_PROXY=http://127.0.0.1:3128 curl -sI https://www.example.com
  A proxy for the containers of a network, with its own file of rules:
      vibepit proxy --http 172.30.9.1:3128 --config rules.toml --name build";

pub(super) const AGENTS: &str = "\
Examples:
  Which agents there are, and which of them are installed:
      vibepit agents
  Start one, with an argument of its own:
      vibepit claude -- --continue";

pub(super) const AGENTS_SHOW: &str = "\
Examples:
  What it may reach, and what of yours it is given:
      vibepit agents show claude";

pub(super) const AGENTS_LOGIN: &str = "\
Examples:
  Be asked about each file:
      vibepit agents login claude
  In a script:
      vibepit agents login codex --copy .codex/auth.json";

pub(super) const IMAGE_BUILD: &str = "\
Examples:
  For an engine on another machine, with an agent:
      DOCKER_HOST=ssh://me@box.example vibepit image build --agent claude
  From a company's own base image and mirror:
      vibepit image build --build-arg BASE=registry.example/debian:12 --build-arg PIP_INDEX_URL";

pub(super) const NC: &str = "\
Examples:
  ssh from within a sandbox whose ssh has no settings of vibepit's:
      ssh -o ProxyCommand='/run/vibepit/vibepit nc %h %p' git.example.com
  What a mail server says first, through a proxy that was started by hand:
      vibepit nc --socks5 127.0.0.1:1080 mail.example.com 25";
