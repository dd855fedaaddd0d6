//! How many files can be made durably in a second, by one client, by 8, and by 64.

use super::figure::{Bar, Figure};
use super::server::{Server, latencies, number};
use super::{Measured, Rig};

/// What 64 clients should get.
const RATE_MIN: f64 = 10_000.0;
/// What they shall get one day.
const RATE_GOAL: f64 = 25_000.0;

pub(super) fn run(rig: &Rig<'_>, server: Server) -> Measured {
    let mut figures = Vec::new();
    for clients in [1, 8, 64] {
        let line = server.nfs(&format!("create --clients {clients} --seconds {}", rig.seconds))?;
        let (rate, latencies) = (number(&line, "rate")?, latencies(&line)?);
        let figure = Figure::new(&format!("durable creates, clients: {clients}"), rate, "/s").from(&line);
        figures.push(match clients {
            64 => {
                let goal = if rate >= RATE_GOAL { "met" } else { "NOT met" };
                let remark = format!("{latencies}; the goal of {RATE_GOAL} {goal}");
                figure.held_to(Bar::AtLeast(RATE_MIN)).with(remark)
            }
            _ => figure.with(latencies),
        });
    }
    Ok((figures, server.stop()?))
}
