package api

import "telltale.example/telltale"

// An id that cannot be one is answered like one that does not exist, and like
// one that belongs to another project: whoever asks learns no more than that.

func webhookID(id string) (telltale.WebhookID, error) {
	return telltale.WebhookID(id), wellFormed("whk_", "webhook", id)
}

func eventID(id string) (telltale.EventID, error) {
	return telltale.EventID(id), wellFormed("evt_", "event", id)
}

func deliveryID(id string) (telltale.DeliveryID, error) {
	return telltale.DeliveryID(id), wellFormed("dlv_", "delivery", id)
}

func keyID(id string) (telltale.KeyID, error) {
	return telltale.KeyID(id), wellFormed("key_", "key", id)
}

func replayID(id string) (telltale.ReplayID, error) {
	return telltale.ReplayID(id), wellFormed("rpl_", "replay", id)
}

func importID(id string) (telltale.ImportID, error) {
	return telltale.ImportID(id), wellFormed("imp_", "import", id)
}

func sourceID(id string) (telltale.SourceID, error) {
	return telltale.SourceID(id), wellFormed("src_", "source", id)
}

func requestID(id string) (telltale.RequestID, error) {
	return telltale.RequestID(id), wellFormed("req_", "request", id)
}

func wellFormed(prefix, noun, id string) error {
	if !telltale.ValidID(prefix, id) {
		return notFound(noun, id)
	}
	return nil
}

// found gives what the store said about one that was asked for by its id.
func found(err error, noun, id string) error {
	if telltale.CodeOf(err) == telltale.NotFound {
		return notFound(noun, id)
	}
	return err
}

func notFound(noun, id string) error {
	return telltale.Errorf(telltale.NotFound, "There is no %s %q.", noun, telltale.CutValue(id))
}
