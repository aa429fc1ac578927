//! What the port `Alarms` owes, as claims, run against the simulator in process, against AWS's SDK on the simulator's
//! endpoint, and against AWS's SDK on servers that nobody here wrote.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use plimsoll::aws::{CloudWatchAlarms, Connection, Share, Timeouts};
use plimsoll::model::spec::{TagValues, TaggedAlarms};
use plimsoll::model::{Alarm, AlarmState, Timestamp};
use plimsoll::ports::{Alarms, AlarmsError, Clock};
use plimsoll::sim::{SimEcs, VirtualClock, World, WorldConfig, http};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use crate::fake::{Fake, Reply};
use crate::peers::{Peer, free_port};

const START: &str = "2026-01-05T09:00:00Z";

/// An implementation, and the world it reads.
struct Stage {
    alarms: Box<dyn Alarms>,
    world: Place,
}

enum Place {
    Simulated {
        ecs: Arc<SimEcs>,
        _serving: Option<AbortOnDropHandle<()>>,
    },
    /// moto finds alarms by their tags but does not speak CBOR, which is all that AWS's SDK speaks with CloudWatch;
    /// ministack speaks it, and finds no alarms by tags. Behind one address they are one AWS.
    Peers {
        ministack: Box<Peer>,
        moto: Box<Peer>,
        _front: Fake,
    },
}

impl Stage {
    fn simulated() -> (Arc<SimEcs>, Arc<VirtualClock>) {
        let clock = Arc::new(VirtualClock::instant(START.parse().unwrap()));
        let config = WorldConfig { throttle_percent: 0, ..WorldConfig::default() };
        (Arc::new(SimEcs::of(World::new(config, clock.now()), clock.clone())), clock)
    }

    fn in_process() -> Self {
        let (ecs, _) = Self::simulated();
        Self { alarms: Box::new(ecs.alarms()), world: Place::Simulated { ecs, _serving: None } }
    }

    async fn over_http() -> Self {
        let clock = Arc::new(VirtualClock::instant(START.parse().unwrap()));
        let config = WorldConfig { throttle_percent: 0, ..WorldConfig::default() };
        let world = Arc::new(Mutex::new(World::new(config, clock.now())));
        let ecs = Arc::new(SimEcs::new(world.clone(), clock.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            http::serve(listener, world, clock, std::future::pending()).await.unwrap();
        });
        let alarms = Connection::to_endpoint(&endpoint, "eu-west-1", Timeouts::default()).alarms(all());
        let world = Place::Simulated { ecs, _serving: Some(AbortOnDropHandle::new(serving)) };
        Self { alarms: Box::new(alarms), world }
    }

    async fn peers() -> Self {
        let (ministack, moto) = tokio::join!(Peer::ministack_with("monitoring"), Peer::moto());
        let address = |peer: &Peer| peer.endpoint().strip_prefix("http://").unwrap().parse::<SocketAddr>().unwrap();
        let (states, tags) = (address(&ministack), address(&moto));
        let front = Fake::start(move |_, request| match request.operation() {
            "GetResources" => Reply::Forward(tags),
            _ => Reply::Forward(states),
        })
        .await;
        let alarms = front.connection(Timeouts::default()).alarms(all());
        let world = Place::Peers { ministack: Box::new(ministack), moto: Box::new(moto), _front: front };
        Self { alarms: Box::new(alarms), world }
    }

    async fn call(&self, operation: &str, input: Value) {
        match &self.world {
            Place::Simulated { ecs, .. } => {
                let now = ecs.world().now();
                ecs.world().call(now, operation, &input).unwrap_or_else(|error| panic!("{operation}: {error}"));
            }
            Place::Peers { ministack, moto, .. } => {
                let target = format!("x-amz-target: GraniteServiceVersion20100801.{operation}");
                let headers = [target.as_str(), "content-type: application/x-amz-json-1.0"];
                post(&ministack.endpoint(), &headers, &input.to_string()).await;
                // It has states too, but nobody asks it for them; and no composite alarms.
                if operation == "PutMetricAlarm" {
                    let headers = ["content-type: application/x-www-form-urlencoded; charset=utf-8"];
                    post(&moto.endpoint(), &headers, &form(operation, &input)).await;
                }
            }
        }
    }

