//! The countries, cities and currencies of the simulated world. Positions, offsets and exponents are real, the rest is
//! made up.

/// A country of the simulated world.
pub(super) struct Place {
    pub(super) code: &'static str,
    /// Its place in `COINS`.
    pub(super) coin: &'static str,
    /// How many cards are issued there, relative to the others.
    pub(super) cards: u32,
    /// How many far travellers go there, relative to the others.
    pub(super) pull: u32,
    /// Prices there, in percent of those in Germany.
    pub(super) price_percent: u32,
    pub(super) neighbours: &'static [&'static str],
    pub(super) cities: &'static [City],
}

/// A city.
pub(super) struct City {
    /// Hundredths of degrees north and east.
    pub(super) lat_e2: i32,
    pub(super) lon_e2: i32,
    /// Standard time, in minutes ahead of UTC.
    pub(super) utc_offset_minutes: i16,
    /// How many people live there, relative to the country's other cities.
    pub(super) people: u32,
}

const fn city(lat_e2: i32, lon_e2: i32, utc_offset_minutes: i16, people: u32) -> City {
    City { lat_e2, lon_e2, utc_offset_minutes, people }
}

macro_rules! places {
    ($($code:literal $coin:literal $cards:literal $pull:literal $price:literal
        [$($neighbour:literal)*] [$($lat:literal $lon:literal $offset:literal $people:literal),*];)*) => {
        &[$(Place {
            code: $code,
            coin: $coin,
            cards: $cards,
            pull: $pull,
            price_percent: $price,
            neighbours: &[$($neighbour),*],
            cities: &[$(city($lat, $lon, $offset, $people)),*],
        }),*]
    };
}

// code, coin, cards, pull, price; neighbours; cities as latitude, longitude (hundredths), offset, people
pub(super) static PLACES: &[Place] = places! {
    "DE" "EUR" 240 60 100 ["FR" "AT" "CH" "NL" "BE" "LU" "PL" "CZ" "DK"]
        [5252 1340 60 36, 5355 999 60 18, 4814 1158 60 15, 5094 696 60 11, 5011 868 60 8];
    "FR" "EUR" 180 90 100 ["DE" "BE" "ES" "IT" "CH" "LU"] [4886 235 60 50, 4576 484 60 18, 4330 537 60 16, 5063 306 60 11];
    "IT" "EUR" 110 90 92 ["FR" "AT" "CH"] [4190 1250 60 28, 4546 919 60 32, 4085 1427 60 20];
    "ES" "EUR" 100 110 85 ["FR" "PT" "MA"] [4042 -370 60 33, 4139 217 60 30, 3947 -38 60 12];
    "NL" "EUR" 60 40 108 ["BE" "DE"] [5237 490 60 24, 5192 448 60 18];
    "BE" "EUR" 40 25 102 ["FR" "NL" "DE" "LU"] [5085 435 60 20, 5122 440 60 10];
    "AT" "EUR" 35 40 104 ["DE" "IT" "CZ" "HU" "CH"] [4821 1637 60 19, 4707 1544 60 5];
    "PT" "EUR" 30 50 75 ["ES"] [3872 -914 0 10, 4116 -863 0 6];
    "IE" "EUR" 20 15 112 ["GB"] [5335 -626 0 1];
    "LU" "EUR" 5 5 110 ["DE" "FR" "BE"] [4961 613 60 1];
    "PL" "PLN" 60 25 62 ["DE" "CZ"] [5223 2101 60 18, 5006 1994 60 8];
    "CZ" "CZK" 25 25 66 ["DE" "PL" "AT"] [5008 1444 60 13, 4920 1661 60 4];
    "HU" "HUF" 20 20 60 ["AT"] [4750 1904 60 1];
    "CH" "CHF" 30 30 150 ["DE" "FR" "IT" "AT"] [4737 854 60 14, 4620 615 60 6];
    "GB" "GBP" 110 90 108 ["IE" "FR"] [5151 -13 0 60, 5348 -224 0 15, 5595 -319 0 9];
    "SE" "SEK" 25 15 110 ["DK" "NO"] [5933 1807 60 16, 5771 1197 60 8];
    "DK" "DKK" 18 15 125 ["DE" "SE"] [5568 1257 60 1];
    "NO" "NOK" 15 12 130 ["SE"] [5991 1075 60 1];
    "US" "USD" 90 80 105 ["CA" "MX"] [4071 -7401 -300 40, 4188 -8763 -360 15, 3405 -11824 -480 25, 2576 -8019 -300 10];
    "CA" "CAD" 15 15 100 ["US"] [4365 -7938 -300 10, 4928 -12312 -480 5];
    "MX" "MXN" 8 15 60 ["US"] [1943 -9913 -360 1];
    "BR" "BRL" 10 10 55 [] [-2355 -4663 -180 1];
    "JP" "JPY" 15 20 85 ["KR"] [3568 13969 540 30, 3469 13550 540 12];
    "KR" "KRW" 6 10 85 ["JP"] [3757 12698 540 1];
    "AU" "AUD" 8 10 112 [] [-3387 15121 600 10, -3781 14496 600 9];
    "SG" "SGD" 4 12 110 ["TH"] [135 10382 480 1];
    "TH" "THB" 4 30 45 ["SG"] [1376 10050 420 1];
    "IN" "INR" 10 12 35 [] [1908 7288 330 12, 2861 7721 330 10];
    "KW" "KWD" 6 4 95 ["AE"] [2938 4799 180 1];
    "AE" "AED" 6 25 100 ["KW"] [2520 5527 240 1];
    "TN" "TND" 3 12 40 [] [3681 1018 60 1];
    "TR" "TRY" 12 40 50 [] [4101 2898 180 1];
    "MA" "MAD" 4 15 45 ["ES"] [3357 -759 60 1];
    "ZA" "ZAR" 5 8 50 [] [-2620 2805 120 1];
};

