//! Compares token checks over RabbitMQ and from the cache with a request and reply that need no work.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use async_trait::async_trait;
use auth_client::{
    Verifier, VerifierOptions,
    messages::{CheckReply, CheckRequest, VERIFY_QUEUE, Verdict},
};
use bus::{Bus, RabbitBus, RabbitOptions, Responder, ResponderOptions};
use bytes::Bytes;
use clap::Args;
use hdrhistogram::Histogram;
use runtime::Background;
use tokio::task::JoinSet;

use crate::{
    load, print, servers,
    system::{Deployment, System},
};

/// Number of people whose tokens are checked in turn.
const PEOPLE: usize = 16;
/// The queue whose consumer replies with the request.
const ECHO_QUEUE: &str = "bench.echo";
const DEADLINE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct TokenChecks {
    /// Seconds for each figure
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

/// The kinds of questions.
#[derive(Clone)]
enum Question {
    /// A message to this process and a reply.
    Echo(Arc<dyn Bus>),
    /// A token check by auth.
    Auth(Arc<dyn Bus>),
    /// A token check by a role's verifier, which caches auth's answers.
    Verifier(Arc<Verifier>),
}

struct Echo;

#[async_trait]
impl Responder for Echo {
    async fn respond(&self, request: Bytes) -> Bytes {
        request
    }
}

impl TokenChecks {
    pub(crate) async fn run(&self, binary: &Path) -> Result<()> {
        let system = System::start(Deployment::Servers, binary).await?;
        let options = RabbitOptions { name: "bench".to_owned(), namespace: system.namespace.clone() };
        let bus: Arc<dyn Bus> = RabbitBus::connect(&servers::amqp_url(), options).await?;
        let background = Background::new();
        let serving = ResponderOptions { queue_limit: 1_000, concurrency: 64 };
        let (answering, stop) = (Arc::clone(&bus), background.stop());
        background.spawn("echo", async move {
            if let Err(error) = answering.serve(ECHO_QUEUE, serving, Arc::new(Echo), stop).await {
                print(&format!("nobody answers: {error}"));
            }
        });
        let verifier = Verifier::start(Arc::clone(&bus), VerifierOptions::default(), &background).await;
        let mut tokens = Vec::new();
        for person in load::join(&system.front(), PEOPLE).await? {
            tokens.push(person.tokens().await.access);
        }
        print(
            "                                         per second        p50        p95        p99        max  (ms)",
        );
        for askers in [1, 16, 64] {
            for (name, question) in [
                ("messages and replies", Question::Echo(Arc::clone(&bus))),
                ("checks by auth", Question::Auth(Arc::clone(&bus))),
                ("remembered checks", Question::Verifier(Arc::clone(&verifier))),
            ] {
                let row = self.ask(askers, &question, &tokens).await?;
                print(&format!("{:<40} {row}", format!("{name}, {askers} at once")));
            }
        }
        background.shut_down(DEADLINE).await;
        bus.close().await;
        system.stop().await
    }

    /// Asks for a duration with this number of concurrent questions.
    async fn ask(&self, askers: usize, question: &Question, tokens: &[String]) -> Result<String> {
        let (started, span) = (Instant::now(), Duration::from_secs(self.seconds));
        let mut at_once = JoinSet::new();
        for asker in 0..askers {
            let (question, token) = (question.clone(), tokens[asker % tokens.len()].clone());
            at_once.spawn(async move {
                let mut nanoseconds = Histogram::<u64>::new(3)?;
                while started.elapsed() < span {
                    let asked = Instant::now();
                    question.ask(&token).await?;
                    nanoseconds.record(u64::try_from(asked.elapsed().as_nanos())?)?;
                    // A cached answer is ready at once, so this lets other tasks run.
                    tokio::task::consume_budget().await;
                }
                anyhow::Ok(nanoseconds)
            });
        }
        let mut nanoseconds = Histogram::<u64>::new(3)?;
        while let Some(asker) = at_once.join_next().await {
            nanoseconds.add(asker??)?;
        }
        let rate = nanoseconds.len() as f64 / started.elapsed().as_secs_f64();
        let at = |quantile| nanoseconds.value_at_quantile(quantile) as f64 / 1e6;
        Ok(format!("{rate:>10.0} {:>10.4} {:>10.4} {:>10.4} {:>10.4}", at(0.5), at(0.95), at(0.99), at(1.0)))
    }
}

impl Question {
    async fn ask(&self, token: &str) -> Result<()> {
        match self {
            Self::Echo(bus) => {
                let question = Bytes::copy_from_slice(token.as_bytes());
                ensure!(bus.request(ECHO_QUEUE, question, DEADLINE).await? == token);
            }
            Self::Auth(bus) => {
                let question = CheckRequest::Token(token.to_owned()).encode();
                let reply = bus.request(VERIFY_QUEUE, question, DEADLINE).await?;
                let verdict = CheckReply::decode(&reply)?.verdict;
                ensure!(matches!(verdict, Verdict::Accepted(_)), "{verdict:?}");
            }
            Self::Verifier(verifier) => drop(verifier.verify(token).await?),
        }
        Ok(())
    }
}
