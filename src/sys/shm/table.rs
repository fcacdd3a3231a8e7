//! The kernel's own table of all segments, for what it will not say of a single one.
//!
//! In: /proc/sysvipc/shm, which anyone may read. Out: its rows. Where there is no such file the table is empty:
//! nothing but words depends on it.

use super::segment::{Id, SHM_DEST, Stat};
use std::fs;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// 0 when it was removed, or made without one.
    pub(super) key: u32,
    pub(super) id: Id,
    pub(super) stat: Stat,
}

/// All segments of this IPC namespace.
pub(super) fn rows() -> Vec<Row> {
    fs::read_to_string("/proc/sysvipc/shm").map_or_else(|_| Vec::new(), |text| parse(&text))
}

/// `key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime …`, below a heading. What is no row is left out.
fn parse(text: &str) -> Vec<Row> {
    text.lines().filter_map(Row::parse).collect()
}

impl Row {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = [""; 13];
        let mut words = line.split_ascii_whitespace();
        for field in &mut fields {
            *field = words.next()?;
        }
        let [
            key,
            id,
            mode,
            size,
            creator_pid,
            _lpid,
            attached,
            owner,
            _gid,
            creator,
            _cgid,
            last_attach,
            last_detach,
        ] = fields;
        // With the kernel's own bits above the nine.
        let mode = u32::from_str_radix(mode, 8).ok()?;
        Some(Self {
            // Printed as a signed number.
            key: key.parse::<i32>().ok()?.cast_unsigned(),
            id: Id(id.parse().ok()?),
            stat: Stat {
                owner: owner.parse().ok()?,
                creator: creator.parse().ok()?,
                creator_pid: creator_pid.parse().ok()?,
                mode: mode & 0o777,
                size: size.parse().ok()?,
                attached: attached.parse().ok()?,
                removed: mode & SHM_DEST != 0,
                last_attach: last_attach.parse().ok()?,
                last_detach: last_detach.parse().ok()?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig::Rig;
    use super::super::segment;
    use super::*;

    #[test]
    fn the_table_says_the_same_as_the_kernel() {
        let rig = Rig::new();
        let id = rig.make(1234, 0o641);
        let row = rows().into_iter().find(|row| row.id == id);
        assert_eq!(row.map(|row| row.stat), segment::stat(id).ok());
        assert_eq!(row.map(|row| row.key), Some(rig.unit().key()));
    }

    #[test]
    fn kernel_bits_are_no_part_of_the_mode() {
        let table = "key shmid perms size cpid lpid nattch uid gid cuid cgid\n\
                     -1 7 1666 80 3 1 2 1000 5 1001 5 6 0 0\nshort 8\n";
        let stat = Stat {
            owner: 1000,
            creator: 1001,
            creator_pid: 3,
            mode: 0o666,
            size: 80,
            attached: 2,
            removed: true,
            last_attach: 6,
            last_detach: 0,
        };
        let row = Row {
            key: u32::MAX,
            id: Id(7),
            stat,
        };
        assert_eq!(parse(table), [row]);
    }
}
