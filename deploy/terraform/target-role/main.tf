# The role that plimsoll takes on in another account (a Target's roleArn). Roles are global: one region is enough.

data "aws_partition" "current" {}
data "aws_caller_identity" "current" {}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "AWS"
      identifiers = [var.controller_role_arn]
    }
    # Whoever may write Targets cannot have the controller take on roles that were meant for others.
    condition {
      test     = "StringEquals"
      variable = "sts:ExternalId"
      values   = [var.external_id]
    }
  }
}

resource "aws_iam_role" "target" {
  name                 = var.role_name
  description          = "Taken on by plimsoll's controller"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  permissions_boundary = var.permissions_boundary
  tags                 = { app = "plimsoll" }
}

resource "aws_iam_role_policy" "target" {
  for_each = toset(concat(["observe", "alarms"], var.mode == "enforce" ? ["enforce"] : []))
  name     = each.key
  role     = aws_iam_role.target.id
  policy = templatefile("${path.module}/../../iam/${each.key}.json", {
    partition      = data.aws_partition.current.partition
    account        = data.aws_caller_identity.current.account_id
    clusters       = var.clusters
    passable_roles = var.passable_roles
  })

  lifecycle {
    precondition {
      condition     = var.mode == "audit" || var.passable_roles != ""
      error_message = "With mode = \"enforce\", passable_roles must say which roles may be passed on; \"*\" is all of them."
    }
  }
}

output "role_arn" {
  description = "The Target's roleArn."
  value       = aws_iam_role.target.arn
}
