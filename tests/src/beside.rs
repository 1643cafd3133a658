use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::{changegate, until};

/// A folder that goes with the value.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new, empty one.
    ///
    /// # Panics
    /// Where the system gives none.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("changegate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    /// A file in it, with these bytes.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("a temporary file");
        path
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// Exit status.
    pub status: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Runs it, with this text as standard input.
    ///
    /// # Panics
    /// Where it cannot be run.
    pub fn by(command: &mut Command, input: &str) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program runs");
        let mut stdin = child.stdin.take().expect("it was piped");
        // A command that reads nothing has closed it.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("it was started here");
        Self {
            status: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The same, held to its exit status.
    ///
    /// # Panics
    /// On any other.
    #[track_caller]
    pub fn status(self, expected: i32) -> Self {
        assert_eq!(self.status, Some(expected), "{self:#?}");
        self
    }
}

/// `changegate up` in a folder of its own, with settings of its own; ended with the value.
#[derive(Debug)]
pub struct Up {
    child: Child,
    config: PathBuf,
    told: String,
}

impl Up {
    /// Starts it and waits until it says that everything runs. The folder keeps its data.
    ///
    /// # Panics
    /// Where it ends instead.
    pub fn start(folder: &Folder, settings: &str) -> Self {
        let text = format!(
            "{settings}\n[http]\nlisten = \"127.0.0.1:0\"\n[engines]\ndata_dir = {:?}\n",
            folder.path().join("data").display().to_string()
        );
        let config = folder.file("changegate.toml", text);
        let mut command = changegate();
        command.arg("--config").arg(&config).arg("up");
        let log = std::fs::File::create(folder.path().join("up.err")).expect("a log");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the program runs");
        let mut lines = BufReader::new(child.stdout.take().expect("it was piped")).lines();
        let mut seen = String::new();
        loop {
            match lines.next() {
                Some(Ok(line)) if line.starts_with("Ctrl-C") => break,
                Some(Ok(line)) => seen.push_str(&format!("{line}\n")),
                _ => {
                    let log = std::fs::read_to_string(folder.path().join("up.err")).unwrap_or_default();
                    panic!("`changegate up` ended: {seen}{log}");
                }
            }
        }
        Self {
            child,
            config,
            told: seen,
        }
    }

    /// What it told on standard output when everything ran.
    pub fn told(&self) -> &str {
        &self.told
    }

    /// A command beside it, with the same settings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = changegate();
        command.arg("--config").arg(&self.config).args(arguments);
        command
    }

    /// Runs a command beside it.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Said {
        Said::by(&mut self.command(arguments), "")
    }

    /// The answer to a question, one value a line.
    #[track_caller]
    pub fn sql(&self, question: &str) -> String {
        let said = self.run(&["sql", question, "--format", "TSVRaw"]).status(0);
        said.out.trim_end().to_owned()
    }

    /// Asks until the answer is the expected one.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn wait_for(&self, question: &str, expected: &str) {
        let mut last = String::new();
        until(&format!("{expected} for {question}"), || {
            let answer = self.sql(question);
            if answer != last {
                eprintln!("{question}: {answer}");
                last.clone_from(&answer);
            }
            (answer == expected).then_some(())
        });
    }

    /// Ends it as the system would, and says how it ended.
    ///
    /// # Panics
    /// Where it cannot be told.
    pub fn stop(mut self) -> Option<i32> {
        let told = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(told.success());
        self.child.wait().expect("it was started here").code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let errors = std::fs::read_to_string(self.config.with_file_name("up.err")).unwrap_or_default();
            eprintln!("the log of `changegate up`:\n{errors}");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
