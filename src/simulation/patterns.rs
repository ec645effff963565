//! The six patterns of fraud, each as the rows that one incident leaves. It knows nothing of how often they happen.

use std::net::IpAddr;

use super::{
    draw::{Draw, Purpose},
    habits::{Day, Planned, plan},
    places::{PLACES, coin_of, distance_km},
    purchase::{PASSING_EMAIL_DOMAIN, amount_minor, base, cents_to_minor, coin_of_code, in_person, remote_merchant},
    row::{Pattern, SimulatedRow},
    shops::{Hours, Prices, Shop, price_minor},
    world::{Card, Merchant, World, country_address, data_centre_address},
};
use crate::scoring::{
    time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS},
    transaction::TransactionType,
};

/// A copied card is used at least this far from its holder.
const FAR_KM: f64 = 2_500.0;

/// How often one looks for a victim that fits before giving up.
const TRIES_MAX: u32 = 400;

/// The largest key of a legitimate row is below this bit.
const FRAUD_KEY: u64 = 1 << 63;

/// One incident: who does what to whom.
pub(super) struct Scene<'s> {
    world: &'s World,
    day: &'s Day,
    draw: Draw,
    pattern: Pattern,
    number: u32,
    rows: Vec<SimulatedRow>,
}

/// What a thief works with.
struct Gear {
    device: Option<u64>,
    ip: IpAddr,
    email: Option<(u64, u8)>,
}

/// A terminal that copies cards.
pub(super) struct Skimmer {
    pub(super) merchant: Merchant,
    terminal: u8,
    number: u32,
    pub(super) until_ms: i64,
    /// How many frauds it will still lead to.
    pub(super) left: u32,
    rows: u32,
    /// Where the copies are used.
    market: (u8, u8),
}

/// The rows of an incident that begins on a day, in any order.
pub(super) fn play(world: &World, day: &Day, pattern: Pattern, number: u32) -> Vec<SimulatedRow> {
    let draw = Draw::new(world.seed, Purpose::Incident, number.into(), 0);
    let mut scene = Scene { world, day, draw, pattern, number, rows: Vec::new() };
    match pattern {
        Pattern::CardTesting => scene.card_testing(),
        Pattern::BinAttack => scene.bin_attack(),
        Pattern::StolenCardSpree => scene.stolen_card_spree(),
        Pattern::AccountTakeover => scene.account_takeover(),
        Pattern::ImpossibleTravel => scene.impossible_travel(),
        // Its rows come from visits to the terminal.
        Pattern::CompromisedTerminal => {}
    }
    scene.rows
}

