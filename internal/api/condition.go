package api

import (
	"net/http"
	"strings"

	"telltale.example/telltale"
)

// Conditional requests (RFC 9110, section 13). What can be changed has a strong
// ETag, its version in quotes; a list has one of the bytes of its page. GET honours
// If-None-Match, PATCH and DELETE honour If-Match.

// versioned is the form of what has a version.
type versioned interface{ ETag() string }

// IfMatch makes a change depend on what the caller has seen.
type IfMatch struct {
	IfMatch string `header:"If-Match" doc:"The ETag that was seen last: if it is no longer the one, nothing is changed, and the answer is 412. May be left out, unless the server was told to ask for it." example:"\"7\""`
}

// IfNoneMatch asks for news only.
type IfNoneMatch struct {
	IfNoneMatch string `header:"If-None-Match" doc:"The ETag that was seen last: if it is still the one, the answer is 304." example:"\"7\""`
}

// condition is what a request demands of the version of what it changes.
type condition struct {
	tags []string // as they were given; empty: nothing is demanded
}

// condition reads the request's If-Match.
func (a *api) condition(c *call) (condition, error) {
	tags, err := entityTags(c.request.Header, "If-Match")
	if err == nil && len(tags) == 0 && a.config.RequireIfMatch {
		err = telltale.Errorf(telltale.PreconditionRequired, "Say with If-Match which version is to be changed: the ETag of the answer to GET.")
	}
	return condition{tags}, err
}

// given reports whether anything is demanded.
func (c condition) given() bool { return len(c.tags) > 0 }

// version is what the store is asked to find: 0, which stands for whichever it
// is, if nothing is demanded.
func (c condition) version(now int64) int64 {
	if !c.given() {
		return 0
	}
	return now
}

// maxMerges is how often a change is merged anew when others change the same
// thing at the same time.
const maxMerges = 5

// onTop changes what read gives, if that is what the caller demands. A change that
// someone else made meanwhile is kept: this one is made again on top of it, unless
// the caller demands that there was none.
func onTop[T any](noun, id string, seen condition, read func() (T, error), form func(T) versioned, change func(old T) (T, error)) (none T, err error) {
	for range maxMerges {
		old, err := read()
		if err != nil {
			return none, err
		}
		if err := seen.check(form(old)); err != nil {
			return none, err
		}
		changed, err := change(old)
		switch {
		case telltale.CodeOf(err) == telltale.PreconditionFailed:
			continue
		case err != nil:
			return none, found(err, noun, id)
		}
		return changed, nil
	}
	return none, telltale.Errorf(telltale.Conflict, "Others are changing the %s at the same time. Try again.", noun)
}

// check gives PreconditionFailed unless the condition holds for what is there
// now. Weak tags hold for nothing (section 13.1.1).
func (c condition) check(now versioned) error {
	if !c.given() {
		return nil
	}
	for _, tag := range c.tags {
		if tag == "*" || tag == now.ETag() {
			return nil
		}
	}
	return telltale.Errorf(telltale.PreconditionFailed, "The ETag is now %s: read it again and decide anew.", now.ETag())
}

// unchanged reports whether the caller of a GET has what would be answered already.
func unchanged(header http.Header, etag string) bool {
	tags, err := entityTags(header, "If-None-Match")
	if err != nil || etag == "" { // what cannot be read demands nothing
		return false
	}
	for _, tag := range tags {
		if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
			return true
		}
	}
	return false
}

// maxTags bounds the tags of a request.
const maxTags = 20

// entityTags reads a header that is "*" or lists entity tags.
func entityTags(header http.Header, name string) ([]string, error) {
	text := strings.Join(header.Values(name), ",")
	var tags []string
	for rest := strings.TrimLeft(text, " \t,"); rest != ""; rest = strings.TrimLeft(rest, " \t,") {
		tag, after, ok := entityTag(rest)
		after = strings.TrimLeft(after, " \t")
		if !ok || len(tags) == maxTags || after != "" && after[0] != ',' {
			return nil, telltale.Faulty("Invalid header.", []telltale.Fault{{
				Location: "header." + name, Message: "This is no list of ETags.", Expected: `an ETag with its quotes, such as "7", or *`, Value: telltale.CutValue(text),
			}})
		}
		tags, rest = append(tags, tag), after
	}
	return tags, nil
}

// entityTag reads the tag at the beginning of s: opaque characters within
// quotes (section 8.8.3).
func entityTag(s string) (tag, rest string, ok bool) {
	if strings.HasPrefix(s, "*") {
		return "*", s[1:], true
	}
	weak := ""
	if strings.HasPrefix(s, "W/") {
		weak, s = "W/", s[2:]
	}
	if !strings.HasPrefix(s, `"`) {
		return "", "", false
	}
	end := strings.IndexByte(s[1:], '"')
	if end < 0 || strings.ContainsFunc(s[1:1+end], func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", "", false
	}
	return weak + s[:end+2], s[end+2:], true
}
