//! Training on data that stays in its files: the same weights as from memory, in any order of rows, after any loss.

use optc::diag::render::render;
use optc::driver::{self, EngineKind, Experiment, Job, Request, Session};
use optc::train::{Failure, Silent, Summary, TrainOptions, train};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

const PROGRAM: &str = r#"
use layers.{Dense, flatten}
use losses.cross_entropy
use metrics.accuracy
use optimizers.Adam

data pictures = SOURCE

train small() on pictures {
  batch = 32; epochs = 4; seed = 5
  let net = Dense(3)
  step(x, label) {
    let logits = net(flatten(x))
    minimize cross_entropy(logits, label) with Adam(1e-2)
    report accuracy(logits, label)
  }
}
"#;

const ROWS: usize = 500;

pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("optc-it-streaming-{}-{test}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    /// Pictures of three classes as a npy file and an idx file.
    fn with_pictures(test: &str) -> Folder {
        let folder = Folder::new(test);
        let pixel = |row: usize, at: usize| ((row * 31 + at * 17 + (row % 3) * at * 40) % 256) as u8;
        let pixels: Vec<u8> = (0..ROWS * 12).map(|i| pixel(i / 12, i % 12)).collect();
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({ROWS}, 3, 4), }}\n");
        let mut npy = b"\x93NUMPY\x01\x00".to_vec();
        npy.extend((header.len() as u16).to_le_bytes());
        npy.extend(header.as_bytes());
        npy.extend(&pixels);
        std::fs::write(folder.0.join("x.npy"), npy).expect("a file");
        let mut labels = vec![0, 0, 8, 1];
        labels.extend((ROWS as u32).to_be_bytes());
        labels.extend((0..ROWS).map(|row| (row % 3) as u8));
        std::fs::write(folder.0.join("label"), labels).expect("a file");
        let mut idx = vec![0, 0, 8, 3];
        [ROWS, 3, 4].iter().for_each(|d| idx.extend((*d as u32).to_be_bytes()));
        idx.extend(&pixels);
        std::fs::write(folder.0.join("x"), idx).expect("a file");
        folder
    }

    pub fn job(&self, text: &str) -> Job {
        let mut session = Session::new();
        let file = session.sources.add("test.opt", text);
        session.show(file);
        let request = Request { data_dir: Some(self.0.clone()), ..Request::default() };
        match session.experiment(&request) {
            Ok(Experiment::Train(job)) => *job,
            Ok(_) => panic!("one training"),
            Err(problems) => panic!("{}", render(&session.sources, &problems, false)),
        }
    }

    pub fn options(&self, out: &str) -> TrainOptions {
        TrainOptions { threads: 2, out: Some(self.0.join(out)), ..TrainOptions::default() }
    }

    /// All tensors of the end, without what the header says about the run.
    fn weights(&self, out: &str) -> Vec<u8> {
        let bytes = std::fs::read(self.0.join(out).join("checkpoints/final.safetensors")).expect("a checkpoint");
        let header = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
        bytes[8 + header..].to_vec()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn run(job: &Job, options: &TrainOptions) -> Result<Summary, Failure> {
    let engine = driver::engine(EngineKind::Jit, options.threads.max(1));
    train(&job.program, engine.as_ref(), job.dataset.as_ref(), options, &mut Silent)
}

fn program(stream: bool, steps: &str) -> String {
    PROGRAM.replace("SOURCE", &format!("idx(x = \"x\", label = \"label\", stream = {stream}) {steps}"))
}

#[test]
fn a_streamed_training_ends_with_the_same_bits() {
    let folder = Folder::with_pictures("same");
    let steps = "|> split(test = 0.2, stratify = label) |> standardize(x)";
    for (index, order) in ["", "|> shuffle(buffer = 100)"].iter().enumerate() {
        let mut seen = vec![];
        for stream in [false, true] {
            for threads in [1, 2] {
                let out = format!("{index}-{stream}-{threads}");
                let job = folder.job(&program(stream, &format!("{steps} {order}")));
                let summary = run(&job, &TrainOptions { threads, ..folder.options(&out) }).expect("it trains");
                seen.push((folder.weights(&out), summary.test));
            }
        }
        assert!(seen.iter().all(|s| *s == seen[0]), "{order}");
    }
    assert_ne!(folder.weights("0-true-1"), folder.weights("1-true-1"), "a buffer makes another order");
}

#[test]
fn a_run_with_a_buffer_resumes_in_the_middle_of_an_epoch() {
    let folder = Folder::with_pictures("resume");
    let job = folder.job(&program(true, "|> shuffle(buffer = 90)"));
    run(&job, &folder.options("whole")).expect("it trains");
    for step in [1, 7, 16, 33] {
        let out = format!("cut-{step}");
        run(&job, &TrainOptions { steps: Some(step), ..folder.options(&out) }).expect("it trains");
        std::fs::rename(last(&folder, &out, "final"), last(&folder, &out, "last")).expect("a checkpoint");
        run(&job, &TrainOptions { resume: true, ..folder.options(&out) }).expect("it goes on");
        assert!(folder.weights("whole") == folder.weights(&out), "after step {step}");
    }
    let other = folder.job(&program(true, "|> shuffle(buffer = 91)"));
    let refused = run(&other, &TrainOptions { resume: true, ..folder.options("whole") }).expect_err("another order");
    assert_eq!(refused.diagnostics()[0].code, "E0501");
}

fn last(folder: &Folder, out: &str, name: &str) -> PathBuf {
    folder.0.join(out).join(format!("checkpoints/{name}.safetensors"))
}

fn cut(path: &Path, bytes: u64) {
    OpenOptions::new().write(true).open(path).expect("a file").set_len(bytes).expect("it is cut");
}

/// A file that becomes shorter under a run: the run stops with what it reached, and goes on once the file is back.
#[test]
fn a_lost_file_stops_the_run_and_loses_nothing() {
    let folder = Folder::with_pictures("lost");
    let file = folder.0.join("x");
    let whole = std::fs::read(&file).expect("a file");
    // In the order of the file, so that the last rows come last; and with test rows behind them.
    for (name, steps, length, step) in [
        ("train", "|> shuffle(buffer = 64)", 3000, None),
        ("ordered", "", 3000, Some(7)),
        ("test", "|> split(last = 100)", 5000, Some(13)),
    ] {
        let text = program(true, steps).replace("seed = 5", "seed = 5; shuffle = SHUFFLE");
        let text = text.replace("SHUFFLE", if step == Some(7) { "false" } else { "true" });
        let job = folder.job(&text);
        run(&job, &folder.options(&format!("{name}-whole"))).expect("it trains");
        cut(&file, length);
        let failure = run(&job, &folder.options(name)).expect_err("rows are gone");
        let lost = &failure.diagnostics()[0];
        assert_eq!((lost.code, failure.exit_status()), ("E0411", 3), "{name}: {lost:?}");
        assert!(lost.help.as_ref().is_some_and(|help| help.contains("--resume")), "{name}: {lost:?}");
        if let Some(step) = step {
            assert!(lost.notes.iter().any(|note| note.contains(&format!("after step {step} of"))), "{name}: {lost:?}");
        }
        std::fs::write(&file, &whole).expect("the file is back");
        run(&job, &TrainOptions { resume: true, ..folder.options(name) }).expect("it goes on");
        assert!(folder.weights(name) == folder.weights(&format!("{name}-whole")), "{name}");
    }
}

/// The most memory that a run of the binary ever had, in bytes; the system must tell.
#[cfg(target_os = "linux")]
fn peak(folder: &Folder, program: &str) -> usize {
    use std::process::{Command, Stdio};
    std::fs::write(folder.0.join("run.opt"), program).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_optc"));
    command.args(["run", "run.opt", "--quiet", "--threads", "1"]).current_dir(&folder.0).stdout(Stdio::null());
    let mut child = command.spawn().expect("the binary runs");
    let mut most = 0;
    let status = loop {
        let told = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = told.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<usize>().ok());
        most = most.max(kilobytes.unwrap_or(0) << 10);
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    };
    assert!(status.success(), "{program}");
    most
}

