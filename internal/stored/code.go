package stored

import (
	"fmt"
	"slices"

	"telltale.example/telltale"
)

// Closed sets of words are stored as small numbers, which never change.

// Physical states of a delivery. What a reader sees may differ: what
// waits is held while its webhook is disabled. They begin at 2, since SQLite
// stores 0 and 1 in no byte at all and a row that keeps its size is overwritten
// where it stands.
const (
	StateWaiting   = 2
	StateSending   = 3
	StateSucceeded = 4
	StateFailed    = 5
	StateCancelled = 6
)

var Triggers = []telltale.Trigger{
	telltale.TriggerAutomatic, telltale.TriggerManual, telltale.TriggerTest, telltale.TriggerReplay,
}

// States of a replay begin at 2 for the same reason.
const (
	ReplayRunning  = 2
	ReplayFinished = 4
)

var ReplayStates = []telltale.ReplayState{"", "", telltale.ReplayRunning, telltale.ReplayPaused, telltale.ReplayFinished, telltale.ReplayCancelled}

// States of an import likewise.
const (
	ImportRunning  = 2
	ImportFinished = 4
	ImportFailed   = 5
)

var ImportStates = []telltale.ImportState{"", "", telltale.ImportRunning, telltale.ImportPaused, telltale.ImportFinished, telltale.ImportFailed, telltale.ImportCancelled}

var ImportKinds = []telltale.ImportKind{telltale.ImportProfiles, telltale.ImportEvents, telltale.ImportUnsubscribes}

var WhichWords = []telltale.Which{telltale.WhichFailed, telltale.WhichHeld, telltale.WhichUnsent, telltale.WhichUndelivered, telltale.WhichAll}

var Healths = []telltale.Health{telltale.HealthNeverUsed, telltale.HealthHealthy, telltale.HealthFailing}

var BreakerStates = []telltale.BreakerState{telltale.BreakerClosed, telltale.BreakerOpen, telltale.BreakerClosing}

var DisabledReasons = []telltale.DisabledReason{
	"", telltale.DisabledManual, telltale.DisabledGone, telltale.DisabledBlocked, telltale.DisabledFailing,
}

var Credits = []telltale.Credit{"", telltale.CreditDirect, telltale.CreditViewed, telltale.CreditIndirect}

var Suppressions = []telltale.Suppression{"", telltale.SuppressedBounced, telltale.SuppressedComplained}

var EventTypes = telltale.EveryEventType()

// Code is the place of word in words.
func Code[W ~string](words []W, word W) (int64, error) {
	i := slices.Index(words, word)
	if i < 0 {
		return 0, fmt.Errorf("there is no %T %q", word, word)
	}
	return int64(i), nil
}

// Word gives back what Code made a number of; "" for what is no code.
func Word[W ~string](words []W, code int64) W {
	if code < 0 || code >= int64(len(words)) {
		return ""
	}
	return words[code]
}
