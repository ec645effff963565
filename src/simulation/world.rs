//! The world that a seed makes: its cards, merchants, terminals and journeys. Everything is computed again when it is
//! asked for, so that the world takes no memory.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    draw::{fact, mix64, normal, scale, unit, weighted, zipf},
    places::{City, PLACES, Place, distance_km, place_index},
    shops::{Channel, Shop},
};

/// The most cards: their numbers are part of the ids.
pub const CARDS_MAX: u32 = 1 << 30;

/// Days in which a card makes at most one journey.
const JOURNEY_BLOCK_DAYS: u32 = 32;
/// Journeys end within their block: 17 + 13 < 32.
const JOURNEY_START_MAX: u64 = 18;
const JOURNEY_DAYS_MAX: u64 = 13;
const _: () = assert!(JOURNEY_START_MAX + JOURNEY_DAYS_MAX < JOURNEY_BLOCK_DAYS as u64);

/// An outing goes no further than this.
const OUTING_KM: f64 = 450.0;

const RANK_BITS: u32 = 17;
const RANKS_MAX: u64 = 1 << RANK_BITS;
/// In the place of a city: the merchant serves a whole country from afar.
const NATIONAL: u32 = 7;
/// In the place of country and city: the merchant serves the world.
const GLOBAL: u32 = 511;
const _: () = assert!(PLACES.len() * 8 <= GLOBAL as usize);

/// The countries that merchants who serve the world are in.
const GLOBAL_SEATS: [&str; 6] = ["US", "IE", "LU", "GB", "NL", "SG"];

const SUBSCRIPTIONS: [Shop; 5] = [Shop::Streaming, Shop::Software, Shop::Telecom, Shop::Insurance, Shop::Gym];

/// The processors of the stream; every merchant has one.
pub const PROCESSORS: [&str; 3] = ["north", "harbour", "meridian"];

/// What a fact is about; each has its own stream of chance.
#[derive(Clone, Copy)]
enum Aspect {
    Country = 1,
    City,
    Bin,
    Spending,
    Affluence,
    EcomShare,
    Habits,
    Opened,
    Journey,
    JourneyWhere,
    Favourite,
    MerchantLevel,
    MerchantPlace,
    MerchantSeat,
    Processor,
    Subscription,
    HomeAddress,
    Email,
    Night,
}

/// A world made from a seed.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) cards: u32,
    country_weights: Vec<u32>,
    pull_weights: Vec<u32>,
    neighbours: Vec<Vec<u8>>,
    global_seats: [u8; GLOBAL_SEATS.len()],
    pos_shops: Shops,
    ecom_shops: Shops,
    moto_shops: Shops,
}

/// The kinds of merchants of a channel with their weights.
struct Shops {
    names: Vec<Shop>,
    weekday: Vec<u32>,
    weekend: Vec<u32>,
}

/// What is fixed about a card.
#[derive(Clone, Copy)]
pub(super) struct Card {
    pub(super) index: u32,
    pub(super) country: u8,
    pub(super) city: u8,
    pub(super) bin: u32,
    /// Purchases a day, on average.
    pub(super) spending_per_day: f64,
    /// What it spends at a time, relative to the median.
    pub(super) affluence: f64,
    /// Of a thousand purchases, how many are made online.
    pub(super) ecom_per_mille: u32,
    /// The wallet on the holder's phone.
    pub(super) wallet: Option<&'static str>,
    pub(super) plays_games: bool,
    /// Two people share the account: one may be at home while the other travels.
    pub(super) is_shared: bool,
    travels: Travels,
    /// How many days after the start the card is first used.
    pub(super) opened_day: u32,
    pub(super) subscriptions: u32,
    pub(super) has_ipv6: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Travels {
    Seldom,
    Sometimes,
    Often,
    Commutes,
}

/// Where a card is on a day.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Stay {
    pub(super) country: u8,
    pub(super) city: u8,
    pub(super) reason: Reason,
    /// Purchases in person lie between these hours in UTC, so that there is time for the way.
    pub(super) in_person_hours: (u8, u8),
}

/// Why a card is where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// It is at home.
    Home,
    /// A day in another city; at home in the evening.
    Outing,
    /// A journey of several days.
    Journey,
}

/// On the day of an arrival purchases in person begin here, and on the day before they end there: 20 hours between.
const ARRIVAL_HOUR: u8 = 13;
const DEPARTURE_HOUR: u8 = 17;
const OUTING_HOURS: (u8, u8) = (9, 18);

