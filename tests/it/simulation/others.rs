//! The teams whose services these are, and AWS: what they do to ECS, and when they do it is nobody's business but chance's.

use std::collections::BTreeSet;

use plimsoll::model::{AlarmState, Resource};
use plimsoll::ports::Operation;
use plimsoll::sim::World;
use serde_json::{Map, Value, json};

use super::evidence::{self, short};
use super::setup::CLUSTERS;
use super::trouble::Trouble;
use super::universe::{Universe, primary};

pub(crate) const SERVICES: usize = 6;

/// These have network interfaces of their own, with public addresses; one is in each cluster.
const AWSVPC: [usize; 2] = [1, 2];

/// A task definition that breaks these policies, with what must survive.
fn definition(number: usize, host_pid: bool, host_ipc: bool, image: &str) -> Value {
    let family = family(number);
    let mode = if AWSVPC.contains(&number) { "awsvpc" } else { "bridge" };
    let mut document = json!({
        "family": family, "networkMode": mode,
        "containerDefinitions": [{
            "name": "app", "image": image, "memory": 128, "essential": true,
            "environment": [{ "name": "EMPTY", "value": "" }], "dockerLabels": { "com.example.odd": "" },
        }],
        "tags": [{ "key": "team", "value": family }],
    });
    if host_pid {
        document["pidMode"] = "host".into();
    }
    if host_ipc {
        document["ipcMode"] = "host".into();
    }
    document
}

/// The fleet as it is at first: six services in two clusters, two of them on one family, most of them in violation.
pub(crate) fn fleet(universe: &Universe) {
    for (number, cluster) in CLUSTERS.into_iter().enumerate() {
        let settings =
            json!([{ "name": "containerInsights", "value": if number == 0 { "disabled" } else { "enabled" } }]);
        call(universe, "CreateCluster", &json!({ "clusterName": cluster, "settings": settings }));
    }
    for number in 0..SERVICES {
        pushes(universe, number);
        let image = image(universe, number);
        let made = call(universe, "RegisterTaskDefinition", &definition(number, number != 3, number % 3 == 0, &image));
        let revision = made.map(|made| made["taskDefinition"]["taskDefinitionArn"].clone()).unwrap_or_default();
        let breaker = json!({ "deploymentCircuitBreaker": { "enable": number % 2 == 0, "rollback": number % 2 == 0 } });
        let mut input = json!({
            "cluster": CLUSTERS[number % 2], "serviceName": name(number), "taskDefinition": revision,
            "desiredCount": 2, "launchType": "EC2", "deploymentConfiguration": breaker,
        });
        if AWSVPC.contains(&number) {
            input["networkConfiguration"] = network("ENABLED", "subnet-a");
        }
        call(universe, "CreateService", &input);
    }
}

fn network(public: &str, subnet: &str) -> Value {
    json!({ "awsvpcConfiguration": { "subnets": [subnet], "securityGroups": ["sg-a"], "assignPublicIp": public } })
}

fn name(number: usize) -> String {
    format!("s{number}")
}

/// The last two services are of one family.
fn family(number: usize) -> String {
    format!("f{}", number.min(SERVICES - 2))
}

/// Some teams use a tag that moves, others one of its own for each build.
fn image(universe: &Universe, number: usize) -> String {
    let build = universe.state().chance.below(1000);
    let tag = if number % 3 == 1 { build.to_string() } else { "stable".to_owned() };
    format!("registry.example.com/{}:{tag}", family(number))
}

/// One thing that somebody else does.
pub(crate) fn act(universe: &Universe) {
    let choice = universe.state().chance.below(12);
    match choice {
        0..=2 => deploys(universe, None),
        3 => scales(universe),
        4 => misbehaves(universe),
        5 => kills(universe),
        6 => deletes(universe),
        7 => deregisters(universe),
        8 => {
            let number = universe.state().chance.below(SERVICES);
            pushes(universe, number);
            universe.meets(Trouble::Pushed);
        }
        9 => retunes(universe),
        10 => rings(universe),
        _ => sets_the_cluster(universe),
    }
}

