package track

import (
	"bytes"
	"errors"
	"mime"
	"strings"

	"telltale.example/telltale"
)

// MaxBody is how many bytes the body of a request may have: as many as an event.
const MaxBody = telltale.MaxEventBytes

// parseBody makes an object of a body: of JSON, if that is its media type or it
// begins with a brace, else of a form.
func parseBody(contentType string, body []byte) (telltale.Object, error) {
	body = bytes.Trim(body, " \t\r\n")
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		media = strings.ToLower(strings.TrimSpace(contentType))
	}
	switch {
	case len(body) == 0:
		return telltale.Object{}, nil
	case body[0] == '{', media == "application/json", media == "text/json", strings.HasSuffix(media, "+json"):
		o, err := telltale.ParseObject(body)
		return o, relocate(err, "body")
	case strings.HasPrefix(media, "multipart/"):
		return telltale.Object{}, telltale.Errorf(telltale.UnsupportedMedia, "The body is of the type %s. Send JSON, or a form of the type application/x-www-form-urlencoded.", telltale.CutValue(media))
	}
	return parseForm(string(body), "body")
}

// relocate gives the faults of an object that was parsed by itself the location
// at which it stood.
func relocate(err error, location string) error {
	var e *telltale.Error
	if !errors.As(err, &e) {
		return err
	}
	for i, f := range e.Faults {
		if rest, ok := strings.CutPrefix(f.Location, "object"); ok {
			e.Faults[i].Location = location + rest
		}
	}
	return err
}

// complete adds to what the body says what only the query says. Null says nothing.
func complete(body, query telltale.Object) telltale.Object {
	for name, value := range body.Clone().All() {
		if value == "null" {
			body.Delete(name)
		}
	}
	body.Complete(query)
	return body
}
