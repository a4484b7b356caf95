# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_vibepit_global_optspecs
    string join \n json color= v/verbose q/quiet session= tcp addr= allow= preset= no-presets ask reject approval-timeout= e/env= volume= image= remote-path= name= self-test no-self-test runtime= allow-userns agent= prompt notify= new h/help V/version
end

function __fish_vibepit_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_vibepit_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_vibepit_using_subcommand
    set -l cmd (__fish_vibepit_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c vibepit -n "__fish_vibepit_needs_command" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_needs_command" -l session -d 'The session to speak to: id, start of an id, name, or project path' -r
complete -c vibepit -n "__fish_vibepit_needs_command" -l addr -d 'Another end of the control port, such as that of an SSH tunnel; implies --tcp' -r
complete -c vibepit -n "__fish_vibepit_needs_command" -l allow -d 'Allow this entry for the session, such as api.example.com or *.example.com:443' -r
complete -c vibepit -n "__fish_vibepit_needs_command" -l preset -d 'Open this preset for the session; `vibepit presets` lists them' -r
complete -c vibepit -n "__fish_vibepit_needs_command" -l approval-timeout -d 'How long a request waits for you, such as 45s or 5m' -r
complete -c vibepit -n "__fish_vibepit_needs_command" -s e -l env -d 'Set a variable in the sandbox; a NAME alone passes its value on' -r
complete -c vibepit -n "__fish_vibepit_needs_command" -l volume -d 'Mount more of the host: a directory or file, and where it is in the sandbox' -r
complete -c vibepit -n "__fish_vibepit_needs_command" -l image -d 'Use this image in the place of the host\'s own userland; pulled if it is not there' -r
complete -c vibepit -n "__fish_vibepit_needs_command" -l remote-path -d 'The project\'s directory on the engine\'s machine, where that is another one' -r -F
complete -c vibepit -n "__fish_vibepit_needs_command" -l name -d 'The session\'s name; without one, that of the project\'s directory' -r
complete -c vibepit -n "__fish_vibepit_needs_command" -l runtime -d 'What the sandbox is made with' -r -f -a "auto\t'A container engine where one answers, else this machine\'s own kernel'
docker\t'Containers of an engine'
local\t'Namespaces of this machine\'s kernel; no engine is asked'"
complete -c vibepit -n "__fish_vibepit_needs_command" -l agent -d 'Start this agent: its command, its presets, its login, in its own corner of a home' -r
complete -c vibepit -n "__fish_vibepit_needs_command" -l notify -d 'How you notice that a request waits while the command has the terminal' -r -f -a "off\t'Not at all'
title\t'The title of the terminal says it'
bell\t'The bell rings, too'
osc\t'And the desktop shows it'"
complete -c vibepit -n "__fish_vibepit_needs_command" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_needs_command" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_needs_command" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_needs_command" -l tcp -d 'Speak to the control port over mTLS, even if there is a socket'
complete -c vibepit -n "__fish_vibepit_needs_command" -l no-presets -d 'Open no preset, whatever config.toml and the first start in the project said, and ask about none'
complete -c vibepit -n "__fish_vibepit_needs_command" -l ask -d 'Have what no rule covers wait for you, whatever config.toml says'
complete -c vibepit -n "__fish_vibepit_needs_command" -l reject -d 'Refuse at once what no rule covers, whatever config.toml says'
complete -c vibepit -n "__fish_vibepit_needs_command" -l self-test -d 'Try to get out of a throw-away sandbox before this one starts, and start it only if that held'
complete -c vibepit -n "__fish_vibepit_needs_command" -l no-self-test -d 'Start without that, even the first time'
complete -c vibepit -n "__fish_vibepit_needs_command" -l allow-userns -d 'Let the sandbox make namespaces and mounts of its own (on the local runtime)'
complete -c vibepit -n "__fish_vibepit_needs_command" -l prompt -d 'Ask in this terminal about what no rule covers: one key answers'
complete -c vibepit -n "__fish_vibepit_needs_command" -l new -d 'Start a session of its own, even where the project has one'
complete -c vibepit -n "__fish_vibepit_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_needs_command" -s V -l version -d 'Print version'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "run" -d 'Run a command in a sandbox (what `vibepit` does without a command\'s name)'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "up" -d 'Start a session that stays, and return when it is ready'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "down" -d 'End a session and take everything of it away'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "exec" -d 'Run a command in a session that is there'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "connect" -d 'Get a shell in a session; it goes on when the terminal goes away'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "sessions" -d 'List the sessions that run'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "status" -d 'Show one session: what it is, its doors, its counts, its warnings'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "allow" -d 'Let the sandbox reach something'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "deny" -d 'Keep the sandbox from something; outranks every allow'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "pending" -d 'List the requests that wait for you'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "approve" -d 'Let a request go on that waits'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "monitor" -d 'Show every session on one screen, and decide with one key'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "revoke" -d 'Take allow and deny rules back, and close what they let through'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "rules" -d 'List the rules that are in force'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "review" -d 'Go through what was refused or ran out since the last time, and settle it'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "explain" -d 'Say what happens to a request, and why'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "logs" -d 'Show what the sandbox asked for, and what came of it'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "audit" -d 'Read the audit log: what was asked for and who decided, of sessions that are over, too'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "connections" -d 'List the connections that are open'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "presets" -d 'List the presets: named sets of hosts that one word opens'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "trust" -d 'Have sessions of a project honour its .vibepit/config.toml, as it is now'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "ui" -d 'Show every session on a page in your browser, and decide there'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "config" -d 'Look at the configuration'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "pull" -d 'Bring here what a session on another machine changed in its copy of the project'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "prune" -d 'Remove what a crash left behind: containers and directories'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "doctor" -d 'Say what works on this machine, what does not, and what to do; and try to get out of a sandbox'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "completions" -d 'Print a completion script for a shell'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "man" -d 'Print a manual page, or write every page to a directory'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "proxy" -d 'Run the proxy without a sandbox, in the foreground'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "image" -d 'The image of sandboxes that cannot have this machine\'s programs'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "agents" -d 'List the agents that `vibepit NAME` starts'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "nc" -d 'Connect standard input and output to a host, through the sandbox\'s SOCKS5 door'
complete -c vibepit -n "__fish_vibepit_needs_command" -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -l allow -d 'Allow this entry for the session, such as api.example.com or *.example.com:443' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -l preset -d 'Open this preset for the session; `vibepit presets` lists them' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -l approval-timeout -d 'How long a request waits for you, such as 45s or 5m' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -s e -l env -d 'Set a variable in the sandbox; a NAME alone passes its value on' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -l volume -d 'Mount more of the host: a directory or file, and where it is in the sandbox' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -l image -d 'Use this image in the place of the host\'s own userland; pulled if it is not there' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -l remote-path -d 'The project\'s directory on the engine\'s machine, where that is another one' -r -F
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -l name -d 'The session\'s name; without one, that of the project\'s directory' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -l runtime -d 'What the sandbox is made with' -r -f -a "auto\t'A container engine where one answers, else this machine\'s own kernel'
docker\t'Containers of an engine'
local\t'Namespaces of this machine\'s kernel; no engine is asked'"
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -l agent -d 'Start this agent: its command, its presets, its login, in its own corner of a home' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -l notify -d 'How you notice that a request waits while the command has the terminal' -r -f -a "off\t'Not at all'
title\t'The title of the terminal says it'
bell\t'The bell rings, too'
osc\t'And the desktop shows it'"
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -l no-presets -d 'Open no preset, whatever config.toml and the first start in the project said, and ask about none'
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -l ask -d 'Have what no rule covers wait for you, whatever config.toml says'
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -l reject -d 'Refuse at once what no rule covers, whatever config.toml says'
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -l self-test -d 'Try to get out of a throw-away sandbox before this one starts, and start it only if that held'
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -l no-self-test -d 'Start without that, even the first time'
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -l allow-userns -d 'Let the sandbox make namespaces and mounts of its own (on the local runtime)'
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -l prompt -d 'Ask in this terminal about what no rule covers: one key answers'
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -l new -d 'Start a session of its own, even where the project has one'
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -l allow -d 'Allow this entry for the session, such as api.example.com or *.example.com:443' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -l preset -d 'Open this preset for the session; `vibepit presets` lists them' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -l approval-timeout -d 'How long a request waits for you, such as 45s or 5m' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -s e -l env -d 'Set a variable in the sandbox; a NAME alone passes its value on' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -l volume -d 'Mount more of the host: a directory or file, and where it is in the sandbox' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -l image -d 'Use this image in the place of the host\'s own userland; pulled if it is not there' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -l remote-path -d 'The project\'s directory on the engine\'s machine, where that is another one' -r -F
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -l name -d 'The session\'s name; without one, that of the project\'s directory' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -l runtime -d 'What the sandbox is made with' -r -f -a "auto\t'A container engine where one answers, else this machine\'s own kernel'
docker\t'Containers of an engine'
local\t'Namespaces of this machine\'s kernel; no engine is asked'"
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -l no-presets -d 'Open no preset, whatever config.toml and the first start in the project said, and ask about none'
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -l ask -d 'Have what no rule covers wait for you, whatever config.toml says'
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -l reject -d 'Refuse at once what no rule covers, whatever config.toml says'
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -l self-test -d 'Try to get out of a throw-away sandbox before this one starts, and start it only if that held'
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -l no-self-test -d 'Start without that, even the first time'
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -l allow-userns -d 'Let the sandbox make namespaces and mounts of its own (on the local runtime)'
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -l keep -d 'Be the launcher that stays: how `up` starts it'
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand up" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand down" -l session -d 'The session: id, start of an id, name, or project path' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand down" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand down" -l all -d 'End every session of yours'
complete -c vibepit -n "__fish_vibepit_using_subcommand down" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand down" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand down" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand down" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand exec" -l session -d 'The session: id, start of an id, name, or project path' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand exec" -s e -l env -d 'Set a variable for the command; a NAME alone passes its value on' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand exec" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand exec" -s T -l no-tty -d 'Give the command no terminal, even where there is one'
complete -c vibepit -n "__fish_vibepit_using_subcommand exec" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand exec" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand exec" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand exec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand connect" -l session -d 'The session: id, start of an id, name, or project path' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand connect" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand connect" -l new -d 'A new shell, even where one was left'
complete -c vibepit -n "__fish_vibepit_using_subcommand connect" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand connect" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand connect" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand connect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand sessions" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand sessions" -s w -l watch -d 'Go on, and tell of each session that comes or goes'
complete -c vibepit -n "__fish_vibepit_using_subcommand sessions" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand sessions" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand sessions" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand sessions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand status" -l session -d 'The session to speak to: id, start of an id, name, or project path' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand status" -l addr -d 'Another end of the control port, such as that of an SSH tunnel; implies --tcp' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand status" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand status" -l tcp -d 'Speak to the control port over mTLS, even if there is a socket'
complete -c vibepit -n "__fish_vibepit_using_subcommand status" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand status" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand status" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand allow" -l session -d 'The session to speak to: id, start of an id, name, or project path' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand allow" -l addr -d 'Another end of the control port, such as that of an SSH tunnel; implies --tcp' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand allow" -l for -d 'For how long: 90s, 10m, 2h, 1d. Without it: until the session ends' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand allow" -l max-upload -d 'How much may be sent there: 10MB, 64KiB; all connections together, counted from now on' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand allow" -l scope -d 'How far it reaches: session, project (every session of this project), global (every session)' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand allow" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand allow" -l tcp -d 'Speak to the control port over mTLS, even if there is a socket'
complete -c vibepit -n "__fish_vibepit_using_subcommand allow" -l save -d 'Save it for every session of this project: --scope project'
complete -c vibepit -n "__fish_vibepit_using_subcommand allow" -l force -d 'Accept a wildcard over a public suffix, such as *.github.io'
complete -c vibepit -n "__fish_vibepit_using_subcommand allow" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand allow" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand allow" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand allow" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand deny" -l session -d 'The session to speak to: id, start of an id, name, or project path' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand deny" -l addr -d 'Another end of the control port, such as that of an SSH tunnel; implies --tcp' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand deny" -l reason -d 'What the sandbox is told, of requests that wait' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand deny" -l for -d 'For how long: 90s, 10m, 2h, 1d. Without it: until the session ends' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand deny" -l scope -d 'How far it reaches: once (of a request), session, project (every session of this project), global (every session)' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand deny" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand deny" -l tcp -d 'Speak to the control port over mTLS, even if there is a socket'
complete -c vibepit -n "__fish_vibepit_using_subcommand deny" -l all -d 'All requests that wait now'
complete -c vibepit -n "__fish_vibepit_using_subcommand deny" -l save -d 'Save it for every session of this project: --scope project'
complete -c vibepit -n "__fish_vibepit_using_subcommand deny" -l force -d 'Accept a wildcard over a public suffix, such as *.github.io'
complete -c vibepit -n "__fish_vibepit_using_subcommand deny" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand deny" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand deny" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand deny" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand pending" -l session -d 'The session to speak to: id, start of an id, name, or project path' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand pending" -l addr -d 'Another end of the control port, such as that of an SSH tunnel; implies --tcp' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand pending" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand pending" -l tcp -d 'Speak to the control port over mTLS, even if there is a socket'
complete -c vibepit -n "__fish_vibepit_using_subcommand pending" -s w -l watch -d 'Go on, and show each request that comes, changes or goes'
complete -c vibepit -n "__fish_vibepit_using_subcommand pending" -l missed -d 'Also what was refused because nobody decided in time'
complete -c vibepit -n "__fish_vibepit_using_subcommand pending" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand pending" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand pending" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand pending" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand approve" -l session -d 'The session to speak to: id, start of an id, name, or project path' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand approve" -l addr -d 'Another end of the control port, such as that of an SSH tunnel; implies --tcp' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand approve" -l scope -d 'How far it reaches: once, session, project (every session of this project), global (every session)' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand approve" -l pattern -d 'A pattern that covers the host, such as *.example.com, in its place' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand approve" -l preset -d 'All of a preset, in its place; `vibepit pending` says which it belongs to' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand approve" -l for -d 'For how long: 90s, 10m, 2h, 1d; with scope session' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand approve" -l reason -d 'What the sandbox is told of a denial' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand approve" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand approve" -l tcp -d 'Speak to the control port over mTLS, even if there is a socket'
complete -c vibepit -n "__fish_vibepit_using_subcommand approve" -l all -d 'All that wait now'
complete -c vibepit -n "__fish_vibepit_using_subcommand approve" -s y -l yes -d 'Do not ask whether a wildcard that is to be saved is meant'
complete -c vibepit -n "__fish_vibepit_using_subcommand approve" -l force -d 'Accept a wildcard over a public suffix, such as *.github.io'
complete -c vibepit -n "__fish_vibepit_using_subcommand approve" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand approve" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand approve" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand approve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand monitor" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand monitor" -l plain -d 'Tell line by line and take commands as lines, for screen readers and dumb terminals'
complete -c vibepit -n "__fish_vibepit_using_subcommand monitor" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand monitor" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand monitor" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand monitor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand revoke" -l session -d 'The session to speak to: id, start of an id, name, or project path' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand revoke" -l addr -d 'Another end of the control port, such as that of an SSH tunnel; implies --tcp' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand revoke" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand revoke" -l tcp -d 'Speak to the control port over mTLS, even if there is a socket'
complete -c vibepit -n "__fish_vibepit_using_subcommand revoke" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand revoke" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand revoke" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand revoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand rules" -l session -d 'The session to speak to: id, start of an id, name, or project path' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand rules" -l addr -d 'Another end of the control port, such as that of an SSH tunnel; implies --tcp' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand rules" -l unused -d 'Only rules of files that no request has needed since then: 30d, or a time' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand rules" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand rules" -l tcp -d 'Speak to the control port over mTLS, even if there is a socket'
complete -c vibepit -n "__fish_vibepit_using_subcommand rules" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand rules" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand rules" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand rules" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand review" -l since -d 'From then on, whenever the last review was: 10m, 2h or 7d ago, or a time' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand review" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand review" -l all -d 'Of every project'
complete -c vibepit -n "__fish_vibepit_using_subcommand review" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand review" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand review" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand review" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand explain" -l session -d 'The session to speak to: id, start of an id, name, or project path' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand explain" -l addr -d 'Another end of the control port, such as that of an SSH tunnel; implies --tcp' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand explain" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand explain" -l tcp -d 'Speak to the control port over mTLS, even if there is a socket'
complete -c vibepit -n "__fish_vibepit_using_subcommand explain" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand explain" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand explain" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand logs" -l session -d 'The session to speak to: id, start of an id, name, or project path' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand logs" -l addr -d 'Another end of the control port, such as that of an SSH tunnel; implies --tcp' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand logs" -s n -l lines -d 'At most so many entries to begin with' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand logs" -l after -d 'Only entries after this number, the oldest first; with --follow all of them' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand logs" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand logs" -l tcp -d 'Speak to the control port over mTLS, even if there is a socket'
complete -c vibepit -n "__fish_vibepit_using_subcommand logs" -s f -l follow -d 'Go on, and show what comes'
complete -c vibepit -n "__fish_vibepit_using_subcommand logs" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand logs" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand logs" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand audit" -l since -d 'Only from then on: 10m, 2h or 7d ago, or a time such as 2026-01-31T12:00:00Z' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand audit" -l event -d 'Only events of this name, such as connect or domain_approve' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand audit" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand audit" -s f -l follow -d 'Go on, and show what comes'
complete -c vibepit -n "__fish_vibepit_using_subcommand audit" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand audit" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand audit" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand audit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand connections" -l session -d 'The session to speak to: id, start of an id, name, or project path' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand connections" -l addr -d 'Another end of the control port, such as that of an SSH tunnel; implies --tcp' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand connections" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand connections" -l tcp -d 'Speak to the control port over mTLS, even if there is a socket'
complete -c vibepit -n "__fish_vibepit_using_subcommand connections" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand connections" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand connections" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand connections" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand presets; and not __fish_seen_subcommand_from show help" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand presets; and not __fish_seen_subcommand_from show help" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand presets; and not __fish_seen_subcommand_from show help" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand presets; and not __fish_seen_subcommand_from show help" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand presets; and not __fish_seen_subcommand_from show help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand presets; and not __fish_seen_subcommand_from show help" -f -a "show" -d 'Show what a preset opens, and who says that it is needed'
complete -c vibepit -n "__fish_vibepit_using_subcommand presets; and not __fish_seen_subcommand_from show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vibepit -n "__fish_vibepit_using_subcommand presets; and __fish_seen_subcommand_from show" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand presets; and __fish_seen_subcommand_from show" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand presets; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand presets; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand presets; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand presets; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show what a preset opens, and who says that it is needed'
complete -c vibepit -n "__fish_vibepit_using_subcommand presets; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vibepit -n "__fish_vibepit_using_subcommand trust" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand trust" -l show -d 'Only show the file, beside what was trusted last'
complete -c vibepit -n "__fish_vibepit_using_subcommand trust" -l revoke -d 'Trust it no more'
complete -c vibepit -n "__fish_vibepit_using_subcommand trust" -l yes -d 'Do not ask'
complete -c vibepit -n "__fish_vibepit_using_subcommand trust" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand trust" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand trust" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand trust" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand ui" -l port -d 'The port of 127.0.0.1; 0 is any that is free' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand ui" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand ui" -l no-open -d 'Open no browser: print the address'
complete -c vibepit -n "__fish_vibepit_using_subcommand ui" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand ui" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand ui" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand ui" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and not __fish_seen_subcommand_from init show check help" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and not __fish_seen_subcommand_from init show check help" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and not __fish_seen_subcommand_from init show check help" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and not __fish_seen_subcommand_from init show check help" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and not __fish_seen_subcommand_from init show check help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and not __fish_seen_subcommand_from init show check help" -f -a "init" -d 'Write a configuration to begin with, in which every line is a comment'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and not __fish_seen_subcommand_from init show check help" -f -a "show" -d 'Show what files say in a project; with --effective, all that holds in a session of it'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and not __fish_seen_subcommand_from init show check help" -f -a "check" -d 'Say whether a configuration can be used; errors name line and column'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and not __fish_seen_subcommand_from init show check help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and __fish_seen_subcommand_from init" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and __fish_seen_subcommand_from init" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and __fish_seen_subcommand_from init" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and __fish_seen_subcommand_from init" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and __fish_seen_subcommand_from show" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and __fish_seen_subcommand_from show" -l effective -d 'Also presets, host by host, saved decisions, and what nobody has said otherwise'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and __fish_seen_subcommand_from check" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and __fish_seen_subcommand_from check" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "init" -d 'Write a configuration to begin with, in which every line is a comment'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show what files say in a project; with --effective, all that holds in a session of it'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "check" -d 'Say whether a configuration can be used; errors name line and column'
complete -c vibepit -n "__fish_vibepit_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vibepit -n "__fish_vibepit_using_subcommand pull" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand pull" -l yes -d 'Do not ask'
complete -c vibepit -n "__fish_vibepit_using_subcommand pull" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand pull" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand pull" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand pull" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand prune" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand prune" -l homes -d 'Remove the homes of projects as well, and all that tools keep in them'
complete -c vibepit -n "__fish_vibepit_using_subcommand prune" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand prune" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand prune" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand doctor" -l runtime -d 'What the throw-away sandbox is made with; without this, what a session would be' -r -f -a "auto\t'A container engine where one answers, else this machine\'s own kernel'
docker\t'Containers of an engine'
local\t'Namespaces of this machine\'s kernel; no engine is asked'"
complete -c vibepit -n "__fish_vibepit_using_subcommand doctor" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand doctor" -l no-attack -d 'Only look: start no sandbox'
complete -c vibepit -n "__fish_vibepit_using_subcommand doctor" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand doctor" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand doctor" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand completions" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand completions" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand completions" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand completions" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand man" -l dir -d 'Write every page into this directory, which is made if it is not there' -r -F
complete -c vibepit -n "__fish_vibepit_using_subcommand man" -l manpath -d 'Write every page where man(1) looks for it below this directory: in man1, man5 and man7' -r -F
complete -c vibepit -n "__fish_vibepit_using_subcommand man" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand man" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand man" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand man" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l http -d 'Where the HTTP proxy listens' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l socks5 -d 'Where the SOCKS5 proxy listens. Without it there is none' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l dns -d 'Where the name server listens, over UDP and TCP. Without it there is none' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l plain -d 'Where plain HTTP of programs that know no proxy arrives; the Host field names the target' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l tls -d 'Where TLS of programs that know no proxy arrives; the SNI names the target' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l host -d 'Where programs that know no proxy arrive at host.vibepit: for the host\'s port of the same number, if it is in allow_host_ports. May be given several times' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l control -d 'A further control socket, beside the one in the session\'s directory' -r -F
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l tcp -d 'Where the mTLS control port listens' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l config -d 'The configuration, in the place of the person\'s own' -r -F
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l allow -d 'Allow this entry for as long as the proxy runs' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l preset -d 'Open this preset for the session; `vibepit presets` lists them' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l approval-timeout -d 'How long a request waits for you, such as 45s or 5m' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l name -d 'The session\'s name; without one, `proxy`' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l hand-over -d 'Only open the doors, and hand them to the proxy that connects to this socket: how a launcher puts them where the sandbox is' -r -F
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l relay -d 'Carry one connection between standard input and output and this address: how a launcher on another machine reaches the control port' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l patience -d 'With --hand-over: end when the launcher has said nothing for so many seconds' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l no-presets -d 'Open no preset, whatever config.toml and the first start in the project said, and ask about none'
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l ask -d 'Have what no rule covers wait for you, whatever config.toml says'
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l reject -d 'Refuse at once what no rule covers, whatever config.toml says'
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l stdin -d 'Read the document that starts the proxy from standard input: how a launcher starts it'
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand proxy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand image; and not __fish_seen_subcommand_from build help" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand image; and not __fish_seen_subcommand_from build help" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand image; and not __fish_seen_subcommand_from build help" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand image; and not __fish_seen_subcommand_from build help" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand image; and not __fish_seen_subcommand_from build help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand image; and not __fish_seen_subcommand_from build help" -f -a "build" -d 'Build it: Debian with git, a compiler, Python, Node and the agents that are named'
complete -c vibepit -n "__fish_vibepit_using_subcommand image; and not __fish_seen_subcommand_from build help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vibepit -n "__fish_vibepit_using_subcommand image; and __fish_seen_subcommand_from build" -l agent -d 'Install this agent; vibepit agents lists them' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand image; and __fish_seen_subcommand_from build" -l tag -d 'The image\'s name; without one, vibepit-sandbox, which is used by itself' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand image; and __fish_seen_subcommand_from build" -l build-arg -d 'A build argument, such as BASE=IMAGE, PACKAGES, NPM_CONFIG_REGISTRY or HTTPS_PROXY; a NAME alone passes your variable on' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand image; and __fish_seen_subcommand_from build" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand image; and __fish_seen_subcommand_from build" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand image; and __fish_seen_subcommand_from build" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand image; and __fish_seen_subcommand_from build" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand image; and __fish_seen_subcommand_from build" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "build" -d 'Build it: Debian with git, a compiler, Python, Node and the agents that are named'
complete -c vibepit -n "__fish_vibepit_using_subcommand image; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and not __fish_seen_subcommand_from show login help" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and not __fish_seen_subcommand_from show login help" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and not __fish_seen_subcommand_from show login help" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and not __fish_seen_subcommand_from show login help" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and not __fish_seen_subcommand_from show login help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and not __fish_seen_subcommand_from show login help" -f -a "show" -d 'Show what an agent is started with, and what of yours it is given'
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and not __fish_seen_subcommand_from show login help" -f -a "login" -d 'Say anew which files an agent is given to be signed in'
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and not __fish_seen_subcommand_from show login help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and __fish_seen_subcommand_from show" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and __fish_seen_subcommand_from show" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and __fish_seen_subcommand_from login" -l share -d 'Its sandboxes have this file itself, and may change it' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and __fish_seen_subcommand_from login" -l copy -d 'Its sandboxes get a copy of this file into their own home, where it is not there yet' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and __fish_seen_subcommand_from login" -l no -d 'Its sandboxes do without this file' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and __fish_seen_subcommand_from login" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and __fish_seen_subcommand_from login" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and __fish_seen_subcommand_from login" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and __fish_seen_subcommand_from login" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and __fish_seen_subcommand_from login" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show what an agent is started with, and what of yours it is given'
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and __fish_seen_subcommand_from help" -f -a "login" -d 'Say anew which files an agent is given to be signed in'
complete -c vibepit -n "__fish_vibepit_using_subcommand agents; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vibepit -n "__fish_vibepit_using_subcommand nc" -l socks5 -d 'Where the SOCKS5 door is; without this, what VIBEPIT_SOCKS5 says' -r
complete -c vibepit -n "__fish_vibepit_using_subcommand nc" -l color -d 'When to use colour. NO_COLOR is obeyed' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c vibepit -n "__fish_vibepit_using_subcommand nc" -l json -d 'Print data as JSON; what streams prints one object a line'
complete -c vibepit -n "__fish_vibepit_using_subcommand nc" -s v -l verbose -d 'Say more, such as which transport served'
complete -c vibepit -n "__fish_vibepit_using_subcommand nc" -s q -l quiet -d 'Say nothing but results and errors'
complete -c vibepit -n "__fish_vibepit_using_subcommand nc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "run" -d 'Run a command in a sandbox (what `vibepit` does without a command\'s name)'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "up" -d 'Start a session that stays, and return when it is ready'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "down" -d 'End a session and take everything of it away'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "exec" -d 'Run a command in a session that is there'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "connect" -d 'Get a shell in a session; it goes on when the terminal goes away'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "sessions" -d 'List the sessions that run'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "status" -d 'Show one session: what it is, its doors, its counts, its warnings'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "allow" -d 'Let the sandbox reach something'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "deny" -d 'Keep the sandbox from something; outranks every allow'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "pending" -d 'List the requests that wait for you'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "approve" -d 'Let a request go on that waits'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "monitor" -d 'Show every session on one screen, and decide with one key'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "revoke" -d 'Take allow and deny rules back, and close what they let through'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "rules" -d 'List the rules that are in force'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "review" -d 'Go through what was refused or ran out since the last time, and settle it'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "explain" -d 'Say what happens to a request, and why'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "logs" -d 'Show what the sandbox asked for, and what came of it'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "audit" -d 'Read the audit log: what was asked for and who decided, of sessions that are over, too'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "connections" -d 'List the connections that are open'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "presets" -d 'List the presets: named sets of hosts that one word opens'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "trust" -d 'Have sessions of a project honour its .vibepit/config.toml, as it is now'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "ui" -d 'Show every session on a page in your browser, and decide there'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "config" -d 'Look at the configuration'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "pull" -d 'Bring here what a session on another machine changed in its copy of the project'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "prune" -d 'Remove what a crash left behind: containers and directories'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "doctor" -d 'Say what works on this machine, what does not, and what to do; and try to get out of a sandbox'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "completions" -d 'Print a completion script for a shell'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "man" -d 'Print a manual page, or write every page to a directory'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "proxy" -d 'Run the proxy without a sandbox, in the foreground'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "image" -d 'The image of sandboxes that cannot have this machine\'s programs'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "agents" -d 'List the agents that `vibepit NAME` starts'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "nc" -d 'Connect standard input and output to a host, through the sandbox\'s SOCKS5 door'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and not __fish_seen_subcommand_from run up down exec connect sessions status allow deny pending approve monitor revoke rules review explain logs audit connections presets trust ui config pull prune doctor completions man proxy image agents nc help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and __fish_seen_subcommand_from presets" -f -a "show" -d 'Show what a preset opens, and who says that it is needed'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "init" -d 'Write a configuration to begin with, in which every line is a comment'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'Show what files say in a project; with --effective, all that holds in a session of it'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "check" -d 'Say whether a configuration can be used; errors name line and column'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and __fish_seen_subcommand_from image" -f -a "build" -d 'Build it: Debian with git, a compiler, Python, Node and the agents that are named'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and __fish_seen_subcommand_from agents" -f -a "show" -d 'Show what an agent is started with, and what of yours it is given'
complete -c vibepit -n "__fish_vibepit_using_subcommand help; and __fish_seen_subcommand_from agents" -f -a "login" -d 'Say anew which files an agent is given to be signed in'
