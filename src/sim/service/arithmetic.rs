//! How many tasks may start and stop now. Numbers only: knows no task.

/// Where a service's rolling deployment stands.
///
/// `live` tasks are those that are to run, whatever their status; `ready` ones among them count as healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stand {
    pub(super) desired: u32,
    pub(super) minimum_percent: u64,
    pub(super) maximum_percent: u64,
    pub(super) new_live: u32,
    pub(super) new_ready: u32,
    pub(super) old_live: u32,
    pub(super) old_ready: u32,
}

/// What the scheduler does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Moves {
    /// New tasks to start.
    pub(super) start: u32,
    /// Healthy old tasks to stop. Those that are not healthy count for nothing and are stopped before.
    pub(super) stop_old: u32,
    /// New tasks there are too many of.
    pub(super) stop_new: u32,
    /// It can neither start nor stop, and nothing is under way that would change that.
    pub(super) stuck: bool,
}

impl Stand {
    /// Healthy tasks there must be: rounded up (`DeploymentConfiguration.minimumHealthyPercent`).
    pub(super) fn lowest(&self) -> u32 {
        let exact = u64::from(self.desired).saturating_mul(self.minimum_percent);
        u32::try_from(exact.div_ceil(100)).unwrap_or(u32::MAX)
    }

    /// Tasks there may be: rounded down (`DeploymentConfiguration.maximumPercent`).
    pub(super) fn highest(&self) -> u32 {
        let exact = u64::from(self.desired).saturating_mul(self.maximum_percent);
        u32::try_from(exact / 100).unwrap_or(u32::MAX)
    }

    /// The next moves, once old tasks that are not healthy have been stopped (`old_live == old_ready`).
    pub(super) fn moves(&self) -> Moves {
        let missing = self.desired.saturating_sub(self.new_live);
        // A service at rest has what it wants, whatever the maximum: the percents speak of deployments.
        let room = match self.old_live {
            0 => missing,
            _ => self.highest().saturating_sub(self.new_live.saturating_add(self.old_live)),
        };
        let start = missing.min(room);
        let without_room = missing - start;
        let spare = (self.new_ready.saturating_add(self.old_ready)).saturating_sub(self.lowest());
        let replaced = self.old_ready.saturating_sub(self.desired.saturating_sub(self.new_ready));
        let stop_old = replaced.max(without_room).min(spare).min(self.old_ready);
        let under_way = self.new_live > self.new_ready || self.old_live > self.old_ready;
        Moves {
            start,
            stop_old,
            stop_new: self.new_live.saturating_sub(self.desired),
            stuck: without_room > 0 && start == 0 && stop_old == 0 && !under_way,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stand(desired: u32, percents: (u64, u64), new: (u32, u32), old: u32) -> Stand {
        Stand {
            desired,
            minimum_percent: percents.0,
            maximum_percent: percents.1,
            new_live: new.0,
            new_ready: new.1,
            old_live: old,
            old_ready: old,
        }
    }

    /// ecs-facts §3.3: the minimum is rounded up, the maximum down.
    #[test]
    fn the_minimum_is_rounded_up_and_the_maximum_down() {
        for (desired, percents, lowest, highest) in [
            (3, (50, 150), 2, 4),
            (1, (100, 100), 1, 1),
            (1, (50, 150), 1, 1),
            (10, (0, 200), 0, 20),
            (7, (33, 133), 3, 9),
        ] {
            let stand = stand(desired, percents, (0, 0), desired);
            assert_eq!((stand.lowest(), stand.highest()), (lowest, highest), "{stand:?}");
        }
    }

    #[test]
    fn one_task_that_must_run_and_may_not_be_two_cannot_be_replaced() {
        let moves = stand(1, (100, 100), (0, 0), 1).moves();
        assert_eq!(moves, Moves { stuck: true, ..Moves::default() });
    }

    #[test]
    fn the_defaults_start_all_new_tasks_before_an_old_one_stops() {
        assert_eq!(stand(4, (100, 200), (0, 0), 4).moves(), Moves { start: 4, ..Moves::default() });
        assert_eq!(stand(4, (100, 200), (4, 0), 4).moves(), Moves::default());
        assert_eq!(stand(4, (100, 200), (4, 1), 4).moves(), Moves { stop_old: 1, ..Moves::default() });
    }

    #[test]
    fn without_headroom_old_tasks_stop_first() {
        assert_eq!(stand(4, (50, 100), (0, 0), 4).moves(), Moves { stop_old: 2, ..Moves::default() });
        assert_eq!(stand(4, (50, 100), (0, 0), 2).moves(), Moves { start: 2, ..Moves::default() });
        assert_eq!(stand(4, (50, 100), (2, 0), 2).moves(), Moves::default(), "waits for the new ones");
        assert_eq!(stand(4, (50, 100), (2, 2), 2).moves(), Moves { stop_old: 2, ..Moves::default() });
    }

    proptest! {
        #[test]
        fn moves_never_leave_the_bounds(
            desired in 0_u32..50, minimum in 0_u64..=100, maximum in 100_u64..=300,
            new_live in 0_u32..50, ready in 0_u32..50, old in 0_u32..50,
        ) {
            let before = stand(desired, (minimum, maximum), (new_live, ready.min(new_live)), old);
            let moves = before.moves();
            if old > 0 {
                let total = new_live + old;
                prop_assert!(total + moves.start <= total.max(before.highest()), "{before:?} {moves:?}");
            }
            let healthy = before.new_ready + old;
            prop_assert!(healthy - moves.stop_old >= healthy.min(before.lowest()), "{before:?} {moves:?}");
            prop_assert!(new_live + moves.start - moves.stop_new.min(new_live) <= desired.max(new_live));
        }

        #[test]
        fn a_deployment_of_healthy_tasks_ends_unless_it_is_stuck_from_the_start(
            desired in 0_u32..30, minimum in 0_u64..=100, maximum in 100_u64..=300,
        ) {
            let mut now = stand(desired, (minimum, maximum), (0, 0), desired);
            let hopeless = now.highest() <= desired && now.lowest() >= desired && desired > 0;
            for _ in 0..200 {
                let moves = now.moves();
                if moves.stuck {
                    break;
                }
                now.old_live -= moves.stop_old;
                now.old_ready = now.old_live;
                now.new_live += moves.start;
                now.new_ready = now.new_live;
            }
            prop_assert_eq!(now.old_live == 0 && now.new_live == desired, !hopeless, "{:?}", now);
        }
    }
}
