//! A client's life: it connects, makes what its work needs, waits for the others, works, checks and clears up.

mod large;

use std::sync::Arc;
use std::time::Instant;

use nfs_wire::nfs4::NfsFh4;

use super::connection::Connection;
use super::door::Door;
use super::file::{BLOCK, TestFile};
use super::gate::Gate;
use super::options::{Kind, Options};
use super::pattern::Pattern;
use super::pipeline::{self, Limit, Work};
use super::session::Session;
use super::step;
use super::tally::Tally;
use super::work::{
    Getattr, Lookup, Made, Make, Order, Overwrite, PIECE, Read, ReadSmall, Readdir, Remove, Small, Visit, Write,
};
use crate::dice::Dice;

/// Requests on their way at once outside the measured time: for names, and for pieces of files, of which more would take
/// memory of the server's that the measured work does not.
const NAMES_DEPTH: u32 = 16;
const PIECES_DEPTH: u32 = 4;
const FILE: &str = "file";

/// What all clients of a run share.
pub(crate) struct Run {
    /// What was asked for.
    pub(crate) options: Options,
    /// The way to the server.
    pub(crate) door: Door,
    /// Where they wait for each other.
    pub(crate) gate: Gate,
    /// The run's name: of its directory, and the beginning of its clients' owners.
    pub(crate) name: String,
    /// What is written.
    pub(crate) pattern: Pattern,
}

impl Run {
    /// A new client under this name.
    pub(crate) async fn connect(&self, client: &str) -> Result<Session, String> {
        let connection = Connection::new(self.door.open().await?);
        Session::establish(connection, &format!("{}-{client}", self.name)).await
    }

    /// The path of the run's directory.
    fn directory(&self) -> String {
        format!("{}/{}", self.options.path, self.directory_name())
    }

    fn directory_name(&self) -> &str {
        self.options.directory.as_ref().unwrap_or(&self.name)
    }
}

/// Makes the run's directory.
pub(crate) async fn begin(run: &Run) -> Result<(), String> {
    if run.options.visit {
        return Ok(());
    }
    let mut session = run.connect("first").await?;
    let path = &run.options.path;
    let parent = session.call_step(&step::find(path)).await.map_err(|why| format!("{path}: {why}"))?.handle()?;
    let made = session.call_step(&step::make_directory(&parent.detached(), run.directory_name())).await;
    made.map_err(|why| format!("{}: {why}", run.directory()))?;
    session.destroy().await
}

/// Removes the run's directory, in which nothing may be left.
pub(crate) async fn end(run: &Run) -> Result<(), String> {
    if run.options.keep {
        return Ok(());
    }
    let mut session = run.connect("last").await?;
    let parent = session.call_step(&step::find(&run.options.path)).await?.handle()?.detached();
    let removed = session.call_step(&step::remove(&parent, run.directory_name())).await;
    removed.map_err(|why| format!("{}: {why}", run.directory()))?;
    session.destroy().await
}

/// One client.
struct Client {
    run: Arc<Run>,
    session: Session,
    number: u32,
    /// The run's directory, and the client's own name in it if it has a directory of its own.
    base: NfsFh4,
    own: Option<String>,
    /// Where its files are.
    directory: NfsFh4,
    pattern: Pattern,
    tally: Tally,
}

/// The whole life of a client.
pub(crate) async fn live(run: Arc<Run>, number: u32) -> Result<Tally, String> {
    let told = |why: String| format!("client {number}: {why}");
    let client = Client::enter(run, number).await.map_err(told)?;
    client.work().await.map_err(told)
}

impl Client {
    async fn enter(run: Arc<Run>, number: u32) -> Result<Self, String> {
        let mut session = run.connect(&number.to_string()).await?;
        let base = session.call_step(&step::find(&run.directory())).await?.handle()?.detached();
        let own = (!run.options.shared).then(|| format!("client-{number}"));
        let directory = match &own {
            Some(name) if run.options.visit => {
                let path = format!("{}/{name}", run.directory());
                let found = session.call_step(&step::find(&path)).await.map_err(|why| format!("{path}: {why}"))?;
                { found }.handle()?.detached()
            }
            Some(name) => session.call_step(&step::make_directory(&base, name)).await?.handle()?.detached(),
            None => base.clone(),
        };
        let pattern = run.pattern.other((run.options.seed << 16) ^ u64::from(number));
        let tally = Tally { stretch: run.options.stretch.unwrap_or(0), ..Tally::new() };
        Ok(Self { run, session, number, base, own, directory, pattern, tally })
    }

