//! What the store is asked to keep, and what waits until it is committed (SPEC section 23).

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Chat, Event};
use crate::model::{
    ChatText, Cx, Entry, EntryId, Fifo, Limits, NodeId, OwnPosition, Record, RunId, SayId, StoreChange,
    StoreId, Via, most_charged,
};

/// The store, as far as the conversation knows it.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    state: State,
    /// The number of the last record.
    last: StoreId,
    /// Everything up to this record is committed.
    through: StoreId,
    /// Entries of this node that are not committed: nobody has heard of them. Their numbers rise.
    own: VecDeque<Unsaid>,
    /// What they are charged, in bytes.
    own_bytes: usize,
    /// What the user is saying, by its number.
    sayings: VecDeque<Saying>,
    last_say: SayId,
    /// Something was refused since too much of this node waits.
    busy: bool,
    /// Other entries that the store was asked to keep and has not committed. Their numbers rise.
    others: VecDeque<(StoreId, Arc<Entry>)>,
    /// What they are charged, in bytes.
    others_bytes: usize,
    /// Entries in the window that the store is to be asked for, when it has committed what it was asked for before.
    waiting: Fifo<EntryId, RunId>,
    /// Entries that left the window before the store was asked to keep them.
    passed_over: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// There is no store.
    #[default]
    Absent,
    Works,
    Failed,
}

/// What is to be said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speech<'a> {
    pub(super) texts: &'a [ChatText],
    /// The peers without a key to which this node sends the texts itself.
    pub(super) recipients: &'a [NodeId],
    /// The peer without a key that said them, if it was not the user.
    pub(super) via: Option<&'a Via>,
}

/// An entry of this node that waits for the store.
#[derive(Debug)]
struct Unsaid {
    id: StoreId,
    entry: Arc<Entry>,
    texts: Vec<ChatText>,
    recipients: Vec<NodeId>,
    via: Option<Via>,
    say: Option<SayId>,
}

impl Unsaid {
    fn speech(&self) -> Speech<'_> {
        Speech { texts: &self.texts, recipients: &self.recipients, via: self.via.as_ref() }
    }
}

/// Something that the user is saying.
#[derive(Debug)]
struct Saying {
    id: SayId,
    /// How many entries of it wait.
    waiting: usize,
    /// Those that are on their way.
    entries: Vec<Arc<Entry>>,
    stored: bool,
}

impl Keeper {
    /// `stores`: there is a store.
    pub(super) fn new(stores: bool) -> Self {
        Self { state: if stores { State::Works } else { State::Absent }, ..Self::default() }
    }

    /// The user says something. None: there is no store.
    pub(super) fn begin_say(&mut self) -> Option<SayId> {
        if self.state == State::Absent {
            return None;
        }
        self.last_say.0 += 1;
        Some(self.last_say)
    }

    /// Keeps a new entry of this node. None: it need not wait.
    pub(super) fn keep_own(
        &mut self,
        entry: &Arc<Entry>,
        speech: &Speech<'_>,
        say: Option<SayId>,
    ) -> Option<(StoreId, Record)> {
        if self.state != State::Works {
            return None;
        }
        let (id, record) = self.number(Record::Own(entry.clone()));
        if let Some(say) = say {
            match self.sayings.back_mut().filter(|saying| saying.id == say) {
                Some(saying) => saying.waiting += 1,
                None => {
                    self.sayings.push_back(Saying { id: say, waiting: 1, entries: Vec::new(), stored: true });
                }
            }
        }
        self.await_commit(Unsaid {
            id,
            entry: entry.clone(),
            texts: speech.texts.to_vec(),
            recipients: speech.recipients.to_vec(),
            via: speech.via.cloned(),
            say,
        });
        Some((id, record))
    }

    /// Numbers a record.
    fn number(&mut self, record: Record) -> (StoreId, Record) {
        self.last.0 += 1;
        (self.last, record)
    }

    fn await_commit(&mut self, unsaid: Unsaid) {
        self.own_bytes += unsaid.entry.charge();
        self.own.push_back(unsaid);
    }

