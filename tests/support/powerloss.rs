//! A disk that loses power: an ext4 in a file, which lies on an XFS that can clone files. A clone of the file at a random moment
//! is what had reached the disk then; what the kernel still had in memory is lost.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The disk, mounted.
pub struct Disk {
    // Dropped in this order: what is inside is unmounted first.
    ext4: Mount,
    image: PathBuf,
    _xfs: Mount,
    folder: tempfile::TempDir,
    clones: u32,
}

/// What a disk held at a moment, mounted.
pub struct Clone {
    mount: Mount,
    image: PathBuf,
}

struct Mount(PathBuf);

impl Disk {
    /// Makes and mounts one.
    ///
    /// # Errors
    /// Why that is impossible here: no root, no loop devices, a tool that is missing.
    pub fn new() -> Result<Disk, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let xfs_image = folder.path().join("xfs");
        sparse_file(&xfs_image, 4 << 30)?;
        run("mkfs.xfs", &["-q", "-m", "reflink=1"], &[&xfs_image])?;
        let xfs = Mount::new(&xfs_image, folder.path().join("beneath"))?;
        let image = xfs.0.join("ext4");
        sparse_file(&image, 1 << 30)?;
        run("mkfs.ext4", &["-q", "-F"], &[&image])?;
        let ext4 = Mount::new(&image, folder.path().join("disk"))?;
        Ok(Disk {
            ext4,
            image,
            _xfs: xfs,
            folder,
            clones: 0,
        })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.ext4.0
    }

    /// What has reached the disk by now.
    pub fn lose_power(&mut self) -> Clone {
        self.clones += 1;
        let image = self.image.with_extension(self.clones.to_string());
        run("cp", &["--reflink=always"], &[&self.image, &image]).expect("a clone of the disk");
        let folder = self.folder.path().join(format!("clone-{}", self.clones));
        let mount = Mount::new(&image, folder).expect("the clone can be mounted");
        Clone { mount, image }
    }
}

impl Clone {
    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount.0
    }
}

impl Drop for Clone {
    fn drop(&mut self) {
        // Still mounted: its blocks are free when it is unmounted.
        let _ = std::fs::remove_file(&self.image);
    }
}

impl Mount {
    fn new(image: &Path, folder: PathBuf) -> Result<Mount, String> {
        std::fs::create_dir(&folder).map_err(|e| e.to_string())?;
        run("mount", &["-o", "loop"], &[image, &folder])?;
        Ok(Mount(folder))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Somebody may still have a file open there: then it goes when that is closed.
        let _ = run("umount", &[], &[&self.0]).or_else(|_| run("umount", &["--lazy"], &[&self.0]));
    }
}

fn sparse_file(path: &Path, bytes: u64) -> Result<(), String> {
    std::fs::File::create(path)
        .and_then(|file| file.set_len(bytes))
        .map_err(|e| format!("{}: {e}", path.display()))
}

fn run(program: &str, options: &[&str], paths: &[&Path]) -> Result<(), String> {
    // As root, but perhaps without the folders of the system's tools.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new(program)
        .env("PATH", path)
        .args(options)
        .args(paths)
        .output()
        .map_err(|e| format!("{program}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program}: {}", said.trim()))
}
