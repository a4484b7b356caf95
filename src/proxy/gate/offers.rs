//! Which presets a request belongs to: what is offered to whoever decides about it. An offer lets
//! nothing through.

use crate::api::{PresetOffer, ToldPreset};
use crate::policy::{Entry, PresetName, Target};

use super::Gate;
use super::snapshot::Snapshot;
use crate::proxy::queue::Offers;

/// Presets that are offered for one request: what several have is not worth a longer list.
const OFFERED: usize = 3;

impl Snapshot {
    /// What is offered for a target.
    pub(super) fn offers(&self, target: &Target) -> Offers {
        let covers = |entry: &Entry| entry.covers(&target.host, target.port);
        // What a preset merely includes is offered by the preset that has it.
        let lists = |name: &PresetName| self.own_entries(*name).iter().any(covers);
        let presets: Vec<_> = PresetName::all()
            .filter(lists)
            .take(OFFERED)
            .map(|name| self.offer(name))
            .collect();
        let told = self.presets().iter().map(|told| told.name.to_string());
        Offers {
            remember_under: match presets.is_empty() {
                true => told.take(OFFERED).collect(),
                false => Vec::new(),
            },
            presets,
        }
    }

    fn offer(&self, name: PresetName) -> PresetOffer {
        let preset = name.preset();
        let entries = self.entries_of(name);
        PresetOffer {
            name: name.to_string(),
            description: preset.description.to_owned(),
            entries: entries.iter().map(Entry::to_string).collect(),
            note: preset.note.map(str::to_owned),
        }
    }

    /// Everything that a preset opens in this session.
    fn entries_of(&self, name: PresetName) -> Vec<Entry> {
        let names = name.with_included().into_iter();
        names
            .flat_map(|name| self.own_entries(name))
            .cloned()
            .collect()
    }

    fn own_entries(&self, name: PresetName) -> &[Entry] {
        let told = |told: &&ToldPreset| told.name == name;
        match self.presets().iter().find(told) {
            Some(told) => &told.entries,
            None => name.entries(),
        }
    }
}

impl Gate {
    /// Everything that a preset opens in this session.
    pub(in crate::proxy) fn entries_of(&self, name: PresetName) -> Vec<Entry> {
        self.rules.load().entries_of(name)
    }
}
