//! The members of ECS's documents and their types: what other tools' names and spellings of values are told by.
//!
//! Computed from botocore ecs/2014-11-13: the inputs of RegisterTaskDefinition, CreateService, CreateCluster,
//! CreateTaskSet and CreateCapacityProvider, and the shapes in them. `policy::structures` has what ECS *describes*, without
//! types; a test holds the shapes that are in both to one another. A member that is not here passes through.

/// What a member holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type<'a> {
    Text,
    Flag,
    Whole,
    Number,
    /// Keys are the author's own, values are text.
    Map,
    List(&'a str),
    Shape(&'a str),
    /// Not in the table.
    Unknown,
}

impl<'a> Type<'a> {
    /// As the table writes it: nothing for text, `[]` around elements, `{}` for a map.
    fn of(word: &'a str) -> Self {
        match word {
            "" => Self::Text,
            "bool" => Self::Flag,
            "int" => Self::Whole,
            "num" => Self::Number,
            "{}" => Self::Map,
            _ => match word.strip_prefix('[').and_then(|word| word.strip_suffix(']')) {
                Some(element) => Self::List(element),
                None => Self::Shape(word),
            },
        }
    }

    /// The type of a list's elements.
    pub(super) fn element(self) -> Self {
        match self {
            Self::List(word) => Self::of(word),
            _ => Self::Unknown,
        }
    }

    /// The member of this shape that goes by `name` when neither case nor underscores count, and its type:
    /// `EFSVolumeConfiguration` and `efs_volume_configuration` are both `efsVolumeConfiguration`.
    pub(super) fn member(self, name: &str) -> Option<(&'static str, Type<'static>)> {
        let Self::Shape(shape) = self else { return None };
        let wanted = name.replace('_', "");
        let (_, members) = SHAPES.iter().find(|(known, _)| *known == shape)?;
        members.split(' ').find_map(|member| {
            let (known, word) = member.split_once(':').unwrap_or((member, ""));
            known.eq_ignore_ascii_case(&wanted).then(|| (known, Type::of(word)))
        })
    }
}

#[rustfmt::skip]
const SHAPES: &[(&str, &str)] = &[
    (
        "TaskDefinition",
        "family taskRoleArn executionRoleArn networkMode containerDefinitions:[ContainerDefinition] volumes:[Volume] \
         placementConstraints:[TaskDefinitionPlacementConstraint] requiresCompatibilities:[] cpu memory tags:[Tag] \
         pidMode ipcMode proxyConfiguration:ProxyConfiguration inferenceAccelerators:[InferenceAccelerator] \
         ephemeralStorage:EphemeralStorage runtimePlatform:RuntimePlatform enableFaultInjection:bool \
         trustedExecutionConfiguration",
    ),
    (
        "Service",
        "cluster serviceName taskDefinition availabilityZoneRebalancing loadBalancers:[LoadBalancer] \
         serviceRegistries:[ServiceRegistry] desiredCount:int launchType \
         capacityProviderStrategy:[CapacityProviderStrategyItem] platformVersion roleArn \
         deploymentConfiguration:DeploymentConfiguration placementConstraints:[PlacementConstraint] \
         placementStrategy:[PlacementStrategy] networkConfiguration:NetworkConfiguration \
         healthCheckGracePeriodSeconds:int schedulingStrategy deploymentController:DeploymentController tags:[Tag] \
         enableECSManagedTags:bool propagateTags enableExecuteCommand:bool \
         serviceConnectConfiguration:ServiceConnectConfiguration volumeConfigurations:[ServiceVolumeConfiguration] \
         vpcLatticeConfigurations:[VpcLatticeConfiguration] monitoring:MonitoringConfiguration",
    ),
    (
        "Cluster",
        "clusterName tags:[Tag] settings:[ClusterSetting] configuration:ClusterConfiguration capacityProviders:[] \
         defaultCapacityProviderStrategy:[CapacityProviderStrategyItem] \
         serviceConnectDefaults:ClusterServiceConnectDefaultsRequest",
    ),
    (
        "TaskSet",
        "service cluster externalId taskDefinition networkConfiguration:NetworkConfiguration \
         loadBalancers:[LoadBalancer] serviceRegistries:[ServiceRegistry] launchType \
         capacityProviderStrategy:[CapacityProviderStrategyItem] platformVersion scale:Scale tags:[Tag]",
    ),
    (
        "CapacityProvider",
        "name cluster autoScalingGroupProvider:AutoScalingGroupProvider \
         managedInstancesProvider:CreateManagedInstancesProviderConfiguration tags:[Tag]",
    ),
    (
        "ContainerDefinition",
        "name image repositoryCredentials:RepositoryCredentials cpu:int memory:int memoryReservation:int links:[] \
         portMappings:[PortMapping] essential:bool restartPolicy:ContainerRestartPolicy entryPoint:[] command:[] \
         environment:[KeyValuePair] environmentFiles:[EnvironmentFile] mountPoints:[MountPoint] \
         volumesFrom:[VolumeFrom] linuxParameters:LinuxParameters secrets:[Secret] dependsOn:[ContainerDependency] \
         startTimeout:int stopTimeout:int versionConsistency hostname user workingDirectory disableNetworking:bool \
         privileged:bool readonlyRootFilesystem:bool dnsServers:[] dnsSearchDomains:[] extraHosts:[HostEntry] \
         dockerSecurityOptions:[] interactive:bool pseudoTerminal:bool dockerLabels:{} ulimits:[Ulimit] \
         logConfiguration:LogConfiguration healthCheck:HealthCheck systemControls:[SystemControl] \
         resourceRequirements:[ResourceRequirement] firelensConfiguration:FirelensConfiguration credentialSpecs:[]",
    ),
    (
        "Volume",
        "name host:HostVolumeProperties dockerVolumeConfiguration:DockerVolumeConfiguration \
         efsVolumeConfiguration:EFSVolumeConfiguration s3filesVolumeConfiguration:S3FilesVolumeConfiguration \
         fsxWindowsFileServerVolumeConfiguration:FSxWindowsFileServerVolumeConfiguration configuredAtLaunch:bool",
    ),
    ("TaskDefinitionPlacementConstraint", "type expression"),
    ("Tag", "key value"),
    ("ProxyConfiguration", "type containerName properties:[KeyValuePair]"),
    ("InferenceAccelerator", "deviceName deviceType"),
    ("EphemeralStorage", "sizeInGiB:int"),
    ("RuntimePlatform", "cpuArchitecture operatingSystemFamily"),
    (
        "LoadBalancer",
        "targetGroupArn loadBalancerName containerName containerPort:int advancedConfiguration:AdvancedConfiguration",
    ),
    ("ServiceRegistry", "registryArn port:int containerName containerPort:int"),
    ("CapacityProviderStrategyItem", "capacityProvider weight:int base:int"),
    (
        "DeploymentConfiguration",
        "deploymentCircuitBreaker:DeploymentCircuitBreaker maximumPercent:int minimumHealthyPercent:int \
         alarms:DeploymentAlarms strategy bakeTimeInMinutes:int lifecycleHooks:[DeploymentLifecycleHook] \
         linearConfiguration:LinearConfiguration canaryConfiguration:CanaryConfiguration \
         earlySuccessCriteria:DeploymentEarlySuccessCriteria",
    ),
    ("PlacementConstraint", "type expression"),
    ("PlacementStrategy", "type field"),
    ("NetworkConfiguration", "awsvpcConfiguration:AwsVpcConfiguration"),
    ("DeploymentController", "type"),
    (
        "ServiceConnectConfiguration",
        "enabled:bool namespace services:[ServiceConnectService] logConfiguration:LogConfiguration \
         accessLogConfiguration:ServiceConnectAccessLogConfiguration \
         containerConfigurations:[ServiceConnectContainerConfiguration]",
    ),
    ("ServiceConnectContainerConfiguration", "logLevel"),
    ("ServiceVolumeConfiguration", "name managedEBSVolume:ServiceManagedEBSVolumeConfiguration"),
    (
        "VpcLatticeConfiguration",
        "roleArn targetGroupArn portName advancedConfiguration:VpcLatticeAdvancedConfiguration",
    ),
    ("MonitoringConfiguration", "metricConfigurations:[MetricConfiguration]"),
    ("ClusterSetting", "name value"),
    (
        "ClusterConfiguration",
        "executeCommandConfiguration:ExecuteCommandConfiguration \
         managedStorageConfiguration:ManagedStorageConfiguration",
    ),
    ("ClusterServiceConnectDefaultsRequest", "namespace"),
    ("Scale", "value:num unit"),
    (
        "AutoScalingGroupProvider",
        "autoScalingGroupArn managedScaling:ManagedScaling managedTerminationProtection managedDraining",
    ),
    (
        "CreateManagedInstancesProviderConfiguration",
        "infrastructureRoleArn instanceLaunchTemplate:InstanceLaunchTemplate propagateTags \
         infrastructureOptimization:InfrastructureOptimization autoRepairConfiguration:AutoRepairConfiguration",
    ),
    ("RepositoryCredentials", "credentialsParameter"),
    ("PortMapping", "containerPort:int hostPort:int protocol name appProtocol containerPortRange"),
    ("ContainerRestartPolicy", "enabled:bool ignoredExitCodes:[int] restartAttemptPeriod:int"),
    ("KeyValuePair", "name value"),
    ("EnvironmentFile", "value type"),
    ("MountPoint", "sourceVolume containerPath readOnly:bool"),
    ("VolumeFrom", "sourceContainer readOnly:bool"),
    (
        "LinuxParameters",
        "capabilities:KernelCapabilities devices:[Device] initProcessEnabled:bool sharedMemorySize:int tmpfs:[Tmpfs] \
         maxSwap:int swappiness:int",
    ),
    ("Secret", "name valueFrom"),
    ("ContainerDependency", "containerName condition"),
    ("HostEntry", "hostname ipAddress"),
    ("Ulimit", "name softLimit:int hardLimit:int"),
    ("LogConfiguration", "logDriver options:{} secretOptions:[Secret]"),
    ("HealthCheck", "command:[] interval:int timeout:int retries:int startPeriod:int"),
    ("SystemControl", "namespace value"),
    ("ResourceRequirement", "value type sharingStrategy:SharingStrategy"),
    ("SharingStrategy", "nvidiaMps:NvidiaMpsAllocation"),
    ("NvidiaMpsAllocation", "memory:int maxComputePercent:int"),
    ("FirelensConfiguration", "type options:{}"),
    ("HostVolumeProperties", "sourcePath"),
    ("DockerVolumeConfiguration", "scope autoprovision:bool driver driverOpts:{} labels:{}"),
    (
        "EFSVolumeConfiguration",
        "fileSystemId rootDirectory transitEncryption transitEncryptionPort:int \
         authorizationConfig:EFSAuthorizationConfig",
    ),
    ("S3FilesVolumeConfiguration", "fileSystemArn rootDirectory transitEncryptionPort:int accessPointArn"),
    (
        "FSxWindowsFileServerVolumeConfiguration",
        "fileSystemId rootDirectory authorizationConfig:FSxWindowsFileServerAuthorizationConfig",
    ),
    ("AdvancedConfiguration", "alternateTargetGroupArn productionListenerRule testListenerRule roleArn"),
    (
        "DeploymentCircuitBreaker",
        "enable:bool rollback:bool resetOnHealthyTask:bool thresholdConfiguration:ThresholdConfiguration",
    ),
    ("DeploymentAlarms", "alarmNames:[] rollback:bool enable:bool"),
    (
        "DeploymentLifecycleHook",
        "targetType hookTargetArn roleArn lifecycleStages:[] hookDetails \
         timeoutConfiguration:DeploymentLifecycleHookTimeoutConfiguration",
    ),
    ("LinearConfiguration", "stepPercent:num stepBakeTimeInMinutes:int"),
    ("CanaryConfiguration", "canaryPercent:num canaryBakeTimeInMinutes:int"),
    ("DeploymentEarlySuccessCriteria", "enable:bool healthyPercent:int sourceServiceRevisionCleanup"),
    ("AwsVpcConfiguration", "subnets:[] securityGroups:[] assignPublicIp"),
    (
        "ServiceConnectService",
        "portName discoveryName clientAliases:[ServiceConnectClientAlias] ingressPortOverride:int \
         timeout:TimeoutConfiguration tls:ServiceConnectTlsConfiguration",
    ),
    ("ServiceConnectAccessLogConfiguration", "format includeQueryParameters"),
    (
        "ServiceManagedEBSVolumeConfiguration",
        "encrypted:bool kmsKeyId volumeType sizeInGiB:int snapshotId volumeInitializationRate:int iops:int \
         throughput:int tagSpecifications:[EBSTagSpecification] roleArn filesystemType",
    ),
    ("VpcLatticeAdvancedConfiguration", "alternateTargetGroupArn productionListenerRule testListenerRule"),
    ("MetricConfiguration", "metricNames:[] resolutionSeconds:int"),
    ("ExecuteCommandConfiguration", "kmsKeyId logging logConfiguration:ExecuteCommandLogConfiguration"),
    ("ManagedStorageConfiguration", "kmsKeyId fargateEphemeralStorageKmsKeyId"),
    (
        "ManagedScaling",
        "status targetCapacity:int minimumScalingStepSize:int maximumScalingStepSize:int instanceWarmupPeriod:int",
    ),
    (
        "InstanceLaunchTemplate",
        "ec2InstanceProfileArn networkConfiguration:ManagedInstancesNetworkConfiguration \
         storageConfiguration:ManagedInstancesStorageConfiguration \
         localStorageConfiguration:ManagedInstancesLocalStorageConfiguration monitoring capacityOptionType \
         instanceMetadataTagsPropagation:bool instanceRequirements:InstanceRequirementsRequest fipsEnabled:bool nitroEnclavesEnabled:bool \
         capacityReservations:CapacityReservationRequest",
    ),
    ("InfrastructureOptimization", "scaleInAfter:int"),
    ("AutoRepairConfiguration", "actionsStatus"),
    ("KernelCapabilities", "add:[] drop:[]"),
    ("Device", "hostPath containerPath permissions:[]"),
    ("Tmpfs", "containerPath size:int mountOptions:[]"),
    ("EFSAuthorizationConfig", "accessPointId iam"),
    ("FSxWindowsFileServerAuthorizationConfig", "credentialsParameter domain"),
    ("ThresholdConfiguration", "type value:int"),
    ("DeploymentLifecycleHookTimeoutConfiguration", "timeoutInMinutes:int action"),
    ("ServiceConnectClientAlias", "port:int dnsName testTrafficRules:ServiceConnectTestTrafficRules"),
    ("TimeoutConfiguration", "idleTimeoutSeconds:int perRequestTimeoutSeconds:int"),
    (
        "ServiceConnectTlsConfiguration",
        "issuerCertificateAuthority:ServiceConnectTlsCertificateAuthority kmsKey roleArn",
    ),
    ("EBSTagSpecification", "resourceType tags:[Tag] propagateTags"),
    (
        "ExecuteCommandLogConfiguration",
        "cloudWatchLogGroupName cloudWatchEncryptionEnabled:bool s3BucketName s3EncryptionEnabled:bool s3KeyPrefix",
    ),
    ("ManagedInstancesNetworkConfiguration", "subnets:[] securityGroups:[]"),
    ("ManagedInstancesStorageConfiguration", "storageSizeGiB:int"),
    ("ManagedInstancesLocalStorageConfiguration", "useLocalStorage:bool"),
    (
        "InstanceRequirementsRequest",
        "vCpuCount:VCpuCountRangeRequest memoryMiB:MemoryMiBRequest cpuManufacturers:[] \
         memoryGiBPerVCpu:MemoryGiBPerVCpuRequest excludedInstanceTypes:[] instanceGenerations:[] \
         spotMaxPricePercentageOverLowestPrice:int onDemandMaxPricePercentageOverLowestPrice:int bareMetal \
         burstablePerformance requireHibernateSupport:bool networkInterfaceCount:NetworkInterfaceCountRequest \
         localStorage localStorageTypes:[] totalLocalStorageGB:TotalLocalStorageGBRequest \
         baselineEbsBandwidthMbps:BaselineEbsBandwidthMbpsRequest acceleratorTypes:[] \
         acceleratorCount:AcceleratorCountRequest acceleratorManufacturers:[] acceleratorNames:[] \
         acceleratorTotalMemoryMiB:AcceleratorTotalMemoryMiBRequest networkBandwidthGbps:NetworkBandwidthGbpsRequest \
         allowedInstanceTypes:[] maxSpotPriceAsPercentageOfOptimalOnDemandPrice:int",
    ),
    ("CapacityReservationRequest", "reservationGroupArn reservationPreference"),
    ("ServiceConnectTestTrafficRules", "header:ServiceConnectTestTrafficHeaderRules"),
    ("ServiceConnectTlsCertificateAuthority", "awsPcaAuthorityArn"),
    ("VCpuCountRangeRequest", "min:int max:int"),
    ("MemoryMiBRequest", "min:int max:int"),
    ("MemoryGiBPerVCpuRequest", "min:num max:num"),
    ("NetworkInterfaceCountRequest", "min:int max:int"),
    ("TotalLocalStorageGBRequest", "min:num max:num"),
    ("BaselineEbsBandwidthMbpsRequest", "min:int max:int"),
    ("AcceleratorCountRequest", "min:int max:int"),
    ("AcceleratorTotalMemoryMiBRequest", "min:int max:int"),
    ("NetworkBandwidthGbpsRequest", "min:num max:num"),
    ("ServiceConnectTestTrafficHeaderRules", "name value:ServiceConnectTestTrafficHeaderMatchRules"),
    ("ServiceConnectTestTrafficHeaderMatchRules", "exact"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_that_is_named_is_there() {
        for (shape, members) in SHAPES {
            for member in members.split(' ') {
                let (_, word) = member.split_once(':').unwrap_or((member, ""));
                let mut kind = Type::of(word);
                if let Type::List(_) = kind {
                    kind = kind.element();
                }
                if let Type::Shape(named) = kind {
                    assert!(SHAPES.iter().any(|(known, _)| *known == named), "{shape}: {member}");
                }
            }
        }
    }

    #[test]
    fn what_is_taken_and_what_is_described_have_the_same_members() {
        let names = |members: &'static str| -> std::collections::BTreeSet<&str> {
            members.split(' ').map(|member| member.split(':').next().unwrap()).collect()
        };
        let mut compared = 0;
        for line in include_str!("../../policy/structures.txt").lines().filter(|line| !line.starts_with('#')) {
            let Some((shape, described)) = line.split_once(' ') else { continue };
            let Some((_, taken)) = SHAPES.iter().find(|(known, _)| *known == shape) else { continue };
            // Of these ECS describes much that nobody gives.
            if !["TaskDefinition", "Service", "Cluster", "TaskSet", "CapacityProvider"].contains(&shape) {
                assert_eq!(names(taken), names(described), "{shape}");
                compared += 1;
            }
        }
        assert!(compared > 50, "{compared}");
    }

    #[test]
    fn members_go_by_the_names_that_other_tools_give_them() {
        let volume = Type::Shape("Volume");
        for name in ["efsVolumeConfiguration", "EFSVolumeConfiguration", "efs_volume_configuration"] {
            let found = volume.member(name).unwrap();
            assert_eq!(found, ("efsVolumeConfiguration", Type::Shape("EFSVolumeConfiguration")));
        }
        assert_eq!(Type::Shape("EFSVolumeConfiguration").member("FilesystemId").unwrap().0, "fileSystemId");
        assert_eq!(Type::Shape("EphemeralStorage").member("size_in_gib").unwrap(), ("sizeInGiB", Type::Whole));
        assert_eq!(Type::Shape("ContainerDefinition").member("Command").unwrap().1.element(), Type::Text);
        assert_eq!(volume.member("nothing"), None);
    }

    #[test]
    fn every_member_that_can_be_registered_is_there() {
        for member in crate::model::document::SHARED {
            assert!(Type::Shape("TaskDefinition").member(member).is_some(), "{member}");
        }
    }
}
