// Package auth lets programs in, and keeps what is secret.
//
// [Keys] turns the token of a request into an [Identity]: which key, and which
// project. Keys and projects are looked up in the store and remembered for a
// few seconds, so that a busy key costs no read per request; a revocation is
// effective on every node when the call that makes it returns.
// It fails closed: what cannot be looked up lets nobody in.
//
// [KeyRing] seals the secrets of webhooks before they are stored, and derives
// keys for other purposes, such as the signatures of cursors. It comes from a
// file beside the database, made on first run, or from SECRET_KEY; the
// database alone gives no secret away. Rotation is a new first line: the first
// key seals, all of them open. A ring that lacks the key of a row cannot open
// it and says which one is missing.
package auth
