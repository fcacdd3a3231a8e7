//! NTP's shared memory, as another process sees it.
//!
//! In: a unit. Out: the fields of its segment, and what the kernel knows of the segment.
//! Not: nothing of the program under test serves here. The offsets are written down a second time on purpose, and a
//! Python process does the reading, so that a mistake in the program's own layout cannot hide.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::process::{Process, output};
use super::{as_user, python};

pub(crate) const SIZE: usize = 96;

const SOON: Duration = Duration::from_secs(10);

/// `struct shmTime` of a 64-bit host.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Segment {
    pub(crate) mode: i32,
    pub(crate) count: i32,
    pub(crate) clock: Stamp,
    pub(crate) receive: Stamp,
    pub(crate) leap: i32,
    pub(crate) precision: i32,
    pub(crate) nsamples: i32,
    pub(crate) valid: i32,
    pub(crate) dummy: [i32; 8],
}

/// The same instant in microseconds and in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stamp {
    pub(crate) sec: i64,
    pub(crate) usec: i32,
    pub(crate) nsec: u32,
}

impl Segment {
    /// Reads the segment of `unit` from another process, without creating it.
    pub(crate) fn read(unit: u8) -> Option<Self> {
        Some(Self::of(Entry::of(unit)?.id))
    }

    /// Reads a segment by its id, also one that has lost its key. What is beyond the end of a small one reads as zero.
    pub(crate) fn of(id: i32) -> Self {
        Self::by(&mut Self::reader(id))
    }

    /// The program that reads a segment by its id, for whoever must run it elsewhere.
    pub(crate) fn reader(id: i32) -> Command {
        let mut command = python(READER);
        command.arg(id.to_string());
        command
    }

    /// Reads a segment by that program.
    pub(crate) fn by(reader: &mut Command) -> Self {
        let hex = output(reader, SOON)
            .unwrap_or_else(|failure| panic!("the segment cannot be read: {failure}"));
        let bytes: Vec<u8> = (0..hex.trim().len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("the reader prints hex"))
            .collect();
        Self::decode(&bytes.try_into().expect("the reader prints all"))
    }

    pub(crate) fn decode(bytes: &[u8; SIZE]) -> Self {
        let int = |at: usize| i32::from_ne_bytes(field(bytes, at));
        let stamp = |sec: usize, usec: usize, nsec: usize| Stamp {
            sec: i64::from_ne_bytes(field(bytes, sec)),
            usec: int(usec),
            nsec: u32::from_ne_bytes(field(bytes, nsec)),
        };
        Self {
            mode: int(0),
            count: int(4),
            clock: stamp(8, 16, 52),
            receive: stamp(24, 32, 56),
            leap: int(36),
            precision: int(40),
            nsamples: int(44),
            valid: int(48),
            dummy: std::array::from_fn(|index| int(60 + 4 * index)),
        }
    }

    /// Clock − receive; positive: the local clock is behind.
    pub(crate) fn offset_ns(&self) -> i128 {
        self.clock.ns() - self.receive.ns()
    }
}

impl Stamp {
    /// Nanoseconds since 1970.
    pub(crate) fn ns(self) -> i128 {
        i128::from(self.sec) * 1_000_000_000 + i128::from(self.nsec)
    }
}

fn field<const N: usize>(bytes: &[u8; SIZE], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}

/// A line of /proc/sysvipc/shm.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// 0 when the segment has been removed but somebody still holds it.
    pub(crate) key: i32,
    pub(crate) id: i32,
    /// Permission bits, and 0o1000 when it goes at the last detach.
    pub(crate) mode: u32,
    pub(crate) size: usize,
    /// How many hold it.
    pub(crate) attached: u32,
    pub(crate) owner: u32,
    /// Who made it, and keeps his rights when it is given to another.
    pub(crate) creator: u32,
}

impl Entry {
    pub(crate) fn all() -> Vec<Self> {
        let table =
            fs::read_to_string("/proc/sysvipc/shm").expect("the kernel has SysV shared memory");
        Self::listed(&table)
    }

    /// What such a table lists, from wherever it was read.
    pub(crate) fn listed(table: &str) -> Vec<Self> {
        table
            .lines()
            .skip(1)
            .map(|line| Self::parse(line).expect("the kernel's table has not changed"))
            .collect()
    }

    pub(crate) fn of(unit: u8) -> Option<Self> {
        Self::all().into_iter().find(|entry| entry.key == key(unit))
    }

    /// key shmid perms size cpid lpid nattch uid gid cuid cgid …
    fn parse(line: &str) -> Option<Self> {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [
            key,
            id,
            mode,
            size,
            _cpid,
            _lpid,
            attached,
            owner,
            _gid,
            creator,
            ..,
        ] = columns[..]
        else {
            return None;
        };
        Some(Self {
            key: key.parse().ok()?,
            id: id.parse().ok()?,
            mode: u32::from_str_radix(mode, 8).ok()?,
            size: size.parse().ok()?,
            attached: attached.parse().ok()?,
            owner: owner.parse().ok()?,
            creator: creator.parse().ok()?,
        })
    }
}

/// "NTP0" + unit.
pub(crate) fn key(unit: u8) -> i32 {
    0x4e54_5030 + i32::from(unit)
}

