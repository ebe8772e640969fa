//! The bound of the history where the user gives none: what the disk has room for.

use std::io;

use super::files::Files;

/// The part of the disk that stays free: a twentieth.
const FREE: u64 = 20;

/// A history that is no larger is never made smaller for want of space, in bytes.
const SPARED: u64 = 1024 * 1024 * 1024;

/// A file system, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    pub(super) free: u64,
    pub(super) total: u64,
}

impl Space {
    pub(super) fn of(files: &Files) -> io::Result<Self> {
        let found = rustix::fs::statvfs(files.folder())?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Self { free: bytes(found.f_bavail), total: bytes(found.f_blocks) })
    }

    /// How many bytes a database may hold that holds so many, and has so many more that it does not use. None: as it likes.
    pub(super) fn bound(self, used: u64, unused: u64) -> Option<u64> {
        let missing = (self.total / FREE).checked_sub(self.free.saturating_add(unused))?;
        Some(used.saturating_sub(missing).max(SPARED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1024 * 1024 * 1024;

    #[test]
    fn a_twentieth_of_the_disk_stays_free() {
        let space = |free| Space { free: free * GIB, total: 400 * GIB };
        assert_eq!(space(21).bound(9 * GIB, 0), None);
        assert_eq!(space(17).bound(9 * GIB, 0), Some(6 * GIB));
        assert_eq!(space(17).bound(8 * GIB, GIB), Some(6 * GIB), "what went is not counted twice");
        assert_eq!(space(17).bound(6 * GIB, 3 * GIB), Some(6 * GIB));
        assert_eq!(space(0).bound(9 * GIB, 0), Some(GIB), "others fill the disk");
        assert_eq!(space(0).bound(GIB / 2, 0), Some(GIB));
    }

    #[test]
    fn the_space_is_that_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path(), proto_core::NetworkId::named(""));
        let space = Space::of(&files).unwrap();
        assert!(space.free <= space.total && space.total > 0);
    }
}
