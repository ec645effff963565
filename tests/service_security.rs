//! Who may do what, by the configuration that the documentation gives: a real server runs it, and everybody tries. TLS
//! both ways, with certificates made here.

mod support;

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_nats::{Client, ConnectOptions, Event, Request, jetstream, jetstream::stream};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use support::{Broker, Gavel, streams::next, wait_for};

const ACCOUNTS: &str = include_str!("../docs/nats/accounts.conf");
const USERS: [&str; 5] = ["gavel", "acme", "analyst", "desk", "operator"];

/// The documented configuration, with passwords and a folder for streams.
fn configuration(store: &Path) -> String {
    let password = |user: &str| format!("{}_PASSWORD: \"of {user}\"\n", user.to_uppercase());
    let passwords = USERS.map(password).concat();
    let store = format!("jetstream: {{\n  store_dir: \"{}\"", store.display());
    passwords + &ACCOUNTS.replacen("jetstream: {", &store, 1)
}

/// The service's configuration as one of the users.
fn as_user(user: &str, more: &str) -> String {
    format!("[nats]\nuser = \"{user}\"\npassword = \"of {user}\"\n{more}")
}

fn transaction(id: &str, card: &str) -> String {
    format!(r#"{{"id":"{id}","time":1532513730123,"card":"{card}","amount":4599,"currency":"EUR"}}"#)
}

/// A client and what the server forbids it.
struct User {
    client: Client,
    forbidden: Arc<Mutex<Vec<String>>>,
}

impl User {
    async fn connect(broker: &Broker, name: &str) -> Self {
        let forbidden = Arc::new(Mutex::new(Vec::new()));
        let noted = forbidden.clone();
        let options = ConnectOptions::with_user_and_password(name.into(), format!("of {name}"))
            .custom_inbox_prefix(if name == "acme" { "_INBOX".into() } else { format!("_INBOX.{name}") })
            .event_callback(move |event| {
                let noted = noted.clone();
                async move {
                    if let Event::ServerError(error) = event {
                        noted.lock().expect("no panic").push(error.to_string());
                    }
                }
            });
        let client = options.connect(broker.url()).await.expect("it is let in");
        Self { client, forbidden }
    }

    /// Waits until the server complains about a subject.
    fn is_refused(&self, verb: &str, subject: &str) {
        let expected = format!("permissions violation for {verb} to \"{subject}").to_lowercase();
        wait_for(&expected, || {
            let forbidden = self.forbidden.lock().expect("no panic");
            forbidden.iter().any(|complaint| complaint.to_lowercase().contains(&expected)).then_some(())
        });
    }

    async fn may_not_publish(&self, subject: &str) {
        self.client.publish(subject.to_owned(), "{}".into()).await.expect("sent");
        self.client.flush().await.expect("sent");
        self.is_refused("publish", subject);
    }

    async fn may_not_listen(&self, subject: &str) {
        let _subscriber = self.client.subscribe(subject.to_owned()).await.expect("sent");
        self.client.flush().await.expect("sent");
        self.is_refused("subscription", subject);
    }

    async fn ask(&self, subject: &str, body: String) -> String {
        let request = Request::new().payload(body.into()).timeout(Some(Duration::from_secs(20)));
        let answer = self.client.send_request(subject.to_owned(), request).await;
        let answer = answer.unwrap_or_else(|error| panic!("{subject}: {error}"));
        String::from_utf8_lossy(&answer.payload).into_owned()
    }
}

async fn make_streams(operator: &User) {
    let context = jetstream::new(operator.client.clone());
    let day = Duration::from_secs(24 * 3_600);
    for (name, subject, discard, days) in [
        ("FRAUD-TXN", "fraud.v1.txn.>", stream::DiscardPolicy::New, 7),
        ("FRAUD-VERDICTS", "fraud.v1.verdict.>", stream::DiscardPolicy::Old, 30),
    ] {
        let wanted = stream::Config {
            name: name.into(),
            subjects: vec![subject.into()],
            discard,
            max_age: day * days,
            ..stream::Config::default()
        };
        context.create_stream(wanted).await.expect("made");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_can_do_their_part_and_nothing_else() {
    let store = tempfile::tempdir().unwrap();
    let broker = Broker::start_with(&configuration(store.path()), 0);
    let operator = User::connect(&broker, "operator").await;
    make_streams(&operator).await;
    let rules = r#"
        [[list]]
        id = "watched"
        file = "watched.csv"
        [[rule]]
        id = "watched-card"
        description = "Somebody wants to see it"
        when = 'card in list("watched")'
        then = "review"
    "#;
    let files = [("rules/rules.toml", rules), ("rules/watched.csv", "")];
    let configuration = as_user("gavel", "[stream]\nenabled = true\ncreate = false\n");
    let mut gavel = Gavel::prepared(broker.url(), &configuration, &files);
    gavel.wait_ready();
    gavel.wait_metric("gavel_stream_reading", "", 1.0);

    // A processor asks, and sends by the stream.
    let acme = User::connect(&broker, "acme").await;
    let mut verdicts = acme.client.subscribe("fraud.v1.verdict.acme.*").await.unwrap();
    let mut refusals = acme.client.subscribe("fraud.v1.refused.acme").await.unwrap();
    let desk = User::connect(&broker, "desk").await;
    let mut reviews = desk.client.subscribe("fraud.v1.verdict.*.review").await.unwrap();
    for user in [&acme, &desk] {
        user.client.flush().await.unwrap();
    }
    let answer = acme.ask("fraud.v1.score.acme.c_1", transaction("t-1", "c_1")).await;
    assert!(answer.starts_with(r#"{"id":"t-1","verdict":"approve""#), "{answer}");
    next(&mut verdicts).await;
    let stored = acme.ask("fraud.v1.txn.acme.c_2", transaction("t-2", "c_2")).await;
    assert!(stored.contains(r#""stream":"FRAUD-TXN""#), "{stored}");
    assert!(next(&mut verdicts).await.payload.starts_with(br#"{"id":"t-2""#));
    acme.ask("fraud.v1.txn.acme.c_2", "{".into()).await;
    assert!(next(&mut refusals).await.payload.starts_with(br#"{"error":{"code":"invalid_json""#));
    // Nobody else's name, nobody's verdicts, no lists, no streams.
    for subject in ["fraud.v1.score.other.c_1", "fraud.v1.txn.other.c_1", "fraud.v1.list.watched", "fraud.v1.reload"] {
        acme.may_not_publish(subject).await;
    }
    acme.may_not_publish("fraud.v1.verdict.acme.approve").await;
    acme.may_not_publish("$JS.API.STREAM.INFO.FRAUD-TXN").await;
    for subject in ["fraud.v1.verdict.>", "fraud.v1.score.>", "fraud.v1.verdict.other.*"] {
        acme.may_not_listen(subject).await;
    }

    // An analyst has a card watched; the desk sees what comes of it and says what it was.
    let analyst = User::connect(&broker, "analyst").await;
    let change = r#"{"value":"c_3","action":"add","by":"analyst"}"#;
    assert_eq!(analyst.ask("fraud.v1.list.watched", change.into()).await, "{}");
    acme.ask("fraud.v1.score.acme.c_3", transaction("t-3", "c_3")).await;
    assert!(next(&mut reviews).await.payload.starts_with(br#"{"id":"t-3","verdict":"review""#));
    let label = r#"{"id":"t-3","card":"c_3","time":1532513730200,"label":"legit","source":"analyst"}"#;
    assert_eq!(desk.ask("fraud.v1.label.acme.c_3", label.into()).await, "{}");
    for subject in ["fraud.v1.score.acme.c_1", "fraud.v1.label.acme.c_1", "fraud.v1.txn.acme.c_1", "fraud.v1.reload"] {
        analyst.may_not_publish(subject).await;
    }
    analyst.may_not_listen("fraud.v1.verdict.*.review").await;
    for subject in ["fraud.v1.list.watched", "fraud.v1.score.acme.c_1", "fraud.v1.verdict.acme.review"] {
        desk.may_not_publish(subject).await;
    }
    for subject in ["fraud.v1.verdict.*.approve", "_INBOX.>", "_INBOX.analyst.>"] {
        desk.may_not_listen(subject).await;
    }

    // The operator reloads and looks, and is no processor.
    let reloaded = operator.ask("fraud.v1.reload", String::new()).await;
    assert!(reloaded.contains(r#""result":"unchanged""#), "{reloaded}");
    assert!(operator.ask("$SRV.PING.gavel", String::new()).await.contains(r#""name":"gavel""#));
    for subject in ["fraud.v1.score.acme.c_1", "fraud.v1.list.watched"] {
        operator.may_not_publish(subject).await;
    }
    operator.may_not_listen("fraud.v1.txn.>").await;

    // The scorer's credentials are of no use for anything else.
    let scorer = User::connect(&broker, "gavel").await;
    for subject in ["fraud.v1.score.acme.c_1", "fraud.v1.list.watched", "fraud.v1.txn.acme.c_1", "fraud.v1.reload"] {
        scorer.may_not_publish(subject).await;
    }
    for subject in ["$JS.API.STREAM.DELETE.FRAUD-TXN", "$JS.API.STREAM.PURGE.FRAUD-VERDICTS"] {
        scorer.may_not_publish(subject).await;
    }
    for subject in ["_INBOX.>", "fraud.v1.verdict.>", "fraud.v1.txn.>"] {
        scorer.may_not_listen(subject).await;
    }

    // A crash in between needs no other permission; nor does the end.
    gavel.kill();
    acme.ask("fraud.v1.txn.acme.c_2", transaction("t-4", "c_2")).await;
    gavel.start_again();
    assert!(next(&mut verdicts).await.payload.starts_with(br#"{"id":"t-3""#));
    assert!(next(&mut verdicts).await.payload.starts_with(br#"{"id":"t-4""#));
    gavel.wait_ready();
    assert!(gavel.metric("gavel_nats_complaints_total", "") < 0.5, "{}", gavel.log());
    gavel.terminate();
    assert!(gavel.wait_exit().success());
    assert!(!gavel.log().to_lowercase().contains("violation"), "{}", gavel.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_permission_ends_the_service_at_its_start() {
    let stream = "[stream]\nenabled = true\ncreate = false\n";
    for (taken_away, user, more, expected) in [
        ("\"fraud.v1.label.*.*\", ", "gavel", "", "fraud.v1.label.*.*"),
        ("\"$JS.API.CONSUMER.CREATE.FRAUD-TXN.gavel\", ", "gavel", stream, "$JS.API.CONSUMER.CREATE.FRAUD-TXN.gavel"),
        ("\"_INBOX.gavel.>\"", "gavel", stream, "_INBOX.gavel."),
        ("\"$JS.API.STREAM.NAMES\"", "gavel", stream, "$JS.API.STREAM.NAMES"),
        ("", "desk", "", "Permissions Violation for Subscription"),
    ] {
        let store = tempfile::tempdir().unwrap();
        let configuration = configuration(store.path());
        assert!(configuration.contains(taken_away), "{taken_away}");
        let broker = Broker::start_with(&configuration.replacen(taken_away, "", 1), 0);
        make_streams(&User::connect(&broker, "operator").await).await;
        let mut gavel = Gavel::start_with(broker.url(), &as_user(user, more), &[]);
        assert_eq!(gavel.wait_exit().code(), Some(2), "{expected}: {}", gavel.log());
        let line = gavel.wait_log("the broker does not permit it");
        assert!(line.contains(expected), "{expected}: {line}");
    }
}

/// Who may not use JetStream needs not to say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_permission_for_the_stream_requests_are_served() {
    let store = tempfile::tempdir().unwrap();
    let configuration = configuration(store.path()).replacen("\"$JS.API.STREAM.NAMES\"", "", 1);
    let broker = Broker::start_with(&configuration, 0);
    let gavel = Gavel::start_with(broker.url(), &as_user("gavel", ""), &[]);
    gavel.wait_ready();
    let line = gavel.wait_log("there is no stream to read; requests are served");
    assert!(line.contains("Permissions Violation for Publish to") && line.contains("STREAM.NAMES"), "{line}");
}

/// A certificate and its key, PEM.
struct Identity {
    certificate: String,
    key: String,
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("signed"))
    }

    fn issue(&self, name: &str) -> Identity {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("signed");
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn pem(&self) -> String {
        self.0.pem()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_show_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (authority, stranger) = (Authority::new("ours"), Authority::new("another"));
    let (server, client, foreign) = (authority.issue("127.0.0.1"), authority.issue("gavel"), stranger.issue("gavel"));
    let elsewhere = authority.issue("elsewhere.example");
    let ca = file("ca.pem", &authority.pem());
    let other_ca = file("other-ca.pem", &stranger.pem());
    let (cert, key) = (file("client.pem", &client.certificate), file("client.key", &client.key));
    let (foreign_cert, foreign_key) = (file("foreign.pem", &foreign.certificate), file("foreign.key", &foreign.key));
    let server_of = |identity: &Identity, name: &str| {
        let certificate = file(&format!("{name}.pem"), &identity.certificate);
        let key = file(&format!("{name}.key"), &identity.key);
        let variables =
            format!("SERVER_CERTIFICATE: \"{certificate}\"\nSERVER_KEY: \"{key}\"\nCLIENT_AUTHORITY: \"{ca}\"\n");
        Broker::start_with(&(variables + include_str!("../docs/nats/tls.conf")), 0)
    };
    let broker = server_of(&server, "server");

    let trusting = format!("[nats]\ntls_ca = \"{ca}\"\n");
    let identified = format!("{trusting}tls_cert = \"{cert}\"\ntls_key = \"{key}\"\n");
    let mut gavel = Gavel::start_with(broker.url(), &identified, &[]);
    gavel.wait_ready();
    let options = ConnectOptions::new()
        .add_root_certificates(ca.clone().into())
        .add_client_certificate(cert.clone().into(), key.clone().into());
    let processor = options.connect(broker.url()).await.unwrap();
    let answer = processor.request("fraud.v1.score.p1.c_1", transaction("t-1", "c_1").into()).await.unwrap();
    assert!(answer.payload.starts_with(b"{\"id\":\"t-1\""));
    gavel.terminate();
    assert!(gavel.wait_exit().success());

    // Whoever is not trusted, or trusts nobody who is there, is told so and ends.
    let wrong_ca = format!("[nats]\ntls_ca = \"{other_ca}\"\ntls_cert = \"{cert}\"\ntls_key = \"{key}\"\n");
    let stranger = format!("{trusting}tls_cert = \"{foreign_cert}\"\ntls_key = \"{foreign_key}\"\n");
    let misnamed = server_of(&elsewhere, "elsewhere");
    for (what, broker, configuration, expected) in [
        ("another authority", &broker, &wrong_ca, "invalid peer certificate: UnknownIssuer"),
        ("another name", &misnamed, &identified, "invalid peer certificate: certificate not valid for name"),
        ("a foreign client", &broker, &stranger, "received fatal alert"),
        ("no client certificate", &broker, &trusting, "received fatal alert"),
    ] {
        let mut gavel = Gavel::start_with(broker.url(), configuration, &[]);
        assert_eq!(gavel.wait_exit().code(), Some(2), "{what}: {}", gavel.log());
        let line = gavel.wait_log("no trust between the two");
        assert!(line.contains(expected) && line.contains("tls_ca"), "{what}: {line}");
    }
}
