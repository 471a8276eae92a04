package telltale

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Activity is what a source told us, normalised and not yet stored. The ingest
// API parses it from JSON in the shape of the payload ([ParseActivity]); other
// sources fill it in. Members that are missing may be completed from a stored
// message or profile ([Object.Complete]); then [Activity.Render] checks it
// against the contract of its type and makes the payload.
type Activity struct {
	Type EventType

	// The payload's members. A member whose key the type documents is rendered
	// in its documented place, every other one passes through behind them.
	Top      Object // the top level, but for type and the four objects below
	User     Object
	Campaign Object
	Trigger  Object // the key event of complained: the event that triggered the message
	Changes  Object // the key changes of user_updated

	// What the reserved key telltale carries. It is not part of the payload.
	CallerID          string    // the caller's own id, by which a repetition is known
	OccurredAt        time.Time // 1970 to 9999; zero if only the payload or nobody says
	ProviderMessageID string
	ConversionEvent   string // the goal of the campaign
	URL               string // the link that was clicked
	IP                string // of the recipient
	Machine           *bool  // whether a machine opened or clicked; nil if unknown

	location string // where it came from, for faults
}

// Bounds of what comes in. They hold before anything is made of the input.
const (
	MaxEventBytes  = 256 << 10 // one event as it came
	MaxDepth       = 32        // objects and arrays in one another, the event itself included
	MaxExtraKeys   = 100       // keys of one object beyond the documented ones
	MaxKeyBytes    = 255       // the name of a key, unescaped
	MaxNumberChars = 64        // a number as written
	MaxExponent    = 3         // digits of a number's exponent
	MaxIDChars     = 255       // a user's or campaign's id, an email address, a caller's id, an event's name
	MaxMessageID   = 998       // a Message-Id: the longest line of RFC 5322
	MaxLinkBytes   = 4096      // telltale.url

	// maxIndexedBytes keeps what events are found by within the width of an
	// index, whatever its characters: 255 of four bytes.
	maxIndexedBytes = 4 * MaxIDChars

	maxUnix   = 253402300799 // 9999-12-31T23:59:59Z
	maxFaults = 100          // reported for one event
)

// Location is where the activity stood in the input that it was parsed from, as
// in body[3]; empty for one that was made in code.
func (a Activity) Location() string { return a.location }

// Clone gives a copy whose members can be changed without changing a's.
func (a Activity) Clone() Activity {
	a.Top, a.User, a.Campaign, a.Trigger, a.Changes = a.Top.Clone(), a.User.Clone(), a.Campaign.Clone(), a.Trigger.Clone(), a.Changes.Clone()
	return a
}

// Event renders the activity into an event of the project that came in through
// the source at that time, or gives the faults of [Activity.Render]. The event
// has a new id; the hash of its content is left to whoever knows the input.
func (a *Activity) Event(project ProjectID, source string, receivedAt time.Time) (*Event, []Fault) {
	rendered, faults := a.Render(receivedAt)
	if len(faults) > 0 {
		return nil, faults
	}
	// One allocation each: events that came together end at different times, and
	// the last of them should not hold the others in memory.
	return &Event{
		ID:        NewEventID(),
		ProjectID: project,
		Type:      a.Type,
		Source:    source,

		HardBounce: a.Type == Bounced && a.Top.Text("bounce_type") == "hard",

		OccurredAt: rendered.OccurredAt,
		ReceivedAt: receivedAt,

		Payload:    rendered.Payload,
		UserID:     rendered.UserID,
		Email:      rendered.Email,
		MessageID:  rendered.MessageID,
		CampaignID: rendered.CampaignID,

		URL:               a.URL,
		IP:                a.IP,
		Machine:           a.Machine,
		ProviderMessageID: a.ProviderMessageID,
		ConversionEvent:   a.ConversionEvent,
		CallerID:          a.CallerID,
	}, nil
}

// UserID is the user's id in canonical form, in which the number 123 and the
// string "123" are one user; empty if unknown.
func (a Activity) UserID() string {
	id := a.User.Get("id")
	if kindOf(id) == '0' {
		return canonicalNumber(id)
	}
	return text(id)
}