    async fn work(mut self) -> Result<Tally, String> {
        match self.run.options.kind {
            Kind::Create => self.make(Made::Files(self.session.owner())).await?,
            Kind::Mkdir => self.make(Made::Directories).await?,
            Kind::Small => self.small().await?,
            Kind::Remove => self.remove().await?,
            Kind::Write => self.write().await?,
            Kind::Write4k => self.overwrite().await?,
            Kind::Read | Kind::Read4k => self.read().await?,
            Kind::Large => self.large().await?,
            Kind::Getattr | Kind::Lookup | Kind::Readdir => self.look().await?,
        }
        if let Some(own) = self.own.filter(|_| !self.run.options.keep) {
            self.session.call_step(&step::remove(&self.base, &own)).await.map_err(|why| format!("{own}: {why}"))?;
        }
        self.session.destroy().await?;
        Ok(self.tally)
    }

    /// The measured part.
    async fn measure<W: Work>(&mut self, work: &mut W) -> Result<(), String> {
        let run = Arc::clone(&self.run);
        run.gate.start(&mut self.session).await?;
        let start = Instant::now();
        let limit = Limit {
            depth: run.options.depth(),
            count: run.options.count_of(self.number),
            deadline: run.options.time().map(|time| start + time),
        };
        pipeline::run(&mut self.session, work, limit, &mut self.tally).await?;
        self.tally.span = Some((start, Instant::now()));
        run.gate.end(&mut self.session).await
    }

    /// What comes before and after.
    async fn aside<W: Work>(&mut self, work: &mut W, depth: u32, count: Option<u64>) -> Result<(), String> {
        let mut tally = Tally::new();
        let limit = Limit { depth, count, deadline: None };
        pipeline::run(&mut self.session, work, limit, &mut tally).await?;
        self.tally.add_unmeasured(&tally);
        Ok(())
    }

    /// Removes the client's names, each of which must be there.
    async fn clear(&mut self, made: u64) -> Result<(), String> {
        if self.run.options.keep {
            return Ok(());
        }
        let mut work = Remove { directory: self.directory.clone(), client: self.number, next: 0, made, every: 1 };
        self.aside(&mut work, NAMES_DEPTH, None).await
    }

    async fn make(&mut self, made: Made) -> Result<(), String> {
        let mut work = Make::new(made, self.directory.clone(), self.number);
        self.measure(&mut work).await?;
        self.clear(work.next).await
    }

    async fn small(&mut self) -> Result<(), String> {
        let mut work = Small {
            directory: self.directory.clone(),
            owner: self.session.owner(),
            client: self.number,
            pattern: self.pattern.clone(),
            next: 0,
        };
        self.measure(&mut work).await?;
        let (made, every) = (work.next, self.run.options.verify_every);
        self.read_back(made, every).await?;
        if self.run.options.thin {
            let mut half = Remove { directory: self.directory.clone(), client: self.number, next: 1, made, every: 2 };
            self.aside(&mut half, NAMES_DEPTH, None).await?;
            self.read_back(made, 2 * every).await?;
        }
        self.clear(made).await
    }

    /// Compares each how-manieth small file.
    async fn read_back(&mut self, made: u64, every: u64) -> Result<(), String> {
        let mut back = ReadSmall {
            directory: self.directory.clone(),
            client: self.number,
            pattern: self.pattern.clone(),
            next: 0,
            made,
            every,
        };
        self.aside(&mut back, NAMES_DEPTH, None).await
    }

    /// So many empty files and their handles.
    async fn files(&mut self, count: u64) -> Result<Vec<NfsFh4>, String> {
        let mut work = Make::new(Made::Files(self.session.owner()), self.directory.clone(), self.number);
        work.handles = Some(Vec::new());
        self.aside(&mut work, NAMES_DEPTH, Some(count)).await?;
        Ok(work.handles.unwrap_or_default())
    }