    /// The next own entry that is committed.
    fn pop_committed(&mut self) -> Option<Unsaid> {
        let unsaid = self.own.pop_front_if(|unsaid| unsaid.id <= self.through)?;
        self.own_bytes -= unsaid.entry.charge();
        Some(unsaid)
    }

    /// All own entries that wait.
    fn take_uncommitted(&mut self) -> VecDeque<Unsaid> {
        self.own_bytes = 0;
        core::mem::take(&mut self.own)
    }

    /// An entry of what the user says is on its way. What was said, if that is all of it.
    fn said(&mut self, say: SayId, entry: Arc<Entry>, stored: bool) -> Option<Event> {
        let index = self.sayings.iter().position(|saying| saying.id == say)?;
        let saying = self.sayings.get_mut(index)?;
        saying.entries.push(entry);
        saying.stored &= stored;
        saying.waiting -= 1;
        if saying.waiting > 0 {
            return None;
        }
        let Saying { id, entries, stored, .. } = self.sayings.remove(index)?;
        Some(Event::Said { id, entries, stored })
    }

    /// Whether this node may sign something of so many bytes now. If not, [`Event::Ready`] follows.
    pub(super) fn has_room(&mut self, bytes: usize, limits: &Limits) -> bool {
        let room = self.is_open(bytes, limits);
        self.busy |= !room;
        room
    }

    /// The same for what peers without a key said, which waits elsewhere.
    pub(super) fn is_open(&self, bytes: usize, limits: &Limits) -> bool {
        let charged = most_charged(bytes);
        self.own.is_empty() || self.own_bytes.saturating_add(charged) <= limits.chat.uncommitted_own
    }

    /// Whether what was refused can be said now.
    fn is_ready(&mut self, limits: &Limits) -> bool {
        let ready = self.busy && (self.own.is_empty() || self.own_bytes <= limits.chat.uncommitted_own / 2);
        self.busy &= !ready;
        ready
    }

    /// Whether there is a store that can write.
    pub(super) fn works(&self) -> bool {
        self.state == State::Works
    }

    /// Whether the store can be asked to keep one more entry of others now.
    pub(super) fn has_store_room(&self, limits: &Limits) -> bool {
        self.state == State::Works && self.others_bytes < limits.chat.uncommitted
    }

    /// Whether half of the room for entries of others is taken.
    pub(super) fn is_half_full(&self, limits: &Limits) -> bool {
        self.others_bytes > limits.chat.uncommitted / 2
    }

    /// Asks the store to keep an entry of others. There was [room](Self::has_store_room).
    fn ask_to_keep(&mut self, entry: Arc<Entry>) -> (StoreId, Record) {
        let record = self.number(Record::Entry(entry.clone()));
        self.others_bytes += entry.charge();
        self.others.push_back((record.0, entry));
        record
    }

    /// The next entry of others that is committed.
    fn pop_committed_other(&mut self) -> Option<Arc<Entry>> {
        let (_, entry) = self.others.pop_front_if(|(id, _)| *id <= self.through)?;
        self.others_bytes -= entry.charge();
        Some(entry)
    }

    /// What entries of others are charged that are not committed, in bytes.
    pub(super) fn others_bytes(&self) -> usize {
        self.others_bytes
    }

    /// How many entries left the window before the store was asked to keep them.
    pub(super) fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// What this node's entries are charged that are not committed, in bytes.
    pub(super) fn own_bytes(&self) -> usize {
        self.own_bytes
    }

    pub(super) fn is_consistent(&self) -> bool {
        let bytes: usize = self.own.iter().map(|unsaid| unsaid.entry.charge()).sum();
        let rises = self.own.iter().zip(self.own.iter().skip(1)).all(|(one, other)| one.id < other.id);
        let waits = |saying: &Saying| self.own.iter().filter(|unsaid| unsaid.say == Some(saying.id)).count();
        let others: usize = self.others.iter().map(|(_, entry)| entry.charge()).sum();
        bytes == self.own_bytes
            && others == self.others_bytes
            && self.waiting.is_consistent()
            && (self.state == State::Works || self.others.is_empty() && self.waiting.is_empty())
            && rises
            && self.sayings.iter().all(|saying| waits(saying) == saying.waiting && saying.waiting > 0)
            && (self.state == State::Works || self.own.is_empty())
    }
}

