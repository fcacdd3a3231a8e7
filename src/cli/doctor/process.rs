//! Processes of this machine, as /proc tells of them: their names, and whose shared memory they see.

use crate::config::Output;
use std::fs;
use std::path::PathBuf;

/// By which the kernel knows our daemon.
const WEBNTPD: &str = "webntpd";

/// The name and the number of each process, by number. Those in a container, which has numbers of its own, are left out.
pub(super) fn all() -> Vec<(String, u32)> {
    let mut found: Vec<(String, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            Some((name_of(&status)?.to_owned(), pid))
        })
        .collect();
    found.sort_unstable_by_key(|(_, pid)| *pid);
    found
}

/// The name of a process by its `status`. One in a container is not of this machine's making.
fn name_of(status: &str) -> Option<&str> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let namespaces = field("NSpid:").map_or(1, |pids| pids.split_whitespace().count());
    (namespaces == 1).then_some(())?;
    Some(field("Name:")?.trim())
}

/// Among whom shared memory is shared.
pub(super) type Namespace = PathBuf;

/// That of a process, or of `self`; nothing if this user may not know.
pub(super) fn ipc(process: &str) -> Option<Namespace> {
    fs::read_link(format!("/proc/{process}/ns/ipc")).ok()
}

/// Who writes, as far as that is to be seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Writers {
    /// Each webntpd that runs.
    pub(super) pids: Vec<u32>,
    /// The one that answered, and whose shared memory it writes to.
    pub(super) answers: Option<(u32, Option<Namespace>)>,
    /// Whose shared memory we look at.
    pub(super) ours: Option<Namespace>,
}

impl Writers {
    /// Looks for them; `answers`: the process that the report is of.
    pub(super) fn look(answers: Option<u32>) -> Self {
        let ours = |(name, pid): (String, u32)| (name == WEBNTPD).then_some(pid);
        let pids: Vec<u32> = all().into_iter().filter_map(ours).collect();
        // In a container it has another number there than here.
        let answers = answers.filter(|pid| pids.contains(pid));
        Self {
            answers: answers.map(|pid| (pid, ipc(&pid.to_string()))),
            ours: ipc("self"),
            pids,
        }
    }

    /// Whether `reader` cannot see the segment that is written, and who writes it.
    pub(super) fn are_apart_from(&self, reader: Option<&Namespace>) -> Option<String> {
        let (who, writer) = match &self.answers {
            Some((pid, Some(writer))) => (format!("webntpd (process {pid})"), writer),
            _ => ("this program".to_owned(), self.ours.as_ref()?),
        };
        (reader? != writer).then_some(who)
    }

    /// The webntpd that answers, if it writes to other shared memory than this program sees.
    pub(super) fn out_of_sight(&self) -> Option<u32> {
        let (pid, writer) = self.answers.as_ref()?;
        (writer.as_ref()? != self.ours.as_ref()?).then_some(*pid)
    }

    /// `processes 120 and 340`
    pub(super) fn list(&self) -> String {
        let pids: Vec<String> = self.pids.iter().map(u32::to_string).collect();
        format!("processes {}", pids.join(" and "))
    }
}

/// Whether shared memory is the only way that samples go.
pub(super) fn is_only_shared(outputs: &[Output]) -> bool {
    outputs.iter().all(|output| output.unit().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_in_a_container_is_none_of_ours() {
        let status = |pids| format!("Name:\tchronyd\nPid:\t7\nNSpid:\t{pids}\n");
        assert_eq!(name_of(&status("7")), Some("chronyd"));
        assert_eq!(name_of(&status("7\t1")), None);
        assert_eq!(name_of("Name:\tntpd\n"), Some("ntpd"));
    }

    #[test]
    fn who_is_in_another_namespace_than_the_writer_is_apart_and_who_cannot_be_seen_is_not() {
        let [a, b] = ["ipc:[1]", "ipc:[2]"].map(Namespace::from);
        let mut writers = Writers {
            pids: vec![7],
            answers: Some((7, Some(a.clone()))),
            ours: Some(b.clone()),
        };
        assert_eq!(writers.are_apart_from(Some(&a)), None);
        let who = writers.are_apart_from(Some(&b));
        assert_eq!(who.as_deref(), Some("webntpd (process 7)"));
        assert_eq!(writers.are_apart_from(None), None);
        assert_eq!(writers.out_of_sight(), Some(7));
        writers.answers = Some((7, None));
        let who = writers.are_apart_from(Some(&a));
        assert_eq!(who.as_deref(), Some("this program"));
        assert_eq!(writers.out_of_sight(), None);
    }

    #[test]
    fn a_process_is_seen_with_its_namespace() {
        let ourselves = std::process::id();
        assert!(all().iter().any(|(_, pid)| *pid == ourselves));
        assert_eq!(ipc("self"), ipc(&ourselves.to_string()));
        assert!(ipc("self").is_some());
    }
}
