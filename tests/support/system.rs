//! The system as processes: all roles in one on SQLite files, or every role in processes of its own over PostgreSQL
//! and RabbitMQ.

mod output;
mod stores;

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use kurrentdb_stand_in::{Behaviour, StandIn};
use tempfile::TempDir;
use test_support::{TestDatabase, amqp_url, until};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::{
    broker::Broker,
    deployment::{Deployment, Replica, Role, binary, binary_with_descriptors, free_port},
    person::Person,
    proxy::{Proxy, in_front_of},
};

pub(crate) struct System {
    /// Base URL of the first gateway.
    pub(crate) base: String,
    /// Base URLs of all gateways.
    pub(crate) bases: Vec<String>,
    pub(crate) broker: Option<Broker>,
    /// The proxy between the roles and RabbitMQ.
    pub(crate) proxy: Option<Proxy>,
    /// The proxy between the roles and PostgreSQL.
    pub(crate) postgres: Option<Proxy>,
    /// A cluster of three nodes.
    pub(crate) kurrentdb: Option<StandIn>,
    directory: TempDir,
    processes: BTreeMap<Replica, Process>,
    settings: BTreeMap<&'static str, String>,
    /// Limit of file descriptors of processes that are launched from now on.
    descriptors: Option<u32>,
    of_one_role: BTreeMap<Role, Vec<(&'static str, String)>>,
    listen: BTreeMap<Replica, (u16, u16)>,
    database: Option<TestDatabase>,
}

struct Process {
    child: Child,
    /// The length of its log file when it was launched.
    log_from: usize,
}

impl System {
    /// Starts every process and waits until all are ready.
    pub(crate) async fn start(deployment: Deployment) -> Self {
        let mut system = Self::launched(deployment, 1).await;
        system.ready().await;
        system
    }

    /// Prepares one process of each role and starts none, so that settings can be changed before the first start.
    pub(crate) async fn prepared(deployment: Deployment) -> Self {
        Self::prepared_as(deployment, 1, async |_, _| BTreeMap::new()).await
    }

    /// Starts `replicas` processes of each role, and does not wait.
    pub(crate) async fn launched(deployment: Deployment, replicas: usize) -> Self {
        Self::launched_as(deployment, replicas, async |_, _| BTreeMap::new()).await
    }

