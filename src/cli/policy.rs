//! From what was typed, and what files, tools and the person said before, to the policy a proxy gets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::api::{Asking, PolicyDocument, RuleGroup, ToldPreset};
use crate::config::tools::{self, Told};
use crate::config::{self, Config, ConfigError, Unlisted, patience};
use crate::launcher::{self, Project};
use crate::policy::{Entry, Origin, PresetName, Verdict};

use super::args::AskArgs;
use super::args::start::PresetArgs;
use super::failure::Failure;
use super::{saved, start};

/// What was said on the command line; it outranks what files say.
pub(super) struct Flags {
    allow: Vec<Entry>,
    pub(super) presets: Vec<PresetName>,
    pub(super) no_presets: bool,
    /// Those of the agent that is started.
    pub(super) of_agent: Vec<PresetName>,
    unlisted: Option<Unlisted>,
    /// Where neither the command line nor a file says.
    otherwise: Unlisted,
    approval_timeout: Option<Duration>,
}

impl Flags {
    /// Reads what was typed.
    ///
    /// # Errors
    /// Names the first entry that is none, a preset that is none, or a time that is none.
    pub(super) fn read(
        allow: &[String],
        presets: &PresetArgs,
        asking: &AskArgs,
        otherwise: Unlisted,
    ) -> Result<Self, Failure> {
        let entries = allow
            .iter()
            .map(|text| text.parse().map_err(Failure::usage));
        let names = presets
            .preset
            .iter()
            .map(|name| name.parse().map_err(Failure::usage));
        let patience = asking.approval_timeout.as_deref().map(patience);
        Ok(Self {
            allow: entries.collect::<Result<_, _>>()?,
            presets: names.collect::<Result<_, _>>()?,
            no_presets: presets.no_presets,
            of_agent: Vec::new(),
            unlisted: match (asking.ask, asking.reject) {
                (true, _) => Some(Unlisted::RequestApproval),
                (_, true) => Some(Unlisted::Reject),
                _ => None,
            },
            otherwise,
            approval_timeout: patience.transpose().map_err(Failure::usage)?,
        })
    }

    /// Nothing was typed.
    pub(super) fn none() -> Self {
        Self {
            allow: Vec::new(),
            presets: Vec::new(),
            no_presets: false,
            of_agent: Vec::new(),
            unlisted: None,
            otherwise: Unlisted::RequestApproval,
            approval_timeout: None,
        }
    }
}

/// Where a session's policy comes from, read as often as it is asked for.
pub(super) struct Sources {
    pub(super) flags: Flags,
    /// Without one there is neither a project's file nor what was chosen for it.
    pub(super) project: Option<Project>,
    /// In the place of the person's own file.
    pub(super) file: Option<PathBuf>,
}

/// Everything that a policy is made of.
pub(super) struct Gathered {
    pub(super) config: Config,
    /// The project's own file, if it is trusted; otherwise nothing.
    pub(super) repository: Config,
    /// The presets that are open.
    pub(super) opened: Vec<Opened>,
    /// Presets of the person's tools that the session is about.
    told: Vec<ToldPreset>,
    /// What the person should know, a sentence each.
    pub(super) notices: Vec<String>,
}

/// A preset that is open.
pub(super) struct Opened {
    pub(super) name: PresetName,
    /// Who said so.
    pub(super) by: &'static str,
    pub(super) entries: Vec<Entry>,
}

impl Sources {
    /// Reads it all. What a tool has to be asked for may take seconds.
    pub(super) fn gather(&self) -> Result<Gathered, Failure> {
        let config = self.config()?;
        let (repository, notice) = match &self.project {
            Some(project) => repository(project)?,
            None => (Config::default(), None),
        };
        let wanted = self.wanted(&config, &repository)?;
        let mut gathered = Gathered {
            config,
            repository,
            opened: Vec::new(),
            told: Vec::new(),
            notices: notice.into_iter().collect(),
        };
        self.open(&wanted, &mut gathered)?;
        self.offer(&mut gathered)?;
        Ok(gathered)
    }

