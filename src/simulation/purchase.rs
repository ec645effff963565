//! An errand in all its details: a row, and the rows that follow from it later. It knows nothing of fraud.

use super::{
    draw::{Draw, Purpose, zipf},
    habits::{Day, Errand, Planned},
    places::{Coin, coin_of},
    row::SimulatedRow,
    shops::{Channel, Prices, Shop, price_minor},
    world::{Card, EMAIL_DOMAINS, Merchant, Reason, Stay, World, country_address},
};
use crate::scoring::{
    money::Currency,
    time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS},
    transaction::TransactionType,
};

/// A legitimate transaction counts as such this long after it, when nobody has objected.
const UNDISPUTED_MS: i64 = 21 * DAY_MS;

/// Where contactless cards ask for a PIN, in cents of euros.
const CONTACTLESS_MAX_CENTS: f64 = 5_000.0;

/// What follows from a purchase has the purchase's key with one of these added; a day has fewer slots than the first.
const REFUND_KEY: u64 = 0x1000;
const REVERSAL_KEY: u64 = 0x2000;
const RETRY_KEY: u64 = 0x3000;
const INCREMENTAL_KEY: u64 = 0x4000;

/// The key of an errand: below 2^63, where those of frauds begin.
fn errand_key(planned: &Planned, day: &Day) -> u64 {
    u64::from(planned.card) << 32 | u64::from(day.index) << 16 | u64::from(planned.slot)
}

/// The row of an errand; what follows from it goes to `later`.
pub(super) fn carry_out(
    world: &World,
    day: &Day,
    planned: &Planned,
    later: &mut impl FnMut(SimulatedRow),
) -> SimulatedRow {
    let card = world.card(planned.card);
    let stay = world.stay(&card, day.index);
    let key = errand_key(planned, day);
    let mut draw = Draw::new(world.seed, Purpose::Purchase, planned.card.into(), key & 0xffff_ffff);
    let mut row = match planned.errand {
        Errand::Purchase(shop) => purchase(world, &card, stay, day, shop, &mut draw),
        Errand::Game => {
            let merchant = world.remote_merchant(Shop::DigitalGoods, card.country, card.index.into());
            let mut row = online(world, &card, stay, day, merchant, &mut draw);
            let coin = coin_of_code(row.currency);
            let cents = *draw.pick(&[99.0, 199.0, 199.0, 499.0, 999.0]);
            row.amount_minor = price_minor(Prices::Retail, coin, cents_to_minor(cents, coin), &mut draw);
            row.entry_mode = Some("stored");
            row
        }
        Errand::Subscription(which) => {
            let (merchant, _) = world.subscription(&card, which.into());
            let mut row = base(world, &card, merchant);
            row.has_customer = true;
            row.entry_mode = Some("stored");
            row.email = Some(world.email(&card));
            row.cvv = Some("not_checked");
            // The price of a subscription depends on nothing that changes.
            let mut fixed = Draw::new(world.seed, Purpose::Schedule, card.index.into(), which.into());
            row.amount_minor = amount_minor(world, &card, &merchant, row.currency, 1.0, &mut fixed);
            row
        }
        Errand::Subscribe(which) => {
            let (merchant, _) = world.subscription(&card, which.into());
            verification(online(world, &card, stay, day, merchant, &mut draw))
        }
        Errand::StoreCard(shop) => {
            let merchant = remote_merchant(world, &card, shop, &mut draw);
            verification(online(world, &card, stay, day, merchant, &mut draw))
        }
    };
    row.key = key;
    row.time_ms = planned.time_ms;
    row.label_ms = undisputed_ms(row.time_ms, &mut draw);
    follow_up(&mut row, &mut draw, later);
    row
}

fn verification(mut row: SimulatedRow) -> SimulatedRow {
    row.channel = Channel::Ecom;
    row.kind = TransactionType::Verification;
    row.amount_minor = 0;
    row.shipping_country = None;
    row
}

