//! Which test is whose, and that every limit has one or a reason for having none.
//!
//! What chance decides, like the time of a chore, is tested by its bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proto_core::{Limits, Stats};
use serde::Serialize;

use Tested::{By, Not};

/// How a limit is tested at its edge.
enum Tested {
    /// By this test, in this file: of this folder, or with its path in the workspace.
    By(&'static str, &'static str),
    /// For this reason it is not.
    Not(&'static str),
}

/// No counter: a command is refused, or nothing is lost but time.
const NONE: &str = "";

const CLAIMS: &str = "proto-core/src/chat/gossip/tests/claims.rs";
const BRIDGE: &str = "proto-core/src/v1/tests.rs";
const BOOK: &str = "proto-core/src/mesh/book/tests.rs";
const CATCH_UP: &str = "proto-core/src/chat/catch_up.rs";
const DEGREE: &str = "proto-core/src/node/tests/admission.rs";
const NETWORKS: &str = "proto-core/src/node/tests/networks.rs";
const MEMBERS: &str = "proto-core/src/chat/members/tests.rs";
const NAMES: &str = "proto-core/src/chat/names.rs";
const PLACE: &str = "proto-core/src/chat/gossip/position.rs";
const QUEUE: &str = "proto-core/src/conns/link/queue/tests.rs";
const RECONCILE: &str = "proto-core/src/chat/log/reconcile/tests.rs";
const HOLES: &str = "proto-core/src/chat/ranges/tests/holes.rs";
const RANGES: &str = "proto-core/src/chat/ranges/tests.rs";
const REPAIR: &str = "proto-core/src/chat/gossip/fetch_announced.rs";
const PINS: &str = "proto-core/src/mesh/pins.rs";
const SEALED: &str = "proto-core/src/node/tests/sealed.rs";
const SERVING: &str = "proto-core/src/chat/serving/tests.rs";
const SYNC: &str = "proto-core/src/chat/gossip/sync_schedule.rs";
const TELLING: &str = "proto-core/src/chat/gossip/advert.rs";
const TIP_FETCH: &str = "proto-core/src/chat/gossip/fetch_tips/tests.rs";
const TIPS: &str = "proto-core/src/chat/log/tips/tests.rs";
const LOG: &str = "proto-core/src/chat/log/tests.rs";
const STORE: &str = "proto-core/src/node/tests/store.rs";
const STORE_SERVING: &str = "proto-core/src/node/tests/store/serving.rs";
const SHELF: &str = "proto-core/src/chat/log/shelf/tests.rs";
const MAINTENANCE: &str = "proto-core/src/mesh/maintenance.rs";

/// Every field of [`Limits`], its test, and the counter of what happens beyond it.
#[rustfmt::skip]
const TABLE: &[(&str, Tested, &str)] = &[
    ("wire.line", By("links.rs", "a_line_that_is_too_long"), "violations"),
    ("wire.line_before_join", By("links.rs", "a_line_that_is_too_long"), "violations"),
    ("conns.malformed", By("mesh.rs", "malformed_frames_that_cut_a_peer"), "malformed"),
    ("conns.malformed_window", By("mesh.rs", "malformed_frames_within_some_time"), "violations"),
    ("conns.slots", By("links.rs", "held_connections_and_those_kept_for_own_dials"), "turned_away"),
    ("conns.slots_reserved", By("links.rs", "held_connections_and_those_kept_for_own_dials"), "turned_away"),
    ("conns.pending", By("links.rs", "pending_connections"), "evicted"),
    ("conns.pending_silent", By("links.rs", "who_is_silent_for_so_long_makes_room_first"), "evicted"),
    ("mesh.ban", By("mesh.rs", "who_was_cut_is_kept_out_so_long"), "banned"),
    ("mesh.banned", By("mesh.rs", "so_many_are_kept_out"), "banned"),
    ("mesh.degree_low", By("mesh.rs", "who_has_few_links_takes_the_place_of_who_has_more_than_it_needs"), "displaced"),
    ("mesh.degree_target", By("mesh.rs", "who_has_few_links_takes_the_place_of_who_has_more_than_it_needs"), "displaced"),
    ("mesh.degree_high", By("mesh.rs", "links_to_peers_with_a_key"), "turned_away"),
    ("mesh.degree_outbound", By(DEGREE, "room_is_kept_for_own_dials_while_there_are_addresses_to_dial"), "turned_away"),
    ("mesh.displace_every", By("mesh.rs", "a_newcomer_without_links_takes_anothers_place_so_often"), "displaced"),
    ("mesh.trim_age", Not("when a link is closed hangs on `displace_every` too: only that it is"), "trimmed"),
    ("mesh.explore_every", By(MAINTENANCE, "each_task_runs_at_its_interval_and_only_when_needed"), "explored"),
    ("mesh.refresh_every", By(MAINTENANCE, "each_task_runs_at_its_interval_and_only_when_needed"), NONE),
    ("mesh.refresh_peers", By("mesh.rs", "peers_that_a_neighbour_is_told_of_now_and_again"), NONE),
    ("conns.first_byte", By("links.rs", "first_byte_and_greeting"), "violations"),
    ("conns.greeting", By("links.rs", "first_byte_and_greeting"), "violations"),
    ("conns.handshakes_per_second", By(SEALED, "handshakes_have_a_rate_and_whoever_is_expected_or_alone_goes_first"), "handshakes_delayed"),
    ("conns.handshakes_burst", By(SEALED, "handshakes_have_a_rate_and_whoever_is_expected_or_alone_goes_first"), "handshakes_delayed"),
    ("conns.greet_after", By("times.rs", "the_first_byte_before_the_greeting"), NONE),
    ("conns.greet_dialed", By("times.rs", "the_first_byte_before_a_dialer_greets"), NONE),
    ("conns.settle_v1", By("times.rs", "a_version_1_peer_hears_nothing_so_long"), NONE),
    ("conns.ping_idle", By("times.rs", "a_silent_peer_is_pinged_and_then_dead"), NONE),
    ("conns.dead", By("times.rs", "a_silent_peer_is_pinged_and_then_dead"), "silent"),
    ("conns.ping_answer", By("times.rs", "who_speaks_and_does_not_answer_is_dead"), "silent"),
    ("conns.probe", By("times.rs", "a_peer_whose_id_is_claimed_has_some_time_to_answer"), "silent"),
    ("conns.handover", By("times.rs", "what_comes_on_a_new_link_waits_for_the_end_of_the_old_one"), NONE),
    ("conns.linger", By("times.rs", "a_connection_that_is_closed_is_dropped_after_a_while"), NONE),
    ("mesh.dials", By("dials.rs", "dials_at_once_burst_and_rate"), "dials"),
    ("mesh.dial_burst", By("dials.rs", "dials_at_once_burst_and_rate"), "dials"),
    ("mesh.dial_every", By("dials.rs", "dials_at_once_burst_and_rate"), "dials"),
    ("mesh.host_dials", By("dials.rs", "dials_of_told_addresses_at_one_host_in_one_network_and_from_one_teller"), "dials_postponed"),
    ("mesh.host_dial_every", By("dials.rs", "dials_of_told_addresses_at_one_host_in_one_network_and_from_one_teller"), "dials_postponed"),
    ("mesh.net_dials", By("dials.rs", "dials_of_told_addresses_at_one_host_in_one_network_and_from_one_teller"), "dials_postponed"),
    ("mesh.net_dial_every", By("dials.rs", "dials_of_told_addresses_at_one_host_in_one_network_and_from_one_teller"), "dials_postponed"),
    ("mesh.teller_dials", By("dials.rs", "dials_of_told_addresses_at_one_host_in_one_network_and_from_one_teller"), "dials_postponed"),
    ("mesh.teller_dial_every", By("dials.rs", "dials_of_told_addresses_at_one_host_in_one_network_and_from_one_teller"), "dials_postponed"),
    ("mesh.budgets", By("proto-core/src/mesh/budgets.rs", "budgets_are_bounded_and_the_least_used_is_forgotten"), NONE),
    ("mesh.connect", By("dials.rs", "a_dial_has_five_seconds"), "dials_failed"),
    ("mesh.backoff_min", By("proto-core/src/mesh/backoff.rs", "delays_span_the_range_up_to_a_ceiling_that_doubles"), NONE),
    ("mesh.backoff_max", By("proto-core/src/mesh/backoff.rs", "delays_span_the_range_up_to_a_ceiling_that_doubles"), NONE),
    ("mesh.backoff_low", By(BOOK, "a_low_degree_shortens_waits_for_found_addresses_and_no_link_those_for_all"), NONE),
    ("mesh.backoff_user", By("proto-core/src/node/tests/mod.rs", "a_given_address_is_dialed_at_least_every_eight_seconds_for_ever"), NONE),
    ("mesh.backoff_reset", By("dials.rs", "a_link_that_lasted_so_long_takes_the_backoff_back_to_the_start"), NONE),
    ("mesh.taken_pause", By("proto-core/src/node/tests/shared_key.rs", "a_second_node_with_one_key_tries_again_every_ten_minutes"), "violations"),
    ("mesh.foreign_pause", By(NETWORKS, "an_address_of_another_network_is_not_dialed_for_an_hour"), "foreign"),
    ("mesh.targets", By("dials.rs", "addresses_of_the_user"), NONE),
    ("wire.peers_read", By("dials.rs", "entries_of_peers_that_are_read_and_new_addresses_of_one_link"), "learned"),
    ("conns.peers_sent", By("dials.rs", "entries_of_peers_that_are_sent_and_peers_told_of_a_newcomer"), NONE),
    ("mesh.learn_burst", By("dials.rs", "entries_of_peers_that_are_read_and_new_addresses_of_one_link"), "addresses_ignored"),
    ("mesh.learn_every", By("dials.rs", "entries_of_peers_that_are_read_and_new_addresses_of_one_link"), "addresses_ignored"),
    ("mesh.book", By("dials.rs", "addresses_in_the_book"), "addresses_ignored"),
    ("mesh.book_per_source", By("dials.rs", "addresses_of_one_source"), "addresses_ignored"),
    ("mesh.book_failures", By(BOOK, "an_address_is_forgotten_after_failures_unless_it_was_found_or_there_is_no_link"), NONE),
    ("mesh.book_fresh", Not("which address is dialed to explore is chance"), "explored"),
    ("mesh.pins", By(PINS, "whoever_has_many_addresses_in_one_network_pushes_out_its_own"), NONE),
    ("mesh.sealed_for", By(PINS, "a_key_is_expected_for_a_day_and_the_seal_for_thirty"), NONE),
    ("mesh.book_forget_after", By(BOOK, "a_found_address_stays_until_dials_have_failed_for_a_day"), NONE),
    ("chat.entries_per_second", By("rates.rs", "entries_of_an_author_over_all_links"), "entries_over_rate"),
    ("chat.entries_burst", By("rates.rs", "entries_of_an_author_over_all_links"), "entries_over_rate"),
    ("conns.frames_per_second", By("rates.rs", "frames_a_second"), "pauses"),
    ("conns.frames_burst", By("rates.rs", "frames_a_second"), "pauses"),
    ("conns.bytes_per_second", By("rates.rs", "bytes_a_second"), "pauses"),
    ("conns.bytes_burst", By("rates.rs", "bytes_a_second"), "pauses"),
    ("conns.chunk", By("queues.rs", "a_chunk_holds_so_much"), NONE),
    ("conns.queue", By("queues.rs", "an_output_queue_is_full_at_one_mebibyte"), "busy"),
    ("conns.pace", By(QUEUE, "a_full_queue_that_drains_at_the_pace_keeps_blocking"), "busy"),
    ("conns.pace_window", By(QUEUE, "a_full_queue_that_drains_at_the_pace_keeps_blocking"), "busy"),
    ("conns.patience", By(QUEUE, "a_stalled_full_queue_blocks_for_two_seconds_and_not_again_until_it_is_below_half"), "busy"),
    ("conns.queue_hard", By("queues.rs", "a_queue_that_nobody_waits_for_is_cut_at_eight_mebibytes"), "slow"),
    ("conns.queues", By("queues.rs", "a_link_over_its_queue_is_cut_when_all_buffers_are_over_the_bound_of_queues"), "slow"),
    ("conns.stalled", By("queues.rs", "a_link_that_takes_nothing_is_cut_after_a_while"), "slow"),
    ("conns.buffers", By("queues.rs", "the_link_with_the_longest_queue_is_cut_when_all_buffers_are_full"), "slow"),
    ("chat.batch", By("entries.rs", "entries_that_are_verified_together"), "verified_together"),
    ("chat.known_keys", By("proto-core/src/chat/known_keys.rs", "the_key_that_was_kept_first_makes_room"), NONE),
    ("chat.log_entries", By("entries.rs", "entries_in_the_log_and_evicted_ones_that_are_remembered"), "entries_evicted"),
    ("chat.log_bytes", By("entries.rs", "bytes_in_the_log"), "entries_evicted"),
    ("chat.evicted", By("entries.rs", "entries_in_the_log_and_evicted_ones_that_are_remembered"), "ids_forgotten"),
    ("chat.forks", By("entries.rs", "frozen_runs_that_are_remembered"), "forks_forgotten"),
    ("chat.spans", By(SHELF, "whoever_leaves_out_every_other_number_loses_its_own"), "spans_given_up"),
    ("chat.author_new", By("entries.rs", "authors_that_are_new"), "entries_evicted"),
    ("chat.new_authors_burst", By("rates.rs", "entries_of_new_authors_from_one_neighbour"), "entries_of_new_authors"),
    ("chat.new_authors_every", By("rates.rs", "entries_of_new_authors_from_one_neighbour"), "entries_of_new_authors"),
    ("chat.floors", By("entries.rs", "floors_and_how_long_they_are_kept"), "floors_forgotten"),
    ("chat.floors_for", By("entries.rs", "floors_and_how_long_they_are_kept"), "floors_forgotten"),
    ("chat.uncommitted_own", By(STORE, "the_users_words_are_refused_while_too_much_waits_for_the_store"), NONE),
    ("chat.uncommitted", By(STORE, "what_the_store_does_not_keep_up_with_waits_in_the_window"), "entries_not_kept"),
    ("chat.hold_back", By("entries.rs", "an_early_one_waits_so_long"), "gaps"),
    ("chat.hold_back_most", By("entries.rs", "an_early_one_waits_longer_while_its_range_may_come"), "gaps"),
    ("chat.catch_up", By(CATCH_UP, "it_ends_when_all_has_come_or_after_its_time_or_when_it_is_full"), NONE),
    ("chat.catch_up_bytes", By(CATCH_UP, "it_ends_when_all_has_come_or_after_its_time_or_when_it_is_full"), NONE),
    ("chat.history", By("proto-core/src/node/tests/conversation.rs", "what_is_old_when_it_comes_is_history"), NONE),
    ("chat.waited", By("proto-core/src/node/tests/conversation.rs", "what_waited_for_its_date_for_more_than_a_minute_is_history"), NONE),
    ("chat.early_per_author", By("entries.rs", "early_ones_of_an_author"), "entries_dropped"),
    ("chat.early", By("entries.rs", "early_ones_in_all"), "entries_displaced"),
    ("chat.authors", By("entries.rs", "authors"), "authors_forgotten"),
    ("chat.authors_bytes", By("entries.rs", "bytes_of_authors"), "authors_forgotten"),
    ("chat.lanes_per_author", By(LOG, "the_room_and_class_least_recently_heard_make_room_for_another"), "epochs_forgotten"),
    ("chat.epochs_per_author", By("entries.rs", "epochs_of_an_author"), "epochs_forgotten"),
    ("chat.names", By(NAMES, "so_many_uses_are_remembered"), "names_forgotten"),
    ("chat.names_per_author", By(NAMES, "a_key_has_a_few_names_and_the_one_used_longest_ago_is_forgotten"), "names_forgotten"),
    ("chat.name_settled", By(NAMES, "keys_that_are_new_push_out_each_other_alone"), "names_forgotten"),
    ("chat.name_told_every", By(NAMES, "the_user_is_told_of_a_name_at_an_interval"), "names_taken"),
    ("chat.gaps_per_epoch", By("entries.rs", "gaps_of_an_epoch"), "gaps_forgotten"),
    ("chat.ahead", By("entries.rs", "how_far_ahead_an_entry_may_be_dated"), NONE),
    ("chat.ahead_most", By("entries.rs", "how_far_ahead_an_entry_that_waits_may_be_dated"), "entries_dropped"),
    ("chat.live_age", By("proto-core/src/node/tests/classes.rs", "what_is_live_and_not_of_now_is_dropped"), "live_untimely"),
    ("chat.members", By(MEMBERS, "strangers_have_a_quarter_and_push_out_each_other_alone"), "members_forgotten"),
    ("chat.live_per_second", By(MEMBERS, "a_neighbour_brings_so_many_at_once_and_a_few_a_second"), "live_over_rate"),
    ("chat.live_burst", By(MEMBERS, "a_neighbour_brings_so_many_at_once_and_a_few_a_second"), "live_over_rate"),
    ("chat.clock_tolerance", By("proto-core/src/chat/skew.rs", "two_nodes_alone_are_both_told_the_difference"), NONE),
    ("chat.parked_bytes", By("entries.rs", "bytes_of_parked_entries"), "entries_displaced"),
    ("chat.syncs", By(RECONCILE, "reconciliations_are_bounded_and_there_is_one_per_connection"), "syncs"),
    ("chat.sync_rounds", By(RECONCILE, "a_reconciliation_with_too_many_rounds_is_given_up"), "syncs_given_up"),
    ("chat.sync_patience", By(RECONCILE, "a_reconciliation_that_waits_long_makes_room_for_another"), "syncs_given_up"),
    ("chat.sync_timeout", By(RECONCILE, "reconciliations_are_bounded_and_there_is_one_per_connection"), "syncs_given_up"),
    ("chat.syncs_ignored", By("proto-core/src/node/tests/entries.rs", "a_peer_that_answers_pings_but_no_sync_is_disconnected_and_banned"), "violations"),
    ("chat.sync_burst", By("gossip.rs", "messages_of_reconciliations_that_are_answered"), "syncs_refused"),
    ("chat.sync_every", By(RECONCILE, "messages_over_the_rate_are_not_answered"), "syncs_refused"),
    ("chat.root_period", By(CLAIMS, "the_date_of_an_entry_decides_which_periods_tree_it_takes"), NONE),
    ("chat.root_turn", By(CLAIMS, "the_date_of_an_entry_decides_which_periods_tree_it_takes"), NONE),
    ("chat.root_overlap", By(CLAIMS, "claims_for_distant_periods_are_ignored"), NONE),
    ("chat.sequence_every", By(CLAIMS, "a_node_that_hears_of_no_better_root_claims_to_be_it"), NONE),
    ("chat.sequence_least", By(CLAIMS, "sequence_numbers_rise_slowly_once_the_root_is_known"), NONE),
    ("chat.sequence_rise", By(CLAIMS, "sequence_numbers_rise_slowly_once_the_root_is_known"), NONE),
    ("chat.root_lives", By(CLAIMS, "an_expired_root_is_not_believed_again_without_a_newer_number"), NONE),
    ("chat.root_wait", By(CLAIMS, "a_node_that_hears_of_no_better_root_claims_to_be_it"), NONE),
    ("chat.roots_burst", By(CLAIMS, "root_changes_are_rate_limited"), "roots_ignored"),
    ("chat.roots_every", By(CLAIMS, "root_changes_are_rate_limited"), "roots_ignored"),
    ("chat.tree_patience", By(PLACE, "a_new_number_is_taken_from_the_parent_or_after_some_time_from_another_candidate"), NONE),
    ("chat.tree_advert_every", By(TELLING, "a_new_sequence_number_is_advertised_at_once_and_another_position_after_an_interval"), NONE),
    ("chat.tree_overlap", By(TELLING, "the_former_parent_is_pruned_last"), NONE),
    ("chat.parent_failures", By(CLAIMS, "a_settled_parent_is_given_up_after_enough_failures_within_the_window"), NONE),
    ("chat.parent_failures_window", By(CLAIMS, "a_settled_parent_is_given_up_after_enough_failures_within_the_window"), NONE),
    ("chat.parent_settled", By(CLAIMS, "a_settled_parent_is_given_up_after_enough_failures_within_the_window"), NONE),
    ("chat.parent_barred", By(CLAIMS, "a_failed_parent_is_barred_for_some_time"), NONE),
    ("chat.links_every", By("gossip.rs", "links_are_told_once_a_second"), NONE),
    ("chat.announce_after", By("gossip.rs", "the_lower_of_two_ids_announces_first"), NONE),
    ("chat.announce_tiebreak", By("gossip.rs", "the_lower_of_two_ids_announces_first"), NONE),
    ("chat.announced", By("gossip.rs", "announcements_that_wait"), "announcements_dropped"),
    ("chat.ask_after", By(TIP_FETCH, "a_bounded_number_is_requested_at_a_time_in_order"), NONE),
    ("chat.ask_after_alone", By("gossip.rs", "entries_that_are_missing_and_announced_by_one_neighbour"), NONE),
    ("chat.ask_same", By(REPAIR, "a_new_announcer_is_asked_soon_though_the_others_were_asked"), NONE),
    ("chat.ask_again", By(REPAIR, "announcers_are_asked_in_turn_the_first_one_first"), NONE),
    ("chat.ask_tries", By(REPAIR, "announcers_are_asked_in_turn_the_first_one_first"), NONE),
    ("chat.announcers", By(REPAIR, "announcers_are_bounded_and_a_new_one_replaces_one_that_was_asked"), NONE),
    ("chat.announced_missing", By("gossip.rs", "entries_that_are_missing"), "requests_dropped"),
    ("chat.announced_missing_per_link", By("gossip.rs", "entries_that_are_missing_and_announced_by_one_neighbour"), NONE),
    ("chat.spared", By("proto-core/src/chat/gossip/spared.rs", "who_says_most_makes_room"), NONE),
    ("chat.spared_for", By("proto-core/src/chat/gossip/spared.rs", "what_came_lately_from_one_author_is_taken_out_in_order"), NONE),
    ("chat.requested", By(TIP_FETCH, "a_bounded_number_is_requested_at_a_time_in_order"), NONE),
    ("chat.fetching", By(TIP_FETCH, "the_longest_queue_makes_room"), "requests_dropped"),
    ("chat.bodiless", By("proto-core/src/chat/gossip/ids_by_peer.rs", "so_many_entries_of_one_neighbour_are_remembered"), "bodies_gone"),
    ("chat.tips_bytes", By(TIPS, "the_oldest_tip_of_which_nothing_is_held_is_forgotten_and_the_rest_is_compared"), "tips_forgotten"),
    ("chat.tips_per_author", By(TIPS, "a_key_with_many_runs_displaces_its_own_tips_alone_and_moves_no_date"), "tips_forgotten"),
    ("chat.wanted", By(HOLES, "the_neighbour_that_showed_most_runs_makes_room"), "requests_dropped"),
    ("chat.ranges", By(RANGES, "the_newest_tip_comes_first_and_each_neighbour_has_so_many_ranges"), NONE),
    ("chat.range_first", By(RANGES, "few_are_asked_for_first_and_more_while_answers_are_whole_and_fast"), NONE),
    ("chat.range_most", By(RANGES, "few_are_asked_for_first_and_more_while_answers_are_whole_and_fast"), NONE),
    ("chat.range_wait", By(RANGES, "a_neighbour_that_brings_nothing_loses_its_range_to_another"), NONE),
    ("chat.serving", By(SERVING, "one_neighbours_requests_are_bounded"), "requests_dropped"),
    ("chat.served_queue", By("queues.rs", "what_was_asked_for_waits_for_room_on_the_link"), NONE),
    ("chat.loads", By(STORE_SERVING, "the_store_is_read_for_few_neighbours_at_once"), NONE),
    ("chat.load_bytes", By(STORE_SERVING, "what_has_left_the_window_is_served_from_the_store"), NONE),
    ("chat.budget_time", By(SERVING, "what_is_served_has_a_budget_for_each_key_and_each_host"), "served_over_budget"),
    ("chat.asked_for", By(TIP_FETCH, "entries_that_do_not_come_are_left_to_another_reconciliation"), NONE),
    ("chat.seen", By("entries.rs", "ids_of_entries_that_came"), "ids_forgotten"),
    ("chat.seen_for", By("proto-core/src/chat/gossip/seen.rs", "ids_are_kept_up_to_their_number_and_for_their_time"), NONE),
    ("chat.reconcile_every", By(SYNC, "every_neighbour_has_its_turn"), "syncs"),
    ("chat.reconcile_again", By(SYNC, "a_new_link_reconciles_at_once_and_a_requested_one_after_an_interval"), "syncs"),
    ("v1.step", By(BRIDGE, "the_lowest_id_brings_a_line_in_at_once_and_each_higher_id_one_second_later"), NONE),
    ("v1.gather", By(BRIDGE, "lines_due_at_one_time_are_brought_in_together_and_in_order"), NONE),
    ("v1.match_window", By(BRIDGE, "words_match_if_said_or_received_at_most_a_minute_apart"), NONE),
    ("v1.lines", By(BRIDGE, "the_oldest_line_is_forgotten_first"), "lines_forgotten"),
    ("v1.waiting", By(BRIDGE, "waiting_lines_are_bounded_and_the_one_due_last_is_dropped"), "lines_dropped"),
    ("v1.waiting_bytes", By(BRIDGE, "waiting_lines_are_bounded_and_the_one_due_last_is_dropped"), "lines_dropped"),
    ("v1.entries_per_second", By(BRIDGE, "all_peers_together_have_one_budget_of_entries"), "lines_dropped"),
    ("v1.entries_burst", By(BRIDGE, "all_peers_together_have_one_budget_of_entries"), "lines_dropped"),
    ("v1.bytes_per_second", By(BRIDGE, "what_waited_for_half_a_minute_is_not_brought_in_any_more"), "lines_dropped"),
    ("v1.bytes_burst", By(BRIDGE, "what_waited_for_half_a_minute_is_not_brought_in_any_more"), "lines_dropped"),
    ("v1.linked", By(BRIDGE, "the_peers_of_a_version_1_peer_replace_the_last_ones_and_are_bounded"), NONE),
    ("v1.greet_every", Not("when it is asked is chance: only that it is"), NONE),
    ("v1.greet_soon", Not("when it is asked is chance: only that it is"), NONE),
];

fn fields(of: &impl Serialize) -> BTreeSet<String> {
    let value = serde_json::to_value(of).unwrap();
    value.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn every_limit_stands_in_the_table_once() {
    let mut times: BTreeMap<_, usize> = Limits::ALL.iter().map(|limit| (limit.name, 0)).collect();
    for (field, ..) in TABLE {
        *times.get_mut(*field).unwrap_or_else(|| panic!("{field} is no limit")) += 1;
    }
    let wrong: Vec<_> = times.into_iter().filter(|(_, times)| *times != 1).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn every_test_and_every_counter_of_the_table_exists() {
    let counters = fields(&Stats::default());
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (field, tested, counter) in TABLE {
        assert!(*counter == NONE || counters.contains(*counter), "{counter}");
        let (file, test) = match tested {
            By(file, test) => (file, test),
            Not(why) => {
                assert!(!why.is_empty());
                continue;
            }
        };
        let path = if file.contains('/') {
            here.join("..").join(file)
        } else {
            here.join("tests/limits").join(file)
        };
        let source = std::fs::read_to_string(&path).unwrap();
        let is_test = |source: &str| {
            let lines: Vec<_> = source.lines().map(str::trim).collect();
            lines.windows(2).any(|pair| pair[0] == "#[test]" && pair[1] == format!("fn {test}() {{"))
        };
        assert!(is_test(&source), "{field}: there is no test {test} in {}", path.display());
    }
}
