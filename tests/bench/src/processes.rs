//! Processor time of servers that are more than one process.

use std::collections::HashMap;

use anyhow::Context as _;

/// Seconds of processor time that these processes and all that descend from them have used, in hundredths; also what those
/// used that have ended and were waited for.
///
/// # Errors
/// One of `roots` is gone.
pub fn cpu_seconds(roots: &[u32]) -> anyhow::Result<f64> {
    let mut ticks = HashMap::new();
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // Whatever ended meanwhile has no line any more.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        let (parent, used) = parent_and_ticks(&stat).context("the kernel tells no stat")?;
        ticks.insert(pid, used);
        children.entry(parent).or_default().push(pid);
    }
    let mut wanted = roots.to_vec();
    for root in roots {
        anyhow::ensure!(ticks.contains_key(root), "process {root} is gone");
    }
    let mut sum = 0;
    while let Some(pid) = wanted.pop() {
        sum += ticks.get(&pid).copied().unwrap_or_default();
        wanted.extend(children.get(&pid).into_iter().flatten());
    }
    Ok(sum as f64 / 100.0)
}

/// Of a line of `/proc/PID/stat`: the parent, and what the process and its children that ended have used, in hundredths of a
/// second. The name in brackets may hold anything; behind it the parent is the 2nd field, utime, stime, cutime and cstime are
/// the 12th to 15th (proc(5)).
fn parent_and_ticks(stat: &str) -> Option<(u32, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let parent = fields.get(1)?.parse().ok()?;
    let used = fields.get(11..15)?.iter().map(|field| field.parse::<u64>());
    Some((parent, used.sum::<Result<u64, _>>().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = "77 (a) 9 (b c) S 12 77 77 0 -1 4194304 90 0 0 0 100 20 3 4 20 0 1 0 5 6 7";
        assert_eq!(parent_and_ticks(stat), Some((12, 127)));
        assert_eq!(parent_and_ticks("77 (a) S 12"), None);
        assert_eq!(parent_and_ticks(""), None);
    }

    #[test]
    fn one_that_is_gone_is_an_error_and_not_nothing_used() {
        assert!(cpu_seconds(&[std::process::id()]).is_ok());
        // Larger than any id that Linux gives.
        assert!(cpu_seconds(&[(1 << 22) + 1]).is_err());
    }
}
