//! Exact amounts: `Money` is a decimal with its currency, never a float.
//!
//! Stands under everything else in this crate and knows nothing of records or files. Rounding, conversion between
//! currencies and approval limits do not belong here: they are decisions, and those are made later in the flow.

use std::fmt;
use std::str::FromStr;

pub use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Decimal places kept in SQL: amounts and quantities are stored as whole millionths.
pub const STORED_DECIMALS: u32 = 6;

/// An ISO 4217 code: three upper-case ASCII letters.
///
/// Any three letters are accepted, so that a currency introduced after this build still loads; `decimals` knows the
/// published minor units and takes 2 for the rest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// Why an amount or a currency was refused. Never repeats the text that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("is not a currency code of three letters")]
    Currency,
    #[error("is not a decimal number")]
    NotANumber,
    #[error("has more than 6 decimals")]
    TooPrecise,
    #[error("is larger than an amount can be (9,223,372,036,854.775807)")]
    TooLarge,
    #[error("has more decimals than its currency")]
    FinerThanCurrency,
    #[error("mixes two currencies")]
    MixedCurrencies,
}

/// ISO 4217 minor units that are not 2 (list one, active codes).
const MINOR_UNITS: &[(&str, u32)] = &[
    ("BHD", 3),
    ("BIF", 0),
    ("CLF", 4),
    ("CLP", 0),
    ("DJF", 0),
    ("GNF", 0),
    ("IQD", 3),
    ("ISK", 0),
    ("JOD", 3),
    ("JPY", 0),
    ("KMF", 0),
    ("KRW", 0),
    ("KWD", 3),
    ("LYD", 3),
    ("OMR", 3),
    ("PYG", 0),
    ("RWF", 0),
    ("TND", 3),
    ("UGX", 0),
    ("UYI", 0),
    ("UYW", 4),
    ("VND", 0),
    ("VUV", 0),
    ("XAF", 0),
    ("XOF", 0),
    ("XPF", 0),
];

impl Currency {
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// Digits of the minor unit: 2 for EUR, 0 for JPY, 3 for KWD.
    pub fn decimals(&self) -> u32 {
        MINOR_UNITS.iter().find(|(code, _)| *code == self.as_str()).map_or(2, |(_, decimals)| *decimals)
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    /// Reads three ASCII letters in either case, white space around them ignored.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        match text.trim().as_bytes() {
            [a, b, c] if [a, b, c].iter().all(|byte| byte.is_ascii_alphabetic()) => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase(), c.to_ascii_uppercase()]))
            }
            _ => Err(MoneyError::Currency),
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;
    fn try_from(text: String) -> Result<Self, MoneyError> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// An amount of a currency, exact to the millionth, within ± 9,223,372,036,854.775807.
///
/// Equal amounts are equal however they were written: the scale is normalised to the currency's decimals, or more
/// when the amount needs them (unit prices do). Zero has no sign.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "MoneyText", into = "MoneyText")]
pub struct Money {
    amount: Decimal,
    currency: Currency,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MoneyText {
    amount: String,
    currency: Currency,
}

impl TryFrom<MoneyText> for Money {
    type Error = MoneyError;
    fn try_from(text: MoneyText) -> Result<Self, MoneyError> {
        Self::new(parse_decimal(&text.amount)?, text.currency)
    }
}

impl From<Money> for MoneyText {
    fn from(money: Money) -> Self {
        Self { amount: money.amount.to_string(), currency: money.currency }
    }
}

impl Money {
    /// An amount, normalised. Refused when it cannot be stored exactly as 64-bit millionths.
    pub fn new(amount: Decimal, currency: Currency) -> Result<Self, MoneyError> {
        to_millionths(amount)?;
        let mut amount = normalise(amount);
        if amount.scale() < currency.decimals() {
            amount.rescale(currency.decimals());
        }
        Ok(Self { amount, currency })
    }

    pub fn from_millionths(millionths: i64, currency: Currency) -> Self {
        let mut amount = normalise(Decimal::from_i128_with_scale(i128::from(millionths), STORED_DECIMALS));
        if amount.scale() < currency.decimals() {
            amount.rescale(currency.decimals());
        }
        Self { amount, currency }
    }

    pub fn amount(&self) -> Decimal {
        self.amount
    }

    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// Whole millionths of the major unit, as stored in SQL. Exact: `new` has refused what does not fit.
    pub fn millionths(&self) -> i64 {
        to_millionths(self.amount).unwrap_or(if self.amount.is_sign_negative() { i64::MIN } else { i64::MAX })
    }

    pub fn is_zero(&self) -> bool {
        self.amount.is_zero()
    }