impl From<(StoreId, Record)> for Event {
    fn from((id, record): (StoreId, Record)) -> Self {
        Self::Store { id, record }
    }
}

/// What the store tells.
impl Chat {
    /// Everything up to this record is committed: entries of this node among them go out.
    pub(crate) fn stored(&mut self, cx: &mut Cx, through: StoreId) {
        if self.keeper.state != State::Works || through > self.keeper.last {
            return;
        }
        self.leave_forked_runs(cx);
        self.keeper.through = self.keeper.through.max(through);
        while let Some(unsaid) = self.keeper.pop_committed() {
            let entry = unsaid.entry.clone();
            self.log.shelve(&entry, cx.limits());
            self.utter_late(cx, unsaid, entry, true);
        }
        while let Some(entry) = self.keeper.pop_committed_other() {
            self.log.settled(entry.run());
        }
        self.keep_waiting(cx);
        self.process_log_events(cx, None);
        if self.keeper.is_ready(cx.limits()) {
            self.events.push_back(Event::Ready);
        }
    }

    /// The store cannot write. What waits for it is said without it, in other epochs: the store does not know where those
    /// would end that it knows.
    pub(crate) fn store_failed(&mut self, cx: &mut Cx) {
        if self.keeper.state != State::Works {
            return;
        }
        self.keeper.state = State::Failed;
        self.keeper.others_bytes = 0;
        for (_, entry) in core::mem::take(&mut self.keeper.others) {
            self.log.unshelve(&entry, cx.limits());
            self.log.settled(entry.run());
        }
        while let Some((_, run)) = self.keeper.waiting.pop_first() {
            self.log.settled(&run);
        }
        self.own_runs.begin(cx);
        for unsaid in self.keeper.take_uncommitted() {
            let entry = self.sign_next(cx, &unsaid.speech());
            self.utter_late(cx, unsaid, entry, false);
        }
        self.process_log_events(cx, None);
        if self.keeper.is_ready(cx.limits()) {
            self.events.push_back(Event::Ready);
        }
    }

    /// The store can write again: this node goes on in other epochs, whose ends it knows.
    pub(crate) fn store_works(&mut self, cx: &mut Cx) {
        if self.keeper.state == State::Failed {
            self.keeper.state = State::Works;
            self.own_runs.begin(cx);
            self.keep_unshelved(cx);
        }
    }

    /// The store does not have any more what it had. It is asked to keep again what the window has of it. The rest is asked
    /// for below the window, as far as it is not expired.
    pub(crate) fn store_changed(&mut self, cx: &mut Cx, change: StoreChange) {
        if self.keeper.state == State::Absent {
            return;
        }
        match change {
            StoreChange::Expired { run, floor } => return self.log.expire(&run, floor),
            StoreChange::Emptied => self.log.empty_shelf(),
            StoreChange::Lost { run, first, last } => {
                self.log.lose(&run, (first, last), cx.limits());
                if run.key == cx.identity.key() {
                    // What comes back of the run is then no sign of another node with this key.
                    self.own_runs.begin(cx);
                }
            }
        }
        for (_, entry) in &self.keeper.others {
            self.log.shelve(entry, cx.limits());
        }
        self.gossip.forget_all();
        self.backfill.renew();
        self.keep_unshelved(cx);
    }

    /// Asks the store to keep what the window has and the store has not.
    fn keep_unshelved(&mut self, cx: &Cx) {
        let unshelved: Vec<_> = self.log.unshelved().cloned().collect();
        for entry in unshelved {
            self.keep(cx, &entry);
        }
    }

