//! What people write for a country or a currency that the standards call otherwise. It guesses for hints and accepts
//! nothing.

use super::codes::{Country, Currency};

/// Names in use that are no alpha-2 codes.
const COUNTRIES: &[(&str, &str)] = &[
    ("UK", "GB"),
    ("EL", "GR"),
    ("EN", "GB"),
    ("JA", "JP"),
    ("KO", "KR"),
    ("SU", "RU"),
    ("GER", "DE"),
    ("SUI", "CH"),
    ("NED", "NL"),
    ("DEN", "DK"),
    ("POR", "PT"),
    ("GRE", "GR"),
    ("ENG", "GB"),
];

/// Alpha-3 codes of ISO 3166-1 whose first two letters are not the alpha-2 code, each with the latter.
const ALPHA_3: &str = "ABW-AW AGO-AO AIA-AI ALA-AX AND-AD ARE-AE ARM-AM ATA-AQ ATF-TF ATG-AG AUT-AT BDI-BI BEN-BJ \
    BES-BQ BGD-BD BHS-BS BIH-BA BLR-BY BLZ-BZ BRB-BB BRN-BN CAF-CF CHL-CL CHN-CN COD-CD COG-CG COK-CK COM-KM CPV-CV \
    CUW-CW CYM-KY DNK-DK ESH-EH EST-EE FLK-FK FRO-FO FSM-FM GAB-GA GIN-GN GLP-GP GNB-GW GNQ-GQ GRD-GD GRL-GL GUF-GF \
    GUY-GY IRL-IE IRQ-IQ ISR-IL JAM-JM KAZ-KZ KIR-KI KOR-KR LBR-LR LBY-LY MAC-MO MAF-MF MDG-MG MDV-MV MEX-MX MLT-MT \
    MNE-ME MNP-MP MOZ-MZ MTQ-MQ MYT-YT NIU-NU PAK-PK PCN-PN PLW-PW PNG-PG POL-PL PRK-KP PRT-PT PRY-PY PYF-PF SEN-SN \
    SGS-GS SLB-SB SLV-SV SPM-PM SRB-RS SUR-SR SVK-SK SVN-SI SWE-SE SWZ-SZ SYC-SC TCD-TD TKM-TM TUN-TN TUR-TR TUV-TV \
    UKR-UA URY-UY WLF-WF";

/// Names in use that are no codes of ISO 4217.
const CURRENCIES: &[(&str, &str)] = &[
    ("EURO", "EUR"),
    ("EUROS", "EUR"),
    ("RMB", "CNY"),
    ("UKP", "GBP"),
    ("STG", "GBP"),
    ("YEN", "JPY"),
    ("NTD", "TWD"),
    ("SFR", "CHF"),
    ("RUR", "RUB"),
];

impl Country {
    /// The country that somebody means who writes no code of the standard, as far as it is certain.
    pub fn meant_by(text: &str) -> Option<&'static str> {
        let capitals = text.trim().to_ascii_uppercase();
        let code = of(COUNTRIES, &capitals);
        let alpha_3 =
            || ALPHA_3.split_ascii_whitespace().find_map(|pair| pair.strip_prefix(&*capitals)?.strip_prefix('-'));
        let code = code.or_else(|| (capitals.len() == "FRA".len()).then(alpha_3).flatten());
        let begins = if capitals.len() == "FRA".len() { capitals.get(..2) } else { Some(&*capitals) };
        code.or_else(|| Self::all_codes().find(|known| Some(*known) == begins))
    }
}

impl Currency {
    /// The currency that somebody means who writes no code of the standard, as far as it is certain.
    pub fn meant_by(text: &str) -> Option<&'static str> {
        let capitals = text.trim().to_ascii_uppercase();
        let known = || Self::from_code(&capitals).map(Self::code);
        of(CURRENCIES, &capitals).or_else(known)
    }
}

fn of(slips: &[(&str, &'static str)], text: &str) -> Option<&'static str> {
    slips.iter().find(|(slip, _)| *slip == text).map(|(_, code)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_in_the_standard() {
        let cases = [
            ("UK", Some("GB")),
            ("fr", Some("FR")),
            ("DEU", Some("DE")),
            ("prt", Some("PT")),
            ("SWE", Some("SE")),
            ("USA", Some("US")),
            ("ZZ", None),
            ("ZZZ", None),
            ("", None),
            ("FRANCE", None),
        ];
        for (text, meant) in cases {
            assert_eq!(Country::meant_by(text), meant, "{text}");
        }
        for (_, code) in COUNTRIES {
            assert!(Country::from_code(code).is_some(), "{code}");
        }
        for pair in ALPHA_3.split_ascii_whitespace() {
            let (long, code) = pair.split_once('-').expect(pair);
            assert!(long.len() == 3 && Country::from_code(code).is_some(), "{pair}");
        }
        for (_, code) in CURRENCIES {
            assert!(Currency::from_code(code).is_some(), "{code}");
        }
        assert_eq!(Currency::meant_by("eur"), Some("EUR"));
        assert_eq!(Currency::meant_by("XXX"), None);
    }
}
