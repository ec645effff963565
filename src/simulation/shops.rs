//! Kinds of merchants: their codes, prices, hours and how often people go there. It knows no single merchant.

use super::{draw::Draw, places::Coin};

/// How a purchase is made; the names are those of `channel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Pos,
    Ecom,
    Atm,
    Moto,
    Recurring,
}

impl Channel {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pos => "pos",
            Self::Ecom => "ecom",
            Self::Atm => "atm",
            Self::Moto => "moto",
            Self::Recurring => "recurring",
        }
    }
}

/// How the prices of a kind of merchant end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Prices {
    /// Often just below a round number.
    Retail,
    /// A menu's: tens, halves and wholes.
    Menu,
    /// Weighed or metered: any.
    Metered,
    /// Notes.
    Notes,
    /// Round sums.
    Round,
    /// Always just below a round number, and the same every time.
    Subscription,
}

/// When people go there, in local time.
#[derive(Clone, Copy)]
pub(super) enum Hours {
    Shop,
    Meal,
    Commute,
    Evening,
    Online,
    Machine,
    Batch,
}

impl Hours {
    /// How busy each hour of the day is.
    pub(super) const fn weights(self) -> &'static [u32; 24] {
        match self {
            Self::Shop => &[0, 0, 0, 0, 0, 0, 1, 4, 7, 10, 12, 12, 11, 9, 10, 11, 13, 14, 12, 8, 4, 1, 0, 0],
            Self::Meal => &[1, 0, 0, 0, 0, 0, 1, 3, 4, 3, 4, 10, 16, 12, 5, 3, 4, 7, 13, 17, 14, 9, 5, 2],
            Self::Commute => &[1, 1, 0, 0, 1, 4, 10, 16, 13, 6, 4, 5, 6, 5, 5, 8, 12, 15, 10, 6, 4, 3, 3, 2],
            Self::Evening => &[9, 6, 3, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4, 4, 4, 5, 7, 9, 12, 15, 17, 17, 15, 12],
            Self::Online => &[4, 2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 9, 10, 9, 8, 8, 9, 10, 11, 13, 15, 15, 12, 8],
            Self::Machine => &[2, 2, 1, 1, 1, 1, 2, 5, 8, 10, 11, 12, 12, 11, 11, 11, 12, 12, 10, 7, 5, 4, 3, 3],
            Self::Batch => &[1, 8, 14, 14, 10, 8, 6, 5, 4, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
        }
    }
}

/// A kind of merchant.
pub(super) struct Kind {
    pub(super) mcc: u16,
    pub(super) channel: Channel,
    /// The median amount in cents of euros.
    pub(super) median_cents: u32,
    /// The spread of the logarithm of the amount, in hundredths.
    pub(super) sigma_e2: u32,
    pub(super) prices: Prices,
    pub(super) hours: Hours,
    /// How often people go there, relative to the others of its channel.
    pub(super) weight: u32,
    /// How much more often on a weekend, in percent of a weekday.
    pub(super) weekend_percent: u32,
    /// Whether it sends parcels.
    pub(super) ships: bool,
    /// Of a thousand purchases, how many are given back.
    pub(super) refunds_per_mille: u16,
}

macro_rules! shops {
    ($($name:ident $mcc:literal $channel:ident $median:literal $sigma:literal $prices:ident $hours:ident
        $weight:literal $weekend:literal $ships:literal $refunds:literal;)*) => {
        /// A kind of merchant by its name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Shop { $($name),* }

        impl Shop {
            pub(super) const ALL: &[Self] = &[$(Self::$name),*];

            pub(super) const fn kind(self) -> &'static Kind {
                match self {
                    $(Self::$name => &Kind {
                        mcc: $mcc,
                        channel: Channel::$channel,
                        median_cents: $median,
                        sigma_e2: $sigma,
                        prices: Prices::$prices,
                        hours: Hours::$hours,
                        weight: $weight,
                        weekend_percent: $weekend,
                        ships: $ships,
                        refunds_per_mille: $refunds,
                    }),*
                }
            }
        }
    };
}

