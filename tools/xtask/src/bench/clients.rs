//! The first part: the same work from a real Linux client on nfs-ganesha (in the clear) and on Coffer (both encryptions on),
//! side by side: three alternating rounds, medians, the server's CPU for each operation.

use std::fs;
use std::fs::File;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use linux_client::{Client, Machine, Network};
use serde_json::{Value, json};

use super::process::{cpu_seconds, high_water, settle, waits, waits_since};
use super::rows::{ROWS, Row, Sample};
use crate::coffer::{Coffer, Settings};
use crate::ganesha::Ganesha;
use crate::house::{House, Profile, output};
use crate::trees;

const TUNNEL_PORT: u16 = 20_500;

/// Both servers, the tunnel and the client.
struct Bench {
    client: Client,
    tunnel: Child,
    coffer: Coffer,
    ganesha: Ganesha,
    loadgen: String,
    _network: Network,
}

/// A server under measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Ganesha,
    Coffer,
}

impl Side {
    const fn at(self) -> &'static str {
        match self {
            Self::Ganesha => "/mnt/ganesha",
            Self::Coffer => "/mnt/coffer",
        }
    }
}

/// The rows whose name contains the word.
pub(super) fn wanted(only: Option<&str>) -> Vec<&'static Row> {
    ROWS.iter().filter(|row| only.is_none_or(|word| row.name.contains(word))).collect()
}

/// What came of it.
pub(super) struct Outcome {
    table: Vec<Value>,
    ganesha_kib: u64,
    pub(super) coffer_kib: u64,
}

/// Measures these rows.
pub(super) fn run(house: &House, place: &Path, rows: &[&Row], rounds: usize) -> Result<Outcome, String> {
    let bench = Bench::open(house, place)?;
    let mut samples: Vec<(usize, Side, Sample)> = Vec::new();
    for round in 1..=rounds {
        // Whoever comes first in one round comes second in the next.
        let order = if round % 2 == 1 { [Side::Ganesha, Side::Coffer] } else { [Side::Coffer, Side::Ganesha] };
        for (nth, row) in rows.iter().enumerate() {
            for side in order {
                let sample = bench.measure(row, side, round)?;
                println!("round {round}: {:?}: {}: {}", side, row.name, sample.line(row));
                samples.push((nth, side, sample));
            }
        }
        for side in order {
            bench.script(&format!("rm -rf {}/*", side.at()))?;
        }
    }
    let coffer_kib = bench.coffer.id().map_or(0, high_water);
    Ok(Outcome { table: summary(rows, &samples), ganesha_kib: high_water(bench.ganesha.id()), coffer_kib })
}

impl Outcome {
    /// As JSON: the rows and the memory.
    pub(super) fn json(&self) -> (Value, Value) {
        let memory = json!({
            "ganesha_vmhwm_kib": self.ganesha_kib, "coffer_vmhwm_kib": self.coffer_kib,
            "over_512_mib": super::is_too_much(self.coffer_kib),
        });
        (json!(self.table), memory)
    }

    /// Prints the table.
    pub(super) fn print(&self) {
        println!(
            "\n{:<53} {:>10} {:>10} {:>6}   {:>9} {:>9} {:>6} {:<10} {:>8} {:>8}",
            "server CPU; rate; voluntary waits of its threads",
            "ganesha",
            "coffer",
            "ratio",
            "ganesha",
            "coffer",
            "ratio",
            "",
            "ganesha",
            "coffer"
        );
        for row in &self.table {
            let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
            let number = |name: &str| row.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
            println!(
                "{:<53} {:>10.2} {:>10.2} {:>6.2}   {:>9.0} {:>9.0} {:>6.2} {:<10} {:>8.2} {:>8.2}",
                format!("{} ({})", text("row"), text("cpu_unit")),
                number("ganesha_cpu"),
                number("coffer_cpu"),
                number("cpu_ratio"),
                number("ganesha_rate"),
                number("coffer_rate"),
                number("rate_ratio"),
                text("rate_unit"),
                number("ganesha_waits_per_op"),
                number("coffer_waits_per_op"),
            );
        }
        println!("most memory (MiB): ganesha {}, coffer {} of 512", self.ganesha_kib >> 10, self.coffer_kib >> 10);
    }
}

impl Bench {
    fn open(house: &House, place: &Path) -> Result<Self, String> {
        let network = Network::new(1).map_err(|error| error.to_string())?;
        let ganesha = Ganesha::start(place, network.host().into())?;
        let mut coffer = Coffer::init(house, Profile::Release, place, &network, Settings::default())?;
        coffer.start()?;
        let api = coffer.api()?;
        let key = api.create_key("bench")?;
        let made = api.create_file_system("bench", Some(&key))?;
        let tunnel = tunnel(house, place, &network, &coffer, &made.id, &made.address)?;
        let mut machine = Machine::new(&place.join("scratch"), house.program(Profile::Release, "linux-client"))
            .map_err(|error| error.to_string())?;
        (machine.print, machine.memory_mib) = (false, 1536);
        let tree = machine.scratch.join("tree");
        trees::real(&tree, 3000)?;
        output(Command::new("tar").arg("-C").arg(&tree).arg("-cf").arg(machine.scratch.join("tree.tar")).arg("."))?;
        let client = network.boot(0, "client", &machine).map_err(|error| error.to_string())?;
        let loadgen = house.program(Profile::Release, "loadgen").display().to_string();
        let host = network.host();
        let bench = Self { client, tunnel, coffer, ganesha, loadgen, _network: network };
        bench.script(&format!(
            "set -e; mkdir {ganesha} {coffer} /mnt/local; cp '{archive}' /mnt/local/tree.tar
options=vers=4.1,rsize=1048576,wsize=1048576,hard,noresvport
mount -t nfs4 -o $options {host}:/ {ganesha}
mount -t nfs4 -o $options,port={TUNNEL_PORT} {host}:/ {coffer}",
            ganesha = Side::Ganesha.at(),
            coffer = Side::Coffer.at(),
            archive = machine.scratch.join("tree.tar").display(),
        ))?;
        Ok(bench)
    }

