package wire

import "telltale.example/telltale"

// AuditEntry is one thing that someone did.
type AuditEntry struct {
	ID      string        `json:"id" example:"aud_01JD0000000000000000000000"`
	At      Time          `json:"at" format:"date-time" example:"2026-11-20T09:30:00.000Z"`
	Action  string        `json:"action" example:"webhook.update"`
	Actor   Actor         `json:"actor"`
	Target  string        `json:"target,omitempty" doc:"The id of what was changed or looked at." example:"whk_01JD0000000000000000000000"`
	Name    string        `json:"name,omitempty" doc:"What people call it." example:"https://hooks.example.com/telltale"`
	Changes []AuditChange `json:"changes,omitempty" nullable:"false" doc:"Settings that changed. Secret values read [redacted]."`
}

// Actor is who did it.
type Actor struct {
	Kind       string `json:"kind" enum:"operator,key,system" example:"key"`
	ID         string `json:"id,omitempty" example:"key_01JD0000000000000000000000"`
	Name       string `json:"name" example:"CI"`
	RemoteAddr string `json:"remote_addr,omitempty" example:"192.0.2.7"`
	RequestID  string `json:"request_id,omitempty" example:"req_01JD0000000000000000000000"`
}

// AuditChange is one setting that changed.
type AuditChange struct {
	Field  string `json:"field" example:"timeout"`
	Before string `json:"before" example:"5s"`
	After  string `json:"after" example:"10s"`
}

// FromAuditEntry gives the JSON form.
func FromAuditEntry(e telltale.AuditEntry) AuditEntry {
	out := AuditEntry{
		ID: string(e.ID), At: Time{e.At}, Action: string(e.Action), Target: e.Target, Name: e.Name,
		Actor: Actor{Kind: string(e.Actor.Kind), ID: e.Actor.ID, Name: e.Actor.Name, RemoteAddr: e.Actor.RemoteAddr, RequestID: string(e.Actor.RequestID)},
	}
	for _, c := range e.Changes {
		out.Changes = append(out.Changes, AuditChange(c))
	}
	return out
}
