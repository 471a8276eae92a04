package sqlite

import "telltale.example/telltale"

// convert gives the event converted of the message of the user that is credited
// with what they did; nil if none is. No messages are kept yet to be credited.
func (tx *tx) convert(_ *project, _ *telltale.UserChanges, _ *profileRow, _ *telltale.TrackedEvent) (*telltale.Event, error) {
	return nil, nil
}
