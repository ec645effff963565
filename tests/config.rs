//! The configuration as its users meet it: defaults, layers, and every kind of mistake with its exact message.

use std::path::{Path, PathBuf};

use gavel::{
    config::{Authentication, Config, DurabilityConfig, Flags, LogFormat, ModelChoice, Sources},
    scoring::{
        money::Currency,
        settings::{AmountBand, Mode, Settings},
        verdict::Decision,
    },
};

fn read(file: &str, environment: &[(&str, &str)], flags: Flags) -> Result<Config, String> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let file = (PathBuf::from("etc/gavel.toml"), file.to_owned());
    Config::read(Sources::new(Some(file), environment, flags)).map_err(|errors| errors.render(false))
}

fn good(file: &str, environment: &[(&str, &str)], flags: Flags) -> Config {
    read(file, environment, flags).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The problems of a file, without their snippets.
fn problems(file: &str, environment: &[(&str, &str)]) -> Vec<String> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let file = (PathBuf::from("gavel.toml"), file.to_owned());
    match Config::read(Sources::new(Some(file), environment, Flags::default())) {
        Ok(_) => Vec::new(),
        Err(errors) => {
            let hint = |hint: Option<String>| hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            errors.problems.into_iter().map(|problem| problem.message + &hint(problem.hint)).collect()
        }
    }
}

fn currency(code: &str) -> Currency {
    Currency::from_code(code).expect(code)
}

#[test]
fn nothing_given_is_the_defaults() {
    let config = good("", &[], Flags::default());
    assert_eq!(config.settings.version(), Settings::default_for(currency("EUR")).version());
    assert_eq!(config.skew_ms, 60_000);
    assert_eq!(config.rules, Path::new("rules"));
    assert_eq!(config.model, ModelChoice::Shipped);
    assert_eq!(config.nats.servers_text(), "127.0.0.1:4222");
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:9464");
    assert_eq!(config.subjects.score, "fraud.v1.score");
    assert_eq!(config.log.format, LogFormat::Auto);
    assert!(matches!(config.nats.authentication, Authentication::None));
}

/// The example of the contract, with a rate and an attribute.
const CONTRACT: &str = r#"
base_currency = "EUR"
[rates]
USD = "0.92"
[attributes]
category = "text"
[windows]
lateness = "5m"
skew = "1m"
duplicates = "24h"
[policy]
mode = "enforce"
review_at = 0.50
deny_at = 0.90
without_score = [{ up_to = "1000000 EUR", verdict = "approve" }]
stand_in = [{ up_to = "100 EUR", verdict = "approve" }, { verdict = "review" }]
[nats]
url = "nats://127.0.0.1:4222"
[http]
listen = "127.0.0.1:9464"
"#;

#[test]
fn the_contract_s_example_is_the_defaults_with_a_rate_and_an_attribute() {
    let config = good(CONTRACT, &[], Flags::default());
    let defaults = Settings::default_for(currency("EUR"));
    assert_eq!(config.settings.policy, defaults.policy);
    assert_eq!(config.settings.windows, defaults.windows);
    assert_eq!(config.settings.rates.to_base_minor(100, currency("USD")), Some(92));
    assert!(config.settings.schema.find("category").is_some());
}

#[test]
fn the_order_of_the_keys_does_not_change_the_version() {
    let one = "[rates]\nUSD = \"0.92\"\nGBP = \"1.1\"\n[attributes]\na = \"text\"\nb = \"time\"\n";
    let other = "[attributes]\nb = \"time\"\na = \"text\"\n[rates]\nGBP = \"1.10\"\nUSD = \"0.920\"\n";
    let version = |file| good(file, &[], Flags::default()).settings.version();
    assert_eq!(version(one), version(other));
    assert_ne!(version(one), version(""));
}

#[test]
fn challengers_come_from_file_environment_or_flags() {
    let file = "[model]\nchallengers = [\"a.model\", \"/b.model\"]\n";
    let environment = [("GAVEL_MODEL_CHALLENGERS", "[\"c.model\"]")];
    let flags = Flags { challengers: vec!["d \"1\".model".into(), "e.model".into()], ..Flags::default() };
    let paths = |config: Config| config.challengers.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
    assert_eq!(paths(good(file, &[], Flags::default())), ["etc/a.model", "/b.model"]);
    assert_eq!(paths(good(file, &environment, Flags::default())), ["c.model"]);
    assert_eq!(paths(good(file, &environment, flags)), ["d \"1\".model", "e.model"]);
}

