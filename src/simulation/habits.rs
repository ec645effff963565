//! What a card's holder does on a day: which kinds of merchants, and when. It fills in no details.

use super::{
    draw::{Draw, Purpose},
    row::civil,
    shops::{Channel, Hours, Shop},
    world::{Card, Reason, Stay, World},
};
use crate::scoring::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

/// Purchases in person are at least this far apart, so that a walk between two shops is no journey.
const IN_PERSON_GAP_MS: i64 = 4 * MINUTE_MS;

/// Purchases of one card on one day, before sprees.
const PURCHASES_MAX: u32 = 30;

/// A day of the stream.
#[derive(Clone, Copy)]
pub(super) struct Day {
    /// Counted from the start of the stream.
    pub(super) index: u32,
    /// Its midnight in UTC.
    pub(super) start_ms: i64,
    weekday: i64,
    month: u32,
    /// The day of the month.
    date: u32,
}

impl Day {
    pub(super) fn new(index: u32, stream_start_ms: i64) -> Self {
        let start_ms = stream_start_ms + i64::from(index) * DAY_MS;
        let since_epoch = start_ms.div_euclid(DAY_MS);
        let (_, month, date) = civil(since_epoch);
        // 1970-01-01 was a Thursday; Monday is 0.
        Self { index, start_ms, weekday: (since_epoch + 3).rem_euclid(7), month, date }
    }

    pub(super) const fn is_weekend(&self) -> bool {
        self.weekday >= 5
    }

    /// How much people spend on this day, relative to a usual one.
    fn mood(&self) -> f64 {
        let weekday = [0.90, 0.92, 0.95, 1.00, 1.18, 1.22, 0.83][self.weekday as usize];
        let month = [0.93, 0.94, 0.98, 0.99, 1.0, 1.01, 1.04, 1.02, 0.98, 1.0, 1.06, 1.18];
        let payday = if self.date <= 3 || self.date >= 28 { 1.07 } else { 1.0 };
        weekday * month[self.month as usize - 1] * payday
    }
}

/// What a card will do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Errand {
    /// Buy something.
    Purchase(Shop),
    /// Buy one of several small things in a game.
    Game,
    /// Pay for the subscription of this number.
    Subscription(u8),
    /// Leave the card's data for the subscription of this number.
    Subscribe(u8),
    /// Leave the card's data with a merchant online.
    StoreCard(Shop),
}

/// An errand at its time.
#[derive(Clone, Copy)]
pub(super) struct Planned {
    pub(super) time_ms: i64,
    pub(super) card: u32,
    /// Its number within the card's day.
    pub(super) slot: u16,
    pub(super) errand: Errand,
}

impl Planned {
    pub(super) fn is_in_person(&self) -> bool {
        matches!(self.errand, Errand::Purchase(shop) if is_in_person(shop))
    }
}

pub(super) fn is_in_person(shop: Shop) -> bool {
    matches!(shop.kind().channel, Channel::Pos | Channel::Atm)
}

/// Appends what a card does on a day, by time.
pub(super) fn plan(world: &World, day: &Day, index: u32, out: &mut Vec<Planned>) {
    let card = world.card(index);
    if day.index < card.opened_day {
        return;
    }
    let first = out.len();
    let stay = world.stay(&card, day.index);
    let mut draw = Draw::new(world.seed, Purpose::CardDay, index.into(), day.index.into());
    let mut planner = Planner { world, day, card: &card, stay, draw: &mut draw, slot: 0, out };
    planner.purchases();
    planner.sprees();
    planner.subscriptions();
    let planned = &mut out[first..];
    planned.sort_unstable_by_key(|planned| (planned.time_ms, planned.slot));
    keep_apart(planned);
    let day_end_ms = day.start_ms + DAY_MS;
    while out.len() > first && out[out.len() - 1].time_ms >= day_end_ms {
        out.pop();
    }
}

fn keep_apart(planned: &mut [Planned]) {
    let mut free_at_ms = i64::MIN;
    let mut moved = false;
    for errand in planned.iter_mut().filter(|errand| errand.is_in_person()) {
        if errand.time_ms < free_at_ms {
            errand.time_ms = free_at_ms + i64::from(errand.slot) * 7 * SECOND_MS;
            moved = true;
        }
        free_at_ms = errand.time_ms + IN_PERSON_GAP_MS;
    }
    if moved {
        planned.sort_unstable_by_key(|planned| (planned.time_ms, planned.slot));
    }
}

struct Planner<'p> {
    world: &'p World,
    day: &'p Day,
    card: &'p Card,
    stay: Stay,
    draw: &'p mut Draw,
    slot: u16,
    out: &'p mut Vec<Planned>,
}

