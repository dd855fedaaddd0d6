//! Whether bytes look like noise: Pearson's chi-square test of the 256 values of a byte, piece by piece.
//!
//! Of a uniform source each piece of 64 KiB has 256 of each value, and the sum of squared differences over 256 is
//! distributed as chi-square with 255 degrees of freedom. A p-value is the chance of so large a sum or a larger one. Of
//! many pieces the least p-value is small by itself, so each is held against the level over the number of pieces
//! (Bonferroni's correction): the chance that noise fails anywhere is at most the level. All pieces together are
//! one more test, which counts in that number: it finds a bias that is too small for any one piece.

/// A piece.
pub(crate) const PIECE: usize = 64 << 10;
/// The chance that noise is taken for something else.
pub(crate) const LEVEL: f64 = 1e-6;
/// With fewer bytes there are under five of a value, and the distribution is another one.
const LEAST: usize = 256 * 5;

/// The pieces so far.
#[derive(Debug, Default)]
pub(crate) struct Noise {
    /// What is not yet a whole piece.
    waiting: Vec<u8>,
    pieces: Vec<f64>,
    counts: Vec<u64>,
    tested: u64,
    untested: u64,
}

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    pub(crate) pieces: usize,
    pub(crate) bytes: u64,
    /// Bytes of streams that were too short for any test.
    pub(crate) untested: u64,
    /// The least p-value of any piece.
    pub(crate) least: f64,
    /// That of all bytes together.
    pub(crate) together: f64,
}

impl Noise {
    /// Takes bytes in; they go on from those before.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
        while let Some(piece) = self.waiting.get(..PIECE) {
            let counts = count(piece);
            self.test(&counts, PIECE);
            self.waiting.drain(..PIECE);
        }
    }

    /// Ends a stream: what waits is a shorter piece, or too short for any.
    pub(crate) fn end(&mut self) {
        let rest = std::mem::take(&mut self.waiting);
        if rest.len() >= LEAST {
            self.test(&count(&rest), rest.len());
        } else {
            self.untested += rest.len() as u64;
        }
    }

    fn test(&mut self, counts: &[u64], bytes: usize) {
        self.pieces.push(p_value(chi_square(counts), DEGREES));
        self.counts.resize(256, 0);
        self.counts.iter_mut().zip(counts).for_each(|(all, more)| *all += more);
        self.tested += bytes as u64;
    }

    /// The verdict; none where nothing could be tested.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        let least = self.pieces.iter().copied().reduce(f64::min)?;
        let together = p_value(chi_square(&self.counts), DEGREES);
        let (pieces, bytes, untested) = (self.pieces.len(), self.tested, self.untested);
        Some(Verdict { pieces, bytes, untested, least, together })
    }
}

impl Verdict {
    /// What each p-value has to exceed.
    pub(crate) fn bar(&self) -> f64 {
        LEVEL / (self.pieces + 1) as f64
    }

    /// Whether it is noise.
    pub(crate) fn is_noise(&self) -> bool {
        self.least > self.bar() && self.together > self.bar()
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { pieces, bytes, untested, least, together } = self;
        let (kib, bar) = (bytes >> 10, self.bar());
        write!(to, "{kib} KiB in {pieces} pieces, p {least:.1e} at least, {together:.1e} together, bar {bar:.1e}")?;
        if *untested > 0 { write!(to, ", {untested} bytes too few for a piece") } else { Ok(()) }
    }
}

const DEGREES: f64 = 255.0;

fn count(bytes: &[u8]) -> Vec<u64> {
    let mut counts = vec![0; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    counts
}

fn chi_square(counts: &[u64]) -> f64 {
    let expected = counts.iter().sum::<u64>() as f64 / 256.0;
    counts.iter().map(|count| (*count as f64 - expected).powi(2) / expected).sum()
}

/// The chance that chi-square with so many degrees of freedom is this or more: the upper regularised incomplete gamma
/// function of half of each.
fn p_value(chi_square: f64, degrees: f64) -> f64 {
    let (a, x) = (degrees / 2.0, chi_square / 2.0);
    let scale = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        // The lower function's series; it is the larger part here.
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * f64::EPSILON {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        return 1.0 - sum * scale;
    }
    // The upper function's continued fraction, by Lentz's method.
    let mut b = x + 1.0 - a;
    let mut c = f64::MAX;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for n in 1..10_000 {
        let n = f64::from(n);
        let numerator = -n * (n - a);
        b += 2.0;
        d = 1.0 / (numerator * d + b);
        c = b + numerator / c;
        let step = d * c;
        fraction *= step;
        if (step - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    fraction * scale
}

/// Stirling's series, for arguments over ten.
fn ln_gamma(x: f64) -> f64 {
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5));
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of a generator that is known to be good (SplitMix64).
    fn noise(seed: u64, bytes: usize) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (mixed ^ (mixed >> 31)).to_le_bytes()
        };
        std::iter::repeat_with(&mut next).flatten().take(bytes).collect()
    }

    fn judged(bytes: &[u8]) -> Verdict {
        let mut noise = Noise::default();
        bytes.chunks(1000).for_each(|part| noise.take(part));
        noise.end();
        noise.verdict().unwrap()
    }

    /// Tables of the chi-square distribution, 255 degrees of freedom: 5 % beyond 293.25, 0.1 % beyond 330.52.
    #[test]
    fn p_values_are_those_of_the_tables() {
        for (chi_square, wanted) in [(293.2478, 0.05), (330.5197, 0.001), (254.3338, 0.5)] {
            let found = p_value(chi_square, DEGREES);
            assert!((found / wanted - 1.0).abs() < 0.001, "{chi_square}: {found}");
        }
        assert!(p_value(600.0, DEGREES) < 1e-28 && p_value(600.0, DEGREES) > 0.0);
    }

    /// Threat model: noise is taken for noise, however many pieces there are.
    #[test]
    fn noise_is_noise() {
        for seed in 0..5 {
            let verdict = judged(&noise(seed, 64 * PIECE + 5000));
            assert!(verdict.is_noise() && verdict.pieces == 65, "{verdict}");
        }
        let mut short = Noise::default();
        short.take(&noise(1, LEAST - 1));
        short.end();
        assert!(short.verdict().is_none());
    }

    /// Threat model: text, numbers, zeros in one piece of many, and a bias that no single piece shows are all found.
    #[test]
    fn what_is_no_noise_is_found() {
        let text = "Nobody would take this sentence for noise. ".repeat(3000);
        assert!(!judged(text.as_bytes()).is_noise());
        let mut bytes = noise(9, 64 * PIECE);
        bytes[20 * PIECE..20 * PIECE + 600].fill(0);
        assert!(!judged(&bytes).is_noise());
        let mut bytes = noise(10, 512 * PIECE);
        bytes.iter_mut().step_by(1024).for_each(|byte| *byte = 7);
        let verdict = judged(&bytes);
        assert!(verdict.least > verdict.bar() && !verdict.is_noise(), "{verdict}");
    }
}
