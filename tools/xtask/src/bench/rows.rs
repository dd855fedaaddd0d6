//! The bench's rows: what the client does (AT is the mount, ROUND the round), and how the numbers are written.

/// One kind of work.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What is made ready before, unmeasured.
    pub(crate) before: &'static str,
    /// The work; its last line is `{"operations": N, "seconds": S}`.
    pub(crate) script: &'static str,
    /// What the server's CPU is counted in, and how many of it a CPU second for each operation is.
    pub(crate) unit: &'static str,
    pub(crate) scale: f64,
    pub(crate) rate_unit: &'static str,
}

/// What one row took on one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) operations: f64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// How often one of the server's threads waited for something.
    pub(crate) switches: f64,
}

impl Sample {
    pub(crate) fn cpu_per_operation(&self) -> f64 {
        self.cpu_seconds / self.operations
    }

    pub(crate) fn switches_per_operation(&self) -> f64 {
        self.switches / self.operations
    }

    pub(crate) fn rate(&self) -> f64 {
        self.operations / self.seconds
    }

    pub(crate) fn line(&self, row: &Row) -> String {
        let (cpu, rate) = (self.cpu_per_operation() * row.scale, self.rate());
        let switches = self.switches_per_operation();
        format!("{cpu:.2} {}, {rate:.0} {}, {switches:.2} waits each", row.unit, row.rate_unit)
    }
}

const GIB: f64 = 1024.0;
const MICRO: f64 = 1e6;

/// A command that is timed as a whole, its operations being the entries of the tree.
macro_rules! timed {
    ($command:literal) => {
        concat!(
            "set -e; start=$(date +%s%N); ",
            $command,
            "; end=$(date +%s%N); count=$(tar -tf /mnt/local/tree.tar | wc -l)\n",
            "echo \"{\\\"operations\\\": $count, \\\"seconds\\\": $(((end - start) / 1000000))e-3}\""
        )
    };
}

/// Every row, in the order of work: later ones use what earlier ones wrote. Each round has names of its own, since a
/// server may reuse the memory of a file that is written again.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "sequential write, 512 MiB + fsync",
        before: "",
        script: "$LOADGEN write-stream --mib 512 AT/stream-ROUND",
        unit: "s/GiB",
        scale: GIB,
        rate_unit: "MiB/s",
    },
    Row {
        name: "sequential direct read, warm",
        before: "[ -e AT/stream-ROUND ] || $LOADGEN write-stream --mib 512 AT/stream-ROUND; $LOADGEN read-stream AT/stream-ROUND",
        script: "$LOADGEN read-stream AT/stream-ROUND",
        unit: "s/GiB",
        scale: GIB,
        rate_unit: "MiB/s",
    },
    Row {
        name: "random 4 KiB read, depth 16",
        before: "[ -e AT/stream-ROUND ] || $LOADGEN write-stream --mib 512 AT/stream-ROUND",
        script: "$LOADGEN read-random --count 20000 --depth 16 AT/stream-ROUND",
        unit: "us/op",
        scale: MICRO,
        rate_unit: "op/s",
    },
    Row {
        name: "random 4 KiB write + fsync each",
        before: "[ -e AT/stream-ROUND ] || $LOADGEN write-stream --mib 512 AT/stream-ROUND",
        script: "$LOADGEN write-random --count 2000 AT/stream-ROUND",
        unit: "us/op",
        scale: MICRO,
        rate_unit: "op/s",
    },
    Row {
        name: "2,000 small files",
        before: "rm -f AT/stream-ROUND",
        script: "$LOADGEN small-files --count 2000 AT/small-ROUND",
        unit: "us/op",
        scale: MICRO,
        rate_unit: "op/s",
    },
    Row {
        name: "untar of 3,000 files and their directories",
        before: "mkdir -p AT/tree-ROUND",
        script: timed!("tar -C AT/tree-ROUND -xf /mnt/local/tree.tar; sync"),
        unit: "us/entry",
        scale: MICRO,
        rate_unit: "entries/s",
    },
    Row {
        name: "cold readdir + lstat walk",
        before: "[ -e AT/tree-ROUND ] || { mkdir AT/tree-ROUND; tar -C AT/tree-ROUND -xf /mnt/local/tree.tar; }",
        script: "$LOADGEN walk AT/tree-ROUND",
        unit: "us/entry",
        scale: MICRO,
        rate_unit: "entries/s",
    },
    Row {
        name: "rm of the tree",
        before: "[ -e AT/tree-ROUND ] || { mkdir AT/tree-ROUND; tar -C AT/tree-ROUND -xf /mnt/local/tree.tar; }",
        script: timed!("rm -rf AT/tree-ROUND"),
        unit: "us/entry",
        scale: MICRO,
        rate_unit: "entries/s",
    },
];