fn purchase(world: &World, card: &Card, stay: Stay, day: &Day, shop: Shop, draw: &mut Draw) -> SimulatedRow {
    let mut row = match shop.kind().channel {
        Channel::Pos | Channel::Atm => {
            let stays_behind = card.is_shared && stay.reason == Reason::Journey && draw.per_mille(400);
            let stay = if stays_behind { World::home(card) } else { stay };
            let merchant = local_merchant(world, card, shop, stay, draw);
            in_person(world, card, merchant, draw)
        }
        Channel::Ecom | Channel::Recurring => {
            let merchant = remote_merchant(world, card, shop, draw);
            online(world, card, stay, day, merchant, draw)
        }
        Channel::Moto => {
            let mut row = base(world, card, remote_merchant(world, card, shop, draw));
            row.entry_mode = Some("manual");
            row.billing_country = Some(card.country);
            row.avs = Some(["pass", "unavailable", "not_checked", "fail"][draw.weighted(&[60_u32, 18, 18, 4])]);
            row.cvv = Some(["pass", "not_checked", "fail"][draw.weighted(&[80_u32, 18, 2])]);
            row
        }
    };
    row.amount_minor = amount_minor(world, card, &row.merchant, row.currency, 1.0, draw);
    if row.channel == Channel::Pos {
        settle_entry_mode(&mut row, card, draw);
    }
    row
}

/// A merchant where the card is: at home mostly one that it knows.
fn local_merchant(world: &World, card: &Card, shop: Shop, stay: Stay, draw: &mut Draw) -> Merchant {
    let bits = if stay.reason == Reason::Home && draw.per_mille(680) {
        world.favourite_bits(card, shop, stay.city, draw.below(3))
    } else {
        draw.bits()
    };
    world.local_merchant(shop, stay.country, stay.city, bits)
}

pub(super) fn remote_merchant(world: &World, card: &Card, shop: Shop, draw: &mut Draw) -> Merchant {
    let bits = if draw.per_mille(600) { world.favourite_bits(card, shop, 7, draw.below(3)) } else { draw.bits() };
    world.remote_merchant(shop, card.country, bits)
}

/// A row with what every purchase of a card at a merchant has.
pub(super) fn base(world: &World, card: &Card, merchant: Merchant) -> SimulatedRow {
    let kind = merchant.shop.kind();
    let city = merchant.city.map(|city| World::city(merchant.country, city));
    SimulatedRow {
        key: 0,
        time_ms: 0,
        card: card.index,
        amount_minor: 0,
        currency: currency_of(coin_of(merchant.country)),
        kind: TransactionType::Authorization,
        parent: None,
        merchant,
        terminal: None,
        processor: world.processor(&merchant),
        has_mcc: true,
        channel: kind.channel,
        entry_mode: None,
        wallet: None,
        has_customer: false,
        device: None,
        email: None,
        ip: None,
        bin: card.bin,
        issuer_country: card.country,
        billing_country: None,
        shipping_country: None,
        position_e4: world.position_e4(&merchant),
        utc_offset_minutes: city.map(|city| city.utc_offset_minutes),
        avs: None,
        cvv: None,
        three_ds: None,
        pattern: None,
        label_ms: 0,
    }
}

/// A purchase at a terminal, before its amount is known.
pub(super) fn in_person(world: &World, card: &Card, merchant: Merchant, draw: &mut Draw) -> SimulatedRow {
    let mut row = base(world, card, merchant);
    row.terminal = Some(zipf(draw.bits(), World::terminals(&merchant)) as u8);
    row.has_mcc = !draw.per_mille(8);
    if row.channel == Channel::Atm {
        row.entry_mode = Some(if draw.per_mille(60) { "swipe" } else { "chip" });
    }
    row
}

/// How the card is read depends on the amount: small ones are tapped.
fn settle_entry_mode(row: &mut SimulatedRow, card: &Card, draw: &mut Draw) {
    let swipes = if matches!(World::place(row.merchant.country).code, "US" | "MX" | "BR" | "IN") { 150 } else { 12 };
    if card.wallet.is_some() && draw.per_mille(550) {
        row.entry_mode = Some("contactless");
        row.wallet = card.wallet;
    } else if draw.per_mille(swipes) {
        row.entry_mode = Some("swipe");
    } else if draw.per_mille(9) {
        row.entry_mode = Some("manual");
    } else {
        let coin = coin_of(row.merchant.country);
        let is_small = (row.amount_minor as f64) < cents_to_minor(CONTACTLESS_MAX_CENTS, coin);
        let taps = if is_small { 800 } else { 40 };
        row.entry_mode = Some(if draw.per_mille(taps) { "contactless" } else { "chip" });
    }
}

