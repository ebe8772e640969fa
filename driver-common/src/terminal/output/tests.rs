use super::*;
use futures_lite::future::block_on;

/// A device that takes a limited number of bytes, and blocks beyond that.
#[derive(Clone, Default)]
struct Device(Arc<(Mutex<Inner>, Condvar)>);

#[derive(Default)]
struct Inner {
    taken: Vec<u8>,
    /// The number of bytes that it may still take.
    leave: usize,
    error: Option<ErrorKind>,
    errors: usize,
    /// How long a write takes.
    delay: Duration,
}

impl Device {
    fn open() -> Self {
        let device = Self::default();
        device.allow(usize::MAX);
        device
    }

    fn allow(&self, bytes: usize) {
        self.0.0.lock().unwrap().leave = bytes;
        self.0.1.notify_all();
    }

    fn fail(&self, error: ErrorKind) {
        self.0.0.lock().unwrap().error = Some(error);
        self.0.1.notify_all();
    }

    /// Waits until this many bytes were taken.
    fn taken(&self, bytes: usize) -> String {
        let mut inner = self.0.0.lock().unwrap();
        while inner.taken.len() < bytes {
            let (guard, waited) = self.0.1.wait_timeout(inner, Duration::from_secs(20)).unwrap();
            inner = guard;
            assert!(!waited.timed_out(), "only {} of {bytes} bytes came", inner.taken.len());
        }
        String::from_utf8(inner.taken.clone()).unwrap()
    }
}

