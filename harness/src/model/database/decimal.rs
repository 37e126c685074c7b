//! Exact decimal numbers: `numeric`, up to 38 digits.

use std::cmp::Ordering;
use std::fmt;

/// `digits / 10^scale`. Its scale is what is printed; equality and order look at the number alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decimal {
    digits: i128,
    scale: u8,
}

/// The most digits after the point that a quotient gets here.
const QUOTIENT_SCALE: u8 = 16;

impl Decimal {
    /// A number of digits and a scale.
    pub(crate) fn new(digits: i128, scale: u8) -> Self {
        Decimal { digits, scale }
    }

    /// Reads a number in digits with at most one point.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let unsigned = whole.strip_prefix(['-', '+']).unwrap_or(whole);
        let all_digits = unsigned.chars().chain(fraction.chars()).all(|c| c.is_ascii_digit());
        if !all_digits || unsigned.len() + fraction.len() == 0 {
            return None;
        }
        let digits = format!("{unsigned}{fraction}").parse::<i128>().ok()?;
        let digits = if whole.starts_with('-') { -digits } else { digits };
        Some(Decimal { digits, scale: u8::try_from(fraction.len()).ok()? })
    }

    /// The sum.
    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        let (one, two, scale) = self.aligned(other)?;
        Some(Decimal { digits: one.checked_add(two)?, scale })
    }

    /// The number with the other sign.
    pub(crate) fn negated(self) -> Self {
        Decimal { digits: -self.digits, scale: self.scale }
    }

    /// The product.
    pub(crate) fn times(self, other: Self) -> Option<Self> {
        let digits = self.digits.checked_mul(other.digits)?;
        Some(Decimal { digits, scale: self.scale.checked_add(other.scale)? })
    }

    /// The quotient, at least 16 significant digits of it (PostgreSQL's `select_div_scale`); none by zero.
    pub(crate) fn divided_by(self, other: Self) -> Option<Self> {
        let scale = quotient_scale(self, other);
        let shift = i32::from(scale) + i32::from(other.scale) - i32::from(self.scale);
        let (upper, lower) = match u32::try_from(shift) {
            Ok(shift) => (self.digits.checked_mul(10_i128.checked_pow(shift)?)?, other.digits),
            Err(_) => (self.digits, other.digits.checked_mul(10_i128.checked_pow(shift.unsigned_abs())?)?),
        };
        Some(Decimal { digits: rounded_quotient(upper, lower)?, scale })
    }

    /// The remainder, with the sign of the dividend.
    pub(crate) fn remainder(self, other: Self) -> Option<Self> {
        let (one, two, scale) = self.aligned(other)?;
        Some(Decimal { digits: one.checked_rem(two)?, scale })
    }

    /// Rounded, half away from zero, to so many digits after the point.
    pub(crate) fn with_scale(self, scale: u8) -> Option<Self> {
        let digits = if scale >= self.scale {
            self.digits.checked_mul(10_i128.checked_pow((scale - self.scale).into())?)?
        } else {
            rounded_quotient(self.digits, 10_i128.checked_pow((self.scale - scale).into())?)?
        };
        Some(Decimal { digits, scale })
    }

    /// The nearest whole number, if a `bigint` holds it.
    pub(crate) fn to_whole(self) -> Option<i64> {
        i64::try_from(self.with_scale(0)?.digits).ok()
    }

    /// The nearest floating-point number.
    pub(crate) fn to_f64(self) -> f64 {
        // The text is a number by construction.
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// Without the zeros that end it: equal numbers become the same.
    pub(crate) fn reduced(mut self) -> (i128, u8) {
        while self.scale > 0 && self.digits % 10 == 0 {
            self.digits /= 10;
            self.scale -= 1;
        }
        (self.digits, self.scale)
    }

    /// Both numbers' digits at the finer scale of the two.
    fn aligned(self, other: Self) -> Option<(i128, i128, u8)> {
        let scale = self.scale.max(other.scale);
        Some((self.with_scale(scale)?.digits, other.with_scale(scale)?.digits, scale))
    }
}

/// PostgreSQL's rule: 16 significant digits of the quotient, estimated in groups of four decimal digits, and
/// never less than either operand shows.
fn quotient_scale(one: Decimal, two: Decimal) -> u8 {
    let ((weight_one, first_one), (weight_two, first_two)) = (leading_group(one), leading_group(two));
    let mut weight = weight_one - weight_two;
    if first_one <= first_two {
        weight -= 1;
    }
    let wanted = i32::from(QUOTIENT_SCALE) - weight * 4;
    let wanted = wanted.max(one.scale.into()).max(two.scale.into());
    u8::try_from(wanted.clamp(0, 38)).unwrap_or(QUOTIENT_SCALE)
}

/// The weight and the value of the first group of four digits that is not zero.
fn leading_group(number: Decimal) -> (i32, i128) {
    let (digits, scale) = number.reduced();
    if digits == 0 {
        return (0, 0);
    }
    let padding = (4 - scale % 4) % 4;
    let mut rest = digits.abs() * 10_i128.pow(padding.into());
    let mut weight = -i32::from((scale + padding) / 4);
    while rest >= 10_000 {
        rest /= 10_000;
        weight += 1;
    }
    (weight, rest)
}

fn rounded_quotient(upper: i128, lower: i128) -> Option<i128> {
    let (quotient, rest) = (upper.checked_div(lower)?, upper.checked_rem(lower)?);
    let up = rest.unsigned_abs() * 2 >= lower.unsigned_abs();
    let away = if (upper < 0) == (lower < 0) { 1 } else { -1 };
    Some(if up { quotient + away } else { quotient })
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.reduced() == other.reduced()
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match self.aligned(*other) {
            Some((one, two, _)) => one.cmp(&two),
            None => self.to_f64().total_cmp(&other.to_f64()),
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.digits < 0 { "-" } else { "" };
        let scale = usize::from(self.scale);
        let digits = format!("{:0>width$}", self.digits.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        if scale == 0 { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{fraction}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Decimal {
        Decimal::parse(text).expect("the case is a number")
    }

    #[test]
    fn arithmetic_is_exact_and_keeps_the_scale() {
        assert_eq!(of("0.10").plus(of("0.2")).unwrap().to_string(), "0.30");
        assert_eq!(of("1.5").times(of("-2.00")).unwrap().to_string(), "-3.000");
        assert_eq!(of("-0.05").to_string(), "-0.05");
        assert_eq!(of("7.5").remainder(of("2")).unwrap().to_string(), "1.5");
        assert_eq!(of("1.25").with_scale(1).unwrap().to_string(), "1.3");
    }

    #[test]
    fn quotients_have_the_digits_that_postgresql_gives_them() {
        for (one, two, quotient) in [
            ("1", "3", "0.33333333333333333333"),
            ("10", "3", "3.3333333333333333"),
            ("6", "2", "3.0000000000000000"),
            ("100000", "3", "33333.333333333333"),
        ] {
            assert_eq!(of(one).divided_by(of(two)).unwrap().to_string(), quotient, "{one} / {two}");
        }
        assert!(of("1").divided_by(of("0")).is_none());
    }

    #[test]
    fn numbers_compare_by_value() {
        assert_eq!(of("1.50"), of("1.5"));
        assert!(of("-1.5") < of("-1.49"));
        assert!(Decimal::parse("1e5").is_none() && Decimal::parse(".").is_none());
    }
}
