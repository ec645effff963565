//! Tells a raw card number from other text, by brand prefix, length and the Luhn check (ISO/IEC 7812-1). It keeps none.

/// A brand's prefixes of equal length, `low` to `high`, and the lengths its numbers have.
struct Brand {
    prefix_digits: usize,
    low: u32,
    high: u32,
    lengths: &'static [usize],
}

const fn brand(prefix_digits: usize, low: u32, high: u32, lengths: &'static [usize]) -> Brand {
    Brand { prefix_digits, low, high, lengths }
}

/// Issuer identification ranges as the brands publish them.
const BRANDS: &[Brand] = &[
    brand(1, 4, 4, &[13, 16, 19]),                       // Visa
    brand(2, 51, 55, &[16]),                             // Mastercard
    brand(4, 2221, 2720, &[16]),                         // Mastercard
    brand(2, 34, 34, &[15]),                             // American Express
    brand(2, 37, 37, &[15]),                             // American Express
    brand(4, 6011, 6011, &[16, 17, 18, 19]),             // Discover
    brand(3, 644, 649, &[16, 17, 18, 19]),               // Discover
    brand(2, 65, 65, &[16, 17, 18, 19]),                 // Discover, RuPay
    brand(3, 300, 305, &[14, 16, 17, 18, 19]),           // Diners Club
    brand(4, 3095, 3095, &[14, 16, 17, 18, 19]),         // Diners Club
    brand(2, 36, 36, &[14, 15, 16, 17, 18, 19]),         // Diners Club
    brand(2, 38, 39, &[14, 16, 17, 18, 19]),             // Diners Club
    brand(4, 3528, 3589, &[16, 17, 18, 19]),             // JCB
    brand(2, 62, 62, &[16, 17, 18, 19]),                 // UnionPay
    brand(2, 81, 82, &[16, 17, 18, 19]),                 // UnionPay, RuPay
    brand(2, 50, 50, &[12, 13, 14, 15, 16, 17, 18, 19]), // Maestro, RuPay
    brand(2, 56, 58, &[12, 13, 14, 15, 16, 17, 18, 19]), // Maestro
    brand(2, 60, 61, &[12, 13, 14, 15, 16, 17, 18, 19]), // Maestro, RuPay
    brand(2, 63, 64, &[12, 13, 14, 15, 16, 17, 18, 19]), // Maestro
    brand(2, 66, 69, &[12, 13, 14, 15, 16, 17, 18, 19]), // Maestro
    brand(4, 2200, 2204, &[16, 17, 18, 19]),             // Mir
    brand(4, 9792, 9792, &[16]),                         // Troy
    brand(4, 8600, 8600, &[16]),                         // Uzcard
    brand(4, 9860, 9860, &[16]),                         // Humo
    brand(4, 9704, 9704, &[16, 19]),                     // NAPAS
];

/// No brand's number is longer.
const DIGITS_MAX: usize = 19;
/// No brand's number is shorter.
const DIGITS_MIN: usize = 12;

/// Whether a text as a whole, without blanks and hyphens, is a card number: a brand's prefix and length, and Luhn.
pub fn is_card_number(text: &str) -> bool {
    let mut digits = [0_u8; DIGITS_MAX];
    let mut count = 0;
    for character in text.chars() {
        match character {
            '0'..='9' => {
                if count == DIGITS_MAX {
                    return false;
                }
                digits[count] = character as u8 - b'0';
                count += 1;
            }
            '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' => {}
            blank if blank.is_whitespace() => {}
            _ => return false,
        }
    }
    count >= DIGITS_MIN && has_brand(&digits[..count]) && passes_luhn(&digits[..count])
}

/// Whether a note of somebody's holds a card number anywhere, between words or punctuation. It looks at every stretch from
/// where digits begin to where digits end, so it is for short texts.
pub(super) fn holds_card_number(text: &str) -> bool {
    let is_digit = |character: Option<char>| character.is_some_and(|character| character.is_ascii_digit());
    let digits = || text.char_indices().filter(|(_, character)| character.is_ascii_digit());
    digits().filter(|(at, _)| !is_digit(text[..*at].chars().next_back())).any(|(start, _)| {
        digits()
            .map(|(at, _)| at + 1)
            .filter(|end| *end > start && !is_digit(text[*end..].chars().next()))
            .any(|end| is_card_number(&text[start..end]))
    })
}

fn has_brand(digits: &[u8]) -> bool {
    let leading = |many: usize| digits.iter().take(many).fold(0_u32, |number, digit| number * 10 + u32::from(*digit));
    BRANDS.iter().any(|brand| {
        brand.lengths.contains(&digits.len()) && (brand.low..=brand.high).contains(&leading(brand.prefix_digits))
    })
}

fn passes_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit @ 0..=4) => digit * 2,
            (_, digit) => digit * 2 - 9,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_may_hold_one() {
        for (text, expected) in [
            ("4111111111111111", true),
            ("stolen: 4111 1111-1111 1111, reported on 2 March 2026", true),
            ("case 17 (4111111111111111)", true),
            ("\u{e9}4111111111111111\u{e9}", true),
            ("case 4111111111111112", false),
            ("41111111111111110 is no card number", false),
            ("", false),
            ("4", false),
        ] {
            assert_eq!(holds_card_number(text), expected, "{text}");
        }
    }

    #[test]
    fn the_brands_test_numbers_are_found() {
        let numbers = [
            "4111111111111111",
            "4111 1111 1111 1111",
            " 4111-1111-1111-1111 ",
            "4222222222222",
            "5555555555554444",
            "2223003122003222",
            "378282246310005",
            "6011111111111117",
            "30569309025904",
            "38520000023237",
            "3530111333300000",
            "6240008631401148",
            "6759649826438453",
            "2200770239097761",
            "8600123456789012",
            "9860123456789015",
            "9704123456789015",
            "9704123456789012345",
        ];
        for number in numbers {
            assert!(is_card_number(number), "{number}");
        }
    }

    #[test]
    fn other_text_is_not() {
        let texts = [
            "",
            "4111111111111112",
            "c_4f2",
            "4111111111111111x",
            "0000000000000000",
            "1234567890123456",
            "411111111111",
            "t-91",
            "99991111222233334444",
            "٤١١١١١١١١١١١١١١١",
        ];
        for text in texts {
            assert!(!is_card_number(text), "{text}");
        }
    }
}
