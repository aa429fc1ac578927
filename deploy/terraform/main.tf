# The table, and where the controller runs. deploy/README.md goes through it; begin with mode = "audit".

data "aws_partition" "current" {}
data "aws_region" "current" {}
data "aws_caller_identity" "current" {}

locals {
  tags = { app = var.name }

  # What the documents in deploy/iam and deploy/ecs leave open.
  blanks = {
    partition      = data.aws_partition.current.partition
    region         = data.aws_region.current.region
    account        = data.aws_caller_identity.current.account_id
    table          = var.table_name
    clusters       = var.clusters
    passable_roles = var.passable_roles
    target_role    = var.target_role_name
  }

  task_definition = jsondecode(templatefile("${path.module}/../ecs/task-definition.json", merge(local.blanks, {
    name                = var.name
    cpu                 = var.cpu
    memory              = var.memory
    cpu_architecture    = var.cpu_architecture
    execution_role_arn  = aws_iam_role.execution.arn
    controller_role_arn = aws_iam_role.controller.arn
    image               = var.image
    resync              = var.resync
    poll                = var.poll
    lease               = var.lease
    budget              = var.budget
    standalone          = var.standalone
    listen_address      = var.listen_address
  })))

  containers = [
    for container in local.task_definition.containerDefinitions :
    merge(container, { command = concat(container.command, var.extra_arguments) })
  ]

  cluster_name = var.cluster_name == "" ? one(aws_ecs_cluster.this[*].name) : var.cluster_name
}

# As `plimsoll store init` makes it. Without it no rollout can be undone: Terraform may not delete it.
resource "aws_dynamodb_table" "this" {
  name                        = var.table_name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = true

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  ttl {
    attribute_name = "expiresAt"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  # With AWS's own key in KMS, so that access shows in CloudTrail.
  server_side_encryption {
    enabled = true
  }

  tags = local.tags

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/${var.name}/controller"
  retention_in_days = var.log_retention_days
  tags              = local.tags
}

resource "aws_ecs_cluster" "this" {
  count = var.cluster_name == "" ? 1 : 0
  name  = var.name

  setting {
    name  = "containerInsights"
    value = var.container_insights
  }

  tags = local.tags
}

resource "aws_security_group" "this" {
  name_prefix = "${var.name}-"
  description = "Controllers of plimsoll: out to AWS over HTTPS, nothing in"
  vpc_id      = var.vpc_id
  tags        = local.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.this.id
  description       = "AWS and the registry of the image"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = var.egress_cidr
}

resource "aws_ecs_task_definition" "this" {
  family                   = local.task_definition.family
  network_mode             = local.task_definition.networkMode
  requires_compatibilities = local.task_definition.requiresCompatibilities
  cpu                      = local.task_definition.cpu
  memory                   = local.task_definition.memory
  execution_role_arn       = local.task_definition.executionRoleArn
  task_role_arn            = local.task_definition.taskRoleArn
  container_definitions    = jsonencode(local.containers)
  # A service that is moved back needs the revision that it ran.
  skip_destroy = true
  tags         = local.tags

  runtime_platform {
    operating_system_family = local.task_definition.runtimePlatform.operatingSystemFamily
    cpu_architecture        = local.task_definition.runtimePlatform.cpuArchitecture
  }
}

resource "aws_ecs_service" "this" {
  name                               = var.name
  cluster                            = local.cluster_name
  task_definition                    = aws_ecs_task_definition.this.arn
  launch_type                        = "FARGATE"
  platform_version                   = "LATEST"
  desired_count                      = var.replicas
  deployment_minimum_healthy_percent = 50
  deployment_maximum_percent         = 200
  enable_execute_command             = false
  propagate_tags                     = "SERVICE"
  tags                               = local.tags

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    assign_public_ip = var.assign_public_ip
    security_groups  = [aws_security_group.this.id]
    subnets          = var.subnet_ids
  }

  # Tasks that start before their rights are there fail once and are tried again: wait instead.
  depends_on = [aws_iam_role_policy.controller, aws_iam_role_policy.execution, aws_cloudwatch_log_group.this]
}