    /// The sum; refused for two currencies or when it no longer fits.
    pub fn checked_add(&self, other: &Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::MixedCurrencies);
        }
        Self::new(self.amount.checked_add(other.amount).ok_or(MoneyError::TooLarge)?, self.currency)
    }

    pub fn checked_sub(&self, other: &Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::MixedCurrencies);
        }
        Self::new(self.amount.checked_sub(other.amount).ok_or(MoneyError::TooLarge)?, self.currency)
    }

    /// The amount times a quantity; refused when the exact product has more than 6 decimals.
    pub fn checked_mul(&self, quantity: Decimal) -> Result<Self, MoneyError> {
        Self::new(self.amount.checked_mul(quantity).ok_or(MoneyError::TooLarge)?, self.currency)
    }

    /// Whether the amount can be paid out: no more decimals than its currency has.
    pub fn payable(&self) -> Result<Self, MoneyError> {
        if self.amount.scale() > self.currency.decimals() { Err(MoneyError::FinerThanCurrency) } else { Ok(*self) }
    }
}

impl fmt::Display for Money {
    /// `84.00 EUR`, `1250 JPY`, `0.0425 USD`: no thousands marks, at least the currency's decimals.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.amount, self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for Money {
    type Err = MoneyError;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (amount, currency) = text.trim().rsplit_once(' ').ok_or(MoneyError::Currency)?;
        Self::new(parse_decimal(amount)?, currency.parse()?)
    }
}

/// Without trailing zeros and without the sign of a negative zero.
pub fn normalise(decimal: Decimal) -> Decimal {
    decimal.normalize()
}

/// A decimal number from its text: sign, digits, one `.`, optionally an exponent. Never through a float.
///
/// `.5`, `5.`, `-0.00`, `1e3` and `+7` are read; white space inside, thousands marks, `NaN`, hexadecimal and more than
/// 28 significant digits are refused. Longer tails of zeros are harmless and dropped.
pub fn parse_decimal(text: &str) -> Result<Decimal, MoneyError> {
    let text = text.trim();
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().map_err(|_| MoneyError::NotANumber)?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.as_bytes().first() {
        Some(b'-') => (true, &mantissa[1..]),
        Some(b'+') => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !all_digits(whole) || !all_digits(fraction) {
        return Err(MoneyError::NotANumber);
    }
    let fraction = fraction.trim_end_matches('0');
    let significant = format!("{whole}{fraction}");
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        return Ok(Decimal::ZERO);
    }
    let scale = i64::try_from(fraction.len()).unwrap_or(i64::MAX).saturating_sub(i64::from(exponent));
    scaled(significant, scale, negative)
}

/// `digits × 10^-scale`, exact or refused.
fn scaled(digits: &str, scale: i64, negative: bool) -> Result<Decimal, MoneyError> {
    let trimmed = digits.trim_end_matches('0');
    let dropped = i64::try_from(digits.len() - trimmed.len()).unwrap_or(i64::MAX);
    let scale = scale.saturating_sub(dropped);
    if trimmed.len() > 28 || scale < -28 {
        return Err(MoneyError::TooLarge);
    }
    let mut mantissa: i128 = trimmed.parse().map_err(|_| MoneyError::NotANumber)?;
    if scale < 0 {
        mantissa = mantissa.checked_mul(10_i128.pow(scale.unsigned_abs() as u32)).ok_or(MoneyError::TooLarge)?;
    }
    let places = u32::try_from(scale.max(0)).ok().filter(|places| *places <= 28).ok_or(MoneyError::TooPrecise)?;
    let signed = if negative { -mantissa } else { mantissa };
    Decimal::try_from_i128_with_scale(signed, places).map_err(|_| MoneyError::TooLarge)
}

/// Whole millionths of a decimal; refused when there are more than 6 decimals or 64 bits do not suffice.
pub fn to_millionths(decimal: Decimal) -> Result<i64, MoneyError> {
    let decimal = decimal.normalize();
    if decimal.scale() > STORED_DECIMALS {
        return Err(MoneyError::TooPrecise);
    }
    let factor = 10_i128.pow(STORED_DECIMALS - decimal.scale());
    let millionths = decimal.mantissa().checked_mul(factor).ok_or(MoneyError::TooLarge)?;
    i64::try_from(millionths).map_err(|_| MoneyError::TooLarge)
}

/// The decimal of whole millionths, without trailing zeros.
pub fn from_millionths(millionths: i64) -> Decimal {
    normalise(Decimal::from_i128_with_scale(i128::from(millionths), STORED_DECIMALS))
}
