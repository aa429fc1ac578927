# What watches the controller.

locals {
  actions = var.alarm_topic_arn == null ? [] : [var.alarm_topic_arn]
  service = { ClusterName = local.cluster_name, ServiceName = var.name }
}

# No task reports CPU use: no controller runs. The metric is free, other than those of Container Insights.
resource "aws_cloudwatch_metric_alarm" "no_controller" {
  alarm_name          = "${var.name}-no-controller"
  alarm_description   = "No controller runs. Fixes in flight are not watched. See the service's events and its log group."
  namespace           = "AWS/ECS"
  metric_name         = "CPUUtilization"
  dimensions          = local.service
  statistic           = "SampleCount"
  period              = 60
  evaluation_periods  = 5
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = local.actions
  ok_actions          = local.actions
  tags                = local.tags
}

# The program is one process that grows with the fleet; ECS ends it where it needs more than it has.
resource "aws_cloudwatch_metric_alarm" "memory" {
  alarm_name          = "${var.name}-memory"
  alarm_description   = "A controller needs more than 85 % of its memory. Raise memory."
  namespace           = "AWS/ECS"
  metric_name         = "MemoryUtilization"
  dimensions          = local.service
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 3
  threshold           = 85
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.actions
  tags                = local.tags
}

# An ERROR line is what needs a human; a WARN line is what is tried again by itself.
resource "aws_cloudwatch_log_metric_filter" "errors" {
  name           = "${var.name}-errors"
  log_group_name = aws_cloudwatch_log_group.this.name
  pattern        = "{ $.level = \"ERROR\" }"

  metric_transformation {
    namespace     = var.name
    name          = "ErrorLines"
    value         = "1"
    default_value = "0"
    unit          = "Count"
  }
}

resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "${var.name}-errors"
  alarm_description   = "The controller says that it needs a human. Read the ERROR lines of its log group."
  namespace           = var.name
  metric_name         = "ErrorLines"
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.actions
  tags                = local.tags
}

# Leases are renewed by writes: where they are throttled for long, a controller loses its lease.
resource "aws_cloudwatch_metric_alarm" "table_throttled" {
  alarm_name          = "${var.name}-table-throttled"
  alarm_description   = "Writes to the table are throttled. See its limits and who else writes to it."
  namespace           = "AWS/DynamoDB"
  metric_name         = "WriteThrottleEvents"
  dimensions          = { TableName = aws_dynamodb_table.this.name }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 3
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.actions
  tags                = local.tags
}