/// A purchase from afar by the card's holder, before its amount is known.
pub(super) fn online(
    world: &World,
    card: &Card,
    stay: Stay,
    day: &Day,
    merchant: Merchant,
    draw: &mut Draw,
) -> SimulatedRow {
    let mut row = base(world, card, merchant);
    if row.merchant.country != card.country && draw.per_mille(600) {
        row.currency = currency_of(coin_of(card.country));
    }
    let is_guest = draw.per_mille(120);
    row.has_customer = !is_guest;
    row.entry_mode = Some(if is_guest || draw.per_mille(350) { "manual" } else { "stored" });
    if card.wallet.is_some() && draw.per_mille(90) {
        row.wallet = card.wallet;
    }
    row.email = Some(world.email(card));
    // A few know no device or use one that was never seen before.
    row.device = match draw.below(1_000) {
        0..60 => None,
        60..75 => Some(draw.bits() | 1),
        75..250 => Some(world.device(card, day.index, true)),
        _ => Some(world.device(card, day.index, false)),
    };
    row.ip = Some(match draw.below(1_000) {
        _ if stay.reason == Reason::Journey => country_address(stay.country, draw.below(2_048)),
        // Carriers put many phones behind few addresses.
        0..280 => country_address(card.country, draw.below(96)),
        280..300 => country_address(stay.country, draw.bits()),
        _ => world.home_address(card, day.index),
    });
    row.utc_offset_minutes = Some(World::city(stay.country, stay.city).utc_offset_minutes);
    row.billing_country = Some(card.country);
    if merchant.shop.kind().ships {
        let near = world.neighbours(card.country);
        let gift = draw.per_mille(25) && !near.is_empty();
        row.shipping_country = Some(if gift { *draw.pick(near) } else { card.country });
    }
    let is_stored = row.entry_mode == Some("stored");
    row.avs = Some(["pass", "unavailable", "not_checked", "fail"][draw.weighted(&[58_u32, 20, 19, 3])]);
    let cvv = if is_stored { [18_u32, 81, 1] } else { [92, 6, 2] };
    row.cvv = Some(["pass", "not_checked", "fail"][draw.weighted(&cvv)]);
    let secured = if is_stored { [34_u32, 60, 5, 1] } else { [66, 27, 5, 2] };
    row.three_ds = Some(["pass", "not_checked", "unavailable", "fail"][draw.weighted(&secured)]);
    row
}

/// What a card pays at a merchant, in minor units of a currency; `factor` is for those who do not pay themselves.
pub(super) fn amount_minor(
    world: &World,
    card: &Card,
    merchant: &Merchant,
    currency: Currency,
    factor: f64,
    draw: &mut Draw,
) -> i64 {
    let kind = merchant.shop.kind();
    let local = f64::from(World::place(merchant.country).price_percent) / 100.0;
    let level = if merchant.city.is_some() { local } else { 1.0 } * world.merchant_level(merchant);
    let median = f64::from(kind.median_cents) * level * card.affluence * factor;
    let cents = draw.log_normal(median, f64::from(kind.sigma_e2) / 100.0);
    let coin = coin_of_code(currency);
    price_minor(kind.prices, coin, cents_to_minor(cents, coin), draw)
}

/// Cents of euros as minor units of a coin.
pub(super) fn cents_to_minor(cents: f64, coin: &Coin) -> f64 {
    cents * f64::from(coin.per_euro_minor) / 100.0
}

/// The currency of a coin; the tests see to it that all are known.
pub(super) fn currency_of(coin: &Coin) -> Currency {
    Currency::from_code(coin.code).expect("every coin is an ISO 4217 currency")
}

