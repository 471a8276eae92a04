package wire

import (
	"slices"
	"strings"

	"telltale.example/telltale"
)

// Source is a source as it is read.
type Source struct {
	ID          string                      `json:"id" example:"src_01JD0000000000000000000000"`
	Version     int64                       `json:"version" doc:"Rises with every change of the settings; also the ETag, in quotes. What comes in does not change it." example:"3"`
	Provider    string                      `json:"provider" doc:"Its name in GET /v1/providers." example:"sendgrid"`
	Name        string                      `json:"name" example:"SendGrid"`
	Enabled     bool                        `json:"enabled" doc:"false: the provider is told to come back later." example:"true"`
	URL         string                      `json:"url,omitempty" doc:"What is pasted in the provider's console. It is a secret, and left out for keys of the scope read." example:"https://telltale.example.com/feeds/kq3jv5m2x7a4d6cbnw2ytrhekq3jv5m2"`
	Credentials map[string]SourceCredential `json:"credentials" doc:"What requests are verified with, by name."`
	Missing     []string                    `json:"missing" nullable:"false" doc:"The credentials without which no request can be verified as yet." example:"verification_key"`
	Options     []string                    `json:"options" nullable:"false" doc:"The options that are switched on, by name." example:"emit_sent"`
	Health      string                      `json:"health" enum:"waiting,receiving,failing" doc:"waiting: nothing came yet. receiving: the last request was taken. failing: it was not." example:"receiving"`
	Tally       SourceTally                 `json:"tally" doc:"What came, and what became of it. It may run behind by a moment."`
	CreatedAt   Time                        `json:"created_at" format:"date-time" example:"2026-11-20T09:30:00.000Z"`
	UpdatedAt   Time                        `json:"updated_at" format:"date-time" example:"2026-11-20T09:30:00.000Z"`
	Note        string                      `json:"note,omitempty" doc:"Where the URL is, in the answer to a request that was repeated: answers are kept without secrets."`
}

// SourceCredential is a credential as it is read.
type SourceCredential struct {
	Set   bool   `json:"set" example:"true"`
	Value string `json:"value,omitempty" doc:"Only of a credential that is no secret, such as a public key." example:"telltale"`
}

// SourceTally counts what came to a source.
type SourceTally struct {
	Requests      int64          `json:"requests" doc:"That were verified, and taken." example:"1200"`
	Events        int64          `json:"events" doc:"That were accepted." example:"4215"`
	Duplicates    int64          `json:"duplicates" doc:"Events that had been accepted before." example:"12"`
	Ignored       int64          `json:"ignored" doc:"Events that mean nothing here, such as deferrals." example:"87"`
	Unrecognised  int64          `json:"unrecognised" doc:"Events and requests that were not understood, and kept." example:"0"`
	Refused       int64          `json:"refused" doc:"Requests that could not be verified." example:"0"`
	LastRequestAt Time           `json:"last_request_at,omitzero" format:"date-time" doc:"Of one that was taken; left out for never." example:"2026-11-20T09:30:00.000Z"`
	LastEventAt   Time           `json:"last_event_at,omitzero" format:"date-time" example:"2026-11-20T09:30:00.000Z"`
	LastFailure   *SourceFailure `json:"last_failure,omitempty" doc:"Why a request was last not taken. One that is taken later leaves it."`
}

// SourceFailure says why a request was not taken.
type SourceFailure struct {
	Message string `json:"message" doc:"What is wrong, and what would mend it." example:"The signature does not match: is the verification key from the same webhook?"`
	At      Time   `json:"at" format:"date-time" example:"2026-11-20T09:30:00.000Z"`
}

// FromSource gives the JSON form, without the URL and what is known of the
// provider: which credentials there are, and which of them may be shown.
func FromSource(s *telltale.Source) Source {
	return Source{
		ID: string(s.ID), Version: s.Version, Provider: s.Provider, Name: s.Name, Enabled: s.Enabled,
		Credentials: map[string]SourceCredential{}, Missing: []string{}, Options: append([]string{}, s.Options...),
		Health: string(s.Tally.Health()), Tally: fromSourceTally(s.Tally), CreatedAt: Time{s.CreatedAt}, UpdatedAt: Time{s.UpdatedAt},
	}
}

