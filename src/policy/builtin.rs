//! The catalogue of `policies/` as it was when this was built: what `check`, `fix` and `test` use where no policies are
//! given. Only text: reading it is `manifest`'s business.

/// One file of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltinFile {
    /// Its path below `policies/`.
    pub path: &'static str,
    /// What it says.
    pub text: &'static str,
}

macro_rules! files {
    ($($path:literal,)*) => {
        /// Every file of the catalogue, by path. A test keeps the list complete.
        pub const FILES: &[BuiltinFile] = &[
            $(BuiltinFile { path: $path, text: include_str!(concat!("../../policies/", $path)) },)*
        ];
    };
}

files! {
    "bindings/start.yaml",
    "hardening/circuit-breaker.yaml",
    "hardening/container-insights.yaml",
    "hardening/drop-capabilities.yaml",
    "hardening/exec-disabled.yaml",
    "hardening/exec-logging.yaml",
    "hardening/health-check.yaml",
    "hardening/host-paths-allowed.yaml",
    "hardening/image-by-digest.yaml",
    "hardening/image-not-latest.yaml",
    "hardening/image-registry-allowed.yaml",
    "hardening/ipc-mode-not-host.yaml",
    "hardening/log-group-name.yaml",
    "hardening/log-mode-non-blocking.yaml",
    "hardening/memory-limit.yaml",
    "hardening/network-mode-awsvpc.yaml",
    "hardening/no-added-capabilities.yaml",
    "hardening/no-docker-socket.yaml",
    "hardening/no-fault-injection.yaml",
    "hardening/no-host-devices.yaml",
    "hardening/no-new-privileges.yaml",
    "hardening/roles-allowed.yaml",
    "hardening/secrets-by-name.yaml",
    "hardening/secrets-by-value.yaml",
    "hardening/tags-required.yaml",
    "hardening/task-role-not-execution-role.yaml",
    "hardening/ulimits-bounded.yaml",
    "hardening/version-consistency.yaml",
    "security-hub/ecs-1.yaml",
    "security-hub/ecs-10.yaml",
    "security-hub/ecs-12.yaml",
    "security-hub/ecs-13.yaml",
    "security-hub/ecs-14.yaml",
    "security-hub/ecs-15.yaml",
    "security-hub/ecs-16.yaml",
    "security-hub/ecs-17.yaml",
    "security-hub/ecs-18.yaml",
    "security-hub/ecs-19.yaml",
    "security-hub/ecs-2.yaml",
    "security-hub/ecs-20.yaml",
    "security-hub/ecs-21.yaml",
    "security-hub/ecs-3.yaml",
    "security-hub/ecs-4.yaml",
    "security-hub/ecs-5.yaml",
    "security-hub/ecs-8.yaml",
    "security-hub/ecs-9.yaml",
    "strategies/careful.yaml",
    "strategies/swift.yaml",
}