/// A merchant.
#[derive(Clone, Copy)]
pub(super) struct Merchant {
    /// Its number, unlike every other merchant's.
    pub(super) key: u32,
    pub(super) shop: Shop,
    pub(super) country: u8,
    /// The city of a merchant that people go to.
    pub(super) city: Option<u8>,
    rank: u32,
}

impl World {
    pub(super) fn new(seed: u64, cards: u32) -> Self {
        let shops = |channel: Channel| {
            let shops: Vec<Shop> = Shop::ALL.iter().copied().filter(|shop| shop.kind().channel == channel).collect();
            let weights = |weekend: bool| {
                let percent = |shop: &Shop| if weekend { shop.kind().weekend_percent } else { 100 };
                shops.iter().map(|shop| shop.kind().weight * percent(shop)).collect()
            };
            Shops { weekday: weights(false), weekend: weights(true), names: shops }
        };
        Self {
            seed,
            cards,
            country_weights: PLACES.iter().map(|place| place.cards).collect(),
            pull_weights: PLACES.iter().map(|place| place.pull).collect(),
            neighbours: PLACES
                .iter()
                .map(|place| place.neighbours.iter().map(|code| place_index(code)).collect())
                .collect(),
            global_seats: GLOBAL_SEATS.map(place_index),
            pos_shops: shops(Channel::Pos),
            ecom_shops: shops(Channel::Ecom),
            moto_shops: shops(Channel::Moto),
        }
    }

    fn card_fact(&self, card: u32, aspect: Aspect, part: u64) -> u64 {
        fact(self.seed, u64::from(card) | part << 32, aspect as u64)
    }

    pub(super) fn card(&self, index: u32) -> Card {
        let fact_of = |aspect| self.card_fact(index, aspect, 0);
        let normal_of = |aspect| normal(self.card_fact(index, aspect, 0), self.card_fact(index, aspect, 1));
        let country = weighted(fact_of(Aspect::Country), &self.country_weights) as u8;
        let people: Vec<u32> = Self::place(country).cities.iter().map(|city| city.people).collect();
        let habits = fact_of(Aspect::Habits);
        let spending: f64 = 0.82 * libm::exp(0.75 * normal_of(Aspect::Spending));
        let opened = fact_of(Aspect::Opened);
        Card {
            index,
            country,
            city: weighted(fact_of(Aspect::City), &people) as u8,
            bin: Self::bin(country, fact_of(Aspect::Bin)),
            spending_per_day: spending.min(7.0),
            affluence: libm::exp(0.35 * normal_of(Aspect::Affluence)),
            ecom_per_mille: 60 + scale(fact_of(Aspect::EcomShare), 480) as u32,
            wallet: match habits % 100 {
                0..25 => Some("apple_pay"),
                25..38 => Some("google_pay"),
                _ => None,
            },
            plays_games: habits / 100 % 100 < 12,
            is_shared: habits / 1_000_000_000 % 100 < 4,
            travels: match habits / 10_000 % 100 {
                0..55 => Travels::Seldom,
                55..88 => Travels::Sometimes,
                88..96 => Travels::Often,
                _ => Travels::Commutes,
            },
            opened_day: if opened % 100 < 12 { (opened / 100 % 365) as u32 } else { 0 },
            subscriptions: (habits / 1_000_000 % 5) as u32,
            has_ipv6: habits / 10_000_000 % 100 < 18,
        }
    }

    /// A bank's number range. It starts with 9, which no card brand does.
    fn bin(country: u8, bits: u64) -> u32 {
        let bank = weighted(bits, &[50_u32, 25, 15, 10]) as u32;
        900_000 + u32::from(country) * 1_000 + bank * 250 + 17
    }