/// Right when a controller's call is on its way, the team deploys the same service, or pushes another image of the family
/// that is being registered: nobody could have seen that.
pub(crate) fn meddles(universe: &Universe, operation: Operation, input: &Value) {
    if !universe.state().faults {
        return;
    }
    let number = |member: &str, before: &str| input[member].as_str()?.rsplit(before).next()?.parse::<usize>().ok();
    match operation {
        Operation::UpdateService if universe.happens(100) => deploys(universe, number("service", "/s")),
        Operation::RegisterTaskDefinition if universe.happens(200) => {
            if let Some(number) = number("family", "f") {
                pushes(universe, number);
                universe.say(format!("a team pushes an image of {}", family(number)));
            }
        }
        _ => {}
    }
}

/// Any service, or this one.
fn service(universe: &Universe, number: Option<usize>) -> Option<(String, usize, Value)> {
    let number = number.unwrap_or_else(|| universe.state().chance.below(SERVICES));
    let state = universe.state();
    let service = state.service(&json!({ "cluster": CLUSTERS[number % 2], "service": name(number) }));
    let arn = service["serviceArn"].as_str()?.to_owned();
    (service["status"] == "ACTIVE").then_some((arn, number, service))
}

/// Somebody deploys it, sets something of it, or deletes it.
fn touches(universe: &Universe, arn: &str) {
    let at = universe.time.now();
    let mut state = universe.state();
    state.touched.insert(arn.to_owned(), at);
    *state.touches.entry(arn.to_owned()).or_default() += 1;
}

/// Its tasks become more or fewer, and its deployment is what it was.
fn disturbs(universe: &Universe, arn: &str) {
    let at = universe.time.now();
    universe.state().disturbed.insert(arn.to_owned(), at);
}

/// A call of somebody else's. What deployment it begins is theirs, and what it registers is not registered by us.
fn call(universe: &Universe, operation: &str, input: &Value) -> Option<Value> {
    let at = universe.time.now();
    let mut state = universe.state();
    let before = matches!(operation, "UpdateService" | "DeleteService").then(|| state.service(input));
    let was = before.as_ref().and_then(primary);
    let answer = state.world.call(at, operation, input).ok()?;
    if let Some(is) = primary(&answer["service"]).filter(|is| Some(is) != was.as_ref()) {
        let record = answer["service"]["currentServiceDeployment"].as_str().map(str::to_owned);
        state.theirs.extend(record.into_iter().chain([is]));
    }
    if let (Some(arn), "RegisterTaskDefinition") = (answer["taskDefinition"]["taskDefinitionArn"].as_str(), operation) {
        let team = input["family"].as_str().unwrap_or_default();
        let who = format!("arn:aws:sts::123456789012:assumed-role/{team}/deploys");
        state.world.plant(arn, Map::from_iter([("registeredBy".to_owned(), who.into())]));
        state.keeps(&answer);
    }
    Some(answer)
}

fn deploys(universe: &Universe, number: Option<usize>) {
    let Some((arn, number, service)) = service(universe, number) else { return };
    let (host_pid, host_ipc) = {
        let mut state = universe.state();
        (state.chance.happens(500), state.chance.happens(300))
    };
    let image = image(universe, number);
    let Some(made) = call(universe, "RegisterTaskDefinition", &definition(number, host_pid, host_ipc, &image)) else {
        return;
    };
    let revision = &made["taskDefinition"]["taskDefinitionArn"];
    universe.say(format!("a team deploys {} on {}", short(revision.as_str().unwrap_or_default()), short(&arn)));
    touches(universe, &arn);
    universe.meets(Trouble::Deployed);
    let input = json!({ "cluster": service["clusterArn"], "service": arn, "taskDefinition": revision });
    call(universe, "UpdateService", &input);
}

