package wire

import "telltale.example/telltale"

// Erasure is the forgetting of a person as it is read.
type Erasure struct {
	ID          string   `json:"id" example:"ers_01JD0000000000000000000000"`
	Known       []string `json:"known,omitempty" nullable:"false" doc:"What the person's data stands under; forgotten once the erasure is complete."`
	Complete    bool     `json:"complete" doc:"Nothing is left."`
	Events      int      `json:"events" doc:"Removed so far, with their deliveries and attempts." example:"42"`
	CreatedBy   string   `json:"created_by" example:"CI"`
	CreatedAt   Time     `json:"created_at" format:"date-time" example:"2026-11-20T09:30:00.000Z"`
	CompletedAt Time     `json:"completed_at,omitzero" format:"date-time" example:"2026-11-20T09:30:02.000Z"`
}

// FromErasure gives the JSON form.
func FromErasure(e telltale.Erasure) Erasure {
	return Erasure{
		ID: string(e.ID), Known: e.Known, Complete: !e.CompletedAt.IsZero(), Events: e.Events,
		CreatedBy: e.CreatedBy, CreatedAt: Time{e.CreatedAt}, CompletedAt: Time{e.CompletedAt},
	}
}

// ErasureCreate asks to forget a person. The user's id decides if both are given.
type ErasureCreate struct {
	UserID string `json:"user_id,omitempty" maxLength:"255" doc:"The user's own id, as text." example:"123"`
	Email  string `json:"email,omitempty" maxLength:"255" doc:"The user's email address." example:"steve@example.com"`
}
