//! Numbered places in time: document numbers that rise with the date although planted cases are written first.

use super::dice::Dice;

const RUSH_DAYS: i64 = 3;

/// One free place: its number and the day and time it stands for.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub number: usize,
    /// Days before `as_of`, at least 1.
    pub ago: i64,
    pub hour: i64,
    pub minute: i64,
}

pub(super) struct Slots {
    free: Vec<Option<Slot>>,
}

impl Slots {
    /// `count` places over the days 1..=`days` ago, oldest first, numbered from `first`.
    ///
    /// `rush_percent` of them fall on the last `RUSH_DAYS` days on top of an even spread, like orders in a campaign.
    pub fn new(count: usize, days: i64, rush_percent: usize, first: usize, dice: &mut Dice) -> Self {
        let mut times: Vec<(i64, i64, i64)> = (0..count)
            .map(|_| {
                let days = if dice.chance(rush_percent) { RUSH_DAYS } else { days };
                (-dice.between(1, days), dice.between(7, 21), dice.between(0, 59))
            })
            .collect();
        times.sort_unstable();
        let free = times
            .into_iter()
            .enumerate()
            .map(|(index, (day, hour, minute))| Some(Slot { number: first + index, ago: -day, hour, minute }))
            .collect();
        Self { free }
    }

    /// Takes a free place `low..=high` days ago; if the range is used up, the nearest older one.
    pub fn take(&mut self, low: i64, high: i64, dice: &mut Dice) -> Slot {
        let fits: Vec<usize> = (0..self.free.len())
            .filter(|&index| self.free[index].is_some_and(|slot| (low..=high).contains(&slot.ago)))
            .collect();
        let index = if fits.is_empty() {
            (0..self.free.len())
                .rev()
                .find(|&index| self.free[index].is_some_and(|slot| slot.ago > high))
                .expect("more places than planted cases")
        } else {
            fits[dice.below(fits.len())]
        };
        self.free[index].take().expect("chosen among the free ones")
    }

    /// What is left, oldest first.
    pub fn rest(self) -> impl Iterator<Item = Slot> {
        self.free.into_iter().flatten()
    }
}