impl Write for Device {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.0.0.lock().unwrap();
        thread::sleep(inner.delay);
        while inner.leave == 0 && inner.error.is_none() {
            inner = self.0.1.wait(inner).unwrap();
        }
        if let Some(error) = inner.error {
            inner.errors += 1;
            self.0.1.notify_all();
            return Err(error.into());
        }
        let taken = bytes.len().min(inner.leave);
        inner.leave -= taken;
        inner.taken.extend_from_slice(&bytes[..taken]);
        self.0.1.notify_all();
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const STALL_TIME: Duration = Duration::from_millis(200);

fn bounds(capacity: usize) -> Bounds {
    Bounds { capacity, stall_time: STALL_TIME }
}

fn lines(count: usize) -> String {
    (0..count).map(|number| format!("line {number:08}\n")).collect()
}

const LINE: usize = "line 00000000\n".len();

#[test]
fn everything_comes_in_order_though_it_is_more_than_fits() {
    let device = Device::open();
    let output = Output::new(device.clone(), bounds(10 * LINE + 5), LossReport::Here(not_shown)).unwrap();
    let text = lines(10_000);
    block_on(output.write(&text));
    assert_eq!(device.taken(text.len()), text);
}

#[test]
fn a_device_that_crawls_is_waited_for() {
    let device = Device::open();
    device.0.0.lock().unwrap().delay = STALL_TIME / 4;
    let output = Output::new(device.clone(), bounds(4096), LossReport::Here(not_shown)).unwrap();
    let text = lines(1000);
    let began = Instant::now();
    block_on(output.write(&text));
    assert!(began.elapsed() > 2 * STALL_TIME, "it was not slow enough to mean anything");
    assert_eq!(device.taken(text.len()), text);
}

#[test]
fn a_device_that_stands_still_loses_lines_and_tells_where() {
    let device = Device::default();
    let output = Output::new(device.clone(), bounds(10 * LINE), LossReport::Here(not_shown)).unwrap();
    let began = Instant::now();
    block_on(output.write(&lines(22)));
    assert!(began.elapsed() >= STALL_TIME);
    let again = Instant::now();
    block_on(output.write(&lines(1)));
    assert!(again.elapsed() < STALL_TIME, "it is known to stand still");

    device.allow(usize::MAX);
    let expected = lines(10) + "… 13 lines not shown\n";
    assert_eq!(device.taken(expected.len()), expected);
    block_on(output.write("on it goes\n"));
    let expected = expected + "on it goes\n";
    assert_eq!(device.taken(expected.len()), expected);
}

#[test]
fn lost_lines_are_told_aside_where_the_output_is_for_machines() {
    let (device, loss_report) = (Device::default(), Device::open());
    let report = Output::new(loss_report.clone(), Bounds::default(), LossReport::Here(not_shown)).unwrap();
    let elsewhere = LossReport::Elsewhere(Box::new(move |lost| report.offer(&(not_shown(lost) + "\n"))));
    let output = Output::new(device.clone(), bounds(LINE), elsewhere).unwrap();
    block_on(output.write(&lines(2)));
    device.allow(1);
    let expected = "… 1 line not shown\n";
    assert_eq!(loss_report.taken(expected.len()), expected);
    device.allow(usize::MAX);
    block_on(output.write("next\n"));
    let expected = lines(1) + "next\n";
    assert_eq!(device.taken(expected.len()), expected);
}

#[test]
fn the_bound_is_exact() {
    for (capacity, fit) in [(3 * LINE - 1, 2), (3 * LINE, 3), (3 * LINE + 1, 3)] {
        let device = Device::default();
        let output = Output::new(device.clone(), bounds(capacity), LossReport::Here(not_shown)).unwrap();
        output.offer(&lines(4));
        device.allow(usize::MAX);
        let lost = 4 - fit;
        let expected = lines(fit) + &format!("… {lost} line{} not shown\n", if lost == 1 { "" } else { "s" });
        assert_eq!(device.taken(expected.len()), expected, "{capacity}");
    }
}

#[test]
fn a_line_above_the_bound_goes_alone() {
    let device = Device::open();
    let output = Output::new(device.clone(), bounds(10), LossReport::Here(not_shown)).unwrap();
    block_on(output.write("a line above the bound\n"));
    block_on(output.write("next\n"));
    let expected = "a line above the bound\nnext\n";
    assert_eq!(device.taken(expected.len()), expected);
}

#[test]
fn a_closed_device_holds_nobody_up() {
    for error in [ErrorKind::BrokenPipe, ErrorKind::Other] {
        let device = Device::default();
        device.fail(error);
        let output = Output::new(device, bounds(LINE), LossReport::Here(not_shown)).unwrap();
        block_on(output.write(&lines(100_000)));
        output.offer(&lines(1));
        output.flush(Instant::now() + Duration::from_secs(20));
        assert_eq!(output.0.lock().lost, 0);
    }
}

#[test]
fn one_that_closes_frees_who_waits_for_it() {
    let device = Device::default();
    let patient = Bounds { capacity: LINE, stall_time: Duration::from_secs(60) };
    let output = Output::new(device.clone(), patient, LossReport::Here(not_shown)).unwrap();
    let waiting = thread::spawn(move || block_on(output.write(&lines(3))));
    device.fail(ErrorKind::BrokenPipe);
    waiting.join().unwrap();
}

#[test]
fn a_full_disk_is_tried_again() {
    let device = Device::open();
    device.fail(ErrorKind::StorageFull);
    let output = Output::new(device.clone(), bounds(4096), LossReport::Here(not_shown)).unwrap();
    output.offer("kept\n");
    let inner = device.0.0.lock().unwrap();
    device.0.1.wait_while(inner, |inner| inner.errors < 2).unwrap().error = None;
    assert_eq!(device.taken(5), "kept\n");
}

#[test]
fn flush_waits_for_what_moves_and_for_nothing_else() {
    let device = Device::open();
    let output = Output::new(device.clone(), bounds(1 << 20), LossReport::Here(not_shown)).unwrap();
    output.offer(&lines(1000));
    output.flush(Instant::now() + Duration::from_secs(20));
    assert_eq!(device.taken(0).len(), 1000 * LINE);

    device.allow(0);
    output.offer(&lines(1));
    let began = Instant::now();
    output.flush(Instant::now() + Duration::from_secs(20));
    assert!((STALL_TIME..Duration::from_secs(10)).contains(&began.elapsed()));
    let began = Instant::now();
    output.flush(began);
    assert!(began.elapsed() < STALL_TIME);
}