impl Scene<'_> {
    fn victim(&mut self) -> Card {
        for _ in 0..TRIES_MAX {
            let card = self.world.card(self.draw.below(self.world.cards.into()) as u32);
            if card.opened_day <= self.day.index {
                return card;
            }
        }
        self.world.card(0)
    }

    /// A moment of the day by the hours of a country.
    fn time_ms(&mut self, hours: Hours, country: u8, city: u8) -> i64 {
        let local_ms = self.draw.weighted(hours.weights()) as i64 * HOUR_MS + self.draw.below(HOUR_MS as u64) as i64;
        let offset_ms = i64::from(World::city(country, city).utc_offset_minutes) * MINUTE_MS;
        self.day.start_ms + (local_ms - offset_ms).rem_euclid(DAY_MS)
    }

    fn add(&mut self, mut row: SimulatedRow, time_ms: i64) {
        row.key = FRAUD_KEY | u64::from(self.number) << 16 | self.rows.len() as u64;
        row.time_ms = time_ms;
        row.pattern = Some(self.pattern);
        row.label_ms = found_out_ms(self.pattern, time_ms, &mut self.draw);
        self.rows.push(row);
    }

    fn gear(&mut self, country: u8) -> Gear {
        let bits = self.draw.bits();
        let ip = match self.draw.below(100) {
            0..35 => data_centre_address(bits),
            // A hired connection in the victim's own country.
            35..70 => country_address(country, bits),
            _ => country_address(self.draw.below(PLACES.len() as u64) as u8, bits),
        };
        let device = (!self.draw.per_mille(200)).then(|| self.draw.bits() | 1);
        let domain = [0, 1, 2, PASSING_EMAIL_DOMAIN - 1, PASSING_EMAIL_DOMAIN][self.draw.below(5) as usize];
        let email = (!self.draw.per_mille(150)).then(|| (self.draw.bits() | 1, domain));
        Gear { device, ip, email }
    }

    /// A purchase from afar by someone who has the card's number.
    fn with_number(&mut self, card: &Card, merchant: Merchant, gear: &Gear) -> SimulatedRow {
        let mut row = base(self.world, card, merchant);
        row.entry_mode = Some("manual");
        row.device = gear.device;
        row.ip = Some(gear.ip);
        row.email = gear.email;
        row.utc_offset_minutes = Some(World::city(card.country, card.city).utc_offset_minutes);
        row.billing_country = Some(card.country);
        if merchant.shop.kind().ships {
            let near = self.world.neighbours(card.country);
            let sent_abroad = self.draw.per_mille(350) && !near.is_empty();
            row.shipping_country = Some(if sent_abroad { *self.draw.pick(near) } else { card.country });
        }
        row.avs = Some(["pass", "fail", "unavailable", "not_checked"][self.draw.weighted(&[34_u32, 26, 22, 18])]);
        row.cvv = Some(["pass", "fail", "not_checked"][self.draw.weighted(&[76_u32, 12, 12])]);
        row.three_ds = Some(["not_checked", "fail", "unavailable", "pass"][self.draw.weighted(&[56_u32, 10, 14, 20])]);
        row
    }

    fn pays(&mut self, row: &mut SimulatedRow, card: &Card, factor: f64) {
        row.amount_minor = amount_minor(self.world, card, &row.merchant, row.currency, factor, &mut self.draw);
    }

    /// A copy has the stripe, seldom a chip that works; at a cash machine no number can be typed in.
    fn copied_card_entry(&mut self, shop: Shop) -> &'static str {
        let manual = if shop == Shop::CashMachine { 0 } else { 18 };
        ["swipe", "chip", "manual"][self.draw.weighted(&[62_u32, 20, manual])]
    }

    fn small_amount_minor(&mut self, row: &SimulatedRow, most_cents: i64) -> i64 {
        let coin = coin_of_code(row.currency);
        let cents = self.draw.between(20, most_cents) as f64;
        price_minor(Prices::Metered, coin, cents_to_minor(cents, coin), &mut self.draw)
    }

    fn card_testing(&mut self) {
        const EASY: [Shop; 4] = [Shop::Charity, Shop::DigitalGoods, Shop::FoodDelivery, Shop::GiftCards];
        const SPENT: [Shop; 4] = [Shop::OnlineElectronics, Shop::GiftCards, Shop::OnlineFashion, Shop::Marketplace];
        let first = self.victim();
        let shop = EASY[self.draw.weighted(&[4_u32, 4, 1, 1])];
        let merchant = self.world.remote_merchant(shop, first.country, self.draw.bits());
        let gear = self.gear(first.country);
        let mut time_ms = self.time_ms(Hours::Online, first.country, first.city);
        let cards = 1 + self.draw.weighted(&[4_u32, 3, 2, 1]);
        for number in 0..cards {
            let card = if number == 0 { first } else { self.victim() };
            for _ in 0..self.draw.between(5, 15) {
                let mut row = self.with_number(&card, merchant, &gear);
                row.shipping_country = None;
                row.cvv = Some(["pass", "fail", "not_checked"][self.draw.weighted(&[45_u32, 35, 20])]);
                if self.draw.per_mille(120) {
                    row.kind = TransactionType::Verification;
                } else {
                    row.amount_minor = self.small_amount_minor(&row, 260);
                }
                self.add(row, time_ms);
                time_ms += self.draw.between(6 * SECOND_MS, 70 * SECOND_MS);
            }
            if self.draw.per_mille(600) {
                let mut spent_ms = time_ms + self.draw.between(20 * MINUTE_MS, 30 * HOUR_MS);
                for _ in 0..self.draw.between(1, 3) {
                    let shop = *self.draw.pick(&SPENT);
                    let merchant = self.world.remote_merchant(shop, card.country, self.draw.bits());
                    let mut row = self.with_number(&card, merchant, &gear);
                    self.pays(&mut row, &card, 1.8);
                    self.add(row, spent_ms);
                    spent_ms += self.draw.between(2 * MINUTE_MS, 50 * MINUTE_MS);
                }
            }
        }
    }

    fn bin_attack(&mut self) {
        let first = self.victim();
        let wanted = self.draw.between(6, 22) as usize;
        let mut cards = vec![first];
        for _ in 0..TRIES_MAX {
            let card = self.victim();
            if card.bin == first.bin && cards.iter().all(|known| known.index != card.index) {
                cards.push(card);
            }
            if cards.len() == wanted {
                break;
            }
        }
        let shop = *self.draw.pick(&[Shop::DigitalGoods, Shop::Charity, Shop::Marketplace, Shop::Tickets]);
        let merchant = self.world.remote_merchant(shop, first.country, self.draw.bits());
        let gear = self.gear(first.country);
        let addresses = self.draw.between(1, 5) as u64;
        let seat = self.draw.bits();
        let asks_only = self.draw.per_mille(300);
        let cents = self.draw.between(100, 999) as f64;
        let mut time_ms = self.time_ms(Hours::Online, first.country, first.city);
        for round in 0..3 {
            for card in &cards {
                if round > 0 && self.draw.per_mille(550) {
                    continue;
                }
                let mut row = self.with_number(card, merchant, &gear);
                row.shipping_country = None;
                // Scripts change address and device from try to try.
                row.ip = Some(data_centre_address(seat.wrapping_add(self.draw.below(addresses))));
                row.device = if self.draw.per_mille(500) { None } else { Some(self.draw.bits() | 1) };
                row.cvv = Some(["fail", "pass", "not_checked"][self.draw.weighted(&[72_u32, 14, 14])]);
                row.avs =
                    Some(["fail", "unavailable", "not_checked", "pass"][self.draw.weighted(&[45_u32, 30, 20, 5])]);
                if asks_only {
                    row.kind = TransactionType::Verification;
                } else {
                    let coin = coin_of_code(row.currency);
                    row.amount_minor = price_minor(Prices::Retail, coin, cents_to_minor(cents, coin), &mut self.draw);
                }
                self.add(row, time_ms);
                time_ms += self.draw.between(700, 5_500);
            }
        }
    }

    fn stolen_card_spree(&mut self) {
        const SHOPS: [Shop; 7] = [
            Shop::Electronics,
            Shop::Department,
            Shop::Clothing,
            Shop::Jeweller,
            Shop::Grocer,
            Shop::Fuel,
            Shop::CashMachine,
        ];
        const ONLINE: [Shop; 5] =
            [Shop::OnlineElectronics, Shop::OnlineFashion, Shop::GiftCards, Shop::Marketplace, Shop::Crypto];
        let card = self.victim();
        let stay = self.world.stay(&card, self.day.index);
        let mut time_ms = self.time_ms(Hours::Shop, stay.country, stay.city);
        let purchases = self.draw.between(4, 10);
        if self.draw.per_mille(400) {
            // The number alone was stolen.
            let gear = self.gear(card.country);
            for _ in 0..purchases {
                let shop = *self.draw.pick(&ONLINE);
                let merchant = self.world.remote_merchant(shop, card.country, self.draw.bits());
                let mut row = self.with_number(&card, merchant, &gear);
                self.pays(&mut row, &card, 1.9);
                self.add(row, time_ms);
                time_ms += self.draw.between(90 * SECOND_MS, 30 * MINUTE_MS);
            }
            return;
        }
        for number in 0..purchases {
            let shop = SHOPS[self.draw.weighted(&[25_u32, 20, 18, 10, 14, 6, 7])];
            let merchant = self.world.local_merchant(shop, stay.country, stay.city, self.draw.bits());
            let mut row = in_person(self.world, &card, merchant, &mut self.draw);
            self.pays(&mut row, &card, if number == 0 { 0.8 } else { 2.0 });
            let coin = coin_of(merchant.country);
            let is_small = (row.amount_minor as f64) < cents_to_minor(5_000.0, coin);
            row.entry_mode = Some(match self.draw.below(100) {
                0..80 if is_small => "contactless",
                0..35 => "chip",
                75..100 if shop != Shop::CashMachine => "manual",
                _ => "swipe",
            });
            self.add(row, time_ms);
            time_ms += self.draw.between(4 * MINUTE_MS, 40 * MINUTE_MS);
        }
    }

    fn account_takeover(&mut self) {
        const SHOPS: [Shop; 5] =
            [Shop::Marketplace, Shop::OnlineFashion, Shop::OnlineElectronics, Shop::GiftCards, Shop::TravelAgency];
        let card = self.victim();
        let gear = self.gear(card.country);
        let mut time_ms = self.time_ms(Hours::Online, card.country, card.city);
        let new_email = self.draw.per_mille(400);
        let abroad = self.draw.per_mille(450);
        let drop_country = self.draw.below(PLACES.len() as u64) as u8;
        // The shop where the customer's account is.
        let shop = *self.draw.pick(&SHOPS);
        let account = remote_merchant(self.world, &card, shop, &mut self.draw);
        if self.draw.per_mille(300) {
            let mut row = self.with_number(&card, account, &gear);
            row.kind = TransactionType::Verification;
            row.has_customer = true;
            row.shipping_country = None;
            self.add(row, time_ms);
            time_ms += self.draw.between(MINUTE_MS, 40 * MINUTE_MS);
        }
        for _ in 0..self.draw.between(3, 7) {
            let merchant = if self.draw.per_mille(600) {
                account
            } else {
                let shop = *self.draw.pick(&SHOPS);
                remote_merchant(self.world, &card, shop, &mut self.draw)
            };
            let mut row = self.with_number(&card, merchant, &gear);
            row.has_customer = true;
            row.entry_mode = Some(if self.draw.per_mille(800) { "stored" } else { "manual" });
            if !new_email {
                row.email = Some(self.world.email(&card));
            }
            if merchant.shop.kind().ships {
                row.shipping_country = Some(if abroad { drop_country } else { card.country });
            }
            row.cvv = Some(["not_checked", "pass", "fail"][self.draw.weighted(&[78_u32, 16, 6])]);
            self.pays(&mut row, &card, 2.2);
            self.add(row, time_ms);
            time_ms += self.draw.between(3 * MINUTE_MS, 7 * HOUR_MS);
        }
    }

    fn impossible_travel(&mut self) {
        const SHOPS: [Shop; 6] =
            [Shop::CashMachine, Shop::Electronics, Shop::Department, Shop::Grocer, Shop::Jeweller, Shop::Restaurant];
        let Some((card, seen)) = self.seen_in_person() else { return };
        let stay = self.world.stay(&card, self.day.index);
        let here = World::city(stay.country, stay.city);
        let mut far = None;
        for _ in 0..TRIES_MAX {
            let country = self.draw.below(PLACES.len() as u64) as u8;
            let city = self.draw.below(World::place(country).cities.len() as u64) as u8;
            if distance_km(here, World::city(country, city)) > FAR_KM {
                far = Some((country, city));
                break;
            }
        }
        let Some((country, city)) = far else { return };
        let mut time_ms = seen.time_ms + self.draw.between(20 * MINUTE_MS, 110 * MINUTE_MS);
        for _ in 0..self.draw.between(2, 5) {
            let shop = SHOPS[self.draw.weighted(&[30_u32, 18, 20, 12, 8, 12])];
            let merchant = self.world.local_merchant(shop, country, city, self.draw.bits());
            let mut row = in_person(self.world, &card, merchant, &mut self.draw);
            row.entry_mode = Some(self.copied_card_entry(shop));
            self.pays(&mut row, &card, 1.5);
            self.add(row, time_ms);
            time_ms += self.draw.between(6 * MINUTE_MS, 70 * MINUTE_MS);
        }
    }

    /// A card and one of its own purchases in person on this day.
    fn seen_in_person(&mut self) -> Option<(Card, Planned)> {
        let mut planned = Vec::new();
        for _ in 0..TRIES_MAX {
            let card = self.victim();
            planned.clear();
            plan(self.world, self.day, card.index, &mut planned);
            if let Some(seen) = planned.iter().find(|errand| errand.is_in_person()) {
                return Some((card, *seen));
            }
        }
        None
    }
}