    /// Asks the store to keep an entry that is in the window: now, or when it has committed what it was asked for before.
    pub(super) fn keep(&mut self, cx: &Cx, entry: &Arc<Entry>) {
        if self.keeper.state != State::Works {
            return;
        }
        self.log.awaits_commit(entry.run());
        if self.keeper.waiting.is_empty() && self.keeper.has_store_room(cx.limits()) {
            return self.ask_to_keep(cx, entry);
        }
        if self.keeper.waiting.contains(&entry.id()) {
            return self.log.settled(entry.run());
        }
        self.keeper.waiting.insert(entry.id(), entry.run().clone());
        // They are looked through at once, so that one more costs little.
        if self.keeper.waiting.len() > cx.limits().chat.log_entries.saturating_mul(2) {
            self.pass_over_evicted();
        }
    }

    /// Of what waits for the store, leaves out what has left the window.
    fn pass_over_evicted(&mut self) {
        let mut waiting = core::mem::take(&mut self.keeper.waiting);
        while let Some((id, run)) = waiting.pop_first() {
            if self.log.get(&id).is_some() {
                self.keeper.waiting.insert(id, run);
            } else {
                self.pass_over(&run);
            }
        }
    }

    /// Asks the store to keep an entry that the window does not hold.
    pub(super) fn archive(&mut self, cx: &Cx, entry: &Arc<Entry>) {
        self.log.awaits_commit(entry.run());
        self.ask_to_keep(cx, entry);
    }

    fn ask_to_keep(&mut self, cx: &Cx, entry: &Arc<Entry>) {
        self.log.shelve(entry, cx.limits());
        let record = self.keeper.ask_to_keep(entry.clone());
        self.events.push_back(record.into());
    }

    /// Asks the store to keep what waits for that, as far as there is room.
    fn keep_waiting(&mut self, cx: &Cx) {
        while self.keeper.has_store_room(cx.limits())
            && let Some((id, run)) = self.keeper.waiting.pop_first()
        {
            match self.log.get(&id).cloned() {
                Some(entry) => self.ask_to_keep(cx, &entry),
                None => self.pass_over(&run),
            }
        }
    }

    /// An entry of this run left the window before the store was asked to keep it.
    fn pass_over(&mut self, run: &RunId) {
        self.keeper.passed_over += 1;
        self.backfill.passed_over();
        self.log.settled(run);
    }

    /// An entry was withdrawn, since its run is forked: the store need not have it.
    pub(super) fn withdraw_kept(&mut self, id: EntryId, run: RunId) {
        if self.keeper.state == State::Works {
            let record = self.keeper.number(Record::Withdrawn(id, run));
            self.events.push_back(record.into());
        }
    }

    /// Goes on in other runs, if others hold something else of one of this node's. What waits for the store is signed anew
    /// there, since nobody would take it.
    pub(super) fn leave_forked_runs(&mut self, cx: &mut Cx) {
        if !self.own_runs.is_forked() {
            return;
        }
        self.own_runs.begin(cx);
        for mut unsaid in self.keeper.take_uncommitted() {
            let withdrawn = Record::Withdrawn(unsaid.entry.id(), unsaid.entry.run().clone());
            let withdrawn = self.keeper.number(withdrawn);
            unsaid.entry = self.sign_next(cx, &unsaid.speech());
            let own = self.keeper.number(Record::Own(unsaid.entry.clone()));
            unsaid.id = own.0;
            self.keeper.await_commit(unsaid);
            self.events.extend([withdrawn.into(), own.into()]);
        }
    }

    /// An entry that waited for the store goes out.
    fn utter_late(&mut self, cx: &Cx, unsaid: Unsaid, entry: Arc<Entry>, stored: bool) {
        self.utter(cx, &entry);
        let Unsaid { recipients, say, .. } = unsaid;
        self.events.push_back(Event::Uttered { entry: entry.clone(), recipients });
        let said = say.and_then(|say| self.keeper.said(say, entry, stored));
        self.events.extend(said);
    }
}

/// The date of the last entry in these runs.
pub(super) fn last_date(own: &[OwnPosition]) -> u64 {
    own.iter().map(|own| own.at).max().unwrap_or(0)
}
