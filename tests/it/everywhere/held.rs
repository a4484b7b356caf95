//! The self-attack, on every runtime.

use super::Place;
use crate::doctor::{ABOUT_MOUNTS, all_held_but};
use crate::support::Ran;

pub(super) fn self_attack(place: &dyn Place) {
    let runtime = place.runtime();
    let ran = place.cli(&["doctor", "--json", "--runtime", runtime]);
    let left_out: &[&str] = match place.project_is_mounted() {
        true => &[],
        false => &ABOUT_MOUNTS,
    };
    all_held_but(&ran, runtime, left_out);
    let mut command = place.vibepit();
    command.args(["-v", "run", "--self-test", "--", "echo", "it runs"]);
    let ran = Ran::of(&mut command);
    assert!(
        ran.stderr.contains("trying to get out of a sandbox"),
        "{ran:?}"
    );
    assert_eq!(ran.ok(), "it runs\n");
}
