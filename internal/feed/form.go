package feed

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
)

// maxFormParts bounds the parts of a form in multipart/form-data.
const maxFormParts = 1000

// formType is the encoding of forms that have no files.
const formType = "application/x-www-form-urlencoded"

// isForm reports whether the body is a form, in either encoding.
func isForm(r *Request) bool {
	kind, _, _ := mime.ParseMediaType(r.ContentType()) // what cannot be read is no form's
	return kind == formType || kind == "multipart/form-data"
}

// readForm gives the fields of a form in either encoding, without its files.
func readForm(r *Request) (url.Values, error) {
	kind, parameters, err := mime.ParseMediaType(r.ContentType())
	if err != nil {
		return nil, err
	}
	if kind != "multipart/form-data" {
		return url.ParseQuery(string(r.Body))
	}
	form := url.Values{}
	parts := multipart.NewReader(bytes.NewReader(r.Body), parameters["boundary"])
	for n := 0; ; n++ {
		part, err := parts.NextPart()
		switch {
		case errors.Is(err, io.EOF):
			return form, nil
		case err != nil:
			return nil, err
		case n == maxFormParts:
			return nil, fmt.Errorf("it has more than %d parts", maxFormParts)
		case part.FileName() != "":
			continue
		}
		value, err := io.ReadAll(part) // at most the body, which is bounded
		if err != nil {
			return nil, err
		}
		form.Add(part.FormName(), string(value))
	}
}
