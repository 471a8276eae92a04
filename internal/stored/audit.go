package stored

import (
	"encoding/json"
	"fmt"
	"strings"

	"telltale.example/telltale"
)

// maxAuditText bounds each text in an audit entry, in bytes.
const maxAuditText = telltale.MaxURLLength

// AuditRow is what of an audit entry is cut before it is stored.
type AuditRow struct {
	Target, Name string
	Changes      string // a JSON array; "" if nothing changed
}

// CutAudit makes it of an entry.
func CutAudit(e *telltale.AuditEntry) (AuditRow, error) {
	row := AuditRow{Target: CutText(e.Target, maxAuditText), Name: CutText(e.Name, maxAuditText)}
	if len(e.Changes) == 0 {
		return row, nil
	}
	kept := make([]telltale.AuditChange, len(e.Changes))
	for i, c := range e.Changes {
		kept[i] = telltale.AuditChange{Field: c.Field, Before: CutText(c.Before, maxAuditText), After: CutText(c.After, maxAuditText)}
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return row, fmt.Errorf("audit entry: %w", err)
	}
	row.Changes = string(text)
	return row, nil
}

// AuditChanges reads the changes of an entry.
func AuditChanges(text string) (changes []telltale.AuditChange, err error) {
	if text == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &changes); err != nil {
		return nil, fmt.Errorf("changes: %w", err)
	}
	return changes, nil
}

// CutText bounds a text, in bytes, never inside a character.
func CutText(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-len("…")], "") + "…"
}
