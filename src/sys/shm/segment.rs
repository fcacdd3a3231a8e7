//! A SysV shared memory segment with one time sample in it: the system calls, the layout, and the order of
//! the stores.
//!
//! This file holds all `unsafe` code of the crate. It offers safe functions only, and knows no policy:
//! which segments are attached, trusted or given up is for [`writer`](super::writer) to say.

#![expect(
    unsafe_code,
    reason = "SysV shared memory has no safe wrapper, and another process writes to it"
)]

use super::picture::{Picture, Split};
use libc::{c_int, c_uint, key_t, time_t};
use std::io;
use std::mem::{self, MaybeUninit};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicI32, Ordering, fence};

/// Bytes of a segment, in the ABI of the host.
pub(super) const SIZE: usize = size_of::<ShmTime>();

/// `struct shmTime` of ntpd's refclock_shm.c.
#[repr(C)]
struct ShmTime {
    /// 1: the reader compares `count` before and after its copy.
    mode: c_int,
    count: AtomicI32,
    clock_sec: time_t,
    clock_usec: c_int,
    receive_sec: time_t,
    receive_usec: c_int,
    leap: c_int,
    precision: c_int,
    nsamples: c_int,
    /// Not 0 while a sample waits; the reader sets it to 0.
    valid: AtomicI32,
    /// Whole nanoseconds of the second, not what is left below the microsecond.
    clock_nsec: c_uint,
    receive_nsec: c_uint,
    dummy: [c_int; 8],
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    use mem::offset_of;
    assert!(SIZE == 96);
    assert!(offset_of!(ShmTime, mode) == 0);
    assert!(offset_of!(ShmTime, count) == 4);
    assert!(offset_of!(ShmTime, clock_sec) == 8);
    assert!(offset_of!(ShmTime, clock_usec) == 16);
    assert!(offset_of!(ShmTime, receive_sec) == 24);
    assert!(offset_of!(ShmTime, receive_usec) == 32);
    assert!(offset_of!(ShmTime, leap) == 36);
    assert!(offset_of!(ShmTime, precision) == 40);
    assert!(offset_of!(ShmTime, nsamples) == 44);
    assert!(offset_of!(ShmTime, valid) == 48);
    assert!(offset_of!(ShmTime, clock_nsec) == 52);
    assert!(offset_of!(ShmTime, receive_nsec) == 56);
    assert!(offset_of!(ShmTime, dummy) == 60);
};

/// `nsamples` is read by nobody; ntpd sets it to 3.
const NSAMPLES: c_int = 3;

/// Bit of the mode that says: removed, lives on until the last one detaches. From linux/shm.h.
pub(super) const SHM_DEST: u32 = 0o1000;

/// One sample, in the fields of the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    /// True time: seconds since 1970, and nanoseconds (0 to 999 999 999).
    pub(super) clock: (i64, u32),
    /// CLOCK_REALTIME at that instant, likewise.
    pub(super) receive: (i64, u32),
    /// 0 none, 1 insert, 2 delete.
    pub(super) leap: i32,
    /// log2 of seconds.
    pub(super) precision: i32,
}

/// The number by which the kernel knows a segment, also after its key is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(pub(super) c_int);

/// What the kernel says about a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) owner: u32,
    /// Who made it, and may still do with it what the owner may.
    pub(super) creator: u32,
    /// The process that made it.
    pub(super) creator_pid: u32,
    /// The nine permission bits.
    pub(super) mode: u32,
    /// In bytes.
    pub(super) size: usize,
    /// How many processes have it attached.
    pub(super) attached: u64,
    /// Its key is gone, and it goes with the last one who detaches.
    pub(super) removed: bool,
    /// When somebody attached it last, in seconds since 1970; 0 for never.
    pub(super) last_attach: i64,
    /// When somebody detached it last, likewise.
    pub(super) last_detach: i64,
}