    async fn remove(&mut self) -> Result<(), String> {
        let made = self.run.options.count_of(self.number).unwrap_or(0);
        self.files(made).await?;
        let mut work = Remove { directory: self.directory.clone(), client: self.number, next: 0, made, every: 1 };
        self.measure(&mut work).await?;
        if self.run.options.keep {
            return Ok(());
        }
        // What the time did not suffice for.
        self.aside(&mut work, NAMES_DEPTH, None).await
    }

    async fn look(&mut self) -> Result<(), String> {
        let count = self.run.options.files();
        if self.run.options.visit {
            return self.visit(count).await;
        }
        let handles = self.files(count).await?;
        match self.run.options.kind {
            Kind::Getattr => self.measure(&mut Getattr::new(self.number, &handles)).await?,
            Kind::Lookup => self.measure(&mut Lookup::new(self.number, &self.directory.clone(), handles)).await?,
            _ => self.measure(&mut Readdir::new(self.directory.clone(), self.number, count)).await?,
        }
        self.clear(count).await
    }

    /// Looks at so many files that were there before.
    async fn visit(&mut self, files: u64) -> Result<(), String> {
        let (directory, client) = (self.directory.clone(), self.number);
        match self.run.options.kind {
            Kind::Readdir => self.measure(&mut Readdir::new(directory, client, files)).await,
            _ => self.measure(&mut Visit { directory, client, files, dice: self.dice() }).await,
        }
    }

    /// A name that no other client has in a shared directory.
    fn file_name(&self) -> String {
        format!("{FILE}-{}", self.number)
    }

    async fn new_file(&mut self) -> Result<TestFile, String> {
        let (name, bytes) = (self.file_name(), self.run.options.file_bytes());
        TestFile::create(&mut self.session, &self.directory, &name, bytes, self.pattern.clone()).await
    }

    /// A file that is written already.
    async fn full_file(&mut self) -> Result<TestFile, String> {
        let mut file = self.new_file().await?;
        self.aside(&mut Write::new(&mut file, false), PIECES_DEPTH, None).await?;
        Ok(file)
    }

    /// Reads all of the file that was written, if anything is compared at all.
    async fn check(&mut self, file: &TestFile) -> Result<(), String> {
        match self.run.options.verify_every {
            0 => Ok(()),
            every => self.aside(&mut Read::new(file, Order::Once, PIECE, every), PIECES_DEPTH, None).await,
        }
    }

    async fn drop_file(&mut self, file: TestFile) -> Result<(), String> {
        self.session.call_step(&file.close()).await?;
        if self.run.options.keep {
            return Ok(());
        }
        self.session.call_step(&step::remove(&self.directory, &file.name)).await.map(drop)
    }

    async fn write(&mut self) -> Result<(), String> {
        let mut file = self.new_file().await?;
        let again = self.run.options.again();
        self.measure(&mut Write::new(&mut file, again)).await?;
        self.check(&file).await?;
        self.drop_file(file).await
    }

    async fn overwrite(&mut self) -> Result<(), String> {
        let mut file = self.full_file().await?;
        let commit = self.run.options.commit;
        let dice = self.dice();
        self.measure(&mut Overwrite::new(&mut file, commit, dice)).await?;
        self.check(&file).await?;
        self.drop_file(file).await
    }

    async fn read(&mut self) -> Result<(), String> {
        let file = self.full_file().await?;
        let every = self.run.options.verify_every;
        if self.run.options.warm {
            self.aside(&mut Read::new(&file, Order::Once, PIECE, every), PIECES_DEPTH, None).await?;
        }
        let (order, piece) = match self.run.options.kind {
            Kind::Read4k => (Order::Random(self.dice()), BLOCK),
            _ if self.run.options.again() => (Order::Again, PIECE),
            _ => (Order::Once, PIECE),
        };
        self.measure(&mut Read::new(&file, order, piece, every)).await?;
        self.drop_file(file).await
    }

    /// Chance of this client's own.
    fn dice(&self) -> Dice {
        Dice::new((self.run.options.seed << 16).wrapping_add(u64::from(self.number)).wrapping_add(1))
    }
}
