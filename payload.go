package telltale

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// This file is the contract of payloads as a table, and what follows from it:
// [Activity.Render] checks an activity against the table and writes the payload
// by it. The JSON Schemas in package schema say the same for receivers; tests
// hold the two together.

// Rendered is an activity made into what is stored: the payload, and what
// events are found by.
type Rendered struct {
	Payload    []byte
	OccurredAt time.Time // the payload's own time, else the activity's, else that of receipt; UTC
	UserID     string
	Email      string
	MessageID  string
	CampaignID string
}

// section is an object of the payload that has documented keys of its own.
type section int

const (
	sectionTop section = iota
	sectionUser
	sectionCampaign
	sectionTrigger
	sectionChanges
	sectionCount
)

func sectionNamed(key string) (section, bool) {
	switch key {
	case "user":
		return sectionUser, true
	case "campaign":
		return sectionCampaign, true
	case "event":
		return sectionTrigger, true
	case "changes":
		return sectionChanges, true
	}
	return sectionTop, false
}

// sectionPaths are where the sections are below the top level, for faults.
var sectionPaths = [sectionCount]string{"", ".user", ".campaign", ".event", ".changes"}

func (a *Activity) object(s section) *Object {
	switch s {
	case sectionUser:
		return &a.User
	case sectionCampaign:
		return &a.Campaign
	case sectionTrigger:
		return &a.Trigger
	case sectionChanges:
		return &a.Changes
	}
	return &a.Top
}

// contract is what a payload of one type looks like.
type contract struct {
	sections  [sectionCount]*layout // nil where the type documents no such object
	typeKey   int                   // place of the key type in the top level
	typeValue string                // its value, as JSON
	timeKey   int                   // place of the key with the event's own time, -1 if there is none
}

// layout is the documented keys of one object, in the order in which they are sent.
type layout struct {
	fields      []field
	extrasFirst bool // other keys go before the documented ones, not behind them
}

// field is one documented key.
type field struct {
	name    string
	token   string // the name as JSON
	kind    fieldKind
	section section  // for kindSection
	max     int      // characters of a text that events are found by; 0 is no limit of its own
	choices []string // for kindChoice
}

// maxFields is more than any layout has; maxMembers is how many keys of an
// object are read at most.
const (
	maxFields  = 12
	maxMembers = MaxExtraKeys + maxFields
)

// fieldKind is what values a documented key may have.
type fieldKind int

const (
	kindText       fieldKind = iota // a string
	kindTime                        // whole Unix seconds
	kindInteger                     // an integer of any size
	kindID                          // a number or a string
	kindCampaignID                  // an integer or a string
	kindChoice                      // one of a few strings
	kindData                        // an object, passed on as it is
	kindTags                        // {add, remove}
	kindTexts                       // an array of strings
	kindType                        // the type itself
	kindSection                     // an object with documented keys
)

const expectedTime = "whole Unix seconds, 0 to 253402300799"

func (f *field) expected() string {
	switch f.kind {
	case kindTime:
		return expectedTime
	case kindInteger:
		return "an integer"
	case kindID:
		return fmt.Sprintf("a number, or a string of at most %d characters", f.max)
	case kindCampaignID:
		return fmt.Sprintf("an integer, or a string of at most %d characters", f.max)
	case kindChoice:
		return strings.Join(f.choices, " or ")
	case kindData, kindTags, kindSection:
		return "an object"
	case kindTexts:
		return "an array of strings"
	}
	if f.max > 0 {
		return fmt.Sprintf("a string of at most %d characters", f.max)
	}
	return "a string"
}