// Email is the email address of the user's profile; empty if unknown.
func (a Activity) Email() string { return a.User.Text("email") }

// CampaignID is the id of the campaign; empty if unknown.
func (a Activity) CampaignID() string { return indexable(a.Campaign.Text("id")) }

// MessageID is the id of the message in the form of [CanonicalMessageID],
// which unsubscribed has within its campaign; empty if unknown.
func (a Activity) MessageID() string {
	of := a.Top
	if a.Type == Unsubscribed {
		of = a.Campaign
	}
	if id := of.Get("message_id"); kindOf(id) == '"' {
		return CanonicalMessageID(indexable(unquote(id)))
	}
	return ""
}

// CanonicalMessageID is a message id as events are found by it: without the
// angle brackets that a Message-Id has in the head of an email.
func CanonicalMessageID(id string) string {
	if len(id) > 2 && id[0] == '<' && id[len(id)-1] == '>' {
		return id[1 : len(id)-1]
	}
	return id
}

// indexable is s if events can be found by it, else empty. It matters for
// ids under keys that the type does not document, and so does not check.
func indexable(s string) string {
	if len(s) > maxIndexedBytes || strings.IndexByte(s, 0) >= 0 {
		return ""
	}
	return s
}

// ParseActivity reads one event in the shape of its payload, as the ingest API
// takes it. Locations of faults begin with location, as in body[3].user.id.
//
// The error is an [Error] with every fault found, of code
//   - [TooLarge] for more than [MaxEventBytes],
//   - [Malformed] for what is not one JSON value: wrong syntax, an end too
//     early, more data behind it, a byte order mark, NaN; invalid UTF-8 and lone
//     surrogates; a key that is there twice. Reading ends at the first of
//     these; faults of the other kind found before it are reported too;
//   - [Invalid] for JSON that is wrong: past the bounds above, no known type,
//     a documented key with the wrong kind of value or in another case, no
//     user. Reading ends where nesting or the number of keys is past its bound.
//
// A documented key whose value is null or "" is left out. What is returned does
// not share memory with raw.
func ParseActivity(raw []byte, location string) (Activity, error) {
	return parse(raw, location, (*parser).activity)
}

// parse runs read over raw with a parser of its own and gives what it returns,
// or the faults it noted.
func parse[T any](raw []byte, location string, read func(*parser) (T, error)) (T, error) {
	var none T
	if len(raw) > MaxEventBytes {
		return none, tooLarge(location, len(raw))
	}
	p := parsers.Get().(*parser)
	defer p.release()
	p.input = *bytes.NewBuffer(raw)
	p.dec.Reset(&p.input)
	p.text, p.location = string(raw), location
	v, err := read(p)
	if err != nil && !errors.Is(err, errStop) {
		p.note(p.syntaxFault(err))
		return none, &Error{Code: Malformed, Message: "The input cannot be parsed.", Faults: p.faults}
	}
	if p.faults != nil {
		return none, &Error{Code: Invalid, Message: "The input is not valid.", Faults: p.faults}
	}
	return v, nil
}

// parser reads one event, token by token, so that every bound is checked before
// anything is kept. Names and values are parts of text, so keeping them copies
// nothing.
type parser struct {
	dec      jsontext.Decoder
	input    bytes.Buffer
	text     string
	location string
	faults   []Fault
	lists    [sectionCount + 1][]member // scratch: members by section, and those of telltale
}

const telltaleList = sectionCount

// parsers saves the buffers of decoder and scratch between events.
var parsers = sync.Pool{New: func() any { return new(parser) }}

// errStop ends the reading of an event after a fault that is noted already.
var errStop = errors.New("stop reading")

func (p *parser) release() {
	for i, l := range p.lists {
		clear(l)
		p.lists[i] = l[:0]
	}
	p.input = bytes.Buffer{}
	p.dec.Reset(&p.input)
	p.text, p.location, p.faults = "", "", nil
	parsers.Put(p)
}

