//! The `gavel` command: parse arguments, call one command, exit with its code.

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(name = "gavel", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {}

fn main() -> ExitCode {
    match Arguments::parse().command {}
}
