package wire

import "strconv"

// etag is the strong entity tag of a version.
func etag(version int64) string { return strconv.Quote(strconv.FormatInt(version, 10)) }

// Page is a part of a list, newest first.
type Page[T any] struct {
	Data []T     `json:"data" nullable:"false" doc:"The rows, newest first."`
	Next *string `json:"next" doc:"The cursor of the next, older page: send it as after. Null on the last page."`
	Prev *string `json:"prev" doc:"The cursor of the page before, with newer rows: send it as before. Null on the first page."`
}