// activity reads an event and checks it against the contract of its type.
func (p *parser) activity() (Activity, error) {
	if p.dec.PeekKind() != '{' {
		v, err := p.loneValue()
		if err == nil {
			p.note(Fault{Location: p.location, Message: "The event is " + kindName(v) + ".", Expected: "an object", Value: CutValue(v)})
		}
		return Activity{}, err
	}
	typeValue, err := p.topLevel()
	if err != nil {
		return Activity{}, err
	}
	a := Activity{location: p.location}
	a.Type = p.eventType(typeValue)
	p.telltale(&a)
	c := contractOf(a.Type)
	p.settleSections(c)
	p.keep(&a)
	l := laidOut{at: p.location}
	l.lay(&a, c)
	for _, f := range l.faults {
		p.note(f)
	}
	if l.empties {
		a.dropEmpties(c)
	}
	return a, nil
}

// topLevel reads the whole event into the lists. The type may come last, so
// whether campaign, event and changes are documented is not known yet: an
// object is read as a section, and a member without value marks its place.
func (p *parser) topLevel() (typeValue string, err error) {
	if _, err := p.dec.ReadToken(); err != nil {
		return "", err
	}
	for p.dec.PeekKind() != '}' {
		name, err := p.name(maxMembers)
		if err != nil {
			return "", err
		}
		key := unquote(name)
		s, isObject := sectionNamed(key)
		if key == reservedKey {
			s, isObject = telltaleList, true
		}
		var value string
		if isObject && p.dec.PeekKind() == '{' {
			p.lists[s], err = p.object(p.lists[s])
		} else {
			value, err = p.value()
		}
		switch {
		case err != nil:
			return "", err
		case key == "type":
			typeValue = value
		case s == telltaleList && value != "" && !isEmpty(value):
			p.note(Fault{Location: p.location + "." + reservedKey, Message: isA(value), Expected: "an object", Value: CutValue(value)})
		case s != telltaleList:
			p.lists[sectionTop] = append(p.lists[sectionTop], member{name, value})
		}
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return "", err
	}
	return typeValue, p.end()
}

// eventType reads the value of the key type, which is "" if there is none.
func (p *parser) eventType(value string) EventType {
	var message string
	switch {
	case value == "" || isEmpty(value):
		message = "The type is missing."
	case kindOf(value) != '"':
		message = isA(value)
	default:
		t := EventType(unquote(value))
		if t.Valid() {
			return t
		}
		message = t.notSentIn()
	}
	p.note(Fault{Location: p.location + ".type", Message: message, Expected: "one of " + typeList, Value: CutValue(value)})
	return ""
}

// settleSections takes the marks of documented sections out of the top level,
// and puts the object itself in the place of marks that are not.
func (p *parser) settleSections(c *contract) {
	top := p.lists[sectionTop]
	kept := top[:0]
	for _, m := range top {
		if m.value == "" {
			s, _ := sectionNamed(unquote(m.name))
			if c.sections[s] != nil {
				continue
			}
			if len(p.lists[s]) > MaxExtraKeys {
				p.note(tooManyKeys(p.location + "." + unquote(m.name)))
			}
			m.value = string(Object{p.lists[s]}.AppendJSON(nil))
			clear(p.lists[s])
			p.lists[s] = p.lists[s][:0]
		}
		kept = append(kept, m)
	}
	clear(top[len(kept):])
	p.lists[sectionTop] = kept
}

// keep moves what was read into a, all of it in one piece of memory.
func (p *parser) keep(a *Activity) {
	n := 0
	for s := range sectionCount {
		n += len(p.lists[s])
	}
	all := make([]member, 0, n)
	for s := range sectionCount {
		from := len(all)
		all = append(all, p.lists[s]...)
		// The capacity ends here, so that a member added later does not
		// overwrite the next section's first.
		a.object(s).members = all[from:len(all):len(all)]
	}
}

