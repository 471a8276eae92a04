package sqlite

import (
	"fmt"
	"slices"

	"telltale.example/telltale"
)

// Closed sets of words are stored as small numbers, which never change.

// Physical states of a delivery. What a reader sees may differ: see
// [shownState]. They begin at 2, since SQLite stores 0 and 1 in no byte at all
// and a row that keeps its size is overwritten where it stands.
const (
	stateWaiting   = 2
	stateSending   = 3
	stateSucceeded = 4
	stateFailed    = 5
	stateCancelled = 6
)

var triggers = []telltale.Trigger{
	telltale.TriggerAutomatic, telltale.TriggerManual, telltale.TriggerTest, telltale.TriggerReplay,
}

// States of a replay begin at 2 for the same reason.
const (
	replayRunning  = 2
	replayFinished = 4
)

var replayStates = []telltale.ReplayState{"", "", telltale.ReplayRunning, telltale.ReplayPaused, telltale.ReplayFinished, telltale.ReplayCancelled}

// States of an import likewise.
const (
	importRunning  = 2
	importFinished = 4
	importFailed   = 5
)

var importStates = []telltale.ImportState{"", "", telltale.ImportRunning, telltale.ImportPaused, telltale.ImportFinished, telltale.ImportFailed, telltale.ImportCancelled}

var importKinds = []telltale.ImportKind{telltale.ImportProfiles, telltale.ImportEvents, telltale.ImportUnsubscribes}

var whichWords = []telltale.Which{telltale.WhichFailed, telltale.WhichHeld, telltale.WhichUnsent, telltale.WhichUndelivered, telltale.WhichAll}

var healths = []telltale.Health{telltale.HealthNeverUsed, telltale.HealthHealthy, telltale.HealthFailing}

var breakerStates = []telltale.BreakerState{telltale.BreakerClosed, telltale.BreakerOpen, telltale.BreakerClosing}

var disabledReasons = []telltale.DisabledReason{
	"", telltale.DisabledManual, telltale.DisabledGone, telltale.DisabledBlocked, telltale.DisabledFailing,
}

var credits = []telltale.Credit{"", telltale.CreditDirect, telltale.CreditViewed, telltale.CreditIndirect}

var suppressions = []telltale.Suppression{"", telltale.SuppressedBounced, telltale.SuppressedComplained}

var eventTypes = telltale.EveryEventType()

// code is the place of word in words.
func code[W ~string](words []W, word W) (int64, error) {
	i := slices.Index(words, word)
	if i < 0 {
		return 0, fmt.Errorf("there is no %T %q", word, word)
	}
	return int64(i), nil
}

// word gives back what code made a number of; "" for what is no code.
func word[W ~string](words []W, code int64) W {
	if code < 0 || code >= int64(len(words)) {
		return ""
	}
	return words[code]
}
