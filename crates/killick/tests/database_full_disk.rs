//! A disk that is full while rows are kept: nothing is committed that has no way back, at whatever byte it fills up.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "tests fail by panicking and print what they measured"
)]

mod faults;

use std::path::{Path, PathBuf};
use std::process::Command;

use faults::Faults;
use killick_testkit::postgres::Client;
use tempfile::TempDir;

/// The size of the disk.
const DISK_KIB: usize = 4_096;
/// Room that is left on it, in steps around what the rows of one statement take.
const ROOM_KIB: [usize; 11] = [0, 4, 8, 16, 32, 48, 64, 80, 96, 128, 512];
/// Rows of one statement.
const ROWS: usize = 20;

/// A small disk of its own. Dropped, it is gone.
struct Disk {
    at: PathBuf,
}

impl Disk {
    /// Mounts one; `None` where that takes rights that the test does not have.
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let size = format!("size={DISK_KIB}k");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at);
        mount.output().ok()?.status.success().then(|| Self { at: at.to_owned() })
    }

    /// Fills it, and leaves so much room.
    fn leave(&self, room_kib: usize) {
        let filler = self.at.join("filler");
        let _gone = std::fs::remove_file(&filler);
        let output =
            Command::new("df").args(["--output=avail", "-k"]).arg(&self.at).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let free: usize = text.lines().last().unwrap().trim().parse().unwrap();
        std::fs::write(&filler, vec![0; free.saturating_sub(room_kib) << 10]).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).output();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_removed_only_with_a_way_back_wherever_the_disk_fills_up() {
    let dir = TempDir::new().unwrap();
    let Some(disk) = Disk::mount(&dir.path().join("points")) else {
        eprintln!("skipped: a disk of its own takes the right to mount one");
        return;
    };
    let stage = Faults::with("production", Some(&disk.at.join("kept"))).await;
    let mut direct = stage.direct();
    let fill = "SET ROLE app; CREATE TABLE bulky (id int PRIMARY KEY, v text);
        INSERT INTO bulky SELECT g, string_agg(md5(g::text || '/' || n::text), '')
          FROM generate_series(1, 400) g, generate_series(1, 128) n GROUP BY g; ANALYZE bulky; RESET ROLE";
    assert!(direct.query(fill).unwrap().went_well());
    let (mut committed, mut refused) = (0, 0);
    for (at, room) in ROOM_KIB.into_iter().enumerate() {
        let before = checksum(&mut direct);
        disk.leave(room);
        let (_, url) = stage.session().await;
        let mut agent = Client::connect(&url).unwrap();
        let (from, to) = (at * ROWS + 1, (at + 1) * ROWS);
        let delete = format!("DELETE FROM bulky WHERE id >= {from} AND id <= {to}");
        let answer = agent.query(&delete).unwrap();
        // The session goes on, whatever became of the statement.
        assert_eq!(agent.query("SELECT 1").unwrap().value(), "1");
        drop(agent);
        let record = stage.gateway.record().await.unwrap();
        if answer.went_well() {
            committed += 1;
            let undo = record.iter().rev().find_map(|line| line["details"].get("undo")).unwrap();
            assert_eq!(undo["available"], true, "{room} KiB: committed without a way back: {undo}");
            let point = undo["point"].as_str().unwrap();
            disk.leave(512);
            stage.gateway.done(&["undo", point]).await.unwrap();
        } else {
            refused += 1;
            eprintln!("{room} KiB: {}", answer.errors[0].message);
        }
        assert_eq!(checksum(&mut direct), before, "{room} KiB: {answer:?}");
    }
    eprintln!(
        "{refused} deletes were refused on a full disk, {committed} were committed and undone"
    );
    assert!(refused >= 3 && committed >= 1, "{refused} refused, {committed} committed");
    let record = stage.gateway.record().await.unwrap();
    assert_eq!(stage.open_promised_points(&record).await, committed);
    assert_eq!(stage.gateway.verify().await.unwrap().code(), 0);
}

fn checksum(direct: &mut Client) -> String {
    direct.query("SELECT md5(string_agg(b::text, ',' ORDER BY id)) FROM bulky b").unwrap().value()
}