impl Planner<'_> {
    fn purchases(&mut self) {
        let away = if self.stay.reason == Reason::Home { 1.0 } else { 1.3 };
        let mean = self.card.spending_per_day * self.day.mood() * away;
        for _ in 0..self.draw.poisson(mean, PURCHASES_MAX) {
            let channel = self.channel();
            let shop = self.world.shop(channel, self.day.is_weekend(), self.draw.bits());
            let time_ms = self.time_ms(shop.kind().hours, is_in_person(shop));
            self.push(time_ms, Errand::Purchase(shop));
        }
        if self.draw.per_mille(6) {
            let shop = self.world.shop(Channel::Ecom, false, self.draw.bits());
            let time_ms = self.time_ms(Hours::Online, false);
            self.push(time_ms, Errand::StoreCard(shop));
        }
    }

    fn channel(&mut self) -> Channel {
        let online = u64::from(self.card.ecom_per_mille);
        match self.draw.below(1_000) {
            roll if roll < online => Channel::Ecom,
            roll if roll < online + 48 => Channel::Atm,
            roll if roll < online + 57 => Channel::Moto,
            _ => Channel::Pos,
        }
    }

    /// What honest people do that looks like fraud: an afternoon of shopping, an evening of small purchases in a game.
    fn sprees(&mut self) {
        if self.draw.per_million(2_500) {
            const SHOPS: [Shop; 5] =
                [Shop::Clothing, Shop::Department, Shop::Electronics, Shop::Jeweller, Shop::Restaurant];
            let mut time_ms = self.time_ms(Hours::Shop, true);
            for _ in 0..self.draw.between(3, 8) {
                let shop = SHOPS[self.draw.weighted(&[40_u32, 30, 14, 8, 8])];
                self.push(time_ms, Errand::Purchase(shop));
                time_ms += self.draw.between(8 * MINUTE_MS, 35 * MINUTE_MS);
            }
        }
        if self.card.plays_games && self.draw.per_mille(10) {
            let mut time_ms = self.time_ms(Hours::Evening, false);
            for _ in 0..self.draw.between(3, 9) {
                self.push(time_ms, Errand::Game);
                time_ms += self.draw.between(30 * SECOND_MS, 8 * MINUTE_MS);
            }
        }
    }

    fn subscriptions(&mut self) {
        for which in 0..self.card.subscriptions {
            let subscribed_day = self.world.subscribed_day(self.card, which);
            let (_, date) = self.world.subscription(self.card, which);
            if self.day.index == subscribed_day && subscribed_day > 0 {
                let time_ms = self.time_ms(Hours::Online, false);
                self.push(time_ms, Errand::Subscribe(which as u8));
            } else if self.day.index > subscribed_day && self.day.date == date {
                let time_ms = self.time_ms(Hours::Batch, false);
                self.push(time_ms, Errand::Subscription(which as u8));
            }
        }
    }

    fn push(&mut self, time_ms: i64, errand: Errand) {
        self.out.push(Planned { time_ms, card: self.card.index, slot: self.slot, errand });
        self.slot += 1;
    }

    /// A moment of the day by the hours of a place. Local time is wrapped around the UTC day, so that a day's errands
    /// stay within it.
    fn time_ms(&mut self, hours: Hours, in_person: bool) -> i64 {
        let mut local_hour = self.draw.weighted(hours.weights()) as i64;
        if matches!(hours, Hours::Online | Hours::Evening) && self.world.is_night_owl(self.card) {
            local_hour += 4;
        }
        let local_ms = local_hour * HOUR_MS + self.draw.below(HOUR_MS as u64) as i64;
        let city = World::city(self.stay.country, self.stay.city);
        let utc_ms = (local_ms - i64::from(city.utc_offset_minutes) * MINUTE_MS).rem_euclid(DAY_MS);
        let of_day_ms = if in_person { self.squeeze(utc_ms) } else { utc_ms };
        self.day.start_ms + of_day_ms
    }

    /// Purchases in person leave time for the way from and to another city.
    fn squeeze(&self, of_day_ms: i64) -> i64 {
        let (from_hour, to_hour) = self.stay.in_person_hours;
        let (from_hour, to_hour) = (i64::from(from_hour), i64::from(to_hour));
        let room_ms = (to_hour - from_hour) * HOUR_MS - IN_PERSON_GAP_MS;
        from_hour * HOUR_MS + IN_PERSON_GAP_MS + of_day_ms * room_ms / DAY_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_planned_in_order_and_apart() {
        let world = World::new(5, 2_000);
        let mut errands = 0;
        for index in 0..30 {
            let day = Day::new(index, 1_767_225_600_000);
            for card in 0..2_000 {
                let mut planned = Vec::new();
                plan(&world, &day, card, &mut planned);
                errands += planned.len();
                assert!(planned.is_sorted_by_key(|errand| errand.time_ms));
                assert!(planned.iter().all(|errand| (0..DAY_MS).contains(&(errand.time_ms - day.start_ms))));
                let in_person: Vec<i64> =
                    planned.iter().filter(|errand| errand.is_in_person()).map(|errand| errand.time_ms).collect();
                assert!(in_person.windows(2).all(|pair| pair[1] - pair[0] >= IN_PERSON_GAP_MS));
            }
        }
        let per_card_day = errands as f64 / 60_000.0;
        assert!((0.9..1.4).contains(&per_card_day), "{per_card_day} errands per card and day");
    }

    #[test]
    fn days_know_their_calendar() {
        let day = Day::new(3, 1_767_225_600_000);
        assert_eq!((day.month, day.date, day.weekday, day.is_weekend()), (1, 4, 6, true));
    }
}