// telltale reads what the reserved key carried. Everything in it is optional,
// and nothing may be in it that would go unnoticed.
func (p *parser) telltale(a *Activity) {
	for _, m := range p.lists[telltaleList] {
		if isEmpty(m.value) {
			continue
		}
		var message, expected string
		text := func(into *string) {
			if kindOf(m.value) != '"' {
				message, expected = isA(m.value), "a string"
				return
			}
			*into = unquote(m.value)
		}
		name := unquote(m.name)
		switch name {
		case "id":
			text(&a.CallerID)
		case "occurred_at":
			if message, expected = checkTime(m.value), expectedTime; message == "" {
				a.OccurredAt = unixTime(m.value)
			}
		case "provider_message_id":
			text(&a.ProviderMessageID)
		case "conversion_event":
			text(&a.ConversionEvent)
		case "url":
			text(&a.URL)
		case "ip":
			text(&a.IP)
		case "machine":
			machine := m.value == "true"
			if !machine && m.value != "false" {
				message, expected = isA(m.value), "true or false"
			}
			a.Machine = &machine
		default:
			message, expected = "There is no such key in telltale.", "id, occurred_at, provider_message_id, conversion_event, url, ip or machine"
		}
		if message != "" {
			p.note(Fault{Location: below(p.location+"."+reservedKey, name), Message: message, Expected: expected, Value: CutValue(m.value)})
		}
	}
}

// lone reads an object and nothing else.
func (p *parser) lone() (Object, error) {
	if p.dec.PeekKind() != '{' {
		v, err := p.loneValue()
		if err == nil {
			p.note(Fault{Location: p.location, Message: isA(v), Expected: "an object", Value: CutValue(v)})
		}
		return Object{}, err
	}
	list, err := p.object(nil)
	if err != nil {
		return Object{}, err
	}
	return Object{list}, p.end()
}

// loneValue reads one value and nothing else.
func (p *parser) loneValue() (string, error) {
	v, err := p.value()
	if err != nil {
		return "", err
	}
	return v, p.end()
}

// end checks that nothing follows.
func (p *parser) end() error {
	if _, err := p.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errTrailing
	}
	return nil
}

var errTrailing = errors.New("more data after the end")

// object reads an object and appends its members to list.
func (p *parser) object(list []member) ([]member, error) {
	if _, err := p.dec.ReadToken(); err != nil {
		return list, err
	}
	for p.dec.PeekKind() != '}' {
		name, err := p.name(maxMembers)
		if err != nil {
			return list, err
		}
		value, err := p.value()
		if err != nil {
			return list, err
		}
		list = append(list, member{name, value})
	}
	_, err := p.dec.ReadToken()
	return list, err
}

// value reads one value within the bounds and gives it without whitespace
// between its tokens.
func (p *parser) value() (string, error) {
	if k := p.dec.PeekKind(); k != '{' && k != '[' {
		return p.scalar()
	}
	outer := p.dec.StackDepth()
	if _, err := p.dec.ReadToken(); err != nil {
		return "", err
	}
	start := p.dec.InputOffset() - 1
	for p.dec.StackDepth() > outer {
		if p.dec.StackDepth() > MaxDepth {
			p.note(Fault{Location: p.location, Message: tooDeep, Expected: fmt.Sprintf("at most %d levels", MaxDepth)})
			return "", errStop
		}
		var err error
		switch p.dec.PeekKind() {
		case '{', '[', '}', ']':
			_, err = p.dec.ReadToken()
		default:
			if kind, n := p.dec.StackIndex(p.dec.StackDepth()); kind == '{' && n%2 == 0 {
				_, err = p.name(MaxExtraKeys)
			} else {
				_, err = p.scalar()
			}
		}
		if err != nil {
			return "", err
		}
	}
	v := p.text[start:p.dec.InputOffset()]
	if !strings.ContainsAny(v, " \t\r\n") {
		return v, nil
	}
	compact := jsontext.Value(v)
	err := compact.Compact()
	return string(compact), err
}