/// The segment of `key`, whatever its size and mode.
pub(super) fn lookup(key: u32) -> io::Result<Option<Id>> {
    match get(key, 0, 0) {
        Ok(id) => Ok(Some(id)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The segment of `key`, made with `mode` if there is none.
pub(super) fn create(key: u32, mode: u32) -> io::Result<Id> {
    get(key, SIZE, libc::IPC_CREAT | mode as c_int)
}

/// Takes the key from a segment; it lives on until the last one detaches.
pub(super) fn remove(id: Id) -> io::Result<()> {
    // SAFETY: IPC_RMID does not look at the pointer.
    check(unsafe { libc::shmctl(id.0, libc::IPC_RMID, ptr::null_mut()) }).map(drop)
}

/// What the kernel says about a segment; it tells only those who may read it.
pub(super) fn stat(id: Id) -> io::Result<Stat> {
    let ds = read_ds(id)?;
    // The widths of these fields differ between architectures.
    let (mode, attached) = (ds.shm_perm.mode as u32, ds.shm_nattch as u64);
    Ok(Stat {
        owner: ds.shm_perm.uid,
        creator: ds.shm_perm.cuid,
        creator_pid: ds.shm_cpid.unsigned_abs(),
        mode: mode & 0o777,
        size: ds.shm_segsz,
        attached,
        removed: mode & SHM_DEST != 0,
        last_attach: ds.shm_atime,
        last_detach: ds.shm_dtime,
    })
}

fn read_ds(id: Id) -> io::Result<libc::shmid_ds> {
    let mut ds = MaybeUninit::<libc::shmid_ds>::zeroed();
    // SAFETY: the pointer leads to a shmid_ds that IPC_STAT may fill.
    check(unsafe { libc::shmctl(id.0, libc::IPC_STAT, ds.as_mut_ptr()) })?;
    // SAFETY: all of it is integers, of which zero is one, and the call succeeded.
    Ok(unsafe { ds.assume_init() })
}

fn get(key: u32, size: usize, flags: c_int) -> io::Result<Id> {
    // SAFETY: no pointer is passed.
    check(unsafe { libc::shmget(key as key_t, size, flags) }).map(Id)
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

/// What came of attaching.
pub(super) enum Attached {
    /// Room for a sample.
    Fits(Segment, Stat),
    /// Too small; it was detached again, untouched.
    TooSmall(Stat),
}

/// An attached segment with room for a sample. Detached on drop.
#[derive(Debug)]
pub(super) struct Segment {
    id: Id,
    /// Mapped, writable and at least [`SIZE`] bytes long as long as this value lives.
    address: NonNull<ShmTime>,
}

// SAFETY: the mapping belongs to the process, not to a thread.
unsafe impl Send for Segment {}

impl Segment {
    /// Attaches a segment for reading and writing.
    pub(super) fn attach(id: Id) -> io::Result<Attached> {
        // SAFETY: the kernel chooses a free address, so that nothing mapped is replaced.
        let address = unsafe { libc::shmat(id.0, ptr::null(), 0) };
        if address.addr() == usize::MAX {
            return Err(io::Error::last_os_error());
        }
        let address = NonNull::new(address.cast())
            .ok_or_else(|| io::Error::other("shmat put the segment at address 0"))?;
        // Detaches when it turns out not to fit. From here on the id cannot change its meaning.
        let segment = Self { id, address };
        let stat = stat(id)?;
        Ok(if stat.size < SIZE {
            Attached::TooSmall(stat)
        } else {
            Attached::Fits(segment, stat)
        })
    }

    pub(super) fn id(&self) -> Id {
        self.id
    }

    pub(super) fn stat(&self) -> io::Result<Stat> {
        stat(self.id)
    }

    /// Whether a sample waits for the reader.
    pub(super) fn is_valid(&self) -> bool {
        self.valid().load(Ordering::Acquire) != 0
    }

    /// How many half updates there have been: two more after each sample.
    pub(super) fn count_now(&self) -> i32 {
        self.count().load(Ordering::Acquire)
    }

    /// Takes back a sample that nobody has read yet.
    pub(super) fn clear_valid(&self) {
        self.valid().store(0, Ordering::SeqCst);
    }

    /// Puts in a sample, over one that still waits.
    ///
    /// The order is the protocol. Readers copy when `valid` is set, so it is cleared first: chrony has no
    /// fence, and `count` alone lets a reader take half an update. ntpd and chrony, `mode` 1.
    pub(super) fn store(&self, contents: &Contents) {
        let (clock_sec, clock_nsec) = contents.clock;
        let (receive_sec, receive_nsec) = contents.receive;
        self.clear_valid();
        fence(Ordering::SeqCst);
        self.count().fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let shared = self.address.as_ptr();
        macro_rules! put {
            ($($field:ident = $value:expr),* $(,)?) => {
                // SAFETY: the mapping holds a whole ShmTime (see `address`), aligned as pages are; each
                // field is an integer, written through a raw pointer, no reference to it exists. Other
                // processes may look on, as the protocol wants: hence volatile.
                unsafe { $(ptr::write_volatile(&raw mut (*shared).$field, $value);)* }
            };
        }
        put! {
            clock_sec = clock_sec as time_t,
            // Truncated: a reader drops the nanoseconds that do not fit their microseconds.
            clock_usec = (clock_nsec / 1_000) as c_int,
            clock_nsec = clock_nsec,
            receive_sec = receive_sec as time_t,
            receive_usec = (receive_nsec / 1_000) as c_int,
            receive_nsec = receive_nsec,
            leap = contents.leap,
            precision = contents.precision,
            nsamples = NSAMPLES,
            mode = 1,
        }
        fence(Ordering::SeqCst);
        self.count().fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.valid().store(1, Ordering::SeqCst);
    }

    fn valid(&self) -> &AtomicI32 {
        // SAFETY: mapped as long as `self` lives; this field is only ever used as an atomic.
        unsafe { &(*self.address.as_ptr()).valid }
    }

    fn count(&self) -> &AtomicI32 {
        // SAFETY: mapped as long as `self` lives; this field is only ever used as an atomic.
        unsafe { &(*self.address.as_ptr()).count }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: mapped by `attach`, and no reference into it outlives `self`.
        unsafe { libc::shmdt(self.address.as_ptr().cast()) };
    }
}

/// What came of opening a segment for a look.
pub(super) enum Opened {
    /// Room for a sample.
    Fits(View),
    /// Too small; it was detached again.
    TooSmall,
}

/// A segment attached for reading only: the kernel would kill whoever wrote through it. Detached on drop.
#[derive(Debug)]
pub(super) struct View {
    /// Mapped, readable and at least [`SIZE`] bytes long as long as this value lives.
    address: NonNull<ShmTime>,
}

impl View {
    /// Attaches a segment for reading.
    pub(super) fn open(id: Id) -> io::Result<Opened> {
        // SAFETY: the kernel chooses a free address, so that nothing mapped is replaced.
        let address = unsafe { libc::shmat(id.0, ptr::null(), libc::SHM_RDONLY) };
        if address.addr() == usize::MAX {
            return Err(io::Error::last_os_error());
        }
        let address = NonNull::new(address.cast())
            .ok_or_else(|| io::Error::other("shmat put the segment at address 0"))?;
        // Detaches when it turns out not to fit. From here on the id cannot change its meaning.
        let view = Self { address };
        Ok(if stat(id)?.size < SIZE {
            Opened::TooSmall
        } else {
            Opened::Fits(view)
        })
    }

    /// A careful reader's copy, whether a sample waits or not: nothing when `count` moved meanwhile.
    pub(super) fn copy(&self) -> Option<Picture> {
        let before = self.count_now();
        fence(Ordering::SeqCst);
        let shared = self.address.as_ptr();
        macro_rules! take {
            ($field:ident) => {
                // SAFETY: the mapping holds a whole ShmTime (see `address`), aligned as pages are; each
                // field is an integer, for which any bits will do, read through a raw pointer. Other
                // processes may write at the same time: hence volatile.
                unsafe { ptr::read_volatile(&raw const (*shared).$field) }
            };
        }
        let picture = Picture {
            mode: take!(mode),
            count: before,
            clock: Split {
                sec: take!(clock_sec),
                usec: take!(clock_usec),
                nsec: take!(clock_nsec),
            },
            receive: Split {
                sec: take!(receive_sec),
                usec: take!(receive_usec),
                nsec: take!(receive_nsec),
            },
            leap: take!(leap),
            precision: take!(precision),
            nsamples: take!(nsamples),
            valid: self.valid_now(),
        };
        fence(Ordering::SeqCst);
        (self.count_now() == before).then_some(picture)
    }

    // Relaxed loads, with fences around them: others are not promised to work where nothing may be written.

    fn valid_now(&self) -> i32 {
        // SAFETY: mapped as long as `self` lives; this field is only ever used as an atomic.
        unsafe { &(*self.address.as_ptr()).valid }.load(Ordering::Relaxed)
    }

    fn count_now(&self) -> i32 {
        // SAFETY: mapped as long as `self` lives; this field is only ever used as an atomic.
        unsafe { &(*self.address.as_ptr()).count }.load(Ordering::Relaxed)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: mapped by `open`, and no reference into it outlives `self`.
        unsafe { libc::shmdt(self.address.as_ptr().cast()) };
    }
}

/// What the tests do to segments in the place of readers, daemons and strangers.
#[cfg(test)]
pub(super) mod foreign {
    use super::*;

    /// Makes a segment of any size, as another program would; fails when there is one.
    pub(in super::super) fn create(key: u32, size: usize, mode: u32) -> io::Result<Id> {
        get(key, size, libc::IPC_CREAT | libc::IPC_EXCL | mode as c_int)
    }

    /// Gives a segment to another user.
    pub(in super::super) fn chown(id: Id, uid: u32) -> io::Result<()> {
        let mut ds = read_ds(id)?;
        ds.shm_perm.uid = uid;
        // SAFETY: the pointer leads to an initialised shmid_ds.
        check(unsafe { libc::shmctl(id.0, libc::IPC_SET, &raw mut ds) }).map(drop)
    }

    /// All bytes of a segment.
    pub(in super::super) fn bytes(id: Id) -> Vec<u8> {
        let size = stat(id).expect("tests may read it").size;
        // SAFETY: the kernel chooses a free address.
        let address = unsafe { libc::shmat(id.0, ptr::null(), libc::SHM_RDONLY) };
        assert_ne!(address.addr(), usize::MAX, "tests may attach it");
        let byte = |at: usize| {
            // SAFETY: `at` is below the size of the mapping.
            unsafe { ptr::read_volatile(address.cast::<u8>().add(at)) }
        };
        let bytes = (0..size).map(byte).collect();
        // SAFETY: mapped above, and nothing refers to it any more.
        unsafe { libc::shmdt(address) };
        bytes
    }

    /// Fills a segment with 96 bytes of anybody's choice.
    pub(in super::super) fn fill(id: Id, bytes: &[u8; 96]) {
        // SAFETY: the kernel chooses a free address.
        let address = unsafe { libc::shmat(id.0, ptr::null(), 0) };
        assert_ne!(address.addr(), usize::MAX, "tests may attach it");
        for (at, &byte) in bytes.iter().enumerate() {
            // SAFETY: tests fill only segments that are as large.
            unsafe { ptr::write_volatile(address.cast::<u8>().add(at), byte) }
        }
        // SAFETY: mapped above, and nothing refers to it any more.
        unsafe { libc::shmdt(address) };
    }

    impl Segment {
        /// A careful reader's copy: nothing when no sample waits or `count` moved.
        pub(in super::super) fn copy(&self) -> Option<Contents> {
            let before = self.count_now();
            fence(Ordering::SeqCst);
            let valid = self.is_valid();
            fence(Ordering::SeqCst);
            let shared = self.address.as_ptr();
            macro_rules! take {
                ($field:ident) => {
                    // SAFETY: as for the stores.
                    unsafe { ptr::read_volatile(&raw const (*shared).$field) }
                };
            }
            let contents = Contents {
                clock: (take!(clock_sec), take!(clock_nsec)),
                receive: (take!(receive_sec), take!(receive_nsec)),
                leap: take!(leap),
                precision: take!(precision),
            };
            fence(Ordering::SeqCst);
            (valid && self.count_now() == before).then_some(contents)
        }
    }

    /// Runs `act` as another user, in a thread of its own. Needs root.
    pub(in super::super) fn as_user<T: Send>(uid: u32, act: impl FnOnce() -> T + Send) -> T {
        let run = move || {
            // SAFETY: the bare call, unlike libc's function, changes this thread alone, which ends below.
            let result = unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) };
            assert_eq!(result, 0, "root may become anyone");
            act()
        };
        std::thread::scope(|scope| scope.spawn(run).join().expect("no panic"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig::Rig;
    use super::*;

    const CONTENTS: Contents = Contents {
        clock: (0x0123_4567_89ab_cdef, 987_654_999),
        receive: (-2, 999_999_999),
        leap: 2,
        precision: -7,
    };

    fn attached(id: Id) -> Segment {
        match Segment::attach(id).expect("ours") {
            Attached::Fits(segment, _) => segment,
            Attached::TooSmall(stat) => panic!("{stat:?}"),
        }
    }

    // Decoded without the struct, by the offsets that ntpd's struct shmTime has on 64-bit hosts.
    #[test]
    fn every_field_stands_at_its_documented_offset() {
        let rig = Rig::new();
        let id = create(rig.unit().key(), 0o600).expect("a free unit");
        let segment = attached(id);
        segment.store(&CONTENTS);
        let bytes = foreign::bytes(id);
        assert_eq!(bytes.len(), 96);
        let i32_at = |at: usize| i32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four"));
        let i64_at = |at: usize| i64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight"));
        assert_eq!((i32_at(0), i32_at(4)), (1, 2), "mode, count");
        assert_eq!((i64_at(8), i32_at(16)), (0x0123_4567_89ab_cdef, 987_654));
        assert_eq!((i64_at(24), i32_at(32)), (-2, 999_999));
        assert_eq!((i32_at(36), i32_at(40)), (2, -7), "leap, precision");
        assert_eq!((i32_at(44), i32_at(48)), (3, 1), "nsamples, valid");
        assert_eq!((i32_at(52), i32_at(56)), (987_654_999, 999_999_999));
        assert_eq!((i32_at(20), &bytes[60..96]), (0, &[0; 36][..]), "rest");
    }

    #[test]
    fn count_goes_up_by_two_a_sample_and_wraps() {
        let rig = Rig::new();
        let segment = attached(create(rig.unit().key(), 0o600).expect("a free unit"));
        segment.count().store(i32::MAX, Ordering::SeqCst);
        segment.store(&CONTENTS);
        assert_eq!(segment.count_now(), i32::MIN + 1);
        segment.store(&CONTENTS);
        assert_eq!(segment.count_now(), i32::MIN + 3);
    }

    #[test]
    fn no_reader_ever_takes_half_an_update() {
        const SAMPLES: u32 = 200_000;
        let rig = Rig::new();
        let id = create(rig.unit().key(), 0o600).expect("a free unit");
        let sample = |number: u32| Contents {
            clock: (number.into(), number),
            receive: (number.into(), number),
            leap: number as i32,
            precision: number as i32,
        };
        let (writer, reader) = (attached(id), attached(id));
        let taken = std::thread::scope(|scope| {
            let writing =
                scope.spawn(move || (1..=SAMPLES).for_each(|number| writer.store(&sample(number))));
            let mut taken = 0;
            while !writing.is_finished() {
                if let Some(contents) = reader.copy() {
                    assert_eq!(contents, sample(contents.clock.1));
                    taken += 1;
                }
            }
            taken
        });
        assert_eq!(reader.copy(), Some(sample(SAMPLES)), "the last one waits");
        println!("{taken} copies taken while the writer ran");
    }

    #[test]
    fn a_view_cannot_write_and_is_gone_when_dropped() {
        let rig = Rig::new();
        let id = create(rig.unit().key(), 0o600).expect("a free unit");
        let mapped = || {
            let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux has it");
            let name = format!("/SYSV{:08x}", rig.unit().key());
            let line = maps.lines().find(|line| line.contains(&name));
            line.map(|line| line.contains(" r--s "))
        };
        let view = View::open(id).expect("ours");
        assert!(matches!(view, Opened::Fits(_)));
        assert_eq!(mapped(), Some(true));
        drop(view);
        assert_eq!(mapped(), None);
        let copy = || match View::open(id).expect("ours") {
            Opened::Fits(view) => view.copy(),
            Opened::TooSmall => None,
        };
        attached(id).store(&CONTENTS);
        let picture = copy().expect("nobody writes");
        assert_eq!((picture.clock.sec, picture.clock.nsec), CONTENTS.clock);
        assert_eq!((picture.receive.sec, picture.receive.usec), (-2, 999_999));
    }

    #[test]
    fn stat_tells_a_removed_segment_and_who_holds_it() {
        let rig = Rig::new();
        let id = create(rig.unit().key(), 0o640).expect("a free unit");
        let segment = attached(id);
        let before = segment.stat().expect("ours");
        assert_eq!(
            (before.mode, before.size, before.attached, before.removed),
            (0o640, 96, 1, false)
        );
        assert_eq!(before.creator_pid, std::process::id());
        let other = attached(id);
        remove(id).expect("ours");
        let after = segment.stat().expect("still attached");
        assert_eq!((after.attached, after.removed), (2, true));
        assert_eq!(lookup(rig.unit().key()).ok(), Some(None), "its key is gone");
        drop(other);
        assert_eq!(segment.stat().expect("still attached").attached, 1);
    }
}
