//! The ECS operations that plimsoll calls, and what AWS says they cost. Knows nobody who calls them.

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident => $bucket:ident $(, $writes:ident)?;)*) => {
        /// Every ECS operation that plimsoll calls: the whole of the authority it needs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation { $($(#[$doc])* $name,)* }

        impl Operation {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The operation's name in the ECS API.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The throttle bucket it draws from.
            #[must_use]
            pub const fn bucket(self) -> Bucket {
                match self { $(Self::$name => Bucket::$bucket,)* }
            }

            /// Whether it changes anything in ECS.
            #[must_use]
            pub const fn writes(self) -> bool {
                match self { $(Self::$name => operations!(@writes $($writes)?),)* }
            }
        }
    };
    (@writes) => { false };
    (@writes writes) => { true };
}

operations! {
    /// Page size 100.
    ListClusters => ClusterRead;
    /// Up to 100 at once; `include: [TAGS, SETTINGS, CONFIGURATIONS]`.
    DescribeClusters => ClusterRead;
    /// Page size 10, whatever is asked; `include: [TAGS]`.
    DescribeCapacityProviders => CapacityProviderRead;
    /// Page size 100, but 10 unless asked.
    ListServices => ServiceRead;
    /// Up to 10 at once, all of one cluster; `include: [TAGS]`.
    DescribeServices => ServiceRead;
    /// One at a time; a family without revision is the latest ACTIVE one; `include: [TAGS]`.
    DescribeTaskDefinition => TaskDefinitionRead;
    /// Page size 100; `familyPrefix`, `status`, `sort`.
    ListTaskDefinitions => TaskDefinitionRead;
    /// Page size 100; `status`.
    ListTaskDefinitionFamilies => TaskDefinitionRead;
    /// Page size 100; the default filter `desiredStatus: RUNNING` hides draining tasks.
    ListTasks => ClusterResourceRead;
    /// Up to 100 at once.
    DescribeTasks => ClusterResourceRead;
    /// Up to 100 at once, all of services.
    GetTaskProtection => TaskProtection;
    /// Page size 100, but 20 unless asked.
    ListServiceDeployments => ServiceDeployment;
    /// Up to 20 at once.
    DescribeServiceDeployments => ServiceDeployment;
    /// Up to 20 at once.
    DescribeServiceRevisions => ServiceRevision;
    /// No client token: never retried blindly.
    RegisterTaskDefinition => TaskDefinitionModify, writes;
    /// Only of revisions that are ours.
    DeregisterTaskDefinition => TaskDefinitionModify, writes;
    /// No condition and no client token.
    UpdateService => ServiceModify, writes;
    /// `stopType: ROLLBACK`.
    StopServiceDeployment => ServiceDeployment, writes;
    /// For `containerInsights`.
    UpdateClusterSettings => ClusterModify, writes;
    /// For the cluster's `configuration`.
    UpdateCluster => ClusterModify, writes;
    /// Merges.
    TagResource => TagModify, writes;
    /// To take back a tag.
    UntagResource => TagModify, writes;
}

/// ECS's token buckets, per account and Region (ECS Developer Guide, "Request throttling for the Amazon ECS API").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// DescribeClusters, ListClusters, …
    ClusterRead,
    /// UpdateClusterSettings, …
    ClusterModify,
    /// DescribeCapacityProviders
    CapacityProviderRead,
    /// DescribeTaskDefinition, ListTaskDefinitions, …
    TaskDefinitionRead,
    /// RegisterTaskDefinition and DeregisterTaskDefinition together: it bounds all fixing.
    TaskDefinitionModify,
    /// DescribeServices, ListServices
    ServiceRead,
    /// UpdateService, …
    ServiceModify,
    /// ListServiceDeployments, DescribeServiceDeployments. StopServiceDeployment is not in AWS's table; we count it here.
    ServiceDeployment,
    /// DescribeServiceRevisions
    ServiceRevision,
    /// DescribeTasks, ListTasks, …
    ClusterResourceRead,
    /// GetTaskProtection, UpdateTaskProtection
    TaskProtection,
    /// TagResource, UntagResource
    TagModify,
}

impl Bucket {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::ClusterRead,
        Self::ClusterModify,
        Self::CapacityProviderRead,
        Self::TaskDefinitionRead,
        Self::TaskDefinitionModify,
        Self::ServiceRead,
        Self::ServiceModify,
        Self::ServiceDeployment,
        Self::ServiceRevision,
        Self::ClusterResourceRead,
        Self::TaskProtection,
        Self::TagModify,
    ];

    /// How many calls it holds at most, and how many a second it regains (the same page of AWS).
    #[must_use]
    pub const fn published(self) -> (u32, u32) {
        match self {
            Self::ClusterRead
            | Self::CapacityProviderRead
            | Self::TaskDefinitionRead
            | Self::ServiceDeployment
            | Self::ServiceRevision => (50, 20),
            Self::ClusterModify | Self::TaskDefinitionModify => (20, 1),
            Self::ServiceRead | Self::ClusterResourceRead => (100, 20),
            Self::ServiceModify => (50, 5),
            Self::TaskProtection => (200, 80),
            Self::TagModify => (20, 10),
        }
    }

    /// Its name in metrics and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClusterRead => "cluster-read",
            Self::ClusterModify => "cluster-modify",
            Self::CapacityProviderRead => "capacity-provider-read",
            Self::TaskDefinitionRead => "task-definition-read",
            Self::TaskDefinitionModify => "task-definition-modify",
            Self::ServiceRead => "service-read",
            Self::ServiceModify => "service-modify",
            Self::ServiceDeployment => "service-deployment",
            Self::ServiceRevision => "service-revision",
            Self::ClusterResourceRead => "cluster-resource-read",
            Self::TaskProtection => "task-protection",
            Self::TagModify => "tag-modify",
        }
    }
}
