package stored

import (
	"encoding/json"
	"errors"

	"telltale.example/telltale"
)

// ProfileRow is what of a profile is stored as JSON. What is empty is stored as
// nothing.
type ProfileRow struct {
	GivenID    string // empty for the id in quotes
	FormerIDs  string // an array, as are the two below
	Tags       string
	Channels   string
	Properties string // an object
}

// EncodeProfile makes it of a profile.
func EncodeProfile(p *telltale.Profile) ProfileRow {
	r := ProfileRow{FormerIDs: EncodeTexts(p.FormerIDs), Tags: EncodeTexts(p.Tags), Channels: encodeChannels(p.Channels), Properties: EncodeObject(p.Properties)}
	if p.GivenID != quoted(p.UserID) {
		r.GivenID = p.GivenID
	}
	return r
}

// Decode fills it in to the profile, which has its id.
func (r *ProfileRow) Decode(p *telltale.Profile) error {
	if p.GivenID = r.GivenID; p.GivenID == "" {
		p.GivenID = quoted(p.UserID)
	}
	var channels []channel
	var errs []error
	for _, list := range [...]struct {
		text string
		into any
	}{{r.FormerIDs, &p.FormerIDs}, {r.Tags, &p.Tags}, {r.Channels, &channels}} {
		if list.text != "" {
			errs = append(errs, json.Unmarshal([]byte(list.text), list.into))
		}
	}
	for _, c := range channels {
		p.Channels = append(p.Channels, telltale.Channel(c))
	}
	var err error
	p.Properties, err = DecodeObject(r.Properties)
	return errors.Join(append(errs, err)...)
}

func quoted(id string) string { return `"` + id + `"` }

// channel is a [telltale.Channel] as it is stored.
type channel struct {
	Type     string `json:"t"`
	Address  string `json:"a"`
	Platform string `json:"p,omitempty"`
	Device   string `json:"d,omitempty"`
}

func encodeChannels(channels []telltale.Channel) string {
	if len(channels) == 0 {
		return ""
	}
	list := make([]channel, len(channels))
	for i, c := range channels {
		list[i] = channel(c)
	}
	text, _ := json.Marshal(list) // texts alone can be marshalled
	return string(text)
}

// EncodeTexts makes a JSON array of texts, and nothing of none.
func EncodeTexts(texts []string) string {
	if len(texts) == 0 {
		return ""
	}
	return string(telltale.AppendTexts(nil, texts))
}

// EncodeObject makes JSON of an object, and nothing of an empty one.
func EncodeObject(o telltale.Object) string {
	if o.Len() == 0 {
		return ""
	}
	return string(o.AppendJSON(make([]byte, 0, o.Size())))
}

// DecodeObject reads what EncodeObject made.
func DecodeObject(text string) (telltale.Object, error) {
	if text == "" {
		return telltale.Object{}, nil
	}
	return telltale.StoredObject(text)
}
