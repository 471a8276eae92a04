package web

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"telltale.example/telltale"
)

// Bounds of forms.
const (
	maxForm   = 1 << 20 // bytes
	maxFields = 2000
)

// form is what was sent, and what is wrong with it by the name of the field.
type form struct {
	Values url.Values
	Faults []fieldFault
}

// fieldFault is one thing that is wrong, and the field that it is about.
type fieldFault struct{ Field, Message string }

// form reads the body. TooLarge, Malformed, or UnsupportedMedia for what is no form.
func (c *call) form() (*form, error) {
	kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" && kind != "multipart/form-data" {
		return nil, telltale.Errorf(telltale.Malformed, "This is no form.")
	}
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, maxForm)
	if kind == "multipart/form-data" { // htmx sends it when a form says so
		err = c.r.ParseMultipartForm(maxForm)
	} else {
		err = c.r.ParseForm()
	}
	if err != nil {
		if errors.As(err, new(*http.MaxBytesError)) {
			return nil, telltale.Errorf(telltale.TooLarge, "A form is at most 1 MiB.")
		}
		return nil, &telltale.Error{Code: telltale.Malformed, Message: "This form cannot be read.", Cause: err}
	}
	n := 0
	for _, values := range c.r.PostForm {
		if n += len(values); n > maxFields {
			return nil, telltale.Errorf(telltale.TooLarge, "A form has at most %d fields.", maxFields)
		}
	}
	return &form{Values: c.r.PostForm}, nil
}

// text gives a field without the white space around it.
func (f *form) text(name string) string { return strings.TrimSpace(f.Values.Get(name)) }

// ticked reports whether a checkbox is.
func (f *form) ticked(name string) bool { return f.Values.Get(name) != "" }

// fault notes what is wrong with a field.
func (f *form) fault(field, message string) {
	f.Faults = append(f.Faults, fieldFault{field, message})
}

// blame takes over the faults of err, whose locations are those of the API
// (body.url): names gives the field of each by its location without "body.", or
// of what it begins with. It reports whether err was such an error, and gives
// back any other.
func (f *form) blame(err error, names map[string]string) error {
	var e *telltale.Error
	if !errors.As(err, &e) || e.Code != telltale.Invalid {
		return err
	}
	if len(e.Faults) == 0 {
		f.fault("", e.Message)
	}
	for _, fault := range e.Faults {
		at := strings.TrimPrefix(fault.Location, "body.")
		field, ok := names[at]
		for whole := at; !ok && whole != ""; {
			i := strings.LastIndexAny(whole, ".[")
			if i < 0 {
				field = at
				break
			}
			whole = whole[:i]
			field, ok = names[whole]
		}
		message := fault.Message
		if fault.Expected != "" {
			message = strings.TrimSuffix(message, ".") + ": " + fault.Expected + "."
		}
		f.fault(field, message)
	}
	return nil
}

// OK reports whether nothing is wrong.
func (f *form) OK() bool { return f == nil || len(f.Faults) == 0 }

// What templates ask.

func (f *form) Value(name string) string {
	if f == nil {
		return ""
	}
	return f.Values.Get(name)
}

func (f *form) Fault(name string) string {
	if f == nil {
		return ""
	}
	for _, fault := range f.Faults {
		if fault.Field == name {
			return fault.Message
		}
	}
	return ""
}
