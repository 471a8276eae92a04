package wire

import "telltale.example/telltale"

// Key is an API key as it is read.
type Key struct {
	ID         string `json:"id" example:"key_01JD0000000000000000000000"`
	Name       string `json:"name" example:"CI"`
	Scope      string `json:"scope" enum:"ingest,read,manage,track,owner" example:"ingest"`
	CreatedAt  Time   `json:"created_at" format:"date-time" example:"2026-11-20T09:30:00.000Z"`
	LastUsedAt Time   `json:"last_used_at,omitzero" format:"date-time" doc:"To the minute; left out if it was never used." example:"2026-11-20T09:31:00.000Z"`
	RevokedAt  Time   `json:"revoked_at,omitzero" format:"date-time" doc:"Left out while the key works." example:"2026-11-20T10:00:00.000Z"`
	Note       string `json:"note,omitempty" doc:"Where the token is, in the answer to a request that was repeated: answers are kept without secrets."`
	Key        string `json:"key,omitempty" doc:"The token. It is shown once, in the answer that makes the key." example:"tt_0000000000000000000000000000000000000000000"`
}

// FromKey gives the JSON form, without the token.
func FromKey(k telltale.Key) Key {
	return Key{
		ID: string(k.ID), Name: k.Name, Scope: string(k.Scope),
		CreatedAt: Time{k.CreatedAt}, LastUsedAt: Time{k.LastUsedAt}, RevokedAt: Time{k.RevokedAt},
	}
}

// WithoutSecrets is the form in which an answer is kept for when its request is
// repeated.
func (k Key) WithoutSecrets() any {
	if k.Key != "" {
		k.Key, k.Note = "", "The token was in the first answer to this request, and is not shown again. Revoke the key and make another if you did not get it."
	}
	return k
}

// KeyCreate makes a key.
type KeyCreate struct {
	Name  string `json:"name" doc:"1 to 100 bytes, for people." example:"CI"`
	Scope string `json:"scope" enum:"ingest,read,manage,track,owner" doc:"What the key may do: post events and call the Track API; read all but secrets; both, and change webhooks and keys; call the Track API only; all of it on every project. Only an owner key makes owner keys, which belong to no project." example:"ingest"`
}
