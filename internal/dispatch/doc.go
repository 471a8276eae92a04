// Package dispatch decides which delivery is attempted when, hands it to the
// sender, and sees to it that what came of it is recorded.
//
// # Lanes
//
// Every webhook that has work has a lane: claims that wait for a slot, in order,
// and a note of when the store has more for it. A delivery comes into its lane in
// two ways. Most are born claimed: whoever accepts an event asks for room
// ([Dispatcher.Reserve]) and hands the claims over ([Dispatcher.Offer]); nothing
// is read again. All others wait in the store, and are claimed only for slots that
// are free now: a lane that is full is never claimed for, so a dead webhook with a
// million due deliveries costs nothing but rows. Lanes without work are forgotten.
//
// # Slots
//
// An attempt needs a slot, and a lane may take one if its webhook's concurrency
// and rate allow it. Slots are granted in turn: by project, then by webhook;
// first attempts before retries, but every fourth slot prefers what would come
// last (a retry; what waits in the store, in a lane whose memory never runs
// empty), so that nothing starves.
//
// One receiver must not delay another. There are two budgets of slots: the first
// has [Config.Workers], the second twice as many. A lane begins on the first, with
// one attempt; when that has ended it has all its webhook's concurrency. A lane
// whose last attempt took half a second or more, or whose attempts under way do,
// is slow and uses the second budget. When the first is short, what has lasted
// half a second moves to the second and leaves its slot. So receivers that hang
// hold back others for half a second, as long as those that begin to hang at once
// are fewer than the slots, and afterwards only each other. In either budget a
// project may hold three times as many slots as are free, so one alone can have
// three quarters, and whoever comes next finds some; in the second, a webhook may
// hold as many as are free.
//
// # Room
//
// Memory is bounded in deliveries and in bytes of payload, from the reservation
// until the result is recorded, and shared out like slots: a project may hold
// three times, a webhook twice what is free, and a slow webhook little more than
// it can attempt at once. Past the bound deliveries stay in the store.
//
// # When no attempt begins
//
// Whether a lane may take a slot is decided in one function, lane.wants.
//
// A receiver that fails is spared: the store keeps how each webhook stands
// ([telltale.Standing]) and opens its breaker. The lane then gives back what it
// has to the store, where deliveries wait with the attempts they had made, and
// takes neither slots nor room. Once the probe may go it begins one attempt, and
// no other before that is recorded, since only the store knows what follows.
// A breaker that closes lets one, two and four through likewise, and then all.
//
// A lane stands still while its webhook is disabled, deleted, or about to be
// because of an outcome that is being recorded. What a lane knows of its webhook
// is the newest version that any claim, poll or call of [Dispatcher.Changed]
// brought; the claims of a webhook that was disabled go back to the store.
//
// A node that was started paused has no lanes at all, sends tests alone, and leaves
// everything in the store, until [Dispatcher.Resume].
//
// The whole dispatcher stands still while the last heartbeat is older than
// [telltale.LeaseGrace] (others may have taken over our claims), and while the
// store does not take results: nothing is sent that cannot be recorded. Results
// are kept and tried again. They are given up if a stop runs out of time (the next
// start finds the claims and logs interrupted attempts), and, with an error in the
// log, if the store takes all others and refuses this one five times.
//
// # Pace
//
// A rate limit is exact: attempts are spaced, with a burst of what comes in 50 ms.
// An answer of 429 halves the lane's rate (of a lane without a limit, what it
// lately did in a second), once for all attempts that were under way; the rate
// doubles again every minute until it is what it was. Deliveries that were held
// come back at the webhook's rate limit, or at [telltale.ReleaseRate].
//
// # Several nodes
//
// Nodes that share a store divide what each webhook allows at once and a second
// ([telltale.Webhook.Share]) by what the heartbeat tells of them. A node takes room,
// slots and probes for its share only; a webhook of which it has none is left to the
// others. What is accepted where it cannot be attempted soon waits in the store, with a
// hint to the others ([Config.Hint]) that spares it the time until their next poll.
//
// # The loops
//
//	workers   send, decide, pile up the result, take the next
//	record    writes the pile, in one transaction; what piled up meanwhile goes next
//	claim     asks the store for all lanes that were granted slots and have none waiting
//	beat      says that the node is alive
//	poll      takes over from dead nodes and finds work that nobody told of
//
// Everything they share stands behind one mutex, under which nothing blocks.
package dispatch