    /// Does the same with settings of single roles, which may depend on the database and the broker's namespace.
    pub(crate) async fn launched_as(
        deployment: Deployment,
        replicas: usize,
        prepare: impl AsyncFnOnce(&TestDatabase, &str) -> BTreeMap<Role, Vec<(&'static str, String)>>,
    ) -> Self {
        let mut system = Self::prepared_as(deployment, replicas, prepare).await;
        system.launch_all();
        system
    }

    async fn prepared_as(
        deployment: Deployment,
        replicas: usize,
        prepare: impl AsyncFnOnce(&TestDatabase, &str) -> BTreeMap<Role, Vec<(&'static str, String)>>,
    ) -> Self {
        let mut of_one_role = BTreeMap::new();
        let directory = TempDir::new().unwrap();
        let mut settings = BTreeMap::from([
            ("TASKLEDGER_DATA_DIR", directory.path().join("data").display().to_string()),
            ("TASKLEDGER_LOG", "info".to_owned()),
        ]);
        let (mut database, mut postgres, mut proxy, mut broker) = (None, None, None, None);
        let roles: &[Role] = match deployment {
            Deployment::Embedded => &[Role::Up],
            Deployment::Servers | Deployment::KurrentDb => {
                // Waiting for a command or for the end of a process blocks a thread, and the proxies have to run
                // meanwhile.
                assert_eq!(Handle::current().runtime_flavor(), RuntimeFlavor::MultiThread);
                let fresh = TestDatabase::create().await;
                let namespace = format!("test-{}", uuid::Uuid::new_v4().simple());
                of_one_role = prepare(&fresh, &namespace).await;
                let (before_postgres, database_url) = in_front_of(fresh.url().as_str(), 5432).await;
                let (before_rabbitmq, amqp_url) = in_front_of(&amqp_url(), 5672).await;
                settings.insert("DATABASE_URL", database_url);
                settings.insert("AMQP_URL", amqp_url);
                settings.insert("TASKLEDGER_BUS_NAMESPACE", namespace.clone());
                database = Some(fresh);
                postgres = Some(before_postgres);
                proxy = Some(before_rabbitmq);
                broker = Some(Broker::new(test_support::amqp_url(), namespace));
                &[Role::Auth, Role::CommandApi, Role::QueryApi, Role::Projector, Role::Gateway]
            }
        };
        let kurrentdb = deployment == Deployment::KurrentDb;
        let kurrentdb = kurrentdb.then(|| StandIn::cluster(Behaviour::default(), 3));
        if let Some(server) = &kurrentdb {
            let hosts: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
            let url = format!("kurrentdb://{}?tls=false&streamPrefix=test.", hosts.join(","));
            settings.insert("EVENT_STORE_URL", url);
        }
        let listen: BTreeMap<Replica, (u16, u16)> = (0..replicas)
            .flat_map(|number| roles.iter().map(move |role| Replica { role: *role, number }))
            .map(|replica| (replica, (free_port(), free_port())))
            .collect();
        let urls = |wanted: Role| -> Vec<String> {
            listen
                .iter()
                .filter(|(replica, _)| replica.role == wanted)
                .map(|(_, (api, admin))| if wanted == Role::Projector { admin } else { api })
                .map(|port| format!("http://127.0.0.1:{port}"))
                .collect()
        };
        for (name, role) in [
            ("TASKLEDGER_AUTH_URL", Role::Auth),
            ("TASKLEDGER_COMMAND_API_URL", Role::CommandApi),
            ("TASKLEDGER_QUERY_API_URL", Role::QueryApi),
            ("TASKLEDGER_PROJECTOR_URL", Role::Projector),
        ] {
            let urls = urls(role);
            if !urls.is_empty() {
                settings.insert(name, urls.join(","));
            }
        }
        let bases = [urls(Role::Gateway), urls(Role::Up)].concat();
        Self {
            base: bases[0].clone(),
            bases,
            broker,
            proxy,
            postgres,
            kurrentdb,
            directory,
            processes: BTreeMap::new(),
            settings,
            descriptors: None,
            of_one_role,
            listen,
            database,
        }
    }

    /// Every process of the deployment.
    pub(crate) fn replicas(&self) -> Vec<Replica> {
        self.listen.keys().copied().collect()
    }

    /// Changes a setting of processes that are launched from now on.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.settings.insert(name, value.into());
    }

    /// The value of a setting of all processes.
    pub(crate) fn setting(&self, name: &str) -> &str {
        &self.settings[name]
    }

    /// Limits the file descriptors of processes that are launched from now on.
    pub(crate) fn limit_descriptors(&mut self, count: u32) {
        self.descriptors = Some(count);
    }

    /// The directory of the system's files.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts every process.
    pub(crate) fn launch_all(&mut self) {
        for replica in self.replicas() {
            self.launch(replica);
        }
    }

    /// Starts the process of `replica`.
    pub(crate) fn launch(&mut self, replica: impl Into<Replica>) {
        let replica = replica.into();
        let (api, admin) = self.listen[&replica];
        let log_from = self.log_text(replica).len();
        let log = File::options().create(true).append(true).open(self.log(replica)).unwrap();
        let mut command = match self.descriptors {
            Some(count) => binary_with_descriptors(count),
            None => binary(),
        };
        command.arg(replica.role.command()).envs(&self.settings);
        command.envs(self.of_one_role.get(&replica.role).into_iter().flatten().cloned());
        if replica.role != Role::Projector {
            command.env("TASKLEDGER_LISTEN", format!("127.0.0.1:{api}"));
        }
        command.env("TASKLEDGER_ADMIN_LISTEN", format!("127.0.0.1:{admin}"));
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        self.processes.insert(replica, Process { child, log_from });
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, replica: impl Into<Replica>) {
        let mut process = self.processes.remove(&replica.into()).unwrap();
        process.child.kill().unwrap();
        process.child.wait().unwrap();
    }

    /// Sends SIGTERM and returns the exit code.
    pub(crate) fn terminate(&mut self, replica: impl Into<Replica>) -> Option<i32> {
        let replica = replica.into();
        self.signal(replica, "TERM");
        let mut process = self.processes.remove(&replica).unwrap();
        process.child.wait().unwrap().code()
    }

    /// The memory of all processes in bytes: `VmRSS` is the current one, and `VmHWM` the maximum of each.
    pub(crate) fn memory(&self, field: &str) -> u64 {
        let of = |process: &Process| {
            let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id())).unwrap();
            let line = status.lines().find(|line| line.starts_with(field)).unwrap();
            let kib = line.split_whitespace().nth(1).unwrap();
            kib.parse::<u64>().unwrap() * 1024
        };
        self.processes.values().map(of).sum()
    }

    /// Returns whether it was started and neither killed nor stopped since.
    pub(crate) fn is_running(&self, replica: Replica) -> bool {
        self.processes.contains_key(&replica)
    }

    /// The id of its process, if it is running.
    pub(crate) fn process_id(&self, replica: Replica) -> Option<u32> {
        self.processes.get(&replica).map(|process| process.child.id())
    }