func fromSourceTally(t telltale.SourceTally) SourceTally {
	out := SourceTally{
		Requests: t.Requests, Events: t.Events, Duplicates: t.Duplicates, Ignored: t.Ignored, Unrecognised: t.Unrecognised, Refused: t.Refused,
		LastRequestAt: Time{t.LastRequestAt}, LastEventAt: Time{t.LastEventAt},
	}
	if !t.LastFailureAt.IsZero() {
		out.LastFailure = &SourceFailure{Message: t.LastFailure, At: Time{t.LastFailureAt}}
	}
	return out
}

// ETag is the version as HTTP has it.
func (s Source) ETag() string { return etag(s.Version) }

// WithoutSecrets is the form in which an answer is kept for when its request is
// repeated.
func (s Source) WithoutSecrets() any {
	if s.URL != "" {
		s.URL, s.Note = "", "The URL was in the first answer to this request. GET /v1/sources/"+s.ID+" shows it."
	}
	return s
}

// SourceCreate makes a source.
type SourceCreate struct {
	Provider string `json:"provider" doc:"Its name in GET /v1/providers." example:"sendgrid"`
	SourceSettings
}

// New makes the source in the project, which is still to be completed and
// validated by what is known of its provider; title is what that is called.
func (c *SourceCreate) New(project telltale.ProjectID, title string) telltale.Source {
	s := telltale.NewSource(project, c.Provider, title)
	c.Apply(&s, title)
	return s
}

// SourcePatch changes a source: JSON Merge Patch.
type SourcePatch struct{ SourceSettings }

// SourceSettings are what may be set about a source.
type SourceSettings struct {
	Name        Change[string]             `json:"name,omitzero" doc:"1 to 100 bytes, for people; the default is what the provider is called." example:"SendGrid, newsletter"`
	Credentials Change[map[string]*string] `json:"credentials,omitzero" doc:"By name: a value, or null, which removes it; others stay. null removes them all. Those that Telltale makes are made anew."`
	Options     Change[[]string]           `json:"options,omitzero" doc:"All that are to be switched on, by name; the default is none." example:"emit_sent"`
	Enabled     Change[bool]               `json:"enabled,omitzero" doc:"Whether requests are taken; the default is true."`
}

// Apply changes s, which is still to be completed and validated by what is known
// of its provider; title is what that is called. It shares nothing with what s
// shared before. Space around a credential is what came along when it was copied.
func (c *SourceSettings) Apply(s *telltale.Source, title string) {
	s.Name = c.Name.Or(s.Name, title)
	s.Enabled = c.Enabled.Or(s.Enabled, true)
	s.Options = slices.Clone(c.Options.Or(s.Options, nil))
	credentials := map[string]string{}
	if !c.Credentials.Null {
		for name, value := range s.Credentials {
			credentials[name] = value
		}
	}
	for name, value := range c.Credentials.Value {
		if value == nil || strings.TrimSpace(*value) == "" {
			delete(credentials, name)
		} else {
			credentials[name] = strings.TrimSpace(*value)
		}
	}
	s.Credentials = credentials
}

// SourceTested is what became of a test.
type SourceTested struct {
	Success      bool   `json:"success" example:"true"`
	Message      string `json:"message" doc:"How it went, and what to do about it, in words." example:"Test succeeded. 1 event was accepted."`
	Status       int    `json:"status" doc:"Of the answer that the provider would have got." example:"200"`
	Requests     int    `json:"requests" doc:"That were posted." example:"1"`
	Accepted     int    `json:"accepted" doc:"Events, which webhooks get." example:"1"`
	Duplicates   int    `json:"duplicates" example:"0"`
	Unrecognised int    `json:"unrecognised" example:"0"`
}

