//! What the kernel says of a process, and the middle of what was measured.

use std::io::{BufWriter, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};

/// User and system time of a process so far, all its threads.
///
/// # Errors
/// A process that is not there.
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let file = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&file).with_context(|| format!("reading {file}"))?;
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th word after it.
    let (_, words) = text.rsplit_once(')').context("no name in a stat file")?;
    let mut words = words.split_ascii_whitespace().skip(11);
    let mut ticks = || -> anyhow::Result<u64> { Ok(words.next().context("a short stat file")?.parse()?) };
    // USER_HZ is 100 on every Linux that Rust knows.
    Ok(Duration::from_millis(10 * (ticks()? + ticks()?)))
}

/// A line of `/proc/PID/status` such as `VmRSS`, in KiB.
///
/// # Errors
/// A process that is not there, a line that is not there.
pub fn kib(pid: u32, name: &str) -> anyhow::Result<u64> {
    let file = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&file).with_context(|| format!("reading {file}"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.with_context(|| format!("{file} has no {name}"))?.parse()?)
}

/// A running `gzip -6`, and how much it has made of its lines.
#[derive(Debug)]
pub struct Gzip {
    running: Child,
    input: BufWriter<ChildStdin>,
    counting: JoinHandle<std::io::Result<u64>>,
}

impl Gzip {
    /// Starts it.
    ///
    /// # Errors
    /// No gzip on this machine.
    pub fn start() -> anyhow::Result<Self> {
        let mut running = Command::new("gzip")
            .args(["-6", "--stdout"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting gzip")?;
        let input = running.stdin.take().context("gzip has no input")?;
        let mut output = running.stdout.take().context("gzip has no output")?;
        let counting = std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Ok(Self {
            running,
            input: BufWriter::new(input),
            counting,
        })
    }

    /// One line more.
    ///
    /// # Errors
    /// A gzip that has ended.
    pub fn line(&mut self, line: &[u8]) -> anyhow::Result<()> {
        self.input.write_all(line)?;
        Ok(self.input.write_all(b"\n")?)
    }

    /// How many bytes it made.
    ///
    /// # Errors
    /// A gzip that says that it failed.
    pub fn finish(mut self) -> anyhow::Result<u64> {
        drop(self.input.into_inner()?);
        let status = self.running.wait()?;
        ensure!(status.success(), "gzip: {status}");
        let counted = self.counting.join();
        Ok(counted.map_err(|_| anyhow!("counting what gzip made ended early"))??)
    }
}

/// The middle one.
///
/// # Errors
/// None were measured.
pub fn median(values: &[f64]) -> anyhow::Result<f64> {
    quantile(values, 0.5)
}

/// The one below which this share of them lies.
///
/// # Errors
/// None were measured.
pub fn quantile(values: &[f64], share: f64) -> anyhow::Result<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
    match sorted.get(at) {
        Some(value) => Ok(*value),
        None => bail!("nothing was measured"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_itself() {
        let own = std::process::id();
        assert!(kib(own, "VmHWM").unwrap() >= kib(own, "VmRSS").unwrap() / 2);
        assert!(cpu(own).unwrap() < Duration::from_secs(3_600));
        assert!(kib(own, "VmNothing").is_err());
    }

    #[test]
    fn the_middle_is_no_mean() {
        assert_eq!(median(&[9.0, 1.0, 2.0]).unwrap(), 2.0);
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0, 100.0], 0.95).unwrap(), 100.0);
        assert!(median(&[]).is_err());
    }
}
