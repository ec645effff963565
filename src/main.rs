//! The `gavel` command: parse arguments, call one command, exit with its code.

use std::process::ExitCode;

use clap::Parser;
use gavel::commands::{
    backtest, check, demo, evaluate, explain, features, load, reload, score, serve, simulate, train,
};

/// A message allocates some thirty times within the NATS client: what serves these matters.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(name = "gavel", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Watch a broker, the service and a processor at work
    Demo(demo::DemoArguments),
    /// Check the types, examples and lint of a rule set
    Check(check::CheckArguments),
    /// Show one transaction of a file as the rules saw it
    Explain(explain::ExplainArguments),
    /// Replay history under one or two rule sets and compare them by its labels
    Backtest(backtest::BacktestArguments),
    /// Score a file through the same code as the service, without a broker
    Score(score::ScoreArguments),
    /// Write a labelled stream with named patterns of fraud
    Simulate(simulate::SimulateArguments),
    /// Write the features of each transaction
    Features(features::FeaturesArguments),
    /// Learn a model from labelled transactions
    Train(train::TrainArguments),
    /// Measure a model on labelled transactions
    Evaluate(evaluate::EvaluateArguments),
    /// Serve verdicts over NATS
    Serve(serve::ServeArguments),
    /// Ask a running service to take over what lies on disk
    Reload(reload::ReloadArguments),
    /// Measure a service under load, as an open-loop processor
    Load(load::LoadArguments),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Backtest(arguments) => backtest::run(&arguments),
        Command::Score(arguments) => score::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Features(arguments) => features::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Reload(arguments) => reload::run(&arguments),
        Command::Load(arguments) => load::run(&arguments),
    }
}
