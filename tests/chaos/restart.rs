//! Restarts the broker, where that is possible and disturbs no other system.

use std::{net::IpAddr, process::Command};

use percent_encoding::percent_decode_str;
use url::Url;

use crate::{harness::Excuse, support::amqp_url};

/// Stops the broker and starts it again.
pub(crate) async fn restart_broker(namespace: String) -> Result<(), Excuse> {
    let restarted = tokio::task::spawn_blocking(move || restart(&namespace));
    restarted.await.unwrap().map_err(Excuse)
}

fn restart(namespace: &str) -> Result<(), String> {
    let url = Url::parse(&amqp_url()).unwrap();
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    if !local {
        return Err("it is on another machine".to_owned());
    }
    let vhost = percent_decode_str(url.path().trim_start_matches('/')).decode_utf8_lossy();
    let vhost = if vhost.is_empty() { "/" } else { &vhost };
    let queues = rabbitmqctl(&["list_queues", "--silent", "--vhost", vhost, "name", "consumers"])?;
    for queue in queues.lines() {
        let (name, consumers) = queue.split_once('\t').unwrap_or((queue, "0"));
        let of_the_broker = name.starts_with("amq.");
        if !name.starts_with(namespace) && !of_the_broker && consumers.trim() != "0" {
            return Err(format!("somebody else uses it (queue {name})"));
        }
    }
    rabbitmqctl(&["stop_app"])?;
    rabbitmqctl(&["start_app"]).unwrap();
    Ok(())
}

fn rabbitmqctl(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("rabbitmqctl")
        .args(arguments)
        .output()
        .map_err(|error| format!("rabbitmqctl cannot be run: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let complaint = String::from_utf8_lossy(&output.stderr);
        Err(format!("rabbitmqctl {} fails: {}", arguments[0], complaint.trim()))
    }
}
