//! What the real binary serves with `--listen`, and that it still ends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::process::{Process, address_of};
use super::{CONTROLLER, Stage, eventually};
use crate::cli::Plimsoll;

/// The status and the whole answer; none where nobody listens any more.
pub(super) fn look(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    Some((status, text))
}

pub(super) fn listening(stage: &Stage) -> (Process, SocketAddr) {
    let mut controller = stage.start(&[&CONTROLLER[..], &["--listen", "127.0.0.1:0"]].concat());
    let address = address_of(&controller.first_line());
    (controller, address)
}

fn says(address: SocketAddr, path: &str, text: &str) -> Option<()> {
    look(address, path).filter(|(_, answer)| answer.contains(text)).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_is_ready_when_it_holds_the_lease_and_so_is_one_that_awaits_it() {
    let stage = Stage::enforced().await;
    let (first, one) = listening(&stage);
    eventually("the first holds the lease", || says(one, "/readyz", "holds the lease"));
    let (second, other) = listening(&stage);
    eventually("the second awaits it", || says(other, "/readyz", "awaits the lease"));
    for address in [one, other] {
        assert_eq!((look(address, "/readyz").unwrap().0, look(address, "/healthz").unwrap().0), (200, 200));
    }
    eventually("the holder has looked at its fleet", || says(one, "/metrics", "plimsoll_services{"));
    eventually("the other has stood by", || says(other, "/metrics", "result=\"standing_by\"}"));
    let (held, stood_by) = (look(one, "/metrics").unwrap().1, look(other, "/metrics").unwrap().1);
    assert!(held.contains("plimsoll_lease_held{target=\"123456789012/eu-west-1\"} 1\n"), "{held}");
    assert!(stood_by.contains("plimsoll_lease_held{target=\"123456789012/eu-west-1\"} 0\n"), "{stood_by}");
    // Summed over both, a service counts once.
    assert!(!stood_by.contains("plimsoll_services{"), "{stood_by}");
    for part in [
        "operation=\"DescribeServices\",result=\"ok\"}",
        "bucket=\"task-definition-modify\"}",
        "plimsoll_store_operations_total{operation=\"query\",result=\"ok\"}",
    ] {
        assert!(held.contains(part), "{part} in {held}");
    }
    let overview = look(other, "/").unwrap();
    assert!(overview.0 == 200 && overview.1.contains("security-hub-ecs-3"), "a standby shows the same records");
    first.signal("TERM");
    first.end().exits(0);
    eventually("the second takes over", || says(other, "/readyz", "holds the lease"));
    second.signal("TERM");
    second.end().exits(0);
}

#[test]
fn the_demonstration_is_served_while_it_runs_and_ends_by_itself() {
    let plimsoll = Plimsoll::new();
    let mut demo = Process::start(plimsoll.command(&["demo", "--speed", "200", "--listen", "127.0.0.1:0"]));
    let address = address_of(&demo.first_line());
    let (status, overview) = look(address, "/").unwrap();
    assert!(status == 200 && overview.contains("simulated"), "{overview}");
    eventually("a rollout is under way", || says(address, "/rollouts", ">Progressing<"));
    let page = "/rollout?target=123456789012/eu-west-1&name=demo-1";
    eventually("its waves are shown", || says(address, page, "Wave 1: canary"));
    assert!(look(address, "/metrics").unwrap().1.contains("plimsoll_changes{"));
    let end = demo.end().exits(0);
    assert!(!end.said.iter().any(|line| line.contains("BROKEN")), "{end:#?}");
    assert!(look(address, "/").is_none(), "it is served after its end");
}
