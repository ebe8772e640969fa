//! Many pieces of work on all cores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

/// Does each piece of work on one of so many threads, and hands what it comes to over here, as it comes.
pub fn each<T: Sync, R: Send>(
    jobs: usize,
    work: &[T],
    run: impl Fn(&T) -> R + Sync,
    mut done: impl FnMut(&T, R),
) {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = sync_channel(16);
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, work.len().max(1)) {
            let (next, run, sender) = (&next, &run, sender.clone());
            scope.spawn(move || {
                while let Some(piece) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if sender.send((piece, run(piece))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (piece, result) in receiver {
            done(piece, result);
        }
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_is_done_once() {
        let work: Vec<_> = (0..100).collect();
        let mut sum = 0;
        super::each(3, &work, |number| number * 2, |_, result| sum += result);
        assert_eq!(sum, 9_900);
        super::each(3, &[] as &[u8], |_| (), |_, ()| unreachable!("there is no work"));
    }
}