// The kinds of documented keys, by object; a key that is not named is a text.
var (
	topKinds = map[string]field{
		"type": {kind: kindType},
		"user": {kind: kindSection, section: sectionUser}, "campaign": {kind: kindSection, section: sectionCampaign},
		"event": {kind: kindSection, section: sectionTrigger}, "changes": {kind: kindSection, section: sectionChanges},
		"sent_at": {kind: kindTime}, "delivered_at": {kind: kindTime}, "opened_at": {kind: kindTime}, "clicked_at": {kind: kindTime},
		"bounced_at": {kind: kindTime}, "unsubscribed_at": {kind: kindTime}, "complained_at": {kind: kindTime},
		"bounce_type": {kind: kindChoice, choices: []string{"hard", "soft"}}, "bounce_code": {kind: kindInteger},
		"message_id": {max: MaxMessageID},
		"action":     {kind: kindChoice, choices: []string{"user_updated"}},
		"id":         {kind: kindID, max: MaxIDChars}, "email": {max: MaxIDChars},
	}
	userKinds     = map[string]field{"id": {kind: kindID, max: MaxIDChars}, "email": {max: MaxIDChars}}
	campaignKinds = map[string]field{
		"id":         {kind: kindCampaignID, max: MaxIDChars},
		"channel":    {kind: kindChoice, choices: []string{"email", "sms", "push"}},
		"message_id": {max: MaxMessageID},
	}
	triggerKinds = map[string]field{"data": {kind: kindData}, "triggered_at": {kind: kindTime}}
	changesKinds = map[string]field{"_tags": {kind: kindTags}}
	tagsKinds    = map[string]field{"add": {kind: kindTexts}, "remove": {kind: kindTexts}}
)

// The objects within a payload.
var (
	userLayout = documented(userKinds, "id", "email")
	// The properties of a created user are spread before id and email.
	createdUserLayout = &layout{fields: userLayout.fields, extrasFirst: true}

	campaignLayout = documented(campaignKinds, "id", "type", "name", "group", "channel", "subject",
		"trigger-event", "permalink", "sent_to", "variation", "locale")
	unsubscribedCampaignLayout = documented(campaignKinds, "campaign_title", "series_title", "channel", "message_id",
		"email_subject", "variation_name", "template")

	triggerLayout = documented(triggerKinds, "data", "name", "triggered_at")
	changesLayout = documented(changesKinds, "_tags")
	tagsLayout    = documented(tagsKinds, "add", "remove")
)

// contracts holds the twelve payloads, in the order of eventTypes.
var contracts = [eventTypeCount]*contract{
	payloadOf(Sent, "sent_at", "type", "user", "campaign", "message_id"),
	payloadOf(Delivered, "delivered_at", "type", "user", "campaign", "message_id"),
	payloadOf(Opened, "opened_at", "user_agent", "type", "user", "campaign", "message_id"),
	payloadOf(Clicked, "clicked_at", "user_agent", "type", "user", "campaign", "message_id"),
	payloadOf(Failed, "type", "bounce_code", "bounce_message", "user", "campaign"),
	payloadOf(Bounced, "bounced_at", "bounce_type", "bounce_code", "bounce_message", "type", "user", "campaign", "message_id"),
	payloadOf(Converted, "type", "user", "campaign", "message_id"),
	payloadOf(Unsubscribed, "unsubscribed_at", "type", "user", "campaign"),
	payloadOf(Resubscribed, "type", "user"),
	payloadOf(Complained, "complained_at", "type", "user", "event", "campaign", "message_id"),
	payloadOf(UserCreated, "type", "user"),
	payloadOf(UserUpdated, "action", "type", "user", "id", "email", "changes"),
}

// unknownContract checks what can be checked where the type is not known.
var unknownContract = payloadOf("", "type", "user")

func contractOf(t EventType) *contract {
	if i := t.place(); i >= 0 {
		return contracts[i]
	}
	return unknownContract
}

// payloadOf makes the contract of a type from the keys of its top level.
func payloadOf(t EventType, keys ...string) *contract {
	c := &contract{typeValue: quote(string(t)), timeKey: -1}
	top := documented(topKinds, keys...)
	c.sections[sectionTop] = top
	for i, f := range top.fields {
		switch {
		case f.kind == kindTime:
			c.timeKey = i
		case f.kind == kindType:
			c.typeKey = i
		case f.kind == kindSection:
			c.sections[f.section] = sectionLayout(t, f.section)
		}
	}
	return c
}

func sectionLayout(t EventType, s section) *layout {
	switch {
	case s == sectionUser && t == UserCreated:
		return createdUserLayout
	case s == sectionUser:
		return userLayout
	case s == sectionCampaign && t == Unsubscribed:
		return unsubscribedCampaignLayout
	case s == sectionCampaign:
		return campaignLayout
	case s == sectionTrigger:
		return triggerLayout
	}
	return changesLayout
}

