//! Task definitions as teams write them: sidecars, secrets, logs, health checks, and the oddities of years.

use serde_json::{Map, Value, json};

/// What of a task definition follows the rules. One bit each, so that a number makes a team's habits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Habits {
    pub(super) read_only_root: bool,
    pub(super) non_root_user: bool,
    pub(super) logs: bool,
    pub(super) sidecar: bool,
    pub(super) health_check: bool,
    pub(super) host_pid: bool,
    pub(super) privileged: bool,
    pub(super) host_network: bool,
    pub(super) secret_in_environment: bool,
    pub(super) oddities: bool,
}

impl Habits {
    /// Everything as it should be.
    pub(super) const GOOD: Self = Self {
        read_only_root: true,
        non_root_user: true,
        logs: true,
        sidecar: false,
        health_check: true,
        host_pid: false,
        privileged: false,
        host_network: false,
        secret_in_environment: false,
        oddities: false,
    };
}

fn set(document: &mut Map<String, Value>, name: &str, value: Value) {
    document.insert(name.to_owned(), value);
}

/// The register input for a service called `name` of `team`, for Fargate or else for EC2.
pub(super) fn task_definition(name: &str, team: &str, env: &str, fargate: bool, habits: Habits) -> Value {
    let mut document = Map::new();
    set(&mut document, "family", json!(name));
    set(&mut document, "taskRoleArn", json!(format!("arn:aws:iam::123456789012:role/{name}")));
    set(&mut document, "executionRoleArn", json!("arn:aws:iam::123456789012:role/ecs-execution"));
    let network = if habits.host_network {
        "host"
    } else if fargate {
        "awsvpc"
    } else {
        "bridge"
    };
    set(&mut document, "networkMode", json!(network));
    let mut containers = vec![application(name, env, habits)];
    if habits.sidecar {
        containers.push(log_router(habits));
    }
    set(&mut document, "containerDefinitions", Value::Array(containers));
    set(&mut document, "volumes", json!([{ "name": "scratch" }]));
    if habits.host_pid {
        set(&mut document, "pidMode", json!("host"));
    }
    set(&mut document, "requiresCompatibilities", json!([if fargate { "FARGATE" } else { "EC2" }]));
    set(&mut document, "cpu", json!("512"));
    set(&mut document, "memory", json!("1024"));
    set(&mut document, "runtimePlatform", json!({ "cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX" }));
    set(&mut document, "tags", json!([{ "key": "team", "value": team }, { "key": "env", "value": env }]));
    Value::Object(document)
}

fn application(name: &str, env: &str, habits: Habits) -> Value {
    let mut container = Map::new();
    set(&mut container, "name", json!("app"));
    set(&mut container, "image", json!(format!("123456789012.dkr.ecr.eu-west-1.amazonaws.com/{name}:1.4.2")));
    set(&mut container, "cpu", json!(256));
    set(&mut container, "memoryReservation", json!(512));
    set(&mut container, "portMappings", json!([{ "containerPort": 8080, "protocol": "tcp", "name": "http" }]));
    set(&mut container, "essential", json!(true));
    let mut environment =
        vec![json!({ "name": "ENVIRONMENT", "value": env }), json!({ "name": "LOG_LEVEL", "value": "info" })];
    if habits.secret_in_environment {
        environment.push(json!({ "name": "AWS_SECRET_ACCESS_KEY", "value": "not-a-real-key" }));
    }
    if habits.oddities {
        // An empty value is a value: the program tells it from none.
        environment.push(json!({ "name": "FEATURE_FLAGS", "value": "" }));
        set(&mut container, "command", json!(["serve", "", "--port=8080"]));
        set(&mut container, "dockerLabels", json!({ "owner": "", "z-order": "1", "a-order": "2" }));
        // A member of the next version of the API.
        set(&mut container, "startupGuard", json!({ "mode": "eager", "after": [""], "limits": { "z": 2, "a": 1 } }));
    }
    set(&mut container, "environment", Value::Array(environment));
    set(
        &mut container,
        "secrets",
        json!([{
            "name": "DATABASE_URL",
            "valueFrom": format!("arn:aws:secretsmanager:eu-west-1:123456789012:secret:{env}/{name}/database-Ab12Cd"),
        }]),
    );
    set(
        &mut container,
        "mountPoints",
        json!([{ "sourceVolume": "scratch", "containerPath": "/tmp", "readOnly": false }]),
    );
    if habits.non_root_user {
        set(&mut container, "user", json!("1000:1000"));
    } else if habits.sidecar {
        set(&mut container, "user", json!("root"));
    }
    if habits.read_only_root {
        set(&mut container, "readonlyRootFilesystem", json!(true));
    }
    if habits.privileged {
        set(&mut container, "privileged", json!(true));
    }
    if habits.health_check {
        let command = json!(["CMD-SHELL", "curl -fsS http://localhost:8080/health || exit 1"]);
        set(
            &mut container,
            "healthCheck",
            json!({ "command": command, "interval": 10, "timeout": 5, "retries": 3, "startPeriod": 20 }),
        );
    }
    if habits.logs {
        set(
            &mut container,
            "logConfiguration",
            json!({
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": format!("/ecs/{env}/{name}"),
                    "awslogs-region": "eu-west-1",
                    "awslogs-stream-prefix": "app",
                },
            }),
        );
    }
    Value::Object(container)
}