/// The coin of a currency.
pub(super) fn coin_of_code(currency: Currency) -> &'static Coin {
    let code = currency.code();
    super::places::COINS.iter().find(|coin| coin.code == code).unwrap_or(&super::places::COINS[0])
}

/// When a legitimate transaction is known to be one: a few are confirmed soon, the others when nobody has objected.
pub(super) fn undisputed_ms(time_ms: i64, draw: &mut Draw) -> i64 {
    if draw.per_mille(80) {
        time_ms + draw.between(HOUR_MS, 2 * DAY_MS)
    } else {
        time_ms + UNDISPUTED_MS + draw.below(DAY_MS as u64) as i64
    }
}

fn follow_up(row: &mut SimulatedRow, draw: &mut Draw, later: &mut impl FnMut(SimulatedRow)) {
    if row.kind != TransactionType::Authorization {
        return;
    }
    let shop = row.merchant.shop;
    let mut follow = |draw: &mut Draw, key_part: u64, delay_ms: i64, change: &dyn Fn(&mut SimulatedRow)| {
        let mut next = row.clone();
        next.key |= key_part;
        next.time_ms += delay_ms;
        next.label_ms = undisputed_ms(next.time_ms, draw);
        change(&mut next);
        later(next);
    };
    if row.cvv == Some("fail") && draw.per_mille(700) {
        // A mistyped code is typed again.
        let delay_ms = draw.between(15 * SECOND_MS, 2 * MINUTE_MS);
        follow(draw, RETRY_KEY, delay_ms, &|next| next.cvv = Some("pass"));
        return;
    }
    let part = |draw: &mut Draw, amount_minor: i64, from_percent: i64, to_percent: i64| {
        (amount_minor * draw.between(from_percent, to_percent) / 100).max(1)
    };
    if draw.per_mille(u64::from(shop.kind().refunds_per_mille)) {
        let amount_minor = if draw.per_mille(700) { row.amount_minor } else { part(draw, row.amount_minor, 10, 80) };
        let delay_ms = draw.between(DAY_MS, 18 * DAY_MS);
        follow(draw, REFUND_KEY, delay_ms, &|next| {
            next.kind = TransactionType::Refund;
            next.parent = Some(row.key);
            next.amount_minor = amount_minor;
            (next.device, next.ip, next.three_ds, next.cvv, next.avs) = (None, None, None, None, None);
        });
    } else if draw.per_mille(5) {
        let amount_minor = if draw.per_mille(800) { row.amount_minor } else { part(draw, row.amount_minor, 20, 80) };
        let delay_ms = draw.between(20 * SECOND_MS, 40 * MINUTE_MS);
        follow(draw, REVERSAL_KEY, delay_ms, &|next| {
            next.kind = TransactionType::Reversal;
            next.parent = Some(row.key);
            next.amount_minor = amount_minor;
        });
    }
    let incremental = |amount_minor: i64| {
        let parent = row.key;
        move |next: &mut SimulatedRow| {
            next.kind = TransactionType::Incremental;
            next.parent = Some(parent);
            next.amount_minor = amount_minor;
        }
    };
    if shop == Shop::Hotel && draw.per_mille(550) {
        let amount_minor = part(draw, row.amount_minor, 4, 35);
        let delay_ms = draw.between(8 * HOUR_MS, 4 * DAY_MS);
        follow(draw, INCREMENTAL_KEY, delay_ms, &incremental(amount_minor));
    } else if shop == Shop::Fuel && matches!(World::place(row.merchant.country).code, "US" | "CA") {
        // The pump asks for one unit before and for the rest after.
        let unit_minor = 100.min(row.amount_minor - 1).max(1);
        let rest_minor = (row.amount_minor - unit_minor).max(1);
        let delay_ms = draw.between(2 * MINUTE_MS, 5 * MINUTE_MS);
        follow(draw, INCREMENTAL_KEY, delay_ms, &incremental(rest_minor));
        row.amount_minor = unit_minor;
    }
}

/// The place of an e-mail domain that gives addresses to anyone.
pub(super) const PASSING_EMAIL_DOMAIN: u8 = EMAIL_DOMAINS.len() as u8 - 1;