/// How prices look in a currency.
pub(super) struct Coin {
    pub(super) code: &'static str,
    /// Minor units for one euro.
    pub(super) per_euro_minor: u32,
    /// The smallest step between two prices, in minor units.
    pub(super) step_minor: i64,
    /// Charm prices lie this many minor units …
    pub(super) charm_less_minor: i64,
    /// … below a multiple of this.
    pub(super) charm_minor: i64,
    /// The smallest note a cash machine pays out.
    pub(super) note_minor: i64,
}

macro_rules! coins {
    ($($code:literal $per_euro:literal $step:literal $less:literal $charm:literal $note:literal;)*) => {
        &[$(Coin {
            code: $code,
            per_euro_minor: $per_euro,
            step_minor: $step,
            charm_less_minor: $less,
            charm_minor: $charm,
            note_minor: $note,
        }),*]
    };
}

// code, minor units per euro, step, charm less, charm, note
pub(super) static COINS: &[Coin] = coins! {
    "EUR" 100 1 1 100 1_000;
    "USD" 109 1 1 100 2_000;
    "GBP" 86 1 1 100 1_000;
    "CHF" 95 5 10 100 2_000;
    "PLN" 427 1 1 100 5_000;
    "CZK" 2_510 100 100 1_000 20_000;
    "HUF" 39_500 500 500 10_000 500_000;
    "SEK" 1_130 100 100 1_000 10_000;
    "DKK" 746 25 5 100 10_000;
    "NOK" 1_160 100 100 1_000 20_000;
    "CAD" 148 1 1 100 2_000;
    "MXN" 2_000 50 100 1_000 20_000;
    "BRL" 590 1 10 100 2_000;
    "JPY" 163 1 2 100 1_000;
    "KRW" 1_480 10 100 1_000 10_000;
    "AUD" 165 5 5 100 2_000;
    "SGD" 145 5 10 100 1_000;
    "THB" 3_900 100 100 1_000 10_000;
    "INR" 9_100 100 100 10_000 50_000;
    "KWD" 333 5 10 1_000 5_000;
    "AED" 400 25 25 100 10_000;
    "TND" 3_380 50 100 1_000 10_000;
    "TRY" 3_700 5 10 1_000 10_000;
    "MAD" 1_080 10 5 100 10_000;
    "ZAR" 2_000 10 10 1_000 10_000;
};