#[cfg(target_os = "linux")]
#[test]
fn streamed_data_does_not_go_into_memory() {
    use std::io::Write;
    const MB: usize = 1 << 20;
    let folder = Folder::new("peak");
    let text = |source: &str| {
        PROGRAM.replace("SOURCE", source).replace("batch = 32; epochs = 4", "batch = 32; steps = 40; epochs = 1")
    };
    // Zeros take no room on the disk.
    let rows = 98_304;
    let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({rows}, 1024), }}\n");
    let mut file = std::fs::File::create(folder.0.join("x.npy")).expect("a file");
    file.write_all(b"\x93NUMPY\x01\x00").expect("it is written");
    file.write_all(&(header.len() as u16).to_le_bytes()).expect("it is written");
    file.write_all(header.as_bytes()).expect("it is written");
    file.set_len((10 + header.len() + rows * 1024) as u64).expect("a long file");
    let mut labels = format!("\x7f{{'descr': '|u1', 'fortran_order': False, 'shape': ({rows},), }}\n").into_bytes();
    labels.splice(..1, [&b"\x93NUMPY\x01\x00"[..], &((labels.len() - 1) as u16).to_le_bytes()].concat());
    labels.extend((0..rows).map(|row| (row % 3) as u8));
    std::fs::write(folder.0.join("label.npy"), labels).expect("a file");
    let source = |stream| text(&format!("npy(x = \"x.npy\", label = \"label.npy\", stream = {stream})"));
    let [memory, disk] = [false, true].map(|stream| peak(&folder, &source(stream)));
    assert!(disk + 64 * MB < memory, "{} and {} MB", memory / MB, disk / MB);

    // Two bytes of text for each number of eight.
    let line = |row: usize| (0..65).map(|at| ["1", "2", "3"][(row + at) % 3]).collect::<Vec<_>>().join(",");
    let table: String = (0..40_000).map(|row| line(row) + "\n").collect();
    std::fs::write(folder.0.join("t.csv"), table).expect("a file");
    let source = |stream| {
        text(&format!("csv(\"t.csv\", x = except([0]), label = label(0), stream = {stream}) |> standardize(x)"))
    };
    let [memory, disk] = [false, true].map(|stream| peak(&folder, &source(stream)));
    assert!(disk + 10 * MB < memory, "{} and {} MB", memory / MB, disk / MB);
}

/// No folder for temporary files is as bad as a full one.
#[cfg(unix)]
#[test]
fn a_table_without_room_says_so() {
    let folder = Folder::new("room");
    std::fs::write(folder.0.join("t.csv"), "a,b\n1,2\n3,4\n").expect("a file");
    let data = "data d = csv(\"t.csv\", a = \"a\", b = \"b\", stream = true)\n";
    std::fs::write(folder.0.join("d.opt"), data).expect("a file");
    let run = |room: &Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_optc"));
        let out = command.args(["data", "d.opt"]).current_dir(&folder.0).env("TMPDIR", room).output();
        let out = out.expect("the binary runs");
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (status, told) = run(&folder.0.join("nowhere"));
    assert!(status == Some(1) && told.contains("E0412") && told.contains("TMPDIR"), "{told}");
    let (status, told) = run(&folder.0);
    assert_eq!(status, Some(0), "{told}");
    // The file has no name.
    assert_eq!(std::fs::read_dir(&folder.0).expect("a folder").count(), 2);
}