    fn script(&self, script: &str) -> Result<String, String> {
        self.client.check(&format!("export LOADGEN='{}'\n{script}", self.loadgen)).map_err(|error| error.to_string())
    }

    /// Runs one row: what it took, and the server's CPU meanwhile.
    fn measure(&self, row: &Row, side: Side, round: usize) -> Result<Sample, String> {
        let process = match side {
            Side::Ganesha => self.ganesha.id(),
            Side::Coffer => self.coffer.id().ok_or("the server is gone")?,
        };
        let script = |text: &str| text.replace("AT", side.at()).replace("ROUND", &round.to_string());
        if !row.before.is_empty() {
            self.script(&script(row.before))?;
        }
        self.script("sync; echo 3 > /proc/sys/vm/drop_caches")?;
        settle(process);
        let (before, waited) = (cpu_seconds(process)?, waits(process));
        let said = self.script(&script(row.script))?;
        // What the server does afterwards because of this row is part of its price.
        settle(process);
        let cpu = cpu_seconds(process)? - before;
        let switches = waits_since(&waited, &waits(process));
        let last = said.lines().last().unwrap_or_default();
        let value: Value = serde_json::from_str(last).map_err(|error| format!("{}: {last:?}: {error}", row.name))?;
        let number =
            |name: &str| value.get(name).and_then(Value::as_f64).ok_or_else(|| format!("{}: {last:?}", row.name));
        Ok(Sample { operations: number("operations")?, seconds: number("seconds")?, cpu_seconds: cpu, switches })
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.tunnel.kill();
        let _ = self.tunnel.wait();
    }
}

/// The product's own tunnel, outside the client, listening on the tap: system calls inside the client are slow.
fn tunnel(
    house: &House,
    place: &Path,
    network: &Network,
    coffer: &Coffer,
    id: &str,
    address: &str,
) -> Result<Child, String> {
    let name = format!("{id}.efs.us-east-1.coffer.internal");
    let settings = format!(
        "[efs]\nclient = yes\naccept = {host}:{TUNNEL_PORT}\nconnect = {address}:2049\nsni = {name}\ncheckHost = {name}\n\
         verify = 2\nCAfile = {ca}\nfs_id = {id}\ncommon_name = bench\nsource = bench\nefs_utils_version = 0.1.0\n\
         client_key = ecdsa-p256\nrenewal_seconds = 3600\noutput = {log}\ndebug = info\noutput_max_bytes = 1048576\n\
         output_file_count = 2\n",
        host = network.host(),
        ca = coffer.ca().display(),
        log = place.join("tunnel.log").display(),
    );
    let path = place.join("tunnel.conf");
    fs::write(&path, settings).map_err(|error| format!("{}: {error}", path.display()))?;
    let listener =
        TcpListener::bind((network.host(), TUNNEL_PORT)).map_err(|error| format!("the tunnel's port: {error}"))?;
    let log = File::create(place.join("tunnel.out")).map_err(|error| format!("the tunnel's log: {error}"))?;
    let errors = log.try_clone().map_err(|error| format!("the tunnel's log: {error}"))?;
    Command::new(house.program(Profile::Release, "mount-efs"))
        .arg0("efs-tunnel")
        .arg(&path)
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(|error| format!("efs-tunnel: {error}"))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Medians and ratios of each row.
fn summary(rows: &[&Row], samples: &[(usize, Side, Sample)]) -> Vec<Value> {
    let of = |nth: usize, side: Side, value: fn(&Sample) -> f64| {
        median(
            samples
                .iter()
                .filter(|(row, of, _)| *row == nth && *of == side)
                .map(|(_, _, sample)| value(sample))
                .collect(),
        )
    };
    rows.iter()
        .enumerate()
        .map(|(nth, row)| {
            let cpu = |side| of(nth, side, Sample::cpu_per_operation) * row.scale;
            let rate = |side| of(nth, side, Sample::rate);
            let waits = |side| of(nth, side, Sample::switches_per_operation);
            json!({
                "row": row.name, "cpu_unit": row.unit,
                "ganesha_cpu": cpu(Side::Ganesha), "coffer_cpu": cpu(Side::Coffer),
                "cpu_ratio": cpu(Side::Coffer) / cpu(Side::Ganesha),
                "ganesha_rate": rate(Side::Ganesha), "coffer_rate": rate(Side::Coffer),
                "rate_ratio": rate(Side::Coffer) / rate(Side::Ganesha), "rate_unit": row.rate_unit,
                "ganesha_waits_per_op": waits(Side::Ganesha), "coffer_waits_per_op": waits(Side::Coffer),
            })
        })
        .collect()
}
