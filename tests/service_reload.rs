//! Edits under a running service: what is good takes over whole, what is bad changes nothing, and what would deny too many
//! is kept out unless forced.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use async_nats::Client;
use support::{Broker, Gavel, wait_for};

const DENY_LARGE: &str = "[[rule]]\nid = \"large\"\nwhen = \"amount > 40 EUR\"\nthen = \"deny\"\n";
const REVIEW_LARGE: &str = "[[rule]]\nid = \"large\"\nwhen = \"amount > 40 EUR\"\nthen = \"review\"\n";
const LISTED: &str = "[[list]]\nid = \"blocked\"\nfile = \"lists/blocked.csv\"\n\
                      [[rule]]\nid = \"blocked-card\"\nwhen = 'card in list(\"blocked\")'\nthen = \"deny\"\n";

/// Asks for a verdict on a transaction of 45.99 EUR; what is decided, and under which rules.
async fn verdict(client: &Client, id: &str, card: &str) -> (String, String, Vec<String>) {
    let body = format!(r#"{{"id":"{id}","time":1532513730123,"card":"{card}","amount":4599,"currency":"EUR"}}"#);
    let answer = client.request(format!("fraud.v1.score.p1.{card}"), body.into()).await.expect("an answer");
    let answer: serde_json::Value = serde_json::from_slice(&answer.payload).expect("JSON");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let flags = answer["flags"].as_array().into_iter().flatten().map(text).collect();
    (text(&answer["verdict"]), text(&answer["versions"]["rules"]), flags)
}

/// Asks with new ids until the answer is what an edit makes of it.
async fn until(client: &Client, name: &str, expected: &str) -> String {
    let start = std::time::Instant::now();
    for attempt in 0.. {
        let (decision, version, _) = verdict(client, &format!("{name}-{attempt}"), "c_1").await;
        if decision == expected {
            return version;
        }
        assert!(start.elapsed().as_secs() < 30, "{name}: still {decision}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    unreachable!()
}

fn reload(gavel: &Gavel, broker: &Broker, arguments: &[&str]) -> Output {
    let command = Command::new(env!("CARGO_BIN_EXE_gavel"))
        .args(["reload", "--nats", broker.url()])
        .args(arguments)
        .current_dir(gavel.folder())
        .output();
    command.expect("gavel runs")
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

fn start(broker: &Broker, files: &[(&str, &str)], configuration: &str) -> Gavel {
    let gavel = Gavel::prepared(broker.url(), configuration, files);
    gavel.wait_ready();
    gavel
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_way_to_edit_a_file_takes_over() {
    let broker = Broker::start();
    let gavel = start(&broker, &[("rules/a.toml", "")], "[guard]\nmax_deny_change = 1.0\n");
    let client = broker.client().await;
    let rules = gavel.folder().join("rules");
    let first = until(&client, "empty", "approve").await;

    fs::write(rules.join("a.toml"), DENY_LARGE).unwrap();
    let written = until(&client, "written", "deny").await;
    assert_ne!(written, first);

    // As editors do it: another file under a hidden name, put in its place.
    fs::write(rules.join(".a.toml.swp"), REVIEW_LARGE).unwrap();
    fs::rename(rules.join(".a.toml.swp"), rules.join("a.toml")).unwrap();
    until(&client, "renamed", "review").await;

    fs::remove_file(rules.join("a.toml")).unwrap();
    assert_eq!(until(&client, "removed", "approve").await, first, "the same set has the same version");

    fs::create_dir(rules.join("lists")).unwrap();
    fs::write(rules.join("lists/blocked.csv"), "c_9\n").unwrap();
    fs::write(rules.join("b.toml"), LISTED).unwrap();
    gavel.wait_metric("gavel_reloads_total", "applied", 4.0);
    fs::write(rules.join("lists/blocked.csv"), "c_9\nc_1\n").unwrap();
    until(&client, "listed", "deny").await;
    gavel.wait_metric("gavel_reload_failed", "", 0.0);
}

/// What is changed over NATS stands over what files say, tells who did it, and outlives a reload; the guard sees it too.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn list_changes_outlive_reloads_and_say_who_made_them() {
    let broker = Broker::start();
    let gavel = Gavel::prepared(broker.url(), "", &[]);
    gavel.wait_ready();
    let client = broker.client().await;
    let rules = gavel.folder().join("rules");
    fs::create_dir(rules.join("lists")).unwrap();
    fs::write(rules.join("lists/blocked.csv"), "c_9\n").unwrap();
    fs::write(rules.join("a.toml"), LISTED).unwrap();
    gavel.wait_metric("gavel_reloads_total", "applied", 1.0);
    let change = r#"{"value":"c_1","action":"add","comment":"called in","by":"desk-3"}"#;
    assert_eq!(client.request("fraud.v1.list.blocked", change.into()).await.unwrap().payload, "{}");
    assert_eq!(verdict(&client, "next", "c_1").await.0, "deny", "with the next transaction");
    let line = gavel.wait_log("added to a list");
    assert!(line.contains("desk-3") && line.contains("called in") && !line.contains("c_1"), "{line}");

    for number in 0..20 {
        assert_eq!(verdict(&client, &format!("t-{number}"), &format!("d_{number}")).await.0, "approve");
    }
    // Without the change the share of denials would shrink, with it nothing changes: both are let pass and told.
    fs::write(rules.join("lists/blocked.csv"), "c_8\n").unwrap();
    gavel.wait_metric("gavel_reloads_total", "applied", 2.0);
    gavel.wait_log("of the latest 21 transactions it denies 1, what serves 1");
    assert_eq!(verdict(&client, "after", "c_1").await.0, "deny");
    assert_eq!(verdict(&client, "no-more", "c_9").await.0, "approve");
}

/// A change that was answered stands after a kill, from the journal as well as from a snapshot, and names its author.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn list_changes_outlive_the_process() {
    let broker = Broker::start();
    let often = "[durability]\nsnapshot_interval = \"1s\"\nsnapshot_after = \"16KiB\"\n";
    let rules = LISTED.replace("lists/blocked.csv", "blocked.csv");
    let files = [("rules/a.toml", &*rules), ("rules/blocked.csv", "c_9\n")];
    let mut gavel = Gavel::prepared(broker.url(), often, &files);
    gavel.wait_ready();
    let client = broker.client().await;
    let change = async |body: &'static str| {
        assert_eq!(client.request("fraud.v1.list.blocked", body.into()).await.unwrap().payload, "{}");
    };
    change(r#"{"value":"c_1","action":"add","by":"desk-3"}"#).await;
    change(r#"{"value":"c_9","action":"remove","by":"desk-4"}"#).await;
    gavel.kill();
    for (start, name) in ["from the journal", "from a snapshot"].into_iter().enumerate() {
        gavel.start_again();
        gavel.wait_ready();
        for (card, expected) in [("c_1", "deny"), ("c_9", "approve")] {
            assert_eq!(verdict(&client, &format!("t-{start}-{card}"), card).await.0, expected, "{card}, {name}");
        }
        let told = |by: &str| gavel.log().lines().any(|line| line.contains("are in force") && line.contains(by));
        wait_for("authors in the log", || (told("desk-3") && told("desk-4")).then_some(()));
        wait_for("a snapshot", || (gavel.metric("gavel_snapshots_total", "") > 0.0).then_some(()));
        gavel.kill();
    }
}

/// What a window counted when its list had the entry it still counts when the list has another, after a restart as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_list_said_of_a_transaction_outlives_list_and_process() {
    const COUNTED: &str = "[[list]]\nid = \"cards\"\nfile = \"cards.csv\"\n\
        [[rule]]\nid = \"seen\"\nwhen = 'count(processor, 1h, prior, where card in list(\"cards\")) == 3'\nthen = \"review\"\n\
        [[rule]]\nid = \"let-through\"\nwhen = 'count(processor, 1h, where card in list(\"cards\") and verdict == deny) == 3'\nthen = \"review\"\n\
        [[rule]]\nid = \"no\"\nwhen = 'card == \"c_1\"'\nthen = \"deny\"\n";
    let broker = Broker::start();
    let files = [("rules/a.toml", COUNTED), ("rules/cards.csv", "c_1\n")];
    for snapshots in ["0s", "1s"] {
        let configuration = format!("[durability]\nsnapshot_interval = {snapshots:?}\n");
        let mut gavel = start(&broker, &files, &configuration);
        let client = broker.client().await;
        for id in ["a", "b", "c"] {
            assert_eq!(verdict(&client, id, "c_1").await.0, "deny");
        }
        let fired = async |id: &str| {
            let body = format!(r#"{{"id":"{id}","time":1532513730123,"card":"c_2","amount":4599,"currency":"EUR"}}"#);
            let answer = client.request("fraud.v1.score.p1.c_2", body.into()).await.expect("an answer");
            let answer: serde_json::Value = serde_json::from_slice(&answer.payload).expect("JSON");
            assert_eq!(answer["flags"], serde_json::json!([]), "{snapshots}");
            answer["fired"].clone()
        };
        let both = serde_json::json!(["let-through", "seen"]);
        assert_eq!(fired("d").await, both);
        fs::write(gavel.folder().join("rules/cards.csv"), "c_9\n").unwrap();
        gavel.wait_metric("gavel_applied_total", "release", 1.0);
        assert_eq!(fired("e").await, both, "{snapshots}");
        if snapshots != "0s" {
            wait_for("a snapshot", || (gavel.metric("gavel_snapshot_record", "") >= 6.0).then_some(()));
        }
        // Rules that ask other lists, before and behind, change nothing about what this one said.
        let more = |name: &str| {
            format!(
                "[[list]]\nid = \"{name}\"\nfile = \"{name}.csv\"\n[[rule]]\nid = \"of-{name}\"\n\
             when = 'count(processor, 1h, where card in list(\"{name}\")) > 3'\nthen = \"review\"\n"
            )
        };
        for (number, name) in ["a-list", "z-list"].into_iter().enumerate() {
            fs::write(gavel.folder().join(format!("rules/{name}.csv")), "c_2\n").unwrap();
            fs::write(gavel.folder().join(format!("rules/{name}.toml")), more(name)).unwrap();
            gavel.wait_metric("gavel_applied_total", "release", 2.0 + number as f64);
        }
        wait_for("the past of the new rules", || (gavel.metric("gavel_applied_total", "refill") > 1.5).then_some(()));
        let all = serde_json::json!(["let-through", "seen"]);
        assert_eq!(fired("f").await, all, "{snapshots}");
        fs::remove_file(gavel.folder().join("rules/a-list.toml")).unwrap();
        gavel.wait_metric("gavel_applied_total", "release", 4.0);
        gavel.kill();
        gavel.start_again();
        gavel.wait_ready();
        let more = serde_json::json!(["let-through", "of-z-list", "seen"]);
        assert_eq!(fired("g").await, more, "{snapshots}");
        gavel.terminate();
        assert!(gavel.wait_exit().success());
    }
}

/// A mounted `ConfigMap`: files are links to links, and one of those is swapped.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_swapped_link_takes_over() {
    use std::os::unix::fs::symlink;
    let broker = Broker::start();
    let mount = |folder: &Path, version: &str, rules: &str| {
        fs::create_dir(folder.join(version)).unwrap();
        fs::write(folder.join(version).join("a.toml"), rules).unwrap();
        symlink(version, folder.join("..next")).unwrap();
        fs::rename(folder.join("..next"), folder.join("..data")).unwrap();
    };
    let gavel = start(&broker, &[], "[guard]\nmax_deny_change = 1.0\n");
    let client = broker.client().await;
    let rules = gavel.folder().join("rules");
    mount(&rules, "..v1", DENY_LARGE);
    symlink("..data/a.toml", rules.join("a.toml")).unwrap();
    until(&client, "first", "deny").await;
    mount(&rules, "..v2", REVIEW_LARGE);
    until(&client, "second", "review").await;
    mount(&rules, "..v3", DENY_LARGE);
    until(&client, "third", "deny").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_bad_edit_changes_nothing_and_is_told() {
    let broker = Broker::start();
    let gavel = start(&broker, &[("rules/a.toml", DENY_LARGE)], "");
    let client = broker.client().await;
    let before = verdict(&client, "before", "c_1").await;
    // (file, what is written there, what the log says of it)
    let edits: [(&str, &str, &str); 4] = [
        ("rules/a.toml", "[[rule]]\nid = \"large\"\nwhen = \"amount > 40\"\nthen = \"deny\"\n", "E103"),
        ("rules/b.toml", "[[rule\n", "E300"),
        ("gavel.toml", "[policy]\ndeny_at = 7\n", "policy.deny_at"),
        ("gavel.toml", "base_currency = \"USD\"\n", "needs a restart"),
    ];
    for (number, (file, content, told)) in edits.into_iter().enumerate() {
        let path = gavel.folder().join(file);
        let was = fs::read(&path).ok();
        fs::write(&path, content).unwrap();
        gavel.wait_metric("gavel_reload_failed", "", 1.0);
        gavel.wait_log(told);
        assert_eq!(verdict(&client, &format!("bad-{number}"), "c_1").await, before, "{file}");
        let asked = reload_elsewhere(&broker);
        assert_eq!(asked.status.code(), Some(1), "{}", text(&asked));
        assert!(text(&asked).contains(told), "{}", text(&asked));
        match was {
            Some(was) => fs::write(&path, was).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        gavel.wait_metric("gavel_reload_failed", "", 0.0);
    }
    assert_eq!(verdict(&client, "after", "c_1").await, before);
}

/// From a folder whose configuration is not the one that is wrong.
fn reload_elsewhere(broker: &Broker) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gavel"));
    command.args(["reload", "--nats", broker.url()]).current_dir(folder.path()).output().expect("gavel runs")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_guard_keeps_a_fatal_edit_out_until_it_is_forced() {
    let broker = Broker::start();
    // With a journal the new window would be filled from it in the background, sooner or later than the verdict below.
    let configuration = "[guard]\nmax_deny_change = 0.2\n[durability]\ndir = \"none\"\n";
    let gavel = start(&broker, &[("rules/a.toml", REVIEW_LARGE)], configuration);
    let client = broker.client().await;
    for number in 0..40 {
        verdict(&client, &format!("t-{number}"), &format!("c_{number}")).await;
    }
    let fatal = "[[rule]]\nid = \"fatal\"\nwhen = \"count(card, 1h) >= 1\"\nthen = \"deny\"\n";
    fs::write(gavel.folder().join("rules/fatal.toml"), fatal).unwrap();
    gavel.wait_metric("gavel_reloads_total", "refused", 1.0);
    gavel.wait_metric("gavel_reload_failed", "", 1.0);
    let line = gavel.wait_log("of the latest 40 transactions");
    assert!(line.contains("it denies 40, what serves 0; new denials: 40 by rule `fatal`"), "{line}");
    assert_eq!(verdict(&client, "kept-out", "c_1").await.0, "review");

    let refused = reload(&gavel, &broker, &[]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("41 by rule `fatal`"), "{}", text(&refused));

    let forced = reload(&gavel, &broker, &["--force"]);
    assert!(forced.status.success(), "{}", text(&forced));
    assert!(text(&forced).contains("windows not kept so far"), "{}", text(&forced));
    let (decision, _, flags) = verdict(&client, "forced", "c_1").await;
    assert_eq!((decision.as_str(), flags.as_slice()), ("deny", &["window_filling".to_owned()][..]));
    gavel.wait_metric("gavel_reload_failed", "", 0.0);

    // What was forced is what serves: a harmless edit after it is compared with that.
    fs::write(gavel.folder().join("rules/a.toml"), REVIEW_LARGE.replace("40 EUR", "41 EUR")).unwrap();
    gavel.wait_metric("gavel_reloads_total", "applied", 2.0);
    let unchanged = reload(&gavel, &broker, &["--json"]);
    assert!(text(&unchanged).contains(r#""result":"unchanged""#), "{}", text(&unchanged));
}

/// A file that is written slowly may be read half: the whole of it denies no more than what served before.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_guard_knows_what_served_of_late() {
    let broker = Broker::start();
    let deny = REVIEW_LARGE.replace("\"review\"", "\"deny\"");
    let gavel = start(&broker, &[("rules/a.toml", &deny)], "[guard]\nmax_deny_change = 0.2\n");
    let client = broker.client().await;
    for number in 0..10 {
        assert_eq!(verdict(&client, &format!("t-{number}"), "c_1").await.0, "deny");
    }
    fs::write(gavel.folder().join("rules/a.toml"), "").unwrap();
    until(&client, "half", "approve").await;
    fs::write(gavel.folder().join("rules/a.toml"), &deny).unwrap();
    until(&client, "whole", "deny").await;
    assert!(gavel.metric("gavel_reloads_total", "refused") < 0.5);
    // What denies still more is held against that.
    fs::write(gavel.folder().join("rules/a.toml"), deny.replace("amount > 40 EUR", "amount > 0 EUR")).unwrap();
    gavel.wait_metric("gavel_reloads_total", "applied", 3.0);
}

/// In monitor mode nothing is denied: what begins to be enforced is an edit like any other.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_guard_looks_at_what_begins_to_be_enforced() {
    let broker = Broker::start();
    let deny = REVIEW_LARGE.replace("\"review\"", "\"deny\"");
    let configuration = "[guard]\nmax_deny_change = 0.2\n[policy]\nmode = \"monitor\"\n";
    let gavel = start(&broker, &[("rules/a.toml", &deny)], configuration);
    let client = broker.client().await;
    for number in 0..10 {
        assert_eq!(verdict(&client, &format!("t-{number}"), "c_1").await.0, "approve");
    }
    let enforced = configuration.replace("monitor", "enforce");
    fs::write(gavel.folder().join("gavel.toml"), &enforced).unwrap();
    let line = gavel.wait_log("of the latest 10 transactions");
    assert!(line.contains("it denies 10, what serves 0; new denials: 10 by rule"), "{line}");
    assert_eq!(verdict(&client, "kept-out", "c_1").await.0, "approve");
    assert!(reload(&gavel, &broker, &["--force"]).status.success());
    assert_eq!(verdict(&client, "forced", "c_1").await.0, "deny");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn rates_policy_and_attributes_take_over_and_the_rest_says_that_it_does_not() {
    let broker = Broker::start();
    let rules = "[[rule]]\nid = \"toys\"\nwhen = 'attributes.category == \"toys\"'\nthen = \"review\"\n";
    let gavel = start(&broker, &[], "");
    let client = broker.client().await;
    let path: PathBuf = gavel.folder().join("gavel.toml");
    let ask = async |id: &str| {
        let body = format!(
            r#"{{"id":"{id}","time":1532513730123,"card":"c_1","amount":1,"currency":"USD","attributes":{{"category":"toys"}}}}"#
        );
        let answer = client.request("fraud.v1.score.p1.c_1", body.into()).await.unwrap();
        String::from_utf8_lossy(&answer.payload).into_owned()
    };
    assert!(ask("t-1").await.contains("no_rate"));
    fs::write(&path, "[rates]\nUSD = \"0.92\"\n[attributes]\ncategory = \"text\"\n").unwrap();
    fs::write(gavel.folder().join("rules/toys.toml"), rules).unwrap();
    let mut number = 1;
    loop {
        number += 1;
        let answer = ask(&format!("t-{number}")).await;
        if answer.contains("\"review\"") && !answer.contains("no_rate") {
            break;
        }
        assert!(number < 1_000, "{answer}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    fs::write(&path, "[windows]\nlateness = \"1m\"\n[log]\nfilter = \"gavel=debug\"\n[policy]\nmode = \"monitor\"\n")
        .unwrap();
    fs::remove_file(gavel.folder().join("rules/toys.toml")).unwrap();
    gavel.wait_log("needs a restart");
    wait_for("both sections", || {
        let log = gavel.log();
        (log.contains("\"[windows]\"") && log.contains("\"[log]\"") && !log.contains("\"[nats]\"")).then_some(())
    });
    loop {
        number += 1;
        if ask(&format!("t-{number}")).await.contains("monitor:approve") {
            break;
        }
        assert!(number < 2_000);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // It is told until it is taken back, however often somebody asks.
    let looked = gavel.metric("gavel_reloads_total", "unchanged");
    gavel.signal("-HUP");
    gavel.wait_metric("gavel_reloads_total", "unchanged", looked + 1.0);
    let restart = async || {
        let answer = client.request("fraud.v1.reload", "{}".into()).await.unwrap();
        serde_json::from_slice::<serde_json::Value>(&answer.payload).unwrap()["restart"].to_string()
    };
    for _ in 0..2 {
        assert_eq!(restart().await, r#"["[windows]","[log]"]"#);
    }
    fs::write(&path, "").unwrap();
    for _ in 0..2 {
        assert_eq!(restart().await, "[]");
    }
}

/// A rule that asks for a window nobody kept: the journal has what it needs, so after a moment it answers as one that was
/// always there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_that_a_reload_asks_for_are_filled_from_the_journal() {
    let broker = Broker::start();
    let gavel = start(&broker, &[], "");
    let client = broker.client().await;
    for number in 0..9 {
        assert_eq!(verdict(&client, &format!("before-{number}"), "c_1").await.0, "approve");
    }
    let counting = "[[rule]]\nid = \"many\"\nwhen = \"count(card, 7d) >= 10\"\nthen = \"deny\"\n\
                    [[rule]]\nid = \"old\"\nwhen = \"sum(amount, card, 30d) > 500 EUR\"\nthen = \"review\"\n";
    fs::write(gavel.folder().join("rules/many.toml"), counting).expect("written");
    gavel.wait_metric("gavel_refills_total", "applied", 1.0);
    // The tenth, of 45.99 EUR each, which is 459.90 EUR; the eleventh is beyond the other limit as well.
    let (decision, _, flags) = verdict(&client, "after-1", "c_1").await;
    assert_eq!((decision.as_str(), flags), ("deny", Vec::new()));
    let (decision, _, flags) = verdict(&client, "after-2", "c_2").await;
    assert_eq!((decision.as_str(), flags), ("approve", Vec::new()));
    // A repeated one still gets its first answer.
    assert_eq!(verdict(&client, "before-3", "c_1").await.0, "approve");
    gavel.wait_metric("gavel_duplicates_total", "", 1.0);
    gavel.wait_metric("gavel_refilling", "", 0.0);
}
