//! A list whose selection stays with what it is on, whatever comes and goes around it. Of the rows
//! it knows no more than how to tell them apart.

/// Rows, one of which is selected by its key `K`. `R` is where a row is found, until the next
/// [`List::refill`].
pub(super) struct List<R, K> {
    rows: Vec<R>,
    at: usize,
    on: Option<K>,
    /// The first row that is in view.
    top: usize,
}

impl<R, K> Default for List<R, K> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            at: 0,
            on: None,
            top: 0,
        }
    }
}

impl<R, K> List<R, K> {
    /// Takes the rows as they are now. Whether the selection is on something else now, without
    /// anybody having moved it.
    pub(super) fn refill(
        &mut self,
        rows: Vec<R>,
        is: impl Fn(&R, &K) -> bool,
        key: impl Fn(&R) -> K,
    ) -> bool {
        self.rows = rows;
        let before = self.at;
        let found = self.on.as_ref().and_then(|on| {
            // Mostly where it was.
            match self.rows.get(self.at) {
                Some(row) if is(row, on) => Some(self.at),
                _ => self.rows.iter().position(|row| is(row, on)),
            }
        });
        self.at = found.unwrap_or_else(|| self.at.min(self.rows.len().saturating_sub(1)));
        // The selected row stays where it is on the screen.
        self.top = (self.top + self.at).saturating_sub(before);
        if found.is_none() {
            self.on = self.rows.get(self.at).map(key);
        }
        found.is_none() && self.on.is_some()
    }

    /// Selects a row by hand.
    pub(super) fn go(&mut self, at: usize, key: impl Fn(&R) -> K) {
        self.at = at.min(self.rows.len().saturating_sub(1));
        self.on = self.rows.get(self.at).map(key);
    }

    pub(super) fn rows(&self) -> &[R] {
        &self.rows
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn on(&self) -> Option<&K> {
        self.on.as_ref()
    }

    pub(super) fn selected(&self) -> Option<&R> {
        self.rows.get(self.at)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at + 1 >= self.rows.len()
    }

    /// The rows of a window of this height with the selection in it, and the number of the first.
    pub(super) fn window(&mut self, height: usize) -> (usize, &[R]) {
        let last = (self.at + 1).saturating_sub(height);
        let full = self.rows.len().saturating_sub(height);
        self.top = self.top.max(last).min(self.at).min(full.max(last));
        let end = (self.top + height).min(self.rows.len());
        (self.top, self.rows.get(self.top..end).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refill(list: &mut List<char, char>, rows: &str) -> bool {
        list.refill(rows.chars().collect(), |a, b| a == b, |row| *row)
    }

    #[test]
    fn the_selection_stays_with_what_it_is_on_and_on_the_same_line_of_the_screen() {
        let mut list = List::default();
        assert!(refill(&mut list, "abcdefgh"));
        list.go(5, |row| *row);
        assert_eq!(list.window(3), (3, ['d', 'e', 'f'].as_slice()));
        assert!(!refill(&mut list, "cdefgh"));
        assert_eq!(list.window(3), (1, ['d', 'e', 'f'].as_slice()));
        assert!(!refill(&mut list, "xxcdefgh"));
        assert_eq!((list.window(3).0, list.on()), (3, Some(&'f')));
    }

    #[test]
    fn when_it_is_gone_the_selection_says_that_it_moved_by_itself() {
        let mut list = List::default();
        refill(&mut list, "abc");
        list.go(2, |row| *row);
        assert!(refill(&mut list, "ab"));
        assert_eq!(list.on(), Some(&'b'));
        assert!(!refill(&mut list, ""), "there is nothing to be on");
        assert_eq!((list.on(), list.selected()), (None, None));
        assert!(refill(&mut list, "z"));
    }

    #[test]
    fn a_window_of_any_height_has_the_selection_in_it() {
        let mut list = List::default();
        refill(&mut list, "abcdef");
        for at in [0, 5, 2, 4, 1] {
            list.go(at, |row| *row);
            for height in 1..9 {
                let (top, rows) = list.window(height);
                let shown = rows.len();
                assert!((top..top + shown).contains(&at), "{at} {height}");
                assert_eq!(shown, height.min(6));
            }
            assert!(list.window(0).1.is_empty());
        }
    }
}