// documented makes a layout of keys in the order in which they are sent.
func documented(kinds map[string]field, keys ...string) *layout {
	l := &layout{fields: make([]field, len(keys))}
	for i, key := range keys {
		f := kinds[key]
		f.name, f.token = key, quote(key)
		l.fields[i] = f
	}
	return l
}

func (l *layout) find(name string) int {
	for i := range l.fields {
		if l.fields[i].name == name {
			return i
		}
	}
	return -1
}

// Render checks the activity against the contract of its type and makes the
// payload: the documented keys in their order, then all others in theirs;
// strings and digits as they were written; no whitespace, no HTML escapes.
// Documented keys whose value is null or "" are left out, and so are objects
// in which nothing is left. What is missing and can be known is filled in: the
// type's own time from OccurredAt, else receivedAt; action, id and email of
// user_updated from the user. An object that the type does not document is not
// rendered.
//
// Faults are as those of [ParseActivity]; an activity that it returned has
// none. Their locations begin as there, or with "activity" for one that was
// made in code. The texts of Rendered may share memory with the activity.
func (a Activity) Render(receivedAt time.Time) (Rendered, []Fault) {
	c := contractOf(a.Type)
	l := laidOut{at: a.location}
	if l.at == "" {
		l.at = "activity"
	}
	if !a.Type.Valid() {
		l.note(Fault{Location: l.at + ".type", Message: a.Type.notSentIn(), Expected: "one of " + typeList, Value: CutValue(string(a.Type))})
	}
	l.lay(&a, c)
	if len(l.faults) > 0 {
		return Rendered{}, l.faults
	}
	top := &l.sections[sectionTop].values
	occurred := a.OccurredAt
	switch {
	case c.timeKey >= 0 && top[c.timeKey] != "":
		occurred = unixTime(top[c.timeKey])
	case occurred.IsZero():
		occurred = receivedAt
	}
	if c.timeKey >= 0 && top[c.timeKey] == "" {
		top[c.timeKey] = strconv.FormatInt(occurred.Unix(), 10)
	}
	top[c.typeKey] = c.typeValue
	if a.Type == UserUpdated {
		fillUserUpdated(top, &l.sections[sectionUser].values)
	}
	return Rendered{
		Payload:    l.append(make([]byte, 0, l.size), &a, c),
		OccurredAt: occurred.UTC(),
		UserID:     a.UserID(), Email: a.Email(), MessageID: a.MessageID(), CampaignID: a.CampaignID(),
	}, nil
}

// fillUserUpdated fills in what user_updated says twice. Its id is always a string.
func fillUserUpdated(top, user *[maxFields]string) {
	const action, id, email = 0, 3, 4 // places in the contract of user_updated
	top[action] = `"user_updated"`
	if top[id] == "" {
		top[id] = user[0]
	}
	if kindOf(top[id]) == '0' {
		top[id] = `"` + canonicalNumber(top[id]) + `"`
	}
	if top[email] == "" {
		top[email] = user[1]
	}
}

// laidOut is an activity sorted into the places of its contract.
type laidOut struct {
	sections [sectionCount]laidObject
	at       string // where the activity came from
	faults   []Fault
	empties  bool // a documented key had an empty value
	size     int  // of the payload, about
}

type laidObject struct {
	values [maxFields]string // of the documented keys, "" where there is none
	extras int               // how many members are not documented
}

// lay sorts a into its contract and notes what breaks it.
func (l *laidOut) lay(a *Activity, c *contract) {
	l.size = 96 // for what is filled in
	for s, layout := range c.sections {
		if layout != nil {
			l.layObject(&l.sections[s], a.object(section(s)), layout, sectionPaths[s])
		}
	}
	user := &l.sections[sectionUser].values
	l.size += len(user[0]) + len(user[1])
	switch {
	case user[0] != "" || user[1] != "":
	case a.User.Len() > 0:
		l.note(Fault{Location: l.at + ".user.id", Message: "The user has neither an id nor an email.", Expected: "user.id or user.email"})
	case isEmpty(a.Top.Get("user")) || !a.Top.Has("user"):
		l.note(Fault{Location: l.at + ".user", Message: "The user is missing.", Expected: "an object with id or email"})
	}
	l.checkTelltale(a)
}