/// What one unit of each currency of the stream is worth in euros: the rates its amounts were made with, as
/// configuration text.
pub const RATES: &[(&str, &str)] = &[
    ("USD", "0.9174"),
    ("GBP", "1.1628"),
    ("CHF", "1.0526"),
    ("PLN", "0.2342"),
    ("CZK", "0.03984"),
    ("HUF", "0.002532"),
    ("SEK", "0.0885"),
    ("DKK", "0.134"),
    ("NOK", "0.0862"),
    ("CAD", "0.6757"),
    ("MXN", "0.05"),
    ("BRL", "0.1695"),
    ("JPY", "0.006135"),
    ("KRW", "0.0006757"),
    ("AUD", "0.6061"),
    ("SGD", "0.6897"),
    ("THB", "0.02564"),
    ("INR", "0.01099"),
    ("KWD", "3.003"),
    ("AED", "0.25"),
    ("TND", "0.2959"),
    ("TRY", "0.02703"),
    ("MAD", "0.0926"),
    ("ZAR", "0.05"),
];

/// The place of a country in `PLACES`; the first for a code that is not there, which the tests rule out.
pub(super) fn place_index(code: &str) -> u8 {
    PLACES.iter().position(|place| place.code == code).unwrap_or_default() as u8
}

/// The coin of a country.
pub(super) fn coin_of(country: u8) -> &'static Coin {
    let code = PLACES[usize::from(country)].coin;
    COINS.iter().find(|coin| coin.code == code).unwrap_or(&COINS[0])
}

/// The distance between two cities in kilometres, near enough to tell a day's drive from a flight.
pub(super) fn distance_km(from: &City, to: &City) -> f64 {
    let radians = |hundredths: i32| f64::from(hundredths) / 100.0 * (std::f64::consts::PI / 180.0);
    let (lat, other_lat) = (radians(from.lat_e2), radians(to.lat_e2));
    let half_lat = libm::sin((other_lat - lat) / 2.0);
    let half_lon = libm::sin((radians(to.lon_e2) - radians(from.lon_e2)) / 2.0);
    let chord = half_lat * half_lat + libm::cos(lat) * libm::cos(other_lat) * half_lon * half_lon;
    2.0 * 6_371.0 * libm::asin(chord.sqrt().min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::money::{Country, Currency, Decimal, Rates};

    #[test]
    fn every_code_is_known() {
        for place in PLACES {
            assert!(Country::from_code(place.code).is_some(), "{}", place.code);
            assert!(COINS.iter().any(|coin| coin.code == place.coin), "{}", place.coin);
            assert!(place.cities.len() < 7 && !place.cities.is_empty(), "{}", place.code);
            for neighbour in place.neighbours {
                assert!(PLACES.iter().any(|other| other.code == *neighbour), "{neighbour}");
            }
        }
    }

    #[test]
    fn rates_agree_with_the_coins() {
        let mut rates = Rates::new(Currency::from_code("EUR").expect("EUR is a currency"));
        for (code, rate) in RATES {
            rates.set(Currency::from_code(code).expect(code), Decimal::parse(rate).expect(rate));
        }
        for coin in COINS {
            let currency = Currency::from_code(coin.code).expect(coin.code);
            let cents = rates.to_base_minor(i64::from(coin.per_euro_minor) * 1_000, currency).expect(coin.code);
            assert!((99_500..=100_500).contains(&cents), "1000 EUR are {cents} cents in {}", coin.code);
        }
    }

    #[test]
    fn distances_are_those_of_the_earth() {
        let [berlin, _, munich, ..] = PLACES[0].cities else { panic!("Germany has cities") };
        let distance = distance_km(berlin, munich);
        assert!((495.0..515.0).contains(&distance), "{distance}");
    }
}