impl Skimmer {
    /// Fits a much used terminal somewhere with a skimmer.
    pub(super) fn fit(world: &World, day: &Day, number: u32) -> Self {
        const SHOPS: [Shop; 7] = [
            Shop::Grocer,
            Shop::Fuel,
            Shop::FastFood,
            Shop::Restaurant,
            Shop::Parking,
            Shop::CashMachine,
            Shop::Transit,
        ];
        let draw = Draw::new(world.seed, Purpose::Incident, number.into(), 0);
        let mut scene = Scene { world, day, draw, pattern: Pattern::CompromisedTerminal, number, rows: Vec::new() };
        let near = scene.victim();
        let draw = &mut scene.draw;
        // The lowest quarter of the draws are the most popular merchants.
        let merchant = world.local_merchant(*draw.pick(&SHOPS), near.country, near.city, draw.bits() >> 2);
        let at_home = draw.per_mille(500);
        let country = if at_home { near.country } else { draw.below(PLACES.len() as u64) as u8 };
        let city = draw.below(World::place(country).cities.len() as u64) as u8;
        Self {
            merchant,
            terminal: 0,
            number,
            until_ms: day.start_ms + draw.between(6, 18) * DAY_MS,
            left: draw.between(10, 45) as u32,
            rows: 0,
            market: (country, city),
        }
    }