    pub(super) fn place(country: u8) -> &'static Place {
        &PLACES[usize::from(country)]
    }

    pub(super) fn city(country: u8, city: u8) -> &'static City {
        &Self::place(country).cities[usize::from(city)]
    }

    pub(super) fn neighbours(&self, country: u8) -> &[u8] {
        &self.neighbours[usize::from(country)]
    }

    /// A day at home.
    pub(super) const fn home(card: &Card) -> Stay {
        Stay { country: card.country, city: card.city, reason: Reason::Home, in_person_hours: (0, 24) }
    }

    /// Where a card is on a day.
    pub(super) fn stay(&self, card: &Card, day: u32) -> Stay {
        let today = self.journey(card, day);
        let before = if day == 0 { today } else { self.journey(card, day - 1) };
        let arrives = today.is_some() != before.is_some();
        let leaves = today.is_some() != self.journey(card, day + 1).is_some();
        let from_hour = if arrives { ARRIVAL_HOUR } else { 0 };
        let to_hour = if leaves { DEPARTURE_HOUR } else { 24 };
        let in_person_hours = (from_hour, to_hour);
        if let Some((country, city)) = today {
            return Stay { country, city, reason: Reason::Journey, in_person_hours };
        }
        if !arrives
            && !leaves
            && let Some((country, city)) = self.outing(card, day)
        {
            return Stay { country, city, reason: Reason::Outing, in_person_hours: OUTING_HOURS };
        }
        Stay { in_person_hours, ..Self::home(card) }
    }

    fn journey(&self, card: &Card, day: u32) -> Option<(u8, u8)> {
        let block = u64::from(day / JOURNEY_BLOCK_DAYS);
        let bits = self.card_fact(card.index, Aspect::Journey, block);
        let per_mille = match card.travels {
            Travels::Seldom | Travels::Commutes => 40,
            Travels::Sometimes => 150,
            Travels::Often => 550,
        };
        let start = bits >> 20 & 0xffff;
        let length = bits >> 40 & 0xffff;
        let start = (start * JOURNEY_START_MAX) >> 16;
        let length = 2 + ((length * (JOURNEY_DAYS_MAX - 1)) >> 16);
        let day_of_block = u64::from(day % JOURNEY_BLOCK_DAYS);
        if bits % 1_000 >= per_mille || !(start..start + length).contains(&day_of_block) {
            return None;
        }
        let whither = self.card_fact(card.index, Aspect::JourneyWhere, block);
        let near = self.neighbours(card.country);
        let country = if whither % 100 < 55 && !near.is_empty() {
            near[scale(mix64(whither), near.len() as u64) as usize]
        } else {
            weighted(mix64(whither), &self.pull_weights) as u8
        };
        let cities = Self::place(country).cities.len() as u64;
        let city = scale(mix64(whither ^ 1), cities) as u8;
        (country != card.country).then_some((country, city))
    }

    /// A day in another city near enough to be back in the evening.
    fn outing(&self, card: &Card, day: u32) -> Option<(u8, u8)> {
        let bits = self.card_fact(card.index, Aspect::Journey, 1 << 31 | u64::from(day));
        let per_mille = if card.travels == Travels::Commutes && day % 7 < 5 { 450 } else { 25 };
        if bits % 1_000 >= per_mille {
            return None;
        }
        // Commuters always go to the same place.
        let whither = if card.travels == Travels::Commutes {
            self.card_fact(card.index, Aspect::JourneyWhere, 1 << 31)
        } else {
            mix64(bits)
        };
        let near = self.neighbours(card.country);
        let abroad = whither % 100 < 40 && !near.is_empty();
        let country = if abroad { near[scale(mix64(whither), near.len() as u64) as usize] } else { card.country };
        let cities = Self::place(country).cities;
        let city = scale(mix64(whither ^ 1), cities.len() as u64) as u8;
        let far = distance_km(Self::city(card.country, card.city), &cities[usize::from(city)]);
        (far < OUTING_KM && (country, city) != (card.country, card.city)).then_some((country, city))
    }

    /// The kind of merchant that 64 bits choose of a channel.
    pub(super) fn shop(&self, channel: Channel, is_weekend: bool, bits: u64) -> Shop {
        let shops = match channel {
            Channel::Pos => &self.pos_shops,
            Channel::Ecom => &self.ecom_shops,
            Channel::Moto => &self.moto_shops,
            Channel::Atm => return Shop::CashMachine,
            Channel::Recurring => return Shop::Streaming,
        };
        shops.names[weighted(bits, if is_weekend { &shops.weekend } else { &shops.weekday })]
    }

    /// How many merchants of a kind share the customers of a place with a share of all cards, in millionths.
    fn ranks(&self, shop: Shop, share_per_million: u64) -> u64 {
        let kind = shop.kind();
        let customers = u64::from(self.cards) * share_per_million / 1_000_000;
        (2 + customers * u64::from(kind.weight) / 4_000).min(RANKS_MAX)
    }

    fn share_per_million(&self, country: u8) -> u64 {
        let total: u64 = self.country_weights.iter().copied().map(u64::from).sum();
        u64::from(Self::place(country).cards) * 1_000_000 / total
    }

    /// A merchant in a city that people go to: the most popular ones most often.
    pub(super) fn local_merchant(&self, shop: Shop, country: u8, city: u8, bits: u64) -> Merchant {
        let cities = Self::place(country).cities;
        let people: u64 = cities.iter().map(|city| u64::from(city.people)).sum();
        let share = self.share_per_million(country) * u64::from(cities[usize::from(city)].people) / people;
        let rank = zipf(bits, self.ranks(shop, share)) as u32;
        let area = u32::from(country) * 8 + u32::from(city);
        Merchant { key: merchant_key(area, shop, rank), shop, country, city: Some(city), rank }
    }

    /// A merchant that sells from afar: within a country or to the world.
    pub(super) fn remote_merchant(&self, shop: Shop, country: u8, bits: u64) -> Merchant {
        let is_global = bits % 100 < 35 && shop.kind().channel != Channel::Moto;
        let share = if is_global { 150_000 } else { self.share_per_million(country) };
        let rank = zipf(mix64(bits), self.ranks(shop, share)) as u32;
        if is_global {
            let key = merchant_key(GLOBAL, shop, rank);
            let seat = scale(fact(self.seed, key.into(), Aspect::MerchantSeat as u64), GLOBAL_SEATS.len() as u64);
            return Merchant { key, shop, country: self.global_seats[seat as usize], city: None, rank };
        }
        let key = merchant_key(u32::from(country) * 8 + NATIONAL, shop, rank);
        Merchant { key, shop, country, city: None, rank }
    }

    /// One of the few merchants of a kind that a card keeps coming back to in a place.
    pub(super) fn favourite_bits(&self, card: &Card, shop: Shop, city: u8, which: u64) -> u64 {
        self.card_fact(card.index, Aspect::Favourite, (shop as u64) << 16 | u64::from(city) << 8 | which)
    }

    /// The merchant of a card's subscription and the day of the month it is charged on.
    pub(super) fn subscription(&self, card: &Card, which: u32) -> (Merchant, u32) {
        let bits = self.card_fact(card.index, Aspect::Subscription, u64::from(which));
        let weights = SUBSCRIPTIONS.map(|shop| shop.kind().weight);
        let shop = SUBSCRIPTIONS[weighted(mix64(bits), &weights)];
        (self.remote_merchant(shop, card.country, mix64(bits ^ 1)), 1 + (bits % 28) as u32)
    }

    /// The day on which a card's subscription begins; 0 for those that began before the stream.
    pub(super) fn subscribed_day(&self, card: &Card, which: u32) -> u32 {
        let bits = self.card_fact(card.index, Aspect::Subscription, 1 << 16 | u64::from(which));
        if bits % 100 < 30 { 1 + (bits / 100 % 365) as u32 } else { 0 }
    }

    /// How dear a merchant is, relative to others of its kind.
    pub(super) fn merchant_level(&self, merchant: &Merchant) -> f64 {
        let bits = fact(self.seed, merchant.key.into(), Aspect::MerchantLevel as u64);
        libm::exp(0.25 * normal(bits, mix64(bits)))
    }

    /// The processor of a merchant, by its place in `PROCESSORS`.
    pub(super) fn processor(&self, merchant: &Merchant) -> u8 {
        let bits = fact(self.seed, merchant.key.into(), Aspect::Processor as u64);
        weighted(bits, &[55_u32, 30, 15]) as u8
    }

    /// Where a merchant is, in ten-thousandths of degrees north and east; some terminals do not tell.
    pub(super) fn position_e4(&self, merchant: &Merchant) -> Option<(i32, i32)> {
        let city = Self::city(merchant.country, merchant.city?);
        let bits = fact(self.seed, merchant.key.into(), Aspect::MerchantPlace as u64);
        if bits % 100 < 12 {
            return None;
        }
        // Within about two kilometres: a walk between two shops is no journey.
        let offset = |bits: u64| scale(bits, 361) as i32 - 180;
        Some((city.lat_e2 * 100 + offset(mix64(bits)), city.lon_e2 * 100 + offset(mix64(bits ^ 1))))
    }

    /// How many terminals a merchant has: the popular ones more.
    pub(super) fn terminals(merchant: &Merchant) -> u64 {
        1 + 5 / (1 + u64::from(merchant.rank))
    }

    /// A card's device: the main one, replaced every year or two, or a second one.
    pub(super) fn device(&self, card: &Card, day: u32, is_second: bool) -> u64 {
        let bits = self.card_fact(card.index, Aspect::Habits, 1);
        let period_days = 400 + bits % 500;
        let generation = (u64::from(day) + bits / 1_000 % period_days) / period_days;
        fact(self.seed, u64::from(card.index) | generation << 32 | u64::from(is_second) << 60, 0xd0) | 1
    }

    /// The address that a card's holder has at home; it changes every few weeks.
    pub(super) fn home_address(&self, card: &Card, day: u32) -> IpAddr {
        let lease = u64::from(day + card.index % 23) / 23;
        let bits = self.card_fact(card.index, Aspect::HomeAddress, lease);
        if card.has_ipv6 {
            let network = self.card_fact(card.index, Aspect::HomeAddress, 1 << 31);
            let network_words = [network as u16, (network >> 16) as u16];
            let host: [u16; 4] = std::array::from_fn(|word| (bits >> (16 * word)) as u16);
            let [a, b, c, d] = host;
            // 2001:db8::/32 is set aside for examples.
            return Ipv6Addr::new(0x2001, 0xdb8, network_words[0], network_words[1], a, b, c, d).into();
        }
        country_address(card.country, bits)
    }

    /// The hash of a card holder's e-mail address and the place of its domain in `EMAIL_DOMAINS`.
    pub(super) fn email(&self, card: &Card) -> (u64, u8) {
        let bits = self.card_fact(card.index, Aspect::Email, 0);
        (bits | 1, weighted(mix64(bits), &EMAIL_DOMAIN_WEIGHTS) as u8)
    }

    /// Whether the card's holder is up at night.
    pub(super) fn is_night_owl(&self, card: &Card) -> bool {
        unit(self.card_fact(card.index, Aspect::Night, 0)) < 0.06
    }
}