/// Makes the segment of `unit` as a program of the user `maker` would, who then gives it to `owner`. Needs a sandbox with
/// users.
pub(crate) fn make(unit: u8, size: usize, mode: u32, maker: u32, owner: u32) -> Entry {
    let arguments = [size.to_string(), mode.to_string(), owner.to_string()];
    let mut command = as_user(maker, &python(MAKER));
    command.arg(key(unit).to_string()).args(arguments);
    output(&mut command, SOON)
        .unwrap_or_else(|failure| panic!("unit {unit} cannot be made: {failure}"));
    Entry::of(unit).expect("it was made")
}

/// A stand-in for the program under test, which proves that the rest of the host works: it feeds `unit`, created with
/// mode 0666, four times a second with samples that say that the local clock is `offset_ns` behind.
pub(crate) fn writer(unit: u8, offset_ns: i64) -> Process {
    let mut process = Process::start(
        python(WRITER)
            .arg(key(unit).to_string())
            .arg(offset_ns.to_string()),
    );
    process.wait_line("fed", SOON);
    process
}

/// A program that attaches the segment of `unit` and looks on.
pub(crate) fn monitor(unit: u8) -> Process {
    let entry = Entry::of(unit).expect("there is a segment");
    let mut process = Process::start(python(MONITOR).arg(entry.id.to_string()));
    process.wait_line("attached", SOON);
    process
}

const MONITOR: &str = r#"
import ctypes, signal, sys
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
SHM_RDONLY = 0o10000
if libc.shmat(int(sys.argv[1]), None, SHM_RDONLY) != ctypes.c_void_p(-1).value: print("attached")
signal.pause()
"#;

const READER: &str = r#"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
SHM_RDONLY = 0o10000
address = libc.shmat(int(sys.argv[1]), None, SHM_RDONLY)
if address == ctypes.c_void_p(-1).value: sys.exit("shmat: " + os.strerror(ctypes.get_errno()))
print(ctypes.string_at(address, 96).hex())
"#;

/// The second and the third word of `struct shmid_ds` are the owner's uid and gid.
const MAKER: &str = r#"
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
IPC_CREAT, IPC_EXCL, IPC_SET, IPC_STAT = 0o1000, 0o2000, 1, 2
key, size, mode, owner = map(int, sys.argv[1:])
def check(result):
    if result == -1: sys.exit(os.strerror(ctypes.get_errno()))
    return result
shmid = check(libc.shmget(key, size, IPC_CREAT | IPC_EXCL | mode))
ds = (ctypes.c_char * 256)()
check(libc.shmctl(shmid, IPC_STAT, ds))
struct.pack_into("=I", ds, 4, owner)
check(libc.shmctl(shmid, IPC_SET, ds))
"#;

/// `valid` is cleared first and set last; Python has no fences, and a steady offset needs none.
const WRITER: &str = r#"
import ctypes, os, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
IPC_CREAT = 0o1000
shmid = libc.shmget(int(sys.argv[1]), 96, IPC_CREAT | 0o666)
if shmid == -1: sys.exit("shmget: " + os.strerror(ctypes.get_errno()))
segment = (ctypes.c_char * 96).from_address(libc.shmat(shmid, None, 0))
put = lambda form, at, *values: struct.pack_into("=" + form, segment, at, *values)
count = 0
while True:
    receive = time.time_ns()
    clock = receive + int(sys.argv[2])
    put("i", 48, 0)
    put("i", 4, count + 1)
    put("i", 0, 1)
    for at, at_nsec, (sec, nsec) in (8, 52, divmod(clock, 10**9)), (24, 56, divmod(receive, 10**9)):
        put("qi", at, sec, nsec // 1000)
        put("I", at_nsec, nsec)
    put("iii", 36, 0, -10, 0)
    count += 2
    put("i", 4, count)
    put("i", 48, 1)
    if count == 2: print("fed")
    time.sleep(0.25)
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found_at_its_documented_offset() {
        let words: [i32; SIZE / 4] = std::array::from_fn(|index| index as i32);
        let bytes: Vec<u8> = words.into_iter().flat_map(i32::to_ne_bytes).collect();
        let word =
            |at: usize| i64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let segment = Segment {
            mode: 0,
            count: 1,
            clock: Stamp {
                sec: word(8),
                usec: 4,
                nsec: 13,
            },
            receive: Stamp {
                sec: word(24),
                usec: 8,
                nsec: 14,
            },
            leap: 9,
            precision: 10,
            nsamples: 11,
            valid: 12,
            dummy: [15, 16, 17, 18, 19, 20, 21, 22],
        };
        assert_eq!(
            Segment::decode(bytes.as_slice().try_into().expect("96 bytes")),
            segment
        );
    }

    #[test]
    fn a_line_of_the_kernels_table_is_read() {
        let line = "1314148402     5  1666    96  120  121   2  1000  1000  1001  5 1700000000 0 1700000000 4096 0";
        let entry = Entry {
            key: key(2),
            id: 5,
            mode: 0o1666,
            size: SIZE,
            attached: 2,
            owner: 1000,
            creator: 1001,
        };
        assert_eq!(Entry::parse(line), Some(entry));
    }
}