    /// The person's configuration.
    pub(super) fn config(&self) -> Result<Config, Failure> {
        match &self.file {
            Some(file) => Config::load_named(file).map_err(invalid),
            None => config(),
        }
    }

    /// The presets that somebody wants, with those that belong to them, each once.
    fn wanted(
        &self,
        config: &Config,
        repository: &Config,
    ) -> Result<Vec<(PresetName, &'static str)>, Failure> {
        let mut wanted: Vec<(PresetName, _)> = Vec::new();
        if self.flags.no_presets {
            return Ok(wanted);
        }
        let chosen = match &self.project {
            Some(project) => config::chosen(project.path()).map_err(Failure::failed)?,
            None => None,
        };
        for (by, names) in [
            ("flag", Some(&self.flags.presets)),
            ("agent", Some(&self.flags.of_agent)),
            ("config", config.presets.as_ref()),
            ("repository", repository.presets.as_ref()),
            ("chosen", chosen.as_ref()),
        ] {
            for name in names
                .into_iter()
                .flatten()
                .flat_map(|name| name.with_included())
            {
                if wanted.iter().all(|(other, _)| *other != name) {
                    wanted.push((name, by));
                }
            }
        }
        Ok(wanted)
    }

    fn open(
        &self,
        wanted: &[(PresetName, &'static str)],
        gathered: &mut Gathered,
    ) -> Result<(), Failure> {
        let names: Vec<_> = wanted.iter().map(|(name, _)| *name).collect();
        let told = ask(&names, &self.around());
        for (name, by) in wanted {
            let entries = match told.iter().find(|(other, _)| other == name) {
                None => name.entries().to_vec(),
                Some((_, told)) => {
                    let entries = with_remembered(*name, told)?;
                    if entries.is_empty() {
                        gathered.notices.extend(told.faults.iter().map(|fault| {
                            format!(
                                "{fault}; what it asks for waits, and vibepit approve --preset \
                                 {name} remembers it"
                            )
                        }));
                    }
                    gathered.told.push(ToldPreset {
                        name: *name,
                        entries: entries.clone(),
                    });
                    entries
                }
            };
            gathered.opened.push(Opened {
                name: *name,
                by,
                entries,
            });
        }
        Ok(())
    }

    /// What a tool of the project would open is offered, as far as it is known without asking.
    fn offer(&self, gathered: &mut Gathered) -> Result<(), Failure> {
        let Some(project) = &self.project else {
            return Ok(());
        };
        let around = self.around();
        for name in detected(project) {
            let known = gathered.told.iter().any(|told| told.name == name);
            if let Some(tool) = name.preset().tool.filter(|_| !known) {
                let entries = with_remembered(name, &tools::known(tool, &around))?;
                gathered.told.push(ToldPreset { name, entries });
            }
        }
        Ok(())
    }

    fn around(&self) -> tools::Surroundings {
        around(self.project.as_ref())
    }
}

/// What files say, whether a session runs or not. A project that is not there any more says nothing.
pub(super) fn standing(project: Option<&Path>) -> Result<PolicyDocument, Failure> {
    let sources = Sources {
        flags: Flags::none(),
        project: project.and_then(|project| start::project(project).ok()),
        file: None,
    };
    Ok(sources.gather()?.document(&sources.flags))
}

/// What tools are asked with. Where the session has no project, the one that we stand in has no say
/// either.
pub(super) fn around(project: Option<&Project>) -> tools::Surroundings {
    let here = match project {
        Some(_) => None,
        None => start::project(Path::new(".")).ok(),
    };
    let project = project.or(here.as_ref());
    tools::Surroundings::of_this_process(project.map(Project::path))
}

/// What those presets open whose tools say it, as they say it now.
pub(super) fn ask(names: &[PresetName], around: &tools::Surroundings) -> Vec<(PresetName, Told)> {
    let tool = |name: &PresetName| Some((*name, name.preset().tool?));
    let (names, tools): (Vec<_>, Vec<_>) = names.iter().filter_map(tool).unzip();
    names
        .into_iter()
        .zip(tools::ask_if_new(&tools, around))
        .collect()
}

/// What a tool told, and what was remembered under its preset.
pub(super) fn with_remembered(name: PresetName, told: &Told) -> Result<Vec<Entry>, Failure> {
    let mut entries = told.entries();
    for entry in saved::remembered(name)? {
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// The presets that a project looks as if it needed. One that cannot be looked at needs none.
pub(super) fn detected(project: &Project) -> Vec<PresetName> {
    let names = launcher::names(project).unwrap_or_default();
    PresetName::all()
        .filter(|name| name.is_detected_in(&names))
        .collect()
}

/// What a project's own file says, if it is trusted as it is now; and if it is not, a line about it.
fn repository(project: &Project) -> Result<(Config, Option<String>), Failure> {
    let nothing = |why: String| Ok((Config::default(), Some(why)));
    let text = match launcher::settings(project) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok((Config::default(), None)),
        Err(error) => return nothing(error.to_string()),
    };
    let path = launcher::settings_path(project);
    let shown = path.display();
    match config::trusted(project.path()).map_err(Failure::failed)? {
        Some(trusted) if trusted == text => {
            let config = Config::of_repository(&text, &path).map_err(invalid)?;
            Ok((config, None))
        }
        Some(_) => nothing(format!(
            "{shown} has changed since it was trusted, and is not honoured: vibepit trust shows how"
        )),
        None => nothing(format!(
            "{shown} is not trusted, and not honoured: vibepit trust shows what it says"
        )),
    }
}

impl Gathered {
    /// What a session admits from the start, or from a reload on.
    pub(super) fn document(mut self, flags: &Flags) -> PolicyDocument {
        let unlisted = flags.unlisted.or(self.config.unlisted);
        let unlisted = unlisted.or(self.repository.unlisted);
        let unlisted = unlisted.unwrap_or(flags.otherwise);
        let own = &mut self.config;
        let theirs = &self.repository;
        let timeout = flags.approval_timeout.or(own.approval_timeout);
        own.approval_timeout = timeout.or(theirs.approval_timeout);
        own.unattended_timeout = own.unattended_timeout.or(theirs.unattended_timeout);
        let asking = (unlisted == Unlisted::RequestApproval).then(|| asking(&self.config));
        let group = |verdict, origin, entries: Vec<Entry>| RuleGroup {
            verdict,
            origin,
            preset: None,
            entries,
        };
        let mut rules = vec![
            group(Verdict::Allow, Origin::Flag, flags.allow.clone()),
            group(Verdict::Allow, Origin::Config, self.config.allow),
            group(Verdict::Deny, Origin::Config, self.config.deny),
            group(Verdict::Allow, Origin::Repository, self.repository.allow),
            group(Verdict::Deny, Origin::Repository, self.repository.deny),
        ];
        rules.extend(self.opened.into_iter().map(|opened| RuleGroup {
            preset: Some(opened.name),
            ..group(Verdict::Allow, Origin::Preset, opened.entries)
        }));
        rules.retain(|group| !group.entries.is_empty());
        PolicyDocument {
            asking,
            rules,
            allow_cidr: self.config.allow_cidr,
            allow_host_ports: self.config.allow_host_ports,
            upstream_dns: self.config.upstream_dns,
            screened: Vec::new(),
            sni_check: self.config.sni_check,
            presets: self.told,
        }
    }
}

/// How long what no rule covers waits for a person.
pub(super) fn asking(config: &Config) -> Asking {
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    let approval_timeout = config
        .approval_timeout
        .map_or_else(|| Asking::default().approval_timeout, seconds);
    Asking {
        approval_timeout,
        unattended_timeout: config.unattended_timeout.map_or(approval_timeout, seconds),
    }
}

/// The person's configuration.
pub(super) fn config() -> Result<Config, Failure> {
    let path = config::config_file().map_err(Failure::failed)?;
    Config::load(&path).map_err(invalid)
}

/// A configuration that cannot be used, with what to do about it.
pub(super) fn invalid(error: ConfigError) -> Failure {
    Failure::failed(error).hint(
        "vibepit config check says whether it can be used; man vibepit lists what may stand there",
    )
}