// name reads a key as it is written. max is how many keys its object may have.
func (p *parser) name(max int64) (string, error) {
	name, err := p.token()
	if err != nil {
		return "", err
	}
	if len(name) > MaxKeyBytes && len(unquote(name)) > MaxKeyBytes {
		err = p.noteOrStop(Fault{Location: p.path(p.dec.StackPointer()), Message: "The key is too long.", Expected: fmt.Sprintf("at most %d bytes", MaxKeyBytes)})
	}
	if _, n := p.dec.StackIndex(p.dec.StackDepth()); (n+1)/2 > max {
		p.note(tooManyKeys(p.path(p.dec.StackPointer().Parent())))
		err = errStop
	}
	return name, err
}

func tooManyKeys(location string) Fault {
	return Fault{Location: location, Message: "The object has too many keys.", Expected: fmt.Sprintf("at most %d beyond the documented ones", MaxExtraKeys)}
}

// scalar reads a value that is no object or array.
func (p *parser) scalar() (string, error) {
	v, err := p.token()
	if err != nil || kindOf(v) != '0' {
		return v, err
	}
	exponent := ""
	if i := strings.IndexAny(v, "eE"); i >= 0 {
		exponent = strings.TrimLeft(v[i+1:], "+-")
	}
	if len(v) > MaxNumberChars || len(exponent) > MaxExponent {
		err = p.noteOrStop(Fault{
			Location: p.path(p.dec.StackPointer()), Message: "The number is too long.",
			Expected: fmt.Sprintf("at most %d characters, of them %d for the digits of an exponent", MaxNumberChars, MaxExponent), Value: CutValue(v),
		})
	}
	return v, err
}

// token reads a scalar or a name and gives it as a part of the text.
func (p *parser) token() (string, error) {
	v, err := p.dec.ReadValue()
	if err != nil {
		return "", err
	}
	end := p.dec.InputOffset()
	return p.text[end-int64(len(v)) : end], nil
}

// note keeps a fault, once, as long as there are not too many.
func (p *parser) note(f Fault) {
	known := func(g Fault) bool { return g.Location == f.Location && g.Message == f.Message }
	if len(p.faults) < maxFaults && !slices.ContainsFunc(p.faults, known) {
		p.faults = append(p.faults, f)
	}
}

// noteOrStop is note for what an input may be full of: with enough faults, the
// reading ends.
func (p *parser) noteOrStop(f Fault) error {
	if len(p.faults) >= maxFaults {
		return errStop
	}
	p.note(f)
	return nil
}

// syntaxFault says for a person why the text is not one JSON value.
func (p *parser) syntaxFault(err error) Fault {
	const expected = "one JSON value in UTF-8"
	var syntax *jsontext.SyntacticError
	switch {
	case strings.HasPrefix(p.text, "\ufeff"):
		return Fault{Location: p.location, Message: "The input begins with a byte order mark.", Expected: expected}
	case errors.Is(err, io.EOF):
		return Fault{Location: p.location, Message: "The input is empty.", Expected: expected}
	case errors.Is(err, errTrailing):
		return Fault{Location: p.location, Message: "There is more data after the end.", Expected: expected}
	case !errors.As(err, &syntax):
		return Fault{Location: p.location, Message: "The input cannot be read: " + err.Error() + ".", Expected: expected}
	case errors.Is(err, jsontext.ErrDuplicateName):
		return Fault{Location: p.path(syntax.JSONPointer), Message: "The key is there twice.", Expected: "each key once"}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Fault{Location: p.path(syntax.JSONPointer), Message: "The input ends too early.", Expected: expected}
	}
	return Fault{Location: p.path(syntax.JSONPointer), Message: fmt.Sprintf("%s, at byte %d.", capitalised(syntax.Err.Error()), syntax.ByteOffset), Expected: expected}
}

func capitalised(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// path writes a pointer into what is being read as a location.
func (p *parser) path(pointer jsontext.Pointer) string {
	at := p.location
	depth := 0
	for name := range pointer.Tokens() {
		depth++
		kind := jsontext.Kind('{')
		if depth <= p.dec.StackDepth() {
			kind, _ = p.dec.StackIndex(depth)
		}
		if kind == '[' {
			at += "[" + name + "]"
		} else {
			at = below(at, name)
		}
	}
	return at
}

// below is the location of a key: at.key, or at["key"] where the key is no plain word.
func below(at, key string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-'
	}
	if key == "" || len(key) > MaxFaultValue || strings.ContainsFunc(key, func(r rune) bool { return !plain(r) }) {
		return at + "[" + strconv.Quote(CutValue(key)) + "]"
	}
	return at + "." + key
}