    async fn metric(&self, name: &str, tags: &[(&str, &str)]) {
        let tags: Vec<Value> = tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
        let more = json!({
            "AlarmName": name, "MetricName": "HTTPCode_Target_5XX_Count", "Namespace": "AWS/ApplicationELB",
            "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "Threshold": 5.0,
            "ComparisonOperator": "GreaterThanThreshold", "Tags": tags,
        });
        self.call("PutMetricAlarm", more).await;
    }

    async fn set(&self, name: &str, state: &str) {
        let input = json!({ "AlarmName": name, "StateValue": state, "StateReason": "the test says so" });
        self.call("SetAlarmState", input).await;
    }

    async fn states(&self, names: &[&str]) -> BTreeMap<String, AlarmState> {
        let names: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let found: Vec<Alarm> = self.alarms.states(&names).await.unwrap();
        let states: BTreeMap<String, AlarmState> =
            found.iter().map(|alarm| (alarm.name.clone(), alarm.state)).collect();
        assert_eq!(states.len(), found.len(), "each once: {found:?}");
        states
    }

    async fn tagged(&self, tags: &[(&str, TagValues)]) -> Vec<String> {
        let tags = tags.iter().map(|(key, values)| ((*key).to_owned(), values.clone())).collect();
        self.alarms.tagged(&TaggedAlarms { tags }).await.unwrap().into_iter().collect()
    }
}

fn all() -> Share {
    Share::percent(100).unwrap()
}

/// Of the query protocol.
fn form(operation: &str, input: &Value) -> String {
    let encode = |text: &str| -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        text.bytes()
            .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect()
    };
    let mut pairs = vec![format!("Action={operation}&Version=2010-08-01")];
    for (name, value) in input.as_object().unwrap() {
        match value {
            Value::Array(tags) => pairs.extend(tags.iter().enumerate().map(|(place, tag)| {
                let part = |part: &str| encode(tag[part].as_str().unwrap());
                let at = format!("{name}.member.{}", place + 1);
                format!("{at}.Key={}&{at}.Value={}", part("Key"), part("Value"))
            })),
            Value::String(text) => pairs.push(format!("{name}={}", encode(text))),
            other => pairs.push(format!("{name}={other}")),
        }
    }
    pairs.join("&")
}