fn scales(universe: &Universe) {
    let Some((arn, _, service)) = service(universe, None) else { return };
    let count = universe.state().chance.below(4);
    universe.say(format!("a team scales {} to {count}", short(&arn)));
    disturbs(universe, &arn);
    universe.meets(Trouble::Scaled);
    let input = json!({ "cluster": service["clusterArn"], "service": arn, "desiredCount": count });
    call(universe, "UpdateService", &input);
}

/// A family whose tasks do not start without what the fix removes; or all do well again.
fn misbehaves(universe: &Universe) {
    let number = universe.state().chance.below(SERVICES);
    let mut state = universe.state();
    if state.chance.happens(400) {
        state.world.behave();
        return;
    }
    let effect = if state.chance.happens(500) { json!("crashOnStart") } else { json!("neverHealthy") };
    let rule = json!({ "family": family(number), "when": [{ "pointer": "/pidMode" }], "effect": effect });
    state.world.misbehave(serde_json::from_value(rule).unwrap());
    drop(state);
    universe.meets(Trouble::Misbehaves);
    universe.say(format!("tasks of {} fail from now on, once they are fixed", family(number)));
}

fn kills(universe: &Universe) {
    let Some((arn, _, service)) = service(universe, None) else { return };
    let input = json!({ "cluster": service["clusterArn"], "serviceName": service["serviceName"] });
    let Some(listed) = call(universe, "ListTasks", &input) else { return };
    let Some(task) = listed["taskArns"].get(0).and_then(Value::as_str) else { return };
    universe.say(format!("a Spot task of {} is taken away", short(&arn)));
    disturbs(universe, &arn);
    universe.meets(Trouble::TaskLost);
    universe.state().world.kill_task(task, "SpotInterruption", "Your Spot Task was interrupted.");
}

fn deletes(universe: &Universe) {
    if !universe.happens(300) {
        return;
    }
    let Some((arn, _, service)) = service(universe, None) else { return };
    universe.say(format!("a team deletes {}", short(&arn)));
    touches(universe, &arn);
    universe.meets(Trouble::Deleted);
    call(universe, "DeleteService", &json!({ "cluster": service["clusterArn"], "service": arn, "force": true }));
}

/// A revision that the service no longer runs is tidied away; or, by mistake, the one that it runs, or the newest of its family.
fn deregisters(universe: &Universe) {
    let Some((_, _, service)) = service(universe, None) else { return };
    let Some(current) = service["taskDefinition"].as_str() else { return };
    let Some((family, number)) = current.rsplit_once(':') else { return };
    let Ok(number) = number.parse::<usize>() else { return };
    let (dice, older) = {
        let mut state = universe.state();
        (state.chance.below(10), state.chance.below(number.max(1)))
    };
    let latest = || evidence::definition(&mut evidence::world(universe), short(family)).map(|of| of.arn.to_string());
    let revision = match dice {
        0 => current.to_owned(),
        1 => latest().unwrap_or_default(),
        _ => format!("{family}:{older}"),
    };
    if !revision.ends_with(":0")
        && call(universe, "DeregisterTaskDefinition", &json!({ "taskDefinition": revision })).is_some()
    {
        universe.meets(Trouble::Deregistered);
        universe.say(format!("a team deregisters {}", short(&revision)));
    }
}

/// A new image is pushed under the tag that moves.
fn pushes(universe: &Universe, number: usize) {
    let at = universe.time.now();
    let mut state = universe.state();
    let digest = format!("sha256:{:064x}", state.chance.next());
    let image = format!("registry.example.com/{}:stable", family(number));
    state.pushed.insert(family(number), at);
    state.world.move_image(&image, &digest);
    state.digests.insert((image.clone(), digest.clone()));
    state.tags.insert(image, digest);
}

