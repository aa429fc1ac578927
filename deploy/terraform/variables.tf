variable "name" {
  description = "What the roles, the service, the log group and the alarms are called after."
  type        = string
  default     = "plimsoll"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "The name is of lower case letters, digits and hyphens."
  }
}

variable "image" {
  description = "The controller's image, by digest, so that what was looked at is what runs."
  type        = string
  validation {
    condition     = can(regex("^[^\\s@]+@sha256:[0-9a-f]{64}$", var.image))
    error_message = "The image is named by digest, such as registry.example/plimsoll@sha256:..."
  }
}

variable "mode" {
  description = "`audit`: the controller may look and report. `enforce`: it may also register revisions and move services, where a Binding says so."
  type        = string
  default     = "audit"
  validation {
    condition     = contains(["audit", "enforce"], var.mode)
    error_message = "The mode is audit or enforce."
  }
}

variable "replicas" {
  description = "How many controllers. One holds the lease of a target, the others stand by."
  type        = number
  default     = 2
}

variable "cpu" {
  description = "CPU units of a task."
  type        = number
  default     = 256
}

variable "memory" {
  description = "MiB of a task. Fargate has only some pairs of CPU and memory; 512 goes with 256."
  type        = number
  default     = 512
}

variable "cpu_architecture" {
  description = "`X86_64` or `ARM64`: the image is made for both."
  type        = string
  default     = "X86_64"
}

variable "vpc_id" {
  description = "Where the tasks run."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets with a way to AWS's endpoints (ECS, DynamoDB, STS, CloudWatch, CloudWatch Logs) and to the image's registry, best in two zones."
  type        = list(string)
}

variable "egress_cidr" {
  description = "Where the tasks may connect to, on port 443. Nothing may connect to them."
  type        = string
  default     = "0.0.0.0/0"
}

variable "assign_public_ip" {
  description = "For subnets without NAT and endpoints, and against security-hub-ecs-2."
  type        = bool
  default     = false
}

variable "cluster_name" {
  description = "An existing cluster to run in. Empty: one is made."
  type        = string
  default     = ""
}

variable "container_insights" {
  description = "Of the cluster that is made: `enabled` or `enhanced`."
  type        = string
  default     = "enabled"
}

variable "clusters" {
  description = "The clusters in which services may be changed, as a pattern of IAM (`prod-*`). All are looked at."
  type        = string
  default     = "*"
}

variable "passable_roles" {
  description = "The task and execution roles that may be passed on, as a pattern of IAM, path included. Only to ECS tasks in any case. Needed with mode = \"enforce\": `*` is every role of the account."
  type        = string
  default     = ""
}

variable "target_role_name" {
  description = "The role that may be assumed in other accounts, as made by the module target-role."
  type        = string
  default     = "plimsoll-target"
}

variable "permissions_boundary" {
  description = "The ARN of a permissions boundary for the roles made here. Null: none."
  type        = string
  default     = null
}

variable "resync" {
  description = "How often the whole fleet is looked at."
  type        = string
  default     = "60s"
}

variable "poll" {
  description = "How often changes in flight are looked at."
  type        = string
  default     = "15s"
}

variable "lease" {
  description = "How long a lease holds without renewal; a stand-by takes over after that. At least 5s."
  type        = string
  default     = "30s"
}

variable "budget" {
  description = "The share of ECS's published request rates to use, in percent."
  type        = number
  default     = 50
}

variable "standalone" {
  description = "How often tasks and families outside of services are looked at; 0s: never."
  type        = string
  default     = "10m"
}

variable "listen_address" {
  description = "Where health is told, read-only, on port 8080. Loopback is enough for the health check of the container."
  type        = string
  default     = "127.0.0.1:8080"
  validation {
    condition     = endswith(var.listen_address, ":8080")
    error_message = "The health check asks on port 8080."
  }
}

variable "extra_arguments" {
  description = "More arguments of `plimsoll controller`, such as [\"--allow-edit\", \"/volumes\"]."
  type        = list(string)
  default     = []
}

variable "table_name" {
  description = "The DynamoDB table with configuration, records and leases."
  type        = string
  default     = "plimsoll"
}

variable "log_retention_days" {
  description = "How long log lines are kept."
  type        = number
  default     = 90
}

variable "alarm_topic_arn" {
  description = "The SNS topic that alarms go to. Null: they only show."
  type        = string
  default     = null
}

variable "people" {
  description = "Which policies for people to make: look, author, waive, freeze, approve, setup. Attach them to your roles."
  type        = set(string)
  default     = ["look", "author", "waive", "freeze", "approve"]
}
