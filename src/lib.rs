//! Gavel: a real-time card-fraud scorer.

pub mod scoring;
pub mod quality;
pub mod config;
pub mod files;
pub mod loading;
pub mod data;
pub mod simulation;
pub mod learning;
pub mod durability;
pub mod service;
pub mod commands;