#[test]
fn flags_override_the_environment_and_it_the_file() {
    let file = r#"
        [rules]
        dir = "of-file"
        [model]
        file = "m/of-file"
        [nats]
        url = "nats://of-file:1"
        user = "u"
        [http]
        listen = "127.0.0.1:1"
        [policy]
        review_at = 0.1
    "#;
    let environment = [
        ("GAVEL_NATS_URL", "nats://of-environment:2,tls://b:3"),
        ("GAVEL_HTTP_LISTEN", "127.0.0.1:2"),
        ("GAVEL_NATS_PASSWORD", "p"),
        ("GAVEL_BASE_CURRENCY", "USD"),
        ("GAVEL_RATES_EUR", "1.1"),
        ("GAVEL_ATTRIBUTES_BASKET_SIZE", "integer"),
        ("GAVEL_POLICY_REVIEW_AT", "0.2"),
        ("GAVEL_POLICY_STAND_IN", "[{ verdict = \"deny\" }]"),
        ("GAVEL_WINDOWS_KEYS_MAX", "5000"),
        ("GAVEL_WINDOWS_ANSWERS_MAX", "64MiB"),
        ("GAVEL_SERVICE_HOST", "10.0.0.1"),
        ("GAVEL_PORT_4222_TCP", "tcp://10.0.0.1:4222"),
        ("HOME", "/"),
    ];
    let flags = Flags { http: Some("127.0.0.1:3".into()), model: Some("none".into()), ..Flags::default() };
    let config = good(file, &environment, flags);
    assert_eq!(config.rules, Path::new("etc/of-file"));
    assert_eq!(config.model, ModelChoice::None);
    assert_eq!(config.nats.servers_text(), "of-environment:2,b:3");
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:3");
    assert_eq!(config.settings.rates.base().code(), "USD");
    assert_eq!(config.settings.rates.known().count(), 2);
    assert!(config.settings.schema.find("basket_size").is_some());
    assert_eq!(config.settings.policy.review_at.to_bits(), 0.2_f64.to_bits());
    let deny_all = AmountBand { up_to_minor: None, decision: Decision::Deny };
    assert_eq!(config.settings.policy.stand_in, [deny_all]);
    assert_eq!(config.settings.windows.keys_max, 5_000);
    assert_eq!(config.settings.windows.answers_max_bytes, 64 << 20);
    let Authentication::Password { user, password } = config.nats.authentication else { panic!("no password") };
    assert_eq!((user.as_str(), password.expose()), ("u", "p"));
}

#[test]
fn a_bound_in_another_currency_is_converted() {
    let file = "[rates]\nUSD = \"0.5\"\n[policy]\nmode = \"monitor\"\nstand_in = [{ up_to = \"100 USD\", verdict = \"deny\" }]";
    let policy = good(file, &[], Flags::default()).settings.policy;
    assert_eq!(policy.stand_in, [AmountBand { up_to_minor: Some(5_000), decision: Decision::Deny }]);
    assert_eq!(policy.mode, Mode::Monitor);
}

#[test]
fn every_mistake_has_its_message() {
    let mut file = String::new();
    for line in include_str!("config_mistakes.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix("  -> ") {
            Some(expected) => assert_eq!(problems(&file, &[]), [expected], "{file}"),
            None => file = line.replace(" | ", "\n"),
        }
    }
}

#[test]
fn mistakes_of_variables_name_the_variable() {
    // (name, value, message)
    let cases = [
        (
            "GAVEL_WINDOWS_LATENES",
            "5m",
            "unknown variable GAVEL_WINDOWS_LATENES (did you mean `GAVEL_WINDOWS_LATENESS`?)",
        ),
        ("GAVEL_COLOUR", "red", "unknown variable GAVEL_COLOUR"),
        (
            "GAVEL_POLICY_DENY_AT",
            "0.2",
            "GAVEL_POLICY_DENY_AT is 0.2, expected at least `policy.review_at`, which is 0.5",
        ),
        ("GAVEL_POLICY_DENY_AT", "2", "GAVEL_POLICY_DENY_AT is \"2\", expected a number from 0 to 1"),
        (
            "GAVEL_RATES_USD",
            "",
            "GAVEL_RATES_USD is \"\", expected what one USD is worth in EUR as decimal text above zero, such as `\"0.92\"`",
        ),
        (
            "GAVEL_RATES_UDS",
            "1",
            "GAVEL_RATES_UDS is about no currency, expected an ISO 4217 code such as `USD` (did you mean `USD`?)",
        ),
        (
            "GAVEL_POLICY_STAND_IN",
            "[{ verdict = \"x\" }]",
            "`verdict` in band 1 of GAVEL_POLICY_STAND_IN is \"x\", expected `approve`, `deny` or `review`",
        ),
        (
            "GAVEL_NATS_NKEY",
            "hunter2",
            "GAVEL_NATS_NKEY is something else, expected the seed of a user nkey: 58 capitals and digits that begin with `SU`",
        ),
    ];
    for (name, value, expected) in cases {
        assert_eq!(problems("", &[(name, value)]), [expected], "{name}");
    }
}

