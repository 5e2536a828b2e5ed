//! The `killick` command: the command line, the configuration, the wiring. No logic of its own.

mod adapters;
mod admin_client;
mod cli;
mod commands;
mod config;
mod daemon;
mod doctor;
mod environment;
mod failure;
mod home;
mod init;
mod ocsf;
mod record;
mod recovery;
mod rest;
mod secret_input;
mod show;
mod visit;
mod webhook;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let exit = match commands::run(cli) {
        Ok(exit) => exit,
        Err(failure) => {
            show::screen::aside(failure.to_string());
            failure.exit
        }
    };
    ExitCode::from(exit as u8)
}
