//! `penstock generate`: what a package holds beside the binary, made from the arguments as they are.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap_complete::Shell;
use serde_json::json;

use super::output::Failure;
use super::{Answer, Cli, Format, Outcome, output};
use crate::error::{Error, Kind};

/// Writes `DIRECTORY/man/*.1` and `DIRECTORY/completions/*`.
pub(super) fn run(cli: &Cli, directory: &Path) -> Outcome {
    let files = write(directory).map_err(|error| {
        let what = format!("cannot write into {}", directory.display());
        Failure::from(
            Error::new(Kind::Usage, what)
                .with_source(error)
                .with_remedy("name a directory that can be written"),
        )
    })?;
    if cli.format == Format::Json {
        output::print_json(&json!({ "files": files }))?;
    } else {
        let count = files.len();
        output::print(&format!("{count} files below {}", directory.display()))?;
    }
    Ok(Answer::Done)
}

fn write(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let (man, completions) = (directory.join("man"), directory.join("completions"));
    std::fs::create_dir_all(&man)?;
    std::fs::create_dir_all(&completions)?;
    // One page for each command; hidden ones have none.
    clap_mangen::generate_to(Cli::command(), &man)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Cli::command(), "penstock", &completions)?;
    }
    let mut files = Vec::new();
    for folder in [man, completions] {
        for entry in std::fs::read_dir(folder)? {
            files.push(entry?.path());
        }
    }
    files.sort();
    Ok(files)
}