    /// Whether the process has ended by itself, or after a signal.
    pub(crate) fn has_ended(&mut self, replica: Replica) -> bool {
        self.processes.get_mut(&replica).is_none_or(|process| process.child.try_wait().unwrap().is_some())
    }

    /// Sends a signal if the process runs.
    pub(crate) fn signal(&self, replica: Replica, name: &str) {
        if let Some(process) = self.processes.get(&replica) {
            Command::new("kill").args(["-s", name, &process.child.id().to_string()]).status().unwrap();
        }
    }

    /// Restarts processes that could not start without a server, as a supervisor would. A process that was ready must
    /// not end by itself.
    pub(crate) fn revive(&mut self) {
        for replica in self.replicas() {
            let Some(process) = self.processes.get_mut(&replica) else {
                continue;
            };
            if let Some(exit) = process.child.try_wait().unwrap() {
                let log_from = process.log_from;
                let log = self.log_text(replica);
                assert!(
                    exit.code() == Some(1) && !log[log_from..].contains(" ready "),
                    "{replica:?} ended: {exit}"
                );
                self.launch(replica);
            }
        }
    }

    /// A command of the binary with the settings of this system.
    pub(crate) fn tool(&self, arguments: &[&str]) -> Command {
        let mut command = binary();
        command
            .args(arguments)
            .envs(&self.settings)
            .env("TASKLEDGER_LOG", "warn")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Waits until every process is ready. One that could not start in time on a busy machine is started again.
    pub(crate) async fn ready(&mut self) {
        until("every process is ready", Duration::from_secs(120), async || {
            self.revive();
            self.is_ready().await
        })
        .await;
    }

    /// The address of the gateway's probes and metrics.
    pub(crate) fn admin(&self) -> String {
        let front = |replica: &&Replica| matches!(replica.role, Role::Gateway | Role::Up);
        let front = self.listen.keys().find(front).unwrap();
        format!("http://127.0.0.1:{}", self.listen[front].1)
    }

    /// Whether every process says that it is ready.
    pub(crate) async fn is_ready(&self) -> bool {
        for replica in self.processes.keys() {
            let url = format!("http://127.0.0.1:{}/health/ready", self.listen[replica].1);
            let answer = reqwest::get(&url).await;
            if !answer.is_ok_and(|response| response.status() == 200) {
                return false;
            }
        }
        true
    }

    /// Registers somebody, makes them an admin, and logs them in as such.
    pub(crate) async fn join_admin(&self) -> Person {
        let mut root = Person::join(&self.base, "root").await;
        self.run(&["users", "grant", &root.email, "admin"]);
        root.log_in().await;
        root
    }

    /// The text at `path` of a process's admin address, which is empty if it does not answer.
    pub(crate) async fn admin_text(&self, replica: Replica, path: &str) -> String {
        let url = format!("http://127.0.0.1:{}{path}", self.listen[&replica].1);
        match reqwest::get(&url).await {
            Ok(response) => response.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Stops every process and removes everything from the servers.
    pub(crate) async fn stop(mut self) {
        self.terminate_all();
        self.clean().await;
    }

    /// Asks every process to stop, and checks that each exits with 0.
    pub(crate) fn terminate_all(&mut self) {
        let replicas: Vec<_> = self.processes.keys().copied().collect();
        for replica in &replicas {
            self.signal(*replica, "TERM");
        }
        for replica in replicas {
            let exit = self.processes.remove(&replica).unwrap().child.wait().unwrap();
            assert_eq!(exit.code(), Some(0), "{replica:?} does not stop cleanly");
        }
    }

    /// Ends the remaining processes and removes everything from the servers.
    pub(crate) async fn clean(&mut self) {
        self.kill_all();
        if let Some(broker) = self.broker.take() {
            broker.clean().await.unwrap();
        }
        self.database = None;
    }

    fn kill_all(&mut self) {
        for process in self.processes.values_mut() {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
        self.processes.clear();
    }

    /// Prints the ends of all logs.
    pub(crate) fn print_logs(&self) {
        for replica in self.listen.keys() {
            print_tail(&self.log(*replica), &self.log_text(*replica));
        }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn log(&self, Replica { role, number }: Replica) -> PathBuf {
        self.directory.path().join(format!("{}-{number}.log", role.command()))
    }

    /// The log output of a process and its predecessors.
    pub(crate) fn log_text(&self, replica: Replica) -> String {
        std::fs::read_to_string(self.log(replica)).unwrap_or_default()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let left_running = !self.processes.is_empty();
        self.kill_all();
        if left_running && std::thread::panicking() {
            self.print_logs();
        }
    }
}

fn print_tail(log: &Path, text: &str) {
    let lines: Vec<_> = text.lines().collect();
    eprintln!("--- {}", log.display());
    for line in &lines[lines.len().saturating_sub(40)..] {
        eprintln!("{line}");
    }
}
