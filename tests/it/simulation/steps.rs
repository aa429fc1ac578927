//! The steps of a change, as the laws know them.

/// What may follow what: no step is taken twice or backwards. A person's `retry` begins a change anew.
pub(crate) const STEPS: &[(&str, &[&str])] = &[
    ("Pending", &["Registering", "Updating", "Deferred", "Blocked", "Overtaken", "Gone"]),
    ("Registering", &["Updating", "Quarantined", "Blocked", "Deferred", "Overtaken", "Gone"]),
    (
        "Updating",
        &[
            "Registering",
            "Pending",
            "Stabilizing",
            "Succeeded",
            "RollingBack",
            "Overtaken",
            "Clobbering",
            "Clobbered",
            "Gone",
            "Blocked",
        ],
    ),
    // A call that nobody heard of may arrive over somebody's deployment at any time.
    ("Stabilizing", &["Verifying", "Succeeded", "Unverified", "RollingBack", "Overtaken", "Clobbering", "Gone"]),
    ("Verifying", &["Stabilizing", "Succeeded", "Unverified", "RollingBack", "Overtaken", "Clobbering", "Gone"]),
    ("Succeeded", &["RollingBack", "Clobbered"]),
    ("Unverified", &["Succeeded", "RollingBack", "Overtaken", "Clobbered", "Gone"]),
    ("RollingBack", &["RolledBack", "Failed", "Overtaken", "Clobbering", "Clobbered", "Gone"]),
    // A call that nobody heard of arrives when the change is over.
    ("RolledBack", &["Pending", "RollingBack", "Clobbered"]),
    ("Failed", &["Pending", "RollingBack"]),
    ("Quarantined", &["Pending"]),
    ("Blocked", &["Pending", "RollingBack", "Clobbered"]),
    ("Deferred", &["Pending"]),
    ("Overtaken", &["Pending", "RollingBack", "Clobbered"]),
    ("Clobbering", &["Clobbered", "Gone"]),
    ("Clobbered", &["Pending", "RollingBack"]),
    ("Gone", &["Pending"]),
];