/// One POST, which must succeed. Neither server checks signatures; they tell services and regions by their scope.
async fn post(endpoint: &str, headers: &[&str], body: &str) {
    let address = endpoint.strip_prefix("http://").unwrap();
    let scope = "Credential=local/20260101/us-east-1/monitoring/aws4_request, SignedHeaders=host, Signature=0";
    let request = format!(
        "POST / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: AWS4-HMAC-SHA256 {scope}\r\n\
         content-length: {}\r\n{}\r\n\r\n{body}",
        body.len(),
        headers.join("\r\n")
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{body}: {answer}");
}

fn one(value: &str) -> TagValues {
    TagValues::One(value.to_owned())
}

fn any(values: &[&str]) -> TagValues {
    TagValues::Any(values.iter().map(|value| (*value).to_owned()).collect())
}

/// All that the port owes. One story, because the servers take their time to start.
async fn owes_what_the_port_says(stage: &Stage) {
    // A new alarm has no data; others stand as they were told.
    for name in ["payments-5xx", "checkout latency: p99", "é 漢 😀"] {
        stage.metric(name, &[]).await;
    }
    stage.set("checkout latency: p99", "ALARM").await;
    stage.set("é 漢 😀", "OK").await;
    let names = ["payments-5xx", "checkout latency: p99", "é 漢 😀", "nobody's"];
    let expected = BTreeMap::from([
        ("payments-5xx".to_owned(), AlarmState::InsufficientData),
        ("checkout latency: p99".to_owned(), AlarmState::Alarm),
        ("é 漢 😀".to_owned(), AlarmState::Ok),
    ]);
    assert_eq!(stage.states(&names).await, expected, "what is not there is left out");
    assert_eq!(stage.states(&[]).await, BTreeMap::new());

    // Composite alarms are alarms like others.
    let rule = "ALARM(\"payments-5xx\") OR ALARM(\"é 漢 😀\")";
    stage.call("PutCompositeAlarm", json!({ "AlarmName": "all", "AlarmRule": rule })).await;
    assert_eq!(stage.states(&["all"]).await["all"], AlarmState::Ok);
    stage.set("payments-5xx", "ALARM").await;
    assert_eq!(
        stage.states(&["all", "payments-5xx"]).await.values().copied().collect::<Vec<_>>(),
        [AlarmState::Alarm; 2]
    );

    // Tags are ANDed, values of one tag ORed, no value is any.
    stage.metric("a", &[("service", "payments"), ("team", "x")]).await;
    stage.metric("b", &[("service", "payments"), ("team", "y")]).await;
    stage.metric("c", &[("service", "checkout"), ("empty", "")]).await;
    assert_eq!(stage.tagged(&[("service", one("payments"))]).await, ["a", "b"]);
    assert_eq!(stage.tagged(&[("service", one("payments")), ("team", one("y"))]).await, ["b"]);
    assert_eq!(stage.tagged(&[("service", any(&["checkout", "payments"]))]).await, ["a", "b", "c"]);
    assert_eq!(stage.tagged(&[("team", any(&[]))]).await, ["a", "b"]);
    assert_eq!(stage.tagged(&[("empty", any(&[]))]).await, ["c"]);
    assert_eq!(stage.tagged(&[("service", one("pay"))]).await, [""; 0], "no prefix, no glob");
    assert_eq!(stage.tagged(&[("nobody", one("has"))]).await, [""; 0]);

    // More than fit one page or one call.
    let many: Vec<String> = (0..130).map(|number| format!("many-{number:03}")).collect();
    for name in &many {
        stage.metric(name, &[("of", "many")]).await;
    }
    stage.set("many-129", "ALARM").await;
    assert_eq!(stage.tagged(&[("of", one("many"))]).await, many);
    let states = stage.states(&many.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!((states.len(), states["many-129"]), (130, AlarmState::Alarm));

    // What is deleted is not there any more.
    stage.call("DeleteAlarms", json!({ "AlarmNames": ["a"] })).await;
    assert_eq!(stage.states(&["a", "b"]).await.into_keys().collect::<Vec<_>>(), ["b"]);
}

#[tokio::test]
async fn the_simulator_in_process_owes_what_the_port_says() {
    owes_what_the_port_says(&Stage::in_process()).await;
}

#[tokio::test]
async fn the_sdk_on_the_simulators_endpoint_owes_what_the_port_says() {
    owes_what_the_port_says(&Stage::over_http().await).await;
}

#[tokio::test]
async fn the_sdk_on_independent_servers_owes_what_the_port_says() {
    owes_what_the_port_says(&Stage::peers().await).await;
}

#[tokio::test]
async fn since_when_an_alarm_stands_so_is_told() {
    let stage = Stage::over_http().await;
    stage.metric("a", &[]).await;
    stage.set("a", "ALARM").await;
    let found = stage.alarms.states(&BTreeSet::from(["a".to_owned()])).await.unwrap();
    let since: Timestamp = START.parse().unwrap();
    assert_eq!(found, [Alarm { name: "a".to_owned(), state: AlarmState::Alarm, since: Some(since) }]);
}

/// A map of strings to lists or texts, in CBOR.
fn cbor(value: &Value) -> Vec<u8> {
    fn put(encoder: &mut minicbor::Encoder<&mut Vec<u8>>, value: &Value) {
        match value {
            Value::String(text) => drop(encoder.str(text).unwrap()),
            Value::Array(list) => {
                encoder.array(list.len() as u64).unwrap();
                list.iter().for_each(|item| put(encoder, item));
            }
            Value::Object(members) => {
                encoder.map(members.len() as u64).unwrap();
                for (name, member) in members {
                    encoder.str(name).unwrap();
                    put(encoder, member);
                }
            }
            other => panic!("{other}"),
        }
    }
    let mut body = Vec::new();
    put(&mut minicbor::Encoder::new(&mut body), value);
    body
}

/// AWS's SDK on a server that answers so, whatever it is asked.
async fn against(reply: Reply) -> (Fake, CloudWatchAlarms) {
    let fake = Fake::start(move |_, _| reply.clone()).await;
    let alarms = fake.connection(Timeouts::default()).alarms(all());
    (fake, alarms)
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn payments() -> TaggedAlarms {
    TaggedAlarms { tags: BTreeMap::from([("service".to_owned(), one("payments"))]) }
}

#[tokio::test]
async fn one_call_answers_for_a_hundred_names_and_every_page_of_it_is_read() {
    let page = |name: &str, next: &str| {
        let alarm = json!({ "AlarmName": name, "StateValue": "OK" });
        Reply::Cbor(200, "", cbor(&json!({ "CompositeAlarms": [alarm], "NextToken": next })))
    };
    let fake =
        Fake::start(move |number, _| page(["one", "two", "three"][number - 1], ["a", "b", ""][number - 1])).await;
    let alarms = fake.connection(Timeouts::default()).alarms(all());
    let asked: BTreeSet<String> = (0..100).map(|number| format!("name-{number}")).collect();
    let found = alarms.states(&asked).await.unwrap();
    assert_eq!(found.iter().map(|alarm| alarm.name.as_str()).collect::<Vec<_>>(), ["one", "two", "three"]);
    assert_eq!(fake.requests().len(), 3);

    let (fake, alarms) = against(Reply::Cbor(200, "", cbor(&json!({ "MetricAlarms": [] })))).await;
    assert_eq!(alarms.states(&asked).await, Ok(vec![]));
    assert_eq!(fake.requests().len(), 1);
    assert_eq!(fake.requests()[0].path, "/service/GraniteServiceVersion20100801/operation/DescribeAlarms");
    assert!(fake.requests()[0].header("authorization").contains("/us-east-1/monitoring/"));
}

#[tokio::test]
async fn an_answer_without_end_and_a_state_that_nobody_knows_are_no_answers() {
    let endless = cbor(&json!({ "MetricAlarms": [], "NextToken": "again" }));
    let unknown = cbor(&json!({ "MetricAlarms": [{ "AlarmName": "a", "StateValue": "MUTED" }] }));
    for body in [endless, unknown] {
        let (_fake, alarms) = against(Reply::Cbor(200, "", body)).await;
        let error = alarms.states(&names(&["a"])).await.unwrap_err();
        assert!(matches!(error, AlarmsError::NoAnswer { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_denial_names_the_action_to_grant() {
    let body = cbor(&json!({ "__type": "AccessDeniedException", "message": "User: x is not authorized" }));
    let (_fake, alarms) = against(Reply::Cbor(403, "AccessDenied", body)).await;
    let error = alarms.states(&names(&["a"])).await.unwrap_err();
    let AlarmsError::Denied { action, message } = &error else { panic!("{error}") };
    assert_eq!((*action, message.as_str()), ("cloudwatch:DescribeAlarms", "User: x is not authorized"));

    let body = json!({ "__type": "AccessDeniedException", "Message": "User: x is not authorized" }).to_string();
    let (_fake, alarms) = against(Reply::Answer(400, body)).await;
    let error = alarms.tagged(&payments()).await.unwrap_err();
    assert!(matches!(error, AlarmsError::Denied { action: "tag:GetResources", .. }), "{error}");
}

#[tokio::test]
async fn throttling_is_told_apart_and_so_is_an_endpoint_that_has_no_cloudwatch() {
    let body = cbor(&json!({ "__type": "ThrottlingException", "message": "Rate exceeded" }));
    let (fake, alarms) = against(Reply::Cbor(400, "Throttling", body)).await;
    let error = alarms.states(&names(&["a"])).await.unwrap_err();
    assert!(matches!(error, AlarmsError::Throttled { .. }), "{error}");
    assert_eq!(fake.requests().len(), 3, "the SDK tries again by itself");

    let moto = Peer::moto().await;
    let error = moto.connection().alarms(all()).states(&names(&["a"])).await.unwrap_err();
    assert!(matches!(error, AlarmsError::NoAnswer { .. }), "{error}");

    let nowhere =
        Connection::to_endpoint(&format!("http://127.0.0.1:{}", free_port()), "us-east-1", Timeouts::default());
    for error in [
        nowhere.alarms(all()).states(&names(&["a"])).await.unwrap_err(),
        nowhere.alarms(all()).tagged(&payments()).await.unwrap_err(),
    ] {
        assert!(matches!(error, AlarmsError::NoAnswer { .. }), "{error}");
    }
}
