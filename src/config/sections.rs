//! The sections of the configuration, key by key, with what each may hold. It opens nothing.

use std::{collections::BTreeSet, net::SocketAddr, str::FromStr};

use async_nats::ServerAddr;
use tracing_subscriber::EnvFilter;

use super::{
    Authentication, Config, DurabilityConfig, GuardConfig, HttpConfig, LogConfig, LogFormat, NatsConfig, OnFailure,
    ScoringConfig, SubjectRoots, TlsClient,
    known::suggestion,
    models, policy,
    problem::{ConfigErrors, Place, Problem},
    reader::{Given, Reader},
    secret::Secret,
    segments,
    source::Sources,
    stream,
    value::Value,
};
use crate::scoring::{
    field::{AttributeSchema, FieldType},
    money::{Currency, Decimal, Rates},
    settings::{Policy, Settings, WindowSettings},
    time::{DAY_MS, HOUR_MS, MINUTE_MS},
};

/// Attributes that may be declared: each has a place in every transaction that is held.
const ATTRIBUTES_MAX: usize = 256;
/// The longest key of an attribute.
const ATTRIBUTE_KEY_MAX: usize = 64;
/// The longest root of a subject: with two tokens of 64 the subject stays below 256 bytes, as brokers advise.
const ROOT_MAX: usize = 100;

/// The configuration of the given sources.
pub(super) fn read(sources: Sources) -> Result<Config, ConfigErrors> {
    let file = sources.file.as_ref().map(|(path, _)| path.clone());
    let mut reader = Reader::new(sources);
    let config = Config { file, ..read_all(&mut reader) };
    reader.finish(config)
}

/// Every key there is; a map is `<section>.*`.
pub(super) fn keys() -> Vec<String> {
    let mut reader = Reader::new(Sources::default());
    read_all(&mut reader);
    reader.known().paths()
}

fn read_all(reader: &mut Reader) -> Config {
    let base = base_currency(reader);
    let rates = rates(reader, base);
    let segments = segments::read(reader, &rates);
    let policy = Policy { segments, ..policy::read(reader, &rates) };
    let subjects = subjects(reader);
    Config {
        settings: Settings { schema: attributes(reader), windows: windows(reader), policy, rates },
        skew_ms: reader.duration_ms("windows.skew", MINUTE_MS, 0..=DAY_MS),
        rules: reader.path("rules.dir").unwrap_or_else(|| "rules".into()),
        model: models::model(reader),
        challengers: models::challengers(reader),
        quality: models::quality(reader),
        nats: nats(reader),
        stream: stream::read(reader, &subjects),
        subjects,
        scoring: scoring(reader),
        http: http(reader),
        durability: durability(reader),
        log: log(reader),
        guard: guard(reader),
        file: None,
    }
}

fn base_currency(reader: &mut Reader) -> Currency {
    const EURO: &str = "EUR";
    // Without a base currency there is nothing to fall back to; the euro is in the standard.
    let default = Currency::from_code(EURO).expect("EUR is in ISO 4217");
    let Some(given) = reader.take("base_currency") else {
        return default;
    };
    given.text().and_then(Currency::from_code).unwrap_or_else(|| {
        let hint = given.text().and_then(near_currency);
        reader.refuse_with_hint(&given, format!("an ISO 4217 currency such as `{EURO}`"), hint);
        default
    })
}

fn near_currency(found: &str) -> Option<String> {
    let found = found.to_ascii_uppercase();
    let codes: BTreeSet<&str> = Currency::all().map(Currency::code).collect();
    if codes.contains(found.as_str()) { Some(format!("did you mean `{found}`?")) } else { suggestion(&found, &codes) }
}

