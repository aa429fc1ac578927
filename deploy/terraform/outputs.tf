output "controller_role_arn" {
  description = "Whom the module target-role is to trust in other accounts."
  value       = aws_iam_role.controller.arn
}

output "store" {
  description = "What to set PLIMSOLL_STORE to."
  value       = "dynamodb://${aws_dynamodb_table.this.name}"
}

output "log_group_name" {
  description = "Where the controllers log to."
  value       = aws_cloudwatch_log_group.this.name
}

output "security_group_id" {
  description = "Whom to let in, if anybody is to see more than the health check does."
  value       = aws_security_group.this.id
}

output "people_policy_arns" {
  description = "The policies for people, by name."
  value       = { for name, policy in aws_iam_policy.people : name => policy.arn }
}