// name, mcc, channel, median in cents, sigma, prices, hours, weight, weekend percent, ships, refunds per mille
shops! {
    Grocer 5411 Pos 2_800 80 Retail Shop 250 120 false 2;
    Bakery 5462 Pos 620 50 Menu Shop 80 110 false 0;
    Restaurant 5812 Pos 2_600 60 Menu Meal 110 150 false 1;
    FastFood 5814 Pos 980 45 Menu Meal 90 120 false 1;
    Fuel 5541 Pos 5_200 40 Metered Commute 75 95 false 0;
    Pharmacy 5912 Pos 1_650 65 Retail Shop 45 70 false 4;
    Clothing 5651 Pos 4_900 70 Retail Shop 45 180 false 60;
    Transit 4111 Pos 310 50 Menu Commute 70 60 false 0;
    Taxi 4121 Pos 1_600 50 Menu Evening 25 130 false 0;
    Parking 7523 Pos 480 60 Menu Commute 30 90 false 0;
    Bar 5813 Pos 1_700 60 Menu Evening 40 190 false 0;
    Department 5311 Pos 4_200 80 Retail Shop 40 150 false 40;
    Hardware 5200 Pos 3_600 80 Retail Shop 25 160 false 35;
    Hairdresser 7230 Pos 3_200 45 Round Shop 18 110 false 0;
    Cinema 7832 Pos 1_900 45 Menu Evening 15 200 false 2;
    Electronics 5732 Pos 12_500 95 Retail Shop 14 130 false 45;
    Furniture 5712 Pos 17_500 95 Retail Shop 8 170 false 40;
    Jeweller 5944 Pos 16_000 100 Retail Shop 4 140 false 25;
    Hotel 7011 Pos 15_500 55 Round Evening 14 130 false 8;
    CashMachine 6011 Atm 9_000 70 Notes Machine 100 95 false 0;
    Marketplace 5399 Ecom 3_100 90 Retail Online 230 105 true 55;
    DigitalGoods 5816 Ecom 620 80 Retail Online 130 115 false 6;
    OnlineFashion 5691 Ecom 6_200 65 Retail Online 110 110 true 190;
    FoodDelivery 5811 Ecom 2_500 45 Metered Meal 110 140 false 10;
    RideHailing 4121 Ecom 1_350 55 Metered Evening 60 135 false 8;
    OnlineElectronics 5045 Ecom 11_500 100 Retail Online 45 105 true 60;
    Airline 4511 Ecom 19_500 75 Metered Online 25 95 false 30;
    TravelAgency 4722 Ecom 24_000 80 Round Online 18 100 false 50;
    GiftCards 5947 Ecom 4_000 65 Round Online 18 105 false 5;
    Charity 8398 Ecom 1_200 80 Round Online 12 100 false 2;
    Gambling 7995 Ecom 3_000 95 Round Evening 30 125 false 0;
    Crypto 6051 Ecom 11_000 120 Round Online 8 105 false 0;
    MoneyTransfer 4829 Ecom 11_500 90 Round Online 14 100 false 4;
    Tickets 7922 Ecom 7_200 70 Retail Online 25 115 false 15;
    PhoneOrder 5964 Moto 5_600 75 Retail Shop 60 60 true 40;
    Utilities 4900 Moto 6_800 55 Metered Shop 40 30 false 3;
    Streaming 4899 Recurring 1_100 35 Subscription Batch 45 100 false 4;
    Software 5734 Recurring 1_900 70 Subscription Batch 25 100 false 6;
    Telecom 4814 Recurring 2_700 45 Subscription Batch 35 100 false 2;
    Insurance 6300 Recurring 4_600 55 Subscription Batch 20 100 false 3;
    Gym 7997 Recurring 3_100 35 Subscription Batch 18 100 false 5;
}

/// A price near `raw_minor` as this kind of merchant would write it; at least the smallest there is.
pub(super) fn price_minor(prices: Prices, coin: &Coin, raw_minor: f64, draw: &mut Draw) -> i64 {
    let charm = |unit_minor: i64| to_multiple(raw_minor, unit_minor) - coin.charm_less_minor;
    let price = match prices {
        Prices::Retail => match draw.below(100) {
            0..45 => charm(coin.charm_minor),
            45..60 => charm(to_multiple((coin.charm_minor / 2) as f64, coin.step_minor)),
            60..72 => to_multiple(raw_minor, coin.charm_minor),
            _ => to_multiple(raw_minor, coin.step_minor),
        },
        Prices::Menu => {
            let unit = [coin.charm_minor / 10, coin.charm_minor / 2, coin.charm_minor][draw.weighted(&[5_u32, 3, 2])];
            to_multiple(raw_minor, to_multiple(unit as f64, coin.step_minor))
        }
        Prices::Metered => to_multiple(raw_minor, coin.step_minor),
        Prices::Notes => to_multiple(raw_minor, coin.note_minor),
        Prices::Round => {
            let unit = coin.charm_minor * [1, 5, 10][draw.weighted(&[2_u32, 5, 3])];
            to_multiple(raw_minor, unit)
        }
        Prices::Subscription => charm(coin.charm_minor),
    };
    price.max(coin.step_minor)
}

/// The multiple of `unit_minor` nearest to `raw_minor`, at least one.
fn to_multiple(raw_minor: f64, unit_minor: i64) -> i64 {
    let unit_minor = unit_minor.max(1);
    // Amounts stay below 10^10, which a double and an integer of 64 bits both hold.
    let whole = raw_minor.min(1e10) as i64;
    ((whole + unit_minor / 2) / unit_minor).max(1) * unit_minor
}

#[cfg(test)]
mod tests {
    use super::{super::draw::Purpose, *};
    use crate::simulation::places::COINS;

    #[test]
    fn prices_are_ones_that_people_see() {
        let mut draw = Draw::new(1, Purpose::Purchase, 0, 0);
        for coin in COINS {
            for prices in [Prices::Retail, Prices::Menu, Prices::Metered, Prices::Notes, Prices::Round] {
                for _ in 0..200 {
                    let raw = draw.log_normal(2_000.0, 1.5) * f64::from(coin.per_euro_minor) / 100.0;
                    let price = price_minor(prices, coin, raw, &mut draw);
                    assert!(price > 0, "{}", coin.code);
                    let charm = price + coin.charm_less_minor;
                    let steps = price % coin.step_minor == 0 || charm % coin.step_minor == 0;
                    assert!(steps, "{price} {}", coin.code);
                }
            }
        }
        let euro = &COINS[0];
        assert_eq!(price_minor(Prices::Subscription, euro, 1_030.0, &mut draw), 999);
        assert_eq!(price_minor(Prices::Notes, euro, 9_600.0, &mut draw), 10_000);
        assert_eq!(price_minor(Prices::Metered, euro, 0.0, &mut draw), 1);
    }

    #[test]
    fn codes_fit_a_key() {
        assert!(Shop::ALL.len() < 64);
    }
}
