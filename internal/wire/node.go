package wire

import "telltale.example/telltale"

// Node is a start of the server as it is read.
type Node struct {
	ID        string `json:"id" example:"nod_01JD0000000000000000000000"`
	Host      string `json:"host,omitempty" doc:"The machine's name; left out where it is not noted." example:"web-1"`
	Role      string `json:"role" enum:"all,api,worker,command,paused" doc:"all: it accepts and sends. api: it takes requests and shows pages, and leaves sending to others. worker: it sends, and runs the jobs. command: a command that opened the database for a moment. paused: it was started with --paused, and sends nothing until it is resumed." example:"all"`
	Version   string `json:"version,omitempty" doc:"Of the program; left out where it is not noted." example:"0.1.0"`
	Alive     bool   `json:"alive" doc:"Whether its lease holds. One that ended without signing off is taken for alive for up to 50 seconds."`
	StartedAt Time   `json:"started_at" format:"date-time" example:"2026-11-20T09:30:00.000Z"`
	BeatAt    Time   `json:"beat_at,omitzero" format:"date-time" doc:"When it was heard last; left out before the first time." example:"2026-11-20T09:31:00.000Z"`
}

// Resumed is what came of telling a node to go on.
type Resumed struct {
	WasPaused bool `json:"was_paused" doc:"Whether the node was paused. If not, nothing was changed."`
}

// FromNode gives the JSON form.
func FromNode(n telltale.Node) Node {
	return Node{
		ID: string(n.ID), Host: n.Host, Role: string(n.Role), Version: n.Version, Alive: n.Alive,
		StartedAt: Time{n.StartedAt}, BeatAt: Time{n.BeatAt},
	}
}
