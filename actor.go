package telltale

import "context"

// Actor is who asks for a change: it stands in the audit log.
type Actor struct {
	Kind       ActorKind
	ID         string // of the operator or key; empty for the system
	Name       string // the operator's email, or the key's name, as it was then
	RemoteAddr string // the caller's address; empty for the system
	RequestID  RequestID
}

// ActorKind says what kind of actor one is.
type ActorKind string

const (
	ActorOperator ActorKind = "operator" // a person, signed in
	ActorKey      ActorKind = "key"      // a program, with an API key
	ActorSystem   ActorKind = "system"   // Telltale itself: retention, health, a start
)

type actorKey struct{}

// WithActor says who makes the request that ctx belongs to. The store writes
// it into the audit log, in the transaction of the change itself.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorOf gives who makes the request that ctx belongs to: [ActorSystem] if
// nobody said so.
func ActorOf(ctx context.Context) Actor {
	if a, ok := ctx.Value(actorKey{}).(Actor); ok {
		return a
	}
	return Actor{Kind: ActorSystem, Name: "telltale"}
}

// Or is the actor of what an operator does before they are signed in: whoever
// has the password, or the link, is the operator.
func (a Actor) Or(o Operator) Actor {
	if a.ID == "" {
		a.Kind, a.ID, a.Name = ActorOperator, string(o.ID), o.Email
	}
	return a
}