fn rates(reader: &mut Reader, base: Currency) -> Rates {
    let mut rates = Rates::new(base);
    for (code, given) in reader.take_map("rates", str::to_owned) {
        let Some(currency) = Currency::from_code(&code) else {
            let message = format!("{} is about no currency, expected an ISO 4217 code such as `USD`", given.name);
            reader.problem(Problem::new(given.place, message).with_hint(near_currency(&code)));
            continue;
        };
        let rate = given.text().and_then(Decimal::parse).filter(|rate| !rate.is_zero());
        match rate {
            None => {
                let expected = format!(
                    "what one {} is worth in {} as decimal text above zero, such as `\"0.92\"`",
                    currency.code(),
                    base.code()
                );
                reader.refuse(&given, expected);
            }
            Some(rate) if currency == base && rate != Decimal::ONE => {
                reader.refuse(&given, format!("`\"1\"` or nothing, because {} is the base currency", base.code()));
            }
            Some(rate) => rates.set(currency, rate),
        }
    }
    rates
}

fn attributes(reader: &mut Reader) -> AttributeSchema {
    let names: Vec<_> = AttributeSchema::TYPES.iter().map(|(name, _)| *name).collect();
    let expected = format!("one of the types `{}`", names.join("`, `"));
    let mut attributes: Vec<(String, FieldType)> = Vec::new();
    for (key, given) in reader.take_map("attributes", str::to_ascii_lowercase) {
        if !is_attribute_key(&key) {
            let message = format!(
                "{} cannot be named in an expression, expected letters, digits and `_`, at most {ATTRIBUTE_KEY_MAX}",
                given.name
            );
            reader.problem(Problem::new(given.place, message));
            continue;
        }
        if attributes.len() == ATTRIBUTES_MAX {
            let message = format!("{} is one too many, expected at most {ATTRIBUTES_MAX} attributes", given.name);
            reader.problem(Problem::new(given.place, message));
            break;
        }
        let found = given.text().unwrap_or_default();
        match AttributeSchema::TYPES.iter().find(|(name, _)| *name == found) {
            Some((_, kind)) => attributes.push((key, *kind)),
            None => reader.refuse(&given, &expected),
        }
    }
    AttributeSchema::new(attributes)
}

fn is_attribute_key(key: &str) -> bool {
    let begins_well = key.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    let goes_on_well = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    begins_well && goes_on_well && key.len() <= ATTRIBUTE_KEY_MAX
}

fn windows(reader: &mut Reader) -> WindowSettings {
    const MIB: usize = 1 << 20;
    let defaults = WindowSettings::default();
    WindowSettings {
        lateness_ms: reader.duration_ms("windows.lateness", defaults.lateness_ms, 0..=DAY_MS),
        duplicates_ms: reader.duration_ms("windows.duplicates", defaults.duplicates_ms, MINUTE_MS..=90 * DAY_MS),
        horizon_ms: reader.duration_ms("windows.horizon", defaults.horizon_ms, HOUR_MS..=730 * DAY_MS),
        events_per_key_max: reader.count("windows.events_per_key_max", defaults.events_per_key_max, 16..=100_000_000),
        keys_max: reader.count("windows.keys_max", defaults.keys_max, 1_000..=4_000_000_000),
        transactions_max: reader.count("windows.transactions_max", defaults.transactions_max, 1_000..=4_000_000_000),
        answers_max_bytes: reader.bytes("windows.answers_max", defaults.answers_max_bytes, MIB..=1 << 40),
    }
}

fn nats(reader: &mut Reader) -> NatsConfig {
    let servers = servers(reader);
    let of_address = servers.iter().find_map(|server| server.username().zip(server.password()));
    let authentication = match (authentication(reader), of_address) {
        (Authentication::None, Some((user, password))) => {
            Authentication::Password { user: unescaped(user), password: Secret::new(unescaped(password)) }
        }
        (authentication, _) => authentication,
    };
    NatsConfig {
        servers,
        authentication,
        tls_ca: reader.path("nats.tls_ca"),
        tls_client: tls_client(reader),
        subscription_capacity: reader.count("nats.subscription_capacity", 65_536, 1..=16_777_216),
        client_capacity: reader.count("nats.client_capacity", 65_536, 1..=16_777_216),
        queue_max: reader.count("nats.queue_max", 16_384, 1..=16_777_216),
    }
}