// layObject sorts one object. path is where it is below the activity.
func (l *laidOut) layObject(into *laidObject, o *Object, of *layout, path string) {
	for _, m := range o.members {
		l.size += len(m.name) + len(m.value) + 2
		name := unquote(m.name)
		i := of.find(name)
		switch {
		case i < 0:
			into.extras++
			l.checkExtra(name, of, path)
		case isEmpty(m.value):
			l.empties = true
		default:
			f := &of.fields[i]
			into.values[i] = m.value
			if message := f.check(m.value); message != "" {
				l.note(Fault{Location: l.at + path + "." + name, Message: message, Expected: f.expected(), Value: CutValue(m.value)})
			} else if f.kind == kindTags {
				into.values[i] = l.layTags(m.value, path+"."+name)
			} else if f.kind == kindTexts && !allTexts(m.value) {
				l.noteTexts(m.value, path+"."+name, f)
			}
		}
	}
	if into.extras > MaxExtraKeys {
		l.note(tooManyKeys(l.at + path))
	}
}

// layTags gives _tags with its keys in order.
func (l *laidOut) layTags(value, path string) string {
	tags, err := ParseObject([]byte(value))
	if err != nil {
		l.note(Fault{Location: l.at + path, Message: "The value cannot be read.", Expected: "an object", Value: CutValue(value)})
		return value
	}
	var laid laidObject
	l.layObject(&laid, &tags, tagsLayout, path)
	return string(laid.append(make([]byte, 0, len(value)+2), tags, tagsLayout))
}

// checkExtra notes a key that passes for a documented one in another case.
// Receivers that take names in any case, as Go's encoding/json does, would
// read the one for the other.
func (l *laidOut) checkExtra(name string, of *layout, path string) {
	for i := range of.fields {
		if f := &of.fields[i]; strings.EqualFold(name, f.name) {
			l.note(Fault{Location: below(l.at+path, name), Message: "The key differs from a documented one only in case.", Expected: f.name})
		}
	}
	if path == "" && strings.EqualFold(name, reservedKey) {
		l.note(Fault{Location: below(l.at, name), Message: "The key is reserved.", Expected: reservedKey + ", in lower case and once"})
	}
	if len(name) > MaxKeyBytes {
		l.note(Fault{Location: below(l.at+path, name), Message: "The key is too long.", Expected: fmt.Sprintf("at most %d bytes", MaxKeyBytes)})
	}
}

// reservedKey carries what is not payload. It comes in on ingest and goes out to
// webhooks with extensions, and means nothing else.
const reservedKey = "telltale"

func (l *laidOut) note(f Fault) {
	if len(l.faults) < maxFaults {
		l.faults = append(l.faults, f)
	}
}

// check says what is wrong with a value of the key, or nothing.
func (f *field) check(value string) string {
	kind := kindOf(value)
	ok := kind == '"'
	switch f.kind {
	case kindTime:
		return checkTime(value)
	case kindInteger:
		return checkInteger(value)
	case kindID:
		ok = ok || kind == '0'
		if kind == '0' && len(canonicalNumber(value)) > f.max {
			return "The number is too long."
		}
	case kindCampaignID:
		if kind == '0' {
			return checkInteger(value)
		}
	case kindChoice:
		if ok && !slices.Contains(f.choices, unquote(value)) {
			return "The value is none of those that the key can have."
		}
	case kindData, kindTags:
		ok = kind == '{'
	case kindTexts:
		ok = kind == '['
	case kindType:
		return "The type is a field of the activity, and no member."
	case kindSection:
		if kind == '{' {
			return "The object is a field of the activity, and no member."
		}
		ok = false
	}
	if !ok {
		return isA(value)
	}
	if f.max > 0 && kind == '"' {
		return checkIndexed(unquote(value), f.max)
	}
	return ""
}

// checkTime checks for Unix seconds that fall into the years 1970 to 9999.
func checkTime(value string) string {
	if message := checkInteger(value); message != "" {
		return message
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err == nil && 0 <= seconds && seconds <= maxUnix && value[0] != '-':
		return ""
	case err == nil && seconds > maxUnix && seconds/1000 <= maxUnix:
		return "The time is out of range; it looks like milliseconds."
	}
	return "The time is out of range."
}

