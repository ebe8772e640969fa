//! What is generated from the flags: completions for shells, and the manual page.

use clap::Command;

use super::flags::Flags;

/// What the user asked for instead of a node.
pub(super) fn asked_for(flags: &Flags, command: &Command) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut command = command.clone();
    if let Some(shell) = flags.completions {
        let name = command.get_name().to_owned();
        clap_complete::generate(shell, &mut command, name, &mut out);
        return Some(out);
    }
    if flags.man_page {
        // A vector takes everything.
        let _ = clap_mangen::Man::new(command).render(&mut out);
        return Some(out);
    }
    None
}