fn servers(reader: &mut Reader) -> Vec<ServerAddr> {
    const DEFAULT: &str = "nats://127.0.0.1:4222";
    const SCHEMES: [&str; 4] = ["nats", "tls", "ws", "wss"];
    let parse = |text: &str| -> Option<Vec<ServerAddr>> {
        let server = |text: &str| {
            let server = ServerAddr::from_str(text.trim()).ok()?;
            let is_whole = server.username().is_some() == server.password().is_some();
            (SCHEMES.contains(&server.scheme()) && !server.host().is_empty() && is_whole).then_some(server)
        };
        text.split(',').map(server).collect()
    };
    // An address may hold a password, so it is never repeated.
    let Some(given) = reader.take_secret("nats.url") else {
        return parse(DEFAULT).unwrap_or_default();
    };
    given.text().and_then(parse).unwrap_or_else(|| {
        reader.refuse(&given, format!("a server such as `{DEFAULT}`, or several with commas between"));
        Vec::new()
    })
}

/// A part of an address with what it escapes by `%` and two digits.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn authentication(reader: &mut Reader) -> Authentication {
    let user = reader.take("nats.user");
    let password = reader.secret("nats.password", "text", |_| true);
    let credentials = reader.take("nats.credentials");
    let nkey =
        reader.secret("nats.nkey", "the seed of a user nkey: 58 capitals and digits that begin with `SU`", is_seed);

    let mut ways: Vec<(&str, Place)> = Vec::new();
    ways.extend(user.as_ref().map(|given| ("user", given.place.clone())));
    ways.extend(credentials.as_ref().map(|given| ("credentials", given.place.clone())));
    ways.extend(nkey.as_ref().map(|(_, place)| ("nkey", place.clone())));
    if let [(first, _), (second, place), ..] = ways.as_slice() {
        let message = format!(
            "`nats.{first}` is set and {} too, expected one way to authenticate",
            place.name_of(&format!("nats.{second}"))
        );
        reader.problem(Problem::new(place.clone(), message));
    }
    match (user, password) {
        (Some(given), Some((password, _))) => match given.text() {
            Some(user) => return Authentication::Password { user: user.to_owned(), password },
            None => reader.refuse(&given, "text"),
        },
        (Some(given), None) => {
            reader.problem(alone(given.place, "nats.user", "nats.password"));
        }
        (None, Some((_, place))) => {
            reader.problem(alone(place, "nats.password", "nats.user"));
        }
        (None, None) => {}
    }
    if let Some(path) = credentials.and_then(|given| reader.path_of(&given)) {
        return Authentication::Credentials(path);
    }
    nkey.map_or(Authentication::None, |(seed, _)| Authentication::Nkey(seed))
}

/// One of two keys that go together is missing.
fn alone(place: Place, path: &str, other: &str) -> Problem {
    let message = format!("{} is set, expected `{other}` beside it", place.name_of(path));
    Problem::new(place, message)
}

fn is_seed(text: &str) -> bool {
    text.len() == 58 && text.starts_with("SU") && text.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'))
}

fn tls_client(reader: &mut Reader) -> Option<TlsClient> {
    let certificate = reader.take("nats.tls_cert");
    let key = reader.take("nats.tls_key");
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            let (certificate, key) = (reader.path_of(&certificate), reader.path_of(&key));
            Some(TlsClient { certificate: certificate?, key: key? })
        }
        (Some(given), None) => {
            reader.problem(alone(given.place, "nats.tls_cert", "nats.tls_key"));
            None
        }
        (None, Some(given)) => {
            reader.problem(alone(given.place, "nats.tls_key", "nats.tls_cert"));
            None
        }
        (None, None) => None,
    }
}

