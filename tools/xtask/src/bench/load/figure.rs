//! A figure and the bar that it is held against.

use std::fmt;

use serde_json::{Value, json};

/// The table's head.
pub(in crate::bench) const HEAD: &str =
    "                                                          figure                      bar";

/// What a figure should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::bench) enum Bar {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

impl Bar {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bar) => value >= bar,
            Self::AtMost(bar) => value <= bar,
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Figure {
    what: String,
    /// None: it could not be measured, and the remark says why.
    value: Option<f64>,
    unit: &'static str,
    bar: Option<Bar>,
    /// Whether it may be wrong, as the remark explains.
    doubted: bool,
    remark: String,
    /// What the load generator printed.
    lines: Vec<Value>,
}

impl Figure {
    /// A figure without a bar.
    pub(in crate::bench) fn new(what: &str, value: f64, unit: &'static str) -> Self {
        let (what, remark, lines) = (what.to_owned(), String::new(), Vec::new());
        Self { what, value: Some(value), unit, bar: None, doubted: false, remark, lines }
    }

    /// One that cannot be measured here.
    pub(in crate::bench) fn missing(what: &str, why: &str) -> Self {
        Self { value: None, remark: why.to_owned(), ..Self::new(what, 0.0, "") }
    }

    /// Held against this.
    pub(in crate::bench) fn held_to(self, bar: Bar) -> Self {
        Self { bar: Some(bar), ..self }
    }

    /// Neither met nor not met if it may be wrong.
    pub(in crate::bench) fn doubted_if(self, doubted: bool) -> Self {
        Self { doubted, ..self }
    }

    /// With a remark.
    pub(in crate::bench) fn with(self, remark: impl Into<String>) -> Self {
        Self { remark: remark.into(), ..self }
    }

    /// With what it was made of.
    pub(in crate::bench) fn from(mut self, line: &Value) -> Self {
        self.lines.push(line.clone());
        self
    }

    /// Whether the bar is met; none without a bar, and where the figure may be wrong.
    fn is_met(&self) -> Option<bool> {
        self.bar.filter(|_| !self.doubted).map(|bar| self.value.is_some_and(|value| bar.is_met(value)))
    }

    fn verdict(&self) -> &'static str {
        match self.is_met() {
            Some(true) => "met",
            Some(false) => "NOT met",
            None if self.doubted => "void",
            None => "",
        }
    }

    /// As JSON.
    pub(in crate::bench) fn json(&self) -> Value {
        let (at_least, at_most) = match self.bar {
            Some(Bar::AtLeast(bar)) => (Some(bar), None),
            Some(Bar::AtMost(bar)) => (None, Some(bar)),
            None => (None, None),
        };
        json!({
            "figure": self.what, "value": self.value, "unit": self.unit, "at_least": at_least, "at_most": at_most,
            "met": self.is_met(), "void": self.doubted, "remark": self.remark, "loadgen": self.lines,
        })
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.map_or_else(|| "-".to_owned(), number);
        let bar = match self.bar {
            Some(Bar::AtLeast(bar)) => format!(">= {}", number(bar)),
            Some(Bar::AtMost(bar)) => format!("<= {}", number(bar)),
            None => String::new(),
        };
        let line =
            format!("{:<53} {value:>10} {:<14} {bar:>9}  {:<8} {}", self.what, self.unit, self.verdict(), self.remark);
        write!(to, "{}", line.trim_end())
    }
}

/// As many digits as tell something.
fn number(value: f64) -> String {
    if value.abs() >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cargo xtask bench`: a bar is met by its own value, on its own side only, and never by what was not measured.
    #[test]
    fn a_bar_is_met_from_its_own_side() {
        let figure = |value: f64, bar| Figure::new("creates", value, "/s").held_to(bar).verdict();
        assert_eq!(figure(10.0, Bar::AtLeast(10.0)), "met");
        assert_eq!(figure(9.0, Bar::AtLeast(10.0)), "NOT met");
        assert_eq!(figure(2.0, Bar::AtMost(2.0)), "met");
        assert_eq!(figure(f64::NAN, Bar::AtMost(2.0)), "NOT met");
        assert_eq!(Figure::missing("syncs", "needs strace").held_to(Bar::AtMost(1.0)).verdict(), "NOT met");
        let doubted = Figure::new("bytes", 1.0, "").held_to(Bar::AtMost(2.0)).doubted_if(true);
        assert_eq!((doubted.is_met(), doubted.verdict()), (None, "void"));
        let line = Figure::new("creates", 9.0, "/s").held_to(Bar::AtLeast(10.0)).to_string();
        assert!(line.contains("9.00 /s") && line.contains(">= 10.00") && line.ends_with("NOT met"), "{line}");
    }
}
