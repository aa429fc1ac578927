variable "controller_role_arn" {
  description = "Whom the role trusts: the output controller_role_arn of deploy/terraform."
  type        = string
}

variable "external_id" {
  description = "What the Target's externalId must say. Not a secret, but worth being different from everybody else's."
  type        = string
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

variable "role_name" {
  description = "As target_role_name of deploy/terraform."
  type        = string
  default     = "plimsoll-target"
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

variable "permissions_boundary" {
  description = "The ARN of a permissions boundary for the role. Null: none."
  type        = string
  default     = null
}