fn subjects(reader: &mut Reader) -> SubjectRoots {
    let expected = format!("tokens of letters, digits, `_` and `-` with dots between, at most {ROOT_MAX} long");
    let root = reader.parsed("nats.root", "fraud.v1".to_owned(), &expected, subject);
    let mut taken: Vec<(String, String)> = Vec::new();
    let mut one = |kind: &str| {
        let path = format!("subjects.{kind}");
        let default = format!("{root}.{kind}");
        let place = reader.place(&path).unwrap_or(Place::Nowhere);
        let root = reader.parsed(&path, default, &expected, subject);
        // A subject below another kind's root would be received as both.
        for (other_path, other) in &taken {
            let (short, long) = if root.len() < other.len() { (&root, other) } else { (other, &root) };
            if long.strip_prefix(short.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) {
                let message = format!(
                    "`{path}` is {root:?} and `{other_path}` is {other:?}, expected neither to begin with the other"
                );
                reader.problem(Problem::new(place.clone(), message));
            }
        }
        taken.push((path, root.clone()));
        root
    };
    SubjectRoots {
        score: one("score"),
        batch: one("batch"),
        verdict: one("verdict"),
        outcome: one("outcome"),
        label: one("label"),
        list: one("list"),
        reload: one("reload"),
        txn: one("txn"),
        refused: one("refused"),
    }
}

fn subject(given: &Given) -> Option<String> {
    let token_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let text = given.text().filter(|text| text.len() <= ROOT_MAX)?;
    let sound = text.split('.').all(|token| !token.is_empty() && token.bytes().all(token_byte));
    sound.then(|| text.to_owned())
}

fn scoring(reader: &mut Reader) -> ScoringConfig {
    let nice = reader.parsed("scoring.nice", -5, "a whole number from -20 to 0", |given| match given.typed() {
        Value::Integer(nice) => i32::try_from(nice).ok().filter(|nice| (-20..=0).contains(nice)),
        _ => None,
    });
    ScoringConfig { nice }
}

fn http(reader: &mut Reader) -> HttpConfig {
    let default = SocketAddr::from(([127, 0, 0, 1], 9464));
    let expected = format!("an address and a port such as `{default}`");
    HttpConfig { listen: reader.parsed("http.listen", default, expected, |given| given.text()?.parse().ok()) }
}

fn durability(reader: &mut Reader) -> DurabilityConfig {
    const KIB: usize = 1 << 10;
    const MIB: usize = 1 << 20;
    let dir = match reader.take("durability.dir") {
        None => Some("state".into()),
        Some(given) if given.text() == Some("none") => None,
        Some(given) => reader.path_of(&given),
    };
    let on_failure = [("refuse", OnFailure::Refuse), ("continue", OnFailure::Continue)];
    DurabilityConfig {
        dir,
        sync_interval_ms: reader.duration_ms("durability.sync_interval", 200, 0..=HOUR_MS),
        file_max_bytes: reader.bytes("durability.file_max", 64 * MIB, MIB..=1 << 30),
        journal_max_bytes: reader.bytes("durability.journal_max", 64 << 30, MIB..=1 << 44),
        on_failure: reader.word("durability.on_failure", OnFailure::Refuse, &on_failure),
        snapshot_interval_ms: reader.duration_ms("durability.snapshot_interval", 10 * MINUTE_MS, 0..=DAY_MS),
        snapshot_after_bytes: reader.bytes("durability.snapshot_after", 256 * MIB, KIB..=1 << 40),
        snapshots_kept: reader.count("durability.snapshots_kept", 3, 1..=1_000),
    }
}

fn guard(reader: &mut Reader) -> GuardConfig {
    GuardConfig {
        max_deny_change: reader.number("guard.max_deny_change", 0.05, 0.0..=1.0),
        transactions: reader.count("guard.transactions", 5_000, 0..=1_000_000),
    }
}

fn log(reader: &mut Reader) -> LogConfig {
    let expected = "a level such as `info`, or directives such as `gavel=debug,async_nats=warn`";
    let filter = reader.parsed("log.filter", "info".to_owned(), expected, |given| {
        let text = given.text()?;
        EnvFilter::builder().parse(text).ok()?;
        Some(text.to_owned())
    });
    let formats = [("auto", LogFormat::Auto), ("human", LogFormat::Human), ("json", LogFormat::Json)];
    LogConfig { filter, format: reader.word("log.format", LogFormat::Auto, &formats) }
}