/// E-mail domains of the stream; the last ones give addresses to anyone for an hour.
pub(super) const EMAIL_DOMAINS: [&str; 8] = [
    "mail.example",
    "post.example",
    "inbox.example",
    "work.example",
    "uni.example",
    "letters.example",
    "tenminutes.example",
    "throwaway.example",
];
const EMAIL_DOMAIN_WEIGHTS: [u32; 8] = [40, 25, 14, 10, 6, 4, 1, 0];

/// An IPv4 address of a country. 100.64.0.0/10 is set aside for networks behind a carrier, so nobody's is met.
pub(super) fn country_address(country: u8, bits: u64) -> IpAddr {
    Ipv4Addr::new(100, 64 + country, (bits >> 8) as u8, bits as u8).into()
}

/// An IPv4 address of a data centre. 198.18.0.0/15 is set aside for benchmarks.
pub(super) fn data_centre_address(bits: u64) -> IpAddr {
    Ipv4Addr::new(198, 18 + (bits >> 16 & 1) as u8, (bits >> 8) as u8, bits as u8).into()
}

fn merchant_key(area: u32, shop: Shop, rank: u32) -> u32 {
    area << (6 + RANK_BITS) | (shop as u32) << RANK_BITS | rank
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_spread_as_stated() {
        let world = World::new(1, 20_000);
        let cards: Vec<Card> = (0..20_000).map(|index| world.card(index)).collect();
        let share = |test: &dyn Fn(&Card) -> bool| cards.iter().filter(|card| test(card)).count() as f64 / 20_000.0;
        let total: u32 = PLACES.iter().map(|place| place.cards).sum();
        for code in ["DE", "FR", "US"] {
            let expected = f64::from(World::place(place_index(code)).cards) / f64::from(total);
            let found = share(&|card| card.country == place_index(code));
            assert!((found - expected).abs() < 0.01, "{code}: {found}, expected {expected}");
        }
        assert!((share(&|card| card.wallet.is_some()) - 0.38).abs() < 0.02);
        assert!((share(&|card| card.opened_day > 0) - 0.12).abs() < 0.02);
        let abroad = share(&|card| world.stay(card, 40).country != card.country);
        assert!((0.01..0.12).contains(&abroad), "{abroad} of the cards are abroad");
    }

    #[test]
    fn nobody_is_in_two_places_without_a_way_between() {
        let world = World::new(3, 3_000);
        for index in 0..3_000 {
            let card = world.card(index);
            for day in 1..100 {
                let (before, today) = (world.stay(&card, day - 1), world.stay(&card, day));
                let moved = (before.country, before.city) != (today.country, today.city);
                let hours_between = 24 + i32::from(today.in_person_hours.0) - i32::from(before.in_person_hours.1);
                let is_outing = [before.reason, today.reason].contains(&Reason::Outing);
                let told = hours_between >= 20 || is_outing && hours_between >= 6;
                assert!(!moved || told, "card {index} day {day}");
            }
        }
    }
}