// checkInteger checks for a whole number written as digits alone.
func checkInteger(value string) string {
	if kindOf(value) != '0' {
		return isA(value)
	}
	if strings.ContainsAny(value, ".eE") {
		return "The number has a fraction or an exponent."
	}
	return ""
}

// unixTime is the time of a value that checkTime passed.
func unixTime(value string) time.Time {
	seconds, _ := strconv.ParseInt(value, 10, 64)
	return time.Unix(seconds, 0).UTC()
}

// checkIndexed says what is wrong with a text that events are found by. Not
// every store can keep a zero character.
func checkIndexed(s string, max int) string {
	switch {
	case len(s) > max && utf8.RuneCountInString(s) > max, len(s) > maxIndexedBytes:
		return "The value is too long."
	case strings.IndexByte(s, 0) >= 0:
		return `The value has the character \u0000.`
	}
	return ""
}

// noteTexts notes each element of an array that is no string.
func (l *laidOut) noteTexts(value, path string, f *field) {
	d := jsontext.NewDecoder(strings.NewReader(value))
	_, _ = d.ReadToken() // the bracket; the value was read before, so that nothing here can fail
	for i := 0; d.PeekKind() != ']'; i++ {
		v, err := d.ReadValue()
		if err != nil {
			return
		}
		if v.Kind() != '"' {
			l.note(Fault{Location: fmt.Sprintf("%s%s[%d]", l.at, path, i), Message: isA(string(v)), Expected: f.expected(), Value: CutValue(string(v))})
		}
	}
}

// allTexts reports whether the elements of an array, valid and without
// whitespace, are strings. It is on the way of every change of tags.
func allTexts(array string) bool {
	for i := 1; array[i] != ']'; i++ {
		if array[i] != '"' {
			return false
		}
		for i++; array[i] != '"'; i++ {
			if array[i] == '\\' {
				i++
			}
		}
		if array[i+1] == ']' {
			return true
		}
		i++ // to the comma
	}
	return true
}

// checkTelltale checks what came beside the payload, or was set in code.
func (l *laidOut) checkTelltale(a *Activity) {
	if t := a.OccurredAt; !t.IsZero() && (t.Unix() < 0 || t.Unix() > maxUnix) {
		l.note(Fault{Location: l.at + ".telltale.occurred_at", Message: "The time is out of range.", Expected: expectedTime, Value: t.Format(time.RFC3339)})
	}
	for _, f := range [...]struct {
		key, value string
		max        int
	}{
		{"id", a.CallerID, MaxIDChars},
		{"provider_message_id", a.ProviderMessageID, MaxMessageID},
		{"conversion_event", a.ConversionEvent, MaxIDChars},
	} {
		if message := checkIndexed(f.value, f.max); message != "" {
			l.note(Fault{Location: l.at + ".telltale." + f.key, Message: message, Expected: fmt.Sprintf("at most %d characters", f.max), Value: CutValue(f.value)})
		}
	}
	// The link goes out in a header, too, and must not be able to end it.
	if len(a.URL) > MaxLinkBytes || strings.ContainsFunc(a.URL, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
		l.note(Fault{Location: l.at + ".telltale.url", Message: "The URL is too long, or has spaces or control characters.", Expected: fmt.Sprintf("at most %d bytes, with such characters escaped", MaxLinkBytes), Value: CutValue(a.URL)})
	}
	if a.IP != "" {
		if ip, err := netip.ParseAddr(a.IP); err != nil || ip.Zone() != "" {
			l.note(Fault{Location: l.at + ".telltale.ip", Message: "This is no IP address.", Expected: "an IPv4 or IPv6 address", Value: CutValue(a.IP)})
		}
	}
}

// canonicalNumber writes a JSON number as plain decimal digits, exactly: 1e2 and
// 100.0 are 100, and -0 is 0.
func canonicalNumber(number string) string {
	if !strings.ContainsAny(number, ".eE") && number != "-0" {
		return number
	}
	digits, sign, exponent := number, "", 0
	if digits[0] == '-' {
		digits, sign = digits[1:], "-"
	}
	if i := strings.IndexAny(digits, "eE"); i >= 0 {
		exponent, _ = strconv.Atoi(digits[i+1:])
		digits = digits[:i]
	}
	whole, fraction, _ := strings.Cut(digits, ".")
	// The value is 0.digits times ten to the power of point.
	digits, point := whole+fraction, len(whole)+exponent
	significant := strings.TrimLeft(digits, "0")
	point -= len(digits) - len(significant)
	significant = strings.TrimRight(significant, "0")
	switch {
	case significant == "":
		return "0"
	case point <= 0:
		return sign + "0." + strings.Repeat("0", -point) + significant
	case point >= len(significant):
		return sign + significant + strings.Repeat("0", point-len(significant))
	}
	return sign + significant[:point] + "." + significant[point:]
}