/// Settings of a service.
fn retunes(universe: &Universe) {
    let Some((arn, number, service)) = service(universe, None) else { return };
    let mut input = json!({ "cluster": service["clusterArn"], "service": arn });
    if AWSVPC.contains(&number) && universe.happens(500) {
        let (public, subnet) = {
            let mut state = universe.state();
            (state.chance.one(&["ENABLED", "DISABLED"]), state.chance.one(&["subnet-a", "subnet-b"]))
        };
        input["networkConfiguration"] = network(public, subnet);
    } else {
        let on = universe.happens(300);
        input["deploymentConfiguration"] = json!({ "deploymentCircuitBreaker": { "enable": on, "rollback": on } });
    }
    universe.meets(Trouble::Retuned);
    universe.say(format!("a team sets {} to {input}", short(&arn)));
    touches(universe, &arn);
    call(universe, "UpdateService", &input);
}

fn sets_the_cluster(universe: &Universe) {
    let (cluster, value) = {
        let mut state = universe.state();
        (state.chance.one(&CLUSTERS), state.chance.one(&["enabled", "disabled", "disabled", "enhanced"]))
    };
    let input = json!({ "cluster": cluster, "settings": [{ "name": "containerInsights", "value": value }] });
    if let Some(answer) = call(universe, "UpdateClusterSettings", &input) {
        let arn = answer["cluster"]["clusterArn"].as_str().unwrap_or_default().to_owned();
        touches(universe, &arn);
        universe.meets(Trouble::ClusterSet);
        universe.say(format!("somebody sets Container Insights of {cluster} to {value}"));
    }
}

/// The alarm changes its state.
fn rings(universe: &Universe) {
    let at = universe.time.now();
    let mut state = universe.state();
    let to = state.chance.one(&[AlarmState::Ok, AlarmState::Ok, AlarmState::Alarm, AlarmState::InsufficientData]);
    if state.alarm.0 != to {
        state.alarm = (to, at);
        state.rang = if to == AlarmState::Alarm { Some(at) } else { state.rang };
        drop(state);
        universe.meets(Trouble::Rang);
        universe.say(format!("the alarm is {to:?}"));
    }
}

/// All is well again, as far as the alarm goes.
pub(crate) fn quietens(universe: &Universe) {
    let at = universe.time.now();
    universe.state().alarm = (AlarmState::Ok, at);
}

/// What services name, and what their deployments bring.
pub(crate) fn named(world: &mut World) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for service in services(world).iter().filter(|service| service["status"] != "INACTIVE") {
        named.extend(service["taskDefinition"].as_str().map(str::to_owned));
        let deployments = service["deployments"].as_array().into_iter().flatten();
        named.extend(deployments.filter_map(|deployment| deployment["taskDefinition"].as_str().map(str::to_owned)));
    }
    named
}

/// The services and clusters there are.
pub(crate) fn resources(world: &mut World) -> Vec<Resource> {
    let services = services(world);
    let active = services.iter().filter(|service| service["status"] == "ACTIVE");
    let arns = active.filter_map(|service| service["serviceArn"].as_str()?.parse().ok().map(Resource::Service));
    let now = world.now();
    let clusters = world.call(now, "DescribeClusters", &json!({ "clusters": CLUSTERS })).unwrap_or_default();
    let clusters = clusters["clusters"].as_array().cloned().unwrap_or_default();
    let clusters = clusters.iter().filter_map(|it| it["clusterArn"].as_str()?.parse().ok().map(Resource::Cluster));
    arns.chain(clusters).collect()
}

fn services(world: &mut World) -> Vec<Value> {
    let now = world.now();
    let mut found = Vec::new();
    for number in 0..SERVICES {
        let input = json!({ "cluster": CLUSTERS[number % 2], "services": [name(number)] });
        let answer = world.call(now, "DescribeServices", &input).unwrap_or_default();
        found.extend(answer["services"].as_array().cloned().unwrap_or_default());
    }
    found
}