#[test]
fn everything_wrong_is_reported_in_one_run() {
    let file = r#"base_currency = "EUR"

[windows]
lateness = 5m
latness = "5m"
skew = "soon"

[nats]
pasword = "hunter2"
url = "nats://u:hunter2@127.0.0.1:4222" # hunter2
nkey = """
hunter2"""
"#;
    let environment = [("GAVEL_HTTP_LISTEN", "here"), ("GAVEL_NATS_PASSWORD", "hunter2")];
    let flags = Flags { nats: Some("http://hunter2".into()), ..Flags::default() };
    let Err(text) = read(file, &environment, flags) else { panic!("all of it was accepted") };
    let expected = include_str!("config_everything_wrong.txt");
    assert_eq!(text, expected.trim_end(), "\n{text}");
    assert!(!text.contains("hunter2"));
}

#[test]
fn a_file_that_is_named_must_exist() {
    let flags = Flags { config: Some("no/such/gavel.toml".into()), ..Flags::default() };
    let Err(errors) = Config::load(&flags) else { panic!("a missing file was accepted") };
    let expected =
        "error: cannot read the configuration file `no/such/gavel.toml`: No such file or directory (os error 2)";
    assert_eq!(errors.to_string(), expected);
}

/// The first TOML block of a page.
fn toml_block(page: &str) -> &str {
    let begin = page.find("```toml\n").expect("the page has a TOML block") + "```toml\n".len();
    let length = page[begin..].find("```").expect("the block ends");
    &page[begin..begin + length]
}

#[test]
fn the_documented_example_is_every_key_at_its_default() {
    let example = toml_block(include_str!("../docs/operations.md"));
    let documented = good(example, &[], Flags::default());
    let defaults = good("", &[], Flags::default());
    assert_eq!(documented.settings.version(), defaults.settings.version());
    assert_eq!(documented.skew_ms, defaults.skew_ms);
    assert_eq!(documented.rules, Path::new("etc").join(&defaults.rules));
    assert_eq!(documented.nats.servers_text(), defaults.nats.servers_text());
    let capacities =
        |config: &Config| (config.nats.subscription_capacity, config.nats.client_capacity, config.nats.queue_max);
    assert_eq!(capacities(&documented), capacities(&defaults));
    assert_eq!(documented.subjects, defaults.subjects);
    assert_eq!(documented.stream, defaults.stream);
    assert_eq!(documented.scoring, defaults.scoring);
    assert_eq!(documented.http, defaults.http);
    let dir = defaults.durability.dir.as_deref().map(|dir| Path::new("etc").join(dir));
    assert_eq!(documented.durability, DurabilityConfig { dir, ..defaults.durability });
    assert_eq!(documented.log, defaults.log);

    // A key behind `# ` is documented too; a comment that is a sentence has no ` = ` after its first word.
    let with_optional = example.lines().map(|line| match line.strip_prefix("# ") {
        Some(key) if key.split_whitespace().nth(1) == Some("=") => key,
        _ => line,
    });
    let table: toml::Table = with_optional.collect::<Vec<_>>().join("\n").parse().expect("the example is TOML");
    let mut keys = Vec::new();
    for (name, value) in &table {
        match value.as_table() {
            Some(_) if ["rates", "attributes"].contains(&name.as_str()) => keys.push(format!("{name}.*")),
            Some(section) => keys.extend(section.keys().map(|key| format!("{name}.{key}"))),
            None => keys.push(name.clone()),
        }
    }
    keys.sort();
    let mut known = Config::keys();
    known.sort();
    assert_eq!(keys, known);
}
