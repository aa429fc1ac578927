# Rights: the documents in deploy/iam, where docs/permissions.md says of each action which call needs it and why.

locals {
  controller_policies = concat(
    ["record", "observe", "alarms", "targets"],
    var.mode == "enforce" ? ["enforce"] : [],
  )
}

data "aws_iam_policy_document" "tasks" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "tasks_of_this_account" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
    # Only for tasks of this account: another account's cannot have ECS lend it to them.
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

# What ECS needs to start the task. The program itself never has it.
resource "aws_iam_role" "execution" {
  name                 = "${var.name}-execution"
  assume_role_policy   = data.aws_iam_policy_document.tasks.json
  permissions_boundary = var.permissions_boundary
  tags                 = local.tags
}

data "aws_iam_policy_document" "execution" {
  statement {
    sid = "WriteLogs"
    actions = [
      # the awslogs driver makes a stream for each task
      "logs:CreateLogStream",
      # and writes to it
      "logs:PutLogEvents",
    ]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }

  statement {
    sid = "LogInToRegistry"
    actions = [
      # ECR's log-in, which knows no resource; unused where the image comes from elsewhere
      "ecr:GetAuthorizationToken",
    ]
    resources = ["*"]
  }

  statement {
    sid = "PullImage"
    actions = [
      # which layers are there
      "ecr:BatchCheckLayerAvailability",
      # where they are
      "ecr:GetDownloadUrlForLayer",
      # the manifest
      "ecr:BatchGetImage",
    ]
    resources = ["arn:${data.aws_partition.current.partition}:ecr:*:*:repository/*"]
  }
}

resource "aws_iam_role_policy" "execution" {
  name   = "start"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

# What the controller may do.
resource "aws_iam_role" "controller" {
  name                 = "${var.name}-controller"
  assume_role_policy   = data.aws_iam_policy_document.tasks_of_this_account.json
  permissions_boundary = var.permissions_boundary
  tags                 = local.tags
}

resource "aws_iam_role_policy" "controller" {
  for_each = toset(local.controller_policies)
  name     = each.key
  role     = aws_iam_role.controller.id
  policy   = templatefile("${path.module}/../iam/${each.key}.json", local.blanks)

  lifecycle {
    precondition {
      condition     = var.mode == "audit" || var.passable_roles != ""
      error_message = "With mode = \"enforce\", passable_roles must say which roles may be passed on; \"*\" is all of them."
    }
  }
}

# What people may do, to attach to their roles.
resource "aws_iam_policy" "people" {
  for_each = var.people
  name     = "${var.name}-${each.key}"
  policy   = templatefile("${path.module}/../iam/${each.key}.json", local.blanks)
  tags     = local.tags
}