// append writes the top level, and within it the other sections.
func (l *laidOut) append(dst []byte, a *Activity, c *contract) []byte {
	top, of := &l.sections[sectionTop], c.sections[sectionTop]
	dst = append(dst, '{')
	for i := range of.fields {
		f := &of.fields[i]
		if f.kind == kindSection {
			inner := &l.sections[f.section]
			if inner.isEmpty() {
				continue
			}
			dst = append(append(dst, f.token...), ':')
			dst = inner.append(dst, *a.object(f.section), c.sections[f.section])
			dst = append(dst, ',')
			continue
		}
		dst = appendMember(dst, f.token, top.values[i])
	}
	return closeObject(top.appendExtras(dst, a.Top, of))
}

// append writes an object: what is documented in its order, the rest in its own.
func (laid *laidObject) append(dst []byte, o Object, of *layout) []byte {
	dst = append(dst, '{')
	if of.extrasFirst {
		dst = laid.appendExtras(dst, o, of)
	}
	for i := range of.fields {
		dst = appendMember(dst, of.fields[i].token, laid.values[i])
	}
	if !of.extrasFirst {
		dst = laid.appendExtras(dst, o, of)
	}
	return closeObject(dst)
}

func (laid *laidObject) appendExtras(dst []byte, o Object, of *layout) []byte {
	if laid.extras == 0 {
		return dst
	}
	for _, m := range o.members {
		if of.find(unquote(m.name)) < 0 {
			dst = appendMember(dst, m.name, m.value)
		}
	}
	return dst
}

func (laid *laidObject) isEmpty() bool {
	return laid.extras == 0 && laid.values == [maxFields]string{}
}

// appendMember writes a member and the comma behind it, or nothing if it has no value.
func appendMember(dst []byte, token, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(append(dst, token...), ':')
	return append(append(dst, value...), ',')
}

// closeObject puts a brace in the place of the last member's comma.
func closeObject(dst []byte) []byte {
	if dst[len(dst)-1] == ',' {
		dst[len(dst)-1] = '}'
		return dst
	}
	return append(dst, '}')
}

// dropEmpties removes documented keys without a value from a.
func (a *Activity) dropEmpties(c *contract) {
	for s, of := range c.sections {
		if of != nil {
			o := a.object(section(s))
			o.members = slices.DeleteFunc(o.members, func(m member) bool {
				return isEmpty(m.value) && of.find(unquote(m.name)) >= 0
			})
		}
	}
}

// Extensions is what a payload gains for a webhook with extensions, under the
// key telltale. What is unknown is left out.
type Extensions struct {
	ID         EventID
	Source     string
	OccurredAt time.Time
	URL        string
	IP         string
	Machine    *bool
}

// AppendExtensions appends payload, which [Activity.Render] made, with one more
// key at its end: telltale, with what e knows. Its time is in whole Unix
// seconds like those of the payload.
func AppendExtensions(dst, payload []byte, e Extensions) []byte {
	dst = append(dst, payload[:len(payload)-1]...)
	dst = append(dst, `,"telltale":{`...)
	text := func(key, value string) {
		if value != "" {
			dst = appendMember(dst, key, quote(value))
		}
	}
	text(`"id"`, string(e.ID))
	text(`"source"`, e.Source)
	if !e.OccurredAt.IsZero() {
		dst = appendMember(dst, `"occurred_at"`, strconv.FormatInt(e.OccurredAt.Unix(), 10))
	}
	text(`"url"`, e.URL)
	text(`"ip"`, e.IP)
	if e.Machine != nil {
		dst = appendMember(dst, `"machine"`, strconv.FormatBool(*e.Machine))
	}
	return append(closeObject(dst), '}')
}