    /// The frauds that follow from a visit, if the visit was to this terminal and the card was copied.
    pub(super) fn visited(&mut self, world: &World, row: &SimulatedRow, day: &Day) -> Vec<SimulatedRow> {
        let here = row.merchant.key == self.merchant.key && row.terminal == Some(self.terminal);
        if !here || self.left == 0 || row.kind != TransactionType::Authorization || row.wallet.is_some() {
            return Vec::new();
        }
        let mut draw = Draw::new(world.seed, Purpose::Visit, row.key, self.number.into());
        if !draw.per_mille(500) {
            return Vec::new();
        }
        let card = world.card(row.card);
        let frauds = (1 + draw.weighted(&[4_u32, 3, 2]) as u32).min(self.left);
        let mut scene =
            Scene { world, day, draw, pattern: Pattern::CompromisedTerminal, number: self.number, rows: Vec::new() };
        // Half of the copies are used by those who run the terminal, the others are sold.
        let is_sold = scene.draw.per_mille(500);
        let mut time_ms = if is_sold {
            row.time_ms + scene.draw.between(10 * HOUR_MS, 11 * DAY_MS)
        } else {
            row.time_ms + scene.draw.between(HOUR_MS, 4 * DAY_MS)
        };
        for _ in 0..frauds {
            let merchant = if is_sold {
                let shop = [Shop::CashMachine, Shop::Electronics, Shop::Grocer, Shop::Department]
                    [scene.draw.weighted(&[45_u32, 20, 15, 20])];
                world.local_merchant(shop, self.market.0, self.market.1, scene.draw.bits())
            } else {
                self.merchant
            };
            let mut next = in_person(world, &card, merchant, &mut scene.draw);
            if !is_sold {
                next.terminal = Some(self.terminal);
            }
            next.entry_mode = Some(scene.copied_card_entry(merchant.shop));
            scene.pays(&mut next, &card, 1.6);
            scene.add(next, time_ms);
            time_ms += scene.draw.between(3 * MINUTE_MS, 9 * HOUR_MS);
        }
        for fraud in &mut scene.rows {
            fraud.key = FRAUD_KEY | u64::from(self.number) << 16 | u64::from(self.rows);
            self.rows += 1;
        }
        self.left -= frauds;
        scene.rows
    }
}

/// When a fraud is known to be one: banks see attacks on many cards soon, the others wait for a statement.
fn found_out_ms(pattern: Pattern, time_ms: i64, draw: &mut Draw) -> i64 {
    let median_days = match pattern {
        Pattern::CardTesting | Pattern::BinAttack => 2.0,
        Pattern::StolenCardSpree => 3.0,
        Pattern::CompromisedTerminal | Pattern::AccountTakeover | Pattern::ImpossibleTravel => 6.0,
    };
    let delay_days = draw.log_normal(median_days, 0.7).clamp(0.1, 20.0);
    time_ms + (delay_days * DAY_MS as f64) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_leaves_rows() {
        let world = World::new(11, 3_000);
        let day = Day::new(3, 1_767_225_600_000);
        for pattern in Pattern::ALL {
            if pattern == Pattern::CompromisedTerminal {
                continue;
            }
            for number in 0..50 {
                let rows = play(&world, &day, pattern, number);
                assert!(!rows.is_empty(), "{}", pattern.name());
                assert!(rows.iter().all(|row| row.pattern == Some(pattern) && row.time_ms >= day.start_ms));
                assert!(rows.iter().all(|row| row.label_ms > row.time_ms));
            }
        }
    }
}