// isA names the kind of a value of the wrong kind.
func isA(value string) string { return "The value is " + kindName(value) + "." }

func kindName(value string) string {
	switch kindOf(value) {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '[':
		return "an array"
	}
	return "an object"
}

// SplitArray cuts a body that is a JSON array into its elements, for
// [ParseActivity] to read one by one. The elements are parts of body, without
// the whitespace around them.
//
// It looks only for the ends of elements, so that nothing is decoded twice:
// what is inside them, ParseActivity finds out. Together they accept exactly
// the JSON arrays. The error is of code [Malformed] if body is not an array or
// has no end, [Invalid] if an element is nested deeper than [MaxDepth], and
// [TooLarge] if there are more than max elements or one of them has more than
// [MaxEventBytes].
func SplitArray(body []byte, max int) ([][]byte, error) {
	rest := trimSpace(body)
	if len(rest) == 0 || rest[0] != '[' {
		return nil, splitError(Malformed, "body", "The body is no array.", "an array of events")
	}
	rest = trimSpace(rest[1:])
	var elements [][]byte
	if len(rest) > 0 && rest[0] == ']' {
		return nil, afterArray(rest[1:])
	}
	for {
		end, err := elementEnd(rest, len(elements))
		if err != nil {
			return nil, err
		}
		element := bytes.TrimRight(rest[:end], jsonSpace)
		switch {
		case len(element) == 0:
			return nil, splitError(Malformed, elementPath(len(elements)), "There is nothing between two commas or brackets.", "an event")
		case len(elements) == max:
			return nil, splitError(TooLarge, "body", "The array has too many events.", fmt.Sprintf("at most %d", max))
		case len(element) > MaxEventBytes:
			return nil, tooLarge(elementPath(len(elements)), len(element))
		}
		elements = append(elements, element)
		if rest[end] == ']' {
			if err := afterArray(rest[end+1:]); err != nil {
				return nil, err
			}
			return elements, nil
		}
		rest = trimSpace(rest[end+1:])
	}
}

const jsonSpace = " \t\r\n"

func trimSpace(b []byte) []byte { return bytes.TrimLeft(b, jsonSpace) }

const tooDeep = "Objects and arrays are nested too deeply."

func splitError(code Code, location, message, expected string) error {
	return &Error{Code: code, Message: "The body cannot be split into events.", Faults: []Fault{{Location: location, Message: message, Expected: expected}}}
}

func tooLarge(location string, size int) error {
	return &Error{Code: TooLarge, Message: "The event is too large.", Faults: []Fault{{
		Location: location, Message: fmt.Sprintf("The event has %d bytes.", size), Expected: fmt.Sprintf("at most %d", MaxEventBytes),
	}}}
}

func afterArray(rest []byte) error {
	if len(trimSpace(rest)) == 0 {
		return nil
	}
	return splitError(Malformed, "body", "There is more data after the array.", "one array of events")
}

func elementPath(i int) string { return fmt.Sprintf("body[%d]", i) }

// elementEnd is where the comma or bracket stands that ends the i-th element,
// which begins b. Brackets of both kinds count alike: an element in which they do
// not match is no JSON, and does not parse.
func elementEnd(b []byte, element int) (int, error) {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			if depth++; depth > MaxDepth {
				return 0, splitError(Invalid, elementPath(element), tooDeep, fmt.Sprintf("at most %d levels", MaxDepth))
			}
		case '}', ']':
			if depth--; depth < 0 {
				if b[i] == ']' {
					return i, nil
				}
				return 0, splitError(Malformed, elementPath(element), "There is a } without its {.", "an event")
			}
		case ',':
			if depth == 0 {
				return i, nil
			}
		}
	}
	return 0, splitError(Malformed, elementPath(element), "The body ends too early.", "an array of events")
}
