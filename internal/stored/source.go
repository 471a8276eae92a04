package stored

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"telltale.example/telltale"
)

// SourceRow is what of a source is stored as text or sealed.
type SourceRow struct {
	Options     string // JSON; "" if none is on
	Credentials []byte // sealed; nil if there are none
}

// SealSource makes it of a source.
func SealSource(sealer telltale.Sealer, s *telltale.Source) (row SourceRow, err error) {
	if len(s.Options) > 0 {
		row.Options = string(telltale.AppendTexts(nil, s.Options))
	}
	if len(s.Credentials) > 0 {
		row.Credentials, err = Seal(sealer, credentialsPlace(s.ID), s.Credentials)
	}
	return row, err
}

// Open fills it in to the source, which has its id.
func (r *SourceRow) Open(sealer telltale.Sealer, s *telltale.Source) error {
	if r.Options != "" {
		if err := json.Unmarshal([]byte(r.Options), &s.Options); err != nil {
			return fmt.Errorf("source %s: options: %w", s.ID, err)
		}
	}
	s.Credentials = map[string]string{}
	return Open(sealer, credentialsPlace(s.ID), r.Credentials, &s.Credentials)
}

// credentialsPlace names the place that sealed credentials belong to.
func credentialsPlace(id telltale.SourceID) string { return "source/" + string(id) + "/credentials" }

// CloneSource makes a snapshot that shares nothing with s, as it would be read back.
func CloneSource(s telltale.Source) *telltale.Source {
	s.CreatedAt, s.UpdatedAt = MilliTime(TimeMilli(s.CreatedAt)), MilliTime(TimeMilli(s.UpdatedAt))
	if s.Credentials = maps.Clone(s.Credentials); s.Credentials == nil {
		s.Credentials = map[string]string{}
	}
	if s.Options = slices.Sorted(slices.Values(s.Options)); len(s.Options) == 0 {
		s.Options = nil
	}
	return &s
}