// UnrecognisedRequest is a request, or the part of one, that was not understood.
type UnrecognisedRequest struct {
	ID          string `json:"id" example:"req_01JD0000000000000000000000"`
	ReceivedAt  Time   `json:"received_at" format:"date-time" example:"2026-11-20T09:30:00.140Z"`
	Reason      string `json:"reason" doc:"Why it was not understood." example:"There is no event \"teleported\" in the provider's documents as we know them."`
	ContentType string `json:"content_type" example:"application/json"`
	Size        int    `json:"size" doc:"Bytes of the body." example:"412"`
	Body        string `json:"body,omitempty" doc:"As it was received; left out in lists."`
	BodyBase64  []byte `json:"body_base64,omitempty" doc:"The body, if it is not text."`
}

// FromUnrecognised gives the JSON form.
func FromUnrecognised(r telltale.UnrecognisedRequest) UnrecognisedRequest {
	w := UnrecognisedRequest{ID: string(r.ID), ReceivedAt: Time{r.ReceivedAt}, Reason: r.Reason, ContentType: r.ContentType, Size: r.Size}
	w.Body, w.BodyBase64 = text(r.Body)
	return w
}

// UnrecognisedReplay asks for unrecognised requests to be taken again.
type UnrecognisedReplay struct {
	IDs []string `json:"ids,omitempty" nullable:"false" doc:"Of the requests, at most 1,000; all, if left out." example:"req_01JD0000000000000000000000"`
}

// UnrecognisedReplayed is what became of unrecognised requests that were taken again.
type UnrecognisedReplayed struct {
	Understood int `json:"understood" doc:"Requests, which are kept no longer." example:"12"`
	Accepted   int `json:"accepted" doc:"Events, which webhooks get." example:"12"`
	Duplicates int `json:"duplicates" doc:"Events that had been accepted before." example:"0"`
	Left       int `json:"left" doc:"Requests that are not understood now, either." example:"3"`
}

// Provider is a mail provider: what its sources need, and what they understand.
type Provider struct {
	Name            string               `json:"name" example:"sendgrid"`
	Title           string               `json:"title" doc:"As the provider writes it." example:"SendGrid"`
	Credentials     []ProviderCredential `json:"credentials" nullable:"false" doc:"What requests are verified with."`
	Options         []ProviderOption     `json:"options" nullable:"false" doc:"Choices that a source has."`
	Steps           []string             `json:"steps" nullable:"false" doc:"What to do in the provider's console, in its own words."`
	Mapping         []ProviderMapping    `json:"mapping" nullable:"false" doc:"What each of its events becomes."`
	Metadata        string               `json:"metadata" doc:"How user and campaign are attached to a message."`
	MetadataExample string               `json:"metadata_example" doc:"The same as the sender writes it."`
	Retries         string               `json:"retries" doc:"How long it repeats what is not taken." example:"SendGrid repeats a request that is not answered with success for 24 hours."`
	NoSent          bool                 `json:"no_sent" doc:"It has no event for a message that was handed to it. Its sources have the option emit_sent."`
	CanTest         bool                 `json:"can_test" doc:"POST /v1/sources/{id}/test works. Others sign with a key that only they have."`
	TestHint        string               `json:"test_hint,omitempty" doc:"What makes it send a test."`
}

// ProviderCredential is one thing that requests are verified with.
type ProviderCredential struct {
	Name     string `json:"name" example:"verification_key"`
	Label    string `json:"label" doc:"In the provider's words." example:"Verification key"`
	Hint     string `json:"hint" doc:"Where it stands in the provider's console."`
	Made     bool   `json:"made" doc:"Telltale makes it, with the source: it is given to the provider."`
	Optional bool   `json:"optional" doc:"Requests are verified without it, too."`
	Long     bool   `json:"long" doc:"It has several lines, such as a key in PEM."`
	Open     bool   `json:"open" doc:"It is no secret, and is shown."`
}

// ProviderOption is a choice that a source has.
type ProviderOption struct {
	Name  string `json:"name" example:"emit_sent"`
	Label string `json:"label" example:"Report sent as well"`
	Hint  string `json:"hint"`
}

// ProviderMapping says what an event of a provider becomes.
type ProviderMapping struct {
	Event  string `json:"event" doc:"In the provider's words." example:"bounce, type blocked"`
	Type   string `json:"type,omitempty" doc:"The event type; left out if it means nothing here." example:"bounced"`
	Detail string `json:"detail,omitempty" example:"soft"`
}
