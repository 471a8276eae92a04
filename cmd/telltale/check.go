package main

import (
	"errors"
	"net/http"
	"strings"

	"telltale.example/telltale"
	"telltale.example/telltale/internal/client"
	"telltale.example/telltale/internal/config"
	"telltale.example/telltale/internal/wire"
)

// valid gives a rule that the input breaks the form in which the server would
// report it, so that both look alike.
func valid(err error) error {
	var e *telltale.Error
	if !errors.As(err, &e) {
		return err
	}
	answer := &client.Error{Status: http.StatusUnprocessableEntity, Detail: e.Message}
	for _, f := range e.Faults {
		answer.Faults = append(answer.Faults, wire.Fault(f))
	}
	return answer
}

// checkID refuses what cannot be an id before it becomes a part of a path. To
// the API, too, such a thing does not exist.
func checkID(noun, prefix, id string) error {
	if telltale.ValidID(prefix, id) {
		return nil
	}
	return fail(exitNotFound, "there is no %s %q; expected an id of %s and 26 characters, as telltale %s list shows it", noun, telltale.CutValue(id), prefix, plural(noun))
}

func plural(noun string) string {
	if rest, ok := strings.CutSuffix(noun, "y"); ok && noun != "key" {
		return rest + "ies"
	}
	return noun + "s"
}

func checkWebhook(id string) error  { return checkID("webhook", "whk_", id) }
func checkEvent(id string) error    { return checkID("event", "evt_", id) }
func checkDelivery(id string) error { return checkID("delivery", "dlv_", id) }
func checkKey(id string) error      { return checkID("key", "key_", id) }

func checkSlug(slug string) error {
	return valid(telltale.Project{Slug: slug, Name: "x"}.Validate())
}

func checkBin(id string) error {
	if id == "" || len(id) > 64 || strings.ContainsFunc(id, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') }) {
		return fail(exitNotFound, "there is no bin %q; expected an id of small letters and digits, as telltale inspect list shows it", telltale.CutValue(id))
	}
	return nil
}

// checkEventType refuses what is no event type.
func checkEventType(name string) error {
	if _, err := telltale.ParseEventType(name); err != nil {
		var names []string
		for _, t := range telltale.EveryEventType() {
			names = append(names, string(t))
		}
		if nearest := config.Nearest(name, names); nearest != "" {
			return usage("there is no event type %q; did you mean %s?", telltale.CutValue(name), nearest)
		}
		return usage("%v", err)
	}
	return nil
}