fn log_router(habits: Habits) -> Value {
    let mut container = Map::new();
    set(&mut container, "name", json!("log-router"));
    set(&mut container, "image", json!("public.ecr.aws/aws-observability/aws-for-fluent-bit:stable"));
    set(&mut container, "essential", json!(false));
    set(&mut container, "memoryReservation", json!(64));
    set(
        &mut container,
        "firelensConfiguration",
        json!({ "type": "fluentbit", "options": { "enable-ecs-log-metadata": "true" } }),
    );
    set(&mut container, "user", json!("1000"));
    if habits.read_only_root {
        set(&mut container, "readonlyRootFilesystem", json!(true));
    }
    set(
        &mut container,
        "logConfiguration",
        json!({
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": "/ecs/log-router",
                "awslogs-region": "eu-west-1",
                "awslogs-stream-prefix": "router",
            },
        }),
    );
    Value::Object(container)
}

/// The Datadog agent, as its vendor documents it for ECS on EC2.
pub(super) fn datadog_agent() -> Value {
    json!({
        "family": "datadog-agent",
        "containerDefinitions": [{
            "name": "datadog-agent",
            "image": "public.ecr.aws/datadog/agent:7",
            "cpu": 100,
            "memory": 512,
            "essential": true,
            "readonlyRootFilesystem": true,
            "user": "101",
            "mountPoints": [
                { "containerPath": "/var/run/docker.sock", "sourceVolume": "docker_sock", "readOnly": true },
                { "containerPath": "/host/sys/fs/cgroup", "sourceVolume": "cgroup", "readOnly": true },
                { "containerPath": "/host/proc", "sourceVolume": "proc", "readOnly": true },
            ],
            "environment": [{ "name": "DD_SITE", "value": "datadoghq.eu" }, { "name": "DD_PROCESS_AGENT_ENABLED", "value": "true" }],
            "secrets": [{
                "name": "DD_API_KEY",
                "valueFrom": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:datadog/api-key-Ef34Gh",
            }],
            "healthCheck": { "command": ["CMD-SHELL", "agent health"], "retries": 3, "timeout": 5, "interval": 30, "startPeriod": 15 },
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": { "awslogs-group": "/ecs/datadog", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "agent" },
            },
        }],
        "volumes": [
            { "host": { "sourcePath": "/var/run/docker.sock" }, "name": "docker_sock" },
            { "host": { "sourcePath": "/proc/" }, "name": "proc" },
            { "host": { "sourcePath": "/sys/fs/cgroup/" }, "name": "cgroup" },
        ],
        "pidMode": "host",
        "requiresCompatibilities": ["EC2"],
        "tags": [{ "key": "team", "value": "platform" }, { "key": "env", "value": "prod" }],
    })
}
