//! Models under a running service: challengers that look on, their quality as labels come, and a model file swapped
//! while requests come.

mod made_models;
mod support;

use std::{fs, path::Path};

use async_nats::Client;
use gavel::scoring::model::Model;
use made_models::model_file;
use support::{Broker, Gavel};

/// Asks for a verdict; its JSON.
async fn verdict(client: &Client, id: &str, amount: u64) -> serde_json::Value {
    let body = format!(r#"{{"id":"{id}","time":1532513730123,"card":"c_1","amount":{amount},"currency":"EUR"}}"#);
    let answer = client.request("fraud.v1.score.p1.c_1", body.into()).await.expect("an answer");
    serde_json::from_slice(&answer.payload).expect("JSON")
}

async fn label(client: &Client, id: &str, label: &str, time: u64) {
    let body = format!(r#"{{"id":"{id}","card":"c_1","time":{time},"label":"{label}","source":"analyst"}}"#);
    client.request("fraud.v1.label.p1.c_1", body.into()).await.expect("an answer");
}

fn version(file: &[u8]) -> String {
    Model::read(file).expect("a model").version().to_owned()
}

/// Puts a file in the place of another, as whoever delivers models does.
fn put(path: &Path, content: &[u8]) {
    let aside = path.with_extension("new");
    fs::write(&aside, content).expect("written");
    fs::rename(aside, path).expect("renamed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn challengers_are_compared_and_measured() {
    let broker = Broker::start();
    // From .5 on: the champion from 200 EUR, the challenger from 100 EUR.
    let champion = model_file("champion", &[("amount", "amount", 0.01)]);
    let challenger = model_file("challenger", &[("amount", "amount", 0.02)]);
    let folder = Gavel::prepare(
        "[model]\nfile = \"champion.model\"\nchallengers = [\"challenger.model\"]\n[quality]\nwindows = [\"24h\"]\n[guard]\nmax_deny_change = 1.0\n",
        &[],
    );
    fs::write(folder.path().join("champion.model"), &champion).unwrap();
    fs::write(folder.path().join("challenger.model"), &challenger).unwrap();
    let mut gavel = Gavel::spawn_in(folder, broker.url(), &[]);
    gavel.wait_ready();
    let client = broker.client().await;
    for (id, amount) in [("a", 5_000), ("b", 15_000), ("c", 25_000), ("d", 60_000), ("e", 15_000)] {
        let answer = verdict(&client, id, amount).await;
        assert_eq!(answer["versions"]["model"].as_str(), Some(&*version(&champion)));
    }
    for (id, kind) in [("a", "legit"), ("b", "fraud"), ("c", "fraud"), ("d", "legit"), ("e", "fraud")] {
        label(&client, id, kind, 1_532_513_740_000).await;
    }
    // It was none after all.
    label(&client, "e", "legit", 1_532_513_750_000).await;
    let (champion, challenger) = (version(&champion), version(&challenger));
    let at = |model: &str, at: &str, what: &str| {
        format!("at=\"{at}\",kind=\"model\",name=\"{model}\",what=\"{what}\",window=\"24h\"")
    };
    for (model, caught, missed, wrongly) in [(&champion, 1.0, 1.0, 1.0), (&challenger, 2.0, 0.0, 2.0)] {
        gavel.wait_metric("gavel_quality_transactions", &at(model, "review", "caught"), caught);
        gavel.wait_metric("gavel_quality_transactions", &at(model, "review", "missed"), missed);
        gavel.wait_metric("gavel_quality_transactions", &at(model, "review", "wrongly_stopped"), wrongly);
    }
    gavel.wait_metric("gavel_quality_amount_minor", &at(&challenger, "review", "caught"), 40_000.0);
    gavel.wait_metric("gavel_quality_precision", &format!("name=\"{challenger}\",window=\"24h\""), 0.5 + 0.5);
    let agreement = |champion: &str, challenger: &str| format!("challenger=\"{challenger}\",champion=\"{champion}\"");
    for (labels, expected) in [
        (agreement("approve", "approve"), 1.0),
        (agreement("approve", "review"), 2.0),
        (agreement("review", "deny"), 1.0),
        (agreement("deny", "deny"), 1.0),
    ] {
        gavel.wait_metric("gavel_challenger_verdicts_total", &labels, expected);
    }
    gavel.wait_metric("gavel_challenger_score_count", &challenger, 5.0);
    gavel.wait_metric("gavel_drift_transactions", &format!("model=\"{champion}\",of=\"score\""), 5.0);

    // After a restart the journal tells of the champion and the rules again.
    gavel.terminate();
    assert!(gavel.wait_exit().success());
    gavel.start_again();
    gavel.wait_ready();
    gavel.wait_metric("gavel_quality_transactions", &at(&champion, "review", "wrongly_stopped"), 1.0);
    gavel.wait_metric("gavel_quality_amount_minor", &at(&champion, "review", "caught"), 25_000.0);
    gavel.wait_metric("gavel_drift_transactions", &format!("model=\"{champion}\",of=\"score\""), 5.0);

    // A challenger that goes takes its series along.
    let config = gavel.folder().join("gavel.toml");
    let text = fs::read_to_string(&config).unwrap().replace("[\"challenger.model\"]", "[]");
    put(&config, text.as_bytes());
    gavel.wait_metric("gavel_reloads_total", "applied", 1.0);
    verdict(&client, "f", 5_000).await;
    gavel.wait_metric("gavel_challenger_skipped_total", "", 0.0);
    support::wait_for("the challenger's end", || {
        (gavel.metric("gavel_challenger_score_count", "") < 0.5).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_model_file_is_swapped_at_one_place_and_a_damaged_one_changes_nothing() {
    let broker = Broker::start();
    let first = model_file("first", &[("amount", "amount", 0.0001)]);
    let second = model_file("second", &[("amount", "amount", 0.0001), ("count", "count(card, 2h)", 0.000_01)]);
    let folder = Gavel::prepare("[guard]\nmax_deny_change = 1.0\n", &[]);
    let model = folder.path().join("served.model");
    fs::write(&model, &first).unwrap();
    let gavel = Gavel::spawn_in(folder, broker.url(), &["--model", "served.model"]);
    gavel.wait_ready();
    let client = broker.client().await;
    let served = |answer: &serde_json::Value| answer["versions"]["model"].as_str().unwrap_or_default().to_owned();
    let (first, second) = (version(&first), second);
    assert_eq!(served(&verdict(&client, "a", 1_000).await), first);

    // Half of it, and one bit of it turned.
    let mut turned = second.clone();
    turned[300] ^= 1;
    for (number, damaged) in [&second[..second.len() / 2], &turned].into_iter().enumerate() {
        put(&model, damaged);
        gavel.wait_metric("gavel_reloads_total", "failed", number as f64 + 1.0);
        gavel.wait_metric("gavel_reload_failed", "", 1.0);
        assert_eq!(served(&verdict(&client, &format!("b-{number}"), 1_000).await), first);
    }

    // Requests come all the while, several at a time: each is answered, and the version changes once.
    let mut versions = Vec::new();
    let mut later = 0;
    for round in 0.. {
        if round == 5 {
            put(&model, &second);
        }
        let asked: Vec<_> = (0..8).map(|place| format!("r-{round}-{place}")).collect();
        let answers = futures_util::future::join_all(asked.iter().map(|id| verdict(&client, id, 1_000))).await;
        versions.extend(answers.iter().map(served));
        later += usize::from(versions.last() == Some(&version(&second)));
        if later > 5 {
            break;
        }
        assert!(round < 10_000, "it is never swapped");
    }
    versions.dedup();
    assert_eq!(versions, [first, version(&second)]);
    gavel.wait_metric("gavel_reload_failed", "", 0.0);
}

/// Whoever replaces a file may take it away first.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_model_that_is_gone_serves_on_until_another_is_there() {
    let broker = Broker::start();
    let (first, second) =
        (model_file("first", &[("amount", "amount", 0.0001)]), model_file("second", &[("amount", "amount", 0.0002)]));
    let folder = Gavel::prepare("[guard]\nmax_deny_change = 1.0\n", &[]);
    let models = folder.path().join("models");
    fs::create_dir(&models).unwrap();
    fs::write(models.join("first.model"), &first).unwrap();
    let gavel = Gavel::spawn_in(folder, broker.url(), &[]);
    gavel.wait_ready();
    let client = broker.client().await;
    fs::remove_file(models.join("first.model")).unwrap();
    let line = gavel.wait_log("the model is gone from models/");
    assert!(line.contains("to serve without one"), "{line}");
    assert_eq!(verdict(&client, "a", 1_000).await["versions"]["model"].as_str(), Some(&*version(&first)));
    put(&models.join("second.model"), &second);
    gavel.wait_metric("gavel_reloads_total", "applied", 1.0);
    assert_eq!(verdict(&client, "b", 1_000).await["versions"]["model"].as_str(), Some(&*version(&second)));
}
